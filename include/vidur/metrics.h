#ifndef VIDUR_METRICS_H
#define VIDUR_METRICS_H

#include <vidur/distribution.h>
#include <vidur/fleet.h>
#include <vidur/slo.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * What one simulation tells: small plain data, sent between ranks and written to
 * results. Per-request and per-batch records are in simulator.h.
 * Source: SIMULATOR.md section 6; MLSys'24 paper, section 5.
 */

/* Whether what is served keeps up with what is offered, over the second half of the
 * arrivals. A closed loop always does: nothing is counted then. */
struct vidur_sustained {
    int64_t offered; /* requests that arrived in it */
    int64_t served;  /* completed in it */
    double needed;   /* of them, to keep up but for chance and the cold start */
    bool kept_up;
};

/* A class of traffic. */
struct vidur_class_metrics {
    int64_t num_requests;
    int64_t num_completed;
    struct vidur_distribution ttft, tpot; /* seconds */
    double goodput_per_s; /* NaN: no joint objective is about the class */
};

/* KV caches that moved into a pool, as far as their transfers have begun. */
struct vidur_transfer_metrics {
    int64_t count;
    double bytes;
    double busy_s;   /* on the links */
    double waited_s; /* from the prompt's end to the transfer's begin, for blocks at the
                        receiving replica and for the link */
};

/* Loads of KV blocks from host memory, as far as they have begun. */
struct vidur_load_metrics {
    double hit_rate; /* as prefix_hit_rate: found there, behind the prefix cache */
    int64_t count;
    double bytes;    /* over the links of all GPUs */
    double busy_s;   /* on the links of a replica, summed over replicas */
    double waited_s; /* by requests, from the begin of their loads to the end */
};

/* What a fleet's figure is the mean over devices of. X(name) */
#define VIDUR_POOL_MEANS(X)                                                            \
    X(mfu)                                                                             \
    X(memory_usage)                                                                    \
    X(busy)                                                                            \
    X(communication_time_fraction)                                                     \
    X(pipeline_idle_fraction)

/* Of one pool of a fleet; as the members of the same names below. */
struct vidur_pool_metrics {
#define X(name) double name;
    VIDUR_POOL_MEANS(X)
#undef X
    double mean_waiting_requests; /* in the queues of schedulers */
    double mean_batch_size, full_batch_fraction, blocked_on_memory_fraction;
    double mean_tokens_per_batch;
    int64_t num_batches, num_restarts, peak_holders;
    struct vidur_transfer_metrics transfers; /* into the pool */
};

struct vidur_metrics {
    struct vidur_distribution latency[VIDUR_NUM_LATENCIES];
    /* By SLO of the run, seconds: the quantile that its limit is for. A request that
     * never gets there is infinitely late, so it may be INFINITY; a run that was
     * stopped early tells of what it measured alone. NaN where nothing was measured,
     * and beyond the run's SLOs. Of a joint objective no seconds but a share of the
     * limits. */
    double slo_value[VIDUR_MAX_SLOS];
    /* By joint objective: its latency that most requests are too late in, the first
     * among equals. VIDUR_NUM_LATENCIES: none is, or the SLO is no joint one. */
    enum vidur_latency slo_missed[VIDUR_MAX_SLOS];
    /* Completed requests that meet all joint objectives about them, of which there is
     * one at least, over the simulated time. NaN: the run has no joint objective. */
    double goodput_per_s;
    int num_classes; /* of the workload */
    struct vidur_class_metrics classes[VIDUR_MAX_CLASSES];
    /* throughput over the simulated time, which begins at the workload's time 0 */
    double simulated_time_s;
    double requests_per_s;
    double output_tokens_per_s;
    double total_tokens_per_s;
    /* from the start of a session to its end, of those that completed; NaN: there are
     * none */
    double mean_session_s;
    /* time-weighted means over replicas and stages, percent */
    double mfu;
    double memory_usage;
    double busy;
    /* counts */
    int64_t num_requests;
    int64_t num_arrived; /* fewer than num_requests when stopped early */
    int64_t num_completed;
    int64_t num_restarts;
    int64_t num_batches;
    int64_t num_extrapolated; /* table lookups beyond the profile's range */
    /* what bottleneck rules look at */
    double mean_batch_size;
    double mean_tokens_per_batch;
    double mean_decode_batch_size;      /* over batches with decodes */
    double prefill_token_fraction;      /* of all tokens processed */
    double communication_time_fraction; /* all-reduce and send/recv, of busy time */
    double pipeline_idle_fraction;      /* stage idle while its replica had work */
    double full_batch_fraction;         /* batches at the batch size cap */
    int64_t peak_batch_size;            /* requests in the largest batch */
    int64_t peak_holders; /* requests of one replica that held KV blocks at once */
    double blocked_on_memory_fraction; /* batches that a lack of blocks kept requests
                                          out of, or evicted some for */
    double mean_waiting_requests;      /* time-weighted, all replicas */
    double prefix_hit_rate; /* of the tokens of prompts admitted, again after a restart:
                               found in the prefix cache; 0 without one */
    struct vidur_load_metrics loads; /* zeros without kv_offload_gib_per_gpu */
    /* how the run ended */
    bool stopped_early; /* an SLO was lost, and the run was told to stop then */
    bool time_limited;  /* the time limit cut it */
    struct vidur_sustained sustained; /* of a run to its end; else kept_up is false */
    int violated_slo;                 /* index of the first SLO that failed; -1: none */
    /* By pool, where there are several; the figures above are then means over pools
     * weighted by devices, or sums. */
    int num_pools;
    struct vidur_pool_metrics pools[VIDUR_MAX_POOLS];
};

#endif
