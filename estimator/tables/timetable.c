#include <vidur/timetable.h>

#include "base/file.h"
#include "base/progress.h"
#include "tables/timetable_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What vidur_timetable_open hands out: the view, then what it looks at. */
struct opened {
    struct vidur_timetable view;
    struct vidur_engine_table *engine[VIDUR_MAX_STAGE_KINDS]; /* [1]: the last stage */
    struct vidur_cache_entry entry;
};

const char *vidur_token_operator_name(enum vidur_token_operator op)
{
    static const char *const names[] = {
#define X(name, axis) #name,
        VIDUR_TOKEN_OPERATORS(X)
#undef X
    };
    return op >= 0 && op < VIDUR_NUM_TOKEN_OPERATORS ? names[op] : NULL;
}

/* ---- Building and caching ---- */

struct job {
    const struct vidur_estimator_config *config;
    const struct vidur_timetable_request *request;
    const struct vidur_log *log;
    const char *key;
    const char *provenance;
};

static int build(struct vidur_cache_entry *entry, const struct job *job,
                 struct vidur_error *err)
{
    const double start_s = vidur_monotonic_s();
    memset(entry, 0, sizeof *entry);
    int status;
    if (job->config->source == VIDUR_SOURCE_TABLES)
        status = vidur_timetable_read_csv(entry, job->config, job->request, err);
    else if (vidur_timetable_is_priced(job->config, job->request))
        status = vidur_timetable_price(entry, job->config, job->request, err);
    else
        status = vidur_timetable_build(entry, job->config, job->request, job->log, err);
    if (status) {
        vidur_cache_close(entry);
        return -1;
    }
    vidur_log_info(job->log, "timetable %.12s: built in %.2f s from %s", job->key,
                   vidur_monotonic_s() - start_s, job->provenance);
    return 0;
}

static bool look_up(struct vidur_cache_entry *entry, const struct job *job, bool warn)
{
    struct vidur_error why;
    const enum vidur_cache_status status =
        vidur_cache_open(entry, job->config->cache_dir, job->key, &why);
    if (status == VIDUR_CACHE_UNUSABLE && warn)
        vidur_log_warn(job->log, "%s; building it again", why.text);
    return status == VIDUR_CACHE_FOUND;
}

/* Puts a built entry into the cache and exchanges it for the mapped file, whose pages
 * other processes share. Where that fails, the entry stays as it is. */
static void put_into_cache(struct vidur_cache_entry *entry, const struct job *job)
{
    struct vidur_cache_entry mapped;
    struct vidur_error why;
    if (vidur_cache_store(entry, job->config->cache_dir, job->key, job->provenance,
                          &why)) {
        vidur_log_warn(job->log, "%s; the tables stay in this process's own memory",
                       why.text);
        return;
    }
    if (look_up(&mapped, job, true)) {
        vidur_cache_close(entry);
        *entry = mapped;
    }
}

/* One process builds while the others wait for its file. */
static int open_cached(struct vidur_cache_entry *entry, const struct job *job,
                       struct vidur_error *err)
{
    const char *folder = job->config->cache_dir;
    struct vidur_cache_lock lock;
    struct vidur_error why;
    if (look_up(entry, job, false))
        return 0;
    if (vidur_file_make_folder(folder, &why) ||
        vidur_cache_lock(&lock, folder, job->key, &why)) {
        vidur_log_warn(job->log,
                       "no cache: %s; the tables stay in this process's own memory",
                       why.text);
        return build(entry, job, err);
    }
    int status = 0;
    if (!look_up(entry, job, true)) {
        status = build(entry, job, err);
        if (status == 0)
            put_into_cache(entry, job);
    }
    vidur_cache_unlock(&lock);
    return status;
}

/* ---- The view ---- */

static void view_list(struct vidur_token_table *view, struct vidur_cache_entry *entry,
                      const char *name)
{
    const struct vidur_cache_table *table = vidur_cache_find(entry, name);
    if (table && table->columns > 0)
        *view = (struct vidur_token_table){.ms = table->ms,
                                           .limit = table->columns - 1,
                                           .profiled_limit = table->profiled_columns};
}

static int view_grid(struct vidur_grid_table *view, struct vidur_cache_entry *entry,
                     const char *name, struct vidur_error *err)
{
    const struct vidur_cache_table *table = vidur_cache_find(entry, name);
    if (!table)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: no times; the estimator's source "
                          "must give some",
                          name);
    *view = (struct vidur_grid_table){.ms = table->ms,
                                      .num_rows = table->rows,
                                      .num_columns = table->columns,
                                      .profiled_rows = table->profiled_rows,
                                      .profiled_columns = table->profiled_columns};
    return 0;
}

static int make_view(struct vidur_timetable *view, struct vidur_cache_entry *entry,
                     struct vidur_error *err)
{
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        view_list(&view->token[op], entry,
                  vidur_token_operator_name((enum vidur_token_operator)op));
    if (view_grid(&view->attn_decode, entry, "attn_decode", err))
        return -1;
    return view_grid(&view->attn_prefill, entry, "attn_prefill", err);
}

/* ---- The engine's steps: cheap to make, so never cached ---- */

struct vidur_engine_request
vidur_timetable_engine_request(const struct vidur_estimator_config *config,
                               const struct vidur_timetable_request *request)
{
    const bool kernels = config->source == VIDUR_SOURCE_KERNELS;
    return (struct vidur_engine_request){
        .model = request->model,
        .device = request->device,
        .node = request->node,
        .tensor_parallel_size = request->tensor_parallel_size,
        .expert_parallel = request->expert_parallel,
        .data_parallel_size = request->data_parallel_size,
        .library = request->library,
        .kernels_dir = kernels ? config->kernels : NULL,
        .constants = config->engine};
}

