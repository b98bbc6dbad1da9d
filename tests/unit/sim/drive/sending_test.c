#include "test.h"
#include "toy_hand.h"
#include "toy_run.h"

#include <math.h>
#include <string.h>

/* Sessions by hand, in the quick way and in the plain one: steps of a second, blocks of
 * four tokens. */

struct plan {
    int64_t count;
    int32_t sessions;
    double starts_s[HAND_REQUESTS]; /* by request */
    int32_t prompt[HAND_REQUESTS], output[HAND_REQUESTS];
    int32_t session[HAND_REQUESTS], turn[HAND_REQUESTS];
    double think_s[HAND_REQUESTS];
    int32_t shared_tokens[HAND_REQUESTS];
    int32_t system_prompt_tokens;
    int64_t users; /* 0: sessions start on their own */
};

static struct vidur_deployment engine(void)
{
    struct vidur_deployment deployment;
    hand_engine(&deployment);
    deployment.scheduler.block_size = 4;
    deployment.scheduler.prefix_caching = true;
    return deployment;
}

static struct vidur_workload workload_of(const struct plan *plan)
{
    static const int32_t one_group[HAND_REQUESTS];
    struct vidur_workload workload = toy_workload(
        plan->count, HAND_TOKENS, plan->starts_s, plan->prompt, plan->output);
    workload.concurrency = plan->users;
    workload.sessions =
        (struct vidur_sessions){.count = plan->sessions,
                                .session = plan->session,
                                .turn = plan->turn,
                                .think_s = plan->think_s,
                                .conversation = plan->session,
                                .shared_tokens = plan->shared_tokens,
                                .group = one_group,
                                .system_prompt_tokens = plan->system_prompt_tokens,
                                .requests_per_session = 1};
    return workload;
}

static void simulate(struct hand_outcome *out,
                     const struct vidur_deployment *deployment,
                     const struct vidur_workload *workload,
                     const struct vidur_run_options *options)
{
    const struct toy_step_times times = {.fixed_ms = 1000};
    hand_run(out, deployment, &times, workload, options);
}

static void run(struct hand_outcome *out, const struct vidur_deployment *deployment,
                const struct plan *plan, bool plain)
{
    const struct vidur_run_options options = {.plain_stepping = plain};
    const struct vidur_workload workload = workload_of(plan);
    simulate(out, deployment, &workload, &options);
}

#define ALL INT32_MAX

/* The first turn ends at 5 with 8 + 5 tokens, the last of which was not computed: 12
 * are cached, three blocks. The second is 13 + 7 long, and sent 2.5 s later. */
static void check_two_turns(bool plain)
{
    struct plan plan = {.count = 2,
                        .sessions = 1,
                        .prompt = {8, 20},
                        .output = {5, 1},
                        .turn = {0, 1},
                        .think_s = {0, 2.5},
                        .shared_tokens = {ALL, ALL}};
    struct vidur_deployment deployment = engine();
    struct hand_outcome out;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.completed_s[0], 5);
    CU_ASSERT_EQUAL(out.arrived_s[1], 7.5);
    CU_ASSERT_EQUAL(out.completed_s[1], 8.5);
    CU_ASSERT_EQUAL(out.cached[0], 0);
    CU_ASSERT_EQUAL(out.cached[1], 12);
    CU_ASSERT_EQUAL(out.sessions.num_completed, 1);
    CU_ASSERT_EQUAL(out.sessions.first.hit_rate, 0);
    CU_ASSERT_EQUAL(out.sessions.later.hit_rate, 12 / 20.);
    CU_ASSERT_EQUAL(out.sessions.all.hit_rate, 12 / 28.);
    CU_ASSERT_EQUAL(out.sessions.num_turns, 2);
    CU_ASSERT_EQUAL(out.sessions.turn[1].ttft.mean, 1);
    /* One token less, and the third block is not full. */
    plan.output[0] = 4;
    plan.prompt[1] = 19;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.arrived_s[1], 6.5);
    CU_ASSERT_EQUAL(out.cached[1], 8);
    /* Without a prefix cache. */
    deployment.scheduler.prefix_caching = false;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.cached[1], -1);
    CU_ASSERT_TRUE(isnan(out.sessions.later.hit_rate));
    /* Without a pause it is behind all that happens at that time, as in a closed loop:
     * alone it starts at once. */
    plan.think_s[1] = 0;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.arrived_s[1], 4);
    CU_ASSERT_EQUAL(out.completed_s[1], 5);
}

