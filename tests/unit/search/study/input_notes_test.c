#include "test.h"

#include "report/report_model.h"
#include "small_search.h"
#include "study/session.h"

#include <vidur/paths.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a search says of its inputs: on the console and in its results. */

static volatile int stop;
static char logged[4096];

static void keep_log(void *context, enum vidur_log_level level, const char *text)
{
    const size_t used = strlen(logged);
    (void)context;
    snprintf(logged + used, sizeof logged - used, "%s%s\n",
             level == VIDUR_LOG_WARN ? "warning: " : "", text);
}

/* Of 200 requests, the first `num_long` are of 1,000 tokens, the others of 50. */
static const char *trace_file(int num_long)
{
    const char *path = small_search_path("lengths.csv");
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("num_prefill_tokens,num_decode_tokens\n", file);
    for (int i = 0; i < 200; i++)
        fputs(i < num_long ? "990,10\n" : "40,10\n", file);
    fclose(file);
    return path;
}

struct inputs {
    const char *model, *identifier, *trace, *file, *more_of_trace, *node, *semantics;
    const char *device, *scheduler;
};

static enum session_status run(const struct inputs *in, struct session_outcome *outcome)
{
    const char *path = small_search_path("notes.yaml");
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fprintf(file,
            "models: [{name: %s, identifier: %s}]\n"
            "clusters: [{device: %s, num_gpus: 2%s}]\n"
            "schedulers: [{scheduler: %s}]\n"
            "traces:\n"
            "  - {name: %s, trace_file: %s, num_requests: 200%s}\n"
            "batch_sizes: [16]\ntp_dimensions: [1]\npp_dimensions: [1]\n"
            "search: {max_iterations: 4}\nsemantics: %s\n"
            "estimator: {source: roofline, cache_dir: '', num_estimators: 10, "
            "max_depth: 8, min_samples_split: 2, k_fold_cv_splits: 2}\n",
            in->model ? in->model : "llama",
            in->identifier ? in->identifier : "meta-llama/Llama-2-7b-hf",
            in->device ? in->device : "a100", in->node ? in->node : "",
            in->scheduler ? in->scheduler : "vllm", in->trace ? in->trace : "chat",
            in->file, in->more_of_trace ? in->more_of_trace : "",
            in->semantics ? in->semantics : "corrected");
    fclose(file);
    const struct vidur_log log = {.write = keep_log, .level = VIDUR_LOG_INFO};
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = path,
                                            .output = small_search_path("notes.h5"),
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop,
                                            .log = &log};
    logged[0] = 0;
    session_run(&team, &options, outcome);
    return outcome->status;
}

static bool is_noted(const struct vidur_results *results, const char *text)
{
    for (int64_t i = 0; i < results->num_facts; i++)
        if (strcmp(results->facts[i].section, "note") == 0 &&
            strcmp(results->facts[i].value, text) == 0)
            return true;
    return false;
}

static void expect_note(const struct session_outcome *outcome, bool expected,
                        const char *prefix, const char *text)
{
    char line[512];
    snprintf(line, sizeof line, "%s%s\n", prefix, text);
    CU_ASSERT_EQUAL(is_noted(&outcome->results, text), expected);
    CU_ASSERT_EQUAL(strstr(logged, line) != NULL, expected);
}

static const char *fact_of(const struct session_outcome *outcome, const char *section,
                           const char *name, const char *key)
{
    const char *value = vidur_results_fact(&outcome->results, section, name, key);
    return value ? value : "";
}

/* ---- Requests that are cut ---- */

static void test_few_are_cut(void)
{
    const struct inputs in = {.file = trace_file(2),
                              .more_of_trace = ", max_seq_len: 500"};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    expect_note(
        &outcome, true, "warning: ",
        "trace chat: 2 of 200 requests (1 %) are longer than 500 tokens and are "
        "cut to that (max_seq_len)");
    CU_ASSERT_STRING_EQUAL(fact_of(&outcome, "trace", "chat", "cut_requests"), "2");
    CU_ASSERT_STRING_EQUAL(fact_of(&outcome, "trace", "chat", "num_requests"), "200");
    CU_ASSERT_EQUAL_FATAL(outcome.results.num_ranking, 1);
    CU_ASSERT_EQUAL(outcome.results.ranking[0].cut_requests, 2);
    session_release(&outcome);
}

