#include "test.h"
#include "toy_cluster.h"
#include "toy_engine.h"
#include "toy_host.h"
#include "toy_prompts.h"
#include "toy_run.h"
#include "toy_sessions.h"
#include "vllm_v1_reference.h"

#include "replica/live_batch.h"

#include <vidur/rng.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The V1 engine on random small clusters: decode groups and the stepper against the
 * plain event loop, and both against a step-by-step simulation of one replica; bit by
 * bit. The same with ranks in data parallel, which step together.
 */

enum {
    NUM_CASES = VIDUR_TEST_CASES(1500),
    MAX_REQUESTS = 120,
    MAX_TOKENS = 512,
    MAX_BATCH = 24,
    MAX_STEP = 300,
    DECODE_COLUMNS = 20 /* of 64 tokens */
};

struct scenario {
    struct vidur_deployment deployment;
    struct toy_step_times times;
    struct vidur_workload workload;
    double arrived_at_s[MAX_REQUESTS];
    int32_t prefill[MAX_REQUESTS];
    int32_t decode[MAX_REQUESTS];
    int32_t prompt[MAX_REQUESTS];
    struct toy_sessions sessions;
    uint8_t class_of[MAX_REQUESTS];
    struct vidur_slo slos[3];
    struct vidur_run_options options;
    /* Decode times looked up by context, as operator tables have them; or not. */
    bool by_operators;
    int64_t profiled_columns;
    double decode_ms[MAX_BATCH * DECODE_COLUMNS];
    /* Of a pipeline, by kind of stage. */
    struct vidur_stage_kinds kinds;
    struct toy_step_times stage_times[VIDUR_MAX_STAGE_KINDS];
};

/* Its view is that of the last stage. */
struct tables {
    struct vidur_timetable *view;
    struct vidur_timetable *of[VIDUR_MAX_STAGE_KINDS];
};

static int between(struct vidur_rng *rng, int low, int high)
{
    return low + (int)vidur_rng_below(rng, (uint32_t)(high - low + 1));
}

static bool chance(struct vidur_rng *rng, int percent)
{
    return between(rng, 1, 100) <= percent;
}

/* What is drawn, each from a stream of its own. */
enum kind { ENGINES, RANKS, SESSIONS };

/* Routers that look at more than counts come with sessions. */
static const char *draw_router(struct vidur_rng *rng, enum kind kind)
{
    static const char *const routers[] = {"round_robin", "random", "lor"};
    static const char *const others[] = {"session_lor", "power_of_two", "least_tokens",
                                         "prefix:0.25", "prefix:2",     "round_robin"};
    if (kind != SESSIONS)
        return routers[between(rng, 0, 2)];
    return chance(rng, 40) ? "session" : others[between(rng, 0, 5)];
}

static void draw_deployment(struct vidur_rng *rng, enum kind kind,
                            struct vidur_deployment *deployment)
{
    static const int sizes[] = {1, 4, 16};
    toy_engine_deployment(deployment);
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    deployment->num_replicas = chance(rng, 60) ? 1 : between(rng, 2, 4);
    strcpy(deployment->router, draw_router(rng, kind));
    deployment->semantics =
        chance(rng, 20) ? VIDUR_SEMANTICS_VIDUR : VIDUR_SEMANTICS_CORRECTED;
    knobs->max_num_seqs = between(rng, 1, chance(rng, 30) ? 3 : MAX_BATCH);
    knobs->max_num_batched_tokens = between(rng, knobs->max_num_seqs, MAX_STEP);
    knobs->block_size = sizes[between(rng, 0, 2)];
    knobs->prefix_caching = chance(rng, 75);
    knobs->async_scheduling = chance(rng, 70);
}

/* Multiples of 1/8 s make ties. */
static void draw_times(struct vidur_rng *rng, struct toy_step_times *times)
{
    if (chance(rng, 40)) {
        *times =
            (struct toy_step_times){.fixed_ms = 125,
                                    .tokenise_ms = chance(rng, 30) ? 1000. / 512 : 0,
                                    .api_ms = chance(rng, 50) ? 125 : 0};
        return;
    }
    *times = (struct toy_step_times){
        .fixed_ms = 1 + vidur_rng_uniform(rng),
        .per_token_ms = 0.01 * vidur_rng_uniform(rng),
        .per_sampled_ms = 0.01 * vidur_rng_uniform(rng),
        .launch_ms = vidur_rng_uniform(rng),
        .per_context_ms = 1e-3 * vidur_rng_uniform(rng),
        .per_square_ms = 1e-5 * vidur_rng_uniform(rng),
        .row_ms = 1e-3 * vidur_rng_uniform(rng),
        .mixed_ms = chance(rng, 50) ? 0.1 : 0,
        .tokenise_ms = chance(rng, 50) ? 0.1 * vidur_rng_uniform(rng) : 0,
        .api_ms = chance(rng, 50) ? 7.6 : 0};
}

