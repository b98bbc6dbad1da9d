#ifndef VIDUR_SEARCH_COLUMNS_H
#define VIDUR_SEARCH_COLUMNS_H

#include <vidur/results.h>

#include <stddef.h>

/* Makes `text`, `size` bytes, valid UTF-8 that ends with a NUL and is filled up with
 * them: a character cut in the middle is dropped, other bytes become '?'. */
void vidur_text_cell_clean(char *text, size_t size);

/* The same for every text of a row. */
void vidur_row_clean(const struct vidur_column *columns, int count, void *row);

/* The column called `name`, or NULL. */
const struct vidur_column *vidur_column_find(const struct vidur_column *columns,
                                             int count, const char *name);

#endif
