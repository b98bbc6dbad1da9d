#include "tell/pool_summary.h"

#include "base/text.h"

void vidur_pool_summary_put_layout(struct vidur_json_writer *json,
                                   const struct vidur_deployment *d,
                                   const struct vidur_memory_plan *plan)
{
    vidur_json_put_string(json, "device", d->device.name);
    vidur_json_put_string(json, "network_device", d->node.name);
    vidur_json_put_int64(json, "num_replicas", d->num_replicas);
    vidur_json_put_int64(json, "tensor_parallel_size", d->tensor_parallel_size);
    vidur_json_put_int64(json, "expert_parallel", d->expert_parallel);
    vidur_json_put_int64(json, "data_parallel_size", d->data_parallel_size);
    vidur_json_put_int64(json, "num_pipeline_stages", d->num_pipeline_stages);
    vidur_json_put_int64(json, "num_gpus", vidur_deployment_num_gpus(d));
    vidur_json_put_string(json, "scheduler", d->scheduler.type);
    vidur_json_put_string(json, "router", d->router);
    vidur_json_put_int64(json, "num_blocks", plan->num_blocks);
    vidur_json_put_int64(json, "max_batch_size", plan->max_batch_size);
    vidur_json_put_double(json, "param_bytes_per_device", plan->param_bytes);
    vidur_json_put_double(json, "kv_bytes_per_token_per_device",
                          plan->kv_bytes_per_token);
    vidur_json_put_double(json, "usd_per_hour",
                          d->device.usd_per_gpu_hour * vidur_deployment_num_gpus(d));
}

static bool hands_over(const struct vidur_fleet *fleet)
{
    return fleet->pools[0].role == VIDUR_POOL_PREFILL;
}

static double fleet_usd_per_hour(const struct vidur_fleet *fleet)
{
    double sum = 0;
    for (int i = 0; i < fleet->num_pools; i++) {
        const struct vidur_deployment *d = &fleet->pools[i].deployment;
        sum += d->device.usd_per_gpu_hour * vidur_deployment_num_gpus(d);
    }
    return sum;
}

static double mean_waiting_ms(const struct vidur_transfer_metrics *transfers)
{
    return transfers->count > 0 ? 1e3 * transfers->waited_s / (double)transfers->count
                                : 0;
}

/* ---- JSON ---- */

static void put_fleet(struct vidur_json_writer *json, const struct vidur_fleet *fleet)
{
    const struct vidur_model_spec *model = &fleet->pools[0].deployment.model;
    char precision[96];
    vidur_precision_describe(&model->precision, precision, sizeof precision);
    vidur_json_begin_object(json, "deployment");
    vidur_json_put_string(json, "model", model->name);
    vidur_json_put_string(json, "precision", precision);
    vidur_json_put_int64(json, "num_replicas", vidur_fleet_num_replicas(fleet));
    vidur_json_put_int64(json, "num_gpus", vidur_fleet_num_gpus(fleet));
    vidur_json_put_double(json, "usd_per_hour", fleet_usd_per_hour(fleet));
    if (hands_over(fleet)) {
        vidur_json_put_string(json, "first_token",
                              vidur_first_token_names[fleet->first_token]);
        vidur_json_put_string(json, "kv_transfer_overlap",
                              vidur_kv_overlap_names[fleet->kv_transfer.overlap]);
    }
    vidur_json_end(json);
}

static void put_transfers(struct vidur_json_writer *json,
                          const struct vidur_fleet *fleet, int pool,
                          const struct vidur_transfer_metrics *transfers)
{
    const struct vidur_kv_link link = vidur_fleet_link(fleet, 0, pool);
    vidur_json_begin_object(json, "transfers");
    vidur_json_put_int64(json, "count", transfers->count);
    vidur_json_put_double(json, "gb", transfers->bytes * 1e-9);
    vidur_json_put_double(json, "busy_s", transfers->busy_s);
    vidur_json_put_double(json, "mean_waiting_ms", mean_waiting_ms(transfers));
    vidur_json_put_double(json, "link_gb_per_s", link.bytes_per_s * 1e-9);
    vidur_json_put_double(json, "link_latency_us", link.latency_s * 1e6);
    vidur_json_end(json);
}

