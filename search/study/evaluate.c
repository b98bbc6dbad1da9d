#include "study/evaluate_parts.h"

#include "base/hash.h"
#include "base/progress.h"
#include "results/slo_columns.h"
#include "space/config_parts.h"

#include <vidur/capacity.h>
#include <vidur/scheduler.h>
#include <vidur/simulator.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the time limit, what is left to requests that have arrived; and how few requests
 * are a load at all. */
static const double limit_share_of_arrivals = 0.5;
enum { FEWEST_REQUESTS = 100 };

/* Which places of slo_s and class_s the search's SLOs and classes have. What classes
 * the priorities of a log make is known once it is read. */
static int find_places(struct evaluator *e, struct vidur_error *err)
{
    const struct vidur_search_config *config = e->space->config;
    for (int t = 0; t < config->num_traces; t++) {
        const struct vidur_search_trace *trace = &config->traces[t];
        const struct vidur_workload *workload = e->workloads[t];
        for (int i = 0; i < trace->slos.count; i++)
            slo_columns_add_slo(&e->slo_columns, &trace->slos.slos[i]);
        for (int i = 0; i < workload->num_classes; i++)
            if (!class_columns_add(&e->class_columns, workload->classes[i].name))
                return vidur_fail(err, VIDUR_EINVAL,
                                  "traces.%d: a search takes classes of up to %d "
                                  "names, priorities of logs included; give the logs "
                                  "the same priorities, or search them one by one",
                                  t, VIDUR_MAX_CLASSES);
    }
    return 0;
}

int evaluator_create(struct evaluator **out, const struct vidur_space *space,
                     const struct evaluator_options *options, struct vidur_error *err)
{
    const struct vidur_search_config *config = space->config;
    struct evaluator *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for an evaluator");
    *e = (struct evaluator){.space = space,
                            .options = *options,
                            .estimator = config->estimator,
                            .taken = {.candidate = -1}};
    if (e->estimator.threads == 0)
        e->estimator.threads = options->threads;
    e->workloads = calloc((size_t)config->num_traces, sizeof *e->workloads);
    e->timetables = calloc((size_t)space->num_tables + 1, sizeof *e->timetables);
    e->kernels = vidur_kernel_library_create(err);
    int rc = e->workloads && e->timetables && e->kernels
                 ? 0
                 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for an evaluator");
    for (int i = 0; rc == 0 && i < config->num_traces; i++)
        if (vidur_workload_create(&e->workloads[i], &config->traces[i].workload, err))
            rc = config_fail_workload(config, i, err);
    if (rc == 0)
        rc = find_places(e, err);
    if (rc != 0) {
        evaluator_destroy(e);
        return -1;
    }
    *out = e;
    return 0;
}

void evaluator_destroy(struct evaluator *e)
{
    if (!e)
        return;
    vidur_simulator_destroy(e->simulator);
    for (int i = 0; e->workloads && i < e->space->config->num_traces; i++)
        vidur_workload_destroy(e->workloads[i]);
    for (int i = 0; i < e->num_replicates; i++)
        vidur_workload_destroy(e->replicates[i].workload);
    for (int i = 0; e->timetables && i < e->space->num_tables; i++)
        vidur_timetable_close(e->timetables[i]);
    vidur_kernel_library_destroy(e->kernels);
    free(e->workloads);
    free(e->replicates);
    free(e->alone);
    free(e->timetables);
    free(e);
}

void evaluator_set_pulse(struct evaluator *e, const struct evaluator_pulse *pulse)
{
    e->pulse = pulse;
}

const struct vidur_workload *evaluator_workload(const struct evaluator *e, int trace)
{
    return e->workloads[trace];
}

/* Another seed for the same workload; depends on nothing but the two. */
static uint64_t replicate_seed(uint64_t seed, int replication)
{
    const uint64_t of = (uint64_t)replication;
    uint64_t hash = vidur_fnv1a_string(VIDUR_FNV1A_INIT, "replication");
    hash = vidur_fnv1a(hash, &seed, sizeof seed);
    return vidur_fnv1a(hash, &of, sizeof of);
}

