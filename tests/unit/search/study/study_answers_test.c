#include "test.h"

#include "small_search.h"
#include "study/session.h"
#include "study/study.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a search's answers are worth: loads that are sustained, with other seeds, too.
 */

/* Loads of a candidate, one by one. */
static struct vidur_search_config config;
static struct vidur_space space;
static struct evaluator *evaluator;

static void open_space(const char *more)
{
    const struct evaluator_options options = {.threads = 1};
    small_search_build(more, &config, &space);
    CU_ASSERT_EQUAL_FATAL(evaluator_create(&evaluator, &space, &options, NULL), 0);
}

static void close_space(void)
{
    evaluator_destroy(evaluator);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static int64_t find_candidate(const struct vidur_ranking_row *row)
{
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        if (c->tensor_parallel_size == row->tensor_parallel_size &&
            c->batch_size == row->batch_size &&
            strcmp(config.schedulers[c->scheduler].config.type, row->scheduler) == 0)
            return i;
    }
    CU_FAIL_FATAL("no such candidate");
    return -1;
}

static bool holds(const struct evaluator_load *load)
{
    struct evaluator_probed probed;
    CU_ASSERT_EQUAL_FATAL(evaluator_probe(evaluator, load, &probed, NULL), 0);
    return probed.row.feasible;
}

/* The rate at which an overloaded run of a row is worked off, its end included. */
static double saturated_qps(const struct vidur_results *results,
                            const struct vidur_ranking_row *row)
{
    double qps = 0;
    for (int64_t i = 0; i < results->num_probes; i++) {
        const struct vidur_probe_row *p = &results->probes[i];
        if (strcmp(p->candidate_id, row->candidate_id) == 0 && !p->feasible)
            qps = fmax(qps, (double)p->num_requests / p->simulated_time_s);
    }
    return qps;
}

/* No SLO here looks at the queue: only what the cluster can serve ends the load, and
 * more requests do not change it. */
static void test_loads_are_sustained(void)
{
    static const char *const slos[] = {
        "slos=[{metric: tpot, quantile: 0.9, limit_s: 10}]",
        "slos=[{metric: ttft, quantile: 0.9, limit_s: 1.0e+9}]",
        "slos=[{metric: e2e, quantile: 0.99, limit_s: 1.0e+9}]"};
    static const char *const counts[] = {"traces.0.num_requests=24000",
                                         "traces.0.num_requests=8000",
                                         "traces.0.num_requests=auto"};
    double saturated[16] = {0};
    open_space("");
    for (int s = 0; s < 3; s++)
        for (int n = 0; n < 3; n++) {
            const char *sets[] = {slos[s], counts[n]};
            struct session_outcome outcome;
            small_search_done("search: {confirm_top: 0}\n", sets, 2, &outcome);
            for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
                const struct vidur_ranking_row *row = &outcome.results.ranking[i];
                double *most = &saturated[find_candidate(row)];
                if (n == 0)
                    *most = saturated_qps(&outcome.results, row);
                CU_ASSERT_DOUBLE_EQUAL(row->max_qps / *most, 1, 0.1);
                CU_ASSERT_STRING_EQUAL(row->limiting_slo, VIDUR_SUSTAINED);
                CU_ASSERT_EQUAL(row->unbounded, 0);
            }
            session_release(&outcome);
        }
    close_space();
}

/* The reference's search does not ask whether a load is sustained. */
static void test_reference_semantics_are_kept(void)
{
    const char *sets[] = {"slos=[{metric: tpot, quantile: 0.9, limit_s: 10}]",
                          "semantics=vidur"};
    struct session_outcome outcome;
    small_search_done("", sets, 2, &outcome);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++)
        CU_ASSERT_EQUAL(outcome.results.ranking[i].unbounded, 1);
    session_release(&outcome);
}

static void test_a_fraction_may_be_asked_for(void)
{
    const char *sets[] = {"slos=[{metric: tpot, quantile: 0.9, limit_s: 10}]",
                          "traces.0.num_requests=32000"};
    struct session_outcome all, most;
    small_search_done("search: {confirm_top: 0}\nexclude: [{batch_size: 4}]\n", sets, 2,
                      &all);
    small_search_done(
        "search: {confirm_top: 0, sustained_fraction: 0.8}\nexclude: [{batch_size: "
        "4}]\n",
        sets, 2, &most);
    for (int64_t i = 0; i < all.results.num_ranking; i++)
        CU_ASSERT_DOUBLE_EQUAL(most.results.ranking[i].max_qps /
                                   all.results.ranking[i].max_qps,
                               1 / 0.8, 0.08);
    session_release(&all);
    session_release(&most);
}

/* At max_qps_low every seed meets the SLOs; the best candidates have been asked with
 * five seeds, whoever they are in the end. */
