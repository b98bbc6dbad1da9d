#include "example_row.h"
#include "report/launch.h"
#include "results/columns.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static void set_served(struct vidur_ranking_row *row, const char *precision,
                       const char *kv_cache_dtype, const char *checkpoint)
{
    snprintf(row->precision, sizeof row->precision, "%s", precision);
    snprintf(row->kv_cache_dtype, sizeof row->kv_cache_dtype, "%s", kv_cache_dtype);
    snprintf(row->checkpoint, sizeof row->checkpoint, "%s", checkpoint);
}

/* ---- launch lines ---- */

static void test_launch(void)
{
    struct vidur_results results = {0};
    struct vidur_ranking_row row = example_row();
    struct vidur_launch launch;
    vidur_results_add_fact(
        &results, (struct vidur_fact){"model", "llama", "identifier", "meta/Llama"},
        NULL);
    vidur_results_add_fact(
        &results, (struct vidur_fact){"trace", "chat", "max_tokens", "4096"}, NULL);
    vidur_results_add_fact(
        &results, (struct vidur_fact){"node", "a100_dgx", "devices_per_node", "4"},
        NULL);
    vidur_launch_line(&results, &row, &launch);
    CU_ASSERT_STRING_EQUAL(
        launch.command,
        "vllm serve meta/Llama --tensor-parallel-size 4 --pipeline-parallel-size 2 "
        "--max-num-seqs 128 --enable-chunked-prefill --max-num-batched-tokens 512 "
        "--block-size 16 --max-model-len 4096");
    assert_contains(launch.notes, "spans nodes of 4 devices");
    assert_contains(launch.notes, "one of 2 equal replicas; put a round-robin");
    assert_contains(launch.notes,
                    "a cap of 64 requests on each micro-batch has no argument");
    assert_contains(launch.notes, "1234 blocks");

    /* The engine refuses to start with more than the model's context. */
    vidur_results_add_fact(
        &results,
        (struct vidur_fact){"model", "llama", "max_position_embeddings", "4096"}, NULL);
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command, " --max-model-len 4096");
    CU_ASSERT_PTR_NULL(strstr(launch.notes, "context"));
    snprintf(results.facts[3].value, sizeof results.facts[3].value, "2048");
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command, " --max-model-len 2048");
    assert_contains(launch.notes,
                    "requests of up to 4096 tokens; the model's context takes "
                    "2048.");

    snprintf(row.scheduler, sizeof row.scheduler, "vllm");
    row.chunk_size = 0;
    row.max_tokens_in_batch = 4096;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command,
                    "--no-enable-chunked-prefill --max-num-batched-tokens 4096");
    snprintf(row.scheduler, sizeof row.scheduler, "vllm_v1");
    vidur_launch_line(&results, &row, &launch);
    CU_ASSERT_PTR_NULL(strstr(launch.command, "chunked"));
    CU_ASSERT_PTR_NULL(strstr(launch.command, "caching")); /* an older file */
    row.gpu_memory_utilization = 0.95;
    row.max_num_seqs = 48;
    row.async_scheduling = 1;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command, " --max-num-seqs 48 --max-num-batched-tokens 4096 "
                                    "--gpu-memory-utilization 0.95 "
                                    "--no-enable-prefix-caching --async-scheduling ");
    CU_ASSERT_PTR_NULL(strstr(launch.notes, "micro-batch"));
    row.prefix_caching = 1;
    row.async_scheduling = 0;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command, " --enable-prefix-caching --no-async-scheduling ");
    CU_ASSERT_PTR_NULL(strstr(launch.command, "--scheduling-policy"));
    row.scheduling_policy = 1;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command,
                    " --no-async-scheduling --scheduling-policy priority ");
    CU_ASSERT_PTR_NULL(strstr(launch.command, "offloading"));
    row.kv_offload_gib_per_gpu = 12.5;
    row.tensor_parallel_size = 4;
    row.num_pipeline_stages = 2;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command,
                    " --kv-offloading-backend native --kv-offloading-size 100 ");
    assert_contains(launch.notes, "12.5 for each");
    row.max_num_seqs = 0;
    snprintf(row.scheduler, sizeof row.scheduler, "orca");
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.notes, "orca has no equivalent in vLLM");
    vidur_results_destroy(&results);
}

/* Where the name of the checkpoint is not known, a note says what to do. */
static void test_launch_of_a_nameless_model(void)
{
    struct vidur_results results = {0};
    const struct vidur_ranking_row row = example_row();
    struct vidur_launch launch;
    struct vidur_fact fact = {"model", "llama", "identifier", "meta/Llama"};
    vidur_results_add_fact(&results, fact, NULL);
    vidur_launch_line(&results, &row, &launch);
    CU_ASSERT_PTR_NULL(strstr(launch.notes, "stands for the checkpoint"));
    snprintf(results.facts[0].value, sizeof results.facts[0].value,
             VIDUR_LAUNCH_PLACE "Llama");
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command, "vllm serve /PATH/TO/Llama --tensor");
    assert_contains(launch.notes, "/PATH/TO/Llama stands for the checkpoint");
    vidur_results_destroy(&results);
}

