#include "load/arrivals.h"
#include "test.h"
#include "workload_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_workload_config fixed_lengths(const char *arrivals, int64_t n)
{
    struct vidur_workload_config config;
    vidur_workload_config_defaults(&config);
    snprintf(config.lengths.type, sizeof config.lengths.type, "fixed");
    config.lengths.prefill_tokens = 100;
    config.lengths.decode_tokens = 10;
    snprintf(config.arrivals.type, sizeof config.arrivals.type, "%s", arrivals);
    config.arrivals.qps = 2;
    config.arrivals.truncate = 0;
    config.num_requests = n;
    return config;
}

struct moments {
    double mean;
    double cv;
};

static struct moments gap_moments(const struct vidur_workload *w)
{
    double n = (double)w->num_requests;
    double mean = w->arrived_at_s[w->num_requests - 1] / n;
    double squares = 0;
    for (int64_t i = 0; i < w->num_requests; i++) {
        double gap = w->arrived_at_s[i] - (i ? w->arrived_at_s[i - 1] : 0);
        CU_ASSERT_FATAL(gap >= 0);
        squares += (gap - mean) * (gap - mean);
    }
    return (struct moments){mean, sqrt(squares / n) / mean};
}

/* Mean and coefficient of variation of 200,000 gaps, within five standard errors. */
static void test_poisson_moments(void)
{
    struct vidur_workload_config config = fixed_lengths("poisson", 200000);
    struct vidur_workload *w = create(&config);
    struct moments m = gap_moments(w);
    CU_ASSERT_DOUBLE_EQUAL(m.mean, 0.5, 5 * 0.5 / sqrt(200000));
    CU_ASSERT_DOUBLE_EQUAL(m.cv, 1, 5 * 1.5 / sqrt(200000));
    vidur_workload_destroy(w);
}

/* Cut at three times the mean, an exponential's mean is 1 - exp(-3) of it. */
static void test_poisson_cut(void)
{
    struct vidur_workload_config config = fixed_lengths("poisson", 200000);
    config.arrivals.truncate = 3;
    struct vidur_workload *w = create(&config);
    struct moments m = gap_moments(w);
    CU_ASSERT_DOUBLE_EQUAL(m.mean, 0.5 * (1 - exp(-3)), 5 * 0.5 / sqrt(200000));
    double longest = 0;
    for (int64_t i = 1; i < w->num_requests; i++)
        longest = fmax(longest, w->arrived_at_s[i] - w->arrived_at_s[i - 1]);
    CU_ASSERT_DOUBLE_EQUAL(longest, 1.5, 1e-9);
    vidur_workload_destroy(w);
}

static void test_gamma_moments(void)
{
    static const double cvs[] = {0.5, 1, 2};
    for (size_t i = 0; i < 3; i++) {
        struct vidur_workload_config config = fixed_lengths("gamma", 200000);
        config.arrivals.cv = cvs[i];
        struct vidur_workload *w = create(&config);
        struct moments m = gap_moments(w);
        CU_ASSERT_DOUBLE_EQUAL(m.mean, 0.5, 5 * 0.5 * cvs[i] / sqrt(200000));
        CU_ASSERT_DOUBLE_EQUAL(m.cv, cvs[i], 0.05 * cvs[i]);
        vidur_workload_destroy(w);
    }
}

static void test_static_arrives_at_once(void)
{
    struct vidur_workload_config config = fixed_lengths("static", 7);
    struct vidur_workload *w = create(&config);
    CU_ASSERT_EQUAL(w->num_requests, 7);
    for (int i = 0; i < 7; i++)
        CU_ASSERT_EQUAL(w->arrived_at_s[i], 0);
    vidur_workload_destroy(w);
    config.num_requests = 0;
    config.duration_s = 10;
    assert_not_created(&config, "workload.num_requests: missing");
}

