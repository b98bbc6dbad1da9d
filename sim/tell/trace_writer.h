#ifndef VIDUR_SIM_TRACE_WRITER_H
#define VIDUR_SIM_TRACE_WRITER_H

#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/simulator.h>

/*
 * Traces of a run as JSON, written as it goes: memory does not grow with the run.
 *
 * chrome_trace.json follows the Trace Event Format (JSON object form) that Perfetto and
 * chrome://tracing read: a process per replica, a thread per stage, a complete event
 * ("X") per batch and stage with its requests and tokens, and counters ("C") of KV
 * blocks and waiting requests. Times in microseconds of simulated time.
 *
 * event_trace.json: {"events": [...]}, every event in the order of being handled, times
 * in seconds.
 *
 * A trace that is committed is whole JSON, however early the run ended; one that is not
 * leaves no file. Belongs to one thread.
 */
struct vidur_trace_writer;

/* NULL on error. num_blocks: KV blocks of a replica, by pool. */
struct vidur_trace_writer *vidur_chrome_trace_open(const char *path,
                                                   const struct vidur_fleet *fleet,
                                                   const int64_t *num_blocks,
                                                   struct vidur_error *err);
struct vidur_trace_writer *vidur_event_trace_open(const char *path,
                                                  struct vidur_error *err);

/* As an observer's functions; -1 once the file cannot be written. */
int vidur_chrome_trace_batch(void *writer, const struct vidur_batch_record *batch);
int vidur_event_trace_event(void *writer, const struct vidur_event_record *event);

/* Both free the writer; discard takes NULL. */
int vidur_trace_writer_commit(struct vidur_trace_writer *writer,
                              struct vidur_error *err);
void vidur_trace_writer_discard(struct vidur_trace_writer *writer);

#endif
