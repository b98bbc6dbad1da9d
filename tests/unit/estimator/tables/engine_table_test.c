#include "test.h"

#include "tables/kernels.h"

#include <vidur/engine_table.h>
#include <vidur/timetable.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A dense model of one kind of layers with 128 dims a head. */
#define DENSE(name_, layers, q_heads, kv_heads, dim, mlp, context)                     \
    {                                                                                  \
        .name = name_, .num_layers = layers,                                           \
        .kinds = {{.count = layers,                                                    \
                   .num_q_heads = q_heads,                                             \
                   .num_kv_heads = kv_heads,                                           \
                   .head_dim = 128,                                                    \
                   .mlp_hidden_dim = mlp}},                                            \
        .num_kinds = 1, .embedding_dim = dim, .vocab_size = 32000,                     \
        .max_position_embeddings = context, .use_gated_mlp = true,                     \
        .post_attn_norm = true                                                         \
    }

static const struct vidur_model_spec llama_2_7b =
    DENSE("meta-llama/Llama-2-7b-hf", 32, 32, 32, 4096, 11008, 4096);
static const struct vidur_model_spec llama_2_70b =
    DENSE("meta-llama/Llama-2-70b-hf", 80, 64, 8, 8192, 28672, 4096);
static const struct vidur_model_spec codellama_34b =
    DENSE("codellama/CodeLlama-34b-Instruct-hf", 48, 64, 8, 8192, 22016, 16384);
static struct vidur_device_sku h100; /* see set_up */

static void set_up(void)
{
    vidur_device_sku_defaults(&h100);
    strcpy(h100.name, "h100");
    h100.v1 = (struct vidur_device_v1){.usable_memory_gib = 79.1,
                                       .memory_bandwidth_gb_per_s = 3350,
                                       .peak_bf16_tflops = 989};
}
static const struct vidur_node_sku h100_dgx = {
    .name = "h100_dgx", .devices_per_node = 8, .link_bandwidth_gb_per_s = 450};

static struct vidur_engine_request request_for(const struct vidur_model_spec *model,
                                               int tp, const char *kernels)
{
    struct vidur_engine_request r = {.model = model,
                                     .device = &h100,
                                     .node = &h100_dgx,
                                     .tensor_parallel_size = tp,
                                     .kernels_dir = kernels,
                                     .max_tokens = 2048,
                                     .max_batch_size = 128,
                                     .max_context_tokens = 4096};
    vidur_engine_constants_defaults(&r.constants);
    return r;
}

/* The header's formula, for `decodes` rows of `context` tokens and one chunk. */
static double step_ms(const struct vidur_engine_table *t, int decodes, int context,
                      int chunk, int prefix)
{
    int64_t rows = (int64_t)decodes * context;
    int tokens = decodes + chunk, sampled = decodes + (chunk > 0);
    double attention = 0;
    if (chunk > 0 && chunk <= VIDUR_ENGINE_DECODE_LIKE_TOKENS) {
        rows += prefix + chunk;
    } else if (chunk > 0) {
        double s = prefix + chunk, p = prefix;
        attention = fmax(t->context_ms[prefix + chunk] * (s * s - p * p) / (s * s),
                         fmax(t->context_ms[chunk], t->decode1_ms[prefix + chunk]));
    }
    if (rows > 0)
        attention += t->decode_launch_ms + t->decode_ms_per_token * (double)rows;
    return t->linear_ms[vidur_engine_padded_tokens(tokens, 128)] + t->head_ms[sampled] +
           attention;
}

