#include "compare/compare.h"

#include "base/quantile.h"
#include "steps/step_model.h"

#include <vidur/csv.h>
#include <vidur/memory_plan.h>
#include <vidur/simulator.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One experiment, ready to be run. */
struct trial {
    const struct vidur_measured_experiment *experiment;
    struct vidur_deployment deployment;
    struct vidur_workload *workload;
};

struct vidur_comparison {
    const struct vidur_comparison_options *options;
    struct vidur_simulation_config config;
    struct vidur_measured_experiment *experiments;
    int num_experiments;
    struct trial *trials;
    int num_trials;
    struct vidur_compared_stage *stages;
    int num_stages;
    struct vidur_engine_constants resolved;
};

static const char *const names[] = {
#define X(name, text, predicted, measured) #name,
    VIDUR_COMPARED(X)
#undef X
};

const char *vidur_compared_name(enum vidur_compared which)
{
    return names[which];
}

double vidur_compared_error(const struct vidur_compared_stage *stage,
                            enum vidur_compared which)
{
    return stage->predicted_s[which] / stage->measured_s[which] - 1;
}

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

static int fail_experiment(const struct vidur_comparison *c, const struct trial *trial,
                           struct vidur_error *err)
{
    char text[sizeof err->text];
    if (!err)
        return -1;
    memcpy(text, err->text, sizeof text);
    return vidur_fail(err, err->code, "%s: %s: %s", c->options->measured_path,
                      trial->experiment->id, text);
}

static int prepare_deployment(const struct vidur_comparison *c, struct trial *trial,
                              struct vidur_error *err)
{
    const struct vidur_measured_experiment *e = trial->experiment;
    struct vidur_deployment *d = &trial->deployment;
    struct vidur_memory_plan plan;
    *d = c->config.deployment;
    d->num_replicas = 1;
    d->num_pipeline_stages = 1;
    d->tensor_parallel_size = e->tensor_parallel_size;
    d->scheduler.max_num_seqs = e->max_num_seqs;
    d->scheduler.max_num_batched_tokens = e->max_num_batched_tokens;
    if (vidur_model_load(&d->model, e->model, err) || vidur_deployment_check(d, err))
        return -1;
    vidur_memory_plan(d, e->max_model_len, &plan);
    if (!plan.fits)
        return vidur_fail(err, VIDUR_EINVAL, "%s does not fit on %d x %s",
                          d->model.name, d->tensor_parallel_size, d->device.name);
    return 0;
}

static int prepare_load(const struct vidur_comparison *c, struct trial *trial,
                        struct vidur_error *err)
{
    const struct vidur_measured_experiment *e = trial->experiment;
    struct vidur_workload_config load;
    vidur_workload_config_defaults(&load);
    load.type = VIDUR_WORKLOAD_SHARED_PREFIX;
    load.seed = c->config.workload.seed;
    load.max_tokens = e->max_model_len;
    load.shared_prefix = e->workload;
    if (vidur_workload_create(&trial->workload, &load, err))
        return -1;
    char cut[128];
    vidur_workload_describe_cut(trial->workload, cut, sizeof cut);
    if (cut[0])
        vidur_log_warn(c->options->log, "%s: %s and are cut to that (max_model_len)",
                       e->id, cut);
    return 0;
}

