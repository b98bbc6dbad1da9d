#include "forest_model.h"
#include "tree.h"

#include <vidur/rng.h>

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/*
 * Cross-validation of a whole grid with one set of trees. With all features at each
 * split a tree does not depend on its limits: the one limited to depth 8 is the full
 * one cut there, and a node with too few rows is a leaf. And 250 trees are the first
 * 250 of 750. So each fold grows the largest number of trees once, to the largest
 * depth, and every grid point is read off them. Only nodes that held-out cells reach
 * are split.
 */

enum { TREES_PER_TASK = 32 };

/* One thread's workspace. */
struct worker {
    struct vidur_bag bag;
    struct vidur_tree tree;
    struct vidur_grower *grower;
    const struct vidur_node **path; /* from the root to a leaf */
    int32_t *order;                 /* of the wanted cells */
    int order_fold;                 /* whose cells `order` holds; -1: none */
};

struct team {
    int num_workers;
    struct worker *workers;
};

static void team_fini(struct team *team)
{
    for (int i = 0; i < team->num_workers; i++) {
        struct worker *worker = &team->workers[i];
        vidur_bag_fini(&worker->bag);
        vidur_tree_fini(&worker->tree);
        vidur_grower_free(worker->grower);
        free(worker->path);
        free(worker->order);
    }
    free(team->workers);
}

static int team_init(struct team *team, const struct vidur_training *training,
                     struct vidur_error *err)
{
    const struct vidur_cells *cells = training->cells;
    team->num_workers = training->threads;
    team->workers = calloc((size_t)training->threads, sizeof *team->workers);
    if (!team->workers)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest");
    for (int i = 0; i < team->num_workers; i++) {
        struct worker *worker = &team->workers[i];
        const size_t n = (size_t)cells->num_cells;
        worker->path = calloc(n + 1, sizeof *worker->path);
        worker->order = calloc(n, sizeof *worker->order);
        worker->order_fold = -1;
        if (!worker->path || !worker->order ||
            vidur_bag_init(&worker->bag, cells, err) ||
            vidur_tree_init(&worker->tree, cells, err) ||
            vidur_grower_create(&worker->grower, cells, VIDUR_GROWER_BEST, err)) {
            team_fini(team);
            return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a forest");
        }
    }
    return 0;
}

/* Bootstrap samples of one fold, or of the refit. */
struct stream {
    uint64_t seed, id;
    struct vidur_draw_rows rows;
};

static int stream_init(struct stream *stream, const struct vidur_training *training,
                       uint64_t index, const int *hold, struct vidur_error *err)
{
    stream->seed = training->grid->seed;
    stream->id = vidur_rng_stream(training->samples->name, index);
    return vidur_draw_rows_init(&stream->rows, training->cells, hold[0], hold[1], err);
}

/* Grows tree number `tree` of a stream. */
static void grow_tree(struct worker *worker, const struct stream *stream, int tree,
                      const struct vidur_tree_limits *limits)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, stream->seed, vidur_rng_substream(stream->id, (uint64_t)tree));
    vidur_bag_draw(&worker->bag, &rng, &stream->rows);
    vidur_grow(worker->grower, &worker->bag, limits, &worker->tree);
}

static int compare_ints(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Ascending copy without repetitions; returns its length. */
static int sorted_copy(int *sorted, const int *values, int count)
{
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_ints);
    int distinct = 0;
    for (int i = 0; i < count; i++)
        if (distinct == 0 || sorted[i] > sorted[distinct - 1])
            sorted[distinct++] = sorted[i];
    return distinct;
}

/* The held-out cells of a fold, and which of them each held-out row is in. */
struct fold {
    struct stream stream;
    int begin, end;
    int num_held;
    int32_t *held;                     /* cells, ascending */
    int32_t *rank[VIDUR_MAX_FEATURES]; /* of held cells */
    int32_t *held_of_row;              /* index into held */
};

