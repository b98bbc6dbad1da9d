#include <vidur/slo.h>

#include <stdio.h>
#include <string.h>

static const char *const names[] = {
#define X(name) #name,
    VIDUR_LATENCIES(X)
#undef X
};

const char *const vidur_tbt_definition_names[] = {"token", "batch", NULL};

const char *vidur_latency_name(enum vidur_latency latency)
{
    return names[latency];
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

/* ---- Objectives ---- */

static int check_parts(const struct vidur_slo *slo, struct vidur_error *err)
{
    int count = 0;
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++) {
        if (!(slo->parts_s[i] >= 0))
            return vidur_fail(err, VIDUR_EINVAL,
                              "all.%s: limit %g s; it must be above 0", names[i],
                              slo->parts_s[i]);
        if (slo->parts_s[i] > 0 && !vidur_latency_is_of_request((enum vidur_latency)i))
            return vidur_fail(err, VIDUR_EINVAL,
                              "all.%s: gaps between tokens are counted by batches, not "
                              "by requests; use tpot, the mean of a request's gaps",
                              names[i]);
        count += slo->parts_s[i] > 0;
    }
    if (count == 0)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "all: no limit; give one or more, like {ttft: 1, tpot: 0.05}");
    return 0;
}

int vidur_slo_check(const struct vidur_slo *slo, struct vidur_error *err)
{
    if (!(slo->quantile > 0 && slo->quantile <= 1) || !(slo->limit_s >= 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "quantile %g and limit %g s; the quantile must be in (0, 1] "
                          "and the limit not negative",
                          slo->quantile, slo->limit_s);
    if (vidur_slo_is_joint(slo))
        return check_parts(slo, err);
    if (slo->class_number > 0 && !vidur_latency_is_of_request(slo->metric))
        return vidur_fail(err, VIDUR_EINVAL,
                          "metric %s of class %s: gaps between tokens are counted by "
                          "batches, not by classes; use tpot",
                          names[slo->metric], slo->class_name);
    return 0;
}

void vidur_slo_percentile(double quantile, char *out, size_t size)
{
    char digits[64];
    snprintf(digits, sizeof digits, "%.10f", 100 * quantile);
    size_t length = strlen(digits);
    while (digits[length - 1] == '0')
        length--;
    length -= digits[length - 1] == '.';
    snprintf(out, size, "%.*s", (int)length, digits);
}

/* There is room for all of them in a name. */
const char *vidur_slo_part_name(enum vidur_latency latency)
{
    return latency == VIDUR_LATENCY_e2e_normalized     ? "norm"
           : latency == VIDUR_LATENCY_scheduling_delay ? "delay"
                                                       : names[latency];
}

void vidur_slo_name(const struct vidur_slo *slo, char *out, size_t size)
{
    char percentile[64], metric[64] = "goodput";
    vidur_slo_percentile(slo->quantile, percentile, sizeof percentile);
    if (!vidur_slo_is_joint(slo))
        snprintf(metric, sizeof metric, "%s", names[slo->metric]);
    for (int i = 0; vidur_slo_is_joint(slo) && i < VIDUR_NUM_LATENCIES; i++)
        if (slo->parts_s[i] > 0) {
            strcat(metric, "_");
            strcat(metric, vidur_slo_part_name((enum vidur_latency)i));
        }
    snprintf(out, size, "%s%s%s_p%s", slo->class_name, slo->class_name[0] ? "_" : "",
             metric, percentile);
}

void vidur_slo_describe_parts(const struct vidur_slo *slo, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < VIDUR_NUM_LATENCIES && used < size; i++)
        if (slo->parts_s[i] > 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s %.10g s",
                                     used ? ", " : "", names[i], slo->parts_s[i]);
}
