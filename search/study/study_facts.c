#define _XOPEN_SOURCE 700 /* realpath */

#include "report/launch.h"
#include "results/results_notes.h"
#include "results/slo_columns.h"
#include "space/identity.h"
#include "space/prices.h"
#include "study/input_notes.h"
#include "study/study_parts.h"

#include <vidur/simulation_config.h>

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The search's circumstances, for reports; results.h lists the keys they know. */

struct facts {
    struct vidur_results *results;
    const char *section;
    const char *name;
    struct vidur_error *err;
    int rc;
};

static void add_text(struct facts *f, const char *key, const char *value)
{
    if (f->rc == 0 && value[0])
        f->rc = vidur_results_add_fact(
            f->results, (struct vidur_fact){f->section, f->name, key, value}, f->err);
}

static void add_number(struct facts *f, const char *key, double value)
{
    char text[64];
    snprintf(text, sizeof text, "%.15g", value);
    if (!isnan(value))
        add_text(f, key, text);
}

static void add_slo(struct facts *f, const struct vidur_slo *slo)
{
    char name[96], limits[128];
    vidur_slo_name(slo, name, sizeof name);
    if (vidur_results_fact(f->results, "slo", name, "metric"))
        return; /* another workload's, too */
    f->name = name;
    vidur_slo_describe_parts(slo, limits, sizeof limits);
    add_text(f, "metric",
             vidur_slo_is_joint(slo) ? SLO_METRIC_JOINT
                                     : vidur_latency_name(slo->metric));
    add_number(f, "quantile", slo->quantile);
    add_number(f, "limit_s", slo->limit_s);
    add_text(f, "limits", limits);
    add_text(f, "class", slo->class_name);
    f->name = "";
}

static void add_slos(struct facts *f, const struct vidur_search_config *config)
{
    f->section = "slo";
    for (int t = 0; t < config->num_traces; t++)
        for (int i = 0; i < config->traces[t].slos.count; i++)
            add_slo(f, &config->traces[t].slos.slos[i]);
    f->name = "";
}

static double share_of(const struct vidur_workload_config *mix, int class)
{
    double total = 0;
    for (int i = 0; i < mix->num_classes; i++)
        total += mix->classes[i].share;
    return 100 * mix->classes[class].share / total;
}

/* Of a log's requests. */
static double counted_share(const struct vidur_workload *workload, int class)
{
    int64_t count = 0;
    for (int64_t i = 0; i < workload->num_requests; i++)
        count += workload->class_of[i] == class;
    return 100 * (double)count / (double)workload->num_requests;
}

/* Which workloads have the class, and how much of their requests. */
static void describe_class(const struct study *study, const char *name, char *out,
                           size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int t = 0; t < study->config->num_traces; t++) {
        const struct vidur_search_trace *trace = &study->config->traces[t];
        const struct vidur_workload *w = evaluator_workload(study->evaluator, t);
        for (int i = 0; i < w->num_classes && used < size; i++)
            if (strcmp(w->classes[i].name, name) == 0)
                used += (size_t)snprintf(out + used, size - used, "%s%s %.4g %%",
                                         used ? ", " : "", trace->name,
                                         trace->workload.num_classes > 0
                                             ? share_of(&trace->workload, i)
                                             : counted_share(w, i));
    }
}

static void add_classes(struct facts *f, const struct study *study)
{
    char text[512];
    f->section = "class";
    for (int t = 0; t < study->config->num_traces; t++) {
        const struct vidur_workload *w = evaluator_workload(study->evaluator, t);
        for (int i = 0; i < w->num_classes; i++) {
            f->name = w->classes[i].name;
            if (vidur_results_fact(f->results, "class", f->name, "shares"))
                continue;
            describe_class(study, f->name, text, sizeof text);
            add_text(f, "shares", text);
        }
    }
    f->name = "";
}

/* "chat 70 %, rag 30 % (priority 1)" */
static void describe_mix(const struct vidur_workload_config *mix, char *out,
                         size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < mix->num_classes && used < size; i++) {
        char priority[32] = "";
        if (mix->classes[i].priority != 0)
            snprintf(priority, sizeof priority, " (priority %d)",
                     mix->classes[i].priority);
        used += (size_t)snprintf(out + used, size - used, "%s%s %.4g %%%s",
                                 used ? ", " : "", mix->classes[i].name,
                                 share_of(mix, i), priority);
    }
}

/* The folder of a checkpoint, which has its configuration as config.json; false: the
 * file is another, or its path is longer than a launch line has room for. */
