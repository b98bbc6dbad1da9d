#include "samples_fixture.h"

#include <vidur/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_samples make(int num_features, int num_rows)
{
    struct vidur_samples samples;
    memset(&samples, 0, sizeof samples);
    snprintf(samples.name, sizeof samples.name, "test");
    samples.num_features = num_features;
    if (vidur_samples_resize(&samples, num_rows, NULL))
        abort();
    return samples;
}

struct vidur_samples samples_of(int num_rows, const double *first, const double *second,
                                const double *target_ms)
{
    const size_t bytes = (size_t)num_rows * sizeof(double);
    struct vidur_samples samples = make(second ? 2 : 1, num_rows);
    memcpy(samples.features[0], first, bytes);
    if (second)
        memcpy(samples.features[1], second, bytes);
    memcpy(samples.target_ms, target_ms, bytes);
    return samples;
}

struct vidur_samples samples_random(const struct samples_recipe *recipe)
{
    struct vidur_samples samples = make(recipe->num_features, recipe->num_rows);
    struct vidur_rng rng;
    vidur_rng_init(&rng, recipe->seed, 1);
    for (int i = 0; i < recipe->num_rows; i++) {
        double time_ms = 0.01;
        for (int f = 0; f < recipe->num_features; f++) {
            const double step = vidur_rng_below(&rng, (uint32_t)recipe->values[f]);
            samples.features[f][i] = step * (1 + step / 8) * (f + 1);
            time_ms += samples.features[f][i] * (0.01 + 0.3 * vidur_rng_uniform(&rng));
        }
        if (recipe->target_steps)
            time_ms = rint(time_ms * recipe->target_steps) / recipe->target_steps;
        samples.target_ms[i] = time_ms;
    }
    return samples;
}
