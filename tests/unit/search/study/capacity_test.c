#include "test.h"

#include <vidur/capacity.h>

#include <math.h>
#include <string.h>

/* A cluster that serves up to `limit` and no more, and what was asked of it. */
struct cluster {
    double limit_qps;
    double probed_qps[64];
    int num_probed;
    double island_low_qps, island_high_qps; /* loads that pass although above limit */
};

static int probe(void *context, double qps, struct vidur_capacity_outcome *outcome,
                 struct vidur_error *err)
{
    struct cluster *cluster = context;
    (void)err;
    if (cluster->num_probed < 64)
        cluster->probed_qps[cluster->num_probed++] = qps;
    outcome->feasible = qps <= cluster->limit_qps || (qps > cluster->island_low_qps &&
                                                      qps < cluster->island_high_qps);
    return 0;
}

static struct vidur_capacity_options options(double start_qps)
{
    return (struct vidur_capacity_options){.granularity = 0.025,
                                           .max_iterations = 40,
                                           .anchor_qps = 10,
                                           .start_qps = start_qps,
                                           .first_stride = 4};
}

static struct vidur_capacity_answer search(const struct vidur_capacity_options *o,
                                           struct cluster *cluster)
{
    struct vidur_error err = {0};
    struct vidur_capacity capacity;
    struct vidur_capacity_answer answer;
    CU_ASSERT_EQUAL_FATAL(vidur_capacity_begin(&capacity, o, &err), 0);
    CU_ASSERT_EQUAL(vidur_capacity_run(&capacity, probe, cluster, &err), 0);
    vidur_capacity_answer(&capacity, &answer);
    CU_ASSERT_EQUAL(answer.num_probes, cluster->num_probed);
    return answer;
}

static void test_answer_is_within_granularity(void)
{
    for (double limit = 0.011; limit < 600; limit *= 1.37) {
        struct cluster cluster = {.limit_qps = limit};
        struct vidur_capacity_options o = options(0);
        struct vidur_capacity_answer answer = search(&o, &cluster);
        CU_ASSERT_TRUE(answer.found);
        CU_ASSERT_FALSE(answer.exhausted || answer.unreachable || answer.unbounded);
        CU_ASSERT_TRUE(answer.max_qps <= limit);
        CU_ASSERT_TRUE(answer.max_qps * 1.025 * (1 + 1e-12) > limit);
        CU_ASSERT_DOUBLE_EQUAL(answer.fail_qps, answer.max_qps * 1.025,
                               1e-12 * answer.fail_qps);
        CU_ASSERT_EQUAL(answer.num_violations, 0);
    }
}

static void test_same_answer_from_any_start(void)
{
    const double starts[] = {0, 1e-9, 0.2, 3.3, 9.99, 10, 11, 42, 333, 1e9};
    for (double limit = 0.05; limit < 300; limit *= 2.9) {
        double first = 0;
        for (int i = 0; i < 10; i++) {
            for (int stride = 1; stride <= 16; stride *= 4) {
                struct cluster cluster = {.limit_qps = limit};
                struct vidur_capacity_options o = options(starts[i]);
                o.first_stride = stride;
                struct vidur_capacity_answer answer = search(&o, &cluster);
                if (first == 0)
                    first = answer.max_qps;
                CU_ASSERT_EQUAL(answer.max_qps, first); /* to the bit */
            }
        }
    }
}

/* Neither the start nor the anchor nor the first stride is in the answer's bits. */
static void test_same_answer_from_any_anchor(void)
{
    uint64_t bits = 1;
    for (double limit = 0.07; limit < 900; limit *= 3.1) {
        double first = 0;
        for (int i = 0; i < 200; i++) {
            struct cluster cluster = {.limit_qps = limit};
            struct vidur_capacity_options o = options(0);
            double part[3];
            for (int r = 0; r < 3; r++) {
                bits = bits * 6364136223846793005u + 1442695040888963407u;
                part[r] = (double)(bits >> 11) * 0x1p-53;
            }
            o.anchor_qps = limit * pow(2, 14 * part[0] - 5); /* limit is within ends */
            o.start_qps = i % 5 ? limit * pow(2, 20 * part[1] - 10) : 0;
            o.first_stride = 1 + (int)(30 * part[2]);
            struct vidur_capacity_answer answer = search(&o, &cluster);
            if (first == 0)
                first = answer.max_qps;
            CU_ASSERT_EQUAL(answer.max_qps, first);
        }
    }
}

