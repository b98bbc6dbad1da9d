#include "test.h"

#include "replica/block_store.h"

#include <vidur/rng.h>

#include <string.h>

/*
 * Prompts of blocks of 4 tokens: groups of two that share a system prompt of 9 tokens,
 * so of two whole blocks.
 */

enum { NUM_REQUESTS = 8, BLOCK = 4 };

struct fixture {
    struct vidur_arena arena;
    struct vidur_workload workload;
    struct vidur_block_store *store;
    int32_t prefill[NUM_REQUESTS], decode[NUM_REQUESTS], prompt[NUM_REQUESTS];
};

static void begin(struct fixture *f, int32_t num_blocks)
{
    static const int32_t prompts[NUM_REQUESTS] = {0, 0, 1, 2, 3, 0, 1, 2};
    static const int32_t lengths[] = {17, 20, 18, 12}; /* by prompt */
    memset(f, 0, sizeof *f);
    for (int i = 0; i < NUM_REQUESTS; i++) {
        f->prompt[i] = prompts[i];
        f->prefill[i] = lengths[prompts[i]];
        f->decode[i] = 10;
    }
    f->workload = (struct vidur_workload){.num_requests = NUM_REQUESTS,
                                          .max_tokens = 64,
                                          .num_prefill_tokens = f->prefill,
                                          .num_decode_tokens = f->decode,
                                          .prompts = {.prompt = f->prompt,
                                                      .num_prompts = 4,
                                                      .num_prompts_per_group = 2,
                                                      .system_prompt_tokens = 9}};
    const struct vidur_block_store_sizes sizes = {.num_blocks = num_blocks,
                                                  .num_slots = 4,
                                                  .block_size = BLOCK,
                                                  .max_tokens = 64};
    const size_t bytes = vidur_block_store_bytes(&sizes, NUM_REQUESTS);
    CU_ASSERT_EQUAL_FATAL(vidur_arena_reserve(&f->arena, bytes, NULL), 0);
    f->store = vidur_block_store_new(&f->arena, &sizes, &f->workload);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->store);
}

static void end(struct fixture *f)
{
    vidur_arena_fini(&f->arena);
}

static int32_t admit(struct fixture *f, int32_t request)
{
    return vidur_block_store_admit(f->store, request, f->prefill[request]);
}

/* When all of it has been computed. */
static void release(struct fixture *f, int32_t request)
{
    vidur_block_store_release(f->store, request, f->prefill[request] + 1);
}

static struct vidur_prefix_hit find(const struct fixture *f, int32_t request)
{
    return vidur_block_store_find(f->store, request, f->prefill[request],
                                  f->store->pool.num_releases);
}

static int64_t allocated(const struct fixture *f)
{
    return vidur_block_store_allocated(f->store);
}

static void test_hits(void)
{
    struct fixture f;
    begin(&f, 40);
    CU_ASSERT_EQUAL(find(&f, 0).blocks, 0);
    CU_ASSERT_EQUAL(admit(&f, 0), 0);
    CU_ASSERT_EQUAL(allocated(&f), 5);      /* 17 tokens */
    CU_ASSERT_EQUAL(find(&f, 1).blocks, 4); /* the same prompt, whole blocks */
    CU_ASSERT_EQUAL(find(&f, 2).blocks, 2); /* of its group: the system prompt's */
    CU_ASSERT_EQUAL(find(&f, 3).blocks, 0); /* of another group */
    CU_ASSERT_EQUAL(admit(&f, 2), 2);
    CU_ASSERT_EQUAL(allocated(&f), 8); /* 3 of 5 are its own */
    /* 20 tokens fill 5 blocks, but the last token is to be computed. */
    CU_ASSERT_EQUAL(find(&f, 6).blocks, 4);
    CU_ASSERT_EQUAL(admit(&f, 6), 4);
    CU_ASSERT_EQUAL(allocated(&f), 9);
    end(&f);
}

static void test_shared_blocks_count_their_holders(void)
{
    struct fixture f;
    begin(&f, 40);
    admit(&f, 0);
    admit(&f, 1);
    CU_ASSERT_EQUAL(allocated(&f), 6);
    CU_ASSERT_EQUAL(find(&f, 5).unheld, 0);
    release(&f, 0);
    CU_ASSERT_EQUAL(allocated(&f), 5); /* only its last one is free */
    CU_ASSERT_EQUAL(find(&f, 5).unheld, 0);
    release(&f, 1);
    CU_ASSERT_EQUAL(allocated(&f), 0);
    CU_ASSERT_EQUAL(find(&f, 5).blocks, 4);
    CU_ASSERT_EQUAL(find(&f, 5).unheld, 4);
    CU_ASSERT_EQUAL(f.store->num_free_slots, 4);
    end(&f);
}

