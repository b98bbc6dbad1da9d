#include "space/fleets.h"

#include "space/config_parts.h"
#include "space/identity.h"
#include "space/mixed.h"
#include "space/rules.h"

#include <vidur/scheduler.h>
#include <vidur/simulation_config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The configuration ---- */

static int read_prefills(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    struct vidur_search_fleets *fleets = out;
    return rules_read(node, &fleets->prefills, &fleets->num_prefills, err);
}

static int read_decodes(const struct vidur_yaml_node *node, void *out,
                        struct vidur_error *err)
{
    struct vidur_search_fleets *fleets = out;
    return rules_read(node, &fleets->decodes, &fleets->num_decodes, err);
}

#define FLEETS(key, kind, member)                                                      \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_fleets, member)
#define WHOLE(key_, read_)                                                             \
    .key = key_, .type = VIDUR_YAML_CUSTOM,                                            \
    .size = sizeof(struct vidur_search_fleets), .read = (read_)

static const struct vidur_yaml_field fields[] = {
    {WHOLE("prefill", read_prefills), .example = "[{device: h100}]"},
    {WHOLE("decode", read_decodes), .example = "[{device: h200}]"},
    {FLEETS("mixed_devices", BOOL, mixed_devices)},
    {FLEETS("only", BOOL, only)},
    {FLEETS("near", DOUBLE, near), .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 0,
     .max = 1},
    {VIDUR_YAML_KEYS(struct vidur_search_fleets, kv_transfer,
                     vidur_kv_transfer_section)},
    {FLEETS("first_token", ENUM, first_token), .names = vidur_first_token_names},
    {0}};

int fleets_read(const struct vidur_yaml_node *node, void *out, struct vidur_error *err)
{
    struct vidur_search_fleets *fleets = out;
    *fleets =
        (struct vidur_search_fleets){.given = true, .mixed_devices = true, .near = 0.7};
    fleets->kv_transfer.latency_us = -1;
    return vidur_yaml_read(node, fields, fleets, err);
}

