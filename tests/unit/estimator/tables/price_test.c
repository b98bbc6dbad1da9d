#include "tables/price.h"

#include "temp_dir.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct temp_dir dir;
static struct vidur_device_sku device;
static const struct vidur_node_sku node = {.devices_per_node = 8,
                                           .link_bandwidth_gb_per_s = 100};

static void set_up(void)
{
    temp_dir_make(&dir);
    vidur_device_sku_defaults(&device);
    device.v1.memory_bandwidth_gb_per_s = 3350;
    device.v1.peak_bf16_tflops = 1000;
    device.v1.peak_fp8_tflops = 2000;
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* A pricer over a folder with these tables; NULL: none of that name. */
static struct vidur_pricer pricer_over(const char *gemm, const char *moe)
{
    struct vidur_pricer pricer;
    struct vidur_kernels *kernels = NULL;
    struct vidur_error err = {0};
    temp_dir_write(&dir, "k/system.yaml",
                   "gpu: {mem_bw: 3.35e12, bfloat16_tc_flops: 1.0e15, fp8_tc_flops: "
                   "2.0e15}\n");
    if (gemm)
        temp_dir_write(&dir, "k/gemm.csv", gemm);
    if (moe)
        temp_dir_write(&dir, "k/moe.csv", moe);
    const struct temp_path path = temp_dir_path(&dir, "k");
    CU_ASSERT_EQUAL(vidur_kernels_open(&kernels, path.text, &err), 0);
    CU_ASSERT_EQUAL(vidur_pricer_init(&pricer, &device, &node, kernels, &err), 0);
    if (err.text[0])
        printf("\n  %s\n", err.text);
    pricer.devices = 2;
    return pricer;
}

/* What the device's spec says counts, where tables say a little else; more is another
 * device. */
static void test_bandwidth(void)
{
    struct vidur_device_sku other = device;
    struct vidur_error err = {0};
    struct vidur_pricer p = pricer_over(NULL, NULL), q;
    CU_ASSERT_EQUAL(p.bandwidth_bytes_per_s, 3.35e12);
    other.v1.memory_bandwidth_gb_per_s = 3000;
    CU_ASSERT_EQUAL(vidur_pricer_init(&q, &other, &node, p.kernels, &err), 0);
    CU_ASSERT_EQUAL(q.bandwidth_bytes_per_s, 3e12);
    CU_ASSERT_DOUBLE_EQUAL(vidur_bytes_ms(&q, 3e9, 0), 1.25, 1e-12);
    other.v1.memory_bandwidth_gb_per_s = 2900;
    CU_ASSERT_EQUAL(vidur_pricer_init(&q, &other, &node, p.kernels, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "timed on a GPU of 3350 GB/s"));
    vidur_kernels_close(p.kernels);
}

static double price(struct vidur_pricer *pricer, const struct vidur_work *work,
                    int tokens)
{
    double ms[65] = {0};
    struct vidur_error err = {0};
    const struct vidur_price_sum sum = {2, ms, 64};
    if (vidur_price_operator(pricer, "op", work, &sum, &err))
        printf("\n  %s\n", err.text);
    return ms[tokens] / 2; /* asked for twice */
}

static struct vidur_work product(enum vidur_dtype dtype, double n, double k)
{
    return (struct vidur_work){.law = VIDUR_LAW_GEMM, .dtype = dtype, .n = n, .k = k};
}

static void test_measured_product(void)
{
    struct vidur_pricer p =
        pricer_over("dtype,m,n,k,latency_ms\nbfloat16,8,2048,1024,4\n"
                    "bfloat16,2,2048,1024,1\nbfloat16,4,2048,1024,3\n"
                    "bfloat16,4,2048,1024,5\n",
                    NULL);
    const struct vidur_work work = product(VIDUR_DTYPE_bf16, 2048, 1024);
    CU_ASSERT_EQUAL(price(&p, &work, 1), 1); /* below the first: its time */
    CU_ASSERT_EQUAL(price(&p, &work, 2), 1);
    CU_ASSERT_EQUAL(price(&p, &work, 3), 2);
    CU_ASSERT_EQUAL(price(&p, &work, 4), 3); /* the faster kernel */
    CU_ASSERT_EQUAL(price(&p, &work, 6), 3.5);
    CU_ASSERT_EQUAL(price(&p, &work, 16), 8); /* proportional beyond the last */
    CU_ASSERT_STRING_EQUAL(p.borrowed, "");
    /* a format without rows */
    const struct vidur_work other = product(VIDUR_DTYPE_int4, 2048, 1024);
    CU_ASSERT_DOUBLE_EQUAL(price(&p, &other, 4), vidur_roofline_work_ms(&p, &other, 4),
                           1e-12);
    CU_ASSERT_STRING_EQUAL(p.borrowed, "; op from the roofline");
    vidur_kernels_close(p.kernels);
}

/* The lower bound of a product in ms, with the bandwidth and peak of system.yaml. */
static double bound_ms(double m, double n, double k)
{
    return 1e3 * fmax(2 * m * n * k / 1e15, 2 * (m * n + n * k + m * k) / 3.35e12);
}

/* Five shapes around (4096, 4096): the farthest and the small one do not count. */
static void test_product_between_shapes(void)
{
    static const double shapes[5][2] = {
        {2048, 4096}, {8192, 4096}, {4096, 1024}, {16384, 8192}, {65536, 4096}};
    static const double distance2[4] = {1, 1, 4, 5};
    static const double share[5] = {0.5, 0.8, 0.25, 0.4, 0.1};
    char text[1024] = "dtype,m,n,k,latency_ms\nbfloat16,64,4096,512,9\n"
                      "fp8,64,4096,4096,1\n";
    for (int i = 0; i < 5; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "bfloat16,64,%g,%g,%.17g\n", shapes[i][0], shapes[i][1],
                 bound_ms(64, shapes[i][0], shapes[i][1]) / share[i]);
    struct vidur_pricer p = pricer_over(text, NULL);
    const struct vidur_work work = product(VIDUR_DTYPE_bf16, 4096, 4096);
    double weights = 0, mean = 0;
    for (int i = 0; i < 4; i++) {
        weights += 1 / distance2[i];
        mean += share[i] / distance2[i];
    }
    CU_ASSERT_DOUBLE_EQUAL(price(&p, &work, 64),
                           bound_ms(64, 4096, 4096) / (mean / weights), 1e-12);
    vidur_kernels_close(p.kernels);
}

/* In blocks: its own rows, or FP8's and the quantisation of the input. */
static void test_products_in_blocks(void)
{
    struct vidur_pricer p = pricer_over("dtype,m,n,k,latency_ms\n"
                                        "fp8_block,1,2048,1024,1\n"
                                        "fp8_block,64,2048,1024,1\n"
                                        "fp8,1,2048,1024,0.5\nfp8,64,2048,1024,2\n",
                                        NULL);
    const struct vidur_work work = product(VIDUR_DTYPE_fp8_block, 2048, 1024);
    CU_ASSERT_DOUBLE_EQUAL(price(&p, &work, 1), 0.5 + 3 * 1024 / (0.8 * 3.35e9) + 2e-3,
                           1e-9);
    CU_ASSERT_EQUAL(price(&p, &work, 64), 1);
    vidur_kernels_close(p.kernels);
}

static const struct vidur_work experts = {.law = VIDUR_LAW_EXPERTS,
                                          .dtype = VIDUR_DTYPE_fp8,
                                          .hidden_dim = 1024,
                                          .expert_dim = 512,
                                          .experts_per_token = 2,
                                          .num_experts = 8,
                                          .moe_tensor = 2,
                                          .moe_expert = 1,
                                          .matrices = 3};

#define MOE_HEADER                                                                     \
    "dtype,hidden,inter,topk,experts,moe_tp,moe_ep,distribution,tokens,latency_ms\n"

static void test_measured_experts(void)
{
    struct vidur_pricer p =
        pricer_over(NULL, MOE_HEADER "fp8,1024,512,2,8,2,1,power_law_1.01,1,4\n"
                                     "fp8,1024,512,2,8,2,1,balanced,1,1\n"
                                     "fp8,1024,512,2,8,2,1,power_law_1.01,3,8\n"
                                     "fp8_block,1024,512,2,8,2,1,power_law_1.01,3,5\n"
                                     "fp8,1024,512,2,8,1,2,power_law_1.01,1,9\n");
    CU_ASSERT_EQUAL(price(&p, &experts, 2), 5); /* in blocks is faster than 6 */
    CU_ASSERT_STRING_EQUAL(p.borrowed, "");
    struct vidur_work whole = experts;
    whole.moe_tensor = 1;
    whole.moe_expert = 2;
    CU_ASSERT_EQUAL(price(&p, &whole, 1), 9);
    vidur_kernels_close(p.kernels);
}

/* Twice the width: twice the bytes that must move, at the utilisation of the nearest.
 */
static void test_experts_between_rows(void)
{
    struct vidur_pricer p =
        pricer_over(NULL, MOE_HEADER "fp8,1024,512,2,8,2,1,power_law_1.01,1,4\n"
                                     "fp8,4096,512,2,8,2,1,power_law_1.01,1,100\n");
    struct vidur_work wide = experts;
    wide.expert_dim = 1024;
    CU_ASSERT_DOUBLE_EQUAL(price(&p, &wide, 1), 8, 1e-9);
    CU_ASSERT_PTR_NOT_NULL(strstr(p.borrowed, "op scaled from 8 of 1024 x 512"));
    vidur_kernels_close(p.kernels);
}

/* All but a few of the experts are met by many tokens. */
static void test_roofline_of_experts(void)
{
    struct vidur_pricer p;
    CU_ASSERT_EQUAL(vidur_pricer_init(&p, &device, &node, NULL, NULL), 0);
    device.engine.experts[VIDUR_DTYPE_fp8_block] =
        (struct vidur_expert_roofline){0.5, 0.25, 40, 3};
    const double touched = 8 * (1 - pow(0.75, 10));
    CU_ASSERT_DOUBLE_EQUAL(vidur_work_touched_experts(&experts, 10), touched, 1e-12);
    const double bytes = touched * 3 * 1024 * 256;
    CU_ASSERT_DOUBLE_EQUAL(vidur_roofline_work_ms(&p, &experts, 10),
                           bytes / (0.5 * 3350e6) + 0.040 + 3e-6 * 20, 1e-9);
    const double flops = 6.0 * 1e6 * 2 * 1024 * 256;
    CU_ASSERT_DOUBLE_EQUAL(vidur_roofline_work_ms(&p, &experts, 1e6),
                           flops / (0.25 * 2e15) * 1e3 + 0.040 + 3e-6 * 2e6, 1e-6);
}

/* Any format's experts stand in where neither the relative nor bf16 has constants. */
static void test_experts_of_one_format(void)
{
    struct vidur_device_sku one = device;
    struct vidur_pricer p;
    memset(one.engine.experts, 0, sizeof one.engine.experts);
    one.engine.experts[VIDUR_DTYPE_nvfp4] =
        (struct vidur_expert_roofline){0.5, 0.25, 40, 3};
    CU_ASSERT_EQUAL(vidur_pricer_init(&p, &one, &node, NULL, NULL), 0);
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
        struct vidur_work work = experts;
        work.dtype = (enum vidur_dtype)i;
        const double ms = vidur_roofline_work_ms(&p, &work, 10);
        CU_ASSERT(isfinite(ms) && ms > 0.040);
    }
}

