#include "replica/block_store.h"

static int32_t slot_capacity(const struct vidur_block_store_sizes *sizes)
{
    return sizes->max_tokens / sizes->block_size + 2;
}

static size_t num_kept(const struct vidur_block_store_sizes *sizes)
{
    return sizes->keeps_prefixes ? VIDUR_KEPT_PREFIXES : 0;
}

size_t vidur_block_store_bytes(const struct vidur_block_store_sizes *sizes,
                               int64_t num_requests)
{
    const size_t slots = (size_t)sizes->num_slots;
    return vidur_arena_bytes(1, sizeof(struct vidur_block_store)) +
           vidur_arena_bytes(vidur_block_pool_bytes(sizes->num_blocks), 1) +
           vidur_arena_bytes((size_t)num_requests, sizeof(int32_t)) +
           vidur_arena_bytes(num_kept(sizes), sizeof(struct vidur_kept_prefix)) +
           3 * vidur_arena_bytes(slots, sizeof(int32_t)) +
           vidur_arena_bytes(slots, sizeof(uint64_t)) +
           vidur_arena_bytes(1, sizeof(struct vidur_found_prefix)) +
           vidur_arena_bytes((size_t)slot_capacity(sizes), sizeof(int32_t)) +
           vidur_arena_bytes(slots * (size_t)slot_capacity(sizes), sizeof(int32_t)) +
           vidur_host_tier_bytes(&sizes->host, slot_capacity(sizes));
}

struct vidur_block_store *
vidur_block_store_new(struct vidur_arena *arena,
                      const struct vidur_block_store_sizes *sizes,
                      const struct vidur_workload *workload)
{
    const size_t slots = (size_t)sizes->num_slots;
    struct vidur_block_store *store = vidur_arena_alloc(arena, 1, sizeof *store);
    *store = (struct vidur_block_store){.workload = workload,
                                        .has_sessions = workload->sessions.count > 0,
                                        .block_size = sizes->block_size,
                                        .blocks_per_slot = slot_capacity(sizes)};
    vidur_block_pool_init(
        &store->pool,
        vidur_arena_alloc(arena, vidur_block_pool_bytes(sizes->num_blocks), 1),
        sizes->num_blocks);
    const size_t requests = (size_t)workload->num_requests;
    store->slot_of = vidur_arena_alloc(arena, requests, sizeof(int32_t));
    for (size_t i = 0; i < requests; i++)
        store->slot_of[i] = -1;
    store->held = vidur_arena_alloc(arena, slots, sizeof(int32_t));
    store->named = vidur_arena_alloc(arena, slots, sizeof(int32_t));
    store->last_hash = vidur_arena_alloc(arena, slots, sizeof(uint64_t));
    store->free_slots = vidur_arena_alloc(arena, slots, sizeof(int32_t));
    store->blocks = vidur_arena_alloc(arena, slots * (size_t)store->blocks_per_slot,
                                      sizeof(int32_t));
    for (int32_t i = sizes->num_slots; i-- > 0;)
        store->free_slots[store->num_free_slots++] = i;
    store->found = vidur_arena_alloc(arena, 1, sizeof *store->found);
    *store->found = (struct vidur_found_prefix){
        .request = -1,
        .blocks =
            vidur_arena_alloc(arena, (size_t)store->blocks_per_slot, sizeof(int32_t))};
    if (sizes->keeps_prefixes)
        store->kept = vidur_arena_alloc(arena, num_kept(sizes), sizeof *store->kept);
    for (size_t i = 0; i < num_kept(sizes); i++)
        store->kept[i] = (struct vidur_kept_prefix){.conversation = -1};
    store->host = vidur_host_tier_new(arena, &sizes->host, store->blocks_per_slot);
    return store;
}

/* Walks the chain of hashes of a request's full blocks: the system prompt's blocks are
 * the group's, the others the prompt's own; in sessions first the conversation's, then,
 * of a sub-agent, the request's own. A recorded prompt's are those of the recorded
 * blocks that they lie in. */
struct chain {
    uint64_t hash;
    uint64_t group, prompt, own;
    int32_t shared_blocks, prompt_blocks;
    int32_t index;
    uint64_t content; /* of the blocks from the last one hashed up to `same_until` */
    int32_t same_until;
    const int32_t *recorded; /* or NULL */
    int64_t num_recorded;
    int32_t recorded_tokens; /* of each */
    int32_t block_size;
};

