#include "test.h"
#include "workload_fixture.h"

#include "base/yaml.h"

#include <vidur/rng.h>
#include <vidur/workload.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A load scales recorded times: bursts stay bursts, and the rate is the mean one. */
static void test_recorded_arrivals_are_scaled(void)
{
    struct vidur_workload_config config =
        of_replay(REPLAY_HEADER "5,1,1\n5,2,2\n7,3,3\n8,4,4\n15,5,5\n");
    struct vidur_workload *w = create(&config), *copy;
    struct vidur_workload first;
    struct vidur_error err = {0};
    static const double shape[] = {0, 0, 2, 3, 10};
    CU_ASSERT(vidur_workload_has_rate(w));
    copy = create(&config);
    const double loads_qps[] = {0.4, 3, 1e9, 0.4};
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(vidur_workload_set_qps(w, loads_qps[i], &err), 0);
        CU_ASSERT_EQUAL(vidur_workload_set_qps(copy, loads_qps[i], &err), 0);
        for (int k = 0; k < 5; k++)
            CU_ASSERT_DOUBLE_EQUAL(w->arrived_at_s[k], shape[k] * 0.4 / loads_qps[i],
                                   1e-12);
        assert_same_requests(w, copy);
    }
    CU_ASSERT_EQUAL(w->arrived_at_s[4], 10); /* as recorded, at the recorded rate */
    /* Of the first ones alone: their own mean rate, 3 gaps in 3 s. */
    CU_ASSERT_EQUAL_FATAL(vidur_workload_offer(w, 4, 2, &first, &err), 0);
    CU_ASSERT_EQUAL(first.num_requests, 4);
    CU_ASSERT_EQUAL(first.arrived_at_s[3], 1.5);
    /* Those that come at once have no rate; all of them have. */
    CU_ASSERT_EQUAL_FATAL(vidur_workload_offer(w, 2, 0.8, &first, &err), 0);
    CU_ASSERT_EQUAL(first.arrived_at_s[1], 0);
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 0, &err), -1);
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, NAN, &err), -1);
    vidur_workload_destroy(copy);
    vidur_workload_destroy(w);
    config = of_replay(REPLAY_HEADER "5,1,1\n5,2,2\n");
    w = create(&config);
    CU_ASSERT_FALSE(vidur_workload_has_rate(w));
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 1, &err), -1);
    vidur_workload_destroy(w);
}

static void expect_window(struct vidur_workload_config *config, int first, int count)
{
    struct vidur_workload *w = create(config);
    CU_ASSERT_EQUAL(w->num_requests, count);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[0], first);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 0);
    vidur_workload_destroy(w);
}

static void test_windows(void)
{
    struct vidur_workload_config config =
        of_replay(REPLAY_HEADER "100,1,1\n101,2,1\n104,900,1\n109,4,1\n109.5,5,1\n"
                                "110,6,1\n120,7,1\n");
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    config.window.start_s = 1;
    config.window.end_s = 9.5; /* not in it */
    expect_window(&config, 2, 3);
    config.window = (struct vidur_trace_window){.start_s = 10};
    expect_window(&config, 6, 2);
    config.window =
        (struct vidur_trace_window){.peak = VIDUR_TRACE_PEAK_REQUESTS, .peak_s = 1.5};
    expect_window(&config, 4, 3);
    config.window.peak = VIDUR_TRACE_PEAK_TOKENS;
    expect_window(&config, 900, 1);
    config.window.peak_s = 6; /* 5 s on is in it */
    expect_window(&config, 900, 3);
    config.window.start_s = 5; /* the peak of what is left */
    expect_window(&config, 4, 3);
    config.num_requests = 4;
    struct vidur_workload *w = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    assert_contains(err.text, "has 3 rows");
    config.num_requests = 0;
    config.window = (struct vidur_trace_window){.start_s = 21};
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    assert_contains(err.text, "workload.time_window: no request of ");
    assert_contains(err.text, "from 21 s; it ends 20 s after its first");
    config.window = (struct vidur_trace_window){.start_s = 2, .end_s = 2};
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    assert_contains(err.text, "workload.time_window: end 2 is not after start 2");
}

