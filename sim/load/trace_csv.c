#include "load/trace_csv.h"

#include "base/instant.h"
#include "load/trace_format.h"

#include <vidur/csv.h>

#include <math.h>
#include <string.h>

enum {
#define X(name) COLUMN_##name,
    VIDUR_TRACE_COLUMNS(X)
#undef X
        NUM_COLUMNS
};

/* Where a file's columns are in the table that was read; -1: they are not read. */
struct reading {
    struct vidur_trace *trace;
    struct vidur_csv *csv;
    struct vidur_csv_column columns[NUM_COLUMNS];
    int count;
    int place[NUM_COLUMNS];
    double units_per_s; /* of times that stay what they are; 0: of none */
};

static unsigned unit_flag(const char *unit)
{
    return strcmp(unit, "ms") == 0   ? VIDUR_CSV_MS
           : strcmp(unit, "us") == 0 ? VIDUR_CSV_US
           : strcmp(unit, "ns") == 0 ? VIDUR_CSV_NS
                                     : 0;
}

/* Ids in a cell: "17 18 19", "[17, 18, 19]". */
static int add_blocks(struct vidur_trace *trace, const char *cell,
                      struct vidur_error *err)
{
    static const char between[] = " \t,;[]\"'";
    for (;;) {
        cell += strspn(cell, between);
        const size_t length = strcspn(cell, between);
        if (length == 0)
            return 0;
        if (vidur_trace_add_block(trace, cell, length, err))
            return -1;
        cell += length;
    }
}

static bool has(const struct reading *r, int column)
{
    return r->place[column] >= 0 && vidur_csv_has(r->csv, r->place[column]);
}

static const char *text_at(const struct reading *r, int column, int64_t row)
{
    if (!has(r, column))
        return "";
    const int32_t id = vidur_csv_string_ids(r->csv, r->place[column])[row];
    return vidur_csv_string(r->csv, id);
}

/* Without a column of lengths, which nobody asks for then, no request failed. */
static int64_t tokens_at(const struct reading *r, int column, int64_t row)
{
    return has(r, column) ? vidur_csv_int64s(r->csv, r->place[column])[row] : 1;
}

static double number_at(const struct reading *r, int column, int64_t row)
{
    return has(r, column) ? vidur_csv_doubles(r->csv, r->place[column])[row] : NAN;
}

/* NaN: the row has none. */
static double time_at(const struct reading *r, int column, int64_t row)
{
    if (!has(r, column))
        return NAN;
    if (r->units_per_s > 0)
        return number_at(r, column, row) / r->units_per_s;
    const int64_t ns = vidur_csv_times(r->csv, r->place[column])[row];
    return ns == VIDUR_CSV_NO_INT64 ? NAN : vidur_trace_seconds(r->trace, ns);
}

static double end_at(const struct reading *r, double time_s, int64_t row)
{
    const double end_s = time_at(r, COLUMN_ended_at, row);
    const double latency_s = number_at(r, COLUMN_latency_s, row);
    const double latency_ms = number_at(r, COLUMN_latency_ms, row);
    return !isnan(end_s)       ? end_s
           : !isnan(latency_s) ? time_s + latency_s
                               : time_s + latency_ms / 1e3;
}

static int read_priority(const struct reading *r, int64_t at,
                         struct vidur_trace_row *row, struct vidur_error *err)
{
    const int place = r->place[COLUMN_priority];
    if (!has(r, COLUMN_priority))
        return 0;
    const int64_t value = vidur_csv_int64s(r->csv, place)[at];
    row->has_priority = true;
    if (value == VIDUR_CSV_NO_INT64)
        return 0;
    if (!vidur_trace_is_priority(value))
        return vidur_csv_fail(r->csv, at, place, err,
                              "%lld is out of range; a priority is a whole number from "
                              "%d to %d",
                              (long long)value, INT32_MIN, INT32_MAX);
    row->priority = (int32_t)value;
    return 0;
}

static int add_row(const struct reading *r, int64_t at, struct vidur_error *err)
{
    struct vidur_trace_row row = vidur_trace_row_of(vidur_csv_line(r->csv, at));
    row.prompt_tokens = tokens_at(r, COLUMN_prompt_tokens, at);
    row.output_tokens = tokens_at(r, COLUMN_output_tokens, at);
    if (has(r, COLUMN_arrived_at)) {
        row.time_s = time_at(r, COLUMN_arrived_at, at);
        row.end_s = end_at(r, row.time_s, at);
    }
    if (has(r, COLUMN_session))
        row.session = vidur_trace_session(r->trace, text_at(r, COLUMN_session, at));
    if (read_priority(r, at, &row, err) ||
        add_blocks(r->trace, text_at(r, COLUMN_prefix, at), err))
        return -1;
    return vidur_trace_add(r->trace, &row, err);
}

