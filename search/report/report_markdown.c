#include "base/text.h"
#include "report/launch.h"
#include "report/report_left_out.h"
#include "report/report_money.h"
#include "report/report_parts.h"

#include <math.h>
#include <string.h>

/* Sized for a pull request: GitHub cuts comments at 65,536 characters. */

enum { MARKDOWN_TOP = 10 };

static void put_nothing(struct vidur_text_table *table, const char *why)
{
    vidur_table_cell(table, why);
    while (table->next != 0)
        vidur_table_cell(table, "-");
}

static void put_best(struct vidur_text_table *table,
                     const struct vidur_report_group *group)
{
    const struct vidur_ranking_row *row = group->best;
    char text[VIDUR_TABLE_CELL];
    vidur_format_configuration(row, text, sizeof text);
    vidur_table_cell(table, text);
    vidur_table_number(table, vidur_number_int(row->num_gpus));
    if (vidur_row_has_target(row)) {
        vidur_table_target(table, row);
    } else {
        vidur_table_number(table, vidur_number_qps(row));
        vidur_table_number(table, vidur_number3(row->qps_per_dollar));
        vidur_table_number(table, vidur_number3(row->usd_per_million_tokens));
        vidur_table_number(table, vidur_number3(vidur_usd_per_1000_requests(row)));
    }
    vidur_table_number(table, group->second ? vidur_number_change(
                                                  vidur_cost_factor(row, group->second))
                                            : vidur_number3(NAN));
}

static void put_choice(struct vidur_text_table *table,
                       const struct vidur_report_sizing *sizing)
{
    char text[VIDUR_TABLE_CELL];
    vidur_format_rent(sizing->row, sizing->replicas, text, sizeof text);
    vidur_table_cell(table, text);
    vidur_table_number(table, vidur_number_int(sizing->billed_gpus));
    vidur_table_number(table, vidur_number_usd(sizing->usd_per_hour));
    vidur_table_number(table,
                       vidur_number_usd(VIDUR_HOURS_PER_MONTH * sizing->usd_per_hour));
    vidur_table_number(table, vidur_number3(sizing->capacity_qps));
    vidur_table_cell(table, sizing->simulated ? "simulated" : "scaled");
}

static int print_answers(FILE *out, const struct vidur_report_model *model,
                         struct vidur_error *err)
{
    static const char *const plain[] = {
        "model",  "workload",  "best configuration", "#GPUs",          "#max QPS",
        "#QPS/$", "#$/1M tok", "#$/1k req",          "#second choice", NULL};
    static const char *const target[] = {
        "model",          "workload", "best configuration",
        "#GPUs",          "#nodes",   "#$/hour",
        "#$/month",       "#busy",    "#margin",
        "#second choice", NULL};
    const char *const sized[] = {"model",
                                 "workload",
                                 "rent",
                                 "#GPUs",
                                 "#$/hour",
                                 "#$/month",
                                 vidur_report_capacity_header(model),
                                 "known by",
                                 NULL};
    const bool has_load = model->load.target_qps > 0;
    struct vidur_text_table table;
    vidur_table_start(&table, has_load                         ? sized
                              : vidur_report_has_target(model) ? target
                                                               : plain);
    for (int i = 0; i < model->num_groups; i++) {
        const struct vidur_report_group *group = &model->groups[i];
        const struct vidur_report_sizing sizing = vidur_report_choose(model, i, NULL);
        vidur_table_cell(&table, group->model);
        vidur_table_cell(&table, group->trace);
        if (!group->best)
            put_nothing(&table, "no candidate can serve it");
        else if (!has_load)
            put_best(&table, group);
        else if (!sizing.row)
            put_nothing(&table, "nothing that can be rented for it");
        else
            put_choice(&table, &sizing);
    }
    int failed = vidur_table_print(&table, out, true, "", err);
    vidur_table_release(&table);
    return failed;
}

/* A line of words and texts from the results: WORDS, text, WORDS, text... ends with
 * NULL. */
static void print_line(const struct vidur_printer *to, const char *const *parts)
{
    for (int i = 0; parts[i]; i++)
        if (i % 2 == 0)
            fputs(parts[i], to->out);
        else
            vidur_print_text(to, parts[i]);
}

