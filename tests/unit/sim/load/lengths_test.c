#include "load/lengths.h"
#include "test.h"
#include "workload_fixture.h"

#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_workload_config static_arrivals(const char *lengths, int64_t n)
{
    struct vidur_workload_config config;
    vidur_workload_config_defaults(&config);
    snprintf(config.arrivals.type, sizeof config.arrivals.type, "static");
    snprintf(config.lengths.type, sizeof config.lengths.type, "%s", lengths);
    config.num_requests = n;
    return config;
}

static struct vidur_workload_config of_trace(const char *text, int64_t n)
{
    struct vidur_workload_config config = static_arrivals("trace", n);
    snprintf(config.lengths.file, sizeof config.lengths.file, "%s", file_of(text));
    return config;
}

static void test_fixed(void)
{
    struct vidur_workload_config config = static_arrivals("fixed", 3);
    config.lengths.prefill_tokens = 4000;
    config.lengths.decode_tokens = 96;
    struct vidur_workload *w = create(&config);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(w->num_prefill_tokens[i], 4000);
        CU_ASSERT_EQUAL(w->num_decode_tokens[i], 96);
    }
    vidur_workload_destroy(w);
    config.lengths.decode_tokens = 97;
    assert_not_created(&config, "workload.max_tokens is 4096");
    config.lengths.decode_tokens = 0;
    assert_not_created(&config, "workload.lengths.decode_tokens: missing");
}

static void test_uniform(void)
{
    struct vidur_workload_config config = static_arrivals("uniform", 100000);
    struct vidur_workload *w = create(&config);
    double sum = 0;
    for (int64_t i = 0; i < w->num_requests; i++) {
        int p = w->num_prefill_tokens[i];
        int d = w->num_decode_tokens[i];
        CU_ASSERT_FATAL(p >= 1 && d >= 1 && p + d >= 1023 && p + d <= 4096);
        CU_ASSERT_FATAL(abs(d - (int)ceil((p + d) / 21.0)) <= 1);
        sum += p + d;
    }
    /* truncation takes half a token off the mean of 2560 */
    double error = (4096 - 1024) / sqrt(12 * 100000.0);
    CU_ASSERT_DOUBLE_EQUAL(sum / 100000, 2559.5, 5 * error);
    vidur_workload_destroy(w);
    config.lengths.min_tokens = 5000;
    assert_not_created(&config, "workload.lengths.min_tokens: 5000");
}

/* The frequencies of the two smallest values are exact in the method. */
static void test_zipf(void)
{
    enum { N = 200000 };
    struct vidur_workload_config config = static_arrivals("zipf", N);
    config.lengths.min_tokens = 100;
    config.max_tokens = 199;
    config.lengths.prefill_to_decode_ratio = 1;
    struct vidur_workload *w = create(&config);
    double zeta = 0;
    for (int i = 1; i < 100; i++)
        zeta += pow(i, -0.6);
    int smallest = 0;
    for (int64_t i = 0; i < N; i++) {
        int total = w->num_prefill_tokens[i] + w->num_decode_tokens[i];
        CU_ASSERT_FATAL(total >= 99 && total <= 199);
        smallest += w->num_prefill_tokens[i] == 50 && w->num_decode_tokens[i] == 50;
    }
    double share = 1 / zeta; /* of 100; 101 splits into 50 and 50 as well */
    share += pow(0.5, 0.6) / zeta;
    CU_ASSERT_DOUBLE_EQUAL(smallest / (double)N, share,
                           5 * sqrt(share * (1 - share) / N));
    vidur_workload_destroy(w);
    config.lengths.theta = 1;
    assert_not_created(&config, "workload.lengths.theta: 1");
}