/* A run of trees of one fold; its sums are sums[held][depth][split]. */
struct task {
    int fold;
    int first_tree, end_tree;
    double *sums;
};

struct cross_validation {
    const struct vidur_training *training;
    struct team team;
    int num_depths, num_splits, num_counts;
    int depths[VIDUR_MAX_GRID_VALUES];
    int splits[VIDUR_MAX_GRID_VALUES];
    int counts[VIDUR_MAX_GRID_VALUES]; /* of trees */
    struct fold *folds;
    int32_t *cell_lists; /* what the folds point into */
    struct task *tasks;
    int num_tasks;
    double *sums;
};

static int num_points(const struct cross_validation *cv)
{
    return cv->num_depths * cv->num_splits;
}

static void plan_fold(struct fold *fold, const struct vidur_cells *cells)
{
    int32_t *held = fold->held;
    const int rows = fold->end - fold->begin;
    memcpy(held, cells->cell_of_row + fold->begin, (size_t)rows * sizeof *held);
    fold->num_held = sorted_copy(held, cells->cell_of_row + fold->begin, rows);
    for (int i = 0; i < rows; i++) {
        const int32_t *found =
            bsearch(&cells->cell_of_row[fold->begin + i], held, (size_t)fold->num_held,
                    sizeof *held, compare_ints);
        fold->held_of_row[i] = (int32_t)(found - held);
    }
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++)
        for (int i = 0; i < fold->num_held; i++)
            fold->rank[f][i] = cells->rank[f][held[i]];
}

static int plan_folds(struct cross_validation *cv, struct vidur_error *err)
{
    const struct vidur_training *training = cv->training;
    const size_t rows = (size_t)training->cells->num_rows;
    cv->folds = calloc((size_t)training->num_folds, sizeof *cv->folds);
    cv->cell_lists = calloc(rows * 4, sizeof *cv->cell_lists);
    if (!cv->folds || !cv->cell_lists)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for cross-validation");
    for (int i = 0; i < training->num_folds; i++) {
        struct fold *fold = &cv->folds[i];
        fold->begin = training->fold_begin[i];
        fold->end = training->fold_begin[i + 1];
        fold->held = cv->cell_lists + fold->begin;
        fold->held_of_row = fold->held + rows;
        fold->rank[0] = fold->held + 2 * rows;
        fold->rank[1] = fold->held + 3 * rows;
        plan_fold(fold, training->cells);
        if (stream_init(&fold->stream, training, (uint64_t)i, &training->fold_begin[i],
                        err))
            return -1;
    }
    return 0;
}

/* Tasks end where a number of trees of the grid does. Counts them if tasks is NULL. */
static int list_tasks(const struct cross_validation *cv, struct task *tasks)
{
    int count = 0;
    for (int fold = 0; fold < cv->training->num_folds; fold++)
        for (int i = 0, first = 0; i < cv->num_counts; i++)
            while (first < cv->counts[i]) {
                int end = first + TREES_PER_TASK;
                end = end < cv->counts[i] ? end : cv->counts[i];
                if (tasks)
                    tasks[count] = (struct task){
                        .fold = fold, .first_tree = first, .end_tree = end};
                count++;
                first = end;
            }
    return count;
}

static int plan_tasks(struct cross_validation *cv, struct vidur_error *err)
{
    const size_t points = (size_t)num_points(cv);
    cv->num_tasks = list_tasks(cv, NULL);
    cv->tasks = calloc((size_t)cv->num_tasks, sizeof *cv->tasks);
    if (!cv->tasks)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for cross-validation");
    list_tasks(cv, cv->tasks);
    size_t total = 0;
    for (int i = 0; i < cv->num_tasks; i++)
        total += (size_t)cv->folds[cv->tasks[i].fold].num_held * points;
    cv->sums = calloc(total, sizeof *cv->sums);
    if (!cv->sums)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for cross-validation");
    total = 0;
    for (int i = 0; i < cv->num_tasks; i++) {
        cv->tasks[i].sums = cv->sums + total;
        total += (size_t)cv->folds[cv->tasks[i].fold].num_held * points;
    }
    return 0;
}

