#include <vidur/simulation_config.h>

#include "base/hash.h"
#include "base/section.h"
#include "base/text.h"
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const vidur_semantics_names[] = {"corrected", "vidur", NULL};
const char *const vidur_memory_planner_names[] = {"by_semantics", "vidur", "exact",
                                                  NULL};
static const char *const tbt_definition_names[] = {"token", "batch", NULL};

enum { MAX_REFERENCE = 1024 };

/* What is read beside the configuration itself: names, which are looked up once all is
 * read. */
struct document {
    struct vidur_simulation_config config;
    char model[MAX_REFERENCE];
    char device[MAX_REFERENCE];
    char node[MAX_REFERENCE];
};

/* ---- Scheduler ---- */

#define YAML_TYPE_int     VIDUR_YAML_INT
#define YAML_TYPE_int64_t VIDUR_YAML_INT64
#define YAML_TYPE_double  VIDUR_YAML_DOUBLE
#define YAML_TYPE_bool    VIDUR_YAML_BOOL

#define X(kind, name, def, least)                                                      \
    {.key = #name,                                                                     \
     .type = YAML_TYPE_##kind,                                                         \
     .flags = VIDUR_YAML_MIN,                                                          \
     VIDUR_YAML_AT(struct vidur_scheduler_config, name),                               \
     .min = least},
static const struct vidur_yaml_field knob_fields[] = {VIDUR_SCHEDULER_KNOBS(X){0}};

static const struct vidur_yaml_field scheduler_fields[] = {
    {.key = "type",
     .type = VIDUR_YAML_STRING,
     .flags = VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(struct vidur_scheduler_config, type)},
    VIDUR_SCHEDULER_KNOBS(X){0}};
#undef X

const struct vidur_yaml_field *vidur_scheduler_knob_fields(void)
{
    return knob_fields;
}

int vidur_scheduler_config_read(const struct vidur_yaml_node *section,
                                struct vidur_scheduler_config *scheduler,
                                struct vidur_error *err)
{
    return vidur_yaml_read(section, scheduler_fields, scheduler, err);
}

/* ---- The document ---- */

/* A name of a spec, or the path of one relative to the configuration. */
static int read_reference(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    return vidur_yaml_as_reference(node, out, MAX_REFERENCE, err);
}

static int read_scheduler(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    return vidur_scheduler_config_read(node, out, err);
}

static int read_workload(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    return vidur_workload_config_read(node, out, err);
}

static int read_estimator(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    return vidur_estimator_config_read(node, out, err);
}

#define KEY(key_, kind, member)                                                        \
    .key = key_, .type = VIDUR_YAML_##kind, VIDUR_YAML_AT(struct document, member)

static const struct vidur_yaml_field cluster_fields[] = {
    {KEY("device", CUSTOM, device), .flags = VIDUR_YAML_REQUIRED,
     .read = read_reference},
    {KEY("network_device", CUSTOM, node), .read = read_reference},
    {KEY("num_replicas", INT, config.deployment.num_replicas), .flags = VIDUR_YAML_MIN,
     .min = 1},
    {KEY("tensor_parallel_size", INT, config.deployment.tensor_parallel_size),
     .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY("num_pipeline_stages", INT, config.deployment.num_pipeline_stages),
     .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY("memory_margin_fraction", DOUBLE, config.deployment.memory_margin_fraction),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_BELOW, .min = 0, .max = 1},
    {KEY("memory_planner", ENUM, config.deployment.memory_planner),
     .names = vidur_memory_planner_names},
    {0}};

static const struct vidur_yaml_field output_fields[] = {
#define X(name, def, what) {KEY(#name, BOOL, config.output.name)},
    VIDUR_SIMULATION_OUTPUTS(X)
#undef X
        {0}};

static const struct vidur_yaml_field root_fields[] = {
    {KEY("semantics", ENUM, config.deployment.semantics),
     .names = vidur_semantics_names},
    {KEY("model", CUSTOM, model), .flags = VIDUR_YAML_REQUIRED, .read = read_reference},
    {.key = "cluster",
     .type = VIDUR_YAML_MAPPING,
     .flags = VIDUR_YAML_REQUIRED,
     .fields = cluster_fields},
    {KEY("router", STRING, config.deployment.router), .flags = VIDUR_YAML_FILLED},
    {KEY("scheduler", CUSTOM, config.deployment.scheduler), .read = read_scheduler},
    {KEY("workload", CUSTOM, config.workload), .flags = VIDUR_YAML_REQUIRED,
     .read = read_workload},
    {KEY("estimator", CUSTOM, config.estimator), .read = read_estimator},
    {KEY("time_limit_s", DOUBLE, config.time_limit_s), .flags = VIDUR_YAML_MIN,
     .min = 0},
    {KEY("tbt_definition", ENUM, config.tbt_definition), .names = tbt_definition_names},
    {.key = "output", .type = VIDUR_YAML_MAPPING, .fields = output_fields},
    {0}};

void vidur_simulation_config_defaults(struct vidur_simulation_config *config)
{
    memset(config, 0, sizeof *config);
    vidur_deployment_defaults(&config->deployment);
    vidur_workload_config_defaults(&config->workload);
    vidur_estimator_config_defaults(&config->estimator);
#define X(name, def, what) config->output.name = def;
    VIDUR_SIMULATION_OUTPUTS(X)
#undef X
}

