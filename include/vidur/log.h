#ifndef VIDUR_LOG_H
#define VIDUR_LOG_H

#include <vidur/error.h>

/*
 * Where the library says what it is doing: a sink that the program gives it.
 *
 * The library never prints. A function that has something to say takes a
 * `const struct vidur_log *`; NULL, or one without a `write`, is silent. `write` gets
 * one line without a trailing newline, which lives until it returns. It may be called
 * by several threads at once where the function that was given the log runs several.
 */

enum vidur_log_level { VIDUR_LOG_WARN = 0, VIDUR_LOG_INFO = 1 };

struct vidur_log {
    void (*write)(void *ctx, enum vidur_log_level level, const char *text);
    void *ctx;
    enum vidur_log_level level; /* messages above it are dropped before formatting */
};

/* Texts are cut at 1023 bytes; control characters in them are escaped. */
void vidur_log_warn(const struct vidur_log *log, const char *fmt, ...)
    VIDUR_PRINTF(2, 3);
void vidur_log_info(const struct vidur_log *log, const char *fmt, ...)
    VIDUR_PRINTF(2, 3);

#endif
