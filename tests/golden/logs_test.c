#include "test.h"

#include "load/prefix_hits.h"
#include "load/trace_format.h"

#include <stdio.h>
#include <unistd.h>

/* Published logs: how many requests, and the prefix hit rates of stores of blocks,
 * which a program of other makers counts alike. */

static struct vidur_trace trace;
static struct vidur_error err;

static void read_log(const char *name)
{
    const struct vidur_trace_options options = {0};
    const char *folder = vidur_test_shared_dir();
    char path[1024];
    snprintf(path, sizeof path, "%s/traces/%s", folder ? folder : "", name);
    if (!folder || access(path, R_OK) != 0)
        vidur_test_skip_golden();
    const int status = vidur_trace_open(&trace, path, &options,
                                        VIDUR_TRACE_LENGTHS | VIDUR_TRACE_TIMES |
                                            VIDUR_TRACE_BLOCKS | VIDUR_TRACE_ALL,
                                        &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

static void assert_rate(int64_t capacity, double wanted)
{
    struct vidur_prefix_hits hits;
    CU_ASSERT_EQUAL_FATAL(vidur_prefix_hits_of(&trace, capacity, &hits, &err), 0);
    CU_ASSERT_DOUBLE_EQUAL((double)hits.hits / (double)hits.blocks, wanted, 0.00005);
}

static void test_mooncake(void)
{
    read_log("formats/mooncake_conversation.jsonl.gz");
    CU_ASSERT_STRING_EQUAL(trace.format->name, "mooncake");
    CU_ASSERT_EQUAL(trace.num_rows, 12031);
    CU_ASSERT_EQUAL(trace.time_s[12030], 3536.999);
    assert_rate(0, 0.3664);
    assert_rate(20000, 0.2875);
    assert_rate(1000, 0.0445);
    vidur_trace_close(&trace);
    read_log("formats/mooncake_synthetic.jsonl.gz");
    CU_ASSERT_EQUAL(trace.num_rows, 3993);
    assert_rate(0, 0.6396);
    assert_rate(20000, 0.5715);
    assert_rate(1000, 0.0825);
    vidur_trace_close(&trace);
}

/* The excerpt of the published file and the same requests as the reference's processed
 * trace has them. */
static void test_azure(void)
{
    read_log("formats/azure_2023_conv.csv");
    CU_ASSERT_STRING_EQUAL(trace.format->name, "azure");
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 3000);
    const struct vidur_trace azure = trace;
    trace = (struct vidur_trace){0};
    read_log("splitwise_conv.csv");
    CU_ASSERT_STRING_EQUAL(trace.format->name, "vidur");
    for (int64_t i = 0; i < azure.num_rows; i++) {
        CU_ASSERT_EQUAL(azure.prompt_tokens[i], trace.prompt_tokens[i]);
        CU_ASSERT_EQUAL(azure.output_tokens[i], trace.output_tokens[i]);
        CU_ASSERT_DOUBLE_EQUAL(azure.time_s[i], trace.time_s[i] - trace.time_s[0],
                               2e-6);
    }
    vidur_trace_close(&trace);
    trace = azure;
    vidur_trace_close(&trace);
}

static void test_others(void)
{
    read_log("formats/burstgpt_head.csv");
    CU_ASSERT_STRING_EQUAL(trace.format->name, "burstgpt");
    CU_ASSERT_EQUAL(trace.num_rows, 3);
    CU_ASSERT_EQUAL(trace.num_failed, 1);
    vidur_trace_close(&trace);
    read_log("formats/vllm_bench_detailed.json");
    CU_ASSERT_STRING_EQUAL(trace.format->name, "vllm_bench");
    CU_ASSERT_EQUAL(trace.num_rows, 3);
    CU_ASSERT_PTR_NULL(trace.time_s);
    vidur_trace_close(&trace);
}

VIDUR_TEST_MAIN("published logs", {"mooncake", test_mooncake}, {"azure", test_azure},
                {"others", test_others})
