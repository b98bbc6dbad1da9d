#ifndef VIDUR_RESULTS_H
#define VIDUR_RESULTS_H

#include <vidur/error.h>
#include <vidur/slo.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * What a search leaves behind: the rows of results.h5, in memory. Columns are declared
 * once, here; the lists feed the structs, the journal, HDF5, CSV and the report.
 * Source: CONTRACT.md, "vidur-search".
 *
 * X(kind, name, size, unit, description); kinds: TEXT (UTF-8 in `size` bytes, zero
 * filled), INT (int64), REAL (double; NaN where it has no meaning), FLAG (0 or 1).
 */

/* What a month's price is worked out with. */
enum { VIDUR_HOURS_PER_MONTH = 730 };

/* Of those that got there; p50, p90, p95 and p99 of each of VIDUR_LATENCIES. */
#define VIDUR_RESULT_LATENCY_COLUMNS(X)                                                \
    X(REAL, ttft_p50_s, 0, "s", "time to first token, median")                         \
    X(REAL, ttft_p90_s, 0, "s", "time to first token, 0.9 quantile")                   \
    X(REAL, ttft_p95_s, 0, "s", "time to first token, 0.95 quantile")                  \
    X(REAL, ttft_p99_s, 0, "s", "time to first token, 0.99 quantile")                  \
    X(REAL, tbt_p50_s, 0, "s", "time between tokens, median")                          \
    X(REAL, tbt_p90_s, 0, "s", "time between tokens, 0.9 quantile")                    \
    X(REAL, tbt_p95_s, 0, "s", "time between tokens, 0.95 quantile")                   \
    X(REAL, tbt_p99_s, 0, "s", "time between tokens, 0.99 quantile")                   \
    X(REAL, tpot_p50_s, 0, "s", "a request's time per output token, median")           \
    X(REAL, tpot_p90_s, 0, "s", "a request's time per output token, 0.9 quantile")     \
    X(REAL, tpot_p95_s, 0, "s", "a request's time per output token, 0.95 quantile")    \
    X(REAL, tpot_p99_s, 0, "s", "a request's time per output token, 0.99 quantile")    \
    X(REAL, e2e_p50_s, 0, "s", "arrival to last token, median")                        \
    X(REAL, e2e_p90_s, 0, "s", "arrival to last token, 0.9 quantile")                  \
    X(REAL, e2e_p95_s, 0, "s", "arrival to last token, 0.95 quantile")                 \
    X(REAL, e2e_p99_s, 0, "s", "arrival to last token, 0.99 quantile")                 \
    X(REAL, e2e_normalized_p50_s, 0, "s", "e2e over output tokens, median")            \
    X(REAL, e2e_normalized_p90_s, 0, "s", "e2e over output tokens, 0.9 quantile")      \
    X(REAL, e2e_normalized_p95_s, 0, "s", "e2e over output tokens, 0.95 quantile")     \
    X(REAL, e2e_normalized_p99_s, 0, "s", "e2e over output tokens, 0.99 quantile")     \
    X(REAL, scheduling_delay_p50_s, 0, "s", "wait for the scheduler, median")          \
    X(REAL, scheduling_delay_p90_s, 0, "s", "wait for the scheduler, 0.9 quantile")    \
    X(REAL, scheduling_delay_p95_s, 0, "s", "wait for the scheduler, 0.95 quantile")   \
    X(REAL, scheduling_delay_p99_s, 0, "s", "wait for the scheduler, 0.99 quantile")

