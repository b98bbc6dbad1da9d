#include "test.h"
#include "toy_run.h"
#include "toy_scenario.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What holds in every simulated cluster, seen from outside: an observer's records and
 * the requests' times, over random scenarios.
 */

enum { NUM_CASES = VIDUR_TEST_CASES(400), MAX_REPLICAS = 4, MAX_STAGES = 8 };

/* ---- Watching a run ---- */

struct watch {
    const struct toy_scenario *scenario;
    int64_t tokens[TOY_MAX_REQUESTS];  /* run in last stages */
    int32_t replica[TOY_MAX_REQUESTS]; /* -1: not seen */
    double stage_free_s[MAX_REPLICAS][MAX_STAGES];
    double *left_s; /* [batch] the stage before, or forming */
    int64_t capacity;
    int64_t idle_with_work; /* starts later than they could have been */
    int64_t too_large, too_many_blocks, wrong_sums, moved;
    int64_t batches_seen;
};

static double *left_at(struct watch *watch, int64_t batch)
{
    if (batch >= watch->capacity) {
        watch->capacity = 2 * batch + 1024;
        watch->left_s =
            realloc(watch->left_s, (size_t)watch->capacity * sizeof *watch->left_s);
    }
    return &watch->left_s[batch];
}

static void watch_requests(struct watch *watch, const struct vidur_batch_record *record)
{
    int64_t sum = 0;
    for (int i = 0; i < record->size; i++) {
        const int64_t request = record->request_ids[i];
        sum += record->request_tokens[i];
        watch->tokens[request] += record->last_stage ? record->request_tokens[i] : 0;
        watch->moved +=
            watch->replica[request] >= 0 && watch->replica[request] != record->replica;
        watch->replica[request] = record->replica;
    }
    watch->wrong_sums +=
        sum != record->num_tokens ||
        record->num_prefill_tokens + record->num_decode_tokens != sum ||
        record->num_decodes + record->num_prefills != record->size;
}

static int see_batch(void *context, const struct vidur_batch_record *record)
{
    struct watch *watch = context;
    const struct vidur_scheduler_config *knobs = &watch->scenario->deployment.scheduler;
    double *free_s = &watch->stage_free_s[record->replica][record->stage];
    double *left_s = left_at(watch, record->batch_id);
    const double ready_s = record->stage == 0 ? record->scheduled_at_s : *left_s;
    watch->idle_with_work += record->started_at_s != fmax(ready_s, *free_s);
    *free_s = *left_s = record->ended_at_s;
    watch->too_large += record->size > knobs->batch_size_cap;
    watch->too_many_blocks +=
        record->allocated_blocks > knobs->num_blocks || record->allocated_blocks < 0;
    watch->batches_seen += record->last_stage;
    watch_requests(watch, record);
    return 0;
}

static struct vidur_simulator *simulate(const struct toy_scenario *scenario,
                                        const struct vidur_run_options *options,
                                        struct vidur_metrics *metrics)
{
    struct vidur_timetable *table = toy_scenario_timetable(scenario);
    const struct vidur_workload workload = toy_scenario_workload(scenario);
    struct vidur_simulator *simulator =
        toy_simulate(&scenario->deployment, table, &workload, options, metrics);
    toy_timetable_free(table); /* the records do not need it */
    return simulator;
}

/* ---- What must hold ---- */

/* A time is not there, or not before the one it follows. */
static bool follows(double later, double earlier)
{
    return isnan(later) || later >= earlier;
}

static int64_t count_acausal(const struct vidur_request_records *records)
{
    int64_t acausal = 0;
    for (int64_t i = 0; i < records->count; i++) {
        const double scheduled = records->scheduled_at_s[i];
        const double first = records->prefill_completed_at_s[i];
        const double completed = records->completed_at_s[i];
        acausal += !follows(scheduled, records->arrived_at_s[i]) ||
                   !follows(first, scheduled) || !follows(completed, first) ||
                   (isnan(first) && !isnan(completed));
        acausal += !isnan(first) && !(first > scheduled);
    }
    return acausal;
}

/* Between its first stage and its last a request runs or is preempted. Forming and
 * starting coincide with one stage only. */
