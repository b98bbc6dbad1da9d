#include <vidur/sku.h>

#include <vidur/paths.h>

#include "base/yaml.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A number above 0, and a share of a peak (0 to 1), of the struct named first. */
#define POSITIVE(type_, key_, member_, more_flags)                                     \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_DOUBLE,                                        \
        .flags = VIDUR_YAML_ABOVE | (more_flags), VIDUR_YAML_AT(type_, member_),       \
        .min = 0                                                                       \
    }
#define SHARE(type_, key_, member_)                                                    \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_DOUBLE,                                        \
        .flags = VIDUR_YAML_ABOVE | VIDUR_YAML_MAX, VIDUR_YAML_AT(type_, member_),     \
        .min = 0, .max = 1                                                             \
    }
#define LATENCY(type_, key_, member_)                                                  \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_DOUBLE, .flags = VIDUR_YAML_MIN,               \
        VIDUR_YAML_AT(type_, member_), .min = 0                                        \
    }
#define TEXT(type_, key_, member_, more_flags)                                         \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_STRING, .flags = (more_flags),                 \
        VIDUR_YAML_AT(type_, member_)                                                  \
    }
#define SECTION(key_, fields_)                                                         \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_MAPPING, .fields = fields_                     \
    }

typedef struct vidur_device_sku device_sku;
typedef struct vidur_node_sku node_sku;

static const struct vidur_yaml_field roofline_fields[] = {
    SHARE(device_sku, "gemm_efficiency", roofline.gemm_efficiency),
    SHARE(device_sku, "memory_efficiency", roofline.memory_efficiency),
    SHARE(device_sku, "attention_prefill_efficiency",
          roofline.attention_prefill_efficiency),
    SHARE(device_sku, "attention_decode_efficiency",
          roofline.attention_decode_efficiency),
    LATENCY(device_sku, "kernel_launch_us", roofline.kernel_launch_us),
    LATENCY(device_sku, "attention_launch_us", roofline.attention_launch_us),
    LATENCY(device_sku, "elementwise_launch_us", roofline.elementwise_launch_us),
    {.key = NULL}};

static const struct vidur_yaml_field v1_fields[] = {
    POSITIVE(device_sku, "usable_memory_gib", v1.usable_memory_gib, 0),
    POSITIVE(device_sku, "memory_bandwidth_gb_per_s", v1.memory_bandwidth_gb_per_s, 0),
    POSITIVE(device_sku, "peak_bf16_tflops", v1.peak_bf16_tflops, 0),
    POSITIVE(device_sku, "peak_fp8_tflops", v1.peak_fp8_tflops, 0),
    POSITIVE(device_sku, "peak_fp4_tflops", v1.peak_fp4_tflops, 0),
    LATENCY(device_sku, "activation_gib_tp1", v1.activation_gib_tp1),
    LATENCY(device_sku, "activation_gib", v1.activation_gib),
    {.key = NULL}};

/* A list of numbers, each above 0 but the `launch`es, into consecutive doubles. */
static int read_numbers(const struct vidur_yaml_node *node, double *out, int count,
                        const char *what, struct vidur_error *err)
{
    if (vidur_yaml_count(node) != count)
        return vidur_yaml_fail(node, err, "a list of %d numbers: %s", count, what);
    for (int i = 0; i < count; i++) {
        const struct vidur_yaml_node *item = vidur_yaml_item(node, i);
        if (vidur_yaml_as_double(item, &out[i], err))
            return -1;
        if (!(out[i] >= 0) || (i < 2 && !(out[i] > 0)))
            return vidur_yaml_fail(item, err, "%g; %s are numbers above 0", out[i],
                                   what);
    }
    return 0;
}

/* {FORMAT: [numbers]}: `out` is the first of VIDUR_NUM_DTYPES structs of `count`
 * doubles. Formats that are not there have none: another GPU's would not go with the
 * rest. */
