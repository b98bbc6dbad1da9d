#include "test.h"

#include <vidur/shard.h>

#include <string.h>

/* How layers are dealt to the stages of a pipeline. */

static struct vidur_model_spec model_of(int a, int b)
{
    return (struct vidur_model_spec){.name = "toy",
                                     .num_layers = a + b,
                                     .num_kinds = b > 0 ? 2 : 1,
                                     .kinds = {{.count = a}, {.count = b}}};
}

static void assert_layers(const struct vidur_model_spec *model, int stages,
                          const int *expected)
{
    for (int s = 0; s < stages; s++) {
        struct vidur_stage_part part;
        vidur_stage_of(&part, model, stages, s);
        CU_ASSERT_EQUAL(part.num_layers, expected[s]);
        CU_ASSERT_EQUAL(part.first, s == 0);
        CU_ASSERT_EQUAL(part.last, s == stages - 1);
    }
}

/* vLLM's rule: what is left over goes to the stages before the last, from behind. */
static void test_numbers(void)
{
    const struct vidur_model_spec even = model_of(32, 0), odd = model_of(61, 0);
    assert_layers(&even, 1, (int[]){32});
    assert_layers(&even, 4, (int[]){8, 8, 8, 8});
    assert_layers(&even, 3, (int[]){11, 11, 10});
    assert_layers(&even, 5, (int[]){6, 6, 7, 7, 6});
    assert_layers(&odd, 2, (int[]){31, 30});
    assert_layers(&odd, 4, (int[]){15, 15, 16, 15});
    assert_layers(&odd, 8, (int[]){7, 7, 8, 8, 8, 8, 8, 7});
}

/* All layers are dealt, and no stage has more of a kind than its share and one. */
static void test_kinds_alternate(void)
{
    for (int a = 1; a < 40; a += 3)
        for (int b = 1; b < 40; b += 2)
            for (int stages = 1; stages <= 8 && stages <= a + b; stages++) {
                const struct vidur_model_spec model = model_of(a, b);
                int sums[2] = {0};
                for (int s = 0; s < stages; s++) {
                    struct vidur_stage_part part;
                    vidur_stage_of(&part, &model, stages, s);
                    CU_ASSERT_EQUAL(part.layers[0] + part.layers[1], part.num_layers);
                    const double share = (double)a / (a + b) * part.num_layers;
                    CU_ASSERT(part.layers[0] > share - 1.5 &&
                              part.layers[0] < share + 1.5);
                    sums[0] += part.layers[0];
                    sums[1] += part.layers[1];
                }
                CU_ASSERT_EQUAL(sums[0], a);
                CU_ASSERT_EQUAL(sums[1], b);
            }
}

/* DeepSeek's dense layers come first, gpt-oss's windows are in every other layer. */
static void test_leading_kinds(void)
{
    struct vidur_model_spec model;
    struct vidur_stage_part part;
    CU_ASSERT_EQUAL_FATAL(vidur_model_load(&model, "deepseek-v3", NULL), 0);
    CU_ASSERT_EQUAL(model.leading_kinds, 1);
    const int experts[] = {12, 15, 16, 15};
    for (int s = 0; s < 4; s++) {
        vidur_stage_of(&part, &model, 4, s);
        CU_ASSERT_EQUAL(part.layers[0], s == 0 ? 3 : 0);
        CU_ASSERT_EQUAL(part.layers[1], experts[s]);
    }
    CU_ASSERT_EQUAL_FATAL(vidur_model_load(&model, "gpt-oss-20b", NULL), 0);
    CU_ASSERT_EQUAL(model.leading_kinds, 0);
    for (int s = 0; s < 4; s++) {
        vidur_stage_of(&part, &model, 4, s);
        CU_ASSERT_EQUAL(part.layers[0], 3);
        CU_ASSERT_EQUAL(part.layers[1], 3);
    }
    /* Two leading kinds may end within a stage. */
    model = model_of(3, 2);
    model.kinds[2].count = 5;
    model.num_kinds = 3;
    model.num_layers = 10;
    model.leading_kinds = 2;
    vidur_stage_of(&part, &model, 2, 0);
    CU_ASSERT_EQUAL(part.layers[0], 3);
    CU_ASSERT_EQUAL(part.layers[1], 2);
    vidur_stage_of(&part, &model, 2, 1);
    CU_ASSERT_EQUAL(part.layers[2], 5);
}

