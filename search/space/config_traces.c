#include "space/config_parts.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/section.h"

#include <vidur/simulation_config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `traces:`: what is asked of the candidates. */

/* As the reference's search has it, which knows no `auto`. */
enum { REFERENCE_REQUESTS = 16000 };

/* A number of requests in an int64_t; neither a number nor `auto`. */
enum { REQUESTS_AUTO = 0, REQUESTS_NOT_GIVEN = -1 };

int config_read_requests(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    const char *text = vidur_yaml_scalar(node);
    int64_t count = REQUESTS_AUTO;
    if (!text || strcmp(text, "auto") != 0) {
        if (vidur_yaml_as_int64(node, &count, err) != 0)
            return -1;
        if (count < 1 || count > 1000000000)
            return vidur_yaml_fail(node, err,
                                   "%lld; give 1 to 1e9, or auto for as many as a "
                                   "steady state needs",
                                   (long long)count);
    }
    *(int64_t *)out = count;
    return 0;
}

#define KEY(key, kind, member)                                                         \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_trace, member)

VIDUR_YAML_READER(read_sessions, vidur_sessions_config_read)

/* A log with arrivals, whose times a load scales; and prompts in a cycle at a rate. */
static int read_replay(const struct vidur_yaml_node *node, void *out,
                       struct vidur_error *err)
{
    struct vidur_workload_config *workload = out;
    workload->type = VIDUR_WORKLOAD_TRACE_REPLAY;
    return vidur_yaml_read(node, vidur_workload_replay_fields(), workload, err);
}

static int read_prefix(const struct vidur_yaml_node *node, void *out,
                       struct vidur_error *err)
{
    struct vidur_workload_config *workload = out;
    workload->type = VIDUR_WORKLOAD_SHARED_PREFIX;
    return vidur_yaml_read(node, vidur_workload_prefix_fields(), workload, err);
}

static const struct vidur_yaml_field trace_fields[] = {
    {KEY("name", STRING, name), .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED},
    {KEY("trace_file", PATH, workload.lengths.file)},
    {KEY("sessions", CUSTOM, workload.sessions), .read = read_sessions},
    {VIDUR_YAML_KEYS(struct vidur_search_trace, workload, vidur_workload_draw_fields)},
    {.key = "replay",
     .type = VIDUR_YAML_CUSTOM,
     VIDUR_YAML_AT(struct vidur_search_trace, workload),
     .read = read_replay},
    {.key = "shared_prefix",
     .type = VIDUR_YAML_CUSTOM,
     VIDUR_YAML_AT(struct vidur_search_trace, workload),
     .read = read_prefix},
    {KEY("max_seq_len", INT, workload.max_tokens), .flags = VIDUR_YAML_MIN, .min = 2},
    {KEY("cut_long_requests", BOOL, workload.cut_long_requests)},
    {KEY("num_requests", CUSTOM, workload.num_requests), .read = config_read_requests},
    {.key = "mix", .type = VIDUR_YAML_ELSEWHERE}, /* once all traces are read */
    {KEY("start_qps", DOUBLE, start_qps), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0}};

/* Where the requests come from: one of these keys, arrivals beside lengths alone. */
static int check_source(const struct vidur_yaml_node *node, struct vidur_error *err)
{
    static const char *const sources[] = {"trace_file",    "lengths", "replay",
                                          "shared_prefix", "mix",     "sessions"};
    const char *given = NULL;
    for (int i = 0; i < 6; i++) {
        if (!vidur_yaml_get(node, sources[i]))
            continue;
        if (given)
            return vidur_yaml_fail_key(node, sources[i], err,
                                       "given beside %s; give one of them", given);
        given = sources[i];
    }
    if (!given)
        return vidur_yaml_fail_key(node, "trace_file", err,
                                   "missing; give it, or lengths or sessions as "
                                   "vidur-simulate takes them, replay, shared_prefix "
                                   "or mix");
    if (vidur_yaml_get(node, "arrivals") &&
        (given == sources[2] || given == sources[3]))
        return vidur_yaml_fail_key(node, "arrivals", err,
                                   "given beside %s, which has its own; leave them out",
                                   given);
    return 0;
}

