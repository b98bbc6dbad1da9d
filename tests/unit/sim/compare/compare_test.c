#include "test.h"

#include "compare/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Measurements of our own making: what the simulator says is written down as if it had
 * been measured, and has to come back.
 */

static const char config_text[] =
    "model: meta-llama/Llama-2-70b-hf\n"
    "cluster: {device: h100, network_device: h100_dgx, tensor_parallel_size: 4}\n"
    "scheduler: {type: vllm_v1}\n"
    "workload: {type: shared_prefix, seed: 3, system_prompt_tokens: 10,\n"
    "           prompt_tokens: {mean: 20}, output_tokens: 2,\n"
    "           stages: [{rate: 1, duration_s: 1}]}\n"
    "estimator: {source: roofline, cache_dir: \"\"}\n";

struct place {
    char folder[32], config[64], measured[64], csv[64];
};

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void begin(struct place *place)
{
    strcpy(place->folder, "/tmp/vidur-compare-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(place->folder));
    snprintf(place->config, sizeof place->config, "%s/a.yaml", place->folder);
    snprintf(place->measured, sizeof place->measured, "%s/m.json", place->folder);
    snprintf(place->csv, sizeof place->csv, "%s/c.csv", place->folder);
    write_text(place->config, config_text);
}

static void end(const struct place *place)
{
    unlink(place->config);
    unlink(place->measured);
    unlink(place->csv);
    rmdir(place->folder);
}

static void put_latency(FILE *f, const char *key, const double *figures)
{
    fprintf(f,
            "\"%s\": {\"mean\": %.17g, \"median\": %.17g, \"p90\": 1, \"p95\": 1, "
            "\"p99\": %.17g}",
            key, figures[0], figures[1], figures[2]);
}

static void put_stage(FILE *f, const double *figures)
{
    fputs("{", f);
    put_latency(f, "e2e_s", &figures[VIDUR_COMPARED_e2e_mean]);
    fputs(", ", f);
    put_latency(f, "ttft_s", &figures[VIDUR_COMPARED_ttft_mean]);
    fputs("}", f);
}

enum { NUM_STAGES = 3 }; /* two experiments: two stages and one */

typedef double stage_figures[VIDUR_NUM_COMPARED];

static void put_experiment(FILE *f, const char *id, int tp, stage_figures *figures,
                           int stages)
{
    fprintf(f,
            "{\"id\": \"%s\", \"model\": \"meta-llama/Llama-2-7b-hf\", "
            "\"tensor_parallel_size\": %d, \"max_model_len\": 1024, "
            "\"max_num_batched_tokens\": 512, \"max_num_seqs\": 128, "
            "\"workload\": {\"stages\": [%s{\"rate\": 10, \"duration\": 120}], "
            "\"shared_prefix\": {\"system_prompt_len\": 100, \"question_len\": 600, "
            "\"output_len\": 200}}, \"stages\": [",
            id, tp, stages == 2 ? "{\"rate\": 15, \"duration\": 80}, " : "");
    for (int i = 0; i < stages; i++) {
        if (i)
            fputs(", ", f);
        put_stage(f, figures[i]);
    }
    fputs("]}", f);
}

/* What was measured, stage by stage; NULL: a second each. */
static void write_measured(const struct place *place, stage_figures *figures)
{
    static stage_figures ones[NUM_STAGES] = {{1, 1, 1, 1, 1, 1, .5, 1, 1},
                                             {1, 1, 1, 1, 1, 1, .5, 1, 1},
                                             {1, 1, 1, 1, 1, 1, .5, 1, 1}};
    FILE *f = fopen(place->measured, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    figures = figures ? figures : ones;
    fputs("[", f);
    put_experiment(f, "first", 1, figures, 2);
    fputs(",\n", f);
    put_experiment(f, "second", 2, figures + 2, 1);
    fputs("]\n", f);
    fclose(f);
}

static struct vidur_comparison_options options_of(const struct place *place)
{
    return (struct vidur_comparison_options){.config_path = place->config,
                                             .measured_path = place->measured};
}

/* Writes down what a run with these constants says. */
static void measure(const struct place *place, const char *constants)
{
    stage_figures figures[NUM_STAGES];
    struct vidur_comparison_options options = options_of(place);
    struct vidur_comparison *c;
    struct vidur_error err = {0};
    options.sets = &constants;
    options.num_sets = 1;
    write_measured(place, NULL);
    if (vidur_comparison_open(&c, &options, &err) || vidur_comparison_run(c, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_count(c), NUM_STAGES);
    for (int i = 0; i < NUM_STAGES; i++)
        memcpy(figures[i], vidur_comparison_stages(c)[i].predicted_s,
               sizeof figures[i]);
    vidur_comparison_close(c);
    write_measured(place, figures);
}

static struct vidur_comparison *open_one(const struct vidur_comparison_options *options)
{
    struct vidur_comparison *c = NULL;
    struct vidur_error err = {0};
    if (vidur_comparison_open(&c, options, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return c;
}

static void test_what_was_simulated_comes_back(void)
{
    struct place place;
    struct vidur_compared_errors errors[VIDUR_NUM_COMPARED];
    begin(&place);
    measure(&place, "estimator.constants={eta: 0.7, t_api_ms: 5}");
    const char *set = "estimator.constants={eta: 0.7, t_api_ms: 5}";
    struct vidur_comparison_options options = options_of(&place);
    options.sets = &set;
    options.num_sets = 1;
    struct vidur_comparison *c = open_one(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c, NULL), 0);
    const struct vidur_compared_stage *stages = vidur_comparison_stages(c);
    for (int i = 0; i < NUM_STAGES; i++)
        for (int which = 0; which < VIDUR_NUM_COMPARED; which++) {
            if (which == VIDUR_COMPARED_tpot_p50 || which == VIDUR_COMPARED_tpot_p99)
                continue; /* this format has none */
            CU_ASSERT_DOUBLE_EQUAL(
                vidur_compared_error(&stages[i], (enum vidur_compared)which), 0, 1e-12);
        }
    CU_ASSERT_STRING_EQUAL(stages[0].experiment->id, "first");
    CU_ASSERT_EQUAL(stages[1].stage, 1);
    CU_ASSERT_STRING_EQUAL(stages[2].experiment->id, "second");
    CU_ASSERT_EQUAL(stages[0].num_requests, 1200);
    CU_ASSERT_EQUAL(stages[0].num_completed, 1200);
    CU_ASSERT_EQUAL(vidur_comparison_errors(c, NULL, errors, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(errors[VIDUR_COMPARED_tpot_mean].median, 0, 1e-12);
    CU_ASSERT_EQUAL(errors[VIDUR_COMPARED_tpot_mean].count, NUM_STAGES);
    CU_ASSERT_EQUAL(errors[VIDUR_COMPARED_tpot_p50].count, 0);
    CU_ASSERT_TRUE(isnan(errors[VIDUR_COMPARED_tpot_p50].median));
    /* Other constants, other latencies; a slower API adds to the first token alone. */
    vidur_comparison_constants(c)->t_api_ms = 15;
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c, NULL), 0);
    const double later = stages[0].predicted_s[VIDUR_COMPARED_ttft_mean] -
                         stages[0].measured_s[VIDUR_COMPARED_ttft_mean];
    CU_ASSERT_DOUBLE_EQUAL(later, 0.010, 1e-5);
    CU_ASSERT_DOUBLE_EQUAL(vidur_compared_error(&stages[0], VIDUR_COMPARED_tpot_mean),
                           0, 1e-3);
    vidur_comparison_close(c);
    end(&place);
}

static void test_fit_finds_the_constants(void)
{
    struct place place;
    struct vidur_calibration calibration;
    struct vidur_engine_constants before, found;
    begin(&place);
    measure(&place, "estimator.constants={eta: 0.55, t_api_ms: 5, c_ar_us: 6}");
    const struct vidur_comparison_options options = options_of(&place);
    struct vidur_comparison *c = open_one(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c, NULL), 0);
    vidur_comparison_resolved(c, &before);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_fit(c, "t_api,eta,c_ar", &calibration, NULL),
                          0);
    vidur_comparison_resolved(c, &found);
    CU_ASSERT_DOUBLE_EQUAL(found.eta, 0.55, 0.01);
    CU_ASSERT_DOUBLE_EQUAL(found.t_api_ms, 5, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(found.c_ar_us, 6, 0.2);
    CU_ASSERT_EQUAL(found.t0_us, before.t0_us); /* not named */
    CU_ASSERT_TRUE(calibration.rms_before > 0.02);
    CU_ASSERT_TRUE(calibration.rms < 0.002);
    CU_ASSERT_TRUE(calibration.num_runs > 5);
    char text[512] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    vidur_comparison_print_constants(c, out);
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "estimator:\n  constants: {eta: 0.5"));
    vidur_comparison_close(c);
    end(&place);
}

static void test_chosen_experiments_and_files(void)
{
    struct place place;
    struct vidur_error err = {0};
    begin(&place);
    write_measured(&place, NULL);
    struct vidur_comparison_options options = options_of(&place);
    options.experiments = "second";
    struct vidur_comparison *c = open_one(&options);
    CU_ASSERT_EQUAL(vidur_comparison_count(c), 1);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c, NULL), 0);
    CU_ASSERT_EQUAL(vidur_comparison_write(c, place.csv, &err), 0);
    CU_ASSERT_EQUAL(vidur_comparison_write(c, "/dev/full", &err), -1);
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    CU_ASSERT_EQUAL(vidur_comparison_print(c, out, &err), 0);
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text,
        "meta-llama/Llama-2-7b-hf, bf16, h100, tensor_parallel_size 2\n  second"));
    CU_ASSERT_PTR_NULL(strstr(text, "not modelled"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "10/s"));
    CU_ASSERT_PTR_NULL(strstr(text, "first"));
    FILE *csv = fopen(place.csv, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, csv));
    CU_ASSERT_STRING_EQUAL(text,
                           "id,metric,predicted_s,measured_s,error_percent,model,"
                           "precision,device,tensor_parallel_size,expert_parallel,"
                           "data_parallel_size,"
                           "stage,load,not_modelled,pools\n");
    int rows = 0;
    while (fgets(text, sizeof text, csv))
        rows++;
    CU_ASSERT_EQUAL(rows, VIDUR_NUM_COMPARED - 2); /* no quantiles of TPOT */
    fclose(csv);
    vidur_comparison_close(c);
    end(&place);
}

