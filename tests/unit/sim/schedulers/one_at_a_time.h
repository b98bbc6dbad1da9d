#ifndef VIDUR_TEST_ONE_AT_A_TIME_H
#define VIDUR_TEST_ONE_AT_A_TIME_H

#include <vidur/scheduler.h>

/* A scheduler from outside the library: the shortest that runs. */
extern const struct vidur_scheduler_ops one_at_a_time;

#endif
