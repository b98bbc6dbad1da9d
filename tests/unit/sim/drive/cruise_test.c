#include "test.h"
#include "toy_scenario.h"

#include "steps/step_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Pipelines of policies from outside the library that count their batches, whose steps
 * grow, or whose stages differ: the quick way through a run against plain stepping, to
 * the bit.
 */

enum { CASES = 120, PERIOD = 5, STATE = 64 };

/* ---- A scheduler that counts ---- */

/* Sarathi, but while something runs it looks at the queue once in PERIOD batches. */
static const struct vidur_scheduler_ops *inner(void)
{
    return vidur_scheduler_find("sarathi");
}

static size_t patient_bytes(const struct vidur_scheduler_env *env)
{
    return STATE + inner()->state_bytes(env);
}

static void patient_init(void *state, const struct vidur_scheduler_env *env)
{
    *(int64_t *)state = 0;
    inner()->init((char *)state + STATE, env);
}

static void patient_next(void *state, struct vidur_replica *replica,
                         struct vidur_batch *batch)
{
    int64_t *count = state;
    const int32_t head = replica->queue_head;
    const bool running = vidur_running_count(replica) > 0;
    const bool hides = running && *count % PERIOD != 0;
    if (hides)
        replica->queue_head = VIDUR_NO_REQUEST;
    inner()->next_batch((char *)state + STATE, replica, batch);
    if (hides)
        replica->queue_head = head;
    *count += running && batch->count > 0;
}

static int64_t patient_repeats(const void *state, const struct vidur_replica *replica,
                               const struct vidur_batch *batch)
{
    const int64_t *count = state;
    const int64_t times = inner()->repeats((const char *)state + STATE, replica, batch);
    if (times == 1 || vidur_queue_head(replica) == VIDUR_NO_REQUEST)
        return times;
    return 1 + (PERIOD - *count % PERIOD) % PERIOD;
}

static void patient_repeated(void *state, struct vidur_replica *replica,
                             const struct vidur_batch *batch, int64_t times)
{
    (void)replica, (void)batch;
    *(int64_t *)state += times;
}

/* ---- A step that grows with its contexts ---- */

static size_t growing_bytes(const struct vidur_step_env *env)
{
    (void)env;
    return 1;
}

static int growing_init(void *state, const struct vidur_step_env *env,
                        struct vidur_error *err)
{
    (void)state, (void)env, (void)err;
    return 0;
}

static double growing_s(const struct vidur_live_batch *batch, int64_t contexts)
{
    return 0.25 + 0x1p-10 * (double)batch->seen.num_tokens + 0x1p-12 * (double)contexts;
}

static void growing_time(const void *state, const struct vidur_replica *replica,
                         struct vidur_live_batch *batch)
{
    (void)state, (void)replica;
    const double time_s = growing_s(batch, batch->decode_context_tokens);
    batch->step =
        (struct vidur_step_time){.stage_s = {time_s, time_s}, .repeats = INT32_MAX};
}

static double growing_repeated_s(const void *state,
                                 const struct vidur_live_batch *batch, int64_t ahead)
{
    (void)state;
    return growing_s(batch, batch->decode_context_tokens + ahead * batch->seen.count);
}

static int growing_granularity(const void *state)
{
    (void)state;
    return 1;
}

static bool growing_overhead(const void *state)
{
    (void)state;
    return false;
}

static const struct vidur_step_model_ops growing = {
    .name = "growing",
    .state_bytes = growing_bytes,
    .init = growing_init,
    .time = growing_time,
    .repeated_s = growing_repeated_s,
    .context_granularity = growing_granularity,
    .has_cpu_overhead = growing_overhead};

/* ---- Steps of uneven stages ---- */

enum { UNEVEN_KINDS = 4 };

static int uneven_init(void *state, const struct vidur_step_env *env,
                       struct vidur_error *err)
{
    (void)err;
    *(uint8_t *)state = (uint8_t)env->deployment->num_pipeline_stages;
    return 0;
}

static int32_t uneven_kind(const void *state, int32_t stage)
{
    const int32_t last = *(const uint8_t *)state - 1;
    return stage == last ? VIDUR_STAGE_LAST : stage ? 1 + stage : 0;
}

