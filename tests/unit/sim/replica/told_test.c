#include "test.h"

#include "replica/told.h"

#include <vidur/rng.h>

/* What an engine has told when a router polls it, every 50 ms. */

static void test_polled(void)
{
    struct vidur_told told;
    vidur_told_init(&told, false);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0)->waiting, 0);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 9)->blocks, 0);
    /* A step ends at 0.12 s. */
    vidur_told_tell(&told, 0.12, 3, 2);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.14)->waiting, 0); /* polled at 0.1 */
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.151)->waiting, 3);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.151)->blocks, 2);
    /* Two more until 0.2 s: the poll at 0.15 has found the one before both. */
    vidur_told_tell(&told, 0.16, 5, 4);
    vidur_told_tell(&told, 0.18, 4, 6);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.19)->blocks, 2);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.2)->blocks, 6);
    CU_ASSERT_EQUAL(vidur_told_polled(&told, 0.2)->waiting, 4);
}

/* The last of all words by a poll's time, whatever rounding does to its multiples. */
static void test_last_word_before_a_poll(void)
{
    enum { WORDS = 4000 };
    static double told_at_s[WORDS];
    struct vidur_told told;
    struct vidur_rng rng;
    int wrong = 0, polls = 0;
    vidur_rng_init(&rng, 1, vidur_rng_stream("told", 0));
    vidur_told_init(&told, false);
    double now_s = 0;
    for (int i = 0; i < WORDS; i++) {
        now_s += vidur_rng_below(&rng, 2) ? VIDUR_POLL_INTERVAL_S / 4
                                          : 0.03 * vidur_rng_uniform(&rng);
        told_at_s[i] = now_s;
        vidur_told_tell(&told, now_s, i + 1, 0);
        if (vidur_rng_below(&rng, 3))
            continue;
        now_s += 0.2 * vidur_rng_uniform(&rng);
        const double poll = floor(now_s / VIDUR_POLL_INTERVAL_S);
        int found = i + 1;
        while (found > 0 && floor(told_at_s[found - 1] / VIDUR_POLL_INTERVAL_S) >= poll)
            found--;
        wrong += vidur_told_polled(&told, now_s)->waiting != found;
        polls++;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT(polls > WORDS / 4);
}

/* ---- Who was left waiting ---- */

enum { REQUESTS = 8 };

struct queue {
    double seen_at_s[REQUESTS];
    int32_t next[REQUESTS], num_restarts[REQUESTS];
    struct vidur_request_table table;
    struct vidur_replica_account account;
    struct vidur_replica replica;
    struct vidur_live_batch batches[2];
    int32_t flight[2];
    struct vidur_pipeline pipeline;
};

static void empty(struct queue *q, int32_t num_slots)
{
    *q = (struct queue){.flight = {1, 0}};
    q->table = (struct vidur_request_table){
        .count = REQUESTS, .next = q->next, .num_restarts = q->num_restarts};
    q->table.seen_at_s = q->seen_at_s;
    q->replica = (struct vidur_replica){.requests = &q->table,
                                        .account = &q->account,
                                        .queue_head = VIDUR_NO_REQUEST,
                                        .queue_tail = VIDUR_NO_REQUEST};
    q->pipeline = (struct vidur_pipeline){
        .num_slots = num_slots, .batches = q->batches, .flight = q->flight};
}

static void arrive(struct queue *q, int32_t request, double seen_at_s)
{
    q->seen_at_s[request] = seen_at_s;
    vidur_queue_push_back(&q->replica, request);
    vidur_told_note_arrival(&q->pipeline, seen_at_s);
}

static void expect_waiting(const struct queue *q, int slot, int64_t waiting)
{
    const struct vidur_live_batch *batch = &q->batches[slot];
    CU_ASSERT_EQUAL(vidur_told_waiting(&q->replica, batch->scheduled_at_s), waiting);
    CU_ASSERT_EQUAL(vidur_told_left_waiting(&q->replica, &q->pipeline, batch), waiting);
}

/* What has come since the step was formed is not counted yet, but for what comes at the
 * same time. */
static void test_left_waiting(void)
{
    struct queue q;
    empty(&q, 1);
    arrive(&q, 0, 0);
    arrive(&q, 1, 0.09);
    q.batches[0].scheduled_at_s = 0.11;
    q.pipeline.in_flight = 1;
    expect_waiting(&q, 0, 2);
    arrive(&q, 2, 0.11);
    arrive(&q, 3, 0.125);
    expect_waiting(&q, 0, 3);
}

/* Two steps at once: the second one takes requests that came behind the first, and
 * evicts one of them, and one that came before. */
static void test_left_waiting_in_a_pipeline(void)
{
    struct queue q;
    empty(&q, 2);
    arrive(&q, 0, 0);
    arrive(&q, 1, 0.5);
    vidur_queue_pop(&q.replica);
    q.batches[1].scheduled_at_s = 1;
    q.pipeline.in_flight = 1;
    arrive(&q, 2, 1);
    arrive(&q, 3, 1.5);
    expect_waiting(&q, 1, 2);
    for (int i = 1; i < 4; i++)
        vidur_queue_pop(&q.replica);
    q.batches[0].scheduled_at_s = 2;
    q.pipeline.in_flight = 2;
    expect_waiting(&q, 1, 0);
    expect_waiting(&q, 0, 0);
    arrive(&q, 4, 2.5);
    q.num_restarts[3] = q.num_restarts[0] = 1;
    vidur_queue_push_front(&q.replica, 3);
    vidur_queue_push_front(&q.replica, 0);
    expect_waiting(&q, 1, 1);
    expect_waiting(&q, 0, 2);
}

VIDUR_TEST_MAIN("told", {"polled", test_polled},
                {"last word before a poll", test_last_word_before_a_poll},
                {"left waiting", test_left_waiting},
                {"left waiting in a pipeline", test_left_waiting_in_a_pipeline})
