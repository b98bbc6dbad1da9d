#include "compare/measured.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

/* ENGINE.md section 4: how inference-perf resolved its shared-prefix profile. */
enum { NUM_GROUPS = 10, NUM_PROMPTS_PER_GROUP = 10 };
static const double tokens_per_asked_token = 1.047;
static const double default_prompt_std_tokens = 6;
static const double normal_p90 = 1.2815515655446004;

struct number {
    const char *key;
    double *out;
};

static int read_numbers(const struct vidur_json_node *node,
                        const struct number *numbers, int count,
                        struct vidur_error *err)
{
    for (int i = 0; i < count; i++) {
        struct vidur_json_node value = vidur_json_get(node, numbers[i].key);
        if (vidur_json_as_double(&value, numbers[i].out, err) != 0)
            return -1;
        if (!(*numbers[i].out > 0))
            return vidur_json_fail(&value, err, "%g; must be above 0", *numbers[i].out);
    }
    return 0;
}

static int read_latency(const struct vidur_json_node *stage, const char *key,
                        struct vidur_measured_latency *out, struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(stage, key);
    const struct number numbers[] = {{"mean", &out->mean},
                                     {"median", &out->p50},
                                     {"p90", &out->p90},
                                     {"p95", &out->p95},
                                     {"p99", &out->p99}};
    return read_numbers(&node, numbers, 5, err);
}

static int read_string(const struct vidur_json_node *node, const char *key, char *out,
                       size_t size, struct vidur_error *err)
{
    struct vidur_json_node value = vidur_json_get(node, key);
    const char *text = vidur_json_as_string(&value, err);
    if (!text)
        return -1;
    if ((size_t)snprintf(out, size, "%s", text) >= size)
        return vidur_json_fail(&value, err, "longer than %zu bytes", size - 1);
    return 0;
}

static int read_limits(const struct vidur_json_node *node,
                       struct vidur_measured_experiment *e, struct vidur_error *err)
{
    const struct {
        const char *key;
        int *out;
    } limits[] = {{"tensor_parallel_size", &e->tensor_parallel_size},
                  {"max_model_len", &e->max_model_len},
                  {"max_num_batched_tokens", &e->max_num_batched_tokens},
                  {"max_num_seqs", &e->max_num_seqs}};
    for (int i = 0; i < 4; i++) {
        struct vidur_json_node value = vidur_json_get(node, limits[i].key);
        if (vidur_json_as_int(&value, limits[i].out, err) != 0)
            return -1;
        if (*limits[i].out < 1)
            return vidur_json_fail(&value, err, "%d; 1 or more", *limits[i].out);
    }
    return 0;
}

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
    const struct number numbers[] = {
        {"mean", &workload->prompt_mean_tokens}, {"median", &median}, {"p90", &p90}};
    if (read_numbers(&node, numbers, 3, err) != 0)
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
    const struct number numbers[] = {{"system_prompt_len", &system},
                                     {"question_len", &question},
                                     {"output_len", &output}};
    if (read_numbers(&prefix, numbers, 3, err) != 0)
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
        const struct number load[] = {{"rate", &e->workload.stages[i].rate_qps},
                                      {"duration", &e->workload.stages[i].duration_s}};
        if (read_numbers(&stage, load, 2, err) != 0)
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
        if (read_latency(&stage, "e2e_s", &out->e2e, err) != 0 ||
            read_latency(&stage, "ttft_s", &out->ttft, err) != 0)
            return -1;
        int gaps = e->workload.output_tokens > 1 ? e->workload.output_tokens - 1 : 1;
        out->tpot_mean_s = (out->e2e.mean - out->ttft.mean) / gaps;
        if (i == 0 && read_prompt_lengths(&stage, asked_tokens, &e->workload, err) != 0)
            return -1;
    }
    return 0;
}

static int read_experiment(const struct vidur_json_node *node,
                           struct vidur_measured_experiment *e, struct vidur_error *err)
{
    double asked_tokens = 0;
    if (read_string(node, "id", e->id, sizeof e->id, err) != 0 ||
        read_string(node, "model", e->model, sizeof e->model, err) != 0 ||
        read_limits(node, e, err) != 0 ||
        read_workload(node, e, &asked_tokens, err) != 0 ||
        read_stages(node, e, asked_tokens, err) != 0)
        return -1;
    return vidur_shared_prefix_check(&e->workload, e->max_model_len, err);
}

int vidur_measured_read(const char *path,
                        struct vidur_measured_experiment **experiments, int *count,
                        struct vidur_error *err)
{
    struct vidur_json *doc = vidur_json_load(path, err);
    if (!doc)
        return -1;
    struct vidur_json_node root = vidur_json_root(doc);
    int rc = -1;
    *count = vidur_json_count(&root);
    *experiments = NULL;
    if (vidur_json_kind(&root) != VIDUR_JSON_ARRAY || *count < 1)
        vidur_json_fail(&root, err, "not a list of experiments");
    else if (!(*experiments = calloc((size_t)*count, sizeof **experiments)))
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    else
        rc = 0;
    for (int i = 0; rc == 0 && i < *count; i++) {
        struct vidur_json_node node = vidur_json_item(&root, i);
        rc = read_experiment(&node, &(*experiments)[i], err);
    }
    if (rc != 0) {
        free(*experiments);
        *experiments = NULL;
    }
    vidur_json_free(doc);
    return rc;
}
