#include "load/trace_csv.h"

#include "load/trace_format.h"

#include <vidur/csv.h>

#include <string.h>

enum { TIME, PROMPT, OUTPUT, SESSION, BLOCKS, NUM_COLUMNS };

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

static const char *text_at(const struct vidur_csv *csv, int column, int64_t row)
{
    if (!vidur_csv_has(csv, column))
        return "";
    const int32_t id = vidur_csv_string_ids(csv, column)[row];
    return vidur_csv_string(csv, id);
}

/* Without a column of lengths, which nobody asks for then, no request failed. */
static int64_t tokens_at(const struct vidur_csv *csv, int column, int64_t row)
{
    return vidur_csv_has(csv, column) ? vidur_csv_int64s(csv, column)[row] : 1;
}

static int add_row(struct vidur_trace *trace, const struct vidur_csv *csv, int64_t at,
                   const int place[NUM_COLUMNS], struct vidur_error *err)
{
    struct vidur_trace_row row = {.line = vidur_csv_line(csv, at),
                                  .prompt_tokens = tokens_at(csv, place[PROMPT], at),
                                  .output_tokens = tokens_at(csv, place[OUTPUT], at),
                                  .session = -1};
    if (place[TIME] >= 0 && vidur_csv_has(csv, place[TIME]))
        row.time_s = vidur_trace_seconds(trace, vidur_csv_times(csv, place[TIME])[at]);
    if (place[SESSION] >= 0)
        row.session = vidur_trace_session(trace, text_at(csv, place[SESSION], at));
    if (place[BLOCKS] >= 0 && add_blocks(trace, text_at(csv, place[BLOCKS], at), err))
        return -1;
    return vidur_trace_add(trace, &row, err);
}

static int add_rows(struct vidur_trace *trace, const struct vidur_csv *csv,
                    const int place[NUM_COLUMNS], struct vidur_error *err)
{
    for (int64_t i = 0; i < vidur_csv_rows(csv); i++)
        if (add_row(trace, csv, i, place, err))
            return -1;
    return 0;
}

int vidur_trace_read_table(struct vidur_trace *trace,
                           const struct vidur_trace_table *table,
                           struct vidur_error *err)
{
    struct vidur_csv_column columns[NUM_COLUMNS];
    int place[NUM_COLUMNS] = {-1, -1, -1, -1, -1}, count = 0;
    const unsigned of_lengths =
        VIDUR_CSV_NOT_NEGATIVE |
        (trace->wanted & VIDUR_TRACE_LENGTHS ? 0 : VIDUR_CSV_OPTIONAL);
    const unsigned sometimes = VIDUR_CSV_OPTIONAL | VIDUR_CSV_EMPTY_OK;
    if (trace->wanted & VIDUR_TRACE_TIMES) {
        const char *unit = vidur_trace_time_unit(trace, table->time_unit);
        const bool optional = table->time_optional && (trace->wanted & VIDUR_TRACE_ALL);
        place[TIME] = count;
        columns[count++] = (struct vidur_csv_column){
            table->time, VIDUR_CSV_TIME,
            unit_flag(unit) | (optional ? VIDUR_CSV_OPTIONAL : 0)};
    }
    place[PROMPT] = count;
    columns[count++] =
        (struct vidur_csv_column){table->prompt, VIDUR_CSV_INT64, of_lengths};
    place[OUTPUT] = count;
    columns[count++] =
        (struct vidur_csv_column){table->output, VIDUR_CSV_INT64, of_lengths};
    if (table->session && (trace->wanted & VIDUR_TRACE_SESSIONS)) {
        place[SESSION] = count;
        columns[count++] =
            (struct vidur_csv_column){table->session, VIDUR_CSV_STRING, sometimes};
    }
    if (table->blocks && (trace->wanted & VIDUR_TRACE_BLOCKS)) {
        place[BLOCKS] = count;
        columns[count++] =
            (struct vidur_csv_column){table->blocks, VIDUR_CSV_STRING, sometimes};
    }
    const struct vidur_csv_schema schema = {columns, count, false};
    struct vidur_csv *csv = vidur_csv_read(trace->path, &schema, err);
    const int status = csv ? add_rows(trace, csv, place, err) : -1;
    vidur_csv_free(csv);
    return status;
}
