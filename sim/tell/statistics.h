#ifndef VIDUR_SIM_STATISTICS_H
#define VIDUR_SIM_STATISTICS_H

#include "base/quantile.h"
#include "tell/time_series.h"

#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/simulator.h>

#include <stdint.h>

/*
 * What an observer learns beyond struct vidur_metrics: distributions over batches and
 * the share of every replica and stage. Memory: 8 bytes a batch, and a time series a
 * replica. Belongs to one thread.
 */

/* Metrics of a batch: X(name, value), `value` over `const struct vidur_batch_record
 * *b`.
 */
#define VIDUR_BATCH_METRICS(X)                                                         \
    X(batch_num_tokens, b->num_tokens)                                                 \
    X(batch_num_prefill_tokens, b->num_prefill_tokens)                                 \
    X(batch_num_decode_tokens, b->num_decode_tokens)                                   \
    X(batch_size, b->size)

enum vidur_batch_metric {
#define X(name, value) VIDUR_BATCH_METRIC_##name,
    VIDUR_BATCH_METRICS(X)
#undef X
        VIDUR_NUM_BATCH_METRICS
};

/* How often each whole number came. */
struct vidur_tally {
    int64_t *count;
    int64_t size;
};

struct vidur_stage_statistics {
    struct vidur_exact_sum busy_s;
    double flops;
};

struct vidur_replica_statistics {
    struct vidur_time_series series;
    int64_t batches;
    int64_t requests; /* summed over batches */
    int64_t tokens;
    int64_t blocks;
    int64_t max_blocks;
    int64_t waiting;
    int64_t max_waiting;
    int64_t num_blocks; /* KV blocks that it has */
    struct vidur_seat seat;
    int num_stages;
    struct vidur_stage_statistics *stages;
};

struct vidur_statistics {
    int num_replicas; /* over all pools; each rank in data parallel counts as one */
    struct vidur_tally tallies[VIDUR_NUM_BATCH_METRICS];
    double *execution_s; /* from being formed to its end, by batch */
    int64_t num_batches;
    int64_t capacity;
    struct vidur_replica_statistics *replicas;
};

/* num_blocks: KV blocks of a replica, by pool. */
int vidur_statistics_create(struct vidur_statistics **out,
                            const struct vidur_fleet *fleet, const int64_t *num_blocks,
                            struct vidur_error *err);
void vidur_statistics_destroy(struct vidur_statistics *statistics);

/* As an observer's batch function; -1 when out of memory. */
int vidur_statistics_batch(void *statistics, const struct vidur_batch_record *batch);

const char *vidur_batch_metric_name(enum vidur_batch_metric metric);
int vidur_batch_metric_distribution(const struct vidur_statistics *statistics,
                                    enum vidur_batch_metric metric,
                                    struct vidur_distribution *out,
                                    struct vidur_error *err);
/* batch_execution_time. Reorders the samples. */
void vidur_batch_execution_distribution(struct vidur_statistics *statistics,
                                        struct vidur_distribution *out);

/* Writes time_series.csv. */
int vidur_statistics_write_series(const struct vidur_statistics *statistics,
                                  const char *path, struct vidur_error *err);

#endif
