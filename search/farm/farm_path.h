#ifndef VIDUR_SEARCH_FARM_PATH_H
#define VIDUR_SEARCH_FARM_PATH_H

#include "farm/farm.h"

#include <stdalign.h>

/*
 * One job in flight, as rank 0 sees it: how far its path has come, which of its steps
 * run where, and results that came before the path asked for them. Belongs to one
 * thread.
 */

enum { FARM_NOBODY = -1 };

struct farm_flight {
    int rank;
    uint64_t step;
};

/* A result that waits for the path to ask for it. */
struct farm_known {
    uint64_t step;
    bool failed; /* `body` is a struct vidur_error */
    unsigned char *body;
};

/* What came of a step: a result, or the error of a failed one. */
struct farm_outcome {
    uint64_t step;
    bool failed;
    const void *body;
    size_t bytes;
};

struct farm_path {
    const struct vidur_farm *farm;
    int64_t job;
    int owner;    /* the rank that works on the whole of it, or FARM_NOBODY */
    bool in_line; /* in the leader's line of paths whose next step nobody runs */
    bool ended;
    struct farm_flight *flights;
    int num_flights, max_flights;
    struct farm_known *known;
    int num_known, max_known;
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
};

void farm_path_init(struct farm_path *path, const struct vidur_farm *farm);
void farm_path_fini(struct farm_path *path);

int farm_path_fly(struct farm_path *path, int rank, uint64_t step,
                  struct vidur_error *err);
/* Forgets that the rank runs the step. */
void farm_path_land(struct farm_path *path, int rank, uint64_t step);

/* Keeps a copy. */
int farm_path_store(struct farm_path *path, const struct farm_outcome *outcome,
                    struct vidur_error *err);
/* The result of a step, or NULL. */
const struct farm_known *farm_path_lookup(const struct farm_path *path, uint64_t step);

/*
 * The nearest step that is neither known nor flying: the one the path needs, then,
 * up to `ahead` outcomes on, those that it may need. `state` (may be NULL) gets the
 * state that asks for it. False: there is none.
 */
bool farm_path_want(const struct farm_path *path, int ahead, uint64_t *step,
                    void *state);

#endif
