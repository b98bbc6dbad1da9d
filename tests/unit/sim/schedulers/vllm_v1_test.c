#include "test.h"
#include "toy_hand.h"

#include <vidur/memory_plan.h>
#include <vidur/simulator.h>

#include <math.h>
#include <string.h>

/*
 * ENGINE.md section 1 by hand: every step takes a second, so that times say which step
 * a request was in.
 */

enum { MAX_STEPS = 64 };

struct step {
    double start_s, end_s;
    int tokens[HAND_REQUESTS]; /* of each request */
};

struct outcome {
    int num_steps;
    struct step steps[MAX_STEPS];
    struct hand_outcome seen;
};

static int log_step(void *context, const struct vidur_batch_record *record)
{
    struct outcome *out = context;
    struct step *step = &out->steps[out->num_steps++];
    step->start_s = record->started_at_s;
    step->end_s = record->ended_at_s;
    double sum_s = 0;
    for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++)
        sum_s += record->step_parts_s[i];
    CU_ASSERT_DOUBLE_EQUAL(sum_s, record->execution_time_s, 1e-12);
    for (int i = 0; i < record->size; i++)
        step->tokens[record->request_ids[i]] = record->request_tokens[i];
    return out->num_steps == MAX_STEPS;
}

static struct vidur_workload workload_of(const struct hand_load *load)
{
    struct vidur_workload workload = hand_workload(load);
    workload.prompts = (struct vidur_prompts){.prompt = load->which,
                                              .num_prompts = HAND_REQUESTS,
                                              .num_prompts_per_group = 1};
    return workload;
}

static void run_workload(struct outcome *out, const struct vidur_deployment *deployment,
                         const struct vidur_workload *workload, double api_ms)
{
    const struct toy_step_times times = {.fixed_ms = 1000, .api_ms = api_ms};
    const struct vidur_observer observer = {.context = out, .batch = log_step};
    const struct vidur_run_options options = {.observer = &observer};
    *out = (struct outcome){0};
    hand_run(&out->seen, deployment, &times, workload, &options);
}

static void run(struct outcome *out, const struct vidur_deployment *deployment,
                const struct hand_load *load)
{
    const struct vidur_workload workload = workload_of(load);
    run_workload(out, deployment, &workload, 0);
}

#define ASSERT_STEP(out, index, start, ...)                                            \
    do {                                                                               \
        const int expected_[HAND_REQUESTS] = {__VA_ARGS__};                            \
        CU_ASSERT_EQUAL((out).steps[index].start_s, start);                            \
        CU_ASSERT_EQUAL((out).steps[index].end_s, (start) + 1);                        \
        for (int i_ = 0; i_ < HAND_REQUESTS; i_++)                                     \
            CU_ASSERT_EQUAL((out).steps[index].tokens[i_], expected_[i_]);             \
    } while (0)

/* ---- The budget ---- */

/* Decodes first, then prompts begun, then new ones; what is left over goes to the first
 * that can use it. */
