#include "study/study_parts.h"
#include "study/work.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---- Columns ---- */

/* "TP4 EP DP2 PP2" */
static void describe_layout(char *out, size_t size, const struct vidur_candidate *c)
{
    char ranks[16] = "", stages[16] = "";
    if (c->data_parallel_size > 1)
        snprintf(ranks, sizeof ranks, " DP%d", c->data_parallel_size);
    if (c->num_pipeline_stages > 1)
        snprintf(stages, sizeof stages, " PP%d", c->num_pipeline_stages);
    snprintf(out, size, "TP%d%s%s%s", c->tensor_parallel_size,
             c->expert_parallel ? " EP" : "", ranks, stages);
}

/* Nodes are not shared by clusters. */
static int count_nodes(const struct vidur_search_config *config,
                       const struct vidur_candidate *c, struct vidur_pool_counts counts)
{
    const int of_first = config->clusters[c->cluster].node.devices_per_node;
    const int of_second = config->clusters[c->second.cluster].node.devices_per_node;
    const int first = counts.first * vidur_candidate_devices(c);
    const int second = counts.second * vidur_candidate_second_devices(c);
    return (first + of_first - 1) / of_first + (second + of_second - 1) / of_second;
}

static void describe_pools(const struct vidur_search_config *config,
                           const struct vidur_candidate *c,
                           struct vidur_pool_counts counts,
                           struct vidur_ranking_row *row)
{
    struct vidur_candidate other = *c;
    char first[48], second[48];
    other.tensor_parallel_size = c->second.tensor_parallel_size;
    other.data_parallel_size = c->second.data_parallel_size;
    other.num_pipeline_stages = c->second.num_pipeline_stages;
    other.expert_parallel = c->second.expert_parallel;
    describe_layout(first, sizeof first, c);
    describe_layout(second, sizeof second, &other);
    const bool mixed = vidur_candidate_is_mixed(c);
    snprintf(row->pools, sizeof row->pools, "%d x %.24s %s%s + %d x %.24s %.31s%s",
             counts.first, first, row->device, mixed ? "" : " prefill", counts.second,
             second, config->clusters[c->second.cluster].device.name,
             mixed ? "" : " decode");
}

#define TEXT(member, value) snprintf(row->member, sizeof row->member, "%s", value)

