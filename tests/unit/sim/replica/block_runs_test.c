#include "test.h"

#include "replica/block_runs.h"

#include <stdlib.h>

/* Prompts of blocks of one token: a group's system prompt of 4, then each its own. */
enum { SHARED = 4, PROMPTS = 3, EXTENTS = 16 };

struct fixture {
    struct vidur_block_runs runs;
    void *memory;
    struct vidur_workload workload;
    struct vidur_block_extent extents[PROMPTS][EXTENTS];
    struct vidur_holding holdings[PROMPTS];
};

static void begin(struct fixture *f, int32_t num_blocks)
{
    static const int32_t prompt[PROMPTS] = {0, 1, 2}, prefill[PROMPTS] = {10, 10, 10};
    f->memory = malloc(vidur_block_runs_bytes(num_blocks));
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->memory);
    vidur_block_runs_init(&f->runs, f->memory, num_blocks);
    f->workload = (struct vidur_workload){.num_requests = PROMPTS,
                                          .num_prefill_tokens = prefill,
                                          .prompts = {.prompt = prompt,
                                                      .num_prompts = PROMPTS,
                                                      .num_prompts_per_group = PROMPTS,
                                                      .system_prompt_tokens = SHARED}};
    for (int i = 0; i < PROMPTS; i++)
        f->holdings[i] = (struct vidur_holding){.extents = f->extents[i]};
}

static void end(struct fixture *f)
{
    free(f->memory);
}

static int32_t match(const struct fixture *f, int32_t request, int32_t until,
                     struct vidur_block_extent *extents)
{
    struct vidur_prompt_chain chain =
        vidur_prompt_chain_begin(&f->workload, request, 1);
    return vidur_block_runs_match(&f->runs, &chain, 0, until, extents);
}

/* Holds what is cached of so many blocks, takes and names the rest. Returns what was
 * cached. */
static int32_t admit(struct fixture *f, int32_t request, int32_t blocks)
{
    struct vidur_block_extent found[EXTENTS];
    struct vidur_holding *holding = &f->holdings[request];
    struct vidur_prompt_chain chain =
        vidur_prompt_chain_begin(&f->workload, request, 1);
    const int32_t hits = match(f, request, blocks, found);
    for (int i = 0; holding->listed < hits; i++)
        vidur_holding_add(&f->runs, holding, &found[i]);
    vidur_block_runs_take(&f->runs, blocks - hits);
    vidur_holding_name(&f->runs, holding, &chain, blocks);
    CU_ASSERT_EQUAL(holding->listed, blocks);
    return hits;
}

static void release(struct fixture *f, int32_t request)
{
    vidur_holding_release(&f->runs, &f->holdings[request], f->holdings[request].listed);
}

/* Runs in the queue, and in use at all. */
static int count_queued(const struct fixture *f)
{
    int count = 0;
    for (int32_t i = f->runs.runs[0].next; i != 0; i = f->runs.runs[i].next)
        count++;
    return count;
}

static int count_used(const struct fixture *f)
{
    int count = f->runs.num_made - 1;
    for (int32_t i = f->runs.spare; i != VIDUR_NO_RUN; i = f->runs.runs[i].next)
        count--;
    return count;
}

/* A prompt's tail goes before its head, and what was never used before both. */
static void test_order_of_eviction(void)
{
    struct fixture f;
    begin(&f, 8);
    CU_ASSERT_EQUAL(admit(&f, 0, 6), 0);
    release(&f, 0);
    CU_ASSERT_EQUAL(f.runs.num_free, 8);
    CU_ASSERT_EQUAL(count_queued(&f), 3); /* unused, own, shared */
    vidur_block_runs_take(&f.runs, 2);
    CU_ASSERT_EQUAL(f.runs.num_evictions, 0);
    for (int32_t left = 5; left >= 0; left--) {
        vidur_block_runs_take(&f.runs, 1);
        CU_ASSERT_EQUAL(match(&f, 0, 10, NULL), left);
        CU_ASSERT_EQUAL(match(&f, 1, 10, NULL), left < SHARED ? left : SHARED);
    }
    CU_ASSERT_EQUAL(f.runs.num_evictions, 6);
    CU_ASSERT_EQUAL(f.runs.num_free, 0);
    CU_ASSERT_EQUAL(count_used(&f), 0);
    end(&f);
}

/* A holder of a part of a run cuts it in two; the first holder keeps both. */
static void test_split_of_held_runs(void)
{
    struct fixture f;
    begin(&f, 20);
    admit(&f, 0, 9);
    CU_ASSERT_EQUAL(admit(&f, 1, 3), 3); /* of the 4 shared ones */
    CU_ASSERT_EQUAL(f.runs.num_free, 11);
    release(&f, 0);
    CU_ASSERT_EQUAL(f.runs.num_free, 17);
    CU_ASSERT_EQUAL(match(&f, 2, 10, NULL), SHARED);
    CU_ASSERT_EQUAL(match(&f, 0, 10, NULL), 9);
    /* The fourth shared one was released before the first three. */
    release(&f, 1);
    vidur_block_runs_take(&f.runs, 11 + 5);
    CU_ASSERT_EQUAL(match(&f, 2, 10, NULL), SHARED);
    vidur_block_runs_take(&f.runs, 1);
    CU_ASSERT_EQUAL(match(&f, 2, 10, NULL), 3);
    end(&f);
}

