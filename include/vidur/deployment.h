#ifndef VIDUR_DEPLOYMENT_H
#define VIDUR_DEPLOYMENT_H

#include <vidur/error.h>
#include <vidur/model.h>
#include <vidur/shard.h>
#include <vidur/sku.h>
#include <vidur/spec_config.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The room sim/deploy. What a deployment is and whether it can be: its check, digest
 * and memory plan, the objectives it must meet. Nothing runs here.
 */

/*
 * One way to serve a model: hardware, parallelism, router, scheduler and its knobs.
 * Plain data without pointers, so it can be copied, compared and sent.
 */

/* How many KV blocks a replica has; SIMULATOR.md sections 3 and 9. */
enum vidur_memory_planner {
    VIDUR_PLANNER_BY_SEMANTICS, /* exact under corrected, vidur under vidur */
    VIDUR_PLANNER_VIDUR,
    VIDUR_PLANNER_EXACT
};

/* Who is served first: who came first, or who has the lowest value of priority. */
typedef enum {
    VIDUR_SCHEDULING_FCFS,
    VIDUR_SCHEDULING_PRIORITY
} vidur_scheduling_policy;

/* "fcfs", "priority": for its values in order; ends with NULL. */
extern const char *const vidur_scheduling_policy_names[];

/*
 * Scheduler knobs. Which of them a scheduler uses, it says itself (knobs in
 * <vidur/scheduler.h>). Declared once; the list feeds the struct, the YAML schema and
 * the search space.
 * X(type, name, default, minimum)
 */
#define VIDUR_SCHEDULER_KNOBS(X)                                                       \
    X(int, batch_size_cap, 128, 1) /* requests */                                      \
    X(int, chunk_size, 512, 1)     /* tokens */                                        \
    X(int, max_tokens_in_batch, 4096, 1)                                               \
    X(int, max_waiting_iters, 10, 0)                                                   \
    X(int, block_size, 16, 1) /* tokens */                                             \
    X(double, watermark_blocks_fraction, 0.01, 0)                                      \
    X(int64_t, num_blocks, 0, 0) /* 0: from the memory planner */                      \
    X(int, max_num_batched_tokens, 2048, 1)                                            \
    X(int, max_num_seqs, 128, 1)                                                       \
    X(double, gpu_memory_utilization, 0.9, 0)                                          \
    X(bool, prefix_caching, true, 0)                                                   \
    X(bool, async_scheduling, true, 0)                                                 \
    X(vidur_scheduling_policy, scheduling_policy, VIDUR_SCHEDULING_FCFS, 0)            \
    X(double, kv_offload_gib_per_gpu, 0, 0) /* of host memory; 0: none */              \
    X(double, kv_offload_gb_per_s, 0, 0)    /* 0: as the device's host_link says */

/* A knob, where one is spoken of. */
enum vidur_knob {
    VIDUR_KNOB_NONE,
#define X(type, name, def, min) VIDUR_KNOB_##name,
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
        VIDUR_KNOBS_END
};

struct vidur_scheduler_config {
    char type[24]; /* a name in the scheduler registry */
#define X(type, name, def, min) type name;
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
};

/* As in configurations; "" of VIDUR_KNOB_NONE. */
const char *vidur_knob_name(enum vidur_knob knob);
/* 0 of VIDUR_KNOB_NONE; a bool's is 0 or 1, a word's its index in the knob's words. */
double vidur_knob_value(const struct vidur_scheduler_config *config,
                        enum vidur_knob knob);
/* Of a knob whose values are words: these, in their order, up to a NULL. NULL: its
 * values are numbers. */
const char *const *vidur_knob_words(enum vidur_knob knob);

/* The routers, in a fixed order: the name of one and which replica it picks; NULL
 * behind the last. */
const char *vidur_router_tell(int index, const char **remark);
/* The kind of load balancer that does what the router does, "round-robin"; NULL: there
 * is no such router. `name` may have a weight, as in "prefix:2". */
const char *vidur_router_balance(const char *name);

struct vidur_deployment {
    struct vidur_model_spec model;
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    int num_replicas;
#define X(type, name, def, min) type name;
    VIDUR_PARALLELISM(X)
#undef X
    double memory_margin_fraction;
    double cpu_cores; /* that a replica's processes may use; 0: as many as they want */
    enum vidur_memory_planner memory_planner;
    enum vidur_semantics semantics;
    char router[24]; /* a name in the router registry */
    struct vidur_scheduler_config scheduler;
};

/* Defaults: one replica, TP 1, PP 1, DP 1, margin 0.1, round-robin, every knob's
 * default. */
void vidur_deployment_defaults(struct vidur_deployment *deployment);

/* How its replicas are cut over devices. */
struct vidur_cut vidur_deployment_cut(const struct vidur_deployment *deployment);

/* Of a replica: DP * TP * PP. */
int vidur_deployment_devices(const struct vidur_deployment *deployment);

/* SIMULATOR.md section 1's divisibility (vidur_check_tensor_parallel,
 * vidur_check_pipeline) and node rules, and knobs that contradict each other. Running
 * out of memory is not an error here: see memory_plan.h. */
int vidur_deployment_check(const struct vidur_deployment *deployment,
                           struct vidur_error *err);

/* Requests that a replica has in its batches at once, at most: the scheduler's
 * batch_cap. 0: there is no such scheduler. */
int vidur_deployment_batch_cap(const struct vidur_deployment *deployment);

/* GB/s at which each of its GPUs loads KV blocks from its host: the scheduler's knob,
 * else what the device's host_link reaches. 0: nobody knows. */
double vidur_deployment_host_gb_per_s(const struct vidur_deployment *deployment);

/* Devices of all its replicas. */
int vidur_deployment_num_gpus(const struct vidur_deployment *deployment);

/* A replica spans nodes: DP * TP * PP > devices per node. */
bool vidur_deployment_is_multi_node(const struct vidur_deployment *deployment);

struct vidur_sha256;

/* Adds what simulations of a deployment depend on to a hash, value by value: equal
 * content gives equal hashes on every machine. A new member is added there; a test
 * flips every byte of the struct. Prices are left out. */
void vidur_deployment_digest(struct vidur_sha256 *sha,
                             const struct vidur_deployment *deployment);

#endif
