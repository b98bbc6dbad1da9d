#include "study/study_parts.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/version.h"
#include "space/identity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the journal holds: what the files that the configuration names said when the
 * search began; then sessions (one per run of the program), and in each what was given
 * out, what came back and what was finished. Candidates are named by their id.
 */
enum record_type {
    RECORD_SESSION = 1, /* no payload: a run begins */
    RECORD_END,         /* it ended by itself or on request */
    RECORD_TABLE,
    RECORD_LEASE,
    RECORD_BOUND,
    RECORD_PROBE,
    RECORD_FINISH,
    RECORD_LOST, /* given out, and its rank died: a death that it may be to blame for */
    RECORD_INPUT
};

struct input_record {
    char key[64];
    char sha256[65];
};

struct table_record {
    int64_t index;
    struct evaluator_table table;
};

/* Of which path; every record about one begins with it. */
struct path_name {
    uint64_t id; /* of the candidate */
    int64_t replication;
};

struct lease_record {
    struct path_name path;
    int64_t alone; /* nothing else is in flight until it ends */
};

struct lost_record {
    struct path_name path;
};

struct bound_record {
    struct path_name path;
    struct evaluator_bound bound;
};

struct probe_record {
    struct path_name path;
    struct evaluator_probed probed;
};

struct finish_record {
    struct path_name path;
    int64_t failed;
    char reason[256];
};

static struct journal_identity identity_of(const struct study *study)
{
    struct journal_identity identity = {.num_candidates = study->space->num_candidates};
    const size_t sizes[] = {sizeof(struct table_record), sizeof(struct lease_record),
                            sizeof(struct probe_record), sizeof(struct finish_record)};
    int count;
    const struct vidur_column *columns = vidur_probe_columns(&count);
    snprintf(identity.config_sha256, sizeof identity.config_sha256, "%s",
             study->config->unpriced_sha256);
    snprintf(identity.version, sizeof identity.version, "%s", vidur_version());
    identity.layout = vidur_fnv1a(VIDUR_FNV1A_INIT, sizes, sizeof sizes);
    for (int i = 0; i < count; i++)
        identity.layout = vidur_fnv1a_string(identity.layout, columns[i].name);
    /* Replayed probes must be at the loads that the search would ask for. */
    identity.layout = vidur_fnv1a_string(identity.layout, "loads (1 + granularity)^k");
    /* The shard. What files say has records of its own, so that a changed one is named.
     */
    for (int64_t i = 0; i < study->space->num_candidates; i++) {
        const struct vidur_candidate *c = &study->space->candidates[i];
        const int point[] = {c->model,
                             c->trace,
                             c->cluster,
                             c->scheduler,
                             c->router,
                             c->memory_planner,
                             c->served,
                             c->tensor_parallel_size,
                             c->expert_parallel,
                             c->num_pipeline_stages,
                             c->batch_size,
                             vidur_candidate_is_fleet(c) ? c->num_replicas : 0,
                             c->second.num_replicas,
                             c->second.cluster,
                             c->second.scheduler,
                             c->second.tensor_parallel_size,
                             c->second.num_pipeline_stages,
                             c->second.data_parallel_size,
                             c->second.batch_size,
                             c->second.expert_parallel,
                             c->role};
        identity.space = vidur_fnv1a(identity.space, point, sizeof point);
        if (c->data_parallel_size > 1)
            identity.space =
                vidur_fnv1a(identity.space, &c->data_parallel_size, sizeof(int));
    }
    return identity;
}

/* ---- Writing ---- */

static int append(struct study *study, enum record_type type, const void *payload,
                  size_t bytes, struct vidur_error *err)
{
    if (!study->journal)
        return 0;
    return journal_append(study->journal, type, payload, bytes, err);
}

static uint64_t id_of(const struct study *study, int64_t candidate)
{
    return study->space->candidates[candidate].id;
}

static struct path_name name_of(const struct study *study, int64_t path)
{
    const struct study_path *p = &study->paths[path];
    return (struct path_name){id_of(study, p->candidate), p->replication};
}

