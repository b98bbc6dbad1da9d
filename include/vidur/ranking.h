#ifndef VIDUR_RANKING_H
#define VIDUR_RANKING_H

#include <vidur/results.h>
#include <vidur/slo.h>

/*
 * Pure functions over ranking rows; call vidur_rank, vidur_mark_pareto and
 * vidur_find_bottleneck once all rows are known. None allocates beyond O(rows) scratch;
 * all are deterministic whatever the rows' order on entry.
 */

/* Sorts best first: by model and trace (in the byte order of their names),
 * then status ok before others, those with an upper bound before those without, QPS per
 * dollar descending (with a target: USD per hour ascending), those without a price
 * behind by QPS per GPU descending, margin descending, max_qps descending, ties by
 * candidate id; numbers `rank` from 1 within each (model, trace) over the ok rows.
 *
 * Where some GPUs are there already (added_gpus is a number) what counts is what is
 * added: fills added_qps, above the best ok row that adds none, and
 * added_qps_per_dollar, which comes before all that is named above but `unbounded`;
 * rows that add nothing count 0 there, and among equals max_qps comes first. With a
 * target the least added_usd_per_hour comes first, and what adds as much goes by its
 * whole price. */
int vidur_rank(struct vidur_ranking_row *rows, int64_t count, struct vidur_error *err);

/* Sets `pareto` on the rows of each (model, trace) that no other ok row beats in QPS
 * per dollar (max), TTFT P90 (min) and TBT P99 (min) at once. */
int vidur_mark_pareto(struct vidur_ranking_row *rows, int64_t count,
                      struct vidur_error *err);

/* Names what limits a row and the knob to try (bottleneck, bottleneck_detail), by rules
 * over the metrics recorded at its highest feasible load and its limiting SLO; the
 * rules are listed in bottleneck.c. Rows without metrics: by their status. */
void vidur_find_bottleneck(struct vidur_ranking_row *row);

#endif
