#include "study/study_parts.h"

#include <math.h>

/*
 * The path of one capacity search: which step comes next, and where a result leads.
 * Pure: any rank can follow it, and a journal can be replayed.
 *
 * Where the number of requests is `auto`, the search is repeated with more of them,
 * from the answer that it had, until the arrivals last many times as long as a request
 * stays and the answer is that of the search before, or there are no more.
 */

static const uint64_t bound_step = 0;
static const uint64_t table_step = UINT64_MAX;

/* How far the first step from a start goes, in parts of the load: a neighbour's answer
 * is often the answer, a pilot's is near it, the bound is neither. */
static const double stride_from_pilot = 0.1, stride_from_bound = 0.2;

/* Answers with more and with fewer requests that are so near are the same. */
static const double stable_part = 0.05;

/* A client's requests, at least: the first ones start together and the last ones end
 * beside idle clients. */
enum { REQUESTS_PER_USER = 10 };

/* By how much the number of requests grows where the answer was not stable. */
enum { GROWTH = 4 };

static const struct vidur_candidate *candidate_of(const struct study *study,
                                                  const struct study_state *s)
{
    return &study->space->candidates[s->candidate];
}

bool study_is_closed(const struct study *study, int64_t candidate)
{
    const int trace = study->space->candidates[candidate].trace;
    return evaluator_workload(study->evaluator, trace)->concurrency > 0;
}

static enum study_step kind_of(const struct study_state *s)
{
    return s->candidate < 0 ? STUDY_TABLE : s->anchored ? STUDY_PROBE : STUDY_BOUND;
}

bool study_next(void *context, const void *state, uint64_t *step)
{
    const struct study_state *s = state;
    struct vidur_pool_counts counts;
    double qps;
    if (s->ended)
        return false;
    if (kind_of(s) != STUDY_PROBE) {
        *step = s->candidate < 0 ? table_step : bound_step;
        return true;
    }
    if (study_seeks_pair(context, s)) {
        if (!study_next_pair(context, s, &counts))
            return false;
        *step = study_name_pair(s, counts);
        return true;
    }
    if (!vidur_capacity_next(&s->capacity, &qps))
        return false;
    *step = vidur_capacity_name(&s->capacity) + ((uint64_t)s->growths << 40) +
            ((uint64_t)s->phase << 60);
    return true;
}

static double delay_limit(const struct vidur_search_config *config)
{
    for (int i = 0; i < config->num_slos; i++)
        if (config->slos[i].metric == VIDUR_LATENCY_scheduling_delay &&
            config->slos[i].quantile == 0.99)
            return config->slos[i].limit_s;
    return NAN;
}

/* Lattice points in a relative step. */
static int points_in(const struct vidur_search_config *config, double part)
{
    return (int)fmax(1, floor(log(1 + part) / log(1 + config->search.granularity)));
}

/* The replicas that share a load of `target` QPS so that each has `qps`. */
static int replicas_for(double target_qps, double qps, int most)
{
    return (int)fmin(fmax(ceil(target_qps / qps * (1 - 1e-9)), 1), most);
}

static void aim_at_target(const struct study *study, const struct study_state *s,
                          struct vidur_capacity_options *options)
{
    const struct vidur_candidate *c = candidate_of(study, s);
    const struct vidur_search_target *target = &study->config->target;
    const double qps = s->start_qps > 0 ? s->start_qps : s->bound_qps;
    options->definition = VIDUR_CAPACITY_REPLICAS;
    options->target_qps = target->qps;
    options->first_stride = 1;
    options->confirm = 0;
    if (vidur_candidate_is_fleet(c)) {
        study_aim_pools(study, s, options);
        return;
    }
    options->max_replicas = target->max_gpus / vidur_candidate_devices(c);
    options->start_replicas = replicas_for(target->qps, qps, options->max_replicas);
}