static void test_best_are_confirmed(void)
{
    struct session_outcome outcome;
    int spread = 0;
    small_search_done("search: {confirm_top: 3}\n", NULL, 0, &outcome);
    open_space("");
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        const int64_t c = find_candidate(row);
        if (row->rank <= 3)
            CU_ASSERT_EQUAL(row->replications, VIDUR_CONFIRM_REPLICATIONS);
        if (row->replications == 1) {
            CU_ASSERT_TRUE(isnan(row->max_qps_low) && isnan(row->max_qps_high));
            continue;
        }
        CU_ASSERT_TRUE(row->max_qps_low <= row->max_qps &&
                       row->max_qps <= row->max_qps_high);
        spread += row->max_qps_low < row->max_qps_high;
        for (int seed = 0; seed < VIDUR_CONFIRM_REPLICATIONS; seed++)
            CU_ASSERT_TRUE(holds(&(struct evaluator_load){
                .candidate = c, .replication = seed, .qps = row->max_qps_low}));
    }
    CU_ASSERT_TRUE(spread > 0);
    close_space();
    session_release(&outcome);
}

/* The users of a closed loop: the answer holds, the next number of users does not. */
static void test_users_of_a_closed_loop(void)
{
    const char *sets[] = {
        "traces.0.arrivals={type: closed_loop}",
        "slos=[{metric: tpot, quantile: 0.5, limit_s: 0.05}, {metric: "
        "e2e, quantile: 0.5, limit_s: 2}]"};
    struct session_outcome outcome;
    int bounded = 0;
    small_search_done("search: {confirm_top: 1}\n", sets, 2, &outcome);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        const struct vidur_probe_row *best = NULL, *next = NULL;
        for (int64_t k = 0; k < outcome.results.num_probes; k++) {
            const struct vidur_probe_row *p = &outcome.results.probes[k];
            if (strcmp(p->candidate_id, row->candidate_id) != 0 || p->replication > 0)
                continue;
            CU_ASSERT_TRUE(p->users >= 1 && p->users <= p->num_requests / 10);
            if (p->feasible && (!best || p->users > best->users))
                best = p;
            if (!p->feasible && (!next || p->users < next->users))
                next = p;
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(best);
        CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_OK);
        CU_ASSERT_TRUE(row->max_users > 0 && row->max_qps > 0);
        CU_ASSERT_EQUAL(row->unbounded, next == NULL);
        if (row->replications > 1) {
            CU_ASSERT_TRUE(row->max_qps_low > 0 && row->max_qps_high < 1e3);
            continue;
        }
        CU_ASSERT_EQUAL(row->max_users, best->users);
        CU_ASSERT_EQUAL(row->max_qps, best->qps); /* what they got served */
        CU_ASSERT_DOUBLE_EQUAL(
            best->qps, (double)best->num_requests / best->simulated_time_s, 1e-9);
        if (!next)
            continue;
        bounded++;
        CU_ASSERT_EQUAL(next->users, (int64_t)fmax((double)best->users + 1,
                                                   floor((double)best->users * 1.025)));
        CU_ASSERT_STRING_EQUAL(row->limiting_slo, next->violated_slo);
    }
    CU_ASSERT_TRUE(bounded > 2);
    session_release(&outcome);
}

static void test_all_may_be_replicated(void)
{
    struct session_outcome outcome;
    small_search_done("search: {confirm_top: 0, replications: 2, granularity: 0.1}\n",
                      NULL, 0, &outcome);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++)
        CU_ASSERT_EQUAL(outcome.results.ranking[i].replications, 2);
    session_release(&outcome);
}

/* The replicas found carry the target with every seed, one fewer does not with one. */
static void test_least_replicas_for_a_target(void)
{
    static const double targets[] = {1, 30, 100};
    for (int t = 0; t < 3; t++) {
        char more[128];
        struct session_outcome outcome;
        snprintf(more, sizeof more, "target: {qps: %g}\nsearch: {confirm_top: 4}\n",
                 targets[t]);
        small_search_done(more, NULL, 0, &outcome);
        open_space(more);
        double usd_before = 0;
        for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
            const struct vidur_ranking_row *row = &outcome.results.ranking[i];
            struct evaluator_load load = {.candidate = find_candidate(row),
                                          .counts = {(int)row->num_replicas, 0},
                                          .qps = targets[t]};
            int broken = 0;
            CU_ASSERT_EQUAL(row->max_qps, targets[t]);
            CU_ASSERT_EQUAL(row->target_qps, targets[t]);
            CU_ASSERT_EQUAL(row->num_gpus,
                            row->num_replicas * row->tensor_parallel_size);
            CU_ASSERT_DOUBLE_EQUAL(row->usd_per_hour, 2.21 * (double)row->num_gpus,
                                   1e-9);
            CU_ASSERT_DOUBLE_EQUAL(row->usd_per_month, 730 * row->usd_per_hour, 1e-6);
            CU_ASSERT_TRUE(row->usd_per_hour >= usd_before);
            usd_before = row->usd_per_hour;
            for (int seed = 0; seed < row->replications; seed++) {
                load.replication = seed;
                load.counts.first = (int)row->num_replicas;
                CU_ASSERT_TRUE(holds(&load));
                load.counts.first--;
                broken += load.counts.first > 0 && !holds(&load);
            }
            CU_ASSERT_TRUE(broken > 0 || row->num_replicas == 1);
        }
        close_space();
        session_release(&outcome);
    }
}

