#ifndef VIDUR_SIM_SESSION_LOG_H
#define VIDUR_SIM_SESSION_LOG_H

#include "load/trace.h"
#include "sessions/sessions.h"

/*
 * A log of requests as sessions. The requests of a session are its turns, in order of
 * time; those in none are sessions of one. Source: SIMULATOR.md section 2, "Sessions".
 *
 * Where pauses are the log's and it has ends, a request that arrives before the last
 * answer has ended depends on none of that turn: it is sent beside it.
 */

/* Sessions in the order of their starts, which `start_s` has where the log has times.
 * A log without what the pauses are taken from is an error: of a line where a request
 * alone lacks it. */
int vidur_session_log_take(struct vidur_session_rows *rows,
                           const struct vidur_trace *trace,
                           const struct vidur_sessions_config *config,
                           struct vidur_error *err);

/* Reads the file of `sessions:`, a file of sessions or a log, into rows; a log into
 * *trace, too, which the caller closes, also after an error. */
int vidur_session_file_read(struct vidur_session_rows *rows, struct vidur_trace *trace,
                            const struct vidur_workload_config *config,
                            struct vidur_error *err);

#endif
