#include "space/fleets.h"

#include "space/config_parts.h"
#include "space/identity.h"
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
    {WHOLE("prefill", read_prefills)},
    {WHOLE("decode", read_decodes)},
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

/* ---- What a pool may carry ---- */

/*
 * Estimates, good for choosing the splits that are simulated and for nothing else: a
 * roofline of whole passes at a fixed share of the peaks. What counts is the ratio of
 * the two pools' rates.
 */
static const double compute_share = 0.5, bandwidth_share = 0.7;
static const double launch_s_per_layer = 20e-6;

struct lengths {
    double prompt, output; /* tokens, on average */
};

static int mean_lengths(const struct vidur_workload_config *config, struct lengths *out,
                        struct vidur_error *err)
{
    struct vidur_workload *workload;
    double prompt = 0, output = 0;
    if (vidur_workload_create(&workload, config, err) != 0)
        return -1;
    for (int64_t i = 0; i < workload->num_requests; i++) {
        prompt += workload->num_prefill_tokens[i];
        output += workload->num_decode_tokens[i];
    }
    *out = (struct lengths){prompt / (double)workload->num_requests,
                            output / (double)workload->num_requests};
    vidur_workload_destroy(workload);
    return 0;
}

/* One device of a stage, on average. */
struct device_work {
    struct vidur_shard shard;
    double weight_s; /* to read its weights once */
    double kv_s;     /* to read a token's cache */
    double flop_s;   /* of one operation that costs what bf16's do */
};

static struct device_work work_of(const struct vidur_deployment *d)
{
    const struct vidur_cut cut = vidur_deployment_cut(d);
    const double bytes_per_s =
        bandwidth_share * d->device.memory_bandwidth_gb_per_s * 1e9;
    struct device_work work;
    vidur_shard_of(&work.shard, &d->model, &cut);
    work.weight_s = vidur_shard_layer_bytes(&work.shard) / bytes_per_s;
    work.kv_s = vidur_shard_kv_bytes_per_token(&work.shard) / bytes_per_s;
    work.flop_s = 1 / (compute_share * d->device.peak_fp16_tflops * 1e12);
    return work;
}

/* Prompts that a replica works off in a second. */
static double prompt_rate(const struct vidur_deployment *d,
                          const struct lengths *lengths)
{
    const struct device_work work = work_of(d);
    const struct vidur_relative_peaks peaks = vidur_device_peaks(&d->device);
    const int64_t tokens = (int64_t)lengths->prompt + 1;
    const double flops =
        vidur_shard_flops(&work.shard, &peaks, tokens, tokens * tokens / 2);
    const double passes =
        ceil((double)tokens / (double)d->scheduler.max_num_batched_tokens);
    return 1 / fmax(flops * work.flop_s, passes * work.weight_s);
}

/* The least limit on the time of an output token, of joint SLOs' and of classes', too;
 * infinity: there is none. */
static double token_limit_s(const struct vidur_slo_list *slos)
{
    double limit_s = INFINITY;
    for (int i = 0; i < slos->count; i++) {
        const struct vidur_slo *slo = &slos->slos[i];
        if (slo->metric == VIDUR_LATENCY_tpot || slo->metric == VIDUR_LATENCY_tbt)
            limit_s = fmin(limit_s, slo->limit_s);
        if (slo->parts_s[VIDUR_LATENCY_tpot] > 0)
            limit_s = fmin(limit_s, slo->parts_s[VIDUR_LATENCY_tpot]);
    }
    return limit_s;
}

/* Requests that a replica decodes in a second, with as many at once as memory, the cap
 * and the limit on a token's time allow. */
static double decode_rate(const struct vidur_deployment *d, int64_t num_blocks,
                          const struct lengths *lengths, double limit_s)
{
    const struct device_work work = work_of(d);
    const double context = lengths->prompt + lengths->output / 2;
    const double fixed_s = work.weight_s + launch_s_per_layer * d->model.num_layers /
                                               d->num_pipeline_stages;
    const double stages = d->num_pipeline_stages;
    double at_once = (double)num_blocks * d->scheduler.block_size / context;
    at_once = fmin(at_once, vidur_deployment_batch_cap(d)) / stages; /* of a stage */
    const double by_limit = (limit_s / stages - fixed_s) / (work.kv_s * context);
    at_once = fmax(1, fmin(at_once, by_limit));
    return at_once / (fixed_s + at_once * work.kv_s * context) / lengths->output;
}

