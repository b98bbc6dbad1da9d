#include "space/judge.h"

#include "results/results_notes.h"

#include <vidur/scheduler.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static int set_reason(struct vidur_candidate *c, enum vidur_candidate_status status,
                      const char *reason, struct vidur_error *err)
{
    c->status = status;
    c->reason = strdup(reason);
    return c->reason ? 0
                     : vidur_fail(err, VIDUR_ENOMEM, "out of memory for candidates");
}

static int check_memory(struct vidur_candidate *c,
                        const struct vidur_deployment *deployment, int max_tokens,
                        struct vidur_error *err)
{
    const double gib = 1073741824.0;
    struct vidur_memory_plan plan;
    char reason[256];
    vidur_memory_plan(deployment, max_tokens, &plan);
    const double kv_bytes = plan.kv_bytes_per_token * max_tokens;
    c->num_blocks = plan.num_blocks;
    if (plan.fits)
        return 0;
    snprintf(reason, sizeof reason,
             "%.1f GiB of weights and %.2f GiB of KV for one request of %d tokens do "
             "not fit in %.1f GiB per device: %.2f" VIDUR_TOO_MANY_GIB,
             plan.param_bytes / gib, kv_bytes / gib, max_tokens,
             plan.available_bytes / gib,
             (plan.param_bytes + kv_bytes - plan.available_bytes) / gib);
    return set_reason(c, VIDUR_CANDIDATE_INFEASIBLE_MEMORY, reason, err);
}

/* The longest prompt that may be drawn; 0: no telling before a trace is read. */
static int longest_of(const struct vidur_lengths_config *lengths, int max_tokens)
{
    const double total = max_tokens;
    const bool uniform = strcmp(lengths->type, "uniform") == 0; /* less than total */
    if (strcmp(lengths->type, "fixed") == 0)
        return lengths->prefill_tokens;
    if (uniform || strcmp(lengths->type, "zipf") == 0)
        return (int)(total - ceil(total / (1 + lengths->prefill_to_decode_ratio))) -
               uniform;
    return 0;
}

static int longest_prompt(const struct vidur_workload_config *workload)
{
    int longest = 0;
    if (workload->num_classes == 0)
        return longest_of(&workload->lengths, workload->max_tokens);
    for (int i = 0; i < workload->num_classes; i++) {
        const struct vidur_class_config *class = &workload->classes[i];
        const int own = longest_of(&class->lengths, class->max_tokens);
        longest = own > longest ? own : longest;
    }
    return longest;
}

/* These admit whole prompts by a budget of tokens: the first longer one waits for ever
 * at the head of the queue. */
static int check_budget(struct vidur_candidate *c,
                        const struct vidur_scheduler_config *scheduler,
                        const struct vidur_workload_config *workload,
                        struct vidur_error *err)
{
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(scheduler->type);
    const int prompt = longest_prompt(workload);
    char reason[160];
    if (vidur_scheduler_takes_prompt(ops, scheduler, prompt))
        return 0;
    snprintf(reason, sizeof reason,
             "%s %.0f is below prompts of up to %d tokens (max_seq_len "
             "%d): longer prompts never run",
             vidur_knob_name(ops->token_budget),
             vidur_knob_value(scheduler, ops->token_budget), prompt,
             workload->max_tokens);
    return set_reason(c, VIDUR_CANDIDATE_INVALID, reason, err);
}

/* Profiles and tables have one dense layer in bf16, which stands for all of its like.
 */
static int check_times(const struct vidur_search_config *config,
                       struct vidur_candidate *c, const struct vidur_model_spec *model,
                       struct vidur_error *err)
{
    const bool uniform = vidur_model_is_uniform_dense(model);
    const bool profiles = config->estimator.source == VIDUR_SOURCE_PROFILES;
    char reason[160];
    if ((!profiles && config->estimator.source != VIDUR_SOURCE_TABLES) ||
        (uniform && vidur_precision_is_bf16(&model->precision)))
        return 0;
    snprintf(reason, sizeof reason,
             "estimator.source: %s have times of dense layers in bf16, not of %s; take "
             "kernels or roofline",
             profiles ? "profiles" : "tables",
             uniform ? "other formats" : "experts, windows or latent attention");
    return set_reason(c, VIDUR_CANDIDATE_INVALID, reason, err);
}

int judge_candidate(const struct vidur_space *space, struct vidur_candidate *c,
                    const struct vidur_deployment *deployment, struct vidur_error *err)
{
    struct vidur_error why;
    const int wanted = vidur_candidate_devices(c);
    if (c->num_replicas < 1) {
        char reason[128];
        snprintf(reason, sizeof reason, "a replica takes %d GPUs; the cluster has %d",
                 wanted, space->config->clusters[c->cluster].num_gpus);
        return set_reason(c, VIDUR_CANDIDATE_INVALID, reason, err);
    }
    if (space->config->target.qps > 0 && wanted > space->config->target.max_gpus) {
        char reason[128];
        snprintf(reason, sizeof reason,
                 "a replica takes %d GPUs; target.max_gpus is %d", wanted,
                 space->config->target.max_gpus);
        return set_reason(c, VIDUR_CANDIDATE_INVALID, reason, err);
    }
    if (vidur_deployment_check(deployment, &why) != 0)
        return set_reason(c, VIDUR_CANDIDATE_INVALID, why.text, err);
    const struct vidur_workload_config *workload =
        &space->config->traces[c->trace].workload;
    if (check_times(space->config, c, &deployment->model, err) != 0)
        return -1;
    if (c->status == VIDUR_CANDIDATE_RUNNABLE &&
        check_budget(c, &deployment->scheduler, workload, err) != 0)
        return -1;
    return c->status == VIDUR_CANDIDATE_RUNNABLE
               ? check_memory(c, deployment, workload->max_tokens, err)
               : 0;
}
