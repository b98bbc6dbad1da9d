#include "one_at_a_time.h"
#include "test.h"
#include "toy_cluster.h"

#include <vidur/scheduler.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What each scheduler puts into its batches, by hand: an iteration takes a second, and
 * a run is written down as `TIME:REQUESTxTOKENS,... ...`. And a scheduler from outside.
 */

enum { MAX_TOKENS = 64, TEXT = 4096 };

struct script {
    int count;
    double arrived_at_s[8];
    int32_t prefill[8];
    int32_t decode[8];
};

static int log_batch(void *context, const struct vidur_batch_record *record)
{
    char *text = context;
    size_t used = strlen(text);
    if (record->stage > 0)
        return 0;
    used += (size_t)snprintf(text + used, TEXT - used, "%s%g:", used ? " " : "",
                             record->started_at_s);
    for (int i = 0; i < record->size; i++)
        used += (size_t)snprintf(text + used, TEXT - used, "%s%dx%d", i ? "," : "",
                                 (int)record->request_ids[i],
                                 (int)record->request_tokens[i]);
    return 0;
}

static struct vidur_timetable *one_second(void)
{
    return toy_timetable_new(&(struct toy_times){.fixed_ms = 1000.0 / TOY_LAYERS}, 1024,
                             64);
}

static struct vidur_metrics play(const struct vidur_deployment *deployment,
                                 const struct vidur_scheduler_ops *ops,
                                 const struct script *script, char text[TEXT])
{
    struct vidur_error err = {0};
    struct vidur_metrics metrics = {0};
    struct vidur_simulator *simulator = NULL;
    struct vidur_timetable *table = one_second();
    const struct vidur_simulator_inputs inputs = {.timetable = table,
                                                  .max_tokens = MAX_TOKENS};
    const struct vidur_workload workload =
        toy_workload(script->count, MAX_TOKENS, script->arrived_at_s, script->prefill,
                     script->decode);
    const struct vidur_observer observer = {.context = text, .batch = log_batch};
    const struct vidur_run_options options = {.observer = &observer};
    text[0] = '\0';
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_create_with(&simulator, ops, deployment, &inputs, &err), 0);
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(simulator, &workload, &options, &metrics, &err), 0);
    vidur_simulator_destroy(simulator);
    toy_timetable_free(table);
    return metrics;
}

static void expect(const struct vidur_deployment *deployment,
                   const struct script *script, const char *expected)
{
    char text[TEXT];
    play(deployment, vidur_scheduler_find(deployment->scheduler.type), script, text);
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected))
        printf("\n  %s\n  expected %s\n  got      %s", deployment->scheduler.type,
               expected, text);
}

/* Two requests, and a third in the second iteration. */
static const struct script three = {3, {0, 0, 1.5}, {10, 20, 5}, {3, 2, 2}};

static void test_three_requests(void)
{
    static const struct {
        const char *name, *expected;
    } cases[] = {
        {"vllm", "0:0x10,1x20 1:0x1,1x1 2:2x5 3:0x1,2x1"},
        {"sarathi", "0:0x10,1x6 1:0x1,1x14 2:0x1,1x1,2x5 3:2x1"},
        {"orca", "0:0x10,1x20 1:0x1,1x1 2:0x1,2x5 3:2x1"},
        {"faster_transformer", "0:0x10,1x20 1:0x1,1x1 2:0x1 3:2x5 4:2x1"},
        {"lightllm", "0:0x10,1x20 1:0x1,1x1 2:0x1 3:2x5 4:2x1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_deployment deployment;
        toy_deployment(&deployment, cases[i].name);
        deployment.scheduler.chunk_size = 16;
        expect(&deployment, &three, cases[i].expected);
    }
}

static void test_lightllm_lets_prompts_in(void)
{
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "lightllm");
    deployment.scheduler.max_waiting_iters = 1;
    expect(&deployment, &three, "0:0x10,1x20 1:0x1,1x1 2:2x5 3:0x1,2x1");
    /* The estimate: 11 + 21 tokens would be there after the prompts. */
    deployment.scheduler.num_blocks = 33;
    expect(&deployment, &three, "0:0x10,1x20 1:0x1,1x1 2:2x5 3:0x1,2x1");
    deployment.scheduler.num_blocks = 32;
    expect(&deployment, &three, "0:0x10 1:0x1 2:0x1 3:1x20,2x5 4:1x1,2x1");
}

