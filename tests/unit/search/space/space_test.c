#include "space_fixture.h"
#include "test.h"

#include <vidur/space.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRACE                                                                          \
    "traces: [{name: u, lengths: {type: uniform, min_tokens: 64}, num_requests: "      \
    "100}]\n"

static void test_the_papers_grid(void)
{
    expect_builds("models: [{name: llama, identifier: meta-llama/Llama-2-70b-hf}]\n"
                  "clusters: [{device: a100, network_device: a100_dgx, num_gpus: 16},\n"
                  "           {device: h100, network_device: h100_dgx, num_gpus: 16}]\n"
                  "schedulers: [{scheduler: vllm}, "
                  "{scheduler: sarathi, chunk_size: [512, 1024, 2048, 4096]}]\n" TRACE
                  "tp_dimensions: [1, 2, 4]\npp_dimensions: [1, 2, 4]\n");
    CU_ASSERT_EQUAL(space.num_candidates, 450);
    int64_t counts[3] = {0};
    int64_t chains = -1;
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_deployment d;
        vidur_space_deployment(&space, i, &d);
        counts[c->status]++;
        CU_ASSERT_EQUAL(c->num_replicas,
                        16 / (c->tensor_parallel_size * c->num_pipeline_stages));
        CU_ASSERT_EQUAL(c->num_gpus, 16);
        CU_ASSERT_EQUAL(d.scheduler.batch_size_cap,
                        c->batch_size * c->num_pipeline_stages);
        if (strcmp(d.scheduler.type, "vllm") == 0)
            CU_ASSERT_EQUAL(d.scheduler.max_tokens_in_batch, 4096);
        CU_ASSERT_DOUBLE_EQUAL(
            vidur_space_usd_per_hour(&space, i, vidur_candidate_counts(c)),
            16 * (c->cluster ? 4.25 : 2.21), 1e-9);
        if (c->chain > chains)
            chains = c->chain;
        if (c->before < 0)
            continue;
        const struct vidur_candidate *before = &space.candidates[c->before];
        CU_ASSERT_TRUE(c->before < i);
        CU_ASSERT_EQUAL(before->chain, c->chain);
        CU_ASSERT_EQUAL(before->table, c->table);
        CU_ASSERT_TRUE(before->batch_size > c->batch_size);
    }
    CU_ASSERT_EQUAL(chains, 89);
    CU_ASSERT_EQUAL(counts[VIDUR_CANDIDATE_INVALID], 0);
    /* 70 billion fp16 weights need two devices at the very least. */
    CU_ASSERT_EQUAL(counts[VIDUR_CANDIDATE_INFEASIBLE_MEMORY], 50);
    CU_ASSERT_TRUE(space.num_tables >= 6);
    release();
}

static void test_ids_do_not_depend_on_the_order(void)
{
    uint64_t ids[SPACE_IDS], others[SPACE_IDS];
    const int64_t first = collect_ids(
        "models: [{name: a, identifier: llama-2-7b-hf}, {name: b, identifier: "
        "llama-2-70b-hf}]\n"
        "clusters: [{device: a100, num_gpus: 8}, {device: h100, num_gpus: 8}]\n"
        "schedulers: [{scheduler: vllm}, {scheduler: sarathi}]\n" TRACE
        "batch_sizes: [32, 64]\ntp_dimensions: [1, 2]\npp_dimensions: [1, 2]\n"
        "slos: [{metric: ttft, quantile: 0.9, limit_s: 1}]\n",
        ids);
    const int64_t second = collect_ids(
        "slos: [{metric: ttft, quantile: 0.5, limit_s: 3}]\n"
        "pp_dimensions: [2, 1]\ntp_dimensions: [2, 1]\nbatch_sizes: [64, 32]\n" TRACE
        "schedulers: [{scheduler: sarathi}, {scheduler: vllm}]\n"
        "clusters: [{device: h100, num_gpus: 8}, {device: a100, num_gpus: 8}]\n"
        "models: [{name: b, identifier: llama-2-70b-hf}, {name: a, identifier: "
        "llama-2-7b-hf}]\n",
        others);
    CU_ASSERT_EQUAL(first, 64);
    CU_ASSERT_EQUAL(second, 64);
    CU_ASSERT_EQUAL(memcmp(ids, others, sizeof ids), 0);
    for (int i = 1; i < 64; i++)
        CU_ASSERT_TRUE(ids[i] != ids[i - 1]);
}

