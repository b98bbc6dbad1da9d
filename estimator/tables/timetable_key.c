#include "base/file.h"
#include "base/hash.h"
#include "base/version.h"
#include "tables/kernels.h"
#include "tables/timetable_internal.h"

#include <stdlib.h>
#include <unistd.h>
#include <vidur/model.h>
#include <vidur/sku.h>

/* To be raised whenever equal inputs give other tables. Between versions the git commit
 * stands in for it, where the build knows one. */
enum { TABLES_VERSION = 1, ENGINE_VERSION = 2 };

static int add_file(struct vidur_sha256 *sha, const char *path, struct vidur_error *err)
{
    size_t size;
    char *bytes = vidur_file_read(path, 0, &size, err);
    if (!bytes)
        return -1;
    vidur_sha256_add_int64(sha, (int64_t)size);
    vidur_sha256_add(sha, bytes, size);
    free(bytes);
    return 0;
}

static void add_list(struct vidur_sha256 *sha, const int *values, int count)
{
    vidur_sha256_add_int64(sha, count);
    for (int i = 0; i < count; i++)
        vidur_sha256_add_int64(sha, values[i]);
}

static void add_grid(struct vidur_sha256 *sha,
                     const struct vidur_estimator_config *config)
{
    struct vidur_regressor_grid grid;
    vidur_timetable_grid(&grid, config, config->source == VIDUR_SOURCE_ROOFLINE);
    vidur_sha256_add_string(sha, grid.regressor);
    add_list(sha, grid.num_estimators, grid.num_num_estimators);
    add_list(sha, grid.max_depth, grid.num_max_depth);
    add_list(sha, grid.min_samples_split, grid.num_min_samples_split);
    vidur_sha256_add_int64(sha, grid.max_degree);
    vidur_sha256_add_int64(sha, grid.k_fold_splits);
    vidur_sha256_add_int64(sha, (int64_t)grid.seed);
}

/* Not its name: files are found by it, and their contents count. */
static void add_model(struct vidur_sha256 *sha, const struct vidur_model_spec *model)
{
    const int sizes[] = {model->kinds[0].num_q_heads,    model->kinds[0].num_kv_heads,
                         model->kinds[0].head_dim,       model->embedding_dim,
                         model->kinds[0].mlp_hidden_dim, model->use_gated_mlp,
                         model->post_attn_norm};
    add_list(sha, sizes, (int)(sizeof sizes / sizeof sizes[0]));
}

static void add_doubles(struct vidur_sha256 *sha, const double *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        vidur_sha256_add_double(sha, numbers[i]);
}

/* What the alpha-beta model knows of the links. */
static void add_network(struct vidur_sha256 *sha, const struct vidur_node_sku *node)
{
    const double numbers[] = {
        node->devices_per_node,        node->pairwise,
        node->link_bandwidth_gb_per_s, node->link_efficiency,
        node->link_latency_us,         node->fallback_bandwidth_gb_per_s,
        node->fallback_efficiency,     node->inter_node_bandwidth_gb_per_s,
        node->inter_node_efficiency,   node->inter_node_latency_us};
    add_doubles(sha, numbers, sizeof numbers / sizeof numbers[0]);
}

static void add_roofline(struct vidur_sha256 *sha,
                         const struct vidur_timetable_request *request)
{
    const struct vidur_device_sku *device = request->device;
    const struct vidur_roofline_efficiency *e = &device->roofline;
    const double numbers[] = {device->peak_fp16_tflops,
                              device->memory_bandwidth_gb_per_s,
                              e->gemm_efficiency,
                              e->memory_efficiency,
                              e->attention_prefill_efficiency,
                              e->attention_decode_efficiency,
                              e->kernel_launch_us,
                              e->attention_launch_us,
                              e->elementwise_launch_us};
    add_doubles(sha, numbers, sizeof numbers / sizeof numbers[0]);
    add_network(sha, request->node);
}

