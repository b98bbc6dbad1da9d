#include "study/session.h"

#include "base/file.h"
#include "base/progress.h"
#include "base/text.h"
#include "base/version.h"
#include "results/results_notes.h"
#include "space/identity.h"
#include "study/input_notes.h"
#include "study/journal.h"

#include <vidur/space.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct session {
    const struct session_team *team;
    const struct session_options *options;
    struct session_outcome *outcome;
    struct vidur_search_config config;
    struct vidur_space space;
    struct study *study;
    struct vidur_log quiet_log;
    char journal[1100];
    int64_t failed_rows; /* of results that are there already */
    bool fresh;          /* the journal was begun by this session */
    double begin_s;
};

static int agree_alone(void *context, bool failed)
{
    (void)context;
    return failed ? 0 : -1;
}

struct session_team session_alone(void)
{
    return (struct session_team){
        .ranks = 1, .agree = agree_alone, .run = vidur_farm_run_serial};
}

/* All ranks go on, or none does; the first that failed says why. */
static bool agree(struct session *s, bool failed, enum session_status status)
{
    const int first = s->team->agree(s->team->context, failed);
    if (first < 0)
        return true;
    s->outcome->status = status;
    s->outcome->speaks = first == s->team->rank;
    return false;
}

/* ---- Preparing ---- */

static int load(struct session *s, struct vidur_error *err)
{
    const struct session_options *o = s->options;
    const struct vidur_search_source source = {.path = o->config_path,
                                               .text = o->config_text,
                                               .sets = o->sets,
                                               .num_sets = o->num_sets};
    if (o->refused && o->refused->code != VIDUR_OK)
        return vidur_fail(err, o->refused->code, "%s", o->refused->text);
    if (vidur_search_config_read(&s->config, &source, err) != 0 ||
        vidur_space_build(&s->space, &s->config, err) != 0)
        return -1;
    if (o->num_shards > 1)
        vidur_space_shard(&s->space, o->shard, o->num_shards);
    /* What the estimator does is of interest when asked for, its warnings always. */
    if (o->log)
        s->quiet_log = *o->log;
    if (s->quiet_log.level == VIDUR_LOG_INFO)
        s->quiet_log.level = VIDUR_LOG_WARN;
    const struct study_options options = {.rank = s->team->rank,
                                          .ranks = s->team->ranks,
                                          .threads = o->threads,
                                          .log = &s->quiet_log,
                                          .progress = o->progress,
                                          .progress_context = o->progress_context};
    if (study_create(&s->study, &s->space, &options, err) != 0)
        return -1;
    input_notes_log(s->study, o->log);
    return 0;
}

/* ---- The journal ---- */

/* An unfinished search's journal is never thrown away without a word. */
static int set_aside(struct session *s, struct vidur_error *err)
{
    char aside[1200];
    if (!vidur_file_exists(s->journal) || journal_is_stub(s->journal))
        return 0;
    if (journal_set_aside(s->journal, aside, sizeof aside, err) != 0)
        return -1;
    vidur_log_info(s->options->log,
                   "an unfinished search was found and set aside as %s; --resume "
                   "would have gone on with it",
                   aside);
    return 0;
}

static int resume(struct session *s, struct vidur_error *err)
{
    struct study_resumed resumed;
    if (study_resume_journal(s->study, s->journal, &resumed, err) != 0)
        return -1;
    if (resumed.damaged[0])
        vidur_log_warn(s->options->log,
                       "%s: damaged at byte %lld; the %lld bytes from there are not "
                       "used, the file as it was is kept as %s",
                       s->journal, (long long)resumed.end, (long long)resumed.cut_bytes,
                       resumed.damaged);
    else if (resumed.cut_bytes > 0)
        vidur_log_warn(s->options->log,
                       "%s: the last %lld bytes were not written whole and are cut",
                       s->journal, (long long)resumed.cut_bytes);
    vidur_log_info(s->options->log, "resumed: %lld of %s finished, %s kept",
                   (long long)resumed.candidates,
                   vidur_text_counted(s->space.num_candidates, "candidate").text,
                   vidur_text_counted(resumed.probes, "probe").text);
    if (resumed.given_up > 0)
        vidur_log_warn(s->options->log,
                       "%s alone in flight whenever the search died: given up "
                       "(search.max_deaths)",
                       vidur_text_counted(resumed.given_up, "candidate").text);
    return 0;
}

/* A candidate, and what it costs. */
struct priced {
    uint64_t id;
    double usd_per_hour;
};

static int compare_priced(const void *a, const void *b)
{
    const struct priced *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static bool are_equal(const struct priced *a, const struct priced *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].id != b[i].id ||
            (a[i].usd_per_hour != b[i].usd_per_hour &&
             !(isnan(a[i].usd_per_hour) && isnan(b[i].usd_per_hour))))
            return false;
    return true;
}

