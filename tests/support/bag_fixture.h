#ifndef VIDUR_TEST_BAG_FIXTURE_H
#define VIDUR_TEST_BAG_FIXTURE_H

#include "forest/bag.h"

/* Samples and what is drawn from them, for tests of trees. */

struct bag_fixture {
    struct vidur_samples samples;
    struct vidur_cells cells;
    struct vidur_draw_rows rows;
    struct vidur_bag bag;
};

/* Takes the samples over; rows from `hold_begin` to before `hold_end` are held out.
 * Aborts the test program when memory is out. */
void bag_set_up(struct bag_fixture *f, struct vidur_samples samples, int hold_begin,
                int hold_end);
void bag_clean_up(struct bag_fixture *f);

void bag_draw(struct bag_fixture *f, uint64_t seed);

#endif