static void test_budget_order(void)
{
    const struct hand_load load = {3, {0, 0.5, 0.75}, {4, 14, 3}, {6, 2, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    deployment.scheduler.max_num_batched_tokens = 10;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 4);
    ASSERT_STEP(out, 1, 1, 1, 9);
    ASSERT_STEP(out, 2, 2, 1, 5, 3);
    ASSERT_STEP(out, 3, 3, 1, 1);
    ASSERT_STEP(out, 4, 4, 1);
    ASSERT_STEP(out, 5, 5, 1);
    CU_ASSERT_EQUAL(out.num_steps, 6);
    /* The last step of a prefill yields the first token. */
    CU_ASSERT_EQUAL(out.seen.first_token_s[0], 1);
    CU_ASSERT_EQUAL(out.seen.first_token_s[1], 3);
    CU_ASSERT_EQUAL(out.seen.completed_s[1], 4);
    CU_ASSERT_EQUAL(out.seen.first_token_s[2], 3);
    CU_ASSERT_EQUAL(out.seen.completed_s[2], 3);
}

/* Several prompts share what is left; the last gets a part of its own. */
static void test_prompts_fill_a_step(void)
{
    const struct hand_load load = {
        4, {0, 0, 0, 0}, {5, 6, 9, 2}, {1, 1, 1, 1}, {0, 1, 2, 3}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    deployment.scheduler.max_num_batched_tokens = 16;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 5, 6, 5);
    ASSERT_STEP(out, 1, 1, 0, 0, 4, 2);
    CU_ASSERT_EQUAL(out.num_steps, 2);
}

/* ---- Admission ---- */

static void test_at_most_max_num_seqs(void)
{
    const struct hand_load load = {3, {0, 0, 0}, {4, 4, 4}, {3, 2, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    deployment.scheduler.max_num_seqs = 2;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 4, 4);
    ASSERT_STEP(out, 1, 1, 1, 1);
    ASSERT_STEP(out, 2, 2, 1, 0, 4);
    CU_ASSERT_EQUAL(out.seen.metrics.blocked_on_memory_fraction, 0);
}

/* The whole prompt needs blocks, even where a chunk of it would do; and nobody goes
 * before the head of the queue. */
static void test_blocks_for_the_whole_prompt(void)
{
    const struct hand_load load = {3, {0, 0, 0}, {8, 20, 1}, {3, 1, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 6;
    deployment.scheduler.max_num_batched_tokens = 12;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 8);
    ASSERT_STEP(out, 1, 1, 1);
    ASSERT_STEP(out, 2, 2, 1);
    ASSERT_STEP(out, 3, 3, 0, 12);
    ASSERT_STEP(out, 4, 4, 0, 8, 1);
    CU_ASSERT_EQUAL(out.num_steps, 5);
    CU_ASSERT_DOUBLE_EQUAL(out.seen.metrics.blocked_on_memory_fraction, 3.0 / 5, 1e-15);
}

/* ---- Preemption ---- */

/* Two requests outgrow their blocks at once: the one admitted last gives way, starts
 * over before the one that waits, and computes its token again as prompt. */
static void test_preemption(void)
{
    const struct hand_load load = {3, {0, 0, 0.5}, {8, 8, 1}, {8, 8, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 4;
    deployment.scheduler.prefix_caching = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 8, 8);
    ASSERT_STEP(out, 1, 1, 1);
    ASSERT_STEP(out, 7, 7, 1);
    CU_ASSERT_EQUAL(out.seen.completed_s[0], 8);
    ASSERT_STEP(out, 8, 8, 0, 9, 1);
    ASSERT_STEP(out, 9, 9, 0, 1);
    CU_ASSERT_EQUAL(out.seen.restarts[0], 0);
    CU_ASSERT_EQUAL(out.seen.restarts[1], 1);
    CU_ASSERT_EQUAL(out.seen.first_token_s[1], 1); /* the first stays the first */
    CU_ASSERT_EQUAL(out.seen.prompt[1], 9);
    CU_ASSERT_EQUAL(out.seen.output[1], 7);
    CU_ASSERT_EQUAL(out.seen.completed_s[1], 15);
    CU_ASSERT_EQUAL(out.seen.metrics.num_restarts, 1);
}

/* The first and the third outgrow their blocks, and none is free. The third, admitted
 * last, gives up its own one and wants no other: the second goes on. */
static void test_preemption_takes_no_more_than_it_needs(void)
{
    const struct hand_load load = {3, {0, 0, 0}, {4, 5, 4}, {5, 3, 2}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 4;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 4, 5, 4);
    ASSERT_STEP(out, 1, 1, 1, 1);
    CU_ASSERT_EQUAL(out.seen.restarts[1], 0);
    CU_ASSERT_EQUAL(out.seen.restarts[2], 1);
}

/* A prompt in the middle is computed from its start again, with its output as it was;
 * what it had not computed cannot be found in the cache. */
static void preempt_a_prompt(bool prefix_caching, double first_token_s)
{
    const struct hand_load load = {2, {0, 0}, {4, 20}, {10, 2}, {0, 1}};
    for (int semantics = 0; semantics < 2; semantics++) {
        struct vidur_deployment deployment;
        struct outcome out;
        hand_engine(&deployment);
        deployment.semantics =
            semantics ? VIDUR_SEMANTICS_VIDUR : VIDUR_SEMANTICS_CORRECTED;
        deployment.scheduler.block_size = 4;
        deployment.scheduler.num_blocks = 6;
        deployment.scheduler.max_num_seqs = 2;
        deployment.scheduler.max_num_batched_tokens = 6;
        deployment.scheduler.prefix_caching = prefix_caching;
        run(&out, &deployment, &load);
        ASSERT_STEP(out, 0, 0, 4, 2);
        ASSERT_STEP(out, 1, 1, 1);
        CU_ASSERT_EQUAL(out.seen.completed_s[0], 10);
        CU_ASSERT_EQUAL(out.seen.restarts[1], 1);
        CU_ASSERT_EQUAL(out.seen.prompt[1], 20);
        CU_ASSERT_EQUAL(out.seen.output[1], 2);
        CU_ASSERT_EQUAL(out.seen.first_token_s[1], first_token_s);
    }
}

static void test_preemption_of_a_prompt(void)
{
    preempt_a_prompt(false, 14);
    preempt_a_prompt(true, 14);
}

/* ---- The prefix cache ---- */

/* Whole blocks before the last token are found, in a later step and in the same. */
static void test_prefix_hits(void)
{
    const struct hand_load load = {
        4, {0, 0, 0.5, 5}, {33, 33, 32, 40}, {1, 1, 1, 1}, {3, 3, 3, 3}};
    struct vidur_deployment deployment;
    struct outcome out;
    hand_engine(&deployment);
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 33, 1);
    ASSERT_STEP(out, 1, 1, 0, 0, 16); /* its last token is to be computed */
    ASSERT_STEP(out, 2, 5, 0, 0, 0, 8);
    deployment.scheduler.prefix_caching = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 33, 31);
    ASSERT_STEP(out, 1, 1, 0, 2, 32);
    ASSERT_STEP(out, 2, 5, 0, 0, 0, 40);
}

/* ---- Async scheduling ---- */

static void ahand_engine(struct vidur_deployment *deployment)
{
    hand_engine(deployment);
    deployment->scheduler.async_scheduling = true;
}

/* A request waits for the rest of the step that runs and for the one after it. */
static void test_behind_a_running_step(void)
{
    const struct hand_load load = {
        4, {0, 0.5, 1, 1.25}, {4, 4, 4, 4}, {6, 1, 1, 1}, {0, 1, 2, 3}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 4);
    ASSERT_STEP(out, 1, 1, 1);
    ASSERT_STEP(out, 2, 2, 1, 4, 4); /* one came as the first step ended */
    ASSERT_STEP(out, 3, 3, 1, 0, 0, 4);
    CU_ASSERT_EQUAL(out.seen.first_token_s[1], 3);
    deployment.scheduler.async_scheduling = false;
    run(&out, &deployment, &load);
    CU_ASSERT_EQUAL(out.seen.first_token_s[1], 2);
    CU_ASSERT_EQUAL(out.seen.first_token_s[2], 2);
    CU_ASSERT_EQUAL(out.seen.first_token_s[3], 3);
}

static void test_idle_engine(void)
{
    const struct hand_load load = {
        3, {0.25, 4.5, 4.75}, {4, 4, 4}, {2, 2, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0.25, 4);
    ASSERT_STEP(out, 1, 1.25, 1);
    ASSERT_STEP(out, 2, 4.5, 0, 4);
    ASSERT_STEP(out, 3, 5.5, 0, 1); /* fixed at 4.5 */
    ASSERT_STEP(out, 4, 6.5, 0, 0, 4);
    CU_ASSERT_EQUAL(out.num_steps, 5);
}

/* Nothing is left for the next step: the first to arrive fixes it, alone. */
static void test_a_step_fixed_by_an_arrival(void)
{
    const struct hand_load load = {3, {0, 0.25, 0.5}, {4, 4, 4}, {1, 1, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 4);
    ASSERT_STEP(out, 1, 1, 0, 4);
    ASSERT_STEP(out, 2, 2, 0, 0, 4);
    deployment.scheduler.async_scheduling = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 1, 1, 0, 4, 4);
    CU_ASSERT_EQUAL(out.num_steps, 2);
}

/* ... unless it does not fit beside what is about to end: then at the end, all come. */
static void test_an_arrival_that_does_not_fit(void)
{
    const struct hand_load load = {3, {0, 0.25, 0.5}, {8, 8, 4}, {1, 1, 1}, {0, 1, 2}};
    const struct hand_load pair = {
        4, {0, 0, 0.25, 0.5}, {4, 4, 4, 4}, {1, 1, 1, 1}, {0, 1, 2, 3}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 4;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 1, 1, 0, 8);
    ASSERT_STEP(out, 2, 2, 0, 0, 4);
    deployment.scheduler.num_blocks = 3;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 1, 1, 0, 8, 4);
    deployment.scheduler.num_blocks = 1000;
    deployment.scheduler.max_num_seqs = 2;
    run(&out, &deployment, &pair);
    ASSERT_STEP(out, 1, 1, 0, 0, 4, 4);
}

/* ... where it shares blocks with those that are about to end, it fits. */
static void test_an_arrival_that_shares(void)
{
    const struct hand_load load = {3, {0, 0.25, 0.5}, {9, 9, 1}, {1, 1, 1}, {0, 0, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 4;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 1, 1, 0, 1); /* one block of three is its own */
    ASSERT_STEP(out, 2, 2, 0, 0, 1);
    deployment.scheduler.prefix_caching = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 1, 1, 0, 9, 1);
}

/* A finished request's blocks are free when its step's end has been seen. */
static void test_blocks_are_free_when_the_end_is_seen(void)
{
    const struct hand_load load = {3, {0, 0, 0.5}, {4, 4, 4}, {8, 2, 1}, {0, 1, 2}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    deployment.scheduler.num_blocks = 2;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 1, 1, 1, 1); /* fixed at 0, the last of the second request */
    ASSERT_STEP(out, 2, 2, 1);    /* fixed at 1, when that held its block */
    ASSERT_STEP(out, 3, 3, 1, 0, 4);
    deployment.scheduler.num_blocks = 1000;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 2, 2, 1, 0, 4);
    deployment.scheduler.max_num_seqs = 2; /* and its place, likewise */
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 2, 2, 1);
    ASSERT_STEP(out, 3, 3, 1, 0, 4);
    deployment.scheduler.async_scheduling = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 2, 2, 1, 0, 4);
}