/* A hit takes a free run out of the queue, whole or in part. */
static void test_hits_leave_the_queue(void)
{
    struct fixture f;
    begin(&f, 9);
    admit(&f, 0, 9);
    release(&f, 0);
    CU_ASSERT_EQUAL(admit(&f, 0, 6), 6);
    CU_ASSERT_EQUAL(f.runs.num_free, 3);
    vidur_block_runs_take(&f.runs, 3); /* the tail */
    CU_ASSERT_EQUAL(match(&f, 0, 10, NULL), 6);
    release(&f, 0);
    CU_ASSERT_EQUAL(f.runs.num_free, 6);
    end(&f);
}

/* What is released together and belongs together is one run again. */
static void test_merges(void)
{
    struct fixture f;
    begin(&f, 30);
    admit(&f, 0, 9);
    admit(&f, 1, 3);
    CU_ASSERT_EQUAL(count_used(&f), 4); /* 3 + 1 shared, own, unused */
    release(&f, 1);
    release(&f, 0);
    CU_ASSERT_EQUAL(count_used(&f), 3);
    for (int i = 0; i < 5; i++) { /* longer and longer */
        CU_ASSERT_EQUAL(admit(&f, 0, 10 + i), 9 + i);
        release(&f, 0);
        CU_ASSERT_EQUAL(count_used(&f), 3 + (i > 0)); /* behind the prompt: its own */
    }
    CU_ASSERT_EQUAL(f.runs.num_evictions, 0);
    end(&f);
}

/* A second holder of what is cached already caches nothing there. */
static void test_a_second_block_stays_nameless(void)
{
    struct fixture f;
    begin(&f, 20);
    admit(&f, 0, 6);
    struct vidur_prompt_chain chain = vidur_prompt_chain_begin(&f.workload, 1, 1);
    vidur_block_runs_take(&f.runs, 6);
    CU_ASSERT_EQUAL(
        vidur_holding_name_new(&f.runs, &f.holdings[1], f.runs.runs[2].segment, SHARED),
        0);
    vidur_holding_name(&f.runs, &f.holdings[1], &chain, 6);
    CU_ASSERT_EQUAL(f.holdings[1].num_extents, 1 + 1);
    CU_ASSERT_EQUAL(f.holdings[1].extents[0].run, VIDUR_NO_RUN);
    CU_ASSERT_EQUAL(f.holdings[1].extents[0].blocks, SHARED);
    CU_ASSERT_EQUAL(match(&f, 1, 10, NULL), 6);
    release(&f, 0); /* who holds them no more does not matter to the second */
    vidur_block_runs_take(&f.runs, 8 + 6);
    CU_ASSERT_EQUAL(match(&f, 1, 10, NULL), 0);
    release(&f, 1);
    CU_ASSERT_EQUAL(f.runs.num_free, 6);
    end(&f);
}

/* Also of those that another holds: they are free when both have released them. */
static void test_forgotten_blocks(void)
{
    struct fixture f;
    begin(&f, 20);
    admit(&f, 0, 9);
    admit(&f, 1, 4);
    vidur_holding_forget(&f.runs, &f.holdings[0], 2);
    release(&f, 0);
    CU_ASSERT_EQUAL(match(&f, 0, 10, NULL), 2);
    CU_ASSERT_EQUAL(f.runs.num_free, 16);
    release(&f, 1);
    CU_ASSERT_EQUAL(f.runs.num_free, 20);
    CU_ASSERT_EQUAL(match(&f, 1, 10, NULL), 2);
    vidur_block_runs_take(&f.runs, 18);
    CU_ASSERT_EQUAL(f.runs.num_evictions, 0);
    end(&f);
}

/* From anywhere in a run. */
static void test_at(void)
{
    struct fixture f;
    begin(&f, 20);
    admit(&f, 0, 9);
    struct vidur_prompt_chain chain = vidur_prompt_chain_begin(&f.workload, 0, 1);
    vidur_prompt_chain_reach(&chain, 5);
    CU_ASSERT_EQUAL(chain.begin, SHARED);
    CU_ASSERT_EQUAL(vidur_block_runs_at(&f.runs, chain.segment, 5, 10).blocks, 4);
    CU_ASSERT_EQUAL(vidur_block_runs_at(&f.runs, chain.segment, 5, 7).blocks, 2);
    CU_ASSERT_EQUAL(vidur_block_runs_at(&f.runs, chain.segment, 9, 10).blocks, 0);
    CU_ASSERT_EQUAL(vidur_block_runs_at(&f.runs, chain.segment + 1, 5, 7).blocks, 0);
    end(&f);
}

VIDUR_TEST_MAIN("block runs", {"order of eviction", test_order_of_eviction},
                {"split", test_split_of_held_runs}, {"hits", test_hits_leave_the_queue},
                {"merges", test_merges},
                {"duplicates", test_a_second_block_stays_nameless},
                {"forgotten", test_forgotten_blocks}, {"at", test_at})
