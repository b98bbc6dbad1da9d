#include "samples/profile_roofline.h"
#include "tables/timetable_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sizes ---- */

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Up to 4096 a power of two, beyond that a quarter of one: coarse enough for requests
 * to share tables, fine enough not to waste memory on large ones. */
static int64_t round_limit(int64_t value)
{
    int64_t power = 1;
    while (power < value)
        power *= 2;
    if (power <= 4096)
        return power;
    const int64_t step = power / 8; /* a quarter of the power below */
    return (value + step - 1) / step * step;
}

struct vidur_table_limits
vidur_table_limits(const struct vidur_estimator_config *config,
                   const struct vidur_timetable_request *request, bool rounded)
{
    int64_t tokens = greater(config->max_tokens_per_request, request->max_tokens);
    int64_t batch = greater(config->max_batch_size, request->max_batch_size);
    int64_t kv = greater(config->max_tokens_per_request, request->max_kv_tokens);
    int64_t chunk = greater(config->max_prefill_chunk_size, request->max_chunk_tokens);
    if (rounded) {
        tokens = round_limit(tokens);
        batch = round_limit(batch);
        kv = round_limit(kv);
        chunk = round_limit(chunk);
    }
    const int64_t step = config->kv_cache_granularity;
    return (struct vidur_table_limits){.tokens = (tokens + 7) / 8 * 8,
                                       .batch = batch,
                                       .kv_points = (kv + step - 1) / step + 1,
                                       .max_chunk = chunk};
}

/* ---- Samples and regressors ---- */

/* What to look for in the configured folders; `dirs` must live as long as the result.
 */
static struct vidur_profile_request
profile_request(const struct vidur_estimator_config *config,
                const struct vidur_timetable_request *request,
                const char *dirs[VIDUR_MAX_PROFILE_DIRS])
{
    for (int i = 0; i < config->num_profiles; i++)
        dirs[i] = config->profiles[i];
    return (struct vidur_profile_request){
        .dirs = dirs,
        .num_dirs = config->num_profiles,
        .model = request->model,
        .device = request->device->name,
        .node = request->node->name,
        .tensor_parallel_size = request->tensor_parallel_size,
        .block_size_tokens = request->block_size_tokens,
        .pipeline = request->pipeline,
        .multi_node = request->multi_node,
        .cpu_overhead = config->overheads.model_cpu_overhead,
        .lenient = true};
}

int vidur_timetable_survey(struct vidur_profile_survey *out,
                           const struct vidur_estimator_config *config,
                           const struct vidur_timetable_request *request,
                           struct vidur_error *err)
{
    const char *dirs[VIDUR_MAX_PROFILE_DIRS];
    const struct vidur_profile_request wanted = profile_request(config, request, dirs);
    return vidur_profile_survey(out, &wanted, err);
}

int vidur_timetable_profile_paths(struct vidur_profile_paths *paths,
                                  const struct vidur_estimator_config *config,
                                  const struct vidur_timetable_request *request,
                                  struct vidur_error *err)
{
    const char *dirs[VIDUR_MAX_PROFILE_DIRS];
    const struct vidur_profile_request wanted = profile_request(config, request, dirs);
    return vidur_profile_find(paths, &wanted, err);
}

/* The network's operators that no file gives come from the alpha-beta model. */
static int stand_in(struct vidur_profile *profile,
                    const struct vidur_timetable_request *request,
                    const struct vidur_log *log, struct vidur_error *err)
{
    static const int operators[] = {VIDUR_OP_all_reduce, VIDUR_OP_send_recv};
    for (int i = 0; i < 2; i++) {
        struct vidur_samples *samples = &profile->operators[operators[i]];
        if (samples->num_rows > 0 || !vidur_request_runs(request, false, operators[i]))
            continue;
        if (vidur_roofline_sample(samples, request, operators[i], err))
            return -1;
        vidur_log_warn(log,
                       "network/%s/%s.csv: in none of the profile folders; the "
                       "alpha-beta model of %s, not measured, stands in for %s, TP %d",
                       request->node->name, samples->name, request->node->name,
                       request->model->name, request->tensor_parallel_size);
    }
    return 0;
}

static int read_profile(struct vidur_profile **out,
                        const struct vidur_estimator_config *config,
                        const struct vidur_timetable_request *request,
                        const struct vidur_log *log, struct vidur_error *err)
{
    const char *dirs[VIDUR_MAX_PROFILE_DIRS];
    const struct vidur_profile_request wanted = profile_request(config, request, dirs);
    struct vidur_profile *profile;
    if (vidur_profile_read_csv(&profile, &wanted, log, err))
        return -1;
    if (stand_in(profile, request, log, err)) {
        vidur_profile_free(profile);
        return -1;
    }
    *out = profile;
    return 0;
}

