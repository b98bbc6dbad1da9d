#include "results/results_layout.h"

#include "base/version.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char readme[] =
    "Results of vidur-search: which deployment of a language model serves the most\n"
    "queries per second for a dollar under the service level objectives.\n"
    "\n"
    "/ranking              one row for each candidate and workload, best first\n"
    "/probes               one row for each simulation of the capacity searches\n"
    "/space/configuration  the configuration (YAML) as read, overrides appended\n"
    "/space/facts          SLOs, workloads, prices and settings: section, name, key,\n"
    "                      value\n"
    "/space/rejected       candidates that were not searched, and why\n"
    "\n"
    "The quantile that an SLO is about has a column, such as tpot_p99_9_s.\n"
    "Tables are 1-D compounds; texts are UTF-8 of fixed length, filled with zeros; a\n"
    "number without meaning is NaN. A table's attributes `units` and `descriptions`\n"
    "follow its columns' order, and COLUMN_units is one column's unit. Times are in\n"
    "seconds. The last line of the file, which HDF5 does not read, is the SHA-256 of\n"
    "all before it: head -c -87 FILE | sha256sum.\n"
    "\n"
    "Python:\n"
    "    import h5py, pandas as pd\n"
    "    with h5py.File('results.h5') as f:\n"
    "        df = pd.DataFrame(f['ranking'][()])\n"
    "        units = dict(zip(df.columns, f['ranking'].attrs['units']))\n"
    "    text = df.select_dtypes(object).apply(lambda c: c.str.decode('utf-8'))\n"
    "    df[text.columns] = text\n";

const char *vidur_results_readme(void)
{
    return readme;
}

#define TEXT_COLUMN(row_type, name, description)                                       \
    {                                                                                  \
        VIDUR_COLUMN_TEXT, #name, "", description, (uint32_t)offsetof(row_type, name), \
            (uint32_t)sizeof(((row_type *)0)->name)                                    \
    }

static const struct vidur_column fact_columns[] = {
    TEXT_COLUMN(struct vidur_result_fact, section,
                "slo, model, trace, device, node, estimator, search or note"),
    TEXT_COLUMN(struct vidur_result_fact, name, "what it is about"),
    TEXT_COLUMN(struct vidur_result_fact, key, "which property"),
    TEXT_COLUMN(struct vidur_result_fact, value, "its value as text")};

static const struct vidur_column rejected_columns[] = {
    TEXT_COLUMN(struct vidur_ranking_row, candidate_id, "as in /ranking"),
    TEXT_COLUMN(struct vidur_ranking_row, model, "as in /ranking"),
    TEXT_COLUMN(struct vidur_ranking_row, trace, "as in /ranking"),
    TEXT_COLUMN(struct vidur_ranking_row, status, "infeasible_memory or invalid"),
    TEXT_COLUMN(struct vidur_ranking_row, reason, "why it was not searched")};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct vidur_table vidur_ranking_table(const struct vidur_results *results,
                                       struct vidur_named_columns *names)
{
    int count;
    const struct vidur_column *all = vidur_ranking_columns(&count);
    vidur_named_columns_make(names, all, count, results);
    return (struct vidur_table){"/ranking", names->columns, names->count,
                                sizeof(struct vidur_ranking_row)};
}

struct vidur_table vidur_probes_table(const struct vidur_results *results,
                                      struct vidur_named_columns *names)
{
    int count;
    const struct vidur_column *all = vidur_probe_columns(&count);
    vidur_named_columns_make(names, all, count, results);
    return (struct vidur_table){"/probes", names->columns, names->count,
                                sizeof(struct vidur_probe_row)};
}

struct vidur_table vidur_facts_table(void)
{
    return (struct vidur_table){"/space/facts", fact_columns, COUNT(fact_columns),
                                sizeof(struct vidur_result_fact)};
}

struct vidur_table vidur_rejected_table(void)
{
    return (struct vidur_table){"/space/rejected", rejected_columns,
                                COUNT(rejected_columns),
                                sizeof(struct vidur_ranking_row)};
}

struct vidur_ranking_row *vidur_results_rejected(const struct vidur_results *results,
                                                 int64_t *count)
{
    struct vidur_ranking_row *rows =
        malloc(((size_t)results->num_ranking + 1) * sizeof *rows);
    *count = 0;
    for (int64_t i = 0; rows && i < results->num_ranking; i++) {
        const struct vidur_ranking_row *row = &results->ranking[i];
        if (strcmp(row->status, VIDUR_STATUS_INVALID) == 0 ||
            strcmp(row->status, VIDUR_STATUS_INFEASIBLE_MEMORY) == 0)
            rows[(*count)++] = *row;
    }
    return rows;
}

void *vidur_table_clean_copy(const struct vidur_table *table, const void *rows,
                             int64_t count)
{
    size_t bytes = (size_t)count * table->row_size;
    char *copy = malloc(bytes + 1);
    if (copy && bytes > 0)
        memcpy(copy, rows, bytes);
    for (int64_t i = 0; copy && i < count; i++)
        vidur_row_clean(table->columns, table->num_columns,
                        copy + (size_t)i * table->row_size);
    return copy;
}

static void fill_if_empty(char *text, size_t size, const char *value)
{
    if (text[0] == 0)
        snprintf(text, size, "%s", value);
}

struct vidur_results vidur_results_stamp(const struct vidur_results *results)
{
    struct vidur_results copy = *results;
    char now[32];
    struct tm utc;
    time_t clock = time(NULL);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&clock, &utc));
    fill_if_empty(copy.creator_version, sizeof copy.creator_version, vidur_version());
    fill_if_empty(copy.git_commit, sizeof copy.git_commit, vidur_git_commit());
    fill_if_empty(copy.file_time, sizeof copy.file_time, now);
    return copy;
}
