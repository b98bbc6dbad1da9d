#include "timetable_internal.h"

#include "profile_fixture.h"
#include "temp_dir.h"
#include "test.h"

#include <math.h>
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

/* ---- A log that counts ---- */

struct heard {
    int built, warnings;
    char last_warning[512];
};

static void hear(void *ctx, enum vidur_log_level level, const char *text)
{
    struct heard *heard = ctx;
    if (level == VIDUR_LOG_WARN) {
        heard->warnings++;
        snprintf(heard->last_warning, sizeof heard->last_warning, "%s", text);
    }
    heard->built += strstr(text, ": built in") != NULL;
}

static struct vidur_log log_to(struct heard *heard)
{
    memset(heard, 0, sizeof *heard);
    return (struct vidur_log){.write = hear, .ctx = heard, .level = VIDUR_LOG_DEBUG};
}

static struct vidur_timetable *open_table(const struct vidur_estimator_config *config,
                                          const struct vidur_timetable_request *request,
                                          const struct vidur_log *log)
{
    struct vidur_timetable *timetable = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_open(&timetable, config, request, log, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_FATAL(timetable != NULL);
    return timetable;
}

static struct vidur_estimator_config roofline_config(void)
{
    struct vidur_estimator_config config;
    vidur_estimator_config_defaults(&config);
    config.cache_dir[0] = '\0';
    config.num_estimators[0] = 20;
    config.num_num_estimators = 1;
    config.max_tokens_per_request = 256;
    config.max_batch_size = 8;
    config.max_prefill_chunk_size = 128;
    return config;
}

/* ---- Comparing timetables to the bit, where both have a cell ---- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool same_list(const struct vidur_token_table *a,
                      const struct vidur_token_table *b)
{
    if (!a->ms || !b->ms)
        return a->ms == b->ms;
    return memcmp(a->ms, b->ms,
                  ((size_t)lesser(a->limit, b->limit) + 1) * sizeof *a->ms) == 0;
}

static bool same_grid(const struct vidur_grid_table *a,
                      const struct vidur_grid_table *b)
{
    const int64_t columns = lesser(a->num_columns, b->num_columns);
    for (int64_t i = 0; i < lesser(a->num_rows, b->num_rows); i++)
        if (memcmp(a->ms + i * a->num_columns, b->ms + i * b->num_columns,
                   (size_t)columns * sizeof *a->ms) != 0)
            return false;
    return true;
}

static bool same(const struct vidur_timetable *a, const struct vidur_timetable *b)
{
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        if (!same_list(&a->token[op], &b->token[op]))
            return false;
    return same_grid(&a->attn_decode, &b->attn_decode) &&
           same_grid(&a->attn_prefill, &b->attn_prefill);
}

/* ---- Sizes ---- */

static void test_sizes_cover_the_request(void)
{
    const struct vidur_estimator_config config = roofline_config();
    struct vidur_timetable_request request = fixture_request(2);
    request.max_tokens = 700;
    request.max_batch_size = 33;
    request.max_kv_tokens = 1000;
    request.max_chunk_tokens = 513;
    struct vidur_timetable *t = open_table(&config, &request, NULL);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].limit, 1024);
    CU_ASSERT_EQUAL(t->attn_decode.num_rows, 64);
    CU_ASSERT_EQUAL(t->attn_decode.num_columns, 1024 / 64 + 1);
    CU_ASSERT_EQUAL(t->attn_prefill.num_rows, 1024 / 64 + 1);
    CU_ASSERT_EQUAL(t->attn_prefill.num_columns, 1024);
    CU_ASSERT_EQUAL(t->kv_granularity_tokens, 64);
    CU_ASSERT_EQUAL(t->source, VIDUR_SOURCE_ROOFLINE);
    CU_ASSERT(strstr(t->provenance, "synthetic roofline") != NULL);
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++) {
        const bool absent = op == VIDUR_OP_send_recv || op >= VIDUR_FIRST_CPU_OPERATOR;
        CU_ASSERT_EQUAL(t->token[op].ms == NULL, absent);
        if (!absent)
            CU_ASSERT_EQUAL(t->token[op].ms[0], 0);
    }
    vidur_timetable_close(t);
    vidur_timetable_close(NULL);
}

