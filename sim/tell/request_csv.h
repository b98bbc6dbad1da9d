#ifndef VIDUR_SIM_REQUEST_CSV_H
#define VIDUR_SIM_REQUEST_CSV_H

#include <vidur/error.h>
#include <vidur/simulator.h>

#include <stdint.h>

/*
 * The metrics of a request: request_metrics.csv and, as distributions, summary.json.
 * Source: SIMULATOR.md section 6.
 */

/* A request as its metrics see it. Times not reached are NaN. */
struct vidur_request_view {
    double arrived;
    double previous_arrival; /* NaN for the first */
    double scheduled;
    double prefilled;
    double completed;
    double execution;
    double model_execution;
    double preempted;
    double p, d;                 /* prefill and decode tokens, after restarts */
    double p_arrived, d_arrived; /* as they arrived */
    double restarts;
};

/*
 * Every column of request_metrics.csv behind "Request Id", in order.
 * X(name, kind, value): kind REAL (seconds, or per token) or INT; `value` is an
 * expression over `const struct vidur_request_view *r`.
 */
#define VIDUR_REQUEST_METRICS(X)                                                       \
    X(request_e2e_time, REAL, r->completed - r->arrived)                               \
    X(request_e2e_time_normalized, REAL, (r->completed - r->arrived) / r->d)           \
    X(request_execution_time, REAL, r->execution)                                      \
    X(request_execution_time_normalized, REAL, r->execution / r->d)                    \
    X(request_model_execution_time, REAL, r->model_execution)                          \
    X(request_model_execution_time_normalized, REAL, r->model_execution / r->d)        \
    X(request_preemption_time, REAL, r->preempted)                                     \
    X(request_scheduling_delay, REAL, r->scheduled - r->arrived)                       \
    X(request_execution_plus_preemption_time, REAL, r->execution + r->preempted)       \
    X(request_execution_plus_preemption_time_normalized, REAL,                         \
      (r->execution + r->preempted) / r->d)                                            \
    X(prefill_e2e_time, REAL, r->prefilled - r->arrived)                               \
    X(prefill_time_execution_plus_preemption, REAL, r->prefilled - r->scheduled)       \
    X(prefill_time_execution_plus_preemption_normalized, REAL,                         \
      (r->prefilled - r->scheduled) / r->p)                                            \
    X(decode_time_execution_plus_preemption_normalized, REAL,                          \
      (r->completed - r->prefilled) / r->d)                                            \
    X(request_inter_arrival_delay, REAL, r->arrived - r->previous_arrival)             \
    X(request_num_tokens, INT, r->p_arrived + r->d_arrived)                            \
    X(request_num_prefill_tokens, INT, r->p_arrived)                                   \
    X(request_num_decode_tokens, INT, r->d_arrived)                                    \
    X(request_pd_ratio, REAL, r->p_arrived / r->d_arrived)                             \
    X(request_num_restarts, INT, r->restarts)

enum vidur_request_metric {
#define X(name, kind, value) VIDUR_METRIC_##name,
    VIDUR_REQUEST_METRICS(X)
#undef X
        VIDUR_NUM_REQUEST_METRICS
};

const char *vidur_request_metric_name(enum vidur_request_metric metric);

/* All metrics of request `id`; NaN: it does not have that one (yet). */
void vidur_request_metrics_of(const struct vidur_request_records *records, int64_t id,
                              double values[VIDUR_NUM_REQUEST_METRICS]);

/* One metric of all requests that have it; returns how many. `samples` has room for
 * records->count. */
int64_t vidur_request_metric_samples(const struct vidur_request_records *records,
                                     enum vidur_request_metric metric, double *samples);

/* When a request moved, where pools hand requests over: seconds from its arrival until
 * it left the replica that worked off its prompt, and until its KV cache had come to
 * the next. X(name, times): a member of struct vidur_request_records. */
#define VIDUR_REQUEST_MOVES(X)                                                         \
    X(request_departed_time, departed_at_s)                                            \
    X(request_loaded_time, loaded_at_s)

enum vidur_request_move {
#define X(name, times) VIDUR_MOVE_##name,
    VIDUR_REQUEST_MOVES(X)
#undef X
        VIDUR_NUM_REQUEST_MOVES
};

const char *vidur_request_move_name(enum vidur_request_move move);

/* As vidur_request_metric_samples; 0 where nothing is handed over. */
int64_t vidur_request_move_samples(const struct vidur_request_records *records,
                                   enum vidur_request_move move, double *samples);

/* Writes the file atomically: %.17g, an empty cell for what is not there. The columns
 * of moves come last, where requests are handed over. */
int vidur_request_csv_write(const char *path,
                            const struct vidur_request_records *records,
                            struct vidur_error *err);

#endif
