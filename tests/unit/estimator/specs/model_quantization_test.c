#include <vidur/model.h>

#include "temp_dir.h"
#include "test.h"

#include <string.h>

/* The formats that checkpoints say their weights are kept in. */

static struct temp_dir dir;

/* Four layers, the first dense, the rest with experts beside a shared one; with latent
 * attention where `latent`. */
static void write_model(const char *name, bool latent, const char *quantization)
{
    char text[8192];
    snprintf(text, sizeof text,
             "{\"model_type\": \"%s\", \"hidden_size\": 1024, "
             "\"num_hidden_layers\": 4, \"num_attention_heads\": 8, \"head_dim\": 128, "
             "\"intermediate_size\": 256, \"vocab_size\": 1000, "
             "\"max_position_embeddings\": 8192, \"n_routed_experts\": 8, "
             "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 128, "
             "\"n_shared_experts\": 1, \"first_k_dense_replace\": 1, "
             "\"q_lora_rank\": 64, %s \"hidden_act\": \"silu\"%s%s}",
             latent ? "deepseek_v3" : "glm4_moe",
             latent ? "\"kv_lora_rank\": 64, \"qk_rope_head_dim\": 64, "
                      "\"qk_nope_head_dim\": 128, \"v_head_dim\": 128, "
                    : "",
             quantization[0] ? ", \"quantization_config\": " : "", quantization);
    temp_dir_write(&dir, name, text);
}

static int load(struct vidur_model_spec *m, const char *name, struct vidur_error *err)
{
    const struct temp_path path = temp_dir_path(&dir, name);
    memset(err, 0, sizeof *err);
    return vidur_model_load(m, path.text, err);
}

