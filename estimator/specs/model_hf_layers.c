#include "specs/model_hf_parts.h"

#include <string.h>

enum { MAX_LAYERS = 4096, MAX_WIDTH = 1 << 24 };

/* ---- Attention ---- */

static int read_latent(struct hf_config *config, struct hf_plan *plan,
                       struct vidur_error *err)
{
    struct vidur_layer_kind *k = &plan->full;
    k->attention = VIDUR_ATTENTION_MLA;
    k->num_kv_heads = 1;
    const struct vidur_json_node rank = vidur_json_get(&config->text, "q_lora_rank");
    if (vidur_json_kind(&rank) == VIDUR_JSON_ABSENT && config->is_part)
        k->q_lora_rank = 1536;
    if (hf_read_int(config, "q_lora_rank", &k->q_lora_rank, err) ||
        hf_need_size(config, "kv_lora_rank", 512, &k->kv_lora_rank, err) ||
        hf_need_size(config, "qk_rope_head_dim", 64, &k->rope_head_dim, err) ||
        hf_need_size(config, "qk_nope_head_dim", 128, &k->nope_head_dim, err) ||
        hf_need_size(config, "v_head_dim", 128, &k->v_head_dim, err))
        return -1;
    if (hf_read_int(config, "index_topk", &k->index_tokens, err) ||
        hf_read_int(config, "index_head_dim", &k->index_head_dim, err))
        return -1;
    if (k->index_tokens > 0)
        hf_note(config,
                "sparse attention is approximate: decode reads %d tokens of "
                "the cache and all of the index",
                k->index_tokens);
    plan->indexers = vidur_json_get(&config->text, "indexer_types");
    return 0;
}

/* Keys and values of layers that see all may have heads of their own. */
static int read_global_heads(struct hf_config *config, struct hf_plan *plan,
                             struct vidur_error *err)
{
    bool shares = false;
    if (hf_read_size(config, "global_head_dim", config->family->global_head_dim,
                     &plan->full.head_dim, err) ||
        hf_read_flag(&config->text, "attention_k_eq_v", &shares, err))
        return -1;
    if (plan->full.head_dim == 0)
        plan->full.head_dim = plan->windowed.head_dim;
    if (!shares)
        return 0;
    hf_note(config, "keys and values of full attention share a projection, which is "
                    "counted twice");
    return hf_read_size(config, "num_global_key_value_heads",
                        plan->windowed.num_kv_heads, &plan->full.num_kv_heads, err);
}

static int read_heads(struct hf_config *config, struct hf_plan *plan,
                      struct vidur_error *err)
{
    const struct hf_family *family = config->family;
    struct vidur_layer_kind *k = &plan->full;
    if (hf_need_size(config, "num_attention_heads n_heads n_head", family->q_heads,
                     &k->num_q_heads, err))
        return -1;
    if (family->latent)
        return read_latent(config, plan, err);
    const struct vidur_json_node latent = vidur_json_get(&config->text, "kv_lora_rank");
    if (hf_is_there(&latent))
        return vidur_json_fail(&latent, err,
                               "latent attention of a model type that is not known");
    if (hf_read_size(config, "num_key_value_heads attn_config.kv_n_heads num_kv_heads",
                     family->kv_heads, &k->num_kv_heads, err) ||
        hf_read_size(config, "head_dim", family->head_dim, &k->head_dim, err))
        return -1;
    const int width = config->model->embedding_dim;
    if (k->num_kv_heads == 0)
        k->num_kv_heads = k->num_q_heads;
    if (k->head_dim == 0 && k->num_q_heads > 0 && width % k->num_q_heads == 0)
        k->head_dim = width / k->num_q_heads;
    plan->windowed = *k;
    return read_global_heads(config, plan, err);
}

/* "LLLG" or how often a layer sees all. */
static int read_pattern(struct hf_config *config, struct hf_plan *plan,
                        struct vidur_error *err)
{
    const struct vidur_json_node node =
        hf_find(&config->text, "sliding_window_pattern _sliding_window_pattern");
    plan->period = config->family->pattern;
    if (vidur_json_kind(&node) != VIDUR_JSON_STRING)
        return hf_read_size(config, "sliding_window_pattern _sliding_window_pattern",
                            plan->period, &plan->period, err);
    plan->pattern = vidur_json_as_string(&node, err);
    if (!plan->pattern[0] || strspn(plan->pattern, "LG") != strlen(plan->pattern))
        return vidur_json_fail(&node, err,
                               "\"%s\"; L (local) and G (global), as in \"LLLG\"",
                               plan->pattern);
    return 0;
}

