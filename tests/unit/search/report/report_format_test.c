#include "report/report_format.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

/* What schedulers of rows have in common. */

enum { MOST_ROWS = 4 };

static struct vidur_ranking_row row_of(const char *label, const char *precision)
{
    struct vidur_ranking_row row = {.max_qps = 1};
    snprintf(row.scheduler_label, sizeof row.scheduler_label, "%s", label);
    snprintf(row.precision, sizeof row.precision, "%s", precision);
    snprintf(row.kv_cache_dtype, sizeof row.kv_cache_dtype, "bf16");
    return row;
}

/* The own words of `count` rows with these labels, each in brackets. */
static void check(const char *const (*rows)[2], int count, const char *shared_text,
                  bool all, const char *own_words)
{
    struct vidur_ranking_row list[MOST_ROWS] = {0};
    struct vidur_shared_scheduler shared;
    char own[512] = "", text[VIDUR_TABLE_CELL], whole[VIDUR_TABLE_CELL];
    for (int i = 0; i < count; i++)
        list[i] = row_of(rows[i][0], rows[i][1]);
    vidur_share_scheduler(list, count, &shared);
    CU_ASSERT_STRING_EQUAL(shared.text, shared_text);
    CU_ASSERT_EQUAL(shared.all, all);
    for (int i = 0; i < count; i++) {
        vidur_format_own_scheduler(&list[i], &shared, text, sizeof text);
        snprintf(own + strlen(own), sizeof own - strlen(own), "[%s]", text);
        /* head, own words and tail are the whole text */
        vidur_format_scheduler(&list[i], whole, sizeof whole);
        CU_ASSERT_EQUAL(shared.head + strlen(text) + shared.tail, strlen(whole));
    }
    CU_ASSERT_STRING_EQUAL(own, own_words);
}

static void test_shared_scheduler(void)
{
    const char *const knobs[][2] = {{"engine tokens=2048", "fp8"},
                                    {"engine tokens=8192", "fp8"}};
    check(knobs, 2, "engine, fp8", false, "[tokens=2048][tokens=8192]");
    const char *const precisions[][2] = {{"engine tokens=2048", "fp8"},
                                         {"engine tokens=2048", "nvfp4"}};
    check(precisions, 2, "engine tokens=2048", false, "[fp8][nvfp4]");
    const char *const names[][2] = {{"engine", "fp8"}, {"other tokens=8", "fp8"}};
    check(names, 2, "fp8", false, "[engine][other tokens=8]");
    const char *const nothing[][2] = {{"engine", "bf16"}, {"engineer", "bf16"}};
    check(nothing, 2, "", false, "[engine][engineer]");
    const char *const third[][2] = {
        {"a b c", "fp8"}, {"a b d", "fp8"}, {"a e", "bf16"}};
    check(third, 3, "a", false, "[b c, fp8][b d, fp8][e]");
}

/* Configurations that differ in the router alone are told apart. */
static void test_routers(void)
{
    static const char *const routers[] = {"round_robin", "prefix", "prefix:2"};
    struct vidur_ranking_row rows[3];
    struct vidur_shared_scheduler shared;
    char text[VIDUR_TABLE_CELL], own[256] = "";
    for (int i = 0; i < 3; i++) {
        rows[i] = row_of("engine a=1", "fp8");
        snprintf(rows[i].router, sizeof rows[i].router, "%s", routers[i]);
    }
    vidur_share_scheduler(rows, 3, &shared);
    CU_ASSERT_STRING_EQUAL(shared.text, "engine a=1");
    vidur_share_scheduler(&rows[1], 2, &shared);
    CU_ASSERT_STRING_EQUAL(shared.text, "engine a=1, fp8");
    for (int i = 1; i < 3; i++) {
        vidur_format_own_scheduler(&rows[i], &shared, text, sizeof text);
        snprintf(own + strlen(own), sizeof own - strlen(own), "[%s]", text);
    }
    CU_ASSERT_STRING_EQUAL(own, "[router=prefix][router=prefix:2]");
}

static void test_same_schedulers(void)
{
    const char *const same[][2] = {{"engine tokens=2048", "bf16, experts mxfp4"},
                                   {"engine tokens=2048", "bf16, experts mxfp4"}};
    check(same, 2, "engine tokens=2048, bf16, experts mxfp4", true, "[][]");
    check(same, 1, "", false, "[engine tokens=2048, bf16, experts mxfp4]");
    check(same, 0, "", false, "");
    const char *const begun[][2] = {{"engine", "fp8"}, {"engine tokens=8", "fp8"}};
    check(begun, 2, "fp8", false, "[engine][engine tokens=8]");
}

VIDUR_TEST_MAIN("report_format",
                {"schedulers with words in common", test_shared_scheduler},
                {"routers", test_routers},
                {"equal schedulers, single rows", test_same_schedulers})