static int read_by_format(const struct vidur_yaml_node *node, double *out, int count,
                          const char *what, struct vidur_error *err)
{
    memset(out, 0, VIDUR_NUM_DTYPES * (size_t)count * sizeof *out);
    for (int i = 0; i < vidur_yaml_count(node); i++) {
        const char *key = vidur_yaml_key(node, i);
        enum vidur_dtype dtype;
        struct vidur_error why;
        if (!key || vidur_dtype_find(&dtype, key, &why))
            return vidur_yaml_fail(node, err, "%s",
                                   key ? why.text : "a mapping of formats");
        if (read_numbers(vidur_yaml_get(node, key), out + (size_t)dtype * (size_t)count,
                         count, what, err))
            return -1;
    }
    return 0;
}

/* Output heads are bf16, and what no other format stands in for takes its constants. */
static int read_gemm(const struct vidur_yaml_node *node, void *out,
                     struct vidur_error *err)
{
    const struct vidur_gemm_roofline *gemm = out;
    if (read_by_format(node, out, 3, "share of bandwidth, share of peak, launch in us",
                       err))
        return -1;
    if (gemm[VIDUR_DTYPE_bf16].memory > 0)
        return 0;
    return vidur_yaml_fail(node, err, "bf16 is missing; every model has output heads");
}

static int read_experts(const struct vidur_yaml_node *node, void *out,
                        struct vidur_error *err)
{
    if (vidur_yaml_count(node) == 0)
        return vidur_yaml_fail(node, err, "a mapping with a format at least");
    return read_by_format(node, out, 4,
                          "share of bandwidth, share of peak, launch in us, ns a token",
                          err);
}

static int read_prefill(const struct vidur_yaml_node *node, void *out,
                        struct vidur_error *err)
{
    return read_numbers(node, out, 2, "share of peak, launch in us", err);
}

static int read_all_reduce(const struct vidur_yaml_node *node, void *out,
                           struct vidur_error *err)
{
    return read_numbers(node, out, 4,
                        "latency in us of two devices, its growth a device, share of "
                        "the link, its factor with every doubling",
                        err);
}

#define NUMBERS(key_, member_, reader)                                                 \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_CUSTOM, .read = reader,                        \
        VIDUR_YAML_AT(device_sku, member_)                                             \
    }

static const struct vidur_yaml_field engine_fields[] = {
    TEXT(device_sku, "fitted_on", engine.fitted_on, 0),
    NUMBERS("gemm", engine.gemm, read_gemm),
    NUMBERS("experts", engine.experts, read_experts),
    NUMBERS("prefill", engine.prefill, read_prefill),
    NUMBERS("all_reduce", engine.all_reduce, read_all_reduce),
    LATENCY(device_sku, "all_reduce_skew_us", engine.all_reduce_skew_us),
    {.key = NULL}};

static const struct vidur_yaml_field host_link_fields[] = {
    POSITIVE(device_sku, "bandwidth_gb_per_s", host_link.bandwidth_gb_per_s,
             VIDUR_YAML_REQUIRED),
    SHARE(device_sku, "efficiency", host_link.efficiency),
    {.key = NULL}};

static const struct vidur_yaml_field device_fields[] = {
    TEXT(device_sku, "name", name, VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED),
    {.key = "description", .type = VIDUR_YAML_ELSEWHERE},
    POSITIVE(device_sku, "peak_fp16_tflops", peak_fp16_tflops, VIDUR_YAML_REQUIRED),
    POSITIVE(device_sku, "memory_gib", memory_gib, VIDUR_YAML_REQUIRED),
    POSITIVE(device_sku, "memory_bandwidth_gb_per_s", memory_bandwidth_gb_per_s,
             VIDUR_YAML_REQUIRED),
    POSITIVE(device_sku, "usd_per_gpu_hour", usd_per_gpu_hour, 0),
    TEXT(device_sku, "price_source", price_source, 0),
    TEXT(device_sku, "price_date", price_date, 0),
    POSITIVE(device_sku, "tdp_w", tdp_w, 0),
    SECTION("roofline", roofline_fields),
    SECTION("v1", v1_fields),
    SECTION("engine_roofline", engine_fields),
    TEXT(device_sku, "kernel_system", kernel_system, 0),
    SECTION("host_link", host_link_fields),
    {.key = NULL}};

