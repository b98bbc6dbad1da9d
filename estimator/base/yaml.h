#ifndef VIDUR_BASE_YAML_H
#define VIDUR_BASE_YAML_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * YAML configurations: a tree of nodes that know their line and key path, and const
 * schema tables that turn it into plain C structs.
 *
 * Every error reads `FILE:LINE: KEY.PATH: what is wrong; what would be right`, or
 * `--set KEY.PATH: ...` for a value from an override. Duplicate and unknown keys are
 * errors, the latter naming the nearest known key. An empty value (`key:`, `~`, `null`)
 * means the default. Anchors, aliases and merge keys (`<<`) work.
 *
 * A document is read-only after the last vidur_yaml_set() and may then be shared.
 */

struct vidur_yaml;      /* a document: owns its text and nodes */
struct vidur_yaml_node; /* lives as long as its document */

struct vidur_yaml *vidur_yaml_load(const char *path, struct vidur_error *err);
/* From memory; `name` stands for the file in messages and for relative paths. */
struct vidur_yaml *vidur_yaml_parse(const char *name, const char *text, size_t size,
                                    struct vidur_error *err);
void vidur_yaml_free(struct vidur_yaml *doc);

/* Applies one `key.path=value`: the value is YAML; numbers in the path index sequences
 * (schedulers.0.chunk_size; the index one past the end appends); missing mappings are
 * made. Invalidates nodes below the place it changes. After a failure the document is
 * good for vidur_yaml_free() only. */
int vidur_yaml_set(struct vidur_yaml *doc, const char *assignment,
                   struct vidur_error *err);

/* Several, in order. */
int vidur_yaml_set_all(struct vidur_yaml *doc, const char *const *sets, int num_sets,
                       struct vidur_error *err);
/* A program's configuration: a file with its overrides. */
struct vidur_yaml *vidur_yaml_open(const char *path, const char *const *sets,
                                   int num_sets, struct vidur_error *err);

const struct vidur_yaml_node *vidur_yaml_root(const struct vidur_yaml *doc);
const char *vidur_yaml_name(const struct vidur_yaml *doc); /* path as given */
/* The file's text as read, without overrides; size may be NULL. NUL-terminated. */
const char *vidur_yaml_text(const struct vidur_yaml *doc, size_t *size);
/* The overrides in the order they were applied. */
int vidur_yaml_num_sets(const struct vidur_yaml *doc);
const char *vidur_yaml_set_text(const struct vidur_yaml *doc, int index);
/* The node in one line of flow style, mapping keys sorted, overrides applied: equal
 * content gives equal text, for hashing. The caller frees it; NULL: out of memory. */
char *vidur_yaml_canonical(const struct vidur_yaml_node *node);

/* For results: the text as read with a line `# --set ...` per override behind it, which
 * the caller frees (NULL: out of memory), and the SHA-256 of the canonical text. */
char *vidur_yaml_text_with_sets(const struct vidur_yaml *doc, struct vidur_error *err);
int vidur_yaml_sha256(const struct vidur_yaml *doc, char sha256[65],
                      struct vidur_error *err);

/* ---- Schema tables ---- */

enum vidur_yaml_type {
    VIDUR_YAML_INT,       /* int */
    VIDUR_YAML_INT64,     /* int64_t */
    VIDUR_YAML_DOUBLE,    /* double; nan and inf are refused */
    VIDUR_YAML_BOOL,      /* bool; true false yes no on off */
    VIDUR_YAML_STRING,    /* char[size]; too long is an error */
    VIDUR_YAML_PATH,      /* char[size]; resolved with vidur_path_resolve() */
    VIDUR_YAML_REFERENCE, /* char[size]; of a spec: vidur_yaml_as_reference() */
    VIDUR_YAML_ENUM,      /* int-sized enum; the value is the index in `names` */
    VIDUR_YAML_MAPPING,   /* struct at offset, described by `fields` */
    VIDUR_YAML_UNION,     /* struct at offset, described by `choice` */
    VIDUR_YAML_SEQUENCE,  /* pointer at offset to heap elements, int at count_offset */
    VIDUR_YAML_ARRAY,     /* the same in place: element[max_count] at offset */
    VIDUR_YAML_CUSTOM,    /* whatever `read` makes of the node */
    VIDUR_YAML_PART,      /* no key of its own: more keys of the same mapping, those of
                             the table `part`, into the struct at offset */
    VIDUR_YAML_ELSEWHERE  /* a known key that somebody else reads */
};

