#include "test.h"

#include "base/hash.h"
#include "flip.h"

#include <vidur/deployment.h>
#include <vidur/workload.h>

#include <stdlib.h>
#include <string.h>

/* No member is forgotten: a change of any byte is seen, but for prices, the rate, paths
 * and the gaps between members. */

static void digest_deployment(struct vidur_sha256 *sha, const void *deployment)
{
    vidur_deployment_digest(sha, deployment);
}

static void digest_workload(struct vidur_sha256 *sha, const void *workload)
{
    vidur_workload_digest(sha, workload);
}

#define X(type, name, def, min) +sizeof(type)
static const size_t knob_bytes = 0 VIDUR_SCHEDULER_KNOBS(X);
#undef X

static void test_deployment(void)
{
    typedef struct vidur_deployment type;
    static type d;
    const size_t kept[] = {END_OF(type, model.name),
                           END_OF(type, device.name),
                           END_OF(type, node.name),
                           END_OF(type, node.device),
                           END_OF(type, router),
                           END_OF(type, scheduler.type),
                           END_OF(type, device.engine.fitted_on),
                           END_OF(type, device.kernel_system)};
    FILL(d.model.name);
    FILL(d.device.name);
    FILL(d.node.name);
    FILL(d.device.engine.fitted_on);
    FILL(d.device.kernel_system);
    FILL(d.node.device);
    FILL(d.router);
    FILL(d.scheduler.type);
    const struct flip flip = {&d, sizeof d, digest_deployment, kept, 8};
    const size_t own = 4 * sizeof(int) + sizeof(bool) + 2 * sizeof(double) +
                       sizeof(enum vidur_memory_planner) +
                       sizeof(enum vidur_semantics) + sizeof d.router;
    const size_t model = sizeof d.model.name + 7 * sizeof(int) + sizeof d.model.kinds +
                         4 * sizeof(bool) + sizeof d.model.precision;
    const size_t device = sizeof d.device.name + sizeof d.device.kernel_system +
                          sizeof d.device.engine + 17 * sizeof(double);
    const size_t node = sizeof d.node.name + sizeof d.node.device + sizeof(int) +
                        sizeof(bool) + 8 * sizeof(double);
    const size_t seen =
        own + model + device + node + sizeof d.scheduler.type + knob_bytes;
    CU_ASSERT_EQUAL(flip_count_ignored(&flip), sizeof d - seen);
}

/* The ends of the texts of a struct vidur_trace_options. */
#define TRACE_ENDS(type, trace)                                                        \
    END_OF(type, trace.format), END_OF(type, trace.time_unit),                         \
        END_OF(type, trace.columns.arrived_at),                                        \
        END_OF(type, trace.columns.prompt_tokens),                                     \
        END_OF(type, trace.columns.output_tokens),                                     \
        END_OF(type, trace.columns.session), END_OF(type, trace.columns.prefix),       \
        END_OF(type, trace.columns.ended_at), END_OF(type, trace.columns.latency_s),   \
        END_OF(type, trace.columns.latency_ms), END_OF(type, trace.columns.priority)

static void fill_trace(struct vidur_trace_options *trace)
{
    FILL(trace->format);
    FILL(trace->time_unit);
#define X(name) FILL(trace->columns.name);
    VIDUR_TRACE_COLUMNS(X)
#undef X
}

static void test_workload(void)
{
    typedef struct vidur_workload_config type;
    static type w;
    enum { KEPT = 36, NUM_KEPT = KEPT + 3 * sizeof(int) + 13 * VIDUR_MAX_CLASSES };
    const size_t kept[KEPT] = {
        END_OF(type, lengths.type),      END_OF(type, arrivals.type),
        END_OF(type, arrivals.column),   TRACE_ENDS(type, trace),
        TRACE_ENDS(type, lengths.trace), TRACE_ENDS(type, arrivals.trace)};
    fill_trace(&w.trace);
    fill_trace(&w.lengths.trace);
    fill_trace(&w.arrivals.trace);
    w.shared_prefix.num_quantiles = VIDUR_MAX_PROMPT_QUANTILES;
    w.shared_prefix.num_stages = VIDUR_MAX_LOAD_STAGES;
    w.num_classes = VIDUR_MAX_CLASSES;
    FILL(w.lengths.type);
    FILL(w.arrivals.type);
    FILL(w.arrivals.column);
    /* A list's length changes all that is read: its bytes are left alone. */
    size_t left_alone[NUM_KEPT], count = KEPT;
    memcpy(left_alone, kept, sizeof kept);
    for (size_t i = 0; i < sizeof(int); i++) {
        left_alone[count++] = offsetof(type, shared_prefix.num_quantiles) + i;
        left_alone[count++] = offsetof(type, shared_prefix.num_stages) + i;
        left_alone[count++] = offsetof(type, num_classes) + i;
    }
    for (int i = 0; i < VIDUR_MAX_CLASSES; i++) {
        const size_t ends[] = {END_OF(type, classes[i].name),
                               END_OF(type, classes[i].lengths.type),
                               TRACE_ENDS(type, classes[i].lengths.trace)};
        FILL(w.classes[i].name);
        FILL(w.classes[i].lengths.type);
        fill_trace(&w.classes[i].lengths.trace);
        memcpy(left_alone + count, ends, sizeof ends);
        count += sizeof ends / sizeof ends[0];
    }
    const struct flip flip = {&w, sizeof w, digest_workload, left_alone, NUM_KEPT};
    const size_t own = sizeof w.type + sizeof w.seed + sizeof w.seeds +
                       sizeof w.num_requests + sizeof(int) + 4 * sizeof(double);
    const size_t lengths =
        sizeof w.lengths.type + 3 * sizeof(int) + 4 * sizeof(double) + sizeof(bool);
    const size_t classes =
        sizeof w.num_classes +
        VIDUR_MAX_CLASSES *
            (sizeof w.classes[0].name + sizeof(double) + 2 * sizeof(int) + lengths);
    const size_t arrivals = sizeof w.arrivals.type + sizeof w.arrivals.column +
                            sizeof w.arrivals.concurrency + 5 * sizeof(double);
    const size_t prefix =
        6 * sizeof(int) + 2 * sizeof(double) + sizeof w.shared_prefix.arrivals +
        sizeof w.shared_prefix.quantiles + sizeof w.shared_prefix.stages;
    const size_t window = 3 * sizeof(double) + sizeof w.window.peak;
    const size_t trace = sizeof w.trace.format + sizeof w.trace.time_unit +
                         sizeof(double) + sizeof(int) + sizeof w.trace.columns;
    CU_ASSERT_EQUAL(flip_count_ignored(&flip),
                    sizeof w - own - lengths - arrivals - prefix - classes -
                        (3 + VIDUR_MAX_CLASSES) * trace - window);
}

