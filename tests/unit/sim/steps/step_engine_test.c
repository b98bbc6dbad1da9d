#include "test.h"
#include "toy_engine.h"

#include "steps/step_model.h"

#include <vidur/simulator.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The step model `engine` against the formula of <vidur/engine_table.h>. */

enum { MAX_STEP = 700, MAX_BATCH = 16, MAX_CONTEXT = 1024, MAX_ROWS = 8 };

static const struct toy_step_times times = {.fixed_ms = 2,
                                            .per_token_ms = 0.01,
                                            .per_sampled_ms = 0.05,
                                            .launch_ms = 0.3,
                                            .per_context_ms = 0.001,
                                            .per_square_ms = 1e-5,
                                            .row_ms = 0.0015,
                                            .mixed_ms = 0.125,
                                            .tokenise_ms = 0.02,
                                            .api_ms = 7};

/* A request in a batch: n tokens done, `tokens` to do; beyond its prompt it decodes. */
struct row {
    int prompt, n, tokens;
};

struct fixture {
    struct vidur_timetable *timetable;
    struct vidur_deployment deployment;
    void *state;
    int32_t prefill[MAX_ROWS], processed[MAX_ROWS];
    int32_t member[MAX_ROWS], member_tokens[MAX_ROWS], member_prefix[MAX_ROWS];
    uint8_t flags[MAX_ROWS];
    struct vidur_request_table table;
    struct vidur_replica replica;
    struct vidur_live_batch batch;
};

static void begin_with(struct fixture *f, const struct toy_step_times *step_times)
{
    memset(f, 0, sizeof *f);
    f->timetable = toy_engine_new(step_times, MAX_STEP, MAX_BATCH, MAX_CONTEXT);
    toy_engine_deployment(&f->deployment);
    f->deployment.scheduler.max_num_seqs = 300;
    f->table = (struct vidur_request_table){.prefill_tokens = f->prefill,
                                            .processed_tokens = f->processed,
                                            .flags = f->flags};
    f->replica =
        (struct vidur_replica){.requests = &f->table, .context_granularity = 1};
}

static void begin(struct fixture *f)
{
    begin_with(f, &times);
}

static int open_model(struct fixture *f, struct vidur_error *err)
{
    const struct vidur_step_env env = {&f->deployment, f->timetable, MAX_CONTEXT};
    f->state = malloc(vidur_step_engine.state_bytes(&env));
    return vidur_step_engine.init(f->state, &env, err);
}

static void end(struct fixture *f)
{
    free(f->state);
    toy_engine_free(f->timetable);
}

static void check_parts(const struct fixture *f)
{
    double parts_s[VIDUR_NUM_STEP_PARTS], sum_s = 0;
    vidur_step_engine.parts(f->state, &f->replica, &f->batch, VIDUR_STAGE_LAST,
                            parts_s);
    for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++)
        sum_s += parts_s[i];
    if (isnan(f->batch.step.stage_s[1])) {
        CU_ASSERT_TRUE(isnan(sum_s));
    } else {
        CU_ASSERT_DOUBLE_EQUAL(sum_s, f->batch.step.stage_s[1], 1e-12);
    }
}

/* The last stage's time in ms. */
static double time_of(struct fixture *f, const struct row *rows, int count)
{
    f->batch = (struct vidur_live_batch){.seen.group = VIDUR_NO_GROUP,
                                         .seen.member = f->member,
                                         .seen.member_tokens = f->member_tokens,
                                         .seen.member_prefix = f->member_prefix,
                                         .seen.capacity = MAX_ROWS};
    for (int i = 0; i < count; i++) {
        f->prefill[i] = rows[i].prompt;
        f->processed[i] = rows[i].n;
        f->flags[i] = rows[i].n > rows[i].prompt ? VIDUR_REQUEST_PREFILLED : 0;
        vidur_batch_add(&f->batch.seen, &f->replica, i, rows[i].tokens);
    }
    vidur_step_engine.time(f->state, &f->replica, &f->batch);
    CU_ASSERT(f->batch.step.stage_s[0] == f->batch.step.stage_s[1] ||
              isnan(f->batch.step.stage_s[1]));
    if (f->batch.seen.num_tokens <= MAX_STEP)
        check_parts(f);
    return f->batch.step.stage_s[1] * 1e3;
}

