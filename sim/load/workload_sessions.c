#include "load/workload_state.h"

#include <stdlib.h>

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

int workload_plan_sessions(struct vidur_workload *workload, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    const bool recorded = config->sessions.file[0] != 0;
    struct vidur_session_rows rows = {0};
    state->arrivals = vidur_arrivals_find(config->arrivals.type);
    vidur_rng_init(&state->draws.own, config->seed, vidur_rng_stream("arrivals", 0));
    if (recorded &&
        vidur_session_rows_read(&rows, config->sessions.file, config->seed, err))
        return -1;
    const int status = draw_sessions(workload, recorded ? &rows : NULL, err);
    vidur_session_rows_free(&rows);
    if (state->arrivals->has_rate)
        state->scaling = SCALE_GAPS;
    if (state->arrivals->is_closed)
        workload->concurrency = config->arrivals.concurrency;
    if (status == 0 && workload->num_requests > 0)
        workload->sessions =
            vidur_session_table_view(&state->sessions, config, workload->num_requests);
    return status;
}
