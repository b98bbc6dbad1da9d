#include "report/report_money.h"

#include "report/report.h"
#include "report/report_format.h"
#include "report_text.h"
#include "synthetic_results.h"
#include "test.h"

#include <vidur/ranking.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_results results;
static struct vidur_report_model model;

static const struct vidur_report_options with_api = {
    .api = {.given = true, .input = 0.6, .output = 2.4}};

static void make(const struct vidur_report_options *options)
{
    vidur_report_model_release(&model);
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, options, NULL), 0);
}

/* A line of the best of the first group. */
static const char *line_of(const struct vidur_report_group *group,
                           const struct vidur_ranking_row *row,
                           enum vidur_money_line line)
{
    static char text[1024];
    const struct vidur_money money = vidur_money_of(&model, group, row, NULL);
    vidur_format_money(&model, &money, line, text, sizeof text);
    return text;
}

static double mean(const char *trace, const char *key)
{
    return strtod(vidur_results_fact(&results, "trace", trace, key), NULL);
}

static void add_fact(const char *section, const char *name, const char *key,
                     const char *value)
{
    CU_ASSERT_EQUAL(vidur_results_add_fact(
                        &results, (struct vidur_fact){section, name, key, value}, NULL),
                    0);
}

static void set_up(void)
{
    synthetic_results(&results, 60, 1);
    for (int64_t i = 0; i < results.num_ranking; i++) {
        const char *trace = results.ranking[i].trace;
        if (vidur_results_fact(&results, "trace", trace, "prefill_tokens_mean"))
            continue;
        add_fact("trace", trace, "prefill_tokens_mean", "1000");
        add_fact("trace", trace, "decode_tokens_mean", "200");
    }
    make(NULL);
}

static void clean_up(void)
{
    vidur_report_model_release(&model);
    vidur_results_destroy(&results);
}

static void test_parse(void)
{
    static const char *const bad[] = {"",      "1",     "1,",    ",1",   "1;2",
                                      "a,1",   "1,b",   "-1,2",  "1,-2", "0,0",
                                      "1,2,3", "nan,1", "1,inf", "1 2",  "1,2 x"};
    struct vidur_api_price api = {.given = false};
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_api_price_parse("0.6,2.4", &api, &err), 0);
    CU_ASSERT(api.given && api.input == 0.6 && api.output == 2.4);
    CU_ASSERT_EQUAL(vidur_api_price_parse("0,2", &api, &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(vidur_api_price_parse(bad[i], &api, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--api-price: '"));
    }
}

/* Own GPUs and the API cost the same at the break-even, by their own definitions. */
static void test_api(void)
{
    make(&with_api);
    const struct vidur_report_group *group = &model.groups[0];
    const struct vidur_ranking_row *best = group->best;
    const double request_usd = (mean(best->trace, "prefill_tokens_mean") * 0.6 +
                                mean(best->trace, "decode_tokens_mean") * 2.4) /
                               1e6;
    const double even = vidur_api_break_even_qps(&model, best);
    CU_ASSERT_DOUBLE_EQUAL(even * request_usd * 3600, best->usd_per_hour, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(vidur_api_usd_per_hour(&model, best->trace, even),
                           best->usd_per_hour, 1e-9);
    const char *text = line_of(group, best, VIDUR_MONEY_API);
    char wanted[256];
    snprintf(wanted, sizeof wanted, "both the same at %s QPS, %s of their capacity",
             vidur_number3(even).text,
             vidur_number_percent(100 * even / best->max_qps).text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted));
    CU_ASSERT_EQUAL(
        strncmp(text, "$0.600 input, $2.40 output per million tokens: $", 48), 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, even < best->max_qps ? " % less; " : " % more; "));
    make(NULL);
    CU_ASSERT_STRING_EQUAL(
        line_of(&model.groups[0], model.groups[0].best, VIDUR_MONEY_API), "");
    const struct vidur_report_options cheap = {
        .api = {.given = true, .input = 1e-6, .output = 1e-6}};
    make(&cheap);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(line_of(&model.groups[0], model.groups[0].best, VIDUR_MONEY_API),
               "of their capacity: more than they serve"));
}

static void test_price(void)
{
    make(NULL);
    const struct vidur_report_group *group = &model.groups[0];
    char wanted[256];
    snprintf(wanted, sizeof wanted,
             "%s $%s per GPU-hour: 2024-02-07, test data; "
             "prices move",
             group->best->device,
             vidur_results_fact(&results, "device", group->best->device,
                                "usd_per_gpu_hour"));
    CU_ASSERT_STRING_EQUAL(line_of(group, group->best, VIDUR_MONEY_PRICE), wanted);
    add_fact("device", group->best->device, "price_provider", "me");
    add_fact("device", group->best->device, "price_term", "spot");
    CU_ASSERT_PTR_NOT_NULL(strstr(line_of(group, group->best, VIDUR_MONEY_PRICE),
                                  " per GPU-hour: me, spot, 2024-02-07, test data; "));
    struct vidur_ranking_row two = *group->best; /* pools on different devices */
    snprintf(two.decode_device, sizeof two.decode_device, "other");
    add_fact("device", "other", "usd_per_gpu_hour", "7");
    CU_ASSERT_PTR_NOT_NULL(strstr(line_of(group, &two, VIDUR_MONEY_PRICE),
                                  "prices move; other $7 per GPU-hour: source not "
                                  "recorded"));
}