/* The table of ENGINE.md section 3, to its 0.2 %. */
static void test_published_step_times(void)
{
    static const struct {
        const struct vidur_model_spec *model;
        int tp, batch, context;
        double decode, mixed, cold;
    } rows[] = {{&llama_2_7b, 1, 9, 715, 7.258, 7.263, 12.914},
                {&llama_2_7b, 1, 22, 715, 8.764, 8.807, 12.914},
                {&llama_2_70b, 4, 22, 715, 17.251, 18.771, 42.853},
                {&llama_2_70b, 4, 47, 715, 18.722, 18.889, 42.853},
                {&codellama_34b, 2, 30, 700, 14.684, 15.203, 33.470},
                {&codellama_34b, 2, 85, 700, 17.079, 17.156, 33.470}};
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    char kernels[1024];
    snprintf(kernels, sizeof kernels, "%s/profiles/kernels-aic/h100_sxm/vllm-0.24.0",
             shared);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vidur_engine_request r = request_for(rows[i].model, rows[i].tp, kernels);
        struct vidur_engine_table *t = NULL;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, &err), 0);
        double decode = step_ms(t, rows[i].batch, rows[i].context, 0, 0);
        double mixed = step_ms(t, rows[i].batch, rows[i].context, 15, 576);
        double cold = step_ms(t, 0, 0, 591, 0);
        printf("\n  %-38s decode %+.3f %% mixed %+.3f %% cold prefill %+.3f %%",
               rows[i].model->name, 100 * (decode / rows[i].decode - 1),
               100 * (mixed / rows[i].mixed - 1), 100 * (cold / rows[i].cold - 1));
        CU_ASSERT_DOUBLE_EQUAL(decode, rows[i].decode, 0.002 * rows[i].decode);
        CU_ASSERT_DOUBLE_EQUAL(mixed, rows[i].mixed, 0.002 * rows[i].mixed);
        CU_ASSERT_DOUBLE_EQUAL(cold, rows[i].cold, 0.002 * rows[i].cold);
        vidur_engine_table_free(t);
    }
}

