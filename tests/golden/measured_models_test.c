#include "temp_dir.h"
#include "test.h"

#include "compare/compare.h"

#include <vidur/sku.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * 521 measurements of vLLM 0.10 to 0.19 in closed loops (Llama-3.1-70B, gpt-oss-120b,
 * MiniMax-M2.5, Kimi-K2.5; H100 and B200), simulated: medians of the absolute errors in
 * per cent, over all rows and by model, precision and device; 53 of them with attention
 * in data parallel, which are groups of their own. And 30 of replicas behind a balancer
 * and of what is labelled as pools that prefill and decode.
 */

struct bounds {
    const char *model, *precision, *device; /* NULL: all with as many ranks */
    double tpot, ttft;
    int ranks; /* in data parallel; 0: one */
};

enum { NUM_ROWS = 521 };

/* The measurements' README says of MiniMax on B200 that max_num_batched_tokens was
 * twice the prompts' length; its file says 8192 of all. A line is an experiment. */
static void correct(char *line, size_t size)
{
    static const char stated[] = "\"max_num_batched_tokens\": 8192";
    static const char longest[] = "\"prompt_tokens\": {\"min\": ";
    char *at = strstr(line, stated), *prompt = strstr(line, longest);
    char rest[4096];
    int min, max;
    if (!strstr(line, "MiniMax") || !strstr(line, "\"b200\"") || !at || !prompt)
        return;
    CU_ASSERT_EQUAL_FATAL(
        sscanf(prompt + sizeof longest - 1, "%d, \"max\": %d", &min, &max), 2);
    snprintf(rest, sizeof rest, "%s", at + sizeof stated - 1);
    snprintf(at, size - (size_t)(at - line), "\"max_num_batched_tokens\": %d%s",
             2 * max, rest);
}

