#include "test.h"
#include "toy_scenario.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 64 };

static struct vidur_timetable *one_second(void)
{
    return toy_timetable_new(&(struct toy_times){.fixed_ms = 1000.0 / TOY_LAYERS}, 1024,
                             64);
}

/* Four requests, four seconds apart; each takes three iterations. */
static const double arrived_at_s[] = {0, 4, 8, 12};
static const int32_t prefill[] = {16, 16, 16, 16}, decode[] = {3, 3, 3, 3};

static struct vidur_workload four(void)
{
    return toy_workload(4, MAX_TOKENS, arrived_at_s, prefill, decode);
}

struct fixture {
    struct vidur_timetable *table;
    struct vidur_deployment deployment;
    struct vidur_simulator *simulator;
    struct vidur_metrics metrics;
    struct vidur_error err;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){.table = one_second()};
    toy_deployment(&f->deployment, "vllm");
    f->deployment.scheduler.num_blocks = 10;
    CU_ASSERT_EQUAL_FATAL(vidur_simulator_create(&f->simulator, &f->deployment,
                                                 f->table, MAX_TOKENS, &f->err),
                          0);
}

static void end(struct fixture *f)
{
    vidur_simulator_destroy(f->simulator);
    toy_timetable_free(f->table);
}

static int run(struct fixture *f, const struct vidur_run_options *options)
{
    const struct vidur_workload workload = four();
    return vidur_simulator_run(f->simulator, &workload, options, &f->metrics, &f->err);
}

/* ---- What comes out, by hand ---- */

static void test_metrics(void)
{
    struct fixture f;
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(run(&f, &(struct vidur_run_options){0}), 0);
    const struct vidur_metrics *m = &f.metrics;
    CU_ASSERT_EQUAL(m->simulated_time_s, 15);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_ttft].mean, 1);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_tbt].count, 8);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_tbt].max, 1);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_tpot].p99, 1);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_e2e].p50, 3);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_e2e_normalized].mean, 1);
    CU_ASSERT_EQUAL(m->latency[VIDUR_LATENCY_scheduling_delay].max, 0);
    CU_ASSERT_DOUBLE_EQUAL(m->requests_per_s, 4.0 / 15, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(m->output_tokens_per_s, 12.0 / 15, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(m->total_tokens_per_s, 76.0 / 15, 1e-14);
    CU_ASSERT_DOUBLE_EQUAL(m->busy, 100 * 12.0 / 15, 1e-12);
    /* One block in the prompt's second, two while it decodes: 5 block seconds each. */
    CU_ASSERT_DOUBLE_EQUAL(m->memory_usage, 100 * 4 * 5.0 / (15 * 10), 1e-12);
    CU_ASSERT_EQUAL(m->num_batches, 12);
    CU_ASSERT_EQUAL(m->mean_batch_size, 1);
    CU_ASSERT_DOUBLE_EQUAL(m->mean_tokens_per_batch, 4 * 18.0 / 12, 1e-15);
    CU_ASSERT_EQUAL(m->mean_decode_batch_size, 1);
    CU_ASSERT_DOUBLE_EQUAL(m->prefill_token_fraction, 16.0 / 18, 1e-15);
    CU_ASSERT_EQUAL(m->mean_waiting_requests, 0);
    CU_ASSERT_EQUAL(m->num_arrived, 4);
    CU_ASSERT_EQUAL(m->num_completed, 4);
    CU_ASSERT_EQUAL(m->violated_slo, -1);
    /* 2 * tokens * parameters + 4 * layers * heads * head size * sum of t (t + n) */
    const double params = 8.0 * (64 * 16 * (4 + 8 + 4) + 3 * 64 * 128);
    const double attention = 4 * (16.0 * 16 + (1 + 17) + (1 + 18));
    const double flops = 2 * 72 * params + 4 * 8 * 4 * 16 * attention;
    CU_ASSERT_DOUBLE_EQUAL(m->mfu / (100 * flops / 15 / 0x1p40), 1, 1e-12);
    end(&f);
}

static void test_records(void)
{
    struct fixture f;
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(run(&f, &(struct vidur_run_options){0}), 0);
    const struct vidur_request_records *r = vidur_simulator_requests(f.simulator);
    CU_ASSERT_EQUAL(r->count, 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(r->scheduled_at_s[i], arrived_at_s[i]);
        CU_ASSERT_EQUAL(r->prefill_completed_at_s[i], arrived_at_s[i] + 1);
        CU_ASSERT_EQUAL(r->completed_at_s[i], arrived_at_s[i] + 3);
        CU_ASSERT_EQUAL(r->execution_time_s[i], 3);
        CU_ASSERT_EQUAL(r->model_execution_time_s[i], 3);
        CU_ASSERT_EQUAL(r->preempted_time_s[i], 0);
        CU_ASSERT_EQUAL(r->num_restarts[i], 0);
    }
    end(&f);
}

/* A request that evicts itself waits until somebody arrives, more than the 36 hours at
 * which sums of ticks wrap. */
static void test_long_preemption(void)
{
    static const double arrived_s[] = {0, 300000};
    static const int32_t prompts[] = {4, 1}, outputs[] = {3, 1};
    const struct vidur_workload workload =
        toy_workload(2, MAX_TOKENS, arrived_s, prompts, outputs);
    const struct vidur_run_options options = {0};
    struct fixture f = {.table = one_second()};
    toy_deployment(&f.deployment, "vllm");
    f.deployment.scheduler.num_blocks = 2;
    f.deployment.scheduler.block_size = 4;
    f.deployment.scheduler.watermark_blocks_fraction = 0;
    CU_ASSERT_EQUAL_FATAL(vidur_simulator_create(&f.simulator, &f.deployment, f.table,
                                                 MAX_TOKENS, &f.err),
                          0);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(f.simulator, &workload, &options, &f.metrics, &f.err), 0);
    const struct vidur_request_records *r = vidur_simulator_requests(f.simulator);
    CU_ASSERT_EQUAL(r->num_restarts[0], 1);
    CU_ASSERT_EQUAL(r->execution_time_s[0] + r->preempted_time_s[0],
                    r->completed_at_s[0]);
    CU_ASSERT(r->preempted_time_s[0] > 299990);
    end(&f);
}