#define VIDUR_RESULT_LOAD_COLUMNS(X)                                                   \
    X(REAL, mfu, 0, "%", "model FLOPs utilization, time-weighted mean")                \
    X(REAL, memory_usage, 0, "%", "KV blocks in use, time-weighted mean")              \
    X(REAL, busy, 0, "%", "time the stages are busy")                                  \
    X(INT, preemptions, 0, "1", "restarts of requests for lack of KV blocks")          \
    X(REAL, output_tokens_per_s, 0, "1/s", "output tokens per second")                 \
    X(REAL, total_tokens_per_s, 0, "1/s", "prompt and output tokens per second")       \
    X(REAL, mean_batch_size, 0, "1", "requests in a batch, mean over batches")         \
    X(REAL, mean_decode_batch_size, 0, "1", "decodes in a batch that has any, mean")   \
    X(REAL, mean_tokens_per_batch, 0, "1", "tokens in a batch, mean over batches")     \
    X(REAL, prefill_token_fraction, 0, "1", "share of prefill in tokens processed")    \
    X(REAL, communication_time_fraction, 0, "1", "all-reduce, send/recv in busy time") \
    X(REAL, pipeline_idle_fraction, 0, "1", "stages idle while their replica works")   \
    X(REAL, full_batch_fraction, 0, "1", "batches at the batch size cap")              \
    X(REAL, blocked_on_memory_fraction, 0, "1", "rounds ended by a lack of KV blocks") \
    X(REAL, mean_waiting_requests, 0, "1", "requests waiting, time-weighted mean")     \
    X(REAL, goodput_per_s, 0, "1/s", "requests that meet all joint SLOs; NaN: none")   \
    X(REAL, prefix_hit_rate, 0, "1", "prompt tokens found in the prefix cache")        \
    X(REAL, host_hit_rate, 0, "1", "prompt tokens found in host memory behind that")   \
    X(INT, host_loads, 0, "1", "requests that loaded KV blocks from host memory")      \
    X(REAL, host_load_gb, 0, "GB", "that they loaded, over all GPUs")                  \
    X(REAL, host_load_s, 0, "s", "for which a replica's links loaded, all replicas")   \
    X(INT, extrapolated, 0, "1", "table lookups beyond the profile's range")           \
    X(REAL, prefill_busy, 0, "%", "of two pools: the one that prefills, busy")         \
    X(REAL, decode_busy, 0, "%", "of two pools: the one that decodes, busy")           \
    X(REAL, prefill_memory_usage, 0, "%", "of two pools: KV blocks in use, prefill")   \
    X(REAL, decode_memory_usage, 0, "%", "of two pools: KV blocks in use, decode")     \
    X(REAL, prefill_mfu, 0, "%", "of two pools: MFU of the one that prefills")         \
    X(REAL, decode_mfu, 0, "%", "of two pools: MFU of the one that decodes")           \
    X(REAL, first_busy, 0, "%", "of a mixed fleet: the first pool, busy")              \
    X(REAL, second_busy, 0, "%", "of a mixed fleet: the second pool, busy")            \
    X(REAL, first_memory_usage, 0, "%", "of a mixed fleet: KV blocks in use, first")   \
    X(REAL, second_memory_usage, 0, "%", "of a mixed fleet: KV blocks in use, second") \
    X(REAL, first_mfu, 0, "%", "of a mixed fleet: MFU of the first pool")              \
    X(REAL, second_mfu, 0, "%", "of a mixed fleet: MFU of the second pool")            \
    X(REAL, transfer_gb_per_s, 0, "GB/s", "KV caches that move from pool to pool")     \
    X(REAL, transfer_wait_s, 0, "s", "from a prompt's end to its transfer, mean")

/* What a candidate is; the first columns of a ranking row. There is one for every knob
 * of VIDUR_SCHEDULER_KNOBS; it is 0 where the scheduler does not use the knob. */
