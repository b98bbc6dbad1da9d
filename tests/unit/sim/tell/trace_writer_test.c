#include "tell/trace_writer.h"
#include "test.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *temporary(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/vidur_trace_%ld.json", (long)getpid());
    return path;
}

static const int64_t num_blocks[] = {100, 50};

static struct vidur_fleet two_of_three_stages(void)
{
    const struct vidur_deployment deployment = {.num_replicas = 2,
                                                .num_pipeline_stages = 3};
    struct vidur_fleet fleet;
    vidur_fleet_of(&fleet, &deployment);
    return fleet;
}
static const int64_t request_ids[] = {4, 7};
static const int32_t request_tokens[] = {100, 1};

static struct vidur_batch_record batch(int64_t id, int replica, int stage)
{
    return (struct vidur_batch_record){.batch_id = id,
                                       .replica = replica,
                                       .seat = replica,
                                       .stage = stage,
                                       .started_at_s = 0.5,
                                       .ended_at_s = 0.75,
                                       .execution_time_s = 0.25,
                                       .size = 2,
                                       .num_tokens = 101,
                                       .num_prefill_tokens = 100,
                                       .num_decode_tokens = 1,
                                       .allocated_blocks = 30,
                                       .num_waiting = 5,
                                       .request_ids = request_ids,
                                       .request_tokens = request_tokens};
}

/* Number of elements of the array under `key`; the last one in *last. */
static int load(const char *key, struct vidur_json **json, struct vidur_json_node *last)
{
    struct vidur_error err = {0};
    *json = vidur_json_load(temporary(), &err);
    if (!*json)
        printf("\n  %s\n", err.text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(*json);
    struct vidur_json_node root = vidur_json_root(*json);
    struct vidur_json_node array = vidur_json_get(&root, key);
    int count = vidur_json_count(&array);
    *last = vidur_json_item(&array, count - 1);
    unlink(temporary());
    return count;
}

static void assert_number(const struct vidur_json_node *node, const char *key,
                          double expected)
{
    struct vidur_error err = {0};
    struct vidur_json_node member = vidur_json_get(node, key);
    double value = -1;
    CU_ASSERT_EQUAL(vidur_json_as_double(&member, &value, &err), 0);
    CU_ASSERT_EQUAL(value, expected);
}

static struct vidur_trace_writer *open_chrome(void)
{
    struct vidur_error err = {0};
    const struct vidur_fleet fleet = two_of_three_stages();
    struct vidur_trace_writer *writer =
        vidur_chrome_trace_open(temporary(), &fleet, num_blocks, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
    return writer;
}

static void commit(struct vidur_trace_writer *writer)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_trace_writer_commit(writer, &err), 0);
}

/* Names of two processes with three threads each: 2 * (2 + 3) metadata events. */
enum { NUM_METADATA = 10 };

static void test_trace_without_batches_is_whole(void)
{
    struct vidur_json *json;
    struct vidur_json_node last;
    commit(open_chrome());
    CU_ASSERT_EQUAL(load("traceEvents", &json, &last), NUM_METADATA);
    vidur_json_free(json);
}