static void test_padding_to_captured_graphs(void)
{
    static const struct {
        int64_t tokens;
        int max_num_seqs;
        int64_t padded;
    } rows[] = {{1, 128, 1},     {2, 128, 2},      {3, 128, 4},     {4, 128, 4},
                {5, 128, 8},     {8, 128, 8},      {9, 128, 16},    {249, 128, 256},
                {256, 128, 256}, {257, 128, 257},  {257, 256, 272}, {512, 256, 512},
                {513, 256, 513}, {511, 1024, 512}, {3, 1, 3},       {2, 1, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CU_ASSERT_EQUAL(
            vidur_engine_padded_tokens(rows[i].tokens, rows[i].max_num_seqs),
            rows[i].padded);
}

/* A decode step of one token reads every weight once: bytes over bandwidth. */
static void test_roofline_of_one_token(void)
{
    struct vidur_engine_request r = request_for(&llama_2_7b, 1, NULL);
    struct vidur_engine_table *t = NULL;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, NULL), 0);
    const double rate = 0.9 * 3350e6, small = 0.8 * 3350e6, d = 4096, f = 11008;
    const double weights = 4 * d * d + 3 * d * f;
    /* inputs and outputs of the four products, and their launches */
    const double moved = 2 * (3 * d + d) + 2 * (d + d) + 2 * (2 * f + d) + 2 * (d + f);
    const double products = (2 * weights + moved) / rate + 4 * 3e-3;
    const double others = (2 * 8 * d + 6 * f + 4 * 3 * d) / small + 4 * 3e-3;
    const double expected = 32 * (products + others) + 4 * d / small + 3e-3;
    CU_ASSERT_DOUBLE_EQUAL(t->linear_ms[1], expected, 1e-9 * expected);
    CU_ASSERT_EQUAL(t->comm_ms[1], 0);
    CU_ASSERT_DOUBLE_EQUAL(t->head_ms[1],
                           (2.0 * 32000 * d + 2 * (32000 + d)) / rate + 3e-3, 1e-12);
    const double kv = 32 * 2.0 * 2 * 32 * 128;
    CU_ASSERT_DOUBLE_EQUAL(t->decode_ms_per_token, kv / (0.91 * 3350e9) * 1e3, 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(t->decode_launch_ms, 32 * 10e-3, 1e-12);
    CU_ASSERT_EQUAL(t->tokenise_ms, 0.01);
    CU_ASSERT_EQUAL(t->t_api_ms, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(t->provenance, "synthetic"));
    for (int64_t x = 1; x < t->linear_limit; x++)
        CU_ASSERT_TRUE(t->linear_ms[x] <= t->linear_ms[x + 1]);
    vidur_engine_table_free(t);
}

static void test_constants_are_exposed(void)
{
    struct vidur_engine_request r = request_for(&llama_2_70b, 4, NULL);
    struct vidur_engine_table *base = NULL, *t = NULL;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&base, &r, NULL), 0);
    r.constants.eta = 0.455; /* half the roofline's default */
    r.constants.t0_us = 20;
    r.constants.c_ar_us = 1;
    r.constants.tokenise_us = 30;
    r.constants.t_api_ms = 1;
    r.constants.sampler_ms_per_million_logits = 3;
    r.constants.step_us = 100;
    r.constants.request_us = 20;
    r.constants.mixed_layer_us = 5;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(t->decode_ms_per_token, 2 * base->decode_ms_per_token,
                           1e-15);
    CU_ASSERT_DOUBLE_EQUAL(t->decode_launch_ms, 80 * 0.020, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(t->comm_ms[7] - base->comm_ms[7], 160 * (1 - 1.9) * 1e-3 * 3,
                           1e-9);
    CU_ASSERT_DOUBLE_EQUAL(t->head_ms[10] - base->head_ms[10], 3e-6 * 32000 * 10, 1e-9);
    CU_ASSERT_EQUAL(t->step_ms, 0.1);
    CU_ASSERT_EQUAL(t->request_ms, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(t->mixed_ms, 0.4, 1e-12);
    CU_ASSERT_EQUAL(t->tokenise_ms, 0.03);
    CU_ASSERT_EQUAL(t->t_api_ms, 1);
    vidur_engine_table_free(base);
    vidur_engine_table_free(t);
}

/* A folder of tiny tables, each file with its header and the given rows. */
static void write_file(const char *dir, const char *name, const char *text)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static const char gemm_text[] = "dtype,m,n,k,latency_ms,kernel_source\n"
                                "bfloat16,1,1024,1024,1,x\n"
                                "bfloat16,4,1024,1024,4,x\n"
                                "fp8,1,1024,1024,9,x\n";
static const char context_text[] =
    "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,batch_size,seq_len,"
    "latency_ms,kernel_source\n"
    "bfloat16,bfloat16,128,16,16,1,1,1,x\n"
    "bfloat16,bfloat16,128,16,16,1,3,2,x\n"
    "bfloat16,bfloat16,128,16,16,1,3,7,x\n"
    "bfloat16,bfloat16,128,16,16,2,3,9,x\n"
    "bfloat16,fp8,128,16,16,1,3,9,x\n";
static const char generation_text[] =
    "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,batch_size,kv_len,"
    "latency_ms,kernel_source\n"
    "bfloat16,bfloat16,128,16,16,1,1,1,x\n";
static const char all_reduce_text[] =
    "dtype,num_gpus,mode,message_elements,message_bytes,latency_ms\n"
    "bfloat16,2,graph,128,256,1\nbfloat16,2,eager,128,256,5\n";
static const char system_text[] = "gpu: {mem_bw: 3.35e12, bfloat16_tc_flops: 1.0e15}\n";

static void make_kernels(char *dir)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    write_file(dir, "gemm.csv", gemm_text);
    write_file(dir, "context_attention.csv", context_text);
    write_file(dir, "generation_attention.csv", generation_text);
    write_file(dir, "custom_allreduce.csv", all_reduce_text);
    write_file(dir, "system.yaml", system_text);
}