static int read_windows(struct hf_config *config, struct hf_plan *plan,
                        struct vidur_error *err)
{
    const struct hf_family *family = config->family;
    const struct vidur_json_node window =
        vidur_json_get(&config->text, "sliding_window");
    int *tokens = &plan->windowed.window_tokens;
    bool requested = family->windows != HF_WINDOWS_ON_REQUEST;
    int chunk = 0;
    if (vidur_json_kind(&window) == VIDUR_JSON_ABSENT)
        *tokens = family->window;
    plan->layer_types = vidur_json_get(&config->text, "layer_types");
    if (hf_read_int(config, "sliding_window", tokens, err) ||
        hf_read_int(config, "attention_chunk_size", &chunk, err) ||
        hf_read_flag(&config->text, "use_sliding_window", &requested, err))
        return -1;
    if (chunk > 0)
        hf_note(config, "attention in chunks of %d tokens is read as attention to all",
                chunk);
    plan->has_windows = requested && *tokens > 0;
    if (family->windows == HF_WINDOWS_PATTERN) {
        if (read_pattern(config, plan, err))
            return -1;
        plan->has_windows &= plan->period > 0 || plan->pattern;
    }
    if (family->windows == HF_WINDOWS_ON_REQUEST) {
        plan->first_window = family->max_window_layers;
        return hf_read_int(config, "max_window_layers", &plan->first_window, err);
    }
    return 0;
}

/* ---- Feed-forward ---- */

static int read_shared(struct hf_config *config, struct hf_plan *plan,
                       struct vidur_error *err)
{
    static const char *const names =
        "n_shared_experts num_shared_experts moe_num_shared_experts";
    const struct hf_family *family = config->family;
    int count = family->num_shared;
    if (family->shared == HF_SHARED_ONE)
        plan->shared_dim = plan->expert_dim;
    if (family->shared == HF_SHARED_MLP)
        plan->shared_dim = plan->dense_dim;
    if (family->shared != HF_SHARED_BY_KEY)
        return 0;
    if (hf_read_int(config, names, &count, err))
        return -1;
    if (count < 0 || (plan->expert_dim > 0 && count > MAX_WIDTH / plan->expert_dim)) {
        const struct vidur_json_node node = hf_find(&config->text, names);
        return vidur_json_fail(&node, err, "%d; shared experts are few, or none",
                               count);
    }
    plan->shared_dim = count > 0 ? count * plan->expert_dim : family->shared_dim;
    return hf_read_int(config,
                       "shared_expert_intermediate_size shared_intermediate_size",
                       &plan->shared_dim, err);
}

/* Where experts are, of all the ways in which families say it. */
static int read_places(struct hf_config *config, struct hf_plan *plan,
                       struct vidur_error *err)
{
    const struct vidur_json_node *text = &config->text;
    plan->kinds = vidur_json_get(text, "mlp_layer_types");
    plan->sparse = vidur_json_get(text, "moe_layers");
    plan->mlp_only = vidur_json_get(text, "mlp_only_layers");
    plan->frequency = vidur_json_get(text, "moe_layer_freq");
    plan->first_sparse = config->family->first_dense;
    plan->last_sparse = -1;
    plan->step = 1;
    if (hf_read_int(config, "first_k_dense_replace moe_layer_start_index",
                    &plan->first_sparse, err) ||
        hf_read_int(config, "moe_layer_end_index", &plan->last_sparse, err))
        return -1;
    if (vidur_json_kind(&plan->frequency) == VIDUR_JSON_NUMBER)
        return hf_read_size(config, "moe_layer_freq", 1, &plan->step, err);
    plan->shift = 1;
    return hf_read_size(
        config, "decoder_sparse_step interleave_moe_layer_step moe_layer_interval", 1,
        &plan->step, err);
}

