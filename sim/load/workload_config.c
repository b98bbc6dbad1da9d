#include <vidur/workload.h>

#include "base/section.h"
#include "base/yaml.h"
#include "load/arrivals.h"
#include "load/lengths.h"
#include "load/mix.h"

#include <string.h>

enum { DEFAULT_MAX_TOKENS = 4096, DEFAULT_MIN_TOKENS = 1024 };

#define DEFAULT_LENGTHS                                                                \
    {                                                                                  \
        .type = "trace", .min_tokens = DEFAULT_MIN_TOKENS,                             \
        .prefill_to_decode_ratio = 20, .theta = 0.6, .prefill_scale_factor = 1,        \
        .decode_scale_factor = 1                                                       \
    }

const struct vidur_class_config vidur_class_defaults = {.lengths = DEFAULT_LENGTHS};

void vidur_workload_config_defaults(struct vidur_workload_config *config)
{
    *config = (struct vidur_workload_config){
        .type = VIDUR_WORKLOAD_SYNTHETIC,
        .seed = 42,
        .seeds = VIDUR_SEEDS_OWN,
        .max_tokens = DEFAULT_MAX_TOKENS,
        .lengths = DEFAULT_LENGTHS,
        .arrivals = {.type = "poisson",
                     .cv = 1,
                     .truncate = -1,
                     .column = "arrived_at",
                     .time_scale_factor = 1},
        .shared_prefix = {.num_groups = 10, .num_prompts_per_group = 10},
        .prefill_scale_factor = 1,
        .decode_scale_factor = 1,
        .time_scale_factor = 1,
    };
    vidur_sessions_config_defaults(&config->sessions);
}

void vidur_workload_config_complete(struct vidur_workload_config *config,
                                    enum vidur_semantics semantics)
{
    config->corrected = semantics == VIDUR_SEMANTICS_CORRECTED;
    if (config->arrivals.truncate < 0)
        config->arrivals.truncate = semantics == VIDUR_SEMANTICS_VIDUR ? 3 : 0;
}

bool vidur_workload_is_drawn(const struct vidur_workload_config *config)
{
    const struct vidur_sessions_config *sessions = &config->sessions;
    if (config->type == VIDUR_WORKLOAD_TRACE_REPLAY)
        return false;
    return config->type != VIDUR_WORKLOAD_SESSIONS ||
           strcmp(config->arrivals.type, "trace") != 0 ||
           sessions->think_time == VIDUR_THINK_DRAWN ||
           (sessions->num_groups > 1 && sessions->system_prompt_tokens > 0);
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
                          "workload.num_requests: missing; %s arrivals %s, whatever "
                          "duration_s says",
                          arrivals->name,
                          arrivals->is_closed ? "come when others have ended"
                                              : "all come at once");
    if (check_extent(config, arrivals->load == NULL, err) ||
        check_reference(config, arrivals, err))
        return -1;
    return config->type == VIDUR_WORKLOAD_MIX
               ? vidur_mix_check(config, err)
               : vidur_lengths_check(&config->lengths, config->max_tokens, err);
}

static int check_replay(const struct vidur_workload_config *config,
                        struct vidur_error *err)
{
    if (!config->file[0])
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.file: missing; a log of requests, such as a CSV "
                          "file with columns arrived_at, num_prefill_tokens and "
                          "num_decode_tokens");
    if (config->window.end_s > 0 && config->window.end_s <= config->window.start_s)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.time_window: end %g is not after start %g",
                          config->window.end_s, config->window.start_s);
    if (check_extent(config, false, err))
        return -1;
    return check_reference(config, NULL, err);
}

static int check_shared_prefix(const struct vidur_workload_config *config,
                               struct vidur_error *err)
{
    const bool scaled = config->shared_prefix.num_stages == 0 &&
                        config->num_requests > 0 && !(config->duration_s > 0);
    if (!scaled && (config->num_requests > 0 || config->duration_s > 0))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.%s: the stages of shared_prefix say how many requests "
            "there are; leave it out",
            config->num_requests > 0 ? "num_requests" : "duration_s");
    if (config->seeds == VIDUR_SEEDS_REFERENCE)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.seeds: reference does not cover shared_prefix; use "
                          "own");
    struct vidur_shared_prefix_config prefix = config->shared_prefix;
    if (scaled)
        vidur_shared_prefix_unscaled(&prefix, config->num_requests);
    return vidur_shared_prefix_check(&prefix, config->max_tokens, err);
}

