#include "farm/farm_lead.h"

#include "base/progress.h"

#include <stdlib.h>
#include <string.h>

static int leader_init(struct farm_leader *l, const struct vidur_farm *farm,
                       const struct farm_link *link, struct vidur_error *err)
{
    const size_t ranks = (size_t)link->ranks;
    *l = (struct farm_leader){.farm = farm, .link = link, .error = err, .home = -1};
    l->slots = calloc(ranks, sizeof *l->slots);
    l->idle = calloc(ranks, sizeof *l->idle);
    l->recallable = calloc(ranks, sizeof *l->recallable);
    if (!l->slots || !l->idle || !l->recallable)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %d ranks", link->ranks);
    return farm_board_init(&l->board, farm, err);
}

static void leader_fini(struct farm_leader *l)
{
    for (int i = 0; i < l->num_paths; i++) {
        farm_path_fini(l->paths[i]);
        free(l->paths[i]);
    }
    free(l->paths);
    free(l->free_paths);
    free(l->line);
    free(l->slots);
    free(l->idle);
    free(l->recallable);
    farm_board_fini(&l->board);
}

/* Forgets a path that has ended and that nobody works on any more. */
static void release(struct farm_leader *l, int index)
{
    struct farm_path *path = l->paths[index];
    if (!path->ended || path->num_flights > 0 || path->owner != FARM_NOBODY ||
        path->in_line)
        return;
    if (l->home == index)
        l->home = -1;
    farm_path_fini(path);
    l->free_paths[l->num_free++] = index;
    l->changed = true; /* a job that is to run alone may have waited for it */
}

void farm_lead_line_up(struct farm_leader *l, int index)
{
    uint64_t step;
    struct farm_path *path = l->paths[index];
    if (path->job < 0 || path->in_line || l->home == index)
        return;
    if (path->ended || path->owner != FARM_NOBODY) {
        release(l, index);
        return;
    }
    if (!farm_path_want(path, 0, &step, NULL))
        return;
    path->in_line = true;
    l->line[(l->line_first + l->line_count++) % l->max_paths] = index;
    l->changed = true;
}

static int finish(struct farm_leader *l, struct farm_path *path,
                  const struct vidur_error *failure)
{
    path->ended = true;
    l->changed = l->dirty = true;
    return farm_board_finish(&l->board, path->job, path->state, failure, l->error);
}

int farm_lead_apply(struct farm_leader *l, int index)
{
    const struct vidur_farm_ops *ops = l->farm->ops;
    void *context = l->farm->context;
    struct farm_path *path = l->paths[index];
    uint64_t step;
    while (!path->ended) {
        if (!ops->next(context, path->state, &step))
            return finish(l, path, NULL);
        const struct farm_known *known = farm_path_lookup(path, step);
        if (!known)
            return 0;
        l->applied++;
        if (known->failed) {
            struct vidur_error failure;
            memcpy(&failure, known->body, sizeof failure);
            return finish(l, path, &failure);
        }
        if (ops->record(context, path->job, path->state, known->body, l->error) != 0)
            return -1;
        ops->tell(context, path->state, known->body);
        l->dirty = l->changed = true;
    }
    return 0;
}

static void drop(struct farm_leader *l, int rank, int index)
{
    struct farm_slot *slot = &l->slots[rank];
    slot->num_held--;
    memmove(&slot->held[index], &slot->held[index + 1],
            (size_t)(slot->num_held - index) * sizeof slot->held[0]);
    if (slot->num_held == 0)
        slot->recalled = false;
}

/* What the rank holds of a job, of one step of it where it holds single steps and
 * `step` is given; -1: nothing. */
static int find_held(const struct farm_leader *l, int rank, int64_t job,
                     const uint64_t *step)
{
    const struct farm_slot *slot = &l->slots[rank];
    for (int i = 0; i < slot->num_held; i++) {
        const struct farm_holding *held = &slot->held[i];
        if (l->paths[held->path]->job == job &&
            (held->whole || !step || held->step == *step))
            return i;
    }
    return -1;
}

