#include "replica/account.h"

#include <stdlib.h>

void vidur_token_gaps_reset(struct vidur_token_gaps *gaps)
{
    gaps->count = 0;
    gaps->out_of_memory = false;
}

bool vidur_token_gaps_grow(struct vidur_token_gaps *gaps)
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
    return gaps->capacity > 0;
}
