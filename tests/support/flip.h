#ifndef VIDUR_TEST_FLIP_H
#define VIDUR_TEST_FLIP_H

#include "base/hash.h"

#include <stddef.h>

/* Which bytes of a struct a digest depends on. */

struct flip {
    void *object;
    size_t bytes;
    void (*digest)(struct vidur_sha256 *sha, const void *object);
    /* Bytes left alone: ends of texts, and numbers that say how long a list is. */
    const size_t *kept;
    size_t num_kept;
};

/* A text that fills its array, and where its NUL is then. */
void flip_fill(char *text, size_t size);
#define FILL(text)         flip_fill(text, sizeof(text))
#define END_OF(type, text) (offsetof(type, text) + sizeof(((type *)0)->text) - 1)

/* Changes each byte in turn, and counts those in whose place any value would do. */
size_t flip_count_ignored(const struct flip *flip);

#endif
