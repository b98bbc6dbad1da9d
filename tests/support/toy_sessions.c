#include "toy_sessions.h"

static int between(struct vidur_rng *rng, int low, int high)
{
    return low + (int)vidur_rng_below(rng, (uint32_t)(high - low + 1));
}

static bool chance(struct vidur_rng *rng, int percent)
{
    return between(rng, 1, 100) <= percent;
}

static double pause_s(struct vidur_rng *rng, bool ties, double mean_s)
{
    const double exponential = vidur_rng_exponential(rng);
    if (chance(rng, 15))
        return 0;
    return ties ? 0.125 * (int)(8 * mean_s * exponential) : mean_s * exponential;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* What all of a scenario's sessions have in common. */
struct style {
    int turns, user, output, agents, groups;
    double think_s, gap_s;
};

static void put(struct toy_sessions *out, const struct toy_session_requests *requests,
                int64_t at, const int tokens[3])
{
    requests->prefill[at] = tokens[0];
    requests->decode[at] = tokens[1];
    out->shared_tokens[at] = tokens[2];
}

/* One session from request `at` on; returns where it ends. */
static int64_t draw_session(struct toy_sessions *out, struct vidur_rng *rng,
                            const struct toy_session_requests *requests,
                            const struct style *style, int64_t at)
{
    const int turns = between(rng, 1, style->turns);
    int context = out->system_prompt_tokens;
    int32_t conversation = (int32_t)at;
    for (int turn = 0; turn < turns && at < requests->count; turn++) {
        const double think_s = pause_s(rng, requests->ties, style->think_s);
        if (context + 2 > requests->max_tokens - 1) { /* summed up */
            context = out->system_prompt_tokens;
            conversation = (int32_t)at;
        }
        const int prompt = context + least(between(rng, 1, style->user),
                                           requests->max_tokens - 1 - context);
        const int agents = chance(rng, 30) ? between(rng, 0, style->agents) : 0;
        for (int i = 0; i <= agents && at < requests->count; i++, at++) {
            const int own = i ? between(rng, 0, 9) : 0;
            const int whole = least(prompt + own, requests->max_tokens - 1);
            const int output =
                least(between(rng, 1, style->output), requests->max_tokens - whole);
            put(out, requests, at,
                (const int[]){whole, output, i ? prompt : INT32_MAX});
            out->session[at] = out->count;
            out->turn[at] = turn;
            out->think_s[at] = think_s;
            out->conversation[at] = conversation;
            context = i ? context + output : whole + output;
        }
    }
    return at;
}

void toy_sessions_draw(struct toy_sessions *out, struct vidur_rng *rng,
                       const struct toy_session_requests *requests)
{
    const int most = requests->max_tokens;
    const struct style style = {.turns = between(rng, 1, 8),
                                .user = between(rng, 1, most / 4),
                                .output = between(rng, 1, most / 8),
                                .agents = between(rng, 0, 4),
                                .groups = between(rng, 1, 3),
                                .think_s = 4 * vidur_rng_uniform(rng),
                                .gap_s = 4 * vidur_rng_uniform(rng)};
    double now_s = chance(rng, 50) ? 0 : 1;
    out->count = 0;
    out->system_prompt_tokens = chance(rng, 50) ? between(rng, 0, most / 8) : 0;
    for (int64_t i = 0; i < requests->count; out->count++) {
        const int64_t end = draw_session(out, rng, requests, &style, i);
        for (; i < end; i++)
            requests->arrived_at_s[i] = now_s;
        out->group[out->count] = between(rng, 0, style.groups - 1);
        now_s += pause_s(rng, requests->ties, style.gap_s);
    }
}

struct vidur_sessions toy_sessions_view(const struct toy_sessions *sessions)
{
    return (struct vidur_sessions){.count = sessions->count,
                                   .session = sessions->session,
                                   .turn = sessions->turn,
                                   .think_s = sessions->think_s,
                                   .conversation = sessions->conversation,
                                   .shared_tokens = sessions->shared_tokens,
                                   .group = sessions->group,
                                   .system_prompt_tokens =
                                       sessions->system_prompt_tokens,
                                   .requests_per_session = 1};
}