/* Replicas are counted over the pools, each with its pool's stages, blocks and role. */
static void test_fleet(void)
{
    struct vidur_error err = {0};
    struct vidur_json *json;
    struct vidur_json_node last;
    struct vidur_fleet fleet = two_of_three_stages();
    fleet.num_pools = 2;
    fleet.pools[0].role = VIDUR_POOL_PREFILL;
    fleet.pools[1].role = VIDUR_POOL_DECODE;
    fleet.pools[1].deployment.num_replicas =
        fleet.pools[1].deployment.num_pipeline_stages = 1;
    struct vidur_trace_writer *writer =
        vidur_chrome_trace_open(temporary(), &fleet, num_blocks, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
    struct vidur_batch_record b = batch(0, 2, 0);
    CU_ASSERT_EQUAL(vidur_chrome_trace_batch(writer, &b), 0);
    commit(writer);
    /* two counters and the batch behind the names */
    CU_ASSERT_EQUAL(load("traceEvents", &json, &last), NUM_METADATA + 3 + 3);
    struct vidur_json_node root = vidur_json_root(json);
    struct vidur_json_node events = vidur_json_get(&root, "traceEvents");
    struct vidur_json_node name = vidur_json_item(&events, NUM_METADATA);
    name = vidur_json_get(&name, "args");
    name = vidur_json_get(&name, "name");
    CU_ASSERT_STRING_EQUAL(vidur_json_as_string(&name, &err), "replica 2 (decode)");
    struct vidur_json_node counter = vidur_json_item(&events, NUM_METADATA + 3);
    counter = vidur_json_get(&counter, "args");
    assert_number(&counter, "free", 50 - 30);
    vidur_json_free(json);
}

/* Every type of event has a name. */
static void test_event_names(void)
{
    struct vidur_error err = {0};
    struct vidur_json *json;
    struct vidur_json_node last;
    struct vidur_trace_writer *writer = vidur_event_trace_open(temporary(), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
    for (int i = 0; i < VIDUR_NUM_EVENT_TYPES; i++) {
        const struct vidur_event_record event = {.type = (enum vidur_event_type)i,
                                                 .object_id = 9};
        CU_ASSERT_EQUAL(vidur_event_trace_event(writer, &event), 0);
    }
    commit(writer);
    CU_ASSERT_EQUAL(load("events", &json, &last), VIDUR_NUM_EVENT_TYPES);
    struct vidur_json_node root = vidur_json_root(json);
    struct vidur_json_node events = vidur_json_get(&root, "events");
    for (int i = 0; i < VIDUR_NUM_EVENT_TYPES; i++) {
        struct vidur_json_node event = vidur_json_item(&events, i);
        struct vidur_json_node type = vidur_json_get(&event, "type");
        CU_ASSERT_STRING_NOT_EQUAL(vidur_json_as_string(&type, &err), "(null)");
    }
    assert_number(&last, "request_id", 9);
    vidur_json_free(json);
}

static void test_batch(void)
{
    struct vidur_json *json;
    struct vidur_json_node last;
    struct vidur_trace_writer *writer = open_chrome();
    struct vidur_batch_record b = batch(3, 1, 2);
    CU_ASSERT_EQUAL(vidur_chrome_trace_batch(writer, &b), 0);
    commit(writer);
    CU_ASSERT_EQUAL(load("traceEvents", &json, &last), NUM_METADATA + 1);
    assert_number(&last, "pid", 1);
    assert_number(&last, "tid", 2);
    assert_number(&last, "ts", 500000);
    assert_number(&last, "dur", 250000);
    struct vidur_json_node args = vidur_json_get(&last, "args");
    assert_number(&args, "batch_id", 3);
    assert_number(&args, "size", 2);
    assert_number(&args, "num_tokens", 101);
    struct vidur_json_node ids = vidur_json_get(&args, "request_ids");
    CU_ASSERT_EQUAL(vidur_json_count(&ids), 2);
    vidur_json_free(json);
}

/* Counters of a replica come with its first stage, and only when they change. */
static void test_counters(void)
{
    struct vidur_json *json;
    struct vidur_json_node last;
    struct vidur_trace_writer *writer = open_chrome();
    struct vidur_batch_record b = batch(0, 0, 0);
    vidur_chrome_trace_batch(writer, &b); /* two counters and the batch */
    vidur_chrome_trace_batch(writer, &b); /* the batch */
    b.stage = 1;
    b.num_waiting = 6;
    vidur_chrome_trace_batch(writer, &b); /* the batch */
    b.stage = 0;
    vidur_chrome_trace_batch(writer, &b); /* one counter and the batch */
    b.replica = b.seat = 1;
    vidur_chrome_trace_batch(writer, &b); /* two counters and the batch */
    commit(writer);
    CU_ASSERT_EQUAL(load("traceEvents", &json, &last), NUM_METADATA + 10);
    vidur_json_free(json);
}

static void test_events(void)
{
    static const struct vidur_event_record records[] = {
        {VIDUR_EVENT_REQUEST_ARRIVAL, 0.1, 0, -1, -1, 9},
        {VIDUR_EVENT_GLOBAL_SCHEDULE, 0.1, 1, -1, -1, -1},
        {VIDUR_EVENT_BATCH_END, 1.0 / 3, 2, 1, 2, 5},
    };
    struct vidur_error err = {0};
    struct vidur_json *json;
    struct vidur_json_node last;
    struct vidur_trace_writer *writer = vidur_event_trace_open(temporary(), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
    for (size_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(vidur_event_trace_event(writer, &records[i]), 0);
    commit(writer);
    CU_ASSERT_EQUAL(load("events", &json, &last), 3);
    assert_number(&last, "time", 1.0 / 3);
    assert_number(&last, "replica", 1);
    assert_number(&last, "stage", 2);
    assert_number(&last, "batch_id", 5);
    struct vidur_json_node root = vidur_json_root(json);
    struct vidur_json_node events = vidur_json_get(&root, "events");
    struct vidur_json_node first = vidur_json_item(&events, 0);
    assert_number(&first, "request_id", 9);
    CU_ASSERT_FALSE(vidur_json_has(&first, "replica"));
    vidur_json_free(json);
}

static void test_discard_leaves_nothing(void)
{
    struct vidur_trace_writer *writer = open_chrome();
    struct vidur_batch_record b = batch(0, 0, 0);
    vidur_chrome_trace_batch(writer, &b);
    vidur_trace_writer_discard(writer);
    vidur_trace_writer_discard(NULL);
    CU_ASSERT_NOT_EQUAL(access(temporary(), F_OK), 0);
}

/* The disk is full: writing says so while the run goes, commit does at the end. */
static void test_full_disk(void)
{
    struct vidur_error err = {0};
    const struct vidur_fleet fleet = two_of_three_stages();
    struct vidur_trace_writer *writer =
        vidur_chrome_trace_open("/dev/full", &fleet, num_blocks, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
    struct vidur_batch_record b = batch(0, 0, 0);
    int status = 0;
    for (int i = 0; i < 100000 && status == 0; i++)
        status = vidur_chrome_trace_batch(writer, &b);
    CU_ASSERT_EQUAL(status, -1);
    CU_ASSERT_EQUAL(vidur_trace_writer_commit(writer, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_PTR_NULL(vidur_event_trace_open("/nowhere/x.json", &err));
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

VIDUR_TEST_MAIN("trace writer",
                {"whole without batches", test_trace_without_batches_is_whole},
                {"a fleet", test_fleet}, {"names of events", test_event_names},
                {"a batch", test_batch}, {"counters", test_counters},
                {"events", test_events},
                {"discard leaves nothing", test_discard_leaves_nothing},
                {"full disk", test_full_disk})
