#include "tell/time_series.h"

#include <string.h>

static const double finest_interval_s = 0x1p-10;

void vidur_time_series_init(struct vidur_time_series *series)
{
    memset(series, 0, sizeof *series);
    series->interval_s = finest_interval_s;
}

static void add_interval(struct vidur_time_interval *to,
                         const struct vidur_time_interval *from)
{
    to->batches += from->batches;
    to->requests += from->requests;
    to->tokens += from->tokens;
    to->waiting += from->waiting;
    to->blocks += from->blocks;
}

static void halve(struct vidur_time_series *series)
{
    static const struct vidur_time_interval empty;
    enum { N = VIDUR_TIME_SERIES_INTERVALS };
    for (int i = 0; i < N; i++) {
        struct vidur_time_interval pair = empty;
        for (int k = 2 * i; k < 2 * i + 2 && k < N; k++)
            add_interval(&pair, &series->intervals[k]);
        series->intervals[i] = pair;
    }
    series->interval_s *= 2;
    series->used = (series->used + 1) / 2;
}

void vidur_time_series_add(struct vidur_time_series *series,
                           const struct vidur_batch_record *batch)
{
    const struct vidur_time_interval sample = {
        1, batch->size, batch->num_tokens, batch->num_waiting, batch->allocated_blocks};
    while (batch->started_at_s >= series->interval_s * VIDUR_TIME_SERIES_INTERVALS)
        halve(series);
    int at = (int)(batch->started_at_s / series->interval_s);
    add_interval(&series->intervals[at], &sample);
    if (at >= series->used)
        series->used = at + 1;
}

void vidur_time_series_put_header(struct vidur_csv_writer *writer)
{
    static const char *const names[] = {"replica",
                                        "start_s",
                                        "end_s",
                                        "batches",
                                        "mean_batch_size",
                                        "tokens_per_batch",
                                        "waiting_requests",
                                        "kv_utilization_percent"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        vidur_csv_put_string(writer, names[i]);
    vidur_csv_end_row(writer);
}

static void put_mean(struct vidur_csv_writer *writer, double sum, int64_t count)
{
    if (count > 0)
        vidur_csv_put_double(writer, sum / (double)count);
    else
        vidur_csv_put_empty(writer);
}

void vidur_time_series_put(struct vidur_csv_writer *writer, int replica,
                           const struct vidur_time_series *series, int64_t num_blocks)
{
    for (int i = 0; i < series->used; i++) {
        const struct vidur_time_interval *interval = &series->intervals[i];
        double percent = num_blocks > 0 ? 100.0 / (double)num_blocks : 0;
        vidur_csv_put_int64(writer, replica);
        vidur_csv_put_double(writer, i * series->interval_s);
        vidur_csv_put_double(writer, (i + 1) * series->interval_s);
        vidur_csv_put_int64(writer, interval->batches);
        put_mean(writer, (double)interval->requests, interval->batches);
        put_mean(writer, (double)interval->tokens, interval->batches);
        put_mean(writer, (double)interval->waiting, interval->batches);
        put_mean(writer, (double)interval->blocks * percent, interval->batches);
        vidur_csv_end_row(writer);
    }
}
