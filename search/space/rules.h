#ifndef VIDUR_SEARCH_RULES_H
#define VIDUR_SEARCH_RULES_H

#include "base/yaml.h"

#include <vidur/space.h>

/*
 * The room search/space. What is searched: the configuration, its rules, the
 * candidates and who they are. Nothing is simulated here. Public in space.h.
 */

/*
 * `include:` and `exclude:`: lists of rules. A rule is a mapping from fields of a
 * candidate to a value or a list of values; it matches a candidate when every field has
 * one of its values. A knob that the candidate's scheduler does not use has no value.
 */

/* What a candidate shows to a rule. */
struct rule_subject {
    const char *model; /* its name in the configuration */
    const char *trace;
    const char *memory_planner;
    const char *precision; /* of its weights */
    int batch_size;
    int num_gpus;
    const struct vidur_deployment *deployment;
};

struct rule_condition {
    int field;
    char (*words)[96]; /* of text fields */
    double *numbers;   /* of the others */
    int count;
};

struct vidur_search_rule {
    struct rule_condition *conditions;
    int num_conditions;
};

/* A sequence of mappings; unknown fields and values of the wrong kind are errors. */
int rules_read(const struct vidur_yaml_node *node, struct vidur_search_rule **rules,
               int *count, struct vidur_error *err);
/* Once the rest of the configuration is read: texts that name nothing known are errors.
 */
int rules_check(const struct vidur_yaml_node *node,
                const struct vidur_search_config *config,
                const struct vidur_search_rule *rules, int count,
                struct vidur_error *err);
void rules_release(struct vidur_search_rule *rules, int count);

/* Matches some rule of `includes` (or there are none), and none of `excludes`. */
bool rules_admit(const struct vidur_search_rule *includes, int num_includes,
                 const struct vidur_search_rule *excludes, int num_excludes,
                 const struct rule_subject *subject);

#endif
