#ifndef VIDUR_SIM_SESSION_METRICS_H
#define VIDUR_SIM_SESSION_METRICS_H

#include <vidur/error.h>
#include <vidur/simulator.h>

#include <stdio.h>

/*
 * What sessions saw, by turn: the first turn is a cold prompt, later ones find most of
 * theirs cached.
 */

enum { VIDUR_TOLD_TURNS = 16 }; /* later ones are in `later` only */

struct vidur_turn_metrics {
    int64_t num_requests; /* of the turn, sub-agents' included */
    int64_t num_completed;
    struct vidur_distribution ttft; /* seconds; of requests that got a token */
    /* Share of the prompts' tokens that was found in the prefix cache, of requests that
     * got a token; NaN: none did, or there is no prefix cache. */
    double hit_rate;
};

struct vidur_session_metrics {
    int64_t num_sessions;
    int64_t num_completed; /* all of whose requests have completed */
    int64_t num_shortened; /* that the context's limit ended, of all that were drawn */
    int64_t num_compactions; /* conversations that it made begin anew, likewise */
    struct vidur_turn_metrics first, later, all;
    int num_turns; /* of `turn`, up to the longest session's */
    struct vidur_turn_metrics turn[VIDUR_TOLD_TURNS];
};

int vidur_session_metrics_of(struct vidur_session_metrics *out,
                             const struct vidur_request_records *records,
                             const struct vidur_sessions *sessions,
                             struct vidur_error *err);

struct vidur_json_writer;

/* The key `sessions` of a summary, and its lines of text. */
void vidur_session_metrics_put(struct vidur_json_writer *json,
                               const struct vidur_session_metrics *metrics);
void vidur_session_metrics_print(const struct vidur_session_metrics *metrics,
                                 FILE *out);

#endif