static int note_inputs(struct study *study, struct vidur_error *err)
{
    struct identity_input *inputs;
    int count, rc = identity_inputs(study->config, &inputs, &count, err);
    for (int i = 0; rc == 0 && i < count; i++) {
        struct input_record record;
        memset(&record, 0, sizeof record);
        snprintf(record.key, sizeof record.key, "%s", inputs[i].key);
        snprintf(record.sha256, sizeof record.sha256, "%s", inputs[i].sha256);
        rc = append(study, RECORD_INPUT, &record, sizeof record, err);
    }
    free(inputs);
    return rc;
}

static int note_session(struct study *study, struct vidur_error *err)
{
    if (append(study, RECORD_SESSION, "", 0, err) != 0)
        return -1;
    return study->journal ? journal_commit(study->journal, true, err) : 0;
}

int study_note_table(struct study *study, int table, struct vidur_error *err)
{
    struct table_record record;
    memset(&record, 0, sizeof record);
    record.index = table;
    record.table = study->tables[table];
    return append(study, RECORD_TABLE, &record, sizeof record, err);
}

int study_note_lease(struct study *study, int64_t path, struct vidur_error *err)
{
    const struct lease_record record = {name_of(study, path), study->paths[path].alone};
    if (append(study, RECORD_LEASE, &record, sizeof record, err) != 0)
        return -1;
    /* Written before the work begins that may end this process; a killed process's
     * writes are kept by the system. */
    return study->journal ? journal_commit(study->journal, false, err) : 0;
}

int study_note_lost(struct study *study, int64_t path, struct vidur_error *err)
{
    const struct lost_record record = {name_of(study, path)};
    study->sync = true;
    return append(study, RECORD_LOST, &record, sizeof record, err);
}

int study_note_result(struct study *study, int64_t path,
                      const struct study_result *result, struct vidur_error *err)
{
    const struct path_name name = name_of(study, path);
    if (result->kind == STUDY_BOUND) {
        const struct bound_record record = {name, result->bound};
        return append(study, RECORD_BOUND, &record, sizeof record, err);
    }
    struct probe_record record;
    memset(&record, 0, sizeof record);
    record.path = name;
    record.probed = result->probed;
    return append(study, RECORD_PROBE, &record, sizeof record, err);
}

int study_note_finish(struct study *study, int64_t path, struct vidur_error *err)
{
    const char *failure = study->paths[path].failure;
    struct finish_record record;
    memset(&record, 0, sizeof record);
    record.path = name_of(study, path);
    record.failed = failure != NULL;
    snprintf(record.reason, sizeof record.reason, "%s", failure ? failure : "");
    study->sync = true;
    return append(study, RECORD_FINISH, &record, sizeof record, err);
}

/* ---- Reading ---- */

/* Candidates by id, for the records' sake. */
struct id_index {
    uint64_t id;
    int64_t candidate;
};

struct reading {
    struct study *study;
    struct id_index *index;        /* sorted by id */
    struct identity_input *inputs; /* as they are now */
    int num_inputs, inputs_seen;
    bool open;       /* a session has begun and not ended */
    int64_t *leased; /* paths given out in it */
    int64_t num_leased, max_leased;
};

