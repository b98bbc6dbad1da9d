#include "test.h"
#include "toy_engine.h"
#include "toy_host.h"
#include "toy_prompts.h"
#include "toy_scenario.h"

#include <vidur/rng.h>
#include <vidur/scheduler.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Iterations that are told to a router that polls, or are held up by a limit on CPUs,
 * over random small clusters: skipped or one by one, with equal records and metrics,
 * bit by bit. Schedulers count the batches that they form, so that it is known how many
 * were skipped.
 */

enum {
    NUM_CASES = VIDUR_TEST_CASES(2000),
    MAX_REQUESTS = TOY_MAX_REQUESTS / 2,
    MAX_TOKENS = 512,
    MAX_BATCH = 24,
    MAX_STEP = 300
};

static int between(struct vidur_rng *rng, int low, int high)
{
    return low + (int)vidur_rng_below(rng, (uint32_t)(high - low + 1));
}

static bool chance(struct vidur_rng *rng, int percent)
{
    return between(rng, 1, 100) <= percent;
}

/* ---- A scheduler that is counted ---- */

static const struct vidur_scheduler_ops *counted;
static int64_t num_formed; /* batches, by it */

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    counted->next_batch(state, replica, batch);
    num_formed += batch->count > 0;
}

/* ---- Both ways ---- */

struct sample {
    const struct vidur_deployment *deployment;
    const struct vidur_workload *workload;
    const struct vidur_run_options *options;
    struct vidur_simulator_inputs inputs;
};

struct tally {
    int different, restarted, limited, stopped, closed, sessions, hosts, ranks, ranked,
        stalled, skipping;
    int64_t batches, skipped;
};

static struct vidur_simulator *simulate(const struct sample *sample, bool plain,
                                        struct vidur_metrics *metrics)
{
    struct vidur_error err = {0};
    struct vidur_simulator *simulator = NULL;
    struct vidur_run_options options = *sample->options;
    options.plain_stepping = plain;
    counted = vidur_scheduler_find(sample->deployment->scheduler.type);
    struct vidur_scheduler_ops ops = *counted;
    ops.next_batch = next_batch;
    num_formed = 0;
    if (vidur_simulator_create_with(&simulator, &ops, sample->deployment,
                                    &sample->inputs, &err) ||
        vidur_simulator_run(simulator, sample->workload, &options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return simulator;
}

static void compare(uint64_t index, const struct sample *sample, struct tally *tally)
{
    const struct vidur_deployment *deployment = sample->deployment;
    struct vidur_metrics plain, quick;
    struct vidur_simulator *a = simulate(sample, true, &plain);
    CU_ASSERT_EQUAL(num_formed, plain.num_batches);
    struct vidur_simulator *b = simulate(sample, false, &quick);
    const char *differs =
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b));
    if (!differs)
        differs = toy_metrics_differ(&plain, &quick);
    if (differs && tally->different++ < 10)
        printf("\n  case %d: %s differs: %s, %s, %d stages, %d replicas of %d, %d "
               "requests, %g cores%s%s%s",
               (int)index, differs, deployment->scheduler.type, deployment->router,
               deployment->num_pipeline_stages, deployment->num_replicas,
               deployment->data_parallel_size, (int)sample->workload->num_requests,
               deployment->cpu_cores,
               deployment->scheduler.kv_offload_gib_per_gpu > 0 ? ", host" : "",
               sample->workload->concurrency ? ", closed loop" : "",
               sample->workload->sessions.count ? ", sessions" : "");
    tally->restarted += plain.num_restarts > 0;
    tally->limited += plain.time_limited;
    tally->stopped += plain.stopped_early;
    tally->closed += sample->workload->concurrency > 0;
    tally->sessions += sample->workload->sessions.count > 0;
    tally->hosts += plain.loads.count > 0;
    tally->ranks += deployment->data_parallel_size > 1;
    tally->ranked += deployment->scheduler.scheduling_policy != 0;
    tally->stalled += deployment->cpu_cores > 0;
    tally->skipping += num_formed < quick.num_batches;
    tally->batches += quick.num_batches;
    tally->skipped += quick.num_batches - num_formed;
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
}

static void report(const struct tally *t)
{
    printf("\n  %d cases: %d skip, %lld of %lld batches in all; %d with restarts, %d "
           "cut by time, %d stopped early, %d closed loops, %d of sessions, %d with "
           "loads, %d of ranks, %d by priority, %d with a limit on CPUs\n",
           NUM_CASES, t->skipping, (long long)t->skipped, (long long)t->batches,
           t->restarted, t->limited, t->stopped, t->closed, t->sessions, t->hosts,
           t->ranks, t->ranked, t->stalled);
    CU_ASSERT_EQUAL(t->different, 0);
    CU_ASSERT(t->restarted > NUM_CASES / 10);
    CU_ASSERT(t->limited > NUM_CASES / 20);
    CU_ASSERT(t->closed > NUM_CASES / 10);
    CU_ASSERT(t->sessions > NUM_CASES / 10);
}

/* ---- Routers that poll ---- */

