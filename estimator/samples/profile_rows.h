#ifndef VIDUR_ESTIMATOR_PROFILE_ROWS_H
#define VIDUR_ESTIMATOR_PROFILE_ROWS_H

#include "base/text.h"

#include <vidur/csv.h>
#include <vidur/profile.h>

/*
 * A profile's CSV file and the rows of it that a request wants: key columns select
 * rows, time columns become samples.
 */

enum {
    VIDUR_PROFILE_TIME = VIDUR_CSV_NOT_NEGATIVE | VIDUR_CSV_EMPTY_OK,
    VIDUR_PROFILE_OPTIONAL_TIME = VIDUR_PROFILE_TIME | VIDUR_CSV_OPTIONAL
};

struct vidur_profile_rows {
    const char *path;
    const struct vidur_profile_request *request;
    const struct vidur_log *log;
    const struct vidur_csv_column *columns;
    struct vidur_csv *csv;
    int64_t num_rows;
    bool *wanted; /* by row; all at first */
};

/* `columns` lists keys as whole numbers, booleans or texts and times as doubles; it
 * must outlive the rows. request and log are set already. Close also after a failure.
 */
int vidur_profile_rows_open(struct vidur_profile_rows *rows, const char *path,
                            const struct vidur_csv_column *columns, int num_columns,
                            struct vidur_error *err);
void vidur_profile_rows_close(struct vidur_profile_rows *rows);

/* Keep the wanted rows that have this value; none left is an error that lists the
 * values there are. An absent column keeps all. */
int vidur_profile_rows_keep(struct vidur_profile_rows *rows, int column, int64_t key,
                            struct vidur_error *err);
int vidur_profile_rows_keep_text(struct vidur_profile_rows *rows, int column,
                                 const char *key, struct vidur_error *err);

/* Whether a wanted row has this value; an absent column has any. */
bool vidur_profile_rows_have(const struct vidur_profile_rows *rows, int column,
                             int64_t key);

/* Adds "1, 2, 4", the distinct values of a key among the wanted rows. */
void vidur_profile_rows_list(const struct vidur_profile_rows *rows, int column,
                             struct vidur_text *text);

/* What a file gives to one operator. */
struct vidur_profile_extract {
    int op;
    int time_column;
    bool empty_is_zero; /* instead of being left out */
    /* The features of a row. */
    void (*features)(const struct vidur_profile_rows *rows, int64_t row,
                     double *features);
    /* Which of the wanted rows; NULL: all. */
    bool (*applies)(const struct vidur_profile_rows *rows, int64_t row);
};

/* Fills the operator's samples; fewer than two are an error, an absent time column
 * leaves none. */
int vidur_profile_rows_take(const struct vidur_profile_rows *rows,
                            const struct vidur_profile_extract *extract,
                            struct vidur_profile *profile, struct vidur_error *err);

#endif
