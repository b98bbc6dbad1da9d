#include "replica/replica.h"

#include <math.h>
#include <string.h>

/* X(type, name): arrays of the request table that a run owns. */
#define OWNED_ARRAYS(X)                                                                \
    X(int32_t, prefill_tokens)                                                         \
    X(int32_t, decode_tokens)                                                          \
    X(int32_t, processed_tokens)                                                       \
    X(int32_t, blocks)                                                                 \
    X(int32_t, num_restarts)                                                           \
    X(int32_t, next)                                                                   \
    X(int32_t, place)                                                                  \
    X(uint8_t, flags)                                                                  \
    X(double, last_done_s)                                                             \
    X(double, scheduled_at_s)                                                          \
    X(double, prefill_completed_at_s)                                                  \
    X(double, completed_at_s)                                                          \
    X(uint64_t, execution_ticks)                                                       \
    X(uint64_t, preempted_ticks)

size_t vidur_requests_bytes(int64_t count, bool cpu_overhead)
{
    const size_t n = (size_t)count;
    size_t bytes = 0;
#define X(type, name)                                                                  \
    bytes = vidur_arena_sum(bytes, vidur_arena_bytes(n, sizeof(type)));
    OWNED_ARRAYS(X)
#undef X
    if (cpu_overhead)
        bytes = vidur_arena_sum(bytes, vidur_arena_bytes(n, sizeof(uint64_t)));
    return bytes;
}

static int check_requests(const struct vidur_workload *workload,
                          struct vidur_error *err)
{
    double last = 0;
    for (int64_t i = 0; i < workload->num_requests; i++) {
        const double arrived = workload->arrived_at_s[i];
        if (!(arrived >= last && arrived < INFINITY))
            return vidur_fail(
                err, VIDUR_EINVAL,
                "workload: request %lld arrives at %g s after one at %g s; "
                "arrivals must be finite and not go backwards",
                (long long)i, arrived, last);
        last = arrived;
        if (workload->num_prefill_tokens[i] < 1 || workload->num_decode_tokens[i] < 1)
            return vidur_fail(err, VIDUR_EINVAL,
                              "workload: request %lld has %d prompt and %d output "
                              "tokens; both must be at least 1",
                              (long long)i, workload->num_prefill_tokens[i],
                              workload->num_decode_tokens[i]);
    }
    return 0;
}

static void fill(double *values, int64_t count, double value)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = value;
}

static void reset(struct vidur_request_table *table,
                  const struct vidur_workload *workload)
{
    const size_t n = (size_t)table->count;
    memcpy(table->prefill_tokens, workload->num_prefill_tokens, n * sizeof(int32_t));
    memcpy(table->decode_tokens, workload->num_decode_tokens, n * sizeof(int32_t));
    memset(table->processed_tokens, 0, n * sizeof(int32_t));
    memset(table->blocks, 0, n * sizeof(int32_t));
    memset(table->num_restarts, 0, n * sizeof(int32_t));
    memset(table->flags, 0, n);
    memset(table->execution_ticks, 0, n * sizeof(uint64_t));
    memset(table->preempted_ticks, 0, n * sizeof(uint64_t));
    if (table->model_ticks)
        memset(table->model_ticks, 0, n * sizeof(uint64_t));
    fill(table->last_done_s, table->count, -1);
    fill(table->scheduled_at_s, table->count, NAN);
    fill(table->prefill_completed_at_s, table->count, NAN);
    fill(table->completed_at_s, table->count, NAN);
}

int vidur_requests_init(struct vidur_request_table *table, struct vidur_arena *arena,
                        const struct vidur_workload *workload, bool cpu_overhead,
                        struct vidur_error *err)
{
    const size_t n = (size_t)workload->num_requests;
    if (check_requests(workload, err))
        return -1;
    *table = (struct vidur_request_table){.count = workload->num_requests,
                                          .arrived_at_s = workload->arrived_at_s,
                                          .seen_at_s = workload->arrived_at_s,
                                          .class_of = workload->class_of};
#define X(type, name)                                                                  \
    if (!(table->name = vidur_arena_alloc(arena, n, sizeof(type))))                    \
        return vidur_fail(err, VIDUR_ENOMEM, "the simulator's arena is too small");
    OWNED_ARRAYS(X)
#undef X
    if (cpu_overhead &&
        !(table->model_ticks = vidur_arena_alloc(arena, n, sizeof(uint64_t))))
        return vidur_fail(err, VIDUR_ENOMEM, "the simulator's arena is too small");
    reset(table, workload);
    return 0;
}

void vidur_request_prefetch(const struct vidur_request_table *table, int32_t request)
{
#define X(type, name) __builtin_prefetch(&table->name[request], 1);
    OWNED_ARRAYS(X)
#undef X
    __builtin_prefetch(&table->arrived_at_s[request]);
    __builtin_prefetch(&table->seen_at_s[request]);
}

void vidur_request_restart(struct vidur_replica *replica, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t total =
        table->prefill_tokens[request] + table->decode_tokens[request];
    const bool prefilled = table->flags[request] & VIDUR_REQUEST_PREFILLED;

    /* Tokens decoded so far are recomputed as prompt. */
    if (prefilled || !replica->corrected) {
        table->prefill_tokens[request] = table->processed_tokens[request];
        table->decode_tokens[request] = total - table->processed_tokens[request];
    }
    vidur_release_blocks(replica, request);
    replica->tokens_left += table->processed_tokens[request];
    table->processed_tokens[request] = 0;
    table->flags[request] = 0;
    table->num_restarts[request]++;
    replica->account->num_restarts++;
    vidur_account_waits_again(replica);
    vidur_queue_push_front(replica, request);
}
