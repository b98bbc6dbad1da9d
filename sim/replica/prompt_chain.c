#include "replica/prompt_chain.h"

/* splitmix64's finaliser over a combination that keeps order apart; never 0 */
static inline uint64_t chain_hash(uint64_t prefix, uint64_t origin, uint64_t index)
{
    uint64_t h = prefix * 0x9e3779b97f4a7c15u + origin;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u + index;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    h ^= h >> 31;
    return h ? h : 1;
}

static struct vidur_prompt_chain begin_session(const struct vidur_workload *workload,
                                               int32_t request, int32_t block_size)
{
    const struct vidur_sessions *sessions = &workload->sessions;
    const int32_t session = sessions->session[request];
    const int32_t shared = sessions->system_prompt_tokens / block_size;
    const int32_t own_from = sessions->shared_tokens[request] / block_size;
    return (struct vidur_prompt_chain){
        .group = (uint64_t)sessions->group[session] * 4 + 1,
        .prompt = (uint64_t)sessions->conversation[request] * 4 + 2,
        .own = (uint64_t)request * 4 + 3,
        .shared_blocks = shared,
        .own_from = own_from > shared ? own_from : shared};
}

static struct vidur_prompt_chain begin_recorded(const struct vidur_prompts *prompts,
                                                int32_t request, int32_t block_size)
{
    const struct vidur_recorded_prompt *recorded = &prompts->recorded[request];
    return (struct vidur_prompt_chain){.prompt = (uint64_t)request * 2,
                                       .recorded =
                                           prompts->segments + recorded->first_segment,
                                       .num_recorded = recorded->num_segments,
                                       .recorded_tokens = prompts->block_tokens,
                                       .block_size = block_size};
}

static struct vidur_prompt_chain begin_grouped(const struct vidur_prompts *prompts,
                                               int32_t request, int32_t block_size)
{
    const int32_t prompt = prompts->prompt[request];
    return (struct vidur_prompt_chain){
        .group = (uint64_t)(prompt / prompts->num_prompts_per_group) * 2 + 1,
        .prompt = (uint64_t)prompt * 2,
        .shared_blocks = prompts->system_prompt_tokens / block_size};
}

struct vidur_prompt_chain
vidur_prompt_chain_begin(const struct vidur_workload *workload, int32_t request,
                         int32_t block_size)
{
    if (workload->sessions.count > 0)
        return begin_session(workload, request, block_size);
    const struct vidur_prompts *prompts = &workload->prompts;
    struct vidur_prompt_chain chain = prompts->recorded
                                          ? begin_recorded(prompts, request, block_size)
                                          : begin_grouped(prompts, request, block_size);
    chain.own = UINT64_MAX - (uint64_t)request;
    chain.own_from = workload->num_prefill_tokens[request] / block_size;
    return chain;
}

/* To the next recorded segment that has blocks, where there is one: a block that lies
 * in several segments is of the last of them. */
static bool next_recorded(struct vidur_prompt_chain *chain, uint64_t *origin)
{
    while (chain->num_recorded > 0) {
        const int64_t tokens = (int64_t)chain->recorded->end * chain->recorded_tokens;
        const int32_t end = (int32_t)(tokens / chain->block_size);
        *origin = (uint64_t)chain->recorded->node * 2 + 1;
        chain->recorded++;
        chain->num_recorded--;
        if (end > chain->begin) {
            chain->end = end < chain->own_from ? end : chain->own_from;
            return true;
        }
    }
    return false;
}

void vidur_prompt_chain_next(struct vidur_prompt_chain *chain)
{
    const int32_t begin = chain->begin = chain->end;
    uint64_t origin = chain->prompt;
    if (begin >= chain->own_from) {
        origin = chain->own;
        chain->end = INT32_MAX;
    } else if (begin < chain->shared_blocks) {
        origin = chain->group;
        chain->end = chain->shared_blocks < chain->own_from ? chain->shared_blocks
                                                            : chain->own_from;
    } else if (!next_recorded(chain, &origin)) {
        origin = chain->prompt;
        chain->end = chain->own_from;
    }
    chain->segment = chain_hash(chain->segment, origin, (uint64_t)begin);
}
