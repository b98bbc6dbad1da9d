#ifndef VIDUR_SEARCH_REPORT_PARTS_H
#define VIDUR_SEARCH_REPORT_PARTS_H

#include "report_format.h"

/* Parts that the terminal's and the Markdown report share. */

/* The best `top` rows of a group that are ok, as a table. */
int vidur_print_ranking(FILE *out, const struct vidur_report_group *group, int top,
                        bool markdown, struct vidur_error *err);

/* The best of each SKU of a group; with what `target_qps` takes where that is > 0. */
int vidur_print_skus(FILE *out, const struct vidur_report_model *model, int group,
                     double target_qps, bool markdown, struct vidur_error *err);

/* Whether group `first` begins a model that has a mis-configuration matrix, and that
 * matrix. */
bool vidur_has_matrix(const struct vidur_report_model *model, int first);
int vidur_print_matrix(FILE *out, const struct vidur_report_model *model, int first,
                       bool markdown, struct vidur_error *err);

/* What limits how many of a group's rows. */
int vidur_print_limits(FILE *out, const struct vidur_report_group *group, bool markdown,
                       struct vidur_error *err);

/* The caution about operator times and the notes among the facts, one a line, each
 * after `prefix`. */
void vidur_print_notes(FILE *out, const struct vidur_results *results,
                       const char *prefix);

#endif
