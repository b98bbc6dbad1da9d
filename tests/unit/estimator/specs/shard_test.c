#include "test.h"

#include <vidur/shard.h>

#include <string.h>

static struct vidur_shard shard_of(const struct vidur_model_spec *model, int tensor,
                                   bool expert)
{
    const struct vidur_cut cut = {.tensor = tensor, .pipeline = 1, .expert = expert};
    struct vidur_shard shard;
    vidur_shard_of(&shard, model, &cut);
    return shard;
}

static int64_t layer_weights(const struct vidur_shard *shard)
{
    const struct vidur_shard_layers *l = &shard->layers[0];
    return l->attention_weights + l->mlp_weights + l->expert_weights +
           l->router_weights;
}

static void test_dense(void)
{
    struct vidur_model_spec m;
    CU_ASSERT_EQUAL(vidur_model_load(&m, "meta-llama/Llama-2-70b-hf", NULL), 0);
    /* q and o 8192 x 8192, k and v 8192 x 1024, three 8192 x 28672 */
    const int64_t whole = 2LL * 8192 * 8192 + 2LL * 8192 * 1024 + 3LL * 8192 * 28672;
    struct vidur_shard s = shard_of(&m, 1, false);
    CU_ASSERT_EQUAL(layer_weights(&s), whole);
    CU_ASSERT_EQUAL(vidur_shard_layer_bytes(&s), 80.0 * 2 * (double)whole);
    CU_ASSERT_EQUAL(vidur_shard_kv_bytes_per_token(&s), 80 * 2.0 * 2 * 8 * 128);
    s = shard_of(&m, 8, false);
    CU_ASSERT_EQUAL(layer_weights(&s), whole / 8);
    /* KV heads are replicated beyond 8 devices, so a share is more than a 16th. */
    s = shard_of(&m, 16, false);
    CU_ASSERT_EQUAL(s.layers[0].kv_heads, 1);
    CU_ASSERT_EQUAL(layer_weights(&s), 8192LL * 128 * (4 + 2) + 8192LL * 128 * 4 +
                                           3LL * 8192 * 28672 / 16);
    CU_ASSERT_EQUAL(vidur_model_load(&m, "microsoft/phi-2", NULL), 0);
    s = shard_of(&m, 1, false);
    CU_ASSERT_EQUAL(layer_weights(&s), 4LL * 2560 * 2560 + 2LL * 2560 * 10240);
    CU_ASSERT_EQUAL(vidur_model_load(&m, "Qwen/Qwen-2-7B", NULL), 0);
    s = shard_of(&m, 7, false);
    CU_ASSERT_EQUAL(s.layers[0].kv_heads, 1);
}

/* Two kinds: one of an MLP, three of 8 experts, 2 a token, beside a shared one. */
static struct vidur_model_spec mixture(void)
{
    const struct vidur_layer_kind dense = {.count = 1,
                                           .num_q_heads = 8,
                                           .num_kv_heads = 2,
                                           .head_dim = 64,
                                           .mlp_hidden_dim = 2048};
    struct vidur_layer_kind moe = dense;
    moe.count = 3;
    moe.mlp_hidden_dim = 256;
    moe.num_experts = 8;
    moe.experts_per_token = 2;
    moe.expert_hidden_dim = 512;
    return (struct vidur_model_spec){.name = "mixture",
                                     .num_layers = 4,
                                     .kinds = {dense, moe},
                                     .num_kinds = 2,
                                     .embedding_dim = 512,
                                     .vocab_size = 1000,
                                     .max_position_embeddings = 4096,
                                     .use_gated_mlp = true,
                                     .post_attn_norm = true};
}