/* Two sessions of one group have its system prompt in common, no more. */
static void check_groups(bool plain)
{
    const struct plan plan = {.count = 2,
                              .sessions = 2,
                              .starts_s = {0, 4},
                              .prompt = {16, 16},
                              .output = {1, 1},
                              .session = {0, 1},
                              .shared_tokens = {ALL, ALL},
                              .system_prompt_tokens = 10};
    const struct vidur_deployment deployment = engine();
    struct hand_outcome out;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.arrived_s[1], 4);
    CU_ASSERT_EQUAL(out.cached[1], 8); /* whole blocks of the 10 */
}

/* A turn of three: the sub-agents find its prompt cached as soon as it is admitted, and
 * the next turn waits for the slowest, which ends at 4. It goes on behind the turn's
 * own answer, of which one token is computed, and finds 8 tokens; the task and answer
 * of a sub-agent are of no use to it. */
static void check_sub_agents(bool plain)
{
    const struct plan plan = {.count = 4,
                              .sessions = 1,
                              .prompt = {8, 10, 12, 26},
                              .output = {2, 4, 3, 1},
                              .turn = {0, 0, 0, 1},
                              .think_s = {0, 0, 0, 1},
                              .shared_tokens = {ALL, 8, 8, ALL}};
    const struct vidur_deployment deployment = engine();
    struct hand_outcome out;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.cached[0], 0);
    CU_ASSERT_EQUAL(out.cached[1], 8);
    CU_ASSERT_EQUAL(out.cached[2], 8);
    CU_ASSERT_EQUAL(out.completed_s[0], 2);
    CU_ASSERT_EQUAL(out.completed_s[1], 4);
    CU_ASSERT_EQUAL(out.arrived_s[3], 5);
    CU_ASSERT_EQUAL(out.cached[3], 8);
    CU_ASSERT_EQUAL(out.completed_s[3], 6);
}

/* Two users and three sessions: the third begins when the first of the others ends, and
 * misses the step that begins then. */
static void check_users(bool plain)
{
    const struct plan plan = {.count = 5,
                              .sessions = 3,
                              .prompt = {4, 12, 4, 4, 12},
                              .output = {2, 1, 6, 1, 1},
                              .session = {0, 0, 1, 2, 2},
                              .turn = {0, 1, 0, 0, 1},
                              .think_s = {0, 1.5, 0, 0, 0.5},
                              .shared_tokens = {ALL, ALL, ALL, ALL, ALL},
                              .users = 2};
    const struct vidur_deployment deployment = engine();
    struct hand_outcome out;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.arrived_s[0], 0);
    CU_ASSERT_EQUAL(out.arrived_s[1], 3.5);
    CU_ASSERT_EQUAL(out.completed_s[1], 5); /* in the step from 4 on */
    CU_ASSERT_EQUAL(out.arrived_s[2], 0);
    CU_ASSERT_EQUAL(out.completed_s[2], 6);
    CU_ASSERT_EQUAL(out.arrived_s[3], 5);
    CU_ASSERT_EQUAL(out.completed_s[3], 7); /* in the step from 6 on */
    CU_ASSERT_EQUAL(out.arrived_s[4], 7.5);
    CU_ASSERT_EQUAL(out.sessions.num_completed, 3);
    CU_ASSERT_TRUE(out.metrics.sustained.kept_up);
}

