#ifndef VIDUR_BASE_SECTION_H
#define VIDUR_BASE_SECTION_H

#include "base/yaml.h"

#include <vidur/error.h>

/*
 * Gives an error about a value a place in the file that it came from.
 *
 * Checks over plain structs (vidur_workload_config_check, vidur_deployment_check) know
 * keys but no lines: their texts start with `KEY.PATH: `. Where *err starts with
 * `PREFIX` (such as "workload.", or "" for a path from the root) and the path behind it
 * can be followed from `section`, through lists by index, the text becomes `FILE:LINE:
 * KEY.PATH: ...`; otherwise it stays as it is. Returns -1.
 */
int vidur_section_locate(const struct vidur_yaml_node *section, const char *prefix,
                         struct vidur_error *err);

/* The same where the key is known and the text does not name it: puts the place of
 * `key` of `mapping` in front of the text in *err, whose code stays. Returns -1. */
int vidur_section_fail(const struct vidur_yaml_node *mapping, const char *key,
                       struct vidur_error *err);

#endif
