#ifndef VIDUR_TIMETABLE_H
#define VIDUR_TIMETABLE_H

#include <vidur/engine_table.h>
#include <vidur/error.h>
#include <vidur/log.h>
#include <vidur/model.h>
#include <vidur/shard.h>
#include <vidur/sku.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The seam between estimator and simulator: for one (model, device, node, TP), the time
 * of every operator over every size that a batch can have, in dense tables. A timetable
 * is frozen when it is opened, shared by all simulators of a process (and, mapped from
 * the cache file, by all processes of a node) and never written again.
 * Source: SIMULATOR.md sections 5 and 7.
 *
 * The structs below are hot data and therefore public.
 */

/*
 * Operators whose time depends on one integer.
 * X(name, axis): axis "num_tokens" or, for the CPU overheads, "batch_size".
 */
#define VIDUR_TOKEN_OPERATORS(X)                                                       \
    X(attn_pre_proj, num_tokens)                                                       \
    X(attn_post_proj, num_tokens)                                                      \
    X(attn_rope, num_tokens)                                                           \
    X(attn_kv_cache_save, num_tokens)                                                  \
    X(mlp_up_proj, num_tokens)                                                         \
    X(mlp_down_proj, num_tokens)                                                       \
    X(mlp_act, num_tokens)                                                             \
    X(mlp_experts, num_tokens) /* router and routed experts; 0 of dense models */      \
    X(input_layernorm, num_tokens)                                                     \
    X(post_attention_layernorm, num_tokens)                                            \
    X(add, num_tokens)                                                                 \
    X(all_reduce, num_tokens)                                                          \
    X(send_recv, num_tokens)                                                           \
    X(schedule, batch_size)                                                            \
    X(sampler_e2e, batch_size)                                                         \
    X(prepare_inputs_e2e, batch_size)                                                  \
    X(process_model_outputs, batch_size)                                               \
    X(ray_comm_time, batch_size)

enum vidur_token_operator {
#define X(name, axis) VIDUR_OP_##name,
    VIDUR_TOKEN_OPERATORS(X)
#undef X
        VIDUR_NUM_TOKEN_OPERATORS,
    VIDUR_FIRST_CPU_OPERATOR = VIDUR_OP_schedule
};

/* attn_decode is on (batch_size, kv_cache_size), attn_prefill on
 * (kv_cache_size, prefill_chunk_size squared). */

/* ms[i] for i = 1..limit; ms[0] = 0. ms is NULL for an operator that this deployment
 * does not run (it then counts 0). */
struct vidur_token_table {
    const double *ms;
    int64_t limit;
    int64_t profiled_limit; /* beyond it the regressor extrapolates */
};

/* Row-major: ms[row * num_columns + column]. */
struct vidur_grid_table {
    const double *ms;
    int64_t num_rows;
    int64_t num_columns;
    int64_t profiled_rows; /* rows and columns beyond these are extrapolated */
    int64_t profiled_columns;
};

/* Corrections that the step model applies to looked-up times; CONTRACT.md. */
struct vidur_step_overheads {
    double nccl_cpu_launch_overhead_ms;
    double nccl_cpu_skew_overhead_per_device_ms;
    double attention_decode_batching_overhead_fraction;
    double attention_prefill_batching_overhead_fraction;
    bool model_cpu_overhead;
};

/* auto: profiles where they cover a request's model, device and TP, else roofline,
 * decided for each timetable; for whole engine steps the roofline. */
enum vidur_estimator_source {
    VIDUR_SOURCE_AUTO,
    VIDUR_SOURCE_ROOFLINE,
    VIDUR_SOURCE_PROFILES,
    VIDUR_SOURCE_TABLES,
    VIDUR_SOURCE_KERNELS
};

/* Operator tables, for the step model `layers`; an engine table, for `engine`; or both,
 * where the engine table was made from operator tables. */
struct vidur_timetable {
    const struct vidur_engine_table *engine; /* NULL: was not asked for; of a pipeline
                                                the last stage's */
    /* Of a pipeline, by kind of stage: see vidur_stage_kinds_of. */
    const struct vidur_engine_table *engine_stages[VIDUR_MAX_STAGE_KINDS];
    struct vidur_token_table token[VIDUR_NUM_TOKEN_OPERATORS];
    /* row = batch size - 1, column = kv / kv_granularity */
    struct vidur_grid_table attn_decode;
    /* row = sum of rounded kv / kv_granularity, column = chunk - 1 */
    struct vidur_grid_table attn_prefill;
    int kv_granularity_tokens;
    struct vidur_step_overheads overheads;
    enum vidur_estimator_source source; /* never auto */
    char provenance[256]; /* one line: "synthetic roofline ...", "profiles DIR ..." */
    char key[65];         /* hex hash of all that went in; without an engine table the
                             cache file's name */
};

enum { VIDUR_MAX_PROFILE_DIRS = 8, VIDUR_MAX_GRID_VALUES = 16 };

/* The `estimator:` section of a configuration. Paths are absolute or relative to the
 * working directory (the YAML reader has resolved them). */
