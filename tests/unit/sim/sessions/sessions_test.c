#include "test.h"

#include "base/hash.h"
#include "base/yaml.h"
#include "sessions/sessions.h"
#include "sessions/spread.h"
#include "temp_dir.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_error err;

static void read(struct vidur_workload_config *config, const char *text)
{
    struct vidur_yaml *doc = vidur_yaml_parse("w.yaml", text, strlen(text), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    vidur_workload_config_defaults(config);
    if (vidur_workload_config_read(vidur_yaml_root(doc), config, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    vidur_workload_config_complete(config, VIDUR_SEMANTICS_CORRECTED);
    vidur_yaml_free(doc);
}

static struct vidur_workload *create(const char *text)
{
    struct vidur_workload_config config;
    struct vidur_workload *workload = NULL;
    read(&config, text);
    if (vidur_workload_create(&workload, &config, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return workload;
}

/* The error of a configuration, or of the workload that it asks for. */
static const char *fails(const char *text)
{
    struct vidur_workload_config config;
    struct vidur_workload *workload = NULL;
    struct vidur_yaml *doc = vidur_yaml_parse("w.yaml", text, strlen(text), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    vidur_workload_config_defaults(&config);
    err = (struct vidur_error){0};
    if (vidur_workload_config_read(vidur_yaml_root(doc), &config, &err) == 0)
        vidur_workload_create(&workload, &config, &err);
    vidur_workload_destroy(workload);
    vidur_yaml_free(doc);
    static char said[sizeof err.text];
    strcpy(said, err.text);
    err = (struct vidur_error){0};
    return said;
}

/* ---- Distributions ---- */

enum { DRAWS = 40000 };

static double mean_of(const struct vidur_spread *spread, double *cv)
{
    struct vidur_rng rng;
    double sum = 0, squares = 0;
    vidur_rng_init(&rng, 7, vidur_rng_stream("spread", 0));
    for (int i = 0; i < DRAWS; i++) {
        const double value = vidur_spread_draw(spread, &rng);
        sum += value;
        squares += value * value;
    }
    const double mean = sum / DRAWS;
    *cv = sqrt(squares / DRAWS - mean * mean) / mean;
    return mean;
}

static void test_spread(void)
{
    double cv;
    CU_ASSERT_EQUAL(mean_of(&(struct vidur_spread){.mean = 30}, &cv), 30);
    /* five standard errors of the mean; the cv converges slowly */
    CU_ASSERT_DOUBLE_EQUAL(mean_of(&(struct vidur_spread){.mean = 30, .cv = 0.8}, &cv),
                           30, 5 * 30 * 0.8 / sqrt(DRAWS));
    CU_ASSERT_DOUBLE_EQUAL(cv, 0.8, 0.05);
    CU_ASSERT_EQUAL(
        mean_of(&(struct vidur_spread){.mean = 30, .cv = 9, .min = 40, .max = 40}, &cv),
        40);
    const struct vidur_spread triangle = {.quantiles = {{0, 10}, {0.5, 10}, {1, 30}},
                                          .num_quantiles = 3};
    CU_ASSERT_DOUBLE_EQUAL(mean_of(&triangle, &cv), 15, 0.2); /* 10, and 10 .. 30 */
}

/* ---- Planning ---- */

#define FIXED                                                                          \
    "type: sessions\nnum_requests: 9\nmax_tokens: 1000\n"                              \
    "arrivals: {type: poisson, qps: 2}\n"                                              \
    "sessions: {turns: 3, first_tokens: 50, user_tokens: 10, output_tokens: 20, "      \
    "think_s: 5, system_prompt_tokens: 100}\n"

/* Each prompt is all that was said before, and the user's new tokens. */
static void test_growth(void)
{
    static const int32_t prompts[] = {150, 180, 210};
    struct vidur_workload *w = create(FIXED);
    CU_ASSERT_EQUAL(w->num_requests, 9);
    CU_ASSERT_EQUAL(w->sessions.count, 3);
    CU_ASSERT_EQUAL(w->sessions.requests_per_session, 3);
    CU_ASSERT_EQUAL(w->sessions.num_shortened, 0);
    CU_ASSERT_EQUAL(w->num_cut, 0);
    for (int i = 0; i < 9; i++) {
        CU_ASSERT_EQUAL(w->sessions.session[i], i / 3);
        CU_ASSERT_EQUAL(w->sessions.turn[i], i % 3);
        CU_ASSERT_EQUAL(w->num_prefill_tokens[i], prompts[i % 3]);
        CU_ASSERT_EQUAL(w->num_decode_tokens[i], 20);
        CU_ASSERT_EQUAL(w->sessions.think_s[i], 5);
        CU_ASSERT_EQUAL(w->sessions.shared_tokens[i], INT32_MAX);
        CU_ASSERT_EQUAL(w->arrived_at_s[i], w->arrived_at_s[i / 3 * 3]);
    }
    CU_ASSERT(w->arrived_at_s[3] > w->arrived_at_s[0]);
    vidur_workload_destroy(w);
}

/* A sub-agent has the turn's prompt and a task of its own; its answer, too, is part of
 * the next prompt. */
static void test_sub_agents(void)
{
    struct vidur_workload *w = create(
        "type: sessions\nnum_requests: 6\nmax_tokens: 1000\n"
        "arrivals: {type: poisson, qps: 2}\n"
        "sessions: {turns: 2, user_tokens: 10, output_tokens: 20, sub_agents: 2}\n");
    static const int32_t prompts[] = {10, 20, 20, 80, 90, 90};
    static const int32_t turns[] = {0, 0, 0, 1, 1, 1};
    static const int32_t shared[] = {INT32_MAX, 10, 10, INT32_MAX, 80, 80};
    CU_ASSERT_EQUAL(w->sessions.count, 1);
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(w->num_prefill_tokens[i], prompts[i]);
        CU_ASSERT_EQUAL(w->sessions.turn[i], turns[i]);
        CU_ASSERT_EQUAL(w->sessions.shared_tokens[i], shared[i]);
    }
    vidur_workload_destroy(w);
}

/* Turns of 30 tokens in a context of 100 behind 10: three of them. A first turn that
 * does not fit is cut. */
static void test_context_limit(void)
{
    struct vidur_workload *w =
        create("type: sessions\nnum_requests: 6\nmax_tokens: 1000\n"
               "arrivals: {type: poisson, qps: 2}\n"
               "sessions: {turns: 9, user_tokens: 10, output_tokens: 20, "
               "max_context_tokens: 100, system_prompt_tokens: 10}\n");
    CU_ASSERT_EQUAL(w->sessions.count, 2);
    CU_ASSERT_EQUAL(w->sessions.num_shortened, 2);
    CU_ASSERT_EQUAL(w->sessions.turn[2], 2);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[2] + w->num_decode_tokens[2], 100);
    CU_ASSERT_EQUAL(w->sessions.turn[3], 0);
    vidur_workload_destroy(w);
    /* Or the conversation begins anew, as the first turn did. */
    w = create("type: sessions\nnum_requests: 6\nmax_tokens: 1000\n"
               "arrivals: {type: poisson, qps: 2}\n"
               "sessions: {turns: 9, first_tokens: 15, user_tokens: 10, "
               "output_tokens: 20, max_context_tokens: 100, system_prompt_tokens: 10, "
               "compacts: true}\n");
    CU_ASSERT_EQUAL(w->sessions.count, 1);
    CU_ASSERT_EQUAL(w->sessions.num_shortened, 0);
    CU_ASSERT(w->sessions.num_compactions >= 2);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[1], 55);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[2], 25); /* not 85 + 20 */
    CU_ASSERT_EQUAL(w->sessions.turn[2], 2);
    CU_ASSERT_EQUAL(w->sessions.conversation[1], w->sessions.conversation[0]);
    CU_ASSERT_NOT_EQUAL(w->sessions.conversation[2], w->sessions.conversation[1]);
    vidur_workload_destroy(w);
    w = create("type: sessions\nnum_requests: 2\nmax_tokens: 25\n"
               "cut_long_requests: true\narrivals: {type: static}\n"
               "sessions: {turns: 1, user_tokens: 10, output_tokens: 20}\n");
    CU_ASSERT_EQUAL(w->num_cut, 2);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[0], 5);
    CU_ASSERT_EQUAL(w->num_decode_tokens[0], 20);
    vidur_workload_destroy(w);
}

#define DRAWN(requests, load)                                                          \
    "type: sessions\nnum_requests: " requests "\nmax_tokens: 4096\n"                   \
    "arrivals: {type: " load "}\n"                                                     \
    "sessions: {turns: {mean: 4, cv: 1}, user_tokens: {mean: 50, cv: 1}, "             \
    "output_tokens: {mean: 100, cv: 1}, think_s: {mean: 9, cv: 1}, "                   \
    "sub_agents: {quantiles: [[0, 0], [0.8, 0], [1, 3]]}, num_groups: 3, "             \
    "system_prompt_tokens: 64}\n"

static bool equal_plans(const struct vidur_workload *a, const struct vidur_workload *b,
                        int64_t count)
{
    const size_t n = (size_t)count;
    return !memcmp(a->num_prefill_tokens, b->num_prefill_tokens, n * sizeof(int32_t)) &&
           !memcmp(a->num_decode_tokens, b->num_decode_tokens, n * sizeof(int32_t)) &&
           !memcmp(a->sessions.think_s, b->sessions.think_s, n * sizeof(double)) &&
           !memcmp(a->sessions.session, b->sessions.session, n * sizeof(int32_t)) &&
           !memcmp(a->sessions.turn, b->sessions.turn, n * sizeof(int32_t)) &&
           !memcmp(a->sessions.shared_tokens, b->sessions.shared_tokens,
                   n * sizeof(int32_t));
}

/* Neither the rate nor the number of requests changes what a session is; a rate scales
 * the starts, and QPS is requests a second. */
static void test_common_random_numbers(void)
{
    struct vidur_workload *few = create(DRAWN("200", "poisson, qps: 1"));
    struct vidur_workload *many = create(DRAWN("400", "poisson, qps: 4"));
    struct vidur_workload *users = create(DRAWN("200", "closed_loop, concurrency: 3"));
    struct vidur_workload offered;
    CU_ASSERT_TRUE(equal_plans(few, many, 200));
    CU_ASSERT_TRUE(equal_plans(few, users, 200));
    CU_ASSERT_EQUAL(users->concurrency, 3);
    CU_ASSERT_FALSE(vidur_workload_has_rate(users));
    for (int i = 0; i < 200; i++)
        CU_ASSERT_DOUBLE_EQUAL(many->arrived_at_s[i], few->arrived_at_s[i] / 4, 1e-9);
    const double mean = many->sessions.requests_per_session;
    CU_ASSERT_EQUAL(vidur_workload_offer(many, 100, 2 * mean, &offered, &err), 0);
    CU_ASSERT_EQUAL(offered.num_requests, 100);
    CU_ASSERT_EQUAL(offered.sessions.count, offered.sessions.session[99] + 1);
    CU_ASSERT_DOUBLE_EQUAL(offered.arrived_at_s[99], few->arrived_at_s[99] / 2, 1e-9);
    CU_ASSERT_EQUAL(vidur_workload_offer_clients(users, 50, 7, &offered, &err), 0);
    CU_ASSERT_EQUAL(offered.sessions.count, offered.sessions.session[49] + 1);
    vidur_workload_destroy(few);
    vidur_workload_destroy(many);
    vidur_workload_destroy(users);
}

static void test_duration(void)
{
    struct vidur_workload *w =
        create("type: sessions\nduration_s: 100\narrivals: {type: poisson, qps: 3}\n"
               "sessions: {turns: 2, user_tokens: 1, output_tokens: 1}\n");
    CU_ASSERT_EQUAL(w->num_requests, 2 * w->sessions.count);
    CU_ASSERT(abs(w->sessions.count - 300) < 90); /* five standard deviations */
    CU_ASSERT(w->arrived_at_s[w->num_requests - 1] < 100);
    vidur_workload_destroy(w);
}

/* ---- From a file ---- */

static const char *from_file(const char *path, int requests)
{
    static char text[2048];
    snprintf(text, sizeof text,
             "type: sessions\nnum_requests: %d\nmax_tokens: 1000\n"
             "arrivals: {type: static}\nsessions: {file: %s}\n",
             requests, path);
    return text;
}

/* Rows of two sessions, mixed; one's context is cut in its third turn. The file is
 * begun again with sessions of their own. */
static void test_file(void)
{
    struct temp_dir dir;
    temp_dir_make(&dir);
    struct temp_path path =
        temp_dir_write(&dir, "s.csv",
                       "session,think_s,num_prefill_tokens,num_decode_tokens\n"
                       "b,,10,5\n"
                       "a,,100,50\n"
                       "b,2.5,20,6\n"
                       "b,1,8,7\n");
    struct vidur_workload *w = create(from_file(path.text, 8));
    CU_ASSERT_EQUAL(w->sessions.count, 4);
    int at = w->num_prefill_tokens[0] == 100; /* they are shuffled */
    CU_ASSERT_EQUAL(w->num_prefill_tokens[at], 10);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[at + 1], 20);
    CU_ASSERT_EQUAL(w->num_decode_tokens[at + 2], 7);
    CU_ASSERT_EQUAL(w->sessions.think_s[at], 0);
    CU_ASSERT_EQUAL(w->sessions.think_s[at + 1], 2.5);
    const int32_t *of = w->sessions.conversation;
    CU_ASSERT_EQUAL(of[at], of[at + 1]);
    CU_ASSERT_NOT_EQUAL(of[at + 1], of[at + 2]);
    CU_ASSERT_NOT_EQUAL(of[at], of[at + 4]);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[at + 4], 10);
    vidur_workload_destroy(w);
    path = temp_dir_write(&dir, "t.csv",
                          "session,think_s,num_prefill_tokens,num_decode_tokens\n"
                          "b,,10,5\nb,,20,6\n");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(fails(from_file(path.text, 2)), "t.csv:3: think_s: empty"));
    path = temp_dir_write(&dir, "u.csv", "session,think_s,num_prefill_tokens\nb,,10\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(fails(from_file(path.text, 2)), "num_decode_tokens"));
    temp_dir_remove(&dir);
}

