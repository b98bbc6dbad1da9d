#include "drive/sustained.h"

#include <math.h>

/* How many standard deviations chance is given. */
static const double chance_deviations = 2;

/* The share of arrivals that no cold start excuses. */
static const double least_share = 0.5;

/* The second half of the arrivals: from that of request `first` on, which is not
 * counted itself. */
struct window {
    int64_t first;
    double begin_s, end_s;
};

static int64_t count_completed(const struct vidur_request_table *requests,
                               const struct window *w)
{
    int64_t completed = 0;
    for (int64_t i = 0; i < requests->count; i++)
        completed += requests->completed_at_s[i] > w->begin_s &&
                     requests->completed_at_s[i] <= w->end_s;
    return completed;
}

/* Variance of the gaps in parts of their mean squared, and at least 1. */
static double dispersion(const struct vidur_request_table *requests,
                         const struct window *w, int64_t offered)
{
    const double mean_s = (w->end_s - w->begin_s) / (double)offered;
    double sum = 0;
    for (int64_t i = w->first + 1; i < requests->count; i++) {
        const double gap_s =
            requests->arrived_at_s[i] - requests->arrived_at_s[i - 1] - mean_s;
        sum += gap_s * gap_s;
    }
    return fmax(1, sum / ((double)offered * mean_s * mean_s));
}

/* Requests that a cluster busy from long before would have completed in the window. */
static double cold_start(const struct vidur_request_table *requests,
                         const struct window *w, int64_t offered)
{
    const double before_s = w->begin_s - requests->arrived_at_s[0];
    double over_s = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < requests->count; i++) {
        const double served_s =
            requests->completed_at_s[i] - requests->scheduled_at_s[i];
        count += !isnan(served_s);
        over_s += served_s > before_s ? served_s - before_s : 0;
    }
    return count ? over_s / (double)count * (double)offered / (w->end_s - w->begin_s)
                 : 0;
}

void vidur_judge_sustained(const struct vidur_request_table *requests, double fraction,
                           struct vidur_sustained *out)
{
    *out = (struct vidur_sustained){.kept_up = true};
    if (requests->count < 2)
        return;
    struct window w = {.first = requests->count / 2};
    w.begin_s = requests->arrived_at_s[w.first];
    w.end_s = requests->arrived_at_s[requests->count - 1];
    out->offered = requests->count - 1 - w.first;
    if (!(w.end_s > w.begin_s))
        return;
    const double offered = (double)out->offered;
    out->served = count_completed(requests, &w);
    const double expected =
        fmax(least_share * offered, offered - cold_start(requests, &w, out->offered));
    const double chance =
        chance_deviations * sqrt(offered * dispersion(requests, &w, out->offered));
    out->needed = fraction > 0 ? fraction * expected : expected - chance;
    out->kept_up = (double)out->served >= out->needed;
}
