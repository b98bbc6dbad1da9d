#include "compare/comparison.h"

#include "steps/step_model.h"

#include <vidur/scheduler.h>
#include <vidur/simulator.h>

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* ---- Opening ---- */

/* Whether `id` is one of the comma-separated words. */
static bool is_listed(const char *list, const char *id)
{
    const size_t n = strlen(id);
    for (const char *word = list; word; word = strchr(word, ',')) {
        word += *word == ',';
        if (strncmp(word, id, n) == 0 && (word[n] == ',' || word[n] == '\0'))
            return true;
    }
    return false;
}

/* Every word of the list names an experiment. */
static int check_list(const struct vidur_comparison *c, struct vidur_error *err)
{
    const char *list = c->options->experiments;
    for (const char *word = list; word && *word;) {
        const size_t n = strcspn(word, ",");
        bool known = false;
        for (int i = 0; i < c->num_experiments; i++)
            known = known || (strlen(c->experiments[i].id) == n &&
                              strncmp(c->experiments[i].id, word, n) == 0);
        if (!known)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: no experiment has the id '%.*s'; the first is '%s'",
                              c->options->measured_path, (int)n, word,
                              c->experiments[0].id);
        word += n + (word[n] == ',');
    }
    if (list && !*list)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--experiments: empty; give ids, with commas between them");
    return 0;
}

static void warn_of_cuts(const struct vidur_comparison *c,
                         const struct vidur_trial *trial)
{
    char cut[128];
    vidur_workload_describe_cut(trial->drawn, cut, sizeof cut);
    if (cut[0])
        vidur_log_warn(c->options->log, "%s: %s and are cut to that (max_model_len)",
                       trial->experiment->id, cut);
}

static int prepare_trials(struct vidur_comparison *c, struct vidur_error *err)
{
    const char *list = c->options->experiments;
    struct vidur_trial_specs specs = {0};
    int status = 0;
    for (int i = 0; status == 0 && i < c->num_experiments; i++) {
        struct vidur_trial *trial = &c->trials[c->num_trials];
        trial->experiment = &c->experiments[i];
        if (list && !is_listed(list, trial->experiment->id))
            continue;
        c->num_trials++;
        c->num_stages += trial->experiment->num_stages;
        status = vidur_trial_prepare(trial, &specs, &c->config, err);
        if (status == 0 && !trial->left_out[0])
            warn_of_cuts(c, trial);
    }
    vidur_trial_specs_release(&specs);
    return status;
}

/* Something is left to be simulated. */
static int check_trials(const struct vidur_comparison *c, struct vidur_error *err)
{
    for (int i = 0; i < c->num_trials; i++)
        if (!c->trials[i].left_out[0])
            return 0;
    return vidur_fail(err, VIDUR_EINVAL, "%s: %s: %s%s", c->options->measured_path,
                      c->trials[0].experiment->id, c->trials[0].left_out,
                      c->num_trials > 1 ? "; nor can the others be simulated" : "");
}

/* Measurements beside nothing, until a run fills in what it predicts. */
static void lay_out_stages(struct vidur_comparison *c)
{
    struct vidur_compared_stage *out = c->stages;
    for (int t = 0; t < c->num_trials; t++) {
        const struct vidur_trial *trial = &c->trials[t];
        for (int i = 0; i < trial->experiment->num_stages; i++, out++) {
            const struct vidur_measured_stage *m = &trial->experiment->stages[i];
            *out = (struct vidur_compared_stage){
                .experiment = trial->experiment,
                .server = &trial->server,
                .stage = i,
                .left_out = trial->left_out[0] ? trial->left_out : NULL};
#define X(name, text, predicted, measured)                                             \
    out->predicted_s[VIDUR_COMPARED_##name] = NAN;                                     \
    out->measured_s[VIDUR_COMPARED_##name] = measured;
            VIDUR_COMPARED(X)
#undef X
        }
    }
}

/* The first scheduler that takes whole steps of an engine. */
static const char *engine_name(void)
{
    const struct vidur_scheduler_ops *ops;
    int i = 0;
    while ((ops = vidur_scheduler_at(i)) && !ops->step_model->whole_steps)
        i++;
    return ops ? ops->name : "none that is known";
}

static int read_input(struct vidur_comparison *c, struct vidur_error *err)
{
    const struct vidur_comparison_options *options = c->options;
    if (vidur_simulation_config_load(&c->config, options->config_path, options->sets,
                                     options->num_sets, err))
        return -1;
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(c->config.deployment.scheduler.type);
    if (c->config.fleet.num_pools > 1)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s: pools: experiments say what pools they had; leave the key "
            "out of a configuration to compare with",
            options->config_path);
    if (!ops->step_model->whole_steps)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: scheduler.type: %s; measurements of engines are "
                          "compared with %s",
                          options->config_path, ops->name, engine_name());
    return vidur_measured_read(options->measured_path, &c->experiments,
                               &c->num_experiments, err) ||
                   check_list(c, err)
               ? -1
               : 0;
}

static int open_all(struct vidur_comparison *c, struct vidur_error *err)
{
    if (read_input(c, err))
        return -1;
    c->trials = calloc((size_t)c->num_experiments, sizeof *c->trials);
    if (!c->trials)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    if (prepare_trials(c, err) || check_trials(c, err))
        return -1;
    c->stages = calloc((size_t)c->num_stages, sizeof *c->stages);
    if (!c->stages)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    lay_out_stages(c);
    return vidur_trial_tables_plan(&c->tables, c->trials, c->num_trials, err);
}

