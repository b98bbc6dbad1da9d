#include "forest/tree.h"

#include "bag_fixture.h"
#include "samples_fixture.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One tree: against a naive one, against scikit-learn, and the growers against each
 * other. */

/* ---- Set-up ---- */

/* A sample with these weights of the rows, in file order. */
static void weigh(struct bag_fixture *s, const int *weights)
{
    memset(s->bag.tally, 0, (size_t)s->cells.num_cells * sizeof *s->bag.tally);
    for (int i = 0; i < s->cells.num_rows; i++) {
        struct vidur_tally *tally = &s->bag.tally[s->cells.cell_of_row[i]];
        tally->sum += weights[i] * s->cells.target[i];
        tally->weight += weights[i];
        tally->rows += weights[i] > 0;
    }
}

static struct vidur_tree_limits limits_of(const struct bag_fixture *s, int max_depth,
                                          int min_samples_split)
{
    return (struct vidur_tree_limits){.max_depth = max_depth,
                                      .min_samples_split = min_samples_split,
                                      .rounding = vidur_tree_rounding(&s->cells, 1)};
}

static struct vidur_tree grow(const struct bag_fixture *s, enum vidur_grower_kind kind,
                              const struct vidur_tree_limits *limits)
{
    struct vidur_tree tree;
    struct vidur_grower *grower;
    if (vidur_tree_init(&tree, &s->cells, NULL) ||
        vidur_grower_create(&grower, &s->cells, kind, NULL))
        abort();
    vidur_grow(grower, &s->bag, limits, &tree);
    vidur_grower_free(grower);
    return tree;
}

/* The node that a point ends in, in a tree cut at these limits. */
static const struct vidur_node *find(const struct vidur_tree *tree, const double *x,
                                     int max_depth, int min_samples_split)
{
    const struct vidur_node *node = tree->nodes;
    while (node->right && node->depth < max_depth &&
           node->num_rows >= min_samples_split)
        node =
            x[node->feature] <= node->threshold ? node + 1 : tree->nodes + node->right;
    return node;
}

static double value_at(const struct bag_fixture *s, const struct vidur_tree *tree,
                       const double *x)
{
    return find(tree, x, 1 << 20, 0)->value * s->cells.unit_ms;
}

static void point_of_row(const struct bag_fixture *s, int row, double *x)
{
    for (int f = 0; f < s->samples.num_features; f++)
        x[f] = s->samples.features[f][row];
}

/* ---- By hand ---- */

static void test_by_hand(void)
{
    const double x[] = {1, 2, 3, 4}, y[] = {1, 1, 5, 6};
    const int weights[] = {1, 1, 1, 1};
    struct bag_fixture s;
    bag_set_up(&s, samples_of(4, x, NULL, y), 0, 0);
    weigh(&s, weights);
    const struct vidur_tree_limits limits = limits_of(&s, 32, 2);
    struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
    CU_ASSERT_EQUAL_FATAL(tree.num_nodes, 5);
    CU_ASSERT_EQUAL(tree.nodes[0].threshold, 2.5);
    CU_ASSERT_EQUAL(tree.nodes[0].num_rows, 4);
    CU_ASSERT_EQUAL(tree.nodes[0].value * s.cells.unit_ms, 3.25);
    CU_ASSERT_EQUAL(tree.nodes[0].cut, 2);
    CU_ASSERT_EQUAL(tree.nodes[0].right, 2);
    CU_ASSERT_EQUAL(tree.nodes[1].right, 0); /* both 1: pure */
    CU_ASSERT_EQUAL(tree.nodes[1].value * s.cells.unit_ms, 1);
    CU_ASSERT_EQUAL(tree.nodes[2].threshold, 3.5);
    CU_ASSERT_EQUAL(tree.nodes[3].value * s.cells.unit_ms, 5);
    CU_ASSERT_EQUAL(tree.nodes[4].value * s.cells.unit_ms, 6);
    CU_ASSERT_EQUAL(tree.nodes[4].depth, 2);
    vidur_tree_fini(&tree);
    bag_clean_up(&s);
}

