#include "vllm_v1_reference.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { NOBODY = -1 };

struct block {
    int64_t key; /* what it caches; 0: nothing */
    int holders;
    int64_t freed_at; /* order in the queue of free blocks */
};

struct request {
    int32_t prompt, output; /* tokens to compute, and to generate behind them */
    int32_t n;              /* done; the prompt's last step counts one more */
    int32_t chunk;          /* in the step that runs */
    int32_t *blocks;
    int32_t held;
};

struct world {
    const struct v1_reference_input *input;
    struct v1_reference_request *out;
    struct v1_reference_tally *tally;
    struct request *requests; /* by id */
    struct block *blocks;
    int32_t num_blocks, block_size;
    int64_t clock; /* of releases */
    int32_t *running, *waiting;
    int64_t num_running, num_waiting;
    int64_t arrived, completed; /* of the input's ids */
    bool *seen;                 /* sessions: by id, those that have arrived */
    int64_t sent;               /* of them, in a closed loop */
    int32_t started;            /* sessions, of users */
    int stage;
    double delay_s;
    double tokenise_s; /* per prompt token */
    int64_t tokenised; /* of the input's ids: requests whose prompts are, from which */
    double tokenised_at_s, seen_at_s; /* follows when the last is seen */
    bool in_flight;                   /* the last step, which ends at last_end_s */
    double last_end_s;
    int64_t lacks; /* blocks, for the next step */
};

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t ceil_div(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

/* ---- Blocks ---- */

static int32_t num_free(const struct world *w)
{
    int32_t count = 0;
    for (int32_t i = 0; i < w->num_blocks; i++)
        count += w->blocks[i].holders == 0;
    return count;
}

static int32_t find_block(const struct world *w, int64_t key)
{
    for (int32_t i = 0; i < w->num_blocks; i++)
        if (w->blocks[i].key == key)
            return i;
    return NOBODY;
}

static int32_t take_block(struct world *w)
{
    int32_t first = NOBODY;
    for (int32_t i = 0; i < w->num_blocks; i++)
        if (w->blocks[i].holders == 0 &&
            (first == NOBODY || w->blocks[i].freed_at < w->blocks[first].freed_at))
            first = i;
    w->tally->evictions += w->blocks[first].key != 0;
    w->blocks[first].key = 0;
    w->blocks[first].holders = 1;
    return first;
}

static int64_t key_of(const struct world *w, int32_t id, int32_t index);

static bool has_sessions(const struct world *w)
{
    return w->input->workload->sessions.count > 0;
}

static void release_blocks(struct world *w, int32_t id)
{
    struct request *r = &w->requests[id];
    const int32_t computed = r->n > r->prompt ? r->n - 1 : r->n;
    for (int32_t i = 0; has_sessions(w) && w->input->knobs->prefix_caching &&
                        i < computed / w->block_size;
         i++)
        if (find_block(w, key_of(w, id, i)) == NOBODY) {
            w->blocks[r->blocks[i]].key = key_of(w, id, i);
            w->tally->generated++;
        }
    for (int32_t i = r->held - 1; i >= 0; i--) {
        struct block *b = &w->blocks[r->blocks[i]];
        if (i >= computed / w->block_size && b->key) {
            b->key = 0;
            w->tally->forgotten++;
        }
        if (--b->holders == 0)
            b->freed_at = ++w->clock;
    }
    r->held = 0;
}

/* The same in sessions. */
static int64_t session_key(const struct world *w, int32_t id, int32_t index)
{
    const struct vidur_sessions *s = &w->input->workload->sessions;
    int64_t whose = (int64_t)3000000 + id;
    if ((index + 1) * w->block_size <= s->system_prompt_tokens)
        whose = s->group[s->session[id]];
    else if ((int64_t)(index + 1) * w->block_size <= s->shared_tokens[id])
        whose = (int64_t)2000000 + s->conversation[id];
    return whose * 100000 + index + 1;
}

/* What the index-th block of a request's prompt would cache. */
static int64_t key_of(const struct world *w, int32_t id, int32_t index)
{
    if (has_sessions(w))
        return session_key(w, id, index);
    const struct vidur_prompts *prompts = &w->input->workload->prompts;
    const bool shared = index < prompts->system_prompt_tokens / w->block_size;
    const int32_t prompt = prompts->prompt[id];
    const int64_t whose =
        shared ? prompt / prompts->num_prompts_per_group : (int64_t)1000000 + prompt;
    return whose * 100000 + index + 1;
}

static bool caches(const struct world *w)
{
    return w->input->knobs->prefix_caching &&
           (w->input->workload->prompts.prompt || has_sessions(w));
}

static int32_t full_blocks(const struct world *w, int32_t id)
{
    if (has_sessions(w) && caches(w))
        return w->requests[id].prompt / w->block_size;
    return caches(w) ? w->input->workload->num_prefill_tokens[id] / w->block_size : 0;
}

static int32_t count_hits(const struct world *w, int32_t id)
{
    const int32_t most =
        least(full_blocks(w, id), (w->requests[id].prompt - 1) / w->block_size);
    int32_t hits = 0;
    while (hits < most && find_block(w, key_of(w, id, hits)) != NOBODY)
        hits++;
    return hits;
}

/* Free blocks that admitting it takes. */
static int64_t cost_of(const struct world *w, int32_t id)
{
    int64_t cost = ceil_div(w->requests[id].prompt, w->block_size);
    for (int32_t i = count_hits(w, id); i-- > 0;)
        cost -= w->blocks[find_block(w, key_of(w, id, i))].holders > 0;
    return cost;
}

static void take_prompt(struct world *w, int32_t id)
{
    struct request *r = &w->requests[id];
    const int32_t hits = count_hits(w, id);
    r->held = ceil_div(r->prompt, w->block_size);
    for (int32_t i = 0; i < hits; i++) {
        r->blocks[i] = find_block(w, key_of(w, id, i));
        w->blocks[r->blocks[i]].holders++;
    }
    for (int32_t i = hits; i < r->held; i++) {
        r->blocks[i] = take_block(w);
        if (i < full_blocks(w, id) && find_block(w, key_of(w, id, i)) == NOBODY)
            w->blocks[r->blocks[i]].key = key_of(w, id, i);
    }
    r->n = hits * w->block_size;
    w->tally->hits += hits;
}

/* ---- Requests ---- */

/* Tokens done when the step that runs has ended. */
static int32_t n_after(const struct request *r)
{
    const int32_t n = r->n + r->chunk;
    return n == r->prompt ? n + 1 : n;
}

static bool is_complete(const struct request *r, int32_t n)
{
    return n == r->prompt + r->output;
}

static bool wants_block(const struct world *w, const struct request *r, int32_t n)
{
    return n > r->prompt && n > r->held * w->block_size;
}

/* After a request of a session: its next turn, if it was the last of its own, or where
 * users wait the session behind those that have been sent. */
static void send_next_turn(struct world *w, int32_t id)
{
    const struct vidur_workload *workload = w->input->workload;
    const struct vidur_sessions *s = &workload->sessions;
    bool is_last = true;
    for (int64_t i = 0; i < workload->num_requests; i++) {
        if (s->session[i] != s->session[id])
            continue;
        if (s->turn[i] == s->turn[id] && isnan(w->out[i].completed_at_s))
            return;
        is_last = is_last && s->turn[i] <= s->turn[id];
    }
    if (is_last && workload->concurrency == 0)
        return;
    const int32_t session = is_last ? w->started++ : s->session[id];
    const int32_t turn = is_last ? 0 : s->turn[id] + 1;
    for (int64_t i = 0; i < workload->num_requests; i++)
        if (s->session[i] == session && s->turn[i] == turn)
            w->out[i].arrived_at_s = w->last_end_s + (is_last ? 0 : s->think_s[i]);
}

/* The last step has ended: tokens, times, and the blocks of what is complete. */
static void settle(struct world *w)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < w->num_running; i++) {
        const int32_t id = w->running[i];
        struct request *r = &w->requests[id];
        const bool first = r->n < r->prompt && n_after(r) > r->prompt;
        r->n = n_after(r);
        r->chunk = 0;
        if (first && isnan(w->out[id].first_token_at_s))
            w->out[id].first_token_at_s = w->last_end_s;
        if (!is_complete(r, r->n)) {
            w->running[kept++] = id;
            continue;
        }
        w->out[id].completed_at_s = w->last_end_s;
        w->completed++;
        if (has_sessions(w))
            send_next_turn(w, id);
        else if (w->input->workload->concurrency > 0 && w->sent < w->input->count)
            w->out[w->input->ids[w->sent++]].arrived_at_s = w->last_end_s;
        release_blocks(w, id);
    }
    w->num_running = kept;
    w->in_flight = false;
}

