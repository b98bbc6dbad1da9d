#include "toy_prompts.h"

enum { MAX_PROMPTS = 24 };

static int between(struct vidur_rng *rng, int low, int high)
{
    return low + (int)vidur_rng_below(rng, (uint32_t)(high - low + 1));
}

void toy_prompts_draw(struct vidur_rng *rng, struct vidur_workload *workload,
                      int32_t *prompt, int32_t *prefill)
{
    const int per_group = between(rng, 1, 4);
    const int count = per_group * between(rng, 1, MAX_PROMPTS / per_group);
    const int longest = between(rng, 2, 300), least = between(rng, 1, longest);
    int32_t length[MAX_PROMPTS];
    for (int i = 0; i < count; i++)
        length[i] = between(rng, least, longest);
    for (int64_t i = 0; i < workload->num_requests; i++) {
        prompt[i] = between(rng, 0, count - 1);
        prefill[i] = length[prompt[i]];
    }
    workload->prompts =
        (struct vidur_prompts){.prompt = prompt,
                               .num_prompts = count,
                               .num_prompts_per_group = per_group,
                               .system_prompt_tokens = between(rng, 0, least - 1)};
}

void toy_stages_draw(struct vidur_rng *rng, struct vidur_workload *workload)
{
    const int64_t count = workload->num_requests;
    struct vidur_load_stages *stages = &workload->stages;
    stages->count = between(rng, 2, 4);
    stages->first_request[stages->count] = count;
    for (int i = 1; i < stages->count; i++) {
        const int64_t least = stages->first_request[i - 1];
        stages->first_request[i] = between(rng, (int)least, (int)count);
        const int64_t first = stages->first_request[i];
        stages->start_s[i] =
            first < count ? workload->arrived_at_s[first] : stages->start_s[i - 1];
    }
    for (int i = 1; i < stages->count; i++)
        if (stages->first_request[i] == stages->first_request[i - 1] ||
            stages->first_request[i] == count)
            stages->count = 0; /* an empty one: none at all */
}
