#include "test.h"

#include "replica/replica.h"

#include <vidur/rng.h>

#include <stdlib.h>
#include <string.h>

/*
 * Queues, running lists and decode groups of one replica, against plain arrays.
 */

enum { REQUESTS = 64, BLOCK = 4, CAPACITY = 48 };

struct fixture {
    struct vidur_arena arena;
    struct vidur_request_table table;
    struct vidur_replica replica;
    double arrived_at_s[REQUESTS];
    int32_t prefill[REQUESTS], decode[REQUESTS];
    struct vidur_rng rng;
};

static const struct vidur_replica_sizes sizes = {.num_stages = 1,
                                                 .batch_capacity = CAPACITY,
                                                 .batches_at_once = 2,
                                                 .running_capacity = 2 * REQUESTS + 8,
                                                 .block_size = BLOCK,
                                                 .grouping = true};

static void begin(struct fixture *f)
{
    struct vidur_error err = {0};
    memset(f, 0, sizeof *f);
    vidur_rng_init(&f->rng, 9, 9);
    for (int i = 0; i < REQUESTS; i++) {
        f->arrived_at_s[i] = i / 3; /* ties */
        f->prefill[i] = 1 + (int32_t)vidur_rng_below(&f->rng, 40);
        f->decode[i] = 2 + (int32_t)vidur_rng_below(&f->rng, 40);
    }
    const struct vidur_workload workload = {.num_requests = REQUESTS,
                                            .arrived_at_s = f->arrived_at_s,
                                            .num_prefill_tokens = f->prefill,
                                            .num_decode_tokens = f->decode};
    CU_ASSERT_EQUAL_FATAL(vidur_arena_init(&f->arena,
                                           vidur_requests_bytes(REQUESTS, false) +
                                               vidur_replica_bytes(&sizes) + 4096,
                                           &err),
                          0);
    CU_ASSERT_EQUAL_FATAL(
        vidur_requests_init(&f->table, &f->arena, &workload, false, &err), 0);
    f->replica = (struct vidur_replica){.requests = &f->table, .num_blocks = 10000};
    vidur_replica_init(&f->replica, &f->arena, &sizes);
}

static void end(struct fixture *f)
{
    vidur_arena_fini(&f->arena);
}

/* A request that has its prompt behind it and some output. */
static void put_decoding(struct fixture *f, int32_t request, int32_t decoded)
{
    f->table.flags[request] = VIDUR_REQUEST_PREFILLED;
    f->table.processed_tokens[request] = f->prefill[request] + 1 + decoded;
    f->table.blocks[request] =
        (int32_t)vidur_blocks_for(&f->replica, f->prefill[request] + decoded);
}

/* ---- The queue ---- */

static void test_queue(void)
{
    struct fixture f;
    begin(&f);
    f.replica.now_s = 2;
    for (int32_t i = 0; i < 4; i++)
        vidur_queue_push_back(&f.replica, i);
    CU_ASSERT_EQUAL(f.replica.queue_length, 4);
    CU_ASSERT_EQUAL(vidur_queue_pop(&f.replica), 0);
    vidur_queue_push_front(&f.replica, 7);
    CU_ASSERT_EQUAL(vidur_queue_pop(&f.replica), 7);
    for (int32_t i = 1; i < 4; i++)
        CU_ASSERT_EQUAL(vidur_queue_pop(&f.replica), i);
    CU_ASSERT_EQUAL(vidur_queue_head(&f.replica), VIDUR_NO_REQUEST);
    vidur_queue_push_front(&f.replica, 9);
    vidur_queue_push_back(&f.replica, 8);
    CU_ASSERT_EQUAL(vidur_queue_pop(&f.replica), 9);
    CU_ASSERT_EQUAL(vidur_queue_pop(&f.replica), 8);
    CU_ASSERT_EQUAL(f.replica.queue_length, 0);
    end(&f);
}

/* ---- Running items ---- */

static void expect_running(const struct vidur_replica *replica, const int32_t *model,
                           int32_t count)
{
    CU_ASSERT_EQUAL_FATAL(vidur_running_count(replica), count);
    CU_ASSERT_EQUAL(memcmp(replica->running + replica->running_begin, model,
                           (size_t)count * sizeof *model),
                    0);
}