static const struct vidur_yaml_field link_fields[] = {
    {.key = "kind", .type = VIDUR_YAML_ELSEWHERE},
    POSITIVE(node_sku, "bandwidth_gb_per_s", link_bandwidth_gb_per_s,
             VIDUR_YAML_REQUIRED),
    SHARE(node_sku, "efficiency", link_efficiency),
    LATENCY(node_sku, "latency_us", link_latency_us),
    {.key = "pairwise", .type = VIDUR_YAML_BOOL, VIDUR_YAML_AT(node_sku, pairwise)},
    POSITIVE(node_sku, "fallback_bandwidth_gb_per_s", fallback_bandwidth_gb_per_s, 0),
    SHARE(node_sku, "fallback_efficiency", fallback_efficiency),
    {.key = NULL}};

static const struct vidur_yaml_field inter_node_fields[] = {
    POSITIVE(node_sku, "bandwidth_gb_per_s", inter_node_bandwidth_gb_per_s,
             VIDUR_YAML_REQUIRED),
    SHARE(node_sku, "efficiency", inter_node_efficiency),
    LATENCY(node_sku, "latency_us", inter_node_latency_us),
    {.key = NULL}};

static const struct vidur_yaml_field node_fields[] = {
    TEXT(node_sku, "name", name, VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED),
    {.key = "description", .type = VIDUR_YAML_ELSEWHERE},
    TEXT(node_sku, "device", device, VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED),
    {.key = "devices_per_node",
     .type = VIDUR_YAML_INT,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_MIN | VIDUR_YAML_MAX,
     VIDUR_YAML_AT(node_sku, devices_per_node),
     .min = 1,
     .max = 1024},
    SECTION("link", link_fields),
    SECTION("inter_node", inter_node_fields),
    {.key = NULL}};

/* Of H100, for devices that have no timings of their own. */
static struct vidur_engine_roofline engine_roofline_default(void)
{
    return (struct vidur_engine_roofline){
        .fitted_on = "h100_sxm vllm-0.24.0",
        .gemm = {[VIDUR_DTYPE_bf16] = {0.9, 0.8, 3}, [VIDUR_DTYPE_fp8] = {0.8, 0.6, 6}},
        .experts = {[VIDUR_DTYPE_bf16] = {0.9, 0.4, 50, 4},
                    [VIDUR_DTYPE_fp8_block] = {0.9, 0.15, 50, 4},
                    [VIDUR_DTYPE_int4] = {0.8, 0.15, 50, 4},
                    [VIDUR_DTYPE_mxfp4] = {0.8, 0.2, 70, 2}},
        .prefill = {0.6, 15},
        .all_reduce = {4.34, 0.0472, 0.59, 1},
        .all_reduce_skew_us = 1.9};
}

void vidur_device_sku_defaults(struct vidur_device_sku *device)
{
    *device = (struct vidur_device_sku){
        .usd_per_gpu_hour = NAN,
        .tdp_w = NAN,
        .roofline = {.gemm_efficiency = 0.82,
                     .memory_efficiency = 0.8,
                     .attention_prefill_efficiency = 0.54,
                     .attention_decode_efficiency = 0.61,
                     .kernel_launch_us = 5,
                     .attention_launch_us = 10,
                     .elementwise_launch_us = 3},
        .v1 = {.activation_gib_tp1 = 0.35, .activation_gib = 1.2},
        .engine = engine_roofline_default(),
        .host_link = {.efficiency = 0.8}};
}

void vidur_node_sku_defaults(struct vidur_node_sku *node)
{
    *node = (struct vidur_node_sku){.link_efficiency = 0.47,
                                    .link_latency_us = 4.5,
                                    .fallback_efficiency = 0.75,
                                    .inter_node_efficiency = 0.75,
                                    .inter_node_latency_us = 10};
}

static int load(const char *kind, const char *reference,
                const struct vidur_yaml_field *fields, void *out,
                struct vidur_error *err)
{
    struct vidur_path path;
    if (vidur_path_spec(NULL, kind, reference, &path, err))
        return -1;
    struct vidur_yaml *doc = vidur_yaml_load(path.text, err);
    if (!doc)
        return -1;
    int status = vidur_yaml_read(vidur_yaml_root(doc), fields, out, err);
    vidur_yaml_free(doc);
    return status;
}

