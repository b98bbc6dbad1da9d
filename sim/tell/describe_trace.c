#include "tell/describe_trace.h"

#include "base/quantile.h"
#include "load/session_log.h"
#include "load/trace_format.h"
#include "tell/prefix_hits.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int vidur_trace_read_stores(const char *list, struct vidur_trace_question *question,
                            struct vidur_error *err)
{
    question->num_stores = 0;
    for (const char *at = list;; at++) {
        char number[32];
        const size_t length = strcspn(at, ",");
        int64_t *blocks = &question->stores[question->num_stores];
        snprintf(number, sizeof number, "%.*s", (int)length, at);
        if (question->num_stores == VIDUR_MAX_STORES)
            return vidur_fail(err, VIDUR_EINVAL, "--blocks: more than %d sizes",
                              VIDUR_MAX_STORES);
        if (!vidur_text_int64(number, blocks) || *blocks < 1)
            return vidur_fail(err, VIDUR_EINVAL,
                              "--blocks: '%s' is not a number of blocks; give sizes of "
                              "1 or more, like 1000,20000",
                              number);
        question->num_stores++;
        at += length;
        if (!*at)
            return 0;
    }
}

static void VIDUR_PRINTF(2, 3) tell(struct vidur_text *out, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    vidur_text_adds(out, line);
}

struct number {
    char text[40];
};

/* So many significant digits, more rather than an exponent. */
static struct number plain(double value, int digits)
{
    struct number number;
    if (fabs(value) < pow(10, digits))
        snprintf(number.text, sizeof number.text, "%.*g", digits, value);
    else
        snprintf(number.text, sizeof number.text, "%.0f", value);
    return number;
}

/* ---- The file ---- */

static void tell_head(const struct vidur_trace *trace, struct vidur_text *out)
{
    tell(out, "file         %s\n", vidur_text_show(trace->path).text);
    tell(out, "format       %s: %s\n", trace->format->name, trace->format->title);
    tell(out, "requests     %lld\n", (long long)trace->num_rows);
    if (trace->num_failed > 0)
        tell(out, "left out     %lld that failed or have no output\n",
             (long long)trace->num_failed);
    if (trace->num_unsorted > 0)
        tell(out, "out of order %lld, sorted by time\n",
             (long long)trace->num_unsorted);
    if (trace->characters_per_token > 0)
        tell(out, "lengths      estimated, at %g characters a token\n",
             trace->characters_per_token);
}

/* ---- Rates ---- */

enum { MOST_SLICES = 60 };

struct slices {
    int count;
    double width_s;
    int64_t requests[MOST_SLICES];
    int64_t prompt_tokens[MOST_SLICES], output_tokens[MOST_SLICES];
};

static void cut_slices(const struct vidur_trace *trace, struct slices *slices)
{
    const int64_t n = trace->num_rows;
    const double begin_s = trace->time_s[0];
    const double span_s = trace->time_s[n - 1] - begin_s;
    *slices = (struct slices){.count = n < MOST_SLICES ? (int)n : MOST_SLICES};
    slices->width_s = span_s / slices->count;
    for (int64_t i = 0; i < n; i++) {
        const double place = (trace->time_s[i] - begin_s) / slices->width_s;
        int slice = place < slices->count ? (int)place : slices->count - 1;
        slices->requests[slice]++;
        slices->prompt_tokens[slice] += trace->prompt_tokens[i];
        slices->output_tokens[slice] += trace->output_tokens[i];
    }
}

static void draw(const struct slices *slices, int64_t most, struct vidur_text *out)
{
    static const char *const levels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    for (int i = 0; i < slices->count; i++) {
        const double share = (double)slices->requests[i] / (double)most;
        vidur_text_adds(out, levels[(int)ceil(share * 8)]);
    }
}

static void tell_rates(const struct vidur_trace *trace, struct vidur_text *out)
{
    struct slices slices;
    cut_slices(trace, &slices);
    int busiest = 0, calmest = 0;
    int64_t prompt = 0, output = 0;
    for (int i = 0; i < slices.count; i++) {
        if (slices.requests[i] > slices.requests[busiest])
            busiest = i;
        if (slices.requests[i] < slices.requests[calmest])
            calmest = i;
        prompt += slices.prompt_tokens[i];
        output += slices.output_tokens[i];
    }
    const double width_s = slices.width_s, span_s = width_s * slices.count;
    tell(out, "rate         %s requests/s, %s prompt and %s output tokens/s\n",
         plain((double)trace->num_rows / span_s, 4).text,
         plain((double)prompt / span_s, 5).text,
         plain((double)output / span_s, 5).text);
    tell(out, "over time    |");
    draw(&slices, slices.requests[busiest], out);
    tell(out, "| in slices of %s s: %s to %s requests/s\n", plain(width_s, 4).text,
         plain((double)slices.requests[calmest] / width_s, 4).text,
         plain((double)slices.requests[busiest] / width_s, 4).text);
    tell(out,
         "busiest      from %s to %s s: %s requests/s, %s prompt and %s output "
         "tokens/s\n",
         plain(busiest * width_s, 4).text, plain((busiest + 1) * width_s, 4).text,
         plain((double)slices.requests[busiest] / width_s, 4).text,
         plain((double)slices.prompt_tokens[busiest] / width_s, 5).text,
         plain((double)slices.output_tokens[busiest] / width_s, 5).text);
}

