#include "test.h"
#include "toy_cluster.h"

#include "steps/step_model.h"

#include <vidur/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 256, BATCH = 16, KV = 8, CHUNK = 256 };

/* Random times for every operator, and the state built from them. */
struct setting {
    struct vidur_timetable table;
    struct vidur_deployment deployment;
    double token[VIDUR_NUM_TOKEN_OPERATORS][TOKENS + 1];
    double decode[BATCH * KV];
    double prefill[KV * CHUNK];
    void *state;
};

static struct setting *begin(void)
{
    struct setting *s = calloc(1, sizeof *s);
    struct vidur_rng rng;
    vidur_rng_init(&rng, 3, 3);
    toy_deployment(&s->deployment, "sarathi");
    s->deployment.model.kinds[0].num_kv_heads = 2;
    s->deployment.tensor_parallel_size = 2;
    s->deployment.num_pipeline_stages = 2;
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++) {
        for (int i = 1; i <= TOKENS; i++)
            s->token[op][i] = vidur_rng_uniform(&rng);
        s->table.token[op] = (struct vidur_token_table){s->token[op], TOKENS, TOKENS};
    }
    for (int i = 0; i < BATCH * KV; i++)
        s->decode[i] = vidur_rng_uniform(&rng);
    for (int i = 0; i < KV * CHUNK; i++)
        s->prefill[i] = vidur_rng_uniform(&rng);
    s->table.attn_decode = (struct vidur_grid_table){s->decode, BATCH, KV, BATCH, KV};
    s->table.attn_prefill = (struct vidur_grid_table){s->prefill, KV, CHUNK, KV, CHUNK};
    s->table.kv_granularity_tokens = 64;
    s->table.overheads = (struct vidur_step_overheads){0.02, 0.003, 0.1, 0.2, false};
    return s;
}

static int build(struct setting *s, struct vidur_error *err)
{
    const struct vidur_step_env env = {
        .deployment = &s->deployment, .timetable = &s->table, .max_tokens = 512};
    free(s->state);
    s->state = aligned_alloc(64, (vidur_step_layers.state_bytes(&env) + 63) / 64 * 64);
    return vidur_step_layers.init(s->state, &env, err);
}

static void end(struct setting *s)
{
    free(s->state);
    free(s);
}

/* SIMULATOR.md section 5, written down once more. */
static double expected_s(const struct setting *s, const struct vidur_live_batch *b,
                         bool last)
{
#define AT(op, i) (s->token[VIDUR_OP_##op][i])
    const int64_t t = b->seen.num_tokens, t8 = (t + 7) / 8 * 8;
    const double comm = AT(all_reduce, t8) + (0.02 + 0.003 * pow(2, 1.25));
    double decode = 0, prefill = 0;
    if (b->seen.num_decodes) {
        const int64_t mean = (int64_t)floor((double)b->decode_context_tokens /
                                            (double)b->seen.num_decodes);
        decode = s->decode[(b->seen.num_decodes - 1) * KV + (mean + 63) / 64];
        decode *= b->seen.num_decodes > 1 ? 1 + 0.1 : 1;
    }
    if (b->seen.num_prefills) {
        const double root = nearbyint(sqrt((double)b->prefill_chunk_squares));
        prefill =
            s->prefill[b->prefill_context_tokens / 64 * CHUNK + (int64_t)root - 1];
        prefill *= b->seen.num_prefills > 1 ? 1 + 0.2 : 1;
    }
    const double attention = AT(attn_pre_proj, t8) + AT(attn_post_proj, t8) +
                             AT(attn_rope, t8) + AT(attn_kv_cache_save, t) + decode +
                             prefill + comm + AT(input_layernorm, t8);
    const double mlp = AT(mlp_up_proj, t8) + AT(mlp_down_proj, t8) + AT(mlp_act, t8) +
                       comm + AT(post_attention_layernorm, t8) + AT(mlp_experts, t8);
    const double block = attention + mlp + AT(add, t8);
    return (block * (TOY_LAYERS / 2) + (last ? 0 : AT(send_recv, t8))) * 1e-3;
#undef AT
}

static struct vidur_live_batch mixed(void)
{
    return (struct vidur_live_batch){.seen.count = 5,
                                     .seen.num_decodes = 3,
                                     .seen.num_prefills = 2,
                                     .seen.num_tokens = 3 + 30 + 41,
                                     .seen.num_prefill_tokens = 71,
                                     .decode_context_tokens = 3 * 100 + 2,
                                     .prefill_context_tokens = 64 + 128,
                                     .prefill_chunk_squares = 30 * 30 + 41 * 41};
}