/* A table for each kind of stage; without a pipeline one. */
static int open_stages(struct opened *opened, struct vidur_engine_request *wanted,
                       struct vidur_error *err)
{
    struct vidur_timetable *view = &opened->view;
    const struct vidur_cut cut = {.tensor = wanted->tensor_parallel_size,
                                  .pipeline = wanted->num_stages,
                                  .expert = wanted->expert_parallel,
                                  .data = wanted->data_parallel_size};
    struct vidur_stage_kinds kinds;
    if (vidur_stage_kinds_of(&kinds, wanted->model, wanted->node, &cut, err))
        return -1;
    for (int i = wanted->num_stages > 1 ? 0 : 1; i < kinds.num_kinds; i++) {
        wanted->stage = kinds.stage_of[i];
        if (view->attn_decode.ms
                ? vidur_engine_table_from_operators(&opened->engine[i], wanted, view,
                                                    err)
                : vidur_engine_table_build(&opened->engine[i], wanted, err))
            return -1;
        if (wanted->num_stages > 1)
            view->engine_stages[i] = opened->engine[i];
    }
    view->engine = opened->engine[1];
    return 0;
}

static int open_engine(struct opened *opened,
                       const struct vidur_estimator_config *config,
                       const struct vidur_timetable_request *request,
                       struct vidur_error *err)
{
    struct vidur_timetable *view = &opened->view;
    struct vidur_engine_request wanted =
        vidur_timetable_engine_request(config, request);
    wanted.num_stages = request->num_stages > 1 ? request->num_stages : 1;
    wanted.max_tokens = request->max_tokens;
    wanted.max_batch_size = request->max_batch_size;
    wanted.max_context_tokens = request->max_kv_tokens;
    if (open_stages(opened, &wanted, err) ||
        vidur_timetable_whole_key(view->key, config, request, err))
        return -1;
    memcpy(view->provenance, view->engine->provenance, sizeof view->provenance);
    return 0;
}

static int open_operators(struct opened *opened,
                          const struct vidur_estimator_config *config,
                          const struct vidur_timetable_request *request,
                          const struct vidur_log *log, struct vidur_error *err)
{
    struct vidur_timetable *view = &opened->view;
    const struct job job = {.config = config,
                            .request = request,
                            .log = log,
                            .key = view->key,
                            .provenance = view->provenance};
    if (vidur_timetable_key(view->key, config, request, err) ||
        (config->cache_dir[0] ? open_cached(&opened->entry, &job, err)
                              : build(&opened->entry, &job, err)))
        return -1;
    return make_view(view, &opened->entry, err);
}

/* Profiles and tables have one dense layer in bf16, which stands for all of its like.
 */
static int check_operators(const struct vidur_estimator_config *config,
                           const struct vidur_timetable_request *request,
                           struct vidur_error *err)
{
    const struct vidur_model_spec *model = request->model;
    const bool uniform = vidur_model_is_uniform_dense(model);
    const bool profiles = config->source == VIDUR_SOURCE_PROFILES;
    if ((!profiles && config->source != VIDUR_SOURCE_TABLES) ||
        (uniform && vidur_precision_is_bf16(&model->precision)))
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s: estimator.source: %s have the times of dense layers in bf16 "
                      "that are all alike, not of %s; use source kernels or roofline",
                      model->name, profiles ? "profiles" : "tables",
                      uniform ? "other formats"
                              : "experts, windows, latent attention or layers of "
                                "several kinds");
}

static int open_decided(struct vidur_timetable **out,
                        const struct vidur_estimator_config *config,
                        const struct vidur_timetable_request *request,
                        const struct vidur_log *log, struct vidur_error *err)
{
    const bool operators = vidur_timetable_has_operators(config, request);
    if (operators && check_operators(config, request, err))
        return -1;
    struct opened *opened = calloc(1, sizeof *opened);
    if (!opened)
        return vidur_fail(err, VIDUR_ENOMEM, "no memory for a timetable");
    struct vidur_timetable *view = &opened->view;
    view->kv_granularity_tokens = config->kv_cache_granularity;
    view->overheads = config->overheads;
    view->source = config->source;
    if (vidur_timetable_describe(view->provenance, sizeof view->provenance, config,
                                 request, err) ||
        (operators && open_operators(opened, config, request, log, err)) ||
        (request->engine && open_engine(opened, config, request, err))) {
        vidur_timetable_close(view);
        return -1;
    }
    *out = view;
    return 0;
}

int vidur_timetable_open(struct vidur_timetable **out,
                         const struct vidur_estimator_config *config,
                         const struct vidur_timetable_request *request,
                         const struct vidur_log *log, struct vidur_error *err)
{
    struct vidur_estimator_config decided;
    if (vidur_timetable_decide(&decided, config, request, log, err))
        return -1;
    return open_decided(out, &decided, request, log, err);
}

void vidur_timetable_close(struct vidur_timetable *timetable)
{
    if (!timetable)
        return;
    /* The view is the first member of what was allocated. */
    struct opened *opened = (struct opened *)(void *)timetable;
    vidur_cache_close(&opened->entry);
    for (int i = 0; i < VIDUR_MAX_STAGE_KINDS; i++)
        vidur_engine_table_free(opened->engine[i]);
    free(opened);
}
