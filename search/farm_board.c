#include "farm_board.h"

#include <stdlib.h>
#include <string.h>

static bool heavier(const struct farm_board *board, int64_t a, int64_t b)
{
    const struct vidur_farm_job *jobs = board->farm->jobs;
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
    push(board, board->farm->jobs[job].alone ? &board->suspects : &board->ready, job);
}

static int link_jobs(struct farm_board *board, struct vidur_error *err)
{
    const struct vidur_farm *farm = board->farm;
    for (int64_t i = 0; i < farm->num_jobs; i++)
        board->first_waiting[i] = board->next_waiting[i] = -1;
    for (int64_t i = farm->num_jobs - 1; i >= 0; i--) {
        const int64_t after = farm->jobs[i].after;
        if (after >= i || after < -1)
            return vidur_fail(err, VIDUR_EINVAL,
                              "job %lld waits for job %lld, which does not precede it",
                              (long long)i, (long long)after);
        if (after >= 0) {
            board->next_waiting[i] = board->first_waiting[after];
            board->first_waiting[after] = i;
        }
    }
    for (int64_t i = 0; i < farm->num_jobs; i++)
        if (farm->jobs[i].after < 0)
            make_ready(board, i);
    return 0;
}

int farm_board_init(struct farm_board *board, const struct vidur_farm *farm,
                    struct vidur_error *err)
{
    const size_t count = (size_t)farm->num_jobs + 1;
    *board = (struct farm_board){.farm = farm, .alone = -1};
    if (farm->ops->state_bytes > VIDUR_FARM_MAX_STATE_BYTES ||
        farm->ops->result_bytes > VIDUR_FARM_MAX_RESULT_BYTES)
        return vidur_fail(err, VIDUR_EINVAL, "a farm's state or result is too large");
    board->ready.jobs = calloc(count, sizeof(int64_t));
    board->suspects.jobs = calloc(count, sizeof(int64_t));
    board->first_waiting = calloc(count, sizeof(int64_t));
    board->next_waiting = calloc(count, sizeof(int64_t));
    if (!board->ready.jobs || !board->suspects.jobs || !board->first_waiting ||
        !board->next_waiting) {
        farm_board_fini(board);
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %lld jobs",
                          (long long)farm->num_jobs);
    }
    if (link_jobs(board, err) != 0) {
        farm_board_fini(board);
        return -1;
    }
    return 0;
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
