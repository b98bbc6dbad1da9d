#include "synthetic_results.h"
#include "test.h"

#include <vidur/ranking.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static double worst_if_nan(double value)
{
    return isnan(value) ? INFINITY : value;
}

/* The definition, row against row. */
static bool beats(const struct vidur_ranking_row *a, const struct vidur_ranking_row *b)
{
    if (strcmp(a->status, "ok") != 0 || isnan(a->qps_per_dollar) ||
        strcmp(a->model, b->model) != 0 || strcmp(a->trace, b->trace) != 0)
        return false;
    double at = worst_if_nan(a->ttft_p90_s), bt = worst_if_nan(b->ttft_p90_s);
    double ag = worst_if_nan(a->tbt_p99_s), bg = worst_if_nan(b->tbt_p99_s);
    bool no_worse = a->qps_per_dollar >= b->qps_per_dollar && at <= bt && ag <= bg;
    return no_worse && (a->qps_per_dollar > b->qps_per_dollar || at < bt || ag < bg);
}

static void check(const struct vidur_ranking_row *rows, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        bool on_front =
            strcmp(rows[i].status, "ok") == 0 && !isnan(rows[i].qps_per_dollar);
        for (int64_t j = 0; j < count && on_front; j++)
            on_front = !beats(&rows[j], &rows[i]);
        CU_ASSERT_EQUAL(rows[i].pareto, on_front);
    }
}

static void test_against_definition(void)
{
    struct vidur_results results;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        synthetic_results(&results, 700, seed);
        check(results.ranking, results.num_ranking);
        vidur_results_destroy(&results);
    }
}

/* Coarse values: many ties, equal points, NaN latencies. */
static void test_ties(void)
{
    struct vidur_results results;
    synthetic_results(&results, 600, 21);
    for (int64_t i = 0; i < results.num_ranking; i++) {
        struct vidur_ranking_row *row = &results.ranking[i];
        row->qps_per_dollar = floor(20 * row->qps_per_dollar) / 20;
        row->ttft_p90_s = floor(2 * row->ttft_p90_s) / 2;
        row->tbt_p99_s = floor(20 * row->tbt_p99_s) / 20;
        if (i % 17 == 0)
            row->ttft_p90_s = NAN;
        if (i % 23 == 0)
            row->qps_per_dollar = NAN;
    }
    CU_ASSERT_EQUAL(vidur_mark_pareto(results.ranking, results.num_ranking, NULL), 0);
    check(results.ranking, results.num_ranking);
    vidur_results_destroy(&results);
}

static void test_every_group_has_a_front(void)
{
    struct vidur_results results;
    synthetic_results(&results, 450, 8);
    for (int64_t i = 0; i < results.num_ranking; i++)
        if (results.ranking[i].rank == 1)
            CU_ASSERT_TRUE(results.ranking[i].pareto); /* most QPS per dollar */
    vidur_results_destroy(&results);
    CU_ASSERT_EQUAL(vidur_mark_pareto(NULL, 0, NULL), 0);
}

VIDUR_TEST_MAIN("pareto", {"equal to the definition", test_against_definition},
                {"ties and unknown latencies", test_ties},
                {"the best of each group is on its front",
                 test_every_group_has_a_front})
