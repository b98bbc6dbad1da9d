#include "study_parts.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What the journal holds: sessions (one per run of the program), and in each what was
 * given out, what came back and what was finished. Candidates are named by their id.
 */
enum record_type {
    RECORD_SESSION = 1, /* no payload: a run begins */
    RECORD_END,         /* it ended by itself or on request */
    RECORD_TABLE,
    RECORD_LEASE,
    RECORD_BOUND,
    RECORD_PROBE,
    RECORD_FINISH,
    RECORD_LOST /* given out, and its rank died: a death that it may be to blame for */
};

struct table_record {
    int64_t index;
    struct evaluator_table table;
};

struct lease_record {
    uint64_t id;
};

struct lost_record {
    uint64_t id;
};

struct bound_record {
    uint64_t id;
    struct evaluator_bound bound;
};

struct probe_record {
    uint64_t id;
    struct evaluator_probed probed;
};

struct finish_record {
    uint64_t id;
    int64_t failed;
    char reason[256];
};

static struct journal_identity identity_of(const struct study *study)
{
    struct journal_identity identity = {.num_candidates = study->space->num_candidates};
    const size_t sizes[] = {sizeof(struct table_record), sizeof(struct probe_record),
                            sizeof(struct finish_record)};
    int count;
    const struct vidur_column *columns = vidur_probe_columns(&count);
    snprintf(identity.config_sha256, sizeof identity.config_sha256, "%s",
             study->config->sha256);
    snprintf(identity.version, sizeof identity.version, "%s", vidur_version());
    identity.layout = vidur_fnv1a(VIDUR_FNV1A_INIT, sizes, sizeof sizes);
    for (int i = 0; i < count; i++)
        identity.layout = vidur_fnv1a_string(identity.layout, columns[i].name);
    /* Replayed probes must be at the loads that the search would ask for. */
    identity.layout = vidur_fnv1a_string(identity.layout, "loads (1 + granularity)^k");
    /* Ids cover what the configuration only names: traces' contents, the shard. */
    for (int64_t i = 0; i < study->space->num_candidates; i++) {
        const uint64_t id = study->space->candidates[i].id;
        identity.space = vidur_fnv1a(identity.space, &id, sizeof id);
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

int study_note_session(struct study *study, struct vidur_error *err)
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

int study_note_lease(struct study *study, int64_t candidate, struct vidur_error *err)
{
    const struct lease_record record = {id_of(study, candidate)};
    if (append(study, RECORD_LEASE, &record, sizeof record, err) != 0)
        return -1;
    /* Written before the work begins that may end this process; a killed process's
     * writes are kept by the system. */
    return study->journal ? journal_commit(study->journal, false, err) : 0;
}

int study_note_lost(struct study *study, int64_t candidate, struct vidur_error *err)
{
    const struct lost_record record = {id_of(study, candidate)};
    study->sync = true;
    return append(study, RECORD_LOST, &record, sizeof record, err);
}

int study_note_result(struct study *study, int64_t candidate,
                      const struct study_result *result, struct vidur_error *err)
{
    const uint64_t id = id_of(study, candidate);
    if (result->kind == STUDY_BOUND) {
        const struct bound_record record = {id, result->bound};
        return append(study, RECORD_BOUND, &record, sizeof record, err);
    }
    struct probe_record record;
    memset(&record, 0, sizeof record);
    record.id = id;
    record.probed = result->probed;
    return append(study, RECORD_PROBE, &record, sizeof record, err);
}

int study_note_finish(struct study *study, int64_t candidate, struct vidur_error *err)
{
    const char *failure = study->candidates[candidate].failure;
    struct finish_record record;
    memset(&record, 0, sizeof record);
    record.id = id_of(study, candidate);
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
    struct id_index *index; /* sorted by id */
    bool open;              /* a session has begun and not ended */
    int64_t *leased;        /* candidates given out in it */
    int64_t num_leased;
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
    r->leased = malloc((count + 1) * sizeof *r->leased);
    if (!r->index || !r->leased)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu candidates", count);
    for (size_t i = 0; i < count; i++)
        r->index[i] = (struct id_index){id_of(study, (int64_t)i), (int64_t)i};
    qsort(r->index, count, sizeof *r->index, compare_ids);
    return 0;
}

static struct study_candidate *find(const struct reading *r, const void *payload,
                                    int64_t *candidate)
{
    struct id_index key = {0, 0};
    memcpy(&key.id, payload, sizeof key.id); /* every record begins with it */
    const struct id_index *found =
        bsearch(&key, r->index, (size_t)r->study->space->num_candidates,
                sizeof *r->index, compare_ids);
    if (!found)
        return NULL;
    *candidate = found->candidate;
    return &r->study->candidates[found->candidate];
}

static int fail_damaged(uint32_t type, size_t bytes, struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_ECORRUPT,
                      "the journal has a record (type %u, %zu bytes) that does not "
                      "belong to this search; remove it to start over",
                      type, bytes);
}

/* A candidate that has got further since the last death is not to blame for that. */
static void count_death(struct study_candidate *c)
{
    const bool again = c->strikes > 0 && c->strike_steps == c->num_steps;
    c->strikes = again ? c->strikes + 1 : 1;
    c->strike_steps = c->num_steps;
}

/* The session ended without a word: whoever was in flight may be to blame. */
static void count_deaths(struct reading *r)
{
    for (int64_t i = 0; i < r->num_leased; i++) {
        struct study_candidate *c = &r->study->candidates[r->leased[i]];
        if (c->leased && !c->finished)
            count_death(c);
    }
}

static void end_session(struct reading *r, bool in_order)
{
    if (r->open && !in_order)
        count_deaths(r);
    for (int64_t i = 0; i < r->num_leased; i++)
        r->study->candidates[r->leased[i]].leased = false;
    r->num_leased = 0;
    r->open = false;
}

static int read_result(struct reading *r, uint32_t type, const void *payload,
                       int64_t candidate, struct vidur_error *err)
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
    return study_keep_result(r->study, candidate, &result, err);
}

