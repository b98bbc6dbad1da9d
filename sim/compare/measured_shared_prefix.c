#include "compare/measured_format.h"

/*
 * Experiments with the load generator inference-perf under shared prefixes: `id`,
 * `model`, the engine, `workload` {`stages` of {rate, duration}, `shared_prefix`
 * {system_prompt_len, question_len, output_len}} and `stages`, each with `e2e_s` and
 * `ttft_s` and, where it was measured, `prompt_tokens`. TPOT is (e2e - TTFT) / (output
 * tokens - 1), of the means.
 */

/* ENGINE.md section 4: how inference-perf resolved its shared-prefix profile. */
enum { NUM_GROUPS = 10, NUM_PROMPTS_PER_GROUP = 10 };
static const double tokens_per_asked_token = 1.047;
static const double default_prompt_std_tokens = 6;
static const double normal_p90 = 1.2815515655446004;

/* The measured lengths of the prompts where there are any, else the asked ones. */
static int read_prompt_lengths(const struct vidur_json_node *stage, double asked,
                               struct vidur_shared_prefix_config *workload,
                               struct vidur_error *err)
{
    workload->prompt_mean_tokens = tokens_per_asked_token * asked;
    workload->prompt_std_tokens = default_prompt_std_tokens;
    if (!vidur_json_has(stage, "prompt_tokens"))
        return 0;
    struct vidur_json_node node = vidur_json_get(stage, "prompt_tokens");
    double median, p90;
    const struct vidur_measured_number numbers[] = {
        {"mean", &workload->prompt_mean_tokens}, {"median", &median}, {"p90", &p90}};
    if (vidur_measured_numbers(&node, numbers, 3, err) != 0)
        return -1;
    workload->prompt_std_tokens = (p90 - median) / normal_p90;
    return 0;
}

static int read_workload(const struct vidur_json_node *node,
                         struct vidur_measured_experiment *e, double *asked_tokens,
                         struct vidur_error *err)
{
    struct vidur_json_node workload = vidur_json_get(node, "workload");
    struct vidur_json_node prefix = vidur_json_get(&workload, "shared_prefix");
    struct vidur_json_node stages = vidur_json_get(&workload, "stages");
    double system, question, output;
    const struct vidur_measured_number numbers[] = {{"system_prompt_len", &system},
                                                    {"question_len", &question},
                                                    {"output_len", &output}};
    if (vidur_measured_numbers(&prefix, numbers, 3, err) != 0)
        return -1;
    *asked_tokens = system + question;
    e->workload.num_groups = NUM_GROUPS;
    e->workload.num_prompts_per_group = NUM_PROMPTS_PER_GROUP;
    e->workload.system_prompt_tokens = (int)system;
    e->workload.output_tokens = (int)output;
    e->workload.num_stages = vidur_json_count(&stages);
    if (e->workload.num_stages < 1 || e->workload.num_stages > VIDUR_MAX_LOAD_STAGES)
        return vidur_json_fail(&stages, err, "%d stages; 1 to %d",
                               e->workload.num_stages, VIDUR_MAX_LOAD_STAGES);
    for (int i = 0; i < e->workload.num_stages; i++) {
        struct vidur_json_node stage = vidur_json_item(&stages, i);
        const struct vidur_measured_number load[] = {
            {"rate", &e->workload.stages[i].rate_qps},
            {"duration", &e->workload.stages[i].duration_s}};
        if (vidur_measured_numbers(&stage, load, 2, err) != 0)
            return -1;
    }
    return 0;
}

static int read_stages(const struct vidur_json_node *node,
                       struct vidur_measured_experiment *e, double asked_tokens,
                       struct vidur_error *err)
{
    struct vidur_json_node stages = vidur_json_get(node, "stages");
    if (vidur_json_count(&stages) != e->workload.num_stages)
        return vidur_json_fail(&stages, err, "%d measured stages; the workload has %d",
                               vidur_json_count(&stages), e->workload.num_stages);
    for (int i = 0; i < e->workload.num_stages; i++) {
        struct vidur_json_node stage = vidur_json_item(&stages, i);
        struct vidur_measured_stage *out = &e->stages[i];
        if (vidur_measured_latency(&stage, "e2e_s", &out->e2e, err) != 0 ||
            vidur_measured_latency(&stage, "ttft_s", &out->ttft, err) != 0)
            return -1;
        int gaps = e->workload.output_tokens > 1 ? e->workload.output_tokens - 1 : 1;
        out->tpot.mean = (out->e2e.mean - out->ttft.mean) / gaps;
        if (i == 0 && read_prompt_lengths(&stage, asked_tokens, &e->workload, err) != 0)
            return -1;
    }
    return 0;
}

static int read_experiment(const struct vidur_json_node *node,
                           struct vidur_measured_experiment *e, struct vidur_error *err)
{
    double asked_tokens = 0;
    e->load = VIDUR_MEASURED_SHARED_PREFIX;
    if (vidur_measured_text(node, "id", e->id, sizeof e->id, err) ||
        vidur_measured_text(node, "model", e->model, sizeof e->model, err) ||
        vidur_measured_engine(node, e, err) ||
        read_workload(node, e, &asked_tokens, err) ||
        read_stages(node, e, asked_tokens, err))
        return -1;
    e->num_stages = e->workload.num_stages;
    return vidur_shared_prefix_check(
        &e->workload, e->max_model_len ? e->max_model_len : INT32_MAX, err);
}

static bool knows(const struct vidur_json_node *experiment)
{
    struct vidur_json_node workload = vidur_json_get(experiment, "workload");
    return vidur_json_has(&workload, "shared_prefix");
}

const struct vidur_measured_format vidur_measured_shared_prefix = {
    .what = "workload.shared_prefix (inference-perf, constant rates)",
    .knows = knows,
    .read = read_experiment};
