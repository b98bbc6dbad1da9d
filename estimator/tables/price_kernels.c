#include "tables/price.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Times from tables of kernels, and what stands in for shapes that they lack: ENGINE.md
 * sections 3 and 6. Functions return 1 where the tables have nothing to go by. */

enum { NEIGHBOURS = 4, SMALLEST_NEIGHBOUR = 1024 };

/* ---- Products ---- */

static struct vidur_work gemm_work(enum vidur_dtype dtype, double n, double k)
{
    return (struct vidur_work){.law = VIDUR_LAW_GEMM, .dtype = dtype, .n = n, .k = k};
}

/* At the peaks themselves. */
static double ideal_ms(const struct vidur_pricer *pricer, const struct vidur_work *work,
                       double tokens)
{
    const double memory_s =
        vidur_work_bytes(work, tokens) / pricer->bandwidth_bytes_per_s;
    const double compute_s = vidur_work_flops(work, tokens) /
                             pricer->peak_flops[vidur_dtype_peak(work->dtype)];
    return fmax(memory_s, compute_s) * 1e3;
}

/* One product: the measured curve, or the nearest ones and their weights. */
struct gemm {
    const struct vidur_curve *curve[NEIGHBOURS];
    double weight[NEIGHBOURS];
    int count;
    bool measured;
};

struct neighbour {
    const struct vidur_curve *curve;
    double distance2;
};

/* The nearest curves of the format in log2 space, closest first; ties keep the order of
 * keys. */
static int nearest_gemms(const struct vidur_curves *all, const struct vidur_work *work,
                         struct neighbour nearest[NEIGHBOURS])
{
    int count = 0;
    for (int i = 0; i < all->count; i++) {
        const struct vidur_curve *curve = &all->at[i];
        if (curve->key[0] != (int32_t)work->dtype ||
            curve->key[1] < SMALLEST_NEIGHBOUR || curve->key[2] < SMALLEST_NEIGHBOUR)
            continue;
        const double dn = log2(curve->key[1] / work->n);
        const double dk = log2(curve->key[2] / work->k);
        const struct neighbour next = {curve, dn * dn + dk * dk};
        int at = count < NEIGHBOURS ? count++ : NEIGHBOURS;
        for (; at > 0 && nearest[at - 1].distance2 > next.distance2; at--)
            if (at < NEIGHBOURS)
                nearest[at] = nearest[at - 1];
        if (at < NEIGHBOURS)
            nearest[at] = next;
    }
    return count;
}

static struct gemm find_gemm(const struct vidur_curves *all,
                             const struct vidur_work *work)
{
    const int32_t key[VIDUR_MAX_KERNEL_KEYS] = {(int32_t)work->dtype, (int32_t)work->n,
                                                (int32_t)work->k};
    struct gemm gemm = {.curve = {vidur_curves_find(all, key)}};
    if (gemm.curve[0]) {
        gemm.measured = true;
        gemm.count = 1;
        return gemm;
    }
    struct neighbour nearest[NEIGHBOURS];
    gemm.count = nearest_gemms(all, work, nearest);
    double weights = 0;
    for (int i = 0; i < gemm.count; i++)
        weights += 1 / nearest[i].distance2;
    for (int i = 0; i < gemm.count; i++) {
        gemm.curve[i] = nearest[i].curve;
        gemm.weight[i] = 1 / nearest[i].distance2 / weights;
    }
    return gemm;
}

static double gemm_ms(const struct vidur_pricer *pricer, const struct gemm *gemm,
                      const struct vidur_work *work, double tokens)
{
    if (gemm->measured)
        return vidur_curve_at(gemm->curve[0], tokens, 1);
    double utilisation = 0;
    for (int i = 0; i < gemm->count; i++) {
        const struct vidur_curve *c = gemm->curve[i];
        const struct vidur_work near = gemm_work(work->dtype, c->key[1], c->key[2]);
        utilisation += gemm->weight[i] * ideal_ms(pricer, &near, tokens) /
                       vidur_curve_at(c, tokens, 1);
    }
    return ideal_ms(pricer, work, tokens) / utilisation;
}