static void remove_kernels(const char *dir)
{
    static const char *const names[] = {"gemm.csv", "context_attention.csv",
                                        "generation_attention.csv",
                                        "custom_allreduce.csv", "system.yaml"};
    char path[1200];
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* Only of the wanted formats, batch 1, the fastest of equal keys; linear between;
 * scaled to the heads. */
static void test_kernel_rows_are_filtered(void)
{
    char dir[] = "/tmp/vidur-kernels-XXXXXX";
    make_kernels(dir);
    struct vidur_engine_request r = request_for(&llama_2_7b, 1, dir);
    struct vidur_engine_table *t = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, &err), 0);
    CU_ASSERT_DOUBLE_EQUAL(t->context_ms[1], 32 * 1 * 2, 1e-12); /* 32 heads of 16 */
    CU_ASSERT_DOUBLE_EQUAL(t->context_ms[2], 32 * 1.5 * 2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(t->context_ms[3], 32 * 2 * 2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(t->context_ms[6], 32 * 2 * 2 * 4, 1e-9); /* quadratic */
    CU_ASSERT_EQUAL(t->profiled_context, 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(t->provenance, "scaled from 16"));
    vidur_engine_table_free(t);
    remove_kernels(dir);
}

static void test_bad_kernel_folders(void)
{
    static const struct {
        const char *file, *text, *expect;
    } rows[] = {
        {"gemm.csv", NULL, "neither gemm.csv nor gemm.csv.gz"},
        {"gemm.csv", "dtype,m,n,k\nbfloat16,1,2,3\n", "latency_ms"},
        {"gemm.csv", "dtype,m,n,k,latency_ms\nbfloat16,1,2,3,-1\n", "latency_ms"},
        {"gemm.csv", "dtype,m,n,k,latency_ms\nw4a4,1,2,3,1\n", "no row is of use"},
        {"custom_allreduce.csv",
         "dtype,num_gpus,mode,message_bytes,latency_ms\nbfloat16,4,graph,256,1\n",
         "2 GPUs"},
        {"system.yaml", "gpu: {mem_bw: 1.0e12}\n", "bfloat16_tc_flops"},
        {"system.yaml", "gpu: {mem_bw: 0, bfloat16_tc_flops: 1}\n", "above 0"},
        {"system.yaml", "gpu: {mem_bw: 2.0e12, bfloat16_tc_flops: 1.0e15}\n",
         "timed on a GPU of 2000 GB/s; device h100 has 3350 GB/s"},
        {"system.yaml", NULL, "system.yaml"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char dir[] = "/tmp/vidur-kernels-XXXXXX";
        make_kernels(dir);
        if (rows[i].text) {
            write_file(dir, rows[i].file, rows[i].text);
        } else {
            char path[1200];
            snprintf(path, sizeof path, "%s/%s", dir, rows[i].file);
            unlink(path);
        }
        struct vidur_engine_request r = request_for(&llama_2_7b, 2, dir);
        struct vidur_engine_table *t = NULL;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_engine_table_build(&t, &r, &err), -1);
        assert_contains(err.text, rows[i].expect);
        remove_kernels(dir);
    }
}

/* ---- Keys ---- */

struct keyed {
    struct vidur_estimator_config config;
    struct vidur_timetable_request request;
    char key[65];
};

/* The key of the timetable that is opened, which is that of its inputs. */
static void take_key(struct keyed *k)
{
    struct vidur_timetable *t = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_inputs_key(k->key, &k->config, &k->request, &err),
                    0);
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &k->config, &k->request, NULL, &err), 0);
    if (err.text[0])
        printf("\n  %s\n", err.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_STRING_EQUAL(t->key, k->key);
    CU_ASSERT_EQUAL(strlen(k->key), 64);
    vidur_timetable_close(t);
}

