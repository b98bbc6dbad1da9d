#include "vllm_v1_host.h"
#include "vllm_v1_order.h"
#include "vllm_v1_world.h"

#include <math.h>
#include <stdlib.h>

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
    const int32_t session = is_last ? w->first->started++ : s->session[id];
    const int32_t turn = is_last ? 0 : s->turn[id] + 1;
    for (int64_t i = 0; i < workload->num_requests; i++)
        if (s->session[i] == session && s->turn[i] == turn)
            w->out[i].arrived_at_s = w->last_end_s + (is_last ? 0 : s->think_s[i]);
}

/* The last step has ended: tokens, times, and the blocks of what is complete. */
void v1_settle(struct world *w)
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
        else if (w->input->workload->concurrency > 0 &&
                 w->first->sent < w->input->count)
            w->out[w->input->ids[w->first->sent++]].arrived_at_s = w->last_end_s;
        v1_release_blocks(w, id);
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
int32_t v1_take_arrival(struct world *w)
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
double v1_next_arrival_s(struct world *w)
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

void v1_wait_for_admission(struct world *w, int32_t id, bool front)
{
    const bool sorted = v1_by_priority(w->input->knobs);
    const int64_t at = sorted ? v1_num_before(w, id) : (front ? 0 : w->num_waiting);
    w->tally->overtaken += sorted && !front && at < w->num_waiting;
    for (int64_t i = w->num_waiting++; i > at; i--)
        w->waiting[i] = w->waiting[i - 1];
    w->waiting[at] = id;
}

/* ---- Steps ---- */

static void admit(struct world *w, int64_t budget, int64_t free_blocks)
{
    int32_t id;
    while (budget > 0 && (id = v1_take_loaded(w)) != NOBODY) {
        v1_name_prompt(w, id);
        budget -= w->requests[id].prompt - w->requests[id].n;
        w->running[w->num_running++] = id;
    }
    while (w->num_waiting > 0 && budget > 0 &&
           w->num_running + w->num_loads < w->input->knobs->max_num_seqs) {
        id = w->waiting[0];
        const int64_t cost = v1_cost_of(w, id);
        if (cost > free_blocks)
            break;
        free_blocks -= cost;
        if (v1_take_prompt(w, id)) {
            budget -= w->requests[id].prompt - w->requests[id].n;
            w->running[w->num_running++] = id;
        }
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

bool v1_is_known(struct world *w, double now_s, bool again)
{
    return comes_behind(w) && !again ? v1_next_arrival_s(w) < now_s
                                     : v1_next_arrival_s(w) <= now_s;
}

static void take_arrivals(struct world *w, double now_s, bool again)
{
    while (v1_is_known(w, now_s, again))
        v1_wait_for_admission(w, v1_take_arrival(w), false);
}

bool v1_decide(struct world *w)
{
    int64_t budget = w->input->knobs->max_num_batched_tokens, wanted = 0;
    bool any = false;
    for (int64_t i = 0; i < w->num_running; i++) {
        const struct request *r = &w->requests[w->running[i]];
        const int32_t n = n_after(r);
        if (is_complete(r, n))
            continue;
        any = true;
        budget -= n > r->prompt ? 1 : r->prompt - n;
        wanted += wants_block(w, r, n);
    }
    w->lacks = wanted - v1_num_free(w);
    const int64_t before = w->num_running;
    if (w->lacks <= 0)
        admit(w, budget, -w->lacks);
    return any || w->num_running > before;
}

/* Tries to fix the next step at `now_s`; false: it would be empty. */
static bool fix(struct world *w, double now_s, bool again)
{
    if (w->in_flight && w->last_end_s <= now_s)
        v1_settle(w);
    take_arrivals(w, now_s, again);
    w->now_s = now_s;
    return v1_decide(w);
}

/* Who is preempted next: nobody that is under way in a pipeline; or NOBODY. */
static int64_t find_victim(const struct world *w)
{
    int64_t victim = NOBODY;
    for (int64_t i = 0; i < w->num_running; i++)
        if (w->requests[w->running[i]].flights == 0 &&
            (victim == NOBODY || !v1_by_priority(w->input->knobs) ||
             v1_comes_first(w, w->running[victim], w->running[i])))
            victim = i;
    return victim;
}

/* True if anybody was preempted. */
bool v1_preempt(struct world *w)
{
    bool any = false;
    int64_t at;
    for (; w->lacks > 0 && (at = find_victim(w)) != NOBODY; any = true) {
        const int32_t id = w->running[at];
        struct request *r = &w->requests[id];
        const int32_t total = r->prompt + r->output, before = v1_num_free(w);
        w->tally->picked += v1_by_priority(w->input->knobs) && at < w->num_running - 1;
        w->num_running--;
        for (int64_t i = at; i < w->num_running; i++)
            w->running[i] = w->running[i + 1];
        w->lacks -= wants_block(w, r, r->n);
        v1_release_blocks(w, id);
        w->lacks -= v1_num_free(w) - before;
        if (r->n > r->prompt)
            r->prompt = r->n; /* what was generated is computed again */
        r->output = total - r->prompt;
        r->n = 0;
        w->out[id].restarts++;
        v1_wait_for_admission(w, id, true);
    }
    return any;
}

/* Chunks and blocks of everything that runs. */
void v1_form(struct world *w, double start_s)
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
                r->blocks[r->held++] = v1_take_block(w);
        }
    }
    for (int64_t i = 0; i < w->num_running; i++) {
        struct request *r = &w->requests[w->running[i]];
        if (r->n > r->prompt)
            continue;
        r->chunk = v1_least(r->prompt - r->n, budget);
        budget -= r->chunk;
    }
}