#define TRACE_EXAMPLE "{name: chat, trace_file: chat.csv}"

static int read_trace(const struct vidur_yaml_node *node,
                      struct vidur_search_trace *trace, struct vidur_error *err)
{
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_MAPPING)
        return vidur_yaml_fail_shape(node, "a mapping", TRACE_EXAMPLE, err);
    vidur_workload_config_defaults(&trace->workload);
    trace->workload.num_requests = REQUESTS_NOT_GIVEN;
    trace->workload.arrivals.qps = 1; /* until a probe says */
    trace->start_qps = 1;
    if (vidur_yaml_read(node, trace_fields, trace, err) != 0)
        return -1;
    if (vidur_yaml_get(node, "mix"))
        trace->workload.type = VIDUR_WORKLOAD_MIX;
    if (vidur_yaml_get(node, "sessions"))
        trace->workload.type = VIDUR_WORKLOAD_SESSIONS;
    return check_source(node, err);
}

int config_read_traces(const struct vidur_yaml_node *node,
                       struct vidur_search_config *config, struct vidur_error *err)
{
    static const char *const example = "[" TRACE_EXAMPLE "]";
    const int count = vidur_yaml_count(node);
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_fail_shape(node, "a list", example, err);
    if (count == 0)
        return vidur_yaml_fail(node, err, "an empty list; give one, like %s", example);
    config->traces = calloc((size_t)count, sizeof *config->traces);
    if (!config->traces)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for traces");
    config->num_traces = count;
    for (int i = 0; i < count; i++)
        if (read_trace(vidur_yaml_item(node, i), &config->traces[i], err) != 0)
            return -1;
    return 0;
}

/* ---- Once all sections are read ---- */

static int hash_file(const char *path, uint64_t *hash, struct vidur_error *err)
{
    size_t size;
    if (!path[0])
        return 0;
    char *bytes = vidur_file_read(path, 0, &size, err);
    if (!bytes)
        return -1;
    *hash = vidur_fnv1a(*hash, bytes, size);
    free(bytes);
    return 0;
}

/* Where the number of requests is left to the search, the most that it may need. */
static void settle_requests(const struct vidur_search_config *config,
                            struct vidur_search_trace *trace)
{
    int64_t *count = &trace->workload.num_requests;
    const bool reference =
        config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY ||
        config->semantics == VIDUR_SEMANTICS_VIDUR ||
        config->search.seeds == VIDUR_SEEDS_REFERENCE;
    const bool recorded = trace->workload.type == VIDUR_WORKLOAD_TRACE_REPLAY ||
                          strcmp(trace->workload.arrivals.type, "trace") == 0;
    if (*count == REQUESTS_NOT_GIVEN)
        *count = recorded ? REQUESTS_AUTO : config->search.num_requests;
    if (*count != REQUESTS_AUTO || recorded) /* as many as the log has */
        return;
    trace->auto_requests = !reference;
    *count = reference ? REFERENCE_REQUESTS : config->search.max_requests;
}

/* A load to search over: a rate, or the users of a closed loop. */
static int check_arrivals(const struct vidur_yaml_node *node,
                          const struct vidur_search_config *config,
                          const struct vidur_arrivals_config *arrivals,
                          struct vidur_error *err)
{
    const bool closed = strcmp(arrivals->type, "closed_loop") == 0;
    if (closed && config->target.qps > 0)
        return vidur_yaml_fail_key(node, "arrivals", err,
                                   "a closed loop is searched for its users; it has no "
                                   "rate that target.qps could ask for");
    if (closed && config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY)
        return vidur_yaml_fail_key(
            node, "arrivals", err,
            "capacity_definition: scheduling_delay searches over "
            "a rate; a closed loop takes slos");
    if (closed || vidur_arrivals_have_rate(arrivals))
        return 0;
    return vidur_yaml_fail_key(node, "arrivals", err,
                               "%s arrivals have no rate to search over; use poisson, "
                               "gamma, trace or closed_loop",
                               arrivals->type);
}

