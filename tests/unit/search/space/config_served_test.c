#include "space_fixture.h"
#include "test.h"

#include <vidur/space.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRACE                                                                          \
    "traces: [{name: u, lengths: {type: uniform, min_tokens: 64}, num_requests: "      \
    "100}]\n"

#define TODAY(extra)                                                                   \
    "models: [{name: moe, identifier: gpt-oss-20b}, {name: dense, identifier: "        \
    "qwen3-8b}]\n"                                                                     \
    "clusters: [{device: h100, num_gpus: 8}]\n"                                        \
    "schedulers: [{scheduler: vllm_v1}]\n" TRACE                                       \
    "batch_sizes: [32, 64]\ntp_dimensions: [1, 2]\npp_dimensions: [1]\n" extra

/* Experts are dealt out over the GPUs of a replica of several; a dense model has none
 * to deal. */
static void test_expert_parallel(void)
{
    expect_builds(TODAY("expert_parallel: [false, true]\n"));
    int64_t dealt = 0, invalid = 0;
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_deployment d;
        vidur_space_deployment(&space, i, &d);
        CU_ASSERT_EQUAL(d.expert_parallel, c->expert_parallel);
        if (c->status == VIDUR_CANDIDATE_INVALID) {
            CU_ASSERT_PTR_NOT_NULL(strstr(c->reason, "no experts for expert_parallel"));
            CU_ASSERT_TRUE(c->expert_parallel);
            invalid++;
            continue;
        }
        CU_ASSERT_EQUAL_FATAL(c->status, VIDUR_CANDIDATE_RUNNABLE);
        CU_ASSERT_EQUAL(space.tables[c->table].expert_parallel, c->expert_parallel);
        CU_ASSERT_TRUE(!c->expert_parallel || c->tensor_parallel_size == 2);
        dealt += c->expert_parallel;
        if (c->before >= 0)
            CU_ASSERT_EQUAL(space.candidates[c->before].expert_parallel,
                            c->expert_parallel);
    }
    CU_ASSERT_EQUAL(dealt, 2);                /* one for each batch size */
    CU_ASSERT_EQUAL(invalid, 4);              /* the dense model at both TPs */
    CU_ASSERT_EQUAL(space.num_duplicates, 2); /* at TP 1 */
    CU_ASSERT_EQUAL(space.num_candidates, 4 + 4 + 2 + 4);
    CU_ASSERT_EQUAL(space.num_tables, 2 + 2 + 1);
    release();
}

/* Ranks in data parallel: of a model with experts on one stage of a scheduler that
 * knows them; what cannot be says why. */
static void test_data_parallel(void)
{
    int64_t ranks = 0, dealt = 0, dense = 0, foreign = 0;
    expect_builds(TODAY("expert_parallel: [false, true]\ndata_parallel_size: [1, 4]\n"
                        "exclude: [{model: dense, expert_parallel: true}]\n"));
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_deployment d;
        vidur_space_deployment(&space, i, &d);
        CU_ASSERT_EQUAL(d.data_parallel_size, c->data_parallel_size);
        CU_ASSERT_EQUAL(c->num_replicas,
                        8 / (c->data_parallel_size * c->tensor_parallel_size));
        CU_ASSERT_EQUAL(c->num_gpus, 8);
        if (c->status == VIDUR_CANDIDATE_INVALID) {
            CU_ASSERT_PTR_NOT_NULL(strstr(c->reason, "would share nothing"));
            dense++;
            continue;
        }
        CU_ASSERT_EQUAL(space.tables[c->table].data_parallel_size,
                        c->data_parallel_size);
        ranks += c->data_parallel_size > 1;
        dealt += c->data_parallel_size > 1 && c->expert_parallel;
        for (int64_t j = 0; j < i; j++)
            CU_ASSERT_NOT_EQUAL_FATAL(c->id, space.candidates[j].id);
    }
    CU_ASSERT_EQUAL(ranks, 2 * 2 * 2); /* TP, experts, batch sizes */
    CU_ASSERT_EQUAL(dealt, 2 * 2);     /* also at TP 1 */
    CU_ASSERT_EQUAL(dense, 2 * 2);
    release();
    expect_builds(TODAY("data_parallel_size: 2\nexclude: [{model: dense}, "
                        "{data_parallel_size: 1}, {batch_size: 32}]\n"));
    CU_ASSERT_EQUAL(space.num_candidates, 2);
    release();
    expect_builds("models: [{name: moe, identifier: gpt-oss-20b}]\n"
                  "clusters: [{device: h100, num_gpus: 8}]\n"
                  "schedulers: [{scheduler: vllm_v1}, {scheduler: sarathi}]\n" TRACE
                  "batch_sizes: 32\ntp_dimensions: 1\npp_dimensions: 1\n"
                  "data_parallel_size: [1, 2]\n");
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        foreign += c->status == VIDUR_CANDIDATE_INVALID &&
                   strstr(c->reason, "scheduler sarathi has no ranks");
    }
    CU_ASSERT_EQUAL(foreign, 1);
    release();
}

