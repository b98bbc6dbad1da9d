#include "test.h"

#include "small_search.h"
#include "study/evaluate.h"
#include "study/session.h"
#include "study/work.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Searches over candidates of two pools. */

static volatile int stop;

static void run_shard(const char *more, const char *const *sets, int num_sets,
                      int shard, struct session_outcome *outcome)
{
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(more),
                                            .sets = sets,
                                            .num_sets = num_sets,
                                            .output = small_search_path("r.h5"),
                                            .shard = shard < 0 ? 0 : shard,
                                            .num_shards = shard < 0 ? 1 : 2,
                                            .threads = 1,
                                            .stop = &stop};
    session_run(&team, &options, outcome);
    if (outcome->status != SESSION_DONE)
        printf("\n    %s", outcome->error.text);
    CU_ASSERT_EQUAL_FATAL(outcome->status, SESSION_DONE);
}

#define COUNT(sets) (int)(sizeof(sets) / sizeof(sets)[0])

/* One layout on clusters of 1, 3 and 4 of a device. */
#define ENGINE "schedulers=[{scheduler: vllm_v1, max_num_batched_tokens: 1024}]"
#define EQUAL                                                                          \
    "clusters=[{device: h100, num_gpus: 1, usd_per_gpu_hour: 4}, "                     \
    "{device: h100, num_gpus: 3, usd_per_gpu_hour: 4}, "                               \
    "{device: h100, num_gpus: 4, usd_per_gpu_hour: 4}]"
#define ONE_CUT "tp_dimensions=1", "batch_sizes=64"
#define POOLS   "mixed: {pools: [{rules: [{num_gpus: 1}]}, {rules: [{num_gpus: 3}]}]}\n"

static const struct vidur_ranking_row *row_of(const struct vidur_results *results,
                                              bool pools, int64_t gpus)
{
    for (int64_t i = 0; i < results->num_ranking; i++) {
        const struct vidur_ranking_row *row = &results->ranking[i];
        if ((row->pools[0] != 0) == pools && row->num_gpus == gpus)
            return row;
    }
    CU_FAIL_FATAL("no such row");
    return NULL;
}

/* Two pools of the same replicas have equal weights, and behind a router that takes
 * turns they are one pool of all of them, to the bit. */
