#ifndef VIDUR_WORKLOAD_H
#define VIDUR_WORKLOAD_H

#include <vidur/deployment.h>
#include <vidur/error.h>
#include <vidur/sessions.h>
#include <vidur/shared_prefix.h>
#include <vidur/slo.h>
#include <vidur/trace_options.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The requests of a run: when they arrive and how many tokens they bring and ask for.
 * Source: SIMULATOR.md section 2.
 *
 * A workload belongs to the thread that may call vidur_workload_set_qps on it; between
 * such calls any number of threads may read it.
 */

enum vidur_workload_type {
    VIDUR_WORKLOAD_SYNTHETIC,     /* lengths + arrivals */
    VIDUR_WORKLOAD_TRACE_REPLAY,  /* a file with arrival times and lengths */
    VIDUR_WORKLOAD_SHARED_PREFIX, /* ENGINE.md section 4 */
    VIDUR_WORKLOAD_MIX,           /* lengths of several classes + arrivals */
    VIDUR_WORKLOAD_SESSIONS       /* conversations; arrivals are those of sessions */
};

enum vidur_seeds {
    VIDUR_SEEDS_OWN,      /* streams derived from (seed, purpose) */
    VIDUR_SEEDS_REFERENCE /* the reference's random streams */
};

/* Which part of a log is replayed. Seconds since its first request. */
enum vidur_trace_peak {
    VIDUR_TRACE_WHOLE,
    VIDUR_TRACE_PEAK_TOKENS,
    VIDUR_TRACE_PEAK_REQUESTS
};
struct vidur_trace_window {
    double start_s, end_s;      /* requests in [start, end); end 0: to the log's end */
    enum vidur_trace_peak peak; /* of that, the busiest window by this */
    double peak_s;              /* of so many seconds */
};

/* Keys of `lengths:`; `type` names an entry of the length registry. */
struct vidur_lengths_config {
    char type[16]; /* fixed | uniform | zipf | trace */
    int prefill_tokens;
    int decode_tokens;
    int min_tokens;
    double prefill_to_decode_ratio;
    double theta;
    bool scramble;
    char file[1024];
    struct vidur_trace_options trace; /* of the file */
    double prefill_scale_factor;
    double decode_scale_factor;
};

/* Keys of `arrivals:`; `type` names an entry of the arrival registry. */
struct vidur_arrivals_config {
    char type[24];       /* poisson | gamma | static | trace | closed_loop */
    int64_t concurrency; /* clients of a closed loop */
    double qps;
    double cv;
    double truncate; /* cuts Poisson gaps at truncate / qps; 0: no cut; below 0: not
                        given, see vidur_workload_config_complete */
    char file[1024];
    struct vidur_trace_options trace; /* of the file */
    char column[64];                  /* of a CSV file, in seconds; "arrived_at" */
    double start_time_s;              /* rows in [start, end) count */
    double end_time_s;                /* 0: to the file's end */
    double time_scale_factor;
};

/* A class of traffic in a mix: each request is of one, drawn by the shares. */
struct vidur_class_config {
    char name[VIDUR_CLASS_NAME]; /* letters, digits and _ */
    double share;                /* of the requests, in proportion to the others' */
    int priority;   /* lower values first, under scheduling_policy priority */
    int max_tokens; /* cap on its requests; 0: the workload's */
    struct vidur_lengths_config lengths;
};

struct vidur_workload_config {
    enum vidur_workload_type type;
    uint64_t seed;
    enum vidur_seeds seeds;
    int64_t num_requests;   /* 0: by duration, or to the end of a file of arrivals */
    double duration_s;      /* 0: by number */
    int max_tokens;         /* cap on prefill + decode of a request */
    bool cut_long_requests; /* though more than 1 % of them are longer than that */
    bool corrected;         /* see vidur_workload_config_complete */
    struct vidur_lengths_config lengths;
    struct vidur_arrivals_config arrivals;
    struct vidur_shared_prefix_config shared_prefix;
    struct vidur_sessions_config sessions;
    int num_classes; /* of a mix, which has no lengths of its own */
    struct vidur_class_config classes[VIDUR_MAX_CLASSES];
    /* trace_replay */
    char file[1024];
    struct vidur_trace_options trace; /* of the file */
    struct vidur_trace_window window;
    double prefill_scale_factor;
    double decode_scale_factor;
    double time_scale_factor;
};

