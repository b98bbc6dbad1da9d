#include "run.h"

#include "mfu.h"
#include "sustained.h"

#include <math.h>

/* ---- Verdicts ---- */

/* Requests that have not got as far as the latency needs, and have waited longer than
 * its limit or will wait for ever. */
static int64_t late_unfinished(const struct vidur_run *run, const struct vidur_slo *slo)
{
    const bool cut = run->time_limited || run->stopped_early;
    int64_t late = 0;
    for (int64_t i = 0; i < run->requests.count; i++) {
        const double value =
            vidur_request_latency(&run->requests, run->workload, slo->metric, i);
        const bool completed = run->requests.flags[i] & VIDUR_REQUEST_DONE;
        const double waited = run->ended_at_s - run->requests.arrived_at_s[i];
        const double tokens = slo->metric == VIDUR_LATENCY_e2e_normalized
                                  ? run->workload->num_decode_tokens[i]
                                  : 1;
        const bool from_arrival = slo->metric != VIDUR_LATENCY_tpot;
        if (isnan(value) && !completed)
            late += !cut || (from_arrival && waited / tokens > slo->limit_s);
    }
    return late;
}

static double gap_quantile(const struct vidur_token_gaps *gaps, double quantile)
{
    return gaps->count > 0
               ? vidur_weighted_quantile(gaps->values, gaps->count, quantile)
               : 0;
}

/* Late requests count as infinitely long; an interpolation with one is no number, and
 * not met. */
static bool is_met(const struct vidur_run *run, const struct vidur_slo *slo,
                   double *scratch)
{
    if (slo->metric == VIDUR_LATENCY_tbt)
        return gap_quantile(run->gaps, slo->quantile) <= slo->limit_s;
    int64_t count =
        vidur_request_latencies(&run->requests, run->workload, slo->metric, scratch);
    for (int64_t late = late_unfinished(run, slo); late > 0; late--)
        scratch[count++] = INFINITY;
    return count == 0 || vidur_quantile(scratch, count, slo->quantile) <= slo->limit_s;
}

/* The run has come to its end with requests that wait for ever: no deployment to
 * rent, whatever the others saw. */
static bool is_stuck(const struct vidur_run *run)
{
    if (run->time_limited || run->stopped_early)
        return false;
    for (int64_t i = 0; i < run->requests.count; i++)
        if (!(run->requests.flags[i] & VIDUR_REQUEST_DONE))
            return true;
    return false;
}

static int violated_slo(struct vidur_run *run, double *scratch)
{
    if (run->stopped_early)
        return run->watch.lost;
    for (int i = 0; i < run->options->num_slos; i++)
        if (!is_met(run, &run->options->slos[i], scratch))
            return i;
    return run->options->num_slos > 0 && is_stuck(run) ? 0 : -1;
}

/* ---- Totals ---- */

