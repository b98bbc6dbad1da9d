#ifndef VIDUR_SEARCH_EVALUATE_H
#define VIDUR_SEARCH_EVALUATE_H

#include <vidur/log.h>
#include <vidur/results.h>
#include <vidur/space.h>

/*
 * What one rank needs to judge candidates: workloads, timetables (opened when they are
 * first needed, kept until the end) and the simulator of the candidate at hand, whose
 * memory is reused from probe to probe. Belongs to one thread.
 */
struct evaluator;

/* Somebody to be called every now and then during a long simulation; and a flag that
 * ends it with VIDUR_EINTR. */
struct evaluator_pulse {
    void (*beat)(void *self); /* may be NULL */
    void *self;
    const volatile int *stop; /* may be NULL */
};

struct evaluator_options {
    int rank;                    /* for the results */
    int threads;                 /* for building tables; 0: as OpenMP decides */
    const struct vidur_log *log; /* may be NULL */
};

/* What opening a timetable tells. */
struct evaluator_table {
    char key[65];
    char provenance[256]; /* as the timetable's */
};

/* Draws every workload of the configuration: a trace that cannot be used is found
 * here. `space` must outlive the evaluator. */
int evaluator_create(struct evaluator **out, const struct vidur_space *space,
                     const struct evaluator_options *options, struct vidur_error *err);
void evaluator_destroy(struct evaluator *evaluator);

/* For what follows; NULL: nobody. `pulse` must outlive its use. */
void evaluator_set_pulse(struct evaluator *evaluator,
                         const struct evaluator_pulse *pulse);

int evaluator_open_table(struct evaluator *evaluator, int table,
                         struct evaluator_table *out, struct vidur_error *err);

struct evaluator_bound {
    double qps; /* no load above it can be served for long, whatever the SLOs; with a
                   target: by one replica. Of a closed loop: as many users as the
                   deployment works for at once */
    double start_qps;     /* about where the answer is; 0: no telling */
    int64_t num_requests; /* to begin with: all, unless they are to be as many as a
                             steady state needs */
    /* Of two pools behind one router: what a replica of each serves alone within the
     * SLOs, QPS; 0: it meets them at no load */
    double capacity_qps[2];
};

/*
 * `pilot`: whether start_qps is wanted.
 *
 * The bound is the rate at which one replica works off requests that are all there from
 * the start, times replicas, over enough of the workload's first requests to fill its
 * batch several times. The start comes from a pilot: a coarse capacity search over a
 * part of the first requests, where that is long enough to mean anything.
 *
 * Of two pools behind one router each pool's replica is measured by itself, by a
 * capacity search at the search's granularity: bounds and starts are sums over
 * replicas.
 */
int evaluator_bound(struct evaluator *evaluator, int64_t candidate, bool pilot,
                    struct evaluator_bound *out, struct vidur_error *err);

/* What is simulated. */
struct evaluator_load {
    int64_t candidate;
    int replication; /* 0: the search's own seed; 1, ...: seeds derived from it */
    struct vidur_pool_counts counts; /* first 0: the candidate's own */
    double weights[2]; /* of two pools behind one router: a replica's share of the load,
                          relative; 0: equal ones */
    int64_t num_requests; /* the first so many of the workload; 0: all */
    double qps;           /* of a closed loop: its users */
};

/* A steady state needs a window of arrivals that is so many times as long as a request
 * stays: the share of the run in which the cluster fills up is then small. */
enum {
    EVALUATOR_STEADY_TURNOVERS = 16,
    EVALUATOR_LEAST_TURNOVERS = 8 /* fewer are a burst rather than a load */
};

/* How many requests that is where so many are in flight on average: a power of two, and
 * enough for the tail of a distribution. */
int64_t evaluator_requests_for(double in_flight);

/* Of one of two pools; as the members of the same names of struct vidur_pool_metrics.
 */
struct evaluator_pool {
    double busy, mfu;
    int64_t num_batches;
    double mean_tokens_per_batch;
};

/* What a simulation tells: all of the row but its number in the path, and how far the
 * limits on batches were from being felt. */
struct evaluator_probed {
    struct vidur_probe_row row;
    int64_t asked_requests; /* row.num_requests may be fewer for time_limit_s */
    double mean_stay_s;     /* of a request, or of a session; NaN: not known */
    double margin;          /* of the SLO nearest to its limit: 1 - value / limit */
    bool sustained;         /* as a feasible load must be */
    int64_t peak_batch_size;
    int64_t peak_holders; /* requests of one replica that held KV blocks at once */
    struct evaluator_pool pools[2]; /* where there are two */
};

/* A load is feasible if every SLO is met and it is sustained (struct vidur_sustained),
 * which semantics: vidur does not ask. Requests that would arrive after
 * search.time_limit_s, or that a run has no time left for, are left out, as long as
 * enough remain: a run that is cut all the same passes no load. */
int evaluator_probe(struct evaluator *evaluator, const struct evaluator_load *load,
                    struct evaluator_probed *out, struct vidur_error *err);

/* Whether `candidate`, which differs from the one that was probed in nothing but a
 * smaller batch size, would have gone through that simulation just the same: no limit
 * that it changes was ever felt. */
bool evaluator_is_same(const struct vidur_space *space, int64_t candidate,
                       const struct evaluator_probed *probed);

/* The requests of a trace, as drawn; lives as long as the evaluator. */
const struct vidur_workload *evaluator_workload(const struct evaluator *evaluator,
                                                int trace);

#endif
