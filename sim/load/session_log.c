#include "load/session_log.h"

#include "load/trace_format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Whose turns requests are ---- */

/* A log's requests, sorted by session: order[k] is the row of the trace that comes
 * k-th. */
struct sorting {
    int32_t *number_of; /* [the trace's sessions] by their starts; -1: not seen */
    int32_t *session;   /* [rows] */
    int64_t *next;      /* [sessions] */
    int64_t *order;     /* [rows] */
};

static void free_sorting(struct sorting *s)
{
    free(s->number_of);
    free(s->session);
    free(s->next);
    free(s->order);
}

static int no_memory(struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for sessions");
}

static int number_sessions(struct sorting *s, struct vidur_session_rows *rows,
                           const struct vidur_trace *trace, struct vidur_error *err)
{
    const size_t n = (size_t)trace->num_rows;
    const size_t named = (size_t)trace->num_sessions;
    s->number_of = malloc((named + 1) * sizeof *s->number_of);
    s->session = malloc(n * sizeof *s->session);
    if (!s->number_of || !s->session)
        return no_memory(err);
    for (size_t i = 0; i < named; i++)
        s->number_of[i] = -1;
    for (size_t i = 0; i < n; i++) {
        const int32_t name = trace->session ? trace->session[i] : -1;
        int32_t *number = name >= 0 ? &s->number_of[name] : &s->number_of[named];
        if (name < 0 || *number < 0)
            *number = rows->num_sessions++;
        s->session[i] = *number;
    }
    return 0;
}

/* Rows are in order of time, so that the turns of each session are. */
static int sort_rows(struct sorting *s, struct vidur_session_rows *rows,
                     const struct vidur_trace *trace, struct vidur_error *err)
{
    const size_t n = (size_t)trace->num_rows;
    if (number_sessions(s, rows, trace, err))
        return -1;
    rows->first = calloc((size_t)rows->num_sessions + 1, sizeof *rows->first);
    s->next = malloc((size_t)rows->num_sessions * sizeof *s->next);
    s->order = malloc(n * sizeof *s->order);
    if (!rows->first || !s->next || !s->order)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        rows->first[s->session[i] + 1]++;
    for (int32_t i = 0; i < rows->num_sessions; i++) {
        rows->first[i + 1] += rows->first[i];
        s->next[i] = rows->first[i];
    }
    for (size_t i = 0; i < n; i++)
        s->order[s->next[s->session[i]]++] = (int64_t)i;
    return vidur_session_rows_reserve(rows, err);
}

/* ---- Pauses ---- */

static int check_times(const struct vidur_trace *trace,
                       const struct vidur_sessions_config *config,
                       struct vidur_error *err)
{
    if (config->think_time == VIDUR_THINK_DRAWN)
        return 0;
    if (!trace->time_s)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: no times of arrival (format %s), which pauses between "
                          "turns are taken from; give them: think_s",
                          trace->path, trace->format->name);
    if (config->think_time == VIDUR_THINK_LOGGED && !trace->end_s &&
        trace->num_sessions > 0)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s: no ends of answers, from which the pauses before the next turns are "
            "taken; name a column (ended_at, latency_s, latency_ms), or say what to "
            "assume: think_time: {output_tokens_per_s: 50}, think_time: logged_gap or "
            "think_s",
            trace->path);
    return 0;
}

/* A session on its way from a log. */
struct taking {
    struct vidur_session_rows *rows;
    const int64_t *order;
    const struct vidur_trace *trace;
    const struct vidur_sessions_config *config;
    double ended_s; /* all of the last turn; NaN: not known */
};

/* The pause before a row, the last one before which is `last`; below 0: it does not
 * wait for the turn before. */
static int find_pause(const struct taking *t, int64_t row, int64_t last,
                      double *pause_s, struct vidur_error *err)
{
    const struct vidur_trace *trace = t->trace;
    const double gap_s = trace->time_s ? trace->time_s[row] - trace->time_s[last] : 0;
    switch (t->config->think_time) {
    case VIDUR_THINK_LOGGED_GAP:
        *pause_s = gap_s;
        return 0;
    case VIDUR_THINK_ESTIMATED:
        *pause_s = fmax(0, gap_s - trace->output_tokens[last] /
                                       t->config->answer_tokens_per_s);
        return 0;
    case VIDUR_THINK_DRAWN:
        *pause_s = 0;
        return 0;
    case VIDUR_THINK_LOGGED:
        break;
    }
    if (isnan(t->ended_s))
        return vidur_trace_row_fail(
            trace, last, "ended_at", err,
            "missing; the pause before the session's next turn, in line %d, is taken "
            "from the answer's end; give it, or say what to assume: think_time",
            (int)trace->line[row]);
    *pause_s = trace->time_s[row] - t->ended_s;
    return 0;
}