#define VIDUR_RESULT_CANDIDATE_COLUMNS(X)                                              \
    X(TEXT, candidate_id, 24, "", "hash of the candidate's content, 16 hex digits")    \
    X(TEXT, model, 48, "", "name of the model in the configuration")                   \
    X(TEXT, trace, 48, "", "name of the workload in the configuration")                \
    X(TEXT, device, 32, "", "device SKU")                                              \
    X(TEXT, network_device, 48, "", "node SKU")                                        \
    X(TEXT, scheduler, 24, "", "replica scheduler")                                    \
    X(TEXT, scheduler_label, 192, "", "scheduler with the knobs that tell it apart")   \
    X(TEXT, router, 24, "", "global scheduler")                                        \
    X(TEXT, memory_planner, 16, "", "vidur or exact")                                  \
    X(TEXT, precision, 64, "", "formats of the weights: bf16, experts mxfp4")          \
    X(TEXT, kv_cache_dtype, 8, "", "format of the KV cache")                           \
    X(TEXT, checkpoint, 96, "", "model on a hub that has this precision")              \
    X(INT, chunk_size, 0, "tokens", "Sarathi's chunk; 0: none")                        \
    X(INT, max_tokens_in_batch, 0, "tokens", "token budget of a batch; 0: none")       \
    X(INT, tensor_parallel_size, 0, "1", "devices a layer is split over")              \
    X(FLAG, expert_parallel, 0, "1",                                                   \
      "experts go whole to the devices that share them")                               \
    X(INT, data_parallel_size, 0, "1", "ranks with requests of their own; 0: one")     \
    X(INT, num_pipeline_stages, 0, "1", "pipeline stages of a replica")                \
    X(INT, batch_size, 0, "1", "requests in a batch, per stage and rank")              \
    X(INT, block_size, 0, "tokens", "tokens of a KV block")                            \
    X(INT, num_blocks, 0, "1", "KV blocks of a replica, or rank")                      \
    X(INT, batch_size_cap, 0, "1", "requests in all stages, at most; 0: not a knob")   \
    X(INT, max_waiting_iters, 0, "1", "lightllm's; 0: none")                           \
    X(REAL, watermark_blocks_fraction, 0, "1", "KV blocks kept free; 0: none")         \
    X(INT, max_num_batched_tokens, 0, "tokens", "vllm_v1's token budget; 0: none")     \
    X(INT, max_num_seqs, 0, "1", "vllm_v1's running requests; 0: not a knob")          \
    X(REAL, gpu_memory_utilization, 0, "1", "vllm_v1's share of memory; 0: none")      \
    X(FLAG, prefix_caching, 0, "1", "vllm_v1 with prefix caching")                     \
    X(FLAG, async_scheduling, 0, "1", "vllm_v1 with async scheduling")                 \
    X(INT, scheduling_policy, 0, "1", "vllm_v1's: 0 fcfs, 1 priority")                 \
    X(REAL, kv_offload_gib_per_gpu, 0, "GiB",                                          \
      "vllm_v1's KV cache on the host; 0: none")                                       \
    X(REAL, kv_offload_gb_per_s, 0, "GB/s", "loads from it; 0: as the device")         \
    X(INT, num_replicas, 0, "1", "replicas in use; of two pools: 1")                   \
    X(INT, num_gpus, 0, "1", "devices in use")                                         \
    X(TEXT, pools, 128, "", "2 x TP4 h100 prefill + 1 x TP8 h200 decode; empty: one")  \
    X(INT, prefill_replicas, 0, "1", "of two pools: replicas that prefill")            \
    X(INT, decode_replicas, 0, "1", "of two pools: replicas that decode")              \
    X(TEXT, decode_device, 32, "", "of two pools: device SKU of that which decodes")   \
    X(TEXT, decode_network_device, 48, "", "of two pools: its node SKU")               \
    X(TEXT, decode_scheduler_label, 192, "", "of two pools: its scheduler")            \
    X(INT, decode_tensor_parallel_size, 0, "1", "of two pools: its TP")                \
    X(FLAG, decode_expert_parallel, 0, "1", "of two pools: its experts go whole")      \
    X(INT, decode_num_pipeline_stages, 0, "1", "of two pools: its PP")                 \
    X(INT, decode_batch_size, 0, "1", "of two pools: its requests in a batch")         \
    X(INT, decode_max_num_batched_tokens, 0, "tokens", "of two pools: its budget")     \
    X(INT, decode_num_blocks, 0, "1", "of two pools: KV blocks of its replica")        \
    X(INT, first_replicas, 0, "1", "of a mixed fleet: replicas of the first pool")     \
    X(INT, second_replicas, 0, "1", "of a mixed fleet: replicas of the second pool")   \
    X(REAL, first_replica_qps, 0, "1/s",                                               \
      "of a mixed fleet: what a replica of the first pool carries alone, its weight")  \
    X(REAL, second_replica_qps, 0, "1/s", "of a mixed fleet: the same of the second")  \
    X(TEXT, second_device, 32, "", "of a mixed fleet: device SKU of the second pool")  \
    X(TEXT, second_network_device, 48, "", "of a mixed fleet: its node SKU")           \
    X(TEXT, second_scheduler_label, 192, "", "of a mixed fleet: its scheduler")        \
    X(INT, second_tensor_parallel_size, 0, "1", "of a mixed fleet: its TP")            \
    X(FLAG, second_expert_parallel, 0, "1", "of a mixed fleet: its experts go whole")  \
    X(INT, second_data_parallel_size, 0, "1", "of a mixed fleet: its ranks")           \
    X(INT, second_num_pipeline_stages, 0, "1", "of a mixed fleet: its PP")             \
    X(INT, second_batch_size, 0, "1", "of a mixed fleet: its requests in a batch")     \
    X(INT, second_max_num_batched_tokens, 0, "tokens", "of a mixed fleet: its budget") \
    X(INT, second_num_blocks, 0, "1", "of a mixed fleet: KV blocks of its replica")

