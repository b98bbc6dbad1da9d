#ifndef VIDUR_SIM_COMPARE_H
#define VIDUR_SIM_COMPARE_H

#include "compare/measured.h"
#include "tell/stage_metrics.h"

#include <vidur/log.h>
#include <vidur/simulation_config.h>

#include <stdio.h>

/*
 * The room sim/compare. Measurements of real engines: reading them, simulating them,
 * errors, fits. Uses the simulator as any program does.
 */

/*
 * The simulator beside measurements of a real engine: every experiment is simulated and
 * compared stage by stage. The configuration gives the estimator, the device, the knobs
 * that an experiment does not state and the seed; model, tensor parallelism, the
 * engine's limits and the load are the experiment's. Belongs to one thread.
 */

/* X(name, text, value of a stage, measured value), seconds. */
#define VIDUR_COMPARED(X)                                                              \
    X(e2e_mean, "e2e mean", s->e2e.mean, m->e2e.mean)                                  \
    X(e2e_p99, "e2e p99", s->e2e.p99, m->e2e.p99)                                      \
    X(tpot_mean, "TPOT mean", s->tpot.mean, m->tpot_mean_s)                            \
    X(ttft_mean, "TTFT mean", s->ttft.mean, m->ttft.mean)                              \
    X(ttft_p99, "TTFT p99", s->ttft.p99, m->ttft.p99)

enum vidur_compared {
#define X(name, text, predicted, measured) VIDUR_COMPARED_##name,
    VIDUR_COMPARED(X)
#undef X
        VIDUR_NUM_COMPARED
};

/* One stage of one experiment. */
struct vidur_compared_stage {
    const struct vidur_measured_experiment *experiment;
    int stage;
    int64_t num_requests, num_completed;
    double predicted_s[VIDUR_NUM_COMPARED];
    double measured_s[VIDUR_NUM_COMPARED];
};

/* predicted / measured - 1 */
double vidur_compared_error(const struct vidur_compared_stage *stage,
                            enum vidur_compared which);
const char *vidur_compared_name(enum vidur_compared which); /* "e2e_mean" */

struct vidur_comparison;

struct vidur_comparison_options {
    const char *config_path;
    const char *const *sets;
    int num_sets;
    const char *measured_path;
    const char *experiments; /* ids, comma-separated; NULL: all */
    const struct vidur_log *log;
    const volatile int *cancel;
};

/* Reads and checks everything and draws the loads; *options must outlive it. */
int vidur_comparison_open(struct vidur_comparison **out,
                          const struct vidur_comparison_options *options,
                          struct vidur_error *err);
void vidur_comparison_close(struct vidur_comparison *comparison);

/* The constants that the next run uses; as configured at first (NaN: the default of
 * the source of times). */
struct vidur_engine_constants *
vidur_comparison_constants(struct vidur_comparison *comparison);
/* Those that a run goes with, defaults filled in. */
void vidur_comparison_resolved(const struct vidur_comparison *comparison,
                               struct vidur_engine_constants *constants);

/* Simulates every experiment. */
int vidur_comparison_run(struct vidur_comparison *comparison, struct vidur_error *err);

/* Of the last run, experiment by experiment. */
int vidur_comparison_count(const struct vidur_comparison *comparison);
const struct vidur_compared_stage *
vidur_comparison_stages(const struct vidur_comparison *comparison);
/* Medians of the absolute errors over all stages. */
void vidur_comparison_medians(const struct vidur_comparison *comparison,
                              double medians[VIDUR_NUM_COMPARED]);

void vidur_comparison_print(const struct vidur_comparison *comparison, FILE *out);
/* A row per stage and figure, atomically. */
int vidur_comparison_write(const struct vidur_comparison *comparison, const char *path,
                           struct vidur_error *err);

/* ---- Fitting the constants ---- */

/*
 * Changes the constants named in `names` (eta, t0, c_ar, tokenise, t_api;
 * comma-separated) to those with the least sum of squared relative errors of mean TPOT
 * and mean TTFT over all stages, and runs once more with them.
 */
struct vidur_calibration {
    double rms_before, rms; /* of these errors */
    int num_runs;
    bool converged;
};
int vidur_comparison_fit(struct vidur_comparison *comparison, const char *names,
                         struct vidur_calibration *calibration,
                         struct vidur_error *err);

/* `estimator:` with the constants, as YAML to be pasted into a configuration. */
void vidur_comparison_print_constants(const struct vidur_comparison *comparison,
                                      FILE *out);

#endif
