#include "test.h"

#include "compare/measured.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LATENCY                                                                        \
    "{\"mean\": %s, \"median\": 1.0, \"p90\": 1.1, \"p95\": 1.2, \"p99\": 1.3}"
#define EXPERIMENT                                                                     \
    "[{\"id\": \"x\", \"model\": \"m\", \"tensor_parallel_size\": 2,"                  \
    " \"max_model_len\": 4096, \"max_num_batched_tokens\": 2048, \"max_num_seqs\": "   \
    "128,"                                                                             \
    " \"workload\": {\"stages\": [{\"rate\": 5, \"duration\": 60}],"                   \
    " \"shared_prefix\": {\"system_prompt_len\": 100, \"question_len\": 400,"          \
    " \"output_len\": 11}},"                                                           \
    " \"stages\": [{\"e2e_s\": " LATENCY ", \"ttft_s\": " LATENCY "}]}]"

static int read_text(const char *text, struct vidur_measured_experiment **e, int *count,
                     struct vidur_error *err)
{
    char path[] = "/tmp/vidur-measured-XXXXXX";
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = vidur_measured_read(path, e, count, err);
    unlink(path);
    return rc;
}

static void test_one_experiment(void)
{
    char text[2048];
    snprintf(text, sizeof text, EXPERIMENT, "1.5", "0.5");
    struct vidur_measured_experiment *e = NULL;
    int count = 0;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(read_text(text, &e, &count, &err), 0);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_STRING_EQUAL(e->model, "m");
    CU_ASSERT_EQUAL(e->tensor_parallel_size, 2);
    CU_ASSERT_EQUAL(e->max_num_batched_tokens, 2048);
    CU_ASSERT_EQUAL(e->workload.num_groups * e->workload.num_prompts_per_group, 100);
    CU_ASSERT_DOUBLE_EQUAL(e->workload.prompt_mean_tokens, 1.047 * 500, 1e-9);
    CU_ASSERT_EQUAL(e->workload.stages[0].rate_qps, 5);
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].tpot.mean, 0.1, 1e-12);
    CU_ASSERT_EQUAL(e->stages[0].ttft.p99, 1.3);
    vidur_measured_free(e, count);
}

static void test_bad_files(void)
{
    static const struct {
        const char *e2e, *ttft, *expect;
    } rows[] = {{"\"fast\"", "0.5", "stages.0.e2e_s.mean"},
                {"1.5", "-1", "stages.0.ttft_s.mean"},
                {"null", "1", "stages.0.e2e_s.mean"}};
    struct vidur_measured_experiment *e = NULL;
    int count = 0;
    for (int i = 0; i < 3; i++) {
        char text[2048];
        struct vidur_error err = {0};
        snprintf(text, sizeof text, EXPERIMENT, rows[i].e2e, rows[i].ttft);
        CU_ASSERT_EQUAL(read_text(text, &e, &count, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i].expect));
    }
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(read_text("[]", &e, &count, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "neither a list of experiments nor one"));
    CU_ASSERT_EQUAL(read_text("[{\"id\": ", &e, &count, &err), -1);
    CU_ASSERT_EQUAL(vidur_measured_read("/nowhere.json", &e, &count, &err), -1);
}

