#include "report/report_left_out.h"

#include "base/text.h"
#include "report/report_format.h"
#include "results/results_notes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REASONS = 3 }; /* of a status */

/* The number in a reason that stands before or behind a mark; NaN: none. */
static double number_at(const char *reason, const char *mark, bool before)
{
    const char *at = strstr(reason, mark);
    if (!at)
        return NAN;
    if (!before)
        at += strlen(mark);
    while (before && at > reason && (strchr("0123456789.", at[-1]) != NULL))
        at--;
    char *end;
    const double value = strtod(at, &end);
    return end == at ? NAN : value;
}

/* By how much a row misses; NaN: its reason does not tell. */
static double miss_of(const struct vidur_ranking_row *row, enum vidur_status status)
{
    if (status == VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY)
        return number_at(row->reason, VIDUR_TOO_MANY_GIB, true);
    if (status == VIDUR_STATUS_INDEX_SLO_UNREACHABLE)
        return number_at(row->reason, VIDUR_WHERE_IT_IS, false);
    return NAN;
}

const struct vidur_ranking_row *
vidur_left_out_nearest(const struct vidur_report_group *group, enum vidur_status status)
{
    const struct vidur_ranking_row *nearest = NULL;
    double least = INFINITY;
    for (int64_t i = 0; i < group->num_rows; i++) {
        const struct vidur_ranking_row *row = &group->rows[i];
        if (vidur_status_of(row) != status)
            continue;
        const double miss = miss_of(row, status);
        if (!nearest || miss < least)
            nearest = row;
        least = miss < least ? miss : least;
    }
    return nearest;
}

const struct vidur_ranking_row *
vidur_left_out_first(const struct vidur_report_group *group)
{
    static const enum vidur_status order[] = {
        VIDUR_STATUS_INDEX_SLO_UNREACHABLE, VIDUR_STATUS_INDEX_FAILED,
        VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY, VIDUR_STATUS_INDEX_INVALID};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (group->counts[order[i]] > 0)
            return vidur_left_out_nearest(group, order[i]);
    return group->rows;
}

const char *vidur_left_out_remedy(const struct vidur_ranking_row *row)
{
    switch (vidur_status_of(row)) {
    case VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY:
        return "split the model further (tp_dimensions, pp_dimensions), or take GPUs "
               "with more memory or weights of fewer bits";
    case VIDUR_STATUS_INDEX_SLO_UNREACHABLE:
        return "take faster GPUs or more of them for a replica (tp_dimensions), or "
               "allow more";
    default:
        return "";
    }
}

/* ---- lines ---- */

static void describe(const struct vidur_ranking_row *row, char *text, size_t size)
{
    if (row->pools[0])
        vidur_format_configuration(row, text, size);
    else
        snprintf(text, size, "TP%s PP%lld on %s", vidur_number_tp(row).text,
                 (long long)row->num_pipeline_stages, row->network_device);
}

/* The first rows of each reason of a status, MAX_REASONS + 1 at most. */
static int list_reasons(const struct vidur_report_group *group,
                        enum vidur_status status,
                        const struct vidur_ranking_row *rows[MAX_REASONS + 1])
{
    int count = 0;
    for (int64_t i = 0; i < group->num_rows && count <= MAX_REASONS; i++) {
        const struct vidur_ranking_row *row = &group->rows[i];
        int same = 0;
        if (vidur_status_of(row) != status)
            continue;
        while (same < count && strcmp(rows[same]->reason, row->reason) != 0)
            same++;
        if (same == count)
            rows[count++] = row;
    }
    return count;
}

static int64_t count_reason(const struct vidur_report_group *group,
                            const struct vidur_ranking_row *like)
{
    int64_t count = 0;
    for (int64_t i = 0; i < group->num_rows; i++)
        count += strcmp(group->rows[i].reason, like->reason) == 0 &&
                 vidur_status_of(&group->rows[i]) == vidur_status_of(like);
    return count;
}

static void put_line(char *text, size_t size, int64_t count, const char *words,
                     const struct vidur_ranking_row *row)
{
    char where[VIDUR_TABLE_CELL];
    describe(row, where, sizeof where);
    snprintf(text, size, "%lld %s %s: %s", (long long)count, words, where,
             row->reason[0] ? row->reason : row->status);
}

/* Where misses are measured one line is enough. */
static bool is_measured(enum vidur_status status)
{
    return status == VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY ||
           status == VIDUR_STATUS_INDEX_SLO_UNREACHABLE;
}

/* One of the lines of a status, from 0 on; returns how many there are. */
static int put_status(const struct vidur_report_group *group, enum vidur_status status,
                      int line, char *text, size_t size)
{
    const char *name = vidur_status_words(status);
    const struct vidur_ranking_row *rows[MAX_REASONS + 1];
    char words[96];
    if (is_measured(status)) {
        snprintf(words, sizeof words, "%s, the nearest", name);
        if (line == 0)
            put_line(text, size, group->counts[status], words,
                     vidur_left_out_nearest(group, status));
        return 1;
    }
    const int count = list_reasons(group, status, rows);
    snprintf(words, sizeof words, "%s, such as", name);
    if (line >= 0 && line < count && line < MAX_REASONS)
        put_line(text, size, count_reason(group, rows[line]), words, rows[line]);
    else if (line >= 0 && line < count)
        snprintf(text, size, "more are %s for other reasons: --csv has each", name);
    return count;
}

bool vidur_format_left_out(const struct vidur_report_group *group, int line, char *text,
                           size_t size)
{
    for (int i = 0; i < VIDUR_NUM_STATUSES && line >= 0; i++)
        if (i != VIDUR_STATUS_INDEX_OK && group->counts[i] > 0)
            line -= put_status(group, (enum vidur_status)i, line, text, size);
    return line < 0;
}
