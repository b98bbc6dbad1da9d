#include "test.h"

#include "sample_cases.h"
#include "tell/request_csv.h"
#include "toy_cluster.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * The simulator against results of its own slow path that are checked in (sample.csv),
 * so that a change of what is simulated shows without any other data. Both paths give
 * the recorded values within 1e-9, relative above a millisecond, and each other's to
 * the bit. Where a change is meant, `test_golden_sample --write` makes the file anew.
 */

static const char file[] = VIDUR_TEST_SOURCE_DIR "/tests/golden/sample.csv";
static const double tolerance = 1e-9, least_s = 1e-3;

/* The metrics that the others follow from. */
static const enum vidur_request_metric recorded[] = {
    VIDUR_METRIC_request_e2e_time,        VIDUR_METRIC_request_execution_time,
    VIDUR_METRIC_request_preemption_time, VIDUR_METRIC_request_scheduling_delay,
    VIDUR_METRIC_prefill_e2e_time,        VIDUR_METRIC_request_num_restarts};

enum { NUM_RECORDED = sizeof recorded / sizeof *recorded };

/* ---- Running ---- */

static int simulate(struct vidur_simulator **out, const struct sample_case *sample,
                    bool plain, struct vidur_metrics *metrics)
{
    const struct vidur_run_options options = {.plain_stepping = plain};
    struct vidur_error err = {0};
    if (vidur_simulator_create(out, &sample->deployment, sample->timetable,
                               SAMPLE_MAX_TOKENS, &err) == 0 &&
        vidur_simulator_run(*out, &sample->workload, &options, metrics, &err) == 0)
        return 0;
    printf("\n  %s: %s\n", sample->name, err.text);
    return -1;
}

/* ---- Comparing ---- */

enum { CASE, REQUEST, FIRST_METRIC, NUM_COLUMNS = FIRST_METRIC + NUM_RECORDED };

static struct vidur_csv *read_sample(struct vidur_csv_column columns[NUM_COLUMNS])
{
    const struct vidur_csv_schema schema = {columns, NUM_COLUMNS, false};
    struct vidur_error err = {0};
    columns[CASE] = (struct vidur_csv_column){"case", VIDUR_CSV_STRING, 0};
    columns[REQUEST] = (struct vidur_csv_column){"request", VIDUR_CSV_INT64, 0};
    for (int m = 0; m < NUM_RECORDED; m++)
        columns[FIRST_METRIC + m] = (struct vidur_csv_column){
            vidur_request_metric_name(recorded[m]), VIDUR_CSV_DOUBLE, 0};
    struct vidur_csv *csv = vidur_csv_read(file, &schema, &err);
    if (!csv)
        printf("\n  %s\n", err.text);
    return csv;
}

static bool differs(double actual, double expected)
{
    return !(fabs(actual - expected) <= tolerance * fmax(fabs(expected), least_s));
}

/* The rows from `first` on are the case's. How many values are not as recorded. */
static int compare(const struct vidur_csv *csv, int64_t first,
                   const struct sample_case *sample,
                   const struct vidur_request_records *records)
{
    int different = 0;
    for (int64_t i = 0; i < SAMPLE_REQUESTS; i++) {
        double values[VIDUR_NUM_REQUEST_METRICS];
        const int64_t row = first + i;
        const int32_t name = vidur_csv_string_ids(csv, CASE)[row];
        CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, name), sample->name);
        CU_ASSERT_EQUAL(vidur_csv_int64s(csv, REQUEST)[row], i);
        vidur_request_metrics_of(records, i, values);
        for (int m = 0; m < NUM_RECORDED; m++) {
            const double expected = vidur_csv_doubles(csv, FIRST_METRIC + m)[row];
            if (differs(values[recorded[m]], expected) && different++ < 3)
                printf("\n  %s, request %d: %s is %.17g, recorded as %.17g",
                       sample->name, (int)i, vidur_request_metric_name(recorded[m]),
                       values[recorded[m]], expected);
        }
    }
    return different;
}