/* The configuration's limits hold when a request asks for less. */
static void test_sizes_cover_the_configuration(void)
{
    struct vidur_estimator_config config = roofline_config();
    struct vidur_timetable_request request = fixture_request(1);
    request.max_tokens = request.max_batch_size = request.max_kv_tokens =
        request.max_chunk_tokens = 0;
    config.kv_cache_granularity = 100;
    struct vidur_timetable *t = open_table(&config, &request, NULL);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_add].limit, 256);
    CU_ASSERT_EQUAL(t->attn_decode.num_rows, 8);
    CU_ASSERT_EQUAL(t->attn_decode.num_columns, 4); /* 0, 100, 200, 300 */
    CU_ASSERT_EQUAL(t->attn_prefill.num_columns, 128);
    vidur_timetable_close(t);
    const struct vidur_table_limits exact =
        vidur_table_limits(&config, &request, false);
    CU_ASSERT_EQUAL(exact.tokens, 256);
    CU_ASSERT_EQUAL(exact.max_chunk, 128);
}

/* A cell's number does not depend on how large the table was asked to be. */
static void test_numbers_do_not_depend_on_the_limits(void)
{
    struct vidur_estimator_config config = roofline_config();
    struct vidur_timetable_request small = fixture_request(2), large = small;
    large.max_tokens = 5000;
    large.max_batch_size = 100;
    large.max_kv_tokens = 3000;
    large.max_chunk_tokens = 900;
    for (int source = 0; source < 2; source++) {
        if (source == 1)
            fixture_write(&dir, &config);
        struct vidur_timetable *a = open_table(&config, &small, NULL);
        struct vidur_timetable *b = open_table(&config, &large, NULL);
        CU_ASSERT(b->attn_decode.num_rows > a->attn_decode.num_rows);
        CU_ASSERT_TRUE(same(a, b));
        CU_ASSERT(strcmp(a->key, b->key) != 0);
        vidur_timetable_close(a);
        vidur_timetable_close(b);
    }
}

static void test_numbers_do_not_depend_on_the_threads(void)
{
    struct vidur_estimator_config config;
    const struct vidur_timetable_request request = fixture_request(2);
    fixture_write(&dir, &config);
    config.threads = 1;
    struct vidur_timetable *a = open_table(&config, &request, NULL);
    config.threads = 3;
    struct vidur_timetable *b = open_table(&config, &request, NULL);
    CU_ASSERT_TRUE(same(a, b));
    CU_ASSERT_STRING_EQUAL(a->key, b->key);
    vidur_timetable_close(a);
    vidur_timetable_close(b);
}

/* ---- Contents ---- */

static double predicted(const struct vidur_estimator_config *config,
                        const struct vidur_profile *profile, int op, double a, double b)
{
    struct vidur_regression *regression;
    const double features[2] = {a, b};
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_regression(&regression, NULL, config,
                                                     &profile->operators[op], NULL),
                          0);
    const double ms = vidur_regression_predict(regression, features);
    vidur_regression_free(regression);
    return ms;
}

static void test_cells_are_predictions(void)
{
    struct vidur_estimator_config config;
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_profile *profile;
    fixture_write(&dir, &config);
    struct vidur_timetable *t = open_table(&config, &request, NULL);
    CU_ASSERT_EQUAL_FATAL(
        vidur_timetable_profile(&profile, &config, &request, NULL, NULL), 0);
    for (int64_t n = 1; n <= 256; n += 51)
        CU_ASSERT_EQUAL(t->token[VIDUR_OP_mlp_act].ms[n],
                        predicted(&config, profile, VIDUR_OP_mlp_act, (double)n, 0));
    const struct vidur_grid_table *decode = &t->attn_decode,
                                  *prefill = &t->attn_prefill;
    for (int64_t i = 0; i < 8; i += 3)
        for (int64_t j = 0; j < 9; j += 4) {
            CU_ASSERT_EQUAL(decode->ms[i * decode->num_columns + j],
                            predicted(&config, profile, VIDUR_OP_attn_decode,
                                      (double)i + 1, 64.0 * (double)j));
            const double chunk = 37.0 + (double)i;
            CU_ASSERT_EQUAL(prefill->ms[j * prefill->num_columns + (int64_t)chunk - 1],
                            predicted(&config, profile, VIDUR_OP_attn_prefill,
                                      64.0 * (double)j, chunk * chunk));
        }
    vidur_profile_free(profile);
    vidur_timetable_close(t);
}

/* What the fixture measured: tokens to 200, all-reduce to 160, decode batches to 6 and
 * contexts to 384, prefill contexts to 320 and chunks to 96. */
