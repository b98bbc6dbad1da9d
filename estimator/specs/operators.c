#include "specs/operators.h"

#include <math.h>
#include <string.h>

typedef const struct vidur_shard shard;
typedef const struct vidur_shard_layers layers;

/* ---- Where operators run ---- */

static int once(shard *s, layers *l)
{
    (void)s, (void)l;
    return 1;
}

static int twice(shard *s, layers *l)
{
    (void)s, (void)l;
    return 2;
}

/* Latent attention is timed with its projections. */
static int if_gqa(shard *s, layers *l)
{
    (void)s;
    return l->kind.attention == VIDUR_ATTENTION_GQA;
}

static int if_mlp(shard *s, layers *l)
{
    (void)s;
    return l->kind.mlp_hidden_dim > 0;
}

static int if_experts(shard *s, layers *l)
{
    (void)s;
    return l->kind.num_experts > 0;
}

/* Behind attention and behind the feed-forward. */
static int twice_if_parallel(shard *s, layers *l)
{
    (void)l;
    return s->cut.tensor > 1 ? 2 : 0;
}

static int if_norm_over_all_heads(shard *s, layers *l)
{
    return s->cut.tensor > 1 && s->qk_norm_all_heads && if_gqa(s, l);
}

/* Ranks bring their tokens to the experts, and their sums back. */
static int if_gathered(shard *s, layers *l)
{
    return vidur_cut_ranks(&s->cut) > 1 && if_experts(s, l);
}

/* ---- What they do ---- */

static void gemm(struct vidur_work *work, enum vidur_dtype dtype, double n, double k)
{
    *work = (struct vidur_work){.law = VIDUR_LAW_GEMM, .dtype = dtype, .n = n, .k = k};
}

static void traffic(struct vidur_work *work, double fixed_bytes, double token_bytes)
{
    *work = (struct vidur_work){
        .law = VIDUR_LAW_BYTES, .fixed_bytes = fixed_bytes, .token_bytes = token_bytes};
}

static double qkv_dim(layers *l)
{
    return (l->q_heads + 2.0 * l->kv_heads) * l->kind.head_dim;
}

static void qkv(shard *s, layers *l, struct vidur_work *work)
{
    gemm(work, s->precision.attention, qkv_dim(l), s->embedding_dim);
}

static void out(shard *s, layers *l, struct vidur_work *work)
{
    gemm(work, s->precision.attention, s->embedding_dim,
         (double)l->q_heads * l->kind.head_dim);
}

static void rotary(shard *s, layers *l, struct vidur_work *work)
{
    (void)s;
    traffic(work, 0, 4 * qkv_dim(l));
}

static void gate_up(shard *s, layers *l, struct vidur_work *work)
{
    gemm(work, s->precision.weights, (s->use_gated_mlp ? 2 : 1) * l->mlp_dim,
         s->embedding_dim);
}

static void down(shard *s, layers *l, struct vidur_work *work)
{
    gemm(work, s->precision.weights, s->embedding_dim, l->mlp_dim);
}

static void activation(shard *s, layers *l, struct vidur_work *work)
{
    (void)s;
    traffic(work, 0, 6 * l->mlp_dim);
}

static void router(shard *s, layers *l, struct vidur_work *work)
{
    const double d = s->embedding_dim, experts = l->kind.num_experts;
    traffic(work, 2 * experts * d, 2 * d + 2 * experts);
}

static void experts(shard *s, layers *l, struct vidur_work *work)
{
    *work = (struct vidur_work){.law = VIDUR_LAW_EXPERTS,
                                .dtype = s->precision.experts,
                                .hidden_dim = s->embedding_dim,
                                .expert_dim = l->kind.expert_hidden_dim,
                                .experts_per_token = l->kind.experts_per_token,
                                .num_experts = l->kind.num_experts,
                                .moe_tensor = l->moe_tensor,
                                .moe_expert = l->moe_expert,
                                .matrices = s->use_gated_mlp ? 3 : 2};
}

static void all_gather(shard *s, layers *l, struct vidur_work *work)
{
    (void)l;
    traffic(work, 0, 2.0 * s->embedding_dim);
    work->law = VIDUR_LAW_ALL_GATHER;
}

static void reduce_scatter(shard *s, layers *l, struct vidur_work *work)
{
    (void)l;
    traffic(work, 0, 2.0 * s->embedding_dim);
    work->law = VIDUR_LAW_REDUCE_SCATTER;
}

static void add_norm(shard *s, layers *l, struct vidur_work *work)
{
    (void)l;
    traffic(work, 0, 8.0 * s->embedding_dim);
}

static void embedding(shard *s, layers *l, struct vidur_work *work)
{
    (void)l;
    traffic(work, 0, 4.0 * s->embedding_dim);
}

static void all_reduce(shard *s, layers *l, struct vidur_work *work)
{
    traffic(work, 0, 2.0 * s->embedding_dim);
    (void)l;
    work->law = VIDUR_LAW_ALL_REDUCE;
}

/* The sums of squares of a token's queries and keys. */
static void qk_all_reduce(shard *s, layers *l, struct vidur_work *work)
{
    (void)s, (void)l;
    traffic(work, 0, 4);
    work->law = VIDUR_LAW_ALL_REDUCE;
}

/* What the layers hand on. */
static void send_recv(shard *s, layers *l, struct vidur_work *work)
{
    (void)l;
    traffic(work, 0, 2.0 * s->embedding_dim);
    work->law = VIDUR_LAW_SEND;
}