/* The leaf at the end of the path as every (max_depth, min_samples_split) sees it. */
static void leaf_values(const struct cross_validation *cv,
                        const struct vidur_node *const *path, int depth, double *values)
{
    for (int j = 0; j < cv->num_splits; j++) {
        while (depth > 0 && path[depth - 1]->num_rows < cv->splits[j])
            depth--;
        for (int i = 0; i < cv->num_depths; i++) {
            const int stop = depth < cv->depths[i] ? depth : cv->depths[i];
            values[i * cv->num_splits + j] = path[stop]->value;
        }
    }
}

/* Adds the tree's values of the held-out cells for every grid point. */
static void add_tree(const struct cross_validation *cv, const struct worker *worker,
                     double *sums)
{
    double values[VIDUR_MAX_GRID_VALUES * VIDUR_MAX_GRID_VALUES];
    const int points = num_points(cv);
    for (int i = 0; i < worker->tree.num_nodes; i++) {
        const struct vidur_node *node = &worker->tree.nodes[i];
        worker->path[node->depth] = node;
        if (node->right || node->begin == node->end)
            continue;
        leaf_values(cv, worker->path, node->depth, values);
        for (int32_t k = node->begin; k < node->end; k++) {
            double *sum = sums + (size_t)worker->order[k] * points;
            for (int point = 0; point < points; point++)
                sum[point] += values[point];
        }
    }
}

static void run_task(struct cross_validation *cv, const struct task *task,
                     struct worker *worker)
{
    const struct vidur_training *training = cv->training;
    const struct fold *fold = &cv->folds[task->fold];
    const struct vidur_wanted wanted = {.order = worker->order,
                                        .rank = {fold->rank[0], fold->rank[1]},
                                        .num = fold->num_held};
    const struct vidur_tree_limits limits = {
        .max_depth = cv->depths[cv->num_depths - 1],
        .min_samples_split = cv->splits[0],
        .rounding =
            vidur_tree_rounding(training->cells, cv->counts[cv->num_counts - 1]),
        .wanted = &wanted,
    };
    if (worker->order_fold != task->fold)
        for (int i = 0; i < fold->num_held; i++)
            worker->order[i] = i;
    worker->order_fold = task->fold;
    for (int tree = task->first_tree; tree < task->end_tree; tree++) {
        grow_tree(worker, &fold->stream, tree, &limits);
        add_tree(cv, worker, task->sums);
    }
}

static double fold_error(const struct cross_validation *cv, const struct fold *fold,
                         const double *sums, int point, int num_trees)
{
    const double *target_ms = cv->training->samples->target_ms + fold->begin;
    const int rows = fold->end - fold->begin;
    double total = 0;
    for (int i = 0; i < rows; i++) {
        const double sum = sums[fold->held_of_row[i] * num_points(cv) + point];
        total += vidur_percent_error(target_ms[i],
                                     sum / num_trees * cv->training->cells->unit_ms);
    }
    return total / rows;
}

static int index_of(const int *values, int count, int value)
{
    for (int i = 0; i < count; i++)
        if (values[i] == value)
            return i;
    return -1;
}

static int forest_num_candidates(const struct vidur_regressor_grid *grid)
{
    return grid->num_max_depth * grid->num_min_samples_split * grid->num_num_estimators;
}

static void forest_candidate(const struct vidur_regressor_grid *grid, int index,
                             struct vidur_hyperparameters *parameters)
{
    const int n = grid->num_num_estimators, m = grid->num_min_samples_split;
    memset(parameters, 0, sizeof *parameters);
    parameters->num_estimators = grid->num_estimators[index % n];
    parameters->min_samples_split = grid->min_samples_split[index / n % m];
    parameters->max_depth = grid->max_depth[index / n / m];
}

