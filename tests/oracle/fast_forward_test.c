#include "test.h"
#include "toy_cluster.h"

#include <vidur/rng.h>
#include <vidur/scheduler.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The quick way through a simulation against the plain event loop, over random small
 * clusters: equal records and metrics, bit by bit.
 */

enum { NUM_CASES = 1500, MAX_REQUESTS = 160, MAX_TOKENS = 256, MAX_BATCH = 24 };

struct scenario {
    struct vidur_deployment deployment;
    struct toy_times times;
    int64_t count;
    double arrived_at_s[MAX_REQUESTS];
    int32_t prefill[MAX_REQUESTS];
    int32_t decode[MAX_REQUESTS];
    struct vidur_slo slos[3];
    struct vidur_run_options options;
};

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
    static const char *const routers[] = {"round_robin", "random", "lor"};
    static const int sizes[] = {1, 4, 16};
    toy_deployment(deployment, names[between(rng, 0, 4)]);
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const bool light = strcmp(knobs->type, "lightllm") == 0;
    deployment->num_pipeline_stages = light ? 1 : 1 << between(rng, 0, 3);
    deployment->num_replicas = chance(rng, 50) ? 1 : between(rng, 2, 4);
    strcpy(deployment->router, routers[between(rng, 0, 2)]);
    deployment->semantics =
        chance(rng, 50) ? VIDUR_SEMANTICS_VIDUR : VIDUR_SEMANTICS_CORRECTED;
    knobs->batch_size_cap = between(rng, deployment->num_pipeline_stages, MAX_BATCH);
    knobs->chunk_size = between(rng, 1, 96);
    knobs->max_tokens_in_batch = between(rng, MAX_TOKENS / 2, 2 * MAX_TOKENS);
    knobs->max_waiting_iters = between(rng, 0, 10);
    if (!light)
        knobs->block_size = sizes[between(rng, 0, 2)];
    knobs->watermark_blocks_fraction =
        chance(rng, 50) ? 0.01 : 0.1 * between(rng, 0, 2);
    /* From too little for some requests to plenty. */
    const int blocks = MAX_TOKENS / knobs->block_size;
    knobs->num_blocks =
        between(rng, blocks / 2 + 1, (chance(rng, 70) ? 3 : 12) * blocks);
}

/* Multiples of 1/8 s make ties. */
static void draw_times(struct vidur_rng *rng, struct scenario *scenario)
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

static void draw_requests(struct vidur_rng *rng, struct scenario *scenario)
{
    const bool ties = scenario->times.per_token_ms == 0;
    const double gap_s = (ties ? 4 : 0.3) * vidur_rng_uniform(rng);
    const int longest = between(rng, 2, 150);
    double now_s = chance(rng, 50) ? 0 : 1;
    scenario->count = between(rng, 1, MAX_REQUESTS);
    for (int64_t i = 0; i < scenario->count; i++) {
        scenario->arrived_at_s[i] = now_s;
        scenario->prefill[i] = between(rng, 1, 100);
        scenario->decode[i] = between(rng, 1, longest);
        now_s += ties ? 0.125 * (int)(8 * gap_s * vidur_rng_exponential(rng))
                      : gap_s * vidur_rng_exponential(rng);
    }
}

static void draw_options(struct vidur_rng *rng, struct scenario *scenario)
{
    const bool alone = scenario->deployment.num_replicas == 1 ||
                       strcmp(scenario->deployment.router, "lor") != 0;
    struct vidur_run_options *options = &scenario->options;
    *options = (struct vidur_run_options){0};
    if (chance(rng, 30))
        options->time_limit_s =
            scenario->arrived_at_s[scenario->count - 1] * 1.5 * vidur_rng_uniform(rng);
    if (chance(rng, 30))
        options->tbt_definition = VIDUR_TBT_BATCH;
    if (!chance(rng, 40))
        return;
    for (int i = 0; i < 3; i++)
        scenario->slos[i] = (struct vidur_slo){
            .metric = (enum vidur_latency)between(rng, 0, VIDUR_NUM_LATENCIES - 1),
            .quantile = 0.5 + 0.49 * vidur_rng_uniform(rng),
            .limit_s =
                20 * scenario->times.fixed_ms * 1e-3 * vidur_rng_exponential(rng)};
    options->slos = scenario->slos;
    options->num_slos = 3;
    options->stop_early = alone && chance(rng, 70);
}

static struct scenario *draw(uint64_t index)
{
    struct scenario *scenario = calloc(1, sizeof *scenario);
    struct vidur_rng rng;
    vidur_rng_init(&rng, 42, vidur_rng_stream("fast forward", index));
    draw_scheduler(&rng, &scenario->deployment);
    draw_times(&rng, scenario);
    draw_requests(&rng, scenario);
    draw_options(&rng, scenario);
    return scenario;
}

static struct vidur_simulator *simulate(const struct scenario *scenario, bool plain,
                                        const struct vidur_timetable *table,
                                        struct vidur_metrics *metrics)
{
    struct vidur_error err = {0};
    struct vidur_simulator *simulator = NULL;
    struct vidur_run_options options = scenario->options;
    const struct vidur_workload workload =
        toy_workload(scenario->count, MAX_TOKENS, scenario->arrived_at_s,
                     scenario->prefill, scenario->decode);
    options.plain_stepping = plain;
    if (vidur_simulator_create(&simulator, &scenario->deployment, table, MAX_TOKENS,
                               &err) ||
        vidur_simulator_run(simulator, &workload, &options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return simulator;
}

struct tally {
    int different, restarted, unfinished, limited, stopped;
};

static void compare(uint64_t index, struct tally *tally)
{
    struct scenario *scenario = draw(index);
    struct vidur_timetable *table =
        toy_timetable_new(&scenario->times, MAX_BATCH * MAX_TOKENS, MAX_BATCH);
    struct vidur_metrics plain, quick;
    struct vidur_simulator *a = simulate(scenario, true, table, &plain);
    struct vidur_simulator *b = simulate(scenario, false, table, &quick);
    const char *differs =
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b));
    if (!differs)
        differs = toy_metrics_differ(&plain, &quick);
    if (differs && tally->different++ < 10)
        printf(
            "\n  case %d: %s differs: %s, %s, %d stages, %d replicas, %d requests%s%s",
            (int)index, differs, scenario->deployment.scheduler.type,
            scenario->deployment.router, scenario->deployment.num_pipeline_stages,
            scenario->deployment.num_replicas, (int)scenario->count,
            plain.stopped_early ? ", stopped early" : "",
            plain.time_limited ? ", cut by time" : "");
    tally->restarted += plain.num_restarts > 0;
    tally->unfinished += plain.num_completed < plain.num_requests;
    tally->limited += plain.time_limited;
    tally->stopped += plain.stopped_early;
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    toy_timetable_free(table);
    free(scenario);
}

static void test_equal(void)
{
    struct tally tally = {0};
    for (uint64_t i = 0; i < NUM_CASES; i++)
        compare(i, &tally);
    printf("\n  %d cases: %d with restarts, %d unfinished, %d cut by time, %d stopped "
           "early\n",
           NUM_CASES, tally.restarted, tally.unfinished, tally.limited, tally.stopped);
    CU_ASSERT_EQUAL(tally.different, 0);
    /* The drawing reaches what it is meant to reach. */
    CU_ASSERT(tally.restarted > NUM_CASES / 10);
    CU_ASSERT(tally.limited > NUM_CASES / 20);
    CU_ASSERT(tally.stopped > NUM_CASES / 20);
}

VIDUR_TEST_MAIN("fast forward", {"equal to plain stepping, to the bit", test_equal})