/* The limit cuts between the second and third iteration of the second request. */
static void test_time_limit(void)
{
    struct fixture f;
    begin(&f);
    for (int plain = 0; plain < 2; plain++) {
        const struct vidur_slo slos[] = {
            {.metric = VIDUR_LATENCY_e2e, .quantile = 0.5, .limit_s = 2.4},
            {.metric = VIDUR_LATENCY_e2e, .quantile = 0.5, .limit_s = 3}};
        struct vidur_run_options options = {
            .time_limit_s = 6.5, .plain_stepping = plain, .slos = slos, .num_slos = 1};
        CU_ASSERT_EQUAL_FATAL(run(&f, &options), 0);
        CU_ASSERT(f.metrics.time_limited);
        CU_ASSERT_EQUAL(f.metrics.num_completed, 1);
        CU_ASSERT_EQUAL(f.metrics.num_arrived, 2);
        CU_ASSERT_EQUAL(f.metrics.simulated_time_s, 6.5);
        CU_ASSERT_EQUAL(f.metrics.latency[VIDUR_LATENCY_ttft].count, 2);
        /* The second request has waited 2.5 s: late for one limit, not for the other.
         */
        CU_ASSERT_EQUAL(f.metrics.violated_slo, 0);
        options.slos = slos + 1;
        CU_ASSERT_EQUAL_FATAL(run(&f, &options), 0);
        CU_ASSERT_EQUAL(f.metrics.violated_slo, -1);
        const struct vidur_request_records *r = vidur_simulator_requests(f.simulator);
        CU_ASSERT_EQUAL(r->execution_time_s[1], 2);
        CU_ASSERT(isnan(r->completed_at_s[1]));
        CU_ASSERT(isnan(r->scheduled_at_s[2]));
    }
    end(&f);
}

/* The gap of a batch that waited for memory, and the batch's own duration. */
static void test_tbt_definitions(void)
{
    struct fixture f;
    static const double together[] = {0, 1.5};
    static const int32_t outputs[] = {3, 1};
    const struct vidur_workload workload =
        toy_workload(2, MAX_TOKENS, together, prefill, outputs);
    struct vidur_run_options options = {0};
    begin(&f);
    /* 0:0x16 1:0x1 2:1x16 3:0x1: the second gap is two iterations long. */
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(f.simulator, &workload, &options, &f.metrics, &f.err), 0);
    CU_ASSERT_EQUAL(f.metrics.latency[VIDUR_LATENCY_tbt].count, 2);
    CU_ASSERT_EQUAL(f.metrics.latency[VIDUR_LATENCY_tbt].max, 2);
    CU_ASSERT_EQUAL(vidur_simulator_requests(f.simulator)->preempted_time_s[0], 1);
    options.tbt_definition = VIDUR_TBT_BATCH;
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(f.simulator, &workload, &options, &f.metrics, &f.err), 0);
    CU_ASSERT_EQUAL(f.metrics.latency[VIDUR_LATENCY_tbt].count, 4);
    CU_ASSERT_EQUAL(f.metrics.latency[VIDUR_LATENCY_tbt].max, 1);
    end(&f);
}

