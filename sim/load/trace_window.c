#include "load/trace.h"

/* Which part of a log is replayed. */

static double weight_of(const struct vidur_trace *trace, enum vidur_trace_peak peak,
                        int64_t row)
{
    return peak == VIDUR_TRACE_PEAK_REQUESTS
               ? 1
               : (double)trace->prompt_tokens[row] + trace->output_tokens[row];
}

/* The window of so many seconds that begins with a request and has the most: the first
 * of equal ones. Sums of whole numbers, so exact. */
static void find_peak(const struct vidur_trace *trace,
                      const struct vidur_trace_window *window, int64_t *first,
                      int64_t *end)
{
    const int64_t last = *end;
    int64_t to = *first, best = *first, best_to = *first;
    double sum = 0, most = -1;
    for (int64_t from = *first; from < last; from++) {
        while (to < last && trace->time_s[to] - trace->time_s[from] < window->peak_s)
            sum += weight_of(trace, window->peak, to++);
        if (sum > most) {
            most = sum;
            best = from;
            best_to = to;
        }
        sum -= weight_of(trace, window->peak, from);
    }
    *first = best;
    *end = best_to;
}

int vidur_trace_window_of(const struct vidur_trace *trace,
                          const struct vidur_trace_window *window, int64_t *first,
                          int64_t *end, struct vidur_error *err)
{
    const double begin_s = trace->time_s[0];
    *first = 0;
    *end = trace->num_rows;
    while (*first < *end && trace->time_s[*first] - begin_s < window->start_s)
        (*first)++;
    while (*end > *first && window->end_s > 0 &&
           trace->time_s[*end - 1] - begin_s >= window->end_s)
        (*end)--;
    if (*first == *end)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.time_window: no request of %s from %g s; it ends "
                          "%g s after its first",
                          trace->path, window->start_s,
                          trace->time_s[trace->num_rows - 1] - begin_s);
    if (window->peak != VIDUR_TRACE_WHOLE)
        find_peak(trace, window, first, end);
    return 0;
}
