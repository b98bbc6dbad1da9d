#include "example_row.h"
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

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* ---- values ---- */

static void test_numbers(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1.00"},
                 {-1, "-1.00"},
                 {0.123456, "0.123"},
                 {12.345, "12.3"},
                 {12.25, "12.3"},
                 {100.5, "101"},
                 {2.5, "2.50"},
                 {0.0123456, "0.0123"},
                 {0.00123456, "0.00123"},
                 {0.000123456, "0.000123"},
                 {1.23456e-7, "1.23e-07"},
                 {123456789.0, "123456789"},
                 {1e15, "1.00e+15"},
                 {-2.5e300, "-2.50e+300"},
                 {NAN, "-"},
                 {INFINITY, "-"},
                 {-INFINITY, "-"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CU_ASSERT_STRING_EQUAL(vidur_number3(cases[i].value).text, cases[i].text);
    CU_ASSERT_STRING_EQUAL(vidur_number_usd(35.36).text, "35.36");
    CU_ASSERT_STRING_EQUAL(vidur_number_usd(0.125).text, "0.13");
    CU_ASSERT_STRING_EQUAL(vidur_number_usd(NAN).text, "-");
    CU_ASSERT_STRING_EQUAL(vidur_number_usd(1e300).text, "1.00e+300");
    CU_ASSERT_STRING_EQUAL(vidur_number_time(1e300).text, "1.00e+300 s");
    CU_ASSERT_STRING_EQUAL(vidur_number_percent(12.345).text, "12.3 %");
    CU_ASSERT_STRING_EQUAL(vidur_number_percent(NAN).text, "-");
    CU_ASSERT_STRING_EQUAL(vidur_number_time(1.92).text, "1.92 s");
    CU_ASSERT_STRING_EQUAL(vidur_number_time(0.1024).text, "102 ms");
    CU_ASSERT_STRING_EQUAL(vidur_number_time(1).text, "1.00 s");
    CU_ASSERT_STRING_EQUAL(vidur_number_time(NAN).text, "-");
    CU_ASSERT_STRING_EQUAL(vidur_number_change(1.1234).text, "+12.3 %");
    CU_ASSERT_STRING_EQUAL(vidur_number_change(0.5).text, "-50.0 %");
    CU_ASSERT_STRING_EQUAL(vidur_number_change(1.0004).text, "0 %");
    CU_ASSERT_STRING_EQUAL(vidur_number_change(INFINITY).text, "-");
    CU_ASSERT_STRING_EQUAL(vidur_number_int(INT64_MIN).text, "-9223372036854775808");
}

static void test_derived_values(void)
{
    struct vidur_ranking_row row = example_row(), worse = row;
    worse.qps_per_dollar = 0.2;
    CU_ASSERT_DOUBLE_EQUAL(vidur_cost_factor(&row, &worse), 1.25, 1e-15);
    /* 32 USD buy 3600 s x 8 requests: 1.11 USD a thousand */
    CU_ASSERT_DOUBLE_EQUAL(vidur_usd_per_1000_requests(&row), 32 / 28.8, 1e-15);
    row.target_qps = 4; /* a search for a load: its own QPS count */
    CU_ASSERT_DOUBLE_EQUAL(vidur_usd_per_1000_requests(&row), 32 / 14.4, 1e-15);
    CU_ASSERT_EQUAL(vidur_row_qps_per_dollar(&row), 0.125);
}

static void set_served(struct vidur_ranking_row *row, const char *precision,
                       const char *kv_cache_dtype, const char *checkpoint)
{
    snprintf(row->precision, sizeof row->precision, "%s", precision);
    snprintf(row->kv_cache_dtype, sizeof row->kv_cache_dtype, "%s", kv_cache_dtype);
    snprintf(row->checkpoint, sizeof row->checkpoint, "%s", checkpoint);
}

/* A file of before there was a choice is one of bf16. */
static void test_same_configuration(void)
{
    const struct vidur_ranking_row row = example_row();
    struct vidur_ranking_row other = row;
    set_served(&other, "bf16", "bf16", "");
    CU_ASSERT_TRUE(vidur_same_configuration(&row, &other));
    set_served(&other, "fp8", "bf16", "");
    CU_ASSERT_FALSE(vidur_same_configuration(&row, &other));
    set_served(&other, "bf16", "fp8", "");
    CU_ASSERT_FALSE(vidur_same_configuration(&row, &other));
    other = row;
    other.expert_parallel = 1;
    CU_ASSERT_FALSE(vidur_same_configuration(&row, &other));
    other = row;
    other.data_parallel_size = 2;
    CU_ASSERT_FALSE(vidur_same_configuration(&row, &other));
}

static void test_words(void)
{
    char text[256];
    struct vidur_ranking_row row = example_row();
    vidur_format_hardware(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "16 x a100 (a100_dgx): 2 replicas of TP 4 x PP 2");
    vidur_format_configuration(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "2 x TP4 PP2 on a100_dgx, sarathi 512, batch 64");
    set_served(&row, "bf16", "bf16", "");
    vidur_format_engine(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "sarathi 512, batch size 64");
    set_served(&row, "fp8", "bf16", "");
    vidur_format_engine(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "sarathi 512, fp8, batch size 64");
    set_served(&row, "bf16", "fp8", "");
    row.expert_parallel = 1;
    vidur_format_hardware(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "16 x a100 (a100_dgx): 2 replicas of TP 4 EP x PP 2");
    vidur_format_configuration(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(
        text, "2 x TP4 EP PP2 on a100_dgx, sarathi 512, bf16, KV cache fp8, batch 64");
    row.data_parallel_size = 8;
    vidur_format_hardware(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text,
                           "16 x a100 (a100_dgx): 2 replicas of TP 4 EP DP 8 x PP 2");
    row.data_parallel_size = 0; /* of a file from before there was the column */
    struct vidur_report_slo slo = {
        .metric = "scheduling_delay", .quantile = 0.99, .limit_s = 5};
    vidur_format_slo_name(&slo, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "scheduling delay P99");
    slo = (struct vidur_report_slo){.metric = "ttft", .quantile = 0.999, .limit_s = 5};
    vidur_format_slo_name(&slo, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "TTFT P99.9");
    struct vidur_report_group group = {.num_rows = 1};
    group.counts[VIDUR_STATUS_INDEX_FAILED] = 1;
    vidur_format_counts(&group, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "1 candidate: 1 failed");
}

static void test_table(void)
{
    static const char *const headers[] = {"name", "#n", NULL};
    struct vidur_text_table table;
    char *text = NULL;
    size_t size = 0;
    vidur_table_start(&table, headers);
    vidur_table_cell(&table, "caf\xc3\xa9|x");
    vidur_table_cell(&table, "1.5");
    vidur_table_cell(&table, "<b");
    vidur_table_cell(&table, "100");
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(vidur_table_print(&table, out, false, "", NULL), 0);
    CU_ASSERT_EQUAL(vidur_table_print(&table, out, true, "", NULL), 0);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, "name      n\n"
                                 "caf\xc3\xa9|x  1.5\n"
                                 "<b      100\n"
                                 "| name | n |\n| --- | ---: |\n"
                                 "| caf\xc3\xa9\\|x | 1.5 |\n| &lt;b | 100 |\n");
    free(text);
    vidur_table_release(&table);
}

/* The longest configuration is whole in a cell; a text that is longer still shows that
 * it was cut. */
static void test_long_cells(void)
{
    static const char *const headers[] = {"best configuration", NULL};
    struct vidur_ranking_row row = example_row();
    struct vidur_text_table table;
    char text[VIDUR_TABLE_CELL], longer[2 * VIDUR_TABLE_CELL];
    memset(row.scheduler_label, 'x', sizeof row.scheduler_label - 1);
    memset(row.network_device, 'y', sizeof row.network_device - 1);
    memset(longer, 'z', sizeof longer);
    longer[sizeof longer - 1] = 0;
    vidur_format_configuration(&row, text, sizeof text);
    vidur_table_start(&table, headers);
    vidur_table_cell(&table, text);
    vidur_table_cell(&table, longer);
    CU_ASSERT_STRING_EQUAL(table.cells[1], text);
    assert_contains(table.cells[1], "x, batch 64");
    assert_contains(table.cells[2], "zzz...");
    vidur_table_release(&table);
}

/* ---- the model ---- */

static void test_groups(void)
{
    struct vidur_results results;
    struct vidur_report_model model;
    synthetic_results(&results, 450, 1);
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    CU_ASSERT_EQUAL(model.num_groups, 6);
    CU_ASSERT_EQUAL(model.num_slos, 3);
    CU_ASSERT_EQUAL(model.num_cells, 18); /* two models, three by three */
    int64_t rows = 0;
    for (int i = 0; i < model.num_groups; i++) {
        const struct vidur_report_group *group = &model.groups[i];
        int64_t counted = 0;
        for (int s = 0; s < VIDUR_NUM_STATUSES; s++)
            counted += group->counts[s];
        CU_ASSERT_EQUAL(counted, group->num_rows);
        CU_ASSERT_EQUAL(group->best->rank, 1);
        CU_ASSERT_EQUAL(group->second->rank, 2);
        rows += group->num_rows;
    }
    CU_ASSERT_EQUAL(rows, 450);
    for (int i = 0; i < model.num_cells; i++) {
        const struct vidur_report_cell *cell = &model.cells[i];
        if (cell->served == cell->tuned_for)
            CU_ASSERT_EQUAL(cell->loss, 1);
        if (!isnan(cell->loss)) {
            CU_ASSERT_TRUE(cell->loss >= 1);
            CU_ASSERT_TRUE(vidur_same_configuration(
                cell->row, model.groups[cell->tuned_for].best));
            CU_ASSERT_STRING_EQUAL(cell->row->trace, model.groups[cell->served].trace);
        }
    }
    int64_t probes = 0;
    for (int i = 0; i < model.search.num_ranks; i++)
        probes += model.search.rank_probes[i];
    CU_ASSERT_EQUAL(probes, results.num_probes);
    CU_ASSERT_EQUAL(model.search.probes, results.num_probes);
    CU_ASSERT_EQUAL(model.search.num_ranks, 4);
    vidur_report_model_release(&model);
    vidur_results_destroy(&results);
}

static void test_filters(void)
{
    struct vidur_results results;
    struct vidur_report_model model;
    struct vidur_error err = {0};
    synthetic_results(&results, 450, 1);
    struct vidur_report_options only = {
        .model = "llama-2-7b", .trace = "chat", .sku = "a100"};
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, &only, &err), 0);
    CU_ASSERT_EQUAL(model.num_groups, 1);
    CU_ASSERT_EQUAL(model.num_skus, 1);
    CU_ASSERT_EQUAL(model.num_cells, 0);
    CU_ASSERT_TRUE(model.search.probes > 0 && model.search.probes < results.num_probes);
    for (int64_t i = 0; i < model.num_rows; i++)
        CU_ASSERT_STRING_EQUAL(model.rows[i].device, "a100");
    vidur_report_model_release(&model);
    only = (struct vidur_report_options){.sku = "a40_pairwise_nvlink"};
    CU_ASSERT_EQUAL(vidur_report_model_make(&model, &results, &only, &err), 0);
    CU_ASSERT_EQUAL(model.num_groups, 6);
    vidur_report_model_release(&model);
    only = (struct vidur_report_options){.sku = "tpu"};
    CU_ASSERT_EQUAL(vidur_report_model_make(&model, &results, &only, &err), -1);
    assert_contains(err.text, "SKUs h100, h100_dgx");
    vidur_report_model_release(&model);
    vidur_results_destroy(&results);
    struct vidur_results none = {0};
    CU_ASSERT_EQUAL(vidur_report_model_make(&model, &none, NULL, &err), -1);
    assert_contains(err.text, "no candidate");
    vidur_report_model_release(&model);
}