static int confused(const struct farm_leader *l, int rank)
{
    return vidur_fail(l->error, VIDUR_ECORRUPT,
                      "rank %d sent a message about a job it does not hold", rank);
}

static int on_result(struct farm_leader *l, int rank,
                     const struct farm_result_head *head, const void *result)
{
    const int at = find_held(l, rank, head->job, &head->step);
    if (at < 0)
        return confused(l, rank);
    const struct farm_holding held = l->slots[rank].held[at];
    const struct farm_outcome outcome = {head->step, head->failed, result, head->bytes};
    struct farm_path *path = l->paths[held.path];
    if (!held.whole) {
        farm_path_land(path, rank, held.step);
        drop(l, rank, at);
    }
    if (!path->ended && (farm_path_store(path, &outcome, l->error) != 0 ||
                         farm_lead_apply(l, held.path) != 0))
        return -1;
    if (held.whole && path->ended) {
        path->owner = FARM_NOBODY;
        drop(l, rank, at);
    }
    farm_lead_line_up(l, held.path);
    return 0;
}

static int on_results(struct farm_leader *l, int rank, const struct farm_message *m)
{
    struct farm_result_head head;
    size_t offset = 0;
    const void *result;
    while ((result = farm_results_next(m, &offset, &head)) != NULL)
        if (on_result(l, rank, &head, result) != 0)
            return -1;
    return 0;
}

static int on_returned(struct farm_leader *l, int rank, const struct farm_message *m)
{
    const int at = find_held(l, rank, m->job, NULL);
    if (at < 0)
        return confused(l, rank);
    const struct farm_holding held = l->slots[rank].held[at];
    struct farm_path *path = l->paths[held.path];
    if (held.whole)
        path->owner = FARM_NOBODY;
    else
        farm_path_land(path, rank, held.step);
    drop(l, rank, at);
    farm_lead_line_up(l, held.path);
    return 0;
}

static int on_message(struct farm_leader *l, int rank, const struct farm_message *m)
{
    l->stats->messages++;
    switch (m->kind) {
    case FARM_RESULTS:
        return on_results(l, rank, m);
    case FARM_RETURNED:
        return on_returned(l, rank, m);
    case FARM_STOPPED:
        *l->farm->stop = 1;
        return 0;
    case FARM_BYE:
        l->slots[rank].gone = true;
        l->stats->steps += m->count;
        l->stats->busy_s += m->seconds;
        return 0;
    default:
        return confused(l, rank);
    }
}

/* Hears what there is to hear and deals out work: the number of messages, or -1. */
static int serve(struct farm_leader *l)
{
    struct farm_message message;
    int from, got, heard = 0;
    while (!*l->farm->stop &&
           (got = l->link->receive(l->link->self, &message, &from, l->error)) != 0) {
        if (got < 0 || on_message(l, from, &message) != 0 || farm_deal(l, from) != 0)
            return -1;
        heard++;
    }
    if (farm_deal_idle(l) != 0)
        return -1;
    if (l->dirty && l->farm->ops->commit) {
        if (l->farm->ops->commit(l->farm->context, l->error) != 0)
            return -1;
    }
    l->dirty = false;
    if (l->farm->ops->progress)
        l->farm->ops->progress(l->farm->context, l->board.done, l->board.num_jobs);
    return heard;
}

/* Rank 0's own steps are interrupted by the messages of the others. */
struct own_pulse {
    struct farm_leader *leader;
    int rc;
};

static void beat(void *self)
{
    struct own_pulse *own = self;
    if (own->rc == 0 && serve(own->leader) < 0) {
        own->rc = -1;
        *own->leader->farm->stop = 1; /* ends the running step */
    }
}

