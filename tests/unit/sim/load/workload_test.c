#include "test.h"
#include "workload_fixture.h"

#include "base/yaml.h"
#include "load/workload_state.h"

#include <vidur/rng.h>
#include <vidur/workload.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The reference's random streams ---- */

/* random.seed(42); random.random() in Python gives these. */
static void test_reference_stream_is_handed_on(void)
{
    struct vidur_workload_config config =
        of_yaml("workload:\n  seeds: reference\n  num_requests: 2\n"
                "  lengths: {type: uniform}\n  arrivals: {type: poisson, qps: 1}\n");
    struct vidur_workload *w = create(&config);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], -log(1 - 0.6394267984578837));
    CU_ASSERT_EQUAL(w->arrived_at_s[1],
                    w->arrived_at_s[0] - log(1 - 0.27502931836911926));
    CU_ASSERT_PTR_NOT_NULL_FATAL(w->reference_rng);
    struct vidur_mt19937 next = *w->reference_rng;
    CU_ASSERT_EQUAL(vidur_mt19937_uniform(&next), 0.7364712141640124);
    CU_ASSERT_EQUAL(w->seed, 42);
    vidur_workload_destroy(w);
    config.seeds = VIDUR_SEEDS_OWN;
    w = create(&config);
    CU_ASSERT_PTR_NULL(w->reference_rng);
    vidur_workload_destroy(w);
}

/* ---- One set of requests at many rates ---- */

static void check_rates(struct vidur_workload_config config)
{
    static const double rates[] = {0.37, 12.5, 1e-3, 3};
    struct vidur_error err = {0};
    struct vidur_workload *scaled = create(&config);
    const double *arrivals = scaled->arrived_at_s;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        config.arrivals.qps = rates[i];
        struct vidur_workload *fresh = create(&config);
        CU_ASSERT_EQUAL(vidur_workload_set_qps(scaled, rates[i], &err), 0);
        CU_ASSERT_PTR_EQUAL(scaled->arrived_at_s, arrivals);
        assert_same_requests(scaled, fresh);
        vidur_workload_destroy(fresh);
    }
    CU_ASSERT_EQUAL(vidur_workload_set_qps(scaled, 0, &err), -1);
    CU_ASSERT_EQUAL(vidur_workload_set_qps(scaled, NAN, &err), -1);
    vidur_workload_destroy(scaled);
}

static void test_set_qps_equals_create(void)
{
    struct vidur_workload_config config =
        of_yaml("workload:\n  num_requests: 500\n  lengths: {type: uniform}\n"
                "  arrivals: {type: poisson, qps: 1}\n");
    check_rates(config);
    config.arrivals.truncate = 3;
    check_rates(config);
    config.seeds = VIDUR_SEEDS_REFERENCE;
    check_rates(config);
    config.seeds = VIDUR_SEEDS_OWN;
    snprintf(config.arrivals.type, sizeof config.arrivals.type, "gamma");
    config.arrivals.cv = 2.5;
    check_rates(config);
    config.num_requests = 0;
    config.duration_s = 20;
    struct vidur_workload *w = create(&config);
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 2, &err), -1);
    vidur_workload_destroy(w);
}

/* More requests begin with the fewer ones: nothing depends on how many are asked for.
 */
static void test_longer_runs_extend_shorter(void)
{
    struct vidur_workload_config config =
        of_yaml("workload:\n  num_requests: 500\n  lengths: {type: zipf}\n"
                "  arrivals: {type: gamma, qps: 1, cv: 0.5}\n");
    struct vidur_workload *longer = create(&config);
    config.num_requests = 77;
    struct vidur_workload *shorter = create(&config);
    longer->num_requests = 77;
    assert_same_requests(longer, shorter);
    vidur_workload_destroy(longer);
    vidur_workload_destroy(shorter);
}

/* ---- Replay ---- */

static void test_replay(void)
{
    struct vidur_workload_config config =
        of_replay(REPLAY_HEADER "0.5,11,3\n0.5,0,7\n2,5000,100\n9,1,1\n");
    config.time_scale_factor = 2;
    config.prefill_scale_factor = 0.5;
    config.max_tokens = 1100;
    struct vidur_workload *w = create(&config);
    static const double arrived[] = {1, 1, 4, 18};
    static const int prefill[] = {5, 1, 1000, 1};
    static const int decode[] = {3, 7, 100, 1};
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(w->arrived_at_s[i], arrived[i]);
        CU_ASSERT_EQUAL(w->num_prefill_tokens[i], prefill[i]);
        CU_ASSERT_EQUAL(w->num_decode_tokens[i], decode[i]);
    }
    vidur_workload_destroy(w);
    config.duration_s = 4;
    w = create(&config);
    CU_ASSERT_EQUAL(w->num_requests, 2);
    vidur_workload_destroy(w);
}

