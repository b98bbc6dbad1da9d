#ifndef VIDUR_SIM_POOL_SUMMARY_H
#define VIDUR_SIM_POOL_SUMMARY_H

#include "base/json.h"
#include "tell/summary.h"

/* The parts of a summary that tell pools apart. */

/* Members of an open object: devices, layout, scheduler, KV cache, price. */
void vidur_pool_summary_put_layout(struct vidur_json_writer *json,
                                   const struct vidur_deployment *deployment,
                                   const struct vidur_memory_plan *plan);

/* `deployment` of a fleet of several pools, and `pools`: each with its role, layout and
 * metrics. */
void vidur_pool_summary_put(struct vidur_json_writer *json,
                            const struct vidur_summary *summary);

/* The same as text: what there is, a line a pool, and a table of metrics. */
void vidur_pool_summary_print_layout(const struct vidur_summary *summary, FILE *out);
void vidur_pool_summary_print_metrics(const struct vidur_summary *summary, FILE *out);

#endif