static int compare_ids(const void *a, const void *b)
{
    const struct id_index *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int reading_init(struct reading *r, struct study *study, struct vidur_error *err)
{
    const size_t count = (size_t)study->space->num_candidates;
    *r = (struct reading){.study = study};
    r->index = malloc((count + 1) * sizeof *r->index);
    if (!r->index)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu candidates", count);
    for (size_t i = 0; i < count; i++)
        r->index[i] = (struct id_index){id_of(study, (int64_t)i), (int64_t)i};
    qsort(r->index, count, sizeof *r->index, compare_ids);
    return identity_inputs(study->config, &r->inputs, &r->num_inputs, err);
}

static void reading_fini(struct reading *r)
{
    free(r->index);
    free(r->leased);
    free(r->inputs);
}

/* The path that a record is about; -1: none, or no memory for it. */
static int64_t find(const struct reading *r, const void *payload)
{
    struct path_name name;
    struct id_index key = {0, 0};
    memcpy(&name, payload, sizeof name);
    key.id = name.id;
    const struct id_index *found =
        bsearch(&key, r->index, (size_t)r->study->space->num_candidates,
                sizeof *r->index, compare_ids);
    if (!found || name.replication < 0 || name.replication >= VIDUR_MAX_REPLICATIONS)
        return -1;
    return study_add_path(r->study, found->candidate, (int)name.replication, NULL);
}

static int note_leased(struct reading *r, int64_t path, struct vidur_error *err)
{
    if (r->study->paths[path].leased)
        return 0;
    if (r->num_leased == r->max_leased) {
        const int64_t wanted = r->max_leased ? 2 * r->max_leased : 64;
        int64_t *more = realloc(r->leased, (size_t)wanted * sizeof *more);
        if (!more)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a journal");
        r->leased = more;
        r->max_leased = wanted;
    }
    r->leased[r->num_leased++] = path;
    r->study->paths[path].leased = true;
    return 0;
}

static int fail_damaged(uint32_t type, size_t bytes, struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_ECORRUPT,
                      "the journal has a record (type %u, %zu bytes) that does not "
                      "belong to this search; remove it to start over",
                      type, bytes);
}

/* A candidate that has got further since the last death is not to blame for that. */
static bool is_suspect(const struct study_path *p)
{
    return p->suspect && !p->finished && p->suspect_steps == p->num_steps;
}

/* With others in flight, a death has many suspects; with nothing else, one culprit. */
static void count_death(struct study_path *c)
{
    if (!is_suspect(c))
        c->lone_deaths = 0;
    c->suspect = true;
    c->suspect_steps = c->num_steps;
    c->lone_deaths += c->leased_alone;
}

/* The session ended without a word: whoever was in flight may be to blame. */
static void count_deaths(struct reading *r)
{
    for (int64_t i = 0; i < r->num_leased; i++) {
        struct study_path *c = &r->study->paths[r->leased[i]];
        if (c->leased && !c->finished)
            count_death(c);
    }
}

static void end_session(struct reading *r, bool in_order)
{
    if (r->open && !in_order)
        count_deaths(r);
    for (int64_t i = 0; i < r->num_leased; i++)
        r->study->paths[r->leased[i]].leased = false;
    r->num_leased = 0;
    r->open = false;
}

static int read_result(struct reading *r, uint32_t type, const void *payload,
                       int64_t path, struct vidur_error *err)
{
    struct study_result result = {.kind = STUDY_BOUND};
    if (type == RECORD_BOUND) {
        struct bound_record bound;
        memcpy(&bound, payload, sizeof bound);
        result.bound = bound.bound;
    } else {
        struct probe_record probe;
        memcpy(&probe, payload, sizeof probe);
        result.kind = STUDY_PROBE;
        result.probed = probe.probed;
    }
    return study_keep_result(r->study, path, &result, err);
}

static int read_finish(struct study_path *c, const void *payload,
                       struct vidur_error *err)
{
    struct finish_record record;
    memcpy(&record, payload, sizeof record);
    c->finished = true;
    if (!record.failed)
        return 0;
    record.reason[sizeof record.reason - 1] = 0;
    free(c->failure);
    c->failure = strdup(record.reason);
    return c->failure ? 0 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for a reason");
}

static int read_about_path(struct reading *r, uint32_t type, const void *payload,
                           struct vidur_error *err)
{
    const int64_t path = find(r, payload);
    if (path < 0)
        return fail_damaged(type, 0, err);
    struct study_path *p = &r->study->paths[path];
    if (type == RECORD_FINISH)
        return read_finish(p, payload, err);
    if (type == RECORD_LOST) {
        count_death(p);
        p->leased_alone = false; /* counted, whether rank 0 died, too, or not */
        return 0;
    }
    if (type != RECORD_LEASE)
        return read_result(r, type, payload, path, err);
    struct lease_record record;
    memcpy(&record, payload, sizeof record);
    p->leased_alone = record.alone;
    return note_leased(r, path, err);
}

