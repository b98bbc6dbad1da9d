#include <vidur/csv.h>

#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vidur_csv_writer {
    struct vidur_file *file; /* NULL: the stream is the caller's */
    FILE *out;
    bool in_row;
};

struct vidur_csv_writer *vidur_csv_writer_open(const char *path,
                                               struct vidur_error *err)
{
    struct vidur_csv_writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    writer->file = vidur_file_create(path, err);
    if (!writer->file) {
        free(writer);
        return NULL;
    }
    writer->out = vidur_file_stream(writer->file);
    return writer;
}

struct vidur_csv_writer *vidur_csv_writer_on(FILE *out, struct vidur_error *err)
{
    struct vidur_csv_writer *writer = calloc(1, sizeof *writer);
    if (writer)
        writer->out = out;
    else
        vidur_fail(err, VIDUR_ENOMEM, "out of memory for a CSV");
    return writer;
}

static void separate(struct vidur_csv_writer *writer)
{
    if (writer->in_row)
        putc(',', writer->out);
    writer->in_row = true;
}

static bool must_quote(const char *text)
{
    const size_t length = strlen(text);
    if (length == 0)
        return false;
    return strpbrk(text, ",\"\r\n") || strchr(" \t", text[0]) ||
           strchr(" \t", text[length - 1]);
}

/* A cell; `mark` goes before its text. */
static void put_cell(struct vidur_csv_writer *writer, const char *mark,
                     const char *text)
{
    separate(writer);
    if (!must_quote(text)) {
        fprintf(writer->out, "%s%s", mark, text);
        return;
    }
    fprintf(writer->out, "\"%s", mark);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', writer->out);
        putc(*text, writer->out);
    }
    putc('"', writer->out);
}

void vidur_csv_put_string(struct vidur_csv_writer *writer, const char *text)
{
    put_cell(writer, "", text);
}

void vidur_csv_put_text(struct vidur_csv_writer *writer, const char *text)
{
    put_cell(writer, vidur_text_is_formula(text) ? "'" : "", text);
}

void vidur_csv_put_double(struct vidur_csv_writer *writer, double value)
{
    separate(writer);
    if (!isnan(value))
        fprintf(writer->out, "%.17g", value);
}

void vidur_csv_put_int64(struct vidur_csv_writer *writer, int64_t value)
{
    separate(writer);
    fprintf(writer->out, "%" PRId64, value);
}

void vidur_csv_put_empty(struct vidur_csv_writer *writer)
{
    separate(writer);
}

void vidur_csv_end_row(struct vidur_csv_writer *writer)
{
    putc('\n', writer->out);
    writer->in_row = false;
}

int vidur_csv_writer_commit(struct vidur_csv_writer *writer, struct vidur_error *err)
{
    const int status = writer->file ? vidur_file_commit(writer->file, err) : 0;
    free(writer);
    return status;
}

void vidur_csv_writer_discard(struct vidur_csv_writer *writer)
{
    if (!writer)
        return;
    if (writer->file)
        vidur_file_discard(writer->file);
    free(writer);
}