/* Weights move the mean; a value that is not in the sample does not split. */
static void test_weights(void)
{
    const double x[] = {1, 2, 3}, y[] = {1, 50, 4};
    const int weights[] = {3, 0, 1};
    struct bag_fixture s;
    bag_set_up(&s, samples_of(3, x, NULL, y), 0, 0);
    weigh(&s, weights);
    const struct vidur_tree_limits limits = limits_of(&s, 32, 2);
    struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
    CU_ASSERT_EQUAL_FATAL(tree.num_nodes, 3);
    CU_ASSERT_EQUAL(tree.nodes[0].value * s.cells.unit_ms, 1.75);
    CU_ASSERT_EQUAL(tree.nodes[0].threshold, 2);
    CU_ASSERT_EQUAL(tree.nodes[0].cut, 2); /* x = 2 goes left */
    CU_ASSERT_EQUAL(tree.nodes[0].num_rows, 2);
    vidur_tree_fini(&tree);
    bag_clean_up(&s);
}

/* Neighbouring doubles have no double between them: the threshold is the lower one. */
static void test_threshold_between_neighbours(void)
{
    const double x[] = {1, nextafter(1, 2)}, y[] = {1, 2};
    const int weights[] = {1, 1};
    struct bag_fixture s;
    bag_set_up(&s, samples_of(2, x, NULL, y), 0, 0);
    weigh(&s, weights);
    const struct vidur_tree_limits limits = limits_of(&s, 32, 2);
    struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
    CU_ASSERT_EQUAL_FATAL(tree.num_nodes, 3);
    CU_ASSERT_EQUAL(tree.nodes[0].threshold, 1);
    CU_ASSERT_EQUAL(value_at(&s, &tree, &x[0]), 1);
    CU_ASSERT_EQUAL(value_at(&s, &tree, &x[1]), 2);
    vidur_tree_fini(&tree);
    bag_clean_up(&s);
}

/* No first split gains anything, but two levels of them do: grown all the same. */
static void test_splits_that_gain_nothing(void)
{
    const double x[] = {1, 1, 2, 2}, z[] = {1, 2, 1, 2}, y[] = {0, 1, 1, 0};
    const int weights[] = {1, 1, 1, 1};
    struct bag_fixture s;
    bag_set_up(&s, samples_of(4, x, z, y), 0, 0);
    weigh(&s, weights);
    const struct vidur_tree_limits limits = limits_of(&s, 32, 2);
    for (int kind = VIDUR_GROWER_LIST; kind <= VIDUR_GROWER_GRID; kind++) {
        struct vidur_tree tree = grow(&s, kind, &limits);
        CU_ASSERT_EQUAL(tree.num_nodes, 7);
        for (int i = 0; i < 4; i++) {
            double point[2];
            point_of_row(&s, i, point);
            CU_ASSERT_EQUAL(value_at(&s, &tree, point), y[i]);
        }
        vidur_tree_fini(&tree);
    }
    bag_clean_up(&s);
}

static void test_nothing_to_split(void)
{
    const double same[] = {3, 3, 3}, x[] = {1, 2, 3};
    const double y[] = {1, 2, 6}, constant[] = {0.1, 0.1, 0.1}, zero[] = {0, 0, 0};
    const double *const targets[] = {y, constant, zero};
    const double *const features[] = {same, x, x};
    const int weights[] = {1, 1, 1};
    for (int i = 0; i < 3; i++) {
        struct bag_fixture s;
        bag_set_up(&s, samples_of(3, features[i], NULL, targets[i]), 0, 0);
        weigh(&s, weights);
        const struct vidur_tree_limits limits = limits_of(&s, 32, 2);
        struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
        CU_ASSERT_EQUAL(tree.num_nodes, 1);
        CU_ASSERT_DOUBLE_EQUAL(tree.nodes[0].value * s.cells.unit_ms,
                               (targets[i][0] + targets[i][1] + targets[i][2]) / 3,
                               1e-13);
        vidur_tree_fini(&tree);
        bag_clean_up(&s);
    }
}

/* ---- Beside scikit-learn's DecisionTreeRegressor 1.2.1, sample_weight given ---- */

enum { POINTS = 15 };