/* ---- reports ---- */

static void test_terminal(void)
{
    struct vidur_results results;
    synthetic_results(&results, 450, 1);
    char *text = report_text(vidur_report_terminal, &results, NULL, NULL);
    CU_ASSERT_EQUAL(count_of(text, " rank  SKU"), 6);
    CU_ASSERT_EQUAL(count_of(text, "75 candidates"), 6);
    assert_contains(text, "note: Test data made from formulas");
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        size_t width = strcspn(line, "\n");
        CU_ASSERT_TRUE(strncmp(line, "note:", 5) == 0 || width <= 140);
    }
    free(text);
    text = report_text(vidur_report_terminal, &results,
                       &(struct vidur_report_options){.top = 1, .trace = "chat"}, NULL);
    const int prices = count_of(text, "price: ");
    CU_ASSERT_EQUAL(count_of(text, "\n"), 2 * 3 + 1 + 2 + prices);
    CU_ASSERT_EQUAL(prices, 1); /* of one source */
    assert_contains(text, "h100 $4.25");
    assert_contains(text, " per GPU-hour: 2024-02-07, test data; prices move\n");
    free(text);
    vidur_results_destroy(&results);
}

static void make_all_infeasible(struct vidur_results *results)
{
    synthetic_results(results, 60, 4);
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        snprintf(row->status, sizeof row->status, "infeasible_memory");
        snprintf(row->reason, sizeof row->reason, "needs 1 TiB");
        row->rank = row->pareto = 0;
    }
}

