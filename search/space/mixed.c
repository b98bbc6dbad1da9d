#include "space/mixed.h"

#include "space/config_parts.h"
#include "space/identity.h"

#include <vidur/scheduler.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The configuration ---- */

static int read_rules(const struct vidur_yaml_node *node, void *out,
                      struct vidur_error *err)
{
    struct vidur_search_mixed_pool *pool = out;
    return rules_read(node, &pool->rules, &pool->num_rules, err);
}

static const struct vidur_yaml_field gpus_element = {.key = "",
                                                     .type = VIDUR_YAML_INT,
                                                     .flags = VIDUR_YAML_MIN |
                                                              VIDUR_YAML_MAX,
                                                     .size = sizeof(int),
                                                     .min = 1,
                                                     .max = 1e6};

static const struct vidur_yaml_field pool_fields[] = {
    {.key = "rules",
     .type = VIDUR_YAML_CUSTOM,
     .size = sizeof(struct vidur_search_mixed_pool),
     .read = read_rules,
     .example = "[{device: h100}]"},
    {.key = "num_gpus",
     .type = VIDUR_YAML_SEQUENCE,
     .flags = VIDUR_YAML_FILLED | VIDUR_YAML_ONE_OK,
     VIDUR_YAML_LIST(struct vidur_search_mixed_pool, num_gpus, num_num_gpus),
     .element = &gpus_element},
    {0}};

static const struct vidur_yaml_field pool_element = {
    .key = "",
    .type = VIDUR_YAML_MAPPING,
    .size = sizeof(struct vidur_search_mixed_pool),
    .fields = pool_fields};

#define MIXED(key, kind, member)                                                       \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_mixed, member)

static const struct vidur_yaml_field fields[] = {
    {.key = "pools",
     .type = VIDUR_YAML_SEQUENCE,
     .example = "[{rules: [{device: h100}]}, {rules: [{device: l40s}]}]",
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct vidur_search_mixed, pools, num_pools),
     .element = &pool_element},
    {MIXED("only", BOOL, only)},
    {MIXED("near", DOUBLE, near), .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 0,
     .max = 1},
    {0}};

int mixed_read(const struct vidur_yaml_node *node, void *out, struct vidur_error *err)
{
    struct vidur_search_mixed *mixed = out;
    *mixed = (struct vidur_search_mixed){.given = true, .near = 0.7};
    return vidur_yaml_read(node, fields, mixed, err);
}

static int most_gpus(const struct vidur_search_config *config)
{
    int most = 0;
    for (int i = 0; i < config->num_clusters; i++)
        if (config->clusters[i].num_gpus > most)
            most = config->clusters[i].num_gpus;
    return most;
}

static int check_pool(const struct vidur_yaml_node *node,
                      const struct vidur_search_config *config,
                      const struct vidur_search_mixed_pool *pool,
                      struct vidur_error *err)
{
    const struct vidur_yaml_node *gpus = vidur_yaml_get(node, "num_gpus");
    const bool list = vidur_yaml_kind(gpus) == VIDUR_YAML_IS_SEQUENCE;
    const int most = most_gpus(config);
    const bool target = config->target.qps > 0; /* then num_gpus of clusters are not */
    for (int i = 0; i < pool->num_num_gpus; i++)
        if (pool->num_gpus[i] > most && !target)
            return vidur_yaml_fail(list ? vidur_yaml_item(gpus, i) : gpus, err,
                                   "%d; the largest of `clusters` has %d",
                                   pool->num_gpus[i], most);
    return rules_check(vidur_yaml_get(node, "rules"), config, pool->rules,
                       pool->num_rules, err);
}

