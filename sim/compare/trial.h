#ifndef VIDUR_SIM_TRIAL_H
#define VIDUR_SIM_TRIAL_H

#include "compare/compare.h"

/*
 * One experiment, ready to be run: its deployment and its load, or why there is none.
 * Inside the comparison.
 */
struct vidur_trial {
    const struct vidur_measured_experiment *experiment;
    struct vidur_compared_server server;
    struct vidur_fleet fleet;
    int max_tokens;
    struct vidur_workload *drawn;   /* arrivals */
    struct vidur_workload workload; /* the same with the experiment's lengths */
    struct vidur_load_stages stages;
    int32_t *prompt_tokens, *output_tokens; /* NULL: drawn's own */
    int tables[VIDUR_MAX_POOLS];            /* by pool */
    char left_out[256];                     /* why it is not simulated; "": it is */
};

/* Specs that experiments name, each read once. Zero-initialise. */
struct vidur_trial_specs {
    struct vidur_known_model *models;
    struct vidur_known_device *devices;
    int num_models, num_devices;
};
void vidur_trial_specs_release(struct vidur_trial_specs *specs);

/* Fills a zeroed trial whose experiment is set; what cannot be simulated is told in
 * left_out. -1: out of memory. */
int vidur_trial_prepare(struct vidur_trial *trial, struct vidur_trial_specs *specs,
                        const struct vidur_simulation_config *config,
                        struct vidur_error *err);
void vidur_trial_release(struct vidur_trial *trial);

/* Timetables of the trials' pools: one for all that have model, device and layout in
 * common, made for the largest of them. */
struct vidur_trial_tables {
    struct vidur_trial *trials; /* the caller's, which stay where they are */
    int num_trials;
    struct vidur_trial_table *items;
    int count;
    struct vidur_kernel_library *library;
};

/* Assigns trial->tables. */
int vidur_trial_tables_plan(struct vidur_trial_tables *tables,
                            struct vidur_trial *trials, int num_trials,
                            struct vidur_error *err);
/* Opens them, one after the other. A table that cannot be had leaves its trials out. */
int vidur_trial_tables_open(struct vidur_trial_tables *tables,
                            const struct vidur_estimator_config *estimator,
                            const struct vidur_comparison_options *options,
                            struct vidur_error *err);
const struct vidur_timetable *
vidur_trial_tables_at(const struct vidur_trial_tables *tables, int table);
/* Closes the tables, keeps the plan and the kernels that were read. */
void vidur_trial_tables_close(struct vidur_trial_tables *tables);
void vidur_trial_tables_release(struct vidur_trial_tables *tables);

#endif
