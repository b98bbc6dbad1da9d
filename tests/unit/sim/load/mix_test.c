#include "test.h"
#include "workload_fixture.h"

#include "base/yaml.h"

#include <vidur/workload.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COMMON                                                                         \
    "workload: {num_requests: 3000, max_tokens: 2048, cut_long_requests: true, "
#define ARRIVALS "arrivals: {type: gamma, cv: 2, qps: 3}, "
#define UNIFORM  "{type: uniform, min_tokens: 100}"
#define ZIPF     "{type: zipf, min_tokens: 50, prefill_to_decode_ratio: 3}"
#define TRACE    "{type: trace, file: 'data:traces/chat-4k-synthetic.csv'}"

static void expect_same(const struct vidur_workload *a, const struct vidur_workload *b)
{
    const size_t n = (size_t)a->num_requests;
    CU_ASSERT_EQUAL_FATAL(a->num_requests, b->num_requests);
    CU_ASSERT_EQUAL(memcmp(a->arrived_at_s, b->arrived_at_s, n * sizeof(double)), 0);
    CU_ASSERT_EQUAL(memcmp(a->num_prefill_tokens, b->num_prefill_tokens, 4 * n), 0);
    CU_ASSERT_EQUAL(memcmp(a->num_decode_tokens, b->num_decode_tokens, 4 * n), 0);
    CU_ASSERT_EQUAL(memcmp(a->is_cut, b->is_cut, n), 0);
    CU_ASSERT_EQUAL(a->num_cut, b->num_cut);
}

/* One class of share 1 is the workload that it is made of. */
static void test_one_class(void)
{
    static const char *const lengths[] = {UNIFORM, ZIPF, TRACE};
    for (int i = 0; i < 3; i++) {
        char alone[512], mixed[512];
        snprintf(alone, sizeof alone, COMMON ARRIVALS "lengths: %s}\n", lengths[i]);
        snprintf(mixed, sizeof mixed,
                 COMMON ARRIVALS "type: mix, classes: [{name: a, share: 1, lengths: "
                                 "%s}]}\n",
                 lengths[i]);
        struct vidur_workload *a = create_of(alone), *b = create_of(mixed);
        expect_same(a, b);
        CU_ASSERT_EQUAL(a->num_classes, 0);
        CU_ASSERT_PTR_NULL(a->class_of);
        CU_ASSERT_EQUAL(b->num_classes, 1);
        CU_ASSERT_STRING_EQUAL(b->classes[0].name, "a");
        vidur_workload_destroy(a);
        vidur_workload_destroy(b);
    }
}

#define THREE(a, b, c)                                                                 \
    COMMON ARRIVALS "type: mix, classes: ["                                            \
                    "{name: first, share: " a ", priority: 2, lengths: " UNIFORM "}, " \
                    "{name: second, share: " b ", max_tokens: 700, lengths: " TRACE    \
                    "}, {name: third, share: " c ", lengths: {type: fixed, "           \
                    "prefill_tokens: 9, decode_tokens: 7}}]}\n"

static void test_shares(void)
{
    struct vidur_workload *w = create_of(THREE("6", "3", "1"));
    static const double shares[] = {0.6, 0.3, 0.1};
    int64_t counts[3] = {0};
    const double n = (double)w->num_requests;
    for (int64_t i = 0; i < w->num_requests; i++) {
        const int class = w->class_of[i];
        const int tokens = w->num_prefill_tokens[i] + w->num_decode_tokens[i];
        CU_ASSERT_FATAL(class < 3);
        counts[class]++;
        CU_ASSERT(class != 2 || tokens == 16);
        CU_ASSERT(tokens <= (class == 1 ? 700 : 2048));
        CU_ASSERT(!w->is_cut[i] || (class == 1 && tokens > 697));
    }
    for (int i = 0; i < 3; i++)
        CU_ASSERT(fabs((double)counts[i] - shares[i] * n) <
                  4 * sqrt(n * shares[i] * (1 - shares[i])));
    CU_ASSERT(w->num_cut > 0);
    CU_ASSERT_EQUAL(w->classes[0].priority, 2);
    CU_ASSERT_EQUAL(w->classes[1].priority, 0);
    vidur_workload_destroy(w);
}

