#include "forest/regressor.h"
#include "forest/tree.h"

#include "samples_fixture.h"
#include "test.h"

#include <vidur/forest.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Forests: the shared trees of the cross-validation against forests that are grown one
 * by one, independence of threads, and degenerate samples. */

static void small_grid(struct vidur_regressor_grid *grid)
{
    vidur_regressor_grid_defaults(grid);
    grid->num_estimators[0] = 7; /* not in order, and none a multiple of a task's */
    grid->num_estimators[1] = 3;
    grid->num_estimators[2] = 40;
    grid->max_depth[0] = 4;
    grid->max_depth[1] = 2;
    grid->max_depth[2] = 32;
    grid->min_samples_split[0] = 5;
    grid->min_samples_split[1] = 2;
    grid->min_samples_split[2] = 12;
    grid->k_fold_splits = 4;
    grid->seed = 5;
    grid->threads = 1;
}

/* ---- Every grid point and fold, fitted on its own ---- */

struct alone {
    const struct vidur_training *training;
    struct vidur_bag bag;
    struct vidur_tree tree;
    struct vidur_grower *grower;
};

static void alone_init(struct alone *a, const struct vidur_training *training)
{
    a->training = training;
    if (vidur_bag_init(&a->bag, training->cells, NULL) ||
        vidur_tree_init(&a->tree, training->cells, NULL) ||
        vidur_grower_create(&a->grower, training->cells, VIDUR_GROWER_LIST, NULL))
        abort();
}

static void alone_fini(struct alone *a)
{
    vidur_bag_fini(&a->bag);
    vidur_tree_fini(&a->tree);
    vidur_grower_free(a->grower);
}

static double tree_value(const struct alone *a, int row)
{
    const struct vidur_samples *samples = a->training->samples;
    const struct vidur_node *node = a->tree.nodes;
    while (node->right)
        node = samples->features[node->feature][row] <= node->threshold
                   ? node + 1
                   : a->tree.nodes + node->right;
    return node->value;
}

/* The score of one grid point on one fold, as the definition has it: grow the trees
 * with these limits, predict each held-out row, take the mean error. */
static double score_alone(struct alone *a, const struct vidur_hyperparameters *p,
                          int fold)
{
    const struct vidur_training *training = a->training;
    const struct vidur_samples *samples = training->samples;
    const int begin = training->fold_begin[fold], end = training->fold_begin[fold + 1];
    const struct vidur_tree_limits limits = {
        .max_depth = p->max_depth,
        .min_samples_split = p->min_samples_split,
        .rounding = vidur_tree_rounding(training->cells, 40)};
    const uint64_t stream = vidur_rng_stream(samples->name, (uint64_t)fold);
    double *sums = calloc((size_t)(end - begin), sizeof *sums), total = 0;
    struct vidur_draw_rows rows;
    vidur_draw_rows_init(&rows, training->cells, begin, end, NULL);
    for (int t = 0; t < p->num_estimators; t++) {
        struct vidur_rng rng;
        vidur_rng_init(&rng, training->grid->seed,
                       vidur_rng_substream(stream, (uint64_t)t));
        vidur_bag_draw(&a->bag, &rng, &rows);
        vidur_grow(a->grower, &a->bag, &limits, &a->tree);
        for (int row = begin; row < end; row++)
            sums[row - begin] += tree_value(a, row);
    }
    for (int row = begin; row < end; row++)
        total += vidur_percent_error(samples->target_ms[row],
                                     sums[row - begin] / p->num_estimators *
                                         training->cells->unit_ms);
    vidur_draw_rows_fini(&rows);
    free(sums);
    a->bag.from = NULL; /* the rows are gone */
    return total / (end - begin);
}

