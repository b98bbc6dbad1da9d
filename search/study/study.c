#include "study/study_parts.h"

#include "base/progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Jobs are the tables, then all paths; -1: a table. */
static int64_t path_of(const struct study *study, int64_t job)
{
    return job < study->space->num_tables ? -1 : job - study->space->num_tables;
}

/* ---- Rank 0 ---- */

/* The path of the next seed, with what was held back for it. */
static struct study_path next_path(struct study *study, struct study_path *before)
{
    struct study_path path = {.candidate = before->candidate,
                              .replication = before->replication + 1,
                              .next_held = -1};
    if (before->next_held >= 0) {
        struct study_path *held = &study->held[before->next_held];
        before->next_held = -1;
        path = *held;
        held->probes = NULL; /* the new path's now */
        held->failure = NULL;
        study->num_probes += path.num_probes;
    }
    path.next = -1;
    return path;
}

int64_t study_add_path(struct study *study, int64_t candidate, int replication,
                       struct vidur_error *err)
{
    int64_t path = candidate;
    while (study->paths[path].replication < replication) {
        if (study->paths[path].next >= 0) {
            path = study->paths[path].next;
            continue;
        }
        if (study->num_paths == study->max_paths) {
            const int64_t wanted = 2 * study->max_paths;
            struct study_path *more =
                realloc(study->paths, (size_t)wanted * sizeof *more);
            if (!more)
                return vidur_fail(err, VIDUR_ENOMEM, "out of memory for replications");
            study->paths = more;
            study->max_paths = wanted;
        }
        const int64_t new = study->num_paths++;
        study->paths[new] = next_path(study, &study->paths[path]);
        study->paths[path].next = new;
        path = new;
    }
    return path;
}

int study_hold_replications(struct study *study, struct vidur_error *err)
{
    const int64_t first = study->space->num_candidates;
    const size_t count = (size_t)(study->num_paths - first);
    study->held = malloc((count + 1) * sizeof *study->held);
    if (!study->held)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for replications");
    for (int64_t i = 0; i < study->num_paths; i++) {
        struct study_path *p = &study->paths[i];
        p->next_held = p->next < 0 ? -1 : p->next - first;
        p->next = -1;
        if (i >= first)
            study->num_probes -= p->num_probes;
    }
    memcpy(study->held, &study->paths[first], count * sizeof *study->held);
    study->num_held = (int64_t)count;
    study->num_paths = first;
    return 0;
}

int study_keep_result(struct study *study, int64_t path,
                      const struct study_result *result, struct vidur_error *err)
{
    struct study_path *p = &study->paths[path];
    p->num_steps++;
    if (result->kind == STUDY_BOUND) {
        p->bound = result->bound;
        return 0;
    }
    if (p->num_probes == p->max_probes) {
        const int wanted = p->max_probes ? 2 * p->max_probes : 8;
        struct evaluator_probed *probes =
            realloc(p->probes, (size_t)wanted * sizeof *probes);
        if (!probes)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for probes");
        p->probes = probes;
        p->max_probes = wanted;
    }
    p->probes[p->num_probes] = result->probed;
    p->probes[p->num_probes].row.probe = p->num_probes;
    p->num_probes++;
    study->num_probes++;
    return 0;
}

/* Puts the probe that comes next in place `i`; false: it was not recorded. */
static bool fetch_recorded(const struct study *study, const struct study_state *s,
                           struct study_path *p, int i)
{
    const struct evaluator_load load = study_load(study, s);
    for (int at = i; at < p->num_probes; at++) {
        const struct evaluator_probed probed = p->probes[at];
        const struct vidur_pool_counts counts = study_counts(&probed.row);
        if (counts.first != load.counts.first || counts.second != load.counts.second ||
            probed.asked_requests != load.num_requests)
            continue;
        p->probes[at] = p->probes[i];
        p->probes[i] = probed;
        p->probes[i].row.probe = i;
        return true;
    }
    return false;
}

/* Which pairs of counts a search tries depends on what they cost: where that changed,
 * some that were recorded come in another order, and others are of no use. */
