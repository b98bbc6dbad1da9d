#include "replica/slo_watch.h"

#include <math.h>

int64_t vidur_slo_lost_at(int64_t count, double quantile)
{
    if (count < 1)
        return INT64_MAX;
    return count - (int64_t)floor(quantile * (double)(count - 1));
}

/* Where a latency that begins at the arrival ends. */
static inline const double *reached_at_s(const struct vidur_request_table *table,
                                         enum vidur_latency latency)
{
    return latency == VIDUR_LATENCY_ttft  ? table->prefill_completed_at_s
           : latency == VIDUR_LATENCY_e2e ? table->completed_at_s
                                          : table->scheduled_at_s;
}

static inline double since_arrival(enum vidur_latency latency,
                                   const struct vidur_request_table *table,
                                   int64_t request)
{
    return reached_at_s(table, latency)[request] - table->arrived_at_s[request];
}

static inline bool begins_at_arrival(enum vidur_latency latency)
{
    return latency == VIDUR_LATENCY_ttft || latency == VIDUR_LATENCY_e2e ||
           latency == VIDUR_LATENCY_scheduling_delay;
}

static inline double latency_of(const struct vidur_request_table *table,
                                const struct vidur_workload *workload,
                                enum vidur_latency latency, int64_t request)
{
    const int32_t tokens = workload->num_decode_tokens[request];
    const double completed = table->completed_at_s[request];
    if (begins_at_arrival(latency))
        return since_arrival(latency, table, request);
    if (latency == VIDUR_LATENCY_e2e_normalized)
        return (completed - table->arrived_at_s[request]) / tokens;
    return tokens < 2
               ? NAN
               : (completed - table->prefill_completed_at_s[request]) / (tokens - 1);
}

double vidur_request_latency(const struct vidur_request_table *table,
                             const struct vidur_workload *workload,
                             enum vidur_latency latency, int64_t request)
{
    return latency_of(table, workload, latency, request);
}

/* Spans that have ended, and counting how many: NaN has not. */
static int64_t spans(const double *from_s, const double *to_s, int64_t n, double *out)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        const double span_s = to_s[i] - from_s[i];
        out[count] = span_s;
        count += !isnan(span_s);
    }
    return count;
}

int64_t vidur_request_latencies(const struct vidur_request_table *table,
                                const struct vidur_workload *workload,
                                enum vidur_latency latency, double *out)
{
    if (begins_at_arrival(latency))
        return spans(table->arrived_at_s, reached_at_s(table, latency), table->count,
                     out);
    int64_t count = 0;
    for (int64_t i = 0; i < table->count; i++) {
        const double value = latency_of(table, workload, latency, i);
        out[count] = value;
        count += !isnan(value);
    }
    return count;
}

/* How many samples of a latency the whole workload gives, at most. */
static int64_t sample_count(const struct vidur_workload *workload,
                            enum vidur_latency latency,
                            const struct vidur_run_options *options, bool corrected)
{
    int64_t count = 0;
    if (latency == VIDUR_LATENCY_tbt && options->tbt_definition == VIDUR_TBT_BATCH)
        return 0; /* nobody knows how many batches there will be */
    if (latency != VIDUR_LATENCY_tbt && latency != VIDUR_LATENCY_tpot)
        return workload->num_requests;
    for (int64_t i = 0; i < workload->num_requests; i++) {
        const int32_t gaps = workload->num_decode_tokens[i] - 1;
        count += latency == VIDUR_LATENCY_tbt ? gaps : gaps > 0;
        /* The reference turns the rest of an evicted prompt into output. */
        if (latency == VIDUR_LATENCY_tbt && !corrected)
            count += workload->num_prefill_tokens[i];
    }
    return count;
}

void vidur_slo_watch_init(struct vidur_slo_watch *watch, struct vidur_slo_count *counts,
                          const struct vidur_run_options *options,
                          const struct vidur_workload *workload, bool corrected)
{
    *watch = (struct vidur_slo_watch){.counts = counts,
                                      .num_counts = options->num_slos,
                                      .workload = workload,
                                      .order_count = workload->num_requests,
                                      .least_gap_limit_s = INFINITY,
                                      .lost = -1};
    for (int i = 0; i < options->num_slos; i++) {
        const struct vidur_slo *slo = &options->slos[i];
        /* An interpolated quantile can be rounded below both its neighbours; what is
         * lost here must be lost there too. */
        counts[i] = (struct vidur_slo_count){
            .slo = {slo->metric, slo->quantile, slo->limit_s * (1 + 0x1p-50)},
            .lost_at = vidur_slo_lost_at(
                sample_count(workload, slo->metric, options, corrected),
                slo->quantile)};
        if (slo->metric == VIDUR_LATENCY_tbt)
            watch->least_gap_limit_s =
                fmin(watch->least_gap_limit_s, counts[i].slo.limit_s);
    }
}