/* Which request reaches the engine next, and when it will. */
static double next_of_sessions_s(const struct world *w, int32_t *next)
{
    int32_t first = NOBODY;
    for (int64_t i = 0; i < w->input->count; i++) {
        const int32_t id = w->input->ids[i];
        if (!w->seen[id] && !isnan(w->out[id].arrived_at_s) &&
            (first == NOBODY || w->out[id].arrived_at_s < w->out[first].arrived_at_s))
            first = id;
    }
    if (next)
        *next = first;
    if (first == NOBODY)
        return INFINITY;
    return fmax(w->tokenised_at_s, w->out[first].arrived_at_s) +
           w->tokenise_s * w->input->workload->num_prefill_tokens[first] + w->delay_s;
}

/* The next request to wait in the engine. */
static int32_t take_arrival(struct world *w)
{
    int32_t id = NOBODY;
    if (!has_sessions(w))
        return w->input->ids[w->arrived++];
    next_of_sessions_s(w, &id);
    w->tokenised_at_s = fmax(w->tokenised_at_s, w->out[id].arrived_at_s) +
                        w->tokenise_s * w->input->workload->num_prefill_tokens[id];
    w->seen[id] = true;
    w->arrived++;
    return id;
}

/* When the next request reaches the engine; a stage begins when the last has drained.
 */
