#include "tell/notes.h"
#include "steps/cpu_limit.h"

#include <stdio.h>
#include <string.h>

static int add(struct vidur_note *notes, int count, bool is_warning)
{
    notes[count].is_warning = is_warning;
    return notes[count].text[0] ? count + 1 : count;
}

static int add_log(const struct vidur_workload *workload, struct vidur_note *notes,
                   int count)
{
    char what[192];
    vidur_workload_describe_log(workload, what, sizeof what);
    snprintf(notes[count].text, sizeof notes->text,
             what[0] ? "requests of the log: %s" : "%s", what);
    return add(notes, count,
               workload->characters_per_token > 0 || workload->num_unsorted > 0);
}

/* Nodes that nobody named, each once. */
static int add_default_nodes(const struct vidur_simulation_config *config,
                             struct vidur_note *notes, int count)
{
    for (int i = 0; i < config->fleet.num_pools; i++) {
        const char *node = config->fleet.pools[i].deployment.node.name;
        bool told = !config->default_node[i];
        for (int j = 0; j < i; j++)
            told |= config->default_node[j] &&
                    strcmp(config->fleet.pools[j].deployment.node.name, node) == 0;
        snprintf(notes[count].text, sizeof notes->text,
                 told ? "%.0s" : "network_device: %s (default)", node);
        count = add(notes, count, false);
    }
    return count;
}

/* Limits on CPUs that are reached, each once. */
static int add_cpus(const struct vidur_fleet *fleet, struct vidur_note *notes,
                    int count)
{
    for (int i = 0; i < fleet->num_pools; i++) {
        const struct vidur_deployment *d = &fleet->pools[i].deployment;
        const struct vidur_cut cut = vidur_deployment_cut(d);
        const int spinning = vidur_cpu_spinning(&cut);
        const double run_s = vidur_cpu_limit_of(d).run_s;
        bool told = run_s == 0;
        for (int j = 0; j < i; j++)
            told |= vidur_cpu_limit_of(&fleet->pools[j].deployment).run_s == run_s;
        if (told)
            continue;
        snprintf(notes[count].text, sizeof notes->text,
                 "%g CPU cores for %d processes of a replica that spin: they stand "
                 "still for %.0f of each %.0f ms (cluster.cpu_cores)",
                 d->cpu_cores, spinning, 1e3 * (VIDUR_CPU_PERIOD_S - run_s),
                 1e3 * VIDUR_CPU_PERIOD_S);
        count = add(notes, count, true);
    }
    return count;
}

int vidur_notes_of(const struct vidur_simulation_config *config,
                   const struct vidur_workload *workload,
                   struct vidur_note notes[VIDUR_MAX_NOTES])
{
    const struct vidur_deployment *deployment = &config->deployment;
    char cut[128];
    int count = 0;
    vidur_workload_describe_cut(workload, cut, sizeof cut);
    snprintf(notes[count].text, sizeof notes->text, "%s%s", cut,
             cut[0] ? " and are cut to that (workload.max_tokens)" : "");
    count = add(notes, count, true);
    count = add_log(workload, notes, count);
    vidur_model_describe_context(&deployment->model, "workload.max_tokens",
                                 config->workload.max_tokens, notes[count].text,
                                 sizeof notes->text);
    count = add(notes, count, true);
    snprintf(notes[count].text, sizeof notes->text,
             deployment->model.note[0] ? "model %s: %s" : "%.0s%s",
             deployment->model.name, deployment->model.note);
    count = add(notes, count, false);
    count = add_default_nodes(config, notes, count);
    return add_cpus(&config->fleet, notes, count);
}

void vidur_notes_warn(const struct vidur_simulation_config *config,
                      const struct vidur_workload *workload,
                      const struct vidur_log *log)
{
    struct vidur_note notes[VIDUR_MAX_NOTES];
    const int count = vidur_notes_of(config, workload, notes);
    for (int i = 0; i < count; i++)
        if (notes[i].is_warning)
            vidur_log_warn(log, "%s", notes[i].text);
}