/* Limits on what is admitted together. */
static void test_limits(void)
{
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "vllm");
    deployment.scheduler.max_tokens_in_batch = 39; /* padded: 2 x 20 are 40 */
    expect(&deployment, &three, "0:0x10 1:1x20 2:2x5 3:0x1,1x1,2x1 4:0x1");
    toy_deployment(&deployment, "vllm");
    deployment.scheduler.batch_size_cap = 1;
    expect(&deployment, &three, "0:0x10 1:0x1 2:0x1 3:1x20 4:1x1 5:2x5 6:2x1");
    toy_deployment(&deployment, "sarathi");
    deployment.scheduler.chunk_size = 4; /* decodes go first, then one prompt */
    expect(&deployment, &three,
           "0:0x4 1:0x4 2:0x2,1x2 3:0x1,1x3 4:0x1,1x3 5:1x4 6:1x4 7:1x4 8:1x1,2x3 "
           "9:2x2 10:2x1");
    toy_deployment(&deployment, "orca");
    deployment.scheduler.num_blocks = 7; /* whole sequences of 64 tokens: 4 blocks */
    expect(&deployment, &three, "0:0x10 1:0x1 2:0x1 3:1x20 4:1x1 5:2x5 6:2x1");
}

/* Blocks of 4 tokens, 4 of them: two requests outgrow them. The later one is evicted
 * and computes its tokens again as prompt. */
static void test_eviction(void)
{
    static const struct script two = {2, {0, 0}, {4, 4}, {4, 4}};
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "vllm");
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 4;
    deployment.scheduler.watermark_blocks_fraction = 0;
    expect(&deployment, &two, "0:0x4,1x4 1:0x1,1x1 2:0x1 3:1x6 4:0x1 5:1x7");
    strcpy(deployment.scheduler.type, "sarathi");
    expect(&deployment, &two, "0:0x4,1x4 1:0x1,1x1 2:0x1,1x6 3:0x1,1x7");
}

/* A prompt evicted after 5 of its 12 tokens, when the other request takes the last of 6
 * blocks: computed again from the start, or (the reference) the 5 become the prompt and
 * the other 7 output. */
static void test_eviction_in_mid_prefill(void)
{
#define UNTIL_EVICTED "0:0x2 1:0x2 2:0x1,1x1 3:0x1,1x1 4:0x1,1x1 5:0x1,1x1 6:0x1,1x1 "
    static const struct script two = {2, {0, 0.5}, {4, 12}, {8, 1}};
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "sarathi");
    deployment.scheduler.block_size = 4;
    deployment.scheduler.num_blocks = 6;
    deployment.scheduler.chunk_size = 2;
    deployment.scheduler.watermark_blocks_fraction = 0.17;
    expect(&deployment, &two,
           UNTIL_EVICTED "7:0x1 8:0x1 9:1x2 10:1x2 11:1x2 12:1x2 13:1x2 14:1x2");
    deployment.semantics = VIDUR_SEMANTICS_VIDUR; /* 5 tokens fit in at once */
    expect(&deployment, &two,
           UNTIL_EVICTED "7:0x1,1x1 8:0x1,1x1 9:1x2 10:1x1 11:1x1 12:1x1 13:1x1 14:1x1 "
                         "15:1x1 16:1x1 17:1x1");
#undef UNTIL_EVICTED
}

/* Two stages: two batches in flight, each half the cap. */
static void test_pipeline(void)
{
    static const struct script four = {4, {0, 0, 0, 0}, {4, 4, 4, 4}, {2, 2, 2, 2}};
    struct vidur_deployment deployment;
    toy_deployment(&deployment, "vllm");
    deployment.num_pipeline_stages = 2; /* of half a second */
    deployment.scheduler.batch_size_cap = 4;
    expect(&deployment, &four, "0:0x4,1x4 0.5:2x4,3x4 1:0x1,1x1 1.5:2x1,3x1");
}

