#ifndef VIDUR_SEARCH_COLUMNS_H
#define VIDUR_SEARCH_COLUMNS_H

#include "results/slo_columns.h"

#include <vidur/results.h>

#include <stddef.h>

/* The columns of a results file: those of vidur_ranking_columns or vidur_probe_columns,
 * the places of slo_s and class_s that its SLOs and classes use under their names, the
 * others left out.
 * Points into itself: make it where it is used. */
enum { VIDUR_MAX_COLUMNS = 256 };
struct vidur_named_columns {
    struct vidur_column columns[VIDUR_MAX_COLUMNS];
    int count;
    struct slo_columns slos;
    struct class_columns classes;
    char class_columns[VIDUR_MAX_CLASSES][VIDUR_NUM_CLASS_COLUMNS][48];
};
void vidur_named_columns_make(struct vidur_named_columns *out,
                              const struct vidur_column *all, int num_all,
                              const struct vidur_results *results);

/* Makes the places of a row's slo_s and class_s that are left out "not known". */
void vidur_named_columns_clear_rest(const struct vidur_named_columns *columns,
                                    const struct vidur_column *all, int num_all,
                                    void *row);

/* Makes `text`, `size` bytes, valid UTF-8 that ends with a NUL and is filled up with
 * them: a character cut in the middle is dropped, other bytes become '?'. */
void vidur_text_cell_clean(char *text, size_t size);

/* The same for every text of a row. */
void vidur_row_clean(const struct vidur_column *columns, int count, void *row);

/* The column called `name`, or NULL. */
const struct vidur_column *vidur_column_find(const struct vidur_column *columns,
                                             int count, const char *name);

#endif
