#ifndef VIDUR_SIM_DIGEST_H
#define VIDUR_SIM_DIGEST_H

#include "base/hash.h"

#include <vidur/deployment.h>
#include <vidur/workload.h>

/*
 * All that a simulation can depend on, added to a hash value by value: equal content
 * gives equal hashes on every machine. A member that is added to one of these structs
 * is added here; a test flips every byte of each.
 */

/* All but prices. */
void vidur_deployment_digest(struct vidur_sha256 *sha,
                             const struct vidur_deployment *deployment);

/* All but the rate (arrivals.qps) and the paths of files, whose contents count; they
 * are the caller's to add. */
void vidur_workload_digest(struct vidur_sha256 *sha,
                           const struct vidur_workload_config *workload);

#endif
