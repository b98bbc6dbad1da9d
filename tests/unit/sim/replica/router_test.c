#include "test.h"
#include "toy_cluster.h"

#include "replica/block_store.h"
#include "replica/router.h"
#include "replica/told.h"

#include <math.h>
#include <string.h>

enum { REPLICAS = 4, DRAWS = 4000 };

static const struct vidur_router_ops *begin(const char *name,
                                            struct vidur_router_state *state,
                                            const struct vidur_workload *workload)
{
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "vllm");
    deployment.num_replicas = REPLICAS;
    vidur_router_init(state, &deployment, workload);
    return vidur_router_find(name);
}

static void test_registry(void)
{
    int count = 0;
    while (vidur_router_at(count))
        count++;
    CU_ASSERT_EQUAL(count, 9);
    CU_ASSERT_PTR_NULL(vidur_router_find("roundrobin"));
    CU_ASSERT(vidur_router_find("random")->is_static);
    CU_ASSERT_FALSE(vidur_router_find("lor")->is_static);
    CU_ASSERT_PTR_EQUAL(vidur_router_find("prefix:2.5"), vidur_router_find("prefix"));
    CU_ASSERT_PTR_NULL(vidur_router_find("prefix:"));
    CU_ASSERT_PTR_NULL(vidur_router_find("prefix:-1"));
    CU_ASSERT_PTR_NULL(vidur_router_find("prefix:inf"));
    CU_ASSERT_PTR_NULL(vidur_router_find("prefix:1x"));
    CU_ASSERT_PTR_NULL(vidur_router_find("lor:1"));
    CU_ASSERT_STRING_EQUAL(vidur_router_balance("prefix:2"), "prefix-aware");
    CU_ASSERT_PTR_NULL(vidur_router_balance("roundrobin"));
}

static void test_round_robin(void)
{
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state state;
    const struct vidur_router_ops *ops = begin("round_robin", &state, &workload);
    for (int32_t i = 0; i < 3 * REPLICAS; i++)
        CU_ASSERT_EQUAL(ops->pick(&state, NULL, 0), i % REPLICAS);
}

/* Own streams: uniform, repeatable, and another seed gives another sequence. */
static void test_random(void)
{
    struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state a, b, other;
    int counts[REPLICAS] = {0}, equal = 0;
    const struct vidur_router_ops *ops = begin("random", &a, &workload);
    begin("random", &b, &workload);
    workload.seed = 2;
    begin("random", &other, &workload);
    for (int i = 0; i < DRAWS; i++) {
        const int32_t pick = ops->pick(&a, NULL, 0);
        CU_ASSERT_FATAL(pick >= 0 && pick < REPLICAS);
        CU_ASSERT_EQUAL(ops->pick(&b, NULL, 0), pick);
        equal += ops->pick(&other, NULL, 0) == pick;
        counts[pick]++;
    }
    for (int i = 0; i < REPLICAS; i++) /* five standard deviations */
        CU_ASSERT(counts[i] > DRAWS / REPLICAS - 137 &&
                  counts[i] < DRAWS / REPLICAS + 137);
    CU_ASSERT(equal < DRAWS / 2);
}

/* The reference's stream is copied: the workload's stays where it is. */
static void test_random_reference(void)
{
    struct vidur_mt19937 stream, expected;
    struct vidur_router_state state;
    vidur_mt19937_seed(&stream, 42);
    expected = stream;
    const struct vidur_workload workload = {.seed = 42, .reference_rng = &stream};
    const struct vidur_router_ops *ops = begin("random", &state, &workload);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(ops->pick(&state, NULL, 0),
                        (int32_t)vidur_mt19937_below(&expected, REPLICAS));
    CU_ASSERT_EQUAL(stream.used, workload.reference_rng->used);
}

