#include "space/config_parts.h"

#include "base/section.h"
#include "results/slo_columns.h"

#include <vidur/simulation_config.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* `mix:` of a trace: classes of traffic, and the SLOs of traces and classes. */

/* Of an SLO's name in results, beside which they say what a joint one misses. */
enum { LONGEST_NAME = 39 };

/* What is read of a class: its lengths are another trace's, a file's or given. */
struct mix_class {
    struct vidur_class_config class;
    char trace[48];
};

VIDUR_YAML_READER(read_lengths, vidur_lengths_config_read)

#define KEY(key, kind, member) VIDUR_YAML_KEY(key, kind, struct mix_class, member)

static const struct vidur_yaml_field class_fields[] = {
    {KEY("trace", STRING, trace), .flags = VIDUR_YAML_FILLED},
    {KEY("trace_file", PATH, class.lengths.file)},
    {KEY("lengths", CUSTOM, class.lengths), .read = read_lengths},
    {KEY("name", STRING, class.name), .flags = VIDUR_YAML_FILLED},
    {KEY("share", DOUBLE, class.share),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE},
    {KEY("priority", INT, class.priority)},
    {KEY("max_seq_len", INT, class.max_tokens), .flags = VIDUR_YAML_MIN, .min = 2},
    {.key = "slos", .type = VIDUR_YAML_ELSEWHERE},
    {0}};

static int check_source(const struct vidur_yaml_node *node, struct vidur_error *err)
{
    static const char *const keys[] = {"trace", "trace_file", "lengths"};
    const char *given = NULL;
    for (int i = 0; i < 3; i++) {
        if (!vidur_yaml_get(node, keys[i]))
            continue;
        if (given)
            return vidur_yaml_fail_key(node, keys[i], err,
                                       "given beside %s; give one of them", given);
        given = keys[i];
    }
    return given ? 0
                 : vidur_yaml_fail_key(node, "trace", err,
                                       "missing; name another trace, or give "
                                       "trace_file or lengths");
}

/* A trace's name as columns can have it. */
static int name_after(const struct vidur_yaml_node *node, const char *trace,
                      struct vidur_class_config *class, struct vidur_error *err)
{
    if (strlen(trace) >= sizeof class->name)
        return vidur_yaml_fail_key(node, "name", err,
                                   "missing; the trace's name is too long for that of "
                                   "a class, give one of up to %d bytes",
                                   (int)sizeof class->name - 1);
    strcpy(class->name, trace);
    for (char *at = class->name; *at; at++)
        if (!isalnum((unsigned char)*at))
            *at = '_';
    return 0;
}

static int take_trace(const struct vidur_yaml_node *node,
                      const struct vidur_search_config *config, struct mix_class *read,
                      struct vidur_error *err)
{
    const struct vidur_search_trace *found = NULL;
    for (int i = 0; i < config->num_traces && !found; i++)
        if (strcmp(config->traces[i].name, read->trace) == 0)
            found = &config->traces[i];
    if (!found || found->workload.type != VIDUR_WORKLOAD_SYNTHETIC)
        return vidur_yaml_fail_key(node, "trace", err,
                                   found ? "'%s' is a mix itself; name its traces"
                                         : "there is no trace '%s' in the list",
                                   read->trace);
    read->class.lengths = found->workload.lengths;
    if (read->class.max_tokens == 0)
        read->class.max_tokens = found->workload.max_tokens;
    return read->class.name[0] ? 0 : name_after(node, read->trace, &read->class, err);
}

static int read_class(const struct vidur_yaml_node *node,
                      const struct vidur_search_config *config,
                      struct vidur_class_config *out, struct vidur_error *err)
{
    struct mix_class read = {.class = vidur_class_defaults};
    if (vidur_yaml_read(node, class_fields, &read, err) != 0 ||
        check_source(node, err) != 0)
        return -1;
    if (read.trace[0] && take_trace(node, config, &read, err) != 0)
        return -1;
    if (!read.class.name[0])
        return vidur_yaml_fail_missing(node, "name", err);
    *out = read.class;
    return 0;
}

/* The mix's own max_seq_len caps every class; without it, it is the greatest. */
static void settle_max_tokens(const struct vidur_yaml_node *trace_node,
                              struct vidur_workload_config *workload)
{
    const bool given = vidur_yaml_get(trace_node, "max_seq_len") != NULL;
    int longest = 0;
    for (int i = 0; i < workload->num_classes; i++) {
        int *own = &workload->classes[i].max_tokens;
        if (*own == 0 || (given && *own > workload->max_tokens))
            *own = workload->max_tokens;
        longest = *own > longest ? *own : longest;
    }
    if (!given)
        workload->max_tokens = longest;
}

int config_complete_mix(const struct vidur_yaml_node *trace_node,
                        const struct vidur_search_config *config,
                        struct vidur_search_trace *trace, struct vidur_error *err)
{
    const struct vidur_yaml_node *mix = vidur_yaml_get(trace_node, "mix");
    const int count = vidur_yaml_count(mix);
    if (vidur_yaml_kind(mix) != VIDUR_YAML_IS_SEQUENCE || count < 1 ||
        count > VIDUR_MAX_CLASSES)
        return vidur_yaml_fail(mix, err,
                               "a list of 1 to %d classes is needed, like [{trace: "
                               "chat, share: 0.7}, {trace: rag, share: 0.3}]",
                               VIDUR_MAX_CLASSES);
    trace->workload.num_classes = count;
    for (int i = 0; i < count; i++)
        if (read_class(vidur_yaml_item(mix, i), config, &trace->workload.classes[i],
                       err) != 0)
            return -1;
    settle_max_tokens(trace_node, &trace->workload);
    return 0;
}