static int prepare_trials(struct vidur_comparison *c, struct vidur_error *err)
{
    const char *list = c->options->experiments;
    for (int i = 0; i < c->num_experiments; i++) {
        struct trial *trial = &c->trials[c->num_trials];
        trial->experiment = &c->experiments[i];
        if (list && !is_listed(list, trial->experiment->id))
            continue;
        c->num_trials++;
        if (prepare_deployment(c, trial, err) || prepare_load(c, trial, err))
            return fail_experiment(c, trial, err);
        c->num_stages += trial->workload->stages.count;
    }
    c->stages = calloc((size_t)c->num_stages, sizeof *c->stages);
    return c->stages ? 0 : vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
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

static int open_all(struct vidur_comparison *c, struct vidur_error *err)
{
    const struct vidur_comparison_options *options = c->options;
    if (vidur_simulation_config_load(&c->config, options->config_path, options->sets,
                                     options->num_sets, err))
        return -1;
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(c->config.deployment.scheduler.type);
    if (!ops->step_model->whole_steps)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: scheduler.type: %s; measurements of engines are "
                          "compared with %s",
                          options->config_path, ops->name, engine_name());
    if (vidur_measured_read(options->measured_path, &c->experiments,
                            &c->num_experiments, err) ||
        check_list(c, err))
        return -1;
    c->trials = calloc((size_t)c->num_experiments, sizeof *c->trials);
    if (!c->trials)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    return prepare_trials(c, err);
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
        vidur_workload_destroy(c->trials[i].workload);
    free(c->trials);
    free(c->stages);
    free(c->experiments);
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

static int keep_stages(struct vidur_compared_stage *out, const struct trial *trial,
                       const struct vidur_request_records *records,
                       struct vidur_error *err)
{
    const struct vidur_load_stages *stages = &trial->workload->stages;
    for (int i = 0; i < stages->count; i++) {
        struct vidur_stage_metrics metrics, *s = &metrics;
        const struct vidur_measured_stage *m = &trial->experiment->stages[i];
        if (vidur_stage_metrics_of(s, records, stages, i, err))
            return -1;
        out[i] = (struct vidur_compared_stage){.experiment = trial->experiment,
                                               .stage = i,
                                               .num_requests = s->num_requests,
                                               .num_completed = s->e2e.count};
#define X(name, text, predicted, measured)                                             \
    out[i].predicted_s[VIDUR_COMPARED_##name] = predicted;                             \
    out[i].measured_s[VIDUR_COMPARED_##name] = measured;
        VIDUR_COMPARED(X)
#undef X
    }
    return 0;
}

static int simulate(const struct vidur_comparison *c, const struct trial *trial,
                    const struct vidur_timetable *timetable,
                    struct vidur_compared_stage *out, struct vidur_error *err)
{
    const struct vidur_run_options run = {.cancel = c->options->cancel};
    struct vidur_simulator *simulator = NULL;
    struct vidur_metrics metrics;
    int status = vidur_simulator_create(&simulator, &trial->deployment, timetable,
                                        trial->experiment->max_model_len, err);
    if (status == 0)
        status = vidur_simulator_run(simulator, trial->workload, &run, &metrics, err);
    if (status == 0)
        status = keep_stages(out, trial, vidur_simulator_requests(simulator), err);
    vidur_simulator_destroy(simulator);
    return status;
}

static int run_trial(struct vidur_comparison *c, const struct trial *trial,
                     struct vidur_compared_stage *out, struct vidur_error *err)
{
    struct vidur_timetable_request request;
    struct vidur_timetable *timetable;
    vidur_deployment_table_limits(&trial->deployment, trial->experiment->max_model_len,
                                  &request);
    if (vidur_timetable_open(&timetable, &c->config.estimator, &request,
                             c->options->log, err))
        return -1;
    c->resolved = timetable->engine->constants;
    const int status = simulate(c, trial, timetable, out, err);
    vidur_timetable_close(timetable);
    return status;
}

int vidur_comparison_run(struct vidur_comparison *c, struct vidur_error *err)
{
    struct vidur_compared_stage *out = c->stages;
    for (int i = 0; i < c->num_trials; i++) {
        const struct trial *trial = &c->trials[i];
        if (run_trial(c, trial, out, err))
            return err && err->code == VIDUR_EINTR ? -1
                                                   : fail_experiment(c, trial, err);
        out += trial->workload->stages.count;
    }
    return 0;
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

void vidur_comparison_medians(const struct vidur_comparison *c,
                              double medians[VIDUR_NUM_COMPARED])
{
    double errors[VIDUR_MAX_LOAD_STAGES], *all = errors;
    if (c->num_stages > VIDUR_MAX_LOAD_STAGES)
        all = malloc((size_t)c->num_stages * sizeof *all);
    for (int which = 0; which < VIDUR_NUM_COMPARED; which++) {
        for (int i = 0; all && i < c->num_stages; i++)
            all[i] =
                fabs(vidur_compared_error(&c->stages[i], (enum vidur_compared)which));
        medians[which] = all ? vidur_quantile(all, c->num_stages, 0.5) : NAN;
    }
    if (all != errors)
        free(all);
}

/* ---- Telling ---- */

/* What the table shows; comparison.csv has all. */
static const enum vidur_compared shown[] = {
    VIDUR_COMPARED_e2e_mean, VIDUR_COMPARED_tpot_mean, VIDUR_COMPARED_ttft_mean,
    VIDUR_COMPARED_ttft_p99};

enum { NUM_SHOWN = sizeof shown / sizeof *shown };

static void print_heading(FILE *out)
{
    static const char *const texts[] = {
#define X(name, text, predicted, measured) text,
        VIDUR_COMPARED(X)
#undef X
    };
    fprintf(out, "predicted, measured (ms) and error (%%)\n%10s", "");
    for (int i = 0; i < NUM_SHOWN; i++)
        fprintf(out, "  %-23s", texts[shown[i]]);
    fputc('\n', out);
}

static void print_stage(const struct vidur_compared_stage *stage, FILE *out)
{
    if (stage->stage == 0)
        fprintf(out, "%s: %s, tensor_parallel_size %d\n", stage->experiment->id,
                stage->experiment->model, stage->experiment->tensor_parallel_size);
    fprintf(out, "%8g/s", stage->experiment->workload.stages[stage->stage].rate_qps);
    for (int i = 0; i < NUM_SHOWN; i++) {
        const double p = stage->predicted_s[shown[i]] * 1e3;
        const double m = stage->measured_s[shown[i]] * 1e3;
        fprintf(out, "  %8.5g%8.5g%+7.2f", p, m, (p / m - 1) * 100);
    }
    fputc('\n', out);
    if (stage->num_completed < stage->num_requests)
        fprintf(out, "%10s  note: %lld of %lld requests never complete\n", "",
                (long long)(stage->num_requests - stage->num_completed),
                (long long)stage->num_requests);
}

void vidur_comparison_print(const struct vidur_comparison *c, FILE *out)
{
    double medians[VIDUR_NUM_COMPARED];
    print_heading(out);
    for (int i = 0; i < c->num_stages; i++)
        print_stage(&c->stages[i], out);
    vidur_comparison_medians(c, medians);
    fprintf(out, "%-10s", "median |%|");
    for (int i = 0; i < NUM_SHOWN; i++)
        fprintf(out, "  %8s%8s%7.2f", "", "", medians[shown[i]] * 100);
    fputc('\n', out);
}

static void put_row(struct vidur_csv_writer *writer,
                    const struct vidur_compared_stage *stage, int which)
{
    const struct vidur_measured_experiment *e = stage->experiment;
    vidur_csv_put_string(writer, e->id);
    vidur_csv_put_string(writer, e->model);
    vidur_csv_put_int64(writer, e->tensor_parallel_size);
    vidur_csv_put_int64(writer, stage->stage);
    vidur_csv_put_double(writer, e->workload.stages[stage->stage].rate_qps);
    vidur_csv_put_string(writer, names[which]);
    vidur_csv_put_double(writer, stage->predicted_s[which]);
    vidur_csv_put_double(writer, stage->measured_s[which]);
    vidur_csv_put_double(writer,
                         100 * vidur_compared_error(stage, (enum vidur_compared)which));
    vidur_csv_end_row(writer);
}

int vidur_comparison_write(const struct vidur_comparison *c, const char *path,
                           struct vidur_error *err)
{
    static const char *const header[] = {
        "experiment", "model",       "tensor_parallel_size", "stage",        "rate_qps",
        "figure",     "predicted_s", "measured_s",           "error_percent"};
    struct vidur_csv_writer *writer = vidur_csv_writer_open(path, err);
    if (!writer)
        return -1;
    for (size_t i = 0; i < sizeof header / sizeof *header; i++)
        vidur_csv_put_string(writer, header[i]);
    vidur_csv_end_row(writer);
    for (int i = 0; i < c->num_stages; i++)
        for (int which = 0; which < VIDUR_NUM_COMPARED; which++)
            put_row(writer, &c->stages[i], which);
    return vidur_csv_writer_commit(writer, err);
}
