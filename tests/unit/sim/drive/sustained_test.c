#include "test.h"

#include "drive/sustained.h"

#include <vidur/rng.h>

#include <math.h>
#include <stdlib.h>

/* A server that takes one request at a time, each for service_s. */
struct queue {
    int64_t count;
    double arrived_at_s[40000], scheduled_at_s[40000], completed_at_s[40000];
};

static struct queue queue;

static void serve(int64_t count, double qps, double service_s, uint64_t seed)
{
    struct vidur_rng rng;
    double now_s = 0, free_s = 0;
    vidur_rng_init(&rng, seed, vidur_rng_stream("arrivals", 0));
    queue.count = count;
    for (int64_t i = 0; i < count; i++) {
        now_s -= log(1 - vidur_rng_uniform(&rng)) / qps;
        queue.arrived_at_s[i] = now_s;
        queue.scheduled_at_s[i] = fmax(now_s, free_s);
        queue.completed_at_s[i] = free_s = queue.scheduled_at_s[i] + service_s;
    }
}

static struct vidur_sustained judge(double fraction)
{
    const struct vidur_request_table table = {.count = queue.count,
                                              .arrived_at_s = queue.arrived_at_s,
                                              .scheduled_at_s = queue.scheduled_at_s,
                                              .completed_at_s = queue.completed_at_s};
    struct vidur_sustained sustained;
    vidur_judge_sustained(&table, fraction, &sustained);
    return sustained;
}

/* Loads of a server that serves one request a second: those below are kept up with,
 * those above are not, once the requests are enough to tell them from chance. */
static void test_below_and_above(void)
{
    static const int64_t counts[] = {1000, 8000, 40000};
    for (int c = 0; c < 3; c++) {
        const double seen = 3.2 * sqrt(2.0 / (double)counts[c]);
        for (uint64_t seed = 1; seed <= 20; seed++) {
            serve(counts[c], 1 - seen, 1, seed);
            CU_ASSERT_TRUE(judge(0).kept_up);
            serve(counts[c], 1 + 2 * seen, 1, seed);
            CU_ASSERT_FALSE(judge(0).kept_up);
            serve(counts[c], 64, 1, seed);
            CU_ASSERT_FALSE(judge(0).kept_up);
        }
    }
}

/* Requests arrive once a second, each at a server of its own, and stay. */
static void stay(int64_t count, double service_s)
{
    queue.count = count;
    for (int64_t i = 0; i < count; i++) {
        queue.arrived_at_s[i] = queue.scheduled_at_s[i] = (double)i;
        queue.completed_at_s[i] = (double)i + service_s;
    }
}

/* Where requests stay for longer than the first half takes, the cluster is filling up
 * all the while, and that is no overload; but not where more than half of what arrives
 * is left. */
static void test_cold_start_is_forgiven(void)
{
    stay(2000, 1200);
    CU_ASSERT_TRUE(judge(0).kept_up);
    CU_ASSERT_EQUAL(judge(0).served, 800);
    CU_ASSERT_DOUBLE_EQUAL(judge(1).needed, 799, 1);
    stay(2000, 1700);
    CU_ASSERT_FALSE(judge(0).kept_up);
    CU_ASSERT_EQUAL(judge(0).served, 300);
    CU_ASSERT_DOUBLE_EQUAL(judge(1).needed, 499.5, 1);
}

static void test_fraction(void)
{
    serve(20000, 1.25, 1, 7);
    CU_ASSERT_FALSE(judge(0).kept_up);
    CU_ASSERT_FALSE(judge(0.85).kept_up);
    CU_ASSERT_TRUE(judge(0.75).kept_up);
    const struct vidur_sustained s = judge(0.75);
    CU_ASSERT_EQUAL(s.offered, 9999);
    CU_ASSERT_DOUBLE_EQUAL((double)s.served / (double)s.offered, 0.8, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(s.needed, 0.75 * (double)s.offered, 1e-9);
}

static void test_nothing_to_keep_up_with(void)
{
    serve(0, 1, 1, 1);
    CU_ASSERT_TRUE(judge(0).kept_up);
    serve(1, 1, 1, 1);
    CU_ASSERT_TRUE(judge(0).kept_up);
    serve(1000, 1, 1, 1);
    for (int64_t i = 0; i < queue.count; i++)
        queue.arrived_at_s[i] = 5;
    CU_ASSERT_TRUE(judge(0).kept_up);
}

VIDUR_TEST_MAIN("sustained",
                {"loads below and above the capacity", test_below_and_above},
                {"a cold start is forgiven", test_cold_start_is_forgiven},
                {"a fraction that was asked for", test_fraction},
                {"nothing to keep up with", test_nothing_to_keep_up_with})
