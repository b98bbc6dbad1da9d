#include "base/yaml.h"
#include "load/mix.h"
#include "load/workload_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A workload and its state in one piece. */
struct whole {
    struct vidur_workload workload;
    struct vidur_workload_state state;
};

/* ---- Arrays ---- */

int workload_resize(void **array, int64_t count, size_t size, struct vidur_error *err)
{
    void *more = realloc(*array, (size_t)(count > 0 ? count : 1) * size);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM,
                          "workload: out of memory for %lld requests",
                          (long long)count);
    *array = more;
    return 0;
}

int workload_reserve(struct vidur_workload *workload, int64_t count,
                     struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    if (count <= state->capacity)
        return 0;
    if (workload_resize((void **)&state->gaps, count, sizeof *state->gaps, err) ||
        workload_resize((void **)&state->arrived_at_s, count,
                        sizeof *state->arrived_at_s, err) ||
        workload_resize((void **)&state->prefill, count, sizeof *state->prefill, err) ||
        workload_resize((void **)&state->decode, count, sizeof *state->decode, err) ||
        workload_resize((void **)&state->is_cut, count, sizeof *state->is_cut, err) ||
        (workload->num_classes > 0 && workload_resize((void **)&state->class_of, count,
                                                      sizeof *state->class_of, err)))
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
    vidur_prompt_tree_free(&state->tree);
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

double workload_gap_s(const struct vidur_workload_state *state, double drawn)
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
    if (state->levels.count > 0)
        state->class_of[request] =
            vidur_priority_class(&state->levels, tokens.priority);
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
        if (i == state->capacity && workload_reserve(workload, 2 * i + 64, err))
            return -1;
        if (available < 0)
            state->gaps[i] =
                state->arrivals->draw
                    ? state->arrivals->draw(&config->arrivals, &state->draws)
                    : 0;
        now_s += workload_gap_s(state, state->gaps[i]);
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
    struct vidur_loaded_gaps loaded = {0};
    *available = -1;
    if (!state->arrivals->load)
        return 0;
    if (state->arrivals->load(&config->arrivals, &loaded, err))
        return -1;
    *available = loaded.count;
    workload->num_failed += loaded.num_failed;
    workload->num_unsorted += loaded.num_unsorted;
    int status = 0;
    if (config->num_requests > *available)
        status =
            vidur_fail(err, VIDUR_EINVAL,
                       "workload.num_requests: %lld; %s has gaps for %lld requests",
                       (long long)config->num_requests, config->arrivals.file,
                       (long long)*available);
    else
        status = workload_reserve(workload, *available, err);
    if (status == 0)
        memcpy(state->gaps, loaded.gaps, (size_t)*available * sizeof *loaded.gaps);
    free(loaded.gaps);
    return status;
}

static int open_lengths(struct vidur_workload *workload, struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    if (state->config.type == VIDUR_WORKLOAD_MIX) {
        state->mix = vidur_mix_open(&state->config, err);
        return state->mix ? 0 : -1;
    }
    const struct vidur_trace *trace = &state->lengths.trace;
    if (vidur_lengths_open(&state->lengths, &state->config, state->draws.reference,
                           err) ||
        vidur_priority_levels_of(trace, 0, trace->num_rows, &state->levels, err))
        return -1;
    vidur_priority_levels_apply(&state->levels, workload);
    return 0;
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
    int status = open_lengths(workload, err);
    workload->num_failed = state->lengths.trace.num_failed;
    workload->characters_per_token = state->lengths.trace.characters_per_token;
    if (status == 0)
        status = load_gaps(workload, &available, err);
    if (status == 0 && config->num_requests > 0)
        status = workload_reserve(workload, config->num_requests, err);
    if (status == 0)
        status = draw_requests(workload, available, err);
    if (state->arrivals->has_rate)
        state->scaling = SCALE_GAPS;
    if (status == 0 && state->arrivals->load)
        workload_record(workload);
    if (state->arrivals->is_closed)
        workload->concurrency = config->arrivals.concurrency;
    close_lengths(state);
    return status;
}