static void test_nothing_feasible(void)
{
    struct vidur_results results;
    make_all_infeasible(&results);
    report_printer *const printers[] = {vidur_report_terminal, vidur_report_answer,
                                        vidur_report_markdown, vidur_report_html};
    for (int i = 0; i < (vidur_report_asset("chart.js") ? 4 : 3); i++) {
        struct vidur_error err = {0};
        char *text = report_text(printers[i], &results, NULL, &err);
        CU_ASSERT_PTR_NOT_NULL(text);
        if (i < 2)
            assert_contains(text, "No candidate can serve this workload: needs 1 TiB");
        free(text);
    }
    vidur_results_destroy(&results);
}

static void test_answer(void)
{
    struct vidur_results results;
    synthetic_results(&results, 450, 1);
    struct vidur_report_options options = {
        .model = "llama-2-70b", .top = 3, .load = {.target_qps = 40}};
    char *text = report_text(vidur_report_answer, &results, &options, NULL);
    CU_ASSERT_EQUAL(count_of(text, "  Rent  "), 3);
    CU_ASSERT_EQUAL(count_of(text, "  For 40.0 QPS: rent "), 3);
    CU_ASSERT_PTR_EQUAL(strstr(text, "llama-2-70b, arxiv:\n  For 40.0 QPS: rent "),
                        text);
    CU_ASSERT_EQUAL(count_of(text, "vllm serve meta-llama/Llama-2-70b-hf"), 3);
    CU_ASSERT_EQUAL(count_of(text, "TTFT P90 "), 3 + 3); /* SLOs and table headers */
    assert_contains(text, "with another's best configuration");
    CU_ASSERT_PTR_NULL(strstr(text, "llama-2-7b"));
    free(text);
    vidur_results_destroy(&results);
}

