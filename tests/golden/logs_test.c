#include "test.h"

#include "load/prompt_tree.h"
#include "load/trace_format.h"
#include "replica/block_store.h"
#include "tell/prefix_hits.h"

#include <stdio.h>
#include <stdlib.h>
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
                                            VIDUR_TRACE_BLOCKS | VIDUR_TRACE_MAY_LACK,
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

/* The simulator's store, which takes the prompts one by one: a token more than its
 * blocks hold, so that each of them can be found. */
static double store_rate(int32_t capacity)
{
    enum { TOKENS = 512 };
    struct vidur_arena arena = {0};
    struct vidur_prompt_tree tree = {0};
    const int64_t count = trace.num_rows;
    int32_t *prefill = malloc((size_t)count * sizeof *prefill);
    int64_t hits = 0;
    int32_t most = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(prefill);
    for (int64_t i = 0; i < count; i++) {
        prefill[i] =
            (int32_t)(trace.first_block[i + 1] - trace.first_block[i]) * TOKENS + 1;
        most = prefill[i] > most ? prefill[i] : most;
    }
    CU_ASSERT_EQUAL_FATAL(
        vidur_prompt_tree_build(&tree, trace.first_block, trace.blocks, count, NULL),
        0);
    const struct vidur_workload workload = {.num_requests = count,
                                            .max_tokens = most,
                                            .num_prefill_tokens = prefill,
                                            .prompts =
                                                vidur_prompt_tree_view(&tree, TOKENS)};
    const struct vidur_block_store_sizes sizes = {.num_blocks = capacity,
                                                  .num_slots = 1,
                                                  .block_size = TOKENS,
                                                  .max_tokens = most};
    CU_ASSERT_EQUAL_FATAL(
        vidur_arena_reserve(&arena, vidur_block_store_bytes(&sizes, count), NULL), 0);
    struct vidur_block_store *store = vidur_block_store_new(&arena, &sizes, &workload);
    for (int64_t i = 0; i < count; i++) {
        hits += vidur_block_store_admit(store, (int32_t)i, prefill[i]);
        vidur_block_store_release(store, (int32_t)i, prefill[i] / TOKENS + 1,
                                  prefill[i]);
    }
    vidur_arena_fini(&arena);
    vidur_prompt_tree_free(&tree);
    free(prefill);
    return (double)hits / (double)trace.first_block[count];
}

/* Two kinds of least recently used: the engine forgets a prompt's last blocks first,
 * and holds one that is never found beside each prompt's. */
static void assert_store(int32_t capacity, double wanted)
{
    CU_ASSERT_DOUBLE_EQUAL(store_rate(capacity), wanted, 0.00005);
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
    assert_store(300000, 0.3664);
    assert_store(20000, 0.2834);
    assert_store(1000, 0.0444);
    vidur_trace_close(&trace);
    read_log("formats/mooncake_synthetic.jsonl.gz");
    CU_ASSERT_EQUAL(trace.num_rows, 3993);
    assert_rate(0, 0.6396);
    assert_rate(20000, 0.5715);
    assert_rate(1000, 0.0825);
    assert_store(300000, 0.6396);
    assert_store(20000, 0.5620);
    assert_store(1000, 0.0824);
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