/* The only request that runs on lacks a block that one about to end still holds: it is
 * preempted, the step is empty, and it is the first to come after the end. */
static void test_a_step_emptied_by_preemption(void)
{
    const struct hand_load load = {2, {0, 0}, {4, 4}, {3, 2}, {0, 1}};
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    deployment.scheduler.block_size = 5;
    deployment.scheduler.num_blocks = 2;
    deployment.scheduler.prefix_caching = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 0, 0, 4, 4);
    ASSERT_STEP(out, 1, 1, 1, 1);
    ASSERT_STEP(out, 2, 2, 6); /* fixed at 1: n is 6, its blocks hold 5 */
    CU_ASSERT_EQUAL(out.seen.restarts[0], 1);
    CU_ASSERT_EQUAL(out.seen.completed_s[0], 3);
    deployment.scheduler.async_scheduling = false;
    run(&out, &deployment, &load);
    ASSERT_STEP(out, 2, 2, 1);
    CU_ASSERT_EQUAL(out.seen.restarts[0], 0);
}

/* ---- Before the engine ---- */

static void test_t_api_counts(void)
{
    const struct hand_load load = {2, {0, 3}, {4, 4}, {2, 1}, {0, 1}};
    const struct vidur_workload workload = workload_of(&load);
    struct vidur_deployment deployment;
    struct outcome out;
    ahand_engine(&deployment);
    run_workload(&out, &deployment, &workload, 500);
    ASSERT_STEP(out, 0, 0.5, 4);
    ASSERT_STEP(out, 2, 3.5, 0, 4);
    CU_ASSERT_EQUAL(out.seen.metrics.latency[VIDUR_LATENCY_ttft].max, 1.5);
    CU_ASSERT_EQUAL(out.seen.metrics.latency[VIDUR_LATENCY_e2e].max, 2.5);
    CU_ASSERT_EQUAL(out.seen.metrics.latency[VIDUR_LATENCY_scheduling_delay].max, 0.5);
    CU_ASSERT_EQUAL(out.seen.metrics.mean_waiting_requests, 0);
}

