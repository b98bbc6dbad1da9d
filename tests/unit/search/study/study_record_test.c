#include "test.h"

#include "small_search.h"
#include "study/journal.h"
#include "study/study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the journal tells the next session. */

static volatile int stop;

/* ---- Candidates that take their rank with them ---- */

static struct vidur_search_config config;
static struct vidur_space space;

static struct study *begin_study(const char *journal, bool resume,
                                 struct study_resumed *resumed)
{
    const struct study_options options = {.ranks = 1, .threads = 1};
    struct study *study;
    CU_ASSERT_EQUAL_FATAL(study_create(&study, &space, &options, NULL), 0);
    const int rc = resume ? study_resume_journal(study, journal, resumed, NULL)
                          : study_begin_journal(study, journal, NULL);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    return study;
}

static void lease(struct study *study, int64_t candidate)
{
    const struct vidur_farm farm = study_farm(study, &stop);
    CU_ASSERT_EQUAL(farm.ops->lease(farm.context, space.num_tables + candidate, NULL),
                    0);
}

static int count_alone(struct study *study)
{
    const struct vidur_farm farm = study_farm(study, &stop);
    int alone = 0;
    for (int64_t i = 0; i < farm.num_jobs; i++)
        alone += farm.jobs[i].alone;
    return alone;
}

static bool is_alone(struct study *study, int64_t candidate)
{
    const struct vidur_farm farm = study_farm(study, &stop);
    return farm.jobs[space.num_tables + candidate].alone;
}

/* The search is over without a word of its end, as after SIGKILL, and resumed. */
static struct study *die_and_resume(struct study *study, const char *journal,
                                    struct study_resumed *resumed)
{
    study_destroy(study);
    return begin_study(journal, true, resumed);
}

static void record_bound(struct study *study, int64_t candidate)
{
    const struct vidur_farm farm = study_farm(study, &stop);
    const int64_t job = space.num_tables + candidate;
    const struct vidur_farm_pulse pulse = {.stop = &stop};
    struct vidur_error err = {0};
    unsigned char *state = calloc(1, VIDUR_FARM_MAX_STATE_BYTES);
    unsigned char *result = calloc(1, VIDUR_FARM_MAX_RESULT_BYTES);
    uint64_t step;
    CU_ASSERT_EQUAL_FATAL(farm.ops->start(farm.context, job, state, &err), 0);
    CU_ASSERT_TRUE_FATAL(farm.ops->next(farm.context, state, &step));
    const struct vidur_farm_step at = {job, step, state};
    CU_ASSERT_EQUAL_FATAL(farm.ops->run(farm.context, &at, &pulse, result, &err), 0);
    CU_ASSERT_EQUAL(farm.ops->record(farm.context, job, state, result, &err), 0);
    CU_ASSERT_EQUAL(farm.ops->commit(farm.context, &err), 0);
    free(state);
    free(result);
}

/* Only deaths with nothing else in flight count, and not those before it got further.
 */
