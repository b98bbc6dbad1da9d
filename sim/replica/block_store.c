#include "replica/block_store.h"

/* Most blocks of a request. */
static int32_t slot_capacity(const struct vidur_block_store_sizes *sizes)
{
    return sizes->max_tokens / sizes->block_size + 2;
}

size_t vidur_block_store_bytes(const struct vidur_block_store_sizes *sizes,
                               int64_t num_requests)
{
    const size_t slots = (size_t)sizes->num_slots;
    const size_t blocks = (size_t)slot_capacity(sizes);
    return vidur_arena_bytes(1, sizeof(struct vidur_block_store)) +
           vidur_arena_bytes(vidur_block_runs_bytes(sizes->num_blocks), 1) +
           vidur_arena_bytes((size_t)num_requests, sizeof(int32_t)) +
           vidur_arena_bytes(slots, sizeof(struct vidur_stored_prompt)) +
           vidur_arena_bytes(slots, sizeof(int32_t)) +
           vidur_arena_bytes(1, sizeof(struct vidur_found_prefix)) +
           vidur_arena_bytes((slots + 1) * blocks, sizeof(struct vidur_block_extent)) +
           vidur_host_tier_bytes(&sizes->host, slot_capacity(sizes));
}

struct vidur_block_store *
vidur_block_store_new(struct vidur_arena *arena,
                      const struct vidur_block_store_sizes *sizes,
                      const struct vidur_workload *workload)
{
    const size_t slots = (size_t)sizes->num_slots;
    const size_t blocks = (size_t)slot_capacity(sizes);
    struct vidur_block_store *store = vidur_arena_alloc(arena, 1, sizeof *store);
    *store = (struct vidur_block_store){.workload = workload,
                                        .has_sessions = workload->sessions.count > 0,
                                        .block_size = sizes->block_size};
    vidur_block_runs_init(
        &store->runs,
        vidur_arena_alloc(arena, vidur_block_runs_bytes(sizes->num_blocks), 1),
        sizes->num_blocks);
    const size_t requests = (size_t)workload->num_requests;
    store->slot_of = vidur_arena_alloc(arena, requests, sizeof(int32_t));
    for (size_t i = 0; i < requests; i++)
        store->slot_of[i] = -1;
    store->slots = vidur_arena_alloc(arena, slots, sizeof *store->slots);
    store->free_slots = vidur_arena_alloc(arena, slots, sizeof(int32_t));
    store->found = vidur_arena_alloc(arena, 1, sizeof *store->found);
    struct vidur_block_extent *extents =
        vidur_arena_alloc(arena, (slots + 1) * blocks, sizeof *extents);
    for (size_t i = 0; i < slots; i++)
        store->slots[i].holding =
            (struct vidur_holding){.extents = extents + i * blocks};
    for (int32_t i = sizes->num_slots; i-- > 0;)
        store->free_slots[store->num_free_slots++] = i;
    *store->found =
        (struct vidur_found_prefix){.request = -1, .extents = extents + slots * blocks};
    store->host = vidur_host_tier_new(arena, &sizes->host, slot_capacity(sizes));
    return store;
}

static struct vidur_prompt_chain begin_chain(const struct vidur_block_store *store,
                                             int32_t request)
{
    return vidur_prompt_chain_begin(store->workload, request, store->block_size);
}

/* ---- Finding ---- */

/* Blocks with names: of the prompt as it arrived; in sessions also of what had been
 * generated before a restart. */
static int32_t full_prompt_blocks(const struct vidur_block_store *store,
                                  int32_t request, int32_t prompt_tokens)
{
    return (store->has_sessions ? prompt_tokens
                                : store->workload->num_prefill_tokens[request]) /
           store->block_size;
}

static int32_t most_hits(const struct vidur_block_store *store, int32_t request,
                         int32_t prompt_tokens)
{
    const int32_t before_last = (prompt_tokens - 1) / store->block_size;
    const int32_t full = full_prompt_blocks(store, request, prompt_tokens);
    return full < before_last ? full : before_last;
}

struct vidur_prefix_hit vidur_block_store_find(const struct vidur_block_store *store,
                                               int32_t request, int32_t prompt_tokens,
                                               uint32_t mark)
{
    struct vidur_found_prefix *found = store->found;
    found->request = request;
    found->prompt_tokens = prompt_tokens;
    found->chain = begin_chain(store, request);
    found->hits = vidur_block_runs_match(&store->runs, &found->chain, 0,
                                         most_hits(store, request, prompt_tokens),
                                         found->extents);
    struct vidur_prefix_hit hit = {.blocks = found->hits};
    const struct vidur_block_extent *extent = found->extents;
    for (int32_t at = 0; at < hit.blocks; at += extent++->blocks) {
        const struct vidur_block_run *run = &store->runs.runs[extent->run];
        if (run->holders == 0 && (int32_t)(run->released_after - mark) < 0)
            hit.unheld += extent->blocks;
    }
    return hit;
}