static void tell_times(const struct vidur_trace *trace, struct vidur_text *out)
{
    if (!trace->time_s) {
        tell(out, "span         no times of arrival\n");
        return;
    }
    const double span_s = trace->time_s[trace->num_rows - 1] - trace->time_s[0];
    tell(out, "span         %s s (%s h)\n", plain(span_s, 6).text,
         plain(span_s / 3600, 3).text);
    if (span_s > 0)
        tell_rates(trace, out);
}

/* ---- Lengths and sessions ---- */

/* Uses the samples up. */
static void tell_samples(const char *name, double *samples, int64_t count,
                         struct vidur_text *out)
{
    struct vidur_distribution d;
    const double p10 = vidur_quantile(samples, count, 0.1);
    vidur_distribution_of(&d, samples, count);
    const double told[] = {d.mean, d.min, p10, d.p50, d.p90, d.p99, d.max};
    tell(out, "%-13s", name);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        tell(out, " %9s", plain(told[i], 5).text);
    tell(out, "\n");
}

static int tell_distribution(const char *name, const int32_t *values, int64_t count,
                             struct vidur_text *out, struct vidur_error *err)
{
    double *samples = malloc((size_t)count * sizeof *samples);
    if (!samples)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %s", name);
    for (int64_t i = 0; i < count; i++)
        samples[i] = values[i];
    tell_samples(name, samples, count, out);
    free(samples);
    return 0;
}

/* Of the requests whose answers have ends. */
static int tell_latencies(const struct vidur_trace *trace, struct vidur_text *out,
                          struct vidur_error *err)
{
    if (!trace->end_s)
        return 0;
    double *samples = malloc((size_t)trace->num_rows * sizeof *samples);
    if (!samples)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for latencies");
    int64_t count = 0;
    for (int64_t i = 0; i < trace->num_rows; i++)
        if (!isnan(trace->end_s[i]))
            samples[count++] = trace->end_s[i] - trace->time_s[i];
    tell_samples("latency_s", samples, count, out);
    free(samples);
    if (count < trace->num_rows)
        tell(out, "              (%lld requests have none)\n",
             (long long)(trace->num_rows - count));
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* "priorities   -1: 20 requests (20 %), 0: ..." */
static int tell_priorities(const struct vidur_trace *trace, struct vidur_text *out,
                           struct vidur_error *err)
{
    enum { MOST_TOLD = 16 };
    const int64_t n = trace->num_rows;
    if (!trace->priority)
        return 0;
    int32_t *values = malloc((size_t)n * sizeof *values);
    if (!values)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for priorities");
    memcpy(values, trace->priority, (size_t)n * sizeof *values);
    qsort(values, (size_t)n, sizeof *values, by_value);
    int64_t told = 0, more = 0;
    for (int64_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && values[next] == values[i];)
            next++;
        if (told++ < MOST_TOLD)
            tell(out, "%s%d: %lld requests (%.3g %%)",
                 told == 1 ? "\npriorities   " : ", ", (int)values[i],
                 (long long)(next - i), 100 * (double)(next - i) / (double)n);
        else
            more++;
    }
    if (more > 0)
        tell(out, ", and %lld more", (long long)more);
    tell(out, "; lower ones first\n");
    free(values);
    return 0;
}

static int tell_lengths(const struct vidur_trace *trace, struct vidur_text *out,
                        struct vidur_error *err)
{
    tell(out, "\n%-13s %9s %9s %9s %9s %9s %9s %9s\n", "tokens", "mean", "min", "p10",
         "p50", "p90", "p99", "max");
    return tell_distribution("prompt", trace->prompt_tokens, trace->num_rows, out,
                             err) ||
                   tell_distribution("output", trace->output_tokens, trace->num_rows,
                                     out, err) ||
                   tell_latencies(trace, out, err)
               ? -1
               : 0;
}

/* Of a log with ends: what sessions of it pause between turns, and the requests that
 * wait for no answer. What cannot be run as sessions has none. */
