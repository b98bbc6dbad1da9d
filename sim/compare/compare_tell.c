#include "compare/comparison.h"

#include "base/quantile.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
} figures[] = {
#define X(name, text, predicted, measured) {#name, text},
    VIDUR_COMPARED(X)
#undef X
};

const char *vidur_compared_name(enum vidur_compared which)
{
    return figures[which].name;
}

double vidur_compared_error(const struct vidur_compared_stage *stage,
                            enum vidur_compared which)
{
    return stage->predicted_s[which] / stage->measured_s[which] - 1;
}

/* "5/s", "64 clients" */
static void describe_load(const struct vidur_compared_stage *stage, char *out,
                          size_t size)
{
    const struct vidur_measured_experiment *e = stage->experiment;
    if (e->load == VIDUR_MEASURED_CLOSED_LOOP)
        snprintf(out, size, "%lld client%s", (long long)e->concurrency,
                 e->concurrency == 1 ? "" : "s");
    else
        snprintf(out, size, "%g/s",
                 e->load == VIDUR_MEASURED_OPEN_LOOP
                     ? e->rate_qps
                     : e->workload.stages[stage->stage].rate_qps);
}

/* ---- Errors by group ---- */

static bool has_ranks(const struct vidur_compared_server *server)
{
    return server->data_parallel_size > 1;
}

static bool same_group(const struct vidur_compared_server *a,
                       const struct vidur_compared_server *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->precision, b->precision) == 0 &&
           strcmp(a->device, b->device) == 0 && has_ranks(a) == has_ranks(b) &&
           !a->pools[0] == !b->pools[0];
}

static struct vidur_compared_errors errors_of(const struct vidur_comparison *c,
                                              const struct vidur_compared_server *group,
                                              enum vidur_compared which,
                                              double *scratch)
{
    struct vidur_compared_errors out = {0, NAN, NAN};
    for (int i = 0; i < c->num_stages; i++) {
        const double error = vidur_compared_error(&c->stages[i], which);
        if (!isnan(error) && (!group || same_group(group, c->stages[i].server)))
            scratch[out.count++] = error;
    }
    if (out.count == 0)
        return out;
    out.bias = vidur_quantile(scratch, out.count, 0.5);
    for (int i = 0; i < out.count; i++)
        scratch[i] = fabs(scratch[i]);
    out.median = vidur_quantile(scratch, out.count, 0.5);
    return out;
}

int vidur_comparison_errors(const struct vidur_comparison *c,
                            const struct vidur_compared_server *group,
                            struct vidur_compared_errors errors[VIDUR_NUM_COMPARED],
                            struct vidur_error *err)
{
    double *scratch = malloc((size_t)c->num_stages * sizeof *scratch);
    if (!scratch)
        return vidur_fail(err, VIDUR_ENOMEM, "comparison: out of memory");
    for (int which = 0; which < VIDUR_NUM_COMPARED; which++)
        errors[which] = errors_of(c, group, (enum vidur_compared)which, scratch);
    free(scratch);
    return 0;
}

/* ---- Tables ---- */

/* What the tables show, of rows and of groups; compare.csv has all. */
static const enum vidur_compared shown[] = {
    VIDUR_COMPARED_tpot_mean, VIDUR_COMPARED_ttft_mean, VIDUR_COMPARED_e2e_mean,
    VIDUR_COMPARED_ttft_p99};

enum { NUM_SHOWN = sizeof shown / sizeof *shown, NUM_SHOWN_OF_GROUPS = 3 };

/* A row's name takes as much room as the longest. */
static int width_of_names(const struct vidur_comparison *c)
{
    int width = 0;
    for (int i = 0; i < c->num_stages; i++) {
        const int length = (int)strlen(c->stages[i].experiment->id);
        width = length > width ? length : width;
    }
    return width;
}

static void print_figure(double predicted_s, double measured_s, FILE *out)
{
    if (isnan(predicted_s) || isnan(measured_s))
        fprintf(out, "  %8s%8s%7s", "", "-", "");
    else
        fprintf(out, "  %8.5g%8.5g%+7.1f", predicted_s * 1e3, measured_s * 1e3,
                (predicted_s / measured_s - 1) * 100);
}

