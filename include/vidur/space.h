#ifndef VIDUR_SPACE_H
#define VIDUR_SPACE_H

#include <vidur/capacity.h>
#include <vidur/deployment.h>
#include <vidur/fleet.h>
#include <vidur/memory_plan.h>
#include <vidur/slo.h>
#include <vidur/timetable.h>
#include <vidur/workload.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What is searched: a configuration, and the candidates that it spans.
 * Source: CONTRACT.md, "vidur-search"; the keys are those of Vidur's config explorer
 * and more.
 *
 * Both are read-only once they are built and may then be shared by threads.
 */

/* ---- The configuration ---- */

/* An entry of `models:`. */
struct vidur_search_model {
    char name[48];
    char identifier[1024];
    int *exclude_tp_dims;
    int num_exclude_tp_dims;
    struct vidur_model_spec spec;
};

/* ---- Prices ---- */

enum vidur_price_term { VIDUR_TERM_ON_DEMAND, VIDUR_TERM_SPOT, VIDUR_TERM_RESERVED };

/* What a provider asks for a device; search/space/prices.h. */
struct vidur_price {
    char provider[32];
    char sku[32]; /* the device */
    enum vidur_price_term term;
    double usd_per_gpu_hour;
    char date[16];    /* ISO 8601: when it stood there */
    char source[256]; /* where */
};

/* `price:` of a cluster: which of them. */
struct vidur_price_selector {
    char provider[32]; /* "": whoever is the cheapest */
    enum vidur_price_term term;
};

/* An entry of `prices:`: a name in data/prices, or a path. */
struct vidur_price_file {
    char reference[1024];
};

/* An entry of `clusters:`. */
struct vidur_search_cluster {
    struct vidur_hardware_config hardware; /* as configured */
    int num_gpus;
    int gpus_per_node;       /* 0: as the node SKU says */
    double usd_per_gpu_hour; /* NaN: no price known */
    bool own_price;          /* the price is the configuration's */
    bool selects_price;      /* by `price:`, which is: */
    struct vidur_price_selector selector;
    struct vidur_price price; /* of a price file; its provider is "" where there is
                                 none: the price is the SKU's or the configuration's */
    struct vidur_device_sku device;
    struct vidur_node_sku node;
};

/* An entry of `schedulers:` with one value for every knob; lists in an entry make
 * several of these. */
struct vidur_search_scheduler {
    struct vidur_scheduler_config config;
    uint64_t given;  /* bit i: knob i of VIDUR_SCHEDULER_KNOBS is the configuration's */
    char label[192]; /* "sarathi chunk_size=512": with the knobs that tell it apart */
    int entry;       /* of the list in the configuration */
};

/* An entry of `traces:`. */
struct vidur_search_trace {
    char name[48];
    struct vidur_workload_config workload; /* its qps is the probes' */
    double start_qps;
    bool auto_requests; /* as many of the workload's requests as a steady state needs */
    uint64_t content;   /* a hash of the files it names */
    /* the configuration's, then those of the classes of a mix */
    struct vidur_slo_list slos;
};

/* An entry of `have:`: GPUs that are paid for already. */
struct vidur_search_have {
    char device[32]; /* ""; or the device of their clusters, ... */
    char node[48];   /* ... or its node */
    int num_gpus;
};

struct vidur_search_rule; /* of `include:` or `exclude:`; rules.h */

/* From where a candidate's capacity search starts. */
enum vidur_warm_start {
    VIDUR_WARM_NONE,      /* the bound on its throughput */
    VIDUR_WARM_BATCH_SIZE /* the answer of the next larger batch size */
};

/* How many seeds confirm the best candidates; an odd number has a median. */
enum { VIDUR_CONFIRM_REPLICATIONS = 5, VIDUR_MAX_REPLICATIONS = 101 };

