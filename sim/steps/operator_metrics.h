#ifndef VIDUR_SIM_OPERATOR_METRICS_H
#define VIDUR_SIM_OPERATOR_METRICS_H

#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/simulator.h>
#include <vidur/timetable.h>

/*
 * Where a batch's time goes: the time of every operator on a stage, all of its layers
 * together, as operator_metrics.csv (a row per batch and stage, written as they come)
 * and in total. Looked up anew from the timetable by SIMULATOR.md section 5; the sum
 * over operators is the stage's execution time up to rounding.
 *
 * Columns: the token operators, then those on two axes, then what is no kernel. Runs of
 * the engine's step model have the parts of a step instead, as records tell them.
 */
#define VIDUR_OTHER_OPERATORS(X)                                                       \
    X(attn_decode)                                                                     \
    X(attn_prefill)                                                                    \
    X(nccl_cpu_overhead)

enum vidur_operator_column {
#define X(name, axis) VIDUR_OPERATOR_##name,
    VIDUR_TOKEN_OPERATORS(X)
#undef X
#define X(name) VIDUR_OPERATOR_##name,
        VIDUR_OTHER_OPERATORS(X)
#undef X
            VIDUR_NUM_LAYER_COLUMNS,
    VIDUR_NUM_OPERATOR_COLUMNS = VIDUR_NUM_LAYER_COLUMNS + (int)VIDUR_NUM_STEP_PARTS
};

/* The columns that a run with this timetable has: first .. end - 1. */
struct vidur_operator_range {
    int first, end;
};
struct vidur_operator_range
vidur_operator_columns(const struct vidur_timetable *timetable);

/* Whether such a run has this one of them: mlp_experts is of models with experts. */
bool vidur_operator_has_column(const struct vidur_timetable *timetable, int column);

const char *vidur_operator_column_name(enum vidur_operator_column column);

struct vidur_operator_metrics;

/* NULL on error: a file has one set of columns, so that pools whose step models differ
 * are refused. `fleet` and the timetables of its pools must outlive it. */
struct vidur_operator_metrics *
vidur_operator_metrics_open(const char *path, const struct vidur_fleet *fleet,
                            const struct vidur_timetable *const *timetables,
                            struct vidur_error *err);
/* As an observer's batch function. */
int vidur_operator_metrics_put(void *metrics, const struct vidur_batch_record *batch);
/* Sums so far, seconds, over all stages of all replicas. */
const double *vidur_operator_totals(const struct vidur_operator_metrics *metrics);
/* Renames the file into place; the totals stay. */
int vidur_operator_metrics_commit(struct vidur_operator_metrics *metrics,
                                  struct vidur_error *err);
/* Also discards a file that was not committed; takes NULL. */
void vidur_operator_metrics_close(struct vidur_operator_metrics *metrics);

#endif