static void test_good_start_is_cheap(void)
{
    struct cluster cluster = {.limit_qps = 10};
    struct vidur_capacity_options o = options(10);
    const double point = search(&o, &cluster).max_qps;
    o = options(point);
    o.first_stride = 1;
    cluster = (struct cluster){.limit_qps = 10};
    struct vidur_capacity_answer answer = search(&o, &cluster);
    CU_ASSERT_EQUAL(answer.num_probes, 2);
    CU_ASSERT_EQUAL(answer.max_qps, point);
    CU_ASSERT_EQUAL(cluster.probed_qps[0], point);
}

static void test_no_load_passes(void)
{
    struct cluster cluster = {.limit_qps = 0};
    struct vidur_capacity_options o = options(0);
    struct vidur_capacity_answer answer = search(&o, &cluster);
    CU_ASSERT_FALSE(answer.found);
    CU_ASSERT_TRUE(answer.unreachable);
    CU_ASSERT_TRUE(isnan(answer.max_qps));
    CU_ASSERT_TRUE(answer.fail_qps < 10.0 / 1024 * 1.0001);
    CU_ASSERT_TRUE(answer.num_probes <= 10);
}

/* The least number of replicas, from any start, as counting up finds it. */
static void test_least_replicas(void)
{
    struct vidur_capacity_options o = {.definition = VIDUR_CAPACITY_REPLICAS,
                                       .granularity = 0.025,
                                       .max_iterations = 40,
                                       .target_qps = 50,
                                       .max_replicas = 300,
                                       .first_stride = 1};
    for (int wanted = 1; wanted <= 310; wanted += 1 + wanted / 9) {
        for (int start = 1; start <= 400; start += 57) {
            struct cluster cluster = {.limit_qps = 50.0 / wanted * 1.0001};
            o.start_replicas = start;
            const struct vidur_capacity_answer answer = search(&o, &cluster);
            CU_ASSERT_EQUAL(answer.found, wanted <= 300);
            CU_ASSERT_EQUAL(answer.unreachable, wanted > 300);
            CU_ASSERT_EQUAL(answer.replicas, wanted <= 300 ? wanted : 0);
            CU_ASSERT_FALSE(answer.unbounded || answer.exhausted);
            CU_ASSERT_TRUE(answer.num_probes <= 20);
        }
    }
}

static void test_replicas_of_the_next_load(void)
{
    struct vidur_capacity_options o = {.definition = VIDUR_CAPACITY_REPLICAS,
                                       .granularity = 0.025,
                                       .max_iterations = 40,
                                       .target_qps = 12,
                                       .start_replicas = 3,
                                       .max_replicas = 8,
                                       .first_stride = 1};
    struct vidur_capacity capacity;
    double qps;
    CU_ASSERT_EQUAL_FATAL(vidur_capacity_begin(&capacity, &o, NULL), 0);
    CU_ASSERT_TRUE(vidur_capacity_next(&capacity, &qps));
    CU_ASSERT_EQUAL(qps, 4);
    CU_ASSERT_EQUAL(vidur_capacity_replicas(&capacity), 3);
    const uint64_t name = vidur_capacity_name(&capacity);
    vidur_capacity_tell(&capacity, &(struct vidur_capacity_outcome){false, 0});
    CU_ASSERT_TRUE(vidur_capacity_next(&capacity, &qps));
    CU_ASSERT_EQUAL(vidur_capacity_replicas(&capacity), 4);
    CU_ASSERT_NOT_EQUAL(vidur_capacity_name(&capacity), name);
    o.target_qps = 0;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, NULL), -1);
}

