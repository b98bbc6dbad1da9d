#ifndef VIDUR_SIM_ARRIVALS_H
#define VIDUR_SIM_ARRIVALS_H

#include "load/draws.h"

#include <vidur/workload.h>

struct vidur_yaml_field;

struct vidur_loaded_gaps {
    double *gaps; /* on the heap */
    int64_t count;
    int64_t num_failed, num_unsorted; /* see struct vidur_trace */
};

/*
 * Arrival processes: the seconds between requests. Each is one entry of the table in
 * arrivals.c; to add one, add its functions and its entry.
 *
 * A process with a rate draws gaps for one request per second, which `gap` scales to a
 * rate: so every load of a search sees the same random numbers. One without a rate
 * takes its gaps from a file or has none to take.
 */
struct vidur_arrivals_policy {
    const char *name;
    bool has_rate;
    bool is_closed;    /* requests follow completions: config->concurrency clients */
    bool in_reference; /* `seeds: reference` covers it */
    const struct vidur_yaml_field *fields;
    /* Keys that are wrong together or alone; may be NULL. */
    int (*check)(const struct vidur_arrivals_config *config, struct vidur_error *err);
    /* The next gap before scaling; NULL for a process without randomness. */
    double (*draw)(const struct vidur_arrivals_config *config,
                   struct vidur_draws *draws);
    /* The gap in seconds at config->qps; NULL: as drawn or loaded. */
    double (*gap)(const struct vidur_arrivals_config *config, double drawn);
    /* Gaps of a file; NULL: endless. */
    int (*load)(const struct vidur_arrivals_config *config,
                struct vidur_loaded_gaps *out, struct vidur_error *err);
};

/* NULL if there is none of that name. */
const struct vidur_arrivals_policy *vidur_arrivals_find(const char *name);

/* Texts start with `workload.arrivals.`. */
int vidur_arrivals_check(const struct vidur_arrivals_config *config,
                         struct vidur_error *err);

/* start_time and end_time of recorded ones. */
int vidur_arrivals_check_range(const struct vidur_arrivals_config *config,
                               struct vidur_error *err);

#endif