static void draw_requests(struct vidur_rng *rng, struct scenario *s)
{
    const bool ties = s->times.per_token_ms == 0;
    const double gap_s = (ties ? 4 : 0.05) * vidur_rng_uniform(rng);
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
    if (chance(rng, 75))
        toy_prompts_draw(rng, &s->workload, s->prompt, s->prefill);
}

static void draw_sessions(struct vidur_rng *rng, struct scenario *s)
{
    const struct toy_session_requests requests = {.count = s->workload.num_requests,
                                                  .max_tokens = MAX_TOKENS,
                                                  .ties = s->times.per_token_ms == 0,
                                                  .arrived_at_s = s->arrived_at_s,
                                                  .prefill = s->prefill,
                                                  .decode = s->decode};
    toy_sessions_draw(&s->sessions, rng, &requests);
    s->workload.prompts = (struct vidur_prompts){0};
    s->workload.sessions = toy_sessions_view(&s->sessions);
}

static void draw_blocks(struct vidur_rng *rng, struct scenario *s)
{
    struct vidur_scheduler_config *knobs = &s->deployment.scheduler;
    int64_t longest = 1;
    for (int64_t i = 0; i < s->workload.num_requests; i++)
        if (s->prefill[i] + s->decode[i] > longest)
            longest = s->prefill[i] + s->decode[i];
    const int blocks = (int)(longest / knobs->block_size);
    /* From too little for some requests to plenty. */
    knobs->num_blocks =
        between(rng, blocks / 2 + 1, (chance(rng, 70) ? 2 : 12) * (blocks + 1));
}

static void draw_operators(struct vidur_rng *rng, struct scenario *s)
{
    s->by_operators = true;
    s->profiled_columns = between(rng, 1, DECODE_COLUMNS);
    for (int i = 0; i < MAX_BATCH * DECODE_COLUMNS; i++)
        s->decode_ms[i] = s->times.launch_ms * vidur_rng_uniform(rng);
}

/* Stages of their own times: with ties, of multiples of 1/16 s. */
static void draw_pipeline(struct vidur_rng *rng, struct scenario *s)
{
    struct vidur_deployment *deployment = &s->deployment;
    struct vidur_error err = {0};
    deployment->num_pipeline_stages = between(rng, 2, V1_REFERENCE_STAGES);
    deployment->model.num_layers = deployment->model.kinds[0].count =
        between(rng, V1_REFERENCE_STAGES, 12);
    if (deployment->scheduler.max_num_seqs < V1_REFERENCE_STAGES)
        deployment->scheduler.max_num_seqs = V1_REFERENCE_STAGES;
    if (deployment->scheduler.max_num_batched_tokens < V1_REFERENCE_STAGES)
        deployment->scheduler.max_num_batched_tokens = V1_REFERENCE_STAGES;
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    vidur_stage_kinds_of(&s->kinds, &deployment->model, &deployment->node, &cut, &err);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    for (int i = 0; i < s->kinds.num_kinds; i++) {
        s->stage_times[i] = s->times;
        if (s->times.per_token_ms == 0)
            s->stage_times[i].fixed_ms = 62.5 * between(rng, 1, 3);
        else
            s->stage_times[i].fixed_ms = 0.5 + vidur_rng_uniform(rng);
        s->stage_times[i].per_context_ms *= vidur_rng_uniform(rng);
    }
    s->times = s->stage_times[VIDUR_STAGE_LAST];
}

static struct tables new_tables(const struct scenario *s)
{
    struct tables tables = {
        .view = toy_engine_new(&s->times, MAX_STEP, MAX_BATCH, MAX_TOKENS)};
    for (int i = 0; i < s->kinds.num_kinds; i++) {
        tables.of[i] =
            toy_engine_new(&s->stage_times[i], MAX_STEP, MAX_BATCH, MAX_TOKENS);
        tables.view->engine_stages[i] = tables.of[i]->engine;
    }
    if (s->by_operators)
        tables.view->attn_decode =
            (struct vidur_grid_table){.ms = s->decode_ms,
                                      .num_rows = MAX_BATCH,
                                      .num_columns = DECODE_COLUMNS,
                                      .profiled_rows = MAX_BATCH,
                                      .profiled_columns = s->profiled_columns};
    return tables;
}

