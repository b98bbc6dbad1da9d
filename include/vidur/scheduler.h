#ifndef VIDUR_SCHEDULER_H
#define VIDUR_SCHEDULER_H

#include <vidur/deployment.h>
#include <vidur/error.h>
#include <vidur/memory_plan.h>
#include <vidur/slo.h>

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a scheduler sees of a replica, and the table of functions that makes one.
 * Source: SIMULATOR.md section 4.2.
 *
 * A scheduler forms batches: it moves requests from the replica's waiting queue and
 * from its list of running requests into a batch, and takes KV blocks for them. The
 * simulator does the rest: time, tokens, completion, bookkeeping. One replica belongs
 * to one thread. The structs are public because they are hot; change them through the
 * functions below. This header is all that the author of a scheduler needs.
 *
 * Running items. The running list holds requests that finished an iteration and are not
 * in a batch. For schedulers that set `groups_decodes`, the simulator may keep all
 * decoding requests of one batch together as a group, which advances as a whole at a
 * cost that does not depend on its size. A group is an item < 0 of the running list;
 * a scheduler either adds it whole or has it unpacked into its requests.
 */

enum { VIDUR_NO_REQUEST = -1, VIDUR_NO_GROUP = -1 };

enum vidur_request_flag {
    VIDUR_REQUEST_PREFILLED = 1u << 0, /* its next iteration decodes one token */
    VIDUR_REQUEST_DONE = 1u << 1
};

/* Every request of the run, by id. */
struct vidur_request_table {
    int64_t count;
    const double *arrived_at_s;
    const double *seen_at_s;   /* by the scheduler, not before it arrived */
    int32_t *prefill_tokens;   /* P */
    int32_t *decode_tokens;    /* Dn */
    int32_t *processed_tokens; /* n; not while in a group */
    int32_t *blocks;           /* KV blocks held; not while in a group */
    int32_t *num_restarts;
    int32_t *cached_tokens; /* of the prompt, found in the prefix cache at the first
                               admission; NULL: replicas have none */
    int32_t *next;          /* link of the waiting queues, and in a group */
    int32_t *place;         /* in a group */
    uint8_t *flags;
    const uint8_t *class_of; /* class of traffic; NULL: there is one */
    double *last_done_s;     /* when its last iteration ended; -1: none */
    double *scheduled_at_s;
    double *prefill_completed_at_s;
    double *completed_at_s;
    /* 2^-47 s, modulo 2^64: sums of these do not depend on their order */
    uint64_t *execution_ticks;
    uint64_t *model_ticks;
    uint64_t *preempted_ticks;
};

/* What a scheduler reads of a batch; of it, it sets `blocked` and `tag`. The simulator
 * keeps more behind it. */
struct vidur_batch {
    int64_t id;
    int32_t count; /* requests */
    int32_t num_decodes;
    int32_t num_prefills;
    int32_t num_members; /* requests beside the group, in the order of being added */
    int64_t num_tokens;
    int64_t num_prefill_tokens;
    int32_t group;
    int32_t tag;      /* for the scheduler */
    int32_t capacity; /* requests */
    bool blocked;     /* a lack of blocks kept requests out of it, or evicted some */
    int32_t *member;
    int32_t *member_tokens;
    int32_t *member_prefix; /* tokens of each in front of those */
};

struct vidur_decode_group;
struct vidur_told;
struct vidur_block_store;
struct vidur_replica_account;

