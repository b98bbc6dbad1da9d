#include "temp_dir.h"
#include "test.h"
#include "timetable_fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct temp_dir dir;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* ---- The cache ---- */

static struct vidur_estimator_config cached_config(const char *folder)
{
    struct vidur_estimator_config config = fixture_roofline();
    snprintf(config.cache_dir, sizeof config.cache_dir, "%s/%s", dir.path, folder);
    return config;
}

static struct temp_path cache_file(const char *folder, const char *key)
{
    char name[200];
    snprintf(name, sizeof name, "%s/%s.h5", folder, key);
    return temp_dir_path(&dir, name);
}

static void test_cached_equals_built(void)
{
    const struct vidur_estimator_config config = cached_config("a/b/c");
    const struct vidur_estimator_config plain = fixture_roofline();
    const struct vidur_timetable_request request = fixture_request(2);
    struct fixture_heard heard;
    const struct vidur_log log = fixture_log(&heard);
    struct vidur_timetable *built = fixture_open(&plain, &request, NULL);
    struct vidur_timetable *stored = fixture_open(&config, &request, &log);
    CU_ASSERT_EQUAL(heard.built, 1);
    struct vidur_timetable *mapped = fixture_open(&config, &request, &log);
    CU_ASSERT_EQUAL(heard.built, 1);
    CU_ASSERT_EQUAL(heard.warnings, 0);
    CU_ASSERT_TRUE(timetables_equal(built, stored));
    CU_ASSERT_TRUE(timetables_equal(built, mapped));
    CU_ASSERT_EQUAL(mapped->token[VIDUR_OP_add].limit,
                    built->token[VIDUR_OP_add].limit);
    CU_ASSERT_EQUAL(mapped->attn_prefill.profiled_columns,
                    built->attn_prefill.profiled_columns);
    CU_ASSERT_EQUAL(mapped->attn_decode.num_rows, built->attn_decode.num_rows);
    CU_ASSERT_EQUAL(mapped->attn_decode.num_columns, built->attn_decode.num_columns);
    CU_ASSERT_STRING_EQUAL(mapped->provenance, built->provenance);
    CU_ASSERT_STRING_EQUAL(mapped->key, built->key);
    /* Both handles look at the file: its tables are 64 bytes aligned. */
    CU_ASSERT_EQUAL((uintptr_t)mapped->attn_decode.ms % 64, 0);
    vidur_timetable_close(built);
    vidur_timetable_close(stored);
    vidur_timetable_close(mapped);
}

/* A roofline's tables do not depend on the flag that it must refuse. */
static void test_cpu_overhead_is_refused_over_a_warm_cache(void)
{
    struct vidur_estimator_config config = cached_config("cpu");
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
    struct vidur_error err = {0};
    vidur_timetable_close(t);
    config.overheads.model_cpu_overhead = true;
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "estimator.model_cpu_overhead: a roofline") != NULL);
}

static void test_damaged_files_are_rebuilt(void)
{
    const struct vidur_estimator_config config = cached_config("damaged");
    const struct vidur_timetable_request request = fixture_request(2);
    struct fixture_heard heard;
    const struct vidur_log log = fixture_log(&heard);
    struct vidur_timetable *first = fixture_open(&config, &request, &log);
    const struct temp_path path = cache_file("damaged", first->key);
    for (int how = 0; how < 3; how++) {
        FILE *file = fopen(path.text, how == 0 ? "r+b" : "wb");
        CU_ASSERT_FATAL(file != NULL);
        if (how == 0)
            fseek(file, 5000, SEEK_SET);
        if (how < 2)
            fputs("damage", file);
        fclose(file);
        fixture_log(&heard);
        struct vidur_timetable *again = fixture_open(&config, &request, &log);
        CU_ASSERT_EQUAL(heard.warnings, 1);
        CU_ASSERT_EQUAL(heard.built, 1);
        CU_ASSERT(strstr(heard.last_warning, path.text) != NULL);
        struct vidur_timetable *mapped = fixture_open(&config, &request, &log);
        CU_ASSERT_EQUAL(heard.built, 1);
        if (how > 0) /* the first handle's own pages were written to when how is 0 */
            CU_ASSERT_TRUE(timetables_equal(again, mapped));
        vidur_timetable_close(again);
        vidur_timetable_close(mapped);
    }
    vidur_timetable_close(first);
}

/* A cache that cannot be written costs a warning and nothing else. */
static void test_unwritable_cache(void)
{
    struct vidur_estimator_config config = fixture_roofline();
    const struct vidur_timetable_request request = fixture_request(2);
    struct fixture_heard heard;
    const struct vidur_log log = fixture_log(&heard);
    struct vidur_timetable *plain = fixture_open(&config, &request, NULL);
    temp_dir_write(&dir, "file", "not a folder\n");
    snprintf(config.cache_dir, sizeof config.cache_dir, "%s/file/cache", dir.path);
    struct vidur_timetable *t = fixture_open(&config, &request, &log);
    CU_ASSERT_EQUAL(heard.warnings, 1);
    CU_ASSERT(strstr(heard.last_warning, "own memory") != NULL);
    CU_ASSERT_TRUE(timetables_equal(plain, t));
    vidur_timetable_close(t);
    /* A folder stands where the file should be: it cannot be replaced. */
    char folder[200];
    snprintf(folder, sizeof folder, "blocked/%s.h5/x", plain->key);
    temp_dir_write(&dir, folder, "x");
    config = cached_config("blocked");
    fixture_log(&heard);
    t = fixture_open(&config, &request, &log);
    CU_ASSERT(heard.warnings >= 1);
    CU_ASSERT(strstr(heard.last_warning, "own memory") != NULL);
    CU_ASSERT_TRUE(timetables_equal(plain, t));
    vidur_timetable_close(t);
    vidur_timetable_close(plain);
}

