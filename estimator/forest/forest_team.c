#include "forest/forest_team.h"

#include <stdlib.h>
#include <string.h>

void vidur_forest_team_fini(struct vidur_forest_team *team)
{
    for (int i = 0; i < team->num_workers; i++) {
        struct vidur_forest_worker *worker = &team->workers[i];
        vidur_bag_fini(&worker->bag);
        vidur_tree_fini(&worker->tree);
        vidur_grower_free(worker->grower);
        free(worker->path);
        free(worker->order);
    }
    free(team->workers);
    memset(team, 0, sizeof *team);
}

int vidur_forest_team_init(struct vidur_forest_team *team,
                           const struct vidur_training *training,
                           struct vidur_error *err)
{
    const struct vidur_cells *cells = training->cells;
    team->num_workers = training->threads;
    team->workers = calloc((size_t)training->threads, sizeof *team->workers);
    if (!team->workers)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest");
    for (int i = 0; i < team->num_workers; i++) {
        struct vidur_forest_worker *worker = &team->workers[i];
        const size_t n = (size_t)cells->num_cells;
        worker->path = calloc(n + 1, sizeof *worker->path);
        worker->order = calloc(n, sizeof *worker->order);
        worker->order_fold = -1;
        if (!worker->path || !worker->order ||
            vidur_bag_init(&worker->bag, cells, err) ||
            vidur_tree_init(&worker->tree, cells, err) ||
            vidur_grower_create(&worker->grower, cells, VIDUR_GROWER_BEST, err)) {
            vidur_forest_team_fini(team);
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest");
        }
    }
    return 0;
}

int vidur_forest_stream_init(struct vidur_forest_stream *stream,
                             const struct vidur_training *training, uint64_t index,
                             const int *hold, struct vidur_error *err)
{
    stream->seed = training->grid->seed;
    stream->id = vidur_rng_stream(training->samples->name, index);
    return vidur_draw_rows_init(&stream->rows, training->cells, hold[0], hold[1], err);
}

void vidur_forest_grow(struct vidur_forest_worker *worker,
                       const struct vidur_forest_stream *stream, int tree,
                       const struct vidur_tree_limits *limits)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, stream->seed, vidur_rng_substream(stream->id, (uint64_t)tree));
    vidur_bag_draw(&worker->bag, &rng, &stream->rows);
    vidur_grow(worker->grower, &worker->bag, limits, &worker->tree);
}
