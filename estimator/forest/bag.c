#include "forest/bag.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void vidur_draw_rows_fini(struct vidur_draw_rows *rows)
{
    free(rows->cell);
    free(rows->start);
    free(rows->target);
    memset(rows, 0, sizeof *rows);
}

static int allocate_rows(struct vidur_draw_rows *rows, const struct vidur_cells *cells,
                         struct vidur_error *err)
{
    const size_t n = (size_t)cells->num_cells;
    memset(rows, 0, sizeof *rows);
    rows->cell = calloc(n, sizeof *rows->cell);
    rows->start = calloc(n + 1, sizeof *rows->start);
    rows->target = calloc((size_t)cells->num_rows, sizeof *rows->target);
    if (rows->cell && rows->start && rows->target)
        return 0;
    vidur_draw_rows_fini(rows);
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for bootstrap samples");
}

int vidur_draw_rows_init(struct vidur_draw_rows *rows, const struct vidur_cells *cells,
                         int hold_begin, int hold_end, struct vidur_error *err)
{
    int32_t *next = calloc((size_t)cells->num_cells + 1, sizeof *next);
    if (!next || allocate_rows(rows, cells, err)) {
        free(next);
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for bootstrap samples");
    }
    for (int row = 0; row < cells->num_rows; row++)
        next[cells->cell_of_row[row] + 1] += row < hold_begin || row >= hold_end;
    for (int i = 0; i < cells->num_cells; i++) {
        rows->cell[rows->num_cells] = i;
        rows->start[rows->num_cells] = next[i];
        rows->num_cells += next[i + 1] > 0;
        next[i + 1] += next[i];
    }
    rows->num_rows = next[cells->num_cells];
    rows->start[rows->num_cells] = rows->num_rows;
    for (int row = 0; row < cells->num_rows; row++)
        if (row < hold_begin || row >= hold_end)
            rows->target[next[cells->cell_of_row[row]]++] = cells->target[row];
    free(next);
    return 0;
}

int vidur_bag_init(struct vidur_bag *bag, const struct vidur_cells *cells,
                   struct vidur_error *err)
{
    const size_t n = (size_t)cells->num_cells;
    memset(bag, 0, sizeof *bag);
    bag->cells = cells;
    bag->tally = calloc(n + 1, sizeof *bag->tally);
    bag->counts = calloc((size_t)cells->num_rows, sizeof *bag->counts);
    if (bag->tally && bag->counts)
        return 0;
    vidur_bag_fini(bag);
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a bootstrap sample");
}

void vidur_bag_fini(struct vidur_bag *bag)
{
    free(bag->tally);
    free(bag->counts);
    memset(bag, 0, sizeof *bag);
}

/* Counts n draws from 0..n-1, two from each 64 random bits. Without bias: Lemire, "Fast
 * random integer generation in an interval", 2019. */
static void draw_counts(int32_t *counts, struct vidur_rng *rng, uint32_t n)
{
    const uint32_t reject_below = (uint32_t)(-n) % n;
    for (uint32_t left = n; left > 0;) {
        const uint64_t bits = vidur_rng_next(rng);
        const uint64_t a = (bits & UINT32_MAX) * n, b = (bits >> 32) * n;
        const bool good = (uint32_t)a >= reject_below && (uint32_t)b >= reject_below;
        if (good && left >= 2) {
            counts[a >> 32]++;
            counts[b >> 32]++;
            left -= 2;
        } else if ((uint32_t)a >= reject_below) {
            counts[a >> 32]++;
            left--;
        }
    }
}

static void collapse_single_rows(struct vidur_bag *bag,
                                 const struct vidur_draw_rows *from)
{
    for (int i = 0; i < from->num_cells; i++) {
        const int32_t count = bag->counts[i];
        bag->tally[from->cell[i]] =
            (struct vidur_tally){count * from->target[i], count, count > 0};
    }
}

static void collapse(struct vidur_bag *bag, const struct vidur_draw_rows *from)
{
    for (int i = 0; i < from->num_cells; i++) {
        struct vidur_tally tally = {0, 0, 0};
        for (int j = from->start[i]; j < from->start[i + 1]; j++) {
            const int32_t count = bag->counts[j];
            tally.sum += count * from->target[j];
            tally.weight += count;
            tally.rows += count > 0;
        }
        bag->tally[from->cell[i]] = tally;
    }
}

void vidur_bag_draw(struct vidur_bag *bag, struct vidur_rng *rng,
                    const struct vidur_draw_rows *from)
{
    const size_t n = (size_t)bag->cells->num_cells;
    if (bag->from != from) {
        memset(bag->tally, 0, n * sizeof *bag->tally);
        bag->from = from;
    }
    draw_counts(bag->counts, rng, (uint32_t)from->num_rows);
    bag->key = vidur_rng_next(rng);
    if (from->num_rows == from->num_cells)
        collapse_single_rows(bag, from);
    else
        collapse(bag, from);
    memset(bag->counts, 0, (size_t)from->num_rows * sizeof *bag->counts);
}