static int tell_pauses(const struct vidur_trace *trace, struct vidur_text *out,
                       struct vidur_error *err)
{
    const struct vidur_sessions_config logged = {.think_time = VIDUR_THINK_LOGGED};
    struct vidur_session_rows rows;
    struct vidur_error none = {0};
    if (!trace->end_s || vidur_session_log_take(&rows, trace, &logged, &none))
        return 0;
    double *samples = malloc((size_t)trace->num_rows * sizeof *samples);
    int64_t count = 0, beside = 0;
    for (int32_t s = 0; samples && s < rows.num_sessions; s++)
        for (int64_t i = rows.first[s] + 1; i < rows.first[s + 1]; i++) {
            beside += rows.beside[i];
            if (!rows.beside[i])
                samples[count++] = rows.think_s[i];
        }
    if (count > 0)
        tell_samples("pause_s", samples, count, out);
    if (beside > 0)
        tell(out, "              (%lld requests arrive before the last answer ends)\n",
             (long long)beside);
    vidur_session_rows_free(&rows);
    const bool done = samples != NULL;
    free(samples);
    return done ? 0 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for pauses");
}

static int tell_sessions(const struct vidur_trace *trace, struct vidur_text *out,
                         struct vidur_error *err)
{
    if (!trace->session || trace->num_sessions == 0)
        return 0;
    int32_t *turns = calloc((size_t)trace->num_sessions, sizeof *turns);
    if (!turns)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for sessions");
    int64_t alone = 0, count = 0;
    for (int64_t i = 0; i < trace->num_rows; i++) {
        if (trace->session[i] >= 0)
            turns[trace->session[i]]++;
        else
            alone++;
    }
    for (int32_t i = 0; i < trace->num_sessions; i++) /* without those left out whole */
        if (turns[i] > 0)
            turns[count++] = turns[i];
    int status = count > 0 ? tell_distribution("turns", turns, count, out, err) : 0;
    free(turns);
    if (status == 0)
        status = tell_pauses(trace, out, err);
    tell(out, "\nsessions     %lld, and %lld requests in none\n", (long long)count,
         (long long)alone);
    return status;
}

/* ---- Prefixes ---- */

static double rate_of(const struct vidur_prefix_hits *hits)
{
    return hits->blocks > 0 ? (double)hits->hits / (double)hits->blocks : 0;
}

static int tell_prefixes(const struct vidur_trace_question *question,
                         const struct vidur_trace *trace, struct vidur_text *out,
                         struct vidur_error *err)
{
    struct vidur_prefix_hits hits;
    if (!trace->blocks)
        return 0;
    if (vidur_prefix_hits_of(trace, 0, &hits, err))
        return -1;
    tell(out, "\nblocks       %lld of %d tokens, %d of them distinct\n",
         (long long)hits.blocks, trace->block_tokens, trace->num_distinct_blocks);
    tell(out, "prefix hits  %.4f at best: a store of all blocks, prompts one by one\n",
         rate_of(&hits));
    for (int i = 0; i < question->num_stores; i++) {
        if (vidur_prefix_hits_of(trace, question->stores[i], &hits, err))
            return -1;
        tell(out, "             %.4f with the %lld blocks used last\n", rate_of(&hits),
             (long long)question->stores[i]);
    }
    return 0;
}

/* How to search with it, where its name says all. */
static void tell_search(const struct vidur_trace_question *question,
                        const struct vidur_trace *trace, struct vidur_text *out)
{
    static const struct vidur_trace_options none;
    if (memcmp(&question->options, &none, sizeof none) != 0)
        return;
    const bool has_times =
        trace->time_s && trace->time_s[trace->num_rows - 1] > trace->time_s[0];
    tell(out,
         "\nsearch it    vidur-search --model NAME --gpus NAME,... --ttft-p95 1 "
         "--tpot-p95 0.04 --%s '%s'\n",
         has_times ? "replay" : "trace", vidur_text_show(trace->path).text);
    if (trace->session && trace->num_sessions > 0)
        tell(out,
             "             with turns that wait for answers: sessions: {file: ...}, "
             "as configs/sessions-search.yaml has it\n");
}

int vidur_trace_describe(const struct vidur_trace_question *question,
                         struct vidur_text *out, struct vidur_error *err)
{
    struct vidur_trace trace;
    int status = vidur_trace_open(&trace, question->path, &question->options,
                                  VIDUR_TRACE_ALL, err);
    if (status == 0) {
        tell_head(&trace, out);
        tell_times(&trace, out);
        status = tell_lengths(&trace, out, err) || tell_sessions(&trace, out, err) ||
                         tell_priorities(&trace, out, err) ||
                         tell_prefixes(question, &trace, out, err)
                     ? -1
                     : 0;
        tell_search(question, &trace, out);
    }
    if (status == 0 && out->failed)
        status = vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    vidur_trace_close(&trace);
    return status;
}
