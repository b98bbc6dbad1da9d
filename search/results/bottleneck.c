#include <vidur/ranking.h>
#include <vidur/scheduler.h>

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * What limits a candidate at its highest feasible load. Each rule has a strength, the
 * recorded value over the threshold below which it does not matter; the strongest rule
 * of at least 1 names the bottleneck, the first listed on ties. Where none holds, the
 * limiting SLO tells whether prefills or decodes run out of throughput.
 */

static const double blocked_threshold = 0.10;    /* of scheduling rounds */
static const double full_batch_threshold = 0.30; /* of batches */
static const double idle_threshold = 0.25;       /* of stage time */
static const double communication_threshold = 0.30;
static const double gap_ratio_threshold = 2.0; /* TBT P99 over its median */
static const double strongest = 10.0;          /* so that ratios stay comparable */

struct rule {
    const char *name;
    double (*strength)(const struct vidur_ranking_row *row);
    void (*explain)(const struct vidur_ranking_row *row, char *text, size_t size);
};

/* The SLO's name may begin with a class (rag_tpot_p95); a joint one's tells at its end
 * which latency is missed (goodput_ttft_tpot_p95 (tpot)). */
static bool limited_by(const struct vidur_ranking_row *row, const char *metric)
{
    const size_t length = strlen(metric);
    const char *missed = strchr(row->limiting_slo, '(');
    if (missed)
        return strncmp(missed + 1, metric, length) == 0 && missed[1 + length] == ')';
    for (const char *at = row->limiting_slo; (at = strstr(at, metric)); at++)
        if ((at == row->limiting_slo || at[-1] == '_') &&
            strncmp(at + length, "_p", 2) == 0)
            return true;
    return false;
}

/* The gap between tokens is what breaks; otherwise waiting is. */
static bool limited_by_gap(const struct vidur_ranking_row *row)
{
    return limited_by(row, "tbt") || limited_by(row, "tpot");
}

/* 0 for NaN. */
static double over(double value, double threshold)
{
    double strength = value / threshold;
    return strength > 0 ? fmin(strength, strongest) : 0;
}

static double memory_strength(const struct vidur_ranking_row *row)
{
    if (limited_by_gap(row) && row->preemptions == 0)
        return 0;
    return over(row->blocked_on_memory_fraction, blocked_threshold);
}

static void explain_memory(const struct vidur_ranking_row *row, char *text, size_t size)
{
    snprintf(text, size,
             "%.0f %% of scheduling rounds end for lack of KV blocks (%.0f %% in use, "
             "%lld restarts): raise TP or PP, or take a device with more memory",
             100 * row->blocked_on_memory_fraction, row->memory_usage,
             (long long)row->preemptions);
}

static double gap_strength(const struct vidur_ranking_row *row)
{
    if (!limited_by(row, "tbt"))
        return 0;
    return over(row->tbt_p99_s / row->tbt_p50_s, gap_ratio_threshold);
}

/* The knob that bounds the chunks of prompts, as the row's scheduler calls it; of 0
 * tokens where it takes prompts whole. */
struct chunk {
    const char *knob;
    long long tokens;
};

static struct chunk chunk_of(const struct vidur_ranking_row *row)
{
    return row->max_num_batched_tokens > 0
               ? (struct chunk){"max_num_batched_tokens", row->max_num_batched_tokens}
               : (struct chunk){"chunk_size", row->chunk_size};
}

static double large_prefill_strength(const struct vidur_ranking_row *row)
{
    return chunk_of(row).tokens > 0 ? 0 : gap_strength(row);
}

/* The first scheduler that is told how long a chunk may be. */
static const char *chunking_scheduler(void)
{
    const struct vidur_scheduler_ops *ops;
    int i = 0;
    while ((ops = vidur_scheduler_at(i)) && ops->token_budget != VIDUR_KNOB_chunk_size)
        i++;
    return ops ? ops->name : "one";
}

static void explain_large_prefill(const struct vidur_ranking_row *row, char *text,
                                  size_t size)
{
    snprintf(text, size,
             "TBT P99 %.0f ms is %.1f times the median: whole prefills stall decodes; "
             "use a scheduler that chunks prefills, such as %s with a chunk_size",
             1e3 * row->tbt_p99_s, row->tbt_p99_s / row->tbt_p50_s,
             chunking_scheduler());
}

static double chunk_strength(const struct vidur_ranking_row *row)
{
    return chunk_of(row).tokens > 0 ? gap_strength(row) : 0;
}

