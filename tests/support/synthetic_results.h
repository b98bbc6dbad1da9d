#ifndef VIDUR_TEST_SYNTHETIC_RESULTS_H
#define VIDUR_TEST_SYNTHETIC_RESULTS_H

#include <vidur/results.h>

/*
 * Results as a search might leave them, made from formulas and a random stream: test
 * data, labelled so in every text that a reader sees. Equal arguments give equal
 * results. Up to `num_candidates` (at most 1944) rows over two models, three workloads,
 * three devices; most are ok, the others of every other status. Ranked, Pareto marked,
 * with bottlenecks. Aborts when out of memory.
 */
void synthetic_results(struct vidur_results *results, int num_candidates,
                       uint64_t seed);

/* Changes to such results, after which they are ranked anew: what other searches leave.
 */

/* Puts others in the place of their SLOs: the 0.95 quantile of TTFT, which every row
 * has, the 0.75 quantile of normalised end-to-end latency and the 0.999 quantile of
 * TPOT, which only SLOs bring along. Rows are filled. */
void synthetic_other_slos(struct vidur_results *results);

/* Five seeds each: max_qps_low and max_qps_high; one row in seven is unbounded, one in
 * eleven a burst. */
void synthetic_replicate(struct vidur_results *results);

/* Every second deployment of several replicas is there on half its GPUs too, where a
 * replica serves 0.9 to 1.1 times as much. */
void synthetic_resize(struct vidur_results *results, uint64_t seed);

/* A search for a load: each row has the replicas that serve it, and ranks by price. */
void synthetic_retarget(struct vidur_results *results, double target_qps);
/* The device that does worst in the first group has no price. */
void synthetic_unprice(struct vidur_results *results);

/* Eight of the first row's device are there already. */
void synthetic_add(struct vidur_results *results);

/* Names and reasons that attack terminals, Markdown, HTML and spreadsheets. */
void synthetic_attack(struct vidur_results *results);

#endif