static const char *draw_polled(struct vidur_rng *rng)
{
    static const char *const routers[] = {"polled", "polled:0", "polled:3"};
    return routers[between(rng, 0, 2)];
}

/* Blocks for one request, or a few. */
static void tighten(struct vidur_rng *rng, struct vidur_scheduler_config *knobs)
{
    const int blocks = TOY_MAX_TOKENS / knobs->block_size;
    if (chance(rng, 60))
        knobs->num_blocks = between(rng, blocks / 2 + 1, blocks + 1);
}

/* Operators layer by layer: steps that stay alike, also in pipelines. */
static void test_polled_clusters(void)
{
    struct tally t = {0};
    int piped = 0;
    for (uint64_t i = 0; i < NUM_CASES; i++) {
        struct toy_scenario *scenario = toy_scenario_draw(100000 + i);
        struct vidur_rng rng;
        CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
        vidur_rng_init(&rng, 42, vidur_rng_stream("polled clusters", i));
        strcpy(scenario->deployment.router, draw_polled(&rng));
        scenario->deployment.num_replicas = between(&rng, 2, 4);
        tighten(&rng, &scenario->deployment.scheduler);
        scenario->options.stop_early = false; /* it may stop later: drive/README.md */
        struct vidur_timetable *table = toy_scenario_timetable(scenario);
        const struct vidur_workload workload = toy_scenario_workload(scenario);
        const int64_t skipped = t.skipped;
        compare(i,
                &(struct sample){&scenario->deployment,
                                 &workload,
                                 &scenario->options,
                                 {table, TOY_MAX_TOKENS}},
                &t);
        piped += scenario->deployment.num_pipeline_stages > 1 && t.skipped > skipped;
        toy_timetable_free(table);
        free(scenario);
    }
    report(&t);
    CU_ASSERT(t.skipping > NUM_CASES / 2);
    CU_ASSERT(t.skipped > t.batches / 5);
    CU_ASSERT(piped > NUM_CASES / 10);
}

/* ---- Engines, whose steps grow, and limits on CPUs ---- */

struct engine_case {
    struct vidur_deployment deployment;
    struct toy_step_times times;
    struct vidur_workload workload;
    double arrived_at_s[MAX_REQUESTS];
    int32_t prefill[MAX_REQUESTS], decode[MAX_REQUESTS], prompt[MAX_REQUESTS];
    uint8_t class_of[MAX_REQUESTS];
    struct toy_sessions sessions;
    struct vidur_slo slos[2];
    struct vidur_run_options options;
};

static void draw_ranks(struct vidur_rng *rng, struct engine_case *c)
{
    struct vidur_layer_kind *kind = &c->deployment.model.kinds[0];
    kind->num_experts = 12;
    kind->experts_per_token = 2;
    kind->expert_hidden_dim = 120;
    c->deployment.expert_parallel = true;
    c->deployment.data_parallel_size = c->times.ranks = between(rng, 2, 4);
    c->times.gathered_ms = c->times.per_token_ms == 0 ? 125 : vidur_rng_uniform(rng);
}

static void draw_deployment(struct vidur_rng *rng, struct engine_case *c)
{
    static const int sizes[] = {1, 4, 16};
    static const char *const others[] = {"lor", "round_robin", "prefix"};
    struct vidur_deployment *deployment = &c->deployment;
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    toy_engine_deployment(deployment);
    const bool polled = chance(rng, 60);
    deployment->num_replicas = between(rng, 1 + polled, 4);
    strcpy(deployment->router, polled ? draw_polled(rng) : others[between(rng, 0, 2)]);
    knobs->max_num_seqs = between(rng, 1, chance(rng, 30) ? 3 : MAX_BATCH);
    knobs->max_num_batched_tokens = between(rng, knobs->max_num_seqs, MAX_STEP);
    knobs->block_size = sizes[between(rng, 0, 2)];
    knobs->prefix_caching = chance(rng, 75);
    knobs->async_scheduling = chance(rng, 70);
    /* From too little for some requests to plenty. */
    const int blocks = (MAX_TOKENS + knobs->block_size - 1) / knobs->block_size;
    knobs->num_blocks = chance(rng, 60) ? between(rng, blocks / 2 + 1, blocks)
                                        : between(rng, blocks, 20 * blocks);
    /* Multiples of 1/8 s make ties. */
    const bool ties = chance(rng, 30);
    c->times = (struct toy_step_times){.fixed_ms = 125, .api_ms = 125};
    if (!ties)
        c->times =
            (struct toy_step_times){.fixed_ms = 1 + 9 * vidur_rng_uniform(rng),
                                    .per_token_ms = 0.02 * vidur_rng_uniform(rng),
                                    .launch_ms = vidur_rng_uniform(rng),
                                    .per_context_ms = 1e-3 * vidur_rng_uniform(rng),
                                    .per_square_ms = 1e-5 * vidur_rng_uniform(rng),
                                    .tokenise_ms = 0.1 * vidur_rng_uniform(rng),
                                    .api_ms = chance(rng, 50) ? 7.6 : 0};
    if (chance(rng, 30))
        draw_ranks(rng, c);
    /* A process a rank spins, so that all of them leave a part of each period. */
    if (!polled || chance(rng, 50))
        deployment->cpu_cores =
            deployment->data_parallel_size *
            (ties ? 0.125 * between(rng, 1, 7) : 0.1 + 0.85 * vidur_rng_uniform(rng));
    if (knobs->prefix_caching && chance(rng, 80))
        toy_host_draw(deployment, rng, MAX_TOKENS, c->times.fixed_ms * 1e-3, ties);
}