static int take_session(struct taking *t, int32_t session, struct vidur_error *err)
{
    struct vidur_session_rows *rows = t->rows;
    const struct vidur_trace *trace = t->trace;
    for (int64_t at = rows->first[session]; at < rows->first[session + 1]; at++) {
        const int64_t row = t->order[at];
        const bool first = at == rows->first[session];
        double pause_s = 0;
        if (!first && find_pause(t, row, t->order[at - 1], &pause_s, err))
            return -1;
        const double end_s = trace->end_s ? trace->end_s[row] : NAN;
        const bool beside = pause_s < 0;
        rows->beside[at] = beside;
        rows->think_s[at] = beside ? 0 : pause_s;
        rows->prefill_tokens[at] = trace->prompt_tokens[row];
        rows->decode_tokens[at] = trace->output_tokens[row];
        if (!beside || !(end_s <= t->ended_s)) /* what is not known stays so */
            t->ended_s = end_s;
        if (rows->priority)
            rows->priority[at] = trace->priority[row];
    }
    return 0;
}

static int check_tokens(const struct vidur_trace *trace, struct vidur_error *err)
{
    for (int64_t i = 0; i < trace->num_rows; i++)
        for (int k = 0; k < 2; k++) {
            const int32_t tokens =
                k == 0 ? trace->prompt_tokens[i] : trace->output_tokens[i];
            if (tokens < 1 || tokens > INT32_MAX / 4)
                return vidur_trace_row_fail(
                    trace, i, k == 0 ? trace->prompt_column : trace->output_column, err,
                    "%d tokens; a turn has 1 to %d", (int)tokens, INT32_MAX / 4);
        }
    return 0;
}

static int take_rows(struct vidur_session_rows *rows, struct sorting *s,
                     const struct vidur_trace *trace,
                     const struct vidur_sessions_config *config,
                     struct vidur_error *err)
{
    const size_t n = (size_t)trace->num_rows;
    if (sort_rows(s, rows, trace, err))
        return -1;
    rows->slack_tokens = trace->characters_per_token > 0; /* each is rounded up */
    rows->beside = calloc(n, sizeof *rows->beside);
    if (trace->priority)
        rows->priority = malloc(n * sizeof *rows->priority);
    if (trace->time_s)
        rows->start_s = malloc((size_t)rows->num_sessions * sizeof *rows->start_s);
    if (!rows->beside || (trace->priority && !rows->priority) ||
        (trace->time_s && !rows->start_s))
        return no_memory(err);
    struct taking t = {
        .rows = rows, .order = s->order, .trace = trace, .config = config};
    for (int32_t i = 0; i < rows->num_sessions; i++) {
        if (trace->time_s)
            rows->start_s[i] = trace->time_s[s->order[rows->first[i]]];
        if (take_session(&t, i, err))
            return -1;
    }
    return 0;
}

int vidur_session_log_take(struct vidur_session_rows *rows,
                           const struct vidur_trace *trace,
                           const struct vidur_sessions_config *config,
                           struct vidur_error *err)
{
    struct sorting s = {0};
    *rows = (struct vidur_session_rows){0};
    const int status = check_times(trace, config, err) || check_tokens(trace, err) ||
                               take_rows(rows, &s, trace, config, err)
                           ? -1
                           : 0;
    free_sorting(&s);
    if (status)
        vidur_session_rows_free(rows);
    return status;
}

/* ---- The file ---- */

/* A file of sessions has pauses; any other is a log. */
static int is_session_file(const struct vidur_sessions_config *config, bool *is_one,
                           struct vidur_error *err)
{
    char head[4096];
    int size;
    *is_one = false;
    if (config->trace.format[0] || vidur_trace_maps_columns(&config->trace))
        return 0;
    if (vidur_trace_head(config->file, head, sizeof head, &size, err))
        return -1;
    *is_one = vidur_trace_has_column(head, (size_t)size, "think_s");
    return 0;
}

static int read_log(struct vidur_session_rows *rows, struct vidur_trace *trace,
                    const struct vidur_sessions_config *config, struct vidur_error *err)
{
    const unsigned wanted =
        VIDUR_TRACE_LENGTHS | VIDUR_TRACE_TIMES | VIDUR_TRACE_SESSIONS |
        VIDUR_TRACE_PRIORITIES | VIDUR_TRACE_MAY_LACK |
        (config->think_time == VIDUR_THINK_LOGGED ? VIDUR_TRACE_ENDS : 0);
    if (vidur_trace_open(trace, config->file, &config->trace, wanted, err))
        return -1;
    return vidur_session_log_take(rows, trace, config, err);
}

int vidur_session_file_read(struct vidur_session_rows *rows, struct vidur_trace *trace,
                            const struct vidur_workload_config *config,
                            struct vidur_error *err)
{
    bool is_one;
    memset(trace, 0, sizeof *trace);
    *rows = (struct vidur_session_rows){0};
    if (is_session_file(&config->sessions, &is_one, err))
        return vidur_trace_fail("workload.sessions.file", err);
    if (is_one)
        return vidur_session_rows_read(rows, config->sessions.file, config->seed, err);
    if (read_log(rows, trace, &config->sessions, err))
        return vidur_trace_fail("workload.sessions.file", err);
    if (strcmp(config->arrivals.type, "trace") != 0)
        vidur_session_rows_shuffle(rows, config->seed);
    return 0;
}
