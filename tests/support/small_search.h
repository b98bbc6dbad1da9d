#ifndef VIDUR_SMALL_SEARCH_H
#define VIDUR_SMALL_SEARCH_H

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

#endif
