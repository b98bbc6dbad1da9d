#include "base/hash.h"

#include <vidur/model.h>
#include <vidur/sku.h>

#define TEXT(member)  vidur_sha256_add_string(sha, spec->member);
#define WHOLE(member) vidur_sha256_add_int64(sha, (int64_t)spec->member);
#define REAL(member)  vidur_sha256_add_double(sha, spec->member);

static void add_kind(struct vidur_sha256 *sha, const struct vidur_layer_kind *spec)
{
    WHOLE(count)
    WHOLE(attention)
    WHOLE(num_q_heads)
    WHOLE(num_kv_heads)
    WHOLE(head_dim)
    WHOLE(window_tokens)
    WHOLE(q_lora_rank)
    WHOLE(kv_lora_rank)
    WHOLE(rope_head_dim)
    WHOLE(nope_head_dim)
    WHOLE(v_head_dim)
    WHOLE(index_tokens)
    WHOLE(index_head_dim)
    WHOLE(mlp_hidden_dim)
    WHOLE(num_experts)
    WHOLE(experts_per_token)
    WHOLE(expert_hidden_dim)
}

void vidur_model_digest(struct vidur_sha256 *sha, const struct vidur_model_spec *spec)
{
    TEXT(name)
    WHOLE(num_layers)
    WHOLE(num_kinds)
    for (int i = 0; i < VIDUR_MAX_LAYER_KINDS; i++)
        add_kind(sha, &spec->kinds[i]);
    if (spec->leading_kinds) /* only stages of a pipeline depend on it */
        WHOLE(leading_kinds)
    WHOLE(embedding_dim)
    WHOLE(vocab_size)
    WHOLE(max_position_embeddings)
    WHOLE(max_tensor_parallel_size)
    WHOLE(use_gated_mlp)
    WHOLE(post_attn_norm)
    WHOLE(tie_word_embeddings)
    WHOLE(qk_norm_all_heads)
    WHOLE(precision.weights)
    WHOLE(precision.experts)
    WHOLE(precision.attention)
    WHOLE(precision.kv_cache)
}

static void add_engine_roofline(struct vidur_sha256 *sha,
                                const struct vidur_engine_roofline *spec)
{
    TEXT(fitted_on)
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
        REAL(gemm[i].memory)
        REAL(gemm[i].compute)
        REAL(gemm[i].launch_us)
        REAL(experts[i].memory)
        REAL(experts[i].compute)
        REAL(experts[i].launch_us)
        REAL(experts[i].token_ns)
    }
    REAL(prefill.compute)
    REAL(prefill.launch_us)
    REAL(all_reduce.latency_us)
    REAL(all_reduce.growth)
    REAL(all_reduce.link)
    REAL(all_reduce.doubling)
    REAL(all_reduce_skew_us)
}

/* Not usd_per_gpu_hour, price_source, price_date, tdp_w and host_link. */
void vidur_device_digest(struct vidur_sha256 *sha, const struct vidur_device_sku *spec)
{
    TEXT(name)
    REAL(peak_fp16_tflops)
    REAL(memory_gib)
    REAL(memory_bandwidth_gb_per_s)
    REAL(roofline.gemm_efficiency)
    REAL(roofline.memory_efficiency)
    REAL(roofline.attention_prefill_efficiency)
    REAL(roofline.attention_decode_efficiency)
    REAL(roofline.kernel_launch_us)
    REAL(roofline.attention_launch_us)
    REAL(roofline.elementwise_launch_us)
    REAL(v1.usable_memory_gib)
    REAL(v1.memory_bandwidth_gb_per_s)
    REAL(v1.peak_bf16_tflops)
    REAL(v1.peak_fp8_tflops)
    REAL(v1.peak_fp4_tflops)
    REAL(v1.activation_gib_tp1)
    REAL(v1.activation_gib)
    add_engine_roofline(sha, &spec->engine);
    TEXT(kernel_system)
}

void vidur_node_digest(struct vidur_sha256 *sha, const struct vidur_node_sku *spec)
{
    TEXT(name)
    TEXT(device)
    WHOLE(devices_per_node)
    WHOLE(pairwise)
    REAL(link_bandwidth_gb_per_s)
    REAL(link_efficiency)
    REAL(link_latency_us)
    REAL(fallback_bandwidth_gb_per_s)
    REAL(fallback_efficiency)
    REAL(inter_node_bandwidth_gb_per_s)
    REAL(inter_node_efficiency)
    REAL(inter_node_latency_us)
}
#include <vidur/model.h>
#include <vidur/sku.h>