static void test_equal_pools_are_one(void)
{
    const char *sets[] = {ENGINE, EQUAL, ONE_CUT, "search.confirm_top=0"};
    struct session_outcome outcome;
    small_search_done(POOLS, sets, COUNT(sets), &outcome);
    const struct vidur_ranking_row *one = row_of(&outcome.results, false, 4);
    const struct vidur_ranking_row *two = row_of(&outcome.results, true, 4);
    CU_ASSERT_STRING_EQUAL(two->pools, "1 x TP1 h100 + 3 x TP1 h100");
    CU_ASSERT_STRING_EQUAL(two->status, VIDUR_STATUS_OK);
    CU_ASSERT(two->first_replica_qps > 0);
    CU_ASSERT_EQUAL(two->first_replica_qps, two->second_replica_qps);
    CU_ASSERT_EQUAL(two->max_qps, one->max_qps);
    CU_ASSERT_EQUAL(two->ttft_p99_s, one->ttft_p99_s);
    CU_ASSERT_EQUAL(two->tbt_p99_s, one->tbt_p99_s);
    CU_ASSERT_EQUAL(two->preemptions, one->preemptions);
    CU_ASSERT_EQUAL(two->usd_per_hour, 16);
    CU_ASSERT_EQUAL(two->num_replicas, 1);
    CU_ASSERT_EQUAL(two->first_replicas, 1);
    CU_ASSERT_EQUAL(two->second_replicas, 3);
    /* means over GPUs that are rounded elsewhere */
    CU_ASSERT_DOUBLE_EQUAL(two->busy, one->busy, 1e-9 * one->busy);
    CU_ASSERT_DOUBLE_EQUAL(two->watts_per_gpu, one->watts_per_gpu, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(two->bandwidth_usage, one->bandwidth_usage, 1e-2);
    CU_ASSERT_DOUBLE_EQUAL(two->usd_per_million_input_tokens,
                           one->usd_per_million_input_tokens, 1e-9);
    CU_ASSERT_TRUE(isnan(one->first_replica_qps) && isnan(one->first_busy));
    CU_ASSERT_TRUE(isnan(two->prefill_busy) && isnan(two->decode_mfu));
    /* what a replica carries alone is what the search finds for it, on the lattice */
    const struct vidur_ranking_row *alone = row_of(&outcome.results, false, 1);
    CU_ASSERT_DOUBLE_EQUAL(two->first_replica_qps / alone->max_qps, 1, 0.05);
    session_release(&outcome);
}

#define TWO_KINDS                                                                      \
    "clusters=[{device: h100, num_gpus: 2, usd_per_gpu_hour: 4}, "                     \
    "{device: a100, num_gpus: 3, usd_per_gpu_hour: 2}]"

/* Weights by capacity: both pools come to be busy, more than with equal weights, and
 * together they carry about the sum. */
static void test_weights_follow_capacity(void)
{
    const char *sets[] = {ENGINE, TWO_KINDS, ONE_CUT, "search.confirm_top=0"};
    struct session_outcome outcome;
    small_search_done(
        "mixed: {pools: [{rules: [{device: h100}]}, {rules: [{device: a100}]}]}\n",
        sets, COUNT(sets), &outcome);
    const struct vidur_ranking_row *two = row_of(&outcome.results, true, 5);
    const double h100 = row_of(&outcome.results, false, 2)->max_qps;
    const double a100 = row_of(&outcome.results, false, 3)->max_qps;
    CU_ASSERT_EQUAL(outcome.results.num_ranking, 3);
    CU_ASSERT(two->first_replica_qps > 1.2 * two->second_replica_qps);
    CU_ASSERT_DOUBLE_EQUAL(two->max_qps / (h100 + a100), 1, 0.05);
    CU_ASSERT(two->first_busy > 80 && two->second_busy > 80);
    CU_ASSERT_EQUAL(two->usd_per_hour, 2 * 4 + 3 * 2);
    session_release(&outcome);
}

/* Pools of the same GPUs with other knobs, as their rules say. */
static void test_knobs_differ(void)
{
    const char *sets[] = {"schedulers=[{scheduler: vllm_v1, max_num_batched_tokens: "
                          "[256, 1024], max_num_seqs: [8, 64]}]",
                          EQUAL, ONE_CUT, "search.confirm_top=0"};
    struct session_outcome outcome;
    small_search_done(
        "mixed: {only: true, near: 0, pools: [{rules: [{num_gpus: 1, max_num_seqs: 8, "
        "max_num_batched_tokens: 256}]}, {rules: [{num_gpus: 3, max_num_seqs: 64, "
        "max_num_batched_tokens: 1024}]}]}\n",
        sets, COUNT(sets), &outcome);
    CU_ASSERT_EQUAL_FATAL(outcome.results.num_ranking, 1);
    const struct vidur_ranking_row *row = &outcome.results.ranking[0];
    CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_OK);
    CU_ASSERT_EQUAL(row->max_num_seqs, 8);
    CU_ASSERT_EQUAL(row->max_num_batched_tokens, 256);
    CU_ASSERT_EQUAL(row->second_max_num_batched_tokens, 1024);
    CU_ASSERT_STRING_EQUAL(row->second_scheduler_label,
                           "vllm_v1 max_num_batched_tokens=1024 max_num_seqs=64");
    CU_ASSERT(row->second_replica_qps > 2 * row->first_replica_qps);
    session_release(&outcome);
}

