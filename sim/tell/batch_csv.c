#include "tell/batch_csv.h"

#include <vidur/csv.h>

#include <math.h>

struct vidur_csv_writer *vidur_batch_csv_open(const char *path, struct vidur_error *err)
{
    struct vidur_csv_writer *writer = vidur_csv_writer_open(path, err);
    if (!writer)
        return NULL;
#define X(name, kind, value) vidur_csv_put_string(writer, #name);
    VIDUR_BATCH_COLUMNS(X)
#undef X
    vidur_csv_end_row(writer);
    return writer;
}

int vidur_batch_csv_put(void *context, const struct vidur_batch_record *b)
{
    struct vidur_csv_writer *writer = context;
#define PUT_INT              vidur_csv_put_int64
#define PUT_REAL             vidur_csv_put_double
#define X(name, kind, value) PUT_##kind(writer, value);
    VIDUR_BATCH_COLUMNS(X)
#undef X
    vidur_csv_end_row(writer);
    return 0;
}
