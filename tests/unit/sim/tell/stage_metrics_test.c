#include "test.h"

#include "tell/stage_metrics.h"

#include <math.h>

enum { COUNT = 6 };

/* Two stages of three requests; the last has not completed. */
static const double arrived[COUNT] = {0, 1, 2, 10, 11, 12};
static const double first[COUNT] = {0.5, 1.25, 3, 10.5, 12, 13};
static const double completed[COUNT] = {4.5, 1.25, 5, 11.5, 15, NAN};
static const int32_t arrived_decode[COUNT] = {5, 1, 3, 2, 4, 4};
static const int32_t decode[COUNT] = {2, 1, 3, 2, 4, 4}; /* the first was restarted */

static const struct vidur_request_records records = {.count = COUNT,
                                                     .arrived_at_s = arrived,
                                                     .prefill_completed_at_s = first,
                                                     .completed_at_s = completed,
                                                     .num_decode_tokens = decode,
                                                     .arrived_decode_tokens =
                                                         arrived_decode};
static const struct vidur_load_stages stages = {.count = 2, .first_request = {0, 3, 6}};

static void test_each_stage(void)
{
    struct vidur_stage_metrics m;
    CU_ASSERT_EQUAL_FATAL(vidur_stage_metrics_of(&m, &records, &stages, 0, NULL), 0);
    CU_ASSERT_EQUAL(m.num_requests, 3);
    CU_ASSERT_EQUAL(m.e2e.count, 3);
    CU_ASSERT_DOUBLE_EQUAL(m.e2e.mean, (4.5 + 0.25 + 3) / 3, 1e-15);
    CU_ASSERT_EQUAL(m.e2e.p50, 3);
    CU_ASSERT_DOUBLE_EQUAL(m.ttft.mean, (0.5 + 0.25 + 1) / 3, 1e-15);
    CU_ASSERT_EQUAL(m.tpot.count, 2); /* one token has no gap */
    CU_ASSERT_EQUAL(m.tpot.mean, 1);  /* by the tokens asked for, not those left */
    CU_ASSERT_EQUAL_FATAL(vidur_stage_metrics_of(&m, &records, &stages, 1, NULL), 0);
    CU_ASSERT_EQUAL(m.num_requests, 3);
    CU_ASSERT_EQUAL(m.e2e.count, 2);
    CU_ASSERT_EQUAL(m.e2e.max, 4);
    CU_ASSERT_EQUAL(m.ttft.count, 2); /* of those that completed */
    CU_ASSERT_EQUAL(m.ttft.max, 1);
    CU_ASSERT_EQUAL(m.tpot.mean, 1);
}

static void test_nothing_completed(void)
{
    static const double never[COUNT] = {NAN, NAN, NAN, NAN, NAN, NAN};
    struct vidur_request_records none = records;
    struct vidur_stage_metrics m;
    none.completed_at_s = never;
    CU_ASSERT_EQUAL_FATAL(vidur_stage_metrics_of(&m, &none, &stages, 1, NULL), 0);
    CU_ASSERT_EQUAL(m.num_requests, 3);
    CU_ASSERT_EQUAL(m.e2e.count, 0);
    CU_ASSERT_EQUAL(m.tpot.mean, 0);
}

VIDUR_TEST_MAIN("stage metrics", {"each stage", test_each_stage},
                {"nothing completed", test_nothing_completed})
