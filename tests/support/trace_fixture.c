#include "trace_fixture.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

static struct temp_dir folder;
static bool is_made;

struct temp_dir *trace_dir(void)
{
    if (!is_made)
        temp_dir_make(&folder);
    is_made = true;
    return &folder;
}

void trace_dir_remove(void)
{
    if (is_made)
        temp_dir_remove(&folder);
    is_made = false;
}

int trace_open_text(struct vidur_trace *trace, const char *text,
                    const struct vidur_trace_options *options, unsigned wanted,
                    struct vidur_error *err)
{
    const struct temp_path path = temp_dir_write(trace_dir(), "log", text);
    *err = (struct vidur_error){0};
    vidur_trace_close(trace);
    return vidur_trace_open(trace, path.text, options, wanted, err);
}

void trace_read_text(struct vidur_trace *trace, const char *text,
                     const struct vidur_trace_options *options)
{
    struct vidur_error err;
    const int status = trace_open_text(trace, text, options, VIDUR_TRACE_ALL, &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

void trace_assert_refused(const char *text, const struct vidur_trace_options *options,
                          unsigned wanted, const char *message)
{
    struct vidur_error err;
    struct vidur_trace trace = {0};
    const int status = trace_open_text(&trace, text, options, wanted, &err);
    const bool found = strstr(err.text, message) != NULL;
    vidur_trace_close(&trace);
    CU_ASSERT_EQUAL(status, -1);
    if (!found)
        printf("\n  wanted '%s', got '%s'\n", message, err.text);
    CU_ASSERT(found);
}