static void test_scikit_learn_one_feature(void)
{
    const double x[] = {1, 2, 4, 8, 8, 16, 24, 32, 48, 64, 96, 128};
    const double y[] = {.5, .75, .625, 1.25, 1.5, 2.125, 3, 4.25, 4, 8.5, 11, 17.25};
    const int weights[] = {1, 0, 2, 1, 3, 1, 0, 2, 1, 1, 4, 1};
    const double at[POINTS] = {0, 1, 2, 3, 5, 8, 12, 20, 30, 36, 50, 80, 100, 112, 200};
    static const struct {
        int max_depth, min_samples_split, num_nodes;
        double values[POINTS];
    } cases[] = {
        {32,
         2,
         17,
         {0.5, 0.5, 0.5, 0.625, 0.625, 1.4375, 1.4375, 2.125, 4.25, 4.25, 4.0, 8.5,
          11.0, 11.0, 17.25}},
        {2,
         2,
         7,
         {1.203125, 1.203125, 1.203125, 1.203125, 1.203125, 1.203125, 1.203125,
          1.203125, 4.166666666666667, 4.166666666666667, 4.166666666666667, 10.5, 10.5,
          10.5, 17.25}},
        /* min_samples_split counts distinct rows, not weights */
        {32,
         5,
         7,
         {0.5833333333333334, 0.5833333333333334, 0.5833333333333334,
          0.5833333333333334, 0.5833333333333334, 1.575, 1.575, 1.575,
          4.166666666666667, 4.166666666666667, 4.166666666666667, 11.625, 11.625,
          11.625, 11.625}},
    };
    struct bag_fixture s;
    bag_set_up(&s, samples_of(12, x, NULL, y), 0, 0);
    weigh(&s, weights);
    for (int c = 0; c < 3; c++) {
        const struct vidur_tree_limits limits =
            limits_of(&s, cases[c].max_depth, cases[c].min_samples_split);
        struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
        CU_ASSERT_EQUAL(tree.num_nodes, cases[c].num_nodes);
        for (int i = 0; i < POINTS; i++)
            CU_ASSERT_DOUBLE_EQUAL(value_at(&s, &tree, &at[i]), cases[c].values[i],
                                   1e-11);
        vidur_tree_fini(&tree);
    }
    bag_clean_up(&s);
}

static void test_scikit_learn_two_features(void)
{
    const double y[] = {0.0144, 0.0299, 0.0241, 0.0684, 0.0298, 0.0372, 0.0553,
                        0.1104, 0.0459, 0.0538, 0.0816, 0.2148, 0.0888, 0.1032,
                        0.1776, 0.4055, 0.1683, 0.2059, 0.3326, 0.8116};
    const int weights[] = {2, 1, 2, 0, 2, 1, 2, 0, 0, 0, 2, 0, 1, 2, 0, 2, 1, 2, 1, 1};
    const double depth_3[] = {0.03143,
                              0.03143,
                              0.03143,
                              0.4055,
                              0.03143,
                              0.03143,
                              0.03143,
                              0.4055,
                              0.09168,
                              0.09168,
                              0.09168,
                              0.4055,
                              0.09168,
                              0.09168,
                              0.09168,
                              0.4055,
                              0.1933666666666667,
                              0.1933666666666667,
                              0.3326,
                              0.8116};
    const double split_6[] = {0.02138,  0.02138,  0.02138,  0.5408666666666667,
                              0.04148,  0.04148,  0.04148,  0.5408666666666667,
                              0.09168,  0.09168,  0.09168,  0.5408666666666667,
                              0.09168,  0.09168,  0.09168,  0.5408666666666667,
                              0.228175, 0.228175, 0.228175, 0.5408666666666667};
    const double batch[] = {1, 2, 4, 8, 16}, kv[] = {0, 64, 256, 1024};
    double x[20], z[20];
    for (int i = 0; i < 20; i++) {
        x[i] = batch[i / 4];
        z[i] = kv[i % 4];
    }
    struct bag_fixture s;
    bag_set_up(&s, samples_of(20, x, z, y), 0, 0);
    weigh(&s, weights);
    const struct vidur_tree_limits three = limits_of(&s, 3, 2),
                                   six = limits_of(&s, 32, 6);
    struct vidur_tree a = grow(&s, VIDUR_GROWER_BEST, &three);
    struct vidur_tree b = grow(&s, VIDUR_GROWER_BEST, &six);
    CU_ASSERT_EQUAL(a.num_nodes, 11);
    CU_ASSERT_EQUAL(b.num_nodes, 9);
    for (int i = 0; i < 20; i++) {
        const double point[] = {x[i], z[i]};
        CU_ASSERT_DOUBLE_EQUAL(value_at(&s, &a, point), depth_3[i], 1e-12);
        CU_ASSERT_DOUBLE_EQUAL(value_at(&s, &b, point), split_6[i], 1e-12);
    }
    vidur_tree_fini(&a);
    vidur_tree_fini(&b);
    bag_clean_up(&s);
}

/* ---- Beside a naive tree that sums squares row by row ---- */

