#include "study/evaluate_parts.h"

#include <vidur/capacity.h>
#include <vidur/scheduler.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where a capacity search may begin: the bound on what a candidate serves, a pilot, the
 * number of requests. */

/* How often the bound's requests fill the batch, and how many they are at least. */
enum { BOUND_BATCHES = 4, BOUND_REQUESTS = 512 };

/* The pilot's share of the requests, and how few it makes do with. */
enum {
    PILOT_SHARE = 16,
    PILOT_SHARE_OF_AUTO = 4,
    PILOT_REQUESTS = 500,
    PILOT_ITERATIONS = 20,
    PILOT_STRIDE = 2
};
static const double pilot_granularity = 0.1;

/* A search for a steady state begins with a part of the requests that it is expected to
 * need, so that two answers can be compared; how many it needs in any case. */
enum { FIRST_PART = 4, FEWEST_AUTO_REQUESTS = 8192 };

/* All requests are there from the start, for any simulation's purpose. */
static const double saturating_qps = 1e9;

static int64_t bound_requests(const struct vidur_deployment *deployment,
                              int64_t available, int max_tokens)
{
    struct vidur_memory_plan plan;
    vidur_memory_plan(deployment, max_tokens, &plan);
    int64_t count =
        BOUND_BATCHES * plan.max_batch_size * deployment->data_parallel_size;
    if (count < BOUND_REQUESTS)
        count = BOUND_REQUESTS;
    return count < available ? count : available;
}

/* Where lengths are drawn from a trace, only the workload tells. */
static int check_prompts(const struct vidur_scheduler_config *scheduler,
                         const struct vidur_workload *workload, struct vidur_error *err)
{
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(scheduler->type);
    int longest = 0;
    if (!ops->whole_prompts)
        return 0;
    for (int64_t i = 0; i < workload->num_requests; i++)
        if (workload->num_prefill_tokens[i] > longest)
            longest = workload->num_prefill_tokens[i];
    if (vidur_scheduler_takes_prompt(ops, scheduler, longest))
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s %.0f is below the longest prompt of %d tokens, "
                      "which never runs; raise it",
                      vidur_knob_name(ops->token_budget),
                      vidur_knob_value(scheduler, ops->token_budget), longest);
}

/* What a saturated replica comes to. */
struct saturated {
    double qps;
    int64_t in_flight; /* requests that it worked on at once */
};

/* Nobody thinks: turns follow at once. The pauses are the caller's to free; NULL
 * without sessions. */
static int drop_pauses(struct vidur_workload *workload, double **pauses_s,
                       struct vidur_error *err)
{
    *pauses_s = NULL;
    if (workload->sessions.count == 0)
        return 0;
    *pauses_s = calloc((size_t)workload->num_requests, sizeof **pauses_s);
    if (!*pauses_s)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a load of sessions");
    workload->sessions.think_s = *pauses_s;
    return 0;
}

/* All at once for a simulator, of which the deployment is the part that counts. */
static int run_saturated(struct evaluator *e, struct vidur_simulator *simulator,
                         int trace, const struct vidur_deployment *deployment,
                         struct vidur_metrics *metrics, struct vidur_error *err)
{
    struct vidur_workload *workload = e->workloads[trace];
    struct vidur_workload first;
    const int64_t count =
        bound_requests(deployment, workload->num_requests, workload->max_tokens);
    struct evaluator_run run = {.simulator = simulator, .workload = &first};
    const double all_at_once =
        workload->concurrency > 0 ? (double)count : saturating_qps;
    double *pauses_s;
    if (evaluator_offer(workload, count, all_at_once, &first, err) != 0 ||
        drop_pauses(&first, &pauses_s, err) != 0)
        return -1;
    const int rc = evaluator_simulate(e, &run, metrics, err);
    free(pauses_s);
    return rc;
}

/* One replica, or all pools of a candidate that has two; `alone`: one replica of the
 * pool of that index, -1: none. */
