#include <vidur/simulation_config.h>

#include "base/section.h"
#include "base/yaml.h"
#include "program/pools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is read beside the configuration itself: names, which are looked up once all is
 * read. */
struct document {
    struct vidur_simulation_config config;
    char model[1024];
    struct vidur_hardware_config hardware;
};

/* ---- The document ---- */

VIDUR_YAML_READER(read_scheduler, vidur_scheduler_config_read)
VIDUR_YAML_READER(read_workload, vidur_workload_config_read)

#define KEY(key, kind, member) VIDUR_YAML_KEY(key, kind, struct document, member)
#define KEYS(member, part)     VIDUR_YAML_KEYS(struct document, member, part)

static const struct vidur_yaml_field cluster_fields[] = {
    {KEYS(hardware, vidur_hardware_fields)},
    {KEYS(config.deployment, vidur_deployment_cluster_fields)},
    {0}};

static const struct vidur_yaml_field output_fields[] = {
#define X(name, def, what) {KEY(#name, BOOL, config.output.name)},
    VIDUR_SIMULATION_OUTPUTS(X)
#undef X
        {0}};

static const struct vidur_yaml_field slo_element = {.key = "",
                                                    .type = VIDUR_YAML_CUSTOM,
                                                    .size = sizeof(struct vidur_slo),
                                                    .read = vidur_slo_read};