/* ---- Using it again ---- */

/* The arena is kept: a second run, also a smaller one, changes and allocates nothing.
 */
static void test_reuse(void)
{
    struct toy_scenario *large = toy_scenario_draw(1), *small = toy_scenario_draw(2);
    struct vidur_timetable *table = toy_scenario_timetable(large);
    struct vidur_error err = {0};
    struct vidur_metrics first, again;
    struct vidur_simulator *a, *b;
    const struct vidur_run_options options = {0};
    large->options = small->options = options;
    large->count = TOY_MAX_REQUESTS;
    for (int64_t i = 0; i < large->count; i++) {
        large->arrived_at_s[i] = 0.01 * (double)i;
        large->prefill[i] = 1 + (int32_t)i % 90;
        large->decode[i] = 1 + (int32_t)i % 50;
    }
    small->count = 5;
    const struct vidur_workload much = toy_scenario_workload(large);
    const struct vidur_workload little = toy_scenario_workload(small);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_create(&a, &large->deployment, table, TOY_MAX_TOKENS, &err), 0);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_create(&b, &large->deployment, table, TOY_MAX_TOKENS, &err), 0);
    CU_ASSERT_EQUAL(vidur_simulator_run(a, &much, &options, &first, &err), 0);
    const int64_t bytes = vidur_simulator_memory_bytes(a);
    CU_ASSERT_EQUAL(vidur_simulator_run(a, &little, &options, &again, &err), 0);
    CU_ASSERT_EQUAL(vidur_simulator_run(a, &much, &options, &again, &err), 0);
    CU_ASSERT_EQUAL(vidur_simulator_memory_bytes(a), bytes);
    CU_ASSERT_PTR_NULL(toy_metrics_differ(&first, &again));
    CU_ASSERT_EQUAL(vidur_simulator_run(b, &much, &options, &again, &err), 0);
    CU_ASSERT_PTR_NULL(toy_metrics_differ(&first, &again));
    CU_ASSERT_PTR_NULL(
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b)));
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    toy_timetable_free(table);
    free(large);
    free(small);
}

/* ---- Observers ---- */

struct log {
    int events[VIDUR_NUM_EVENT_TYPES];
    double last_s;
    int64_t last_id;
    int out_of_order, batches, reports;
    int stop_at;
};

static int see_event(void *context, const struct vidur_event_record *record)
{
    struct log *log = context;
    log->events[record->type]++;
    log->out_of_order += record->time_s < log->last_s;
    log->last_s = record->time_s;
    return 0;
}

static int see_batch(void *context, const struct vidur_batch_record *record)
{
    struct log *log = context;
    (void)record;
    return ++log->batches == log->stop_at;
}

static int see_progress(void *context, double time_s, int64_t num_completed)
{
    struct log *log = context;
    (void)time_s, (void)num_completed;
    return ++log->reports == log->stop_at;
}

static void test_events(void)
{
    struct fixture f;
    struct log log = {0};
    const struct vidur_observer observer = {.context = &log, .event = see_event};
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(run(&f, &(struct vidur_run_options){.observer = &observer}),
                          0);
    CU_ASSERT_EQUAL(log.out_of_order, 0);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_REQUEST_ARRIVAL], 4);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_GLOBAL_SCHEDULE], 4);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_REPLICA_SCHEDULE], 4 + 12);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_STAGE_ARRIVAL], 12);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_STAGE_SCHEDULE], 12 + 12);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_STAGE_END], 12);
    CU_ASSERT_EQUAL(log.events[VIDUR_EVENT_BATCH_END], 12);
    end(&f);
}

static void test_stopping(void)
{
    struct fixture f;
    struct log log = {.stop_at = 5};
    struct vidur_observer observer = {.context = &log, .batch = see_batch};
    const volatile int cancel = 1;
    begin(&f);
    CU_ASSERT_EQUAL(run(&f, &(struct vidur_run_options){.observer = &observer}), -1);
    CU_ASSERT_EQUAL(f.err.code, VIDUR_EINTR);
    CU_ASSERT_EQUAL(log.batches, 5);
    CU_ASSERT_EQUAL(vidur_simulator_requests(f.simulator)->count, 0);
    log = (struct log){.stop_at = 1};
    observer = (struct vidur_observer){.context = &log, .progress = see_progress};
    CU_ASSERT_EQUAL(run(&f, &(struct vidur_run_options){.observer = &observer,
                                                        .plain_stepping = true}),
                    -1);
    CU_ASSERT_EQUAL(f.err.code, VIDUR_EINTR);
    for (int plain = 0; plain < 2; plain++) {
        f.err = (struct vidur_error){0};
        CU_ASSERT_EQUAL(run(&f, &(struct vidur_run_options){.cancel = &cancel,
                                                            .plain_stepping = plain}),
                        -1);
        CU_ASSERT_EQUAL(f.err.code, VIDUR_EINTR);
    }
    /* It can be run again. */
    CU_ASSERT_EQUAL(run(&f, &(struct vidur_run_options){0}), 0);
    CU_ASSERT_EQUAL(f.metrics.num_completed, 4);
    end(&f);
}

