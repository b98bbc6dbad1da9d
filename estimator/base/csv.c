#include <vidur/csv.h>

#include "base/csv_table.h"
#include "base/gz.h"
#include "base/instant.h"
#include "base/sniff.h"
#include "base/text.h"

#include <csv.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct header_cell {
    char *name;
    int column; /* of the schema, or -1 */
};

struct reader {
    struct vidur_csv *csv;
    struct vidur_error *err;
    struct csv_parser parser;
    struct header_cell *header;
    int num_fields, header_capacity;
    int field; /* of the row being read */
    int line, row_line;
    bool has_header, row_open, failed;
    bool drop_duplicates;
    struct vidur_text row_text;
    struct vidur_intern seen_rows;
};

static size_t cell_bytes(enum vidur_csv_type type)
{
    switch (type) {
    case VIDUR_CSV_DOUBLE:
        return sizeof(double);
    case VIDUR_CSV_INT64:
    case VIDUR_CSV_TIME:
        return sizeof(int64_t);
    case VIDUR_CSV_BOOL:
        return sizeof(bool);
    case VIDUR_CSV_STRING:
        break;
    }
    return sizeof(int32_t);
}

/* ---- Errors ---- */

static void VIDUR_PRINTF(3, 4)
    reader_fail(struct reader *r, const char *column, const char *fmt, ...)
{
    if (r->failed)
        return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    vidur_fail(r->err, VIDUR_EPARSE, "%s:%d: %s%s%s", r->csv->name,
               r->row_line ? r->row_line : 1, column ? column : "", column ? ": " : "",
               text);
    r->failed = true;
}

static void reader_no_memory(struct reader *r)
{
    if (!r->failed)
        vidur_fail(r->err, VIDUR_ENOMEM, "%s: out of memory", r->csv->name);
    r->failed = true;
}

/* ---- Cells ---- */

static void check_sign(struct reader *r, const struct vidur_csv_column *column,
                       const char *text, double value)
{
    if ((column->flags & VIDUR_CSV_POSITIVE) && !(value > 0))
        reader_fail(r, column->name, "%.40s is not above 0; give a positive number",
                    text);
    else if ((column->flags & VIDUR_CSV_NOT_NEGATIVE) && value < 0)
        reader_fail(r, column->name, "%.40s is negative; give 0 or more", text);
}

static bool is_nan_word(const char *text)
{
    return strcmp(text, "nan") == 0 || strcmp(text, "NaN") == 0;
}

/* A cell without a value, where the column allows it. */
static bool is_blank(const struct vidur_csv_column *column, const char *text)
{
    if (!(column->flags & VIDUR_CSV_EMPTY_OK))
        return false;
    return !text[0] || (column->type != VIDUR_CSV_STRING && is_nan_word(text));
}

static double read_double(struct reader *r, const struct vidur_csv_column *column,
                          const char *text)
{
    double value = NAN;
    if (is_blank(column, text))
        return value;
    if (!vidur_text_double(text, &value))
        reader_fail(r, column->name,
                    "'%.40s' is not a finite number; write it like 0.25", text);
    else
        check_sign(r, column, text, value);
    return value;
}

static int64_t read_int64(struct reader *r, const struct vidur_csv_column *column,
                          const char *text)
{
    int64_t value = VIDUR_CSV_NO_INT64;
    double real;
    if (is_blank(column, text))
        return value;
    if (!vidur_text_int64(text, &value)) {
        if (!vidur_text_double(text, &real) || real != trunc(real) ||
            fabs(real) > 0x1p53) {
            reader_fail(r, column->name,
                        "'%.40s' is not a whole number; write it like 4096", text);
            return value;
        }
        value = (int64_t)real;
    }
    check_sign(r, column, text, (double)value);
    return value;
}

static int64_t read_time(struct reader *r, const struct vidur_csv_column *column,
                         const char *text)
{
    int64_t value = VIDUR_CSV_NO_INT64;
    const char *unit = (column->flags & VIDUR_CSV_MS)   ? "ms"
                       : (column->flags & VIDUR_CSV_US) ? "us"
                       : (column->flags & VIDUR_CSV_NS) ? "ns"
                                                        : "s";
    if (!is_blank(column, text) &&
        !vidur_instant_parse(text, vidur_instant_unit_ns(unit), &value))
        reader_fail(r, column->name,
                    "'%.40s' is not a time; write %s since some start, like 12.5, or "
                    "2024-05-10 00:00:00.009930+00:00",
                    text, unit);
    return value;
}

