#include <vidur/log.h>

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

static void log_write(const struct vidur_log *log, enum vidur_log_level level,
                      const char *fmt, va_list args)
{
    if (!log || !log->write || level > log->level)
        return;
    char raw[1024], text[1024];
    vsnprintf(raw, sizeof raw, fmt, args);
    log->write(log->ctx, level, vidur_text_escape(raw, text, sizeof text));
}

void vidur_log_warn(const struct vidur_log *log, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_write(log, VIDUR_LOG_WARN, fmt, args);
    va_end(args);
}

void vidur_log_info(const struct vidur_log *log, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_write(log, VIDUR_LOG_INFO, fmt, args);
    va_end(args);
}
