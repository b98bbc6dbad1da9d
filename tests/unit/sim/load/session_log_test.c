#include "test.h"

#include "base/text.h"
#include "base/yaml.h"
#include "temp_dir.h"
#include "toy_cluster.h"
#include "toy_engine.h"
#include "workload_fixture.h"

#include <vidur/simulator.h>
#include <vidur/workload.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Logs of requests as sessions. */

static struct temp_dir dir;

/* `keys` of the sessions beside their file, which holds the log. */
static void write_config(char *text, size_t size, const char *log, const char *extent,
                         const char *keys)
{
    const struct temp_path path = temp_dir_write(&dir, "log.csv", log);
    snprintf(text, size,
             "workload: {type: sessions, max_tokens: 1000, %s, sessions: {file: %s%s%s}"
             "}\n",
             extent, path.text, keys[0] ? ", " : "", keys);
}

static struct vidur_workload *sessions_of(const char *log, const char *extent,
                                          const char *keys)
{
    char text[2048];
    write_config(text, sizeof text, log, extent, keys);
    return create_of(text);
}

static void assert_refused(const char *log, const char *extent, const char *keys,
                           const char *message)
{
    char text[2048];
    struct vidur_error err = {0};
    struct vidur_workload_config config;
    struct vidur_workload *w = NULL;
    write_config(text, sizeof text, log, extent, keys);
    if (read_section(text, &config, &err) == 0) {
        vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
        vidur_workload_create(&w, &config, &err);
    }
    CU_ASSERT_PTR_NULL(w);
    vidur_workload_destroy(w);
    assert_contains(err.text, message);
}

#define RECORDED "arrivals: {type: trace}"
#define TABLE    "arrived_at,session,prompt_tokens,output_tokens,ended_at\n"

/* Two turns, the second 6 s after the first one's answer; another session between them,
 * whose requests are numbered behind. */
static void test_two_turns(void)
{
    struct vidur_workload *w =
        sessions_of(TABLE "10,a,40,10,14\n12,b,30,5,13\n20,a,70,9,23\n", RECORDED, "");
    static const int32_t prompts[] = {40, 70, 30}, outputs[] = {10, 9, 5};
    static const double think_s[] = {0, 6, 0}, starts_s[] = {0, 0, 2};
    static const int32_t sessions[] = {0, 0, 1}, turns[] = {0, 1, 0};
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 3);
    CU_ASSERT_EQUAL(w->sessions.count, 2);
    CU_ASSERT_EQUAL(w->sessions.requests_per_session, 1.5);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(w->num_prefill_tokens[i], prompts[i]);
        CU_ASSERT_EQUAL(w->num_decode_tokens[i], outputs[i]);
        CU_ASSERT_EQUAL(w->sessions.think_s[i], think_s[i]);
        CU_ASSERT_EQUAL(w->sessions.session[i], sessions[i]);
        CU_ASSERT_EQUAL(w->sessions.turn[i], turns[i]);
        CU_ASSERT_EQUAL(w->arrived_at_s[i], starts_s[i]);
        CU_ASSERT_EQUAL(w->sessions.shared_tokens[i], INT32_MAX);
    }
    CU_ASSERT_EQUAL(w->sessions.conversation[0], w->sessions.conversation[1]);
    CU_ASSERT_NOT_EQUAL(w->sessions.conversation[0], w->sessions.conversation[2]);
    CU_ASSERT_EQUAL(w->start_s, 0);
    vidur_workload_destroy(w);
}

/* A load scales the starts alone: QPS is requests, of two sessions 2 s apart with 1.5
 * requests each. */
