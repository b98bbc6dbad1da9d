#include "compare/measured_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What `vllm bench serve --save-result` writes: `model_id`, `request_rate` (a number or
 * "inf") with `burstiness`, `max_concurrency`, latencies in milliseconds
 * (`mean_ttft_ms`, `median_ttft_ms`, `p99_tpot_ms`, `mean_e2el_ms`, ...), and lengths:
 * those of each request (`input_lens` and `output_lens`, of --save-detailed) or the
 * totals. What the engine was is not in it; members that --metadata added
 * (tensor_parallel_size=4, device=h100, precision=fp8, max_num_seqs=64, ...) are read
 * as in the other formats.
 */

/* ---- Lengths ---- */

static int read_list(const struct vidur_json_node *node, const char *key, int32_t *out,
                     struct vidur_error *err)
{
    struct vidur_json_node list = vidur_json_get(node, key);
    for (int i = 0; i < vidur_json_count(&list); i++) {
        struct vidur_json_node item = vidur_json_item(&list, i);
        int tokens;
        if (vidur_json_as_int(&item, &tokens, err))
            return -1;
        if (tokens < 0)
            return vidur_json_fail(&item, err, "%d tokens", tokens);
        out[i] = tokens;
    }
    return 0;
}

/* Requests that failed have no output and are left out. */
static int64_t drop_failed(struct vidur_measured_experiment *e, int count)
{
    int64_t kept = 0;
    for (int i = 0; i < count; i++) {
        if (e->prompt.list[i] < 1 || e->output.list[i] < 1)
            continue;
        e->prompt.list[kept] = e->prompt.list[i];
        e->output.list[kept++] = e->output.list[i];
    }
    return kept;
}

static int read_lists(const struct vidur_json_node *node,
                      struct vidur_measured_experiment *e, struct vidur_error *err)
{
    struct vidur_json_node inputs = vidur_json_get(node, "input_lens");
    struct vidur_json_node outputs = vidur_json_get(node, "output_lens");
    const int count = vidur_json_count(&inputs);
    if (count < 1 || vidur_json_count(&outputs) != count)
        return vidur_json_fail(&outputs, err, "%d lengths; input_lens has %d",
                               vidur_json_count(&outputs), count);
    e->prompt.list = calloc((size_t)count, sizeof *e->prompt.list);
    e->output.list = calloc((size_t)count, sizeof *e->output.list);
    if (!e->prompt.list || !e->output.list)
        return vidur_fail(err, VIDUR_ENOMEM, "measurements: out of memory");
    if (read_list(node, "input_lens", e->prompt.list, err) ||
        read_list(node, "output_lens", e->output.list, err))
        return -1;
    e->num_requests = drop_failed(e, count);
    if (e->num_requests < 1)
        return vidur_json_fail(&outputs, err, "no request has an output");
    snprintf(e->note, sizeof e->note, "lengths of each request, as measured%s",
             e->num_requests < count ? "; failed ones left out" : "");
    return 0;
}

static int read_totals(const struct vidur_json_node *node,
                       struct vidur_measured_experiment *e, struct vidur_error *err)
{
    double completed, input, output;
    const struct vidur_measured_number numbers[] = {{"completed", &completed},
                                                    {"total_input_tokens", &input},
                                                    {"total_output_tokens", &output}};
    if (vidur_measured_numbers(node, numbers, 3, err))
        return -1;
    e->num_requests = (int64_t)completed;
    e->prompt.min = e->prompt.max = (int)fmax(1, round(input / completed));
    e->output.min = e->output.max = (int)fmax(1, round(output / completed));
    snprintf(e->note, sizeof e->note,
             "every request takes the mean lengths, %d and %d; --save-detailed keeps "
             "each one's",
             e->prompt.max, e->output.max);
    return 0;
}

/* ---- Load ---- */

static int read_rate(const struct vidur_json_node *node, double *rate_qps,
                     struct vidur_error *err)
{
    struct vidur_json_node rate = vidur_json_get(node, "request_rate");
    const struct vidur_measured_number numbers[] = {{"request_rate", rate_qps}};
    *rate_qps = INFINITY;
    if (!vidur_json_has(node, "request_rate"))
        return 0;
    if (vidur_json_kind(&rate) == VIDUR_JSON_STRING) {
        const char *text = vidur_json_as_string(&rate, err);
        return strcmp(text, "inf") == 0
                   ? 0
                   : vidur_json_fail(&rate, err, "'%s'; a number or \"inf\"", text);
    }
    return vidur_measured_numbers(node, numbers, 1, err);
}

