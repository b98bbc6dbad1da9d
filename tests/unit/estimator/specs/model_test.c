#include <vidur/model.h>

#include "temp_dir.h"
#include "test.h"

#include <string.h>

static struct temp_dir dir;

static void assert_contains(const char *text, const char *part)
{
    CU_ASSERT(strstr(text, part) != NULL);
    if (!strstr(text, part))
        printf("\n  '%s' lacks '%s'\n", text, part);
}

/* ---- Specs of data/models ---- */

static void test_known_models(void)
{
    /* SIMULATOR.md section 1 */
    static const struct {
        const char *name;
        int layers, q, kv, dim, hidden;
    } expected[] = {{"meta-llama/Llama-2-7b-hf", 32, 32, 32, 4096, 11008},
                    {"meta-llama/Llama-2-70b-hf", 80, 64, 8, 8192, 28672},
                    {"meta-llama/Meta-Llama-3-8B", 32, 32, 8, 4096, 14336},
                    {"meta-llama/Meta-Llama-3-70B", 80, 64, 8, 8192, 28672},
                    {"codellama/CodeLlama-34b-Instruct-hf", 48, 64, 8, 8192, 22016},
                    {"internlm/internlm-20b", 60, 40, 40, 5120, 13824},
                    {"internlm/internlm2-20b", 48, 48, 8, 6144, 16384},
                    {"Qwen/Qwen-72B", 80, 64, 64, 8192, 24576},
                    {"Qwen/Qwen-2-7B", 28, 28, 4, 3584, 18944},
                    {"microsoft/phi-2", 32, 32, 32, 2560, 10240}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct vidur_model_spec model;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_model_load(&model, expected[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(model.name, expected[i].name);
        CU_ASSERT_EQUAL(model.num_layers, expected[i].layers);
        CU_ASSERT_EQUAL(model.kinds[0].num_q_heads, expected[i].q);
        CU_ASSERT_EQUAL(model.kinds[0].num_kv_heads, expected[i].kv);
        CU_ASSERT_EQUAL(model.embedding_dim, expected[i].dim);
        CU_ASSERT_EQUAL(model.kinds[0].mlp_hidden_dim, expected[i].hidden);
        CU_ASSERT_EQUAL(model.kinds[0].head_dim, expected[i].dim / expected[i].q);
        const bool phi = strstr(expected[i].name, "phi") != NULL;
        CU_ASSERT_EQUAL(model.use_gated_mlp, !phi);
        CU_ASSERT_EQUAL(model.post_attn_norm, !phi);
        CU_ASSERT_EQUAL(model.max_tensor_parallel_size, phi ? 1 : 0);
    }
}

static void test_file_name_is_enough(void)
{
    struct vidur_model_spec model;
    CU_ASSERT_EQUAL(vidur_model_load(&model, "llama-2-70b-hf", NULL), 0);
    CU_ASSERT_STRING_EQUAL(model.name, "meta-llama/Llama-2-70b-hf");
}

static void test_unknown_name_gives_the_nearest(void)
{
    struct vidur_model_spec model;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_model_load(&model, "meta-llama/Llama-2-70-hf", &err), -1);
    assert_contains(err.text, "'llama-2-70b-hf'");
    CU_ASSERT_EQUAL(vidur_model_load(&model, "", &err), -1);
    CU_ASSERT_EQUAL(vidur_model_load(&model, "no/such/file.yaml", &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    assert_contains(err.text, "no/such/file.yaml");
}

/* ---- YAML ---- */

static int load_text(struct vidur_model_spec *model, const char *name, const char *text,
                     struct vidur_error *err)
{
    const struct temp_path path = temp_dir_write(&dir, name, text);
    memset(err, 0, sizeof *err);
    return vidur_model_load(model, path.text, err);
}

static void test_yaml_defaults(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(load_text(&m, "m.yaml",
                              "name: a/b\nnum_layers: 2\nnum_q_heads: 4\n"
                              "embedding_dim: 64\nmlp_hidden_dim: 128\n"
                              "vocab_size: 100\nmax_position_embeddings: 512\n"
                              "use_gated_mlp: true\n",
                              &err),
                    0);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, 4);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, 16);
    CU_ASSERT_TRUE(m.post_attn_norm);
    CU_ASSERT_FALSE(m.tie_word_embeddings);
}

static void test_yaml_errors(void)
{
#define REST                                                                           \
    "num_layers: 2\nnum_q_heads: 4\nembedding_dim: 64\nvocab_size: 100\n"              \
    "max_position_embeddings: 512\nuse_gated_mlp: true\n"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"name: x\n" REST, "mlp_hidden_dim: missing"},
        {"mlp_hidden_dim: 8\n" REST, "name: missing"},
        {"name: x\nmlp_hidden_dim: 8\nhidden: 3\n" REST, "hidden"},
        {"name: x\nmlp_hidden_dim: 0\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: -3\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: many\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: 99999999999999\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: 8\nnum_kv_heads: 3\n" REST,
         "num_q_heads: 4 is not a multiple of num_kv_heads 3"},
        {"name: x\nmlp_hidden_dim: 8\nnum_q_heads: 5\nnum_layers: 2\n"
         "embedding_dim: 64\nvocab_size: 100\nmax_position_embeddings: 512\n"
         "use_gated_mlp: true\n",
         "embedding_dim: 64 is not a multiple of num_q_heads 5; head_dim must be"},
        {"[1, 2]\n", "keys with values"},
        {"name: {\n", "y.yaml:"},
        {"", "name: missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        CU_ASSERT_EQUAL(load_text(&m, "y.yaml", cases[i].text, &err), -1);
        assert_contains(err.text, cases[i].message);
        assert_contains(err.text, "y.yaml");
    }
#undef REST
}

static void test_checks(void)
{
    struct vidur_model_spec m;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_model_load(&m, "meta-llama/Llama-2-7b-hf", NULL), 0);
    CU_ASSERT_EQUAL(vidur_model_check(&m, &err), 0);
    m.embedding_dim = 0;
    CU_ASSERT_EQUAL(vidur_model_check(&m, &err), -1);
    assert_contains(err.text, "embedding_dim: missing");
    m.embedding_dim = 4096;
    m.max_tensor_parallel_size = -1;
    CU_ASSERT_EQUAL(vidur_model_check(&m, &err), -1);
    assert_contains(err.text, "max_tensor_parallel_size");
}

static void test_context(void)
{
    struct vidur_model_spec m;
    char text[160];
    CU_ASSERT_EQUAL(vidur_model_load(&m, "microsoft/phi-2", NULL), 0);
    vidur_model_describe_context(&m, "max_seq_len", 2048, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "");
    vidur_model_describe_context(&m, "max_seq_len", 2049, text, sizeof text);
    assert_contains(text, "max_seq_len 2049 is beyond the context of ");
    assert_contains(text, "phi-2, 2048 tokens");
}

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("model", {"set up", set_up}, {"known models", test_known_models},
                {"file name is enough", test_file_name_is_enough},
                {"unknown name gives the nearest", test_unknown_name_gives_the_nearest},
                {"yaml defaults", test_yaml_defaults},
                {"yaml errors", test_yaml_errors}, {"checks", test_checks},
                {"context", test_context}, {"clean up", clean_up})