#define VIDUR_RANKING_COLUMNS(X)                                                       \
    X(INT, rank, 0, "1", "1 is best within model and trace; 0: not ranked")            \
    VIDUR_RESULT_CANDIDATE_COLUMNS(X)                                                  \
    X(TEXT, status, 24, "",                                                            \
      "ok, infeasible_memory, slo_unreachable, invalid or failed")                     \
    X(TEXT, reason, 160, "", "why the status is not ok")                               \
    X(REAL, max_qps, 0, "1/s", "largest load that meets every SLO and is sustained")   \
    X(INT, max_users, 0, "1", "clients of a closed loop at max_qps; 0: an open one")   \
    X(REAL, max_qps_low, 0, "1/s", "the least of its replications: all hold here")     \
    X(REAL, max_qps_high, 0, "1/s", "the largest of its replications")                 \
    X(INT, replications, 0, "1", "seeds that it was searched with")                    \
    X(FLAG, unbounded, 0, "1", "no load failed: max_qps is no upper bound")            \
    X(INT, num_requests, 0, "1", "requests of a simulation at max_qps")                \
    X(INT, cut_requests, 0, "1", "of them, longer than max_seq_len and cut to it")     \
    X(REAL, target_qps, 0, "1/s", "the load asked for; NaN: the largest is searched")  \
    X(REAL, margin, 0, "1", "how far the worst SLO stays below its limit, a share")    \
    X(INT, num_nodes, 0, "1", "nodes that the devices in use fill or begin")           \
    X(REAL, usd_per_hour, 0, "USD/h", "price of the devices in use")                   \
    X(REAL, usd_per_month, 0, "USD", "price of the devices in use, 730 hours")         \
    X(REAL, qps_per_dollar, 0, "h/(s USD)", "max_qps / usd_per_hour")                  \
    X(TEXT, added, 96, "",                                                             \
      "4 x l40s: devices in use beyond `have`; empty: none, or no have")               \
    X(REAL, added_gpus, 0, "1", "devices in use beyond `have`; NaN: it is not given")  \
    X(REAL, added_usd_per_hour, 0, "USD/h", "price of these devices")                  \
    X(REAL, added_qps, 0, "1/s", "max_qps above the most that `have` alone serves")    \
    X(REAL, added_qps_per_dollar, 0, "h/(s USD)",                                      \
      "added_qps / added_usd_per_hour; 0: nothing is added")                           \
    X(REAL, usd_per_million_tokens, 0, "USD", "per million tokens at max_qps")         \
    X(REAL, usd_per_million_input_tokens, 0, "USD", "of prompts, by GPU time at peak") \
    X(REAL, usd_per_million_output_tokens, 0, "USD", "of outputs, the same")           \
    X(REAL, bandwidth_usage, 0, "%", "estimate: share of the memory bandwidth in use") \
    X(REAL, watts_per_gpu, 0, "W", "estimate: what a GPU draws at max_qps")            \
    X(REAL, wh_per_million_tokens, 0, "Wh", "estimate: of the GPUs, at max_qps")       \
    X(REAL, tokens_per_joule, 0, "1/J", "estimate: tokens per joule of the GPUs")      \
    VIDUR_RESULT_LATENCY_COLUMNS(X)                                                    \
    VIDUR_RESULT_LOAD_COLUMNS(X)                                                       \
    X(TEXT, limiting_slo, 48, "", "the SLO that the next higher load breaks")          \
    X(TEXT, bottleneck, 32, "", "what limits the candidate, by rules")                 \
    X(TEXT, bottleneck_detail, 200, "", "the numbers behind it and the knob to try")   \
    X(FLAG, pareto, 0, "1", "on a Pareto front of QPS/$, TTFT, TBT")                   \
    X(INT, num_probes, 0, "1", "loads judged")                                         \
    X(INT, bracket_violations, 0, "1", "passing loads above a failing one")            \
    X(TEXT, estimator, 256, "", "where operator times come from")

