#include "test.h"

#include "results/results_layout.h"
#include "small_search.h"
#include "study/session.h"
#include "study/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What rows say of candidates for which no load passed. */

/* Runs with settings; all rows must have the status. */
static void run_sets(const char *const *sets, int num_sets, const char *status,
                     struct session_outcome *outcome)
{
    small_search_run("", sets, num_sets, outcome);
    CU_ASSERT_EQUAL_FATAL(outcome->status, strcmp(status, VIDUR_STATUS_FAILED) == 0
                                               ? SESSION_NOT_COMPLETED
                                               : SESSION_DONE);
    for (int64_t i = 0; i < outcome->results.num_ranking; i++)
        CU_ASSERT_STRING_EQUAL(outcome->results.ranking[i].status, status);
}

static void expect_reasons(const struct session_outcome *outcome, const char *a,
                           const char *b)
{
    for (int64_t i = 0; i < outcome->results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome->results.ranking[i];
        CU_ASSERT_PTR_NOT_NULL(strstr(row->reason, a));
        CU_ASSERT_PTR_NOT_NULL(strstr(row->reason, b));
    }
}

/* No hundred requests can arrive and be served within a millisecond. */
static void test_time_limit_is_no_slo(void)
{
    const char *sets[] = {"search.time_limit_s=0.001"};
    struct session_outcome outcome;
    run_sets(sets, 1, VIDUR_STATUS_FAILED, &outcome);
    expect_reasons(&outcome, "search.time_limit_s 0.001 cuts the run at ", "raise it");
    CU_ASSERT_EQUAL(outcome.counts.failed, 12);
    CU_ASSERT_EQUAL(outcome.counts.unreachable, 0);
    session_release(&outcome);
}

static double value_of(const struct vidur_results *results,
                       const struct vidur_column *columns, int count, const char *slo,
                       const void *row)
{
    char name[VIDUR_SLO_COLUMN_NAME];
    double value = NAN;
    slo_column_name(vidur_results_fact(results, "slo", slo, "metric"),
                    atof(vidur_results_fact(results, "slo", slo, "quantile")), name,
                    sizeof name);
    const struct vidur_column *column = vidur_column_find(columns, count, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(column);
    memcpy(&value, (const char *)row + column->offset, sizeof value);
    return value;
}

/* Every SLO's own quantile is recorded: those of a probe explain its verdict, and those
 * of a row are the best probe's. */
static void test_rows_hold_the_slos_quantiles(void)
{
    static const char *const slos[] = {"tpot_p99.9", "ttft_p95", "e2e_normalized_p75"};
    const char *sets[] = {"slos=[{metric: tpot, quantile: 0.999, limit_s: 0.03}, "
                          "{metric: ttft, quantile: 0.95, limit_s: 0.8}, "
                          "{metric: e2e_normalized, quantile: 0.75, limit_s: 0.018}]",
                          "search.stop_early=false"};
    struct session_outcome outcome;
    struct vidur_results read;
    int limited[3] = {0};
    run_sets(sets, 2, VIDUR_STATUS_OK, &outcome);
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(small_search_path("r.h5"), &read, NULL),
                          0);
    struct vidur_named_columns names;
    struct vidur_table table = vidur_probes_table(&read, &names);
    for (int64_t i = 0; i < read.num_probes; i++) {
        const struct vidur_probe_row *row = &read.probes[i];
        const char *violated = "";
        for (int s = 2; s >= 0; s--) {
            const double limit_s =
                atof(vidur_results_fact(&read, "slo", slos[s], "limit_s"));
            const double value =
                value_of(&read, table.columns, table.num_columns, slos[s], row);
            CU_ASSERT_TRUE(value > 0);
            violated = value > limit_s ? slos[s] : violated;
            limited[s] += strcmp(row->violated_slo, slos[s]) == 0;
        }
        CU_ASSERT_STRING_EQUAL(row->violated_slo, violated);
        CU_ASSERT_TRUE(row->tpot_p99_s <= row->slo_s[1]);
        CU_ASSERT_TRUE(row->e2e_normalized_p50_s <= row->slo_s[0] &&
                       row->slo_s[0] <= row->e2e_normalized_p90_s);
    }
    for (int s = 0; s < 3; s++)
        CU_ASSERT_TRUE(limited[s] > 0);
    for (int64_t i = 0; i < read.num_ranking; i++) {
        const struct vidur_ranking_row *row = &read.ranking[i];
        int found = 0;
        for (int64_t p = 0; p < read.num_probes; p++)
            found += strcmp(row->candidate_id, read.probes[p].candidate_id) == 0 &&
                     row->max_qps == read.probes[p].qps &&
                     memcmp(row->slo_s, read.probes[p].slo_s, sizeof row->slo_s) == 0;
        CU_ASSERT_EQUAL(found, 1);
    }
    vidur_results_destroy(&read);
    session_release(&outcome);
}