/* A file may call its first moment as it likes, an epoch's second for example. */
static void test_replays_count_from_their_first_request(void)
{
    struct vidur_workload_config config =
        of_replay(REPLAY_HEADER "1700000000,11,3\n1700000000.5,5,7\n1700000004,1,1\n");
    struct vidur_workload *w;
    config.time_scale_factor = 2;
    config.duration_s = 5;
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    w = create(&config);
    CU_ASSERT_EQUAL(w->start_s, 1.7e9);
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 2); /* the third comes after 8 s */
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[1], 1);
    vidur_workload_destroy(w);
    config.duration_s = 0;
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_VIDUR);
    w = create(&config);
    CU_ASSERT_EQUAL(w->start_s, 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 3.4e9);
    vidur_workload_destroy(w);
}

/* ---- Requests that are cut ---- */

static void expect_cut(const struct vidur_workload *w, int64_t of_first, int64_t of_all)
{
    char text[128];
    CU_ASSERT_EQUAL(vidur_workload_num_cut(w, 3), of_first);
    CU_ASSERT_EQUAL(vidur_workload_num_cut(w, w->num_requests), of_all);
    CU_ASSERT_EQUAL(vidur_workload_num_cut(w, w->num_requests + 5), of_all);
    CU_ASSERT_EQUAL(w->num_cut, of_all);
    vidur_workload_describe_cut(w, text, sizeof text);
    CU_ASSERT_EQUAL(text[0] != 0, of_all > 0);
}

static void test_cut_replays(void)
{
    struct vidur_workload_config config =
        of_replay(REPLAY_HEADER "0,90,10\n1,100000,10\n2,91,10\n3,1,1\n4,1000,99\n");
    char text[128];
    config.max_tokens = 100;
    struct vidur_workload *w = create(&config); /* as the reference does */
    expect_cut(w, 2, 3);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[1], 90);
    vidur_workload_describe_cut(w, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "3 of 5 requests (60 %) are longer than 100 tokens");
    vidur_workload_destroy(w);
    config.num_requests = 1;
    w = create(&config);
    expect_cut(w, 0, 0);
    vidur_workload_destroy(w);
}

static struct vidur_workload_config of_lengths(int num_long, int num_short)
{
    static char text[8000];
    struct vidur_workload_config config =
        of_yaml("workload:\n  num_requests: 200\n  max_tokens: 100\n"
                "  lengths: {type: trace, file: x.csv}\n  arrivals: {qps: 1}\n");
    char *end = text + sprintf(text, "num_prefill_tokens,num_decode_tokens\n");
    for (int i = 0; i < num_long + num_short; i++)
        end += sprintf(end, i < num_long ? "100000,10\n" : "50,10\n");
    snprintf(config.lengths.file, sizeof config.lengths.file, "%s", file_of(text));
    return config;
}

static void test_cut_lengths(void)
{
    struct vidur_workload_config config = of_lengths(2, 198);
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    struct vidur_workload *w = create(&config); /* 1 % is tolerable */
    CU_ASSERT_EQUAL(w->num_cut, 2);
    CU_ASSERT_EQUAL(vidur_workload_num_cut(w, 200), 2);
    for (int i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(w->is_cut[i], w->num_prefill_tokens[i] != 50);
    vidur_workload_destroy(w);
    config = of_lengths(0, 200);
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    w = create(&config);
    expect_cut(w, 0, 0);
    vidur_workload_destroy(w);
}

static void test_cutting_many_is_an_error(void)
{
    struct vidur_workload_config config = of_lengths(3, 197);
    struct vidur_workload *w = NULL;
    struct vidur_error err = {0};
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "workload.max_tokens: 3 of 200 requests (1.5 %) are longer "
                           "than 100 tokens; raise it, or cut them with "
                           "cut_long_requests: true");
    config.cut_long_requests = true;
    w = create(&config);
    CU_ASSERT_EQUAL(w->num_cut, 3);
    vidur_workload_destroy(w);
    config.cut_long_requests = false;
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_VIDUR);
    w = create(&config);
    CU_ASSERT_EQUAL(w->num_cut, 3);
    vidur_workload_destroy(w);
}

/* Every fourth prompt or so is beyond the mean by as much. */
static void test_cut_shared_prefixes(void)
{
    struct vidur_workload_config config = of_yaml(
        "workload:\n  type: shared_prefix\n  max_tokens: 700\n  output_tokens: 100\n"
        "  prompt_tokens: {mean: 592, std: 20}\n  cut_long_requests: true\n"
        "  stages: [{rate: 5, duration_s: 100}]\n");
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    struct vidur_workload *w = create(&config);
    int64_t longest = 0;
    for (int64_t i = 0; i < w->num_requests; i++) {
        CU_ASSERT_TRUE(w->num_prefill_tokens[i] <= 600);
        CU_ASSERT_TRUE(!w->is_cut[i] || w->num_prefill_tokens[i] == 600);
        longest += w->num_prefill_tokens[i] == 600;
    }
    CU_ASSERT_TRUE(w->num_cut > 100 && w->num_cut < 250 && w->num_cut <= longest);
    vidur_workload_destroy(w);
    config.max_tokens = 1000;
    w = create(&config);
    CU_ASSERT_EQUAL(w->num_cut, 0);
    vidur_workload_destroy(w);
}

