#ifndef VIDUR_SIM_BATCH_CSV_H
#define VIDUR_SIM_BATCH_CSV_H

#include <vidur/error.h>
#include <vidur/simulator.h>

/*
 * batch_metrics.csv: a row per batch and stage, in the order in which stages end them,
 * written as they come. Times in seconds. Errors are told by commit.
 *
 * X(name, kind, value): kind INT or REAL (NaN: empty cell); `value` is an expression
 * over `const struct vidur_batch_record *b`.
 */
#define VIDUR_BATCH_COLUMNS(X)                                                         \
    X(batch_id, INT, b->batch_id)                                                      \
    X(replica_id, INT, b->seat)                                                        \
    X(stage_id, INT, b->stage)                                                         \
    X(scheduled_at, REAL, b->scheduled_at_s)                                           \
    X(start, REAL, b->started_at_s)                                                    \
    X(execution_time, REAL, b->execution_time_s)                                       \
    X(batch_size, INT, b->size)                                                        \
    X(batch_num_tokens, INT, b->num_tokens)                                            \
    X(batch_num_prefill_tokens, INT, b->num_prefill_tokens)                            \
    X(batch_num_decode_tokens, INT, b->num_decode_tokens)                              \
    X(batch_execution_time, REAL,                                                      \
      b->last_stage ? b->ended_at_s - b->scheduled_at_s : NAN)                         \
    X(waiting_requests, INT, b->num_waiting)                                           \
    X(allocated_blocks, INT, b->allocated_blocks)                                      \
    X(flops, REAL, b->flops)

struct vidur_csv_writer;

/* Opens the file and writes the header; NULL on error. End with
 * vidur_csv_writer_commit or _discard. */
struct vidur_csv_writer *vidur_batch_csv_open(const char *path,
                                              struct vidur_error *err);
/* As an observer's batch function. */
int vidur_batch_csv_put(void *writer, const struct vidur_batch_record *batch);

#endif
