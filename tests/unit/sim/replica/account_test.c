#include "test.h"

#include "replica/account.h"

#include <vidur/rng.h>

#include <stdlib.h>
#include <string.h>

/*
 * Iterations counted at once against the same ones counted one by one, to the bit; and
 * the sum over replicas.
 */

enum { CASES = 200, MOST = 100 };

/* An account with room for its gaps and one SLO on them. */
struct fixture {
    struct vidur_replica_account account;
    struct vidur_token_gaps gaps;
    struct vidur_slo_watch watch;
    struct vidur_slo_count slo;
};

static void begin(struct fixture *f, bool of_batches)
{
    memset(f, 0, sizeof *f);
    f->slo = (struct vidur_slo_count){
        .metric = VIDUR_LATENCY_tbt, .limit_s = 0.5, .lost_at = INT64_MAX};
    f->watch = (struct vidur_slo_watch){
        .counts = &f->slo, .num_slos = 1, .num_counts = 1, .least_gap_limit_s = 0.5};
    f->gaps.of_batches = of_batches;
    f->account.gaps = &f->gaps;
    f->account.watch = &f->watch;
    f->account.full_size = 20;
}

static void end(struct fixture *f)
{
    free(f->gaps.values);
}

static void expect_equal(const struct fixture *a, const struct fixture *b)
{
#define X(name, value) CU_ASSERT_EQUAL(a->account.name, b->account.name);
    VIDUR_ACCOUNT_BATCHES(X)
#undef X
    CU_ASSERT_EQUAL(a->account.attention_tokens_squared,
                    b->account.attention_tokens_squared);
    CU_ASSERT_EQUAL(a->slo.violations, b->slo.violations);
    CU_ASSERT_EQUAL_FATAL(a->gaps.count, b->gaps.count);
    for (int64_t i = 0; i < a->gaps.count; i++) {
        CU_ASSERT_EQUAL(a->gaps.values[i].value, b->gaps.values[i].value);
        CU_ASSERT_EQUAL(a->gaps.values[i].weight, b->gaps.values[i].weight);
    }
}

/* A group of decodes that has just been formed. */
static struct vidur_live_batch draw_batch(struct vidur_rng *rng,
                                          struct vidur_batch_gap *gap)
{
    const int32_t count = 1 + (int32_t)vidur_rng_below(rng, 40);
    const int64_t contexts = count * (1 + (int64_t)vidur_rng_below(rng, 4000));
    *gap = (struct vidur_batch_gap){7.25, count};
    return (struct vidur_live_batch){
        .seen = {.count = count,
                 .num_decodes = count,
                 .num_tokens = count,
                 .blocked = vidur_rng_below(rng, 2)},
        .scheduled_at_s = 7.25,
        .attention_tokens_squared = contexts + count,
        .step = {.extrapolated = (int32_t)vidur_rng_below(rng, 3)},
        .gaps = gap,
        .num_gaps = 1};
}

static void test_skipped_batches(void)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 1, 2);
    for (int i = 0; i < CASES; i++) {
        struct fixture stepped, skipped;
        struct vidur_batch_gap gap;
        struct vidur_live_batch batch = draw_batch(&rng, &gap);
        const int64_t times = (int64_t)vidur_rng_below(&rng, MOST);
        const int64_t first = (int64_t)vidur_rng_below(&rng, (uint32_t)times + 1);
        begin(&stepped, false);
        begin(&skipped, false);
        vidur_account_batches(&skipped.account, &batch, 0, 1);
        vidur_account_batches(&skipped.account, &batch, 1, first);
        vidur_account_batches(&skipped.account, &batch, 1 + first, times - first);
        for (int64_t t = 0; t <= times; t++) {
            vidur_account_batches(&stepped.account, &batch, 0, 1);
            batch.attention_tokens_squared += batch.seen.count; /* each n grows by 1 */
        }
        CU_ASSERT_EQUAL(skipped.account.num_batches, times + 1);
        expect_equal(&stepped, &skipped);
        end(&stepped);
        end(&skipped);
    }
}

