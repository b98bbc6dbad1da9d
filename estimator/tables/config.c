#include <vidur/forest.h>
#include <vidur/paths.h>
#include <vidur/timetable.h>

#include "base/yaml.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct vidur_estimator_config config;

enum {
    MAX_TREES = 10000,
    MAX_DEPTH = 64,
    MAX_LIMIT = 1 << 24 /* tokens or requests */
};

static const char *const source_names[] = {"auto",   "roofline", "profiles",
                                           "tables", "kernels",  NULL};
static const char *const regressor_names[] = {"random_forest", "polynomial", NULL};

/* What is read beside the struct itself, to tell what was given. */
struct section {
    config config;
    bool source_given;
    int regressor;
};

#define PATH_MEMBER(key_, member_)                                                     \
    {                                                                                  \
        VIDUR_YAML_KEY(key_, PATH, struct section, config.member_)                     \
    }
#define COUNT(key_, member_, min_, max_)                                               \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_INT, .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, \
        VIDUR_YAML_AT(struct section, config.member_), .min = (min_), .max = (max_)    \
    }
#define GRID(member_, element_)                                                        \
    {                                                                                  \
        .key = #member_, .type = VIDUR_YAML_ARRAY,                                     \
        .flags = VIDUR_YAML_ONE_OK | VIDUR_YAML_FILLED,                                \
        VIDUR_YAML_LIST(struct section, config.member_, config.num_##member_),         \
        .element = &(element_), .max_count = VIDUR_MAX_GRID_VALUES                     \
    }
#define NOT_NEGATIVE(member_)                                                          \
    {                                                                                  \
        .key = #member_, .type = VIDUR_YAML_DOUBLE, .flags = VIDUR_YAML_MIN,           \
        VIDUR_YAML_AT(struct section, config.overheads.member_), .min = 0              \
    }

static const struct vidur_yaml_field profile_element = {
    .key = "", .type = VIDUR_YAML_PATH, .size = sizeof((config *)0)->profiles[0]};
#define WHOLE_ELEMENT(min_, max_)                                                      \
    {                                                                                  \
        .key = "", .type = VIDUR_YAML_INT, .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX,   \
        .size = sizeof(int), .min = (min_), .max = (max_)                              \
    }
static const struct vidur_yaml_field trees_element = WHOLE_ELEMENT(1, MAX_TREES);
static const struct vidur_yaml_field depth_element = WHOLE_ELEMENT(1, MAX_DEPTH);
static const struct vidur_yaml_field split_element = WHOLE_ELEMENT(2, MAX_LIMIT);

/* An empty text switches the cache off; anything else is a path. */
static int read_cache_dir(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    char *dir = out;
    const char *text = vidur_yaml_scalar(node);
    if (text && !text[0]) {
        dir[0] = '\0';
        return 0;
    }
    return vidur_yaml_as_path(node, dir, sizeof((config *)0)->cache_dir, err);
}

#define CONSTANT(name)                                                                 \
    {                                                                                  \
        .key = #name, .type = VIDUR_YAML_DOUBLE, .flags = VIDUR_YAML_MIN,              \
        VIDUR_YAML_AT(struct vidur_engine_constants, name)                             \
    }

/* Of the engine's step model; what is not given is the source's default. */
static const struct vidur_yaml_field constant_fields[] = {
    {.key = "eta",
     .type = VIDUR_YAML_DOUBLE,
     .flags = VIDUR_YAML_ABOVE | VIDUR_YAML_MAX,
     VIDUR_YAML_AT(struct vidur_engine_constants, eta),
     .max = 1},
    CONSTANT(t0_us),
    CONSTANT(c_ar_us),
    CONSTANT(tokenise_us),
    CONSTANT(t_api_ms),
    CONSTANT(sampler_ms_per_million_logits),
    CONSTANT(step_us),
    CONSTANT(request_us),
    CONSTANT(mixed_layer_us),
    {.key = NULL}};

static const struct vidur_yaml_field section_fields[] = {
    {.key = "source",
     .type = VIDUR_YAML_ENUM,
     .flags = VIDUR_YAML_TELL,
     VIDUR_YAML_AT(struct section, config.source),
     .names = source_names,
     .present_offset = offsetof(struct section, source_given)},
    {.key = "profiles",
     .type = VIDUR_YAML_ARRAY,
     .flags = VIDUR_YAML_ONE_OK | VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct section, config.profiles, config.num_profiles),
     .element = &profile_element,
     .max_count = VIDUR_MAX_PROFILE_DIRS},
    PATH_MEMBER("tables", tables),
    PATH_MEMBER("kernels", kernels),
    {.key = "regressor",
     .type = VIDUR_YAML_ENUM,
     VIDUR_YAML_AT(struct section, regressor),
     .names = regressor_names},
    GRID(num_estimators, trees_element),
    GRID(max_depth, depth_element),
    GRID(min_samples_split, split_element),
    COUNT("k_fold_cv_splits", k_fold_cv_splits, 2, VIDUR_MAX_FOLDS),
    COUNT("max_tokens_per_request", max_tokens_per_request, 1, MAX_LIMIT),
    COUNT("max_batch_size", max_batch_size, 1, MAX_LIMIT),
    COUNT("max_prefill_chunk_size", max_prefill_chunk_size, 1, MAX_LIMIT),
    COUNT("kv_cache_granularity", kv_cache_granularity, 1, MAX_LIMIT),
    NOT_NEGATIVE(nccl_cpu_launch_overhead_ms),
    NOT_NEGATIVE(nccl_cpu_skew_overhead_per_device_ms),
    NOT_NEGATIVE(attention_decode_batching_overhead_fraction),
    NOT_NEGATIVE(attention_prefill_batching_overhead_fraction),
    {.key = "model_cpu_overhead",
     .type = VIDUR_YAML_BOOL,
     VIDUR_YAML_AT(struct section, config.overheads.model_cpu_overhead)},
    {.key = "constants",
     .type = VIDUR_YAML_MAPPING,
     VIDUR_YAML_AT(struct section, config.engine),
     .fields = constant_fields},
    {.key = "seed",
     .type = VIDUR_YAML_CUSTOM,
     VIDUR_YAML_AT(struct section, config.seed),
     .read = vidur_yaml_read_seed},
    {.key = "cache_dir",
     .type = VIDUR_YAML_CUSTOM,
     VIDUR_YAML_AT(struct section, config.cache_dir),
     .read = read_cache_dir},
    COUNT("threads", threads, 0, 1024),
    {.key = NULL}};

