#ifndef VIDUR_SKU_H
#define VIDUR_SKU_H

#include <vidur/error.h>
#include <vidur/precision.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * What can be rented: a GPU (device SKU) and the machine that holds several of them
 * (node SKU, the "network device"). Plain data, copied by value; every figure's source
 * is in data/README.md.
 */

/* How close to a datasheet's peaks kernels come; used by the roofline profile only. */
struct vidur_roofline_efficiency {
    double gemm_efficiency;   /* of peak FLOP/s and of peak bandwidth, GEMMs */
    double memory_efficiency; /* of peak bandwidth, element-wise kernels */
    double attention_prefill_efficiency; /* of peak FLOP/s */
    double attention_decode_efficiency;  /* of peak bandwidth, KV cache reads */
    double kernel_launch_us;             /* floor of a GEMM */
    double attention_launch_us;          /* floor of an attention kernel */
    double elementwise_launch_us;        /* floor of an element-wise kernel */
};

/* Memory and peaks as the V1 engine model uses them (ENGINE.md sections 2 and 3). */
struct vidur_device_v1 {
    double usable_memory_gib;
    double memory_bandwidth_gb_per_s;
    double peak_bf16_tflops; /* dense, as the others */
    double peak_fp8_tflops;  /* 0: no units of its own, as bf16 */
    double peak_fp4_tflops;
    double activation_gib_tp1; /* `a` of the memory rule, TP 1 */
    double activation_gib;     /* the same, TP > 1 */
};

/* What products of weights of one format reach, and what they take at least. */
struct vidur_gemm_roofline {
    double memory;    /* share of peak bandwidth; 0: nothing fitted for the format */
    double compute;   /* share of the peak that the format multiplies at */
    double launch_us; /* of a kernel */
};

/* The same of the grouped products of routed experts. */
struct vidur_expert_roofline {
    double memory, compute, launch_us;
    double token_ns; /* a pair of token and expert: routing, gathering, adding up */
};

/* To the memory of its host, per GPU and direction (ENGINE.md section 11). */
struct vidur_host_link {
    double bandwidth_gb_per_s; /* peak; 0: not known */
    double efficiency;         /* share of it that copies of KV blocks reach */
};

/* The engine's roofline, fitted on kernel timings (`vidur-estimate fit --kernels`);
 * ENGINE.md section 7. A spec's `gemm` and `experts` replace all formats: those that it
 * does not name have nothing fitted. */
struct vidur_engine_roofline {
    char fitted_on[64]; /* "h100_sxm vllm-0.24.0"; the device's own or a relative's */
    struct vidur_gemm_roofline gemm[VIDUR_NUM_DTYPES];
    struct vidur_expert_roofline experts[VIDUR_NUM_DTYPES];
    struct {
        double compute; /* share of the bf16 peak */
        double launch_us;
    } prefill; /* attention of prompts */
    struct {
        double latency_us; /* of two devices */
        double growth;     /* its share more with each device beyond */
        double link;       /* share of the link's bandwidth, of two devices */
        double doubling;   /* that share's factor with every doubling of the devices */
    } all_reduce;
    double
        all_reduce_skew_us; /* ranks wait for each other: per device beyond the first */
};

struct vidur_device_sku {
    char name[32];           /* e.g. "a100" */
    double peak_fp16_tflops; /* dense */
    double memory_gib;
    double memory_bandwidth_gb_per_s;
    double usd_per_gpu_hour; /* NaN: no price known */
    char price_source[96];
    char price_date[16]; /* ISO 8601 */
    double tdp_w;        /* of the board or module; NaN: not known */
    struct vidur_roofline_efficiency roofline;
    struct vidur_device_v1 v1;
    struct vidur_engine_roofline engine;
    struct vidur_host_link host_link;
    char kernel_system[32]; /* folder of its kernel timings; "": its name */
};

struct vidur_node_sku {
    char name[48];   /* e.g. "a100_dgx" */
    char device[32]; /* the device SKU in it */
    int devices_per_node;
    bool pairwise;                      /* fast links join pairs only */
    double link_bandwidth_gb_per_s;     /* per GPU and direction */
    double link_efficiency;             /* share of it that collectives reach */
    double link_latency_us;             /* alpha of the alpha-beta model */
    double fallback_bandwidth_gb_per_s; /* between pairs, where pairwise */
    double fallback_efficiency;
    double inter_node_bandwidth_gb_per_s; /* per GPU and direction */
    double inter_node_efficiency;
    double inter_node_latency_us;
};

/* `reference` is the name of a spec in data/skus/devices (or nodes) or a path to a YAML
 * file. Sections that a file leaves out (roofline, v1, efficiencies) get the values
 * that vidur_device_sku_defaults and vidur_node_sku_defaults set. An unknown name fails
 * and names the nearest known one. Thread-safe. */
void vidur_device_sku_defaults(struct vidur_device_sku *device);
void vidur_node_sku_defaults(struct vidur_node_sku *node);
int vidur_device_sku_load(struct vidur_device_sku *device, const char *reference,
                          struct vidur_error *err);
int vidur_node_sku_load(struct vidur_node_sku *node, const char *reference,
                        struct vidur_error *err);

/* The node that people rent with this device, by its name in data/skus/nodes:
 * DEVICE_dgx, else DEVICE_pairwise_nvlink, else the only node that holds the device.
 * Fails with VIDUR_EINVAL where that leaves none or several. Thread-safe. */
int vidur_node_sku_default(const char *device, char *name, size_t size,
                           struct vidur_error *err);

/* The folder of its kernel timings below a root of several systems. */
const char *vidur_device_kernel_system(const struct vidur_device_sku *device);

/* The peaks of its formats relative to bf16's; 1 where it has no units for one. */
struct vidur_relative_peaks vidur_device_peaks(const struct vidur_device_sku *device);

struct vidur_sha256;

/* Adds what specs say to a hash, value by value: equal content gives equal hashes on
 * every machine. A new member is added there; a test flips every byte of the struct.
 * Prices and TDPs are left out: no time and no latency depends on them; so is the link
 * to the host, on which only deployments with an offloaded KV cache depend. */
void vidur_device_digest(struct vidur_sha256 *sha,
                         const struct vidur_device_sku *device);
void vidur_node_digest(struct vidur_sha256 *sha, const struct vidur_node_sku *node);

#endif
