/* Logs of requests: whatever is read has times in order and lengths and blocks that are
 * there; whatever is not is told with the file. */

#define _GNU_SOURCE /* memfd_create */

#include "fuzz.h"

#include "load/trace_format.h"
#include "tell/prefix_hits.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALL = VIDUR_TRACE_ALL };

static void check_row(const struct vidur_trace *trace, int64_t row)
{
    VIDUR_FUZZ_REQUIRE(trace->prompt_tokens[row] >= 0);
    VIDUR_FUZZ_REQUIRE(trace->output_tokens[row] >= !trace->format->keeps_times);
    VIDUR_FUZZ_REQUIRE(trace->line[row] >= 1);
    if (trace->time_s) {
        VIDUR_FUZZ_REQUIRE(isfinite(trace->time_s[row]));
        VIDUR_FUZZ_REQUIRE(row == 0 || trace->time_s[row] >= trace->time_s[row - 1]);
    }
    if (trace->end_s && trace->time_s)
        VIDUR_FUZZ_REQUIRE(!(trace->end_s[row] < trace->time_s[row]));
    if (trace->session)
        VIDUR_FUZZ_REQUIRE(trace->session[row] >= -1 &&
                           trace->session[row] < trace->num_sessions);
    for (int64_t i = trace->blocks ? trace->first_block[row] : 0;
         trace->blocks && i < trace->first_block[row + 1]; i++)
        VIDUR_FUZZ_REQUIRE(trace->blocks[i] >= 0 &&
                           trace->blocks[i] < trace->num_distinct_blocks);
}

static void read_as(const char *path, const char *format)
{
    struct vidur_trace trace;
    struct vidur_trace_options options = {0};
    struct vidur_error err = {0};
    struct vidur_prefix_hits hits;
    snprintf(options.format, sizeof options.format, "%s", format);
    if (vidur_trace_open(&trace, path, &options, ALL, &err) == 0) {
        VIDUR_FUZZ_REQUIRE(trace.num_rows > 0);
        for (int64_t row = 0; row < trace.num_rows; row++)
            check_row(&trace, row);
        VIDUR_FUZZ_REQUIRE(vidur_prefix_hits_of(&trace, 2, &hits, &err) == 0);
        VIDUR_FUZZ_REQUIRE(hits.hits <= hits.blocks);
    } else {
        VIDUR_FUZZ_REQUIRE(strncmp(err.text, path, strlen(path)) == 0);
    }
    vidur_trace_close(&trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"", "access_log"};
    const int fd = memfd_create("trace", 0);
    char path[64];
    VIDUR_FUZZ_REQUIRE(fd >= 0);
    VIDUR_FUZZ_REQUIRE(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        read_as(path, formats[i]);
    close(fd);
    return 0;
}