struct vidur_mt19937;

/* A class of traffic. */
struct vidur_traffic_class {
    char name[VIDUR_CLASS_NAME];
    int priority; /* lower values first, where the scheduler looks at it */
};

/* Requests in order of arrival, as arrays. Read-only for simulators; hot data. */
struct vidur_workload {
    int64_t num_requests;
    int64_t num_cut; /* of them: longer than max_tokens, and cut to it */
    int max_tokens;
    /* Clients of a closed loop, each of which sends the next request when its last one
     * has ended: the first `concurrency` requests arrive at 0, request i at the time of
     * completion number i - concurrency + 1, whatever arrived_at_s says. 0: an open
     * loop, whose requests arrive on their own. */
    int64_t concurrency;
    double start_s; /* what a file calls the time 0 of arrived_at_s; else 0 */
    /* Of the files that the requests come from: requests that failed, and are left out;
     * rows that were out of order, and are sorted; whether lengths are estimated from
     * characters. */
    int64_t num_failed, num_unsorted;
    double
        characters_per_token; /* that lengths are estimated with; 0: they are known */
    const double *arrived_at_s;
    const int32_t *num_prefill_tokens;
    const int32_t *num_decode_tokens;
    const bool *is_cut;
    /* Classes of a mix, or one for each priority of a log that has several. */
    const uint8_t *class_of; /* an index of classes; NULL: the run has none */
    int num_classes;
    struct vidur_traffic_class classes[VIDUR_MAX_CLASSES];
    struct vidur_prompts prompts;    /* .prompt NULL: no two requests share a prefix */
    struct vidur_load_stages stages; /* .count 0: the run has none */
    /* .count 0: there are none. Else arrived_at_s is when a request's session starts:
     * its later turns arrive when the run says; with `concurrency` so many users each
     * start a new session when their last one has ended. */
    struct vidur_sessions sessions;
    uint64_t seed; /* the configuration's, for other draws of the run (random router) */
    /* seeds: reference: the shared stream as it stands behind the last request; the
     * random router goes on with a copy of it. NULL under seeds: own. */
    const struct vidur_mt19937 *reference_rng;
    struct vidur_workload_state *state; /* what set_qps needs; private */
};

struct vidur_yaml_node;
struct vidur_yaml_field;

void vidur_workload_config_defaults(struct vidur_workload_config *config);

/* Reads the section, or its parts, into a struct that holds defaults. Keys that the
 * chosen type does not have, numbers out of range and keys that contradict each other
 * are errors. */
int vidur_workload_config_read(const struct vidur_yaml_node *section,
                               struct vidur_workload_config *config,
                               struct vidur_error *err);
int vidur_lengths_config_read(const struct vidur_yaml_node *section,
                              struct vidur_lengths_config *lengths,
                              struct vidur_error *err);
int vidur_arrivals_config_read(const struct vidur_yaml_node *section,
                               struct vidur_arrivals_config *arrivals,
                               struct vidur_error *err);

/* What a class is before it is read: lengths with their defaults. */
extern const struct vidur_class_config vidur_class_defaults;

/* The index-th format of logs of requests, NULL beyond the last: its name; what the
 * files are, and what they give. */
const char *vidur_trace_format_tell(int index, const char **title, const char **gives);

/* Tokens of the longest request of a file, 0 where it cannot be read. */
int64_t vidur_trace_longest(const char *path, const struct vidur_trace_options *options,
                            struct vidur_error *err);

/* Whether the process has a rate, which can be changed, be it a scale of recorded
 * times; false for an unknown type. */
bool vidur_arrivals_have_rate(const struct vidur_arrivals_config *arrivals);

/* The keys of a replay and of a shared_prefix without stages of load
 * (VIDUR_YAML_PART), for a struct vidur_workload_config: what a search scales. */
const struct vidur_yaml_field *vidur_workload_replay_fields(void);
const struct vidur_yaml_field *vidur_workload_prefix_fields(void);