static void test_bad_input(void)
{
    static const struct {
        const char *set, *experiments, *expect;
    } rows[] = {{"scheduler.type=sarathi", NULL, "a.yaml: scheduler.type: sarathi"},
                {"workload.seed=1", "first,third", "no experiment has the id 'third'"},
                {"workload.seed=1", "", "--experiments: empty"},
                {"cluster.devise=1", NULL, "unknown key"},
                {"scheduler.gpu_memory_utilization=0.09", NULL,
                 "m.json: first: meta-llama/Llama-2-7b-hf does not fit on 1 x h100"},
                {"estimator={source: kernels, kernels: /nowhere}", NULL, NULL}};
    struct place place;
    begin(&place);
    write_measured(&place, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vidur_comparison_options options = options_of(&place);
        struct vidur_comparison *c = NULL;
        struct vidur_error err = {0};
        options.sets = &rows[i].set;
        options.num_sets = 1;
        options.experiments = rows[i].experiments;
        if (!rows[i].expect) { /* tables are opened by the run */
            CU_ASSERT_EQUAL_FATAL(vidur_comparison_open(&c, &options, &err), 0);
            CU_ASSERT_EQUAL(vidur_comparison_run(c, &err), -1);
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "m.json: first: /nowhere"));
            vidur_comparison_close(c);
            continue;
        }
        CU_ASSERT_EQUAL(vidur_comparison_open(&c, &options, &err), -1);
        assert_contains(err.text, rows[i].expect);
    }
    end(&place);
}