/* Counts of a pool are candidates each; the dearer price halves what a dollar buys. */
static void test_counts_and_prices(void)
{
    const char *sets[] = {ENGINE, TWO_KINDS, ONE_CUT, "search.confirm_top=0", NULL};
    const char *more = "mixed: {pools: [{rules: [{device: h100}]}, {rules: [{device: "
                       "a100}], num_gpus: [1, 3]}], only: true}\n";
    struct session_outcome cheap, dear;
    small_search_done(more, sets, COUNT(sets) - 1, &cheap);
    CU_ASSERT_EQUAL_FATAL(cheap.results.num_ranking, 2);
    sets[1] = "clusters=[{device: h100, num_gpus: 2, usd_per_gpu_hour: 8}, "
              "{device: a100, num_gpus: 3, usd_per_gpu_hour: 4}]";
    small_search_done(more, sets, COUNT(sets) - 1, &dear);
    for (int gpus = 3; gpus <= 5; gpus += 2) {
        const struct vidur_ranking_row *a = row_of(&cheap.results, true, gpus);
        const struct vidur_ranking_row *b = row_of(&dear.results, true, gpus);
        CU_ASSERT_EQUAL(a->max_qps, b->max_qps);
        CU_ASSERT_EQUAL(a->qps_per_dollar, 2 * b->qps_per_dollar);
        CU_ASSERT_STRING_EQUAL(a->candidate_id, b->candidate_id);
    }
    session_release(&cheap);
    session_release(&dear);
}

/* Weights and what is added come out the same where others search the layouts alone. */
static void test_shards(void)
{
    static const char *const names[] = {"a", "b"};
    const char *sets[] = {ENGINE, TWO_KINDS, "tp_dimensions=[1, 2]",
                          "search.confirm_top=0", "have=[{device: h100, num_gpus: 2}]"};
    const char *more = "mixed: {near: 0, pools: [{rules: [{device: h100}]}, {rules: "
                       "[{device: a100}]}]}\n";
    struct session_outcome whole, parts[2];
    struct vidur_results of_parts[2], merged;
    struct vidur_error err;
    int columns;
    small_search_done(more, sets, COUNT(sets), &whole);
    for (int i = 0; i < 2; i++) {
        run_shard(more, sets, COUNT(sets), i, &parts[i]);
        of_parts[i] = parts[i].results;
        CU_ASSERT(of_parts[i].num_ranking > 0);
    }
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(of_parts, names, 2, &merged, &err), 0);
    CU_ASSERT_EQUAL_FATAL(merged.num_ranking, whole.results.num_ranking);
    const struct vidur_column *list = vidur_ranking_columns(&columns);
    for (int64_t i = 0; i < merged.num_ranking; i++)
        CU_ASSERT_TRUE(vidur_rows_equal(list, columns, &merged.ranking[i],
                                        &whole.results.ranking[i], NULL));
    vidur_results_destroy(&merged);
    session_release(&whole);
    session_release(&parts[0]);
    session_release(&parts[1]);
}

/* A replica that meets the SLOs at no load has no weight. */
static void test_capacity_of_zero(void)
{
    const char *sets[] = {ENGINE, TWO_KINDS, ONE_CUT, "search.confirm_top=0",
                          "slos=[{metric: tbt, quantile: 0.5, limit_s: 0.0078}]"};
    struct session_outcome outcome;
    small_search_done(
        "mixed: {pools: [{rules: [{device: h100}]}, {rules: [{device: a100}]}]}\n",
        sets, COUNT(sets), &outcome);
    const struct vidur_ranking_row *two = row_of(&outcome.results, true, 5);
    CU_ASSERT_STRING_EQUAL(row_of(&outcome.results, false, 2)->status, VIDUR_STATUS_OK);
    CU_ASSERT_STRING_EQUAL(two->status, VIDUR_STATUS_SLO_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(two->reason, "a replica of the second pool (a100) meets the SLOs at no "
                            "load alone"));
    session_release(&outcome);
}

/* ---- Targets ---- */

static struct vidur_search_config config;
static struct vidur_space space;
static struct evaluator *evaluator;

static bool holds(int64_t candidate, double qps, int first, int second)
{
    const struct evaluator_load load = {
        .candidate = candidate, .counts = {first, second}, .qps = qps};
    struct evaluator_probed probed;
    CU_ASSERT_EQUAL_FATAL(evaluator_probe(evaluator, &load, &probed, NULL), 0);
    return probed.row.feasible;
}

