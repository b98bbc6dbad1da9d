#include "test.h"
#include "toy_cluster.h"
#include "toy_engine.h"
#include "toy_run.h"

#include <vidur/memory_plan.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ENGINE.md section 8 by hand: V1 engines whose layers are dealt to pipeline stages. */

enum { MAX_PASSES = 64, MAX_REQUESTS = 64, MAX_TOKENS = 8192, MAX_STEP = 2048 };

struct pass {
    int stage;
    double start_s, end_s;
    int size;
    int64_t tokens, contexts;
};

struct outcome {
    int num_passes;
    struct pass passes[MAX_PASSES];
    struct vidur_metrics metrics;
    double first_token_s[MAX_REQUESTS], completed_s[MAX_REQUESTS];
    double execution_s[MAX_REQUESTS], preempted_s[MAX_REQUESTS];
    int restarts[MAX_REQUESTS];
};

static int log_pass(void *context, const struct vidur_batch_record *record)
{
    struct outcome *out = context;
    double sum_s = 0;
    for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++)
        sum_s += record->step_parts_s[i];
    CU_ASSERT_DOUBLE_EQUAL(sum_s, record->execution_time_s, 1e-12);
    if (out->num_passes < MAX_PASSES)
        out->passes[out->num_passes++] = (struct pass){
            record->stage, record->started_at_s, record->ended_at_s,
            record->size,  record->num_tokens,   record->decode_context_tokens};
    return 0;
}

static void run(const struct vidur_deployment *deployment,
                const struct vidur_timetable *table,
                const struct vidur_workload *workload, struct outcome *out)
{
    *out = (struct outcome){0};
    const struct vidur_observer observer = {.context = out, .batch = log_pass};
    const struct vidur_run_options options = {.observer = &observer};
    struct vidur_simulator *simulator =
        toy_simulate(deployment, table, workload, &options, &out->metrics);
    const struct vidur_request_records *r = vidur_simulator_requests(simulator);
    for (int64_t i = 0; i < r->count; i++) {
        out->first_token_s[i] = r->prefill_completed_at_s[i];
        out->completed_s[i] = r->completed_at_s[i];
        out->execution_s[i] = r->execution_time_s[i];
        out->preempted_s[i] = r->preempted_time_s[i];
        out->restarts[i] = r->num_restarts[i];
    }
    vidur_simulator_destroy(simulator);
}

/* ---- Toys: a second a stage ---- */

struct load {
    int count;
    double arrived_at_s[MAX_REQUESTS];
    int32_t prompt[MAX_REQUESTS], output[MAX_REQUESTS];
    int budget, blocks; /* tokens of a step; KV blocks of 16 tokens, 0: plenty */
};

static void run_toy(const struct load *load, int stages, struct outcome *out)
{
    const struct toy_step_times times = {.fixed_ms = 1000};
    struct vidur_deployment deployment;
    toy_engine_deployment(&deployment);
    deployment.num_pipeline_stages = stages;
    deployment.scheduler.max_num_seqs = 4;
    deployment.scheduler.max_num_batched_tokens = load->budget;
    deployment.scheduler.num_blocks = load->blocks ? load->blocks : 1000;
    deployment.scheduler.prefix_caching = false;
    struct vidur_timetable *table =
        toy_engine_new(&times, MAX_STEP, MAX_REQUESTS, MAX_TOKENS);
    for (int i = 0; i < VIDUR_MAX_STAGE_KINDS; i++)
        table->engine_stages[i] = table->engine;
    const struct vidur_workload workload = toy_workload(
        load->count, MAX_TOKENS, load->arrived_at_s, load->prompt, load->output);
    run(&deployment, table, &workload, out);
    toy_engine_free(table);
}

/* Whoever arrives while a step is under way waits for its end, though the first stage
 * is free: with nobody else to schedule the engine waits for the step. */
static void test_engine_waits(void)
{
    const struct load load = {.count = 2,
                              .arrived_at_s = {0, 0.5},
                              .prompt = {4, 4},
                              .output = {3, 2},
                              .budget = 100};
    struct outcome out;
    run_toy(&load, 2, &out);
    CU_ASSERT_EQUAL(out.first_token_s[0], 2);
    CU_ASSERT_EQUAL(out.first_token_s[1], 4);
    CU_ASSERT_EQUAL(out.completed_s[0], 6);
    CU_ASSERT_EQUAL(out.completed_s[1], 6);
    CU_ASSERT_EQUAL(out.metrics.pipeline_idle_fraction, 0.5);
}

/* What a step's budget leaves out goes into the next, which follows at once; the two
 * then take turns. */