static void test_bad_fits(void)
{
    static const char *const rows[][2] = {{"eta,eta", "eta: named twice"},
                                          {"", "'' is not known"},
                                          {"c_ra", "did you mean 'c_ar'"}};
    const volatile int cancelled = 1;
    struct place place;
    struct vidur_calibration calibration;
    struct vidur_error err = {0};
    begin(&place);
    write_measured(&place, NULL);
    struct vidur_comparison_options options = options_of(&place);
    options.cancel = &cancelled;
    struct vidur_comparison *c = open_one(&options);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CU_ASSERT_EQUAL(vidur_comparison_fit(c, rows[i][0], &calibration, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i][1]));
    }
    CU_ASSERT_EQUAL(vidur_comparison_fit(c, "eta", &calibration, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    vidur_comparison_close(c);
    end(&place);
}

/* ---- Other kinds of measurements ---- */

/* `more`: its model and what served it. */
static void put_loop(FILE *f, const char *id, const char *more)
{
    fprintf(
        f,
        "{\"id\": \"%s\", %s, \"workload\": {\"closed_loop\": {\"concurrency\": 6, "
        "\"num_requests\": 40, \"prompt_tokens\": {\"min\": 300, \"max\": 500}, "
        "\"output_tokens\": {\"min\": 20, \"max\": 60}}}, \"stages\": [{\"ttft_s\": "
        "{\"mean\": 0.05}, \"tpot_s\": {\"mean\": 0.01}}]}",
        id, more);
}

#define SMALL "\"model\": \"meta-llama/Llama-2-7b-hf\""

static void write_loops(const struct place *place)
{
    static const char *const rows[][2] = {
        {"plain", SMALL ", \"max_num_seqs\": 8"},
        {"other device",
         SMALL ", \"device\": \"h200 (SXM)\", \"tensor_parallel_size\": 1"},
        {"fp8", SMALL ", \"precision\": {\"weights\": \"fp8\", \"kv_cache\": \"fp8\"}"},
        {"no spec", SMALL ", \"device\": \"h1000\""},
        {"no model", "\"model\": \"no/such\""},
        {"attention", SMALL ", \"data_parallel_size\": 4"},
        {"ranks", "\"model\": \"openai/gpt-oss-20b\", \"tensor_parallel_size\": 1, "
                  "\"expert_parallel\": true, \"data_parallel_size\": 4"},
        {"roles", SMALL ", \"pools\": [{\"role\": \"prefill\"}]"},
        {"split", SMALL ", \"pools\": [{\"role\": \"prefill\", "
                        "\"tensor_parallel_size\": 2}, {\"role\": \"decode\", "
                        "\"num_replicas\": 3}]"},
        {"beside", SMALL ", \"tensor_parallel_size\": 2, \"pools\": [{\"role\": "
                         "\"all\"}, {\"role\": \"all\"}]"},
        {"short", SMALL ", \"max_model_len\": 512"},
        {"large", "\"model\": \"Qwen/Qwen-72B\", \"tensor_parallel_size\": 1"},
        {"uneven", SMALL ", \"tensor_parallel_size\": 3"},
        {"limited", SMALL ", \"cpu_cores\": 2"},
        {"two", SMALL ", \"num_replicas\": 2, \"max_num_seqs\": 8"}};
    FILE *f = fopen(place->measured, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fputs(i ? ",\n" : "[", f);
        put_loop(f, rows[i][0], rows[i][1]);
    }
    fputs("]\n", f);
    fclose(f);
}

static const struct vidur_compared_stage *find(const struct vidur_comparison *c,
                                               const char *id)
{
    for (int i = 0; i < vidur_comparison_count(c); i++)
        if (strcmp(vidur_comparison_stages(c)[i].experiment->id, id) == 0)
            return &vidur_comparison_stages(c)[i];
    CU_FAIL_FATAL("no such experiment");
    return NULL;
}

static double tpot_of(const struct vidur_comparison *c, const char *id)
{
    return find(c, id)->predicted_s[VIDUR_COMPARED_tpot_mean];
}

static void check_left_out(const struct vidur_comparison *c, const char *id,
                           const char *why)
{
    const struct vidur_compared_stage *stage = find(c, id);
    CU_ASSERT_PTR_NOT_NULL_FATAL(stage->left_out);
    CU_ASSERT_PTR_NOT_NULL(strstr(stage->left_out, why));
    if (!strstr(stage->left_out, why))
        printf("\n  %s: got: %s\n", id, stage->left_out);
    CU_ASSERT_TRUE(isnan(stage->predicted_s[VIDUR_COMPARED_ttft_mean]));
    CU_ASSERT_DOUBLE_EQUAL(stage->measured_s[VIDUR_COMPARED_ttft_mean], 0.05, 1e-12);
}

static void test_experiments_say_what_served(void)
{
    struct place place;
    struct vidur_compared_errors errors[VIDUR_NUM_COMPARED];
    begin(&place);
    write_loops(&place);
    const struct vidur_comparison_options options = options_of(&place);
    struct vidur_comparison *c = open_one(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c, NULL), 0);
    CU_ASSERT_EQUAL(vidur_comparison_count(c), 15);
    const struct vidur_compared_stage *plain = find(c, "plain");
    CU_ASSERT_PTR_NULL(plain->left_out);
    CU_ASSERT_EQUAL(plain->num_completed, 40);
    CU_ASSERT_EQUAL(plain->server->tensor_parallel_size, 4); /* the configuration's */
    CU_ASSERT_STRING_EQUAL(find(c, "other device")->server->device, "h200");
    CU_ASSERT_STRING_EQUAL(find(c, "fp8")->server->precision, "fp8, KV cache fp8");
    /* Weights of half the bytes; half the clients a replica. */
    CU_ASSERT_TRUE(tpot_of(c, "fp8") < tpot_of(c, "plain"));
    CU_ASSERT_TRUE(tpot_of(c, "two") < tpot_of(c, "plain"));
    /* Five processes spin on two cores. */
    CU_ASSERT_TRUE(tpot_of(c, "limited") > 2 * tpot_of(c, "plain"));
    CU_ASSERT_EQUAL(find(c, "ranks")->num_completed, 40);
    CU_ASSERT_EQUAL(find(c, "ranks")->server->data_parallel_size, 4);
    check_left_out(c, "no spec", "'h1000' is not in data/skus/devices");
    check_left_out(c, "no model", "no/such");
    check_left_out(c, "attention", "cluster.data_parallel_size: 4 ranks would share");
    check_left_out(c, "roles", "none of role decode");
    CU_ASSERT_STRING_EQUAL(find(c, "split")->server->pools,
                           "1 prefill of TP 2, 3 decode of TP 4");
    CU_ASSERT_STRING_EQUAL(find(c, "beside")->server->pools,
                           "1 all of TP 2, 1 all of TP 2");
    CU_ASSERT_EQUAL(find(c, "split")->num_completed, 40);
    /* Nobody's prompts between its tokens, and no more than two decode at once. */
    CU_ASSERT_TRUE(tpot_of(c, "split") < tpot_of(c, "two"));
    check_left_out(c, "short", "requests of 560 tokens are beyond max_model_len, 512");
    check_left_out(c, "large", "does not fit on 1 x h100");
    check_left_out(c, "uneven", "tensor_parallel_size");
    CU_ASSERT_EQUAL(vidur_comparison_errors(c, NULL, errors, NULL), 0);
    CU_ASSERT_EQUAL(errors[VIDUR_COMPARED_tpot_mean].count, 8);
    CU_ASSERT_EQUAL(vidur_comparison_errors(c, plain->server, errors, NULL), 0);
    CU_ASSERT_EQUAL(errors[VIDUR_COMPARED_tpot_mean].count, 3);
    static char text[16384];
    FILE *out = fmemopen(text, sizeof text, "w");
    CU_ASSERT_EQUAL(vidur_comparison_print(c, out, NULL), 0);
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "not modelled, 7 of 15 rows"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  no spec: 'h1000'"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "6 clients"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "bf16, h100, pools: 1 prefill of TP 2, 3 decode of TP 4\n  split"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "bf16, h100, pools  "));
    vidur_comparison_close(c);
    end(&place);
}

