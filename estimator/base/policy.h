#ifndef VIDUR_BASE_POLICY_H
#define VIDUR_BASE_POLICY_H

#include "base/yaml.h"

#include <vidur/error.h>

#include <stddef.h>

/* Looking up a policy by its name in a table; the names come from a function that gives
 * the index-th one and NULL behind the last. */
typedef const char *vidur_policy_names(int index);

/* Index of the policy; -1: none of that name. */
int vidur_policy_find(vidur_policy_names *names, const char *name);

/* `KEY: 'poison' is not known; the nearest is 'poisson' of poisson, gamma, ...` */
int vidur_policy_unknown(vidur_policy_names *names, const char *key, const char *name,
                         struct vidur_error *err);

/* Reads `type:` of a section into `type`, which keeps its value where the section has
 * none; the name is in the table afterwards. */
int vidur_policy_read_type(const struct vidur_yaml_node *section,
                           vidur_policy_names *names, char *type, size_t size,
                           struct vidur_error *err);

#endif
