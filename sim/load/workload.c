#include <vidur/workload.h>

#include "base/yaml.h"
#include "load/arrivals.h"
#include "load/lengths.h"
#include "load/mix.h"
#include "load/sessions.h"
#include "load/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vidur_workload_state {
    struct vidur_workload_config config;          /* as created, qps as offered now */
    const struct vidur_arrivals_policy *arrivals; /* NULL: replay */
    struct vidur_mt19937 reference;
    struct vidur_lengths lengths; /* open while drawing */
    struct vidur_mix *mix;        /* likewise, instead; NULL: none */
    struct vidur_draws draws;     /* of the gaps */
    int64_t capacity;
    double *gaps; /* as drawn, before the rate scales them */
    double *arrived_at_s;
    int32_t *prefill;
    int32_t *decode;
    bool *is_cut;
    uint8_t *class_of; /* of a mix */
    int32_t *prompt;   /* shared_prefix: of each request */
    struct vidur_session_table sessions;
};

/* A workload and its state in one piece. */
struct whole {
    struct vidur_workload workload;
    struct vidur_workload_state state;
};

/* ---- Arrays ---- */

static int resize(void **array, int64_t count, size_t size, struct vidur_error *err)
{
    void *more = realloc(*array, (size_t)count * size);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM,
                          "workload: out of memory for %lld requests",
                          (long long)count);
    *array = more;
    return 0;
}

static int reserve(struct vidur_workload *workload, int64_t count,
                   struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    if (count <= state->capacity)
        return 0;
    if (resize((void **)&state->gaps, count, sizeof *state->gaps, err) ||
        resize((void **)&state->arrived_at_s, count, sizeof *state->arrived_at_s,
               err) ||
        resize((void **)&state->prefill, count, sizeof *state->prefill, err) ||
        resize((void **)&state->decode, count, sizeof *state->decode, err) ||
        resize((void **)&state->is_cut, count, sizeof *state->is_cut, err) ||
        (workload->num_classes > 0 &&
         resize((void **)&state->class_of, count, sizeof *state->class_of, err)))
        return -1;
    state->capacity = count;
    workload->arrived_at_s = state->arrived_at_s;
    workload->num_prefill_tokens = state->prefill;
    workload->num_decode_tokens = state->decode;
    workload->is_cut = state->is_cut;
    workload->class_of = state->class_of;
    return 0;
}

void vidur_workload_destroy(struct vidur_workload *workload)
{
    if (!workload)
        return;
    struct vidur_workload_state *state = workload->state;
    free(state->gaps);
    free(state->arrived_at_s);
    free(state->prefill);
    free(state->decode);
    free(state->is_cut);
    free(state->class_of);
    free(state->prompt);
    vidur_session_table_free(&state->sessions);
    free(workload); /* the whole */
}

static struct vidur_workload *allocate(const struct vidur_workload_config *config,
                                       struct vidur_error *err)
{
    struct whole *whole = calloc(1, sizeof *whole);
    if (!whole) {
        vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory");
        return NULL;
    }
    struct vidur_workload *workload = &whole->workload;
    workload->state = &whole->state;
    workload->max_tokens = config->max_tokens;
    workload->seed = config->seed;
    whole->state.config = *config;
    workload->num_classes =
        config->type == VIDUR_WORKLOAD_MIX ? config->num_classes : 0;
    for (int i = 0; i < workload->num_classes; i++) {
        struct vidur_traffic_class *class = &workload->classes[i];
        memcpy(class->name, config->classes[i].name, sizeof class->name);
        class->priority = config->classes[i].priority;
    }
    if (config->seeds == VIDUR_SEEDS_REFERENCE) {
        vidur_mt19937_seed(&whole->state.reference, config->seed);
        workload->reference_rng = &whole->state.reference;
    }
    return workload;
}

/* ---- Synthetic: a gap, then its request's lengths, one by one ---- */

