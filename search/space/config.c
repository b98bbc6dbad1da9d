#include <vidur/space.h>

#include "base/section.h"
#include "space/config_parts.h"
#include "space/fleets.h"
#include "space/have.h"
#include "space/mixed.h"
#include "space/rules.h"

#include <vidur/simulation_config.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const capacity_names[] = {"slos", "scheduling_delay", NULL};

static const struct vidur_slo default_slos[] = {
    {.metric = VIDUR_LATENCY_ttft, .quantile = 0.9, .limit_s = 2.0},
    {.metric = VIDUR_LATENCY_tbt, .quantile = 0.99, .limit_s = 0.2},
    {.metric = VIDUR_LATENCY_scheduling_delay, .quantile = 0.99, .limit_s = 5.0}};

static const char *const kv_cache_names[] = {"auto", "bf16", "fp8", NULL};

VIDUR_YAML_READER(read_schedulers, config_read_schedulers)
VIDUR_YAML_READER(read_traces, config_read_traces)

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

/* `default` is the spec's; what a value leaves out is, too. */
static int read_precision(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    struct vidur_precision *precision = out;
    struct vidur_error why;
    const char *name = vidur_yaml_scalar(node);
    enum vidur_dtype dtype;
    *precision = (struct vidur_precision)VIDUR_PRECISION_OF_SPEC;
    if (name && strcmp(name, "default") == 0)
        return 0;
    if (name && vidur_dtype_find(&dtype, name, &why) != 0)
        return vidur_yaml_fail(node, err, "%s, or default: the spec's", why.text);
    return vidur_precision_read(node, precision, err);
}

/* ---- The schema ---- */

