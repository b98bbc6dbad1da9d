#include "test.h"

#include "session.h"
#include "small_search.h"
#include "study.h"

#include <math.h>
#include <string.h>

/* What rows say of candidates for which no load passed. */

static volatile int stop;

/* Runs with settings; all rows must have the status. */
static void run_sets(const char *const *sets, int num_sets, const char *status,
                     struct session_outcome *outcome)
{
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(""),
                                            .sets = sets,
                                            .num_sets = num_sets,
                                            .output = small_search_path("r.h5"),
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop};
    session_run(&team, &options, outcome);
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

static void test_slos_that_cannot_be_met(void)
{
    const char *sets[] = {"slos.0.limit_s=0.0001"};
    struct session_outcome outcome;
    run_sets(sets, 1, VIDUR_STATUS_SLO_UNREACHABLE, &outcome);
    expect_reasons(&outcome, "ttft_p90 is not met even at ", "QPS");
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        CU_ASSERT_STRING_EQUAL(row->limiting_slo, "ttft_p90");
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
    sets[0] = "traces.0.num_requests=100000";
    run_sets(sets, 1, VIDUR_STATUS_OK, &outcome);
    CU_ASSERT_EQUAL(count_bursts(&outcome), 0);
    CU_ASSERT_PTR_NULL(vidur_results_fact(&outcome.results, "note", "rows", "text"));
    session_release(&outcome);
}

VIDUR_TEST_MAIN("study_results",
                {"SLOs that cannot be met", test_slos_that_cannot_be_met},
                {"a time limit is no SLO", test_time_limit_is_no_slo},
                {"no time to find a load", test_search_without_time_to_find_a_load},
                {"bursts are told", test_bursts_are_told},
                {"nothing fits", test_nothing_fits})
