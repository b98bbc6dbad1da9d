#ifndef VIDUR_SIM_SCHEDULERS_REGISTRY_H
#define VIDUR_SIM_SCHEDULERS_REGISTRY_H

#include <vidur/scheduler.h>

/*
 * The room sim/schedulers. Who is batched next: one file a policy, with its facts, and
 * the list of them. A policy sees <vidur/scheduler.h> alone; nobody else knows its
 * name.
 */

/* The schedulers that registry.c lists, one per file of this folder. */
extern const struct vidur_scheduler_ops vidur_scheduler_vllm;
extern const struct vidur_scheduler_ops vidur_scheduler_sarathi;
extern const struct vidur_scheduler_ops vidur_scheduler_orca;
extern const struct vidur_scheduler_ops vidur_scheduler_faster_transformer;
extern const struct vidur_scheduler_ops vidur_scheduler_lightllm;
extern const struct vidur_scheduler_ops vidur_scheduler_vllm_v1;

#endif
