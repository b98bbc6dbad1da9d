#ifndef VIDUR_SIM_OUTPUTS_H
#define VIDUR_SIM_OUTPUTS_H

#include "steps/operator_metrics.h"
#include "tell/statistics.h"

#include <vidur/error.h>
#include <vidur/simulation_config.h>
#include <vidur/simulator.h>

/*
 * The room sim/tell. What a run says: statistics, time series, files, the summary. It
 * reads finished runs and changes nothing in them.
 */

/*
 * The files of one run that are written while it goes, as one observer. Each is one
 * entry of the table in outputs.c. All are temporary files until committed; what is not
 * committed leaves nothing behind. Belongs to one thread.
 */
struct vidur_outputs;

struct vidur_outputs_options {
    const struct vidur_simulation_config *config;
    const struct vidur_timetable *const *timetables; /* by pool of config->fleet */
    const char *folder;
    int64_t num_blocks[VIDUR_MAX_POOLS]; /* KV blocks of a replica, by pool */
    /* called now and then, see struct vidur_observer; may be NULL */
    int (*progress)(void *context, double time_s, int64_t num_completed);
    void *progress_context;
};

/* What *options points to must outlive the outputs. */
int vidur_outputs_open(struct vidur_outputs **out,
                       const struct vidur_outputs_options *options,
                       struct vidur_error *err);
void vidur_outputs_destroy(struct vidur_outputs *outputs);

/* Functions are NULL where no file asks for them. */
const struct vidur_observer *
vidur_outputs_observer(const struct vidur_outputs *outputs);

/* Why an observer's function stopped the run, or *err as it is. Returns -1. */
int vidur_outputs_explain(const struct vidur_outputs *outputs, struct vidur_error *err);

/* NULL: not asked for. */
struct vidur_statistics *vidur_outputs_statistics(const struct vidur_outputs *outputs);
const double *vidur_outputs_operator_totals(const struct vidur_outputs *outputs);

/* Renames every file into place; stops at the first that cannot be. */
int vidur_outputs_commit(struct vidur_outputs *outputs, struct vidur_error *err);

#endif
