#include <vidur/shard.h>

#include <string.h>

/* How engines deal a model's layers to the stages of a pipeline. Source: ENGINE.md
 * section 8. */

/* ---- Layers ---- */

/* The remainder goes to the stages before the last, from behind: the last has the
 * head, the first the embedding. */
static int num_layers_of(int num_layers, int stages, int stage)
{
    const int rest = num_layers % stages;
    return num_layers / stages + (stage < stages - 1 && stage >= stages - 1 - rest);
}

/* Which of the kinds a model's next layer is, where so many of each are above it: a
 * leading one, else the one that lags most behind its share, so that they take turns.
 */
static int kind_of_next(const struct vidur_model_spec *model, const int *above)
{
    int64_t most = INT64_MIN, next = 1, layers = 0;
    int best = 0;
    for (int i = 0; i < model->num_kinds; i++) {
        if (i < model->leading_kinds && above[i] < model->kinds[i].count)
            return i;
        if (i >= model->leading_kinds) {
            next += above[i];
            layers += model->kinds[i].count;
        }
    }
    for (int i = model->leading_kinds; i < model->num_kinds; i++) {
        const int64_t lag = model->kinds[i].count * next - above[i] * layers;
        if (above[i] < model->kinds[i].count && lag > most) {
            most = lag;
            best = i;
        }
    }
    return best;
}

void vidur_stage_of(struct vidur_stage_part *part, const struct vidur_model_spec *model,
                    int stages, int stage)
{
    int above[VIDUR_MAX_LAYER_KINDS] = {0};
    *part = (struct vidur_stage_part){.first = stage == 0, .last = stage == stages - 1};
    for (int s = 0; s <= stage; s++)
        for (int i = num_layers_of(model->num_layers, stages, s); i > 0; i--) {
            const int kind = kind_of_next(model, above);
            above[kind]++;
            part->layers[kind] += s == stage;
            part->num_layers += s == stage;
        }
}

void vidur_shard_of_stage(struct vidur_shard *shard,
                          const struct vidur_model_spec *model,
                          const struct vidur_cut *cut, int stage)
{
    struct vidur_stage_part part;
    vidur_shard_of(shard, model, cut);
    if (cut->pipeline == 1)
        return;
    vidur_stage_of(&part, model, cut->pipeline, stage);
    for (int i = 0; i < shard->num_kinds; i++)
        shard->layers[i].count = part.layers[i];
}

double vidur_shard_stage_bytes(const struct vidur_shard *shard, int stage)
{
    const int last = shard->cut.pipeline - 1;
    const double embedding = vidur_shard_embedding_bytes(shard);
    const bool shared = last == 0 && shard->tie_word_embeddings;
    return vidur_shard_layer_bytes(shard) + (stage == 0 ? embedding : 0) +
           (stage == last && !shared ? embedding : 0);
}

/* ---- Links ---- */

static enum vidur_stage_link link_between(const struct vidur_node_sku *node, int from,
                                          int to)
{
    if (from / node->devices_per_node != to / node->devices_per_node)
        return VIDUR_LINK_NODES;
    return node->pairwise && from / 2 != to / 2 ? VIDUR_LINK_FALLBACK : VIDUR_LINK_FAST;
}

enum vidur_stage_link vidur_stage_link_of(const struct vidur_node_sku *node,
                                          const struct vidur_cut *cut, int stage)
{
    enum vidur_stage_link slowest = VIDUR_LINK_NONE;
    if (stage == cut->pipeline - 1)
        return slowest;
    for (int i = 0; i < cut->tensor; i++) {
        const int from = stage * cut->tensor + i;
        const enum vidur_stage_link link = link_between(node, from, from + cut->tensor);
        slowest = link > slowest ? link : slowest;
    }
    return slowest;
}

/* ---- Kinds ---- */

enum { FIRST = 0, LAST = 1, FIRST_MIDDLE = 2 };

static bool are_alike(const struct vidur_model_spec *model,
                      const struct vidur_node_sku *node, const struct vidur_cut *cut,
                      int a, int b)
{
    struct vidur_stage_part one, other;
    vidur_stage_of(&one, model, cut->pipeline, a);
    vidur_stage_of(&other, model, cut->pipeline, b);
    return memcmp(one.layers, other.layers, sizeof one.layers) == 0 &&
           vidur_stage_link_of(node, cut, a) == vidur_stage_link_of(node, cut, b);
}

int vidur_stage_kinds_of(struct vidur_stage_kinds *out,
                         const struct vidur_model_spec *model,
                         const struct vidur_node_sku *node, const struct vidur_cut *cut,
                         struct vidur_error *err)
{
    const int stages = cut->pipeline, most = VIDUR_MAX_STAGES;
    *out = (struct vidur_stage_kinds){.num_stages = stages, .num_kinds = FIRST_MIDDLE};
    if (stages > model->num_layers || stages > most)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d stages for the %d layers of %s; a stage has a layer at "
                          "least, and there are at most %d",
                          stages, model->num_layers, model->name, most);
    out->stage_of[LAST] = stages - 1;
    out->kind_of[0] = FIRST;
    out->kind_of[stages - 1] = LAST;
    for (int s = 1; s < stages - 1; s++) {
        int kind = FIRST_MIDDLE;
        while (kind < out->num_kinds &&
               !are_alike(model, node, cut, out->stage_of[kind], s))
            kind++;
        if (kind == VIDUR_MAX_STAGE_KINDS)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%d stages of %s are of more than %d kinds; take fewer",
                              stages, model->name, VIDUR_MAX_STAGE_KINDS);
        if (kind == out->num_kinds)
            out->stage_of[out->num_kinds++] = s;
        out->kind_of[s] = kind;
    }
    return 0;
}