int vidur_timetable_profile(struct vidur_profile **out,
                            const struct vidur_estimator_config *config,
                            const struct vidur_timetable_request *request,
                            const struct vidur_log *log, struct vidur_error *err)
{
    if (config->source == VIDUR_SOURCE_PROFILES)
        return read_profile(out, config, request, log, err);
    if (config->source == VIDUR_SOURCE_ROOFLINE &&
        vidur_timetable_is_priced(config, request))
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: times of experts, windows, latent attention, other "
                          "formats than bf16 and layers of several kinds are computed, "
                          "not trained from samples; use `tables` or `explain`",
                          request->model->name);
    if (config->source != VIDUR_SOURCE_ROOFLINE)
        return vidur_fail(err, VIDUR_EINVAL,
                          "estimator.source: tables and kernels are not trained from "
                          "samples; use roofline or profiles");
    return vidur_profile_roofline(out, request, err);
}

/* More trees than this bring a table no nearer to the formula (by less than 0.02 % of
 * the time, on average); more samples do, and cost less. */
enum { ROOFLINE_TREES = 64 };

static int least(const int *values, int count)
{
    int best = values[0];
    for (int i = 1; i < count; i++)
        if (values[i] < best)
            best = values[i];
    return best;
}

static int most(const int *values, int count)
{
    int best = values[0];
    for (int i = 1; i < count; i++)
        if (values[i] > best)
            best = values[i];
    return best;
}

void vidur_timetable_grid(struct vidur_regressor_grid *grid,
                          const struct vidur_estimator_config *config, bool synthetic)
{
    vidur_regressor_grid_defaults(grid);
    snprintf(grid->regressor, sizeof grid->regressor, "%s", config->regressor);
    memcpy(grid->num_estimators, config->num_estimators, sizeof grid->num_estimators);
    memcpy(grid->max_depth, config->max_depth, sizeof grid->max_depth);
    memcpy(grid->min_samples_split, config->min_samples_split,
           sizeof grid->min_samples_split);
    grid->num_num_estimators = config->num_num_estimators;
    grid->num_max_depth = config->num_max_depth;
    grid->num_min_samples_split = config->num_min_samples_split;
    grid->k_fold_splits = config->k_fold_cv_splits;
    grid->seed = config->seed;
    grid->threads = config->threads;
    if (!synthetic)
        return;
    const int fewest = least(config->num_estimators, config->num_num_estimators);
    grid->num_estimators[0] = fewest < ROOFLINE_TREES ? fewest : ROOFLINE_TREES;
    grid->max_depth[0] = most(config->max_depth, config->num_max_depth);
    grid->min_samples_split[0] =
        least(config->min_samples_split, config->num_min_samples_split);
    grid->num_num_estimators = grid->num_max_depth = grid->num_min_samples_split = 1;
}

int vidur_timetable_regression(struct vidur_regression **out,
                               struct vidur_selection *selection,
                               const struct vidur_estimator_config *config,
                               const struct vidur_samples *samples,
                               struct vidur_error *err)
{
    struct vidur_regressor_grid grid;
    const bool synthetic = vidur_samples_are_synthetic(samples);
    vidur_timetable_grid(&grid, config, synthetic);
    if (!selection && synthetic && strcmp(grid.regressor, "random_forest") == 0) {
        const struct vidur_hyperparameters one = {
            .num_estimators = grid.num_estimators[0],
            .max_depth = grid.max_depth[0],
            .min_samples_split = grid.min_samples_split[0]};
        return vidur_regression_fit(out, samples, &grid, &one, err);
    }
    return vidur_regression_select(out, selection, samples, &grid, err);
}

/* ---- Tables ---- */

/* first, first + step, ... */
static double *make_axis(int64_t first, int64_t step, int64_t count, bool square,
                         struct vidur_error *err)
{
    double *values = malloc((size_t)count * sizeof *values);
    if (!values) {
        vidur_fail(err, VIDUR_ENOMEM, "no memory for an axis of %lld points",
                   (long long)count);
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        const double value = (double)(first + i * step);
        values[i] = square ? value * value : value;
    }
    return values;
}

/* How many of `count` points from `first` by `step` lie within the samples' range. */
static int64_t profiled(const struct vidur_samples *samples, int feature, int64_t first,
                        int64_t step)
{
    double low, high;
    vidur_samples_range(samples, feature, &low, &high);
    if (feature == 1 && samples->num_features == 2 &&
        strcmp(samples->name, "attn_prefill") == 0)
        high = floor(sqrt(high) + 1e-9);
    if (high < (double)first)
        return 0;
    return (int64_t)floor((high - (double)first) / (double)step) + 1;
}

