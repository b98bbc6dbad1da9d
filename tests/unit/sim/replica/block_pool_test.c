#include "test.h"

#include "replica/block_pool.h"

#include <vidur/rng.h>

#include <stdlib.h>
#include <string.h>

static struct vidur_block_pool *make_pool(int32_t num_blocks)
{
    struct vidur_block_pool *pool = malloc(sizeof *pool);
    void *memory = malloc(vidur_block_pool_bytes(num_blocks));
    vidur_block_pool_init(pool, memory, num_blocks);
    return pool;
}

static void free_pool(struct vidur_block_pool *pool)
{
    free(pool->blocks);
    free(pool);
}

static void test_blocks_come_in_order_and_run_out(void)
{
    struct vidur_block_pool *pool = make_pool(3);
    for (int32_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(vidur_block_pool_take(pool), i);
    CU_ASSERT_EQUAL(vidur_block_pool_take(pool), VIDUR_NO_BLOCK);
    CU_ASSERT_EQUAL(pool->num_free, 0);
    free_pool(pool);
}

/* Released blocks queue up last one first, so the tail of a prompt goes before its
 * head. */
static void test_release_order_and_eviction(void)
{
    struct vidur_block_pool *pool = make_pool(4);
    int32_t mine[4];
    for (int32_t i = 0; i < 4; i++) {
        mine[i] = vidur_block_pool_take(pool);
        vidur_block_pool_name(pool, mine[i], 100 + (uint64_t)i);
    }
    vidur_block_pool_release(pool, mine, 4);
    CU_ASSERT_EQUAL(pool->num_free, 4);
    CU_ASSERT_EQUAL(vidur_block_pool_take(pool), mine[3]);
    CU_ASSERT_EQUAL(vidur_block_pool_find(pool, 103), VIDUR_NO_BLOCK);
    CU_ASSERT_EQUAL(vidur_block_pool_find(pool, 100), mine[0]);
    CU_ASSERT_EQUAL(vidur_block_pool_take(pool), mine[2]);
    CU_ASSERT_EQUAL(pool->num_evictions, 2);
    free_pool(pool);
}

static void test_a_hit_leaves_the_queue(void)
{
    struct vidur_block_pool *pool = make_pool(2);
    int32_t a = vidur_block_pool_take(pool);
    vidur_block_pool_name(pool, a, 7);
    vidur_block_pool_release(pool, &a, 1);
    int32_t hit = vidur_block_pool_find(pool, 7);
    CU_ASSERT_EQUAL(hit, a);
    vidur_block_pool_hold(pool, hit);
    CU_ASSERT_EQUAL(pool->num_free, 1);
    CU_ASSERT_NOT_EQUAL(vidur_block_pool_take(pool), a);
    CU_ASSERT_EQUAL(vidur_block_pool_take(pool), VIDUR_NO_BLOCK);
    free_pool(pool);
}

/* Two holders of one block: it is free only when both have released it. */
static void test_shared_blocks_count_their_holders(void)
{
    struct vidur_block_pool *pool = make_pool(2);
    int32_t a = vidur_block_pool_take(pool);
    vidur_block_pool_name(pool, a, 7);
    vidur_block_pool_hold(pool, vidur_block_pool_find(pool, 7));
    vidur_block_pool_release(pool, &a, 1);
    CU_ASSERT_EQUAL(pool->num_free, 1);
    CU_ASSERT_EQUAL(pool->blocks[a].holders, 1);
    vidur_block_pool_release(pool, &a, 1);
    CU_ASSERT_EQUAL(pool->num_free, 2);
    CU_ASSERT_EQUAL(pool->num_hits, 1);
    free_pool(pool);
}

static void test_a_second_block_of_one_hash_stays_nameless(void)
{
    struct vidur_block_pool *pool = make_pool(2);
    int32_t a = vidur_block_pool_take(pool), b = vidur_block_pool_take(pool);
    vidur_block_pool_name(pool, a, 7);
    vidur_block_pool_name(pool, b, 7);
    CU_ASSERT_EQUAL(vidur_block_pool_find(pool, 7), a);
    CU_ASSERT_EQUAL(pool->blocks[b].hash, 0);
    free_pool(pool);
}

static void test_hashes_chain(void)
{
    uint64_t a = vidur_block_hash(0, 1, 0), b = vidur_block_hash(a, 1, 1);
    CU_ASSERT_NOT_EQUAL(a, b);
    CU_ASSERT_NOT_EQUAL(a, vidur_block_hash(0, 2, 0));
    CU_ASSERT_NOT_EQUAL(b, vidur_block_hash(vidur_block_hash(0, 2, 0), 1, 1));
    CU_ASSERT_EQUAL(b, vidur_block_hash(a, 1, 1));
}

/* Random traffic against a linear model: what is findable, held and free must agree. */
enum { MODEL_BLOCKS = 37, MODEL_HASHES = 90, MODEL_STEPS = 20000 };

struct pool_model {
    uint64_t hash[MODEL_BLOCKS];
    int holders[MODEL_BLOCKS];
    int64_t freed_at[MODEL_BLOCKS]; /* order in the queue */
};

static int32_t model_find(const struct pool_model *m, uint64_t hash)
{
    for (int32_t i = 0; i < MODEL_BLOCKS; i++)
        if (m->hash[i] == hash)
            return i;
    return VIDUR_NO_BLOCK;
}

static int32_t model_front(const struct pool_model *m)
{
    int32_t front = VIDUR_NO_BLOCK;
    for (int32_t i = 0; i < MODEL_BLOCKS; i++)
        if (m->holders[i] == 0 &&
            (front == VIDUR_NO_BLOCK || m->freed_at[i] < m->freed_at[front]))
            front = i;
    return front;
}

static void test_random_traffic_against_a_linear_model(void)
{
    struct vidur_block_pool *pool = make_pool(MODEL_BLOCKS);
    struct pool_model m = {0};
    for (int i = 0; i < MODEL_BLOCKS; i++)
        m.freed_at[i] = i - MODEL_BLOCKS;
    struct vidur_rng rng;
    vidur_rng_init(&rng, 5, 1);
    for (int64_t step = 0; step < MODEL_STEPS; step++) {
        uint64_t hash = 1 + vidur_rng_below(&rng, MODEL_HASHES);
        int32_t found = vidur_block_pool_find(pool, hash);
        CU_ASSERT_EQUAL_FATAL(found, model_find(&m, hash));
        if (found != VIDUR_NO_BLOCK) {
            vidur_block_pool_hold(pool, found);
            m.holders[found]++;
        } else if ((found = vidur_block_pool_take(pool)) != VIDUR_NO_BLOCK) {
            CU_ASSERT_EQUAL_FATAL(found, model_front(&m));
            vidur_block_pool_name(pool, found, hash);
            m.hash[found] = hash;
            m.holders[found] = 1;
        }
        int32_t victim = (int32_t)vidur_rng_below(&rng, MODEL_BLOCKS);
        if (m.holders[victim] > 0) {
            vidur_block_pool_release(pool, &victim, 1);
            if (--m.holders[victim] == 0)
                m.freed_at[victim] = step;
        }
        int32_t num_free = 0;
        for (int i = 0; i < MODEL_BLOCKS; i++)
            num_free += m.holders[i] == 0;
        CU_ASSERT_EQUAL_FATAL(pool->num_free, num_free);
    }
    CU_ASSERT(pool->num_evictions > 100 && pool->num_hits > 100);
    free_pool(pool);
}

VIDUR_TEST_MAIN("block pool", {"order", test_blocks_come_in_order_and_run_out},
                {"release and eviction", test_release_order_and_eviction},
                {"hit", test_a_hit_leaves_the_queue},
                {"shared blocks", test_shared_blocks_count_their_holders},
                {"duplicates", test_a_second_block_of_one_hash_stays_nameless},
                {"hashes", test_hashes_chain},
                {"random traffic", test_random_traffic_against_a_linear_model})
