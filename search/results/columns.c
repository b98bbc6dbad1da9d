#include "results/columns.h"

#include "base/text.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ROW_COLUMN(row_type, kind, name, unit, description)                            \
    {VIDUR_COLUMN_##kind,                                                              \
     #name,                                                                            \
     unit,                                                                             \
     description,                                                                      \
     (uint32_t)offsetof(row_type, name),                                               \
     (uint32_t)sizeof(((row_type *)0)->name)},
#define RANKING_COLUMN(kind, name, size, unit, description)                            \
    ROW_COLUMN(struct vidur_ranking_row, kind, name, unit, description)
#define PROBE_COLUMN(kind, name, size, unit, description)                              \
    ROW_COLUMN(struct vidur_probe_row, kind, name, unit, description)

#define SLO_COLUMN(row_type, i)                                                        \
    {VIDUR_COLUMN_REAL,                                                                \
     "slo_" #i "_s",                                                                   \
     "s",                                                                              \
     "a quantile that an SLO is about",                                                \
     (uint32_t)offsetof(row_type, slo_s[i]),                                           \
     (uint32_t)sizeof(double)},
#define SLO_COLUMNS(row_type)                                                          \
    SLO_COLUMN(row_type, 0)                                                            \
    SLO_COLUMN(row_type, 1)                                                            \
    SLO_COLUMN(row_type, 2)                                                            \
    SLO_COLUMN(row_type, 3)                                                            \
    SLO_COLUMN(row_type, 4)                                                            \
    SLO_COLUMN(row_type, 5)                                                            \
    SLO_COLUMN(row_type, 6)                                                            \
    SLO_COLUMN(row_type, 7)
_Static_assert(VIDUR_MAX_SLOS == 8, "SLO_COLUMNS has a line for each place");

#define CLASS_COLUMN(i, name, unit, description)                                       \
    {VIDUR_COLUMN_REAL,                                                                \
     "class_" #i "_" #name,                                                            \
     unit,                                                                             \
     description,                                                                      \
     (uint32_t)offsetof(CLASS_ROW, class_s[i][VIDUR_CLASS_COLUMN_##name]),             \
     (uint32_t)sizeof(double)},
#define CLASS_0(name, unit, description) CLASS_COLUMN(0, name, unit, description)
#define CLASS_1(name, unit, description) CLASS_COLUMN(1, name, unit, description)
#define CLASS_2(name, unit, description) CLASS_COLUMN(2, name, unit, description)
#define CLASS_3(name, unit, description) CLASS_COLUMN(3, name, unit, description)
#define CLASS_4(name, unit, description) CLASS_COLUMN(4, name, unit, description)
#define CLASS_5(name, unit, description) CLASS_COLUMN(5, name, unit, description)
#define CLASS_6(name, unit, description) CLASS_COLUMN(6, name, unit, description)
#define CLASS_7(name, unit, description) CLASS_COLUMN(7, name, unit, description)
#define ALL_CLASSES                                                                    \
    VIDUR_CLASS_COLUMNS(CLASS_0)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_1)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_2)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_3)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_4)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_5)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_6)                                                       \
    VIDUR_CLASS_COLUMNS(CLASS_7)
_Static_assert(VIDUR_MAX_CLASSES == 8, "ALL_CLASSES has a line for each");

#define CLASS_ROW struct vidur_ranking_row
static const struct vidur_column ranking_columns[] = {VIDUR_RANKING_COLUMNS(
    RANKING_COLUMN) SLO_COLUMNS(struct vidur_ranking_row) ALL_CLASSES};
#undef CLASS_ROW
#define CLASS_ROW struct vidur_probe_row
static const struct vidur_column probe_columns[] = {
    VIDUR_PROBE_COLUMNS(PROBE_COLUMN) SLO_COLUMNS(struct vidur_probe_row) ALL_CLASSES};
#undef CLASS_ROW

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
_Static_assert(COUNT(ranking_columns) <= VIDUR_MAX_COLUMNS &&
                   COUNT(probe_columns) <= VIDUR_MAX_COLUMNS,
               "raise VIDUR_MAX_COLUMNS");

const struct vidur_column *vidur_ranking_columns(int *count)
{
    *count = COUNT(ranking_columns);
    return ranking_columns;
}

const struct vidur_column *vidur_probe_columns(int *count)
{
    *count = COUNT(probe_columns);
    return probe_columns;
}

