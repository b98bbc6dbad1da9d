#include "toy_scenario.h"

#include <vidur/rng.h>

#include <stdlib.h>
#include <string.h>

static int between(struct vidur_rng *rng, int low, int high)
{
    return low + (int)vidur_rng_below(rng, (uint32_t)(high - low + 1));
}

static bool chance(struct vidur_rng *rng, int percent)
{
    return between(rng, 1, 100) <= percent;
}

static void draw_scheduler(struct vidur_rng *rng, struct vidur_deployment *deployment)
{
    static const char *const names[] = {"vllm", "sarathi", "orca", "faster_transformer",
                                        "lightllm"};
    static const char *const routers[] = {"round_robin",  "random",       "lor",
                                          "power_of_two", "least_tokens", "prefix",
                                          "session",      "session_lor",  "polled"};
    static const int sizes[] = {1, 4, 16};
    toy_deployment(deployment, names[between(rng, 0, 4)]);
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const bool light = strcmp(knobs->type, "lightllm") == 0;
    deployment->num_pipeline_stages = light ? 1 : 1 << between(rng, 0, 3);
    deployment->num_replicas = chance(rng, 50) ? 1 : between(rng, 2, 4);
    strcpy(deployment->router, routers[between(rng, 0, 8)]);
    deployment->semantics =
        chance(rng, 50) ? VIDUR_SEMANTICS_VIDUR : VIDUR_SEMANTICS_CORRECTED;
    knobs->batch_size_cap =
        between(rng, deployment->num_pipeline_stages, TOY_MAX_BATCH);
    knobs->chunk_size = between(rng, 1, 96);
    knobs->max_tokens_in_batch = between(rng, TOY_MAX_TOKENS / 2, 2 * TOY_MAX_TOKENS);
    knobs->max_waiting_iters = between(rng, 0, 10);
    if (!light)
        knobs->block_size = sizes[between(rng, 0, 2)];
    knobs->watermark_blocks_fraction =
        chance(rng, 50) ? 0.01 : 0.1 * between(rng, 0, 2);
    /* From too little for some requests to plenty. */
    const int blocks = TOY_MAX_TOKENS / knobs->block_size;
    knobs->num_blocks =
        between(rng, blocks / 2 + 1, (chance(rng, 70) ? 3 : 12) * blocks);
}

/* Multiples of 1/8 s make ties. */
static void draw_times(struct vidur_rng *rng, struct toy_scenario *scenario)
{
    if (chance(rng, 40)) {
        scenario->times = (struct toy_times){.fixed_ms = 125,
                                             .send_recv_ms = chance(rng, 50) ? 125 : 0};
        return;
    }
    scenario->times = (struct toy_times){.fixed_ms = 1 + vidur_rng_uniform(rng),
                                         .per_token_ms = 0.01 * vidur_rng_uniform(rng),
                                         .per_decode_ms = 0.1 * vidur_rng_uniform(rng),
                                         .per_context_ms = 0.1 * vidur_rng_uniform(rng),
                                         .per_chunk_ms = 0.1 * vidur_rng_uniform(rng),
                                         .send_recv_ms = vidur_rng_uniform(rng)};
}

static void draw_requests(struct vidur_rng *rng, struct toy_scenario *scenario)
{
    const bool ties = scenario->times.per_token_ms == 0;
    const double gap_s = (ties ? 4 : 0.3) * vidur_rng_uniform(rng);
    const int longest = between(rng, 2, 150);
    double now_s = chance(rng, 50) ? 0 : 1;
    scenario->count = between(rng, 1, TOY_MAX_REQUESTS);
    for (int64_t i = 0; i < scenario->count; i++) {
        scenario->arrived_at_s[i] = now_s;
        scenario->prefill[i] = between(rng, 1, 100);
        scenario->decode[i] = between(rng, 1, longest);
        now_s += ties ? 0.125 * (int)(8 * gap_s * vidur_rng_exponential(rng))
                      : gap_s * vidur_rng_exponential(rng);
    }
}

static void draw_options(struct vidur_rng *rng, struct toy_scenario *scenario)
{
    const bool alone = scenario->deployment.num_replicas == 1 ||
                       strcmp(scenario->deployment.router, "round_robin") == 0 ||
                       strcmp(scenario->deployment.router, "random") == 0;
    struct vidur_run_options *options = &scenario->options;
    *options = (struct vidur_run_options){0};
    if (chance(rng, 30))
        options->time_limit_s =
            scenario->arrived_at_s[scenario->count - 1] * 1.5 * vidur_rng_uniform(rng);
    if (chance(rng, 30))
        options->tbt_definition = VIDUR_TBT_BATCH;
    if (!chance(rng, 40))
        return;
    for (int i = 0; i < TOY_NUM_SLOS; i++)
        scenario->slos[i] = (struct vidur_slo){
            .metric = (enum vidur_latency)between(rng, 0, VIDUR_NUM_LATENCIES - 1),
            .quantile = 0.5 + 0.49 * vidur_rng_uniform(rng),
            .limit_s =
                20 * scenario->times.fixed_ms * 1e-3 * vidur_rng_exponential(rng)};
    options->slos = scenario->slos;
    options->num_slos = TOY_NUM_SLOS;
    options->stop_early = alone && chance(rng, 70);
}

/* Requests of sessions, which start on their own or when others have ended. */
static void draw_sessions(struct vidur_rng *rng, struct toy_scenario *scenario)
{
    const struct toy_session_requests requests = {
        .count = scenario->count,
        .max_tokens = TOY_MAX_TOKENS,
        .ties = scenario->times.per_token_ms == 0,
        .arrived_at_s = scenario->arrived_at_s,
        .prefill = scenario->prefill,
        .decode = scenario->decode};
    if (!chance(rng, 40))
        return;
    toy_sessions_draw(&scenario->sessions, rng, &requests);
    if (scenario->deployment.num_replicas > 1)
        scenario->options.stop_early = false;
}

/* The same requests from clients that wait for them. */
static void draw_loop(struct vidur_rng *rng, struct toy_scenario *scenario)
{
    if (!chance(rng, 25))
        return;
    scenario->concurrency = between(rng, 1, chance(rng, 50) ? 8 : 60);
    memset(scenario->arrived_at_s, 0, sizeof scenario->arrived_at_s);
    if (scenario->deployment.num_replicas > 1)
        scenario->options.stop_early = false;
}

struct toy_scenario *toy_scenario_draw(uint64_t index)
{
    struct toy_scenario *scenario = calloc(1, sizeof *scenario);
    struct vidur_rng rng;
    if (!scenario)
        return NULL;
    vidur_rng_init(&rng, 42, vidur_rng_stream("toy scenario", index));
    draw_scheduler(&rng, &scenario->deployment);
    draw_times(&rng, scenario);
    draw_requests(&rng, scenario);
    draw_options(&rng, scenario);
    draw_sessions(&rng, scenario);
    draw_loop(&rng, scenario);
    return scenario;
}

struct vidur_workload toy_scenario_workload(const struct toy_scenario *scenario)
{
    struct vidur_workload workload =
        toy_workload(scenario->count, TOY_MAX_TOKENS, scenario->arrived_at_s,
                     scenario->prefill, scenario->decode);
    workload.concurrency = scenario->concurrency;
    if (scenario->sessions.count > 0)
        workload.sessions = toy_sessions_view(&scenario->sessions);
    return workload;
}

struct vidur_timetable *toy_scenario_timetable(const struct toy_scenario *scenario)
{
    return toy_timetable_new(&scenario->times, TOY_MAX_BATCH * TOY_MAX_TOKENS,
                             TOY_MAX_BATCH);
}
