#include "space/have.h"

#include "base/text.h"

#include <string.h>

#define HAVE(key, kind, member)                                                        \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_have, member)

static const struct vidur_yaml_field fields[] = {
    {HAVE("device", STRING, device), .flags = VIDUR_YAML_FILLED, .example = "h100"},
    {HAVE("network_device", STRING, node), .flags = VIDUR_YAML_FILLED,
     .example = "h100_dgx"},
    {HAVE("num_gpus", INT, num_gpus),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 1,
     .max = 1e6},
    {0}};

const struct vidur_yaml_field have_element = {.key = "",
                                              .type = VIDUR_YAML_MAPPING,
                                              .size = sizeof(struct vidur_search_have),
                                              .example = "{device: h100, num_gpus: 8}",
                                              .fields = fields};

/* ---- Checks ---- */

static bool is_of(const struct vidur_search_have *have,
                  const struct vidur_search_cluster *cluster)
{
    return (!have->device[0] || strcmp(have->device, cluster->device.name) == 0) &&
           (!have->node[0] || strcmp(have->node, cluster->node.name) == 0);
}

/* Some cluster's name of the device, or of the node; else an error. */
static int check_name(const struct vidur_yaml_node *item, const char *key,
                      const struct vidur_search_config *config, const char *name,
                      struct vidur_error *err)
{
    const char *names[64];
    int count = 0;
    for (int i = 0; i < config->num_clusters && count < 64; i++) {
        const struct vidur_search_cluster *cluster = &config->clusters[i];
        names[count++] =
            strcmp(key, "device") == 0 ? cluster->device.name : cluster->node.name;
        if (strcmp(names[count - 1], name) == 0)
            return 0;
    }
    return vidur_yaml_fail_key(item, key, err,
                               "'%s' is in none of `clusters`; the nearest is '%s'",
                               name, vidur_text_nearest(name, names, count));
}

static int check_entry(const struct vidur_yaml_node *item,
                       const struct vidur_search_config *config, int index,
                       struct vidur_error *err)
{
    const struct vidur_search_have *have = &config->have[index];
    int found = -1;
    if (!have->device[0] && !have->node[0])
        return vidur_yaml_fail(item, err,
                               "which GPUs? give device, network_device or both");
    if ((have->device[0] &&
         check_name(item, "device", config, have->device, err) != 0) ||
        (have->node[0] &&
         check_name(item, "network_device", config, have->node, err) != 0))
        return -1;
    for (int i = 0; i < config->num_clusters; i++) {
        if (!is_of(have, &config->clusters[i]))
            continue;
        found = i;
        for (int earlier = 0; earlier < index; earlier++)
            if (is_of(&config->have[earlier], &config->clusters[i]))
                return vidur_yaml_fail(item, err,
                                       "clusters.%d (%s) is of have.%d, too; count "
                                       "each GPU once",
                                       i, config->clusters[i].node.name, earlier);
    }
    return found >= 0 ? 0
                      : vidur_yaml_fail(item, err, "no cluster is %s on %s",
                                        have->device, have->node);
}

int have_check(const struct vidur_yaml_node *root,
               const struct vidur_search_config *config, struct vidur_error *err)
{
    const struct vidur_yaml_node *node = vidur_yaml_get(root, "have");
    const bool list = vidur_yaml_kind(node) == VIDUR_YAML_IS_SEQUENCE;
    for (int i = 0; i < config->num_have; i++)
        if (check_entry(list ? vidur_yaml_item(node, i) : node, config, i, err) != 0)
            return -1;
    return 0;
}

/* ---- What is added ---- */

struct vidur_added vidur_space_added(const struct vidur_space *space, int64_t index,
                                     struct vidur_pool_counts counts)
{
    const struct vidur_search_config *config = space->config;
    const struct vidur_candidate *c = &space->candidates[index];
    const int num_pools = vidur_candidate_is_fleet(c) ? 2 : 1;
    const int clusters[] = {c->cluster, c->second.cluster};
    struct vidur_added added = {.gpus = {counts.first * vidur_candidate_devices(c)}};
    if (num_pools == 2)
        added.gpus[1] = counts.second * vidur_candidate_second_devices(c);
    for (int i = 0; i < config->num_have; i++) {
        int left = config->have[i].num_gpus;
        for (int pool = 0; pool < num_pools; pool++) {
            if (!is_of(&config->have[i], &config->clusters[clusters[pool]]))
                continue;
            const int taken = left < added.gpus[pool] ? left : added.gpus[pool];
            added.gpus[pool] -= taken;
            left -= taken;
        }
    }
    for (int pool = 0; pool < num_pools; pool++)
        if (added.gpus[pool] > 0) /* nothing costs nothing, whatever its price */
            added.usd_per_hour +=
                added.gpus[pool] * config->clusters[clusters[pool]].usd_per_gpu_hour;
    return added;
}
