#ifndef VIDUR_SIM_WORKLOAD_STATE_H
#define VIDUR_SIM_WORKLOAD_STATE_H

#include "load/arrivals.h"
#include "load/lengths.h"
#include "load/priority_levels.h"
#include "load/prompt_tree.h"
#include "sessions/sessions.h"

#include <vidur/workload.h>

struct vidur_mix;

/* What a workload owns, for the files that make one. */

/* What a rate does to the arrivals. */
enum scaling {
    UNSCALED,
    SCALE_GAPS,    /* each gap of the process */
    SCALE_RECORDED /* all times, so that the mean rate is the one asked for */
};

struct vidur_workload_state {
    enum scaling scaling;
    struct vidur_workload_config config;          /* as created, qps as offered now */
    const struct vidur_arrivals_policy *arrivals; /* NULL: replay */
    struct vidur_mt19937 reference;
    struct vidur_lengths lengths; /* open while drawing */
    struct vidur_mix *mix;        /* likewise, instead; NULL: none */
    struct vidur_draws draws;     /* of the gaps */
    int64_t capacity;
    double *gaps; /* as drawn, before the rate scales them; SCALE_RECORDED: times */
    double *arrived_at_s;
    int32_t *prefill;
    int32_t *decode;
    bool *is_cut;
    uint8_t *class_of; /* of a mix, or by priorities of a log */
    struct vidur_priority_levels levels;
    int32_t *prompt;               /* shared_prefix: of each request */
    struct vidur_prompt_tree tree; /* of a replay, where the log has blocks */
    struct vidur_session_table sessions;
};

/* Arrays that grow. */
int workload_resize(void **array, int64_t count, size_t size, struct vidur_error *err);
int workload_reserve(struct vidur_workload *workload, int64_t count,
                     struct vidur_error *err);

/* Fills a workload from the rows of a log. */
int workload_replay(struct vidur_workload *workload, struct vidur_error *err);
/* Or with sessions, all planned before the run. */
int workload_plan_sessions(struct vidur_workload *workload, struct vidur_error *err);

/* The gap at the rate of now, of one as drawn. */
double workload_gap_s(const struct vidur_workload_state *state, double drawn);

/* Has the arrivals scaled from what they are now, unless all are at one time. */
void workload_record(struct vidur_workload *workload);
/* The mean rate of the first requests as recorded, or of all where those come at once;
 * of sessions that of their starts times their mean number of requests.
 * Prompts in a cycle are drawn at a rate of 1. */
double workload_recorded_qps(const struct vidur_workload *workload, int64_t count);

#endif
