#ifndef VIDUR_SEARCH_RESULTS_LAYOUT_H
#define VIDUR_SEARCH_RESULTS_LAYOUT_H

#include "results/columns.h"

#include <stddef.h>

/*
 * The room search/results. What a search found: columns, the HDF5 file and its seal,
 * merging, ranking, Pareto sets, bottlenecks. Public in results.h and ranking.h.
 */

/*
 * What results.h5 holds, without HDF5: its tables and their columns, the text that
 * explains them, and rows made ready for a file. Pure functions.
 */

struct vidur_table {
    const char *path; /* in the file */
    const struct vidur_column *columns;
    int num_columns;
    size_t row_size; /* of the struct that the columns' offsets are in */
};

/* Their columns follow the SLOs among the facts; `names` must outlive the table. */
struct vidur_table vidur_ranking_table(const struct vidur_results *results,
                                       struct vidur_named_columns *names);
struct vidur_table vidur_probes_table(const struct vidur_results *results,
                                      struct vidur_named_columns *names);
struct vidur_table vidur_facts_table(void);
struct vidur_table vidur_rejected_table(void); /* some columns of ranking rows */

/* The rows that were refused before any simulation; the caller frees them. NULL when
 * out of memory. */
struct vidur_ranking_row *vidur_results_rejected(const struct vidur_results *results,
                                                 int64_t *count);

/* A copy whose texts are valid UTF-8, filled with zeros; the caller frees it. NULL when
 * out of memory. */
void *vidur_table_clean_copy(const struct vidur_table *table, const void *rows,
                             int64_t count);

/* A shallow copy with empty creator_version, git_commit and file_time filled in. */
struct vidur_results vidur_results_stamp(const struct vidur_results *results);

const char *vidur_results_readme(void);

#endif
