#ifndef VIDUR_SPEC_DIGEST_H
#define VIDUR_SPEC_DIGEST_H

#include "base/hash.h"

#include <vidur/model.h>
#include <vidur/sku.h>

/*
 * What specs say, added to a hash value by value: equal specs give equal hashes on
 * every machine, wherever they were read from. A member that is added to a spec is
 * added here; a test flips every byte of each struct. Prices are left out: no time and
 * no metric depends on them.
 */

void vidur_model_digest(struct vidur_sha256 *sha, const struct vidur_model_spec *model);
void vidur_device_digest(struct vidur_sha256 *sha,
                         const struct vidur_device_sku *device);
void vidur_node_digest(struct vidur_sha256 *sha, const struct vidur_node_sku *node);

#endif
