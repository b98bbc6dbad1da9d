#include "samples/profile_roofline.h"
#include "tables/timetable_internal.h"

#include "base/file.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tables as CSV files: one row per cell, in any order, every cell once. */

bool vidur_timetable_csv_path(const char *folder, const char *name,
                              struct vidur_path *path)
{
    static const char *const suffixes[] = {"csv", "csv.gz"};
    for (int i = 0; i < 2; i++) {
        const int n = snprintf(path->text, sizeof path->text, "%s/%s.%s", folder, name,
                               suffixes[i]);
        if (n > 0 && (size_t)n < sizeof path->text && vidur_file_exists(path->text))
            return true;
    }
    return false;
}

/* An axis of a table: value = first + step * index; `square`: of its root. */
struct axis {
    const char *name;
    int64_t first, step;
    bool square;
};

/* Index of a row's value on an axis, or -1. */
static int64_t axis_index(const struct axis *axis, int64_t value)
{
    if (axis->square) {
        const int64_t root = (int64_t)llround(sqrt((double)value));
        if (root * root != value)
            return -1;
        value = root;
    }
    if (value < axis->first || (value - axis->first) % axis->step != 0)
        return -1;
    return (value - axis->first) / axis->step;
}

/* A table's file as it is read. */
struct table_file {
    const char *name; /* of the operator */
    const struct axis *axes;
    int num_axes;
    int64_t counts[2];
    const char *path;
    struct vidur_csv *csv;
};

static int fail_value(const struct table_file *file, int64_t row, int column,
                      struct vidur_error *err)
{
    const struct axis *axis = &file->axes[column];
    const long long value = (long long)vidur_csv_int64s(file->csv, column)[row];
    if (axis->square)
        return vidur_csv_fail(file->csv, row, column, err,
                              "%lld is not a square from 1 up", value);
    return vidur_csv_fail(file->csv, row, column, err,
                          "%lld is not %lld plus a multiple of %lld%s", value,
                          (long long)axis->first, (long long)axis->step,
                          axis->step > 1 ? " (estimator.kv_cache_granularity)" : "");
}

/* Extent of an axis over all rows; checks every value. */
static int measure(struct table_file *file, int column, struct vidur_error *err)
{
    const int64_t *values = vidur_csv_int64s(file->csv, column);
    int64_t last = -1;
    for (int64_t row = 0; row < vidur_csv_rows(file->csv); row++) {
        const int64_t index = axis_index(&file->axes[column], values[row]);
        if (index < 0)
            return fail_value(file, row, column, err);
        if (index > last)
            last = index;
    }
    file->counts[column] = last + 1;
    return 0;
}

/* Puts every row into its cell; the cells hold NaN before. */
static int scatter(const struct table_file *file, double *ms, struct vidur_error *err)
{
    const double *predictions = vidur_csv_doubles(file->csv, file->num_axes);
    const int64_t *first = vidur_csv_int64s(file->csv, 0);
    const int64_t *second = file->num_axes > 1 ? vidur_csv_int64s(file->csv, 1) : NULL;
    for (int64_t row = 0; row < vidur_csv_rows(file->csv); row++) {
        int64_t cell = axis_index(&file->axes[0], first[row]);
        if (second)
            cell = cell * file->counts[1] + axis_index(&file->axes[1], second[row]);
        if (!isnan(ms[cell]))
            return vidur_csv_fail(file->csv, row, 0, err,
                                  "this cell was given before; each must come once");
        ms[cell] = predictions[row];
    }
    return 0;
}

enum { MAX_CELLS = 1 << 30 };

static int fill(struct table_file *file, struct vidur_cache_entry *entry,
                struct vidur_error *err)
{
    for (int i = 0; i < file->num_axes; i++)
        if (measure(file, i, err))
            return -1;
    const int64_t rows = file->counts[0], columns = file->counts[1];
    const int64_t cells = rows > MAX_CELLS / columns ? -1 : rows * columns;
    if (vidur_csv_rows(file->csv) != cells)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: %lld rows do not fill a table of %lld x %lld; every "
                          "cell must come once",
                          file->path, (long long)vidur_csv_rows(file->csv),
                          (long long)rows, (long long)columns);
    const bool list = file->num_axes == 1;
    double *ms = vidur_cache_add(entry, file->name, list ? 1 : rows,
                                 list ? rows + 1 : columns, err);
    if (!ms)
        return -1;
    if (list) {
        vidur_cache_find(entry, file->name)->profiled_columns = rows;
        ms++; /* cell 0 stands for no tokens and stays 0 */
    }
    for (int64_t i = 0; i < cells; i++)
        ms[i] = NAN;
    return scatter(file, ms, err);
}

static int read_table(struct vidur_cache_entry *entry, const char *folder,
                      struct table_file *file, struct vidur_error *err)
{
    struct vidur_path path;
    struct vidur_csv_column columns[3];
    if (!vidur_timetable_csv_path(folder, file->name, &path))
        return vidur_fail(err, VIDUR_EIO,
                          "%s/%s.csv: missing; this deployment needs it", folder,
                          file->name);
    for (int i = 0; i < file->num_axes; i++)
        columns[i] = (struct vidur_csv_column){file->axes[i].name, VIDUR_CSV_INT64,
                                               VIDUR_CSV_NOT_NEGATIVE};
    columns[file->num_axes] = (struct vidur_csv_column){"prediction", VIDUR_CSV_DOUBLE,
                                                        VIDUR_CSV_NOT_NEGATIVE};
    const struct vidur_csv_schema schema = {.columns = columns,
                                            .num_columns = file->num_axes + 1};
    file->path = path.text;
    file->csv = vidur_csv_read(path.text, &schema, err);
    int status = -1;
    if (file->csv && vidur_csv_rows(file->csv) == 0)
        vidur_fail(err, VIDUR_EINVAL, "%s: no rows below the header", path.text);
    else if (file->csv)
        status = fill(file, entry, err);
    vidur_csv_free(file->csv);
    file->csv = NULL;
    file->path = NULL;
    return status;
}

int vidur_timetable_read_csv(struct vidur_cache_entry *entry,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err)
{
    const struct axis tokens = {"num_tokens", 1, 1, false};
    const struct axis batch = {"batch_size", 1, 1, false};
    const struct axis kv = {"kv_cache_size", 0, config->kv_cache_granularity, false};
    const struct axis chunk = {"prefill_chunk_size_squared", 1, 1, true};
    const struct axis decode[] = {batch, kv}, prefill[] = {kv, chunk};
    int status = 0;
    for (int op = 0; status == 0 && op < VIDUR_NUM_OPERATORS; op++) {
        struct vidur_path path;
        struct table_file file = {.name = vidur_operator_name(op),
                                  .axes = &tokens,
                                  .num_axes = 1,
                                  .counts = {1, 1}};
        if (!vidur_request_runs(request, config->overheads.model_cpu_overhead, op) ||
            (op == VIDUR_OP_add &&
             !vidur_timetable_csv_path(config->tables, file.name, &path)))
            continue;
        if (op >= VIDUR_NUM_TOKEN_OPERATORS) {
            file.axes = op == VIDUR_OP_attn_decode ? decode : prefill;
            file.num_axes = 2;
        } else if (op >= VIDUR_FIRST_CPU_OPERATOR) {
            file.axes = &batch;
        }
        status = read_table(entry, config->tables, &file, err);
    }
    return status;
}
