#include "vllm_v1_host.h"

#include <math.h>

/* Host memory as a plain list of keys with the order of their use: ENGINE.md
 * section 10.
 */

static bool is_own(const struct world *w, int32_t id, int32_t index)
{
    return w->input->workload->sessions.count == 0 &&
           index >= w->input->workload->num_prefill_tokens[id] / w->block_size;
}

/* What a block of a request's tokens is known by there. */
static int64_t host_key(const struct world *w, int32_t id, int32_t index)
{
    return is_own(w, id, index) ? -((int64_t)id * 100000 + index + 1)
                                : v1_key_of(w, id, index);
}

static struct host_block *find(const struct world *w, int64_t key)
{
    for (int32_t i = 0; i < w->input->host_blocks; i++)
        if (w->host[i].key == key)
            return &w->host[i];
    return NULL;
}

/* The one used longest ago makes room. */
static struct host_block *make_room(struct world *w, int64_t key)
{
    struct host_block *oldest = &w->host[0];
    for (int32_t i = 1; i < w->input->host_blocks; i++)
        if (w->host[i].used_at < oldest->used_at)
            oldest = &w->host[i];
    w->tally->host_evictions += oldest->key != 0;
    oldest->key = key;
    return oldest;
}

void v1_keep_on_host(struct world *w, int32_t id, int32_t begin, int32_t end)
{
    for (int32_t i = end; i-- > begin && w->input->host_blocks > 0;) {
        const int64_t key = host_key(w, id, i);
        struct host_block *b = find(w, key);
        if (!b)
            b = make_room(w, key);
        b->used_at = ++w->host_clock;
    }
}

int32_t v1_count_on_host(const struct world *w, int32_t id, int32_t from)
{
    const int32_t most = (w->requests[id].prompt - 1) / w->block_size;
    int32_t count = 0;
    if (w->input->host_blocks == 0)
        return 0;
    while (from + count < most && find(w, host_key(w, id, from + count)))
        count++;
    return count;
}

void v1_load(struct world *w, int32_t id, int32_t blocks)
{
    const double begin_s = fmax(w->now_s, w->host_free_at_s);
    w->host_free_at_s = begin_s + blocks * w->input->host_block_s;
    w->loads[w->num_loads++] = (struct load){id, w->host_free_at_s};
    w->tally->loads++;
    w->tally->loaded += blocks;
}

double v1_next_load_s(const struct world *w)
{
    return w->num_loads > 0 ? w->loads[0].end_s : INFINITY;
}

int32_t v1_take_loaded(struct world *w)
{
    if (v1_next_load_s(w) > w->now_s)
        return NOBODY;
    const int32_t id = w->loads[0].id;
    w->num_loads--;
    for (int64_t i = 0; i < w->num_loads; i++)
        w->loads[i] = w->loads[i + 1];
    return id;
}