/* ---- Names to specs ---- */

/* Puts the place of the key that named a spec in front of why it cannot be had. */
static int fail_at(const struct vidur_yaml_node *mapping, const char *key,
                   struct vidur_error *err)
{
    if (!err)
        return -1;
    char text[sizeof err->text];
    enum vidur_error_code code = err->code;
    snprintf(text, sizeof text, "%s", err->text);
    vidur_yaml_fail_key(mapping, key, err, "%s", text);
    err->code = code;
    return -1;
}

static int load_specs(const struct vidur_yaml_node *root, struct document *document,
                      struct vidur_error *err)
{
    struct vidur_deployment *deployment = &document->config.deployment;
    const struct vidur_yaml_node *cluster = vidur_yaml_get(root, "cluster");
    if (vidur_model_load(&deployment->model, document->model, err))
        return fail_at(root, "model", err);
    if (vidur_device_sku_load(&deployment->device, document->device, err))
        return fail_at(cluster, "device", err);
    document->config.default_node = !document->node[0];
    if (document->config.default_node &&
        vidur_deployment_default_node(&deployment->device, deployment->semantics,
                                      document->node, sizeof document->node, err))
        return fail_at(cluster, "network_device", err);
    if (vidur_node_sku_load(&deployment->node, document->node, err))
        return fail_at(cluster, "network_device", err);
    if (strcmp(deployment->node.device, deployment->device.name) != 0)
        return vidur_yaml_fail_key(cluster, "network_device", err,
                                   "%s holds %s devices, not %s; name a node of %s",
                                   deployment->node.name, deployment->node.device,
                                   deployment->device.name, deployment->device.name);
    return 0;
}

static int read_root(const struct vidur_yaml_node *root, struct document *document,
                     struct vidur_error *err)
{
    struct vidur_simulation_config *config = &document->config;
    if (vidur_yaml_read(root, root_fields, document, err) ||
        load_specs(root, document, err))
        return -1;
    vidur_workload_config_complete(&config->workload, config->deployment.semantics);
    if (vidur_deployment_check(&config->deployment, err))
        return vidur_section_locate(root, "", err);
    return 0;
}

/* ---- Files ---- */

static int keep_text(struct vidur_simulation_config *config,
                     const struct vidur_yaml *doc, struct vidur_error *err)
{
    struct vidur_text text = {0};
    size_t size;
    const char *source = vidur_yaml_text(doc, &size);
    vidur_text_add(&text, source, size);
    for (int i = 0; i < vidur_yaml_num_sets(doc); i++) {
        vidur_text_adds(&text, "# --set ");
        vidur_text_adds(&text, vidur_yaml_set_text(doc, i));
        vidur_text_adds(&text, "\n");
    }
    config->text = text.data;
    if (text.failed || !text.data)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", config->path);
    return 0;
}

static int keep_hash(struct vidur_simulation_config *config,
                     const struct vidur_yaml *doc, struct vidur_error *err)
{
    char *canonical = vidur_yaml_canonical(vidur_yaml_root(doc));
    if (!canonical)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", config->path);
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_sha256_add_string(&sha, canonical);
    vidur_sha256_hex(&sha, config->sha256);
    free(canonical);
    return 0;
}

static int read_document(struct vidur_simulation_config *config, struct vidur_yaml *doc,
                         struct vidur_error *err)
{
    struct document *document = calloc(1, sizeof *document);
    if (!document)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", config->path);
    document->config = *config;
    int status = read_root(vidur_yaml_root(doc), document, err);
    *config = document->config;
    free(document);
    return status;
}

int vidur_simulation_config_load(struct vidur_simulation_config *config,
                                 const char *path, const char *const *sets,
                                 int num_sets, struct vidur_error *err)
{
    vidur_simulation_config_defaults(config);
    snprintf(config->path, sizeof config->path, "%s", path);
    struct vidur_yaml *doc = vidur_yaml_load(path, err);
    if (!doc)
        return -1;
    int status = 0;
    for (int i = 0; i < num_sets && status == 0; i++)
        status = vidur_yaml_set(doc, sets[i], err);
    if (status == 0)
        status = keep_text(config, doc, err);
    if (status == 0)
        status = keep_hash(config, doc, err);
    if (status == 0)
        status = read_document(config, doc, err);
    vidur_yaml_free(doc);
    return status;
}

int vidur_simulation_config_locate(const struct vidur_simulation_config *config,
                                   const char *const *sets, int num_sets,
                                   struct vidur_error *err)
{
    struct vidur_yaml *doc =
        vidur_yaml_parse(config->path, config->text, strlen(config->text), NULL);
    for (int i = 0; i < num_sets && doc; i++)
        if (vidur_yaml_set(doc, sets[i], NULL)) {
            vidur_yaml_free(doc);
            doc = NULL;
        }
    if (doc)
        vidur_section_locate(vidur_yaml_root(doc), "", err);
    vidur_yaml_free(doc);
    return -1;
}

void vidur_simulation_config_release(struct vidur_simulation_config *config)
{
    free(config->text);
    config->text = NULL;
}