#define VIDUR_PROBE_COLUMNS(X)                                                         \
    X(TEXT, candidate_id, 24, "", "the candidate simulated")                           \
    X(INT, probe, 0, "1", "0, 1, ... in the order of the search's path")               \
    X(INT, replication, 0, "1", "0: the search's own seed; 1, ...: others")            \
    X(INT, num_replicas, 0, "1", "replicas simulated; of two pools: 1")                \
    X(INT, first_replicas, 0, "1", "of two pools: replicas of the first")              \
    X(INT, second_replicas, 0, "1", "of two pools: replicas of the second")            \
    X(INT, num_requests, 0, "1", "requests offered")                                   \
    X(REAL, qps, 0, "1/s", "offered load; of a closed loop, served")                   \
    X(INT, users, 0, "1", "clients of a closed loop; 0: an open one")                  \
    X(FLAG, feasible, 0, "1", "every SLO met")                                         \
    X(TEXT, violated_slo, 48, "", "the first SLO that was not met")                    \
    X(FLAG, stopped_early, 0, "1", "ended once an SLO could no longer be met")         \
    X(FLAG, time_limited, 0, "1", "cut by the time limit; never counts as feasible")   \
    X(INT, simulated_requests, 0, "1", "requests that arrived before the run ended")   \
    X(INT, num_batches, 0, "1", "iterations simulated")                                \
    X(REAL, simulated_time_s, 0, "s", "simulated time")                                \
    VIDUR_RESULT_LATENCY_COLUMNS(X)                                                    \
    VIDUR_RESULT_LOAD_COLUMNS(X)                                                       \
    X(INT, mpi_rank, 0, "1", "the rank that ran it")                                   \
    X(REAL, wall_s, 0, "s", "wall time of the simulation")

#define VIDUR_FIELD_TEXT(name, size)                     char name[size];
#define VIDUR_FIELD_INT(name, size)                      int64_t name;
#define VIDUR_FIELD_REAL(name, size)                     double name;
#define VIDUR_FIELD_FLAG(name, size)                     int8_t name;
#define VIDUR_FIELD(kind, name, size, unit, description) VIDUR_FIELD_##kind(name, size)

/* Of each class of traffic, under its name: chat_ttft_p50_s.
 * X(name, unit, description) */
#define VIDUR_CLASS_COLUMNS(X)                                                         \
    X(requests, "1", "requests")                                                       \
    X(ttft_p50_s, "s", "time to first token, median")                                  \
    X(ttft_p90_s, "s", "time to first token, 0.9 quantile")                            \
    X(ttft_p95_s, "s", "time to first token, 0.95 quantile")                           \
    X(ttft_p99_s, "s", "time to first token, 0.99 quantile")                           \
    X(tpot_p50_s, "s", "time per output token, median")                                \
    X(tpot_p90_s, "s", "time per output token, 0.9 quantile")                          \
    X(tpot_p95_s, "s", "time per output token, 0.95 quantile")                         \
    X(tpot_p99_s, "s", "time per output token, 0.99 quantile")                         \
    X(goodput_per_s, "1/s", "requests that meet all joint SLOs about them")

