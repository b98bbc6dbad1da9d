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

static void put_latency(FILE *f, const char *key, double mean, double p99)
{
    fprintf(f,
            "\"%s\": {\"mean\": %.17g, \"median\": 1, \"p90\": 1, \"p95\": 1, "
            "\"p99\": %.17g}",
            key, mean, p99);
}

static void put_stage(FILE *f, const double *figures)
{
    fputs("{", f);
    put_latency(f, "e2e_s", figures[VIDUR_COMPARED_e2e_mean],
                figures[VIDUR_COMPARED_e2e_p99]);
    fputs(", ", f);
    put_latency(f, "ttft_s", figures[VIDUR_COMPARED_ttft_mean],
                figures[VIDUR_COMPARED_ttft_p99]);
    fputs("}", f);
}

enum { NUM_STAGES = 3 }; /* two experiments: two stages and one */

static void put_experiment(FILE *f, const char *id, int tp, double (*figures)[5],
                           int stages)
{
    fprintf(f,
            "{\"id\": \"%s\", \"model\": \"meta-llama/Llama-2-7b-hf\", "
            "\"tensor_parallel_size\": %d, \"max_model_len\": 1024, "
            "\"max_num_batched_tokens\": 512, \"max_num_seqs\": 128, "
            "\"workload\": {\"stages\": [%s{\"rate\": 20, \"duration\": 60}], "
            "\"shared_prefix\": {\"system_prompt_len\": 100, \"question_len\": 600, "
            "\"output_len\": 200}}, \"stages\": [",
            id, tp, stages == 2 ? "{\"rate\": 30, \"duration\": 40}, " : "");
    for (int i = 0; i < stages; i++) {
        if (i)
            fputs(", ", f);
        put_stage(f, figures[i]);
    }
    fputs("]}", f);
}

/* What was measured, stage by stage; NULL: a second each. */
static void write_measured(const struct place *place, double (*figures)[5])
{
    double ones[NUM_STAGES][5] = {{1, 1, 1, .5, 1}, {1, 1, 1, .5, 1}, {1, 1, 1, .5, 1}};
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
    double figures[NUM_STAGES][5];
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
    double medians[VIDUR_NUM_COMPARED];
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
        for (int which = 0; which < VIDUR_NUM_COMPARED; which++)
            CU_ASSERT_DOUBLE_EQUAL(
                vidur_compared_error(&stages[i], (enum vidur_compared)which), 0, 1e-12);
    CU_ASSERT_STRING_EQUAL(stages[0].experiment->id, "first");
    CU_ASSERT_EQUAL(stages[1].stage, 1);
    CU_ASSERT_STRING_EQUAL(stages[2].experiment->id, "second");
    CU_ASSERT_EQUAL(stages[0].num_requests, 1200);
    CU_ASSERT_EQUAL(stages[0].num_completed, 1200);
    vidur_comparison_medians(c, medians);
    CU_ASSERT_DOUBLE_EQUAL(medians[VIDUR_COMPARED_tpot_mean], 0, 1e-12);
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
    struct vidur_engine_constants found;
    begin(&place);
    measure(&place, "estimator.constants={eta: 0.55, t_api_ms: 5, c_ar_us: 6}");
    const struct vidur_comparison_options options = options_of(&place);
    struct vidur_comparison *c = open_one(&options);
    CU_ASSERT_EQUAL_FATAL(vidur_comparison_fit(c, "t_api,eta,c_ar", &calibration, NULL),
                          0);
    vidur_comparison_resolved(c, &found);
    CU_ASSERT_DOUBLE_EQUAL(found.eta, 0.55, 0.01);
    CU_ASSERT_DOUBLE_EQUAL(found.t_api_ms, 5, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(found.c_ar_us, 6, 0.2);
    CU_ASSERT_EQUAL(found.t0_us, 0); /* not named */
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
    vidur_comparison_print(c, out);
    fclose(out);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "second: meta-llama/Llama-2-7b-hf, tensor_parallel_size 2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "20/s"));
    CU_ASSERT_PTR_NULL(strstr(text, "first"));
    FILE *csv = fopen(place.csv, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof text, csv));
    CU_ASSERT_STRING_EQUAL(text, "experiment,model,tensor_parallel_size,stage,rate_qps,"
                                 "figure,predicted_s,measured_s,error_percent\n");
    int rows = 0;
    while (fgets(text, sizeof text, csv))
        rows++;
    CU_ASSERT_EQUAL(rows, VIDUR_NUM_COMPARED);
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
                {"scheduler.gpu_memory_utilization=0.15", NULL,
                 "m.json: first: meta-llama/Llama-2-7b-hf does not fit on 1 x h100"}};
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
        CU_ASSERT_EQUAL(vidur_comparison_open(&c, &options, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i].expect));
        if (!strstr(err.text, rows[i].expect))
            printf("\n  got: %s\n", err.text);
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

VIDUR_TEST_MAIN("compare",
                {"what was simulated comes back", test_what_was_simulated_comes_back},
                {"fit", test_fit_finds_the_constants},
                {"chosen experiments, files", test_chosen_experiments_and_files},
                {"bad input", test_bad_input}, {"bad fits", test_bad_fits})
