#include "profile_fixture.h"
#include "temp_dir.h"
#include "test.h"

#include <vidur/profile.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Which rows of a profile become which samples, and what is said of the others. */

static struct temp_dir dir;
static char folder[512];
static const char *folders[4];

/* What the reader said. */
struct said {
    int warnings, infos;
    char text[4096];
};

static struct said said;

static void listen(void *ctx, enum vidur_log_level level, const char *text)
{
    struct said *s = ctx;
    s->warnings += level == VIDUR_LOG_WARN;
    s->infos += level == VIDUR_LOG_INFO;
    const size_t used = strlen(s->text);
    snprintf(s->text + used, sizeof s->text - used, "%s\n", text);
}

static const struct vidur_log log_to_said = {
    .write = listen, .ctx = &said, .level = VIDUR_LOG_INFO};

static void set_up(void)
{
    temp_dir_make(&dir);
    snprintf(folder, sizeof folder, "%s/profiles", dir.path);
    folders[0] = folder;
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* A fresh fixture and a request for it. */
static struct vidur_profile_request request_of(int tp)
{
    struct vidur_estimator_config config;
    fixture_write(&dir, &config);
    memset(&said, 0, sizeof said);
    return (struct vidur_profile_request){.dirs = folders,
                                          .num_dirs = 1,
                                          .model = &fixture_model,
                                          .device = "gpu",
                                          .node = "box",
                                          .tensor_parallel_size = tp,
                                          .block_size_tokens = 16};
}

static struct vidur_profile *read_profile(const struct vidur_profile_request *request)
{
    struct vidur_profile *profile = NULL;
    struct vidur_error err = {0};
    if (vidur_profile_read_csv(&profile, request, &log_to_said, &err)) {
        CU_FAIL(err.text);
        printf("\n  %s\n", err.text);
        exit(1);
    }
    return profile;
}

static void assert_fails(const struct vidur_profile_request *request,
                         const char *const *parts)
{
    struct vidur_profile *profile = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_profile_read_csv(&profile, request, NULL, &err), -1);
    CU_ASSERT_PTR_NULL(profile);
    for (int i = 0; parts[i]; i++)
        assert_contains(err.text, parts[i]);
    CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
}

/* ---- Names ---- */

static void test_names(void)
{
    struct vidur_profile *profile = vidur_profile_create(NULL);
    const struct vidur_samples *decode = &profile->operators[VIDUR_OP_attn_decode];
    const struct vidur_samples *prefill = &profile->operators[VIDUR_OP_attn_prefill];
    CU_ASSERT_STRING_EQUAL(decode->name, "attn_decode");
    CU_ASSERT_STRING_EQUAL(decode->feature_names[0], "batch_size");
    CU_ASSERT_STRING_EQUAL(decode->feature_names[1], "kv_cache_size");
    CU_ASSERT_STRING_EQUAL(prefill->feature_names[0], "kv_cache_size");
    CU_ASSERT_STRING_EQUAL(prefill->feature_names[1], "prefill_chunk_size_squared");
    CU_ASSERT_EQUAL(prefill->num_features, 2);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_add].num_features, 1);
    CU_ASSERT_STRING_EQUAL(profile->operators[VIDUR_OP_schedule].feature_names[0],
                           "batch_size");
    CU_ASSERT_STRING_EQUAL(vidur_operator_name(VIDUR_OP_attn_rope), "attn_rope");
    CU_ASSERT_STRING_EQUAL(vidur_operator_name(VIDUR_OP_attn_prefill), "attn_prefill");
    CU_ASSERT_STRING_EQUAL(vidur_operator_name(VIDUR_NUM_OPERATORS), "?");
    CU_ASSERT_STRING_EQUAL(vidur_operator_name(-1), "?");
    vidur_profile_free(profile);
    vidur_profile_free(NULL);
}

/* ---- Rows and features ---- */

