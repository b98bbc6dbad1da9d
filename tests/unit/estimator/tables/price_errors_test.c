#include "tables/price_errors.h"

#include "table_text.h"
#include "temp_dir.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tables that follow the laws of ENGINE.md section 7, written out here, have no error;
 * others have the one that was put into them. */

static struct temp_dir dir;
static struct vidur_device_sku device;
static const struct vidur_node_sku node = {.devices_per_node = 8,
                                           .link_bandwidth_gb_per_s = 400};
static struct table_text table;

static void set_up(void)
{
    temp_dir_make(&dir);
    vidur_device_sku_defaults(&device);
    device.v1.memory_bandwidth_gb_per_s = 1000;
    device.v1.peak_bf16_tflops = 100;
    device.v1.peak_fp8_tflops = 200;
    device.engine = (struct vidur_engine_roofline){
        .gemm = {[VIDUR_DTYPE_bf16] = {0.8, 0.7, 2.0 / 3},
                 [VIDUR_DTYPE_fp8] = {0.5, 0.6, 4}},
        .experts = {[VIDUR_DTYPE_bf16] = {0.7, 0.5, 20, 5}},
        .prefill = {0.5, 10},
        .all_reduce = {6, 0.1, 0.5, 0.8}};
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

static void write_table(const char *name)
{
    table_text_write(&table, &dir, "k", name);
}

static double fp8_ms(double m, double n, double k)
{
    const double memory_s = (2 * m * n + n * k + 2 * m * k) / 0.5e12;
    return fmax(memory_s, 2 * m * n * k / (0.6 * 200e12)) * 1e3 + 4e-3;
}

/* What every folder has: here products in FP8 and, far slower, in blocks. */
static void write_needed(void)
{
    temp_dir_write(&dir, "k/system.yaml",
                   "gpu: {mem_bw: 1.0e12, bfloat16_tc_flops: 1.0e14, fp8_tc_flops: "
                   "2.0e14}\n");
    table_text_add(&table, "dtype,m,n,k,latency_ms\n");
    for (int m = 1; m <= 4096; m *= 4)
        table_text_add(&table, "fp8,%d,2048,1024,%.17g\nfp8_block,%d,2048,1024,9\n", m,
                       fp8_ms(m, 2048, 1024), m);
    write_table("gemm");
    table_text_add(
        &table,
        "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,window,batch_size,"
        "seq_len,latency_ms\n");
    for (int s = 64; s <= 16384; s *= 2) {
        const double whole_ms = 8 * 256.0 * s * s / 0.5e14 * 1e3 + 0.01;
        const double seen_ms = 8 * 256.0 * s * fmin(s, 256) / 0.5e14 * 1e3 + 0.01;
        table_text_add(&table, "bfloat16,bfloat16,128,8,1,0,1,%d,%.17g\n", s, whole_ms);
        table_text_add(&table, "bfloat16,fp8,128,8,1,0,1,%d,%.17g\n", s, 2 * whole_ms);
        table_text_add(&table, "bfloat16,bfloat16,128,8,1,128,1,%d,%.17g\n", s,
                       3 * seen_ms);
        table_text_add(&table, "fp8,fp8,128,8,1,0,1,%d,1\n",
                       s); /* of queries in FP8: not ours */
    }
    write_table("context_attention");
    table_text_add(&table,
                   "num_gpus,mode,message_bytes,latency_ms\n2,graph,8192,%.17g\n",
                   6e-3 + 8192 / 200e9 * 1e3);
    write_table("custom_allreduce");
}

static struct vidur_fit_errors judged(void)
{
    struct vidur_fit_errors errors = {.count = 0};
    struct vidur_kernels *kernels = NULL;
    struct vidur_error err = {0};
    const struct temp_path path = temp_dir_path(&dir, "k");
    CU_ASSERT_EQUAL_FATAL(vidur_kernels_open(&kernels, path.text, &err), 0);
    CU_ASSERT_EQUAL(
        vidur_engine_roofline_errors(&errors, &device, &node, kernels, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    vidur_kernels_close(kernels);
    return errors;
}

static const struct vidur_fit_error *error_of(const struct vidur_fit_errors *errors,
                                              enum vidur_fit_class class,
                                              enum vidur_dtype dtype)
{
    for (int i = 0; i < errors->count; i++)
        if (errors->at[i].class == class && errors->at[i].dtype == dtype)
            return &errors->at[i];
    return NULL;
}

/* All rows are off by the same factor. */
static void check(const struct vidur_fit_errors *errors, enum vidur_fit_class class,
                  enum vidur_dtype dtype, int rows, double ratio)
{
    const struct vidur_fit_error *e = error_of(errors, class, dtype);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_EQUAL(e->rows, rows);
    CU_ASSERT_DOUBLE_EQUAL(e->median_ratio, ratio, 1e-9 * ratio);
    CU_ASSERT_DOUBLE_EQUAL(e->median, fabs(log(ratio)), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(e->p90, fabs(log(ratio)), 1e-9);
}

static void test_only_what_is_there(void)
{
    write_needed();
    const struct vidur_fit_errors errors = judged();
    CU_ASSERT_EQUAL(errors.count, 6);
    check(&errors, VIDUR_FIT_gemm, VIDUR_DTYPE_fp8, 7, 1);
    check(&errors, VIDUR_FIT_prefill, VIDUR_DTYPE_bf16, 9, 1);
    check(&errors, VIDUR_FIT_prefill, VIDUR_DTYPE_fp8, 9, 0.5);
    check(&errors, VIDUR_FIT_prefill_other, VIDUR_DTYPE_bf16, 9, 1.0 / 3);
    check(&errors, VIDUR_FIT_all_reduce, VIDUR_DTYPE_bf16, 1, 1);
    CU_ASSERT_PTR_NULL(error_of(&errors, VIDUR_FIT_gemm, VIDUR_DTYPE_bf16));
    CU_ASSERT_FALSE(vidur_fit_class_has_formats(VIDUR_FIT_all_reduce));
    CU_ASSERT_TRUE(vidur_fit_class_has_formats(VIDUR_FIT_decode));
}

/* Beside products in blocks stand those of FP8 and the quantisation, where these are
 * quicker: as where engines' tables are made. */
static void test_stand_in(void)
{
    write_needed();
    const struct vidur_fit_errors errors = judged();
    const struct vidur_fit_error *e =
        error_of(&errors, VIDUR_FIT_gemm, VIDUR_DTYPE_fp8_block);
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    double ratios[7], middle;
    int count = 0;
    for (int m = 1; m <= 4096; m *= 4) {
        const double quantise_ms = 3.0 * 1024 * m / 0.8e12 * 1e3 + 2e-3;
        const double scales = 4.0 / 16384 * 2048 * 1024 / 0.5e12 * 1e3;
        const double ms = fp8_ms(m, 2048, 1024);
        const bool by_memory = ms - 4e-3 > 2.0 * m * 2048 * 1024 / 120e12 * 1e3;
        ratios[count++] = (ms + (by_memory ? scales : 0)) / (ms + quantise_ms);
    }
    for (int i = 1; i < count; i++) /* by size */
        for (int k = i; k > 0 && ratios[k - 1] > ratios[k]; k--) {
            middle = ratios[k];
            ratios[k] = ratios[k - 1];
            ratios[k - 1] = middle;
        }
    CU_ASSERT_EQUAL(e->rows, 7);
    CU_ASSERT_DOUBLE_EQUAL(e->median_ratio, ratios[3], 1e-6);
}

/* Rows of decodes: 10 us, and their contexts at 0.91 of the bandwidth. */
static void test_decodes(void)
{
    write_needed();
    table_text_add(
        &table,
        "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,window,batch_size,"
        "kv_len,latency_ms\n");
    for (int batch = 1; batch <= 64; batch *= 8)
        for (int kv = 1; kv <= 4096; kv *= 4) {
            const double bytes = 2.0 * 128 * 4 * batch;
            const double seen = fmin(kv, 128);
            table_text_add(&table, "bfloat16,bfloat16,128,32,4,0,%d,%d,%.17g\n", batch,
                           kv, 0.01 + 2 * bytes * kv / 0.91e12 * 1e3);
            table_text_add(&table, "bfloat16,fp8,128,32,4,0,%d,%d,%.17g\n", batch, kv,
                           (0.01 + bytes * kv / 0.91e12 * 1e3) / 1.25);
            table_text_add(&table, "bfloat16,bfloat16,128,32,4,128,%d,%d,%.17g\n",
                           batch, kv, 0.01 + 2 * bytes * seen / 0.91e12 * 1e3);
            table_text_add(&table, "bfloat16,bfloat16,64,32,4,0,%d,%d,%.17g\n", batch,
                           kv, 0.01 + bytes * kv / 0.91e12 * 1e3);
        }
    write_table("generation_attention");
    const struct vidur_fit_errors errors = judged();
    CU_ASSERT_EQUAL(errors.count, 6 + 3);
    /* contexts of 64, 256, 1024 and 4096 */
    check(&errors, VIDUR_FIT_decode, VIDUR_DTYPE_bf16, 3 * 4, 1);
    check(&errors, VIDUR_FIT_decode, VIDUR_DTYPE_fp8, 3 * 4, 1.25);
    check(&errors, VIDUR_FIT_decode_other, VIDUR_DTYPE_bf16, 2 * 3 * 4, 1);
    const struct temp_path path = temp_dir_path(&dir, "k/generation_attention.csv");
    CU_ASSERT_EQUAL(remove(path.text), 0);
}

/* Of 4 ranks: sizes in the tables are values of two bytes. */
static void test_messages(void)
{
    write_needed();
    table_text_add(&table, "op_name,nccl_dtype,num_gpus,message_size,latency_ms\n");
    for (int values = 512; values <= 1 << 28; values *= 8) {
        const double ms = 6e-3 * 1.2 + 3.0 / 4 * 2 * values / (0.5 * 0.8 * 400e9) * 1e3;
        table_text_add(&table,
                       "all_gather,half,4,%d,%.17g\nreduce_scatter,half,4,%d,%.17g\n",
                       values, ms, values, 2 * ms);
        table_text_add(&table, "all_reduce,half,4,%d,1\nall_gather,int8,4,%d,1\n",
                       values, values);
    }
    write_table("nccl");
    const struct vidur_fit_errors errors = judged();
    CU_ASSERT_EQUAL(errors.count, 6 + 2);
    /* 8 KiB to 32 MiB of the 1 KiB to 256 MiB */
    check(&errors, VIDUR_FIT_all_gather, VIDUR_DTYPE_bf16, 5, 1);
    check(&errors, VIDUR_FIT_reduce_scatter, VIDUR_DTYPE_bf16, 5, 0.5);
    const struct temp_path path = temp_dir_path(&dir, "k/nccl.csv");
    CU_ASSERT_EQUAL(remove(path.text), 0);
}

/* DeepSeek-V3's attention with so many of its heads on a device: weights of a layer. */
static double latent_weights(int heads)
{
    return 7168.0 * (1536 + 512 + 64) + heads * (1536.0 * 192 + 512.0 * 256) +
           heads * 128.0 * 7168;
}

/* Decode rows were timed with 50 us for launches that engines do not pay: these are cut
 * off by what the smallest takes beyond reading the weights. Prompts were too; they
 * count as timed. */
static void test_latent_attention(void)
{
    write_needed();
    table_text_add(
        &table, "kv_cache_dtype,gemm_dtype,num_heads,batch_size,kv_len,latency_ms\n");
    for (int heads = 16; heads <= 128; heads *= 8)
        for (int batch = 1; batch <= 16; batch *= 16)
            for (int kv = 1; kv <= 16384; kv *= 4)
                table_text_add(&table, "bfloat16,bfloat16,%d,%d,%d,%.17g\n", heads,
                               batch, kv,
                               2 * latent_weights(heads) / 0.8e12 * 1e3 + 0.024 +
                                   batch * (double)kv * 1152 / 0.8e12 * 1e3 + 0.05);
    write_table("mla_generation");
    table_text_add(
        &table, "kv_cache_dtype,gemm_dtype,num_heads,batch_size,seq_len,latency_ms\n");
    for (int s = 64; s <= 4096; s *= 4) {
        const double weights = latent_weights(16);
        const double projections = fmax(2 * weights / 0.8e12, 2 * s * weights / 70e12);
        table_text_add(&table, "fp8,bfloat16,16,1,%d,%.17g\n", s,
                       (projections * 1e3 + 0.024 + 16 * 320.0 * s * s / 0.5e14 * 1e3) *
                           4);
    }
    write_table("mla_context");
    const struct vidur_fit_errors errors = judged();
    CU_ASSERT_EQUAL(errors.count, 6 + 2);
    check(&errors, VIDUR_FIT_mla_prefill, VIDUR_DTYPE_bf16, 4, 0.25);
    const struct vidur_fit_error *decode =
        error_of(&errors, VIDUR_FIT_mla_decode, VIDUR_DTYPE_bf16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(decode);
    CU_ASSERT_EQUAL(decode->rows, 2 * 2 * 5);
    CU_ASSERT(decode->p90 < 1e-3); /* the smallest's own token of the cache */
}

VIDUR_TEST_MAIN("price errors", {"set up", set_up},
                {"only what is there", test_only_what_is_there},
                {"stand-in", test_stand_in}, {"decodes", test_decodes},
                {"messages", test_messages},
                {"latent attention", test_latent_attention}, {"clean up", clean_up})