/* Between ranks: NCCL's times of as many values of two bytes, where there are some for
 * so many ranks; else the latency of an all-reduce and half of its traffic. */
static void test_messages_between_ranks(void)
{
    const struct vidur_work gather = {.law = VIDUR_LAW_ALL_GATHER, .token_bytes = 512};
    const struct vidur_work scatter = {.law = VIDUR_LAW_REDUCE_SCATTER,
                                       .token_bytes = 512};
    const struct vidur_work reduce = {.law = VIDUR_LAW_ALL_REDUCE, .token_bytes = 512};
    temp_dir_write(&dir, "k/nccl.csv",
                   "op_name,nccl_dtype,num_gpus,message_size,latency_ms\n"
                   "all_gather,half,4,1024,2\nall_gather,half,4,2048,4\n"
                   "all_gather,int8,4,1024,1\nall_gather,half,2,1024,1\n"
                   "all_reduce,half,4,1024,1\nreduce_scatter,half,4,1024,3\n");
    struct vidur_pricer p = pricer_over(NULL, NULL);
    p.ranks = 4;
    p.constants.c_ar_us = 100; /* of all-reduces alone */
    CU_ASSERT_EQUAL(price(&p, &gather, 6), 3);
    CU_ASSERT_EQUAL(price(&p, &scatter, 4), 3);
    CU_ASSERT_STRING_EQUAL(p.borrowed, "");
    p.ranks = 8;
    CU_ASSERT_EQUAL(price(&p, &gather, 6), vidur_roofline_work_ms(&p, &gather, 6));
    CU_ASSERT_STRING_EQUAL(p.borrowed, "; op from the roofline");
    vidur_kernels_close(p.kernels);
    p.ranks = 4;
    p.devices = 1;
    const double none_ms = vidur_roofline_work_ms(&p, &gather, 0);
    const double gather_ms = vidur_roofline_work_ms(&p, &gather, 1000);
    CU_ASSERT_EQUAL(vidur_roofline_work_ms(&p, &scatter, 1000), gather_ms);
    p.devices = 4;
    CU_ASSERT_DOUBLE_EQUAL(vidur_roofline_work_ms(&p, &reduce, 0), none_ms, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(vidur_roofline_work_ms(&p, &reduce, 1000) - none_ms,
                           2 * (gather_ms - none_ms), 1e-12);
    /* 4 ranks of 4 devices are more than a node has */
    CU_ASSERT_TRUE(vidur_roofline_work_ms(&p, &gather, 1000) > gather_ms);
}

/* Sets `ms` to what the device takes for work of each kind, format and size. */
static int price_all(const struct vidur_device_sku *sku,
                     const struct vidur_node_sku *box, double ms[1024])
{
    static const struct vidur_shard shard;
    static const double sizes[] = {1, 7, 64, 513, 4096, 65536};
    struct vidur_pricer p;
    int count = 0;
    CU_ASSERT_EQUAL(vidur_pricer_init(&p, sku, box, NULL, NULL), 0);
    p.constants = (struct vidur_engine_constants){.eta = 0.91, .t0_us = 10};
    p.devices = 4;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const struct vidur_work reduce = {.law = VIDUR_LAW_ALL_REDUCE,
                                          .token_bytes = 8192};
        const struct vidur_shard_layers heads = {
            .kind = {.head_dim = 128}, .q_heads = 8, .kv_bytes_per_token = 4096};
        const struct vidur_shard_layers latent = {
            .kind = {.attention = VIDUR_ATTENTION_MLA,
                     .nope_head_dim = 128,
                     .rope_head_dim = 64,
                     .v_head_dim = 128},
            .q_heads = 16,
            .attention_weights = 50000000,
            .kv_bytes_per_token = 1152};
        for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
            struct vidur_work work = product((enum vidur_dtype)i, 8192, 3072);
            ms[count++] = vidur_roofline_work_ms(&p, &work, sizes[s]);
            work = experts;
            work.dtype = (enum vidur_dtype)i;
            ms[count++] = vidur_roofline_work_ms(&p, &work, sizes[s]);
        }
        ms[count++] = vidur_roofline_work_ms(&p, &reduce, sizes[s]);
        ms[count++] = vidur_roofline_prompt_ms(&p, &shard, &heads, sizes[s]);
        ms[count++] = vidur_roofline_prompt_ms(&p, &shard, &latent, sizes[s]);
        ms[count++] = vidur_roofline_row_ms(&p, &heads, sizes[s]);
        ms[count++] = vidur_roofline_latent_ms(&p, &shard, &latent, 32, sizes[s]);
        ms[count++] = vidur_bytes_ms(&p, sizes[s], 3);
    }
    return count;
}

