#include <vidur/shard.h>

#include <string.h>

enum { BF16_BYTES = 2 };

static int matrices(const struct vidur_model_spec *model)
{
    return model->use_gated_mlp ? 3 : 2;
}

/* Queries and keys through their low ranks; q_a and kv_a are on every device. */
static int64_t latent_attention_weights(const struct vidur_layer_kind *k, int64_t d,
                                        int64_t heads)
{
    const int64_t queries = (int64_t)k->nope_head_dim + k->rope_head_dim;
    const int64_t q = k->q_lora_rank > 0 ? k->q_lora_rank * (d + heads * queries)
                                         : d * heads * queries;
    const int64_t kv_a = d * (k->kv_lora_rank + k->rope_head_dim);
    const int64_t kv_b = heads * k->kv_lora_rank * (k->nope_head_dim + k->v_head_dim);
    return q + kv_a + kv_b + heads * k->v_head_dim * d;
}

static void set_attention(struct vidur_shard_layers *l, int64_t d, int tp,
                          enum vidur_dtype kv_cache)
{
    const struct vidur_layer_kind *k = &l->kind;
    l->q_heads = k->num_q_heads / tp;
    if (k->attention == VIDUR_ATTENTION_MLA) {
        l->kv_heads = 1;
        l->attention_weights = latent_attention_weights(k, d, l->q_heads);
        l->kv_bytes_per_token =
            vidur_dtype_bytes(kv_cache) * (k->kv_lora_rank + k->rope_head_dim) +
            k->index_head_dim;
        return;
    }
    l->kv_heads = (k->num_kv_heads + tp - 1) / tp;
    const int64_t per_head = d * k->head_dim;
    l->attention_weights =
        per_head * (l->q_heads + 2 * l->kv_heads) + per_head * l->q_heads;
    l->kv_bytes_per_token = vidur_dtype_bytes(kv_cache) * 2 * k->head_dim * l->kv_heads;
}

int vidur_cut_ranks(const struct vidur_cut *cut)
{
    return cut->data > 1 ? cut->data : 1;
}

int vidur_cut_expert_devices(const struct vidur_cut *cut)
{
    return vidur_cut_ranks(cut) * cut->tensor;
}

int vidur_cut_devices(const struct vidur_cut *cut)
{
    return vidur_cut_expert_devices(cut) * cut->pipeline;
}

void vidur_shard_of(struct vidur_shard *shard, const struct vidur_model_spec *model,
                    const struct vidur_cut *cut)
{
    *shard = (struct vidur_shard){.cut = *cut,
                                  .precision = model->precision,
                                  .embedding_dim = model->embedding_dim,
                                  .vocab_size = model->vocab_size,
                                  .use_gated_mlp = model->use_gated_mlp,
                                  .post_attn_norm = model->post_attn_norm,
                                  .tie_word_embeddings = model->tie_word_embeddings,
                                  .qk_norm_all_heads = model->qk_norm_all_heads,
                                  .num_kinds = model->num_kinds};
    const int64_t d = model->embedding_dim, tp = cut->tensor;
    const int shared_by = vidur_cut_expert_devices(cut);
    for (int i = 0; i < model->num_kinds; i++) {
        struct vidur_shard_layers *l = &shard->layers[i];
        l->kind = model->kinds[i];
        l->count = (double)l->kind.count / cut->pipeline;
        set_attention(l, d, cut->tensor, model->precision.kv_cache);
        l->mlp_dim = (double)l->kind.mlp_hidden_dim / (double)tp;
        l->mlp_weights = matrices(model) * (d * l->kind.mlp_hidden_dim) / tp;
        l->moe_tensor = cut->expert ? 1 : shared_by;
        l->moe_expert = cut->expert ? shared_by : 1;
        l->router_weights = d * l->kind.num_experts;
        l->expert_weights = matrices(model) * d * l->kind.expert_hidden_dim *
                            l->kind.num_experts / shared_by;
    }
}

