#include "toy_blocks.h"

#include <string.h>

enum { NONE = -1 };

static const uint64_t fnv_basis = 0xcbf29ce484222325u;

/* FNV-1a over eight bytes. */
static uint64_t fold(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        hash ^= value >> 8 * i & 0xff;
        hash *= 0x100000001b3u;
    }
    return hash;
}

static bool has_sessions(const struct toy_blocks *toy)
{
    return toy->workload->sessions.count > 0;
}

enum origin { OF_GROUP, OF_PROMPT, OF_REQUEST, OF_LOG };

static uint64_t origin(enum origin kind, int32_t id)
{
    return fold(fold(fnv_basis, kind), (uint64_t)id);
}

/* What the block holds, besides its place in the prompt. */
static uint64_t content_of(const struct toy_blocks *toy, int32_t request, int32_t index)
{
    const struct vidur_workload *w = toy->workload;
    const struct vidur_prompts *prompts = &w->prompts;
    const int32_t begin = index * toy->block_size, end = begin + toy->block_size;
    uint64_t content = origin(OF_LOG, 0);
    if (has_sessions(toy)) {
        const struct vidur_sessions *s = &w->sessions;
        if (end <= s->system_prompt_tokens)
            return origin(OF_GROUP, s->group[s->session[request]]);
        if (end <= s->shared_tokens[request])
            return origin(OF_PROMPT, s->conversation[request]);
        return origin(OF_REQUEST, request);
    }
    if (end > w->num_prefill_tokens[request])
        return origin(OF_REQUEST, request);
    if (!prompts->recorded) {
        const int32_t prompt = prompts->prompt[request];
        return end <= prompts->system_prompt_tokens
                   ? origin(OF_GROUP, prompt / prompts->num_prompts_per_group)
                   : origin(OF_PROMPT, prompt);
    }
    const int64_t first = toy->first_id[request];
    const int64_t count = toy->first_id[request + 1] - first;
    for (int32_t i = begin / prompts->block_tokens;
         i <= (end - 1) / prompts->block_tokens; i++) {
        if (i >= count)
            return origin(OF_REQUEST, request);
        content = fold(content, (uint64_t)toy->ids[first + i]);
    }
    return content;
}

static uint64_t name_of(const struct toy_blocks *toy, int32_t request, int32_t index)
{
    uint64_t name = fnv_basis;
    for (int32_t i = 0; i <= index; i++)
        name = fold(name, content_of(toy, request, i));
    return name;
}

static int32_t find_name(const struct toy_blocks *toy, uint64_t name)
{
    for (int32_t i = 0; i < toy->num_blocks; i++)
        if (toy->blocks[i].name == name)
            return i;
    return NONE;
}

void toy_blocks_begin(struct toy_blocks *toy, const struct vidur_workload *workload,
                      int32_t block_size, int32_t num_blocks, int32_t num_host_blocks)
{
    memset(toy, 0, sizeof *toy);
    toy->workload = workload;
    toy->block_size = block_size;
    toy->num_blocks = num_blocks;
    toy->num_host_blocks = num_host_blocks;
    for (int32_t i = 0; i < num_blocks; i++)
        toy->blocks[i].freed_at = i - num_blocks;
}

int32_t toy_num_free(const struct toy_blocks *toy)
{
    int32_t count = 0;
    for (int32_t i = 0; i < toy->num_blocks; i++)
        count += toy->blocks[i].holders == 0;
    return count;
}

static int32_t full_blocks(const struct toy_blocks *toy, int32_t request,
                           int32_t prompt_tokens)
{
    return (has_sessions(toy) ? prompt_tokens
                              : toy->workload->num_prefill_tokens[request]) /
           toy->block_size;
}

int32_t toy_find(const struct toy_blocks *toy, int32_t request, int32_t prompt_tokens,
                 uint32_t mark, int32_t *unheld)
{
    const int32_t full = full_blocks(toy, request, prompt_tokens);
    int32_t hits = 0;
    *unheld = 0;
    while (hits < full && hits < (prompt_tokens - 1) / toy->block_size) {
        const int32_t found = find_name(toy, name_of(toy, request, hits));
        if (found == NONE)
            break;
        const struct toy_block *block = &toy->blocks[found];
        *unheld += block->holders == 0 && (int32_t)(block->released_after - mark) < 0;
        hits++;
    }
    return hits;
}