static void print_slos(const struct vidur_printer *to,
                       const struct vidur_report_model *model,
                       const struct vidur_ranking_row *row)
{
    bool any = false;
    for (int i = 0; i < model->num_slos; i++) {
        const struct vidur_report_slo *slo = &model->slos[i];
        char name[64];
        if (!vidur_row_has_slo(row, slo))
            continue;
        vidur_format_slo_name(slo, name, sizeof name);
        fputs(any                         ? ", "
              : vidur_row_has_target(row) ? "Latency at that load: "
                                          : "Latency at the maximum: ",
              to->out);
        vidur_print_text(to, name);
        fprintf(to->out, " %s (limit %s)", vidur_number_latency(row, slo).text,
                vidur_number_limit(slo).text);
        any = true;
    }
    fputs(any ? ".\n" : "", to->out);
    if (!isnan(row->goodput_per_s))
        fprintf(to->out, "Goodput: %s requests/s meet all joint limits.\n",
                vidur_number3(row->goodput_per_s).text);
    for (int i = 0; i < model->classes.count; i++) {
        char class[256];
        vidur_format_class(model, row, i, class, sizeof class);
        if (class[0])
            print_line(to, (const char *const[]){"Class ", class, ".\n", NULL});
    }
}

static void print_launch(const struct vidur_printer *to,
                         const struct vidur_report_model *model,
                         const struct vidur_ranking_row *row)
{
    struct vidur_launch launch;
    vidur_launch_line(model->results, row, &launch);
    fprintf(to->out, "\n```sh\n%s\n```\n", vidur_text_show(launch.command).text);
    for (const char *at = launch.notes; *at;) {
        int length = (int)strcspn(at, "\n");
        char line[sizeof launch.notes];
        snprintf(line, sizeof line, "%.*s", length, at);
        fputs("- ", to->out);
        vidur_print_text(to, line);
        fputc('\n', to->out);
        at += length + (at[length] == '\n');
    }
}

static void print_left_out(const struct vidur_printer *to,
                           const struct vidur_report_group *group)
{
    char text[1024];
    for (int i = 0; vidur_format_left_out(group, i, text, sizeof text); i++)
        print_line(to, (const char *const[]){i ? "- " : "\nLeft out:\n\n- ", text, "\n",
                                             NULL});
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
    if (model->load.target_qps > 0)
        fprintf(to->out, "For %s QPS:\n\n", vidur_number3(model->load.target_qps).text);
    if (vidur_print_skus(to, model, index, err))
        return -1;
    vidur_print_unpriced(to, model, index);
    fputs("\n<details><summary>What limits the candidates</summary>\n\n", to->out);
    if (vidur_print_limits(to, group, err))
        return -1;
    print_left_out(to, group);
    fputs("\n</details>\n", to->out);
    return 0;
}

/* "Costs: ...", "Price: ..." and so on, a line of a list each. */
static void print_money(const struct vidur_printer *to,
                        const struct vidur_report_model *model,
                        const struct vidur_money *money, bool costs)
{
    char text[1024];
    vidur_format_costs(money->row, text, sizeof text);
    fputc('\n', to->out);
    if (costs && vidur_row_has_price(money->row))
        print_line(to, (const char *const[]){"- Costs: ", text, "\n", NULL});
    for (int i = 0; i < VIDUR_MONEY_LINES; i++) {
        const enum vidur_money_line line = (enum vidur_money_line)i;
        vidur_format_money(model, money, line, text, sizeof text);
        if (text[0])
            print_line(to, (const char *const[]){"- ", vidur_money_label(line), ": ",
                                                 text, "\n", NULL});
    }
}

