#ifndef VIDUR_SIM_TRACE_H
#define VIDUR_SIM_TRACE_H

#include "base/intern.h"

#include <vidur/error.h>
#include <vidur/workload.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * A request trace: what a file says about requests, whatever its format
 * (trace_format.h), as arrays with an element per request in order of arrival.
 *
 * Times are seconds. Those of the project's own traces are the file's; of all other
 * formats they count from the first request. Requests that failed, whose output is
 * empty, are left out and counted (but in the project's own traces, which hold
 * workloads, not logs). Rows that are not in order of time are sorted, those of equal
 * times stay as they were, and `num_unsorted` says how many came late.
 */

struct vidur_trace_format;

struct vidur_trace {
    char *path;
    const struct vidur_trace_format *format;
    const struct vidur_trace_options *options; /* while it is read */
    unsigned wanted;
    int64_t num_rows; /* at least 1 */
    int64_t num_failed, num_unsorted;
    double
        characters_per_token; /* that lengths are estimated with; 0: they are known */
    /* Arrays; NULL where the file does not have them or nobody wants them. */
    double *time_s;
    int32_t *prompt_tokens, *output_tokens;
    int32_t *line;
    double *end_s;     /* when the answer was complete, on the clock of time_s; NaN: not
                          known */
    int32_t *priority; /* lower values first; 0 where a request has none */
    int32_t *session;  /* equal for the turns of one; -1: in none */
    int32_t num_sessions;
    /* Ids of the blocks that prompts consist of, from their beginnings, `block_tokens`
     * tokens each, the last one perhaps fewer: equal ids are equal prefixes. Row r has
     * blocks[first_block[r]] up to, without, blocks[first_block[r + 1]]. */
    int64_t *first_block;
    int32_t *blocks;
    int32_t num_distinct_blocks;
    int block_tokens;
    /* What the format calls its columns, for messages. */
    const char *time_column, *prompt_column, *output_column;

    /* While it is read. */
    int64_t row_capacity, block_capacity, num_blocks;
    int64_t origin_ns;
    bool has_origin;
    struct vidur_intern session_names, block_names;
};

enum {
    VIDUR_TRACE_LENGTHS = 1u << 0,
    VIDUR_TRACE_TIMES = 1u << 1,
    VIDUR_TRACE_BLOCKS = 1u << 2,    /* where there are some */
    VIDUR_TRACE_SESSIONS = 1u << 3,  /* where there are some */
    VIDUR_TRACE_ENDS = 1u << 4,      /* where there are some; beside times */
    VIDUR_TRACE_PRIORITIES = 1u << 5 /* where there are some */
};
/* All that a file has, which need not be times. */
enum { VIDUR_TRACE_MAY_LACK = 1u << 6, VIDUR_TRACE_ALL = 2 * VIDUR_TRACE_MAY_LACK - 1 };

/* `wanted`: lengths and times must then be there. An empty file, text in a number
 * column and a negative number are errors with the line. Close it after a failure
 * too. */
int vidur_trace_open(struct vidur_trace *trace, const char *path,
                     const struct vidur_trace_options *options, unsigned wanted,
                     struct vidur_error *err);
/* Puts the key that names the file in front of an error that the file has no line for:
 * it cannot be read. Returns -1. */
int vidur_trace_fail(const char *key, struct vidur_error *err);
void vidur_trace_close(struct vidur_trace *trace);

/* `FILE:LINE: COLUMN: ` and the text. Returns -1. */
int vidur_trace_row_fail(const struct vidur_trace *trace, int64_t row,
                         const char *column, struct vidur_error *err, const char *fmt,
                         ...) VIDUR_PRINTF(5, 6);

/* Tokens scaled and cut to an integer, as SIMULATOR.md section 2 does; an error beyond
 * 2^31 - 1. */
int vidur_trace_scale_tokens(const struct vidur_trace *trace, int64_t row,
                             const double factor[2], int64_t tokens[2],
                             struct vidur_error *err);

/* The rows of a part of the log: *first up to, without, *end. */
int vidur_trace_window_of(const struct vidur_trace *trace,
                          const struct vidur_trace_window *window, int64_t *first,
                          int64_t *end, struct vidur_error *err);

/* ---- For formats ---- */

struct vidur_trace_row {
    int line;
    double time_s; /* vidur_trace_seconds */
    double end_s;  /* likewise; NaN: not known */
    int64_t prompt_tokens, output_tokens;
    int32_t session; /* vidur_trace_session, or -1 */
    int32_t priority;
    bool has_priority;
};

/* One of which nothing is known but its line. */
struct vidur_trace_row vidur_trace_row_of(int line);
/* Whether a number can be a priority. */
bool vidur_trace_is_priority(int64_t value);

/* Seconds since the first time that was asked for. */
double vidur_trace_seconds(struct vidur_trace *trace, int64_t time_ns);
/* -1: out of memory, or no name. */
int32_t vidur_trace_session(struct vidur_trace *trace, const char *name);
/* One more block of the prompt of the row that is added next. */
int vidur_trace_add_block(struct vidur_trace *trace, const char *id, size_t length,
                          struct vidur_error *err);
/* A row is left out, with its blocks, where its output is empty. */
int vidur_trace_add(struct vidur_trace *trace, const struct vidur_trace_row *row,
                    struct vidur_error *err);
/* A request that failed. */
void vidur_trace_drop(struct vidur_trace *trace);

/* Sorts by time, and lets times begin at 0 where the format does. */
int vidur_trace_finish(struct vidur_trace *trace, struct vidur_error *err);

#endif
