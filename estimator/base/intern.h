#ifndef VIDUR_BASE_INTERN_H
#define VIDUR_BASE_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A set of byte strings, each with an id counted from 0 in order of first appearance.
 * Zero-initialise.
 */

struct vidur_intern {
    char *pool; /* the strings, each followed by a NUL */
    size_t pool_used, pool_capacity;
    size_t *offsets; /* by id; one more than there are: the end */
    int32_t count, capacity;
    int32_t *slots; /* open addressing; id + 1, 0 is free */
    size_t num_slots;
};

/* The string's id, or -1 when out of memory (or beyond 2^30 strings). *is_new (may be
 * NULL) tells whether it was added now. */
int32_t vidur_intern(struct vidur_intern *set, const char *bytes, size_t length,
                     bool *is_new);
/* NUL-terminated; NULL for an id that is not there. Moves when a string is added. */
const char *vidur_intern_text(const struct vidur_intern *set, int32_t id);
void vidur_intern_fini(struct vidur_intern *set);

#endif
