#include "space/catalog.h"

#include "space/catalog_table.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct vidur_text text;
static struct vidur_error err;

static void list(const char *kind)
{
    free(text.data);
    text = (struct vidur_text){0};
    CU_ASSERT_EQUAL_FATAL(catalog_write(kind, &text, &err), 0);
}

/* The words of the line of a name, single blanks between them, "" where it is not. */
static const char *line_of(const char *name)
{
    static char words[512];
    const size_t length = strlen(name);
    const char *line = text.data;
    size_t used = 0;
    words[0] = 0;
    while (line && (strncmp(line, name, length) != 0 || line[length] != ' ')) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    for (; line && *line && *line != '\n' && used < sizeof words - 1; line++)
        if (*line != ' ' || line[1] != ' ')
            words[used++] = *line;
    words[used] = 0;
    return words;
}

static void test_kinds(void)
{
    list("models");
    CU_ASSERT_STRING_EQUAL(
        line_of("llama-2-7b-hf"),
        "llama-2-7b-hf 32 6.7 6.7 bf16 4096 meta-llama/Llama-2-7b-hf");
    CU_ASSERT_STRING_EQUAL(line_of("qwen3-235b-a22b-fp8"),
                           "qwen3-235b-a22b-fp8 94 235.1 22.2 fp8_block 40960 "
                           "Qwen/Qwen3-235B-A22B-FP8");
    list("devices");
    CU_ASSERT_STRING_EQUAL(line_of("h100"), "h100 80 3350 989 1979 - 4.25 2024-02-07");
    CU_ASSERT_STRING_EQUAL(line_of("b200"), "b200 180 7700 2250 4500 9000 - -");
    list("nodes");
    CU_ASSERT_STRING_EQUAL(line_of("h100_dgx"), "h100_dgx h100 8 450 all 50.0");
    CU_ASSERT_STRING_EQUAL(line_of("a30_single_gpu"), "a30_single_gpu a30 1 32 - 12.5");
    list("prices");
    CU_ASSERT_STRING_EQUAL(line_of("mi355x"),
                           "mi355x oracle on_demand 8.60 2026-09-23 "
                           "https://www.oracle.com/cloud/price-list/");
    list("schedulers");
    CU_ASSERT_STRING_EQUAL(line_of("orca"),
                           "orca layers batch_size_cap, block_size, num_blocks");
    list("formats");
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "(priority) where there are some  Moo"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, "perhaps session, ended_at or latency_s, "
                                             "priority\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(CATALOG_KINDS, "|formats"));
    list("routers");
    CU_ASSERT_STRING_EQUAL(line_of("round_robin"), "round_robin each replica in turn");
    CU_ASSERT_STRING_EQUAL(line_of("least_tokens"),
                           "least_tokens the replica with the fewest tokens left of "
                           "its requests");
    list("traces");
    CU_ASSERT_STRING_EQUAL(line_of("data:traces/chat-4k-synthetic.csv"),
                           "data:traces/chat-4k-synthetic.csv 4000 686.0 197.0 4070");
}

static void test_unknown_kind(void)
{
    struct vidur_text none = {0};
    CU_ASSERT_EQUAL(catalog_write("modles", &none, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "'modles' is not known; the nearest is "
                                            "'models' of models, devices, nodes, "
                                            "prices, schedulers, routers, traces"));
    free(none.data);
}

/* Ordered by name, numbers to the right, no blanks at the end of a line. */
static void test_table(void)
{
    static const char *const header[] = {"name", "n", "what", NULL};
    struct catalog_table table = {.header = header};
    struct vidur_text out = {0};
    catalog_begin_row(&table);
    catalog_cell(&table, "b");
    catalog_number(&table, 1, 12.25);
    catalog_cell(&table, "second");
    catalog_begin_row(&table);
    catalog_cell(&table, "a-long-name");
    catalog_number(&table, 1, -1);
    catalog_cell(&table, "first of all");
    CU_ASSERT_EQUAL_FATAL(catalog_end(&table, &out, &err), 0);
    CU_ASSERT_STRING_EQUAL(out.data, "name            n  what\n"
                                     "a-long-name     -  first of all\n"
                                     "b            12.2  second\n");
    free(out.data);
}

VIDUR_TEST_MAIN("catalog", {"every kind", test_kinds},
                {"an unknown kind", test_unknown_kind}, {"the table", test_table})