static bool read_bool(struct reader *r, const struct vidur_csv_column *column,
                      const char *text)
{
    bool value = false;
    if (!is_blank(column, text) && !vidur_text_bool(text, true, &value))
        reader_fail(r, column->name, "'%.40s' is neither true nor false", text);
    return value;
}

static int32_t read_string(struct reader *r, const struct vidur_csv_column *column,
                           const char *text)
{
    if (!text[0] && !(column->flags & VIDUR_CSV_EMPTY_OK)) {
        reader_fail(r, column->name, "empty; give a value");
        return -1;
    }
    const int32_t id = vidur_intern(&r->csv->strings, text, strlen(text), NULL);
    if (id < 0)
        reader_no_memory(r);
    return id;
}

static void read_cell(struct reader *r, int index, const char *text)
{
    const struct vidur_csv_column *column = &r->csv->columns[index];
    const int64_t row = r->csv->rows;
    void *data = r->csv->data[index];
    switch (column->type) {
    case VIDUR_CSV_DOUBLE:
        ((double *)data)[row] = read_double(r, column, text);
        break;
    case VIDUR_CSV_INT64:
        ((int64_t *)data)[row] = read_int64(r, column, text);
        break;
    case VIDUR_CSV_TIME:
        ((int64_t *)data)[row] = read_time(r, column, text);
        break;
    case VIDUR_CSV_BOOL:
        ((bool *)data)[row] = read_bool(r, column, text);
        break;
    case VIDUR_CSV_STRING:
        ((int32_t *)data)[row] = read_string(r, column, text);
        break;
    }
}

/* ---- Rows ---- */

static bool grow_columns(struct vidur_csv *csv, int64_t capacity)
{
    for (int i = 0; i < csv->num_columns; i++) {
        if (!csv->data[i])
            continue;
        const size_t bytes = cell_bytes(csv->columns[i].type) * (size_t)capacity;
        void *data = realloc(csv->data[i], bytes);
        if (!data)
            return false;
        csv->data[i] = data;
    }
    int *lines = realloc(csv->lines, (size_t)capacity * sizeof *lines);
    if (!lines)
        return false;
    csv->lines = lines;
    csv->capacity = capacity;
    return true;
}

static void add_header_cell(struct reader *r, const char *text)
{
    if (r->num_fields == r->header_capacity) {
        const int capacity = r->header_capacity ? 2 * r->header_capacity : 32;
        struct header_cell *header =
            realloc(r->header, (size_t)capacity * sizeof *header);
        if (!header) {
            reader_no_memory(r);
            return;
        }
        r->header = header;
        r->header_capacity = capacity;
    }
    struct header_cell *cell = &r->header[r->num_fields++];
    *cell = (struct header_cell){strdup(text), -1};
    if (!cell->name)
        reader_no_memory(r);
}

static void match_header(struct reader *r)
{
    struct vidur_csv *csv = r->csv;
    for (int f = 0; f < r->num_fields && !r->failed; f++)
        for (int c = 0; c < csv->num_columns; c++) {
            if (strcmp(csv->columns[c].name, r->header[f].name) != 0)
                continue;
            if (csv->data[c]) {
                reader_fail(r, csv->columns[c].name,
                            "two columns have this name; rename or drop one");
                return;
            }
            r->header[f].column = c;
            if (!(csv->data[c] = malloc(1)))
                reader_no_memory(r);
        }
}

/* Whether a header can be meant for a column that is missing: it is misspelt or has
 * the same role, and is not more like another column. */