struct totals {
    struct vidur_replica_account account;
    struct vidur_stage_account stage; /* summed over stages */
    double span_s;                    /* over replicas */
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void add_counts(struct vidur_replica_account *sum,
                       const struct vidur_replica_account *account)
{
    sum->peak_batch_size = larger(sum->peak_batch_size, account->peak_batch_size);
    sum->peak_holders = larger(sum->peak_holders, account->peak_holders);
#define X(name) sum->name += account->name;
    X(block_seconds)
    X(waited_s)
    X(active_s)
    X(num_completed)
    X(num_restarts)
    X(num_batches)
    X(num_requests)
    X(num_tokens)
    X(num_prefill_tokens)
    X(num_decode_batches)
    X(num_decodes)
    X(num_full)
    X(num_blocked)
    X(num_extrapolated)
    X(attention_tokens_squared)
#undef X
}

static struct totals sum_up(const struct vidur_run *run)
{
    struct totals totals = {0};
    for (int32_t i = 0; i < run->num_servers; i++) {
        const struct vidur_server *server = &run->servers[i];
        const struct vidur_replica_account *account = server->replica.account;
        add_counts(&totals.account, account);
        for (int32_t j = 0; j < server->pipeline.num_stages; j++) {
            totals.stage.busy_s += account->stages[j].busy_s;
            totals.stage.communication_s += account->stages[j].communication_s;
        }
        totals.span_s += server->ended_at_s;
    }
    return totals;
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static void fill_rates(const struct vidur_run *run, struct vidur_metrics *metrics)
{
    int64_t output = 0, total = 0;
    for (int64_t i = 0; i < run->requests.count; i++)
        if (run->requests.flags[i] & VIDUR_REQUEST_DONE) {
            output += run->workload->num_decode_tokens[i];
            total += run->workload->num_prefill_tokens[i] +
                     run->workload->num_decode_tokens[i];
        }
    const double time_s = run->ended_at_s;
    metrics->simulated_time_s = time_s;
    metrics->requests_per_s = ratio((double)metrics->num_completed, time_s);
    metrics->output_tokens_per_s = ratio((double)output, time_s);
    metrics->total_tokens_per_s = ratio((double)total, time_s);
}

static void fill_utilization(const struct vidur_run *run, const struct totals *totals,
                             struct vidur_metrics *metrics)
{
    const int stages = run->deployment->num_pipeline_stages;
    const double stage_span_s = totals->span_s * stages;
    /* Every stage runs every batch. */
    const double flops =
        stages * vidur_stage_flops(run->deployment, totals->account.num_tokens,
                                   totals->account.attention_tokens_squared);
    metrics->mfu = vidur_mfu_percent(run->deployment, flops, stage_span_s);
    metrics->busy = 100 * ratio(totals->stage.busy_s, stage_span_s);
    metrics->memory_usage = 100 * ratio(totals->account.block_seconds,
                                        totals->span_s * (double)run->plan->num_blocks);
    metrics->communication_time_fraction =
        ratio(totals->stage.communication_s, totals->stage.busy_s);
    const double active_s = totals->account.active_s * stages;
    metrics->pipeline_idle_fraction =
        stages == 1 ? 0 : fmax(0, ratio(active_s - totals->stage.busy_s, active_s));
    metrics->mean_waiting_requests =
        ratio(totals->account.waited_s, totals->span_s / run->num_servers);
}

static void fill_batches(const struct vidur_replica_account *sum,
                         struct vidur_metrics *metrics)
{
    const double batches = (double)sum->num_batches;
    metrics->num_batches = sum->num_batches;
    metrics->mean_batch_size = ratio((double)sum->num_requests, batches);
    metrics->mean_tokens_per_batch = ratio((double)sum->num_tokens, batches);
    metrics->mean_decode_batch_size =
        ratio((double)sum->num_decodes, (double)sum->num_decode_batches);
    metrics->prefill_token_fraction =
        ratio((double)sum->num_prefill_tokens, (double)sum->num_tokens);
    metrics->full_batch_fraction = ratio((double)sum->num_full, batches);
    metrics->blocked_on_memory_fraction = ratio((double)sum->num_blocked, batches);
}

void vidur_run_metrics(struct vidur_run *run, double *scratch,
                       struct vidur_metrics *metrics)
{
    const struct totals totals = sum_up(run);
    *metrics =
        (struct vidur_metrics){.num_requests = run->requests.count,
                               .num_arrived = run->num_arrived,
                               .num_completed = totals.account.num_completed,
                               .num_restarts = totals.account.num_restarts,
                               .num_extrapolated = totals.account.num_extrapolated,
                               .peak_batch_size = totals.account.peak_batch_size,
                               .peak_holders = totals.account.peak_holders,
                               .stopped_early = run->stopped_early,
                               .time_limited = run->time_limited};
    fill_rates(run, metrics);
    fill_utilization(run, &totals, metrics);
    fill_batches(&totals.account, metrics);
    metrics->violated_slo = violated_slo(run, scratch);
    if (!run->stopped_early && !run->time_limited)
        vidur_judge_sustained(&run->requests, run->options->sustained_fraction,
                              &metrics->sustained);
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++) {
        if (i == VIDUR_LATENCY_tbt) {
            vidur_distribution_of_weighted(&metrics->latency[i], run->gaps->values,
                                           run->gaps->count);
            continue;
        }
        const int64_t count = vidur_request_latencies(&run->requests, run->workload,
                                                      (enum vidur_latency)i, scratch);
        vidur_distribution_of(&metrics->latency[i], scratch, count);
    }
}
