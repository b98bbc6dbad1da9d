#define _XOPEN_SOURCE 700 /* realpath */

#include "test.h"

#include "report/report_model.h"
#include "small_search.h"
#include "study/session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a search's results say of where their operator times come from. */

#define A100 "{device: a100, network_device: a100_dgx, num_gpus: 2}"
#define H200                                                                           \
    "{device: h200, network_device: h200_dgx, num_gpus: 2, usd_per_gpu_hour: 4}"

static volatile int stop;
static const char *identifier = "meta-llama/Llama-2-7b-hf";

static void on_progress(void *context, int64_t done, int64_t total, const char *best)
{
    (void)context, (void)done, (void)total, (void)best;
}

/* A short search over these clusters; the caller releases the outcome. */
static void run(const char *clusters, const char *source, const char *tp,
                struct session_outcome *outcome)
{
    const char *path = small_search_path("facts.yaml");
    const char *output = small_search_path("facts.h5");
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file,
            "models: [{name: llama, identifier: %s}]\n"
            "clusters: [%s]\nschedulers: [{scheduler: vllm}]\n"
            "traces: [{name: u, lengths: {type: uniform, min_tokens: 64, "
            "prefill_to_decode_ratio: 4}, max_seq_len: 512, num_requests: 200}]\n"
            "batch_sizes: [16]\ntp_dimensions: [%s]\npp_dimensions: [1]\n"
            "slos: [{metric: ttft, quantile: 0.9, limit_s: 1.0}]\n"
            "estimator: {source: %s, cache_dir: '', num_estimators: 10, max_depth: 8, "
            "min_samples_split: 2, k_fold_cv_splits: 2, max_tokens_per_request: 512, "
            "max_prefill_chunk_size: 512, max_batch_size: 16}\n",
            identifier, clusters, tp, source);
    fclose(file);
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = path,
                                            .output = output,
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop,
                                            .progress = on_progress};
    session_run(&team, &options, outcome);
    if (outcome->status != SESSION_DONE)
        printf("\n    %s", outcome->error.text);
    CU_ASSERT_EQUAL_FATAL(outcome->status, SESSION_DONE);
    unlink(output);
    unlink(path);
}

static const char *fact(const struct session_outcome *outcome, const char *section,
                        const char *key)
{
    const char *value = vidur_results_fact(&outcome->results, section, "", key);
    return value ? value : "";
}

/* auto is called what it came to, where that is one thing. */
static void test_one_kind(void)
{
    struct session_outcome outcome;
    run(A100, "auto", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "estimator", "source"), "roofline");
    assert_contains(vidur_report_caution(&outcome.results).text, "synthetic roofline");
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "note", "text"), "");
    session_release(&outcome);
    run(H200, "auto", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "estimator", "source"), "profiles");
    assert_contains(fact(&outcome, "estimator", "description"), "profiles data:");
    CU_ASSERT_STRING_EQUAL(vidur_report_caution(&outcome.results).text, "");
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "note", "text"), "");
    session_release(&outcome);
}

static void test_stand_in(void)
{
    struct session_outcome outcome;
    run(H200, "profiles", "1, 2", &outcome);
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "estimator", "source"), "profiles");
    assert_contains(fact(&outcome, "note", "text"),
                    "Not all operator times are measured: profiles data:profiles; "
                    "all_reduce from the alpha-beta model of h200_dgx.");
    session_release(&outcome);
}

static void test_two_kinds(void)
{
    struct session_outcome outcome;
    run(A100 ", " H200, "auto", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "estimator", "source"), "auto");
    assert_contains(vidur_report_caution(&outcome.results).text,
                    "a synthetic roofline for some candidates, other sources for "
                    "others");
    CU_ASSERT_EQUAL(outcome.results.num_ranking, 2);
    for (int64_t i = 0; i < outcome.results.num_ranking; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        assert_contains(row->estimator, strcmp(row->device, "a100") == 0
                                            ? "synthetic roofline of a100"
                                            : "profiles data:profiles");
    }
    session_release(&outcome);
    run(A100 ", " H200, "roofline", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(fact(&outcome, "estimator", "source"), "roofline");
    session_release(&outcome);
}

/* Rows of different schedulers differ in the columns of their knobs; a knob that a
 * scheduler lacks is 0. */
