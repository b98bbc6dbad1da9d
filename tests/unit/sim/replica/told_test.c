#include "test.h"

#include "replica/told.h"

#include <string.h>

/* What an engine has told when a router polls it, every 50 ms. */

static void test_polled(void)
{
    static const double seen_at_s[] = {0, 0.09, 0.11, 0.125};
    static int32_t next[] = {1, 2, 3, VIDUR_NO_REQUEST};
    struct vidur_request_table table = {.count = 4, .next = next};
    struct vidur_told told;
    struct vidur_replica replica = {.requests = &table,
                                    .queue_head = VIDUR_NO_REQUEST,
                                    .num_blocks = 8,
                                    .told = &told};
    table.seen_at_s = seen_at_s;
    vidur_told_init(&told);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0)->waiting, 0);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 9)->kv_usage, 0);
    /* A step ends at 0.12 s; what came after it was formed does not count. */
    replica.queue_head = 0;
    replica.now_s = 0.12;
    replica.allocated_blocks = 2;
    vidur_told_tell(&replica, 0.11);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.14)->waiting, 0); /* polled at 0.1 */
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.151)->waiting, 3);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.151)->kv_usage, 0.25);
    /* Two more until 0.2 s: the poll at 0.15 has found the one before both. */
    replica.allocated_blocks = 4;
    replica.now_s = 0.16;
    vidur_told_tell(&replica, 0.12);
    replica.allocated_blocks = 6;
    replica.now_s = 0.18;
    vidur_told_tell(&replica, 0.16);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.19)->kv_usage, 0.25);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.2)->kv_usage, 0.75);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.2)->waiting, 4);
}

VIDUR_TEST_MAIN("told", {"polled", test_polled})
