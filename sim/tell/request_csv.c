#include "tell/request_csv.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdbool.h>

static const struct {
    const char *name;
    bool integer;
} metrics[VIDUR_NUM_REQUEST_METRICS] = {
#define KIND_REAL            false
#define KIND_INT             true
#define X(name, kind, value) {#name, KIND_##kind},
    VIDUR_REQUEST_METRICS(X)
#undef X
};

const char *vidur_request_metric_name(enum vidur_request_metric metric)
{
    return metrics[metric].name;
}

static struct vidur_request_view view_of(const struct vidur_request_records *records,
                                         int64_t id)
{
    return (struct vidur_request_view){
        .arrived = records->arrived_at_s[id],
        .previous_arrival = id > 0 ? records->arrived_at_s[id - 1] : NAN,
        .scheduled = records->scheduled_at_s[id],
        .prefilled = records->prefill_completed_at_s[id],
        .completed = records->completed_at_s[id],
        .execution = records->execution_time_s[id],
        .model_execution = records->model_execution_time_s[id],
        .preempted = records->preempted_time_s[id],
        .p = records->num_prefill_tokens[id],
        .d = records->num_decode_tokens[id],
        .p_arrived = records->arrived_prefill_tokens[id],
        .d_arrived = records->arrived_decode_tokens[id],
        .restarts = records->num_restarts[id],
    };
}

void vidur_request_metrics_of(const struct vidur_request_records *records, int64_t id,
                              double values[VIDUR_NUM_REQUEST_METRICS])
{
    const struct vidur_request_view view = view_of(records, id);
    const struct vidur_request_view *r = &view;
#define X(name, kind, value) values[VIDUR_METRIC_##name] = value;
    VIDUR_REQUEST_METRICS(X)
#undef X
}

/* One loop per metric, so that each computes nothing else. */
#define X(name, kind, value)                                                           \
    static int64_t collect_##name(const struct vidur_request_records *records,         \
                                  double *samples)                                     \
    {                                                                                  \
        int64_t n = 0;                                                                 \
        for (int64_t id = 0; id < records->count; id++) {                              \
            const struct vidur_request_view view = view_of(records, id);               \
            const struct vidur_request_view *r = &view;                                \
            double sample = value;                                                     \
            if (!isnan(sample))                                                        \
                samples[n++] = sample;                                                 \
        }                                                                              \
        return n;                                                                      \
    }
VIDUR_REQUEST_METRICS(X)
#undef X

int64_t vidur_request_metric_samples(const struct vidur_request_records *records,
                                     enum vidur_request_metric metric, double *samples)
{
    static int64_t (*const collect[])(const struct vidur_request_records *,
                                      double *) = {
#define X(name, kind, value) collect_##name,
        VIDUR_REQUEST_METRICS(X)
#undef X
    };
    return collect[metric](records, samples);
}

/* ---- Moves ---- */

const char *vidur_request_move_name(enum vidur_request_move move)
{
    static const char *const names[] = {
#define X(name, times) #name,
        VIDUR_REQUEST_MOVES(X)
#undef X
    };
    return names[move];
}

static double move_of(const struct vidur_request_records *records,
                      enum vidur_request_move move, int64_t id)
{
    const double *const times_s[] = {
#define X(name, times) records->times,
        VIDUR_REQUEST_MOVES(X)
#undef X
    };
    return times_s[move][id] - records->arrived_at_s[id];
}

int64_t vidur_request_move_samples(const struct vidur_request_records *records,
                                   enum vidur_request_move move, double *samples)
{
    int64_t n = 0;
    for (int64_t id = 0; id < records->count && records->departed_at_s; id++) {
        const double sample = move_of(records, move, id);
        if (!isnan(sample))
            samples[n++] = sample;
    }
    return n;
}

/* ---- The file ---- */

static void write_row(struct vidur_csv_writer *writer,
                      const struct vidur_request_records *records, int64_t id)
{
    double values[VIDUR_NUM_REQUEST_METRICS];
    vidur_request_metrics_of(records, id, values);
    vidur_csv_put_int64(writer, id);
    for (int m = 0; m < VIDUR_NUM_REQUEST_METRICS; m++) {
        if (metrics[m].integer)
            vidur_csv_put_int64(writer, (int64_t)values[m]);
        else
            vidur_csv_put_double(writer, values[m]);
    }
    for (int i = 0; i < VIDUR_NUM_REQUEST_MOVES && records->departed_at_s; i++)
        vidur_csv_put_double(writer, move_of(records, (enum vidur_request_move)i, id));
    vidur_csv_end_row(writer);
}

int vidur_request_csv_write(const char *path,
                            const struct vidur_request_records *records,
                            struct vidur_error *err)
{
    struct vidur_csv_writer *writer = vidur_csv_writer_open(path, err);
    if (!writer)
        return -1;
    vidur_csv_put_string(writer, "Request Id");
    for (int m = 0; m < VIDUR_NUM_REQUEST_METRICS; m++)
        vidur_csv_put_string(writer, metrics[m].name);
    for (int i = 0; i < VIDUR_NUM_REQUEST_MOVES && records->departed_at_s; i++)
        vidur_csv_put_string(writer,
                             vidur_request_move_name((enum vidur_request_move)i));
    vidur_csv_end_row(writer);
    for (int64_t id = 0; id < records->count; id++)
        write_row(writer, records, id);
    return vidur_csv_writer_commit(writer, err);
}
