#include "load/workload_state.h"

#include <math.h>
#include <string.h>

/* Workloads that replay a log, and the scaling of recorded arrivals. */

void workload_record(struct vidur_workload *workload)
{
    struct vidur_workload_state *state = workload->state;
    const int64_t last = workload->num_requests - 1;
    if (last < 1 || !(state->arrived_at_s[last] > state->arrived_at_s[0]))
        return;
    for (int64_t i = 0; i <= last; i++)
        state->gaps[i] = state->arrived_at_s[i] - state->arrived_at_s[0];
    state->scaling = SCALE_RECORDED;
}

double workload_recorded_qps(const struct vidur_workload *workload, int64_t count)
{
    const double *times_s = workload->state->gaps;
    if (workload->state->config.type == VIDUR_WORKLOAD_SHARED_PREFIX)
        return 1;
    if (count < 2 || !(times_s[count - 1] > 0))
        count = workload->num_requests;
    const struct vidur_sessions *sessions = &workload->sessions;
    if (sessions->count > 0) /* as many requests as sessions have on average */
        return sessions->session[count - 1] * sessions->requests_per_session /
               times_s[count - 1];
    return (double)(count - 1) / times_s[count - 1];
}

static int replay_row(struct vidur_workload *workload, const struct vidur_trace *trace,
                      int64_t row, int64_t request, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    const double factors[2] = {config->prefill_scale_factor,
                               config->decode_scale_factor};
    int64_t tokens[2];
    if (vidur_trace_scale_tokens(trace, row, factors, tokens, err))
        return -1;
    for (int i = 0; i < 2; i++)
        if (tokens[i] < 1)
            tokens[i] = 1;
    state->is_cut[request] = tokens[0] + tokens[1] > config->max_tokens;
    if (state->is_cut[request]) /* the prompt gives way */
        tokens[0] = config->max_tokens - tokens[1];
    if (tokens[0] < 1)
        return vidur_trace_row_fail(trace, row, trace->output_column, err,
                                    "%lld tokens leave no room for a prompt; "
                                    "workload.max_tokens is %d",
                                    (long long)tokens[1], config->max_tokens);
    state->arrived_at_s[request] =
        (trace->time_s[row] - workload->start_s) * config->time_scale_factor;
    state->prefill[request] = (int32_t)tokens[0];
    state->decode[request] = (int32_t)tokens[1];
    if (state->levels.count > 0)
        state->class_of[request] =
            vidur_priority_class(&state->levels, trace->priority[row]);
    return 0;
}

/* What the prompts of the rows from `first` on share, where the log says it. */
static int replay_blocks(struct vidur_workload *workload,
                         const struct vidur_trace *trace, int64_t first,
                         struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const int64_t count = workload->num_requests;
    if (!trace->blocks || count == 0)
        return 0;
    const int64_t *first_block = trace->first_block + first;
    if (first_block[count] == first_block[0])
        return 0;
    if (vidur_prompt_tree_build(&state->tree, first_block, trace->blocks, count, err))
        return -1;
    const double scaled = trace->block_tokens * state->config.prefill_scale_factor;
    workload->prompts =
        vidur_prompt_tree_view(&state->tree, (int32_t)fmax(1, round(scaled)));
    return 0;
}

static int replay_rows(struct vidur_workload *workload, const struct vidur_trace *trace,
                       struct vidur_error *err)
{
    const struct vidur_workload_config *config = &workload->state->config;
    int64_t first, end;
    if (vidur_trace_window_of(trace, &config->window, &first, &end, err))
        return -1;
    const int64_t count = config->num_requests > 0 ? config->num_requests : end - first;
    if (count > end - first)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.num_requests: %lld; %s has %lld rows",
                          (long long)count, config->file, (long long)(end - first));
    struct vidur_priority_levels *levels = &workload->state->levels;
    if (vidur_priority_levels_of(trace, first, first + count, levels, err))
        return -1;
    vidur_priority_levels_apply(levels, workload);
    if (workload_reserve(workload, count, err))
        return -1;
    workload->start_s = config->corrected ? trace->time_s[first] : 0;
    workload->num_failed = trace->num_failed;
    workload->num_unsorted = trace->num_unsorted;
    workload->characters_per_token = trace->characters_per_token;
    for (int64_t i = 0; i < count; i++) {
        if (replay_row(workload, trace, first + i, i, err))
            return -1;
        if (config->duration_s > 0 && workload->arrived_at_s[i] >= config->duration_s)
            break;
        workload->num_requests = i + 1;
    }
    workload_record(workload);
    return replay_blocks(workload, trace, first, err);
}

int workload_replay(struct vidur_workload *workload, struct vidur_error *err)
{
    const struct vidur_workload_config *config = &workload->state->config;
    struct vidur_trace trace;
    int status = vidur_trace_open(&trace, config->file, &config->trace,
                                  VIDUR_TRACE_LENGTHS | VIDUR_TRACE_TIMES |
                                      VIDUR_TRACE_BLOCKS | VIDUR_TRACE_PRIORITIES,
                                  err);
    if (status)
        vidur_trace_fail("workload.file", err);
    else
        status = replay_rows(workload, &trace, err);
    vidur_trace_close(&trace);
    return status;
}
