#include "space/config_parts.h"

#include "base/hash.h"

#include <vidur/paths.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Models in the precisions that are tried: `precision:` and `kv_cache_dtype:` over what
 * a spec says. */

/* ---- Precisions ---- */

static enum vidur_dtype over(enum vidur_dtype own, enum vidur_dtype wanted)
{
    return wanted == VIDUR_NUM_DTYPES ? own : wanted;
}

static bool same_weights(const struct vidur_precision *a,
                         const struct vidur_precision *b)
{
    return a->weights == b->weights && a->experts == b->experts &&
           a->attention == b->attention;
}

/* Formats of weights that the model does not have follow the others, so that they tell
 * nothing apart. */
static void settle(struct vidur_precision *p, const struct vidur_model_spec *spec)
{
    const struct vidur_precision *own = &spec->precision;
    bool has_mlp = false, has_experts = false;
    for (int i = 0; i < spec->num_kinds; i++) {
        has_mlp |= spec->kinds[i].mlp_hidden_dim > 0;
        has_experts |= spec->kinds[i].num_experts > 0;
    }
    const bool is_own = p->attention == own->attention &&
                        (!has_mlp || p->weights == own->weights) &&
                        (!has_experts || p->experts == own->experts);
    if (is_own || !has_mlp)
        p->weights = is_own ? own->weights : p->attention;
    if (is_own || !has_experts)
        p->experts = is_own ? own->experts : p->weights;
}

static struct vidur_precision serve(const struct vidur_model_spec *spec,
                                    const struct vidur_precision *wanted,
                                    enum vidur_kv_cache_choice kv_cache)
{
    const struct vidur_precision *own = &spec->precision;
    struct vidur_precision p = {.weights = over(own->weights, wanted->weights),
                                .experts = over(own->experts, wanted->experts),
                                .attention = over(own->attention, wanted->attention),
                                .kv_cache = over(own->kv_cache, wanted->kv_cache)};
    settle(&p, spec);
    if (kv_cache != VIDUR_KV_CACHE_AUTO)
        p.kv_cache =
            kv_cache == VIDUR_KV_CACHE_FP8 ? VIDUR_DTYPE_fp8 : VIDUR_DTYPE_bf16;
    return p;
}

/* ---- Checkpoints ---- */

/* A model's name without its owner and the precision at its end. */
static void stem_of(const char *name, char *out, size_t size)
{
    static const char *const words[] = {"fp8", "fp4",  "int8", "int4",
                                        "awq", "gptq", "bf16"};
    const char *slash = strrchr(name, '/');
    snprintf(out, size, "%s", slash ? slash + 1 : name);
    for (char *at = out; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    char *last = strrchr(out, '-');
    for (size_t i = 0; last && i < sizeof words / sizeof words[0]; i++)
        if (strstr(last, words[i])) {
            *last = 0;
            return;
        }
}

/* Equal but for name and cache. */
static bool is_same_model(const struct vidur_model_spec *wanted,
                          const struct vidur_model_spec *candidate)
{
    char stems[2][sizeof wanted->name], sums[2][65];
    struct vidur_model_spec other = *candidate;
    struct vidur_sha256 sha;
    stem_of(wanted->name, stems[0], sizeof stems[0]);
    stem_of(other.name, stems[1], sizeof stems[1]);
    if (strcmp(stems[0], stems[1]) != 0)
        return false;
    memcpy(other.name, wanted->name, sizeof other.name);
    other.precision.kv_cache = wanted->precision.kv_cache;
    vidur_sha256_init(&sha);
    vidur_model_digest(&sha, wanted);
    vidur_sha256_hex(&sha, sums[0]);
    vidur_sha256_init(&sha);
    vidur_model_digest(&sha, &other);
    vidur_sha256_hex(&sha, sums[1]);
    return strcmp(sums[0], sums[1]) == 0;
}

/* A spec that cannot be read is no checkpoint. */
static int look_at(void *context, const char *name)
{
    struct vidur_served_model *served = context;
    struct vidur_model_spec spec;
    if (vidur_model_load(&spec, name, NULL) != 0 ||
        !is_same_model(&served->spec, &spec))
        return 0;
    snprintf(served->checkpoint, sizeof served->checkpoint, "%s", spec.name);
    return 1;
}

/* ---- All of them ---- */

static void set_served(const struct vidur_search_config *config, int index,
                       struct vidur_served_model *served)
{
    const int caches = config->num_kv_cache_dtypes;
    const int rest = index / caches;
    const struct vidur_model_spec *spec;
    served->model = rest / config->num_precisions;
    spec = &config->models[served->model].spec;
    served->spec = *spec;
    served->spec.precision =
        serve(spec, &config->precisions[rest % config->num_precisions],
              (enum vidur_kv_cache_choice)config->kv_cache_dtypes[index % caches]);
    struct vidur_precision weights = served->spec.precision;
    weights.kv_cache = VIDUR_DTYPE_bf16;
    vidur_precision_describe(&weights, served->precision, sizeof served->precision);
}

/* Of models in precisions that their specs do not say, once each. */
static int find_checkpoint(const struct vidur_search_config *config, int index,
                           struct vidur_error *err)
{
    struct vidur_served_model *served = &config->served[index];
    const struct vidur_precision *weights = &served->spec.precision;
    if (same_weights(weights, &config->models[served->model].spec.precision))
        return 0;
    for (int i = 0; i < index; i++) {
        const struct vidur_served_model *other = &config->served[i];
        if (other->model == served->model &&
            same_weights(&other->spec.precision, weights)) {
            memcpy(served->checkpoint, other->checkpoint, sizeof served->checkpoint);
            return 0;
        }
    }
    return vidur_path_each_spec("models", look_at, served, err) < 0 ? -1 : 0;
}

static bool is_equal(const struct vidur_served_model *a,
                     const struct vidur_served_model *b)
{
    return a->model == b->model &&
           same_weights(&a->spec.precision, &b->spec.precision) &&
           a->spec.precision.kv_cache == b->spec.precision.kv_cache;
}

int config_serve_models(struct vidur_search_config *config, struct vidur_error *err)
{
    const double product = (double)config->num_models * config->num_precisions *
                           config->num_kv_cache_dtypes;
    if (product > 1e5)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%.0f models times precision times kv_cache_dtype; at most "
                          "100000 are supported",
                          product);
    config->served = calloc((size_t)product, sizeof *config->served);
    if (!config->served)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for the configuration");
    for (; config->num_served < (int)product; config->num_served++) {
        const int index = config->num_served;
        struct vidur_served_model *served = &config->served[index];
        set_served(config, index, served);
        while (!is_equal(&config->served[served->same], served))
            served->same++;
        if (find_checkpoint(config, index, err) != 0)
            return -1;
    }
    return 0;
}