static void test_many_are_not_cut_unasked(void)
{
    struct inputs in = {.file = trace_file(30), .more_of_trace = ", max_seq_len: 500"};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL(run(&in, &outcome), SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(outcome.error.text,
               "notes.yaml:5: traces.0.max_seq_len: 30 of 200 requests (15 %) are "
               "longer than 500 tokens; raise it, or cut them with cut_long_requests: "
               "true"));
    session_release(&outcome);
    in.more_of_trace = ", max_seq_len: 500, cut_long_requests: true";
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    CU_ASSERT_STRING_EQUAL(fact_of(&outcome, "trace", "chat", "cut_requests"), "30");
    CU_ASSERT_EQUAL(outcome.results.ranking[0].cut_requests, 30);
    session_release(&outcome);
    in.more_of_trace = ", max_seq_len: 500";
    in.semantics = "vidur";
    in.node = ", network_device: a100_dgx";
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(logged, "warning: trace chat: 30 of 200 requests"));
    session_release(&outcome);
}

static void test_nothing_is_cut(void)
{
    const struct inputs in = {.file = trace_file(30)};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    CU_ASSERT_STRING_EQUAL(fact_of(&outcome, "trace", "chat", "cut_requests"), "0");
    CU_ASSERT_EQUAL(outcome.results.ranking[0].cut_requests, 0);
    CU_ASSERT_PTR_NULL(strstr(logged, "warning"));
    session_release(&outcome);
}

/* ---- The model's context, the node ---- */

static void test_context_and_node(void)
{
    static const char beyond[] =
        "trace chat: max_seq_len 5000 is beyond the context of "
        "meta-llama/Llama-2-7b-hf, 4096 tokens: the engine refuses longer requests";
    static const char node[] = "network_device: a100_dgx (default)";
    struct inputs in = {.file = trace_file(0), .more_of_trace = ", max_seq_len: 5000"};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    expect_note(&outcome, true, "warning: ", beyond);
    expect_note(&outcome, true, "", node);
    CU_ASSERT_STRING_EQUAL(
        fact_of(&outcome, "model", "llama", "max_position_embeddings"), "4096");
    CU_ASSERT_STRING_EQUAL(outcome.results.ranking[0].network_device, "a100_dgx");
    session_release(&outcome);
    in.more_of_trace = "";
    in.node = ", network_device: a100_dgx";
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    expect_note(&outcome, false, "warning: ", beyond);
    expect_note(&outcome, false, "", node);
    session_release(&outcome);
    /* a second and a third cluster: one note, each node once */
    in.node = "}, {device: h100, num_gpus: 2}, {device: a100, num_gpus: 1";
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    expect_note(&outcome, true, "", "network_device: a100_dgx, h100_dgx (default)");
    session_release(&outcome);
}

/* What a spec says of itself. */
static void test_note_of_a_model(void)
{
    static const char note[] = "model mine: its vision encoder is left out";
    const char *path = small_search_path("noted.yaml");
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("variant_of: meta-llama/Llama-2-7b-hf\nname: mine\nprecision: bf16\n"
          "note: its vision encoder is left out\n",
          file);
    fclose(file);
    struct inputs in = {.file = trace_file(0), .model = "mine", .identifier = path};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    expect_note(&outcome, true, "", note);
    session_release(&outcome);
    in.identifier = NULL;
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    expect_note(&outcome, false, "", note);
    session_release(&outcome);
}

/* ---- Names ---- */