struct vidur_replica {
    struct vidur_request_table *requests;
    double now_s;
    /* waiting requests: a linked list */
    int32_t queue_head, queue_tail;
    int64_t queue_length;
    bool by_priority; /* the list is sorted, by priority and then by arrival */
    uint8_t rank_of_class[VIDUR_MAX_CLASSES]; /* lower ones first */
    int32_t rank_tail[VIDUR_MAX_CLASSES]; /* by rank; VIDUR_NO_REQUEST: none waits */
    int64_t num_coming; /* given to the replica, not seen by its scheduler yet */
    /* prompt and output of all requests that it was given, less what is processed */
    int64_t tokens_left;
    /* requests that have completed and that the run has not looked at, linked by `next`
     */
    bool lists_completed;
    int32_t completed_head;
    /* requests that have left, and those whose KV cache has come, from another pool or
     * from host memory, and that have not been admitted yet: linked lists */
    int32_t departed_head, departed_tail;
    int32_t loaded_head, loaded_tail;
    /* running items: a deque, running[running_begin .. running_end - 1] */
    int32_t *running;
    int32_t running_begin, running_end, running_capacity;
    int32_t *sort_scratch;
    /* KV blocks */
    int64_t num_blocks;
    int64_t allocated_blocks;
    int64_t watermark_blocks;
    int64_t reserved_blocks; /* of the free ones, for what the scheduler has planned */
    int64_t num_holders;     /* requests that hold blocks */
    int32_t block_size;
    int32_t block_bits;          /* its logarithm; -1: not a power of two */
    int32_t context_granularity; /* that the step model rounds prefill contexts to */
    bool keeps_blocks;  /* the scheduler releases a completed request's blocks */
    bool fixed_blocks;  /* a decoding request's blocks do not grow */
    bool grouping;      /* groups may be formed */
    bool corrected;     /* semantics: SIMULATOR.md section 9 */
    bool chains_chunks; /* a prompt's may follow others that are in flight */
    bool has_host;      /* KV blocks are kept in host memory, too */
    bool hands_over;    /* requests leave when their prompt is done */
    bool samples_first; /* and have got their first token by then */
    int32_t index;
    int32_t seat; /* of all ranks of all replicas, in their order */
    const struct vidur_replica *next_rank; /* of the same index; NULL: the last */
    int32_t num_groups;
    struct vidur_decode_group *groups;
    struct vidur_replica_account *account;
    struct vidur_block_store *store; /* which blocks; NULL: they are only counted */
    struct vidur_told *told;         /* to a router that polls; NULL: to none */
};

/* What a scheduler is made for. */
struct vidur_scheduler_env {
    const struct vidur_deployment *deployment;
    const struct vidur_memory_plan *plan;
    int max_tokens;             /* the workload's cap on a request's tokens */
    int64_t blocks_per_request; /* of max_tokens: what reserving schedulers take */
    int32_t batch_capacity;     /* requests that a batch can hold */
    int32_t batches_at_once;    /* batches that can be in flight */
    int32_t running_capacity;   /* requests that can run at once */
};

/* How a batch's time is composed: of operator times layer by layer, or a whole step at
 * once as engines take it. */
struct vidur_step_model_ops;
extern const struct vidur_step_model_ops vidur_step_layers;
extern const struct vidur_step_model_ops vidur_step_engine;

/* A bit of the knobs that a scheduler uses. */
#define VIDUR_USES(knob) (UINT64_C(1) << VIDUR_KNOB_##knob)

/* An argument of `vllm serve`: a flag alone, one with a knob's number, or one of two
 * for a knob that is a bool. */
struct vidur_engine_argument {
    const char *flag;     /* NULL behind the last */
    enum vidur_knob knob; /* VIDUR_KNOB_NONE: the flag alone */
    const char *flag_if_off;
};

struct vidur_scheduler_ops {
    const char *name;
    const struct vidur_step_model_ops *step_model;

    /* ---- What the search, the tables and the reports ask ---- */
    uint64_t knobs; /* VIDUR_USES(...) of each that it uses, the next two included */
    /* Switches of them that a pipeline does nothing about: a search turns them off
     * there. */
    uint64_t idle_in_pipeline;
    /* Bounds the requests in a replica's batches, over all stages; every scheduler has
     * one. */
    enum vidur_knob batch_cap;
    /* Bounds a batch's prompt tokens; VIDUR_KNOB_NONE: only the requests in it do. */
    enum vidur_knob token_budget;
    bool whole_prompts; /* a prompt longer than the token_budget never runs */
    /* A batch cap that no batch has reached changed nothing, so that the run stands for
     * those with larger caps too. */
    bool batch_cap_felt_only_when_reached;
    int default_block_size_tokens; /* in a search; 0: as VIDUR_SCHEDULER_KNOBS says */
    /* Fills the plan's bytes, num_blocks and request_slots; available_bytes is set.
     * NULL: the deployment's memory_planner does. */
    void (*plan_memory)(const struct vidur_deployment *deployment, int max_tokens,
                        struct vidur_memory_plan *plan);
    /* What starts an engine with this policy; NULL: no engine has it. */
    const struct vidur_engine_argument *engine_arguments;
    const char *engine_remark; /* to be said with them; NULL: nothing */