/* `arrivals: {type: trace}`: the starts of the log that the sessions come from. */
static int check_starts(const struct vidur_workload_config *config,
                        struct vidur_error *err)
{
    const struct vidur_arrivals_config *arrivals = &config->arrivals;
    if (!config->sessions.file[0])
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals.type: trace is for the sessions of a log, "
                          "sessions.file; others start by poisson, gamma, static or "
                          "closed_loop, whose concurrency is that of users");
    if (arrivals->file[0])
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals.file: sessions start as the log that they "
                          "come from says, sessions.file; leave it out");
    return vidur_arrivals_check_range(arrivals, err);
}

/* `arrivals:` are those of sessions. */
static int check_sessions(const struct vidur_workload_config *config,
                          struct vidur_error *err)
{
    const struct vidur_arrivals_policy *arrivals =
        vidur_arrivals_find(config->arrivals.type);
    const bool starts = arrivals && arrivals->load;
    if (starts ? check_starts(config, err)
               : vidur_arrivals_check(&config->arrivals, err))
        return -1;
    if (config->seeds == VIDUR_SEEDS_REFERENCE)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.seeds: reference does not cover sessions; use own");
    if (!arrivals->draw && !starts && config->num_requests <= 0)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.num_requests: missing; the requests of all sessions, "
            "where their starts have no rate");
    if (check_extent(config, !starts, err))
        return -1;
    return vidur_sessions_check(&config->sessions, config->max_tokens, err);
}

int vidur_workload_config_check(const struct vidur_workload_config *config,
                                struct vidur_error *err)
{
    switch (config->type) {
    case VIDUR_WORKLOAD_SYNTHETIC:
    case VIDUR_WORKLOAD_MIX:
        return check_synthetic(config, err);
    case VIDUR_WORKLOAD_TRACE_REPLAY:
        return check_replay(config, err);
    case VIDUR_WORKLOAD_SHARED_PREFIX:
        return check_shared_prefix(config, err);
    case VIDUR_WORKLOAD_SESSIONS:
        return check_sessions(config, err);
    }
    return vidur_fail(err, VIDUR_EINVAL,
                      "workload.type: not known; use synthetic, mix, trace_replay, "
                      "shared_prefix or sessions");
}

/* ---- Reading ---- */

VIDUR_YAML_READER(read_lengths, vidur_lengths_config_read)
VIDUR_YAML_READER(read_arrivals, vidur_arrivals_config_read)
VIDUR_YAML_READER(read_sessions, vidur_sessions_config_read)

const char *const vidur_seeds_names[] = {"own", "reference", NULL};

#define KEY(name, kind) VIDUR_YAML_KEY(#name, kind, struct vidur_workload_config, name)

