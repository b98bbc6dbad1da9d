#include "test.h"

#include "compare/measured.h"

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
    CU_ASSERT_DOUBLE_EQUAL(e->stages[0].tpot_mean_s, 0.1, 1e-12);
    CU_ASSERT_EQUAL(e->stages[0].ttft.p99, 1.3);
    free(e);
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
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "list of experiments"));
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
    free(e);
}

VIDUR_TEST_MAIN("measured", {"one experiment", test_one_experiment},
                {"bad files", test_bad_files},
                {"published", test_published_measurements})
