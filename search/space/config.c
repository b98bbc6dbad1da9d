#include <vidur/space.h>

#include "base/hash.h"
#include "base/section.h"
#include "base/text.h"
#include "results/slo_columns.h"
#include "space/config_parts.h"
#include "space/rules.h"

#include <vidur/simulation_config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const capacity_names[] = {"slos", "scheduling_delay", NULL};
static const char *const tbt_names[] = {"token", "batch", NULL};
static const char *const latency_names[] = {
#define X(name, unit) #name,
    VIDUR_LATENCIES(X)
#undef X
        NULL};

static const int default_batch_sizes[] = {32, 64, 128, 256, 512};
static const int default_dimension[] = {1, 2, 4, 8};
static const struct vidur_slo default_slos[] = {
    {VIDUR_LATENCY_ttft, 0.9, 2.0},
    {VIDUR_LATENCY_tbt, 0.99, 0.2},
    {VIDUR_LATENCY_scheduling_delay, 0.99, 5.0}};

int config_fail_at(const struct vidur_yaml_node *mapping, const char *key,
                   struct vidur_error *err)
{
    if (!err)
        return -1;
    char text[sizeof err->text];
    const enum vidur_error_code code = err->code;
    snprintf(text, sizeof text, "%s", err->text);
    vidur_yaml_fail_key(mapping, key, err, "%s", text);
    err->code = code;
    return -1;
}

int config_locate(const struct vidur_yaml_node *section, const char *prefix,
                  struct vidur_error *err)
{
    char path[128];
    const size_t skipped = strlen(prefix);
    if (!err || strncmp(err->text, prefix, skipped) != 0)
        return -1;
    const char *rest = strstr(err->text + skipped, ": ");
    const size_t length = rest ? (size_t)(rest - err->text) - skipped : 0;
    if (length == 0 || length >= sizeof path ||
        memchr(err->text + skipped, ' ', length))
        return -1;
    memcpy(path, err->text + skipped, length);
    path[length] = 0;
    memmove(err->text, rest + 2, strlen(rest + 2) + 1);
    char *key = path;
    for (char *dot = strchr(key, '.'); dot; dot = strchr(key, '.')) {
        *dot = 0;
        const struct vidur_yaml_node *child = vidur_yaml_get(section, key);
        *dot = '.';
        if (!child) /* the place that lacks the rest of the path */
            break;
        section = child;
        key = dot + 1;
    }
    return config_fail_at(section, key, err);
}

int config_read_reference(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    return vidur_yaml_as_reference(
        node, out, sizeof((struct vidur_search_model *)0)->identifier, err);
}

static int read_estimator(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    return vidur_estimator_config_read(node, out, err);
}

static int read_schedulers(const struct vidur_yaml_node *node, void *out,
                           struct vidur_error *err)
{
    return config_read_schedulers(node, out, err);
}

static int read_traces(const struct vidur_yaml_node *node, void *out,
                       struct vidur_error *err)
{
    return config_read_traces(node, out, err);
}

static int read_includes(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    struct vidur_search_config *config = out;
    return rules_read(node, &config->includes, &config->num_includes, err);
}

static int read_excludes(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    struct vidur_search_config *config = out;
    return rules_read(node, &config->excludes, &config->num_excludes, err);
}

/* ---- The schema ---- */

#define MODEL(key_, kind, member)                                                      \
    .key = key_, .type = VIDUR_YAML_##kind,                                            \
    VIDUR_YAML_AT(struct vidur_search_model, member)
#define CLUSTER(key_, kind, member)                                                    \
    .key = key_, .type = VIDUR_YAML_##kind,                                            \
    VIDUR_YAML_AT(struct vidur_search_cluster, member)
#define SLO(key_, kind, member)                                                        \
    .key = key_, .type = VIDUR_YAML_##kind, VIDUR_YAML_AT(struct vidur_slo, member)
#define ROOT(key_, kind, member)                                                       \
    .key = key_, .type = VIDUR_YAML_##kind,                                            \
    VIDUR_YAML_AT(struct vidur_search_config, member)
