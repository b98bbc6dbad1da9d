#ifndef VIDUR_SEARCH_REPORT_SIZING_H
#define VIDUR_SEARCH_REPORT_SIZING_H

#include <vidur/error.h>
#include <vidur/results.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * What to rent for a load: the deployment with the least price, over all candidates of
 * a model and workload, in whole replicas.
 *
 * Rows that differ in their replicas alone are one family: a deployment that was
 * simulated in several sizes. A size that was simulated serves what its row says. Any
 * other is scaled: its replicas serve as much each as those of the next smaller size
 * that was simulated, or of the next larger where that is less (the only one below the
 * smallest). So no size is said to do better than its neighbours were seen to do;
 * scaling is a guess all the same, as a router splits the load differently over another
 * number of replicas, and reports say "scaled, not simulated".
 *
 * search/report/data.js follows the same rules, operation by operation; a test compares
 * them. Pure functions.
 */

struct vidur_report_load {
    double target_qps; /* 0: none is asked for */
    double headroom;   /* sizes are for target_qps * (1 + headroom) */
    bool whole_nodes;  /* the price is that of whole nodes */
};

/* What an API asks. */
struct vidur_api_price {
    bool given;
    double input, output; /* USD per million tokens */
};

/* target_qps * (1 + headroom) */
double vidur_load_qps(const struct vidur_report_load *load);

struct vidur_report_size {
    int64_t replicas;
    double qps;
    const struct vidur_ranking_row *row;
};

struct vidur_report_family {
    int group;
    const char *network_device;
    int64_t gpus_per_replica;
    int64_t devices_per_node; /* 0: the results do not say */
    double usd_per_gpu_hour;
    const struct vidur_report_size *sizes; /* fewest replicas first, each once */
    int num_sizes;
};

struct vidur_report_sizing {
    const struct vidur_ranking_row *row; /* simulated, or scaled from; NULL: none */
    int64_t replicas, gpus;              /* in use */
    int64_t nodes;                       /* that the GPUs fill or begin; 0: not known */
    int64_t billed_gpus;                 /* more than gpus where whole nodes are paid */
    double usd_per_hour;
    double capacity_qps; /* of a row with a target at least: no more was tried */
    bool simulated;      /* in this size */
};

/* The smallest size of a family for a load. None where that takes more replicas than
 * anybody can rent. */
struct vidur_report_sizing vidur_family_sizing(const struct vidur_report_family *family,
                                               const struct vidur_report_load *load);

/* < 0: `a` is the better choice: less USD an hour (to a millionth), fewer GPUs, more
 * capacity, the larger margin where rows have one, the smaller id. What has no price
 * comes behind what has one; none comes last. */
int vidur_sizing_compare(const struct vidur_report_sizing *a,
                         const struct vidur_report_sizing *b);

/* The row with the replicas, GPUs and price of a sizing that is not none. */
struct vidur_ranking_row vidur_sizing_row(const struct vidur_report_sizing *sizing);

/* "5 replicas of TP2 PP2 on h100_dgx, sarathi chunk_size=512, batch 128" */
void vidur_format_rent(const struct vidur_ranking_row *row, int64_t replicas,
                       char *text, size_t size);
/* "simulated", or "scaled from 2 replicas, not simulated" */
void vidur_format_known(const struct vidur_report_sizing *sizing, char *text,
                        size_t size);
/* What to rent, what it costs and whence that is known, in one sentence. */
void vidur_format_sizing(const struct vidur_report_sizing *sizing,
                         const struct vidur_report_load *load, char *text, size_t size);
/* The same for a row that was simulated at the load that its search was asked for. */
void vidur_format_target(const struct vidur_ranking_row *row, char *text, size_t size);

/* Families of rows that are ok; a part of the report's model. */
struct vidur_report_model;
int vidur_report_families_make(struct vidur_report_model *model,
                               struct vidur_error *err);

/* Was the whole report searched for a load? Then what a size serves is "at least". */
bool vidur_report_has_target(const struct vidur_report_model *model);
/* The header of a column of what sizes serve. */
const char *vidur_report_capacity_header(const struct vidur_report_model *model);

/* The best choice of a group, and of one node SKU where that is not NULL. */
struct vidur_report_sizing vidur_report_choose(const struct vidur_report_model *model,
                                               int group, const char *network_device);

#endif
