#ifndef VIDUR_BASE_JSON_H
#define VIDUR_BASE_JSON_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * JSON documents: reading with typed getters, and writing of small ones.
 * Errors read `FILE:LINE: ...` for bad syntax, `FILE: KEY.PATH: ...` for a value.
 */

struct vidur_json; /* a document that was read */

/* A place in a document, a value to pass around. `value` is NULL where there is
 * nothing; the getters say so with the path that was asked for. Lives as long as its
 * document. */
struct vidur_json_node {
    const struct vidur_json *doc;
    const void *value;
    char path[192]; /* cut when longer */
};

enum vidur_json_kind {
    VIDUR_JSON_ABSENT,
    VIDUR_JSON_NULL,
    VIDUR_JSON_BOOL,
    VIDUR_JSON_NUMBER,
    VIDUR_JSON_STRING,
    VIDUR_JSON_ARRAY,
    VIDUR_JSON_OBJECT
};

/* Duplicate keys are errors. Free with vidur_json_free(). */
struct vidur_json *vidur_json_load(const char *path, struct vidur_error *err);
struct vidur_json *vidur_json_parse(const char *name, const char *text, size_t size,
                                    struct vidur_error *err);
/* The same for a piece of a file that begins on a line of it: all errors name lines of
 * the file, those of values the piece's first (`FILE:LINE: KEY.PATH: ...`). */
struct vidur_json *vidur_json_parse_at(const char *name, int line, const char *text,
                                       size_t size, struct vidur_error *err);
void vidur_json_free(struct vidur_json *doc);

struct vidur_json_node vidur_json_root(const struct vidur_json *doc);
enum vidur_json_kind vidur_json_kind(const struct vidur_json_node *node);
/* Members of an object or elements of an array; 0 for other kinds. */
int vidur_json_count(const struct vidur_json_node *node);
struct vidur_json_node vidur_json_item(const struct vidur_json_node *node, int index);
struct vidur_json_node vidur_json_get(const struct vidur_json_node *node,
                                      const char *key);
/* Whether the object has the key with a value other than null. */
bool vidur_json_has(const struct vidur_json_node *node, const char *key);
/* The key of an object's index-th member, in the file's order; NULL beyond the last. */
const char *vidur_json_key(const struct vidur_json_node *node, int index);

int vidur_json_as_double(const struct vidur_json_node *node, double *out,
                         struct vidur_error *err);
int vidur_json_as_int64(const struct vidur_json_node *node, int64_t *out,
                        struct vidur_error *err);
int vidur_json_as_int(const struct vidur_json_node *node, int *out,
                      struct vidur_error *err);
int vidur_json_as_bool(const struct vidur_json_node *node, bool *out,
                       struct vidur_error *err);
/* The text lives as long as the document; NULL on error. */
const char *vidur_json_as_string(const struct vidur_json_node *node,
                                 struct vidur_error *err);
int vidur_json_fail(const struct vidur_json_node *node, struct vidur_error *err,
                    const char *fmt, ...) VIDUR_PRINTF(3, 4);

/*
 * Writing. Values are put into the innermost open object (key needed) or array (key
 * NULL); the root is the first begin. Errors are remembered and told at the end.
 * Doubles get 17 significant digits; NaN and infinities become null.
 */
struct vidur_json_writer;

struct vidur_json_writer *vidur_json_writer_new(struct vidur_error *err);
void vidur_json_begin_object(struct vidur_json_writer *writer, const char *key);
void vidur_json_begin_array(struct vidur_json_writer *writer, const char *key);
void vidur_json_end(struct vidur_json_writer *writer); /* innermost object or array */
void vidur_json_put_double(struct vidur_json_writer *writer, const char *key,
                           double value);
void vidur_json_put_int64(struct vidur_json_writer *writer, const char *key,
                          int64_t value);
void vidur_json_put_bool(struct vidur_json_writer *writer, const char *key, bool value);
void vidur_json_put_string(struct vidur_json_writer *writer, const char *key,
                           const char *value); /* NULL: null */

/* The document as text, which the caller frees; or written to a file, atomically. */
char *vidur_json_writer_text(const struct vidur_json_writer *writer,
                             struct vidur_error *err);
int vidur_json_writer_save(const struct vidur_json_writer *writer, const char *path,
                           struct vidur_error *err);
void vidur_json_writer_free(struct vidur_json_writer *writer);

#endif