static void explain_chunk(const struct vidur_ranking_row *row, char *text, size_t size)
{
    const struct chunk chunk = chunk_of(row);
    snprintf(text, size,
             "TBT P99 %.0f ms is %.1f times the median: chunks of %lld tokens stall "
             "decodes; try %s %lld",
             1e3 * row->tbt_p99_s, row->tbt_p99_s / row->tbt_p50_s, chunk.tokens,
             chunk.knob, chunk.tokens > 1 ? chunk.tokens / 2 : 1);
}

static double batch_size_strength(const struct vidur_ranking_row *row)
{
    if (limited_by_gap(row))
        return 0;
    return over(row->full_batch_fraction, full_batch_threshold);
}

static void explain_batch_size(const struct vidur_ranking_row *row, char *text,
                               size_t size)
{
    snprintf(text, size,
             "%.0f %% of batches are at the cap of %s while %.0f %% of KV "
             "blocks are in use: raise batch_size to %lld",
             100 * row->full_batch_fraction,
             vidur_text_counted(row->batch_size, "request").text, row->memory_usage,
             (long long)(2 * row->batch_size));
}

static double pipeline_strength(const struct vidur_ranking_row *row)
{
    return row->num_pipeline_stages > 1
               ? over(row->pipeline_idle_fraction, idle_threshold)
               : 0;
}

static void explain_pipeline(const struct vidur_ranking_row *row, char *text,
                             size_t size)
{
    snprintf(text, size,
             "the %lld stages idle %.0f %% of the time their replica works: fewer "
             "stages and more TP, or smaller chunks that even out the batches",
             (long long)row->num_pipeline_stages, 100 * row->pipeline_idle_fraction);
}

static double communication_strength(const struct vidur_ranking_row *row)
{
    return over(row->communication_time_fraction, communication_threshold);
}

static void explain_communication(const struct vidur_ranking_row *row, char *text,
                                  size_t size)
{
    snprintf(text, size,
             "all-reduce and send/recv take %.0f %% of busy time (TP %lld, PP %lld on "
             "%s): lower TP, or a node with faster links",
             100 * row->communication_time_fraction,
             (long long)row->tensor_parallel_size, (long long)row->num_pipeline_stages,
             row->network_device);
}

/* One of two pools is at its end while the other has room. */
static const double saturated_percent = 80, uneven_ratio = 1.5;

static double pools_strength(const struct vidur_ranking_row *row)
{
    const double most = fmax(row->prefill_busy, row->decode_busy);
    const double least = fmin(row->prefill_busy, row->decode_busy);
    if (row->prefill_replicas == 0 || !(most >= saturated_percent))
        return 0;
    return over(most / fmax(least, 1), uneven_ratio);
}

static void explain_pools(const struct vidur_ranking_row *row, char *text, size_t size)
{
    const bool prefill = row->prefill_busy > row->decode_busy;
    /* as if work went with replicas, so that both pools come to be as busy */
    const double ratio = (double)row->prefill_replicas * row->prefill_busy /
                         fmax((double)row->decode_replicas * row->decode_busy, 1e-9);
    snprintf(
        text, size,
        "the pool that %s is busy %.0f %%, the other %.0f %%: move devices to it, "
        "towards %.2g replicas that prefill for one that decodes (now %lld to %lld)",
        prefill ? "prefills" : "decodes", fmax(row->prefill_busy, row->decode_busy),
        fmin(row->prefill_busy, row->decode_busy), ratio,
        (long long)row->prefill_replicas, (long long)row->decode_replicas);
}

static const double transfer_wait_threshold = 0.25; /* of the median TTFT */

static double transfer_strength(const struct vidur_ranking_row *row)
{
    return row->prefill_replicas > 0
               ? over(row->transfer_wait_s / row->ttft_p50_s, transfer_wait_threshold)
               : 0;
}

static void explain_transfer(const struct vidur_ranking_row *row, char *text,
                             size_t size)
{
    snprintf(
        text, size,
        "prompts that are done wait %.2f s for the pool that decodes (%.0f %% of "
        "its KV blocks in use) or the link (%.1f GB/s): more replicas that decode, "
        "or a faster link",
        row->transfer_wait_s, row->decode_memory_usage, row->transfer_gb_per_s);
}

