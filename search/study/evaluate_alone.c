#include "study/evaluate_parts.h"

#include <vidur/capacity.h>

#include <math.h>
#include <stdlib.h>

/*
 * Two pools behind one router: what a replica of each carries alone, which is its
 * weight, by a search of its own. It depends on the candidate and on nothing else, so
 * that no rank, shard or resumption sees another weight.
 */

/* How many loads a replica is tried at alone, at most, and how far the first step
 * goes. */
enum { ALONE_ITERATIONS = 40, REQUESTS_PER_USER = 10 };
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
static int search_alone(struct alone *alone,
                        const struct evaluator_saturated *saturated,
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
        .max_users = alone->load.num_requests > REQUESTS_PER_USER
                         ? alone->load.num_requests / REQUESTS_PER_USER
                         : 1,
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
    struct evaluator_saturated saturated;
    if (known) {
        *out = *known;
        return 0;
    }
    struct evaluator_alone *more =
        realloc(e->alone, ((size_t)e->num_alone + 1) * sizeof *more);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a measurement");
    e->alone = more;
    int rc = evaluator_saturate(e, candidate, pool, &saturated, err);
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

/* The requests in flight where one of the pools carries a target by itself, whichever
 * works on fewer at once; what the pools cost does not matter. */
static double in_flight_of_target(const struct evaluator_alone *of, double target_qps)
{
    double fewest = INFINITY;
    for (int i = 0; i < 2; i++)
        if (of[i].capacity_qps > 0)
            fewest =
                fmin(fewest, target_qps / of[i].capacity_qps * (double)of[i].in_flight);
    return isinf(fewest) ? 0 : fewest;
}

int evaluator_bound_mixed(struct evaluator *e, int64_t candidate,
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
    const double counts[] = {c->num_replicas, c->second.num_replicas};
    double in_flight = 0;
    for (int i = 0; i < 2; i++) {
        in_flight += counts[i] * (double)of[i].in_flight;
        out->qps += counts[i] * (closed ? (double)of[i].in_flight : of[i].bound_qps);
        out->start_qps += counts[i] * of[i].best_load;
        out->capacity_qps[i] = of[i].capacity_qps;
        out->saturated_qps[i] = of[i].bound_qps;
    }
    if (config->target.qps > 0)
        in_flight = in_flight_of_target(of, config->target.qps);
    out->num_requests = most;
    if (config->traces[c->trace].auto_requests) {
        const int64_t count = evaluator_first_part(in_flight);
        out->num_requests = count < most ? count : most;
    }
    return 0;
}
