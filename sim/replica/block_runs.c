#include "replica/block_runs.h"

#include <assert.h>

enum { SENTINEL = 0 };

static inline int32_t end_of(const struct vidur_block_run *run)
{
    return run->first + run->blocks;
}

static inline int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static uint64_t num_slots(int32_t num_blocks)
{
    uint64_t slots = 2;
    while (2 * slots < (uint64_t)num_blocks)
        slots *= 2;
    return slots;
}

/* Each has a block or more, but for the sentinel and one that is named before its
 * blocks are taken. */
static size_t max_runs(int32_t num_blocks)
{
    return (size_t)num_blocks + 2;
}

size_t vidur_block_runs_bytes(int32_t num_blocks)
{
    return max_runs(num_blocks) * sizeof(struct vidur_block_run) +
           num_slots(num_blocks) * sizeof(int32_t);
}

void vidur_block_runs_init(struct vidur_block_runs *runs, void *memory,
                           int32_t num_blocks)
{
    const uint64_t slots = num_slots(num_blocks);
    *runs = (struct vidur_block_runs){.runs = memory,
                                      .slot_mask = slots - 1,
                                      .num_blocks = num_blocks,
                                      .num_free = num_blocks,
                                      .num_made = 2,
                                      .spare = VIDUR_NO_RUN};
    runs->slots = (int32_t *)(runs->runs + max_runs(num_blocks));
    for (uint64_t i = 0; i < slots; i++)
        runs->slots[i] = VIDUR_NO_RUN;
    runs->runs[SENTINEL] = (struct vidur_block_run){.previous = 1, .next = 1};
    runs->runs[1] = (struct vidur_block_run){.blocks = num_blocks};
}

/* ---- Runs ---- */

static int32_t make_run(struct vidur_block_runs *runs)
{
    const int32_t run = runs->spare;
    if (run == VIDUR_NO_RUN)
        return runs->num_made++;
    runs->spare = runs->runs[run].next;
    return run;
}

static void drop_run(struct vidur_block_runs *runs, int32_t run)
{
    runs->runs[run].blocks = 0;
    runs->runs[run].holders = 0;
    runs->runs[run].next = runs->spare;
    runs->spare = run;
}

static inline void unlink_free(struct vidur_block_runs *runs,
                               const struct vidur_block_run *run)
{
    runs->runs[run->previous].next = run->next;
    runs->runs[run->next].previous = run->previous;
}

/* ---- Segments ---- */

static inline int32_t *slot_of(const struct vidur_block_runs *runs, uint64_t segment)
{
    return &runs->slots[segment & runs->slot_mask];
}

/* The link of the hash table to the segment's first run, or to none. */
static int32_t *link_of(const struct vidur_block_runs *runs, uint64_t segment)
{
    int32_t *link = slot_of(runs, segment);
    while (*link != VIDUR_NO_RUN && runs->runs[*link].segment != segment)
        link = &runs->runs[*link].next_in_slot;
    return link;
}

/* Its place behind another of the segment; VIDUR_NO_RUN: as the first. */
static void link_run(struct vidur_block_runs *runs, int32_t run, int32_t before)
{
    struct vidur_block_run *r = &runs->runs[run];
    if (before != VIDUR_NO_RUN) {
        r->behind = runs->runs[before].behind;
        runs->runs[before].behind = run;
        return;
    }
    int32_t *link = link_of(runs, r->segment);
    r->behind = *link;
    r->next_in_slot =
        *link == VIDUR_NO_RUN ? VIDUR_NO_RUN : runs->runs[*link].next_in_slot;
    *link = run;
}

/* From now on it caches nothing. */
static void unlink_run(struct vidur_block_runs *runs, int32_t run)
{
    struct vidur_block_run *r = &runs->runs[run];
    int32_t *link = link_of(runs, r->segment);
    r->segment = 0;
    if (*link == run) {
        *link = r->next_in_slot;
        if (r->behind == VIDUR_NO_RUN)
            return;
        *link = r->behind;
        runs->runs[r->behind].next_in_slot = r->next_in_slot;
        return;
    }
    int32_t before = *link;
    while (runs->runs[before].behind != run)
        before = runs->runs[before].behind;
    runs->runs[before].behind = r->behind;
}

/* Cuts a segment's run in two, of which the second stays the one that extents name;
 * returns the first, of so many blocks. */
