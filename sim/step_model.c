#include "step_model.h"

#include <string.h>

static const struct vidur_step_model_ops *const models[] = {&vidur_step_layers,
                                                            &vidur_step_engine};

const struct vidur_step_model_ops *vidur_step_model_find(const char *name)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i]->name, name) == 0)
            return models[i];
    return NULL;
}
