/* The keys of a deployment that are more than names of specs: how it is laid out over
 * devices, and its scheduler's. */

#include <vidur/simulation_config.h>

#include "base/yaml.h"

const char *const vidur_memory_planner_names[] = {"by_semantics", "vidur", "exact",
                                                  NULL};

/* ---- `cluster:` ---- */

#define KEY(key, kind, member)                                                         \
    VIDUR_YAML_KEY(key, kind, struct vidur_deployment, member)
#define X(kind, name, def, least)                                                      \
    VIDUR_YAML_AT_LEAST(kind, struct vidur_deployment, name, least),

static const struct vidur_yaml_field cluster_fields[] = {
    {KEY("num_replicas", INT, num_replicas), .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY("memory_margin_fraction", DOUBLE, memory_margin_fraction),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_BELOW, .min = 0, .max = 1},
    {KEY("cpu_cores", DOUBLE, cpu_cores), .flags = VIDUR_YAML_MIN, .min = 0},
    {KEY("memory_planner", ENUM, memory_planner), .names = vidur_memory_planner_names},
    VIDUR_PARALLELISM(X){0}};
#undef X

const struct vidur_yaml_field *vidur_deployment_cluster_fields(void)
{
    return cluster_fields;
}

/* ---- `scheduler:` ---- */

const char *const vidur_scheduling_policy_names[] = {"fcfs", "priority", NULL};

#define VIDUR_YAML_TYPE_vidur_scheduling_policy VIDUR_YAML_ENUM
#define WORDS_int                               NULL
#define WORDS_int64_t                           NULL
#define WORDS_double                            NULL
#define WORDS_bool                              NULL
#define WORDS__Bool                             NULL
#define WORDS_vidur_scheduling_policy           vidur_scheduling_policy_names

#define X(kind, name_, def, least)                                                     \
    {.key = #name_,                                                                    \
     .type = VIDUR_YAML_TYPE_##kind,                                                   \
     .flags = VIDUR_YAML_MIN,                                                          \
     VIDUR_YAML_AT(struct vidur_scheduler_config, name_),                              \
     .min = (least),                                                                   \
     .names = WORDS_##kind},
static const struct vidur_yaml_field knob_fields[] = {VIDUR_SCHEDULER_KNOBS(X){0}};
#undef X

const struct vidur_yaml_field *vidur_scheduler_knob_fields(void)
{
    return knob_fields;
}

static const struct vidur_yaml_field scheduler_fields[] = {
    {VIDUR_YAML_KEY("type", STRING, struct vidur_scheduler_config, type),
     .flags = VIDUR_YAML_FILLED},
    {.key = "", .type = VIDUR_YAML_PART, .part = vidur_scheduler_knob_fields},
    {0}};

int vidur_scheduler_config_read(const struct vidur_yaml_node *section,
                                struct vidur_scheduler_config *scheduler,
                                struct vidur_error *err)
{
    return vidur_yaml_read(section, scheduler_fields, scheduler, err);
}

/* ---- `kv_transfer:` ---- */

static const struct vidur_yaml_field transfer_fields[] = {
    {VIDUR_YAML_KEY("bandwidth_gb_per_s", DOUBLE, struct vidur_kv_transfer,
                    bandwidth_gb_per_s),
     .flags = VIDUR_YAML_ABOVE, .min = 0},
    {VIDUR_YAML_KEY("latency_us", DOUBLE, struct vidur_kv_transfer, latency_us),
     .flags = VIDUR_YAML_MIN, .min = 0},
    {VIDUR_YAML_KEY("overlap", ENUM, struct vidur_kv_transfer, overlap),
     .names = vidur_kv_overlap_names},
    {0}};

static const struct vidur_yaml_field transfer_section[] = {
    {.key = "kv_transfer",
     .type = VIDUR_YAML_MAPPING,
     .size = sizeof(struct vidur_kv_transfer),
     .fields = transfer_fields},
    {0}};

const struct vidur_yaml_field *vidur_kv_transfer_section(void)
{
    return transfer_section;
}