static int read_experts(struct hf_config *config, struct hf_plan *plan,
                        struct vidur_error *err)
{
    const struct hf_family *family = config->family;
    int by_default = family->expert_dim;
    if (by_default == 0 && hf_read_int(config, "intermediate_size", &by_default, err))
        return -1;
    if (by_default == 0 && config->is_part)
        by_default = family->mlp;
    plan->per_token = family->per_token;
    if (hf_read_int(config,
                    "num_experts_per_tok num_experts_per_token experts_per_token "
                    "moe_top_k moe_k top_k_experts moe_topk ffn_config.moe_top_k",
                    &plan->per_token, err) ||
        hf_read_size(config,
                     "moe_intermediate_size expert_intermediate_size "
                     "ffn_config.ffn_hidden_size",
                     by_default, &plan->expert_dim, err))
        return -1;
    if (plan->per_token == 0 &&
        hf_need_size(config, "num_experts_per_tok", 0, &plan->per_token, err))
        return -1;
    if (plan->expert_dim == 0 &&
        hf_need_size(config, "moe_intermediate_size", 0, &plan->expert_dim, err))
        return -1;
    return read_shared(config, plan, err) || read_places(config, plan, err) ? -1 : 0;
}

static int read_feed_forward(struct hf_config *config, struct hf_plan *plan,
                             struct vidur_error *err)
{
    static const char *const names = "intermediate_size_mlp dense_intermediate_size "
                                     "intermediate_size ffn_hidden_size n_inner";
    const struct hf_family *family = config->family;
    bool enabled = true;
    plan->experts = family->experts;
    if (hf_read_int(config,
                    "num_local_experts num_experts n_routed_experts moe_num_experts "
                    "ffn_config.moe_num_experts",
                    &plan->experts, err) ||
        hf_read_flag(&config->text, "enable_moe_block", &enabled, err))
        return -1;
    const int dense = family->dense_mlp ? family->dense_mlp : family->mlp;
    if (plan->experts <= 1 || !enabled) {
        plan->experts = 0;
        return hf_need_size(config, "intermediate_size ffn_hidden_size n_inner", dense,
                            &plan->dense_dim, err);
    }
    if (hf_read_size(config, names, config->is_part ? dense : 0, &plan->dense_dim, err))
        return -1;
    return read_experts(config, plan, err);
}

int hf_read_plan(struct hf_config *config, struct hf_plan *plan,
                 struct vidur_error *err)
{
    memset(plan, 0, sizeof *plan);
    return read_heads(config, plan, err) || read_windows(config, plan, err) ||
                   read_feed_forward(config, plan, err)
               ? -1
               : 0;
}

/* ---- Layer by layer ---- */

static bool is_list(const struct vidur_json_node *node)
{
    return vidur_json_kind(node) == VIDUR_JSON_ARRAY && vidur_json_count(node) > 0;
}

/* A list has an element for every layer. */
static int check_length(const struct hf_config *config,
                        const struct vidur_json_node *list, struct vidur_error *err)
{
    if (!is_list(list) || vidur_json_count(list) >= config->model->num_layers)
        return 0;
    return vidur_json_fail(list, err, "%d elements for %d layers",
                           vidur_json_count(list), config->model->num_layers);
}

/* Whether `words`, each with a space after it, have this one. */
static bool has_word(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = words; length > 0 && (at = strstr(at, word)); at += length)
        if (at[length] == ' ' && (at == words || at[-1] == ' '))
            return true;
    return false;
}

/* Whether the layer's word in a list is one of `yes`; it must be of these or `no`. */
static int read_choice(const struct vidur_json_node *list, int layer, const char *yes,
                       const char *no, struct vidur_error *err)
{
    const struct vidur_json_node item = vidur_json_item(list, layer);
    const char *word = vidur_json_as_string(&item, err);
    if (!word)
        return -1;
    if (has_word(yes, word))
        return 1;
    if (has_word(no, word))
        return 0;
    return vidur_json_fail(&item, err, "\"%s\": not built; these are: %s%s", word, no,
                           yes);
}

/* 1, 0, or -1 where it cannot be told. */
static int sees_window(const struct hf_plan *plan, int layer, struct vidur_error *err)
{
    if (is_list(&plan->layer_types)) {
        const int local = read_choice(
            &plan->layer_types, layer, "sliding_attention local_attention ",
            plan->full.index_tokens > 0
                ? "full_attention deepseek_sparse_attention "
                : "full_attention attention global_attention chunked_attention ",
            err);
        if (local == 1 && plan->windowed.window_tokens == 0)
            return vidur_json_fail(&plan->layer_types, err,
                                   "layer %d sees a window, but sliding_window is "
                                   "missing",
                                   layer);
        return local;
    }
    if (!plan->has_windows)
        return 0;
    if (plan->pattern)
        return plan->pattern[(size_t)layer % strlen(plan->pattern)] == 'L';
    if (plan->period > 0)
        return (layer + 1) % plan->period != 0;
    return layer >= plan->first_window;
}

