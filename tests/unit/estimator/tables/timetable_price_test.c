#include "temp_dir.h"
#include "test.h"

#include "timetable_fixture.h"

#include "tables/timetable_internal.h"

#include <vidur/engine_table.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Operator tables of any decoder. */

#define MODEL(name_, layers, ...)                                                      \
    {                                                                                  \
        .name = name_, .num_layers = layers, .embedding_dim = 4096,                    \
        .vocab_size = 32000, .max_position_embeddings = 32768, .use_gated_mlp = true,  \
        .post_attn_norm = true, __VA_ARGS__                                            \
    }
#define GQA(n) .count = n, .num_q_heads = 32, .num_kv_heads = 8, .head_dim = 128
#define MLA(n)                                                                         \
    .count = n, .attention = VIDUR_ATTENTION_MLA, .num_q_heads = 32,                   \
    .num_kv_heads = 1, .q_lora_rank = 1536, .kv_lora_rank = 512, .rope_head_dim = 64,  \
    .nope_head_dim = 128, .v_head_dim = 128
#define EXPERTS .num_experts = 16, .experts_per_token = 2, .expert_hidden_dim = 2048
#define FP8                                                                            \
    {                                                                                  \
        VIDUR_DTYPE_fp8, VIDUR_DTYPE_fp8, VIDUR_DTYPE_fp8, VIDUR_DTYPE_bf16            \
    }

static const struct vidur_model_spec fp8 =
    MODEL("fp8", 32, .num_kinds = 1, .precision = FP8,
          .kinds = {{GQA(32), .mlp_hidden_dim = 14336}});
static const struct vidur_model_spec experts =
    MODEL("experts", 24, .num_kinds = 2, .qk_norm_all_heads = true,
          .kinds = {{GQA(18), EXPERTS}, {GQA(6), EXPERTS, .mlp_hidden_dim = 2048}});
static const struct vidur_model_spec latent = MODEL(
    "latent", 12, .num_kinds = 2,
    .kinds = {{MLA(2), .mlp_hidden_dim = 8192}, {MLA(10), EXPERTS, .index_tokens = 0}});

static struct vidur_device_sku device;
static struct vidur_node_sku node;
static struct vidur_estimator_config config;
static struct temp_dir dir;

enum { TOKENS = 256, BATCH = 32, CONTEXT = 1024, CHUNK = 512, STEP = 64 };

static void set_up(void)
{
    temp_dir_make(&dir);
    vidur_device_sku_defaults(&device);
    strcpy(device.name, "gpu");
    device.peak_fp16_tflops = 989;
    device.memory_bandwidth_gb_per_s = 3350;
    device.v1.memory_bandwidth_gb_per_s = 3350;
    device.v1.peak_bf16_tflops = 989;
    device.v1.peak_fp8_tflops = 1979;
    vidur_node_sku_defaults(&node);
    strcpy(node.name, "box");
    node.devices_per_node = 8;
    node.link_bandwidth_gb_per_s = 450;
    node.inter_node_bandwidth_gb_per_s = 50;
    config = fixture_roofline();
    config.kv_cache_granularity = STEP;
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

static struct vidur_timetable_request request_for(const struct vidur_model_spec *model,
                                                  int tp)
{
    return (struct vidur_timetable_request){.model = model,
                                            .device = &device,
                                            .node = &node,
                                            .tensor_parallel_size = tp,
                                            .max_tokens = TOKENS,
                                            .max_batch_size = BATCH,
                                            .max_kv_tokens = CONTEXT,
                                            .max_chunk_tokens = CHUNK};
}

static struct vidur_timetable *open_for(const struct vidur_model_spec *model, int tp)
{
    const struct vidur_timetable_request request = request_for(model, tp);
    return fixture_open(&config, &request, NULL);
}

static double sum_ms(const struct vidur_timetable *t, int64_t x)
{
    double ms = 0;
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++)
        if (t->token[op].ms)
            ms += t->token[op].ms[x] * (op == VIDUR_OP_all_reduce ? 2 : 1);
    return ms;
}

static double decode_ms(const struct vidur_timetable *t, int64_t rows, int64_t context)
{
    return t->attn_decode.ms[(rows - 1) * t->attn_decode.num_columns + context / STEP];
}

