#include "space_fixture.h"
#include "test.h"

#include <vidur/space.h>

#include <math.h>
#include <string.h>

#define HEAD                                                                           \
    "models: [{name: llama, identifier: meta-llama/Llama-2-7b-hf}]\n"                  \
    "traces: [{name: t, lengths: {type: fixed, prefill_tokens: 500, decode_tokens: "   \
    "50}, max_seq_len: 550, num_requests: 100}]\n"                                     \
    "schedulers: [{scheduler: vllm_v1, max_num_batched_tokens: 2048}]\n"               \
    "batch_sizes: [64]\ntp_dimensions: [2]\npp_dimensions: [1]\n"                      \
    "clusters: [{device: h100, network_device: h100_dgx, usd_per_gpu_hour: 4, "        \
    "num_gpus: 8}, {device: a100, network_device: a100_dgx, usd_per_gpu_hour: 2, "     \
    "num_gpus: 8}, {device: h100, network_device: h100_dgx, usd_per_gpu_hour: 4, "     \
    "num_gpus: 16}]\n"
#define MIXED "mixed: {pools: [{rules: [{device: h100}]}, {rules: [{device: a100}]}]}\n"

/* The candidate of one pool with so many GPUs, or the pair. */
static int64_t find(bool pair, int gpus)
{
    for (int64_t i = 0; i < space.num_candidates; i++)
        if (vidur_candidate_is_fleet(&space.candidates[i]) == pair &&
            space.candidates[i].num_gpus == gpus)
            return i;
    CU_FAIL_FATAL("no such candidate");
    return -1;
}

static void check_added(int64_t i, int first, int second, double usd)
{
    const struct vidur_added added =
        vidur_space_added(&space, i, vidur_candidate_counts(&space.candidates[i]));
    CU_ASSERT_EQUAL(added.gpus[0], first);
    CU_ASSERT_EQUAL(added.gpus[1], second);
    CU_ASSERT_EQUAL(added.usd_per_hour, usd);
}

static void test_what_is_added(void)
{
    expect_builds(HEAD MIXED);
    check_added(find(false, 16), 16, 0, 64); /* nothing is there */
    check_added(find(true, 24), 16, 8, 80);
    release();
    expect_builds(HEAD MIXED "have: [{device: h100, num_gpus: 10}]\n");
    check_added(find(false, 16), 6, 0, 24);
    check_added(find(true, 16), 0, 8, 16);
    check_added(find(true, 24), 6, 8, 24 + 16);
    release();
    /* GPUs of a node alone, and all there is */
    expect_builds(HEAD MIXED
                  "have: [{network_device: a100_dgx, num_gpus: 3}, "
                  "{device: h100, network_device: h100_dgx, num_gpus: 99}]\n");
    check_added(find(true, 24), 0, 5, 10);
    check_added(find(false, 16), 0, 0, 0);
    release();
}

/* Pools of one device share what is there. */
static void test_pools_share(void)
{
    expect_builds(HEAD "mixed: {only: true, pools: [{rules: [{device: h100, num_gpus: "
                       "8}]}, {rules: [{device: h100, num_gpus: 16}]}]}\n"
                       "have: {device: h100, num_gpus: 11}\n");
    CU_ASSERT_EQUAL_FATAL(space.num_candidates, 1);
    check_added(0, 0, 13, 52);
    release();
}

/* Simulations do not depend on it: a search may be resumed with another. */
static void test_identity(void)
{
    char with[65], whole[65];
    expect_builds(HEAD MIXED "have: [{device: h100, num_gpus: 10}]\n");
    memcpy(with, config.unpriced_sha256, sizeof with);
    memcpy(whole, config.sha256, sizeof whole);
    const uint64_t id = space.candidates[0].id;
    release();
    expect_builds(HEAD MIXED);
    CU_ASSERT_STRING_EQUAL(with, config.unpriced_sha256);
    CU_ASSERT_STRING_NOT_EQUAL(whole, config.sha256);
    CU_ASSERT_EQUAL(id, space.candidates[0].id);
    release();
}

static void expect_error(const char *text, const char *part)
{
    struct vidur_error err = {0};
    CU_ASSERT_NOT_EQUAL(build(text, &err), 0);
    assert_contains(err.text, part);
    release();
}

static void test_errors(void)
{
    expect_error(HEAD "have: [{num_gpus: 8}]\n",
                 "have.0: which GPUs? give device, network_device or both");
    expect_error(HEAD "have: [{device: h100}]\n", "have.0.num_gpus");
    expect_error(HEAD "have: [{device: h100, num_gpus: 0}]\n", "have.0.num_gpus");
    expect_error(
        HEAD "have: [{device: h200, num_gpus: 8}]\n",
        "have.0.device: 'h200' is in none of `clusters`; the nearest is 'h100'");
    expect_error(HEAD "have: [{network_device: h100_pairwise_nvlink, num_gpus: 8}]\n",
                 "have.0.network_device: 'h100_pairwise_nvlink' is in none of");
    expect_error(HEAD "have: [{device: a100, network_device: h100_dgx, num_gpus: 8}]\n",
                 "have.0: no cluster is a100 on h100_dgx");
    expect_error(HEAD "have: [{device: h100, num_gpus: 8}, {network_device: h100_dgx, "
                      "num_gpus: 2}]\n",
                 "have.1: clusters.0 (h100_dgx) is of have.0, too");
    expect_error(HEAD "have: [{device: h100, gpus: 8}]\n", "have.0.gpus");
}

VIDUR_TEST_MAIN("GPUs that are there", {"what is added", test_what_is_added},
                {"pools share", test_pools_share}, {"identity", test_identity},
                {"errors", test_errors})
