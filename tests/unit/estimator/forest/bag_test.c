#include "forest/bag.h"

#include "bag_fixture.h"
#include "samples_fixture.h"
#include "test.h"

#include <math.h>
#include <string.h>

/* Bootstrap samples: how many, which rows, and on what they depend. */

static void test_a_sample(void)
{
    static const struct samples_recipe recipe = {2, 500, {10, 20}, 0, 30};
    struct bag_fixture s;
    bag_set_up(&s, samples_random(&recipe), 100, 150);
    CU_ASSERT_EQUAL(s.rows.num_rows, 450);
    double distinct = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        int weight = 0;
        bag_draw(&s, seed);
        for (int i = 0; i < s.cells.num_cells; i++) {
            weight += s.bag.tally[i].weight;
            distinct += s.bag.tally[i].rows;
            CU_ASSERT(s.bag.tally[i].rows <= s.bag.tally[i].weight);
        }
        CU_ASSERT_EQUAL(weight, 450);
    }
    /* 1 - (1 - 1/n)^n of the rows; five standard errors */
    CU_ASSERT_DOUBLE_EQUAL(distinct / 200 / 450, 1 - pow(1 - 1.0 / 450, 450), 0.005);
    bag_clean_up(&s);
}

/* Each row is drawn as often as any other, and held-out rows never are. */
static void test_samples_are_fair(void)
{
    enum { ROWS = 12, DRAWS = 3000 };
    double x[ROWS], total[ROWS] = {0};
    for (int i = 0; i < ROWS; i++)
        x[i] = (i * 5) % ROWS; /* file order is not the order of cells */
    struct bag_fixture s;
    bag_set_up(&s, samples_of(ROWS, x, NULL, x), 3, 5);
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        bag_draw(&s, seed);
        for (int i = 0; i < ROWS; i++)
            total[i] += s.bag.tally[s.cells.cell_of_row[i]].weight;
    }
    for (int i = 0; i < ROWS; i++)
        CU_ASSERT_DOUBLE_EQUAL(total[i], i >= 3 && i < 5 ? 0 : DRAWS,
                               i >= 3 && i < 5 ? 0 : 5 * sqrt(DRAWS));
    bag_clean_up(&s);
}

static void test_draws_depend_on_the_stream_alone(void)
{
    static const struct samples_recipe recipe = {1, 100, {50, 0}, 0, 31};
    struct bag_fixture s;
    struct vidur_tally first[50];
    bag_set_up(&s, samples_random(&recipe), 0, 0);
    const size_t bytes = (size_t)s.cells.num_cells * sizeof *first;
    bag_draw(&s, 1);
    memcpy(first, s.bag.tally, bytes);
    const uint64_t key = s.bag.key;
    bag_draw(&s, 2);
    CU_ASSERT(memcmp(first, s.bag.tally, bytes) != 0);
    bag_draw(&s, 1);
    CU_ASSERT(memcmp(first, s.bag.tally, bytes) == 0);
    CU_ASSERT_EQUAL(key, s.bag.key);
    bag_clean_up(&s);
}

/* Rows of one cell are one entry, with their number and the sum of their targets. */
static void test_rows_of_a_cell(void)
{
    const double x[] = {7, 3, 7, 7, 3}, y[] = {1, 2, 4, 8, 16};
    struct bag_fixture s;
    bag_set_up(&s, samples_of(5, x, NULL, y), 4, 5);
    CU_ASSERT_EQUAL(s.cells.num_cells, 2);
    CU_ASSERT_EQUAL_FATAL(s.rows.num_cells, 2);
    CU_ASSERT_EQUAL(s.rows.start[1], 1); /* x = 3 has one row left, x = 7 three */
    CU_ASSERT_EQUAL(s.rows.start[2], 4);
    for (uint64_t seed = 0; seed < 50; seed++) {
        bag_draw(&s, seed);
        const struct vidur_tally *three = &s.bag.tally[0], *seven = &s.bag.tally[1];
        CU_ASSERT_EQUAL(three->weight + seven->weight, 4);
        CU_ASSERT_EQUAL(three->rows, three->weight > 0);
        CU_ASSERT_EQUAL(three->sum * s.cells.unit_ms, 2 * three->weight);
        CU_ASSERT(seven->rows <= 3 && seven->rows <= seven->weight);
        CU_ASSERT(seven->sum * s.cells.unit_ms >= seven->weight);
    }
    bag_clean_up(&s);
}

VIDUR_TEST_MAIN("bag", {"a sample", test_a_sample},
                {"samples are fair", test_samples_are_fair},
                {"rows of a cell", test_rows_of_a_cell},
                {"draws depend on the stream alone",
                 test_draws_depend_on_the_stream_alone})