static double prefill_ms(const struct vidur_timetable *t, int64_t context,
                         int64_t chunk)
{
    return t->attn_prefill.ms[context / STEP * t->attn_prefill.num_columns + chunk - 1];
}

#define CLOSE(a, b) CU_ASSERT_DOUBLE_EQUAL(a, b, 1e-9 * fabs(b))

static struct vidur_engine_table *engine_of(const struct vidur_model_spec *model,
                                            int tp)
{
    struct vidur_engine_request request = {.model = model,
                                           .device = &device,
                                           .node = &node,
                                           .tensor_parallel_size = tp,
                                           .max_tokens = TOKENS,
                                           .max_batch_size = BATCH,
                                           .max_context_tokens = CONTEXT + CHUNK};
    struct vidur_engine_table *table = NULL;
    struct vidur_error err = {0};
    vidur_engine_constants_defaults(&request.constants);
    request.constants.c_ar_us = 0; /* the step model `layers` has its own */
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&table, &request, &err), 0);
    return table;
}

/* The layers' sum is the engine's step but for what is not in layers: the embedding
 * (4 D bytes a token and a launch) and the head. */
static void test_layers_add_up_to_the_engine(void)
{
    static const struct vidur_model_spec *const models[] = {&fp8, &experts, &latent};
    for (int m = 0; m < 3; m++)
        for (int tp = 1; tp <= 4; tp *= 2) {
            const double layers = models[m]->num_layers;
            struct vidur_timetable *t = open_for(models[m], tp);
            struct vidur_engine_table *e = engine_of(models[m], tp);
            for (int64_t x = 1; x <= TOKENS; x += 17) {
                const double embedding = 4.0 * 4096 * (double)x / (0.8 * 3350e6) + 3e-3;
                CLOSE(layers * sum_ms(t, x), e->linear_ms[x] - embedding);
                CLOSE(t->token[VIDUR_OP_mlp_experts].ms
                          ? layers * t->token[VIDUR_OP_mlp_experts].ms[x]
                          : 0,
                      e->experts_ms[x]);
            }
            for (int64_t b = 1; b <= BATCH; b += 7)
                for (int64_t c = STEP; c <= CONTEXT; c += 5 * STEP)
                    CLOSE(layers * decode_ms(t, b, c),
                          e->decode_launch_ms +
                              e->decode_ms_per_token * (double)(b * c) +
                              (e->latent.layers > 0
                                   ? vidur_engine_latent_ms(&e->latent, b, b * c)
                                   : 0));
            for (int64_t p = 0; p <= CONTEXT; p += 4 * STEP)
                for (int64_t c = 1; c <= CHUNK; c += 73) {
                    const double s = (double)(p + c);
                    const double share = (s * s - (double)(p * p)) / (s * s);
                    CLOSE(layers * prefill_ms(t, p, c),
                          fmax(fmax(e->context_ms[p + c] * share, e->context_ms[c]),
                               e->decode1_ms[p + c]));
                }
            CU_ASSERT_EQUAL(
                strncmp(t->provenance,
                        "synthetic roofline of gpu on box; constants fitted", 50),
                0);
            vidur_engine_table_free(e);
            vidur_timetable_close(t);
        }
}

/* By hand: experts of the roofline of ENGINE.md section 7, in 18 and 6 of 24 layers. */
static void test_experts_by_hand(void)
{
    struct vidur_timetable *t = open_for(&experts, 2);
    const struct vidur_expert_roofline *e = &device.engine.experts[VIDUR_DTYPE_bf16];
    const double x = 8, d = 4096;
    const double touched = 16 * (1 - pow(1 - 2 / 16.0, x));
    const double bytes = touched * 3 * d * 1024 * 2; /* widths are halved by TP */
    const double router = (2 * 16 * d + x * (2 * d + 2 * 16)) / (0.8 * 3350e6) + 3e-3;
    CLOSE(t->token[VIDUR_OP_mlp_experts].ms[8], router + bytes / (e->memory * 3350e6) +
                                                    e->launch_us * 1e-3 +
                                                    e->token_ns * 1e-6 * 2 * x);
    /* MLPs beside them in a quarter of the layers */
    const struct vidur_gemm_roofline *g = &device.engine.gemm[VIDUR_DTYPE_bf16];
    const double down = 2 * (d * 1024 + x * d + x * 1024);
    CLOSE(t->token[VIDUR_OP_mlp_down_proj].ms[8],
          0.25 * (down / (g->memory * 3350e6) + g->launch_us * 1e-3));
    vidur_timetable_close(t);
}

