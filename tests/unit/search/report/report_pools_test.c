#include "report/report_pools.h"

#include "example_row.h"
#include "report/launch.h"
#include "report/report_format.h"
#include "test.h"

#include <vidur/ranking.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_fact(struct vidur_results *results, const char *section,
                     const char *name, const char *key, const char *value)
{
    CU_ASSERT_EQUAL_FATAL(
        vidur_results_add_fact(results, (struct vidur_fact){section, name, key, value},
                               NULL),
        0);
}

/* 2 replicas of the example's layout beside 3 of another. */
static struct vidur_ranking_row mixed_row(void)
{
    struct vidur_ranking_row row = example_row();
    snprintf(row.scheduler, sizeof row.scheduler, "vllm_v1");
    snprintf(row.scheduler_label, sizeof row.scheduler_label, "vllm_v1");
    snprintf(row.pools, sizeof row.pools, "2 x TP4 a100 + 3 x TP1 l40s");
    snprintf(row.second_device, sizeof row.second_device, "l40s");
    snprintf(row.second_network_device, sizeof row.second_network_device, "l40s_pcie");
    row.num_replicas = 1;
    row.num_gpus = 19;
    row.max_num_seqs = 128;
    row.max_num_batched_tokens = 4096;
    row.gpu_memory_utilization = 0.9;
    row.first_replicas = 2;
    row.second_replicas = 3;
    row.first_replica_qps = 4.25;
    row.second_replica_qps = 1.5;
    row.second_tensor_parallel_size = 1;
    row.second_data_parallel_size = 1;
    row.second_num_pipeline_stages = 1;
    row.second_batch_size = 32;
    row.second_max_num_batched_tokens = 2048;
    return row;
}

static void test_second_pool(void)
{
    struct vidur_ranking_row row = mixed_row();
    char text[VIDUR_TABLE_CELL];
    CU_ASSERT_TRUE(vidur_row_is_mixed(&row));
    CU_ASSERT_EQUAL(vidur_row_second(&row).of_first, 2);
    CU_ASSERT_EQUAL(vidur_row_second(&row).num_replicas, 3);
    CU_ASSERT_STRING_EQUAL(vidur_row_second(&row).device, "l40s");
    CU_ASSERT_STRING_EQUAL(vidur_number_tp(&row).text, "4+1");
    vidur_format_configuration(&row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text,
                           "2 x TP4 a100 + 3 x TP1 l40s, vllm_v1, batch 64 and 32");
    row.second_replicas = 0; /* one that prefills, and one that decodes */
    row.prefill_replicas = 5;
    row.decode_replicas = 6;
    row.decode_tensor_parallel_size = 8;
    CU_ASSERT_FALSE(vidur_row_is_mixed(&row));
    CU_ASSERT_EQUAL(vidur_row_second(&row).of_first, 5);
    CU_ASSERT_EQUAL(vidur_row_second(&row).num_replicas, 6);
    CU_ASSERT_STRING_EQUAL(vidur_number_tp(&row).text, "4+8");
    row = example_row();
    CU_ASSERT_FALSE(vidur_row_has_pools(&row));
}

static void test_launch_lines(void)
{
    struct vidur_results results = {0};
    struct vidur_ranking_row row = mixed_row();
    struct vidur_launch launch;
    vidur_launch_line(&results, &row, &launch);
    const char *second = strchr(launch.command, '\n');
    CU_ASSERT_PTR_NOT_NULL_FATAL(second);
    assert_contains(launch.command, "vllm serve llama --tensor-parallel-size 4");
    assert_contains(launch.command, "--max-num-seqs 128");
    assert_contains(second, "--tensor-parallel-size 1 --pipeline-parallel-size 1");
    assert_contains(second, "--max-num-seqs 32");
    assert_contains(second, "--max-num-batched-tokens 2048");
    CU_ASSERT_PTR_NULL(strstr(launch.command, "kv-transfer"));
    assert_contains(launch.notes,
                    "on a100_dgx (2), the second for each on l40s_pcie (3)");
    assert_contains(launch.notes,
                    "a round-robin load balancer before them gives each of the "
                    "former 4.25 and each of the latter 1.5 parts");
}

