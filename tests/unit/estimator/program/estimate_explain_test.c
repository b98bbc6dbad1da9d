#define _POSIX_C_SOURCE 200809L

#include "test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* `vidur-estimate explain` as users run it, on a configuration of configs/. */

static char text[16384];

/* Its output and errors are in `text`; the exit status. */
static int explain(const char *config, const char *options)
{
    char command[4096];
    snprintf(command, sizeof command,
             "'%s/vidur-estimate' explain '%s/configs/%s.yaml' %s 2>&1",
             VIDUR_TEST_BIN_DIR, VIDUR_TEST_SOURCE_DIR, config, options);
    FILE *pipe = popen(command, "r");
    CU_ASSERT_FATAL(pipe != NULL);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char v1[] = "simulate-vllm-v1-h100", reference[] = "simulate-reference";

/* The lines add up to the step; CSV says the same. */
static void test_sums(void)
{
    CU_ASSERT_EQUAL(explain(v1, "--decodes 30 --prompt 512 --prefix 64"), 0);
    assert_contains(text,
                    "# meta-llama/Llama-2-7b-hf on h100 (h100_dgx), tensor parallel 1, "
                    "one device\n");
    assert_contains(text,
                    "# 30 decodes of 1024 tokens, a prompt's 512 tokens behind 64: 542 "
                    "tokens, run as 542;");
    assert_contains(text, "# kind 1: 32 layers, 32 query heads, 32 KV heads of 128");
    const char *last = strstr(text, "# step");
    CU_ASSERT_FATAL(last != NULL);
    const double step_ms = strtod(last + strlen("# step"), NULL);
    CU_ASSERT_EQUAL(explain(v1, "--decodes 30 --prompt 512 --prefix 64 --csv"), 0);
    CU_ASSERT_EQUAL(strncmp(text, "operator,part,kind,times,ms_each,ms,share,", 42), 0);
    double sum_ms = 0;
    for (const char *line = strchr(text, '\n'); line && line[1];
         line = strchr(line + 1, '\n')) {
        const char *cell = line + 1;
        for (int column = 0; column < 5; column++) {
            cell = strchr(cell, ',');
            CU_ASSERT_FATAL(cell != NULL);
            cell++;
        }
        sum_ms += strtod(cell, NULL);
    }
    CU_ASSERT_DOUBLE_EQUAL(sum_ms, step_ms, 1e-3);
}

/* A pipeline is told stage by stage, those that are alike together. */
static void test_stages(void)
{
    const char *const options = "--decodes 8 --set cluster.num_pipeline_stages=5";
    CU_ASSERT_EQUAL(explain(v1, options), 0);
    assert_contains(text, "pipeline of 5, one device\n");
    assert_contains(text, "# stage 1 of 5, sends within its node\n# kind 1: 6 layers,");
    assert_contains(text, "# stage 2 of 5, sends within its node\n# kind 1: 6 layers,");
    assert_contains(text,
                    "# stage 3, 4 of 5, sends within its node\n# kind 1: 7 layers,");
    assert_contains(text,
                    "# stage 5 of 5, which has the output head\n# kind 1: 6 layers,");
    const char *all = strstr(text, "# all stages");
    CU_ASSERT_FATAL(all != NULL);
    const double way_ms = strtod(all + strlen("# all stages"), NULL);
    CU_ASSERT_EQUAL(explain(v1, "--decodes 8"), 0);
    const char *step = strstr(text, "# step");
    CU_ASSERT_FATAL(step != NULL);
    const double step_ms = strtod(step + strlen("# step"), NULL);
    /* four sends, each of some microseconds */
    CU_ASSERT(way_ms > step_ms + 4 * 0.002 && way_ms < step_ms + 4 * 0.02);
    CU_ASSERT_EQUAL(
        explain(v1, "--decodes 8 --csv --set cluster.num_pipeline_stages=5"), 0);
    CU_ASSERT_EQUAL(strncmp(text, "stage,operator,part,", 20), 0);
    assert_contains(text, "\n1,embedding,");
    assert_contains(text, "\n4,send_recv,communication,");
    assert_contains(text, "\n5,head,");
    CU_ASSERT_PTR_NULL(strstr(text, "\n5,send_recv"));
    CU_ASSERT_PTR_NULL(strstr(text, "\n4,head"));
}

/* Times of an engine are the roofline's unless the configuration says otherwise. */
static void test_sources(void)
{
    CU_ASSERT_EQUAL(explain(reference, ""), 0);
    assert_contains(text, "# engine step model, synthetic roofline of a100");
    CU_ASSERT_EQUAL(explain(reference, "--set estimator.source=profiles "
                                       "--set estimator.profiles=."),
                    1);
    assert_contains(text, "use kernels or roofline");
}

static void test_errors(void)
{
    CU_ASSERT_EQUAL(explain(v1, "--set cluster.num_pipeline_stages=33"), 1);
    assert_contains(text, "num_pipeline_stages: 33 stages for the 32 layers");
    CU_ASSERT_EQUAL(explain(v1, "--decodes 0"), 1);
    assert_contains(text, "explain: a step has decodes, a prompt or both");
    CU_ASSERT_EQUAL(explain(v1, "--decodes many"), 1);
    assert_contains(text, "--decodes");
    CU_ASSERT_EQUAL(explain(v1, "other.yaml"), 1);
    assert_contains(text, "explain takes one configuration");
}

VIDUR_TEST_MAIN("vidur-estimate explain", {"sums", test_sums}, {"stages", test_stages},
                {"sources", test_sources}, {"errors", test_errors})
