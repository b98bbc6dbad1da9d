#include "steps/operator_metrics.h"
#include "tell/request_csv.h"
#include "tell/summary.h"
#include "test.h"

#include "base/json.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two requests by hand: the second arrives 2 s after the first, restarts once (its
 * prompt is then 120 tokens, 30 remain) and is not complete. */
enum { NUM_REQUESTS = 2 };

static const double arrived[] = {1, 3};
static const double scheduled[] = {1.5, 3.25};
static const double prefilled[] = {2, 4};
static const double completed[] = {5, NAN};
static const double execution[] = {2.5, 0.5};
static const double model_execution[] = {2, 0.25};
static const double preempted[] = {1, 0.125};
static const int32_t prefill[] = {100, 120};
static const int32_t decode[] = {10, 30};
static const int32_t arrived_prefill[] = {100, 110};
static const int32_t arrived_decode[] = {10, 40};
static const int32_t restarts[] = {0, 1};

static const struct vidur_request_records records = {
    .count = NUM_REQUESTS,
    .arrived_at_s = arrived,
    .scheduled_at_s = scheduled,
    .prefill_completed_at_s = prefilled,
    .completed_at_s = completed,
    .execution_time_s = execution,
    .model_execution_time_s = model_execution,
    .preempted_time_s = preempted,
    .num_prefill_tokens = prefill,
    .num_decode_tokens = decode,
    .arrived_prefill_tokens = arrived_prefill,
    .arrived_decode_tokens = arrived_decode,
    .num_restarts = restarts,
};

static const char *temporary(const char *suffix)
{
    static char path[96];
    snprintf(path, sizeof path, "/tmp/vidur_summary_%ld%s", (long)getpid(), suffix);
    return path;
}

/* ---- Requests ---- */

static void test_request_metrics(void)
{
    static const double first[] = {4, 0.4, 2.5,   0.25, 2,   0.2, 1,   0.5, 3.5, 0.35,
                                   1, 0.5, 0.005, 0.3,  NAN, 110, 100, 10,  10,  0};
    static const double second[] = {
        NAN,  NAN,   0.5,        0.5 / 30, 0.25,       0.25 / 30,  0.125,
        0.25, 0.625, 0.625 / 30, 1,        0.75,       0.75 / 120, NAN,
        2,    150,   110,        40,       110.0 / 40, 1};
    double values[VIDUR_NUM_REQUEST_METRICS];
    for (int id = 0; id < NUM_REQUESTS; id++) {
        const double *expected = id ? second : first;
        vidur_request_metrics_of(&records, id, values);
        for (int m = 0; m < VIDUR_NUM_REQUEST_METRICS; m++) {
            bool same = isnan(expected[m]) ? isnan(values[m])
                                           : fabs(values[m] - expected[m]) <= 1e-15;
            CU_ASSERT(same);
        }
    }
}

static void test_samples_leave_out_what_is_not_there(void)
{
    double samples[NUM_REQUESTS];
    CU_ASSERT_EQUAL(
        vidur_request_metric_samples(&records, VIDUR_METRIC_request_e2e_time, samples),
        1);
    CU_ASSERT_EQUAL(samples[0], 4);
    CU_ASSERT_EQUAL(
        vidur_request_metric_samples(&records, VIDUR_METRIC_prefill_e2e_time, samples),
        2);
    CU_ASSERT_EQUAL(samples[1], 1);
}