int mixed_check(const struct vidur_yaml_node *root,
                const struct vidur_search_config *config, struct vidur_error *err)
{
    const struct vidur_search_mixed *mixed = &config->mixed;
    const struct vidur_yaml_node *node = vidur_yaml_get(root, "mixed");
    const struct vidur_yaml_node *pools = vidur_yaml_get(node, "pools");
    if (!mixed->given)
        return 0;
    if (config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        return vidur_yaml_fail_key(root, "mixed", err,
                                   "capacity_definition scheduling_delay is the "
                                   "reference's search, which has no pools; take slos");
    if (mixed->num_pools != VIDUR_MIXED_POOLS)
        return vidur_yaml_fail_key(node, "pools", err,
                                   "there are %d; a candidate has %d", mixed->num_pools,
                                   VIDUR_MIXED_POOLS);
    if (config->num_clusters < 2)
        return vidur_yaml_fail_key(
            root, "mixed", err,
            "each pool stands on a cluster of its own, and `clusters` has one; list "
            "another");
    for (int i = 0; i < mixed->num_pools; i++)
        if (check_pool(vidur_yaml_item(pools, i), config, &mixed->pools[i], err) != 0)
            return -1;
    return 0;
}

void mixed_release(struct vidur_search_mixed *mixed)
{
    for (int i = 0; i < mixed->num_pools; i++)
        rules_release(mixed->pools[i].rules, mixed->pools[i].num_rules);
    vidur_yaml_release(fields, mixed);
}

/* ---- Layouts ---- */

/* A candidate of one pool that may stand in one of two. */
struct layout {
    int64_t candidate;
    double worth; /* requests per second and device, estimated */
};

struct pool_list {
    struct layout *layouts;
    int64_t count;
};

static double worth_of(const struct fleet_builder *b, const struct vidur_candidate *c,
                       const struct vidur_deployment *deployment)
{
    const struct vidur_search_trace *trace = &b->space->config->traces[c->trace];
    return rates_requests(deployment, c->num_blocks, &b->lengths[c->trace],
                          rates_token_limit_s(&trace->slos)) *
           c->data_parallel_size / vidur_candidate_devices(c);
}

/* Layouts of the same GPUs, for the same work. */
static bool compete(const struct vidur_candidate *a, const struct vidur_candidate *b)
{
    return fleets_serve_same(a, b) && a->cluster == b->cluster;
}

/* Leaves out what is estimated to be far from the best layout of the same GPUs. */
static void keep_near(const struct fleet_builder *b, struct pool_list *list)
{
    const struct vidur_candidate *all = b->space->candidates;
    const double near = b->space->config->mixed.near;
    struct layout *layouts = list->layouts;
    int64_t kept = 0;
    for (int64_t i = 0; i < list->count; i++) {
        bool far = false;
        for (int64_t j = 0; j < list->count && !far; j++)
            far = layouts[i].worth < near * fabs(layouts[j].worth) &&
                  compete(&all[layouts[i].candidate], &all[layouts[j].candidate]);
        if (far)
            layouts[i].worth = -layouts[i].worth; /* dropped below; it still counts */
    }
    for (int64_t i = 0; i < list->count; i++)
        if (layouts[i].worth >= 0)
            layouts[kept++] = layouts[i];
    list->count = kept;
}

static bool is_same_price(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Whether a layout is another one of the list on as many GPUs as another cluster of the
 * same ones has, which is of no matter for a target. */
static bool repeats(const struct fleet_builder *b, const struct pool_list *list,
                    const struct vidur_candidate *c)
{
    const struct vidur_search_cluster *clusters = b->space->config->clusters;
    const struct vidur_search_cluster *own = &clusters[c->cluster];
    for (int64_t i = 0; i < list->count; i++) {
        const struct vidur_candidate *other =
            &b->space->candidates[list->layouts[i].candidate];
        if (other->cluster != c->cluster && fleets_serve_same(other, c) &&
            other->scheduler == c->scheduler && other->batch_size == c->batch_size &&
            other->tensor_parallel_size == c->tensor_parallel_size &&
            other->num_pipeline_stages == c->num_pipeline_stages &&
            other->data_parallel_size == c->data_parallel_size &&
            other->expert_parallel == c->expert_parallel &&
            is_same_price(clusters[other->cluster].usd_per_gpu_hour,
                          own->usd_per_gpu_hour) &&
            identity_cluster(&clusters[other->cluster]) == identity_cluster(own))
            return true;
    }
    return false;
}

static void list_layouts(const struct fleet_builder *b,
                         const struct vidur_search_mixed_pool *pool,
                         struct pool_list *list)
{
    for (int64_t i = 0; i < b->num_single; i++) {
        const struct vidur_candidate *c = &b->space->candidates[i];
        struct vidur_deployment deployment;
        if (c->status != VIDUR_CANDIDATE_RUNNABLE)
            continue;
        vidur_space_deployment(b->space, i, &deployment);
        const struct rule_subject subject = fleets_subject(b->space, c, &deployment);
        if (rules_admit(pool->rules, pool->num_rules, NULL, 0, &subject) &&
            !(b->space->config->target.qps > 0 && repeats(b, list, c)))
            list->layouts[list->count++] =
                (struct layout){i, worth_of(b, c, &deployment)};
    }
    keep_near(b, list);
}

/* ---- Counts ---- */

/* The index-th number of replicas of a pool that is to be tried: 0 where it fits none
 * or was tried already; -1: there are no more. */
static int replicas_at(const struct fleet_builder *b,
                       const struct vidur_search_mixed_pool *pool,
                       const struct vidur_candidate *c, int index)
{
    const int available = b->space->config->clusters[c->cluster].num_gpus;
    const int devices = vidur_candidate_devices(c);
    if (pool->num_num_gpus == 0)
        return index == 0 ? c->num_replicas : -1;
    if (index >= pool->num_num_gpus)
        return -1;
    if (pool->num_gpus[index] > available)
        return 0;
    const int replicas = pool->num_gpus[index] / devices;
    for (int i = 0; i < index; i++)
        if (pool->num_gpus[i] <= available && pool->num_gpus[i] / devices == replicas)
            return 0;
    return replicas;
}

static bool go_together(const struct fleet_builder *b,
                        const struct vidur_candidate *first,
                        const struct vidur_candidate *second)
{
    const struct vidur_search_scheduler *schedulers = b->space->config->schedulers;
    return fleets_serve_same(first, second) && first->cluster != second->cluster &&
           strcmp(schedulers[first->scheduler].config.type,
                  schedulers[second->scheduler].config.type) == 0;
}

/* Whether a pool may have GPUs for a replica. */
static bool holds_one(const struct vidur_search_mixed_pool *pool,
                      const struct vidur_candidate *c)
{
    for (int i = 0; i < pool->num_num_gpus; i++)
        if (pool->num_gpus[i] >= vidur_candidate_devices(c))
            return true;
    return pool->num_num_gpus == 0;
}

/* For a target the search finds both counts. What tells clusters of the same GPUs apart
 * is how many they are, which the id tells. */
static int add_for_target(struct fleet_builder *b, const struct vidur_candidate *first,
                          const struct vidur_candidate *second, struct vidur_error *err)
{
    const struct vidur_search_config *config = b->space->config;
    const struct vidur_search_mixed_pool *pools = config->mixed.pools;
    const struct vidur_pool_counts all = {first->num_replicas, second->num_replicas};
    const struct vidur_pool_counts one = {1, 1};
    const struct vidur_candidate pair = fleets_pair(first, second, VIDUR_POOL_ALL, all);
    const int least = vidur_candidate_gpus(&pair, one);
    if (least > config->target.max_gpus || !holds_one(&pools[0], first) ||
        !holds_one(&pools[1], second))
        return 0;
    if (fleets_append(b, &pair, err) != 0)
        return -1;
    struct vidur_candidate *added = &b->space->candidates[b->space->num_candidates - 1];
    added->num_replicas = added->second.num_replicas = 1;
    added->num_gpus = least;
    return 0;
}

static int add_pair(struct fleet_builder *b, int64_t first_index, int64_t second_index,
                    struct vidur_error *err)
{
    /* copies: the list moves as it grows */
    const struct vidur_candidate first = b->space->candidates[first_index];
    const struct vidur_candidate second = b->space->candidates[second_index];
    const struct vidur_search_mixed_pool *pools = b->space->config->mixed.pools;
    struct vidur_pool_counts counts;
    if (b->space->config->target.qps > 0)
        return add_for_target(b, &first, &second, err);
    for (int i = 0; (counts.first = replicas_at(b, &pools[0], &first, i)) >= 0; i++)
        for (int j = 0; (counts.second = replicas_at(b, &pools[1], &second, j)) >= 0;
             j++) {
            const struct vidur_candidate pair =
                fleets_pair(&first, &second, VIDUR_POOL_ALL, counts);
            if (counts.first == 0 || counts.second == 0)
                continue;
            if (fleets_append(b, &pair, err) != 0)
                return -1;
        }
    return 0;
}

static bool has(const struct pool_list *list, int64_t candidate)
{
    for (int64_t i = 0; i < list->count; i++)
        if (list->layouts[i].candidate == candidate)
            return true;
    return false;
}

/* The same two pools the other way round, which is no other fleet where neither pool
 * has num_gpus of its own. */
static bool is_mirrored(const struct fleet_builder *b, const struct pool_list *lists,
                        int64_t first, int64_t second)
{
    const struct vidur_search_config *config = b->space->config;
    return first > second && config->mixed.pools[0].num_num_gpus == 0 &&
           config->mixed.pools[1].num_num_gpus == 0 && has(&lists[0], second) &&
           has(&lists[1], first);
}

static int add_pairs(struct fleet_builder *b, struct pool_list *lists,
                     struct vidur_error *err)
{
    const struct vidur_search_config *config = b->space->config;
    const int64_t before = b->space->num_candidates;
    for (int i = 0; i < VIDUR_MIXED_POOLS; i++)
        list_layouts(b, &config->mixed.pools[i], &lists[i]);
    for (int64_t i = 0; i < lists[0].count; i++)
        for (int64_t j = 0; j < lists[1].count; j++) {
            const int64_t first = lists[0].layouts[i].candidate;
            const int64_t second = lists[1].layouts[j].candidate;
            if (go_together(b, &b->space->candidates[first],
                            &b->space->candidates[second]) &&
                !is_mirrored(b, lists, first, second) &&
                add_pair(b, first, second, err) != 0)
                return -1;
        }
    if (b->space->num_candidates > before)
        return 0;
    return vidur_yaml_fail_key(
        vidur_yaml_root(config->doc), "mixed", err,
        "no two layouts go together: %lld may stand in pools.0, %lld in pools.1; they "
        "stand on different clusters, serve one precision by one kind of scheduler, "
        "and "
        "num_gpus must hold a replica of each",
        (long long)lists[0].count, (long long)lists[1].count);
}

int mixed_add(struct fleet_builder *b, struct vidur_error *err)
{
    const size_t count = (size_t)b->num_single + 1;
    struct pool_list lists[VIDUR_MIXED_POOLS] = {
        {.layouts = malloc(count * sizeof(struct layout))},
        {.layouts = malloc(count * sizeof(struct layout))}};
    const int status =
        lists[0].layouts && lists[1].layouts
            ? add_pairs(b, lists, err)
            : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
    for (int i = 0; i < VIDUR_MIXED_POOLS; i++)
        free(lists[i].layouts);
    return status;
}
