#include "farm/farm_board.h"

#include <stdlib.h>
#include <string.h>

static bool heavier(const struct farm_board *board, int64_t a, int64_t b)
{
    const struct vidur_farm_job *jobs = board->jobs;
    if (jobs[a].weight != jobs[b].weight)
        return jobs[a].weight > jobs[b].weight;
    return a < b;
}

static void push(const struct farm_board *board, struct farm_heap *heap, int64_t job)
{
    int64_t at = heap->count++;
    while (at > 0) {
        const int64_t parent = (at - 1) / 2;
        if (!heavier(board, job, heap->jobs[parent]))
            break;
        heap->jobs[at] = heap->jobs[parent];
        at = parent;
    }
    heap->jobs[at] = job;
}

static int64_t pop(const struct farm_board *board, struct farm_heap *heap)
{
    const int64_t top = heap->jobs[0];
    const int64_t last = heap->jobs[--heap->count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count &&
            heavier(board, heap->jobs[child + 1], heap->jobs[child]))
            child++;
        if (!heavier(board, heap->jobs[child], last))
            break;
        heap->jobs[at] = heap->jobs[child];
        at = child;
    }
    heap->jobs[at] = last;
    return top;
}

static void make_ready(struct farm_board *board, int64_t job)
{
    push(board, board->jobs[job].alone ? &board->suspects : &board->ready, job);
}

/* Those from `first` on; the ones before it are finished, or there are none. */
static int link_jobs(struct farm_board *board, int64_t first, struct vidur_error *err)
{
    for (int64_t i = first; i < board->num_jobs; i++)
        board->first_waiting[i] = board->next_waiting[i] = -1;
    for (int64_t i = board->num_jobs - 1; i >= first; i--) {
        const int64_t after = board->jobs[i].after;
        if (after >= i || after < -1)
            return vidur_fail(err, VIDUR_EINVAL,
                              "job %lld waits for job %lld, which does not precede it",
                              (long long)i, (long long)after);
        if (after >= first) {
            board->next_waiting[i] = board->first_waiting[after];
            board->first_waiting[after] = i;
        }
    }
    for (int64_t i = first; i < board->num_jobs; i++)
        if (board->jobs[i].after < first)
            make_ready(board, i);
    return 0;
}

static int grow(int64_t **array, size_t count)
{
    int64_t *more = realloc(*array, count * sizeof *more);
    if (more)
        *array = more;
    return more ? 0 : -1;
}

static int take_in(struct farm_board *board, int64_t first, struct vidur_error *err)
{
    const size_t count = (size_t)board->num_jobs + 1;
    if (grow(&board->ready.jobs, count) || grow(&board->suspects.jobs, count) ||
        grow(&board->first_waiting, count) || grow(&board->next_waiting, count))
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %lld jobs",
                          (long long)board->num_jobs);
    return link_jobs(board, first, err);
}

int farm_board_init(struct farm_board *board, const struct vidur_farm *farm,
                    struct vidur_error *err)
{
    *board = (struct farm_board){
        .farm = farm, .jobs = farm->jobs, .num_jobs = farm->num_jobs, .alone = -1};
    if (farm->ops->state_bytes > VIDUR_FARM_MAX_STATE_BYTES ||
        farm->ops->result_bytes > VIDUR_FARM_MAX_RESULT_BYTES)
        return vidur_fail(err, VIDUR_EINVAL, "a farm's state or result is too large");
    if (take_in(board, 0, err) != 0) {
        farm_board_fini(board);
        return -1;
    }
    return 0;
}

int farm_board_goes_on(struct farm_board *board, struct vidur_error *err)
{
    const struct vidur_farm *farm = board->farm;
    const int64_t first = board->num_jobs;
    if (board->done < first)
        return 1;
    if (!farm->ops->more)
        return 0;
    if (farm->ops->more(farm->context, &board->jobs, &board->num_jobs, err) != 0)
        return -1;
    if (board->num_jobs <= first)
        return 0;
    return take_in(board, first, err) == 0 ? 1 : -1;
}

void farm_board_fini(struct farm_board *board)
{
    free(board->ready.jobs);
    free(board->suspects.jobs);
    free(board->first_waiting);
    free(board->next_waiting);
    *board = (struct farm_board){.alone = -1};
}

bool farm_board_has_ready(const struct farm_board *board, bool quiet)
{
    if (board->alone >= 0 || (board->was_alone && !quiet))
        return false;
    return board->ready.count > 0 || (board->suspects.count > 0 && quiet);
}

static int64_t take_next(struct farm_board *board, bool quiet)
{
    if (!farm_board_has_ready(board, quiet))
        return -1;
    board->was_alone = board->ready.count == 0;
    if (!board->was_alone)
        return pop(board, &board->ready);
    return board->alone = pop(board, &board->suspects);
}

int farm_board_take(struct farm_board *board, bool quiet, int64_t *job, void *state,
                    struct vidur_error *err)
{
    const struct vidur_farm_ops *ops = board->farm->ops;
    void *context = board->farm->context;
    uint64_t step;
    while ((*job = take_next(board, quiet)) >= 0) {
        memset(state, 0, ops->state_bytes);
        if (ops->start(context, *job, state, err) != 0)
            return -1;
        if (ops->next(context, state, &step))
            return ops->lease && ops->lease(context, *job, err) != 0 ? -1 : 1;
        if (farm_board_finish(board, *job, state, NULL, err) != 0)
            return -1;
    }
    return 0;
}

int farm_board_finish(struct farm_board *board, int64_t job, const void *state,
                      const struct vidur_error *failure, struct vidur_error *err)
{
    board->done++;
    if (board->alone == job)
        board->alone = -1;
    for (int64_t w = board->first_waiting[job]; w >= 0; w = board->next_waiting[w])
        make_ready(board, w);
    return board->farm->ops->finish(board->farm->context, job, state, failure, err);
}
