#ifndef VIDUR_SEARCH_REPORT_MODEL_H
#define VIDUR_SEARCH_REPORT_MODEL_H

#include "report/report.h"
#include "report/report_sizing.h"
#include "results/slo_columns.h"

#include <stdbool.h>

/*
 * What all reports say, worked out once: the filtered rows, one group for each model
 * and workload, its best configuration and what it costs to be wrong. Pointers go into
 * the model or the results it was made from. Read-only once made; shared by threads.
 */

enum vidur_status {
    VIDUR_STATUS_INDEX_OK,
    VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY,
    VIDUR_STATUS_INDEX_SLO_UNREACHABLE,
    VIDUR_STATUS_INDEX_INVALID,
    VIDUR_STATUS_INDEX_FAILED,
    VIDUR_NUM_STATUSES
};

/* The column's value and words for people: "too large for memory". */
const char *vidur_status_name(enum vidur_status status);
const char *vidur_status_words(enum vidur_status status);
enum vidur_status vidur_status_of(const struct vidur_ranking_row *row);

struct vidur_report_slo {
    const char *name;   /* "ttft_p90" */
    const char *metric; /* "ttft" */
    double quantile, limit_s;
    char column[VIDUR_SLO_COLUMN_NAME]; /* "ttft_p90_s" */
    int64_t offset; /* of the quantile in a ranking row; -1: in none of its columns */
    const char *limits; /* of a joint one, whose value is a share of them; or NULL */
    const char *class_name; /* that it is about; NULL: all requests */
};

struct vidur_report_group {
    const char *model, *trace;
    const struct vidur_ranking_row *rows; /* best first */
    int64_t num_rows;
    const struct vidur_ranking_row *best;   /* NULL: no row is ok */
    const struct vidur_ranking_row *second; /* the next that is another choice; NULL */
    int64_t counts[VIDUR_NUM_STATUSES];
};

/* The best configuration on one SKU, within a group. */
struct vidur_report_sku {
    int group;
    const char *device, *network_device;
    const struct vidur_ranking_row *best; /* NULL: no row is ok */
    int64_t num_rows;
};

/* Serving one workload with the best configuration of another of the same model. */
struct vidur_report_cell {
    int served, tuned_for;               /* groups */
    const struct vidur_ranking_row *row; /* NULL: that was not searched */
    double loss;                         /* times as expensive as the best; NaN */
};

struct vidur_report_search {
    int64_t probes;    /* loads judged */
    int64_t simulated; /* of them; the others were taken over from another candidate */
    int64_t feasible, stopped_early, time_limited, bracket_violations;
    int64_t extrapolated_rows, simulated_requests;
    double wall_s;        /* of all simulations */
    int num_ranks;        /* 1 + the largest seen in the probes */
    int64_t *rank_probes; /* simulated */
    double *rank_wall_s;
};

/* False where the result was taken over from another candidate, which is provably
 * equal; that takes no time. */
bool vidur_probe_is_simulated(const struct vidur_probe_row *probe);

struct vidur_report_model {
    const struct vidur_results *results;
    struct vidur_ranking_row *rows; /* those that pass the filters */
    int64_t num_rows;
    struct vidur_report_slo *slos;
    int num_slos;
    /* What tables show of latencies: the SLOs', then TTFT P90 and TBT P99 where no SLO
     * is on these and there is room; limit_s is NaN for those. */
    struct vidur_report_slo latencies[VIDUR_MAX_SLOS];
    int num_latencies;
    struct class_columns classes; /* of traffic, as their places in rows */
    struct vidur_report_group *groups;
    int num_groups;
    struct vidur_report_sku *skus; /* by group, best first */
    int num_skus;
    struct vidur_report_cell *cells; /* by served, then tuned_for; none where a model
                                        has one workload */
    int num_cells;
    struct vidur_report_search search;
    struct vidur_report_load load;
    struct vidur_api_price api;
    struct vidur_report_family *families;
    int num_families;
    struct vidur_report_size *sizes; /* of all families */
    int *family_of_row;              /* -1: it cannot be rented */
};

/* `options` may be NULL. Release also after a failure. */
int vidur_report_model_make(struct vidur_report_model *model,
                            const struct vidur_results *results,
                            const struct vidur_report_options *options,
                            struct vidur_error *err);
void vidur_report_model_release(struct vidur_report_model *model);

/* Whether two rows are the same configuration, whatever the model and workload. */
bool vidur_same_configuration(const struct vidur_ranking_row *a,
                              const struct vidur_ranking_row *b);

/* The recorded quantile of a row's latency; NaN where none is. */
/* Whether the row's workload has the SLO: those of classes are some workloads'. */
bool vidur_row_has_slo(const struct vidur_ranking_row *row,
                       const struct vidur_report_slo *slo);
double vidur_row_latency(const struct vidur_ranking_row *row,
                         const struct vidur_report_slo *slo);

/* Whether an ok row whose quantile is NaN had nothing to measure, as outputs of one
 * token have no gaps; otherwise its file lacks the quantile. */
bool vidur_row_has_no_samples(const struct vidur_ranking_row *row,
                              const struct vidur_report_slo *slo);

/* USD for 1,000 requests at max_qps, or at the load that was asked for. */
double vidur_usd_per_1000_requests(const struct vidur_ranking_row *row);

bool vidur_row_has_price(const struct vidur_ranking_row *row);

/* The price of a GPU and hour at which a query costs with `row` what it costs with
 * `best`, which has a price: below it, `row` is the cheaper one. */
double vidur_break_even_usd_per_gpu_hour(const struct vidur_ranking_row *best,
                                         const struct vidur_ranking_row *row);

/* How many times as much a query costs with `row` as with `best`; of two that have no
 * price, in hours of GPUs; NaN where one has none. */
double vidur_cost_factor(const struct vidur_ranking_row *best,
                         const struct vidur_ranking_row *row);

/* Was the row's cluster made for a load that was asked for? Then its largest load was
 * not searched, and rows rank by their price. */
bool vidur_row_has_target(const struct vidur_ranking_row *row);
/* Of the weights, and of the KV cache: bf16 where the file does not say. */
const char *vidur_row_precision(const struct vidur_ranking_row *row);
const char *vidur_row_kv_cache_dtype(const struct vidur_ranking_row *row);

/* What a row's dollar buys: at the load that was asked for, else at max_qps. */
double vidur_row_qps_per_dollar(const struct vidur_ranking_row *row);

/* Was its run a burst rather than a load, so that max_qps is too high? */
bool vidur_row_is_burst(const struct vidur_ranking_row *row);

/* What to say in plain sight where operator times are not measured; "" where they are,
 * as far as the results tell. */
struct vidur_report_caution {
    char text[384];
};
struct vidur_report_caution vidur_report_caution(const struct vidur_results *results);

#endif
