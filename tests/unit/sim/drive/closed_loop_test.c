#include "test.h"
#include "toy_hand.h"

#include <vidur/simulator.h>

#include <math.h>
#include <string.h>

/* Closed loops by hand, in the quick way and in the plain one. */

static const double at_once[HAND_REQUESTS];

/* Steps of a second. */
static void run(struct hand_outcome *out, const struct vidur_deployment *deployment,
                const struct vidur_workload *workload, double api_ms,
                const struct vidur_run_options *options)
{
    const struct toy_step_times times = {.fixed_ms = 1000, .api_ms = api_ms};
    hand_run(out, deployment, &times, workload, options);
}

/* Two clients, four requests of 2, 1, 3 and 1 steps. */
static void check_two_clients(bool plain)
{
    const int32_t prompt[] = {4, 4, 4, 4}, output[] = {2, 1, 3, 1};
    const struct vidur_run_options options = {.plain_stepping = plain};
    struct vidur_workload workload =
        toy_workload(4, HAND_TOKENS, at_once, prompt, output);
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    workload.concurrency = 2;
    run(&out, &deployment, &workload, 0, &options);
    /* What is sent when a step ends misses the step that begins then. */
    CU_ASSERT_EQUAL(out.completed_s[1], 1);
    CU_ASSERT_EQUAL(out.arrived_s[2], 1);
    CU_ASSERT_EQUAL(out.completed_s[0], 2);
    CU_ASSERT_EQUAL(out.arrived_s[3], 2);
    CU_ASSERT_EQUAL(out.completed_s[2], 5);
    CU_ASSERT_EQUAL(out.completed_s[3], 4); /* seen at 2, in the step from 3 on */
    CU_ASSERT_EQUAL(out.metrics.latency[VIDUR_LATENCY_ttft].max, 2);
    CU_ASSERT_EQUAL(out.metrics.requests_per_s, 4 / 5.);
    CU_ASSERT_TRUE(out.metrics.sustained.kept_up);
    /* With a delay in between the engine idles, if there is nobody else. */
    workload.concurrency = 1;
    run(&out, &deployment, &workload, 250, &options);
    CU_ASSERT_EQUAL(out.completed_s[0], 2.25);
    CU_ASSERT_EQUAL(out.arrived_s[1], 2.25);
    CU_ASSERT_EQUAL(out.completed_s[1], 3.5);
    CU_ASSERT_EQUAL(out.completed_s[3], 8);
}

/* More clients than requests: all at once. */
static void check_many_clients(bool plain)
{
    const int32_t prompt[] = {4, 4}, output[] = {2, 1};
    const struct vidur_run_options options = {.plain_stepping = plain};
    struct vidur_workload workload =
        toy_workload(2, HAND_TOKENS, at_once, prompt, output);
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    workload.concurrency = 100;
    run(&out, &deployment, &workload, 0, &options);
    CU_ASSERT_EQUAL(out.arrived_s[1], 0);
    CU_ASSERT_EQUAL(out.completed_s[0], 2);
}

/* The router decides when a request is sent. */
static void check_router(bool plain)
{
    const int32_t prompt[] = {4, 4, 4, 4, 4}, output[] = {5, 1, 1, 1, 1};
    const struct vidur_run_options options = {.plain_stepping = plain};
    struct vidur_workload workload =
        toy_workload(5, HAND_TOKENS, at_once, prompt, output);
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    workload.concurrency = 2;
    deployment.num_replicas = 2;
    strcpy(deployment.router, "lor");
    run(&out, &deployment, &workload, 0, &options);
    /* The first stays at its replica for 5 s; the other takes all others. */
    CU_ASSERT_EQUAL(out.completed_s[0], 5);
    for (int i = 1; i < 5; i++)
        CU_ASSERT_EQUAL(out.completed_s[i], i);
    CU_ASSERT_EQUAL(out.arrived_s[4], 3);
}

/* Who was not sent has no time. */
static void check_time_limit(bool plain)
{
    const int32_t prompt[] = {4, 4, 4}, output[] = {2, 2, 2};
    const struct vidur_slo slo = {
        .metric = VIDUR_LATENCY_ttft, .quantile = 1, .limit_s = 1.5};
    const struct vidur_run_options options = {
        .plain_stepping = plain, .time_limit_s = 3.5, .slos = &slo, .num_slos = 1};
    struct vidur_workload workload =
        toy_workload(3, HAND_TOKENS, at_once, prompt, output);
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    workload.concurrency = 1;
    run(&out, &deployment, &workload, 0, &options);
    CU_ASSERT_EQUAL(out.arrived_s[1], 2);
    CU_ASSERT_TRUE(isnan(out.arrived_s[2]));
    CU_ASSERT_EQUAL(out.metrics.num_arrived, 2);
    CU_ASSERT_EQUAL(out.metrics.num_completed, 1);
    CU_ASSERT_EQUAL(out.metrics.violated_slo, -1);
}

/* A request that never runs keeps its client for ever, and fails every SLO. */
static void check_one_that_never_runs(bool plain)
{
    const int32_t prompt[] = {4, 40, 4}, output[] = {1, 1, 1};
    const struct vidur_slo slo = {
        .metric = VIDUR_LATENCY_ttft, .quantile = 1, .limit_s = 100};
    const struct vidur_run_options options = {
        .plain_stepping = plain, .slos = &slo, .num_slos = 1};
    struct vidur_workload workload =
        toy_workload(3, HAND_TOKENS, at_once, prompt, output);
    struct vidur_deployment deployment;
    struct hand_outcome out;
    hand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 4;
    workload.concurrency = 1;
    run(&out, &deployment, &workload, 0, &options);
    CU_ASSERT_EQUAL(out.metrics.num_completed, 1);
    CU_ASSERT_EQUAL(out.metrics.num_arrived, 2);
    CU_ASSERT_TRUE(isnan(out.arrived_s[2]));
    CU_ASSERT_EQUAL(out.metrics.violated_slo, 0);
}

static void both(void (*check)(bool plain))
{
    check(false);
    check(true);
}

static void test_two_clients(void)
{
    both(check_two_clients);
}

static void test_many_clients(void)
{
    both(check_many_clients);
}

static void test_router(void)
{
    both(check_router);
}

static void test_time_limit(void)
{
    both(check_time_limit);
}

static void test_one_that_never_runs(void)
{
    both(check_one_that_never_runs);
}

VIDUR_TEST_MAIN("closed loop", {"two clients", test_two_clients},
                {"more clients than requests", test_many_clients},
                {"the router decides", test_router}, {"time limit", test_time_limit},
                {"a request that never runs", test_one_that_never_runs})