static void test_least_outstanding(void)
{
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state state;
    struct vidur_replica_account accounts[REPLICAS] = {0};
    struct vidur_replica replicas[REPLICAS] = {0};
    const struct vidur_replica *list[REPLICAS];
    const struct vidur_router_ops *ops = begin("lor", &state, &workload);
    const int64_t waiting[REPLICAS] = {2, 1, 1, 3};
    const int64_t running[REPLICAS] = {0, 5, 2, 0};
    for (int i = 0; i < REPLICAS; i++) {
        replicas[i].queue_length = waiting[i];
        replicas[i].account = &accounts[i];
        accounts[i].num_assigned = 10 + waiting[i] + running[i];
        accounts[i].num_completed = 10;
        list[i] = &replicas[i];
    }
    state.corrected = true; /* waiting and running: 2 6 3 3 */
    CU_ASSERT_EQUAL(ops->pick(&state, list, 0), 0);
    state.corrected = false; /* waiting alone; the lowest index of equals */
    CU_ASSERT_EQUAL(ops->pick(&state, list, 0), 1);
}

struct cluster {
    struct vidur_replica_account accounts[REPLICAS];
    struct vidur_replica replicas[REPLICAS];
    const struct vidur_replica *list[REPLICAS];
};

static void set_outstanding(struct cluster *cluster, const int64_t *requests)
{
    *cluster = (struct cluster){0};
    for (int i = 0; i < REPLICAS; i++) {
        cluster->accounts[i].num_assigned = requests[i];
        cluster->replicas[i].account = &cluster->accounts[i];
        cluster->list[i] = &cluster->replicas[i];
    }
}

/* The most loaded is never taken, the least loaded by every pair that it is in: half of
 * them; the order of the others follows. The same seed gives the same picks. */
static void test_power_of_two(void)
{
    static const int64_t requests[REPLICAS] = {3, 0, 2, 1};
    static const double share[REPLICAS] = {0, 3 / 6., 1 / 6., 2 / 6.};
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state state, again;
    struct cluster cluster;
    int counts[REPLICAS] = {0};
    set_outstanding(&cluster, requests);
    const struct vidur_router_ops *ops = begin("power_of_two", &state, &workload);
    begin("power_of_two", &again, &workload);
    for (int i = 0; i < DRAWS; i++) {
        const int32_t pick = ops->pick(&state, cluster.list, i);
        CU_ASSERT_FATAL(pick >= 0 && pick < REPLICAS);
        CU_ASSERT_EQUAL(ops->pick(&again, cluster.list, i), pick);
        counts[pick]++;
    }
    CU_ASSERT_EQUAL(counts[0], 0);
    for (int i = 1; i < REPLICAS; i++) /* five standard deviations */
        CU_ASSERT(fabs(counts[i] - DRAWS * share[i]) < 160);
    state.num_replicas = 1;
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 0);
}

/* Few requests can be many tokens; the lowest index of equals. */
static void test_least_tokens(void)
{
    static const int64_t requests[REPLICAS] = {1, 9, 9, 9};
    static const int64_t tokens[REPLICAS] = {900, 500, 400, 400};
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state state;
    struct cluster cluster;
    set_outstanding(&cluster, requests);
    for (int i = 0; i < REPLICAS; i++)
        cluster.replicas[i].tokens_left = tokens[i];
    const struct vidur_router_ops *ops = begin("least_tokens", &state, &workload);
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 2);
    /* All ranks count; what comes is the first one's until another has done it. */
    struct vidur_replica rank = {.tokens_left = 200};
    cluster.replicas[2].next_rank = &rank;
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 3);
    rank.tokens_left = -1;
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 2);
}

/* Three of the prompt's four blocks are cached by replica 1, which has the most to do:
 * 0.75 w - 1 against -0.5 of the least loaded, which has none. */