static void test_profiled_ranges(void)
{
    struct vidur_estimator_config config;
    struct vidur_timetable_request request = fixture_request(2);
    request.pipeline = true;
    fixture_write(&dir, &config);
    struct vidur_timetable *t = open_table(&config, &request, NULL);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].limit, 256);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].profiled_limit, 200);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_all_reduce].profiled_limit, 160);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_send_recv].profiled_limit, 160);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_rows, 6);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_columns, 384 / 64 + 1);
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_rows, 320 / 64 + 1);
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_columns, 96);
    vidur_timetable_close(t);
    /* A roofline covers whatever is asked for. */
    config = roofline_config();
    request.max_batch_size = 512;
    request.max_kv_tokens = 16384;
    t = open_table(&config, &request, NULL);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].profiled_limit,
                    t->token[VIDUR_OP_attn_rope].limit);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_rows, t->attn_decode.num_rows);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_columns, t->attn_decode.num_columns);
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_rows, t->attn_prefill.num_rows);
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_columns, t->attn_prefill.num_columns);
    vidur_timetable_close(t);
}

static void test_cpu_overheads(void)
{
    struct vidur_estimator_config config;
    const struct vidur_timetable_request request = fixture_request(1);
    fixture_write(&dir, &config);
    struct vidur_timetable *t = open_table(&config, &request, NULL);
    CU_ASSERT_PTR_NULL(t->token[VIDUR_OP_schedule].ms);
    vidur_timetable_close(t);
    config.overheads.model_cpu_overhead = true;
    t = open_table(&config, &request, NULL);
    CU_ASSERT_TRUE(t->overheads.model_cpu_overhead);
    for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++) {
        CU_ASSERT_FATAL(t->token[op].ms != NULL);
        CU_ASSERT_EQUAL(t->token[op].limit, 8);
    }
    CU_ASSERT_DOUBLE_EQUAL(t->token[VIDUR_OP_ray_comm_time].ms[3], 0.5, 1e-9);
    vidur_timetable_close(t);
    struct vidur_error err = {0};
    config.source = VIDUR_SOURCE_ROOFLINE;
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "model_cpu_overhead") != NULL);
}

/* A polynomial falls below zero where it extrapolates; a table does not. */
static void test_polynomial_tables_are_not_negative(void)
{
    struct vidur_estimator_config config;
    const struct vidur_timetable_request request = fixture_request(1);
    fixture_write(&dir, &config);
    strcpy(config.regressor, "polynomial");
    struct vidur_timetable *t = open_table(&config, &request, NULL);
    /* The fixture's times are polynomials: they come back nearly exactly. */
    CU_ASSERT_DOUBLE_EQUAL(t->token[VIDUR_OP_attn_pre_proj].ms[100], 0.003 + 1e-4 * 100,
                           1e-6);
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        for (int64_t i = 0; t->token[op].ms && i <= t->token[op].limit; i++)
            CU_ASSERT(t->token[op].ms[i] >= 0);
    for (int64_t i = 0; i < t->attn_decode.num_rows * t->attn_decode.num_columns; i++)
        CU_ASSERT(t->attn_decode.ms[i] >= 0);
    vidur_timetable_close(t);
}

static void test_kernels_are_refused(void)
{
    struct vidur_estimator_config config = roofline_config();
    const struct vidur_timetable_request request = fixture_request(1);
    struct vidur_timetable *t;
    struct vidur_error err = {0};
    config.source = VIDUR_SOURCE_KERNELS;
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT(strstr(err.text, "estimator.source") != NULL);
}

/* ---- Keys ---- */

static void key_of(const struct vidur_estimator_config *config,
                   const struct vidur_timetable_request *request, char key[65])
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_key(key, config, request, &err), 0);
    CU_ASSERT_EQUAL(strlen(key), 64);
}

static void assert_key(const char *base, const struct vidur_estimator_config *config,
                       const struct vidur_timetable_request *request, bool equal)
{
    char key[65];
    key_of(config, request, key);
    CU_ASSERT_EQUAL(strcmp(base, key) == 0, equal);
}