static struct vidur_workload *find_workload(struct evaluator *e, int trace,
                                            int replication, struct vidur_error *err)
{
    if (replication == 0)
        return e->workloads[trace];
    for (int i = 0; i < e->num_replicates; i++)
        if (e->replicates[i].trace == trace &&
            e->replicates[i].replication == replication)
            return e->replicates[i].workload;
    struct replicate *more =
        realloc(e->replicates, ((size_t)e->num_replicates + 1) * sizeof *e->replicates);
    if (!more) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory for a workload");
        return NULL;
    }
    e->replicates = more;
    struct replicate *new = &more[e->num_replicates];
    struct vidur_workload_config config = e->space->config->traces[trace].workload;
    config.seed = replicate_seed(config.seed, replication);
    *new = (struct replicate){.trace = trace, .replication = replication};
    if (vidur_workload_create(&new->workload, &config, err) != 0)
        return NULL;
    e->num_replicates++;
    return new->workload;
}

/* The timetable, opened when it is first needed; NULL: an error. */
static const struct vidur_timetable *evaluator_timetable(struct evaluator *e, int table,
                                                         struct vidur_error *err)
{
    struct vidur_timetable_request request = e->space->tables[table];
    request.library = e->kernels;
    if (!e->timetables[table] &&
        vidur_timetable_open(&e->timetables[table], &e->estimator, &request,
                             e->options.log, err) != 0)
        return NULL;
    return e->timetables[table];
}

int evaluator_open_table(struct evaluator *e, int table, struct evaluator_table *out,
                         struct vidur_error *err)
{
    const struct vidur_timetable *timetable = evaluator_timetable(e, table, err);
    if (!timetable)
        return -1;
    memset(out, 0, sizeof *out);
    snprintf(out->key, sizeof out->key, "%s", timetable->key);
    snprintf(out->provenance, sizeof out->provenance, "%s", timetable->provenance);
    return 0;
}

/* ---- Simulations ---- */

static int on_progress(void *context, double time_s, int64_t num_completed)
{
    const struct evaluator_pulse *pulse = context;
    (void)time_s, (void)num_completed;
    pulse->beat(pulse->self);
    return 0;
}

int evaluator_simulate(const struct evaluator *e, struct evaluator_run *run,
                       struct vidur_metrics *metrics, struct vidur_error *err)
{
    const struct vidur_observer observer = {.context = (void *)(uintptr_t)e->pulse,
                                            .progress = on_progress};
    struct vidur_run_options options = run->options;
    if (e->pulse && e->pulse->beat)
        options.observer = &observer;
    if (e->pulse && e->pulse->stop) {
        options.cancel = e->pulse->stop;
        if (*e->pulse->stop) /* a short run would not look */
            return vidur_fail(err, VIDUR_EINTR, "told to stop");
    }
    return vidur_simulator_run(run->simulator, run->workload, &options, metrics, err);
}

/* The timetable of one of the candidate's pools. */
static const struct vidur_timetable *table_of(struct evaluator *e, int64_t candidate,
                                              int pool, struct vidur_error *err)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    return evaluator_timetable(e, pool == 0 ? c->table : c->second.table, err);
}

int evaluator_open_simulator(struct evaluator *e, const struct evaluator_load *load,
                             struct vidur_simulator **out, struct vidur_error *err)
{
    const int trace = e->space->candidates[load->candidate].trace;
    const struct vidur_timetable *timetables[2] = {0};
    struct vidur_fleet fleet;
    vidur_space_fleet(e->space, load->candidate, load->counts, &fleet);
    for (int i = 0; i < fleet.num_pools; i++) {
        if (!(timetables[i] = table_of(e, load->candidate, i, err)))
            return -1;
        if (load->weights[i] > 0)
            fleet.pools[i].weight = load->weights[i];
    }
    return vidur_simulator_create_fleet(out, &fleet, timetables,
                                        e->workloads[trace]->max_tokens, err);
}