static void test_prefix(void)
{
    enum { BLOCKS = 16, PROMPT = 16 };
    static const int64_t outstanding_requests[REPLICAS] = {6, 8, 4, 4};
    static const int32_t prompt = 0, prefill = PROMPT, decode = 1;
    static int32_t prefills[] = {PROMPT};
    const struct vidur_workload workload = {
        .seed = 1,
        .num_requests = 1,
        .num_prefill_tokens = &prefill,
        .num_decode_tokens = &decode,
        .prompts = {.prompt = &prompt, .num_prompts = 1, .num_prompts_per_group = 1}};
    const struct vidur_block_store_sizes sizes = {.num_blocks = BLOCKS,
                                                  .num_slots = 4,
                                                  .block_size = 4,
                                                  .max_tokens = 2 * PROMPT};
    struct vidur_request_table table = {.count = 1, .prefill_tokens = prefills};
    struct vidur_error err = {0};
    struct vidur_arena arena = {0};
    struct vidur_router_state state;
    struct cluster cluster;
    set_outstanding(&cluster, outstanding_requests);
    CU_ASSERT_EQUAL_FATAL(
        vidur_arena_reserve(&arena, REPLICAS * vidur_block_store_bytes(&sizes, 1),
                            &err),
        0);
    for (int i = 0; i < REPLICAS; i++) {
        cluster.replicas[i].requests = &table;
        cluster.replicas[i].block_size = 4;
        cluster.replicas[i].store = vidur_block_store_new(&arena, &sizes, &workload);
    }
    vidur_block_store_admit(cluster.replicas[1].store, 0, PROMPT);
    const struct vidur_router_ops *ops = begin("prefix", &state, &workload);
    CU_ASSERT_EQUAL(state.prefix_weight, 1);
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 1);
    state.prefix_weight = 0.6; /* -0.55 */
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 2);
    state.prefix_weight = 0.7; /* -0.475 */
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 1);
    /* Of ranks the one that has most of it. */
    struct vidur_replica_account idle = {0};
    struct vidur_replica rank = cluster.replicas[1];
    rank.account = &idle;
    cluster.replicas[1].store = cluster.replicas[0].store;
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 2);
    cluster.replicas[1].next_rank = &rank;
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 1);
    vidur_arena_fini(&arena);
}

/* Shortest queue 1, longest 0, and the free share of the cache; of equals each. */
static void test_polled(void)
{
    static const int64_t waiting[REPLICAS] = {0, 0, 4, 1};
    static const int64_t blocks[REPLICAS] = {10, 8, 0, 2}; /* 1.5 1.6 1 1.65 */
    static const double arrived_at_s[] = {1, 0.1};
    static int32_t prefills[] = {16, 16};
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_request_table table = {.count = 2, .prefill_tokens = prefills};
    struct vidur_told told[REPLICAS];
    struct vidur_router_state state;
    struct cluster cluster;
    int counts[REPLICAS] = {0};
    memset(&cluster, 0, sizeof cluster);
    table.arrived_at_s = arrived_at_s;
    for (int i = 0; i < REPLICAS; i++) {
        vidur_told_init(&told[i], false);
        told[i].last = (struct vidur_tidings){2, waiting[i], blocks[i]};
        cluster.replicas[i].num_blocks = 20;
        cluster.replicas[i].requests = &table;
        cluster.replicas[i].told = &told[i];
        cluster.list[i] = &cluster.replicas[i];
    }
    const struct vidur_router_ops *ops = begin("polled", &state, &workload);
    CU_ASSERT(ops->polls);
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 3);
    /* Of ranks the sum of the queues and the mean of the caches: 0.25 + 0.75 + 0.95. */
    struct vidur_told full = {.last = {2, 3, 0}};
    struct vidur_replica rank = {.num_blocks = 20, .told = &full};
    cluster.replicas[3].next_rank = &rank;
    CU_ASSERT_EQUAL(ops->pick(&state, cluster.list, 0), 1);
    /* The poll at 0.1 s has found nothing yet. */
    for (int i = 0; i < DRAWS; i++)
        counts[ops->pick(&state, cluster.list, 1)]++;
    for (int i = 0; i < REPLICAS; i++) /* five standard deviations */
        CU_ASSERT(fabs(counts[i] - DRAWS / 4.) < 137);
}

/* ---- Weights ---- */

/* Turns of a replica lie apart: of weights 5, 1 and 1 the first is not taken five times
 * in a row. */
