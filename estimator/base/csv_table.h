#ifndef VIDUR_BASE_CSV_TABLE_H
#define VIDUR_BASE_CSV_TABLE_H

#include "base/intern.h"

#include <vidur/csv.h>

/* A table as csv.c fills it and csv_table.c gives it out. */
struct vidur_csv {
    char *name;
    const struct vidur_csv_column *columns;
    int num_columns;
    void **data; /* by column of the schema; NULL: absent from the file */
    int *lines;  /* by row */
    int64_t rows, capacity, duplicates;
    struct vidur_intern strings;
};

#endif
