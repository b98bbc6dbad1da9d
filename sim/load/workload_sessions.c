#include "load/session_log.h"
#include "load/workload_state.h"

#include <stdlib.h>
#include <string.h>

/* Workloads of sessions. */

/* The next session, of which the workload's last requests may be missing. */
static int add_session(struct vidur_workload *workload,
                       const struct vidur_session_plan *plan, double start_s,
                       struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    const int64_t first = workload->num_requests;
    const int32_t session = state->sessions.num_sessions;
    int64_t count = plan->count;
    if (config->num_requests > 0 && count > config->num_requests - first)
        count = config->num_requests - first;
    if (first + count > state->capacity &&
        workload_reserve(workload, 2 * (first + count) + 64, err))
        return -1;
    for (int64_t i = 0; i < count; i++) {
        const struct vidur_session_request *request = &plan->requests[i];
        state->arrived_at_s[first + i] = start_s;
        state->prefill[first + i] = request->prefill_tokens;
        state->decode[first + i] = request->decode_tokens;
        state->is_cut[first + i] = request->is_cut;
        if (state->levels.count > 0)
            state->class_of[first + i] =
                vidur_priority_class(&state->levels, request->priority);
    }
    workload->num_requests += count;
    return vidur_session_table_add(&state->sessions, plan, count,
                                   vidur_session_group(config, session), err);
}

static int draw_sessions(struct vidur_workload *workload,
                         const struct vidur_session_rows *rows, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    struct vidur_session_plan plan = {0};
    double now_s = 0;
    int status = 0;
    for (int32_t i = 0; status == 0; i++) {
        if (config->num_requests > 0 && workload->num_requests == config->num_requests)
            break;
        if (i == state->capacity)
            status = workload_reserve(workload, 2 * (int64_t)i + 64, err);
        if (status)
            break;
        state->gaps[i] = state->arrivals->draw
                             ? state->arrivals->draw(&config->arrivals, &state->draws)
                             : 0;
        now_s += workload_gap_s(state, state->gaps[i]);
        if (config->duration_s > 0 && now_s >= config->duration_s)
            break;
        status = vidur_session_plan_draw(&plan, config, rows, i, err);
        if (status == 0)
            status = add_session(workload, &plan, now_s, err);
    }
    free(plan.requests);
    return status;
}

/* Of a log, as they started; each once. */
static int replay_sessions(struct vidur_workload *workload,
                           const struct vidur_session_rows *rows,
                           struct vidur_error *err)
{
    const struct vidur_workload_config *config = &workload->state->config;
    const struct vidur_arrivals_config *arrivals = &config->arrivals;
    struct vidur_session_plan plan = {0};
    int32_t first = 0;
    int status = 0;
    while (first < rows->num_sessions && rows->start_s[first] < arrivals->start_time_s)
        first++;
    if (first < rows->num_sessions)
        workload->start_s = rows->start_s[first];
    for (int32_t i = first; status == 0 && i < rows->num_sessions; i++) {
        const double start_s =
            (rows->start_s[i] - workload->start_s) * arrivals->time_scale_factor;
        const bool is_over =
            arrivals->end_time_s > 0 && rows->start_s[i] >= arrivals->end_time_s;
        if (is_over || (config->duration_s > 0 && start_s >= config->duration_s) ||
            (config->num_requests > 0 &&
             workload->num_requests == config->num_requests))
            break;
        status = vidur_session_plan_draw(&plan, config, rows, i, err);
        if (status == 0)
            status = add_session(workload, &plan, start_s, err);
    }
    free(plan.requests);
    if (status == 0 && workload->num_requests == 0)
        status = vidur_fail(err, VIDUR_EINVAL,
                            "workload.arrivals.start_time: no session of %s starts "
                            "from %g s up to end_time",
                            config->sessions.file, arrivals->start_time_s);
    if (status == 0 && config->num_requests > workload->num_requests)
        status = vidur_fail(err, VIDUR_EINVAL,
                            "workload.num_requests: %lld; the sessions of %s have %lld",
                            (long long)config->num_requests, config->sessions.file,
                            (long long)workload->num_requests);
    return status;
}

/* The rows of the file, and what they say of all requests. */
static int read_file(struct vidur_workload *workload, struct vidur_session_rows *rows,
                     bool starts, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    struct vidur_trace trace;
    int status = vidur_session_file_read(rows, &trace, config, err);
    if (status == 0)
        status =
            vidur_priority_levels_of(&trace, 0, trace.num_rows, &state->levels, err);
    if (status == 0 && starts && !rows->start_s)
        status = vidur_fail(err, VIDUR_EINVAL,
                            "%s: no times of arrival, at which sessions could start; "
                            "give arrivals with a rate, or users: closed_loop",
                            config->sessions.file);
    vidur_priority_levels_apply(&state->levels, workload);
    workload->num_failed = trace.num_failed;
    workload->num_unsorted = trace.num_unsorted;
    workload->characters_per_token = trace.characters_per_token;
    vidur_trace_close(&trace);
    return status;
}

int workload_plan_sessions(struct vidur_workload *workload, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    const bool recorded = config->sessions.file[0] != 0;
    struct vidur_session_rows rows = {0};
    state->arrivals = vidur_arrivals_find(config->arrivals.type);
    const bool starts = state->arrivals->load != NULL;
    vidur_rng_init(&state->draws.own, config->seed, vidur_rng_stream("arrivals", 0));
    int status = recorded ? read_file(workload, &rows, starts, err) : 0;
    if (status == 0)
        status = starts ? replay_sessions(workload, &rows, err)
                        : draw_sessions(workload, recorded ? &rows : NULL, err);
    vidur_session_rows_free(&rows);
    if (state->arrivals->has_rate)
        state->scaling = SCALE_GAPS;
    if (state->arrivals->is_closed)
        workload->concurrency = config->arrivals.concurrency;
    if (status == 0 && workload->num_requests > 0)
        workload->sessions =
            vidur_session_table_view(&state->sessions, config, workload->num_requests);
    if (status == 0 && starts)
        workload_record(workload);
    return status;
}
