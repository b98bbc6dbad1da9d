#include "test.h"
#include "toy_cluster.h"

#include "base/hash.h"

#include <vidur/deployment.h>
#include <vidur/fleet.h>
#include <vidur/simulator.h>

#include <stdio.h>
#include <string.h>

static struct vidur_deployment toy(void)
{
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "sarathi");
    return deployment;
}

static void test_defaults(void)
{
    struct vidur_deployment deployment;
    vidur_deployment_defaults(&deployment);
    CU_ASSERT_EQUAL(deployment.num_replicas, 1);
    CU_ASSERT_EQUAL(deployment.memory_margin_fraction, 0.1);
    CU_ASSERT_STRING_EQUAL(deployment.router, "round_robin");
    CU_ASSERT_EQUAL(deployment.scheduler.batch_size_cap, 128);
    CU_ASSERT_EQUAL(deployment.scheduler.chunk_size, 512);
    CU_ASSERT_EQUAL(deployment.scheduler.watermark_blocks_fraction, 0.01);
}

static void experts(struct vidur_deployment *d)
{
    d->model.kinds[0].num_experts = 8;
    d->model.kinds[0].experts_per_token = 2;
    d->model.kinds[0].expert_hidden_dim = 64;
}

/* Each change, and how the message about it begins. */
#define CASES(X)                                                                       \
    X(d.num_replicas = 0, "cluster.num_replicas: 0 is below 1")                        \
    X(d.tensor_parallel_size = -1, "cluster.tensor_parallel_size: -1")                 \
    X(d.tensor_parallel_size = 3, "cluster.tensor_parallel_size: 3 does not divide 4") \
    X(d.num_pipeline_stages = 3, "cluster.num_pipeline_stages: 3 does not divide 8")   \
    X((d.node.devices_per_node = 3, d.tensor_parallel_size = 4),                       \
      "cluster.num_pipeline_stages: a replica of 4 devices")                           \
    X((d.model.max_tensor_parallel_size = 1, d.tensor_parallel_size = 2),              \
      "cluster.tensor_parallel_size: toy runs on at most 1")                           \
    X(d.data_parallel_size = 0, "cluster.data_parallel_size: 0 is below 1")            \
    X(d.data_parallel_size = 2,                                                        \
      "cluster.data_parallel_size: 2 ranks would share nothing, as toy has no ")       \
    X((experts(&d), d.data_parallel_size = 2),                                         \
      "cluster.data_parallel_size: 2; scheduler sarathi has no ranks")                 \
    X((experts(&d), strcpy(d.scheduler.type, "vllm_v1"), d.data_parallel_size = 2,     \
       d.num_pipeline_stages = 2),                                                     \
      "cluster.data_parallel_size: 2 ranks of 2 pipeline stages")                      \
    X((experts(&d), strcpy(d.scheduler.type, "vllm_v1"), d.data_parallel_size = 3,     \
       d.expert_parallel = true),                                                      \
      "cluster.tensor_parallel_size: 3 devices do not divide the 8 experts")           \
    X((experts(&d), strcpy(d.scheduler.type, "vllm_v1"), d.data_parallel_size = 4,     \
       d.node.devices_per_node = 3),                                                   \
      "cluster.data_parallel_size: a replica of 4 devices neither fits in")            \
    X(d.scheduler.kv_offload_gib_per_gpu = -1,                                         \
      "scheduler.kv_offload_gib_per_gpu: -1 is below 0")                               \
    X(d.scheduler.kv_offload_gb_per_s = -1,                                            \
      "scheduler.kv_offload_gb_per_s: -1 is below 0")                                  \
    X(d.scheduler.kv_offload_gib_per_gpu = 8,                                          \
      "scheduler.kv_offload_gib_per_gpu: 8; scheduler sarathi keeps no KV blocks in "  \
      "host memory, vllm_v1 does; set 0 or that")                                      \
    X((strcpy(d.scheduler.type, "vllm_v1"), d.scheduler.kv_offload_gib_per_gpu = 8,    \
       d.scheduler.prefix_caching = false),                                            \
      "scheduler.kv_offload_gib_per_gpu: 8 without prefix_caching")                    \
    X((strcpy(d.scheduler.type, "vllm_v1"), d.scheduler.kv_offload_gib_per_gpu = 8),   \
      "scheduler.kv_offload_gb_per_s: the spec of toy has no host_link")               \
    X(d.memory_margin_fraction = 1, "cluster.memory_margin_fraction: 1 is not")        \
    X(d.memory_margin_fraction = 0.0 / 0.0, "cluster.memory_margin_fraction:")         \
    X(d.cpu_cores = -1, "cluster.cpu_cores: -1 is below 0")                            \
    X(d.cpu_cores = 0.0 / 0.0, "cluster.cpu_cores:")                                   \
    X(d.cpu_cores = 4, "cluster.cpu_cores: 4; scheduler sarathi knows no time")        \
    X((strcpy(d.scheduler.type, "vllm_v1"), d.cpu_cores = 4,                           \
       d.num_pipeline_stages = 2),                                                     \
      "cluster.cpu_cores: 4; it is not modelled in pipelines, of 2 stages here")       \
    X(d.scheduler.block_size = 0, "scheduler.block_size: 0 is below 1")                \
    X(d.scheduler.batch_size_cap = 0, "scheduler.batch_size_cap: 0 is below 1")        \
    X((d.scheduler.batch_size_cap = 3, d.num_pipeline_stages = 4),                     \
      "scheduler.batch_size_cap: 3 requests cannot be spread")                         \
    X((strcpy(d.scheduler.type, "vllm_v1"), d.scheduler.max_num_seqs = 3,              \
       d.num_pipeline_stages = 4),                                                     \
      "scheduler.max_num_seqs: 3 requests cannot be spread")                           \
    X(d.scheduler.watermark_blocks_fraction = 1,                                       \
      "scheduler.watermark_blocks_fraction: 1 is not")                                 \
    X(d.scheduler.watermark_blocks_fraction = 0.0 / 0.0,                               \
      "scheduler.watermark_blocks_fraction:")                                          \
    X(strcpy(d.scheduler.type, "saraty"), "scheduler.type: 'saraty'")                  \
    X(strcpy(d.router, "round"), "router: 'round'")                                    \
    X(strcpy(d.scheduler.type, "lightllm"), "scheduler.block_size: lightllm")          \
    X((strcpy(d.scheduler.type, "lightllm"), d.scheduler.block_size = 1,               \
       d.num_pipeline_stages = 2),                                                     \
      "cluster.num_pipeline_stages: lightllm")