static void take(struct toy_blocks *toy, struct toy_holder *holder)
{
    int32_t first = NONE;
    for (int32_t i = 0; i < toy->num_blocks; i++)
        if (toy->blocks[i].holders == 0 &&
            (first == NONE || toy->blocks[i].freed_at < toy->blocks[first].freed_at))
            first = i;
    toy->num_evictions += toy->blocks[first].name != 0;
    toy->blocks[first].name = 0;
    toy->blocks[first].holders = 1;
    holder->blocks[holder->held++] = first;
}

/* The holder's next block without a name. */
static void name_next(struct toy_blocks *toy, int32_t request)
{
    struct toy_holder *holder = &toy->holders[request];
    const uint64_t name = name_of(toy, request, holder->named);
    const int32_t block = holder->blocks[holder->named++];
    if (find_name(toy, name) == NONE)
        toy->blocks[block].name = name;
    else
        toy->num_nameless++;
}

int32_t toy_admit(struct toy_blocks *toy, int32_t request, int32_t prompt_tokens,
                  bool names)
{
    struct toy_holder *holder = &toy->holders[request];
    const int32_t full = full_blocks(toy, request, prompt_tokens);
    int32_t unheld;
    const int32_t hits = toy_find(toy, request, prompt_tokens, 0, &unheld);
    *holder = (struct toy_holder){.named = hits};
    while (holder->held < hits) {
        const int32_t found = find_name(toy, name_of(toy, request, holder->held));
        toy->blocks[found].holders++;
        holder->blocks[holder->held++] = found;
    }
    while (holder->held * toy->block_size < prompt_tokens) {
        take(toy, holder);
        if (names && holder->named < full)
            name_next(toy, request);
    }
    return hits;
}

void toy_loaded(struct toy_blocks *toy, int32_t request, int32_t prompt_tokens)
{
    while (toy->holders[request].named < full_blocks(toy, request, prompt_tokens))
        name_next(toy, request);
}

void toy_grow(struct toy_blocks *toy, int32_t request)
{
    take(toy, &toy->holders[request]);
}

void toy_release(struct toy_blocks *toy, int32_t request, int32_t computed_tokens)
{
    struct toy_holder *holder = &toy->holders[request];
    const int32_t full = computed_tokens / toy->block_size;
    while (has_sessions(toy) && holder->named < full)
        name_next(toy, request);
    toy_keep_on_host(toy, request, 0, full);
    for (int32_t i = holder->held; i-- > 0;) {
        struct toy_block *block = &toy->blocks[holder->blocks[i]];
        if (i >= full && block->name) {
            block->name = 0;
            toy->num_forgotten++;
        }
        if (--block->holders == 0) {
            block->freed_at = toy->clock++;
            block->released_after = toy->num_releases;
        }
    }
    holder->held = 0;
    toy->num_releases++;
}

/* ---- The host tier ---- */

static int32_t place_on_host(const struct toy_blocks *toy, uint64_t name)
{
    for (int32_t i = 0; i < toy->num_on_host; i++)
        if (toy->host[i] == name)
            return i;
    return NONE;
}

int32_t toy_find_on_host(const struct toy_blocks *toy, int32_t request,
                         int32_t prompt_tokens)
{
    int32_t unheld;
    const int32_t hits = toy_find(toy, request, prompt_tokens, 0, &unheld);
    int32_t at = hits;
    while (at < (prompt_tokens - 1) / toy->block_size &&
           place_on_host(toy, name_of(toy, request, at)) != NONE)
        at++;
    return at - hits;
}

void toy_keep_on_host(struct toy_blocks *toy, int32_t request, int32_t from,
                      int32_t until)
{
    for (int32_t i = until; toy->num_host_blocks > 0 && i-- > from;) {
        const uint64_t name = name_of(toy, request, i);
        int32_t place = place_on_host(toy, name);
        if (place == NONE) {
            place = toy->num_on_host == toy->num_host_blocks ? 0 : NONE;
            toy->num_on_host += place == NONE;
        }
        if (place != NONE)
            memmove(&toy->host[place], &toy->host[place + 1],
                    (size_t)(toy->num_on_host - place - 1) * sizeof *toy->host);
        toy->host[toy->num_on_host - 1] = name;
    }
}