static bool folder_of_checkpoint(const char *file, char *folder, size_t size)
{
    char path[PATH_MAX];
    const char *base = strrchr(file, '/');
    if (strcasecmp(base ? base + 1 : file, "config.json") != 0)
        return false;
    char *end = realpath(file, path) ? strrchr(path, '/') : NULL;
    if (end)
        *end = 0;
    return end && (size_t)snprintf(folder, size, "%s", path[0] ? path : "/") < size;
}

/* What vLLM is to load: a name on a hub, or the folder that a config.json lies in; else
 * a place for it, as a configuration by another name tells neither. */
static void add_identifier(struct facts *f, const struct vidur_search_model *model)
{
    char value[256];
    const char *suffix = strrchr(model->identifier, '.');
    const char *name = model->spec.name;
    if (!suffix || strcasecmp(suffix, ".json") != 0)
        snprintf(value, sizeof value, "%s", name);
    else if (!folder_of_checkpoint(model->identifier, value, sizeof value))
        snprintf(value, sizeof value, "%s%.96s",
                 strchr(name, '/') ? "" : VIDUR_LAUNCH_PLACE, name);
    add_text(f, "identifier", value);
}

/* Of the checkpoint, as rows have it of a candidate. */
static void add_precision(struct facts *f, struct vidur_precision precision)
{
    char text[64];
    add_text(f, "kv_cache_dtype", vidur_dtype_name(precision.kv_cache));
    precision.kv_cache = VIDUR_DTYPE_bf16;
    vidur_precision_describe(&precision, text, sizeof text);
    add_text(f, "precision", text);
}

static void add_models(struct facts *f, const struct vidur_search_config *config)
{
    f->section = "model";
    for (int i = 0; i < config->num_models; i++) {
        f->name = config->models[i].name;
        add_identifier(f, &config->models[i]);
        add_precision(f, config->models[i].spec.precision);
        add_number(f, "num_layers", config->models[i].spec.num_layers);
        add_number(f, "embedding_dim", config->models[i].spec.embedding_dim);
        add_number(f, "max_position_embeddings",
                   config->models[i].spec.max_position_embeddings);
    }
}

static void add_sessions(struct facts *f, const struct vidur_workload_config *config,
                         const struct vidur_workload *w)
{
    char pauses[128];
    vidur_sessions_describe_pauses(&config->sessions, pauses, sizeof pauses);
    add_text(f, "pauses", pauses);
    add_text(f, "lengths", "sessions, each prompt all that was said before");
    add_number(f, "requests_per_session", w->sessions.requests_per_session);
    add_number(f, "shortened_sessions", w->sessions.num_shortened);
}

static void describe_lengths(const struct vidur_workload_config *config, char *out,
                             size_t size)
{
    const struct vidur_lengths_config *l = &config->lengths;
    const int max_tokens = config->max_tokens;
    if (config->type == VIDUR_WORKLOAD_TRACE_REPLAY)
        snprintf(out, size, "recorded");
    else if (config->type == VIDUR_WORKLOAD_SHARED_PREFIX)
        snprintf(out, size,
                 "%d groups of %d prompts with %d shared tokens, %d output tokens",
                 config->shared_prefix.num_groups,
                 config->shared_prefix.num_prompts_per_group,
                 config->shared_prefix.system_prompt_tokens,
                 config->shared_prefix.output_tokens);
    else if (strcmp(l->type, "fixed") == 0)
        snprintf(out, size, "fixed, %d prompt and %d output tokens", l->prefill_tokens,
                 l->decode_tokens);
    else if (strcmp(l->type, "trace") == 0)
        snprintf(out, size, "trace");
    else
        snprintf(out, size, "%s, %d to %d tokens, prompt:output %g", l->type,
                 l->min_tokens, max_tokens, l->prefill_to_decode_ratio);
}

static void describe_arrivals(const struct vidur_workload_config *config, char *out,
                              size_t size)
{
    const struct vidur_arrivals_config *a = &config->arrivals;
    if (config->type == VIDUR_WORKLOAD_SHARED_PREFIX)
        snprintf(out, size, "prompts in a cycle, at a constant rate");
    else if (config->type == VIDUR_WORKLOAD_TRACE_REPLAY ||
             strcmp(a->type, "trace") == 0)
        snprintf(out, size, "recorded, %s scaled to a mean rate",
                 config->type == VIDUR_WORKLOAD_SESSIONS ? "starts of sessions"
                                                         : "times");
    else if (strcmp(a->type, "closed_loop") == 0)
        snprintf(out, size, "closed loop of as many users as are served");
    else if (strcmp(a->type, "gamma") == 0)
        snprintf(out, size, "gamma, coefficient of variation %g", a->cv);
    else if (a->truncate > 0)
        snprintf(out, size, "%s, gaps cut at %g / QPS", a->type, a->truncate);
    else
        snprintf(out, size, "%s", a->type);
}