static double next_arrival_s(struct world *w)
{
    const struct vidur_load_stages *stages = &w->input->workload->stages;
    if (w->arrived == w->input->count)
        return INFINITY;
    if (has_sessions(w))
        return next_of_sessions_s(w, NULL);
    const int32_t id = w->input->ids[w->arrived];
    if (isnan(w->out[id].arrived_at_s))
        return INFINITY; /* not sent yet */
    if (w->stage + 1 < stages->count && id == stages->first_request[w->stage + 1]) {
        if (w->completed < w->arrived)
            return INFINITY;
        const double late_s = fmax(0, w->last_end_s - stages->start_s[++w->stage]);
        w->tally->stages_late += late_s > 0;
        for (int64_t i = stages->first_request[w->stage];
             i < stages->first_request[w->stage + 1]; i++)
            w->out[i].arrived_at_s =
                fmax(w->last_end_s, w->input->workload->arrived_at_s[i] + late_s);
    }
    if (w->tokenised == w->arrived) {
        const double begin_s = fmax(w->tokenised_at_s, w->out[id].arrived_at_s);
        w->tokenised_at_s =
            begin_s + w->tokenise_s * w->input->workload->num_prefill_tokens[id];
        w->seen_at_s = w->tokenised_at_s + w->delay_s;
        w->tokenised++;
    }
    return w->seen_at_s;
}

/* ---- Steps ---- */

static void admit(struct world *w, int64_t budget, int64_t free_blocks)
{
    while (w->num_waiting > 0 && budget > 0 &&
           w->num_running < w->input->knobs->max_num_seqs) {
        const int32_t id = w->waiting[0];
        const int64_t cost = cost_of(w, id);
        if (cost > free_blocks)
            break;
        free_blocks -= cost;
        take_prompt(w, id);
        budget -= w->requests[id].prompt - w->requests[id].n;
        w->running[w->num_running++] = id;
        for (int64_t i = 1; i < w->num_waiting; i++)
            w->waiting[i - 1] = w->waiting[i];
        w->num_waiting--;
    }
}

/* Whether the next request arrives because another ends at this very time: without a
 * front end it comes behind all that happens then. */