static void test_formula(void)
{
    struct setting *s = begin();
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    struct vidur_live_batch batches[] = {mixed(),
                                         {.seen.count = 1,
                                          .seen.num_decodes = 1,
                                          .seen.num_tokens = 1,
                                          .decode_context_tokens = 64},
                                         {.seen.count = 16,
                                          .seen.num_decodes = 16,
                                          .seen.num_tokens = 16,
                                          .decode_context_tokens = 16 * 65 - 1},
                                         {.seen.count = 1,
                                          .seen.num_prefills = 1,
                                          .seen.num_tokens = 256,
                                          .seen.num_prefill_tokens = 256,
                                          .prefill_chunk_squares = 256 * 256}};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        vidur_step_layers.time(s->state, NULL, &batches[i]);
        CU_ASSERT_EQUAL(batches[i].step.stage_s[0], expected_s(s, &batches[i], false));
        CU_ASSERT_EQUAL(batches[i].step.stage_s[1], expected_s(s, &batches[i], true));
        CU_ASSERT_EQUAL(batches[i].step.cpu_s, 0);
        CU_ASSERT_EQUAL(batches[i].step.extrapolated, 0);
        CU_ASSERT(batches[i].step.communication_s[1] > 0);
        CU_ASSERT(batches[i].step.communication_s[0] >
                  batches[i].step.communication_s[1]);
    }
    end(s);
}

/* One KV head per query head: no batching overhead. TP 1: no all-reduce. */
static void test_what_does_not_apply(void)
{
    struct setting *s = begin();
    struct vidur_error err = {0};
    struct vidur_live_batch batch = mixed();
    s->deployment.model.kinds[0].num_kv_heads =
        s->deployment.model.kinds[0].num_q_heads;
    s->deployment.tensor_parallel_size = 1;
    s->table.token[VIDUR_OP_all_reduce] = (struct vidur_token_table){0};
    s->table.token[VIDUR_OP_send_recv] = (struct vidur_token_table){0};
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    vidur_step_layers.time(s->state, NULL, &batch);
    CU_ASSERT_EQUAL(batch.step.communication_s[0], 0);
    CU_ASSERT_EQUAL(batch.step.stage_s[0], batch.step.stage_s[1]);
    const double grouped_s = batch.step.stage_s[1];
    s->deployment.model.kinds[0].num_kv_heads = 1;
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    vidur_step_layers.time(s->state, NULL, &batch);
    CU_ASSERT(batch.step.stage_s[1] > grouped_s);
    end(s);
}

/* Repeating a decode batch takes the same time for as long as it says, and not longer.
 * Granularities that are no power of two take another path. */
static void test_repeats(void)
{
    struct setting *s = begin();
    struct vidur_error err = {0};
    static const int granularities[] = {64, 48, 1};
    for (int g = 0; g < 3; g++) {
        s->table.kv_granularity_tokens = granularities[g];
        CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
        struct vidur_live_batch batch = {.seen.count = 3,
                                         .seen.num_decodes = 3,
                                         .seen.num_tokens = 3,
                                         .decode_context_tokens = 3 * granularities[g] +
                                                                  2 - granularities[g]};
        vidur_step_layers.time(s->state, NULL, &batch);
        const struct vidur_step_time first = batch.step;
        CU_ASSERT(first.repeats >= 1);
        for (int i = 1; i <= first.repeats; i++) {
            batch.decode_context_tokens += 3;
            vidur_step_layers.time(s->state, NULL, &batch);
            CU_ASSERT_EQUAL(batch.step.stage_s[1] == first.stage_s[1],
                            i < first.repeats);
        }
    }
    end(s);
}

static void test_cpu_overhead(void)
{
    struct setting *s = begin();
    struct vidur_error err = {0};
    struct vidur_live_batch batch = mixed();
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    CU_ASSERT_FALSE(vidur_step_layers.has_cpu_overhead(s->state));
    s->table.overheads.model_cpu_overhead = true;
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    CU_ASSERT(vidur_step_layers.has_cpu_overhead(s->state));
    vidur_step_layers.time(s->state, NULL, &batch);
    double sum_ms = 0;
    for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        sum_ms += s->token[op][batch.seen.count];
    CU_ASSERT_EQUAL(batch.step.cpu_s, 1e-3 * sum_ms);
    CU_ASSERT_EQUAL(batch.step.stage_s[1], expected_s(s, &batch, true) + 1e-3 * sum_ms);
    end(s);
}

static void check_missing(const struct setting *s, struct vidur_live_batch batch,
                          const char *op)
{
    struct vidur_error err = {0};
    vidur_step_layers.time(s->state, NULL, &batch);
    CU_ASSERT_FALSE(batch.step.stage_s[1] > 0);
    CU_ASSERT_EQUAL(vidur_step_layers.fail(s->state, &batch, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, op));
}