static void print_best(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int index)
{
    const struct vidur_report_sizing sizing = vidur_report_choose(model, index, NULL);
    const bool sized = model->load.target_qps > 0 && sizing.row;
    const struct vidur_ranking_row row =
        sized ? vidur_sizing_row(&sizing) : *model->groups[index].best;
    char hardware[VIDUR_TABLE_CELL], engine[VIDUR_TABLE_CELL], why[160],
        known[128] = "";
    vidur_format_hardware(&row, hardware, sizeof hardware);
    vidur_format_engine(&row, engine, sizeof engine);
    vidur_format_confidence(&row, why, sizeof why);
    if (sized)
        vidur_format_known(&sizing, known, sizeof known);
    print_line(to, (const char *const[]){
                       sized ? "Cheapest for the load: " : "Best: ", hardware, "; ",
                       engine, sized ? " (" : ". ", known, sized ? "). " : "", NULL});
    if (why[0])
        fprintf(to->out, "Count on %s. ", why);
    print_slos(to, model, &row);
    print_line(to, (const char *const[]){"Limited by ", row.bottleneck, ": ",
                                         row.bottleneck_detail, ".\n", NULL});
    if (row.reason[0])
        print_line(to, (const char *const[]){"Mind: ", row.reason, ".\n", NULL});
    const struct vidur_money money =
        vidur_money_of(model, &model->groups[index], &row, sized ? &sizing : NULL);
    print_money(to, model, &money, !sized);
    print_launch(to, model, &row);
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
    print_best(to, model, index);
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

static void print_prices(const struct vidur_printer *to,
                         const struct vidur_results *results)
{
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        if (strcmp(fact->section, "device") != 0 ||
            strcmp(fact->key, "usd_per_gpu_hour") != 0)
            continue;
        const char *from =
            vidur_results_fact(results, "device", fact->name, "price_source");
        const char *date =
            vidur_results_fact(results, "device", fact->name, "price_date");
        const char *provider =
            vidur_results_fact(results, "device", fact->name, "price_provider");
        const char *term =
            vidur_results_fact(results, "device", fact->name, "price_term");
        print_line(to,
                   (const char *const[]){
                       "- ", fact->name, ": $", fact->value, " per GPU-hour (",
                       provider ? provider : "", provider ? ", " : "", term ? term : "",
                       term ? ", " : "", from ? from : "source not recorded",
                       date ? ", " : "", date ? date : "", ")\n", NULL});
    }
}

static void print_provenance(const struct vidur_printer *to,
                             const struct vidur_report_model *model,
                             const struct vidur_report_options *options)
{
    const struct vidur_results *results = model->results;
    const struct vidur_report_search *search = &model->search;
    const char *source = options ? options->source : NULL;
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)results->seed);
    fprintf(to->out,
            "\n### How it was found\n\n%s (%lld simulated), %lld of them stopped "
            "early, %s, in %s on %s; %s with operator times beyond the profiles.\n\n",
            vidur_text_counted(search->probes, "load").text,
            (long long)search->simulated, (long long)search->stopped_early,
            vidur_text_counted(search->bracket_violations, "bracket violation").text,
            vidur_number_time(results->elapsed_s).text,
            vidur_text_counted(results->ranks, "rank").text,
            vidur_text_counted(search->extrapolated_rows, "candidate").text);
    char sha[16];
    snprintf(sha, sizeof sha, "%.12s", results->config_sha256);
    print_line(to,
               (const char *const[]){
                   "vidur-search ", results->creator_version, " (", results->git_commit,
                   "), ", results->file_time, ", seed ", seed, ", configuration ",
                   results->config_path, " (SHA-256 ", sha, ")", "",
                   source ? ", results " : "", source ? source : "", ".\n", NULL});
    print_prices(to, results);
}

int vidur_report_markdown(FILE *out, const struct vidur_results *results,
                          const struct vidur_report_options *options,
                          struct vidur_error *err)
{
    struct vidur_report_model model;
    const struct vidur_printer to = {.out = out,
                                     .markdown = true,
                                     .top = options && options->top > 0 ? options->top
                                                                        : MARKDOWN_TOP};
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed) {
        fputs("## Deployment search\n\n", out);
        vidur_print_loads(&to, &model);
        vidur_print_notes(&to, results, "> ");
        fputc('\n', out);
        failed = print_answers(out, &model, err);
    }
    for (int i = 0; !failed && i < model.num_groups; i++)
        failed = print_group(&to, &model, i, err);
    failed = failed || print_matrices(&to, &model, err);
    if (!failed)
        print_provenance(&to, &model, options);
    vidur_report_model_release(&model);
    return failed ? -1 : 0;
}
