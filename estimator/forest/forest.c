#include "forest/forest_model.h"
#include "forest/forest_team.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

int vidur_forest_num_candidates(const struct vidur_regressor_grid *grid)
{
    return grid->num_max_depth * grid->num_min_samples_split * grid->num_num_estimators;
}

void vidur_forest_candidate(const struct vidur_regressor_grid *grid, int index,
                            struct vidur_hyperparameters *parameters)
{
    const int n = grid->num_num_estimators, m = grid->num_min_samples_split;
    memset(parameters, 0, sizeof *parameters);
    parameters->num_estimators = grid->num_estimators[index % n];
    parameters->min_samples_split = grid->min_samples_split[index / n % m];
    parameters->max_depth = grid->max_depth[index / n / m];
}

static void forest_free(struct vidur_regression *regression)
{
    struct vidur_forest *forest = (struct vidur_forest *)regression;
    for (int i = 0; forest->trees && i < forest->num_trees; i++)
        free(forest->trees[i]);
    free(forest->trees);
    free(forest);
}

static struct vidur_forest_node *pack_tree(const struct vidur_tree *tree)
{
    struct vidur_forest_node *packed = calloc((size_t)tree->num_nodes, sizeof *packed);
    for (int i = 0; packed && i < tree->num_nodes; i++) {
        const struct vidur_node *node = &tree->nodes[i];
        packed[i].right = node->right;
        packed[i].feature = node->right ? node->feature : 0;
        packed[i].number = node->right ? node->threshold : node->value;
    }
    return packed;
}

static int fit_trees(struct vidur_forest *forest, const struct vidur_training *training,
                     const struct vidur_tree_limits *limits, struct vidur_error *err)
{
    static const int hold_none[] = {0, 0};
    struct vidur_forest_stream stream;
    struct vidur_forest_team team;
    int failed = 0;
    if (vidur_forest_stream_init(&stream, training, UINT32_MAX, hold_none, err))
        return -1;
    if (vidur_forest_team_init(&team, training, err)) {
        vidur_draw_rows_fini(&stream.rows);
        return -1;
    }
#pragma omp parallel for schedule(dynamic) num_threads(training->threads)
    for (int i = 0; i < forest->num_trees; i++) {
        struct vidur_forest_worker *worker = &team.workers[omp_get_thread_num()];
        vidur_forest_grow(worker, &stream, i, limits);
        forest->trees[i] = pack_tree(&worker->tree);
        if (!forest->trees[i]) {
#pragma omp atomic write
            failed = 1;
        }
    }
    vidur_forest_team_fini(&team);
    vidur_draw_rows_fini(&stream.rows);
    return failed ? vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest") : 0;
}

static int forest_fit(struct vidur_regression **out,
                      const struct vidur_training *training,
                      const struct vidur_hyperparameters *parameters,
                      struct vidur_error *err)
{
    const struct vidur_cells *cells = training->cells;
    const struct vidur_tree_limits limits = {
        .max_depth = parameters->max_depth,
        .min_samples_split = parameters->min_samples_split,
        .rounding = vidur_tree_rounding(cells, parameters->num_estimators),
    };
    struct vidur_forest *forest = calloc(1, sizeof *forest);
    if (!forest)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest");
    forest->base.ops = &vidur_random_forest;
    forest->base.num_features = cells->num_features;
    forest->num_trees = parameters->num_estimators;
    forest->max_depth = parameters->max_depth < cells->num_cells ? parameters->max_depth
                                                                 : cells->num_cells;
    forest->unit_ms = cells->unit_ms;
    forest->trees = calloc((size_t)forest->num_trees, sizeof *forest->trees);
    if (!forest->trees || fit_trees(forest, training, &limits, err)) {
        forest_free(&forest->base);
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest");
    }
    *out = &forest->base;
    return 0;
}

static double forest_predict(const struct vidur_regression *regression,
                             const double *features)
{
    const struct vidur_forest *forest = (const struct vidur_forest *)regression;
    double sum = 0;
    for (int i = 0; i < forest->num_trees; i++) {
        const struct vidur_forest_node *tree = forest->trees[i], *node = tree;
        while (node->right)
            node =
                features[node->feature] <= node->number ? node + 1 : tree + node->right;
        sum += node->number;
    }
    return vidur_forest_mean(forest, sum);
}

static int forest_fill(const struct vidur_regression *regression,
                       const struct vidur_axes *axes, int threads, double *ms,
                       struct vidur_error *err)
{
    return vidur_lattice_fill((const struct vidur_forest *)regression, axes, threads,
                              ms, err);
}

const struct vidur_regressor_ops vidur_random_forest = {
    .name = "random_forest",
    .num_candidates = vidur_forest_num_candidates,
    .candidate = vidur_forest_candidate,
    .cross_validate = vidur_forest_cross_validate,
    .fit = forest_fit,
    .predict = forest_predict,
    .fill = forest_fill,
    .free = forest_free,
};
