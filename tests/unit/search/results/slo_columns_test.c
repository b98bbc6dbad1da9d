#include "results/slo_columns.h"

#include "results/columns.h"
#include "test.h"

#include <vidur/space.h>

#include <stdio.h>
#include <string.h>

static void test_names(void)
{
    static const struct {
        enum vidur_latency metric;
        double quantile;
        const char *slo, *column;
    } cases[] = {{VIDUR_LATENCY_ttft, 0.95, "ttft_p95", "ttft_p95_s"},
                 {VIDUR_LATENCY_tpot, 0.999, "tpot_p99.9", "tpot_p99_9_s"},
                 {VIDUR_LATENCY_tbt, 0.99999, "tbt_p99.999", "tbt_p99_999_s"},
                 {VIDUR_LATENCY_tbt, 0.9999999, "tbt_p99.99999", "tbt_p99_99999_s"},
                 {VIDUR_LATENCY_e2e, 1, "e2e_p100", "e2e_p100_s"},
                 {VIDUR_LATENCY_e2e, 0.07, "e2e_p7", "e2e_p7_s"},
                 {VIDUR_LATENCY_e2e, 0.29, "e2e_p29", "e2e_p29_s"},
                 {VIDUR_LATENCY_e2e, 1e-7, "e2e_p0.00001", "e2e_p0_00001_s"},
                 {VIDUR_LATENCY_e2e_normalized, 0.75, "e2e_normalized_p75",
                  "e2e_normalized_p75_s"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vidur_slo slo = {
            .metric = cases[i].metric, .quantile = cases[i].quantile, .limit_s = 1};
        char text[VIDUR_SLO_COLUMN_NAME];
        vidur_slo_name(&slo, text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].slo);
        slo_column_name(vidur_latency_name(slo.metric), slo.quantile, text,
                        sizeof text);
        CU_ASSERT_STRING_EQUAL(text, cases[i].column);
    }
}

/* The quantiles that every row has are named by the same rule. */
static void test_fixed_columns(void)
{
    static const double quantiles[] = {0.5, 0.9, 0.95, 0.99};
    struct slo_columns columns = {0};
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
        for (int q = 0; q < 4; q++)
            slo_columns_add(&columns, (enum vidur_latency)m, quantiles[q]);
    CU_ASSERT_EQUAL(columns.count, 0);
}

/* Places follow the names, whatever the order; none is taken twice. */
static void test_places(void)
{
    static const double quantiles[] = {0.999, 0.75, 0.25, 0.8, 0.75, 0.9, 0.85};
    static const char *const names[] = {"tbt_p25_s", "tbt_p75_s", "tbt_p80_s",
                                        "tbt_p85_s", "tbt_p99_9_s"};
    enum { COUNT = sizeof quantiles / sizeof quantiles[0] };
    for (int first = 0; first < COUNT; first++) {
        struct slo_columns columns = {0};
        for (int i = 0; i < COUNT; i++)
            slo_columns_add(&columns, VIDUR_LATENCY_tbt,
                            quantiles[(first + i) % COUNT]);
        CU_ASSERT_EQUAL_FATAL(columns.count, 5);
        for (int i = 0; i < 5; i++) {
            CU_ASSERT_STRING_EQUAL(columns.at[i].name, names[i]);
            CU_ASSERT_EQUAL(slo_columns_find(&columns, names[i]), i);
        }
        CU_ASSERT_EQUAL(slo_columns_find(&columns, "tbt_p90_s"), -1);
    }
}

/* A file may tell of more than there are places for: the first by name have them. */
static void test_full(void)
{
    struct slo_columns columns = {0};
    for (int i = 0; i < 20; i++)
        slo_columns_add(&columns, VIDUR_LATENCY_e2e, 0.01 * (30 - i));
    CU_ASSERT_EQUAL_FATAL(columns.count, VIDUR_MAX_SLOS);
    CU_ASSERT_STRING_EQUAL(columns.at[0].name, "e2e_p11_s");
    CU_ASSERT_STRING_EQUAL(columns.at[VIDUR_MAX_SLOS - 1].name, "e2e_p18_s");
}

