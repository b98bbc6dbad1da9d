#ifndef VIDUR_KERNELS_H
#define VIDUR_KERNELS_H

#include <vidur/error.h>
#include <vidur/paths.h>
#include <vidur/precision.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Timings of single GPU kernels, as curves over one size: the raw material of engine
 * tables. A folder of tables (.csv or .csv.gz) and system.yaml; the importer of data/
 * writes them. A table is read when it is first asked for.
 * Source: ENGINE.md sections 3 and 6.
 *
 * X(name, file, needed by every model)
 */
#define VIDUR_KERNEL_TABLES(X)                                                         \
    X(gemm, "gemm", true)                                                              \
    X(context, "context_attention", true)                                              \
    X(generation, "generation_attention", true)                                        \
    X(all_reduce, "custom_allreduce", true)                                            \
    X(all_gather, "nccl", false)                                                       \
    X(reduce_scatter, "nccl", false)                                                   \
    X(experts, "moe", false)                                                           \
    X(mla_context, "mla_context", false)                                               \
    X(mla_generation, "mla_generation", false)                                         \
    X(generation_batches, "generation_attention", false) /* last: of errors alone */

enum vidur_kernel_table {
#define X(name, file, needed) VIDUR_KERNELS_##name,
    VIDUR_KERNEL_TABLES(X)
#undef X
        VIDUR_NUM_KERNEL_TABLES
};

enum { VIDUR_MAX_KERNEL_KEYS = 7 };

/* Points with ascending x; of several kernels for one point the fastest. Keys:
 *   gemm            format, n, k                                    x: tokens
 *   context         query format, cache format, head_dim, heads, KV heads, window
 *                                                       x: prompt tokens, batch 1
 *   generation      the same                            x: cached tokens, batch 1
 *   generation_batches
 *                   the same and the batch              x: cached tokens
 *   all_reduce      devices                             x: message bytes, graph mode
 *   all_gather, reduce_scatter
 *                   devices     x: values of 2 bytes that all devices have together
 *   experts         format, hidden, expert width, a token's experts, experts, moe_tp,
 *                   moe_ep                              x: tokens, uneven routing
 *   mla_context     cache format, format, heads         x: prompt tokens, batch 1
 *   mla_generation  cache format, format, heads, batch  x: cached tokens */
struct vidur_curve {
    int32_t key[VIDUR_MAX_KERNEL_KEYS];
    int count;
    const double *x;
    const double *ms;
};

/* By ascending keys. */
struct vidur_curves {
    const struct vidur_curve *at;
    int count;
};

struct vidur_kernels; /* owns the curves; belongs to one thread */

/* The folder that holds a system's tables: `dir` itself, its newest version, or, where
 * `dir` is the root of several systems, the newest version of `system` there. */
int vidur_kernels_locate(struct vidur_path *out, const char *dir, const char *system,
                         struct vidur_error *err);

/* `dir`: as vidur_kernels_locate gives it. Reads system.yaml. */
int vidur_kernels_open(struct vidur_kernels **out, const char *dir,
                       struct vidur_error *err);
void vidur_kernels_close(struct vidur_kernels *kernels);

const char *vidur_kernels_dir(const struct vidur_kernels *kernels);

/* A table's curves; none where a table that only some models need is not there. */
int vidur_kernels_curves(struct vidur_kernels *kernels, enum vidur_kernel_table table,
                         struct vidur_curves *out, struct vidur_error *err);

/* The path of the i-th file that engine tables may be made of, from 0; false: no more.
 */
bool vidur_kernels_file(const char *dir, int i, struct vidur_path *path);

/* From system.yaml. FP8 and FP4 fall back to the next wider format's peak. */
double vidur_kernels_bandwidth_bytes_per_s(const struct vidur_kernels *kernels);
double vidur_kernels_peak_flops(const struct vidur_kernels *kernels,
                                enum vidur_peak peak);

/* The curve of exactly these keys; NULL: none. */
const struct vidur_curve *vidur_curves_find(const struct vidur_curves *curves,
                                            const int32_t key[VIDUR_MAX_KERNEL_KEYS]);

/* Linear between points; below the first its value; beyond the last its value times
 * (x / last)^power. */
double vidur_curve_at(const struct vidur_curve *curve, double x, double power);

#endif
