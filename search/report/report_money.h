#ifndef VIDUR_SEARCH_REPORT_MONEY_H
#define VIDUR_SEARCH_REPORT_MONEY_H

#include "report/report_model.h"

/*
 * What a deployment costs and draws, in words: its price and where that is from, its
 * energy, what an API asks for the same, and from which price on a device without one
 * would win; and how sure all that is. All reports say the same. Pure functions.
 */

/* "0.6,2.4": USD per million input and output tokens, 0 or more, not both 0. Errors
 * begin with --api-price. */
int vidur_api_price_parse(const char *text, struct vidur_api_price *api,
                          struct vidur_error *err);

/* A deployment under a load. */
struct vidur_money {
    const struct vidur_ranking_row *row;  /* as it is rented */
    const struct vidur_ranking_row *best; /* of its model and workload */
    double qps;          /* the load: that is asked for, else what it serves at most */
    double capacity_qps; /* NaN: not known */
};

/* Of a row; with a size for a load that is asked for, else NULL. */
struct vidur_money vidur_money_of(const struct vidur_report_model *model,
                                  const struct vidur_report_group *group,
                                  const struct vidur_ranking_row *row,
                                  const struct vidur_report_sizing *sizing);

enum vidur_money_line {
    VIDUR_MONEY_PRICE,
    VIDUR_MONEY_ENERGY,
    VIDUR_MONEY_API,
    VIDUR_MONEY_TRUST, /* how sure its latencies are: report_trust.h */
    VIDUR_MONEY_BREAK_EVEN,
    VIDUR_MONEY_LINES
};

/* "Price", "Energy", ... */
const char *vidur_money_label(enum vidur_money_line line);
/* What there is to say; "" where there is nothing. */
void vidur_format_money(const struct vidur_report_model *model,
                        const struct vidur_money *money, enum vidur_money_line line,
                        char *text, size_t size);

/* What a device costs per GPU-hour, as the search recorded it; "" without a price. */
const char *vidur_price_text(const struct vidur_report_model *model,
                             const char *device);
/* Where that is from: "nebius, on_demand, 2026-09-25, https://...; prices move". */
void vidur_format_price_source(const struct vidur_report_model *model,
                               const char *device, char *text, size_t size);

/* "$0.0256 per million tokens ($0.0139 input, $0.0662 output), $0.0226 per 1,000
 * requests", at the row's own load. */
void vidur_format_costs(const struct vidur_ranking_row *row, char *text, size_t size);

/* What an API asks for a load; NaN where no price of one is given, or the results do
 * not say how long requests are. */
double vidur_api_usd_per_hour(const struct vidur_report_model *model, const char *trace,
                              double qps);
/* The load at which the API asks as much as the deployment costs. */
double vidur_api_break_even_qps(const struct vidur_report_model *model,
                                const struct vidur_ranking_row *row);

#endif