#define LIST(key_, member, element_)                                                   \
    .key = key_, .type = VIDUR_YAML_SEQUENCE,                                          \
    VIDUR_YAML_LIST(struct vidur_search_config, member, num_##member),                 \
    .element = &(element_)
#define WHOLE(key_, read_)                                                             \
    .key = key_, .type = VIDUR_YAML_CUSTOM,                                            \
    .size = sizeof(struct vidur_search_config), .read = (read_)

static const struct vidur_yaml_field count_element = {.key = "",
                                                      .type = VIDUR_YAML_INT,
                                                      .flags = VIDUR_YAML_MIN |
                                                               VIDUR_YAML_MAX,
                                                      .size = sizeof(int),
                                                      .min = 1,
                                                      .max = 65536};
static const struct vidur_yaml_field router_element = {
    .key = "", .type = VIDUR_YAML_STRING, .flags = VIDUR_YAML_FILLED, .size = 24};
static const struct vidur_yaml_field planner_element = {.key = "",
                                                        .type = VIDUR_YAML_ENUM,
                                                        .size = sizeof(int),
                                                        .names =
                                                            vidur_memory_planner_names};

static const struct vidur_yaml_field model_fields[] = {
    {MODEL("name", STRING, name), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {MODEL("identifier", CUSTOM, identifier), .read = config_read_reference},
    {.key = "exclude_tp_dims",
     .type = VIDUR_YAML_SEQUENCE,
     .flags = VIDUR_YAML_ONE_OK,
     VIDUR_YAML_LIST(struct vidur_search_model, exclude_tp_dims, num_exclude_tp_dims),
     .element = &count_element},
    {0}};
static const struct vidur_yaml_field model_element = {
    .key = "",
    .type = VIDUR_YAML_MAPPING,
    .size = sizeof(struct vidur_search_model),
    .fields = model_fields};

static const struct vidur_yaml_field cluster_fields[] = {
    {CLUSTER("device", CUSTOM, device_reference), .flags = VIDUR_YAML_REQUIRED,
     .read = config_read_reference},
    {CLUSTER("network_device", CUSTOM, node_reference), .read = config_read_reference},
    {CLUSTER("num_gpus", INT, num_gpus),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 1,
     .max = 1e6},
    {CLUSTER("gpus_per_node", INT, gpus_per_node), .flags = VIDUR_YAML_MIN, .min = 1},
    {CLUSTER("usd_per_gpu_hour", DOUBLE, usd_per_gpu_hour),
     .flags = VIDUR_YAML_ABOVE | VIDUR_YAML_TELL, .min = 0,
     .present_offset = offsetof(struct vidur_search_cluster, own_price)},
    {0}};
static const struct vidur_yaml_field cluster_element = {
    .key = "",
    .type = VIDUR_YAML_MAPPING,
    .size = sizeof(struct vidur_search_cluster),
    .fields = cluster_fields};

static const struct vidur_yaml_field slo_fields[] = {
    {SLO("metric", ENUM, metric), .flags = VIDUR_YAML_REQUIRED, .names = latency_names},
    {SLO("quantile", DOUBLE, quantile),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE | VIDUR_YAML_MAX, .min = 0,
     .max = 1},
    {SLO("limit_s", DOUBLE, limit_s), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE,
     .min = 0},
    {0}};
static const struct vidur_yaml_field slo_element = {.key = "",
                                                    .type = VIDUR_YAML_MAPPING,
                                                    .size = sizeof(struct vidur_slo),
                                                    .fields = slo_fields};

static const struct vidur_yaml_field root_fields[] = {
    {LIST("models", models, model_element),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {LIST("clusters", clusters, cluster_element),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {WHOLE("schedulers", read_schedulers), .flags = VIDUR_YAML_REQUIRED},
    {WHOLE("traces", read_traces), .flags = VIDUR_YAML_REQUIRED},
    {LIST("batch_sizes", batch_sizes, count_element),
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK},
    {LIST("tp_dimensions", tp_dimensions, count_element),
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK},
    {LIST("pp_dimensions", pp_dimensions, count_element),
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK},
    {LIST("router", routers, router_element),
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK},
    {LIST("memory_planner", memory_planners, planner_element),
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK},
    {WHOLE("include", read_includes)},
    {WHOLE("exclude", read_excludes)},
    {LIST("slos", slos, slo_element), .flags = VIDUR_YAML_FILLED},
    {.key = "search",
     .type = VIDUR_YAML_MAPPING,
     VIDUR_YAML_AT(struct vidur_search_config, search),
     .fields = config_search_fields},
    {.key = "target",
     .type = VIDUR_YAML_MAPPING,
     VIDUR_YAML_AT(struct vidur_search_config, target),
     .fields = config_target_fields},
    {ROOT("capacity_definition", ENUM, capacity_definition), .names = capacity_names},
    {ROOT("tbt_definition", ENUM, tbt_definition), .names = tbt_names},
    {ROOT("semantics", ENUM, semantics), .names = vidur_semantics_names},
    {ROOT("memory_margin_fraction", DOUBLE, memory_margin_fraction),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_BELOW, .min = 0, .max = 1},
    {ROOT("estimator", CUSTOM, estimator), .read = read_estimator},
    {0}};

/* ---- Defaults ---- */

static void set_defaults(struct vidur_search_config *config)
{
    struct vidur_deployment deployment;
    vidur_deployment_defaults(&deployment);
    vidur_estimator_config_defaults(&config->estimator);
    config->memory_margin_fraction = deployment.memory_margin_fraction;
    config_search_defaults(config);
}

/* What stands for a list that was not given. */
struct default_list {
    void *list; /* pointer to the member, itself a pointer */
    int *count;
    const void *values;
    int num_values;
    size_t bytes; /* of a value */
};

static int fill(const struct default_list *d, struct vidur_error *err)
{
    if (*d->count > 0)
        return 0;
    void *copy = malloc((size_t)d->num_values * d->bytes);
    if (!copy)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for the configuration");
    memcpy(copy, d->values, (size_t)d->num_values * d->bytes);
    memcpy(d->list, &copy, sizeof copy);
    *d->count = d->num_values;
    return 0;
}

static int fill_lists(struct vidur_search_config *config, struct vidur_error *err)
{
    static const char router[24] = "round_robin";
    static const int planner = VIDUR_PLANNER_BY_SEMANTICS;
#define LIST_OF(member, values, count)                                                 \
    {                                                                                  \
        &config->member, &config->num_##member, values, count, sizeof *config->member  \
    }
    const struct default_list lists[] = {LIST_OF(batch_sizes, default_batch_sizes, 5),
                                         LIST_OF(tp_dimensions, default_dimension, 4),
                                         LIST_OF(pp_dimensions, default_dimension, 3),
                                         LIST_OF(routers, router, 1),
                                         LIST_OF(memory_planners, &planner, 1),
                                         LIST_OF(slos, default_slos, 3)};
#undef LIST_OF
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (fill(&lists[i], err) != 0)
            return -1;
    return 0;
}

/* ---- Names to specs ---- */

static int complete_models(const struct vidur_yaml_node *node,
                           struct vidur_search_config *config, struct vidur_error *err)
{
    for (int i = 0; i < config->num_models; i++) {
        struct vidur_search_model *model = &config->models[i];
        const struct vidur_yaml_node *item = vidur_yaml_item(node, i);
        const bool named = model->identifier[0] != 0;
        if (vidur_model_load(&model->spec, named ? model->identifier : model->name,
                             err) != 0)
            return config_fail_at(item, named ? "identifier" : "name", err);
        for (int earlier = 0; earlier < i; earlier++)
            if (strcmp(config->models[earlier].name, model->name) == 0)
                return vidur_yaml_fail_key(item, "name", err,
                                           "'%s' is taken by an earlier model",
                                           model->name);
    }
    return 0;
}

static int complete_node(const struct vidur_yaml_node *item,
                         enum vidur_semantics semantics,
                         struct vidur_search_cluster *cluster, struct vidur_error *err)
{
    char *name = cluster->node_reference;
    cluster->default_node = !name[0];
    if (cluster->default_node &&
        vidur_deployment_default_node(&cluster->device, semantics, name,
                                      sizeof cluster->node_reference, err) != 0)
        return config_fail_at(item, "network_device", err);
    if (vidur_node_sku_load(&cluster->node, name, err) != 0)
        return config_fail_at(item, "network_device", err);
    if (strcmp(cluster->node.device, cluster->device.name) != 0)
        return vidur_yaml_fail_key(
            item, "network_device", err, "%s is a node of %s devices, not %s",
            cluster->node.name, cluster->node.device, cluster->device.name);
    if (cluster->gpus_per_node > cluster->node.devices_per_node)
        return vidur_yaml_fail_key(item, "gpus_per_node", err,
                                   "%d; a %s has %d devices", cluster->gpus_per_node,
                                   cluster->node.name, cluster->node.devices_per_node);
    if (cluster->gpus_per_node > 0)
        cluster->node.devices_per_node = cluster->gpus_per_node;
    return 0;
}

static int complete_clusters(const struct vidur_yaml_node *node,
                             struct vidur_search_config *config,
                             struct vidur_error *err)
{
    for (int i = 0; i < config->num_clusters; i++) {
        struct vidur_search_cluster *cluster = &config->clusters[i];
        const struct vidur_yaml_node *item = vidur_yaml_item(node, i);
        if (vidur_device_sku_load(&cluster->device, cluster->device_reference, err) !=
            0)
            return config_fail_at(item, "device", err);
        if (!cluster->own_price)
            cluster->usd_per_gpu_hour = cluster->device.usd_per_gpu_hour;
        if (!(cluster->usd_per_gpu_hour > 0))
            return vidur_yaml_fail_key(item, "usd_per_gpu_hour", err,
                                       "%s has no price in data/skus; give one here",
                                       cluster->device.name);
        if (complete_node(item, config->semantics, cluster, err) != 0)
            return -1;
    }
    return 0;
}

/* Schedulers and routers on the simplest deployment: what is wrong there is wrong
 * everywhere. */
static int check_policies(const struct vidur_yaml_node *root,
                          const struct vidur_search_config *config,
                          struct vidur_error *err)
{
    struct vidur_deployment deployment;
    vidur_deployment_defaults(&deployment);
    deployment.model = config->models[0].spec;
    deployment.device = config->clusters[0].device;
    deployment.node = config->clusters[0].node;
    for (int i = 0; i < config->num_routers; i++) {
        snprintf(deployment.router, sizeof deployment.router, "%s", config->routers[i]);
        if (vidur_deployment_check(&deployment, err) == 0)
            continue;
        char *at = err ? strstr(err->text, "router: ") : NULL;
        if (at)
            memmove(err->text, at + 8, strlen(at + 8) + 1);
        return config_fail_at(root, "router", err);
    }
    snprintf(deployment.router, sizeof deployment.router, "%s", config->routers[0]);
    for (int i = 0; i < config->num_schedulers; i++) {
        deployment.scheduler = config->schedulers[i].config;
        if (vidur_deployment_check(&deployment, err) != 0)
            return config_locate(vidur_yaml_item(vidur_yaml_get(root, "schedulers"),
                                                 config->schedulers[i].entry),
                                 "scheduler.", err);
    }
    return 0;
}

static int check_slos(const struct vidur_yaml_node *root,
                      const struct vidur_search_config *config, struct vidur_error *err)
{
    char name[48], other[48];
    if (config->num_slos > VIDUR_MAX_SLOS)
        return vidur_yaml_fail_key(
            root, "slos", err, "there are %d; a search takes up to %d, leave some out",
            config->num_slos, VIDUR_MAX_SLOS);
    for (int i = 1; i < config->num_slos; i++) {
        vidur_slo_name(&config->slos[i], name, sizeof name);
        for (int j = 0; j < i; j++) {
            vidur_slo_name(&config->slos[j], other, sizeof other);
            if (strcmp(name, other) == 0)
                return vidur_yaml_fail_key(root, "slos", err,
                                           "two are on %s; keep the one with the lower "
                                           "limit_s",
                                           name);
        }
    }
    return 0;
}

static int complete_all(const struct vidur_yaml_node *root,
                        struct vidur_search_config *config, struct vidur_error *err)
{
    if (fill_lists(config, err) ||
        complete_models(vidur_yaml_get(root, "models"), config, err) ||
        complete_clusters(vidur_yaml_get(root, "clusters"), config, err) ||
        config_complete_traces(vidur_yaml_get(root, "traces"), config, err) ||
        check_policies(root, config, err) ||
        rules_check(vidur_yaml_get(root, "include"), config, config->includes,
                    config->num_includes, err) ||
        rules_check(vidur_yaml_get(root, "exclude"), config, config->excludes,
                    config->num_excludes, err))
        return -1;
    return check_slos(root, config, err) || config_check_definition(root, config, err)
               ? -1
               : 0;
}

/* ---- Files ---- */

/* How ranks share the work changes no result, so a search can be resumed with other
 * settings of it. Last of all: the settings are gone from the document then. */
static int forget_manner(struct vidur_search_config *config, struct vidur_error *err)
{
    static const char *const sets[] = {
        "search.max_deaths=", "search.speculate=", "search.max_working_ranks="};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (vidur_yaml_set(config->doc, sets[i], err) != 0)
            return -1;
    return 0;
}

/* Simulations do not depend on what they cost. */
static int forget_prices(struct vidur_search_config *config, struct vidur_error *err)
{
    char set[64];
    for (int i = 0; i < config->num_clusters; i++) {
        snprintf(set, sizeof set, "clusters.%d.usd_per_gpu_hour=", i);
        if (config->clusters[i].own_price && vidur_yaml_set(config->doc, set, err) != 0)
            return -1;
    }
    return 0;
}

static int hash_document(const struct vidur_search_config *config, char sha256[65],
                         struct vidur_error *err)
{
    char *canonical = vidur_yaml_canonical(vidur_yaml_root(config->doc));
    struct vidur_sha256 sha;
    if (!canonical)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", config->path);
    vidur_sha256_init(&sha);
    vidur_sha256_add_string(&sha, canonical);
    vidur_sha256_hex(&sha, sha256);
    free(canonical);
    return 0;
}

static int keep_text(struct vidur_search_config *config, struct vidur_error *err)
{
    struct vidur_text text = {0};
    size_t size;
    const char *source = vidur_yaml_text(config->doc, &size);
    vidur_text_add(&text, source, size);
    for (int i = 0; i < vidur_yaml_num_sets(config->doc); i++) {
        vidur_text_adds(&text, "# --set ");
        vidur_text_adds(&text, vidur_yaml_set_text(config->doc, i));
        vidur_text_adds(&text, "\n");
    }
    config->text = text.data;
    if (text.failed || !text.data)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", config->path);
    return forget_manner(config, err) != 0 ||
                   hash_document(config, config->sha256, err) != 0 ||
                   forget_prices(config, err) != 0 ||
                   hash_document(config, config->unpriced_sha256, err) != 0
               ? -1
               : 0;
}

int vidur_search_config_load(struct vidur_search_config *config, const char *path,
                             const char *const *sets, int num_sets,
                             struct vidur_error *err)
{
    memset(config, 0, sizeof *config);
    set_defaults(config);
    snprintf(config->path, sizeof config->path, "%s", path);
    config->doc = vidur_yaml_load(path, err);
    if (!config->doc)
        return -1;
    for (int i = 0; i < num_sets; i++)
        if (vidur_yaml_set(config->doc, sets[i], err) != 0)
            return -1;
    if (vidur_yaml_read(vidur_yaml_root(config->doc), root_fields, config, err) != 0 ||
        complete_all(vidur_yaml_root(config->doc), config, err) != 0)
        return -1;
    return keep_text(config, err);
}

void vidur_search_config_release(struct vidur_search_config *config)
{
    vidur_yaml_release(root_fields, config);
    rules_release(config->includes, config->num_includes);
    rules_release(config->excludes, config->num_excludes);
    free(config->schedulers);
    free(config->traces);
    free(config->text);
    vidur_yaml_free(config->doc);
    memset(config, 0, sizeof *config);
}

void vidur_slo_name(const struct vidur_slo *slo, char *out, size_t size)
{
    char percentile[64];
    slo_percentile(slo->quantile, percentile, sizeof percentile);
    snprintf(out, size, "%s_p%s", vidur_latency_name(slo->metric), percentile);
}
