#include "synthetic_results.h"

#include "results/results_notes.h"

#include <vidur/ranking.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device {
    const char *name, *node;
    double usd, speed, memory_gib;
};

static const struct device devices[] = {{"h100", "h100_dgx", 4.25, 2.6, 80},
                                        {"a100", "a100_dgx", 2.21, 1.0, 80},
                                        {"a40", "a40_pairwise_nvlink", 1.28, 0.4, 45}};
static const struct {
    const char *name, *identifier;
    double weight_gib;
} models[] = {{"llama-2-70b", "meta-llama/Llama-2-70b-hf", 129},
              {"llama-2-7b", "meta-llama/Llama-2-7b-hf", 12.6}};
static const struct {
    const char *name;
    double prefill, decode;
} traces[] = {{"chat", 686, 197}, {"arxiv", 2588, 291}, {"bwb", 1067, 1612}};
static const struct {
    const char *scheduler, *label;
    int chunk;
} schedulers[] = {{"vllm", "vllm", 0},
                  {"sarathi", "sarathi chunk_size=512", 512},
                  {"sarathi", "sarathi chunk_size=2048", 2048}};
static const int tensor_sizes[] = {1, 2, 4}, stage_counts[] = {1, 2},
                 batch_sizes[] = {32, 64, 128, 256, 512, 1024};

