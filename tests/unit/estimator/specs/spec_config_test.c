#include "test.h"

#include "base/yaml.h"

#include <vidur/spec_config.h>

#include <stdio.h>
#include <string.h>

static void test_default_node(void)
{
    static const struct {
        const char *device, *corrected, *vidur;
    } cases[] = {{"a100", "a100_dgx", "a100_pairwise_nvlink"},
                 {"a40", "a40_pairwise_nvlink", "a40_pairwise_nvlink"},
                 {"l40s", "l40s_pcie", "l40s_pairwise_nvlink"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_device_sku device = {0};
        char name[64];
        strcpy(device.name, cases[i].device);
        CU_ASSERT_EQUAL(vidur_default_node(&device, VIDUR_SEMANTICS_CORRECTED, name,
                                           sizeof name, NULL),
                        0);
        CU_ASSERT_STRING_EQUAL(name, cases[i].corrected);
        CU_ASSERT_EQUAL(
            vidur_default_node(&device, VIDUR_SEMANTICS_VIDUR, name, sizeof name, NULL),
            0);
        CU_ASSERT_STRING_EQUAL(name, cases[i].vidur);
    }
}

/* ---- A document like those of the programs ---- */

struct document {
    struct vidur_hardware_config hardware;
    struct vidur_device_sku device;
    struct vidur_node_sku node;
};

static const struct vidur_yaml_field fields[] = {
    {VIDUR_YAML_KEYS(struct document, hardware, vidur_hardware_fields)}, {0}};

static int load(const char *text, enum vidur_semantics semantics,
                struct document *document, struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", text, strlen(text), err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    memset(document, 0, sizeof *document);
    document->hardware.semantics = semantics;
    int status = vidur_yaml_read(root, fields, document, err);
    if (status == 0)
        status = vidur_hardware_load(&document->hardware, root, &document->device,
                                     &document->node, err);
    vidur_yaml_free(doc);
    return status;
}

static void test_hardware(void)
{
    struct document d;
    CU_ASSERT_EQUAL(load("{device: a100, network_device: a100_pairwise_nvlink}",
                         VIDUR_SEMANTICS_CORRECTED, &d, NULL),
                    0);
    CU_ASSERT_STRING_EQUAL(d.device.name, "a100");
    CU_ASSERT_STRING_EQUAL(d.node.name, "a100_pairwise_nvlink");
    CU_ASSERT_FALSE(d.hardware.default_node);
    CU_ASSERT_EQUAL(load("device: a100", VIDUR_SEMANTICS_CORRECTED, &d, NULL), 0);
    CU_ASSERT_STRING_EQUAL(d.node.name, "a100_dgx");
    CU_ASSERT_STRING_EQUAL(d.hardware.node, "a100_dgx");
    CU_ASSERT_TRUE(d.hardware.default_node);
    CU_ASSERT_EQUAL(load("device: a100", VIDUR_SEMANTICS_VIDUR, &d, NULL), 0);
    CU_ASSERT_STRING_EQUAL(d.node.name, "a100_pairwise_nvlink");
}

static void test_hardware_errors(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"network_device: a100_dgx", "a.yaml:1: device: missing; this key needs a"},
        {"device: ''", "a.yaml:1: device: an empty text; give a name"},
        {"device: [a100]", "a.yaml:1: device: a list where a text is needed"},
        {"device: a10o", "a.yaml:1: device: 'a10o' is not in data/skus/devices; the "},
        {"device: no.yaml", "a.yaml:1: device: no.yaml"},
        {"device: a100\nnetwork_device: dgx", "a.yaml:2: network_device: 'dgx' is not"},
        {"device: a100\nnetwork_device: h100_dgx",
         "a.yaml:2: network_device: h100_dgx holds h100 devices, not a100; name a node "
         "of a100"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct document d;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(load(cases[i].text, VIDUR_SEMANTICS_CORRECTED, &d, &err), -1);
        const size_t n = strlen(cases[i].message);
        if (strncmp(err.text, cases[i].message, n) != 0)
            printf("\n  wanted '%s...', got '%s'", cases[i].message, err.text);
        CU_ASSERT_EQUAL(strncmp(err.text, cases[i].message, n), 0);
    }
}

