#include "space/identity.h"

#include "base/hash.h"

#include <vidur/deployment.h>
#include <vidur/model.h>
#include <vidur/paths.h>
#include <vidur/sku.h>
#include <vidur/workload.h>

#include <stdio.h>
#include <stdlib.h>

/* What a candidate is asked to serve. */
static void add_load(struct vidur_sha256 *sha, const struct vidur_space *space,
                     const struct vidur_candidate *c)
{
    const struct vidur_search_trace *trace = &space->config->traces[c->trace];
    vidur_sha256_add_string(sha, space->config->models[c->model].name);
    vidur_sha256_add_string(sha, trace->name);
    vidur_workload_digest(sha, &trace->workload);
    vidur_sha256_add_int64(sha, (int64_t)trace->content);
    vidur_sha256_add_int64(sha, trace->auto_requests);
}

uint64_t identity_candidate(const struct vidur_space *space,
                            const struct vidur_candidate *c,
                            const struct vidur_deployment *deployment)
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_deployment_digest(&sha, deployment);
    add_load(&sha, space, c);
    return vidur_sha256_uint64(&sha);
}

uint64_t identity_fleet(const struct vidur_space *space,
                        const struct vidur_candidate *c,
                        const struct vidur_fleet *fleet)
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_fleet_digest(&sha, fleet);
    add_load(&sha, space, c);
    return vidur_sha256_uint64(&sha);
}

uint64_t identity_cluster(const struct vidur_search_cluster *cluster)
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_device_digest(&sha, &cluster->device);
    vidur_node_digest(&sha, &cluster->node);
    return vidur_sha256_uint64(&sha);
}

/* ---- Files ---- */

/* `kind`: of the data folder's specs; NULL: `reference` is a path. */
static void set_path(struct identity_input *input, const char *kind,
                     const char *reference)
{
    struct vidur_path path;
    const bool found = kind && vidur_path_spec(NULL, kind, reference, &path, NULL) == 0;
    snprintf(input->path, sizeof input->path, "%s", found ? path.text : reference);
}

static void add_model(struct identity_input *input,
                      const struct vidur_search_model *model, int i)
{
    struct vidur_sha256 sha;
    snprintf(input->key, sizeof input->key, "models.%d", i);
    set_path(input, "models", model->identifier[0] ? model->identifier : model->name);
    vidur_sha256_init(&sha);
    vidur_model_digest(&sha, &model->spec);
    vidur_sha256_hex(&sha, input->sha256);
}

static void add_device(struct identity_input *input,
                       const struct vidur_search_cluster *cluster, int i)
{
    struct vidur_sha256 sha;
    snprintf(input->key, sizeof input->key, "clusters.%d.device", i);
    set_path(input, "skus/devices", cluster->hardware.device);
    vidur_sha256_init(&sha);
    vidur_device_digest(&sha, &cluster->device);
    vidur_sha256_hex(&sha, input->sha256);
}

static void add_node(struct identity_input *input,
                     const struct vidur_search_cluster *cluster, int i)
{
    struct vidur_sha256 sha;
    snprintf(input->key, sizeof input->key, "clusters.%d.network_device", i);
    set_path(input, "skus/nodes", cluster->hardware.node);
    vidur_sha256_init(&sha);
    vidur_node_digest(&sha, &cluster->node);
    vidur_sha256_hex(&sha, input->sha256);
}

static const char *file_of(const struct vidur_workload_config *config)
{
    return config->type == VIDUR_WORKLOAD_TRACE_REPLAY ? config->file
           : config->type == VIDUR_WORKLOAD_SESSIONS   ? config->sessions.file
                                                       : config->lengths.file;
}

static void add_trace(struct identity_input *input,
                      const struct vidur_search_trace *trace, int i)
{
    struct vidur_sha256 sha;
    snprintf(input->key, sizeof input->key, "traces.%d", i);
    set_path(input, NULL, file_of(&trace->workload));
    vidur_sha256_init(&sha);
    vidur_sha256_add_int64(&sha, (int64_t)trace->content);
    vidur_sha256_hex(&sha, input->sha256);
}

int identity_inputs(const struct vidur_search_config *config,
                    struct identity_input **out, int *count, struct vidur_error *err)
{
    const int wanted =
        config->num_models + 2 * config->num_clusters + config->num_traces;
    struct identity_input *input = calloc((size_t)wanted + 1, sizeof *input);
    *out = input;
    *count = wanted;
    if (!input)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %d inputs", wanted);
    for (int i = 0; i < config->num_models; i++)
        add_model(input++, &config->models[i], i);
    for (int i = 0; i < config->num_clusters; i++) {
        add_device(input++, &config->clusters[i], i);
        add_node(input++, &config->clusters[i], i);
    }
    for (int i = 0; i < config->num_traces; i++)
        add_trace(input++, &config->traces[i], i);
    return 0;
}

int identity_times(const struct vidur_space *space, const char *const *keys,
                   char sha256[65], struct vidur_error *err)
{
    struct vidur_sha256 sha;
    char key[65];
    vidur_sha256_init(&sha);
    for (int i = 0; i < space->num_tables; i++) {
        if (!keys && vidur_timetable_inputs_key(key, &space->config->estimator,
                                                &space->tables[i], err) != 0)
            return -1;
        vidur_sha256_add_string(&sha, keys ? keys[i] : key);
    }
    vidur_sha256_hex(&sha, sha256);
    return 0;
}
