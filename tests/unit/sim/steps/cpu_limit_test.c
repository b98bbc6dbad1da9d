#include "test.h"
#include "toy_cluster.h"
#include "toy_engine.h"

#include "steps/cpu_limit.h"

#include <vidur/rng.h>
#include <vidur/simulator.h>

#include <stdio.h>
#include <string.h>

/* What a container's CPU limit does to the steps of an engine. */

static void test_spinning(void)
{
    static const struct {
        struct vidur_cut cut;
        int processes;
    } cases[] = {{{.tensor = 1, .pipeline = 1, .data = 1}, 1},
                 {{.tensor = 4, .pipeline = 1, .data = 1}, 5},
                 {{.tensor = 8, .pipeline = 1, .data = 1}, 9},
                 {{.tensor = 1, .pipeline = 1, .data = 4}, 4},
                 {{.tensor = 2, .pipeline = 1, .data = 4}, 12}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CU_ASSERT_EQUAL(vidur_cpu_spinning(&cases[i].cut), cases[i].processes);
}

static void test_limit(void)
{
    struct vidur_deployment d;
    toy_engine_deployment(&d);
    CU_ASSERT_EQUAL(vidur_cpu_limit_of(&d).run_s, 0); /* none is stated */
    d.tensor_parallel_size = 4;
    d.cpu_cores = 5;
    CU_ASSERT_EQUAL(vidur_cpu_limit_of(&d).run_s, 0); /* enough for all */
    d.cpu_cores = 4;
    CU_ASSERT_DOUBLE_EQUAL(vidur_cpu_limit_of(&d).run_s, 0.08, 1e-15);
}

#define STALL(now, step) vidur_cpu_stall_s(&limit, now, step)

static void test_stall(void)
{
    struct vidur_cpu_limit limit = {0};
    CU_ASSERT_EQUAL(STALL(0.095, 0.01), 0);
    limit.run_s = 0.04; /* of each 0.1 s */
    CU_ASSERT_EQUAL(STALL(0.01, 0.02), 0);
    CU_ASSERT_DOUBLE_EQUAL(STALL(0.03, 0.02), 0.05, 1e-12); /* ends at 0.05: noticed */
    CU_ASSERT_DOUBLE_EQUAL(STALL(0.03, 0.08), 0, 1e-12);    /* ends at 0.11 */
    CU_ASSERT_DOUBLE_EQUAL(STALL(0.06, 0.03), 0.04, 1e-12); /* begins at 0.1 */
    CU_ASSERT_DOUBLE_EQUAL(STALL(0.06, 0.06), 0.08, 1e-12); /* and ends at 0.16 */
    CU_ASSERT_DOUBLE_EQUAL(STALL(7.33, 0.42), 0.05, 1e-12); /* at 7.75 */
    CU_ASSERT_DOUBLE_EQUAL(STALL(0.1 * 3, 0.01), 0, 1e-12); /* on a period's edge */
}

enum { MAX_REQUESTS = 40, MAX_TOKENS = 200, MAX_STEP = 64, MAX_BATCH = 8 };

static const double at_once[MAX_REQUESTS];

static void engine(struct vidur_deployment *d, double cpu_cores)
{
    toy_engine_deployment(d);
    d->scheduler.async_scheduling = false;
    d->scheduler.max_num_seqs = MAX_BATCH;
    d->scheduler.max_num_batched_tokens = MAX_STEP;
    d->scheduler.num_blocks = 60;
    d->cpu_cores = cpu_cores;
}

static struct vidur_simulator *run(const struct vidur_deployment *d,
                                   const struct toy_step_times *times,
                                   const struct vidur_workload *workload, bool plain,
                                   struct vidur_metrics *metrics)
{
    const struct vidur_run_options options = {.plain_stepping = plain};
    struct vidur_timetable *table =
        toy_engine_new(times, MAX_STEP, MAX_BATCH, MAX_TOKENS);
    struct vidur_simulator *simulator = NULL;
    struct vidur_error err = {0};
    if (vidur_simulator_create(&simulator, d, table, MAX_TOKENS, &err) ||
        vidur_simulator_run(simulator, workload, &options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    toy_engine_free(table);
    return simulator;
}

/* Steps of 12 ms of a device whose engine runs for 40 ms of each 100: four begin in a
 * period, at 0, 12, 24 and 36 ms, and the last is noticed at its end. */
static void check_steps_of_a_period(bool plain)
{
    const struct toy_step_times times = {.fixed_ms = 12};
    const int32_t prompt[] = {4}, output[] = {41};
    const struct vidur_workload workload =
        toy_workload(1, MAX_TOKENS, at_once, prompt, output);
    struct vidur_deployment d;
    struct vidur_metrics metrics;
    engine(&d, 0.4);
    struct vidur_simulator *simulator = run(&d, &times, &workload, plain, &metrics);
    CU_ASSERT_DOUBLE_EQUAL(vidur_simulator_requests(simulator)->completed_at_s[0],
                           1.012, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(metrics.latency[VIDUR_LATENCY_tpot].mean, 0.025, 1e-9);
    vidur_simulator_destroy(simulator);
    engine(&d, 1);
    simulator = run(&d, &times, &workload, plain, &metrics);
    CU_ASSERT_DOUBLE_EQUAL(metrics.latency[VIDUR_LATENCY_tpot].mean, 0.012, 1e-9);
    vidur_simulator_destroy(simulator);
}

static void test_steps_of_a_period(void)
{
    check_steps_of_a_period(false);
    check_steps_of_a_period(true);
}

/* A cluster at random: replicas, ranks, closed and open loops. */
static void draw(struct vidur_rng *rng, struct vidur_deployment *d,
                 struct toy_step_times *times, double *arrived_s, int32_t *lengths)
{
    engine(d, 0.2 + vidur_rng_uniform(rng));
    d->scheduler.async_scheduling = vidur_rng_below(rng, 2);
    d->num_replicas = 1 + (int)vidur_rng_below(rng, 3);
    strcpy(d->router, vidur_rng_below(rng, 2) ? "lor" : "round_robin");
    *times = (struct toy_step_times){.fixed_ms = 1 + 20 * vidur_rng_uniform(rng),
                                     .per_token_ms = 0.5,
                                     .launch_ms = 0.25,
                                     .per_context_ms = 0.01,
                                     .tokenise_ms = 0.125};
    if (vidur_rng_below(rng, 3) == 0) {
        d->data_parallel_size = times->ranks = 2;
        d->expert_parallel = true;
        d->model.kinds[0].num_experts = 8;
        d->model.kinds[0].experts_per_token = 2;
        d->model.kinds[0].expert_hidden_dim = 64;
        times->gathered_ms = 0.5;
    }
    for (int i = 0; i < MAX_REQUESTS; i++) {
        arrived_s[i] = (i ? arrived_s[i - 1] : 0) + 0.2 * vidur_rng_uniform(rng);
        lengths[i] = 1 + (int32_t)vidur_rng_below(rng, 90);
        lengths[MAX_REQUESTS + i] = 1 + (int32_t)vidur_rng_below(rng, 90);
    }
}

static void test_both_ways(void)
{
    enum { NUM_CASES = VIDUR_TEST_CASES(200) };
    int different = 0, slowed = 0;
    for (uint64_t i = 0; i < NUM_CASES; i++) {
        struct vidur_rng rng;
        struct vidur_deployment d;
        struct toy_step_times times;
        struct vidur_metrics plain, quick, free;
        double arrived_s[MAX_REQUESTS];
        int32_t lengths[2 * MAX_REQUESTS];
        vidur_rng_init(&rng, i, vidur_rng_stream("cpu limit", 0));
        draw(&rng, &d, &times, arrived_s, lengths);
        const bool closed = vidur_rng_below(&rng, 2);
        struct vidur_workload workload =
            toy_workload(MAX_REQUESTS, MAX_TOKENS, closed ? at_once : arrived_s,
                         lengths, lengths + MAX_REQUESTS);
        workload.concurrency = closed ? 1 + (int)vidur_rng_below(&rng, 12) : 0;
        struct vidur_simulator *a = run(&d, &times, &workload, true, &plain);
        struct vidur_simulator *b = run(&d, &times, &workload, false, &quick);
        if (toy_records_differ(vidur_simulator_requests(a),
                               vidur_simulator_requests(b)) ||
            toy_metrics_differ(&plain, &quick))
            different++;
        d.cpu_cores = 0;
        struct vidur_simulator *c = run(&d, &times, &workload, false, &free);
        slowed += quick.latency[VIDUR_LATENCY_tpot].mean >
                  1.1 * free.latency[VIDUR_LATENCY_tpot].mean;
        vidur_simulator_destroy(a);
        vidur_simulator_destroy(b);
        vidur_simulator_destroy(c);
    }
    CU_ASSERT_EQUAL(different, 0);
    CU_ASSERT(slowed > NUM_CASES / 4); /* the drawing reaches what it is meant to */
}

VIDUR_TEST_MAIN("CPU limit", {"spinning processes", test_spinning},
                {"limit of a deployment", test_limit}, {"stall", test_stall},
                {"steps of a period", test_steps_of_a_period},
                {"both ways, to the bit", test_both_ways})