static void free_tables(struct tables *tables)
{
    for (int i = 0; i < VIDUR_MAX_STAGE_KINDS; i++)
        toy_engine_free(tables->of[i]);
    toy_engine_free(tables->view);
}

static void draw_options(struct vidur_rng *rng, struct scenario *s)
{
    struct vidur_run_options *options = &s->options;
    const bool alone = s->deployment.num_replicas == 1;
    if (chance(rng, 20))
        options->time_limit_s = s->arrived_at_s[s->workload.num_requests - 1] * 1.5 *
                                vidur_rng_uniform(rng);
    if (chance(rng, 30))
        options->tbt_definition = VIDUR_TBT_BATCH;
    if (!chance(rng, 45))
        return;
    const bool gaps_only = chance(rng, 40);
    for (int i = 0; i < 3; i++) {
        s->slos[i] = (struct vidur_slo){
            .metric = (enum vidur_latency)between(rng, 0, VIDUR_NUM_LATENCIES - 1),
            .quantile = 0.5 + 0.49 * vidur_rng_uniform(rng),
            .limit_s = 40 * s->times.fixed_ms * 1e-3 * vidur_rng_exponential(rng)};
        if (gaps_only)
            s->slos[i].metric = VIDUR_LATENCY_tbt;
        if (s->slos[i].metric == VIDUR_LATENCY_tbt) /* about a step */
            s->slos[i].limit_s =
                s->times.fixed_ms * 1e-3 * (1 + 2 * vidur_rng_uniform(rng));
    }
    options->slos = s->slos;
    options->num_slos = 3;
    options->stop_early = alone && chance(rng, 70);
}

/* The same requests from clients that wait for them. */
static void draw_loop(struct vidur_rng *rng, struct scenario *s)
{
    s->workload.concurrency = between(rng, 1, chance(rng, 50) ? 6 : 40);
    memset(s->arrived_at_s, 0, sizeof s->arrived_at_s);
}

/* Two to four classes, some of equal priority, from a stream of their own. */
static void draw_classes(uint64_t index, struct scenario *s)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 42, vidur_rng_stream("vllm_v1 classes", index));
    struct vidur_workload *workload = &s->workload;
    if (!chance(&rng, 40))
        return;
    s->deployment.scheduler.scheduling_policy = VIDUR_SCHEDULING_PRIORITY;
    if (chance(&rng, 10))
        return; /* one class */
    workload->num_classes = between(&rng, 2, 4);
    for (int i = 0; i < workload->num_classes; i++)
        workload->classes[i].priority = between(&rng, -1, 2);
    for (int64_t i = 0; i < workload->num_requests; i++)
        s->class_of[i] = (uint8_t)between(&rng, 0, workload->num_classes - 1);
    workload->class_of = s->class_of;
}

static void draw_host(uint64_t index, struct scenario *s)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 42, vidur_rng_stream("vllm_v1 host", index));
    if (s->deployment.scheduler.prefix_caching && chance(&rng, 60))
        toy_host_draw(&s->deployment, &rng, MAX_TOKENS, s->times.fixed_ms * 1e-3,
                      s->times.per_token_ms == 0);
}

/* Ranks share the experts of a model that has some. */
static void draw_ranks(struct vidur_rng *rng, struct scenario *s)
{
    struct vidur_layer_kind *kind = &s->deployment.model.kinds[0];
    const bool ties = s->times.per_token_ms == 0;
    kind->num_experts = 12;
    kind->experts_per_token = 2;
    kind->expert_hidden_dim = 120;
    s->deployment.data_parallel_size = between(rng, 2, 4);
    s->deployment.expert_parallel = chance(rng, 80);
    if (chance(rng, 60))
        s->deployment.num_replicas = 1;
    s->times.ranks = s->deployment.data_parallel_size;
    s->times.gathered_ms = ties ? 125 : vidur_rng_uniform(rng);
    s->times.per_gathered_ms = ties ? 0 : 0.01 * vidur_rng_uniform(rng);
}