/* 10 KV heads: what engines split or repeat, and what they refuse to start with. */
static void test_kv_heads(void)
{
    static const struct {
        int heads, degree;
        bool starts;
    } cases[] = {{10, 1, true},  {10, 2, true}, {10, 4, false}, {10, 5, true},
                 {10, 8, false}, {2, 8, true},  {8, 4, true},   {1, 8, true},
                 {10, 20, true}, {5, 4, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_deployment d = toy();
        struct vidur_error err = {0};
        d.model.kinds[0].num_q_heads = 40;
        d.model.embedding_dim = 640;
        d.node.devices_per_node = 40;
        d.model.kinds[0].num_kv_heads = cases[i].heads;
        d.tensor_parallel_size = cases[i].degree;
        CU_ASSERT_EQUAL(vidur_deployment_check(&d, &err), cases[i].starts ? 0 : -1);
        if (!cases[i].starts)
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cluster.tensor_parallel_size: "));
        if (!cases[i].starts)
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "KV heads of toy"));
        d.semantics = VIDUR_SEMANTICS_VIDUR; /* the reference rounds up */
        CU_ASSERT_EQUAL(vidur_deployment_check(&d, &err), 0);
    }
}

static void check_message(const char *expected, const struct vidur_deployment *d)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_deployment_check(d, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_EQUAL(strncmp(err.text, expected, strlen(expected)), 0);
    if (strncmp(err.text, expected, strlen(expected)))
        printf("\n  expected '%s...', got '%s'", expected, err.text);
}

