#include "test.h"
#include "toy_cluster.h"

#include <vidur/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Waiting times that queueing theory knows: one request at a time, Poisson arrivals.
 * M/D/1 and M/G/1 by Pollaczek and Khinchine: W = rate * E[S^2] / (2 (1 - load)).
 */

enum { NUM_REQUESTS = 400000, MAX_TOKENS = 64 };

struct queue {
    double load;
    int replicas;
    const char *router;
    int longest_prompt; /* uniform from 1; 1: all equal */
    int output_tokens;
};

/* One token takes a second, whatever it is; a prompt token takes per_chunk more. */
static const double token_s = 1, chunk_s = 0.25;

static double draw_requests(const struct queue *queue, double *arrived_at_s,
                            int32_t *prefill, int32_t *decode)
{
    struct vidur_rng rng;
    double now_s = 0, mean_s = 0, mean_square = 0;
    const bool general = queue->longest_prompt > 1;
    for (int p = 1; p <= queue->longest_prompt; p++) {
        const double service_s =
            token_s * queue->output_tokens + (general ? chunk_s * p : 0);
        mean_s += service_s / queue->longest_prompt;
        mean_square += service_s * service_s / queue->longest_prompt;
    }
    const double rate = queue->load / mean_s; /* of each replica */
    vidur_rng_init(&rng, 7, vidur_rng_stream("queueing", 0));
    for (int64_t i = 0; i < NUM_REQUESTS; i++) {
        now_s += vidur_rng_exponential(&rng) / (rate * queue->replicas);
        arrived_at_s[i] = now_s;
        prefill[i] =
            1 + (int32_t)vidur_rng_below(&rng, (uint32_t)queue->longest_prompt);
        decode[i] = queue->output_tokens;
    }
    return rate * mean_square / (2 * (1 - queue->load));
}

static double simulate(const struct queue *queue, const struct vidur_workload *workload)
{
    const struct toy_times times = {
        .fixed_ms = 1e3 * token_s / TOY_LAYERS,
        .per_chunk_ms = queue->longest_prompt > 1 ? 1e3 * chunk_s / TOY_LAYERS : 0};
    struct vidur_error err = {0};
    struct vidur_deployment deployment;
    struct vidur_simulator *simulator;
    struct vidur_metrics metrics;
    const struct vidur_run_options options = {0};
    struct vidur_timetable *table = toy_timetable_new(&times, MAX_TOKENS, 8);
    toy_deployment(&deployment, "vllm");
    deployment.scheduler.batch_size_cap = 1;
    deployment.num_replicas = queue->replicas;
    strcpy(deployment.router, queue->router);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_create(&simulator, &deployment, table, MAX_TOKENS, &err), 0);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(simulator, workload, &options, &metrics, &err), 0);
    CU_ASSERT_EQUAL(metrics.num_completed, NUM_REQUESTS);
    CU_ASSERT_DOUBLE_EQUAL(metrics.busy, 100 * queue->load, 1);
    vidur_simulator_destroy(simulator);
    toy_timetable_free(table);
    return metrics.latency[VIDUR_LATENCY_scheduling_delay].mean;
}

static void check(const char *name, const struct queue *queue)
{
    double *arrived_at_s = malloc(NUM_REQUESTS * sizeof *arrived_at_s);
    int32_t *tokens = malloc(2 * NUM_REQUESTS * sizeof *tokens);
    const double expected_s =
        draw_requests(queue, arrived_at_s, tokens, tokens + NUM_REQUESTS);
    const struct vidur_workload workload = toy_workload(
        NUM_REQUESTS, MAX_TOKENS, arrived_at_s, tokens, tokens + NUM_REQUESTS);
    const double actual_s = simulate(queue, &workload);
    printf("\n  %s, load %.1f: waiting %.4f s, theory %.4f s", name, queue->load,
           actual_s, expected_s);
    CU_ASSERT_DOUBLE_EQUAL(actual_s / expected_s, 1, 0.03);
    free(arrived_at_s);
    free(tokens);
}

static void test_md1(void)
{
    check("M/D/1, one iteration", &(struct queue){0.5, 1, "round_robin", 1, 1});
    check("M/D/1, one iteration", &(struct queue){0.8, 1, "round_robin", 1, 1});
    check("M/D/1, 20 iterations", &(struct queue){0.7, 1, "round_robin", 1, 20});
}

static void test_mg1(void)
{
    check("M/G/1, uniform", &(struct queue){0.6, 1, "round_robin", 32, 1});
    check("M/G/1, uniform and decodes", &(struct queue){0.7, 1, "round_robin", 32, 4});
}

/* Splitting a Poisson stream at random leaves Poisson streams. */
static void test_random_split(void)
{
    check("M/D/1 behind a random router", &(struct queue){0.7, 4, "random", 1, 2});
}

VIDUR_TEST_MAIN("queueing", {"M/D/1", test_md1}, {"M/G/1", test_mg1},
                {"random split", test_random_split})
