#include "tables/price_errors.h"
#include "tables/price_fit.h"

#include "tables/price.h"

#include "table_text.h"
#include "temp_dir.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tables made of known constants give them back; the search by itself. */

static struct temp_dir dir;
static struct vidur_device_sku truth;
static const struct vidur_node_sku node = {.devices_per_node = 8,
                                           .link_bandwidth_gb_per_s = 400};
static struct table_text table;

static void set_up(void)
{
    temp_dir_make(&dir);
    vidur_device_sku_defaults(&truth);
    truth.v1.memory_bandwidth_gb_per_s = 3000;
    truth.v1.peak_bf16_tflops = 900;
    truth.v1.peak_fp8_tflops = 1800;
    truth.engine = (struct vidur_engine_roofline){
        .gemm = {[VIDUR_DTYPE_bf16] = {0.83, 0.71, 4.7},
                 [VIDUR_DTYPE_fp8] = {0.69, 0.53, 8.2}},
        .experts = {[VIDUR_DTYPE_bf16] = {0.78, 0.37, 31, 7.5},
                    [VIDUR_DTYPE_fp8_block] = {0.87, 0.26, 44, 2.3}},
        .prefill = {0.52, 13},
        .all_reduce = {6.3, 0.21, 0.57, 0.8},
        .all_reduce_skew_us = 0.7};
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

static void write_table(const char *name)
{
    table_text_write(&table, &dir, "kernels/toy/v1", name);
}

/* A kernel gone wrong now and then: every eleventh shape takes four times as long. */
static double spoilt(double ms, int shape)
{
    return shape % 11 == 5 ? 4 * ms : ms;
}

static void write_gemm(struct vidur_pricer *pricer)
{
    static const int widths[] = {256, 1024, 2048, 4096, 5120, 8192, 14336};
    static const enum vidur_dtype dtypes[] = {VIDUR_DTYPE_bf16, VIDUR_DTYPE_fp8};
    static const char *const names[] = {"bfloat16", "fp8"};
    int shape = 0;
    table_text_add(&table, "dtype,m,n,k,latency_ms\n");
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 7; j++, shape++)
                for (int m = 1; m <= 32768; m *= 2) {
                    const struct vidur_work work = {.law = VIDUR_LAW_GEMM,
                                                    .dtype = dtypes[d],
                                                    .n = widths[i],
                                                    .k = widths[j]};
                    /* small widths and long batches are no concern of an engine */
                    const double ms = widths[i] < 512 || widths[j] < 512 || m > 8192
                                          ? 1
                                          : vidur_roofline_work_ms(pricer, &work, m);
                    table_text_add(&table, "%s,%d,%d,%d,%.9g\n", names[d], m, widths[i],
                                   widths[j], spoilt(ms, shape));
                }
    write_table("gemm");
}

static void write_moe(struct vidur_pricer *pricer)
{
    static const int shapes[][4] = {/* hidden, width, a token's, experts */
                                    {4096, 14336, 2, 8},  {2880, 2880, 4, 128},
                                    {2048, 768, 8, 128},  {7168, 2048, 8, 256},
                                    {4096, 1536, 8, 128}, {5120, 8192, 1, 16}};
    static const enum vidur_dtype dtypes[] = {VIDUR_DTYPE_bf16, VIDUR_DTYPE_fp8_block};
    static const char *const names[] = {"bfloat16", "fp8_block"};
    table_text_add(&table,
                   "dtype,hidden,inter,topk,experts,moe_tp,moe_ep,distribution,tokens,"
                   "latency_ms\n");
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 6; i++)
            for (int tp = 1; tp <= 8; tp *= 2)
                for (int x = 1; x <= 65536; x *= 2) {
                    const struct vidur_work work = {.law = VIDUR_LAW_EXPERTS,
                                                    .dtype = dtypes[d],
                                                    .hidden_dim = shapes[i][0],
                                                    .expert_dim = shapes[i][1],
                                                    .experts_per_token = shapes[i][2],
                                                    .num_experts = shapes[i][3],
                                                    .moe_tensor = tp,
                                                    .moe_expert = 1,
                                                    .matrices = 3};
                    table_text_add(
                        &table, "%s,%d,%d,%d,%d,%d,1,power_law_1.01,%d,%.9g\n",
                        names[d], shapes[i][0], shapes[i][1], shapes[i][2],
                        shapes[i][3], tp, x,
                        x > 16384 ? 1 : vidur_roofline_work_ms(pricer, &work, x));
                }
    write_table("moe");
}