static void test_mixed_batch(void)
{
    struct fixture f;
    const struct vidur_live_batch batch = {.seen = {.count = 20,
                                                    .num_decodes = 18,
                                                    .num_prefills = 2,
                                                    .num_tokens = 318,
                                                    .num_prefill_tokens = 300,
                                                    .blocked = true},
                                           .attention_tokens_squared = 5000,
                                           .step = {.extrapolated = 3}};
    begin(&f, false);
    vidur_account_batches(&f.account, &batch, 0, 1);
    const int64_t expected[] = {1, 20, 318, 300, 1, 18, 1, 1, 3};
    int i = 0;
#define X(name, value) CU_ASSERT_EQUAL(f.account.name, expected[i++]);
    VIDUR_ACCOUNT_BATCHES(X)
#undef X
    CU_ASSERT_EQUAL(i, (int)(sizeof expected / sizeof *expected));
    CU_ASSERT_EQUAL(f.account.attention_tokens_squared, 5000);
    end(&f);
}

static void check_gaps(bool of_batches, double latency_s)
{
    struct fixture stepped, skipped;
    struct vidur_batch_gap gaps[] = {{7, 3}, {6.5, 2}};
    const struct vidur_live_batch batch = {
        .scheduled_at_s = 7, .gaps = gaps, .num_gaps = of_batches ? 2 : 1};
    begin(&stepped, of_batches);
    begin(&skipped, of_batches);
    for (int i = 0; i < 5; i++)
        vidur_account_gaps(&stepped.account, &batch, latency_s, 1);
    vidur_account_gaps(&skipped.account, &batch, latency_s, 5);
    expect_equal(&stepped, &skipped);
    CU_ASSERT_EQUAL(skipped.gaps.count, 1);
    CU_ASSERT_EQUAL(skipped.gaps.values[0].weight, of_batches ? 5 : 15);
    CU_ASSERT_EQUAL(skipped.slo.violations, !of_batches && latency_s > 0.5 ? 15 : 0);
    end(&stepped);
    end(&skipped);
}

/* One group's gaps, after a pause of `paused_s`. */
static void check_group_gaps(bool of_batches, double paused_s)
{
    struct fixture general, group;
    struct vidur_batch_gap gap = {7 - paused_s, 3};
    const struct vidur_live_batch batch = {
        .scheduled_at_s = 7, .gaps = &gap, .num_gaps = 1};
    begin(&general, of_batches);
    begin(&group, of_batches);
    vidur_account_gaps(&general.account, &batch, 0.375, 4);
    vidur_account_group_gaps(&group.account, &batch, 0.375, 0.375 + paused_s, 4);
    expect_equal(&general, &group);
    CU_ASSERT_EQUAL(group.gaps.values[0].weight, of_batches ? 4 : 12);
    end(&general);
    end(&group);
}

static void test_group_gaps(void)
{
    for (int of_batches = 0; of_batches < 2; of_batches++) {
        check_group_gaps(of_batches, 0);
        check_group_gaps(of_batches, 0.25);
    }
}

static void test_gaps(void)
{
    check_gaps(false, 0.25);
    check_gaps(false, 0.75);
    check_gaps(true, 0.75);

    /* requests that have waited longer have longer gaps */
    struct fixture f;
    struct vidur_batch_gap gaps[] = {{7, 3}, {6.5, 2}};
    const struct vidur_live_batch batch = {
        .scheduled_at_s = 7, .gaps = gaps, .num_gaps = 2};
    begin(&f, false);
    vidur_account_gaps(&f.account, &batch, 0.25, 1);
    CU_ASSERT_EQUAL_FATAL(f.gaps.count, 2);
    CU_ASSERT_EQUAL(f.gaps.values[1].value, 0.75);
    CU_ASSERT_EQUAL(f.gaps.values[1].weight, 2);
    CU_ASSERT_EQUAL(f.slo.violations, 2);
    end(&f);
}

