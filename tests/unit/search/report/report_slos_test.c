#include "report/report.h"
#include "report/report_assets.h"
#include "report/report_format.h"
#include "report_text.h"
#include "synthetic_results.h"
#include "test.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What reports say of SLOs, whichever quantiles they are on. */

/* What the model makes of the SLOs of results with one row. */
static struct vidur_report_slo slo_of(const char *name, const char *metric,
                                      const char *quantile,
                                      struct vidur_ranking_row *row)
{
    struct vidur_results results = {.ranking = row, .num_ranking = 1};
    struct vidur_report_model model;
    vidur_results_add_fact(&results, (struct vidur_fact){"slo", name, "metric", metric},
                           NULL);
    vidur_results_add_fact(
        &results, (struct vidur_fact){"slo", name, "quantile", quantile}, NULL);
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(model.num_slos, 1);
    struct vidur_report_slo slo = model.slos[0];
    slo.name = name;
    slo.metric = metric;
    vidur_report_model_release(&model);
    free(results.facts);
    return slo;
}

static void test_latencies(void)
{
    struct vidur_ranking_row row;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    char text[64];
    vidur_row_clear(columns, count, &row);
    row.ttft_p90_s = 1.5;
    struct vidur_report_slo slo = slo_of("a", "ttft", "0.9", &row);
    CU_ASSERT_EQUAL(vidur_row_latency(&row, &slo), 1.5);
    CU_ASSERT_STRING_EQUAL(vidur_number_latency(&row, &slo).text, "1.50 s");
    slo = slo_of("a", "ttft", "0.95", &row); /* in an older file */
    CU_ASSERT_TRUE(isnan(vidur_row_latency(&row, &slo)));
    CU_ASSERT_STRING_EQUAL(vidur_number_latency(&row, &slo).text, "not recorded");
    slo = slo_of("a", "model", "0.9", &row);
    CU_ASSERT_TRUE(isnan(vidur_row_latency(&row, &slo)));
    slo = slo_of("a", "tpot", "0.99999", &row);
    vidur_format_slo_name(&slo, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "TPOT P99.999");
    CU_ASSERT_STRING_EQUAL(slo.column, "tpot_p99_999_s");
    CU_ASSERT_STRING_EQUAL(vidur_number_latency(&row, &slo).text, "nothing to measure");
    row.tpot_p50_s = 0.04;
    CU_ASSERT_STRING_EQUAL(vidur_number_latency(&row, &slo).text, "not recorded");
    row.slo_s[0] = 0.05;
    CU_ASSERT_STRING_EQUAL(vidur_number_latency(&row, &slo).text, "50.0 ms");
}

/* Tables show the SLOs' latencies in their order, then TTFT P90 and TBT P99 where there
 * is room and no SLO on them. */
static void test_latency_columns(void)
{
    struct vidur_results results;
    struct vidur_report_model model;
    synthetic_results(&results, 60, 1);
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    CU_ASSERT_EQUAL(model.num_latencies, 3);
    CU_ASSERT_STRING_EQUAL(model.latencies[2].column, "scheduling_delay_p99_s");
    vidur_report_model_release(&model);
    synthetic_other_slos(&results);
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(model.num_latencies, 4);
    CU_ASSERT_STRING_EQUAL(model.latencies[0].column, "ttft_p95_s");
    CU_ASSERT_STRING_EQUAL(model.latencies[1].column, "tpot_p99_9_s");
    CU_ASSERT_STRING_EQUAL(model.latencies[2].column, "e2e_normalized_p75_s");
    CU_ASSERT_STRING_EQUAL(model.latencies[3].column, "tbt_p99_s");
    vidur_report_model_release(&model);
    for (int i = 0; i < 12; i++) { /* as files may say; ours have no more than eight */
        char name[48], quantile[8];
        snprintf(name, sizeof name, "e2e_p%d", 10 + i);
        snprintf(quantile, sizeof quantile, "0.%d", 10 + i);
        vidur_results_add_fact(&results,
                               (struct vidur_fact){"slo", name, "metric", "e2e"}, NULL);
        vidur_results_add_fact(
            &results, (struct vidur_fact){"slo", name, "quantile", quantile}, NULL);
    }
    char *text = report_text(vidur_report_terminal, &results, NULL, NULL);
    assert_contains(text, " E2E P15  ");
    CU_ASSERT_PTR_NULL(strstr(text, "E2E P16"));
    CU_ASSERT_PTR_NULL(strstr(text, "TBT P99"));
    free(text);
    vidur_results_destroy(&results);
}