int evaluator_open_replica(struct evaluator *e, int64_t candidate, int pool,
                           struct vidur_simulator **out, struct vidur_error *err)
{
    const int trace = e->space->candidates[candidate].trace;
    const struct vidur_timetable *timetable = table_of(e, candidate, pool, err);
    struct vidur_fleet fleet, alone;
    if (!timetable)
        return -1;
    vidur_space_fleet(e->space, candidate, (struct vidur_pool_counts){1, 1}, &fleet);
    vidur_fleet_of(&alone, &fleet.pools[pool].deployment);
    return vidur_simulator_create_fleet(out, &alone, &timetable,
                                        e->workloads[trace]->max_tokens, err);
}

static bool is_taken(const struct evaluator *e, const struct evaluator_load *load)
{
    const struct evaluator_load *taken = &e->taken;
    return taken->candidate == load->candidate &&
           taken->counts.first == load->counts.first &&
           taken->counts.second == load->counts.second &&
           taken->weights[0] == load->weights[0] &&
           taken->weights[1] == load->weights[1];
}

static int take_candidate(struct evaluator *e, const struct evaluator_load *wanted,
                          struct vidur_error *err)
{
    struct evaluator_load load = *wanted;
    if (load.counts.first == 0)
        load.counts = vidur_candidate_counts(&e->space->candidates[load.candidate]);
    if (is_taken(e, &load))
        return 0;
    vidur_simulator_destroy(e->simulator);
    e->simulator = NULL;
    e->taken.candidate = -1;
    if (evaluator_open_simulator(e, &load, &e->simulator, err) != 0)
        return -1;
    e->taken = load;
    return 0;
}

/* ---- The time limit ---- */

static int64_t arrivals_until(const struct vidur_workload *workload, double time_s)
{
    int64_t count = 0;
    while (count < workload->num_requests && workload->arrived_at_s[count] <= time_s)
        count++;
    return count;
}

/* Leaves the last requests out, so that those before them have time to be served; false
 * where too few would remain. */
static bool shorten(struct vidur_workload *first, double limit_s)
{
    const int64_t count = arrivals_until(first, limit_share_of_arrivals * limit_s);
    if (count < FEWEST_REQUESTS || count == first->num_requests)
        return false;
    first->num_requests = count;
    return true;
}

/* Runs that the limit would cut are made shorter instead. */
static int simulate_in_time(const struct evaluator *e, struct evaluator_run *run,
                            struct vidur_workload *first, struct vidur_metrics *metrics,
                            struct vidur_error *err)
{
    const double limit_s = run->options.time_limit_s;
    const bool reference =
        e->space->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY;
    if (!(limit_s > 0) || reference)
        return evaluator_simulate(e, run, metrics, err);
    const bool too_long = first->arrived_at_s[first->num_requests - 1] > limit_s;
    const bool is_short = too_long && shorten(first, limit_s);
    if (evaluator_simulate(e, run, metrics, err) != 0)
        return -1;
    if (!metrics->time_limited || is_short || !shorten(first, limit_s))
        return 0;
    return evaluator_simulate(e, run, metrics, err);
}

int evaluator_offer(struct vidur_workload *workload, int64_t num_requests, double load,
                    struct vidur_workload *out, struct vidur_error *err)
{
    return workload->concurrency > 0
               ? vidur_workload_offer_clients(workload, num_requests, (int64_t)load,
                                              out, err)
               : vidur_workload_offer(workload, num_requests, load, out, err);
}

int evaluator_run_on(struct evaluator *e, struct vidur_simulator *simulator,
                     const struct evaluator_load *load, struct vidur_metrics *metrics,
                     struct vidur_error *err)
{
    const struct vidur_search_config *config = e->space->config;
    const int trace = e->space->candidates[load->candidate].trace;
    struct vidur_workload *workload = find_workload(e, trace, load->replication, err);
    struct vidur_workload first;
    /* The reference's search looks at how late an overloaded run is. */
    const bool may_stop =
        config->search.stop_early &&
        config->capacity_definition != VIDUR_CAPACITY_SCHEDULING_DELAY;
    if (!workload)
        return -1;
    const int64_t count =
        load->num_requests > 0 ? load->num_requests : workload->num_requests;
    if (evaluator_offer(workload, count, load->qps, &first, err) != 0)
        return -1;
    struct evaluator_run run = {
        .simulator = simulator,
        .workload = &first,
        .options = {.slos = config->traces[trace].slos.slos,
                    .num_slos = config->traces[trace].slos.count,
                    .stop_early = may_stop,
                    .tbt_definition = config->tbt_definition,
                    .time_limit_s = config->search.time_limit_s,
                    .sustained_fraction = config->search.sustained_fraction}};
    return simulate_in_time(e, &run, &first, metrics, err);
}