void vidur_slo_watch_scope(struct vidur_slo_watch *watch, const int32_t *order,
                           int64_t count)
{
    watch->order = order;
    watch->order_count = count;
    for (int i = 0; i < watch->num_counts; i++)
        watch->counts[i].cursor = 0;
    watch->next_due_s = 0;
}

void vidur_slo_watch_arrived(struct vidur_slo_watch *watch, double now_s)
{
    watch->order_count++;
    for (int i = 0; i < watch->num_counts; i++)
        if (begins_at_arrival(watch->counts[i].slo.metric))
            watch->next_due_s =
                fmin(watch->next_due_s, now_s + watch->counts[i].slo.limit_s - 1e-9);
}

void vidur_slo_watch_completed(struct vidur_slo_watch *watch,
                               const struct vidur_request_table *table, int32_t request)
{
    for (int i = 0; i < watch->num_counts; i++) {
        struct vidur_slo_count *count = &watch->counts[i];
        const enum vidur_latency latency = count->slo.metric;
        if (latency == VIDUR_LATENCY_tbt || begins_at_arrival(latency))
            continue;
        count->violations += vidur_request_latency(table, watch->workload, latency,
                                                   request) > count->slo.limit_s;
        watch->has_crossed |= count->violations >= count->lost_at;
    }
}

void vidur_slo_watch_long_gap(struct vidur_slo_watch *watch, double value_s,
                              int64_t weight)
{
    for (int i = 0; i < watch->num_counts; i++) {
        struct vidur_slo_count *count = &watch->counts[i];
        if (count->slo.metric == VIDUR_LATENCY_tbt && value_s > count->slo.limit_s) {
            count->violations += weight;
            watch->has_crossed |= count->violations >= count->lost_at;
        }
    }
}

int64_t vidur_slo_watch_gaps_left(const struct vidur_slo_watch *watch, double value_s)
{
    int64_t left = INT64_MAX;
    for (int i = 0; i < watch->num_counts; i++) {
        const struct vidur_slo_count *count = &watch->counts[i];
        if (count->slo.metric == VIDUR_LATENCY_tbt && value_s > count->slo.limit_s &&
            count->lost_at - count->violations < left)
            left = count->lost_at - count->violations;
    }
    return left;
}

static void judge_due(const struct vidur_slo_watch *watch,
                      struct vidur_slo_count *count,
                      const struct vidur_request_table *table, double now_s)
{
    const double limit = count->slo.limit_s;
    while (count->cursor < watch->order_count) {
        const int64_t request =
            watch->order ? watch->order[count->cursor] : count->cursor;
        if (!(now_s - table->arrived_at_s[request] > limit))
            return;
        /* Not reached (NaN) is late too. */
        count->violations +=
            !(since_arrival(count->slo.metric, table, request) <= limit);
        count->cursor++;
    }
}

/* When the next request exceeds a limit, less what rounding might hide. */
static double next_due_s(const struct vidur_slo_watch *watch,
                         const struct vidur_request_table *table)
{
    double next = INFINITY;
    if (watch->workload->stages.count > 1)
        return 0; /* arrivals may still move */
    for (int i = 0; i < watch->num_counts; i++) {
        const struct vidur_slo_count *count = &watch->counts[i];
        if (!begins_at_arrival(count->slo.metric) ||
            count->cursor >= watch->order_count)
            continue;
        const int64_t request =
            watch->order ? watch->order[count->cursor] : count->cursor;
        next = fmin(next, table->arrived_at_s[request] + count->slo.limit_s);
    }
    return next - 1e-9;
}

bool vidur_slo_watch_judge(struct vidur_slo_watch *watch,
                           const struct vidur_request_table *table, double now_s)
{
    for (int i = 0; i < watch->num_counts && watch->lost < 0; i++) {
        struct vidur_slo_count *count = &watch->counts[i];
        if (begins_at_arrival(count->slo.metric))
            judge_due(watch, count, table, now_s);
        if (count->violations >= count->lost_at)
            watch->lost = i;
    }
    watch->next_due_s = next_due_s(watch, table);
    return watch->lost >= 0;
}
