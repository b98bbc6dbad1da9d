#include <vidur/workload.h>

#include "arrivals.h"
#include "base/section.h"
#include "base/yaml.h"
#include "lengths.h"

#include <string.h>

enum { DEFAULT_MAX_TOKENS = 4096, DEFAULT_MIN_TOKENS = 1024 };

void vidur_workload_config_defaults(struct vidur_workload_config *config)
{
    *config = (struct vidur_workload_config){
        .type = VIDUR_WORKLOAD_SYNTHETIC,
        .seed = 42,
        .seeds = VIDUR_SEEDS_OWN,
        .max_tokens = DEFAULT_MAX_TOKENS,
        .lengths = {.type = "trace",
                    .min_tokens = DEFAULT_MIN_TOKENS,
                    .prefill_to_decode_ratio = 20,
                    .theta = 0.6,
                    .prefill_scale_factor = 1,
                    .decode_scale_factor = 1},
        .arrivals = {.type = "poisson",
                     .cv = 1,
                     .truncate = -1,
                     .column = "arrived_at",
                     .time_scale_factor = 1},
        .prefill_scale_factor = 1,
        .decode_scale_factor = 1,
        .time_scale_factor = 1,
    };
}

void vidur_workload_config_complete(struct vidur_workload_config *config,
                                    enum vidur_semantics semantics)
{
    if (config->arrivals.truncate < 0)
        config->arrivals.truncate = semantics == VIDUR_SEMANTICS_VIDUR ? 3 : 0;
}

/* ---- Checks ---- */

static int check_extent(const struct vidur_workload_config *config, bool endless,
                        struct vidur_error *err)
{
    if (config->num_requests > 0 && config->duration_s > 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.duration_s: given beside num_requests; give one of "
                          "them");
    if (endless && config->num_requests <= 0 && !(config->duration_s > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.num_requests: missing; give it or duration_s, 1 or "
                          "more");
    if (config->max_tokens < 2)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.max_tokens: %d; 2 or more, a prompt and an output "
                          "token",
                          config->max_tokens);
    return 0;
}

static int check_reference(const struct vidur_workload_config *config,
                           const struct vidur_arrivals_policy *arrivals,
                           struct vidur_error *err)
{
    if (config->seeds != VIDUR_SEEDS_REFERENCE)
        return 0;
    if (config->seed > UINT32_MAX)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.seed: above 4294967295; seeds: reference takes 32 "
                          "bits");
    if (arrivals && !arrivals->in_reference)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.seeds: reference does not cover %s arrivals; use "
                          "own",
                          arrivals->name);
    return 0;
}

static int check_synthetic(const struct vidur_workload_config *config,
                           struct vidur_error *err)
{
    if (vidur_arrivals_check(&config->arrivals, err))
        return -1;
    const struct vidur_arrivals_policy *arrivals =
        vidur_arrivals_find(config->arrivals.type);
    if (!arrivals->draw && !arrivals->load && config->num_requests <= 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.num_requests: missing; %s arrivals all come at "
                          "once, whatever duration_s says",
                          arrivals->name);
    if (check_extent(config, arrivals->load == NULL, err) ||
        check_reference(config, arrivals, err))
        return -1;
    return vidur_lengths_check(&config->lengths, config->max_tokens, err);
}

static int check_replay(const struct vidur_workload_config *config,
                        struct vidur_error *err)
{
    if (!config->file[0])
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.file: missing; a CSV file with columns arrived_at, "
                          "num_prefill_tokens and num_decode_tokens");
    if (check_extent(config, false, err))
        return -1;
    return check_reference(config, NULL, err);
}

int vidur_workload_config_check(const struct vidur_workload_config *config,
                                struct vidur_error *err)
{
    switch (config->type) {
    case VIDUR_WORKLOAD_SYNTHETIC:
        return check_synthetic(config, err);
    case VIDUR_WORKLOAD_TRACE_REPLAY:
        return check_replay(config, err);
    case VIDUR_WORKLOAD_SHARED_PREFIX:
        break;
    }
    return vidur_fail(err, VIDUR_EINVAL,
                      "workload.type: not known; use synthetic or trace_replay");
}

/* ---- Reading ---- */

static int read_lengths(const struct vidur_yaml_node *node, void *out,
                        struct vidur_error *err)
{
    return vidur_lengths_config_read(node, out, err);
}

static int read_arrivals(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    return vidur_arrivals_config_read(node, out, err);
}

static int read_seed(const struct vidur_yaml_node *node, void *out,
                     struct vidur_error *err)
{
    int64_t seed;
    if (vidur_yaml_as_int64(node, &seed, err))
        return -1;
    if (seed < 0)
        return vidur_yaml_fail(node, err, "%lld; 0 or more", (long long)seed);
    *(uint64_t *)out = (uint64_t)seed;
    return 0;
}

static const char *const seeds_names[] = {"own", "reference", NULL};

#define KEY(name, kind)                                                                \
    .key = #name, .type = VIDUR_YAML_##kind,                                           \
    VIDUR_YAML_AT(struct vidur_workload_config, name)

static const struct vidur_yaml_field common_fields[] = {
    {KEY(seed, CUSTOM), .read = read_seed},
    {KEY(seeds, ENUM), .names = seeds_names},
    {KEY(num_requests, INT64), .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY(duration_s, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(max_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 2},
    {0},
};

static const struct vidur_yaml_field synthetic_fields[] = {
    {KEY(lengths, CUSTOM), .read = read_lengths},
    {KEY(arrivals, CUSTOM), .read = read_arrivals},
    {0},
};

static const struct vidur_yaml_field replay_fields[] = {
    {KEY(file, PATH), .flags = VIDUR_YAML_REQUIRED},
    {KEY(prefill_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(decode_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(time_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

static const struct vidur_yaml_variant types[] = {
    {"synthetic", VIDUR_WORKLOAD_SYNTHETIC, synthetic_fields},
    {"trace_replay", VIDUR_WORKLOAD_TRACE_REPLAY, replay_fields},
    {0},
};

static const struct vidur_yaml_union by_type = {
    .tag_key = "type",
    .tag_offset = offsetof(struct vidur_workload_config, type),
    .variants = types,
    .common = common_fields,
};

int vidur_workload_config_read(const struct vidur_yaml_node *section,
                               struct vidur_workload_config *config,
                               struct vidur_error *err)
{
    if (vidur_yaml_read_union(section, &by_type, config, err))
        return -1;
    if (vidur_workload_config_check(config, err))
        return vidur_section_locate(section, "workload.", err);
    return 0;
}
