#include "forest/forest_model.h"
#include "forest/forest_team.h"

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

/* Trees of a task; few rows need small tasks to keep all threads busy to the end, many
 * rows large ones, for each task has its own sums. */
enum { TREES_PER_TASK = 32, TREES_PER_LARGE_TASK = 256, MANY_ROWS = 1 << 14 };

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
    struct vidur_forest_stream stream;
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
    struct vidur_forest_team team;
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
        if (vidur_forest_stream_init(&fold->stream, training, (uint64_t)i,
                                     &training->fold_begin[i], err))
            return -1;
    }
    return 0;
}

/* Tasks end where a number of trees of the grid does. Counts them if tasks is NULL. */
static int list_tasks(const struct cross_validation *cv, struct task *tasks)
{
    const bool many = cv->training->cells->num_rows >= MANY_ROWS;
    const int trees = many ? TREES_PER_LARGE_TASK : TREES_PER_TASK;
    int count = 0;
    for (int fold = 0; fold < cv->training->num_folds; fold++)
        for (int i = 0, first = 0; i < cv->num_counts; i++)
            while (first < cv->counts[i]) {
                int end = first + trees;
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
static void add_tree(const struct cross_validation *cv,
                     const struct vidur_forest_worker *worker, double *sums)
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
                     struct vidur_forest_worker *worker)
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
        vidur_forest_grow(worker, &fold->stream, tree, &limits);
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

/* Scores of the grid points with `num_trees` trees; sums are the fold's over them. */
static void score(const struct cross_validation *cv, int fold, const double *sums,
                  int num_trees, double *scores)
{
    const struct vidur_regressor_grid *grid = cv->training->grid;
    for (int c = 0; c < vidur_forest_num_candidates(grid); c++) {
        struct vidur_hyperparameters p;
        vidur_forest_candidate(grid, c, &p);
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

int vidur_forest_cross_validate(const struct vidur_training *training, double *scores,
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
    if (vidur_forest_team_init(&cv.team, training, err))
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
    vidur_forest_team_fini(&cv.team);
    return rc;
}
