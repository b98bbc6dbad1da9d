#ifndef VIDUR_SIM_TRACE_CSV_H
#define VIDUR_SIM_TRACE_CSV_H

#include "load/trace.h"

/* Request logs in CSV: what a format calls its columns; NULL: it has none. A file may
 * lack those behind output_tokens, and so may a row, unless the options name them: then
 * the file has them. */
struct vidur_trace_table {
#define X(name) const char *name;
    VIDUR_TRACE_COLUMNS(X)
#undef X
    const char *time_unit; /* of a time without a date */
    bool time_optional;
    bool plain; /* times are numbers and stay what they are */
};

int vidur_trace_read_table(struct vidur_trace *trace,
                           const struct vidur_trace_table *table,
                           struct vidur_error *err);

#endif
