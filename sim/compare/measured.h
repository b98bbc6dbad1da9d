#ifndef VIDUR_MEASURED_H
#define VIDUR_MEASURED_H

#include <vidur/error.h>
#include <vidur/shared_prefix.h>

/*
 * Measurements of a real engine under a shared-prefix load: what a simulation is
 * compared with. A JSON array of experiments, each with `id`, `model`,
 * `tensor_parallel_size`, `max_model_len`, `max_num_batched_tokens`, `max_num_seqs`,
 * `workload` (`stages` of {rate, duration}, `shared_prefix` {system_prompt_len,
 * question_len, output_len}) and `stages`, each with `e2e_s` and `ttft_s` {mean,
 * median, p90, p95, p99} and, where it was measured, `prompt_tokens`. Other members are
 * ignored.
 */

struct vidur_measured_latency {
    double mean, p50, p90, p95, p99; /* seconds */
};

struct vidur_measured_stage {
    struct vidur_measured_latency e2e, ttft;
    double tpot_mean_s; /* (e2e - ttft) / (output tokens - 1), of the means */
};

struct vidur_measured_experiment {
    char id[96];
    char model[96];
    int tensor_parallel_size;
    int max_model_len;
    int max_num_batched_tokens;
    int max_num_seqs;
    struct vidur_shared_prefix_config workload; /* as the load generator resolved it */
    struct vidur_measured_stage stages[VIDUR_MAX_LOAD_STAGES];
};

/* *experiments is freed with free(). */
int vidur_measured_read(const char *path,
                        struct vidur_measured_experiment **experiments, int *count,
                        struct vidur_error *err);

#endif