int evaluator_run(struct evaluator *e, const struct evaluator_load *load,
                  struct vidur_metrics *metrics, struct vidur_error *err)
{
    return take_candidate(e, load, err) != 0
               ? -1
               : evaluator_run_on(e, e->simulator, load, metrics, err);
}

static bool is_sustained(const struct evaluator *e, const struct vidur_metrics *metrics)
{
    return metrics->sustained.kept_up ||
           e->space->config->semantics == VIDUR_SEMANTICS_VIDUR;
}

bool evaluator_is_feasible(const struct evaluator *e,
                           const struct vidur_metrics *metrics)
{
    return metrics->violated_slo < 0 && !metrics->time_limited &&
           is_sustained(e, metrics);
}

/* A run that was stopped before anything was measured tells nothing. */
static double known(const struct vidur_distribution *latency, double value)
{
    return latency->count > 0 ? value : NAN;
}

static void fill_latencies(struct vidur_probe_row *row,
                           const struct vidur_metrics *metrics)
{
    const struct vidur_distribution *latency = metrics->latency;
#define QUANTILES(name)                                                                \
    row->name##_p50_s =                                                                \
        known(&latency[VIDUR_LATENCY_##name], latency[VIDUR_LATENCY_##name].p50);      \
    row->name##_p90_s =                                                                \
        known(&latency[VIDUR_LATENCY_##name], latency[VIDUR_LATENCY_##name].p90);      \
    row->name##_p95_s =                                                                \
        known(&latency[VIDUR_LATENCY_##name], latency[VIDUR_LATENCY_##name].p95);      \
    row->name##_p99_s =                                                                \
        known(&latency[VIDUR_LATENCY_##name], latency[VIDUR_LATENCY_##name].p99)
    QUANTILES(ttft);
    QUANTILES(tbt);
    QUANTILES(tpot);
    QUANTILES(e2e);
    QUANTILES(e2e_normalized);
    QUANTILES(scheduling_delay);
#undef QUANTILES
}

static void fill_slos(const struct evaluator *e, const struct vidur_slo_list *slos,
                      const struct vidur_metrics *metrics, struct vidur_probe_row *row)
{
    for (int i = 0; i < VIDUR_MAX_SLOS; i++)
        row->slo_s[i] = NAN;
    for (int i = 0; i < slos->count; i++) {
        char name[96], column[VIDUR_SLO_COLUMN_NAME];
        vidur_slo_name(&slos->slos[i], name, sizeof name);
        slo_column_of_name(name, vidur_slo_is_joint(&slos->slos[i]), column,
                           sizeof column);
        const int place = slo_columns_find(&e->slo_columns, column);
        if (place >= 0)
            row->slo_s[place] = metrics->slo_value[i];
    }
}

static void fill_class(const struct vidur_class_metrics *class, double *out)
{
#define QUANTILES(name)                                                                \
    out[VIDUR_CLASS_COLUMN_##name##_p50_s] = known(&class->name, class->name.p50);     \
    out[VIDUR_CLASS_COLUMN_##name##_p90_s] = known(&class->name, class->name.p90);     \
    out[VIDUR_CLASS_COLUMN_##name##_p95_s] = known(&class->name, class->name.p95);     \
    out[VIDUR_CLASS_COLUMN_##name##_p99_s] = known(&class->name, class->name.p99)
    out[VIDUR_CLASS_COLUMN_requests] = (double)class->num_requests;
    QUANTILES(ttft);
    QUANTILES(tpot);
#undef QUANTILES
    out[VIDUR_CLASS_COLUMN_goodput_per_s] = class->goodput_per_s;
}

static void fill_classes(const struct evaluator *e,
                         const struct vidur_workload *workload,
                         const struct vidur_metrics *metrics,
                         struct vidur_probe_row *row)
{
    for (int i = 0; i < VIDUR_MAX_CLASSES; i++)
        for (int c = 0; c < VIDUR_NUM_CLASS_COLUMNS; c++)
            row->class_s[i][c] = NAN;
    for (int i = 0; i < metrics->num_classes; i++) {
        const int place =
            class_columns_find(&e->class_columns, workload->classes[i].name);
        if (place >= 0)
            fill_class(&metrics->classes[i], row->class_s[place]);
    }
}

static void fill_load(struct vidur_probe_row *row, const struct vidur_metrics *metrics)
{
#define SAME(name) row->name = metrics->name
    SAME(mfu);
    SAME(memory_usage);
    SAME(busy);
    SAME(output_tokens_per_s);
    SAME(total_tokens_per_s);
    SAME(mean_batch_size);
    SAME(mean_decode_batch_size);
    SAME(mean_tokens_per_batch);
    SAME(prefill_token_fraction);
    SAME(communication_time_fraction);
    SAME(pipeline_idle_fraction);
    SAME(full_batch_fraction);
    SAME(blocked_on_memory_fraction);
    SAME(mean_waiting_requests);
    SAME(goodput_per_s);
    SAME(prefix_hit_rate);
    SAME(num_batches);
    SAME(simulated_time_s);
#undef SAME
    const struct vidur_load_metrics *loads = &metrics->loads;
    row->host_hit_rate = loads->hit_rate;
    row->host_loads = loads->count;
    row->host_load_gb = loads->bytes * 1e-9;
    row->host_load_s = loads->busy_s;
    row->num_requests = metrics->num_requests;
    row->preemptions = metrics->num_restarts;
    row->extrapolated = metrics->num_extrapolated;
    row->simulated_requests = metrics->num_arrived;
}

/* Of two pools: their figures under the names of either kind; NaN of the other. */
static void fill_pools(struct vidur_probe_row *row, const struct vidur_metrics *metrics,
                       bool mixed)
{
    const struct vidur_pool_metrics *first = &metrics->pools[0];
    const struct vidur_pool_metrics *second = &metrics->pools[1];
    const bool all = metrics->num_pools == 2 && mixed;
    const bool two = metrics->num_pools == 2 && !mixed;
    const struct vidur_transfer_metrics *moved = &second->transfers;
#define POOL(name)                                                                     \
    row->prefill_##name = two ? first->name : NAN;                                     \
    row->decode_##name = two ? second->name : NAN;                                     \
    row->first_##name = all ? first->name : NAN;                                       \
    row->second_##name = all ? second->name : NAN
    POOL(busy);
    POOL(mfu);
    POOL(memory_usage);
#undef POOL
    row->transfer_gb_per_s = two ? moved->bytes / 1e9 / metrics->simulated_time_s : NAN;
    row->transfer_wait_s =
        two && moved->count > 0 ? moved->waited_s / (double)moved->count : NAN;
}

/* For what is worked out of a probe later. */
static void keep_pools(struct evaluator_probed *out,
                       const struct vidur_metrics *metrics)
{
    for (int i = 0; i < metrics->num_pools && i < 2; i++)
        out->pools[i] = (struct evaluator_pool){
            .busy = metrics->pools[i].busy,
            .mfu = metrics->pools[i].mfu,
            .num_batches = metrics->pools[i].num_batches,
            .mean_tokens_per_batch = metrics->pools[i].mean_tokens_per_batch};
}

/* The name of the SLO, of a joint one with the latency that most requests miss. */
static void name_violated(const struct vidur_slo_list *slos,
                          const struct vidur_metrics *metrics, char *out, size_t size)
{
    const int i = metrics->violated_slo;
    const enum vidur_latency missed = metrics->slo_missed[i];
    char name[96];
    vidur_slo_name(&slos->slos[i], name, sizeof name);
    if (missed == VIDUR_NUM_LATENCIES)
        snprintf(out, size, "%.*s", (int)size - 1, name);
    else
        snprintf(out, size, "%.40s (%s)", name, vidur_slo_part_name(missed));
}

static void fill_verdict(const struct evaluator *e, const struct vidur_slo_list *slos,
                         struct vidur_probe_row *row,
                         const struct vidur_metrics *metrics)
{
    row->time_limited = metrics->time_limited;
    row->stopped_early = metrics->stopped_early;
    row->feasible = evaluator_is_feasible(e, metrics);
    if (metrics->violated_slo >= 0)
        name_violated(slos, metrics, row->violated_slo, sizeof row->violated_slo);
    else if (metrics->time_limited)
        snprintf(row->violated_slo, sizeof row->violated_slo, "time_limit_s");
    else if (!is_sustained(e, metrics))
        snprintf(row->violated_slo, sizeof row->violated_slo, VIDUR_SUSTAINED);
}

static double find_margin(const struct vidur_slo_list *slos,
                          const struct vidur_metrics *metrics)
{
    double worst = 0;
    for (int i = 0; i < slos->count; i++)
        worst = fmax(worst, metrics->slo_value[i] / slos->slos[i].limit_s);
    return 1 - worst;
}

/* Sessions stay longer than their requests. */
static double mean_stay_s(const struct vidur_workload *workload,
                          const struct vidur_metrics *metrics)
{
    const struct vidur_distribution *e2e = &metrics->latency[VIDUR_LATENCY_e2e];
    return workload->sessions.count > 0 ? metrics->mean_session_s
                                        : known(e2e, e2e->mean);
}

int evaluator_probe(struct evaluator *e, const struct evaluator_load *load,
                    struct evaluator_probed *out, struct vidur_error *err)
{
    struct vidur_probe_row *row = &out->row;
    struct vidur_metrics metrics;
    const double begin_s = vidur_monotonic_s();
    const int trace = e->space->candidates[load->candidate].trace;
    const struct vidur_search_trace *asked = &e->space->config->traces[trace];
    const bool is_closed = e->workloads[trace]->concurrency > 0;
    if (evaluator_run(e, load, &metrics, err) != 0)
        return -1;
    memset(out, 0, sizeof *out);
    out->peak_batch_size = metrics.peak_batch_size;
    out->peak_holders = metrics.peak_holders;
    out->asked_requests = load->num_requests;
    out->sustained = is_sustained(e, &metrics);
    out->margin = find_margin(&asked->slos, &metrics);
    out->mean_stay_s = mean_stay_s(e->workloads[trace], &metrics);
    snprintf(row->candidate_id, sizeof row->candidate_id, "%016" PRIx64,
             e->space->candidates[load->candidate].id);
    row->qps = is_closed ? metrics.requests_per_s : load->qps;
    row->users = is_closed ? (int64_t)load->qps : 0;
    row->replication = load->replication;
    const struct vidur_candidate *c = &e->space->candidates[load->candidate];
    row->num_replicas = vidur_candidate_is_fleet(c) ? 1 : e->taken.counts.first;
    row->first_replicas = vidur_candidate_is_fleet(c) ? e->taken.counts.first : 0;
    row->second_replicas = e->taken.counts.second;
    fill_verdict(e, &asked->slos, row, &metrics);
    fill_latencies(row, &metrics);
    fill_slos(e, &asked->slos, &metrics, row);
    fill_classes(e, e->workloads[trace], &metrics, row);
    fill_load(row, &metrics);
    fill_pools(row, &metrics, vidur_candidate_is_mixed(c));
    keep_pools(out, &metrics);
    row->mpi_rank = e->options.rank;
    row->wall_s = vidur_monotonic_s() - begin_s;
    return 0;
}

bool evaluator_is_same(const struct vidur_space *space, int64_t candidate,
                       const struct evaluator_probed *probed)
{
    const struct vidur_candidate *c = &space->candidates[candidate];
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(space->config->schedulers[c->scheduler].config.type);
    if (!ops->batch_cap_felt_only_when_reached || vidur_candidate_is_fleet(c))
        return false;
    return probed->peak_batch_size < c->batch_size &&
           probed->peak_holders < (int64_t)c->batch_size * c->num_pipeline_stages;
}