static int32_t split(struct vidur_block_runs *runs, int32_t run, int32_t blocks)
{
    const int32_t lower = make_run(runs);
    struct vidur_block_run *r = &runs->runs[run], *l = &runs->runs[lower];
    int32_t *link = link_of(runs, r->segment);
    *l = *r;
    l->blocks = blocks;
    l->behind = run;
    r->first += blocks;
    r->blocks -= blocks;
    r->below = lower;
    if (r->holders == 0) { /* behind what is evicted before it */
        l->previous = run;
        r->next = lower;
        runs->runs[l->next].previous = lower;
    }
    while (*link != run)
        link = &runs->runs[*link].behind;
    *link = lower;
    return lower;
}

int32_t vidur_block_runs_match(const struct vidur_block_runs *runs,
                               struct vidur_prompt_chain *chain, int32_t from,
                               int32_t until, struct vidur_block_extent *extents)
{
    int32_t at = from;
    while (at < until) {
        vidur_prompt_chain_reach(chain, at);
        const int32_t end = least(chain->end, until);
        int32_t run = *link_of(runs, chain->segment);
        for (; run != VIDUR_NO_RUN && at < end; run = runs->runs[run].behind) {
            const struct vidur_block_run *r = &runs->runs[run];
            if (end_of(r) <= at)
                continue;
            if (r->first > at)
                break;
            const int32_t to = least(end_of(r), end);
            if (extents)
                *extents++ = (struct vidur_block_extent){run, to - at};
            at = to;
        }
        if (at < end)
            break;
    }
    return at - from;
}

struct vidur_block_extent vidur_block_runs_at(const struct vidur_block_runs *runs,
                                              uint64_t segment, int32_t index,
                                              int32_t until)
{
    int32_t run = *link_of(runs, segment);
    while (run != VIDUR_NO_RUN && end_of(&runs->runs[run]) <= index)
        run = runs->runs[run].behind;
    if (run == VIDUR_NO_RUN || runs->runs[run].first > index)
        return (struct vidur_block_extent){.run = VIDUR_NO_RUN};
    return (struct vidur_block_extent){run,
                                       least(end_of(&runs->runs[run]), until) - index};
}

/* ---- Taking ---- */

void vidur_block_runs_take(struct vidur_block_runs *runs, int32_t blocks)
{
    assert(blocks <= runs->num_free);
    runs->num_free -= blocks;
    while (blocks > 0) {
        const int32_t run = runs->runs[SENTINEL].next;
        struct vidur_block_run *r = &runs->runs[run];
        const int32_t taken = least(blocks, r->blocks);
        blocks -= taken;
        r->blocks -= taken;
        if (r->segment)
            runs->num_evictions += taken;
        if (r->blocks > 0)
            return;
        if (r->segment)
            unlink_run(runs, run);
        unlink_free(runs, r);
        drop_run(runs, run);
    }
}

static inline void append_extent(struct vidur_holding *holding, int32_t run,
                                 int32_t blocks)
{
    holding->listed += blocks;
    if (run == VIDUR_NO_RUN && holding->num_extents > 0 &&
        holding->extents[holding->num_extents - 1].run == VIDUR_NO_RUN)
        holding->extents[holding->num_extents - 1].blocks += blocks;
    else
        holding->extents[holding->num_extents++] =
            (struct vidur_block_extent){run, blocks};
}

void vidur_holding_add(struct vidur_block_runs *runs, struct vidur_holding *holding,
                       const struct vidur_block_extent *extent)
{
    int32_t run = extent->run;
    if (runs->runs[run].first < holding->listed)
        split(runs, run, holding->listed - runs->runs[run].first);
    if (extent->blocks < runs->runs[run].blocks)
        run = split(runs, run, extent->blocks);
    struct vidur_block_run *r = &runs->runs[run];
    if (r->holders++ == 0) {
        unlink_free(runs, r);
        runs->num_free -= r->blocks;
    }
    append_extent(holding, run, extent->blocks);
}

/* ---- Names ---- */

/* Behind `before`, which ends at or before the holding's listed ones: goes on with that
 * run where nobody else has it, or begins one. */
static void name_behind(struct vidur_block_runs *runs, struct vidur_holding *holding,
                        int32_t before, uint64_t segment, int32_t blocks)
{
    struct vidur_block_extent *last =
        holding->num_extents > 0 ? &holding->extents[holding->num_extents - 1] : NULL;
    if (last && before != VIDUR_NO_RUN && last->run == before &&
        runs->runs[before].holders == 1) {
        runs->runs[before].blocks += blocks;
        last->blocks += blocks;
        holding->listed += blocks;
        return;
    }
    const int32_t run = make_run(runs);
    runs->runs[run] = (struct vidur_block_run){
        .segment = segment, .first = holding->listed, .blocks = blocks, .holders = 1};
    link_run(runs, run, before);
    append_extent(holding, run, blocks);
}

