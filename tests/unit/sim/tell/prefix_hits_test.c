#include "test.h"

#include "tell/prefix_hits.h"
#include "trace_fixture.h"

static struct vidur_trace trace;
static struct vidur_error err;

static void read_all(const char *text, const struct vidur_trace_options *options)
{
    trace_read_text(&trace, text, options);
}

static void test_prefix_hits(void)
{
    const struct vidur_trace_options options = {0};
    static const struct {
        int64_t capacity, hits;
    } cases[] = {{0, 5}, {1, 0}, {2, 2}, {3, 5}, {100, 5}};
    /* 1 2 | 1 3 | 1 2 | 4 2 | 1 2: behind a missing first block nothing is hit. */
    read_all("arrived_at,prompt_tokens,output_tokens\n0,1,1\n", &options);
    struct vidur_prefix_hits hits;
    CU_ASSERT_EQUAL(vidur_prefix_hits_of(&trace, 0, &hits, &err), 0);
    CU_ASSERT_EQUAL(hits.blocks, 0);
    read_all("arrived_at,prompt_tokens,output_tokens,prefix\n"
             "0,1024,1,1 2\n1,1024,1,1 3\n2,1024,1,1 2\n3,1024,1,4 2\n4,1024,1,1 2\n",
             &options);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(vidur_prefix_hits_of(&trace, cases[i].capacity, &hits, &err),
                        0);
        CU_ASSERT_EQUAL(hits.blocks, 10);
        CU_ASSERT_EQUAL(hits.hits, cases[i].hits);
    }
}

static void end(void)
{
    vidur_trace_close(&trace);
    trace_dir_remove();
}

VIDUR_TEST_MAIN("prefix hits", {"prefix hits", test_prefix_hits},
                {"folder removed", end})