static void check_against_alone(const struct samples_recipe *recipe)
{
    struct vidur_regressor_grid grid;
    struct vidur_samples samples = samples_random(recipe);
    struct vidur_cells cells;
    struct alone alone;
    double scores[27 * 4];
    small_grid(&grid);
    vidur_cells_init(&cells, &samples, NULL);
    const int n = recipe->num_rows;
    const struct vidur_training training = {
        .samples = &samples,
        .cells = &cells,
        .grid = &grid,
        .threads = 2,
        .num_folds = 4,
        .fold_begin = {0, n / 4, n / 2, n / 2 + n / 4, n}};
    const struct vidur_regressor_ops *ops = &vidur_random_forest;
    alone_init(&alone, &training);
    CU_ASSERT_EQUAL_FATAL(ops->num_candidates(&grid), 27);
    CU_ASSERT_EQUAL(ops->cross_validate(&training, scores, NULL), 0);
    for (int c = 0; c < 27; c++) {
        struct vidur_hyperparameters p;
        ops->candidate(&grid, c, &p);
        for (int fold = 0; fold < 4; fold++)
            CU_ASSERT_EQUAL(scores[c * 4 + fold], score_alone(&alone, &p, fold));
    }
    alone_fini(&alone);
    vidur_cells_fini(&cells);
    vidur_samples_release(&samples);
}

static void test_shared_trees_equal_separate_ones(void)
{
    static const struct samples_recipe recipes[] = {
        {1, 90, {70, 0}, 0, 1},  {1, 90, {12, 0}, 5, 2},  {2, 120, {9, 11}, 0, 3},
        {2, 80, {60, 60}, 0, 4}, {2, 120, {9, 11}, 2, 5},
    };
    for (int i = 0; i < 5; i++)
        check_against_alone(&recipes[i]);
}

/* The grid in the reference's order: depth, then split, then number of trees. */
static void test_order_of_the_grid(void)
{
    struct vidur_regressor_grid grid;
    struct vidur_hyperparameters p;
    vidur_regressor_grid_defaults(&grid);
    vidur_random_forest.candidate(&grid, 0, &p);
    CU_ASSERT(p.max_depth == 8 && p.min_samples_split == 2 && p.num_estimators == 250);
    vidur_random_forest.candidate(&grid, 5, &p);
    CU_ASSERT(p.max_depth == 8 && p.min_samples_split == 5 && p.num_estimators == 750);
    vidur_random_forest.candidate(&grid, 9, &p);
    CU_ASSERT(p.max_depth == 16 && p.min_samples_split == 2 && p.num_estimators == 250);
    vidur_random_forest.candidate(&grid, 26, &p);
    CU_ASSERT(p.max_depth == 32 && p.min_samples_split == 10 &&
              p.num_estimators == 750);
}

/* ---- Threads and seeds ---- */

static bool same_selection(const struct vidur_selection *a,
                           const struct vidur_selection *b)
{
    return memcmp(&a->best, &b->best, sizeof a->best) == 0 &&
           a->cv_mape == b->cv_mape && a->in_sample_mape == b->in_sample_mape &&
           memcmp(a->fold_mape, b->fold_mape, sizeof a->fold_mape) == 0 &&
           memcmp(a->worst, b->worst, sizeof a->worst) == 0;
}

static struct vidur_regression *select_with(const struct vidur_samples *samples,
                                            const struct vidur_regressor_grid *grid,
                                            struct vidur_selection *selection)
{
    struct vidur_regression *regression = NULL;
    struct vidur_error err = {0};
    if (vidur_regression_select(&regression, selection, samples, grid, &err))
        CU_FAIL(err.text);
    return regression;
}

static void test_threads_change_nothing(void)
{
    static const struct samples_recipe recipes[] = {{1, 100, {60, 0}, 0, 6},
                                                    {2, 150, {10, 12}, 0, 7}};
    for (int r = 0; r < 2; r++) {
        struct vidur_samples samples = samples_random(&recipes[r]);
        struct vidur_regressor_grid grid;
        struct vidur_selection one;
        small_grid(&grid);
        struct vidur_regression *first = select_with(&samples, &grid, &one);
        for (int threads = 2; threads <= 5; threads++) {
            struct vidur_selection many;
            grid.threads = threads;
            struct vidur_regression *other = select_with(&samples, &grid, &many);
            CU_ASSERT(same_selection(&one, &many));
            for (double x = 0; x < 100; x += 1.5) {
                const double point[] = {x, 130 - x};
                CU_ASSERT_EQUAL(vidur_regression_predict(first, point),
                                vidur_regression_predict(other, point));
            }
            vidur_regression_free(other);
        }
        vidur_regression_free(first);
        vidur_samples_release(&samples);
    }
}