static void replay_pairs(struct study *study, struct study_path *p,
                         struct study_state *s)
{
    struct study_result result = {.kind = STUDY_PROBE};
    uint64_t step;
    int i = 0;
    for (; i < p->num_probes && s->anchored && study_next(study, s, &step); i++) {
        if (!fetch_recorded(study, s, p, i))
            break;
        result.probed = p->probes[i];
        study_tell(study, s, &result);
    }
    study->num_probes -= p->num_probes - i;
    p->num_probes = i;
}

/* What an earlier session recorded, told again. */
static void replay(struct study *study, struct study_path *p, struct study_state *s)
{
    struct study_result result = {.kind = STUDY_BOUND, .bound = p->bound};
    uint64_t step;
    if (!s->anchored && p->bound.qps > 0)
        study_tell(study, s, &result);
    if (study_is_for_pair(study, p->candidate)) {
        replay_pairs(study, p, s);
        s->ended |= p->failure != NULL;
        return;
    }
    result.kind = STUDY_PROBE;
    for (int i = 0; i < p->num_probes && study_next(study, s, &step); i++) {
        result.probed = p->probes[i];
        study_tell(study, s, &result);
    }
    s->ended |= p->failure != NULL;
}

/* The probe of the candidate before that the next one would repeat; NULL: none. */
static const struct evaluator_probed *find_same(const struct study *study,
                                                const struct study_state *s)
{
    const int64_t before = study->space->candidates[s->candidate].before;
    const struct study_path *b = &study->paths[before];
    const struct evaluator_load load = study_load(study, s);
    for (int i = 0; i < b->num_probes; i++) {
        const struct evaluator_probed *probed = &b->probes[i];
        if (study_offered(&probed->row) == load.qps &&
            probed->asked_requests == load.num_requests &&
            probed->row.num_replicas == load.counts.first &&
            evaluator_is_same(study->space, s->candidate, probed))
            return probed;
    }
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
           (same = find_same(study, s)) != NULL) {
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
 * which matter where every load passes: then the candidate asks for its own, and so it
 * does where the bound says how many requests to begin with. */
static void follow(struct study *study, struct study_state *s)
{
    const struct vidur_candidate *c = &study->space->candidates[s->candidate];
    const struct study_path *before = &study->paths[c->before];
    if (!before->answer.found || before->answer.unbounded || !(before->bound.qps > 0))
        return;
    s->start_qps = before->answer.max_qps;
    if (study->config->traces[c->trace].auto_requests)
        return;
    study->paths[s->candidate].bound = before->bound;
    study_take_bound(study, s, &before->bound);
}

/* Another seed starts from the answer of the first, with its requests. */
static void start_replication(struct study *study, const struct study_path *p,
                              struct study_state *s)
{
    const struct study_path *own = &study->paths[p->candidate];
    s->ended = !own->answer.found;
    s->bound_qps = own->bound.qps;
    s->num_requests = own->num_requests;
    s->start_qps = own->answer.max_qps;
    s->first_stride = 1;
    for (int i = 0; i < 2; i++)
        s->weights[i] = own->bound.capacity_qps[i];
    for (int i = 0; i < 2; i++)
        s->saturated_qps[i] = own->bound.saturated_qps[i];
    study_begin_again(s, own->best);
    if (!s->ended)
        study_begin_capacity(study, s);
}

static int start(void *context, int64_t job, void *state, struct vidur_error *err)
{
    struct study *study = context;
    struct study_state *s = state;
    const int64_t path = path_of(study, job);
    s->candidate = -1;
    if (path < 0)
        return 0;
    struct study_path *p = &study->paths[path];
    const struct vidur_candidate *c = &study->space->candidates[p->candidate];
    s->candidate = p->candidate;
    s->replication = p->replication;
    s->ended = c->status != VIDUR_CANDIDATE_RUNNABLE;
    if (s->ended)
        return 0;
    if (p->replication > 0)
        start_replication(study, p, s);
    else if (study->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        study_take_bound(study, s, &(struct evaluator_bound){.qps = 1});
    else if (c->before >= 0)
        follow(study, s);
    replay(study, p, s);
    if (p->replication > 0 || c->before < 0 || s->ended)
        return 0;
    return borrow(study, s, err);
}

static int lease(void *context, int64_t job, struct vidur_error *err)
{
    struct study *study = context;
    const int64_t path = path_of(study, job);
    if (path < 0)
        return 0;
    study->paths[path].leased = true;
    return study_note_lease(study, path, err);
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
    const int64_t path = path_of(study, job);
    (void)state;
    if (path >= 0) {
        if (study_keep_result(study, path, r, err) != 0)
            return -1;
        return study_note_result(study, path, r, err);
    }
    const struct evaluator_table *known = &study->tables[job];
    if (known->key[0] && strcmp(known->key, r->table.key) != 0)
        return fail_changed_times(study, (int)job, &r->table, err);
    study->tables[job] = r->table;
    return study_note_table(study, (int)job, err);
}

/* Whether a path's answer is the best so far: one with a price beats all without. */
static bool is_new_best(struct study *study, const struct vidur_probe_row *row,
                        double usd_per_hour, int gpus)
{
    const bool priced = !isnan(usd_per_hour);
    const double value = priced ? row->qps / usd_per_hour : row->qps / gpus;
    double *best = priced ? &study->best_qps_per_dollar : &study->best_qps_per_gpu;
    if (value <= *best || (!priced && study->best_qps_per_dollar > 0))
        return false;
    *best = value;
    return true;
}

static void announce(struct study *study, int64_t path)
{
    const struct vidur_search_config *config = study->config;
    const struct vidur_candidate *c =
        &study->space->candidates[study->paths[path].candidate];
    const struct evaluator_probed *best = study_best_probe(study, path);
    if (!best)
        return;
    const double usd_per_hour = study_usd_per_hour(study, path);
    const int gpus = vidur_candidate_gpus(c, study_path_counts(study, path));
    if (!is_new_best(study, &best->row, usd_per_hour, gpus))
        return;
    char ranks[24] = "";
    if (c->data_parallel_size > 1)
        snprintf(ranks, sizeof ranks, " DP%d", c->data_parallel_size);
    snprintf(
        study->best, sizeof study->best, "best %.3g QPS/%s: %s %s %s TP%d%s%s PP%d b%d",
        best->row.qps / (isnan(usd_per_hour) ? gpus : usd_per_hour),
        isnan(usd_per_hour) ? "GPU" : "($/h)", config->models[c->model].name,
        config->clusters[c->cluster].device.name,
        config->schedulers[c->scheduler].label, c->tensor_parallel_size,
        c->expert_parallel ? " EP" : "", ranks, c->num_pipeline_stages, c->batch_size);
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
    const int64_t path = path_of(study, job);
    struct study_path *p = &study->paths[path];
    study->num_finished++;
    if (study->space->candidates[s->candidate].status != VIDUR_CANDIDATE_RUNNABLE) {
        p->finished = true;
        return 0;
    }
    if (failure && !p->failure) {
        p->failure = strdup(failure->text);
        if (!p->failure)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a reason");
    }
    study_answer(study, s, &p->answer);
    p->best = s->best;
    p->num_requests = s->num_requests;
    if (p->failure)
        p->answer.found = false;
    p->leased = false;
    announce(study, path);
    if (p->finished) /* an earlier session's */
        return 0;
    p->finished = true;
    return study_note_finish(study, path, err);
}

static int lost(void *context, int64_t job, struct vidur_error *err)
{
    struct study *study = context;
    const int64_t path = path_of(study, job);
    return path < 0 ? 0 : study_note_lost(study, path, err);
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
                                study->num_paths, study->best);
}

/* ---- Jobs ---- */

/* Those of the paths from `first` on. Candidates that are not runnable are jobs too,
 * which start at their end. */
static void list_paths(struct study *study, int64_t first)
{
    const struct vidur_space *space = study->space;
    const int64_t tables = space->num_tables;
    for (int64_t i = first; i < study->num_paths; i++) {
        const struct study_path *p = &study->paths[i];
        const struct vidur_candidate *c = &space->candidates[p->candidate];
        int64_t after = c->table; /* -1 where nothing is to be run */
        if (p->replication > 0)
            after = tables + p->candidate;
        else if (c->before >= 0)
            after = tables + c->before;
        study->jobs[tables + i] = (struct vidur_farm_job){
            .after = after, .weight = c->weight, .alone = p->alone};
    }
}

static int fit_jobs(struct study *study, struct vidur_error *err)
{
    const size_t count = (size_t)(study->space->num_tables + study->num_paths);
    struct vidur_farm_job *jobs = realloc(study->jobs, (count + 1) * sizeof *jobs);
    if (!jobs)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu jobs", count);
    study->jobs = jobs;
    return 0;
}

int study_list_jobs(struct study *study, struct vidur_error *err)
{
    const int64_t tables = study->space->num_tables;
    if (fit_jobs(study, err) != 0)
        return -1;
    for (int64_t i = 0; i < tables; i++)
        study->jobs[i] = (struct vidur_farm_job){.after = -1};
    list_paths(study, 0);
    /* A job weighs as much as all that waits for it. */
    for (int64_t i = tables + study->num_paths - 1; i >= 0; i--)
        if (study->jobs[i].after >= 0)
            study->jobs[study->jobs[i].after].weight += study->jobs[i].weight;
    return 0;
}

static int more(void *context, const struct vidur_farm_job **jobs, int64_t *num_jobs,
                struct vidur_error *err)
{
    struct study *study = context;
    const int64_t first = study->num_paths;
    if (study_add_replications(study, err) != 0 || fit_jobs(study, err) != 0)
        return -1;
    list_paths(study, first);
    *jobs = study->jobs;
    *num_jobs = study->space->num_tables + study->num_paths;
    return 0;
}

struct vidur_farm study_farm(struct study *study, volatile int *stop)
{
    static const struct vidur_farm_ops ops = {.state_bytes = sizeof(struct study_state),
                                              .result_bytes =
                                                  sizeof(struct study_result),
                                              .next = study_next,
                                              .tell = study_tell,
                                              .suppose = study_suppose,
                                              .run = study_run,
                                              .start = start,
                                              .lease = lease,
                                              .record = record,
                                              .finish = finish,
                                              .lost = lost,
                                              .more = more,
                                              .commit = commit,
                                              .progress = progress};
    return (struct vidur_farm){.ops = &ops,
                               .context = study,
                               .jobs = study->jobs,

                               .num_jobs = study->space->num_tables + study->num_paths,
                               .max_working_ranks =
                                   study->config->search.max_working_ranks,
                               .speculate = study->config->search.speculate,
                               .stop = stop};
}

/* ---- The study ---- */

static int study_init(struct study *study, struct vidur_error *err)
{
    const struct vidur_space *space = study->space;
    const size_t count = (size_t)space->num_candidates;
    study->max_paths = space->num_candidates + 1;
    study->paths = calloc((size_t)study->max_paths, sizeof *study->paths);
    study->tables = calloc((size_t)space->num_tables + 1, sizeof *study->tables);
    if (!study->paths || !study->tables)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu candidates", count);
    study->num_paths = space->num_candidates;
    for (int64_t i = 0; i < study->num_paths; i++)
        study->paths[i] =
            (struct study_path){.candidate = i, .next = -1, .next_held = -1};
    return study_list_jobs(study, err);
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

static void free_paths(struct study_path *paths, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        free(paths[i].probes);
        free(paths[i].failure);
    }
    free(paths);
}

void study_destroy(struct study *study)
{
    if (!study)
        return;
    free_paths(study->paths, study->num_paths);
    free_paths(study->held, study->num_held);
    journal_close(study->journal);
    evaluator_destroy(study->evaluator);
    free(study->jobs);
    free(study->tables);
    free(study);
}
