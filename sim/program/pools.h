#ifndef VIDUR_SIM_PROGRAM_POOLS_H
#define VIDUR_SIM_PROGRAM_POOLS_H

#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/spec_config.h>

struct vidur_yaml_node;

/* What pools leave out: `cluster:`, `router:` and `scheduler:` of the top level. */
struct vidur_pool_defaults {
    const struct vidur_deployment *deployment;
    const struct vidur_hardware_config *hardware; /* device "": there is none */
};

/* Reads `pools:` into the fleet's pools and loads the devices and nodes that they name.
 * A pool that names a device and no network_device gets the device's default node:
 * default_node[i] says so. Checks nothing beyond the keys. */
int vidur_pools_read(const struct vidur_yaml_node *pools,
                     const struct vidur_pool_defaults *defaults,
                     struct vidur_fleet *fleet, bool default_node[VIDUR_MAX_POOLS],
                     struct vidur_error *err);

#endif
