#ifndef VIDUR_SEARCH_CATALOG_TABLE_H
#define VIDUR_SEARCH_CATALOG_TABLE_H

#include "base/text.h"

#include <vidur/error.h>

#include <stdbool.h>

/* Rows of text in aligned columns. Zero-initialise. */

enum { CATALOG_MAX_COLUMNS = 12, CATALOG_CELL = 256 };

typedef char catalog_row[CATALOG_MAX_COLUMNS][CATALOG_CELL];

struct catalog_table {
    const char *const *header; /* ends with NULL */
    catalog_row *rows;
    int count, capacity, filled; /* cells of the last row */
    bool failed;                 /* a lack of memory */
};

void catalog_begin_row(struct catalog_table *table);
/* The next cell of the row, cut where it is too long; printf's arguments. */
void catalog_cell(struct catalog_table *table, const char *format, ...)
    VIDUR_PRINTF(2, 3);
/* A number with so many digits, "-" where it is not above 0 or is NaN. */
void catalog_number(struct catalog_table *table, int digits, double value);

/* Sorts the rows by their first cell and adds header and rows to `out`; columns of
 * numbers stand to the right. Frees the rows. */
int catalog_end(struct catalog_table *table, struct vidur_text *out,
                struct vidur_error *err);
/* Instead of it, after a failure. */
void catalog_free(struct catalog_table *table);

#endif
