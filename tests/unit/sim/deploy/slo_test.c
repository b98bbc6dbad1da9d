#include "test.h"
#include "toy_scenario.h"

#include "base/quantile.h"
#include "replica/slo_watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_names(void)
{
    struct vidur_error err = {0};
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++) {
        enum vidur_latency found;
        const char *name = vidur_latency_name((enum vidur_latency)i);
        CU_ASSERT_EQUAL(vidur_latency_from_name(name, &found, &err), 0);
        CU_ASSERT_EQUAL((int)found, i);
    }
    enum vidur_latency none;
    CU_ASSERT_EQUAL(vidur_latency_from_name("tftt", &none, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "scheduling_delay"));
}

/* With that many samples over the limit the quantile is over it; with one fewer it can
 * still be under. */
static void test_lost_at(void)
{
    static const double quantiles[] = {0.5, 0.9, 0.95, 0.99, 1};
    for (int64_t n = 1; n < 300; n++)
        for (int q = 0; q < 5; q++) {
            double values[300];
            const int64_t lost_at = vidur_slo_lost_at(n, quantiles[q]);
            CU_ASSERT_FATAL(lost_at >= 1 && lost_at <= n);
            for (int64_t i = 0; i < n; i++)
                values[i] = i < lost_at ? 2 : 1;
            CU_ASSERT(vidur_quantile(values, n, quantiles[q]) == 2);
            for (int64_t i = 0; i < n; i++) /* barely over */
                values[i] = i < lost_at - 1 ? 1.0000001 : 0;
            CU_ASSERT(vidur_quantile(values, n, quantiles[q]) <= 1.0000001);
            for (int64_t i = 0; i < n; i++)
                values[i] = i < lost_at - 1 ? 2 : 1;
            values[n - 1] = n == lost_at - 1 ? 2 : -1000;
            CU_ASSERT(vidur_quantile(values, n, quantiles[q]) < 2);
        }
    CU_ASSERT_EQUAL(vidur_slo_lost_at(0, 0.9), INT64_MAX);
}

static int run(const struct toy_scenario *scenario, bool stop_early,
               struct vidur_metrics *metrics)
{
    struct vidur_error err = {0};
    struct vidur_simulator *simulator;
    struct vidur_timetable *table = toy_scenario_timetable(scenario);
    const struct vidur_workload workload = toy_scenario_workload(scenario);
    struct vidur_run_options options = scenario->options;
    options.stop_early = stop_early;
    options.time_limit_s = 0;
    CU_ASSERT_EQUAL_FATAL(vidur_simulator_create(&simulator, &scenario->deployment,
                                                 table, TOY_MAX_TOKENS, &err),
                          0);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(simulator, &workload, &options, metrics, &err), 0);
    vidur_simulator_destroy(simulator);
    toy_timetable_free(table);
    return metrics->violated_slo;
}

/* Stopping early never changes whether all SLOs are met. */
static void test_early_stop_keeps_the_verdict(void)
{
    int stopped = 0, met = 0, asked = 0;
    for (uint64_t index = 0; index < VIDUR_TEST_CASES(1200); index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        struct vidur_metrics full, early;
        for (int i = 0; i < TOY_NUM_SLOS && index % 2; i++)
            scenario->slos[i].limit_s *= 10; /* so that some are met */
        if (scenario->options.num_slos > 0) {
            const int verdict = run(scenario, false, &full);
            CU_ASSERT_FALSE(full.stopped_early);
            const int quick = run(scenario, true, &early);
            CU_ASSERT_EQUAL(quick < 0, verdict < 0);
            CU_ASSERT(early.num_batches <= full.num_batches);
            if (early.stopped_early)
                CU_ASSERT(quick >= 0);
            stopped += early.stopped_early;
            met += verdict < 0;
            asked++;
        }
        free(scenario);
    }
    CU_ASSERT(stopped > asked / 10);
    CU_ASSERT(met > asked / 20);
}