static void test_execution(void)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 3, 4);
    for (int i = 0; i < CASES; i++) {
        struct vidur_shared_ticks stepped = {0}, skipped = {0};
        const int64_t times = (int64_t)vidur_rng_below(&rng, MOST);
        const int32_t stages = 1 + (int32_t)vidur_rng_below(&rng, 8);
        const double last_s = vidur_rng_uniform(&rng) * (i % 2 ? 1 : 1e5);
        const struct vidur_step_time step = {.stage_s = {last_s * 1.1, last_s},
                                             .cpu_s = i % 3 ? last_s / 3 : 0};
        int32_t kinds[8] = {0};
        kinds[stages - 1] = VIDUR_STAGE_LAST;
        vidur_account_ways(&skipped, &step, kinds, stages, times);
        for (int64_t t = 0; t < times; t++)
            for (int32_t stage = 0; stage < stages; stage++)
                vidur_account_execution(&stepped, step.stage_s[kinds[stage]],
                                        step.cpu_s, 1);
        CU_ASSERT_EQUAL(stepped.execution, skipped.execution);
        CU_ASSERT_EQUAL(stepped.model, skipped.model);
        CU_ASSERT_EQUAL(skipped.preempted, 0);
        CU_ASSERT(step.cpu_s > 0 || skipped.model == skipped.execution);
    }
    struct vidur_shared_ticks ticks = {0};
    vidur_account_execution(&ticks, 0.75, 0.25, 2);
    CU_ASSERT_EQUAL(vidur_ticks_to_s(ticks.execution), 1.5);
    CU_ASSERT_EQUAL(vidur_ticks_to_s(ticks.model), 1);
}

static void test_waits(void)
{
    uint64_t execution[] = {40}, model[] = {30}, preempted[] = {20};
    const struct vidur_request_table table = {.execution_ticks = execution,
                                              .model_ticks = model,
                                              .preempted_ticks = preempted};
    struct vidur_shared_ticks ticks = {.execution = 5, .model = 3};
    vidur_account_wait(&ticks.preempted, 2, 2);
    CU_ASSERT_EQUAL(ticks.preempted, 0);
    vidur_account_wait(&ticks.preempted, 2, 2.5);
    CU_ASSERT_EQUAL(vidur_ticks_to_s(ticks.preempted), 0.5);
    vidur_request_add_ticks(&table, 0, &ticks);
    CU_ASSERT_EQUAL(execution[0], 45);
    CU_ASSERT_EQUAL(model[0], 33);
    CU_ASSERT_EQUAL(preempted[0], 20 + ticks.preempted);
    vidur_request_subtract_ticks(&table, 0, &ticks);
    CU_ASSERT_EQUAL(execution[0], 40);
    CU_ASSERT_EQUAL(model[0], 30);
    CU_ASSERT_EQUAL(preempted[0], 20);
}

/* Every counter of an account that vidur_account_merge knows, from `first` on. */
static int64_t number(struct vidur_replica_account *account, int64_t first)
{
#define X(name) account->name = first++;
    VIDUR_ACCOUNT_CHANGES(X)
#undef X
#define X(name) account->name = (double)first++;
    VIDUR_ACCOUNT_INTEGRALS(X)
#undef X
#define X(name, value) account->name = first++;
    VIDUR_ACCOUNT_BATCHES(X)
    VIDUR_ACCOUNT_PEAKS(X)
#undef X
    account->attention_tokens_squared = first++;
    return first;
}

