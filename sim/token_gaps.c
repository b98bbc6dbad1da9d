#include "replica.h"

#include <stdlib.h>

void vidur_token_gaps_reset(struct vidur_token_gaps *gaps)
{
    gaps->count = 0;
    gaps->out_of_memory = false;
}

static void grow(struct vidur_token_gaps *gaps)
{
    const int64_t capacity = gaps->capacity ? 2 * gaps->capacity : 4096;
    struct vidur_weighted_value *values =
        realloc(gaps->values, (size_t)capacity * sizeof *values);
    if (values) {
        gaps->values = values;
        gaps->capacity = capacity;
    } else {
        gaps->out_of_memory = true;
        gaps->count = 0;
    }
}

void vidur_token_gaps_append(struct vidur_token_gaps *gaps, double value,
                             int64_t weight)
{
    if (gaps->count == gaps->capacity)
        grow(gaps);
    if (gaps->capacity > gaps->count)
        gaps->values[gaps->count++] = (struct vidur_weighted_value){value, weight};
}
