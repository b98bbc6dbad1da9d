#include "test.h"

#include "load/prompt_tree.h"

#include <vidur/rng.h>

#include <string.h>

static struct vidur_prompt_tree tree;
static struct vidur_error err;

static void build(const int64_t *first, const int32_t *ids, int64_t count)
{
    CU_ASSERT_EQUAL_FATAL(vidur_prompt_tree_build(&tree, first, ids, count, &err), 0);
}

static const struct vidur_recorded_segment *segments_of(int64_t prompt)
{
    return &tree.segments[tree.prompts[prompt].first_segment];
}

/* The node of a prompt's block; -1: it has no such block. */
static int32_t node_of(int64_t prompt, int32_t block)
{
    for (int32_t i = 0; i < tree.prompts[prompt].num_segments; i++)
        if (block < segments_of(prompt)[i].end)
            return segments_of(prompt)[i].node;
    return -1;
}

static void test_branches(void)
{
    /* 1 2 3 4 | 1 2 5 | 1 2 3 6 | 7 | 1 */
    static const int32_t ids[] = {1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 6, 7, 1};
    static const int64_t first[] = {0, 4, 7, 11, 12, 13};
    build(first, ids, 5);
    CU_ASSERT_EQUAL(tree.prompts[0].num_segments, 3); /* 1 2 | 3 | 4 */
    CU_ASSERT_EQUAL(segments_of(0)[0].end, 2);
    CU_ASSERT_EQUAL(segments_of(0)[1].end, 3);
    CU_ASSERT_EQUAL(segments_of(0)[2].end, 4);
    CU_ASSERT_EQUAL(tree.prompts[1].num_segments, 2);
    CU_ASSERT_EQUAL(node_of(1, 1), node_of(0, 0));
    CU_ASSERT_NOT_EQUAL(node_of(1, 2), node_of(0, 2));
    CU_ASSERT_EQUAL(node_of(2, 2), node_of(0, 2));
    CU_ASSERT_NOT_EQUAL(node_of(2, 3), node_of(0, 3));
    CU_ASSERT_EQUAL(tree.prompts[3].num_segments, 1);
    CU_ASSERT_EQUAL(tree.prompts[4].num_segments, 1); /* a part of the first node */
    CU_ASSERT_EQUAL(node_of(4, 0), node_of(0, 0));
    CU_ASSERT_EQUAL(segments_of(4)[0].end, 1);
    vidur_prompt_tree_free(&tree);
}

/* A conversation, each prompt of which goes on behind the one before, is one node. */
static void test_conversations(void)
{
    enum { TURNS = 20 };
    int32_t ids[TURNS * (TURNS + 1) / 2];
    int64_t first[TURNS + 1] = {0};
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i <= turn; i++)
            ids[first[turn] + i] = 100 + i;
        first[turn + 1] = first[turn] + turn + 1;
    }
    build(first, ids, TURNS);
    CU_ASSERT_EQUAL(tree.num_segments, TURNS);
    for (int turn = 0; turn < TURNS; turn++) {
        CU_ASSERT_EQUAL(node_of(turn, turn), node_of(0, 0));
        CU_ASSERT_EQUAL(segments_of(turn)[0].end, turn + 1);
    }
    vidur_prompt_tree_free(&tree);
}

static void test_empty(void)
{
    static const int32_t ids[] = {1, 1};
    static const int64_t first[] = {0, 0, 1, 1, 2};
    build(first, ids, 4);
    CU_ASSERT_EQUAL(tree.prompts[0].num_segments, 0);
    CU_ASSERT_EQUAL(tree.prompts[2].num_segments, 0);
    CU_ASSERT_EQUAL(node_of(1, 0), node_of(3, 0));
    CU_ASSERT_EQUAL(tree.num_segments, 2);
    build(first, ids, 0);
    CU_ASSERT_EQUAL(tree.num_segments, 0);
    vidur_prompt_tree_free(&tree);
}

enum { PROMPTS = 40, LENGTH = 12 };

static int32_t common(const int64_t *first, const int32_t *ids, int a, int b)
{
    int32_t count = 0;
    while (first[a] + count < first[a + 1] && first[b] + count < first[b + 1] &&
           ids[first[a] + count] == ids[first[b] + count])
        count++;
    return count;
}

/* Any two prompts have the same node at the blocks that they have in common, and
 * nowhere else; and there are no more nodes than branches make. */
static void test_random_prompts(void)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 3, 3);
    for (int round = 0; round < 200; round++) {
        int32_t ids[PROMPTS * LENGTH];
        int64_t first[PROMPTS + 1] = {0};
        for (int i = 0; i < PROMPTS; i++) {
            first[i + 1] = first[i] + vidur_rng_below(&rng, LENGTH);
            for (int64_t k = first[i]; k < first[i + 1]; k++)
                ids[k] = (int32_t)vidur_rng_below(&rng, 1 + round % 4);
        }
        build(first, ids, PROMPTS);
        for (int i = 0; i < PROMPTS; i++) {
            const int32_t last = tree.prompts[i].num_segments - 1;
            CU_ASSERT_EQUAL(last < 0 ? 0 : segments_of(i)[last].end,
                            first[i + 1] - first[i]);
            for (int k = 0; k < PROMPTS; k++) {
                const int32_t shared = common(first, ids, i, k);
                for (int32_t b = 0; b < LENGTH && node_of(i, b) >= 0; b++)
                    CU_ASSERT_EQUAL(node_of(i, b) == node_of(k, b), b < shared);
            }
            for (int32_t s = 0; s < last; s++) { /* somebody leaves it there */
                bool branches = false;
                for (int k = 0; k < PROMPTS; k++)
                    branches |= common(first, ids, i, k) == segments_of(i)[s].end &&
                                first[k] + segments_of(i)[s].end < first[k + 1];
                CU_ASSERT(branches);
            }
        }
    }
    vidur_prompt_tree_free(&tree);
}

VIDUR_TEST_MAIN("prompt tree", {"branches", test_branches},
                {"conversations", test_conversations}, {"empty", test_empty},
                {"random prompts", test_random_prompts})