/* What both kinds of candidates have of their second pool, under their names. */
#define FILL_SECOND(prefix)                                                            \
    row->prefix##_replicas = counts.second;                                            \
    TEXT(prefix##_device, cluster->device.name);                                       \
    TEXT(prefix##_network_device, cluster->node.name);                                 \
    TEXT(prefix##_scheduler_label, scheduler->label);                                  \
    row->prefix##_tensor_parallel_size = p->tensor_parallel_size;                      \
    row->prefix##_expert_parallel = p->expert_parallel;                                \
    row->prefix##_num_pipeline_stages = p->num_pipeline_stages;                        \
    row->prefix##_batch_size = p->batch_size;                                          \
    row->prefix##_max_num_batched_tokens = scheduler->config.max_num_batched_tokens;   \
    row->prefix##_num_blocks = p->num_blocks

void study_fill_pools(const struct study *study, int64_t path,
                      struct vidur_ranking_row *row)
{
    const struct vidur_search_config *config = study->config;
    const int64_t candidate = study->paths[path].candidate;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const struct vidur_candidate_pool *p = &c->second;
    const struct vidur_search_cluster *cluster = &config->clusters[p->cluster];
    const struct vidur_search_scheduler *scheduler = &config->schedulers[p->scheduler];
    const struct vidur_pool_counts counts = study_path_counts(study, path);
    if (!vidur_candidate_is_fleet(c))
        return;
    if (p->cluster != c->cluster)
        row->num_nodes = count_nodes(config, c, counts);
    describe_pools(config, c, counts, row);
    if (!vidur_candidate_is_mixed(c)) {
        row->prefill_replicas = counts.first;
        FILL_SECOND(decode);
        return;
    }
    const struct evaluator_bound *bound = &study->paths[candidate].bound;
    row->first_replicas = counts.first;
    FILL_SECOND(second);
    row->second_data_parallel_size = p->data_parallel_size;
    if (bound->qps > 0) {
        row->first_replica_qps = bound->capacity_qps[0];
        row->second_replica_qps = bound->capacity_qps[1];
    }
}

/* "8 x h100 + 4 x l40s" */
static void describe_added(const struct vidur_search_config *config,
                           const struct vidur_candidate *c,
                           const struct vidur_added *added, char *out, size_t size)
{
    const int clusters[] = {c->cluster, c->second.cluster};
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < 2; i++)
        if (added->gpus[i] > 0 && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%d x %s",
                                     used ? " + " : "", added->gpus[i],
                                     config->clusters[clusters[i]].device.name);
}

void study_fill_added(const struct study *study, int64_t path,
                      struct vidur_ranking_row *row)
{
    const struct vidur_search_config *config = study->config;
    const int64_t candidate = study->paths[path].candidate;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const struct vidur_added added =
        vidur_space_added(study->space, candidate, study_path_counts(study, path));
    if (config->num_have == 0)
        return;
    describe_added(config, c, &added, row->added, sizeof row->added);
    row->added_gpus = added.gpus[0] + added.gpus[1];
    row->added_usd_per_hour = added.usd_per_hour;
}

void study_explain_pools(const struct study *study, int64_t path,
                         struct vidur_ranking_row *row)
{
    const int64_t candidate = study->paths[path].candidate;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const struct evaluator_bound *bound = &study->paths[candidate].bound;
    if (!vidur_candidate_is_mixed(c) || !(bound->qps > 0))
        return;
    for (int i = 0; i < 2; i++)
        if (!(bound->capacity_qps[i] > 0)) {
            snprintf(
                row->reason, sizeof row->reason,
                "a replica of the %s pool (%s) meets the SLOs at no load alone, so "
                "there is no share of the load for it",
                i == 0 ? "first" : "second", i == 0 ? row->device : row->second_device);
            return;
        }
}

/* ---- Costs and energy ---- */

/* A pool's share of the requests whose outputs are made, by what it is for. */
static double share_of_outputs(const struct vidur_candidate *c,
                               struct vidur_pool_counts counts,
                               const struct evaluator_bound *bound, int pool)
{
    if (!vidur_candidate_is_mixed(c))
        return pool; /* the second one decodes */
    const double first = counts.first * bound->capacity_qps[0];
    const double second = counts.second * bound->capacity_qps[1];
    return (pool == 0 ? first : second) / (first + second);
}

/* Where one pool prefills its price is what input costs. */
static double prefill_share(const struct study *study, int64_t candidate,
                            struct vidur_pool_counts counts)
{
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const int gpus = counts.second * vidur_candidate_second_devices(c);
    return 1 - gpus * study->config->clusters[c->second.cluster].usd_per_gpu_hour /
                   vidur_space_usd_per_hour(study->space, candidate, counts);
}

void study_estimate_pools(const struct study *study, int64_t candidate,
                          const struct evaluator_probed *probe,
                          struct work_estimate *estimate)
{
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const struct vidur_workload *workload =
        evaluator_workload(study->evaluator, c->trace);
    const struct vidur_pool_counts counts = study_counts(&probe->row);
    const int clusters[] = {c->cluster, c->second.cluster};
    double gpus = 0, usd = 0;
    struct vidur_fleet fleet;
    vidur_space_fleet(study->space, candidate, counts, &fleet);
    *estimate = (struct work_estimate){0};
    for (int i = 0; i < 2; i++) {
        const struct vidur_deployment *d = &fleet.pools[i].deployment;
        const struct evaluator_pool *of = &probe->pools[i];
        const struct work_load load = {
            .replicas = d->num_replicas,
            .qps = probe->row.qps *
                   share_of_outputs(c, counts, &study->paths[candidate].bound, i),
            .busy = of->busy,
            .mfu = of->mfu,
            .num_batches = (double)of->num_batches,
            .mean_tokens_per_batch = of->mean_tokens_per_batch,
            .mean_decode_batch_size = probe->row.mean_decode_batch_size,
            .time_s = probe->row.simulated_time_s};
        struct work_estimate of_pool;
        work_estimate_pool(d, workload, &load, &of_pool);
        const double more = vidur_deployment_num_gpus(d);
        const double costs =
            more * study->config->clusters[clusters[i]].usd_per_gpu_hour;
        gpus += more;
        usd += costs;
        estimate->input_share += costs * of_pool.input_share;
        estimate->bandwidth_usage += more * of_pool.bandwidth_usage;
        estimate->watts_per_gpu += more * of_pool.watts_per_gpu;
    }
    estimate->input_share = vidur_candidate_is_mixed(c)
                                ? estimate->input_share / usd
                                : prefill_share(study, candidate, counts);
    estimate->bandwidth_usage /= gpus;
    estimate->watts_per_gpu /= gpus;
}