static void test_seed_and_name_choose_the_stream(void)
{
    static const struct samples_recipe recipe = {1, 100, {60, 0}, 0, 8};
    struct vidur_samples samples = samples_random(&recipe);
    struct vidur_regressor_grid grid;
    struct vidur_selection a, b, c;
    small_grid(&grid);
    vidur_regression_free(select_with(&samples, &grid, &a));
    grid.seed++;
    vidur_regression_free(select_with(&samples, &grid, &b));
    grid.seed--;
    samples.name[0] = 'x';
    vidur_regression_free(select_with(&samples, &grid, &c));
    CU_ASSERT(a.cv_mape != b.cv_mape);
    CU_ASSERT(a.cv_mape != c.cv_mape);
    vidur_samples_release(&samples);
}

/* ---- What a forest predicts ---- */

static void test_predictions_stay_within_the_targets(void)
{
    static const struct samples_recipe recipe = {2, 200, {12, 12}, 0, 9};
    struct vidur_samples samples = samples_random(&recipe);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    double least = INFINITY, most = 0;
    small_grid(&grid);
    for (int64_t i = 0; i < samples.num_rows; i++) {
        least = fmin(least, samples.target_ms[i]);
        most = fmax(most, samples.target_ms[i]);
    }
    struct vidur_regression *regression = select_with(&samples, &grid, &selection);
    for (int i = 0; i < 400; i++) {
        const double point[] = {i * 0.7, (i * 37) % 400};
        const double ms = vidur_regression_predict(regression, point);
        CU_ASSERT(ms >= least && ms <= most);
    }
    CU_ASSERT(selection.in_sample_mape < selection.cv_mape);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* More trees change a prediction less and less: the mean of many nears the limit. */
static void test_forest_is_the_mean_of_its_trees(void)
{
    const double x[] = {1, 2, 3, 4}, y[] = {1, 2, 3, 4};
    struct vidur_samples samples = samples_of(4, x, NULL, y);
    struct vidur_regressor_grid grid;
    struct vidur_regression *regression;
    const struct vidur_hyperparameters stump = {
        .num_estimators = 20000, .max_depth = 1, .min_samples_split = 1000};
    small_grid(&grid);
    CU_ASSERT_EQUAL(vidur_regression_fit(&regression, &samples, &grid, &stump, NULL),
                    0);
    /* no split: each tree is the mean of 4 draws of a mean of 2.5, variance 1.25 / 4 */
    CU_ASSERT_DOUBLE_EQUAL(vidur_regression_predict(regression, x), 2.5,
                           5 * sqrt(1.25 / 4 / 20000));
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* ---- Degenerate samples ---- */

static void check_constant(int rows, const double *x, const double *z, double value)
{
    double y[8];
    for (int i = 0; i < rows; i++)
        y[i] = value;
    struct vidur_samples samples = samples_of(rows, x, z, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    small_grid(&grid);
    struct vidur_regression *regression = select_with(&samples, &grid, &selection);
    for (int i = 0; i < 10; i++) {
        const double point[] = {i, 10 - i};
        CU_ASSERT_EQUAL(vidur_regression_predict(regression, point), value);
    }
    CU_ASSERT_EQUAL(selection.in_sample_mape, 0);
    if (rows > 1) {
        CU_ASSERT_EQUAL(selection.cv_mape, 0);
        CU_ASSERT_EQUAL(selection.num_folds, rows < 4 ? 2 : 4);
    } else {
        CU_ASSERT(isnan(selection.cv_mape));
        CU_ASSERT_EQUAL(selection.num_folds, 0);
    }
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

static void test_constant_targets(void)
{
    const double x[] = {5, 1, 4, 1, 2, 9, 7, 8}, same[] = {3, 3, 3, 3, 3, 3, 3, 3};
    const double values[] = {0, 0.25, 4096};
    for (int rows = 1; rows <= 8; rows++)
        for (int v = 0; v < 3; v++) {
            check_constant(rows, x, NULL, values[v]);
            check_constant(rows, x, same, values[v]);
            check_constant(rows, same, NULL, values[v]);
            check_constant(rows, same, same, values[v]);
        }
}

/* Two rows: each is predicted from the other. */
static void test_two_rows(void)
{
    const double x[] = {1, 2}, y[] = {1, 2};
    struct vidur_samples samples = samples_of(2, x, NULL, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    vidur_regressor_grid_defaults(&grid);
    struct vidur_regression *regression = select_with(&samples, &grid, &selection);
    CU_ASSERT_EQUAL(selection.num_folds, 2);
    CU_ASSERT_EQUAL(selection.fold_mape[0], 100); /* 1 predicted as 2 */
    CU_ASSERT_EQUAL(selection.fold_mape[1], 50);
    CU_ASSERT_EQUAL(selection.cv_mape, 75);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* One cell, several times: its mean, whatever the point. */
static void test_a_single_cell(void)
{
    const double x[] = {4, 4, 4, 4}, y[] = {1, 2, 4, 5};
    struct vidur_samples samples = samples_of(4, x, x, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    small_grid(&grid);
    struct vidur_regression *regression = select_with(&samples, &grid, &selection);
    const double low[] = {0, 0}, high[] = {100, 100};
    const double ms = vidur_regression_predict(regression, low);
    CU_ASSERT_EQUAL(ms, vidur_regression_predict(regression, high));
    CU_ASSERT(ms > 1 && ms < 5);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* Very large, very small and very different targets keep their relative precision as
 * far as forest.h promises. */
static void test_scales(void)
{
    static const double scales[] = {1e-200, 1e-12, 1, 1e12, 1e200};
    for (int i = 0; i < 5; i++) {
        const double x[] = {1, 2, 3};
        const double y[] = {scales[i], 2 * scales[i], 1000 * scales[i]};
        struct vidur_samples samples = samples_of(3, x, NULL, y);
        struct vidur_regressor_grid grid;
        struct vidur_regression *regression;
        const struct vidur_hyperparameters p = {
            .num_estimators = 200, .max_depth = 8, .min_samples_split = 2};
        small_grid(&grid);
        CU_ASSERT_EQUAL(vidur_regression_fit(&regression, &samples, &grid, &p, NULL),
                        0);
        const double low = vidur_regression_predict(regression, &x[0]) / scales[i];
        const double high = vidur_regression_predict(regression, &x[2]) / scales[i];
        CU_ASSERT(low >= 1 - 1e-9 && low < 200);
        CU_ASSERT(high > 500 && high <= 1000 + 1e-9);
        vidur_regression_free(regression);
        vidur_samples_release(&samples);
    }
}

static void assert_refused(struct vidur_samples *samples, const char *message)
{
    struct vidur_regressor_grid grid;
    struct vidur_regression *regression = NULL;
    struct vidur_error err = {0};
    small_grid(&grid);
    CU_ASSERT_EQUAL(vidur_regression_select(&regression, NULL, samples, &grid, &err),
                    -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, message));
    CU_ASSERT_PTR_NULL(regression);
    vidur_samples_release(samples);
}

static void test_bad_samples(void)
{
    const double x[] = {1, 2, 3}, nan_y[] = {1, NAN, 3}, inf_x[] = {1, INFINITY, 3};
    struct vidur_samples samples = samples_of(3, x, NULL, nan_y);
    assert_refused(&samples, "sample 2 is not finite");
    samples = samples_of(3, inf_x, x, x);
    assert_refused(&samples, "sample 2 is not finite");
    samples = samples_of(0, x, NULL, x);
    assert_refused(&samples, "no samples");
}

VIDUR_TEST_MAIN(
    "forest",
    {"shared trees equal separate ones to the bit",
     test_shared_trees_equal_separate_ones},
    {"order of the grid", test_order_of_the_grid},
    {"threads change nothing", test_threads_change_nothing},
    {"seed and name choose the stream", test_seed_and_name_choose_the_stream},
    {"predictions stay within the targets", test_predictions_stay_within_the_targets},
    {"a forest is the mean of its trees", test_forest_is_the_mean_of_its_trees},
    {"constant targets", test_constant_targets}, {"two rows", test_two_rows},
    {"a single cell", test_a_single_cell}, {"scales", test_scales},
    {"bad samples", test_bad_samples})
