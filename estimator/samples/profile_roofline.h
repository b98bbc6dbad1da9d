#ifndef VIDUR_PROFILE_ROOFLINE_H
#define VIDUR_PROFILE_ROOFLINE_H

#include <vidur/profile.h>
#include <vidur/shard.h>
#include <vidur/timetable.h>

/*
 * The room estimator/samples. Timed operators as lists of samples, read from profiles
 * or made up by a roofline, and the fit of rooflines to them. It promises finite, non-
 * negative times with a source. Public in profile.h.
 */

/*
 * A profile made up where none was measured: a kernel takes its launch floor plus the
 * longer of FLOPs over reached FLOP/s and bytes over reached bandwidth (Williams et
 * al., "Roofline", CACM 52(4), 2009); a collective takes a latency plus bytes over the
 * link's reached bandwidth (alpha-beta model). Datasheet peaks, efficiencies and floors
 * are those of the device and node SKUs. 2-byte elements.
 */

/*
 * Milliseconds of operator `op` (an index of profile.h) at `features`. NaN for an
 * operator that has no roofline (CPU overheads). Of the request, the model, device,
 * node, TP and multi_node are used. Pure.
 */
double vidur_roofline_ms(const struct vidur_timetable_request *request, int op,
                         const double *features);

/* A message over a node's link, in ms: the alpha-beta model. Pure. */
double vidur_link_ms(const struct vidur_node_sku *node, enum vidur_stage_link link,
                     double bytes);

/*
 * Samples of every operator that the request runs, on a fixed grid: it does not depend
 * on the request's limits, so tables of any size agree where they overlap. Tokens to
 * 2^23, decode batches to 2^12, contexts and prefill chunks to 2^17. *out is released
 * with vidur_profile_free. Thread-safe.
 */
int vidur_profile_roofline(struct vidur_profile **out,
                           const struct vidur_timetable_request *request,
                           struct vidur_error *err);

/* Samples of one operator, which the request must run and a roofline know, on the same
 * grid. `samples` is named and empty. */
int vidur_roofline_sample(struct vidur_samples *samples,
                          const struct vidur_timetable_request *request, int op,
                          struct vidur_error *err);

/* Whether samples come from here, not from a file. */
bool vidur_samples_are_synthetic(const struct vidur_samples *samples);

/* Whether this deployment runs the operator at all; of dense models. */
bool vidur_request_runs(const struct vidur_timetable_request *request,
                        bool cpu_overhead, int op);

#endif
