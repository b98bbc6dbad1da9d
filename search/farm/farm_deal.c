#include "farm/farm_lead.h"

#include "base/progress.h"

#include <stdlib.h>
#include <string.h>

/* How many outcomes ahead of a path's results its steps may be run. */
enum { MAX_AHEAD = 5 };

/* How many paths are looked at for one such step, so that idle ranks cost rank 0 little
 * however many there are; the next search goes on behind them. */
enum { MAX_LOOKED_AT = 64 };

static int grow_paths(struct farm_leader *l)
{
    const int wanted = l->max_paths ? 2 * l->max_paths : 16;
    struct farm_path **paths = realloc(l->paths, (size_t)wanted * sizeof *paths);
    if (paths)
        l->paths = paths;
    int *unused = realloc(l->free_paths, (size_t)wanted * sizeof *unused);
    if (unused)
        l->free_paths = unused;
    int *line = calloc((size_t)wanted, sizeof *line);
    if (!paths || !unused || !line) {
        free(line);
        return vidur_fail(l->error, VIDUR_ENOMEM, "out of memory for jobs in flight");
    }
    for (int i = 0; l->max_paths > 0 && i < l->line_count; i++)
        line[i] = l->line[(l->line_first + i) % l->max_paths];
    free(l->line);
    l->line = line;
    l->line_first = 0;
    l->max_paths = wanted;
    return 0;
}

static int new_path(struct farm_leader *l)
{
    if (l->num_free > 0)
        return l->free_paths[--l->num_free];
    if (l->num_paths == l->max_paths && grow_paths(l) != 0)
        return -1;
    struct farm_path *path = malloc(sizeof *path);
    if (!path)
        return vidur_fail(l->error, VIDUR_ENOMEM, "out of memory for a job in flight");
    farm_path_init(path, l->farm);
    l->paths[l->num_paths] = path;
    return l->num_paths++;
}

/* The oldest path in line that still needs its step run; -1: none. */
static int next_in_line(struct farm_leader *l)
{
    uint64_t step;
    while (l->line_count > 0) {
        const int index = l->line[l->line_first];
        l->line_first = (l->line_first + 1) % l->max_paths;
        l->line_count--;
        struct farm_path *path = l->paths[index];
        path->in_line = false;
        if (path->ended)
            farm_lead_line_up(l, index); /* lets it go */
        else if (path->owner == FARM_NOBODY && farm_path_want(path, 0, &step, NULL))
            return index;
    }
    return -1;
}

/* Every path is released: not even a step that turned out not to be needed is running
 * on any rank. */
static bool is_quiet(const struct farm_leader *l)
{
    return l->num_free == l->num_paths;
}

static bool has_ready(const struct farm_leader *l)
{
    return farm_board_has_ready(&l->board, is_quiet(l));
}

/* 1: *path is a job taken from the board; 0: none is ready; -1: error. */
static int take_job(struct farm_leader *l, int *path)
{
    const bool quiet = is_quiet(l);
    if (!has_ready(l))
        return 0;
    const int index = new_path(l);
    if (index < 0)
        return -1;
    const int taken = farm_board_take(&l->board, quiet, &l->paths[index]->job,
                                      l->paths[index]->state, l->error);
    l->dirty = true;
    if (taken <= 0)
        l->free_paths[l->num_free++] = index;
    else
        *path = index;
    return taken;
}

/* A path that needs its next step run: from the line, or a new one. */
static int find_path(struct farm_leader *l, int *path)
{
    *path = next_in_line(l);
    return *path >= 0 ? 1 : take_job(l, path);
}

/* A step that may be needed later, of any path that is not one rank's own. */
static bool find_ahead(struct farm_leader *l, int *index, uint64_t *step, void *state)
{
    if (!l->farm->speculate || !l->farm->ops->suppose)
        return false;
    for (int i = 0; i < l->num_paths && i < MAX_LOOKED_AT; i++) {
        l->ahead_cursor = (l->ahead_cursor + 1) % l->num_paths;
        struct farm_path *path = l->paths[l->ahead_cursor];
        if (path->job < 0 || path->ended || path->owner != FARM_NOBODY)
            continue;
        if (farm_path_want(path, MAX_AHEAD, step, state)) {
            *index = l->ahead_cursor;
            return true;
        }
    }
    return false;
}

