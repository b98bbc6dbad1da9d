#include "base/text.h"
#include "report/launch.h"
#include "report/report_left_out.h"
#include "report/report_money.h"
#include "report/report_parts.h"

#include <math.h>
#include <string.h>

enum { TERMINAL_TOP = 5 };

/* ---- the end of a search ---- */

static void print_heading(FILE *out, const struct vidur_report_group *group)
{
    char counts[256];
    vidur_format_counts(group, counts, sizeof counts);
    fprintf(out, "%s, %s: %s\n", vidur_text_show(group->model).text,
            vidur_text_show(group->trace).text, counts);
}

static void print_why_none(FILE *out, const struct vidur_report_group *group)
{
    const struct vidur_ranking_row *row = vidur_left_out_first(group);
    const char *remedy = vidur_left_out_remedy(row);
    fprintf(out, "  No candidate can serve this workload: %s%s%s\n",
            vidur_text_show(row->reason[0] ? row->reason : row->status).text,
            remedy[0] ? "; " : "", remedy);
}

static int print_group(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int index,
                       struct vidur_error *err)
{
    const struct vidur_report_group *group = &model->groups[index];
    FILE *out = to->out;
    print_heading(out, group);
    if (!group->best)
        print_why_none(out, group);
    if (vidur_print_ranking(to, model, index, err) != 0)
        return -1;
    vidur_print_unpriced(to, model, index);
    vidur_print_api(to, model, index);
    return 0;
}

int vidur_report_terminal(FILE *out, const struct vidur_results *results,
                          const struct vidur_report_options *options,
                          struct vidur_error *err)
{
    struct vidur_report_model model;
    int failed = vidur_report_model_make(&model, results, options, err);
    struct vidur_marks marks = {false};
    const struct vidur_printer to = {.out = out,
                                     .top = options && options->top > 0 ? options->top
                                                                        : TERMINAL_TOP,
                                     .marks = &marks};
    if (!failed)
        vidur_print_loads(&to, &model);
    for (int i = 0; !failed && i < model.num_groups; i++) {
        fputs(i ? "\n" : "", out);
        failed = print_group(&to, &model, i, err);
    }
    if (!failed) {
        vidur_print_marks(&to, &marks);
        vidur_print_prices(&to, &model);
        vidur_print_notes(&to, results, "note: ");
    }
    vidur_report_model_release(&model);
    return failed;
}

/* ---- the answer ---- */

static void print_latencies(FILE *out, const struct vidur_report_model *model,
                            const struct vidur_ranking_row *row)
{
    const char *label = "Latency";
    char name[64], class[256];
    for (int i = 0; i < model->num_slos; i++) {
        const struct vidur_report_slo *slo = &model->slos[i];
        if (!vidur_row_has_slo(row, slo))
            continue;
        vidur_format_slo_name(slo, name, sizeof name);
        fprintf(out, "  %-10s%s %s (limit %s)\n", label, vidur_text_show(name).text,
                vidur_number_latency(row, slo).text, vidur_number_limit(slo).text);
        label = "";
    }
    if (!isnan(row->goodput_per_s))
        fprintf(out, "  %-10s%s requests/s meet all joint limits\n", "Goodput",
                vidur_number3(row->goodput_per_s).text);
    label = "Classes";
    for (int i = 0; i < model->classes.count; i++) {
        vidur_format_class(model, row, i, class, sizeof class);
        if (class[0])
            fprintf(out, "  %-10s%s\n", label, vidur_text_show(class).text);
        label = class[0] ? "" : label;
    }
}

static void print_indented(FILE *out, const char *label, const char *lines)
{
    while (*lines) {
        int length = (int)strcspn(lines, "\n");
        char line[1200];
        snprintf(line, sizeof line, "%.*s", length, lines);
        fprintf(out, "  %-10s%s\n", label, vidur_text_show(line).text);
        lines += length + (lines[length] == '\n');
        label = "";
    }
}

static void print_second(FILE *out, const struct vidur_report_group *group)
{
    char text[VIDUR_TABLE_CELL];
    if (!group->second)
        return;
    const struct vidur_number change =
        vidur_number_change(vidur_cost_factor(group->best, group->second));
    const bool same = strcmp(change.text, "0 %") == 0;
    vidur_format_configuration(group->second, text, sizeof text);
    fprintf(out, "  %-10s%s, %s%s\n", "Next best", vidur_text_show(text).text,
            same ? "a query costs the same" : change.text, same ? "" : " a query");
}

/* What a row of the ranking serves and costs. */
static void print_serves(FILE *out, const struct vidur_ranking_row *row)
{
    const struct vidur_number usd = vidur_number_usd(row->usd_per_hour);
    char why[160], costs[256], users[40] = "";
    vidur_format_confidence(row, why, sizeof why);
    if (row->max_users > 0)
        snprintf(users, sizeof users, " of %lld users", (long long)row->max_users);
    const bool target = vidur_row_has_target(row);
    const double qps = target ? row->target_qps : row->max_qps;
    if (!vidur_row_has_price(row))
        fprintf(out, "  %-10s%s QPS%s%s, at no known price: %s QPS per GPU\n", "Serves",
                target ? vidur_number3(qps).text : vidur_number_qps(row).text, users,
                target ? ", as asked" : " at most",
                vidur_number3(qps / (double)row->num_gpus).text);
    else if (target)
        fprintf(out, "  %-10s%s QPS, as asked, for $%s an hour, $%s a month\n",
                "Serves", vidur_number3(qps).text, usd.text,
                vidur_number_usd(row->usd_per_month).text);
    else
        fprintf(out,
                "  %-10s%s QPS%s at most, for $%s an hour, $%s a month: %s QPS per "
                "dollar\n",
                "Serves", vidur_number_qps(row).text, users, usd.text,
                vidur_number_usd(row->usd_per_month).text,
                vidur_number3(row->qps_per_dollar).text);
    if (why[0])
        fprintf(out, "  %-10s%s\n", "Count on", why);
    vidur_format_costs(row, costs, sizeof costs);
    if (vidur_row_has_price(row))
        fprintf(out, "  %-10s%s\n", "Costs", costs);
}