static const struct vidur_yaml_field root_fields[] = {
    {KEY("semantics", ENUM, config.deployment.semantics),
     .names = vidur_semantics_names},
    {KEY("model", REFERENCE, model), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {.key = "precision", .type = VIDUR_YAML_ELSEWHERE}, /* with the model */
    {.key = "cluster", .type = VIDUR_YAML_MAPPING, .fields = cluster_fields},
    {KEY("router", STRING, config.deployment.router), .flags = VIDUR_YAML_FILLED},
    {KEY("scheduler", CUSTOM, config.deployment.scheduler), .read = read_scheduler},
    {.key = "pools",
     .type = VIDUR_YAML_ELSEWHERE}, /* once what they leave out is read */
    {KEYS(config.fleet.kv_transfer, vidur_kv_transfer_section)},
    {KEY("first_token", ENUM, config.fleet.first_token),
     .names = vidur_first_token_names},
    {KEY("workload", CUSTOM, config.workload), .flags = VIDUR_YAML_REQUIRED,
     .read = read_workload},
    {KEYS(config.estimator, vidur_estimator_section)},
    {KEY("time_limit_s", DOUBLE, config.time_limit_s), .flags = VIDUR_YAML_MIN,
     .min = 0},
    {KEY("tbt_definition", ENUM, config.tbt_definition),
     .names = vidur_tbt_definition_names},
    {.key = "slos",
     .type = VIDUR_YAML_ARRAY,
     VIDUR_YAML_LIST(struct document, config.slos.slos, config.slos.count),
     .element = &slo_element,
     .max_count = VIDUR_MAX_SLOS},
    {.key = "output", .type = VIDUR_YAML_MAPPING, .fields = output_fields},
    {0}};

/* Every key's default, the fleet's but with the file; `model`, `cluster.device` and the
 * workload's lengths and arrivals have none. */
static void set_defaults(struct vidur_simulation_config *config)
{
    memset(config, 0, sizeof *config);
    vidur_deployment_defaults(&config->deployment);
    vidur_fleet_of(&config->fleet, &config->deployment);
    vidur_workload_config_defaults(&config->workload);
    vidur_estimator_config_defaults(&config->estimator);
#define X(name, def, what) config->output.name = def;
    VIDUR_SIMULATION_OUTPUTS(X)
#undef X
}

/* ---- Names to specs ---- */

static int load_hardware(const struct vidur_yaml_node *root, struct document *document,
                         struct vidur_error *err)
{
    struct vidur_deployment *deployment = &document->config.deployment;
    const struct vidur_yaml_node *cluster = vidur_yaml_get(root, "cluster");
    if (!cluster && vidur_yaml_get(root, "pools"))
        return 0; /* each names its own */
    if (!cluster)
        return vidur_yaml_fail_missing(root, "cluster", err);
    document->hardware.semantics = deployment->semantics;
    if (vidur_hardware_load(&document->hardware, cluster, &deployment->device,
                            &deployment->node, err))
        return -1;
    document->config.default_node[0] = document->hardware.default_node;
    return 0;
}

static int load_specs(const struct vidur_yaml_node *root, struct document *document,
                      struct vidur_error *err)
{
    return vidur_model_config_load(&document->config.deployment.model, document->model,
                                   root, "model", err) ||
                   load_hardware(root, document, err)
               ? -1
               : 0;
}

/* ---- Pools ---- */

/* How caches move means something where they do. */
static int check_moves(const struct vidur_yaml_node *root,
                       const struct vidur_fleet *fleet, struct vidur_error *err)
{
    static const char *const keys[] = {"kv_transfer", "first_token"};
    for (int i = 0; i < 2; i++) {
        const struct vidur_yaml_node *node = vidur_yaml_get(root, keys[i]);
        if (node && fleet->pools[0].role != VIDUR_POOL_PREFILL)
            return vidur_yaml_fail(node, err,
                                   "no KV cache moves here; list pools of role prefill "
                                   "and of role decode, or leave it out");
    }
    return 0;
}

/* One pool of the deployment that the top level describes, or those that are listed. */
static int read_fleet(const struct vidur_yaml_node *root, struct document *document,
                      struct vidur_error *err)
{
    struct vidur_simulation_config *config = &document->config;
    const struct vidur_pool_defaults defaults = {&config->deployment,
                                                 &document->hardware};
    const struct vidur_yaml_node *pools = vidur_yaml_get(root, "pools");
    config->fleet.pools[0].deployment = config->deployment;
    if (pools &&
        vidur_pools_read(pools, &defaults, &config->fleet, config->default_node, err))
        return -1;
    config->deployment = config->fleet.pools[0].deployment;
    return check_moves(root, &config->fleet, err);
}

static bool begins_with(const char *text, const char *key)
{
    return strncmp(text, key, strlen(key)) == 0;
}

/* A lone pool's keys are named from the pool on. Returns -1. */
static int locate(const struct vidur_yaml_node *root, struct vidur_error *err)
{
    const struct vidur_yaml_node *pools = vidur_yaml_get(root, "pools");
    const bool in_pool =
        vidur_yaml_count(pools) == 1 && err &&
        (begins_with(err->text, "cluster") || begins_with(err->text, "router") ||
         begins_with(err->text, "scheduler"));
    return vidur_section_locate(in_pool ? vidur_yaml_item(pools, 0) : root, "", err);
}

static int read_root(const struct vidur_yaml_node *root, struct document *document,
                     struct vidur_error *err)
{
    struct vidur_simulation_config *config = &document->config;
    if (vidur_yaml_read(root, root_fields, document, err) ||
        load_specs(root, document, err) || read_fleet(root, document, err))
        return -1;
    vidur_workload_config_complete(&config->workload, config->deployment.semantics);
    if (vidur_class_slos_read(
            vidur_yaml_get(vidur_yaml_get(root, "workload"), "classes"),
            &config->workload, &config->slos, err))
        return -1;
    return vidur_fleet_check(&config->fleet, err) ? locate(root, err) : 0;
}

/* ---- Files ---- */

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
    set_defaults(config);
    snprintf(config->path, sizeof config->path, "%s", path);
    struct vidur_yaml *doc = vidur_yaml_open(path, sets, num_sets, err);
    if (!doc)
        return -1;
    config->text = vidur_yaml_text_with_sets(doc, err);
    int status = config->text ? vidur_yaml_sha256(doc, config->sha256, err) : -1;
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
    if (doc && vidur_yaml_set_all(doc, sets, num_sets, NULL) == 0)
        locate(vidur_yaml_root(doc), err);
    vidur_yaml_free(doc);
    return -1;
}

void vidur_simulation_config_release(struct vidur_simulation_config *config)
{
    free(config->text);
    config->text = NULL;
}
