#include "compare/trial.h"

#include <vidur/memory_plan.h>
#include <vidur/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double gib = 1024.0 * 1024 * 1024;

/* ---- Specs ---- */

struct vidur_known_model {
    char reference[96];
    struct vidur_model_spec spec;
};

struct vidur_known_device {
    char name[32];
    struct vidur_device_sku device;
    struct vidur_node_sku node;
};

void vidur_trial_specs_release(struct vidur_trial_specs *specs)
{
    free(specs->models);
    free(specs->devices);
    *specs = (struct vidur_trial_specs){0};
}

static int grow(void **items, int count, size_t size, struct vidur_error *err)
{
    void *more = realloc(*items, (size_t)(count + 1) * size);
    if (!more)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    *items = more;
    return 0;
}

static int find_model(struct vidur_trial_specs *specs, const char *reference,
                      struct vidur_model_spec *out, struct vidur_error *err)
{
    for (int i = 0; i < specs->num_models; i++)
        if (strcmp(specs->models[i].reference, reference) == 0) {
            *out = specs->models[i].spec;
            return 0;
        }
    if (vidur_model_load(out, reference, err) ||
        grow((void **)&specs->models, specs->num_models, sizeof *specs->models, err))
        return -1;
    struct vidur_known_model *known = &specs->models[specs->num_models++];
    snprintf(known->reference, sizeof known->reference, "%s", reference);
    known->spec = *out;
    return 0;
}

static int load_device(struct vidur_known_device *known, const char *name,
                       struct vidur_error *err)
{
    char node[sizeof known->node.name];
    snprintf(known->name, sizeof known->name, "%s", name);
    return vidur_device_sku_load(&known->device, name, err) ||
                   vidur_node_sku_default(known->device.name, node, sizeof node, err) ||
                   vidur_node_sku_load(&known->node, node, err)
               ? -1
               : 0;
}

/* The configuration's device where it has the name, so that it may be a file; another
 * one in the node that people rent. */
static int find_device(struct vidur_trial_specs *specs, const char *name,
                       struct vidur_deployment *out, struct vidur_error *err)
{
    if (!name[0] || strcmp(name, out->device.name) == 0)
        return 0;
    int i = 0;
    while (i < specs->num_devices && strcmp(specs->devices[i].name, name) != 0)
        i++;
    if (i == specs->num_devices) {
        if (grow((void **)&specs->devices, i, sizeof *specs->devices, err) ||
            load_device(&specs->devices[i], name, err))
            return -1;
        specs->num_devices++;
    }
    out->device = specs->devices[i].device;
    out->node = specs->devices[i].node;
    return 0;
}

/* ---- Deployment ---- */

static void apply_precision(const struct vidur_measured_precision *stated,
                            struct vidur_precision *precision)
{
    if (stated->weights >= 0) {
        const enum vidur_dtype kv_cache = precision->kv_cache;
        *precision = vidur_precision_of((enum vidur_dtype)stated->weights);
        precision->kv_cache = kv_cache;
    }
    if (stated->experts >= 0)
        precision->experts = (enum vidur_dtype)stated->experts;
    if (stated->attention >= 0)
        precision->attention = (enum vidur_dtype)stated->attention;
    if (stated->kv_cache >= 0)
        precision->kv_cache = (enum vidur_dtype)stated->kv_cache;
}

static void apply_engine(const struct vidur_measured_experiment *e,
                         struct vidur_deployment *d)
{
    d->num_replicas = e->num_replicas ? e->num_replicas : 1;
    d->num_pipeline_stages = e->pipeline_parallel_size ? e->pipeline_parallel_size : 1;
    if (e->tensor_parallel_size)
        d->tensor_parallel_size = e->tensor_parallel_size;
    if (e->data_parallel_size)
        d->data_parallel_size = e->data_parallel_size;
    if (e->expert_parallel != VIDUR_NOT_STATED)
        d->expert_parallel = e->expert_parallel == VIDUR_STATED_YES;
    if (e->max_num_seqs)
        d->scheduler.max_num_seqs = e->max_num_seqs;
    if (e->cpu_cores)
        d->cpu_cores = e->cpu_cores;
    if (e->max_num_batched_tokens)
        d->scheduler.max_num_batched_tokens = e->max_num_batched_tokens;
    if (e->prefix_caching != VIDUR_NOT_STATED)
        d->scheduler.prefix_caching = e->prefix_caching == VIDUR_STATED_YES;
}