static struct scenario *draw(uint64_t index, enum kind kind)
{
    static const char *const streams[] = {"vllm_v1", "vllm_v1 ranks",
                                          "vllm_v1 sessions"};
    struct scenario *s = calloc(1, sizeof *s);
    struct vidur_rng rng;
    vidur_rng_init(&rng, 42, vidur_rng_stream(streams[kind], index));
    draw_deployment(&rng, kind, &s->deployment);
    draw_times(&rng, &s->times);
    const bool ranks = kind == RANKS || (kind == SESSIONS && chance(&rng, 35));
    if (ranks)
        draw_ranks(&rng, s);
    draw_requests(&rng, s);
    if (kind == SESSIONS && chance(&rng, 80))
        draw_sessions(&rng, s);
    draw_blocks(&rng, s);
    draw_options(&rng, s);
    const bool may_stage = s->sessions.count == 0 && s->deployment.num_replicas == 1;
    if (may_stage && chance(&rng, 25))
        toy_stages_draw(&rng, &s->workload);
    else if (chance(&rng, kind == SESSIONS ? 40 : 25))
        draw_loop(&rng, s);
    if (chance(&rng, 15))
        draw_operators(&rng, s);
    if (!ranks && chance(&rng, 50))
        draw_pipeline(&rng, s);
    draw_classes(index, s);
    draw_host(index, s);
    return s;
}

static struct vidur_simulator *simulate(const struct scenario *s, bool plain,
                                        const struct vidur_timetable *table,
                                        struct vidur_metrics *metrics)
{
    struct vidur_run_options options = s->options;
    options.plain_stepping = plain;
    return toy_simulate(&s->deployment, table, &s->workload, &options, metrics);
}

/* ---- Against the reference ---- */

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static const char *differs_from(const struct vidur_request_records *records,
                                const struct v1_reference_request *reference)
{
    for (int64_t i = 0; i < records->count; i++) {
        if (!same(records->arrived_at_s[i], reference[i].arrived_at_s))
            return "arrived_at_s";
        if (!same(records->scheduled_at_s[i], reference[i].scheduled_at_s))
            return "scheduled_at_s";
        if (!same(records->prefill_completed_at_s[i], reference[i].first_token_at_s))
            return "prefill_completed_at_s";
        if (!same(records->completed_at_s[i], reference[i].completed_at_s))
            return "completed_at_s";
        if (records->num_restarts[i] != reference[i].restarts)
            return "num_restarts";
    }
    return NULL;
}

static bool has_host(const struct scenario *s)
{
    return s->deployment.scheduler.kv_offload_gib_per_gpu > 0 &&
           (s->workload.prompts.prompt || s->sessions.count > 0);
}

/* Each replica alone, with the requests or sessions that it gets in its turn. */
static void run_reference(const struct scenario *s, const struct vidur_timetable *table,
                          struct v1_reference_request *out,
                          struct v1_reference_tally *tally)
{
    const int32_t replicas = s->deployment.num_replicas;
    int32_t ids[MAX_REQUESTS];
    for (int32_t replica = 0; replica < replicas; replica++) {
        int64_t count = 0;
        for (int32_t i = 0; i < s->workload.num_requests; i++)
            if ((s->sessions.count ? s->sessions.session[i] : i) % replicas == replica)
                ids[count++] = i;
        struct v1_reference_input input = {
            .knobs = &s->deployment.scheduler,
            .table = table->engine,
            .num_stages = s->deployment.num_pipeline_stages,
            .workload = &s->workload,
            .ids = ids,
            .count = count,
            .num_ranks = s->deployment.data_parallel_size};
        if (has_host(s)) {
            const struct toy_host host = toy_host_of(&s->deployment, MAX_TOKENS);
            input.host_blocks = host.num_blocks;
            input.host_block_s = host.block_s;
        }
        for (int i = 0; i < s->kinds.num_stages; i++)
            input.stages[i] = table->engine_stages[s->kinds.kind_of[i]];
        v1_reference_run(&input, out, tally);
    }
}

static bool has_reference(const struct scenario *s)
{
    const bool ranks = s->deployment.data_parallel_size > 1;
    if (ranks && (s->deployment.num_replicas > 1 || s->workload.stages.count > 0))
        return false;
    return s->options.time_limit_s == 0 && !s->options.stop_early && !s->by_operators &&
           (s->deployment.num_replicas == 1 ||
            (s->workload.concurrency == 0 &&
             strcmp(s->deployment.router,
                    s->sessions.count ? "session" : "round_robin") == 0));
}