/* With equal shares, more bandwidth, more of any peak, or a faster link is never
 * slower, and something gets faster by it: for every device that we know. */
static int check_monotonic(void *context, const char *name)
{
    struct vidur_device_sku sku;
    struct vidur_node_sku box = node;
    double before[1024], after[1024];
    CU_ASSERT_EQUAL(vidur_device_sku_load(&sku, name, NULL), 0);
    if (sku.v1.peak_fp8_tflops == 0) /* given, so that each peak moves by itself */
        sku.v1.peak_fp8_tflops = sku.v1.peak_bf16_tflops;
    if (sku.v1.peak_fp4_tflops == 0)
        sku.v1.peak_fp4_tflops = sku.v1.peak_fp8_tflops;
    double *const faster[] = {&sku.v1.memory_bandwidth_gb_per_s,
                              &sku.v1.peak_bf16_tflops, &sku.v1.peak_fp8_tflops,
                              &sku.v1.peak_fp4_tflops, &box.link_bandwidth_gb_per_s};
    for (size_t i = 0; i < sizeof faster / sizeof *faster; i++) {
        const int count = price_all(&sku, &box, before);
        int improved = 0;
        *faster[i] *= 1.3;
        CU_ASSERT_EQUAL(price_all(&sku, &box, after), count);
        for (int k = 0; k < count; k++) {
            CU_ASSERT(after[k] > 0 && after[k] <= before[k] * (1 + 1e-12));
            improved += after[k] < before[k] * 0.999;
        }
        CU_ASSERT(improved > 0);
    }
    ++*(int *)context;
    return 0;
}