/* Other constants, specs or timings are another key; other prices are not. */
static void test_keys(void)
{
    static const char *const names[] = {"gemm.csv", "context_attention.csv",
                                        "generation_attention.csv",
                                        "custom_allreduce.csv", "system.yaml"};
    static const char *const texts[] = {gemm_text, context_text, generation_text,
                                        all_reduce_text, system_text};
    char dir[] = "/tmp/vidur-kernels-XXXXXX", longer[1024], before[65];
    struct vidur_model_spec model = llama_2_7b;
    struct vidur_device_sku device = h100;
    struct keyed k = {.request = {.model = &model,
                                  .device = &device,
                                  .node = &h100_dgx,
                                  .tensor_parallel_size = 2,
                                  .engine = true,
                                  .max_tokens = 64,
                                  .max_batch_size = 8,
                                  .max_kv_tokens = 64,
                                  .max_chunk_tokens = 64}};
    make_kernels(dir);
    vidur_estimator_config_defaults(&k.config);
    k.config.source = VIDUR_SOURCE_ROOFLINE;
    take_key(&k);
    memcpy(before, k.key, sizeof before);
    device.usd_per_gpu_hour = 99;
    take_key(&k);
    CU_ASSERT_STRING_EQUAL(k.key, before);
    device.v1.memory_bandwidth_gb_per_s += 1;
    take_key(&k);
    CU_ASSERT_STRING_NOT_EQUAL(k.key, before);
    memcpy(before, k.key, sizeof before);
    k.config.engine.step_us += 1;
    take_key(&k);
    CU_ASSERT_STRING_NOT_EQUAL(k.key, before);
    memcpy(before, k.key, sizeof before);
    k.config.engine.tokenise_us = 11;
    take_key(&k);
    CU_ASSERT_STRING_NOT_EQUAL(k.key, before);
    k.config.source = VIDUR_SOURCE_KERNELS;
    snprintf(k.config.kernels, sizeof k.config.kernels, "%s", dir);
    for (int i = 0; i < 5; i++) {
        take_key(&k);
        memcpy(before, k.key, sizeof before);
        snprintf(longer, sizeof longer, "%s%s", texts[i], i == 4 ? "# \n" : "\n");
        write_file(dir, names[i], longer);
        take_key(&k);
        CU_ASSERT_STRING_NOT_EQUAL(k.key, before);
    }
    remove_kernels(dir);
    CU_ASSERT_EQUAL(vidur_timetable_inputs_key(k.key, &k.config, &k.request, NULL), -1);
}

/* ---- From operator tables ---- */

enum { OPERATOR_TOKENS = 40, OPERATOR_CONTEXT = 130, OPERATOR_STEP = 64 };