/* `search:`. */
struct vidur_search_settings {
    double granularity;
    int max_iterations;
    uint64_t seed;
    enum vidur_seeds seeds;
    double poisson_truncate;   /* below 0: by the semantics */
    double time_limit_s;       /* simulated; 0: none */
    double sustained_fraction; /* struct vidur_run_options */
    int64_t num_requests;      /* of traces that do not say; 0: auto */
    int64_t max_requests;      /* of auto, at most */
    int replications;          /* seeds that every candidate is searched with */
    int confirm_top;           /* the best so many of a model and workload are searched
                                  with VIDUR_CONFIRM_REPLICATIONS seeds at least */
    bool stop_early;
    enum vidur_warm_start warm_start;
    bool speculate;
    int confirm;
    int max_deaths;
    int max_working_ranks;
};

/* `target:`: find the least cost that carries a load, instead of the largest load. */
struct vidur_search_target {
    double qps; /* 0: no target */
    int max_gpus;
};

/*
 * `disaggregated:`: beside one pool, a pool that prefills and one that decodes. Each
 * layout of one pool that the rules of a role admit may have that role.
 */
struct vidur_search_fleets {
    bool given;
    struct vidur_search_rule *prefills, *decodes; /* as `include:`; none: any layout */
    int num_prefills, num_decodes;
    bool mixed_devices; /* the pools may stand on different clusters */
    bool only;          /* candidates of one pool are not searched themselves */
    /* Of the splits of a cluster's devices, or the ratios of replicas, those whose
     * slower pool is estimated to carry at least this share of what the best one does;
     * 0: all. */
    double near;
    struct vidur_kv_transfer kv_transfer;
    enum vidur_first_token first_token;
};

/* An entry of `mixed.pools`. */
struct vidur_search_mixed_pool {
    struct vidur_search_rule *rules; /* as `include:`; none: any layout */
    int num_rules;
    /* Of its cluster's, each as a candidate; none: all. With a target the largest is
     * the most that the pool may have; none: as many as all may be. */
    int *num_gpus;
    int num_num_gpus;
};

enum { VIDUR_MIXED_POOLS = 2 };

/*
 * `mixed:`: beside one pool, two of role `all` behind one router, on different
 * clusters. Each layout of one pool that a pool's rules admit may stand in it.
 */
struct vidur_search_mixed {
    bool given;
    struct vidur_search_mixed_pool *pools; /* VIDUR_MIXED_POOLS */
    int num_pools;
    bool only; /* candidates of one pool are not searched themselves */
    /* Of the layouts on a pool's cluster those that are estimated to carry at least
     * this share of the best one's load per device; 0: all. */
    double near;
};

struct vidur_yaml;

typedef char vidur_router_name[24];

/* A value of `precision:`; a format of VIDUR_NUM_DTYPES is the model spec's own. */
#define VIDUR_PRECISION_OF_SPEC                                                        \
    {                                                                                  \
        VIDUR_NUM_DTYPES, VIDUR_NUM_DTYPES, VIDUR_NUM_DTYPES, VIDUR_NUM_DTYPES         \
    }

/* A value of `kv_cache_dtype:`. */
enum vidur_kv_cache_choice {
    VIDUR_KV_CACHE_AUTO, /* as precision says */
    VIDUR_KV_CACHE_BF16,
    VIDUR_KV_CACHE_FP8
};

/*
 * The configuration's lists of values to try beside models, workloads, clusters and
 * schedulers: a candidate has one of each. Declared once; the list feeds the struct,
 * the YAML schema (whose element is in search/space/config.c), the defaults and the
 * number of points. What a candidate does with its value is said in space.c.
 * X(key, type, member, default values...)
 */
#define VIDUR_SEARCH_LISTS(X)                                                          \
    X(batch_sizes, int, batch_sizes, 32, 64, 128, 256, 512)                            \
    X(tp_dimensions, int, tp_dimensions, 1, 2, 4, 8)                                   \
    X(pp_dimensions, int, pp_dimensions, 1, 2, 4)                                      \
    X(expert_parallel, bool, expert_parallels, false)                                  \
    X(data_parallel_size, int, data_parallel_sizes, 1)                                 \
    X(precision, struct vidur_precision, precisions, VIDUR_PRECISION_OF_SPEC)          \
    /* of enum vidur_kv_cache_choice */                                                \
    X(kv_cache_dtype, int, kv_cache_dtypes, VIDUR_KV_CACHE_AUTO)                       \
    X(router, vidur_router_name, routers, "round_robin")                               \
    /* of enum vidur_memory_planner */                                                 \
    X(memory_planner, int, memory_planners, VIDUR_PLANNER_BY_SEMANTICS)