int fleets_check(const struct vidur_yaml_node *root,
                 const struct vidur_search_config *config, struct vidur_error *err)
{
    const struct vidur_search_fleets *fleets = &config->fleets;
    const struct vidur_yaml_node *node = vidur_yaml_get(root, "disaggregated");
    if (!fleets->given)
        return 0;
    if (config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        return vidur_yaml_fail_key(root, "disaggregated", err,
                                   "capacity_definition scheduling_delay is the "
                                   "reference's search, which has no pools; take slos");
    return rules_check(vidur_yaml_get(node, "prefill"), config, fleets->prefills,
                       fleets->num_prefills, err) ||
                   rules_check(vidur_yaml_get(node, "decode"), config, fleets->decodes,
                               fleets->num_decodes, err)
               ? -1
               : 0;
}

void fleets_release(struct vidur_search_fleets *fleets)
{
    rules_release(fleets->prefills, fleets->num_prefills);
    rules_release(fleets->decodes, fleets->num_decodes);
}

/* ---- Candidates of two pools ---- */

struct rule_subject fleets_subject(const struct vidur_space *space,
                                   const struct vidur_candidate *c,
                                   const struct vidur_deployment *deployment)
{
    const struct vidur_search_config *config = space->config;
    return (struct rule_subject){
        .model = config->models[c->model].name,
        .trace = config->traces[c->trace].name,
        .memory_planner =
            vidur_memory_planner_names[config->memory_planners[c->memory_planner]],
        .precision = config->served[c->served].precision,
        .batch_size = c->batch_size,
        .num_gpus = c->num_gpus,
        .deployment = deployment};
}

bool fleets_serve_same(const struct vidur_candidate *first,
                       const struct vidur_candidate *second)
{
    return first->model == second->model && first->trace == second->trace &&
           first->served == second->served && first->router == second->router &&
           first->memory_planner == second->memory_planner;
}

struct vidur_candidate fleets_pair(const struct vidur_candidate *first,
                                   const struct vidur_candidate *second,
                                   enum vidur_pool_role role,
                                   struct vidur_pool_counts counts)
{
    struct vidur_candidate c = *first;
    c.role = role;
    c.num_replicas = counts.first;
    c.second = (struct vidur_candidate_pool){
        .num_replicas = counts.second,
        .cluster = second->cluster,
        .scheduler = second->scheduler,
        .tensor_parallel_size = second->tensor_parallel_size,
        .num_pipeline_stages = second->num_pipeline_stages,
        .data_parallel_size = second->data_parallel_size,
        .batch_size = second->batch_size,
        .expert_parallel = second->expert_parallel,
        .table = second->table,
        .num_blocks = second->num_blocks};
    c.num_gpus = vidur_candidate_gpus(&c, counts);
    c.weight = first->weight + second->weight;
    c.before = -1;
    return c;
}

int fleets_append(struct fleet_builder *b, const struct vidur_candidate *pair,
                  struct vidur_error *err)
{
    struct vidur_space *space = b->space;
    struct vidur_fleet fleet;
    struct vidur_error why;
    if (space->num_candidates == b->capacity) {
        b->capacity += b->capacity / 2 + 64;
        void *more =
            realloc(space->candidates, (size_t)b->capacity * sizeof *space->candidates);
        if (!more)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
        space->candidates = more;
    }
    const int64_t index = space->num_candidates++;
    struct vidur_candidate *c = &space->candidates[index];
    *c = *pair;
    c->chain = b->chain++;
    vidur_space_fleet(space, index, vidur_candidate_counts(c), &fleet);
    c->id = identity_fleet(space, c, &fleet);
    if (vidur_fleet_check(&fleet, &why) == 0)
        return 0;
    c->status = VIDUR_CANDIDATE_INVALID;
    c->table = -1;
    c->reason = strdup(why.text);
    return c->reason ? 0
                     : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
}

/* ---- Pairs that prefill and decode ---- */

/* A layout of one pool that may have a role. */
struct layout {
    int64_t candidate;
    double rate; /* requests per second and replica, estimated */
};

struct pairs {
    struct fleet_builder *builder;
    struct layout *prefills, *decodes;
    int64_t num_prefills, num_decodes;
};

/* Candidates that differ in the batch size alone, and in what depends on it. */
static bool same_but_batch(const struct vidur_candidate *a,
                           const struct vidur_candidate *b)
{
    return fleets_serve_same(a, b) && a->cluster == b->cluster &&
           a->scheduler == b->scheduler &&
           a->tensor_parallel_size == b->tensor_parallel_size &&
           a->num_pipeline_stages == b->num_pipeline_stages &&
           a->expert_parallel == b->expert_parallel;
}

/* Sorts the candidates of one pool into roles. Of those that prefill the first batch
 * size, the largest, will do: prompts fill a batch by tokens. */
static void list_layouts(struct pairs *p)
{
    const struct fleet_builder *b = p->builder;
    const struct vidur_search_config *config = b->space->config;
    const struct vidur_search_fleets *fleets = &config->fleets;
    for (int64_t i = 0; i < b->num_single; i++) {
        const struct vidur_candidate *c = &b->space->candidates[i];
        const struct rates_lengths *lengths = &b->lengths[c->trace];
        const double limit_s = rates_token_limit_s(&config->traces[c->trace].slos);
        struct vidur_deployment deployment;
        if (c->status != VIDUR_CANDIDATE_RUNNABLE || c->data_parallel_size > 1)
            continue; /* ranks hand nothing over */
        vidur_space_deployment(b->space, i, &deployment);
        if (!vidur_scheduler_find(deployment.scheduler.type)->hands_over)
            continue;
        const struct rule_subject subject = fleets_subject(b->space, c, &deployment);
        const struct layout *last = &p->prefills[p->num_prefills - 1];
        const bool repeats = p->num_prefills > 0 &&
                             same_but_batch(&b->space->candidates[last->candidate], c);
        if (!repeats &&
            rules_admit(fleets->prefills, fleets->num_prefills, NULL, 0, &subject))
            p->prefills[p->num_prefills++] =
                (struct layout){i, rates_prompts(&deployment, lengths)};
        if (rules_admit(fleets->decodes, fleets->num_decodes, NULL, 0, &subject))
            p->decodes[p->num_decodes++] = (struct layout){
                i, rates_outputs(&deployment, c->num_blocks, lengths, limit_s)};
    }
}

static bool go_together(const struct vidur_search_config *config,
                        const struct vidur_candidate *prefill,
                        const struct vidur_candidate *decode)
{
    if (!fleets_serve_same(prefill, decode))
        return false;
    return prefill->cluster == decode->cluster ||
           (config->fleets.mixed_devices &&
            strcmp(config->clusters[prefill->cluster].device.name,
                   config->clusters[decode->cluster].device.name) != 0);
}

/* Of a replica of each: dollars an hour, or devices where one has no price. */
struct prices {
    double prefill, decode;
};

static struct prices prices_of(const struct vidur_search_cluster *clusters,
                               const struct vidur_candidate *p,
                               const struct vidur_candidate *d)
{
    const double usd_p = clusters[p->cluster].usd_per_gpu_hour;
    const double usd_d = clusters[d->cluster].usd_per_gpu_hour;
    const bool known = usd_p > 0 && usd_d > 0;
    return (struct prices){.prefill = vidur_candidate_devices(p) * (known ? usd_p : 1),
                           .decode = vidur_candidate_devices(d) * (known ? usd_d : 1)};
}

/* Whether all devices are split. */
static bool is_split(const struct vidur_search_config *config,
                     const struct vidur_candidate *p, const struct vidur_candidate *d,
                     struct vidur_pool_counts counts)
{
    const int of_p = vidur_candidate_devices(p), of_d = vidur_candidate_devices(d);
    const int prefills = counts.first * of_p, decodes = counts.second * of_d;
    const int gpus_p = config->clusters[p->cluster].num_gpus;
    const int gpus_d = config->clusters[d->cluster].num_gpus;
    if (p->cluster == d->cluster) /* no replica of either fits beside them */
        return prefills + decodes <= gpus_p &&
               prefills + decodes + (of_p < of_d ? of_p : of_d) > gpus_p;
    return prefills <= gpus_p && decodes <= gpus_d &&
           (prefills + of_p > gpus_p || decodes + of_d > gpus_d);
}

/* The splits of one pair that are near the best one by their estimated worth. */
static int add_splits(struct fleet_builder *b, const struct layout *p,
                      const struct layout *d, struct vidur_error *err)
{
    /* copies: the list moves as it grows */
    const struct vidur_candidate prefill = b->space->candidates[p->candidate];
    const struct vidur_candidate decode = b->space->candidates[d->candidate];
    const struct vidur_search_config *config = b->space->config;
    const struct prices prices = prices_of(config->clusters, &prefill, &decode);
    double best = 0;
    for (int pass = 0; pass < 2; pass++) /* the best, then those near it */
        for (int i = 1; i <= prefill.num_replicas; i++)
            for (int j = 1; j <= decode.num_replicas; j++) {
                const struct vidur_pool_counts counts = {i, j};
                if (!is_split(config, &prefill, &decode, counts))
                    continue;
                const double worth = fmin(i * p->rate, j * d->rate) /
                                     (i * prices.prefill + j * prices.decode);
                if (pass == 0) {
                    best = fmax(best, worth);
                    b->space->num_splits++;
                } else if (worth >= config->fleets.near * best) {
                    const struct vidur_candidate pair =
                        fleets_pair(&prefill, &decode, VIDUR_POOL_PREFILL, counts);
                    b->space->num_splits_near++;
                    if (fleets_append(b, &pair, err) != 0)
                        return -1;
                }
            }
    return 0;
}

/* For a target the search finds both counts. */
static int add_for_target(struct fleet_builder *b, const struct layout *p,
                          const struct layout *d, struct vidur_error *err)
{
    const struct vidur_candidate prefill = b->space->candidates[p->candidate];
    const struct vidur_candidate decode = b->space->candidates[d->candidate];
    struct vidur_candidate pair = fleets_pair(&prefill, &decode, VIDUR_POOL_PREFILL,
                                              (struct vidur_pool_counts){1, 1});
    if (pair.num_gpus > b->space->config->target.max_gpus)
        return 0;
    pair.needed[0] = 1 / p->rate;
    pair.needed[1] = 1 / d->rate;
    return fleets_append(b, &pair, err);
}

static int add_pairs(struct pairs *p, struct vidur_error *err)
{
    struct fleet_builder *b = p->builder;
    const struct vidur_search_config *config = b->space->config;
    const int64_t before = b->space->num_candidates;
    list_layouts(p);
    for (int64_t i = 0; i < p->num_prefills; i++)
        for (int64_t j = 0; j < p->num_decodes; j++) {
            const struct layout *prefill = &p->prefills[i], *decode = &p->decodes[j];
            if (!go_together(config, &b->space->candidates[prefill->candidate],
                             &b->space->candidates[decode->candidate]))
                continue;
            const int rc = config->target.qps > 0
                               ? add_for_target(b, prefill, decode, err)
                               : add_splits(b, prefill, decode, err);
            if (rc != 0)
                return -1;
        }
    if (b->space->num_candidates == before)
        return vidur_yaml_fail_key(
            vidur_yaml_root(config->doc), "disaggregated", err,
            "no two layouts go together: %lld may prefill, %lld decode; their "
            "scheduler "
            "must hand requests over (vllm_v1), they serve one precision, and the "
            "cluster must have devices for both",
            (long long)p->num_prefills, (long long)p->num_decodes);
    return 0;
}

static int add_disaggregated(struct fleet_builder *b, struct vidur_error *err)
{
    const size_t count = (size_t)b->num_single + 1;
    struct pairs pairs = {.builder = b,
                          .prefills = malloc(count * sizeof *pairs.prefills),
                          .decodes = malloc(count * sizeof *pairs.decodes)};
    const int status =
        pairs.prefills && pairs.decodes
            ? add_pairs(&pairs, err)
            : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
    free(pairs.prefills);
    free(pairs.decodes);
    return status;
}

/* ---- Both ---- */

/* Leaves those of one pool out; nothing refers to them. */
static void keep_fleets(struct fleet_builder *b)
{
    struct vidur_space *space = b->space;
    for (int64_t i = 0; i < b->num_single; i++)
        free(space->candidates[i].reason);
    space->num_candidates -= b->num_single;
    memmove(space->candidates, space->candidates + b->num_single,
            (size_t)space->num_candidates * sizeof *space->candidates);
}

static int build(struct fleet_builder *b, struct vidur_error *err)
{
    const struct vidur_search_config *config = b->space->config;
    for (int i = 0; i < config->num_traces; i++)
        if (rates_lengths(&config->traces[i].workload, &b->lengths[i], err) != 0)
            return config_fail_workload(config, i, err);
    if ((config->fleets.given && add_disaggregated(b, err) != 0) ||
        (config->mixed.given && mixed_add(b, err) != 0))
        return -1;
    if (config->fleets.only || config->mixed.only)
        keep_fleets(b);
    return 0;
}

int fleets_add(struct vidur_space *space, int64_t chain, struct vidur_error *err)
{
    const struct vidur_search_config *config = space->config;
    if (!config->fleets.given && !config->mixed.given)
        return 0;
    struct fleet_builder b = {
        .space = space,
        .capacity = space->num_candidates,
        .num_single = space->num_candidates,
        .chain = chain,
        .lengths = calloc((size_t)config->num_traces, sizeof *b.lengths)};
    const int status =
        b.lengths ? build(&b, err)
                  : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
    free(b.lengths);
    return status;
}
