#ifndef VIDUR_SEARCH_REPORT_PARTS_H
#define VIDUR_SEARCH_REPORT_PARTS_H

#include "report/report_format.h"

/* Parts that the terminal's and the Markdown report share. */

/* Marks in rankings that are to be explained. */
struct vidur_marks {
    bool burst, unbounded, range;
};

/* Where and how they print. */
struct vidur_printer {
    FILE *out;
    bool markdown;             /* aligned text otherwise */
    int top;                   /* rows of a ranking */
    struct vidur_marks *marks; /* collects those of rankings, for the caller to explain
                                * once; NULL: each is explained below its ranking */
};

/* What marks mean, for those that are there; a line each. */
void vidur_print_marks(const struct vidur_printer *to, const struct vidur_marks *marks);

/* What to add to the GPUs that are there already: a line for each model and workload,
 * none where there are none. Returns how many were printed. */
int vidur_print_additions(const struct vidur_printer *to,
                          const struct vidur_report_model *model);

/* What to rent: for the load that is asked for, or for the one that the search was
 * asked for; a line for each model and workload, nothing where there is no such load.
 * What to add comes before it. Ends with an empty line. */
void vidur_print_loads(const struct vidur_printer *to,
                       const struct vidur_report_model *model);

/* The answer in a table: what to rent for the load that is asked for, for that of the
 * search, or at most; a row for each model and workload. */
int vidur_print_brief(const struct vidur_printer *to,
                      const struct vidur_report_model *model, struct vidur_error *err);

/* Text from results in the form at hand. */
void vidur_print_text(const struct vidur_printer *to, const char *text);

/* How a row's load comes about, where more than one seed or no bound stands behind it;
 * nothing elsewhere. Ends without a full stop. */
void vidur_format_confidence(const struct vidur_ranking_row *row, char *text,
                             size_t size);

/* The best rows of a group that are ok, as a table. */
int vidur_print_ranking(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int group,
                        struct vidur_error *err);

/* The best of each SKU of a group; for a load, what is cheapest for it. */
int vidur_print_skus(const struct vidur_printer *to,
                     const struct vidur_report_model *model, int group,
                     struct vidur_error *err);

/* Below which price each SKU without one would win; a line each, nothing where all have
 * prices. */
void vidur_print_unpriced(const struct vidur_printer *to,
                          const struct vidur_report_model *model, int group);
/* What an API asks beside the best of a group, where its price was given. */
void vidur_print_api(const struct vidur_printer *to,
                     const struct vidur_report_model *model, int group);
/* What the price of each device is and where it is from; a line each. */
void vidur_print_prices(const struct vidur_printer *to,
                        const struct vidur_report_model *model);

/* Whether group `first` begins a model that has a mis-configuration matrix, and that
 * matrix. */
bool vidur_has_matrix(const struct vidur_report_model *model, int first);
int vidur_print_matrix(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int first,
                       struct vidur_error *err);

/* What limits how many of a group's rows. */
int vidur_print_limits(const struct vidur_printer *to,
                       const struct vidur_report_group *group, struct vidur_error *err);

/* The caution about operator times and the notes among the facts, one a line, each
 * after `prefix`. */
void vidur_print_notes(const struct vidur_printer *to,
                       const struct vidur_results *results, const char *prefix);

/* Cells of a row whose load was given: nodes, USD an hour and a month, busy, margin. */
void vidur_table_target(struct vidur_text_table *table,
                        const struct vidur_ranking_row *row);

#endif