/* Scores of the grid points with `num_trees` trees; sums are the fold's over them. */
static void score(const struct cross_validation *cv, int fold, const double *sums,
                  int num_trees, double *scores)
{
    const struct vidur_regressor_grid *grid = cv->training->grid;
    for (int c = 0; c < forest_num_candidates(grid); c++) {
        struct vidur_hyperparameters p;
        forest_candidate(grid, c, &p);
        if (p.num_estimators != num_trees)
            continue;
        const int point =
            index_of(cv->depths, cv->num_depths, p.max_depth) * cv->num_splits +
            index_of(cv->splits, cv->num_splits, p.min_samples_split);
        scores[c * cv->training->num_folds + fold] =
            fold_error(cv, &cv->folds[fold], sums, point, num_trees);
    }
}

/* Adds the tasks' sums up, in the first task of each fold, and scores on the way. */
static void score_all(const struct cross_validation *cv, double *scores)
{
    double *sums = NULL;
    for (int i = 0; i < cv->num_tasks; i++) {
        const struct task *task = &cv->tasks[i];
        const int n = cv->folds[task->fold].num_held * num_points(cv);
        if (task->first_tree == 0)
            sums = task->sums;
        for (int j = 0; task->first_tree > 0 && j < n; j++)
            sums[j] += task->sums[j];
        if (index_of(cv->counts, cv->num_counts, task->end_tree) >= 0)
            score(cv, task->fold, sums, task->end_tree, scores);
    }
}

static int forest_cross_validate(const struct vidur_training *training, double *scores,
                                 struct vidur_error *err)
{
    const struct vidur_regressor_grid *grid = training->grid;
    struct cross_validation cv = {.training = training};
    int rc = -1;
    cv.num_depths = sorted_copy(cv.depths, grid->max_depth, grid->num_max_depth);
    cv.num_splits =
        sorted_copy(cv.splits, grid->min_samples_split, grid->num_min_samples_split);
    cv.num_counts =
        sorted_copy(cv.counts, grid->num_estimators, grid->num_num_estimators);
    if (team_init(&cv.team, training, err))
        return -1;
    if (plan_folds(&cv, err) || plan_tasks(&cv, err))
        goto out;
#pragma omp parallel for schedule(dynamic) num_threads(training->threads)
    for (int i = 0; i < cv.num_tasks; i++)
        run_task(&cv, &cv.tasks[i], &cv.team.workers[omp_get_thread_num()]);
    score_all(&cv, scores);
    rc = 0;
out:
    for (int i = 0; cv.folds && i < training->num_folds; i++)
        vidur_draw_rows_fini(&cv.folds[i].stream.rows);
    free(cv.folds);
    free(cv.cell_lists);
    free(cv.tasks);
    free(cv.sums);
    team_fini(&cv.team);
    return rc;
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
    struct stream stream;
    struct team team;
    int failed = 0;
    if (stream_init(&stream, training, UINT32_MAX, hold_none, err))
        return -1;
    if (team_init(&team, training, err)) {
        vidur_draw_rows_fini(&stream.rows);
        return -1;
    }
#pragma omp parallel for schedule(dynamic) num_threads(training->threads)
    for (int i = 0; i < forest->num_trees; i++) {
        struct worker *worker = &team.workers[omp_get_thread_num()];
        grow_tree(worker, &stream, i, limits);
        forest->trees[i] = pack_tree(&worker->tree);
        if (!forest->trees[i]) {
#pragma omp atomic write
            failed = 1;
        }
    }
    team_fini(&team);
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
    .num_candidates = forest_num_candidates,
    .candidate = forest_candidate,
    .cross_validate = forest_cross_validate,
    .fit = forest_fit,
    .predict = forest_predict,
    .fill = forest_fill,
    .free = forest_free,
};