static double gap_of(const struct vidur_workload_state *state, double drawn)
{
    const struct vidur_arrivals_policy *arrivals = state->arrivals;
    return arrivals->gap ? arrivals->gap(&state->config.arrivals, drawn) : drawn;
}

static int draw_lengths(struct vidur_workload *workload, int64_t request,
                        struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    struct vidur_tokens tokens;
    if (state->mix ? vidur_mix_draw(state->mix, &state->class_of[request], &tokens, err)
                   : vidur_lengths_draw(&state->lengths, &tokens, err))
        return -1;
    state->prefill[request] = tokens.prefill;
    state->decode[request] = tokens.decode;
    state->is_cut[request] = tokens.is_cut;
    return 0;
}

/* `available`: gaps that a file gave, which are then in state->gaps already. */
static int draw_requests(struct vidur_workload *workload, int64_t available,
                         struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    double now_s = 0;
    for (int64_t i = 0;; i++) {
        if (i == config->num_requests && config->num_requests > 0)
            break;
        if (available >= 0 && i == available)
            break;
        if (i == state->capacity && reserve(workload, 2 * i + 64, err))
            return -1;
        if (available < 0)
            state->gaps[i] =
                state->arrivals->draw
                    ? state->arrivals->draw(&config->arrivals, &state->draws)
                    : 0;
        now_s += gap_of(state, state->gaps[i]);
        state->arrived_at_s[i] = now_s;
        if (draw_lengths(workload, i, err))
            return -1;
        if (config->duration_s > 0 && now_s >= config->duration_s)
            break; /* drawn, so that later draws follow it, and dropped */
        workload->num_requests = i + 1;
    }
    return 0;
}

/* Gaps from a file, into the arrays. */
static int load_gaps(struct vidur_workload *workload, int64_t *available,
                     struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_workload_config *config = &state->config;
    double *gaps = NULL;
    *available = -1;
    if (!state->arrivals->load)
        return 0;
    if (state->arrivals->load(&config->arrivals, &gaps, available, err))
        return -1;
    int status = 0;
    if (config->num_requests > *available)
        status =
            vidur_fail(err, VIDUR_EINVAL,
                       "workload.num_requests: %lld; %s has gaps for %lld requests",
                       (long long)config->num_requests, config->arrivals.file,
                       (long long)*available);
    else
        status = reserve(workload, *available, err);
    if (status == 0)
        memcpy(state->gaps, gaps, (size_t)*available * sizeof *gaps);
    free(gaps);
    return status;
}

static int open_lengths(struct vidur_workload_state *state, struct vidur_error *err)
{
    if (state->config.type != VIDUR_WORKLOAD_MIX)
        return vidur_lengths_open(&state->lengths, &state->config,
                                  state->draws.reference, err);
    state->mix = vidur_mix_open(&state->config, err);
    return state->mix ? 0 : -1;
}

static void close_lengths(struct vidur_workload_state *state)
{
    vidur_lengths_close(&state->lengths);
    vidur_mix_close(state->mix);
    state->mix = NULL;
}

/* Or a mix. */
static int create_synthetic(struct vidur_workload *workload, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    struct vidur_workload_config *config = &state->config;
    bool reference = config->seeds == VIDUR_SEEDS_REFERENCE;
    int64_t available;
    state->arrivals = vidur_arrivals_find(config->arrivals.type);
    state->draws.reference = reference ? &state->reference : NULL;
    vidur_rng_init(&state->draws.own, config->seed, vidur_rng_stream("arrivals", 0));
    int status = open_lengths(state, err);
    if (status == 0)
        status = load_gaps(workload, &available, err);
    if (status == 0 && config->num_requests > 0)
        status = reserve(workload, config->num_requests, err);
    if (status == 0)
        status = draw_requests(workload, available, err);
    if (state->arrivals->is_closed)
        workload->concurrency = config->arrivals.concurrency;
    close_lengths(state);
    return status;
}

