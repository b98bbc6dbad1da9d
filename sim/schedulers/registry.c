#include "registry.h"

#include <string.h>

static const struct vidur_scheduler_ops *const schedulers[] = {
    &vidur_scheduler_vllm,     &vidur_scheduler_sarathi,
    &vidur_scheduler_orca,     &vidur_scheduler_faster_transformer,
    &vidur_scheduler_lightllm, &vidur_scheduler_vllm_v1,
};

static const struct vidur_scheduler_ops *const by_default = &vidur_scheduler_sarathi;

enum { NUM_SCHEDULERS = sizeof schedulers / sizeof *schedulers };

const struct vidur_scheduler_ops *vidur_scheduler_at(int index)
{
    return index >= 0 && index < NUM_SCHEDULERS ? schedulers[index] : NULL;
}

const struct vidur_scheduler_ops *vidur_scheduler_find(const char *name)
{
    for (int i = 0; i < NUM_SCHEDULERS; i++)
        if (strcmp(schedulers[i]->name, name) == 0)
            return schedulers[i];
    return NULL;
}

const struct vidur_scheduler_ops *vidur_scheduler_default(void)
{
    return by_default;
}
