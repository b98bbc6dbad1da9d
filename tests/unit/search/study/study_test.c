#include "test.h"

#include "small_search.h"
#include "study/session.h"
#include "study/study.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whole searches on one rank, in this process. */

static volatile int stop;

struct observer {
    int calls;
    int stop_at; /* the call that sets the stop flag; 0: none */
    int die_at;  /* the call that kills this process; 0: none */
};

static void on_progress(void *context, int64_t done, int64_t total, const char *best)
{
    struct observer *observer = context;
    (void)done, (void)total, (void)best;
    observer->calls++;
    if (observer->calls == observer->stop_at)
        stop = 1;
    if (observer->calls == observer->die_at)
        kill(getpid(), SIGKILL);
}

static char output[128];

static void run(const char *more, bool resume, struct observer *observer,
                struct session_outcome *outcome)
{
    static struct observer nobody;
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(more),
                                            .output = output,
                                            .resume = resume,
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop,
                                            .progress = on_progress,
                                            .progress_context =
                                                observer ? observer : &nobody};
    stop = 0;
    session_run(&team, &options, outcome);
}

static bool exists(const char *suffix)
{
    char path[160];
    snprintf(path, sizeof path, "%s%s", output, suffix);
    return access(path, F_OK) == 0;
}

static void clean(void)
{
    static const char *const suffixes[] = {"", ".journal", ".journal.old"};
    snprintf(output, sizeof output, "%s", small_search_path("r.h5"));
    for (int i = 0; i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", output, suffixes[i]);
        unlink(path);
    }
}

static const char *const not_compared[] = {"wall_s", "mpi_rank", NULL};

static void expect_equal(const struct vidur_results *a, const struct vidur_results *b)
{
    int ranking_columns, probe_columns, wrong = 0;
    const struct vidur_column *r = vidur_ranking_columns(&ranking_columns);
    const struct vidur_column *p = vidur_probe_columns(&probe_columns);
    CU_ASSERT_EQUAL_FATAL(a->num_ranking, b->num_ranking);
    CU_ASSERT_EQUAL_FATAL(a->num_probes, b->num_probes);
    for (int64_t i = 0; i < a->num_ranking; i++)
        wrong += !vidur_rows_equal(r, ranking_columns, &a->ranking[i], &b->ranking[i],
                                   not_compared);
    for (int64_t i = 0; i < a->num_probes; i++)
        wrong += !vidur_rows_equal(p, probe_columns, &a->probes[i], &b->probes[i],
                                   not_compared);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void run_whole(const char *more, struct session_outcome *outcome)
{
    clean();
    run(more, false, NULL, outcome);
    if (outcome->status != SESSION_DONE)
        printf("\n    %s", outcome->error.text);
    CU_ASSERT_EQUAL_FATAL(outcome->status, SESSION_DONE);
    CU_ASSERT_TRUE(exists(""));
    CU_ASSERT_FALSE(exists(".journal"));
}

/* ---- Answers ---- */

static int probe_at(struct evaluator *evaluator, int64_t candidate, double qps,
                    struct evaluator_probed *probed)
{
    const struct evaluator_load load = {.candidate = candidate, .qps = qps};
    return evaluator_probe(evaluator, &load, probed, NULL);
}

/* The answer of every candidate is the last lattice point before the first failing one,
 * found by trying them one by one. */
static void test_answers_against_a_scan(void)
{
    struct session_outcome outcome;
    struct vidur_search_config config;
    struct vidur_space space;
    struct evaluator *evaluator;
    const struct evaluator_options options = {.threads = 1};
    const char *more = "search: {granularity: 0.2, confirm_top: 0}\n";
    run_whole(more, &outcome);
    small_search_build(more, &config, &space);
    CU_ASSERT_EQUAL_FATAL(evaluator_create(&evaluator, &space, &options, NULL), 0);
    CU_ASSERT_EQUAL(outcome.results.num_ranking, 12);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        struct evaluator_probed probe;
        int64_t c = 0;
        char id[24];
        do
            snprintf(id, sizeof id, "%016llx",
                     (unsigned long long)space.candidates[c].id);
        while (strcmp(id, row->candidate_id) != 0 && ++c < space.num_candidates);
        CU_ASSERT_STRING_EQUAL(row->status, VIDUR_STATUS_OK);
        for (int k = -6; k <= 0; k++) {
            CU_ASSERT_EQUAL_FATAL(
                probe_at(evaluator, c, row->max_qps * pow(1.2, k), &probe), 0);
            CU_ASSERT_TRUE(probe.row.feasible);
        }
        CU_ASSERT_EQUAL(probe_at(evaluator, c, row->max_qps * 1.2, &probe), 0);
        CU_ASSERT_FALSE(probe.row.feasible);
        CU_ASSERT_STRING_EQUAL(probe.row.violated_slo, row->limiting_slo);
    }
    evaluator_destroy(evaluator);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
    session_release(&outcome);
}