static void test_registry(void)
{
    int count = 0;
    for (const struct vidur_scheduler_ops *ops; (ops = vidur_scheduler_at(count));
         count++)
        CU_ASSERT_PTR_EQUAL(vidur_scheduler_find(ops->name), ops);
    CU_ASSERT(count >= 5);
    CU_ASSERT_PTR_NULL(vidur_scheduler_at(-1));
    CU_ASSERT_PTR_NULL(vidur_scheduler_find("vLLM"));
}

/* ---- A scheduler from outside ---- */

static void test_from_outside(void)
{
    struct vidur_deployment deployment;
    char text[TEXT];
    toy_deployment(&deployment, "vllm");
    const struct vidur_metrics metrics =
        play(&deployment, &one_at_a_time, &three, text);
    CU_ASSERT_STRING_EQUAL(text, "0:0x10 1:0x1 2:0x1 3:1x20 4:1x1 5:2x5 6:2x1");
    CU_ASSERT_EQUAL(metrics.num_completed, 3);
    CU_ASSERT_EQUAL(metrics.memory_usage, 0);
}

/* It is driven quickly, too, and by the same batches. */
static void test_from_outside_quickly(void)
{
    struct vidur_error err = {0};
    struct vidur_deployment deployment;
    struct vidur_simulator *simulator;
    struct vidur_metrics plain, quick;
    struct vidur_timetable *table = one_second();
    const struct vidur_simulator_inputs inputs = {.timetable = table,
                                                  .max_tokens = MAX_TOKENS};
    const struct vidur_workload workload = toy_workload(
        three.count, MAX_TOKENS, three.arrived_at_s, three.prefill, three.decode);
    struct vidur_run_options options = {0};
    toy_deployment(&deployment, "vllm");
    CU_ASSERT_EQUAL_FATAL(vidur_simulator_create_with(&simulator, &one_at_a_time,
                                                      &deployment, &inputs, &err),
                          0);
    CU_ASSERT_EQUAL(vidur_simulator_run(simulator, &workload, &options, &quick, &err),
                    0);
    options.plain_stepping = true;
    CU_ASSERT_EQUAL(vidur_simulator_run(simulator, &workload, &options, &plain, &err),
                    0);
    CU_ASSERT_PTR_NULL(toy_metrics_differ(&plain, &quick));
    CU_ASSERT_EQUAL(quick.num_batches, 7);
    vidur_simulator_destroy(simulator);
    toy_timetable_free(table);
}

static void refuse(const struct vidur_scheduler_ops *ops, const char *missing)
{
    struct vidur_error err = {0};
    struct vidur_deployment deployment;
    struct vidur_simulator *simulator;
    struct vidur_timetable *table = one_second();
    const struct vidur_simulator_inputs inputs = {.timetable = table,
                                                  .max_tokens = MAX_TOKENS};
    toy_deployment(&deployment, "vllm");
    CU_ASSERT_EQUAL(
        vidur_simulator_create_with(&simulator, ops, &deployment, &inputs, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ops->name));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, missing));
    toy_timetable_free(table);
}

/* Facts that no default can stand for. */
static void test_missing_facts(void)
{
    struct vidur_scheduler_ops ops = one_at_a_time;
    ops.step_model = NULL;
    refuse(&ops, "step_model");
    ops = one_at_a_time;
    ops.batch_cap = VIDUR_KNOB_NONE;
    refuse(&ops, "batch_cap");
    ops = one_at_a_time;
    ops.next_batch = NULL;
    refuse(&ops, "next_batch");
    ops = one_at_a_time;
    ops.whole_prompts = true;
    refuse(&ops, "token_budget");
}

