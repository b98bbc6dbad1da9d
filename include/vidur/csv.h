#ifndef VIDUR_CSV_H
#define VIDUR_CSV_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Strict reading of CSV files (RFC 4180, header row, optionally gzipped) into columns,
 * and writing them.
 *
 * The caller declares the columns it wants in a const table; other columns of the file
 * are checked for their count of fields and otherwise skipped. Numbers must be whole
 * and finite; an empty cell is an error unless the column allows it. Errors read
 * `FILE:LINE: COLUMN: what is wrong; what would be right`. LINE counts from 1 (the
 * header). Blank lines are skipped; a UTF-8 byte order mark is ignored.
 *
 * A table is read-only after reading and may then be shared by threads.
 */

enum vidur_csv_type {
    VIDUR_CSV_DOUBLE,
    VIDUR_CSV_INT64, /* also accepts a whole number written as a decimal: 4096.0 */
    VIDUR_CSV_BOOL,  /* true, false, 1, 0 in any case */
    VIDUR_CSV_STRING,
    VIDUR_CSV_TIME /* a number of seconds (or of VIDUR_CSV_MS, _US, _NS) since some
                      start, or a date and time in ISO 8601, which count from 1970 */
};

enum {
    VIDUR_CSV_OPTIONAL = 1u << 0, /* the file may lack the column */
    VIDUR_CSV_EMPTY_OK = 1u << 1, /* empty or NaN -> NaN; other types:
                                     VIDUR_CSV_NO_INT64, false, "" */
    VIDUR_CSV_POSITIVE = 1u << 2, /* numbers must be > 0 */
    VIDUR_CSV_NOT_NEGATIVE = 1u << 3,
    VIDUR_CSV_MS = 1u << 4, /* the unit of a time without a date */
    VIDUR_CSV_US = 1u << 5,
    VIDUR_CSV_NS = 1u << 6
};

#define VIDUR_CSV_NO_INT64 INT64_MIN

struct vidur_csv_column {
    const char *name;
    enum vidur_csv_type type;
    unsigned flags;
};

struct vidur_csv_schema {
    const struct vidur_csv_column *columns;
    int num_columns;
    bool drop_duplicates; /* skip rows equal, field by field as text, to an earlier one
                           */
};

struct vidur_csv; /* a table that was read */

/* Reads a .csv or gzipped .csv.gz file; NULL on error. Free with vidur_csv_free(). The
 * schema's columns must outlive the table. */
struct vidur_csv *vidur_csv_read(const char *path,
                                 const struct vidur_csv_schema *schema,
                                 struct vidur_error *err);

/* The same from memory; `name` stands for the file in messages. */
struct vidur_csv *vidur_csv_parse(const char *name, const char *text, size_t size,
                                  const struct vidur_csv_schema *schema,
                                  struct vidur_error *err);
void vidur_csv_free(struct vidur_csv *csv);

/* Rows below the header, and those that drop_duplicates left out. */
int64_t vidur_csv_rows(const struct vidur_csv *csv);
int64_t vidur_csv_duplicates(const struct vidur_csv *csv);

/* Columns, by index into the schema. Arrays have vidur_csv_rows() elements, live as
 * long as the table, and are NULL when an optional column is absent. The column must
 * have been declared with that type. */
bool vidur_csv_has(const struct vidur_csv *csv, int column);
const double *vidur_csv_doubles(const struct vidur_csv *csv, int column);
const int64_t *vidur_csv_int64s(const struct vidur_csv *csv, int column);
/* Nanoseconds. */
const int64_t *vidur_csv_times(const struct vidur_csv *csv, int column);
const bool *vidur_csv_bools(const struct vidur_csv *csv, int column);

/* Strings are interned: equal texts in one table have equal ids, counted from 0 in
 * order of first appearance. vidur_csv_string() is the text of an id, NULL beyond the
 * last. */
const int32_t *vidur_csv_string_ids(const struct vidur_csv *csv, int column);
const char *vidur_csv_string(const struct vidur_csv *csv, int32_t id);

/* For messages about a row's meaning: the line that it starts on, and
 * vidur_fail() with `FILE:LINE: COLUMN: ` in front (column < 0: without it). */
int vidur_csv_line(const struct vidur_csv *csv, int64_t row);
int vidur_csv_fail(const struct vidur_csv *csv, int64_t row, int column,
                   struct vidur_error *err, const char *fmt, ...) VIDUR_PRINTF(5, 6);

/*
 * Writing. Fields are put one after the other, end_row ends the line; errors (a full
 * disk) are remembered and reported by commit, which renames the finished file into
 * place: a reader never sees half a file. Doubles are written as %.17g, NaN as an empty
 * cell; strings are quoted where they must be.
 */
struct vidur_csv_writer;

struct vidur_csv_writer *vidur_csv_writer_open(const char *path,
                                               struct vidur_error *err);
/* The same onto a stream that the caller owns and checks; commit only frees. */
struct vidur_csv_writer *vidur_csv_writer_on(FILE *out, struct vidur_error *err);
void vidur_csv_put_string(struct vidur_csv_writer *writer, const char *text);
/* For texts that people open in a spreadsheet: what it would take for a formula (a text
 * that begins with = + - @, a tab or a line's end) gets an apostrophe in front. */
void vidur_csv_put_text(struct vidur_csv_writer *writer, const char *text);
void vidur_csv_put_double(struct vidur_csv_writer *writer, double value);
void vidur_csv_put_int64(struct vidur_csv_writer *writer, int64_t value);
void vidur_csv_put_empty(struct vidur_csv_writer *writer);
void vidur_csv_end_row(struct vidur_csv_writer *writer);

/* Both free the writer. commit: 0, or -1 with nothing left at `path` that was not there
 * before. discard: gives up silently; takes NULL. */
int vidur_csv_writer_commit(struct vidur_csv_writer *writer, struct vidur_error *err);
void vidur_csv_writer_discard(struct vidur_csv_writer *writer);

#endif