/* $XDG_CACHE_HOME/vidur-search or ~/.cache/vidur-search; empty where neither is known.
 */
static void default_cache_dir(char *out, size_t size)
{
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int n = 0;
    if (xdg && xdg[0] == '/')
        n = snprintf(out, size, "%s/vidur-search", xdg);
    else if (home && home[0] == '/')
        n = snprintf(out, size, "%s/.cache/vidur-search", home);
    if (n <= 0 || (size_t)n >= size)
        out[0] = '\0';
}

/* The grid of hyperparameters is the reference's. */
static void default_grid(config *out)
{
    struct vidur_regressor_grid grid;
    vidur_regressor_grid_defaults(&grid);
#define COPY(list)                                                                     \
    memcpy(out->list, grid.list, sizeof out->list);                                    \
    out->num_##list = grid.num_##list
    COPY(num_estimators);
    COPY(max_depth);
    COPY(min_samples_split);
#undef COPY
    memcpy(out->regressor, grid.regressor, sizeof out->regressor);
    out->k_fold_cv_splits = grid.k_fold_splits;
}

void vidur_estimator_config_defaults(config *out)
{
    *out = (config){.source = VIDUR_SOURCE_AUTO,
                    .max_tokens_per_request = 4096,
                    .max_batch_size = 128,
                    .max_prefill_chunk_size = 4096,
                    .kv_cache_granularity = 64,
                    .overheads = {.nccl_cpu_launch_overhead_ms = 0.02,
                                  .attention_decode_batching_overhead_fraction = 0.1,
                                  .attention_prefill_batching_overhead_fraction = 0.1}};
    default_grid(out);
    vidur_engine_constants_defaults(&out->engine);
    default_cache_dir(out->cache_dir, sizeof out->cache_dir);
}

/* Without `source`, the one path that is given says it; it stays auto without any. */
static int infer_source(const struct vidur_yaml_node *node, config *out,
                        struct vidur_error *err)
{
    const bool profiles = out->num_profiles > 0;
    const bool tables = out->tables[0] != '\0';
    const bool kernels = out->kernels[0] != '\0';
    if (profiles + tables + kernels > 1)
        return vidur_yaml_fail_key(node, "source", err,
                                   "missing, and more than one of profiles, tables and "
                                   "kernels is given; say which to use");
    if (profiles)
        out->source = VIDUR_SOURCE_PROFILES;
    else if (tables)
        out->source = VIDUR_SOURCE_TABLES;
    else if (kernels)
        out->source = VIDUR_SOURCE_KERNELS;
    return 0;
}

static int check_cpu_overhead(const struct vidur_yaml_node *node, const config *out,
                              struct vidur_error *err)
{
    if (out->source != VIDUR_SOURCE_ROOFLINE || !out->overheads.model_cpu_overhead)
        return 0;
    return vidur_yaml_fail_key(node, "model_cpu_overhead", err,
                               "a roofline knows no CPU times; use source: profiles, "
                               "or false");
}

/* `source: profiles` alone means the ones that come with the product. */
static int check_paths(const struct vidur_yaml_node *node, config *out,
                       struct vidur_error *err)
{
    if (out->source == VIDUR_SOURCE_TABLES && !out->tables[0])
        return vidur_yaml_fail_key(node, "tables", err,
                                   "missing; source: tables needs the folder with one "
                                   "OPERATOR.csv each");
    if (out->source == VIDUR_SOURCE_KERNELS && !out->kernels[0])
        return vidur_yaml_fail_key(node, "kernels", err,
                                   "missing; source: kernels needs the folder with the "
                                   "kernel timings");
    if (out->source == VIDUR_SOURCE_PROFILES && out->num_profiles == 0) {
        struct vidur_path path;
        if (vidur_path_resolve(NULL, "data:profiles", &path, err))
            return -1;
        snprintf(out->profiles[0], sizeof out->profiles[0], "%s", path.text);
        out->num_profiles = 1;
    }
    return 0;
}

int vidur_estimator_config_read(const struct vidur_yaml_node *node, config *out,
                                struct vidur_error *err)
{
    struct section section = {.config = *out};
    section.regressor = strcmp(out->regressor, regressor_names[1]) == 0;
    if (vidur_yaml_read(node, section_fields, &section, err))
        return -1;
    *out = section.config;
    snprintf(out->regressor, sizeof out->regressor, "%s",
             regressor_names[section.regressor]);
    if (!section.source_given && infer_source(node, out, err))
        return -1;
    if (check_cpu_overhead(node, out, err))
        return -1;
    return check_paths(node, out, err);
}

VIDUR_YAML_READER(read_section, vidur_estimator_config_read)

const struct vidur_yaml_field *vidur_estimator_section(void)
{
    static const struct vidur_yaml_field fields[] = {{.key = "estimator",
                                                      .type = VIDUR_YAML_CUSTOM,
                                                      .size = sizeof(config),
                                                      .read = read_section},
                                                     {0}};
    return fields;
}
