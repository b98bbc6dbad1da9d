#include "test.h"

#include "drive/event_queue.h"

#include <vidur/rng.h>

#include <stdlib.h>

enum { CAPACITY = 512, ROUNDS = 20000 };

static int by_time_and_id(const void *a, const void *b)
{
    const struct vidur_event *x = a, *y = b;
    if (x->time_s != y->time_s)
        return x->time_s < y->time_s ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Few distinct times, so that most comparisons are ties. */
static void test_order(void)
{
    static struct vidur_event heap[CAPACITY], model[CAPACITY];
    struct vidur_event_queue queue = {.events = heap, .capacity = CAPACITY};
    struct vidur_rng rng;
    int64_t count = 0;
    vidur_rng_init(&rng, 1, 1);
    for (int round = 0; round < ROUNDS; round++) {
        const bool push =
            count == 0 || (count < CAPACITY && vidur_rng_below(&rng, 100) < 55);
        if (push) {
            const struct vidur_event event = {
                .time_s = (double)vidur_rng_below(&rng, 4), .object = round};
            model[count] = event;
            model[count++].id = queue.next_id;
            vidur_event_push(&queue, event);
            continue;
        }
        qsort(model, (size_t)count, sizeof *model, by_time_and_id);
        const struct vidur_event event = vidur_event_pop(&queue);
        CU_ASSERT_EQUAL(event.id, model[0].id);
        CU_ASSERT_EQUAL(event.object, model[0].object);
        count--;
        for (int64_t i = 0; i < count; i++)
            model[i] = model[i + 1];
        CU_ASSERT_EQUAL(queue.count, count);
    }
}

static void test_ids_count_creation(void)
{
    struct vidur_event heap[4];
    struct vidur_event_queue queue = {.events = heap, .capacity = 4, .next_id = 10};
    vidur_event_push(&queue, (struct vidur_event){.time_s = 1, .object = 1});
    vidur_event_push(&queue, (struct vidur_event){.time_s = 1, .object = 2});
    vidur_event_push(&queue, (struct vidur_event){.time_s = 0.5, .object = 3});
    CU_ASSERT_EQUAL(vidur_event_pop(&queue).object, 3);
    CU_ASSERT_EQUAL(vidur_event_pop(&queue).id, 10);
    CU_ASSERT_EQUAL(vidur_event_pop(&queue).id, 11);
    CU_ASSERT_EQUAL(queue.count, 0);
}

VIDUR_TEST_MAIN("event queue", {"order under ties", test_order},
                {"ids count creation", test_ids_count_creation})
