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
/* The whole file, plain or gzipped, as one document. */
struct vidur_json *vidur_trace_document(const struct vidur_trace *trace,
                                        struct vidur_error *err);

/* ---- Values ---- */

/* The first of these paths ("metrics.input_sequence_length.value") that has a value;
 * else what is at the first of them: nothing. Ends with NULL. */
struct vidur_json_node vidur_trace_json_any(const struct vidur_json_node *record,
                                            const char *const *paths);
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
/* A list of ids, or one. */
int vidur_trace_json_blocks(struct vidur_trace *trace,
                            const struct vidur_json_node *node,
                            struct vidur_error *err);
/* Where the records of a format have what a request is: lists of paths as
 * vidur_trace_json_any takes them; NULL: nowhere. */
struct vidur_trace_members {
    const char *const *time, *const *prompt, *const *output;
    const char *const *session, *const *blocks; /* a record may lack them */
    const char *time_unit;
    bool time_optional;
};
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
