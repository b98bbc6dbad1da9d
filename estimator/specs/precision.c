#include <vidur/precision.h>

#include "base/yaml.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    double bytes;
    enum vidur_peak peak;
} dtypes[] = {
#define X(name, bytes, peak) {#name, bytes, VIDUR_PEAK_##peak},
    VIDUR_DTYPES(X)
#undef X
};

const char *vidur_dtype_name(enum vidur_dtype dtype)
{
    return dtypes[dtype].name;
}

double vidur_dtype_bytes(enum vidur_dtype dtype)
{
    return dtypes[dtype].bytes;
}

enum vidur_peak vidur_dtype_peak(enum vidur_dtype dtype)
{
    return dtypes[dtype].peak;
}

int vidur_dtype_find(enum vidur_dtype *out, const char *name, struct vidur_error *err)
{
    char list[128] = "";
    if (strcmp(name, "bfloat16") == 0)
        name = "bf16";
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *out = (enum vidur_dtype)i;
            return 0;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                 dtypes[i].name);
    }
    return vidur_fail(err, VIDUR_EINVAL, "'%s' is no precision; one of %s", name, list);
}

bool vidur_precision_is_bf16(const struct vidur_precision *p)
{
    return p->weights == VIDUR_DTYPE_bf16 && p->experts == VIDUR_DTYPE_bf16 &&
           p->attention == VIDUR_DTYPE_bf16 && p->kv_cache == VIDUR_DTYPE_bf16;
}

struct vidur_precision vidur_precision_of(enum vidur_dtype weights)
{
    return (struct vidur_precision){weights, weights, weights, VIDUR_DTYPE_bf16};
}

void vidur_precision_describe(const struct vidur_precision *p, char *out, size_t size)
{
    const struct {
        const char *what;
        enum vidur_dtype dtype;
        enum vidur_dtype usual;
    } parts[] = {{"experts", p->experts, p->weights},
                 {"attention", p->attention, p->weights},
                 {"KV cache", p->kv_cache, VIDUR_DTYPE_bf16}};
    int used = snprintf(out, size, "%s", dtypes[p->weights].name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].dtype != parts[i].usual && used >= 0 && (size_t)used < size)
            used += snprintf(out + used, size - (size_t)used, ", %s %s", parts[i].what,
                             dtypes[parts[i].dtype].name);
}

/* ---- Reading ---- */

static int read_dtype(const struct vidur_yaml_node *node, enum vidur_dtype *out,
                      struct vidur_error *err)
{
    char name[32];
    struct vidur_error why;
    if (vidur_yaml_as_string(node, name, sizeof name, err))
        return -1;
    if (vidur_dtype_find(out, name, &why))
        return vidur_yaml_fail(node, err, "%s", why.text);
    return 0;
}

static int read_weights(const struct vidur_yaml_node *node, void *out,
                        struct vidur_error *err)
{
    return read_dtype(node, out, err);
}

static int read_kv_cache(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    enum vidur_dtype *dtype = out;
    if (read_dtype(node, dtype, err))
        return -1;
    if (*dtype != VIDUR_DTYPE_bf16 && *dtype != VIDUR_DTYPE_fp8)
        return vidur_yaml_fail(node, err, "%s: a KV cache is bf16 or fp8",
                               dtypes[*dtype].name);
    return 0;
}

#define DTYPE(key_, reader)                                                            \
    {                                                                                  \
        .key = #key_, .type = VIDUR_YAML_CUSTOM, .read = reader, .example = "fp8",     \
        VIDUR_YAML_AT(struct vidur_precision, key_)                                    \
    }

static const struct vidur_yaml_field precision_fields[] = {
    DTYPE(weights, read_weights),
    DTYPE(experts, read_weights),
    DTYPE(attention, read_weights),
    DTYPE(kv_cache, read_kv_cache),
    {.key = NULL}};

int vidur_precision_read(const struct vidur_yaml_node *node,
                         struct vidur_precision *out, struct vidur_error *err)
{
    if (vidur_yaml_kind(node) == VIDUR_YAML_IS_SCALAR) {
        const enum vidur_dtype kv_cache = out->kv_cache;
        enum vidur_dtype weights;
        if (read_dtype(node, &weights, err))
            return -1;
        *out = vidur_precision_of(weights);
        out->kv_cache = kv_cache;
        return 0;
    }
    const struct vidur_yaml_node *weights = vidur_yaml_get(node, "weights");
    if (weights) {
        if (read_dtype(weights, &out->weights, err))
            return -1;
        out->experts = out->attention = out->weights;
    }
    return vidur_yaml_read(node, precision_fields, out, err);
}