static struct vidur_model_spec split(const struct vidur_model_spec *model, int first)
{
    struct vidur_model_spec two = *model;
    two.num_kinds = 2;
    two.kinds[1] = two.kinds[0];
    two.kinds[0].count = first;
    two.kinds[1].count -= first;
    return two;
}

static void assert_close(const struct vidur_timetable *a,
                         const struct vidur_timetable *b)
{
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++)
        for (int64_t x = 1; a->token[op].ms && x <= TOKENS; x++)
            CLOSE(a->token[op].ms[x], b->token[op].ms[x]);
    for (int64_t i = 0; i < a->attn_decode.num_rows * a->attn_decode.num_columns; i++)
        CLOSE(a->attn_decode.ms[i], b->attn_decode.ms[i]);
    for (int64_t i = 0; i < a->attn_prefill.num_rows * a->attn_prefill.num_columns; i++)
        CLOSE(a->attn_prefill.ms[i], b->attn_prefill.ms[i]);
}

/* Two kinds of equal layers are one: where prices are added up, to rounding; where one
 * layer's samples stand for all, to the bit. */
static void test_equal_kinds(void)
{
    const struct vidur_model_spec two = split(&fp8, 5);
    struct vidur_timetable *a = open_for(&fp8, 2), *b = open_for(&two, 2);
    assert_close(a, b);
    vidur_timetable_close(a);
    vidur_timetable_close(b);
    struct vidur_model_spec dense = fp8;
    dense.precision = (struct vidur_precision){0};
    const struct vidur_model_spec dense_two = split(&dense, 5);
    CU_ASSERT_TRUE(vidur_model_is_uniform_dense(&dense_two));
    CU_ASSERT_FALSE(vidur_model_is_uniform_dense(&experts));
    a = open_for(&dense, 2);
    b = open_for(&dense_two, 2);
    CU_ASSERT_TRUE(timetables_equal(a, b));
    CU_ASSERT_STRING_EQUAL(a->key, b->key);
    vidur_timetable_close(a);
    vidur_timetable_close(b);
}

/* A window that no context fills changes nothing; a narrow one caps what rows read and
 * spares chunks. */
static void test_windows(void)
{
    struct vidur_model_spec wide = fp8, narrow = fp8;
    const struct vidur_device_sku before = device;
    device.engine.prefill.launch_us = 0; /* which a chunk has its share of */
    wide.kinds[0].window_tokens = 4096;
    narrow.kinds[0].window_tokens = 2 * STEP;
    struct vidur_timetable *none = open_for(&fp8, 1), *w = open_for(&wide, 1),
                           *n = open_for(&narrow, 1);
    CU_ASSERT_TRUE(timetables_equal(none, w));
    CU_ASSERT_STRING_NOT_EQUAL(none->key, w->key);
    for (int64_t b = 1; b <= BATCH; b++)
        for (int64_t c = 0; c <= CONTEXT; c += STEP)
            CU_ASSERT_EQUAL(decode_ms(n, b, c),
                            decode_ms(none, b, c < 2 * STEP ? c : 2 * STEP));
    CU_ASSERT_EQUAL(prefill_ms(n, 0, STEP), prefill_ms(none, 0, STEP));
    for (int64_t c = 3 * STEP; c <= CHUNK; c += STEP) {
        CU_ASSERT_EQUAL(prefill_ms(n, 2 * STEP, c), prefill_ms(n, CONTEXT, c));
        CU_ASSERT(prefill_ms(n, CONTEXT, c) < prefill_ms(none, CONTEXT, c));
        CU_ASSERT(prefill_ms(n, CONTEXT, c) >= prefill_ms(n, 0, c));
    }
    vidur_timetable_close(none);
    vidur_timetable_close(w);
    vidur_timetable_close(n);
    /* in half of the layers: the mean of both */
    struct vidur_model_spec half = split(&fp8, 16);
    half.kinds[0].window_tokens = 2 * STEP;
    none = open_for(&fp8, 1);
    n = open_for(&narrow, 1);
    w = open_for(&half, 1);
    CLOSE(decode_ms(w, 9, CONTEXT),
          (decode_ms(n, 9, CONTEXT) + decode_ms(none, 9, CONTEXT)) / 2);
    CLOSE(prefill_ms(w, CONTEXT, CHUNK),
          (prefill_ms(n, CONTEXT, CHUNK) + prefill_ms(none, CONTEXT, CHUNK)) / 2);
    vidur_timetable_close(none);
    vidur_timetable_close(w);
    vidur_timetable_close(n);
    device = before;
}

