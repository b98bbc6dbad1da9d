#include <vidur/sku.h>

#include <vidur/paths.h>

#include "temp_dir.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct temp_dir dir;

static void test_known_devices(void)
{
    /* SIMULATOR.md section 1; data/README.md */
    static const struct {
        const char *name;
        double tflops, gib, usd;
    } expected[] = {{"a30", 165, 24, NAN},
                    {"a40", 150, 45, 1.28},
                    {"a100", 312, 80, 2.21},
                    {"h100", 1000, 80, 4.25},
                    {"h200", 989, 140, NAN},
                    {"l40s", 362, 45, NAN},
                    {"b200", 2250, 180, NAN},
                    {"b300", 2250, 269, NAN},
                    {"gb200", 2500, 185, NAN},
                    {"gb300", 2500, 278, NAN},
                    {"rtx_pro_6000", 467.8, 96, NAN},
                    {"a10", 125, 22.5, NAN},
                    {"l4", 121, 22.5, NAN},
                    {"a100_40gb", 312, 40, NAN},
                    {"a100_pcie", 312, 80, NAN},
                    {"h100_pcie", 756.5, 80, NAN},
                    {"h100_nvl", 835.5, 94, NAN},
                    {"h20", 148, 96, NAN},
                    {"gh200", 989.5, 96, NAN},
                    {"rtx_4090", 165.2, 24, NAN},
                    {"rtx_5090", 209.5, 32, NAN},
                    {"mi300x", 1307.4, 192, NAN},
                    {"mi325x", 1307.4, 256, NAN},
                    {"mi355x", 2516.6, 288, NAN}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct vidur_device_sku device;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_device_sku_load(&device, expected[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(device.name, expected[i].name);
        CU_ASSERT_EQUAL(device.peak_fp16_tflops, expected[i].tflops);
        CU_ASSERT_EQUAL(device.memory_gib, expected[i].gib);
        CU_ASSERT_EQUAL(isnan(device.usd_per_gpu_hour), isnan(expected[i].usd));
        if (!isnan(expected[i].usd)) {
            CU_ASSERT_EQUAL(device.usd_per_gpu_hour, expected[i].usd);
            CU_ASSERT(device.price_source[0] != '\0');
            CU_ASSERT_STRING_EQUAL(device.price_date, "2024-02-07");
        }
        CU_ASSERT(device.v1.usable_memory_gib > 0.9 * device.memory_gib);
        CU_ASSERT(device.v1.usable_memory_gib <= device.memory_gib);
    }
}

static void test_known_nodes(void)
{
    static const struct {
        const char *name, *device;
        int devices;
        bool pairwise;
    } expected[] = {{"a40_pairwise_nvlink", "a40", 8, true},
                    {"a100_pairwise_nvlink", "a100", 4, true},
                    {"h100_pairwise_nvlink", "h100", 4, true},
                    {"a100_dgx", "a100", 8, false},
                    {"h100_dgx", "h100", 8, false},
                    {"h200_dgx", "h200", 8, false},
                    {"a30_single_gpu", "a30", 1, false},
                    {"l40s_pcie", "l40s", 8, false},
                    {"b200_dgx", "b200", 8, false},
                    {"b300_dgx", "b300", 8, false},
                    {"gb200_nvl72", "gb200", 72, false},
                    {"gb300_nvl72", "gb300", 72, false},
                    {"rtx_pro_6000_pcie", "rtx_pro_6000", 8, false},
                    {"a100_pcie_pairwise_nvlink", "a100_pcie", 8, true},
                    {"h100_nvl_pairwise_nvlink", "h100_nvl", 8, true},
                    {"gh200_single_gpu", "gh200", 1, false},
                    {"mi300x_platform", "mi300x", 8, false},
                    {"mi355x_platform", "mi355x", 8, false}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct vidur_node_sku node;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_node_sku_load(&node, expected[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(node.name, expected[i].name);
        CU_ASSERT_STRING_EQUAL(node.device, expected[i].device);
        CU_ASSERT_EQUAL(node.devices_per_node, expected[i].devices);
        CU_ASSERT_EQUAL(node.pairwise, expected[i].pairwise);
        CU_ASSERT(node.link_efficiency > 0 && node.link_efficiency <= 1);
        CU_ASSERT(node.inter_node_bandwidth_gb_per_s > 0);
        if (node.pairwise)
            CU_ASSERT(node.fallback_bandwidth_gb_per_s < node.link_bandwidth_gb_per_s);
    }
}

static void assert_share(const char *name, const char *what, double share)
{
    CU_ASSERT(share > 0 && share <= 1);
    if (!(share > 0 && share <= 1))
        printf("\n  %s: %s is %g\n", name, what, share);
}

/* The device with kernel timings that constants were fitted on; by name. */
static int find_timed(void *context, const char *name)
{
    struct vidur_device_sku *timed = context;
    struct vidur_device_sku device;
    if (vidur_device_sku_load(&device, name, NULL) != 0 || !device.kernel_system[0] ||
        strcmp(device.engine.fitted_on, timed->engine.fitted_on) != 0)
        return 0;
    *timed = device;
    return 1;
}

/* Every spec of a device loads, has a node, a TDP, peaks that do not fall as formats
 * that it has units for get narrower, and constants fitted on the tables of its own
 * kernel_system, or, where it has none, of a relative, whose constants they are to the
 * digit. */
static int check_device(void *context, const char *name)
{
    struct vidur_device_sku device, timed;
    struct vidur_error err = {0};
    char node[48];
    ++*(int *)context;
    CU_ASSERT_EQUAL(vidur_device_sku_load(&device, name, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_STRING_EQUAL(device.name, name);
    CU_ASSERT_EQUAL(vidur_node_sku_default(name, node, sizeof node, &err), 0);
    CU_ASSERT(device.tdp_w >= 50 && device.tdp_w <= 2000);
    CU_ASSERT(device.host_link.bandwidth_gb_per_s > 30 &&
              device.host_link.bandwidth_gb_per_s <= 450);
    CU_ASSERT_EQUAL(device.host_link.efficiency, 0.8);
    const struct vidur_relative_peaks peaks = vidur_device_peaks(&device);
    CU_ASSERT(peaks.of[VIDUR_PEAK_fp8] >= 1);
    if (device.v1.peak_fp4_tflops > 0)
        CU_ASSERT(peaks.of[VIDUR_PEAK_fp4] >= peaks.of[VIDUR_PEAK_fp8]);
    if (!(device.v1.peak_fp4_tflops > 0)) /* widened by weight-only kernels */
        CU_ASSERT_EQUAL(peaks.of[VIDUR_PEAK_fp4], 1);
    const struct vidur_engine_roofline *e = &device.engine;
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
        if (i == VIDUR_DTYPE_bf16 || e->gemm[i].memory > 0) {
            assert_share(name, "gemm memory", e->gemm[i].memory);
            assert_share(name, "gemm compute", e->gemm[i].compute);
        }
        if (i == VIDUR_DTYPE_bf16 || e->experts[i].memory > 0) {
            assert_share(name, "experts memory", e->experts[i].memory);
            assert_share(name, "experts compute", e->experts[i].compute);
        }
    }
    assert_share(name, "prefill", e->prefill.compute);
    assert_share(name, "link", e->all_reduce.link);
    CU_ASSERT(e->all_reduce.doubling > 0);
    CU_ASSERT_EQUAL(e->all_reduce_skew_us, device.v1.peak_fp4_tflops > 0 ? 0.5 : 1.9);
    const size_t length = strlen(device.kernel_system);
    if (length > 0) {
        CU_ASSERT_EQUAL(strncmp(e->fitted_on, device.kernel_system, length), 0);
        CU_ASSERT_EQUAL(e->fitted_on[length], ' ');
    } else {
        timed = device;
        CU_ASSERT_EQUAL(vidur_path_each_spec("skus/devices", find_timed, &timed, NULL),
                        1);
        CU_ASSERT_STRING_NOT_EQUAL(timed.name, device.name);
        CU_ASSERT_EQUAL(memcmp(e, &timed.engine, sizeof *e), 0);
    }
    return 0;
}

static int check_node(void *context, const char *name)
{
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    struct vidur_error err = {0};
    ++*(int *)context;
    CU_ASSERT_EQUAL(vidur_node_sku_load(&node, name, &err), 0);
    CU_ASSERT_STRING_EQUAL(node.name, name);
    CU_ASSERT_EQUAL(vidur_device_sku_load(&device, node.device, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    return 0;
}

static void test_every_spec(void)
{
    int devices = 0, nodes = 0;
    CU_ASSERT_EQUAL(vidur_path_each_spec("skus/devices", check_device, &devices, NULL),
                    0);
    CU_ASSERT_EQUAL(vidur_path_each_spec("skus/nodes", check_node, &nodes, NULL), 0);
    CU_ASSERT(devices >= 25);
    CU_ASSERT(nodes >= 27);
}

static void test_unknown_names(void)
{
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_device_sku_load(&device, "aa100", &err), -1);
    assert_contains(err.text, "'a100'");
    CU_ASSERT_EQUAL(vidur_node_sku_load(&node, "h100_dgxx", &err), -1);
    assert_contains(err.text, "'h100_dgx'");
}

static int load_device(struct vidur_device_sku *device, const char *text,
                       struct vidur_error *err)
{
    const struct temp_path path = temp_dir_write(&dir, "device.yaml", text);
    memset(err, 0, sizeof *err);
    return vidur_device_sku_load(device, path.text, err);
}

/* A file with the datasheet's figures alone is a device. */
static void test_device_defaults(void)
{
    struct vidur_device_sku device, defaults;
    struct vidur_error err;
    vidur_device_sku_defaults(&defaults);
    CU_ASSERT_EQUAL(load_device(&device,
                                "name: mine\npeak_fp16_tflops: 100\nmemory_gib: 50\n"
                                "memory_bandwidth_gb_per_s: 1000\n",
                                &err),
                    0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(device.roofline.gemm_efficiency, defaults.roofline.gemm_efficiency);
    CU_ASSERT(isnan(device.usd_per_gpu_hour));
    CU_ASSERT_DOUBLE_EQUAL(device.v1.usable_memory_gib, 49.5, 1e-12);
    CU_ASSERT_EQUAL(device.v1.peak_bf16_tflops, 100);
    CU_ASSERT_EQUAL(device.v1.memory_bandwidth_gb_per_s, 1000);
    CU_ASSERT(isnan(device.tdp_w));
    CU_ASSERT_EQUAL(device.host_link.bandwidth_gb_per_s, 0); /* nobody knows */
}

#define BASE                                                                           \
    "name: x\npeak_fp16_tflops: 100\nmemory_gib: 50\n"                                 \
    "memory_bandwidth_gb_per_s: 1000\nengine_roofline: "

/* Formats that a spec does not name have no constants: the defaults are another GPU's,
 * and do not go with the ones that it names. */
static void test_engine_roofline(void)
{
    struct vidur_device_sku device, defaults;
    struct vidur_error err;
    vidur_device_sku_defaults(&defaults);
    CU_ASSERT(defaults.engine.gemm[VIDUR_DTYPE_fp8].memory > 0);
    CU_ASSERT_EQUAL(load_device(&device, BASE "{gemm: {bf16: [0.5, 0.25, 0]}}\n", &err),
                    0);
    CU_ASSERT_EQUAL(device.engine.gemm[VIDUR_DTYPE_bf16].compute, 0.25);
    CU_ASSERT_EQUAL(device.engine.gemm[VIDUR_DTYPE_fp8].memory, 0);
    CU_ASSERT_EQUAL(memcmp(device.engine.experts, defaults.engine.experts,
                           sizeof device.engine.experts),
                    0);
    CU_ASSERT_EQUAL(
        load_device(&device, BASE "{experts: {mxfp4: [0.5, 0.25, 1, 2]}}\n", &err), 0);
    CU_ASSERT_EQUAL(device.engine.experts[VIDUR_DTYPE_mxfp4].token_ns, 2);
    CU_ASSERT_EQUAL(device.engine.experts[VIDUR_DTYPE_bf16].memory, 0);
    CU_ASSERT_EQUAL(load_device(&device, BASE "{gemm: {fp8: [1, 1, 1]}}\n", &err), -1);
    assert_contains(err.text, "bf16 is missing");
    CU_ASSERT_EQUAL(load_device(&device, BASE "{experts: {}}\n", &err), -1);
    assert_contains(err.text, "a format at least");
}

static void test_device_errors(void)
{
#define REST "peak_fp16_tflops: 100\nmemory_gib: 50\n"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"name: x\n" REST, "memory_bandwidth_gb_per_s: missing"},
        {"memory_bandwidth_gb_per_s: 1\n" REST, "name: missing"},
        {"name: x\nmemory_bandwidth_gb_per_s: 0\n" REST, "memory_bandwidth_gb_per_s"},
        {"name: x\nmemory_bandwidth_gb_per_s: .nan\n" REST,
         "memory_bandwidth_gb_per_s"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\nusd_per_gpu_hour: -2\n" REST,
         "usd_per_gpu_hour"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\nroofline: {gemm_efficiency: "
         "1.2}\n" REST,
         "roofline.gemm_efficiency"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\nroofline: {gem_efficiency: 1}\n" REST,
         "gemm_efficiency"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\nprice: 3\n" REST, "price"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\ntdp_w: 0\n" REST, "tdp_w"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\nhost_link: {bandwidth_gb_per_s: "
         "0}\n" REST,
         "host_link.bandwidth_gb_per_s"},
        {"name: x\nmemory_bandwidth_gb_per_s: 1\nhost_link: {efficiency: 0.5}\n" REST,
         "bandwidth_gb_per_s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_device_sku device;
        struct vidur_error err;
        CU_ASSERT_EQUAL(load_device(&device, cases[i].text, &err), -1);
        assert_contains(err.text, cases[i].message);
        assert_contains(err.text, "device.yaml:");
    }
#undef REST
}

static void test_node_errors(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"name: x\ndevice: a100\ndevices_per_node: 2\n", "link: missing"},
        {"name: x\ndevice: a100\ndevices_per_node: 0\n", "devices_per_node"},
        {"name: x\ndevices_per_node: 1\n", "device: missing"},
        {"name: x\ndevice: a100\ndevices_per_node: 4\n"
         "link: {bandwidth_gb_per_s: 100, pairwise: true}\n",
         "fallback_bandwidth_gb_per_s: missing"},
        {"name: x\ndevice: a100\ndevices_per_node: 4\nlink: {pairwise: true}\n",
         "bandwidth_gb_per_s: missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_node_sku node;
        struct vidur_error err = {0};
        const struct temp_path path = temp_dir_write(&dir, "node.yaml", cases[i].text);
        CU_ASSERT_EQUAL(vidur_node_sku_load(&node, path.text, &err), -1);
        assert_contains(err.text, cases[i].message);
    }
}

static void write_node(const char *name, const char *device)
{
    char file[64], text[128];
    snprintf(file, sizeof file, "skus/nodes/%s.yaml", name);
    snprintf(text, sizeof text, "name: %s\ndevice: %s\ndevices_per_node: 1\n", name,
             device);
    temp_dir_write(&dir, file, text);
}

/* What people rent comes first; the only node there is will do. */
static void test_default_nodes(void)
{
    static const char *const expected[][2] = {
        {"b200", "b200_dgx"}, {"b100", "b100_pairwise_nvlink"}, {"b40", "b40_box"}};
    char name[48];
    struct vidur_error err = {0};
    write_node("b200_dgx", "b200");
    write_node("b200_pairwise_nvlink", "b200");
    write_node("b100_box", "b100");
    write_node("b100_pairwise_nvlink", "b100");
    write_node("b40_box", "b40");
    write_node("b30_box", "b30");
    write_node("b30_rack", "b30");
    temp_dir_write(&dir, "skus/nodes/broken.yaml", "name: [\n");
    setenv("VIDUR_DATA_DIR", dir.path, 1);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        CU_ASSERT_EQUAL(vidur_node_sku_default(expected[i][0], name, sizeof name, &err),
                        0);
        CU_ASSERT_STRING_EQUAL(name, expected[i][1]);
    }
    CU_ASSERT_EQUAL(vidur_node_sku_default("b30", name, sizeof name, &err), -1);
    assert_contains(err.text, "several nodes of b30; name one: b30_box, b30_rack");
    CU_ASSERT_EQUAL(vidur_node_sku_default("b20", name, sizeof name, &err), -1);
    assert_contains(err.text, "no node of b20; give a spec of one");
    unsetenv("VIDUR_DATA_DIR");
}

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("sku", {"set up", set_up}, {"known devices", test_known_devices},
                {"known nodes", test_known_nodes},
                {"unknown names", test_unknown_names},
                {"device defaults", test_device_defaults},
                {"every spec", test_every_spec},
                {"engine roofline", test_engine_roofline},
                {"device errors", test_device_errors},
                {"node errors", test_node_errors},
                {"default nodes", test_default_nodes}, {"clean up", clean_up})