static void test_token_operators(void)
{
    for (int tp = 1; tp <= 2; tp++) {
        const struct vidur_profile_request request = request_of(tp);
        struct vidur_profile *profile = read_profile(&request);
        const struct vidur_samples *rope = &profile->operators[VIDUR_OP_attn_rope];
        CU_ASSERT_EQUAL_FATAL(rope->num_rows, 25);
        for (int i = 0; i < 25; i++) { /* in file order */
            CU_ASSERT_EQUAL(rope->features[0][i], 8 * (i + 1));
            CU_ASSERT_DOUBLE_EQUAL(rope->target_ms[i], 0.009 + 3e-4 * 8 * (i + 1) / tp,
                                   1e-6);
        }
        double low, high;
        vidur_samples_range(rope, 0, &low, &high);
        CU_ASSERT(low == 8 && high == 200);
        assert_contains(rope->source, FIXTURE_MLP);
        CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_add].num_rows, 25);
        CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_all_reduce].num_rows,
                        tp == 1 ? 0 : 20);
        CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_send_recv].num_rows, 0);
        CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_schedule].num_rows, 0);
        CU_ASSERT_EQUAL(said.warnings, 0);
        vidur_profile_free(profile);
    }
}

static void test_attention(void)
{
    const struct vidur_profile_request request = request_of(2);
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *save = &profile->operators[VIDUR_OP_attn_kv_cache_save];
    const struct vidur_samples *prefill = &profile->operators[VIDUR_OP_attn_prefill];
    const struct vidur_samples *decode = &profile->operators[VIDUR_OP_attn_decode];
    CU_ASSERT_EQUAL_FATAL(prefill->num_rows, 36);
    CU_ASSERT_EQUAL_FATAL(decode->num_rows, 72);
    CU_ASSERT_EQUAL_FATAL(save->num_rows, 108);
    /* row 7: kv 64, chunk 32; decode row 13: batch 2, kv 64 */
    CU_ASSERT_EQUAL(prefill->features[0][7], 64);
    CU_ASSERT_EQUAL(prefill->features[1][7], 32 * 32);
    CU_ASSERT_DOUBLE_EQUAL(prefill->target_ms[7], 0.01 + 1e-6 * 32 * (16 + 64) / 2,
                           1e-9);
    CU_ASSERT_EQUAL(decode->features[0][13], 2);
    CU_ASSERT_EQUAL(decode->features[1][13], 64);
    CU_ASSERT_EQUAL(save->features[0][7], 32);      /* the chunk */
    CU_ASSERT_EQUAL(save->features[0][36 + 13], 2); /* the batch */
    vidur_profile_free(profile);
}

static void test_block_sizes(void)
{
    static const char *const parts[] = {
        "attention.csv: block_size: no row for test/tiny, "
        "TP 1 has the value 32; there are: 16",
        NULL};
    struct vidur_profile_request request = request_of(1);
    request.block_size_tokens = 32;
    assert_fails(&request, parts);
    fixture_edit(&dir, FIXTURE_ATTENTION, ",2,16,1,", ",2,32,1,"); /* one row */
    request.block_size_tokens = 16;
    struct vidur_profile *profile = read_profile(&request);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_attn_kv_cache_save].num_rows, 107);
    vidur_profile_free(profile);
    request.block_size_tokens = 0;
    profile = read_profile(&request);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_attn_kv_cache_save].num_rows, 108);
    vidur_profile_free(profile);
}

/* A message below one token is a fraction of one. */
static void test_message_sizes_are_tokens(void)
{
    struct vidur_profile_request request = request_of(2);
    temp_dir_write(&dir, FIXTURE_ALL_REDUCE,
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "0.1,2,64,2\n0.2,2,2560,2\n0.3,4,64,4\n0.4,2,64,1\n");
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *s = &profile->operators[VIDUR_OP_all_reduce];
    CU_ASSERT_EQUAL_FATAL(s->num_rows, 2); /* 2 workers on one node */
    CU_ASSERT_EQUAL(s->features[0][0], 0.25);
    CU_ASSERT_EQUAL(s->features[0][1], 10);
    CU_ASSERT_EQUAL(s->target_ms[1], 0.2);
    vidur_profile_free(profile);
}