static struct chain begin_session_chain(const struct vidur_block_store *store,
                                        int32_t request)
{
    const struct vidur_sessions *sessions = &store->workload->sessions;
    const int32_t session = sessions->session[request];
    return (struct chain){
        .group = (uint64_t)sessions->group[session] * 4 + 1,
        .prompt = (uint64_t)sessions->conversation[request] * 4 + 2,
        .own = (uint64_t)request * 4 + 3,
        .shared_blocks = sessions->system_prompt_tokens / store->block_size,
        .prompt_blocks = sessions->shared_tokens[request] / store->block_size};
}

static struct chain begin_recorded(const struct vidur_block_store *store,
                                   int32_t request)
{
    const struct vidur_prompts *prompts = &store->workload->prompts;
    const int64_t first = prompts->first_block[request];
    return (struct chain){.prompt = (uint64_t)request * 2,
                          .recorded = prompts->blocks + first,
                          .num_recorded = prompts->first_block[request + 1] - first,
                          .recorded_tokens = prompts->block_tokens,
                          .block_size = store->block_size};
}

static struct chain begin_chain(const struct vidur_block_store *store, int32_t request)
{
    if (store->has_sessions)
        return begin_session_chain(store, request);
    const struct vidur_prompts *prompts = &store->workload->prompts;
    if (prompts->blocks)
        return begin_recorded(store, request);
    const int32_t prompt = prompts->prompt[request];
    return (struct chain){
        .group = (uint64_t)(prompt / prompts->num_prompts_per_group) * 2 + 1,
        .prompt = (uint64_t)prompt * 2,
        .shared_blocks = prompts->system_prompt_tokens / store->block_size,
        .prompt_blocks = INT32_MAX};
}

/* The content of the next block, and behind which one it ends. A block is that of the
 * recorded blocks it lies in: all that lie in the same one are alike. */
static void next_recorded(struct chain *chain)
{
    const int64_t begin = (int64_t)chain->index * chain->block_size;
    const int64_t first = begin / chain->recorded_tokens;
    const int64_t last = (begin + chain->block_size - 1) / chain->recorded_tokens;
    uint64_t content = 0;
    if (last >= chain->num_recorded) {
        chain->content = chain->prompt;
        chain->same_until = INT32_MAX;
        return;
    }
    for (int64_t i = first; i <= last; i++)
        content = vidur_block_hash(content, (uint64_t)chain->recorded[i], 0);
    chain->content = content | 1;
    chain->same_until =
        first < last
            ? chain->index + 1
            : (int32_t)((last + 1) * chain->recorded_tokens / chain->block_size);
}

static void next_content(struct chain *chain)
{
    if (chain->recorded) {
        next_recorded(chain);
    } else if (chain->index < chain->shared_blocks) {
        chain->content = chain->group;
        chain->same_until = chain->shared_blocks;
    } else if (chain->index < chain->prompt_blocks) {
        chain->content = chain->prompt;
        chain->same_until = chain->prompt_blocks;
    } else {
        chain->content = chain->own;
        chain->same_until = INT32_MAX;
    }
}

static inline uint64_t next_hash(struct chain *chain)
{
    if (chain->index >= chain->same_until)
        next_content(chain);
    chain->hash =
        vidur_block_hash(chain->hash, chain->content, (uint64_t)chain->index++);
    return chain->hash;
}

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

/* The request's conversation as it was left, if it was and its prompt begins with it:
 * the chain's first blocks, all of them in the cache. Else NULL. */
static const struct vidur_kept_prefix *
kept_prefix(const struct vidur_block_store *store, const struct chain *chain,
            int32_t request, int32_t most)
{
    if (!store->kept)
        return NULL;
    const int32_t conversation = store->workload->sessions.conversation[request];
    const struct vidur_kept_prefix *kept =
        &store->kept[conversation % VIDUR_KEPT_PREFIXES];
    return kept->conversation == conversation && kept->blocks <= most &&
                   kept->blocks <= chain->prompt_blocks &&
                   vidur_block_pool_keeps(&store->pool, kept->released_after,
                                          kept->num_forgotten)
               ? kept
               : NULL;
}

static inline bool is_unheld(const struct vidur_block *block, uint32_t mark)
{
    return block->holders == 0 && (int32_t)(block->released_after - mark) < 0;
}

