#include "compare/trial.h"

#include <stdlib.h>
#include <string.h>

struct vidur_trial_table {
    const struct vidur_trial *first; /* of those that use it */
    int pool;                        /* of these, the first's */
    struct vidur_timetable_request request;
    struct vidur_timetable *timetable; /* NULL: not open */
};

static bool same_server(const struct vidur_deployment *a,
                        const struct vidur_deployment *b)
{
    return strcmp(a->model.name, b->model.name) == 0 &&
           memcmp(&a->model.precision, &b->model.precision,
                  sizeof a->model.precision) == 0 &&
           strcmp(a->device.name, b->device.name) == 0 &&
           strcmp(a->node.name, b->node.name) == 0 &&
           a->tensor_parallel_size == b->tensor_parallel_size &&
           a->num_pipeline_stages == b->num_pipeline_stages &&
           a->expert_parallel == b->expert_parallel &&
           a->data_parallel_size == b->data_parallel_size;
}

static void raise_limit(int64_t *limit, int64_t value)
{
    if (value > *limit)
        *limit = value;
}

static void cover(struct vidur_timetable_request *request,
                  const struct vidur_timetable_request *other)
{
    raise_limit(&request->max_tokens, other->max_tokens);
    raise_limit(&request->max_batch_size, other->max_batch_size);
    raise_limit(&request->max_kv_tokens, other->max_kv_tokens);
    raise_limit(&request->max_chunk_tokens, other->max_chunk_tokens);
}

static const struct vidur_deployment *server_of(const struct vidur_trial *trial,
                                                int pool)
{
    return &trial->fleet.pools[pool].deployment;
}

static void plan_pool(struct vidur_trial_tables *tables, struct vidur_trial *trial,
                      int pool)
{
    const struct vidur_deployment *deployment = server_of(trial, pool);
    struct vidur_timetable_request request;
    int at = 0;
    vidur_deployment_table_limits(deployment, trial->max_tokens, &request);
    request.library = tables->library;
    while (at < tables->count &&
           !same_server(server_of(tables->items[at].first, tables->items[at].pool),
                        deployment))
        at++;
    trial->tables[pool] = at;
    if (at == tables->count)
        tables->items[tables->count++] = (struct vidur_trial_table){
            .first = trial, .pool = pool, .request = request};
    else
        cover(&tables->items[at].request, &request);
}

int vidur_trial_tables_plan(struct vidur_trial_tables *tables,
                            struct vidur_trial *trials, int num_trials,
                            struct vidur_error *err)
{
    tables->trials = trials;
    tables->num_trials = num_trials;
    tables->items =
        calloc((size_t)num_trials * VIDUR_MAX_POOLS + 1, sizeof *tables->items);
    tables->library = vidur_kernel_library_create(err);
    if (!tables->items)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    if (!tables->library)
        return -1;
    for (int i = 0; i < num_trials; i++)
        for (int pool = 0; !trials[i].left_out[0] && pool < trials[i].fleet.num_pools;
             pool++)
            plan_pool(tables, &trials[i], pool);
    return 0;
}

static bool uses(const struct vidur_trial *trial, int table)
{
    for (int i = 0; i < trial->fleet.num_pools; i++)
        if (trial->tables[i] == table)
            return true;
    return false;
}

static void leave_out(struct vidur_trial_tables *tables, int table, const char *why)
{
    for (int i = 0; i < tables->num_trials; i++) {
        struct vidur_trial *trial = &tables->trials[i];
        if (!trial->left_out[0] && uses(trial, table))
            snprintf(trial->left_out, sizeof trial->left_out, "%.255s", why);
    }
}

int vidur_trial_tables_open(struct vidur_trial_tables *tables,
                            const struct vidur_estimator_config *estimator,
                            const struct vidur_comparison_options *options,
                            struct vidur_error *err)
{
    for (int i = 0; i < tables->count; i++) {
        struct vidur_trial_table *table = &tables->items[i];
        struct vidur_error why = {0};
        if (options->cancel && *options->cancel)
            return vidur_fail(err, VIDUR_EINTR, "interrupted");
        if (table->first->left_out[0] ||
            vidur_timetable_open(&table->timetable, estimator, &table->request,
                                 options->log, &why) == 0)
            continue;
        table->timetable = NULL;
        if (why.code == VIDUR_ENOMEM || why.code == VIDUR_EINTR)
            return vidur_fail(err, why.code, "%s", why.text);
        leave_out(tables, i, why.text);
    }
    return 0;
}

const struct vidur_timetable *
vidur_trial_tables_at(const struct vidur_trial_tables *tables, int table)
{
    return tables->items[table].timetable;
}

void vidur_trial_tables_close(struct vidur_trial_tables *tables)
{
    for (int i = 0; i < tables->count; i++) {
        vidur_timetable_close(tables->items[i].timetable);
        tables->items[i].timetable = NULL;
    }
}

void vidur_trial_tables_release(struct vidur_trial_tables *tables)
{
    vidur_trial_tables_close(tables);
    vidur_kernel_library_destroy(tables->library);
    free(tables->items);
    *tables = (struct vidur_trial_tables){0};
}