static void add(struct vidur_results *results, const char *name, const char *key,
                const char *value)
{
    CU_ASSERT_EQUAL(vidur_results_add_fact(
                        results, (struct vidur_fact){"slo", name, key, value}, NULL),
                    0);
}

static void test_facts(void)
{
    struct vidur_results results = {0};
    struct vidur_named_columns named;
    int count;
    const struct vidur_column *all = vidur_probe_columns(&count);
    add(&results, "tpot_p99.9", "metric", "tpot");
    add(&results, "tpot_p99.9", "quantile", "0.999");
    add(&results, "ttft_p95", "metric", "ttft");
    add(&results, "ttft_p95", "quantile", "0.95");
    add(&results, "a", "metric", "no latency");
    add(&results, "a", "quantile", "0.8");
    add(&results, "b", "metric", "tbt");
    add(&results, "b", "quantile", "80");
    add(&results, "c", "metric", "tbt");
    vidur_named_columns_make(&named, all, count, &results);
    CU_ASSERT_EQUAL_FATAL(named.count, count - VIDUR_NUM_PLACES + 1);
    const struct vidur_column *last = &named.columns[named.count - 1];
    CU_ASSERT_STRING_EQUAL(last->name, "tpot_p99_9_s");
    CU_ASSERT_STRING_EQUAL(last->unit, "s");
    CU_ASSERT_PTR_NOT_NULL(strstr(last->description, "tpot, percentile 99.9"));
    CU_ASSERT_EQUAL(last->offset, offsetof(struct vidur_probe_row, slo_s));
    vidur_results_destroy(&results);
}

/* Of joint SLOs, of classes', and of the classes themselves. */
static void test_classes(void)
{
    static const char *const names[] = {"goodput_ttft_tpot_p99_9_worst",
                                        "rag_e2e_p95_s", "rag_goodput_ttft_p90_worst",
                                        "a_requests", "a_ttft_p50_s"};
    struct vidur_results results = {0};
    struct vidur_named_columns named;
    int count;
    const struct vidur_column *all = vidur_ranking_columns(&count);
    add(&results, "rag_goodput_ttft_p90", "metric", "goodput");
    add(&results, "rag_goodput_ttft_p90", "quantile", "0.9");
    add(&results, "rag_goodput_ttft_p90", "class", "rag");
    add(&results, "goodput_ttft_tpot_p99.9", "metric", "goodput");
    add(&results, "goodput_ttft_tpot_p99.9", "quantile", "0.999");
    add(&results, "rag_e2e_p95", "metric", "e2e");
    add(&results, "rag_e2e_p95", "quantile", "0.95");
    add(&results, "rag_e2e_p95", "class", "rag");
    add(&results, "rag_ttft_p95", "metric", "ttft"); /* among the class's own */
    add(&results, "rag_ttft_p95", "quantile", "0.95");
    add(&results, "rag_ttft_p95", "class", "rag");
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(
            vidur_results_add_fact(
                &results,
                (struct vidur_fact){"class", i ? "a" : "rag", "shares", "x 50 %"},
                NULL),
            0);
    vidur_named_columns_make(&named, all, count, &results);
    const int first = count - VIDUR_NUM_PLACES;
    CU_ASSERT_EQUAL_FATAL(named.count, first + 3 + 2 * VIDUR_NUM_CLASS_COLUMNS);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_STRING_EQUAL(named.columns[first + i].name, names[i]);
    CU_ASSERT_STRING_EQUAL(named.columns[first].unit, "1");
    CU_ASSERT_STRING_EQUAL(named.columns[first + 1].unit, "s");
    CU_ASSERT_STRING_EQUAL(named.columns[named.count - 1].name, "rag_goodput_per_s");
    CU_ASSERT_EQUAL(named.columns[first + 3].offset,
                    offsetof(struct vidur_ranking_row, class_s));
    for (int i = 0; i < named.count; i++)
        for (int j = 0; j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(named.columns[i].name, named.columns[j].name);
    vidur_results_destroy(&results);
}

VIDUR_TEST_MAIN("columns of SLOs", {"names", test_names},
                {"columns that every row has", test_fixed_columns},
                {"places", test_places}, {"more than there are places", test_full},
                {"joint ones and classes", test_classes}, {"from facts", test_facts})
