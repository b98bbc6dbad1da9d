#ifndef VIDUR_BASE_SNIFF_H
#define VIDUR_BASE_SNIFF_H

#include <stddef.h>

/* What a file is that was taken for a table of text, by its first bytes: "JSON",
 * "Parquet", "binary data", ...; NULL: it may be text. A constant. */
const char *vidur_sniff(const char *bytes, size_t size);

#endif