static void test_target_out_of_reach(void)
{
    struct session_outcome outcome;
    small_search_done("target: {qps: 10000, max_gpus: 8}\n", NULL, 0, &outcome);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_SLO_UNREACHABLE);
        CU_ASSERT_PTR_NOT_NULL(strstr(row->reason, "at 1e+04 QPS even with "));
    }
    session_release(&outcome);
}

/* A replica that alone takes more than the target may grow to is refused. */
static void test_replicas_beyond_the_target(void)
{
    struct session_outcome outcome;
    small_search_done("target: {qps: 1, max_gpus: 1}\nsearch: {confirm_top: 0}\n", NULL,
                      0, &outcome);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        const bool fits = row->tensor_parallel_size == 1;
        CU_ASSERT_EQUAL(strcmp(row->status, VIDUR_STATUS_INVALID) != 0, fits);
        CU_ASSERT_EQUAL(strstr(row->reason, "target.max_gpus is 1") == NULL, fits);
    }
    session_release(&outcome);
}

/* As many requests as a steady state needs: the answer is that of many more. */
static void test_requests_as_many_as_needed(void)
{
    const char *automatic[] = {"traces.0.num_requests=auto"};
    const char *many[] = {"traces.0.num_requests=40000"};
    const char *more = "search: {confirm_top: 0}\n";
    struct session_outcome found, given;
    small_search_done(more, automatic, 1, &found);
    small_search_done(more, many, 1, &given);
    for (int64_t i = 0; i < found.results.num_ranking; i++) {
        const struct vidur_ranking_row *a = &found.results.ranking[i];
        for (int64_t j = 0; j < given.results.num_ranking; j++)
            if (strcmp(given.results.ranking[j].candidate_id, a->candidate_id) == 0)
                CU_ASSERT_DOUBLE_EQUAL(a->max_qps / given.results.ranking[j].max_qps, 1,
                                       0.06);
        CU_ASSERT_TRUE(a->num_requests >= 8192 && a->num_requests <= 131072);
        CU_ASSERT_STRING_EQUAL(a->reason, "");
    }
    session_release(&found);
    session_release(&given);
}

static bool equal_answers(const struct session_outcome *a,
                          const struct session_outcome *b)
{
    static const char *const except[] = {"wall_s", "mpi_rank", NULL};
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    for (int64_t i = 0; i < a->results.num_ranking; i++)
        if (!vidur_rows_equal(columns, count, &a->results.ranking[i],
                              &b->results.ranking[i], except))
            return false;
    return a->results.num_ranking == b->results.num_ranking;
}

/* A limit that cuts nothing changes nothing; one that would cut leaves requests out. */
static void test_time_limits(void)
{
    const char *loose[] = {"search.time_limit_s=100000"};
    const char *tight[] = {"search.time_limit_s=30"};
    struct session_outcome without, with;
    small_search_done("", NULL, 0, &without);
    small_search_done("", loose, 1, &with);
    CU_ASSERT_TRUE(equal_answers(&without, &with));
    session_release(&with);
    small_search_done("", tight, 1, &with);
    CU_ASSERT_FALSE(equal_answers(&without, &with));
    for (int64_t i = 0; i < with.results.num_probes; i++) {
        const struct vidur_probe_row *probe = &with.results.probes[i];
        CU_ASSERT_TRUE(probe->simulated_time_s <= 30);
        CU_ASSERT_TRUE(probe->num_requests >= 100 && probe->num_requests <= 1000);
    }
    session_release(&without);
    session_release(&with);
}

VIDUR_TEST_MAIN("study_answers", {"loads are sustained", test_loads_are_sustained},
                {"the reference's semantics are kept",
                 test_reference_semantics_are_kept},
                {"a fraction may be asked for", test_a_fraction_may_be_asked_for},
                {"the best are confirmed", test_best_are_confirmed},
                {"users of a closed loop", test_users_of_a_closed_loop},
                {"all may be replicated", test_all_may_be_replicated},
                {"the least replicas for a target", test_least_replicas_for_a_target},
                {"a target out of reach", test_target_out_of_reach},
                {"replicas beyond the target", test_replicas_beyond_the_target},
                {"requests as many as needed", test_requests_as_many_as_needed},
                {"time limits", test_time_limits})