/* Weighted mean and sum of squared deviations of the sample's cells in `inside`. */
static double spread(const struct bag_fixture *s, const bool *inside, double *mean)
{
    double weight = 0, sum = 0, squares = 0;
    for (int i = 0; i < s->cells.num_cells; i++)
        if (inside[i]) {
            weight += s->bag.tally[i].weight;
            sum += s->bag.tally[i].sum;
        }
    *mean = weight > 0 ? sum / weight : 0;
    for (int i = 0; i < s->cells.num_cells; i++)
        if (inside[i] && s->bag.tally[i].weight > 0) {
            const double own = s->bag.tally[i].sum / s->bag.tally[i].weight;
            squares += s->bag.tally[i].weight * (own - *mean) * (own - *mean);
        }
    return squares;
}

/* What is left of the spread when `inside` is divided below a rank. */
static double spread_divided(const struct bag_fixture *s, const bool *inside,
                             int feature, int cut)
{
    bool *part = calloc((size_t)s->cells.num_cells, sizeof *part);
    double total = 0, mean;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < s->cells.num_cells; i++)
            part[i] = inside[i] && (s->cells.rank[feature][i] < cut) == (side == 0);
        total += spread(s, part, &mean);
    }
    free(part);
    return total;
}

/* Walks the tree's nodes: at each, no division of its cells leaves less spread. */
static int check_node(const struct bag_fixture *s, const struct vidur_tree *tree,
                      int index, const bool *inside)
{
    const struct vidur_node *node = &tree->nodes[index];
    const size_t n = (size_t)s->cells.num_cells;
    double mean;
    const double whole = spread(s, inside, &mean);
    CU_ASSERT_DOUBLE_EQUAL(node->value, mean, 1e-9 * fabs(mean) + 1);
    if (!node->right) {
        CU_ASSERT(whole <= 1e-9 * mean * mean);
        return 1;
    }
    const double chosen = spread_divided(s, inside, node->feature, node->cut);
    for (int f = 0; f < s->cells.num_features; f++)
        for (int cut = 1; cut < s->cells.num_values[f]; cut++)
            CU_ASSERT(chosen <= spread_divided(s, inside, f, cut) + 1e-9 * whole);
    bool *left = malloc(n * sizeof *left), *right = malloc(n * sizeof *right);
    for (size_t i = 0; i < n; i++) {
        const bool goes_left = s->cells.rank[node->feature][i] < node->cut;
        left[i] = inside[i] && goes_left;
        right[i] = inside[i] && !goes_left;
    }
    const int nodes = 1 + check_node(s, tree, index + 1, left) +
                      check_node(s, tree, node->right, right);
    free(left);
    free(right);
    return nodes;
}

static void test_every_split_is_best(void)
{
    static const struct samples_recipe recipes[] = {
        {1, 60, {40, 0}, 0, 3}, {2, 60, {9, 8}, 0, 4}, {2, 40, {30, 30}, 0, 5}};
    for (int r = 0; r < 3; r++) {
        struct bag_fixture s;
        bag_set_up(&s, samples_random(&recipes[r]), 10, 15);
        for (uint64_t seed = 0; seed < 5; seed++) {
            bag_draw(&s, seed);
            const struct vidur_tree_limits limits = limits_of(&s, 1000, 2);
            struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
            bool *all = malloc((size_t)s.cells.num_cells);
            memset(all, true, (size_t)s.cells.num_cells);
            CU_ASSERT(tree.num_nodes > 20);
            CU_ASSERT_EQUAL(check_node(&s, &tree, 0, all), tree.num_nodes);
            free(all);
            vidur_tree_fini(&tree);
        }
        bag_clean_up(&s);
    }
}

/* ---- The growers beside each other ---- */

static const struct samples_recipe varied[] = {
    {1, 1, {5, 0}, 0, 10},     {1, 2, {5, 0}, 0, 11},      {1, 300, {200, 0}, 0, 12},
    {1, 300, {20, 0}, 4, 13},  {1, 50, {50, 0}, 1, 14},    {2, 2, {3, 3}, 0, 15},
    {2, 300, {12, 20}, 0, 16}, {2, 300, {12, 20}, 3, 17},  {2, 100, {40, 40}, 0, 18},
    {2, 200, {1, 30}, 0, 19},  {2, 200, {30, 1}, 100, 20}, {2, 400, {5, 5}, 2, 21},
};

