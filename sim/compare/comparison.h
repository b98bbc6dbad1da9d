#ifndef VIDUR_SIM_COMPARISON_H
#define VIDUR_SIM_COMPARISON_H

#include "compare/trial.h"

/* What a comparison is made of; inside its files. */
struct vidur_comparison {
    const struct vidur_comparison_options *options;
    struct vidur_simulation_config config;
    struct vidur_measured_experiment *experiments;
    int num_experiments;
    struct vidur_trial *trials;
    int num_trials;
    struct vidur_trial_tables tables;
    struct vidur_compared_stage *stages; /* of all trials, one after the other */
    int num_stages;
    struct vidur_engine_constants resolved;
};

#endif
