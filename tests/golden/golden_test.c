#include "golden_case.h"

#include "tell/request_csv.h"
#include "toy_cluster.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * The reference's runs, repeated under `semantics: vidur`: every per-request column and
 * the whole sequence of batches within 1e-9, relative.
 */

static const double tolerance = 1e-9;

/* Relative; where the reference has 0 or nothing, only that will do. */
static double deviation(double actual, double expected)
{
    if (actual == expected || (isnan(actual) && isnan(expected)))
        return 0;
    return isnan(actual) || isnan(expected) || expected == 0
               ? INFINITY
               : fabs((actual - expected) / expected);
}

/* ---- Requests ---- */

#define X(name, kind, value) {#name, VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK},
static const struct vidur_csv_column request_columns[] = {VIDUR_REQUEST_METRICS(X)};
#undef X

static double compare_requests(const char *name,
                               const struct vidur_request_records *records,
                               const char **worst_column)
{
    const struct vidur_csv_schema schema = {.columns = request_columns,
                                            .num_columns = VIDUR_NUM_REQUEST_METRICS};
    char path[1024];
    struct vidur_error err = {0};
    double worst = 0;
    snprintf(path, sizeof path, "%s/golden/%s/request_metrics.csv",
             vidur_test_shared_dir(), name);
    struct vidur_csv *csv = vidur_csv_read(path, &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv), records->count);
    for (int64_t i = 0; i < records->count; i++) {
        double values[VIDUR_NUM_REQUEST_METRICS];
        vidur_request_metrics_of(records, i, values);
        for (int m = 0; m < VIDUR_NUM_REQUEST_METRICS; m++) {
            const double off = deviation(values[m], vidur_csv_doubles(csv, m)[i]);
            if (off > worst) {
                worst = off;
                *worst_column = request_columns[m].name;
            }
        }
    }
    vidur_csv_free(csv);
    return worst;
}

/* ---- Batches ---- */

enum batch_column { BATCH, REPLICA, STAGE, START, TIME, SIZE, TOKENS, NUM_COLUMNS };

static const struct vidur_csv_column batch_columns[NUM_COLUMNS] = {
    [BATCH] = {"batch_id", VIDUR_CSV_INT64, 0},
    [REPLICA] = {"replica_id", VIDUR_CSV_INT64, 0},
    [STAGE] = {"stage_id", VIDUR_CSV_INT64, 0},
    [START] = {"start", VIDUR_CSV_DOUBLE, 0},
    [TIME] = {"execution_time", VIDUR_CSV_DOUBLE, 0},
    [SIZE] = {"batch_size", VIDUR_CSV_INT64, 0},
    [TOKENS] = {"num_tokens", VIDUR_CSV_INT64, 0},
};

struct batch_row {
    int64_t cells[NUM_COLUMNS];
    double start_s, time_s;
};

struct batch_log {
    struct batch_row *rows;
    int64_t count, capacity;
};

static int log_batch(void *context, const struct vidur_batch_record *record)
{
    struct batch_log *log = context;
    if (log->count == log->capacity) {
        log->capacity = log->capacity ? 2 * log->capacity : 1024;
        log->rows = realloc(log->rows, (size_t)log->capacity * sizeof *log->rows);
    }
    log->rows[log->count++] =
        (struct batch_row){.cells = {[BATCH] = record->batch_id,
                                     [REPLICA] = record->replica,
                                     [STAGE] = record->stage,
                                     [SIZE] = record->size,
                                     [TOKENS] = record->num_tokens},
                           .start_s = record->started_at_s,
                           .time_s = record->execution_time_s};
    return 0;
}

static int by_batch_and_stage(const void *a, const void *b)
{
    const struct batch_row *x = a, *y = b;
    if (x->cells[BATCH] != y->cells[BATCH])
        return x->cells[BATCH] < y->cells[BATCH] ? -1 : 1;
    return x->cells[STAGE] < y->cells[STAGE] ? -1 : x->cells[STAGE] > y->cells[STAGE];
}

