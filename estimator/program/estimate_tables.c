#include "program/estimate_commands.h"

#include "base/file.h"
#include "base/text.h"
#include "tables/timetable_internal.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* tables and predict: what the simulator will look up. */

/* ---- tables ---- */

static struct vidur_csv_writer *open_table(const char *folder, const char *name,
                                           struct vidur_error *err)
{
    char file[64];
    struct vidur_path path;
    snprintf(file, sizeof file, "%s.csv", name);
    if (vidur_path_join(folder, file, &path, err))
        return NULL;
    return vidur_csv_writer_open(path.text, err);
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int write_list(const char *folder, enum vidur_token_operator op,
                      const struct vidur_token_table *table, int64_t limit,
                      struct vidur_error *err)
{
    const char *name = vidur_token_operator_name(op);
    struct vidur_csv_writer *writer = open_table(folder, name, err);
    if (!writer)
        return -1;
    vidur_csv_put_string(writer,
                         op >= VIDUR_FIRST_CPU_OPERATOR ? "batch_size" : "num_tokens");
    vidur_csv_put_string(writer, "prediction");
    vidur_csv_end_row(writer);
    for (int64_t i = 1; i <= lesser(limit, table->limit); i++) {
        vidur_csv_put_int64(writer, i);
        vidur_csv_put_double(writer, table->ms[i]);
        vidur_csv_end_row(writer);
    }
    return vidur_csv_writer_commit(writer, err);
}

/* first + step * index, or its square */
struct axis {
    const char *name;
    int64_t first, step, count;
    bool square;
};

static int64_t axis_value(const struct axis *axis, int64_t index)
{
    const int64_t value = axis->first + axis->step * index;
    return axis->square ? value * value : value;
}

static int write_grid(const char *folder, const char *name,
                      const struct vidur_grid_table *table, const struct axis axes[2],
                      struct vidur_error *err)
{
    const struct axis *down = &axes[0], *across = &axes[1];
    struct vidur_csv_writer *writer = open_table(folder, name, err);
    if (!writer)
        return -1;
    vidur_csv_put_string(writer, down->name);
    vidur_csv_put_string(writer, across->name);
    vidur_csv_put_string(writer, "prediction");
    vidur_csv_end_row(writer);
    for (int64_t i = 0; i < lesser(down->count, table->num_rows); i++)
        for (int64_t j = 0; j < lesser(across->count, table->num_columns); j++) {
            vidur_csv_put_int64(writer, axis_value(down, i));
            vidur_csv_put_int64(writer, axis_value(across, j));
            vidur_csv_put_double(writer, table->ms[i * table->num_columns + j]);
            vidur_csv_end_row(writer);
        }
    return vidur_csv_writer_commit(writer, err);
}

static int write_grids(const char *folder, const struct vidur_timetable *timetable,
                       const struct vidur_table_limits *limits, struct vidur_error *err)
{
    const int64_t step = timetable->kv_granularity_tokens;
    const struct axis batch = {"batch_size", 1, 1, limits->batch, false};
    const struct axis kv = {"kv_cache_size", 0, step, limits->kv_points, false};
    const struct axis chunk = {"prefill_chunk_size_squared", 1, 1, limits->max_chunk,
                               true};
    const struct axis decode[2] = {batch, kv}, prefill[2] = {kv, chunk};
    if (write_grid(folder, "attn_decode", &timetable->attn_decode, decode, err))
        return -1;
    return write_grid(folder, "attn_prefill", &timetable->attn_prefill, prefill, err);
}

/* Exactly what the configuration asks for: cached tables may be larger. */
static int write_tables(const char *folder, const struct vidur_timetable *timetable,
                        const struct vidur_table_limits *limits,
                        struct vidur_error *err)
{
    if (vidur_file_make_folder(folder, err))
        return -1;
    for (int i = 0; i < VIDUR_NUM_TOKEN_OPERATORS; i++) {
        const enum vidur_token_operator op = (enum vidur_token_operator)i;
        const struct vidur_token_table *table = &timetable->token[op];
        const int64_t limit =
            op >= VIDUR_FIRST_CPU_OPERATOR ? limits->batch : limits->tokens;
        if (table->ms && write_list(folder, op, table, limit, err))
            return -1;
    }
    return write_grids(folder, timetable, limits, err);
}

int vidur_estimate_tables(const struct vidur_estimate_job *job, struct vidur_error *err)
{
    const struct vidur_estimator_config *estimator = &job->config->estimator;
    const struct vidur_timetable_request request = vidur_estimate_request(job->config);
    const char *folder = vidur_args_value(job->args, "output");
    struct vidur_timetable *timetable;
    if (!folder) {
        vidur_fail(err, VIDUR_EINVAL,
                   "tables: -o is missing; name the folder to write");
        return 1;
    }
    if (vidur_timetable_open(&timetable, estimator, &request, job->log, err))
        return 1;
    const struct vidur_table_limits limits =
        vidur_table_limits(estimator, &request, false);
    const int status = write_tables(folder, timetable, &limits, err);
    if (status == 0)
        fprintf(job->out, "%s: tables of %s, %s\n", vidur_text_show(folder).text,
                vidur_text_show(job->config->model.name).text,
                vidur_text_show(timetable->provenance).text);
    vidur_timetable_close(timetable);
    return status ? 2 : 0;
}

/* ---- predict ---- */

static int find_operator(const char *name, struct vidur_error *err)
{
    const char *names[VIDUR_NUM_OPERATORS];
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        names[op] = vidur_operator_name(op);
        if (strcmp(names[op], name) == 0)
            return op;
    }
    return vidur_fail(err, VIDUR_EINVAL, "'%.60s' is no operator; the nearest is '%s'",
                      name, vidur_text_nearest(name, names, VIDUR_NUM_OPERATORS));
}