/* The keys `lengths:` and `arrivals:` (VIDUR_YAML_PART) of what is drawn, for a struct
 * vidur_workload_config: of a synthetic workload, and of a search's trace. */
const struct vidur_yaml_field *vidur_workload_draw_fields(void);
/* "own", "reference": for enum vidur_seeds' values in order; ends with NULL. */
extern const char *const vidur_seeds_names[];

/*
 * Settles what is left to the semantics (SIMULATOR.md section 9). Poisson gaps that
 * nothing is said about are cut at 3 / qps under `vidur` and not cut under `corrected`.
 * Under `corrected` a replay's times count from its first request, and cutting more
 * than 1 % of the requests is an error unless cut_long_requests; under `vidur`, as in a
 * configuration that was not completed, times are the file's and any number is cut.
 */
void vidur_workload_config_complete(struct vidur_workload_config *config,
                                    enum vidur_semantics semantics);

/* Whether the seed matters: a replay has no random numbers, nor have the sessions of a
 * log that start when they did, unless their pauses or groups are drawn. */
bool vidur_workload_is_drawn(const struct vidur_workload_config *config);

/* What vidur_workload_config_read checks beyond single keys, for a configuration put
 * together by a program. Messages name keys from `workload.` on. */
int vidur_workload_config_check(const struct vidur_workload_config *config,
                                struct vidur_error *err);

/* Draws the requests, reading each file once. Released with vidur_workload_destroy.
 * Lengths from a trace start over after its last row (an error under seeds:
 * reference). Requests that are cut where they must not be are an error of
 * `workload.max_tokens: `. */
int vidur_workload_create(struct vidur_workload **out,
                          const struct vidur_workload_config *config,
                          struct vidur_error *err);

/* Requests among the first `count` that are cut to max_tokens. */
int64_t vidur_workload_num_cut(const struct vidur_workload *workload, int64_t count);

/* "9 of 100 requests (9 %) are longer than 4096 tokens": `out` is "" where none is. */
void vidur_workload_describe_cut(const struct vidur_workload *workload, char *out,
                                 size_t size);

/* "3 failed or without output, and left out; ...": what was done to the logs that the
 * requests come from; `out` is "" where nothing was. */
void vidur_workload_describe_log(const struct vidur_workload *workload, char *out,
                                 size_t size);

/* Whether the arrivals have a rate to set: Poisson and gamma, recorded ones (a replay,
 * arrivals of type trace) that are not all at one time, and a shared_prefix without
 * stages. */
bool vidur_workload_has_rate(const struct vidur_workload *workload);

/*
 * Offers the same requests at another rate, in place and without allocating: common
 * random numbers. Poisson and gamma arrivals are those that vidur_workload_create gives
 * for that qps, to the bit. Sessions start at qps / requests_per_session, so that the
 * load is qps requests per second. Recorded arrivals are scaled in time, so that bursts
 * stay bursts: qps is the mean rate from the first to the last request. Fails for
 * arrivals that have no rate (static, a closed loop, stages of load) and for a workload
 * by duration, whose number of requests depends on the rate.
 */
int vidur_workload_set_qps(struct vidur_workload *workload, double qps,
                           struct vidur_error *err);

/* The same for the first `num_requests` alone, as a workload of their own in *out,
 * which shares the arrays: it is valid until the rate is set again. */
int vidur_workload_offer(struct vidur_workload *workload, int64_t num_requests,
                         double qps, struct vidur_workload *out,
                         struct vidur_error *err);

/* The first `num_requests` of a closed loop, sent by `concurrency` clients; shares the
 * arrays. Fails for an open loop and where there are not so many. */
int vidur_workload_offer_clients(const struct vidur_workload *workload,
                                 int64_t num_requests, int64_t concurrency,
                                 struct vidur_workload *out, struct vidur_error *err);

void vidur_workload_destroy(struct vidur_workload *workload);

struct vidur_sha256;

/* Adds what simulations under a workload depend on to a hash, value by value: equal
 * content gives equal hashes on every machine. A new member is added there; a test
 * flips every byte of the struct. The rate (arrivals.qps) and the paths of files, whose
 * contents count, are the caller's. */
void vidur_workload_digest(struct vidur_sha256 *sha,
                           const struct vidur_workload_config *workload);

#endif
