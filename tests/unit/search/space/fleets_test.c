#include "space_fixture.h"
#include "test.h"

#include <vidur/space.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

static void expect_error(const char *text, const char *part)
{
    struct vidur_error err = {0};
    CU_ASSERT_NOT_EQUAL(build(text, &err), 0);
    assert_contains(err.text, part);
    release();
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
        const struct vidur_pool_counts counts = vidur_candidate_counts(c);
        CU_ASSERT_EQUAL(counts.first, i);
        CU_ASSERT_EQUAL(counts.second, 4 - i);
        CU_ASSERT_EQUAL(c->num_gpus, 8);
        CU_ASSERT_EQUAL(vidur_candidate_gpus(c, counts), 8);
        CU_ASSERT_EQUAL(vidur_space_usd_per_hour(&space, i, counts), 16);
        CU_ASSERT_NOT_EQUAL(c->id, space.candidates[i - 1].id);
        vidur_space_fleet(&space, i, counts, &fleet);
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
    CU_ASSERT_NOT_EQUAL(c->cluster, c->second.cluster);
    CU_ASSERT_NOT_EQUAL(c->table, c->second.table);
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
        CU_ASSERT_EQUAL(pair->second.cluster, 1);
        CU_ASSERT_EQUAL(
            vidur_space_usd_per_hour(&space, i, vidur_candidate_counts(pair)),
            4 * pair->num_replicas * 2. + 4 * 3);
    }
    release();
}