/* What was recorded under other values is of no use; it is kept all the same. */
static int read_input(struct reading *r, const void *payload, struct vidur_error *err)
{
    struct input_record record;
    memcpy(&record, payload, sizeof record);
    for (int i = 0; i < r->num_inputs; i++) {
        const struct identity_input *input = &r->inputs[i];
        if (strncmp(input->key, record.key, sizeof record.key) != 0)
            continue;
        r->inputs_seen++;
        if (strncmp(input->sha256, record.sha256, sizeof record.sha256) == 0)
            return 0;
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s (%s) changed since this search began; start it anew "
                          "without --resume, or resume with the file as it was",
                          input->path, input->key);
    }
    return fail_damaged(RECORD_INPUT, sizeof record, err);
}

static int read_table(struct study *study, const void *payload, struct vidur_error *err)
{
    struct table_record record;
    memcpy(&record, payload, sizeof record);
    if (record.index < 0 || record.index >= study->space->num_tables)
        return fail_damaged(RECORD_TABLE, sizeof record, err);
    study->tables[record.index] = record.table;
    return 0;
}

static int on_record(void *context, uint32_t type, const void *payload, size_t bytes,
                     struct vidur_error *err)
{
    static const size_t sizes[] = {[RECORD_SESSION] = 0,
                                   [RECORD_END] = 0,
                                   [RECORD_TABLE] = sizeof(struct table_record),
                                   [RECORD_LEASE] = sizeof(struct lease_record),
                                   [RECORD_BOUND] = sizeof(struct bound_record),
                                   [RECORD_PROBE] = sizeof(struct probe_record),
                                   [RECORD_FINISH] = sizeof(struct finish_record),
                                   [RECORD_LOST] = sizeof(struct lost_record),
                                   [RECORD_INPUT] = sizeof(struct input_record)};
    struct reading *r = context;
    if (type < RECORD_SESSION || type > RECORD_INPUT || bytes != sizes[type])
        return fail_damaged(type, bytes, err);
    if (type == RECORD_INPUT)
        return read_input(r, payload, err);
    if (type == RECORD_TABLE)
        return read_table(r->study, payload, err);
    if (type != RECORD_SESSION && type != RECORD_END)
        return read_about_path(r, type, payload, err);
    end_session(r, type == RECORD_END);
    r->open = type == RECORD_SESSION;
    return 0;
}

/* Suspects run alone, after all others; those that too many deaths happened to then are
 * given up. */
static int judge_suspects(struct study *study, struct study_resumed *resumed,
                          struct vidur_error *err)
{
    char text[160];
    const int max_deaths = study->config->search.max_deaths;
    for (int64_t i = 0; i < study->num_paths; i++) {
        struct study_path *c = &study->paths[i];
        resumed->candidates += c->finished && c->replication == 0;
        if (!is_suspect(c))
            continue;
        if (c->lone_deaths < max_deaths) {
            c->alone = true;
            continue;
        }
        snprintf(text, sizeof text,
                 "alone in flight when the search died, %s; see search.max_deaths",
                 vidur_text_counted(c->lone_deaths, "time").text);
        free(c->failure);
        c->failure = strdup(text);
        if (!c->failure)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a reason");
        resumed->given_up++;
    }
    resumed->probes = study->num_probes;
    return 0;
}

int study_begin_journal(struct study *study, const char *path, struct vidur_error *err)
{
    const struct journal_identity identity = identity_of(study);
    study->journal = journal_create(path, &identity, err);
    if (!study->journal || note_inputs(study, err) != 0)
        return -1;
    return note_session(study, err);
}