static int add_profiles(struct vidur_sha256 *sha,
                        const struct vidur_estimator_config *config,
                        const struct vidur_timetable_request *request,
                        struct vidur_error *err)
{
    struct vidur_profile_paths paths;
    if (vidur_timetable_profile_paths(&paths, config, request, err))
        return -1;
    vidur_sha256_add_int64(sha, request->block_size_tokens);
    vidur_sha256_add_int64(sha, config->overheads.model_cpu_overhead);
    if (config->overheads.model_cpu_overhead) /* its rows are found by the name */
        vidur_sha256_add_string(sha, request->model->name);
    for (int i = 0; i < VIDUR_NUM_PROFILE_FILES; i++)
        if (!paths.files[i].text[0])
            vidur_sha256_add_string(sha, "");
        else if (add_file(sha, paths.files[i].text, err))
            return -1;
    if ((request->tensor_parallel_size > 1 &&
         !paths.files[VIDUR_PROFILE_FILE_all_reduce].text[0]) ||
        (request->pipeline && !paths.files[VIDUR_PROFILE_FILE_send_recv].text[0]))
        add_network(sha, request->node);
    return 0;
}

static int add_tables(struct vidur_sha256 *sha,
                      const struct vidur_estimator_config *config,
                      struct vidur_error *err)
{
    vidur_sha256_add_int64(sha, config->overheads.model_cpu_overhead);
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        struct vidur_path path;
        if (op == VIDUR_OP_mlp_experts) /* read of no file */
            continue;
        if (!vidur_timetable_csv_path(config->tables, vidur_operator_name(op), &path))
            vidur_sha256_add_string(sha, "");
        else if (add_file(sha, path.text, err))
            return -1;
    }
    return 0;
}

static void add_limits(struct vidur_sha256 *sha,
                       const struct vidur_estimator_config *config,
                       const struct vidur_timetable_request *request)
{
    const struct vidur_table_limits limits = vidur_table_limits(config, request, true);
    vidur_sha256_add_int64(sha, limits.tokens);
    vidur_sha256_add_int64(sha, limits.batch);
    vidur_sha256_add_int64(sha, limits.kv_points);
    vidur_sha256_add_int64(sha, limits.max_chunk);
}

static int add_kernels(struct vidur_sha256 *sha,
                       const struct vidur_estimator_config *config,
                       const struct vidur_device_sku *device, struct vidur_error *err)
{
    struct vidur_path dir, path;
    if (config->source != VIDUR_SOURCE_KERNELS)
        return 0;
    if (vidur_kernels_locate(&dir, config->kernels, vidur_device_kernel_system(device),
                             err))
        return -1;
    for (int i = 0; vidur_kernels_file(dir.text, i, &path); i++) {
        const bool there = access(path.text, F_OK) == 0;
        vidur_sha256_add_int64(sha, there);
        if (there && add_file(sha, path.text, err))
            return -1;
    }
    return 0;
}

static void add_constants(struct vidur_sha256 *sha,
                          const struct vidur_engine_constants *c)
{
    const double numbers[] = {
        c->eta,         c->t0_us,      c->c_ar_us,
        c->tokenise_us, c->t_api_ms,   c->sampler_ms_per_million_logits,
        c->step_us,     c->request_us, c->mixed_layer_us};
    add_doubles(sha, numbers, sizeof numbers / sizeof numbers[0]);
}

/* All that prices of a step's plan depend on, but its cut. */
static int add_specs(struct vidur_sha256 *sha,
                     const struct vidur_estimator_config *config,
                     const struct vidur_timetable_request *request,
                     struct vidur_error *err)
{
    vidur_model_digest(sha, request->model);
    vidur_device_digest(sha, request->device);
    vidur_node_digest(sha, request->node);
    add_constants(sha, &config->engine);
    return add_kernels(sha, config, request->device, err);
}

