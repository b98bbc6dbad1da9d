#include "report/report_model.h"

#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct vidur_ranking_row example_row(void)
{
    struct vidur_ranking_row row;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    vidur_row_clear(columns, count, &row);
    snprintf(row.model, sizeof row.model, "llama");
    snprintf(row.trace, sizeof row.trace, "chat");
    snprintf(row.scheduler, sizeof row.scheduler, "vllm_v1");
    snprintf(row.status, sizeof row.status, VIDUR_STATUS_OK);
    row.tensor_parallel_size = 4;
    row.batch_size = 64;
    row.num_gpus = 16;
    row.num_replicas = 4;
    row.max_qps = 8;
    row.usd_per_hour = 32;
    row.qps_per_dollar = 0.25;
    return row;
}

/* All knobs count, but what follows from the workload only where it was given. */
static void test_same_configuration(void)
{
    struct vidur_ranking_row a = example_row(), b;
    snprintf(a.scheduler_label, sizeof a.scheduler_label, "vllm_v1");
    a.gpu_memory_utilization = 0.9;
    a.watermark_blocks_fraction = 0;
    b = a;
    b.num_blocks++;
    b.max_tokens_in_batch++;
    CU_ASSERT_TRUE(vidur_same_configuration(&a, &b));
    b.gpu_memory_utilization = a.gpu_memory_utilization + 0.05;
    CU_ASSERT_FALSE(vidur_same_configuration(&a, &b));
    b = a; /* an older file has no host memory, which was there not used */
    a.kv_offload_gib_per_gpu = NAN;
    b.kv_offload_gib_per_gpu = 0;
    CU_ASSERT_TRUE(vidur_same_configuration(&a, &b));
    b.kv_offload_gib_per_gpu = 64;
    CU_ASSERT_FALSE(vidur_same_configuration(&a, &b));
    b = a;
    b.prefix_caching = !a.prefix_caching;
    CU_ASSERT_FALSE(vidur_same_configuration(&a, &b));
    b = a;
    snprintf(b.scheduler_label, sizeof b.scheduler_label, "vllm_v1 prefix_caching=1");
    CU_ASSERT_TRUE(vidur_same_configuration(&a, &b)); /* as another search names it */
    snprintf(b.scheduler_label, sizeof b.scheduler_label, "vllm_v1 num_blocks=100");
    CU_ASSERT_FALSE(vidur_same_configuration(&a, &b));
    a = b;
    snprintf(b.scheduler_label, sizeof b.scheduler_label, "vllm_v1 num_blocks=1000");
    CU_ASSERT_FALSE(vidur_same_configuration(&a, &b));
    a.gpu_memory_utilization = b.gpu_memory_utilization = NAN; /* an older file */
    CU_ASSERT_FALSE(vidur_same_configuration(&a, &b));
    CU_ASSERT_TRUE(vidur_same_configuration(&a, &a));
}

/* What differs in a batch cap alone, and serves as much, is no second choice. */
static void test_second_choice(void)
{
    struct vidur_ranking_row rows[4];
    struct vidur_results results = {.ranking = rows, .num_ranking = 4};
    struct vidur_report_model model;
    for (int i = 0; i < 4; i++) {
        rows[i] = example_row();
        rows[i].rank = i + 1;
    }
    rows[1].batch_size = rows[1].batch_size_cap = 256;
    rows[1].qps_per_dollar *= 0.9999;
    rows[2].tensor_parallel_size = 2; /* as good, and another choice */
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    CU_ASSERT_EQUAL(model.groups[0].second->rank, 3);
    vidur_report_model_release(&model);
    rows[1].qps_per_dollar *= 0.9; /* the cap matters */
    CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, NULL, NULL), 0);
    CU_ASSERT_EQUAL(model.groups[0].second->rank, 2);
    vidur_report_model_release(&model);
}

VIDUR_TEST_MAIN("model of a report", {"same configuration", test_same_configuration},
                {"second choice", test_second_choice})