static double linear(int tokens)
{
    return times.fixed_ms + times.per_token_ms * tokens;
}

#define ASSERT_MS(actual, expected) CU_ASSERT_DOUBLE_EQUAL(actual, expected, 1e-9)

static void test_decodes(void)
{
    struct fixture f;
    const struct row rows[] = {{10, 100, 1}, {10, 200, 1}, {10, 50, 1}};
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    /* 3 tokens run in the graph of 4; the token being written is in the context. */
    ASSERT_MS(time_of(&f, rows, 3), linear(4) + 3 * 0.05 + 0.3 + 350 * 0.001);
    CU_ASSERT_EQUAL(f.batch.step.extrapolated, 0);
    CU_ASSERT_EQUAL(vidur_step_engine.front_end(f.state).per_prompt_token_s, 2e-5);
    CU_ASSERT_EQUAL(vidur_step_engine.front_end(f.state).delay_s, 7e-3);
    CU_ASSERT_FALSE(vidur_step_engine.has_cpu_overhead(f.state));
    end(&f);
}

/* A repetition takes what a batch formed then would take, to the bit. */
static void test_repeated_decodes(void)
{
    struct fixture f;
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    for (int ahead = 0; ahead < 200; ahead++) {
        const struct row rows[] = {{10, 100, 1}, {10, 201, 1}, {10, 53, 1}};
        const struct row then[] = {
            {10, 100 + ahead, 1}, {10, 201 + ahead, 1}, {10, 53 + ahead, 1}};
        time_of(&f, then, 3);
        const double expected_s = f.batch.step.stage_s[1];
        time_of(&f, rows, 3);
        CU_ASSERT_EQUAL(vidur_step_engine.repeated_s(f.state, &f.batch, ahead),
                        expected_s);
    }
    end(&f);
}

/* Up to 64 tokens a chunk is a decode row of its context. */
static void test_small_chunks_are_rows(void)
{
    struct fixture f;
    const struct row rows[] = {{10, 100, 1}, {164, 100, 64}};
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    ASSERT_MS(time_of(&f, rows, 2),
              linear(72) + 2 * 0.05 + 0.3 + (100 + 164) * 0.001 + 0.125);
    end(&f);
}

static void test_chunks_by_area(void)
{
    struct fixture f;
    /* the last one goes on: it samples nothing */
    const struct row rows[] = {{400, 0, 400}, {500, 400, 100}, {900, 200, 65}};
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    const double whole = 1e-5 * 400 * 400;
    const double behind = 1e-5 * (500 * 500 - 400 * 400);
    const double floor_of_row = 0.0015 * 265; /* above 1e-5 * (265^2 - 200^2) */
    ASSERT_MS(time_of(&f, rows, 3),
              linear(565) + 2 * 0.05 + whole + behind + floor_of_row);
    end(&f);
}

/* A short chunk costs what it does alone, at least. */
static void test_a_chunk_alone_is_a_floor(void)
{
    struct fixture f;
    const struct row row = {400, 100, 300};
    begin(&f);
    double *context_ms = malloc((MAX_CONTEXT + 1) * sizeof *context_ms);
    memcpy(context_ms, f.timetable->engine->context_ms,
           (MAX_CONTEXT + 1) * sizeof *context_ms);
    context_ms[300] = 9;
    struct vidur_engine_table table = *f.timetable->engine;
    table.context_ms = context_ms;
    f.timetable->engine = &table;
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    ASSERT_MS(time_of(&f, &row, 1), linear(304) + 0.05 + 9);
    end(&f);
    free(context_ms);
}