static void copy_corrected(const char *from, const char *to)
{
    char line[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    while (fgets(line, sizeof line, in)) {
        correct(line, sizeof line);
        fputs(line, out);
    }
    fclose(in);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Whether the row is of the bounds' group: of all models with or without ranks where
 * they name none. */
static bool belongs(const struct vidur_compared_stage *stage, const struct bounds *b)
{
    const struct vidur_compared_server *s = stage->server;
    return (s->data_parallel_size > 1) == (b->ranks > 1) &&
           (!b->model || (strcmp(s->model, b->model) == 0 &&
                          strcmp(s->precision, b->precision) == 0 &&
                          strcmp(s->device, b->device) == 0));
}

static void check(const struct vidur_comparison *comparison, const struct bounds *b,
                  enum vidur_compared which, double bound)
{
    double errors[NUM_ROWS];
    int count = 0;
    for (int i = 0; i < vidur_comparison_count(comparison); i++) {
        const struct vidur_compared_stage *stage =
            &vidur_comparison_stages(comparison)[i];
        if (belongs(stage, b) && count < NUM_ROWS)
            errors[count++] = 100 * fabs(vidur_compared_error(stage, which));
    }
    CU_ASSERT_TRUE_FATAL(count > 0);
    qsort(errors, (size_t)count, sizeof *errors, compare_doubles);
    const double median = (errors[(count - 1) / 2] + errors[count / 2]) / 2;
    CU_ASSERT_TRUE(median <= bound);
    if (!(median <= bound))
        printf("\n  %s %s %s%s, %s: median of %d errors %.2f %%, more than %g",
               b->model ? b->model : "all", b->model ? b->precision : "",
               b->model ? b->device : "", b->ranks > 1 ? ", data parallel" : "",
               vidur_compared_name(which), count, median, bound);
}

static void check_groups(const struct vidur_comparison *comparison,
                         const struct bounds *bounds, int count)
{
    for (int i = 0; i < count; i++) {
        check(comparison, &bounds[i], VIDUR_COMPARED_tpot_mean, bounds[i].tpot);
        check(comparison, &bounds[i], VIDUR_COMPARED_ttft_mean, bounds[i].ttft);
    }
}

static void check_rows(const struct vidur_comparison *comparison)
{
    CU_ASSERT_EQUAL(vidur_comparison_count(comparison), NUM_ROWS);
    for (int i = 0; i < vidur_comparison_count(comparison); i++) {
        const struct vidur_compared_stage *stage =
            &vidur_comparison_stages(comparison)[i];
        CU_ASSERT_PTR_NULL(stage->left_out);
        CU_ASSERT_EQUAL(stage->num_completed, stage->num_requests);
    }
}

#define CONFIG VIDUR_TEST_SOURCE_DIR "/configs/simulate-vllm-v1-h100.yaml"

/* Both devices have a spec that names its kernel timings. */
static void need_devices(void)
{
    static const char *const devices[] = {"h100", "b200"};
    for (int i = 0; i < 2; i++) {
        struct vidur_device_sku device;
        if (vidur_device_sku_load(&device, devices[i], NULL) ||
            !device.kernel_system[0])
            vidur_test_skip("no spec of an h100 and a b200 with kernel_system");
    }
}

static struct vidur_comparison *run(const struct vidur_comparison_options *options)
{
    struct vidur_comparison *comparison = NULL;
    struct vidur_error err = {0};
    if (vidur_comparison_open(&comparison, options, &err) ||
        vidur_comparison_run(comparison, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return comparison;
}

static void compare(const char *estimator, const struct bounds *bounds, int count)
{
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    need_devices();
    char published[1024], set[2048];
    const char *sets[] = {set};
    struct temp_dir folder;
    temp_dir_make(&folder);
    const struct temp_path measured = temp_dir_path(&folder, "closed-loop.json");
    snprintf(published, sizeof published, "%s/measured/closed-loop.json", shared);
    copy_corrected(published, measured.text);
    snprintf(set, sizeof set, estimator, shared);
    const struct vidur_comparison_options options = {.config_path = CONFIG,
                                                     .measured_path = measured.text,
                                                     .sets = sets,
                                                     .num_sets = 1};
    struct vidur_comparison *comparison = run(&options);
    check_rows(comparison);
    check_groups(comparison, bounds, count);
    vidur_comparison_close(comparison);
    temp_dir_remove(&folder);
}

#define LLAMA   "meta-llama/Llama-3.1-70B"
#define GPT_OSS "openai/gpt-oss-120b"
#define MINIMAX "MiniMaxAI/MiniMax-M2.5"
#define KIMI    "moonshotai/Kimi-K2.5"

static void test_kernels(void)
{
    static const struct bounds bounds[] = {
        {NULL, NULL, NULL, 9, 16, 0},
        {NULL, NULL, NULL, 9, 26, 4},
        {LLAMA, "fp8", "h100", 4, 13, 0},
        {LLAMA, "fp8, KV cache fp8", "b200", 11, 19, 0},
        {LLAMA, "nvfp4, KV cache fp8", "b200", 9, 15, 0},
        {GPT_OSS, "bf16, experts mxfp4", "h100", 7, 19, 0},
        {GPT_OSS, "bf16, experts mxfp4", "b200", 13, 27, 0},
        {MINIMAX, "fp8_block, KV cache fp8", "h100", 4, 16, 0},
        {MINIMAX, "fp8_block, KV cache fp8", "b200", 14, 16, 0},
        {MINIMAX, "bf16, experts nvfp4, KV cache fp8", "b200", 14, 16, 0},
        {KIMI, "bf16, experts int4", "b200", 10, 10, 0},
        {KIMI, "bf16, experts nvfp4, KV cache fp8", "b200", 7, 21, 0},
        {MINIMAX, "fp8_block, KV cache fp8", "h100", 5, 21, 4},
        {MINIMAX, "fp8_block, KV cache fp8", "b200", 10, 23, 4},
        {MINIMAX, "bf16, experts nvfp4, KV cache fp8", "b200", 7, 24, 4},
        {KIMI, "bf16, experts nvfp4, KV cache fp8", "b200", 17, 44, 4}};
    compare("estimator={source: kernels, kernels: %s/profiles/kernels}", bounds,
            sizeof bounds / sizeof *bounds);
}

static void test_roofline(void)
{
    static const struct bounds bounds[] = {{NULL, NULL, NULL, 9, 21, 0},
                                           {NULL, NULL, NULL, 13, 35, 4}};
    compare("estimator={source: roofline}%.0s", bounds, 2);
}

/* ---- Replicas behind a balancer, and pools ---- */

struct pool_bounds {
    const char *pools; /* "": replicas that are all alike */
    int rows;
    double tpot, ttft, e2e;
};

static void check_errors(const char *name, const struct vidur_compared_errors *errors,
                         double bound)
{
    CU_ASSERT_TRUE(errors->count > 0);
    CU_ASSERT_TRUE(100 * errors->median <= bound);
    if (!(100 * errors->median <= bound))
        printf("\n  %s: median of %d errors %.2f %%, more than %g", name, errors->count,
               100 * errors->median, bound);
}

static void check_pools(const struct vidur_comparison *comparison,
                        const struct pool_bounds *b)
{
    struct vidur_compared_errors errors[VIDUR_NUM_COMPARED];
    struct vidur_compared_server group = {
        .model = LLAMA, .precision = "bf16", .device = "h100"};
    const char *name = b->pools[0] ? b->pools : "replicas";
    snprintf(group.pools, sizeof group.pools, "%s", b->pools);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_errors(comparison, &group, errors, NULL), 0);
    CU_ASSERT_EQUAL(errors[VIDUR_COMPARED_tpot_mean].count, b->rows);
    check_errors(name, &errors[VIDUR_COMPARED_tpot_mean], b->tpot);
    check_errors(name, &errors[VIDUR_COMPARED_ttft_mean], b->ttft);
    check_errors(name, &errors[VIDUR_COMPARED_e2e_mean], b->e2e);
}

/* Where few clients are served nothing queues: each row of pools is near, in TPOT. */
static void check_few_clients(const struct vidur_comparison *comparison)
{
    int count = 0;
    for (int i = 0; i < vidur_comparison_count(comparison); i++) {
        const struct vidur_compared_stage *stage =
            &vidur_comparison_stages(comparison)[i];
        CU_ASSERT_PTR_NULL(stage->left_out);
        CU_ASSERT_EQUAL(stage->num_completed, stage->num_requests);
        if (stage->experiment->num_pools == 0 || stage->experiment->concurrency > 8)
            continue;
        count++;
        CU_ASSERT_TRUE(fabs(vidur_compared_error(stage, VIDUR_COMPARED_tpot_mean)) <
                       0.2);
    }
    CU_ASSERT_EQUAL(count, 4);
}

/* Simulates pools.json, or `served`, a copy, with what is set; checks one or two
 * groups. */
static void compare_pools(const char *estimator, const char *served,
                          const char *const *limits, const struct pool_bounds bounds[2])
{
    const char *shared = vidur_test_shared_dir();
    char measured[1024], set[2048];
    const char *sets[8] = {set};
    int num_sets = 1;
    if (!shared)
        vidur_test_skip_golden();
    need_devices();
    snprintf(measured, sizeof measured, "%s/measured/pools.json", shared);
    snprintf(set, sizeof set, estimator, shared);
    for (; limits && limits[num_sets - 1]; num_sets++)
        sets[num_sets] = limits[num_sets - 1];
    const struct vidur_comparison_options options = {.config_path = CONFIG,
                                                     .measured_path =
                                                         served ? served : measured,
                                                     .sets = sets,
                                                     .num_sets = num_sets};
    struct vidur_comparison *comparison = run(&options);
    CU_ASSERT_EQUAL(vidur_comparison_count(comparison), 30);
    for (int i = 0; i < 2 && bounds[i].pools; i++) {
        if (bounds[i].pools[0])
            check_few_clients(comparison);
        check_pools(comparison, &bounds[i]);
    }
    vidur_comparison_close(comparison);
}

#define KERNELS      "estimator={source: kernels, kernels: %s/profiles/kernels}"
#define ROOFLINE_SET "estimator={source: roofline}"
#define ROOFLINE     ROOFLINE_SET "%.0s"

/* As they are labelled: with the configuration's limits, and with what vLLM of their
 * time defaults to on the device. */
static void test_pools(void)
{
    static const char *const of_its_time[] = {
        "scheduler.async_scheduling=false", "scheduler.max_num_batched_tokens=8192",
        "scheduler.max_num_seqs=1024", "router=lor", NULL};
    static const struct pool_bounds roofline[] = {{"", 18, 20, 18, 19},
                                                  {"pools", 12, 33, 165, 15}},
                                    kernels[] = {{"", 18, 22, 13, 21},
                                                 {"pools", 12, 33, 155, 17}},
                                    roofline_then[] = {{"", 18, 23, 10, 18},
                                                       {"pools", 12, 33, 159, 17}},
                                    kernels_then[] = {{"", 18, 24, 11, 19},
                                                      {"pools", 12, 33, 142, 17}};
    compare_pools(ROOFLINE, NULL, NULL, roofline);
    compare_pools(KERNELS, NULL, NULL, kernels);
    compare_pools(ROOFLINE, NULL, of_its_time, roofline_then);
    compare_pools(KERNELS, NULL, of_its_time, kernels_then);
}

/* Pods of both roles served whole requests: see data/FIDELITY.md. */
static void copy_as_served(const char *from, const char *to)
{
    static const char *const roles[] = {"\"role\": \"prefill\"",
                                        "\"role\": \"decode\""};
    static const char all[] = "\"role\": \"all\"";
    char line[4096];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    while (fgets(line, sizeof line, in)) {
        for (int i = 0; i < 2; i++) {
            char *at = strstr(line, roles[i]);
            if (at) { /* filled up with spaces */
                memset(at, ' ', strlen(roles[i]));
                memcpy(at, all, sizeof all - 1);
            }
        }
        fputs(line, out);
    }
    fclose(in);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
}

/* As the benchmark's scripts deployed them. */
static void test_pools_as_deployed(void)
{
    static const char *const pods[] = {"scheduler.async_scheduling=false",
                                       "scheduler.max_num_batched_tokens=8192",
                                       "scheduler.max_num_seqs=1024",
                                       "scheduler.block_size=128",
                                       "router=polled",
                                       NULL};
    static const char *const standalone[] = {"scheduler.async_scheduling=false",
                                             "scheduler.max_num_batched_tokens=8192",
                                             "scheduler.max_num_seqs=1024",
                                             "scheduler.gpu_memory_utilization=0.95",
                                             "cluster.cpu_cores=4",
                                             "router=random",
                                             NULL};
    static const struct pool_bounds pods_roofline[2] = {{"pools", 12, 8, 23, 9}},
                                    pods_kernels[2] = {{"pools", 12, 9, 25, 10}},
                                    roofline[2] = {{"", 18, 8, 10, 7}},
                                    kernels[2] = {{"", 18, 8, 12, 7}};
    const char *shared = vidur_test_shared_dir();
    char published[1024];
    struct temp_dir folder;
    if (!shared)
        vidur_test_skip_golden();
    temp_dir_make(&folder);
    const struct temp_path served = temp_dir_path(&folder, "served.json");
    snprintf(published, sizeof published, "%s/measured/pools.json", shared);
    copy_as_served(published, served.text);
    compare_pools(ROOFLINE, served.text, pods, pods_roofline);
    compare_pools(KERNELS, served.text, pods, pods_kernels);
    compare_pools(ROOFLINE, NULL, standalone, roofline);
    compare_pools(KERNELS, NULL, standalone, kernels);
    temp_dir_remove(&folder);
}

/* One client of replicas on four cores: their steps fit four and five times into a
 * period of the limit, whatever the rest of a step takes. */
static void test_replicas_on_four_cores(void)
{
    static const char *const sets[] = {ROOFLINE_SET, "scheduler.async_scheduling=false",
                                       "scheduler.max_num_batched_tokens=8192",
                                       "cluster.cpu_cores=4"};
    const char *shared = vidur_test_shared_dir();
    char measured[1024];
    if (!shared)
        vidur_test_skip_golden();
    need_devices();
    snprintf(measured, sizeof measured, "%s/measured/pools.json", shared);
    const struct vidur_comparison_options options = {
        .config_path = CONFIG,
        .measured_path = measured,
        .experiments = "llama-3.1-70b-bf16-h100-1x-tp4-c1,"
                       "llama-3.1-70b-bf16-h100-1x-tp8-c1,"
                       "llama-3.1-70b-bf16-h100-4x-tp4-c1",
        .sets = sets,
        .num_sets = 4};
    struct vidur_comparison *comparison = run(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_count(comparison), 3);
    for (int i = 0; i < 3; i++) {
        const struct vidur_compared_stage *stage =
            &vidur_comparison_stages(comparison)[i];
        CU_ASSERT_TRUE(fabs(vidur_compared_error(stage, VIDUR_COMPARED_tpot_mean)) <
                       0.03);
    }
    vidur_comparison_close(comparison);
}

/*
 * Whole runs of another program with the same rules, in ms: of it, not of an engine.
 * The run that is short of memory swings with the lengths drawn.
 */
static void test_whole_runs(void)
{
    static const struct {
        const char *id;
        double tpot_ms, ttft_ms, within;
    } rows[] = {{"llama-3.1-70b-fp8-h100-tp4-1024x1024-c8", 12.35, 114, 0.03},
                {"llama-3.1-70b-fp8-h100-tp4-1024x1024-c64", 19.21, 278, 0.03},
                {"llama-3.1-70b-fp8-h100-tp2-8192x1024-c64", 50.45, 52915, 0.1},
                {"gpt-oss-120b-fp4-h100-tp2-1024x1024-c4-v0.18.0", 5.1, 55, 0.03},
                {"gpt-oss-120b-fp4-h100-tp2-1024x1024-c64-v0.18.0", 15.0, 120, 0.03},
                {"kimi-k2.5-int4-b200-tp8-1024x1024-c4-v0.15.1", 9.2, 107, 0.03},
                {"kimi-k2.5-int4-b200-tp8-1024x1024-c64-v0.15.1", 28.5, 294, 0.03}};
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    need_devices();
    enum { NUM = sizeof rows / sizeof *rows };
    char ids[1024] = "", measured[1024], set[2048];
    const char *sets[] = {set};
    for (int i = 0; i < NUM; i++) {
        const size_t used = strlen(ids);
        snprintf(ids + used, sizeof ids - used, "%s%s", i ? "," : "", rows[i].id);
    }
    snprintf(measured, sizeof measured, "%s/measured/closed-loop.json", shared);
    snprintf(set, sizeof set,
             "estimator={source: kernels, kernels: %s/profiles/kernels}", shared);
    const struct vidur_comparison_options options = {.config_path = CONFIG,
                                                     .measured_path = measured,
                                                     .experiments = ids,
                                                     .sets = sets,
                                                     .num_sets = 1};
    struct vidur_comparison *comparison = run(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_count(comparison), NUM);
    for (int i = 0; i < NUM; i++) {
        const struct vidur_compared_stage *stages = vidur_comparison_stages(comparison);
        for (int k = 0; k < NUM; k++) {
            if (strcmp(stages[k].experiment->id, rows[i].id) != 0)
                continue;
            const double *p = stages[k].predicted_s;
            const double tpot = 1e3 * p[VIDUR_COMPARED_tpot_mean] / rows[i].tpot_ms;
            const double ttft = 1e3 * p[VIDUR_COMPARED_ttft_mean] / rows[i].ttft_ms;
            CU_ASSERT_DOUBLE_EQUAL(tpot, 1, rows[i].within);
            CU_ASSERT_DOUBLE_EQUAL(ttft, 1, rows[i].within);
            if (fabs(tpot - 1) > rows[i].within || fabs(ttft - 1) > rows[i].within)
                printf("\n  %s: %.3f and %.3f of its times", rows[i].id, tpot, ttft);
        }
    }
    vidur_comparison_close(comparison);
}

VIDUR_TEST_MAIN("measured models", {"kernel timings", test_kernels},
                {"roofline", test_roofline}, {"pools", test_pools},
                {"pools as deployed", test_pools_as_deployed},
                {"replicas on four cores", test_replicas_on_four_cores},
                {"whole runs", test_whole_runs})