static void put_metrics(struct vidur_json_writer *json,
                        const struct vidur_pool_metrics *m)
{
    vidur_json_begin_object(json, "metrics");
#define X(name) vidur_json_put_double(json, #name, m->name);
    VIDUR_POOL_MEANS(X)
#undef X
    vidur_json_put_double(json, "mean_waiting_requests", m->mean_waiting_requests);
    vidur_json_put_double(json, "mean_batch_size", m->mean_batch_size);
    vidur_json_put_double(json, "full_batch_fraction", m->full_batch_fraction);
    vidur_json_put_double(json, "blocked_on_memory_fraction",
                          m->blocked_on_memory_fraction);
    vidur_json_put_int64(json, "batches", m->num_batches);
    vidur_json_put_int64(json, "restarts", m->num_restarts);
    vidur_json_put_int64(json, "peak_holders", m->peak_holders);
    vidur_json_end(json);
}

static void put_pool(struct vidur_json_writer *json, const struct vidur_summary *s,
                     int index)
{
    const struct vidur_fleet *fleet = &s->config->fleet;
    const struct vidur_pool *pool = &fleet->pools[index];
    const struct vidur_pool_metrics *metrics = &s->metrics->pools[index];
    vidur_json_begin_object(json, NULL);
    vidur_json_put_string(json, "role", vidur_pool_role_names[pool->role]);
    vidur_json_put_double(json, "weight", pool->weight);
    vidur_pool_summary_put_layout(json, &pool->deployment, &s->plans[index]);
    vidur_json_put_string(json, "times", s->timetables[index]->provenance);
    vidur_json_put_string(json, "times_key", s->timetables[index]->key);
    put_metrics(json, metrics);
    if (pool->role == VIDUR_POOL_DECODE)
        put_transfers(json, fleet, index, &metrics->transfers);
    vidur_json_end(json);
}

void vidur_pool_summary_put(struct vidur_json_writer *json,
                            const struct vidur_summary *summary)
{
    put_fleet(json, &summary->config->fleet);
    vidur_json_begin_array(json, "pools");
    for (int i = 0; i < summary->config->fleet.num_pools; i++)
        put_pool(json, summary, i);
    vidur_json_end(json);
}

/* ---- Text ---- */

void vidur_pool_summary_print_layout(const struct vidur_summary *summary, FILE *out)
{
    const struct vidur_fleet *fleet = &summary->config->fleet;
    for (int i = 0; i < fleet->num_pools; i++) {
        const struct vidur_pool *pool = &fleet->pools[i];
        const struct vidur_deployment *d = &pool->deployment;
        fprintf(
            out,
            "pool %d %-7s  %s of TP %d%s, PP %d on %s; %s, %s routing; KV blocks per "
            "replica: %lld; operator times: %s\n",
            i, vidur_pool_role_names[pool->role],
            vidur_text_counted(d->num_replicas, "replica").text,
            d->tensor_parallel_size, d->expert_parallel ? " EP" : "",
            d->num_pipeline_stages, vidur_text_show(d->device.name).text,
            d->scheduler.type, d->router, (long long)summary->plans[i].num_blocks,
            vidur_text_show(summary->timetables[i]->provenance).text);
    }
}

void vidur_pool_summary_print_metrics(const struct vidur_summary *summary, FILE *out)
{
    const struct vidur_fleet *fleet = &summary->config->fleet;
    const bool moves = hands_over(fleet);
    fprintf(out, "%-14s %8s %8s %8s %8s %8s%s\n", "pools", "MFU %", "KV %", "busy %",
            "batch", "waiting", moves ? "   transfers       GB  waited ms" : "");
    for (int i = 0; i < fleet->num_pools; i++) {
        const struct vidur_pool_metrics *m = &summary->metrics->pools[i];
        fprintf(out, "%d %-12s %8.2f %8.2f %8.2f %8.1f %8.1f", i,
                vidur_pool_role_names[fleet->pools[i].role], m->mfu, m->memory_usage,
                m->busy, m->mean_batch_size, m->mean_waiting_requests);
        if (fleet->pools[i].role == VIDUR_POOL_DECODE)
            fprintf(out, " %11lld %8.1f %10.2f", (long long)m->transfers.count,
                    m->transfers.bytes * 1e-9, mean_waiting_ms(&m->transfers));
        fprintf(out, "\n");
    }
}
