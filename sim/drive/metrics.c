#include "drive/run.h"

#include "drive/objectives.h"
#include "drive/sustained.h"
#include "replica/block_store.h"
#include "steps/mfu.h"

#include <math.h>

/* ---- Verdicts ---- */

/* Requests that have not got as far as the latency needs, and have waited longer than
 * its limit or will wait for ever. */
static int64_t late_unfinished(const struct vidur_run *run, const struct vidur_slo *slo)
{
    int64_t late = 0;
    for (int64_t i = 0; i < run->requests.count; i++) {
        const double value =
            vidur_request_latency(&run->requests, run->workload, slo->metric, i);
        const bool completed = run->requests.flags[i] & VIDUR_REQUEST_DONE;
        if (isnan(value) && !completed)
            late += vidur_request_is_late(run, slo->metric, slo->limit_s, i);
    }
    return late;
}

/* A quantile that a distribution has already; NaN: it has not. */
static double known_quantile(const struct vidur_distribution *d, double quantile)
{
    return quantile == 0.5    ? d->p50
           : quantile == 0.9  ? d->p90
           : quantile == 0.95 ? d->p95
           : quantile == 0.99 ? d->p99
           : quantile == 1    ? d->max
                              : NAN;
}

/* NaN where nothing was measured. `scratch` holds the samples of `d`. */
static double slo_value(const struct vidur_run *run, const struct vidur_slo *slo,
                        const struct vidur_distribution *d, double *scratch)
{
    const bool by_gap = slo->metric == VIDUR_LATENCY_tbt;
    const bool all_there =
        by_gap || run->stopped_early || d->count == run->requests.count;
    const int64_t late = all_there ? 0 : late_unfinished(run, slo);
    if (d->count + late == 0)
        return NAN;
    const double known = late > 0 ? NAN : known_quantile(d, slo->quantile);
    if (!isnan(known))
        return known;
    if (by_gap)
        return vidur_weighted_quantile(run->gaps->values, run->gaps->count,
                                       slo->quantile);
    for (int64_t i = 0; i < late; i++)
        scratch[d->count + i] = INFINITY;
    const double value = vidur_quantile(scratch, d->count + late, slo->quantile);
    if (late > 0) /* the samples are among the late ones now */
        vidur_request_latencies(&run->requests, run->workload, slo->metric, scratch);
    /* an interpolation with a late one may be no number */
    return isnan(value) ? INFINITY : value;
}

/* The latencies, and what the SLOs on them come to. */
static void fill_latencies(const struct vidur_run *run, double *scratch,
                           struct vidur_metrics *metrics)
{
    for (int i = 0; i < VIDUR_MAX_SLOS; i++)
        metrics->slo_value[i] = NAN;
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++) {
        const enum vidur_latency metric = (enum vidur_latency)m;
        struct vidur_distribution *d = &metrics->latency[metric];
        if (metric == VIDUR_LATENCY_tbt)
            vidur_distribution_of_weighted(d, run->gaps->values, run->gaps->count);
        else
            vidur_distribution_of(d, scratch,
                                  vidur_request_latencies(&run->requests, run->workload,
                                                          metric, scratch));
        for (int i = 0; i < run->options->num_slos; i++)
            if (run->options->slos[i].metric == metric &&
                run->options->slos[i].class_number == 0)
                metrics->slo_value[i] =
                    slo_value(run, &run->options->slos[i], d, scratch);
    }
    for (int i = 0; i < run->options->num_slos; i++)
        if (vidur_slo_is_joint(&run->options->slos[i]) ||
            run->options->slos[i].class_number > 0)
            metrics->slo_value[i] =
                vidur_objective_value(run, &run->options->slos[i], scratch);
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

static int violated_slo(const struct vidur_run *run, const double *values)
{
    if (run->stopped_early)
        return run->watch.lost;
    for (int i = 0; i < run->options->num_slos; i++)
        if (values[i] > run->options->slos[i].limit_s)
            return i;
    return run->options->num_slos > 0 && is_stuck(run) ? 0 : -1;
}

/* ---- Totals ---- */

struct totals {
    struct vidur_replica_account account;
    struct vidur_stage_account stage; /* summed over stages */
    double span_s;                    /* over replicas' ranks */
};

