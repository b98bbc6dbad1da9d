#include "profile_fixture.h"
#include "temp_dir.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Timetables from profile folders: what a broken folder says, and real ones. */

static struct temp_dir dir;
static struct vidur_estimator_config config;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

static void assert_fails(const struct vidur_timetable_request *request,
                         const char *message)
{
    struct vidur_timetable *t = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, request, NULL, &err), -1);
    CU_ASSERT(err.code != VIDUR_OK);
    assert_contains(err.text, message);
    CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
}

static void assert_opens(const struct vidur_timetable_request *request)
{
    struct vidur_timetable *t = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, request, NULL, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    vidur_timetable_close(t);
}

/* ---- Damage, one kind at a time ---- */

static void test_damaged_values(void)
{
    static const struct {
        const char *file, *from, *to, *message;
    } cases[] = {
        {FIXTURE_MLP, "0.003800", "-0.003800", "mlp.csv:2: time_stats.attn_pre_proj"},
        {FIXTURE_MLP, "0.003800", "fast", "mlp.csv:2: time_stats.attn_pre_proj.median"},
        {FIXTURE_MLP, "0.003800", "inf", "mlp.csv:2: time_stats.attn_pre_proj.median"},
        {FIXTURE_MLP, "512,1000,True,8,1", "512,1000,True,nan,1",
         "mlp.csv:2: num_tokens"},
        {FIXTURE_MLP, "512,1000,True,8,1", "512,1000,True,-8,1",
         "mlp.csv:2: num_tokens"},
        {FIXTURE_MLP, "512,1000,True,8,1\n", "512,1000,True,8\n", "mlp.csv:2"},
        {FIXTURE_MLP, "num_tokens", "tokens", "num_tokens"},
        {FIXTURE_MLP, "time_stats.mlp_act.median", "mlp_act",
         "time_stats.mlp_act.median"},
        {FIXTURE_MLP, "time_stats.post_attention_layernorm.median", "x",
         "time_stats.post_attention_layernorm.median"},
        {FIXTURE_ATTENTION, "kv_cache_size", "kv", "kv_cache_size"},
        {FIXTURE_ATTENTION, "0.002160000", "-1", "attention.csv:2: "},
        {FIXTURE_ATTENTION, "batch_size,", "", "batch_size"},
        {FIXTURE_ALL_REDUCE, "0.010080", "-1", "all_reduce.csv:2: "},
        {FIXTURE_ALL_REDUCE, "0,2,2048,", "0,2,0,", "all_reduce.csv:2: size"},
        {FIXTURE_ALL_REDUCE, "time_stats.all_reduce.median", "time",
         "time_stats.all_reduce.median"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vidur_timetable_request request = fixture_request(2);
        fixture_write(&dir, &config);
        fixture_edit(&dir, cases[i].file, cases[i].from, cases[i].to);
        assert_fails(&request, cases[i].message);
    }
}

static void test_empty_files(void)
{
    const struct vidur_timetable_request request = fixture_request(1);
    fixture_write(&dir, &config);
    temp_dir_write(&dir, FIXTURE_MLP, "");
    assert_fails(&request, "mlp.csv");
    fixture_write(&dir, &config);
    temp_dir_write(&dir, FIXTURE_MLP, "this is no profile\n1\n");
    assert_fails(&request, "mlp.csv");
    temp_dir_write(&dir, FIXTURE_MLP, "\x1f\x8b\x08garbage");
    assert_fails(&request, "mlp.csv");
}

/* A time that is missing is left out and told; the rest is trained on. */
static void count_warning(void *ctx, enum vidur_log_level level, const char *text)
{
    if (level == VIDUR_LOG_WARN && strstr(text, "attn_pre_proj"))
        ++*(int *)ctx;
}

static void test_missing_times_are_told(void)
{
    static const char *const holes[] = {"", "nan", "NaN"};
    const struct vidur_timetable_request request = fixture_request(1);
    for (int i = 0; i < 3; i++) {
        int warnings = 0;
        const struct vidur_log log = {
            .write = count_warning, .ctx = &warnings, .level = VIDUR_LOG_WARN};
        struct vidur_timetable *t;
        fixture_write(&dir, &config);
        fixture_edit(&dir, FIXTURE_MLP, "0.003800", holes[i]);
        CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&t, &config, &request, &log, NULL),
                              0);
        CU_ASSERT_EQUAL(warnings, 1);
        vidur_timetable_close(t);
    }
}

