#ifndef VIDUR_MEASURED_H
#define VIDUR_MEASURED_H

#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/precision.h>
#include <vidur/shared_prefix.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Measurements of a real engine: what a simulation is compared with. A file is a JSON
 * array of experiments, or one experiment; each is read by the first format of the
 * registry in measured.c that knows it by its members (measured_format.h). Members that
 * a format does not know are ignored.
 */

/* Seconds; NaN: was not measured. */
struct vidur_measured_latency {
    double mean, p50, p90, p95, p99;
};

struct vidur_measured_stage {
    struct vidur_measured_latency e2e, ttft, tpot;
};

enum vidur_measured_load {
    VIDUR_MEASURED_SHARED_PREFIX, /* stages of constant rates */
    VIDUR_MEASURED_CLOSED_LOOP,   /* clients that wait for their answers */
    VIDUR_MEASURED_OPEN_LOOP      /* arrivals at one rate */
};

enum vidur_stated { VIDUR_NOT_STATED, VIDUR_STATED_NO, VIDUR_STATED_YES };

/* Formats that are stated; each -1 or an enum vidur_dtype. */
struct vidur_measured_precision {
    int weights, experts, attention, kv_cache;
};

/* Lengths of requests: uniform in a range, or one by one. */
struct vidur_measured_lengths {
    int min, max;
    int32_t *list; /* of num_requests; NULL: by the range */
};

/* Replicas of one role; 0: not stated, as that of the experiment. */
struct vidur_measured_pool {
    enum vidur_pool_role role;
    int num_replicas;
    int tensor_parallel_size;
};

struct vidur_measured_experiment {
    char id[96];
    char model[96];
    char device[32]; /* name of its spec; "": not stated */
    /* 0: not stated */
    int tensor_parallel_size;
    int pipeline_parallel_size;
    int data_parallel_size;
    int num_replicas;
    int max_model_len;
    int max_num_batched_tokens;
    int max_num_seqs;
    int cpu_cores; /* of a replica's container */
    enum vidur_stated expert_parallel, prefix_caching;
    struct vidur_measured_precision precision;
    int num_pools; /* 0: num_replicas replicas that are all alike */
    struct vidur_measured_pool pools[VIDUR_MAX_POOLS];
    char left_out[128]; /* why its load is none that can be simulated, else "" */
    char note[128];     /* what was taken for what is not stated, else "" */
    bool e2e_derived;   /* from TTFT and TPOT */

    enum vidur_measured_load load;
    struct vidur_shared_prefix_config workload; /* as the load generator resolved it */
    int64_t concurrency;                        /* closed loop: clients */
    double rate_qps;                            /* open loop */
    double
        burstiness; /* open loop: shape of the gaps' gamma distribution; 1: Poisson */
    int64_t num_requests; /* closed and open loop */
    struct vidur_measured_lengths prompt, output;

    int num_stages; /* one but for shared prefixes */
    struct vidur_measured_stage stages[VIDUR_MAX_LOAD_STAGES];
};

/* *experiments is freed with vidur_measured_free. */
int vidur_measured_read(const char *path,
                        struct vidur_measured_experiment **experiments, int *count,
                        struct vidur_error *err);
void vidur_measured_free(struct vidur_measured_experiment *experiments, int count);

#endif