enum vidur_class_column {
#define X(name, unit, description) VIDUR_CLASS_COLUMN_##name,
    VIDUR_CLASS_COLUMNS(X)
#undef X
        VIDUR_NUM_CLASS_COLUMNS
};

/*
 * slo_s: the quantiles that SLOs are about and that the lists lack, seconds, ordered by
 * their columns' names (tpot_p99_9_s); NaN: not known. In a run that came to its end a
 * request that never got there counts as infinitely late. A joint SLO's is no time but
 * a share of its limits (goodput_ttft_tpot_p95_worst).
 * class_s: of the classes of the search's mixes, in the order of their names; NaN where
 * a row's workload has no such class.
 */
struct vidur_ranking_row {
    VIDUR_RANKING_COLUMNS(VIDUR_FIELD)
    double slo_s[VIDUR_MAX_SLOS];
    double class_s[VIDUR_MAX_CLASSES][VIDUR_NUM_CLASS_COLUMNS];
};

struct vidur_probe_row {
    VIDUR_PROBE_COLUMNS(VIDUR_FIELD)
    double slo_s[VIDUR_MAX_SLOS];
    double class_s[VIDUR_MAX_CLASSES][VIDUR_NUM_CLASS_COLUMNS];
};

enum vidur_column_kind {
    VIDUR_COLUMN_TEXT,
    VIDUR_COLUMN_INT,
    VIDUR_COLUMN_REAL,
    VIDUR_COLUMN_FLAG
};

struct vidur_column {
    enum vidur_column_kind kind;
    const char *name;
    const char *unit;
    const char *description;
    uint32_t offset; /* in the row's struct */
    uint32_t size;   /* bytes in the struct */
};

/* Static tables in the order of the lists above, and VIDUR_NUM_PLACES more: for slo_s,
 * called slo_0_s and so on here, and for class_s, class_0_requests and so on; files
 * have those that SLOs and classes use, under names that say what they hold.
 * Thread-safe. */
enum {
    VIDUR_NUM_PLACES = VIDUR_MAX_SLOS + VIDUR_MAX_CLASSES * VIDUR_NUM_CLASS_COLUMNS
};
const struct vidur_column *vidur_ranking_columns(int *count);
const struct vidur_column *vidur_probe_columns(int *count);

/* Makes every value of a row "not known": NaN, 0 and "". */
void vidur_row_clear(const struct vidur_column *columns, int count, void *row);

/* Whether two rows hold the same values (NaN equals NaN), but for columns named in
 * `except`, a list that ends with NULL; may be NULL. */
bool vidur_rows_equal(const struct vidur_column *columns, int count, const void *a,
                      const void *b, const char *const *except);

/* What violated_slo and limiting_slo say where every SLO is met, but what is served
 * does not keep up with what is offered. */
#define VIDUR_SUSTAINED "sustained"

/* The values of the ranking's column `status`. */
#define VIDUR_STATUS_OK                "ok"
#define VIDUR_STATUS_INFEASIBLE_MEMORY "infeasible_memory"
#define VIDUR_STATUS_SLO_UNREACHABLE   "slo_unreachable"
#define VIDUR_STATUS_INVALID           "invalid"
#define VIDUR_STATUS_FAILED            "failed"