static void test_experts(void)
{
    struct vidur_model_spec m = mixture();
    CU_ASSERT_EQUAL(vidur_model_check(&m, NULL), 0);
    m.precision = vidur_precision_of(VIDUR_DTYPE_fp8);
    m.precision.experts = VIDUR_DTYPE_mxfp4;
    const struct vidur_shard cut = shard_of(&m, 2, false),
                             whole = shard_of(&m, 2, true);
    const double attention = 512 * 64 * (4 + 2.0) + 512 * 64 * 4;
    const double experts = 3.0 * 512 * 512 * 8 / 2, router = 512 * 8;
    const double bytes = 4 * attention + 3 * 512 * 2048 / 2.0 +
                         3 * (3 * 512 * 256 / 2.0 + 0.53125 * experts + 2 * router);
    CU_ASSERT_DOUBLE_EQUAL(vidur_shard_layer_bytes(&cut), bytes, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(vidur_shard_layer_bytes(&whole), bytes, 1e-6);
    CU_ASSERT_EQUAL(cut.layers[1].moe_tensor, 2);
    CU_ASSERT_EQUAL(cut.layers[1].moe_expert, 1);
    CU_ASSERT_EQUAL(whole.layers[1].moe_tensor, 1);
    CU_ASSERT_EQUAL(whole.layers[1].moe_expert, 2);
}

/* Ranks in data parallel: experts are shared by all of their devices, the rest is cut
 * within a rank, and each rank's tokens meet the experts of all. */
static void test_ranks(void)
{
    const struct vidur_model_spec m = mixture();
    const struct vidur_relative_peaks peaks = {{1, 2, 4}};
    const struct vidur_cut cuts[] = {{2, 1, true, 4}, {2, 1, false, 4}};
    const struct vidur_shard one = shard_of(&m, 2, true);
    for (int i = 0; i < 2; i++) {
        struct vidur_shard s;
        vidur_shard_of(&s, &m, &cuts[i]);
        const struct vidur_shard_layers *moe = &s.layers[1], *alone = &one.layers[1];
        CU_ASSERT_EQUAL(moe->attention_weights, alone->attention_weights);
        CU_ASSERT_EQUAL(moe->mlp_weights, alone->mlp_weights);
        CU_ASSERT_EQUAL(moe->router_weights, alone->router_weights);
        CU_ASSERT_EQUAL(moe->kv_bytes_per_token, alone->kv_bytes_per_token);
        CU_ASSERT_EQUAL(moe->expert_weights, alone->expert_weights / 4);
        CU_ASSERT_EQUAL(moe->moe_expert, i == 0 ? 8 : 1);
        CU_ASSERT_EQUAL(moe->moe_tensor, i == 0 ? 1 : 8);
        CU_ASSERT_EQUAL(vidur_shard_embedding_bytes(&s),
                        vidur_shard_embedding_bytes(&one));
        CU_ASSERT_DOUBLE_EQUAL(vidur_shard_flops(&s, &peaks, 10, 100),
                               vidur_shard_flops(&one, &peaks, 10, 100), 1e-6);
        CU_ASSERT_EQUAL(vidur_cut_devices(&cuts[i]), 8);
    }
    CU_ASSERT_EQUAL(vidur_cut_ranks(&one.cut), 1); /* not said */
}

/* DeepSeek-V3's attention: q_a and kv_a on every device, the rest cut. */
static void test_latent_attention(void)
{
    struct vidur_model_spec m = mixture();
    m.num_kinds = 1;
    m.embedding_dim = 7168;
    m.kinds[0] = (struct vidur_layer_kind){.count = 4,
                                           .attention = VIDUR_ATTENTION_MLA,
                                           .num_q_heads = 128,
                                           .num_kv_heads = 1,
                                           .q_lora_rank = 1536,
                                           .kv_lora_rank = 512,
                                           .rope_head_dim = 64,
                                           .nope_head_dim = 128,
                                           .v_head_dim = 128,
                                           .mlp_hidden_dim = 18432};
    CU_ASSERT_EQUAL(vidur_model_check(&m, NULL), 0);
    const struct vidur_shard s = shard_of(&m, 8, false);
    CU_ASSERT_EQUAL(s.layers[0].attention_weights, 7168LL * 1536 + 1536LL * 16 * 192 +
                                                       7168LL * 576 + 512LL * 16 * 256 +
                                                       16LL * 128 * 7168);
    CU_ASSERT_EQUAL(vidur_shard_kv_bytes_per_token(&s), 4 * 576 * 2.0);
    m.precision.kv_cache = VIDUR_DTYPE_fp8;
    const struct vidur_shard narrow = shard_of(&m, 8, false);
    CU_ASSERT_EQUAL(vidur_shard_kv_bytes_per_token(&narrow), 4 * 576.0);
}

/* Projections are cut by heads: of 64 columns, two make a block, and a device has one
 * of keys and values. */
static void test_blocks_of_attention(void)
{
    static const struct {
        enum vidur_dtype dtype;
        int heads, kv_heads, tp;
        const char *message;
    } cases[] = {
        {VIDUR_DTYPE_fp8_block, 8, 8, 4, NULL},
        {VIDUR_DTYPE_fp8_block, 8, 8, 8, "64 of the 512 columns of mixture's query"},
        {VIDUR_DTYPE_fp8_block, 8, 2, 2,
         "2 leaves 64 of the 128 columns of mixture's "
         "KV heads to a device; fp8_block"},
        {VIDUR_DTYPE_fp8, 8, 2, 2, NULL},
        {VIDUR_DTYPE_int4, 8, 2, 4, NULL}, /* groups of inputs: no KV heads */
        {VIDUR_DTYPE_int4, 8, 2, 8, "query heads to a device; int4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m = mixture();
        struct vidur_error err = {0};
        const struct vidur_cut cut = {
            .tensor = cases[i].tp, .pipeline = 1, .expert = true};
        m.precision.attention = cases[i].dtype;
        for (int k = 0; k < 2; k++) {
            m.kinds[k].num_q_heads = cases[i].heads;
            m.kinds[k].num_kv_heads = cases[i].kv_heads;
        }
        const int status = vidur_shard_check(&m, &cut, true, &err);
        CU_ASSERT_EQUAL(status, cases[i].message ? -1 : 0);
        if (cases[i].message)
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].message));
    }
}