/* The engine that was simulated has the precision that was simulated. */
static void test_launch_of_a_precision(void)
{
    static const struct {
        const char *own, *own_cache;
        const char *precision, *cache, *checkpoint;
        const char *command; /* up to the parallelism */
        const char *note;
    } cases[] = {
        {"bf16", "bf16", "bf16", "bf16", "", "vllm serve meta/Llama", NULL},
        {"bf16", "bf16", "bf16", "fp8", "",
         "vllm serve meta/Llama --kv-cache-dtype fp8", NULL},
        {"bf16", "bf16", "fp8", "bf16", "", "vllm serve meta/Llama --quantization fp8",
         "The engine makes fp8 of bf16 weights while it loads them."},
        {"bf16", "bf16", "fp8", "fp8", "nvidia/Llama-FP8",
         "vllm serve meta/Llama --quantization fp8 --kv-cache-dtype fp8",
         "nvidia/Llama-FP8 has them already."},
        {"bf16", "bf16", "nvfp4", "bf16", "nvidia/Llama-NVFP4",
         "vllm serve nvidia/Llama-NVFP4 --kv-cache-dtype bfloat16",
         "nvidia/Llama-NVFP4 is llama in nvfp4."},
        {"fp8", "bf16", "nvfp4", "fp8", "",
         "vllm serve meta/Llama --kv-cache-dtype fp8",
         "weights in nvfp4, which this checkpoint has not: name one of llama that has"},
        {"nvfp4", "fp8", "nvfp4", "fp8", "",
         "vllm serve meta/Llama --kv-cache-dtype fp8", NULL},
        {"nvfp4", "fp8", "nvfp4", "bf16", "",
         "vllm serve meta/Llama --kv-cache-dtype bfloat16", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vidur_fact facts[] = {
            {"model", "llama", "identifier", "meta/Llama"},
            {"model", "llama", "precision", cases[i].own},
            {"model", "llama", "kv_cache_dtype", cases[i].own_cache}};
        struct vidur_results results = {0};
        struct vidur_ranking_row row = example_row();
        struct vidur_launch launch;
        char wanted[256];
        row.num_replicas = row.num_pipeline_stages = row.expert_parallel = 1;
        row.num_blocks = 0;
        for (int f = 0; f < 3; f++)
            vidur_results_add_fact(&results, facts[f], NULL);
        set_served(&row, cases[i].precision, cases[i].cache, cases[i].checkpoint);
        vidur_launch_line(&results, &row, &launch);
        snprintf(wanted, sizeof wanted,
                 "%s --tensor-parallel-size 4 --pipeline-parallel-size 1 "
                 "--enable-expert-parallel --max-num-seqs",
                 cases[i].command);
        assert_contains(launch.command, wanted);
        if (cases[i].note)
            assert_contains(launch.notes, cases[i].note);
        else
            CU_ASSERT_STRING_EQUAL(launch.notes, "");
        vidur_results_destroy(&results);
    }
}

static void test_launch_of_ranks(void)
{
    const struct vidur_fact fact = {"node", "a100_dgx", "devices_per_node", "8"};
    struct vidur_results results = {0};
    struct vidur_ranking_row row = example_row();
    struct vidur_launch launch;
    vidur_results_add_fact(&results, fact, NULL);
    snprintf(row.network_device, sizeof row.network_device, "a100_dgx");
    row.num_replicas = row.num_pipeline_stages = row.expert_parallel = 1;
    row.tensor_parallel_size = 2;
    row.data_parallel_size = 4;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.command,
                    "--tensor-parallel-size 2 --pipeline-parallel-size 1 "
                    "--data-parallel-size 4 --enable-expert-parallel --max-num-seqs");
    CU_ASSERT_PTR_NULL(strstr(launch.notes, "span nodes"));
    row.data_parallel_size = 8;
    vidur_launch_line(&results, &row, &launch);
    assert_contains(launch.notes, "The ranks of a replica span nodes of 8 devices");
    vidur_results_destroy(&results);
}

/* A model's name comes from a user's file and ends up in a shell. */
static void test_launch_quotes(void)
{
    struct vidur_results none = {0};
    struct vidur_ranking_row row = example_row();
    struct vidur_launch launch;
    snprintf(row.model, sizeof row.model, "a'; rm -rf $HOME");
    vidur_launch_line(&none, &row, &launch);
    assert_contains(launch.command, "vllm serve 'a'\\''; rm -rf $HOME' --tensor");
    snprintf(row.model, sizeof row.model, "--trust");
    vidur_launch_line(&none, &row, &launch);
    assert_contains(launch.command, "vllm serve '--trust' --tensor");
}

VIDUR_TEST_MAIN("launch line", {"arguments", test_launch},
                {"a model without a name", test_launch_of_a_nameless_model},
                {"precision", test_launch_of_a_precision},
                {"ranks", test_launch_of_ranks}, {"quotes", test_launch_quotes})