/* A model in one of the precisions that are tried. */
struct vidur_served_model {
    struct vidur_model_spec spec; /* in that precision */
    int model;                    /* of the configuration's */
    int same; /* the first served model that is equal; itself where it is new */
    char precision[64]; /* of its weights: "bf16, experts mxfp4" */
    /* Where the weights are not in the spec's own precision: the model of data/models
     * that is the same in this one; "": there is none */
    char checkpoint[96];
};

struct vidur_search_config {
    struct vidur_search_model *models;
    struct vidur_search_cluster *clusters;
    struct vidur_search_scheduler *schedulers;
    struct vidur_search_trace *traces;
    int num_models, num_clusters, num_schedulers, num_traces;
    struct vidur_price_file *price_files;
    int num_price_files;
    struct vidur_search_have *have;
    int num_have;
#define X(key, type, member, ...)                                                      \
    type *member;                                                                      \
    int num_##member;
    VIDUR_SEARCH_LISTS(X)
#undef X
    /* by model, precision and kv_cache_dtype, the last varying fastest */
    struct vidur_served_model *served;
    int num_served;
    struct vidur_search_rule *includes, *excludes;
    int num_includes, num_excludes;
    /* Of all requests of every trace; none where all traces have SLOs of classes alone.
     * Runs are judged by their trace's. */
    struct vidur_slo *slos;
    int num_slos;
    struct vidur_search_settings search;
    struct vidur_search_target target;
    struct vidur_search_fleets fleets;
    struct vidur_search_mixed mixed;
    enum vidur_capacity_definition capacity_definition;
    enum vidur_tbt_definition tbt_definition;
    enum vidur_semantics semantics;
    double memory_margin_fraction;
    struct vidur_estimator_config estimator;
    /* where it came from */
    char path[1024];
    /* of its content, overrides applied; path and what changes no result left out */
    char sha256[65];
    char unpriced_sha256[65]; /* the same without prices: what simulations depend on */
    char *text;             /* as read, one `# --set ...` line per override behind it */
    struct vidur_yaml *doc; /* for the place of later errors */
};

/* Reads a file, applies `key.path=value` overrides in order, loads the specs that it
 * names. Zero-initialise; release after a failure, too. */
int vidur_search_config_load(struct vidur_search_config *config, const char *path,
                             const char *const *sets, int num_sets,
                             struct vidur_error *err);
/* The same of text in memory where source.text is given: source.path is then its name
 * in messages and results, and what relative paths are relative to. */
struct vidur_search_source {
    const char *path;
    const char *text; /* NULL: the file's */
    const char *const *sets;
    int num_sets;
};
int vidur_search_config_read(struct vidur_search_config *config,
                             const struct vidur_search_source *source,
                             struct vidur_error *err);
void vidur_search_config_release(struct vidur_search_config *config);

/* ---- The space ---- */

enum vidur_candidate_status {
    VIDUR_CANDIDATE_RUNNABLE,
    VIDUR_CANDIDATE_INFEASIBLE_MEMORY,
    VIDUR_CANDIDATE_INVALID
};

/* The second pool of a candidate that has two: as the members of the same names of the
 * candidate, which are the first one's. */
struct vidur_candidate_pool {
    int num_replicas; /* 0: the candidate has one pool */
    int cluster, scheduler;
    int tensor_parallel_size, num_pipeline_stages, batch_size;
    int data_parallel_size;
    bool expert_parallel;
    int table;
    int64_t num_blocks;
};

/* Replicas of a candidate's pools; `second` is 0 where there is one. */
struct vidur_pool_counts {
    int first, second;
};

