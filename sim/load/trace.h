#ifndef VIDUR_SIM_TRACE_H
#define VIDUR_SIM_TRACE_H

#include <vidur/csv.h>
#include <vidur/error.h>

#include <stdint.h>

/*
 * A request trace: a CSV file with num_prefill_tokens and num_decode_tokens, or a
 * column of times in seconds, or both. Other columns are ignored.
 */
struct vidur_trace {
    struct vidur_csv *csv; /* for messages about a row */
    struct vidur_csv_column columns[3];
    int num_columns;
    int64_t num_rows; /* at least 1 */
    const int64_t *prefill_tokens;
    const int64_t *decode_tokens;
    const double *time_s; /* not falling */
};

enum { VIDUR_TRACE_LENGTHS = 1u << 0, VIDUR_TRACE_TIMES = 1u << 1 };

/* `wanted` says which columns must be there. An empty file, text in a number column, a
 * negative number and times out of order are errors with the line. The arrays live
 * until vidur_trace_close, which is right after a failure too. The struct must stay
 * where it is and `time_column` alive in between. */
int vidur_trace_open(struct vidur_trace *trace, const char *path,
                     const char *time_column, unsigned wanted, struct vidur_error *err);
/* Puts the key that names the file in front of an error that the file has no line for:
 * it cannot be read. Returns -1. */
int vidur_trace_fail(const char *key, struct vidur_error *err);
void vidur_trace_close(struct vidur_trace *trace);

/* Tokens scaled and cut to an integer, as SIMULATOR.md section 2 does; an error beyond
 * 2^31 - 1. */
int vidur_trace_scale_tokens(const struct vidur_trace *trace, int64_t row,
                             const double factor[2], int64_t tokens[2],
                             struct vidur_error *err);

#endif