static void test_bad_replays(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {REPLAY_HEADER, "no rows"},
        {REPLAY_HEADER "1,5,5000\n",
         ":2: num_decode_tokens: 5000 tokens leave no room for a prompt"},
        {"arrived_at,num_prefill_tokens\n1,5\n", "num_decode_tokens"},
        {REPLAY_HEADER "x,5,5\n", ":2: arrived_at:"},
        {REPLAY_HEADER "1,5,-5\n", ":2: num_decode_tokens:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_workload_config config = of_replay(cases[i].text);
        struct vidur_workload *w = NULL;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
        assert_contains(err.text, cases[i].message);
    }
    struct vidur_workload_config config = of_replay(REPLAY_HEADER "1,5,5\n");
    config.num_requests = 2;
    struct vidur_workload *w = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "has 1 rows"));
}

/* ---- Configuration ---- */

static void test_reads_every_key(void)
{
    struct vidur_workload_config c =
        of_yaml("workload:\n"
                "  seed: 7\n  seeds: own\n  duration_s: 3\n  max_tokens: 2048\n"
                "  lengths: {type: zipf, min_tokens: 10, prefill_to_decode_ratio: 3,\n"
                "            theta: 0.2, scramble: true}\n"
                "  arrivals: {type: gamma, qps: 4, cv: 0.25}\n");
    CU_ASSERT_EQUAL(c.type, VIDUR_WORKLOAD_SYNTHETIC);
    CU_ASSERT_EQUAL(c.seed, 7);
    CU_ASSERT_EQUAL(c.duration_s, 3);
    CU_ASSERT_EQUAL(c.max_tokens, 2048);
    CU_ASSERT_STRING_EQUAL(c.lengths.type, "zipf");
    CU_ASSERT_EQUAL(c.lengths.min_tokens, 10);
    CU_ASSERT_EQUAL(c.lengths.prefill_to_decode_ratio, 3);
    CU_ASSERT_EQUAL(c.lengths.theta, 0.2);
    CU_ASSERT(c.lengths.scramble);
    CU_ASSERT_EQUAL(c.arrivals.qps, 4);
    CU_ASSERT_EQUAL(c.arrivals.cv, 0.25);
    c = of_yaml("workload:\n  type: trace_replay\n  file: r.csv\n"
                "  prefill_scale_factor: 2\n  decode_scale_factor: 3\n"
                "  time_scale_factor: 0.5\n");
    CU_ASSERT_EQUAL(c.type, VIDUR_WORKLOAD_TRACE_REPLAY);
    CU_ASSERT_STRING_EQUAL(c.file, "/c/r.csv");
    CU_ASSERT_EQUAL(c.time_scale_factor, 0.5);
    c = of_yaml("workload:\n  lengths: {file: l.csv, decode_scale_factor: 0.5}\n"
                "  arrivals: {type: trace, file: a.csv, column: t, start_time: 1,\n"
                "             end_time: 2, time_scale_factor: 3}\n");
    CU_ASSERT_STRING_EQUAL(c.lengths.file, "/c/l.csv");
    CU_ASSERT_STRING_EQUAL(c.arrivals.column, "t");
    CU_ASSERT_EQUAL(c.arrivals.start_time_s, 1);
    CU_ASSERT_EQUAL(c.arrivals.end_time_s, 2);
}

static void test_truncation_follows_semantics(void)
{
    struct vidur_workload_config c;
    vidur_workload_config_defaults(&c);
    vidur_workload_config_complete(&c, VIDUR_SEMANTICS_CORRECTED);
    CU_ASSERT_EQUAL(c.arrivals.truncate, 0);
    vidur_workload_config_defaults(&c);
    vidur_workload_config_complete(&c, VIDUR_SEMANTICS_VIDUR);
    CU_ASSERT_EQUAL(c.arrivals.truncate, 3);
    c = of_yaml("workload:\n  num_requests: 5\n  lengths: {type: uniform}\n"
                "  arrivals: {type: poisson, qps: 1, truncate: 0}\n");
    vidur_workload_config_complete(&c, VIDUR_SEMANTICS_VIDUR);
    CU_ASSERT_EQUAL(c.arrivals.truncate, 0);
}