static void test_loads(void)
{
    struct vidur_error err = {0};
    struct vidur_workload first;
    struct vidur_workload *w =
        sessions_of(TABLE "10,a,40,10,14\n12,b,30,5,13\n20,a,70,9,23\n", RECORDED, "");
    CU_ASSERT_TRUE(vidur_workload_has_rate(w));
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 0.75, &err), 0); /* as logged */
    CU_ASSERT_EQUAL(w->arrived_at_s[2], 2);
    CU_ASSERT_EQUAL(vidur_workload_set_qps(w, 3, &err), 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[0], 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[1], 0);
    CU_ASSERT_EQUAL(w->arrived_at_s[2], 0.5);
    CU_ASSERT_EQUAL(w->sessions.think_s[1], 6);
    CU_ASSERT_EQUAL(vidur_workload_offer(w, 3, 3, &first, &err), 0);
    CU_ASSERT_EQUAL(first.arrived_at_s[2], 0.5);
    CU_ASSERT_EQUAL(first.sessions.count, 2);
    CU_ASSERT_EQUAL(first.sessions.think_s[1], 6);
    vidur_workload_destroy(w);
    /* Poisson starts and users take the same sessions over and over. */
    w = sessions_of(TABLE "10,a,40,10,14\n12,b,30,5,13\n20,a,70,9,23\n",
                    "num_requests: 6, arrivals: {type: poisson, qps: 1}", "");
    CU_ASSERT_EQUAL(w->sessions.count, 4);
    CU_ASSERT(w->arrived_at_s[5] > 0);
    vidur_workload_destroy(w);
    w = sessions_of(TABLE "10,a,40,10,14\n12,b,30,5,13\n20,a,70,9,23\n",
                    "num_requests: 6, arrivals: {type: closed_loop, concurrency: 2}",
                    "");
    CU_ASSERT_EQUAL(w->concurrency, 2);
    CU_ASSERT_EQUAL(w->sessions.count, 4);
    vidur_workload_destroy(w);
}

static void test_extent(void)
{
    static const char log[] = TABLE "10,a,1,1,11\n20,b,2,1,21\n22,a,3,1,24\n"
                                    "30,c,4,1,31\n40,,5,1,41\n";
    static const struct {
        const char *extent;
        int sessions, first_prompt;
        double last_s;
    } cases[] = {{RECORDED, 4, 1, 30},
                 {"num_requests: 3, " RECORDED, 2, 1, 10},
                 {"duration_s: 20, " RECORDED, 2, 1, 10},
                 {"arrivals: {type: trace, start_time: 10}", 3, 2, 20},
                 {"arrivals: {type: trace, start_time: 5, end_time: 30}", 2, 2, 10},
                 {"arrivals: {type: trace, time_scale_factor: 0.5}", 4, 1, 15}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_workload *w = sessions_of(log, cases[i].extent, "");
        CU_ASSERT_EQUAL(w->sessions.count, cases[i].sessions);
        CU_ASSERT_EQUAL(w->num_prefill_tokens[0], cases[i].first_prompt);
        CU_ASSERT_EQUAL(w->arrived_at_s[0], 0);
        CU_ASSERT_EQUAL(w->arrived_at_s[w->num_requests - 1], cases[i].last_s);
        vidur_workload_destroy(w);
    }
}

