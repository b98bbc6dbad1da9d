#include <vidur/shared_prefix.h>

#include <vidur/rng.h>

#include <math.h>
#include <stdlib.h>

static int check_lengths(const struct vidur_shared_prefix_config *config,
                         int max_tokens, struct vidur_error *err)
{
    int least = config->system_prompt_tokens + 1 + config->output_tokens;
    if (least > max_tokens)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.max_tokens: %d; the system prompt, one more token and "
            "the output take %d",
            max_tokens, least);
    if (config->num_quantiles == 0 && !(config->prompt_mean_tokens > 0))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.prompt_tokens: missing; give {mean: ..., std: ...} or "
            "{quantiles: [[p, tokens], ...]}");
    for (int i = 1; i < config->num_quantiles; i++)
        if (!(config->quantiles[i].quantile > config->quantiles[i - 1].quantile) ||
            config->quantiles[i].tokens < config->quantiles[i - 1].tokens)
            return vidur_fail(err, VIDUR_EINVAL,
                              "workload.prompt_tokens.quantiles.%d: not ascending", i);
    return 0;
}

int vidur_shared_prefix_check(const struct vidur_shared_prefix_config *config,
                              int max_tokens, struct vidur_error *err)
{
    if (config->num_groups < 1 || config->num_prompts_per_group < 1)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.num_groups: %d groups of %d prompts; 1 or more each",
            config->num_groups, config->num_prompts_per_group);
    if ((int64_t)config->num_groups * config->num_prompts_per_group > 10000000)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.num_groups: more than 10 million distinct prompts");
    if (config->output_tokens < 1 || config->system_prompt_tokens < 0)
        return vidur_fail(err, VIDUR_EINVAL, "workload.output_tokens: %d; 1 or more",
                          config->output_tokens);
    if (config->num_stages < 1)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.stages: missing; give [{rate: 5, duration_s: 600}]");
    for (int i = 0; i < config->num_stages; i++) {
        double count = config->stages[i].rate_qps * config->stages[i].duration_s;
        if (!(count >= 0.5) || count > 1e9)
            return vidur_fail(
                err, VIDUR_EINVAL,
                "workload.stages.%d: rate %g 1/s for %g s makes no sensible "
                "number of requests",
                i, config->stages[i].rate_qps, config->stages[i].duration_s);
    }
    return check_lengths(config, max_tokens, err);
}

void vidur_shared_prefix_unscaled(struct vidur_shared_prefix_config *config,
                                  int64_t num_requests)
{
    config->num_stages = 1;
    config->stages[0] =
        (struct vidur_load_stage){.rate_qps = 1, .duration_s = (double)num_requests};
}

void vidur_shared_prefix_stages(const struct vidur_shared_prefix_config *config,
                                struct vidur_load_stages *stages)
{
    *stages = (struct vidur_load_stages){.count = config->num_stages};
    double start_s = 0;
    for (int i = 0; i < config->num_stages; i++) {
        const struct vidur_load_stage *stage = &config->stages[i];
        stages->start_s[i] = start_s;
        stages->first_request[i + 1] =
            stages->first_request[i] + llround(stage->rate_qps * stage->duration_s);
        start_s += stage->duration_s;
    }
}

/* ---- Prompts ---- */

/* The length at probability p; beyond the outermost quantiles theirs. */
static double length_at(const struct vidur_shared_prefix_config *config, double p)
{
    const struct vidur_prompt_quantile *q = config->quantiles;
    int last = config->num_quantiles - 1;
    if (p <= q[0].quantile)
        return q[0].tokens;
    for (int i = 1; i <= last; i++)
        if (p <= q[i].quantile)
            return q[i - 1].tokens + (q[i].tokens - q[i - 1].tokens) *
                                         (p - q[i - 1].quantile) /
                                         (q[i].quantile - q[i - 1].quantile);
    return q[last].tokens;
}