static int read_load(const struct vidur_json_node *node,
                     struct vidur_measured_experiment *e, struct vidur_error *err)
{
    const struct vidur_measured_number burstiness[] = {{"burstiness", &e->burstiness}};
    int clients = 0;
    if (read_rate(node, &e->rate_qps, err) ||
        vidur_measured_optional_int(node, "max_concurrency", &clients, err) ||
        (vidur_json_has(node, "burstiness") &&
         vidur_measured_numbers(node, burstiness, 1, err)))
        return -1;
    e->load =
        isinf(e->rate_qps) ? VIDUR_MEASURED_CLOSED_LOOP : VIDUR_MEASURED_OPEN_LOOP;
    e->concurrency =
        clients > 0 && clients < e->num_requests ? clients : e->num_requests;
    if (!isinf(e->rate_qps) && e->concurrency < e->num_requests)
        snprintf(e->left_out, sizeof e->left_out,
                 "request_rate and max_concurrency limit its load together");
    if (vidur_json_has(node, "ramp_up_strategy"))
        snprintf(e->left_out, sizeof e->left_out,
                 "its rate changes (ramp_up_strategy)");
    return 0;
}

/* ---- Latencies ---- */

static int read_ms(const struct vidur_json_node *node, const char *name,
                   struct vidur_measured_latency *out, struct vidur_error *err)
{
    const struct {
        const char *prefix;
        double *out;
    } figures[] = {{"mean", &out->mean},
                   {"median", &out->p50},
                   {"p90", &out->p90},
                   {"p95", &out->p95},
                   {"p99", &out->p99}};
    for (int i = 0; i < 5; i++) {
        char key[32];
        double ms;
        const struct vidur_measured_number number = {key, &ms};
        snprintf(key, sizeof key, "%s_%s_ms", figures[i].prefix, name);
        if (!vidur_json_has(node, key))
            continue;
        if (vidur_measured_numbers(node, &number, 1, err))
            return -1;
        *figures[i].out = ms * 1e-3;
    }
    return 0;
}

static int read_latencies(const struct vidur_json_node *node,
                          struct vidur_measured_experiment *e, struct vidur_error *err)
{
    struct vidur_measured_stage *stage = &e->stages[0];
    double mean_ms;
    const struct vidur_measured_number needed[] = {{"mean_ttft_ms", &mean_ms},
                                                   {"mean_tpot_ms", &mean_ms}};
    if (vidur_measured_numbers(node, needed, 2, err) ||
        read_ms(node, "ttft", &stage->ttft, err) ||
        read_ms(node, "tpot", &stage->tpot, err) ||
        read_ms(node, "e2el", &stage->e2e, err))
        return -1;
    vidur_measured_derive_e2e(e);
    return 0;
}

/* ---- The experiment ---- */

/* Results have no name: model, load and, where it is there, the time. */
static int read_id(const struct vidur_json_node *node,
                   struct vidur_measured_experiment *e, struct vidur_error *err)
{
    char load[32], date[32] = "";
    if (vidur_json_has(node, "id"))
        return vidur_measured_text(node, "id", e->id, sizeof e->id, err);
    if (vidur_json_has(node, "date") &&
        vidur_measured_text(node, "date", date, sizeof date, err))
        return -1;
    if (e->load == VIDUR_MEASURED_OPEN_LOOP)
        snprintf(load, sizeof load, "%gqps", e->rate_qps);
    else
        snprintf(load, sizeof load, "c%lld", (long long)e->concurrency);
    const char *slash = strrchr(e->model, '/');
    snprintf(e->id, sizeof e->id, "%.40s-%.20s%s%.31s", slash ? slash + 1 : e->model,
             load, date[0] ? "-" : "", date);
    return 0;
}

static int read_experiment(const struct vidur_json_node *node,
                           struct vidur_measured_experiment *e, struct vidur_error *err)
{
    const bool detailed =
        vidur_json_has(node, "input_lens") && vidur_json_has(node, "output_lens");
    return vidur_measured_text(node, "model_id", e->model, sizeof e->model, err) ||
                   vidur_measured_engine(node, e, err) ||
                   (detailed ? read_lists(node, e, err) : read_totals(node, e, err)) ||
                   read_load(node, e, err) || read_latencies(node, e, err) ||
                   read_id(node, e, err)
               ? -1
               : 0;
}

static bool knows(const struct vidur_json_node *experiment)
{
    return vidur_json_has(experiment, "model_id") &&
           vidur_json_has(experiment, "mean_ttft_ms");
}

const struct vidur_measured_format vidur_measured_bench_serve = {
    .what = "model_id and mean_ttft_ms (vllm bench serve --save-result)",
    .knows = knows,
    .read = read_experiment};
