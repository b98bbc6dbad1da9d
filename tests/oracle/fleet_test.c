#include "test.h"
#include "toy_cluster.h"
#include "toy_engine.h"
#include "toy_host.h"
#include "toy_sessions.h"

#include <vidur/rng.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Pools that hand requests over, or stand behind one router with weights of their own,
 * on random small fleets of V1 engines: the stepper against the plain event loop, bit
 * by bit, and what holds for every run.
 */

enum {
    NUM_CASES = VIDUR_TEST_CASES(1500),
    MAX_REQUESTS = 80,
    MAX_TOKENS = 512,
    MAX_BATCH = 24,
    MAX_STEP = 300
};

struct scenario {
    struct vidur_fleet fleet;
    struct toy_step_times times[VIDUR_MAX_POOLS];
    struct vidur_timetable *tables[VIDUR_MAX_POOLS]; /* made when first needed */
    struct vidur_workload workload;
    double arrived_at_s[MAX_REQUESTS];
    int32_t prefill[MAX_REQUESTS];
    int32_t decode[MAX_REQUESTS];
    int32_t prompt[MAX_REQUESTS];
    struct toy_sessions sessions; /* .count 0: none */
    struct vidur_slo slos[2];
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

static void draw_pool(struct vidur_rng *rng, struct vidur_pool *pool,
                      enum vidur_pool_role role)
{
    static const int sizes[] = {1, 4, 16};
    struct vidur_deployment *deployment = &pool->deployment;
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    toy_engine_deployment(deployment);
    pool->role = role;
    pool->weight = 1;
    deployment->num_replicas = between(rng, 1, 3);
    deployment->num_pipeline_stages = chance(rng, 70) ? 1 : between(rng, 2, 3);
    knobs->max_num_seqs = between(rng, 1, chance(rng, 30) ? 3 : MAX_BATCH);
    if (knobs->max_num_seqs < deployment->num_pipeline_stages)
        knobs->max_num_seqs = deployment->num_pipeline_stages;
    knobs->max_num_batched_tokens = between(rng, knobs->max_num_seqs, MAX_STEP);
    knobs->block_size = sizes[between(rng, 0, 2)];
    knobs->prefix_caching = chance(rng, 75);
    knobs->async_scheduling = chance(rng, 70);
    /* From room for one request to plenty. */
    const int blocks = (MAX_TOKENS + knobs->block_size - 1) / knobs->block_size;
    knobs->num_blocks = between(rng, blocks, (chance(rng, 60) ? 2 : 20) * blocks);
}

static void draw_fleet(struct vidur_rng *rng, struct vidur_fleet *fleet)
{
    static const char *const routers[] = {"round_robin",  "random",      "lor",
                                          "session",      "session_lor", "prefix",
                                          "least_tokens", "polled:2"};
    const char *entry = routers[between(rng, 0, 7)];
    const char *onward = routers[between(rng, 0, 6)];
    const int prefills = between(rng, 1, 2), decodes = between(rng, 1, 2);
    fleet->num_pools = prefills + decodes;
    for (int i = 0; i < fleet->num_pools; i++) {
        draw_pool(rng, &fleet->pools[i],
                  i < prefills ? VIDUR_POOL_PREFILL : VIDUR_POOL_DECODE);
        strcpy(fleet->pools[i].deployment.router, i < prefills ? entry : onward);
    }
    fleet->first_token =
        chance(rng, 50) ? VIDUR_FIRST_TOKEN_DECODE : VIDUR_FIRST_TOKEN_PREFILL;
    fleet->kv_transfer = (struct vidur_kv_transfer){
        .bandwidth_gb_per_s = chance(rng, 30) ? INFINITY : 1e-3,
        .latency_us = chance(rng, 50) ? 0 : 125e3,
        .overlap = chance(rng, 30) ? VIDUR_OVERLAP_LAYERS : VIDUR_OVERLAP_NONE};
}

/* Pools behind one router. */
static void draw_mixed(struct vidur_rng *rng, struct vidur_fleet *fleet)
{
    static const char *const routers[] = {"round_robin", "random", "lor", "polled"};
    static const double weights[] = {0.5, 1, 1, 3};
    const char *router = routers[between(rng, 0, 3)];
    fleet->num_pools = between(rng, 2, VIDUR_MAX_POOLS);
    for (int i = 0; i < fleet->num_pools; i++) {
        draw_pool(rng, &fleet->pools[i], VIDUR_POOL_ALL);
        fleet->pools[i].weight = weights[between(rng, 0, 3)];
        strcpy(fleet->pools[i].deployment.router, router);
    }
}

/* Multiples of 1/8 s make ties. */
static void draw_times(struct vidur_rng *rng, struct scenario *s)
{
    const bool ties = chance(rng, 40);
    for (int i = 0; i < s->fleet.num_pools; i++)
        s->times[i] =
            ties
                ? (struct toy_step_times){.fixed_ms = 125 * between(rng, 1, 2),
                                          .api_ms = chance(rng, 50) ? 125 : 0}
                : (struct toy_step_times){
                      .fixed_ms = 1 + vidur_rng_uniform(rng),
                      .per_token_ms = 0.01 * vidur_rng_uniform(rng),
                      .per_sampled_ms = 0.01 * vidur_rng_uniform(rng),
                      .per_context_ms = 1e-3 * vidur_rng_uniform(rng),
                      .per_square_ms = 1e-5 * vidur_rng_uniform(rng),
                      .row_ms = 1e-3 * vidur_rng_uniform(rng),
                      .tokenise_ms = chance(rng, 50) ? 0.1 * vidur_rng_uniform(rng) : 0,
                      .api_ms = chance(rng, 50) ? 7.6 : 0};
}

static void draw_requests(struct vidur_rng *rng, struct scenario *s)
{
    const bool ties = s->times[0].per_token_ms == 0;
    const double gap_s = (ties ? 2 : 0.05) * vidur_rng_uniform(rng);
    const int64_t count = between(rng, 1, MAX_REQUESTS);
    const int longest = between(rng, 1, chance(rng, 30) ? 3 : 200);
    double now_s = chance(rng, 50) ? 0 : 1;
    s->workload =
        toy_workload(count, MAX_TOKENS, s->arrived_at_s, s->prefill, s->decode);
    for (int64_t i = 0; i < count; i++) {
        s->arrived_at_s[i] = now_s;
        s->prefill[i] = between(rng, 1, 300);
        s->decode[i] = between(rng, 1, longest);
        now_s += ties ? 0.125 * (int)(8 * gap_s * vidur_rng_exponential(rng))
                      : gap_s * vidur_rng_exponential(rng);
    }
    if (chance(rng, 30)) {
        const struct toy_session_requests requests = {.count = count,
                                                      .max_tokens = MAX_TOKENS,
                                                      .ties = ties,
                                                      .arrived_at_s = s->arrived_at_s,
                                                      .prefill = s->prefill,
                                                      .decode = s->decode};
        toy_sessions_draw(&s->sessions, rng, &requests);
        s->workload.sessions = toy_sessions_view(&s->sessions);
    } else if (chance(rng, 40)) { /* prompts that share all they have */
        for (int64_t i = 0; i < count; i++) {
            s->prompt[i] = between(rng, 0, 3);
            s->prefill[i] = 40 * (s->prompt[i] + 1);
        }
        s->workload.prompts = (struct vidur_prompts){.prompt = s->prompt,
                                                     .num_prompts = 4,
                                                     .num_prompts_per_group = 2,
                                                     .system_prompt_tokens = 20};
    }
    if (chance(rng, 30)) {
        s->workload.concurrency = between(rng, 1, 20);
        memset(s->arrived_at_s, 0, sizeof s->arrived_at_s);
    }
}

static void draw_options(struct vidur_rng *rng, struct scenario *s)
{
    if (chance(rng, 20))
        s->options.time_limit_s = 1 + 20 * vidur_rng_uniform(rng);
    if (!chance(rng, 30))
        return;
    for (int i = 0; i < 2; i++)
        s->slos[i] = (struct vidur_slo){
            .metric = (enum vidur_latency)between(rng, 0, VIDUR_NUM_LATENCIES - 1),
            .quantile = 0.5 + 0.49 * vidur_rng_uniform(rng),
            .limit_s = 20 * s->times[0].fixed_ms * 1e-3 * vidur_rng_exponential(rng)};
    s->options.slos = s->slos;
    s->options.num_slos = 2;
    s->options.stop_early = chance(rng, 50);
}

/* A second tier of KV blocks for some pools, from a stream of its own. */
static void draw_hosts(uint64_t index, struct scenario *s)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 7, vidur_rng_stream("fleet hosts", index));
    for (int i = 0; i < s->fleet.num_pools; i++) {
        struct vidur_deployment *deployment = &s->fleet.pools[i].deployment;
        struct vidur_scheduler_config *knobs = &deployment->scheduler;
        if (!knobs->prefix_caching || !chance(&rng, 50))
            continue;
        /* few blocks, so that some are forgotten and come back */
        const int blocks = (MAX_TOKENS + knobs->block_size - 1) / knobs->block_size;
        knobs->num_blocks = between(&rng, blocks, 2 * blocks);
        toy_host_draw(deployment, &rng, MAX_TOKENS, s->times[i].fixed_ms * 1e-3,
                      s->times[i].per_token_ms == 0);
    }
}