static void test_every_load_passes(void)
{
    struct cluster cluster = {.limit_qps = INFINITY};
    struct vidur_capacity_options o = options(0);
    struct vidur_capacity_answer answer = search(&o, &cluster);
    CU_ASSERT_TRUE(answer.found && answer.unbounded);
    CU_ASSERT_TRUE(isfinite(answer.max_qps) && answer.max_qps >= 640);
    CU_ASSERT_TRUE(answer.max_qps < 640 * 1.03);
    CU_ASSERT_TRUE(isnan(answer.fail_qps));
    CU_ASSERT_TRUE(answer.num_probes <= 10);
}

static void test_iterations_run_out(void)
{
    struct cluster cluster = {.limit_qps = 3};
    struct vidur_capacity_options o = options(0);
    o.max_iterations = 4; /* 10, -4, -12, -28, ... */
    struct vidur_capacity_answer answer = search(&o, &cluster);
    CU_ASSERT_TRUE(answer.exhausted);
    CU_ASSERT_EQUAL(answer.num_probes, 4);
    CU_ASSERT_FALSE(answer.found);
    CU_ASSERT_FALSE(answer.unreachable);
}

static void test_passes_above_a_fail_are_counted(void)
{
    const double point = pow(1.025, 93); /* just below 10 */
    struct cluster cluster = {.limit_qps = 1.01 * point,
                              .island_low_qps = 1.03 * point,
                              .island_high_qps = 1.06 * point};
    struct vidur_capacity_options o = options(point);
    o.first_stride = 1;
    o.confirm = 3; /* the second point above passes, the others do not */
    struct vidur_capacity_answer answer = search(&o, &cluster);
    CU_ASSERT_DOUBLE_EQUAL(answer.max_qps, point, 1e-12 * point);
    CU_ASSERT_EQUAL(answer.num_violations, 1);
    CU_ASSERT_EQUAL(answer.num_probes, 5);
    cluster = (struct cluster){.limit_qps = 10};
    answer = search(&o, &cluster);
    CU_ASSERT_EQUAL(answer.num_violations, 0);
    CU_ASSERT_EQUAL(answer.num_probes, 5);
}

static void test_suppose_is_what_tell_does(void)
{
    struct vidur_capacity capacity, after;
    struct vidur_capacity_options o = options(4);
    double limit = 17, qps, next, supposed;
    CU_ASSERT_EQUAL_FATAL(vidur_capacity_begin(&capacity, &o, NULL), 0);
    while (vidur_capacity_next(&capacity, &qps)) {
        const struct vidur_capacity_outcome outcome = {.feasible = qps <= limit};
        CU_ASSERT_TRUE(
            vidur_capacity_suppose(&capacity, outcome.feasible ? 0 : 1, &after));
        CU_ASSERT_FALSE(vidur_capacity_suppose(&capacity, 2, &after));
        vidur_capacity_tell(&capacity, &outcome);
        const bool more = vidur_capacity_next(&capacity, &next);
        CU_ASSERT_EQUAL(vidur_capacity_next(&after, &supposed), more);
        if (more)
            CU_ASSERT_EQUAL(next, supposed);
    }
    CU_ASSERT_FALSE(vidur_capacity_suppose(&capacity, 0, &after));
}

/* ---- the reference's search: a straight transcription of section 8 as the oracle ----
 */

struct server {
    double limit_qps, slope; /* delay = slope * (qps / limit)^8 */
};

static double delay_at(const struct server *server, double qps)
{
    return server->slope * pow(qps / server->limit_qps, 8);
}

static int transcribed(const struct server *server, double start, double *probes,
                       double *passed)
{
    double left = 0, right = 2 * start, lowest_failed = INFINITY, qps = 0;
    int n = 0;
    *passed = NAN;
    for (int i = 0; i < 20; i++) {
        if (i > 0 && fabs(left - right) < 0.025 * qps)
            break;
        qps = (left + right) / 2;
        probes[n++] = qps;
        const double d = delay_at(server, qps);
        if (d <= 5) {
            if (d < 5.0 / 8)
                right = fmin(4 * right, lowest_failed);
            else if (d < 5.0 / 4 || qps > 0.8 * right)
                right = fmin(2 * right, lowest_failed);
            left = qps;
            *passed = qps;
        } else {
            right = d > 500 ? qps / 2 : qps;
            lowest_failed = fmin(lowest_failed, qps);
        }
    }
    return n;
}