static void test_published_measurements(void)
{
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    char path[1024];
    snprintf(path, sizeof path, "%s/measured/vllm-h100.json", shared);
    struct vidur_measured_experiment *e = NULL;
    int count = 0;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(vidur_measured_read(path, &e, &count, &err), 0);
    CU_ASSERT_EQUAL(count, 4);
    CU_ASSERT_STRING_EQUAL(e[2].model, "meta-llama/Llama-2-70b-hf");
    CU_ASSERT_EQUAL(e[2].workload.num_stages, 2);
    CU_ASSERT_DOUBLE_EQUAL(e[2].workload.prompt_mean_tokens, 593.49, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(e[2].stages[1].e2e.mean, 4.7418, 1e-4);
    vidur_measured_free(e, count);
}

/* ---- Closed loops ---- */

#define LOOP                                                                           \
    "{\"id\": \"x\", \"model\": \"m\", \"device\": \"b200 (HGX)\", "                   \
    "\"tensor_parallel_size\": 4, \"expert_parallel\": true, "                         \
    "\"data_parallel_size\": 2, \"prefix_caching\": false, \"cpu_cores\": 6, "         \
    "\"precision\": %s, "                                                              \
    "\"workload\": {\"closed_loop\": {\"concurrency\": 8, \"num_requests\": 80, "      \
    "\"prompt_tokens\": {\"min\": %s, \"max\": 1024}, "                                \
    "\"output_tokens\": {\"min\": 101, \"max\": 301}}}, "                              \
    "\"stages\": [{\"ttft_s\": {\"mean\": 0.5}, \"tpot_s\": {\"mean\": 0.01}}]}"

static void test_closed_loop(void)
{
    char text[2048];
    snprintf(text, sizeof text, "[" LOOP "]",
             "{\"weights\": \"bf16\", \"experts\": \"mxfp4\", \"kv_cache\": \"fp8\"}",
             "819");
    struct vidur_measured_experiment *e = NULL;
    int count = 0;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(read_text(text, &e, &count, &err), 0);
    CU_ASSERT_EQUAL(e->load, VIDUR_MEASURED_CLOSED_LOOP);
    CU_ASSERT_STRING_EQUAL(e->device, "b200");
    CU_ASSERT_EQUAL(e->expert_parallel, VIDUR_STATED_YES);
    CU_ASSERT_EQUAL(e->prefix_caching, VIDUR_STATED_NO);
    CU_ASSERT_EQUAL(e->data_parallel_size, 2);
    CU_ASSERT_EQUAL(e->max_num_seqs, 0); /* not stated */
    CU_ASSERT_EQUAL(e->cpu_cores, 6);
    CU_ASSERT_EQUAL(e->precision.weights, VIDUR_DTYPE_bf16);
    CU_ASSERT_EQUAL(e->precision.experts, VIDUR_DTYPE_mxfp4);
    CU_ASSERT_EQUAL(e->precision.attention, -1);
    CU_ASSERT_EQUAL(e->precision.kv_cache, VIDUR_DTYPE_fp8);
    CU_ASSERT_EQUAL(e->concurrency, 8);
    CU_ASSERT_EQUAL(e->num_requests, 80);
    CU_ASSERT_EQUAL(e->prompt.min, 819);
    CU_ASSERT_EQUAL(e->output.max, 301);
    CU_ASSERT_EQUAL(e->num_stages, 1);
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].tpot.mean, 0.01, 1e-12);
    CU_ASSERT_TRUE(isnan(e->stages[0].ttft.p99));
    /* 201 tokens on average: 200 gaps */
    CU_ASSERT_TRUE(e->e2e_derived);
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].e2e.mean, 0.5 + 200 * 0.01, 1e-12);
    vidur_measured_free(e, count);
}