int study_resume_journal(struct study *study, const char *path,
                         struct study_resumed *resumed, struct vidur_error *err)
{
    const struct journal_identity identity = identity_of(study);
    struct reading reading;
    /* Ranks of a killed run may take a moment to end. */
    struct journal_reading from = {
        .reader = on_record, .context = &reading, .patience_s = 5};
    memset(resumed, 0, sizeof *resumed);
    int rc = reading_init(&reading, study, err);
    if (rc == 0) {
        study->journal = journal_resume(path, &identity, &from, err);
        resumed->cut_bytes = from.cut_bytes;
        resumed->end = from.end;
        memcpy(resumed->damaged, from.kept, sizeof resumed->damaged);
        rc = study->journal ? 0 : -1;
    }
    if (rc == 0) {
        end_session(&reading, false);
        rc = judge_suspects(study, resumed, err);
    }
    if (rc == 0)
        rc = study_hold_replications(study, err);
    if (rc == 0) {
        rc = study_list_jobs(study, err);
        /* A journal that ends behind its first record has nothing else either. */
        if (rc == 0 && reading.inputs_seen < reading.num_inputs)
            rc = note_inputs(study, err);
    }
    reading_fini(&reading);
    return rc == 0 ? note_session(study, err) : -1;
}

int study_end_journal(struct study *study, bool in_order, struct vidur_error *err)
{
    int rc = 0;
    if (study->journal && in_order)
        rc = append(study, RECORD_END, "", 0, err);
    if (study->journal && rc == 0)
        rc = journal_commit(study->journal, true, err);
    journal_close(study->journal);
    study->journal = NULL;
    return rc;
}

void study_remove_journal(struct study *study)
{
    journal_remove(study->journal);
    study->journal = NULL;
}

/* Loads that a candidate is tried at, about: fewer where it starts from a neighbour's
 * answer, more the finer the answer is. */
static double expected_probes(const struct vidur_search_settings *search)
{
    const double coarse = 0.05; /* one less for every doubling from there */
    const double begin = search->warm_start == VIDUR_WARM_NONE ? 8 : 5;
    const double probes = begin + fmax(0, log2(coarse / search->granularity));
    return fmin(probes, search->max_iterations) + search->confirm;
}

/* Probes of further seeds, which begin at an answer. */
static double expected_confirmations(const struct study *study, int64_t runnable)
{
    enum { EACH = 3 };
    const struct vidur_search_config *config = study->config;
    const int64_t groups = (int64_t)config->num_models * config->num_traces;
    const int64_t best = config->search.confirm_top * groups;
    const int64_t confirmed = best < runnable ? best : runnable;
    const double seeds = (double)runnable * (config->search.replications - 1) +
                         (double)confirmed * (VIDUR_CONFIRM_REPLICATIONS - 1);
    return EACH * seeds;
}

int64_t study_expected_bytes(const struct study *study)
{
    /* Of results.h5, compressed; measured over searches of 4 to 450 candidates. */
    enum { FILE_BYTES = 64 << 10, ROW_BYTES = 900, PROBE_BYTES = 120 };
    const struct vidur_space *space = study->space;
    int64_t runnable = 0;
    for (int64_t i = 0; i < space->num_candidates; i++)
        runnable += space->candidates[i].status == VIDUR_CANDIDATE_RUNNABLE;
    const double probes = (double)runnable * expected_probes(&study->config->search) +
                          expected_confirmations(study, runnable);
    const size_t each = journal_record_bytes(sizeof(struct lease_record)) +
                        journal_record_bytes(sizeof(struct bound_record)) +
                        journal_record_bytes(sizeof(struct finish_record));
    const size_t tables = journal_record_bytes(sizeof(struct table_record));
    const double journal =
        (double)runnable * (double)each + (double)space->num_tables * (double)tables +
        probes * (double)journal_record_bytes(sizeof(struct probe_record));
    const double results = FILE_BYTES + 2 * (double)strlen(study->config->text) +
                           (double)space->num_candidates * ROW_BYTES +
                           probes * PROBE_BYTES;
    return (int64_t)(journal + results);
}