static void test_markdown(void)
{
    struct vidur_results results;
    synthetic_results(&results, 450, 1);
    char *text = report_text(vidur_report_markdown, &results, NULL, NULL);
    CU_ASSERT_TRUE(strlen(text) < 65536); /* a comment on GitHub */
    CU_ASSERT_EQUAL(count_of(text, "\n### llama"), 6 + 2);
    CU_ASSERT_EQUAL(count_of(text, "```"), 12);
    assert_contains(text, "h100: $4.25 per GPU-hour (test data, 2024-02-07)");
    int columns = 0; /* every line of a table has as many cells as its header */
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        int cells = 0;
        for (const char *at = line; *at && *at != '\n'; at++)
            cells += *at == '|';
        if (line[0] == '|' && columns > 0)
            CU_ASSERT_EQUAL(cells, columns);
        columns = line[0] == '|' ? cells : 0;
    }
    free(text);
    vidur_results_destroy(&results);
}

static void test_csv(void)
{
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    static const struct vidur_csv_column wanted[] = {
        {"candidate_id", VIDUR_CSV_STRING, 0},
        {"max_qps", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK},
        {"reason", VIDUR_CSV_STRING, VIDUR_CSV_EMPTY_OK},
        {"pareto", VIDUR_CSV_INT64, 0}};
    const struct vidur_csv_schema schema = {wanted, 4, false};
    struct vidur_results results;
    struct vidur_error err = {0};
    synthetic_results(&results, 450, 1);
    char *text = report_text(vidur_report_csv, &results, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    struct vidur_csv *csv = vidur_csv_parse("csv", text, strlen(text), &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL(vidur_csv_rows(csv), 450);
    for (int64_t i = 0; i < vidur_csv_rows(csv); i++) {
        const struct vidur_ranking_row *row = &results.ranking[i];
        double qps = vidur_csv_doubles(csv, 1)[i];
        CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, vidur_csv_string_ids(csv, 0)[i]),
                               row->candidate_id);
        CU_ASSERT_TRUE(qps == row->max_qps || (isnan(qps) && isnan(row->max_qps)));
        CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, vidur_csv_string_ids(csv, 2)[i]),
                               row->reason);
        CU_ASSERT_EQUAL(vidur_csv_int64s(csv, 3)[i], row->pareto);
    }
    vidur_csv_free(csv);
    free(text);
    CU_ASSERT_TRUE(count > 60 && columns);
    struct vidur_report_options options = {.top = 2};
    text = report_text(vidur_report_csv, &results, &options, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    csv = vidur_csv_parse("csv", text, strlen(text), &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL(vidur_csv_rows(csv), 12);
    vidur_csv_free(csv);
    free(text);
    vidur_results_destroy(&results);
}

static void test_html(void)
{
    struct vidur_results results;
    struct vidur_error err = {0};
    synthetic_results(&results, 450, 1);
    snprintf(results.ranking[0].reason, sizeof results.ranking[0].reason,
             "</script><script>alert(1)</script><!--");
    char *text = report_text(vidur_report_html, &results, NULL, &err);
    if (!vidur_report_asset("chart.js")) {
        CU_ASSERT_PTR_NULL(text);
        assert_contains(err.text, "install libjs-chart.js");
    } else {
        CU_ASSERT_TRUE(strlen(text) < 2000000);
        CU_ASSERT_EQUAL(count_of(text, "<script>"), 5); /* ours alone */
        CU_ASSERT_EQUAL(count_of(text, "</script>"), 6);
        assert_contains(text, "\\u003c/script>\\u003cscript>alert(1)");
        CU_ASSERT_EQUAL(count_of(text, "{{"), 0);
        CU_ASSERT_EQUAL(count_of(text, "src="), 0); /* nothing is fetched */
        assert_contains(text, "Released under the MIT License");
        assert_contains(text, "Permission is hereby granted");
    }
    free(text);
    vidur_results_destroy(&results);
}

/* ---- two searches ---- */

static char *compare(const struct vidur_results *before,
                     const struct vidur_results *after, bool markdown)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    const struct vidur_report_options options = {.markdown = markdown};
    int failed = vidur_report_compare(out, before, after, &options, NULL);
    fclose(out);
    CU_ASSERT_EQUAL(failed, 0);
    return text;
}