#define SMALL(extra)                                                                   \
    "models: [{name: a, identifier: llama-2-7b-hf}]\n"                                 \
    "clusters: [{device: a100, num_gpus: 8}, {device: h100, num_gpus: 8}]\n"           \
    "schedulers: [{scheduler: vllm}, {scheduler: sarathi, chunk_size: [256, "          \
    "512]}]\n" TRACE                                                                   \
    "batch_sizes: [32, 64]\ntp_dimensions: [1, 2, 4]\npp_dimensions: [1]\n" extra

static void test_rules(void)
{
    expect_builds(SMALL("exclude: [{device: h100, tensor_parallel_size: [2, 4]}, "
                        "{scheduler: sarathi, chunk_size: 256}]\n"));
    /* 36 less 12 (h100, TP 2 and 4), less 6 + 2 (chunk 256 of the rest) */
    CU_ASSERT_EQUAL(space.num_candidates, 36 - 12 - 8);
    CU_ASSERT_EQUAL(space.num_excluded, 20);
    release();
    expect_builds(SMALL("include: [{batch_size: 32}, {device: h100, scheduler: vllm}]\n"
                        "exclude: [{model: a, trace: u, tensor_parallel_size: 1}]\n"));
    CU_ASSERT_EQUAL(space.num_candidates, (18 + 3) * 2 / 3);
    release();
    /* vllm has no chunk, whatever the default; an SKU may be absent from the search */
    expect_builds(SMALL("exclude: [{chunk_size: 512}, {device: h200}, "
                        "{scheduler: orca}]\n"));
    CU_ASSERT_EQUAL(space.num_candidates, 24);
    release();
    struct vidur_error err;
    CU_ASSERT_EQUAL(build(SMALL("include: [{batch_size: 33}]\n"), &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "include: no candidate is left"));
    release();
}

static void test_exclude_tp_dims_and_duplicates(void)
{
    expect_builds(
        "models: [{name: a, identifier: llama-2-7b-hf, exclude_tp_dims: [2]}]\n"
        "clusters: [{device: a100, num_gpus: 8}, {device: a100, num_gpus: 8}]\n"
        "schedulers: [{scheduler: vllm}, {scheduler: vllm}]\n" TRACE
        "batch_sizes: [32, 32]\ntp_dimensions: [1, 2]\npp_dimensions: 1\n");
    CU_ASSERT_EQUAL(space.num_candidates, 1);
    CU_ASSERT_EQUAL(space.num_excluded, 8);
    CU_ASSERT_EQUAL(space.num_duplicates, 7);
    release();
}

#define TWO_CLUSTERS(first, second)                                                    \
    "models: [{name: a, identifier: llama-2-7b-hf}]\n"                                 \
    "clusters: [{device: a100, " first "}, {device: a100, " second "}]\n"              \
    "schedulers: [{scheduler: vllm}]\n" TRACE                                          \
    "batch_sizes: 32\ntp_dimensions: 4\npp_dimensions: 1\n"

/* The cheaper of two equal clusters must not vanish as a duplicate. */
static void test_clusters_at_two_prices(void)
{
    struct vidur_error err;
    CU_ASSERT_EQUAL(build(TWO_CLUSTERS("num_gpus: 8, usd_per_gpu_hour: 2",
                                       "num_gpus: 9, usd_per_gpu_hour: 1"),
                          &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "c.yaml:2: clusters.1: 2 x TP 4 x PP 1 on "));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "are in clusters.0, too, at another price"));
    release();
    expect_builds(TWO_CLUSTERS("num_gpus: 8, usd_per_gpu_hour: 2",
                               "num_gpus: 16, usd_per_gpu_hour: 1"));
    CU_ASSERT_EQUAL(space.num_candidates, 2);
    release();
}

