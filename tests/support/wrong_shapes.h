#ifndef VIDUR_WRONG_SHAPES_H
#define VIDUR_WRONG_SHAPES_H

#include <vidur/error.h>

/*
 * Every key of a configuration, again and again, with a value of another shape: a value
 * where a list or a mapping is, and so on.
 */

struct wrong_shapes {
    const char *file;
    /* What the file has in comments: `key.path=value`, as --set takes them. */
    const char *const *sets;
    int num_sets;
    /* Reads the file and releases what comes of it; -1: an error. */
    int (*load)(const char *file, const char *const *sets, int num_sets,
                struct vidur_error *err);
};

/* Fails the test where a message does not name the key, or does not say which shape is
 * needed and show it (of a shape that is right: what would be right in it). Returns how
 * many were refused. */
int wrong_shapes_try_all(const struct wrong_shapes *of);

#endif