static void test_compare(void)
{
    struct vidur_results before, after;
    synthetic_results(&before, 90, 1);
    synthetic_results(&after, 90, 1);
    char *text = compare(&before, &after, false);
    assert_contains(text,
                    "90 candidates are the same in both, 0 changed, 0 only before, 0 ");
    CU_ASSERT_EQUAL(count_of(text, "the same"), 1 + 6);
    CU_ASSERT_PTR_NULL(strstr(text, "Inputs that differ"));
    free(text);
    int64_t ok = 0;
    while (after.ranking[ok].rank != 1)
        ok++;
    after.ranking[ok].max_qps *= 2;
    after.ranking[ok].qps_per_dollar *= 2;
    snprintf(after.facts[3].value, sizeof after.facts[3].value, "3.5"); /* an SLO */
    text = compare(&before, &after, true);
    assert_contains(text, "89 candidates are the same in both, 1 changed");
    assert_contains(text, "+100.0 %");
    assert_contains(text, "### Inputs that differ");
    assert_contains(text, "| slo ttft_p90 limit_s | 2 | 3.5 |");
    free(text);
    after.num_ranking -= 5;
    text = compare(&before, &after, false);
    assert_contains(text, "5 only before, 0 only after");
    free(text);
    text = compare(&after, &before, false);
    assert_contains(text, "0 only before, 5 only after");
    free(text);
    vidur_results_destroy(&before);
    vidur_results_destroy(&after);
}

VIDUR_TEST_MAIN("report", {"numbers", test_numbers},
                {"derived values", test_derived_values},
                {"same configuration", test_same_configuration}, {"words", test_words},
                {"tables, aligned and Markdown", test_table},
                {"long cells", test_long_cells},
                {"groups, matrix, search", test_groups}, {"filters", test_filters},
                {"terminal", test_terminal},
                {"nothing is feasible", test_nothing_feasible}, {"answer", test_answer},
                {"Markdown", test_markdown}, {"CSV", test_csv}, {"HTML", test_html},
                {"comparison", test_compare})