static int64_t read_expected(const char *name, struct batch_row **rows)
{
    static const struct vidur_csv_schema schema = {batch_columns, NUM_COLUMNS, false};
    char path[1024];
    struct vidur_error err = {0};
    snprintf(path, sizeof path, "%s/golden/%s/batches.csv", vidur_test_shared_dir(),
             name);
    struct vidur_csv *csv = vidur_csv_read(path, &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    const int64_t count = vidur_csv_rows(csv);
    *rows = calloc((size_t)count, sizeof **rows);
    for (int64_t i = 0; i < count; i++) {
        for (int c = 0; c < NUM_COLUMNS; c++)
            if (batch_columns[c].type == VIDUR_CSV_INT64)
                (*rows)[i].cells[c] = vidur_csv_int64s(csv, c)[i];
        (*rows)[i].start_s = vidur_csv_doubles(csv, START)[i];
        (*rows)[i].time_s = vidur_csv_doubles(csv, TIME)[i];
    }
    vidur_csv_free(csv);
    return count;
}

static double compare_batches(const char *name, struct batch_log *log)
{
    struct batch_row *expected;
    double worst = 0;
    int64_t different = 0;
    const int64_t count = read_expected(name, &expected);
    CU_ASSERT_EQUAL(log->count, count);
    qsort(expected, (size_t)count, sizeof *expected, by_batch_and_stage);
    qsort(log->rows, (size_t)log->count, sizeof *log->rows, by_batch_and_stage);
    for (int64_t i = 0; i < count && i < log->count; i++) {
        const struct batch_row *actual = &log->rows[i];
        different +=
            memcmp(actual->cells, expected[i].cells, sizeof actual->cells) != 0;
        worst = fmax(worst, deviation(actual->start_s, expected[i].start_s));
        worst = fmax(worst, deviation(actual->time_s, expected[i].time_s));
    }
    CU_ASSERT_EQUAL(different, 0);
    if (different)
        printf("  %s: %lld batches differ in what they hold\n", name,
               (long long)different);
    free(expected);
    return worst;
}

/* Without an observer: by itself and without a heap, and equal to the bit. */
static void check_quick(struct golden_case *golden,
                        const struct vidur_metrics *observed)
{
    struct vidur_error err = {0};
    struct vidur_metrics metrics;
    struct vidur_simulator *quick;
    const struct vidur_run_options options = {0};
    golden_must(vidur_simulator_create(&quick, &golden->config.deployment,
                                       golden->timetable,
                                       golden->config.workload.max_tokens, &err),
                "quick", &err);
    golden_must(vidur_simulator_run(quick, golden->workload, &options, &metrics, &err),
                "quick", &err);
    CU_ASSERT_PTR_NULL(toy_records_differ(vidur_simulator_requests(golden->simulator),
                                          vidur_simulator_requests(quick)));
    CU_ASSERT_PTR_NULL(toy_metrics_differ(observed, &metrics));
    vidur_simulator_destroy(quick);
}

static void run_case(const char *name)
{
    struct golden_case golden;
    struct vidur_error err = {0};
    struct vidur_metrics metrics;
    struct batch_log log = {0};
    const char *column = "-";
    golden_open(&golden, name);
    const struct vidur_observer observer = {.context = &log, .batch = log_batch};
    const struct vidur_run_options options = {.observer = &observer};
    golden_must(vidur_simulator_run(golden.simulator, golden.workload, &options,
                                    &metrics, &err),
                name, &err);
    const double requests =
        compare_requests(name, vidur_simulator_requests(golden.simulator), &column);
    const double batches = compare_batches(name, &log);
    check_quick(&golden, &metrics);
    printf("  %-26s %5lld requests %9.2e (%s)  %6lld batches %9.2e\n", name,
           (long long)metrics.num_completed, requests, column, (long long)log.count,
           batches);
    CU_ASSERT(requests <= tolerance);
    CU_ASSERT(batches <= tolerance);
    free(log.rows);
    golden_close(&golden);
}

static void test_all(void)
{
    if (!vidur_test_shared_dir())
        vidur_test_skip_golden();
    printf("\n  largest relative deviation from the reference\n");
    for (int i = 0; i < NUM_GOLDEN_CASES; i++)
        run_case(golden_cases[i]);
}

VIDUR_TEST_MAIN("golden", {"every case within 1e-9", test_all})
