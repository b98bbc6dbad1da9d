#ifndef VIDUR_SIM_TRACE_CSV_H
#define VIDUR_SIM_TRACE_CSV_H

#include "load/trace.h"

/* Request logs in CSV: what a format calls its columns. */
struct vidur_trace_table {
    const char *time, *prompt, *output;
    const char *session,
        *blocks;           /* NULL: none; a file may lack them, and so may a row */
    const char *time_unit; /* of a time without a date */
    bool time_optional;
};

int vidur_trace_read_table(struct vidur_trace *trace,
                           const struct vidur_trace_table *table,
                           struct vidur_error *err);

#endif