static struct scenario *draw(uint64_t index, bool mixed)
{
    struct scenario *s = calloc(1, sizeof *s);
    struct vidur_rng rng;
    if (!s)
        return NULL;
    vidur_rng_init(
        &rng, 7, vidur_rng_stream(mixed ? "mixed scenario" : "fleet scenario", index));
    if (mixed)
        draw_mixed(&rng, &s->fleet);
    else
        draw_fleet(&rng, &s->fleet);
    draw_times(&rng, s);
    draw_requests(&rng, s);
    draw_options(&rng, s);
    draw_hosts(index, s);
    return s;
}

static void make_tables(struct scenario *s)
{
    for (int i = 0; i < s->fleet.num_pools && !s->tables[i]; i++) {
        s->tables[i] = toy_engine_new(&s->times[i], MAX_STEP, MAX_BATCH, MAX_TOKENS);
        for (int j = 0; j < VIDUR_MAX_STAGE_KINDS; j++) /* all stages alike */
            s->tables[i]->engine_stages[j] = s->tables[i]->engine;
    }
}

static void release_tables(struct scenario *s)
{
    for (int i = 0; i < s->fleet.num_pools; i++)
        toy_engine_free(s->tables[i]);
}

static struct vidur_simulator *simulate(struct scenario *s, bool plain,
                                        struct vidur_metrics *metrics)
{
    struct vidur_error err = {0};
    struct vidur_simulator *simulator = NULL;
    struct vidur_run_options options = s->options;
    options.plain_stepping = plain;
    make_tables(s);
    if (vidur_simulator_create_fleet(&simulator, &s->fleet,
                                     (const struct vidur_timetable *const *)s->tables,
                                     MAX_TOKENS, &err) ||
        vidur_simulator_run(simulator, &s->workload, &options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return simulator;
}

struct tally {
    int different, restarted, limited, stopped, closed, piped, sessions, loading;
};

static const char *verdicts_differ(const struct vidur_metrics *a,
                                   const struct vidur_metrics *b)
{
    return a->stopped_early != b->stopped_early ? "stopped_early" : NULL;
}

static void compare(uint64_t index, bool mixed, struct tally *tally)
{
    struct scenario *s = draw(index, mixed);
    struct vidur_metrics plain, quick;
    struct vidur_simulator *a = simulate(s, true, &plain);
    struct vidur_simulator *b = simulate(s, false, &quick);
    const struct vidur_request_records *records = vidur_simulator_requests(a);
    const char *differs = verdicts_differ(&plain, &quick);
    if (!differs && !plain.stopped_early)
        differs = toy_records_differ(records, vidur_simulator_requests(b));
    if (!differs && !plain.stopped_early)
        differs = toy_metrics_differ(&plain, &quick);
    if (differs && tally->different++ < 10)
        printf("\n  case %d: %s differs: %d requests%s%s%s%s", (int)index, differs,
               (int)s->workload.num_requests,
               plain.stopped_early ? ", stopped early" : "",
               plain.time_limited ? ", cut by time" : "",
               s->workload.concurrency ? ", closed loop" : "",
               s->sessions.count ? ", sessions" : "");
    if (!plain.time_limited && !plain.stopped_early)
        CU_ASSERT_EQUAL(plain.num_completed, plain.num_requests);
    CU_ASSERT_EQUAL(mixed, records->departed_at_s == NULL);
    tally->restarted += plain.num_restarts > 0;
    tally->limited += plain.time_limited;
    tally->stopped += plain.stopped_early;
    for (int i = 0; i < s->fleet.num_pools; i++)
        if (s->fleet.pools[i].deployment.num_pipeline_stages > 1) {
            tally->piped++;
            break;
        }
    tally->loading += plain.loads.count > 0;
    tally->closed += s->workload.concurrency > 0;
    tally->sessions += s->sessions.count > 0;
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    release_tables(s);
    free(s);
}

static void check_equal(bool mixed)
{
    struct tally tally = {0};
    for (uint64_t i = 0; i < NUM_CASES; i++)
        compare(i, mixed, &tally);
    printf(
        "\n  %d cases: %d with restarts, %d cut by time, %d stopped early, %d closed "
        "loops, %d with pipelines, %d that load from host memory\n",
        NUM_CASES, tally.restarted, tally.limited, tally.stopped, tally.closed,
        tally.piped, tally.loading);
    CU_ASSERT_EQUAL(tally.different, 0);
    /* The drawing reaches what it is meant to reach. */
    CU_ASSERT(tally.restarted > NUM_CASES / 20);
    CU_ASSERT(tally.limited > NUM_CASES / 20);
    CU_ASSERT(tally.stopped > NUM_CASES / 20);
    CU_ASSERT(tally.closed > NUM_CASES / 5);
    CU_ASSERT(tally.sessions > NUM_CASES / 5);
    CU_ASSERT(tally.piped > NUM_CASES / 5);
    CU_ASSERT(tally.loading > NUM_CASES / 100);
}

static void test_equal(void)
{
    check_equal(false);
}

static void test_mixed_equal(void)
{
    check_equal(true);
}

/* ---- What one run must be ---- */

/* One pool of each role, prompts of 40 tokens, plenty of memory. */
static void set_up(struct scenario *s, int64_t count)
{
    memset(s, 0, sizeof *s);
    s->fleet.num_pools = 2;
    for (int i = 0; i < 2; i++) {
        toy_engine_deployment(&s->fleet.pools[i].deployment);
        s->fleet.pools[i].role = i == 0 ? VIDUR_POOL_PREFILL : VIDUR_POOL_DECODE;
        s->fleet.pools[i].weight = 1;
        s->fleet.pools[i].deployment.scheduler.max_num_seqs = MAX_BATCH;
        s->fleet.pools[i].deployment.scheduler.max_num_batched_tokens = MAX_STEP;
        s->fleet.pools[i].deployment.scheduler.num_blocks = 4096;
        s->times[i] = (struct toy_step_times){
            .fixed_ms = 1, .per_token_ms = 0.125, .per_context_ms = 1. / 1024};
    }
    s->fleet.kv_transfer.bandwidth_gb_per_s = INFINITY;
    s->workload =
        toy_workload(count, MAX_TOKENS, s->arrived_at_s, s->prefill, s->decode);
    for (int64_t i = 0; i < count; i++) {
        s->arrived_at_s[i] = 1. / 64 * (double)i;
        s->prefill[i] = 40 + (int32_t)(i * 7 % 90);
        s->decode[i] = 5 + (int32_t)(i * 5 % 30);
    }
}

/* With a link of no time and a pool that never fills, prompts take the times that they
 * take where nobody decodes. */
static void test_prefill_alone(void)
{
    struct scenario *fleet = calloc(2, sizeof *fleet), *alone = fleet + 1;
    struct vidur_metrics metrics;
    CU_ASSERT_PTR_NOT_NULL_FATAL(fleet);
    set_up(fleet, 60);
    set_up(alone, 60);
    alone->fleet.num_pools = 1;
    alone->fleet.pools[0].role = VIDUR_POOL_ALL;
    for (int i = 0; i < 60; i++)
        alone->decode[i] = 1;
    struct vidur_simulator *a = simulate(fleet, false, &metrics);
    struct vidur_simulator *b = simulate(alone, false, &metrics);
    const struct vidur_request_records *x = vidur_simulator_requests(a);
    const struct vidur_request_records *y = vidur_simulator_requests(b);
    for (int i = 0; i < 60; i++) {
        CU_ASSERT_EQUAL(x->scheduled_at_s[i], y->scheduled_at_s[i]);
        CU_ASSERT_EQUAL(x->departed_at_s[i], y->prefill_completed_at_s[i]);
        CU_ASSERT_EQUAL(x->loaded_at_s[i], x->departed_at_s[i]);
    }
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    release_tables(fleet);
    release_tables(alone);
    free(fleet);
}

/* A pool that decodes gives the same times whatever worked the prompts off, as long as
 * they come at the same times: here from one replica, and from two, half as fast. */
static void test_decode_alone(void)
{
    struct scenario *one = calloc(2, sizeof *one), *other = one + 1;
    struct vidur_metrics metrics;
    CU_ASSERT_PTR_NOT_NULL_FATAL(one);
    for (int k = 0; k < 2; k++) {
        set_up(&one[k], 40);
        for (int i = 0; i < 40; i++) {
            one[k].prefill[i] = 64;
            one[k].arrived_at_s[i] = 1 + (double)i / 2;
            one[k].decode[i] = 200; /* several decode at once */
        }
        one[k].times[0] = (struct toy_step_times){.fixed_ms = k == 0 ? 125 : 250};
        one[k].times[1] =
            (struct toy_step_times){.fixed_ms = 15.625, .per_sampled_ms = 1.953125};
    }
    other->fleet.pools[0].deployment.num_replicas = 2;
    for (int i = 0; i < 40; i++)
        other->arrived_at_s[i] -= 0.125;
    struct vidur_simulator *a = simulate(one, false, &metrics);
    struct vidur_simulator *b = simulate(other, false, &metrics);
    const struct vidur_request_records *x = vidur_simulator_requests(a);
    const struct vidur_request_records *y = vidur_simulator_requests(b);
    for (int i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(x->departed_at_s[i], y->departed_at_s[i]);
        CU_ASSERT_EQUAL(x->prefill_completed_at_s[i], y->prefill_completed_at_s[i]);
        CU_ASSERT_EQUAL(x->completed_at_s[i], y->completed_at_s[i]);
    }
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    release_tables(one);
    release_tables(other);
    free(one);
}

/* One request by hand: a step takes 1 ms, 1/8 ms a token and 1/1024 ms a token of
 * context, the transfer its bytes over the link; then the prompt's last token and the
 * others come one a step. */
static void test_by_hand(void)
{
    struct scenario *s = calloc(1, sizeof *s);
    struct vidur_metrics metrics;
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    set_up(s, 1);
    s->decode[0] = 3;
    s->fleet.kv_transfer.bandwidth_gb_per_s = 1e-3;
    s->fleet.kv_transfer.latency_us = 500;
    struct vidur_simulator *simulator = simulate(s, false, &metrics);
    const struct vidur_request_records *records = vidur_simulator_requests(simulator);
    const double bytes =
        40 * vidur_fleet_kv_bytes_per_token(&s->fleet.pools[0].deployment);
    const double departed_s = 1e-3 * (1 + 40 / 8. + 40 / 1024.);
    const double loaded_s = departed_s + 500e-6 + bytes / 1e6;
    const double step_s = 1e-3 * (1 + 1 / 8.);
    CU_ASSERT_DOUBLE_EQUAL(records->departed_at_s[0], departed_s, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(records->loaded_at_s[0], loaded_s, 1e-12);
    /* contexts of 40, 41 and 42 tokens */
    CU_ASSERT_DOUBLE_EQUAL(records->prefill_completed_at_s[0],
                           loaded_s + step_s + 40e-3 / 1024, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(records->completed_at_s[0],
                           loaded_s + 3 * step_s + 123e-3 / 1024, 1e-12);
    const struct vidur_transfer_metrics *moved = &metrics.pools[1].transfers;
    CU_ASSERT_EQUAL(moved->count, 1);
    CU_ASSERT_EQUAL(moved->bytes, bytes);
    CU_ASSERT_DOUBLE_EQUAL(moved->busy_s, 500e-6 + bytes / 1e6, 1e-15);
    CU_ASSERT_EQUAL(moved->waited_s, 0);
    vidur_simulator_destroy(simulator);
    release_tables(s);
    free(s);
}

/* Back pressure: blocks of the pool that decodes for one request at a time. */
static void test_back_pressure(void)
{
    struct scenario *s = calloc(1, sizeof *s);
    struct vidur_metrics metrics;
    struct vidur_error err = {0};
    struct vidur_simulator *simulator = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    set_up(s, 50);
    s->fleet.pools[1].deployment.scheduler.num_blocks = MAX_TOKENS / 16;
    for (int i = 0; i < 50; i++)
        s->decode[i] = 300;
    simulator = simulate(s, false, &metrics);
    CU_ASSERT_EQUAL(metrics.num_completed, 50);
    CU_ASSERT(metrics.pools[1].transfers.waited_s > 0);
    vidur_simulator_destroy(simulator);
    simulator = NULL;
    s->fleet.pools[1].deployment.scheduler.num_blocks--;
    CU_ASSERT_NOT_EQUAL(
        vidur_simulator_create_fleet(&simulator, &s->fleet,
                                     (const struct vidur_timetable *const *)s->tables,
                                     MAX_TOKENS, &err),
        0);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        err.text, "pools.1.scheduler.num_blocks: the KV cache of a replica has 31 "
                  "blocks of 16 tokens, a request of 512 tokens needs 32"));
    release_tables(s);
    free(s);
}

/* Batches of a pool whose replicas have three times the weight of the other's: each
 * request of one prompt step is one batch. */
static void test_shares(void)
{
    struct scenario *s = calloc(1, sizeof *s);
    struct vidur_metrics metrics;
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    set_up(s, 70);
    for (int i = 0; i < 2; i++)
        s->fleet.pools[i].role = VIDUR_POOL_ALL;
    s->fleet.pools[0].deployment.num_replicas = 2;
    s->fleet.pools[1].weight = 3;
    s->fleet.pools[1].deployment.num_replicas = 4;
    for (int i = 0; i < 70; i++) {
        s->decode[i] = 1;
        s->arrived_at_s[i] = i; /* one at a time */
    }
    struct vidur_simulator *simulator = simulate(s, false, &metrics);
    CU_ASSERT_EQUAL(metrics.num_completed, 70);
    CU_ASSERT_EQUAL(metrics.pools[0].num_batches, 10); /* 2 of 2 + 4 * 3 */
    CU_ASSERT_EQUAL(metrics.pools[1].num_batches, 60);
    vidur_simulator_destroy(simulator);
    release_tables(s);
    free(s);
}

/* Each replica has the front end of its pool, whichever pool comes first. */
static void test_front_ends(void)
{
    for (int slow = 0; slow < 2; slow++) {
        struct scenario *s = calloc(1, sizeof *s);
        struct vidur_metrics metrics;
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        set_up(s, 10);
        for (int i = 0; i < 2; i++)
            s->fleet.pools[i].role = VIDUR_POOL_ALL;
        s->times[slow].api_ms = 125;
        for (int i = 0; i < 10; i++)
            s->arrived_at_s[i] = i; /* in turn to both pools, one at a time */
        for (int plain = 0; plain < 2; plain++) {
            struct vidur_simulator *simulator = simulate(s, plain, &metrics);
            const struct vidur_request_records *records =
                vidur_simulator_requests(simulator);
            for (int i = 0; i < 10; i++)
                CU_ASSERT_EQUAL(records->scheduled_at_s[i],
                                i + (i % 2 == slow ? 0.125 : 0));
            vidur_simulator_destroy(simulator);
        }
        release_tables(s);
        free(s);
    }
}

VIDUR_TEST_MAIN("fleet", {"equal to plain stepping, to the bit", test_equal},
                {"pools behind one router, equal to the bit", test_mixed_equal},
                {"shares by weight", test_shares}, {"front ends", test_front_ends},
                {"prompts as where nobody decodes", test_prefill_alone},
                {"decodes whatever worked the prompts off", test_decode_alone},
                {"one request by hand", test_by_hand},
                {"back pressure", test_back_pressure})
