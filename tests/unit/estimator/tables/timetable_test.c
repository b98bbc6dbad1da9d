#include "samples/profile_roofline.h"
#include "tables/timetable_internal.h"

#include "temp_dir.h"
#include "test.h"
#include "timetable_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct temp_dir dir;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* ---- Sizes ---- */

static void test_sizes_cover_the_request(void)
{
    const struct vidur_estimator_config config = fixture_roofline();
    struct vidur_timetable_request request = fixture_request(2);
    request.max_tokens = 700;
    request.max_batch_size = 33;
    request.max_kv_tokens = 1000;
    request.max_chunk_tokens = 513;
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].limit, 1024);
    CU_ASSERT_EQUAL(t->attn_decode.num_rows, 64);
    CU_ASSERT_EQUAL(t->attn_decode.num_columns, 1024 / 64 + 1);
    CU_ASSERT_EQUAL(t->attn_prefill.num_rows, 1024 / 64 + 1);
    CU_ASSERT_EQUAL(t->attn_prefill.num_columns, 1024);
    CU_ASSERT_EQUAL(t->kv_granularity_tokens, 64);
    CU_ASSERT_EQUAL(t->source, VIDUR_SOURCE_ROOFLINE);
    CU_ASSERT(strstr(t->provenance, "synthetic roofline") != NULL);
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++) {
        const bool absent = op == VIDUR_OP_send_recv || op == VIDUR_OP_mlp_experts ||
                            op >= VIDUR_FIRST_CPU_OPERATOR;
        CU_ASSERT_EQUAL(t->token[op].ms == NULL, absent);
        if (!absent)
            CU_ASSERT_EQUAL(t->token[op].ms[0], 0);
    }
    vidur_timetable_close(t);
    vidur_timetable_close(NULL);
}

/* Limits of any size are covered, and cost at most a quarter more beyond 4096. */
static void test_rounding(void)
{
    const struct vidur_estimator_config config = fixture_roofline();
    struct vidur_timetable_request request = fixture_request(2);
    for (int64_t n = 300; n < 3000000; n += n / 7) {
        request.max_tokens = request.max_batch_size = request.max_kv_tokens =
            request.max_chunk_tokens = n;
        const struct vidur_table_limits exact =
            vidur_table_limits(&config, &request, false);
        const struct vidur_table_limits rounded =
            vidur_table_limits(&config, &request, true);
        CU_ASSERT(rounded.tokens >= n && rounded.tokens % 8 == 0);
        CU_ASSERT(rounded.batch >= n);
        CU_ASSERT((rounded.kv_points - 1) * 64 >= n);
        CU_ASSERT(rounded.max_chunk >= n);
        CU_ASSERT(rounded.max_chunk <= (n <= 4096 ? 2 * n : n + n / 4 + 1));
        CU_ASSERT(exact.max_chunk == n && exact.batch == n && exact.tokens < n + 8);
        /* Rounding again changes nothing: what is stored is asked for once. */
        request.max_chunk_tokens = rounded.max_chunk;
        CU_ASSERT_EQUAL(vidur_table_limits(&config, &request, true).max_chunk,
                        rounded.max_chunk);
    }
}