static void test_monotonic(void)
{
    int devices = 0;
    CU_ASSERT_EQUAL(
        vidur_path_each_spec("skus/devices", check_monotonic, &devices, NULL), 0);
    CU_ASSERT(devices >= 25);
}

/* ---- Devices that are sold ---- */

enum { MOST_DEVICES = 64 };

struct sold {
    struct vidur_device_sku device[MOST_DEVICES];
    int count;
};

static int keep_device(void *context, const char *name)
{
    struct sold *sold = context;
    if (sold->count == MOST_DEVICES)
        return -1;
    return vidur_device_sku_load(&sold->device[sold->count++], name, NULL);
}

/* Are all constants of a and b the same, and is a in no figure below b? */
static bool is_no_worse(const struct vidur_device_sku *a,
                        const struct vidur_device_sku *b)
{
    return memcmp(&a->engine, &b->engine, sizeof a->engine) == 0 &&
           a->v1.memory_bandwidth_gb_per_s >= b->v1.memory_bandwidth_gb_per_s &&
           a->v1.peak_bf16_tflops >= b->v1.peak_bf16_tflops &&
           a->v1.peak_fp8_tflops >= b->v1.peak_fp8_tflops &&
           a->v1.peak_fp4_tflops >= b->v1.peak_fp4_tflops;
}

