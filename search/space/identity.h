#ifndef VIDUR_SEARCH_IDENTITY_H
#define VIDUR_SEARCH_IDENTITY_H

#include <vidur/space.h>

/*
 * What makes a candidate and a search the same: content, not names and not prices.
 */

/* Of all that a candidate's simulations can depend on and that is its own: the
 * deployment's every value, the workload's, its files' contents, and the names by which
 * rows tell models and workloads apart. */
uint64_t identity_candidate(const struct vidur_space *space,
                            const struct vidur_candidate *candidate,
                            const struct vidur_deployment *deployment);

/* The same of a candidate of two pools. */
uint64_t identity_fleet(const struct vidur_space *space,
                        const struct vidur_candidate *candidate,
                        const struct vidur_fleet *fleet);

/* Of a cluster's device and node, the devices per node included. */
uint64_t identity_cluster(const struct vidur_search_cluster *cluster);

/* A file's content that results depend on and that the configuration only names. */
struct identity_input {
    char key[64];    /* "clusters.1.device": where the configuration names it */
    char sha256[65]; /* of the values read from it, prices left out */
    char path[1024]; /* for messages; not compared */
};

/* All of a configuration's specs and traces, in its order; *out is the caller's to
 * free. What the estimator reads is told apart by identity_times. */
int identity_inputs(const struct vidur_search_config *config,
                    struct identity_input **out, int *count, struct vidur_error *err);

/* Of all that the space's timetables are made from: by the keys of those that were
 * opened, space->num_tables of 64 characters, or, where `keys` is NULL, from the files
 * as they are now. */
int identity_times(const struct vidur_space *space, const char *const *keys,
                   char sha256[65], struct vidur_error *err);

#endif