/* Finds the blocks of `kept`; the chain goes on behind them. */
static struct vidur_prefix_hit find_kept(const struct vidur_block_store *store,
                                         const struct vidur_kept_prefix *kept,
                                         struct chain *chain, uint32_t mark)
{
    struct vidur_prefix_hit hit = {.blocks = kept->blocks};
    int32_t *blocks = store->found->blocks;
    int32_t index = kept->last;
    for (int32_t i = kept->blocks; i-- > 0;) {
        const struct vidur_block *block = &store->pool.blocks[index];
        blocks[i] = index;
        hit.unheld += is_unheld(block, mark);
        index = block->before;
    }
    chain->index = kept->blocks;
    chain->hash = kept->hash;
    return hit;
}

struct vidur_prefix_hit vidur_block_store_find(const struct vidur_block_store *store,
                                               int32_t request, int32_t prompt_tokens,
                                               uint32_t mark)
{
    const int32_t most = most_hits(store, request, prompt_tokens);
    struct chain chain = begin_chain(store, request);
    const struct vidur_kept_prefix *kept = kept_prefix(store, &chain, request, most);
    struct vidur_found_prefix *found = store->found;
    struct vidur_prefix_hit hit = {0};
    if (kept)
        hit = find_kept(store, kept, &chain, mark);
    found->request = request;
    found->prompt_tokens = prompt_tokens;
    found->hash = chain.hash;
    while (hit.blocks < most) {
        const uint64_t hash = next_hash(&chain);
        const int32_t index = vidur_block_pool_find(&store->pool, hash);
        if (index == VIDUR_NO_BLOCK)
            break;
        found->hash = hash;
        found->blocks[hit.blocks++] = index;
        hit.unheld += is_unheld(&store->pool.blocks[index], mark);
    }
    found->hits = hit.blocks;
    return hit;
}

static int32_t *list_of(struct vidur_block_store *store, int32_t request)
{
    return store->blocks + (int64_t)store->slot_of[request] * store->blocks_per_slot;
}

/* Holds what was found and takes the rest, which `names` or has no names yet. */
static int32_t admit(struct vidur_block_store *store, int32_t request,
                     int32_t prompt_tokens, bool names)
{
    const int32_t wanted = (prompt_tokens + store->block_size - 1) / store->block_size;
    struct vidur_found_prefix *found = store->found;
    if (found->request != request || found->prompt_tokens != prompt_tokens)
        vidur_block_store_find(store, request, prompt_tokens, 0);
    const int32_t hits = found->hits;
    const int32_t full =
        names ? full_prompt_blocks(store, request, prompt_tokens) : hits;
    const int32_t slot = store->free_slots[--store->num_free_slots];
    struct chain chain = begin_chain(store, request);
    store->slot_of[request] = slot;
    int32_t *list = list_of(store, request);
    for (int32_t i = 0; i < hits; i++) {
        list[i] = found->blocks[i];
        vidur_block_pool_hold(&store->pool, list[i]);
    }
    chain.index = hits;
    chain.hash = found->hash;
    found->request = -1;
    for (int32_t i = hits; i < wanted; i++) {
        list[i] = vidur_block_pool_take(&store->pool);
        if (i < full)
            vidur_block_pool_name(&store->pool, list[i], next_hash(&chain));
    }
    store->held[slot] = wanted;
    store->named[slot] = chain.index;
    store->last_hash[slot] = chain.hash;
    store->num_prompt_tokens += prompt_tokens;
    store->num_hit_tokens += (int64_t)hits * store->block_size;
    return hits;
}

int32_t vidur_block_store_admit(struct vidur_block_store *store, int32_t request,
                                int32_t prompt_tokens)
{
    return admit(store, request, prompt_tokens, true);
}

/* ---- The host tier ---- */

/* As next_hash, also behind what has names on the GPU: those blocks are the request's
 * own. */
static uint64_t next_host_hash(const struct vidur_block_store *store, int32_t request,
                               struct chain *chain)
{
    const int32_t prompt =
        store->workload->num_prefill_tokens[request] / store->block_size;
    if (store->has_sessions || chain->index < prompt)
        return next_hash(chain);
    chain->hash = vidur_block_hash(chain->hash, UINT64_MAX - (uint64_t)request,
                                   (uint64_t)chain->index++);
    return chain->hash;
}

