#ifndef VIDUR_ESTIMATE_CONFIG_H
#define VIDUR_ESTIMATE_CONFIG_H

#include <vidur/model.h>
#include <vidur/sku.h>
#include <vidur/spec_config.h>
#include <vidur/timetable.h>

/*
 * What floor 1 needs of vidur-simulate's configuration: the model, the hardware and the
 * estimator section, with vidur-simulate's defaults and checks. The other known
 * sections are skipped, not read.
 */
struct vidur_estimate_config {
    struct vidur_model_spec model;
    struct vidur_device_sku device;
    struct vidur_node_sku node;
#define X(type, name, def, min) type name;
    VIDUR_PARALLELISM(X)
#undef X
    int block_size_tokens; /* of the scheduler section; 16 */
    int max_num_seqs;      /* of the scheduler section; 128 */
    bool engine; /* the caller's, before it reads a file: layers may be dealt unevenly,
                    as engines do */
    struct vidur_estimator_config estimator;
};

/* Reads a file, with `key.path=value` overrides applied, into a struct of which
 * `engine` is set. */
int vidur_estimate_config_load(struct vidur_estimate_config *config, const char *path,
                               const char *const *sets, int num_sets,
                               struct vidur_error *err);

/* What the configuration asks the estimator for; points into `config`. The limits are
 * the estimator section's. */
struct vidur_timetable_request
vidur_estimate_request(const struct vidur_estimate_config *config);

#endif
