#include "base/intern.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const char *bytes, size_t length)
{
    const uint64_t hash = vidur_fnv1a(VIDUR_FNV1A_INIT, bytes, length);
    return hash ^ (hash >> 32);
}

static size_t length_of(const struct vidur_intern *set, int32_t id)
{
    return set->offsets[id + 1] - set->offsets[id] - 1;
}

static bool grow_slots(struct vidur_intern *set)
{
    const size_t num_slots = set->num_slots ? 2 * set->num_slots : 64;
    int32_t *slots = calloc(num_slots, sizeof *slots);
    if (!slots)
        return false;
    for (int32_t id = 0; id < set->count; id++) {
        const char *text = set->pool + set->offsets[id];
        size_t slot = hash_of(text, length_of(set, id)) & (num_slots - 1);
        while (slots[slot])
            slot = (slot + 1) & (num_slots - 1);
        slots[slot] = id + 1;
    }
    free(set->slots);
    set->slots = slots;
    set->num_slots = num_slots;
    return true;
}

static bool grow_ids(struct vidur_intern *set)
{
    const int32_t capacity = set->capacity ? 2 * set->capacity : 64;
    if (capacity > (1 << 30))
        return false;
    size_t *offsets =
        realloc(set->offsets, ((size_t)capacity + 1) * sizeof *set->offsets);
    if (!offsets)
        return false;
    if (!set->capacity)
        offsets[0] = 0;
    set->offsets = offsets;
    set->capacity = capacity;
    return true;
}

static bool grow_pool(struct vidur_intern *set, size_t length)
{
    size_t capacity = set->pool_capacity ? set->pool_capacity : 1024;
    while (capacity - set->pool_used <= length)
        capacity *= 2;
    char *pool = realloc(set->pool, capacity);
    if (!pool)
        return false;
    set->pool = pool;
    set->pool_capacity = capacity;
    return true;
}

static bool make_room(struct vidur_intern *set, size_t length)
{
    if (2 * ((size_t)set->count + 1) > set->num_slots && !grow_slots(set))
        return false;
    if (set->count == set->capacity && !grow_ids(set))
        return false;
    return set->pool_capacity - set->pool_used > length || grow_pool(set, length);
}

int32_t vidur_intern(struct vidur_intern *set, const char *bytes, size_t length,
                     bool *is_new)
{
    if (is_new)
        *is_new = false;
    if (!make_room(set, length))
        return -1;
    const size_t mask = set->num_slots - 1;
    size_t slot = hash_of(bytes, length) & mask;
    for (; set->slots[slot]; slot = (slot + 1) & mask) {
        const int32_t id = set->slots[slot] - 1;
        if (length_of(set, id) == length &&
            memcmp(set->pool + set->offsets[id], bytes, length) == 0)
            return id;
    }
    memcpy(set->pool + set->pool_used, bytes, length);
    set->pool[set->pool_used + length] = '\0';
    set->pool_used += length + 1;
    set->slots[slot] = ++set->count;
    set->offsets[set->count] = set->pool_used;
    if (is_new)
        *is_new = true;
    return set->count - 1;
}

const char *vidur_intern_text(const struct vidur_intern *set, int32_t id)
{
    return id >= 0 && id < set->count ? set->pool + set->offsets[id] : NULL;
}

void vidur_intern_fini(struct vidur_intern *set)
{
    free(set->pool);
    free(set->offsets);
    free(set->slots);
    *set = (struct vidur_intern){0};
}
