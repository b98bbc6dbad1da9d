#include <vidur/sessions.h>

#include "base/yaml.h"

#include <string.h>

#define QUANTILE_EXAMPLE "[0.5, 100]"

/* [probability, value] */
static int read_quantile(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    struct vidur_spread_quantile *quantile = out;
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_fail_shape(node, "a pair", QUANTILE_EXAMPLE, err);
    if (vidur_yaml_count(node) != 2)
        return vidur_yaml_fail(node, err, "not a pair; write [probability, value]");
    if (vidur_yaml_as_double(vidur_yaml_item(node, 0), &quantile->quantile, err) ||
        vidur_yaml_as_double(vidur_yaml_item(node, 1), &quantile->value, err))
        return -1;
    if (!(quantile->quantile >= 0 && quantile->quantile <= 1) || quantile->value < 0)
        return vidur_yaml_fail(node, err,
                               "[%g, %g]; a probability in [0, 1] and 0 or more",
                               quantile->quantile, quantile->value);
    return 0;
}

static const struct vidur_yaml_field quantile_element = {
    .key = "",
    .type = VIDUR_YAML_CUSTOM,
    .size = sizeof(struct vidur_spread_quantile),
    .example = QUANTILE_EXAMPLE,
    .read = read_quantile};

#define SPREAD(name) VIDUR_YAML_KEY(#name, DOUBLE, struct vidur_spread, name)

static const struct vidur_yaml_field spread_fields[] = {
    {SPREAD(mean), .flags = VIDUR_YAML_MIN},
    {SPREAD(cv), .flags = VIDUR_YAML_MIN},
    {SPREAD(min), .flags = VIDUR_YAML_MIN},
    {SPREAD(max), .flags = VIDUR_YAML_ABOVE},
    {.key = "quantiles",
     .type = VIDUR_YAML_ARRAY,
     .flags = VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct vidur_spread, quantiles, num_quantiles),
     .element = &quantile_element,
     .max_count = VIDUR_MAX_SPREAD_QUANTILES},
    {0},
};

/* A number, which it always is, or {mean: ..., cv: ...} or {quantiles: ...}. */
static int read_spread(const struct vidur_yaml_node *node, void *out,
                       struct vidur_error *err)
{
    struct vidur_spread *spread = out;
    *spread = (struct vidur_spread){0};
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SCALAR)
        return vidur_yaml_read(node, spread_fields, spread, err);
    if (vidur_yaml_as_double(node, &spread->mean, err))
        return -1;
    if (!(spread->mean >= 0))
        return vidur_yaml_fail(node, err, "%g; 0 or more", spread->mean);
    return 0;
}

#define KEY(name, kind) VIDUR_YAML_KEY(#name, kind, struct vidur_sessions_config, name)

/* For keys that fill several members. */
struct whole {
    struct vidur_sessions_config config;
};

static int read_think_time(const struct vidur_yaml_node *node, void *out,
                           struct vidur_error *err)
{
    static const struct vidur_yaml_field speed_fields[] = {
        {.key = "output_tokens_per_s",
         .type = VIDUR_YAML_DOUBLE,
         .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE,
         VIDUR_YAML_AT(struct vidur_sessions_config, answer_tokens_per_s)},
        {0}};
    struct vidur_sessions_config *config = out;
    const char *name = vidur_yaml_scalar(node);
    config->think_time = VIDUR_THINK_ESTIMATED;
    if (!name)
        return vidur_yaml_read(node, speed_fields, config, err);
    config->think_time =
        strcmp(name, "logged_gap") == 0 ? VIDUR_THINK_LOGGED_GAP : VIDUR_THINK_LOGGED;
    if (strcmp(name, "logged") == 0 || strcmp(name, "logged_gap") == 0)
        return 0;
    return vidur_yaml_fail(node, err,
                           "'%.40s'; give logged, logged_gap or "
                           "{output_tokens_per_s: 50}",
                           name);
}

static const struct vidur_yaml_field fields[] = {
    {KEY(turns, CUSTOM), .read = read_spread, .example = "5"},
    {KEY(first_tokens, CUSTOM), .read = read_spread, .example = "800"},
    {KEY(user_tokens, CUSTOM), .read = read_spread},
    {KEY(output_tokens, CUSTOM), .read = read_spread},
    {KEY(think_s, CUSTOM), .read = read_spread},
    {KEY(sub_agents, CUSTOM), .read = read_spread},
    {KEY(num_groups, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY(system_prompt_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 0},
    {KEY(max_context_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 2},
    {KEY(compacts, BOOL)},
    {KEY(file, PATH)},
    {VIDUR_YAML_KEYS(struct vidur_sessions_config, trace, vidur_trace_option_fields)},
    {.key = "think_time",
     .type = VIDUR_YAML_CUSTOM,
     VIDUR_YAML_AT(struct whole, config),
     .read = read_think_time},
    {0},
};

/* Keys that are about a file alone. */
static int check_fileless(const struct vidur_yaml_node *node, struct vidur_error *err)
{
    static const char *const of_files[] = {"think_time",   "format",
                                           "time_unit",    "characters_per_token",
                                           "block_tokens", "columns"};
    for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++)
        if (vidur_yaml_get(node, of_files[i]))
            return vidur_yaml_fail_key(node, of_files[i], err,
                                       "given without file, which it is about");
    if (!vidur_yaml_get(node, "user_tokens"))
        return vidur_yaml_fail_missing(node, "user_tokens", err);
    if (!vidur_yaml_get(node, "output_tokens"))
        return vidur_yaml_fail_missing(node, "output_tokens", err);
    return 0;
}

static int read_mapping(const struct vidur_yaml_node *node,
                        struct vidur_sessions_config *config, struct vidur_error *err)
{
    static const char *const drawn[] = {"turns", "first_tokens", "user_tokens",
                                        "output_tokens", "sub_agents"};
    if (vidur_yaml_read(node, fields, config, err))
        return -1;
    const bool from_file = vidur_yaml_get(node, "file") != NULL;
    for (size_t i = 0; from_file && i < sizeof drawn / sizeof *drawn; i++)
        if (vidur_yaml_get(node, drawn[i]))
            return vidur_yaml_fail_key(node, drawn[i], err,
                                       "given beside file, which says it; give one of "
                                       "them");
    if (!from_file)
        return check_fileless(node, err);
    if (vidur_yaml_get(node, "think_s") && vidur_yaml_get(node, "think_time"))
        return vidur_yaml_fail_key(node, "think_time", err,
                                   "given beside think_s; give one of them");
    if (vidur_yaml_get(node, "think_s"))
        config->think_time = VIDUR_THINK_DRAWN;
    return 0;
}

int vidur_sessions_config_read(const struct vidur_yaml_node *section,
                               struct vidur_sessions_config *config,
                               struct vidur_error *err)
{
    char path[1024];
    if (vidur_yaml_kind(section) != VIDUR_YAML_IS_SCALAR)
        return read_mapping(section, config, err);
    if (vidur_yaml_as_path(section, path, sizeof path, err))
        return -1;
    struct vidur_yaml *doc = vidur_yaml_load(path, err);
    if (!doc)
        return err && err->code == VIDUR_EIO
                   ? vidur_yaml_fail(section, err,
                                     "%s cannot be read; give the path "
                                     "of a file of sessions, or a mapping",
                                     path)
                   : -1;
    const int status = read_mapping(vidur_yaml_root(doc), config, err);
    vidur_yaml_free(doc);
    return status;
}
