#ifndef VIDUR_SEARCH_REPORT_LEFT_OUT_H
#define VIDUR_SEARCH_REPORT_LEFT_OUT_H

#include "report/report_model.h"

/* Why candidates are not in the ranking. Pure functions. */

/* The row that comes nearest to being in it: of those that miss an SLO or do not fit in
 * memory the one that misses least, as far as their reasons tell, of others the first
 * one. NULL: no row has the status. */
const struct vidur_ranking_row *
vidur_left_out_nearest(const struct vidur_report_group *group,
                       enum vidur_status status);

/* The same of a group without an ok row, of all: why nothing can serve it. */
const struct vidur_ranking_row *
vidur_left_out_first(const struct vidur_report_group *group);

/* What may help a row, "" where nothing is known. */
const char *vidur_left_out_remedy(const struct vidur_ranking_row *row);

/* Line `line`, from 0 on, of what is left out: for each status how many, and a reason;
 * of the invalid the first few reasons. False: there is no such line. */
bool vidur_format_left_out(const struct vidur_report_group *group, int line, char *text,
                           size_t size);

#endif