/* Whatever changes a number changes the key. */
static void test_keys_change_with_the_inputs(void)
{
    const struct vidur_estimator_config config = roofline_config();
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_estimator_config c = config;
    struct vidur_timetable_request r = request;
    struct vidur_model_spec model = fixture_model;
    struct vidur_device_sku device = fixture_device;
    struct vidur_node_sku node = fixture_node;
    char base[65];
    key_of(&config, &request, base);
    r.model = &model;
    r.device = &device;
    r.node = &node;
    assert_key(base, &c, &r, true);
    model.num_kv_heads = 4;
    assert_key(base, &c, &r, false);
    model = fixture_model;
    device.roofline.gemm_efficiency = 0.81;
    assert_key(base, &c, &r, false);
    device = fixture_device;
    node.link_latency_us = 5;
    assert_key(base, &c, &r, false);
    node = fixture_node;
    r.tensor_parallel_size = 4;
    assert_key(base, &c, &r, false);
    r.tensor_parallel_size = 2;
    r.pipeline = true;
    assert_key(base, &c, &r, false);
    r.pipeline = false;
    r.max_tokens = 257;
    assert_key(base, &c, &r, false);
    r.max_tokens = 256;
    c.seed = 1;
    assert_key(base, &c, &r, false);
    c = config;
    c.kv_cache_granularity = 32;
    assert_key(base, &c, &r, false);
    c = config;
    c.num_estimators[0] = 21;
    assert_key(base, &c, &r, false);
    c = config;
    strcpy(c.regressor, "polynomial");
    assert_key(base, &c, &r, false);
}

/* What does not change a number does not: names, layers, threads, the step model's
 * corrections, limits within the same power of two. */
static void test_keys_ignore_the_rest(void)
{
    struct vidur_estimator_config c = roofline_config();
    struct vidur_timetable_request r = fixture_request(2);
    struct vidur_model_spec model = fixture_model;
    char base[65];
    key_of(&c, &r, base);
    strcpy(model.name, "other/name");
    model.num_layers = 99;
    model.vocab_size = 5;
    r.model = &model;
    c.threads = 7;
    c.overheads.nccl_cpu_launch_overhead_ms = 9;
    r.max_tokens = 200;
    r.max_batch_size = 5;
    r.max_kv_tokens = 300;
    r.max_chunk_tokens = 100;
    strcpy(c.cache_dir, "/elsewhere");
    assert_key(base, &c, &r, true);
}

static void test_keys_follow_the_files(void)
{
    struct vidur_estimator_config config;
    const struct vidur_timetable_request request = fixture_request(2);
    char base[65];
    fixture_write(&dir, &config);
    key_of(&config, &request, base);
    fixture_edit(&dir, FIXTURE_ALL_REDUCE, "0.010080", "0.010081");
    assert_key(base, &config, &request, false);
    fixture_edit(&dir, FIXTURE_ALL_REDUCE, "0.010081", "0.010080");
    assert_key(base, &config, &request, true);
    /* The same bytes in another folder. */
    char renamed[300];
    snprintf(renamed, sizeof renamed, "%s/elsewhere", dir.path);
    CU_ASSERT_EQUAL(rename(config.profiles[0], renamed), 0);
    strcpy(config.profiles[0], renamed);
    assert_key(base, &config, &request, true);
}

/* ---- The cache ---- */