/* ---- Stages of load ---- */

static void test_stages_drain(void)
{
    const struct hand_load load = {
        4, {0.5, 1, 2, 8}, {4, 4, 4, 4}, {3, 1, 2, 1}, {0, 1, 2, 3}};
    struct vidur_workload workload = workload_of(&load);
    struct vidur_deployment deployment;
    struct outcome out;
    workload.stages = (struct vidur_load_stages){
        .count = 3, .first_request = {0, 2, 3, 4}, .start_s = {0, 1, 6}};
    hand_engine(&deployment);
    run_workload(&out, &deployment, &workload, 250);
    /* Seen at 0.75, the first stage drains at 3.75, 2.75 s late. */
    CU_ASSERT_EQUAL(out.seen.completed_s[0], 3.75);
    CU_ASSERT_EQUAL(out.seen.arrived_s[2], 4.75);
    ASSERT_STEP(out, 3, 5, 0, 0, 4);
    CU_ASSERT_EQUAL(out.seen.completed_s[2], 7);
    CU_ASSERT_EQUAL(out.seen.arrived_s[3], 9); /* a second late */
    CU_ASSERT_EQUAL(out.seen.completed_s[3], 10.25);
    CU_ASSERT_EQUAL(out.seen.metrics.latency[VIDUR_LATENCY_ttft].max, 1.75);
    /* A stage that drains in time does not come early. */
    workload.stages.start_s[2] = 7.5;
    run_workload(&out, &deployment, &workload, 250);
    CU_ASSERT_EQUAL(out.seen.arrived_s[3], 8);
}