static void test_check(void)
{
    struct vidur_error err = {0};
    struct vidur_deployment good = toy();
    CU_ASSERT_EQUAL(vidur_deployment_check(&good, &err), 0);
#define X(change, text)                                                                \
    {                                                                                  \
        struct vidur_deployment d = toy();                                             \
        (void)(change);                                                                \
        check_message(text, &d);                                                       \
    }
    CASES(X)
#undef X
}

static uint64_t id_of(const struct vidur_deployment *deployment)
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_deployment_digest(&sha, deployment);
    return vidur_sha256_uint64(&sha);
}

/* The knob, else what the device's link reaches; off, neither tells deployments apart.
 */
static void test_host_link(void)
{
    struct vidur_error err = {0};
    struct vidur_deployment d = toy();
    const uint64_t off = id_of(&d);
    d.device.host_link = (struct vidur_host_link){64, 0.75};
    CU_ASSERT_EQUAL(vidur_deployment_host_gb_per_s(&d), 48);
    CU_ASSERT_EQUAL(id_of(&d), off);
    strcpy(d.scheduler.type, "vllm_v1");
    d.scheduler.kv_offload_gib_per_gpu = 8;
    CU_ASSERT_EQUAL(vidur_deployment_check(&d, &err), 0);
    const uint64_t on = id_of(&d);
    d.device.host_link.efficiency = 0.5;
    CU_ASSERT_NOT_EQUAL(id_of(&d), on);
    d.scheduler.kv_offload_gb_per_s = 20;
    CU_ASSERT_EQUAL(vidur_deployment_host_gb_per_s(&d), 20);
}

static void test_multi_node(void)
{
    struct vidur_deployment d = toy();
    d.tensor_parallel_size = 4;
    d.num_pipeline_stages = 2;
    CU_ASSERT_FALSE(vidur_deployment_is_multi_node(&d));
    d.node.devices_per_node = 4;
    CU_ASSERT(vidur_deployment_is_multi_node(&d));
    d.tensor_parallel_size = d.num_pipeline_stages = 1;
    d.data_parallel_size = 8;
    CU_ASSERT(vidur_deployment_is_multi_node(&d));
    CU_ASSERT_EQUAL(vidur_deployment_devices(&d), 8);
}

/* Ranks hand nothing over: pools with roles are refused, equal pools are not. */
static void test_ranks_in_pools(void)
{
    static struct vidur_fleet fleet;
    struct vidur_error err = {0};
    struct vidur_deployment d = toy();
    experts(&d);
    strcpy(d.scheduler.type, "vllm_v1");
    vidur_fleet_of(&fleet, &d);
    fleet.num_pools = 2;
    fleet.pools[1] = fleet.pools[0];
    fleet.pools[1].deployment.data_parallel_size = 2;
    CU_ASSERT_EQUAL(vidur_fleet_check(&fleet, &err), 0);
    CU_ASSERT_EQUAL(vidur_fleet_num_gpus(&fleet), 3);
    fleet.pools[0].role = VIDUR_POOL_PREFILL;
    fleet.pools[1].role = VIDUR_POOL_DECODE;
    CU_ASSERT_EQUAL(vidur_fleet_check(&fleet, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "pools.1.data_parallel_size: 2; ranks in data parallel hand"));
}

/* Ids of one rank, first come first served, are what they were before there were ranks
 * and priorities. */
