#include "compare/measured_format.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first one that knows an experiment reads it. */
static const struct vidur_measured_format *const formats[] = {
    &vidur_measured_shared_prefix, &vidur_measured_closed_loop,
    &vidur_measured_bench_serve};

enum { NUM_FORMATS = sizeof formats / sizeof *formats };

/* ---- What formats share ---- */

int vidur_measured_numbers(const struct vidur_json_node *node,
                           const struct vidur_measured_number *numbers, int count,
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

int vidur_measured_optional_int(const struct vidur_json_node *node, const char *key,
                                int *out, struct vidur_error *err)
{
    struct vidur_json_node value = vidur_json_get(node, key);
    int64_t number;
    if (!vidur_json_has(node, key))
        return 0;
    if (vidur_json_kind(&value) == VIDUR_JSON_STRING) {
        const char *text = vidur_json_as_string(&value, err);
        if (!vidur_text_int64(text, &number))
            return vidur_json_fail(&value, err, "'%s' is no integer", text);
    } else if (vidur_json_as_int64(&value, &number, err) != 0) {
        return -1;
    }
    if (number < 1 || number > INT32_MAX)
        return vidur_json_fail(&value, err, "%lld; 1 or more", (long long)number);
    *out = (int)number;
    return 0;
}

int vidur_measured_text(const struct vidur_json_node *node, const char *key, char *out,
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

int vidur_measured_latency(const struct vidur_json_node *stage, const char *key,
                           struct vidur_measured_latency *out, struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(stage, key);
    const struct vidur_measured_number numbers[] = {{"mean", &out->mean},
                                                    {"median", &out->p50},
                                                    {"p90", &out->p90},
                                                    {"p95", &out->p95},
                                                    {"p99", &out->p99}};
    for (int i = 0; i < 5; i++)
        if ((i == 0 || vidur_json_has(&node, numbers[i].key)) &&
            vidur_measured_numbers(&node, &numbers[i], 1, err))
            return -1;
    return 0;
}

static int read_dtype(const struct vidur_json_node *node, int *out,
                      struct vidur_error *err)
{
    const char *name = vidur_json_as_string(node, err);
    enum vidur_dtype dtype;
    struct vidur_error why;
    if (!name)
        return -1;
    if (vidur_dtype_find(&dtype, name, &why))
        return vidur_json_fail(node, err, "%s", why.text);
    *out = (int)dtype;
    return 0;
}

/* One format, that of all weights, or {weights, experts, attention, kv_cache}. */
static int read_precision(const struct vidur_json_node *node,
                          struct vidur_measured_precision *out, struct vidur_error *err)
{
    struct vidur_json_node precision = vidur_json_get(node, "precision");
    const struct {
        const char *key;
        int *out;
    } parts[] = {{"weights", &out->weights},
                 {"experts", &out->experts},
                 {"attention", &out->attention},
                 {"kv_cache", &out->kv_cache}};
    if (!vidur_json_has(node, "precision"))
        return 0;
    if (vidur_json_kind(&precision) == VIDUR_JSON_STRING)
        return read_dtype(&precision, &out->weights, err);
    for (int i = 0; i < 4; i++) {
        struct vidur_json_node part = vidur_json_get(&precision, parts[i].key);
        if (vidur_json_has(&precision, parts[i].key) &&
            read_dtype(&part, parts[i].out, err))
            return -1;
    }
    return 0;
}

static int read_switch(const struct vidur_json_node *node, const char *key,
                       enum vidur_stated *out, struct vidur_error *err)
{
    struct vidur_json_node value = vidur_json_get(node, key);
    bool on = false;
    if (!vidur_json_has(node, key))
        return 0;
    if (vidur_json_kind(&value) == VIDUR_JSON_STRING) {
        if (!vidur_text_bool(vidur_json_as_string(&value, err), true, &on))
            return vidur_json_fail(&value, err, "true or false");
    } else if (vidur_json_as_bool(&value, &on, err)) {
        return -1;
    }
    *out = on ? VIDUR_STATED_YES : VIDUR_STATED_NO;
    return 0;
}

static int read_role(const struct vidur_json_node *pool, enum vidur_pool_role *out,
                     struct vidur_error *err)
{
    struct vidur_json_node role = vidur_json_get(pool, "role");
    const char *name = vidur_json_as_string(&role, err);
    if (!name)
        return -1;
    for (int i = 0; vidur_pool_role_names[i]; i++)
        if (strcmp(vidur_pool_role_names[i], name) == 0) {
            *out = (enum vidur_pool_role)i;
            return 0;
        }
    return vidur_json_fail(&role, err, "'%s' is no role; all, prefill or decode", name);
}

static int read_pools(const struct vidur_json_node *node,
                      struct vidur_measured_experiment *e, struct vidur_error *err)
{
    struct vidur_json_node pools = vidur_json_get(node, "pools");
    if (!vidur_json_has(node, "pools"))
        return 0;
    const int count = vidur_json_count(&pools);
    if (vidur_json_kind(&pools) != VIDUR_JSON_ARRAY || count < 1 ||
        count > VIDUR_MAX_POOLS)
        return vidur_json_fail(&pools, err, "no list of 1 to %d pools",
                               VIDUR_MAX_POOLS);
    for (e->num_pools = 0; e->num_pools < count; e->num_pools++) {
        struct vidur_json_node item = vidur_json_item(&pools, e->num_pools);
        struct vidur_measured_pool *pool = &e->pools[e->num_pools];
        if (read_role(&item, &pool->role, err) ||
            vidur_measured_optional_int(&item, "num_replicas", &pool->num_replicas,
                                        err) ||
            vidur_measured_optional_int(&item, "tensor_parallel_size",
                                        &pool->tensor_parallel_size, err))
            return -1;
    }
    return 0;
}

int vidur_measured_engine(const struct vidur_json_node *node,
                          struct vidur_measured_experiment *e, struct vidur_error *err)
{
    const struct {
        const char *key;
        int *out;
    } counts[] = {{"tensor_parallel_size", &e->tensor_parallel_size},
                  {"pipeline_parallel_size", &e->pipeline_parallel_size},
                  {"data_parallel_size", &e->data_parallel_size},
                  {"num_replicas", &e->num_replicas},
                  {"max_model_len", &e->max_model_len},
                  {"max_num_batched_tokens", &e->max_num_batched_tokens},
                  {"max_num_seqs", &e->max_num_seqs},
                  {"cpu_cores", &e->cpu_cores}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (vidur_measured_optional_int(node, counts[i].key, counts[i].out, err))
            return -1;
    if (read_switch(node, "expert_parallel", &e->expert_parallel, err) ||
        read_switch(node, "prefix_caching", &e->prefix_caching, err) ||
        read_precision(node, &e->precision, err))
        return -1;
    if (read_pools(node, e, err))
        return -1;
    if (!vidur_json_has(node, "device"))
        return 0;
    /* "h100 (SXM 80 GB)": what stands behind the name is for people. */
    char text[96];
    if (vidur_measured_text(node, "device", text, sizeof text, err))
        return -1;
    text[strcspn(text, " ")] = '\0';
    snprintf(e->device, sizeof e->device, "%.31s", text);
    return 0;
}

/* Tokens of an output, on average. */
static double mean_output(const struct vidur_measured_experiment *e)
{
    if (!e->output.list)
        return ((double)e->output.min + e->output.max) / 2;
    double sum = 0;
    for (int64_t i = 0; i < e->num_requests; i++)
        sum += e->output.list[i];
    return sum / (double)e->num_requests;
}

void vidur_measured_derive_e2e(struct vidur_measured_experiment *e)
{
    struct vidur_measured_stage *stage = &e->stages[0];
    e->e2e_derived = isnan(stage->e2e.mean);
    if (e->e2e_derived)
        stage->e2e.mean = stage->ttft.mean + stage->tpot.mean * (mean_output(e) - 1);
}

/* ---- Files ---- */

static void state_nothing(struct vidur_measured_experiment *e)
{
    static const struct vidur_measured_latency none = {NAN, NAN, NAN, NAN, NAN};
    e->precision = (struct vidur_measured_precision){-1, -1, -1, -1};
    e->burstiness = 1;
    e->num_stages = 1;
    for (int i = 0; i < VIDUR_MAX_LOAD_STAGES; i++)
        e->stages[i] = (struct vidur_measured_stage){none, none, none};
}

static int read_experiment(const struct vidur_json_node *node,
                           struct vidur_measured_experiment *e, struct vidur_error *err)
{
    char known[512] = "";
    state_nothing(e);
    for (int i = 0; i < NUM_FORMATS; i++) {
        const size_t used = strlen(known);
        if (formats[i]->knows(node))
            return formats[i]->read(node, e, err);
        snprintf(known + used, sizeof known - used, "%s%s", i ? "; " : "",
                 formats[i]->what);
    }
    return vidur_json_fail(node, err, "of no known format; they are known by: %s",
                           known);
}

void vidur_measured_free(struct vidur_measured_experiment *experiments, int count)
{
    for (int i = 0; experiments && i < count; i++) {
        free(experiments[i].prompt.list);
        free(experiments[i].output.list);
    }
    free(experiments);
}

static int read_all(const struct vidur_json_node *root, bool is_list,
                    struct vidur_measured_experiment *experiments, int count,
                    struct vidur_error *err)
{
    for (int i = 0; i < count; i++) {
        struct vidur_json_node node = is_list ? vidur_json_item(root, i) : *root;
        if (read_experiment(&node, &experiments[i], err))
            return -1;
    }
    return 0;
}

int vidur_measured_read(const char *path,
                        struct vidur_measured_experiment **experiments, int *count,
                        struct vidur_error *err)
{
    struct vidur_json *doc = vidur_json_load(path, err);
    if (!doc)
        return -1;
    struct vidur_json_node root = vidur_json_root(doc);
    const bool is_list = vidur_json_kind(&root) == VIDUR_JSON_ARRAY;
    int rc = -1;
    *count = is_list ? vidur_json_count(&root) : 1;
    *experiments = NULL;
    if ((!is_list && vidur_json_kind(&root) != VIDUR_JSON_OBJECT) || *count < 1)
        vidur_json_fail(&root, err, "neither a list of experiments nor one");
    else if (!(*experiments = calloc((size_t)*count, sizeof **experiments)))
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    else
        rc = read_all(&root, is_list, *experiments, *count, err);
    if (rc != 0) {
        vidur_measured_free(*experiments, *count);
        *experiments = NULL;
    }
    vidur_json_free(doc);
    return rc;
}