static void count_progress(void *context, int done, int total)
{
    int *calls = context;
    CU_ASSERT_EQUAL(done, ++*calls);
    CU_ASSERT_EQUAL(total, 15);
}

/* Which thread simulates an experiment is of no matter, nor which share a timetable. */
static void test_threads_and_shared_tables(void)
{
    static const char *const sets[] = {"estimator.threads=1", "estimator.threads=4"};
    struct place place;
    struct vidur_comparison *c[3];
    int calls = 0;
    begin(&place);
    write_loops(&place);
    struct vidur_comparison_options options[3];
    for (int i = 0; i < 3; i++) {
        options[i] = options_of(&place);
        options[i].sets = &sets[i == 1];
        options[i].num_sets = 1;
    }
    options[1].progress = count_progress;
    options[1].progress_context = &calls;
    options[2].experiments = "plain";
    for (int i = 0; i < 3; i++) {
        c[i] = open_one(&options[i]);
        CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c[i], NULL), 0);
    }
    CU_ASSERT_EQUAL(calls, 15);
    for (int i = 0; i < vidur_comparison_count(c[0]); i++)
        CU_ASSERT_EQUAL(memcmp(vidur_comparison_stages(c[0])[i].predicted_s,
                               vidur_comparison_stages(c[1])[i].predicted_s,
                               sizeof(stage_figures)),
                        0);
    CU_ASSERT_EQUAL(memcmp(find(c[0], "plain")->predicted_s,
                           find(c[2], "plain")->predicted_s, sizeof(stage_figures)),
                    0);
    for (int i = 0; i < 3; i++)
        vidur_comparison_close(c[i]);
    end(&place);
}

