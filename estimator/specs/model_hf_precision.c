#include "specs/model_hf_modules.h"
#include "specs/model_hf_parts.h"

#include <stdio.h>
#include <string.h>

/* From the formats of a checkpoint's modules to those of a model's parts. */

enum { MAX_SPELLINGS = 4, NAME_SIZE = 128 };

enum part { ATTENTION, MLP, EXPERTS, NUM_PARTS };

/* Weights of each part in each format. */
struct census {
    const struct hf_formats *formats;
    double weights[NUM_PARTS][VIDUR_NUM_DTYPES];
};

/* A module of a layer is counted under what it may be called. */
static enum vidur_dtype format_of(const struct hf_formats *f, enum part part,
                                  char names[MAX_SPELLINGS][NAME_SIZE], int count)
{
    if (f->experts_alone && part != EXPERTS)
        return VIDUR_DTYPE_bf16;
    for (int i = 0; i < count; i++)
        if (hf_patterns_cover(&f->ignored, names[i]))
            return VIDUR_DTYPE_bf16;
    for (int all = 0; all < 2; all++)
        for (int r = 0; r < f->num_rules; r++)
            for (int i = 0; i < count; i++)
                if (f->rules[r].all == (all == 1) &&
                    (all || hf_patterns_cover(&f->rules[r].modules, names[i])))
                    return f->rules[r].dtype;
    return VIDUR_DTYPE_bf16;
}

/* Modules of a part of a layer. */
struct place {
    enum part part;
    int layer;
    const char *in; /* where they may lie in the layer, each with a space after it */
};

static void count_module(struct census *c, const struct place *place,
                         const char *module, double weights)
{
    char names[MAX_SPELLINGS][NAME_SIZE];
    const char *in = place->in;
    int count = 0;
    for (; *in && count < MAX_SPELLINGS; count++) {
        const size_t n = strcspn(in, " ");
        snprintf(names[count], NAME_SIZE, "layers.%d.%.*s.%s", place->layer, (int)n, in,
                 module);
        in += n + 1;
    }
    c->weights[place->part][format_of(c->formats, place->part, names, count)] +=
        weights;
}

static void count_attention(struct census *c, int layer, double d,
                            const struct vidur_layer_kind *k)
{
    const double heads = k->num_q_heads;
    const double queries = heads * (k->nope_head_dim + k->rope_head_dim);
    const struct {
        const char *module;
        double weights;
    } latent[] = {{"q_a_proj", d * k->q_lora_rank},
                  {"q_b_proj", k->q_lora_rank * queries},
                  {"q_proj", k->q_lora_rank > 0 ? 0 : d * queries},
                  {"kv_a_proj_with_mqa", d * (k->kv_lora_rank + k->rope_head_dim)},
                  {"kv_b_proj",
                   heads * k->kv_lora_rank * (k->nope_head_dim + k->v_head_dim)},
                  {"o_proj", heads * k->v_head_dim * d}},
      grouped[] = {{"q_proj", d * heads * k->head_dim},
                   {"k_proj", d * k->num_kv_heads * k->head_dim},
                   {"v_proj", d * k->num_kv_heads * k->head_dim},
                   {"o_proj", d * heads * k->head_dim}};
    const struct place place = {ATTENTION, layer, "self_attn attn "};
    const bool mla = k->attention == VIDUR_ATTENTION_MLA;
    const size_t count =
        mla ? sizeof latent / sizeof latent[0] : sizeof grouped / sizeof grouped[0];
    for (size_t i = 0; i < count; i++)
        count_module(c, &place, mla ? latent[i].module : grouped[i].module,
                     mla ? latent[i].weights : grouped[i].weights);
}

static void count_mlp(struct census *c, const struct place *place, double weights)
{
    static const char *const modules[] = {"gate_proj", "up_proj", "down_proj"};
    for (int i = 0; i < 3; i++)
        count_module(c, place, modules[i], weights);
}