/* By workload, so that their best configurations differ. */
static const int favoured_chunks[] = {512, 2048, 512};
static const double favoured_sizes[] = {2, 2, 4};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static double uniform(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void set(char *text, size_t size, const char *value)
{
    snprintf(text, size, "%s", value);
}
#define SET(field, value) set(field, sizeof(field), value)

static void describe(struct vidur_ranking_row *row, int index, const int choice[7])
{
    const struct device *device = &devices[choice[2]];
    snprintf(row->candidate_id, sizeof row->candidate_id, "%016llx",
             (unsigned long long)(index + 1) * 0x9e3779b97f4a7c15ULL);
    SET(row->model, models[choice[0]].name);
    SET(row->trace, traces[choice[1]].name);
    SET(row->device, device->name);
    SET(row->network_device, device->node);
    SET(row->scheduler, schedulers[choice[3]].scheduler);
    SET(row->scheduler_label, schedulers[choice[3]].label);
    SET(row->router, "round_robin");
    SET(row->memory_planner, "exact");
    SET(row->estimator, "synthetic test data, no simulation");
    row->chunk_size = schedulers[choice[3]].chunk;
    row->max_tokens_in_batch = row->chunk_size ? 0 : 4096;
    row->tensor_parallel_size = tensor_sizes[choice[4]];
    row->num_pipeline_stages = stage_counts[choice[5]];
    row->batch_size = batch_sizes[choice[6]];
    row->block_size = 16;
    row->num_gpus = 16;
    row->num_replicas =
        row->num_gpus / (row->tensor_parallel_size * row->num_pipeline_stages);
    row->usd_per_hour = (double)row->num_gpus * device->usd;
}

/* The latencies around given 0.9 or 0.99 quantiles. */
static void put_latencies(struct vidur_ranking_row *row, double ttft_p90,
                          double tbt_p99, double decode, double stall)
{
    row->ttft_p50_s = 0.35 * ttft_p90;
    row->ttft_p90_s = ttft_p90;
    row->ttft_p99_s = 1.7 * ttft_p90;
    row->tbt_p99_s = tbt_p99;
    row->tbt_p90_s = tbt_p99 / (1 + 0.6 * (stall - 1));
    row->tbt_p50_s = tbt_p99 / stall;
    row->tpot_p50_s = 1.1 * row->tbt_p50_s;
    row->tpot_p90_s = 1.4 * row->tbt_p50_s;
    row->tpot_p99_s = 1.9 * row->tbt_p50_s;
    row->e2e_p50_s = row->ttft_p50_s + decode * row->tpot_p50_s;
    row->e2e_p90_s = row->ttft_p90_s + 2 * decode * row->tpot_p90_s;
    row->e2e_p99_s = row->ttft_p99_s + 3 * decode * row->tpot_p99_s;
    row->scheduling_delay_p50_s = 0.2 * row->ttft_p50_s;
    row->scheduling_delay_p90_s = 0.5 * row->ttft_p90_s;
    row->scheduling_delay_p99_s = 0.8 * row->ttft_p99_s;
#define BETWEEN(name)                                                                  \
    row->name##_p95_s = 0.6 * row->name##_p90_s + 0.4 * row->name##_p99_s
    BETWEEN(ttft);
    BETWEEN(tbt);
    BETWEEN(tpot);
    BETWEEN(e2e);
    BETWEEN(scheduling_delay);
#undef BETWEEN
#define OVER_TOKENS(q) row->e2e_normalized_##q##_s = row->e2e_##q##_s / decode
    OVER_TOKENS(p50);
    OVER_TOKENS(p90);
    OVER_TOKENS(p95);
    OVER_TOKENS(p99);
#undef OVER_TOKENS
}

static void put_metrics(struct vidur_ranking_row *row, const int choice[7],
                        uint64_t *state)
{
    const struct device *device = &devices[choice[2]];
    double tp = (double)row->tensor_parallel_size;
    double pp = (double)row->num_pipeline_stages;
    double prefill = traces[choice[1]].prefill, decode = traces[choice[1]].decode;
    double batch = (double)row->batch_size;
    double work = (prefill + 6 * decode) * models[choice[0]].weight_gib / 129;
    double efficiency = (1 - 0.06 * log2(tp)) * (pp > 1 ? 0.85 : 1) *
                        (batch / (batch + 60)) *
                        (row->chunk_size == favoured_chunks[choice[1]] ? 1.3 : 1) *
                        (tp == favoured_sizes[choice[1]] ? 1.25 : 1);
    row->max_qps = (double)row->num_gpus * device->speed * 900 * efficiency / work *
                   (0.9 + 0.2 * uniform(state));
    row->qps_per_dollar = row->max_qps / row->usd_per_hour;
    row->total_tokens_per_s = row->max_qps * (prefill + decode);
    row->output_tokens_per_s = row->max_qps * decode;
    row->usd_per_million_tokens =
        row->usd_per_hour / (row->total_tokens_per_s * 3600) * 1e6;
    double stall = row->chunk_size == 0 ? 4 + 3 * uniform(state) : 1.3 + uniform(state);
    put_latencies(row, 0.4 + 1.6 * uniform(state), 0.05 + 0.15 * uniform(state), decode,
                  stall);
    row->mfu = 20 + 40 * efficiency * uniform(state);
    row->memory_usage = fmin(99, 30 + 50 * uniform(state) * 256 / (batch + 64));
    row->busy = 75 + 20 * uniform(state);
    row->preemptions = (int64_t)(20 * uniform(state) * uniform(state));
    row->mean_batch_size = batch * (0.3 + 0.6 * uniform(state));
    row->mean_decode_batch_size = 0.9 * row->mean_batch_size;
    row->mean_tokens_per_batch = row->mean_batch_size + 300;
    row->prefill_token_fraction = prefill / (prefill + decode);
    row->communication_time_fraction = 0.12 * log2(tp) * uniform(state) * 1.5;
    row->pipeline_idle_fraction = pp > 1 ? 0.6 * uniform(state) : 0;
    row->full_batch_fraction = batch <= 64 ? uniform(state) : 0.1 * uniform(state);
    row->blocked_on_memory_fraction = batch >= 256 ? 0.5 * uniform(state) : 0;
    row->mean_waiting_requests = 3 * uniform(state);
    row->extrapolated = uniform(state) < 0.1 ? (int64_t)(1000 * uniform(state)) : 0;
    row->bracket_violations = uniform(state) < 0.05;
}

static void judge(struct vidur_ranking_row *row, const int choice[7], uint64_t *state)
{
    const struct device *device = &devices[choice[2]];
    double gpus = (double)(row->tensor_parallel_size * row->num_pipeline_stages);
    if (models[choice[0]].weight_gib / gpus > 0.9 * device->memory_gib) {
        SET(row->status, VIDUR_STATUS_INFEASIBLE_MEMORY);
        snprintf(row->reason, sizeof row->reason,
                 "weights need %.1f GiB per device, %.1f are available",
                 models[choice[0]].weight_gib / gpus, 0.9 * device->memory_gib);
        return;
    }
    row->num_blocks = (int64_t)(4000 * gpus * uniform(state)) + 500;
    double draw = uniform(state);
    if (draw < 0.06) {
        SET(row->status, VIDUR_STATUS_SLO_UNREACHABLE);
        SET(row->reason, "tbt_p99 <= 0.2 s is missed at the smallest load, 0.05 QPS");
        SET(row->limiting_slo, "tbt_p99");
    } else if (draw < 0.07) {
        SET(row->status, VIDUR_STATUS_FAILED);
        SET(row->reason, "made-up failure <b>& \"quotes\"</b> for tests");
    } else if (draw < 0.08) {
        SET(row->status, VIDUR_STATUS_INVALID);
        SET(row->reason, "made-up invalid combination for tests");
    } else {
        SET(row->status, VIDUR_STATUS_OK);
        SET(row->limiting_slo, draw < 0.5    ? "ttft_p90"
                               : draw < 0.85 ? "tbt_p99"
                                             : "scheduling_delay_p99");
        put_metrics(row, choice, state);
    }
}

/* A bisection's path towards the row's max_qps. */
static int add_probes(struct vidur_results *results, struct vidur_ranking_row *row,
                      uint64_t *state)
{
    int count;
    const struct vidur_column *columns = vidur_probe_columns(&count);
    bool ok = strcmp(row->status, VIDUR_STATUS_OK) == 0;
    double low = 0, high = ok ? 2.7 * row->max_qps : 0.2;
    int probes = 7 + (int)(4 * uniform(state));
    for (int i = 0; i < probes; i++) {
        struct vidur_probe_row *probe = &results->probes[results->num_probes++];
        vidur_row_clear(columns, count, probe);
        SET(probe->candidate_id, row->candidate_id);
        probe->probe = i;
        probe->qps = i + 1 == probes && ok ? row->max_qps : 0.5 * (low + high);
        probe->feasible = ok && probe->qps <= row->max_qps;
        if (!probe->feasible)
            SET(probe->violated_slo, row->limiting_slo);
        probe->stopped_early = !probe->feasible && uniform(state) < 0.8;
        probe->simulated_requests = probe->stopped_early ? 700 : 4000;
        probe->num_batches = 12 * probe->simulated_requests;
        probe->simulated_time_s = (double)probe->simulated_requests / probe->qps;
        probe->ttft_p90_s = row->ttft_p90_s * probe->qps / row->max_qps;
        probe->tbt_p99_s = row->tbt_p99_s * probe->qps / row->max_qps;
        probe->mpi_rank = (int64_t)(4 * uniform(state));
        probe->wall_s = 0.001 * (1 + 60 * uniform(state));
        *(probe->feasible ? &low : &high) = probe->qps;
    }
    return probes;
}

static void add_facts(struct vidur_results *results)
{
    static const char *const facts[][4] = {
        {"note", "", "text",
         "Test data made from formulas: no simulation stands behind it."},
        {"slo", "ttft_p90", "metric", "ttft"},
        {"slo", "ttft_p90", "quantile", "0.9"},
        {"slo", "ttft_p90", "limit_s", "2"},
        {"slo", "tbt_p99", "metric", "tbt"},
        {"slo", "tbt_p99", "quantile", "0.99"},
        {"slo", "tbt_p99", "limit_s", "0.2"},
        {"slo", "scheduling_delay_p99", "metric", "scheduling_delay"},
        {"slo", "scheduling_delay_p99", "quantile", "0.99"},
        {"slo", "scheduling_delay_p99", "limit_s", "5"},
        {"estimator", "", "source", "roofline"},
        {"estimator", "", "description", "synthetic test data, no simulation"},
        {"search", "", "semantics", "corrected"},
        {"search", "", "capacity_definition", "slos"},
        {"search", "", "tbt_definition", "token"},
        {"search", "", "granularity", "0.025"}};
    for (int i = 0; i < COUNT(facts); i++)
        if (vidur_results_add_fact(
                results,
                (struct vidur_fact){facts[i][0], facts[i][1], facts[i][2], facts[i][3]},
                NULL))
            abort();
}

static void add_entity_facts(struct vidur_results *results)
{
    char text[64];
    for (int i = 0; i < COUNT(models); i++)
        vidur_results_add_fact(results,
                               (struct vidur_fact){"model", models[i].name,
                                                   "identifier", models[i].identifier},
                               NULL);
    for (int i = 0; i < COUNT(traces); i++) {
        const char *name = traces[i].name;
        vidur_results_add_fact(
            results, (struct vidur_fact){"trace", name, "file", "made up for tests"},
            NULL);
        vidur_results_add_fact(
            results, (struct vidur_fact){"trace", name, "max_tokens", "4096"}, NULL);
        vidur_results_add_fact(
            results, (struct vidur_fact){"trace", name, "num_requests", "4000"}, NULL);
        snprintf(text, sizeof text, "%g", traces[i].prefill);
        vidur_results_add_fact(
            results, (struct vidur_fact){"trace", name, "prefill_tokens_mean", text},
            NULL);
        snprintf(text, sizeof text, "%g", traces[i].decode);
        vidur_results_add_fact(
            results, (struct vidur_fact){"trace", name, "decode_tokens_mean", text},
            NULL);
    }
    for (int i = 0; i < COUNT(devices); i++) {
        snprintf(text, sizeof text, "%g", devices[i].usd);
        vidur_results_add_fact(
            results,
            (struct vidur_fact){"device", devices[i].name, "usd_per_gpu_hour", text},
            NULL);
        vidur_results_add_fact(
            results,
            (struct vidur_fact){"device", devices[i].name, "price_source", "test data"},
            NULL);
        vidur_results_add_fact(
            results,
            (struct vidur_fact){"device", devices[i].name, "price_date", "2024-02-07"},
            NULL);
        vidur_results_add_fact(
            results,
            (struct vidur_fact){"node", devices[i].node, "devices_per_node", "8"},
            NULL);
    }
}

static void add_candidate(struct vidur_results *results, int index, uint64_t *state)
{
    int count, rest = index, choice[7];
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    const int sizes[7] = {COUNT(models),     COUNT(traces),       COUNT(devices),
                          COUNT(schedulers), COUNT(tensor_sizes), COUNT(stage_counts),
                          COUNT(batch_sizes)};
    for (int i = 0; i < 7; i++) {
        choice[i] = rest % sizes[i];
        rest /= sizes[i];
    }
    struct vidur_ranking_row *row = &results->ranking[results->num_ranking++];
    vidur_row_clear(columns, count, row);
    describe(row, index, choice);
    judge(row, choice, state);
    if (strcmp(row->status, VIDUR_STATUS_OK) == 0 ||
        strcmp(row->status, VIDUR_STATUS_SLO_UNREACHABLE) == 0)
        row->num_probes = add_probes(results, row, state);
    vidur_find_bottleneck(row);
}

static void rank(struct vidur_results *results)
{
    if (vidur_rank(results->ranking, results->num_ranking, NULL) ||
        vidur_mark_pareto(results->ranking, results->num_ranking, NULL))
        abort();
}

void synthetic_results(struct vidur_results *results, int num_candidates, uint64_t seed)
{
    uint64_t state = seed;
    size_t count = (size_t)num_candidates;
    *results = (struct vidur_results){
        .seed = seed, .ranks = 4, .threads = 1, .elapsed_s = 12.5};
    SET(results->creator_version, "0.1.0");
    SET(results->git_commit, "0123456789ab");
    SET(results->file_time, "2024-02-07T12:00:00Z");
    SET(results->config_path, "synthetic.yaml");
    SET(results->config_sha256,
        "0000000000000000000000000000000000000000000000000000000000000000");
    results->config_text = strdup("# synthetic test data\nmodels: []\n");
    results->ranking = calloc(count + 1, sizeof *results->ranking);
    results->probes = calloc(16 * count + 1, sizeof *results->probes);
    if (!results->config_text || !results->ranking || !results->probes)
        abort();
    add_facts(results);
    add_entity_facts(results);
    for (int i = 0; i < num_candidates; i++)
        add_candidate(results, i, &state);
    rank(results);
}

/* ---- what other searches leave ---- */

static bool is_ok(const struct vidur_ranking_row *row)
{
    return strcmp(row->status, VIDUR_STATUS_OK) == 0;
}

void synthetic_replicate(struct vidur_results *results)
{
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        if (!is_ok(row))
            continue;
        row->replications = 5;
        row->max_qps_low = (0.9 + 0.01 * (double)(i % 8)) * row->max_qps;
        row->max_qps_high = (1.01 + 0.01 * (double)(i % 5)) * row->max_qps;
        row->unbounded = i % 7 == 0;
        if (i % 11 == 0)
            SET(row->reason, VIDUR_BURST ": it serves 50 % of the tokens per second");
    }
    rank(results);
}