/* Of two devices with the same constants on the same links, the one that has the better
 * figures is never slower. */
static void test_better_devices(void)
{
    static struct sold sold;
    double better[1024], worse[1024];
    int pairs = 0;
    sold.count = 0;
    CU_ASSERT_EQUAL(vidur_path_each_spec("skus/devices", keep_device, &sold, NULL), 0);
    for (int i = 0; i < sold.count; i++)
        for (int j = 0; j < sold.count; j++) {
            if (i == j || !is_no_worse(&sold.device[i], &sold.device[j]))
                continue;
            const int count = price_all(&sold.device[i], &node, better);
            CU_ASSERT_EQUAL(price_all(&sold.device[j], &node, worse), count);
            for (int k = 0; k < count; k++)
                CU_ASSERT(better[k] <= worse[k] * (1 + 1e-12));
            pairs++;
        }
    CU_ASSERT(pairs >= 15); /* among them a100 and a100_40gb, mi325x and mi300x */
}

/* Time of an all-reduce of 2^30 bytes over so many devices, latency left out. */
static double reduce_ms(const struct vidur_device_sku *gpu,
                        const struct vidur_node_sku *box, int devices)
{
    const struct vidur_work reduce = {.law = VIDUR_LAW_ALL_REDUCE, .token_bytes = 1024};
    struct vidur_pricer p;
    CU_ASSERT_EQUAL(vidur_pricer_init(&p, gpu, box, NULL, NULL), 0);
    p.devices = devices;
    return vidur_roofline_work_ms(&p, &reduce, 1 << 20) -
           vidur_roofline_work_ms(&p, &reduce, 0);
}