static void assert_precision(const struct vidur_model_spec *m, const char *expected)
{
    char text[128];
    vidur_precision_describe(&m->precision, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("\n  %s, not %s\n", text, expected);
}

#define GROUP(weights, inputs)                                                         \
    "{\"quant_method\": \"compressed-tensors\", \"config_groups\": {\"group_0\": "     \
    "{\"targets\": [\"Linear\"], \"input_activations\": " inputs ", \"weights\": "     \
    "{" weights "}}}, \"ignore\": [\"lm_head\"]}"

static void test_methods(void)
{
    static const struct {
        const char *quantization, *precision;
    } cases[] = {
        {"", "bf16"},
        {"null", "bf16"},
        {"{\"quant_method\": \"fp8\"}", "fp8"},
        {"{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}", "fp8_block"},
        {"{\"quant_method\": \"fbgemm_fp8\"}", "fp8"},
        {"{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 128}", "int4"},
        {"{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 128}", "int4"},
        {"{\"quant_method\": \"gptq\", \"bits\": 8}", "int8"},
        {"{\"quant_method\": \"mxfp4\"}", "bf16, experts mxfp4"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"FP8\"}", "fp8"},
        {"{\"quant_algo\": \"FP8\", \"kv_cache_scheme\": \"FP8\"}",
         "fp8, KV cache fp8"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\", "
         "\"kv_cache_scheme\": {\"num_bits\": 8, \"type\": \"float\"}}",
         "nvfp4, KV cache fp8"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"FP8_PB_WO\"}",
         "fp8_block"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"W4A16_AWQ\"}", "int4"},
        {GROUP("\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"channel\"",
               "{\"num_bits\": 8}"),
         "fp8"},
        {GROUP("\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"tensor\"",
               "{\"num_bits\": 8}"),
         "fp8"},
        {GROUP("\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"block\", "
               "\"block_structure\": [128, 128]",
               "{\"num_bits\": 8}"),
         "fp8_block"},
        {GROUP("\"num_bits\": 8, \"type\": \"int\"", "{\"num_bits\": 8}"), "int8"},
        {GROUP("\"num_bits\": 4, \"type\": \"int\", \"group_size\": 128", "null"),
         "int4"},
        {GROUP("\"num_bits\": 4, \"type\": \"float\", \"group_size\": 16",
               "{\"num_bits\": 4}"),
         "nvfp4"},
        {GROUP("\"num_bits\": 4, \"type\": \"float\", \"group_size\": 32", "null"),
         "mxfp4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        write_model("methods/config.json", i % 2 == 1, cases[i].quantization);
        CU_ASSERT_EQUAL(load(&m, "methods/config.json", &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        assert_precision(&m, cases[i].precision);
    }
}

#define FP8(list, modules) "{\"quant_method\": \"fp8\", \"" list "\": [" modules "]}"

/* What is left out stays bf16, by every way of naming it. */
static void test_ignored_modules(void)
{
    static const struct {
        const char *quantization, *precision, *note;
    } cases[] = {
        {FP8("ignore", "\"lm_head\""), "fp8", ""},
        {FP8("modules_to_not_convert",
             "\"gate\", \"mlp.gate\", \"model.embed_tokens\", "
             "\"model.layers.2.mlp.gate\""),
         "fp8", ""},
        {FP8("modules_to_not_convert", "\"self_attn\""), "fp8, attention bf16", ""},
        {FP8("exclude_modules", "\"model.layers.*.self_attn\""), "fp8, attention bf16",
         ""},
        {FP8("ignored_layers", "\"*self_attn*\""), "fp8, attention bf16", ""},
        {FP8("ignore", "\"re:.*self_attn.*\""), "fp8, attention bf16", ""},
        {FP8("ignore",
             "\"re:model\\\\.layers\\\\.\\\\d+\\\\.self_attn\\\\.(?:q|k|v|o)_proj\""),
         "fp8, attention bf16", ""},
        {FP8("ignore", "\"language_model.model.layers.0.self_attn*\", "
                       "\"language_model.model.layers.1.self_attn*\", "
                       "\"language_model.model.layers.2.self_attn*\", "
                       "\"language_model.model.layers.3.self_attn*\""),
         "fp8, attention bf16", ""},
        {FP8("ignore", "\"vision_tower*\", \"visual.layers.0.self_attn*\", "
                       "\"mtp.layers.0*\", \"model.layers.4*\""),
         "fp8", ""},
        {FP8("ignore", "\"re:.*shared_experts.*\", "
                       "\"re:.*mlp\\\\.(gate|up|gate_up|down)_proj.*\""),
         "bf16, experts fp8, attention fp8", ""},
        {FP8("ignore", "\"re:.*mlp\\\\.experts\\\\..*\""), "fp8, experts bf16", ""},
        /* the dense layer alone is 2/5 of what is no routed expert */
        {FP8("ignore", "\"model.layers.0*\""), "fp8",
         "attention: fp8 and bf16, counted as fp8; MLPs: fp8 and bf16, counted as fp8"},
        {FP8("ignore", "\"model.layers.0.self_attn.q_proj\""), "fp8",
         "attention: fp8 and bf16, counted as fp8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        write_model("ignored/config.json", false, cases[i].quantization);
        CU_ASSERT_EQUAL(load(&m, "ignored/config.json", &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        assert_precision(&m, cases[i].precision);
        CU_ASSERT_STRING_EQUAL(m.note, cases[i].note);
    }
}

static void test_several_formats(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    write_model("mixed/config.json", true,
                "{\"quant_method\": \"modelopt\", \"quant_algo\": "
                "\"MIXED_PRECISION\", \"quantized_layers\": {"
                "\"model.layers.1.mlp.experts\": {\"quant_algo\": \"NVFP4\"}, "
                "\"model.layers.2.mlp.experts\": {\"quant_algo\": \"NVFP4\"}, "
                "\"model.layers.3.mlp.experts\": {\"quant_algo\": \"NVFP4\"}, "
                "\"model.layers.*.self_attn.o_proj\": {\"quant_algo\": \"FP8\"}}}");
    CU_ASSERT_EQUAL(load(&m, "mixed/config.json", &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    assert_precision(&m, "bf16, experts nvfp4, attention fp8");
    assert_contains(m.note, "attention: fp8 and bf16, counted as fp8");
    write_model(
        "mixed/config.json", false,
        "{\"quant_method\": \"compressed-tensors\", \"config_groups\": {"
        "\"a\": {\"targets\": [\"Linear\"], \"input_activations\": "
        "{\"num_bits\": 8}, \"weights\": {\"num_bits\": 8, \"type\": "
        "\"float\"}}, \"b\": {\"targets\": [\"re:.*mlp.experts.*\"], "
        "\"input_activations\": {\"num_bits\": 4}, \"weights\": {\"num_bits\": 4, "
        "\"type\": \"float\", \"group_size\": 16}}}}");
    CU_ASSERT_EQUAL(load(&m, "mixed/config.json", &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    assert_precision(&m, "fp8, experts nvfp4");
}

static void test_refusals(void)
{
    static const struct {
        const char *quantization, *message;
    } cases[] = {
        {"{\"quant_method\": \"bitsandbytes\"}",
         "quantization_config.quant_method: \"bitsandbytes\" is no method of "
         "quantisation that is built; modelopt, compressed-tensors, fp8, awq, gptq "
         "and"},
        {"{}", "quantization_config.quant_method: "},
        {"{\"quant_method\": \"fp8\", \"weight_block_size\": [1, 128]}",
         "weight_block_size.0: 1; blocks of 128 x 128 are built"},
        {"{\"quant_method\": \"gptq\", \"bits\": 3}",
         "bits: weights of that many bits"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"W4A8_AWQ\"}",
         "quant_algo: W4A8_AWQ: not built"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"MIXED_PRECISION\"}",
         "quantized_layers: missing"},
        {"{\"quant_algo\": \"NVFP4\", \"kv_cache_scheme\": \"NVFP4\"}",
         "kv_cache_scheme: \"NVFP4\": a KV cache that is not built"},
        {"{\"quant_algo\": \"FP8\", \"kv_cache_scheme\": {\"num_bits\": 4}}",
         "a KV cache of 4 bits is not built"},
        {"{\"quant_method\": \"compressed-tensors\"}", "config_groups: missing"},
        {GROUP("\"num_bits\": 4, \"type\": \"int\"", "{\"num_bits\": 8}"),
         "input_activations: activations of few bits beside int4 weights: not built"},
        {GROUP("\"num_bits\": 2, \"type\": \"int\"", "null"),
         "weights: weights of that type: not built"},
        {GROUP("\"num_bits\": 4, \"type\": \"float\", \"group_size\": 64", "null"),
         "floats of that many bits or in such groups"},
        {FP8("ignore", "\"re:^(?!.*experts).*\""),
         "ignore.0: this regular expression is not understood"},
        {FP8("ignore", "3"), "ignore.0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        write_model("refused/config.json", false, cases[i].quantization);
        CU_ASSERT_EQUAL(load(&m, "refused/config.json", &err), -1);
        assert_contains(err.text, cases[i].message);
    }
}

#define BESIDE                                                                         \
    "{\"producer\": {\"name\": \"modelopt\"}, \"quantization\": {\"quant_algo\": "     \
    "\"FP8\", \"kv_cache_quant_algo\": \"FP8\", \"exclude_modules\": [\"lm_head\"]}}"

/* What lies beside a configuration counts where that itself says nothing. */
static void test_beside(void)
{
    static const struct {
        const char *name, *beside, *quantization, *precision;
    } cases[] = {
        {"a/config.json", "a/hf_quant_config.json", "", "fp8, KV cache fp8"},
        {"b/org--m.json", "b/org--m_hf_quant.json", "", "fp8, KV cache fp8"},
        {"c/org--m_config.json", "c/org--m_hf_quant_config.json", "",
         "fp8, KV cache fp8"},
        {"d/config.json", "d/hf_quant_config.json", "{\"quant_algo\": \"NVFP4\"}",
         "nvfp4, KV cache fp8"},
        {"e/config.json", "e/hf_quant.json", "", "bf16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        write_model(cases[i].name, false, cases[i].quantization);
        temp_dir_write(&dir, cases[i].beside, BESIDE);
        CU_ASSERT_EQUAL(load(&m, cases[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        assert_precision(&m, cases[i].precision);
    }
    struct vidur_model_spec m;
    struct vidur_error err;
    temp_dir_write(&dir, "a/hf_quant_config.json", "{\"quantization\": ");
    CU_ASSERT_EQUAL(load(&m, "a/config.json", &err), -1);
    assert_contains(err.text, "a/hf_quant_config.json");
    temp_dir_write(&dir, "a/hf_quant_config.json", "{}");
    CU_ASSERT_EQUAL(load(&m, "a/config.json", &err), -1);
    assert_contains(err.text, "quantization: missing");
}

static void test_notes(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    write_model(
        "notes/config.json", false,
        GROUP("\"num_bits\": 4, \"type\": \"int\", \"group_size\": 32", "null"));
    CU_ASSERT_EQUAL(load(&m, "notes/config.json", &err), 0);
    CU_ASSERT_STRING_EQUAL(m.note, "int4 in groups of 32 counts as in groups of 128");
    write_model("notes/config.json", false,
                GROUP("\"num_bits\": 8, \"type\": \"float\"", "null"));
    CU_ASSERT_EQUAL(load(&m, "notes/config.json", &err), 0);
    CU_ASSERT_STRING_EQUAL(m.note,
                           "activations beside 8-bit weights count as of 8 bits");
}

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("model_quantization", {"set up", set_up}, {"methods", test_methods},
                {"ignored modules", test_ignored_modules},
                {"several formats", test_several_formats}, {"refusals", test_refusals},
                {"beside", test_beside}, {"notes", test_notes}, {"clean up", clean_up})