/* The verdict is the quantile's: a limit at it passes, one below it does not. */
static void test_limit_is_inclusive(void)
{
    int checked = 0;
    for (uint64_t index = 0; index < 300; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        struct vidur_metrics metrics;
        scenario->options = (struct vidur_run_options){0};
        run(scenario, false, &metrics);
        for (int m = 0; m < VIDUR_NUM_LATENCIES; m++) {
            const struct vidur_distribution *d = &metrics.latency[m];
            if (metrics.num_completed < metrics.num_requests || d->p90 <= 0)
                continue;
            scenario->slos[0] = (struct vidur_slo){
                .metric = (enum vidur_latency)m, .quantile = 0.9, .limit_s = d->p90};
            scenario->options.slos = scenario->slos;
            scenario->options.num_slos = 1;
            struct vidur_metrics other;
            CU_ASSERT_EQUAL(run(scenario, true, &other), -1);
            scenario->slos[0].limit_s = nextafter(d->p90, 0);
            CU_ASSERT_EQUAL(run(scenario, true, &other), 0);
            checked++;
        }
        free(scenario);
    }
    CU_ASSERT(checked > 300);
}

/* The verdict looks at the value that the run tells, whatever the quantile: one that
 * the distribution has or another. */
static void test_values_are_the_verdicts(void)
{
    static const double quantiles[VIDUR_MAX_SLOS] = {0.5,  0.9,   0.95, 0.99,
                                                     0.75, 0.999, 1,    0.01};
    int checked = 0;
    for (uint64_t index = 0; index < 200; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        const enum vidur_tbt_definition tbt = scenario->options.tbt_definition;
        struct vidur_slo slos[VIDUR_MAX_SLOS];
        struct vidur_metrics metrics, one;
        const enum vidur_latency metric =
            (enum vidur_latency)(index % VIDUR_NUM_LATENCIES);
        for (int i = 0; i < VIDUR_MAX_SLOS; i++)
            slos[i] = (struct vidur_slo){
                .metric = metric, .quantile = quantiles[i], .limit_s = 1e9};
        scenario->options = (struct vidur_run_options){
            .slos = slos, .num_slos = VIDUR_MAX_SLOS, .tbt_definition = tbt};
        run(scenario, false, &metrics);
        const struct vidur_distribution *d = &metrics.latency[metric];
        for (int i = 0; i < VIDUR_MAX_SLOS; i++) {
            const double value = metrics.slo_value[i];
            if (d->count == 0 || metrics.num_completed < metrics.num_requests) {
                CU_ASSERT(isnan(value) || metrics.num_completed < metrics.num_requests);
                continue;
            }
            struct vidur_slo slo = {
                .metric = metric, .quantile = quantiles[i], .limit_s = value};
            scenario->options.slos = &slo;
            scenario->options.num_slos = 1;
            CU_ASSERT_EQUAL(run(scenario, false, &one), -1);
            CU_ASSERT_EQUAL(one.slo_value[0], value);
            CU_ASSERT(isnan(one.slo_value[1]));
            slo.limit_s = nextafter(value, -1);
            CU_ASSERT_EQUAL(value > 0 ? run(scenario, false, &one) : 0, 0);
            checked++;
        }
        if (d->count > 0 && metrics.num_completed == metrics.num_requests) {
            const double told[] = {d->p50, d->p90, d->p95, d->p99};
            for (int i = 0; i < 4; i++)
                CU_ASSERT_EQUAL(metrics.slo_value[i], told[i]);
            CU_ASSERT_EQUAL(metrics.slo_value[6], d->max);
            CU_ASSERT(metrics.slo_value[7] <= d->p50 &&
                      d->p50 <= metrics.slo_value[4] && d->p99 <= metrics.slo_value[5]);
        }
        free(scenario);
    }
    CU_ASSERT(checked > 800);
}

/* A run that ends early tells what it measured, or that it measured nothing. */
static void test_values_of_stopped_runs(void)
{
    int known = 0, unknown = 0;
    for (uint64_t index = 0; index < VIDUR_TEST_CASES(1200); index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        struct vidur_metrics metrics;
        if (scenario->options.num_slos > 0) {
            run(scenario, true, &metrics);
            for (int i = 0; i < TOY_NUM_SLOS && metrics.stopped_early; i++) {
                const struct vidur_distribution *d =
                    &metrics.latency[scenario->slos[i].metric];
                const double value = metrics.slo_value[i];
                CU_ASSERT_EQUAL(isnan(value), d->count == 0);
                CU_ASSERT(isnan(value) || (value >= d->p50 && value <= d->max));
                known += !isnan(value);
                unknown += isnan(value);
            }
        }
        free(scenario);
    }
    CU_ASSERT(known > VIDUR_TEST_CASES(100) && unknown > VIDUR_TEST_CASES(10));
}

