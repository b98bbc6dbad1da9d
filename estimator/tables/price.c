#include "tables/price.h"

#include "samples/profile_roofline.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double small_kernel_efficiency = 0.8;
static const double small_kernel_launch_us = 3;
static const double most_skew_us = 7;
/* Tables state a bandwidth that datasheets may correct: RTX PRO 6000 1,792 for 1,597
 * GB/s. The next of another device, GH200 and H100, is 0.16 away. */
static const double same_device_tolerance = 0.13;

/* Timings of one GPU with the memory of another would make sense of neither. */
static int check_device(const struct vidur_pricer *pricer, struct vidur_error *err)
{
    const double timed = vidur_kernels_bandwidth_bytes_per_s(pricer->kernels) * 1e-9;
    const double device = pricer->device->v1.memory_bandwidth_gb_per_s;
    if (fabs(timed / device - 1) <= same_device_tolerance)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s: timed on a GPU of %g GB/s; device %s has %g GB/s: take the "
                      "device that the kernels were timed on",
                      vidur_kernels_dir(pricer->kernels), timed, pricer->device->name,
                      device);
}

int vidur_pricer_init(struct vidur_pricer *pricer,
                      const struct vidur_device_sku *device,
                      const struct vidur_node_sku *node, struct vidur_kernels *kernels,
                      struct vidur_error *err)
{
    const struct vidur_relative_peaks peaks = vidur_device_peaks(device);
    *pricer = (struct vidur_pricer){.device = device,
                                    .node = node,
                                    .kernels = kernels,
                                    .bandwidth_bytes_per_s =
                                        device->v1.memory_bandwidth_gb_per_s * 1e9};
    for (int i = 0; i < VIDUR_NUM_PEAKS; i++)
        pricer->peak_flops[i] =
            kernels ? vidur_kernels_peak_flops(kernels, (enum vidur_peak)i)
                    : device->v1.peak_bf16_tflops * 1e12 * peaks.of[i];
    return kernels ? check_device(pricer, err) : 0;
}

void vidur_pricer_borrow(struct vidur_pricer *pricer, const char *name, const char *fmt,
                         ...)
{
    char note[96], mark[40];
    va_list args;
    snprintf(mark, sizeof mark, "; %s ", name);
    if (strstr(pricer->borrowed, mark))
        return;
    va_start(args, fmt);
    vsnprintf(note, sizeof note, fmt, args);
    va_end(args);
    const size_t used = strlen(pricer->borrowed);
    snprintf(pricer->borrowed + used, sizeof pricer->borrowed - used, "%s%s", mark,
             note);
}

double vidur_bytes_ms(const struct vidur_pricer *pricer, double bytes, double launch_us)
{
    return bytes / (small_kernel_efficiency * pricer->bandwidth_bytes_per_s) * 1e3 +
           launch_us * 1e-3;
}

/* Ranks wait for the last of them. */
static double skew_ms(const struct vidur_pricer *pricer)
{
    return fmin(pricer->constants.c_ar_us * (pricer->devices - 1), most_skew_us) * 1e-3;
}

static void add_bytes(const struct vidur_pricer *pricer, const struct vidur_work *work,
                      const struct vidur_price_sum *sum)
{
    for (int64_t x = 1; x <= sum->limit; x++)
        sum->ms[x] +=
            sum->times * vidur_bytes_ms(pricer, vidur_work_bytes(work, (double)x),
                                        small_kernel_launch_us);
}

static void add_send(const struct vidur_pricer *pricer, const struct vidur_work *work,
                     const struct vidur_price_sum *sum)
{
    for (int64_t x = 1; x <= sum->limit; x++)
        sum->ms[x] += sum->times * vidur_link_ms(pricer->node, pricer->to_next,
                                                 vidur_work_bytes(work, (double)x));
}

int vidur_price_operator(struct vidur_pricer *pricer, const char *name,
                         const struct vidur_work *work,
                         const struct vidur_price_sum *sum, struct vidur_error *err)
{
    int status = 1;
    if (work->law == VIDUR_LAW_BYTES) {
        add_bytes(pricer, work, sum);
        return 0;
    }
    if (work->law == VIDUR_LAW_SEND) {
        add_send(pricer, work, sum);
        return 0;
    }
    if (pricer->kernels)
        status = vidur_kernels_price_work(pricer, name, work, sum, err);
    if (status < 0)
        return -1;
    if (status > 0)
        for (int64_t x = 1; x <= sum->limit; x++)
            sum->ms[x] += sum->times * vidur_roofline_work_ms(pricer, work, (double)x);
    if (status > 0 && pricer->kernels)
        vidur_pricer_borrow(pricer, name, "from the roofline");
    if (work->law == VIDUR_LAW_ALL_REDUCE)
        for (int64_t x = 1; x <= sum->limit; x++)
            sum->ms[x] += sum->times * skew_ms(pricer);
    return 0;
}

