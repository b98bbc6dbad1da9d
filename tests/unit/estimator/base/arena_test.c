#include "base/arena.h"
#include "test.h"

#include <stdint.h>
#include <string.h>

static void test_sizes(void)
{
    CU_ASSERT_EQUAL(vidur_arena_bytes(0, 8), 0);
    CU_ASSERT_EQUAL(vidur_arena_bytes(1, 1), 64);
    CU_ASSERT_EQUAL(vidur_arena_bytes(8, 8), 64);
    CU_ASSERT_EQUAL(vidur_arena_bytes(9, 8), 128);
    CU_ASSERT_EQUAL(vidur_arena_bytes(SIZE_MAX, 1), SIZE_MAX);
    CU_ASSERT_EQUAL(vidur_arena_bytes(SIZE_MAX / 4, 8), SIZE_MAX);
    CU_ASSERT_EQUAL(vidur_arena_sum(3, 4), 7);
    CU_ASSERT_EQUAL(vidur_arena_sum(SIZE_MAX, 64), SIZE_MAX);
    CU_ASSERT_EQUAL(vidur_arena_sum(64, SIZE_MAX), SIZE_MAX);
}

static void test_pieces_fill_exactly(void)
{
    struct vidur_arena arena;
    const size_t size =
        vidur_arena_sum(vidur_arena_bytes(100, 8), vidur_arena_bytes(3, 4));
    CU_ASSERT_EQUAL_FATAL(vidur_arena_init(&arena, size, NULL), 0);
    char *a = vidur_arena_alloc(&arena, 100, 8);
    char *b = vidur_arena_zalloc(&arena, 3, 4);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL((uintptr_t)a % VIDUR_ARENA_ALIGN, 0);
    CU_ASSERT_EQUAL((uintptr_t)b % VIDUR_ARENA_ALIGN, 0);
    CU_ASSERT(b >= a + 800);
    memset(a, 1, 800);
    for (int i = 0; i < 12; i++)
        CU_ASSERT_EQUAL(b[i], 0);
    CU_ASSERT_PTR_NULL(vidur_arena_alloc(&arena, 1, 1));
    CU_ASSERT_PTR_NOT_NULL(vidur_arena_alloc(&arena, 0, 8));
    vidur_arena_fini(&arena);
}

static void test_reset_gives_all_back(void)
{
    struct vidur_arena arena;
    CU_ASSERT_EQUAL_FATAL(vidur_arena_init(&arena, 1000, NULL), 0);
    void *first = vidur_arena_alloc(&arena, 1000, 1);
    CU_ASSERT_PTR_NULL(vidur_arena_alloc(&arena, 100, 1));
    vidur_arena_reset(&arena);
    CU_ASSERT_PTR_EQUAL(vidur_arena_alloc(&arena, 1000, 1), first);
    CU_ASSERT_EQUAL(vidur_arena_reserve(&arena, 10, NULL), 0);
    CU_ASSERT_EQUAL(arena.used_bytes, 0);
    CU_ASSERT_PTR_EQUAL(vidur_arena_alloc(&arena, 1000, 1), first);
    CU_ASSERT_EQUAL(vidur_arena_reserve(&arena, 100000, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(vidur_arena_alloc(&arena, 100000, 1));
    vidur_arena_fini(&arena);
    vidur_arena_fini(&arena);
}

static void test_refusals(void)
{
    struct vidur_arena arena;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_arena_init(&arena, SIZE_MAX, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_ENOMEM);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "GB; ask for fewer requests"));
    CU_ASSERT_PTR_NULL(vidur_arena_alloc(&arena, 1, 1));
    CU_ASSERT_EQUAL_FATAL(vidur_arena_init(&arena, 0, NULL), 0);
    CU_ASSERT_PTR_NULL(vidur_arena_alloc(&arena, SIZE_MAX / 2, 8));
    vidur_arena_fini(&arena);
}

VIDUR_TEST_MAIN("arena", {"sizes", test_sizes},
                {"pieces fill exactly", test_pieces_fill_exactly},
                {"reset gives all back", test_reset_gives_all_back},
                {"refusals", test_refusals})
