#include "program/estimate_commands.h"

#include "base/text.h"
#include "tables/step_explain.h"
#include "tables/timetable_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* explain: one step of an engine, operator by operator. */

struct explained {
    const struct vidur_estimate_job *job;
    struct vidur_engine_request request;
    struct vidur_step_batch batch;
    struct vidur_stage_kinds stages; /* of a pipeline each kind is told */
    struct vidur_step_plan plan;     /* of one of them */
    struct vidur_step_lines lines;
    double way_ms, longest_ms; /* over all stages, and of the longest */
};

/* ---- What is asked for ---- */

static int read_batch(const struct vidur_estimate_job *job,
                      struct vidur_step_batch *batch, struct vidur_error *err)
{
    int decodes = 32, context = 1024, prompt = 0, prefix = 0;
    if (vidur_args_int(job->args, "decodes", &decodes, err) ||
        vidur_args_int(job->args, "context", &context, err) ||
        vidur_args_int(job->args, "prompt", &prompt, err) ||
        vidur_args_int(job->args, "prefix", &prefix, err))
        return -1;
    *batch = (struct vidur_step_batch){.decodes = decodes,
                                       .context_tokens = context,
                                       .prompt_tokens = prompt,
                                       .prefix_tokens = prefix,
                                       .max_num_seqs = job->config->max_num_seqs};
    return 0;
}

static int check(const struct vidur_estimate_config *config, struct vidur_error *err)
{
    const enum vidur_estimator_source source = config->estimator.source;
    if (source != VIDUR_SOURCE_KERNELS && source != VIDUR_SOURCE_ROOFLINE)
        return vidur_fail(err, VIDUR_EINVAL,
                          "explain: estimator.source: profiles and tables have times "
                          "of a layer's operators alone; use kernels or roofline");
    return 0;
}

static struct vidur_engine_request
request_of(const struct vidur_estimate_config *config)
{
    const struct vidur_timetable_request request = vidur_estimate_request(config);
    struct vidur_engine_request wanted =
        vidur_timetable_engine_request(&config->estimator, &request);
    wanted.num_stages = config->num_pipeline_stages;
    return wanted;
}

/* ---- Text ---- */

static void print_head(const struct explained *e)
{
    FILE *out = e->job->out;
    const struct vidur_estimate_config *c = e->job->config;
    const struct vidur_step_batch *b = &e->batch;
    char provenance[256];
    vidur_step_describe_source(&e->plan, provenance, sizeof provenance);
    char parts[96] = "";
    if (c->num_pipeline_stages > 1)
        snprintf(parts, sizeof parts, ", pipeline of %d", c->num_pipeline_stages);
    else if (c->data_parallel_size > 1)
        snprintf(parts, sizeof parts, ", data parallel %d (ranks alike)",
                 c->data_parallel_size);
    fprintf(out, "# %s on %s (%s), tensor parallel %d%s%s, one device\n",
            vidur_text_show(c->model.name).text, vidur_text_show(c->device.name).text,
            vidur_text_show(c->node.name).text, c->tensor_parallel_size,
            c->expert_parallel ? ", expert parallel" : "", parts);
    fprintf(out, "# %s\n", vidur_text_show(provenance).text);
    fprintf(out, "# %lld decodes of %lld tokens", (long long)b->decodes,
            (long long)b->context_tokens);
    if (b->prompt_tokens > 0)
        fprintf(out, ", a prompt's %lld tokens behind %lld",
                (long long)b->prompt_tokens, (long long)b->prefix_tokens);
    fprintf(out, ": %lld tokens, run as %lld; peaks %.0f GB/s, %.0f TFLOP/s bf16\n",
            (long long)e->lines.tokens, (long long)e->lines.padded_tokens,
            e->plan.pricer.bandwidth_bytes_per_s * 1e-9,
            e->plan.pricer.peak_flops[VIDUR_PEAK_bf16] * 1e-12);
}

