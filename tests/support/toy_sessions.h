#ifndef VIDUR_TEST_TOY_SESSIONS_H
#define VIDUR_TEST_TOY_SESSIONS_H

#include <vidur/rng.h>
#include <vidur/workload.h>

/* Random sessions, put together without the library's own planning. */

enum { TOY_SESSION_REQUESTS = 160 };

struct toy_sessions {
    int32_t session[TOY_SESSION_REQUESTS];
    int32_t turn[TOY_SESSION_REQUESTS];
    double think_s[TOY_SESSION_REQUESTS];
    int32_t conversation[TOY_SESSION_REQUESTS];
    int32_t shared_tokens[TOY_SESSION_REQUESTS];
    int32_t group[TOY_SESSION_REQUESTS];
    int32_t system_prompt_tokens;
    int32_t count;
};

/* Arrays of the scenario's, for `count` requests. */
struct toy_session_requests {
    int64_t count;
    int max_tokens;
    bool ties; /* times are multiples of 1/8 s, often 0 */
    double *arrived_at_s;
    int32_t *prefill, *decode;
};

/* Fills both: sessions of a few turns, some with sub-agents, some whose context starts
 * over, from groups with a system prompt. */
void toy_sessions_draw(struct toy_sessions *out, struct vidur_rng *rng,
                       const struct toy_session_requests *requests);

/* As a workload has them. */
struct vidur_sessions toy_sessions_view(const struct toy_sessions *sessions);

#endif
