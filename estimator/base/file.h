#ifndef VIDUR_BASE_FILE_H
#define VIDUR_BASE_FILE_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Whole files: reading one into memory, and replacing one atomically.
 *
 * An output file is written under a temporary name in the same folder and renamed into
 * place by commit, after fsync: whoever opens PATH sees the old file or the whole new
 * one. A full disk is an error of commit and leaves the old file. A path that exists
 * and is not a regular file (/dev/stdout, a pipe) is written directly.
 */

struct vidur_file;

/* NULL on error. End with commit or discard, which free it. */
struct vidur_file *vidur_file_create(const char *path, struct vidur_error *err);
FILE *vidur_file_stream(struct vidur_file *file); /* do not fclose() it */
int vidur_file_commit(struct vidur_file *file, struct vidur_error *err);
void vidur_file_discard(struct vidur_file *file); /* takes NULL */

/* Makes the renaming of `path` survive a power cut. */
void vidur_file_sync_folder(const char *path);

/* Replaces `path` by these bytes. */
int vidur_file_write(const char *path, const void *data, size_t size,
                     struct vidur_error *err);

/* The file's bytes and a NUL after them; the caller frees them. `size` may be NULL. At
 * most max_bytes, 0 for any: more is an error. */
char *vidur_file_read(const char *path, size_t max_bytes, size_t *size,
                      struct vidur_error *err);

/* Makes a folder and its missing parents. */
int vidur_file_make_folder(const char *path, struct vidur_error *err);

bool vidur_file_exists(const char *path);

/* Fails with VIDUR_EIO, "PATH: DOING: " and the text of errno. */
int vidur_file_fail(struct vidur_error *err, const char *path, const char *doing);

#endif