/* Ids cover what the configuration only names: specs, traces' contents, the shard. Not
 * prices, which are in the results all the same. */
static bool has_same_candidates(const struct vidur_results *results,
                                const struct vidur_space *space)
{
    const size_t count = (size_t)space->num_candidates;
    struct priced *all = calloc(2 * count + 1, sizeof *all);
    if (!all || results->num_ranking != space->num_candidates) {
        free(all);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct vidur_ranking_row *row = &results->ranking[i];
        all[i] = (struct priced){
            space->candidates[i].id,
            vidur_space_usd_per_hour(space, (int64_t)i,
                                     vidur_candidate_counts(&space->candidates[i]))};
        all[count + i] =
            (struct priced){strtoull(row->candidate_id, NULL, 16), row->usd_per_hour};
    }
    qsort(all, count, sizeof *all, compare_priced);
    qsort(all + count, count, sizeof *all, compare_priced);
    const bool same = are_equal(all, all + count, count);
    free(all);
    return same;
}

/* Nor do ids cover what the estimator reads. */
static bool has_same_times(const struct vidur_results *results,
                           const struct vidur_space *space)
{
    const char *times = vidur_results_fact(results, "estimator", "", "times_sha256");
    char now[65];
    return times && identity_times(space, NULL, now, NULL) == 0 &&
           strcmp(times, now) == 0;
}

/* Whether OUTPUT holds the results of just this search; and how many rows failed. */
static bool is_already_done(struct session *s)
{
    struct vidur_results results = {0};
    if (!vidur_file_exists(s->options->output))
        return false;
    const bool same = vidur_results_read(s->options->output, &results, NULL) == 0 &&
                      strcmp(results.config_sha256, s->config.sha256) == 0 &&
                      strcmp(results.creator_version, vidur_version()) == 0 &&
                      has_same_candidates(&results, &s->space) &&
                      has_same_times(&results, &s->space);
    for (int64_t i = 0; same && i < results.num_ranking; i++)
        s->failed_rows += strcmp(results.ranking[i].status, VIDUR_STATUS_FAILED) == 0;
    vidur_results_destroy(&results);
    if (!same)
        vidur_log_warn(s->options->log,
                       "%s does not hold the results of this search and will be "
                       "replaced",
                       s->options->output);
    return same;
}

/* What could not be written once the search is over is refused before it begins. */
static int check_output(const char *output, struct vidur_error *err)
{
    struct stat st;
    enum { LONGEST = 1000 }; /* the journal's name is longer, and must differ */
    const size_t length = strlen(output);
    if (length > LONGEST)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "-o '%.60s...': a path of %zu bytes; at most %d are supported", output,
            length, LONGEST);
    if (length == 0 || output[length - 1] == '/' ||
        (stat(output, &st) == 0 && S_ISDIR(st.st_mode)))
        return vidur_fail(err, VIDUR_EINVAL,
                          "-o '%s': %s; name a file, like %sresults.h5", output,
                          length == 0 ? "no name" : "a folder",
                          length == 0                 ? ""
                          : output[length - 1] == '/' ? output
                                                      : "FOLDER/");
    return vidur_results_check_target(output, err);
}

static int open_journal(struct session *s, struct vidur_error *err)
{
    const char *output = s->options->output;
    if (check_output(output, err) != 0 ||
        journal_check_room(output, study_expected_bytes(s->study), err) != 0)
        return -1;
    if (s->options->resume && journal_is_stub(s->journal))
        vidur_log_warn(s->options->log, "%s: its beginning was not written whole",
                       s->journal);
    else if (s->options->resume && vidur_file_exists(s->journal))
        return resume(s, err);
    if (s->options->resume && is_already_done(s)) {
        s->outcome->status = SESSION_ALREADY_DONE;
        vidur_log_info(s->options->log, "%s holds the results of this search already",
                       output);
        return 0;
    }
    if (s->options->resume)
        vidur_log_info(s->options->log, "%s: nothing to resume, starting anew",
                       s->journal);
    if (set_aside(s, err) != 0)
        return -1;
    s->fresh = true;
    return study_begin_journal(s->study, s->journal, err);
}

/* ---- The end ---- */

/* Nothing is left behind where nothing was found out. */
static void drop_empty_journal(struct session *s)
{
    struct study_counts counts;
    study_count(s->study, &counts);
    if (s->fresh && counts.probes == 0)
        study_remove_journal(s->study);
}

