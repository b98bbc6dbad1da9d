#include "test.h"
#include "toy_cluster.h"

#include <vidur/memory_plan.h>

#include <math.h>
#include <string.h>

static struct vidur_deployment load(const char *model, const char *device, int tensor,
                                    int stages)
{
    struct vidur_error err = {0};
    struct vidur_deployment deployment;
    vidur_deployment_defaults(&deployment);
    CU_ASSERT_EQUAL_FATAL(vidur_model_load(&deployment.model, model, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_device_sku_load(&deployment.device, device, &err), 0);
    deployment.tensor_parallel_size = tensor;
    deployment.num_pipeline_stages = stages;
    return deployment;
}

/* Numbers that the reference printed for these. */
static void test_vidur(void)
{
    struct vidur_memory_plan plan;
    struct vidur_deployment small = load("Qwen/Qwen-2-7B", "a30", 1, 1);
    small.memory_planner = VIDUR_PLANNER_VIDUR;
    vidur_memory_plan(&small, 4096, &plan);
    CU_ASSERT(plan.fits);
    CU_ASSERT_EQUAL(plan.request_slots, 43);
    CU_ASSERT_EQUAL(plan.max_batch_size, 43);
    CU_ASSERT_EQUAL(plan.num_blocks, 11008);
    small.scheduler.block_size = 1;
    vidur_memory_plan(&small, 4096, &plan);
    CU_ASSERT_EQUAL(plan.num_blocks, 176128);
    struct vidur_deployment large = load("meta-llama/Llama-2-70b-hf", "a100", 4, 2);
    large.memory_planner = VIDUR_PLANNER_VIDUR;
    vidur_memory_plan(&large, 4096, &plan);
    CU_ASSERT_EQUAL(plan.num_blocks, 91648);
    CU_ASSERT_EQUAL(plan.max_batch_size, 128);
}

/* By hand: 40 layers of a stage, 2 KV heads a device, 128 wide; half an embedding. */
static void test_exact(void)
{
    struct vidur_memory_plan plan;
    struct vidur_deployment large = load("meta-llama/Llama-2-70b-hf", "a100", 4, 2);
    vidur_memory_plan(&large, 4096, &plan);
    const double kv = 2.0 * 2 * 128 * 2 * 40;
    const double layer = 8192.0 * 128 * (16 + 2 * 2 + 16) + 3.0 * 8192 * 28672 / 4;
    const double params = 2 * (40 * layer + 32000.0 * 8192 / 4);
    const double available = 80 * 1073741824.0 * 0.9;
    CU_ASSERT_EQUAL(plan.kv_bytes_per_token, kv);
    CU_ASSERT_EQUAL(plan.param_bytes, params);
    CU_ASSERT_DOUBLE_EQUAL(plan.available_bytes, available, 1);
    CU_ASSERT_EQUAL(plan.num_blocks, (int64_t)floor((available - params) / (16 * kv)));
    CU_ASSERT_EQUAL(plan.request_slots, plan.num_blocks / 256);
    /* One stage holds both the embedding and the head. */
    large.num_pipeline_stages = 1;
    vidur_memory_plan(&large, 4096, &plan);
    CU_ASSERT_EQUAL(plan.param_bytes, 2 * (80 * layer + 2 * 32000.0 * 8192 / 4));
    large.model.tie_word_embeddings = true;
    vidur_memory_plan(&large, 4096, &plan);
    CU_ASSERT_EQUAL(plan.param_bytes, 2 * (80 * layer + 32000.0 * 8192 / 4));
}

/* A rank holds its own attention and cache, and its part of the experts. */
static void test_ranks(void)
{
    struct vidur_memory_plan one, ranks;
    struct vidur_deployment d = load("MiniMaxAI/MiniMax-M2.5", "h200", 1, 1);
    strcpy(d.scheduler.type, "vllm_v1");
    d.expert_parallel = true;
    vidur_memory_plan(&d, 4096, &one);
    CU_ASSERT_FALSE(one.fits);
    d.data_parallel_size = 4;
    vidur_memory_plan(&d, 4096, &ranks);
    CU_ASSERT(ranks.fits);
    CU_ASSERT_EQUAL(ranks.kv_bytes_per_token, one.kv_bytes_per_token);
    const double experts = 62.0 * 256 * 3 * 3072 * 1536 * (1 + 4.0 / 16384);
    CU_ASSERT_DOUBLE_EQUAL(one.param_bytes - ranks.param_bytes, experts * 3 / 4, 1e6);
    /* buffers of several devices: as with TP */
    const double gib = 1073741824.0;
    CU_ASSERT_DOUBLE_EQUAL(
        one.available_bytes - ranks.available_bytes,
        (d.device.v1.activation_gib - d.device.v1.activation_gib_tp1) * gib, 1);
    CU_ASSERT_EQUAL(ranks.num_blocks,
                    (int64_t)floor((ranks.available_bytes - ranks.param_bytes) /
                                   (16 * ranks.kv_bytes_per_token)));
}

static void test_planner_follows_semantics(void)
{
    struct vidur_memory_plan exact, vidur, chosen;
    struct vidur_deployment large = load("meta-llama/Llama-2-70b-hf", "a100", 4, 2);
    vidur_memory_plan(&large, 4096, &exact);
    large.semantics = VIDUR_SEMANTICS_VIDUR;
    vidur_memory_plan(&large, 4096, &vidur);
    CU_ASSERT(vidur.request_slots < exact.request_slots);
    large.memory_planner = VIDUR_PLANNER_EXACT;
    vidur_memory_plan(&large, 4096, &chosen);
    CU_ASSERT_EQUAL(chosen.num_blocks, exact.num_blocks);
}

static void test_infeasible(void)
{
    struct vidur_memory_plan plan;
    struct vidur_deployment large = load("meta-llama/Llama-2-70b-hf", "a100", 1, 1);
    large.scheduler.num_blocks = 100;
    vidur_memory_plan(&large, 4096, &plan);
    CU_ASSERT_FALSE(plan.fits);
    CU_ASSERT_EQUAL(plan.num_blocks, 0);
    CU_ASSERT_EQUAL(plan.max_batch_size, 0);
}

static void test_given_blocks(void)
{
    struct vidur_memory_plan plan;
    struct vidur_deployment small = load("Qwen/Qwen-2-7B", "a30", 1, 1);
    small.scheduler.num_blocks = 1200;
    small.scheduler.batch_size_cap = 7;
    vidur_memory_plan(&small, 4096, &plan);
    CU_ASSERT_EQUAL(plan.num_blocks, 1200);
    CU_ASSERT_EQUAL(plan.max_batch_size, 7);
    /* Sequences shorter than a block still take one. */
    small.scheduler.num_blocks = 0;
    vidur_memory_plan(&small, 8, &plan);
    CU_ASSERT(plan.fits);
    CU_ASSERT(plan.num_blocks >= plan.request_slots);
}

/* ENGINE.md section 2: floor((0.9 * 79.1 GiB - weights / TP - a) / (16 * KV bytes of a
 * token)). */
static void test_engine(void)
{
    static const struct {
        const char *model;
        int tp;
        double parameters, kv_bytes, activation_gib;
    } rows[] = {{"meta-llama/Llama-2-7b-hf", 1, 6738149376, 524288, 0.35},
                {"meta-llama/Llama-2-70b-hf", 4, 68975329280, 81920, 1.2}};
    for (int i = 0; i < 2; i++) {
        const double gib = 1073741824;
        struct vidur_memory_plan plan;
        struct vidur_deployment d = load(rows[i].model, "h100", rows[i].tp, 1);
        strcpy(d.scheduler.type, "vllm_v1");
        vidur_memory_plan(&d, 4096, &plan);
        const double expected = floor(((0.9 * 79.1 - rows[i].activation_gib) * gib -
                                       2 * rows[i].parameters / rows[i].tp) /
                                      (16 * rows[i].kv_bytes));
        CU_ASSERT_EQUAL(plan.kv_bytes_per_token, rows[i].kv_bytes);
        CU_ASSERT_EQUAL((double)plan.num_blocks, expected);
        CU_ASSERT_TRUE(plan.fits);
    }
}

/* The deployment's choice, except where the scheduler brings its own rule. */
static void test_names(void)
{
    struct vidur_deployment d = load("meta-llama/Llama-2-7b-hf", "h100", 1, 1);
    CU_ASSERT_STRING_EQUAL(vidur_memory_planner_name(&d), "exact");
    d.semantics = VIDUR_SEMANTICS_VIDUR;
    CU_ASSERT_STRING_EQUAL(vidur_memory_planner_name(&d), "vidur");
    d.memory_planner = VIDUR_PLANNER_EXACT;
    CU_ASSERT_STRING_EQUAL(vidur_memory_planner_name(&d), "exact");
    strcpy(d.scheduler.type, "vllm_v1");
    CU_ASSERT_STRING_EQUAL(vidur_memory_planner_name(&d), "vllm_v1");
}

VIDUR_TEST_MAIN("memory plan", {"the reference's numbers", test_vidur},
                {"the V1 engine", test_engine}, {"exact", test_exact},
                {"ranks", test_ranks},
                {"planner follows semantics", test_planner_follows_semantics},
                {"infeasible", test_infeasible}, {"given blocks", test_given_blocks},
                {"names", test_names})