static void test_energy_and_costs(void)
{
    struct vidur_ranking_row row = *model.groups[0].best;
    char text[256];
    CU_ASSERT_STRING_EQUAL(line_of(&model.groups[0], &row, VIDUR_MONEY_ENERGY), "");
    row.watts_per_gpu = 512.3;
    row.wh_per_million_tokens = 7.891;
    row.tokens_per_joule = 35.2;
    CU_ASSERT_STRING_EQUAL(line_of(&model.groups[0], &row, VIDUR_MONEY_ENERGY),
                           "512 W a GPU, 7.89 Wh per million tokens, 35.2 tokens per "
                           "joule (estimate, GPUs alone)");
    row.usd_per_million_tokens = 0.5;
    row.usd_per_hour = 3.6;
    row.max_qps = 10;
    vidur_format_costs(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text,
                           "$0.500 per million tokens, $0.100 per 1,000 requests");
    row.usd_per_million_input_tokens = 0.25;
    row.usd_per_million_output_tokens = 1.5;
    vidur_format_costs(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "$0.500 per million tokens ($0.250 input, $1.50 "
                                 "output), $0.100 per 1,000 requests");
}

/* At the price that is told, a query costs what it costs with the winner. */
static void test_break_even(void)
{
    const struct vidur_ranking_row *best = model.groups[0].best;
    struct vidur_ranking_row row = *best;
    char wanted[160];
    CU_ASSERT_STRING_EQUAL(line_of(&model.groups[0], &row, VIDUR_MONEY_BREAK_EVEN), "");
    row.usd_per_hour = row.qps_per_dollar = NAN;
    row.max_qps = best->max_qps / 2;
    const double usd = vidur_break_even_usd_per_gpu_hour(best, &row);
    CU_ASSERT_DOUBLE_EQUAL(row.max_qps / (usd * (double)row.num_gpus),
                           best->qps_per_dollar, 1e-9);
    snprintf(wanted, sizeof wanted,
             "%s has no price: cheaper than the winner below $%s per GPU-hour "
             "(--price or --prices of vidur-search gives it one)",
             row.network_device, vidur_number_usd(usd).text);
    CU_ASSERT_STRING_EQUAL(line_of(&model.groups[0], &row, VIDUR_MONEY_BREAK_EVEN),
                           wanted);
    CU_ASSERT_TRUE(isnan(vidur_cost_factor(best, &row)));
    struct vidur_ranking_row half = row;
    half.max_qps /= 2;
    CU_ASSERT_DOUBLE_EQUAL(vidur_cost_factor(&row, &half), 2, 1e-12);
    row.target_qps = 5; /* for a load: as few GPUs as that price makes cheaper */
    struct vidur_ranking_row loaded = *best;
    loaded.target_qps = 5;
    CU_ASSERT_DOUBLE_EQUAL(vidur_break_even_usd_per_gpu_hour(&loaded, &row) *
                               (double)row.num_gpus,
                           loaded.usd_per_hour, 1e-9);
}

/* ---- In reports ---- */

static void forget_prices(const char *device)
{
    for (int64_t i = 0; i < results.num_ranking; i++)
        if (!device || strcmp(results.ranking[i].device, device) == 0) {
            results.ranking[i].usd_per_hour = results.ranking[i].usd_per_month = NAN;
            results.ranking[i].qps_per_dollar = NAN;
            results.ranking[i].usd_per_million_tokens = NAN;
        }
    CU_ASSERT_EQUAL(vidur_rank(results.ranking, results.num_ranking, NULL), 0);
}

/* One device without a price is last and says below which price it would not be; with
 * none at all, rows rank by what a GPU serves, and no report shows a number for a
 * price. */
static void test_reports(void)
{
    char device[32];
    snprintf(device, sizeof device, "%s", model.groups[0].best->device);
    char *text = report_text(vidur_report_csv, &results, &with_api, NULL);
    CU_ASSERT_TRUE(strstr(text, ",api_usd_per_month,api_break_even_qps\r\n") ||
                   strstr(text, ",api_usd_per_month,api_break_even_qps\n"));
    free(text);
    forget_prices(device);
    for (int form = 0; form < 3; form++) {
        text = report_text(form == 0   ? vidur_report_terminal
                           : form == 1 ? vidur_report_answer
                                       : vidur_report_markdown,
                           &results, &with_api, NULL);
        assert_contains(text, " has no price: cheaper than the winner below $");
        assert_contains(text, "$0.600 input, $2.40 output per million tokens");
        CU_ASSERT_FALSE(strstr(text, "nan"));
        free(text);
    }
    const struct vidur_report_options load = {.load = {.target_qps = 20}};
    text = report_text(vidur_report_answer, &results, &load, NULL);
    CU_ASSERT_FALSE(strstr(text, "nan"));
    free(text);
    forget_prices(NULL);
    for (int form = 0; form < 3; form++) {
        text = report_text(form == 0   ? vidur_report_terminal
                           : form == 1 ? vidur_report_answer
                                       : vidur_report_markdown,
                           &results, &with_api, NULL);
        assert_contains(text, " has no price: ranked by QPS per GPU");
        CU_ASSERT_TRUE(form == 1 || strstr(text, "QPS/GPU")); /* the answer: no table */
        CU_ASSERT_FALSE(strstr(text, "nan"));
        free(text);
    }
    text = report_text(vidur_report_answer, &results, &load, NULL);
    assert_contains(text, "no price");
    CU_ASSERT_FALSE(strstr(text, "nan"));
    free(text);
}

VIDUR_TEST_MAIN("report: money", {"set up", set_up}, {"parse", test_parse},
                {"an API", test_api}, {"price", test_price},
                {"energy and costs", test_energy_and_costs},
                {"break-even", test_break_even}, {"reports", test_reports},
                {"clean up", clean_up})
