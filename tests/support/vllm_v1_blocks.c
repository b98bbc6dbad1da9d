#include "vllm_v1_host.h"
#include "vllm_v1_world.h"

static int32_t ceil_div(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

int32_t v1_num_free(const struct world *w)
{
    int32_t count = 0;
    for (int32_t i = 0; i < w->num_blocks; i++)
        count += w->blocks[i].holders == 0;
    return count;
}

static int32_t find_block(const struct world *w, int64_t key)
{
    for (int32_t i = 0; i < w->num_blocks; i++)
        if (w->blocks[i].key == key)
            return i;
    return NOBODY;
}

int32_t v1_take_block(struct world *w)
{
    int32_t first = NOBODY;
    for (int32_t i = 0; i < w->num_blocks; i++)
        if (w->blocks[i].holders == 0 &&
            (first == NOBODY || w->blocks[i].freed_at < w->blocks[first].freed_at))
            first = i;
    w->tally->evictions += w->blocks[first].key != 0;
    w->blocks[first].key = 0;
    w->blocks[first].holders = 1;
    return first;
}

void v1_release_blocks(struct world *w, int32_t id)
{
    struct request *r = &w->requests[id];
    const int32_t computed = r->n > r->prompt ? r->n - 1 : r->n;
    for (int32_t i = r->named; has_sessions(w) && w->input->knobs->prefix_caching &&
                               i < computed / w->block_size;
         i++)
        if (find_block(w, v1_key_of(w, id, i)) == NOBODY) {
            w->blocks[r->blocks[i]].key = v1_key_of(w, id, i);
            w->tally->generated++;
        }
    v1_keep_on_host(w, id, 0, computed / w->block_size);
    for (int32_t i = r->held - 1; i >= 0; i--) {
        struct block *b = &w->blocks[r->blocks[i]];
        if (i >= computed / w->block_size && b->key) {
            b->key = 0;
            w->tally->forgotten++;
        }
        if (--b->holders == 0)
            b->freed_at = ++w->clock;
    }
    r->held = 0;
}

/* The same in sessions. */
static int64_t session_key(const struct world *w, int32_t id, int32_t index)
{
    const struct vidur_sessions *s = &w->input->workload->sessions;
    int64_t whose = (int64_t)3000000 + id;
    if ((index + 1) * w->block_size <= s->system_prompt_tokens)
        whose = s->group[s->session[id]];
    else if ((int64_t)(index + 1) * w->block_size <= s->shared_tokens[id])
        whose = (int64_t)2000000 + s->conversation[id];
    return whose * 100000 + index + 1;
}

/* What the index-th block of a request's prompt would cache. */
int64_t v1_key_of(const struct world *w, int32_t id, int32_t index)
{
    if (has_sessions(w))
        return session_key(w, id, index);
    const struct vidur_prompts *prompts = &w->input->workload->prompts;
    const bool shared = index < prompts->system_prompt_tokens / w->block_size;
    const int32_t prompt = prompts->prompt[id];
    const int64_t whose =
        shared ? prompt / prompts->num_prompts_per_group : (int64_t)1000000 + prompt;
    return whose * 100000 + index + 1;
}

static bool caches(const struct world *w)
{
    return w->input->knobs->prefix_caching &&
           (w->input->workload->prompts.prompt || has_sessions(w));
}

static int32_t full_blocks(const struct world *w, int32_t id)
{
    if (has_sessions(w) && caches(w))
        return w->requests[id].prompt / w->block_size;
    return caches(w) ? w->input->workload->num_prefill_tokens[id] / w->block_size : 0;
}

static int32_t count_hits(const struct world *w, int32_t id)
{
    const int32_t most =
        v1_least(full_blocks(w, id), (w->requests[id].prompt - 1) / w->block_size);
    int32_t hits = 0;
    while (hits < most && find_block(w, v1_key_of(w, id, hits)) != NOBODY)
        hits++;
    return hits;
}

/* Free blocks that admitting it takes. */
int64_t v1_cost_of(const struct world *w, int32_t id)
{
    int64_t cost = ceil_div(w->requests[id].prompt, w->block_size);
    for (int32_t i = count_hits(w, id); i-- > 0;)
        cost -= w->blocks[find_block(w, v1_key_of(w, id, i))].holders > 0;
    return cost;
}

static void name_block(struct world *w, int32_t id, int32_t index)
{
    if (index >= full_blocks(w, id))
        return;
    const int64_t key = v1_key_of(w, id, index);
    w->requests[id].named = index + 1;
    if (find_block(w, key) == NOBODY)
        w->blocks[w->requests[id].blocks[index]].key = key;
}

bool v1_take_prompt(struct world *w, int32_t id)
{
    struct request *r = &w->requests[id];
    const int32_t hits = count_hits(w, id);
    const int32_t there = v1_count_on_host(w, id, hits);
    r->held = ceil_div(r->prompt, w->block_size);
    for (int32_t i = 0; i < hits; i++) {
        r->blocks[i] = find_block(w, v1_key_of(w, id, i));
        w->blocks[r->blocks[i]].holders++;
    }
    for (int32_t i = hits; i < r->held; i++) {
        r->blocks[i] = v1_take_block(w);
        if (there == 0)
            name_block(w, id, i);
    }
    r->named = hits;
    r->n = (hits + there) * w->block_size;
    w->tally->hits += hits;
    v1_keep_on_host(w, id, hits, hits + there); /* it is used */
    if (there > 0)
        v1_load(w, id, there);
    return there == 0;
}

void v1_name_prompt(struct world *w, int32_t id)
{
    for (int32_t i = w->requests[id].named; i < full_blocks(w, id); i++)
        name_block(w, id, i);
}