/* "1 prefill of TP 4, 3 decode of TP 4" */
static void describe_pools(const struct vidur_fleet *fleet, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < fleet->num_pools && used < size; i++) {
        const struct vidur_deployment *d = &fleet->pools[i].deployment;
        used += (size_t)snprintf(
            out + used, size - used, "%s%d %s of TP %d", i ? ", " : "", d->num_replicas,
            vidur_pool_role_names[fleet->pools[i].role], d->tensor_parallel_size);
    }
}

static void describe_server(struct vidur_trial *trial)
{
    const struct vidur_deployment *d = &trial->fleet.pools[0].deployment;
    struct vidur_compared_server *server = &trial->server;
    const char *device = trial->experiment->device;
    snprintf(server->model, sizeof server->model, "%s",
             d->model.name[0] ? d->model.name : trial->experiment->model);
    snprintf(server->device, sizeof server->device, "%s",
             device[0] ? device : d->device.name);
    if (d->model.name[0])
        vidur_precision_describe(&d->model.precision, server->precision,
                                 sizeof server->precision);
    server->tensor_parallel_size = d->tensor_parallel_size;
    server->expert_parallel = d->expert_parallel;
    server->data_parallel_size = d->data_parallel_size;
    if (trial->experiment->num_pools > 0)
        describe_pools(&trial->fleet, server->pools, sizeof server->pools);
}

static int check_memory(const struct vidur_deployment *d, int max_tokens,
                        struct vidur_error *err)
{
    struct vidur_memory_plan plan;
    vidur_memory_plan(d, max_tokens, &plan);
    if (plan.fits)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s does not fit on %d x %s: a device has %.1f GiB to use, its "
                      "share of the weights takes %.1f",
                      d->model.name, d->tensor_parallel_size, d->device.name,
                      plan.available_bytes / gib, plan.param_bytes / gib);
}

static int check_layout(const struct vidur_measured_experiment *e,
                        struct vidur_error *err)
{
    if (e->left_out[0])
        return vidur_fail(err, VIDUR_EINVAL, "%s", e->left_out);
    return 0;
}

/* The experiment's pools, each what `d` is but for what it states. */
static void lay_out_pools(const struct vidur_measured_experiment *e,
                          const struct vidur_deployment *d, struct vidur_fleet *fleet)
{
    vidur_fleet_of(fleet, d);
    if (e->num_pools == 0)
        return;
    fleet->num_pools = e->num_pools;
    for (int i = 0; i < e->num_pools; i++) {
        struct vidur_pool *pool = &fleet->pools[i];
        *pool = (struct vidur_pool){.role = e->pools[i].role, .weight = 1};
        pool->deployment = *d;
        if (e->pools[i].num_replicas)
            pool->deployment.num_replicas = e->pools[i].num_replicas;
        if (e->pools[i].tensor_parallel_size)
            pool->deployment.tensor_parallel_size = e->pools[i].tensor_parallel_size;
    }
}

static int check_fleet(const struct vidur_fleet *fleet, int max_tokens,
                       struct vidur_error *err)
{
    if (vidur_fleet_check(fleet, err))
        return -1;
    for (int i = 0; i < fleet->num_pools; i++)
        if (check_memory(&fleet->pools[i].deployment, max_tokens, err))
            return -1;
    return 0;
}

static int prepare_deployment(struct vidur_trial *trial,
                              struct vidur_trial_specs *specs,
                              const struct vidur_simulation_config *config,
                              struct vidur_error *err)
{
    const struct vidur_measured_experiment *e = trial->experiment;
    struct vidur_deployment deployment = config->deployment, *d = &deployment;
    d->model.name[0] = '\0';
    apply_engine(e, d);
    lay_out_pools(e, d, &trial->fleet); /* to be told if something fails */
    if (find_model(specs, e->model, &d->model, err))
        return -1;
    apply_precision(&e->precision, &d->model.precision);
    lay_out_pools(e, d, &trial->fleet);
    if (check_layout(e, err) || find_device(specs, e->device, d, err))
        return -1;
    lay_out_pools(e, d, &trial->fleet);
    return check_fleet(&trial->fleet, trial->max_tokens, err);
}

/* ---- Load ---- */

static int32_t longest(const struct vidur_measured_lengths *lengths, int64_t count)
{
    int32_t most = lengths->max;
    for (int64_t i = 0; lengths->list && i < count; i++)
        if (lengths->list[i] > most)
            most = lengths->list[i];
    return most;
}

