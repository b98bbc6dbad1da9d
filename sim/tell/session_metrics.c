#include "tell/session_metrics.h"

#include "base/json.h"
#include "base/quantile.h"

#include <math.h>
#include <stdlib.h>

/* Requests of turns first .. last. */
static void take_turns(struct vidur_turn_metrics *out,
                       const struct vidur_request_records *records,
                       const struct vidur_sessions *sessions, const int32_t range[2],
                       double *samples)
{
    int64_t count = 0, cached = 0, prompt = 0;
    *out = (struct vidur_turn_metrics){.hit_rate = NAN};
    for (int64_t i = 0; i < records->count; i++) {
        if (sessions->turn[i] < range[0] || sessions->turn[i] > range[1])
            continue;
        out->num_requests++;
        out->num_completed += !isnan(records->completed_at_s[i]);
        if (isnan(records->prefill_completed_at_s[i]))
            continue;
        samples[count++] =
            records->prefill_completed_at_s[i] - records->arrived_at_s[i];
        prompt += records->arrived_prefill_tokens[i];
        cached += records->cached_tokens ? records->cached_tokens[i] : 0;
    }
    if (records->cached_tokens && prompt > 0)
        out->hit_rate = (double)cached / (double)prompt;
    vidur_distribution_of(&out->ttft, samples, count);
}

static void count_sessions(struct vidur_session_metrics *out,
                           const struct vidur_request_records *records,
                           const struct vidur_sessions *sessions)
{
    bool complete = true;
    out->num_sessions = sessions->session[records->count - 1] + 1;
    out->num_shortened = sessions->num_shortened;
    out->num_compactions = sessions->num_compactions;
    for (int64_t i = 0; i < records->count; i++) {
        const bool last =
            i + 1 == records->count || sessions->session[i + 1] != sessions->session[i];
        complete = complete && !isnan(records->completed_at_s[i]);
        out->num_completed += last && complete;
        complete = complete || last;
        if (sessions->turn[i] >= out->num_turns && sessions->turn[i] < VIDUR_TOLD_TURNS)
            out->num_turns = sessions->turn[i] + 1;
    }
}

int vidur_session_metrics_of(struct vidur_session_metrics *out,
                             const struct vidur_request_records *records,
                             const struct vidur_sessions *sessions,
                             struct vidur_error *err)
{
    double *samples = malloc(((size_t)records->count + 1) * sizeof *samples);
    if (!samples)
        return vidur_fail(err, VIDUR_ENOMEM, "sessions: out of memory");
    *out = (struct vidur_session_metrics){0};
    count_sessions(out, records, sessions);
    take_turns(&out->first, records, sessions, (const int32_t[]){0, 0}, samples);
    take_turns(&out->later, records, sessions, (const int32_t[]){1, INT32_MAX},
               samples);
    take_turns(&out->all, records, sessions, (const int32_t[]){0, INT32_MAX}, samples);
    for (int i = 0; i < out->num_turns; i++)
        take_turns(&out->turn[i], records, sessions, (const int32_t[]){i, i}, samples);
    free(samples);
    return 0;
}

/* ---- Telling ---- */

/* Of an empty sample nothing but the count is known: null. */
static void put_turn(struct vidur_json_writer *json, const char *name,
                     const struct vidur_turn_metrics *turn)
{
    const struct vidur_distribution *d = &turn->ttft;
    const bool known = d->count > 0;
    vidur_json_begin_object(json, name);
    vidur_json_put_int64(json, "requests", turn->num_requests);
    vidur_json_put_int64(json, "completed", turn->num_completed);
    vidur_json_put_double(json, "hit_rate", turn->hit_rate);
    vidur_json_begin_object(json, "ttft");
    vidur_json_put_double(json, "mean", known ? d->mean : NAN);
    vidur_json_put_double(json, "p50", known ? d->p50 : NAN);
    vidur_json_put_double(json, "p90", known ? d->p90 : NAN);
    vidur_json_put_double(json, "p95", known ? d->p95 : NAN);
    vidur_json_put_double(json, "p99", known ? d->p99 : NAN);
    vidur_json_end(json);
    vidur_json_end(json);
}

void vidur_session_metrics_put(struct vidur_json_writer *json,
                               const struct vidur_session_metrics *metrics)
{
    vidur_json_begin_object(json, "sessions");
    vidur_json_put_int64(json, "sessions", metrics->num_sessions);
    vidur_json_put_int64(json, "completed", metrics->num_completed);
    vidur_json_put_int64(json, "shortened", metrics->num_shortened);
    vidur_json_put_int64(json, "compactions", metrics->num_compactions);
    put_turn(json, "first_turns", &metrics->first);
    put_turn(json, "later_turns", &metrics->later);
    put_turn(json, "all_turns", &metrics->all);
    vidur_json_begin_array(json, "turns");
    for (int i = 0; i < metrics->num_turns; i++)
        put_turn(json, NULL, &metrics->turn[i]);
    vidur_json_end(json);
    vidur_json_end(json);
}

static void print_turn(const char *name, const struct vidur_turn_metrics *turn,
                       FILE *out)
{
    const struct vidur_distribution *d = &turn->ttft;
    if (turn->num_requests == 0)
        return;
    fprintf(out, "%-18s %10lld", name, (long long)turn->num_requests);
    if (isnan(turn->hit_rate))
        fprintf(out, " %10s", "-");
    else
        fprintf(out, " %9.1f%%", 100 * turn->hit_rate);
    if (d->count > 0)
        fprintf(out, " %10.1f %10.1f %10.1f\n", d->mean * 1e3, d->p90 * 1e3,
                d->p99 * 1e3);
    else
        fprintf(out, " %10s %10s %10s\n", "-", "-", "-");
}

void vidur_session_metrics_print(const struct vidur_session_metrics *metrics, FILE *out)
{
    fprintf(out, "\n%-18s %10s %10s %10s %10s %10s\n", "turns", "requests", "cached",
            "ttft mean", "ttft p90", "ttft p99");
    print_turn("first", &metrics->first, out);
    print_turn("later", &metrics->later, out);
    print_turn("all", &metrics->all, out);
    fprintf(out, "\nsessions     %lld of %lld completed",
            (long long)metrics->num_completed, (long long)metrics->num_sessions);
    if (metrics->num_shortened > 0)
        fprintf(out, ", %lld ended by the context's limit",
                (long long)metrics->num_shortened);
    if (metrics->num_compactions > 0)
        fprintf(out, ", %lld conversations begun anew at it",
                (long long)metrics->num_compactions);
    fprintf(out, "\n");
}
