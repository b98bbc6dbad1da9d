/* Objectives as configurations state them. */

#include <vidur/simulation_config.h>

#include "base/yaml.h"

#include <stdio.h>
#include <string.h>

static const char *const latency_names[] = {
#define X(name) #name,
    VIDUR_LATENCIES(X)
#undef X
        NULL};

/* Of `all:`, a double for each latency. */
static const struct vidur_yaml_field part_fields[] = {
#define X(name)                                                                        \
    {.key = #name,                                                                     \
     .type = VIDUR_YAML_DOUBLE,                                                        \
     .flags = VIDUR_YAML_ABOVE,                                                        \
     .offset = VIDUR_LATENCY_##name * sizeof(double),                                  \
     .size = sizeof(double)},
    VIDUR_LATENCIES(X)
#undef X
        {0}};

#define KEY(key, kind, member) VIDUR_YAML_KEY(key, kind, struct vidur_slo, member)

static const struct vidur_yaml_field single_fields[] = {
    {KEY("metric", ENUM, metric), .flags = VIDUR_YAML_REQUIRED, .names = latency_names},
    {KEY("quantile", DOUBLE, quantile),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE | VIDUR_YAML_MAX, .min = 0,
     .max = 1},
    {KEY("limit_s", DOUBLE, limit_s), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE,
     .min = 0},
    {.key = "all", .type = VIDUR_YAML_ELSEWHERE},
    {0}};

static const struct vidur_yaml_field joint_fields[] = {
    {.key = "all",
     .type = VIDUR_YAML_MAPPING,
     .flags = VIDUR_YAML_REQUIRED,
     VIDUR_YAML_AT(struct vidur_slo, parts_s),
     .fields = part_fields},
    {KEY("quantile", DOUBLE, quantile),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE | VIDUR_YAML_MAX, .min = 0,
     .max = 1},
    {.key = "metric", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "limit_s", .type = VIDUR_YAML_ELSEWHERE},
    {0}};

static int read_joint(const struct vidur_yaml_node *node, struct vidur_slo *slo,
                      struct vidur_error *err)
{
    static const char *const singles[] = {"metric", "limit_s"};
    struct vidur_error why;
    slo->metric = (enum vidur_latency)VIDUR_SLO_JOINT;
    slo->limit_s = 1;
    for (int i = 0; i < 2; i++)
        if (vidur_yaml_get(node, singles[i]))
            return vidur_yaml_fail_key(node, singles[i], err,
                                       "given beside all, which has a limit for each "
                                       "metric; leave it out");
    if (vidur_yaml_read(node, joint_fields, slo, err) != 0)
        return -1;
    return vidur_slo_check(slo, &why) ? vidur_yaml_fail(node, err, "%s", why.text) : 0;
}

int vidur_slo_read(const struct vidur_yaml_node *node, void *out,
                   struct vidur_error *err)
{
    struct vidur_slo *slo = out;
    memset(slo, 0, sizeof *slo);
    return vidur_yaml_get(node, "all") ? read_joint(node, slo, err)
                                       : vidur_yaml_read(node, single_fields, slo, err);
}

static int check_new(const struct vidur_yaml_node *node,
                     const struct vidur_slo_list *slos, struct vidur_error *err)
{
    const struct vidur_slo *slo = &slos->slos[slos->count - 1];
    char name[96], other[96];
    vidur_slo_name(slo, name, sizeof name);
    for (int i = 0; i < slos->count - 1; i++) {
        vidur_slo_name(&slos->slos[i], other, sizeof other);
        if (strcmp(name, other) == 0)
            return vidur_yaml_fail(
                node, err, "two are on %s; keep the one with the lower limit", name);
    }
    return 0;
}

static int read_class(const struct vidur_yaml_node *list, int class_number,
                      const char *class_name, struct vidur_slo_list *slos,
                      struct vidur_error *err)
{
    struct vidur_error why;
    if (vidur_yaml_kind(list) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_fail(list, err,
                               "a list is needed, like [{metric: ttft, quantile: 0.9, "
                               "limit_s: 1}]");
    for (int i = 0; i < vidur_yaml_count(list); i++) {
        const struct vidur_yaml_node *node = vidur_yaml_item(list, i);
        struct vidur_slo *slo = &slos->slos[slos->count];
        if (slos->count == VIDUR_MAX_SLOS)
            return vidur_yaml_fail(node, err,
                                   "a run takes up to %d SLOs, those of its classes "
                                   "among them; leave some out",
                                   VIDUR_MAX_SLOS);
        if (vidur_slo_read(node, slo, err) != 0)
            return -1;
        slo->class_number = class_number;
        snprintf(slo->class_name, sizeof slo->class_name, "%s", class_name);
        slos->count++;
        if (vidur_slo_check(slo, &why) != 0)
            return vidur_yaml_fail(node, err, "%s", why.text);
        if (check_new(node, slos, err) != 0)
            return -1;
    }
    return 0;
}

int vidur_class_slos_read(const struct vidur_yaml_node *classes,
                          const struct vidur_workload_config *workload,
                          struct vidur_slo_list *slos, struct vidur_error *err)
{
    for (int i = 0; i < workload->num_classes; i++) {
        const struct vidur_yaml_node *list =
            vidur_yaml_get(vidur_yaml_item(classes, i), "slos");
        if (list && read_class(list, i + 1, workload->classes[i].name, slos, err) != 0)
            return -1;
    }
    return 0;
}