/* Released since a mark: they count as held for who looks from there. */
static void test_marks(void)
{
    struct fixture f;
    begin(&f, 40);
    admit(&f, 0);
    admit(&f, 3);
    release(&f, 3);
    const uint32_t mark = f.store->pool.num_releases;
    release(&f, 0);
    CU_ASSERT_EQUAL(vidur_block_store_find(f.store, 5, 17, mark).blocks, 4);
    CU_ASSERT_EQUAL(vidur_block_store_find(f.store, 5, 17, mark).unheld, 0);
    CU_ASSERT_EQUAL(vidur_block_store_find(f.store, 7, 18, mark).unheld, 4);
    CU_ASSERT_EQUAL(find(&f, 5).unheld, 4);
    end(&f);
}

/* The tail of what was released first goes first. */
static void test_eviction_order(void)
{
    struct fixture f;
    begin(&f, 12);
    admit(&f, 0); /* 5 blocks, 4 of them named */
    admit(&f, 3); /* 5 of another group */
    release(&f, 0);
    release(&f, 3);
    /* In the queue: 2 never used, 5 of the first, 5 of the second. */
    CU_ASSERT_EQUAL(admit(&f, 4), 2); /* 3 blocks: two hits of its group, one new */
    CU_ASSERT_EQUAL(f.store->pool.num_evictions, 0);
    for (int i = 0; i < 2; i++)
        vidur_block_store_grow(f.store, 4); /* the second unused, a nameless tail */
    CU_ASSERT_EQUAL(f.store->pool.num_evictions, 0);
    CU_ASSERT_EQUAL(find(&f, 0).blocks, 4);
    for (int32_t left = 3; left >= 0; left--) {
        vidur_block_store_grow(f.store, 4);
        CU_ASSERT_EQUAL(find(&f, 0).blocks, left);
    }
    CU_ASSERT_EQUAL(f.store->pool.num_evictions, 4);
    CU_ASSERT_EQUAL(find(&f, 7).blocks, 4); /* the second's are all there still */
    vidur_block_store_grow(f.store, 4);
    CU_ASSERT_EQUAL(f.store->pool.num_evictions, 4);
    vidur_block_store_grow(f.store, 4);
    CU_ASSERT_EQUAL(find(&f, 7).blocks, 3);
    end(&f);
}

/* Recomputed with what it had generated: only the prompt's blocks are found. */
static void test_restart(void)
{
    struct fixture f;
    begin(&f, 40);
    admit(&f, 0);
    vidur_block_store_grow(f.store, 0);
    vidur_block_store_release(f.store, 0, 24);
    CU_ASSERT_EQUAL(allocated(&f), 0);
    const struct vidur_prefix_hit hit =
        vidur_block_store_find(f.store, 0, 24, f.store->pool.num_releases);
    CU_ASSERT_EQUAL(hit.blocks, 4);
    CU_ASSERT_EQUAL(hit.unheld, 4);
    CU_ASSERT_EQUAL(vidur_block_store_admit(f.store, 0, 24), 4);
    CU_ASSERT_EQUAL(allocated(&f), 6);
    end(&f);
}

/* Blocks that a preempted prompt had not come to cache nothing. */
static void test_uncomputed_blocks_are_forgotten(void)
{
    struct fixture f;
    begin(&f, 40);
    admit(&f, 0);
    vidur_block_store_release(f.store, 0, 11);
    CU_ASSERT_EQUAL(find(&f, 5).blocks, 2);
    admit(&f, 5);
    release(&f, 5);
    CU_ASSERT_EQUAL(find(&f, 1).blocks, 4);
    end(&f);
}

/* A prompt shorter than the last whole block of another of the same name. */
static void test_short_prompts(void)
{
    struct fixture f;
    begin(&f, 40);
    f.prefill[0] = 4;
    f.prefill[1] = 3;
    admit(&f, 0);
    CU_ASSERT_EQUAL(allocated(&f), 1);
    CU_ASSERT_EQUAL(find(&f, 1).blocks, 0);
    CU_ASSERT_EQUAL(find(&f, 5).blocks, 1);
    CU_ASSERT_EQUAL(admit(&f, 1), 0);
    CU_ASSERT_EQUAL(allocated(&f), 2);
    end(&f);
}