void synthetic_resize(struct vidur_results *results, uint64_t seed)
{
    uint64_t state = seed;
    const int64_t count = results->num_ranking;
    results->ranking =
        realloc(results->ranking, (size_t)(2 * count + 1) * sizeof *results->ranking);
    if (!results->ranking)
        abort();
    for (int64_t i = 0; i < count; i += 2) {
        const struct vidur_ranking_row *whole = &results->ranking[i];
        const double factor = 0.45 + 0.1 * uniform(&state);
        if (!is_ok(whole) || whole->num_replicas < 2)
            continue;
        struct vidur_ranking_row *half = &results->ranking[results->num_ranking++];
        *half = *whole;
        half->num_replicas /= 2;
        half->num_gpus /= 2;
        half->usd_per_hour /= 2;
        half->max_qps *= factor;
        half->qps_per_dollar = half->max_qps / half->usd_per_hour;
        half->num_probes = 0;
        half->candidate_id[0] = half->candidate_id[0] == 'f' ? 'e' : 'f';
    }
    rank(results);
}

void synthetic_retarget(struct vidur_results *results, double target_qps)
{
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        row->target_qps = target_qps;
        if (!is_ok(row))
            continue;
        const double rate = row->max_qps / (double)row->num_replicas;
        const int64_t gpus = row->num_gpus / row->num_replicas;
        const double usd = row->usd_per_hour / (double)row->num_gpus;
        row->num_replicas = (int64_t)ceil(target_qps / rate);
        row->num_gpus = row->num_replicas * gpus;
        row->num_nodes = (row->num_gpus + 7) / 8;
        row->usd_per_hour = usd * (double)row->num_gpus;
        row->usd_per_month = 730 * row->usd_per_hour;
        row->busy = 100 * target_qps / rate / (double)row->num_replicas;
        row->margin = 0.01 * (double)(i % 40);
        row->qps_per_dollar = target_qps / row->usd_per_hour;
        row->max_qps = NAN;
    }
    rank(results);
    for (int64_t i = 0; i < results->num_ranking; i++)
        results->ranking[i].qps_per_dollar = NAN;
}