static void test_padding(void)
{
    struct fixture f;
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    static const int sizes[][2] = {{65, 72}, {257, 272}, {512, 512}, {513, 513}};
    for (int i = 0; i < 4; i++) {
        const struct row row = {sizes[i][0], 0, sizes[i][0]};
        const double attention =
            fmax(1e-5 * row.tokens * row.tokens, 0.0015 * row.tokens);
        ASSERT_MS(time_of(&f, &row, 1), linear(sizes[i][1]) + 0.05 + attention);
    }
    end(&f);
    begin(&f); /* graphs end at twice max_num_seqs */
    f.deployment.scheduler.max_num_seqs = 40;
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    const struct row row = {81, 0, 81};
    ASSERT_MS(time_of(&f, &row, 1), linear(81) + 0.05 + 0.0015 * 81);
    end(&f);
}

static void test_costs_of_steps_and_requests(void)
{
    struct fixture f;
    const struct row rows[] = {{10, 11, 1}, {10, 11, 1}};
    begin(&f);
    struct vidur_engine_table table = *f.timetable->engine;
    table.step_ms = 0.5;
    table.request_ms = 0.25;
    table.profiled_tokens = 1;
    f.timetable->engine = &table;
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    ASSERT_MS(time_of(&f, rows, 2), linear(2) + 0.1 + 0.3 + 0.022 + 0.5 + 2 * 0.25);
    CU_ASSERT_EQUAL(f.batch.step.extrapolated, 1);
    table.profiled_context = 70;
    const struct row chunk = {71, 0, 71};
    time_of(&f, &chunk, 1);
    CU_ASSERT_EQUAL(f.batch.step.extrapolated, 2);
    end(&f);
}

static void test_parts(void)
{
    struct fixture f;
    const struct row rows[] = {{10, 100, 1}, {80, 16, 64}, {300, 0, 200}};
    double parts_s[VIDUR_NUM_STEP_PARTS];
    begin(&f);
    struct vidur_engine_table table = *f.timetable->engine;
    double *comm_ms = calloc(MAX_STEP + 1, sizeof *comm_ms);
    comm_ms[272] = 1.5;
    table.comm_ms = comm_ms;
    table.step_ms = 0.5;
    table.request_ms = 0.25;
    f.timetable->engine = &table;
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    time_of(&f, rows, 3);
    CU_ASSERT_EQUAL(f.batch.step.communication_s[1], 1.5e-3);
    vidur_step_engine.parts(f.state, &f.replica, &f.batch, VIDUR_STAGE_LAST, parts_s);
    ASSERT_MS(parts_s[VIDUR_STEP_PART_gemm_and_small] * 1e3, linear(272) - 1.5);
    ASSERT_MS(parts_s[VIDUR_STEP_PART_all_reduce] * 1e3, 1.5);
    ASSERT_MS(parts_s[VIDUR_STEP_PART_attention_decode] * 1e3, 0.3 + 180 * 0.001);
    ASSERT_MS(parts_s[VIDUR_STEP_PART_attention_prefill] * 1e3, 1e-5 * 200 * 200);
    ASSERT_MS(parts_s[VIDUR_STEP_PART_output_head] * 1e3, 2 * 0.05);
    ASSERT_MS(parts_s[VIDUR_STEP_PART_overheads] * 1e3, 0.5 + 3 * 0.25 + 0.125);
    end(&f);
    free(comm_ms);
}

/* Where operator tables lie behind, decode rows are looked up by their number and mean
 * context, for each layer. */