static void test_send_recv(void)
{
    struct vidur_profile_request request = request_of(1);
    request.pipeline = true;
    temp_dir_write(
        &dir, FIXTURE_SEND_RECV,
        "time_stats.send_recv.median,num_workers,size,collective,"
        "devices_per_node\n0.1,2,256,send_recv,2\n0.2,2,512,send_recv,2\n"
        "0.3,2,256,send_recv,1\n0.4,2,512,send_recv,1\n0.5,2,512,all_reduce,1\n");
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *s = &profile->operators[VIDUR_OP_send_recv];
    CU_ASSERT_EQUAL_FATAL(s->num_rows, 2);
    CU_ASSERT_EQUAL(s->target_ms[0], 0.1);
    vidur_profile_free(profile);
    request.multi_node = true;
    profile = read_profile(&request);
    s = &profile->operators[VIDUR_OP_send_recv];
    CU_ASSERT_EQUAL_FATAL(s->num_rows, 2);
    CU_ASSERT_EQUAL(s->target_ms[0], 0.3);
    vidur_profile_free(profile);
}

static void test_wrong_collective(void)
{
    static const char *const parts[] = {
        "all_reduce.csv: collective: ", "value all_reduce; there are: all_gather",
        NULL};
    struct vidur_profile_request request = request_of(2);
    temp_dir_write(
        &dir, FIXTURE_ALL_REDUCE,
        "time_stats.all_reduce.median,num_workers,size,collective,"
        "devices_per_node\n0.1,2,256,all_gather,2\n0.2,2,512,all_gather,2\n");
    assert_fails(&request, parts);
}

static void test_cpu_overheads(void)
{
    static const char *const parts[] = {
        "cpu_overheads.csv: tensor_parallel_degree: ", "value 2; there are: 1", NULL};
    struct vidur_profile_request request = request_of(1);
    request.cpu_overhead = true;
    struct vidur_profile *profile = read_profile(&request);
    for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        CU_ASSERT_EQUAL(profile->operators[op].num_rows, 8);
    const struct vidur_samples *s = &profile->operators[VIDUR_OP_schedule];
    CU_ASSERT_EQUAL(s->features[0][3], 4);
    CU_ASSERT_EQUAL(s->target_ms[3], 0.14);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_ray_comm_time].target_ms[0], 0.5);
    vidur_profile_free(profile);
    request.tensor_parallel_size = 2;
    assert_fails(&request, parts);
}

/* ---- Rows that are left out ---- */

static void test_duplicates(void)
{
    struct vidur_profile_request request = request_of(2);
    temp_dir_write(&dir, FIXTURE_ALL_REDUCE,
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "0.1,2,256,2\n0.1,2,256,2\n0.2,2,256,2\n0.1,2,256,2\n");
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *s = &profile->operators[VIDUR_OP_all_reduce];
    CU_ASSERT_EQUAL(s->num_rows, 2);
    CU_ASSERT_EQUAL(s->num_duplicates, 2);
    assert_contains(said.text, "2 duplicate rows left out");
    vidur_profile_free(profile);
}

static void test_missing_times(void)
{
    const struct vidur_profile_request request = request_of(1);
    fixture_edit(&dir, FIXTURE_MLP, "0.003800", "");    /* attn_pre_proj, 8 tokens */
    fixture_edit(&dir, FIXTURE_MLP, "0.004600", "NaN"); /* 16 tokens */
    fixture_edit(&dir, FIXTURE_MLP, "0.034200,8,2", ",8,2"); /* add, 8 tokens */
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *s = &profile->operators[VIDUR_OP_attn_pre_proj];
    CU_ASSERT_EQUAL(s->num_rows, 23);
    CU_ASSERT_EQUAL(s->num_empty, 2);
    CU_ASSERT_EQUAL(s->features[0][0], 24);
    CU_ASSERT_EQUAL(said.warnings, 1);
    assert_contains(said.text,
                    "time_stats.attn_pre_proj.median: 2 of 25 rows have no time");
    s = &profile->operators[VIDUR_OP_attn_rope]; /* other operators keep the row */
    CU_ASSERT_EQUAL(s->num_rows, 25);
    s = &profile->operators[VIDUR_OP_add]; /* an empty `add` is 0 */
    CU_ASSERT_EQUAL(s->num_rows, 25);
    CU_ASSERT_EQUAL(s->target_ms[0], 0);
    CU_ASSERT_EQUAL(s->num_empty, 0);
    vidur_profile_free(profile);
}

