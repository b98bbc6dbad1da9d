#ifndef VIDUR_SEARCH_RESULTS_H5_H
#define VIDUR_SEARCH_RESULTS_H5_H

#include "results/results_layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What results need of HDF5: attributes of the root, texts, and tables whose columns
 * are declared. A file is built and read in memory, so that HDF5 never meets a full
 * disk or a file system without locks. Its 1.8 layout carries checksums in the metadata
 * and every table has one of its own, so that damage is noticed.
 *
 * Functions return 0, or -1 where HDF5 refuses. HDF5 is not thread-safe: one thread at
 * a time; while a file is open HDF5 prints no errors.
 */

struct vidur_h5; /* an open file */

/* The library's version: "1.10.8". */
struct vidur_h5_version {
    char text[32];
};
struct vidur_h5_version vidur_h5_version(void);

/* An empty file in memory; NULL on failure. */
struct vidur_h5 *vidur_h5_create(void);

/* The bytes of an existing file, which HDF5 copies and does not change: it neither
 * locks a file nor reads one that somebody else replaces meanwhile. NULL on failure,
 * with HDF5's reason in `why`. HDF5 1.10 may crash on bytes that are damaged. */
struct vidur_h5 *vidur_h5_open(void *image, size_t image_size, char *why, size_t size);

void vidur_h5_close(struct vidur_h5 *file); /* takes NULL */

/* Ends a created file and gives its bytes, which the caller frees; NULL on failure.
 * Only vidur_h5_close may follow. */
void *vidur_h5_image(struct vidur_h5 *file, size_t *size);

int vidur_h5_put_text(struct vidur_h5 *file, const char *name, const char *text);
int vidur_h5_put_uint64(struct vidur_h5 *file, const char *name, uint64_t value);
int vidur_h5_put_double(struct vidur_h5 *file, const char *name, double value);
int vidur_h5_put_group(struct vidur_h5 *file, const char *path);
/* A dataset that is one text. */
int vidur_h5_put_note(struct vidur_h5 *file, const char *path, const char *text);
/* A compressed 1-D compound; units, descriptions and a SHA-256 as attributes. */
int vidur_h5_put_table(struct vidur_h5 *file, const struct vidur_table *table,
                       const void *rows, int64_t count);

/* Whether the root has an attribute; -1: damage keeps HDF5 from telling. */
int vidur_h5_has(struct vidur_h5 *file, const char *name);
/* The root's attribute as text, which the caller frees; NULL where there is none. */
char *vidur_h5_get_text(struct vidur_h5 *file, const char *name);
/* The text of a dataset that is one; likewise. */
char *vidur_h5_get_note(struct vidur_h5 *file, const char *path);
/* Numbers; *value stays where there is none. */
void vidur_h5_get_uint64(struct vidur_h5 *file, const char *name, uint64_t *value);
void vidur_h5_get_double(struct vidur_h5 *file, const char *name, double *value);
/* Rows that the caller frees; columns are matched by name, missing ones cleared. */
int vidur_h5_get_table(struct vidur_h5 *file, const struct vidur_table *table,
                       void **rows, int64_t *count);

#endif
