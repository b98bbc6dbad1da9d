#include "launch.h"
#include "report_parts.h"

#include <math.h>
#include <string.h>

enum { TERMINAL_TOP = 5 };

/* ---- the end of a search ---- */

static int print_group(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int index,
                       struct vidur_error *err)
{
    const struct vidur_report_group *group = &model->groups[index];
    FILE *out = to->out;
    char counts[256];
    vidur_format_counts(group, counts, sizeof counts);
    fprintf(out, "%s, %s: %s\n", group->model, group->trace, counts);
    if (!group->best)
        fprintf(out, "  No candidate can serve this workload: %s\n",
                group->rows[0].reason[0] ? group->rows[0].reason
                                         : group->rows[0].status);
    return vidur_print_ranking(to, model, index, err);
}

int vidur_report_terminal(FILE *out, const struct vidur_results *results,
                          const struct vidur_report_options *options,
                          struct vidur_error *err)
{
    struct vidur_report_model model;
    int failed = vidur_report_model_make(&model, results, options, err);
    const struct vidur_printer to = {
        .out = out, .top = options && options->top > 0 ? options->top : TERMINAL_TOP};
    for (int i = 0; !failed && i < model.num_groups; i++) {
        fputs(i ? "\n" : "", out);
        failed = print_group(&to, &model, i, err);
    }
    if (!failed)
        vidur_print_notes(out, results, "note: ");
    vidur_report_model_release(&model);
    return failed;
}

/* ---- the answer ---- */

static void print_latencies(FILE *out, const struct vidur_report_model *model,
                            const struct vidur_ranking_row *row)
{
    for (int i = 0; i < model->num_slos; i++) {
        const struct vidur_report_slo *slo = &model->slos[i];
        char name[64];
        vidur_format_slo_name(slo, name, sizeof name);
        fprintf(out, "  %-10s%s %s (limit %s)\n", i ? "" : "Latency", name,
                vidur_number_latency(row, slo).text,
                vidur_number_time(slo->limit_s).text);
    }
}

static void print_indented(FILE *out, const char *label, const char *lines)
{
    while (*lines) {
        int length = (int)strcspn(lines, "\n");
        fprintf(out, "  %-10s%.*s\n", label, length, lines);
        lines += length + (lines[length] == '\n');
        label = "";
    }
}

static void print_second(FILE *out, const struct vidur_report_group *group)
{
    char text[VIDUR_TABLE_CELL];
    if (!group->second)
        return;
    vidur_format_configuration(group->second, text, sizeof text);
    fprintf(out, "  %-10s%s, %s a query\n", "Next best", text,
            vidur_number_change(vidur_cost_factor(group->best, group->second)).text);
}

static void print_target(FILE *out, const struct vidur_ranking_row *row,
                         double target_qps)
{
    struct vidur_report_sizing sizing = vidur_report_size(row, target_qps);
    if (sizing.replicas > 0)
        fprintf(out, "  %-10s%lld replicas on %lld GPUs for $%s an hour\n", "At load",
                (long long)sizing.replicas, (long long)sizing.gpus,
                vidur_number_usd(sizing.usd_per_hour).text);
}

static void print_best(FILE *out, const struct vidur_report_model *model,
                       const struct vidur_report_group *group, double target_qps)
{
    const struct vidur_ranking_row *row = group->best;
    char text[512];
    struct vidur_launch launch;
    vidur_format_hardware(row, text, sizeof text);
    fprintf(out, "  %-10s%s\n", "Rent", text);
    vidur_format_engine(row, text, sizeof text);
    fprintf(out, "  %-10s%s\n", "Run", text);
    fprintf(out, "  %-10s%s QPS at most, for $%s an hour: %s QPS per dollar\n",
            "Serves", vidur_number3(row->max_qps).text,
            vidur_number_usd(row->usd_per_hour).text,
            vidur_number3(row->qps_per_dollar).text);
    fprintf(out, "  %-10s$%s per million tokens, $%s per 1,000 requests\n", "Costs",
            vidur_number3(row->usd_per_million_tokens).text,
            vidur_number3(vidur_usd_per_1000_requests(row)).text);
    print_target(out, row, target_qps);
    print_latencies(out, model, row);
    fprintf(out, "  %-10s%s: %s\n", "Limit", row->bottleneck, row->bottleneck_detail);
    if (row->reason[0])
        fprintf(out, "  %-10s%s\n", "Mind", row->reason);
    print_second(out, group);
    vidur_launch_line(model->results, row, &launch);
    print_indented(out, "Launch", launch.command);
    print_indented(out, "", launch.notes);
}

static int print_answer(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int index,
                        struct vidur_error *err)
{
    const struct vidur_report_group *group = &model->groups[index];
    if (!group->best)
        return print_group(to, model, index, err);
    char counts[256];
    vidur_format_counts(group, counts, sizeof counts);
    fprintf(to->out, "%s, %s: %s\n", group->model, group->trace, counts);
    print_best(to->out, model, group, to->target_qps);
    fputc('\n', to->out);
    if (vidur_print_skus(to, model, index, err))
        return -1;
    fputs(to->top > 0 ? "\n" : "", to->out);
    return vidur_print_ranking(to, model, index, err);
}

static int print_matrices(const struct vidur_printer *to,
                          const struct vidur_report_model *model,
                          struct vidur_error *err)
{
    for (int i = 0; i < model->num_groups; i++) {
        if (!vidur_has_matrix(model, i))
            continue;
        fprintf(to->out,
                "\n%s: cost of serving a workload with another's best configuration\n",
                model->groups[i].model);
        if (vidur_print_matrix(to, model, i, err))
            return -1;
    }
    return 0;
}

int vidur_report_answer(FILE *out, const struct vidur_results *results,
                        const struct vidur_report_options *options,
                        struct vidur_error *err)
{
    struct vidur_report_model model;
    const struct vidur_printer to = {.out = out,
                                     .top = options ? options->top : 0,
                                     .target_qps = options ? options->target_qps : 0};
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed)
        vidur_print_notes(out, results, "note: ");
    for (int i = 0; !failed && i < model.num_groups; i++) {
        fputs(i ? "\n" : "", out);
        failed = print_answer(&to, &model, i, err);
    }
    failed = failed || print_matrices(&to, &model, err);
    vidur_report_model_release(&model);
    return failed ? -1 : 0;
}
