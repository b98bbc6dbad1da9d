#ifndef VIDUR_SIM_PRIORITY_LEVELS_H
#define VIDUR_SIM_PRIORITY_LEVELS_H

#include "load/trace.h"

/*
 * The priorities of a log as classes of traffic: one a value, the lowest first, called
 * priority_0, priority_7, priority_minus_3. Requests that all have the same are of no
 * class.
 */
struct vidur_priority_levels {
    int count;                         /* 0: none, or all requests are alike */
    int32_t values[VIDUR_MAX_CLASSES]; /* ascending */
};

/* Of the rows from `first` up to, without, `end`. More values than a run has classes
 * are an error with the line of the first that is too many. */
int vidur_priority_levels_of(const struct vidur_trace *trace, int64_t first,
                             int64_t end, struct vidur_priority_levels *out,
                             struct vidur_error *err);
/* The class of a value that is among them; 0 where there are none. */
uint8_t vidur_priority_class(const struct vidur_priority_levels *levels, int32_t value);

/* Gives a workload, which has no requests yet, these classes. */
void vidur_priority_levels_apply(const struct vidur_priority_levels *levels,
                                 struct vidur_workload *workload);

#endif
