#include "tables/step_plan.h"

#include "tables/kernel_library.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ENGINE.md section 3: constants fitted on H100; c_ar is the device's own. */
static const struct vidur_engine_constants defaults = {
    .eta = 0.91, .t0_us = 10, .c_ar_us = NAN, .tokenise_us = 10, .t_api_ms = 2};

static double or_default(double value, double fallback)
{
    return isnan(value) ? fallback : value;
}

struct vidur_engine_constants
vidur_step_constants(const struct vidur_engine_constants *asked,
                     const struct vidur_device_sku *device)
{
    struct vidur_engine_constants c = *asked;
    c.eta = or_default(asked->eta, defaults.eta);
    c.t0_us = or_default(asked->t0_us, defaults.t0_us);
    c.c_ar_us = or_default(asked->c_ar_us, device->engine.all_reduce_skew_us);
    c.tokenise_us = or_default(asked->tokenise_us, defaults.tokenise_us);
    c.t_api_ms = or_default(asked->t_api_ms, defaults.t_api_ms);
    return c;
}

/* ---- The terms ---- */

static void add_term(struct vidur_step_plan *plan, const struct vidur_step_term *term)
{
    plan->terms[plan->num_terms++] = *term;
}

static void add_in_layers(struct vidur_step_plan *plan, const struct vidur_operator *op)
{
    for (int i = 0; i < plan->shard.num_kinds; i++) {
        const struct vidur_shard_layers *layers = &plan->shard.layers[i];
        const int times = op->times(&plan->shard, layers);
        struct vidur_step_term term = {
            .op = op, .layers = layers, .kind = i, .times = times * layers->count};
        if (term.times == 0)
            continue;
        op->work(&plan->shard, layers, &term.work);
        add_term(plan, &term);
    }
}

static void add_once(struct vidur_step_plan *plan, const struct vidur_operator *op)
{
    struct vidur_step_term term = {.op = op, .kind = -1, .times = 1};
    op->work(&plan->shard, NULL, &term.work);
    add_term(plan, &term);
}

static void add_attention(struct vidur_step_plan *plan, enum vidur_term what)
{
    for (int i = 0; i < plan->shard.num_kinds; i++) {
        const struct vidur_shard_layers *layers = &plan->shard.layers[i];
        const struct vidur_step_term term = {
            .term = what, .layers = layers, .kind = i, .times = layers->count};
        if (term.times > 0)
            add_term(plan, &term);
    }
}

static void list_terms(struct vidur_step_plan *plan)
{
    const struct vidur_operator *op;
    const bool runs[] = {[VIDUR_PLACE_FIRST] = plan->stage == 0,
                         [VIDUR_PLACE_BEHIND] = plan->stage < plan->num_stages - 1,
                         [VIDUR_PLACE_LAST] = plan->stage == plan->num_stages - 1};
    for (int i = 0; (op = vidur_operator_at(i)); i++)
        if (op->place == VIDUR_PLACE_LAYER || op->place == VIDUR_PLACE_GATHERED)
            add_in_layers(plan, op);
        else if (runs[op->place])
            add_once(plan, op);
    add_attention(plan, VIDUR_TERM_PROMPT);
    add_attention(plan, VIDUR_TERM_ROWS);
}

/* ---- Beginning ---- */

static struct vidur_cut cut_of(const struct vidur_engine_request *request)
{
    return (struct vidur_cut){.tensor = request->tensor_parallel_size,
                              .pipeline =
                                  request->num_stages > 1 ? request->num_stages : 1,
                              .expert = request->expert_parallel,
                              .data = request->data_parallel_size};
}