/* Without options for files the digest is what it was before there were some. */
static void test_trace_options(void)
{
    struct vidur_workload_config a;
    struct vidur_sha256 sha;
    char hex[4][VIDUR_SHA256_HEX];
    for (int i = 0; i < 4; i++) {
        memset(&a, 0, sizeof a);
        struct vidur_trace_options *options[] = {&a.trace, &a.lengths.trace,
                                                 &a.arrivals.trace};
        if (i < 3)
            options[i]->block_tokens = 16;
        vidur_sha256_init(&sha);
        vidur_workload_digest(&sha, &a);
        vidur_sha256_hex(&sha, hex[i]);
        for (int earlier = 0; earlier < i; earlier++)
            CU_ASSERT_STRING_NOT_EQUAL(hex[earlier], hex[i]);
    }
}

/* Sessions count where the workload is of them. */
static void test_sessions(void)
{
    typedef struct vidur_workload_config type;
    static type w;
    enum { SPREADS = 6, LISTS = (SPREADS + 3) * sizeof(int), TEXTS = 11 };
    struct vidur_spread *const spreads[SPREADS] = {
        &w.sessions.turns,         &w.sessions.first_tokens, &w.sessions.user_tokens,
        &w.sessions.output_tokens, &w.sessions.think_s,      &w.sessions.sub_agents};
    int *const counts[SPREADS + 3] = {&spreads[0]->num_quantiles,
                                      &spreads[1]->num_quantiles,
                                      &spreads[2]->num_quantiles,
                                      &spreads[3]->num_quantiles,
                                      &spreads[4]->num_quantiles,
                                      &spreads[5]->num_quantiles,
                                      &w.shared_prefix.num_quantiles,
                                      &w.shared_prefix.num_stages,
                                      &w.num_classes};
    static const size_t ends[TEXTS] = {TRACE_ENDS(type, sessions.trace)};
    size_t left_alone[LISTS + TEXTS];
    fill_trace(&w.sessions.trace);
    memcpy(left_alone + LISTS, ends, sizeof ends);
    for (size_t i = 0; i < LISTS; i++)
        left_alone[i] =
            (size_t)((char *)counts[i / sizeof(int)] - (char *)&w) + i % sizeof(int);
    for (size_t i = 0; i < SPREADS; i++)
        spreads[i]->num_quantiles = VIDUR_MAX_SPREAD_QUANTILES;
    struct flip flip = {&w, sizeof w, digest_workload, left_alone, LISTS + TEXTS};
    const size_t before = flip_count_ignored(&flip);
    w.type = VIDUR_WORKLOAD_SESSIONS;
    CU_ASSERT_EQUAL(before - flip_count_ignored(&flip),
                    SPREADS * (4 * sizeof(double) + sizeof w.sessions.turns.quantiles) +
                        3 * sizeof(int) + sizeof(bool) + sizeof(double) +
                        sizeof w.sessions.think_time + sizeof w.trace.format +
                        sizeof w.trace.time_unit + sizeof(double) + sizeof(int) +
                        sizeof w.trace.columns - TEXTS);
}

/* What a list's unused end holds does not matter; how long it is does. */
static void test_lists(void)
{
    struct vidur_workload_config a, b;
    struct vidur_sha256 sha;
    char hex[2][VIDUR_SHA256_HEX];
    memset(&a, 0, sizeof a);
    a.shared_prefix.num_stages = 2;
    b = a;
    b.shared_prefix.stages[2].rate_qps = 1;
    for (int i = 0; i < 2; i++) {
        vidur_sha256_init(&sha);
        vidur_workload_digest(&sha, i ? &b : &a);
        vidur_sha256_hex(&sha, hex[i]);
    }
    CU_ASSERT_STRING_EQUAL(hex[0], hex[1]);
    b.shared_prefix.num_stages = 3;
    vidur_sha256_init(&sha);
    vidur_workload_digest(&sha, &b);
    vidur_sha256_hex(&sha, hex[1]);
    CU_ASSERT_STRING_NOT_EQUAL(hex[0], hex[1]);
}

VIDUR_TEST_MAIN("digests", {"deployment", test_deployment}, {"workload", test_workload},
                {"options of files", test_trace_options}, {"sessions", test_sessions},
                {"lists", test_lists})
