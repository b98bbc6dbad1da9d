#include "space_fixture.h"
#include "test.h"

#include <vidur/space.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One layout, TP 2, on a cluster of so many H100s; what the third line says goes on. */
#define HEAD                                                                           \
    "models: [{name: llama, identifier: meta-llama/Llama-3.3-70B-Instruct}]\n"         \
    "precision: [fp8]\nbatch_sizes: [64]\npp_dimensions: [1]\n"                        \
    "traces: [{name: long, lengths: {type: fixed, prefill_tokens: 8000, "              \
    "decode_tokens: 1000}, max_seq_len: 9216, num_requests: 100}]\n"
#define V1   "schedulers: [{scheduler: vllm_v1, max_num_batched_tokens: 8192}]\n"
#define H100 "{device: h100, network_device: h100_dgx, usd_per_gpu_hour: 2, num_gpus: "
#define H200 "{device: h200, network_device: h200_dgx, usd_per_gpu_hour: 3, num_gpus: "

static const struct vidur_candidate *last(void)
{
    return &space.candidates[space.num_candidates - 1];
}

/* All splits of eight GPUs over replicas of two: 1 to 3, 2 to 2, 3 to 1. */
static void test_splits(void)
{
    expect_builds(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                          "disaggregated: {near: 0}\n");
    CU_ASSERT_EQUAL(space.num_candidates, 4);
    CU_ASSERT_EQUAL(space.num_splits, 3);
    CU_ASSERT_EQUAL(space.num_splits_near, 3);
    CU_ASSERT_FALSE(vidur_candidate_is_fleet(&space.candidates[0]));
    for (int i = 1; i < 4; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_fleet fleet;
        CU_ASSERT_EQUAL(c->prefill_replicas, i);
        CU_ASSERT_EQUAL(c->decode.num_replicas, 4 - i);
        CU_ASSERT_EQUAL(c->num_gpus, 8);
        CU_ASSERT_EQUAL(vidur_candidate_unit_gpus(c), 8);
        CU_ASSERT_EQUAL(vidur_space_usd_per_hour(&space, i), 16);
        CU_ASSERT_NOT_EQUAL(c->id, space.candidates[i - 1].id);
        vidur_space_fleet(&space, i, 1, &fleet);
        CU_ASSERT_EQUAL(fleet.num_pools, 2);
        CU_ASSERT_EQUAL(fleet.pools[0].role, VIDUR_POOL_PREFILL);
        CU_ASSERT_EQUAL(fleet.pools[0].deployment.num_replicas, i);
        CU_ASSERT_EQUAL(fleet.pools[1].role, VIDUR_POOL_DECODE);
        CU_ASSERT_EQUAL(fleet.pools[1].deployment.num_replicas, 4 - i);
    }
    release();
}

/* Fewer splits near the balance; the best one is always among them. */
static void test_near(void)
{
    expect_builds(HEAD V1 "clusters: [" H100 "32}]\ntp_dimensions: [2]\n"
                          "disaggregated: {near: 1}\n");
    CU_ASSERT_EQUAL(space.num_splits, 15);
    CU_ASSERT_EQUAL(space.num_splits_near, space.num_candidates - 1);
    CU_ASSERT(space.num_splits_near >= 1 && space.num_splits_near <= 2);
    release();
}

/* Every pair of layouts of both devices, with one pool beside them; or without. */
static void test_mixed(void)
{
    static const char text[] = HEAD V1 "clusters: [" H100 "8}, " H200 "4}]\n"
                                       "tp_dimensions: [4]\n";
    char more[2048];
    snprintf(more, sizeof more, "%sdisaggregated: {near: 0}\n", text);
    expect_builds(more);
    /* 2 of one pool; h100 1+1; h100 2 or 1 + h200 1 (both devices' own are spent), and
     * the other way round */
    CU_ASSERT_EQUAL(space.num_candidates, 2 + 1 + 2 + 2);
    const struct vidur_candidate *c = last();
    CU_ASSERT_NOT_EQUAL(c->cluster, c->decode.cluster);
    CU_ASSERT_NOT_EQUAL(c->table, c->decode.table);
    release();
    snprintf(more, sizeof more, "%sdisaggregated: {near: 0, mixed_devices: false}\n",
             text);
    expect_builds(more);
    CU_ASSERT_EQUAL(space.num_candidates, 2 + 1);
    release();
    snprintf(
        more, sizeof more,
        "%sdisaggregated: {near: 0, only: true, prefill: [{device: h100}], decode: "
        "[{device: h200}]}\n",
        text);
    expect_builds(more);
    CU_ASSERT_EQUAL(space.num_candidates, 2);
    for (int i = 0; i < 2; i++) {
        const struct vidur_candidate *pair = &space.candidates[i];
        CU_ASSERT_EQUAL(pair->cluster, 0);
        CU_ASSERT_EQUAL(pair->decode.cluster, 1);
        CU_ASSERT_EQUAL(vidur_space_usd_per_hour(&space, i),
                        4 * pair->prefill_replicas * 2. + 4 * 3);
    }
    release();
}

/* For a target the ratios are units, in lowest terms, within max_gpus. */
static void test_target(void)
{
    expect_builds(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                          "target: {qps: 2, max_gpus: 10}\n"
                          "disaggregated: {near: 0}\n");
    /* 1:1 1:2 1:3 1:4 2:1 2:3 3:1 3:2 4:1 */
    CU_ASSERT_EQUAL(space.num_candidates, 1 + 9);
    for (int64_t i = 1; i < space.num_candidates; i++)
        CU_ASSERT(vidur_candidate_unit_gpus(&space.candidates[i]) <= 10);
    release();
}

static void expect_error(const char *text, const char *part)
{
    struct vidur_error err = {0};
    CU_ASSERT_NOT_EQUAL(build(text, &err), 0);
    if (!strstr(err.text, part))
        printf("\n  %s", err.text);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, part));
    release();
}

static void test_errors(void)
{
    expect_error(HEAD "schedulers: [{scheduler: sarathi, chunk_size: 512}]\n"
                      "clusters: [" H100 "8}]\ntp_dimensions: [2]\ndisaggregated: {}\n",
                 "disaggregated: no two layouts go together: 0 may prefill");
    expect_error(HEAD V1 "clusters: [" H100 "2}]\ntp_dimensions: [2]\n"
                         "disaggregated: {}\n",
                 "the cluster must have devices for both");
    expect_error(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                         "disaggregated: {ratio: 2}\n",
                 "disaggregated.ratio");
    expect_error(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                         "disaggregated: {decode: [{device: h2000}]}\n",
                 "there is no device 'h2000' here; the nearest is");
    expect_error(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                         "disaggregated: {kv_transfer: {bandwidth_gb_per_s: 0}}\n",
                 "disaggregated.kv_transfer.bandwidth_gb_per_s");
    expect_error(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                         "disaggregated: {near: 2}\n",
                 "disaggregated.near");
}

VIDUR_TEST_MAIN("fleets of a search", {"splits of a cluster", test_splits},
                {"splits near the balance", test_near}, {"mixed devices", test_mixed},
                {"ratios for a target", test_target}, {"errors", test_errors})