/* A regressor may extrapolate below zero (a polynomial does); no time is. */
static void clamp(double *ms, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(ms[i] >= 0))
            ms[i] = 0;
}

struct build {
    struct vidur_cache_entry *entry;
    const struct vidur_estimator_config *config;
    struct vidur_table_limits limits;
    const struct vidur_log *log;
};

static int fill_list(const struct build *build, const struct vidur_samples *samples,
                     const struct vidur_regression *regression, int64_t limit,
                     struct vidur_error *err)
{
    double *ms = vidur_cache_add(build->entry, samples->name, 1, limit + 1, err);
    double *axis = ms ? make_axis(1, 1, limit, false, err) : NULL;
    if (!axis)
        return -1;
    const struct vidur_axes axes = {.num_axes = 1, .values = {axis}, .count = {limit}};
    const int status =
        vidur_regression_fill(regression, &axes, build->config->threads, ms + 1, err);
    free(axis);
    clamp(ms, limit + 1);
    vidur_cache_find(build->entry, samples->name)->profiled_columns =
        lesser(profiled(samples, 0, 1, 1), limit);
    return status;
}

static int fill_grid(const struct build *build, const struct vidur_samples *samples,
                     const struct vidur_regression *regression, int op,
                     struct vidur_error *err)
{
    const struct vidur_table_limits *limits = &build->limits;
    const int64_t step = build->config->kv_cache_granularity;
    const bool decode = op == VIDUR_OP_attn_decode;
    const int64_t rows = decode ? limits->batch : limits->kv_points;
    const int64_t columns = decode ? limits->kv_points : limits->max_chunk;
    int status = -1;

    double *ms = vidur_cache_add(build->entry, samples->name, rows, columns, err);
    double *down = make_axis(decode ? 1 : 0, decode ? 1 : step, rows, false, err);
    double *across =
        make_axis(decode ? 0 : 1, decode ? step : 1, columns, !decode, err);
    if (ms && down && across) {
        const struct vidur_axes axes = {
            .num_axes = 2, .values = {down, across}, .count = {rows, columns}};
        struct vidur_cache_table *table = vidur_cache_find(build->entry, samples->name);
        status =
            vidur_regression_fill(regression, &axes, build->config->threads, ms, err);
        clamp(ms, rows * columns);
        table->profiled_rows =
            lesser(profiled(samples, 0, decode ? 1 : 0, decode ? 1 : step), rows);
        table->profiled_columns =
            lesser(profiled(samples, 1, decode ? 0 : 1, decode ? step : 1), columns);
    }
    free(down);
    free(across);
    return status;
}

static int build_operator(const struct build *build,
                          const struct vidur_samples *samples, int op,
                          struct vidur_error *err)
{
    struct vidur_regression *regression = NULL;
    struct vidur_selection selection;
    const bool tell = !vidur_samples_are_synthetic(samples);
    int status = vidur_timetable_regression(&regression, tell ? &selection : NULL,
                                            build->config, samples, err);
    if (status)
        return vidur_fail_prefix(err, "%s: %s", samples->source, samples->name);
    if (tell)
        vidur_log_info(build->log,
                       "%s: %lld rows, CV MAPE %.2f %%, in sample %.2f %%, %.2f s",
                       samples->name, (long long)samples->num_rows, selection.cv_mape,
                       selection.in_sample_mape, selection.seconds);
    if (op >= VIDUR_NUM_TOKEN_OPERATORS)
        status = fill_grid(build, samples, regression, op, err);
    else
        status = fill_list(build, samples, regression,
                           op >= VIDUR_FIRST_CPU_OPERATOR ? build->limits.batch
                                                          : build->limits.tokens,
                           err);
    vidur_regression_free(regression);
    return status;
}

int vidur_timetable_build(struct vidur_cache_entry *entry,
                          const struct vidur_estimator_config *config,
                          const struct vidur_timetable_request *request,
                          const struct vidur_log *log, struct vidur_error *err)
{
    struct build build = {.entry = entry,
                          .config = config,
                          .limits = vidur_table_limits(config, request, true),
                          .log = log};
    struct vidur_profile *profile;
    if (vidur_timetable_profile(&profile, config, request, log, err))
        return -1;
    int status = 0;
    for (int op = 0; status == 0 && op < VIDUR_NUM_OPERATORS; op++)
        if (profile->operators[op].num_rows > 0)
            status = build_operator(&build, &profile->operators[op], op, err);
    vidur_profile_free(profile);
    return status;
}