static void test_weighted_round_robin(void)
{
    static const int32_t expected[] = {0, 0, 1, 0, 2, 0, 0};
    static const double weights[] = {5, 1, 1};
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state state;
    double credits[3];
    const struct vidur_router_ops *ops = begin("round_robin", &state, &workload);
    state.num_replicas = 3;
    vidur_router_weigh(&state, weights, credits);
    for (int i = 0; i < 21; i++)
        CU_ASSERT_EQUAL(ops->pick(&state, NULL, 0), expected[i % 7]);
}

static void test_weighted_random(void)
{
    static const double weights[REPLICAS] = {0.5, 1.5, 1, 1};
    struct vidur_mt19937 stream;
    vidur_mt19937_seed(&stream, 42);
    for (int reference = 0; reference < 2; reference++) {
        const struct vidur_workload workload = {
            .seed = 1, .reference_rng = reference ? &stream : NULL};
        struct vidur_router_state state;
        double credits[REPLICAS];
        int counts[REPLICAS] = {0};
        const struct vidur_router_ops *ops = begin("random", &state, &workload);
        vidur_router_weigh(&state, weights, credits);
        for (int i = 0; i < DRAWS; i++)
            counts[ops->pick(&state, NULL, 0)]++;
        for (int i = 0; i < REPLICAS; i++) /* five standard deviations */
            CU_ASSERT(fabs(counts[i] - DRAWS * weights[i] / 4) < 155);
    }
}

static void test_weighted_least_outstanding(void)
{
    static const double weights[REPLICAS] = {1, 4, 0.5, 2};
    static const int64_t given[REPLICAS] = {2, 7, 1, 3}; /* 2 1.75 2 1.5 */
    const struct vidur_workload workload = {.seed = 1};
    struct vidur_router_state state;
    struct vidur_replica_account accounts[REPLICAS] = {0};
    struct vidur_replica replicas[REPLICAS] = {0};
    const struct vidur_replica *list[REPLICAS];
    double credits[REPLICAS];
    const struct vidur_router_ops *ops = begin("lor", &state, &workload);
    vidur_router_weigh(&state, weights, credits);
    state.corrected = true;
    for (int i = 0; i < REPLICAS; i++) {
        replicas[i].account = &accounts[i];
        accounts[i].num_assigned = given[i];
        list[i] = &replicas[i];
    }
    CU_ASSERT_EQUAL(ops->pick(&state, list, 0), 3);
    accounts[3].num_assigned = 4; /* 2 */
    CU_ASSERT_EQUAL(ops->pick(&state, list, 0), 1);
    accounts[1].num_assigned = 8; /* all 2: the first */
    CU_ASSERT_EQUAL(ops->pick(&state, list, 0), 0);
}

/* Whatever the weight that all have, the order is that without any. */
static void test_equal_weights(void)
{
    static const double weights[REPLICAS] = {0.7, 0.7, 0.7, 0.7};
    static const char *const names[] = {"round_robin", "random"};
    const struct vidur_workload workload = {.seed = 3};
    for (int k = 0; k < 2; k++) {
        struct vidur_router_state plain, weighted;
        double credits[REPLICAS];
        const struct vidur_router_ops *ops = begin(names[k], &plain, &workload);
        begin(names[k], &weighted, &workload);
        vidur_router_weigh(&weighted, weights, credits);
        for (int i = 0; i < 100; i++)
            CU_ASSERT_EQUAL(ops->pick(&plain, NULL, 0), ops->pick(&weighted, NULL, 0));
    }
}

VIDUR_TEST_MAIN("router", {"registry", test_registry},
                {"round robin", test_round_robin}, {"random", test_random},
                {"random, the reference's stream", test_random_reference},
                {"least outstanding", test_least_outstanding},
                {"power of two", test_power_of_two},
                {"least tokens", test_least_tokens}, {"prefix", test_prefix},
                {"polled", test_polled},
                {"weighted round robin", test_weighted_round_robin},
                {"weighted random", test_weighted_random},
                {"weighted least outstanding", test_weighted_least_outstanding},
                {"equal weights", test_equal_weights})