static void test_too_few_times(void)
{
    static const char *const parts[] = {"all_reduce.csv: time_stats.all_reduce.median: "
                                        "1 rows with a time for test/tiny, "
                                        "TP 2 (2 are empty); at least 2 are needed",
                                        NULL};
    struct vidur_profile_request request = request_of(2);
    temp_dir_write(&dir, FIXTURE_ALL_REDUCE,
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "0.1,2,256,2\n,2,512,2\nnan,2,1024,2\n");
    assert_fails(&request, parts);
}

/* ---- Columns that may be missing ---- */

static void test_missing_columns(void)
{
    static const char *const parts[] = {
        "mlp.csv:1: time_stats.post_attention_layernorm.median: ", "test/tiny needs it",
        NULL};
    struct vidur_model_spec parallel = fixture_model;
    struct vidur_profile_request request = request_of(1);
    fixture_edit(&dir, FIXTURE_MLP, "time_stats.add.median", "x");
    fixture_edit(&dir, FIXTURE_MLP, "vocab_size", "y");
    fixture_edit(&dir, FIXTURE_ATTENTION, "time_stats.attn_kv_cache_save.median", "z");
    struct vidur_profile *profile = read_profile(&request);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_add].num_rows, 0);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_attn_kv_cache_save].num_rows, 0);
    CU_ASSERT_EQUAL(said.warnings, 0);
    CU_ASSERT_EQUAL(said.infos, 2);
    vidur_profile_free(profile);
    fixture_edit(&dir, FIXTURE_MLP, "time_stats.post_attention_layernorm.median", "w");
    assert_fails(&request, parts);
    parallel.post_attn_norm = false;
    request.model = &parallel;
    profile = read_profile(&request);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_post_attention_layernorm].num_rows, 0);
    vidur_profile_free(profile);
}

/* ---- Models ---- */

static void test_vocabulary_is_only_warned_of(void)
{
    struct vidur_model_spec other = fixture_model;
    struct vidur_profile_request request = request_of(1);
    other.vocab_size = 1001;
    request.model = &other;
    vidur_profile_free(read_profile(&request));
    CU_ASSERT_EQUAL(said.warnings, 1);
    assert_contains(said.text, "vocab_size: 1000 where test/tiny has 1001");
}

static void assert_model_key(struct vidur_model_spec model, const char *key)
{
    const char *const parts[] = {key, "there are: ", "test/tiny, TP 1", NULL};
    struct vidur_profile_request request = request_of(1);
    request.model = &model;
    assert_fails(&request, parts);
}

static void test_other_models(void)
{
    struct vidur_model_spec model = fixture_model;
    model.kinds[0].num_q_heads = 16;
    assert_model_key(model, "mlp.csv: n_head: ");
    model = fixture_model;
    model.kinds[0].num_kv_heads = 4;
    assert_model_key(model, "mlp.csv: n_kv_head: ");
    model = fixture_model;
    model.embedding_dim = 256;
    assert_model_key(model, "mlp.csv: n_embd: ");
    model = fixture_model;
    model.kinds[0].mlp_hidden_dim = 256;
    assert_model_key(model, "mlp.csv: n_expanded_embd: ");
    model = fixture_model;
    model.use_gated_mlp = false;
    assert_model_key(model, "value False; there are: True");
}

