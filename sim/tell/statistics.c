#include "tell/statistics.h"

#include <stdlib.h>
#include <string.h>

static const char *const metric_names[] = {
#define X(name, value) #name,
    VIDUR_BATCH_METRICS(X)
#undef X
};

const char *vidur_batch_metric_name(enum vidur_batch_metric metric)
{
    return metric_names[metric];
}

void vidur_statistics_destroy(struct vidur_statistics *statistics)
{
    if (!statistics)
        return;
    for (int r = 0; statistics->replicas && r < statistics->num_replicas; r++)
        free(statistics->replicas[r].stages);
    for (int m = 0; m < VIDUR_NUM_BATCH_METRICS; m++)
        free(statistics->tallies[m].count);
    free(statistics->replicas);
    free(statistics->execution_s);
    free(statistics);
}

static int allocate_replicas(struct vidur_statistics *statistics,
                             const struct vidur_fleet *fleet, const int64_t *num_blocks)
{
    statistics->replicas =
        calloc((size_t)statistics->num_replicas, sizeof *statistics->replicas);
    if (!statistics->replicas)
        return -1;
    for (int r = 0; r < statistics->num_replicas; r++) {
        struct vidur_replica_statistics *replica = &statistics->replicas[r];
        replica->seat = vidur_fleet_seat(fleet, r);
        const int pool = replica->seat.pool;
        vidur_time_series_init(&replica->series);
        replica->num_blocks = num_blocks[pool];
        replica->num_stages = fleet->pools[pool].deployment.num_pipeline_stages;
        replica->stages = calloc((size_t)replica->num_stages, sizeof *replica->stages);
        if (!replica->stages)
            return -1;
    }
    return 0;
}

int vidur_statistics_create(struct vidur_statistics **out,
                            const struct vidur_fleet *fleet, const int64_t *num_blocks,
                            struct vidur_error *err)
{
    struct vidur_statistics *statistics = calloc(1, sizeof *statistics);
    if (statistics)
        statistics->num_replicas = vidur_fleet_num_seats(fleet);
    if (!statistics || allocate_replicas(statistics, fleet, num_blocks)) {
        vidur_statistics_destroy(statistics);
        return vidur_fail(err, VIDUR_ENOMEM, "statistics: out of memory");
    }
    *out = statistics;
    return 0;
}

/* ---- Adding ---- */

static int tally_add(struct vidur_tally *tally, int64_t value)
{
    if (value >= tally->size) {
        int64_t size = 2 * value + 64;
        int64_t *count = realloc(tally->count, (size_t)size * sizeof *count);
        if (!count)
            return -1;
        memset(count + tally->size, 0, (size_t)(size - tally->size) * sizeof *count);
        tally->count = count;
        tally->size = size;
    }
    tally->count[value]++;
    return 0;
}

static int keep_execution_time(struct vidur_statistics *statistics, double execution_s)
{
    if (statistics->num_batches == statistics->capacity) {
        int64_t capacity = 2 * statistics->capacity + 1024;
        double *more =
            realloc(statistics->execution_s, (size_t)capacity * sizeof *more);
        if (!more)
            return -1;
        statistics->execution_s = more;
        statistics->capacity = capacity;
    }
    statistics->execution_s[statistics->num_batches++] = execution_s;
    return 0;
}

static void add_to_replica(struct vidur_replica_statistics *replica,
                           const struct vidur_batch_record *batch)
{
    vidur_time_series_add(&replica->series, batch);
    replica->batches++;
    replica->requests += batch->size;
    replica->tokens += batch->num_tokens;
    replica->blocks += batch->allocated_blocks;
    replica->waiting += batch->num_waiting;
    if (batch->allocated_blocks > replica->max_blocks)
        replica->max_blocks = batch->allocated_blocks;
    if (batch->num_waiting > replica->max_waiting)
        replica->max_waiting = batch->num_waiting;
}

int vidur_statistics_batch(void *context, const struct vidur_batch_record *b)
{
    struct vidur_statistics *statistics = context;
    struct vidur_replica_statistics *replica = &statistics->replicas[b->seat];
    struct vidur_stage_statistics *stage = &replica->stages[b->stage];
    vidur_exact_sum_add(&stage->busy_s, b->execution_time_s, 1);
    stage->flops += b->flops;
    if (b->stage == 0)
        add_to_replica(replica, b);
    if (!b->last_stage)
        return 0;
#define X(name, value)                                                                 \
    if (tally_add(&statistics->tallies[VIDUR_BATCH_METRIC_##name], value))             \
        return -1;
    VIDUR_BATCH_METRICS(X)
#undef X
    return keep_execution_time(statistics, b->ended_at_s - b->scheduled_at_s);
}

/* ---- Asking ---- */

int vidur_batch_metric_distribution(const struct vidur_statistics *statistics,
                                    enum vidur_batch_metric metric,
                                    struct vidur_distribution *out,
                                    struct vidur_error *err)
{
    const struct vidur_tally *tally = &statistics->tallies[metric];
    struct vidur_weighted_value *values =
        malloc(((size_t)tally->size + 1) * sizeof *values);
    if (!values)
        return vidur_fail(err, VIDUR_ENOMEM, "statistics: out of memory");
    int64_t n = 0;
    for (int64_t i = 0; i < tally->size; i++)
        if (tally->count[i] > 0)
            values[n++] = (struct vidur_weighted_value){(double)i, tally->count[i]};
    vidur_distribution_of_weighted(out, values, n);
    free(values);
    return 0;
}

void vidur_batch_execution_distribution(struct vidur_statistics *statistics,
                                        struct vidur_distribution *out)
{
    vidur_distribution_of(out, statistics->execution_s, statistics->num_batches);
}

int vidur_statistics_write_series(const struct vidur_statistics *statistics,
                                  const char *path, struct vidur_error *err)
{
    struct vidur_csv_writer *writer = vidur_csv_writer_open(path, err);
    if (!writer)
        return -1;
    vidur_time_series_put_header(writer);
    for (int r = 0; r < statistics->num_replicas; r++)
        vidur_time_series_put(writer, r, &statistics->replicas[r].series,
                              statistics->replicas[r].num_blocks);
    return vidur_csv_writer_commit(writer, err);
}