/* Where the log has no ends somebody has to say what to assume. */
static void test_pauses(void)
{
    static const char log[] = "arrived_at,session,prompt_tokens,output_tokens\n"
                              "0,a,10,100\n8,a,120,500\n9,a,700,1\n";
    static const struct {
        const char *keys;
        double first_s, second_s;
    } cases[] = {{"think_time: logged_gap", 8, 1},
                 {"think_time: {output_tokens_per_s: 50}", 6, 0},
                 {"think_s: 3.5", 3.5, 3.5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_workload *w = sessions_of(log, RECORDED, cases[i].keys);
        CU_ASSERT_EQUAL_FATAL(w->num_requests, 3);
        CU_ASSERT_EQUAL(w->sessions.turn[2], 2);
        CU_ASSERT_EQUAL(w->sessions.think_s[1], cases[i].first_s);
        CU_ASSERT_EQUAL(w->sessions.think_s[2], cases[i].second_s);
        vidur_workload_destroy(w);
    }
    assert_refused(log, RECORDED, "", "log.csv: no ends of answers, from which");
    assert_refused(TABLE "0,a,1,1,\n5,a,2,1,6\n", RECORDED, "",
                   "log.csv:2: ended_at: missing; the pause before the session's next "
                   "turn, in line 3, is taken from");
    /* Of a session's last turn nobody asks. */
    struct vidur_workload *w = sessions_of(TABLE "0,a,1,1,2\n5,a,2,1,\n", RECORDED, "");
    CU_ASSERT_EQUAL(w->sessions.think_s[1], 3);
    vidur_workload_destroy(w);
}

/* Conversations without times, with drawn pauses. */
static void test_texts(void)
{
    static const char log[] =
        "[{\"id\": \"a\", \"conversations\": [{\"from\": \"human\", \"value\": "
        "\"12345\"}, {\"from\": \"gpt\", \"value\": \"12345\"}, {\"from\": \"human\", "
        "\"value\": \"ok\"}, {\"from\": \"gpt\", \"value\": \"1\"}]}]";
    struct vidur_workload *w = sessions_of(
        log, "num_requests: 4, arrivals: {type: poisson, qps: 1}", "think_s: 2");
    CU_ASSERT_EQUAL(w->sessions.count, 2);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[1], 3); /* 2 and 2, rounded apart, go in */
    CU_ASSERT_EQUAL(w->sessions.shared_tokens[0], INT32_MAX);
    CU_ASSERT_EQUAL(w->sessions.think_s[1], 2);
    CU_ASSERT_EQUAL(w->characters_per_token, 4);
    vidur_workload_destroy(w);
    assert_refused(log, "num_requests: 4, arrivals: {type: poisson, qps: 1}", "",
                   "no times of arrival (format sharegpt), which pauses between turns "
                   "are taken from; give them: think_s");
    assert_refused(log, RECORDED, "think_s: 2",
                   "no times of arrival, at which sessions could start");
}

/* A prompt has the prompt and the answer before it in it, or the prompt alone, or
 * nothing of either. */
static void test_growth(void)
{
    struct vidur_workload *w = sessions_of(
        TABLE "0,a,100,50,1\n2,a,150,20,3\n4,a,160,30,5\n6,a,159,10,7\n8,a,169,1,9\n",
        RECORDED, "");
    static const int32_t shared[] = {INT32_MAX, 150, INT32_MAX, INT32_MAX, INT32_MAX};
    static const int32_t conversations[] = {0, 0, 0, 1, 1};
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 5);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(w->sessions.shared_tokens[i], shared[i]);
        CU_ASSERT_EQUAL(w->sessions.conversation[i], conversations[i]);
    }
    CU_ASSERT_EQUAL(w->sessions.num_compactions, 1);
    vidur_workload_destroy(w);
}

/* What arrives before the last answer has ended is sent beside it; the next turn waits
 * for all of them. */
static void test_beside(void)
{
    struct vidur_workload *w =
        sessions_of(TABLE "0,a,100,50,10\n11,a,160,5,20\n12,a,165,5,15\n13,a,155,5,30\n"
                          "14,a,20,5,16\n32,a,190,5,33\n",
                    RECORDED, "");
    static const int32_t turns[] = {0, 1, 1, 1, 1, 2};
    static const int32_t shared[] = {INT32_MAX, INT32_MAX, 160, 150, 0, INT32_MAX};
    static const double think_s[] = {0, 1, 1, 1, 1, 2};
    CU_ASSERT_EQUAL_FATAL(w->num_requests, 6);
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(w->sessions.turn[i], turns[i]);
        CU_ASSERT_EQUAL(w->sessions.shared_tokens[i], shared[i]);
        CU_ASSERT_EQUAL(w->sessions.think_s[i], think_s[i]);
    }
    vidur_workload_destroy(w);
}

static void test_priorities(void)
{
    struct vidur_workload *w =
        sessions_of("arrived_at,session,prompt_tokens,output_tokens,latency_s,tier\n"
                    "0,a,1,1,1,3\n1,b,5,1,1,1\n5,a,9,1,1,1\n",
                    RECORDED, "columns: {priority: tier}");
    static const int classes[] = {1, 0, 0};
    CU_ASSERT_EQUAL_FATAL(w->num_classes, 2);
    CU_ASSERT_EQUAL(w->classes[1].priority, 3);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(w->class_of[i], classes[i]);
    vidur_workload_destroy(w);
}

