#ifndef VIDUR_SIMULATOR_H
#define VIDUR_SIMULATOR_H

#include <vidur/deployment.h>
#include <vidur/error.h>
#include <vidur/fleet.h>
#include <vidur/metrics.h>
#include <vidur/timetable.h>
#include <vidur/workload.h>

/*
 * One serving cluster under one load, simulated event by event.
 * Source: SIMULATOR.md sections 4 to 6.
 *
 * A simulator is built once for a deployment and used for many runs (probes): it owns
 * one arena that grows to the largest run and is reused, so that a run allocates
 * nothing after the first. One thread owns one simulator; timetables and workloads are
 * shared.
 */
struct vidur_simulator;

/* `timetable` must outlive the simulator. `max_tokens`: the workload's cap.
 * A deployment that does not fit in memory is refused with VIDUR_EINVAL: ask
 * vidur_memory_plan first. */
int vidur_simulator_create(struct vidur_simulator **out,
                           const struct vidur_deployment *deployment,
                           const struct vidur_timetable *timetable, int max_tokens,
                           struct vidur_error *err);

/* The same with a scheduler that need not be in the registry, and without
 * vidur_deployment_check. `ops` must outlive the simulator. */
struct vidur_scheduler_ops;
struct vidur_simulator_inputs {
    const struct vidur_timetable *timetable;
    int max_tokens;
};
int vidur_simulator_create_with(struct vidur_simulator **out,
                                const struct vidur_scheduler_ops *ops,
                                const struct vidur_deployment *deployment,
                                const struct vidur_simulator_inputs *inputs,
                                struct vidur_error *err);

/* A fleet: a timetable for each of its pools. Errors name keys from `pools.` on where
 * there are several. */
int vidur_simulator_create_fleet(struct vidur_simulator **out,
                                 const struct vidur_fleet *fleet,
                                 const struct vidur_timetable *const *timetables,
                                 int max_tokens, struct vidur_error *err);
void vidur_simulator_destroy(struct vidur_simulator *simulator);

/*
 * Times and counts of every request, indexed by request id, as arrays. Valid until the
 * simulator's next run. Times that were not reached are NaN.
 */
struct vidur_request_records {
    int64_t count;
    const double *arrived_at_s;
    const double *scheduled_at_s;         /* the first time */
    const double *prefill_completed_at_s; /* the first time */
    const double *completed_at_s;
    const double *execution_time_s;
    const double *model_execution_time_s; /* without CPU overheads */
    const double *preempted_time_s;
    const int32_t *num_prefill_tokens; /* after restarts */
    const int32_t *num_decode_tokens;
    const int32_t *arrived_prefill_tokens; /* as at arrival */
    const int32_t *arrived_decode_tokens;
    const int32_t *num_restarts;
    /* of the prompt, found in the prefix cache at the first admission; NULL: no replica
     * has one, or no two prompts share a prefix */
    const int32_t *cached_tokens;
    /* in a fleet whose pools hand requests over, else NULL: when a request left the
     * replica that worked off its prompt, and when its KV cache had come to the next */
    const double *departed_at_s;
    const double *loaded_at_s;
};

/*
 * Where the time of a whole step goes, for step models that do not work by operators.
 * X(name)
 */
#define VIDUR_STEP_PARTS(X)                                                            \
    X(gemm_and_small) /* projections, norms, activation, rotary, embedding */          \
    X(experts)        /* routed experts and their router */                            \
    /* and what is sent to the next stage; of ranks in data parallel gathers, scatters \
     * and the wait for the longest */                                                 \
    X(all_reduce)                                                                      \
    X(attention_decode)  /* decode rows, and chunks that count as such */              \
    X(attention_prefill) /* other chunks */                                            \
    X(output_head)       /* and sampler */                                             \
    X(overheads)         /* per step, request and mixed step */

enum vidur_step_part {
#define X(name) VIDUR_STEP_PART_##name,
    VIDUR_STEP_PARTS(X)
#undef X
        VIDUR_NUM_STEP_PARTS
};

