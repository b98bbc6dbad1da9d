#include "base/progress.h"

#include "base/text.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double TERMINAL_PERIOD_S = 0.1;
static const double LINES_PERIOD_S = 10;

double vidur_monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* "1:02:03", "2:03" */
static void format_duration(double seconds, char *out, size_t size)
{
    const long s = seconds < 1e8 ? lround(seconds) : 100000000;
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

struct state {
    long done, total;
    const char *text;
    double elapsed_s;
};

static void format_line(const struct vidur_progress *progress,
                        const struct state *state, char *out, size_t size)
{
    char total[32] = "", left[48] = "", duration[24];
    const double rate =
        state->elapsed_s > 0 ? (double)state->done / state->elapsed_s : 0;
    if (state->total > 0)
        snprintf(total, sizeof total, "/%ld", state->total);
    if (state->total > 0 && state->done >= state->total) {
        format_duration(state->elapsed_s, duration, sizeof duration);
        snprintf(left, sizeof left, ", took %s", duration);
    } else if (state->total > 0 && rate > 0) {
        format_duration((double)(state->total - state->done) / rate, duration,
                        sizeof duration);
        snprintf(left, sizeof left, ", %s left", duration);
    }
    const bool has_text = state->text && state->text[0];
    snprintf(out, size, "%ld%s %s, %.3g/s%s%s%s", state->done, total, progress->unit,
             rate, left, has_text ? ", " : "",
             has_text ? vidur_text_show(state->text).text : "");
}

static void show(struct vidur_progress *progress, const struct state *state)
{
    char line[256];
    format_line(progress, state, line, sizeof line);
    if (progress->mode == VIDUR_PROGRESS_TERMINAL) {
        const int width = (int)strlen(line);
        const int blanks = progress->width > width ? progress->width - width : 0;
        fprintf(progress->out, "\r%s%*s", line, blanks, "");
        progress->width = width;
    } else {
        fprintf(progress->out, "%s\n", line);
    }
    fflush(progress->out);
}

void vidur_progress_start_at(struct vidur_progress *progress, FILE *out,
                             enum vidur_progress_mode mode, double now_s)
{
    progress->out = out;
    progress->mode = mode;
    progress->start_s = now_s;
    progress->shown_s = now_s;
    progress->width = 0;
}

void vidur_progress_start(struct vidur_progress *progress, FILE *out, bool quiet,
                          const char *unit)
{
    enum vidur_progress_mode mode = VIDUR_PROGRESS_LINES;
    if (quiet)
        mode = VIDUR_PROGRESS_QUIET;
    else if (isatty(fileno(out)))
        mode = VIDUR_PROGRESS_TERMINAL;
    progress->unit = unit;
    vidur_progress_start_at(progress, out, mode, vidur_monotonic_s());
}

void vidur_progress_update_at(struct vidur_progress *progress, long done, long total,
                              const char *text, double now_s)
{
    const bool terminal = progress->mode == VIDUR_PROGRESS_TERMINAL;
    const double period_s = terminal ? TERMINAL_PERIOD_S : LINES_PERIOD_S;
    if (progress->mode == VIDUR_PROGRESS_QUIET || now_s - progress->shown_s < period_s)
        return;
    progress->shown_s = now_s;
    show(progress, &(struct state){done, total, text, now_s - progress->start_s});
}

void vidur_progress_update(struct vidur_progress *progress, long done, long total,
                           const char *text)
{
    if (progress->mode != VIDUR_PROGRESS_QUIET)
        vidur_progress_update_at(progress, done, total, text, vidur_monotonic_s());
}

void vidur_progress_clear(struct vidur_progress *progress)
{
    if (progress->mode != VIDUR_PROGRESS_TERMINAL || progress->width == 0)
        return;
    fprintf(progress->out, "\r%*s\r", progress->width, "");
    fflush(progress->out);
    progress->width = 0;
}