static const struct rule rules[] = {
    {"uneven pools", pools_strength, explain_pools},
    {"hand-over", transfer_strength, explain_transfer},
    {"memory", memory_strength, explain_memory},
    {"TBT by large prefills", large_prefill_strength, explain_large_prefill},
    {"chunk size too large", chunk_strength, explain_chunk},
    {"batch size", batch_size_strength, explain_batch_size},
    {"pipeline bubbles", pipeline_strength, explain_pipeline},
    {"communication", communication_strength, explain_communication},
};

static const char *explain_throughput(const struct vidur_ranking_row *row, char *text,
                                      size_t size)
{
    if (limited_by_gap(row)) {
        snprintf(text, size,
                 "a decode step takes %.0f ms (TBT P50) at a mean batch of %.1f: raise "
                 "TP, take a device with more memory bandwidth, or lower batch_size",
                 1e3 * row->tbt_p50_s, row->mean_batch_size);
        return "decode throughput";
    }
    if (row->prefill_token_fraction >= 0.5) {
        const struct chunk chunk = chunk_of(row);
        snprintf(
            text, size,
            "%.0f %% of tokens are prefill, stages are busy %.0f %% at %.0f %% MFU "
            "(TTFT P90 %.2f s): raise TP%s%s, or take a device with more FLOP/s",
            100 * row->prefill_token_fraction, row->busy, row->mfu, row->ttft_p90_s,
            chunk.tokens > 0 ? " or " : "", chunk.tokens > 0 ? chunk.knob : "");
        return "prefill throughput";
    }
    snprintf(
        text, size,
        "%.0f %% of tokens are decodes, stages are busy %.0f %% at a mean batch of "
        "%.1f: raise batch_size, or take a device with more memory bandwidth",
        100 * (1 - row->prefill_token_fraction), row->busy, row->mean_batch_size);
    return "decode throughput";
}

/* No load at all meets the SLOs: there is no queue to blame, only the hardware. */
static const char *explain_floor(const struct vidur_ranking_row *row, char *text,
                                 size_t size)
{
    const char *knob = chunk_of(row).knob;
    const bool gap = limited_by_gap(row);
    snprintf(text, size, "%s is missed even at the smallest load tried: raise TP%s%s%s",
             row->limiting_slo[0] ? row->limiting_slo : "an SLO",
             gap ? ", lower " : " or ", knob,
             gap ? " or take a device with more bandwidth"
                 : ", or take a device with more FLOP/s");
    return "latency without load";
}

static const char *explain_ok(const struct vidur_ranking_row *row, char *text,
                              size_t size)
{
    const struct rule *best = NULL;
    double best_strength = 1;
    if (!row->limiting_slo[0] && row->target_qps > 0) {
        snprintf(text, size, "one replica carries the target; a smaller one may, too");
        return "target";
    }
    if (!row->limiting_slo[0]) {
        snprintf(text, size,
                 "no load tried breaks an SLO: the workload is too short to "
                 "overload it; raise num_requests");
        return "workload";
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        double strength = rules[i].strength(row);
        if (best ? strength > best_strength : strength >= best_strength) {
            best = &rules[i];
            best_strength = strength;
        }
    }
    if (!best)
        return isnan(row->prefill_token_fraction) ? "not known"
                                                  : explain_throughput(row, text, size);
    best->explain(row, text, size);
    return best->name;
}

void vidur_find_bottleneck(struct vidur_ranking_row *row)
{
    char text[sizeof row->bottleneck_detail] = "";
    const char *name = "";
    if (strcmp(row->status, VIDUR_STATUS_OK) == 0) {
        name = explain_ok(row, text, sizeof text);
    } else if (strcmp(row->status, VIDUR_STATUS_INFEASIBLE_MEMORY) == 0) {
        name = "memory";
        snprintf(
            text, sizeof text,
            "weights and one request do not fit on %lld x %s: raise TP or PP, or "
            "take a device with more memory",
            (long long)(row->tensor_parallel_size * row->num_pipeline_stages *
                        (row->data_parallel_size > 1 ? row->data_parallel_size : 1)),
            row->device);
    } else if (strcmp(row->status, VIDUR_STATUS_SLO_UNREACHABLE) == 0) {
        name = explain_floor(row, text, sizeof text);
    }
    memset(row->bottleneck, 0, sizeof row->bottleneck);
    memset(row->bottleneck_detail, 0, sizeof row->bottleneck_detail);
    snprintf(row->bottleneck, sizeof row->bottleneck, "%s", name);
    snprintf(row->bottleneck_detail, sizeof row->bottleneck_detail, "%s", text);
}