static void test_merge(void)
{
    struct vidur_replica_account sum = {.full_size = 5}, a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    const int64_t count = number(&a, 0);
    number(&b, 1000);
    vidur_account_merge(&sum, &b);
    vidur_account_merge(&sum, &a);
    int64_t at = 0;
#define X(name)                                                                        \
    CU_ASSERT_EQUAL((double)sum.name, (double)(1000 + 2 * at));                        \
    at++;
    VIDUR_ACCOUNT_CHANGES(X)
    VIDUR_ACCOUNT_INTEGRALS(X)
#undef X
#define X(name, value)                                                                 \
    CU_ASSERT_EQUAL((double)sum.name, (double)(1000 + 2 * at));                        \
    at++;
    VIDUR_ACCOUNT_BATCHES(X)
#undef X
#define X(name, value)                                                                 \
    CU_ASSERT_EQUAL(sum.name, 1000 + at);                                              \
    at++;
    VIDUR_ACCOUNT_PEAKS(X)
#undef X
    CU_ASSERT_EQUAL(sum.attention_tokens_squared, 1000 + 2 * at);
    CU_ASSERT_EQUAL(at + 1, count);
    CU_ASSERT_EQUAL(sum.full_size, 5);
}

static void test_changes(void)
{
    struct vidur_replica_account account;
    memset(&account, 0, sizeof account);
    int64_t changes = 0;
#define X(name)                                                                        \
    account.name++;                                                                    \
    CU_ASSERT_EQUAL(vidur_num_changes(&account), ++changes);
    VIDUR_ACCOUNT_CHANGES(X)
#undef X
    account.num_batches = 7; /* a batch is no change */
    CU_ASSERT_EQUAL(vidur_num_changes(&account), changes);
}

static void test_integrals(void)
{
    struct vidur_replica_account account;
    memset(&account, 0, sizeof account);
    const double seen_at_s[] = {1, 2};
    int32_t restarts[] = {0, 0};
    struct vidur_request_table table = {.seen_at_s = seen_at_s,
                                        .num_restarts = restarts};
    struct vidur_replica replica = {
        .requests = &table, .account = &account, .allocated_blocks = 3};

    replica.now_s = 5;
    vidur_account_waited(&replica, 1);
    CU_ASSERT_EQUAL(account.waited_s, 3);
    replica.now_s = 6;
    restarts[1]++;
    vidur_account_waits_again(&replica);
    replica.now_s = 8;
    vidur_account_waited(&replica, 1);
    CU_ASSERT_EQUAL(account.waited_s, 5);
    vidur_account_blocks(&replica);
    CU_ASSERT_EQUAL(account.block_seconds, 24);

    vidur_account_active(&account, 1);
    vidur_account_idle(&account, 3);
    vidur_account_active(&account, 3); /* goes on at once */
    vidur_account_idle(&account, 4);
    vidur_account_active(&account, 10);
    CU_ASSERT_EQUAL(account.active_s, 3);
    vidur_account_close(&account, true, 12);
    CU_ASSERT_EQUAL(account.active_s, 5);
}

static void test_peaks(void)
{
    struct vidur_replica_account account;
    memset(&account, 0, sizeof account);
    struct vidur_replica replica = {.account = &account, .num_holders = 9};
    struct vidur_live_batch batch = {.seen = {.count = 4}};
    vidur_account_peaks(&replica, &batch);
    replica.num_holders = 3;
    batch.seen.count = 6;
    vidur_account_peaks(&replica, &batch);
    CU_ASSERT_EQUAL(account.peak_holders, 9);
    CU_ASSERT_EQUAL(account.peak_batch_size, 6);
}

VIDUR_TEST_MAIN("account",
                {"skipped batches count as stepped ones do", test_skipped_batches},
                {"a batch with prompts", test_mixed_batch},
                {"gaps between tokens, many at once", test_gaps},
                {"gaps of a group", test_group_gaps},
                {"ticks of execution, many at once", test_execution},
                {"waits, and whose they are", test_waits},
                {"the sum over replicas", test_merge}, {"changes", test_changes},
                {"integrals over time", test_integrals}, {"peaks", test_peaks})