/* The weights that candidates of a model are served in, in their order. */
static void expect_precisions(const char *model, const char *expected)
{
    char list[1024] = "";
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        struct vidur_deployment d;
        char text[96];
        vidur_space_deployment(&space, i, &d);
        vidur_precision_describe(&d.model.precision, text, sizeof text);
        if (strcmp(config.models[c->model].name, model) != 0 || c->batch_size != 64 ||
            c->tensor_parallel_size != 1)
            continue;
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? "; " : "", text);
        CU_ASSERT_EQUAL(c->table < 0
                            ? 0
                            : memcmp(&space.tables[c->table].model->precision,
                                     &d.model.precision, sizeof d.model.precision),
                        0);
    }
    if (strcmp(list, expected) != 0)
        printf("\n    %s", list);
    CU_ASSERT_STRING_EQUAL(list, expected);
}

/* What a value leaves out is the spec's; what comes out equal is one candidate. */
static void test_precisions(void)
{
    expect_builds(TODAY("precision: [default, {weights: bf16, experts: mxfp4}, fp8, "
                        "{experts: nvfp4}]\nkv_cache_dtype: [auto, bf16, fp8]\n"));
    expect_precisions("moe", "bf16, experts mxfp4; bf16, experts mxfp4, KV cache fp8; "
                             "fp8; fp8, KV cache fp8; "
                             "bf16, experts nvfp4; bf16, experts nvfp4, KV cache fp8");
    expect_precisions("dense", "bf16; bf16, KV cache fp8; fp8; fp8, KV cache fp8");
    CU_ASSERT_EQUAL(space.num_candidates, (6 + 4) * 2 * 2);
    CU_ASSERT_EQUAL(space.num_tables, (6 + 4) * 2);
    for (int64_t i = 0; i < space.num_candidates; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        for (int64_t j = 0; j < i; j++)
            CU_ASSERT_NOT_EQUAL_FATAL(c->id, space.candidates[j].id);
        if (c->before >= 0)
            CU_ASSERT_EQUAL(space.candidates[c->before].served, c->served);
    }
    release();
    expect_builds(TODAY("precision: fp8\nkv_cache_dtype: fp8\n"));
    expect_precisions("moe", "fp8, KV cache fp8");
    release();
    expect_builds(TODAY("precision: [default, nvfp4]\n"
                        "include: [{precision: nvfp4}, {kv_cache_dtype: fp8}]\n"));
    expect_precisions("moe", "nvfp4");
    expect_precisions("dense", "nvfp4");
    release();
    expect_builds(TODAY("exclude: [{precision: [bf16, 'bf16, experts mxfp4'], "
                        "tensor_parallel_size: 2}, {expert_parallel: true}]\n"));
    CU_ASSERT_EQUAL(space.num_candidates, 4);
    release();
}