static int saturate(struct evaluator *e, int64_t candidate, int alone,
                    struct saturated *out, struct vidur_error *err)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const bool whole = vidur_candidate_is_fleet(c) && alone < 0;
    const struct evaluator_load load = {
        .candidate = candidate,
        .counts = whole ? vidur_candidate_counts(c) : (struct vidur_pool_counts){1, 0}};
    struct vidur_simulator *simulator = NULL;
    struct vidur_fleet fleet;
    struct vidur_metrics metrics;
    vidur_space_fleet(e->space, candidate, vidur_candidate_counts(c), &fleet);
    const struct vidur_deployment *deployment =
        &fleet.pools[alone > 0 ? alone : 0].deployment;
    if (check_prompts(&deployment->scheduler, e->workloads[c->trace], err) != 0)
        return -1;
    int rc = alone < 0 ? evaluator_open_simulator(e, &load, &simulator, err)
                       : evaluator_open_replica(e, candidate, alone, &simulator, err);
    if (rc == 0)
        rc = run_saturated(e, simulator, c->trace, deployment, &metrics, err);
    vidur_simulator_destroy(simulator);
    if (rc != 0)
        return -1;
    /* the peak is that of one rank of a replica */
    *out = (struct saturated){metrics.requests_per_s,
                              metrics.peak_holders * deployment->data_parallel_size};
    if (whole)
        out->in_flight *= c->num_replicas + c->second.num_replicas;
    if (!(out->qps > 0 && isfinite(out->qps)))
        return vidur_fail(err, VIDUR_EINVAL, "no request was served at any load");
    return 0;
}

struct pilot {
    struct evaluator *evaluator;
    struct evaluator_load load;
};

static int probe_pilot(void *context, double qps,
                       struct vidur_capacity_outcome *outcome, struct vidur_error *err)
{
    struct pilot *pilot = context;
    struct vidur_metrics metrics;
    pilot->load.qps = qps;
    if (evaluator_run(pilot->evaluator, &pilot->load, &metrics, err) != 0)
        return -1;
    outcome->feasible = evaluator_is_feasible(pilot->evaluator, &metrics);
    return 0;
}

/* Leaves *start_qps alone where the workload is too short for a pilot, or nothing
 * passes. */
static int find_start(struct pilot *pilot, double bound_qps, double *start_qps,
                      struct vidur_error *err)
{
    const struct vidur_capacity_options options = {.definition = VIDUR_CAPACITY_SLOS,
                                                   .granularity = pilot_granularity,
                                                   .max_iterations = PILOT_ITERATIONS,
                                                   .anchor_qps = bound_qps,
                                                   .first_stride = PILOT_STRIDE};
    struct vidur_capacity search;
    struct vidur_capacity_answer answer;
    if (pilot->load.num_requests < PILOT_REQUESTS)
        return 0;
    if (vidur_capacity_begin(&search, &options, err) != 0 ||
        vidur_capacity_run(&search, probe_pilot, pilot, err) != 0)
        return -1;
    vidur_capacity_answer(&search, &answer);
    if (answer.found) /* so few requests may be served at any rate */
        *start_qps = fmin(answer.max_qps, bound_qps);
    return 0;
}

int64_t evaluator_requests_for(double in_flight)
{
    const double wanted = fmin(EVALUATOR_STEADY_TURNOVERS * in_flight, 0x1p40);
    int64_t count = FEWEST_AUTO_REQUESTS;
    while ((double)count < wanted)
        count *= 2;
    return count;
}

/* The requests that a search begins with. */
static int64_t first_requests(const struct evaluator *e, int64_t candidate,
                              const struct saturated *saturated)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const struct vidur_search_config *config = e->space->config;
    const int64_t most = e->workloads[c->trace]->num_requests;
    const double target_qps = config->target.qps;
    const double own = vidur_candidate_is_fleet(c) ? 1 : c->num_replicas;
    const double replicas = target_qps > 0 ? target_qps / saturated->qps : own;
    if (!config->traces[c->trace].auto_requests)
        return most;
    const int64_t count =
        evaluator_requests_for((double)saturated->in_flight * replicas) / FIRST_PART;
    return count < most ? count : most;
}

/* ---- Two pools behind one router ---- */

/* How many loads a replica is tried at alone, at most, and how far the first step
 * goes. */
enum { ALONE_ITERATIONS = 40 };
static const double alone_stride = 0.2;