static bool may_be_meant(const struct reader *r, const struct header_cell *cell,
                         const char *name)
{
    const int distance = vidur_text_distance(name, cell->name);
    if (cell->column >= 0 || !cell->name[0] || vidur_text_other_role(name, cell->name))
        return false;
    for (int c = 0; c < r->csv->num_columns; c++) {
        const char *other = r->csv->columns[c].name;
        if (!vidur_text_other_role(other, cell->name) &&
            vidur_text_distance(other, cell->name) < distance)
            return false;
    }
    return vidur_text_same_role(name, cell->name) || 4 * distance <= (int)strlen(name);
}

static const char *nearest_header(const struct reader *r, const char *name)
{
    const char *best = NULL;
    int best_distance = 0;
    for (int f = 0; f < r->num_fields; f++) {
        const int distance = vidur_text_distance(name, r->header[f].name);
        if (may_be_meant(r, &r->header[f], name) &&
            (!best || distance < best_distance)) {
            best = r->header[f].name;
            best_distance = distance;
        }
    }
    return best;
}

static void fail_missing(struct reader *r, const char *name)
{
    enum { SHOWN = 10 };
    const char *nearest = nearest_header(r, name);
    char list[320] = "";
    for (int f = 0; f < r->num_fields && f < SHOWN; f++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%.24s", f ? ", " : "",
                 r->header[f].name);
    }
    if (nearest)
        reader_fail(r, name, "the file has no such column; the nearest is '%.60s'",
                    nearest);
    else
        reader_fail(r, name, "the file has no such column; it has %s%s", list,
                    r->num_fields > SHOWN ? ", ..." : "");
}

static void end_header(struct reader *r)
{
    match_header(r);
    for (int c = 0; c < r->csv->num_columns && !r->failed; c++) {
        const struct vidur_csv_column *column = &r->csv->columns[c];
        if (!r->csv->data[c] && !(column->flags & VIDUR_CSV_OPTIONAL))
            fail_missing(r, column->name);
    }
    if (!r->failed && !grow_columns(r->csv, 1024))
        reader_no_memory(r);
    r->has_header = true;
}

static bool is_duplicate(struct reader *r)
{
    bool is_new = true;
    if (r->row_text.failed ||
        vidur_intern(&r->seen_rows, r->row_text.data, r->row_text.length, &is_new) < 0)
        reader_no_memory(r);
    return !is_new;
}

static void end_row(struct reader *r)
{
    struct vidur_csv *csv = r->csv;
    if (r->field != r->num_fields) {
        reader_fail(r, NULL, "%d fields where the header has %d; every row needs all",
                    r->field, r->num_fields);
        return;
    }
    if (r->drop_duplicates && is_duplicate(r)) {
        csv->duplicates++;
        return;
    }
    csv->lines[csv->rows++] = r->row_line;
    if (csv->rows == csv->capacity && !grow_columns(csv, 2 * csv->capacity))
        reader_no_memory(r);
}

/* libcsv calls this at the end of every field ... */
static void on_field(void *field, size_t length, void *ctx)
{
    struct reader *r = ctx;
    const char *text = field;
    if (r->failed)
        return;
    if (strlen(text) != length) {
        reader_fail(r, NULL, "field %d has a NUL byte; the file is not text",
                    r->field + 1);
        return;
    }
    if (!r->has_header) {
        add_header_cell(r, text);
    } else if (r->field < r->num_fields) {
        if (r->header[r->field].column >= 0)
            read_cell(r, r->header[r->field].column, text);
        if (r->drop_duplicates)
            vidur_text_add(&r->row_text, text, length + 1);
    }
    r->field++;
}

/* ... and this at the end of every row. */
static void on_row(int terminator, void *ctx)
{
    (void)terminator;
    struct reader *r = ctx;
    if (r->failed)
        return;
    if (r->has_header)
        end_row(r);
    else
        end_header(r);
    r->field = 0;
    r->row_text.length = 0;
    r->row_open = false;
}

/* ---- Feeding ---- */

static bool is_blank_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

/* At most one line at a time, so that a row's first line is known: a quoted field may
 * hold line breaks. */
static void feed_line(struct reader *r, const char *text, size_t size)
{
    if (!r->row_open) {
        r->row_line = r->line;
        r->row_open = !is_blank_text(text, size);
    }
    if (csv_parse(&r->parser, text, size, on_field, on_row, r) != size) {
        if (csv_error(&r->parser) == CSV_EPARSE)
            reader_fail(r, NULL,
                        "a stray double quote; double it inside a quoted field");
        else
            reader_no_memory(r);
    }
    if (text[size - 1] == '\n')
        r->line++;
}