/* Users begin with a pause each, whatever their order. */
static void check_first_pauses(bool plain)
{
    const struct plan plan = {.count = 3,
                              .sessions = 3,
                              .prompt = {4, 4, 4},
                              .output = {1, 1, 1},
                              .session = {0, 1, 2},
                              .think_s = {2, 0.5, 7},
                              .shared_tokens = {ALL, ALL, ALL},
                              .users = 2};
    const struct vidur_deployment deployment = engine();
    struct hand_outcome out;
    run(&out, &deployment, &plan, plain);
    CU_ASSERT_EQUAL(out.arrived_s[0], 2);
    CU_ASSERT_EQUAL(out.arrived_s[1], 0.5);
    CU_ASSERT_EQUAL(out.completed_s[1], 1.5);
    CU_ASSERT_EQUAL(out.arrived_s[2], 1.5); /* at once */
}

/* What nobody has sent when the run is cut has no time. */
static void check_time_limit(bool plain)
{
    const struct plan plan = {.count = 3,
                              .sessions = 1,
                              .prompt = {4, 8, 12},
                              .output = {2, 3, 1},
                              .turn = {0, 1, 2},
                              .think_s = {0, 1, 1},
                              .shared_tokens = {ALL, ALL, ALL}};
    const struct vidur_run_options options = {.plain_stepping = plain,
                                              .time_limit_s = 4.5};
    const struct vidur_deployment deployment = engine();
    const struct vidur_workload workload = workload_of(&plan);
    struct hand_outcome out;
    simulate(&out, &deployment, &workload, &options);
    CU_ASSERT_EQUAL(out.metrics.num_arrived, 2);
    CU_ASSERT_EQUAL(out.metrics.num_completed, 1);
    CU_ASSERT_TRUE(out.metrics.time_limited);
    CU_ASSERT_EQUAL(out.arrived_s[1], 3);
    CU_ASSERT_TRUE(isnan(out.arrived_s[2]));
    CU_ASSERT_EQUAL(out.sessions.num_completed, 0);
    CU_ASSERT_EQUAL(out.sessions.later.num_requests, 2);
    CU_ASSERT_EQUAL(out.sessions.later.num_completed, 0);
}

/* Second turns of two sessions on two replicas come in the other order: by turns they
 * meet the other session's replica, which has nothing of theirs. */
static void check_session_routers(bool plain)
{
    static const struct {
        const char *router;
        int32_t cached; /* of the second turns */
    } cases[] = {{"round_robin", 0},
                 {"session", 8},
                 {"session_lor", 8},
                 {"prefix:9", 8},
                 {"lor", -1 /* one of them */}};
    const struct plan plan = {.count = 4,
                              .sessions = 2,
                              .starts_s = {0, 0, 0.5, 0.5},
                              .prompt = {8, 20, 8, 20},
                              .output = {3, 1, 3, 1},
                              .session = {0, 0, 1, 1},
                              .turn = {0, 1, 0, 1},
                              .think_s = {0, 9, 0, 2},
                              .shared_tokens = {ALL, ALL, ALL, ALL}};
    struct vidur_deployment deployment = engine();
    deployment.num_replicas = 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hand_outcome out;
        strcpy(deployment.router, cases[i].router);
        run(&out, &deployment, &plan, plain);
        CU_ASSERT_EQUAL(out.completed_s[2], 3.5); /* on a replica of its own */
        CU_ASSERT_EQUAL(out.arrived_s[3], 5.5);
        if (cases[i].cached >= 0) {
            CU_ASSERT_EQUAL(out.cached[1], cases[i].cached);
            CU_ASSERT_EQUAL(out.cached[3], cases[i].cached);
        } else { /* the first of equals, both times */
            CU_ASSERT_EQUAL(out.cached[1], 8);
            CU_ASSERT_EQUAL(out.cached[3], 0);
        }
    }
}

/* A replica that works on one request at a time: 40 + 1 tokens are more than 4 + 8, but
 * they are done after a second. */