int vidur_comparison_open(struct vidur_comparison **out,
                          const struct vidur_comparison_options *options,
                          struct vidur_error *err)
{
    struct vidur_comparison *c = calloc(1, sizeof *c);
    if (!c)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    c->options = options;
    if (open_all(c, err)) {
        vidur_comparison_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void vidur_comparison_close(struct vidur_comparison *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->num_trials; i++)
        vidur_trial_release(&c->trials[i]);
    vidur_trial_tables_release(&c->tables);
    free(c->trials);
    free(c->stages);
    vidur_measured_free(c->experiments, c->num_experiments);
    vidur_simulation_config_release(&c->config);
    free(c);
}

struct vidur_engine_constants *vidur_comparison_constants(struct vidur_comparison *c)
{
    return &c->config.estimator.engine;
}

void vidur_comparison_resolved(const struct vidur_comparison *c,
                               struct vidur_engine_constants *constants)
{
    *constants = c->resolved;
}

/* ---- Running ---- */

static int keep_stages(struct vidur_compared_stage *out,
                       const struct vidur_trial *trial,
                       const struct vidur_request_records *records,
                       struct vidur_error *err)
{
    for (int i = 0; i < trial->stages.count; i++) {
        struct vidur_stage_metrics metrics, *s = &metrics;
        if (vidur_stage_metrics_of(s, records, &trial->stages, i, err))
            return -1;
        out[i].num_requests = s->num_requests;
        out[i].num_completed = s->e2e.count;
#define X(name, text, predicted, measured)                                             \
    out[i].predicted_s[VIDUR_COMPARED_##name] = predicted;
        VIDUR_COMPARED(X)
#undef X
    }
    return 0;
}

static int simulate(const struct vidur_comparison *c, const struct vidur_trial *trial,
                    struct vidur_compared_stage *out, struct vidur_error *err)
{
    const struct vidur_run_options run = {.cancel = c->options->cancel};
    struct vidur_simulator *simulator = NULL;
    struct vidur_metrics metrics;
    const struct vidur_timetable *tables[VIDUR_MAX_POOLS];
    for (int i = 0; i < trial->fleet.num_pools; i++)
        tables[i] = vidur_trial_tables_at(&c->tables, trial->tables[i]);
    int status = vidur_simulator_create_fleet(&simulator, &trial->fleet, tables,
                                              trial->max_tokens, err);
    if (status == 0)
        status = vidur_simulator_run(simulator, &trial->workload, &run, &metrics, err);
    if (status == 0)
        status = keep_stages(out, trial, vidur_simulator_requests(simulator), err);
    vidur_simulator_destroy(simulator);
    return status;
}

/* What threads share while experiments run. */
struct progress {
    const struct vidur_comparison_options *options;
    int done, total;
};

static void tell(struct progress *progress)
{
#pragma omp critical(vidur_comparison)
    {
        progress->done++;
        if (progress->options->progress)
            progress->options->progress(progress->options->progress_context,
                                        progress->done, progress->total);
    }
}

static int num_threads(const struct vidur_comparison *c)
{
    const int asked = c->config.estimator.threads;
    return asked > 0 ? asked : omp_get_max_threads();
}

/* Each experiment by itself: which thread takes it is of no matter. */
static void simulate_all(struct vidur_comparison *c, const int *first_stage,
                         struct vidur_error *errors)
{
    struct progress progress = {.options = c->options, .total = c->num_trials};
#pragma omp parallel num_threads(num_threads(c))
#pragma omp for schedule(dynamic, 1)
    for (int i = 0; i < c->num_trials; i++) {
        const struct vidur_trial *trial = &c->trials[i];
        if (!trial->left_out[0])
            simulate(c, trial, &c->stages[first_stage[i]], &errors[i]);
        tell(&progress);
    }
}

static int first_error(const struct vidur_comparison *c,
                       const struct vidur_error *errors, struct vidur_error *err)
{
    for (int i = 0; i < c->num_trials; i++)
        if (errors[i].code == VIDUR_EINTR)
            return vidur_fail(err, VIDUR_EINTR, "%s", errors[i].text);
    for (int i = 0; i < c->num_trials; i++)
        if (errors[i].code != VIDUR_OK)
            return vidur_fail(err, errors[i].code, "%s: %s: %s",
                              c->options->measured_path, c->trials[i].experiment->id,
                              errors[i].text);
    return 0;
}

static int run_trials(struct vidur_comparison *c, struct vidur_error *err)
{
    const size_t n = (size_t)c->num_trials;
    struct vidur_error *errors = calloc(n, sizeof *errors);
    int *first_stage = calloc(n, sizeof *first_stage);
    int status = -1;
    if (errors && first_stage) {
        for (size_t i = 1; i < n; i++)
            first_stage[i] =
                first_stage[i - 1] + c->trials[i - 1].experiment->num_stages;
        simulate_all(c, first_stage, errors);
        status = first_error(c, errors, err);
    } else {
        vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    }
    free(first_stage);
    free(errors);
    return status;
}

static void keep_constants(struct vidur_comparison *c)
{
    for (int i = 0; i < c->tables.count; i++) {
        const struct vidur_timetable *table = vidur_trial_tables_at(&c->tables, i);
        if (table)
            c->resolved = table->engine->constants;
    }
}

int vidur_comparison_run(struct vidur_comparison *c, struct vidur_error *err)
{
    int status =
        vidur_trial_tables_open(&c->tables, &c->config.estimator, c->options, err);
    if (status == 0)
        status = check_trials(c, err);
    if (status == 0) {
        lay_out_stages(c);
        keep_constants(c);
        status = run_trials(c, err);
    }
    vidur_trial_tables_close(&c->tables);
    return status;
}

int vidur_comparison_count(const struct vidur_comparison *c)
{
    return c->num_stages;
}

const struct vidur_compared_stage *
vidur_comparison_stages(const struct vidur_comparison *c)
{
    return c->stages;
}
