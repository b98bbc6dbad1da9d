#ifndef VIDUR_SEARCH_RESULTS_NOTES_H
#define VIDUR_SEARCH_RESULTS_NOTES_H

#include <vidur/results.h>

/* Notes that results carry about themselves: what the rows come to, and which shards of
 * the search space are not in them. Merging makes them anew. */

/* How the reason of a ranked row begins whose run was a burst rather than a load. */
#define VIDUR_BURST "the workload is a burst rather than a load"

/* What stands behind the GiB by which a candidate does not fit in memory, and before
 * the latency, in seconds, by which it misses an SLO at any load: in their reasons. */
#define VIDUR_TOO_MANY_GIB " GiB too many"
#define VIDUR_WHERE_IT_IS  ", where it is about "

/* Is the fact one of these notes? */
bool results_is_own_note(const struct vidur_result_fact *fact);

int results_note_rows(struct vidur_results *results, struct vidur_error *err);

/* From the facts search.shard (one for each shard that is there) and search.num_shards,
 * which are removed where all are there. */
int results_note_shards(struct vidur_results *results, struct vidur_error *err);

#endif