static void test_from_operators(void)
{
    double token_ms[VIDUR_NUM_TOKEN_OPERATORS][OPERATOR_TOKENS + 1];
    double prefill[OPERATOR_CONTEXT], decode[4] = {0, 0.25, 0.5, 0.75};
    struct vidur_timetable operators = {.kv_granularity_tokens = OPERATOR_STEP,
                                        .provenance = "profiles P"};
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++) {
        for (int x = 0; x <= OPERATOR_TOKENS; x++)
            token_ms[op][x] = (op + 1) * 0.001 * x;
        operators.token[op] =
            (struct vidur_token_table){token_ms[op], OPERATOR_TOKENS, OPERATOR_TOKENS};
    }
    for (int c = 0; c < OPERATOR_CONTEXT; c++)
        prefill[c] = 0.01 * (c + 1);
    operators.attn_prefill =
        (struct vidur_grid_table){prefill, 1, OPERATOR_CONTEXT, 1, 100};
    operators.attn_decode = (struct vidur_grid_table){decode, 1, 4, 1, 4};
    struct vidur_engine_request r = request_for(&llama_2_70b, 2, NULL);
    struct vidur_engine_table *t = NULL, *roofline = NULL;
    r.max_tokens = 50;
    r.max_context_tokens = OPERATOR_CONTEXT + 1;
    r.constants.c_ar_us = 3;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_from_operators(&t, &r, &operators, NULL),
                          0);
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&roofline, &r, NULL), 0);
    const double comm = 160 * ((VIDUR_OP_all_reduce + 1) * 0.001 * 7 + 3e-3);
    CU_ASSERT_DOUBLE_EQUAL(t->comm_ms[7], comm, 1e-9);
    const int n = VIDUR_OP_all_reduce; /* all before it */
    CU_ASSERT_DOUBLE_EQUAL(t->linear_ms[7], comm + 80 * 0.007 * n * (n + 1) / 2, 1e-9);
    CU_ASSERT_TRUE(isnan(t->linear_ms[OPERATOR_TOKENS + 1]));
    CU_ASSERT_DOUBLE_EQUAL(t->context_ms[100], 80 * 1.0, 1e-9);
    CU_ASSERT_TRUE(isnan(t->context_ms[OPERATOR_CONTEXT + 1]));
    CU_ASSERT_DOUBLE_EQUAL(t->decode1_ms[64], 80 * 0.25, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(t->decode1_ms[65], 80 * 0.5, 1e-9);
    CU_ASSERT_EQUAL(t->head_ms[9], roofline->head_ms[9]); /* no profile has it */
    CU_ASSERT_EQUAL(t->profiled_context, 100);
    CU_ASSERT_EQUAL(t->profiled_tokens, OPERATOR_TOKENS);
    CU_ASSERT_STRING_EQUAL(
        t->provenance, "engine step model, profiles P; constants fitted on h100_sxm "
                       "vllm-0.24.0");
    vidur_engine_table_free(t);
    vidur_engine_table_free(roofline);
    struct vidur_model_spec parallel = llama_2_70b; /* no norm after attention */
    parallel.post_attn_norm = false;
    r.model = &parallel;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_from_operators(&t, &r, &operators, NULL),
                          0);
    CU_ASSERT_DOUBLE_EQUAL(t->linear_ms[7],
                           comm + 80 * 0.007 * n * (n + 1) / 2 -
                               80 * 0.007 * (VIDUR_OP_post_attention_layernorm + 1),
                           1e-9);
    vidur_engine_table_free(t);
}

/* Results say what they are made of, and what was borrowed from another device. */
static void test_provenance(void)
{
    struct vidur_device_sku other = h100;
    struct vidur_engine_request r = request_for(&llama_2_7b, 1, NULL);
    struct vidur_engine_table *t = NULL;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, NULL), 0);
    CU_ASSERT_STRING_EQUAL(t->provenance,
                           "engine step model, synthetic roofline of h100; constants "
                           "fitted on h100_sxm vllm-0.24.0");
    CU_ASSERT_EQUAL(t->constants.eta, 0.91);
    vidur_engine_table_free(t);
    strcpy(other.name, "a100");
    r.device = &other;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, NULL), 0);
    CU_ASSERT_STRING_EQUAL(
        t->provenance,
        "engine step model, synthetic roofline of a100; constants fitted on h100_sxm "
        "vllm-0.24.0");
    vidur_engine_table_free(t);
    char dir[] = "/tmp/vidur-kernels-XXXXXX", text[256];
    make_kernels(dir);
    r.kernels_dir = dir;
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&t, &r, NULL), 0);
    snprintf(text, sizeof text,
             "engine step model, kernel timings %s; attention of 32 heads scaled from "
             "16",
             dir);
    CU_ASSERT_STRING_EQUAL(t->provenance, text);
    CU_ASSERT_EQUAL(t->constants.eta, 0.91);
    vidur_engine_table_free(t);
    remove_kernels(dir);
}

VIDUR_TEST_MAIN("engine table", {"set up", set_up}, {"keys", test_keys},
                {"padding", test_padding_to_captured_graphs},
                {"roofline of one token", test_roofline_of_one_token},
                {"constants", test_constants_are_exposed},
                {"kernel rows", test_kernel_rows_are_filtered},
                {"bad kernel folders", test_bad_kernel_folders},
                {"from operators", test_from_operators},
                {"provenance", test_provenance},
                {"published step times", test_published_step_times})