static void test_reference_search(void)
{
    for (double start = 0.1; start < 100; start *= 1.9) {
        for (double slope = 0.4; slope < 30; slope *= 3) {
            const struct server server = {7.7, slope};
            double probes[32], passed;
            const int n = transcribed(&server, start, probes, &passed);
            struct vidur_capacity_options o = {.definition =
                                                   VIDUR_CAPACITY_SCHEDULING_DELAY,
                                               .granularity = 0.025,
                                               .max_iterations = 20,
                                               .start_qps = start,
                                               .delay_limit_s = 5};
            struct vidur_capacity capacity;
            struct vidur_capacity_answer answer;
            double qps;
            int i = 0;
            CU_ASSERT_EQUAL_FATAL(vidur_capacity_begin(&capacity, &o, NULL), 0);
            for (; vidur_capacity_next(&capacity, &qps) && i < n; i++) {
                CU_ASSERT_EQUAL(qps, probes[i]);
                const double d = delay_at(&server, qps);
                vidur_capacity_tell(&capacity, &(struct vidur_capacity_outcome){
                                                   .feasible = d <= 5, .delay_s = d});
            }
            vidur_capacity_answer(&capacity, &answer);
            CU_ASSERT_EQUAL(i, n);
            CU_ASSERT_FALSE(vidur_capacity_next(&capacity, &qps));
            CU_ASSERT_TRUE(answer.found ? answer.max_qps == passed : isnan(passed));
        }
    }
}

/* The path published for the golden case capacity-a30, from its outcomes. */
static void test_reference_path(void)
{
    const double expected[] = {2, 5, 3.5, 4.25, 4.625, 4.4375, 4.34375};
    const struct vidur_capacity_outcome outcomes[] = {
        {true, 1.0}, {false, 9}, {true, 2}, {true, 4},
        {false, 7},  {false, 6}, {false, 6}};
    struct vidur_capacity_options o = {.definition = VIDUR_CAPACITY_SCHEDULING_DELAY,
                                       .granularity = 0.025,
                                       .max_iterations = 20,
                                       .start_qps = 2,
                                       .delay_limit_s = 5};
    struct vidur_capacity capacity;
    struct vidur_capacity_answer answer;
    double qps;
    CU_ASSERT_EQUAL_FATAL(vidur_capacity_begin(&capacity, &o, NULL), 0);
    for (int i = 0; i < 7; i++) {
        CU_ASSERT_TRUE(vidur_capacity_next(&capacity, &qps));
        CU_ASSERT_EQUAL(qps, expected[i]);
        vidur_capacity_tell(&capacity, &outcomes[i]);
    }
    CU_ASSERT_FALSE(vidur_capacity_next(&capacity, &qps));
    vidur_capacity_answer(&capacity, &answer);
    CU_ASSERT_EQUAL(answer.max_qps, 4.25);
    CU_ASSERT_EQUAL(answer.fail_qps, 4.34375);
    CU_ASSERT_FALSE(answer.exhausted);
}

static void test_bad_options(void)
{
    struct vidur_capacity capacity;
    struct vidur_error err;
    struct vidur_capacity_options o = options(0);
    o.granularity = 0;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "granularity"));
    o = options(0);
    o.granularity = NAN;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, &err), -1);
    o = options(0);
    o.max_iterations = 0;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, &err), -1);
    o = options(0);
    o.anchor_qps = NAN;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, &err), -1);
    o = options(-1);
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, &err), -1);
    o = options(0);
    o.definition = VIDUR_CAPACITY_SCHEDULING_DELAY;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
}