/* The experiment's, or as long as its requests need. */
static int find_max_tokens(struct vidur_trial *trial,
                           const struct vidur_simulation_config *config,
                           struct vidur_error *err)
{
    const struct vidur_measured_experiment *e = trial->experiment;
    int64_t needed = 0;
    if (e->load != VIDUR_MEASURED_SHARED_PREFIX)
        needed = (int64_t)longest(&e->prompt, e->num_requests) +
                 longest(&e->output, e->num_requests);
    trial->max_tokens =
        e->max_model_len ? e->max_model_len : config->workload.max_tokens;
    if (needed <= trial->max_tokens)
        return 0;
    if (e->max_model_len || needed > INT32_MAX)
        return vidur_fail(err, VIDUR_EINVAL,
                          "requests of %lld tokens are beyond max_model_len, %d",
                          (long long)needed, e->max_model_len);
    trial->max_tokens = (int)needed;
    return 0;
}

static int32_t *draw_lengths(const struct vidur_measured_lengths *lengths,
                             int64_t count, struct vidur_rng *rng)
{
    int32_t *out = malloc((size_t)count * sizeof *out);
    for (int64_t i = 0; out && i < count; i++)
        out[i] =
            lengths->list
                ? lengths->list[i]
                : lengths->min + (int32_t)vidur_rng_below(
                                     rng, (uint32_t)(lengths->max - lengths->min) + 1);
    return out;
}

/* Arrivals are drawn with one token each; the lengths take their place. */
static int draw_requests(struct vidur_trial *trial, uint64_t seed,
                         struct vidur_error *err)
{
    const struct vidur_measured_experiment *e = trial->experiment;
    struct vidur_rng prompts, outputs;
    vidur_rng_init(&prompts, seed, vidur_rng_stream("measured prompts", 0));
    vidur_rng_init(&outputs, seed, vidur_rng_stream("measured outputs", 0));
    trial->prompt_tokens = draw_lengths(&e->prompt, e->num_requests, &prompts);
    trial->output_tokens = draw_lengths(&e->output, e->num_requests, &outputs);
    if (!trial->prompt_tokens || !trial->output_tokens)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    trial->workload.num_prefill_tokens = trial->prompt_tokens;
    trial->workload.num_decode_tokens = trial->output_tokens;
    trial->stages = (struct vidur_load_stages){
        .count = 1, .first_request = {0, trial->workload.num_requests}};
    return 0;
}

static void describe_load(const struct vidur_trial *trial,
                          struct vidur_workload_config *load)
{
    const struct vidur_measured_experiment *e = trial->experiment;
    load->max_tokens = trial->max_tokens;
    if (e->load == VIDUR_MEASURED_SHARED_PREFIX) {
        load->type = VIDUR_WORKLOAD_SHARED_PREFIX;
        load->shared_prefix = e->workload;
        return;
    }
    load->type = VIDUR_WORKLOAD_SYNTHETIC;
    load->num_requests = e->num_requests;
    strcpy(load->lengths.type, "fixed");
    load->lengths.prefill_tokens = load->lengths.decode_tokens = 1;
    load->arrivals.truncate = 0;
    if (e->load == VIDUR_MEASURED_CLOSED_LOOP) {
        strcpy(load->arrivals.type, "closed_loop");
        load->arrivals.concurrency = e->concurrency;
    } else {
        strcpy(load->arrivals.type, "gamma");
        load->arrivals.qps = e->rate_qps;
        load->arrivals.cv = 1 / sqrt(e->burstiness);
    }
}

static int prepare_load(struct vidur_trial *trial,
                        const struct vidur_simulation_config *config,
                        struct vidur_error *err)
{
    struct vidur_workload_config load;
    vidur_workload_config_defaults(&load);
    load.seed = config->workload.seed;
    describe_load(trial, &load);
    if (vidur_workload_create(&trial->drawn, &load, err))
        return -1;
    trial->workload = *trial->drawn;
    trial->stages = trial->drawn->stages;
    return trial->stages.count ? 0 : draw_requests(trial, load.seed, err);
}

int vidur_trial_prepare(struct vidur_trial *trial, struct vidur_trial_specs *specs,
                        const struct vidur_simulation_config *config,
                        struct vidur_error *err)
{
    struct vidur_error why = {0};
    const int status = find_max_tokens(trial, config, &why) ||
                       prepare_deployment(trial, specs, config, &why) ||
                       prepare_load(trial, config, &why);
    describe_server(trial);
    if (!status)
        return 0;
    if (why.code == VIDUR_ENOMEM)
        return vidur_fail(err, why.code, "%s", why.text);
    snprintf(trial->left_out, sizeof trial->left_out, "%.255s", why.text);
    return 0;
}

void vidur_trial_release(struct vidur_trial *trial)
{
    vidur_workload_destroy(trial->drawn);
    free(trial->prompt_tokens);
    free(trial->output_tokens);
}
