#include "replica/slo_watch.h"

#include <math.h>
#include <string.h>

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

static inline double latency_of(const struct vidur_request_table *table,
                                const struct vidur_workload *workload,
                                enum vidur_latency latency, int64_t request)
{
    const int32_t tokens = workload->num_decode_tokens[request];
    const double completed = table->completed_at_s[request];
    if (vidur_latency_begins_at_arrival(latency))
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
    if (vidur_latency_begins_at_arrival(latency))
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

/* How many samples of a latency the requests of a class give, at most. */
static int64_t sample_count(const struct vidur_workload *workload,
                            const struct vidur_slo *slo,
                            const struct vidur_run_options *options, bool corrected)
{
    const enum vidur_latency latency = slo->metric;
    int64_t count = 0;
    if (latency == VIDUR_LATENCY_tbt && options->tbt_definition == VIDUR_TBT_BATCH)
        return 0; /* nobody knows how many batches there will be */
    if (slo->class_number == 0 && latency != VIDUR_LATENCY_tbt &&
        latency != VIDUR_LATENCY_tpot)
        return workload->num_requests;
    for (int64_t i = 0; i < workload->num_requests; i++) {
        const int32_t gaps = workload->num_decode_tokens[i] - 1;
        if (!vidur_slo_is_about(workload, slo->class_number, i))
            continue;
        count += latency == VIDUR_LATENCY_tbt    ? gaps
                 : latency == VIDUR_LATENCY_tpot ? gaps > 0
                                                 : 1;
        /* The reference turns the rest of an evicted prompt into output. */
        if (latency == VIDUR_LATENCY_tbt && !corrected)
            count += workload->num_prefill_tokens[i];
    }
    return count;
}

struct vidur_slo_watch_sizes
vidur_slo_watch_sizes(const struct vidur_run_options *options,
                      const struct vidur_workload *workload)
{
    struct vidur_slo_watch_sizes sizes = {.num_counts = options->num_slos};
    for (int i = 0; i < options->num_slos; i++) {
        if (!vidur_slo_is_joint(&options->slos[i]))
            continue;
        sizes.num_missed = workload->num_requests;
        for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
            sizes.num_counts += options->slos[i].parts_s[m] > 0;
    }
    return sizes;
}

/* An interpolated quantile can be rounded below both its neighbours; what is lost here
 * must be lost there too. */
static double above(double limit_s)
{
    return limit_s * (1 + 0x1p-50);
}

static void add_parts(struct vidur_slo_watch *watch, int whole,
                      const struct vidur_slo *slo)
{
    watch->counts[whole].first_part = watch->num_counts;
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
        if (slo->parts_s[m] > 0)
            watch->counts[watch->num_counts++] =
                (struct vidur_slo_count){.metric = (enum vidur_latency)m,
                                         .limit_s = above(slo->parts_s[m]),
                                         .class_number = slo->class_number,
                                         .whole = whole};
    watch->counts[whole].num_parts =
        watch->num_counts - watch->counts[whole].first_part;
}

void vidur_slo_watch_init(struct vidur_slo_watch *watch,
                          const struct vidur_run_options *options,
                          const struct vidur_workload *workload, bool corrected)
{
    *watch = (struct vidur_slo_watch){.counts = watch->counts,
                                      .num_slos = options->num_slos,
                                      .num_counts = options->num_slos,
                                      .missed = watch->missed,
                                      .workload = workload,
                                      .order_count = workload->num_requests,
                                      .least_gap_limit_s = INFINITY,
                                      .lost = -1};
    for (int i = 0; i < options->num_slos; i++) {
        const struct vidur_slo *slo = &options->slos[i];
        struct vidur_slo_count *count = &watch->counts[i];
        *count = (struct vidur_slo_count){
            .metric = slo->metric,
            .limit_s = above(slo->limit_s),
            .class_number = slo->class_number,
            .whole = i,
            .lost_at = vidur_slo_lost_at(
                sample_count(workload, slo, options, corrected), slo->quantile)};
        if (vidur_slo_is_joint(slo))
            add_parts(watch, i, slo);
        if (slo->metric == VIDUR_LATENCY_tbt)
            watch->least_gap_limit_s = fmin(watch->least_gap_limit_s, count->limit_s);
    }
    if (watch->missed)
        memset(watch->missed, 0, (size_t)workload->num_requests);
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
        if (vidur_latency_begins_at_arrival(watch->counts[i].metric))
            watch->next_due_s =
                fmin(watch->next_due_s, now_s + watch->counts[i].limit_s - 1e-9);
}

_Static_assert(VIDUR_MAX_SLOS <= 8, "missed has a bit for each");

/* The request exceeds a limit of a count's objective. */
static void miss(struct vidur_slo_watch *watch, const struct vidur_slo_count *count,
                 int64_t request)
{
    struct vidur_slo_count *whole = &watch->counts[count->whole];
    const uint8_t bit = (uint8_t)(1u << count->whole);
    if (count != whole) {
        if (watch->missed[request] & bit)
            return;
        watch->missed[request] |= bit;
    }
    whole->violations++;
}

static bool is_lost(const struct vidur_slo_count *whole)
{
    return whole->violations >= whole->lost_at;
}

void vidur_slo_watch_completed(struct vidur_slo_watch *watch,
                               const struct vidur_request_table *table, int32_t request)
{
    for (int i = 0; i < watch->num_counts; i++) {
        const struct vidur_slo_count *count = &watch->counts[i];
        if (count->metric != VIDUR_LATENCY_e2e_normalized &&
            count->metric != VIDUR_LATENCY_tpot)
            continue;
        if (!vidur_slo_is_about(watch->workload, count->class_number, request))
            continue;
        if (latency_of(table, watch->workload, count->metric, request) > count->limit_s)
            miss(watch, count, request);
        watch->has_crossed |= is_lost(&watch->counts[count->whole]);
    }
}

void vidur_slo_watch_long_gap(struct vidur_slo_watch *watch, double value_s,
                              int64_t weight)
{
    for (int i = 0; i < watch->num_slos; i++) {
        struct vidur_slo_count *count = &watch->counts[i];
        if (count->metric == VIDUR_LATENCY_tbt && value_s > count->limit_s) {
            count->violations += weight;
            watch->has_crossed |= is_lost(count);
        }
    }
}

int64_t vidur_slo_watch_gaps_left(const struct vidur_slo_watch *watch, double value_s)
{
    int64_t left = INT64_MAX;
    for (int i = 0; i < watch->num_slos; i++) {
        const struct vidur_slo_count *count = &watch->counts[i];
        if (count->metric == VIDUR_LATENCY_tbt && value_s > count->limit_s &&
            count->lost_at - count->violations < left)
            left = count->lost_at - count->violations;
    }
    return left;
}

static void judge_due(struct vidur_slo_watch *watch, struct vidur_slo_count *count,
                      const struct vidur_request_table *table, double now_s)
{
    if (!vidur_latency_begins_at_arrival(count->metric))
        return;
    while (count->cursor < watch->order_count) {
        const int64_t request =
            watch->order ? watch->order[count->cursor] : count->cursor;
        if (!(now_s - table->arrived_at_s[request] > count->limit_s))
            return;
        /* Not reached (NaN) is late too. */
        if (vidur_slo_is_about(watch->workload, count->class_number, request) &&
            !(since_arrival(count->metric, table, request) <= count->limit_s))
            miss(watch, count, request);
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
        if (!vidur_latency_begins_at_arrival(count->metric) ||
            count->cursor >= watch->order_count)
            continue;
        const int64_t request =
            watch->order ? watch->order[count->cursor] : count->cursor;
        next = fmin(next, table->arrived_at_s[request] + count->limit_s);
    }
    return next - 1e-9;
}

bool vidur_slo_watch_judge(struct vidur_slo_watch *watch,
                           const struct vidur_request_table *table, double now_s)
{
    for (int i = 0; i < watch->num_slos && watch->lost < 0; i++) {
        struct vidur_slo_count *count = &watch->counts[i];
        judge_due(watch, count, table, now_s);
        for (int part = 0; part < count->num_parts; part++)
            judge_due(watch, &watch->counts[count->first_part + part], table, now_s);
        if (is_lost(count))
            watch->lost = i;
    }
    watch->next_due_s = next_due_s(watch, table);
    return watch->lost >= 0;
}
