#include "base/sniff.h"

#include <stdbool.h>
#include <string.h>

struct magic {
    const char *bytes;
    size_t size;
    const char *what;
};

#define MAGIC(bytes, what)                                                             \
    {                                                                                  \
        bytes, sizeof bytes - 1, what                                                  \
    }

static const struct magic magics[] = {
    MAGIC("PAR1", "Parquet"),
    MAGIC("ARROW1", "Arrow"),
    MAGIC("Obj\x01", "Avro"),
    MAGIC("PK\x03\x04", "a zip archive or a spreadsheet (.xlsx)"),
    MAGIC("\xd0\xcf\x11\xe0", "a spreadsheet (.xls)"),
    MAGIC("\x1f\x8b", "data that was gzipped twice"),
    MAGIC("\x28\xb5\x2f\xfd", "Zstandard data"),
    MAGIC("\xfd"
          "7zXZ",
          "xz data"),
    MAGIC("7z\xbc\xaf", "a 7z archive"),
    MAGIC("\x89HDF\r\n\x1a\n", "HDF5"),
    MAGIC("SQLite format 3", "an SQLite database"),
    MAGIC("\x93NUMPY", "a NumPy array"),
    MAGIC("%PDF-", "PDF"),
    MAGIC("\xff\xfe", "UTF-16 text"),
    MAGIC("\xfe\xff", "UTF-16 text"),
    MAGIC("<!DOCTYPE", "HTML"),
    MAGIC("<html", "HTML"),
    MAGIC("<?xml", "XML"),
    MAGIC("version https://git-lfs", "a Git LFS pointer, not the file itself"),
};

/* A NUL byte is left to readers, who know its line. */
static bool has_control_character(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] > 0 && bytes[i] < ' ' && !strchr("\t\n\v\f\r", bytes[i]))
            return true;
    return false;
}

const char *vidur_sniff(const char *bytes, size_t size)
{
    enum { LOOKED_AT = 512 };
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (size >= magics[i].size &&
            memcmp(bytes, magics[i].bytes, magics[i].size) == 0)
            return magics[i].what;
    size_t first = 0;
    while (first < size && strchr(" \t\r\n", bytes[first]) && bytes[first])
        first++;
    if (first < size && (bytes[first] == '{' || bytes[first] == '['))
        return "JSON";
    if (has_control_character(bytes, size < LOOKED_AT ? size : LOOKED_AT))
        return "binary data";
    return NULL;
}
