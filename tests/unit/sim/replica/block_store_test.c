#include "test.h"

#include "load/prompt_tree.h"
#include "replica/block_store.h"

#include "toy_blocks.h"

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
    struct vidur_prompt_tree tree;
    struct vidur_block_store *store;
    int32_t prefill[NUM_REQUESTS], decode[NUM_REQUESTS], prompt[NUM_REQUESTS];
    int32_t held[NUM_REQUESTS];
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
    vidur_prompt_tree_free(&f->tree);
    vidur_arena_fini(&f->arena);
}

static int32_t blocks_for(int32_t tokens)
{
    return (tokens + BLOCK - 1) / BLOCK;
}

static int32_t admit(struct fixture *f, int32_t request)
{
    f->held[request] = blocks_for(f->prefill[request]);
    return vidur_block_store_admit(f->store, request, f->prefill[request]);
}

static void grow(struct fixture *f, int32_t request)
{
    f->held[request]++;
    vidur_block_store_grow(f->store, 1);
}

static void release_after(struct fixture *f, int32_t request, int32_t computed_tokens)
{
    vidur_block_store_release(f->store, request, f->held[request], computed_tokens);
}

/* When all of it has been computed. */
static void release(struct fixture *f, int32_t request)
{
    release_after(f, request, f->prefill[request] + 1);
}

static struct vidur_prefix_hit find(const struct fixture *f, int32_t request)
{
    return vidur_block_store_find(f->store, request, f->prefill[request],
                                  f->store->runs.num_releases);
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
    const uint32_t mark = f.store->runs.num_releases;
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
    CU_ASSERT_EQUAL(f.store->runs.num_evictions, 0);
    for (int i = 0; i < 2; i++)
        grow(&f, 4); /* the second unused, a nameless tail */
    CU_ASSERT_EQUAL(f.store->runs.num_evictions, 0);
    CU_ASSERT_EQUAL(find(&f, 0).blocks, 4);
    for (int32_t left = 3; left >= 0; left--) {
        grow(&f, 4);
        CU_ASSERT_EQUAL(find(&f, 0).blocks, left);
    }
    CU_ASSERT_EQUAL(f.store->runs.num_evictions, 4);
    CU_ASSERT_EQUAL(find(&f, 7).blocks, 4); /* the second's are all there still */
    grow(&f, 4);
    CU_ASSERT_EQUAL(f.store->runs.num_evictions, 4);
    grow(&f, 4);
    CU_ASSERT_EQUAL(find(&f, 7).blocks, 3);
    end(&f);
}