static int take_census(struct census *c, const struct hf_config *config,
                       const struct hf_plan *plan, struct vidur_error *err)
{
    const double d = config->model->embedding_dim;
    const bool beside = config->family->shared == HF_SHARED_MLP;
    for (int layer = 0; layer < config->model->num_layers; layer++) {
        struct vidur_layer_kind k;
        if (hf_layer_of(config, plan, layer, &k, err))
            return -1;
        const struct place
            mlp = {MLP, layer,
                   k.num_experts == 0 || beside
                       ? "mlp feed_forward "
                       : "mlp.shared_experts mlp.shared_expert "
                         "feed_forward.shared_expert block_sparse_moe.shared_experts "},
            experts = {EXPERTS, layer,
                       beside ? "experts.0 moe.experts.0 "
                              : "mlp.experts.0 block_sparse_moe.experts.0 "
                                "feed_forward.experts "};
        count_attention(c, layer, d, &k);
        if (k.mlp_hidden_dim > 0)
            count_mlp(c, &mlp, d * k.mlp_hidden_dim);
        if (k.num_experts > 0)
            count_mlp(c, &experts, d * k.num_experts * k.expert_hidden_dim);
    }
    return 0;
}

/* The format of most of a part's weights; false where it has none. */
static bool settle(struct hf_config *config, const struct census *c, enum part part,
                   enum vidur_dtype *out)
{
    static const char *const names[] = {"attention", "MLPs", "experts"};
    int most = 0, other = -1;
    double total = 0;
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
        total += c->weights[part][i];
        if (c->weights[part][i] > c->weights[part][most])
            most = i;
    }
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++)
        if (i != most && c->weights[part][i] > 0)
            other = i;
    if (total <= 0)
        return false;
    if (other >= 0)
        hf_note(config, "%s: %s and %s, counted as %s", names[part],
                vidur_dtype_name((enum vidur_dtype)most),
                vidur_dtype_name((enum vidur_dtype)other),
                vidur_dtype_name((enum vidur_dtype)most));
    *out = (enum vidur_dtype)most;
    return true;
}

static int apply(struct hf_config *config, const struct hf_plan *plan,
                 const struct hf_formats *f, struct vidur_error *err)
{
    struct vidur_precision *p = &config->model->precision;
    struct census census = {.formats = f};
    if (take_census(&census, config, plan, err))
        return -1;
    settle(config, &census, ATTENTION, &p->attention);
    if (!settle(config, &census, MLP, &p->weights))
        p->weights = p->attention;
    if (!settle(config, &census, EXPERTS, &p->experts))
        p->experts = p->weights;
    p->kv_cache = f->kv_cache;
    return 0;
}

/* The object of what lies beside a configuration; fails where it has none. */
static int find_beside(const struct vidur_json_node *beside,
                       struct vidur_json_node *out, struct vidur_error *err)
{
    const struct vidur_json_node flat = vidur_json_get(beside, "quant_algo");
    *out = vidur_json_get(beside, "quantization");
    if (hf_is_there(&flat))
        *out = *beside;
    else if (vidur_json_kind(out) != VIDUR_JSON_OBJECT)
        return vidur_json_fail(out, err, "missing; it says how the weights are kept");
    return 0;
}

int hf_read_precision(struct hf_config *config, const struct hf_plan *plan,
                      const struct vidur_json_node *beside, struct vidur_error *err)
{
    static const char *const names = "quantization_config compression_config";
    struct vidur_json_node q = hf_find(&config->top, names), other = config->top;
    struct hf_formats f = {.kv_cache = VIDUR_DTYPE_bf16};
    if (!hf_is_there(&q))
        q = hf_find(&config->text, names);
    if (beside && find_beside(beside, &other, err))
        return -1;
    if (!hf_is_there(&q) && !beside) {
        config->model->precision = vidur_precision_of(VIDUR_DTYPE_bf16);
        return 0;
    }
    if (!hf_is_there(&q))
        q = other;
    int status = hf_read_formats(config, &q, &f, err);
    if (status == 0 && beside)
        status = hf_read_kv_cache(&other, &f.kv_cache, err);
    if (status == 0)
        status = hf_read_kv_cache(&q, &f.kv_cache, err);
    if (status == 0)
        status = apply(config, plan, &f, err);
    hf_formats_free(&f);
    return status;
}