static double fact_number(const struct vidur_results *results, const char *key)
{
    const char *text = vidur_results_fact(results, "trace", "u", key);
    return text ? strtod(text, NULL) : NAN;
}

/* Prompts and outputs together cost what all tokens cost; energy is power by tokens. */
static void check_costs_and_energy(const struct vidur_results *results,
                                   const struct vidur_ranking_row *row)
{
    const double in = fact_number(results, "prefill_tokens_mean");
    const double out = fact_number(results, "decode_tokens_mean");
    const double joules_per_s = row->watts_per_gpu * (double)row->num_gpus;
    const double tokens_per_s = row->max_qps * (in + out);
    CU_ASSERT_DOUBLE_EQUAL(row->usd_per_million_input_tokens * in +
                               row->usd_per_million_output_tokens * out,
                           row->usd_per_million_tokens * (in + out), 1e-9);
    CU_ASSERT(row->usd_per_million_input_tokens < row->usd_per_million_output_tokens);
    CU_ASSERT(row->watts_per_gpu >= 60 && row->watts_per_gpu <= 400);
    CU_ASSERT_DOUBLE_EQUAL(row->tokens_per_joule, tokens_per_s / joules_per_s, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(row->wh_per_million_tokens,
                           joules_per_s / tokens_per_s / 3600 * 1e6, 1e-9);
    CU_ASSERT(row->bandwidth_usage > 0 && row->bandwidth_usage <= 100);
}

static void test_rows_hang_together(void)
{
    struct session_outcome outcome;
    struct vidur_results read = {0};
    run_whole("search: {confirm_top: 0}\n", &outcome);
    const struct vidur_results *results = &outcome.results;
    int64_t probe = 0;
    for (int64_t i = 0; i < results->num_ranking; i++) {
        const struct vidur_ranking_row *row = &results->ranking[i];
        bool best_seen = false;
        CU_ASSERT_DOUBLE_EQUAL(row->usd_per_hour, 4 * 2.21, 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(row->qps_per_dollar, row->max_qps / row->usd_per_hour,
                               1e-12);
        check_costs_and_energy(results, row);
        CU_ASSERT_EQUAL(row->num_gpus, 4);
        CU_ASSERT_EQUAL(row->num_replicas, 4 / row->tensor_parallel_size);
        CU_ASSERT_EQUAL(row->chunk_size, strcmp(row->scheduler, "vllm") ? 256 : 0);
        CU_ASSERT_EQUAL(row->max_tokens_in_batch,
                        strcmp(row->scheduler, "vllm") ? 0 : 512);
        CU_ASSERT_TRUE(row->ttft_p90_s <= 1.0 && row->tbt_p99_s <= 0.1);
        for (int n = 0; n < row->num_probes; n++, probe++) {
            const struct vidur_probe_row *p = &results->probes[probe];
            CU_ASSERT_STRING_EQUAL(p->candidate_id, row->candidate_id);
            CU_ASSERT_EQUAL(p->probe, n);
            CU_ASSERT_EQUAL(p->feasible, p->qps <= row->max_qps);
            best_seen |= p->qps == row->max_qps && p->ttft_p90_s == row->ttft_p90_s;
        }
        CU_ASSERT_TRUE(best_seen);
    }
    CU_ASSERT_EQUAL(probe, results->num_probes);
    CU_ASSERT_EQUAL(vidur_results_read(output, &read, NULL), 0);
    expect_equal(results, &read);
    CU_ASSERT_STRING_EQUAL(vidur_results_fact(&read, "slo", "ttft_p90", "limit_s"),
                           "1");
    CU_ASSERT_STRING_EQUAL(
        vidur_results_fact(&read, "device", "a100", "usd_per_gpu_hour"), "2.21");
    vidur_results_destroy(&read);
    session_release(&outcome);
}

/* Other starts, no early stop: other paths, the same answers. */
static void test_answers_do_not_depend_on_the_path(void)
{
    static const char *const others[] = {
        "search: {granularity: 0.1, confirm_top: 0, stop_early: false}\n",
        "search: {granularity: 0.1, confirm_top: 0, confirm: 2}\n"};
    struct session_outcome usual, other;
    run_whole("search: {granularity: 0.1, confirm_top: 0}\n", &usual);
    for (int o = 0; o < 2; o++) {
        run_whole(others[o], &other);
        for (int64_t i = 0; i < usual.results.num_ranking; i++) {
            CU_ASSERT_EQUAL(usual.results.ranking[i].max_qps,
                            other.results.ranking[i].max_qps);
            CU_ASSERT_EQUAL(usual.results.ranking[i].ttft_p90_s,
                            other.results.ranking[i].ttft_p90_s);
            if (o == 1) {
                CU_ASSERT_EQUAL(usual.results.ranking[i].num_probes + 2,
                                other.results.ranking[i].num_probes);
            }
        }
        session_release(&other);
    }
    session_release(&usual);
}

static const struct vidur_ranking_row *find_row(const struct vidur_results *results,
                                                const char *id)
{
    for (int64_t i = 0; i < results->num_ranking; i++)
        if (strcmp(results->ranking[i].candidate_id, id) == 0)
            return &results->ranking[i];
    return NULL;
}

/* Nor on the rest of the space: a candidate finds the same answer from its own pilot as
 * from whatever neighbour it has, to the bit. Only where passing is not monotone in the
 * load may answers differ; no candidate here is of that kind. */
static void test_answers_do_not_depend_on_neighbours(void)
{
    static const char *const others[] = {
        "search: {confirm_top: 0, warm_start: none}\n",
        "search: {confirm_top: 0}\nexclude: [{batch_size: 64}]\n",
        "search: {confirm_top: 0}\nexclude: [{batch_size: 16}]\n"};
    static const int64_t counts[] = {12, 8, 8};
    struct session_outcome usual, other;
    run_whole("search: {confirm_top: 0}\n", &usual);
    for (int o = 0; o < 3; o++) {
        run_whole(others[o], &other);
        CU_ASSERT_EQUAL(other.results.num_ranking, counts[o]);
        for (int64_t i = 0; i < other.results.num_ranking; i++) {
            const struct vidur_ranking_row *row = &other.results.ranking[i];
            const struct vidur_ranking_row *same =
                find_row(&usual.results, row->candidate_id);
            CU_ASSERT_PTR_NOT_NULL_FATAL(same);
            CU_ASSERT_EQUAL(row->max_qps, same->max_qps);
            CU_ASSERT_EQUAL(row->ttft_p90_s, same->ttft_p90_s);
            CU_ASSERT_STRING_EQUAL(row->limiting_slo, same->limiting_slo);
        }
        session_release(&other);
    }
    session_release(&usual);
}

/* ---- Interruption ---- */

static void test_interrupted_anywhere_and_resumed(void)
{
    struct session_outcome whole, part;
    struct observer count = {0};
    clean();
    run("", false, &count, &whole);
    CU_ASSERT_EQUAL_FATAL(whole.status, SESSION_DONE);
    CU_ASSERT_TRUE(count.calls > 40);
    for (int at = 1; at <= count.calls; at += 11) {
        struct observer observer = {.stop_at = at};
        clean();
        run("", false, &observer, &part);
        if (at < count.calls - 1) {
            CU_ASSERT_EQUAL(part.status, SESSION_INTERRUPTED);
            CU_ASSERT_PTR_NOT_NULL(strstr(part.error.text, "--resume"));
            CU_ASSERT_FALSE(exists(""));
            CU_ASSERT_TRUE(exists(".journal"));
        }
        session_release(&part);
        run("", true, NULL, &part);
        CU_ASSERT_EQUAL_FATAL(part.status, SESSION_DONE);
        expect_equal(&whole.results, &part.results);
        CU_ASSERT_FALSE(exists(".journal"));
        session_release(&part);
    }
    session_release(&whole);
}

static void die(const char *more, bool resume, int at)
{
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        struct observer observer = {.die_at = at};
        struct session_outcome outcome;
        run(more, resume, &observer, &outcome);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
}

/* Killed again and again, it gets further each time, and to the same end. */
static void test_killed_many_times(void)
{
    struct session_outcome whole, resumed;
    run_whole("", &whole);
    clean();
    for (int death = 0; death < 12; death++)
        die("", death > 0, 3 + 7 * (death % 3));
    run("", true, NULL, &resumed);
    CU_ASSERT_EQUAL_FATAL(resumed.status, SESSION_DONE);
    expect_equal(&whole.results, &resumed.results);
    session_release(&whole);
    session_release(&resumed);
}

static void test_resume_when_done_and_when_never_begun(void)
{
    struct session_outcome first, second;
    clean();
    run("", true, NULL, &first); /* nothing to resume */
    CU_ASSERT_EQUAL(first.status, SESSION_DONE);
    run("", true, NULL, &second);
    CU_ASSERT_EQUAL(second.status, SESSION_ALREADY_DONE);
    CU_ASSERT_FALSE(second.written);
    session_release(&second);
    run("search: {seed: 5}\n", true, NULL, &second); /* not those results */
    CU_ASSERT_EQUAL(second.status, SESSION_DONE);
    CU_ASSERT_TRUE(second.written);
    session_release(&first);
    session_release(&second);
}

static void test_foreign_journal(void)
{
    struct observer observer = {.stop_at = 10};
    struct session_outcome outcome;
    clean();
    run("", false, &observer, &outcome);
    CU_ASSERT_EQUAL(outcome.status, SESSION_INTERRUPTED);
    session_release(&outcome);
    run("search: {seed: 5}\n", true, NULL, &outcome);
    CU_ASSERT_EQUAL(outcome.status, SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.error.text, "another configuration"));
    CU_ASSERT_TRUE(exists(".journal")); /* the other search's, untouched */
    session_release(&outcome);
    run("search: {seed: 5}\n", false, NULL, &outcome); /* set aside, not lost */
    CU_ASSERT_EQUAL(outcome.status, SESSION_DONE);
    CU_ASSERT_TRUE(exists(".journal.old"));
    session_release(&outcome);
}

/* ---- Disks ---- */

static int status_with_full_disk(rlim_t bytes)
{
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {bytes, bytes};
        struct session_outcome outcome;
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(99);
        run("", false, NULL, &outcome);
        _exit(outcome.status == SESSION_NOT_COMPLETED &&
                      !strstr(outcome.error.text, output)
                  ? 98
                  : (int)outcome.status);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A limit on the size of files stands in for a full disk. */
static void test_full_disk_keeps_what_was_finished(void)
{
    struct session_outcome whole, resumed;
    run_whole("", &whole);
    clean();
    CU_ASSERT_EQUAL(status_with_full_disk(20), SESSION_BAD_INPUT); /* at the start */
    CU_ASSERT_FALSE(exists(".journal"));
    CU_ASSERT_EQUAL(status_with_full_disk(8192), SESSION_NOT_COMPLETED);
    CU_ASSERT_TRUE(exists(".journal"));
    CU_ASSERT_FALSE(exists(""));
    struct stat before;
    char journal[160];
    snprintf(journal, sizeof journal, "%s.journal", output);
    CU_ASSERT_EQUAL(stat(journal, &before), 0);
    CU_ASSERT_TRUE(before.st_size > 4096);
    run("", true, NULL, &resumed);
    CU_ASSERT_EQUAL_FATAL(resumed.status, SESSION_DONE);
    expect_equal(&whole.results, &resumed.results);
    session_release(&whole);
    session_release(&resumed);
}

static void test_unwritable_output(void)
{
    struct session_outcome outcome;
    snprintf(output, sizeof output, "/no/such/folder/r.h5");
    run("", false, NULL, &outcome);
    CU_ASSERT_EQUAL(outcome.status, SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.error.text, "/no/such/folder"));
    session_release(&outcome);
}

/* A profile that is not there is found when its table is wanted, and leaves nothing. */
static void test_missing_profiles(void)
{
    struct session_outcome outcome;
    clean();
    const char *sets[] = {
        "estimator={source: profiles, profiles: /no/such, cache_dir: ''}"};
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(""),
                                            .sets = sets,
                                            .num_sets = 1,
                                            .output = output,
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop};
    stop = 0;
    session_run(&team, &options, &outcome);
    CU_ASSERT_EQUAL(outcome.status, SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.error.text, "/no/such"));
    CU_ASSERT_FALSE(exists("") || exists(".journal"));
    session_release(&outcome);
}

VIDUR_TEST_MAIN(
    "study", {"answers against a scan", test_answers_against_a_scan},
    {"rows hang together", test_rows_hang_together},
    {"answers, whatever the path", test_answers_do_not_depend_on_the_path},
    {"answers, whatever the neighbours", test_answers_do_not_depend_on_neighbours},
    {"interrupted anywhere, resumed", test_interrupted_anywhere_and_resumed},
    {"killed many times", test_killed_many_times},
    {"nothing to resume, all done", test_resume_when_done_and_when_never_begun},
    {"foreign journal", test_foreign_journal},
    {"full disk", test_full_disk_keeps_what_was_finished},
    {"unwritable output", test_unwritable_output},
    {"missing profiles", test_missing_profiles})