/* ---- Replay ---- */

static int replay_row(struct vidur_workload *workload, const struct vidur_trace *trace,
                      int64_t row, struct vidur_error *err)
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
    state->is_cut[row] = tokens[0] + tokens[1] > config->max_tokens;
    if (state->is_cut[row]) /* the prompt gives way */
        tokens[0] = config->max_tokens - tokens[1];
    if (tokens[0] < 1)
        return vidur_csv_fail(trace->csv, row, 1, err,
                              "%lld tokens leave no room for a prompt; "
                              "workload.max_tokens is %d",
                              (long long)tokens[1], config->max_tokens);
    state->arrived_at_s[row] =
        (trace->time_s[row] - workload->start_s) * config->time_scale_factor;
    state->prefill[row] = (int32_t)tokens[0];
    state->decode[row] = (int32_t)tokens[1];
    return 0;
}

static int replay_rows(struct vidur_workload *workload, const struct vidur_trace *trace,
                       struct vidur_error *err)
{
    const struct vidur_workload_config *config = &workload->state->config;
    int64_t count = config->num_requests > 0 ? config->num_requests : trace->num_rows;
    if (count > trace->num_rows)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.num_requests: %lld; %s has %lld rows",
                          (long long)count, config->file, (long long)trace->num_rows);
    if (reserve(workload, count, err))
        return -1;
    workload->start_s = config->corrected ? trace->time_s[0] : 0;
    for (int64_t i = 0; i < count; i++) {
        if (replay_row(workload, trace, i, err))
            return -1;
        if (config->duration_s > 0 && workload->arrived_at_s[i] >= config->duration_s)
            break;
        workload->num_requests = i + 1;
    }
    return 0;
}

static int create_replay(struct vidur_workload *workload, struct vidur_error *err)
{
    const struct vidur_workload_config *config = &workload->state->config;
    struct vidur_trace trace;
    int status = vidur_trace_open(&trace, config->file, "arrived_at",
                                  VIDUR_TRACE_LENGTHS | VIDUR_TRACE_TIMES, err);
    if (status)
        vidur_trace_fail("workload.file", err);
    else
        status = replay_rows(workload, &trace, err);
    vidur_trace_close(&trace);
    return status;
}

/* ---- Shared prefixes ---- */

static int create_shared_prefix(struct vidur_workload *workload,
                                struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_shared_prefix_config *config = &state->config.shared_prefix;
    vidur_shared_prefix_stages(config, &workload->stages);
    const int64_t count = workload->stages.first_request[workload->stages.count];
    if (reserve(workload, count, err) ||
        resize((void **)&state->prompt, count, sizeof *state->prompt, err))
        return -1;
    const struct vidur_shared_prefix_requests requests = {
        .arrived_at_s = state->arrived_at_s,
        .prefill_tokens = state->prefill,
        .decode_tokens = state->decode,
        .prompt = state->prompt};
    workload->num_requests = count;
    workload->prompts = (struct vidur_prompts){
        .prompt = state->prompt,
        .num_prompts = config->num_groups * config->num_prompts_per_group,
        .num_prompts_per_group = config->num_prompts_per_group,
        .system_prompt_tokens = config->system_prompt_tokens};
    if (vidur_shared_prefix_draw(config, INT32_MAX, state->config.seed, &requests, err))
        return -1;
    const int32_t longest = state->config.max_tokens - config->output_tokens;
    for (int64_t i = 0; i < count; i++) {
        state->is_cut[i] = state->prefill[i] > longest;
        if (state->is_cut[i])
            state->prefill[i] = longest;
    }
    return 0;
}

