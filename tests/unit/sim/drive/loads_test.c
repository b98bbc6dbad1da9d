#include "test.h"
#include "toy_cluster.h"
#include "toy_engine.h"

#include <vidur/memory_plan.h>
#include <vidur/rng.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * ENGINE.md section 11 by hand: every step takes a second, a block of 4 tokens a
 * quarter of one to load. The GPU has 3 blocks, so that each prompt of 12 tokens makes
 * it forget the one before.
 */

enum { MAX_REQUESTS = 64, MAX_TOKENS = 64, MAX_STEP = 64, MAX_BATCH = 8 };

static const double block_s = 0.25;

struct load {
    int count;
    double arrived_at_s[MAX_REQUESTS];
    int32_t prompt[MAX_REQUESTS], output[MAX_REQUESTS];
    int32_t which[MAX_REQUESTS];
};

struct outcome {
    struct vidur_metrics metrics;
    double scheduled_s[MAX_REQUESTS], first_token_s[MAX_REQUESTS],
        completed_s[MAX_REQUESTS];
    int32_t cached[MAX_REQUESTS];
};

static double block_bytes(const struct vidur_deployment *deployment)
{
    struct vidur_memory_plan plan;
    vidur_memory_plan(deployment, MAX_TOKENS, &plan);
    return plan.kv_bytes_per_token * deployment->scheduler.block_size;
}

/* `host_blocks`: 0: no tier. */
static void engine(struct vidur_deployment *deployment, double host_blocks)
{
    toy_engine_deployment(deployment);
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    knobs->async_scheduling = false;
    knobs->max_num_seqs = MAX_BATCH;
    knobs->max_num_batched_tokens = MAX_STEP;
    knobs->block_size = 4;
    knobs->num_blocks = 3;
    knobs->kv_offload_gib_per_gpu = host_blocks * block_bytes(deployment) / 0x1p30;
    knobs->kv_offload_gb_per_s = block_bytes(deployment) / block_s / 1e9;
}