    /* ---- What it does ---- */
    bool groups_decodes;  /* next_batch knows groups */
    bool keeps_blocks;    /* batch_end releases the blocks of completed requests */
    bool fixed_blocks;    /* decoding never takes blocks */
    bool has_ranks;       /* several of them can run in lockstep, in data parallel */
    bool shares_prefixes; /* prompts are taken with vidur_take_prompt */
    /* In a pipeline a prompt's next chunk may follow those in flight: the request is in
     * the running list until its last chunk has been added to a batch, and comes back
     * with that one (vidur_batch_requeue_decodes). Until then it is not evicted. */
    bool chains_chunks;
    /* Requests may leave it when their prompt is done, and may come to it with their
     * prompt's KV cache: see vidur_loaded_pop. */
    bool hands_over;
    /* NULL: nothing beyond vidur_deployment_check */
    int (*check)(const struct vidur_deployment *deployment, struct vidur_error *err);
    /* batches in flight on a replica; NULL: as many as stages */
    int (*batches_at_once)(const struct vidur_deployment *deployment);
    /* bytes of state for one replica; NULL: none */
    size_t (*state_bytes)(const struct vidur_scheduler_env *env);
    /* before every run; `state` is uninitialised memory aligned for any type */
    void (*init)(void *state, const struct vidur_scheduler_env *env);
    /* Adds requests to an empty batch; leaves it empty when there is nothing to run. */
    void (*next_batch)(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch);
    /* The batch's tokens have been counted. It holds those that go on: its group, which
     * prompts worked off may have joined, and its members. NULL: vidur_batch_requeue.
     */
    void (*batch_end)(void *state, struct vidur_replica *replica,
                      struct vidur_batch *batch);
    /* The batch just formed is one group and nothing else. How many times, this one
     * included, would next_batch form it again if nothing arrives, completes or lacks
     * blocks? INT64_MAX: any number of times. NULL: once. The counterpart tells how
     * often it was skipped: `batch` is as it was formed for the last time, at
     * replica->now_s. In a pipeline batches are skipped only where the answer is
     * INT64_MAX and there is no counterpart. */
    int64_t (*repeats)(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch);
    void (*repeated)(void *state, struct vidur_replica *replica,
                     const struct vidur_batch *batch, int64_t times);
};

/* The schedulers that come with the library, in a fixed order; NULL behind the last. */
const struct vidur_scheduler_ops *vidur_scheduler_at(int index);
const struct vidur_scheduler_ops *vidur_scheduler_find(const char *name);
/* Of a configuration that names none. */
const struct vidur_scheduler_ops *vidur_scheduler_default(void);

static inline bool vidur_scheduler_uses(const struct vidur_scheduler_ops *ops,
                                        enum vidur_knob knob)
{
    return ops->knobs >> knob & 1;
}

/* Whether a prompt of so many tokens fits into a batch's budget, or can be cut. */
static inline bool
vidur_scheduler_takes_prompt(const struct vidur_scheduler_ops *ops,
                             const struct vidur_scheduler_config *knobs, int64_t tokens)
{
    return !ops->whole_prompts ||
           (double)tokens <= vidur_knob_value(knobs, ops->token_budget);
}

/* ---- The waiting queue ---- */

static inline int32_t vidur_queue_head(const struct vidur_replica *replica)
{
    return replica->queue_head;
}

int32_t vidur_queue_pop(struct vidur_replica *replica);
/* The one behind `before`, which may be VIDUR_NO_REQUEST: the head. */
int32_t vidur_queue_take(struct vidur_replica *replica, int32_t before);
/* By priority, both put a request where its priority and arrival say. */
void vidur_queue_push_back(struct vidur_replica *replica, int32_t request);
/* Not counted as an arrival: for requests that come back. */
void vidur_queue_push_front(struct vidur_replica *replica, int32_t request);

/* ---- Requests from another pool, or with blocks from host memory ---- */

