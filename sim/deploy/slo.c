#include <vidur/slo.h>

#include <string.h>

static const char *const names[] = {
#define X(name, unit) #name,
    VIDUR_LATENCIES(X)
#undef X
};

static const char *const units[] = {
#define X(name, unit) unit,
    VIDUR_LATENCIES(X)
#undef X
};

const char *const vidur_tbt_definition_names[] = {"token", "batch", NULL};

const char *vidur_latency_name(enum vidur_latency latency)
{
    return names[latency];
}

const char *vidur_latency_unit(enum vidur_latency latency)
{
    return units[latency];
}

int vidur_latency_from_name(const char *name, enum vidur_latency *out,
                            struct vidur_error *err)
{
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum vidur_latency)i;
            return 0;
        }
    return vidur_fail(err, VIDUR_EINVAL,
                      "'%s' is not a latency; known are ttft, tbt, tpot, e2e, "
                      "e2e_normalized, scheduling_delay",
                      name);
}
