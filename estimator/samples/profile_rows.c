#include "samples/profile_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES_SHOWN = 12 };

void vidur_profile_rows_close(struct vidur_profile_rows *rows)
{
    vidur_csv_free(rows->csv);
    free(rows->wanted);
    memset(rows, 0, sizeof *rows);
}

int vidur_profile_rows_open(struct vidur_profile_rows *rows, const char *path,
                            const struct vidur_csv_column *columns, int num_columns,
                            struct vidur_error *err)
{
    const struct vidur_csv_schema schema = {columns, num_columns, true};
    rows->path = path;
    rows->columns = columns;
    rows->csv = vidur_csv_read(path, &schema, err);
    if (!rows->csv)
        return -1;
    rows->num_rows = vidur_csv_rows(rows->csv);
    if (rows->num_rows == 0)
        return vidur_fail(err, VIDUR_EPARSE, "%s: no rows below the header", path);
    rows->wanted = malloc((size_t)rows->num_rows * sizeof *rows->wanted);
    if (!rows->wanted)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    memset(rows->wanted, true, (size_t)rows->num_rows * sizeof *rows->wanted);
    if (vidur_csv_duplicates(rows->csv) > 0)
        vidur_log_info(rows->log, "%s: %lld duplicate rows left out", path,
                       (long long)vidur_csv_duplicates(rows->csv));
    return 0;
}

/* A key's value as a whole number; texts by their ids. */
static int64_t key_at(const struct vidur_profile_rows *rows, int column, int64_t row)
{
    switch (rows->columns[column].type) {
    case VIDUR_CSV_BOOL:
        return vidur_csv_bools(rows->csv, column)[row];
    case VIDUR_CSV_STRING:
        return vidur_csv_string_ids(rows->csv, column)[row];
    default:
        return vidur_csv_int64s(rows->csv, column)[row];
    }
}

static void print_key(const struct vidur_profile_rows *rows, int column, int64_t key,
                      char *text, size_t size)
{
    switch (rows->columns[column].type) {
    case VIDUR_CSV_BOOL:
        snprintf(text, size, "%s", key ? "True" : "False");
        break;
    case VIDUR_CSV_STRING:
        snprintf(text, size, "%s", vidur_csv_string(rows->csv, (int32_t)key));
        break;
    default:
        snprintf(text, size, "%lld", (long long)key);
    }
}

static int compare_keys(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void vidur_profile_rows_list(const struct vidur_profile_rows *rows, int column,
                             struct vidur_text *text)
{
    int64_t *keys = malloc((size_t)rows->num_rows * sizeof *keys);
    size_t count = 0;
    int shown = 0;
    for (int64_t i = 0; keys && i < rows->num_rows; i++)
        if (rows->wanted[i])
            keys[count++] = key_at(rows, column, i);
    if (keys)
        qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 0; i < count && shown <= MAX_VALUES_SHOWN; i++) {
        char value[128] = "...";
        if (i > 0 && keys[i] == keys[i - 1])
            continue;
        if (shown < MAX_VALUES_SHOWN)
            print_key(rows, column, keys[i], value, sizeof value);
        vidur_text_adds(text, shown++ > 0 ? ", " : "");
        vidur_text_adds(text, value);
    }
    free(keys);
}

/* No row is left: says which key's value is missing and which there are. */
static int fail_no_rows(const struct vidur_profile_rows *rows, int column,
                        const char *value, struct vidur_error *err)
{
    const struct vidur_profile_request *request = rows->request;
    struct vidur_text text = {0};
    vidur_profile_rows_list(rows, column, &text);
    vidur_fail(err, VIDUR_EINVAL,
               "%s: %s: no row for %s, TP %d has the value %s; there are: %s",
               rows->path, rows->columns[column].name, request->model->name,
               request->tensor_parallel_size, value, text.data ? text.data : "?");
    free(text.data);
    return -1;
}

/* Keeps the wanted rows whose key is `key`; an absent column keeps all. */
static int keep(struct vidur_profile_rows *rows, int column, int64_t key,
                const char *value, struct vidur_error *err)
{
    int64_t left = 0;
    if (!vidur_csv_has(rows->csv, column))
        return 0;
    for (int64_t i = 0; i < rows->num_rows; i++)
        left += rows->wanted[i] && key_at(rows, column, i) == key;
    if (left == 0)
        return fail_no_rows(rows, column, value, err);
    for (int64_t i = 0; i < rows->num_rows; i++)
        rows->wanted[i] = rows->wanted[i] && key_at(rows, column, i) == key;
    return 0;
}