static void test_model(void)
{
    static const char text[] = "name: llama\nmodel: lama-2-70b-hf\n";
    struct vidur_model_spec model;
    struct vidur_error err = {0};
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", text, strlen(text), NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    CU_ASSERT_EQUAL(
        vidur_model_config_load(&model, "llama-2-70b-hf", root, "model", &err), 0);
    CU_ASSERT_EQUAL(model.num_layers, 80);
    CU_ASSERT_EQUAL(
        vidur_model_config_load(&model, "lama-2-70b-hf", root, "model", &err), -1);
    CU_ASSERT_EQUAL(
        strncmp(err.text, "a.yaml:2: model: 'lama-2-70b-hf' is not in data/models", 54),
        0);
    vidur_yaml_free(doc);
}

/* `precision` beside the model replaces what it gives. */
static void test_precision(void)
{
    static const struct {
        const char *text;
        const char *says; /* or the error */
    } cases[] = {
        {"model: gpt-oss-20b", "bf16, experts mxfp4"},
        {"model: gpt-oss-20b\nprecision: fp8", "fp8"},
        {"model: gpt-oss-20b\nprecision: {kv_cache: fp8}",
         "bf16, experts mxfp4, KV cache fp8"},
        {"model: gpt-oss-20b\nprecision: {weights: nvfp4, attention: bf16}",
         "nvfp4, attention bf16"},
        {"model: gpt-oss-20b\nprecision:", "bf16, experts mxfp4"},
        {"model: gpt-oss-20b\nprecision: fp9",
         "a.yaml:2: precision: 'fp9' is no precision; one of bf16, "},
        {"model: gpt-oss-20b\nprecision: {kv_cache: int4}",
         "a.yaml:2: precision.kv_cache: int4: a KV cache is bf16 or fp8"},
        {"model: gpt-oss-20b\nprecision: [fp8]", "a.yaml:2: precision: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_model_spec model;
        struct vidur_error err = {0};
        char text[96] = "";
        struct vidur_yaml *doc =
            vidur_yaml_parse("a.yaml", cases[i].text, strlen(cases[i].text), NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        if (vidur_model_config_load(&model, "gpt-oss-20b", vidur_yaml_root(doc),
                                    "model", &err) == 0)
            vidur_precision_describe(&model.precision, text, sizeof text);
        const char *got = err.code ? err.text : text;
        const bool is_error = strncmp(cases[i].says, "a.yaml", 6) == 0;
        CU_ASSERT_EQUAL(is_error, err.code != VIDUR_OK);
        if (strncmp(got, cases[i].says, strlen(cases[i].says)) != 0) {
            printf("\n  wanted '%s', got '%s'", cases[i].says, got);
            CU_FAIL("another precision");
        }
        vidur_yaml_free(doc);
    }
}

/* Weights are widened where a device has no units for them; a cache only where kernels
 * can. */
static void test_formats_of_devices(void)
{
    static const struct {
        const char *model;
        struct vidur_precision precision;
        double fp8_tflops, fp4_tflops;
        const char *message;
    } cases[] = {
        {"llama-3.3-70b-instruct", {.weights = VIDUR_DTYPE_fp8}, 0, 0, NULL},
        {"llama-3.3-70b-instruct", {.weights = VIDUR_DTYPE_nvfp4}, 2000, 0, NULL},
        {"llama-3.3-70b-instruct", {.kv_cache = VIDUR_DTYPE_fp8}, 0, 0, NULL},
        {"phi-2", {.kv_cache = VIDUR_DTYPE_fp8}, 0, 0, "heads but of 64, 128 and 256"},
        {"phi-2", {.kv_cache = VIDUR_DTYPE_fp8}, 2000, 0, NULL},
        {"deepseek-v3", {.kv_cache = VIDUR_DTYPE_fp8}, 0, 0, "no latent attention"},
        {"deepseek-v3", {.kv_cache = VIDUR_DTYPE_fp8}, 2000, 0, NULL},
        {"phi-2", {.attention = VIDUR_DTYPE_int8}, 2000, 0, NULL},
        {"phi-2", {.attention = VIDUR_DTYPE_int8}, 4500, 9000, "no INT8 kernels for h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_model_spec model;
        struct vidur_device_sku device;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL_FATAL(vidur_model_load(&model, cases[i].model, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(vidur_device_sku_load(&device, "h100", NULL), 0);
        model.precision = cases[i].precision;
        device.v1.peak_fp8_tflops = cases[i].fp8_tflops;
        device.v1.peak_fp4_tflops = cases[i].fp4_tflops;
        const int status = vidur_check_precision(&model, &device, &err);
        CU_ASSERT_EQUAL(status, cases[i].message ? -1 : 0);
        if (cases[i].message)
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].message));
    }
}

/* ---- Layout ---- */

static void test_layout(void)
{
    const struct vidur_model_spec toy = {.name = "toy",
                                         .num_layers = 6,
                                         .num_kinds = 1,
                                         .kinds = {{.count = 6,
                                                    .num_q_heads = 40,
                                                    .num_kv_heads = 10,
                                                    .head_dim = 16,
                                                    .mlp_hidden_dim = 1280}},
                                         .embedding_dim = 640,
                                         .max_tensor_parallel_size = 10};
    static const struct {
        int degree;
        enum vidur_semantics semantics;
        const char *message; /* NULL: it goes */
    } cases[] = {
        {1, VIDUR_SEMANTICS_CORRECTED, NULL},
        {5, VIDUR_SEMANTICS_CORRECTED, NULL},
        {3, VIDUR_SEMANTICS_CORRECTED, "3 does not divide 40 query heads of toy"},
        {3, VIDUR_SEMANTICS_VIDUR, "3 does not divide 40 query heads of toy"},
        {4, VIDUR_SEMANTICS_CORRECTED, "4 neither divides the 10 KV heads of toy nor"},
        {4, VIDUR_SEMANTICS_VIDUR, NULL},
        {20, VIDUR_SEMANTICS_CORRECTED, "toy runs on at most 10 devices in parallel"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        const struct vidur_cut cut = {.tensor = cases[i].degree, .pipeline = 1};
        const int status =
            vidur_check_tensor_parallel(&toy, &cut, cases[i].semantics, &err);
        CU_ASSERT_EQUAL(status, cases[i].message ? -1 : 0);
        if (cases[i].message)
            CU_ASSERT_EQUAL(
                strncmp(err.text, cases[i].message, strlen(cases[i].message)), 0);
    }
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_check_pipeline(&toy, 3, &err), 0);
    CU_ASSERT_EQUAL(vidur_check_pipeline(&toy, 4, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "4 does not divide 6 layers of toy");
}

/* What engines refuse of ranks in data parallel. */
static void test_data_parallel(void)
{
    struct vidur_model_spec toy = {
        .name = "toy", .num_kinds = 2, .kinds = {{.count = 1}, {.count = 3}}};
    struct vidur_cut cut = {.tensor = 2, .pipeline = 1, .data = 4};
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_check_data_parallel(&toy, &cut, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "4 ranks would share nothing, as toy has no experts; take "
                           "as many replicas (num_replicas) instead");
    toy.kinds[1].num_experts = 8;
    CU_ASSERT_EQUAL(vidur_check_data_parallel(&toy, &cut, &err), 0);
    cut.pipeline = 2;
    CU_ASSERT_EQUAL(vidur_check_data_parallel(&toy, &cut, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "4 ranks of 2 pipeline stages"));
    for (cut.data = 0; cut.data < 2; cut.data++) /* one rank may be anything */
        CU_ASSERT_EQUAL(vidur_check_data_parallel(&toy, &cut, &err), 0);
}

VIDUR_TEST_MAIN("spec config", {"default node", test_default_node},
                {"precision", test_precision},
                {"formats of devices", test_formats_of_devices},
                {"hardware", test_hardware}, {"hardware errors", test_hardware_errors},
                {"model", test_model}, {"layout", test_layout},
                {"data parallel", test_data_parallel})