static void uneven_time(const void *state, const struct vidur_replica *replica,
                        struct vidur_live_batch *batch)
{
    (void)state, (void)replica;
    batch->step = (struct vidur_step_time){.repeats = INT32_MAX};
    for (int i = 0; i < UNEVEN_KINDS; i++) {
        batch->step.stage_s[i] =
            (1.0 + 7 * i % 3) / 3 + 0x1p-10 * (double)batch->seen.num_tokens;
        batch->step.communication_s[i] = 0.01 * i;
    }
}

static const struct vidur_step_model_ops uneven = {
    .name = "uneven",
    .state_bytes = growing_bytes,
    .init = uneven_init,
    .stage_kind = uneven_kind,
    .time = uneven_time,
    .context_granularity = growing_granularity,
    .has_cpu_overhead = growing_overhead};

/* ---- Both ways ---- */

static struct vidur_simulator *simulate(const struct vidur_scheduler_ops *ops,
                                        const struct toy_scenario *scenario, bool plain,
                                        const struct vidur_timetable *table,
                                        struct vidur_metrics *metrics)
{
    struct vidur_error err = {0};
    struct vidur_simulator *simulator = NULL;
    const struct vidur_simulator_inputs inputs = {.timetable = table,
                                                  .max_tokens = TOY_MAX_TOKENS};
    const struct vidur_run_options options = {.plain_stepping = plain};
    const struct vidur_workload workload = toy_scenario_workload(scenario);
    if (vidur_simulator_create_with(&simulator, ops, &scenario->deployment, &inputs,
                                    &err) ||
        vidur_simulator_run(simulator, &workload, &options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return simulator;
}

/* One to four stages, and blocks for all. */
static bool differs(const struct vidur_scheduler_ops *ops, uint64_t index)
{
    struct toy_scenario *scenario = toy_scenario_draw(index);
    struct vidur_metrics plain, quick;
    CU_ASSERT_PTR_NOT_NULL_FATAL(scenario);
    strcpy(scenario->deployment.scheduler.type, "sarathi");
    scenario->deployment.num_pipeline_stages = 1 + (int)(index % 4);
    scenario->deployment.scheduler.batch_size_cap = TOY_MAX_BATCH;
    scenario->deployment.scheduler.num_blocks = TOY_MAX_REQUESTS * TOY_MAX_TOKENS;
    struct vidur_timetable *table = toy_scenario_timetable(scenario);
    struct vidur_simulator *a = simulate(ops, scenario, true, table, &plain);
    struct vidur_simulator *b = simulate(ops, scenario, false, table, &quick);
    const bool differs =
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b)) ||
        toy_metrics_differ(&plain, &quick);
    CU_ASSERT_EQUAL(plain.num_completed, scenario->count);
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    toy_timetable_free(table);
    free(scenario);
    return differs;
}

static int count_different(const struct vidur_scheduler_ops *ops)
{
    int different = 0;
    for (uint64_t i = 0; i < CASES; i++)
        different += differs(ops, i);
    return different;
}

static void test_counting_scheduler(void)
{
    struct vidur_scheduler_ops ops = *inner();
    ops.name = "patient";
    ops.state_bytes = patient_bytes;
    ops.init = patient_init;
    ops.next_batch = patient_next;
    ops.repeats = patient_repeats;
    ops.repeated = patient_repeated;
    CU_ASSERT_EQUAL(count_different(&ops), 0);
}

static void test_growing_steps(void)
{
    struct vidur_scheduler_ops ops = *inner();
    ops.name = "sarathi with growing steps";
    ops.step_model = &growing;
    CU_ASSERT_EQUAL(count_different(&ops), 0);
}

static void test_uneven_stages(void)
{
    struct vidur_scheduler_ops ops = *inner();
    ops.name = "sarathi with uneven stages";
    ops.step_model = &uneven;
    CU_ASSERT_EQUAL(count_different(&ops), 0);
}

VIDUR_TEST_MAIN("cruise",
                {"a scheduler that counts its batches", test_counting_scheduler},
                {"steps that grow", test_growing_steps},
                {"stages that differ", test_uneven_stages})