/* NAME=VALUE; prefill_chunk_size is squared for convenience. */
static int read_feature(const struct vidur_samples *samples, const char *text,
                        double *features, struct vidur_error *err)
{
    double value;
    const char *equals = strchr(text, '=');
    if (!equals || !vidur_text_double(equals + 1, &value) || value < 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "'%.60s': FEATURE=VALUE is needed, VALUE a number from 0 up",
                          text);
    const size_t length = (size_t)(equals - text);
    for (int i = 0; i < samples->num_features; i++) {
        const char *name = samples->feature_names[i];
        if (strlen(name) == length && strncmp(name, text, length) == 0) {
            features[i] = value;
            return 0;
        }
        if (strcmp(name, "prefill_chunk_size_squared") == 0 &&
            strncmp("prefill_chunk_size", text, length) == 0 &&
            length == strlen("prefill_chunk_size")) {
            features[i] = value * value;
            return 0;
        }
    }
    return vidur_fail(err, VIDUR_EINVAL, "'%.60s': %s has the feature%s %s%s%s", text,
                      samples->name, samples->num_features > 1 ? "s" : "",
                      samples->feature_names[0], samples->num_features > 1 ? ", " : "",
                      samples->num_features > 1 ? samples->feature_names[1] : "");
}

static int read_features(const struct vidur_args *args,
                         const struct vidur_samples *samples, double *features,
                         struct vidur_error *err)
{
    for (int i = 0; i < samples->num_features; i++)
        features[i] = NAN;
    for (int i = 3; i < args->num_positional; i++)
        if (read_feature(samples, args->positional[i], features, err))
            return -1;
    for (int i = 0; i < samples->num_features; i++)
        if (isnan(features[i]))
            return vidur_fail(err, VIDUR_EINVAL, "%s: %s=VALUE is missing",
                              samples->name, samples->feature_names[i]);
    return 0;
}

/* A cell of a table as the simulator picks it: sizes are rounded up to the table's
 * grid, and the last cell stands for all beyond. */
struct cell {
    double ms;
    bool beyond;       /* the table's end */
    bool extrapolated; /* beyond the profile */
};

static int64_t cut(int64_t index, int64_t count, struct cell *cell)
{
    if (index < 0)
        return 0;
    if (index < count)
        return index;
    cell->beyond = true;
    return count - 1;
}