static void feed(struct reader *r, const char *text, size_t size)
{
    while (size > 0 && !r->failed) {
        const char *newline = memchr(text, '\n', size);
        const size_t length = newline ? (size_t)(newline - text) + 1 : size;
        feed_line(r, text, length);
        text += length;
        size -= length;
    }
}

/* The beginning, without a byte order mark, unless it shows that the file is no CSV. */
static void feed_first(struct reader *r, const char *text, size_t size)
{
    const char *what = vidur_sniff(text, size);
    const size_t skip = vidur_text_mark(text, size);
    if (what)
        reader_fail(r, NULL,
                    "this is %s; give CSV: text with a header row, plain or gzipped "
                    "(.csv.gz)",
                    what);
    feed(r, text + skip, size - skip);
}

static int feed_file(struct reader *r, const char *path)
{
    enum { CHUNK = 1 << 18 };
    struct vidur_gz *gz = vidur_gz_open(path, r->err);
    char *buffer = gz ? malloc(CHUNK) : NULL;
    int size = 0;
    if (gz && !buffer)
        reader_no_memory(r);
    for (bool first = true; buffer && !r->failed; first = false) {
        size = vidur_gz_read(gz, buffer, CHUNK, r->err);
        if (size <= 0)
            break;
        if (first)
            feed_first(r, buffer, (size_t)size);
        else
            feed(r, buffer, (size_t)size);
    }
    free(buffer);
    vidur_gz_close(gz);
    return gz && size >= 0 && !r->failed ? 0 : -1;
}

static int finish(struct reader *r)
{
    if (csv_fini(&r->parser, on_field, on_row, r) != 0) {
        if (csv_error(&r->parser) == CSV_EPARSE)
            reader_fail(r, NULL, "a quoted field is not closed before the file ends");
        else
            reader_no_memory(r);
    }
    if (!r->has_header) {
        r->row_line = 1;
        reader_fail(r, NULL, "the file is empty; it needs a header row");
    }
    return r->failed ? -1 : 0;
}

static int reader_init(struct reader *r, const char *name,
                       const struct vidur_csv_schema *schema, struct vidur_error *err)
{
    const size_t n = (size_t)schema->num_columns;
    *r = (struct reader){
        .err = err, .line = 1, .drop_duplicates = schema->drop_duplicates};
    if (csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0 ||
        !(r->csv = calloc(1, sizeof *r->csv)))
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", name);
    r->csv->columns = schema->columns;
    r->csv->name = strdup(name);
    r->csv->data = calloc(n ? n : 1, sizeof *r->csv->data);
    if (!r->csv->name || !r->csv->data)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", name);
    r->csv->num_columns = schema->num_columns;
    return 0;
}

/* Hands the table over, or frees it when the reading failed. */
static struct vidur_csv *reader_end(struct reader *r, int status)
{
    struct vidur_csv *csv = r->csv;
    for (int f = 0; f < r->num_fields; f++)
        free(r->header[f].name);
    free(r->header);
    free(r->row_text.data);
    vidur_intern_fini(&r->seen_rows);
    csv_free(&r->parser);
    if (status == 0)
        return csv;
    vidur_csv_free(csv);
    return NULL;
}

struct vidur_csv *vidur_csv_read(const char *path,
                                 const struct vidur_csv_schema *schema,
                                 struct vidur_error *err)
{
    struct reader r;
    int status = reader_init(&r, path, schema, err);
    if (status == 0)
        status = feed_file(&r, path);
    if (status == 0)
        status = finish(&r);
    return reader_end(&r, status);
}

struct vidur_csv *vidur_csv_parse(const char *name, const char *text, size_t size,
                                  const struct vidur_csv_schema *schema,
                                  struct vidur_error *err)
{
    struct reader r;
    int status = reader_init(&r, name, schema, err);
    if (status == 0) {
        feed_first(&r, text, size);
        status = r.failed ? -1 : finish(&r);
    }
    return reader_end(&r, status);
}
