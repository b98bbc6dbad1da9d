#ifndef VIDUR_TEST_PROFILE_FIXTURE_H
#define VIDUR_TEST_PROFILE_FIXTURE_H

#include "temp_dir.h"

#include <vidur/timetable.h>

/* A small deployment and a complete profile of it in the reference's layout, with times
 * that follow a formula. */

extern const struct vidur_model_spec fixture_model;
extern const struct vidur_device_sku fixture_device;
extern const struct vidur_node_sku fixture_node;

/* A request for the fixture's model; small limits. */
struct vidur_timetable_request fixture_request(int tensor_parallel_size);

/* Writes profiles/... into the folder, for TP 1 and 2, and gives a configuration that
 * reads them with a small grid (fast) and without a cache. */
void fixture_write(const struct temp_dir *dir, struct vidur_estimator_config *config);

/* Paths below the folder. */
#define FIXTURE_MLP        "profiles/compute/gpu/test/tiny/mlp.csv"
#define FIXTURE_ATTENTION  "profiles/compute/gpu/test/tiny/attention.csv"
#define FIXTURE_ALL_REDUCE "profiles/network/box/all_reduce.csv"
#define FIXTURE_SEND_RECV  "profiles/network/box/send_recv.csv"
#define FIXTURE_CPU        "profiles/cpu_overhead/box/test/tiny/cpu_overheads.csv"

/* Replaces the first `from` in a file by `to`; aborts when it is not there. */
void fixture_edit(const struct temp_dir *dir, const char *name, const char *from,
                  const char *to);

#endif