static void test_links(void)
{
    const struct vidur_node_sku dgx = {.devices_per_node = 8};
    const struct vidur_node_sku pairs = {.devices_per_node = 4, .pairwise = true};
    const struct vidur_cut four = {4, 4, false, 1}, two = {8, 2, false, 1},
                           single = {1, 4, false, 1}, wide = {2, 2, false, 1};
    const enum vidur_stage_link of_four[] = {VIDUR_LINK_FAST, VIDUR_LINK_NODES,
                                             VIDUR_LINK_FAST, VIDUR_LINK_NONE};
    const enum vidur_stage_link of_single[] = {VIDUR_LINK_FAST, VIDUR_LINK_FALLBACK,
                                               VIDUR_LINK_FAST, VIDUR_LINK_NONE};
    for (int s = 0; s < 4; s++) {
        CU_ASSERT_EQUAL(vidur_stage_link_of(&dgx, &four, s), of_four[s]);
        CU_ASSERT_EQUAL(vidur_stage_link_of(&pairs, &single, s), of_single[s]);
    }
    CU_ASSERT_EQUAL(vidur_stage_link_of(&dgx, &two, 0), VIDUR_LINK_NODES);
    CU_ASSERT_EQUAL(vidur_stage_link_of(&pairs, &wide, 0), VIDUR_LINK_FALLBACK);
}

static void test_kinds_of_stages(void)
{
    const struct vidur_node_sku dgx = {.devices_per_node = 8};
    const struct vidur_model_spec model = model_of(32, 0);
    struct vidur_stage_kinds kinds;
    struct vidur_error err = {0};
    const struct vidur_cut whole = {2, 1, false, 1}, five = {1, 5, false, 1},
                           nodes = {4, 6, false, 1}, many = {1, 33, false, 1};
    CU_ASSERT_EQUAL(vidur_stage_kinds_of(&kinds, &model, &dgx, &whole, &err), 0);
    CU_ASSERT_EQUAL(kinds.kind_of[0], 1);
    CU_ASSERT_EQUAL(kinds.stage_of[1], 0);
    /* 6, 6, 7, 7, 6 layers */
    CU_ASSERT_EQUAL(vidur_stage_kinds_of(&kinds, &model, &dgx, &five, &err), 0);
    CU_ASSERT_EQUAL(kinds.num_kinds, 4);
    const int expected[] = {0, 2, 3, 3, 1};
    CU_ASSERT_EQUAL(memcmp(kinds.kind_of, expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(kinds.stage_of[1], 4);
    CU_ASSERT_EQUAL(kinds.stage_of[3], 2);
    /* 5, 5, 5, 6, 6, 5 layers; the second and the fourth send to other nodes */
    CU_ASSERT_EQUAL(vidur_stage_kinds_of(&kinds, &model, &dgx, &nodes, &err), 0);
    const int by_node[] = {0, 2, 3, 4, 5, 1};
    CU_ASSERT_EQUAL(memcmp(kinds.kind_of, by_node, sizeof by_node), 0);
    CU_ASSERT_EQUAL(vidur_stage_kinds_of(&kinds, &model, &dgx, &many, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "33 stages for the 32 layers"));
}

/* Embedding and head are counted where they are. */
static void test_weights(void)
{
    struct vidur_model_spec m;
    CU_ASSERT_EQUAL_FATAL(vidur_model_load(&m, "meta-llama/Llama-2-70b-hf", NULL), 0);
    const struct vidur_cut cut = {4, 3, false, 1};
    const int layers[] = {27, 27, 26};
    const double embedding = 2.0 * 32000 * 8192 / 4;
    double kv_bytes = 0;
    for (int s = 0; s < 3; s++) {
        struct vidur_shard shard;
        vidur_shard_of_stage(&shard, &m, &cut, s);
        CU_ASSERT_EQUAL(shard.layers[0].count, layers[s]);
        CU_ASSERT_EQUAL(vidur_shard_stage_bytes(&shard, s),
                        vidur_shard_layer_bytes(&shard) + (s != 1) * embedding);
        kv_bytes += vidur_shard_kv_bytes_per_token(&shard);
    }
    CU_ASSERT_EQUAL(kv_bytes, 80 * 2.0 * 2 * 2 * 128);
    /* A tied head is the embedding itself, where the same stage has both. */
    m.tie_word_embeddings = true;
    struct vidur_shard shard;
    vidur_shard_of_stage(&shard, &m, &(struct vidur_cut){4, 1, false, 1}, 0);
    CU_ASSERT_EQUAL(vidur_shard_stage_bytes(&shard, 0),
                    vidur_shard_layer_bytes(&shard) + embedding);
    vidur_shard_of_stage(&shard, &m, &cut, 2);
    CU_ASSERT_EQUAL(vidur_shard_stage_bytes(&shard, 2),
                    vidur_shard_layer_bytes(&shard) + embedding);
}

VIDUR_TEST_MAIN("stages", {"numbers of layers", test_numbers},
                {"kinds alternate", test_kinds_alternate},
                {"leading kinds", test_leading_kinds}, {"links", test_links},
                {"kinds of stages", test_kinds_of_stages}, {"weights", test_weights})