static void head(shard *s, layers *l, struct vidur_work *work)
{
    (void)l;
    const int words = s->vocab_size / s->cut.tensor; /* whole ones */
    gemm(work, VIDUR_DTYPE_bf16, words, s->embedding_dim);
}

/* ---- The catalogue ---- */

#define IN(table) {VIDUR_OP_##table}, 1
#define NONE      {0}, 0 /* not in layers */

static const struct vidur_operator operators[] = {
    {"qkv", VIDUR_PART_gemm, VIDUR_PLACE_LAYER, if_gqa, qkv, IN(attn_pre_proj)},
    {"out", VIDUR_PART_gemm, VIDUR_PLACE_LAYER, if_gqa, out, IN(attn_post_proj)},
    {"gate_up", VIDUR_PART_gemm, VIDUR_PLACE_LAYER, if_mlp, gate_up, IN(mlp_up_proj)},
    {"down", VIDUR_PART_gemm, VIDUR_PLACE_LAYER, if_mlp, down, IN(mlp_down_proj)},
    {"router", VIDUR_PART_experts, VIDUR_PLACE_LAYER, if_experts, router,
     IN(mlp_experts)},
    {"all_gather", VIDUR_PART_communication, VIDUR_PLACE_GATHERED, if_gathered,
     all_gather, IN(all_reduce)},
    {"experts", VIDUR_PART_experts, VIDUR_PLACE_GATHERED, if_experts, experts,
     IN(mlp_experts)},
    {"reduce_scatter", VIDUR_PART_communication, VIDUR_PLACE_GATHERED, if_gathered,
     reduce_scatter, IN(all_reduce)},
    {"add_norm",
     VIDUR_PART_small,
     VIDUR_PLACE_LAYER,
     twice,
     add_norm,
     {VIDUR_OP_input_layernorm, VIDUR_OP_post_attention_layernorm},
     2},
    {"activation", VIDUR_PART_small, VIDUR_PLACE_LAYER, if_mlp, activation,
     IN(mlp_act)},
    {"rotary", VIDUR_PART_small, VIDUR_PLACE_LAYER, if_gqa, rotary, IN(attn_rope)},
    {"embedding", VIDUR_PART_small, VIDUR_PLACE_FIRST, once, embedding, NONE},
    {"all_reduce", VIDUR_PART_communication, VIDUR_PLACE_LAYER, twice_if_parallel,
     all_reduce, IN(all_reduce)},
    {"qk_all_reduce", VIDUR_PART_communication, VIDUR_PLACE_LAYER,
     if_norm_over_all_heads, qk_all_reduce, IN(all_reduce)},
    {"send_recv", VIDUR_PART_communication, VIDUR_PLACE_BEHIND, once, send_recv, NONE},
    {"head", VIDUR_PART_head, VIDUR_PLACE_LAST, once, head, NONE},
};

#undef IN
#undef NONE

enum { NUM_OPERATORS = sizeof operators / sizeof operators[0] };

_Static_assert((int)NUM_OPERATORS <= (int)VIDUR_MAX_OPERATORS,
               "raise VIDUR_MAX_OPERATORS");

const struct vidur_operator *vidur_operator_at(int index)
{
    return index >= 0 && index < NUM_OPERATORS ? &operators[index] : NULL;
}

const struct vidur_operator *vidur_operator_find(const char *name)
{
    for (int i = 0; i < NUM_OPERATORS; i++)
        if (strcmp(operators[i].name, name) == 0)
            return &operators[i];
    return NULL;
}

/* ---- Work ---- */

bool vidur_work_is_message(const struct vidur_work *work)
{
    return work->law == VIDUR_LAW_ALL_REDUCE || work->law == VIDUR_LAW_ALL_GATHER ||
           work->law == VIDUR_LAW_REDUCE_SCATTER;
}

/* Weights of one expert on a device. */
static double expert_weights(const struct vidur_work *w)
{
    return (double)w->matrices * w->hidden_dim * w->expert_dim / w->moe_tensor;
}

/* Pairs of a token and an expert of this device. */
static double routed(const struct vidur_work *w, double tokens)
{
    return tokens * w->experts_per_token / w->moe_expert;
}

double vidur_work_touched_experts(const struct vidur_work *w, double tokens)
{
    const double share = (double)w->experts_per_token / w->num_experts;
    return (double)w->num_experts / w->moe_expert * (1 - pow(1 - share, tokens));
}

double vidur_work_flops(const struct vidur_work *w, double tokens)
{
    if (w->law == VIDUR_LAW_GEMM)
        return 2 * tokens * w->n * w->k;
    if (w->law == VIDUR_LAW_EXPERTS)
        return 2 * routed(w, tokens) * expert_weights(w);
    return 0;
}

double vidur_work_bytes(const struct vidur_work *w, double tokens)
{
    const double weight = vidur_dtype_bytes(w->dtype);
    switch (w->law) {
    case VIDUR_LAW_GEMM:
        return weight * w->n * w->k + 2 * tokens * w->n +
               fmin(2, 2 * weight) * tokens * w->k;
    case VIDUR_LAW_EXPERTS:
        return vidur_work_touched_experts(w, tokens) * expert_weights(w) * weight;
    default:
        return w->fixed_bytes + tokens * w->token_bytes;
    }
}