void vidur_row_clear(const struct vidur_column *columns, int count, void *row)
{
    for (int i = 0; i < count; i++) {
        char *cell = (char *)row + columns[i].offset;
        memset(cell, 0, columns[i].size);
        if (columns[i].kind == VIDUR_COLUMN_REAL)
            memcpy(cell, &(double){NAN}, sizeof(double));
    }
}

static bool is_excepted(const char *name, const char *const *except)
{
    for (; except && *except; except++)
        if (strcmp(name, *except) == 0)
            return true;
    return false;
}

static bool cells_equal(const struct vidur_column *column, const char *a, const char *b)
{
    if (column->kind == VIDUR_COLUMN_TEXT)
        return strncmp(a, b, column->size) == 0;
    if (column->kind == VIDUR_COLUMN_REAL) {
        double x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return x == y || (isnan(x) && isnan(y));
    }
    return memcmp(a, b, column->size) == 0;
}

bool vidur_rows_equal(const struct vidur_column *columns, int count, const void *a,
                      const void *b, const char *const *except)
{
    for (int i = 0; i < count; i++)
        if (!is_excepted(columns[i].name, except) &&
            !cells_equal(&columns[i], (const char *)a + columns[i].offset,
                         (const char *)b + columns[i].offset))
            return false;
    return true;
}

void vidur_text_cell_clean(char *text, size_t size)
{
    size_t i = 0;
    while (i + 1 < size && text[i]) {
        int length = vidur_text_utf8_length(text + i, size - 1 - i);
        if (length < 0)
            break;
        if (length == 0)
            text[i] = '?';
        i += length > 0 ? (size_t)length : 1;
    }
    if (i < size)
        memset(text + i, 0, size - i);
}

void vidur_row_clean(const struct vidur_column *columns, int count, void *row)
{
    for (int i = 0; i < count; i++)
        if (columns[i].kind == VIDUR_COLUMN_TEXT)
            vidur_text_cell_clean((char *)row + columns[i].offset, columns[i].size);
}

const struct vidur_column *vidur_column_find(const struct vidur_column *columns,
                                             int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(columns[i].name, name) == 0)
            return &columns[i];
    return NULL;
}

static void name_classes(struct vidur_named_columns *out,
                         const struct vidur_column *places)
{
    static const char *const names[] = {
#define X(name, unit, description) #name,
        VIDUR_CLASS_COLUMNS(X)
#undef X
    };
    for (int i = 0; i < out->classes.count; i++)
        for (int c = 0; c < VIDUR_NUM_CLASS_COLUMNS; c++) {
            struct vidur_column *column = &out->columns[out->count++];
            char *name = out->class_columns[i][c];
            snprintf(name, sizeof out->class_columns[i][c], "%s_%s",
                     out->classes.name[i], names[c]);
            *column = places[i * VIDUR_NUM_CLASS_COLUMNS + c];
            column->name = name;
        }
}

void vidur_named_columns_make(struct vidur_named_columns *out,
                              const struct vidur_column *all, int num_all,
                              const struct vidur_results *results)
{
    const struct vidur_column *places = all + num_all - VIDUR_NUM_PLACES;
    memset(out, 0, sizeof *out);
    slo_columns_of_facts(&out->slos, results);
    class_columns_of_facts(&out->classes, results);
    out->count = num_all - VIDUR_NUM_PLACES;
    memcpy(out->columns, all, (size_t)out->count * sizeof *all);
    for (int i = 0; i < out->slos.count; i++) {
        struct vidur_column *column = &out->columns[out->count++];
        *column = places[i];
        column->name = out->slos.at[i].name;
        column->description = out->slos.at[i].description;
        column->unit = out->slos.at[i].unit;
    }
    name_classes(out, places + VIDUR_MAX_SLOS);
}

void vidur_named_columns_clear_rest(const struct vidur_named_columns *columns,
                                    const struct vidur_column *all, int num_all,
                                    void *row)
{
    const struct vidur_column *places = all + num_all - VIDUR_NUM_PLACES;
    const int used = columns->slos.count;
    const int used_of_classes = columns->classes.count * VIDUR_NUM_CLASS_COLUMNS;
    vidur_row_clear(places + used, VIDUR_MAX_SLOS - used, row);
    vidur_row_clear(places + VIDUR_MAX_SLOS + used_of_classes,
                    VIDUR_NUM_PLACES - VIDUR_MAX_SLOS - used_of_classes, row);
}
