#ifndef VIDUR_SEARCH_STUDY_PARTS_H
#define VIDUR_SEARCH_STUDY_PARTS_H

#include "journal.h"
#include "study.h"

/* What the files study*.c share. */

/* One step's result, sent between ranks. */
enum study_step { STUDY_TABLE, STUDY_BOUND, STUDY_PROBE };

struct study_result {
    int64_t kind;
    union {
        struct evaluator_bound bound;
        struct evaluator_table table;
        struct evaluator_probed probed;
    };
};

_Static_assert(sizeof(struct study_result) <= VIDUR_FARM_MAX_RESULT_BYTES,
               "raise VIDUR_FARM_MAX_RESULT_BYTES");

/* A job's state, sent between ranks. */
struct study_state {
    int64_t candidate; /* -1: the job is a table */
    bool ended;        /* by a record of its end, or a table that is open */
    bool anchored;     /* `capacity` has begun */
    double start_qps;  /* a neighbour's answer; 0: none, a pilot finds one */
    struct vidur_capacity capacity;
};

_Static_assert(sizeof(struct study_state) <= VIDUR_FARM_MAX_STATE_BYTES,
               "raise VIDUR_FARM_MAX_STATE_BYTES");

/* Rank 0: all that is known of a candidate. */
struct study_candidate {
    struct evaluator_probed *probes; /* in the path's order */
    int num_probes, max_probes;
    struct evaluator_bound bound; /* qps 0: not known */
    int num_steps;                /* bound and probes recorded */
    bool leased;                  /* given out in this session */
    bool finished;
    char *failure; /* why it was given up; NULL */
    int strikes;   /* deaths in a row at the same step */
    int strike_steps;
    struct vidur_capacity_answer answer; /* once finished */
};

struct study {
    const struct vidur_space *space;
    const struct vidur_search_config *config;
    struct study_options options;
    struct evaluator *evaluator;
    /* rank 0 */
    struct vidur_farm_job *jobs;
    int64_t num_jobs;
    struct study_candidate *candidates;
    struct evaluator_table *tables;
    struct journal *journal;
    bool sync; /* something finished since the last commit */
    double committed_s;
    int64_t num_finished, num_probes, num_borrowed;
    bool bad_input;
    double best_qps_per_dollar;
    char best[160];
};

/* Journal records. */
int study_note_session(struct study *study, struct vidur_error *err);
int study_note_table(struct study *study, int table, struct vidur_error *err);
int study_note_lease(struct study *study, int64_t candidate, struct vidur_error *err);
int study_note_result(struct study *study, int64_t candidate,
                      const struct study_result *result, struct vidur_error *err);
/* The rank that had it in flight is gone. */
int study_note_lost(struct study *study, int64_t candidate, struct vidur_error *err);
int study_note_finish(struct study *study, int64_t candidate, struct vidur_error *err);

/* Keeps a result in memory. */
int study_keep_result(struct study *study, int64_t candidate,
                      const struct study_result *result, struct vidur_error *err);

/* The state machine; pure. */
bool study_next(void *context, const void *state, uint64_t *step);
void study_tell(void *context, void *state, const void *result);

/* The probe that is a finished candidate's answer, and the one that broke an SLO just
 * above it; NULL: none. */
const struct vidur_probe_row *study_best_row(const struct study *study,
                                             int64_t candidate);
const struct vidur_probe_row *study_limiting_row(const struct study *study,
                                                 int64_t candidate);

/* One ranking row, without rank, Pareto flag and bottleneck. */
void study_fill_row(const struct study *study, int64_t candidate,
                    struct vidur_ranking_row *row);

/* What a report shows beside the rows. */
int study_add_facts(const struct study *study, struct vidur_results *results,
                    struct vidur_error *err);

#endif