static void write_attention(struct vidur_pricer *pricer)
{
    static const struct vidur_shard shard;
    table_text_add(
        &table,
        "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,window,batch_size,"
        "seq_len,latency_ms\n");
    for (int heads = 4; heads <= 64; heads *= 2)
        for (int s = 1; s <= 16384; s *= 2) {
            const struct vidur_shard_layers layers = {.kind = {.head_dim = 128},
                                                      .q_heads = heads};
            table_text_add(&table, "bfloat16,bfloat16,128,%d,1,0,1,%d,%.9g\n", heads, s,
                           vidur_roofline_prompt_ms(pricer, &shard, &layers, s));
            /* other heads and windows do not count */
            table_text_add(&table, "bfloat16,bfloat16,64,%d,1,0,1,%d,1\n", heads, s);
            table_text_add(&table, "bfloat16,bfloat16,128,%d,1,128,1,%d,1\n", heads, s);
        }
    write_table("context_attention");
}

static void write_all_reduce(struct vidur_pricer *pricer)
{
    const struct vidur_work work = {.law = VIDUR_LAW_ALL_REDUCE, .token_bytes = 1};
    table_text_add(&table, "num_gpus,mode,message_bytes,latency_ms\n");
    for (int n = 2; n <= 8; n *= 2)
        for (int bytes = 256; bytes <= 1 << 28; bytes *= 2) {
            pricer->devices = n;
            table_text_add(&table, "%d,graph,%d,%.9g\n%d,eager,%d,1\n", n, bytes,
                           vidur_roofline_work_ms(pricer, &work, bytes), n, bytes);
        }
    write_table("custom_allreduce");
}

static struct vidur_kernels *make_tables(void)
{
    struct vidur_pricer pricer;
    struct vidur_kernels *kernels = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_pricer_init(&pricer, &truth, &node, NULL, &err), 0);
    write_gemm(&pricer);
    write_moe(&pricer);
    write_attention(&pricer);
    write_all_reduce(&pricer);
    temp_dir_write(&dir, "kernels/toy/v1/system.yaml",
                   "gpu: {mem_bw: 3.0e12, bfloat16_tc_flops: 9.0e14}\n");
    const struct temp_path path = temp_dir_path(&dir, "kernels/toy/v1");
    CU_ASSERT_EQUAL_FATAL(vidur_kernels_open(&kernels, path.text, &err), 0);
    return kernels;
}

static void assert_near(const char *what, double got, double want)
{
    CU_ASSERT(fabs(got / want - 1) < 0.01);
    if (!(fabs(got / want - 1) < 0.01))
        printf("\n  %s: %g, not %g\n", what, got, want);
}