/* The first request whose KV cache has come from another pool, or from host memory, by
 * `until_s`, taken from the list of those; VIDUR_NO_REQUEST: there is none. It holds
 * its blocks, counts among num_holders and wants at least a token in a batch: admit it
 * to the running list before prompts that wait. Schedulers that set `hands_over`, or
 * call vidur_load_prompt, call this whenever they plan a batch. */
int32_t vidur_loaded_pop(struct vidur_replica *replica, double until_s);

/* When the first of those came; infinity: there is none. */
static inline double vidur_loaded_since_s(const struct vidur_replica *replica)
{
    return replica->loaded_head == VIDUR_NO_REQUEST
               ? INFINITY
               : replica->requests->seen_at_s[replica->loaded_head];
}

/* ---- Running items ---- */

static inline int32_t vidur_running_count(const struct vidur_replica *replica)
{
    return replica->running_end - replica->running_begin;
}

static inline bool vidur_item_is_group(int32_t item)
{
    return item < 0;
}

static inline int32_t vidur_running_pop(struct vidur_replica *replica)
{
    return replica->running[replica->running_begin++];
}

static inline int32_t vidur_running_pop_last(struct vidur_replica *replica)
{
    return replica->running[--replica->running_end];
}

/* The request of the lowest priority, the last to arrive among equals, but for
 * `except`; VIDUR_NO_REQUEST: there is no other. There are no groups in the list. */
int32_t vidur_running_pop_least(struct vidur_replica *replica, int32_t except);
void vidur_running_push_back(struct vidur_replica *replica, int32_t item);
void vidur_running_push_front(struct vidur_replica *replica, int32_t item);
/* Puts a group's requests, in their order, at the front of the list. */
void vidur_running_unpack(struct vidur_replica *replica, int32_t group_item);
void vidur_running_unpack_all(struct vidur_replica *replica);
/* Stable, by arrival. Unpacks all groups. */
void vidur_running_sort(struct vidur_replica *replica);

/* ---- Requests and blocks ---- */

static inline bool vidur_request_is_prefilled(const struct vidur_replica *replica,
                                              int32_t request)
{
    return replica->requests->flags[request] & VIDUR_REQUEST_PREFILLED;
}

static inline int64_t vidur_free_blocks(const struct vidur_replica *replica)
{
    return replica->num_blocks - replica->allocated_blocks;
}

static inline int64_t vidur_whole_blocks(const struct vidur_replica *replica,
                                         int64_t tokens)
{
    return replica->block_bits >= 0 ? tokens >> replica->block_bits
                                    : tokens / replica->block_size; /* slower */
}

static inline int64_t vidur_blocks_for(const struct vidur_replica *replica,
                                       int64_t tokens)
{
    return vidur_whole_blocks(replica, tokens + replica->block_size - 1);
}

/* Tokens in the last, partial block. */
static inline int32_t vidur_block_offset(const struct vidur_replica *replica,
                                         int64_t tokens)
{
    return (int32_t)(tokens -
                     vidur_whole_blocks(replica, tokens) * replica->block_size);
}

/* Admission test for a request without blocks: its prompt fits above the watermark. */
static inline bool vidur_can_admit(const struct vidur_replica *replica, int32_t request)
{
    return vidur_free_blocks(replica) -
               vidur_blocks_for(replica, replica->requests->prefill_tokens[request]) >=
           replica->watermark_blocks;
}

/* Takes `count` blocks; the replica has them. */
void vidur_take_blocks(struct vidur_replica *replica, int32_t request, int64_t count);
/* One more block if the request's tokens have outgrown what it holds. */
static inline void vidur_grow_blocks(struct vidur_replica *replica, int32_t request)
{
    const struct vidur_request_table *table = replica->requests;
    if (table->processed_tokens[request] >
        (int64_t)table->blocks[request] * replica->block_size)
        vidur_take_blocks(replica, request, 1);
}
void vidur_release_blocks(struct vidur_replica *replica, int32_t request);

/* ---- Prompts and the prefix cache ---- */

/* With a prefix cache, the leading whole blocks of a prompt may be cached already. A
 * cached block that other requests hold costs no free block; one that nobody holds is
 * itself among the free blocks and is taken from them. */