static void test_bad_loops(void)
{
    static const struct {
        const char *precision, *min, *expect;
    } rows[] = {{"\"fp9\"", "819", "precision: 'fp9' is no precision"},
                {"{\"experts\": 4}", "819", "precision.experts"},
                {"\"fp8\"", "2000", "prompt_tokens: 2000 to 1024 tokens"},
                {"\"fp8\"", "0", "prompt_tokens.min: 0; must be above 0"},
                {"\"fp8\", \"pools\": 3", "819", "pools: no list of 1 to 4 pools"},
                {"\"fp8\", \"pools\": []", "819", "pools: no list of 1 to 4 pools"},
                {"\"fp8\", \"pools\": [{\"num_replicas\": 2}]", "819", "pools.0.role"},
                {"\"fp8\", \"pools\": [{\"role\": \"both\"}]", "819",
                 "pools.0.role: 'both' is no role; all, prefill or decode"},
                {"\"fp8\", \"pools\": [{\"role\": \"all\", \"num_replicas\": 0}]",
                 "819", "pools.0.num_replicas: 0; 1 or more"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[2048];
        struct vidur_measured_experiment *e = NULL;
        int count = 0;
        struct vidur_error err = {0};
        snprintf(text, sizeof text, LOOP, rows[i].precision, rows[i].min);
        CU_ASSERT_EQUAL(read_text(text, &e, &count, &err), -1);
        assert_contains(err.text, rows[i].expect);
    }
}

/* ---- vllm bench serve ---- */

#define BENCH                                                                          \
    "{\"date\": \"20260101-000000\", \"model_id\": \"org/m\", \"num_prompts\": 4, "    \
    "\"completed\": 4, \"total_input_tokens\": 402, \"total_output_tokens\": 80, "     \
    "\"burstiness\": 4.0, \"mean_ttft_ms\": 50, \"median_ttft_ms\": 40, "              \
    "\"p99_ttft_ms\": 90, \"mean_tpot_ms\": 10, \"max_num_seqs\": \"64\", "            \
    "\"device\": \"h100\", %s}"

static struct vidur_measured_experiment *read_bench(const char *more)
{
    char text[2048];
    struct vidur_measured_experiment *e = NULL;
    int count = 0;
    struct vidur_error err = {0};
    snprintf(text, sizeof text, BENCH, more);
    if (read_text(text, &e, &count, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    CU_ASSERT_EQUAL(count, 1);
    return e;
}

static void test_bench_serve_closed(void)
{
    struct vidur_measured_experiment *e =
        read_bench("\"request_rate\": \"inf\", \"max_concurrency\": 2");
    CU_ASSERT_STRING_EQUAL(e->id, "m-c2-20260101-000000");
    CU_ASSERT_STRING_EQUAL(e->model, "org/m");
    CU_ASSERT_EQUAL(e->load, VIDUR_MEASURED_CLOSED_LOOP);
    CU_ASSERT_EQUAL(e->concurrency, 2);
    CU_ASSERT_EQUAL(e->num_requests, 4);
    CU_ASSERT_EQUAL(e->max_num_seqs, 64); /* --metadata writes texts */
    CU_ASSERT_STRING_EQUAL(e->device, "h100");
    /* 402 / 4, rounded, and 80 / 4 */
    CU_ASSERT_EQUAL(e->prompt.max, 101);
    CU_ASSERT_EQUAL(e->output.min, 20);
    CU_ASSERT_PTR_NOT_NULL(strstr(e->note, "mean lengths, 101 and 20"));
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].ttft.p50, 0.040, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].ttft.p99, 0.090, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].e2e.mean, 0.05 + 19 * 0.01, 1e-12);
    vidur_measured_free(e, 1);
    /* Without a limit all are sent at once. */
    e = read_bench("\"request_rate\": \"inf\", \"max_concurrency\": null");
    CU_ASSERT_EQUAL(e->concurrency, 4);
    vidur_measured_free(e, 1);
}

static void test_bench_serve_open(void)
{
    struct vidur_measured_experiment *e =
        read_bench("\"request_rate\": 2.5, \"mean_e2el_ms\": 300, \"input_lens\": "
                   "[100, 90, 7, 110], \"output_lens\": [10, 20, 0, 33]");
    CU_ASSERT_EQUAL(e->load, VIDUR_MEASURED_OPEN_LOOP);
    CU_ASSERT_DOUBLE_EQUAL(e->rate_qps, 2.5, 0);
    CU_ASSERT_DOUBLE_EQUAL(e->burstiness, 4, 0);
    CU_ASSERT_EQUAL_FATAL(e->num_requests, 3); /* one failed */
    CU_ASSERT_EQUAL(e->prompt.list[2], 110);
    CU_ASSERT_EQUAL(e->output.list[2], 33);
    CU_ASSERT_PTR_NOT_NULL(strstr(e->note, "as measured; failed ones left out"));
    CU_ASSERT_FALSE(e->e2e_derived);
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].e2e.mean, 0.3, 1e-12);
    CU_ASSERT_STRING_EQUAL(e->left_out, "");
    vidur_measured_free(e, 1);
    e = read_bench("\"request_rate\": 2.5, \"max_concurrency\": 2");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->left_out, "request_rate and max_concurrency"));
    vidur_measured_free(e, 1);
    e = read_bench("\"request_rate\": 2.5, \"ramp_up_strategy\": \"linear\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->left_out, "ramp_up_strategy"));
    vidur_measured_free(e, 1);
}

