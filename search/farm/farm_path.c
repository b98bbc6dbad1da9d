#include "farm/farm_path.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SUPPOSED = 64 };

void farm_path_init(struct farm_path *path, const struct vidur_farm *farm)
{
    memset(path, 0, sizeof *path);
    path->farm = farm;
    path->job = -1;
    path->owner = FARM_NOBODY;
}

void farm_path_fini(struct farm_path *path)
{
    for (int i = 0; i < path->num_known; i++)
        free(path->known[i].body);
    free(path->known);
    free(path->flights);
    farm_path_init(path, path->farm);
}

/* Makes room for one more of `count` elements. */
static void *grow(void *array, int count, int *capacity, size_t bytes)
{
    if (count < *capacity)
        return array;
    const int wanted = *capacity ? 2 * *capacity : 4;
    void *grown = realloc(array, (size_t)wanted * bytes);
    if (grown)
        *capacity = wanted;
    return grown;
}

int farm_path_fly(struct farm_path *path, int rank, uint64_t step,
                  struct vidur_error *err)
{
    struct farm_flight *flights =
        grow(path->flights, path->num_flights, &path->max_flights, sizeof *flights);
    if (!flights)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a step in flight");
    path->flights = flights;
    flights[path->num_flights++] = (struct farm_flight){rank, step};
    return 0;
}

void farm_path_land(struct farm_path *path, int rank, uint64_t step)
{
    for (int i = 0; i < path->num_flights; i++) {
        if (path->flights[i].rank == rank && path->flights[i].step == step) {
            path->flights[i] = path->flights[--path->num_flights];
            return;
        }
    }
}

static bool is_flying(const struct farm_path *path, uint64_t step)
{
    for (int i = 0; i < path->num_flights; i++)
        if (path->flights[i].step == step)
            return true;
    return false;
}

int farm_path_store(struct farm_path *path, const struct farm_outcome *outcome,
                    struct vidur_error *err)
{
    if (farm_path_lookup(path, outcome->step))
        return 0;
    struct farm_known *known =
        grow(path->known, path->num_known, &path->max_known, sizeof *known);
    unsigned char *copy = malloc(outcome->bytes ? outcome->bytes : 1);
    if (known)
        path->known = known;
    if (!known || !copy) {
        free(copy);
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a result");
    }
    memcpy(copy, outcome->body, outcome->bytes);
    known[path->num_known++] =
        (struct farm_known){outcome->step, outcome->failed, copy};
    return 0;
}

const struct farm_known *farm_path_lookup(const struct farm_path *path, uint64_t step)
{
    for (int i = 0; i < path->num_known; i++)
        if (path->known[i].step == step)
            return &path->known[i];
    return NULL;
}

/* A state that the path may reach, and how many outcomes were supposed on the way. */
struct supposed {
    int ahead;
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
};

/* Follows known results from a state; false where the path ends there. */
static bool follow(const struct farm_path *path, void *state, uint64_t *step)
{
    const struct vidur_farm *farm = path->farm;
    while (farm->ops->next(farm->context, state, step)) {
        const struct farm_known *known = farm_path_lookup(path, *step);
        if (!known)
            return true;
        if (known->failed)
            return false;
        farm->ops->tell(farm->context, state, known->body);
    }
    return false;
}

bool farm_path_want(const struct farm_path *path, int ahead, uint64_t *step,
                    void *state)
{
    const struct vidur_farm_ops *ops = path->farm->ops;
    struct supposed queue[MAX_SUPPOSED];
    int count = 1;
    queue[0].ahead = 0;
    memcpy(queue[0].state, path->state, ops->state_bytes);
    for (int i = 0; i < count; i++) {
        struct supposed *at = &queue[i];
        if (!follow(path, at->state, step))
            continue;
        if (!is_flying(path, *step)) {
            if (state)
                memcpy(state, at->state, ops->state_bytes);
            return true;
        }
        if (at->ahead >= ahead || !ops->suppose)
            continue;
        for (int which = 0; count < MAX_SUPPOSED; which++) {
            if (!ops->suppose(path->farm->context, at->state, which,
                              queue[count].state))
                break;
            queue[count++].ahead = at->ahead + 1;
        }
    }
    return false;
}
