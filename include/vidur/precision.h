#ifndef VIDUR_PRECISION_H
#define VIDUR_PRECISION_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * The number formats that weights and the KV cache are kept in. A format is a row here;
 * what timings of kernels call it stands in the importer of those.
 *
 * X(name, bytes a weight with its scales, peak that its products reach)
 * Peaks: bf16, fp8 and fp4 as devices state them; formats of weights alone (w4a16) are
 * widened and multiplied as bf16. Source: ENGINE.md section 5.
 */
#define VIDUR_DTYPES(X)                                                                \
    X(bf16, 2, bf16)                                                                   \
    X(fp8, 1, fp8)                     /* a scale a tensor or channel */               \
    X(fp8_block, 1 + 4.0 / 16384, fp8) /* a scale a block of 128 x 128 */              \
    X(int8, 1, fp8)                    /* tensor cores do INT8 at FP8's rate */        \
    X(int4, 0.5 + 2.0 / 128, bf16)     /* w4a16, groups of 128 */                      \
    X(nvfp4, 0.5 + 1.0 / 16, fp4)      /* groups of 16 */                              \
    X(mxfp4, 0.5 + 1.0 / 32, bf16)     /* w4a16, groups of 32 */

enum vidur_dtype {
#define X(name, bytes, peak) VIDUR_DTYPE_##name,
    VIDUR_DTYPES(X)
#undef X
        VIDUR_NUM_DTYPES
};

enum vidur_peak { VIDUR_PEAK_bf16, VIDUR_PEAK_fp8, VIDUR_PEAK_fp4, VIDUR_NUM_PEAKS };

/* Peaks of a device relative to that of bf16. */
struct vidur_relative_peaks {
    double of[VIDUR_NUM_PEAKS];
};

/* Of a model as it is served. Embedding, output head, norms and routers stay bf16. */
struct vidur_precision {
    enum vidur_dtype weights;   /* of dense and shared feed-forward layers */
    enum vidur_dtype experts;   /* of routed experts */
    enum vidur_dtype attention; /* of the projections */
    enum vidur_dtype kv_cache;  /* bf16 or fp8 */
};

const char *vidur_dtype_name(enum vidur_dtype dtype);
double vidur_dtype_bytes(enum vidur_dtype dtype);
enum vidur_peak vidur_dtype_peak(enum vidur_dtype dtype);

/* By name, also "bfloat16"; fails and lists what there is. */
int vidur_dtype_find(enum vidur_dtype *out, const char *name, struct vidur_error *err);

/* All bf16. */
bool vidur_precision_is_bf16(const struct vidur_precision *precision);

/* "fp8", "bf16, experts mxfp4", "fp8, KV cache fp8": what differs is named. */
void vidur_precision_describe(const struct vidur_precision *precision, char *out,
                              size_t size);

/* All weights of one format, the cache bf16. */
struct vidur_precision vidur_precision_of(enum vidur_dtype weights);

struct vidur_yaml_node;

/* Reads a `precision:` node into `out`, which holds what it may leave out: one name,
 * that of all weights, or a mapping {weights, experts, attention, kv_cache} in which
 * experts and attention follow weights where it is given and they are not. Errors name
 * file, line and key. */
int vidur_precision_read(const struct vidur_yaml_node *node,
                         struct vidur_precision *out, struct vidur_error *err);

#endif