/* The same, where it has not just been found. */
static struct vidur_found_prefix *found_prefix(struct vidur_block_store *store,
                                               int32_t request, int32_t prompt_tokens)
{
    struct vidur_found_prefix *found = store->found;
    if (found->request != request || found->prompt_tokens != prompt_tokens)
        vidur_block_store_find(store, request, prompt_tokens, 0);
    return found;
}

/* ---- Holding ---- */

/* Takes and names the prompt's blocks behind those that were found, one after the
 * other, as a block that is cached may be taken for one that comes before it. Up to
 * such a one they can be had all at once. */
static void take_and_name(struct vidur_block_store *store,
                          struct vidur_stored_prompt *prompt, int32_t full)
{
    struct vidur_holding *holding = &prompt->holding;
    struct vidur_prompt_chain *chain = &prompt->chain;
    while (holding->listed < full) {
        vidur_prompt_chain_reach(chain, holding->listed);
        const int32_t end = full < chain->end ? full : chain->end;
        const int32_t named =
            vidur_holding_name_new(&store->runs, holding, chain->segment, end);
        vidur_block_runs_take(&store->runs, named > 0 ? named : 1);
        if (named == 0)
            vidur_holding_name(&store->runs, holding, chain, holding->listed + 1);
    }
}

/* Holds what was found and takes the rest, which `names` or has no names yet. */
static int32_t admit(struct vidur_block_store *store, int32_t request,
                     int32_t prompt_tokens, bool names)
{
    const int32_t wanted = (prompt_tokens + store->block_size - 1) / store->block_size;
    struct vidur_found_prefix *found = found_prefix(store, request, prompt_tokens);
    const int32_t hits = found->hits;
    const int32_t slot = store->free_slots[--store->num_free_slots];
    struct vidur_stored_prompt *prompt = &store->slots[slot];
    store->slot_of[request] = slot;
    prompt->chain = found->chain;
    for (const struct vidur_block_extent *e = found->extents;
         prompt->holding.listed < hits; e++)
        vidur_holding_add(&store->runs, &prompt->holding, e);
    if (names)
        take_and_name(store, prompt, full_prompt_blocks(store, request, prompt_tokens));
    vidur_block_runs_take(&store->runs, wanted - prompt->holding.listed);
    found->request = -1;
    store->num_prompt_tokens += prompt_tokens;
    store->num_hit_tokens += (int64_t)hits * store->block_size;
    return hits;
}

int32_t vidur_block_store_admit(struct vidur_block_store *store, int32_t request,
                                int32_t prompt_tokens)
{
    return admit(store, request, prompt_tokens, true);
}

void vidur_block_store_grow(struct vidur_block_store *store, int32_t blocks)
{
    store->found->request = -1;
    vidur_block_runs_take(&store->runs, blocks);
}

void vidur_block_store_release(struct vidur_block_store *store, int32_t request,
                               int32_t held, int32_t computed_tokens)
{
    const int32_t slot = store->slot_of[request];
    struct vidur_stored_prompt *prompt = &store->slots[slot];
    const int32_t full = computed_tokens / store->block_size;
    store->found->request = -1;
    if (store->has_sessions)
        vidur_holding_name(&store->runs, &prompt->holding, &prompt->chain, full);
    if (store->host)
        vidur_block_store_keep_on_host(store, request, 0, full);
    vidur_holding_forget(&store->runs, &prompt->holding, full);
    vidur_holding_release(&store->runs, &prompt->holding, held);
    store->slot_of[request] = -1;
    store->free_slots[store->num_free_slots++] = slot;
}

/* ---- The host tier ---- */

int32_t vidur_block_store_find_on_host(struct vidur_block_store *store, int32_t request,
                                       int32_t prompt_tokens)
{
    struct vidur_prompt_chain chain = begin_chain(store, request);
    return vidur_block_runs_match(&store->host->runs, &chain,
                                  found_prefix(store, request, prompt_tokens)->hits,
                                  (prompt_tokens - 1) / store->block_size, NULL);
}

void vidur_block_store_keep_on_host(struct vidur_block_store *store, int32_t request,
                                    int32_t from, int32_t until)
{
    struct vidur_prompt_chain chain = begin_chain(store, request);
    vidur_host_tier_keep(store->host, &chain, from, until);
}

int32_t vidur_block_store_admit_to_load(struct vidur_block_store *store,
                                        int32_t request, int32_t prompt_tokens)
{
    return admit(store, request, prompt_tokens, false);
}

void vidur_block_store_loaded(struct vidur_block_store *store, int32_t request,
                              int32_t prompt_tokens)
{
    struct vidur_stored_prompt *prompt = &store->slots[store->slot_of[request]];
    store->found->request = -1;
    vidur_holding_name(&store->runs, &prompt->holding, &prompt->chain,
                       full_prompt_blocks(store, request, prompt_tokens));
}
