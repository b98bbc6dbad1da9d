#ifndef VIDUR_TEST_TRACE_FIXTURE_H
#define VIDUR_TEST_TRACE_FIXTURE_H

#include "load/trace.h"
#include "temp_dir.h"

/* Logs of requests given as text, in a file `log` of a folder. */

/* What was read before is closed; `wanted` as vidur_trace_open takes it. */
int trace_open_text(struct vidur_trace *trace, const char *text,
                    const struct vidur_trace_options *options, unsigned wanted,
                    struct vidur_error *err);
/* All that the file has; ends the test where it cannot be read, and prints why. */
void trace_read_text(struct vidur_trace *trace, const char *text,
                     const struct vidur_trace_options *options);
/* `wanted` is refused with a message that has the text in it. */
void trace_assert_refused(const char *text, const struct vidur_trace_options *options,
                          unsigned wanted, const char *message);

/* The folder, from the first of these calls on, and its end. */
struct temp_dir *trace_dir(void);
void trace_dir_remove(void);

#endif
