#ifndef VIDUR_SEARCH_MIXED_H
#define VIDUR_SEARCH_MIXED_H

#include "space/fleets.h"

/*
 * `mixed:`: candidates of two pools of role `all` behind one router, on two clusters.
 * What a replica of each carries alone, which is its weight, is measured by the search.
 */

/* A vidur_yaml_reader of the mapping into a struct vidur_search_mixed. */
int mixed_read(const struct vidur_yaml_node *node, void *out, struct vidur_error *err);
/* Once the rest of the configuration is read. */
int mixed_check(const struct vidur_yaml_node *root,
                const struct vidur_search_config *config, struct vidur_error *err);
void mixed_release(struct vidur_search_mixed *mixed);

int mixed_add(struct fleet_builder *builder, struct vidur_error *err);

#endif