/* Tables of products in blocks were partly timed with the launch: where that of FP8 and
 * the quantisation of its input by itself are quicker, they are taken. */
double vidur_quantise_ms(const struct vidur_pricer *pricer, double k, double tokens)
{
    return vidur_bytes_ms(pricer, 3 * k * tokens, 2);
}

static int price_gemm(struct vidur_pricer *pricer, const struct vidur_work *work,
                      const struct vidur_price_sum *sum, struct vidur_error *err)
{
    struct vidur_curves all;
    if (vidur_kernels_curves(pricer->kernels, VIDUR_KERNELS_gemm, &all, err))
        return -1;
    const struct gemm own = find_gemm(&all, work);
    struct vidur_work plain = *work;
    plain.dtype = VIDUR_DTYPE_fp8;
    const struct gemm fp8 = work->dtype == VIDUR_DTYPE_fp8_block
                                ? find_gemm(&all, &plain)
                                : (struct gemm){.count = 0};
    if (own.count == 0)
        return 1;
    for (int64_t x = 1; x <= sum->limit; x++) {
        double ms = gemm_ms(pricer, &own, work, (double)x);
        if (fp8.count > 0)
            ms = fmin(ms, gemm_ms(pricer, &fp8, &plain, (double)x) +
                              vidur_quantise_ms(pricer, work->k, (double)x));
        sum->ms[x] += sum->times * ms;
    }
    return 0;
}

/* ---- Experts ---- */

/* The work that a row set was timed on. */
static struct vidur_work experts_of(const struct vidur_curve *curve,
                                    const struct vidur_work *work)
{
    struct vidur_work timed = *work;
    timed.hidden_dim = curve->key[1];
    timed.expert_dim = curve->key[2];
    timed.experts_per_token = curve->key[3];
    timed.num_experts = curve->key[4];
    timed.moe_tensor = curve->key[5];
    timed.moe_expert = curve->key[6];
    return timed;
}

static double log2_ratio(double a, double b)
{
    const double ratio = log2(a / b);
    return ratio * ratio;
}

/* In log2 space of an expert's size, experts a device and experts a token. */
static double distance2(const struct vidur_work *a, const struct vidur_work *b)
{
    return log2_ratio((double)a->hidden_dim * a->expert_dim / a->moe_tensor,
                      (double)b->hidden_dim * b->expert_dim / b->moe_tensor) +
           log2_ratio((double)a->num_experts / a->moe_expert,
                      (double)b->num_experts / b->moe_expert) +
           log2_ratio(a->experts_per_token, b->experts_per_token);
}

struct experts {
    const struct vidur_curve *curve; /* NULL: the format has none */
    bool measured;
};

static struct experts find_experts(const struct vidur_curves *all,
                                   const struct vidur_work *work)
{
    const int32_t key[VIDUR_MAX_KERNEL_KEYS] = {
        (int32_t)work->dtype,    work->hidden_dim,  work->expert_dim,
        work->experts_per_token, work->num_experts, work->moe_tensor,
        work->moe_expert};
    struct experts best = {.curve = vidur_curves_find(all, key)};
    best.measured = best.curve != NULL;
    double nearest = INFINITY;
    for (int i = 0; !best.measured && i < all->count; i++) {
        const struct vidur_work timed = experts_of(&all->at[i], work);
        const double d2 = distance2(&timed, work);
        if (all->at[i].key[0] == (int32_t)work->dtype && d2 < nearest) {
            best.curve = &all->at[i];
            nearest = d2;
        }
    }
    return best;
}

static double experts_ms(const struct vidur_pricer *pricer, const struct experts *e,
                         const struct vidur_work *work, double tokens)
{
    const double timed_ms = vidur_curve_at(e->curve, tokens, 1);
    if (e->measured)
        return timed_ms;
    const struct vidur_work timed = experts_of(e->curve, work);
    return timed_ms * ideal_ms(pricer, work, tokens) / ideal_ms(pricer, &timed, tokens);
}