/* ---- SLOs ---- */

bool config_has_class_slos(const struct vidur_yaml_node *traces)
{
    for (int i = 0; i < vidur_yaml_count(traces); i++) {
        const struct vidur_yaml_node *mix =
            vidur_yaml_get(vidur_yaml_item(traces, i), "mix");
        for (int k = 0; k < vidur_yaml_count(mix); k++)
            if (vidur_yaml_get(vidur_yaml_item(mix, k), "slos"))
                return true;
    }
    return false;
}

static int check_own(const struct vidur_yaml_node *root,
                     const struct vidur_search_config *config, struct vidur_error *err)
{
    char name[96], other[96];
    if (config->num_slos > VIDUR_MAX_SLOS)
        return vidur_yaml_fail_key(
            root, "slos", err, "there are %d; a search takes up to %d, leave some out",
            config->num_slos, VIDUR_MAX_SLOS);
    for (int i = 1; i < config->num_slos; i++) {
        vidur_slo_name(&config->slos[i], name, sizeof name);
        for (int j = 0; j < i; j++) {
            vidur_slo_name(&config->slos[j], other, sizeof other);
            if (strcmp(name, other) == 0)
                return vidur_yaml_fail_key(root, "slos", err,
                                           "two are on %s; keep the one with the lower "
                                           "limit_s",
                                           name);
        }
    }
    return 0;
}

/* All SLOs and classes of a search, each once: results have a place for each. */
struct known {
    struct vidur_slo slos[VIDUR_MAX_SLOS];
    int count;
    struct class_columns classes;
};

static bool same_limits(const struct vidur_slo *a, const struct vidur_slo *b)
{
    bool same = a->limit_s == b->limit_s;
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++)
        same = same && a->parts_s[i] == b->parts_s[i];
    return same;
}

static int add_known(const struct vidur_yaml_node *place, const struct vidur_slo *slo,
                     struct known *known, struct vidur_error *err)
{
    char name[96], other[96];
    vidur_slo_name(slo, name, sizeof name);
    if (slo->class_name[0] && strlen(name) > LONGEST_NAME)
        return vidur_yaml_fail(place, err,
                               "%s is longer than the %d bytes that results have for "
                               "it; give the class a shorter name",
                               name, LONGEST_NAME);
    for (int i = 0; i < known->count; i++) {
        const struct vidur_slo *like = &known->slos[i];
        vidur_slo_name(like, other, sizeof other);
        if (strcmp(name, other) != 0)
            continue;
        return same_limits(like, slo)
                   ? 0
                   : vidur_yaml_fail(place, err,
                                     "another trace has %s with another limit; give "
                                     "the class another name here",
                                     name);
    }
    if (known->count == VIDUR_MAX_SLOS)
        return vidur_yaml_fail(place, err,
                               "a search takes up to %d SLOs, those of classes among "
                               "them; leave some out",
                               VIDUR_MAX_SLOS);
    known->slos[known->count++] = *slo;
    return 0;
}

static int complete_trace(const struct vidur_yaml_node *node,
                          const struct vidur_search_config *config,
                          struct vidur_search_trace *trace, struct known *known,
                          struct vidur_error *err)
{
    const struct vidur_yaml_node *mix = vidur_yaml_get(node, "mix");
    for (int i = 0; i < config->num_slos; i++)
        trace->slos.slos[trace->slos.count++] = config->slos[i];
    if (vidur_class_slos_read(mix, &trace->workload, &trace->slos, err) != 0)
        return -1;
    if (trace->slos.count == 0)
        return vidur_yaml_fail_key(node, "name", err,
                                   "'%s' has no SLO: where classes have their own, the "
                                   "usual ones are not meant; give slos beside traces",
                                   trace->name);
    for (int i = 0; i < trace->slos.count; i++)
        if (add_known(mix ? mix : node, &trace->slos.slos[i], known, err) != 0)
            return -1;
    for (int i = 0; i < trace->workload.num_classes; i++)
        if (!class_columns_add(&known->classes, trace->workload.classes[i].name))
            return vidur_yaml_fail(mix, err,
                                   "a search takes classes of up to %d names; give "
                                   "those that are alike the same name",
                                   VIDUR_MAX_CLASSES);
    return 0;
}

int config_complete_slos(const struct vidur_yaml_node *root,
                         struct vidur_search_config *config, struct vidur_error *err)
{
    struct known known = {.count = 0};
    const struct vidur_yaml_node *traces = vidur_yaml_get(root, "traces");
    if (check_own(root, config, err) != 0)
        return -1;
    for (int i = 0; i < config->num_traces; i++)
        if (complete_trace(vidur_yaml_item(traces, i), config, &config->traces[i],
                           &known, err) != 0)
            return -1;
    return 0;
}
