#include "program/estimate_config.h"

#include "base/yaml.h"

#include <vidur/paths.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The keys of `cluster` that matter here; the others are the simulator's. */
struct cluster {
    char network_device[VIDUR_PATH_MAX];
    char device[VIDUR_PATH_MAX];
    int tensor_parallel_size;
    int num_pipeline_stages;
};

static const struct vidur_yaml_field cluster_fields[] = {
    {.key = "device",
     .type = VIDUR_YAML_STRING,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(struct cluster, device)},
    {.key = "network_device",
     .type = VIDUR_YAML_STRING,
     VIDUR_YAML_AT(struct cluster, network_device)},
    {.key = "tensor_parallel_size",
     .type = VIDUR_YAML_INT,
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX,
     VIDUR_YAML_AT(struct cluster, tensor_parallel_size),
     .min = 1,
     .max = 1024},
    {.key = "num_pipeline_stages",
     .type = VIDUR_YAML_INT,
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX,
     VIDUR_YAML_AT(struct cluster, num_pipeline_stages),
     .min = 1,
     .max = 1024},
    {.key = "num_replicas", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "memory_margin_fraction", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "memory_planner", .type = VIDUR_YAML_ELSEWHERE},
    {.key = NULL}};

struct document {
    char model[VIDUR_PATH_MAX];
    struct cluster cluster;
};

static const struct vidur_yaml_field document_fields[] = {
    {.key = "model",
     .type = VIDUR_YAML_STRING,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(struct document, model)},
    {.key = "cluster",
     .type = VIDUR_YAML_MAPPING,
     .flags = VIDUR_YAML_REQUIRED,
     .offset = offsetof(struct document, cluster),
     .fields = cluster_fields},
    {.key = "estimator", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "scheduler", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "workload", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "router", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "semantics", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "time_limit_s", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "tbt_definition", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "output", .type = VIDUR_YAML_ELSEWHERE},
    {.key = NULL}};

/* Files named in a configuration are relative to it; bare names are specs of data/. */
struct reference {
    const struct vidur_yaml_node *parent;
    const char *key;
    const char *kind; /* folder below data/ */
    const char *text;
};

static int resolve(const struct reference *reference, struct vidur_path *path,
                   struct vidur_error *err)
{
    struct vidur_error why;
    if (vidur_path_spec(vidur_yaml_file(reference->parent), reference->kind,
                        reference->text, path, &why))
        return vidur_yaml_fail_key(reference->parent, reference->key, err, "%s",
                                   why.text);
    return 0;
}

static int load_node(const struct vidur_yaml_node *cluster, const char *reference,
                     struct vidur_estimate_config *config, struct vidur_error *err)
{
    char fallback[sizeof config->device.name + 32];
    struct vidur_path path;
    snprintf(fallback, sizeof fallback, "%s_pairwise_nvlink", config->device.name);
    const struct reference node = {cluster, "network_device", "skus/nodes",
                                   reference[0] ? reference : fallback};
    if (resolve(&node, &path, err) ||
        vidur_node_sku_load(&config->node, path.text, err))
        return -1;
    if (strcmp(config->node.device, config->device.name) != 0)
        return vidur_yaml_fail_key(cluster, "network_device", err,
                                   "%s holds %s, not %s; name a node of that device",
                                   config->node.name, config->node.device,
                                   config->device.name);
    return 0;
}

static int load_specs(const struct vidur_yaml_node *root,
                      const struct document *document,
                      struct vidur_estimate_config *config, struct vidur_error *err)
{
    const struct vidur_yaml_node *cluster = vidur_yaml_get(root, "cluster");
    const struct reference model = {root, "model", "models", document->model};
    const struct reference device = {cluster, "device", "skus/devices",
                                     document->cluster.device};
    struct vidur_path path;
    if (resolve(&model, &path, err) ||
        vidur_model_load(&config->model, path.text, err) ||
        resolve(&device, &path, err) ||
        vidur_device_sku_load(&config->device, path.text, err) ||
        load_node(cluster, document->cluster.network_device, config, err))
        return -1;
    struct vidur_error why;
    if (vidur_estimate_check_tp(&config->model, document->cluster.tensor_parallel_size,
                                &why))
        return vidur_yaml_fail_key(cluster, "tensor_parallel_size", err, "%s",
                                   why.text);
    return 0;
}

static int read_block_size(const struct vidur_yaml_node *root, int *block_size,
                           struct vidur_error *err)
{
    const struct vidur_yaml_node *scheduler = vidur_yaml_get(root, "scheduler");
    const struct vidur_yaml_node *node =
        scheduler && vidur_yaml_kind(scheduler) == VIDUR_YAML_IS_MAPPING
            ? vidur_yaml_get(scheduler, "block_size")
            : NULL;
    *block_size = 16;
    if (!node)
        return 0;
    if (vidur_yaml_as_int(node, block_size, err))
        return -1;
    if (*block_size < 1)
        return vidur_yaml_fail(node, err, "%d is no size; it must be >= 1",
                               *block_size);
    return 0;
}

static int read_document(const struct vidur_yaml_node *root,
                         struct vidur_estimate_config *config, struct vidur_error *err)
{
    struct document document = {
        .cluster = {.tensor_parallel_size = 1, .num_pipeline_stages = 1}};
    if (vidur_yaml_read(root, document_fields, &document, err) ||
        load_specs(root, &document, config, err) ||
        read_block_size(root, &config->block_size_tokens, err))
        return -1;
    config->tensor_parallel_size = document.cluster.tensor_parallel_size;
    config->num_pipeline_stages = document.cluster.num_pipeline_stages;
    vidur_estimator_config_defaults(&config->estimator);
    const struct vidur_yaml_node *section = vidur_yaml_get(root, "estimator");
    return section ? vidur_estimator_config_read(section, &config->estimator, err) : 0;
}

int vidur_estimate_config_load(struct vidur_estimate_config *config, const char *path,
                               const char *const *sets, int num_sets,
                               struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_load(path, err);
    if (!doc)
        return -1;
    int status = 0;
    memset(config, 0, sizeof *config);
    for (int i = 0; status == 0 && i < num_sets; i++)
        status = vidur_yaml_set(doc, sets[i], err);
    if (status == 0)
        status = read_document(vidur_yaml_root(doc), config, err);
    vidur_yaml_free(doc);
    return status;
}

struct vidur_timetable_request
vidur_estimate_request(const struct vidur_estimate_config *config)
{
    const int devices = config->tensor_parallel_size * config->num_pipeline_stages;
    return (struct vidur_timetable_request){
        .model = &config->model,
        .device = &config->device,
        .node = &config->node,
        .tensor_parallel_size = config->tensor_parallel_size,
        .pipeline = config->num_pipeline_stages > 1,
        .multi_node = devices > config->node.devices_per_node,
        .block_size_tokens = config->block_size_tokens};
}

int vidur_estimate_check_tp(const struct vidur_model_spec *model, int tp,
                            struct vidur_error *err)
{
    if (model->kinds[0].num_q_heads % tp)
        return vidur_fail(err, VIDUR_EINVAL, "%d does not divide %d query heads of %s",
                          tp, model->kinds[0].num_q_heads, model->name);
    if (model->embedding_dim % tp)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d does not divide the embedding dimension %d of %s", tp,
                          model->embedding_dim, model->name);
    if (model->max_tensor_parallel_size && tp > model->max_tensor_parallel_size)
        return vidur_fail(err, VIDUR_EINVAL, "%d is more than %s can use; at most %d",
                          tp, model->name, model->max_tensor_parallel_size);
    return 0;
}
