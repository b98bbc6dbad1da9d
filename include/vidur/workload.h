#ifndef VIDUR_WORKLOAD_H
#define VIDUR_WORKLOAD_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The requests of a run: when they arrive and how many tokens they bring and ask for.
 * Source: simulator.md section 2.
 */

enum vidur_workload_type {
    VIDUR_WORKLOAD_SYNTHETIC,    /* lengths + arrivals */
    VIDUR_WORKLOAD_TRACE_REPLAY, /* a file with arrival times and lengths */
    VIDUR_WORKLOAD_SHARED_PREFIX /* vllm_v1.md section 4 */
};

enum vidur_seeds {
    VIDUR_SEEDS_OWN,      /* streams derived from (seed, purpose) */
    VIDUR_SEEDS_REFERENCE /* the reference's random streams */
};

/* Keys of `lengths:`; `type` names an entry of the length registry. */
struct vidur_lengths_config {
    char type[16]; /* fixed | uniform | zipf | trace */
    int prefill_tokens;
    int decode_tokens;
    int min_tokens;
    double prefill_to_decode_ratio;
    double theta;
    bool scramble;
    char file[1024];
    double prefill_scale_factor;
    double decode_scale_factor;
};

/* Keys of `arrivals:`; `type` names an entry of the arrival registry. */
struct vidur_arrivals_config {
    char type[24]; /* poisson | gamma | static | trace */
    double qps;
    double cv;
    double truncate; /* cuts Poisson gaps at truncate / qps; 0: no cut */
    char file[1024];
    double start_time_s;
    double end_time_s;
    double time_scale_factor;
};

struct vidur_workload_config {
    enum vidur_workload_type type;
    uint64_t seed;
    enum vidur_seeds seeds;
    int64_t num_requests; /* 0: by duration (or, for a replay, the whole file) */
    double duration_s;    /* 0: by number */
    int max_tokens;       /* cap on prefill + decode of a request */
    struct vidur_lengths_config lengths;
    struct vidur_arrivals_config arrivals;
    /* trace_replay */
    char file[1024];
    double prefill_scale_factor;
    double decode_scale_factor;
    double time_scale_factor;
};

/* Requests in order of arrival, as arrays. Read-only for simulators; hot data. */
struct vidur_workload {
    int64_t num_requests;
    int max_tokens;
    const double *arrived_at_s;
    const int32_t *num_prefill_tokens;
    const int32_t *num_decode_tokens;
    struct vidur_workload_state *state; /* what set_qps needs; private */
};

struct vidur_yaml_node;

void vidur_workload_config_defaults(struct vidur_workload_config *config);
int vidur_workload_config_read(const struct vidur_yaml_node *section,
                               struct vidur_workload_config *config,
                               struct vidur_error *err);

/* Draws the requests. Released with vidur_workload_destroy. */
int vidur_workload_create(struct vidur_workload **out,
                          const struct vidur_workload_config *config,
                          struct vidur_error *err);

/*
 * Offers the same requests at another rate, in place and without allocating: common
 * random numbers. The arrivals are those that vidur_workload_create gives for that qps,
 * to the bit. Fails for arrivals that have no rate (static, trace, replay).
 */
int vidur_workload_set_qps(struct vidur_workload *workload, double qps,
                           struct vidur_error *err);

void vidur_workload_destroy(struct vidur_workload *workload);

#endif