static int read_finish(struct study_candidate *c, const void *payload,
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

static int read_about_candidate(struct reading *r, uint32_t type, const void *payload,
                                struct vidur_error *err)
{
    int64_t candidate;
    struct study_candidate *c = find(r, payload, &candidate);
    if (!c)
        return fail_damaged(type, 0, err);
    if (type == RECORD_FINISH)
        return read_finish(c, payload, err);
    if (type == RECORD_LOST) {
        count_death(c);
        return 0;
    }
    if (type != RECORD_LEASE)
        return read_result(r, type, payload, candidate, err);
    if (!c->leased)
        r->leased[r->num_leased++] = candidate;
    c->leased = true;
    return 0;
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
                                   [RECORD_LOST] = sizeof(struct lost_record)};
    struct reading *r = context;
    if (type < RECORD_SESSION || type > RECORD_LOST || bytes != sizes[type])
        return fail_damaged(type, bytes, err);
    if (type == RECORD_TABLE)
        return read_table(r->study, payload, err);
    if (type != RECORD_SESSION && type != RECORD_END)
        return read_about_candidate(r, type, payload, err);
    end_session(r, type == RECORD_END);
    r->open = type == RECORD_SESSION;
    return 0;
}

/* Those that were in flight at too many deaths are given up; those at one run alone,
 * so that another death has one culprit. */
static int judge_suspects(struct study *study, struct study_resumed *resumed,
                          struct vidur_error *err)
{
    char text[160];
    const int max_deaths = study->config->search.max_deaths;
    for (int64_t i = 0; i < study->space->num_candidates; i++) {
        struct study_candidate *c = &study->candidates[i];
        resumed->candidates += c->finished;
        if (c->finished || c->strikes == 0 || c->strike_steps != c->num_steps)
            continue;
        if (c->strikes < max_deaths) {
            study->jobs[study->space->num_tables + i].alone = true;
            continue;
        }
        snprintf(text, sizeof text,
                 "in flight when the search died %d times; see search.max_deaths",
                 c->strikes);
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
    return study->journal ? study_note_session(study, err) : -1;
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
    free(reading.index);
    free(reading.leased);
    return rc == 0 ? study_note_session(study, err) : -1;
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

int64_t study_expected_bytes(const struct study *study)
{
    /* Of results.h5, compressed; measured over searches of 4 to 450 candidates. */
    enum { FILE_BYTES = 64 << 10, ROW_BYTES = 900, PROBE_BYTES = 120 };
    const struct vidur_space *space = study->space;
    int64_t runnable = 0;
    for (int64_t i = 0; i < space->num_candidates; i++)
        runnable += space->candidates[i].status == VIDUR_CANDIDATE_RUNNABLE;
    const double probes = (double)runnable * expected_probes(&study->config->search);
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
