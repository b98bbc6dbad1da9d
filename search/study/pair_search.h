#ifndef VIDUR_SEARCH_PAIR_SEARCH_H
#define VIDUR_SEARCH_PAIR_SEARCH_H

#include <vidur/space.h>

/*
 * The cheapest pair of counts of two pools that together carry a load.
 *
 * A search is plain data that says which pair to simulate next and is told whether that
 * one held. It takes for granted that a pair holds where one of fewer replicas does: a
 * pair that failed rules out all that have no more of either pool, and one that held
 * all that cost as much. What a replica carries alone says where to look:
 *
 * - first the cheapest pair that is expected to carry the load, then, by growing steps,
 *   the cheapest that is expected to carry more; between the last pair that failed and
 *   one that held, the middle;
 * - then, where the search is thorough, whether either pool can spare a replica, and
 *   every pair that costs less and is not ruled out, from the one that is expected to
 *   carry most. A failure rules out all pairs below it, so that there is one to try for
 *   each number of the first pool. Where these are too many, only pairs that cost 5 %
 *   less are looked for: dearer ones stand for some of them each.
 *
 * The answer of a thorough search is the cheapest pair that holds (up to 5 %, where
 * there are too many), and neither pool has a replica to spare.
 * Pairs that could not carry the load with all replicas saturated are not simulated,
 * unless they are the answer with one replica less.
 */

enum { PAIR_SEARCH_FAILURES = 64, PAIR_COST_PARTS = 5 };

/* In the order of their weight: of two pairs the one whose first different part is less
 * is cheaper. No two pairs cost the same, and a replica more never costs less. */
struct pair_cost {
    int64_t parts[PAIR_COST_PARTS];
};

/* What does not change while a search goes on; what a caller works out of its
 * configuration. */
struct pair_space {
    double target_qps;
    double carried_qps[2];    /* by a replica alone, > 0 */
    double saturated_qps[2];  /* that no replica can exceed, about */
    int devices[2];           /* of a replica */
    int most[2], max_devices; /* replicas of each pool, devices of both */
    double granularity;       /* of the steps, relative */
    /* Of the first part; three times as many of all. And a thorough search tries all
     * pairs that are cheaper where these are so many or fewer. */
    int max_probes;
    struct pair_cost (*cost)(const void *context, struct vidur_pool_counts counts);
    const void *context; /* of `cost` */
};

/* The members are for pair_search.c; copy the struct freely. All 0 but `from` is a
 * search that begins. */
struct pair_search {
    struct vidur_pool_counts from; /* the first pair; first 0: no telling */
    struct vidur_pool_counts best; /* first 0: none held yet */
    /* none has no more of both than another */
    struct vidur_pool_counts failed[PAIR_SEARCH_FAILURES];
    int32_t num_failed, num_probes;
    int32_t num_steps; /* in one direction, each longer than the one before */
    bool thorough;
    bool exhausted; /* the probes ended a thorough search */
};

/* The next pair; false: the search is over. Pure. */
bool pair_search_next(const struct pair_space *space, const struct pair_search *search,
                      struct vidur_pool_counts *next);

/* Whether the pair that pair_search_next gives held. */
void pair_search_tell(const struct pair_space *space, struct pair_search *search,
                      bool held);

/* From here on the search is thorough. */
void pair_search_go_on(struct pair_search *search);

bool pair_search_is_cheaper(const struct pair_space *space, struct vidur_pool_counts a,
                            struct vidur_pool_counts b);

/* What a pair is expected to carry, over the target. */
double pair_search_expected(const struct pair_space *space,
                            struct vidur_pool_counts counts);

#endif