static void test_slos_that_cannot_be_met(void)
{
    const char *sets[] = {"slos.0.limit_s=0.0001"};
    struct session_outcome outcome;
    run_sets(sets, 1, VIDUR_STATUS_SLO_UNREACHABLE, &outcome);
    expect_reasons(&outcome, "ttft_p90 is not met even at ", "QPS");
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        CU_ASSERT_STRING_EQUAL(row->limiting_slo, "ttft_p90");
        const char *value = strstr(row->reason, " QPS, where it is about ");
        CU_ASSERT_TRUE(value && strtod(value + 24, NULL) > 0.0001);
        CU_ASSERT_STRING_EQUAL(row->bottleneck, "latency without load");
        CU_ASSERT_EQUAL(row->rank, 0);
        CU_ASSERT_TRUE(isnan(row->max_qps));
    }
    CU_ASSERT_PTR_NOT_NULL(
        vidur_results_fact(&outcome.results, "note", "rows", "text"));
    session_release(&outcome);
}

static void test_search_without_time_to_find_a_load(void)
{
    const char *sets[] = {"slos.0.limit_s=0.0001", "search.max_iterations=2"};
    const char *delay[] = {"slos.2.limit_s=1.0e-12", "search.max_iterations=2",
                           "capacity_definition=scheduling_delay",
                           "traces.0.start_qps=4000"};
    struct session_outcome outcome;
    run_sets(sets, 2, VIDUR_STATUS_FAILED, &outcome);
    expect_reasons(&outcome, "search.max_iterations 2 ended the search",
                   "ttft_p90 is not met");
    session_release(&outcome);
    run_sets(delay, 4, VIDUR_STATUS_FAILED, &outcome);
    expect_reasons(&outcome, "search.max_iterations 2 ended the search",
                   "scheduling_delay_p99 is not met");
    session_release(&outcome);
    delay[1] = "search.max_iterations=12";
    run_sets(delay, 4, VIDUR_STATUS_SLO_UNREACHABLE, &outcome);
    expect_reasons(&outcome, "scheduling_delay_p99 is not met even at ", "QPS");
    session_release(&outcome);
}

static void test_nothing_fits(void)
{
    const char *sets[] = {"models.0.identifier=Qwen/Qwen-72B", "tp_dimensions=1"};
    struct session_outcome outcome;
    run_sets(sets, 2, VIDUR_STATUS_INFEASIBLE_MEMORY, &outcome);
    CU_ASSERT_EQUAL(outcome.counts.infeasible, 6);
    const char *note = vidur_results_fact(&outcome.results, "note", "rows", "text");
    CU_ASSERT_TRUE(note && strstr(note, "memory"));
    session_release(&outcome);
}

/* Rows whose reason calls the workload a burst. */
static int count_bursts(const struct session_outcome *outcome)
{
    int count = 0;
    for (int64_t i = 0; i < outcome->results.num_ranking; i++)
        count += strstr(outcome->results.ranking[i].reason, "a burst rather") != NULL;
    return count;
}

/* Few requests are served after the last one arrived; many while they arrive. */
static void test_bursts_are_told(void)
{
    const char *sets[] = {"traces.0.num_requests=1000"};
    struct session_outcome outcome;
    run_sets(sets, 1, VIDUR_STATUS_OK, &outcome);
    CU_ASSERT_TRUE(count_bursts(&outcome) > 0);
    const char *note = vidur_results_fact(&outcome.results, "note", "rows", "text");
    CU_ASSERT_TRUE(note && strstr(note, "Raise num_requests"));
    session_release(&outcome);
    sets[0] = "traces.0.num_requests=40000";
    run_sets(sets, 1, VIDUR_STATUS_OK, &outcome);
    CU_ASSERT_EQUAL(count_bursts(&outcome), 0);
    CU_ASSERT_PTR_NULL(vidur_results_fact(&outcome.results, "note", "rows", "text"));
    session_release(&outcome);
}

VIDUR_TEST_MAIN("study_results",
                {"rows hold the SLOs' quantiles", test_rows_hold_the_slos_quantiles},
                {"SLOs that cannot be met", test_slos_that_cannot_be_met},
                {"a time limit is no SLO", test_time_limit_is_no_slo},
                {"no time to find a load", test_search_without_time_to_find_a_load},
                {"bursts are told", test_bursts_are_told},
                {"nothing fits", test_nothing_fits})
