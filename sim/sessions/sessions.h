#ifndef VIDUR_SIM_SESSIONS_H
#define VIDUR_SIM_SESSIONS_H

#include <vidur/sessions.h>
#include <vidur/workload.h>

/*
 * The room sim/sessions. Sessions as they are planned: all turns, lengths and think
 * times, from streams derived from (seed, purpose, session), so that they depend
 * neither on the load nor on how many sessions there are.
 */

/* One request of a session. */
struct vidur_session_request {
    int32_t turn;
    int32_t prefill_tokens, decode_tokens;
    double think_s;
    int32_t priority;     /* of a log's row */
    int32_t conversation; /* within the session, from 0 */
    int32_t shared_tokens;
    bool is_cut;
};

/* Sessions of a file, as rows by session: `first` has a session's first row. */
struct vidur_session_rows {
    int32_t num_sessions;
    int64_t *first; /* [num_sessions + 1] */
    int32_t *prefill_tokens, *decode_tokens;
    double *think_s;
    int32_t *order; /* sessions: shuffled, or by their starts */
    /* Of a log; NULL: there is none. */
    bool *beside;         /* [rows] sent with the row before */
    int32_t *priority;    /* [rows] */
    double *start_s;      /* [num_sessions] ascending */
    int32_t slack_tokens; /* by which a prompt's and an answer's estimates may be more
                             than that of both */
};

/* Room for the rows of `first`, which is filled, but for what a log alone has. */
int vidur_session_rows_reserve(struct vidur_session_rows *rows,
                               struct vidur_error *err);
/* Puts the sessions into the order that they are drawn in. */
void vidur_session_rows_shuffle(struct vidur_session_rows *rows, uint64_t seed);

/* The file's columns session, think_s (not read of a session's first row),
 * num_prefill_tokens (the whole prompt) and num_decode_tokens. A session's rows are its
 * turns in order and need not stand together. */
int vidur_session_rows_read(struct vidur_session_rows *rows, const char *path,
                            uint64_t seed, struct vidur_error *err);
void vidur_session_rows_free(struct vidur_session_rows *rows);

/* A growing list of requests. */
struct vidur_session_plan {
    struct vidur_session_request *requests;
    int64_t count, capacity;
    bool is_shortened; /* the context's limit ended the session */
    int32_t num_compactions;
};

/* The requests of the index-th session, in plan->requests from 0 on; `rows` is NULL
 * without a file. `cap`: on a request's tokens. */
int vidur_session_plan_draw(struct vidur_session_plan *plan,
                            const struct vidur_workload_config *workload,
                            const struct vidur_session_rows *rows, int32_t index,
                            struct vidur_error *err);

/* ---- What a workload keeps of them ---- */

/* Arrays by request and by session. */
struct vidur_session_table {
    int64_t num_requests, request_capacity;
    int32_t num_sessions, session_capacity;
    int32_t num_conversations;
    int32_t *session, *turn, *conversation, *shared_tokens, *group;
    double *think_s;
    int32_t num_shortened, num_compactions;
};

/* Adds the first `count` requests of a plan, as the next session's, one of `group`. */
int vidur_session_table_add(struct vidur_session_table *table,
                            const struct vidur_session_plan *plan, int64_t count,
                            int32_t group, struct vidur_error *err);
/* What simulators see of the first `num_requests`; shares the arrays. */
struct vidur_sessions
vidur_session_table_view(const struct vidur_session_table *table,
                         const struct vidur_workload_config *workload,
                         int64_t num_requests);
void vidur_session_table_free(struct vidur_session_table *table);

/* The group of the index-th session. */
int32_t vidur_session_group(const struct vidur_workload_config *workload,
                            int32_t index);

#endif