static void test_window_keys(void)
{
#define REPLAY_OF "workload: {type: trace_replay, file: a.csv, "
    struct vidur_workload_config c =
        of_yaml(REPLAY_OF "time_window: {start: 60, end: 120}, peak: busiest_hour}");
    CU_ASSERT_EQUAL(c.window.start_s, 60);
    CU_ASSERT_EQUAL(c.window.end_s, 120);
    CU_ASSERT_EQUAL(c.window.peak, VIDUR_TRACE_PEAK_TOKENS);
    CU_ASSERT_EQUAL(c.window.peak_s, 3600);
    c = of_yaml(REPLAY_OF "peak: {window_s: 90, by: requests}}");
    CU_ASSERT_EQUAL(c.window.peak, VIDUR_TRACE_PEAK_REQUESTS);
    CU_ASSERT_EQUAL(c.window.peak_s, 90);
    c = of_yaml(REPLAY_OF "peak: busiest hour}");
    CU_ASSERT_EQUAL(c.window.peak_s, 3600);
    static const struct {
        const char *key, *message;
    } cases[] = {
        {"peak: noon}", "workload.peak: 'noon'; give busiest_hour or {window_s"},
        {"peak: {by: cost}}", "workload.peak.by: give tokens or requests"},
        {"peak: {window_s: 0}}", "workload.peak.window_s: 0 is out of range"},
        {"time_window: {start: -1}}", "workload.time_window.start: -1"},
        {"time_window: {start: 9, end: 3}}",
         "workload.time_window: end 3 is not after start 9"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        struct vidur_error err = {0};
        snprintf(text, sizeof text, REPLAY_OF "%s", cases[i].key);
        CU_ASSERT_EQUAL(read_section(text, &c, &err), -1);
        assert_contains(err.text, cases[i].message);
    }
}

static struct vidur_recorded_segment segment_of(const struct vidur_prompts *prompts,
                                                int request, int index)
{
    CU_ASSERT(index < prompts->recorded[request].num_segments);
    return prompts->segments[prompts->recorded[request].first_segment + index];
}

/* Blocks of the rows that are replayed. */
static void test_recorded_blocks(void)
{
#define MOONCAKE(time, ids)                                                            \
    "{\"timestamp\": " time ", \"input_length\": 1000, \"output_length\": 1, "         \
    "\"hash_ids\": [" ids "]}\n"
    struct vidur_workload_config config = of_replay(MOONCAKE("0", "7, 8") MOONCAKE(
        "1000", "7, 9") MOONCAKE("2000", "") MOONCAKE("3000", "7, 8"));
    struct vidur_workload *w = create(&config);
    const struct vidur_prompts *p = &w->prompts;
    CU_ASSERT(vidur_prompts_are_shared(p));
    CU_ASSERT_EQUAL(p->block_tokens, 512);
    /* 7 8 | 7 9 | | 7 8: all begin with the same node and go on with two */
    CU_ASSERT_EQUAL(p->recorded[2].num_segments, 0);
    CU_ASSERT_EQUAL(segment_of(p, 0, 0).end, 1);
    CU_ASSERT_EQUAL(segment_of(p, 0, 1).end, 2);
    CU_ASSERT_EQUAL(segment_of(p, 1, 0).node, segment_of(p, 0, 0).node);
    CU_ASSERT_NOT_EQUAL(segment_of(p, 1, 1).node, segment_of(p, 0, 1).node);
    CU_ASSERT_EQUAL(segment_of(p, 3, 1).node, segment_of(p, 0, 1).node);
    vidur_workload_destroy(w);
    config.window.start_s = 1;
    config.num_requests = 2;
    config.prefill_scale_factor = 0.5;
    w = create(&config);
    CU_ASSERT_EQUAL(w->prompts.block_tokens, 256);
    CU_ASSERT_EQUAL(w->prompts.recorded[0].num_segments, 1);
    CU_ASSERT_EQUAL(segment_of(&w->prompts, 0, 0).end, 2);
    CU_ASSERT_EQUAL(w->prompts.recorded[1].num_segments, 0);
    vidur_workload_destroy(w);
    config = of_replay(REPLAY_HEADER "1,5,5\n");
    w = create(&config);
    CU_ASSERT_FALSE(vidur_prompts_are_shared(&w->prompts));
    vidur_workload_destroy(w);
}

/* Prompts in a cycle without stages: a rate to set. */
static void test_shared_prefix_at_a_rate(void)
{
    struct vidur_workload_config config;
    struct vidur_error err = {0};
    vidur_workload_config_defaults(&config);
    config.type = VIDUR_WORKLOAD_SHARED_PREFIX;
    config.num_requests = 1000;
    config.shared_prefix.system_prompt_tokens = 100;
    config.shared_prefix.prompt_mean_tokens = 300;
    config.shared_prefix.output_tokens = 20;
    struct vidur_workload *w = create(&config), *copy;
    struct vidur_workload first;
    CU_ASSERT_EQUAL(w->num_requests, 1000);
    CU_ASSERT_EQUAL(w->stages.count, 0);
    CU_ASSERT(vidur_workload_has_rate(w));
    copy = create(&config);
    const double at = w->arrived_at_s[499];
    CU_ASSERT_EQUAL(vidur_workload_set_qps(copy, 4, &err), 0);
    CU_ASSERT_EQUAL(copy->arrived_at_s[499], at / 4);
    CU_ASSERT_EQUAL(copy->arrived_at_s[999], 250); /* the filled stage */
    CU_ASSERT_EQUAL(vidur_workload_offer(w, 500, 4, &first, &err), 0);
    CU_ASSERT_EQUAL(first.arrived_at_s[499], at / 4);
    vidur_workload_destroy(copy);
    vidur_workload_destroy(w);
    config.num_requests = 0;
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    assert_contains(err.text, "workload.stages: missing");
}

/* Logs of every format can be replayed. */
static void test_replays_logs(void)
{
    struct vidur_workload_config config =
        of_replay("{\"timestamp\": 1500, \"input_length\": 7, \"output_length\": 2}\n"
                  "{\"timestamp\": 1000, \"input_length\": 5, \"output_length\": 3}\n"
                  "{\"timestamp\": 1600, \"input_length\": 5, \"output_length\": 0}\n");
    struct vidur_workload *w = create(&config);
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 2);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[1], 0.5);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[0], 5);
    CU_ASSERT_EQUAL(w->num_decode_tokens[1], 2);
    CU_ASSERT_EQUAL(w->num_unsorted, 1);
    CU_ASSERT_EQUAL(w->num_failed, 1);
    vidur_workload_destroy(w);
}