static void borrow_experts(struct vidur_pricer *pricer, const char *name,
                           const struct experts *e)
{
    const int32_t *key = e->curve->key;
    vidur_pricer_borrow(pricer, name, "scaled from %d of %d x %d", key[4], key[1],
                        key[2]);
}

static int price_experts(struct vidur_pricer *pricer, const char *name,
                         const struct vidur_work *work,
                         const struct vidur_price_sum *sum, struct vidur_error *err)
{
    struct vidur_curves all;
    if (vidur_kernels_curves(pricer->kernels, VIDUR_KERNELS_experts, &all, err))
        return -1;
    struct experts own = find_experts(&all, work);
    struct vidur_work blocks = *work;
    blocks.dtype = VIDUR_DTYPE_fp8_block;
    const struct experts other = work->dtype == VIDUR_DTYPE_fp8
                                     ? find_experts(&all, &blocks)
                                     : (struct experts){NULL, false};
    if (!own.curve)
        return 1;
    /* One FP8 kernel is several times slower than memory allows: that in blocks may
     * stand in, where it was timed on the same experts. */
    const bool both = other.curve && other.measured >= own.measured;
    if (both && other.measured && !own.measured)
        own = other;
    if (!own.measured)
        borrow_experts(pricer, name, &own);
    for (int64_t x = 1; x <= sum->limit; x++) {
        double ms = experts_ms(pricer, &own, work, (double)x);
        if (both)
            ms = fmin(ms, experts_ms(pricer, &other, &blocks, (double)x));
        sum->ms[x] += sum->times * ms;
    }
    return 0;
}

/* ---- All-reduce ---- */

static int price_all_reduce(struct vidur_pricer *pricer, const struct vidur_work *work,
                            const struct vidur_price_sum *sum, struct vidur_error *err)
{
    struct vidur_curves all;
    const int32_t key[VIDUR_MAX_KERNEL_KEYS] = {pricer->devices};
    if (vidur_kernels_curves(pricer->kernels, VIDUR_KERNELS_all_reduce, &all, err))
        return -1;
    const struct vidur_curve *curve = vidur_curves_find(&all, key);
    if (!curve)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s: custom_allreduce has no graph-mode rows for %d GPUs; use "
            "another tensor_parallel_size or `source: roofline`",
            vidur_kernels_dir(pricer->kernels), pricer->devices);
    for (int64_t x = 1; x <= sum->limit; x++)
        sum->ms[x] +=
            sum->times * vidur_curve_at(curve, vidur_work_bytes(work, (double)x), 1);
    return 0;
}

/* Between ranks: of NCCL, whose sizes are values of two bytes. */
static int price_gathering(struct vidur_pricer *pricer, const struct vidur_work *work,
                           const struct vidur_price_sum *sum, struct vidur_error *err)
{
    struct vidur_curves all;
    const int32_t key[VIDUR_MAX_KERNEL_KEYS] = {pricer->ranks};
    const enum vidur_kernel_table table = work->law == VIDUR_LAW_ALL_GATHER
                                              ? VIDUR_KERNELS_all_gather
                                              : VIDUR_KERNELS_reduce_scatter;
    if (vidur_kernels_curves(pricer->kernels, table, &all, err))
        return -1;
    const struct vidur_curve *curve = vidur_curves_find(&all, key);
    if (!curve)
        return 1;
    for (int64_t x = 1; x <= sum->limit; x++)
        sum->ms[x] += sum->times *
                      vidur_curve_at(curve, vidur_work_bytes(work, (double)x) / 2, 1);
    return 0;
}

int vidur_kernels_price_work(struct vidur_pricer *pricer, const char *name,
                             const struct vidur_work *work,
                             const struct vidur_price_sum *sum, struct vidur_error *err)
{
    switch (work->law) {
    case VIDUR_LAW_GEMM:
        return price_gemm(pricer, work, sum, err);
    case VIDUR_LAW_EXPERTS:
        return price_experts(pricer, name, work, sum, err);
    case VIDUR_LAW_ALL_GATHER:
    case VIDUR_LAW_REDUCE_SCATTER:
        return price_gathering(pricer, work, sum, err);
    default:
        return price_all_reduce(pricer, work, sum, err);
    }
}

