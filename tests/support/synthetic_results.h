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

/* Puts others in the place of the SLOs of such results: the 0.95 quantile of TTFT,
 * which every row has, the 0.75 quantile of normalised end-to-end latency and the 0.999
 * quantile of TPOT, which only SLOs bring along. Rows are filled. */
void synthetic_other_slos(struct vidur_results *results);

#endif