/* The configuration's limits hold when a request asks for less. */
static void test_sizes_cover_the_configuration(void)
{
    struct vidur_estimator_config config = fixture_roofline();
    struct vidur_timetable_request request = fixture_request(1);
    request.max_tokens = request.max_batch_size = request.max_kv_tokens =
        request.max_chunk_tokens = 0;
    config.kv_cache_granularity = 100;
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
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
    struct vidur_estimator_config config = fixture_roofline();
    struct vidur_timetable_request small = fixture_request(2), large = small;
    large.max_tokens = 5000;
    large.max_batch_size = 100;
    large.max_kv_tokens = 3000;
    large.max_chunk_tokens = 900;
    for (int source = 0; source < 2; source++) {
        if (source == 1)
            fixture_write(&dir, &config);
        struct vidur_timetable *a = fixture_open(&config, &small, NULL);
        struct vidur_timetable *b = fixture_open(&config, &large, NULL);
        CU_ASSERT(b->attn_decode.num_rows > a->attn_decode.num_rows);
        CU_ASSERT_TRUE(timetables_equal(a, b));
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
    struct vidur_timetable *a = fixture_open(&config, &request, NULL);
    config.threads = 3;
    struct vidur_timetable *b = fixture_open(&config, &request, NULL);
    CU_ASSERT_TRUE(timetables_equal(a, b));
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
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
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

struct deviation {
    double sum, largest;
    int64_t count;
};

static void deviate(struct deviation *d, double actual, double formula)
{
    const double error = fabs(actual / formula - 1);
    d->sum += error;
    d->largest = error > d->largest ? error : d->largest;
    d->count++;
}

/* Between the samples a forest makes steps; they are small where a search looks. */
static void test_roofline_tables_follow_the_formula(void)
{
    struct vidur_estimator_config config = fixture_roofline();
    struct vidur_timetable_request request = fixture_request(2);
    struct deviation tokens = {0}, decode = {0}, prefill = {0};
    config.num_estimators[0] = 250;
    request.max_batch_size = 256;
    request.max_kv_tokens = request.max_chunk_tokens = request.max_tokens = 4096;
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
    for (int64_t n = 8; n <= 4096; n += 8) {
        const double at = (double)n;
        deviate(&tokens, t->token[VIDUR_OP_mlp_up_proj].ms[n],
                vidur_roofline_ms(&request, VIDUR_OP_mlp_up_proj, &at));
    }
    for (int64_t i = 0; i < 256; i++)
        for (int64_t j = 0; j <= 64; j++) {
            const double at[2] = {(double)i + 1, 64.0 * (double)j};
            deviate(&decode, t->attn_decode.ms[i * t->attn_decode.num_columns + j],
                    vidur_roofline_ms(&request, VIDUR_OP_attn_decode, at));
        }
    for (int64_t i = 0; i <= 64; i++)
        for (int64_t j = 31; j < 4096; j += 13) {
            const double at[2] = {64.0 * (double)i, ((double)j + 1) * ((double)j + 1)};
            deviate(&prefill, t->attn_prefill.ms[i * t->attn_prefill.num_columns + j],
                    vidur_roofline_ms(&request, VIDUR_OP_attn_prefill, at));
        }
    CU_ASSERT(tokens.sum < 0.005 * (double)tokens.count && tokens.largest < 0.03);
    CU_ASSERT(decode.sum < 0.02 * (double)decode.count && decode.largest < 0.1);
    CU_ASSERT(prefill.sum < 0.02 * (double)prefill.count && prefill.largest < 0.15);
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
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
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
    config = fixture_roofline();
    request.max_batch_size = 512;
    request.max_kv_tokens = 16384;
    t = fixture_open(&config, &request, NULL);
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
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
    CU_ASSERT_PTR_NULL(t->token[VIDUR_OP_schedule].ms);
    vidur_timetable_close(t);
    config.overheads.model_cpu_overhead = true;
    t = fixture_open(&config, &request, NULL);
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
    struct vidur_timetable *t = fixture_open(&config, &request, NULL);
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
    const struct vidur_estimator_config config = fixture_roofline();
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
    model.kinds[0].num_kv_heads = 4;
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
    struct vidur_estimator_config c = fixture_roofline();
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

VIDUR_TEST_MAIN(
    "timetable", {"set up", set_up},
    {"sizes cover the request", test_sizes_cover_the_request},
    {"rounding", test_rounding},
    {"sizes cover the configuration", test_sizes_cover_the_configuration},
    {"numbers do not depend on the limits", test_numbers_do_not_depend_on_the_limits},
    {"numbers do not depend on the threads", test_numbers_do_not_depend_on_the_threads},
    {"cells are predictions", test_cells_are_predictions},
    {"roofline tables follow the formula", test_roofline_tables_follow_the_formula},
    {"profiled ranges", test_profiled_ranges}, {"cpu overheads", test_cpu_overheads},
    {"polynomial tables are not negative", test_polynomial_tables_are_not_negative},
    {"keys change with the inputs", test_keys_change_with_the_inputs},
    {"keys ignore the rest", test_keys_ignore_the_rest},
    {"keys follow the files", test_keys_follow_the_files}, {"clean up", clean_up})