struct tally {
    int different, restarted, unfinished, limited, stopped, shared, referred, staged,
        closed, by_priority, piped, piped_restarted, sessions, users, ranks, ranked,
        host, host_restarted;
    struct v1_reference_tally reference;
};

static void complain(uint64_t index, const struct scenario *s, const char *what,
                     struct tally *tally)
{
    const struct vidur_scheduler_config *knobs = &s->deployment.scheduler;
    if (!what || tally->different++ >= 10)
        return;
    printf("\n  case %d: %s differs: %s, %d replicas of %d, %d requests, %d blocks of "
           "%d, %d requests and %d tokens a step, %d stages%s%s%s%s%s%s%s",
           (int)index, what, s->deployment.router, s->deployment.num_replicas,
           s->deployment.data_parallel_size, (int)s->workload.num_requests,
           (int)knobs->num_blocks, knobs->block_size, knobs->max_num_seqs,
           knobs->max_num_batched_tokens, s->deployment.num_pipeline_stages,
           knobs->async_scheduling ? ", async" : "",
           s->workload.prompts.prompt && knobs->prefix_caching ? ", prefixes" : "",
           s->workload.stages.count ? ", load in stages" : "",
           s->workload.concurrency ? ", closed loop" : "",
           s->sessions.count ? ", sessions" : "",
           knobs->scheduling_policy ? ", by priority" : "",
           has_host(s) ? ", host" : "");
}

static void compare(uint64_t index, enum kind kind, struct tally *tally)
{
    struct scenario *s = draw(index, kind);
    const bool has_sessions = s->sessions.count > 0;
    const bool by_priority = s->deployment.scheduler.scheduling_policy;
    struct tables tables = new_tables(s);
    struct vidur_timetable *table = tables.view;
    struct v1_reference_request reference[MAX_REQUESTS];
    struct vidur_metrics plain, quick;
    struct vidur_simulator *a = simulate(s, true, table, &plain);
    struct vidur_simulator *b = simulate(s, false, table, &quick);
    const char *what =
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b));
    complain(index, s, what ? what : toy_metrics_differ(&plain, &quick), tally);
    if (has_reference(s)) {
        const int64_t loads = tally->reference.loads;
        run_reference(s, table, reference, &tally->reference);
        what = differs_from(vidur_simulator_requests(a), reference);
        if (!what && tally->reference.loads - loads != plain.loads.count)
            what = "loads.count";
        complain(index, s, what, tally);
        tally->referred++;
        tally->staged += s->workload.stages.count > 0;
        tally->closed += s->workload.concurrency > 0;
        tally->sessions += has_sessions;
        tally->users += has_sessions && s->workload.concurrency > 0;
        tally->ranks += has_sessions && s->deployment.data_parallel_size > 1;
        tally->by_priority += by_priority;
        tally->ranked += by_priority && has_sessions;
    }
    tally->shared += (s->workload.prompts.prompt || has_sessions) &&
                     s->deployment.scheduler.prefix_caching;
    tally->host += plain.loads.count > 0;
    tally->host_restarted += plain.loads.count > 0 && plain.num_restarts > 0;
    tally->piped += s->kinds.num_stages > 1;
    tally->piped_restarted += s->kinds.num_stages > 1 && plain.num_restarts > 0;
    tally->restarted += plain.num_restarts > 0;
    tally->unfinished += plain.num_completed < plain.num_requests;
    tally->limited += plain.time_limited;
    tally->stopped += plain.stopped_early;
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    free_tables(&tables);
    free(s);
}

static void compare_all(enum kind kind, struct tally *tally)
{
    for (uint64_t i = 0; i < NUM_CASES; i++)
        compare(i, kind, tally);
    CU_ASSERT_EQUAL(tally->different, 0);
    /* The drawing reaches what it is meant to reach. */
    CU_ASSERT(tally->restarted > NUM_CASES / 20);
    CU_ASSERT(tally->shared > NUM_CASES / 3);
    CU_ASSERT(tally->limited > NUM_CASES / 20);
    CU_ASSERT(tally->stopped > NUM_CASES / 20);
    CU_ASSERT(tally->reference.hits > 0);
    CU_ASSERT(tally->reference.evictions > 0);
    CU_ASSERT(kind == SESSIONS || tally->reference.forgotten > 0); /* rare there */
    CU_ASSERT(tally->reference.emptied > 0);
    CU_ASSERT(tally->host > NUM_CASES / 12);
    CU_ASSERT(tally->host_restarted > NUM_CASES / 50);
    CU_ASSERT(tally->reference.loads > NUM_CASES / 4);
    CU_ASSERT(tally->reference.host_evictions > NUM_CASES);
    printf("\n  %d load from host memory, %d of them with restarts; against the "
           "reference %lld loads of %lld blocks, %lld evicted there",
           tally->host, tally->host_restarted, (long long)tally->reference.loads,
           (long long)tally->reference.loaded,
           (long long)tally->reference.host_evictions);
}