static const char *file_of(const struct vidur_workload_config *config)
{
    return config->type == VIDUR_WORKLOAD_TRACE_REPLAY ? config->file
                                                       : config->lengths.file;
}

static double mean_of(const int32_t *values, int64_t count)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += values[i];
    return count ? (double)sum / (double)count : NAN;
}

static void add_traces(struct facts *f, const struct study *study)
{
    char text[512];
    f->section = "trace";
    for (int i = 0; i < study->config->num_traces; i++) {
        const struct vidur_search_trace *trace = &study->config->traces[i];
        const struct vidur_workload_config *config = &trace->workload;
        const struct vidur_workload *w = evaluator_workload(study->evaluator, i);
        f->name = trace->name;
        const bool sessions = config->type == VIDUR_WORKLOAD_SESSIONS;
        describe_mix(config, text, sizeof text);
        add_text(f, "mix", text);
        if (sessions) {
            add_text(f, "file", config->sessions.file);
            add_sessions(f, config, w);
        } else if (config->num_classes == 0) {
            add_text(f, "file", file_of(config));
            describe_lengths(config, text, sizeof text);
            add_text(f, "lengths", text);
        }
        describe_arrivals(config, text, sizeof text);
        add_text(f, "arrivals", text);
        add_number(f, "num_requests", (double)w->num_requests);
        add_number(f, "cut_requests", (double)w->num_cut);
        add_number(f, "max_tokens", config->max_tokens);
        add_number(f, "prefill_tokens_mean",
                   mean_of(w->num_prefill_tokens, w->num_requests));
        add_number(f, "decode_tokens_mean",
                   mean_of(w->num_decode_tokens, w->num_requests));
        bool synthetic = strstr(config->lengths.file, "synthetic") != NULL;
        for (int k = 0; k < config->num_classes; k++)
            synthetic |= strstr(config->classes[k].lengths.file, "synthetic") != NULL;
        if (synthetic)
            add_text(f, "note", "synthetic lengths, drawn to published statistics");
    }
}

static void add_price(struct facts *f, const struct vidur_search_cluster *cluster)
{
    const struct vidur_price *price = &cluster->price;
    const bool listed = price->provider[0] != 0;
    add_number(f, "usd_per_gpu_hour", cluster->usd_per_gpu_hour);
    if (listed) {
        add_text(f, "price_provider", price->provider);
        add_text(f, "price_term", price_term_names[price->term]);
    }
    add_text(f, "price_source",
             cluster->own_price ? "the configuration"
             : listed           ? price->source
                                : cluster->device.price_source);
    add_text(f, "price_date",
             cluster->own_price ? ""
             : listed           ? price->date
                                : cluster->device.price_date);
}

/* A device that several clusters rent is told once, with the first one's price. */
static void add_clusters(struct facts *f, const struct vidur_search_config *config)
{
    for (int i = 0; i < config->num_clusters; i++) {
        const struct vidur_search_cluster *cluster = &config->clusters[i];
        f->name = cluster->device.name;
        f->section = "device";
        if (!vidur_results_fact(f->results, "device", f->name, "memory_gib")) {
            add_price(f, cluster);
            add_number(f, "memory_gib", cluster->device.memory_gib);
            add_number(f, "peak_fp16_tflops", cluster->device.peak_fp16_tflops);
            add_number(f, "tdp_w", cluster->device.tdp_w);
        }
        f->name = cluster->node.name;
        f->section = "node";
        if (!vidur_results_fact(f->results, "node", f->name, "device")) {
            add_text(f, "device", cluster->device.name);
            add_number(f, "devices_per_node", cluster->node.devices_per_node);
        }
    }
}

static void add_have(struct facts *f, const struct vidur_search_config *config)
{
    char name[16];
    f->section = "have";
    f->name = name;
    for (int i = 0; i < config->num_have; i++) {
        snprintf(name, sizeof name, "%d", i);
        add_text(f, "device", config->have[i].device);
        add_text(f, "network_device", config->have[i].node);
        add_number(f, "num_gpus", config->have[i].num_gpus);
    }
    f->name = "";
}

/* What the timetables were made from, by their provenance (timetable.h). */
struct origin {
    bool synthetic, other;  /* kinds that occur */
    const char *provenance; /* the first */
    const char *stand_in;   /* the first where something stands in; or NULL */
};