/* Every scheduler lists the knobs that its facts speak of, and has its blocks sized. */
static void test_registered_facts(void)
{
    const struct vidur_scheduler_ops *ops;
    for (int i = 0; (ops = vidur_scheduler_at(i)); i++) {
        CU_ASSERT_PTR_NOT_NULL(ops->step_model);
        CU_ASSERT(ops->batch_cap != VIDUR_KNOB_NONE);
        CU_ASSERT(vidur_scheduler_uses(ops, ops->batch_cap));
        CU_ASSERT(ops->token_budget == VIDUR_KNOB_NONE ||
                  vidur_scheduler_uses(ops, ops->token_budget));
        CU_ASSERT(!ops->whole_prompts || ops->token_budget != VIDUR_KNOB_NONE);
        CU_ASSERT(vidur_scheduler_uses(ops, VIDUR_KNOB_block_size));
        CU_ASSERT(vidur_scheduler_uses(ops, VIDUR_KNOB_num_blocks));
        CU_ASSERT_FALSE(vidur_scheduler_uses(ops, VIDUR_KNOB_NONE));
        CU_ASSERT_EQUAL(ops->knobs >> VIDUR_KNOBS_END, 0);
        for (const struct vidur_engine_argument *a = ops->engine_arguments;
             a && a->flag; a++)
            CU_ASSERT(a->knob == VIDUR_KNOB_NONE || vidur_scheduler_uses(ops, a->knob));
    }
    struct vidur_deployment deployment;
    vidur_deployment_defaults(&deployment);
    CU_ASSERT_STRING_EQUAL(deployment.scheduler.type, vidur_scheduler_default()->name);
}

/* A scheduler from outside keeps its facts, whatever the deployment names. */
static void plan_nine(const struct vidur_deployment *deployment, int max_tokens,
                      struct vidur_memory_plan *plan)
{
    (void)deployment, (void)max_tokens;
    plan->num_blocks = plan->request_slots = 9;
}

static void test_facts_from_outside(void)
{
    struct vidur_scheduler_ops ops = one_at_a_time;
    struct vidur_deployment deployment;
    struct vidur_memory_plan plan;
    toy_deployment(&deployment, "vllm");
    deployment.scheduler.num_blocks = 0;
    deployment.scheduler.max_num_seqs = 7;
    ops.batch_cap = VIDUR_KNOB_max_num_seqs;
    ops.plan_memory = plan_nine;
    vidur_memory_plan_with(&ops, &deployment, MAX_TOKENS, &plan);
    CU_ASSERT(plan.fits);
    CU_ASSERT_EQUAL(plan.num_blocks, 9);
    CU_ASSERT_EQUAL(plan.max_batch_size, 7);
    ops.token_budget = VIDUR_KNOB_chunk_size;
    deployment.scheduler.chunk_size = 10;
    CU_ASSERT(vidur_scheduler_takes_prompt(&ops, &deployment.scheduler, 11));
    ops.whole_prompts = true;
    CU_ASSERT(vidur_scheduler_takes_prompt(&ops, &deployment.scheduler, 10));
    CU_ASSERT_FALSE(vidur_scheduler_takes_prompt(&ops, &deployment.scheduler, 11));
    /* One that nobody knows fits nowhere. */
    snprintf(deployment.scheduler.type, sizeof deployment.scheduler.type, "nobody");
    vidur_memory_plan(&deployment, MAX_TOKENS, &plan);
    CU_ASSERT_FALSE(plan.fits);
    CU_ASSERT_EQUAL(vidur_deployment_batch_cap(&deployment), 0);
}

static void test_knobs(void)
{
    struct vidur_deployment deployment;
    vidur_deployment_defaults(&deployment);
    const struct vidur_scheduler_config *knobs = &deployment.scheduler;
    CU_ASSERT_STRING_EQUAL(vidur_knob_name(VIDUR_KNOB_NONE), "");
    CU_ASSERT_EQUAL(vidur_knob_value(knobs, VIDUR_KNOB_NONE), 0);
    CU_ASSERT_STRING_EQUAL(vidur_knob_name(VIDUR_KNOB_chunk_size), "chunk_size");
    CU_ASSERT_EQUAL(vidur_knob_value(knobs, VIDUR_KNOB_gpu_memory_utilization), 0.9);
    CU_ASSERT_EQUAL(vidur_knob_value(knobs, VIDUR_KNOB_async_scheduling), 1);
}

VIDUR_TEST_MAIN("schedulers", {"three requests", test_three_requests},
                {"lightllm lets prompts in", test_lightllm_lets_prompts_in},
                {"limits", test_limits}, {"eviction", test_eviction},
                {"eviction in mid-prefill", test_eviction_in_mid_prefill},
                {"pipeline", test_pipeline}, {"registry", test_registry},
                {"from outside", test_from_outside},
                {"from outside, quickly", test_from_outside_quickly},
                {"missing facts", test_missing_facts},
                {"registered facts", test_registered_facts},
                {"facts from outside", test_facts_from_outside}, {"knobs", test_knobs})
