#include "study/work.h"

#include "test.h"

#include <math.h>
#include <string.h>

static struct vidur_deployment deployment;

static void take(const char *model, const char *device, const char *node, int tp)
{
    vidur_deployment_defaults(&deployment);
    CU_ASSERT_EQUAL_FATAL(vidur_model_load(&deployment.model, model, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_device_sku_load(&deployment.device, device, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_node_sku_load(&deployment.node, node, NULL), 0);
    deployment.tensor_parallel_size = tp;
}

static struct vidur_workload workload_of(int32_t *prompt, int32_t *output, int count)
{
    return (struct vidur_workload){.num_prefill_tokens = prompt,
                                   .num_decode_tokens = output,
                                   .num_requests = count};
}

/* ---- Power ---- */

static void test_watts(void)
{
    CU_ASSERT_DOUBLE_EQUAL(work_watts(700, 0, 0, 0), 105, 1e-9);
    /* reading weights at 0.78 of the bandwidth all the time: a batch of one */
    CU_ASSERT_DOUBLE_EQUAL(work_watts(700, 1, 0, 0.78), 301.56, 1e-9);
    /* prompts all the time */
    CU_ASSERT_DOUBLE_EQUAL(work_watts(700, 1, 0.6, 0.2), 700, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(work_watts(700, 1, 1, 1), 700, 1e-9);
    /* half of the time at the TDP, half of it idle: the cap is on what is busy */
    CU_ASSERT_DOUBLE_EQUAL(work_watts(700, 0.5, 0.5, 0.5), 402.5, 1e-9);
    CU_ASSERT_TRUE(isnan(work_watts(NAN, 1, 0.5, 0.5)));
    CU_ASSERT_TRUE(isnan(work_watts(NAN, 0, 0, 0)));
    double last = 0;
    for (int i = 0; i <= 20; i++) {
        const double watts = work_watts(1000, 0.9, 0.03 * i, 0.02 * i);
        CU_ASSERT(watts >= last && watts <= 1000 && watts >= 150);
        last = watts;
    }
}

/* ---- Work ---- */

static void test_cache(void)
{
    int32_t prompt[] = {100, 100}, output[] = {3, 1};
    const struct vidur_workload one = workload_of(prompt, output, 1);
    const struct vidur_workload two = workload_of(prompt, output, 2);
    struct work_of_request work;
    take("llama-3.1-8b", "h100", "h100_dgx", 1);
    work_of_request(&deployment, &one, &work);
    /* two steps, which see 101 and 102 tokens; 2 x 8 heads x 128 x 2 bytes x 32 layers
     */
    CU_ASSERT_DOUBLE_EQUAL(work.cache_bytes, 203.0 * 131072, 1);
    CU_ASSERT(work.output_flops > 0 && work.prompt_flops > 40 * work.output_flops);
    work_of_request(&deployment, &two, &work); /* the second has no step */
    CU_ASSERT_DOUBLE_EQUAL(work.cache_bytes, 203.0 * 131072 / 2, 1);
    take("llama-3.1-8b", "h100", "h100_dgx", 4);
    work_of_request(&deployment, &one, &work);
    CU_ASSERT_DOUBLE_EQUAL(work.cache_bytes, 203.0 * 131072 / 4, 1);
}

/* Half of gpt-oss's layers look 128 tokens back. */
static void test_windows(void)
{
    int32_t prompt[] = {1000}, output[] = {11}, shorter[] = {100};
    const struct vidur_workload longer = workload_of(prompt, output, 1);
    const struct vidur_workload within = workload_of(shorter, output, 1);
    struct work_of_request work;
    take("gpt-oss-20b", "h100", "h100_dgx", 1);
    const double layer = 2.0 * 8 * 64 * 2; /* bytes of a token */
    work_of_request(&deployment, &longer, &work);
    CU_ASSERT_DOUBLE_EQUAL(work.cache_bytes, 12 * layer * (10055 + 10 * 128), 1);
    work_of_request(&deployment, &within, &work); /* 101 to 110 */
    CU_ASSERT_DOUBLE_EQUAL(work.cache_bytes, 24 * layer * 1055, 1);
}

static void test_weights(void)
{
    take("llama-3.1-8b", "h100", "h100_dgx", 1);
    CU_ASSERT_EQUAL(work_weight_bytes(&deployment, 1),
                    work_weight_bytes(&deployment, 1000));
    CU_ASSERT_DOUBLE_EQUAL(work_weight_bytes(&deployment, 1), 15.0e9, 0.1e9);
    take("qwen3-30b-a3b", "h100", "h100_dgx", 1);
    const double one = work_weight_bytes(&deployment, 1);
    const double some = work_weight_bytes(&deployment, 8);
    const double all = work_weight_bytes(&deployment, 100000);
    CU_ASSERT_DOUBLE_EQUAL(one, 6.1e9, 0.3e9);  /* what is active, bf16 */
    CU_ASSERT_DOUBLE_EQUAL(all, 60.4e9, 0.6e9); /* without the embedding */
    CU_ASSERT(some > 3 * one && some < all);
}

/* ---- What follows ---- */

static struct work_estimate estimate(int32_t prompt, int32_t output,
                                     const struct vidur_probe_row *probe)
{
    const struct vidur_workload workload = workload_of(&prompt, &output, 1);
    struct work_estimate made;
    work_estimate(&deployment, &workload, probe, &made);
    return made;
}

static void test_estimate(void)
{
    struct vidur_probe_row probe = {.num_replicas = 2,
                                    .qps = 10,
                                    .busy = 100,
                                    .mfu = 20,
                                    .num_batches = 10000,
                                    .simulated_time_s = 100,
                                    .mean_tokens_per_batch = 100,
                                    .mean_decode_batch_size = 64};
    take("llama-3.1-8b", "h100", "h100_dgx", 1);
    const struct work_estimate usual = estimate(1000, 200, &probe);
    /* 50 batches a second of 15.0 GB, 5 requests of 199 steps over 1,100 tokens */
    CU_ASSERT_DOUBLE_EQUAL(usual.bandwidth_usage, 26.8, 0.4);
    CU_ASSERT_DOUBLE_EQUAL(usual.watts_per_gpu,
                           700 * (0.15 + 1.3 * 0.2223 + 0.36 * 0.268), 3);
    CU_ASSERT(usual.input_share > 0 && usual.input_share < 1);
    CU_ASSERT(estimate(2000, 200, &probe).input_share > usual.input_share);
    CU_ASSERT(estimate(1000, 400, &probe).input_share < usual.input_share);
    CU_ASSERT_EQUAL(estimate(1000, 1, &probe).input_share, 1);
    probe.mean_decode_batch_size = 4; /* fewer share the weights' reading */
    CU_ASSERT(estimate(1000, 200, &probe).input_share < usual.input_share);
    probe.num_batches *= 100;
    CU_ASSERT_EQUAL(estimate(1000, 200, &probe).bandwidth_usage, 100);
    deployment.device.tdp_w = NAN;
    CU_ASSERT_TRUE(isnan(estimate(1000, 200, &probe).watts_per_gpu));
}

VIDUR_TEST_MAIN("work", {"watts", test_watts}, {"KV cache", test_cache},
                {"windows", test_windows}, {"weights", test_weights},
                {"estimate", test_estimate})