static void test_nothing_left_after_the_filter(void)
{
    struct vidur_timetable_request request = fixture_request(4);
    fixture_write(&dir, &config);
    assert_fails(&request, "num_tensor_parallel_workers");
    request = fixture_request(2);
    request.block_size_tokens = 0; /* any */
    assert_opens(&request);
    struct vidur_model_spec other = fixture_model;
    other.kinds[0].mlp_hidden_dim = 1024;
    request = fixture_request(1);
    request.model = &other;
    assert_fails(&request, "n_expanded_embd");
    request = fixture_request(1);
    request.pipeline = request.multi_node = true;
    assert_fails(&request, "devices_per_node");
}

static void test_missing_files(void)
{
    struct vidur_timetable_request request = fixture_request(1);
    struct vidur_model_spec other = fixture_model;
    fixture_write(&dir, &config);
    strcpy(other.name, "test/tinier");
    request.model = &other;
    assert_fails(&request, "has tiny");
    request = fixture_request(1);
    const struct temp_path path = temp_dir_path(&dir, FIXTURE_ATTENTION);
    CU_ASSERT_EQUAL(unlink(path.text), 0);
    assert_fails(&request, "attention.csv");
    strcpy(config.profiles[0], "/nowhere/at/all");
    assert_fails(&request, "/nowhere/at/all");
}

static void test_two_rows_are_enough(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_timetable *t;
    fixture_write(&dir, &config);
    temp_dir_write(&dir, FIXTURE_ALL_REDUCE,
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "0.5,2,2048,2\n1.5,2,4096,2\n");
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&t, &config, &request, NULL, NULL), 0);
    const struct vidur_token_table *table = &t->token[VIDUR_OP_all_reduce];
    CU_ASSERT_EQUAL(table->profiled_limit, 16);
    for (int64_t i = 1; i <= table->limit; i++)
        CU_ASSERT(table->ms[i] >= 0.5 - 1e-6 && table->ms[i] <= 1.5 + 1e-6);
    CU_ASSERT(table->ms[1] < table->ms[16]);
    vidur_timetable_close(t);
    /* One row tells nothing about sizes. */
    temp_dir_write(&dir, FIXTURE_ALL_REDUCE,
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "0.5,2,2048,2\n");
    assert_fails(&request, "all_reduce.csv");
}

/* ---- Compressed files ---- */

static void compress_file(const char *name, long cut)
{
    char buffer[1 << 17];
    const struct temp_path plain = temp_dir_path(&dir, name);
    struct temp_path packed = plain;
    strcat(packed.text, ".gz");
    FILE *file = fopen(plain.text, "rb");
    gzFile gz = gzopen(packed.text, "wb");
    CU_ASSERT_FATAL(file && gz);
    const size_t size = fread(buffer, 1, sizeof buffer, file);
    CU_ASSERT_EQUAL(gzwrite(gz, buffer, (unsigned)size), (int)size);
    gzclose(gz);
    fclose(file);
    CU_ASSERT_EQUAL(unlink(plain.text), 0);
    file = fopen(packed.text, "rb");
    fseek(file, 0, SEEK_END);
    const long length = ftell(file);
    fclose(file);
    if (cut)
        CU_ASSERT_EQUAL(truncate(packed.text, length - cut), 0);
}