enum {
    VIDUR_YAML_REQUIRED = 1u << 0, /* missing or empty is an error */
    VIDUR_YAML_MIN = 1u << 1,      /* number >= min */
    VIDUR_YAML_ABOVE = 1u << 2,    /* number > min */
    VIDUR_YAML_MAX = 1u << 3,      /* number <= max */
    VIDUR_YAML_BELOW = 1u << 4,    /* number < max */
    VIDUR_YAML_ONE_OK = 1u << 5, /* SEQUENCE, ARRAY: a lone element stands for a list */
    VIDUR_YAML_TELL = 1u << 6,   /* bool at present_offset := true when given */
    VIDUR_YAML_FILLED = 1u << 7  /* SEQUENCE, ARRAY: must not be empty; STRING and
                                    REFERENCE too */
};

struct vidur_yaml_union;
struct vidur_yaml_field;

/* A table that several mappings share, from whatever file has it. */
typedef const struct vidur_yaml_field *vidur_yaml_part(void);

/* Reads `node` (never NULL or empty) into `out`, the member at the field's offset. */
typedef int vidur_yaml_reader(const struct vidur_yaml_node *node, void *out,
                              struct vidur_error *err);

/* Such a reader of what `function` reads into its own type of struct. */
#define VIDUR_YAML_READER(name, function)                                              \
    static int name(const struct vidur_yaml_node *node, void *out,                     \
                    struct vidur_error *err)                                           \
    {                                                                                  \
        return function(node, out, err);                                               \
    }

/* One key of a mapping, or one element of a sequence (then key is "" and offset 0).
 * Tables end with {0}. Offsets are relative to the struct that
 * the table describes; use the macros below. */
struct vidur_yaml_field {
    const char *key;
    enum vidur_yaml_type type;
    unsigned flags;
    size_t offset;
    size_t size; /* of the member; SEQUENCE and ARRAY: of an element */
    double min, max;
    const char *const *names;               /* ENUM: ends with NULL */
    const struct vidur_yaml_field *fields;  /* MAPPING: its table */
    const struct vidur_yaml_field *element; /* SEQUENCE, ARRAY: one field */
    const struct vidur_yaml_union *choice;  /* UNION */
    const void *element_default;            /* SEQUENCE, ARRAY: or NULL for zeros */
    size_t count_offset;                    /* SEQUENCE, ARRAY: of an int */
    int max_count;                          /* ARRAY: capacity; SEQUENCE: 0 for any */
    size_t present_offset;                  /* with VIDUR_YAML_TELL: of a bool */
    vidur_yaml_reader *read;                /* CUSTOM */
    vidur_yaml_part *part;                  /* PART */
};

/* A mapping whose allowed keys depend on the value of one of them (`type:`). `common`
 * keys are allowed with every variant. All offsets are relative to the same struct. */
struct vidur_yaml_variant {
    const char *name;
    int tag; /* stored at tag_offset */
    const struct vidur_yaml_field *fields;
};

struct vidur_yaml_union {
    const char *tag_key; /* "type" */
    size_t tag_offset;   /* of an int-sized enum */
    bool tag_required;   /* otherwise a missing one keeps the tag that is there */
    const struct vidur_yaml_variant *variants; /* ends with a NULL name */
    const struct vidur_yaml_field *common;     /* or NULL */
};

/* .offset and .size of a member, for a field's initialiser; of a SEQUENCE or ARRAY,
 * with its count. E.g.
 *   {"chunk_size", VIDUR_YAML_INT, VIDUR_YAML_MIN, VIDUR_YAML_AT(struct s, chunk), .min
 * = 1}
 *   {"pp", VIDUR_YAML_ARRAY, 0, VIDUR_YAML_LIST(struct s, pp, num_pp),
 *    .element = &positive_int, .max_count = 8} */
#define VIDUR_YAML_AT(type, member)                                                    \
    .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define VIDUR_YAML_LIST(type, member, count)                                           \
    .offset = offsetof(type, member), .size = sizeof(*((type *)0)->member),            \
    .count_offset = offsetof(type, count)
/* The type of a C type, for rows that an X-macro makes, and such a row: a number (or
 * bool) of at least so much, a member of the same name. */
#define VIDUR_YAML_TYPE_int     VIDUR_YAML_INT
#define VIDUR_YAML_TYPE_int64_t VIDUR_YAML_INT64
#define VIDUR_YAML_TYPE_double  VIDUR_YAML_DOUBLE
#define VIDUR_YAML_TYPE_bool    VIDUR_YAML_BOOL
#define VIDUR_YAML_TYPE__Bool   VIDUR_YAML_BOOL /* what stdbool.h makes of bool */
#define VIDUR_YAML_AT_LEAST(kind_, type_, name_, least_)                               \
    {                                                                                  \
        .key = #name_, .type = VIDUR_YAML_TYPE_##kind_, .flags = VIDUR_YAML_MIN,       \
        VIDUR_YAML_AT(type_, name_), .min = (least_)                                   \
    }
