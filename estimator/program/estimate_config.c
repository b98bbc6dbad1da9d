#include "program/estimate_config.h"

#include "base/section.h"
#include "base/yaml.h"

#include <vidur/spec_config.h>

#include <stddef.h>
#include <string.h>

/* What is read beside the configuration itself. */
struct document {
    struct vidur_estimate_config config;
    char model[1024];
    struct vidur_hardware_config hardware;
    enum vidur_semantics semantics;
};

#define KEY(key, kind, member) VIDUR_YAML_KEY(key, kind, struct document, member)
#define KEYS(member, part)     VIDUR_YAML_KEYS(struct document, member, part)
#define OTHER(key_)                                                                    \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_ELSEWHERE                                      \
    }
#define X(kind, name, def, min)                                                        \
    VIDUR_YAML_AT_LEAST(kind, struct vidur_estimate_config, name, min),

static const struct vidur_yaml_field layout_fields[] = {VIDUR_PARALLELISM(X){0}};
#undef X

static const struct vidur_yaml_field *layout_part(void)
{
    return layout_fields;
}

static const struct vidur_yaml_field cluster_fields[] = {
    {KEYS(hardware, vidur_hardware_fields)},
    {KEYS(config, layout_part)},
    OTHER("num_replicas"),
    OTHER("memory_margin_fraction"),
    OTHER("cpu_cores"),
    OTHER("memory_planner"),
    {0}};

static const struct vidur_yaml_field document_fields[] = {
    {KEY("model", REFERENCE, model), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    OTHER("precision"), /* with the model */
    {.key = "cluster",
     .type = VIDUR_YAML_MAPPING,
     .flags = VIDUR_YAML_REQUIRED,
     .fields = cluster_fields},
    {KEY("semantics", ENUM, semantics), .names = vidur_semantics_names},
    {KEYS(config.estimator, vidur_estimator_section)},
    OTHER("scheduler"),
    OTHER("pools"),
    OTHER("slos"),
    OTHER("kv_transfer"),
    OTHER("first_token"),
    OTHER("workload"),
    OTHER("router"),
    OTHER("time_limit_s"),
    OTHER("tbt_definition"),
    OTHER("output"),
    {0}};

static int load_specs(const struct vidur_yaml_node *root, struct document *document,
                      struct vidur_error *err)
{
    struct vidur_estimate_config *config = &document->config;
    const struct vidur_yaml_node *cluster = vidur_yaml_get(root, "cluster");
    document->hardware.semantics = document->semantics;
    if (vidur_model_config_load(&config->model, document->model, root, "model", err) ||
        vidur_hardware_load(&document->hardware, cluster, &config->device,
                            &config->node, err))
        return -1;
    const struct vidur_cut cut = {.tensor = config->tensor_parallel_size,
                                  .pipeline = config->num_pipeline_stages,
                                  .expert = config->expert_parallel,
                                  .data = config->data_parallel_size};
    if (vidur_check_data_parallel(&config->model, &cut, err))
        return vidur_section_fail(cluster, "data_parallel_size", err);
    if (vidur_check_tensor_parallel(&config->model, &cut, document->semantics, err))
        return vidur_section_fail(cluster, "tensor_parallel_size", err);
    if (vidur_check_precision(&config->model, &config->device, err))
        return vidur_section_fail(root, "precision", err);
    struct vidur_stage_kinds kinds;
    if (config->engine
            ? vidur_stage_kinds_of(&kinds, &config->model, &config->node, &cut, err)
            : vidur_check_pipeline(&config->model, config->num_pipeline_stages, err))
        return vidur_section_fail(cluster, "num_pipeline_stages", err);
    return 0;
}

/* A number from 1 up of the scheduler's section; left alone when not given. */
static int read_knob(const struct vidur_yaml_node *root, const char *key, int *out,
                     struct vidur_error *err)
{
    const struct vidur_yaml_node *scheduler = vidur_yaml_get(root, "scheduler");
    const struct vidur_yaml_node *node =
        scheduler && vidur_yaml_kind(scheduler) == VIDUR_YAML_IS_MAPPING
            ? vidur_yaml_get(scheduler, key)
            : NULL;
    static const struct vidur_yaml_field size = {.key = "",
                                                 .type = VIDUR_YAML_INT,
                                                 .flags = VIDUR_YAML_MIN,
                                                 .size = sizeof(int),
                                                 .min = 1};
    return node ? vidur_yaml_read_field(node, &size, out, err) : 0;
}

static int read_document(const struct vidur_yaml_node *root,
                         struct vidur_estimate_config *config, struct vidur_error *err)
{
    struct document document = {.config = *config};
    if (vidur_yaml_read(root, document_fields, &document, err) ||
        load_specs(root, &document, err) ||
        read_knob(root, "block_size", &document.config.block_size_tokens, err) ||
        read_knob(root, "max_num_seqs", &document.config.max_num_seqs, err))
        return -1;
    *config = document.config;
    return 0;
}

int vidur_estimate_config_load(struct vidur_estimate_config *config, const char *path,
                               const char *const *sets, int num_sets,
                               struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_open(path, sets, num_sets, err);
    if (!doc)
        return -1;
    *config = (struct vidur_estimate_config){.engine = config->engine};
#define X(type, name, def, min) config->name = def;
    VIDUR_PARALLELISM(X)
#undef X
    config->block_size_tokens = 16;
    config->max_num_seqs = 128;
    vidur_estimator_config_defaults(&config->estimator);
    const int status = read_document(vidur_yaml_root(doc), config, err);
    vidur_yaml_free(doc);
    return status;
}

struct vidur_timetable_request
vidur_estimate_request(const struct vidur_estimate_config *config)
{
    const int devices = config->data_parallel_size * config->tensor_parallel_size *
                        config->num_pipeline_stages;
    return (struct vidur_timetable_request){
        .model = &config->model,
        .device = &config->device,
        .node = &config->node,
        .tensor_parallel_size = config->tensor_parallel_size,
        .expert_parallel = config->expert_parallel,
        .data_parallel_size = config->data_parallel_size,
        .pipeline = config->num_pipeline_stages > 1,
        .multi_node = devices > config->node.devices_per_node,
        .block_size_tokens = config->block_size_tokens};
}