/* A mark is a point in time: how often blocks have been released so far. It lets a
 * scheduler that plans ahead ask what a prompt would have cost back then. 0 without a
 * prefix cache. */
uint32_t vidur_release_mark(const struct vidur_replica *replica);

/* How many free blocks admitting the request takes. Blocks released after `mark` count
 * as held, as they were at that time; with vidur_release_mark it is the cost now. */
int64_t vidur_prompt_blocks(const struct vidur_replica *replica, int32_t request,
                            uint32_t mark);

/* Takes the blocks of the request's prompt. Its processed tokens become those of the
 * cached blocks: its prefill starts behind them. */
void vidur_take_prompt(struct vidur_replica *replica, int32_t request);

/* The same where has_host. True: some of them are in host memory and begin to be loaded
 * now. Then the request is in no list, and comes back by vidur_loaded_pop once they are
 * there. */
bool vidur_load_prompt(struct vidur_replica *replica, int32_t request);

/* ---- Evictions ---- */

/* Evicts: its tokens become a prompt to be computed again, its blocks are free, and it
 * goes to the front of the queue. The request is in no list. */
void vidur_request_restart(struct vidur_replica *replica, int32_t request);

/* Evicts the last running request until a block is free, at last `request` itself,
 * which was popped from the running list (then false). */
bool vidur_evict_for(struct vidur_replica *replica, struct vidur_batch *batch,
                     int32_t request);

/* Makes room for one more token of a decoding request that was popped from the running
 * list, as above where no block is free. Takes the block. */
static inline bool vidur_make_room(struct vidur_replica *replica,
                                   struct vidur_batch *batch, int32_t request)
{
    if (vidur_free_blocks(replica) < 1 && !vidur_evict_for(replica, batch, request))
        return false;
    vidur_grow_blocks(replica, request);
    return true;
}

/* ---- Batches ---- */

/* Adds a request with this many tokens; its blocks have been taken. */
void vidur_batch_add(struct vidur_batch *batch, struct vidur_replica *replica,
                     int32_t request, int32_t tokens);

/* The same of a prompt's chunk behind `prefix` tokens, the last of which may still be
 * in batches in flight: see chains_chunks. */
void vidur_batch_add_chunk(struct vidur_batch *batch, struct vidur_replica *replica,
                           int32_t request, int32_t prefix, int32_t tokens);

/* Adds a group, popped from the running list, if the batch is still empty, it has at
 * most `limit` requests and blocks for all of it are free (which it takes). Otherwise
 * false, and nothing has changed. */
bool vidur_batch_add_group(struct vidur_batch *batch, struct vidur_replica *replica,
                           int32_t group_item, int32_t limit);

/* Adds everything that runs to an empty batch, in any order, if it all fits: `limit`
 * requests and the blocks (which it takes). Otherwise, or where groups are not in use,
 * false and nothing has changed. */
bool vidur_batch_add_running(struct vidur_batch *batch, struct vidur_replica *replica,
                             int32_t limit);

/* What a batch's requests will ask for once it has ended, for schedulers that plan
 * while it runs. */
struct vidur_batch_outlook {
    int64_t decodes;       /* requests that will decode */
    int64_t decode_blocks; /* and take these blocks */
    int64_t prompt_tokens; /* left of prompts begun */
};
struct vidur_batch_outlook vidur_batch_look_ahead(const struct vidur_batch *batch,
                                                  const struct vidur_replica *replica);

/* Requests among the running items, and blocks that one more token of each takes. */
int64_t vidur_running_demand(const struct vidur_replica *replica, int64_t *blocks);

/* The usual end: the group and the members go to the end of the running list. */
void vidur_batch_requeue(struct vidur_replica *replica, struct vidur_batch *batch);
/* That of chained chunks: without members whose prompt goes on. */
void vidur_batch_requeue_decodes(struct vidur_replica *replica,
                                 struct vidur_batch *batch);

/* Calls `visit` for each request of a running item, with its processed tokens. */
typedef void vidur_request_visitor(void *context, int32_t request, int32_t processed);
void vidur_item_visit(const struct vidur_replica *replica, int32_t item,
                      vidur_request_visitor *visit, void *context);

#endif