int vidur_price_prompt(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                       const struct vidur_shard_layers *layers,
                       const struct vidur_price_sum *sum, struct vidur_error *err)
{
    const int status = pricer->kernels
                           ? vidur_kernels_price_prompt(pricer, shard, layers, sum, err)
                           : 1;
    if (status < 0)
        return -1;
    for (int64_t s = 1; status > 0 && s <= sum->limit; s++)
        sum->ms[s] +=
            sum->times * vidur_roofline_prompt_ms(pricer, shard, layers, (double)s);
    if (status > 0 && pricer->kernels)
        vidur_pricer_borrow(pricer, "prompt attention", "from the roofline");
    return 0;
}

int vidur_price_row(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                    const struct vidur_shard_layers *layers,
                    const struct vidur_price_sum *sum, struct vidur_error *err)
{
    const int status =
        pricer->kernels ? vidur_kernels_price_row(pricer, shard, layers, sum, err) : 1;
    if (status < 0)
        return -1;
    for (int64_t s = 1; status > 0 && s <= sum->limit; s++)
        sum->ms[s] += sum->times * vidur_roofline_row_ms(pricer, layers, (double)s);
    return 0;
}

struct vidur_row_prices vidur_price_rows(const struct vidur_pricer *pricer,
                                         const struct vidur_shard_layers *layers)
{
    const struct vidur_engine_constants *c = &pricer->constants;
    const double bytes_per_ms = c->eta * pricer->bandwidth_bytes_per_s * 1e-3;
    const bool latent = layers->kind.attention == VIDUR_ATTENTION_MLA;
    const double bytes = layers->count * (latent ? layers->kind.index_head_dim
                                                 : layers->kv_bytes_per_token);
    return (struct vidur_row_prices){.launch_ms =
                                         latent ? 0 : layers->count * c->t0_us * 1e-3,
                                     .ms_per_token = bytes / bytes_per_ms};
}

/* ---- Latent attention ---- */

int vidur_latent_times_make(struct vidur_latent_times *out, int num_batches,
                            int num_contexts, struct vidur_error *err)
{
    const size_t b = (size_t)num_batches, c = (size_t)num_contexts;
    double *memory = calloc(b + c + b * c, sizeof *memory);
    if (!memory)
        return vidur_fail(err, VIDUR_ENOMEM, "engine table: out of memory");
    *out = (struct vidur_latent_times){.num_batches = num_batches,
                                       .num_contexts = num_contexts,
                                       .batches = memory,
                                       .contexts = memory + b,
                                       .ms = memory + b + c};
    return 0;
}

/* The roofline is linear in the context and, between its two bounds, in the batch. */
static int sample_latent(const struct vidur_pricer *pricer,
                         const struct vidur_shard *shard,
                         const struct vidur_shard_layers *layers,
                         struct vidur_latent_times *out, struct vidur_error *err)
{
    enum { OCTAVES = 12, LONGEST = 1 << 20 };
    if (vidur_latent_times_make(out, OCTAVES, 2, err))
        return -1;
    out->contexts[0] = 1;
    out->contexts[1] = LONGEST;
    for (int i = 0; i < OCTAVES; i++) {
        out->batches[i] = (double)(1 << i);
        for (int j = 0; j < 2; j++)
            out->ms[i * 2 + j] = vidur_roofline_latent_ms(
                pricer, shard, layers, out->batches[i], out->contexts[j]);
    }
    return 0;
}

int vidur_price_latent_rows(struct vidur_pricer *pricer,
                            const struct vidur_shard *shard,
                            const struct vidur_shard_layers *layers,
                            struct vidur_latent_times *out, struct vidur_error *err)
{
    const int status = pricer->kernels
                           ? vidur_kernels_latent_rows(pricer, shard, layers, out, err)
                           : 1;
    if (status <= 0)
        return status;
    if (pricer->kernels)
        vidur_pricer_borrow(pricer, "latent attention", "from the roofline");
    return sample_latent(pricer, shard, layers, out, err);
}
