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

/* A simulator, and what of it counts. */
struct saturation {
    struct vidur_simulator *simulator;
    const struct vidur_deployment *deployment;
    int trace;
};

/* All requests at once. */
static int run_saturated(struct evaluator *e, const struct saturation *of,
                         struct vidur_metrics *metrics, struct vidur_error *err)
{
    struct vidur_workload *workload = e->workloads[of->trace];
    struct vidur_workload first;
    const int64_t count =
        bound_requests(of->deployment, workload->num_requests, workload->max_tokens);
    struct evaluator_run run = {.simulator = of->simulator, .workload = &first};
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

int evaluator_saturate(struct evaluator *e, int64_t candidate, int alone,
                       struct evaluator_saturated *out, struct vidur_error *err)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const bool whole = vidur_candidate_is_fleet(c) && alone < 0;
    const struct evaluator_load load = {
        .candidate = candidate,
        .counts = whole ? vidur_candidate_counts(c) : (struct vidur_pool_counts){1, 0}};
    struct vidur_fleet fleet;
    struct vidur_metrics metrics;
    vidur_space_fleet(e->space, candidate, vidur_candidate_counts(c), &fleet);
    struct saturation of = {.deployment =
                                &fleet.pools[alone > 0 ? alone : 0].deployment,
                            .trace = c->trace};
    if (check_prompts(&of.deployment->scheduler, e->workloads[c->trace], err) != 0)
        return -1;
    int rc = alone < 0
                 ? evaluator_open_simulator(e, &load, &of.simulator, err)
                 : evaluator_open_replica(e, candidate, alone, &of.simulator, err);
    if (rc == 0)
        rc = run_saturated(e, &of, &metrics, err);
    vidur_simulator_destroy(of.simulator);
    if (rc != 0)
        return -1;
    /* the peak is that of one rank of a replica */
    *out = (struct evaluator_saturated){metrics.requests_per_s,
                                        metrics.peak_holders *
                                            of.deployment->data_parallel_size};
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

int64_t evaluator_first_part(double in_flight)
{
    return evaluator_requests_for(in_flight) / FIRST_PART;
}

/* The requests that a search begins with. */
static int64_t first_requests(const struct evaluator *e, int64_t candidate,
                              const struct evaluator_saturated *saturated)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const struct vidur_search_config *config = e->space->config;
    const int64_t most = e->workloads[c->trace]->num_requests;
    const double target_qps = config->target.qps;
    const double own = vidur_candidate_is_fleet(c) ? 1 : c->num_replicas;
    const double replicas = target_qps > 0 ? target_qps / saturated->qps : own;
    if (!config->traces[c->trace].auto_requests)
        return most;
    const int64_t count = evaluator_first_part((double)saturated->in_flight * replicas);
    return count < most ? count : most;
}

int evaluator_bound(struct evaluator *e, int64_t candidate, bool pilot,
                    struct evaluator_bound *out, struct vidur_error *err)
{
    const struct vidur_candidate *c = &e->space->candidates[candidate];
    const struct vidur_search_config *config = e->space->config;
    const int share =
        config->traces[c->trace].auto_requests ? PILOT_SHARE_OF_AUTO : PILOT_SHARE;
    struct evaluator_saturated saturated;
    *out = (struct evaluator_bound){0};
    if (vidur_candidate_is_mixed(c))
        return evaluator_bound_mixed(e, candidate, out, err);
    if (evaluator_saturate(e, candidate, -1, &saturated, err) != 0)
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
