#include "bag_fixture.h"

#include <stdlib.h>

void bag_set_up(struct bag_fixture *f, struct vidur_samples samples, int hold_begin,
                int hold_end)
{
    f->samples = samples;
    if (vidur_cells_init(&f->cells, &f->samples, NULL) ||
        vidur_draw_rows_init(&f->rows, &f->cells, hold_begin, hold_end, NULL) ||
        vidur_bag_init(&f->bag, &f->cells, NULL))
        abort();
}

void bag_clean_up(struct bag_fixture *f)
{
    vidur_bag_fini(&f->bag);
    vidur_draw_rows_fini(&f->rows);
    vidur_cells_fini(&f->cells);
    vidur_samples_release(&f->samples);
}

void bag_draw(struct bag_fixture *f, uint64_t seed)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, seed, 7);
    vidur_bag_draw(&f->bag, &rng, &f->rows);
}