static struct origin find_origin(const struct study *study)
{
    struct origin origin = {.provenance = ""};
    for (int i = 0; i < study->space->num_tables; i++) {
        const char *text = study->tables[i].provenance;
        const bool synthetic = strstr(text, "synthetic roofline") != NULL;
        if (!text[0])
            continue;
        if (!origin.provenance[0])
            origin.provenance = text;
        if (!origin.stand_in && strncmp(text, "profiles ", 9) == 0 && strchr(text, ';'))
            origin.stand_in = text;
        origin.synthetic |= synthetic;
        origin.other |= !synthetic;
    }
    return origin;
}

/* What the timetables that were opened are made from. */
static void add_times(struct facts *f, const struct study *study)
{
    const int count = study->space->num_tables;
    const char **keys = malloc(((size_t)count + 1) * sizeof *keys);
    char times[65];
    if (!keys)
        return;
    for (int i = 0; i < count; i++)
        keys[i] = study->tables[i].key;
    if (identity_times(study->space, keys, times, NULL) == 0)
        add_text(f, "times_sha256", times);
    free(keys);
}

static void add_estimator(struct facts *f, const struct study *study)
{
    static const char *const sources[] = {"auto", "roofline", "profiles", "tables",
                                          "kernels"};
    const struct vidur_estimator_config *e = &study->config->estimator;
    f->section = "estimator";
    f->name = "";
    const struct origin origin = find_origin(study);
    const bool mixed = origin.synthetic && origin.other;
    add_text(f, "source",
             e->source != VIDUR_SOURCE_AUTO ? sources[e->source]
             : mixed                        ? "auto"
             : origin.synthetic             ? "roofline"
                                            : "profiles");
    add_text(f, "description",
             mixed ? "a synthetic roofline for some candidates, other sources for "
                     "others (column estimator); ranks across the two mislead, one "
                     "estimator.source for all avoids it"
                   : origin.provenance);
    if (origin.stand_in) {
        char note[256];
        snprintf(note, sizeof note, "Not all operator times are measured: %s.",
                 origin.stand_in);
        f->section = "note";
        add_text(f, "text", note);
        f->section = "estimator";
    }
    if (e->source == VIDUR_SOURCE_PROFILES || e->source == VIDUR_SOURCE_AUTO)
        for (int i = 0; i < e->num_profiles; i++)
            add_text(f, i ? "more_profiles" : "profiles", e->profiles[i]);
    if (e->source == VIDUR_SOURCE_TABLES)
        add_text(f, "tables", e->tables);
    if (e->source == VIDUR_SOURCE_KERNELS)
        add_text(f, "kernels", e->kernels);
    add_text(f, "regressor", e->regressor);
    add_times(f, study);
}

static void add_search(struct facts *f, const struct study *study)
{
    const struct vidur_search_config *c = study->config;
    const bool reference = c->search.seeds == VIDUR_SEEDS_REFERENCE;
    f->section = "search";
    f->name = "";
    add_text(f, "semantics", vidur_semantics_names[c->semantics]);
    add_text(f, "capacity_definition",
             c->capacity_definition == VIDUR_CAPACITY_SLOS ? "slos"
                                                           : "scheduling_delay");
    add_text(f, "tbt_definition",
             c->tbt_definition == VIDUR_TBT_TOKEN ? "token" : "batch");
    add_text(f, "seeds", reference ? "reference" : "own");
    add_number(f, "granularity", c->search.granularity);
    add_number(f, "max_iterations", c->search.max_iterations);
    add_number(f, "time_limit_s", c->search.time_limit_s);
    add_text(f, "warm_start",
             c->search.warm_start == VIDUR_WARM_BATCH_SIZE ? "batch_size" : "none");
    add_number(f, "confirm", c->search.confirm);
    add_number(f, "candidates_excluded", (double)study->space->num_excluded);
    add_number(f, "candidates_listed_twice", (double)study->space->num_duplicates);
}

int study_add_facts(const struct study *study, struct vidur_results *results,
                    struct vidur_error *err)
{
    struct facts facts = {.results = results, .name = "", .err = err};
    add_slos(&facts, study->config);
    add_models(&facts, study->config);
    add_traces(&facts, study);
    add_classes(&facts, study);
    add_clusters(&facts, study->config);
    add_have(&facts, study->config);
    add_estimator(&facts, study);
    add_search(&facts, study);
    return facts.rc || input_notes_add(study, results, err)
               ? -1
               : results_note_rows(results, err);
}