static int add_plan(struct vidur_sha256 *sha,
                    const struct vidur_estimator_config *config,
                    const struct vidur_timetable_request *request,
                    struct vidur_error *err)
{
    vidur_sha256_add_string(sha, "priced");
    vidur_sha256_add_int64(sha, request->expert_parallel);
    vidur_sha256_add_int64(sha, request->data_parallel_size);
    return add_specs(sha, config, request, err);
}

int vidur_timetable_key(char key[65], const struct vidur_estimator_config *config,
                        const struct vidur_timetable_request *request,
                        struct vidur_error *err)
{
    struct vidur_sha256 sha;
    int status = 0;
    vidur_sha256_init(&sha);
    vidur_sha256_add_string(&sha, "vidur-search timetable");
    vidur_sha256_add_string(&sha, vidur_version());
    vidur_sha256_add_string(&sha, vidur_git_commit());
    vidur_sha256_add_int64(&sha, TABLES_VERSION);
    vidur_sha256_add_int64(&sha, config->source);
    vidur_sha256_add_int64(&sha, config->kv_cache_granularity);
    vidur_sha256_add_int64(&sha, request->tensor_parallel_size);
    vidur_sha256_add_int64(&sha, request->pipeline);
    vidur_sha256_add_int64(&sha, request->pipeline && request->multi_node);
    add_model(&sha, request->model);
    if (config->source == VIDUR_SOURCE_TABLES) {
        status = add_tables(&sha, config, err);
    } else if (vidur_timetable_is_priced(config, request)) {
        add_limits(&sha, config, request);
        status = add_plan(&sha, config, request, err);
    } else {
        add_grid(&sha, config);
        add_limits(&sha, config, request);
        if (config->source == VIDUR_SOURCE_PROFILES)
            status = add_profiles(&sha, config, request, err);
        else
            add_roofline(&sha, request);
    }
    vidur_sha256_hex(&sha, key);
    return status;
}

bool vidur_timetable_has_operators(const struct vidur_estimator_config *config,
                                   const struct vidur_timetable_request *request)
{
    return !request->engine || config->source == VIDUR_SOURCE_PROFILES ||
           config->source == VIDUR_SOURCE_TABLES;
}

int vidur_timetable_whole_key(char key[65], const struct vidur_estimator_config *config,
                              const struct vidur_timetable_request *request,
                              struct vidur_error *err)
{
    struct vidur_sha256 sha;
    key[0] = 0;
    if (vidur_timetable_has_operators(config, request) &&
        vidur_timetable_key(key, config, request, err) != 0)
        return -1;
    if (!request->engine)
        return 0;
    vidur_sha256_init(&sha);
    vidur_sha256_add_string(&sha, "vidur-search engine table");
    vidur_sha256_add_string(&sha, vidur_version());
    vidur_sha256_add_string(&sha, vidur_git_commit());
    vidur_sha256_add_int64(&sha, ENGINE_VERSION);
    vidur_sha256_add_string(&sha, key);
    vidur_sha256_add_int64(&sha, config->source);
    vidur_sha256_add_int64(&sha, request->tensor_parallel_size);
    vidur_sha256_add_int64(&sha, request->expert_parallel);
    vidur_sha256_add_int64(&sha, request->data_parallel_size);
    if (request->num_stages > 1)
        vidur_sha256_add_int64(&sha, request->num_stages);
    vidur_sha256_add_int64(&sha, request->max_tokens);
    vidur_sha256_add_int64(&sha, request->max_batch_size);
    vidur_sha256_add_int64(&sha, request->max_kv_tokens);
    const int status = add_specs(&sha, config, request, err);
    vidur_sha256_hex(&sha, key);
    return status;
}

int vidur_timetable_inputs_key(char key[65],
                               const struct vidur_estimator_config *config,
                               const struct vidur_timetable_request *request,
                               struct vidur_error *err)
{
    struct vidur_estimator_config decided;
    if (vidur_timetable_decide(&decided, config, request, NULL, err) != 0)
        return -1;
    return vidur_timetable_whole_key(key, &decided, request, err);
}
