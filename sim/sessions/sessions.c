#include "sessions/sessions.h"

#include "sessions/spread.h"

#include <vidur/rng.h>

#include <stdio.h>
#include <stdlib.h>

void vidur_sessions_config_defaults(struct vidur_sessions_config *config)
{
    *config = (struct vidur_sessions_config){.turns = {.mean = 1}, .num_groups = 1};
}

void vidur_sessions_describe_pauses(const struct vidur_sessions_config *config,
                                    char *out, size_t size)
{
    out[0] = 0;
    if (config->file[0] && config->think_time == VIDUR_THINK_LOGGED_GAP)
        snprintf(out, size,
                 "logged gaps between arrivals, so longer than they were by an answer");
    if (config->file[0] && config->think_time == VIDUR_THINK_ESTIMATED)
        snprintf(out, size, "logged gaps between arrivals, less answers at %g tokens/s",
                 config->answer_tokens_per_s);
    if (config->file[0] && config->think_time == VIDUR_THINK_DRAWN)
        snprintf(out, size, "drawn, not those of the file");
}

static int check_context(const struct vidur_sessions_config *config, int max_tokens,
                         struct vidur_error *err)
{
    const int most =
        config->max_context_tokens > 0 ? config->max_context_tokens : max_tokens;
    if (most > max_tokens)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.sessions.max_context_tokens: %d; at most the %d "
                          "tokens that a request may have",
                          most, max_tokens);
    if (config->system_prompt_tokens + 2 > most)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.sessions.system_prompt_tokens: %d leave no room for "
            "a prompt and an output token in a context of %d",
            config->system_prompt_tokens, most);
    return 0;
}

