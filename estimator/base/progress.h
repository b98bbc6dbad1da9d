#ifndef VIDUR_BASE_PROGRESS_H
#define VIDUR_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

/*
 * A progress line on a stream: done/total, rate, time left, and a text of the caller's.
 * On a terminal it is rewritten in place, at most ten times a second; elsewhere it is a
 * new line every ten seconds; quiet, it is nothing. Belongs to one thread.
 */

enum vidur_progress_mode {
    VIDUR_PROGRESS_QUIET,
    VIDUR_PROGRESS_LINES,
    VIDUR_PROGRESS_TERMINAL
};

struct vidur_progress {
    FILE *out;
    enum vidur_progress_mode mode;
    const char *unit; /* what is counted: "candidates" */
    double start_s, shown_s;
    int width; /* of the line now on the terminal */
};

/* The mode follows the stream: a terminal or not. */
void vidur_progress_start(struct vidur_progress *progress, FILE *out, bool quiet,
                          const char *unit);
/* total <= 0: unknown. `text` may be NULL. */
void vidur_progress_update(struct vidur_progress *progress, long done, long total,
                           const char *text);
/* Clears the line on a terminal, so that a message can be printed. */
void vidur_progress_clear(struct vidur_progress *progress);

/* The same with the time given (seconds of a monotonic clock): for tests. The caller
 * sets `unit` first. */
void vidur_progress_start_at(struct vidur_progress *progress, FILE *out,
                             enum vidur_progress_mode mode, double now_s);
void vidur_progress_update_at(struct vidur_progress *progress, long done, long total,
                              const char *text, double now_s);

/* Seconds of the monotonic clock. */
double vidur_monotonic_s(void);

#endif
