#include "report/report_money.h"

#include "report/report_pools.h"

#include "base/text.h"
#include "report/report_format.h"
#include "report/report_trust.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int vidur_api_price_parse(const char *text, struct vidur_api_price *api,
                          struct vidur_error *err)
{
    const char *comma = strchr(text, ',');
    char input[64] = "";
    if (comma)
        snprintf(input, sizeof input, "%.*s", (int)(comma - text), text);
    if (!comma || comma - text >= (int)sizeof input ||
        !vidur_text_double(input, &api->input) ||
        !vidur_text_double(comma + 1, &api->output) || !(api->input >= 0) ||
        !(api->output >= 0) || !(api->input + api->output > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--api-price: '%s' is not INPUT,OUTPUT in USD per million "
                          "tokens, like 0.6,2.4",
                          text);
    api->given = true;
    return 0;
}

struct vidur_money vidur_money_of(const struct vidur_report_model *model,
                                  const struct vidur_report_group *group,
                                  const struct vidur_ranking_row *row,
                                  const struct vidur_report_sizing *sizing)
{
    if (sizing)
        return (struct vidur_money){row, group->best, model->load.target_qps,
                                    sizing->capacity_qps};
    if (vidur_row_has_target(row))
        return (struct vidur_money){row, group->best, row->target_qps, NAN};
    return (struct vidur_money){row, group->best, row->max_qps, row->max_qps};
}

const char *vidur_money_label(enum vidur_money_line line)
{
    static const char *const labels[VIDUR_MONEY_LINES] = {"Price", "Energy", "API",
                                                          "Trust", "No price"};
    return labels[line];
}

/* ---- The price ---- */

static const char *device_fact(const struct vidur_report_model *model,
                               const char *device, const char *key)
{
    const char *value = vidur_results_fact(model->results, "device", device, key);
    return value ? value : "";
}

void vidur_format_price_source(const struct vidur_report_model *model,
                               const char *device, char *text, size_t size)
{
    const char *provider = device_fact(model, device, "price_provider");
    const char *term = device_fact(model, device, "price_term");
    const char *date = device_fact(model, device, "price_date");
    const char *source = device_fact(model, device, "price_source");
    snprintf(text, size, "%s%s%s%s%s%s%s%s", provider, provider[0] ? ", " : "", term,
             term[0] ? ", " : "", date, date[0] ? ", " : "",
             source[0] ? source : "source not recorded",
             date[0] ? "; prices move" : "");
}

const char *vidur_price_text(const struct vidur_report_model *model, const char *device)
{
    return device_fact(model, device, "usd_per_gpu_hour");
}

static void format_price_of(const struct vidur_report_model *model, const char *device,
                            char *text, size_t size)
{
    const char *usd = vidur_price_text(model, device);
    char from[640];
    vidur_format_price_source(model, device, from, sizeof from);
    text[0] = 0;
    if (usd[0])
        snprintf(text, size, "%s $%s per GPU-hour: %s", device, usd, from);
}

/* Of the device, and of the other one where two pools have different ones. */
static void format_price(const struct vidur_report_model *model,
                         const struct vidur_money *money, char *text, size_t size)
{
    const char *second = vidur_row_second(money->row).device;
    format_price_of(model, money->row->device, text, size);
    const size_t used = strlen(text);
    if (second[0] && strcmp(second, money->row->device) != 0 && used + 8 < size) {
        memcpy(text + used, used ? "; " : "", used ? 3 : 1);
        format_price_of(model, second, text + strlen(text), size - strlen(text));
    }
}

static void format_break_even(const struct vidur_money *money, char *text, size_t size)
{
    const bool rest = !vidur_row_has_price(money->row);
    if (rest && money->best && vidur_row_has_price(money->best))
        snprintf(
            text, size,
            "%s has no price: cheaper than the winner below $%s per GPU-hour "
            "(--price or --prices of vidur-search gives it one)",
            money->row->network_device,
            vidur_number_usd(vidur_break_even_usd_per_gpu_hour(money->best, money->row))
                .text);
    else if (rest)
        snprintf(text, size,
                 "%s has no price: ranked by QPS per GPU (--price or --prices of "
                 "vidur-search gives it one)",
                 money->row->network_device);
}

/* ---- Energy ---- */

static void format_energy(const struct vidur_money *money, char *text, size_t size)
{
    const struct vidur_ranking_row *row = money->row;
    if (isfinite(row->watts_per_gpu))
        snprintf(text, size,
                 "%s W a GPU, %s Wh per million tokens, %s tokens per joule (estimate, "
                 "GPUs alone)",
                 vidur_number3(row->watts_per_gpu).text,
                 vidur_number3(row->wh_per_million_tokens).text,
                 vidur_number3(row->tokens_per_joule).text);
}

/* ---- An API ---- */

static double mean_tokens(const struct vidur_report_model *model, const char *trace,
                          const char *key)
{
    const char *text = vidur_results_fact(model->results, "trace", trace, key);
    double value;
    return text && vidur_text_double(text, &value) ? value : NAN;
}

double vidur_api_usd_per_hour(const struct vidur_report_model *model, const char *trace,
                              double qps)
{
    if (!model->api.given)
        return NAN;
    const double usd =
        mean_tokens(model, trace, "prefill_tokens_mean") * model->api.input +
        mean_tokens(model, trace, "decode_tokens_mean") * model->api.output;
    return 3600 * qps * usd / 1e6;
}

double vidur_api_break_even_qps(const struct vidur_report_model *model,
                                const struct vidur_ranking_row *row)
{
    return row->usd_per_hour / vidur_api_usd_per_hour(model, row->trace, 1);
}

/* "97.3 % less", "12.0 % more", "as much" */
static void format_difference(double own, double other, char *text, size_t size)
{
    const double percent = 100 * fabs(own / other - 1);
    if (percent < 0.05)
        snprintf(text, size, "as much");
    else
        snprintf(text, size, "%s %s", vidur_number_percent(percent).text,
                 own < other ? "less" : "more");
}

static void format_api(const struct vidur_report_model *model,
                       const struct vidur_money *money, char *text, size_t size)
{
    const struct vidur_ranking_row *row = money->row;
    const double api = vidur_api_usd_per_hour(model, row->trace, money->qps);
    const double even = vidur_api_break_even_qps(model, row);
    const double whole = isnan(money->capacity_qps) ? money->qps : money->capacity_qps;
    char difference[64];
    if (!isfinite(api) || !isfinite(even))
        return;
    format_difference(row->usd_per_hour, api, difference, sizeof difference);
    snprintf(
        text, size,
        "$%.20s input, $%.20s output per million tokens: $%.20s a month at %.20s "
        "QPS; the GPUs cost $%.20s, %.40s; both the same at %.20s QPS, %.20s of "
        "%s%s",
        vidur_number3(model->api.input).text, vidur_number3(model->api.output).text,
        vidur_number_usd(VIDUR_HOURS_PER_MONTH * api).text,
        vidur_number3(money->qps).text,
        vidur_number_usd(VIDUR_HOURS_PER_MONTH * row->usd_per_hour).text, difference,
        vidur_number3(even).text, vidur_number_percent(100 * even / whole).text,
        isnan(money->capacity_qps) ? "that load" : "their capacity",
        even > money->capacity_qps ? ": more than they serve" : "");
}

/* ---- All of it ---- */

void vidur_format_money(const struct vidur_report_model *model,
                        const struct vidur_money *money, enum vidur_money_line line,
                        char *text, size_t size)
{
    text[0] = 0;
    switch (line) {
    case VIDUR_MONEY_PRICE:
        format_price(model, money, text, size);
        break;
    case VIDUR_MONEY_ENERGY:
        format_energy(money, text, size);
        break;
    case VIDUR_MONEY_API:
        format_api(model, money, text, size);
        break;
    case VIDUR_MONEY_TRUST:
        vidur_format_trust(money->row, text, size);
        break;
    default:
        format_break_even(money, text, size);
    }
}

void vidur_format_costs(const struct vidur_ranking_row *row, char *text, size_t size)
{
    char split[96] = "";
    if (isfinite(row->usd_per_million_input_tokens) &&
        isfinite(row->usd_per_million_output_tokens))
        snprintf(split, sizeof split, " ($%.20s input, $%.20s output)",
                 vidur_number3(row->usd_per_million_input_tokens).text,
                 vidur_number3(row->usd_per_million_output_tokens).text);
    snprintf(text, size, "$%s per million tokens%s, $%s per 1,000 requests",
             vidur_number3(row->usd_per_million_tokens).text, split,
             vidur_number3(vidur_usd_per_1000_requests(row)).text);
}
