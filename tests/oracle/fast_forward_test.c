#include "test.h"
#include "toy_run.h"
#include "toy_scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The quick way through a simulation against the plain event loop, over random small
 * clusters: equal records and metrics, bit by bit.
 */

enum { NUM_CASES = VIDUR_TEST_CASES(1500) };

static struct vidur_simulator *simulate(const struct toy_scenario *scenario, bool plain,
                                        const struct vidur_timetable *table,
                                        struct vidur_metrics *metrics)
{
    struct vidur_run_options options = scenario->options;
    const struct vidur_workload workload = toy_scenario_workload(scenario);
    options.plain_stepping = plain;
    return toy_simulate(&scenario->deployment, table, &workload, &options, metrics);
}

struct tally {
    int different, restarted, unfinished, limited, stopped, closed, closed_stopped;
    int sessions, sessions_stopped;
};

static void compare(uint64_t index, struct tally *tally)
{
    struct toy_scenario *scenario = toy_scenario_draw(index);
    struct vidur_timetable *table = toy_scenario_timetable(scenario);
    struct vidur_metrics plain, quick;
    struct vidur_simulator *a = simulate(scenario, true, table, &plain);
    struct vidur_simulator *b = simulate(scenario, false, table, &quick);
    const char *differs =
        toy_records_differ(vidur_simulator_requests(a), vidur_simulator_requests(b));
    if (!differs)
        differs = toy_metrics_differ(&plain, &quick);
    if (differs && tally->different++ < 10)
        printf("\n  case %d: %s differs: %s, %s, %d stages, %d replicas, %d "
               "requests%s%s%s%s",
               (int)index, differs, scenario->deployment.scheduler.type,
               scenario->deployment.router, scenario->deployment.num_pipeline_stages,
               scenario->deployment.num_replicas, (int)scenario->count,
               plain.stopped_early ? ", stopped early" : "",
               plain.time_limited ? ", cut by time" : "",
               scenario->concurrency ? ", closed loop" : "",
               scenario->sessions.count ? ", sessions" : "");
    tally->restarted += plain.num_restarts > 0;
    tally->unfinished += plain.num_completed < plain.num_requests;
    tally->limited += plain.time_limited;
    tally->stopped += plain.stopped_early;
    tally->closed += scenario->concurrency > 0 && plain.num_completed > 0;
    tally->sessions += scenario->sessions.count > 0 && plain.num_completed > 0;
    tally->sessions_stopped += scenario->sessions.count > 0 && plain.stopped_early;
    tally->closed_stopped += scenario->concurrency > 0 && plain.stopped_early;
    vidur_simulator_destroy(a);
    vidur_simulator_destroy(b);
    toy_timetable_free(table);
    free(scenario);
}

static void test_equal(void)
{
    struct tally tally = {0};
    for (uint64_t i = 0; i < NUM_CASES; i++)
        compare(i, &tally);
    printf("\n  %d cases: %d with restarts, %d unfinished, %d cut by time, %d stopped "
           "early, %d closed loops (%d stopped), %d of sessions (%d stopped)\n",
           NUM_CASES, tally.restarted, tally.unfinished, tally.limited, tally.stopped,
           tally.closed, tally.closed_stopped, tally.sessions, tally.sessions_stopped);
    CU_ASSERT_EQUAL(tally.different, 0);
    /* The drawing reaches what it is meant to reach. */
    CU_ASSERT(tally.restarted > NUM_CASES / 10);
    CU_ASSERT(tally.limited > NUM_CASES / 20);
    CU_ASSERT(tally.stopped > NUM_CASES / 20);
    CU_ASSERT(tally.closed > NUM_CASES / 5);
    CU_ASSERT(tally.sessions > NUM_CASES / 4);
    CU_ASSERT(tally.sessions_stopped > NUM_CASES / 100);
    CU_ASSERT(tally.closed_stopped > NUM_CASES / 100);
}

VIDUR_TEST_MAIN("fast forward", {"equal to plain stepping, to the bit", test_equal})