/* ---- Attention ---- */

enum attention_key { QUERY_FORMAT, CACHE_FORMAT, HEAD_DIM, HEADS, KV_HEADS, WINDOW };

/* How far a curve's formats are from the wanted: the cache's first, then that queries
 * are bf16. */
static int format_distance(const struct vidur_curve *curve, enum vidur_dtype cache)
{
    return 2 * (curve->key[CACHE_FORMAT] != (int32_t)cache) +
           (curve->key[QUERY_FORMAT] != VIDUR_DTYPE_bf16);
}

static double head_distance(const struct vidur_curve *curve, int heads, int kv_heads)
{
    return fabs(log2(curve->key[HEADS] / (double)heads)) +
           2 * fabs(log2(curve->key[KV_HEADS] / (double)kv_heads));
}

/* The head counts measured, else the nearest; NULL: nothing of this head dimension and
 * window. */
static const struct vidur_curve *find_attention(const struct vidur_curves *all,
                                                const struct vidur_shard *shard,
                                                const struct vidur_shard_layers *layers)
{
    const struct vidur_curve *best = NULL;
    int best_format = 0;
    double best_heads = 0;
    for (int i = 0; i < all->count; i++) {
        const struct vidur_curve *curve = &all->at[i];
        if (curve->key[HEAD_DIM] != layers->kind.head_dim ||
            curve->key[WINDOW] != layers->kind.window_tokens)
            continue;
        const int format = format_distance(curve, shard->precision.kv_cache);
        const double heads = head_distance(curve, layers->q_heads, layers->kv_heads);
        if (!best || format < best_format ||
            (format == best_format && heads < best_heads)) {
            best = curve;
            best_format = format;
            best_heads = heads;
        }
    }
    return best;
}

/* Latent attention with FP8 weights was timed in blocks. */
static int32_t latent_format(const struct vidur_shard *shard)
{
    const enum vidur_dtype dtype = shard->precision.attention;
    return dtype == VIDUR_DTYPE_fp8 ? VIDUR_DTYPE_fp8_block : (int32_t)dtype;
}

/* *out NULL: there is none. */
static int find_prompt(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                       const struct vidur_shard_layers *layers,
                       const struct vidur_curve **out, struct vidur_error *err)
{
    const bool latent = layers->kind.attention == VIDUR_ATTENTION_MLA;
    struct vidur_curves all;
    if (vidur_kernels_curves(pricer->kernels,
                             latent ? VIDUR_KERNELS_mla_context : VIDUR_KERNELS_context,
                             &all, err))
        return -1;
    const int32_t key[VIDUR_MAX_KERNEL_KEYS] = {(int32_t)shard->precision.kv_cache,
                                                latent_format(shard), layers->q_heads};
    *out = latent ? vidur_curves_find(&all, key) : find_attention(&all, shard, layers);
    return 0;
}

int vidur_kernels_reach(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                        int64_t *tokens, int64_t *context, struct vidur_error *err)
{
    const struct vidur_operator *op = vidur_operator_find("qkv");
    const struct vidur_shard_layers *layers = &shard->layers[0];
    const struct vidur_curve *prompt;
    struct vidur_curves all;
    if (find_prompt(pricer, shard, layers, &prompt, err) ||
        vidur_kernels_curves(pricer->kernels, VIDUR_KERNELS_gemm, &all, err))
        return -1;
    if (prompt)
        *context = (int64_t)prompt->x[prompt->count - 1];
    if (op->times(shard, layers) == 0)
        return 0;
    struct vidur_work work;
    op->work(shard, layers, &work);
    const struct gemm gemm = find_gemm(&all, &work);
    if (gemm.count > 0)
        *tokens = (int64_t)gemm.curve[0]->x[gemm.curve[0]->count - 1];
    return 0;
}

