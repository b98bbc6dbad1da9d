#ifndef VIDUR_SEARCH_EVALUATE_PARTS_H
#define VIDUR_SEARCH_EVALUATE_PARTS_H

#include "results/slo_columns.h"
#include "study/evaluate.h"

#include <vidur/simulator.h>

/* What the files evaluate*.c share. */

/* What a replica of a pool comes to alone, once it was measured. */
struct evaluator_alone {
    int64_t candidate; /* that it is a pool of */
    int pool;
    double bound_qps;
    int64_t in_flight;
    double best_load; /* QPS, or users; 0: none passed */
    double capacity_qps;
};

/* A workload as another seed draws it. */
struct replicate {
    int trace, replication;
    struct vidur_workload *workload;
};

struct evaluator {
    const struct vidur_space *space;
    struct evaluator_options options;
    struct vidur_estimator_config estimator;
    const struct evaluator_pulse *pulse;
    struct vidur_workload **workloads; /* by trace */
    struct replicate *replicates;      /* drawn so far */
    int num_replicates;
    struct vidur_kernel_library *kernels; /* read once for all timetables */
    struct vidur_timetable **timetables;  /* by table; NULL: not opened yet */
    struct evaluator_load taken; /* what the simulator is of; candidate -1: none */
    struct vidur_simulator *simulator;
    struct evaluator_alone *alone; /* replicas measured so far */
    int num_alone;
    struct slo_columns slo_columns;     /* places in slo_s of a row */
    struct class_columns class_columns; /* and in class_s */
};

/* A simulator of the load's candidate, of so many replicas and such weights, over the
 * timetables of its pools. */
int evaluator_open_simulator(struct evaluator *e, const struct evaluator_load *load,
                             struct vidur_simulator **out, struct vidur_error *err);
/* The same of one replica of one pool, as a deployment of its own. */
int evaluator_open_replica(struct evaluator *e, int64_t candidate, int pool,
                           struct vidur_simulator **out, struct vidur_error *err);

/* One run of one simulator, heard of by the pulse. */
struct evaluator_run {
    struct vidur_simulator *simulator;
    const struct vidur_workload *workload;
    struct vidur_run_options options;
};

int evaluator_simulate(const struct evaluator *e, struct evaluator_run *run,
                       struct vidur_metrics *metrics, struct vidur_error *err);

/* Simulates a load with the candidate's own simulator. */
int evaluator_run(struct evaluator *e, const struct evaluator_load *load,
                  struct vidur_metrics *metrics, struct vidur_error *err);
/* The same with another simulator. */
int evaluator_run_on(struct evaluator *e, struct vidur_simulator *simulator,
                     const struct evaluator_load *load, struct vidur_metrics *metrics,
                     struct vidur_error *err);

/* The workload's first requests at a load: QPS, or the users of a closed loop. */
int evaluator_offer(struct vidur_workload *workload, int64_t num_requests, double load,
                    struct vidur_workload *out, struct vidur_error *err);

/* ---- evaluate_bound.c, evaluate_alone.c ---- */

/* What a saturated replica comes to, or two pools together. */
struct evaluator_saturated {
    double qps;
    int64_t in_flight; /* requests that it worked on at once */
};

/* Of one replica, or of both pools of a candidate that has two; `alone`: of one replica
 * of the pool of that index, -1: not so. */
int evaluator_saturate(struct evaluator *e, int64_t candidate, int alone,
                       struct evaluator_saturated *out, struct vidur_error *err);
/* The requests that a search begins with where so many are in flight. */
int64_t evaluator_first_part(double in_flight);
/* evaluator_bound of two pools of role `all`. */
int evaluator_bound_mixed(struct evaluator *e, int64_t candidate,
                          struct evaluator_bound *out, struct vidur_error *err);

bool evaluator_is_feasible(const struct evaluator *e,
                           const struct vidur_metrics *metrics);

#endif
