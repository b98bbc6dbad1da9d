#ifndef VIDUR_TRACE_OPTIONS_H
#define VIDUR_TRACE_OPTIONS_H

/* How files of requests are read. */

/* What an access log calls its columns; in JSONL a path: usage.prompt_tokens. Empty:
 * the member's own name. session is equal for the turns of a conversation; prefix has
 * ids of the prompt's blocks from its beginning on; one of ended_at, latency_s and
 * latency_ms says when the answer was complete; priority is a whole number, lower
 * values first. */
#define VIDUR_TRACE_COLUMNS(X)                                                         \
    X(arrived_at)                                                                      \
    X(prompt_tokens)                                                                   \
    X(output_tokens)                                                                   \
    X(session)                                                                         \
    X(prefix)                                                                          \
    X(ended_at)                                                                        \
    X(latency_s)                                                                       \
    X(latency_ms)                                                                      \
    X(priority)
enum { VIDUR_TRACE_COLUMN_NAME = 64 };
struct vidur_trace_columns {
#define X(name) char name[VIDUR_TRACE_COLUMN_NAME];
    VIDUR_TRACE_COLUMNS(X)
#undef X
};

enum {
    VIDUR_TRACE_FORMAT_NAME = 24, /* bytes */
    VIDUR_TRACE_UNIT_NAME = 8,
    VIDUR_TRACE_CHARACTERS_PER_TOKEN = 4, /* of English text, roughly */
    VIDUR_TRACE_BLOCK_TOKENS = 512
};

/* How to read a file of requests, beside its path; zeros: as its content and format
 * say. `vidur-search --list formats` has the formats. */
struct vidur_trace_options {
    char format[VIDUR_TRACE_FORMAT_NAME];
    char time_unit[VIDUR_TRACE_UNIT_NAME]; /* s, ms, us, ns */
    double characters_per_token;           /* where a file has texts alone */
    int block_tokens;                      /* of a prompt, that an id stands for */
    struct vidur_trace_columns columns;
};

struct vidur_yaml_field;

/* The keys that say how to read a file of requests (VIDUR_YAML_PART), for a struct
 * vidur_trace_options. */
const struct vidur_yaml_field *vidur_trace_option_fields(void);

#endif