static struct vidur_device_sku fitted(struct vidur_kernels *kernels)
{
    struct vidur_device_sku device;
    struct vidur_error err = {0};
    vidur_device_sku_defaults(&device);
    device.v1 = truth.v1;
    device.engine.all_reduce_skew_us = 0.7;
    CU_ASSERT_EQUAL(vidur_engine_roofline_fit(&device, &node, kernels, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    return device;
}

static void test_constants_come_back(void)
{
    static const enum vidur_dtype gemms[] = {VIDUR_DTYPE_bf16, VIDUR_DTYPE_fp8};
    static const enum vidur_dtype experts[] = {VIDUR_DTYPE_bf16, VIDUR_DTYPE_fp8_block};
    struct vidur_kernels *kernels = make_tables();
    const struct vidur_device_sku device = fitted(kernels);
    const struct vidur_engine_roofline *got = &device.engine, *want = &truth.engine;
    for (int i = 0; i < 2; i++) {
        const struct vidur_gemm_roofline *g = &got->gemm[gemms[i]];
        const struct vidur_expert_roofline *x = &got->experts[experts[i]];
        assert_near("gemm memory", g->memory, want->gemm[gemms[i]].memory);
        assert_near("gemm compute", g->compute, want->gemm[gemms[i]].compute);
        assert_near("gemm launch", g->launch_us, want->gemm[gemms[i]].launch_us);
        assert_near("experts memory", x->memory, want->experts[experts[i]].memory);
        assert_near("experts compute", x->compute, want->experts[experts[i]].compute);
        assert_near("experts launch", x->launch_us,
                    want->experts[experts[i]].launch_us);
        assert_near("experts token", x->token_ns, want->experts[experts[i]].token_ns);
    }
    assert_near("prefill compute", got->prefill.compute, want->prefill.compute);
    assert_near("prefill launch", got->prefill.launch_us, want->prefill.launch_us);
    assert_near("latency", got->all_reduce.latency_us, want->all_reduce.latency_us);
    assert_near("growth", got->all_reduce.growth, want->all_reduce.growth);
    assert_near("link", got->all_reduce.link, want->all_reduce.link);
    assert_near("doubling", got->all_reduce.doubling, want->all_reduce.doubling);
    /* what rows cannot show stays; what they do not have is gone */
    CU_ASSERT_EQUAL(got->all_reduce_skew_us, 0.7);
    CU_ASSERT_EQUAL(got->experts[VIDUR_DTYPE_mxfp4].memory, 0);
    CU_ASSERT_STRING_EQUAL(got->fitted_on, "toy v1");
    vidur_kernels_close(kernels);
}

static void test_the_same_each_time(void)
{
    struct vidur_kernels *kernels = make_tables();
    const struct vidur_device_sku a = fitted(kernels), b = fitted(kernels);
    CU_ASSERT_EQUAL(memcmp(&a.engine, &b.engine, sizeof a.engine), 0);
    vidur_kernels_close(kernels);
}

/* The constants that the tables were made of have no error but that of the spoilt
 * shapes; twice as much of the peak is an error in compute. */
static void test_errors(void)
{
    struct vidur_kernels *kernels = make_tables();
    struct vidur_fit_errors errors;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_engine_roofline_errors(&errors, &truth, &node, kernels, &err),
                    0);
    CU_ASSERT_EQUAL_FATAL(errors.count, 7); /* gemm and experts twice, two others */
    CU_ASSERT_EQUAL(errors.at[6].class, VIDUR_FIT_prefill_other); /* made without law */
    for (int i = 0; i < 6; i++) {
        CU_ASSERT(errors.at[i].median < 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(errors.at[i].median_ratio, 1, 1e-6);
    }
    CU_ASSERT_EQUAL(errors.at[0].class, VIDUR_FIT_gemm);
    CU_ASSERT_EQUAL(errors.at[0].dtype, VIDUR_DTYPE_bf16);
    CU_ASSERT_EQUAL(errors.at[0].rows, 6 * 6 * 14);
    CU_ASSERT_EQUAL(errors.at[0].small_rows, 6 * 6 * 9);
    CU_ASSERT_EQUAL(errors.at[4].class, VIDUR_FIT_prefill);
    CU_ASSERT_EQUAL(errors.at[4].small_rows, 0);

    struct vidur_device_sku other = truth;
    other.engine.prefill.compute *= 2;
    CU_ASSERT_EQUAL(vidur_engine_roofline_errors(&errors, &other, &node, kernels, &err),
                    0);
    CU_ASSERT(errors.at[4].median_ratio < 0.9);
    CU_ASSERT(errors.at[4].p90 > 0.5 && errors.at[4].p90 <= log(2) + 1e-6);
    vidur_kernels_close(kernels);
}

/* Without a table of experts theirs stay; any other that is missing is named. */
static void test_missing_tables(void)
{
    static const char *const needed[] = {"gemm", "context_attention",
                                         "custom_allreduce"};
    struct vidur_error err = {0};
    vidur_kernels_close(make_tables());
    struct temp_path path = temp_dir_path(&dir, "kernels/toy/v1/moe.csv");
    CU_ASSERT_EQUAL(remove(path.text), 0);
    struct vidur_device_sku device, defaults;
    struct vidur_kernels *kernels = NULL;
    vidur_device_sku_defaults(&defaults);
    path = temp_dir_path(&dir, "kernels/toy/v1");
    CU_ASSERT_EQUAL_FATAL(vidur_kernels_open(&kernels, path.text, &err), 0);
    device = fitted(kernels);
    CU_ASSERT_EQUAL(memcmp(device.engine.experts, defaults.engine.experts,
                           sizeof device.engine.experts),
                    0);
    vidur_kernels_close(kernels);
    for (int i = 2; i >= 0; i--) {
        char name[64];
        snprintf(name, sizeof name, "kernels/toy/v1/%s.csv", needed[i]);
        const struct temp_path file = temp_dir_path(&dir, name);
        CU_ASSERT_EQUAL(remove(file.text), 0);
        CU_ASSERT_EQUAL_FATAL(vidur_kernels_open(&kernels, path.text, &err), 0);
        CU_ASSERT_EQUAL(vidur_engine_roofline_fit(&device, &node, kernels, &err), -1);
        CU_ASSERT(strstr(err.text, needed[i]) != NULL);
        vidur_kernels_close(kernels);
    }
}

/* A valley along which one constant makes up for the other, with its floor off the
 * grid. */
static double valley(void *context, const double *c)
{
    ++*(int *)context;
    return fabs(log(c[0] * c[1] / 6)) + 0.01 * fabs(log(c[0] / 1.7));
}

static void test_search(void)
{
    static const struct vidur_fit_range ranges[] = {{0.1, 10, 3}, {0.1, 100, 4}};
    static const struct vidur_fit_range bounded[] = {{2, 10, 3}, {0.1, 100, 4}};
    int calls = 0, again = 0;
    double constants[2];
    vidur_fit_search(constants, ranges, 2, valley, &calls);
    CU_ASSERT_DOUBLE_EQUAL(constants[0], 1.7, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(constants[1], 6 / 1.7, 1e-3);
    vidur_fit_search(constants, ranges, 2, valley, &again);
    CU_ASSERT_EQUAL(calls, again);
    vidur_fit_search(constants, bounded, 2, valley, &calls);
    CU_ASSERT_DOUBLE_EQUAL(constants[0], 2, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(constants[1], 3, 1e-3);
}

VIDUR_TEST_MAIN("price fit", {"set up", set_up},
                {"constants come back", test_constants_come_back},
                {"the same each time", test_the_same_each_time},
                {"errors", test_errors}, {"missing tables", test_missing_tables},
                {"search", test_search}, {"clean up", clean_up})
