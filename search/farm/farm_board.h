#ifndef VIDUR_SEARCH_FARM_BOARD_H
#define VIDUR_SEARCH_FARM_BOARD_H

#include "farm/farm.h"

/*
 * Which jobs are ready, waiting for another, in flight or done: rank 0's bookkeeping,
 * shared by the serial and the parallel farm. Belongs to one thread.
 */

/* Ready jobs, heaviest first, as a binary heap of indices. */
struct farm_heap {
    int64_t *jobs;
    int64_t count;
};

struct farm_board {
    const struct vidur_farm *farm;
    const struct vidur_farm_job *jobs;
    int64_t num_jobs;
    struct farm_heap ready, suspects; /* suspects: ready, and to run alone */
    int64_t *first_waiting; /* by job: the first that waits for it; -1: none */
    int64_t *next_waiting;  /* by job: the next that waits for the same one */
    int64_t done;
    int64_t alone;  /* the job in flight that runs alone; -1: none */
    bool was_alone; /* the last job taken ran alone; its steps may still be running */
};

/* Fails on jobs that wait for one that is not there or for each other. */
int farm_board_init(struct farm_board *board, const struct vidur_farm *farm,
                    struct vidur_error *err);
void farm_board_fini(struct farm_board *board);

/* Whether a job is not finished. Where all are, asks the farm for more: 1 there are
 * some, 0 there are none, -1 error. */
int farm_board_goes_on(struct farm_board *board, struct vidur_error *err);

/* Is there a job to take? `quiet`: no step of any job is running anywhere, as it must
 * be before and after a job that runs alone. */
bool farm_board_has_ready(const struct farm_board *board, bool quiet);

/*
 * Takes the heaviest ready job and starts it: 1 with its index and state (and lease()
 * called); 0 when none is ready; -1 on error. Jobs that start at the end of their path
 * are finished on the way. `quiet` as above.
 */
int farm_board_take(struct farm_board *board, bool quiet, int64_t *job, void *state,
                    struct vidur_error *err);

/* A job in flight has come to its end; those waiting for it become ready. */
int farm_board_finish(struct farm_board *board, int64_t job, const void *state,
                      const struct vidur_error *failure, struct vidur_error *err);

#endif
