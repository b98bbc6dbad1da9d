#include "launch.h"
#include "report_parts.h"

#include <math.h>
#include <string.h>

/* Sized for a pull request: GitHub cuts comments at 65,536 characters. */

enum { MARKDOWN_TOP = 10 };

static void print_answer_row(struct vidur_text_table *table,
                             const struct vidur_report_group *group)
{
    const struct vidur_ranking_row *row = group->best;
    char text[VIDUR_TABLE_CELL];
    vidur_table_cell(table, group->model);
    vidur_table_cell(table, group->trace);
    if (!row) {
        vidur_table_cell(table, "no candidate can serve it");
        for (int i = 3; i < table->num_columns; i++)
            vidur_table_cell(table, "-");
        return;
    }
    vidur_format_configuration(row, text, sizeof text);
    vidur_table_cell(table, text);
    vidur_table_number(table, vidur_number_int(row->num_gpus));
    vidur_table_number(table, vidur_number3(row->max_qps));
    vidur_table_number(table, vidur_number3(row->qps_per_dollar));
    vidur_table_number(table, vidur_number3(row->usd_per_million_tokens));
    vidur_table_number(table, vidur_number3(vidur_usd_per_1000_requests(row)));
    vidur_table_number(table, group->second ? vidur_number_change(
                                                  vidur_cost_factor(row, group->second))
                                            : vidur_number3(NAN));
}

static int print_answers(FILE *out, const struct vidur_report_model *model,
                         struct vidur_error *err)
{
    static const char *const headers[] = {
        "model",  "workload",  "best configuration", "#GPUs",          "#max QPS",
        "#QPS/$", "#$/1M tok", "#$/1k req",          "#second choice", NULL};
    struct vidur_text_table table;
    vidur_table_start(&table, headers);
    for (int i = 0; i < model->num_groups; i++)
        print_answer_row(&table, &model->groups[i]);
    int failed = vidur_table_print(&table, out, true, "", err);
    vidur_table_release(&table);
    return failed;
}

static void print_slos(FILE *out, const struct vidur_report_model *model,
                       const struct vidur_ranking_row *row)
{
    for (int i = 0; i < model->num_slos; i++) {
        const struct vidur_report_slo *slo = &model->slos[i];
        char name[64];
        vidur_format_slo_name(slo, name, sizeof name);
        fprintf(out, "%s%s %s (limit %s)", i ? ", " : "Latency at the maximum: ", name,
                vidur_number_latency(row, slo).text,
                vidur_number_time(slo->limit_s).text);
    }
    fputs(model->num_slos > 0 ? ".\n" : "", out);
}

static void print_launch(FILE *out, const struct vidur_report_model *model,
                         const struct vidur_ranking_row *row)
{
    struct vidur_launch launch;
    vidur_launch_line(model->results, row, &launch);
    fprintf(out, "\n```sh\n%s\n```\n", launch.command);
    for (const char *at = launch.notes; *at;) {
        int length = (int)strcspn(at, "\n");
        fprintf(out, "- %.*s\n", length, at);
        at += length + (at[length] == '\n');
    }
}

static int print_tables(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int index,
                        struct vidur_error *err)
{
    const struct vidur_report_group *group = &model->groups[index];
    fputc('\n', to->out);
    if (vidur_print_ranking(to, model, index, err))
        return -1;
    fputc('\n', to->out);
    if (to->target_qps > 0)
        fprintf(to->out, "For %s QPS:\n\n", vidur_number3(to->target_qps).text);
    if (vidur_print_skus(to, model, index, err))
        return -1;
    fputs("\n<details><summary>What limits the candidates</summary>\n\n", to->out);
    if (vidur_print_limits(to, group, err))
        return -1;
    fputs("\n</details>\n", to->out);
    return 0;
}

