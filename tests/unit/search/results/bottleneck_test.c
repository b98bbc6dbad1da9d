#include "test.h"

#include <vidur/ranking.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A candidate that nothing limits but the throughput of prefills. */
static struct vidur_ranking_row base_row(void)
{
    struct vidur_ranking_row row;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    vidur_row_clear(columns, count, &row);
    snprintf(row.status, sizeof row.status, "ok");
    snprintf(row.limiting_slo, sizeof row.limiting_slo, "ttft_p90");
    snprintf(row.network_device, sizeof row.network_device, "a100_dgx");
    snprintf(row.device, sizeof row.device, "a100");
    row.tensor_parallel_size = 4;
    row.num_pipeline_stages = 1;
    row.batch_size = 64;
    row.ttft_p90_s = 1.9;
    row.tbt_p50_s = 0.03;
    row.tbt_p99_s = 0.04;
    row.mfu = 45;
    row.memory_usage = 50;
    row.busy = 92;
    row.mean_batch_size = 20;
    row.prefill_token_fraction = 0.8;
    row.communication_time_fraction = 0.1;
    row.pipeline_idle_fraction = 0;
    row.full_batch_fraction = 0.01;
    row.blocked_on_memory_fraction = 0;
    return row;
}

static void check(struct vidur_ranking_row *row, const char *name, const char *number,
                  const char *knob)
{
    vidur_find_bottleneck(row);
    CU_ASSERT_STRING_EQUAL(row->bottleneck, name);
    if (!strstr(row->bottleneck_detail, number) ||
        !strstr(row->bottleneck_detail, knob))
        CU_FAIL(row->bottleneck_detail);
    CU_ASSERT_TRUE(strlen(row->bottleneck_detail) < sizeof row->bottleneck_detail - 1);
}

static void limit(struct vidur_ranking_row *row, const char *slo)
{
    snprintf(row->limiting_slo, sizeof row->limiting_slo, "%s", slo);
}

static void test_each_rule(void)
{
    struct vidur_ranking_row row = base_row();
    row.blocked_on_memory_fraction = 0.34;
    row.memory_usage = 96;
    row.preemptions = 120;
    check(&row, "memory", "34 %", "raise TP or PP");

    row = base_row();
    row.full_batch_fraction = 0.81;
    check(&row, "batch size", "81 %", "raise batch_size to 128");

    row = base_row();
    check(&row, "prefill throughput", "80 %", ": raise TP, or take a device");
    row.chunk_size = 512;
    check(&row, "prefill throughput", "1.90 s", ": raise TP or chunk_size, or take a");

    row = base_row();
    row.num_pipeline_stages = 4;
    row.pipeline_idle_fraction = 0.42;
    check(&row, "pipeline bubbles", "42 %", "fewer stages");

    row = base_row();
    limit(&row, "tbt_p99");
    row.tbt_p99_s = 0.19;
    check(&row, "TBT by large prefills", "6.3 times", "sarathi");
    row.chunk_size = 2048;
    check(&row, "chunk size too large", "190 ms", "try chunk_size 1024");
    row.chunk_size = 0;
    row.max_num_batched_tokens = 8192;
    check(&row, "chunk size too large", "190 ms", "try max_num_batched_tokens 4096");

    row = base_row();
    row.communication_time_fraction = 0.38;
    check(&row, "communication", "38 %", "lower TP");

    row = base_row();
    limit(&row, "tbt_p99");
    check(&row, "decode throughput", "30 ms", "raise TP");
    limit(&row, "tpot_p99");
    check(&row, "decode throughput", "30 ms", "bandwidth");

    row = base_row();
    row.prefill_token_fraction = 0.3;
    check(&row, "decode throughput", "70 %", "raise batch_size");
}

static void test_strongest_rule(void)
{
    struct vidur_ranking_row row = base_row();
    row.full_batch_fraction = 0.9;         /* 3 times its threshold */
    row.blocked_on_memory_fraction = 0.15; /* 1.5 times */
    check(&row, "batch size", "90 %", "");
    row.blocked_on_memory_fraction = 0.5; /* 5 times */
    check(&row, "memory", "50 %", "");
    /* a gap between tokens that breaks is not the fault of the batch's cap */
    row = base_row();
    limit(&row, "tbt_p99");
    row.full_batch_fraction = 0.9;
    row.tbt_p99_s = 0.09;
    check(&row, "TBT by large prefills", "3.0 times", "chunks prefills");
    /* exactly at a threshold counts */
    row = base_row();
    row.communication_time_fraction = 0.30;
    check(&row, "communication", "30 %", "");
}

static void test_other_statuses(void)
{
    struct vidur_ranking_row row = base_row();
    snprintf(row.status, sizeof row.status, "infeasible_memory");
    check(&row, "memory", "4 x a100", "more memory");
    snprintf(row.status, sizeof row.status, "slo_unreachable");
    limit(&row, "tbt_p99");
    check(&row, "latency without load", "tbt_p99", "lower chunk_size");
    limit(&row, "ttft_p90");
    check(&row, "latency without load", "ttft_p90", "FLOP/s");
    row.max_num_batched_tokens = 8192;
    check(&row, "latency without load", "ttft_p90", "TP or max_num_batched_tokens,");
    row.max_num_batched_tokens = 0;
    snprintf(row.status, sizeof row.status, "failed");
    check(&row, "", "", "");
    snprintf(row.status, sizeof row.status, "invalid");
    check(&row, "", "", "");
    CU_ASSERT_STRING_EQUAL(row.bottleneck_detail, "");
}

static void test_no_limit(void)
{
    struct vidur_ranking_row row = base_row();
    limit(&row, "");
    check(&row, "workload", "no load", "raise num_requests");
}

static void test_unknown_metrics(void)
{
    struct vidur_ranking_row row;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    vidur_row_clear(columns, count, &row);
    snprintf(row.status, sizeof row.status, "ok");
    limit(&row, "ttft_p90");
    check(&row, "not known", "", "");
    /* a median of 0 gives no ratio; it must not win with infinity over a real cause */
    row = base_row();
    limit(&row, "tbt_p99");
    row.tbt_p50_s = NAN;
    row.communication_time_fraction = 0.5;
    check(&row, "communication", "50 %", "");
}

/* SLOs of classes, and what joint ones say is missed. */
static void test_names_of_slos(void)
{
    static const struct {
        const char *slo;
        bool by_gap;
    } cases[] = {{"tpot_p95", true},
                 {"rag_tpot_p95", true},
                 {"rag_ttft_p95", false},
                 {"tpot_ttft_p95", false}, /* a class called tpot */
                 {"goodput_ttft_tpot_p95 (tpot)", true},
                 {"goodput_ttft_tpot_p95 (ttft)", false},
                 {"rag_goodput_tpot_p99 (tpot)", true},
                 {"goodput_ttft_delay_p95 (delay)", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_ranking_row row = base_row();
        limit(&row, cases[i].slo);
        check(&row, cases[i].by_gap ? "decode throughput" : "prefill throughput", "",
              "");
    }
}

VIDUR_TEST_MAIN("bottleneck", {"each rule, its numbers and its knob", test_each_rule},
                {"the strongest rule wins", test_strongest_rule},
                {"names of SLOs", test_names_of_slos},
                {"candidates that are not ok", test_other_statuses},
                {"a workload that nothing limits", test_no_limit},
                {"metrics that are not known", test_unknown_metrics})
