#include "test.h"

#include "small_search.h"
#include "study/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct vidur_search_config config;
static struct vidur_space space;
static struct evaluator *evaluator;

static void open_search(const char *more)
{
    const struct evaluator_options options = {.rank = 3, .threads = 1};
    struct vidur_error err = {0};
    small_search_build(more, &config, &space);
    CU_ASSERT_EQUAL_FATAL(evaluator_create(&evaluator, &space, &options, &err), 0);
}

static void close_search(void)
{
    evaluator_destroy(evaluator);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static int probe_at(struct evaluator *with, int64_t candidate, double qps,
                    struct evaluator_probed *probed, struct vidur_error *err)
{
    const struct evaluator_load load = {.candidate = candidate, .qps = qps};
    return evaluator_probe(with, &load, probed, err);
}

static void probe(int64_t candidate, double qps, struct vidur_probe_row *row)
{
    struct vidur_error err = {0};
    struct evaluator_probed probed;
    CU_ASSERT_EQUAL_FATAL(probe_at(evaluator, candidate, qps, &probed, &err), 0);
    *row = probed.row;
}

/* But for the time it took. */
static bool equal(const struct vidur_probe_row *a, const struct vidur_probe_row *b)
{
    static const char *const except[] = {"wall_s", NULL};
    int count;
    const struct vidur_column *columns = vidur_probe_columns(&count);
    return vidur_rows_equal(columns, count, a, b, except);
}

static void test_light_and_heavy_load(void)
{
    struct vidur_probe_row light, heavy;
    struct evaluator_bound bound;
    open_search("search: {stop_early: false}\n");
    for (int64_t c = 0; c < space.num_candidates; c++) {
        CU_ASSERT_EQUAL_FATAL(evaluator_bound(evaluator, c, true, &bound, NULL), 0);
        CU_ASSERT_TRUE(bound.qps > 0.1 && bound.qps < 1e4);
        CU_ASSERT_EQUAL(bound.start_qps, 0); /* 1,000 requests allow no pilot */
        probe(c, bound.qps / 50, &light);
        probe(c, bound.qps * 4, &heavy);
        CU_ASSERT_TRUE(light.feasible);
        CU_ASSERT_STRING_EQUAL(light.violated_slo, "");
        CU_ASSERT_FALSE(heavy.feasible);
        CU_ASSERT_TRUE(heavy.violated_slo[0] != 0);
        CU_ASSERT_TRUE(light.ttft_p90_s <= 1.0 && light.tbt_p99_s <= 0.1);
        CU_ASSERT_TRUE(heavy.scheduling_delay_p99_s > light.scheduling_delay_p99_s);
        CU_ASSERT_EQUAL(light.simulated_requests, 1000);
        CU_ASSERT_EQUAL(light.mpi_rank, 3);
        CU_ASSERT_EQUAL(strlen(light.candidate_id), 16);
        CU_ASSERT_EQUAL(light.qps, bound.qps / 50);
        /* Nothing is served above the bound for long. */
        CU_ASSERT_TRUE(heavy.simulated_time_s > 1000 / bound.qps * 0.8);
    }
    close_search();
}

/* A probe's row does not depend on what was simulated before it. */
static void test_probes_are_independent(void)
{
    struct vidur_probe_row first, again, fresh;
    struct evaluator_bound bound;
    open_search("");
    probe(0, 5, &first);
    probe(0, 50, &again);
    probe(1, 5, &again);
    CU_ASSERT_EQUAL(evaluator_bound(evaluator, 2, true, &bound, NULL), 0);
    probe(0, 5, &again);
    CU_ASSERT_TRUE(equal(&first, &again));
    close_search();
    open_search("");
    probe(0, 5, &fresh);
    CU_ASSERT_TRUE(equal(&first, &fresh));
    close_search();
}

static void test_early_stop_changes_no_verdict(void)
{
    static struct vidur_probe_row rows[2][40];
    for (int stop = 0; stop < 2; stop++) {
        open_search(stop ? "search: {stop_early: true}\n"
                         : "search: {stop_early: false}\n");
        for (int i = 0; i < 40; i++)
            probe(i % space.num_candidates, 0.5 * pow(1.25, i % 30), &rows[stop][i]);
        close_search();
    }
    int stopped = 0;
    for (int i = 0; i < 40; i++) {
        const struct vidur_probe_row *whole = &rows[0][i], *cut = &rows[1][i];
        CU_ASSERT_EQUAL(whole->feasible, cut->feasible);
        CU_ASSERT_FALSE(whole->stopped_early);
        stopped += cut->stopped_early;
        if (cut->stopped_early) {
            CU_ASSERT_TRUE(cut->num_batches < whole->num_batches);
            CU_ASSERT_FALSE(cut->feasible);
        } else {
            CU_ASSERT_TRUE(equal(whole, cut));
        }
    }
    CU_ASSERT_TRUE(stopped > 5);
}

static void test_a_probe_cut_by_its_limit_does_not_pass(void)
{
    struct vidur_probe_row row;
    open_search("search: {time_limit_s: 3}\n");
    probe(0, 1, &row);
    CU_ASSERT_TRUE(row.time_limited);
    CU_ASSERT_FALSE(row.feasible);
    CU_ASSERT_STRING_EQUAL(row.violated_slo, "time_limit_s");
    CU_ASSERT_TRUE(row.simulated_time_s <= 3);
    close_search();
}

/* As with lengths from a trace, of which the space knows nothing: here it is told of
 * shorter ones. */
static void test_prompts_that_never_run(void)
{
    struct vidur_error err = {0};
    struct evaluator_bound bound;
    open_search("");
    config.traces[0].workload.max_tokens = 300; /* of a batch too; prompts: 408 */
    CU_ASSERT_EQUAL(evaluator_bound(evaluator, 0, true, &bound, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "max_tokens_in_batch 300 is below"));
    close_search();
}

static void test_nothing_measured_is_nan(void)
{
    struct vidur_probe_row row;
    open_search("search: {time_limit_s: 1.0e-9}\n");
    probe(0, 1, &row);
    CU_ASSERT_FALSE(row.feasible);
    CU_ASSERT_TRUE(isnan(row.ttft_p90_s));
    CU_ASSERT_TRUE(isnan(row.e2e_p50_s));
    close_search();
}

static void test_stop_flag(void)
{
    volatile int stop = 1;
    const struct evaluator_pulse pulse = {.stop = &stop};
    struct evaluator_probed row;
    struct evaluator_bound bound;
    struct vidur_error err = {0};
    open_search("");
    evaluator_set_pulse(evaluator, &pulse);
    CU_ASSERT_EQUAL(probe_at(evaluator, 0, 5, &row, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    CU_ASSERT_EQUAL(evaluator_bound(evaluator, 1, true, &bound, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    stop = 0;
    CU_ASSERT_EQUAL(probe_at(evaluator, 0, 5, &row, &err), 0);
    close_search();
}

static void test_pilot_is_near_the_answer(void)
{
    struct evaluator_bound bound;
    struct vidur_probe_row row;
    open_search("search: {seed: 7}\n");
    config.traces[0].workload.num_requests = 16000;
    evaluator_destroy(evaluator);
    const struct evaluator_options options = {.threads = 1};
    CU_ASSERT_EQUAL_FATAL(evaluator_create(&evaluator, &space, &options, NULL), 0);
    for (int64_t c = 0; c < space.num_candidates; c += 5) {
        CU_ASSERT_EQUAL_FATAL(evaluator_bound(evaluator, c, true, &bound, NULL), 0);
        CU_ASSERT_TRUE(bound.start_qps > 0 && bound.start_qps < 2 * bound.qps);
        probe(c, bound.start_qps / 1.25, &row);
        CU_ASSERT_TRUE(row.feasible);
        probe(c, bound.start_qps * 1.25, &row);
        CU_ASSERT_FALSE(row.feasible);
    }
    close_search();
}

static void test_tables_tell_where_they_come_from(void)
{
    struct evaluator_table table;
    open_search("");
    for (int i = 0; i < space.num_tables; i++) {
        CU_ASSERT_EQUAL(evaluator_open_table(evaluator, i, &table, NULL), 0);
        CU_ASSERT_EQUAL(strlen(table.key), 64);
        CU_ASSERT_PTR_NOT_NULL(strstr(table.provenance, "roofline"));
    }
    close_search();
}

static void write_beside(const char *name, const char *text)
{
    FILE *file = fopen(small_search_path(name), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

static const char attention_rows[] =
    "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,batch_size,%s,"
    "latency_ms\nbfloat16,bfloat16,128,16,16,1,1,1\n";

static void write_kernels(void)
{
    char text[256];
    write_beside("gemm.csv", "dtype,m,n,k,latency_ms\n"
                             "bfloat16,1,1024,1024,1\nbfloat16,4,1024,1024,4\n");
    snprintf(text, sizeof text, attention_rows, "seq_len");
    write_beside("context_attention.csv", text);
    snprintf(text, sizeof text, attention_rows, "kv_len");
    write_beside("generation_attention.csv", text);
    write_beside("custom_allreduce.csv",
                 "dtype,num_gpus,mode,message_bytes,latency_ms\n"
                 "bfloat16,2,graph,256,1\n");
    write_beside("system.yaml", "gpu: {mem_bw: 3.35e12, bfloat16_tc_flops: 1.0e15}\n");
}

/* Those of a device are read for its first table and stand for the others: what becomes
 * of the files is of no matter. */
static void test_kernels_are_read_once(void)
{
    const struct evaluator_options options = {.threads = 1};
    struct evaluator_table table;
    struct vidur_error err = {0};
    write_kernels();
    write_beside("k.yaml",
                 "models: [{name: llama, identifier: llama-2-7b-hf}]\n"
                 "clusters: [{device: h100, network_device: h100_dgx, num_gpus: 2}]\n"
                 "schedulers: [{scheduler: vllm_v1}]\n"
                 "traces: [{name: u, lengths: {type: uniform, min_tokens: 64}, "
                 "max_seq_len: 512, num_requests: 100}]\n"
                 "batch_sizes: [16]\ntp_dimensions: [1, 2]\npp_dimensions: [1]\n"
                 "estimator: {source: kernels, kernels: ., cache_dir: ''}\n");
    if (vidur_search_config_load(&config, small_search_path("k.yaml"), NULL, 0, &err) ||
        vidur_space_build(&space, &config, &err))
        printf("\n  %s", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    CU_ASSERT_EQUAL_FATAL(evaluator_create(&evaluator, &space, &options, &err), 0);
    CU_ASSERT_EQUAL_FATAL(space.num_tables, 2);
    if (evaluator_open_table(evaluator, 0, &table, &err))
        printf("\n  %s", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    write_beside("gemm.csv", "dtype,m,n,k,latency_ms\nbfloat16,none,1024,1024,1\n");
    CU_ASSERT_EQUAL(evaluator_open_table(evaluator, 1, &table, &err), 0);
    CU_ASSERT_EQUAL(strlen(table.key), 64);
    close_search();
}

/* Where no limit was near, the smaller batch size's simulation is the same one. */
static void test_same_simulations(void)
{
    struct evaluator_probed larger, smaller;
    int same = 0, different = 0;
    open_search("router: [round_robin, lor]\nsearch: {stop_early: false}\n");
    for (int64_t c = 0; c < space.num_candidates; c++) {
        const int64_t before = space.candidates[c].before;
        if (before < 0)
            continue;
        for (double qps = 0.5; qps < 100; qps *= 1.6) {
            CU_ASSERT_EQUAL(probe_at(evaluator, before, qps, &larger, NULL), 0);
            CU_ASSERT_EQUAL(probe_at(evaluator, c, qps, &smaller, NULL), 0);
            memcpy(larger.row.candidate_id, smaller.row.candidate_id,
                   sizeof larger.row.candidate_id);
            CU_ASSERT_TRUE((double)larger.peak_batch_size >=
                           larger.row.mean_batch_size);
            CU_ASSERT_TRUE(larger.peak_holders >= larger.peak_batch_size);
            if (evaluator_is_same(&space, c, &larger)) {
                CU_ASSERT_TRUE(equal(&larger.row, &smaller.row));
                CU_ASSERT_EQUAL(larger.peak_holders, smaller.peak_holders);
                same++;
            } else {
                CU_ASSERT_TRUE(smaller.peak_holders <= space.candidates[c].batch_size);
                different++;
            }
        }
    }
    CU_ASSERT_TRUE(same > 30 && different > 30);
    close_search();
}

static void test_bad_input(void)
{
    const struct evaluator_options options = {.threads = 1};
    struct vidur_error err = {0};
    small_search_build("", &config, &space);
    struct vidur_search_trace *trace = &config.traces[0];
    snprintf(trace->workload.lengths.type, sizeof trace->workload.lengths.type,
             "trace");
    snprintf(trace->workload.lengths.file, sizeof trace->workload.lengths.file, "%s",
             small_search_path("empty.csv"));
    FILE *file = fopen(trace->workload.lengths.file, "w");
    fputs("num_prefill_tokens,num_decode_tokens\n", file);
    fclose(file);
    CU_ASSERT_EQUAL(evaluator_create(&evaluator, &space, &options, &err), -1);
    CU_ASSERT_PTR_NULL(evaluator);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "empty.csv"));
    file = fopen(trace->workload.lengths.file, "w");
    fputs("num_prefill_tokens,num_decode_tokens\n100,many\n", file);
    fclose(file);
    CU_ASSERT_EQUAL(evaluator_create(&evaluator, &space, &options, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "empty.csv:2: num_decode_tokens"));
    close_search();
}

VIDUR_TEST_MAIN("evaluate", {"light and heavy load", test_light_and_heavy_load},
                {"probes are independent", test_probes_are_independent},
                {"early stop changes no verdict", test_early_stop_changes_no_verdict},
                {"a probe cut by its limit",
                 test_a_probe_cut_by_its_limit_does_not_pass},
                {"prompts that never run", test_prompts_that_never_run},
                {"nothing measured is NaN", test_nothing_measured_is_nan},
                {"stop flag", test_stop_flag},
                {"pilot is near the answer", test_pilot_is_near_the_answer},
                {"tables tell their source", test_tables_tell_where_they_come_from},
                {"kernels are read once", test_kernels_are_read_once},
                {"same simulations", test_same_simulations},
                {"bad input", test_bad_input})