/* One expert that every token meets is an MLP: the same weights, read once, at the same
 * law. What differs is the activations that products read and write. */
static void test_one_expert_is_an_mlp(void)
{
    struct vidur_model_spec one = fp8;
    const struct vidur_device_sku before = device;
    const struct vidur_gemm_roofline law = {0.8, 0.7, 0};
    one.kinds[0].mlp_hidden_dim = 0;
    one.kinds[0].num_experts = one.kinds[0].experts_per_token = 1;
    one.kinds[0].expert_hidden_dim = 14336;
    device.engine.gemm[VIDUR_DTYPE_fp8] = law;
    device.engine.experts[VIDUR_DTYPE_fp8_block] =
        (struct vidur_expert_roofline){0.8, 0.7, 0, 0};
    struct vidur_timetable *a = open_for(&fp8, 1), *b = open_for(&one, 1);
    CU_ASSERT_PTR_NULL(a->token[VIDUR_OP_mlp_experts].ms);
    CU_ASSERT_PTR_NULL(b->token[VIDUR_OP_mlp_up_proj].ms);
    for (int64_t x = 1; x <= 16; x++) {
        const double mlp = a->token[VIDUR_OP_mlp_up_proj].ms[x] +
                           a->token[VIDUR_OP_mlp_down_proj].ms[x];
        const double router =
            (2 * 4096 + (double)x * (2 * 4096 + 2)) / (0.8 * 3350e6) + 3e-3;
        const double moved = (double)x * (2 * 3 * 4096 + 3 * 3 * 14336);
        const double others = b->token[VIDUR_OP_mlp_experts].ms[x] - router;
        CU_ASSERT(others <= mlp);
        CU_ASSERT(mlp - others <= moved / (0.8 * 3350e6));
    }
    vidur_timetable_close(a);
    vidur_timetable_close(b);
    device = before;
}