static void print_kind(FILE *out, int index, const struct vidur_shard_layers *l)
{
    const struct vidur_layer_kind *k = &l->kind;
    fprintf(out, "# kind %d: %.15g layers, ", index + 1, l->count);
    if (k->attention == VIDUR_ATTENTION_MLA)
        fprintf(out, "latent attention of %d heads", l->q_heads);
    else
        fprintf(out, "%d query heads, %d KV heads of %d", l->q_heads, l->kv_heads,
                k->head_dim);
    if (k->window_tokens > 0)
        fprintf(out, ", window %d", k->window_tokens);
    if (k->mlp_hidden_dim > 0)
        fprintf(out, ", MLP %.15g", l->mlp_dim);
    if (k->num_experts > 0)
        fprintf(out, ", %d of %d experts of %d, on %d device%s", k->experts_per_token,
                k->num_experts, k->expert_hidden_dim, l->moe_tensor * l->moe_expert,
                l->moe_tensor * l->moe_expert > 1 ? "s" : "");
    fprintf(out, "\n");
}

static void print_share(FILE *out, double share)
{
    if (isnan(share))
        fprintf(out, " %7s", "-");
    else
        fprintf(out, " %7.1f", 100 * share);
}

static void print_line(FILE *out, const struct vidur_step_line *line, double step_ms)
{
    char kind[12] = "-";
    if (line->kind >= 0)
        snprintf(kind, sizeof kind, "%d", line->kind + 1);
    fprintf(out, "%-15s %4s %6.15g %10.5f %10.4f %7.1f %10.2f %10.2f", line->name, kind,
            line->times, line->ms / line->times, line->ms, 100 * line->ms / step_ms,
            line->bytes * 1e-6, line->flops * 1e-9);
    print_share(out, line->bandwidth_share);
    print_share(out, line->peak_share);
    fprintf(out, "\n");
}

/* Parts in the order in which they first come. */
static void print_parts(FILE *out, const struct vidur_step_lines *lines)
{
    fprintf(out, "#\n");
    for (int i = 0; i < lines->count; i++) {
        double ms = 0;
        bool told = false;
        for (int j = 0; j < lines->count; j++) {
            const bool same = strcmp(lines->at[j].part, lines->at[i].part) == 0;
            ms += same ? lines->at[j].ms : 0;
            told |= same && j < i;
        }
        if (!told)
            fprintf(out, "# %-36s %10.4f %7.1f\n", lines->at[i].part, ms,
                    100 * ms / lines->ms);
    }
    fprintf(out, "# %-36s %10.4f %7.1f\n", "step", lines->ms, 100.0);
}

/* The stages of one kind, and where their output goes. */
static void print_stages(const struct explained *e)
{
    static const char *const links[] = {[VIDUR_LINK_NONE] = "which has the output head",
                                        [VIDUR_LINK_FAST] = "sends within its node",
                                        [VIDUR_LINK_FALLBACK] = "sends between pairs",
                                        [VIDUR_LINK_NODES] = "sends to another node"};
    FILE *out = e->job->out;
    const int kind = e->stages.kind_of[e->plan.stage];
    int count = 0;
    fprintf(out, "#\n# stage");
    for (int s = 0; s < e->stages.num_stages; s++)
        if (e->stages.kind_of[s] == kind)
            fprintf(out, "%s %d", count++ ? "," : "", s + 1);
    fprintf(out, " of %d, %s\n", e->stages.num_stages, links[e->plan.pricer.to_next]);
}

static void print_text(const struct explained *e)
{
    FILE *out = e->job->out;
    if (e->plan.stage == 0)
        print_head(e);
    if (e->stages.num_stages > 1)
        print_stages(e);
    for (int i = 0; i < e->plan.shard.num_kinds; i++)
        if (e->plan.shard.layers[i].count > 0)
            print_kind(out, i, &e->plan.shard.layers[i]);
    fprintf(out, "%-15s %4s %6s %10s %10s %7s %10s %10s %7s %7s\n", "operator", "kind",
            "times", "ms_each", "ms", "%_step", "MB", "GFLOP", "%_bandw", "%_peak");
    for (int i = 0; i < e->lines.count; i++)
        print_line(out, &e->lines.at[i], e->lines.ms);
    print_parts(out, &e->lines);
}

