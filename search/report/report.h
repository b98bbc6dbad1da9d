#ifndef VIDUR_SEARCH_REPORT_H
#define VIDUR_SEARCH_REPORT_H

#include "report/report_sizing.h"

#include <vidur/error.h>
#include <vidur/results.h>

#include <stdbool.h>
#include <stdio.h>

/*
 * The room search/report. Results told to people: terminal, Markdown, CSV, JSON, HTML,
 * launch commands. It reads results and writes text.
 */

/*
 * What results say to people, in several formats that hold the same numbers. Each
 * writes to a stream that the caller owns and checks, reads the results only, and
 * applies the same filters. An error (VIDUR_EINVAL) when the filters leave no row: it
 * names the values that there are. Thread-safe but for the shared stream.
 */

struct vidur_report_options {
    const char *model; /* only this model, workload, device or node SKU; NULL: all */
    const char *trace;
    const char *sku;
    int top; /* rows for each model and workload; 0: the format's default */
    struct vidur_report_load load; /* above all: what serving this load takes */
    struct vidur_api_price api;    /* to compare with */
    const char *source; /* the results' file name, to be named; may be NULL */
    bool markdown;      /* vidur_report_compare: Markdown instead of text */
    bool brief;         /* vidur_report_answer: a table of what to rent */
};

/* The compact ranking that a search ends with: the best `top` (default 5) rows of each
 * model and workload, how many candidates failed and why. `options` may be NULL. */
int vidur_report_terminal(FILE *out, const struct vidur_results *results,
                          const struct vidur_report_options *options,
                          struct vidur_error *err);

/* The answer in words and numbers: what vidur-report prints without options. */
int vidur_report_answer(FILE *out, const struct vidur_results *results,
                        const struct vidur_report_options *options,
                        struct vidur_error *err);

/* Every column of /ranking, a header row, numbers with 17 digits, NaN as empty; `top`
 * rows of each model and workload (default: all). Texts that a spreadsheet would take
 * for formulas begin with an apostrophe. For a load, columns of what each row takes for
 * it follow, and the rows of each model and workload come cheapest first. */
int vidur_report_csv(FILE *out, const struct vidur_results *results,
                     const struct vidur_report_options *options,
                     struct vidur_error *err);

/* GitHub-flavoured Markdown for a pull request: answer, top of the ranking (default
 * 10), mis-configuration matrix, limits. */
int vidur_report_markdown(FILE *out, const struct vidur_results *results,
                          const struct vidur_report_options *options,
                          struct vidur_error *err);

/* One self-contained HTML page. Fails with VIDUR_EINVAL and what to install where the
 * build had no chart library. */
int vidur_report_html(FILE *out, const struct vidur_results *results,
                      const struct vidur_report_options *options,
                      struct vidur_error *err);

/* What changed from `before` to `after`: facts, best configurations, candidates. */
int vidur_report_compare(FILE *out, const struct vidur_results *before,
                         const struct vidur_results *after,
                         const struct vidur_report_options *options,
                         struct vidur_error *err);

#endif