static void test_other_slos_in_every_format(void)
{
    struct vidur_results results;
    struct vidur_report_options options = {.top = 3};
    static const char *const shown[] = {"TTFT P95", "TPOT P99.9", "E2E/tok P75"};
    report_printer *const printers[] = {vidur_report_terminal, vidur_report_answer,
                                        vidur_report_markdown, vidur_report_html};
    char number[128];
    synthetic_results(&results, 450, 1);
    synthetic_other_slos(&results);
    const struct vidur_ranking_row *best = &results.ranking[0];
    for (int i = 0; i < (vidur_report_asset("chart.js") ? 4 : 3); i++) {
        char *text = report_text(printers[i], &results, &options, NULL);
        for (int s = 0; s < 3; s++)
            assert_contains(text, shown[s]);
        if (i < 3)
            CU_ASSERT_PTR_NULL(strstr(text, "not recorded"));
        snprintf(number, sizeof number, "TPOT P99.9 %s (limit 500 ms)",
                 vidur_number_time(best->slo_s[1]).text);
        if (i == 1 || i == 2)
            assert_contains(text, number);
        snprintf(number, sizeof number, "| %s | %s | %s | %s |",
                 vidur_number_time(best->ttft_p95_s).text,
                 vidur_number_time(best->slo_s[1]).text,
                 vidur_number_time(best->slo_s[0]).text,
                 vidur_number_time(best->tbt_p99_s).text);
        if (i == 2)
            assert_contains(text, number);
        if (i == 3)
            assert_contains(text, "\"column\": \"tpot_p99_9_s\"");
        free(text);
    }
    vidur_results_destroy(&results);
}

/* The quantile of an SLO is a column of the CSV; what a load takes comes behind it. */
static void test_csv_of_other_slos(void)
{
    static const struct vidur_csv_column wanted[] = {
        {"tpot_p99_9_s", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK},
        {"e2e_normalized_p75_s", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK}};
    const struct vidur_csv_schema schema = {wanted, 2, false};
    const struct vidur_report_options options = {.load = {.target_qps = 20}};
    struct vidur_results results;
    struct vidur_error err = {0};
    int known = 0;
    synthetic_results(&results, 90, 1);
    synthetic_other_slos(&results);
    char *text = report_text(vidur_report_csv, &results, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    struct vidur_csv *csv = vidur_csv_parse("csv", text, strlen(text), &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    for (int64_t i = 0; i < vidur_csv_rows(csv); i++)
        known += vidur_csv_doubles(csv, 0)[i] == results.ranking[i].slo_s[1] &&
                 vidur_csv_doubles(csv, 1)[i] == results.ranking[i].slo_s[0];
    CU_ASSERT_TRUE(known > 30);
    vidur_csv_free(csv);
    free(text);
    text = report_text(vidur_report_csv, &results, &options, &err);
    assert_contains(text, ",e2e_normalized_p75_s,tpot_p99_9_s,load_qps,load_replicas,");
    free(text);
    vidur_results_destroy(&results);
}

/* The widest ranking: of a search for a load, with as many SLOs as there can be. */
static void test_ranking_of_a_load(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    synthetic_other_slos(&results);
    for (int i = 0; i < 5; i++) {
        char name[48], quantile[8];
        snprintf(name, sizeof name, "e2e_p%d", 10 + i);
        snprintf(quantile, sizeof quantile, "0.%d", 10 + i);
        vidur_results_add_fact(&results,
                               (struct vidur_fact){"slo", name, "metric", "e2e"}, NULL);
        vidur_results_add_fact(
            &results, (struct vidur_fact){"slo", name, "quantile", quantile}, NULL);
    }
    synthetic_retarget(&results, 50);
    char *text = report_text(vidur_report_markdown, &results, NULL, NULL);
    assert_contains(text,
                    "| GPUs | nodes | $/hour | $/month | busy | margin | TTFT P95 | "
                    "TPOT P99.9 | E2E/tok P75 | E2E P10 | E2E P11 | E2E P12 | E2E P13 "
                    "| E2E P14 | limited by |\n");
    free(text);
    vidur_results_destroy(&results);
}

VIDUR_TEST_MAIN("SLOs in reports", {"latencies of SLOs", test_latencies},
                {"columns of latencies", test_latency_columns},
                {"other SLOs in every format", test_other_slos_in_every_format},
                {"CSV of other SLOs", test_csv_of_other_slos},
                {"ranking of a load", test_ranking_of_a_load})
