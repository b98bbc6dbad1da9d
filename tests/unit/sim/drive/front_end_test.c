#include "test.h"
#include "toy_hand.h"

#include <math.h>
#include <string.h>

/* The front ends of replicas: by hand, in the quick way and in the plain one. */

static void run(struct hand_outcome *out, const struct vidur_deployment *deployment,
                const struct hand_load *load, const struct toy_step_times *times,
                const struct vidur_run_options *options)
{
    const struct vidur_workload workload = hand_workload(load);
    hand_run(out, deployment, times, &workload, options);
}

/* Prompts are tokenised one after the other; the delay begins for each by itself. */
static void check_one_after_the_other(bool plain)
{
    const struct hand_load load = {4, {0, 0, 0.25, 9}, {4, 8, 4, 2}, {1, 1, 1, 1}, {0}};
    const struct toy_step_times times = {
        .fixed_ms = 1000, .tokenise_ms = 125, .api_ms = 250};
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    run(&out, &deployment, &load, &times,
        &(struct vidur_run_options){.plain_stepping = plain});
    /* Tokenised at 0.5, 1.5, 2 and 9.25; the third waits for the second's step. */
    CU_ASSERT_EQUAL(out.scheduled_s[0], 0.75);
    CU_ASSERT_EQUAL(out.scheduled_s[1], 1.75);
    CU_ASSERT_EQUAL(out.scheduled_s[2], 2.75);
    CU_ASSERT_EQUAL(out.scheduled_s[3], 9.5);
    CU_ASSERT_EQUAL(out.arrived_s[2], 0.25);
    CU_ASSERT_EQUAL(out.metrics.latency[VIDUR_LATENCY_ttft].max, 3.5);
    CU_ASSERT_EQUAL(out.metrics.latency[VIDUR_LATENCY_scheduling_delay].max, 2.5);
    CU_ASSERT_EQUAL(out.metrics.mean_waiting_requests, 0.5 / 10.5);
    CU_ASSERT_EQUAL(out.metrics.num_arrived, 4);
}

/* Two replicas have two front ends. */
static void check_replicas(bool plain)
{
    const struct hand_load load = {3, {0, 0, 0.25}, {4, 8, 4}, {1, 1, 1}, {0}};
    const struct toy_step_times times = {
        .fixed_ms = 1000, .tokenise_ms = 125, .api_ms = 250};
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    deployment.num_replicas = 2;
    strcpy(deployment.router, "round_robin");
    run(&out, &deployment, &load, &times,
        &(struct vidur_run_options){.plain_stepping = plain});
    CU_ASSERT_EQUAL(out.first_token_s[0], 1.75);
    CU_ASSERT_EQUAL(out.first_token_s[1], 2.25);
    CU_ASSERT_EQUAL(out.first_token_s[2], 2.75); /* tokenised at 1, seen at 1.25 */
}

/* A router that looks at replicas counts what is in their front ends. */
static void check_router(bool plain, enum vidur_semantics semantics)
{
    const struct hand_load load = {3, {0, 0.25, 0.5}, {8, 8, 8}, {1, 1, 1}, {0}};
    const struct toy_step_times times = {.fixed_ms = 1000, .tokenise_ms = 250};
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    deployment.semantics = semantics;
    deployment.num_replicas = 3;
    strcpy(deployment.router, "lor");
    run(&out, &deployment, &load, &times,
        &(struct vidur_run_options){.plain_stepping = plain});
    CU_ASSERT_EQUAL(out.first_token_s[0], 3);
    CU_ASSERT_EQUAL(out.first_token_s[1], 3.25);
    CU_ASSERT_EQUAL(out.first_token_s[2], 3.5);
}

/* What is in a front end at the time limit has not arrived at the engine. */
static void check_time_limit(bool plain)
{
    const struct hand_load load = {2, {0, 0}, {4, 4}, {4, 1}, {0}};
    const struct toy_step_times times = {.fixed_ms = 1000, .tokenise_ms = 500};
    const struct vidur_run_options options = {.plain_stepping = plain,
                                              .time_limit_s = 3.5};
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    run(&out, &deployment, &load, &times, &options);
    CU_ASSERT_EQUAL(out.metrics.num_arrived, 1);
    CU_ASSERT_EQUAL(out.scheduled_s[0], 2);
    CU_ASSERT_TRUE(isnan(out.scheduled_s[1]));
    CU_ASSERT_EQUAL(out.metrics.mean_waiting_requests, 0);
    CU_ASSERT_TRUE(out.metrics.time_limited);
}

static void test_one_after_the_other(void)
{
    check_one_after_the_other(false);
    check_one_after_the_other(true);
}

static void test_replicas(void)
{
    check_replicas(false);
    check_replicas(true);
}

static void test_router(void)
{
    check_router(false, VIDUR_SEMANTICS_CORRECTED);
    check_router(true, VIDUR_SEMANTICS_CORRECTED);
    check_router(false, VIDUR_SEMANTICS_VIDUR);
    check_router(true, VIDUR_SEMANTICS_VIDUR);
}

static void test_time_limit(void)
{
    check_time_limit(false);
    check_time_limit(true);
}

VIDUR_TEST_MAIN("front end", {"one prompt after the other", test_one_after_the_other},
                {"one for each replica", test_replicas},
                {"the router counts what is in it", test_router},
                {"time limit", test_time_limit})
