#ifndef VIDUR_SEARCH_STUDY_PARTS_H
#define VIDUR_SEARCH_STUDY_PARTS_H

#include "study/journal.h"
#include "study/study.h"

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

/* What a search of two pools for a target is at: study_target.c. */
enum study_phase { STUDY_BOTH, STUDY_FEWER_FIRST, STUDY_FEWER_SECOND };

/* A job's state, sent between ranks. */
struct study_state {
    int64_t candidate; /* -1: the job is a table */
    int64_t num_requests;
    int32_t replication;
    int32_t growths;      /* how often the number of requests has grown */
    int32_t first_stride; /* of the search, in points */
    bool ended;           /* by a record of its end, or a table that is open */
    bool anchored;        /* `capacity` has begun */
    /* loads: QPS, or users of a closed loop */
    double start_qps;  /* a neighbour's answer; 0: none, a pilot finds one */
    double bound_qps;  /* known once anchored */
    double pass_e2e_s; /* mean, at the highest load that passed */
    double last_qps;   /* the answer with fewer requests, of a replica; 0: none */
    /* of two pools */
    double weights[2]; /* behind one router */
    double needed[2];  /* struct vidur_candidate */
    /* replicas: that carry a target (first 0: none so far), those of the stair below
     * that do not, and where the search begins (first 0: no telling) */
    struct vidur_pool_counts best, failed, from;
    int32_t phase;               /* enum study_phase */
    bool exhausted, unreachable; /* as of an answer */
    bool hopeless;               /* a replica carries nothing alone */
    struct vidur_capacity capacity;
};

_Static_assert(sizeof(struct study_state) <= VIDUR_FARM_MAX_STATE_BYTES,
               "raise VIDUR_FARM_MAX_STATE_BYTES");

/* Rank 0: all that is known of one capacity search. The first paths are the candidates'
 * own, in their order; behind them are those of further replications. */
struct study_path {
    int64_t candidate;
    int replication;
    int64_t next; /* the path of the candidate's next replication; -1: none */
    /* Where study->held has the next replication, as a journal told of it; -1: that is
     * a path, or there is none. */
    int64_t next_held;
    struct evaluator_probed *probes; /* in the path's order */
    int num_probes, max_probes;
    struct evaluator_bound bound; /* qps 0: not known */
    int num_steps;                /* bound and probes recorded */
    bool leased;                  /* given out in this session */
    bool leased_alone;            /* with nothing else in flight */
    bool alone;                   /* to be run so in this session: a suspect */
    bool finished;
    char *failure;     /* why it was given up; NULL */
    bool suspect;      /* was in flight at a death, ... */
    int suspect_steps; /* ... with so many steps recorded: one more clears it */
    int lone_deaths;   /* that it was alone in flight at, in a row at that step */
    struct vidur_capacity_answer answer; /* once finished */
    int64_t num_requests;                /* that the answer was found with */
    struct vidur_pool_counts best;       /* of two pools with a target: the answer */
};

struct study {
    const struct vidur_space *space;
    const struct vidur_search_config *config;
    struct study_options options;
    struct evaluator *evaluator;
    /* rank 0 */
    struct vidur_farm_job *jobs; /* tables, then paths */
    struct study_path *paths;
    int64_t num_paths, max_paths;
    struct study_path *held; /* an earlier session's replications, see below */
    int64_t num_held;
    struct evaluator_table *tables;
    struct journal *journal;
    bool sync; /* something finished since the last commit */
    double committed_s;
    int64_t num_finished, num_probes, num_borrowed;
    bool bad_input;
    double best_qps_per_dollar;
    double best_qps_per_gpu; /* among those without a price */
    char best[160];
};

/* The path of a candidate's replication, which is made if there is none yet (then all
 * before it are, too), with all that was held back for it; -1: error. */
int64_t study_add_path(struct study *study, int64_t candidate, int replication,
                       struct vidur_error *err);

/*
 * Holds back the replications that a journal has brought, until the ranking asks for
 * them as it did then. A ranking by some of a candidate's seeds is not one that a
 * search left in peace ever sees: it would choose other candidates.
 */
int study_hold_replications(struct study *study, struct vidur_error *err);

/* The farm's jobs to begin with; again once a journal was read. */
int study_list_jobs(struct study *study, struct vidur_error *err);

/* study_confirm.c: once all paths are finished, those that are to be searched with more
 * seeds get paths for them. */
int study_add_replications(struct study *study, struct vidur_error *err);

/* The finished replications of a candidate. The one with the median of their answers
 * speaks for it; where a target is to be met, the one that needs most replicas. */