/* The terminal has a line for each. */
static void test_launch_in_the_terminal(void)
{
    struct vidur_ranking_row row = mixed_row();
    struct vidur_results one = {.ranking = &row, .num_ranking = 1, .config_text = ""};
    char text[16384] = "";
    FILE *out = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    row.rank = 1;
    row.added_gpus = NAN;
    CU_ASSERT_EQUAL_FATAL(vidur_report_answer(out, &one, NULL, NULL), 0);
    rewind(out);
    CU_ASSERT(fread(text, 1, sizeof text - 1, out) > 0);
    fclose(out);
    assert_contains(text, "  Launch    vllm serve llama");
    assert_contains(text, "\n            vllm serve llama");
    CU_ASSERT_PTR_NULL(strstr(text, "\\nvllm"));
    CU_ASSERT_PTR_NULL(strstr(text, "You have"));
}

/* ---- GPUs that are there ---- */

/* Rows as a search leaves them: what they add, and what they serve. */
static struct vidur_results results;

static void make(const double added[][3], int count, double target_qps)
{
    results = (struct vidur_results){.num_ranking = count};
    results.ranking = calloc((size_t)count, sizeof *results.ranking);
    results.config_text = calloc(1, 1);
    CU_ASSERT_FATAL(results.ranking && results.config_text);
    for (int i = 0; i < count; i++) {
        struct vidur_ranking_row *row = &results.ranking[i];
        *row = example_row();
        snprintf(row->candidate_id, sizeof row->candidate_id, "%d", i);
        row->added_gpus = added[i][0];
        row->added_usd_per_hour = added[i][1];
        row->max_qps = added[i][2];
        row->target_qps = target_qps;
        if (added[i][0] > 0)
            snprintf(row->added, sizeof row->added, "%g x l40s", added[i][0]);
    }
    add_fact(&results, "have", "0", "device", "a100");
    add_fact(&results, "have", "0", "num_gpus", "16");
    add_fact(&results, "have", "1", "network_device", "l40s_pcie");
    add_fact(&results, "have", "1", "num_gpus", "2");
    CU_ASSERT_EQUAL_FATAL(vidur_rank(results.ranking, count, NULL), 0);
}

static void expect(const char *text)
{
    struct vidur_report_model model;
    char added[512];
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    vidur_format_added(&model, &model.groups[0], added, sizeof added);
    CU_ASSERT_STRING_EQUAL(added, text);
    if (strcmp(added, text) != 0)
        printf("\n  %s", added);
    vidur_report_model_release(&model);
    vidur_results_destroy(&results);
}

#define HAVE "You have 16 x a100, 2 x l40s_pcie"

static void test_sentences(void)
{
    const double usual[][3] = {{8, 8, 55}, {0, 0, 50}, {4, 4, 53.5}, {0, 0, 10}};
    make(usual, 4, NAN);
    CU_ASSERT_STRING_EQUAL(results.ranking[0].candidate_id, "2");
    expect(HAVE ": 50.0 QPS at most. Add 4 x l40s: +3.50 QPS for $4.00 an hour (0.875 "
                "QPS per added dollar)");
    const double worse[][3] = {{8, 8, 49}, {0, 0, 50}};
    make(worse, 2, NAN);
    expect(HAVE ": 50.0 QPS at most. No addition that was tried serves more");
    const double alone[][3] = {{8, 8, 48}};
    make(alone, 1, NAN);
    expect(HAVE ", which serves this at no load within the SLOs. Add 8 x l40s: +48.0 "
                "QPS for $8.00 an hour (6.00 QPS per added dollar)");
    const double unpriced[][3] = {{8, NAN, 48}};
    make(unpriced, 1, NAN);
    expect(HAVE ", which serves this at no load within the SLOs. Add 8 x l40s: +48.0 "
                "QPS, which has no price");
    const double target[][3] = {{8, 8, 60}, {4, 4, 60}};
    make(target, 2, 60);
    expect(HAVE ". Add 4 x l40s for $4.00 an hour: the cheapest addition that carries "
                "60.0 QPS");
    const double enough[][3] = {{4, 4, 60}, {0, 0, 60}};
    make(enough, 2, 60);
    expect(HAVE ", which carries 60.0 QPS: add nothing");
    const double nothing[][3] = {{NAN, NAN, 60}};
    make(nothing, 1, NAN);
    expect("");
}

VIDUR_TEST_MAIN("reports of two pools, and of GPUs that are there",
                {"the second pool", test_second_pool},
                {"launch lines", test_launch_lines},
                {"launch lines in the terminal", test_launch_in_the_terminal},
                {"sentences", test_sentences})