struct vidur_estimator_config {
    enum vidur_estimator_source source;
    char profiles[VIDUR_MAX_PROFILE_DIRS][1024]; /* first folder that has a file wins */
    int num_profiles;                            /* 0, source auto: data:profiles */
    char tables[1024];
    char kernels[1024];
    char regressor[24]; /* "random_forest" or "polynomial" */
    int num_estimators[VIDUR_MAX_GRID_VALUES];
    int num_num_estimators;
    int max_depth[VIDUR_MAX_GRID_VALUES];
    int num_max_depth;
    int min_samples_split[VIDUR_MAX_GRID_VALUES];
    int num_min_samples_split;
    int k_fold_cv_splits;
    int max_tokens_per_request;
    int max_batch_size;
    int max_prefill_chunk_size;
    int kv_cache_granularity;
    struct vidur_step_overheads overheads;
    struct vidur_engine_constants engine;
    uint64_t seed;        /* of the bootstrap samples */
    char cache_dir[1024]; /* empty: no cache; the default is
                             $XDG_CACHE_HOME/vidur-search or ~/.cache/vidur-search */
    int threads;          /* 0: as OpenMP decides */
};

struct vidur_yaml_node;
struct vidur_yaml_field;

void vidur_estimator_config_defaults(struct vidur_estimator_config *config);

/* Reads the section into a struct that holds defaults; unknown keys are errors. A
 * missing `source` follows from the path that is given (profiles, tables or kernels)
 * and is auto where none is; `cache_dir: ""` switches the cache off. */
int vidur_estimator_config_read(const struct vidur_yaml_node *section,
                                struct vidur_estimator_config *config,
                                struct vidur_error *err);

/* The key `estimator:` of a document (VIDUR_YAML_PART), for a struct
 * vidur_estimator_config. */
const struct vidur_yaml_field *vidur_estimator_section(void);

/* What a timetable is wanted for. The limits say what a configuration can reach; tables
 * are built to cover them. */
struct vidur_timetable_request {
    const struct vidur_model_spec *model;
    const struct vidur_device_sku *device;
    const struct vidur_node_sku *node;
    int tensor_parallel_size;
    bool expert_parallel;   /* experts go whole to the devices that share them */
    int data_parallel_size; /* ranks; 0: 1 */
    struct vidur_kernel_library *library; /* source kernels: kept between timetables;
                                             NULL: read for this one */
    bool engine;                          /* times of whole engine steps; ENGINE.md */
    int num_stages;                       /* engine: of its pipeline; 0 as 1 */
    bool pipeline;                        /* send_recv is needed */
    bool multi_node;                      /* the multi-node send_recv rule */
    int block_size_tokens;                /* which rows of attention.csv; 0: any */
    int64_t max_tokens;                   /* tokens in one iteration */
    int64_t max_batch_size;               /* decodes in one iteration */
    int64_t max_kv_tokens;    /* mean (decode) or summed (prefill) context of a batch */
    int64_t max_chunk_tokens; /* root of the sum of squared prefill chunks */
};

/*
 * Opens the timetable for a request: from the cache when it holds one under the hash of
 * all inputs, otherwise built (OpenMP-parallel) and put into the cache. *out is
 * released with vidur_timetable_close.
 *
 * Tables cover at least the request's limits and the configuration's; limits are
 * rounded up, so that similar requests share one file, and a cell's number does not
 * depend on them. Two equal requests give the same numbers to the bit, cached or not,
 * on any number of threads. Source `profiles` needs compute/DEVICE/MODEL/mlp.csv and
 * attention.csv; where no folder has the node's all_reduce.csv or send_recv.csv the
 * alpha-beta model of its links stands in, and where attention.csv lacks the block
 * size, the others it has; the log and the provenance say so. Source `tables` gives the
 * files as they are, whatever the limits. Source `kernels`, and the roofline for models
 * whose layers are not dense, bf16 and all alike, are priced (SIMULATOR.md section 5);
 * for such models `profiles` and `tables` are refused.
 *
 * Processes that ask for the same timetable at once build it once and share its pages.
 * A cache that cannot be read or written costs a warning through `log` (which may be
 * NULL) and private memory. Thread-safe, given a thread-safe HDF5.
 */
int vidur_timetable_open(struct vidur_timetable **out,
                         const struct vidur_estimator_config *config,
                         const struct vidur_timetable_request *request,
                         const struct vidur_log *log, struct vidur_error *err);

void vidur_timetable_close(struct vidur_timetable *timetable);

/* The key of the timetable that vidur_timetable_open would open, from its inputs as
 * they are now; builds nothing. Errors as there. Thread-safe. */
int vidur_timetable_inputs_key(char key[65],
                               const struct vidur_estimator_config *config,
                               const struct vidur_timetable_request *request,
                               struct vidur_error *err);

/* The operator's name, e.g. "attn_pre_proj". */
const char *vidur_token_operator_name(enum vidur_token_operator op);

#endif
