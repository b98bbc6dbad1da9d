#ifndef VIDUR_TEST_TOY_RUN_H
#define VIDUR_TEST_TOY_RUN_H

#include <vidur/simulator.h>

/* A cluster's simulator after it has run the workload, for vidur_simulator_destroy. The
 * table is not needed any more. Ends the test where that fails, and prints why. */
struct vidur_simulator *toy_simulate(const struct vidur_deployment *deployment,
                                     const struct vidur_timetable *table,
                                     const struct vidur_workload *workload,
                                     const struct vidur_run_options *options,
                                     struct vidur_metrics *metrics);

#endif