/* From timings: here the products and prompts of a tiny table, scaled to its heads. */
static void test_kernels(void)
{
    const struct vidur_estimator_config roofline = config;
    struct vidur_model_spec dense = fp8;
    dense.precision = (struct vidur_precision){0};
    dense.kinds[0].num_q_heads = dense.kinds[0].num_kv_heads = 16;
    temp_dir_write(&dir, "k/gemm.csv",
                   "dtype,m,n,k,latency_ms\nbfloat16,1,6144,4096,2\n"
                   "bfloat16,4,6144,4096,5\n");
    temp_dir_write(&dir, "k/context_attention.csv",
                   "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,"
                   "batch_size,seq_len,latency_ms\n"
                   "bfloat16,bfloat16,128,16,16,1,1,1\n"
                   "bfloat16,bfloat16,128,16,16,1,300,7\n");
    temp_dir_write(&dir, "k/generation_attention.csv",
                   "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,"
                   "batch_size,kv_len,latency_ms\n"
                   "bfloat16,bfloat16,128,16,16,1,1,0.5\n"
                   "bfloat16,bfloat16,128,16,16,1,300,0.6\n");
    temp_dir_write(&dir, "k/custom_allreduce.csv",
                   "dtype,num_gpus,mode,message_bytes,latency_ms\n"
                   "bfloat16,2,graph,256,1\n");
    temp_dir_write(&dir, "k/system.yaml",
                   "gpu: {mem_bw: 3.35e12, bfloat16_tc_flops: 1.0e15}\n");
    const struct temp_path path = temp_dir_path(&dir, "k");
    config.source = VIDUR_SOURCE_KERNELS;
    strcpy(config.kernels, path.text);
    struct vidur_timetable *t = open_for(&dense, 1);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_pre_proj].ms[1], 2);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_pre_proj].ms[3], 4);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_pre_proj].profiled_limit, 4);
    CU_ASSERT_EQUAL(prefill_ms(t, 0, 300), 7);
    char text[1100];
    snprintf(text, sizeof text, "kernels %s", path.text);
    CU_ASSERT_STRING_EQUAL(t->provenance, text); /* nothing is borrowed */
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_columns, 300);
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_rows, 300 / STEP + 1);
    CU_ASSERT_EQUAL(t->attn_decode.profiled_columns, 300 / STEP + 1);
    char before[65];
    strcpy(before, t->key);
    vidur_timetable_close(t);
    temp_dir_write(&dir, "k/gemm.csv",
                   "dtype,m,n,k,latency_ms\nbfloat16,1,6144,4096,3\n");
    t = open_for(&dense, 1);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_pre_proj].ms[1], 3);
    CU_ASSERT_STRING_NOT_EQUAL(t->key, before);
    vidur_timetable_close(t);
    dense.kinds[0].num_q_heads = 32;
    t = open_for(&dense, 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(t->provenance, "; attention of 32 heads scaled from 16"));
    vidur_timetable_close(t);
    const struct vidur_timetable_request request = request_for(&dense, 1);
    struct vidur_error err = {0};
    config.overheads.model_cpu_overhead = true;
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "kernel timings have no CPU times"));
    config = roofline;
}

/* What prices depend on and one layer's samples do not. */
static void test_keys(void)
{
    struct vidur_timetable_request request = request_for(&experts, 2);
    struct vidur_model_spec wider = experts;
    char keys[5][65];
    struct vidur_estimator_config other = config;
    other.engine.eta = 0.5;
    wider.kinds[1].expert_hidden_dim *= 2;
    CU_ASSERT_EQUAL(vidur_timetable_key(keys[0], &config, &request, NULL), 0);
    CU_ASSERT_EQUAL(vidur_timetable_key(keys[1], &other, &request, NULL), 0);
    request.expert_parallel = true;
    CU_ASSERT_EQUAL(vidur_timetable_key(keys[2], &config, &request, NULL), 0);
    request.model = &wider;
    CU_ASSERT_EQUAL(vidur_timetable_key(keys[3], &config, &request, NULL), 0);
    device.engine.experts[0].launch_us += 1;
    CU_ASSERT_EQUAL(vidur_timetable_key(keys[4], &config, &request, NULL), 0);
    device.engine.experts[0].launch_us -= 1;
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(keys[i], keys[j]);
}

/* Sources that have one layer alone say what they lack. */
static void test_refused(void)
{
    const struct vidur_estimator_config roofline = config;
    struct vidur_timetable_request request = request_for(&experts, 2);
    struct vidur_timetable *t = NULL;
    struct vidur_profile *profile = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_profile(&profile, &config, &request, NULL, &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not trained from samples"));
    config.source = VIDUR_SOURCE_PROFILES;
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "experts: estimator.source: profiles have"));
    config.source = VIDUR_SOURCE_TABLES;
    request.model = &fp8;
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not of other formats"));
    config.source = VIDUR_SOURCE_AUTO; /* no profile is looked for */
    t = fixture_open(&config, &request, NULL);
    CU_ASSERT_EQUAL(t->source, VIDUR_SOURCE_ROOFLINE);
    vidur_timetable_close(t);
    config = roofline;
}

VIDUR_TEST_MAIN("operator tables of any decoder", {"set up", set_up},
                {"layers add up to the engine", test_layers_add_up_to_the_engine},
                {"experts by hand", test_experts_by_hand},
                {"equal kinds", test_equal_kinds}, {"windows", test_windows},
                {"one expert is an MLP", test_one_expert_is_an_mlp},
                {"kernels", test_kernels}, {"keys", test_keys},
                {"refused", test_refused}, {"clean up", clean_up})