static void test_decodes_from_operators(void)
{
    struct fixture f;
    const double ms[2][3] = {{0, 1, 2}, {0, 3, 5}};
    const struct row rows[] = {{10, 60, 1}, {10, 70, 1}, {10, 80, 1}};
    begin(&f);
    f.timetable->attn_decode =
        (struct vidur_grid_table){.ms = &ms[0][0], .num_rows = 2, .num_columns = 3};
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    const int layers = f.deployment.model.num_layers;
    ASSERT_MS(time_of(&f, rows, 1), linear(1) + 0.05 + layers * 1);
    ASSERT_MS(time_of(&f, rows, 2), linear(2) + 0.1 + layers * 5);
    CU_ASSERT_TRUE(isnan(time_of(&f, rows, 3))); /* no third row */
    time_of(&f, rows, 1);
    ASSERT_MS(vidur_step_engine.repeated_s(f.state, &f.batch, 5) * 1e3,
              linear(1) + 0.05 + layers * 2);
    CU_ASSERT_FALSE(vidur_step_engine.repeated_s(f.state, &f.batch, 69) > 0);
    end(&f);
}

static void test_beyond_the_tables(void)
{
    struct fixture f;
    struct vidur_error err = {0};
    begin(&f);
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    const struct row many = {MAX_STEP + 1, 0, MAX_STEP + 1};
    CU_ASSERT_TRUE(isnan(time_of(&f, &many, 1)));
    CU_ASSERT_EQUAL(vidur_step_engine.fail(f.state, &f.batch, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "701 tokens"));
    const struct row deep = {2000, MAX_CONTEXT - 60, 100};
    CU_ASSERT_TRUE(isnan(time_of(&f, &deep, 1)));
    f.timetable->engine = NULL;
    free(f.state);
    CU_ASSERT_EQUAL(open_model(&f, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "no engine steps, which scheduler vllm_v1"));
    end(&f);
}

/* ---- Ranks in lockstep ---- */

enum { RANKS = 3 };

static struct toy_step_times times_of_ranks(void)
{
    struct toy_step_times t = times;
    t.ranks = RANKS;
    t.gathered_ms = 1;
    t.per_gathered_ms = 0.002;
    return t;
}

/* Puts the rows into the batch of a rank; the last has none. */
static void fill_ranks(struct fixture *f, struct vidur_rank_batch *ranks,
                       const struct row (*rows)[2])
{
    for (int r = 0; r < RANKS; r++) {
        time_of(&f[r], rows[r], 2);
        ranks[r] = (struct vidur_rank_batch){&f[r].replica,
                                             r + 1 < RANKS ? &f[r].batch : NULL};
    }
}

static void check_step(const struct fixture *f, const struct vidur_rank_batch *ranks,
                       double expected_ms)
{
    vidur_step_engine.time_ranks(f->state, ranks, RANKS);
    for (int r = 0; r + 1 < RANKS; r++) {
        double parts_s[VIDUR_NUM_STEP_PARTS], sum_s = 0;
        const struct vidur_live_batch *batch = ranks[r].batch;
        ASSERT_MS(batch->step.stage_s[1] * 1e3, expected_ms);
        vidur_step_engine.parts(f->state, ranks[r].replica, batch, VIDUR_STAGE_LAST,
                                parts_s);
        for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++) {
            CU_ASSERT(parts_s[i] >= -1e-15);
            sum_s += parts_s[i];
        }
        ASSERT_MS(sum_s * 1e3, expected_ms);
    }
}

/* Without prompts ranks run in the largest one's graph, and as many tokens of each meet
 * the experts; with one somewhere each runs as it is. The step is as long as the
 * longest rank. */