/* The one candidate of a search that is done, and what simulates others of it. */
static const struct vidur_ranking_row *open_answer(struct session_outcome *outcome,
                                                   const char *more,
                                                   const char *const *sets, int count)
{
    const struct evaluator_options options = {.threads = 1};
    struct vidur_error err;
    small_search_done(more, sets, count, outcome);
    CU_ASSERT_EQUAL_FATAL(
        vidur_search_config_load(&config, small_search_config(more), sets, count, &err),
        0);
    CU_ASSERT_EQUAL_FATAL(vidur_space_build(&space, &config, &err), 0);
    CU_ASSERT_EQUAL_FATAL(evaluator_create(&evaluator, &space, &options, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(outcome->results.num_ranking, 1);
    return &outcome->results.ranking[0];
}

static void close_answer(struct session_outcome *outcome)
{
    evaluator_destroy(evaluator);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
    session_release(outcome);
}

/* Neither pool can spare a replica, and no cheaper pair that is tried carries it. */
static void check_target(double qps, int64_t *most_first)
{
    char more[256];
    struct session_outcome outcome;
    snprintf(more, sizeof more,
             "target: {qps: %g}\ndisaggregated: {only: true}\n"
             "search: {confirm_top: 0}\n",
             qps);
    const char *sets[] = {ENGINE,
                          TWO_KINDS,
                          ONE_CUT,
                          "disaggregated.prefill=[{device: a100}]",
                          "disaggregated.decode=[{device: h100}]",
                          "traces.0.lengths.prefill_to_decode_ratio=12"};
    const struct vidur_ranking_row *row =
        open_answer(&outcome, more, sets, COUNT(sets));
    const int first = (int)row->prefill_replicas, second = (int)row->decode_replicas;
    CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_OK);
    CU_ASSERT_EQUAL(row->max_qps, qps);
    CU_ASSERT_EQUAL(row->num_gpus, first + second);
    CU_ASSERT_EQUAL(row->usd_per_hour, 2 * first + 4 * second);
    CU_ASSERT_TRUE(holds(0, qps, first, second));
    CU_ASSERT_TRUE(first == 1 || !holds(0, qps, first - 1, second));
    CU_ASSERT_TRUE(second == 1 || !holds(0, qps, first, second - 1));
    for (int p = 1; p <= first + second; p++) /* all that cost less */
        for (int d = 1; 2 * p + 4 * d < row->usd_per_hour; d++)
            CU_ASSERT_FALSE(holds(0, qps, p, d));
    if (*most_first < first)
        *most_first = first;
    close_answer(&outcome);
}

static void test_least_of_both_counts(void)
{
    int64_t most_first = 0;
    check_target(5, &most_first);
    check_target(150, &most_first);
    check_target(400, &most_first);
    CU_ASSERT(most_first > 2); /* there was something to be found */
}

#define MIXED                                                                          \
    "mixed: {only: true, pools: [{rules: [{device: h100}]}, {rules: [{device: "        \
    "a100}]}]}\n"

struct mixed_case {
    double qps;
    const char *clusters, *have; /* --set; have: "" */
    double usd[2];               /* of an H100, of an A100 */
    int owned[2];
};

static double added_usd(const struct mixed_case *of, int first, int second)
{
    const int first_added = first > of->owned[0] ? first - of->owned[0] : 0;
    const int second_added = second > of->owned[1] ? second - of->owned[1] : 0;
    return of->usd[0] * first_added + of->usd[1] * second_added;
}

/* Weights as the search has measured them. */
static bool mixed_holds(const struct vidur_ranking_row *row, double qps, int first,
                        int second)
{
    const struct evaluator_load load = {
        .counts = {first, second},
        .weights = {row->first_replica_qps, row->second_replica_qps},
        .qps = qps};
    struct evaluator_probed probed;
    CU_ASSERT_EQUAL_FATAL(evaluator_probe(evaluator, &load, &probed, NULL), 0);
    return probed.row.feasible;
}

/* All pairs are simulated: none that costs less holds, and of those that cost as much
 * none that has fewer GPUs; neither pool can spare a replica. */
static void check_mixed(const struct mixed_case *of, double *usd, int counts[2])
{
    char more[512];
    struct session_outcome outcome;
    snprintf(more, sizeof more,
             "target: {qps: %g}\n" MIXED "search: {confirm_top: 0}\n", of->qps);
    const char *sets[] = {ENGINE, ONE_CUT, of->clusters, of->have};
    const struct vidur_ranking_row *row =
        open_answer(&outcome, more, sets, COUNT(sets));
    const int first = (int)row->first_replicas, second = (int)row->second_replicas;
    CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_OK);
    CU_ASSERT_PTR_NULL(strstr(row->reason, "not all pairs"));
    CU_ASSERT_EQUAL(row->num_gpus, first + second);
    CU_ASSERT_EQUAL(row->usd_per_hour, of->usd[0] * first + of->usd[1] * second);
    *usd = added_usd(of, first, second);
    counts[0] = first;
    counts[1] = second;
    CU_ASSERT_TRUE(mixed_holds(row, of->qps, first, second));
    CU_ASSERT_FALSE(first > 1 && mixed_holds(row, of->qps, first - 1, second));
    CU_ASSERT_FALSE(second > 1 && mixed_holds(row, of->qps, first, second - 1));
    const int most = 2 * (first + second) + 8;
    for (int a = 1; a <= most; a++)
        for (int b = 1; b <= most && added_usd(of, a, b) <= *usd; b++) {
            const double whole = of->usd[0] * a + of->usd[1] * b;
            if (added_usd(of, a, b) == *usd &&
                (a + b > first + second || whole >= row->usd_per_hour))
                continue;
            CU_ASSERT_FALSE(mixed_holds(row, of->qps, a, b));
        }
    CU_ASSERT(outcome.results.num_probes <= 24);
    close_answer(&outcome);
}

