#include "synthetic_results.h"
#include "test.h"

#include <vidur/ranking.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct example {
    const char *id, *model, *trace, *status;
    double qps_per_dollar, max_qps;
};

static struct vidur_ranking_row make(struct example example)
{
    struct vidur_ranking_row row;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    vidur_row_clear(columns, count, &row);
    snprintf(row.candidate_id, sizeof row.candidate_id, "%s", example.id);
    snprintf(row.model, sizeof row.model, "%s", example.model);
    snprintf(row.trace, sizeof row.trace, "%s", example.trace);
    snprintf(row.status, sizeof row.status, "%s", example.status);
    row.qps_per_dollar = example.qps_per_dollar;
    row.max_qps = example.max_qps;
    return row;
}

static void test_order(void)
{
    /* in the order expected */
    static const struct example expected[] = {
        {"f", "a", "x", "ok", 3, 1},          {"b", "a", "x", "ok", 2, 9},
        {"a", "a", "x", "ok", 2, 8},          {"c", "a", "x", "ok", 2, 8},
        {"d", "a", "x", "ok", NAN, 1},        {"a0", "a", "x", "failed", NAN, NAN},
        {"z", "a", "x", "invalid", NAN, NAN}, {"g", "a", "y", "ok", 1, 1},
        {"h", "b", "x", "ok", 1, 1},          {"i", "b", "x", "ok", 0, 1}};
    static const int ranks[] = {1, 2, 3, 4, 5, 0, 0, 1, 1, 2};
    enum { COUNT = sizeof expected / sizeof expected[0] };
    struct vidur_ranking_row rows[COUNT];
    unsigned state = 1;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < COUNT; i++)
            rows[i] = make(expected[i]);
        for (int i = COUNT - 1; i > 0; i--) {
            state = state * 1103515245u + 12345u;
            int j = (int)((state >> 16) % (unsigned)(i + 1));
            struct vidur_ranking_row swap = rows[i];
            rows[i] = rows[j];
            rows[j] = swap;
        }
        CU_ASSERT_EQUAL_FATAL(vidur_rank(rows, COUNT, NULL), 0);
        for (int i = 0; i < COUNT; i++) {
            CU_ASSERT_STRING_EQUAL(rows[i].candidate_id, expected[i].id);
            CU_ASSERT_EQUAL(rows[i].rank, ranks[i]);
        }
    }
}

/* What is added to GPUs that are there: by QPS more for a dollar more; what adds
 * nothing stands before what serves no more than that. */
static void test_added(void)
{
    static const struct {
        const char *id;
        double added_gpus, added_usd, max_qps, added_qps, per_dollar;
    } expected[] = {{"c", 4, 4, 58, 8, 2},      {"b", 8, 8, 60, 10, 1.25},
                    {"a", 0, 0, 50, 0, 0},      {"e", 0, 0, 40, -10, 0},
                    {"d", 2, 2, 49, -1, -0.5},  {"f", 2, NAN, 70, 20, NAN},
                    {"g", 1, 1, NAN, NAN, NAN}, {"h", 0, 0, 99, NAN, NAN}};
    enum { COUNT = sizeof expected / sizeof *expected };
    struct vidur_ranking_row rows[COUNT];
    for (int i = 0; i < COUNT; i++) {
        struct vidur_ranking_row *row = &rows[COUNT - 1 - i];
        *row = make((struct example){expected[i].id, "m", "t", i < 6 ? "ok" : "failed",
                                     1, expected[i].max_qps});
        row->added_gpus = expected[i].added_gpus;
        row->added_usd_per_hour = expected[i].added_usd;
        row->num_gpus = 16;
    }
    for (int round = 0; round < 2; round++) { /* again: nothing changes */
        CU_ASSERT_EQUAL_FATAL(vidur_rank(rows, COUNT, NULL), 0);
        for (int i = 0; i < 6; i++) {
            CU_ASSERT_STRING_EQUAL(rows[i].candidate_id, expected[i].id);
            CU_ASSERT_EQUAL(rows[i].rank, i + 1);
            CU_ASSERT_EQUAL(rows[i].added_qps, expected[i].added_qps);
            CU_ASSERT(rows[i].added_qps_per_dollar == expected[i].per_dollar ||
                      (isnan(rows[i].added_qps_per_dollar) && i == 5));
        }
        for (int i = 6; i < COUNT; i++)
            CU_ASSERT_TRUE(isnan(rows[i].added_qps));
    }
}