/* ---- CSV ---- */

static void print_cell(FILE *out, double value)
{
    if (isnan(value))
        fprintf(out, ",");
    else
        fprintf(out, ",%.17g", value);
}

/* Every stage of a pipeline, with its number in front. */
static void print_csv(const struct explained *e)
{
    FILE *out = e->job->out;
    const struct vidur_step_lines *lines = &e->lines;
    const bool piped = e->stages.num_stages > 1;
    if (e->plan.stage == 0)
        fprintf(out,
                "%soperator,part,kind,times,ms_each,ms,share,bytes,flops,"
                "bandwidth_share,peak_share\n",
                piped ? "stage," : "");
    for (int i = 0; i < lines->count; i++) {
        const struct vidur_step_line *line = &lines->at[i];
        const double cells[] = {line->kind >= 0 ? line->kind + 1.0 : (double)NAN,
                                line->times,
                                line->ms / line->times,
                                line->ms,
                                line->ms / lines->ms,
                                line->bytes,
                                line->flops,
                                line->bandwidth_share,
                                line->peak_share};
        if (piped)
            fprintf(out, "%d,", e->plan.stage + 1);
        fprintf(out, "%s,%s", line->name, line->part);
        for (size_t j = 0; j < sizeof cells / sizeof cells[0]; j++)
            print_cell(out, cells[j]);
        fprintf(out, "\n");
    }
}

/* ---- Stages ---- */

static int explain_stage(struct explained *e, int stage, struct vidur_error *err)
{
    const bool csv = vidur_args_given(e->job->args, "csv");
    const int kind = e->stages.kind_of[stage];
    e->request.stage = stage;
    if (vidur_step_plan_begin(&e->plan, &e->request, err) ||
        vidur_step_explain(&e->lines, &e->plan, &e->batch, err)) {
        vidur_step_plan_end(&e->plan);
        return -1;
    }
    e->way_ms += e->lines.ms;
    e->longest_ms = fmax(e->longest_ms, e->lines.ms);
    if (csv)
        print_csv(e);
    else if (e->stages.stage_of[kind] == stage)
        print_text(e);
    vidur_step_plan_end(&e->plan);
    return 0;
}

static int explain(struct explained *e, struct vidur_error *err)
{
    const struct vidur_estimate_config *config = e->job->config;
    const struct vidur_cut cut = {.tensor = config->tensor_parallel_size,
                                  .pipeline = config->num_pipeline_stages,
                                  .expert = config->expert_parallel,
                                  .data = config->data_parallel_size};
    if (check(config, err) || read_batch(e->job, &e->batch, err))
        return -1;
    e->request = request_of(config);
    if (vidur_step_batch_request(&e->request, &e->batch, err))
        return vidur_fail_prefix(err, "explain");
    if (vidur_stage_kinds_of(&e->stages, &config->model, &config->node, &cut, err))
        return -1;
    for (int stage = 0; stage < e->stages.num_stages; stage++)
        if (explain_stage(e, stage, err))
            return -1;
    if (e->stages.num_stages > 1 && !vidur_args_given(e->job->args, "csv"))
        fprintf(e->job->out, "#\n# %-36s %10.4f\n# %-36s %10.4f\n", "all stages",
                e->way_ms, "the longest stage", e->longest_ms);
    return 0;
}

int vidur_estimate_explain(const struct vidur_estimate_job *job,
                           struct vidur_error *err)
{
    struct explained *e = calloc(1, sizeof *e);
    if (!e) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory");
        return 2;
    }
    e->job = job;
    const int status = explain(e, err);
    free(e);
    return status ? 1 : 0;
}