static const char *write_spec(const char *name, const char *text)
{
    static char spec[96];
    snprintf(spec, sizeof spec, "%s/%s", space_fixture_folder(), name);
    FILE *file = fopen(spec, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
    return spec;
}

/* One name, other contents: other candidates, with tables of their own. */
static void test_names_do_not_tell_clusters_apart(void)
{
    static const char device[] = "name: a100\npeak_fp16_tflops: 312\nmemory_gib: %g\n"
                                 "memory_bandwidth_gb_per_s: 2039\n"
                                 "usd_per_gpu_hour: %g\n";
    char text[256];
    expect_builds(
        TWO_CLUSTERS("network_device: a100_dgx, num_gpus: 8, usd_per_gpu_hour: 2",
                     "network_device: a100_dgx, gpus_per_node: 4, num_gpus: 8, "
                     "usd_per_gpu_hour: 1"));
    CU_ASSERT_EQUAL(space.num_candidates, 2);
    CU_ASSERT_EQUAL(space.num_duplicates, 0);
    CU_ASSERT_EQUAL(space.num_tables, 2);
    release();
    uint64_t seen[3] = {0};
    static const double figures[3][2] = {{82, 2.5}, {82, 1.5}, {81, 2.5}};
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, device, figures[i][0], figures[i][1]);
        write_spec("other.yaml", text);
        expect_builds(
            "models: [{name: a, identifier: llama-2-7b-hf}]\n"
            "clusters: [{device: other.yaml, network_device: a100_dgx, num_gpus: 8}, "
            "{device: a100, network_device: a100_dgx, num_gpus: 8}]\n"
            "schedulers: [{scheduler: vllm}]\n" TRACE
            "batch_sizes: 32\ntp_dimensions: 4\npp_dimensions: 1\n");
        CU_ASSERT_EQUAL_FATAL(space.num_candidates, 2);
        CU_ASSERT_EQUAL(space.num_tables, 2);
        CU_ASSERT_TRUE(space.candidates[0].table != space.candidates[1].table);
        seen[i] = space.candidates[0].id;
        release();
    }
    CU_ASSERT_TRUE(seen[0] == seen[1] && seen[0] != seen[2]); /* a price, the memory */
    unlink(write_spec("other.yaml", ""));
}

static void test_rejected_candidates_say_why(void)
{
    expect_builds("models: [{name: a, identifier: llama-2-70b-hf}, "
                  "{name: q, identifier: Qwen/Qwen-2-7B}]\n"
                  "clusters: [{device: a100, network_device: a100_dgx, num_gpus: 8}]\n"
                  "schedulers: [{scheduler: vllm}, {scheduler: lightllm}]\n" TRACE
                  "batch_sizes: [32]\ntp_dimensions: [1, 8]\npp_dimensions: [1, 2]\n");
    int invalid = 0, infeasible = 0;
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        CU_ASSERT_EQUAL(c->reason == NULL, c->status == VIDUR_CANDIDATE_RUNNABLE);
        CU_ASSERT_EQUAL(c->table >= 0, c->status == VIDUR_CANDIDATE_RUNNABLE);
        if (c->status == VIDUR_CANDIDATE_INFEASIBLE_MEMORY) {
            CU_ASSERT_PTR_NOT_NULL(strstr(c->reason, "GiB of weights"));
            CU_ASSERT_PTR_NOT_NULL(strstr(c->reason, " GiB too many"));
            infeasible++;
        } else if (c->status == VIDUR_CANDIDATE_INVALID) {
            invalid++;
            const char *words = c->tensor_parallel_size * c->num_pipeline_stages == 16
                                    ? "takes 16 GPUs"
                                : c->tensor_parallel_size == 8 ? "28 query heads"
                                                               : "lightllm";
            CU_ASSERT_PTR_NOT_NULL(strstr(c->reason, words));
        }
    }
    CU_ASSERT_EQUAL(space.num_candidates, 16);
    CU_ASSERT_EQUAL(infeasible, 2); /* llama on one device */
    CU_ASSERT_EQUAL(invalid, 4 + 2 + 2);
    release();
}