/* Requests of given lengths, one client: each is alone, so its times add up. */
static void test_bench_serve(void)
{
    static const char *const lengths[] = {
        "\"input_lens\": [400, 400], \"output_lens\": [11, 31]",
        "\"total_input_tokens\": 800, \"total_output_tokens\": 42"};
    struct place place;
    begin(&place);
    FILE *f = fopen(place.measured, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    for (int i = 0; i < 2; i++)
        fprintf(f,
                "%s{\"id\": \"b%d\", \"model_id\": \"meta-llama/Llama-2-7b-hf\", "
                "\"request_rate\": \"inf\", \"max_concurrency\": 1, \"completed\": 2, "
                "\"mean_ttft_ms\": 20, \"mean_tpot_ms\": 4, \"p99_tpot_ms\": 5, %s}",
                i ? ", " : "[", i, lengths[i]);
    fprintf(f, ", {\"id\": \"open\", \"model_id\": \"meta-llama/Llama-2-7b-hf\", "
               "\"request_rate\": 5, \"completed\": 50, \"total_input_tokens\": 20000, "
               "\"total_output_tokens\": 1000, \"mean_ttft_ms\": 20, \"mean_tpot_ms\": "
               "4}]");
    fclose(f);
    const struct vidur_comparison_options options = options_of(&place);
    struct vidur_comparison *c = open_one(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_run(c, NULL), 0);
    for (int i = 0; i < 2; i++) {
        const char *const id = i ? "b1" : "b0";
        const double *p = find(c, id)->predicted_s;
        CU_ASSERT_EQUAL(find(c, id)->num_completed, 2);
        /* 42 tokens of two requests: 20 gaps each on average */
        CU_ASSERT_DOUBLE_EQUAL(
            p[VIDUR_COMPARED_e2e_mean],
            p[VIDUR_COMPARED_ttft_mean] + 20 * p[VIDUR_COMPARED_tpot_mean], 2e-5);
    }
    CU_ASSERT_NOT_EQUAL(find(c, "b0")->predicted_s[VIDUR_COMPARED_e2e_p99],
                        find(c, "b1")->predicted_s[VIDUR_COMPARED_e2e_p99]);
    CU_ASSERT_DOUBLE_EQUAL(find(c, "b0")->measured_s[VIDUR_COMPARED_tpot_p99], 0.005,
                           1e-12);
    CU_ASSERT_EQUAL(find(c, "open")->num_completed, 50);
    vidur_comparison_close(c);
    end(&place);
}

VIDUR_TEST_MAIN("compare",
                {"what was simulated comes back", test_what_was_simulated_comes_back},
                {"fit", test_fit_finds_the_constants},
                {"chosen experiments, files", test_chosen_experiments_and_files},
                {"bad input", test_bad_input}, {"bad fits", test_bad_fits},
                {"what served", test_experiments_say_what_served},
                {"threads, shared tables", test_threads_and_shared_tables},
                {"bench serve", test_bench_serve})