static const struct vidur_yaml_field common_fields[] = {
    {KEY(seed, CUSTOM), .read = vidur_yaml_read_seed},
    {KEY(seeds, ENUM), .names = vidur_seeds_names},
    {KEY(num_requests, INT64), .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY(duration_s, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(max_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 2},
    {KEY(cut_long_requests, BOOL)},
    {0},
};

static const struct vidur_yaml_field synthetic_fields[] = {
    {KEY(lengths, CUSTOM), .read = read_lengths},
    {KEY(arrivals, CUSTOM), .read = read_arrivals},
    {0},
};

const struct vidur_yaml_field *vidur_workload_draw_fields(void)
{
    return synthetic_fields;
}

#define CLASS_KEY(name, kind)                                                          \
    VIDUR_YAML_KEY(#name, kind, struct vidur_class_config, name)

static const struct vidur_yaml_field class_fields[] = {
    {CLASS_KEY(name, STRING), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {CLASS_KEY(share, DOUBLE), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE},
    {CLASS_KEY(priority, INT)},
    {CLASS_KEY(max_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 2},
    {CLASS_KEY(lengths, CUSTOM), .flags = VIDUR_YAML_REQUIRED, .read = read_lengths,
     .example = "{type: uniform}"},
    {.key = "slos", .type = VIDUR_YAML_ELSEWHERE}, /* with those of the run */
    {0},
};

static const struct vidur_yaml_field class_element = {
    .key = "",
    .type = VIDUR_YAML_MAPPING,
    .size = sizeof(struct vidur_class_config),
    .fields = class_fields};

static const struct vidur_yaml_field mix_fields[] = {
    {.key = "classes",
     .type = VIDUR_YAML_ARRAY,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct vidur_workload_config, classes, num_classes),
     .element = &class_element,
     .element_default = &vidur_class_defaults,
     .max_count = VIDUR_MAX_CLASSES},
    {KEY(arrivals, CUSTOM), .read = read_arrivals},
    {0},
};

#define WINDOW_KEY(key, kind, member)                                                  \
    VIDUR_YAML_KEY(key, kind, struct vidur_trace_window, member)

static const struct vidur_yaml_field time_window_fields[] = {
    {WINDOW_KEY("start", DOUBLE, start_s), .flags = VIDUR_YAML_MIN, .min = 0},
    {WINDOW_KEY("end", DOUBLE, end_s), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

/* For enum vidur_trace_peak's values in order but for the first. */
static const char *const peak_names[] = {"tokens", "requests", NULL};

static int read_by(const struct vidur_yaml_node *node, void *out,
                   struct vidur_error *err)
{
    const char *name = vidur_yaml_scalar(node);
    for (int i = 0; name && peak_names[i]; i++)
        if (strcmp(peak_names[i], name) == 0) {
            *(enum vidur_trace_peak *)out =
                (enum vidur_trace_peak)(VIDUR_TRACE_PEAK_TOKENS + i);
            return 0;
        }
    return name ? vidur_yaml_fail(node, err, "'%.40s'; give tokens or requests", name)
                : vidur_yaml_fail_shape(node, "a word", peak_names[0], err);
}

static const struct vidur_yaml_field peak_fields[] = {
    {WINDOW_KEY("window_s", DOUBLE, peak_s), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {WINDOW_KEY("by", CUSTOM, peak), .read = read_by, .example = "tokens"},
    {0},
};

/* busiest_hour, with a blank too, or {window_s: 600, by: requests} */
static int read_peak(const struct vidur_yaml_node *node, void *out,
                     struct vidur_error *err)
{
    struct vidur_trace_window *window = out;
    const char *name = vidur_yaml_scalar(node);
    window->peak = VIDUR_TRACE_PEAK_TOKENS;
    window->peak_s = 3600;
    if (name && strcmp(name, "busiest_hour") != 0 && strcmp(name, "busiest hour") != 0)
        return vidur_yaml_fail(node, err,
                               "'%.40s'; give busiest_hour or {window_s: 600, by: "
                               "tokens}",
                               name);
    return name ? 0 : vidur_yaml_read(node, peak_fields, window, err);
}

/* What a search, whose loads are scales of time, has too. */
static const struct vidur_yaml_field scaled_replay_fields[] = {
    {KEY(file, PATH), .flags = VIDUR_YAML_REQUIRED},
    {VIDUR_YAML_KEYS(struct vidur_workload_config, trace, vidur_trace_option_fields)},
    {.key = "time_window",
     .type = VIDUR_YAML_MAPPING,
     VIDUR_YAML_AT(struct vidur_workload_config, window),
     .fields = time_window_fields},
    {.key = "peak",
     .type = VIDUR_YAML_CUSTOM,
     VIDUR_YAML_AT(struct vidur_workload_config, window),
     .read = read_peak},
    {KEY(prefill_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(decode_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

const struct vidur_yaml_field *vidur_workload_replay_fields(void)
{
    return scaled_replay_fields;
}

static const struct vidur_yaml_field replay_fields[] = {
    {.key = "", .type = VIDUR_YAML_PART, .part = vidur_workload_replay_fields},
    {KEY(time_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

#define PREFIX_KEY(name, kind)                                                         \
    VIDUR_YAML_KEY(#name, kind, struct vidur_workload_config, shared_prefix.name)

static const struct vidur_yaml_field load_stage_fields[] = {
    {.key = "rate",
     .type = VIDUR_YAML_DOUBLE,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE,
     VIDUR_YAML_AT(struct vidur_load_stage, rate_qps)},
    {.key = "duration_s",
     .type = VIDUR_YAML_DOUBLE,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE,
     VIDUR_YAML_AT(struct vidur_load_stage, duration_s)},
    {0},
};

static const struct vidur_yaml_field load_stage = {.key = "",
                                                   .type = VIDUR_YAML_MAPPING,
                                                   .size =
                                                       sizeof(struct vidur_load_stage),
                                                   .fields = load_stage_fields};

#define QUANTILE_EXAMPLE "[0.5, 600]"

/* [probability, tokens] */
static int read_quantile(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    struct vidur_prompt_quantile *quantile = out;
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_fail_shape(node, "a pair", QUANTILE_EXAMPLE, err);
    if (vidur_yaml_count(node) != 2)
        return vidur_yaml_fail(node, err, "not a pair; write [probability, tokens]");
    if (vidur_yaml_as_double(vidur_yaml_item(node, 0), &quantile->quantile, err) ||
        vidur_yaml_as_double(vidur_yaml_item(node, 1), &quantile->tokens, err))
        return -1;
    if (!(quantile->quantile >= 0 && quantile->quantile <= 1) ||
        !(quantile->tokens >= 1))
        return vidur_yaml_fail(node, err,
                               "[%g, %g]; a probability in [0, 1] and 1 token or more",
                               quantile->quantile, quantile->tokens);
    return 0;
}

static const struct vidur_yaml_field quantile_element = {
    .key = "",
    .type = VIDUR_YAML_CUSTOM,
    .size = sizeof(struct vidur_prompt_quantile),
    .example = QUANTILE_EXAMPLE,
    .read = read_quantile};

static const struct vidur_yaml_field prompt_fields[] = {
    {.key = "mean",
     .type = VIDUR_YAML_DOUBLE,
     .flags = VIDUR_YAML_ABOVE,
     VIDUR_YAML_AT(struct vidur_shared_prefix_config, prompt_mean_tokens)},
    {.key = "std",
     .type = VIDUR_YAML_DOUBLE,
     .flags = VIDUR_YAML_MIN,
     VIDUR_YAML_AT(struct vidur_shared_prefix_config, prompt_std_tokens)},
    {.key = "quantiles",
     .type = VIDUR_YAML_ARRAY,
     .flags = VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct vidur_shared_prefix_config, quantiles, num_quantiles),
     .element = &quantile_element,
     .max_count = VIDUR_MAX_PROMPT_QUANTILES},
    {0},
};

static const char *const stage_arrivals_names[] = {"exponential_filled", "poisson",
                                                   "static", NULL};

static const struct vidur_yaml_field stage_arrivals_fields[] = {
    {.key = "type",
     .type = VIDUR_YAML_ENUM,
     VIDUR_YAML_AT(struct vidur_shared_prefix_config, arrivals),
     .names = stage_arrivals_names},
    {0},
};

static const struct vidur_yaml_field scaled_prefix_fields[] = {
    {PREFIX_KEY(num_groups, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {PREFIX_KEY(num_prompts_per_group, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {PREFIX_KEY(system_prompt_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 0},
    {PREFIX_KEY(output_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {.key = "prompt_tokens",
     .type = VIDUR_YAML_MAPPING,
     .flags = VIDUR_YAML_REQUIRED,
     VIDUR_YAML_AT(struct vidur_workload_config, shared_prefix),
     .fields = prompt_fields},
    {.key = "arrivals",
     .type = VIDUR_YAML_MAPPING,
     VIDUR_YAML_AT(struct vidur_workload_config, shared_prefix),
     .fields = stage_arrivals_fields},
    {0},
};

const struct vidur_yaml_field *vidur_workload_prefix_fields(void)
{
    return scaled_prefix_fields;
}

static const struct vidur_yaml_field shared_prefix_fields[] = {
    {.key = "", .type = VIDUR_YAML_PART, .part = vidur_workload_prefix_fields},
    {.key = "stages",
     .type = VIDUR_YAML_ARRAY,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct vidur_workload_config, shared_prefix.stages,
                     shared_prefix.num_stages),
     .element = &load_stage,
     .max_count = VIDUR_MAX_LOAD_STAGES},
    {0},
};

static const struct vidur_yaml_field sessions_fields[] = {
    {KEY(sessions, CUSTOM), .read = read_sessions, .flags = VIDUR_YAML_REQUIRED},
    {KEY(arrivals, CUSTOM), .read = read_arrivals},
    {0},
};

static const struct vidur_yaml_variant types[] = {
    {"synthetic", VIDUR_WORKLOAD_SYNTHETIC, synthetic_fields},
    {"trace_replay", VIDUR_WORKLOAD_TRACE_REPLAY, replay_fields},
    {"shared_prefix", VIDUR_WORKLOAD_SHARED_PREFIX, shared_prefix_fields},
    {"sessions", VIDUR_WORKLOAD_SESSIONS, sessions_fields},
    {"mix", VIDUR_WORKLOAD_MIX, mix_fields},
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