/* ---- What a cut must divide ---- */

static int check_query_heads(const struct vidur_model_spec *model, int tp,
                             struct vidur_error *err)
{
    for (int i = 0; i < model->num_kinds; i++)
        if (model->kinds[i].num_q_heads % tp)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%d does not divide %d "
                              "query heads of %s",
                              tp, model->kinds[i].num_q_heads, model->name);
    return 0;
}

static int check_kv_heads(const struct vidur_model_spec *model,
                          const struct vidur_layer_kind *k, int tp,
                          struct vidur_error *err)
{
    if (k->attention == VIDUR_ATTENTION_GQA && k->num_kv_heads % tp &&
        tp % k->num_kv_heads)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d neither divides the %d KV "
                          "heads of %s nor is a multiple of them; engines refuse it",
                          tp, k->num_kv_heads, model->name);
    return 0;
}

/* Weights that share a scale, which engines do not cut: 0: any part will do. Those of
 * mxfp4 are filled up. */
static int block_of(enum vidur_dtype dtype)
{
    static const int blocks[VIDUR_NUM_DTYPES] = {[VIDUR_DTYPE_fp8_block] = 128,
                                                 [VIDUR_DTYPE_int4] = 128,
                                                 [VIDUR_DTYPE_nvfp4] = 16};
    return blocks[dtype];
}

/* Columns that TP cuts. */
struct width {
    const char *what;
    enum vidur_dtype dtype;
    int columns;
};

/* A device's part of a width must hold whole blocks. */
static int check_blocks(const struct vidur_model_spec *model, const struct width *width,
                        int tp, struct vidur_error *err)
{
    const int block = block_of(width->dtype);
    if (block == 0 || width->columns % (tp * block) == 0)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%d leaves %g of the %d columns of %s's %s "
                      "to a device; %s weights need a multiple of %d",
                      tp, (double)width->columns / tp, width->columns, model->name,
                      width->what, vidur_dtype_name(width->dtype), block);
}

/* Projections go to devices by heads; blocks of 128 x 128 bind the rows of keys and
 * values, too. */
static int check_attention(const struct vidur_model_spec *model,
                           const struct vidur_layer_kind *k, int tp,
                           struct vidur_error *err)
{
    const enum vidur_dtype dtype = model->precision.attention;
    const bool mla = k->attention == VIDUR_ATTENTION_MLA;
    const struct width heads = {"query heads", dtype,
                                k->num_q_heads * (mla ? k->v_head_dim : k->head_dim)};
    const struct width kv = {"KV heads", dtype, k->num_kv_heads * k->head_dim};
    if (check_blocks(model, &heads, tp, err))
        return -1;
    return dtype == VIDUR_DTYPE_fp8_block && !mla
               ? check_blocks(model, &kv, tp < k->num_kv_heads ? tp : k->num_kv_heads,
                              err)
               : 0;
}

static int check_feed_forward(const struct vidur_model_spec *model,
                              const struct vidur_layer_kind *k,
                              const struct vidur_cut *cut, struct vidur_error *err)
{
    const int shared_by = vidur_cut_expert_devices(cut);
    if (k->num_experts > 0 && cut->expert && k->num_experts % shared_by)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%d devices do not divide the %d experts (expert_parallel) of "
            "%s",
            shared_by, k->num_experts, model->name);
    if (k->num_experts > 0 && !cut->expert && k->expert_hidden_dim % shared_by)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d does not divide the %d columns of "
                          "%s's experts; expert_parallel: true keeps experts whole",
                          shared_by, k->expert_hidden_dim, model->name);
    const struct width experts = {"experts", model->precision.experts,
                                  k->expert_hidden_dim};
    const struct width mlp = {"MLP", model->precision.weights, k->mlp_hidden_dim};
    if (k->num_experts > 0 && !cut->expert &&
        check_blocks(model, &experts, shared_by, err))
        return -1;
    return k->mlp_hidden_dim > 0 ? check_blocks(model, &mlp, cut->tensor, err) : 0;
}