int vidur_kernels_price_prompt(struct vidur_pricer *pricer,
                               const struct vidur_shard *shard,
                               const struct vidur_shard_layers *layers,
                               const struct vidur_price_sum *sum,
                               struct vidur_error *err)
{
    const bool latent = layers->kind.attention == VIDUR_ATTENTION_MLA;
    const struct vidur_curve *curve;
    if (find_prompt(pricer, shard, layers, &curve, err))
        return -1;
    if (!curve)
        return 1;
    const int heads = latent ? layers->q_heads : curve->key[HEADS];
    if (heads != layers->q_heads)
        vidur_pricer_borrow(pricer, "attention", "of %d heads scaled from %d",
                            layers->q_heads, heads);
    for (int64_t s = 1; s <= sum->limit; s++)
        sum->ms[s] += sum->times * vidur_curve_at(curve, (double)s, latent ? 1 : 2) *
                      layers->q_heads / heads;
    return 0;
}

int vidur_kernels_price_row(struct vidur_pricer *pricer,
                            const struct vidur_shard *shard,
                            const struct vidur_shard_layers *layers,
                            const struct vidur_price_sum *sum, struct vidur_error *err)
{
    struct vidur_curves all;
    if (vidur_kernels_curves(pricer->kernels, VIDUR_KERNELS_generation, &all, err))
        return -1;
    const struct vidur_curve *curve = find_attention(&all, shard, layers);
    if (!curve)
        return 1;
    for (int64_t s = 1; s <= sum->limit; s++)
        sum->ms[s] += sum->times * vidur_curve_at(curve, (double)s, 1);
    return 0;
}

/* ---- Latent attention ---- */

enum latent_key { LATENT_CACHE, LATENT_FORMAT, LATENT_HEADS, LATENT_BATCH };
enum { LATENT_LAUNCHES = 8 };

static const double least_latent_ms = 0.02;

/* Tables were timed launch by launch: what the smallest step takes beyond reading the
 * weights is left out. */
static double eager_ms(const struct vidur_pricer *pricer,
                       const struct vidur_shard *shard,
                       const struct vidur_shard_layers *layers, double smallest_ms)
{
    const double weights = (double)layers->attention_weights *
                           vidur_dtype_bytes(shard->precision.attention);
    const double floor_ms = vidur_bytes_ms(pricer, weights, LATENT_LAUNCHES * 3.0);
    return fmax(0, smallest_ms - floor_ms);
}

int vidur_kernels_latent_rows(struct vidur_pricer *pricer,
                              const struct vidur_shard *shard,
                              const struct vidur_shard_layers *layers,
                              struct vidur_latent_times *out, struct vidur_error *err)
{
    struct vidur_curves all;
    if (vidur_kernels_curves(pricer->kernels, VIDUR_KERNELS_mla_generation, &all, err))
        return -1;
    const struct vidur_curve *first = NULL, *longest = NULL;
    int batches = 0;
    for (int i = 0; i < all.count; i++) { /* curves of one head count stand together */
        const struct vidur_curve *c = &all.at[i];
        if (c->key[LATENT_CACHE] != (int32_t)shard->precision.kv_cache ||
            c->key[LATENT_FORMAT] != latent_format(shard) ||
            c->key[LATENT_HEADS] != layers->q_heads)
            continue;
        first = first ? first : c;
        longest = !longest || c->count > longest->count ? c : longest;
        batches++;
    }
    if (!first)
        return 1;
    if (vidur_latent_times_make(out, batches, longest->count, err))
        return -1;
    memcpy(out->contexts, longest->x, (size_t)longest->count * sizeof *out->contexts);
    for (int b = 0; b < batches; b++) {
        out->batches[b] = first[b].key[LATENT_BATCH];
        for (int c = 0; c < longest->count; c++)
            out->ms[b * longest->count + c] =
                vidur_curve_at(&first[b], out->contexts[c], 1);
    }
    out->cut_ms = eager_ms(pricer, shard, layers, vidur_curve_at(first, 1, 1));
    out->least_ms = least_latent_ms;
    return 0;
}
