#ifndef VIDUR_CAPACITY_H
#define VIDUR_CAPACITY_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * The largest load that a deployment serves within its SLOs, found with few probes.
 *
 * A search is plain data that says which load to probe next and is told what came of
 * it: it never simulates. A copy of it is a fork, so a caller can suppose an outcome
 * and see which loads would follow (speculation), or replay recorded probes (resume).
 *
 * Definition `slos`: loads lie on a lattice, (1 + granularity)^k QPS, the same for
 * every search of that granularity and to the bit. The answer is the largest k that
 * passes with k + 1 failing. The first load is the lattice point nearest to start_qps;
 * strides double until one load passed and one failed, then the bracket is halved.
 * Where passing is monotone in the load, the answer depends neither on the start nor on
 * the anchor. A search ends at anchor / 1024 (a load at which nothing queues: failing
 * there means that no load passes) and at 64 * anchor (passing there means that the
 * workload is too short to be overloaded).
 *
 * Definition `replicas`: the load is given, target_qps, and the answer is the least
 * number of replicas that carries it. What a replica gets of the load grows as their
 * number falls, so this is the same search over the loads of one replica, target_qps /
 * r for r = max_replicas ... 1: point -r of the lattice.
 *
 * Definition `users`: loads are numbers of users, the clients of a closed loop: 1, and
 * from each the next by granularity, but one more at least, up to max_users. The answer
 * is the largest that passes with the next failing, found as for `slos`; passing at the
 * end means that the workload is too short for more users. What is called QPS here is
 * then a number of users.
 *
 * Definition `scheduling_delay`: the reference's search, SIMULATOR.md section 8, whose
 * predicate is one latency's 0.99 quantile alone and whose path depends on its value.
 * No load passes if start_qps / 1024 does not.
 *
 * Not thread-safe per object; objects are independent.
 */

enum vidur_capacity_definition {
    VIDUR_CAPACITY_SLOS,
    VIDUR_CAPACITY_SCHEDULING_DELAY,
    VIDUR_CAPACITY_REPLICAS,
    VIDUR_CAPACITY_USERS
};

struct vidur_capacity_options {
    enum vidur_capacity_definition definition;
    double granularity; /* relative distance of neighbouring loads, > 0 */
    int max_iterations; /* probes at most */
    double anchor_qps;  /* slos: sets the ends, > 0; a bound on the throughput */
    double start_qps;   /* slos, users: where to begin, 0: at the anchor.
                           scheduling_delay: the middle of the first bracket, > 0 */
    double target_qps;  /* replicas: the load, > 0 */
    int start_replicas; /* replicas: where to begin, >= 1 */
    int max_replicas;   /* replicas: the most that may be tried */
    int64_t max_users;  /* users: the most that may be tried */
    int first_stride;   /* all but scheduling_delay: points of the first step away, >= 1
                         */
    int confirm; /* slos, users: points above the answer's failing neighbour to probe
                    as well, in search of passes above a fail */
    double delay_limit_s; /* scheduling_delay: the SLO, > 0 */
};

/* What a probe tells. `delay_s` matters to the definition `scheduling_delay` alone. */
struct vidur_capacity_outcome {
    bool feasible;
    double delay_s;
};

/* The members are for capacity.c; copy the struct freely. */
struct vidur_capacity {
    struct vidur_capacity_options options;
    int32_t lowest_point, highest_point; /* the search's ends */
    int32_t pass_point, fail_point;      /* highest pass and lowest fail above it */
    int32_t next_point, stride;
    int32_t num_confirmed;
    int32_t num_probes, num_violations;
    bool has_pass, has_fail, finished, closed;
    double left_qps, right_qps, next_qps; /* scheduling_delay */
    double pass_qps, fail_qps;            /* NaN: none */
};

struct vidur_capacity_answer {
    bool found;         /* some load passed */
    double max_qps;     /* the answer, NaN when not found; replicas: of one replica */
    double fail_qps;    /* the lowest load that failed above it; NaN: none */
    int replicas;       /* replicas: the answer, 0 when not found */
    bool unreachable;   /* the lowest load of the search failed */
    bool unbounded;     /* the highest load of the search passed */
    bool exhausted;     /* max_iterations ended the search before its bracket closed */
    int num_probes;     /* told so far */
    int num_violations; /* passes seen above a fail */
};

/* Fails with VIDUR_EINVAL on options out of range. */
int vidur_capacity_begin(struct vidur_capacity *search,
                         const struct vidur_capacity_options *options,
                         struct vidur_error *err);

/* The next load to probe; false when the search is over. Pure: asking twice gives the
 * same load. Definition `replicas`: that of one replica. */
bool vidur_capacity_next(const struct vidur_capacity *search, double *qps);

/* A number that names the next load: no other load of the search has it. 0 where the
 * search is over. */
uint64_t vidur_capacity_name(const struct vidur_capacity *search);

/* How many replicas carry the next load; 0 but for the definition `replicas`. */
int vidur_capacity_replicas(const struct vidur_capacity *search);

/* What the load last given by vidur_capacity_next came to. */
void vidur_capacity_tell(struct vidur_capacity *search,
                         const struct vidur_capacity_outcome *outcome);

/* The search as it would be after possible outcome `which` (0, 1, ...) of the next
 * load; false when there are no more. */
bool vidur_capacity_suppose(const struct vidur_capacity *search, int which,
                            struct vidur_capacity *after);

void vidur_capacity_answer(const struct vidur_capacity *search,
                           struct vidur_capacity_answer *answer);

/* Probes a load; -1 with *err stops the search. */
typedef int vidur_capacity_probe(void *context, double qps,
                                 struct vidur_capacity_outcome *outcome,
                                 struct vidur_error *err);

/* From where `search` stands to its end. */
int vidur_capacity_run(struct vidur_capacity *search, vidur_capacity_probe *probe,
                       void *context, struct vidur_error *err);

#endif
