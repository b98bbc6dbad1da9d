#ifndef VIDUR_SEARCH_SLO_COLUMNS_H
#define VIDUR_SEARCH_SLO_COLUMNS_H

#include <vidur/results.h>
#include <vidur/slo.h>

#include <stddef.h>

/*
 * Which column of the results holds the quantile that an SLO is about: one that every
 * row has, or one of the places of slo_s, which go to the other SLOs' columns in the
 * order of their names. So places follow from the set of SLOs, not from its order.
 * Pure functions.
 */

enum { VIDUR_SLO_COLUMN_NAME = 48 };

/* The q-quantile as a percentile: "90", "99.9"; for every name of an SLO. */
void slo_percentile(double quantile, char *out, size_t size);

/* "tpot_p99_9_s": an identifier in Python, too. */
void slo_column_name(const char *metric, double quantile, char *out, size_t size);

/* The columns in slo_s. Start with all zeros. */
struct slo_columns {
    int count;
    struct slo_column {
        char name[VIDUR_SLO_COLUMN_NAME];
        char description[96];
        const char *unit;
    } at[VIDUR_MAX_SLOS];
};

/* Adds an SLO's column unless it is there or every row has it. */
void slo_columns_add(struct slo_columns *columns, enum vidur_latency metric,
                     double quantile);

/* The same of any SLO: joint ones, and those of a class. */
void slo_columns_add_slo(struct slo_columns *columns, const struct vidur_slo *slo);

/* The column of an SLO by the name that results give it: "rag_e2e_p99_9_s",
 * "goodput_ttft_tpot_p95_worst". */
void slo_column_of_name(const char *name, bool joint, char *out, size_t size);

/* What an SLO's fact `metric` says of a joint one. */
#define SLO_METRIC_JOINT "goodput"

/* Those of the SLOs among the facts; facts that make no sense are passed over. */
void slo_columns_of_facts(struct slo_columns *columns,
                          const struct vidur_results *results);

/* The place in slo_s; -1: none. */
int slo_columns_find(const struct slo_columns *columns, const char *name);

/* ---- Classes of traffic ---- */

/* In the order of their names: the places in class_s. Start with all zeros. */
struct class_columns {
    int count;
    char name[VIDUR_MAX_CLASSES][VIDUR_CLASS_NAME];
};

/* False where there is no place left. */
bool class_columns_add(struct class_columns *columns, const char *name);
/* Those among the facts. */
void class_columns_of_facts(struct class_columns *columns,
                            const struct vidur_results *results);
/* The place; -1: none. */
int class_columns_find(const struct class_columns *columns, const char *name);

#endif
