#ifndef VIDUR_SEARCH_HAVE_H
#define VIDUR_SEARCH_HAVE_H

#include "base/yaml.h"

#include <vidur/space.h>

/* `have:`: GPUs that are paid for already. They change what candidates cost, and the
 * ranking; no simulation. */

extern const struct vidur_yaml_field have_element;

/* Once clusters are known: each entry is of some, and no cluster is of two. */
int have_check(const struct vidur_yaml_node *root,
               const struct vidur_search_config *config, struct vidur_error *err);

#endif