static void check_least_tokens(bool plain)
{
    static const double arrived_s[] = {0, 0, 0.5, 1.5};
    static const int32_t prompt[] = {40, 4, 4, 4}, output[] = {1, 8, 1, 1};
    const struct vidur_run_options options = {.plain_stepping = plain};
    const struct vidur_workload workload =
        toy_workload(4, HAND_TOKENS, arrived_s, prompt, output);
    struct vidur_deployment deployment = engine();
    struct hand_outcome out;
    deployment.num_replicas = 2;
    deployment.scheduler.max_num_seqs = 1;
    strcpy(deployment.router, "least_tokens");
    simulate(&out, &deployment, &workload, &options);
    CU_ASSERT_EQUAL(out.completed_s[2], 9); /* behind the eight */
    CU_ASSERT_EQUAL(out.completed_s[3], 2.5);
    strcpy(deployment.router, "lor");
    simulate(&out, &deployment, &workload, &options);
    CU_ASSERT_EQUAL(out.completed_s[2], 2);
}

/* Sessions that start twice as fast as one replica serves them are not sustained,
 * although their turns wait for what is served; at half its rate they are. */
static void check_sustained(bool plain)
{
    enum { SESSIONS = 200, REQUESTS = 2 * SESSIONS };
    static double starts_s[REQUESTS], think_s[REQUESTS];
    static int32_t prompt[REQUESTS], output[REQUESTS], session[REQUESTS],
        turn[REQUESTS], shared[REQUESTS], group[SESSIONS];
    struct vidur_deployment deployment = engine();
    deployment.scheduler.max_num_seqs = 1;
    for (int fast = 0; fast < 2; fast++) {
        for (int i = 0; i < REQUESTS; i++) {
            session[i] = i / 2;
            turn[i] = i % 2;
            starts_s[i] = session[i] * (fast ? 2 : 8); /* 4 s of work each */
            think_s[i] = turn[i];
            prompt[i] = turn[i] ? 8 : 4;
            output[i] = 2;
            shared[i] = ALL;
        }
        struct vidur_workload workload =
            toy_workload(REQUESTS, HAND_TOKENS, starts_s, prompt, output);
        workload.sessions = (struct vidur_sessions){.count = SESSIONS,
                                                    .session = session,
                                                    .turn = turn,
                                                    .think_s = think_s,
                                                    .conversation = session,
                                                    .shared_tokens = shared,
                                                    .group = group,
                                                    .requests_per_session = 2};
        const struct vidur_run_options options = {.plain_stepping = plain};
        const struct toy_step_times times = {.fixed_ms = 1000};
        struct vidur_timetable *table =
            toy_engine_new(&times, HAND_STEP, HAND_BATCH, HAND_TOKENS);
        struct vidur_metrics metrics;
        struct vidur_simulator *simulator =
            toy_simulate(&deployment, table, &workload, &options, &metrics);
        CU_ASSERT_EQUAL(metrics.num_completed, REQUESTS);
        CU_ASSERT_EQUAL(metrics.sustained.kept_up, !fast);
        vidur_simulator_destroy(simulator);
        toy_engine_free(table);
    }
}

#define BOTH(name)                                                                     \
    static void test_##name(void)                                                      \
    {                                                                                  \
        check_##name(false);                                                           \
        check_##name(true);                                                            \
    }

BOTH(two_turns)
BOTH(groups)
BOTH(sub_agents)
BOTH(users)
BOTH(first_pauses)
BOTH(time_limit)
BOTH(session_routers)
BOTH(least_tokens)
BOTH(sustained)

VIDUR_TEST_MAIN("sending", {"two turns", test_two_turns}, {"groups", test_groups},
                {"sub-agents", test_sub_agents}, {"users", test_users},
                {"first pauses", test_first_pauses}, {"time limit", test_time_limit},
                {"routers that keep sessions", test_session_routers},
                {"least tokens", test_least_tokens}, {"sustained", test_sustained})