/* What the j-th request of a class asks for does not depend on the shares. */
static void test_lengths_of_a_class(void)
{
    struct vidur_workload *a = create_of(THREE("6", "3", "1"));
    struct vidur_workload *b = create_of(THREE("1", "1", "5"));
    for (int class = 0; class < 2; class ++) {
        int64_t i = 0, j = 0;
        int compared = 0;
        for (;; i++, j++) {
            while (i < a->num_requests && a->class_of[i] != class)
                i++;
            while (j < b->num_requests && b->class_of[j] != class)
                j++;
            if (i == a->num_requests || j == b->num_requests)
                break;
            CU_ASSERT_EQUAL(a->num_prefill_tokens[i], b->num_prefill_tokens[j]);
            CU_ASSERT_EQUAL(a->num_decode_tokens[i], b->num_decode_tokens[j]);
            compared++;
        }
        CU_ASSERT(compared > 300);
    }
    CU_ASSERT_EQUAL(memcmp(a->arrived_at_s, b->arrived_at_s, 3000 * sizeof(double)), 0);
    vidur_workload_destroy(a);
    vidur_workload_destroy(b);
}

/* Classes and lengths stay as they are when the rate changes. */
static void test_rates(void)
{
    struct vidur_error err = {0};
    struct vidur_workload *w = create_of(THREE("6", "3", "1"));
    struct vidur_workload *like = create_of(THREE("6", "3", "1"));
    struct vidur_workload first;
    CU_ASSERT_EQUAL(vidur_workload_offer(like, 1000, 7, &first, &err), 0);
    CU_ASSERT_EQUAL(first.num_requests, 1000);
    CU_ASSERT_EQUAL(first.num_classes, 3);
    CU_ASSERT_EQUAL(memcmp(first.class_of, w->class_of, 1000), 0);
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 7, &err), 0);
    CU_ASSERT_EQUAL(memcmp(first.arrived_at_s, w->arrived_at_s, 1000 * sizeof(double)),
                    0);
    vidur_workload_destroy(like);
    vidur_workload_destroy(w);
}

static void expect_refusal(const char *keys, const char *text)
{
    char yaml[1024];
    struct vidur_workload_config config;
    struct vidur_error err = {0};
    snprintf(yaml, sizeof yaml,
             "workload: {num_requests: 9, type: mix, " ARRIVALS "%s}\n", keys);
    CU_ASSERT_EQUAL(read_section(yaml, &config, &err), -1);
    assert_contains(err.text, text);
}

static void test_refusals(void)
{
    expect_refusal("seed: 1", "workload.classes: missing");
    expect_refusal("classes: []", "workload.classes");
    expect_refusal("classes: [{name: a-b, share: 1, lengths: " UNIFORM "}]",
                   "a.yaml:1: workload.classes.0.name: 'a-b'; use letters, digits");
    expect_refusal("classes: [{name: a, share: 1, lengths: " UNIFORM
                   "}, {name: a, share: 1, lengths: " UNIFORM "}]",
                   "workload.classes.1.name: 'a' is taken");
    expect_refusal("classes: [{name: a, share: 0, lengths: " UNIFORM "}]",
                   "workload.classes.0.share: 0");
    expect_refusal("classes: [{name: a, share: 1}]",
                   "workload.classes.0.lengths: missing");
    expect_refusal("classes: [{name: a, share: 1, lengths: {type: fixed, "
                   "prefill_tokens: 5000, decode_tokens: 1}}]",
                   "a.yaml:1: workload.classes.0.lengths.prefill_tokens: 5001 tokens");
    expect_refusal("classes: [{name: a, share: 1, max_tokens: 9000, lengths: " UNIFORM
                   "}]",
                   "workload.classes.0.max_tokens: 9000 is above the workload's 4096");
    expect_refusal("seeds: reference, classes: [{name: a, share: 1, lengths: " UNIFORM
                   "}]",
                   "workload.seeds: reference does not cover");
    expect_refusal("lengths: " UNIFORM, "lengths");
}

VIDUR_TEST_MAIN("mix", {"one class", test_one_class}, {"shares", test_shares},
                {"lengths of a class", test_lengths_of_a_class}, {"rates", test_rates},
                {"refusals", test_refusals})
