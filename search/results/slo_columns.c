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

/* Whether it is one of a class's own columns. */
static bool is_of_class(const char *name, const char *class_name)
{
    static const char *const names[] = {
#define X(name, unit, description) #name,
        VIDUR_CLASS_COLUMNS(X)
#undef X
    };
    const size_t length = strlen(class_name);
    if (length == 0 || strncmp(name, class_name, length) != 0 || name[length] != '_')
        return false;
    for (int i = 0; i < VIDUR_NUM_CLASS_COLUMNS; i++)
        if (strcmp(name + length + 1, names[i]) == 0)
            return true;
    return false;
}

static void add(struct slo_columns *columns, const struct slo_column *column)
{
    int place = columns->count;
    if (slo_columns_find(columns, column->name) >= 0)
        return;
    while (place > 0 && strcmp(columns->at[place - 1].name, column->name) > 0)
        place--;
    if (place == VIDUR_MAX_SLOS)
        return;
    if (columns->count < VIDUR_MAX_SLOS)
        columns->count++;
    memmove(&columns->at[place + 1], &columns->at[place],
            (size_t)(columns->count - place - 1) * sizeof *column);
    columns->at[place] = *column;
}

void slo_columns_add(struct slo_columns *columns, enum vidur_latency metric,
                     double quantile)
{
    struct slo_column column;
    char percentile[64];
    memset(&column, 0, sizeof column);
    slo_column_name(vidur_latency_name(metric), quantile, column.name,
                    sizeof column.name);
    if (is_in_every_row(column.name))
        return;
    slo_percentile(quantile, percentile, sizeof percentile);
    snprintf(column.description, sizeof column.description,
             "%s, percentile %s, as an SLO wants it", vidur_latency_name(metric),
             percentile);
    column.unit = "s";
    add(columns, &column);
}

void slo_column_of_name(const char *name, bool joint, char *out, size_t size)
{
    snprintf(out, size, "%s%s", name, joint ? "_worst" : "_s");
    for (char *at = out; *at; at++)
        if (*at == '.')
            *at = '_';
}

/* Of an SLO that is joint or about a class. */
static void add_named(struct slo_columns *columns, const char *name, bool joint,
                      const char *class_name)
{
    struct slo_column column;
    memset(&column, 0, sizeof column);
    slo_column_of_name(name, joint, column.name, sizeof column.name);
    if (is_of_class(column.name, class_name))
        return;
    if (joint)
        snprintf(
            column.description, sizeof column.description,
            "a request's worst latency as a share of its limit, as an SLO wants it");
    else
        snprintf(column.description, sizeof column.description,
                 "%.40s, as an SLO wants it", name);
    column.unit = joint ? "1" : "s";
    add(columns, &column);
}

void slo_columns_add_slo(struct slo_columns *columns, const struct vidur_slo *slo)
{
    char name[96];
    vidur_slo_name(slo, name, sizeof name);
    if (vidur_slo_is_joint(slo) || slo->class_name[0])
        add_named(columns, name, vidur_slo_is_joint(slo), slo->class_name);
    else
        slo_columns_add(columns, slo->metric, slo->quantile);
}

void slo_columns_of_facts(struct slo_columns *columns,
                          const struct vidur_results *results)
{
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        enum vidur_latency metric;
        if (strcmp(fact->section, "slo") != 0 || strcmp(fact->key, "metric") != 0)
            continue;
        const bool joint = strcmp(fact->value, SLO_METRIC_JOINT) == 0;
        const char *text = vidur_results_fact(results, "slo", fact->name, "quantile");
        const char *class_name =
            vidur_results_fact(results, "slo", fact->name, "class");
        const double quantile = text ? strtod(text, NULL) : 0;
        if (!(quantile > 0 && quantile <= 1) ||
            (!joint && vidur_latency_from_name(fact->value, &metric, NULL) != 0))
            continue;
        if (joint || class_name)
            add_named(columns, fact->name, joint, class_name ? class_name : "");
        else
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

/* ---- Classes of traffic ---- */

int class_columns_find(const struct class_columns *columns, const char *name)
{
    for (int i = 0; i < columns->count; i++)
        if (strcmp(columns->name[i], name) == 0)
            return i;
    return -1;
}

bool class_columns_add(struct class_columns *columns, const char *name)
{
    int place = columns->count;
    if (class_columns_find(columns, name) >= 0)
        return true;
    if (place == VIDUR_MAX_CLASSES)
        return false;
    while (place > 0 && strcmp(columns->name[place - 1], name) > 0) {
        memcpy(columns->name[place], columns->name[place - 1], VIDUR_CLASS_NAME);
        place--;
    }
    snprintf(columns->name[place], VIDUR_CLASS_NAME, "%s", name);
    columns->count++;
    return true;
}

void class_columns_of_facts(struct class_columns *columns,
                            const struct vidur_results *results)
{
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        if (strcmp(fact->section, "class") == 0 &&
            strlen(fact->name) < VIDUR_CLASS_NAME)
            class_columns_add(columns, fact->name);
    }
}