/* 47 bytes are kept whole, everywhere; more are refused. */
static void test_long_names(void)
{
    char name[49];
    memset(name, 'x', 48);
    name[48] = 0;
    struct inputs in = {.file = trace_file(0), .model = name};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL(run(&in, &outcome), SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(outcome.error.text,
               "models.0.name: a text of 48 bytes; at most 47 are supported"));
    session_release(&outcome);
    in = (struct inputs){.file = trace_file(0), .trace = name};
    CU_ASSERT_EQUAL(run(&in, &outcome), SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.error.text, "traces.0.name: a text of 48"));
    session_release(&outcome);
    name[47] = 0;
    name[46] = 'E';
    in = (struct inputs){.file = trace_file(0), .trace = name, .model = name};
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    struct vidur_results read;
    CU_ASSERT_EQUAL_FATAL(
        vidur_results_read(small_search_path("notes.h5"), &read, NULL), 0);
    CU_ASSERT_STRING_EQUAL(read.ranking[0].model, name);
    CU_ASSERT_STRING_EQUAL(read.ranking[0].trace, name);
    CU_ASSERT_PTR_NOT_NULL(vidur_results_fact(&read, "model", name, "identifier"));
    CU_ASSERT_PTR_NOT_NULL(vidur_results_fact(&read, "trace", name, "num_requests"));
    vidur_results_destroy(&read);
    session_release(&outcome);
}

/* A path is told to its end: two that differ there are two. */
static void test_long_paths(void)
{
    char path[VIDUR_PATH_MAX], moved[VIDUR_PATH_MAX + 16];
    char *ends[4];
    snprintf(path, sizeof path, "%s", trace_file(0));
    *strrchr(path, '/') = 0;
    for (int i = 0; i < 4; i++) {
        ends[i] = path + strlen(path);
        snprintf(ends[i], 202, "/%0200d", i);
        mkdir(path, 0777);
    }
    snprintf(moved, sizeof moved, "%s/t.csv", path);
    CU_ASSERT_EQUAL_FATAL(rename(trace_file(0), moved), 0);
    const struct inputs in = {.file = moved};
    struct session_outcome outcome;
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    CU_ASSERT_STRING_EQUAL(fact_of(&outcome, "trace", "chat", "file"), moved);
    session_release(&outcome);
    unlink(moved);
    for (int i = 3; i >= 0; i--) {
        rmdir(path);
        *ends[i] = 0;
    }
}

/* The journal's name is the output's and more. */
static void test_long_output(void)
{
    char output[1200];
    memset(output, 'x', sizeof output - 1);
    output[sizeof output - 1] = 0;
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(""),
                                            .output = output,
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop};
    struct session_outcome outcome;
    session_run(&team, &options, &outcome);
    CU_ASSERT_EQUAL(outcome.status, SESSION_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(outcome.error.text, "a path of 1199 bytes; at most"));
    session_release(&outcome);
}

/* ---- Constants of another device ---- */

static bool is_borrowed(const char *device, const char *scheduler)
{
    const struct inputs in = {.file = trace_file(0),
                              .device = device,
                              .scheduler = scheduler,
                              .node = ", usd_per_gpu_hour: 1"};
    char text[256];
    struct session_outcome outcome;
    snprintf(text, sizeof text,
             "device %s: no kernel timings of its own; the roofline's constants are "
             "borrowed, fitted on a100_sxm vllm-0.14.0",
             device);
    CU_ASSERT_EQUAL_FATAL(run(&in, &outcome), SESSION_DONE);
    const bool noted = is_noted(&outcome.results, text);
    session_release(&outcome);
    return noted;
}

static void test_borrowed_constants(void)
{
    CU_ASSERT_TRUE(is_borrowed("a100_pcie", "vllm_v1"));
    CU_ASSERT_FALSE(is_borrowed("a100", "vllm_v1"));   /* its own */
    CU_ASSERT_FALSE(is_borrowed("a100_pcie", "vllm")); /* not of the engine */
}

VIDUR_TEST_MAIN("notes on inputs", {"few are cut", test_few_are_cut},
                {"many are not cut unasked", test_many_are_not_cut_unasked},
                {"nothing is cut", test_nothing_is_cut},
                {"context and node", test_context_and_node},
                {"note of a model", test_note_of_a_model},
                {"long names", test_long_names}, {"long paths", test_long_paths},
                {"long output", test_long_output},
                {"borrowed constants", test_borrowed_constants})