/* One point of the space; indices are into the configuration's lists. */
struct vidur_candidate {
    uint64_t id; /* of its content: the same wherever it is listed */
    int model, trace, cluster, scheduler, router, memory_planner;
    int served; /* the model in the precision it is served in; none that is `same` */
    int tensor_parallel_size, num_pipeline_stages, batch_size;
    int data_parallel_size;     /* ranks of a replica, each of so many requests */
    bool expert_parallel;       /* false where one device leaves nothing to deal out */
    int num_replicas, num_gpus; /* in use */
    enum vidur_candidate_status status;
    char *reason;   /* why it is not runnable; NULL */
    int table;      /* the timetable it needs; -1: not runnable */
    int64_t before; /* the candidate whose answer it may start from, always an earlier
                       one; -1: none */
    int64_t chain;  /* candidates linked by `before` have the same */
    int64_t num_blocks;
    double weight; /* expected cost of its search, in no unit */
    /*
     * Of the first pool: `prefill` where the second one decodes; else `all`. With a
     * target the counts are what the search finds, and here 1 each.
     */
    enum vidur_pool_role role;
    struct vidur_candidate_pool second;
    /* With a target, of a pool that prefills and one that decodes: replicas of each
     * that a load asks for by an estimate, up to a factor. */
    double needed[2];
};

static inline bool vidur_candidate_is_fleet(const struct vidur_candidate *candidate)
{
    return candidate->second.num_replicas > 0;
}

/* Two pools that serve whole requests behind one router. */
static inline bool vidur_candidate_is_mixed(const struct vidur_candidate *candidate)
{
    return vidur_candidate_is_fleet(candidate) && candidate->role == VIDUR_POOL_ALL;
}

/* As the candidate says. */
struct vidur_pool_counts
vidur_candidate_counts(const struct vidur_candidate *candidate);

/* Devices of so many replicas. */
int vidur_candidate_gpus(const struct vidur_candidate *candidate,
                         struct vidur_pool_counts counts);

struct vidur_space {
    const struct vidur_search_config *config;
    struct vidur_candidate *candidates;
    int64_t num_candidates;
    /* one timetable each, covering all its candidates; pointers into the configuration
     */
    struct vidur_timetable_request *tables;
    int num_tables;
    int64_t num_excluded;                /* by rules and exclude_tp_dims */
    int64_t num_duplicates;              /* equal to an earlier candidate */
    int64_t num_splits, num_splits_near; /* of two pools' devices, and those searched */
};

/* The product of all dimensions, in the order of their listing, batch sizes from large
 * to small. `config` must outlive the space. Fails when a dimension's value suits no
 * model, or no candidate is valid. Zero-initialise; release after a failure, too. */
int vidur_space_build(struct vidur_space *space,
                      const struct vidur_search_config *config,
                      struct vidur_error *err);
void vidur_space_release(struct vidur_space *space);

/* Keeps the chains whose number modulo `count` is `index`. What the others would have
 * needed stays in the tables' limits, so that results do not change. */
void vidur_space_shard(struct vidur_space *space, int64_t index, int64_t count);

void vidur_space_deployment(const struct vidur_space *space, int64_t candidate,
                            struct vidur_deployment *deployment);

/* The same with all pools, of so many replicas. Weights of pools are 1. */
void vidur_space_fleet(const struct vidur_space *space, int64_t candidate,
                       struct vidur_pool_counts counts, struct vidur_fleet *fleet);

/* GPUs of a replica: DP * TP * PP; of one of the second pool. */
int vidur_candidate_devices(const struct vidur_candidate *candidate);
int vidur_candidate_second_devices(const struct vidur_candidate *candidate);

/* USD per hour of so many replicas; NaN where there is no price. */
double vidur_space_usd_per_hour(const struct vidur_space *space, int64_t candidate,
                                struct vidur_pool_counts counts);

/* GPUs of so many replicas that are not among those of `have`, by pool, and what these
 * cost; all of them where there is no `have`. */
struct vidur_added {
    int gpus[2];
    double usd_per_hour; /* NaN: there is no price */
};
struct vidur_added vidur_space_added(const struct vidur_space *space, int64_t candidate,
                                     struct vidur_pool_counts counts);

#endif