/* Scrambling moves each value to where its FNV-1a hash says. */
static void test_zipf_scrambled(void)
{
    struct vidur_workload_config config = static_arrivals("zipf", 1000);
    config.lengths.prefill_to_decode_ratio = 1e-9; /* the total, as decode tokens */
    struct vidur_workload *plain = create(&config);
    config.lengths.scramble = true;
    struct vidur_workload *moved = create(&config);
    for (int i = 0; i < 1000; i++) {
        uint64_t value = (uint64_t)plain->num_decode_tokens[i] + 1; /* truncated */
        unsigned char bytes[8] = {(unsigned char)value, (unsigned char)(value >> 8)};
        uint64_t hash = vidur_fnv1a(VIDUR_FNV1A_INIT, bytes, 8);
        CU_ASSERT_EQUAL(moved->num_decode_tokens[i] + 1, 1024 + (int)(hash % 3073));
    }
    vidur_workload_destroy(plain);
    vidur_workload_destroy(moved);
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Every row once per pass, in an order that the seed decides. */
static void test_trace_shuffles_and_starts_over(void)
{
    char text[4096] = "num_prefill_tokens,num_decode_tokens\n";
    for (int i = 1; i <= 50; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d.0\n", i,
                 2 * i);
    struct vidur_workload_config config = of_trace(text, 100);
    struct vidur_workload *w = create(&config);
    int rows[50];
    int moved = 0;
    for (int i = 0; i < 50; i++) {
        rows[i] = w->num_prefill_tokens[i];
        moved += rows[i] != i + 1;
        CU_ASSERT_EQUAL(w->num_decode_tokens[i], 2 * rows[i]);
        CU_ASSERT_EQUAL(w->num_prefill_tokens[50 + i], rows[i]);
    }
    CU_ASSERT(moved > 30);
    qsort(rows, 50, sizeof rows[0], by_value);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(rows[i], i + 1);
    config.seed = 43;
    struct vidur_workload *other = create(&config);
    CU_ASSERT(memcmp(w->num_prefill_tokens, other->num_prefill_tokens, 200) != 0);
    vidur_workload_destroy(w);
    vidur_workload_destroy(other);
    config.seeds = VIDUR_SEEDS_REFERENCE;
    assert_not_created(&config, "50 rows are not enough");
}

/* prefill, decode, factors -> what section 2 gives. */
static void test_trace_scale_and_trim(void)
{
    static const struct {
        int p, d;
        double fp, fd;
        int max;
        int want_p, want_d;
    } cases[] = {
        {100, 10, 1, 1, 4096, 100, 10},
        {101, 11, 0.5, 0.5, 4096, 50, 5}, /* cut to an integer */
        {0, 0, 1, 1, 4096, 1, 1},         /* at least 1 */
        {1, 1, 0.1, 0.1, 4096, 1, 1},     /* 0 after the cut */
        {3000, 1000, 1, 1, 2000, 1500, 500},
        {3000, 1001, 1, 1, 2000, 1499, 500}, /* both rounded up: one below the cap */
        {5000, 0, 1, 1, 4096, 4095, 1},      /* an empty side still gets its token */
        {0, 5000, 1, 1, 4096, 1, 4095},
        {2000000000, 3, 1, 1, 4096, 4095, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "num_prefill_tokens,num_decode_tokens\n%d,%d\n",
                 cases[i].p, cases[i].d);
        struct vidur_workload_config config = of_trace(text, 1);
        config.lengths.prefill_scale_factor = cases[i].fp;
        config.lengths.decode_scale_factor = cases[i].fd;
        config.max_tokens = cases[i].max;
        struct vidur_workload *w = create(&config);
        CU_ASSERT_EQUAL(w->num_prefill_tokens[0], cases[i].want_p);
        CU_ASSERT_EQUAL(w->num_decode_tokens[0], cases[i].want_d);
        vidur_workload_destroy(w);
    }
}

static void test_bad_trace_files(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"num_prefill_tokens,num_decode_tokens\n", "no rows"},
        {"num_prefill_tokens\n5\n", "num_decode_tokens"},
        {"num_prefill_tokens,num_decode_tokens\n5,6\n5,six\n",
         ":3: num_decode_tokens:"},
        {"num_prefill_tokens,num_decode_tokens\n5,6\n5\n", ":3:"},
        {"num_prefill_tokens,num_decode_tokens\n-5,6\n", ":2: num_prefill_tokens:"},
        {"num_prefill_tokens,num_decode_tokens\n5.5,6\n", ":2: num_prefill_tokens:"},
        {"num_prefill_tokens,num_decode_tokens\n5,\n", ":2: num_decode_tokens:"},
        {"num_prefill_tokens,num_decode_tokens\n3000000000,1\n",
         ":2: num_prefill_tokens: 3000000000 tokens; at most 2147483647"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_workload_config config = of_trace(cases[i].text, 1);
        assert_not_created(&config, cases[i].message);
    }
    struct vidur_workload_config config = of_trace("", 1);
    assert_not_created(&config, config.lengths.file);
    config = static_arrivals("normal", 1);
    assert_not_created(&config, "workload.lengths.type: 'normal' is not known");
}

VIDUR_TEST_MAIN("lengths", {"fixed", test_fixed}, {"uniform", test_uniform},
                {"zipf", test_zipf}, {"zipf, scrambled", test_zipf_scrambled},
                {"trace: shuffled, again and again",
                 test_trace_shuffles_and_starts_over},
                {"trace: scaled and trimmed", test_trace_scale_and_trim},
                {"trace: bad files", test_bad_trace_files})