/* ---- Sessions ---- */

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
        reserve(workload, 2 * (first + count) + 64, err))
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
            status = reserve(workload, 2 * (int64_t)i + 64, err);
        if (status)
            break;
        state->gaps[i] = state->arrivals->draw
                             ? state->arrivals->draw(&config->arrivals, &state->draws)
                             : 0;
        now_s += gap_of(state, state->gaps[i]);
        if (config->duration_s > 0 && now_s >= config->duration_s)
            break;
        status = vidur_session_plan_draw(&plan, config, rows, i, err);
        if (status == 0)
            status = add_session(workload, &plan, now_s, err);
    }
    free(plan.requests);
    return status;
}

static int create_sessions(struct vidur_workload *workload, struct vidur_error *err)
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
    if (state->arrivals->is_closed)
        workload->concurrency = config->arrivals.concurrency;
    if (status == 0 && workload->num_requests > 0)
        workload->sessions =
            vidur_session_table_view(&state->sessions, config, workload->num_requests);
    return status;
}

/* ---- Requests that are cut ---- */

/* More than this share of the requests is not cut unasked. */
static const double tolerable_share = 0.01;

static double cut_share(const struct vidur_workload *workload)
{
    return (double)workload->num_cut / (double)workload->num_requests;
}

void vidur_workload_describe_cut(const struct vidur_workload *workload, char *out,
                                 size_t size)
{
    out[0] = 0;
    if (workload->num_cut > 0)
        snprintf(out, size, "%lld of %lld requests (%.3g %%) are longer than %d tokens",
                 (long long)workload->num_cut, (long long)workload->num_requests,
                 100 * cut_share(workload), workload->max_tokens);
}

static int check_cut(struct vidur_workload *workload, struct vidur_error *err)
{
    const struct vidur_workload_config *config = &workload->state->config;
    char text[128];
    workload->num_cut = vidur_workload_num_cut(workload, workload->num_requests);
    if (!config->corrected || config->cut_long_requests ||
        cut_share(workload) <= tolerable_share)
        return 0;
    vidur_workload_describe_cut(workload, text, sizeof text);
    return vidur_fail(err, VIDUR_EINVAL,
                      "workload.max_tokens: %s; raise it, or cut them with "
                      "cut_long_requests: true",
                      text);
}

/* ---- The workload ---- */

int vidur_workload_create(struct vidur_workload **out,
                          const struct vidur_workload_config *config,
                          struct vidur_error *err)
{
    if (vidur_workload_config_check(config, err))
        return -1;
    struct vidur_workload *workload = allocate(config, err);
    if (!workload)
        return -1;
    int status =
        config->type == VIDUR_WORKLOAD_TRACE_REPLAY ? create_replay(workload, err)
        : config->type == VIDUR_WORKLOAD_SHARED_PREFIX
            ? create_shared_prefix(workload, err)
        : config->type == VIDUR_WORKLOAD_SESSIONS ? create_sessions(workload, err)
                                                  : create_synthetic(workload, err);
    if (status == 0 && workload->num_requests == 0)
        status = vidur_fail(err, VIDUR_EINVAL,
                            "workload.duration_s: no request arrives before %g s",
                            config->duration_s);
    if (status == 0)
        status = check_cut(workload, err);
    if (status) {
        vidur_workload_destroy(workload);
        return -1;
    }
    *out = workload;
    return 0;
}