/* Pushes and pops at both ends; the list wanders through its memory. */
static void test_running_is_a_deque(void)
{
    struct fixture f;
    int32_t model[4 * REQUESTS];
    int32_t first = 2 * REQUESTS, count = 0, next = 0;
    begin(&f);
    for (int round = 0; round < 20000; round++) {
        const uint32_t what = vidur_rng_below(&f.rng, 4);
        if (what < 2 && count == REQUESTS)
            continue;
        if (what == 0) {
            model[first + count++] = next;
            vidur_running_push_back(&f.replica, next);
        } else if (what == 1) {
            model[--first] = next;
            count++;
            vidur_running_push_front(&f.replica, next);
        } else if (count > 0 && what == 2) {
            CU_ASSERT_EQUAL(vidur_running_pop(&f.replica), model[first++]);
            count--;
        } else if (count > 0) {
            CU_ASSERT_EQUAL(vidur_running_pop_last(&f.replica), model[first + --count]);
        }
        next = (next + 1) % REQUESTS;
        memmove(model + 2 * REQUESTS - count / 2, model + first,
                (size_t)count * sizeof *model);
        first = 2 * REQUESTS - count / 2;
        expect_running(&f.replica, model + first, count);
    }
    end(&f);
}

/* Stable, whatever the runs it is made of. */
static void test_sort(void)
{
    struct fixture f;
    begin(&f);
    for (int round = 0; round < 200; round++) {
        int32_t model[REQUESTS];
        const int32_t count = (int32_t)vidur_rng_below(&f.rng, REQUESTS);
        while (vidur_running_count(&f.replica) > 0)
            vidur_running_pop(&f.replica);
        for (int32_t i = 0; i < count; i++) {
            const int32_t item = (int32_t)vidur_rng_below(&f.rng, REQUESTS);
            int32_t at = i; /* insertion sort */
            vidur_running_push_back(&f.replica, item);
            for (; at > 0 && f.arrived_at_s[model[at - 1]] > f.arrived_at_s[item]; at--)
                model[at] = model[at - 1];
            model[at] = item;
        }
        vidur_running_sort(&f.replica);
        expect_running(&f.replica, model, count);
    }
    end(&f);
}

static void test_unpacking_keeps_order(void)
{
    struct fixture f;
    static const int32_t expected[] = {1, 10, 11, 12, 2, 20, 21, 3};
    begin(&f);
    const int32_t a = vidur_group_new(&f.replica), b = vidur_group_new(&f.replica);
    for (int32_t i = 0; i < 3; i++) {
        put_decoding(&f, 10 + i, i);
        vidur_group_join(&f.replica, &f.replica.groups[a], 10 + i);
    }
    for (int32_t i = 0; i < 2; i++) {
        put_decoding(&f, 20 + i, i);
        vidur_group_join(&f.replica, &f.replica.groups[b], 20 + i);
    }
    vidur_running_push_back(&f.replica, 1);
    vidur_running_push_back(&f.replica, ~a);
    vidur_running_push_back(&f.replica, 2);
    vidur_running_push_back(&f.replica, ~b);
    vidur_running_push_back(&f.replica, 3);
    vidur_running_unpack_all(&f.replica);
    expect_running(&f.replica, expected, 8);
    CU_ASSERT_FALSE(f.replica.groups[a].in_use || f.replica.groups[b].in_use);
    end(&f);
}

/* ---- Groups ---- */

/* Members join, iterate and leave; each then has what it would have had alone. */
static void test_group_equals_members(void)
{
    struct fixture f;
    int32_t done[CAPACITY], alone_n[REQUESTS];
    uint64_t alone_ticks[REQUESTS] = {0};
    bool in[REQUESTS] = {false};
    int32_t next = 0, completed = 0;
    begin(&f);
    const int32_t slot = vidur_group_new(&f.replica);
    struct vidur_decode_group *group = &f.replica.groups[slot];
    for (int iteration = 0; completed < REQUESTS / 2; iteration++) {
        if (next < REQUESTS / 2 && iteration % 3 == 0) {
            put_decoding(&f, next, 0);
            alone_n[next] = f.table.processed_tokens[next];
            vidur_group_join(&f.replica, group, next);
            in[next++] = true;
        }
        int64_t context = 0, demand = 0;
        for (int32_t r = 0; r < next; r++) {
            context += in[r] ? alone_n[r] : 0;
            demand += in[r] && alone_n[r] % BLOCK == 1; /* just outgrew its blocks */
        }
        CU_ASSERT_EQUAL(group->context_tokens, context);
        CU_ASSERT_EQUAL(vidur_group_demand(&f.replica, group), demand);
        group->ticks.execution += 7;
        for (int32_t r = 0; r < next; r++) {
            alone_n[r] += in[r];
            alone_ticks[r] += in[r] ? 7 : 0;
        }
        vidur_group_advance(&f.replica, group, 1);
        if (group->count == 0 || group->to_completion > 0)
            continue;
        const int32_t count = vidur_group_complete(&f.replica, group, done);
        CU_ASSERT(count > 0);
        for (int32_t i = 0; i < count; i++, completed++) {
            const int32_t r = done[i];
            in[r] = false;
            CU_ASSERT_EQUAL(f.table.processed_tokens[r], f.prefill[r] + f.decode[r]);
            CU_ASSERT_EQUAL(f.table.processed_tokens[r], alone_n[r]);
            CU_ASSERT_EQUAL(f.table.execution_ticks[r], alone_ticks[r]);
            CU_ASSERT_EQUAL(f.table.blocks[r],
                            vidur_blocks_for(&f.replica, alone_n[r] - 1));
        }
    }
    CU_ASSERT_EQUAL(group->count, 0);
    CU_ASSERT_EQUAL(group->context_tokens, 0);
    end(&f);
}