static bool is_price_of(const struct vidur_result_fact *fact, const char *device)
{
    return strcmp(fact->section, "device") == 0 && strcmp(fact->name, device) == 0 &&
           (strncmp(fact->key, "price_", 6) == 0 ||
            strcmp(fact->key, "usd_per_gpu_hour") == 0);
}

void synthetic_unprice(struct vidur_results *results)
{
    char device[32];
    int64_t kept = 0;
    SET(device, results->ranking[0].device);
    for (int64_t i = 1; i < results->num_ranking && results->ranking[i].rank > 1; i++)
        SET(device, results->ranking[i].device);
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        if (strcmp(row->device, device) == 0)
            row->usd_per_hour = row->usd_per_month = row->qps_per_dollar =
                row->usd_per_million_tokens = NAN;
    }
    for (int64_t i = 0; i < results->num_facts; i++)
        if (!is_price_of(&results->facts[i], device))
            results->facts[kept++] = results->facts[i];
    results->num_facts = kept;
    rank(results);
}

void synthetic_add(struct vidur_results *results)
{
    enum { HAVE = 8 };
    char device[32];
    SET(device, results->ranking[0].device);
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        const int64_t have = strcmp(row->device, device) == 0 ? HAVE : 0;
        row->added_gpus = (double)(row->num_gpus > have ? row->num_gpus - have : 0);
        row->added_usd_per_hour =
            row->added_gpus > 0
                ? row->usd_per_hour * row->added_gpus / (double)row->num_gpus
                : 0;
        if (row->added_gpus > 0)
            snprintf(row->added, sizeof row->added, "%g x %s", row->added_gpus,
                     row->device);
    }
    vidur_results_add_fact(results, (struct vidur_fact){"have", "0", "device", device},
                           NULL);
    vidur_results_add_fact(results, (struct vidur_fact){"have", "0", "num_gpus", "8"},
                           NULL);
    rank(results);
}