enum { NUM_VARIED = sizeof varied / sizeof varied[0] };

static bool same_trees(const struct vidur_tree *a, const struct vidur_tree *b)
{
    if (a->num_nodes != b->num_nodes)
        return false;
    for (int i = 0; i < a->num_nodes; i++) {
        const struct vidur_node *p = &a->nodes[i], *q = &b->nodes[i];
        if (p->value != q->value || p->right != q->right || p->depth != q->depth ||
            p->num_rows != q->num_rows)
            return false;
        if (p->right && (p->threshold != q->threshold || p->cut != q->cut ||
                         p->feature != q->feature))
            return false;
    }
    return true;
}

static void test_growers_agree_to_the_bit(void)
{
    static const int limits_tried[][2] = {{1000, 2}, {3, 2}, {32, 7}};
    for (int r = 0; r < NUM_VARIED; r++) {
        struct bag_fixture s;
        bag_set_up(&s, samples_random(&varied[r]), 0, varied[r].num_rows / 10);
        for (uint64_t seed = 0; seed < 20; seed++)
            for (int l = 0; l < 3; l++) {
                const struct vidur_tree_limits limits =
                    limits_of(&s, limits_tried[l][0], limits_tried[l][1]);
                bag_draw(&s, seed);
                struct vidur_tree plain = grow(&s, VIDUR_GROWER_LIST, &limits);
                struct vidur_tree fast = grow(&s, VIDUR_GROWER_GRID, &limits);
                CU_ASSERT(same_trees(&plain, &fast));
                vidur_tree_fini(&plain);
                vidur_tree_fini(&fast);
            }
        bag_clean_up(&s);
    }
}

/* A tree limited in depth or split size is the full one, cut. */
static void test_cutting_equals_growing(void)
{
    static const int depths[] = {0, 1, 3, 8, 32}, splits[] = {2, 5, 10, 1000};
    for (int r = 0; r < NUM_VARIED; r++) {
        struct bag_fixture s;
        bag_set_up(&s, samples_random(&varied[r]), 0, 0);
        bag_draw(&s, 99);
        const struct vidur_tree_limits none = limits_of(&s, 1 << 20, 2);
        struct vidur_tree full = grow(&s, VIDUR_GROWER_BEST, &none);
        for (int i = 0; i < 20; i++) {
            const int depth = depths[i / 4], split = splits[i % 4];
            const struct vidur_tree_limits limits = limits_of(&s, depth, split);
            struct vidur_tree own = grow(&s, VIDUR_GROWER_LIST, &limits);
            for (int row = 0; row < s.cells.num_rows; row++) {
                double x[2];
                point_of_row(&s, row, x);
                CU_ASSERT_EQUAL(find(&full, x, depth, split)->value,
                                find(&own, x, 1 << 20, 0)->value);
            }
            vidur_tree_fini(&own);
        }
        vidur_tree_fini(&full);
        bag_clean_up(&s);
    }
}

/* Both features part these rows equally well: a coin decides, anew in each node. */
static void test_ties_between_features(void)
{
    const double x[] = {1, 2, 3, 4}, y[] = {1, 2, 11, 12};
    const int weights[] = {1, 1, 1, 1};
    int second_at_root = 0, second_below = 0;
    struct bag_fixture s;
    bag_set_up(&s, samples_of(4, x, x, y), 0, 0);
    for (uint64_t seed = 0; seed < 400; seed++) {
        bag_draw(&s, seed); /* for its key */
        weigh(&s, weights);
        const struct vidur_tree_limits limits = limits_of(&s, 32, 2);
        struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
        CU_ASSERT_EQUAL_FATAL(tree.num_nodes, 7);
        second_at_root += tree.nodes[0].feature;
        second_below += tree.nodes[1].feature + tree.nodes[4].feature;
        vidur_tree_fini(&tree);
    }
    CU_ASSERT_DOUBLE_EQUAL(second_at_root, 200, 5 * 10); /* five standard errors */
    CU_ASSERT_DOUBLE_EQUAL(second_below, 400, 5 * 14.2);
    bag_clean_up(&s);
}