static void test_errors(void)
{
    static const char log[] = TABLE "0,a,1,1,2\n5,a,2,1,6\n";
    static const struct {
        const char *extent, *keys, *message;
    } cases[] = {
        {RECORDED, "think_time: soon", "sessions.think_time: 'soon'; give logged"},
        {RECORDED, "think_time: {output_tokens_per_s: 0}",
         "sessions.think_time.output_tokens_per_s: 0"},
        {RECORDED, "think_time: logged, think_s: 2", "given beside think_s"},
        {RECORDED, "turns: 2", "turns: given beside file"},
        {"arrivals: {type: trace, file: x.csv}", "",
         "arrivals.file: sessions start as the log that they come from says"},
        {"arrivals: {type: trace, start_time: 9}", "",
         "arrivals.start_time: no session of"},
        {"arrivals: {type: trace, start_time: 9, end_time: 3}", "",
         "arrivals.end_time: 3 is not after start_time 9"},
        {"num_requests: 9, " RECORDED, "", "num_requests: 9; the sessions of"},
        {RECORDED, "columns: {session: user}", "user: the file has no such column"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(log, cases[i].extent, cases[i].keys, cases[i].message);
    assert_refused(TABLE "0,a,0,1,2\n", RECORDED, "", "log.csv:2: prompt_tokens: 0 to");
}

/* ---- Runs ---- */

enum { MAX_STEP = 512, MAX_BATCH = 16, MAX_CONTEXT = 4096 };

/* On one engine with steps of 1/8 s. */
static struct vidur_simulator *run(const struct vidur_workload *workload,
                                   struct vidur_metrics *metrics)
{
    const struct toy_step_times times = {.fixed_ms = 125};
    const struct vidur_run_options options = {0};
    struct vidur_timetable *table =
        toy_engine_new(&times, MAX_STEP, MAX_BATCH, MAX_CONTEXT);
    struct vidur_deployment deployment;
    struct vidur_simulator *simulator = NULL;
    struct vidur_error err = {0};
    toy_engine_deployment(&deployment);
    deployment.scheduler.async_scheduling = false;
    deployment.scheduler.max_num_seqs = MAX_BATCH;
    deployment.scheduler.max_num_batched_tokens = MAX_STEP;
    deployment.scheduler.num_blocks = 3000;
    if (vidur_simulator_create(&simulator, &deployment, table, MAX_CONTEXT, &err) ||
        vidur_simulator_run(simulator, workload, &options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    toy_engine_free(table);
    return simulator;
}

/* The second turn comes 6 s after the first one's answer, whenever that is complete
 * here. Of 49 tokens computed then three blocks of 16 are full, which its prompt of 70
 * begins with. */
static void test_two_turns_run(void)
{
    struct vidur_metrics metrics;
    struct vidur_workload *w =
        sessions_of(TABLE "10,a,40,10,14\n20,a,70,9,23\n", RECORDED, "");
    struct vidur_simulator *simulator = run(w, &metrics);
    const struct vidur_request_records *r = vidur_simulator_requests(simulator);
    CU_ASSERT_EQUAL(r->completed_at_s[0], 10 * 0.125);
    CU_ASSERT_EQUAL(r->arrived_at_s[1], 10 * 0.125 + 6);
    CU_ASSERT_EQUAL(r->completed_at_s[1], 10 * 0.125 + 6 + 9 * 0.125);
    CU_ASSERT_EQUAL(metrics.prefix_hit_rate, 48. / (40 + 70));
    vidur_simulator_destroy(simulator);
    vidur_workload_destroy(w);
    /* An answer that is not in the next prompt is no hit: of 40 tokens two blocks. */
    w = sessions_of(TABLE "10,a,40,10,14\n20,a,45,9,23\n", RECORDED, "");
    simulator = run(w, &metrics);
    CU_ASSERT_EQUAL(metrics.prefix_hit_rate, 32. / (40 + 45));
    vidur_simulator_destroy(simulator);
    vidur_workload_destroy(w);
    /* Nor is anything of a context that was cut. */
    w = sessions_of(TABLE "10,a,40,10,14\n20,a,39,9,23\n", RECORDED, "");
    simulator = run(w, &metrics);
    CU_ASSERT_EQUAL(metrics.prefix_hit_rate, 0);
    vidur_simulator_destroy(simulator);
    vidur_workload_destroy(w);
}

/* No turn arrives before what it waits for, and all are served. */
static void test_order(void)
{
    struct vidur_metrics metrics;
    struct vidur_text log = {0};
    vidur_text_adds(&log, TABLE);
    for (int i = 0; i < 400; i++) {
        char line[96];
        const int session = i * 7919 % 37;
        snprintf(line, sizeof line, "%d,%d,%d,%d,%d\n", i, session, 20 + i / 2,
                 1 + i % 13, i + 1 + i % 50);
        vidur_text_adds(&log, line);
    }
    struct vidur_workload *w = sessions_of(log.data, RECORDED, "");
    free(log.data);
    struct vidur_simulator *simulator = run(w, &metrics);
    const struct vidur_request_records *r = vidur_simulator_requests(simulator);
    const struct vidur_sessions *s = &w->sessions;
    double ended_s = 0, before_s = 0; /* this turn; the one before */
    int beside = 0;
    CU_ASSERT_EQUAL(metrics.num_completed, 400);
    for (int64_t i = 0; i < 400; i++) {
        const bool same = i > 0 && s->session[i] == s->session[i - 1];
        if (same && s->turn[i] != s->turn[i - 1]) {
            before_s = ended_s;
            ended_s = 0;
        } else if (!same)
            ended_s = 0;
        beside += same && s->turn[i] == s->turn[i - 1];
        CU_ASSERT_EQUAL(r->arrived_at_s[i],
                        s->turn[i] > 0 ? before_s + s->think_s[i] : w->arrived_at_s[i]);
        ended_s = fmax(ended_s, r->completed_at_s[i]);
    }
    CU_ASSERT(beside > 20);
    CU_ASSERT(beside < 380);
    vidur_simulator_destroy(simulator);
    vidur_workload_destroy(w);
}

/* ---- A log of generated sessions ---- */

#define DRAWN                                                                          \
    "workload: {type: sessions, num_requests: 300, max_tokens: 4096, "                 \
    "arrivals: {type: poisson, qps: 2}, "                                              \
    "sessions: {turns: {mean: 4, cv: 1}, user_tokens: {mean: 50, cv: 1}, "             \
    "output_tokens: {mean: 100, cv: 1}, think_s: 2.5, "                                \
    "sub_agents: {quantiles: [[0, 0], [0.7, 0], [1, 3]]}}}\n"

/* Written down as if every answer took 1/4 s, in order of time as logs are; starts at
 * multiples of 1/4 s, so that sums are exact. */
static char *log_of(const struct vidur_workload *w)
{
    struct vidur_text log = {0};
    double at_s = 0;
    vidur_text_adds(&log, TABLE);
    for (int64_t i = 0; i < w->num_requests; i++) {
        char line[160];
        const bool first = w->sessions.turn[i] == 0;
        if (i == 0 || w->sessions.session[i] != w->sessions.session[i - 1])
            at_s = floor(4 * w->arrived_at_s[i]) / 4;
        else if (!first && w->sessions.turn[i] != w->sessions.turn[i - 1])
            at_s += 0.25 + w->sessions.think_s[i];
        snprintf(line, sizeof line, "%.2f,s%d,%d,%d,%.2f\n", at_s,
                 (int)w->sessions.session[i], (int)w->num_prefill_tokens[i],
                 (int)w->num_decode_tokens[i], at_s + 0.25);
        vidur_text_adds(&log, line);
    }
    return log.data;
}

/* Conversations are the same where the same requests share one. */
static bool same_conversations(const struct vidur_workload *a,
                               const struct vidur_workload *b)
{
    for (int64_t i = 1; i < a->num_requests; i++)
        if ((a->sessions.conversation[i] == a->sessions.conversation[i - 1]) !=
            (b->sessions.conversation[i] == b->sessions.conversation[i - 1]))
            return false;
    return true;
}

/* Read back, they are the sessions that they were: every length, turn, pause and prefix
 * in common. */
static void test_written_down(void)
{
    const struct vidur_workload_config config = of_yaml(DRAWN);
    struct vidur_workload *drawn = create(&config);
    char *log = log_of(drawn);
    char text[2048];
    write_config(text, sizeof text, log, RECORDED, "");
    free(log);
    struct vidur_workload_config logged = of_yaml(text);
    logged.max_tokens = 4096;
    struct vidur_workload *w = create(&logged);
    const size_t n = (size_t)drawn->num_requests;
    CU_ASSERT_EQUAL_FATAL(w->num_requests, drawn->num_requests);
    CU_ASSERT_EQUAL(w->sessions.count, drawn->sessions.count);
    CU_ASSERT(w->num_unsorted > 100);
    const struct vidur_sessions *a = &w->sessions, *b = &drawn->sessions;
    CU_ASSERT_EQUAL(memcmp(w->num_prefill_tokens, drawn->num_prefill_tokens, 4 * n), 0);
    CU_ASSERT_EQUAL(memcmp(w->num_decode_tokens, drawn->num_decode_tokens, 4 * n), 0);
    CU_ASSERT_EQUAL(memcmp(a->session, b->session, 4 * n), 0);
    CU_ASSERT_EQUAL(memcmp(a->turn, b->turn, 4 * n), 0);
    CU_ASSERT_EQUAL(memcmp(a->shared_tokens, b->shared_tokens, 4 * n), 0);
    CU_ASSERT_TRUE(same_conversations(w, drawn));
    for (size_t i = 0; i < n; i++)
        if (a->turn[i] > 0) /* users alone pause before the first */
            CU_ASSERT_EQUAL(a->think_s[i], b->think_s[i]);
    vidur_workload_destroy(w);
    vidur_workload_destroy(drawn);
}

/* So a run of them is the same run, hits included; all start at once, so that starts
 * are equal to the bit. */
static void test_written_down_runs(void)
{
    struct vidur_workload_config config = of_yaml(DRAWN);
    struct vidur_metrics of_drawn, of_logged;
    strcpy(config.arrivals.type, "static");
    struct vidur_workload *drawn = create(&config);
    char *log = log_of(drawn);
    char text[2048];
    write_config(text, sizeof text, log, RECORDED, "");
    free(log);
    struct vidur_workload_config logged = of_yaml(text);
    logged.max_tokens = 4096;
    struct vidur_workload *w = create(&logged);
    struct vidur_simulator *a = run(drawn, &of_drawn), *b = run(w, &of_logged);
    const char *differs =
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b));
    if (differs)
        printf("\n  %s\n", differs);
    CU_ASSERT_PTR_NULL(differs);
    CU_ASSERT_EQUAL(of_drawn.prefix_hit_rate, of_logged.prefix_hit_rate);
    CU_ASSERT(of_drawn.prefix_hit_rate > 0.3);
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    vidur_workload_destroy(w);
    vidur_workload_destroy(drawn);
}

static void begin(void)
{
    temp_dir_make(&dir);
}

static void end(void)
{
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("logs as sessions", {"folder", begin}, {"two turns", test_two_turns},
                {"loads", test_loads}, {"extent", test_extent}, {"pauses", test_pauses},
                {"texts", test_texts}, {"growth", test_growth}, {"beside", test_beside},
                {"priorities", test_priorities}, {"errors", test_errors},
                {"two turns run", test_two_turns_run}, {"order", test_order},
                {"written down", test_written_down},
                {"written down, run", test_written_down_runs}, {"folder removed", end})