static int send_lease(struct farm_leader *l, int rank, int index, const void *state,
                      int64_t count)
{
    struct farm_message *m = &l->message;
    m->kind = FARM_LEASE;
    m->job = l->paths[index]->job;
    m->count = count;
    m->body_bytes = l->farm->ops->state_bytes;
    memcpy(m->body, state, (size_t)m->body_bytes);
    return l->link->send(l->link->self, rank, m, l->error);
}

static int give_whole(struct farm_leader *l, int rank, int index)
{
    struct farm_slot *slot = &l->slots[rank];
    struct farm_path *path = l->paths[index];
    path->owner = rank;
    slot->held[slot->num_held++] = (struct farm_holding){.path = index, .whole = true};
    if (!slot->recallable) {
        slot->recallable = true;
        l->recallable[(l->recall_first + l->recall_count++) % l->link->ranks] = rank;
    }
    return send_lease(l, rank, index, path->state, INT64_MAX);
}

static int give_step(struct farm_leader *l, int rank, int index, uint64_t step,
                     const void *state)
{
    struct farm_slot *slot = &l->slots[rank];
    if (farm_path_fly(l->paths[index], rank, step, l->error) != 0)
        return -1;
    slot->held[slot->num_held++] = (struct farm_holding){.path = index, .step = step};
    return send_lease(l, rank, index, state, 1);
}

/* 1: given; 0: nothing to give; -1: error. */
static int give_needed(struct farm_leader *l, int rank)
{
    int index;
    uint64_t step;
    const int found = find_path(l, &index);
    if (found <= 0)
        return found;
    const struct farm_path *path = l->paths[index];
    const bool others_wait = l->num_idle > 0 && !has_ready(l);
    if (!others_wait && path->num_known == 0 && path->num_flights == 0)
        return give_whole(l, rank, index) == 0 ? 1 : -1;
    farm_path_want(path, 0, &step, NULL);
    return give_step(l, rank, index, step, path->state) == 0 ? 1 : -1;
}

static int give_ahead(struct farm_leader *l, int rank)
{
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
    int index;
    uint64_t step;
    if (!find_ahead(l, &index, &step, state))
        return 0;
    return give_step(l, rank, index, step, state) == 0 ? 1 : -1;
}

/* The rank that has held whole paths for longest, if it still does; -1: none. */
static int next_recallable(struct farm_leader *l)
{
    const bool split = l->farm->speculate && l->farm->ops->suppose;
    while (l->recall_count > 0) {
        const int rank = l->recallable[l->recall_first];
        struct farm_slot *slot = &l->slots[rank];
        l->recall_first = (l->recall_first + 1) % l->link->ranks;
        l->recall_count--;
        slot->recallable = false;
        const bool whole = slot->num_held > 0 && (slot->held[0].whole ||
                                                  slot->held[slot->num_held - 1].whole);
        if (whole && !slot->recalled && !slot->gone &&
            slot->num_held >= (split ? 1 : 2))
            return rank;
    }
    return -1;
}

/* Asks one rank to give back what it holds, for the sake of one that has nothing. */
static int recall_one(struct farm_leader *l)
{
    const int rank = next_recallable(l);
    if (rank < 0)
        return 0;
    l->slots[rank].recalled = true;
    l->message.kind = FARM_RECALL;
    l->message.body_bytes = 0;
    return l->link->send(l->link->self, rank, &l->message, l->error);
}

/* How many jobs a worker may hold. Two, so that it need not wait for the next; more
 * where ranks are many and rank 0's time is short. */
static int room_for(const struct farm_leader *l)
{
    const int64_t ranks = l->link->ranks, ready = l->board.ready.count;
    if (ranks >= FARM_MANY_RANKS && ready >= FARM_MAX_HELD * ranks)
        return FARM_MAX_HELD;
    return ready >= ranks ? 2 : 1;
}

