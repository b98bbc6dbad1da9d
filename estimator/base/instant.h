#ifndef VIDUR_BASE_INSTANT_H
#define VIDUR_BASE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

/* Points in time, in whole nanoseconds: exact where a double of seconds since 1970 is
 * not. */

/* Of "s", "ms", "us" and "ns"; 0 for any other text. */
int64_t vidur_instant_unit_ns(const char *unit);

/*
 * A decimal number in the unit, counted from any start, or a date and time in ISO 8601
 * ("2023-11-16 18:17:03.9799600", "2024-05-10T00:00:00Z", "...+02:00"), counted from
 * 1970; one without a zone is UTC. Digits beyond nanoseconds are cut. False where the
 * text is neither or does not fit.
 */
bool vidur_instant_parse(const char *text, int64_t unit_ns, int64_t *ns);

/* A number in the unit, rounded to nanoseconds. */
bool vidur_instant_of_double(double value, int64_t unit_ns, int64_t *ns);
bool vidur_instant_of_int64(int64_t value, int64_t unit_ns, int64_t *ns);

#endif