static void test_suspects_and_culprits(void)
{
    struct study_resumed resumed;
    const char *journal = small_search_path("suspects.journal");
    small_search_build("", &config, &space);
    stop = 0;
    struct study *study = begin_study(journal, false, NULL);
    lease(study, 2);
    lease(study, 6);
    study = die_and_resume(study, journal, &resumed);
    CU_ASSERT_EQUAL(count_alone(study), 2);
    for (int64_t other = 7; other < 12; other++) { /* before their turn came */
        lease(study, other);
        study = die_and_resume(study, journal, &resumed);
        CU_ASSERT_TRUE(is_alone(study, 2) && is_alone(study, other));
        CU_ASSERT_EQUAL(resumed.given_up, 0);
    }
    lease(study, 2);
    study = die_and_resume(study, journal, &resumed); /* alone: once */
    lease(study, 2);
    study = die_and_resume(study, journal, &resumed); /* twice */
    CU_ASSERT_TRUE(is_alone(study, 2));
    lease(study, 2);
    record_bound(study, 2);
    study = die_and_resume(study, journal, &resumed); /* once, one step further */
    CU_ASSERT_TRUE(is_alone(study, 2));
    lease(study, 2);
    record_bound(study, 6);                           /* whatever made it one */
    study = die_and_resume(study, journal, &resumed); /* twice */
    CU_ASSERT_FALSE(is_alone(study, 6));
    CU_ASSERT_TRUE(is_alone(study, 2));
    CU_ASSERT_EQUAL(resumed.given_up, 0);
    lease(study, 2);
    study = die_and_resume(study, journal, &resumed);
    CU_ASSERT_EQUAL(resumed.given_up, 1);
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

/* A death that rank 0 told of and then died of, too, is one. */
static void test_lost_and_then_killed(void)
{
    struct study_resumed resumed;
    const char *journal = small_search_path("both.journal");
    small_search_build("search: {max_deaths: 2}\n", &config, &space);
    struct study *study = begin_study(journal, false, NULL);
    lease(study, 4);
    study = die_and_resume(study, journal, &resumed);
    for (int death = 0; death < 2; death++) {
        const struct vidur_farm farm = study_farm(study, &stop);
        lease(study, 4);
        CU_ASSERT_EQUAL(farm.ops->lost(farm.context, space.num_tables + 4, NULL), 0);
        CU_ASSERT_EQUAL(farm.ops->commit(farm.context, NULL), 0);
        study = die_and_resume(study, journal, &resumed);
        CU_ASSERT_EQUAL(resumed.given_up, death);
    }
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static void test_given_up(void)
{
    struct study_resumed resumed;
    const char *journal = small_search_path("deaths.journal");
    small_search_build("", &config, &space);
    struct study *study = begin_study(journal, false, NULL);
    lease(study, 2);
    lease(study, 7);
    for (int death = 0; death < 4; death++) { /* the first with two in flight */
        study = die_and_resume(study, journal, &resumed);
        CU_ASSERT_EQUAL(resumed.given_up, death == 3);
        CU_ASSERT_EQUAL(count_alone(study), death == 3 ? 1 : 2);
        if (death < 3)
            lease(study, 2);
    }
    const struct vidur_farm farm = study_farm(study, &stop);
    stop = 0;
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, NULL), 0);
    struct study_counts counts;
    study_count(study, &counts);
    CU_ASSERT_EQUAL(counts.failed, 1);
    CU_ASSERT_EQUAL(counts.ok, 11);
    struct vidur_results results;
    CU_ASSERT_EQUAL(study_results(study, &results, NULL), 0);
    int failed = 0;
    for (int64_t i = 0; i < results.num_ranking; i++) {
        if (strcmp(results.ranking[i].status, VIDUR_STATUS_FAILED) == 0) {
            failed++;
            CU_ASSERT_PTR_NOT_NULL(
                strstr(results.ranking[i].reason, "when the search died, 3 times"));
        }
    }
    CU_ASSERT_EQUAL(failed, 1);
    vidur_results_destroy(&results);
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

/* Rank 0 lived to tell which candidates went down with another rank. */
static void test_lost_with_a_rank(void)
{
    struct study_resumed resumed;
    const char *journal = small_search_path("lost.journal");
    small_search_build("", &config, &space);
    struct study *study = begin_study(journal, false, NULL);
    for (int death = 0; death < 4; death++) { /* the first with others in flight */
        const struct vidur_farm farm = study_farm(study, &stop);
        for (int64_t c = 0; c < 5; c++)
            lease(study, c);
        CU_ASSERT_EQUAL(farm.ops->lost(farm.context, space.num_tables + 3, NULL), 0);
        CU_ASSERT_EQUAL(study_end_journal(study, true, NULL), 0);
        study_destroy(study);
        study = begin_study(journal, true, &resumed);
        CU_ASSERT_EQUAL(count_alone(study), death < 3);
        CU_ASSERT_EQUAL(resumed.given_up, death == 3);
    }
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static void test_an_orderly_end_blames_nobody(void)
{
    struct study_resumed resumed;
    const char *journal = small_search_path("orderly.journal");
    small_search_build("", &config, &space);
    struct study *study = begin_study(journal, false, NULL);
    for (int round = 0; round < 4; round++) {
        lease(study, 2);
        CU_ASSERT_EQUAL(study_end_journal(study, true, NULL), 0);
        study_destroy(study);
        study = begin_study(journal, true, &resumed);
        CU_ASSERT_EQUAL(resumed.given_up, 0);
        CU_ASSERT_EQUAL(count_alone(study), 0);
    }
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

/* ---- What the configuration names ---- */

static const char model_text[] =
    "name: tiny\nnum_layers: 4\nnum_q_heads: 8\nnum_kv_heads: 8\nembedding_dim: 512\n"
    "mlp_hidden_dim: %d\nvocab_size: 1000\nmax_position_embeddings: "
    "4096\nuse_gated_mlp: true\n";
static const char device_text[] = "name: dev\npeak_fp16_tflops: 300\nmemory_gib: %g\n"
                                  "memory_bandwidth_gb_per_s: 2000\n"
                                  "usd_per_gpu_hour: %g\n";
static const char node_text[] = "name: box\ndevice: dev\ndevices_per_node: 8\n"
                                "link: {bandwidth_gb_per_s: %g}\n";
static const char trace_text[] = "num_prefill_tokens,num_decode_tokens\n%d,20\n";
static const char config_text[] =
    "models: [{name: m, identifier: model.yaml}]\n"
    "clusters: [{device: dev.yaml, network_device: box.yaml, num_gpus: 2}]\n"
    "schedulers: [{scheduler: vllm}]\n"
    "traces: [{name: t, trace_file: t.csv, num_requests: 100}]\n"
    "batch_sizes: [4]\ntp_dimensions: [1]\npp_dimensions: [1]\n"
    "estimator: {source: roofline, cache_dir: ''}\n";

/* The figures of the files; 0 stands for the usual one. */
struct figures {
    int mlp_hidden_dim, prompt;
    double memory_gib, usd, bandwidth;
};

static const struct figures usual = {0};

static FILE *open_file(const char *name)
{
    FILE *file = fopen(small_search_path(name), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    return file;
}

#define WRITE(name, ...)                                                               \
    do {                                                                               \
        FILE *file = open_file(name);                                                  \
        fprintf(file, __VA_ARGS__);                                                    \
        fclose(file);                                                                  \
    } while (0)

static void build_named(const struct figures *f)
{
    struct vidur_error err = {0};
    WRITE("model.yaml", model_text, f->mlp_hidden_dim ? f->mlp_hidden_dim : 1024);
    WRITE("dev.yaml", device_text, f->memory_gib > 0 ? f->memory_gib : 80,
          f->usd > 0 ? f->usd : 2);
    WRITE("box.yaml", node_text, f->bandwidth > 0 ? f->bandwidth : 300);
    WRITE("t.csv", trace_text, f->prompt ? f->prompt : 100);
    WRITE("named.yaml", "%s", config_text);
    if (vidur_search_config_load(&config, small_search_path("named.yaml"), NULL, 0,
                                 &err) != 0 ||
        vidur_space_build(&space, &config, &err) != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
}

static void release_named(struct study *study)
{
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static long size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

/* Tries to resume under other figures; the error's text. */
static const char *resume_under(const struct figures *figures, const char *journal,
                                struct vidur_error *err)
{
    const struct study_options options = {.ranks = 1, .threads = 1};
    struct study_resumed resumed;
    struct study *study;
    build_named(figures);
    *err = (struct vidur_error){0};
    CU_ASSERT_EQUAL_FATAL(study_create(&study, &space, &options, NULL), 0);
    study_resume_journal(study, journal, &resumed, err);
    study_end_journal(study, true, NULL);
    release_named(study);
    return err->text;
}

static void test_changed_files(void)
{
    static const struct {
        struct figures figures;
        const char *names; /* NULL: changes no simulation */
    } cases[] = {{{.mlp_hidden_dim = 2048}, "model.yaml (models.0) changed since"},
                 {{.memory_gib = 79}, "dev.yaml (clusters.0.device) changed since"},
                 {{.bandwidth = 299}, "box.yaml (clusters.0.network_device) changed"},
                 {{.prompt = 101}, "t.csv (traces.0) changed since"},
                 {{.usd = 1}, NULL},
                 {{.usd = 0}, NULL}};
    char journal[128];
    snprintf(journal, sizeof journal, "%s", small_search_path("named.journal"));
    struct vidur_error err;
    build_named(&usual);
    struct study *study = begin_study(journal, false, NULL);
    stop = 0;
    lease(study, 0);
    record_bound(study, 0);
    CU_ASSERT_EQUAL(study_end_journal(study, true, NULL), 0);
    release_named(study);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const long before = size_of(journal);
        const char *text = resume_under(&cases[i].figures, journal, &err);
        CU_ASSERT_EQUAL(err.code, cases[i].names ? VIDUR_EINVAL : VIDUR_OK);
        if (!cases[i].names)
            continue;
        CU_ASSERT_PTR_NOT_NULL(strstr(text, cases[i].names));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "start it anew without --resume"));
        CU_ASSERT_EQUAL(size_of(journal), before); /* nothing is lost */
    }
}

/* Cut behind its first record, a journal still tells the next session. */
static void test_changed_files_after_a_cut(void)
{
    static const struct figures other = {.memory_gib = 79};
    char journal[128];
    snprintf(journal, sizeof journal, "%s", small_search_path("cut.journal"));
    struct vidur_error err;
    build_named(&usual);
    struct study *study = begin_study(journal, false, NULL);
    release_named(study);
    CU_ASSERT_EQUAL(truncate(journal, 12 + (long)sizeof(struct journal_identity)), 0);
    resume_under(&usual, journal, &err);
    CU_ASSERT_EQUAL(err.code, VIDUR_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(resume_under(&other, journal, &err), "dev.yaml"));
}

/* ---- Its size ---- */

/* What is asked of the disk before a search is about what the search then takes. */
static void expect_bytes(const char *more, int64_t fixed)
{
    const char *journal = small_search_path("bytes.journal");
    const char *file = small_search_path("bytes.h5");
    struct vidur_farm_stats stats;
    struct vidur_results results;
    struct vidur_error err = {0};
    small_search_build(more, &config, &space);
    struct study *study = begin_study(journal, false, NULL);
    const int64_t expected = study_expected_bytes(study);
    stop = 0;
    const struct vidur_farm farm = study_farm(study, &stop);
    CU_ASSERT_EQUAL_FATAL(vidur_farm_run_serial(&farm, &stats, &err), 0);
    CU_ASSERT_EQUAL_FATAL(study_results(study, &results, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(file, &results, &err), 0);
    CU_ASSERT_EQUAL(study_end_journal(study, true, &err), 0);
    const int64_t taken = size_of(journal) + size_of(file);
    CU_ASSERT_TRUE(taken > fixed && expected > taken / 2 && expected < 2 * taken);
    if (!(expected > taken / 2 && expected < 2 * taken))
        printf("\n    expected %lld bytes, took %lld", (long long)expected,
               (long long)taken);
    vidur_results_destroy(&results);
    study_destroy(study);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
    unlink(journal);
    unlink(file);
}

static void test_expected_bytes(void)
{
    expect_bytes("", 60000);
    expect_bytes("search: {warm_start: none, granularity: 0.005}\n", 60000);
    expect_bytes("search: {warm_start: none, confirm: 4}\nrouter: [round_robin, lor]\n"
                 "memory_planner: [exact, vidur]\n",
                 150000);
    expect_bytes("search: {max_iterations: 2}\n", 60000);
}

VIDUR_TEST_MAIN("study's record", {"suspects and culprits", test_suspects_and_culprits},
                {"lost and then killed", test_lost_and_then_killed},
                {"given up", test_given_up},
                {"lost with a rank", test_lost_with_a_rank},
                {"an orderly end blames nobody", test_an_orderly_end_blames_nobody},
                {"changed files", test_changed_files},
                {"changed files after a cut", test_changed_files_after_a_cut},
                {"expected bytes", test_expected_bytes})
