#include "compare/measured_format.h"

/*
 * Closed loops: `id`, `model`, the engine, `workload.closed_loop` {concurrency,
 * num_requests, prompt_tokens {min, max}, output_tokens {min, max}} and one of
 * `stages`: `ttft_s`, `tpot_s` and, where it was measured, `e2e_s`.
 */

static int read_range(const struct vidur_json_node *loop, const char *key,
                      struct vidur_measured_lengths *out, struct vidur_error *err)
{
    struct vidur_json_node range = vidur_json_get(loop, key);
    double min, max;
    const struct vidur_measured_number numbers[] = {{"min", &min}, {"max", &max}};
    if (vidur_measured_numbers(&range, numbers, 2, err))
        return -1;
    if (min > max || max > INT32_MAX / 2)
        return vidur_json_fail(&range, err, "%g to %g tokens", min, max);
    out->min = (int)min;
    out->max = (int)max;
    return 0;
}

static int read_loop(const struct vidur_json_node *node,
                     struct vidur_measured_experiment *e, struct vidur_error *err)
{
    struct vidur_json_node workload = vidur_json_get(node, "workload");
    struct vidur_json_node loop = vidur_json_get(&workload, "closed_loop");
    double concurrency, requests;
    const struct vidur_measured_number numbers[] = {{"concurrency", &concurrency},
                                                    {"num_requests", &requests}};
    if (vidur_measured_numbers(&loop, numbers, 2, err) ||
        read_range(&loop, "prompt_tokens", &e->prompt, err) ||
        read_range(&loop, "output_tokens", &e->output, err))
        return -1;
    e->concurrency = (int64_t)concurrency;
    e->num_requests = (int64_t)requests;
    return 0;
}

static int read_stage(const struct vidur_json_node *node,
                      struct vidur_measured_experiment *e, struct vidur_error *err)
{
    struct vidur_json_node stages = vidur_json_get(node, "stages");
    if (vidur_json_count(&stages) != 1)
        return vidur_json_fail(&stages, err, "%d stages; a closed loop has one",
                               vidur_json_count(&stages));
    struct vidur_json_node stage = vidur_json_item(&stages, 0);
    struct vidur_measured_stage *out = &e->stages[0];
    if (vidur_measured_latency(&stage, "ttft_s", &out->ttft, err) ||
        vidur_measured_latency(&stage, "tpot_s", &out->tpot, err) ||
        (vidur_json_has(&stage, "e2e_s") &&
         vidur_measured_latency(&stage, "e2e_s", &out->e2e, err)))
        return -1;
    vidur_measured_derive_e2e(e);
    return 0;
}

static int read_experiment(const struct vidur_json_node *node,
                           struct vidur_measured_experiment *e, struct vidur_error *err)
{
    e->load = VIDUR_MEASURED_CLOSED_LOOP;
    return vidur_measured_text(node, "id", e->id, sizeof e->id, err) ||
                   vidur_measured_text(node, "model", e->model, sizeof e->model, err) ||
                   vidur_measured_engine(node, e, err) || read_loop(node, e, err) ||
                   read_stage(node, e, err)
               ? -1
               : 0;
}

static bool knows(const struct vidur_json_node *experiment)
{
    struct vidur_json_node workload = vidur_json_get(experiment, "workload");
    return vidur_json_has(&workload, "closed_loop");
}

const struct vidur_measured_format vidur_measured_closed_loop = {
    .what = "workload.closed_loop (a number of clients)",
    .knows = knows,
    .read = read_experiment};