/* The cheapest pair of counts, which depends on prices and on what one has; a greater
 * load is not cheaper. */
static void test_mixed_target(void)
{
    static const char *const dear =
        "clusters=[{device: h100, num_gpus: 2, usd_per_gpu_hour: 4}, {device: a100, "
        "num_gpus: 3, usd_per_gpu_hour: 1}]";
    static const char *const even =
        "clusters=[{device: h100, num_gpus: 2, usd_per_gpu_hour: 4}, {device: a100, "
        "num_gpus: 3, usd_per_gpu_hour: 1.75}]";
    static const char *const cheap =
        "clusters=[{device: h100, num_gpus: 2, usd_per_gpu_hour: 2.5}, {device: a100, "
        "num_gpus: 3, usd_per_gpu_hour: 2}]";
    static const char *const some =
        "have=[{device: h100, num_gpus: 3}, {device: a100, num_gpus: 1}]";
    int of_dear[2], of_cheap[2], of_some[2];
    double usd = 0, before = 0;
    for (double qps = 60; qps <= 700; qps *= 2.2) {
        const struct mixed_case of = {qps, dear, "have=", {4, 1}, {0}};
        check_mixed(&of, &usd, of_dear);
        CU_ASSERT(usd >= before);
        before = usd;
    }
    const struct mixed_case close = {638.88, even, "have=", {4, 1.75}, {0}};
    int of_close[2];
    check_mixed(&close, &usd, of_close);
    const struct mixed_case of = {600, cheap, "have=", {2.5, 2}, {0}};
    check_mixed(&of, &usd, of_cheap);
    CU_ASSERT(of_cheap[0] > of_cheap[1]);
    CU_ASSERT(of_dear[1] > of_dear[0]);
    const struct mixed_case owned = {600, dear, some, {4, 1}, {3, 1}};
    check_mixed(&owned, &usd, of_some);
    CU_ASSERT(of_some[0] >= 3);
}

