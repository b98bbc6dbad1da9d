#include "study_parts.h"

#include "base/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps other than probes; a probe's step is the bits of its load. */
static const uint64_t bound_step = 0;
static const uint64_t table_step = UINT64_MAX;

/* How far the first step from a start goes, in parts of the load: a neighbour's answer
 * is often the answer, a pilot's is near it, the bound is neither. */
static const double stride_from_pilot = 0.1, stride_from_bound = 0.2;

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double value_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Jobs are the tables, then all candidates; -1: a table. */
static int64_t candidate_of(const struct study *study, int64_t job)
{
    return job < study->space->num_tables ? -1 : job - study->space->num_tables;
}

/* ---- The state machine ---- */

bool study_next(void *context, const void *state, uint64_t *step)
{
    const struct study_state *s = state;
    double qps;
    (void)context;
    if (s->ended)
        return false;
    if (s->candidate < 0) {
        *step = table_step;
        return true;
    }
    if (!s->anchored) {
        *step = bound_step;
        return true;
    }
    if (!vidur_capacity_next(&s->capacity, &qps))
        return false;
    *step = bits_of(qps);
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

/* Options are checked when the configuration is read, so that this cannot fail on one
 * rank alone. */
static void begin_capacity(const struct study *study, struct study_state *s,
                           const struct evaluator_bound *bound)
{
    const struct vidur_search_config *config = study->config;
    const int trace = study->space->candidates[s->candidate].trace;
    struct vidur_capacity_options options = {
        .definition = config->capacity_definition,
        .granularity = config->search.granularity,
        .max_iterations = config->search.max_iterations,
        .anchor_qps = bound->qps,
        .floor_qps = evaluator_lowest_qps(study->evaluator, trace),
        .start_qps = s->start_qps > 0 ? s->start_qps : bound->start_qps,
        .first_stride = 1,
        .confirm = config->search.confirm,
        .delay_limit_s = delay_limit(config)};
    if (options.definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        options.start_qps = config->traces[trace].start_qps;
    else if (!(options.start_qps > 0))
        options.first_stride = points_in(config, stride_from_bound);
    else if (!(s->start_qps > 0))
        options.first_stride = points_in(config, stride_from_pilot);
    s->anchored = vidur_capacity_begin(&s->capacity, &options, NULL) == 0;
    s->ended = !s->anchored;
}

void study_tell(void *context, void *state, const void *result)
{
    const struct study *study = context;
    const struct study_result *r = result;
    struct study_state *s = state;
    if (s->candidate < 0) {
        s->ended = true;
    } else if (!s->anchored) {
        begin_capacity(study, s, &r->bound);
    } else {
        struct vidur_capacity_outcome outcome = {
            .feasible = r->probed.row.feasible,
            .delay_s = r->probed.row.scheduling_delay_p99_s};
        if (study->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
            outcome.feasible = !r->probed.row.time_limited &&
                               outcome.delay_s <= delay_limit(study->config);
        vidur_capacity_tell(&s->capacity, &outcome);
    }
}

static bool suppose(void *context, const void *state, int which, void *after)
{
    const struct study_state *s = state;
    struct study_state *a = after;
    (void)context;
    if (s->candidate < 0 || !s->anchored || s->ended)
        return false;
    *a = *s;
    return vidur_capacity_suppose(&s->capacity, which, &a->capacity);
}

/* ---- Steps ---- */

static int run_step(void *context, const struct vidur_farm_step *at,
                    const struct vidur_farm_pulse *pulse, void *result,
                    struct vidur_error *err)
{
    struct study *study = context;
    struct study_result *r = result;
    const int64_t candidate = candidate_of(study, at->job);
    const struct evaluator_pulse own = {pulse->beat, pulse->self, pulse->stop};
    int rc;
    memset(r, 0, sizeof *r);
    evaluator_set_pulse(study->evaluator, &own);
    if (at->step == table_step) {
        r->kind = STUDY_TABLE;
        rc = evaluator_open_table(study->evaluator, (int)at->job, &r->table, err);
    } else if (at->step == bound_step) {
        r->kind = STUDY_BOUND;
        rc = evaluator_bound(study->evaluator, candidate, &r->bound, err);
    } else {
        r->kind = STUDY_PROBE;
        rc = evaluator_probe(study->evaluator, candidate, value_of(at->step),
                             &r->probed, err);
    }
    evaluator_set_pulse(study->evaluator, NULL);
    return rc;
}

/* ---- Rank 0 ---- */

int study_keep_result(struct study *study, int64_t candidate,
                      const struct study_result *result, struct vidur_error *err)
{
    struct study_candidate *c = &study->candidates[candidate];
    c->num_steps++;
    if (result->kind == STUDY_BOUND) {
        c->bound = result->bound;
        return 0;
    }
    if (c->num_probes == c->max_probes) {
        const int wanted = c->max_probes ? 2 * c->max_probes : 8;
        struct evaluator_probed *probes =
            realloc(c->probes, (size_t)wanted * sizeof *probes);
        if (!probes)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for probes");
        c->probes = probes;
        c->max_probes = wanted;
    }
    c->probes[c->num_probes] = result->probed;
    c->probes[c->num_probes].row.probe = c->num_probes;
    c->num_probes++;
    study->num_probes++;
    return 0;
}

/* What an earlier session recorded, told again. */
static void replay(struct study *study, struct study_state *s)
{
    const struct study_candidate *c = &study->candidates[s->candidate];
    struct study_result result = {.kind = STUDY_BOUND, .bound = c->bound};
    uint64_t step;
    if (!s->anchored && c->bound.qps > 0)
        study_tell(study, s, &result);
    result.kind = STUDY_PROBE;
    for (int i = 0; i < c->num_probes && study_next(study, s, &step); i++) {
        result.probed = c->probes[i];
        study_tell(study, s, &result);
    }
    s->ended |= c->failure != NULL;
}

/* The probe of the candidate before that a step would repeat; NULL: none. */
static const struct evaluator_probed *find_same(const struct study *study,
                                                int64_t candidate, uint64_t step)
{
    const int64_t before = study->space->candidates[candidate].before;
    const struct study_candidate *b = &study->candidates[before];
    for (int i = 0; i < b->num_probes; i++)
        if (bits_of(b->probes[i].row.qps) == step &&
            evaluator_is_same(study->space, candidate, &b->probes[i]))
            return &b->probes[i];
    return NULL;
}

/* Goes on with what the candidate before it has shown already: where its batches never
 * came near the smaller size, the simulation would be the same. */
static int borrow(struct study *study, struct study_state *s, struct vidur_error *err)
{
    const uint64_t id = study->space->candidates[s->candidate].id;
    const struct evaluator_probed *same;
    struct study_result result = {.kind = STUDY_PROBE};
    uint64_t step;
    while (s->anchored && study_next(study, s, &step) &&
           (same = find_same(study, s->candidate, step)) != NULL) {
        result.probed = *same;
        struct vidur_probe_row *row = &result.probed.row;
        snprintf(row->candidate_id, sizeof row->candidate_id, "%016" PRIx64, id);
        row->mpi_rank = 0;
        row->wall_s = 0;
        if (study_keep_result(study, s->candidate, &result, err) != 0 ||
            study_note_result(study, s->candidate, &result, err) != 0)
            return -1;
        study->num_borrowed++;
        study_tell(study, s, &result);
    }
    return 0;
}

/* Starts where the candidate before it ended. The bound only sets the search's ends,
 * which matter where every load passes: then the candidate asks for its own. */
static void follow(struct study *study, struct study_state *s,
                   const struct study_candidate *before)
{
    if (!before->answer.found || before->answer.unbounded || !(before->bound.qps > 0))
        return;
    study->candidates[s->candidate].bound = before->bound;
    s->start_qps = before->answer.max_qps;
    begin_capacity(study, s, &before->bound);
}

static int start(void *context, int64_t job, void *state, struct vidur_error *err)
{
    struct study *study = context;
    struct study_state *s = state;
    s->candidate = candidate_of(study, job);
    if (s->candidate < 0)
        return 0;
    const struct vidur_candidate *c = &study->space->candidates[s->candidate];
    s->ended = c->status != VIDUR_CANDIDATE_RUNNABLE;
    if (s->ended)
        return 0;
    if (study->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        begin_capacity(study, s, &(struct evaluator_bound){1, 0});
    else if (c->before >= 0)
        follow(study, s, &study->candidates[c->before]);
    replay(study, s);
    return c->before >= 0 && !s->ended ? borrow(study, s, err) : 0;
}

static int lease(void *context, int64_t job, struct vidur_error *err)
{
    struct study *study = context;
    const int64_t candidate = candidate_of(study, job);
    if (candidate < 0)
        return 0;
    study->candidates[candidate].leased = true;
    return study_note_lease(study, candidate, err);
}

static int fail_changed_times(const struct study *study, int table,
                              const struct evaluator_table *now,
                              struct vidur_error *err)
{
    const struct vidur_timetable_request *request = &study->space->tables[table];
    return vidur_fail(err, VIDUR_EINVAL,
                      "the times of %s on %s, TP %d (%s) changed since this search "
                      "began: their files or this build did; start it anew without "
                      "--resume, or resume with those of then",
                      request->model->name, request->device->name,
                      request->tensor_parallel_size, now->provenance);
}

static int record(void *context, int64_t job, const void *state, const void *result,
                  struct vidur_error *err)
{
    struct study *study = context;
    const struct study_result *r = result;
    const int64_t candidate = candidate_of(study, job);
    (void)state;
    if (candidate >= 0) {
        if (study_keep_result(study, candidate, r, err) != 0)
            return -1;
        return study_note_result(study, candidate, r, err);
    }
    const struct evaluator_table *known = &study->tables[job];
    if (known->key[0] && strcmp(known->key, r->table.key) != 0)
        return fail_changed_times(study, (int)job, &r->table, err);
    study->tables[job] = r->table;
    return study_note_table(study, (int)job, err);
}

static void announce(struct study *study, int64_t candidate)
{
    const struct vidur_search_config *config = study->config;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const struct vidur_probe_row *best = study_best_row(study, candidate);
    if (!best)
        return;
    const double value = best->qps / vidur_space_usd_per_hour(study->space, candidate);
    if (value <= study->best_qps_per_dollar)
        return;
    study->best_qps_per_dollar = value;
    snprintf(study->best, sizeof study->best,
             "best %.3g QPS/($/h): %s %s %s TP%d PP%d b%d", value,
             config->models[c->model].name, config->clusters[c->cluster].device.name,
             config->schedulers[c->scheduler].label, c->tensor_parallel_size,
             c->num_pipeline_stages, c->batch_size);
}

static int finish(void *context, int64_t job, const void *state,
                  const struct vidur_error *failure, struct vidur_error *err)
{
    struct study *study = context;
    const struct study_state *s = state;
    if (s->candidate < 0) {
        if (!failure)
            return 0;
        study->bad_input = true;
        *err = *failure;
        return -1;
    }
    struct study_candidate *c = &study->candidates[s->candidate];
    study->num_finished++;
    if (study->space->candidates[s->candidate].status != VIDUR_CANDIDATE_RUNNABLE) {
        c->finished = true;
        return 0;
    }
    if (failure && !c->failure) {
        c->failure = strdup(failure->text);
        if (!c->failure)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a reason");
    }
    vidur_capacity_answer(&s->capacity, &c->answer);
    if (c->failure)
        c->answer.found = false;
    c->leased = false;
    announce(study, s->candidate);
    (void)job;
    if (c->finished) /* an earlier session's */
        return 0;
    c->finished = true;
    return study_note_finish(study, s->candidate, err);
}

static int lost(void *context, int64_t job, struct vidur_error *err)
{
    struct study *study = context;
    const int64_t candidate = candidate_of(study, job);
    return candidate < 0 ? 0 : study_note_lost(study, candidate, err);
}

static int commit(void *context, struct vidur_error *err)
{
    /* What only probes were lost with is worth a sync a second, not one each. */
    static const double lazy_sync_s = 1;
    struct study *study = context;
    const double now_s = vidur_monotonic_s();
    if (!study->journal)
        return 0;
    const bool durable = study->sync || now_s - study->committed_s > lazy_sync_s;
    if (durable)
        study->committed_s = now_s;
    study->sync = false;
    return journal_commit(study->journal, durable, err);
}

static void progress(void *context, int64_t done, int64_t total)
{
    struct study *study = context;
    (void)done, (void)total;
    if (study->options.progress)
        study->options.progress(study->options.progress_context, study->num_finished,
                                study->space->num_candidates, study->best);
}

struct vidur_farm study_farm(struct study *study, volatile int *stop)
{
    static const struct vidur_farm_ops ops = {.state_bytes = sizeof(struct study_state),
                                              .result_bytes =
                                                  sizeof(struct study_result),
                                              .next = study_next,
                                              .tell = study_tell,
                                              .suppose = suppose,
                                              .run = run_step,
                                              .start = start,
                                              .lease = lease,
                                              .record = record,
                                              .finish = finish,
                                              .lost = lost,
                                              .commit = commit,
                                              .progress = progress};
    return (struct vidur_farm){.ops = &ops,
                               .context = study,
                               .jobs = study->jobs,
                               .num_jobs = study->num_jobs,
                               .max_working_ranks =
                                   study->config->search.max_working_ranks,
                               .speculate = study->config->search.speculate,
                               .stop = stop};
}

/* ---- Jobs ---- */

/* Candidates that are not runnable are jobs too, which start at their end. */
static void list_jobs(struct study *study)
{
    const struct vidur_space *space = study->space;
    const int64_t tables = space->num_tables;
    for (int64_t i = 0; i < tables; i++)
        study->jobs[i] = (struct vidur_farm_job){.after = -1};
    for (int64_t i = 0; i < space->num_candidates; i++) {
        const struct vidur_candidate *c = &space->candidates[i];
        int64_t after = c->table; /* -1 where nothing is to be run */
        if (c->before >= 0)
            after = tables + c->before;
        study->jobs[tables + i] =
            (struct vidur_farm_job){.after = after, .weight = c->weight};
    }
    /* A job weighs as much as all that waits for it. */
    for (int64_t i = study->num_jobs - 1; i >= 0; i--)
        if (study->jobs[i].after >= 0)
            study->jobs[study->jobs[i].after].weight += study->jobs[i].weight;
}

static int study_init(struct study *study, struct vidur_error *err)
{
    const struct vidur_space *space = study->space;
    const size_t jobs = (size_t)(space->num_tables + space->num_candidates);
    study->num_jobs = (int64_t)jobs;
    study->jobs = calloc(jobs + 1, sizeof *study->jobs);
    study->candidates =
        calloc((size_t)space->num_candidates + 1, sizeof *study->candidates);
    study->tables = calloc((size_t)space->num_tables + 1, sizeof *study->tables);
    if (!study->jobs || !study->candidates || !study->tables)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu jobs", jobs);
    list_jobs(study);
    return 0;
}

int study_create(struct study **out, const struct vidur_space *space,
                 const struct study_options *options, struct vidur_error *err)
{
    struct study *study = calloc(1, sizeof *study);
    *out = NULL;
    if (!study)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a study");
    study->space = space;
    study->config = space->config;
    study->options = *options;
    study->committed_s = vidur_monotonic_s();
    const struct evaluator_options own = {options->rank, options->threads,
                                          options->log};
    int rc = evaluator_create(&study->evaluator, space, &own, err);
    if (rc == 0 && options->rank == 0)
        rc = study_init(study, err);
    if (rc != 0) {
        study_destroy(study);
        return -1;
    }
    *out = study;
    return 0;
}

void study_destroy(struct study *study)
{
    if (!study)
        return;
    for (int64_t i = 0; study->candidates && i < study->space->num_candidates; i++) {
        free(study->candidates[i].probes);
        free(study->candidates[i].failure);
    }
    journal_close(study->journal);
    evaluator_destroy(study->evaluator);
    free(study->jobs);
    free(study->candidates);
    free(study->tables);
    free(study);
}