static void run(struct outcome *out, const struct vidur_deployment *deployment,
                const struct load *load, bool plain)
{
    const struct toy_step_times times = {.fixed_ms = 1000};
    struct vidur_timetable *table =
        toy_engine_new(&times, MAX_STEP, MAX_BATCH, MAX_TOKENS);
    const struct vidur_run_options options = {.plain_stepping = plain};
    struct vidur_simulator *simulator = NULL;
    struct vidur_error err = {0};
    struct vidur_workload workload = toy_workload(
        load->count, MAX_TOKENS, load->arrived_at_s, load->prompt, load->output);
    workload.prompts = (struct vidur_prompts){
        .prompt = load->which, .num_prompts = MAX_REQUESTS, .num_prompts_per_group = 1};
    if (vidur_simulator_create(&simulator, deployment, table, MAX_TOKENS, &err) ||
        vidur_simulator_run(simulator, &workload, &options, &out->metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    const struct vidur_request_records *r = vidur_simulator_requests(simulator);
    for (int64_t i = 0; i < r->count; i++) {
        out->scheduled_s[i] = r->scheduled_at_s[i];
        out->first_token_s[i] = r->prefill_completed_at_s[i];
        out->completed_s[i] = r->completed_at_s[i];
        out->cached[i] = r->cached_tokens[i];
    }
    vidur_simulator_destroy(simulator);
    toy_engine_free(table);
}

/* Both drivers. */
static void run_both(struct outcome *out, const struct vidur_deployment *deployment,
                     const struct load *load)
{
    struct outcome plain;
    memset(out, 0, sizeof *out);
    memset(&plain, 0, sizeof plain);
    run(&plain, deployment, load, true);
    run(out, deployment, load, false);
    CU_ASSERT_EQUAL(
        memcmp(plain.completed_s, out->completed_s, sizeof out->completed_s), 0);
    CU_ASSERT_EQUAL(
        memcmp(&plain.metrics.loads, &out->metrics.loads, sizeof out->metrics.loads),
        0);
}

/* The first prompt again, when the GPU has the second: of its 12 tokens the blocks
 * before the last token come from the host, and 4 tokens are computed. */
static void test_comes_back(void)
{
    const struct load load = {3, {0, 2, 10}, {12, 12, 12}, {1, 1, 1}, {0, 1, 0}};
    struct vidur_deployment deployment;
    struct outcome out;
    engine(&deployment, 100);
    run_both(&out, &deployment, &load);
    CU_ASSERT_EQUAL(out.first_token_s[0], 1);
    CU_ASSERT_EQUAL(out.first_token_s[1], 3);
    CU_ASSERT_EQUAL(out.scheduled_s[2], 10.5);
    CU_ASSERT_EQUAL(out.first_token_s[2], 11.5);
    CU_ASSERT_EQUAL(out.cached[2], 8);
    const struct vidur_load_metrics *loads = &out.metrics.loads;
    CU_ASSERT_EQUAL(loads->count, 1);
    CU_ASSERT_EQUAL(loads->busy_s, 0.5);
    CU_ASSERT_EQUAL(loads->waited_s, 0.5);
    CU_ASSERT_DOUBLE_EQUAL(loads->bytes, 2 * block_bytes(&deployment), 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(loads->hit_rate, 8. / 36, 1e-15);
    CU_ASSERT_EQUAL(out.metrics.prefix_hit_rate, 0);
    CU_ASSERT_DOUBLE_EQUAL(out.metrics.prefill_token_fraction, 1, 1e-15);
}

/* The link is shared: one request after the other. A prompt that nobody had is computed
 * in the meantime. */
static void test_one_after_the_other(void)
{
    const struct load load = {6,
                              {0, 2, 4, 10, 10, 10},
                              {12, 12, 48, 12, 12, 12},
                              {1, 1, 1, 1, 1, 1},
                              {0, 1, 2, 0, 1, 3}};
    struct vidur_deployment deployment;
    struct outcome out;
    engine(&deployment, 100);
    deployment.scheduler.num_blocks = 12;
    run_both(&out, &deployment, &load);
    CU_ASSERT_EQUAL(out.metrics.loads.count, 2);
    CU_ASSERT_EQUAL(out.metrics.loads.busy_s, 1);
    CU_ASSERT_EQUAL(out.metrics.loads.waited_s, 0.5 + 1);
    CU_ASSERT_EQUAL(out.first_token_s[5], 11); /* at once */
    CU_ASSERT_EQUAL(out.scheduled_s[3], 11);   /* there at 10.5, behind that step */
    CU_ASSERT_EQUAL(out.scheduled_s[4], 11);   /* there at 11 */
    CU_ASSERT_EQUAL(out.first_token_s[4], 12);
}

/* Steps of others go on, and who is loaded joins the next one: with async scheduling
 * the one after that which is fixed already. */
static void test_others_go_on(void)
{
    const struct load load = {
        4, {0, 2, 4.5, 5.25}, {8, 16, 4, 8}, {1, 1, 9, 1}, {0, 1, 2, 0}};
    struct vidur_deployment deployment;
    struct outcome out;
    engine(&deployment, 100);
    deployment.scheduler.num_blocks = 4;
    for (int async = 0; async < 2; async++) {
        deployment.scheduler.async_scheduling = async;
        run_both(&out, &deployment, &load);
        CU_ASSERT_EQUAL(out.metrics.loads.count, 1);
        CU_ASSERT_EQUAL(out.completed_s[2], 4.5 + 9);
        /* looked at when the step ends at 5.5, and loaded in a quarter of a second */
        CU_ASSERT_EQUAL(out.scheduled_s[3], async ? 7.5 : 6.5);
    }
}

/* Those used last are kept; of one prompt the head longer than the tail. */
static void test_forgets(void)
{
    const struct load load = {
        4, {0, 2, 10, 20}, {12, 12, 12, 12}, {1, 1, 1, 1}, {0, 1, 0, 1}};
    struct vidur_deployment deployment;
    struct outcome out;
    engine(&deployment, 3); /* one prompt */
    run_both(&out, &deployment, &load);
    CU_ASSERT_EQUAL(out.metrics.loads.count, 0);
    engine(&deployment, 4); /* and the head of the one before */
    run_both(&out, &deployment, &load);
    CU_ASSERT_EQUAL(out.cached[2], 4);
    CU_ASSERT_EQUAL(out.scheduled_s[2], 10.25);
    CU_ASSERT_EQUAL(out.cached[3], 4);
    engine(&deployment, 6);
    run_both(&out, &deployment, &load);
    CU_ASSERT_EQUAL(out.cached[2], 8);
    CU_ASSERT_EQUAL(out.cached[3], 8);
}

/* A request that was preempted comes back with what it had computed, the tokens that it
 * had generated included. */
static void test_preempted(void)
{
    const struct load load = {2, {0, 0}, {8, 8}, {16, 16}, {0, 1}};
    struct vidur_deployment deployment;
    struct outcome without, with;
    engine(&deployment, 0);
    deployment.scheduler.num_blocks = 8;
    run_both(&without, &deployment, &load);
    CU_ASSERT(without.metrics.num_restarts > 0);
    engine(&deployment, 100);
    deployment.scheduler.num_blocks = 8;
    run_both(&with, &deployment, &load);
    CU_ASSERT_EQUAL(with.metrics.num_restarts, without.metrics.num_restarts);
    CU_ASSERT(with.metrics.loads.count > 0);
    /* 8 + 9 tokens computed, the last one of which is in no whole block: 4 blocks */
    CU_ASSERT_DOUBLE_EQUAL(
        with.metrics.loads.bytes,
        with.metrics.loads.busy_s / block_s * block_bytes(&deployment), 1e-6);
    CU_ASSERT_EQUAL(with.metrics.num_completed, 2);
}

static void draw(struct load *load, uint64_t seed, double gap_s)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, seed, 1);
    load->count = MAX_REQUESTS;
    for (int i = 0; i < MAX_REQUESTS; i++) {
        load->which[i] = (int32_t)vidur_rng_below(&rng, 6);
        load->prompt[i] = 5 + 7 * load->which[i];
        load->output[i] = 1 + (int32_t)vidur_rng_below(&rng, 12);
        load->arrived_at_s[i] = gap_s * i;
    }
}

/* None, or less than a block, is off to the bit. */
static void test_none_is_off(void)
{
    struct load load;
    struct vidur_deployment deployment;
    struct outcome off, small;
    draw(&load, 3, 1.5);
    engine(&deployment, 0);
    deployment.scheduler.num_blocks = 16;
    deployment.scheduler.async_scheduling = true;
    run_both(&off, &deployment, &load);
    deployment.scheduler.kv_offload_gib_per_gpu =
        0.99 * block_bytes(&deployment) / 0x1p30;
    run_both(&small, &deployment, &load);
    CU_ASSERT_EQUAL(memcmp(off.completed_s, small.completed_s, sizeof off.completed_s),
                    0);
    CU_ASSERT_PTR_NULL(toy_metrics_differ(&off.metrics, &small.metrics));
    CU_ASSERT_EQUAL(off.metrics.loads.count, 0);
}

/* A link of no time and room for all: requests that come one by one find what a GPU
 * with as much room finds, at the same time. Fewer blocks find less, a GPU's alone,
 * too. */
static void test_ideal(void)
{
    struct load load;
    struct vidur_deployment deployment;
    struct outcome host, gpu, few;
    draw(&load, 4, 100);
    engine(&deployment, 0);
    deployment.scheduler.num_blocks = 14;
    run_both(&few, &deployment, &load);
    deployment.scheduler.num_blocks = 4000;
    run_both(&gpu, &deployment, &load);
    engine(&deployment, 4000);
    deployment.scheduler.num_blocks = 14;
    deployment.scheduler.kv_offload_gb_per_s = 1e30;
    run_both(&host, &deployment, &load);
    const double found = host.metrics.prefix_hit_rate + host.metrics.loads.hit_rate;
    CU_ASSERT_DOUBLE_EQUAL(found, gpu.metrics.prefix_hit_rate, 1e-12);
    CU_ASSERT(host.metrics.loads.count > 10);
    CU_ASSERT(few.metrics.prefix_hit_rate < found - 0.1);
    CU_ASSERT_EQUAL(memcmp(host.cached, gpu.cached, sizeof gpu.cached), 0);
    CU_ASSERT_EQUAL(memcmp(host.completed_s, gpu.completed_s, sizeof gpu.completed_s),
                    0);
    for (double blocks = 1; blocks < 40; blocks += 3) {
        engine(&deployment, blocks);
        deployment.scheduler.num_blocks = 14;
        run_both(&host, &deployment, &load);
        const double sum = host.metrics.prefix_hit_rate + host.metrics.loads.hit_rate;
        CU_ASSERT(sum <= found + 1e-12);
        CU_ASSERT_EQUAL(host.metrics.prefix_hit_rate, few.metrics.prefix_hit_rate);
    }
}

VIDUR_TEST_MAIN("loads", {"comes back", test_comes_back},
                {"one after the other", test_one_after_the_other},
                {"others go on", test_others_go_on}, {"forgets", test_forgets},
                {"preempted", test_preempted}, {"none is off", test_none_is_off},
                {"ideal", test_ideal})