int32_t vidur_holding_name_new(struct vidur_block_runs *runs,
                               struct vidur_holding *holding, uint64_t segment,
                               int32_t until)
{
    int32_t before = VIDUR_NO_RUN;
    int32_t run = *link_of(runs, segment);
    while (run != VIDUR_NO_RUN && end_of(&runs->runs[run]) <= holding->listed) {
        before = run;
        run = runs->runs[run].behind;
    }
    const int32_t limit =
        run == VIDUR_NO_RUN ? until : least(runs->runs[run].first, until);
    const int32_t blocks = limit - holding->listed;
    if (blocks <= 0)
        return 0;
    name_behind(runs, holding, before, segment, blocks);
    return blocks;
}

void vidur_holding_name(struct vidur_block_runs *runs, struct vidur_holding *holding,
                        struct vidur_prompt_chain *chain, int32_t until)
{
    while (holding->listed < until) {
        vidur_prompt_chain_reach(chain, holding->listed);
        const int32_t end = least(until, chain->end);
        if (vidur_holding_name_new(runs, holding, chain->segment, end) == 0)
            append_extent(holding, VIDUR_NO_RUN, 1);
    }
}

void vidur_holding_forget(struct vidur_block_runs *runs,
                          const struct vidur_holding *holding, int32_t from)
{
    int32_t end = holding->listed;
    for (int32_t i = holding->num_extents; i-- > 0 && end > from;) {
        const struct vidur_block_extent *extent = &holding->extents[i];
        int32_t run = extent->run;
        const int32_t begin = end - extent->blocks;
        while (run != VIDUR_NO_RUN && end > begin && end > from) {
            struct vidur_block_run *r = &runs->runs[run];
            if (r->segment && r->first < from)
                split(runs, run, from - r->first);
            if (r->segment)
                unlink_run(runs, run);
            end -= r->blocks;
            run = r->below;
        }
        end = begin;
    }
}

/* ---- Giving up ---- */

/* To the queue's end; joins what is there where both cache nothing, or go on in a
 * segment and are released together. */
static void push_free(struct vidur_block_runs *runs, int32_t run)
{
    struct vidur_block_run *r = &runs->runs[run];
    struct vidur_block_run *sentinel = &runs->runs[SENTINEL];
    const int32_t last = sentinel->previous;
    struct vidur_block_run *l = &runs->runs[last];
    runs->num_free += r->blocks;
    r->released_after = runs->num_releases;
    if (last != SENTINEL && !r->segment && !l->segment) {
        l->blocks += r->blocks;
        drop_run(runs, run);
        return;
    }
    if (last != SENTINEL && r->segment && r->segment == l->segment &&
        r->released_after == l->released_after && end_of(r) == l->first) {
        r->blocks += l->blocks;
        r->behind = l->behind;
        r->previous = l->previous;
        drop_run(runs, last);
    } else {
        r->previous = last;
    }
    r->next = SENTINEL;
    runs->runs[r->previous].next = run;
    sentinel->previous = run;
}

static void push_nameless(struct vidur_block_runs *runs, int32_t blocks)
{
    const int32_t last = runs->runs[SENTINEL].previous;
    if (blocks == 0)
        return;
    if (last != SENTINEL && !runs->runs[last].segment) {
        runs->runs[last].blocks += blocks;
        runs->num_free += blocks;
        return;
    }
    const int32_t run = make_run(runs);
    runs->runs[run] = (struct vidur_block_run){.blocks = blocks};
    push_free(runs, run);
}

void vidur_holding_release(struct vidur_block_runs *runs, struct vidur_holding *holding,
                           int32_t held)
{
    push_nameless(runs, held - holding->listed);
    for (int32_t i = holding->num_extents; i-- > 0;) {
        const struct vidur_block_extent *extent = &holding->extents[i];
        int32_t left = extent->blocks;
        if (extent->run == VIDUR_NO_RUN)
            push_nameless(runs, left);
        for (int32_t run = extent->run; run != VIDUR_NO_RUN && left > 0;) {
            struct vidur_block_run *r = &runs->runs[run];
            const int32_t below = r->below;
            left -= r->blocks;
            if (--r->holders == 0)
                push_free(runs, run);
            run = below;
        }
    }
    *holding = (struct vidur_holding){.extents = holding->extents};
    runs->num_releases++;
}