int vidur_shard_check(const struct vidur_model_spec *model, const struct vidur_cut *cut,
                      bool as_engines, struct vidur_error *err)
{
    bool has_experts = false;
    if (check_query_heads(model, cut->tensor, err))
        return -1;
    if (model->embedding_dim % cut->tensor)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d does not divide the "
                          "embedding dimension %d of %s",
                          cut->tensor, model->embedding_dim, model->name);
    for (int i = 0; i < model->num_kinds; i++) {
        const struct vidur_layer_kind *k = &model->kinds[i];
        if ((as_engines && check_kv_heads(model, k, cut->tensor, err)) ||
            check_attention(model, k, cut->tensor, err) ||
            check_feed_forward(model, k, cut, err))
            return -1;
        has_experts |= k->num_experts > 0;
    }
    if (cut->expert && !has_experts)
        return vidur_fail(err, VIDUR_EINVAL, "%s has no experts for expert_parallel",
                          model->name);
    return 0;
}

/* ---- Sums ---- */

double vidur_shard_layer_bytes(const struct vidur_shard *shard)
{
    const struct vidur_precision *p = &shard->precision;
    double bytes = 0;
    for (int i = 0; i < shard->num_kinds; i++) {
        const struct vidur_shard_layers *l = &shard->layers[i];
        bytes +=
            l->count * (vidur_dtype_bytes(p->attention) * (double)l->attention_weights +
                        vidur_dtype_bytes(p->weights) * (double)l->mlp_weights +
                        vidur_dtype_bytes(p->experts) * (double)l->expert_weights +
                        BF16_BYTES * (double)l->router_weights);
    }
    return bytes;
}

double vidur_shard_embedding_bytes(const struct vidur_shard *shard)
{
    return (double)BF16_BYTES * shard->vocab_size * shard->embedding_dim /
           shard->cut.tensor;
}

double vidur_shard_kv_bytes_per_token(const struct vidur_shard *shard)
{
    double bytes = 0;
    for (int i = 0; i < shard->num_kinds; i++)
        bytes += shard->layers[i].kv_bytes_per_token * shard->layers[i].count;
    return bytes;
}

/* Values that attention multiplies for a pair of query and key, twice: of a key and of
 * a value. */
static double pair_dim(const struct vidur_layer_kind *k)
{
    return k->attention == VIDUR_ATTENTION_MLA
               ? (k->nope_head_dim + k->rope_head_dim + k->v_head_dim) / 2.0
               : k->head_dim;
}

double vidur_shard_flops(const struct vidur_shard *shard,
                         const struct vidur_relative_peaks *peaks, int64_t tokens,
                         int64_t pairs)
{
    const struct vidur_precision *p = &shard->precision;
    /* experts meet the tokens of all ranks */
    const double ranks = vidur_cut_ranks(&shard->cut);
    double flops = 0;
    for (int i = 0; i < shard->num_kinds; i++) {
        const struct vidur_shard_layers *l = &shard->layers[i];
        const struct vidur_layer_kind *k = &l->kind;
        double params =
            (double)l->attention_weights / peaks->of[vidur_dtype_peak(p->attention)] +
            (double)l->mlp_weights / peaks->of[vidur_dtype_peak(p->weights)];
        if (k->num_experts > 0)
            params += (double)l->router_weights +
                      ranks * (double)l->expert_weights * k->experts_per_token /
                          k->num_experts / peaks->of[vidur_dtype_peak(p->experts)];
        const int64_t seen = tokens * k->window_tokens;
        const int64_t counted = k->window_tokens > 0 && seen < pairs ? seen : pairs;
        flops += 2 * (double)tokens * (l->count * params) +
                 4 * l->count * l->q_heads * pair_dim(k) * (double)counted;
    }
    return flops;
}
