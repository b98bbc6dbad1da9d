#include "temp_dir.h"
#include "test.h"

#include "program/simulation.h"

#include <math.h>
#include <stdio.h>

/*
 * Whole runs of a closed loop beside those of another program, which was written from
 * the same description: step times of kernels, front end, asynchronous scheduling and
 * clients together, to the digits that it prints.
 */

struct whole_run {
    int clients, prompt, output;
    double tpot_ms, ttft_ms, output_tokens_per_s;
};

static const struct whole_run runs[] = {
    {8, 1024, 1024, 17.225795, 449.6984, 453.2602},
    {64, 1024, 1024, 23.596142, 1438.6380, 2561.4643},
    {32, 4096, 512, 33.027307, 2766.5328, 833.4833},
};

static const double tolerance = 1e-6;

#define ASSERT_NEAR(actual, expected)                                                  \
    CU_ASSERT_DOUBLE_EQUAL(actual, expected, tolerance *(expected))

static void compare(const char *shared, const char *folder, const struct whole_run *r)
{
    char kernels[2048], workload[512];
    const char *sets[] = {"model=meta-llama/Meta-Llama-3-70B",
                          "cluster.tensor_parallel_size=4",
                          "scheduler.max_num_seqs=256",
                          "scheduler.max_num_batched_tokens=8192",
                          kernels,
                          workload};
    const struct vidur_simulation_options options = {
        .config_path = VIDUR_TEST_SOURCE_DIR "/configs/simulate-vllm-v1-h100.yaml",
        .sets = sets,
        .num_sets = 6,
        .folder = folder};
    struct vidur_simulation simulation;
    struct vidur_error err = {0};
    snprintf(kernels, sizeof kernels,
             "estimator={source: kernels, kernels: "
             "%s/profiles/kernels-aic/h100_sxm/vllm-0.24.0}",
             shared);
    snprintf(workload, sizeof workload,
             "workload={type: synthetic, num_requests: %d, max_tokens: 8192, lengths: "
             "{type: fixed, prefill_tokens: %d, decode_tokens: %d}, arrivals: {type: "
             "closed_loop, concurrency: %d}}",
             10 * r->clients, r->prompt, r->output, r->clients);
    if (vidur_simulation_prepare(&simulation, &options, &err) ||
        vidur_simulation_run(&simulation, &options, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    const struct vidur_metrics *m = &simulation.metrics;
    CU_ASSERT_EQUAL(m->num_completed, 10 * r->clients);
    ASSERT_NEAR(m->latency[VIDUR_LATENCY_tpot].mean * 1e3, r->tpot_ms);
    ASSERT_NEAR(m->latency[VIDUR_LATENCY_ttft].mean * 1e3, r->ttft_ms);
    ASSERT_NEAR(m->output_tokens_per_s, r->output_tokens_per_s);
    printf("\n  %d clients: TPOT %.6f, TTFT %.4f ms, %.4f tokens/s", r->clients,
           m->latency[VIDUR_LATENCY_tpot].mean * 1e3,
           m->latency[VIDUR_LATENCY_ttft].mean * 1e3, m->output_tokens_per_s);
    vidur_simulation_release(&simulation);
}

static void test_whole_runs(void)
{
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    struct temp_dir dir;
    temp_dir_make(&dir);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        compare(shared, dir.path, &runs[i]);
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("closed loop, whole runs",
                {"llama-3-70b on four H100s", test_whole_runs})