static void test_bad_sections(void)
{
    static const struct {
        const char *yaml;
        const char *message;
    } cases[] = {
        {"workload:\n  arrivals: {type: poison, qps: 1}\n",
         "/c/a.yaml:2: workload.arrivals.type: 'poison' is not known; the nearest is "
         "'poisson' of "},
        {"workload:\n  arrivals: {type: poisson, qps: -1}\n",
         "/c/a.yaml:2: workload.arrivals.qps: "},
        {"workload:\n  arrivals: {type: poisson, qps: 1e-300}\n",
         "/c/a.yaml:2: workload.arrivals.qps: 1e-300 is out of range; it must be at "
         "least "
         "1e-06"},
        {"workload:\n  arrivals: {type: gamma, qps: 1e-9, cv: 1}\n",
         "/c/a.yaml:2: workload.arrivals.qps: 1e-9 is out of range; it must be at "
         "least "
         "1e-06"},
        {"workload:\n  arrivals: {type: poisson, cv: 1}\n",
         "/c/a.yaml:2: workload.arrivals.cv: unknown key"},
        {"workload:\n  arrivals: {type: poisson, qps: .nan}\n",
         "/c/a.yaml:2: workload.arrivals.qps: "},
        {"workload:\n  arrivals: {qps: many}\n",
         "/c/a.yaml:2: workload.arrivals.qps: "},
        {"workload:\n  arrivals: [1]\n",
         "/c/a.yaml:2: workload.arrivals: not a mapping"},
        {"workload:\n  num_requests: 3\n  arrivals: {qps: 1}\n",
         "workload.lengths.file: missing"},
        {"workload:\n  num_requests: 3\n  lengths: {type: uniform}\n",
         "workload.arrivals.qps: missing"},
        {"workload:\n  lengths: {type: uniform}\n  arrivals: {qps: 1}\n",
         "workload.num_requests: missing"},
        {"workload:\n  num_requests: 3\n  duration_s: 3\n  arrivals: {qps: 1}\n",
         "/c/a.yaml:3: workload.duration_s: given beside num_requests"},
        {"workload:\n  num_requests: 0\n", "/c/a.yaml:2: workload.num_requests: "},
        {"workload:\n  num_request: 5\n", "'num_requests'"},
        {"workload:\n  seed: -1\n",
         "/c/a.yaml:2: workload.seed: -1 is negative; a seed is 0 or more"},
        {"workload:\n  type: replay\n", "/c/a.yaml:2: workload.type: "},
        {"workload:\n  type: trace_replay\n", "workload.file: missing"},
        {"workload:\n  type: trace_replay\n  file: a\n  arrivals: {}\n",
         "/c/a.yaml:4: workload.arrivals: "},
        {"workload:\n  num_requests: 3\n  seeds: reference\n"
         "  lengths: {type: uniform}\n  arrivals: {type: gamma, qps: 1}\n",
         "/c/a.yaml:3: workload.seeds: reference does not cover gamma arrivals"},
        {"workload:\n  num_requests: 3\n  seeds: reference\n  seed: 4294967296\n"
         "  lengths: {type: uniform}\n  arrivals: {qps: 1}\n",
         "/c/a.yaml:4: workload.seed: above 4294967295"},
        {"workload:\n  num_requests: 3\n  max_tokens: 100\n"
         "  lengths: {type: fixed, prefill_tokens: 100, decode_tokens: 1}\n"
         "  arrivals: {qps: 1}\n",
         "/c/a.yaml:4: workload.lengths.prefill_tokens: 101 tokens together"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_workload_config config;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(read_section(cases[i].yaml, &config, &err), -1);
        assert_contains(err.text, cases[i].message);
    }
}

/* An array of no members is no error, and there to be freed. */
static void test_empty_arrays(void)
{
    void *array = NULL;
    struct vidur_error err = {0};
    for (int64_t count = 2; count >= 0; count--)
        CU_ASSERT_EQUAL(workload_resize(&array, count, sizeof(double), &err), 0);
    CU_ASSERT_PTR_NOT_NULL(array);
    free(array);
}

VIDUR_TEST_MAIN(
    "workload", {"reference stream handed on", test_reference_stream_is_handed_on},
    {"set_qps equals create", test_set_qps_equals_create},
    {"longer runs extend shorter", test_longer_runs_extend_shorter},
    {"replay", test_replay},
    {"replays from their first request", test_replays_count_from_their_first_request},
    {"cut replays", test_cut_replays}, {"cut lengths", test_cut_lengths},
    {"cutting many is an error", test_cutting_many_is_an_error},
    {"cut shared prefixes", test_cut_shared_prefixes},

    {"bad replays", test_bad_replays}, {"reads every key", test_reads_every_key},
    {"truncation follows semantics", test_truncation_follows_semantics},
    {"bad sections", test_bad_sections}, {"empty arrays", test_empty_arrays})