/* Beyond a table's end there is no time, and the message names the operator. */
static void test_beyond_tables(void)
{
    struct setting *s = begin();
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    struct vidur_live_batch batch = mixed();
    batch.decode_context_tokens = 3 * KV * 64;
    check_missing(s, batch, "attn_decode");
    batch = mixed();
    batch.seen.num_prefills = 1;
    batch.prefill_context_tokens = KV * 64;
    check_missing(s, batch, "attn_prefill");
    batch = mixed();
    batch.seen.num_tokens = TOKENS + 1;
    check_missing(s, batch, "attn_pre_proj");
    s->prefill[0 * CHUNK + 9] = NAN; /* a hole */
    check_missing(s,
                  (struct vidur_live_batch){.seen.count = 1,
                                            .seen.num_prefills = 1,
                                            .seen.num_tokens = 10,
                                            .seen.num_prefill_tokens = 10,
                                            .prefill_chunk_squares = 100},
                  "attn_prefill");
    end(s);
}

/* What lies beyond the profile's range is counted, as are contexts of several prompts
 * that together exceed the table. */
static void test_extrapolated(void)
{
    struct setting *s = begin();
    struct vidur_error err = {0};
    struct vidur_live_batch batch = mixed();
    s->table.attn_decode.profiled_rows = 2;
    s->table.token[VIDUR_OP_add].profiled_limit = 79;
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    vidur_step_layers.time(s->state, NULL, &batch);
    CU_ASSERT_EQUAL(batch.step.extrapolated, 2);
    batch.prefill_context_tokens = KV * 64;
    vidur_step_layers.time(s->state, NULL, &batch);
    CU_ASSERT_EQUAL(batch.step.extrapolated, 3);
    CU_ASSERT(batch.step.stage_s[1] > 0);
    end(s);
}

/* Batches too large to be summed up ahead take the slow path to the same result. */
static void test_large_batches(void)
{
    enum { LARGE = 20000 };
    struct setting *s = begin();
    struct vidur_error err = {0};
    double *ms = calloc(LARGE + 1, sizeof *ms);
    for (int i = 1; i <= LARGE; i++)
        ms[i] = 1e-4 * i;
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        s->table.token[op] = (struct vidur_token_table){ms, LARGE, LARGE};
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    struct vidur_live_batch batch = mixed();
    batch.seen.num_tokens = 16384;
    vidur_step_layers.time(s->state, NULL, &batch);
    const double fused_s = batch.step.stage_s[1];
    batch.seen.num_tokens = 16384 + 8;
    vidur_step_layers.time(s->state, NULL, &batch);
    /* 11 operators on tokens, all-reduce twice, 4 layers */
    CU_ASSERT_DOUBLE_EQUAL(batch.step.stage_s[1] - fused_s, 13 * 8e-4 * 4e-3, 1e-12);
    free(ms);
    end(s);
}

/* ---- Any decoder ---- */

static const struct vidur_model_spec experts = {
    .name = "experts",
    .num_layers = 24,
    .num_kinds = 2,
    .kinds = {{.count = 18,
               .num_q_heads = 32,
               .num_kv_heads = 8,
               .head_dim = 128,
               .window_tokens = 100,
               .num_experts = 16,
               .experts_per_token = 2,
               .expert_hidden_dim = 2048},
              {.count = 6,
               .num_q_heads = 32,
               .num_kv_heads = 8,
               .head_dim = 128,
               .mlp_hidden_dim = 8192}},
    .embedding_dim = 4096,
    .vocab_size = 32000,
    .max_position_embeddings = 8192,
    .use_gated_mlp = true,
    .post_attn_norm = true,
    .precision = {VIDUR_DTYPE_fp8, VIDUR_DTYPE_mxfp4, VIDUR_DTYPE_bf16,
                  VIDUR_DTYPE_fp8}};

static void set_hardware(struct vidur_deployment *d)
{
    vidur_device_sku_defaults(&d->device);
    vidur_node_sku_defaults(&d->node);
    d->device.peak_fp16_tflops = d->device.v1.peak_bf16_tflops = 989;
    d->device.v1.peak_fp8_tflops = 1979;
    d->device.memory_bandwidth_gb_per_s = 3350;
    d->device.v1.memory_bandwidth_gb_per_s = 3350;
    d->node.devices_per_node = 8;
    d->node.link_bandwidth_gb_per_s = 450;
    d->node.inter_node_bandwidth_gb_per_s = 50;
}

/* (x, k) times (k, n); inputs of fp8 weights are fp8, too. */
static double product_ms(const struct vidur_gemm_roofline *g, double bytes_a_weight,
                         const double nkx[3])
{
    const double n = nkx[0], k = nkx[1], x = nkx[2];
    const double bytes =
        bytes_a_weight * n * k + 2 * x * n + fmin(2, 2 * bytes_a_weight) * x * k;
    return bytes / (g->memory * 3350e6) + g->launch_us * 1e-3;
}