/* All 72 of a rack are one NVLink domain; a group that is larger leaves it. */
static void test_rack(void)
{
    struct vidur_device_sku gpu;
    struct vidur_node_sku rack;
    CU_ASSERT_EQUAL_FATAL(vidur_device_sku_load(&gpu, "gb200", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_node_sku_load(&rack, "gb200_nvl72", NULL), 0);
    const double within_8 = reduce_ms(&gpu, &rack, 8) / (7.0 / 8);
    const double within_72 = reduce_ms(&gpu, &rack, 72) / (71.0 / 72);
    const double beyond = reduce_ms(&gpu, &rack, 144) / (143.0 / 144);
    CU_ASSERT_DOUBLE_EQUAL(within_72, within_8, 1e-9 * within_8);
    CU_ASSERT_DOUBLE_EQUAL(beyond, within_72 * 900 / 50, 1e-9 * beyond);
}

static void test_locate(void)
{
    struct vidur_path found;
    struct vidur_error err = {0};
    temp_dir_write(&dir, "root/a_sxm/v0.9/system.yaml", "x: 1\n");
    temp_dir_write(&dir, "root/a_sxm/v0.10/system.yaml", "x: 1\n");
    temp_dir_write(&dir, "root/b/v0.1/system.yaml", "x: 1\n");
    const struct temp_path root = temp_dir_path(&dir, "root");
    const struct temp_path system = temp_dir_path(&dir, "root/a_sxm");
    const struct temp_path newest = temp_dir_path(&dir, "root/a_sxm/v0.10");
    CU_ASSERT_EQUAL(vidur_kernels_locate(&found, root.text, "a_sxm", &err), 0);
    CU_ASSERT_STRING_EQUAL(found.text, newest.text);
    CU_ASSERT_EQUAL(vidur_kernels_locate(&found, system.text, "other", &err), 0);
    CU_ASSERT_STRING_EQUAL(found.text, newest.text);
    CU_ASSERT_EQUAL(vidur_kernels_locate(&found, newest.text, "other", &err), 0);
    CU_ASSERT_STRING_EQUAL(found.text, newest.text);
    CU_ASSERT_EQUAL(vidur_kernels_locate(&found, root.text, "c", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no system.yaml"));
    CU_ASSERT_EQUAL(vidur_kernels_locate(&found, "/nowhere", "c", &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot be read"));
}

VIDUR_TEST_MAIN("prices", {"set up", set_up}, {"bandwidth", test_bandwidth},
                {"messages between ranks", test_messages_between_ranks},
                {"measured product", test_measured_product},
                {"product between shapes", test_product_between_shapes},
                {"products in blocks", test_products_in_blocks},
                {"measured experts", test_measured_experts},
                {"experts between rows", test_experts_between_rows},
                {"roofline of experts", test_roofline_of_experts},
                {"experts of one format", test_experts_of_one_format},
                {"monotonic", test_monotonic}, {"better devices", test_better_devices},
                {"a rack", test_rack}, {"locate", test_locate}, {"clean up", clean_up})
