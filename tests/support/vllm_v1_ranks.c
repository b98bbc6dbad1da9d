#include "vllm_v1_host.h"
#include "vllm_v1_world.h"

#include <math.h>

/* Ranks in data parallel, whose steps start and end together. Every request is given
 * to a rank when the front end has let it go. */

/* What arrives up to `until_s` goes to the rank with the fewest requests. */
static void give(struct world *ranks, int count, double until_s, bool again)
{
    while (v1_is_known(&ranks[0], until_s, again)) {
        const double seen_s = v1_next_arrival_s(&ranks[0]);
        int best = 0;
        for (int r = 1; r < count; r++)
            if (ranks[r].num_given - ranks[r].completed <
                ranks[best].num_given - ranks[best].completed)
                best = r;
        ranks[best].given_at_s[ranks[best].num_given] = seen_s;
        ranks[best].given[ranks[best].num_given++] = v1_take_arrival(&ranks[0]);
    }
}

static double next_given_s(const struct world *w)
{
    return w->num_taken < w->num_given ? w->given_at_s[w->num_taken] : INFINITY;
}

/* Without a front end, what a completion sends comes behind all else of its time. */
static bool comes_behind(const struct world *w)
{
    const int64_t concurrency = w->input->workload->concurrency;
    if (has_sessions(w))
        return w->tokenise_s == 0 && w->delay_s == 0;
    return concurrency > 0 && w->tokenise_s == 0 && w->delay_s == 0 &&
           w->given[w->num_taken] >= concurrency;
}

static bool fix_rank(struct world *w, double now_s, bool again)
{
    while (next_given_s(w) < now_s ||
           (next_given_s(w) == now_s && (again || !comes_behind(w))))
        v1_wait_for_admission(w, w->given[w->num_taken++], false);
    w->now_s = now_s;
    return v1_decide(w);
}

/* The rank's batch of the step that starts at `start_s`; false: none. */
static bool form_rank(struct world *w, double start_s)
{
    if (!w->is_fixed)
        fix_rank(w, start_s, true);
    w->is_fixed = false;
    v1_preempt(w);
    if (w->num_running == 0 && w->num_waiting > 0 && fix_rank(w, start_s, true)) {
        w->tally->emptied++;
        v1_preempt(w);
    }
    if (w->num_running == 0)
        return false;
    v1_form(w, start_s);
    return true;
}

/* The step after the one that runs until `end_s` is fixed when that starts, or by the
 * first arrival that makes it more than empty. */
static void fix_ahead(struct world *w, double start_s, double end_s)
{
    double t = start_s;
    bool again = false;
    if (w->input->host_blocks > 0) { /* not by arrivals */
        w->is_fixed = fix_rank(w, start_s, false);
        return;
    }
    while (t < end_s && !(w->is_fixed = fix_rank(w, t, again))) {
        again = next_given_s(w) == t;
        t = next_given_s(w);
    }
}

static int64_t tokens_of(const struct world *w)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < w->num_running; i++)
        tokens += w->requests[w->running[i]].chunk;
    return tokens;
}

static double ranks_ms(struct world *ranks, int count)
{
    const struct vidur_engine_table *table = ranks[0].input->table;
    int64_t most = 0, least = INT64_MAX, sum = 0, prompts = 0;
    double longest = 0;
    for (int r = 0; r < count; r++) {
        const int64_t tokens = tokens_of(&ranks[r]);
        least = tokens < least ? tokens : least;
        sum += tokens;
        most = tokens > most ? tokens : most;
        for (int64_t i = 0; i < ranks[r].num_running; i++) {
            const struct request *q = &ranks[r].requests[ranks[r].running[i]];
            prompts += q->n < q->prompt;
        }
        ranks[0].tally->dummies += tokens == 0;
    }
    const int seqs = ranks[0].input->knobs->max_num_seqs;
    const int64_t graph = v1_padded_tokens(table, seqs, most);
    for (int r = 0; r < count; r++) {
        const struct world *w = &ranks[r];
        v1_list_parts(&ranks[r]);
        if (w->num_running > 0)
            longest = fmax(longest,
                           prompts > 0
                               ? v1_step_ms(table, seqs, w->parts, w->num_running)
                               : v1_step_as_ms(table, graph, w->parts, w->num_running));
    }
    ranks[0].tally->padded += prompts == 0 && least < most;
    const int64_t all = prompts > 0 ? sum : count * graph;
    return longest + (table->gathered_experts_ms[all] + table->gathered_comm_ms[all]);
}

void v1_run_ranks(struct world *ranks, int count)
{
    double now_s = 0;
    bool again = false;
    while (now_s < INFINITY) {
        bool any = false;
        give(ranks, count, now_s, again);
        for (int r = 0; r < count; r++)
            any |= form_rank(&ranks[r], now_s);
        if (!any) {
            double loaded_s = INFINITY;
            for (int r = 0; r < count; r++)
                loaded_s = fmin(loaded_s, v1_next_load_s(&ranks[r]));
            const double next_s = fmin(loaded_s, v1_next_arrival_s(&ranks[0]));
            again = next_s == now_s && loaded_s > now_s;
            now_s = next_s;
            continue;
        }
        const double end_s = now_s + ranks_ms(ranks, count) * 1e-3;
        again = false;
        give(ranks, count, end_s, !has_sessions(ranks));
        for (int r = 0; r < count; r++) {
            if (ranks[r].num_running == 0)
                continue;
            ranks[r].last_end_s = end_s;
            if (ranks[r].input->knobs->async_scheduling)
                fix_ahead(&ranks[r], now_s, end_s);
        }
        for (int r = 0; r < count; r++)
            v1_settle(&ranks[r]);
        ranks[0].tally->steps++;
        now_s = end_s;
    }
}
