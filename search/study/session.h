#ifndef VIDUR_SEARCH_SESSION_H
#define VIDUR_SEARCH_SESSION_H

#include "farm/farm.h"
#include "study/study.h"

#include <vidur/log.h>
#include <vidur/results.h>

/*
 * One run of vidur-search, from the configuration's path to results.h5, on every rank
 * of it.
 */

/* How ranks work together: over MPI, or one alone. */
struct session_team {
    int rank, ranks;
    void *context; /* of agree */
    /* Every rank says whether it failed: the first that did, or -1. Called by all. */
    int (*agree)(void *context, bool failed);
    int (*run)(const struct vidur_farm *farm, struct vidur_farm_stats *stats,
               struct vidur_error *err);
};

/* A team of one. */
struct session_team session_alone(void);

struct session_options {
    const char *config_path;
    const char *config_text; /* NULL: read from config_path, which else only names it */
    const struct vidur_error *refused; /* the configuration could not be had: why */
    const char *const *sets;
    int num_sets;
    const char *output; /* results.h5; the journal is beside it */
    bool resume;
    int64_t shard, num_shards; /* 0 of 1: the whole space */
    int threads;               /* of each rank; 0: as OpenMP decides */
    volatile int *stop;        /* set by signals */
    const struct vidur_log *log;
    void (*progress)(void *context, int64_t done, int64_t total, const char *best);
    void *progress_context;
};

enum session_status {
    SESSION_DONE = 0,
    SESSION_BAD_INPUT = 1,     /* nothing was written */
    SESSION_NOT_COMPLETED = 2, /* what was finished is kept */
    SESSION_INTERRUPTED = 3,   /* can be resumed */
    SESSION_ALREADY_DONE = 4   /* --resume of a search whose results are complete */
};

struct session_outcome {
    enum session_status status; /* the same on every rank */
    bool speaks;                /* this rank is the one to report *err */
    bool abandoned;             /* some rank did not answer: end the others by force */
    struct vidur_error error;
    /* rank 0, when results were written */
    bool written;
    struct vidur_results results;
    struct study_counts counts;
    struct vidur_farm_stats farm;
};

void session_run(const struct session_team *team, const struct session_options *options,
                 struct session_outcome *outcome);
void session_release(struct session_outcome *outcome);

#endif