/* Grown only where it is asked: the same there, and each leaf lists its cells. */
static void check_wanted(const struct bag_fixture *s, struct vidur_wanted *wanted,
                         enum vidur_grower_kind kind, const int32_t *cells)
{
    struct vidur_tree_limits limits = limits_of(s, 1000, 2);
    struct vidur_tree full = grow(s, kind, &limits);
    limits.wanted = wanted;
    struct vidur_tree part = grow(s, kind, &limits);
    int found = 0;
    CU_ASSERT(part.num_nodes <= full.num_nodes);
    for (int i = 0; i < part.num_nodes; i++) {
        const struct vidur_node *node = &part.nodes[i];
        for (int k = node->begin; !node->right && k < node->end; k++, found++) {
            const int32_t cell = cells[wanted->order[k]];
            double x[2];
            for (int f = 0; f < 2; f++)
                x[f] = f < s->cells.num_features
                           ? s->cells.values[f][s->cells.rank[f][cell]]
                           : 0;
            CU_ASSERT_EQUAL(node->value, find(&full, x, 1 << 20, 0)->value);
            CU_ASSERT_PTR_EQUAL(find(&part, x, 1 << 20, 0), node);
        }
    }
    CU_ASSERT_EQUAL(found, wanted->num);
    vidur_tree_fini(&full);
    vidur_tree_fini(&part);
}

static void test_growing_where_wanted(void)
{
    enum { MOST = 16 };
    for (int r = 2; r < NUM_VARIED; r++) {
        int32_t cells[MOST], order[MOST], rank[2][MOST];
        struct bag_fixture s;
        bag_set_up(&s, samples_random(&varied[r]), 0, varied[r].num_rows / 5);
        struct vidur_wanted wanted = {.order = order, .rank = {rank[0], rank[1]}};
        for (int i = 0; i < s.cells.num_cells && wanted.num < MOST; i += 3) {
            order[wanted.num] = wanted.num;
            rank[0][wanted.num] = s.cells.rank[0][i];
            rank[1][wanted.num] = s.cells.rank[1][i];
            cells[wanted.num++] = i;
        }
        for (uint64_t seed = 0; seed < 10; seed++) {
            bag_draw(&s, seed);
            check_wanted(&s, &wanted, VIDUR_GROWER_LIST, cells);
            check_wanted(&s, &wanted, VIDUR_GROWER_GRID, cells);
        }
        bag_clean_up(&s);
    }
}

/* ---- Precision ---- */

/* Sums of targets, and of leaf values over trees, are exact: the promise of cells.h. */
static void test_sums_are_exact(void)
{
    static const struct samples_recipe recipe = {1, 300, {300, 0}, 0, 32};
    struct bag_fixture s;
    bag_set_up(&s, samples_random(&recipe), 0, 0);
    for (int i = 0; i < s.cells.num_rows; i++) {
        CU_ASSERT_EQUAL(s.cells.target[i], rint(s.cells.target[i]));
        CU_ASSERT(fabs(s.cells.target[i]) <= ldexp(1, s.cells.target_bits));
        CU_ASSERT_DOUBLE_EQUAL(s.cells.target[i] * s.cells.unit_ms,
                               s.samples.target_ms[i], s.cells.unit_ms);
    }
    CU_ASSERT(s.cells.target_bits + vidur_log2_ceil(s.cells.num_rows) <= 52);
    bag_draw(&s, 1);
    struct vidur_tree_limits limits = limits_of(&s, 32, 2);
    limits.rounding = vidur_tree_rounding(&s.cells, 750);
    struct vidur_tree tree = grow(&s, VIDUR_GROWER_BEST, &limits);
    for (int i = 0; i < tree.num_nodes; i++) {
        const double steps = tree.nodes[i].value / limits.rounding;
        CU_ASSERT_EQUAL(steps, rint(steps));
        CU_ASSERT(fabs(steps) * 750 * 4 <= 0x1p52);
    }
    vidur_tree_fini(&tree);
    bag_clean_up(&s);
}

VIDUR_TEST_MAIN("tree", {"four rows by hand", test_by_hand}, {"weights", test_weights},
                {"threshold between neighbouring doubles",
                 test_threshold_between_neighbours},
                {"splits that gain nothing", test_splits_that_gain_nothing},
                {"nothing to split", test_nothing_to_split},
                {"scikit-learn, one feature", test_scikit_learn_one_feature},
                {"scikit-learn, two features", test_scikit_learn_two_features},
                {"every split is a best one", test_every_split_is_best},
                {"growers agree to the bit", test_growers_agree_to_the_bit},
                {"cutting equals growing", test_cutting_equals_growing},
                {"ties between features", test_ties_between_features},
                {"growing only where wanted", test_growing_where_wanted},
                {"sums are exact", test_sums_are_exact})
