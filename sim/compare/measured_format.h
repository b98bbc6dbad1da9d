#ifndef VIDUR_MEASURED_FORMAT_H
#define VIDUR_MEASURED_FORMAT_H

#include "base/json.h"
#include "compare/measured.h"

/*
 * A format of measurements: one file measured_NAME.c and one entry of the registry in
 * measured.c each. And what formats share.
 */
struct vidur_measured_format {
    const char *what; /* for people: the member it is known by, and where it is from */
    bool (*knows)(const struct vidur_json_node *experiment);
    /* Fills *e, in which nothing is stated yet: numbers are 0, latencies NaN. */
    int (*read)(const struct vidur_json_node *experiment,
                struct vidur_measured_experiment *e, struct vidur_error *err);
};

extern const struct vidur_measured_format vidur_measured_shared_prefix;
extern const struct vidur_measured_format vidur_measured_closed_loop;
extern const struct vidur_measured_format vidur_measured_bench_serve;

struct vidur_measured_number {
    const char *key;
    double *out;
};

/* Numbers above 0. */
int vidur_measured_numbers(const struct vidur_json_node *node,
                           const struct vidur_measured_number *numbers, int count,
                           struct vidur_error *err);

/* An integer of 1 or more, or a text that is one; *out stays where there is none. */
int vidur_measured_optional_int(const struct vidur_json_node *node, const char *key,
                                int *out, struct vidur_error *err);

int vidur_measured_text(const struct vidur_json_node *node, const char *key, char *out,
                        size_t size, struct vidur_error *err);

/* {mean, median, p90, p95, p99}, of which the mean must be there. */
int vidur_measured_latency(const struct vidur_json_node *stage, const char *key,
                           struct vidur_measured_latency *out, struct vidur_error *err);

/* What served: device, layout, limits, precision; all of it may be missing. */
int vidur_measured_engine(const struct vidur_json_node *node,
                          struct vidur_measured_experiment *e, struct vidur_error *err);

/* The mean end-to-end latency, where it was not measured: TTFT + TPOT * (output - 1),
 * of the means. */
void vidur_measured_derive_e2e(struct vidur_measured_experiment *e);

#endif