static void test_steps_take_turns(void)
{
    const struct load load = {
        .count = 2, .prompt = {4, 4}, .output = {3, 3}, .budget = 4};
    struct outcome out;
    run_toy(&load, 2, &out);
    CU_ASSERT_EQUAL(out.first_token_s[0], 2);
    CU_ASSERT_EQUAL(out.first_token_s[1], 3);
    CU_ASSERT_EQUAL(out.completed_s[0], 6);
    CU_ASSERT_EQUAL(out.completed_s[1], 7);
    /* stages at work: 6 s each of 7 */
    CU_ASSERT_DOUBLE_EQUAL(out.metrics.pipeline_idle_fraction, 1 - 6. / 7, 1e-12);
}

/* Parts of a prompt follow each other through the stages; the first of them counts as
 * execution on all stages, the others on the last, where alone they take longer. */
static void test_prompts_are_chained(void)
{
    const struct load load = {
        .count = 2, .prompt = {10, 2}, .output = {2, 1}, .budget = 4};
    struct outcome out;
    run_toy(&load, 3, &out);
    /* 4 and 4 tokens at 0 and 1, then 2 and the other prompt */
    CU_ASSERT_EQUAL(out.first_token_s[0], 5);
    CU_ASSERT_EQUAL(out.first_token_s[1], 5);
    CU_ASSERT_EQUAL(out.completed_s[1], 5);
    CU_ASSERT_EQUAL(out.completed_s[0], 8);
    CU_ASSERT_EQUAL(out.execution_s[0], 8);
    CU_ASSERT_EQUAL(out.preempted_s[0], 0);
    CU_ASSERT_EQUAL(out.execution_s[1], 3);
    CU_ASSERT_EQUAL(out.passes[0].tokens, 4);
    CU_ASSERT_EQUAL(out.passes[1].tokens, 4);
    CU_ASSERT_EQUAL(out.metrics.num_batches, 4);
}

/* A request of the step that is fixed loses its blocks, one under way keeps them. */
static void test_preemption(void)
{
    const struct load load = {
        .count = 2, .prompt = {16, 16}, .output = {4, 4}, .budget = 16, .blocks = 2};
    struct outcome out;
    run_toy(&load, 2, &out);
    /* Both hold a block; the first wants another at 2, while the second is under way.
     */
    CU_ASSERT_EQUAL(out.restarts[0], 1);
    CU_ASSERT_EQUAL(out.restarts[1], 0);
    CU_ASSERT_EQUAL(out.first_token_s[0], 2);
    CU_ASSERT_EQUAL(out.first_token_s[1], 3);
    CU_ASSERT_EQUAL(out.completed_s[1], 9); /* with the block that it left */
    /* Then 17 tokens in two parts, the last ending at 12, and two more steps. */
    CU_ASSERT_EQUAL(out.completed_s[0], 16);
}

/* ---- A model of 70B over two nodes ---- */

