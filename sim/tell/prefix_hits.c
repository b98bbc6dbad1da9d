#include "tell/prefix_hits.h"

#include <stdlib.h>

/* Blocks in a ring from the one that was used longest ago to the last one, around the
 * element `end`. */
struct store {
    int32_t *next, *previous; /* next: -1 where a block is not in the store */
    int32_t end;
    int64_t count, capacity;
};

static void unlink_block(struct store *store, int32_t block)
{
    store->next[store->previous[block]] = store->next[block];
    store->previous[store->next[block]] = store->previous[block];
    store->next[block] = -1;
    store->count--;
}

static void use_block(struct store *store, int32_t block)
{
    if (store->next[block] >= 0)
        unlink_block(store, block);
    if (store->count == store->capacity && store->capacity > 0)
        unlink_block(store, store->next[store->end]);
    const int32_t last = store->previous[store->end];
    store->next[last] = block;
    store->previous[block] = last;
    store->next[block] = store->end;
    store->previous[store->end] = block;
    store->count++;
}

static void count_row(struct store *store, const int32_t *blocks, int64_t count,
                      struct vidur_prefix_hits *out)
{
    int64_t hits = 0;
    while (hits < count && store->next[blocks[hits]] >= 0)
        hits++;
    for (int64_t i = 0; i < count; i++)
        use_block(store, blocks[i]);
    out->blocks += count;
    out->hits += hits;
}

int vidur_prefix_hits_of(const struct vidur_trace *trace, int64_t capacity,
                         struct vidur_prefix_hits *out, struct vidur_error *err)
{
    const size_t count = (size_t)trace->num_distinct_blocks + 1;
    struct store store = {.next = malloc(count * sizeof *store.next),
                          .previous = malloc(count * sizeof *store.previous),
                          .end = trace->num_distinct_blocks,
                          .capacity = capacity};
    const bool done = store.next && store.previous;
    *out = (struct vidur_prefix_hits){0};
    if (done) {
        for (size_t i = 0; i < count; i++)
            store.next[i] = store.previous[i] = -1;
        store.next[store.end] = store.previous[store.end] = store.end;
        for (int64_t i = 0; trace->blocks && i < trace->num_rows; i++)
            count_row(&store, trace->blocks + trace->first_block[i],
                      trace->first_block[i + 1] - trace->first_block[i], out);
    }
    free(store.next);
    free(store.previous);
    return done ? 0
                : vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory for %d blocks",
                             trace->path, trace->num_distinct_blocks);
}
