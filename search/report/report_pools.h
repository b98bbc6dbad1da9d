#ifndef VIDUR_SEARCH_REPORT_POOLS_H
#define VIDUR_SEARCH_REPORT_POOLS_H

#include "report/report_model.h"

/* What reports say of rows of two pools, and of GPUs that are there already. */

/* The second pool of a row; rows of a pool that prefills and one that decodes and those
 * of a mixed fleet have it under different columns. Pointers go into the row. */
struct vidur_row_pool {
    int64_t of_first; /* replicas of the first pool */
    int64_t num_replicas;
    const char *device, *network_device, *scheduler_label;
    int64_t tensor_parallel_size, data_parallel_size, num_pipeline_stages;
    bool expert_parallel;
    int64_t batch_size, max_num_batched_tokens;
};

bool vidur_row_has_pools(const struct vidur_ranking_row *row);
/* Both pools serve whole requests. */
bool vidur_row_is_mixed(const struct vidur_ranking_row *row);
struct vidur_row_pool vidur_row_second(const struct vidur_ranking_row *row);

/* Were some GPUs there already (`have`)? */
bool vidur_row_has_added(const struct vidur_ranking_row *row);

/* What to add to the GPUs that are there, for the best row of a group: "You have 16 x
 * h100: 45.1 QPS at most. Add 4 x l40s: +3.1 QPS for $3.20 an hour (0.97 QPS per added
 * dollar)"; "" where none are there, or no row is ok. */
void vidur_format_added(const struct vidur_report_model *model,
                        const struct vidur_report_group *group, char *text,
                        size_t size);

#endif