static void test_ranks(void)
{
    static const struct row decodes[RANKS][2] = {
        {{10, 100, 1}, {10, 200, 1}}, {{10, 900, 1}, {10, 700, 1}}, {{10, 11, 1}}};
    static const struct row mixed[RANKS][2] = {
        {{10, 100, 1}, {10, 200, 1}}, {{300, 0, 300}, {10, 50, 1}}, {{10, 11, 1}}};
    const struct toy_step_times step_times = times_of_ranks();
    struct fixture f[RANKS];
    struct vidur_rank_batch ranks[RANKS];
    for (int r = 0; r < RANKS; r++) {
        begin_with(&f[r], &step_times);
        f[r].deployment.data_parallel_size = RANKS;
        CU_ASSERT_EQUAL_FATAL(open_model(&f[r], NULL), 0);
    }
    fill_ranks(f, ranks, decodes);
    const double longest = linear(2) + 2 * 0.05 + 0.3 + 1600 * 0.001;
    check_step(f, ranks, longest + 1 + 3 * 2 * 0.002);
    CU_ASSERT_EQUAL(f[0].batch.step.run_tokens, 2);
    CU_ASSERT_EQUAL(f[0].batch.step.gathered_tokens, 6);
    /* five steps on, to the bit as if it were asked then */
    const double then_s =
        vidur_step_engine.repeated_ranks_s(f[0].state, ranks, RANKS, 5);
    ASSERT_MS(then_s * 1e3, longest + 2 * 5 * 0.001 + 1 + 3 * 2 * 0.002);
    for (int r = 0; r < 2; r++)
        f[r].batch.decode_context_tokens += 5 * 2;
    vidur_step_engine.time_ranks(f[0].state, ranks, RANKS);
    CU_ASSERT_EQUAL(f[0].batch.step.stage_s[1], then_s);
    fill_ranks(f, ranks, mixed);
    const double prompt = linear(304) + 2 * 0.05 + 0.3 + 50 * 0.001 + 0.9 + 0.125;
    check_step(f, ranks, prompt + 1 + (2 + 301) * 0.002);
    CU_ASSERT_EQUAL(f[0].batch.step.run_tokens, 2);
    for (int r = 0; r < RANKS; r++)
        end(&f[r]);
}

/* With a limit on CPUs a step takes as long as its engine needs to notice its end, and
 * the next one need not take as long. */
static void test_cpu_limit(void)
{
    struct fixture f;
    const struct row rows[] = {{10, 100, 1}, {10, 200, 1}, {10, 50, 1}};
    const double free_ms = linear(4) + 3 * 0.05 + 0.3 + 350 * 0.001;
    begin(&f);
    f.deployment.cpu_cores = 0.5;
    CU_ASSERT_EQUAL_FATAL(open_model(&f, NULL), 0);
    CU_ASSERT(vidur_step_engine.has_cpu_overhead(f.state));
    ASSERT_MS(time_of(&f, rows, 3), free_ms);
    CU_ASSERT_EQUAL(f.batch.step.cpu_s, 0);
    f.replica.now_s = 0.049;
    ASSERT_MS(time_of(&f, rows, 3), 51);
    ASSERT_MS(f.batch.step.cpu_s * 1e3, 51 - free_ms);
    /* A repetition is as long as without the limit; what holds it up is said apart. */
    const double next_s = vidur_step_engine.repeated_s(f.state, &f.batch, 1);
    ASSERT_MS(next_s * 1e3, free_ms + 3 * 0.001);
    ASSERT_MS(vidur_step_engine.stall_s(f.state, 0.049, next_s) * 1e3,
              51 - free_ms - 3 * 0.001);
    f.replica.now_s = 0.06;
    ASSERT_MS(time_of(&f, rows, 3), 40 + free_ms);
    end(&f);
}

/* Tables of one rank do not know what the experts of several take. */
static void test_tables_of_one_rank(void)
{
    struct fixture f;
    struct vidur_error err = {0};
    begin(&f);
    f.deployment.data_parallel_size = 2;
    CU_ASSERT_EQUAL(open_model(&f, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "made for one rank; data_parallel_size is 2"));
    end(&f);
}

VIDUR_TEST_MAIN("engine step model", {"decodes", test_decodes},
                {"repeated decodes", test_repeated_decodes},
                {"small chunks", test_small_chunks_are_rows},
                {"chunks", test_chunks_by_area},
                {"a chunk alone", test_a_chunk_alone_is_a_floor},
                {"padding", test_padding},
                {"steps and requests", test_costs_of_steps_and_requests},
                {"parts", test_parts}, {"CPU limit", test_cpu_limit},
                {"ranks", test_ranks}, {"tables of one rank", test_tables_of_one_rank},
                {"decodes from operators", test_decodes_from_operators},
                {"beyond the tables", test_beyond_the_tables})
