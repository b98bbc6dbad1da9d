#include <vidur/spec_config.h>

#include "base/section.h"
#include "base/yaml.h"

#include <stdio.h>
#include <string.h>

const char *const vidur_semantics_names[] = {"corrected", "vidur", NULL};

/* ---- How a replica is laid out over devices ---- */

int vidur_check_tensor_parallel(const struct vidur_model_spec *model,
                                const struct vidur_cut *cut,
                                enum vidur_semantics semantics, struct vidur_error *err)
{
    /* The reference rounds the KV heads of a device up. */
    if (vidur_shard_check(model, cut, semantics == VIDUR_SEMANTICS_CORRECTED, err))
        return -1;
    if (model->max_tensor_parallel_size &&
        cut->tensor > model->max_tensor_parallel_size)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s runs on at most %d devices in parallel, not %d",
                          model->name, model->max_tensor_parallel_size, cut->tensor);
    return 0;
}

static bool has_experts(const struct vidur_model_spec *model)
{
    for (int i = 0; i < model->num_kinds; i++)
        if (model->kinds[i].num_experts > 0)
            return true;
    return false;
}

int vidur_check_data_parallel(const struct vidur_model_spec *model,
                              const struct vidur_cut *cut, struct vidur_error *err)
{
    if (vidur_cut_ranks(cut) == 1)
        return 0;
    if (!has_experts(model))
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d ranks would share nothing, as %s has no experts; take as "
                          "many replicas (num_replicas) instead",
                          cut->data, model->name);
    if (cut->pipeline > 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%d ranks of %d pipeline stages; ranks in data parallel have "
                          "one stage, use num_pipeline_stages 1",
                          cut->data, cut->pipeline);
    return 0;
}

int vidur_check_pipeline(const struct vidur_model_spec *model, int stages,
                         struct vidur_error *err)
{
    if (model->num_layers % stages)
        return vidur_fail(err, VIDUR_EINVAL, "%d does not divide %d layers of %s",
                          stages, model->num_layers, model->name);
    return 0;
}

/* Head dimensions of FlashInfer's kernels, which widen an FP8 cache on devices that
 * have no units for it. */
static bool is_widened(const struct vidur_layer_kind *kind)
{
    return kind->attention == VIDUR_ATTENTION_GQA &&
           (kind->head_dim == 64 || kind->head_dim == 128 || kind->head_dim == 256);
}

int vidur_check_precision(const struct vidur_model_spec *model,
                          const struct vidur_device_sku *device,
                          struct vidur_error *err)
{
    const struct vidur_precision *p = &model->precision;
    const bool int8 = p->weights == VIDUR_DTYPE_int8 ||
                      p->experts == VIDUR_DTYPE_int8 ||
                      p->attention == VIDUR_DTYPE_int8;
    if (int8 && device->v1.peak_fp4_tflops > 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "int8; engines have no INT8 kernels for %s, take fp8",
                          device->name);
    if (p->kv_cache != VIDUR_DTYPE_fp8 || device->v1.peak_fp8_tflops > 0)
        return 0;
    for (int i = 0; i < model->num_kinds; i++)
        if (!is_widened(&model->kinds[i]))
            return vidur_fail(err, VIDUR_EINVAL,
                              "kv_cache fp8; %s has no FP8 units, and the kernels that "
                              "widen such a cache know no %s; take bf16",
                              device->name,
                              model->kinds[i].attention == VIDUR_ATTENTION_MLA
                                  ? "latent attention"
                                  : "heads but of 64, 128 and 256");
    return 0;
}

/* ---- What it runs on ---- */

#define KEY(key, member)                                                               \
    VIDUR_YAML_KEY(key, REFERENCE, struct vidur_hardware_config, member)

static const struct vidur_yaml_field hardware_fields[] = {
    {KEY("device", device), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     .example = "h100"},
    {KEY("network_device", node), .example = "h100_dgx"},
    {0}};

const struct vidur_yaml_field *vidur_hardware_fields(void)
{
    return hardware_fields;
}

int vidur_default_node(const struct vidur_device_sku *device,
                       enum vidur_semantics semantics, char *name, size_t size,
                       struct vidur_error *err)
{
    if (semantics == VIDUR_SEMANTICS_CORRECTED)
        return vidur_node_sku_default(device->name, name, size, err);
    snprintf(name, size, "%s_pairwise_nvlink", device->name);
    return 0;
}

static int load_node(struct vidur_hardware_config *config,
                     const struct vidur_device_sku *device, struct vidur_node_sku *node,
                     struct vidur_error *err)
{
    config->default_node = !config->node[0];
    if (config->default_node &&
        vidur_default_node(device, config->semantics, config->node, sizeof config->node,
                           err))
        return -1;
    if (vidur_node_sku_load(node, config->node, err))
        return -1;
    if (strcmp(node->device, device->name) != 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s holds %s devices, not %s; name a node of %s", node->name,
                          node->device, device->name, device->name);
    return 0;
}

int vidur_hardware_load(struct vidur_hardware_config *config,
                        const struct vidur_yaml_node *cluster,
                        struct vidur_device_sku *device, struct vidur_node_sku *node,
                        struct vidur_error *err)
{
    if (vidur_device_sku_load(device, config->device, err))
        return vidur_section_fail(cluster, "device", err);
    if (load_node(config, device, node, err))
        return vidur_section_fail(cluster, "network_device", err);
    return 0;
}

int vidur_model_config_load(struct vidur_model_spec *model, const char *reference,
                            const struct vidur_yaml_node *mapping, const char *key,
                            struct vidur_error *err)
{
    const struct vidur_yaml_node *precision = vidur_yaml_get(mapping, "precision");
    if (vidur_model_load(model, reference, err))
        return vidur_section_fail(mapping, key, err);
    return precision ? vidur_precision_read(precision, &model->precision, err) : 0;
}