void study_begin_capacity(const struct study *study, struct study_state *s)
{
    const struct vidur_search_config *config = study->config;
    if (study_seeks_pair(study, s)) {
        study_begin_pair(s);
        return;
    }
    struct vidur_capacity_options options = {.definition = config->capacity_definition,
                                             .granularity = config->search.granularity,
                                             .max_iterations =
                                                 config->search.max_iterations,
                                             .anchor_qps = s->bound_qps,
                                             .start_qps = s->start_qps,
                                             .first_stride = s->first_stride,
                                             .confirm = config->search.confirm,
                                             .delay_limit_s = delay_limit(config)};
    if (study_is_closed(study, s->candidate)) {
        options.definition = VIDUR_CAPACITY_USERS;
        options.max_users = s->num_requests > REQUESTS_PER_USER
                                ? s->num_requests / REQUESTS_PER_USER
                                : 1;
    } else if (config->target.qps > 0)
        aim_at_target(study, s, &options);
    else if (options.definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        options.start_qps = config->traces[candidate_of(study, s)->trace].start_qps;
    /* Options are checked when the configuration is read, so that this cannot fail on
     * one rank alone. */
    s->anchored = vidur_capacity_begin(&s->capacity, &options, NULL) == 0;
    s->ended = !s->anchored;
}

void study_take_bound(const struct study *study, struct study_state *s,
                      const struct evaluator_bound *bound)
{
    const struct vidur_candidate *c = candidate_of(study, s);
    s->bound_qps = bound->qps;
    s->num_requests = bound->num_requests;
    s->first_stride = 1;
    for (int i = 0; i < 2; i++) {
        s->weights[i] = bound->capacity_qps[i];
        s->saturated_qps[i] = bound->saturated_qps[i];
        s->needed[i] = c->needed[i];
    }
    s->hopeless =
        vidur_candidate_is_mixed(c) && !(s->weights[0] > 0 && s->weights[1] > 0);
    s->ended |= s->hopeless;
    if (s->ended)
        return;
    if (!(s->start_qps > 0)) {
        s->start_qps = bound->start_qps;
        s->first_stride =
            points_in(study->config,
                      bound->start_qps > 0 ? stride_from_pilot : stride_from_bound);
    }
    study_begin_capacity(study, s);
}

/* The requests in flight at the answer, by Little's law. */
static double in_flight(const struct study *study, const struct study_state *s,
                        const struct vidur_capacity_answer *answer)
{
    const double target_qps = study->config->target.qps;
    if (study_is_closed(study, s->candidate))
        return answer->max_qps;
    return (target_qps > 0 ? target_qps : answer->max_qps) * s->pass_e2e_s;
}

static bool is_stable(const struct study *study, const struct study_state *s,
                      const struct vidur_capacity_answer *answer)
{
    return s->last_qps > 0 && fabs(answer->max_qps / s->last_qps - 1) <=
                                  fmax(stable_part, study->config->search.granularity);
}

void study_begin_again(struct study_state *s, struct vidur_pool_counts from)
{
    s->best = (struct vidur_pool_counts){0, 0};
    s->from = from;
    s->needed[0] = from.first;
    s->needed[1] = from.second;
    s->phase = STUDY_BOTH;
    s->exhausted = s->unreachable = false;
}

/* Goes on with more requests, where a search has ended with too few. */
static void grow(const struct study *study, struct study_state *s)
{
    const int trace = candidate_of(study, s)->trace;
    const int64_t most = evaluator_workload(study->evaluator, trace)->num_requests;
    struct vidur_capacity_answer answer;
    study_answer(study, s, &answer);
    if (!study->config->traces[trace].auto_requests || s->replication > 0 ||
        !answer.found || s->num_requests >= most)
        return;
    if (study_seeks_pair(study, s))
        answer.max_qps = study_expected(study, s, s->best);
    int64_t wanted = evaluator_requests_for(in_flight(study, s, &answer));
    if (answer.unbounded || !is_stable(study, s, &answer))
        wanted = wanted > GROWTH * s->num_requests ? wanted : GROWTH * s->num_requests;
    if (wanted <= s->num_requests)
        return;
    s->num_requests = wanted < most ? wanted : most;
    s->last_qps = s->start_qps = answer.max_qps;
    s->first_stride = 1;
    s->growths++;
    study_begin_again(s, s->best);
    study_begin_capacity(study, s);
}

/* All pairs that cost less are looked at once, with requests enough. */
static void tell_pair(const struct study *study, struct study_state *s,
                      const struct evaluator_probed *probed)
{
    const bool thorough = s->pairs.thorough;
    const int growths = s->growths;
    struct vidur_pool_counts next;
    study_tell_pair(study, s, probed->row.feasible);
    if (probed->row.feasible)
        s->pass_e2e_s = probed->mean_stay_s;
    if (study_next_pair(study, s, &next))
        return;
    if (!thorough)
        grow(study, s);
    if (s->growths == growths)
        study_pair_goes_on(study, s);
}

static void tell_probe(const struct study *study, struct study_state *s,
                       const struct evaluator_probed *probed)
{
    struct vidur_capacity_outcome outcome = {.feasible = probed->row.feasible,
                                             .delay_s =
                                                 probed->row.scheduling_delay_p99_s};
    struct vidur_capacity_answer answer;
    double qps, more;
    if (!vidur_capacity_next(&s->capacity, &qps))
        return;
    if (study->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        outcome.feasible = !probed->row.time_limited && probed->sustained &&
                           outcome.delay_s <= delay_limit(study->config);
    vidur_capacity_tell(&s->capacity, &outcome);
    vidur_capacity_answer(&s->capacity, &answer);
    if (answer.found && answer.max_qps == qps) {
        s->pass_e2e_s = probed->mean_stay_s;
        s->best = study_counts(&probed->row);
    }
    if (!vidur_capacity_next(&s->capacity, &more) && !study_target_goes_on(study, s))
        grow(study, s);
}

void study_tell(void *context, void *state, const void *result)
{
    const struct study *study = context;
    const struct study_result *r = result;
    struct study_state *s = state;
    switch (kind_of(s)) {
    case STUDY_TABLE:
        s->ended = true;
        break;
    case STUDY_BOUND:
        study_take_bound(study, s, &r->bound);
        break;
    case STUDY_PROBE:
        if (study_seeks_pair(study, s))
            tell_pair(study, s, &r->probed);
        else
            tell_probe(study, s, &r->probed);
        break;
    }
}

bool study_suppose(void *context, const void *state, int which, void *after)
{
    const struct study_state *s = state;
    struct study_state *a = after;
    if (kind_of(s) != STUDY_PROBE || s->ended)
        return false;
    *a = *s;
    if (study_seeks_pair(context, s)) {
        if (which > 1)
            return false;
        study_tell_pair(context, a, which == 0);
        return true;
    }
    return vidur_capacity_suppose(&s->capacity, which, &a->capacity);
}

struct evaluator_load study_load(const struct study *study, const struct study_state *s)
{
    struct evaluator_load load = {.candidate = s->candidate,
                                  .replication = s->replication,
                                  .counts = study_target_counts(study, s),
                                  .weights = {s->weights[0], s->weights[1]},
                                  .num_requests = s->num_requests};
    vidur_capacity_next(&s->capacity, &load.qps);
    if (study->config->target.qps > 0)
        load.qps = study->config->target.qps;
    return load;
}

int study_run(void *context, const struct vidur_farm_step *at,
              const struct vidur_farm_pulse *pulse, void *result,
              struct vidur_error *err)
{
    struct study *study = context;
    struct study_result *r = result;
    const struct study_state *s = at->state;
    const struct evaluator_pulse own = {pulse->beat, pulse->self, pulse->stop};
    int rc = 0;
    *r = (struct study_result){.kind = kind_of(s)};
    evaluator_set_pulse(study->evaluator, &own);
    if (r->kind == STUDY_TABLE) {
        rc = evaluator_open_table(study->evaluator, (int)at->job, &r->table, err);
    } else if (r->kind == STUDY_BOUND) {
        rc = evaluator_bound(study->evaluator, s->candidate, !(s->start_qps > 0),
                             &r->bound, err);
    } else {
        const struct evaluator_load load = study_load(study, s);
        rc = evaluator_probe(study->evaluator, &load, &r->probed, err);
    }
    evaluator_set_pulse(study->evaluator, NULL);
    return rc;
}