/* ---- Priorities of a log ---- */

#define WITH_PRIORITY "arrived_at,num_prefill_tokens,num_decode_tokens,priority\n"

static void assert_levels(const struct vidur_workload *w, int requests)
{
    static const char *const names[] = {"priority_minus_3", "priority_0", "priority_7"};
    static const int values[] = {-3, 0, 7};
    static const int of[] = {1, 0, 2, 1}; /* by prompt tokens, from 1 */
    CU_ASSERT_EQUAL_FATAL(w->num_classes, 3);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_STRING_EQUAL(w->classes[i].name, names[i]);
        CU_ASSERT_EQUAL(w->classes[i].priority, values[i]);
    }
    for (int i = 0; i < requests; i++)
        CU_ASSERT_EQUAL(w->class_of[i], of[w->num_prefill_tokens[i] - 1]);
}

/* A class a value, the lowest first, in a replay and where lengths are drawn. */
static void test_priorities(void)
{
    static const char rows[] = WITH_PRIORITY "0,1,1,0\n1,2,1,-3\n2,3,1,7\n3,4,1,\n";
    struct vidur_workload_config config = of_replay(rows);
    struct vidur_workload *w = create(&config);
    assert_levels(w, 4);
    vidur_workload_destroy(w);
    vidur_workload_config_defaults(&config);
    snprintf(config.lengths.file, sizeof config.lengths.file, "%s", file_of(rows));
    config.arrivals.qps = 1;
    config.num_requests = 11;
    w = create(&config);
    assert_levels(w, 11);
    vidur_workload_destroy(w);
    /* Requests that are all alike are of no class. */
    config = of_replay(WITH_PRIORITY "0,1,1,5\n1,2,1,5\n");
    w = create(&config);
    CU_ASSERT_EQUAL(w->num_classes, 0);
    CU_ASSERT_PTR_NULL(w->class_of);
    vidur_workload_destroy(w);
}

static void test_too_many_priorities(void)
{
    struct vidur_workload *w = NULL;
    struct vidur_error err = {0};
    struct vidur_workload_config config =
        of_replay(WITH_PRIORITY "0,1,1,1\n0,1,1,2\n0,1,1,3\n0,1,1,4\n0,1,1,5\n"
                                "0,1,1,6\n0,1,1,7\n0,1,1,8\n0,1,1,8\n0,1,1,9\n");
    CU_ASSERT_EQUAL(vidur_workload_create(&w, &config, &err), -1);
    assert_contains(err.text, ".csv:11: priority: 9 is one value too many; a run tells "
                              "up to 8 priorities apart");
    config.num_requests = 9; /* what is left out does not count */
    w = create(&config);
    CU_ASSERT_EQUAL(w->num_classes, 8);
    vidur_workload_destroy(w);
}

VIDUR_TEST_MAIN("replays", {"logs", test_replays_logs},
                {"recorded arrivals", test_recorded_arrivals_are_scaled},
                {"windows", test_windows}, {"window keys", test_window_keys},
                {"recorded blocks", test_recorded_blocks},
                {"shared prefix at a rate", test_shared_prefix_at_a_rate},
                {"priorities", test_priorities},
                {"too many priorities", test_too_many_priorities})