static void test_says_which_tp_there_is(void)
{
    static const char *const parts[] = {"mlp.csv: num_tensor_parallel_workers: no row "
                                        "for test/tiny, TP 4 has the value "
                                        "4; there are: 1, 2",
                                        NULL};
    const struct vidur_profile_request request = request_of(4);
    assert_fails(&request, parts);
}

/* ---- Folders ---- */

static void test_missing_files(void)
{
    static const char *const model[] = {
        "compute/gpu/test/none/mlp.csv: no profile of test/none on gpu (box), TP 1",
        "/profiles/compute/gpu/test has tiny", NULL};
    static const char *const device[] = {"compute/tpu/test/tiny/mlp.csv",
                                         "/profiles/compute has gpu", NULL};
    static const char *const node[] = {"network/rack/all_reduce.csv",
                                       "/profiles/network has box", NULL};
    static const char *const nowhere[] = {"mlp.csv", "/no/such/folder does not exist",
                                          NULL};
    static const char *const none[] = {"mlp.csv", "(no folders)", NULL};
    struct vidur_model_spec other = fixture_model;
    struct vidur_profile_request request = request_of(1);
    strcpy(other.name, "test/none");
    request.model = &other;
    assert_fails(&request, model);
    request = request_of(1);
    request.device = "tpu";
    assert_fails(&request, device);
    request = request_of(2);
    request.node = "rack";
    assert_fails(&request, node);
    request = request_of(1);
    folders[0] = "/no/such/folder";
    assert_fails(&request, nowhere);
    folders[0] = folder;
    request.num_dirs = 0;
    assert_fails(&request, none);
}

static void test_paths(void)
{
    struct vidur_profile_paths paths;
    struct vidur_profile_request request = request_of(1);
    char second[600];
    snprintf(second, sizeof second, "%s/second", dir.path);
    CU_ASSERT_EQUAL(vidur_profile_find(&paths, &request, NULL), 0);
    assert_contains(paths.files[VIDUR_PROFILE_FILE_mlp].text, FIXTURE_MLP);
    CU_ASSERT_STRING_EQUAL(paths.files[VIDUR_PROFILE_FILE_all_reduce].text, "");
    CU_ASSERT_STRING_EQUAL(paths.files[VIDUR_PROFILE_FILE_send_recv].text, "");
    CU_ASSERT_STRING_EQUAL(paths.files[VIDUR_PROFILE_FILE_cpu_overhead].text, "");
    request.tensor_parallel_size = 2;
    request.pipeline = request.cpu_overhead = true;
    /* the first folder that has a file wins, and .csv goes before .csv.gz */
    temp_dir_write(&dir, "second/network/box/all_reduce.csv.gz", "x");
    temp_dir_write(&dir, FIXTURE_SEND_RECV ".gz", "x");
    folders[1] = folder;
    folders[0] = second;
    request.num_dirs = 2;
    CU_ASSERT_EQUAL(vidur_profile_find(&paths, &request, NULL), 0);
    assert_contains(paths.files[VIDUR_PROFILE_FILE_all_reduce].text,
                    "/second/network/box/all_reduce.csv.gz");
    assert_contains(paths.files[VIDUR_PROFILE_FILE_send_recv].text, "send_recv.csv");
    CU_ASSERT_PTR_NULL(strstr(paths.files[VIDUR_PROFILE_FILE_send_recv].text, ".gz"));
    assert_contains(paths.files[VIDUR_PROFILE_FILE_cpu_overhead].text, FIXTURE_CPU);
    folders[0] = folder;
    const struct temp_path gz = temp_dir_path(&dir, FIXTURE_SEND_RECV ".gz");
    CU_ASSERT_EQUAL(unlink(gz.text), 0);
}

/* ---- Real profiles ---- */

static const struct vidur_model_spec qwen = {.name = "Qwen/Qwen-2-7B",
                                             .kinds[0].num_q_heads = 28,
                                             .kinds[0].num_kv_heads = 4,
                                             .embedding_dim = 3584,
                                             .kinds[0].mlp_hidden_dim = 18944,
                                             .vocab_size = 152064,
                                             .use_gated_mlp = true,
                                             .post_attn_norm = true};