int farm_deal(struct farm_leader *l, int rank)
{
    struct farm_slot *slot = &l->slots[rank];
    if (slot->recalled || slot->gone || slot->idle)
        return 0;
    const int room = room_for(l);
    int given = 1;
    while (given > 0 && slot->num_held < room)
        given = give_needed(l, rank);
    if (given < 0)
        return -1;
    if (slot->num_held > 0)
        return 0;
    if ((given = give_ahead(l, rank)) != 0)
        return given < 0 ? -1 : 0;
    slot->idle = true;
    l->idle[l->num_idle++] = rank;
    return recall_one(l);
}

int farm_deal_idle(struct farm_leader *l)
{
    while (l->changed && l->num_idle > 0) {
        const int rank = l->idle[--l->num_idle];
        l->slots[rank].idle = false;
        if (farm_deal(l, rank) != 0)
            return -1;
        if (l->slots[rank].idle)
            break; /* nothing for it, so nothing for the others */
    }
    l->changed = false;
    return 0;
}

/* Marks rank 0's path's next step as its own; lets the path go where another rank runs
 * that step already. */
static int claim_home(struct farm_leader *l)
{
    uint64_t step;
    struct farm_path *path = l->paths[l->home];
    if (path->ended || !farm_path_want(path, 0, &step, NULL)) {
        l->home = -1;
        return 0;
    }
    return farm_path_fly(path, 0, step, l->error);
}

/* 1: *index and *step are what rank 0 is to run, from `state`; 0: nothing; -1: error.
 */
static int choose_own(struct farm_leader *l, int *index, uint64_t *step, void *state)
{
    if (l->home < 0) {
        const int found = find_path(l, &l->home);
        if (found <= 0)
            l->home = -1;
        if (found < 0 || (found > 0 && claim_home(l) != 0))
            return -1;
    }
    if (l->home >= 0) {
        *index = l->home;
        memcpy(state, l->paths[l->home]->state, l->farm->ops->state_bytes);
        l->farm->ops->next(l->farm->context, state, step);
        return 1;
    }
    if (!find_ahead(l, index, step, state))
        return 0;
    return farm_path_fly(l->paths[*index], 0, *step, l->error) == 0 ? 1 : -1;
}

static int settle_own(struct farm_leader *l, int index,
                      const struct farm_outcome *outcome)
{
    struct farm_path *path = l->paths[index];
    farm_path_land(path, 0, outcome->step);
    l->changed = true;
    if (!path->ended && (farm_path_store(path, outcome, l->error) != 0 ||
                         farm_lead_apply(l, index) != 0))
        return -1;
    if (l->home == index) {
        if (claim_home(l) != 0)
            return -1;
    }
    farm_lead_line_up(l, index);
    return 1;
}

int farm_deal_self(struct farm_leader *l, const struct vidur_farm_pulse *pulse)
{
    /* A copy: messages heard during the step may move the path on. */
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
    alignas(max_align_t) unsigned char result[VIDUR_FARM_MAX_RESULT_BYTES] = {0};
    struct vidur_error failure = {0};
    int index;
    uint64_t step;
    const int chosen = choose_own(l, &index, &step, state);
    if (chosen <= 0)
        return chosen;
    const struct vidur_farm_step at = {l->paths[index]->job, step, state};
    const double begin_s = vidur_monotonic_s();
    const int rc = l->farm->ops->run(l->farm->context, &at, pulse, result, &failure);
    l->stats->busy_s += vidur_monotonic_s() - begin_s;
    l->stats->steps++;
    if (rc != 0 && failure.code == VIDUR_EINTR)
        return 1; /* *stop is set: the loop sees to it */
    const struct farm_outcome done = {step, false, result, l->farm->ops->result_bytes};
    const struct farm_outcome broken = {step, true, &failure, sizeof failure};
    return settle_own(l, index, rc == 0 ? &done : &broken);
}