static void test_sessions(void)
{
    struct tally t = {0};
    compare_all(SESSIONS, &t);
    printf(
        "\n  %d with restarts; of sessions %d, of users %d, of ranks %d, by priority "
        "%d: %lld generated blocks\n",
        t.restarted, t.sessions, t.users, t.ranks, t.ranked,
        (long long)t.reference.generated);
    CU_ASSERT(t.sessions > NUM_CASES / 8);
    CU_ASSERT(t.users > NUM_CASES / 40);
    CU_ASSERT(t.ranks > NUM_CASES / 40);
    CU_ASSERT(t.ranked > NUM_CASES / 40);
    CU_ASSERT(t.reference.generated > 0);
}

static void test_ranks(void)
{
    struct tally t = {0};
    compare_all(RANKS, &t);
    CU_ASSERT(t.referred > NUM_CASES / 4);
    CU_ASSERT(t.closed > NUM_CASES / 20);
    printf("\n  %d with restarts, %d unfinished, %d cut by time, %d stopped early\n"
           "  %d against the reference: %lld steps, %lld dummies, %lld padded\n",
           t.restarted, t.unfinished, t.limited, t.stopped, t.referred,
           (long long)t.reference.steps, (long long)t.reference.dummies,
           (long long)t.reference.padded);
    CU_ASSERT(t.reference.dummies > t.reference.steps / 20);
    CU_ASSERT(t.reference.padded > t.reference.steps / 20);
}

static void test_equal(void)
{
    struct tally t = {0};
    compare_all(ENGINES, &t);
    CU_ASSERT(t.closed > NUM_CASES / 20);
    printf("\n  %d cases: %d with restarts, %d with prefixes, %d unfinished, %d cut by "
           "time, %d stopped early\n",
           NUM_CASES, t.restarted, t.shared, t.unfinished, t.limited, t.stopped);
    printf("  %d against the reference, %d in stages: %lld steps, %lld hits, %lld "
           "evictions, %lld blocks forgotten, %lld steps emptied, %lld fixed by "
           "arrivals\n",
           t.referred, t.staged, (long long)t.reference.steps,
           (long long)t.reference.hits, (long long)t.reference.evictions,
           (long long)t.reference.forgotten, (long long)t.reference.emptied,
           (long long)t.reference.fixed_apart);
    printf("  %d by priority: %lld overtook, %lld preempted out of order\n"
           "  %d pipelines, %d with restarts: %lld steps began beside another, %lld "
           "parts of prompts, %lld arrivals were held back\n",
           t.by_priority, (long long)t.reference.overtaken,
           (long long)t.reference.picked, t.piped, t.piped_restarted,
           (long long)t.reference.overlaps, (long long)t.reference.chained,
           (long long)t.reference.held_back);
    CU_ASSERT(t.restarted > NUM_CASES / 10);
    CU_ASSERT(t.referred >= NUM_CASES / 3);
    CU_ASSERT(t.staged > NUM_CASES / 20);
    CU_ASSERT(t.reference.fixed_apart > 0);
    CU_ASSERT(t.reference.stages_late > 0);
    CU_ASSERT(t.by_priority > NUM_CASES / 10);
    CU_ASSERT(t.reference.overtaken > 500);
    CU_ASSERT(t.reference.picked > 20);
    CU_ASSERT(t.piped > NUM_CASES / 3);
    CU_ASSERT(t.piped_restarted > NUM_CASES / 20);
    CU_ASSERT(t.reference.overlaps > 0);
    CU_ASSERT(t.reference.chained > 0);
    CU_ASSERT(t.reference.held_back > 0);
}

VIDUR_TEST_MAIN("vllm_v1", {"equal to the reference, to the bit", test_equal},
                {"ranks in lockstep, to the bit", test_ranks},
                {"sessions, to the bit", test_sessions})