/*
 * One SLO, workload, SKU price or other fact of the search that a report shows; kept as
 * text in the order given. The facts that reports know (all may be absent; others are
 * listed as they are):
 *
 *   section    name          key = value
 *   slo        ttft_p90      metric, quantile, limit_s; the name is what limiting_slo
 *                            and violated_slo say. Of a joint one metric is goodput,
 *                            limit_s 1, and limits has them; class: of that alone
 *   class      as in columns shares (of which workload's requests)
 *   model      as in rows    identifier (of the spec or on a hub), precision and
 *                            kv_cache_dtype (of its checkpoint, as in rows),
 *                            max_position_embeddings, and what else helps
 *   trace      as in rows    mix (its classes), file, lengths, arrivals, num_requests,
 * cut_requests (of them, longer than max_tokens and cut to it), max_tokens,
 *                            prefill_tokens_mean, decode_tokens_mean, note
 *   device     as in rows    usd_per_gpu_hour (absent: no price known), price_provider,
 *                            price_term, price_source, price_date, memory_gib, tdp_w
 *   node       as in rows    device, devices_per_node
 *   have       0, 1, ...     device, network_device, num_gpus (paid for already)
 *   estimator  ""            source (auto: mixed; roofline, profiles, ...),
 *                            description, profiles
 *   search     ""            semantics, capacity_definition, tbt_definition, seeds,
 *                            granularity, max_iterations, ...; where shards are
 *                            missing num_shards, and shard for each that is there
 *   note       ""            text: a sentence that every report shows near its top
 */
struct vidur_result_fact {
    char section[24];
    char name[48];
    char key[32];
    char value[1024]; /* paths fit */
};

/* Everything in results.h5. Owns its arrays; zero-initialise, release with
 * vidur_results_destroy. */
struct vidur_results {
    char creator_version[32];
    char git_commit[48];
    char file_time[32]; /* ISO 8601, UTC */
    char config_path[1024];
    char *config_text; /* as read, overrides appended */
    char config_sha256[65];
    uint64_t seed;
    int ranks;
    int threads;
    double elapsed_s;
    struct vidur_ranking_row *ranking; /* best first */
    int64_t num_ranking;
    struct vidur_probe_row *probes; /* by candidate in ranking order, then probe */
    int64_t num_probes;
    struct vidur_result_fact *facts;
    int64_t num_facts;
};

void vidur_results_destroy(struct vidur_results *results); /* takes NULL */

/* A fact on its way in. */
struct vidur_fact {
    const char *section, *name, *key, *value;
};

/* Appends a fact; texts that are too long are cut. */
int vidur_results_add_fact(struct vidur_results *results, struct vidur_fact fact,
                           struct vidur_error *err);

/* The value of a fact, which lives as long as the results; NULL where there is none. */
const char *vidur_results_fact(const struct vidur_results *results, const char *section,
                               const char *name, const char *key);

/* The version of the layout of results.h5 that this build writes, and the newest that
 * it reads. It grows when an older program would misread a newer file; a new column is
 * no reason. */
enum { VIDUR_RESULTS_FORMAT_VERSION = 1 };

/*
 * Writes FILE atomically: a temporary file beside it, flushed, then renamed. Every
 * column carries its unit and description as attributes; h5py and pandas read all of
 * it. Equal results give equal bytes. An empty creator_version, git_commit or file_time
 * is filled in from this build and the clock. HDF5 is not thread-safe: one thread at a
 * time.
 */
int vidur_results_write(const char *file, const struct vidur_results *results,
                        struct vidur_error *err);

/* Whether results may be written there without a loss: the file is missing, empty, no
 * regular file or HDF5. VIDUR_EINVAL with a remedy where it is anything else, such as a
 * configuration that was named by mistake. */
int vidur_results_check_target(const char *file, struct vidur_error *err);

/* Reads a file that vidur_results_write wrote, of this or an older version: columns are
 * matched by name, missing ones are as vidur_row_clear leaves them, unknown ones are
 * skipped. Damaged, truncated, foreign and newer files are refused with VIDUR_ECORRUPT
 * and a remedy. `results` is overwritten. */
int vidur_results_read(const char *file, struct vidur_results *results,
                       struct vidur_error *err);

/*
 * Puts results of the same kind (tasks of an array job) together: SLOs, search facts,
 * seed and prices must agree. A candidate that is in several is kept once, and must be
 * equal in them. Ranks, Pareto flags and the order of probes are made anew; MPI ranks
 * are renumbered one file after the other. `out` is overwritten; the parts stay as they
 * are. `names` are for messages.
 */
int vidur_results_merge(const struct vidur_results *parts, const char *const *names,
                        int num_parts, struct vidur_results *out,
                        struct vidur_error *err);

#endif