void synthetic_attack(struct vidur_results *results)
{
    static const char name[] = "=cmd|'/C calc'!A0 \x1b[2J<img src=x>\n| # x";
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        SET(row->trace, name);
        SET(row->network_device, "@node\x1b]0;x\x07<b>");
        SET(row->scheduler_label, "+s\r\x1b[31m\xc2\x9b");
        SET(row->reason, "-1\ttab\nline </script><script>alert(1)</script>");
        SET(row->bottleneck, "=b\x1b[0m");
        SET(row->bottleneck_detail, "\t=1\x7f");
    }
    for (int64_t i = 0; i < results->num_facts; i++)
        if (strcmp(results->facts[i].section, "note") == 0 ||
            strcmp(results->facts[i].key, "price_source") == 0)
            SET(results->facts[i].value, "n\x1b[5m\r<b>x</b>");
    SET(results->config_path, "c\x1b[2J.yaml");
    rank(results);
}

static void drop_slos(struct vidur_results *results)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < results->num_facts; i++)
        if (strcmp(results->facts[i].section, "slo") != 0)
            results->facts[kept++] = results->facts[i];
    results->num_facts = kept;
}

void synthetic_other_slos(struct vidur_results *results)
{
    static const char *const facts[][3] = {
        {"ttft_p95", "metric", "ttft"},
        {"ttft_p95", "quantile", "0.95"},
        {"ttft_p95", "limit_s", "3"},
        {"tpot_p99.9", "metric", "tpot"},
        {"tpot_p99.9", "quantile", "0.999"},
        {"tpot_p99.9", "limit_s", "0.5"},
        {"e2e_normalized_p75", "metric", "e2e_normalized"},
        {"e2e_normalized_p75", "quantile", "0.75"},
        {"e2e_normalized_p75", "limit_s", "0.4"}};
    drop_slos(results);
    for (int i = 0; i < COUNT(facts); i++)
        if (vidur_results_add_fact(
                results,
                (struct vidur_fact){"slo", facts[i][0], facts[i][1], facts[i][2]},
                NULL))
            abort();
    for (int64_t i = 0; i < results->num_ranking; i++) {
        struct vidur_ranking_row *row = &results->ranking[i];
        row->slo_s[0] = 0.5 * (row->e2e_normalized_p50_s + row->e2e_normalized_p90_s);
        row->slo_s[1] = 1.25 * row->tpot_p99_s;
        if (row->limiting_slo[0])
            SET(row->limiting_slo, facts[i % 3 * 3][0]);
    }
    for (int64_t i = 0; i < results->num_probes; i++) {
        struct vidur_probe_row *probe = &results->probes[i];
        probe->slo_s[0] = 0.02 * probe->qps;
        probe->slo_s[1] = probe->stopped_early ? NAN : INFINITY;
        if (probe->violated_slo[0])
            SET(probe->violated_slo, facts[i % 3 * 3][0]);
    }
}
