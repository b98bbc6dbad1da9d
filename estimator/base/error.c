#include <vidur/error.h>

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef vidur_fail /* what the analyzer is told in its place */
int vidur_fail(struct vidur_error *err, enum vidur_error_code code, const char *fmt,
               ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        char raw[sizeof err->text]; /* may hold names from anywhere */
        vsnprintf(raw, sizeof raw, fmt, args);
        va_end(args);
        err->code = code;
        vidur_text_escape(raw, err->text, sizeof err->text);
    }
    return -1;
}

int vidur_fail_prefix(struct vidur_error *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    struct vidur_error old = *err;
    va_list args;
    va_start(args, fmt);
    char raw[sizeof err->text];
    vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    vidur_text_escape(raw, err->text, sizeof err->text);
    const size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %s", old.text);
    return -1;
}