int vidur_workload_clone(struct vidur_workload **out,
                         const struct vidur_workload *workload, struct vidur_error *err)
{
    const struct vidur_workload_state *from = workload->state;
    struct vidur_workload *copy = allocate(&from->config, err);
    if (!copy)
        return -1;
    struct vidur_workload_state *to = copy->state;
    size_t n = (size_t)workload->num_requests;
    if (reserve(copy, workload->num_requests, err)) {
        vidur_workload_destroy(copy);
        return -1;
    }
    to->arrivals = from->arrivals;
    to->reference = from->reference;
    copy->num_requests = workload->num_requests;
    copy->num_cut = workload->num_cut;
    copy->concurrency = workload->concurrency;
    copy->start_s = workload->start_s;
    if (from->arrivals) /* others have no gaps */
        memcpy(to->gaps, from->gaps, n * sizeof *to->gaps);
    memcpy(to->arrived_at_s, from->arrived_at_s, n * sizeof *to->arrived_at_s);
    memcpy(to->prefill, from->prefill, n * sizeof *to->prefill);
    memcpy(to->decode, from->decode, n * sizeof *to->decode);
    memcpy(to->is_cut, from->is_cut, n * sizeof *to->is_cut);
    if (from->class_of)
        memcpy(to->class_of, from->class_of, n * sizeof *to->class_of);
    copy->stages = workload->stages;
    if (vidur_session_table_copy(&to->sessions, &from->sessions, err)) {
        vidur_workload_destroy(copy);
        return -1;
    }
    copy->sessions =
        vidur_session_table_view(&to->sessions, &to->config, copy->num_requests);
    if (from->prompt) {
        if (resize((void **)&to->prompt, workload->num_requests, sizeof *to->prompt,
                   err)) {
            vidur_workload_destroy(copy);
            return -1;
        }
        memcpy(to->prompt, from->prompt, n * sizeof *to->prompt);
        copy->prompts = workload->prompts;
        copy->prompts.prompt = to->prompt;
    }
    *out = copy;
    return 0;
}

bool vidur_workload_has_rate(const struct vidur_workload *workload)
{
    const struct vidur_arrivals_policy *arrivals = workload->state->arrivals;
    return arrivals && arrivals->has_rate;
}

int vidur_workload_offer(struct vidur_workload *workload, int64_t num_requests,
                         double qps, struct vidur_workload *out,
                         struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    if (!vidur_workload_has_rate(workload))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.arrivals: these have no rate to set; use poisson or "
            "gamma");
    if (state->config.duration_s > 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.duration_s: the number of requests would depend on "
                          "the rate; use num_requests");
    if (!(qps > 0) || isinf(qps))
        return vidur_fail(err, VIDUR_EINVAL, "qps %g; must be above 0", qps);
    if (num_requests < 1 || num_requests > workload->num_requests)
        return vidur_fail(err, VIDUR_EINVAL, "%lld requests of a workload of %lld",
                          (long long)num_requests, (long long)workload->num_requests);
    const struct vidur_sessions *sessions = &workload->sessions;
    const bool by_session = sessions->count > 0;
    state->config.arrivals.qps =
        by_session ? qps / sessions->requests_per_session : qps;
    double now_s = 0;
    for (int64_t i = 0, gap = 0; i < num_requests; i++) {
        if (!by_session || i == 0 || sessions->session[i] != sessions->session[i - 1])
            now_s += gap_of(state, state->gaps[gap++]);
        state->arrived_at_s[i] = now_s;
    }
    *out = *workload;
    out->num_requests = num_requests;
    out->sessions =
        vidur_session_table_view(&state->sessions, &state->config, num_requests);
    return 0;
}

int vidur_workload_set_qps(struct vidur_workload *workload, double qps,
                           struct vidur_error *err)
{
    struct vidur_workload all;
    return vidur_workload_offer(workload, workload->num_requests, qps, &all, err);
}

int vidur_workload_offer_clients(const struct vidur_workload *workload,
                                 int64_t num_requests, int64_t concurrency,
                                 struct vidur_workload *out, struct vidur_error *err)
{
    if (workload->concurrency == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals: these have no clients; use closed_loop");
    if (concurrency < 1)
        return vidur_fail(err, VIDUR_EINVAL, "%lld clients; 1 or more",
                          (long long)concurrency);
    if (num_requests < 1 || num_requests > workload->num_requests)
        return vidur_fail(err, VIDUR_EINVAL, "%lld requests of a workload of %lld",
                          (long long)num_requests, (long long)workload->num_requests);
    *out = *workload;
    out->num_requests = num_requests;
    out->concurrency = concurrency;
    out->sessions = vidur_session_table_view(&workload->state->sessions,
                                             &workload->state->config, num_requests);
    return 0;
}