static int lead_all(struct farm_leader *l)
{
    struct own_pulse own = {.leader = l};
    const struct vidur_farm_pulse pulse = {beat, &own, l->farm->stop};
    const bool works = l->link->ranks <= l->farm->max_working_ranks;
    int64_t jobs = l->board.num_jobs;
    int naps = 0, goes_on;
    for (int rank = 1; rank < l->link->ranks; rank++)
        if (farm_deal(l, rank) != 0)
            return -1;
    while ((goes_on = farm_board_goes_on(&l->board, l->error)) > 0) {
        l->changed |= l->board.num_jobs > jobs;
        jobs = l->board.num_jobs;
        if (*l->farm->stop)
            return vidur_fail(l->error, VIDUR_EINTR, "stopped on request");
        const int heard = serve(l);
        if (heard < 0)
            return -1;
        const int worked = works && !*l->farm->stop ? farm_deal_self(l, &pulse) : 0;
        if (worked < 0 || own.rc != 0)
            return -1;
        if (heard + worked == 0)
            farm_nap(&naps);
        else
            naps = 0;
    }
    return goes_on;
}

/* Sends everybody home and waits for their goodbyes. */
static int dismiss(struct farm_leader *l, int code)
{
    int from, got = 0, left = l->link->ranks - 1, naps = 0;
    const double patience_s = farm_stop_patience_s(l->farm);
    double since_s = code != 0 ? vidur_monotonic_s() : 0;
    l->message.kind = FARM_STOP;
    l->message.code = code;
    l->message.body_bytes = 0;
    for (int rank = 1; rank < l->link->ranks; rank++)
        if (l->link->send(l->link->self, rank, &l->message, l->error) != 0)
            return -1;
    while (left > 0) {
        got = l->link->receive(l->link->self, &l->message, &from, l->error);
        if (got < 0)
            return -1;
        if (got == 0)
            farm_nap(&naps);
        if (got > 0 && l->message.kind == FARM_RESULTS && code == VIDUR_EINTR)
            on_message(l, from, &l->message); /* the last before the stop */
        if (got > 0 && l->message.kind == FARM_BYE) {
            on_message(l, from, &l->message);
            left--;
        }
        if (since_s == 0 && *l->farm->stop)
            since_s = vidur_monotonic_s();
        if (since_s > 0 && vidur_monotonic_s() - since_s > patience_s) {
            l->stats->abandoned = true;
            return 0;
        }
    }
    return 0;
}

/* Says which jobs went down with the ranks that did not say goodbye; once each, however
 * many of these ran steps of it. */
static void report_lost(struct farm_leader *l)
{
    for (int rank = 1; rank < l->link->ranks; rank++) {
        const struct farm_slot *slot = &l->slots[rank];
        for (int i = 0; !slot->gone && i < slot->num_held; i++) {
            struct farm_path *path = l->paths[slot->held[i].path];
            if (!path->ended)
                l->farm->ops->lost(l->farm->context, path->job, l->error);
            path->ended = true;
        }
    }
}

int farm_lead(const struct vidur_farm *farm, const struct farm_link *link,
              struct vidur_farm_stats *stats, struct vidur_error *err)
{
    struct farm_leader leader;
    struct vidur_error own_error, later;
    struct vidur_farm_stats own_stats;
    err = err ? err : &own_error;
    stats = stats ? stats : &own_stats;
    *stats = (struct vidur_farm_stats){.ranks = link->ranks};
    const double begin_s = vidur_monotonic_s();
    int rc = leader_init(&leader, farm, link, err);
    leader.stats = stats;
    if (rc == 0)
        rc = lead_all(&leader);
    if (rc == 0 && farm->ops->commit)
        rc = farm->ops->commit(farm->context, err);
    leader.error = rc == 0 ? err : &later;
    const int code = rc == 0 ? VIDUR_OK : (int)err->code;
    if (dismiss(&leader, code) != 0)
        rc = -1;
    if (stats->abandoned && rc != 0 && farm->ops->lost)
        report_lost(&leader);
    if (rc != 0 && farm->ops->commit)
        farm->ops->commit(farm->context, &later);
    leader_fini(&leader);
    stats->wasted = stats->steps - leader.applied;
    stats->elapsed_s = vidur_monotonic_s() - begin_s;
    return rc;
}
