#include "report_model.h"
#include "results_layout.h"

#include <vidur/csv.h>

#include <string.h>

static void put_cell(struct vidur_csv_writer *writer, const struct vidur_column *column,
                     const char *cell)
{
    double real;
    int64_t integer;
    switch (column->kind) {
    case VIDUR_COLUMN_TEXT:
        vidur_csv_put_string(writer, cell);
        break;
    case VIDUR_COLUMN_INT:
        memcpy(&integer, cell, sizeof integer);
        vidur_csv_put_int64(writer, integer);
        break;
    case VIDUR_COLUMN_REAL:
        memcpy(&real, cell, sizeof real);
        vidur_csv_put_double(writer, real);
        break;
    case VIDUR_COLUMN_FLAG:
        vidur_csv_put_int64(writer, *cell);
        break;
    }
}

static void put_rows(struct vidur_csv_writer *writer,
                     const struct vidur_report_model *model, int64_t top)
{
    struct vidur_named_columns names;
    const struct vidur_table table = vidur_ranking_table(model->results, &names);
    const struct vidur_column *columns = table.columns;
    const int count = table.num_columns;
    for (int i = 0; i < count; i++)
        vidur_csv_put_string(writer, columns[i].name);
    vidur_csv_end_row(writer);
    for (int g = 0; g < model->num_groups; g++) {
        const struct vidur_report_group *group = &model->groups[g];
        for (int64_t i = 0; i < group->num_rows && (top <= 0 || i < top); i++) {
            for (int c = 0; c < count; c++)
                put_cell(writer, &columns[c],
                         (const char *)&group->rows[i] + columns[c].offset);
            vidur_csv_end_row(writer);
        }
    }
}

int vidur_report_csv(const char *path, const struct vidur_results *results,
                     const struct vidur_report_options *options,
                     struct vidur_error *err)
{
    struct vidur_report_model model;
    struct vidur_csv_writer *writer = NULL;
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed) {
        writer = vidur_csv_writer_open(path, err);
        failed = writer ? 0 : -1;
    }
    if (!failed) {
        put_rows(writer, &model, options ? options->top : 0);
        failed = vidur_csv_writer_commit(writer, err);
    }
    vidur_report_model_release(&model);
    return failed;
}