static void draw_classes(struct vidur_rng *rng, struct engine_case *c)
{
    struct vidur_workload *workload = &c->workload;
    c->deployment.scheduler.scheduling_policy = VIDUR_SCHEDULING_PRIORITY;
    workload->num_classes = between(rng, 2, 4);
    for (int i = 0; i < workload->num_classes; i++)
        workload->classes[i].priority = between(rng, -1, 2);
    for (int64_t i = 0; i < workload->num_requests; i++)
        c->class_of[i] = (uint8_t)between(rng, 0, workload->num_classes - 1);
    workload->class_of = c->class_of;
}

static void draw_requests(struct vidur_rng *rng, struct engine_case *c)
{
    const bool ties = c->times.per_token_ms == 0;
    const int64_t count = between(rng, 1, MAX_REQUESTS);
    const double gap_s = (ties ? 3 : 0.2) * vidur_rng_uniform(rng);
    const int longest = between(rng, 1, 200);
    double now_s = 0;
    c->workload =
        toy_workload(count, MAX_TOKENS, c->arrived_at_s, c->prefill, c->decode);
    for (int64_t i = 0; i < count; i++) {
        c->arrived_at_s[i] = now_s;
        c->prefill[i] = between(rng, 1, 300);
        c->decode[i] = between(rng, 1, longest);
        now_s += ties ? 0.125 * (int)(8 * gap_s * vidur_rng_exponential(rng))
                      : gap_s * vidur_rng_exponential(rng);
    }
    if (chance(rng, 30)) {
        toy_sessions_draw(&c->sessions, rng,
                          &(struct toy_session_requests){count, MAX_TOKENS, ties,
                                                         c->arrived_at_s, c->prefill,
                                                         c->decode});
        c->workload.sessions = toy_sessions_view(&c->sessions);
    } else if (chance(rng, 50)) {
        toy_prompts_draw(rng, &c->workload, c->prompt, c->prefill);
    }
    if (chance(rng, 25)) {
        c->workload.concurrency = between(rng, 1, 20);
        memset(c->arrived_at_s, 0, sizeof c->arrived_at_s);
    }
    if (chance(rng, 25))
        draw_classes(rng, c);
}

static void draw_options(struct vidur_rng *rng, struct engine_case *c)
{
    if (chance(rng, 20))
        c->options.time_limit_s = 1 + 10 * vidur_rng_uniform(rng);
    if (!chance(rng, 60))
        return;
    for (int i = 0; i < 2; i++)
        c->slos[i] = (struct vidur_slo){
            .metric = chance(rng, 40) ? VIDUR_LATENCY_tbt
                                      : (enum vidur_latency)between(
                                            rng, 0, VIDUR_NUM_LATENCIES - 1),
            .quantile = 0.5 + 0.49 * vidur_rng_uniform(rng),
            .limit_s = 0.05 + c->times.fixed_ms * 4e-3 * vidur_rng_exponential(rng)};
    c->options.slos = c->slos;
    c->options.num_slos = 2;
    c->options.stop_early = c->deployment.num_replicas == 1;
}

static void test_engines(void)
{
    struct tally t = {0};
    int stalled = 0, ranks = 0;
    for (uint64_t i = 0; i < NUM_CASES; i++) {
        struct engine_case *c = calloc(1, sizeof *c);
        struct vidur_rng rng;
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        vidur_rng_init(&rng, 42, vidur_rng_stream("skipping engines", i));
        draw_deployment(&rng, c);
        draw_requests(&rng, c);
        draw_options(&rng, c);
        struct vidur_timetable *table =
            toy_engine_new(&c->times, MAX_STEP, MAX_BATCH, MAX_TOKENS);
        const int64_t skipped = t.skipped;
        compare(i,
                &(struct sample){
                    &c->deployment, &c->workload, &c->options, {table, MAX_TOKENS}},
                &t);
        stalled += c->deployment.cpu_cores > 0 && t.skipped > skipped;
        ranks += c->deployment.data_parallel_size > 1 && t.skipped > skipped;
        toy_engine_free(table);
        free(c);
    }
    report(&t);
    CU_ASSERT(t.skipping > NUM_CASES / 2);
    CU_ASSERT(t.skipped > t.batches / 5);
    CU_ASSERT(stalled > NUM_CASES / 4);
    CU_ASSERT(ranks > NUM_CASES / 10);
    CU_ASSERT(t.ranked > NUM_CASES / 10);
    CU_ASSERT(t.hosts > NUM_CASES / 20);
    CU_ASSERT(t.stopped > NUM_CASES / 50);
}

VIDUR_TEST_MAIN("skipping", {"routers that poll", test_polled_clusters},
                {"engines that are polled or held up", test_engines})