static int check(const struct vidur_engine_request *request, struct vidur_error *err)
{
    const struct vidur_device_v1 *v1 = &request->device->v1;
    const struct vidur_cut cut = cut_of(request);
    if (request->max_tokens < 1 || request->max_batch_size < 1 ||
        request->max_context_tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL, "engine table: limits must be positive");
    if (!(v1->memory_bandwidth_gb_per_s > 0) || !(v1->peak_bf16_tflops > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "device %s: v1.memory_bandwidth_gb_per_s and "
                          "v1.peak_bf16_tflops are needed by the engine step model",
                          request->device->name);
    if (request->stage < 0 || request->stage >= cut.pipeline ||
        cut.pipeline > request->model->num_layers)
        return vidur_fail(err, VIDUR_EINVAL,
                          "engine table: there is no stage %d of %d of %s's %d layers",
                          request->stage, cut.pipeline, request->model->name,
                          request->model->num_layers);
    return vidur_shard_check(request->model, &cut, false, err);
}

int vidur_step_plan_begin(struct vidur_step_plan *plan,
                          const struct vidur_engine_request *request,
                          struct vidur_error *err)
{
    const struct vidur_cut cut = cut_of(request);
    const char *dir = request->kernels_dir;
    struct vidur_kernels *kernels = NULL;
    *plan = (struct vidur_step_plan){
        .request = request, .num_stages = cut.pipeline, .stage = request->stage};
    if (check(request, err))
        return -1;
    vidur_shard_of_stage(&plan->shard, request->model, &cut, request->stage);
    if (dir && dir[0] && vidur_kernel_library_open(request, &kernels, &plan->own, err))
        return -1;
    if (vidur_pricer_init(&plan->pricer, request->device, request->node, kernels, err))
        return -1;
    plan->pricer.devices = request->tensor_parallel_size;
    plan->pricer.ranks = vidur_cut_ranks(&cut);
    plan->pricer.to_next = vidur_stage_link_of(request->node, &cut, request->stage);
    plan->pricer.constants = vidur_step_constants(&request->constants, request->device);
    list_terms(plan);
    return 0;
}

void vidur_step_plan_end(struct vidur_step_plan *plan)
{
    vidur_kernels_close(plan->own);
    plan->own = NULL;
}

/* ---- Prices ---- */

int vidur_step_price(struct vidur_step_plan *plan, const struct vidur_step_term *term,
                     const struct vidur_price_sum *sum, struct vidur_error *err)
{
    return vidur_price_operator(&plan->pricer, term->op->name, &term->work, sum, err);
}

double vidur_step_num_layers(const struct vidur_step_plan *plan)
{
    double count = 0;
    for (int i = 0; i < plan->shard.num_kinds; i++)
        count += plan->shard.layers[i].count;
    return count;
}

double vidur_step_sampler_ms(const struct vidur_step_plan *plan)
{
    if (plan->stage < plan->num_stages - 1)
        return 0;
    return plan->pricer.constants.sampler_ms_per_million_logits * 1e-6 *
           plan->shard.vocab_size;
}

int vidur_step_price_latent(struct vidur_step_plan *plan,
                            struct vidur_engine_latent *latent, struct vidur_error *err)
{
    struct vidur_latent_times times = {0};
    *latent = (struct vidur_engine_latent){0};
    for (int i = 0; i < plan->shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &plan->shard.layers[i];
        if (l->kind.attention != VIDUR_ATTENTION_MLA || l->count == 0)
            continue;
        if (latent->layers == 0 &&
            vidur_price_latent_rows(&plan->pricer, &plan->shard, l, &times, err))
            return -1;
        latent->most_tokens = l->kind.index_tokens;
        latent->layers += l->count;
    }
    latent->batches = times.batches;
    latent->contexts = times.contexts;
    latent->ms = times.ms;
    latent->num_batches = times.num_batches;
    latent->num_contexts = times.num_contexts;
    latent->cut_ms = times.cut_ms;
    latent->least_ms = times.least_ms;
    return 0;
}

/* ---- Where it comes from ---- */

void vidur_step_describe(const struct vidur_step_plan *plan, const char *from,
                         char *out, size_t size)
{
    const char *fitted_on = plan->request->device->engine.fitted_on;
    char constants[96] = "";
    if (!plan->pricer.kernels)
        snprintf(constants, sizeof constants, "; constants fitted on %s", fitted_on);
    snprintf(out, size, "engine step model, %.110s%s%s", from, constants,
             plan->pricer.borrowed);
}

void vidur_step_describe_source(const struct vidur_step_plan *plan, char *out,
                                size_t size)
{
    char from[128];
    const char *dir = plan->request->kernels_dir;
    const size_t n = plan->pricer.kernels ? strlen(dir) : 0;
    if (plan->pricer.kernels) /* the end of a long path says more than its beginning */
        snprintf(from, sizeof from, "kernel timings %s%s", n > 80 ? "..." : "",
                 n > 80 ? dir + n - 80 : dir);
    else
        snprintf(from, sizeof from, "synthetic roofline of %s",
                 plan->request->device->name);
    vidur_step_describe(plan, from, out, size);
}