static void test_every_knob_has_a_column(void)
{
    struct session_outcome outcome;
    const char *file = small_search_path("columns.h5");
    const char *sets[] = {
        "schedulers=[{scheduler: vllm_v1, gpu_memory_utilization: [0.8, 0.9], "
        "prefix_caching: [true, false], max_num_seqs: 48}, {scheduler: vllm, "
        "watermark_blocks_fraction: 0.05}]",
        "batch_sizes=[16]", "tp_dimensions=[1]"};
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(""),
                                            .sets = sets,
                                            .num_sets = 3,
                                            .output = file,
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop};
    session_run(&team, &options, &outcome);
    CU_ASSERT_EQUAL_FATAL(outcome.status, SESSION_DONE);
    CU_ASSERT_EQUAL_FATAL(outcome.results.num_ranking, 5);
    int seen = 0;
    for (int i = 0; i < 5; i++) {
        const struct vidur_ranking_row *row = &outcome.results.ranking[i];
        const bool engine = strcmp(row->scheduler, "vllm_v1") == 0;
        seen += row->prefix_caching + (row->gpu_memory_utilization == 0.8 ? 10 : 0);
        CU_ASSERT_EQUAL(row->max_num_seqs, engine ? 48 : 0);
        CU_ASSERT_EQUAL(row->max_num_batched_tokens, engine ? 2048 : 0);
        CU_ASSERT_EQUAL(row->async_scheduling, engine);
        CU_ASSERT_EQUAL(row->batch_size_cap, engine ? 0 : 16);
        CU_ASSERT_EQUAL(row->watermark_blocks_fraction, engine ? 0 : 0.05);
        CU_ASSERT_EQUAL(row->chunk_size, 0);
        CU_ASSERT_TRUE(row->num_blocks > 0);
    }
    CU_ASSERT_EQUAL(seen, 22);
    session_release(&outcome);
    unlink(file);
}

static const char *model_fact(const struct session_outcome *outcome)
{
    const char *value =
        vidur_results_fact(&outcome->results, "model", "llama", "identifier");
    return value ? value : "";
}

/* A model's configuration beside the search's, with some members more. */
static void write_model(char *path, size_t size, const char *name, const char *more)
{
    snprintf(path, size, "%s", small_search_path(name));
    FILE *json = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    fprintf(json,
            "{%s\"model_type\": \"llama\", \"hidden_size\": 4096, "
            "\"num_hidden_layers\": 32, \"num_attention_heads\": 32, "
            "\"intermediate_size\": 11008, \"vocab_size\": 32000, "
            "\"max_position_embeddings\": 4096, \"hidden_act\": \"silu\"}",
            more);
    fclose(json);
}

/* A launch line must find the model: by its hub's name, or in the folder of its
 * config.json, wherever it is run; it may say that neither is known. */
static void test_identifiers(void)
{
    struct session_outcome outcome;
    char file[PATH_MAX], whole[PATH_MAX];
    run(A100, "roofline", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(model_fact(&outcome), "meta-llama/Llama-2-7b-hf");
    session_release(&outcome);

    write_model(file, sizeof file, "config.json", "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(realpath(file, whole));
    *strrchr(whole, '/') = 0;
    identifier = "config.json"; /* beside the configuration */
    run(A100, "roofline", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(model_fact(&outcome), whole);
    session_release(&outcome);
    unlink(file);

    /* its folder is no checkpoint's */
    write_model(file, sizeof file, "Some-Llama.json", "");
    identifier = "Some-Llama.json";
    run(A100, "roofline", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(model_fact(&outcome), "/PATH/TO/Some-Llama");
    session_release(&outcome);
    write_model(file, sizeof file, "Some-Llama.json",
                "\"_name_or_path\": \"maker/Llama\", ");
    run(A100, "roofline", "1", &outcome);
    CU_ASSERT_STRING_EQUAL(model_fact(&outcome), "maker/Llama");
    session_release(&outcome);
    unlink(file);
}

VIDUR_TEST_MAIN("facts of a search", {"one kind of source", test_one_kind},
                {"a stand-in", test_stand_in}, {"two kinds of sources", test_two_kinds},
                {"identifiers", test_identifiers},
                {"every knob has a column", test_every_knob_has_a_column})