/* A request that never ends keeps its stage from draining: the run ends there, and what
 * has not arrived keeps its nominal time. */
static void test_a_stage_that_does_not_drain(void)
{
    const struct hand_load load = {2, {0, 1}, {16, 4}, {1, 1}, {0, 1}};
    struct vidur_workload workload = workload_of(&load);
    struct vidur_deployment deployment;
    struct outcome out;
    workload.stages = (struct vidur_load_stages){
        .count = 2, .first_request = {0, 1, 2}, .start_s = {0, 1}};
    hand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 3;
    run_workload(&out, &deployment, &workload, 0);
    CU_ASSERT_EQUAL(out.num_steps, 0);
    CU_ASSERT_EQUAL(out.seen.metrics.num_arrived, 1);
    CU_ASSERT_EQUAL(out.seen.metrics.num_completed, 0);
    CU_ASSERT_EQUAL(out.seen.arrived_s[1], 1);
}

/* The second stage is late in its first nominal second; nobody may call it lost then.
 */
static void test_late_stages_are_not_lost(void)
{
    const struct hand_load load = {3, {0, 1, 2}, {4, 4, 4}, {8, 1, 1}, {0, 1, 2}};
    struct vidur_workload workload = workload_of(&load);
    const struct toy_step_times times = {.fixed_ms = 1000};
    const struct vidur_slo slo = {
        .metric = VIDUR_LATENCY_ttft, .quantile = 0.9, .limit_s = 1.5};
    const struct vidur_run_options options = {
        .slos = &slo, .num_slos = 1, .stop_early = true};
    struct vidur_deployment deployment;
    struct hand_outcome out;
    workload.stages = (struct vidur_load_stages){
        .count = 2, .first_request = {0, 1, 3}, .start_s = {0, 1}};
    hand_engine(&deployment);
    hand_run(&out, &deployment, &times, &workload, &options);
    CU_ASSERT_EQUAL(out.metrics.num_completed, 3);
    CU_ASSERT_EQUAL(out.metrics.violated_slo, -1);
    CU_ASSERT_FALSE(out.metrics.stopped_early);
}

/* ---- What it refuses, and the memory rule ---- */

static void test_check(void)
{
    struct vidur_deployment good, bad;
    struct vidur_error err = {0};
    hand_engine(&good);
    CU_ASSERT_EQUAL(vidur_deployment_check(&good, &err), 0);
    bad = good;
    bad.num_pipeline_stages = TOY_LAYERS + 1;
    CU_ASSERT_EQUAL(vidur_deployment_check(&bad, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cluster.num_pipeline_stages: 9"));
    bad = good;
    bad.scheduler.max_num_batched_tokens = HAND_BATCH - 1;
    CU_ASSERT_EQUAL(vidur_deployment_check(&bad, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "scheduler.max_num_batched_tokens: 7"));
    bad = good;
    bad.scheduler.gpu_memory_utilization = 1.01;
    CU_ASSERT_EQUAL(vidur_deployment_check(&bad, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "gpu_memory_utilization: 1.01"));
}

VIDUR_TEST_MAIN(
    "vllm_v1", {"order of the budget", test_budget_order},
    {"prompts fill a step", test_prompts_fill_a_step},
    {"max_num_seqs", test_at_most_max_num_seqs},
    {"blocks for the whole prompt", test_blocks_for_the_whole_prompt},
    {"preemption", test_preemption},
    {"no more preemption than needed", test_preemption_takes_no_more_than_it_needs},
    {"preemption of a prompt", test_preemption_of_a_prompt},
    {"prefix hits", test_prefix_hits},
    {"behind a running step", test_behind_a_running_step},
    {"idle engine", test_idle_engine},
    {"a step fixed by an arrival", test_a_step_fixed_by_an_arrival},
    {"an arrival that does not fit", test_an_arrival_that_does_not_fit},
    {"an arrival that shares", test_an_arrival_that_shares},
    {"blocks are free when the end is seen", test_blocks_are_free_when_the_end_is_seen},
    {"a step emptied by preemption", test_a_step_emptied_by_preemption},
    {"t_api", test_t_api_counts}, {"stages drain", test_stages_drain},
    {"a stage that does not drain", test_a_stage_that_does_not_drain},
    {"late stages are not lost", test_late_stages_are_not_lost}, {"check", test_check})