static struct cell look_up(const struct vidur_timetable *timetable, int op,
                           const double *features)
{
    struct cell cell = {.ms = 0};
    if (op < VIDUR_NUM_TOKEN_OPERATORS) {
        const struct vidur_token_table *table = &timetable->token[op];
        if (!table->ms)
            return cell;
        const int64_t index = cut((int64_t)ceil(features[0]), table->limit + 1, &cell);
        cell.ms = table->ms[index];
        cell.extrapolated = index > table->profiled_limit;
        return cell;
    }
    const bool decode = op == VIDUR_OP_attn_decode;
    const struct vidur_grid_table *table =
        decode ? &timetable->attn_decode : &timetable->attn_prefill;
    const double kv = features[decode ? 1 : 0];
    const int64_t points = (int64_t)ceil(kv / timetable->kv_granularity_tokens);
    const int64_t row = decode ? (int64_t)ceil(features[0]) - 1 : points;
    const int64_t column = decode ? points : (int64_t)nearbyint(sqrt(features[1])) - 1;
    const int64_t i = cut(row, table->num_rows, &cell);
    const int64_t j = cut(column, table->num_columns, &cell);
    cell.ms = table->ms[i * table->num_columns + j];
    cell.extrapolated = i >= table->profiled_rows || j >= table->profiled_columns;
    return cell;
}

static int print_table_value(const struct vidur_estimate_job *job,
                             const struct vidur_timetable_request *request, int op,
                             const double *features, struct vidur_error *err)
{
    struct vidur_timetable *timetable;
    if (vidur_timetable_open(&timetable, &job->config->estimator, request, job->log,
                             err))
        return -1;
    const struct cell cell = look_up(timetable, op, features);
    fprintf(job->out, "table %.17g ms%s%s\n", cell.ms,
            cell.beyond ? " (the table's last cell)" : "",
            cell.extrapolated ? " (beyond the profile)" : "");
    vidur_timetable_close(timetable);
    return 0;
}

static int print_regressor_value(const struct vidur_estimate_job *job,
                                 const struct vidur_samples *samples,
                                 const double *features, struct vidur_error *err)
{
    struct vidur_regression *regression;
    if (samples->num_rows == 0) {
        fprintf(job->out, "regressor 0 ms (%s is not run)\n", samples->name);
        return 0;
    }
    if (vidur_timetable_regression(&regression, NULL, &job->config->estimator, samples,
                                   err))
        return vidur_fail_prefix(err, "%s", samples->name);
    fprintf(job->out, "regressor %.17g ms\n",
            vidur_regression_predict(regression, features));
    vidur_regression_free(regression);
    return 0;
}

/* Tables that were given, and prices, have no regressor behind them. */
static bool is_learned(const struct vidur_estimate_job *job)
{
    const struct vidur_timetable_request request = vidur_estimate_request(job->config);
    const struct vidur_estimator_config *estimator = &job->config->estimator;
    return estimator->source != VIDUR_SOURCE_TABLES &&
           !vidur_timetable_is_priced(estimator, &request);
}

static int predict(const struct vidur_estimate_job *job,
                   const struct vidur_profile *profile, int op, struct vidur_error *err)
{
    const struct vidur_timetable_request request = vidur_estimate_request(job->config);
    const struct vidur_samples *samples = &profile->operators[op];
    double features[VIDUR_MAX_FEATURES];
    char provenance[256];
    if (read_features(job->args, samples, features, err) ||
        vidur_timetable_describe(provenance, sizeof provenance, &job->config->estimator,
                                 &request, err))
        return -1;
    fprintf(job->out, "# %s\n", vidur_text_show(provenance).text);
    if (is_learned(job) && print_regressor_value(job, samples, features, err))
        return -1;
    return print_table_value(job, &request, op, features, err);
}

int vidur_estimate_predict(const struct vidur_estimate_job *job,
                           struct vidur_error *err)
{
    const struct vidur_timetable_request request = vidur_estimate_request(job->config);
    struct vidur_profile *profile;
    if (job->args->num_positional < 3) {
        vidur_fail(err, VIDUR_EINVAL,
                   "predict: OPERATOR and FEATURE=VALUE are missing, e.g. attn_rope "
                   "num_tokens=512");
        return 1;
    }
    const int op = find_operator(job->args->positional[2], err);
    if (op < 0)
        return 1;
    if (!is_learned(job)) {
        profile = vidur_profile_create(err);
        if (!profile)
            return 2;
    } else if (vidur_timetable_profile(&profile, &job->config->estimator, &request,
                                       job->log, err)) {
        return 1;
    }
    const int status = predict(job, profile, op, err);
    vidur_profile_free(profile);
    return status ? 1 : 0;
}