/* A mapping in a file of its own. */
static void test_reference(void)
{
    struct temp_dir dir;
    char text[2048];
    temp_dir_make(&dir);
    struct temp_path path =
        temp_dir_write(&dir, "p.yaml", "turns: 2\nuser_tokens: 30\noutput_tokens: 4\n");
    snprintf(text, sizeof text,
             "type: sessions\nnum_requests: 2\narrivals: {type: static}\n"
             "sessions: %s\n",
             path.text);
    struct vidur_workload *w = create(text);
    CU_ASSERT_EQUAL(w->num_prefill_tokens[1], 64);
    vidur_workload_destroy(w);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(fails("type: sessions\nnum_requests: 2\narrivals: {type: static}\n"
                     "sessions: /nowhere.yaml\n"),
               "w.yaml:4: sessions: /nowhere.yaml cannot be read"));
    temp_dir_remove(&dir);
}

/* ---- What cannot be ---- */

#define BEGIN "type: sessions\nnum_requests: 2\narrivals: {type: poisson, qps: 1}\n"

static void test_errors(void)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {BEGIN, "sessions: missing"},
        {BEGIN "sessions: {user_tokens: 3}\n", "output_tokens: missing"},
        {BEGIN "sessions: {user_tokens: 0, output_tokens: 3}\n",
         "w.yaml:4: sessions.user_tokens: 0; 1 or more"},
        {BEGIN "sessions: {user_tokens: -1, output_tokens: 3}\n",
         "sessions.user_tokens: -1; 0 or more"},
        {BEGIN "sessions: {turns: 0.5, user_tokens: 1, output_tokens: 3}\n",
         "sessions.turns: 0.5; 1 or more"},
        {BEGIN "sessions: {turns: {mean: 3, quantiles: [[0, 1]]}, user_tokens: 1, "
               "output_tokens: 3}\n",
         "sessions.turns: quantiles beside mean"},
        {BEGIN "sessions: {turns: {quantiles: [[0.5, 3], [0.4, 4]]}, user_tokens: 1, "
               "output_tokens: 3}\n",
         "sessions.turns.quantiles.1: not ascending"},
        {BEGIN "sessions: {turns: {mean: 3, min: 9, max: 4}, user_tokens: 1, "
               "output_tokens: 3}\n",
         "sessions.turns.max: 4; 9 or more"},
        {BEGIN "sessions: {file: x.csv, turns: 3}\n", "turns: given beside file"},
        {BEGIN "sessions: {user_tokens: 1, output_tokens: 1, system_prompt_tokens: "
               "4095}\n",
         "system_prompt_tokens: 4095 leave no room"},
        {BEGIN
         "sessions: {user_tokens: 1, output_tokens: 1, max_context_tokens: 5000}\n",
         "max_context_tokens: 5000; at most the 4096"},
        {"type: sessions\narrivals: {type: closed_loop, concurrency: 2}\n"
         "sessions: {user_tokens: 1, output_tokens: 1}\n",
         "num_requests: missing"},
        {"type: sessions\nnum_requests: 2\narrivals: {type: trace, file: x.csv}\n"
         "sessions: {user_tokens: 1, output_tokens: 1}\n",
         "arrivals.type: trace is for the sessions of a log, sessions.file; others "
         "start by poisson"},
        {BEGIN "seeds: reference\nsessions: {user_tokens: 1, output_tokens: 1}\n",
         "seeds: reference does not cover sessions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *said = fails(cases[i].text);
        assert_contains(said, cases[i].said);
    }
}

VIDUR_TEST_MAIN("sessions", {"distributions", test_spread}, {"growth", test_growth},
                {"sub-agents", test_sub_agents}, {"context limit", test_context_limit},
                {"common random numbers", test_common_random_numbers},
                {"duration", test_duration}, {"file", test_file},
                {"mapping in a file", test_reference}, {"errors", test_errors})