/* Who sends the requests is the run's affair; lengths are drawn as ever. */
static void test_closed_loop(void)
{
    struct vidur_workload_config config = fixed_lengths("closed_loop", 7);
    config.arrivals.concurrency = 3;
    struct vidur_workload *w = create(&config);
    CU_ASSERT_EQUAL(w->num_requests, 7);
    CU_ASSERT_EQUAL(w->concurrency, 3);
    CU_ASSERT_EQUAL(w->arrived_at_s[6], 0);
    CU_ASSERT_FALSE(vidur_workload_has_rate(w));
    struct vidur_workload first;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_workload_offer_clients(w, 5, 9, &first, &err), 0);
    CU_ASSERT_EQUAL(first.num_requests, 5);
    CU_ASSERT_EQUAL(first.concurrency, 9);
    CU_ASSERT_EQUAL(vidur_workload_offer_clients(w, 8, 9, &first, &err), -1);
    assert_contains(err.text, "8 requests of a workload of 7");
    CU_ASSERT_EQUAL(vidur_workload_offer_clients(w, 5, 0, &first, &err), -1);
    assert_contains(err.text, "0 clients");
    CU_ASSERT_EQUAL(vidur_workload_offer(w, 5, 1, &first, &err), -1);
    assert_contains(err.text, "no rate to set");
    vidur_workload_destroy(w);
    config.arrivals.concurrency = 0;
    assert_not_created(&config, "workload.arrivals.concurrency: missing");
    config.arrivals.concurrency = 3;
    config.seeds = VIDUR_SEEDS_REFERENCE;
    assert_not_created(&config, "reference does not cover closed_loop arrivals");
    config.seeds = VIDUR_SEEDS_OWN;
    config.num_requests = 0;
    config.duration_s = 10;
    assert_not_created(&config,
                       "workload.num_requests: missing; closed_loop arrivals come "
                       "when others have ended");
    config = fixed_lengths("poisson", 5);
    w = create(&config);
    CU_ASSERT_EQUAL(w->concurrency, 0);
    CU_ASSERT_EQUAL(vidur_workload_offer_clients(w, 5, 9, &first, &err), -1);
    assert_contains(err.text, "no clients");
    vidur_workload_destroy(w);
}

static void test_trace_window_and_scale(void)
{
    struct vidur_workload_config config = fixed_lengths("trace", 0);
    snprintf(config.arrivals.file, sizeof config.arrivals.file, "%s",
             file_of("arrived_at,what\n1,a\n2,b\n4,c\n7,d\n11,e\n"));
    config.arrivals.start_time_s = 2;
    config.arrivals.end_time_s = 11; /* not in it */
    config.arrivals.time_scale_factor = 0.5;
    struct vidur_workload *w = create(&config);
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 2); /* the gaps of 2, 4, 7 */
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 1);
    CU_ASSERT_EQUAL(w->arrived_at_s[1], 2.5);
    CU_ASSERT(vidur_workload_has_rate(w));
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 4, &err), 0); /* one gap of 1.5 s */
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[1], 0.25);
    vidur_workload_destroy(w);

    config.num_requests = 3;
    assert_not_created(&config, "has gaps for 2 requests");
    config.num_requests = 0;
    config.arrivals.start_time_s = 7;
    assert_not_created(&config, "1 rows from start_time 7 to end_time 11");
    config.arrivals.end_time_s = 6;
    assert_not_created(&config, "workload.arrivals.end_time: 6 is not after");
}

