#ifndef VIDUR_SIM_SLO_WATCH_H
#define VIDUR_SIM_SLO_WATCH_H

#include <vidur/scheduler.h>
#include <vidur/simulator.h>

/*
 * Counts violations of SLOs while a run goes on, to end it when one is lost: when so
 * many samples exceed the limit that the order statistic below the quantile does.
 *
 * Latencies that begin at arrival are judged when their limit passes, met or not;
 * the others when a request completes. A joint objective has a count for each of its
 * latencies, and a request that exceeds several of them counts once.
 */

struct vidur_slo_count {
    enum vidur_latency metric; /* VIDUR_SLO_JOINT: its parts count */
    double limit_s;            /* a little above the one that was given */
    int class_number;          /* as in struct vidur_slo */
    int whole;                 /* the objective's count: its own, or a joint one's */
    int first_part, num_parts; /* of a joint objective */
    int64_t violations;        /* of an objective, not of a part */
    int64_t lost_at; /* violations that lose the SLO; INT64_MAX: cannot be told early */
    int64_t cursor;  /* requests in order of arrival that have been judged */
};

struct vidur_slo_watch {
    struct vidur_slo_count *counts; /* of the SLOs in their order, then of parts */
    int num_slos, num_counts;
    uint8_t *missed; /* by request: bits of joint objectives that counted it */
    const struct vidur_workload *workload;
    const int32_t *order; /* requests of the part being simulated, by arrival */
    int64_t order_count;
    int lost; /* index of an SLO; -1: none */
    /* nothing is to be judged before this time, unless a count has reached its end */
    double next_due_s;
    double least_gap_limit_s; /* of the SLOs on gaps; infinity: there is none */
    bool has_crossed;
};

/* Violations among `count` samples from which the q-quantile must exceed the limit. */
int64_t vidur_slo_lost_at(int64_t count, double quantile);

/* The value of a latency of a completed request, or of one that got as far as the
 * latency needs; NaN otherwise, and for a tpot of a single token. */
double vidur_request_latency(const struct vidur_request_table *table,
                             const struct vidur_workload *workload,
                             enum vidur_latency latency, int64_t request);

/* The same of all requests that have it, in `out` ([table->count]); returns how many.
 */
int64_t vidur_request_latencies(const struct vidur_request_table *table,
                                const struct vidur_workload *workload,
                                enum vidur_latency latency, double *out);

/* Whether an SLO, or a part of it, is about the request. */
static inline bool vidur_slo_is_about(const struct vidur_workload *workload,
                                      int class_number, int64_t request)
{
    return class_number == 0 || workload->class_of[request] == class_number - 1;
}

/* A latency that begins at the arrival: it is late once its limit has passed. */
static inline bool vidur_latency_begins_at_arrival(enum vidur_latency latency)
{
    return latency == VIDUR_LATENCY_ttft || latency == VIDUR_LATENCY_e2e ||
           latency == VIDUR_LATENCY_scheduling_delay;
}

/* How many counts, and bytes for requests' bits, the options need. */
struct vidur_slo_watch_sizes {
    int num_counts;
    int64_t num_missed;
};
struct vidur_slo_watch_sizes
vidur_slo_watch_sizes(const struct vidur_run_options *options,
                      const struct vidur_workload *workload);

/* The caller has set `counts` and `missed` to memory of these sizes. */
void vidur_slo_watch_init(struct vidur_slo_watch *watch,
                          const struct vidur_run_options *options,
                          const struct vidur_workload *workload, bool corrected);

/* The requests simulated next; NULL: all, by id. */
void vidur_slo_watch_scope(struct vidur_slo_watch *watch, const int32_t *order,
                           int64_t count);

/* A request arrives at `now_s`: one more of the scope's, at the end of its order. */
void vidur_slo_watch_arrived(struct vidur_slo_watch *watch, double now_s);

void vidur_slo_watch_completed(struct vidur_slo_watch *watch,
                               const struct vidur_request_table *table,
                               int32_t request);

void vidur_slo_watch_long_gap(struct vidur_slo_watch *watch, double value_s,
                              int64_t weight);

/* `weight` gaps between tokens of this value. */
static inline void vidur_slo_watch_gap(struct vidur_slo_watch *watch, double value_s,
                                       int64_t weight)
{
    if (value_s > watch->least_gap_limit_s)
        vidur_slo_watch_long_gap(watch, value_s, weight);
}

/* How many gaps of this value lose an SLO; INT64_MAX: any number is fine. */
int64_t vidur_slo_watch_gaps_left(const struct vidur_slo_watch *watch, double value_s);

/* Whether vidur_slo_watch_judge has something to do at `now_s`. */
static inline bool vidur_slo_watch_is_due(const struct vidur_slo_watch *watch,
                                          double now_s)
{
    return watch->has_crossed || now_s >= watch->next_due_s;
}

/* Judges what is due at `now_s`; true once an SLO is lost. */
bool vidur_slo_watch_judge(struct vidur_slo_watch *watch,
                           const struct vidur_request_table *table, double now_s);

#endif