/* Recorded prompts: request r begins with the blocks of row r, of so many tokens. */
static void record(struct fixture *f, int32_t block_tokens)
{
    static const int64_t first_block[NUM_REQUESTS + 1] = {0,  3,  6,  9, 10,
                                                          10, 10, 13, 13};
    static const int32_t blocks[] = {1, 2, 3, 1, 2, 4, 5, 2, 3, 1, 1, 2, 3};
    f->workload.prompts = (struct vidur_prompts){
        .first_block = first_block, .blocks = blocks, .block_tokens = block_tokens};
    for (int i = 0; i < NUM_REQUESTS; i++)
        f->prefill[i] = 3 * block_tokens + 1;
}

static void test_recorded_blocks(void)
{
    /* In blocks of 4 tokens, by tokens of a recorded one: those of two recorded ones,
     * of one, and of all three; a recorded block of 2 or 6 tokens ends inside of one.
     */
    static const struct {
        int32_t block_tokens, two, one, three;
    } cases[] = {{4, 2, 1, 3}, {8, 4, 2, 6}, {2, 1, 0, 1}, {6, 3, 1, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        begin(&f, 60);
        record(&f, cases[i].block_tokens);
        CU_ASSERT_EQUAL(admit(&f, 0), 0);
        CU_ASSERT_EQUAL(find(&f, 1).blocks, cases[i].two);
        CU_ASSERT_EQUAL(find(&f, 2).blocks, 0); /* other blocks before equal ones */
        CU_ASSERT_EQUAL(find(&f, 3).blocks, cases[i].one);
        CU_ASSERT_EQUAL(find(&f, 4).blocks, 0); /* without a block that is known */
        CU_ASSERT_EQUAL(find(&f, 6).blocks, cases[i].three);
        CU_ASSERT_EQUAL(admit(&f, 4), 0);
        CU_ASSERT_EQUAL(find(&f, 5).blocks, 0); /* such ones share nothing */
        CU_ASSERT_EQUAL(admit(&f, 6), cases[i].three);
        CU_ASSERT_EQUAL(f.store->num_prompt_tokens, 3 * f.prefill[0]);
        CU_ASSERT_EQUAL(f.store->num_hit_tokens, cases[i].three * BLOCK);
        end(&f);
    }
}

/* ---- Kept prefixes ---- */

/* Sessions of turns, each prompt the one before with its answer and some more; of every
 * third request only a part is the conversation's, like a sub-agent's. Two stores do
 * the same, one of which keeps prefixes. */
enum { SESSIONS = 6, TURNS = 200, NUM_TURNS = SESSIONS * TURNS, NUM_STEPS = 4000 };

struct turns {
    struct vidur_arena arena;
    struct vidur_workload workload;
    struct vidur_rng rng;
    struct vidur_block_store *stores[2];
    int32_t prefill[NUM_TURNS], decode[NUM_TURNS], shared[NUM_TURNS];
    int32_t session[NUM_TURNS], conversation[NUM_TURNS], group[SESSIONS];
    int32_t next[SESSIONS]; /* turn */
    bool holds[SESSIONS];
    int32_t num_resumed;
};

static void begin_turns(struct turns *t)
{
    struct vidur_block_store_sizes sizes = {
        .num_blocks = 70, .num_slots = SESSIONS, .block_size = BLOCK, .max_tokens = 64};
    memset(t, 0, sizeof *t);
    vidur_rng_init(&t->rng, 5, 5);
    for (int32_t i = 0; i < NUM_TURNS; i++) {
        const int32_t session = i / TURNS, turn = i % TURNS;
        t->session[i] = session;
        t->group[session] = session % 2;
        /* anew when it is long */
        t->conversation[i] = session * TURNS + turn / 8;
        t->prefill[i] = 10 + turn % 8 * 5;
        t->decode[i] = 4;
        t->shared[i] = t->prefill[i] + (turn % 3 == 2 ? -6 : t->decode[i]);
    }
    t->workload = (struct vidur_workload){.num_requests = NUM_TURNS,
                                          .num_prefill_tokens = t->prefill,
                                          .num_decode_tokens = t->decode,
                                          .sessions = {.count = SESSIONS,
                                                       .session = t->session,
                                                       .conversation = t->conversation,
                                                       .shared_tokens = t->shared,
                                                       .group = t->group,
                                                       .system_prompt_tokens = 9}};
    size_t bytes = vidur_block_store_bytes(&sizes, NUM_TURNS);
    sizes.keeps_prefixes = true;
    bytes += vidur_block_store_bytes(&sizes, NUM_TURNS);
    CU_ASSERT_EQUAL_FATAL(vidur_arena_reserve(&t->arena, bytes, NULL), 0);
    t->stores[0] = vidur_block_store_new(&t->arena, &sizes, &t->workload);
    sizes.keeps_prefixes = false;
    t->stores[1] = vidur_block_store_new(&t->arena, &sizes, &t->workload);
}

static void start_turn(struct turns *t, int32_t session)
{
    if (t->next[session] == TURNS)
        return;
    const int32_t request = session * TURNS + t->next[session];
    const int32_t wanted = (t->prefill[request] + BLOCK - 1) / BLOCK;
    if (t->stores[0]->pool.num_free < wanted)
        return;
    const int32_t hits =
        vidur_block_store_admit(t->stores[0], request, t->prefill[request]);
    CU_ASSERT_EQUAL(
        hits, vidur_block_store_admit(t->stores[1], request, t->prefill[request]));
    t->num_resumed += hits > 4;
    t->holds[session] = true;
}

/* Computed as a whole, or, where it is to be done again, in part. */
static void end_turn(struct turns *t, int32_t session)
{
    const int32_t request = session * TURNS + t->next[session];
    const bool again = vidur_rng_below(&t->rng, 12) == 0;
    int32_t computed = t->prefill[request];
    if (again)
        computed = (int32_t)vidur_rng_below(&t->rng, (uint32_t)computed);
    else if (t->stores[0]->pool.num_free > 0 && vidur_rng_below(&t->rng, 4) > 0) {
        for (int i = 0; i < 2; i++)
            vidur_block_store_grow(t->stores[i], request);
        computed += t->decode[request];
    }
    for (int i = 0; i < 2; i++)
        vidur_block_store_release(t->stores[i], request, computed);
    t->next[session] += !again;
    t->holds[session] = false;
}

static void compare_finds(struct turns *t)
{
    for (int32_t s = 0; s < SESSIONS; s++) {
        const int32_t request = s * TURNS + t->next[s];
        const uint32_t mark =
            t->stores[0]->pool.num_releases - vidur_rng_below(&t->rng, 5);
        if (t->holds[s] || t->next[s] == TURNS)
            continue;
        const struct vidur_prefix_hit a =
            vidur_block_store_find(t->stores[0], request, t->prefill[request], mark);
        const struct vidur_prefix_hit b =
            vidur_block_store_find(t->stores[1], request, t->prefill[request], mark);
        CU_ASSERT_EQUAL(a.blocks, b.blocks);
        CU_ASSERT_EQUAL(a.unheld, b.unheld);
        CU_ASSERT_EQUAL(memcmp(t->stores[0]->found->blocks, t->stores[1]->found->blocks,
                               (size_t)a.blocks * sizeof(int32_t)),
                        0);
    }
}

static void test_kept_prefixes(void)
{
    static struct turns t;
    begin_turns(&t);
    for (int step = 0; step < NUM_STEPS; step++) {
        const int32_t session = (int32_t)vidur_rng_below(&t.rng, SESSIONS);
        if (t.holds[session])
            end_turn(&t, session);
        else
            start_turn(&t, session);
        compare_finds(&t);
    }
    CU_ASSERT_EQUAL(t.stores[0]->pool.num_evictions, t.stores[1]->pool.num_evictions);
    CU_ASSERT_EQUAL(t.stores[0]->num_hit_tokens, t.stores[1]->num_hit_tokens);
    CU_ASSERT(t.stores[0]->pool.num_evictions > 100);
    CU_ASSERT(t.stores[0]->pool.num_forgotten > 10);
    CU_ASSERT(t.num_resumed > 100);
    vidur_arena_fini(&t.arena);
}

VIDUR_TEST_MAIN("block store", {"recorded blocks", test_recorded_blocks},
                {"hits", test_hits}, {"kept prefixes", test_kept_prefixes},
                {"shared blocks", test_shared_blocks_count_their_holders},
                {"marks", test_marks}, {"eviction order", test_eviction_order},
                {"restart", test_restart},
                {"uncomputed blocks", test_uncomputed_blocks_are_forgotten},
                {"short prompts", test_short_prompts})