#define MODEL(key, kind, member)                                                       \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_model, member)
#define CLUSTER(key, kind, member)                                                     \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_cluster, member)
#define ROOT(key, kind, member)                                                        \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_config, member)
#define LIST(key_, member, element_)                                                   \
    .key = key_, .type = VIDUR_YAML_SEQUENCE,                                          \
    VIDUR_YAML_LIST(struct vidur_search_config, member, num_##member),                 \
    .element = &(element_)
#define WHOLE(key_, read_)                                                             \
    .key = key_, .type = VIDUR_YAML_CUSTOM,                                            \
    .size = sizeof(struct vidur_search_config), .read = (read_)
#define MAPPING_ELEMENT(type_, fields_)                                                \
    {                                                                                  \
        .key = "", .type = VIDUR_YAML_MAPPING, .size = sizeof(type_),                  \
        .fields = fields_                                                              \
    }

/* ---- Elements of lists ---- */

static const struct vidur_yaml_field count_element = {.key = "",
                                                      .type = VIDUR_YAML_INT,
                                                      .flags = VIDUR_YAML_MIN |
                                                               VIDUR_YAML_MAX,
                                                      .size = sizeof(int),
                                                      .min = 1,
                                                      .max = 65536};
static const struct vidur_yaml_field router_element = {.key = "",
                                                       .type = VIDUR_YAML_STRING,
                                                       .example = "lor",
                                                       .flags = VIDUR_YAML_FILLED,
                                                       .size =
                                                           sizeof(vidur_router_name)};
static const struct vidur_yaml_field planner_element = {.key = "",
                                                        .type = VIDUR_YAML_ENUM,
                                                        .size = sizeof(int),
                                                        .names =
                                                            vidur_memory_planner_names};

static const struct vidur_yaml_field switch_element = {
    .key = "", .type = VIDUR_YAML_BOOL, .size = sizeof(bool)};
static const struct vidur_yaml_field precision_element = {
    .key = "",
    .type = VIDUR_YAML_CUSTOM,
    .example = "fp8",
    .size = sizeof(struct vidur_precision),
    .read = read_precision};
static const struct vidur_yaml_field kv_cache_element = {
    .key = "", .type = VIDUR_YAML_ENUM, .size = sizeof(int), .names = kv_cache_names};

/* Of VIDUR_SEARCH_LISTS, by member. */
#define batch_sizes_element         count_element
#define tp_dimensions_element       count_element
#define pp_dimensions_element       count_element
#define expert_parallels_element    switch_element
#define data_parallel_sizes_element count_element
#define precisions_element          precision_element
#define kv_cache_dtypes_element     kv_cache_element
#define routers_element             router_element
#define memory_planners_element     planner_element

static const struct vidur_yaml_field model_fields[] = {
    {MODEL("name", STRING, name), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {MODEL("identifier", REFERENCE, identifier)},
    {.key = "exclude_tp_dims",
     .type = VIDUR_YAML_SEQUENCE,
     .flags = VIDUR_YAML_ONE_OK,
     VIDUR_YAML_LIST(struct vidur_search_model, exclude_tp_dims, num_exclude_tp_dims),
     .element = &count_element},
    {0}};
static const struct vidur_yaml_field model_element =
    MAPPING_ELEMENT(struct vidur_search_model, model_fields);

static const struct vidur_yaml_field cluster_fields[] = {
    {VIDUR_YAML_KEYS(struct vidur_search_cluster, hardware, vidur_hardware_fields)},
    {CLUSTER("num_gpus", INT, num_gpus),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 1,
     .max = 1e6},
    {CLUSTER("gpus_per_node", INT, gpus_per_node), .flags = VIDUR_YAML_MIN, .min = 1},
    {CLUSTER("usd_per_gpu_hour", DOUBLE, usd_per_gpu_hour),
     .flags = VIDUR_YAML_ABOVE | VIDUR_YAML_TELL, .min = 0,
     .present_offset = offsetof(struct vidur_search_cluster, own_price)},
    {.key = "price",
     .type = VIDUR_YAML_MAPPING,
     .flags = VIDUR_YAML_TELL,
     VIDUR_YAML_AT(struct vidur_search_cluster, selector),
     .fields = config_selector_fields,
     .present_offset = offsetof(struct vidur_search_cluster, selects_price)},
    {0}};
static const struct vidur_yaml_field cluster_element =
    MAPPING_ELEMENT(struct vidur_search_cluster, cluster_fields);

static const struct vidur_yaml_field slo_element = {.key = "",
                                                    .type = VIDUR_YAML_CUSTOM,
                                                    .size = sizeof(struct vidur_slo),
                                                    .example = VIDUR_SLO_EXAMPLE,
                                                    .read = vidur_slo_read};

/* ---- The document ---- */

static const struct vidur_yaml_field root_fields[] = {
    {LIST("models", models, model_element),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {LIST("clusters", clusters, cluster_element),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {LIST("prices", price_files, config_price_element), .flags = VIDUR_YAML_ONE_OK},
    {LIST("have", have, have_element), .flags = VIDUR_YAML_ONE_OK},
    {WHOLE("schedulers", read_schedulers), .flags = VIDUR_YAML_REQUIRED},
    {WHOLE("traces", read_traces), .flags = VIDUR_YAML_REQUIRED},
#define X(key, type, member, ...)                                                      \
    {LIST(#key, member, member##_element),                                             \
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK},
    VIDUR_SEARCH_LISTS(X)
#undef X
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
    {ROOT("disaggregated", CUSTOM, fleets), .read = fleets_read},
    {ROOT("mixed", CUSTOM, mixed), .read = mixed_read},
    {ROOT("capacity_definition", ENUM, capacity_definition), .names = capacity_names},
    {ROOT("tbt_definition", ENUM, tbt_definition), .names = vidur_tbt_definition_names},
    {ROOT("semantics", ENUM, semantics), .names = vidur_semantics_names},
    {ROOT("memory_margin_fraction", DOUBLE, memory_margin_fraction),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_BELOW, .min = 0, .max = 1},
    {VIDUR_YAML_KEYS(struct vidur_search_config, estimator, vidur_estimator_section)},
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

/* Where classes have SLOs of their own, the usual ones are not meant. */
static int fill_lists(struct vidur_search_config *config, bool has_class_slos,
                      struct vidur_error *err)
{
#define X(key, type, member, ...) static const type default_##member[] = {__VA_ARGS__};
    VIDUR_SEARCH_LISTS(X)
#undef X
#define LIST_OF(member)                                                                \
    {&config->member, &config->num_##member, default_##member,                         \
     sizeof default_##member / sizeof default_##member[0], sizeof *config->member},
#define X(key, type, member, ...) LIST_OF(member)
    const struct default_list lists[] = {VIDUR_SEARCH_LISTS(X) LIST_OF(slos)};
#undef X
#undef LIST_OF
    const size_t count = sizeof lists / sizeof lists[0] - has_class_slos;
    for (size_t i = 0; i < count; i++) /* the SLOs are the last */
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
        if (vidur_model_config_load(&model->spec,
                                    named ? model->identifier : model->name, item,
                                    named ? "identifier" : "name", err) != 0)
            return -1;
        for (int earlier = 0; earlier < i; earlier++)
            if (strcmp(config->models[earlier].name, model->name) == 0)
                return vidur_yaml_fail_key(item, "name", err,
                                           "'%s' is taken by an earlier model",
                                           model->name);
    }
    return 0;
}

/* How many of a node's devices are rented. */
static int complete_node(const struct vidur_yaml_node *item,
                         struct vidur_search_cluster *cluster, struct vidur_error *err)
{
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
        cluster->hardware.semantics = config->semantics;
        if (vidur_hardware_load(&cluster->hardware, item, &cluster->device,
                                &cluster->node, err) != 0)
            return -1;
        if (complete_node(item, cluster, err) != 0)
            return -1;
    }
    return config_price_clusters(node, config, err);
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
    deployment.model.precision = vidur_precision_of(VIDUR_DTYPE_bf16);
    deployment.device = config->clusters[0].device;
    deployment.node = config->clusters[0].node;
    for (int i = 0; i < config->num_routers; i++) {
        snprintf(deployment.router, sizeof deployment.router, "%s", config->routers[i]);
        if (vidur_deployment_check(&deployment, err) != 0)
            return vidur_section_locate(root, "", err);
    }
    snprintf(deployment.router, sizeof deployment.router, "%s", config->routers[0]);
    for (int i = 0; i < config->num_schedulers; i++) {
        deployment.scheduler = config->schedulers[i].config;
        if (vidur_deployment_check(&deployment, err) != 0)
            return vidur_section_locate(
                vidur_yaml_item(vidur_yaml_get(root, "schedulers"),
                                config->schedulers[i].entry),
                "scheduler.", err);
    }
    return 0;
}

static int complete_all(const struct vidur_yaml_node *root,
                        struct vidur_search_config *config, struct vidur_error *err)
{
    if (fill_lists(config, config_has_class_slos(vidur_yaml_get(root, "traces")),
                   err) ||
        complete_models(vidur_yaml_get(root, "models"), config, err) ||
        complete_clusters(vidur_yaml_get(root, "clusters"), config, err) ||
        have_check(root, config, err) ||
        config_complete_traces(vidur_yaml_get(root, "traces"), config, err) ||
        config_serve_models(config, err) || check_policies(root, config, err) ||
        rules_check(vidur_yaml_get(root, "include"), config, config->includes,
                    config->num_includes, err) ||
        rules_check(vidur_yaml_get(root, "exclude"), config, config->excludes,
                    config->num_excludes, err))
        return -1;
    return config_complete_slos(root, config, err) || fleets_check(root, config, err) ||
                   mixed_check(root, config, err) ||
                   config_check_definition(root, config, err)
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
    return vidur_yaml_set_all(config->doc, sets, sizeof sets / sizeof sets[0], err);
}

static int keep_text(struct vidur_search_config *config, struct vidur_error *err)
{
    config->text = vidur_yaml_text_with_sets(config->doc, err);
    return !config->text || forget_manner(config, err) != 0 ||
                   vidur_yaml_sha256(config->doc, config->sha256, err) != 0 ||
                   config_forget_prices(config, err) != 0 ||
                   vidur_yaml_sha256(config->doc, config->unpriced_sha256, err) != 0
               ? -1
               : 0;
}

static struct vidur_yaml *open_source(const struct vidur_search_source *source,
                                      struct vidur_error *err)
{
    if (!source->text)
        return vidur_yaml_open(source->path, source->sets, source->num_sets, err);
    struct vidur_yaml *doc =
        vidur_yaml_parse(source->path, source->text, strlen(source->text), err);
    if (!doc || vidur_yaml_set_all(doc, source->sets, source->num_sets, err) == 0)
        return doc;
    vidur_yaml_free(doc);
    return NULL;
}

int vidur_search_config_read(struct vidur_search_config *config,
                             const struct vidur_search_source *source,
                             struct vidur_error *err)
{
    memset(config, 0, sizeof *config);
    set_defaults(config);
    snprintf(config->path, sizeof config->path, "%s", source->path);
    config->doc = open_source(source, err);
    if (!config->doc)
        return -1;
    if (vidur_yaml_read(vidur_yaml_root(config->doc), root_fields, config, err) != 0 ||
        complete_all(vidur_yaml_root(config->doc), config, err) != 0)
        return -1;
    return keep_text(config, err);
}

int vidur_search_config_load(struct vidur_search_config *config, const char *path,
                             const char *const *sets, int num_sets,
                             struct vidur_error *err)
{
    const struct vidur_search_source source = {
        .path = path, .sets = sets, .num_sets = num_sets};
    return vidur_search_config_read(config, &source, err);
}

void vidur_search_config_release(struct vidur_search_config *config)
{
    vidur_yaml_release(root_fields, config);
    rules_release(config->includes, config->num_includes);
    rules_release(config->excludes, config->num_excludes);
    fleets_release(&config->fleets);
    mixed_release(&config->mixed);
    free(config->schedulers);
    free(config->traces);
    free(config->served);
    free(config->text);
    vidur_yaml_free(config->doc);
    memset(config, 0, sizeof *config);
}