/* The same of what is rented for a load. */
static void print_sizing(FILE *out, const struct vidur_report_sizing *sizing,
                         const struct vidur_report_load *load)
{
    const double usd = sizing->usd_per_hour;
    char known[128], why[160], price[160] = "at no known price";
    vidur_format_known(sizing, known, sizeof known);
    if (!isnan(usd))
        snprintf(price, sizeof price, "for $%s an hour, $%s a month",
                 vidur_number_usd(usd).text,
                 vidur_number_usd(VIDUR_HOURS_PER_MONTH * usd).text);
    fprintf(out, "  %-10s%s QPS at %s (%s), %s\n", "Serves",
            vidur_number3(sizing->capacity_qps).text,
            vidur_row_has_target(sizing->row) ? "least" : "most", known, price);
    vidur_format_confidence(sizing->row, why, sizeof why);
    if (why[0])
        fprintf(out, "  %-10s%s, with %s\n", "Count on", why,
                vidur_text_counted(sizing->row->num_replicas, "replica").text);
    if (!isnan(usd))
        fprintf(out, "  %-10s$%s per 1,000 requests at %s QPS\n", "Costs",
                vidur_number3(usd / (3.6 * load->target_qps)).text,
                vidur_number3(load->target_qps).text);
}

static void print_money(FILE *out, const struct vidur_report_model *model,
                        const struct vidur_money *money)
{
    for (int line = 0; line < VIDUR_MONEY_LINES; line++) {
        char text[1024];
        vidur_format_money(model, money, (enum vidur_money_line)line, text,
                           sizeof text);
        if (text[0])
            fprintf(out, "  %-10s%s\n", vidur_money_label((enum vidur_money_line)line),
                    vidur_text_show(text).text);
    }
}

static void print_row(FILE *out, const struct vidur_report_model *model,
                      const struct vidur_report_group *group,
                      const struct vidur_ranking_row *row,
                      const struct vidur_report_sizing *sizing)
{
    char text[512];
    vidur_format_hardware(row, text, sizeof text);
    fprintf(out, "  %-10s%s\n", "Rent", vidur_text_show(text).text);
    vidur_format_engine(row, text, sizeof text);
    fprintf(out, "  %-10s%s\n", "Run", vidur_text_show(text).text);
    if (sizing)
        print_sizing(out, sizing, &model->load);
    else
        print_serves(out, row);
    const struct vidur_money money = vidur_money_of(model, group, row, sizing);
    print_money(out, model, &money);
    print_latencies(out, model, row);
    fprintf(out, "  %-10s%s: %s\n", "Limit", vidur_text_show(row->bottleneck).text,
            vidur_text_show(row->bottleneck_detail).text);
    if (row->reason[0])
        fprintf(out, "  %-10s%s\n", "Mind", vidur_text_show(row->reason).text);
}

static void print_best(FILE *out, const struct vidur_report_model *model, int index)
{
    const struct vidur_report_group *group = &model->groups[index];
    struct vidur_ranking_row row = *group->best;
    struct vidur_launch launch;
    const struct vidur_report_sizing sizing = vidur_report_choose(model, index, NULL);
    const bool sized = model->load.target_qps > 0 && sizing.row;
    if (sized)
        row = vidur_sizing_row(&sizing);
    print_row(out, model, group, &row, sized ? &sizing : NULL);
    if (!sized)
        print_second(out, group);
    vidur_launch_line(model->results, &row, &launch);
    print_indented(out, "Launch", launch.command);
    print_indented(out, "", launch.notes);
}

static void print_left_out(FILE *out, const struct vidur_report_group *group)
{
    char text[1024];
    const char *label = "Left out";
    for (int i = 0; vidur_format_left_out(group, i, text, sizeof text); i++) {
        fprintf(out, "  %-10s%s\n", label, vidur_text_show(text).text);
        label = "";
    }
}

static int print_answer(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int index,
                        struct vidur_error *err)
{
    const struct vidur_report_group *group = &model->groups[index];
    if (!group->best)
        return print_group(to, model, index, err);
    print_heading(to->out, group);
    print_best(to->out, model, index);
    fputc('\n', to->out);
    if (vidur_print_skus(to, model, index, err))
        return -1;
    vidur_print_unpriced(to, model, index);
    print_left_out(to->out, group);
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
                vidur_text_show(model->groups[i].model).text);
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
    const struct vidur_printer to = {.out = out, .top = options ? options->top : 0};
    const bool brief = options && options->brief;
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed && !brief)
        vidur_print_loads(&to, &model);
    else if (!failed)
        failed = vidur_print_brief(&to, &model, err);
    if (!failed)
        vidur_print_notes(&to, results, "note: ");
    for (int i = 0; !failed && !brief && i < model.num_groups; i++) {
        fputs(i ? "\n" : "", out);
        failed = print_answer(&to, &model, i, err);
    }
    failed = failed || (!brief && print_matrices(&to, &model, err));
    vidur_report_model_release(&model);
    return failed ? -1 : 0;
}
