#ifndef VIDUR_TEST_TOY_SCENARIO_H
#define VIDUR_TEST_TOY_SCENARIO_H

#include "toy_cluster.h"
#include "toy_sessions.h"

/*
 * Random small clusters under random load: all schedulers and routers, 1 to 8 stages,
 * ties in time, memory from too little to plenty.
 */

enum {
    TOY_MAX_REQUESTS = 160,
    TOY_MAX_TOKENS = 256,
    TOY_MAX_BATCH = 24,
    TOY_NUM_SLOS = 3
};

struct toy_scenario {
    struct vidur_deployment deployment;
    struct toy_times times;
    int64_t count;
    int64_t concurrency; /* of a closed loop; 0: an open one */
    double arrived_at_s[TOY_MAX_REQUESTS];
    int32_t prefill[TOY_MAX_REQUESTS];
    int32_t decode[TOY_MAX_REQUESTS];
    struct toy_sessions sessions; /* .count 0: none */
    struct vidur_slo slos[TOY_NUM_SLOS];
    struct vidur_run_options options; /* time limit, SLOs, definitions; no observer */
};

/* The index-th scenario; free() it. NULL when memory is out. */
struct toy_scenario *toy_scenario_draw(uint64_t index);

struct vidur_workload toy_scenario_workload(const struct toy_scenario *scenario);
struct vidur_timetable *toy_scenario_timetable(const struct toy_scenario *scenario);

#endif