static int64_t count_time_lost(const struct vidur_request_records *records, int stages)
{
    int64_t lost = 0;
    for (int64_t i = 0; i < records->count; i++) {
        const double span_s = records->completed_at_s[i] - records->scheduled_at_s[i];
        const double sum_s =
            records->execution_time_s[i] + records->preempted_time_s[i];
        if (!isnan(span_s))
            lost += stages == 1 ? fabs(span_s - sum_s) > 1e-9 * span_s
                                : sum_s > span_s * (1 + 1e-9);
    }
    return lost;
}

/* Without restarts every token but the last is run once. */
static int64_t count_wrong_tokens(const struct watch *watch,
                                  const struct vidur_request_records *records)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < records->count; i++) {
        const int64_t total =
            records->arrived_prefill_tokens[i] + records->arrived_decode_tokens[i];
        if (!isnan(records->completed_at_s[i]))
            wrong += records->num_restarts[i] ? watch->tokens[i] < total - 1
                                              : watch->tokens[i] != total - 1;
        wrong +=
            records->num_prefill_tokens[i] + records->num_decode_tokens[i] != total;
    }
    return wrong;
}

/* When the turn that request `i` belongs to may be sent: when the last request of the
 * turn before has ended, and a think time later; NaN: not yet. */
static double sent_s(const struct toy_sessions *sessions,
                     const struct vidur_request_records *records, int64_t i)
{
    double sent_s = 0;
    for (int64_t j = 0; j < records->count; j++)
        if (sessions->session[j] == sessions->session[i] &&
            sessions->turn[j] == sessions->turn[i] - 1)
            sent_s = isnan(records->completed_at_s[j]) || isnan(sent_s)
                         ? NAN
                         : fmax(sent_s, records->completed_at_s[j]);
    return sent_s + sessions->think_s[i];
}

/* Every turn is sent exactly then; a session's first when it starts, or when users wait
 * for sessions, after a pause of theirs or when one ends. */
static int64_t count_wrong_turns(const struct toy_scenario *scenario,
                                 const struct vidur_request_records *records)
{
    const struct toy_sessions *sessions = &scenario->sessions;
    int64_t wrong = 0;
    for (int64_t i = 0; sessions->count > 0 && i < records->count; i++) {
        const double arrived_s = records->arrived_at_s[i];
        if (sessions->turn[i] > 0) {
            const double expected_s = sent_s(sessions, records, i);
            wrong += isnan(expected_s) ? !isnan(arrived_s) : arrived_s != expected_s;
        } else if (scenario->concurrency == 0) {
            wrong += arrived_s != scenario->arrived_at_s[i];
        } else if (sessions->session[i] < scenario->concurrency) {
            wrong += arrived_s != sessions->think_s[i];
        }
    }
    return wrong;
}

static void check_scenario(uint64_t index)
{
    struct toy_scenario *scenario = toy_scenario_draw(index);
    struct watch watch = {.scenario = scenario};
    const struct vidur_observer observer = {.context = &watch, .batch = see_batch};
    const struct vidur_run_options options = {
        .time_limit_s = scenario->options.time_limit_s, .observer = &observer};
    struct vidur_metrics metrics;
    memset(watch.replica, -1, sizeof watch.replica);
    struct vidur_simulator *simulator = simulate(scenario, &options, &metrics);
    const struct vidur_request_records *records = vidur_simulator_requests(simulator);
    CU_ASSERT_EQUAL(count_acausal(records), 0);
    CU_ASSERT_EQUAL(count_time_lost(records, scenario->deployment.num_pipeline_stages),
                    0);
    CU_ASSERT_EQUAL(count_wrong_tokens(&watch, records), 0);
    CU_ASSERT_EQUAL(count_wrong_turns(scenario, records), 0);
    CU_ASSERT_EQUAL(watch.idle_with_work, 0);
    CU_ASSERT_EQUAL(watch.too_large, 0);
    CU_ASSERT_EQUAL(watch.too_many_blocks, 0);
    CU_ASSERT_EQUAL(watch.wrong_sums, 0);
    CU_ASSERT_EQUAL(watch.moved, 0);
    CU_ASSERT(metrics.num_completed <= metrics.num_arrived);
    CU_ASSERT(watch.batches_seen <= metrics.num_batches);
    free(watch.left_s);
    free(scenario);
    vidur_simulator_destroy(simulator);
}

