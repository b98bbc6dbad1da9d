#ifndef VIDUR_ESTIMATOR_BAG_H
#define VIDUR_ESTIMATOR_BAG_H

#include "forest/cells.h"

#include <vidur/error.h>
#include <vidur/rng.h>

#include <stdint.h>

/* Bootstrap samples (bags), collapsed to cells. */

/*
 * The rows that bootstrap samples are drawn from: all but those held out, in the order
 * of their cells. Read-only once made.
 */
struct vidur_draw_rows {
    int num_rows;
    int num_cells;  /* that have such a row */
    int32_t *cell;  /* ascending */
    int32_t *start; /* of each one's rows, and num_rows */
    double *target; /* of each row, in units */
};

/* Rows [hold_begin, hold_end) of the cells' rows are held out; at least one is not. */
int vidur_draw_rows_init(struct vidur_draw_rows *rows, const struct vidur_cells *cells,
                         int hold_begin, int hold_end, struct vidur_error *err);
void vidur_draw_rows_fini(struct vidur_draw_rows *rows);

/* A part of a bootstrap sample. */
struct vidur_tally {
    double sum;     /* of the targets, in units */
    int32_t weight; /* drawn rows */
    int32_t rows;   /* distinct ones among them */
};

/* A bootstrap sample, collapsed to cells. */
struct vidur_bag {
    const struct vidur_cells *cells;
    const struct vidur_draw_rows *from; /* of the last draw; other cells are empty */
    struct vidur_tally *tally; /* of each cell, and an empty one after the last */
    int32_t *counts; /* of each of the rows drawn from; all zero between draws */
    uint64_t key;    /* decides the order of features in the root */
};

int vidur_bag_init(struct vidur_bag *bag, const struct vidur_cells *cells,
                   struct vidur_error *err);
void vidur_bag_fini(struct vidur_bag *bag);

/* Draws as many rows as there are, with replacement. */
void vidur_bag_draw(struct vidur_bag *bag, struct vidur_rng *rng,
                    const struct vidur_draw_rows *from);

#endif
