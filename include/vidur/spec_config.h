#ifndef VIDUR_SPEC_CONFIG_H
#define VIDUR_SPEC_CONFIG_H

#include <vidur/error.h>
#include <vidur/model.h>
#include <vidur/shard.h>
#include <vidur/sku.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * The keys with which configurations name specs and lay a model out over devices.
 * vidur-estimate, vidur-simulate and vidur-search all read them by what is here, so a
 * key means the same to each, and the same mistake gets the same message.
 * Source: SIMULATOR.md sections 1 and 9.
 */

/* Which of SIMULATOR.md section 9's columns holds. */
enum vidur_semantics { VIDUR_SEMANTICS_CORRECTED, VIDUR_SEMANTICS_VIDUR };

/* "corrected", "vidur": for the enum's values in order; ends with NULL. */
extern const char *const vidur_semantics_names[];

/* ---- How a replica is laid out over devices ---- */

/*
 * Keys of `cluster:`, which a search has a list of values for. Declared once; the list
 * feeds struct vidur_deployment, its defaults, its check and its digest, the schemas of
 * vidur-estimate and vidur-simulate, and the fields of a search's rules.
 * X(type, name, default, minimum)
 */
#define VIDUR_PARALLELISM(X)                                                           \
    X(int, tensor_parallel_size, 1, 1)                                                 \
    X(int, num_pipeline_stages, 1, 1)                                                  \
    X(bool, expert_parallel, false, 0) /* experts go whole to the devices */           \
    X(int, data_parallel_size, 1, 1)   /* ranks with requests of their own */

/* Whether devices can share each layer of the model so (vidur_shard_check), and are no
 * more than it can use; but for `vidur` they also divide the KV heads or are a multiple
 * of them, as engines ask. Texts name no key. */
int vidur_check_tensor_parallel(const struct vidur_model_spec *model,
                                const struct vidur_cut *cut,
                                enum vidur_semantics semantics,
                                struct vidur_error *err);
/* Whether engines serve the model with so many ranks in data parallel: it has experts
 * to share, and one pipeline stage. Texts name no key. */
int vidur_check_data_parallel(const struct vidur_model_spec *model,
                              const struct vidur_cut *cut, struct vidur_error *err);
/* Whether so many pipeline stages get equal parts of the model. Texts name no key. */
int vidur_check_pipeline(const struct vidur_model_spec *model, int stages,
                         struct vidur_error *err);

/* Whether engines serve the model's formats on the device: formats of weights that it
 * has no units for are widened by weight-only kernels and pass, an FP8 cache that its
 * attention kernels cannot read, and INT8 where it is given up, do not. Texts name no
 * key. Source: ENGINE.md section 5. */
int vidur_check_precision(const struct vidur_model_spec *model,
                          const struct vidur_device_sku *device,
                          struct vidur_error *err);

/* ---- What it runs on ---- */

struct vidur_yaml_node;
struct vidur_yaml_field;

/* `device` and `network_device` of a cluster. Plain data. */
struct vidur_hardware_config {
    char device[1024];              /* a spec's name, or a path */
    char node[1024];                /* the same; after loading the default's, too */
    bool default_node;              /* the configuration names no network_device */
    enum vidur_semantics semantics; /* which default; the caller's to set */
};

/* The schema of both keys (VIDUR_YAML_PART), for a struct vidur_hardware_config. */
const struct vidur_yaml_field *vidur_hardware_fields(void);

/* The node where a configuration names none, by its name in data/skus/nodes: as
 * vidur_node_sku_default says, under `vidur` DEVICE_pairwise_nvlink. */
int vidur_default_node(const struct vidur_device_sku *device,
                       enum vidur_semantics semantics, char *name, size_t size,
                       struct vidur_error *err);

/* Loads what the keys name, or the default node; the node must hold the device. Errors
 * have the place of the key in `cluster`, the mapping they were read from. */
int vidur_hardware_load(struct vidur_hardware_config *config,
                        const struct vidur_yaml_node *cluster,
                        struct vidur_device_sku *device, struct vidur_node_sku *node,
                        struct vidur_error *err);

/* vidur_model_load(); errors have the place of `key` in `mapping`, which named the
 * model. A key `precision` of the mapping replaces what it gives of the spec's
 * (vidur_precision_read). */
int vidur_model_config_load(struct vidur_model_spec *model, const char *reference,
                            const struct vidur_yaml_node *mapping, const char *key,
                            struct vidur_error *err);

#endif
