#ifndef VIDUR_SEARCH_REPORT_PARTS_H
#define VIDUR_SEARCH_REPORT_PARTS_H

#include "report_format.h"

/* Parts that the terminal's and the Markdown report share. */

/* Where and how they print. */
struct vidur_printer {
    FILE *out;
    bool markdown;     /* aligned text otherwise */
    int top;           /* rows of a ranking */
    double target_qps; /* > 0: also what this load takes */
};

/* The best rows of a group that are ok, as a table. */
int vidur_print_ranking(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int group,
                        struct vidur_error *err);

/* The best of each SKU of a group. */
int vidur_print_skus(const struct vidur_printer *to,
                     const struct vidur_report_model *model, int group,
                     struct vidur_error *err);

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
void vidur_print_notes(FILE *out, const struct vidur_results *results,
                       const char *prefix);

#endif