static void test_ids_of_ranks(void)
{
    struct vidur_deployment d = toy();
    struct vidur_sha256 sha;
    const uint64_t one = id_of(&d);
    vidur_sha256_init(&sha);
    vidur_model_digest(&sha, &d.model);
    vidur_device_digest(&sha, &d.device);
    vidur_node_digest(&sha, &d.node);
    for (int i = 0; i < 3; i++) /* replicas, TP, PP; expert_parallel */
        vidur_sha256_add_int64(&sha, 1);
    vidur_sha256_add_int64(&sha, 0);
    vidur_sha256_add_double(&sha, d.memory_margin_fraction);
    vidur_sha256_add_int64(&sha, d.memory_planner);
    vidur_sha256_add_int64(&sha, d.semantics);
    vidur_sha256_add_string(&sha, d.router);
    vidur_sha256_add_string(&sha, d.scheduler.type);
#define X(type, name, def, min)                                                        \
    if (VIDUR_KNOB_##name < VIDUR_KNOB_scheduling_policy)                              \
        vidur_sha256_add_double(&sha, (double)d.scheduler.name);
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
    CU_ASSERT_EQUAL(vidur_sha256_uint64(&sha), one);
    d.data_parallel_size = 2;
    CU_ASSERT_NOT_EQUAL(id_of(&d), one);
}

/* Stable over copies and order of setting; different for every difference. */
static void test_id(void)
{
    struct vidur_deployment a = toy(), b = toy();
    const uint64_t id = id_of(&a);
    memset(a.router + strlen(a.router) + 1, 'x', 3); /* behind the text */
    CU_ASSERT_EQUAL(id_of(&a), id);
    b.num_replicas = 2;
    CU_ASSERT_NOT_EQUAL(id_of(&b), id);
    b = toy();
    b.scheduler.chunk_size++;
    CU_ASSERT_NOT_EQUAL(id_of(&b), id);
    b = toy();
    b.memory_margin_fraction += 1e-12;
    CU_ASSERT_NOT_EQUAL(id_of(&b), id);
    b = toy();
    strcpy(b.node.name, "other");
    CU_ASSERT_NOT_EQUAL(id_of(&b), id);
}

static void test_table_limits(void)
{
    struct vidur_timetable_request request;
    struct vidur_deployment d = toy();
    d.scheduler.chunk_size = 100;
    vidur_deployment_table_limits(&d, 1000, &request);
    CU_ASSERT_EQUAL(request.max_tokens, 128); /* decodes alone can exceed a chunk */
    CU_ASSERT_EQUAL(request.max_kv_tokens, 1024);
    CU_ASSERT_FALSE(request.pipeline);
    d.scheduler.chunk_size = 500;
    d.num_pipeline_stages = 2;
    vidur_deployment_table_limits(&d, 1000, &request);
    CU_ASSERT_EQUAL(request.max_tokens, 504); /* rounded up to a multiple of 8 */
    CU_ASSERT(request.pipeline);
    strcpy(d.scheduler.type, "vllm");
    vidur_deployment_table_limits(&d, 1000, &request);
    CU_ASSERT_EQUAL(request.max_tokens, 4096);
    CU_ASSERT_EQUAL(request.max_chunk_tokens, 2024); /* root of 4096 * 1000 */
    strcpy(d.scheduler.type, "orca");
    d.scheduler.batch_size_cap = 10;
    vidur_deployment_table_limits(&d, 1000, &request);
    CU_ASSERT_EQUAL(request.max_tokens, 10000);
    CU_ASSERT_EQUAL(request.max_batch_size, 10);
    CU_ASSERT_EQUAL(request.max_chunk_tokens, 3163); /* ten prompts of 1000 */
}

VIDUR_TEST_MAIN("deployment", {"defaults", test_defaults}, {"KV heads", test_kv_heads},
                {"check", test_check}, {"host link", test_host_link},
                {"multi-node", test_multi_node}, {"id", test_id},
                {"ids of ranks", test_ids_of_ranks},
                {"ranks in pools", test_ranks_in_pools},
                {"table limits", test_table_limits})