static int print_group(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int index,
                       struct vidur_error *err)
{
    const struct vidur_report_group *group = &model->groups[index];
    FILE *out = to->out;
    char text[512];
    fputs("\n### ", out);
    vidur_put_markdown(out, group->model);
    fputs(", ", out);
    vidur_put_markdown(out, group->trace);
    fputs("\n\n", out);
    vidur_format_counts(group, text, sizeof text);
    fprintf(out, "%s.\n", text);
    if (!group->best) {
        fputc('\n', out);
        return vidur_print_limits(to, group, err);
    }
    vidur_format_hardware(group->best, text, sizeof text);
    fprintf(out, "Best: %s; ", text);
    vidur_format_engine(group->best, text, sizeof text);
    fprintf(out, "%s. ", text);
    print_slos(out, model, group->best);
    fprintf(out, "Limited by %s: %s.\n", group->best->bottleneck,
            group->best->bottleneck_detail);
    if (group->best->reason[0])
        fprintf(out, "Mind: %s.\n", group->best->reason);
    print_launch(out, model, group->best);
    return print_tables(to, model, index, err);
}

static int print_matrices(const struct vidur_printer *to,
                          const struct vidur_report_model *model,
                          struct vidur_error *err)
{
    for (int i = 0; i < model->num_groups; i++) {
        if (!vidur_has_matrix(model, i))
            continue;
        fputs("\n### ", to->out);
        vidur_put_markdown(to->out, model->groups[i].model);
        fputs(
            ": serving a workload with the best configuration of another\n\n"
            "How many times as much a query costs as with the workload's own best.\n\n",
            to->out);
        if (vidur_print_matrix(to, model, i, err))
            return -1;
    }
    return 0;
}

static void print_provenance(FILE *out, const struct vidur_report_model *model,
                             const struct vidur_report_options *options)
{
    const struct vidur_results *results = model->results;
    const struct vidur_report_search *search = &model->search;
    fprintf(out,
            "\n### How it was found\n\n%lld loads (%lld simulated), %lld of them "
            "stopped early, %lld bracket violations, in %s on %d rank%s; %lld "
            "candidates looked up operator "
            "times beyond the profiles.\n\n",
            (long long)search->probes, (long long)search->simulated,
            (long long)search->stopped_early, (long long)search->bracket_violations,
            vidur_number_time(results->elapsed_s).text, results->ranks,
            results->ranks == 1 ? "" : "s", (long long)search->extrapolated_rows);
    fprintf(out,
            "vidur-search %s (%s), %s, seed %llu, configuration %s (SHA-256 %.12s)",
            results->creator_version, results->git_commit, results->file_time,
            (unsigned long long)results->seed, results->config_path,
            results->config_sha256);
    if (options && options->source)
        fprintf(out, ", results %s", options->source);
    fputs(".\n", out);
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        if (strcmp(fact->section, "device") != 0 ||
            strcmp(fact->key, "usd_per_gpu_hour") != 0)
            continue;
        const char *from =
            vidur_results_fact(results, "device", fact->name, "price_source");
        const char *date =
            vidur_results_fact(results, "device", fact->name, "price_date");
        fprintf(out, "- %s: $%s per GPU-hour (%s%s%s)\n", fact->name, fact->value,
                from ? from : "source not recorded", date ? ", " : "",
                date ? date : "");
    }
}

int vidur_report_markdown(FILE *out, const struct vidur_results *results,
                          const struct vidur_report_options *options,
                          struct vidur_error *err)
{
    struct vidur_report_model model;
    const struct vidur_printer to = {.out = out,
                                     .markdown = true,
                                     .top = options && options->top > 0 ? options->top
                                                                        : MARKDOWN_TOP,
                                     .target_qps = options ? options->target_qps : 0};
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed) {
        fputs("## Deployment search\n\n", out);
        vidur_print_notes(out, results, "> ");
        fputc('\n', out);
        failed = print_answers(out, &model, err);
    }
    for (int i = 0; !failed && i < model.num_groups; i++)
        failed = print_group(&to, &model, i, err);
    failed = failed || print_matrices(&to, &model, err);
    if (!failed)
        print_provenance(out, &model, options);
    vidur_report_model_release(&model);
    return failed ? -1 : 0;
}