/* The beginning of a row: a key of a member, and the keys of a part. */
#define VIDUR_YAML_KEY(key_, kind_, type_, member_)                                    \
    .key = (key_), .type = VIDUR_YAML_##kind_, VIDUR_YAML_AT(type_, member_)
#define VIDUR_YAML_KEYS(type_, member_, part_)                                         \
    VIDUR_YAML_KEY("", PART, type_, member_), .part = (part_)

/* Fills *out, whose defaults the caller has set, from a mapping. On error *out may be
 * partly filled; vidur_yaml_release() is right in both cases. */
int vidur_yaml_read(const struct vidur_yaml_node *node,
                    const struct vidur_yaml_field *fields, void *out,
                    struct vidur_error *err);
int vidur_yaml_read_union(const struct vidur_yaml_node *node,
                          const struct vidur_yaml_union *choice, void *out,
                          struct vidur_error *err);
/* One value of any type, e.g. inside a CUSTOM reader; `out` is the struct that the
 * field's offset is relative to. */
int vidur_yaml_read_field(const struct vidur_yaml_node *node,
                          const struct vidur_yaml_field *field, void *out,
                          struct vidur_error *err);

/* Frees the SEQUENCEs in *out, also nested ones, and sets them to NULL and 0. A default
 * of a SEQUENCE must be NULL and 0 or come from malloc(). CUSTOM members are the
 * caller's own to free. */
void vidur_yaml_release(const struct vidur_yaml_field *fields, void *out);
void vidur_yaml_release_union(const struct vidur_yaml_union *choice, void *out);

/* ---- Nodes, for hand-written readers ---- */

enum vidur_yaml_kind {
    VIDUR_YAML_IS_EMPTY,
    VIDUR_YAML_IS_SCALAR,
    VIDUR_YAML_IS_SEQUENCE,
    VIDUR_YAML_IS_MAPPING
};

enum vidur_yaml_kind
vidur_yaml_kind(const struct vidur_yaml_node *node);             /* NULL: empty */
const char *vidur_yaml_file(const struct vidur_yaml_node *node); /* document's name */

/* Children of a sequence or mapping, in the file's order; 0 and NULL for other kinds.
 */
int vidur_yaml_count(const struct vidur_yaml_node *node);
const struct vidur_yaml_node *vidur_yaml_item(const struct vidur_yaml_node *node,
                                              int index);
const char *vidur_yaml_key(const struct vidur_yaml_node *node, int index);
/* NULL where the mapping lacks the key or its value is empty. */
const struct vidur_yaml_node *vidur_yaml_get(const struct vidur_yaml_node *mapping,
                                             const char *key);

/* A scalar's text as written, without quotes; NULL for other kinds. */
const char *vidur_yaml_scalar(const struct vidur_yaml_node *node);
int vidur_yaml_as_double(const struct vidur_yaml_node *node, double *out,
                         struct vidur_error *err);
int vidur_yaml_as_int64(const struct vidur_yaml_node *node, int64_t *out,
                        struct vidur_error *err);
int vidur_yaml_as_int(const struct vidur_yaml_node *node, int *out,
                      struct vidur_error *err);
int vidur_yaml_as_bool(const struct vidur_yaml_node *node, bool *out,
                       struct vidur_error *err);
int vidur_yaml_as_string(const struct vidur_yaml_node *node, char *out, size_t size,
                         struct vidur_error *err);
int vidur_yaml_as_path(const struct vidur_yaml_node *node, char *out, size_t size,
                       struct vidur_error *err);
/* A name as it is or, where it ends like a file (.yaml, .yml, .json, in capitals,
 * too), a path. */
int vidur_yaml_as_reference(const struct vidur_yaml_node *node, char *out, size_t size,
                            struct vidur_error *err);
/* A seed of random numbers: a vidur_yaml_reader of an uint64_t. */
int vidur_yaml_read_seed(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err);

/* vidur_fail(VIDUR_EINVAL) with the node's place in front. */
int vidur_yaml_fail(const struct vidur_yaml_node *node, struct vidur_error *err,
                    const char *fmt, ...) VIDUR_PRINTF(3, 4);
/* The same about a key that the mapping has, or lacks. */
int vidur_yaml_fail_key(const struct vidur_yaml_node *mapping, const char *key,
                        struct vidur_error *err, const char *fmt, ...)
    VIDUR_PRINTF(4, 5);
/* What every reader says of a key that the mapping lacks, and of one that it should not
 * have; `names` are those that it may. */
int vidur_yaml_fail_missing(const struct vidur_yaml_node *mapping, const char *key,
                            struct vidur_error *err);
int vidur_yaml_fail_unknown(const struct vidur_yaml_node *mapping, const char *key,
                            const char *const *names, int count,
                            struct vidur_error *err);

#endif