enum { NUM_PROCESSES = 6 };

/* Exit status: how often this process built. */
static int open_in_child(const struct vidur_estimator_config *config,
                         const struct vidur_timetable *expected)
{
    const struct vidur_timetable_request request = fixture_request(2);
    struct fixture_heard heard;
    const struct vidur_log log = fixture_log(&heard);
    struct vidur_timetable *t;
    if (vidur_timetable_open(&t, config, &request, &log, NULL) || heard.warnings ||
        !timetables_equal(t, expected))
        return 100;
    vidur_timetable_close(t);
    return heard.built;
}

/* Processes that start together build once and all get the same numbers. */
static void test_processes_build_once(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_estimator_config config = cached_config("shared");
    struct vidur_estimator_config plain = fixture_roofline();
    plain.threads = config.threads = 1; /* OpenMP's threads do not survive a fork */
    struct vidur_timetable *expected = fixture_open(&plain, &request, NULL);
    pid_t children[NUM_PROCESSES];
    int built = 0;
    for (int i = 0; i < NUM_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(open_in_child(&config, expected));
    }
    for (int i = 0; i < NUM_PROCESSES; i++) {
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        built += WEXITSTATUS(status);
    }
    CU_ASSERT_EQUAL(built, 1);
    struct temp_dir shared;
    snprintf(shared.path, sizeof shared.path, "%s/shared", dir.path);
    CU_ASSERT_EQUAL(temp_dir_count(&shared, ".h5"), 1);
    CU_ASSERT_EQUAL(temp_dir_count(&shared, ""), 3);
    vidur_timetable_close(expected);
}

/* ---- Threads ---- */

struct opener {
    pthread_t thread;
    const struct vidur_estimator_config *config;
    struct fixture_heard heard;
    struct vidur_timetable *timetable;
};

static void *open_in_thread(void *argument)
{
    struct opener *opener = argument;
    const struct vidur_timetable_request request = fixture_request(2);
    const struct vidur_log log = fixture_log(&opener->heard);
    if (vidur_timetable_open(&opener->timetable, opener->config, &request, &log, NULL))
        opener->timetable = NULL;
    return NULL;
}

/* The same of threads of one process. */
static void test_threads_build_once(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    const struct vidur_estimator_config config = cached_config("threads");
    const struct vidur_estimator_config plain = fixture_roofline();
    struct vidur_timetable *expected = fixture_open(&plain, &request, NULL);
    struct opener openers[4] = {{.config = &config},
                                {.config = &config},
                                {.config = &config},
                                {.config = &config}};
    int built = 0;
    for (int i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(
            pthread_create(&openers[i].thread, NULL, open_in_thread, &openers[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(openers[i].thread, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(openers[i].timetable);
        CU_ASSERT_TRUE(timetables_equal(openers[i].timetable, expected));
        CU_ASSERT_EQUAL(openers[i].heard.warnings, 0);
        built += openers[i].heard.built;
        vidur_timetable_close(openers[i].timetable);
    }
    CU_ASSERT_EQUAL(built, 1);
    vidur_timetable_close(expected);
}

/* An input that cannot be read leaves no file and no lock behind. */
static void test_failed_builds_leave_nothing(void)
{
    struct vidur_estimator_config config;
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_timetable *t;
    struct vidur_error err = {0};
    struct temp_dir cache;
    fixture_write(&dir, &config);
    fixture_edit(&dir, FIXTURE_MLP, "0.003800", "-0.003800");
    snprintf(cache.path, sizeof cache.path, "%s/failed", dir.path);
    strcpy(config.cache_dir, cache.path);
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "mlp.csv:2") != NULL);
    CU_ASSERT_EQUAL(temp_dir_count(&cache, ".h5"), 0);
    CU_ASSERT_EQUAL(temp_dir_count(&cache, ".lock"), 0);
}

VIDUR_TEST_MAIN("timetable in the cache", {"set up", set_up},
                {"processes build once", test_processes_build_once},
                {"cached equals built", test_cached_equals_built},
                {"CPU overhead is refused over a warm cache",
                 test_cpu_overhead_is_refused_over_a_warm_cache},
                {"damaged files are rebuilt", test_damaged_files_are_rebuilt},
                {"unwritable cache", test_unwritable_cache},
                {"threads build once", test_threads_build_once},
                {"failed builds leave nothing", test_failed_builds_leave_nothing},
                {"clean up", clean_up})
