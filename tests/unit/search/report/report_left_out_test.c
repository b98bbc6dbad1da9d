#include "report/report_left_out.h"
#include "results/results_notes.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

enum { ROWS = 9 };

static struct vidur_ranking_row rows[ROWS];

static void put(int at, const char *status, int tp, const char *reason)
{
    rows[at] = (struct vidur_ranking_row){.tensor_parallel_size = tp,
                                          .num_pipeline_stages = 1};
    snprintf(rows[at].network_device, sizeof rows[at].network_device, "node");
    snprintf(rows[at].status, sizeof rows[at].status, "%s", status);
    snprintf(rows[at].reason, sizeof rows[at].reason, "%s", reason);
}

static struct vidur_report_group make(void)
{
    put(0, VIDUR_STATUS_INFEASIBLE_MEMORY, 2,
        "in 70.0 GiB per device: 244.27 GiB too many");
    put(1, VIDUR_STATUS_INVALID, 4, "4 does not divide it");
    put(2, VIDUR_STATUS_INFEASIBLE_MEMORY, 8,
        "in 70.0 GiB per device: 9.57 GiB too many");
    put(3, VIDUR_STATUS_INVALID, 8, "8 does not divide it");
    put(4, VIDUR_STATUS_INVALID, 4, "4 does not divide it");
    put(5, VIDUR_STATUS_INFEASIBLE_MEMORY, 4,
        "in 70.0 GiB per device: 87.80 GiB too many");
    put(6, VIDUR_STATUS_INVALID, 16, "third");
    put(7, VIDUR_STATUS_INVALID, 16, "fourth");
    put(8, VIDUR_STATUS_INVALID, 16, "fifth");
    struct vidur_report_group group = {.rows = rows, .num_rows = ROWS};
    group.counts[VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY] = 3;
    group.counts[VIDUR_STATUS_INDEX_INVALID] = 6;
    return group;
}

static void test_nearest(void)
{
    struct vidur_report_group group = make();
    CU_ASSERT_PTR_EQUAL(
        vidur_left_out_nearest(&group, VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY), &rows[2]);
    CU_ASSERT_PTR_EQUAL(vidur_left_out_nearest(&group, VIDUR_STATUS_INDEX_INVALID),
                        &rows[1]);
    CU_ASSERT_PTR_NULL(vidur_left_out_nearest(&group, VIDUR_STATUS_INDEX_FAILED));
    CU_ASSERT_PTR_EQUAL(vidur_left_out_first(&group), &rows[2]);
    CU_ASSERT_PTR_NOT_NULL(strstr(vidur_left_out_remedy(&rows[2]), "pp_dimensions"));
    CU_ASSERT_STRING_EQUAL(vidur_left_out_remedy(&rows[1]), "");

    put(6, VIDUR_STATUS_SLO_UNREACHABLE, 1, "ttft_p95 is not met even at 0.1 QPS");
    put(7, VIDUR_STATUS_SLO_UNREACHABLE, 2,
        "ttft_p95 is not met even at 0.1 QPS" VIDUR_WHERE_IT_IS "5.2 s");
    put(8, VIDUR_STATUS_SLO_UNREACHABLE, 4,
        "ttft_p95 is not met even at 0.1 QPS" VIDUR_WHERE_IT_IS "0.9 s");
    group.counts[VIDUR_STATUS_INDEX_SLO_UNREACHABLE] = 3;
    CU_ASSERT_PTR_EQUAL(vidur_left_out_first(&group), &rows[8]);
}

static void test_lines(void)
{
    static const char *const lines[] = {
        ("3 too large for memory, the nearest TP8 PP1 on node: in 70.0 GiB per device: "
         "9.57 GiB too many"),
        "2 invalid, such as TP4 PP1 on node: 4 does not divide it",
        "1 invalid, such as TP8 PP1 on node: 8 does not divide it",
        "1 invalid, such as TP16 PP1 on node: third",
        "more are invalid for other reasons: --csv has each"};
    const struct vidur_report_group group = make();
    char text[512];
    int line = 0;
    for (; vidur_format_left_out(&group, line, text, sizeof text); line++) {
        CU_ASSERT_FATAL(line < 5);
        CU_ASSERT_STRING_EQUAL(text, lines[line]);
    }
    CU_ASSERT_EQUAL(line, 5);
    const struct vidur_report_group whole = {.rows = rows, .num_rows = 0};
    CU_ASSERT_FALSE(vidur_format_left_out(&whole, 0, text, sizeof text));
}

VIDUR_TEST_MAIN("what is left out", {"the nearest", test_nearest},
                {"lines", test_lines})