/* vLLM refuses to start where a device gets no whole number of KV heads, nor one. */
static void expect_kv_heads(const char *semantics, int64_t num_invalid)
{
    static const char ten[] = "name: ten\nnum_layers: 8\nnum_q_heads: 40\n"
                              "num_kv_heads: 10\nembedding_dim: 2560\n"
                              "mlp_hidden_dim: 4096\nvocab_size: 1000\n"
                              "max_position_embeddings: 4096\nuse_gated_mlp: true\n";
    char model[80], text[1024];
    snprintf(model, sizeof model, "%s-ten.yaml", space_fixture_folder());
    FILE *file = fopen(model, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(ten, file);
    fclose(file);
    snprintf(text, sizeof text,
             "models: [{name: ten, identifier: %s}]\n"
             "clusters: [{device: a100, network_device: a100_dgx, num_gpus: 8}]\n"
             "schedulers: [{scheduler: vllm}]\n" TRACE
             "batch_sizes: [32]\ntp_dimensions: [1, 2, 4, 5, 8]\npp_dimensions: [1]\n"
             "semantics: %s\n",
             model, semantics);
    expect_builds(text);
    CU_ASSERT_EQUAL_FATAL(space.num_candidates, 5);
    int64_t invalid = 0;
    for (int64_t i = 0; i < 5; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        const bool is_invalid = c->status == VIDUR_CANDIDATE_INVALID;
        CU_ASSERT_TRUE(!is_invalid || 10 % c->tensor_parallel_size != 0);
        CU_ASSERT_TRUE(!is_invalid || strstr(c->reason, "the 10 KV heads of ten"));
        invalid += is_invalid;
    }
    CU_ASSERT_EQUAL(invalid, num_invalid);
    release();
    unlink(model);
}

static void test_kv_heads_that_no_engine_splits(void)
{
    expect_kv_heads("corrected", 2);
    expect_kv_heads("vidur", 0);
}

/* Whole prompts need room in one batch: 4 of 5 tokens, of 4096, are prompt. */
static void test_prompts_beyond_the_budget(void)
{
    static const char *const lengths[] = {
        "{type: uniform, min_tokens: 64, prefill_to_decode_ratio: 4}",
        "{type: zipf, min_tokens: 64, prefill_to_decode_ratio: 4}",
        "{type: fixed, prefill_tokens: 3276, decode_tokens: 9}"};
    for (int l = 0; l < 3; l++) {
        for (int fits = 0; fits < 2; fits++) {
            char text[512];
            snprintf(
                text, sizeof text,
                "models: [{name: a, identifier: llama-2-7b-hf}]\n"
                "clusters: [{device: a100, network_device: a100_dgx, num_gpus: 1}]\n"
                "schedulers: [{scheduler: vllm, max_tokens_in_batch: %d}, "
                "{scheduler: lightllm, block_size: 1, max_tokens_in_batch: %d}, "
                "{scheduler: sarathi, chunk_size: 512}]\n"
                "traces: [{name: u, num_requests: 9, lengths: %s}]\n"
                "batch_sizes: [32]\ntp_dimensions: [1]\npp_dimensions: [1]\n",
                fits ? 3276 : 3274, fits ? 3276 : 3274, lengths[l]);
            expect_builds(text);
            CU_ASSERT_EQUAL_FATAL(space.num_candidates, 3);
            for (int64_t i = 0; i < 3; i++) {
                const struct vidur_candidate *c = &space.candidates[i];
                const bool runs = fits || c->scheduler == 2;
                CU_ASSERT_EQUAL(c->status, runs ? VIDUR_CANDIDATE_RUNNABLE
                                                : VIDUR_CANDIDATE_INVALID);
                if (!runs && c->reason)
                    CU_ASSERT_PTR_NOT_NULL(
                        strstr(c->reason, "max_tokens_in_batch 3274 is below"));
            }
            release();
        }
    }
}

/* Engines deal layers unevenly: any number of stages up to that of the layers; what a
 * pipeline does nothing about is tried once. */
static void test_pipelines_of_engines(void)
{
    struct vidur_error err;
    expect_builds(
        "models: [{name: llama, identifier: llama-2-70b-hf}]\n"
        "clusters: [{device: h100, network_device: h100_dgx, num_gpus: 16}]\n"
        "schedulers: [{scheduler: vllm_v1, async_scheduling: [true, false]}]\n" TRACE
        "batch_sizes: [32]\ntp_dimensions: [4]\npp_dimensions: [1, 2, 3, 4]\n");
    CU_ASSERT_EQUAL(space.num_candidates, 5);
    CU_ASSERT_EQUAL(space.num_duplicates, 3);
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_deployment d;
        vidur_space_deployment(&space, i, &d);
        CU_ASSERT_EQUAL(d.scheduler.max_num_seqs, 32 * c->num_pipeline_stages);
        CU_ASSERT_FALSE(c->num_pipeline_stages > 1 && d.scheduler.async_scheduling);
        /* 12 devices neither fit in a node nor fill two */
        CU_ASSERT_EQUAL(c->status == VIDUR_CANDIDATE_RUNNABLE,
                        c->num_pipeline_stages != 3);
        if (c->status == VIDUR_CANDIDATE_RUNNABLE)
            CU_ASSERT_EQUAL(space.tables[c->table].num_stages, c->num_pipeline_stages);
    }
    CU_ASSERT_EQUAL(space.num_tables, 3);
    release();
    expect_builds("models: [{name: llama, identifier: llama-2-70b-hf}]\n"
                  "clusters: [{device: h100, network_device: h100_dgx, num_gpus: 8}]\n"
                  "schedulers: [{scheduler: vllm_v1}]\n" TRACE
                  "batch_sizes: [32]\ntp_dimensions: [2]\npp_dimensions: [3]\n");
    CU_ASSERT_EQUAL(space.candidates[0].status, VIDUR_CANDIDATE_RUNNABLE);
    release();
    CU_ASSERT_EQUAL(build("models: [{name: llama, identifier: llama-2-70b-hf}]\n"
                          "clusters: [{device: h100, num_gpus: 8}]\n"
                          "schedulers: [{scheduler: vllm_v1}]\n" TRACE
                          "pp_dimensions: [81]\n",
                          &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "81 is more than the 80 layers of llama"));
    release();
}