/* ---- Shared prefixes ---- */

static int create_shared_prefix(struct vidur_workload *workload,
                                struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    struct vidur_shared_prefix_config *config = &state->config.shared_prefix;
    const bool scaled = config->num_stages == 0;
    if (scaled)
        vidur_shared_prefix_unscaled(config, state->config.num_requests);
    vidur_shared_prefix_stages(config, &workload->stages);
    const int64_t count = workload->stages.first_request[workload->stages.count];
    if (workload_reserve(workload, count, err) ||
        workload_resize((void **)&state->prompt, count, sizeof *state->prompt, err))
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
    if (scaled) {
        workload->stages = (struct vidur_load_stages){0};
        state->scaling = SCALE_RECORDED;
        memcpy(state->gaps, state->arrived_at_s, (size_t)count * sizeof *state->gaps);
    }
    return 0;
}

/* ---- Requests that are cut ---- */

/* More than this share of the requests is not cut unasked. */
static const double tolerable_share = 0.01;

int64_t vidur_workload_num_cut(const struct vidur_workload *workload, int64_t count)
{
    int64_t cut = 0;
    if (count > workload->num_requests)
        count = workload->num_requests;
    for (int64_t i = 0; workload->is_cut && i < count; i++)
        cut += workload->is_cut[i];
    return cut;
}

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
    int status = config->type == VIDUR_WORKLOAD_TRACE_REPLAY
                     ? workload_replay(workload, err)
                 : config->type == VIDUR_WORKLOAD_SHARED_PREFIX
                     ? create_shared_prefix(workload, err)
                 : config->type == VIDUR_WORKLOAD_SESSIONS
                     ? workload_plan_sessions(workload, err)
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

bool vidur_workload_has_rate(const struct vidur_workload *workload)
{
    return workload->state->scaling != UNSCALED;
}

/* Of sessions there is one gap each, before the first request. */
static void scale_gaps(struct vidur_workload *workload, int64_t num_requests,
                       double qps)
{
    struct vidur_workload_state *state = workload->state;
    const struct vidur_sessions *sessions = &workload->sessions;
    const bool by_session = sessions->count > 0;
    double now_s = 0;
    state->config.arrivals.qps =
        by_session ? qps / sessions->requests_per_session : qps;
    for (int64_t i = 0, gap = 0; i < num_requests; i++) {
        if (!by_session || i == 0 || sessions->session[i] != sessions->session[i - 1])
            now_s += workload_gap_s(state, state->gaps[gap++]);
        state->arrived_at_s[i] = now_s;
    }
}

static void scale_recorded(struct vidur_workload *workload, int64_t num_requests,
                           double qps)
{
    struct vidur_workload_state *state = workload->state;
    const double scale = workload_recorded_qps(workload, num_requests) / qps;
    state->config.arrivals.qps = qps;
    for (int64_t i = 0; i < num_requests; i++)
        state->arrived_at_s[i] = state->gaps[i] * scale;
}

int vidur_workload_offer(struct vidur_workload *workload, int64_t num_requests,
                         double qps, struct vidur_workload *out,
                         struct vidur_error *err)
{
    struct vidur_workload_state *state = workload->state;
    if (!vidur_workload_has_rate(workload))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.arrivals: these have no rate to set; use poisson, gamma or "
            "recorded ones");
    if (state->config.duration_s > 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.duration_s: the number of requests would depend on "
                          "the rate; use num_requests");
    if (!(qps > 0) || isinf(qps))
        return vidur_fail(err, VIDUR_EINVAL, "qps %g; must be above 0", qps);
    if (num_requests < 1 || num_requests > workload->num_requests)
        return vidur_fail(err, VIDUR_EINVAL, "%lld requests of a workload of %lld",
                          (long long)num_requests, (long long)workload->num_requests);
    if (state->scaling == SCALE_GAPS)
        scale_gaps(workload, num_requests, qps);
    else
        scale_recorded(workload, num_requests, qps);
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