int vidur_sessions_check(const struct vidur_sessions_config *config, int max_tokens,
                         struct vidur_error *err)
{
    if (config->num_groups < 1 || config->system_prompt_tokens < 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.sessions.num_groups: %d groups with %d tokens of "
                          "system prompt; 1 or more, and 0 or more",
                          config->num_groups, config->system_prompt_tokens);
    if (check_context(config, max_tokens, err))
        return -1;
    if (config->think_time == VIDUR_THINK_ESTIMATED &&
        !(config->answer_tokens_per_s > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.sessions.think_time.output_tokens_per_s: %g; above "
                          "0",
                          config->answer_tokens_per_s);
    if (config->file[0])
        return config->think_time == VIDUR_THINK_DRAWN
                   ? vidur_spread_check(&config->think_s, "workload.sessions.think_s",
                                        0, err)
                   : 0;
    if (vidur_spread_check(&config->turns, "workload.sessions.turns", 1, err) ||
        vidur_spread_check(&config->user_tokens, "workload.sessions.user_tokens", 1,
                           err) ||
        vidur_spread_check(&config->output_tokens, "workload.sessions.output_tokens", 1,
                           err) ||
        vidur_spread_check(&config->think_s, "workload.sessions.think_s", 0, err) ||
        vidur_spread_check(&config->sub_agents, "workload.sessions.sub_agents", 0, err))
        return -1;
    return vidur_spread_is_given(&config->first_tokens)
               ? vidur_spread_check(&config->first_tokens,
                                    "workload.sessions.first_tokens", 1, err)
               : 0;
}

static void begin_stream(struct vidur_rng *rng, uint64_t seed, const char *purpose,
                         int32_t session)
{
    vidur_rng_init(rng, seed, vidur_rng_stream(purpose, (uint64_t)session));
}

int32_t vidur_session_group(const struct vidur_workload_config *workload, int32_t index)
{
    struct vidur_rng rng;
    begin_stream(&rng, workload->seed, "sessions.group", index);
    return (int32_t)vidur_rng_below(&rng, (uint32_t)workload->sessions.num_groups);
}

static struct vidur_session_request *append(struct vidur_session_plan *plan,
                                            struct vidur_error *err)
{
    if (plan->count == plan->capacity) {
        const int64_t capacity = 2 * plan->capacity + 64;
        void *more = realloc(plan->requests, (size_t)capacity * sizeof *plan->requests);
        if (!more) {
            vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for a session");
            return NULL;
        }
        plan->requests = more;
        plan->capacity = capacity;
    }
    return &plan->requests[plan->count++];
}

/* ---- Drawn sessions ---- */

/* A session on its way: its streams, and how far it has come. */
struct drawing {
    const struct vidur_sessions_config *config;
    struct vidur_session_plan *plan;
    struct vidur_rng tokens, think, agents;
    int32_t cap;
    int32_t context; /* tokens of the conversation so far */
    int32_t turn;
    int32_t conversation;
};

static int32_t least_of(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* A turn's sub-agents: what the conversation is so far, and a task of their own. Their
 * answers join the conversation. */
static int draw_agents(struct drawing *d, int32_t prompt, double think_s,
                       struct vidur_error *err)
{
    const int32_t count =
        vidur_spread_draw_whole(&d->config->sub_agents, &d->agents, 0);
    for (int32_t i = 0; i < count && prompt + 2 <= d->cap; i++) {
        struct vidur_session_request *request = append(d->plan, err);
        if (!request)
            return -1;
        const int32_t task =
            vidur_spread_draw_whole(&d->config->user_tokens, &d->agents, 1);
        const int32_t answer =
            vidur_spread_draw_whole(&d->config->output_tokens, &d->agents, 1);
        const int32_t output = least_of(answer, d->cap - prompt - 1);
        *request = (struct vidur_session_request){
            .turn = d->turn,
            .prefill_tokens = prompt + least_of(task, d->cap - prompt - output),
            .decode_tokens = output,
            .think_s = think_s,
            .conversation = d->conversation,
            .shared_tokens = prompt,
            .is_cut = (int64_t)prompt + task + answer > d->cap};
        d->context = least_of(d->context + output, INT32_MAX / 2);
    }
    return 0;
}

/* The conversation begins anew, behind the system prompt. */
static void compact(struct drawing *d)
{
    d->context = d->config->system_prompt_tokens;
    d->conversation++;
    d->plan->num_compactions++;
}

static int32_t draw_user(struct drawing *d, bool first)
{
    const struct vidur_sessions_config *config = d->config;
    const bool own = first && vidur_spread_is_given(&config->first_tokens);
    return vidur_spread_draw_whole(own ? &config->first_tokens : &config->user_tokens,
                                   &d->tokens, 1);
}

/* The next turn. What does not fit behind the conversation ends the session or begins
 * the conversation anew; what does not fit at all is cut. */
static int draw_turn(struct drawing *d, struct vidur_error *err)
{
    const struct vidur_sessions_config *config = d->config;
    const bool first = d->turn == 0;
    const double think_s = vidur_spread_draw(&config->think_s, &d->think);
    int32_t user = draw_user(d, first);
    int32_t output = vidur_spread_draw_whole(&config->output_tokens, &d->tokens, 1);
    bool fits = (int64_t)d->context + user + output <= d->cap;
    if (!fits && !first && !config->compacts) {
        d->plan->is_shortened = true;
        return 0;
    }
    if (!fits && !first) {
        compact(d);
        user = draw_user(d, true);
        fits = (int64_t)d->context + user + output <= d->cap;
    }
    if (!fits) {
        output = least_of(output, d->cap - d->context - 1);
        user = least_of(user, d->cap - d->context - output);
    }
    struct vidur_session_request *request = append(d->plan, err);
    if (!request)
        return -1;
    const int32_t prompt = d->context + user;
    *request = (struct vidur_session_request){.turn = d->turn,
                                              .prefill_tokens = prompt,
                                              .decode_tokens = output,
                                              .think_s = think_s,
                                              .conversation = d->conversation,
                                              .shared_tokens = INT32_MAX,
                                              .is_cut = !fits};
    d->context = prompt + output;
    if (draw_agents(d, prompt, think_s, err))
        return -1;
    d->turn++;
    return 0;
}

static int draw_session(struct vidur_session_plan *plan,
                        const struct vidur_workload_config *workload, int32_t index,
                        struct vidur_error *err)
{
    const struct vidur_sessions_config *config = &workload->sessions;
    struct vidur_rng rng;
    struct drawing d = {.config = config,
                        .plan = plan,
                        .cap = config->max_context_tokens > 0
                                   ? config->max_context_tokens
                                   : workload->max_tokens,
                        .context = config->system_prompt_tokens};
    begin_stream(&rng, workload->seed, "sessions.turns", index);
    begin_stream(&d.tokens, workload->seed, "sessions.tokens", index);
    begin_stream(&d.think, workload->seed, "sessions.think", index);
    begin_stream(&d.agents, workload->seed, "sessions.agents", index);
    const int32_t turns = vidur_spread_draw_whole(&config->turns, &rng, 1);
    while (d.turn < turns && !plan->is_shortened)
        if (draw_turn(&d, err))
            return -1;
    return 0;
}

/* ---- Recorded ones ---- */

/* A recorded session on its way. */
struct copying {
    const struct vidur_session_rows *rows;
    struct vidur_session_plan *plan;
    struct vidur_rng think;
    const struct vidur_spread *think_s; /* to draw; NULL: the rows have it */
    int32_t cap;
    int32_t turn, conversation;
    int64_t main_row, main_request; /* of the last turn; -1: there is none */
    int32_t context_before;         /* tokens said before it */
    double turn_think_s;
};

static int32_t said_by(const struct vidur_session_rows *rows, int64_t row)
{
    const int64_t sum = (int64_t)rows->prefill_tokens[row] + rows->decode_tokens[row];
    return sum < INT32_MAX / 2 ? (int32_t)sum : INT32_MAX / 2;
}

/* What a turn's prompt goes on from. One as long as the prompt and the answer before
 * has both in it; one as long as the prompt alone, that: the answer was cut, as
 * thinking is. A shorter one begins the conversation anew: the context was cut or
 * summed up, and nothing of it is shared but the system prompt. */
static void go_on(struct copying *c, int32_t prompt)
{
    struct vidur_session_plan *plan = c->plan;
    const int32_t before = c->rows->prefill_tokens[c->main_row];
    struct vidur_session_request *last = &plan->requests[c->main_request];
    if (prompt < before) {
        c->conversation++;
        plan->num_compactions++;
        c->context_before = 0;
        return;
    }
    c->context_before = said_by(c->rows, c->main_row);
    if (prompt + c->rows->slack_tokens < c->context_before) {
        last->shared_tokens = least_of(last->shared_tokens, before);
        c->context_before = before;
    }
}

/* One that was sent beside the turn's first has its prompt in it, or else what was said
 * before, or neither. */
static int32_t shared_beside(const struct copying *c, int32_t prompt)
{
    const int32_t main = c->plan->requests[c->main_request].prefill_tokens;
    return prompt >= main ? main : prompt >= c->context_before ? c->context_before : 0;
}

/* False: it passes the context, which ends the session. */
static bool takes_row(struct copying *c, int64_t row, bool compacts, bool beside)
{
    const bool fits =
        (int64_t)c->rows->prefill_tokens[row] + c->rows->decode_tokens[row] <= c->cap;
    c->plan->is_shortened = !fits && !beside && c->main_row >= 0 && !compacts;
    return !c->plan->is_shortened;
}

static int copy_row(struct copying *c, int64_t row, bool beside,
                    struct vidur_error *err)
{
    const struct vidur_session_rows *rows = c->rows;
    int32_t prompt = rows->prefill_tokens[row], output = rows->decode_tokens[row];
    const bool fits = (int64_t)prompt + output <= c->cap;
    const bool first = c->main_row < 0;
    if (!fits) {
        output = least_of(output, c->cap - 1);
        prompt = least_of(prompt, c->cap - output);
    }
    struct vidur_session_request *request = append(c->plan, err);
    if (!request)
        return -1;
    if (!beside) {
        const double drawn_s =
            c->think_s ? vidur_spread_draw(c->think_s, &c->think) : rows->think_s[row];
        c->turn_think_s = first && !c->think_s ? 0 : drawn_s;
        c->turn += !first;
        if (!first)
            go_on(c, prompt);
        c->main_row = row;
        c->main_request = c->plan->count - 1;
    }
    *request = (struct vidur_session_request){
        .turn = c->turn,
        .prefill_tokens = prompt,
        .decode_tokens = output,
        .think_s = c->turn_think_s,
        .priority = rows->priority ? rows->priority[row] : 0,
        .conversation = c->conversation,
        .shared_tokens = beside ? shared_beside(c, prompt) : INT32_MAX,
        .is_cut = !fits};
    return 0;
}

static int copy_session(struct vidur_session_plan *plan,
                        const struct vidur_workload_config *workload,
                        const struct vidur_session_rows *rows, int32_t index,
                        struct vidur_error *err)
{
    const struct vidur_sessions_config *config = &workload->sessions;
    const int32_t from = rows->order[index % rows->num_sessions];
    struct copying c = {.rows = rows,
                        .plan = plan,
                        .cap = config->max_context_tokens > 0
                                   ? config->max_context_tokens
                                   : workload->max_tokens,
                        .main_row = -1};
    if (config->think_time == VIDUR_THINK_DRAWN)
        c.think_s = &config->think_s;
    begin_stream(&c.think, workload->seed, "sessions.think", index);
    for (int64_t row = rows->first[from]; row < rows->first[from + 1]; row++) {
        const bool beside = rows->beside && rows->beside[row];
        if (!takes_row(&c, row, config->compacts, beside))
            return 0;
        if (copy_row(&c, row, beside, err))
            return -1;
    }
    return 0;
}

int vidur_session_plan_draw(struct vidur_session_plan *plan,
                            const struct vidur_workload_config *workload,
                            const struct vidur_session_rows *rows, int32_t index,
                            struct vidur_error *err)
{
    plan->count = 0;
    plan->is_shortened = false;
    plan->num_compactions = 0;
    return rows ? copy_session(plan, workload, rows, index, err)
                : draw_session(plan, workload, index, err);
}
