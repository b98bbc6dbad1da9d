#include "load/priority_levels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the value is, or belongs. */
static int place_of(const struct vidur_priority_levels *levels, int32_t value)
{
    int at = 0;
    while (at < levels->count && levels->values[at] < value)
        at++;
    return at;
}

int vidur_priority_levels_of(const struct vidur_trace *trace, int64_t first,
                             int64_t end, struct vidur_priority_levels *out,
                             struct vidur_error *err)
{
    *out = (struct vidur_priority_levels){0};
    for (int64_t row = first; trace->priority && row < end; row++) {
        const int32_t value = trace->priority[row];
        const int at = place_of(out, value);
        if (at < out->count && out->values[at] == value)
            continue;
        if (out->count == VIDUR_MAX_CLASSES)
            return vidur_trace_row_fail(trace, row, "priority", err,
                                        "%d is one value too many; a run tells up to "
                                        "%d priorities apart, give those that are "
                                        "alike the same",
                                        (int)value, VIDUR_MAX_CLASSES);
        memmove(&out->values[at + 1], &out->values[at],
                (size_t)(out->count - at) * sizeof out->values[0]);
        out->values[at] = value;
        out->count++;
    }
    if (out->count == 1)
        out->count = 0;
    return 0;
}

uint8_t vidur_priority_class(const struct vidur_priority_levels *levels, int32_t value)
{
    return (uint8_t)place_of(levels, value);
}

void vidur_priority_levels_apply(const struct vidur_priority_levels *levels,
                                 struct vidur_workload *workload)
{
    workload->num_classes = levels->count;
    for (int i = 0; i < levels->count; i++) {
        struct vidur_traffic_class *class = &workload->classes[i];
        const int value = levels->values[i];
        class->priority = value;
        snprintf(class->name, sizeof class->name, "priority_%s%lld",
                 value < 0 ? "minus_" : "", llabs((long long)value));
    }
}
