#ifndef VIDUR_ESTIMATOR_FOREST_TEAM_H
#define VIDUR_ESTIMATOR_FOREST_TEAM_H

#include "forest/regressor.h"
#include "forest/tree.h"

/* Growing many trees with several threads: each has a workspace, each tree its own
 * random stream. */

/* One thread's workspace. */
struct vidur_forest_worker {
    struct vidur_bag bag;
    struct vidur_tree tree;
    struct vidur_grower *grower;
    const struct vidur_node **path; /* from the root to a leaf */
    int32_t *order;                 /* of the wanted cells */
    int order_fold;                 /* whose cells `order` holds; -1: none */
};

struct vidur_forest_team {
    int num_workers;
    struct vidur_forest_worker *workers;
};

/* As many workers as the training has threads. */
int vidur_forest_team_init(struct vidur_forest_team *team,
                           const struct vidur_training *training,
                           struct vidur_error *err);
void vidur_forest_team_fini(struct vidur_forest_team *team);

/* Bootstrap samples of one fold, or of the refit. */
struct vidur_forest_stream {
    uint64_t seed, id;
    struct vidur_draw_rows rows;
};

/* Rows [hold[0], hold[1]) are held out. Release rows with vidur_draw_rows_fini. */
int vidur_forest_stream_init(struct vidur_forest_stream *stream,
                             const struct vidur_training *training, uint64_t index,
                             const int *hold, struct vidur_error *err);

/* Grows tree number `tree` of a stream into the worker. */
void vidur_forest_grow(struct vidur_forest_worker *worker,
                       const struct vidur_forest_stream *stream, int tree,
                       const struct vidur_tree_limits *limits);

#endif