static void test_request_csv(void)
{
    struct vidur_error err = {0};
    char *text;
    FILE *f;
    const char *path = temporary(".csv");
    CU_ASSERT_EQUAL_FATAL(vidur_request_csv_write(path, &records, &err), 0);
    f = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    text = calloc(1, 4096);
    CU_ASSERT(fread(text, 1, 4095, f) > 0);
    fclose(f);
    unlink(path);
    CU_ASSERT_EQUAL(strncmp(text, "Request Id,request_e2e_time,", 28), 0);
    char *row = strchr(text, '\n') + 1;
    CU_ASSERT_EQUAL(strncmp(row, "0,4,0.40000000000000002,2.5,0.25,2,", 35), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(row, ",,110,100,10,10,0\n"));
    row = strchr(row, '\n') + 1;
    CU_ASSERT_EQUAL(strncmp(row, "1,,,0.5,", 8), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(row, ",2,150,110,40,2.75,1\n"));
    free(text);
    CU_ASSERT_EQUAL(vidur_request_csv_write("/nowhere/x.csv", &records, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_EQUAL(vidur_request_csv_write("/dev/full", &records, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

/* ---- Statistics ---- */

static struct vidur_deployment two_by_two(void)
{
    struct vidur_deployment d = {.data_parallel_size = 1};
    snprintf(d.model.name, sizeof d.model.name, "a-model");
    snprintf(d.device.name, sizeof d.device.name, "a-device");
    d.device.usd_per_gpu_hour = NAN;
    d.num_replicas = 2;
    d.num_pipeline_stages = 2;
    d.tensor_parallel_size = 1;
    return d;
}

static struct vidur_batch_record batch(int64_t id, int replica, int stage,
                                       double started_at_s)
{
    return (struct vidur_batch_record){.batch_id = id,
                                       .replica = replica,
                                       .seat = replica,
                                       .stage = stage,
                                       .last_stage = stage == 1,
                                       .scheduled_at_s = started_at_s - stage,
                                       .started_at_s = started_at_s,
                                       .ended_at_s = started_at_s + 1,
                                       .execution_time_s = 1,
                                       .size = (int)id + 1,
                                       .num_tokens = 10 * (id + 1),
                                       .num_prefill_tokens = 9 * (id + 1),
                                       .num_decode_tokens = id + 1,
                                       .flops = 5,
                                       .allocated_blocks = 20 * id,
                                       .num_waiting = id};
}

/* Batches 0 .. count - 1 in turn on both replicas, each on both stages. */
static struct vidur_statistics *statistics_of(int count)
{
    const struct vidur_deployment deployment = two_by_two();
    const int64_t num_blocks = 1000;
    struct vidur_fleet fleet;
    struct vidur_statistics *statistics;
    struct vidur_error err = {0};
    vidur_fleet_of(&fleet, &deployment);
    CU_ASSERT_EQUAL_FATAL(
        vidur_statistics_create(&statistics, &fleet, &num_blocks, &err), 0);
    for (int i = 0; i < count; i++)
        for (int stage = 0; stage < 2; stage++) {
            struct vidur_batch_record b = batch(i, i % 2, stage, i + stage);
            CU_ASSERT_EQUAL(vidur_statistics_batch(statistics, &b), 0);
        }
    return statistics;
}

/* A replica has the stages and blocks of its pool. */
static void test_statistics_of_pools(void)
{
    static const int64_t num_blocks[] = {1000, 40};
    const struct vidur_deployment deployment = two_by_two();
    struct vidur_fleet fleet;
    struct vidur_statistics *statistics;
    struct vidur_error err = {0};
    vidur_fleet_of(&fleet, &deployment);
    fleet.num_pools = 2;
    fleet.pools[1] = fleet.pools[0];
    fleet.pools[1].deployment.num_replicas = 1;
    fleet.pools[1].deployment.num_pipeline_stages = 3;
    CU_ASSERT_EQUAL_FATAL(
        vidur_statistics_create(&statistics, &fleet, num_blocks, &err), 0);
    CU_ASSERT_EQUAL(statistics->num_replicas, 3);
    for (int r = 0; r < 3; r++) {
        CU_ASSERT_EQUAL(statistics->replicas[r].num_stages, r < 2 ? 2 : 3);
        CU_ASSERT_EQUAL(statistics->replicas[r].num_blocks, r < 2 ? 1000 : 40);
    }
    struct vidur_batch_record b = batch(1, 2, 2, 5);
    CU_ASSERT_EQUAL(vidur_statistics_batch(statistics, &b), 0);
    CU_ASSERT_EQUAL(statistics->replicas[2].stages[2].flops, 5);
    vidur_statistics_destroy(statistics);
}

static void test_batch_distributions(void)
{
    struct vidur_statistics *statistics = statistics_of(101);
    struct vidur_distribution d;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_batch_metric_distribution(
                        statistics, VIDUR_BATCH_METRIC_batch_num_tokens, &d, &err),
                    0);
    CU_ASSERT_EQUAL(d.count, 101); /* a batch, not a stage */
    CU_ASSERT_EQUAL(d.min, 10);
    CU_ASSERT_EQUAL(d.max, 1010);
    CU_ASSERT_EQUAL(d.mean, 510);
    CU_ASSERT_EQUAL(d.p50, 510);
    CU_ASSERT_EQUAL(d.p90, 910);
    vidur_batch_execution_distribution(statistics, &d);
    CU_ASSERT_EQUAL(d.count, 101);
    CU_ASSERT(d.min == 2 &&
              d.max == 2); /* from being formed to the second stage's end */
    const struct vidur_replica_statistics *replica = &statistics->replicas[1];
    CU_ASSERT_EQUAL(replica->batches, 50);
    CU_ASSERT_EQUAL(replica->max_blocks, 20 * 99);
    CU_ASSERT_EQUAL(replica->max_waiting, 99);
    CU_ASSERT_EQUAL(vidur_exact_sum_value(&replica->stages[0].busy_s), 50);
    CU_ASSERT_EQUAL(replica->stages[1].flops, 250);
    vidur_statistics_destroy(statistics);
    statistics = statistics_of(0);
    CU_ASSERT_EQUAL(vidur_batch_metric_distribution(
                        statistics, VIDUR_BATCH_METRIC_batch_size, &d, &err),
                    0);
    CU_ASSERT_EQUAL(d.count, 0);
    vidur_statistics_destroy(statistics);
}

/* However long the run: at most so many intervals, nothing lost, and the same whatever
 * the order. */
static void test_time_series_is_bounded(void)
{
    static struct vidur_time_series forward;
    static struct vidur_time_series backward;
    enum { N = 20000 };
    vidur_time_series_init(&forward);
    vidur_time_series_init(&backward);
    for (int i = 0; i < N; i++) {
        struct vidur_batch_record a = batch(i % 7, 0, 0, 0.37 * i);
        struct vidur_batch_record b = batch((N - 1 - i) % 7, 0, 0, 0.37 * (N - 1 - i));
        vidur_time_series_add(&forward, &a);
        vidur_time_series_add(&backward, &b);
    }
    CU_ASSERT_EQUAL(memcmp(&forward, &backward, sizeof forward), 0);
    double end_s = 0.37 * (N - 1);
    CU_ASSERT(forward.used > VIDUR_TIME_SERIES_INTERVALS / 2);
    CU_ASSERT(forward.used <= VIDUR_TIME_SERIES_INTERVALS);
    CU_ASSERT(forward.used * forward.interval_s > end_s);
    CU_ASSERT((forward.used - 1) * forward.interval_s <= end_s);
    int64_t batches = 0;
    for (int i = 0; i < forward.used; i++) {
        double expected = forward.interval_s / 0.37;
        batches += forward.intervals[i].batches;
        if (i + 1 < forward.used)
            CU_ASSERT_DOUBLE_EQUAL((double)forward.intervals[i].batches, expected, 1);
    }
    CU_ASSERT_EQUAL(batches, N);
}

static void test_series_file(void)
{
    static const struct vidur_csv_column columns[] = {
        {"replica", VIDUR_CSV_INT64, 0},
        {"batches", VIDUR_CSV_INT64, 0},
        {"mean_batch_size", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK},
        {"kv_utilization_percent", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK},
    };
    static const struct vidur_csv_schema schema = {columns, 4, false};
    struct vidur_statistics *statistics = statistics_of(4);
    struct vidur_error err = {0};
    const char *path = temporary(".csv");
    CU_ASSERT_EQUAL_FATAL(vidur_statistics_write_series(statistics, path, &err), 0);
    struct vidur_csv *csv = vidur_csv_read(path, &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    int64_t rows = vidur_csv_rows(csv);
    int64_t found = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (vidur_csv_int64s(csv, 1)[i] == 0) {
            CU_ASSERT(isnan(vidur_csv_doubles(csv, 2)[i]));
            continue;
        }
        int64_t id = (found % 2) * 2 + found / 2; /* replica 0: 0, 2; then 1: 1, 3 */
        CU_ASSERT_EQUAL(vidur_csv_int64s(csv, 0)[i], id % 2);
        CU_ASSERT_EQUAL(vidur_csv_doubles(csv, 2)[i], (double)id + 1);
        CU_ASSERT_DOUBLE_EQUAL(vidur_csv_doubles(csv, 3)[i], 2.0 * (double)id, 1e-12);
        found++;
    }
    CU_ASSERT_EQUAL(found, 4);
    vidur_csv_free(csv);
    unlink(path);
    vidur_statistics_destroy(statistics);
}

/* ---- summary.json ---- */

static double number_at(const struct vidur_json *json, const char *a, const char *b,
                        const char *c)
{
    struct vidur_json_node node = vidur_json_root(json);
    double value = NAN;
    struct vidur_error err = {0};
    const char *const keys[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        if (keys[i])
            node = vidur_json_get(&node, keys[i]);
    if (vidur_json_as_double(&node, &value, &err))
        printf("\n  %s\n", err.text);
    return value;
}

static struct vidur_metrics some_metrics(void)
{
    struct vidur_metrics m = {.simulated_time_s = 102,
                              .requests_per_s = 0.5,
                              .output_tokens_per_s = 7,
                              .total_tokens_per_s = 9,
                              .mfu = 11,
                              .memory_usage = 13,
                              .busy = 17,
                              .num_requests = 2,
                              .num_arrived = 2,
                              .num_completed = 1,
                              .num_restarts = 1,
                              .num_batches = 101,
                              .num_extrapolated = 19,
                              .violated_slo = -1};
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++)
        m.latency[i] =
            (struct vidur_distribution){i + 1, i + 0.5, i, i + 1, i, i, i, i + 0.75};
    return m;
}

static void check_notes(const struct vidur_json_node *root)
{
    static const char *const expected[] = {
        "1 of 2 requests (50 %) are longer than 512 tokens and are cut to that "
        "(workload.max_tokens)",
        "workload.max_tokens 512 is beyond the context of a-model, 256 tokens: the "
        "engine refuses longer requests",
        "model a-model: its vision encoder is left out",
        "network_device: a-node (default)",
        "1.5 CPU cores for 3 processes of a replica that spin: they stand still for 50 "
        "of each 100 ms (cluster.cpu_cores)"};
    struct vidur_json_node notes = vidur_json_get(root, "notes");
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(vidur_json_count(&notes), 5);
    for (int i = 0; i < 5; i++) {
        struct vidur_json_node note = vidur_json_item(&notes, i);
        CU_ASSERT_STRING_EQUAL(vidur_json_as_string(&note, &err), expected[i]);
    }
}

static void check_summary(const struct vidur_json *json)
{
    CU_ASSERT_EQUAL(number_at(json, "ttft", "count", NULL), 1);
    CU_ASSERT_EQUAL(number_at(json, "tbt", "mean", NULL), 1.5);
    CU_ASSERT_EQUAL(number_at(json, "scheduling_delay", "p99", NULL), 5.75);
    CU_ASSERT_EQUAL(number_at(json, "throughput", "requests_per_s", NULL), 0.5);
    CU_ASSERT_EQUAL(number_at(json, "throughput", "total_tokens_per_s", NULL), 9);
    CU_ASSERT_EQUAL(number_at(json, "utilization", "mfu", NULL), 11);
    CU_ASSERT_EQUAL(number_at(json, "utilization", "memory", NULL), 13);
    CU_ASSERT_EQUAL(number_at(json, "utilization", "busy", NULL), 17);
    CU_ASSERT_EQUAL(number_at(json, "counts", "completed", NULL), 1);
    CU_ASSERT_EQUAL(number_at(json, "counts", "cut_requests", NULL), 1);
    CU_ASSERT_EQUAL(number_at(json, "start_s", NULL, NULL), 1.7e9);
    CU_ASSERT_EQUAL(number_at(json, "counts", "extrapolated_lookups", NULL), 19);
    CU_ASSERT_EQUAL(number_at(json, "metrics", "request_e2e_time", "count"), 1);
    CU_ASSERT_EQUAL(number_at(json, "metrics", "request_e2e_time", "p50"), 4);
    CU_ASSERT_EQUAL(number_at(json, "metrics", "request_num_restarts", "mean"), 0.5);
    CU_ASSERT_EQUAL(number_at(json, "metrics", "batch_size", "max"), 101);
    CU_ASSERT_EQUAL(number_at(json, "metrics",
                              "decode_token_execution_plus_preemption_time", "count"),
                    2);
    CU_ASSERT_EQUAL(number_at(json, "operators", "mlp_act", "total_s"), 1);
    CU_ASSERT_DOUBLE_EQUAL(number_at(json, "operators", "mlp_act", "share"),
                           1.0 / (VIDUR_NUM_LAYER_COLUMNS - 1), 1e-15);
    CU_ASSERT(isnan(number_at(json, "operators", "mlp_experts", "share")));
    CU_ASSERT_EQUAL(number_at(json, "deployment", "num_gpus", NULL), 4);
    CU_ASSERT_EQUAL(number_at(json, "deployment", "expert_parallel", NULL), 1);
    CU_ASSERT_EQUAL(number_at(json, "provenance", "seed", NULL), 21);
    struct vidur_json_node root = vidur_json_root(json);
    struct vidur_json_node node = vidur_json_get(&root, "provenance");
    struct vidur_json_node text = vidur_json_get(&node, "config_text");
    struct vidur_error err = {0};
    CU_ASSERT_STRING_EQUAL(vidur_json_as_string(&text, &err), "model: \"x\"\n");
    node = vidur_json_get(&root, "deployment"); /* no price: null, not 0 */
    CU_ASSERT_FALSE(vidur_json_has(&node, "usd_per_hour"));
    node = vidur_json_get(&root, "stages");
    CU_ASSERT_EQUAL(vidur_json_count(&node), 1);
    node = vidur_json_item(&node, 0);
    CU_ASSERT_EQUAL(vidur_json_count(&node), 5);
    node = vidur_json_get(&node, "e2e");
    CU_ASSERT_TRUE(vidur_json_has(&node, "mean") && vidur_json_has(&node, "p99"));
    node = vidur_json_get(&root, "replicas");
    CU_ASSERT_EQUAL(vidur_json_count(&node), 2);
    check_notes(&root);
}

/* The summary of the two requests above and 101 batches. */
static void with_summary(void (*use)(const struct vidur_summary *summary))
{
    static char config_text[] = "model: \"x\"\n";
    static struct vidur_simulation_config config;
    double totals_s[VIDUR_NUM_OPERATOR_COLUMNS];
    struct vidur_memory_plan plan = {.fits = true, .num_blocks = 1000};
    const struct vidur_timetable timetable = {.provenance = "synthetic roofline"};
    const struct vidur_timetable *const timetables[] = {&timetable};
    struct vidur_workload workload = {.num_requests = 2,
                                      .num_cut = 1,
                                      .max_tokens = 512,
                                      .start_s = 1.7e9,
                                      .stages = {.count = 1, .first_request = {0, 2}}};
    struct vidur_metrics metrics = some_metrics();
    for (int op = 0; op < VIDUR_NUM_OPERATOR_COLUMNS; op++)
        totals_s[op] = 1;
    config.deployment = two_by_two();
    config.deployment.model.max_position_embeddings = 256;
    config.deployment.expert_parallel = true;
    config.deployment.model.precision.kv_cache = VIDUR_DTYPE_fp8;
    strcpy(config.deployment.model.note, "its vision encoder is left out");
    strcpy(config.deployment.node.name, "a-node");
    config.default_node[0] = true;
    config.deployment.cpu_cores = 1.5;
    vidur_fleet_of(&config.fleet, &config.deployment);
    config.workload.max_tokens = 512;
    config.workload.seed = 21;
    config.text = config_text;
    struct vidur_summary summary = {.config = &config,
                                    .plans = &plan,
                                    .timetables = timetables,
                                    .workload = &workload,
                                    .metrics = &metrics,
                                    .records = &records,
                                    .statistics = statistics_of(101),
                                    .operator_totals_s = totals_s};
    use(&summary);
    vidur_statistics_destroy(summary.statistics);
}

static void write_and_read(const struct vidur_summary *summary)
{
    struct vidur_error err = {0};
    const char *path = temporary(".json");
    CU_ASSERT_EQUAL_FATAL(vidur_summary_write(path, summary, &err), 0);
    struct vidur_json *json = vidur_json_load(path, &err);
    unlink(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    check_summary(json);
    vidur_json_free(json);
    CU_ASSERT_EQUAL(vidur_summary_write("/dev/full", summary, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

static void test_summary_file(void)
{
    with_summary(write_and_read);
}

static void print_and_look(const struct vidur_summary *summary)
{
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    vidur_summary_print(summary, out);
    fclose(out);
    static const char *const wanted[] = {
        "a-model (bf16, KV cache fp8) on 4 x a-device: 2 replicas of TP ",
        " EP, PP ",
        "ttft ",
        "scheduling_delay ",
        "stages of load, ms",
        "0       2 requests",
        "0.500 requests/s",
        "MFU 11.00 %",
        "1 of 2 completed in 102.000 s",
        "19 lookups beyond",
        "network_device: a-node (default)",
        "synthetic roofline"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted[i]));
}

static void test_summary_text(void)
{
    with_summary(print_and_look);
}

VIDUR_TEST_MAIN("summary", {"metrics of a request", test_request_metrics},
                {"samples leave out what is not there",
                 test_samples_leave_out_what_is_not_there},
                {"request_metrics.csv", test_request_csv},
                {"distributions over batches", test_batch_distributions},
                {"statistics of pools", test_statistics_of_pools},
                {"time series are bounded", test_time_series_is_bounded},
                {"time_series.csv", test_series_file},
                {"summary.json", test_summary_file}, {"text", test_summary_text})