static void test_compressed_profiles(void)
{
    const struct vidur_timetable_request request = fixture_request(1);
    struct vidur_timetable *a, *b;
    fixture_write(&dir, &config);
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&a, &config, &request, NULL, NULL), 0);
    compress_file(FIXTURE_MLP, 0);
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&b, &config, &request, NULL, NULL), 0);
    for (int64_t n = 0; n <= a->token[VIDUR_OP_mlp_act].limit; n++)
        CU_ASSERT_EQUAL(a->token[VIDUR_OP_mlp_act].ms[n],
                        b->token[VIDUR_OP_mlp_act].ms[n]);
    vidur_timetable_close(a);
    vidur_timetable_close(b);
    for (long cut = 1; cut <= 800; cut += 100) {
        fixture_write(&dir, &config);
        compress_file(FIXTURE_MLP, cut);
        assert_fails(&request, "mlp.csv.gz");
    }
    const struct temp_path path = temp_dir_path(&dir, FIXTURE_MLP ".gz");
    CU_ASSERT_EQUAL(unlink(path.text), 0);
}

/* The first folder that has a file wins, file by file. */
static void test_several_folders(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    struct vidur_timetable *t;
    fixture_write(&dir, &config);
    temp_dir_write(&dir, "first/network/box/all_reduce.csv",
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "7,2,2048,2\n7,2,4096,2\n");
    strcpy(config.profiles[1], config.profiles[0]);
    snprintf(config.profiles[0], sizeof config.profiles[0], "%s/first", dir.path);
    config.num_profiles = 2;
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&t, &config, &request, NULL, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(t->token[VIDUR_OP_all_reduce].ms[100], 7, 1e-9);
    CU_ASSERT(t->token[VIDUR_OP_attn_rope].ms[100] < 1);
    assert_contains(t->provenance, "/first, ");
    vidur_timetable_close(t);
}

/* ---- Real profiles ---- */

static void test_a30_profile(void)
{
    const char *shared = vidur_test_shared_dir();
    struct vidur_model_spec model;
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    struct vidur_timetable *t;
    struct vidur_error err = {0};
    if (!shared)
        vidur_test_skip_golden();
    vidur_estimator_config_defaults(&config);
    config.source = VIDUR_SOURCE_PROFILES;
    config.num_profiles = 1;
    config.cache_dir[0] = '\0';
    config.num_estimators[0] = 20;
    config.num_num_estimators = 1;
    snprintf(config.profiles[0], sizeof config.profiles[0],
             "%s/profiles/layout-vidur-a30", shared);
    CU_ASSERT_EQUAL(vidur_model_load(&model, "Qwen/Qwen-2-7B", NULL), 0);
    CU_ASSERT_EQUAL(vidur_device_sku_load(&device, "a30", NULL), 0);
    CU_ASSERT_EQUAL(vidur_node_sku_load(&node, "a30_single_gpu", NULL), 0);
    const struct vidur_timetable_request request = {.model = &model,
                                                    .device = &device,
                                                    .node = &node,
                                                    .tensor_parallel_size = 1,
                                                    .block_size_tokens = 16,
                                                    .max_tokens = 4096,
                                                    .max_batch_size = 128};
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&t, &config, &request, NULL, &err), 0);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_mlp_up_proj].limit, 4096);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_mlp_up_proj].profiled_limit, 4096);
    /* The folder's README: decode batches stop at 48. */
    CU_ASSERT_EQUAL(t->attn_decode.num_rows, 128);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_rows, 48);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_columns, 4032 / 64 + 1);
    /* The last row of its mlp.csv: 4,096 tokens take 9.81 ms. */
    CU_ASSERT_DOUBLE_EQUAL(t->token[VIDUR_OP_mlp_up_proj].ms[4096], 9.8, 0.2);
    vidur_timetable_close(t);
}

VIDUR_TEST_MAIN("timetables from profiles", {"set up", set_up},
                {"damaged values", test_damaged_values},
                {"empty files", test_empty_files},
                {"missing times are told", test_missing_times_are_told},
                {"nothing left after the filter", test_nothing_left_after_the_filter},
                {"missing files", test_missing_files},
                {"two rows are enough", test_two_rows_are_enough},
                {"compressed profiles", test_compressed_profiles},
                {"several folders", test_several_folders}, {"clean up", clean_up},
                {"a30 profile", test_a30_profile})
