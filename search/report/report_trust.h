#ifndef VIDUR_SEARCH_REPORT_TRUST_H
#define VIDUR_SEARCH_REPORT_TRUST_H

#include <vidur/results.h>

/* Medians of the absolute errors, in per cent, against 521 closed loops of vLLM on H100
 * and B200: the rows of README.md and data/FIDELITY.md, with which a test compares
 * them. */
#define VIDUR_TRUST_CASES         521
#define VIDUR_TRUST_ROOFLINE_TPOT 8.9
#define VIDUR_TRUST_ROOFLINE_TTFT 22.7
#define VIDUR_TRUST_KERNELS_TPOT  8.4
#define VIDUR_TRUST_KERNELS_TTFT  17.8

/* How sure the latencies of a row are, from what was measured: one sentence without its
 * full stop; "" where nothing was, as of the reference's schedulers. Pure function. */
void vidur_format_trust(const struct vidur_ranking_row *row, char *text, size_t size);

#endif