static void check_case(const struct vidur_csv *csv, int index)
{
    struct sample_case sample;
    struct vidur_simulator *plain, *quick;
    struct vidur_metrics by_events, by_steps;
    const int64_t first = (int64_t)index * SAMPLE_REQUESTS;
    CU_ASSERT_FATAL(sample_case_open(&sample, index));
    CU_ASSERT_EQUAL_FATAL(simulate(&plain, &sample, true, &by_events), 0);
    CU_ASSERT_EQUAL_FATAL(simulate(&quick, &sample, false, &by_steps), 0);
    const struct vidur_request_records *records = vidur_simulator_requests(plain);
    CU_ASSERT_EQUAL(compare(csv, first, &sample, records), 0);
    CU_ASSERT_EQUAL(compare(csv, first, &sample, vidur_simulator_requests(quick)), 0);
    CU_ASSERT_PTR_NULL(toy_records_differ(records, vidur_simulator_requests(quick)));
    CU_ASSERT_PTR_NULL(toy_metrics_differ(&by_events, &by_steps));
    /* The cases are what their names say. */
    CU_ASSERT_EQUAL(by_events.num_completed, SAMPLE_REQUESTS);
    CU_ASSERT_EQUAL(by_events.num_restarts > 0, sample.restarts);
    vidur_simulator_destroy(plain);
    vidur_simulator_destroy(quick);
    sample_case_close(&sample);
}

static void test_sample(void)
{
    struct vidur_csv_column columns[NUM_COLUMNS];
    struct vidur_csv *csv = read_sample(columns);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv),
                          (int64_t)NUM_SAMPLE_CASES * SAMPLE_REQUESTS);
    for (int i = 0; i < NUM_SAMPLE_CASES; i++)
        check_case(csv, i);
    vidur_csv_free(csv);
}

/* The prefix cache is felt in its case: without it, the recorded values are missed. */
static void test_cache_is_felt(void)
{
    struct vidur_csv_column columns[NUM_COLUMNS];
    struct sample_case sample;
    struct vidur_simulator *simulator;
    struct vidur_metrics metrics;
    struct vidur_csv *csv = read_sample(columns);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_FATAL(sample_case_open(&sample, NUM_SAMPLE_CASES - 1));
    CU_ASSERT_TRUE_FATAL(sample.deployment.scheduler.prefix_caching);
    sample.deployment.scheduler.prefix_caching = false;
    CU_ASSERT_EQUAL_FATAL(simulate(&simulator, &sample, false, &metrics), 0);
    int64_t different = 0;
    const struct vidur_request_records *records = vidur_simulator_requests(simulator);
    for (int64_t i = 0; i < SAMPLE_REQUESTS; i++) {
        const int64_t row = (int64_t)(NUM_SAMPLE_CASES - 1) * SAMPLE_REQUESTS + i;
        different += differs(records->completed_at_s[i] - records->arrived_at_s[i],
                             vidur_csv_doubles(csv, FIRST_METRIC)[row]);
    }
    CU_ASSERT(different > SAMPLE_REQUESTS / 2);
    vidur_simulator_destroy(simulator);
    sample_case_close(&sample);
    vidur_csv_free(csv);
}

/* ---- Recording ---- */

static int write_case(struct vidur_csv_writer *writer, int index)
{
    struct sample_case sample;
    struct vidur_simulator *simulator;
    struct vidur_metrics metrics;
    if (!sample_case_open(&sample, index) ||
        simulate(&simulator, &sample, true, &metrics))
        return -1;
    for (int64_t i = 0; i < SAMPLE_REQUESTS; i++) {
        double values[VIDUR_NUM_REQUEST_METRICS];
        vidur_request_metrics_of(vidur_simulator_requests(simulator), i, values);
        vidur_csv_put_string(writer, sample.name);
        vidur_csv_put_int64(writer, i);
        for (int m = 0; m < NUM_RECORDED; m++)
            vidur_csv_put_double(writer, values[recorded[m]]);
        vidur_csv_end_row(writer);
    }
    vidur_simulator_destroy(simulator);
    sample_case_close(&sample);
    return 0;
}

static int write_sample(void)
{
    struct vidur_error err = {0};
    struct vidur_csv_writer *writer = vidur_csv_writer_open(file, &err);
    int failed = !writer;
    if (writer) {
        vidur_csv_put_string(writer, "case");
        vidur_csv_put_string(writer, "request");
        for (int m = 0; m < NUM_RECORDED; m++)
            vidur_csv_put_string(writer, vidur_request_metric_name(recorded[m]));
        vidur_csv_end_row(writer);
    }
    for (int i = 0; i < NUM_SAMPLE_CASES && !failed; i++)
        failed = write_case(writer, i) != 0;
    if (writer && failed)
        vidur_csv_writer_discard(writer);
    else if (writer)
        failed = vidur_csv_writer_commit(writer, &err) != 0;
    printf("%s%s: %s\n", err.text, file, failed ? "not written" : "written");
    return failed;
}

int main(int argc, char **argv)
{
    static const struct vidur_test_case cases[] = {
        {"both paths as recorded", test_sample},
        {"the prefix cache is felt", test_cache_is_felt}};
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_sample();
    return vidur_test_run("golden sample", cases, 2);
}