bool vidur_profile_rows_have(const struct vidur_profile_rows *rows, int column,
                             int64_t key)
{
    if (!vidur_csv_has(rows->csv, column))
        return true;
    for (int64_t i = 0; i < rows->num_rows; i++)
        if (rows->wanted[i] && key_at(rows, column, i) == key)
            return true;
    return false;
}

int vidur_profile_rows_keep(struct vidur_profile_rows *rows, int column, int64_t key,
                            struct vidur_error *err)
{
    char value[32];
    print_key(rows, column, key, value, sizeof value);
    return keep(rows, column, key, value, err);
}

int vidur_profile_rows_keep_text(struct vidur_profile_rows *rows, int column,
                                 const char *key, struct vidur_error *err)
{
    int32_t id = 0;
    const char *text = vidur_csv_string(rows->csv, id);
    while (text && strcmp(text, key) != 0)
        text = vidur_csv_string(rows->csv, ++id);
    return keep(rows, column, text ? id : -1, key, err);
}

static bool is_sample(const struct vidur_profile_rows *rows,
                      const struct vidur_profile_extract *extract, int64_t row)
{
    return rows->wanted[row] && (!extract->applies || extract->applies(rows, row));
}

static int64_t count_samples(const struct vidur_profile_rows *rows,
                             const struct vidur_profile_extract *extract,
                             int64_t *num_empty)
{
    const double *times = vidur_csv_doubles(rows->csv, extract->time_column);
    int64_t count = 0;
    *num_empty = 0;
    for (int64_t i = 0; i < rows->num_rows; i++) {
        const bool empty = isnan(times[i]) && !extract->empty_is_zero;
        count += is_sample(rows, extract, i) && !empty;
        *num_empty += is_sample(rows, extract, i) && empty;
    }
    return count;
}

static int check_count(const struct vidur_profile_rows *rows,
                       const struct vidur_profile_extract *extract, int64_t count,
                       int64_t num_empty, struct vidur_error *err)
{
    const char *column = rows->columns[extract->time_column].name;
    const struct vidur_profile_request *request = rows->request;
    if (count < 2)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s: %s: %lld rows with a time for %s, TP %d (%lld are empty); "
            "at least 2 are needed",
            rows->path, column, (long long)count, request->model->name,
            request->tensor_parallel_size, (long long)num_empty);
    if (num_empty > 0)
        vidur_log_warn(rows->log, "%s: %s: %lld of %lld rows have no time; left out",
                       rows->path, column, (long long)num_empty,
                       (long long)(count + num_empty));
    return 0;
}

int vidur_profile_rows_take(const struct vidur_profile_rows *rows,
                            const struct vidur_profile_extract *extract,
                            struct vidur_profile *profile, struct vidur_error *err)
{
    struct vidur_samples *samples = &profile->operators[extract->op];
    int64_t num_empty, n = 0;
    if (!vidur_csv_has(rows->csv, extract->time_column)) {
        vidur_log_info(rows->log, "%s: no column %s: %s counts 0", rows->path,
                       rows->columns[extract->time_column].name, samples->name);
        return 0;
    }
    const double *times = vidur_csv_doubles(rows->csv, extract->time_column);
    const int64_t count = count_samples(rows, extract, &num_empty);
    if (check_count(rows, extract, count, num_empty, err) ||
        vidur_samples_resize(samples, count, err))
        return -1;
    samples->num_duplicates = vidur_csv_duplicates(rows->csv);
    samples->num_empty = num_empty;
    snprintf(samples->source, sizeof samples->source, "%s", rows->path);
    for (int64_t i = 0; i < rows->num_rows; i++) {
        double features[VIDUR_MAX_FEATURES] = {0, 0};
        if (!is_sample(rows, extract, i) ||
            (isnan(times[i]) && !extract->empty_is_zero))
            continue;
        extract->features(rows, i, features);
        for (int f = 0; f < samples->num_features; f++)
            samples->features[f][n] = features[f];
        samples->target_ms[n++] = isnan(times[i]) ? 0 : times[i];
    }
    return 0;
}