static bool comes_behind(const struct world *w)
{
    if (has_sessions(w))
        return w->tokenise_s == 0 && w->delay_s == 0;
    return w->input->workload->concurrency > 0 && w->tokenise_s == 0 &&
           w->delay_s == 0 && w->arrived >= w->input->workload->concurrency;
}

/* Tries to fix the next step at `now_s`; false: it would be empty. `again`: what was
 * known of that time was not enough for one. */
static bool fix(struct world *w, double now_s, bool again)
{
    int64_t budget = w->input->knobs->max_num_batched_tokens, wanted = 0;
    bool any = false;
    if (w->in_flight && w->last_end_s <= now_s)
        settle(w);
    while (comes_behind(w) && !again ? next_arrival_s(w) < now_s
                                     : next_arrival_s(w) <= now_s)
        w->waiting[w->num_waiting++] = take_arrival(w);
    for (int64_t i = 0; i < w->num_running; i++) {
        const struct request *r = &w->requests[w->running[i]];
        const int32_t n = n_after(r);
        if (is_complete(r, n))
            continue;
        any = true;
        budget -= n > r->prompt ? 1 : r->prompt - n;
        wanted += wants_block(w, r, n);
    }
    w->lacks = wanted - num_free(w);
    const int64_t before = w->num_running;
    if (w->lacks <= 0)
        admit(w, budget, -w->lacks);
    return any || w->num_running > before;
}

static void preempt(struct world *w)
{
    while (w->lacks > 0 && w->num_running > 0) {
        const int32_t id = w->running[--w->num_running];
        struct request *r = &w->requests[id];
        const int32_t total = r->prompt + r->output, before = num_free(w);
        w->lacks -= wants_block(w, r, r->n);
        release_blocks(w, id);
        w->lacks -= num_free(w) - before;
        if (r->n > r->prompt)
            r->prompt = r->n; /* what was generated is computed again */
        r->output = total - r->prompt;
        r->n = 0;
        w->out[id].restarts++;
        for (int64_t i = w->num_waiting++; i > 0; i--)
            w->waiting[i] = w->waiting[i - 1];
        w->waiting[0] = id;
    }
}

/* Chunks and blocks of everything that runs. */
static void form(struct world *w, double start_s)
{
    int32_t budget = w->input->knobs->max_num_batched_tokens;
    for (int64_t i = 0; i < w->num_running; i++) {
        struct request *r = &w->requests[w->running[i]];
        if (isnan(w->out[w->running[i]].scheduled_at_s))
            w->out[w->running[i]].scheduled_at_s = start_s;
        if (r->n > r->prompt) {
            budget--;
            r->chunk = 1;
            if (wants_block(w, r, r->n))
                r->blocks[r->held++] = take_block(w);
        }
    }
    for (int64_t i = 0; i < w->num_running; i++) {
        struct request *r = &w->requests[w->running[i]];
        if (r->n > r->prompt)
            continue;
        r->chunk = least(r->prompt - r->n, budget);
        budget -= r->chunk;
    }
}

static double chunk_ms(const struct vidur_engine_table *t, int64_t prefix,
                       int64_t tokens)
{
    const double s = (double)(prefix + tokens), p = (double)prefix;
    const double attention =
        t->context_ms[prefix + tokens] * ((s * s - p * p) / (s * s));
    return fmax(fmax(attention, t->context_ms[tokens]), t->decode1_ms[prefix + tokens]);
}

static double step_ms(const struct world *w)
{
    const struct vidur_engine_table *t = w->input->table;
    int64_t tokens = 0, sampled = 0, rows = 0, row_tokens = 0, prompts = 0;
    double chunks_ms = 0;
    for (int64_t i = 0; i < w->num_running; i++) {
        const struct request *r = &w->requests[w->running[i]];
        tokens += r->chunk;
        sampled += n_after(r) > r->prompt;
        prompts += r->n < r->prompt;
        if (r->n < r->prompt && r->chunk > VIDUR_ENGINE_DECODE_LIKE_TOKENS) {
            chunks_ms += chunk_ms(t, r->n, r->chunk);
        } else {
            rows++;
            row_tokens += r->n > r->prompt ? r->n : r->n + r->chunk;
        }
    }
    int64_t padded = vidur_engine_padded_tokens(tokens, w->input->knobs->max_num_seqs);
    if (padded > t->linear_limit)
        padded = t->linear_limit;
    double attention_ms = 0;
    if (rows > 0)
        attention_ms =
            t->decode_launch_ms + t->decode_ms_per_token * (double)row_tokens;
    double ms = t->linear_ms[padded];
    ms += t->head_ms[sampled] + attention_ms + chunks_ms + t->step_ms +
          t->request_ms * (double)w->num_running;
    if (prompts > 0 && prompts < w->num_running)
        ms += t->mixed_ms;
    return ms;
}