static void test_too_many(void)
{
    struct toy_scenario *scenario = toy_scenario_draw(0);
    struct vidur_slo slos[VIDUR_MAX_SLOS + 1];
    struct vidur_error err = {0};
    struct vidur_simulator *simulator;
    struct vidur_metrics metrics;
    struct vidur_timetable *table = toy_scenario_timetable(scenario);
    const struct vidur_workload workload = toy_scenario_workload(scenario);
    for (int i = 0; i <= VIDUR_MAX_SLOS; i++)
        slos[i] = (struct vidur_slo){
            .metric = VIDUR_LATENCY_ttft, .quantile = 0.5, .limit_s = 1};
    const struct vidur_run_options options = {.slos = slos,
                                              .num_slos = VIDUR_MAX_SLOS + 1};
    CU_ASSERT_EQUAL_FATAL(vidur_simulator_create(&simulator, &scenario->deployment,
                                                 table, TOY_MAX_TOKENS, &err),
                          0);
    CU_ASSERT_EQUAL(vidur_simulator_run(simulator, &workload, &options, &metrics, &err),
                    -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "slos: there are 9; a run takes up to 8"));
    vidur_simulator_destroy(simulator);
    toy_timetable_free(table);
    free(scenario);
}

/* Requests that can never run fail their run. */
static void test_stuck_requests_count(void)
{
    struct toy_scenario *scenario = toy_scenario_draw(0);
    struct vidur_metrics metrics;
    toy_deployment(&scenario->deployment, "sarathi");
    scenario->deployment.scheduler.num_blocks = 4; /* 64 tokens */
    scenario->count = 10;
    for (int64_t i = 0; i < scenario->count; i++) {
        scenario->arrived_at_s[i] = (double)i;
        scenario->prefill[i] = i == 9 ? 100 : 10;
        scenario->decode[i] = 2;
    }
    scenario->slos[0] = (struct vidur_slo){
        .metric = VIDUR_LATENCY_ttft, .quantile = 0.5, .limit_s = 1e6};
    scenario->slos[1] =
        (struct vidur_slo){.metric = VIDUR_LATENCY_ttft, .quantile = 1, .limit_s = 1e6};
    scenario->options =
        (struct vidur_run_options){.slos = scenario->slos, .num_slos = 2};
    CU_ASSERT_EQUAL(run(scenario, false, &metrics), 1);
    CU_ASSERT_EQUAL(metrics.num_completed, 9);
    CU_ASSERT(metrics.slo_value[0] >= metrics.latency[VIDUR_LATENCY_ttft].p50 &&
              metrics.slo_value[0] <= metrics.latency[VIDUR_LATENCY_ttft].max);
    CU_ASSERT_EQUAL(metrics.slo_value[1], INFINITY);
    /* interpolated between the ninth and the one that never is, from either side */
    scenario->slos[0].quantile = 0.9;
    scenario->slos[1].quantile = 0.99;
    CU_ASSERT_EQUAL(run(scenario, false, &metrics), 0);
    CU_ASSERT_EQUAL(metrics.slo_value[0], INFINITY);
    CU_ASSERT_EQUAL(metrics.slo_value[1], INFINITY);
    scenario->slos[0].quantile = 0.5;
    CU_ASSERT_FALSE(metrics.time_limited);
    /* also where those that ran meet it, or nobody looks at requests */
    scenario->options.num_slos = 1;
    CU_ASSERT_EQUAL(run(scenario, true, &metrics), 0);
    scenario->slos[0] = (struct vidur_slo){
        .metric = VIDUR_LATENCY_tbt, .quantile = 0.99, .limit_s = 1e6};
    CU_ASSERT_EQUAL(run(scenario, true, &metrics), 0);
    scenario->count = 9;
    CU_ASSERT_EQUAL(run(scenario, true, &metrics), -1);
    free(scenario);
}

VIDUR_TEST_MAIN("slo", {"names", test_names}, {"lost at", test_lost_at},
                {"early stop keeps the verdict", test_early_stop_keeps_the_verdict},
                {"the limit is inclusive", test_limit_is_inclusive},
                {"values are the verdicts'", test_values_are_the_verdicts},
                {"values of runs that were stopped", test_values_of_stopped_runs},
                {"too many SLOs", test_too_many},
                {"stuck requests count", test_stuck_requests_count})
