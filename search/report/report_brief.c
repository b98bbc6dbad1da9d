#include "base/text.h"
#include "report/report_parts.h"
#include "report/report_pools.h"

#include <math.h>

/* The answer in a table: what to rent, a row for each model and workload; and what to
 * add to GPUs that are there. */

/* What is rented of a group: for the load that is asked for, for that of its search, or
 * its best. */
struct choice {
    const struct vidur_ranking_row *row; /* NULL: nothing serves it */
    int64_t replicas, gpus;
    double usd_per_hour;
    double qps; /* NaN: not known */
    const char *known_by;
};

static struct choice choose(const struct vidur_report_model *model, int index)
{
    const struct vidur_ranking_row *best = model->groups[index].best;
    const struct vidur_report_sizing sizing = vidur_report_choose(model, index, NULL);
    if (model->load.target_qps > 0 && sizing.row)
        return (struct choice){
            sizing.row,          sizing.replicas,
            sizing.billed_gpus,  sizing.usd_per_hour,
            sizing.capacity_qps, sizing.simulated ? "simulated" : "scaled"};
    if (!best || model->load.target_qps > 0)
        return (struct choice){NULL, 0, 0, NAN, NAN, "-"};
    return (struct choice){best,
                           best->num_replicas,
                           best->num_gpus,
                           best->usd_per_hour,
                           vidur_row_has_target(best) ? best->target_qps
                                                      : best->max_qps,
                           "simulated"};
}

static void put_choice(struct vidur_text_table *table,
                       const struct vidur_report_group *group, const struct choice *of)
{
    const struct vidur_ranking_row *row = of->row;
    char rent[256] = "nothing serves it", layout[128] = "-",
         engine[VIDUR_TABLE_CELL] = "-";
    if (row && row->pools[0])
        snprintf(rent, sizeof rent, "%s", vidur_text_counted(of->gpus, "GPU").text);
    else if (row)
        snprintf(rent, sizeof rent, "%lld x %s", (long long)of->gpus, row->device);
    if (row && row->pools[0])
        snprintf(layout, sizeof layout, "%s", row->pools);
    else if (row)
        snprintf(layout, sizeof layout, "%lld x TP%s PP%lld", (long long)of->replicas,
                 vidur_number_tp(row).text, (long long)row->num_pipeline_stages);
    if (row)
        vidur_format_engine(row, engine, sizeof engine);
    vidur_table_cell(table, group->model);
    vidur_table_cell(table, group->trace);
    vidur_table_cell(table, rent);
    vidur_table_cell(table, layout);
    vidur_table_number(table, vidur_number_usd(of->usd_per_hour));
    vidur_table_number(table,
                       vidur_number_usd(VIDUR_HOURS_PER_MONTH * of->usd_per_hour));
    vidur_table_number(table, vidur_number3(of->qps));
    vidur_table_cell(table, of->known_by);
    vidur_table_cell(table, engine);
}

static void print_objectives(FILE *out, const struct vidur_report_model *model)
{
    char name[64];
    const char *before = " within ";
    for (int i = 0; i < model->num_slos; i++) {
        if (model->slos[i].class_name)
            continue;
        vidur_format_slo_name(&model->slos[i], name, sizeof name);
        fprintf(out, "%s%s %s", before, vidur_text_show(name).text,
                vidur_number_limit(&model->slos[i]).text);
        before = ", ";
    }
}

int vidur_print_additions(const struct vidur_printer *to,
                          const struct vidur_report_model *model)
{
    int printed = 0;
    for (int i = 0; i < model->num_groups; i++) {
        const struct vidur_report_group *group = &model->groups[i];
        char text[512];
        vidur_format_added(model, group, text, sizeof text);
        if (!text[0])
            continue;
        fputs(to->markdown ? "- " : "", to->out);
        vidur_print_text(to, group->model);
        fputs(", ", to->out);
        vidur_print_text(to, group->trace);
        fputs(to->markdown ? ": " : ":\n  ", to->out);
        vidur_print_text(to, text);
        fputs(to->markdown ? ".\n" : "\n", to->out);
        printed++;
    }
    return printed;
}

/* What is to be carried: as asked, or as the search was; 0: nothing was named. */
static double load_of(const struct vidur_report_model *model)
{
    double qps = vidur_load_qps(&model->load);
    for (int i = 0; i < model->num_groups && !(qps > 0); i++) {
        const struct vidur_ranking_row *best = model->groups[i].best;
        qps = best && vidur_row_has_target(best) ? best->target_qps : 0;
    }
    return qps;
}

int vidur_print_brief(const struct vidur_printer *to,
                      const struct vidur_report_model *model, struct vidur_error *err)
{
    const char *const headers[] = {"model",
                                   "workload",
                                   "rent",
                                   "replicas",
                                   "#$/hour",
                                   "#$/month",
                                   vidur_report_capacity_header(model),
                                   "known by",
                                   "run",
                                   NULL};
    struct vidur_text_table table;
    const double load = load_of(model);
    fputs("What to rent", to->out);
    if (load > 0)
        fprintf(to->out, " for %s QPS", vidur_number3(load).text);
    print_objectives(to->out, model);
    fputs(":\n", to->out);
    vidur_table_start(&table, headers);
    for (int i = 0; i < model->num_groups; i++) {
        const struct choice choice = choose(model, i);
        put_choice(&table, &model->groups[i], &choice);
    }
    const int failed = vidur_table_print(&table, to->out, false, "  ", err);
    vidur_table_release(&table);
    vidur_print_additions(to, model);
    return failed;
}