/* ---- Pairs ---- */

/* A layout of one pool that may have a role. */
struct layout {
    int64_t candidate;
    double rate; /* requests per second and replica, estimated */
};

struct builder {
    struct vidur_space *space;
    int64_t capacity;   /* of space->candidates */
    int64_t num_single; /* candidates of one pool */
    int64_t chain;
    struct lengths *lengths; /* by trace */
    struct layout *prefills, *decodes;
    int64_t num_prefills, num_decodes;
};

static bool admits(const struct builder *b, const struct vidur_candidate *c,
                   const struct vidur_deployment *deployment, bool decodes)
{
    const struct vidur_search_config *config = b->space->config;
    const struct vidur_search_fleets *fleets = &config->fleets;
    const struct rule_subject subject = {
        .model = config->models[c->model].name,
        .trace = config->traces[c->trace].name,
        .memory_planner =
            vidur_memory_planner_names[config->memory_planners[c->memory_planner]],
        .precision = config->served[c->served].precision,
        .batch_size = c->batch_size,
        .num_gpus = c->num_gpus,
        .deployment = deployment};
    return decodes
               ? rules_admit(fleets->decodes, fleets->num_decodes, NULL, 0, &subject)
               : rules_admit(fleets->prefills, fleets->num_prefills, NULL, 0, &subject);
}

/* Candidates that differ in the batch size alone, and in what depends on it. */
static bool same_but_batch(const struct vidur_candidate *a,
                           const struct vidur_candidate *b)
{
    return a->model == b->model && a->trace == b->trace && a->cluster == b->cluster &&
           a->scheduler == b->scheduler && a->router == b->router &&
           a->memory_planner == b->memory_planner && a->served == b->served &&
           a->tensor_parallel_size == b->tensor_parallel_size &&
           a->num_pipeline_stages == b->num_pipeline_stages &&
           a->expert_parallel == b->expert_parallel;
}

/* Sorts the candidates of one pool into roles. Of those that prefill the first batch
 * size, the largest, will do: prompts fill a batch by tokens. */
static void list_layouts(struct builder *b)
{
    const struct vidur_search_config *config = b->space->config;
    for (int64_t i = 0; i < b->num_single; i++) {
        const struct vidur_candidate *c = &b->space->candidates[i];
        const struct lengths *lengths = &b->lengths[c->trace];
        const double limit_s = token_limit_s(&config->traces[c->trace].slos);
        struct vidur_deployment deployment;
        if (c->status != VIDUR_CANDIDATE_RUNNABLE || c->data_parallel_size > 1)
            continue; /* ranks hand nothing over */
        vidur_space_deployment(b->space, i, &deployment);
        if (!vidur_scheduler_find(deployment.scheduler.type)->hands_over)
            continue;
        const struct layout *last = &b->prefills[b->num_prefills - 1];
        const bool repeats = b->num_prefills > 0 &&
                             same_but_batch(&b->space->candidates[last->candidate], c);
        if (!repeats && admits(b, c, &deployment, false))
            b->prefills[b->num_prefills++] =
                (struct layout){i, prompt_rate(&deployment, lengths)};
        if (admits(b, c, &deployment, true))
            b->decodes[b->num_decodes++] = (struct layout){
                i, decode_rate(&deployment, c->num_blocks, lengths, limit_s)};
    }
}

static bool go_together(const struct builder *b, const struct vidur_candidate *prefill,
                        const struct vidur_candidate *decode)
{
    const struct vidur_search_config *config = b->space->config;
    if (prefill->model != decode->model || prefill->trace != decode->trace ||
        prefill->served != decode->served || prefill->router != decode->router ||
        prefill->memory_planner != decode->memory_planner)
        return false;
    return prefill->cluster == decode->cluster ||
           (config->fleets.mixed_devices &&
            strcmp(config->clusters[prefill->cluster].device.name,
                   config->clusters[decode->cluster].device.name) != 0);
}

