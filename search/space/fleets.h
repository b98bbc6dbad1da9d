#ifndef VIDUR_SEARCH_FLEETS_H
#define VIDUR_SEARCH_FLEETS_H

#include "base/yaml.h"

#include <vidur/space.h>

/*
 * `disaggregated:`: candidates of two pools, one that prefills and one that decodes,
 * made of the candidates of one pool that a space has already.
 */

/* A vidur_yaml_reader of the mapping into a struct vidur_search_fleets. */
int fleets_read(const struct vidur_yaml_node *node, void *out, struct vidur_error *err);
/* Once the rest of the configuration is read. */
int fleets_check(const struct vidur_yaml_node *root,
                 const struct vidur_search_config *config, struct vidur_error *err);
void fleets_release(struct vidur_search_fleets *fleets);

/* Adds them behind the space's candidates, each a chain of its own from `chain` on. */
int fleets_add(struct vidur_space *space, int64_t chain, struct vidur_error *err);

#endif