/* ---- Which columns are read ---- */

static void want(struct reading *r, int column, const char *name,
                 enum vidur_csv_type type, unsigned flags)
{
    r->place[column] = r->count;
    r->columns[r->count++] = (struct vidur_csv_column){name, type, flags};
}

/* A column that a file may lack, unless the options name it. */
static void want_extra(struct reading *r, int column, const char *name,
                       const char *given, struct vidur_csv_column like)
{
    const unsigned optional = given[0] ? 0 : VIDUR_CSV_OPTIONAL;
    if (name)
        want(r, column, name, like.type, like.flags | VIDUR_CSV_EMPTY_OK | optional);
}

static void want_extras(struct reading *r, const struct vidur_trace_table *table,
                        struct vidur_csv_column time)
{
    const struct vidur_trace_columns *given = &r->trace->options->columns;
    const unsigned wanted = r->trace->wanted;
    const struct vidur_csv_column text = {.type = VIDUR_CSV_STRING};
    const struct vidur_csv_column latency = {.type = VIDUR_CSV_DOUBLE,
                                             .flags = VIDUR_CSV_NOT_NEGATIVE};
    const struct vidur_csv_column whole = {.type = VIDUR_CSV_INT64};
#define EXTRA(name, like) want_extra(r, COLUMN_##name, table->name, given->name, like)
    if (wanted & VIDUR_TRACE_SESSIONS)
        EXTRA(session, text);
    if (wanted & VIDUR_TRACE_BLOCKS)
        EXTRA(prefix, text);
    if (wanted & VIDUR_TRACE_ENDS) {
        EXTRA(ended_at, time);
        EXTRA(latency_s, latency);
        EXTRA(latency_ms, latency);
    }
    if (wanted & VIDUR_TRACE_PRIORITIES)
        EXTRA(priority, whole);
#undef EXTRA
}

static void want_columns(struct reading *r, const struct vidur_trace_table *table)
{
    const struct vidur_trace *trace = r->trace;
    const char *unit = vidur_trace_time_unit(trace, table->time_unit);
    const bool has_lengths = trace->wanted & VIDUR_TRACE_LENGTHS;
    const bool optional = (table->time_optional || table->plain) &&
                          (trace->wanted & VIDUR_TRACE_MAY_LACK);
    const unsigned of_lengths =
        VIDUR_CSV_NOT_NEGATIVE | (has_lengths ? 0 : VIDUR_CSV_OPTIONAL);
    const struct vidur_csv_column time = {
        .type = table->plain ? VIDUR_CSV_DOUBLE : VIDUR_CSV_TIME,
        .flags = table->plain ? VIDUR_CSV_NOT_NEGATIVE : unit_flag(unit)};
    for (int i = 0; i < NUM_COLUMNS; i++)
        r->place[i] = -1;
    if (table->plain)
        r->units_per_s = 1e9 / (double)vidur_instant_unit_ns(unit);
    if (has_lengths || !table->plain) {
        want(r, COLUMN_prompt_tokens, table->prompt_tokens, VIDUR_CSV_INT64,
             of_lengths);
        want(r, COLUMN_output_tokens, table->output_tokens, VIDUR_CSV_INT64,
             of_lengths);
    }
    if (trace->wanted & VIDUR_TRACE_TIMES)
        want(r, COLUMN_arrived_at, table->arrived_at, time.type,
             time.flags | (optional ? VIDUR_CSV_OPTIONAL : 0));
    want_extras(r, table, time);
}

int vidur_trace_read_table(struct vidur_trace *trace,
                           const struct vidur_trace_table *table,
                           struct vidur_error *err)
{
    struct reading r = {.trace = trace};
    want_columns(&r, table);
    const struct vidur_csv_schema schema = {r.columns, r.count, false};
    r.csv = vidur_csv_read(trace->path, &schema, err);
    int status = r.csv ? 0 : -1;
    if (r.csv && table->plain)
        trace->has_origin = has(&r, COLUMN_arrived_at);
    for (int64_t i = 0; status == 0 && i < vidur_csv_rows(r.csv); i++)
        status = add_row(&r, i, err);
    vidur_csv_free(r.csv);
    return status;
}
