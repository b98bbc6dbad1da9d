#ifndef VIDUR_KERNELS_H
#define VIDUR_KERNELS_H

#include <vidur/error.h>
#include <vidur/paths.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Timings of single GPU kernels, as curves over one size: the raw material of engine
 * tables. Format: gemm, context_attention, generation_attention, custom_allreduce
 * (.csv or .csv.gz) and system.yaml in one folder; bf16 rows only.
 * Source: ENGINE.md section 3.
 */

/* Points with ascending x; equal x: the first one read. */
struct vidur_curve {
    int32_t key[3]; /* what the curve is of; see the getters */
    int count;
    const double *x;
    const double *ms;
};

struct vidur_kernels; /* owns the curves */

int vidur_kernels_read(struct vidur_kernels **out, const char *dir,
                       struct vidur_error *err);
void vidur_kernels_free(struct vidur_kernels *kernels);

/* The path of the i-th file that vidur_kernels_read reads, from 0; false: no more. */
bool vidur_kernels_file(const char *dir, int i, struct vidur_path *path);

/* From system.yaml. */
double vidur_kernels_bandwidth_bytes_per_s(const struct vidur_kernels *kernels);
double vidur_kernels_peak_flops(const struct vidur_kernels *kernels);

enum { VIDUR_GEMM_NEIGHBOURS = 4 };

/* One product shape: the measured curve, or the nearest ones and their weights. */
struct vidur_gemm {
    const struct vidur_curve *curve[VIDUR_GEMM_NEIGHBOURS];
    double weight[VIDUR_GEMM_NEIGHBOURS];
    int count;
    bool measured;
    int64_t n, k;
    const struct vidur_kernels *kernels;
};

/*
 * The product (tokens, k) x (k, n). Its time is linear in tokens, proportional beyond
 * the last measured size; for an (n, k) that was not measured it follows from the
 * roofline utilisation of the 4 nearest (n, k >= 1024) in log2 space, weights 1/d^2.
 */
struct vidur_gemm vidur_kernels_gemm(const struct vidur_kernels *kernels, int64_t n,
                                     int64_t k);
double vidur_gemm_ms(const struct vidur_gemm *gemm, int64_t tokens);

/* One all-reduce in a captured graph over `devices`; x: message bytes. NULL: none. */
const struct vidur_curve *vidur_kernels_all_reduce(const struct vidur_kernels *kernels,
                                                   int devices);

/*
 * Attention at batch 1, per layer; x: prompt length (context) or cached tokens
 * (generation). Context: the measured head counts, else the nearest count of query
 * heads with the same head size and ratio of query to KV heads, whose times the caller
 * scales by heads / curve->key[1]. NULL: nothing measured that would do.
 */
const struct vidur_curve *vidur_kernels_context(const struct vidur_kernels *kernels,
                                                int head_dim, int heads, int kv_heads);
const struct vidur_curve *vidur_kernels_generation(const struct vidur_kernels *kernels,
                                                   int head_dim, int heads,
                                                   int kv_heads);

/* Linear between points; below the first its value; beyond the last its value times
 * (x / last)^power. */
double vidur_curve_at(const struct vidur_curve *curve, double x, double power);

#endif