/* Of a pool's replicas; NULL: of all. */
static struct totals sum_up(const struct vidur_run *run,
                            const struct vidur_pool_model *pool)
{
    struct totals totals = {0};
    for (int32_t i = 0; i < run->num_ranks; i++) {
        const struct vidur_server *server = &run->servers[i];
        if (pool && server->pool != pool)
            continue;
        const struct vidur_replica_account *account = server->replica.account;
        vidur_account_merge(&totals.account, account);
        for (int32_t j = 0; j < server->pipeline.num_stages; j++) {
            vidur_account_stage(&totals.stage, account->stages[j].busy_s,
                                account->stages[j].communication_s);
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

static void fill_pool(const struct vidur_pool_model *pool, const struct totals *totals,
                      struct vidur_pool_metrics *metrics)
{
    const struct vidur_replica_account *account = &totals->account;
    const int stages = pool->deployment->num_pipeline_stages;
    const double stage_span_s = totals->span_s * stages;
    const double batches = (double)account->num_batches;
    const int num_ranks =
        pool->deployment->num_replicas * pool->deployment->data_parallel_size;
    /* Every stage runs every batch. */
    const double flops =
        stages * vidur_stage_flops(pool->deployment, account->num_tokens,
                                   account->attention_tokens_squared);
    metrics->mfu = vidur_mfu_percent(pool->deployment, flops, stage_span_s);
    metrics->busy = 100 * ratio(totals->stage.busy_s, stage_span_s);
    metrics->memory_usage = 100 * ratio(account->block_seconds,
                                        totals->span_s * (double)pool->plan.num_blocks);
    metrics->communication_time_fraction =
        ratio(totals->stage.communication_s, totals->stage.busy_s);
    const double active_s = account->active_s * stages;
    metrics->pipeline_idle_fraction =
        stages == 1 ? 0 : fmax(0, ratio(active_s - totals->stage.busy_s, active_s));
    metrics->mean_waiting_requests =
        ratio(account->waited_s, totals->span_s / num_ranks);
    metrics->mean_batch_size = ratio((double)account->num_requests, batches);
    metrics->full_batch_fraction = ratio((double)account->num_full, batches);
    metrics->blocked_on_memory_fraction = ratio((double)account->num_blocked, batches);
    metrics->mean_tokens_per_batch = ratio((double)account->num_tokens, batches);
    metrics->num_batches = account->num_batches;
    metrics->num_restarts = account->num_restarts;
    metrics->peak_holders = account->peak_holders;
}

static void fill_utilization(const struct vidur_run *run, struct vidur_metrics *metrics)
{
    double devices = 0;
    for (int i = 0; i < run->num_pools; i++) {
        const struct vidur_pool_model *pool = &run->pools[i];
        const struct totals totals = sum_up(run, pool);
        struct vidur_pool_metrics of_pool = {.transfers = run->transfers.sums[i]};
        fill_pool(pool, &totals, &of_pool);
        if (run->num_pools > 1)
            metrics->pools[metrics->num_pools++] = of_pool;
        const double more = vidur_deployment_num_gpus(pool->deployment);
        devices += more;
        /* the first pool's as they are, so that one pool's are the whole's to the bit
         */
#define X(name) metrics->name += (of_pool.name - metrics->name) * (more / devices);
        VIDUR_POOL_MEANS(X)
#undef X
        metrics->mean_waiting_requests += of_pool.mean_waiting_requests;
    }
}

static double prefix_hit_rate(const struct vidur_run *run)
{
    int64_t hits = 0, tokens = 0;
    for (int32_t i = 0; i < run->num_servers; i++) {
        const struct vidur_block_store *store = run->servers[i].replica.store;
        hits += store ? store->num_hit_tokens : 0;
        tokens += store ? store->num_prompt_tokens : 0;
    }
    return ratio((double)hits, (double)tokens);
}

static void fill_loads(const struct vidur_run *run, struct vidur_load_metrics *loads)
{
    int64_t hits = 0, tokens = 0;
    for (int32_t i = 0; i < run->num_ranks; i++) {
        const struct vidur_server *server = &run->servers[i];
        const struct vidur_block_store *store = server->replica.store;
        const struct vidur_deployment *deployment = server->pool->deployment;
        if (!store || !store->host)
            continue;
        const double devices =
            deployment->tensor_parallel_size * deployment->num_pipeline_stages;
        hits += store->num_host_hit_tokens;
        tokens += store->num_prompt_tokens;
        loads->count += store->host->num_loads;
        loads->bytes += (double)store->host->num_blocks_loaded * store->block_size *
                        server->pool->plan.kv_bytes_per_token * devices;
        loads->busy_s += store->host->busy_s;
        loads->waited_s += store->host->waited_s;
    }
    loads->hit_rate = ratio((double)hits, (double)tokens);
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

/* Sessions as if each were a request: it starts, is served for as long as its turns are
 * and its user thinks, and ends. Returns how many the run has. */
static int32_t sum_up_sessions(const struct vidur_run *run, double *start_s,
                               double *serving_s, double *end_s)
{
    const struct vidur_sessions *sessions = &run->workload->sessions;
    const struct vidur_request_table *table = &run->requests;
    double service_s = 0, turn_s = 0;
    for (int64_t i = 0; i < table->count; i++) {
        const int32_t s = sessions->session[i];
        if (i == 0 || sessions->session[i - 1] != s) {
            start_s[s] = table->arrived_at_s[i];
            end_s[s] = table->completed_at_s[i];
            service_s = turn_s = 0;
        } else if (sessions->turn[i - 1] != sessions->turn[i]) {
            service_s += turn_s + sessions->think_s[i];
            turn_s = 0;
        }
        turn_s = fmax(turn_s, table->completed_at_s[i] - table->scheduled_at_s[i]);
        /* NaN, not completed, stays */
        if (!(table->completed_at_s[i] <= end_s[s]))
            end_s[s] = isnan(end_s[s]) ? NAN : table->completed_at_s[i];
        serving_s[s] = end_s[s] - (service_s + turn_s);
    }
    return sessions->session[table->count - 1] + 1;
}

/* What sessions say of sustained load: turns would say nothing, as they wait for what
 * was served. */
static void judge_sessions(struct vidur_run *run, struct vidur_metrics *metrics)
{
    const int32_t most = run->workload->sessions.count;
    double *start_s = run->session_scratch, *serving_s = start_s + most,
           *end_s = serving_s + most;
    const int32_t count = sum_up_sessions(run, start_s, serving_s, end_s);
    const struct vidur_request_table by_session = {.count = count,
                                                   .arrived_at_s = start_s,
                                                   .scheduled_at_s = serving_s,
                                                   .completed_at_s = end_s};
    double sum_s = 0;
    int64_t ended = 0;
    for (int32_t i = 0; i < count; i++) {
        ended += !isnan(end_s[i]);
        sum_s += isnan(end_s[i]) ? 0 : end_s[i] - start_s[i];
    }
    if (ended > 0)
        metrics->mean_session_s = sum_s / (double)ended;
    if (run->stopped_early || run->time_limited || run->workload->concurrency > 0)
        return;
    vidur_judge_sustained(&by_session, run->options->sustained_fraction,
                          &metrics->sustained);
}

void vidur_run_metrics(struct vidur_run *run, double *scratch,
                       struct vidur_metrics *metrics)
{
    const struct totals totals = sum_up(run, NULL);
    *metrics =
        (struct vidur_metrics){.num_requests = run->requests.count,
                               .num_arrived = run->num_arrived,
                               .num_completed = totals.account.num_completed,
                               .num_restarts = totals.account.num_restarts,
                               .num_extrapolated = totals.account.num_extrapolated,
                               .peak_batch_size = totals.account.peak_batch_size,
                               .peak_holders = totals.account.peak_holders,
                               .mean_session_s = NAN,
                               .stopped_early = run->stopped_early,
                               .time_limited = run->time_limited};
    fill_rates(run, metrics);
    fill_utilization(run, metrics);
    fill_batches(&totals.account, metrics);
    metrics->prefix_hit_rate = prefix_hit_rate(run);
    if (run->has_loads)
        fill_loads(run, &metrics->loads);
    fill_latencies(run, scratch, metrics);
    vidur_fill_objectives(run, scratch, metrics);
    metrics->violated_slo = violated_slo(run, metrics->slo_value);
    if (run->workload->sessions.count > 0)
        judge_sessions(run, metrics);
    if (!run->stopped_early && !run->time_limited && run->workload->concurrency > 0)
        metrics->sustained.kept_up = true; /* clients wait for what they sent */
    else if (!run->stopped_early && !run->time_limited &&
             run->workload->sessions.count == 0)
        vidur_judge_sustained(&run->requests, run->options->sustained_fraction,
                              &metrics->sustained);
}
