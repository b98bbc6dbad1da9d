#include "farm/farm_board.h"

#include "base/progress.h"

#include <stdalign.h>

static void no_beat(void *self)
{
    (void)self;
}

static int stopped(struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_EINTR, "stopped on request");
}

static int run_job(struct farm_board *board, int64_t job, void *state,
                   struct vidur_farm_stats *stats, struct vidur_error *err)
{
    const struct vidur_farm *farm = board->farm;
    const struct vidur_farm_ops *ops = farm->ops;
    const struct vidur_farm_pulse pulse = {.beat = no_beat, .stop = farm->stop};
    alignas(max_align_t) unsigned char result[VIDUR_FARM_MAX_RESULT_BYTES] = {0};
    struct vidur_error failure = {0};
    uint64_t step;

    while (ops->next(farm->context, state, &step)) {
        if (*farm->stop)
            return stopped(err);
        const struct vidur_farm_step at = {job, step, state};
        const double begin_s = vidur_monotonic_s();
        const int rc = ops->run(farm->context, &at, &pulse, result, &failure);
        stats->busy_s += vidur_monotonic_s() - begin_s;
        stats->steps++;
        if (rc != 0 && failure.code == VIDUR_EINTR)
            return stopped(err);
        if (rc != 0)
            return farm_board_finish(board, job, state, &failure, err);
        if (ops->record(farm->context, job, state, result, err) != 0)
            return -1;
        ops->tell(farm->context, state, result);
        if (ops->commit && ops->commit(farm->context, err) != 0)
            return -1;
        if (ops->progress)
            ops->progress(farm->context, board->done, board->num_jobs);
    }
    return farm_board_finish(board, job, state, NULL, err);
}

static int run_all(struct farm_board *board, struct vidur_farm_stats *stats,
                   struct vidur_error *err)
{
    const struct vidur_farm *farm = board->farm;
    const struct vidur_farm_ops *ops = farm->ops;
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
    int64_t job;
    int rc = 0;

    while (rc == 0 && (rc = farm_board_goes_on(board, err)) > 0) {
        if (*farm->stop) {
            rc = stopped(err);
            break;
        }
        rc = farm_board_take(board, true, &job, state, err);
        if (rc <= 0)
            continue; /* all that was ready was at its end */
        rc = run_job(board, job, state, stats, err);
        if (rc == 0 && ops->commit)
            rc = ops->commit(farm->context, err);
    }
    struct vidur_error commit_error;
    if (ops->commit && ops->commit(farm->context, &commit_error) != 0 && rc == 0) {
        *err = commit_error;
        rc = -1;
    }
    return rc;
}

int vidur_farm_run_serial(const struct vidur_farm *farm, struct vidur_farm_stats *stats,
                          struct vidur_error *err)
{
    struct vidur_error own_error;
    struct vidur_farm_stats own_stats;
    struct farm_board board;
    if (!err)
        err = &own_error;
    if (!stats)
        stats = &own_stats;
    *stats = (struct vidur_farm_stats){.ranks = 1};
    const double begin_s = vidur_monotonic_s();
    if (farm_board_init(&board, farm, err) != 0)
        return -1;
    const int rc = run_all(&board, stats, err);
    farm_board_fini(&board);
    stats->elapsed_s = vidur_monotonic_s() - begin_s;
    return rc;
}
