#ifndef VIDUR_SLO_H
#define VIDUR_SLO_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * A service level objective: the q-quantile (linear interpolation between order
 * statistics) of a latency must not exceed a limit. Output tokens are those that the
 * request asked for. A request that never gets there counts as infinitely late.
 *
 * A joint objective has a limit for each of several latencies, which a share of the
 * requests must meet at once: its latency is the worst of a request's latencies, each
 * as a share of its limit, and its own limit is 1. A latency that a request does not
 * have (tpot of a single output token) is met.
 *
 * An objective is about all requests of a run, or about those of one class of traffic.
 */

/* X(name): the latencies an SLO can name and summaries report, in seconds; tpot and
 * e2e_normalized in seconds per output token. */
#define VIDUR_LATENCIES(X)                                                             \
    X(ttft)             /* first token - arrival */                                    \
    X(tbt)              /* gap between tokens as a user sees it, or of batches */      \
    X(tpot)             /* (completed - first token) / (output tokens - 1) */          \
    X(e2e)              /* completed - arrival */                                      \
    X(e2e_normalized)   /* e2e / output tokens */                                      \
    X(scheduling_delay) /* first scheduled - arrival */

enum vidur_latency {
#define X(name) VIDUR_LATENCY_##name,
    VIDUR_LATENCIES(X)
#undef X
        VIDUR_NUM_LATENCIES
};

enum vidur_tbt_definition {
    VIDUR_TBT_TOKEN, /* the gap a user sees */
    VIDUR_TBT_BATCH  /* duration of the batch, as the reference's search takes it */
};

/* "token", "batch": for the enum's values in order; ends with NULL. */
extern const char *const vidur_tbt_definition_names[];

/* SLOs that one run is judged by, at most: results have a place for each. Classes of
 * traffic of a run, at most; bytes of a class's name. */
enum { VIDUR_MAX_SLOS = 8, VIDUR_MAX_CLASSES = 8, VIDUR_CLASS_NAME = 24 };

/* The metric of a joint objective. */
enum { VIDUR_SLO_JOINT = VIDUR_NUM_LATENCIES };

struct vidur_slo {
    enum vidur_latency metric;           /* or VIDUR_SLO_JOINT */
    double quantile;                     /* in (0, 1] */
    double limit_s;                      /* of a joint objective 1 */
    double parts_s[VIDUR_NUM_LATENCIES]; /* its limits; 0: not among its latencies */
    int class_number; /* 0: of all requests; k: of those of the workload's k-th class */
    char class_name[VIDUR_CLASS_NAME]; /* of these; "" */
};

/* Those of one run. */
struct vidur_slo_list {
    struct vidur_slo slos[VIDUR_MAX_SLOS];
    int count;
};

static inline bool vidur_slo_is_joint(const struct vidur_slo *slo)
{
    return (int)slo->metric == VIDUR_SLO_JOINT;
}

/* A latency that every request has one value of, at most; gaps between tokens are not:
 * they are counted by batches, not by requests. */
static inline bool vidur_latency_is_of_request(enum vidur_latency latency)
{
    return latency != VIDUR_LATENCY_tbt;
}

/* What is wrong with an objective: a quantile or limit out of range, a joint one
 * without or with gaps among its latencies, gaps of a class. Texts say what would be
 * right. */
int vidur_slo_check(const struct vidur_slo *slo, struct vidur_error *err);

/* A quantile as a percentile: "90", "99.9". */
void vidur_slo_percentile(double quantile, char *out, size_t size);

/* "ttft_p99", "goodput_ttft_tpot_p95", with a class "rag_ttft_p99": how results name
 * an objective. */
void vidur_slo_name(const struct vidur_slo *slo, char *out, size_t size);

/* What the name of a joint objective calls a latency: ttft, ..., norm, delay. */
const char *vidur_slo_part_name(enum vidur_latency latency);

/* "ttft 1 s, tpot 0.04 s": the limits of a joint objective. */
void vidur_slo_describe_parts(const struct vidur_slo *slo, char *out, size_t size);

/* "ttft", "tbt", ... */
const char *vidur_latency_name(enum vidur_latency latency);
/* -1 and the list of known names in *err if there is none. */
int vidur_latency_from_name(const char *name, enum vidur_latency *out,
                            struct vidur_error *err);

#endif