static int broken(void *context, double qps, struct vidur_capacity_outcome *outcome,
                  struct vidur_error *err)
{
    (void)context, (void)qps, (void)outcome;
    return vidur_fail(err, VIDUR_EIO, "no cluster");
}

static void test_probe_error_stops(void)
{
    struct vidur_capacity capacity;
    struct vidur_error err = {0};
    struct vidur_capacity_options o = options(0);
    CU_ASSERT_EQUAL_FATAL(vidur_capacity_begin(&capacity, &o, &err), 0);
    CU_ASSERT_EQUAL(vidur_capacity_run(&capacity, broken, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

/* ---- Users of a closed loop ---- */

static struct vidur_capacity_options for_users(double start)
{
    struct vidur_capacity_options o = options(start);
    o.definition = VIDUR_CAPACITY_USERS;
    o.max_users = 2000;
    return o;
}

static void test_most_users(void)
{
    const double starts[] = {0, 1, 7, 333, 5000};
    for (int limit = 1; limit < 1900; limit += 1 + limit / 7) {
        double first = 0;
        for (int i = 0; i < 5; i++) {
            struct cluster cluster = {.limit_qps = limit};
            const struct vidur_capacity_options o = for_users(starts[i]);
            const struct vidur_capacity_answer answer = search(&o, &cluster);
            CU_ASSERT_TRUE(answer.found && !answer.unbounded && !answer.exhausted);
            CU_ASSERT_TRUE(answer.max_qps <= limit && answer.fail_qps > limit);
            CU_ASSERT_EQUAL(answer.max_qps, floor(answer.max_qps));
            /* Neighbours of the lattice: one more, or granularity more. */
            CU_ASSERT_EQUAL(answer.fail_qps,
                            fmax(answer.max_qps + 1, floor(answer.max_qps * 1.025)));
            first = i == 0 ? answer.max_qps : first;
            CU_ASSERT_EQUAL(answer.max_qps, first);
            if (limit <= 80) /* so few users are counted one by one */
                CU_ASSERT_EQUAL(answer.max_qps, limit);
        }
    }
}

static void test_ends_of_users(void)
{
    struct cluster none = {.limit_qps = 0.5}, all = {.limit_qps = 1e9};
    struct vidur_capacity_options o = for_users(50);
    struct vidur_capacity_answer answer = search(&o, &none);
    CU_ASSERT_TRUE(answer.unreachable && !answer.found);
    CU_ASSERT_EQUAL(none.probed_qps[none.num_probed - 1], 1);
    answer = search(&o, &all);
    CU_ASSERT_TRUE(answer.unbounded && answer.found);
    CU_ASSERT_TRUE(answer.max_qps <= 2000 && answer.max_qps * 1.025 > 2000);
    o.max_users = 1;
    all.num_probed = 0;
    answer = search(&o, &all);
    CU_ASSERT_EQUAL(answer.max_qps, 1);
    CU_ASSERT_TRUE(answer.unbounded);
    struct vidur_capacity capacity;
    o.max_users = 0;
    CU_ASSERT_EQUAL(vidur_capacity_begin(&capacity, &o, NULL), -1);
}

VIDUR_TEST_MAIN("capacity",
                {"answer within granularity", test_answer_is_within_granularity},
                {"same answer from any start", test_same_answer_from_any_start},
                {"same answer from any anchor", test_same_answer_from_any_anchor},
                {"a good start takes two probes", test_good_start_is_cheap},
                {"no load passes", test_no_load_passes},
                {"the least replicas", test_least_replicas},
                {"replicas of the next load", test_replicas_of_the_next_load},
                {"the most users", test_most_users},
                {"no users, all users", test_ends_of_users},
                {"every load passes", test_every_load_passes},
                {"iterations run out", test_iterations_run_out},
                {"passes above a fail", test_passes_above_a_fail_are_counted},
                {"suppose is what tell does", test_suppose_is_what_tell_does},
                {"reference search", test_reference_search},
                {"reference path of the golden case", test_reference_path},
                {"bad options", test_bad_options},
                {"probe error stops", test_probe_error_stops})