int32_t vidur_block_store_find_on_host(struct vidur_block_store *store, int32_t request,
                                       int32_t prompt_tokens)
{
    const int32_t most = (prompt_tokens - 1) / store->block_size;
    const struct vidur_found_prefix *found = store->found;
    if (found->request != request || found->prompt_tokens != prompt_tokens)
        vidur_block_store_find(store, request, prompt_tokens, 0);
    struct chain chain = begin_chain(store, request);
    int32_t blocks = 0;
    chain.index = found->hits;
    chain.hash = found->hash;
    while (chain.index < most) {
        store->host->hashes[blocks] = next_host_hash(store, request, &chain);
        if (!vidur_host_tier_has(store->host, store->host->hashes[blocks]))
            break;
        blocks++;
    }
    return blocks;
}

/* The whole blocks of its first tokens are kept from now on. */
static void keep_on_host(struct vidur_block_store *store, int32_t request,
                         int32_t tokens)
{
    struct chain chain = begin_chain(store, request);
    const int32_t count = tokens / store->block_size;
    for (int32_t i = 0; i < count; i++)
        store->host->hashes[i] = next_host_hash(store, request, &chain);
    vidur_host_tier_keep(store->host, count);
}

int32_t vidur_block_store_admit_to_load(struct vidur_block_store *store,
                                        int32_t request, int32_t prompt_tokens)
{
    return admit(store, request, prompt_tokens, false);
}

void vidur_block_store_grow(struct vidur_block_store *store, int32_t request)
{
    const int64_t slot = store->slot_of[request];
    int32_t *list = store->blocks + slot * store->blocks_per_slot;
    store->found->request = -1;
    list[store->held[slot]++] = vidur_block_pool_take(&store->pool);
}

/* Blocks from the first without a name up to `full`. Those of the prompt have theirs.
 * Returns the chain behind the last. */
static struct chain name_generated(struct vidur_block_store *store, int32_t request,
                                   int32_t full)
{
    const int32_t named = store->named[store->slot_of[request]];
    struct chain chain = begin_chain(store, request);
    const int32_t *list = list_of(store, request);
    chain.index = named;
    chain.hash = named > 0 ? store->last_hash[store->slot_of[request]] : 0;
    for (int32_t i = named; i < full; i++)
        vidur_block_pool_name(&store->pool, list[i], next_hash(&chain));
    return chain;
}

/* The request, which has just given back its first `full` blocks, all with names, may
 * not be the conversation's last: keeps what of them is the conversation's. */
static void keep_prefix(struct vidur_block_store *store, int32_t request, int32_t full,
                        const struct chain *chain)
{
    const int32_t conversation = store->workload->sessions.conversation[request];
    if (full == 0 || full != chain->index || full > chain->prompt_blocks)
        return;
    store->kept[conversation % VIDUR_KEPT_PREFIXES] =
        (struct vidur_kept_prefix){.conversation = conversation,
                                   .blocks = full,
                                   .last = list_of(store, request)[full - 1],
                                   .released_after = store->pool.num_releases - 1,
                                   .num_forgotten = store->pool.num_forgotten,
                                   .hash = chain->hash};
}

void vidur_block_store_loaded(struct vidur_block_store *store, int32_t request,
                              int32_t prompt_tokens)
{
    const int32_t slot = store->slot_of[request];
    const int32_t full = full_prompt_blocks(store, request, prompt_tokens);
    struct chain chain = begin_chain(store, request);
    const int32_t *list = list_of(store, request);
    store->found->request = -1;
    chain.index = store->named[slot];
    chain.hash = store->last_hash[slot];
    while (chain.index < full) {
        const int32_t index = chain.index;
        vidur_block_pool_name(&store->pool, list[index], next_hash(&chain));
    }
    store->named[slot] = chain.index;
    store->last_hash[slot] = chain.hash;
}

void vidur_block_store_release(struct vidur_block_store *store, int32_t request,
                               int32_t computed_tokens)
{
    const int32_t slot = store->slot_of[request];
    const int32_t *list = list_of(store, request);
    const int32_t full = computed_tokens / store->block_size;
    struct chain chain = {0};
    store->found->request = -1;
    if (store->has_sessions)
        chain = name_generated(store, request, full);
    if (store->host)
        keep_on_host(store, request, computed_tokens);
    for (int32_t i = full; i < store->held[slot]; i++)
        vidur_block_pool_forget(&store->pool, list[i]);
    const int32_t named =
        vidur_block_pool_release(&store->pool, list, store->held[slot]);
    if (store->kept && named == full)
        keep_prefix(store, request, full, &chain);
    store->slot_of[request] = -1;
    store->free_slots[store->num_free_slots++] = slot;
}
