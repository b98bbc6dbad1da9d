#ifndef VIDUR_ESTIMATOR_CELLS_H
#define VIDUR_ESTIMATOR_CELLS_H

#include <vidur/error.h>
#include <vidur/profile.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Samples on the lattice of their distinct feature values.
 *
 * Profiles are grids: thousands of rows share few distinct values per feature. Each
 * feature is ranked once; a cell is a combination of ranks that occurs. Rows of one
 * cell cannot be told apart by a tree, so that growing one works on cells (bags, below)
 * and costs nothing per row.
 *
 * Targets are held in units of 2^e ms, as whole numbers of at most 2^bits with bits =
 * 52 - ceil(log2(rows)): any sum of a bootstrap sample's targets, and any difference of
 * such sums, is exact in a double. Read-only once made; shared by threads.
 */
struct vidur_cells {
    int num_features;
    int num_rows;
    int num_cells;
    int num_values[VIDUR_MAX_FEATURES]; /* [1] is 1 for a single feature */
    double *values[VIDUR_MAX_FEATURES]; /* ascending */
    int32_t
        *rank[VIDUR_MAX_FEATURES]; /* of each cell; cells ascend by rank 0, rank 1 */
    int32_t *by_second;            /* cells in ascending order of rank 1, rank 0 */
    int32_t *cell_of_row;          /* rows in file order */
    double *target;                /* of each row, in units, a whole number */
    double unit_ms;                /* a power of two */
    int target_bits;               /* every |target| <= 2^target_bits */
};

enum { VIDUR_CELLS_MAX_ROWS = 1 << 22 };

/* Fails when there are no rows, too many, or values that are not finite. */
int vidur_cells_init(struct vidur_cells *cells, const struct vidur_samples *samples,
                     struct vidur_error *err);
void vidur_cells_fini(struct vidur_cells *cells);

/* Least b with n <= 2^b; n >= 1. */
int vidur_log2_ceil(int64_t n);

/* How many of the ascending values[begin..end) are <= x, plus begin. */
int64_t vidur_count_up_to(const double *values, int64_t begin, int64_t end, double x);

#endif
