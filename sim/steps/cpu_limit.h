#ifndef VIDUR_SIM_CPU_LIMIT_H
#define VIDUR_SIM_CPU_LIMIT_H

#include <vidur/deployment.h>

/*
 * What a container's CPU limit does to an engine whose processes spin while they wait:
 * they use the limit up early in each period of the kernel's bandwidth control and
 * stand still for the rest of it. ENGINE.md section 10.
 */

/* Of Linux's and Kubernetes' defaults. */
#define VIDUR_CPU_PERIOD_S 0.1

struct vidur_cpu_limit {
    double run_s; /* of each period that the processes run; 0: there is no limit, or it
                     is not reached */
};

/* Processes of a replica that spin while it works: a worker a device and an engine core
 * a rank, which does its worker's part where the rank has one device. */
int vidur_cpu_spinning(const struct vidur_cut *cut);

/* Of the deployment's cpu_cores. */
struct vidur_cpu_limit vidur_cpu_limit_of(const struct vidur_deployment *deployment);

/* How long the processes stand still during a step of step_s that is to begin now:
 * until it can begin, and from its end until it is noticed. In seconds, 0 without a
 * limit. */
double vidur_cpu_stall_s(const struct vidur_cpu_limit *limit, double now_s,
                         double step_s);

#endif
