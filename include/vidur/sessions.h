#ifndef VIDUR_SESSIONS_H
#define VIDUR_SESSIONS_H

#include <vidur/error.h>
#include <vidur/trace_options.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A workload of sessions: conversations and agents that send one turn after the other,
 * each with all that has been said so far as its prompt. Source: SIMULATOR.md
 * section 2, "Sessions".
 */

enum { VIDUR_MAX_SPREAD_QUANTILES = 16 };

struct vidur_spread_quantile {
    double quantile; /* in [0, 1], ascending */
    double value;    /* ascending */
};

/* How a quantity of sessions is distributed: by its quantiles, linear in between, where
 * there are some; else lognormal with this mean and coefficient of variation, always
 * the mean for a cv of 0. Kept within min .. max. */
struct vidur_spread {
    double mean, cv;
    double min, max; /* max 0: none */
    struct vidur_spread_quantile quantiles[VIDUR_MAX_SPREAD_QUANTILES];
    int num_quantiles;
};

/* The pauses between the turns of a logged session, from the last answer to the next
 * turn. */
enum vidur_think_time {
    VIDUR_THINK_LOGGED,     /* from the answer's end in the log */
    VIDUR_THINK_LOGGED_GAP, /* from its request's arrival: the answer counts twice */
    VIDUR_THINK_ESTIMATED,  /* that, less what the answer takes at a given speed */
    VIDUR_THINK_DRAWN       /* think_s says */
};

/* Keys of `sessions:`. */
struct vidur_sessions_config {
    struct vidur_spread turns;         /* of a session; rounded, 1 or more */
    struct vidur_spread first_tokens;  /* of the user in the first turn; mean 0 and no
                                          quantiles: as user_tokens */
    struct vidur_spread user_tokens;   /* new in a turn's prompt: of a user, of tools */
    struct vidur_spread output_tokens; /* of a request */
    struct vidur_spread think_s;       /* from a turn's last answer to the next turn */
    struct vidur_spread sub_agents;    /* more requests of a turn, beside its own */
    int num_groups;                    /* of sessions that share a system prompt */
    int system_prompt_tokens;          /* of each group its own */
    int max_context_tokens; /* of a request, prompt and output; 0: the workload's
                               max_tokens */
    bool compacts;          /* before a turn that would pass it the conversation begins
                               anew, as its first turn did; else the session ends */
    /* Sessions as recorded, instead of all but the groups, and think_s where that is
     * given: a file of sessions, or a log of requests with sessions. */
    char file[1024];
    struct vidur_trace_options trace; /* of the file */
    enum vidur_think_time think_time;
    double answer_tokens_per_s; /* of VIDUR_THINK_ESTIMATED */
};

/*
 * The sessions of a workload, read-only for simulators. Requests are ordered by
 * session, then by turn; those of one turn are sent together, its own first, then its
 * sub-agents'. The next turn is sent think_s after the last of them has ended. (Before
 * a first turn it matters to the users alone that a closed loop begins with.)
 *
 * Two prompts have their leading tokens in common as long as both are of the same
 * group's system prompt or of the same conversation: a request's prompt and output are
 * its conversation's for shared_tokens, and what follows is its own.
 */
struct vidur_sessions {
    int32_t count;                /* 0: the workload has none */
    const int32_t *session;       /* [requests] */
    const int32_t *turn;          /* [requests] from 0 within the session */
    const double *think_s;        /* [requests] before its turn */
    const int32_t *conversation;  /* [requests] */
    const int32_t *shared_tokens; /* [requests] INT32_MAX: all */
    const int32_t *group;         /* [count] */
    int32_t system_prompt_tokens;
    int32_t num_shortened;   /* sessions that max_context_tokens ended */
    int32_t num_compactions; /* conversations that it, or a log's shorter prompt, made
                                begin anew */
    double requests_per_session; /* of all that were drawn */
};

/* Values that cannot be; texts start with `workload.sessions.`. `max_tokens`: cap on a
 * request. */
int vidur_sessions_check(const struct vidur_sessions_config *config, int max_tokens,
                         struct vidur_error *err);

void vidur_sessions_config_defaults(struct vidur_sessions_config *config);

/* "pauses are the gaps between ...": what is assumed of the pauses of a log; `out` is
 * "" where nothing is. */
void vidur_sessions_describe_pauses(const struct vidur_sessions_config *config,
                                    char *out, size_t size);

/* Reads `sessions:`: a mapping, or the path of a file that holds one. */
struct vidur_yaml_node;
int vidur_sessions_config_read(const struct vidur_yaml_node *section,
                               struct vidur_sessions_config *config,
                               struct vidur_error *err);

#endif
