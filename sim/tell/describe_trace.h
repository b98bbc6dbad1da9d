#ifndef VIDUR_SIM_DESCRIBE_TRACE_H
#define VIDUR_SIM_DESCRIBE_TRACE_H

#include "base/text.h"
#include "load/trace.h"

/* What is in a file of requests, as text for a terminal. */

enum { VIDUR_MAX_STORES = 16 };

struct vidur_trace_question {
    const char *path;
    struct vidur_trace_options options;
    int64_t stores[VIDUR_MAX_STORES]; /* blocks, whose hit rates are told */
    int num_stores;
};

/* "1000,20000" into the question; texts of errors start with `--blocks: `. */
int vidur_trace_read_stores(const char *list, struct vidur_trace_question *question,
                            struct vidur_error *err);

int vidur_trace_describe(const struct vidur_trace_question *question,
                         struct vidur_text *out, struct vidur_error *err);

#endif
