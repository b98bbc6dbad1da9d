#ifndef VIDUR_TEST_TIMETABLE_FIXTURE_H
#define VIDUR_TEST_TIMETABLE_FIXTURE_H

#include "profile_fixture.h"

#include <stdbool.h>

/* Opening timetables in tests, listening to what is said, and comparing them. */

struct fixture_heard {
    int built, warnings;
    char last_warning[512];
};

/* A log that counts into *heard, which it clears. */
struct vidur_log fixture_log(struct fixture_heard *heard);

/* A roofline with few trees, small limits and no cache. */
struct vidur_estimator_config fixture_roofline(void);

/* Opens, and fails the test where that fails. */
struct vidur_timetable *fixture_open(const struct vidur_estimator_config *config,
                                     const struct vidur_timetable_request *request,
                                     const struct vidur_log *log);

/* Equal to the bit wherever both have a cell. */
bool timetables_equal(const struct vidur_timetable *a, const struct vidur_timetable *b);

#endif
