#ifndef VIDUR_SIM_TIME_SERIES_H
#define VIDUR_SIM_TIME_SERIES_H

#include <vidur/csv.h>
#include <vidur/error.h>
#include <vidur/simulator.h>

#include <stdint.h>

/*
 * What a replica did over time, in a bounded number of intervals: whenever simulated
 * time outgrows them, neighbours are merged and the interval doubles. Totals per
 * interval are the same whatever the order in which batches are added. Belongs to one
 * thread.
 */

enum { VIDUR_TIME_SERIES_INTERVALS = 512 };

struct vidur_time_interval {
    int64_t batches;  /* started in it */
    int64_t requests; /* sums over them */
    int64_t tokens;
    int64_t waiting;
    int64_t blocks;
};

struct vidur_time_series {
    double interval_s; /* a power of two */
    int used;
    struct vidur_time_interval intervals[VIDUR_TIME_SERIES_INTERVALS];
};

void vidur_time_series_init(struct vidur_time_series *series);
void vidur_time_series_add(struct vidur_time_series *series,
                           const struct vidur_batch_record *batch);

/* time_series.csv: a header, then the rows of one replica after the other. Means are
 * over the batches that started in the interval; empty where there were none. */
void vidur_time_series_put_header(struct vidur_csv_writer *writer);
void vidur_time_series_put(struct vidur_csv_writer *writer, int replica,
                           const struct vidur_time_series *series, int64_t num_blocks);

#endif
