#ifndef VIDUR_SIM_TRACE_JSON_H
#define VIDUR_SIM_TRACE_JSON_H

#include "base/json.h"
#include "load/trace.h"

#include <stdbool.h>

/*
 * Request logs in JSON. Records come one by one, so that a file of any length takes the
 * memory of one: a line each, or the elements of one array.
 */

/* What a format does with a record, which begins on that line of the file. */
typedef int vidur_trace_record_reader(struct vidur_trace *trace,
                                      const struct vidur_json_node *record, int line,
                                      struct vidur_error *err);

int vidur_trace_each_record(struct vidur_trace *trace, vidur_trace_record_reader *read,
                            struct vidur_error *err);
/* Reads a file, plain or gzipped, that is one document, whose line is 1. */
int vidur_trace_read_document(struct vidur_trace *trace,
                              vidur_trace_record_reader *read, struct vidur_error *err);
/* Of a document, the items of the list at the path, if it is one. */
int vidur_trace_each_item(struct vidur_trace *trace, const struct vidur_json_node *node,
                          const char *path, vidur_trace_record_reader *read,
                          struct vidur_error *err);

/* ---- Values ---- */

/* Up to so many paths, fewer where one is NULL. */
enum { VIDUR_TRACE_PATHS = 5 };

/* The first of these paths ("metrics.input_sequence_length.value") that has a value;
 * else what is at the first of them: nothing. */
struct vidur_json_node vidur_trace_json_any(const struct vidur_json_node *record,
                                            const char *const paths[VIDUR_TRACE_PATHS]);
struct vidur_json_node vidur_trace_json_path(const struct vidur_json_node *record,
                                             const char *path);
/* A whole number of tokens, which may be written with a point; 0 or more. */
int vidur_trace_json_tokens(const struct vidur_json_node *node, int64_t *out,
                            struct vidur_error *err);
/* A number in the unit, or a text with one or with a date. */
int vidur_trace_json_time(const struct vidur_json_node *node, const char *unit,
                          int64_t *ns, struct vidur_error *err);
/* A name: a text or a whole number; "" for anything else. */
const char *vidur_trace_json_name(const struct vidur_json_node *node, char *out,
                                  size_t size);
/* Where the records of a format have what a request is, as vidur_trace_json_any takes
 * it; no path: nowhere. A record may lack what is behind output_tokens. */
struct vidur_trace_members {
#define X(name) const char *name[VIDUR_TRACE_PATHS];
    VIDUR_TRACE_COLUMNS(X)
#undef X
    const char *time_unit;
    bool time_optional;
    bool empty_is_left_out; /* a record that says no output tokens had no output */
};
/* Fills a row with what the members know of; ids of blocks are added already. */
int vidur_trace_json_row(struct vidur_trace *trace,
                         const struct vidur_trace_members *members,
                         const struct vidur_json_node *record,
                         struct vidur_trace_row *row, struct vidur_error *err);
int vidur_trace_add_record(struct vidur_trace *trace,
                           const struct vidur_trace_members *members,
                           const struct vidur_json_node *record, int line,
                           struct vidur_error *err);
/* Whether the member says that the request failed: a text, an object or true. */
bool vidur_trace_json_is_failure(const struct vidur_json_node *node);

/* Tokens that a text of so many characters is taken to have. */
int64_t vidur_trace_json_estimate(struct vidur_trace *trace, int64_t characters);
/* Characters of a text in UTF-8. */
int64_t vidur_trace_json_characters(const char *text);

#endif
