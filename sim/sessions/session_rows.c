#include "sessions/sessions.h"

#include <vidur/csv.h>
#include <vidur/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_SESSION, COLUMN_THINK, COLUMN_PREFILL, COLUMN_DECODE };

static const struct vidur_csv_column columns[] = {
    {"session", VIDUR_CSV_STRING, 0},
    {"think_s", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK | VIDUR_CSV_NOT_NEGATIVE},
    {"num_prefill_tokens", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
    {"num_decode_tokens", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
};

static int check_row(const struct vidur_csv *csv, int64_t row, bool first,
                     struct vidur_error *err)
{
    for (int column = COLUMN_PREFILL; column <= COLUMN_DECODE; column++)
        if (vidur_csv_int64s(csv, column)[row] > INT32_MAX / 4)
            return vidur_csv_fail(csv, row, column, err, "%lld tokens; at most %d",
                                  (long long)vidur_csv_int64s(csv, column)[row],
                                  INT32_MAX / 4);
    if (!first && isnan(vidur_csv_doubles(csv, COLUMN_THINK)[row]))
        return vidur_csv_fail(csv, row, COLUMN_THINK, err,
                              "empty; give the seconds since the answer before, only a "
                              "session's first row has none");
    return 0;
}

/* Where each session's rows begin once they are sorted by session. */
static void count_rows(const int32_t *ids, int64_t num_rows, int32_t num_sessions,
                       int64_t *first)
{
    memset(first, 0, ((size_t)num_sessions + 1) * sizeof *first);
    for (int64_t i = 0; i < num_rows; i++)
        first[ids[i] + 1]++;
    for (int32_t i = 0; i < num_sessions; i++)
        first[i + 1] += first[i];
}

static int sort_rows(struct vidur_session_rows *rows, const struct vidur_csv *csv,
                     struct vidur_error *err)
{
    const int32_t *ids = vidur_csv_string_ids(csv, COLUMN_SESSION);
    const int64_t count = vidur_csv_rows(csv);
    int64_t *next = malloc((size_t)rows->num_sessions * sizeof *next);
    if (!next)
        return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for sessions");
    memcpy(next, rows->first, (size_t)rows->num_sessions * sizeof *next);
    int status = 0;
    for (int64_t i = 0; i < count && status == 0; i++) {
        const int64_t to = next[ids[i]]++;
        status = check_row(csv, i, to == rows->first[ids[i]], err);
        if (status)
            break;
        rows->prefill_tokens[to] = (int32_t)vidur_csv_int64s(csv, COLUMN_PREFILL)[i];
        rows->decode_tokens[to] = (int32_t)vidur_csv_int64s(csv, COLUMN_DECODE)[i];
        rows->think_s[to] = vidur_csv_doubles(csv, COLUMN_THINK)[i];
    }
    free(next);
    return status;
}

void vidur_session_rows_shuffle(struct vidur_session_rows *rows, uint64_t seed)
{
    int32_t *order = rows->order;
    struct vidur_rng rng;
    vidur_rng_init(&rng, seed, vidur_rng_stream("sessions.rows", 0));
    for (int32_t i = rows->num_sessions - 1; i > 0; i--) {
        const int32_t j = (int32_t)vidur_rng_below(&rng, (uint32_t)i + 1);
        const int32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

int vidur_session_rows_reserve(struct vidur_session_rows *rows, struct vidur_error *err)
{
    const size_t n = (size_t)rows->first[rows->num_sessions];
    rows->order = malloc((size_t)rows->num_sessions * sizeof *rows->order);
    rows->prefill_tokens = malloc(n * sizeof *rows->prefill_tokens);
    rows->decode_tokens = malloc(n * sizeof *rows->decode_tokens);
    rows->think_s = malloc(n * sizeof *rows->think_s);
    if (!rows->order || !rows->prefill_tokens || !rows->decode_tokens || !rows->think_s)
        return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for sessions");
    for (int32_t i = 0; i < rows->num_sessions; i++)
        rows->order[i] = i;
    return 0;
}

static int take_rows(struct vidur_session_rows *rows, const struct vidur_csv *csv,
                     uint64_t seed, struct vidur_error *err)
{
    const int32_t *ids = vidur_csv_string_ids(csv, COLUMN_SESSION);
    const size_t n = (size_t)vidur_csv_rows(csv);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= rows->num_sessions)
            rows->num_sessions = ids[i] + 1;
    rows->first = malloc(((size_t)rows->num_sessions + 1) * sizeof *rows->first);
    if (!rows->first)
        return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for sessions");
    count_rows(ids, (int64_t)n, rows->num_sessions, rows->first);
    if (vidur_session_rows_reserve(rows, err))
        return -1;
    vidur_session_rows_shuffle(rows, seed);
    return sort_rows(rows, csv, err);
}

int vidur_session_rows_read(struct vidur_session_rows *rows, const char *path,
                            uint64_t seed, struct vidur_error *err)
{
    const struct vidur_csv_schema schema = {columns, COLUMN_DECODE + 1, false};
    *rows = (struct vidur_session_rows){0};
    struct vidur_csv *csv = vidur_csv_read(path, &schema, err);
    if (!csv)
        return err && err->code == VIDUR_EIO
                   ? vidur_fail_prefix(err, "workload.sessions.file")
                   : -1;
    int status = vidur_csv_rows(csv) == 0
                     ? vidur_fail(err, VIDUR_EINVAL,
                                  "%s: no rows below the header; a row is a turn", path)
                     : take_rows(rows, csv, seed, err);
    vidur_csv_free(csv);
    if (status)
        vidur_session_rows_free(rows);
    return status;
}

void vidur_session_rows_free(struct vidur_session_rows *rows)
{
    free(rows->first);
    free(rows->order);
    free(rows->prefill_tokens);
    free(rows->decode_tokens);
    free(rows->think_s);
    free(rows->beside);
    free(rows->priority);
    free(rows->start_s);
    *rows = (struct vidur_session_rows){0};
}