static int32_t clamp_length(double tokens, int least, int most)
{
    double rounded = round(tokens);
    return (int32_t)fmin(fmax(rounded, least), most);
}

/* One length per prompt; quantiles are taken at evenly spaced probabilities, so that
 * even few prompts follow the distribution. */
static void draw_lengths(const struct vidur_shared_prefix_config *config, int most,
                         uint64_t seed, int32_t *length)
{
    int32_t count = config->num_groups * config->num_prompts_per_group;
    struct vidur_rng rng;
    vidur_rng_init(&rng, seed, vidur_rng_stream("shared_prefix.lengths", 0));
    for (int32_t i = 0; i < count; i++) {
        double tokens = config->num_quantiles > 0
                            ? length_at(config, (i + 0.5) / count)
                            : config->prompt_mean_tokens +
                                  config->prompt_std_tokens * vidur_rng_normal(&rng);
        length[i] = clamp_length(tokens, config->system_prompt_tokens + 1, most);
    }
}

static void shuffle(int32_t *items, int32_t count, uint64_t seed, const char *stream)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, seed, vidur_rng_stream(stream, 0));
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)vidur_rng_below(&rng, (uint32_t)i + 1);
        int32_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}

/* ---- Arrivals ---- */

static void draw_stage(const struct vidur_shared_prefix_config *config,
                       struct vidur_rng *rng, const struct vidur_load_stages *stages,
                       int stage, double *arrived_at_s)
{
    int64_t first = stages->first_request[stage],
            end = stages->first_request[stage + 1];
    const struct vidur_load_stage *load = &config->stages[stage];
    double at = 0;
    for (int64_t i = first; i < end; i++) {
        at += config->arrivals == VIDUR_STAGE_STATIC ? 1 : vidur_rng_exponential(rng);
        arrived_at_s[i] = at;
    }
    double scale = config->arrivals == VIDUR_STAGE_EXPONENTIAL_FILLED
                       ? load->duration_s / at
                       : 1 / load->rate_qps;
    for (int64_t i = first; i < end; i++)
        arrived_at_s[i] = stages->start_s[stage] + arrived_at_s[i] * scale;
}

/* Poisson gaps can run past the next stage's nominal start: the later requests then
 * wait for it, so that arrivals never go backwards. */
static void keep_order(double *arrived_at_s, int64_t count)
{
    for (int64_t i = 1; i < count; i++)
        arrived_at_s[i] = fmax(arrived_at_s[i], arrived_at_s[i - 1]);
}

int vidur_shared_prefix_draw(const struct vidur_shared_prefix_config *config,
                             int max_tokens, uint64_t seed,
                             const struct vidur_shared_prefix_requests *requests,
                             struct vidur_error *err)
{
    int32_t num_prompts = config->num_groups * config->num_prompts_per_group;
    int32_t *length = malloc(2 * (size_t)num_prompts * sizeof *length);
    if (!length)
        return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for %d prompts",
                          (int)num_prompts);
    int32_t *order = length + num_prompts;
    struct vidur_load_stages stages;
    vidur_shared_prefix_stages(config, &stages);
    draw_lengths(config, max_tokens - config->output_tokens, seed, length);
    shuffle(length, num_prompts, seed, "shared_prefix.deal");
    for (int32_t i = 0; i < num_prompts; i++)
        order[i] = i;
    shuffle(order, num_prompts, seed, "shared_prefix.order");

    struct vidur_rng rng;
    vidur_rng_init(&rng, seed, vidur_rng_stream("arrivals", 0));
    for (int i = 0; i < stages.count; i++)
        draw_stage(config, &rng, &stages, i, requests->arrived_at_s);
    int64_t count = stages.first_request[stages.count];
    keep_order(requests->arrived_at_s, count);
    for (int64_t i = 0; i < count; i++) {
        requests->prompt[i] = order[i % num_prompts];
        requests->prefill_tokens[i] = length[requests->prompt[i]];
        requests->decode_tokens[i] = config->output_tokens;
    }
    free(length);
    return 0;
}
