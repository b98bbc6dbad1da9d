#ifndef VIDUR_SEARCH_EVALUATE_PARTS_H
#define VIDUR_SEARCH_EVALUATE_PARTS_H

#include "results/slo_columns.h"
#include "study/evaluate.h"

#include <vidur/simulator.h>

/* What the files evaluate*.c share. */

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
    int64_t candidate;                    /* of the simulator; -1: none */
    int num_replicas;                     /* of the simulator */
    struct vidur_simulator *simulator;
    struct slo_columns slo_columns;     /* places in slo_s of a row */
    struct class_columns class_columns; /* and in class_s */
};

/* The timetable, opened when it is first needed; NULL: an error. */
const struct vidur_timetable *evaluator_timetable(struct evaluator *e, int table,
                                                  struct vidur_error *err);

/* A simulator of so many units of the candidate (struct vidur_candidate), over the
 * timetables of its pools. */
int evaluator_open_simulator(struct evaluator *e, int64_t candidate, int num_units,
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

/* The workload's first requests at a load: QPS, or the users of a closed loop. */
int evaluator_offer(struct vidur_workload *workload, int64_t num_requests, double load,
                    struct vidur_workload *out, struct vidur_error *err);

bool evaluator_is_feasible(const struct evaluator *e,
                           const struct vidur_metrics *metrics);

#endif