static void run(struct world *w)
{
    double fixed_at_s = 0, before_last_s = 0;
    for (;;) {
        const double least_s =
            w->input->knobs->async_scheduling ? before_last_s : w->last_end_s;
        double t = fmax(fixed_at_s, least_s);
        bool again = false;
        while (!fix(w, t, again)) {
            const double end_s = w->in_flight ? w->last_end_s : INFINITY;
            const double next_s = fmin(end_s, next_arrival_s(w));
            again = next_s == t;
            t = next_s;
            if (t == INFINITY)
                return;
        }
        w->tally->fixed_apart += t > before_last_s && t < w->last_end_s;
        const double start_s = fmax(w->last_end_s, t);
        if (w->in_flight)
            settle(w);
        preempt(w);
        fixed_at_s = t;
        if (w->num_running == 0) {
            w->tally->emptied++;
            fixed_at_s = start_s;
            continue;
        }
        form(w, start_s);
        before_last_s = w->last_end_s;
        w->last_end_s = start_s + step_ms(w) * 1e-3;
        w->in_flight = true;
        w->tally->steps++;
    }
}

static void begin(struct world *w)
{
    const struct vidur_workload *workload = w->input->workload;
    for (int32_t i = 0; i < w->num_blocks; i++)
        w->blocks[i] = (struct block){.freed_at = i - w->num_blocks};
    for (int64_t i = 0; i < w->input->count; i++) {
        const int32_t id = w->input->ids[i];
        const int32_t prompt = workload->num_prefill_tokens[id];
        const int32_t output = workload->num_decode_tokens[id];
        const struct vidur_sessions *s = &workload->sessions;
        const bool known =
            has_sessions(w)
                ? s->turn[id] == 0 && (workload->concurrency == 0 ||
                                       s->session[id] < workload->concurrency)
                : workload->concurrency == 0 || i < workload->concurrency;
        w->out[id] = (struct v1_reference_request){
            known ? has_sessions(w) && workload->concurrency > 0
                        ? s->think_s[id]
                        : workload->arrived_at_s[id]
                  : NAN,
            NAN, NAN, NAN, 0};
        w->sent += known;
        w->requests[id] = (struct request){
            .prompt = prompt,
            .output = output,
            .blocks = calloc((size_t)(prompt + output) + 1, sizeof(int32_t))};
    }
}

void v1_reference_run(const struct v1_reference_input *input,
                      struct v1_reference_request *out,
                      struct v1_reference_tally *tally)
{
    const size_t n = (size_t)input->workload->num_requests;
    struct world w = {.input = input,
                      .out = out,
                      .tally = tally,
                      .num_blocks = (int32_t)input->knobs->num_blocks,
                      .block_size = input->knobs->block_size,
                      .tokenise_s = input->table->tokenise_ms * 1e-3,
                      .delay_s = input->table->t_api_ms * 1e-3};
    w.requests = calloc(n, sizeof *w.requests);
    w.blocks = calloc((size_t)w.num_blocks, sizeof *w.blocks);
    w.running = calloc(n, sizeof *w.running);
    w.waiting = calloc(n, sizeof *w.waiting);
    w.seen = calloc(n, sizeof *w.seen);
    w.started = (int32_t)input->workload->concurrency;
    begin(&w);
    run(&w);
    for (size_t i = 0; i < n; i++)
        free(w.requests[i].blocks);
    free(w.requests);
    free(w.blocks);
    free(w.running);
    free(w.waiting);
    free(w.seen);
}