/* A replica's own search. */
struct alone {
    struct evaluator *evaluator;
    struct vidur_simulator *simulator;
    struct evaluator_load load;
    double best_load, served_qps; /* of the largest load that passed */
};

static int probe_alone(void *context, double qps,
                       struct vidur_capacity_outcome *outcome, struct vidur_error *err)
{
    struct alone *alone = context;
    struct vidur_metrics metrics;
    alone->load.qps = qps;
    if (evaluator_run_on(alone->evaluator, alone->simulator, &alone->load, &metrics,
                         err) != 0)
        return -1;
    outcome->feasible = evaluator_is_feasible(alone->evaluator, &metrics);
    if (outcome->feasible && qps > alone->best_load) {
        alone->best_load = qps;
        alone->served_qps = metrics.requests_per_s;
    }
    return 0;
}

/* The largest load that a replica carries within the SLOs, over as many requests as a
 * steady state of it needs. */
static int search_alone(struct alone *alone, const struct saturated *saturated,
                        struct vidur_error *err)
{
    const struct evaluator *e = alone->evaluator;
    const struct vidur_search_config *config = e->space->config;
    const int trace = e->space->candidates[alone->load.candidate].trace;
    const struct vidur_workload *workload = e->workloads[trace];
    const bool closed = workload->concurrency > 0;
    const int64_t wanted = evaluator_requests_for((double)saturated->in_flight);
    const double in_flight = (double)saturated->in_flight;
    alone->load.num_requests =
        wanted < workload->num_requests ? wanted : workload->num_requests;
    const struct vidur_capacity_options options = {
        .definition = closed ? VIDUR_CAPACITY_USERS : VIDUR_CAPACITY_SLOS,
        .granularity = config->search.granularity,
        .max_iterations = ALONE_ITERATIONS,
        .anchor_qps = closed ? in_flight : saturated->qps,
        .max_users = (int64_t)fmax(1, (double)(alone->load.num_requests / 10)),
        .first_stride = (int)fmax(
            1, floor(log(1 + alone_stride) / log(1 + config->search.granularity)))};
    struct vidur_capacity search;
    return vidur_capacity_begin(&search, &options, err) != 0
               ? -1
               : vidur_capacity_run(&search, probe_alone, alone, err);
}

/* A pool's layout, to know it again in another candidate. */
static struct vidur_candidate_pool pool_of(const struct vidur_candidate *c, int pool)
{
    struct vidur_candidate_pool layout = c->second;
    if (pool == 0)
        layout = (struct vidur_candidate_pool){
            .cluster = c->cluster,
            .scheduler = c->scheduler,
            .tensor_parallel_size = c->tensor_parallel_size,
            .num_pipeline_stages = c->num_pipeline_stages,
            .data_parallel_size = c->data_parallel_size,
            .batch_size = c->batch_size,
            .expert_parallel = c->expert_parallel};
    return layout;
}

static bool is_same_replica(const struct vidur_candidate *a, int pool_a,
                            const struct vidur_candidate *b, int pool_b)
{
    const struct vidur_candidate_pool x = pool_of(a, pool_a), y = pool_of(b, pool_b);
    return a->trace == b->trace && a->served == b->served && a->router == b->router &&
           a->memory_planner == b->memory_planner && x.cluster == y.cluster &&
           x.scheduler == y.scheduler &&
           x.tensor_parallel_size == y.tensor_parallel_size &&
           x.num_pipeline_stages == y.num_pipeline_stages &&
           x.data_parallel_size == y.data_parallel_size &&
           x.batch_size == y.batch_size && x.expert_parallel == y.expert_parallel;
}

/* What was measured of the same replica: it would come out the same. */
static const struct evaluator_alone *find_measured(const struct evaluator *e,
                                                   int64_t candidate, int pool)
{
    const struct vidur_candidate *all = e->space->candidates;
    for (int i = 0; i < e->num_alone; i++)
        if (is_same_replica(&all[candidate], pool, &all[e->alone[i].candidate],
                            e->alone[i].pool))
            return &e->alone[i];
    return NULL;
}

