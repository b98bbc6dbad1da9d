#include "program/pools.h"

#include "base/section.h"
#include "base/yaml.h"

#include <vidur/simulation_config.h>

#include <stdlib.h>
#include <string.h>

/* ---- `pools:` ---- */

struct pool_document {
    struct vidur_pool pool;
    struct vidur_hardware_config hardware; /* "": as the top level says */
};

struct pools_document {
    struct pool_document items[VIDUR_MAX_POOLS];
    int count;
};

VIDUR_YAML_READER(read_scheduler, vidur_scheduler_config_read)

#define KEY(key, kind, member) VIDUR_YAML_KEY(key, kind, struct pool_document, member)
#define KEYS(member, part)     VIDUR_YAML_KEYS(struct pool_document, member, part)

static const struct vidur_yaml_field cluster_fields[] = {
    {KEY("device", REFERENCE, hardware.device), .flags = VIDUR_YAML_FILLED},
    {KEY("network_device", REFERENCE, hardware.node)},
    {KEYS(pool.deployment, vidur_deployment_cluster_fields)},
    {0}};

static const struct vidur_yaml_field pool_fields[] = {
    {KEY("role", ENUM, pool.role), .names = vidur_pool_role_names},
    {KEY("weight", DOUBLE, pool.weight), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {.key = "cluster", .type = VIDUR_YAML_MAPPING, .fields = cluster_fields},
    {KEY("router", STRING, pool.deployment.router), .flags = VIDUR_YAML_FILLED},
    {KEY("scheduler", CUSTOM, pool.deployment.scheduler), .read = read_scheduler},
    {0}};

static const struct vidur_yaml_field one_pool = {
    .key = "", .type = VIDUR_YAML_MAPPING, .fields = pool_fields};

/* The top level's where the pool names neither device nor node; the pool's own
 * otherwise. */
static int load_hardware(struct pool_document *pool, const struct vidur_yaml_node *node,
                         const struct vidur_hardware_config *top, bool *default_node,
                         struct vidur_error *err)
{
    struct vidur_hardware_config *own = &pool->hardware;
    struct vidur_deployment *deployment = &pool->pool.deployment;
    const struct vidur_yaml_node *cluster = vidur_yaml_get(node, "cluster");
    *default_node = top->default_node;
    if (strcmp(own->device, top->device) == 0)
        own->device[0] = 0; /* in the top level's node, too, unless it names one */
    if (!own->device[0] && !top->device[0])
        return vidur_yaml_fail_missing(cluster ? cluster : node,
                                       cluster ? "device" : "cluster", err);
    if (!own->device[0] && !own->node[0])
        return 0;
    if (!own->device[0])
        memcpy(own->device, top->device, sizeof own->device);
    own->semantics = deployment->semantics;
    if (vidur_hardware_load(own, cluster, &deployment->device, &deployment->node, err))
        return -1;
    *default_node = own->default_node;
    return 0;
}

static int read_pools(const struct vidur_yaml_node *pools,
                      const struct vidur_pool_defaults *defaults,
                      struct pools_document *document, struct vidur_error *err)
{
    struct pool_document *first = calloc(1, sizeof *first);
    if (!first)
        return vidur_fail(err, VIDUR_ENOMEM, "pools: out of memory");
    first->pool.weight = 1;
    first->pool.deployment = *defaults->deployment;
    const struct vidur_yaml_field field = {
        .key = "pools",
        .type = VIDUR_YAML_ARRAY,
        .flags = VIDUR_YAML_FILLED,
        VIDUR_YAML_LIST(struct pools_document, items, count),
        .element = &one_pool,
        .element_default = first,
        .max_count = VIDUR_MAX_POOLS};
    const int status = vidur_yaml_read_field(pools, &field, document, err);
    free(first);
    return status;
}

int vidur_pools_read(const struct vidur_yaml_node *pools,
                     const struct vidur_pool_defaults *defaults,
                     struct vidur_fleet *fleet, bool default_node[VIDUR_MAX_POOLS],
                     struct vidur_error *err)
{
    struct pools_document *document = calloc(1, sizeof *document);
    if (!document)
        return vidur_fail(err, VIDUR_ENOMEM, "pools: out of memory");
    int status = read_pools(pools, defaults, document, err);
    for (int i = 0; status == 0 && i < document->count; i++) {
        status = load_hardware(&document->items[i], vidur_yaml_item(pools, i),
                               defaults->hardware, &default_node[i], err);
        fleet->pools[i] = document->items[i].pool;
    }
    fleet->num_pools = document->count;
    free(document);
    return status;
}
