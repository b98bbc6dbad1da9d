#include "results/slo_columns.h"

#include "results/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void slo_percentile(double quantile, char *out, size_t size)
{
    vidur_slo_percentile(quantile, out, size);
}

void slo_column_name(const char *metric, double quantile, char *out, size_t size)
{
    char percentile[64];
    slo_percentile(quantile, percentile, sizeof percentile);
    char *point = strchr(percentile, '.');
    if (point)
        *point = '_';
    snprintf(out, size, "%s_p%s_s", metric, percentile);
}

static bool is_in_every_row(const char *name)
{
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    return vidur_column_find(columns, count, name) != NULL;
}

void slo_columns_add(struct slo_columns *columns, enum vidur_latency metric,
                     double quantile)
{
    struct slo_column column;
    char percentile[64];
    memset(&column, 0, sizeof column);
    slo_column_name(vidur_latency_name(metric), quantile, column.name,
                    sizeof column.name);
    if (is_in_every_row(column.name) || slo_columns_find(columns, column.name) >= 0)
        return;
    slo_percentile(quantile, percentile, sizeof percentile);
    snprintf(column.description, sizeof column.description,
             "%s, percentile %s, as an SLO wants it", vidur_latency_name(metric),
             percentile);
    int place = columns->count;
    while (place > 0 && strcmp(columns->at[place - 1].name, column.name) > 0)
        place--;
    if (place == VIDUR_MAX_SLOS)
        return;
    if (columns->count < VIDUR_MAX_SLOS)
        columns->count++;
    memmove(&columns->at[place + 1], &columns->at[place],
            (size_t)(columns->count - place - 1) * sizeof column);
    columns->at[place] = column;
}

void slo_columns_of_facts(struct slo_columns *columns,
                          const struct vidur_results *results)
{
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        enum vidur_latency metric;
        if (strcmp(fact->section, "slo") != 0 || strcmp(fact->key, "metric") != 0 ||
            vidur_latency_from_name(fact->value, &metric, NULL) != 0)
            continue;
        const char *text = vidur_results_fact(results, "slo", fact->name, "quantile");
        const double quantile = text ? strtod(text, NULL) : 0;
        if (quantile > 0 && quantile <= 1)
            slo_columns_add(columns, metric, quantile);
    }
}

int slo_columns_find(const struct slo_columns *columns, const char *name)
{
    for (int i = 0; i < columns->count; i++)
        if (strcmp(columns->at[i].name, name) == 0)
            return i;
    return -1;
}