/* Asked for nothing else, a candidate is the one it always was. */
static void test_precision_of_the_spec(void)
{
    uint64_t ids[SPACE_IDS], others[SPACE_IDS];
    const int64_t first = collect_ids(TODAY(""), ids);
    const int64_t second =
        collect_ids(TODAY("precision: [default, default, {kv_cache: bf16}]\n"
                          "expert_parallel: false\nkv_cache_dtype: [auto, bf16]\n"),
                    others);
    CU_ASSERT_EQUAL(first, second);
    CU_ASSERT_EQUAL(memcmp(ids, others, (size_t)first * sizeof *ids), 0);
}

static void expect_checkpoint(int index, const char *precision, const char *checkpoint)
{
    CU_ASSERT_TRUE_FATAL(index < config.num_served);
    CU_ASSERT_STRING_EQUAL(config.served[index].precision, precision);
    CU_ASSERT_STRING_EQUAL(config.served[index].checkpoint, checkpoint);
}

/* Models of data/models that differ in their precision alone, and by name belong
 * together: DeepSeek-R1 is as large as DeepSeek-V3, but another model. */
static void test_checkpoints(void)
{
    expect_builds(
        "models: [{name: l, identifier: llama-3.3-70b-instruct}, {name: q, identifier: "
        "qwen3-235b-a22b-fp8}, {name: r, identifier: deepseek-r1}]\n"
        "clusters: [{device: h100, num_gpus: 16}]\n"
        "schedulers: [{scheduler: vllm_v1}]\n" TRACE
        "batch_sizes: [32]\ntp_dimensions: [8]\npp_dimensions: [1]\n"
        "precision: [default, nvfp4]\nkv_cache_dtype: [auto, fp8]\n");
    CU_ASSERT_EQUAL(config.num_served, 12);
    expect_checkpoint(0, "bf16", "");
    expect_checkpoint(2, "nvfp4", "nvidia/Llama-3.3-70B-Instruct-NVFP4");
    expect_checkpoint(3, "nvfp4", "nvidia/Llama-3.3-70B-Instruct-NVFP4");
    expect_checkpoint(4, "fp8_block", "");
    expect_checkpoint(10, "nvfp4", "");
    release();
}

/* What profiles do not know is no failure of a search, but a reason; the roofline knows
 * all of it. */
static void expect_times(const char *estimator, int expected)
{
    char text[1024];
    int invalid = 0;
    snprintf(text, sizeof text,
             "models: [{name: moe, identifier: gpt-oss-20b}, {name: dense, identifier: "
             "qwen3-8b}]\n"
             "clusters: [{device: h100, num_gpus: 1}]\n"
             "schedulers: [{scheduler: vllm}, {scheduler: vllm_v1}]\n" TRACE
             "batch_sizes: 32\ntp_dimensions: 1\npp_dimensions: 1\n"
             "precision: [default, fp8]\nestimator: {%s}\n",
             estimator);
    expect_builds(text);
    CU_ASSERT_EQUAL_FATAL(space.num_candidates, 8);
    for (int64_t i = 0; i < 8; i++) {
        const struct vidur_candidate *c = &space.candidates[i];
        if (c->status == VIDUR_CANDIDATE_RUNNABLE)
            continue;
        CU_ASSERT_PTR_NOT_NULL(strstr(
            c->reason, c->model == 0 ? "not of experts, windows or latent attention"
                                     : "profiles have times of dense layers in bf16, "
                                       "not of other formats"));
        CU_ASSERT_TRUE(strlen(c->reason) < 160);
        invalid++;
    }
    CU_ASSERT_EQUAL(invalid, expected);
    release();
}

static void test_layers_that_are_not_timed(void)
{
    expect_times("source: roofline", 0);
    expect_times("source: auto", 0);
    expect_times("source: profiles, profiles: .", 6);
}

VIDUR_TEST_MAIN("served models", {"expert parallelism", test_expert_parallel},
                {"data parallel", test_data_parallel}, {"precisions", test_precisions},
                {"the spec's precision", test_precision_of_the_spec},
                {"checkpoints", test_checkpoints},
                {"layers that are not timed", test_layers_that_are_not_timed},
                {"clean up", space_fixture_remove})