static void load_70b(struct vidur_deployment *d, int tp, int stages)
{
    struct vidur_error err = {0};
    vidur_deployment_defaults(d);
    strcpy(d->scheduler.type, "vllm_v1");
    d->tensor_parallel_size = tp;
    d->num_pipeline_stages = stages;
    d->scheduler.max_num_seqs = 32;
    d->scheduler.max_num_batched_tokens = 256;
    d->scheduler.prefix_caching = false;
    if (vidur_model_load(&d->model, "meta-llama/Llama-2-70b-hf", &err) ||
        vidur_device_sku_load(&d->device, "h100", &err) ||
        vidur_node_sku_load(&d->node, "h100_dgx", &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
}

static struct vidur_timetable *open_70b(const struct vidur_deployment *d)
{
    struct vidur_estimator_config config;
    struct vidur_timetable_request request;
    struct vidur_timetable *table = NULL;
    struct vidur_error err = {0};
    vidur_estimator_config_defaults(&config);
    config.source = VIDUR_SOURCE_ROOFLINE;
    vidur_deployment_table_limits(d, MAX_TOKENS, &request);
    if (vidur_timetable_open(&table, &config, &request, NULL, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return table;
}

/* x D values of two bytes, as ms over the link of an h100_dgx or between two. */
static double send_ms(const struct vidur_node_sku *node, bool far, int tokens)
{
    const double bytes = 2.0 * 8192 * tokens;
    return far ? bytes / (node->inter_node_bandwidth_gb_per_s * 1e6 *
                          node->inter_node_efficiency) +
                     node->inter_node_latency_us * 1e-3
               : bytes / (node->link_bandwidth_gb_per_s * 1e6 * node->link_efficiency) +
                     node->link_latency_us * 1e-3;
}

/* Stages are those of a model with a stage's layers: the first without a head, which
 * the last has, the last without the embedding; the others have neither. */
static void check_stages(int tp, int stages, int far_behind)
{
    struct vidur_deployment d, part;
    load_70b(&d, tp, stages);
    struct outcome out;
    const double arrived_at_s[] = {0};
    const int32_t prompt[] = {100}, output[] = {2};
    const struct vidur_workload workload =
        toy_workload(1, MAX_TOKENS, arrived_at_s, prompt, output);
    struct vidur_timetable *table = open_70b(&d);
    run(&d, table, &workload, &out);
    load_70b(&part, tp, 1);
    part.model.num_layers = part.model.kinds[0].count = 80 / stages;
    struct vidur_timetable *alone = open_70b(&part);
    const struct vidur_engine_table *t = alone->engine;
    const double embedding_ms = 4.0 * 8192 * 100 / (0.8 * 3350e6) + 3e-3;
    double now_s = out.passes[0].start_s;
    CU_ASSERT_EQUAL_FATAL(out.num_passes, 2 * stages);
    for (int s = 0; s < stages; s++) {
        double ms = t->linear_ms[100] + t->context_ms[100]; /* no graph is as large */
        ms -= s > 0 ? embedding_ms : 0;
        ms += s < stages - 1 ? send_ms(&d.node, s == far_behind, 100) : t->head_ms[1];
        CU_ASSERT_EQUAL(out.passes[s].stage, s);
        CU_ASSERT_EQUAL(out.passes[s].start_s, now_s);
        CU_ASSERT_DOUBLE_EQUAL(out.passes[s].end_s - now_s, ms * 1e-3, 1e-9);
        now_s = out.passes[s].end_s;
    }
    CU_ASSERT_EQUAL(out.first_token_s[0], now_s);
    for (int s = 0; s < stages; s++) {
        const struct pass *pass = &out.passes[stages + s];
        const double small_ms = 4.0 * 8192 / (0.8 * 3350e6) + 3e-3;
        double ms =
            t->linear_ms[1] + t->decode_launch_ms + 101 * t->decode_ms_per_token;
        ms -= s > 0 ? small_ms : 0;
        ms += s < stages - 1 ? send_ms(&d.node, s == far_behind, 1) : t->head_ms[1];
        CU_ASSERT_DOUBLE_EQUAL(pass->end_s - pass->start_s, ms * 1e-3, 1e-9);
    }
    vidur_timetable_close(alone);
    vidur_timetable_close(table);
}

static void test_two_nodes(void)
{
    check_stages(8, 2, 0); /* a node each */
    check_stages(4, 4, 1); /* two in each */
}

/* Blocks are those of the stage that has least room for them. */
static void test_memory(void)
{
    struct vidur_deployment d;
    struct vidur_memory_plan plan;
    load_70b(&d, 4, 3);
    vidur_memory_plan(&d, MAX_TOKENS, &plan);
    /* 27 layers and the embedding, 27, 26 and the head */
    const double layer = 8192.0 * 128 * (16 + 2 * 2 + 16) + 3.0 * 8192 * 28672 / 4;
    CU_ASSERT_EQUAL(plan.param_bytes, 2 * (27 * layer + 32000.0 * 8192 / 4));
    CU_ASSERT_EQUAL(plan.kv_bytes_per_token, 27 * 2.0 * 2 * 128 * 2);
    const double room = plan.available_bytes - plan.param_bytes;
    CU_ASSERT_EQUAL(plan.num_blocks,
                    (int64_t)floor(room / (16 * plan.kv_bytes_per_token)));
}

/* More requests at once keep more steps under way: fewer bubbles. The first step has
 * one prompt, the next all that arrived while the engine waited for it to end; what is
 * beyond a step's budget is what a second one gets. */
static void test_bubbles(void)
{
    double arrived_at_s[MAX_REQUESTS] = {0}, idle_before = 1;
    int32_t prompt[MAX_REQUESTS], output[MAX_REQUESTS];
    struct vidur_deployment d;
    load_70b(&d, 4, 4);
    struct vidur_timetable *table = open_70b(&d);
    for (int i = 0; i < MAX_REQUESTS; i++) {
        prompt[i] = 200;
        output[i] = 60;
    }
    printf("\n ");
    static const int numbers[] = {1, 4, 6, 8};
    for (int i = 0; i < 4; i++) {
        const int clients = numbers[i];
        struct outcome out;
        struct vidur_workload workload =
            toy_workload(MAX_REQUESTS, MAX_TOKENS, arrived_at_s, prompt, output);
        workload.concurrency = clients;
        run(&d, table, &workload, &out);
        const double idle = out.metrics.pipeline_idle_fraction;
        printf(" %d clients: idle %.3f;", clients, idle);
        CU_ASSERT(idle < idle_before);
        CU_ASSERT_EQUAL(out.metrics.num_completed, MAX_REQUESTS);
        if (clients == 1)
            CU_ASSERT_DOUBLE_EQUAL(idle, 0.75, 0.01); /* one of four stages works */
        idle_before = idle;
    }
    CU_ASSERT(idle_before < 0.05);
    printf("\n");
    vidur_timetable_close(table);
}

VIDUR_TEST_MAIN("vllm_v1 pipeline", {"the engine waits", test_engine_waits},
                {"steps take turns", test_steps_take_turns},
                {"prompts are chained", test_prompts_are_chained},
                {"preemption", test_preemption}, {"two nodes", test_two_nodes},
                {"memory", test_memory}, {"bubbles", test_bubbles})
