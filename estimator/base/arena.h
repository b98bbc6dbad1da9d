#ifndef VIDUR_BASE_ARENA_H
#define VIDUR_BASE_ARENA_H

#include <vidur/error.h>

#include <stddef.h>

/*
 * A bump allocator: one block sized up front, handed out in pieces, all given back at
 * once. Pieces are aligned to cache lines. Belongs to one thread at a time.
 */

enum { VIDUR_ARENA_ALIGN = 64 };

struct vidur_arena {
    unsigned char *memory;
    size_t size_bytes;
    size_t used_bytes;
};

/* What an array of `count` elements takes from an arena, alignment included; add these
 * up to size one. SIZE_MAX when it overflows, and the sum helper keeps that. */
size_t vidur_arena_bytes(size_t count, size_t element_bytes);
size_t vidur_arena_sum(size_t a, size_t b);

int vidur_arena_init(struct vidur_arena *arena, size_t size_bytes,
                     struct vidur_error *err);
/* Makes room for at least size_bytes; empties the arena. Pointers from it are dead. */
int vidur_arena_reserve(struct vidur_arena *arena, size_t size_bytes,
                        struct vidur_error *err);
void vidur_arena_fini(struct vidur_arena *arena);

/* Uninitialised memory, or NULL when the arena is full. count 0 gives a valid pointer.
 */
void *vidur_arena_alloc(struct vidur_arena *arena, size_t count, size_t element_bytes);
void *vidur_arena_zalloc(struct vidur_arena *arena, size_t count, size_t element_bytes);
void vidur_arena_reset(struct vidur_arena *arena);

#endif