/* One batch on one stage, as an observer sees it when the stage ends it. */
struct vidur_batch_record {
    int64_t batch_id; /* by order of creation */
    int replica;
    int seat; /* the same, but each rank in data parallel counts as one */
    int stage;
    bool last_stage;
    double scheduled_at_s; /* when the batch was formed */
    double started_at_s;   /* on this stage */
    double ended_at_s;
    double execution_time_s;
    int size;
    int64_t num_tokens;
    int64_t num_prefill_tokens;
    int64_t num_decode_tokens;
    /* the shape that its time was looked up for; n is taken before this batch */
    int num_decodes;                /* requests whose prefill is complete */
    int num_prefills;               /* the others */
    int64_t decode_context_tokens;  /* sum of n over decodes */
    int64_t prefill_context_tokens; /* sum of n, each rounded up to the granularity */
    int64_t prefill_chunk_squares;  /* sum of chunk^2 */
    const double *step_parts_s;     /* VIDUR_NUM_STEP_PARTS; NULL: see the timetable */
    double flops;                   /* of a stage, on average */
    int64_t allocated_blocks;       /* of the replica, at the start */
    int64_t num_waiting;            /* requests in the replica's queue, at the start */
    const int64_t *request_ids;     /* `size` of them; valid during the call */
    const int32_t *request_tokens;
};

enum vidur_event_type {
    VIDUR_EVENT_REQUEST_ARRIVAL,
    VIDUR_EVENT_GLOBAL_SCHEDULE,
    VIDUR_EVENT_REPLICA_SCHEDULE,
    VIDUR_EVENT_STAGE_ARRIVAL,
    VIDUR_EVENT_STAGE_SCHEDULE,
    VIDUR_EVENT_STAGE_END,
    VIDUR_EVENT_BATCH_END,
    VIDUR_EVENT_REQUEST_SEEN, /* by the scheduler, behind a front end */
    VIDUR_EVENT_TRANSFER_END, /* of a KV cache, at the replica that it moved to */
    VIDUR_EVENT_LOAD_END,     /* of KV blocks, from host memory */
    VIDUR_NUM_EVENT_TYPES
};

struct vidur_event_record {
    enum vidur_event_type type;
    double time_s;
    int64_t event_id;
    int replica; /* -1: none */
    int stage;   /* -1: none */
    int64_t
        object_id; /* request of a request's event, batch of a batch's event, else -1 */
};

/* Sees a run as it goes; any member may be NULL. An observer switches fast-forward off
 * where it needs every batch or event. A non-zero return stops the run with an error.
 */
struct vidur_observer {
    void *context;
    int (*batch)(void *context, const struct vidur_batch_record *record);
    int (*event)(void *context, const struct vidur_event_record *record);
    /* called about every 100,000 batches: progress; the first unfinished request */
    int (*progress)(void *context, double time_s, int64_t num_completed);
};

struct vidur_run_options {
    const struct vidur_slo *slos; /* judged at the end, and during the run if asked */
    int num_slos;                 /* up to VIDUR_MAX_SLOS */
    bool stop_early;              /* end the run once an SLO can no longer be met */
    enum vidur_tbt_definition tbt_definition;
    double time_limit_s; /* simulated; 0: none */
    /* of what is offered that must be served for a load to be sustained; 0: all but
     * what chance explains */
    double sustained_fraction;
    /* Event by event: the slow path that tests compare with, to the bit (but that, with
     * stop_early and a router that looks at the replicas, or a closed loop over
     * several, runs end at other times). */
    bool plain_stepping;
    const struct vidur_observer *observer; /* may be NULL */
    const volatile int
        *cancel; /* the run ends with VIDUR_EINTR when it becomes non-zero */
};

/* Runs the workload from an empty cluster. Equal inputs give equal bits. */
int vidur_simulator_run(struct vidur_simulator *simulator,
                        const struct vidur_workload *workload,
                        const struct vidur_run_options *options,
                        struct vidur_metrics *metrics, struct vidur_error *err);

/* Records of the last run. */
const struct vidur_request_records *
vidur_simulator_requests(const struct vidur_simulator *simulator);

/* Exact quantile, distribution and weights of the last run's token gaps and batch times
 * are in metrics; bytes held by the arena: */
int64_t vidur_simulator_memory_bytes(const struct vidur_simulator *simulator);

/* What a candidate can reach, to size its timetable. */
void vidur_deployment_table_limits(const struct vidur_deployment *deployment,
                                   int max_tokens,
                                   struct vidur_timetable_request *request);

#endif
