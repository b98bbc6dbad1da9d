#include <vidur/space.h>

#include "base/yaml.h"
#include "space/fleets.h"
#include "space/identity.h"
#include "space/judge.h"
#include "space/rules.h"

#include <vidur/scheduler.h>
#include <vidur/simulation_config.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- One candidate ---- */

static int knob_bit(const char *name)
{
    const struct vidur_yaml_field *fields = vidur_scheduler_knob_fields();
    for (int i = 0; fields[i].key; i++)
        if (strcmp(fields[i].key, name) == 0)
            return i;
    return 63;
}

static bool is_given(const struct vidur_search_scheduler *scheduler, const char *knob)
{
    return scheduler->given >> knob_bit(knob) & 1;
}

/* Candidates that differ in what does nothing are one. */
static void turn_off_idle(struct vidur_scheduler_config *scheduler)
{
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(scheduler->type);
    const uint64_t idle = ops ? ops->idle_in_pipeline : 0;
#define X(type, name, def, min)                                                        \
    if (idle >> VIDUR_KNOB_##name & 1)                                                 \
        scheduler->name = 0;
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
}

static void deploy(const struct vidur_space *space, const struct vidur_candidate *c,
                   struct vidur_deployment *deployment)
{
    const struct vidur_search_config *config = space->config;
    const struct vidur_search_cluster *cluster = &config->clusters[c->cluster];
    const struct vidur_search_scheduler *scheduler = &config->schedulers[c->scheduler];
    const int max_tokens = config->traces[c->trace].workload.max_tokens;
    const int cap = c->batch_size * c->num_pipeline_stages;

    vidur_deployment_defaults(deployment);
    deployment->model = config->served[c->served].spec;
    deployment->device = cluster->device;
    deployment->node = cluster->node;
    deployment->num_replicas = c->num_replicas;
    deployment->tensor_parallel_size = c->tensor_parallel_size;
    deployment->num_pipeline_stages = c->num_pipeline_stages;
    deployment->expert_parallel = c->expert_parallel;
    deployment->data_parallel_size = c->data_parallel_size;
    deployment->memory_margin_fraction = config->memory_margin_fraction;
    deployment->memory_planner =
        (enum vidur_memory_planner)config->memory_planners[c->memory_planner];
    deployment->semantics = config->semantics;
    snprintf(deployment->router, sizeof deployment->router, "%s",
             config->routers[c->router]);
    deployment->scheduler = scheduler->config;
    deployment->scheduler.batch_size_cap = cap;
    if (!is_given(scheduler, "max_num_seqs"))
        deployment->scheduler.max_num_seqs = cap;
    if (!is_given(scheduler, "max_tokens_in_batch"))
        deployment->scheduler.max_tokens_in_batch = max_tokens;
    if (c->num_pipeline_stages > 1)
        turn_off_idle(&deployment->scheduler);
}

void vidur_space_deployment(const struct vidur_space *space, int64_t index,
                            struct vidur_deployment *deployment)
{
    deploy(space, &space->candidates[index], deployment);
}

/* The candidate with the second pool's layout in the first one's place. */
static struct vidur_candidate second_of(const struct vidur_candidate *c)
{
    struct vidur_candidate second = *c;
#define SAME(member) second.member = c->second.member
    SAME(num_replicas);
    SAME(cluster);
    SAME(scheduler);
    SAME(tensor_parallel_size);
    SAME(num_pipeline_stages);
    SAME(data_parallel_size);
    SAME(batch_size);
    SAME(expert_parallel);
#undef SAME
    return second;
}

void vidur_space_fleet(const struct vidur_space *space, int64_t index,
                       struct vidur_pool_counts counts, struct vidur_fleet *fleet)
{
    const struct vidur_search_config *config = space->config;
    const struct vidur_candidate *c = &space->candidates[index];
    struct vidur_deployment deployment;
    vidur_space_deployment(space, index, &deployment);
    deployment.num_replicas = counts.first;
    vidur_fleet_of(fleet, &deployment);
    if (!vidur_candidate_is_fleet(c))
        return;
    const struct vidur_candidate second = second_of(c);
    fleet->num_pools = 2;
    fleet->pools[0].role = c->role;
    fleet->pools[1].role =
        c->role == VIDUR_POOL_ALL ? VIDUR_POOL_ALL : VIDUR_POOL_DECODE;
    fleet->pools[1].weight = 1;
    if (c->role != VIDUR_POOL_ALL) {
        fleet->kv_transfer = config->fleets.kv_transfer;
        fleet->first_token = config->fleets.first_token;
    }
    deploy(space, &second, &fleet->pools[1].deployment);
    fleet->pools[1].deployment.num_replicas = counts.second;
}

/* More requests take longer, so do small batches (more iterations) and stages. */
static double expected_cost(const struct vidur_space *space,
                            const struct vidur_candidate *c)
{
    const struct vidur_search_trace *trace = &space->config->traces[c->trace];
    const double requests = fmax(1, (double)trace->workload.num_requests);
    return requests * c->num_pipeline_stages * (1 + 64.0 / c->batch_size);
}

/* ---- Timetables ---- */

static void widen(struct vidur_timetable_request *table,
                  const struct vidur_timetable_request *wanted)
{
#define LARGER(member)                                                                 \
    if (wanted->member > table->member)                                                \
    table->member = wanted->member
    LARGER(max_tokens);
    LARGER(max_batch_size);
    LARGER(max_kv_tokens);
    LARGER(max_chunk_tokens);
#undef LARGER
    table->pipeline |= wanted->pipeline;
}

static bool same_table(const struct vidur_timetable_request *a,
                       const struct vidur_timetable_request *b)
{
    return a->model == b->model && a->tensor_parallel_size == b->tensor_parallel_size &&
           a->expert_parallel == b->expert_parallel &&
           a->data_parallel_size == b->data_parallel_size && a->engine == b->engine &&
           a->multi_node == b->multi_node &&
           (!a->engine || a->num_stages == b->num_stages) &&
           a->block_size_tokens == b->block_size_tokens && a->device == b->device &&
           a->node == b->node;
}

/* `cluster`: the first of those with the candidate's device and node. */
static int need_table(struct vidur_space *space, struct vidur_candidate *c, int cluster,
                      const struct vidur_deployment *deployment,
                      struct vidur_error *err)
{
    const struct vidur_search_config *config = space->config;
    struct vidur_timetable_request wanted;
    vidur_deployment_table_limits(
        deployment, config->traces[c->trace].workload.max_tokens, &wanted);
    wanted.model = &config->served[c->served].spec;
    wanted.device = &config->clusters[cluster].device;
    wanted.node = &config->clusters[cluster].node;
    if (config->estimator.source != VIDUR_SOURCE_PROFILES &&
        config->estimator.source != VIDUR_SOURCE_AUTO)
        wanted.block_size_tokens = 0; /* it tells no tables apart */
    for (c->table = 0; c->table < space->num_tables; c->table++) {
        if (same_table(&space->tables[c->table], &wanted)) {
            widen(&space->tables[c->table], &wanted);
            return 0;
        }
    }
    struct vidur_timetable_request *tables =
        realloc(space->tables, (size_t)(space->num_tables + 1) * sizeof *tables);
    if (!tables)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for tables");
    tables[space->num_tables++] = wanted;
    space->tables = tables;
    return 0;
}

/* ---- All candidates ---- */

/* Ids seen so far, open addressing; 0 is free. */
struct id_set {
    uint64_t *slots;
    size_t size;
};

static bool insert_id(struct id_set *set, uint64_t id)
{
    size_t at = (size_t)id & (set->size - 1);
    id = id ? id : 1;
    for (; set->slots[at]; at = (at + 1) & (set->size - 1))
        if (set->slots[at] == id)
            return false;
    set->slots[at] = id;
    return true;
}

struct builder {
    struct vidur_space *space;
    struct id_set ids;
    int *batch_sizes;  /* from large to small */
    int *same_cluster; /* by cluster: the first with equal device and node */
    int64_t chain;
    int64_t before;
    struct vidur_deployment deployment;
};

static bool is_excluded(const struct builder *b, const struct vidur_candidate *c)
{
    const struct vidur_search_config *config = b->space->config;
    const struct vidur_search_model *model = &config->models[c->model];
    for (int i = 0; i < model->num_exclude_tp_dims; i++)
        if (model->exclude_tp_dims[i] == c->tensor_parallel_size)
            return true;
    const int planner = config->memory_planners[c->memory_planner];
    const struct rule_subject subject = {
        .model = model->name,
        .trace = config->traces[c->trace].name,
        .memory_planner = vidur_memory_planner_names[planner],
        .precision = config->served[c->served].precision,
        .batch_size = c->batch_size,
        .num_gpus = c->num_gpus,
        .deployment = &b->deployment};
    return !rules_admit(config->includes, config->num_includes, config->excludes,
                        config->num_excludes, &subject);
}

/* The candidate that has been put at the end of the list: keeps, drops or rejects it.
 */
static int add(struct builder *b, struct vidur_error *err)
{
    struct vidur_space *space = b->space;
    const int64_t index = space->num_candidates;
    struct vidur_candidate *c = &space->candidates[index];
    const int devices = vidur_candidate_devices(c);
    c->num_replicas = space->config->clusters[c->cluster].num_gpus / devices;
    c->num_gpus = c->num_replicas * devices;
    c->table = -1;
    c->before = -1;
    c->chain = b->chain;
    vidur_space_deployment(space, index, &b->deployment);
    if (is_excluded(b, c)) {
        space->num_excluded++;
        return 0;
    }
    c->id = identity_candidate(space, c, &b->deployment);
    if (!insert_id(&b->ids, c->id)) {
        space->num_duplicates++;
        return 0;
    }
    c->weight = expected_cost(space, c);
    space->num_candidates++;
    if (judge_candidate(space, c, &b->deployment, err) != 0)
        return -1;
    if (c->status != VIDUR_CANDIDATE_RUNNABLE)
        return 0;
    if (space->config->search.warm_start == VIDUR_WARM_BATCH_SIZE)
        c->before = b->before;
    else
        c->chain = ++b->chain;
    b->before = index;
    return need_table(space, c, b->same_cluster[c->cluster], &b->deployment, err);
}

/* All batch sizes of one point of the other dimensions. */
static int add_batch_sizes(struct builder *b, const struct vidur_candidate *point,
                           struct vidur_error *err)
{
    b->before = -1;
    b->chain++;
    for (int i = 0; i < b->space->config->num_batch_sizes; i++) {
        struct vidur_candidate *c = &b->space->candidates[b->space->num_candidates];
        *c = *point;
        c->batch_size = b->batch_sizes[i];
        if (add(b, err) != 0)
            return -1;
    }
    return 0;
}

/* One device holds all experts anyway. Of a model that has none it is a mistake to be
 * told. */
static bool deals_experts(const struct vidur_model_spec *model, int devices,
                          bool wanted)
{
    bool has_experts = false;
    for (int i = 0; i < model->num_kinds; i++)
        has_experts |= model->kinds[i].num_experts > 0;
    return wanted && !(has_experts && devices == 1);
}

/* The other dimensions as the digits of one number, the last listed first. */
static int add_all(struct builder *b, int64_t points, struct vidur_error *err)
{
    const struct vidur_search_config *config = b->space->config;
    for (int64_t point = 0; point < points; point++) {
        struct vidur_candidate c = {0};
        int64_t rest = point;
        int data, expert, kv_cache, precision;
#define INDEX(to, count)                                                               \
    to = (int)(rest % (count));                                                        \
    rest /= (count)
#define DIGIT(member, count) INDEX(c.member, count)
        DIGIT(memory_planner, config->num_memory_planners);
        DIGIT(router, config->num_routers);
        DIGIT(scheduler, config->num_schedulers);
        DIGIT(num_pipeline_stages, config->num_pp_dimensions);
        INDEX(data, config->num_data_parallel_sizes);
        INDEX(expert, config->num_expert_parallels);
        DIGIT(tensor_parallel_size, config->num_tp_dimensions);
        INDEX(kv_cache, config->num_kv_cache_dtypes);
        INDEX(precision, config->num_precisions);
        DIGIT(cluster, config->num_clusters);
        DIGIT(trace, config->num_traces);
        DIGIT(model, config->num_models);
#undef DIGIT
#undef INDEX
        const int served = (c.model * config->num_precisions + precision) *
                               config->num_kv_cache_dtypes +
                           kv_cache;
        c.served = config->served[served].same;
        c.num_pipeline_stages = config->pp_dimensions[c.num_pipeline_stages];
        c.tensor_parallel_size = config->tp_dimensions[c.tensor_parallel_size];
        c.data_parallel_size = config->data_parallel_sizes[data];
        c.expert_parallel = deals_experts(&config->models[c.model].spec,
                                          c.tensor_parallel_size * c.data_parallel_size,
                                          config->expert_parallels[expert]);
        if (add_batch_sizes(b, &c, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- Checks of whole dimensions ---- */

/* Engines deal layers unevenly. */
static bool has_engine(const struct vidur_search_config *config)
{
    bool any = false;
    for (int i = 0; i < config->num_schedulers; i++) {
        const struct vidur_scheduler_ops *ops =
            vidur_scheduler_find(config->schedulers[i].config.type);
        any |= ops && ops->step_model == &vidur_step_engine;
    }
    return any;
}

static int check_dimensions(const struct vidur_search_config *config,
                            struct vidur_error *err)
{
    const struct vidur_yaml_node *root = vidur_yaml_root(config->doc);
    const struct vidur_model_spec *first = &config->models[0].spec;
    for (int i = 0; i < config->num_tp_dimensions; i++) {
        const int tp = config->tp_dimensions[i];
        bool suits = false;
        for (int m = 0; m < config->num_models; m++)
            suits |= config->models[m].spec.kinds[0].num_q_heads % tp == 0;
        if (!suits)
            return vidur_yaml_fail_key(
                root, "tp_dimensions", err, "%d does not divide %d query heads of %s%s",
                tp, first->kinds[0].num_q_heads, config->models[0].name,
                config->num_models > 1 ? ", nor those of another model" : "");
    }
    const bool unevenly = has_engine(config);
    for (int i = 0; i < config->num_pp_dimensions; i++) {
        const int pp = config->pp_dimensions[i];
        bool suits = false;
        for (int m = 0; m < config->num_models; m++) {
            const int layers = config->models[m].spec.num_layers;
            suits |= unevenly ? pp <= layers : layers % pp == 0;
        }
        if (!suits)
            return vidur_yaml_fail_key(
                root, "pp_dimensions", err, "%d %s %d layers of %s%s", pp,
                unevenly ? "is more than the" : "does not divide", first->num_layers,
                config->models[0].name,
                config->num_models > 1 ? ", nor those of another model" : "");
    }
    return 0;
}

/* Candidates are told apart by what they run on, not by its price. */
static int check_pair(const struct vidur_search_config *config, int first, int second,
                      struct vidur_error *err)
{
    const struct vidur_search_cluster *a = &config->clusters[first];
    const struct vidur_search_cluster *b = &config->clusters[second];
    if (a->usd_per_gpu_hour == b->usd_per_gpu_hour ||
        (isnan(a->usd_per_gpu_hour) && isnan(b->usd_per_gpu_hour)) ||
        strcmp(a->device.name, b->device.name) != 0 ||
        identity_cluster(a) != identity_cluster(b))
        return 0;
    const int points = config->num_tp_dimensions * config->num_pp_dimensions *
                       config->num_data_parallel_sizes;
    for (int i = 0; i < points; i++) {
        const int rest = i / config->num_pp_dimensions;
        const int tp = config->tp_dimensions[rest % config->num_tp_dimensions];
        const int pp = config->pp_dimensions[i % config->num_pp_dimensions];
        const int dp = config->data_parallel_sizes[rest / config->num_tp_dimensions];
        const int replicas = a->num_gpus / (dp * tp * pp);
        char ranks[24] = "";
        if (dp > 1)
            snprintf(ranks, sizeof ranks, " x DP %d", dp);
        if (replicas > 0 && replicas == b->num_gpus / (dp * tp * pp))
            return vidur_yaml_fail(
                vidur_yaml_item(
                    vidur_yaml_get(vidur_yaml_root(config->doc), "clusters"), second),
                err,
                "%d x TP %d x PP %d%s on %s are in clusters.%d, too, at another "
                "price (usd_per_gpu_hour %g and %g); keep one",
                replicas, tp, pp, ranks, b->node.name, first, a->usd_per_gpu_hour,
                b->usd_per_gpu_hour);
    }
    return 0;
}

static int check_clusters(const struct vidur_search_config *config,
                          struct vidur_error *err)
{
    for (int second = 1; second < config->num_clusters; second++)
        for (int first = 0; first < second; first++)
            if (check_pair(config, first, second, err) != 0)
                return -1;
    return 0;
}

static int check_some_valid(const struct vidur_space *space, struct vidur_error *err)
{
    const struct vidur_yaml_node *root = vidur_yaml_root(space->config->doc);
    for (int64_t i = 0; i < space->num_candidates; i++)
        if (space->candidates[i].status != VIDUR_CANDIDATE_INVALID)
            return 0;
    if (space->num_candidates == 0)
        return vidur_yaml_fail_key(
            root, space->config->num_includes ? "include" : "exclude", err,
            "no candidate is left; loosen the rules or "
            "exclude_tp_dims");
    return vidur_yaml_fail_key(root, "clusters", err,
                               "no candidate is valid; the first: %s",
                               space->candidates[0].reason);
}

/* ---- The space ---- */

static int descending(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x < y) - (x > y);
}

static int count_points(const struct vidur_search_config *config, int64_t *points,
                        struct vidur_error *err)
{
    double product = (double)config->num_models * config->num_traces *
                     config->num_clusters * config->num_schedulers;
#define X(key, type, member, ...) product *= config->num_##member;
    VIDUR_SEARCH_LISTS(X)
#undef X
    if (product > 1e8)
        return vidur_yaml_fail(vidur_yaml_root(config->doc), err,
                               "the space has %.0f points; at most 100 million are "
                               "supported",
                               product);
    *points = (int64_t)product / config->num_batch_sizes;
    return 0;
}

static void find_same_clusters(struct builder *b)
{
    const struct vidur_search_config *config = b->space->config;
    for (int i = 0; i < config->num_clusters; i++) {
        const uint64_t id = identity_cluster(&config->clusters[i]);
        int first = 0;
        while (identity_cluster(&config->clusters[first]) != id)
            first++;
        b->same_cluster[i] = first;
    }
}

static int builder_init(struct builder *b, int64_t points, struct vidur_error *err)
{
    const struct vidur_search_config *config = b->space->config;
    const size_t batches = (size_t)config->num_batch_sizes;
    const size_t all = (size_t)points * batches;
    b->ids.size = 16;
    while (b->ids.size < 2 * all)
        b->ids.size *= 2;
    b->ids.slots = calloc(b->ids.size, sizeof *b->ids.slots);
    b->batch_sizes = malloc(batches * sizeof *b->batch_sizes);
    b->space->candidates = calloc(all, sizeof *b->space->candidates);
    b->same_cluster = calloc((size_t)config->num_clusters, sizeof *b->same_cluster);
    if (!b->ids.slots || !b->batch_sizes || !b->space->candidates || !b->same_cluster)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu candidates", all);
    find_same_clusters(b);
    memcpy(b->batch_sizes, config->batch_sizes, batches * sizeof *b->batch_sizes);
    qsort(b->batch_sizes, batches, sizeof *b->batch_sizes, descending);
    return 0;
}

int vidur_space_build(struct vidur_space *space,
                      const struct vidur_search_config *config, struct vidur_error *err)
{
    int64_t points = 0;
    struct builder builder = {.space = space, .chain = -1, .before = -1};
    memset(space, 0, sizeof *space);
    space->config = config;
    if (check_dimensions(config, err) != 0 || check_clusters(config, err) != 0 ||
        count_points(config, &points, err) != 0)
        return -1;
    int rc = builder_init(&builder, points, err);
    if (rc == 0)
        rc = add_all(&builder, points, err);
    if (rc == 0)
        rc = fleets_add(space, builder.chain + 1, err);
    if (rc == 0)
        rc = check_some_valid(space, err);
    free(builder.ids.slots);
    free(builder.batch_sizes);
    free(builder.same_cluster);
    return rc;
}

void vidur_space_release(struct vidur_space *space)
{
    for (int64_t i = 0; i < space->num_candidates; i++)
        free(space->candidates[i].reason);
    free(space->candidates);
    free(space->tables);
    memset(space, 0, sizeof *space);
}

void vidur_space_shard(struct vidur_space *space, int64_t index, int64_t count)
{
    int64_t kept = 0, last_kept = -1, last_old = -1;
    for (int64_t i = 0; i < space->num_candidates; i++) {
        struct vidur_candidate c = space->candidates[i];
        if (c.chain % count != index) {
            free(c.reason);
            continue;
        }
        if (c.before >= 0) /* the runnable candidate just before it in its chain */
            c.before = c.before == last_old ? last_kept : -1;
        if (c.status == VIDUR_CANDIDATE_RUNNABLE) {
            last_old = i;
            last_kept = kept;
        }
        space->candidates[kept++] = c;
    }
    space->num_candidates = kept;
}