/* Further seeds begin with the first one's pair and only add to it. */
static void test_mixed_seeds(void)
{
    const char *sets[] = {ENGINE, TWO_KINDS, ONE_CUT, "search.confirm_top=2"};
    struct session_outcome outcome;
    small_search_done("target: {qps: 400}\n" MIXED, sets, COUNT(sets), &outcome);
    const struct vidur_ranking_row *row = &outcome.results.ranking[0];
    int64_t first = 0, second = 0, held = 0;
    CU_ASSERT_EQUAL(row->replications, 5);
    for (int64_t i = 0; i < outcome.results.num_probes; i++) {
        const struct vidur_probe_row *probe = &outcome.results.probes[i];
        const bool own = probe->replication == 0;
        const bool less =
            first == 0 || probe->first_replicas * 4 + probe->second_replicas * 2 <
                              first * 4 + second * 2;
        if (own && probe->feasible && less) {
            first = probe->first_replicas;
            second = probe->second_replicas;
        }
        CU_ASSERT_FALSE(
            !own && (probe->first_replicas < first || probe->second_replicas < second));
        held += probe->feasible && probe->first_replicas == row->first_replicas &&
                probe->second_replicas == row->second_replicas;
    }
    CU_ASSERT(row->first_replicas >= first && row->second_replicas >= second);
    CU_ASSERT(held >= 1);
    session_release(&outcome);
}

/* What a pool's num_gpus allow, and target.max_gpus. */
static void test_mixed_limits(void)
{
    const char *sets[] = {ENGINE, TWO_KINDS, ONE_CUT, "search.confirm_top=0"};
    struct session_outcome outcome;
    small_search_done(
        "target: {qps: 400}\nmixed: {only: true, pools: [{rules: [{device: h100}], "
        "num_gpus: 2}, {rules: [{device: a100}]}]}\n",
        sets, COUNT(sets), &outcome);
    const struct vidur_ranking_row *row = &outcome.results.ranking[0];
    CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_OK);
    CU_ASSERT(row->first_replicas <= 2 && row->second_replicas > 1);
    session_release(&outcome);
    small_search_done("target: {qps: 400, max_gpus: 4}\n" MIXED, sets, COUNT(sets),
                      &outcome);
    row = &outcome.results.ranking[0];
    CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_SLO_UNREACHABLE);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(row->reason, "is not met at 400 QPS even with 3 and 1 replicas"));
    session_release(&outcome);
}

/* ---- Energy ---- */

/* The watts of each pool by its own device and use. */
static void test_energy_of_two_pools(void)
{
    const char *sets[] = {ENGINE, TWO_KINDS, ONE_CUT, "search.confirm_top=0"};
    struct session_outcome outcome;
    small_search_done(
        "disaggregated: {only: true, prefill: [{device: h100}], near: 0}\n", sets,
        COUNT(sets), &outcome);
    CU_ASSERT(outcome.results.num_ranking > 1);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        const double first = (double)row->prefill_replicas;
        const double second = (double)row->decode_replicas;
        const double most_w = strcmp(row->decode_device, "h100") == 0 ? 700 : 400;
        const double idle_w = 0.15 * (700 * first + most_w * second);
        const double watts = row->watts_per_gpu * (double)row->num_gpus;
        CU_ASSERT(watts > idle_w && watts < 700 * first + most_w * second);
        /* both are means over GPUs */
        CU_ASSERT_DOUBLE_EQUAL(row->mfu,
                               (row->prefill_mfu * first + row->decode_mfu * second) /
                                   (first + second),
                               1e-9);
        CU_ASSERT(row->bandwidth_usage > 0 && row->bandwidth_usage < 100);
        CU_ASSERT_DOUBLE_EQUAL(row->wh_per_million_tokens * row->tokens_per_joule,
                               1e6 / 3600, 1e-6);
    }
    session_release(&outcome);
}

VIDUR_TEST_MAIN("candidates of two pools",
                {"equal pools are one", test_equal_pools_are_one},
                {"weights follow capacity", test_weights_follow_capacity},
                {"knobs differ", test_knobs_differ},
                {"counts and prices", test_counts_and_prices}, {"shards", test_shards},
                {"a capacity of zero", test_capacity_of_zero},
                {"the least of both counts", test_least_of_both_counts},
                {"a mixed fleet for a target", test_mixed_target},
                {"seeds of a mixed fleet", test_mixed_seeds},
                {"limits of a mixed fleet", test_mixed_limits},
                {"energy of two pools", test_energy_of_two_pools})