void v1_list_parts(struct world *w)
{
    for (int64_t i = 0; i < w->num_running; i++) {
        const struct request *r = &w->requests[w->running[i]];
        w->parts[i] = (struct v1_part){w->running[i], r->n, r->chunk, r->prompt};
    }
}

/* Where the step that is fixed at t would be empty: when to try again. With a second
 * tier that is when it starts at the earliest. */
static double try_again_s(struct world *w, double t, bool *again)
{
    const double end_s = w->in_flight ? w->last_end_s : INFINITY;
    if (w->input->host_blocks > 0 && w->in_flight) {
        *again = false;
        return end_s;
    }
    const double loaded_s = v1_next_load_s(w);
    const double next_s = fmin(fmin(end_s, loaded_s), v1_next_arrival_s(w));
    *again = next_s == t && loaded_s > t;
    return next_s;
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
            t = try_again_s(w, t, &again);
            if (t == INFINITY)
                return;
        }
        w->tally->fixed_apart += t > before_last_s && t < w->last_end_s;
        const double start_s = fmax(w->last_end_s, t);
        if (w->in_flight)
            v1_settle(w);
        v1_preempt(w);
        fixed_at_s = t;
        if (w->num_running == 0) {
            w->tally->emptied++;
            fixed_at_s = start_s;
            continue;
        }
        v1_form(w, start_s);
        before_last_s = w->last_end_s;
        v1_list_parts(w);
        w->last_end_s =
            start_s + v1_step_ms(w->input->table, w->input->knobs->max_num_seqs,
                                 w->parts, w->num_running) *
                          1e-3;
        w->in_flight = true;
        w->tally->steps++;
    }
}

/* ---- A pipeline ---- */

static bool decodes(const struct request *r)
{
    return r->n > r->prompt;
}

/* Whether a step that is fixed now takes tokens of it. */
static bool can_go_on(const struct request *r)
{
    return decodes(r) ? r->flights == 0 : r->begun < r->prompt;
}

/* The next step's parts at `now_s`; their number. */
static int64_t fix_next(struct world *w, double now_s, bool again)
{
    int32_t budget = w->input->knobs->max_num_batched_tokens;
    int64_t wanted = 0, rest = 0, count = 0;
    take_arrivals(w, now_s, again);
    w->now_s = now_s;
    for (int64_t i = 0; i < w->num_running; i++) {
        const struct request *r = &w->requests[w->running[i]];
        if (!can_go_on(r))
            continue;
        rest += decodes(r) ? 1 : r->prompt - r->begun;
        wanted += wants_block(w, r, r->n);
    }
    const int64_t before = w->num_running;
    w->lacks = wanted - v1_num_free(w);
    if (w->lacks <= 0)
        admit(w, budget - rest, -w->lacks);
    for (int64_t i = before; i < w->num_running; i++)
        w->requests[w->running[i]].begun = w->requests[w->running[i]].n;
    w->emptied = v1_preempt(w);
    for (int want_decodes = 1; want_decodes >= 0; want_decodes--)
        for (int64_t i = 0; i < w->num_running; i++) {
            const int32_t id = w->running[i];
            struct request *r = &w->requests[id];
            if (!can_go_on(r) || decodes(r) != want_decodes)
                continue;
            if (wants_block(w, r, r->n))
                r->blocks[r->held++] = v1_take_block(w);
            const int32_t from = decodes(r) ? r->n : r->begun;
            const int32_t chunk =
                decodes(r) ? 1 : v1_least(r->prompt - r->begun, budget);
            w->parts[count++] = (struct v1_part){id, from, chunk, r->prompt};
            budget -= chunk;
        }
    return count;
}