static int list_has(const struct vidur_json_node *list, int layer,
                    struct vidur_error *err)
{
    for (int i = 0; i < vidur_json_count(list); i++) {
        const struct vidur_json_node item = vidur_json_item(list, i);
        int value;
        if (vidur_json_as_int(&item, &value, err))
            return -1;
        if (value == layer)
            return 1;
    }
    return 0;
}

/* 1, 0, or -1 where it cannot be told. */
static int has_experts(const struct hf_plan *plan, int layer, struct vidur_error *err)
{
    if (plan->experts == 0)
        return 0;
    if (is_list(&plan->kinds))
        return read_choice(&plan->kinds, layer, "sparse ", "dense ", err);
    if (is_list(&plan->sparse))
        return list_has(&plan->sparse, layer, err);
    if (is_list(&plan->frequency)) {
        const struct vidur_json_node item = vidur_json_item(&plan->frequency, layer);
        int value;
        return vidur_json_as_int(&item, &value, err) ? -1 : value != 0;
    }
    const int alone = list_has(&plan->mlp_only, layer, err);
    if (alone != 0)
        return alone < 0 ? -1 : 0;
    return layer >= plan->first_sparse &&
           (plan->last_sparse < 0 || layer <= plan->last_sparse) &&
           (layer + plan->shift) % plan->step == 0;
}

int hf_layer_of(const struct hf_config *config, const struct hf_plan *plan, int layer,
                struct vidur_layer_kind *kind, struct vidur_error *err)
{
    const int windowed = sees_window(plan, layer, err);
    const int sparse = windowed < 0 ? -1 : has_experts(plan, layer, err);
    if (sparse < 0)
        return -1;
    *kind = windowed ? plan->windowed : plan->full;
    if (is_list(&plan->indexers)) {
        const int shared = read_choice(&plan->indexers, layer, "shared ", "full ", err);
        if (shared < 0)
            return -1;
        if (shared)
            kind->index_head_dim = 0;
    }
    kind->mlp_hidden_dim = sparse ? plan->shared_dim : plan->dense_dim;
    if (sparse) {
        kind->num_experts = plan->experts;
        kind->experts_per_token = plan->per_token;
        kind->expert_hidden_dim = plan->expert_dim;
    } else if (plan->dense_dim == 0) {
        const struct vidur_json_node node =
            vidur_json_get(&config->text, "intermediate_size");
        return vidur_json_fail(&node, err, "missing; layer %d has no experts", layer);
    }
    return 0;
}

/* How many kinds, from the first, have all their layers before those of the others;
 * `last`: the last layer of each. */
static int count_leading(const struct vidur_model_spec *model, const int *last)
{
    int leading = 0, layers = 0;
    while (leading < model->num_kinds - 1) {
        layers += model->kinds[leading].count;
        if (last[leading] != layers - 1)
            break;
        leading++;
    }
    return leading;
}

int hf_lay_out(struct hf_config *config, const struct hf_plan *plan,
               struct vidur_error *err)
{
    struct vidur_model_spec *model = config->model;
    if (model->num_layers > MAX_LAYERS) {
        const struct vidur_json_node node =
            hf_find(&config->text, "num_hidden_layers n_layers n_layer");
        return vidur_json_fail(&node, err, "%d; at most %d are read", model->num_layers,
                               MAX_LAYERS);
    }
    const struct vidur_json_node *const lists[] = {&plan->layer_types, &plan->kinds,
                                                   &plan->frequency, &plan->indexers};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (check_length(config, lists[i], err))
            return -1;
    int last[VIDUR_MAX_LAYER_KINDS] = {0};
    model->num_kinds = 0;
    for (int layer = 0; layer < model->num_layers; layer++) {
        struct vidur_layer_kind kind;
        int i = 0;
        if (hf_layer_of(config, plan, layer, &kind, err))
            return -1;
        for (; i < model->num_kinds; i++) {
            kind.count = model->kinds[i].count;
            if (memcmp(&kind, &model->kinds[i], sizeof kind) == 0)
                break;
        }
        if (i == VIDUR_MAX_LAYER_KINDS)
            return vidur_json_fail(&config->text, err,
                                   "layers of more than %d kinds; that many are read",
                                   VIDUR_MAX_LAYER_KINDS);
        if (i == model->num_kinds) {
            model->kinds[model->num_kinds++] = kind;
            model->kinds[i].count = 0;
        }
        model->kinds[i].count++;
        last[i] = layer;
    }
    model->leading_kinds = count_leading(model, last);
    return 0;
}
