#include "study/input_notes.h"

#include "base/text.h"
#include "study/study_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where notes go to. */
struct listener {
    const struct vidur_log *log;   /* or NULL */
    struct vidur_results *results; /* or NULL */
    struct vidur_error *err;
    int rc;
};

static void hear(struct listener *l, bool is_warning, const char *text)
{
    if (l->log && is_warning)
        vidur_log_warn(l->log, "%s", text);
    else if (l->log)
        vidur_log_info(l->log, "%s", text);
    if (l->results && l->rc == 0)
        l->rc = vidur_results_add_fact(
            l->results, (struct vidur_fact){"note", "", "text", text}, l->err);
}

static void tell_cut(struct listener *l, const struct study *study)
{
    const struct vidur_search_config *config = study->config;
    char cut[128], text[256];
    for (int i = 0; i < config->num_traces; i++) {
        vidur_workload_describe_cut(evaluator_workload(study->evaluator, i), cut,
                                    sizeof cut);
        snprintf(text, sizeof text, "trace %s: %s and are cut to that (max_seq_len)",
                 config->traces[i].name, cut);
        if (cut[0])
            hear(l, true, text);
    }
}

/* QPS is requests; who thinks in sessions divides. */
static void tell_sessions(struct listener *l, const struct study *study)
{
    const struct vidur_search_config *config = study->config;
    char text[256];
    for (int i = 0; i < config->num_traces; i++) {
        const struct vidur_workload *w = evaluator_workload(study->evaluator, i);
        if (w->sessions.count == 0)
            continue;
        const double mean = w->sessions.requests_per_session;
        if (w->concurrency > 0)
            snprintf(text, sizeof text,
                     "trace %s: users of sessions, of %.4g requests each on average",
                     config->traces[i].name, mean);
        else
            snprintf(
                text, sizeof text,
                "trace %s: sessions of %.4g requests on average; at a QPS of x, %.4g "
                "x sessions start a second",
                config->traces[i].name, mean, 1 / mean);
        hear(l, false, text);
    }
}

static void tell_logs(struct listener *l, const struct study *study)
{
    const struct vidur_search_config *config = study->config;
    char what[320], text[448];
    for (int i = 0; i < config->num_traces; i++) {
        const struct vidur_workload *w = evaluator_workload(study->evaluator, i);
        vidur_workload_describe_log(w, what, sizeof what);
        snprintf(text, sizeof text, "trace %s: requests of the log: %s",
                 config->traces[i].name, what);
        if (what[0])
            hear(l, w->num_unsorted > 0 || w->characters_per_token > 0, text);
    }
}

static bool is_paired(const struct vidur_space *space, int model, int trace)
{
    for (int64_t i = 0; i < space->num_candidates; i++)
        if (space->candidates[i].model == model && space->candidates[i].trace == trace)
            return true;
    return false;
}

static void tell_context(struct listener *l, const struct study *study)
{
    const struct vidur_search_config *config = study->config;
    char beyond[192], text[256];
    for (int m = 0; m < config->num_models; m++)
        for (int t = 0; t < config->num_traces; t++) {
            vidur_model_describe_context(&config->models[m].spec, "max_seq_len",
                                         config->traces[t].workload.max_tokens, beyond,
                                         sizeof beyond);
            if (!beyond[0] || !is_paired(study->space, m, t))
                continue;
            snprintf(text, sizeof text, "trace %s: %s", config->traces[t].name, beyond);
            hear(l, true, text);
        }
}

static bool is_new_default(const struct vidur_search_config *config, int cluster)
{
    const char *name = config->clusters[cluster].node.name;
    for (int i = 0; i < cluster; i++)
        if (config->clusters[i].hardware.default_node &&
            strcmp(config->clusters[i].node.name, name) == 0)
            return false;
    return config->clusters[cluster].hardware.default_node;
}

static void tell_nodes(struct listener *l, const struct vidur_search_config *config)
{
    struct vidur_text text = {0};
    for (int i = 0; i < config->num_clusters; i++)
        if (is_new_default(config, i)) {
            vidur_text_adds(&text, text.length ? ", " : "network_device: ");
            vidur_text_adds(&text, config->clusters[i].node.name);
        }
    if (text.length) {
        vidur_text_adds(&text, " (default)");
        hear(l, false, text.failed ? "network_device: defaults" : text.data);
    }
    free(text.data);
}

/* What is approximate or left out in the models. */
static void tell_models(struct listener *l, const struct vidur_search_config *config)
{
    char text[384];
    for (int m = 0; m < config->num_models; m++) {
        snprintf(text, sizeof text, "model %s: %s", config->models[m].name,
                 config->models[m].spec.note);
        if (config->models[m].spec.note[0])
            hear(l, false, text);
    }
}

/* Whether tables of a device were made from constants of the engine's roofline. */
static bool has_constants(const struct study *study, const char *device)
{
    for (int i = 0; i < study->space->num_tables; i++)
        if (strcmp(study->space->tables[i].device->name, device) == 0 &&
            strstr(study->tables[i].provenance, "constants fitted on"))
            return true;
    return false;
}

/* Devices without kernel timings have a relative's constants. */
static void tell_borrowed(struct listener *l, const struct study *study)
{
    const struct vidur_search_config *config = study->config;
    char text[256];
    for (int i = 0; i < config->num_clusters; i++) {
        const struct vidur_device_sku *device = &config->clusters[i].device;
        bool told = device->kernel_system[0] || !has_constants(study, device->name);
        for (int j = 0; j < i; j++)
            told |= strcmp(config->clusters[j].device.name, device->name) == 0;
        snprintf(
            text, sizeof text,
            "device %s: no kernel timings of its own; the roofline's constants are "
            "borrowed, fitted on %s",
            device->name, device->engine.fitted_on);
        if (!told)
            hear(l, true, text);
    }
}

static int tell(struct listener *l, const struct study *study)
{
    tell_models(l, study->config);
    tell_cut(l, study);
    tell_sessions(l, study);
    tell_logs(l, study);
    tell_context(l, study);
    tell_nodes(l, study->config);
    tell_borrowed(l, study);
    return l->rc;
}

void input_notes_log(const struct study *study, const struct vidur_log *log)
{
    struct listener listener = {.log = log};
    tell(&listener, study);
}

int input_notes_add(const struct study *study, struct vidur_results *results,
                    struct vidur_error *err)
{
    struct listener listener = {.results = results, .err = err};
    return tell(&listener, study);
}