static void test_values_that_suit_no_model(void)
{
    struct vidur_error err;
    CU_ASSERT_EQUAL(build("models: [{name: llama, identifier: llama-2-70b-hf}]\n"
                          "clusters: [{device: a100, num_gpus: 16}]\n"
                          "schedulers: [{scheduler: vllm}]\n" TRACE
                          "tp_dimensions: [1, 3]\n",
                          &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text,
               "c.yaml:5: tp_dimensions: 3 does not divide 64 query heads of llama"));
    release();
    CU_ASSERT_EQUAL(build("models: [{name: llama, identifier: llama-2-70b-hf}]\n"
                          "clusters: [{device: a100, num_gpus: 16}]\n"
                          "schedulers: [{scheduler: vllm}]\n" TRACE
                          "pp_dimensions: [7]\n",
                          &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "7 does not divide 80 layers of llama"));
    release();
    CU_ASSERT_EQUAL(build("models: [{name: llama, identifier: llama-2-70b-hf}]\n"
                          "clusters: [{device: a100, num_gpus: 2}]\n"
                          "schedulers: [{scheduler: vllm}]\n" TRACE
                          "tp_dimensions: [4]\n",
                          &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no candidate is valid"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "takes 4 GPUs; the cluster has 2"));
    release();
}

/* Shards together are the space, and no chain is cut. */
static void test_shards(void)
{
    int64_t found = 0;
    for (int shard = 0; shard < 3; shard++) {
        expect_builds(SMALL(""));
        const int64_t whole = space.num_candidates;
        const int64_t max_batch = space.tables[0].max_batch_size;
        vidur_space_shard(&space, shard, 3);
        CU_ASSERT_EQUAL(space.tables[0].max_batch_size, max_batch);
        for (int64_t i = 0; i < space.num_candidates; i++) {
            const struct vidur_candidate *c = &space.candidates[i];
            CU_ASSERT_EQUAL(c->chain % 3, shard);
            CU_ASSERT_EQUAL(c->before, c->batch_size == 32 ? i - 1 : -1);
        }
        found += space.num_candidates;
        CU_ASSERT_EQUAL(whole, 36);
        release();
    }
    CU_ASSERT_EQUAL(found, 36);
}

static void test_no_warm_start_means_no_chains(void)
{
    expect_builds(SMALL("search: {warm_start: none}\n"));
    for (int64_t i = 0; i < space.num_candidates; i++)
        CU_ASSERT_EQUAL(space.candidates[i].before, -1);
    CU_ASSERT_TRUE(space.candidates[0].chain != space.candidates[1].chain);
    release();
    space_fixture_remove();
}

VIDUR_TEST_MAIN("space", {"the paper's grid", test_the_papers_grid},
                {"ids do not depend on the order", test_ids_do_not_depend_on_the_order},
                {"rules", test_rules},
                {"exclude_tp_dims and duplicates", test_exclude_tp_dims_and_duplicates},
                {"clusters at two prices", test_clusters_at_two_prices},
                {"names do not tell clusters apart",
                 test_names_do_not_tell_clusters_apart},
                {"rejected candidates say why", test_rejected_candidates_say_why},
                {"KV heads that no engine splits", test_kv_heads_that_no_engine_splits},
                {"prompts beyond the budget", test_prompts_beyond_the_budget},
                {"pipelines of engines", test_pipelines_of_engines},
                {"values that suit no model", test_values_that_suit_no_model},
                {"shards", test_shards},
                {"no warm start, no chains", test_no_warm_start_means_no_chains})