static int measure(struct evaluator *e, int64_t candidate, int pool,
                   struct evaluator_alone *out, struct vidur_error *err)
{
    const struct evaluator_alone *known = find_measured(e, candidate, pool);
    struct alone alone = {.evaluator = e, .load = {.candidate = candidate}};
    struct saturated saturated;
    if (known) {
        *out = *known;
        return 0;
    }
    struct evaluator_alone *more =
        realloc(e->alone, ((size_t)e->num_alone + 1) * sizeof *more);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a measurement");
    e->alone = more;
    int rc = saturate(e, candidate, pool, &saturated, err);
    if (rc == 0)
        rc = evaluator_open_replica(e, candidate, pool, &alone.simulator, err);
    if (rc == 0)
        rc = search_alone(&alone, &saturated, err);
    vidur_simulator_destroy(alone.simulator);
    if (rc != 0)
        return -1;
    *out = (struct evaluator_alone){.candidate = candidate,
                                    .pool = pool,
                                    .bound_qps = saturated.qps,
                                    .in_flight = saturated.in_flight,
                                    .best_load = alone.best_load,
                                    .capacity_qps = alone.served_qps};
    if (e->workloads[e->space->candidates[candidate].trace]->concurrency == 0)
        out->capacity_qps = alone.best_load;
    e->alone[e->num_alone++] = *out;
    return 0;
}

/* The second pool's replicas that carry what the first one leaves of a target. */
static double rest_of(const struct vidur_candidate *c, double target_qps,
                      const struct evaluator_alone *of)
{
    const double left = target_qps - c->num_replicas * of[0].capacity_qps;
    return of[1].capacity_qps > 0 ? fmax(1, ceil(left / of[1].capacity_qps)) : 1;
}

static int bound_mixed(struct evaluator *e, int64_t candidate,
                       struct evaluator_bound *out, struct vidur_error *err)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const struct vidur_search_config *config = e->space->config;
    const int64_t most = e->workloads[c->trace]->num_requests;
    const bool closed = e->workloads[c->trace]->concurrency > 0;
    struct evaluator_alone of[2];
    for (int i = 0; i < 2; i++)
        if (measure(e, candidate, i, &of[i], err) != 0)
            return -1;
    const double target_qps = config->target.qps;
    const double counts[] = {c->num_replicas, target_qps > 0
                                                  ? rest_of(c, target_qps, of)
                                                  : c->second.num_replicas};
    double in_flight = 0;
    for (int i = 0; i < 2; i++) {
        in_flight += counts[i] * (double)of[i].in_flight;
        out->qps += counts[i] * (closed ? (double)of[i].in_flight : of[i].bound_qps);
        out->start_qps += counts[i] * of[i].best_load;
        out->capacity_qps[i] = of[i].capacity_qps;
    }
    out->num_requests = most;
    if (config->traces[c->trace].auto_requests) {
        const int64_t count = evaluator_requests_for(in_flight) / FIRST_PART;
        out->num_requests = count < most ? count : most;
    }
    return 0;
}

int evaluator_bound(struct evaluator *e, int64_t candidate, bool pilot,
                    struct evaluator_bound *out, struct vidur_error *err)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const struct vidur_search_config *config = e->space->config;
    const int share =
        config->traces[c->trace].auto_requests ? PILOT_SHARE_OF_AUTO : PILOT_SHARE;
    struct saturated saturated;
    *out = (struct evaluator_bound){0};
    if (vidur_candidate_is_mixed(c))
        return bound_mixed(e, candidate, out, err);
    if (saturate(e, candidate, -1, &saturated, err) != 0)
        return -1;
    const bool closed = e->workloads[c->trace]->concurrency > 0;
    const double each = closed ? (double)saturated.in_flight : saturated.qps;
    const bool whole = config->target.qps > 0 || vidur_candidate_is_fleet(c);
    out->qps = each * (whole ? 1 : c->num_replicas);
    out->num_requests = first_requests(e, candidate, &saturated);
    if (!pilot || closed || config->target.qps > 0) /* the bound says where to begin */
        return 0;
    struct pilot search = {
        e, {.candidate = candidate, .num_requests = out->num_requests / share}};
    return find_start(&search, out->qps, &out->start_qps, err);
}