static int add_shard(struct session *s, struct vidur_results *results,
                     struct vidur_error *err)
{
    const struct session_options *o = s->options;
    char shard[24], num_shards[24];
    if (o->num_shards <= 1)
        return 0;
    snprintf(shard, sizeof shard, "%lld", (long long)o->shard);
    snprintf(num_shards, sizeof num_shards, "%lld", (long long)o->num_shards);
    if (vidur_results_add_fact(
            results, (struct vidur_fact){"search", "", "shard", shard}, err) != 0 ||
        vidur_results_add_fact(
            results, (struct vidur_fact){"search", "", "num_shards", num_shards},
            err) != 0)
        return -1;
    return results_note_shards(results, err);
}

static int write_results(struct session *s, struct vidur_error *err)
{
    struct session_outcome *outcome = s->outcome;
    if (study_results(s->study, &outcome->results, err) != 0 ||
        add_shard(s, &outcome->results, err) != 0)
        return -1;
    outcome->results.ranks = s->team->ranks;
    outcome->results.threads = s->options->threads > 0
                                   ? s->options->threads
                                   : (int)sysconf(_SC_NPROCESSORS_ONLN);
    outcome->results.elapsed_s = vidur_monotonic_s() - s->begin_s;
    if (vidur_results_write(s->options->output, &outcome->results, err) != 0)
        return -1;
    outcome->written = true;
    study_count(s->study, &outcome->counts);
    study_remove_journal(s->study);
    return 0;
}

static void tell_failed(struct vidur_error *err, int64_t failed, int64_t candidates)
{
    vidur_fail(err, VIDUR_EINVAL, "%lld of %s failed; the results say why",
               (long long)failed, vidur_text_counted(candidates, "candidate").text);
}

/* What rank 0 makes of the farm's end. */
static void conclude(struct session *s, int rc)
{
    struct session_outcome *outcome = s->outcome;
    struct vidur_error later;
    struct study_counts counts;
    study_count(s->study, &counts);
    outcome->speaks = true;
    if (rc == 0) {
        rc = write_results(s, &outcome->error);
        outcome->status =
            rc != 0 || counts.failed > 0 ? SESSION_NOT_COMPLETED : SESSION_DONE;
        if (rc == 0 && counts.failed > 0)
            tell_failed(&outcome->error, counts.failed, counts.candidates);
        return;
    }
    if (outcome->error.code == VIDUR_EINTR) {
        outcome->status = SESSION_INTERRUPTED;
        vidur_fail(&outcome->error, VIDUR_EINTR,
                   "interrupted; %lld of %s finished, --resume goes on",
                   (long long)counts.finished,
                   vidur_text_counted(counts.candidates, "candidate").text);
    } else {
        outcome->status = counts.bad_input && counts.probes == 0
                              ? SESSION_BAD_INPUT
                              : SESSION_NOT_COMPLETED;
        drop_empty_journal(s);
    }
    /* What is left stands as it is: what was in flight is not to blame for this. */
    study_end_journal(s->study, true, &later);
}

static void run(struct session *s)
{
    struct session_outcome *outcome = s->outcome;
    struct vidur_error *err = &outcome->error;
    const bool leads = s->team->rank == 0;
    if (!agree(s, load(s, err) != 0, SESSION_BAD_INPUT))
        return;
    const bool failed = leads && open_journal(s, err) != 0;
    if (!agree(s, failed, SESSION_BAD_INPUT)) {
        if (leads && s->fresh)
            drop_empty_journal(s);
        return;
    }
    if (!agree(s, outcome->status == SESSION_ALREADY_DONE, SESSION_ALREADY_DONE)) {
        if (leads && s->failed_rows > 0) {
            outcome->status = SESSION_NOT_COMPLETED;
            tell_failed(err, s->failed_rows, s->space.num_candidates);
        }
        return;
    }
    const struct vidur_farm farm = study_farm(s->study, s->options->stop);
    const int rc = s->team->run(&farm, &outcome->farm, err);
    outcome->abandoned = outcome->farm.abandoned;
    if (leads)
        conclude(s, rc);
    else if (rc != 0)
        outcome->status =
            err->code == VIDUR_EINTR ? SESSION_INTERRUPTED : SESSION_NOT_COMPLETED;
}

void session_run(const struct session_team *team, const struct session_options *options,
                 struct session_outcome *outcome)
{
    struct session *s = calloc(1, sizeof *s);
    memset(outcome, 0, sizeof *outcome);
    if (!s) {
        outcome->status = SESSION_NOT_COMPLETED;
        vidur_fail(&outcome->error, VIDUR_ENOMEM, "out of memory");
        return;
    }
    *s = (struct session){.team = team,
                          .options = options,
                          .outcome = outcome,
                          .begin_s = vidur_monotonic_s()};
    snprintf(s->journal, sizeof s->journal, "%s.journal", options->output);
    run(s);
    study_destroy(s->study);
    vidur_space_release(&s->space);
    vidur_search_config_release(&s->config);
    free(s);
}

void session_release(struct session_outcome *outcome)
{
    vidur_results_destroy(&outcome->results);
}