/* For a load that was asked for: the cheapest addition, then the cheapest in all. */
static void test_added_for_a_target(void)
{
    static const struct {
        const char *id;
        double added_usd, qps_per_dollar;
    } expected[] = {{"c", 0, 3}, {"a", 0, 2}, {"d", 4, 1}, {"b", 8, 9}};
    enum { COUNT = sizeof expected / sizeof *expected };
    struct vidur_ranking_row rows[COUNT];
    for (int i = 0; i < COUNT; i++) {
        struct vidur_ranking_row *row = &rows[COUNT - 1 - i];
        *row = make((struct example){expected[i].id, "m", "t", "ok",
                                     expected[i].qps_per_dollar, 60});
        row->added_gpus = expected[i].added_usd;
        row->added_usd_per_hour = expected[i].added_usd;
        row->target_qps = 60;
    }
    CU_ASSERT_EQUAL_FATAL(vidur_rank(rows, COUNT, NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        CU_ASSERT_STRING_EQUAL(rows[i].candidate_id, expected[i].id);
        CU_ASSERT_TRUE(isnan(rows[i].added_qps));
    }
}

/* Without a price: behind those that have one, by what a GPU serves. */
static void test_without_a_price(void)
{
    static const struct {
        const char *id;
        double qps_per_dollar, max_qps;
        int64_t num_gpus;
    } expected[] = {{"d", 0.1, 1, 8}, /* has a price */
                    {"c", NAN, 30, 2},
                    {"b", NAN, 40, 4},
                    {"a", NAN, 80, 8}, /* serves as much a GPU, and more in all */
                    {"e", NAN, 2, 1}};
    static const char *const order[] = {"d", "c", "a", "b", "e"};
    enum { COUNT = sizeof expected / sizeof *expected };
    struct vidur_ranking_row rows[COUNT];
    for (int i = 0; i < COUNT; i++) {
        rows[COUNT - 1 - i] =
            make((struct example){expected[i].id, "m", "t", "ok",
                                  expected[i].qps_per_dollar, expected[i].max_qps});
        rows[COUNT - 1 - i].num_gpus = expected[i].num_gpus;
    }
    CU_ASSERT_EQUAL_FATAL(vidur_rank(rows, COUNT, NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        CU_ASSERT_STRING_EQUAL(rows[i].candidate_id, order[i]);
        CU_ASSERT_EQUAL(rows[i].rank, i + 1);
    }
}

static void test_small(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_rank(NULL, 0, &err), 0);
    struct vidur_ranking_row row =
        make((struct example){"a", "m", "t", "infeasible_memory", NAN, NAN});
    row.rank = 5;
    CU_ASSERT_EQUAL(vidur_rank(&row, 1, &err), 0);
    CU_ASSERT_EQUAL(row.rank, 0);
    CU_ASSERT_EQUAL(vidur_rank(&row, -1, &err), -1);
}

static void test_large(void)
{
    struct vidur_results results;
    synthetic_results(&results, 1944, 99);
    for (int64_t i = 1; i < results.num_ranking; i++) {
        const struct vidur_ranking_row *a = &results.ranking[i - 1], *b = a + 1;
        int order = strcmp(a->model, b->model);
        order = order ? order : strcmp(a->trace, b->trace);
        CU_ASSERT_TRUE(order <= 0);
        if (order == 0 && b->rank > 0) {
            CU_ASSERT_EQUAL(b->rank, a->rank + 1);
            CU_ASSERT_TRUE(a->qps_per_dollar >= b->qps_per_dollar);
        }
        CU_ASSERT_EQUAL(b->rank > 0, strcmp(b->status, "ok") == 0);
    }
    vidur_results_destroy(&results);
}

/* Who has no upper bound may serve anything, or nothing: never before one that has
 * both; of one price, the larger margin goes first. */
static void test_bounds_and_margins(void)
{
    struct vidur_ranking_row rows[] = {
        make((struct example){"a", "m", "t", "ok", 9, 900}),
        make((struct example){"b", "m", "t", "ok", 1, 10}),
        make((struct example){"c", "m", "t", "ok", 1, 10}),
        make((struct example){"d", "m", "t", "ok", 2, 20})};
    rows[0].unbounded = 1;
    rows[1].margin = 0.1;
    rows[2].margin = 0.2;
    CU_ASSERT_EQUAL(vidur_rank(rows, 4, NULL), 0);
    CU_ASSERT_STRING_EQUAL(rows[0].candidate_id, "d");
    CU_ASSERT_STRING_EQUAL(rows[1].candidate_id, "c");
    CU_ASSERT_STRING_EQUAL(rows[2].candidate_id, "b");
    CU_ASSERT_STRING_EQUAL(rows[3].candidate_id, "a");
    CU_ASSERT_EQUAL(rows[3].rank, 4);
}

VIDUR_TEST_MAIN("ranking", {"order and ranks, whatever the order on entry", test_order},
                {"without a price", test_without_a_price},
                {"added to GPUs that are there", test_added},
                {"added for a target", test_added_for_a_target},
                {"none and one", test_small}, {"many rows", test_large},
                {"bounds and margins", test_bounds_and_margins})