static void send_off(struct world *w, int64_t count, double now_s)
{
    struct flight *flight = &w->flights[w->num_flights++];
    double at_s = now_s;
    for (int64_t i = 0; i < count; i++) {
        struct v1_part *p = &w->parts[i];
        struct request *r = &w->requests[p->id];
        w->tally->chained += r->flights > 0;
        r->flights++;
        r->begun = p->n + p->chunk;
        flight->parts[i] = *p;
        if (isnan(w->out[p->id].scheduled_at_s))
            w->out[p->id].scheduled_at_s = now_s;
    }
    for (int s = 0; s < w->input->num_stages; s++) {
        const double ms = v1_step_ms(w->input->stages[s], w->input->knobs->max_num_seqs,
                                     w->parts, count);
        at_s = fmax(at_s, w->free_at_s[s]) + ms * 1e-3;
        w->free_at_s[s] = at_s;
    }
    flight->count = count;
    flight->end_s = at_s;
    w->tally->steps++;
    w->tally->overlaps += w->num_flights > 1;
}

/* The first step under way has ended. */
static void come_back(struct world *w)
{
    const struct flight first = w->flights[0];
    w->last_end_s = first.end_s;
    for (int i = 1; i < w->num_flights; i++)
        w->flights[i - 1] = w->flights[i];
    w->flights[--w->num_flights] = first; /* its memory */
    for (int64_t i = 0; i < first.count; i++) {
        struct request *r = &w->requests[first.parts[i].id];
        r->chunk = first.parts[i].chunk;
        r->flights--;
    }
    v1_settle(w);
}

static void run_pipeline(struct world *w)
{
    double t = 0;
    bool again = false;
    for (;;) {
        const int64_t count = fix_next(w, t, again);
        again = false;
        if (count > 0) {
            send_off(w, count, t);
            if (w->num_flights < w->input->num_stages)
                continue;
        }
        if (w->num_flights > 0) {
            w->tally->held_back += v1_next_arrival_s(w) < w->flights[0].end_s;
            come_back(w);
            t = w->last_end_s;
            continue;
        }
        w->tally->emptied += w->emptied;
        if (w->emptied)
            continue;
        t = try_again_s(w, t, &again); /* nothing is in flight */
        if (t == INFINITY)
            return;
    }
}

static void begin(struct world *w)
{
    const struct vidur_workload *workload = w->input->workload;
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

static void open_world(struct world *w, struct world *first)
{
    const size_t n = (size_t)w->input->workload->num_requests;
    w->first = first;
    w->num_blocks = (int32_t)w->input->knobs->num_blocks;
    w->block_size = w->input->knobs->block_size;
    w->tokenise_s = w->input->table->tokenise_ms * 1e-3;
    w->delay_s = w->input->table->t_api_ms * 1e-3;
    w->requests = w == first ? calloc(n, sizeof *w->requests) : first->requests;
    w->blocks = calloc((size_t)w->num_blocks, sizeof *w->blocks);
    w->running = calloc(n, sizeof *w->running);
    w->waiting = calloc(n, sizeof *w->waiting);
    w->seen = calloc(n, sizeof *w->seen);
    w->started = (int32_t)w->input->workload->concurrency;
    w->given = calloc(n, sizeof *w->given);
    w->given_at_s = calloc(n, sizeof *w->given_at_s);
    w->parts = calloc(n, sizeof *w->parts);
    w->host = calloc((size_t)w->input->host_blocks + 1, sizeof *w->host);
    w->loads = calloc(n, sizeof *w->loads);
    for (int i = 0; i < V1_REFERENCE_STAGES; i++)
        w->flights[i].parts = calloc(n, sizeof *w->flights[i].parts);
    for (int32_t i = 0; i < w->num_blocks; i++)
        w->blocks[i] = (struct block){.freed_at = i - w->num_blocks};
}

static void close_world(struct world *w)
{
    for (int64_t i = 0; w == w->first && i < w->input->workload->num_requests; i++)
        free(w->requests[i].blocks);
    if (w == w->first)
        free(w->requests);
    for (int i = 0; i < V1_REFERENCE_STAGES; i++)
        free(w->flights[i].parts);
    free(w->blocks);
    free(w->running);
    free(w->waiting);
    free(w->seen);
    free(w->given);
    free(w->given_at_s);
    free(w->parts);
    free(w->host);
    free(w->loads);
}

void v1_reference_run(const struct v1_reference_input *input,
                      struct v1_reference_request *out,
                      struct v1_reference_tally *tally)
{
    const int ranks = input->num_ranks > 1 ? input->num_ranks : 1;
    struct world *w = calloc((size_t)ranks, sizeof *w);
    for (int r = 0; r < ranks; r++) {
        w[r] = (struct world){.input = input, .out = out, .tally = tally};
        open_world(&w[r], w);
    }
    begin(w);
    if (ranks > 1)
        v1_run_ranks(w, ranks);
    else if (input->num_stages > 1)
        run_pipeline(w);
    else
        run(w);
    for (int r = ranks; r-- > 0;)
        close_world(&w[r]);
    free(w);
}
