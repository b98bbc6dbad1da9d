#include "space/catalog_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void catalog_begin_row(struct catalog_table *table)
{
    table->filled = 0;
    if (table->count == table->capacity) {
        const int capacity = table->capacity ? 2 * table->capacity : 32;
        catalog_row *rows = realloc(table->rows, (size_t)capacity * sizeof *rows);
        if (!rows) {
            table->failed = true;
            return;
        }
        table->rows = rows;
        table->capacity = capacity;
    }
    memset(table->rows[table->count++], 0, sizeof *table->rows);
}

void catalog_cell(struct catalog_table *table, const char *format, ...)
{
    va_list args;
    if (table->failed || table->filled == CATALOG_MAX_COLUMNS)
        return;
    va_start(args, format);
    vsnprintf(table->rows[table->count - 1][table->filled++], CATALOG_CELL, format,
              args);
    va_end(args);
}

void catalog_number(struct catalog_table *table, int digits, double value)
{
    if (value > 0)
        catalog_cell(table, "%.*f", digits, value);
    else
        catalog_cell(table, "-");
}

static int compare_rows(const void *a, const void *b)
{
    int order = 0;
    for (int i = 0; order == 0 && i < CATALOG_MAX_COLUMNS; i++)
        order = strcmp((*(const catalog_row *)a)[i], (*(const catalog_row *)b)[i]);
    return order;
}

struct column {
    int width;
    bool numbers; /* all of them, or "-" */
};

static struct column measure(const struct catalog_table *table, int column)
{
    struct column found = {(int)strlen(table->header[column]), column > 0};
    for (int i = 0; i < table->count; i++) {
        const char *cell = table->rows[i][column];
        const int width = (int)strlen(cell);
        double value;
        if (width > found.width)
            found.width = width;
        found.numbers = found.numbers &&
                        (vidur_text_double(cell, &value) || strcmp(cell, "-") == 0);
    }
    return found;
}

static void put_cell(struct vidur_text *out, const char *cell,
                     const struct column *column, bool last)
{
    char padded[2 * CATALOG_CELL];
    if (column->numbers)
        snprintf(padded, sizeof padded, "%*s", column->width, cell);
    else
        snprintf(padded, sizeof padded, "%-*s", last ? 0 : column->width, cell);
    vidur_text_adds(out, padded);
    vidur_text_adds(out, last ? "\n" : "  ");
}

void catalog_free(struct catalog_table *table)
{
    free(table->rows);
    table->rows = NULL;
}

int catalog_end(struct catalog_table *table, struct vidur_text *out,
                struct vidur_error *err)
{
    struct column columns[CATALOG_MAX_COLUMNS];
    int count = 0;
    if (table->count > 0)
        qsort(table->rows, (size_t)table->count, sizeof *table->rows, compare_rows);
    for (; count < CATALOG_MAX_COLUMNS && table->header[count]; count++)
        columns[count] = measure(table, count);
    for (int j = 0; j < count; j++)
        put_cell(out, table->header[j], &columns[j], j == count - 1);
    for (int i = 0; i < table->count; i++)
        for (int j = 0; j < count; j++)
            put_cell(out, table->rows[i][j], &columns[j], j == count - 1);
    catalog_free(table);
    if (table->failed || out->failed)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a list");
    return 0;
}
