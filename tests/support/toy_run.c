#include "toy_run.h"

#include "test.h"

#include <stdio.h>

struct vidur_simulator *toy_simulate(const struct vidur_deployment *deployment,
                                     const struct vidur_timetable *table,
                                     const struct vidur_workload *workload,
                                     const struct vidur_run_options *options,
                                     struct vidur_metrics *metrics)
{
    struct vidur_simulator *simulator = NULL;
    struct vidur_error err = {0};
    if (vidur_simulator_create(&simulator, deployment, table, workload->max_tokens,
                               &err) ||
        vidur_simulator_run(simulator, workload, options, metrics, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return simulator;
}
