#ifndef VIDUR_SEARCH_STUDY_H
#define VIDUR_SEARCH_STUDY_H

#include "farm/farm.h"
#include "study/evaluate.h"

#include <vidur/capacity.h>
#include <vidur/results.h>
#include <vidur/space.h>

/*
 * The room search/study. A search as the farm's jobs: capacity, evaluation,
 * confirmation, journal, resumption. Its answer depends on configuration and seed, not
 * on ranks, order or deaths.
 */

/*
 * A search as the farm's jobs: first the timetables, then the candidates that need
 * them. A candidate's path is: the bound on its throughput, then the probes of its
 * capacity search. Rank 0 keeps every result in memory and in the journal, and makes
 * the rows of results.h5 from them.
 */
struct study;

struct study_options {
    int rank, ranks;
    int threads; /* of each rank; 0: as OpenMP decides */
    const struct vidur_log *log;
    /* Rank 0: told the state of things as it changes; may be NULL. `best` is one line
     * about the best candidate so far, "" at first. */
    void (*progress)(void *context, int64_t done, int64_t total, const char *best);
    void *progress_context;
};

/* Every rank makes one, with equal spaces. `space` must outlive it. */
int study_create(struct study **out, const struct vidur_space *space,
                 const struct study_options *options, struct vidur_error *err);
void study_destroy(struct study *study);

/* ---- Rank 0: the journal ---- */

struct study_resumed {
    int64_t candidates; /* finished, kept */
    int64_t probes;     /* kept, of all candidates */
    int64_t cut_bytes;  /* of an unfinished tail, or of what follows damage */
    int64_t given_up;   /* candidates alone in flight at too many deaths */
    int64_t end;        /* bytes kept */
    char damaged[1100]; /* the copy of a damaged journal; "": it was not */
};

/* Starts a journal at `path`, replacing what is there; or goes on with the one that is
 * there. */
int study_begin_journal(struct study *study, const char *path, struct vidur_error *err);
int study_resume_journal(struct study *study, const char *path,
                         struct study_resumed *resumed, struct vidur_error *err);

/* Closes it: `in_order` says that the search ended by itself or on request, so that
 * whatever was in flight is not to blame. */
int study_end_journal(struct study *study, bool in_order, struct vidur_error *err);

/* Closes it and removes its file. */
void study_remove_journal(struct study *study);

/* Bytes that journal and results will take together, about: within a factor of 2. */
int64_t study_expected_bytes(const struct study *study);

/* ---- All ranks: the work ---- */

/* The farm's view; valid as long as the study. `stop` as in struct vidur_farm. */
struct vidur_farm study_farm(struct study *study, volatile int *stop);

/* ---- Rank 0: the results ---- */

struct study_counts {
    int64_t candidates, ok, infeasible, unreachable, invalid, failed;
    int64_t probes;   /* of all paths */
    int64_t borrowed; /* of them, known from another candidate in this session */
    int64_t finished; /* candidates with an answer or a reason for none */
    bool bad_input;   /* a timetable could not be made: the run stops for it */
};

void study_count(const struct study *study, struct study_counts *counts);

/* Fills *results (ranked, Pareto fronts marked, bottlenecks named) but for ranks,
 * threads and elapsed time. */
int study_results(const struct study *study, struct vidur_results *results,
                  struct vidur_error *err);

#endif
