#ifndef VIDUR_SMALL_SEARCH_H
#define VIDUR_SMALL_SEARCH_H

#include "study/session.h"

#include <vidur/space.h>

/*
 * A small search for tests, in a temporary folder of the calling program: two chains of
 * batch sizes for each of two schedulers, 1,000 uniform requests, no cache of tables.
 */

/* Writes the configuration and returns its path. `more` are lines behind it. */
const char *small_search_config(const char *more);

/* A file in the same folder. */
const char *small_search_path(const char *name);

/* Loads it and builds its space; fails the test when it cannot. */
void small_search_build(const char *more, struct vidur_search_config *config,
                        struct vidur_space *space);

/* Runs it with settings, on one rank and thread; the results' file is r.h5. */
void small_search_run(const char *more, const char *const *sets, int num_sets,
                      struct session_outcome *outcome);
/* The same; ends the test where it is not completed, and prints why. */
void small_search_done(const char *more, const char *const *sets, int num_sets,
                       struct session_outcome *outcome);

#endif
