#ifndef VIDUR_SIM_SUMMARY_H
#define VIDUR_SIM_SUMMARY_H

#include "tell/statistics.h"

#include <vidur/error.h>
#include <vidur/memory_plan.h>
#include <vidur/simulation_config.h>
#include <vidur/simulator.h>

#include <stdio.h>

/* What a run gave, to be told as summary.json and as text; see CONTRACT.md. */
struct vidur_summary {
    const struct vidur_simulation_config *config;
    const struct vidur_memory_plan *plans;           /* by pool of config->fleet */
    const struct vidur_timetable *const *timetables; /* the same */
    const struct vidur_workload *workload;
    const struct vidur_metrics *metrics;
    const struct vidur_request_records *records;
    struct vidur_statistics *statistics; /* NULL: not kept; its samples are reordered */
    const double *operator_totals_s; /* VIDUR_NUM_OPERATOR_COLUMNS; NULL: not kept */
    double elapsed_s;                /* wall time of the simulation */
};

/* Writes the file atomically. */
int vidur_summary_write(const char *path, const struct vidur_summary *summary,
                        struct vidur_error *err);

/* A table of latencies, then throughput, utilization and counts. */
void vidur_summary_print(const struct vidur_summary *summary, FILE *out);

#endif