static const struct vidur_model_spec llama = {.name = "meta-llama/Llama-2-70b-hf",
                                              .kinds[0].num_q_heads = 64,
                                              .kinds[0].num_kv_heads = 8,
                                              .embedding_dim = 8192,
                                              .kinds[0].mlp_hidden_dim = 28672,
                                              .vocab_size = 32000,
                                              .use_gated_mlp = true,
                                              .post_attn_norm = true};

/* The counts are those of the folder's README and of the reference's reader. */
static void test_a30(const char *root)
{
    snprintf(folder, sizeof folder, "%s/profiles/layout-vidur-a30", root);
    const struct vidur_profile_request request = {.dirs = folders,
                                                  .num_dirs = 1,
                                                  .model = &qwen,
                                                  .device = "a30",
                                                  .node = "a30_single_gpu",
                                                  .tensor_parallel_size = 1,
                                                  .block_size_tokens = 16};
    memset(&said, 0, sizeof said);
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *ops = profile->operators;
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_pre_proj].num_rows, 209);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_pre_proj].num_empty, 52);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_post_proj].num_rows, 219);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_post_proj].num_empty, 42);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_add].num_rows, 261);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_kv_cache_save].num_rows, 4492);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_prefill].num_rows, 652);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_attn_decode].num_rows, 3840);
    CU_ASSERT_EQUAL(said.warnings, 3); /* two operators' holes and the vocabulary */
    vidur_profile_free(profile);
}

/* Derived kernels from one folder, send_recv from another. */
static void test_two_folders(const char *root)
{
    char partial[600];
    snprintf(folder, sizeof folder, "%s/profiles/layout-aic", root);
    snprintf(partial, sizeof partial, "%s/profiles/layout-vidur-partial", root);
    folders[1] = partial;
    const struct vidur_profile_request request = {.dirs = folders,
                                                  .num_dirs = 2,
                                                  .model = &llama,
                                                  .device = "h100",
                                                  .node = "h100_dgx",
                                                  .tensor_parallel_size = 8,
                                                  .pipeline = true};
    struct vidur_profile *profile = read_profile(&request);
    const struct vidur_samples *ops = profile->operators;
    assert_contains(ops[VIDUR_OP_all_reduce].source, "layout-aic");
    assert_contains(ops[VIDUR_OP_send_recv].source, "layout-vidur-partial");
    CU_ASSERT_EQUAL(ops[VIDUR_OP_send_recv].num_rows, 994);
    CU_ASSERT_EQUAL(ops[VIDUR_OP_all_reduce].num_rows, 473);
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++)
        CU_ASSERT_EQUAL(ops[op].num_rows > 0, op != VIDUR_OP_mlp_experts);
    vidur_profile_free(profile);
}

static void test_real_profiles(void)
{
    const char *root = vidur_test_shared_dir();
    if (!root)
        vidur_test_skip_golden();
    test_a30(root);
    test_two_folders(root);
}

VIDUR_TEST_MAIN("profile_csv", {"names", test_names}, {"set up", set_up},
                {"token operators", test_token_operators},
                {"attention", test_attention}, {"block sizes", test_block_sizes},
                {"message sizes are tokens", test_message_sizes_are_tokens},
                {"send_recv", test_send_recv},
                {"wrong collective", test_wrong_collective},
                {"CPU overheads", test_cpu_overheads}, {"duplicates", test_duplicates},
                {"missing times", test_missing_times},
                {"too few times", test_too_few_times},
                {"missing columns", test_missing_columns},
                {"vocabulary", test_vocabulary_is_only_warned_of},
                {"other models", test_other_models},
                {"says which TP there is", test_says_which_tp_there_is},
                {"missing files", test_missing_files}, {"paths", test_paths},
                {"clean up", clean_up}, {"real profiles", test_real_profiles})
