#ifndef VIDUR_SIM_SIMULATION_H
#define VIDUR_SIM_SIMULATION_H

#include "tell/outputs.h"
#include "tell/summary.h"

#include <vidur/error.h>
#include <vidur/log.h>
#include <vidur/simulation_config.h>

/*
 * The room sim/program. The program vidur-simulate and its configuration. Only here
 * the floor prints.
 */

/*
 * One simulation from its configuration to its files: what vidur-simulate does.
 * Prepare, run, write, in this order, then release, after a failure too.
 */
struct vidur_simulation {
    struct vidur_simulation_config config;
    struct vidur_memory_plan plans[VIDUR_MAX_POOLS]; /* by pool of config.fleet */
    struct vidur_workload *workload;
    struct vidur_timetable *timetables[VIDUR_MAX_POOLS]; /* the same; equal ones once */
    struct vidur_simulator *simulator;
    struct vidur_outputs_options outputs_options;
    struct vidur_outputs *outputs;
    struct vidur_metrics metrics;
    double elapsed_s;
};

struct vidur_simulation_options {
    const char *config_path;
    const char *const *sets; /* key.path=value */
    int num_sets;
    const char *folder; /* for the files; made if it is missing */
    const struct vidur_log *log;
    int (*progress)(void *context, double time_s, int64_t num_completed); /* or NULL */
    void *progress_context;
    const volatile int *cancel; /* non-zero: stop; may be NULL */
};

/* Reads and checks all input, builds the timetable, opens the files: every error of
 * usage, configuration or input is found here. The struct must stay where it is. */
int vidur_simulation_prepare(struct vidur_simulation *simulation,
                             const struct vidur_simulation_options *options,
                             struct vidur_error *err);

/* VIDUR_EINTR when cancelled. */
int vidur_simulation_run(struct vidur_simulation *simulation,
                         const struct vidur_simulation_options *options,
                         struct vidur_error *err);

/* An error where requests are left unfinished though no time limit cut the run: it
 * names the first of them and the limit that keeps it out. */
int vidur_simulation_check_finished(const struct vidur_simulation *simulation,
                                    const struct vidur_simulation_options *options,
                                    struct vidur_error *err);

/* What there is to tell after the run; points into the simulation. */
struct vidur_summary
vidur_simulation_summary(const struct vidur_simulation *simulation);

/* Puts all files into place, summary.json as the last. */
int vidur_simulation_write(struct vidur_simulation *simulation,
                           struct vidur_error *err);

void vidur_simulation_release(struct vidur_simulation *simulation);

#endif