/* Recomputed with what it had generated: only the prompt's blocks are found. */
static void test_restart(void)
{
    struct fixture f;
    begin(&f, 40);
    admit(&f, 0);
    grow(&f, 0);
    release_after(&f, 0, 24);
    CU_ASSERT_EQUAL(allocated(&f), 0);
    const struct vidur_prefix_hit hit =
        vidur_block_store_find(f.store, 0, 24, f.store->runs.num_releases);
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
    release_after(&f, 0, 11);
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
    CU_ASSERT_EQUAL(
        vidur_prompt_tree_build(&f->tree, first_block, blocks, NUM_REQUESTS, NULL), 0);
    f->workload.prompts = vidur_prompt_tree_view(&f->tree, block_tokens);
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

/* ---- Against a store of single blocks ---- */

enum kind { SESSIONS, GROUPED, RECORDED, NUM_KINDS };
enum { CASES = 60, STEPS = 400, SESSIONS_OF_CASE = 6, RECORDED_BLOCKS = 12 };

/* A random workload, a store and its double. A request comes once; of those that hold
 * blocks some wait for a load from the host. */
struct pair {
    struct vidur_arena arena;
    struct vidur_rng rng;
    struct vidur_workload workload;
    struct vidur_block_store *store;
    struct toy_blocks toy;
    struct vidur_prompt_tree tree;
    int32_t prefill[TOY_REQUESTS], decode[TOY_REQUESTS], prompt[TOY_REQUESTS];
    int32_t session[TOY_REQUESTS], conversation[TOY_REQUESTS], shared[TOY_REQUESTS];
    int32_t group[SESSIONS_OF_CASE];
    int64_t first_block[TOY_REQUESTS + 1];
    int32_t recorded[TOY_REQUESTS * RECORDED_BLOCKS];
    bool is_loading[TOY_REQUESTS];
    int32_t num_holders;
};

/* What the cases came to. */
struct seen {
    int64_t hits, unheld, evictions, nameless, forgotten, loads;
};

static int32_t below(struct pair *p, int32_t bound)
{
    return (int32_t)vidur_rng_below(&p->rng, (uint32_t)bound);
}

static void draw_requests(struct pair *p, int32_t block_size)
{
    const int32_t most = (TOY_BLOCKS_OF_REQUEST - 4) * block_size;
    for (int32_t i = 0; i < TOY_REQUESTS; i++) {
        p->prefill[i] = 1 + below(p, most);
        if (below(p, 3) == 0) /* ends with a block */
            p->prefill[i] = (p->prefill[i] / block_size + 1) * block_size;
        p->decode[i] = 3 * block_size;
        p->prompt[i] = below(p, 6);
        p->session[i] = below(p, SESSIONS_OF_CASE);
        p->conversation[i] = 2 * p->session[i] + (below(p, 4) == 0);
        p->shared[i] = below(p, p->prefill[i] + p->decode[i]);
        p->first_block[i + 1] = p->first_block[i] + below(p, RECORDED_BLOCKS);
        const int32_t like = below(p, i + 1); /* another that it begins like */
        for (int64_t k = p->first_block[i]; k < p->first_block[i + 1]; k++) {
            const int64_t there = p->first_block[like] + k - p->first_block[i];
            p->recorded[k] = there < p->first_block[like + 1] && below(p, 8) > 0
                                 ? p->recorded[there]
                                 : below(p, 3);
        }
    }
    for (int32_t i = 0; i < SESSIONS_OF_CASE; i++)
        p->group[i] = below(p, 2);
}

static void begin_pair(struct pair *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    vidur_rng_init(&p->rng, seed, 7);
    const enum kind kind = seed % NUM_KINDS;
    const int32_t block_size = 1 + below(p, 8);
    const int32_t num_blocks = TOY_BLOCKS / 2 + below(p, TOY_BLOCKS / 2);
    const int32_t num_host_blocks = below(p, 2) * (1 + below(p, TOY_HOST_BLOCKS));
    draw_requests(p, block_size);
    p->workload = (struct vidur_workload){.num_requests = TOY_REQUESTS,
                                          .num_prefill_tokens = p->prefill,
                                          .num_decode_tokens = p->decode};
    if (kind == SESSIONS)
        p->workload.sessions =
            (struct vidur_sessions){.count = SESSIONS_OF_CASE,
                                    .session = p->session,
                                    .conversation = p->conversation,
                                    .shared_tokens = p->shared,
                                    .group = p->group,
                                    .system_prompt_tokens = below(p, 5 * block_size)};
    else if (kind == GROUPED)
        p->workload.prompts =
            (struct vidur_prompts){.prompt = p->prompt,
                                   .num_prompts = 6,
                                   .num_prompts_per_group = 2,
                                   .system_prompt_tokens = below(p, 9 * block_size)};
    else {
        CU_ASSERT_EQUAL_FATAL(vidur_prompt_tree_build(&p->tree, p->first_block,
                                                      p->recorded, TOY_REQUESTS, NULL),
                              0);
        p->workload.prompts =
            vidur_prompt_tree_view(&p->tree, 1 + below(p, 4 * block_size));
    }
    const struct vidur_block_store_sizes sizes = {
        .num_blocks = num_blocks,
        .num_slots = TOY_REQUESTS,
        .block_size = block_size,
        .max_tokens = TOY_BLOCKS_OF_REQUEST * block_size,
        .host = {.num_blocks = num_host_blocks}};
    CU_ASSERT_EQUAL_FATAL(
        vidur_arena_reserve(&p->arena, vidur_block_store_bytes(&sizes, TOY_REQUESTS),
                            NULL),
        0);
    p->store = vidur_block_store_new(&p->arena, &sizes, &p->workload);
    toy_blocks_begin(&p->toy, &p->workload, block_size, num_blocks, num_host_blocks);
    p->toy.first_id = p->first_block;
    p->toy.ids = p->recorded;
}

/* What it has to compute: its prompt, or after a restart some more. */
static int32_t prompt_of(struct pair *p, int32_t request)
{
    return p->prefill[request] + (below(p, 4) == 0 ? below(p, p->decode[request]) : 0);
}

static void start(struct pair *p, int32_t request, struct seen *seen)
{
    const int32_t prompt = prompt_of(p, request);
    if (toy_num_free(&p->toy) * p->toy.block_size < prompt + p->toy.block_size)
        return;
    int32_t there = 0, hits;
    if (p->store->host) {
        there = vidur_block_store_find_on_host(p->store, request, prompt);
        CU_ASSERT_EQUAL(there, toy_find_on_host(&p->toy, request, prompt));
    }
    if (there > 0) {
        hits = vidur_block_store_admit_to_load(p->store, request, prompt);
        vidur_block_store_keep_on_host(p->store, request, hits, hits + there);
    } else {
        hits = vidur_block_store_admit(p->store, request, prompt);
    }
    CU_ASSERT_EQUAL_FATAL(hits, toy_admit(&p->toy, request, prompt, there == 0));
    toy_keep_on_host(&p->toy, request, hits, hits + there);
    if (there > 0 && below(p, 2)) {
        vidur_block_store_loaded(p->store, request, prompt);
        toy_loaded(&p->toy, request, prompt);
    }
    seen->hits += hits;
    seen->loads += there > 0;
    p->num_holders++;
}

static void stop(struct pair *p, int32_t request)
{
    const int32_t held = p->toy.holders[request].held;
    const int32_t computed = below(p, 3) == 0 ? below(p, held * p->toy.block_size + 1)
                                              : held * p->toy.block_size;
    vidur_block_store_release(p->store, request, held, computed);
    toy_release(&p->toy, request, computed);
    p->num_holders--;
}

static void compare(struct pair *p, struct seen *seen)
{
    const uint32_t mark = p->toy.num_releases - (uint32_t)below(p, 4);
    CU_ASSERT_EQUAL_FATAL(p->store->runs.num_free, toy_num_free(&p->toy));
    CU_ASSERT_EQUAL_FATAL(p->store->runs.num_evictions, p->toy.num_evictions);
    for (int32_t i = 0; i < TOY_REQUESTS; i++) {
        int32_t unheld;
        const int32_t hits = toy_find(&p->toy, i, p->prefill[i], mark, &unheld);
        const struct vidur_prefix_hit hit =
            vidur_block_store_find(p->store, i, p->prefill[i], mark);
        CU_ASSERT_EQUAL_FATAL(hit.blocks, hits);
        CU_ASSERT_EQUAL_FATAL(hit.unheld, unheld);
        seen->unheld += unheld;
    }
}

static void run_pair(struct pair *p, struct seen *seen)
{
    for (int step = 0; step < STEPS; step++) {
        const int32_t request = below(p, TOY_REQUESTS);
        const struct toy_holder *holder = &p->toy.holders[request];
        if (holder->held == 0) {
            start(p, request, seen);
        } else if (toy_num_free(&p->toy) > 0 && below(p, 3) == 0 &&
                   holder->held < TOY_BLOCKS_OF_REQUEST) {
            vidur_block_store_grow(p->store, 1);
            toy_grow(&p->toy, request);
        } else {
            stop(p, request);
        }
        compare(p, seen);
    }
    seen->evictions += p->toy.num_evictions;
    seen->nameless += p->toy.num_nameless;
    seen->forgotten += p->toy.num_forgotten;
}

static void test_against_single_blocks(void)
{
    static struct pair p;
    struct seen seen = {0};
    for (uint64_t seed = 0; seed < CASES; seed++) {
        begin_pair(&p, seed);
        run_pair(&p, &seen);
        vidur_arena_fini(&p.arena);
        vidur_prompt_tree_free(&p.tree);
    }
    CU_ASSERT(seen.hits > 1000);
    CU_ASSERT(seen.unheld > 1000);
    CU_ASSERT(seen.evictions > 1000);
    CU_ASSERT(seen.nameless > 1000);
    CU_ASSERT(seen.forgotten > 1000);
    CU_ASSERT(seen.loads > 100);
}

VIDUR_TEST_MAIN("block store", {"recorded blocks", test_recorded_blocks},
                {"hits", test_hits},
                {"shared blocks", test_shared_blocks_count_their_holders},
                {"marks", test_marks}, {"eviction order", test_eviction_order},
                {"restart", test_restart},
                {"uncomputed blocks", test_uncomputed_blocks_are_forgotten},
                {"short prompts", test_short_prompts},
                {"against single blocks", test_against_single_blocks})