/* ---- What is refused ---- */

static void expect_refusal(struct fixture *f, const struct vidur_workload *workload,
                           const struct vidur_run_options *options, const char *text)
{
    f->err = (struct vidur_error){0};
    CU_ASSERT_EQUAL(
        vidur_simulator_run(f->simulator, workload, options, &f->metrics, &f->err), -1);
    CU_ASSERT_EQUAL(f->err.code, VIDUR_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(f->err.text, text));
}

static void test_bad_workloads(void)
{
    struct fixture f;
    const struct vidur_run_options options = {0};
    double times[] = {0, 1};
    int32_t tokens[] = {5, 5};
    struct vidur_workload workload = toy_workload(2, MAX_TOKENS, times, tokens, tokens);
    begin(&f);
    times[0] = 2;
    expect_refusal(&f, &workload, &options,
                   "request 1 arrives at 1 s after one at 2 s");
    times[0] = -1;
    expect_refusal(&f, &workload, &options, "request 0 arrives at -1");
    times[0] = NAN;
    expect_refusal(&f, &workload, &options, "request 0 arrives at");
    times[0] = 0;
    tokens[1] = 0;
    expect_refusal(&f, &workload, &options, "request 1 has 0 prompt and 0 output");
    tokens[1] = 5;
    workload.num_requests = 0;
    expect_refusal(&f, &workload, &options, "0 requests");
    end(&f);
}

static void test_bad_slos(void)
{
    static const struct vidur_slo slos[] = {
        {.metric = VIDUR_LATENCY_ttft, .quantile = 0, .limit_s = 1},
        {.metric = VIDUR_LATENCY_ttft, .quantile = 1.1, .limit_s = 1},
        {.metric = VIDUR_LATENCY_ttft, .quantile = 0.9, .limit_s = -1},
        {.metric = VIDUR_LATENCY_ttft, .quantile = 0.9, .limit_s = NAN}};
    struct fixture f;
    const struct vidur_workload workload = four();
    begin(&f);
    for (int i = 0; i < 4; i++)
        expect_refusal(&f, &workload,
                       &(struct vidur_run_options){.slos = &slos[i], .num_slos = 1},
                       "slos.0: quantile");
    end(&f);
}

static void test_missing_times(void)
{
    struct fixture f;
    const struct vidur_workload workload = four();
    begin(&f);
    f.table->attn_decode.num_columns = 0; /* no decode at all */
    expect_refusal(&f, &workload, &(struct vidur_run_options){0}, "attn_decode");
    expect_refusal(&f, &workload, &(struct vidur_run_options){.plain_stepping = true},
                   "attn_decode");
    end(&f);
}

static void test_does_not_fit(void)
{
    struct fixture f;
    struct vidur_simulator *none;
    begin(&f);
    f.deployment.device.memory_gib = 1e-6;
    CU_ASSERT_EQUAL(
        vidur_simulator_create(&none, &f.deployment, f.table, MAX_TOKENS, &f.err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "does not fit in the memory of toy"));
    CU_ASSERT_EQUAL(vidur_simulator_create(&none, &f.deployment, f.table, 0, &f.err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "max_tokens"));
    strcpy(f.deployment.scheduler.type, "nobody");
    CU_ASSERT_EQUAL(
        vidur_simulator_create(&none, &f.deployment, f.table, MAX_TOKENS, &f.err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(f.err.text, "scheduler.type: 'nobody'"));
    vidur_simulator_destroy(NULL);
    end(&f);
}

VIDUR_TEST_MAIN("simulator", {"metrics by hand", test_metrics},
                {"records by hand", test_records},
                {"a long preemption", test_long_preemption},
                {"time limit", test_time_limit},
                {"definitions of tbt", test_tbt_definitions}, {"reuse", test_reuse},
                {"events", test_events}, {"stopping", test_stopping},
                {"bad workloads", test_bad_workloads}, {"bad slos", test_bad_slos},
                {"missing times", test_missing_times},
                {"does not fit", test_does_not_fit})