static void test_conservation(void)
{
    for (uint64_t i = 0; i < NUM_CASES; i++)
        check_scenario(i);
}

/* ---- Closed loops ---- */

static int by_time(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Request i is sent when the (i - c + 1)-th request ends, the others at the start: so
 * there are c in the system as long as there is one to be sent. */
static int64_t count_sent_wrongly(const struct vidur_request_records *records,
                                  int64_t clients)
{
    double ended_s[TOY_MAX_REQUESTS];
    int64_t ended = 0, wrong = 0;
    for (int64_t i = 0; i < records->count; i++)
        if (!isnan(records->completed_at_s[i]))
            ended_s[ended++] = records->completed_at_s[i];
    qsort(ended_s, (size_t)ended, sizeof *ended_s, by_time);
    for (int64_t i = 0; i < records->count; i++) {
        const double sent_s = records->arrived_at_s[i];
        wrong += i < clients           ? sent_s != 0
                 : i - clients < ended ? sent_s != ended_s[i - clients]
                                       : !isnan(sent_s);
    }
    return wrong;
}

/* Little's law: while there is something to be sent, clients * time = the sum of what
 * their requests spend in the system. */
static double latencies_until(const struct vidur_request_records *records, double end_s)
{
    double sum_s = 0;
    for (int64_t i = 0; i < records->count; i++)
        if (records->arrived_at_s[i] < end_s)
            sum_s +=
                fmin(isnan(records->completed_at_s[i]) ? INFINITY
                                                       : records->completed_at_s[i],
                     end_s) -
                records->arrived_at_s[i];
    return sum_s;
}

static void test_closed_loops(void)
{
    int64_t saturated = 0, several = 0;
    for (uint64_t index = 0; index < NUM_CASES; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        struct vidur_run_options options = {0};
        struct vidur_metrics metrics;
        memset(scenario->arrived_at_s, 0, sizeof scenario->arrived_at_s);
        scenario->sessions.count = 0;
        scenario->concurrency = 1 + (int64_t)(index * 7 % 40);
        struct vidur_simulator *simulator = simulate(scenario, &options, &metrics);
        const struct vidur_request_records *r = vidur_simulator_requests(simulator);
        CU_ASSERT_EQUAL(count_sent_wrongly(r, scenario->concurrency), 0);
        CU_ASSERT_EQUAL(count_acausal(r), 0);
        CU_ASSERT(metrics.sustained.kept_up);
        const double end_s = r->arrived_at_s[r->count - 1];
        if (end_s > 0) { /* NaN: some request never runs */
            const double expected_s = (double)scenario->concurrency * end_s;
            CU_ASSERT_DOUBLE_EQUAL(latencies_until(r, end_s), expected_s,
                                   1e-9 * expected_s);
            CU_ASSERT_EQUAL(metrics.num_arrived, metrics.num_requests);
            saturated++;
            several += scenario->deployment.num_replicas > 1;
        }
        vidur_simulator_destroy(simulator);
        free(scenario);
    }
    printf("\n  %d loops until the last request was sent, %d over several replicas",
           (int)saturated, (int)several);
    CU_ASSERT(saturated > NUM_CASES / 3);
    CU_ASSERT(several > NUM_CASES / 8);
}

/* ---- The router ---- */

/* Requests of a replica that the router counts when request `before` arrives. */
static int64_t count_open(const struct vidur_request_records *records,
                          const int32_t *replica_of, int64_t before, int32_t replica,
                          const double *until_s)
{
    int64_t open = 0;
    for (int64_t i = 0; i < before; i++)
        open +=
            replica_of[i] == replica && !(until_s[i] < records->arrived_at_s[before]);
    return open;
}

/* Neither semantics sends a request to a replica when another has fewer. */
static void test_least_outstanding(void)
{
    int64_t checked = 0, wrong = 0;
    for (uint64_t index = 0; index < NUM_CASES; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        struct watch watch = {.scenario = scenario};
        const struct vidur_observer observer = {.context = &watch, .batch = see_batch};
        const struct vidur_run_options options = {.observer = &observer};
        struct vidur_metrics metrics;
        scenario->concurrency = 0;
        scenario->sessions.count = 0;
        scenario->deployment.num_replicas = 3;
        strcpy(scenario->deployment.router, "lor");
        memset(watch.replica, -1, sizeof watch.replica);
        struct vidur_simulator *simulator = simulate(scenario, &options, &metrics);
        const struct vidur_request_records *r = vidur_simulator_requests(simulator);
        /* Requests that wait again or never run would need a history. */
        const bool clear = metrics.num_restarts == 0 &&
                           metrics.num_completed == metrics.num_requests &&
                           scenario->times.per_token_ms > 0;
        const double *until_s = scenario->deployment.semantics == VIDUR_SEMANTICS_VIDUR
                                    ? r->scheduled_at_s
                                    : r->completed_at_s;
        for (int64_t i = 0; clear && i < r->count; i++) {
            const int64_t chosen =
                count_open(r, watch.replica, i, watch.replica[i], until_s);
            for (int32_t other = 0; other < 3; other++)
                wrong += count_open(r, watch.replica, i, other, until_s) < chosen;
            checked++;
        }
        free(watch.left_s);
        free(scenario);
        vidur_simulator_destroy(simulator);
    }
    printf("\n  %d choices checked", (int)checked);
    CU_ASSERT(checked > 1000);
    CU_ASSERT_EQUAL(wrong, 0);
}

/* ---- Scale and symmetry ---- */

/* Operator times and arrivals twice as long: every latency twice as long, to the bit,
 * since doubling is exact. */
static void test_doubled_table(void)
{
    for (uint64_t index = 0; index < NUM_CASES; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        const struct vidur_run_options options = {0};
        struct vidur_metrics once, twice;
        if (strcmp(scenario->deployment.router, "polled") == 0)
            strcpy(scenario->deployment.router, "lor"); /* its interval would stay */
        struct vidur_simulator *a = simulate(scenario, &options, &once);
        struct toy_times *times = &scenario->times;
        *times = (struct toy_times){2 * times->fixed_ms,      2 * times->per_token_ms,
                                    2 * times->per_decode_ms, 2 * times->per_context_ms,
                                    2 * times->per_chunk_ms,  2 * times->send_recv_ms};
        for (int64_t i = 0; i < scenario->count; i++)
            scenario->arrived_at_s[i] *= 2;
        for (int64_t i = 0; scenario->sessions.count > 0 && i < scenario->count; i++)
            scenario->sessions.think_s[i] *= 2;
        struct vidur_simulator *b = simulate(scenario, &options, &twice);
        for (int m = 0; m < VIDUR_NUM_LATENCIES; m++) {
            CU_ASSERT_EQUAL(twice.latency[m].count, once.latency[m].count);
            CU_ASSERT_EQUAL(twice.latency[m].p50, 2 * once.latency[m].p50);
            CU_ASSERT_EQUAL(twice.latency[m].p99, 2 * once.latency[m].p99);
            CU_ASSERT_EQUAL(twice.latency[m].max, 2 * once.latency[m].max);
        }
        CU_ASSERT_DOUBLE_EQUAL(twice.busy, once.busy, 1e-9);
        vidur_simulator_destroy(a);
        vidur_simulator_destroy(b);
        free(scenario);
    }
}

/* Round-robin over R replicas is R clusters with every R-th request each. */
static void test_replicas_are_independent(void)
{
    enum { REPLICAS = 3 };
    for (uint64_t index = 0; index < 100; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        const struct vidur_run_options options = {0};
        struct vidur_metrics metrics;
        scenario->concurrency = 0;
        scenario->sessions.count = 0;
        scenario->deployment.num_replicas = REPLICAS;
        strcpy(scenario->deployment.router, "round_robin");
        struct vidur_simulator *all = simulate(scenario, &options, &metrics);
        const struct vidur_request_records *together = vidur_simulator_requests(all);
        for (int64_t replica = 0; replica < REPLICAS; replica++) {
            struct toy_scenario part = *scenario;
            int64_t different = 0;
            part.deployment.num_replicas = 1;
            part.count = 0;
            for (int64_t i = replica; i < scenario->count; i += REPLICAS) {
                part.arrived_at_s[part.count] = scenario->arrived_at_s[i];
                part.prefill[part.count] = scenario->prefill[i];
                part.decode[part.count++] = scenario->decode[i];
            }
            if (part.count == 0)
                continue;
            struct vidur_simulator *one = simulate(&part, &options, &metrics);
            const struct vidur_request_records *alone = vidur_simulator_requests(one);
            for (int64_t i = 0; i < part.count; i++)
                different += memcmp(&alone->completed_at_s[i],
                                    &together->completed_at_s[i * REPLICAS + replica],
                                    sizeof(double)) != 0;
            CU_ASSERT_EQUAL(different, 0);
            vidur_simulator_destroy(one);
        }
        vidur_simulator_destroy(all);
        free(scenario);
    }
}

/* A replica with all the requests does what it does among others that get none: one
 * request at a time, the router finds the first replica free again. */
static void test_alone_among_idle(void)
{
    struct toy_scenario *scenario = toy_scenario_draw(0);
    const struct vidur_run_options options = {0};
    struct vidur_metrics alone, among;
    toy_deployment(&scenario->deployment, "sarathi");
    strcpy(scenario->deployment.router, "lor");
    scenario->times = (struct toy_times){.fixed_ms = 2, .per_token_ms = 0.01};
    scenario->count = 20;
    scenario->sessions.count = 0;
    for (int64_t i = 0; i < scenario->count; i++) {
        scenario->arrived_at_s[i] = 100.0 * (double)i;
        scenario->prefill[i] = 50 + (int32_t)i;
        scenario->decode[i] = 10 + (int32_t)i;
    }
    struct vidur_simulator *a = simulate(scenario, &options, &alone);
    scenario->deployment.num_replicas = 4;
    struct vidur_simulator *b = simulate(scenario, &options, &among);
    CU_ASSERT_PTR_NULL(
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b)));
    CU_ASSERT_DOUBLE_EQUAL(among.busy, alone.busy / 4, 1e-9);
    CU_ASSERT_EQUAL(among.num_batches, alone.num_batches);
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    free(scenario);
}

