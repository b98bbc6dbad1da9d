#ifndef VIDUR_TEST_TOY_CLUSTER_H
#define VIDUR_TEST_TOY_CLUSTER_H

#include <vidur/simulator.h>

/*
 * Small clusters with operator times given by a formula, for tests of the simulator.
 */

/* Milliseconds of one layer: the toy model has TOY_LAYERS of them. */
struct toy_times {
    double fixed_ms;
    double per_token_ms;   /* of a batch, rounded up to a multiple of 8 */
    double per_decode_ms;  /* request */
    double per_context_ms; /* decode request and 64 tokens of context, rounded up */
    double per_chunk_ms;   /* prompt token (root of the sum of squares) */
    double send_recv_ms;   /* of a stage, not of a layer */
};

enum { TOY_LAYERS = 8 };

/* Tables up to these sizes; NULL when memory is out. */
struct vidur_timetable *toy_timetable_new(const struct toy_times *times,
                                          int64_t max_tokens, int64_t max_batch);
void toy_timetable_free(struct vidur_timetable *timetable);

/* Defaults, with the toy model on a device with memory for everything. */
void toy_deployment(struct vidur_deployment *deployment, const char *scheduler);

/* `count` requests in caller-owned arrays. */
struct vidur_workload toy_workload(int64_t count, int max_tokens,
                                   const double *arrived_at_s, const int32_t *prefill,
                                   const int32_t *decode);

/* The first thing, if any, in which two runs differ, bit by bit: a name, else NULL. */
const char *toy_metrics_differ(const struct vidur_metrics *a,
                               const struct vidur_metrics *b);
const char *toy_records_differ(const struct vidur_request_records *a,
                               const struct vidur_request_records *b);

#endif
