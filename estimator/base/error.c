#include <vidur/error.h>

#include <stdarg.h>
#include <stdio.h>

int vidur_fail(struct vidur_error *err, enum vidur_error_code code, const char *fmt,
               ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
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
    int n = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->text)
        snprintf(err->text + n, sizeof err->text - (size_t)n, ": %s", old.text);
    return -1;
}