/* Rows out of order are sorted and counted; any format will do. */
static void test_trace_formats(void)
{
    struct vidur_workload_config config = fixed_lengths("trace", 0);
    snprintf(config.arrivals.file, sizeof config.arrivals.file, "%s",
             file_of("arrived_at\n6\n5\n9\n"));
    struct vidur_workload *w = create(&config);
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 2);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 1);
    CU_ASSERT_EQUAL(w->arrived_at_s[1], 4);
    CU_ASSERT_EQUAL(w->num_unsorted, 1);
    vidur_workload_destroy(w);
    snprintf(config.arrivals.file, sizeof config.arrivals.file, "%s",
             file_of("TIMESTAMP,ContextTokens,GeneratedTokens\n"
                     "2023-11-16 18:15:46.68,9,9\n2023-11-16 18:15:50,9,0\n"
                     "2023-11-16 18:16:00.18,9,9\n"));
    w = create(&config);
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 1);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 13.5);
    CU_ASSERT_EQUAL(w->num_failed, 1);
    vidur_workload_destroy(w);
    snprintf(config.arrivals.column, sizeof config.arrivals.column, "sent");
    snprintf(config.arrivals.file, sizeof config.arrivals.file, "%s",
             file_of("sent,prompt_tokens\n1000,a\n3500,b\n"));
    snprintf(config.arrivals.trace.time_unit, sizeof config.arrivals.trace.time_unit,
             "ms");
    w = create(&config);
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 1);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 2.5);
    vidur_workload_destroy(w);
}

static void test_bad_trace_files(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"arrived_at\n", "no rows"},
        {"", ":"},
        {"when\n1\n2\n", "arrived_at"},
        {"arrived_at\n1\nsoon\n", ":3: arrived_at:"},
        {"arrived_at\n1\n-2\n", ":3: arrived_at:"},
        {"arrived_at\n1\nnan\n", ":3: arrived_at:"},
    };
    struct vidur_workload_config config = fixed_lengths("trace", 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(config.arrivals.file, sizeof config.arrivals.file, "%s",
                 file_of(cases[i].text));
        assert_not_created(&config, cases[i].message);
    }
    assert_not_created(&config, config.arrivals.file);
    config.arrivals.file[0] = 0;
    assert_not_created(&config, "workload.arrivals.file: missing");
}

static void test_duration_drops_the_late(void)
{
    struct vidur_workload_config by_number = fixed_lengths("poisson", 1000);
    struct vidur_workload_config by_time = fixed_lengths("poisson", 0);
    by_time.duration_s = 100;
    struct vidur_workload *a = create(&by_number);
    struct vidur_workload *b = create(&by_time);
    CU_ASSERT_FATAL(b->num_requests > 100 && b->num_requests < 1000);
    CU_ASSERT(b->arrived_at_s[b->num_requests - 1] < 100);
    CU_ASSERT(a->arrived_at_s[b->num_requests] >= 100);
    for (int64_t i = 0; i < b->num_requests; i++)
        CU_ASSERT_EQUAL(a->arrived_at_s[i], b->arrived_at_s[i]);
    vidur_workload_destroy(a);
    vidur_workload_destroy(b);
    by_time.duration_s = 1e-9;
    assert_not_created(&by_time, "no request arrives before");
}

static void test_rate_is_needed(void)
{
    struct vidur_workload_config config = fixed_lengths("poisson", 5);
    config.arrivals.qps = 0;
    assert_not_created(&config, "workload.arrivals.qps: missing");
    config.arrivals.qps = NAN;
    assert_not_created(&config, "workload.arrivals.qps");
    config = fixed_lengths("poisn", 5);
    assert_not_created(&config, "the nearest is 'poisson' of ");
}

/* What a search may vary. */
static void test_rates(void)
{
    static const struct {
        const char *type;
        bool has_rate;
    } cases[] = {{"poisson", true},
                 {"gamma", true},
                 {"static", false},
                 {"trace", true},
                 {"poison", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_arrivals_config config = {0};
        snprintf(config.type, sizeof config.type, "%s", cases[i].type);
        CU_ASSERT_EQUAL(vidur_arrivals_have_rate(&config), cases[i].has_rate);
    }
}

VIDUR_TEST_MAIN("arrivals", {"Poisson moments", test_poisson_moments},
                {"Poisson cut at a multiple", test_poisson_cut},
                {"gamma moments", test_gamma_moments},
                {"static", test_static_arrives_at_once},
                {"closed loop", test_closed_loop},
                {"trace: window and scale", test_trace_window_and_scale},
                {"trace: formats", test_trace_formats},
                {"trace: bad files", test_bad_trace_files},
                {"duration", test_duration_drops_the_late},
                {"rate is needed", test_rate_is_needed}, {"rates", test_rates})