/* ---- Sarathi's promise ---- */

/* No gap between tokens is longer than a batch of chunk_size tokens takes. */
static void test_sarathi_bounds_gaps(void)
{
    const struct toy_times times = {.fixed_ms = 2, .per_token_ms = 0.05};
    for (uint64_t index = 0; index < 100; index++) {
        struct toy_scenario *scenario = toy_scenario_draw(index);
        struct vidur_scheduler_config *knobs = &scenario->deployment.scheduler;
        const struct vidur_run_options options = {0};
        struct vidur_metrics metrics;
        const int chunk = 32 + (int)(index % 64);
        toy_deployment(&scenario->deployment, "sarathi");
        knobs->batch_size_cap = TOY_MAX_BATCH;
        knobs->chunk_size = chunk;
        scenario->times = times;
        struct vidur_simulator *simulator = simulate(scenario, &options, &metrics);
        const double bound_s =
            TOY_LAYERS * 1e-3 *
            (times.fixed_ms + times.per_token_ms * ((chunk + 7) / 8 * 8));
        CU_ASSERT_EQUAL(metrics.num_restarts, 0);
        CU_ASSERT(metrics.latency[VIDUR_LATENCY_tbt].max <= bound_s * (1 + 1e-12));
        vidur_simulator_destroy(simulator);
        free(scenario);
    }
}

VIDUR_TEST_MAIN("invariants", {"conservation and causality", test_conservation},
                {"closed loops", test_closed_loops},
                {"least outstanding", test_least_outstanding},
                {"a doubled table doubles latencies", test_doubled_table},
                {"replicas are independent", test_replicas_are_independent},
                {"alone among idle replicas", test_alone_among_idle},
                {"sarathi bounds gaps", test_sarathi_bounds_gaps})