/* Errors of a workload name its `classes`, which are the trace's `mix`. */
static int locate(const struct vidur_yaml_node *node, struct vidur_error *err)
{
    static const char own[] = "workload.classes.";
    struct vidur_error inner;
    if (err && strncmp(err->text, own, sizeof own - 1) == 0) {
        inner = *err;
        vidur_fail(err, inner.code, "workload.mix.%s", inner.text + sizeof own - 1);
    }
    return vidur_section_locate(node, "workload.", err);
}

/* Files of a trace, or of its classes. */
static int hash_files(const struct vidur_yaml_node *node,
                      struct vidur_search_trace *trace, struct vidur_error *err)
{
    const struct vidur_workload_config *workload = &trace->workload;
    const struct vidur_yaml_node *mix = vidur_yaml_get(node, "mix");
    trace->content = VIDUR_FNV1A_INIT;
    if (!mix && hash_file(workload->lengths.file, &trace->content, err) != 0)
        return vidur_section_fail(
            node, vidur_yaml_get(node, "trace_file") ? "trace_file" : "lengths", err);
    if (hash_file(workload->file, &trace->content, err) != 0)
        return vidur_section_fail(node, "replay", err);
    if (hash_file(workload->arrivals.file, &trace->content, err) != 0)
        return vidur_section_fail(node, "arrivals", err);
    if (hash_file(workload->sessions.file, &trace->content, err) != 0)
        return vidur_section_fail(node, "sessions", err);
    for (int i = 0; i < workload->num_classes; i++) {
        const struct vidur_yaml_node *item = vidur_yaml_item(mix, i);
        if (hash_file(workload->classes[i].lengths.file, &trace->content, err) != 0)
            return vidur_section_fail(item,
                                      vidur_yaml_get(item, "trace_file") ? "trace_file"
                                      : vidur_yaml_get(item, "lengths")  ? "lengths"
                                                                         : "trace",
                                      err);
    }
    return 0;
}

static int complete(const struct vidur_yaml_node *node,
                    const struct vidur_search_config *config,
                    struct vidur_search_trace *trace, struct vidur_error *err)
{
    struct vidur_workload_config *workload = &trace->workload;
    settle_requests(config, trace);
    if (workload->type == VIDUR_WORKLOAD_MIX &&
        config_complete_mix(node, config, trace, err) != 0)
        return -1;
    workload->seed = config->search.seed;
    workload->seeds = config->search.seeds;
    if (config->search.poisson_truncate >= 0 && workload->arrivals.truncate < 0)
        workload->arrivals.truncate = config->search.poisson_truncate;
    vidur_workload_config_complete(workload, config->semantics);
    if (workload->type == VIDUR_WORKLOAD_SYNTHETIC &&
        check_arrivals(node, config, &workload->arrivals, err) != 0)
        return -1;
    if (strcmp(workload->arrivals.type, "closed_loop") == 0)
        workload->arrivals.concurrency = 1; /* until a probe says */
    if (vidur_workload_config_check(workload, err) != 0)
        return locate(node, err);
    return hash_files(node, trace, err);
}

int config_fail_workload(const struct vidur_search_config *config, int trace,
                         struct vidur_error *err)
{
    static const char limit[] = "workload.max_tokens: ";
    const struct vidur_yaml_node *traces =
        vidur_yaml_get(vidur_yaml_root(config->doc), "traces");
    const struct vidur_yaml_node *item = vidur_yaml_item(traces, trace);
    if (!err || strncmp(err->text, limit, sizeof limit - 1) != 0)
        return locate(item, err);
    memmove(err->text, err->text + sizeof limit - 1,
            strlen(err->text + sizeof limit - 1) + 1);
    return vidur_section_fail(item, "max_seq_len", err);
}

int config_complete_traces(const struct vidur_yaml_node *node,
                           struct vidur_search_config *config, struct vidur_error *err)
{
    for (int i = 0; i < config->num_traces; i++) {
        const struct vidur_yaml_node *item = vidur_yaml_item(node, i);
        if (complete(item, config, &config->traces[i], err) != 0)
            return -1;
        for (int earlier = 0; earlier < i; earlier++)
            if (strcmp(config->traces[earlier].name, config->traces[i].name) == 0)
                return vidur_yaml_fail_key(item, "name", err,
                                           "'%s' is taken by an earlier trace",
                                           config->traces[i].name);
    }
    return 0;
}