static void test_bad_benches(void)
{
    static const char *const rows[][2] = {
        {"\"request_rate\": \"fast\"", "request_rate: 'fast'"},
        {"\"max_concurrency\": 0", "max_concurrency: 0; 1 or more"},
        {"\"max_model_len\": \"4k\"", "max_model_len: '4k' is no integer"},
        {"\"input_lens\": [1, 2], \"output_lens\": [1]", "output_lens: 1 lengths"},
        {"\"input_lens\": [1], \"output_lens\": [0]", "no request has an output"},
        {"\"input_lens\": [1], \"output_lens\": [-1]", "output_lens.0: -1 tokens"},
        {"\"p99_tpot_ms\": -1", "p99_tpot_ms: -1; must be above 0"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[2048];
        struct vidur_measured_experiment *e = NULL;
        int count = 0;
        struct vidur_error err = {0};
        snprintf(text, sizeof text, BENCH, rows[i][0]);
        CU_ASSERT_EQUAL(read_text(text, &e, &count, &err), -1);
        assert_contains(err.text, rows[i][1]);
    }
    struct vidur_measured_experiment *e = NULL;
    int count = 0;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(read_text("[{\"id\": \"x\"}]", &e, &count, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "0: of no known format"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "vllm bench serve"));
}

/* ---- Published ---- */

static int read_published(const char *name, struct vidur_measured_experiment **e)
{
    const char *shared = vidur_test_shared_dir();
    char path[1024];
    int count = 0;
    struct vidur_error err = {0};
    if (!shared)
        vidur_test_skip_golden();
    snprintf(path, sizeof path, "%s/measured/%s", shared, name);
    if (vidur_measured_read(path, e, &count, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return count;
}

static void test_published_loops(void)
{
    struct vidur_measured_experiment *e = NULL;
    int count = read_published("closed-loop.json", &e);
    int in_parallel = 0;
    CU_ASSERT_EQUAL(count, 521);
    for (int i = 0; i < count; i++)
        in_parallel += e[i].data_parallel_size > 1;
    CU_ASSERT_EQUAL(in_parallel, 53);
    vidur_measured_free(e, count);
    count = read_published("pools.json", &e);
    CU_ASSERT_EQUAL(count, 30);
    int pools = 0;
    for (int i = 0; i < count; i++)
        pools += e[i].num_pools == 2 && e[i].pools[0].role == VIDUR_POOL_PREFILL &&
                 e[i].pools[1].role == VIDUR_POOL_DECODE;
    CU_ASSERT_EQUAL(pools, 12);
    CU_ASSERT_EQUAL(e[0].pools[1].num_replicas, 3);
    CU_ASSERT_EQUAL(e[0].pools[1].tensor_parallel_size, 4);
    CU_ASSERT_EQUAL(e[count - 1].max_num_seqs, 0);
    vidur_measured_free(e, count);
}

VIDUR_TEST_MAIN("measured", {"one experiment", test_one_experiment},
                {"bad files", test_bad_files}, {"closed loop", test_closed_loop},
                {"bad loops", test_bad_loops},
                {"bench serve, closed", test_bench_serve_closed},
                {"bench serve, open", test_bench_serve_open},
                {"bad benches", test_bad_benches},
                {"published", test_published_measurements},
                {"published loops", test_published_loops})