/* Eight rows of 128 tokens on one of two stages, two devices each, written down from
 * ENGINE.md sections 5 to 7: memory bounds all of it. */
static double experts_by_hand_ms(const struct vidur_deployment *d)
{
    const struct vidur_engine_roofline *e = &d->device.engine;
    const struct vidur_gemm_roofline *bf16 = &e->gemm[VIDUR_DTYPE_bf16],
                                     *fp8 = &e->gemm[VIDUR_DTYPE_fp8];
    const double x = 8, dim = 4096, small = 0.8 * 3350e6;
    const double projections = product_ms(bf16, 2, (double[]){3072, dim, x}) +
                               product_ms(bf16, 2, (double[]){dim, 2048, x});
    const double rotary = 4 * x * 3072 / small + 3e-3;
    const double norms = 2 * (8 * dim * x / small + 3e-3);
    const double mlp = product_ms(fp8, 1, (double[]){8192, dim, x}) +
                       product_ms(fp8, 1, (double[]){dim, 4096, x}) +
                       6 * x * 4096 / small + 3e-3;
    const double router = (2 * 16 * dim + x * (2 * dim + 2 * 16)) / small + 3e-3;
    const struct vidur_expert_roofline *r = &e->experts[VIDUR_DTYPE_mxfp4];
    const double touched = 16 * (1 - pow(1 - 2 / 16.0, x));
    const double routed =
        touched * 3 * dim * 1024 * (0.5 + 1.0 / 32) / (r->memory * 3350e6) +
        r->launch_us * 1e-3 + r->token_ns * 1e-6 * 2 * x;
    const double link = e->all_reduce.link * 450e9;
    const double reduce = e->all_reduce.latency_us * 1e-3 + 2 * x * dim / link * 1e3;
    /* 4 KV heads of fp8 on a device; the window reads 100 of the 128 tokens */
    const double token = 2 * 4 * 128 / (0.91 * 3350e6), launch = 10e-3;
    const double window = launch + token * 8 * 100, whole = launch + token * 8 * 128;
    const double same = projections + rotary + norms + 2 * (reduce + 0.02);
    const double rows = (18 * window + 6 * whole) * 1.1; /* grouped heads, a batch */
    return (24 * same + 18 * (router + routed) + 6 * mlp + rows) / 2;
}

static void test_any_decoder(void)
{
    struct setting *s = begin();
    struct vidur_estimator_config config;
    struct vidur_timetable *table;
    struct vidur_error err = {0};
    s->deployment.model = experts;
    set_hardware(&s->deployment);
    vidur_estimator_config_defaults(&config);
    config.source = VIDUR_SOURCE_ROOFLINE;
    config.cache_dir[0] = '\0';
    const struct vidur_timetable_request request = {.model = &s->deployment.model,
                                                    .device = &s->deployment.device,
                                                    .node = &s->deployment.node,
                                                    .tensor_parallel_size = 2,
                                                    .pipeline = true,
                                                    .max_tokens = TOKENS,
                                                    .max_batch_size = BATCH,
                                                    .max_kv_tokens = 512,
                                                    .max_chunk_tokens = CHUNK};
    CU_ASSERT_EQUAL_FATAL(vidur_timetable_open(&table, &config, &request, NULL, &err),
                          0);
    s->table = *table;
    CU_ASSERT_EQUAL_FATAL(build(s, &err), 0);
    struct vidur_live_batch batch = {.seen.count = 8,
                                     .seen.num_decodes = 8,
                                     .seen.num_tokens = 8,
                                     .decode_context_tokens = 8 * 128};
    vidur_step_layers.time(s->state, NULL, &batch);
    const double expected_s = experts_by_hand_ms(&s->deployment) * 1e-3;
    CU_ASSERT_DOUBLE_EQUAL(batch.step.stage_s[1], expected_s, 1e-9 * expected_s);
    CU_ASSERT(batch.step.stage_s[0] > batch.step.stage_s[1]); /* send_recv */
    CU_ASSERT_EQUAL(batch.step.extrapolated, 0);
    vidur_timetable_close(table);
    end(s);
}

VIDUR_TEST_MAIN("step layers", {"the formula", test_formula},
                {"what does not apply", test_what_does_not_apply},
                {"repeats", test_repeats}, {"cpu overhead", test_cpu_overhead},
                {"beyond the tables", test_beyond_tables},
                {"extrapolated", test_extrapolated},
                {"large batches", test_large_batches},
                {"any decoder", test_any_decoder})