struct study_replications {
    int count;
    int64_t speaker;          /* the path whose answer is the candidate's */
    double low_qps, high_qps; /* 0: that seed finds no load */
};
void study_find_replications(const struct study *study, int64_t candidate,
                             struct study_replications *out);

/* Journal records. */
int study_note_table(struct study *study, int table, struct vidur_error *err);
int study_note_lease(struct study *study, int64_t path, struct vidur_error *err);
int study_note_result(struct study *study, int64_t path,
                      const struct study_result *result, struct vidur_error *err);
/* The rank that had it in flight is gone. */
int study_note_lost(struct study *study, int64_t path, struct vidur_error *err);
int study_note_finish(struct study *study, int64_t path, struct vidur_error *err);

/* Whether the candidate's load is the users of a closed loop. */
bool study_is_closed(const struct study *study, int64_t candidate);

/* What a probe offered, and its unit: QPS, or users. */
static inline double study_offered(const struct vidur_probe_row *row)
{
    return row->users > 0 ? (double)row->users : row->qps;
}

static inline const char *study_load_unit(const struct vidur_probe_row *row)
{
    return row->users > 0 ? "users" : "QPS";
}

/* Keeps a result in memory. */
int study_keep_result(struct study *study, int64_t path,
                      const struct study_result *result, struct vidur_error *err);

/* ---- study_path.c ---- */

/* The farm's functions. */
bool study_next(void *context, const void *state, uint64_t *step);
void study_tell(void *context, void *state, const void *result);
bool study_suppose(void *context, const void *state, int which, void *after);
int study_run(void *context, const struct vidur_farm_step *at,
              const struct vidur_farm_pulse *pulse, void *result,
              struct vidur_error *err);

/* From the bound, and a neighbour's answer where one is known, to the first load. */
void study_take_bound(const struct study *study, struct study_state *state,
                      const struct evaluator_bound *bound);
/* Another search of two pools, from the counts that carried a target before. */
void study_begin_again(struct study_state *state, struct vidur_pool_counts from);
/* The first load of a state whose bound, start, stride and requests are set. */
void study_begin_capacity(const struct study *study, struct study_state *state);

/* ---- study_target.c ---- */

/* Replicas of the next probe; without a target the candidate's own. */
struct vidur_pool_counts study_target_counts(const struct study *study,
                                             const struct study_state *state);
/* How far a search of two pools for a target may go, and where it begins. */
void study_aim_pools(const struct study *study, const struct study_state *state,
                     struct vidur_capacity_options *options);
/* At the end of a search for a target: goes on with another count; false: all is
 * found. */
bool study_target_goes_on(const struct study *study, struct study_state *state);
/* The load of one replica of so many that carry a target; of two pools, of a GPU. */
double study_load_of(const struct study *study, int64_t candidate,
                     struct vidur_pool_counts counts);
/* A probe's replicas. */
struct vidur_pool_counts study_counts(const struct vidur_probe_row *row);
/* Where a state has got to. */
void study_answer(const struct study *study, const struct study_state *state,
                  struct vidur_capacity_answer *answer);

/* ---- study_path.c ---- */

/* What the next probe simulates. */
struct evaluator_load study_load(const struct study *study,
                                 const struct study_state *state);

/* The probe that is a finished path's answer; NULL: none. */
const struct evaluator_probed *study_best_probe(const struct study *study,
                                                int64_t path);
/* Replicas that a path's answer rents, or the candidate's own, and USD per hour. */
struct vidur_pool_counts study_path_counts(const struct study *study, int64_t path);
double study_usd_per_hour(const struct study *study, int64_t path);

/* The rows of all candidates, ranked, and which candidate each is of
 * ([num_candidates]).
 */
int study_rank(const struct study *study, struct vidur_ranking_row *rows,
               int64_t *order, struct vidur_error *err);

/* ---- study_pools.c: two pools ---- */

struct work_estimate;

/* A row's columns about a second pool. */
void study_fill_pools(const struct study *study, int64_t path,
                      struct vidur_ranking_row *row);
/* And those about what is added to GPUs that are paid for. */
void study_fill_added(const struct study *study, int64_t path,
                      struct vidur_ranking_row *row);
/* Why two pools were not simulated at all, where that is so. */
void study_explain_pools(const struct study *study, int64_t path,
                         struct vidur_ranking_row *row);
/* As work_estimate, of all GPUs of both. */
void study_estimate_pools(const struct study *study, int64_t candidate,
                          const struct evaluator_probed *probe,
                          struct work_estimate *estimate);

/* What a report shows beside the rows. */
int study_add_facts(const struct study *study, struct vidur_results *results,
                    struct vidur_error *err);

#endif