static void test_joining_in_front(void)
{
    static const int32_t front[] = {5, 6}, expected[] = {5, 6, 1, 2, 3};
    struct fixture f;
    int32_t out[CAPACITY];
    begin(&f);
    const int32_t slot = vidur_group_new(&f.replica);
    struct vidur_decode_group *group = &f.replica.groups[slot];
    for (int32_t i = 1; i < 7; i++)
        put_decoding(&f, i, i);
    for (int32_t i = 1; i < 4; i++)
        vidur_group_join(&f.replica, group, i);
    vidur_group_advance(&f.replica, group, 1);
    vidur_group_join_front(&f.replica, group, front, 2);
    CU_ASSERT_EQUAL(group->count, 5);
    vidur_group_dissolve(&f.replica, slot, out);
    CU_ASSERT_EQUAL(memcmp(out, expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(f.table.processed_tokens[5], f.prefill[5] + 1 + 5);
    CU_ASSERT_EQUAL(f.table.processed_tokens[2], f.prefill[2] + 1 + 2 + 1);
    end(&f);
}

/* Members in batch order, and the iterations that each has left. */
struct model {
    int32_t request[CAPACITY], left[CAPACITY];
    int32_t count;
};

/* A request in no group; some end together, some beyond the calendar. */
static int32_t draw_request(struct fixture *f, const struct model *model)
{
    int32_t request;
    bool is_in;
    do {
        request = (int32_t)vidur_rng_below(&f->rng, REQUESTS);
        is_in = false;
        for (int32_t i = 0; i < model->count; i++)
            is_in = is_in || model->request[i] == request;
    } while (is_in);
    f->table.decode_tokens[request] =
        2 + (int32_t)vidur_rng_below(&f->rng, vidur_rng_below(&f->rng, 4) ? 30 : 5000);
    put_decoding(f, request, 0);
    return request;
}

static void join_both(struct fixture *f, struct vidur_decode_group *group,
                      struct model *model, bool front)
{
    const int32_t request = draw_request(f, model);
    const int32_t at = front ? 0 : model->count;
    memmove(model->request + at + 1, model->request + at,
            (size_t)(model->count - at) * sizeof(int32_t));
    memmove(model->left + at + 1, model->left + at,
            (size_t)(model->count - at) * sizeof(int32_t));
    model->request[at] = request;
    model->left[at] = f->table.decode_tokens[request] - 1;
    model->count++;
    if (front)
        vidur_group_join_front(&f->replica, group, &request, 1);
    else
        vidur_group_join(&f->replica, group, request);
}

static int32_t least_left(const struct model *model)
{
    int32_t least = INT32_MAX;
    for (int32_t i = 0; i < model->count; i++)
        least = model->left[i] < least ? model->left[i] : least;
    return least;
}

/* Blocks that the next iteration takes: of those that have just outgrown theirs. */
static int64_t model_demand(const struct fixture *f, const struct model *model)
{
    int64_t demand = 0;
    for (int32_t i = 0; i < model->count; i++) {
        const int32_t request = model->request[i];
        const int32_t n =
            f->prefill[request] + f->table.decode_tokens[request] - model->left[i];
        demand += n % BLOCK == 1;
    }
    return demand;
}

static void advance_both(struct fixture *f, struct vidur_decode_group *group,
                         struct model *model, int32_t times)
{
    int32_t done[CAPACITY], expected[CAPACITY], count = 0, kept = 0;
    for (int32_t i = 0; i < model->count; i++) {
        model->left[i] -= times;
        if (model->left[i] == 0)
            expected[count++] = model->request[i];
    }
    vidur_group_advance(&f->replica, group, times);
    if (group->to_completion > 0) {
        CU_ASSERT_EQUAL(count, 0);
        return;
    }
    CU_ASSERT_EQUAL(vidur_group_complete(&f->replica, group, done), count);
    CU_ASSERT_EQUAL(memcmp(done, expected, (size_t)count * sizeof *done), 0);
    for (int32_t i = 0; i < model->count; i++)
        if (model->left[i] > 0) {
            model->request[kept] = model->request[i];
            model->left[kept++] = model->left[i];
        }
    model->count = kept;
}

static void test_calendar(void)
{
    struct fixture f;
    struct model model = {.count = 0};
    int32_t out[CAPACITY];
    int far = 0, dissolved = 0;
    begin(&f);
    struct vidur_decode_group *group = &f.replica.groups[vidur_group_new(&f.replica)];
    for (int round = 0; round < 200000; round++) {
        const uint32_t what = vidur_rng_below(&f.rng, 400);
        const int32_t least = least_left(&model);
        CU_ASSERT_EQUAL_FATAL(group->count, model.count);
        CU_ASSERT_EQUAL(vidur_group_demand(&f.replica, group),
                        model_demand(&f, &model));
        CU_ASSERT(group->to_completion <= least);
        if (least < VIDUR_CALENDAR_DAYS)
            CU_ASSERT_EQUAL(group->to_completion, least);
        far += least >= VIDUR_CALENDAR_DAYS && least < INT32_MAX;
        if (what < 60 && model.count < CAPACITY) {
            join_both(&f, group, &model, what % 3 == 0);
        } else if (what == 399) {
            vidur_group_dissolve(&f.replica, (int32_t)(group - f.replica.groups), out);
            CU_ASSERT_EQUAL(
                memcmp(out, model.request, (size_t)model.count * sizeof *out), 0);
            model.count = 0;
            group = &f.replica.groups[vidur_group_new(&f.replica)];
            dissolved++;
        } else if (model.count > 0) {
            const int32_t most = group->to_completion;
            advance_both(&f, group, &model, what % 2 ? 1 : most);
        }
    }
    CU_ASSERT(far > 1000 && dissolved > 100);
    end(&f);
}

static void test_groups_run_out(void)
{
    struct fixture f;
    int32_t taken = 0;
    begin(&f);
    while (vidur_group_new(&f.replica) != VIDUR_NO_GROUP)
        taken++;
    CU_ASSERT_EQUAL(taken, 2 * sizes.batches_at_once + 1);
    end(&f);
}

/* ---- Blocks ---- */

static void test_blocks(void)
{
    struct fixture f;
    begin(&f);
    struct vidur_replica *replica = &f.replica;
    replica->num_blocks = 10;
    replica->watermark_blocks = 2;
    f.table.prefill_tokens[0] = 8 * BLOCK;
    CU_ASSERT(vidur_can_admit(replica, 0));
    f.table.prefill_tokens[0]++;
    CU_ASSERT_FALSE(vidur_can_admit(replica, 0));
    replica->now_s = 1;
    vidur_take_blocks(replica, 0, 4);
    vidur_take_blocks(replica, 1, 2);
    CU_ASSERT_EQUAL(replica->num_holders, 2);
    CU_ASSERT_EQUAL(vidur_free_blocks(replica), 4);
    replica->now_s = 3; /* 6 blocks for 2 s */
    f.table.processed_tokens[1] = 2 * BLOCK;
    vidur_grow_blocks(replica, 1);
    CU_ASSERT_EQUAL(f.table.blocks[1], 2);
    f.table.processed_tokens[1]++;
    vidur_grow_blocks(replica, 1);
    CU_ASSERT_EQUAL(f.table.blocks[1], 3);
    CU_ASSERT_EQUAL(replica->account->block_seconds, 12);
    vidur_release_blocks(replica, 0);
    vidur_release_blocks(replica, 0); /* holds none: nothing happens */
    CU_ASSERT_EQUAL(replica->num_holders, 1);
    CU_ASSERT_EQUAL(replica->allocated_blocks, 3);
    end(&f);
}

static void test_restart(void)
{
    struct fixture f;
    begin(&f);
    put_decoding(&f, 3, 5);
    const int32_t total = f.prefill[3] + f.decode[3], blocks = f.table.blocks[3];
    f.table.blocks[3] = 0;
    vidur_take_blocks(&f.replica, 3, blocks);
    vidur_request_restart(&f.replica, 3);
    CU_ASSERT_EQUAL(f.replica.allocated_blocks, 0);
    CU_ASSERT_EQUAL(f.table.prefill_tokens[3], f.prefill[3] + 6);
    CU_ASSERT_EQUAL(f.table.prefill_tokens[3] + f.table.decode_tokens[3], total);
    CU_ASSERT_EQUAL(f.table.processed_tokens[3], 0);
    CU_ASSERT_EQUAL(f.table.num_restarts[3], 1);
    CU_ASSERT_FALSE(vidur_request_is_prefilled(&f.replica, 3));
    CU_ASSERT_EQUAL(vidur_queue_head(&f.replica), 3);
    end(&f);
}

VIDUR_TEST_MAIN("replica", {"queue", test_queue},
                {"running is a deque", test_running_is_a_deque}, {"sort", test_sort},
                {"unpacking keeps order", test_unpacking_keeps_order},
                {"a group equals its members", test_group_equals_members},
                {"joining in front", test_joining_in_front},
                {"calendar", test_calendar}, {"groups run out", test_groups_run_out},
                {"blocks", test_blocks}, {"restart", test_restart})
