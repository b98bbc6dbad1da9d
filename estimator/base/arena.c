#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

size_t vidur_arena_bytes(size_t count, size_t element_bytes)
{
    if (element_bytes && count > (SIZE_MAX - VIDUR_ARENA_ALIGN) / element_bytes)
        return SIZE_MAX;
    const size_t mask = VIDUR_ARENA_ALIGN - 1;
    return (count * element_bytes + mask) & ~mask;
}

size_t vidur_arena_sum(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

int vidur_arena_init(struct vidur_arena *arena, size_t size_bytes,
                     struct vidur_error *err)
{
    *arena = (struct vidur_arena){0};
    const size_t size = vidur_arena_bytes(size_bytes ? size_bytes : 1, 1);
    if (size == SIZE_MAX || !(arena->memory = aligned_alloc(VIDUR_ARENA_ALIGN, size)))
        return vidur_fail(err, VIDUR_ENOMEM,
                          "no memory for %.1f GB; ask for fewer requests, replicas or "
                          "queries per second, or take a machine with more",
                          (double)size_bytes / 1e9);
    arena->size_bytes = size;
    return 0;
}

int vidur_arena_reserve(struct vidur_arena *arena, size_t size_bytes,
                        struct vidur_error *err)
{
    vidur_arena_reset(arena);
    if (arena->memory && size_bytes <= arena->size_bytes)
        return 0;
    vidur_arena_fini(arena);
    return vidur_arena_init(arena, size_bytes, err);
}

void vidur_arena_fini(struct vidur_arena *arena)
{
    free(arena->memory);
    *arena = (struct vidur_arena){0};
}

void *vidur_arena_alloc(struct vidur_arena *arena, size_t count, size_t element_bytes)
{
    const size_t size = vidur_arena_bytes(count, element_bytes);
    if (!arena->memory || size > arena->size_bytes - arena->used_bytes)
        return NULL;
    void *piece = arena->memory + arena->used_bytes;
    arena->used_bytes += size;
    return piece;
}

void *vidur_arena_zalloc(struct vidur_arena *arena, size_t count, size_t element_bytes)
{
    void *piece = vidur_arena_alloc(arena, count, element_bytes);
    if (piece && count * element_bytes > 0)
        memset(piece, 0, count * element_bytes);
    return piece;
}

void vidur_arena_reset(struct vidur_arena *arena)
{
    arena->used_bytes = 0;
}