static struct vidur_estimator_config cached_config(const char *folder)
{
    struct vidur_estimator_config config = roofline_config();
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
    const struct vidur_estimator_config plain = roofline_config();
    const struct vidur_timetable_request request = fixture_request(2);
    struct heard heard;
    const struct vidur_log log = log_to(&heard);
    struct vidur_timetable *built = open_table(&plain, &request, NULL);
    struct vidur_timetable *stored = open_table(&config, &request, &log);
    CU_ASSERT_EQUAL(heard.built, 1);
    struct vidur_timetable *mapped = open_table(&config, &request, &log);
    CU_ASSERT_EQUAL(heard.built, 1);
    CU_ASSERT_EQUAL(heard.warnings, 0);
    CU_ASSERT_TRUE(same(built, stored));
    CU_ASSERT_TRUE(same(built, mapped));
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

static void test_damaged_files_are_rebuilt(void)
{
    const struct vidur_estimator_config config = cached_config("damaged");
    const struct vidur_timetable_request request = fixture_request(2);
    struct heard heard;
    const struct vidur_log log = log_to(&heard);
    struct vidur_timetable *first = open_table(&config, &request, &log);
    const struct temp_path path = cache_file("damaged", first->key);
    for (int how = 0; how < 3; how++) {
        FILE *file = fopen(path.text, how == 0 ? "r+b" : "wb");
        CU_ASSERT_FATAL(file != NULL);
        if (how == 0)
            fseek(file, 5000, SEEK_SET);
        if (how < 2)
            fputs("damage", file);
        fclose(file);
        log_to(&heard);
        struct vidur_timetable *again = open_table(&config, &request, &log);
        CU_ASSERT_EQUAL(heard.warnings, 1);
        CU_ASSERT_EQUAL(heard.built, 1);
        CU_ASSERT(strstr(heard.last_warning, path.text) != NULL);
        struct vidur_timetable *mapped = open_table(&config, &request, &log);
        CU_ASSERT_EQUAL(heard.built, 1);
        if (how > 0) /* the first handle's own pages were written to when how is 0 */
            CU_ASSERT_TRUE(same(again, mapped));
        vidur_timetable_close(again);
        vidur_timetable_close(mapped);
    }
    vidur_timetable_close(first);
}

/* A cache that cannot be written costs a warning and nothing else. */
static void test_unwritable_cache(void)
{
    struct vidur_estimator_config config = roofline_config();
    const struct vidur_timetable_request request = fixture_request(2);
    struct heard heard;
    const struct vidur_log log = log_to(&heard);
    struct vidur_timetable *plain = open_table(&config, &request, NULL);
    temp_dir_write(&dir, "file", "not a folder\n");
    snprintf(config.cache_dir, sizeof config.cache_dir, "%s/file/cache", dir.path);
    struct vidur_timetable *t = open_table(&config, &request, &log);
    CU_ASSERT_EQUAL(heard.warnings, 1);
    CU_ASSERT(strstr(heard.last_warning, "own memory") != NULL);
    CU_ASSERT_TRUE(same(plain, t));
    vidur_timetable_close(t);
    /* A folder stands where the file should be: it cannot be replaced. */
    char folder[200];
    snprintf(folder, sizeof folder, "blocked/%s.h5/x", plain->key);
    temp_dir_write(&dir, folder, "x");
    config = cached_config("blocked");
    log_to(&heard);
    t = open_table(&config, &request, &log);
    CU_ASSERT(heard.warnings >= 1);
    CU_ASSERT(strstr(heard.last_warning, "own memory") != NULL);
    CU_ASSERT_TRUE(same(plain, t));
    vidur_timetable_close(t);
    vidur_timetable_close(plain);
}

enum { NUM_PROCESSES = 6 };

/* Exit status: how often this process built. */
static int open_in_child(const struct vidur_estimator_config *config,
                         const struct vidur_timetable *expected)
{
    const struct vidur_timetable_request request = fixture_request(2);
    struct heard heard;
    const struct vidur_log log = log_to(&heard);
    struct vidur_timetable *t;
    if (vidur_timetable_open(&t, config, &request, &log, NULL) || heard.warnings ||
        !same(t, expected))
        return 100;
    vidur_timetable_close(t);
    return heard.built;
}

/* Processes that start together build once and all get the same numbers. */
static void test_processes_build_once(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_estimator_config config = cached_config("shared");
    struct vidur_estimator_config plain = roofline_config();
    plain.threads = config.threads = 1; /* OpenMP's threads do not survive a fork */
    struct vidur_timetable *expected = open_table(&plain, &request, NULL);
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

VIDUR_TEST_MAIN(
    "timetable", {"set up", set_up},
    {"processes build once", test_processes_build_once},
    {"sizes cover the request", test_sizes_cover_the_request},
    {"sizes cover the configuration", test_sizes_cover_the_configuration},
    {"numbers do not depend on the limits", test_numbers_do_not_depend_on_the_limits},
    {"numbers do not depend on the threads", test_numbers_do_not_depend_on_the_threads},
    {"cells are predictions", test_cells_are_predictions},
    {"profiled ranges", test_profiled_ranges}, {"cpu overheads", test_cpu_overheads},
    {"polynomial tables are not negative", test_polynomial_tables_are_not_negative},
    {"kernels are refused", test_kernels_are_refused},
    {"keys change with the inputs", test_keys_change_with_the_inputs},
    {"keys ignore the rest", test_keys_ignore_the_rest},
    {"keys follow the files", test_keys_follow_the_files},
    {"cached equals built", test_cached_equals_built},
    {"damaged files are rebuilt", test_damaged_files_are_rebuilt},
    {"unwritable cache", test_unwritable_cache},
    {"failed builds leave nothing", test_failed_builds_leave_nothing},
    {"clean up", clean_up})
