#ifndef VIDUR_SIM_OBJECTIVES_TELL_H
#define VIDUR_SIM_OBJECTIVES_TELL_H

#include "base/json.h"

#include <vidur/metrics.h>
#include <vidur/workload.h>

#include <stdio.h>

/* What a run's objectives and classes of traffic come to; nothing where it has none. */
struct vidur_objectives {
    const struct vidur_slo_list *slos;
    const struct vidur_workload *workload; /* NULL: no classes */
    const struct vidur_metrics *metrics;
};

/* Members of summary.json: slos, goodput_per_s, classes. */
void vidur_objectives_put(struct vidur_json_writer *json,
                          const struct vidur_objectives *objectives);

/* A table of the classes, and a line for each objective. */
void vidur_objectives_print_classes(const struct vidur_objectives *objectives,
                                    FILE *out);
void vidur_objectives_print(const struct vidur_objectives *objectives, FILE *out);

#endif
