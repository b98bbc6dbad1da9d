#include "base/csv_table.h"

#include <stdarg.h>
#include <stdlib.h>

void vidur_csv_free(struct vidur_csv *csv)
{
    if (!csv)
        return;
    for (int i = 0; i < csv->num_columns; i++)
        free(csv->data[i]);
    vidur_intern_fini(&csv->strings);
    free(csv->data);
    free(csv->lines);
    free(csv->name);
    free(csv);
}

/* ---- Access ---- */

int64_t vidur_csv_rows(const struct vidur_csv *csv)
{
    return csv->rows;
}

int64_t vidur_csv_duplicates(const struct vidur_csv *csv)
{
    return csv->duplicates;
}

bool vidur_csv_has(const struct vidur_csv *csv, int column)
{
    return csv->data[column] != NULL;
}

static const void *column_data(const struct vidur_csv *csv, int column,
                               enum vidur_csv_type type)
{
    return csv->columns[column].type == type ? csv->data[column] : NULL;
}

const double *vidur_csv_doubles(const struct vidur_csv *csv, int column)
{
    return column_data(csv, column, VIDUR_CSV_DOUBLE);
}

const int64_t *vidur_csv_int64s(const struct vidur_csv *csv, int column)
{
    return column_data(csv, column, VIDUR_CSV_INT64);
}

const int64_t *vidur_csv_times(const struct vidur_csv *csv, int column)
{
    return column_data(csv, column, VIDUR_CSV_TIME);
}

const bool *vidur_csv_bools(const struct vidur_csv *csv, int column)
{
    return column_data(csv, column, VIDUR_CSV_BOOL);
}

const int32_t *vidur_csv_string_ids(const struct vidur_csv *csv, int column)
{
    return column_data(csv, column, VIDUR_CSV_STRING);
}

const char *vidur_csv_string(const struct vidur_csv *csv, int32_t id)
{
    return vidur_intern_text(&csv->strings, id);
}

int vidur_csv_line(const struct vidur_csv *csv, int64_t row)
{
    return csv->lines[row];
}

int vidur_csv_fail(const struct vidur_csv *csv, int64_t row, int column,
                   struct vidur_error *err, const char *fmt, ...)
{
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *name = column < 0 ? "" : csv->columns[column].name;
    return vidur_fail(err, VIDUR_EINVAL, "%s:%d: %s%s%s", csv->name, csv->lines[row],
                      name, column < 0 ? "" : ": ", text);
}
