#ifndef VIDUR_SHARD_H
#define VIDUR_SHARD_H

#include <vidur/model.h>
#include <vidur/sku.h>

#include <stdint.h>

/*
 * What one device holds of a model, derived once from the model and how it is cut: the
 * one place that knows how heads, widths and experts are divided. Memory plans,
 * operator times, FLOPs and keys follow from it. Plain data; pure functions. Source:
 * SIMULATOR.md section 3, ENGINE.md section 5.
 */

/* How a replica is cut over devices. */
struct vidur_cut {
    int tensor;   /* TP: heads and widths */
    int pipeline; /* PP: layers */
    bool
        expert; /* experts go whole to the devices that share them; else cut by width */
    /* DP: ranks that have requests of their own and all of attention, dense layers and
     * head, each cut over TP; the experts are shared by all DP * TP devices. 0: 1 */
    int data;
};

/* Devices of a replica; ranks of it; devices that share a layer's experts. */
int vidur_cut_ranks(const struct vidur_cut *cut);
int vidur_cut_devices(const struct vidur_cut *cut);
int vidur_cut_expert_devices(const struct vidur_cut *cut);

/* Of the layers of one kind. */
struct vidur_shard_layers {
    struct vidur_layer_kind kind; /* of the whole model */
    double count;                 /* of such layers in a stage, on average */
    int q_heads, kv_heads;        /* of this device: at least one KV head */
    double mlp_dim;               /* of this device */
    int moe_tensor, moe_expert;   /* the experts' own cut: width and number */
    /* weights (numbers, not bytes) of a layer on this device */
    int64_t attention_weights, mlp_weights, expert_weights, router_weights;
    double kv_bytes_per_token; /* of a layer on this device, index included */
};

struct vidur_shard {
    struct vidur_cut cut;
    struct vidur_precision precision;
    int embedding_dim, vocab_size;
    bool use_gated_mlp, post_attn_norm, tie_word_embeddings, qk_norm_all_heads;
    int num_kinds;
    struct vidur_shard_layers layers[VIDUR_MAX_LAYER_KINDS];
};

/* The cut must divide what it cuts: see vidur_shard_check. */
void vidur_shard_of(struct vidur_shard *shard, const struct vidur_model_spec *model,
                    const struct vidur_cut *cut);

/* What a cut must divide: query heads and the embedding over TP, experts or their
 * widths over the devices that share them, the blocks of weights that share a scale
 * (fp8_block and int4: 128, nvfp4: 16); `as_engines`: KV heads, too, or be a multiple
 * of them (else they are rounded up). Each refusal says its reason. */
int vidur_shard_check(const struct vidur_model_spec *model, const struct vidur_cut *cut,
                      bool as_engines, struct vidur_error *err);

/* ---- Stages as engines deal them ---- */

enum { VIDUR_MAX_STAGES = 64, VIDUR_MAX_STAGE_KINDS = 8 };

/* A stage's layers: as many as others have, or one more where the stages do not divide
 * them, which the last stages before the very last get; kinds of layers that do not
 * lead take turns as evenly as their numbers allow. The first stage embeds, the last
 * has the head. */
struct vidur_stage_part {
    bool first, last;
    int num_layers;
    int layers[VIDUR_MAX_LAYER_KINDS]; /* of each kind */
};

/* Stages are counted from 0. */
void vidur_stage_of(struct vidur_stage_part *part, const struct vidur_model_spec *model,
                    int stages, int stage);

/* As vidur_shard_of, with the layers of this stage of the cut's pipeline. */
void vidur_shard_of_stage(struct vidur_shard *shard,
                          const struct vidur_model_spec *model,
                          const struct vidur_cut *cut, int stage);

/* All weights of such a shard: its layers, the first stage's embedding, the last one's
 * head, which a tied model's only stage shares with its embedding. */
double vidur_shard_stage_bytes(const struct vidur_shard *shard, int stage);

/* What a stage's output goes over to the next one, the slower the later; devices of a
 * replica are numbered stage by stage and fill nodes in this order. */
enum vidur_stage_link {
    VIDUR_LINK_NONE, /* it is the last */
    VIDUR_LINK_FAST,
    VIDUR_LINK_FALLBACK, /* between the pairs of a pairwise node */
    VIDUR_LINK_NODES
};
enum vidur_stage_link vidur_stage_link_of(const struct vidur_node_sku *node,
                                          const struct vidur_cut *cut, int stage);

/* Stages that are alike, in layers and link, are of one kind and take the same time.
 * Kind 0 is the first stage alone, kind 1 the last, which is the whole model where
 * there is no pipeline; the others are of the stages between. */
struct vidur_stage_kinds {
    int num_stages, num_kinds;
    int kind_of[VIDUR_MAX_STAGES];       /* [stage] */
    int stage_of[VIDUR_MAX_STAGE_KINDS]; /* [kind] one of its stages */
};
/* Fails where there are fewer layers than stages, or too many stages or kinds. */
int vidur_stage_kinds_of(struct vidur_stage_kinds *out,
                         const struct vidur_model_spec *model,
                         const struct vidur_node_sku *node, const struct vidur_cut *cut,
                         struct vidur_error *err);

/* ---- Sums ---- */

/* Bytes of a stage's decoder layers, and of an embedding or an output head (bf16). */
double vidur_shard_layer_bytes(const struct vidur_shard *shard);
double vidur_shard_embedding_bytes(const struct vidur_shard *shard);

/* Of a token over a stage's layers. */
double vidur_shard_kv_bytes_per_token(const struct vidur_shard *shard);

/* FLOPs of a stage's layers for `tokens` tokens with `pairs` pairs of query and key
 * (with ranks in data parallel: of each rank, all alike), each counted by what it costs
 * where bf16 costs 1: as a share of the bf16 peak that is the device's utilisation.
 * Windows cap the pairs at tokens times window. */
double vidur_shard_flops(const struct vidur_shard *shard,
                         const struct vidur_relative_peaks *peaks, int64_t tokens,
                         int64_t pairs);

#endif
