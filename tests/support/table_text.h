#ifndef VIDUR_TEST_TABLE_TEXT_H
#define VIDUR_TEST_TABLE_TEXT_H

#include "temp_dir.h"

#include <stddef.h>

/* A table that a test writes row by row, and then as a file. */

struct table_text {
    size_t used;
    char text[1 << 20];
};

/* Appends to what is written; ends the test where it does not fit. */
void table_text_add(struct table_text *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* FOLDER/NAME.csv below `dir`; the table is empty then. */
void table_text_write(struct table_text *table, const struct temp_dir *dir,
                      const char *folder, const char *name);

#endif