/* ---- Splits ---- */

/* How many replicas of each role a unit has, and what a dollar of it is estimated to
 * carry. */
struct split {
    int prefills, decodes;
    double worth;
};

enum { MOST_OF_A_UNIT = 8 }; /* replicas of a role in a unit that a target repeats */

static int greatest_divisor(int a, int b)
{
    while (b) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Of a replica of each: dollars an hour, or devices where one has no price. */
struct prices {
    double prefill, decode;
};

static struct prices prices_of(const struct builder *b, const struct vidur_candidate *p,
                               const struct vidur_candidate *d)
{
    const struct vidur_search_cluster *clusters = b->space->config->clusters;
    const double usd_p = clusters[p->cluster].usd_per_gpu_hour;
    const double usd_d = clusters[d->cluster].usd_per_gpu_hour;
    const bool known = usd_p > 0 && usd_d > 0;
    return (struct prices){.prefill = vidur_candidate_devices(p) * (known ? usd_p : 1),
                           .decode = vidur_candidate_devices(d) * (known ? usd_d : 1)};
}

/* Whether a unit of so many replicas is to be considered: all devices are split, or a
 * ratio in lowest terms. */
static bool is_split(const struct builder *b, const struct vidur_candidate *p,
                     const struct vidur_candidate *d, const struct split *split)
{
    const struct vidur_search_config *config = b->space->config;
    const int of_p = vidur_candidate_devices(p), of_d = vidur_candidate_devices(d);
    const int prefills = split->prefills * of_p, decodes = split->decodes * of_d;
    if (config->target.qps > 0)
        return greatest_divisor(split->prefills, split->decodes) == 1 &&
               prefills + decodes <= config->target.max_gpus;
    const int gpus_p = config->clusters[p->cluster].num_gpus;
    const int gpus_d = config->clusters[d->cluster].num_gpus;
    if (p->cluster == d->cluster) /* no replica of either fits beside them */
        return prefills + decodes <= gpus_p &&
               prefills + decodes + (of_p < of_d ? of_p : of_d) > gpus_p;
    return prefills <= gpus_p && decodes <= gpus_d &&
           (prefills + of_p > gpus_p || decodes + of_d > gpus_d);
}

static int most_replicas(const struct builder *b, const struct vidur_candidate *c)
{
    return b->space->config->target.qps > 0
               ? MOST_OF_A_UNIT
               : b->space->config->clusters[c->cluster].num_gpus /
                     vidur_candidate_devices(c);
}

static int add_fleet(struct builder *b, const struct vidur_candidate *prefill,
                     const struct vidur_candidate *decode, const struct split *split,
                     struct vidur_error *err)
{
    struct vidur_space *space = b->space;
    struct vidur_fleet fleet;
    struct vidur_error why;
    struct vidur_candidate c = *prefill;
    c.decode = (struct vidur_candidate_pool){
        .num_replicas = split->decodes,
        .cluster = decode->cluster,
        .scheduler = decode->scheduler,
        .tensor_parallel_size = decode->tensor_parallel_size,
        .num_pipeline_stages = decode->num_pipeline_stages,
        .batch_size = decode->batch_size,
        .expert_parallel = decode->expert_parallel,
        .table = decode->table,
        .num_blocks = decode->num_blocks};
    c.prefill_replicas = split->prefills;
    c.num_replicas = 1;
    c.num_gpus = vidur_candidate_unit_gpus(&c);
    c.weight = prefill->weight + decode->weight;
    c.before = -1;
    c.chain = b->chain++;
    if (space->num_candidates == b->capacity) {
        b->capacity += b->capacity / 2 + 64;
        void *more =
            realloc(space->candidates, (size_t)b->capacity * sizeof *space->candidates);
        if (!more)
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
        space->candidates = more;
    }
    const int64_t index = space->num_candidates++;
    space->candidates[index] = c;
    vidur_space_fleet(space, index, 1, &fleet);
    space->candidates[index].id = identity_fleet(space, &c, &fleet);
    if (vidur_fleet_check(&fleet, &why) == 0)
        return 0;
    space->candidates[index].status = VIDUR_CANDIDATE_INVALID;
    space->candidates[index].table = -1;
    space->candidates[index].reason = strdup(why.text);
    return space->candidates[index].reason
               ? 0
               : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
}

/* The splits of one pair that are near the best one by their estimated worth. */
static int add_pair(struct builder *b, const struct layout *p, const struct layout *d,
                    struct vidur_error *err)
{
    /* copies: the list moves as it grows */
    const struct vidur_candidate prefill = b->space->candidates[p->candidate];
    const struct vidur_candidate decode = b->space->candidates[d->candidate];
    const int most_p = most_replicas(b, &prefill), most_d = most_replicas(b, &decode);
    const struct prices prices = prices_of(b, &prefill, &decode);
    const double near = b->space->config->fleets.near;
    double best = 0;
    for (int pass = 0; pass < 2; pass++) /* the best, then those near it */
        for (int i = 1; i <= most_p; i++)
            for (int j = 1; j <= most_d; j++) {
                struct split split = {.prefills = i, .decodes = j};
                if (!is_split(b, &prefill, &decode, &split))
                    continue;
                split.worth = fmin(i * p->rate, j * d->rate) /
                              (i * prices.prefill + j * prices.decode);
                if (pass == 0) {
                    best = fmax(best, split.worth);
                    b->space->num_splits++;
                } else if (split.worth >= near * best) {
                    b->space->num_splits_near++;
                    if (add_fleet(b, &prefill, &decode, &split, err) != 0)
                        return -1;
                }
            }
    return 0;
}

/* Leaves those of one pool out; nothing refers to them. */
static void keep_fleets(struct builder *b)
{
    struct vidur_space *space = b->space;
    for (int64_t i = 0; i < b->num_single; i++)
        free(space->candidates[i].reason);
    space->num_candidates -= b->num_single;
    memmove(space->candidates, space->candidates + b->num_single,
            (size_t)space->num_candidates * sizeof *space->candidates);
}

static int build(struct builder *b, struct vidur_error *err)
{
    const struct vidur_search_config *config = b->space->config;
    for (int i = 0; i < config->num_traces; i++)
        if (mean_lengths(&config->traces[i].workload, &b->lengths[i], err) != 0)
            return config_fail_workload(config, i, err);
    list_layouts(b);
    for (int64_t i = 0; i < b->num_prefills; i++)
        for (int64_t j = 0; j < b->num_decodes; j++)
            if (go_together(b, &b->space->candidates[b->prefills[i].candidate],
                            &b->space->candidates[b->decodes[j].candidate]) &&
                add_pair(b, &b->prefills[i], &b->decodes[j], err) != 0)
                return -1;
    if (b->space->num_candidates == b->num_single)
        return vidur_yaml_fail_key(
            vidur_yaml_root(config->doc), "disaggregated", err,
            "no two layouts go together: %lld may prefill, %lld decode; their "
            "scheduler "
            "must hand requests over (vllm_v1), they serve one precision, and the "
            "cluster must have devices for both",
            (long long)b->num_prefills, (long long)b->num_decodes);
    if (config->fleets.only)
        keep_fleets(b);
    return 0;
}

int fleets_add(struct vidur_space *space, int64_t chain, struct vidur_error *err)
{
    const size_t count = (size_t)space->num_candidates + 1;
    struct builder b = {
        .space = space,
        .capacity = space->num_candidates,
        .num_single = space->num_candidates,
        .chain = chain,
        .lengths = calloc((size_t)space->config->num_traces, sizeof *b.lengths),
        .prefills = malloc(count * sizeof *b.prefills),
        .decodes = malloc(count * sizeof *b.decodes)};
    const int status =
        b.lengths && b.prefills && b.decodes
            ? build(&b, err)
            : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
    free(b.lengths);
    free(b.prefills);
    free(b.decodes);
    return status;
}
