#ifndef VIDUR_SIM_SUSTAINED_H
#define VIDUR_SIM_SUSTAINED_H

#include <vidur/metrics.h>
#include <vidur/scheduler.h>

/*
 * Whether a run kept up with its load: an overload that no SLO notices (one on TPOT,
 * say, leaves the queue out) must not pass for capacity.
 *
 * Over the second half of the arrivals, requests that were completed are held against
 * those that arrived. Fewer are forgiven for two reasons: chance, two standard
 * deviations of the number of arrivals (from the spread of their gaps, and at least
 * that of a Poisson process); and the cold start, since requests that stay longer than
 * the first half took cannot have been completed by a cluster that began empty. Half of
 * the arrivals must be served in any case. A fraction that was asked for takes the
 * place of chance.
 *
 * A run whose requests all arrive at once has no load to keep up with and passes.
 */
void vidur_judge_sustained(const struct vidur_request_table *requests, double fraction,
                           struct vidur_sustained *out);

#endif