/* For a target a pair is one candidate: the search finds its counts. */
static void test_target(void)
{
    expect_builds(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                          "target: {qps: 2, max_gpus: 10}\n"
                          "disaggregated: {near: 0}\n");
    CU_ASSERT_EQUAL_FATAL(space.num_candidates, 1 + 1);
    const struct vidur_pool_counts counts = vidur_candidate_counts(last());
    CU_ASSERT_EQUAL(counts.first, 1);
    CU_ASSERT_EQUAL(counts.second, 1);
    CU_ASSERT(last()->needed[0] > 0 && last()->needed[1] > 0);
    release();
    expect_error(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                         "target: {qps: 2, max_gpus: 3}\ndisaggregated: {near: 0}\n",
                 "disaggregated: no two layouts go together");
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

/* ---- Two pools of role all ---- */

#define TWO   "clusters: [" H100 "8}, " H200 "4}]\ntp_dimensions: [2, 4]\n"
#define RULES "{rules: [{device: h100}]}, {rules: [{device: h200}]"

/* Each layout of one beside each of the other, on all GPUs of both. */
static void test_mixed_pools(void)
{
    expect_builds(HEAD V1 TWO "mixed: {near: 0, pools: [" RULES "}]}\n");
    CU_ASSERT_EQUAL_FATAL(space.num_candidates, 4 + 4);
    for (int64_t i = 4; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_fleet fleet;
        CU_ASSERT_TRUE(vidur_candidate_is_mixed(c));
        CU_ASSERT_EQUAL(c->cluster, 0);
        CU_ASSERT_EQUAL(c->second.cluster, 1);
        CU_ASSERT_EQUAL(c->num_gpus, 12);
        CU_ASSERT_EQUAL(vidur_space_usd_per_hour(&space, i, vidur_candidate_counts(c)),
                        8 * 2 + 4 * 3);
        vidur_space_fleet(&space, i, vidur_candidate_counts(c), &fleet);
        CU_ASSERT_EQUAL(fleet.num_pools, 2);
        CU_ASSERT_EQUAL(fleet.pools[0].role, VIDUR_POOL_ALL);
        CU_ASSERT_EQUAL(fleet.pools[1].role, VIDUR_POOL_ALL);
        CU_ASSERT_EQUAL(vidur_fleet_num_gpus(&fleet), 12);
    }
    release();
    /* far layouts of the same GPUs are left out, never the best */
    expect_builds(HEAD V1 TWO "mixed: {near: 1, only: true, pools: [" RULES "}]}\n");
    CU_ASSERT_EQUAL(space.num_candidates, 1);
    release();
    /* any layout anywhere: a pair is no other the other way round */
    expect_builds(HEAD V1 "clusters: [" H100 "8}, " H200 "4}]\ntp_dimensions: [4]\n"
                          "mixed: {near: 0, only: true, pools: [{}, {}]}\n");
    CU_ASSERT_EQUAL(space.num_candidates, 1);
    release();
}

static void test_mixed_counts(void)
{
    /* 1, 2 and 2 replicas of TP 2; one of TP 4 (2 GPUs hold none) */
    expect_builds(HEAD V1 TWO "mixed: {near: 0, only: true, pools: [" RULES
                              ", num_gpus: [2, 4, 5]}]}\n");
    CU_ASSERT_EQUAL(space.num_candidates, 2 * (2 + 1));
    release();
    /* for a target the second pool's are found */
    expect_builds(HEAD V1 TWO "target: {qps: 2, max_gpus: 11}\n"
                              "mixed: {near: 0, only: true, pools: [" RULES
                              ", num_gpus: [2, 4]}]}\n");
    CU_ASSERT_EQUAL(space.num_candidates, 2); /* 8 + TP 4 are too many */
    for (int64_t i = 0; i < space.num_candidates; i++) {
        CU_ASSERT_EQUAL(space.candidates[i].second.num_replicas, 1);
        CU_ASSERT_EQUAL(space.candidates[i].second.tensor_parallel_size, 2);
    }
    release();
    /* beside pools that prefill and decode */
    expect_builds(HEAD V1 TWO "mixed: {near: 0, only: true, pools: [" RULES "}]}\n"
                              "disaggregated: {near: 0.9}\n");
    int mixed = 0;
    for (int64_t i = 0; i < space.num_candidates; i++)
        mixed += vidur_candidate_is_mixed(&space.candidates[i]);
    CU_ASSERT_EQUAL(mixed, 4);
    CU_ASSERT(space.num_candidates > 4);
    release();
}

static void test_mixed_errors(void)
{
    expect_error(HEAD V1 TWO "mixed: {}\n", "mixed.pools");
    expect_error(HEAD V1 TWO "mixed: {pools: [{}]}\n",
                 "mixed.pools: there are 1; a candidate has 2");
    expect_error(HEAD V1 TWO "mixed: {pools: [{}, {device: h100}]}\n",
                 "mixed.pools.1.device");
    expect_error(HEAD V1 TWO "mixed: {pools: [{}, {rules: [{device: h2000}]}]}\n",
                 "there is no device 'h2000' here; the nearest is");
    expect_error(HEAD V1 TWO "mixed: {pools: [{}, {num_gpus: [4, 9]}]}\n",
                 "mixed.pools.1.num_gpus.1: 9; the largest of `clusters` has 8");
    expect_error(HEAD V1 TWO "mixed: {pools: [{}, {}], near: 2}\n", "mixed.near");
    expect_error(HEAD V1 "clusters: [" H100 "8}]\ntp_dimensions: [2]\n"
                         "mixed: {pools: [{}, {}]}\n",
                 "mixed: each pool stands on a cluster of its own");
    expect_error(HEAD V1 TWO "mixed: {pools: [{rules: [{device: h100}]}, {rules: "
                             "[{device: h100}]}]}\n",
                 "mixed: no two layouts go together: 2 may stand in pools.0, 2 in");
    expect_error(HEAD "schedulers: [{scheduler: vllm}]\n" TWO
                      "capacity_definition: scheduling_delay\nslos: [{metric: "
                      "scheduling_delay, quantile: 0.99, limit_s: 5}]\n"
                      "mixed: {pools: [{}, {}]}\n",
                 "mixed: capacity_definition scheduling_delay is the reference's");
}

VIDUR_TEST_MAIN("fleets of a search", {"splits of a cluster", test_splits},
                {"splits near the balance", test_near}, {"mixed devices", test_mixed},
                {"pairs for a target", test_target}, {"errors", test_errors},
                {"two pools of role all", test_mixed_pools},
                {"counts of a pool", test_mixed_counts},
                {"errors of mixed pools", test_mixed_errors})