static void print_server(const struct vidur_compared_server *server, FILE *out)
{
    fprintf(out, "%s, %s, %s, ", server->model, server->precision, server->device);
    if (server->pools[0])
        fprintf(out, "pools: %s", server->pools);
    else
        fprintf(out, "tensor_parallel_size %d", server->tensor_parallel_size);
    fprintf(out, "%s", server->expert_parallel ? ", expert_parallel" : "");
    if (has_ranks(server))
        fprintf(out, ", data_parallel_size %d", server->data_parallel_size);
    fprintf(out, "\n");
}

static bool begins_server(const struct vidur_compared_stage *stage,
                          const struct vidur_compared_stage *before)
{
    return !before || !same_group(before->server, stage->server) ||
           before->server->tensor_parallel_size !=
               stage->server->tensor_parallel_size ||
           before->server->expert_parallel != stage->server->expert_parallel ||
           before->server->data_parallel_size != stage->server->data_parallel_size ||
           strcmp(before->server->pools, stage->server->pools) != 0;
}

static void print_notes(const struct vidur_compared_stage *stage, FILE *out)
{
    if (stage->experiment->note[0])
        fprintf(out, "    note: %s\n", stage->experiment->note);
    if (stage->num_completed < stage->num_requests)
        fprintf(out, "    note: %lld of %lld requests never complete\n",
                (long long)(stage->num_requests - stage->num_completed),
                (long long)stage->num_requests);
}

static void print_rows(const struct vidur_comparison *c, FILE *out)
{
    const int width = width_of_names(c);
    const struct vidur_compared_stage *before = NULL;
    fprintf(out, "predicted, measured (ms) and error (%%)\n%*s", width + 15, "");
    for (int i = 0; i < NUM_SHOWN; i++)
        fprintf(out, "  %-23s", figures[shown[i]].text);
    fputc('\n', out);
    for (int i = 0; i < c->num_stages; i++) {
        const struct vidur_compared_stage *stage = &c->stages[i];
        char load[32];
        if (stage->left_out)
            continue;
        if (begins_server(stage, before))
            print_server(stage->server, out);
        describe_load(stage, load, sizeof load);
        fprintf(out, "  %-*s %12s", width, stage->experiment->id, load);
        for (int k = 0; k < NUM_SHOWN; k++)
            print_figure(stage->predicted_s[shown[k]], stage->measured_s[shown[k]],
                         out);
        fputc('\n', out);
        print_notes(stage, out);
        before = stage;
    }
}

static void print_errors(const char *name, const struct vidur_compared_errors *errors,
                         FILE *out)
{
    fprintf(out, "%-75s%5d", name, errors[VIDUR_COMPARED_tpot_mean].count);
    for (int i = 0; i < NUM_SHOWN_OF_GROUPS; i++) {
        const struct vidur_compared_errors *e = &errors[shown[i]];
        if (e->count)
            fprintf(out, "  %8.1f%+8.1f", e->median * 100, e->bias * 100);
        else
            fprintf(out, "  %8s%8s", "-", "");
    }
    fputc('\n', out);
}

/* The first stage of its group that was simulated: that is where a group is told. */
static bool begins_group(const struct vidur_comparison *c, int index)
{
    for (int i = 0; i < index; i++)
        if (!c->stages[i].left_out &&
            same_group(c->stages[i].server, c->stages[index].server))
            return false;
    return !c->stages[index].left_out;
}