static void test_refusals(void)
{
    static const struct {
        struct vidur_cut cut;
        enum vidur_dtype weights;
        const char *message;
    } cases[] = {
        {{3, 1, false, 1}, VIDUR_DTYPE_bf16, "3 does not divide 8 query heads"},
        {{8, 1, true, 1}, VIDUR_DTYPE_bf16, NULL},
        {{16, 1, false, 1}, VIDUR_DTYPE_bf16, "16 does not divide 8 query heads"},
        {{8, 1, false, 1}, VIDUR_DTYPE_fp8_block, "fp8_block weights need a multiple"},
        {{8, 1, false, 1}, VIDUR_DTYPE_fp8, NULL},
        {{4, 1, false, 1}, VIDUR_DTYPE_fp8_block, "columns of mixture's MLP"},
        {{2, 1, true, 1}, VIDUR_DTYPE_fp8_block, NULL},
        {{4, 1, true, 1},
         VIDUR_DTYPE_int4,
         "64 of the 256 columns of mixture's MLP to a "
         "device; int4 weights need a multiple of 128"},
        {{8, 1, true, 1}, VIDUR_DTYPE_nvfp4, NULL},
        {{8, 1, true, 1}, VIDUR_DTYPE_mxfp4, NULL},
        /* experts over DP * TP devices, all else over TP */
        {{2, 1, true, 4}, VIDUR_DTYPE_bf16, NULL},
        {{2, 1, true, 3}, VIDUR_DTYPE_bf16, "6 devices do not divide the 8 experts"},
        {{1, 1, true, 8}, VIDUR_DTYPE_fp8_block, NULL},
        {{1, 1, false, 8}, VIDUR_DTYPE_fp8_block, "columns of mixture's experts"},
        {{1, 1, false, 4}, VIDUR_DTYPE_fp8_block, NULL},
        {{1, 1, false, 3}, VIDUR_DTYPE_bf16, "3 does not divide the 512 columns"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m = mixture();
        struct vidur_error err = {0};
        m.precision = vidur_precision_of(cases[i].weights);
        m.kinds[0].head_dim = m.kinds[1].head_dim = 128;
        const int status = vidur_shard_check(&m, &cases[i].cut, true, &err);
        CU_ASSERT_EQUAL(status, cases[i].message ? -1 : 0);
        if (cases[i].message)
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].message));
    }
    struct vidur_model_spec m = mixture();
    struct vidur_error err = {0};
    const struct vidur_cut three = {.tensor = 2, .pipeline = 1, .expert = true};
    m.kinds[1].num_experts = 9;
    CU_ASSERT_EQUAL(vidur_shard_check(&m, &three, true, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "2 devices do not divide the 9 experts"));
    m.num_kinds = 1;
    CU_ASSERT_EQUAL(vidur_shard_check(&m, &three, true, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "mixture has no experts"));
}

/* Experts that a token does not meet do nothing; formats of 8 bits count half. */
static void test_flops(void)
{
    struct vidur_model_spec m = mixture();
    const struct vidur_relative_peaks peaks = {{1, 2, 4}};
    struct vidur_shard s = shard_of(&m, 1, false);
    const double attention = 512 * 64 * (8 + 4.0) + 512 * 64 * 8;
    const double moe = 3.0 * 512 * 256 + 3.0 * 512 * 512 * 2 + 512 * 8;
    const double params = 4 * attention + 3.0 * 512 * 2048 + 3 * moe;
    CU_ASSERT_DOUBLE_EQUAL(vidur_shard_flops(&s, &peaks, 10, 100),
                           20 * params + 4.0 * 4 * 8 * 64 * 100, 1e-3);
    m.kinds[0].window_tokens = 5; /* of 1 layer in 4: 50 pairs, not 100 */
    s = shard_of(&m, 1, false);
    CU_ASSERT_DOUBLE_EQUAL(vidur_shard_flops(&s, &peaks, 10, 100),
                           20 * params + 4.0 * 8 * 64 * (3 * 100 + 50), 1e-3);
    m.kinds[0].window_tokens = 0;
    m.precision = vidur_precision_of(VIDUR_DTYPE_fp8);
    s = shard_of(&m, 1, false);
    const double routers = 3.0 * 512 * 8;
    CU_ASSERT_DOUBLE_EQUAL(vidur_shard_flops(&s, &peaks, 10, 0),
                           20 * ((params - routers) / 2 + routers), 1e-3);
}

VIDUR_TEST_MAIN("shard", {"dense", test_dense}, {"experts", test_experts},
                {"latent attention", test_latent_attention}, {"ranks", test_ranks},
                {"refusals", test_refusals},
                {"blocks of attention", test_blocks_of_attention},
                {"flops", test_flops})
