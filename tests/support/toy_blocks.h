#ifndef VIDUR_TEST_TOY_BLOCKS_H
#define VIDUR_TEST_TOY_BLOCKS_H

#include <vidur/workload.h>

/*
 * A prefix cache and its host tier block by block, with linear searches: what
 * block_store.h and host_tier.h must agree with. A block's name is a hash over what it
 * and all blocks before it hold.
 */

enum {
    TOY_BLOCKS = 80,
    TOY_REQUESTS = 60,
    TOY_BLOCKS_OF_REQUEST = 24,
    TOY_HOST_BLOCKS = 50
};

struct toy_block {
    uint64_t name; /* 0: it caches nothing */
    int holders;
    int64_t freed_at;        /* place in the queue */
    uint32_t released_after; /* this many releases */
};

struct toy_holder {
    int32_t held, named;
    int32_t blocks[TOY_BLOCKS_OF_REQUEST];
};

struct toy_blocks {
    const struct vidur_workload *workload;
    const int64_t *first_id; /* recorded prompts: request r's ids of blocks */
    const int32_t *ids;
    int32_t block_size, num_blocks, num_host_blocks;
    struct toy_block blocks[TOY_BLOCKS];
    struct toy_holder holders[TOY_REQUESTS];
    int64_t clock, num_evictions;
    int64_t num_nameless, num_forgotten; /* cached elsewhere; never computed */
    uint32_t num_releases;
    uint64_t host[TOY_HOST_BLOCKS + 1]; /* the one used longest ago first */
    int32_t num_on_host;
};

void toy_blocks_begin(struct toy_blocks *toy, const struct vidur_workload *workload,
                      int32_t block_size, int32_t num_blocks, int32_t num_host_blocks);
int32_t toy_num_free(const struct toy_blocks *toy);
/* As vidur_block_store_find: hits, and those that nobody has held since the mark. */
int32_t toy_find(const struct toy_blocks *toy, int32_t request, int32_t prompt_tokens,
                 uint32_t mark, int32_t *unheld);
int32_t toy_admit(struct toy_blocks *toy, int32_t request, int32_t prompt_tokens,
                  bool names);
void toy_loaded(struct toy_blocks *toy, int32_t request, int32_t prompt_tokens);
void toy_grow(struct toy_blocks *toy, int32_t request);
void toy_release(struct toy_blocks *toy, int32_t request, int32_t computed_tokens);
int32_t toy_find_on_host(const struct toy_blocks *toy, int32_t request,
                         int32_t prompt_tokens);
void toy_keep_on_host(struct toy_blocks *toy, int32_t request, int32_t from,
                      int32_t until);

#endif
