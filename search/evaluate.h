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
    double qps;       /* no load above it can be served for long, whatever the SLOs */
    double start_qps; /* about where the answer is; 0: no telling */
};

/*
 * The bound is the rate at which one replica works off requests that are all there from
 * the start, times replicas, over enough of the workload's first requests to fill its
 * batch several times. The start comes from a pilot: a coarse capacity search over the
 * first sixteenth of the workload, where that is long enough to mean anything.
 */
int evaluator_bound(struct evaluator *evaluator, int64_t candidate,
                    struct evaluator_bound *out, struct vidur_error *err);

/* What a simulation tells: all of the row but its number in the path, and how far the
 * limits on batches were from being felt. */
struct evaluator_probed {
    struct vidur_probe_row row;
    int64_t peak_batch_size;
    int64_t peak_holders; /* requests of one replica that held KV blocks at once */
};

int evaluator_probe(struct evaluator *evaluator, int64_t candidate, double qps,
                    struct evaluator_probed *out, struct vidur_error *err);

/* Whether `candidate`, which differs from the one that was probed in nothing but a
 * smaller batch size, would have gone through that simulation just the same: no limit
 * that it changes was ever felt. */
bool evaluator_is_same(const struct vidur_space *space, int64_t candidate,
                       const struct evaluator_probed *probed);

/* The load at which a trace's last request arrives when time_limit_s ends the run; 0:
 * no limit. */
double evaluator_lowest_qps(struct evaluator *evaluator, int trace);

/* The requests of a trace, as drawn; lives as long as the evaluator. */
const struct vidur_workload *evaluator_workload(const struct evaluator *evaluator,
                                                int trace);

/* Bytes of the present simulator. */
int64_t evaluator_memory_bytes(const struct evaluator *evaluator);

#endif