int vidur_device_sku_load(struct vidur_device_sku *device, const char *reference,
                          struct vidur_error *err)
{
    vidur_device_sku_defaults(device);
    if (load("skus/devices", reference, device_fields, device, err))
        return -1;
    /* The driver keeps about one per cent for itself. */
    if (device->v1.usable_memory_gib == 0)
        device->v1.usable_memory_gib = 0.99 * device->memory_gib;
    if (device->v1.memory_bandwidth_gb_per_s == 0)
        device->v1.memory_bandwidth_gb_per_s = device->memory_bandwidth_gb_per_s;
    if (device->v1.peak_bf16_tflops == 0)
        device->v1.peak_bf16_tflops = device->peak_fp16_tflops;
    return 0;
}

int vidur_node_sku_load(struct vidur_node_sku *node, const char *reference,
                        struct vidur_error *err)
{
    vidur_node_sku_defaults(node);
    if (load("skus/nodes", reference, node_fields, node, err))
        return -1;
    if (node->devices_per_node > 1 && node->link_bandwidth_gb_per_s == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: link: missing; a node of %d devices needs the "
                          "bandwidth_gb_per_s between them",
                          reference, node->devices_per_node);
    if (node->pairwise && node->fallback_bandwidth_gb_per_s == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: link.fallback_bandwidth_gb_per_s: missing; a pairwise "
                          "node needs the bandwidth between its pairs",
                          reference);
    return 0;
}

const char *vidur_device_kernel_system(const struct vidur_device_sku *device)
{
    return device->kernel_system[0] ? device->kernel_system : device->name;
}

struct vidur_relative_peaks vidur_device_peaks(const struct vidur_device_sku *device)
{
    const struct vidur_device_v1 *v1 = &device->v1;
    const double fp8 =
        v1->peak_fp8_tflops > 0 ? v1->peak_fp8_tflops : v1->peak_bf16_tflops;
    const double fp4 =
        v1->peak_fp4_tflops > 0 ? v1->peak_fp4_tflops : v1->peak_bf16_tflops;
    return (struct vidur_relative_peaks){
        .of = {[VIDUR_PEAK_bf16] = 1,
               [VIDUR_PEAK_fp8] = fp8 / v1->peak_bf16_tflops,
               [VIDUR_PEAK_fp4] = fp4 / v1->peak_bf16_tflops}};
}

/* ---- The node of a device ---- */

struct nodes_of {
    const char *device;
    char first[128];
    char list[256];
    int count;
};

static int keep_node(void *context, const char *name)
{
    struct nodes_of *nodes = context;
    struct vidur_node_sku node;
    if (vidur_node_sku_load(&node, name, NULL) != 0 ||
        strcmp(node.device, nodes->device) != 0)
        return 0;
    const size_t used = strlen(nodes->list);
    if (nodes->count++ == 0)
        snprintf(nodes->first, sizeof nodes->first, "%s", name);
    snprintf(nodes->list + used, sizeof nodes->list - used, "%s%s", used ? ", " : "",
             name);
    return 0;
}

int vidur_node_sku_default(const char *device, char *name, size_t size,
                           struct vidur_error *err)
{
    static const char *const suffixes[] = {"_dgx", "_pairwise_nvlink"};
    struct nodes_of nodes = {.device = device};
    struct vidur_path path;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, size, "%s%s", device, suffixes[i]);
        if (vidur_path_spec(NULL, "skus/nodes", name, &path, NULL) == 0)
            return 0;
    }
    if (vidur_path_each_spec("skus/nodes", keep_node, &nodes, err) != 0)
        return -1;
    if (nodes.count != 1)
        return vidur_fail(
            err, VIDUR_EINVAL,
            nodes.count == 0 ? "missing, and data/skus/nodes has no node of %s%s; give "
                               "a spec of one"
                             : "missing, and data/skus/nodes has several nodes of %s; "
                               "name one: %s",
            device, nodes.list);
    snprintf(name, size, "%s", nodes.first);
    return 0;
}