static int print_groups(const struct vidur_comparison *c, FILE *out,
                        struct vidur_error *err)
{
    struct vidur_compared_errors errors[VIDUR_NUM_COMPARED];
    fprintf(out, "\nmedian of |error| and of error (%%)%46s", "rows");
    for (int i = 0; i < NUM_SHOWN_OF_GROUPS; i++)
        fprintf(out, "  %16s", figures[shown[i]].text);
    fputc('\n', out);
    for (int i = 0; i < c->num_stages; i++) {
        const struct vidur_compared_server *server = c->stages[i].server;
        char name[256];
        if (!begins_group(c, i))
            continue;
        if (vidur_comparison_errors(c, server, errors, err))
            return -1;
        snprintf(name, sizeof name, "%s, %s, %s%s", server->model, server->precision,
                 server->device,
                 server->pools[0]    ? ", pools"
                 : has_ranks(server) ? ", data parallel"
                                     : "");
        print_errors(name, errors, out);
    }
    if (vidur_comparison_errors(c, NULL, errors, err))
        return -1;
    print_errors("all", errors, out);
    return 0;
}

static void print_left_out(const struct vidur_comparison *c, FILE *out)
{
    int count = 0;
    bool derived = false;
    for (int i = 0; i < c->num_stages; i++) {
        count += c->stages[i].left_out != NULL;
        derived = derived || c->stages[i].experiment->e2e_derived;
    }
    if (derived)
        fprintf(out, "e2e was not measured everywhere: TTFT + TPOT * (output tokens - "
                     "1), of the means, stands for it\n");
    if (count)
        fprintf(out, "\nnot modelled, %d of %d rows\n", count, c->num_stages);
    for (int i = 0; i < c->num_stages; i++)
        if (c->stages[i].left_out)
            fprintf(out, "  %s: %s\n", c->stages[i].experiment->id,
                    c->stages[i].left_out);
}

int vidur_comparison_print(const struct vidur_comparison *c, FILE *out,
                           struct vidur_error *err)
{
    print_rows(c, out);
    if (print_groups(c, out, err))
        return -1;
    print_left_out(c, out);
    return 0;
}

/* ---- compare.csv ---- */

static void put_row(struct vidur_csv_writer *writer,
                    const struct vidur_compared_stage *stage, int which)
{
    const struct vidur_measured_experiment *e = stage->experiment;
    const struct vidur_compared_server *server = stage->server;
    char load[32];
    describe_load(stage, load, sizeof load);
    vidur_csv_put_text(writer, e->id);
    vidur_csv_put_string(writer, figures[which].name);
    vidur_csv_put_double(writer, stage->predicted_s[which]);
    vidur_csv_put_double(writer, stage->measured_s[which]);
    vidur_csv_put_double(writer,
                         100 * vidur_compared_error(stage, (enum vidur_compared)which));
    vidur_csv_put_text(writer, server->model);
    vidur_csv_put_string(writer, server->precision);
    vidur_csv_put_text(writer, server->device);
    vidur_csv_put_int64(writer, server->tensor_parallel_size);
    vidur_csv_put_string(writer, server->expert_parallel ? "true" : "false");
    vidur_csv_put_int64(writer, server->data_parallel_size);
    vidur_csv_put_int64(writer, stage->stage);
    vidur_csv_put_string(writer, load);
    vidur_csv_put_string(writer, stage->left_out ? stage->left_out : "");
    vidur_csv_put_string(writer, server->pools);
    vidur_csv_end_row(writer);
}

int vidur_comparison_write(const struct vidur_comparison *c, const char *path,
                           struct vidur_error *err)
{
    static const char *const header[] = {"id",
                                         "metric",
                                         "predicted_s",
                                         "measured_s",
                                         "error_percent",
                                         "model",
                                         "precision",
                                         "device",
                                         "tensor_parallel_size",
                                         "expert_parallel",
                                         "data_parallel_size",
                                         "stage",
                                         "load",
                                         "not_modelled",
                                         "pools"};
    struct vidur_csv_writer *writer = vidur_csv_writer_open(path, err);
    if (!writer)
        return -1;
    for (size_t i = 0; i < sizeof header / sizeof *header; i++)
        vidur_csv_put_string(writer, header[i]);
    vidur_csv_end_row(writer);
    for (int i = 0; i < c->num_stages; i++)
        for (int which = 0; which < VIDUR_NUM_COMPARED; which++)
            if (!isnan(c->stages[i].measured_s[which]))
                put_row(writer, &c->stages[i], which);
    return vidur_csv_writer_commit(writer, err);
}
