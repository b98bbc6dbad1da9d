#ifndef VIDUR_SLO_H
#define VIDUR_SLO_H

#include <vidur/error.h>

/*
 * A service level objective: the q-quantile (linear interpolation between order
 * statistics) of a latency must not exceed a limit. Output tokens are those that the
 * request asked for. A request that never gets there counts as infinitely late.
 */

/* X(name, unit): the latencies an SLO can name and summaries report. */
#define VIDUR_LATENCIES(X)                                                             \
    X(ttft, "s")       /* first token - arrival */                                     \
    X(tbt, "s")        /* gap between tokens as a user sees it, or of batches */       \
    X(tpot, "s/token") /* (completed - first token) / (output tokens - 1) */           \
    X(e2e, "s")        /* completed - arrival */                                       \
    X(e2e_normalized, "s/token") /* e2e / output tokens */                             \
    X(scheduling_delay, "s")     /* first scheduled - arrival */

enum vidur_latency {
#define X(name, unit) VIDUR_LATENCY_##name,
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

/* SLOs that one run is judged by, at most: results have a place for each. */
enum { VIDUR_MAX_SLOS = 8 };

struct vidur_slo {
    enum vidur_latency metric;
    double quantile; /* in (0, 1] */
    double limit_s;
};

/* "ttft", "tbt", ... */
const char *vidur_latency_name(enum vidur_latency latency);
const char *vidur_latency_unit(enum vidur_latency latency);
/* -1 and the list of known names in *err if there is none. */
int vidur_latency_from_name(const char *name, enum vidur_latency *out,
                            struct vidur_error *err);

#endif
