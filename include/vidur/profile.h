#ifndef VIDUR_PROFILE_H
#define VIDUR_PROFILE_H

#include <vidur/error.h>
#include <vidur/log.h>
#include <vidur/model.h>
#include <vidur/paths.h>
#include <vidur/timetable.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * What was measured (or made up by a roofline): for each operator of one (model,
 * device, node, TP) a list of samples, each one or two features and a time. The
 * regressors of forest.h are fitted to them. Source: SIMULATOR.md section 7.
 */

/* The operators of a profile: those on one integer, then the two on two. */
enum {
    VIDUR_OP_attn_decode = VIDUR_NUM_TOKEN_OPERATORS,
    VIDUR_OP_attn_prefill,
    VIDUR_NUM_OPERATORS
};

enum { VIDUR_MAX_FEATURES = 2, VIDUR_OPERATOR_NAME_MAX = 32 };

/*
 * Samples of one operator in the order of their file, as columns. Owns its arrays.
 * Features: token operators num_tokens (a whole number or, where it was derived from a
 * message size, a fraction); CPU overheads batch_size; attn_decode batch_size,
 * kv_cache_size; attn_prefill kv_cache_size, prefill_chunk_size_squared.
 * num_rows 0: this deployment does not run the operator, or it takes no time.
 */
struct vidur_samples {
    char name[VIDUR_OPERATOR_NAME_MAX]; /* "attn_pre_proj" */
    char feature_names[VIDUR_MAX_FEATURES][VIDUR_OPERATOR_NAME_MAX];
    int num_features;
    int64_t num_rows;
    double *features[VIDUR_MAX_FEATURES]; /* finite, not negative */
    double *target_ms;                    /* finite, not negative */
    int64_t num_duplicates;      /* rows left out because an earlier one is equal */
    int64_t num_empty;           /* rows left out because they have no time */
    char source[VIDUR_PATH_MAX]; /* file, or "roofline" */
};

struct vidur_profile {
    struct vidur_samples operators[VIDUR_NUM_OPERATORS];
};

/* The operator's name; also for the two attention operators. */
const char *vidur_operator_name(int op);

/* An empty profile whose operators have their names, features and no rows; NULL when
 * out of memory. Free takes NULL. */
struct vidur_profile *vidur_profile_create(struct vidur_error *err);
void vidur_profile_free(struct vidur_profile *profile);

/* Gives a named, empty `samples` room for num_rows rows, all zero. */
int vidur_samples_resize(struct vidur_samples *samples, int64_t num_rows,
                         struct vidur_error *err);
/* Drops the rows. */
void vidur_samples_release(struct vidur_samples *samples);

/* Smallest and largest value of a feature; num_rows > 0. */
void vidur_samples_range(const struct vidur_samples *samples, int feature, double *min,
                         double *max);

/* What to read from profile folders. */
struct vidur_profile_request {
    const char *const *dirs; /* the first folder that has a file wins */
    int num_dirs;
    const struct vidur_model_spec *model;
    const char *device; /* "a100": compute/a100/MODEL/... */
    const char *node;   /* "a100_dgx": network/a100_dgx/... */
    int tensor_parallel_size;
    int block_size_tokens; /* which rows of attention.csv; 0: any */
    bool pipeline;         /* send_recv is needed */
    bool multi_node;       /* send_recv between nodes: devices_per_node == 1 */
    bool cpu_overhead;     /* the five CPU overheads are needed */
    /* What has a stand-in may be missing: a network file that no folder has leaves its
     * operator without samples, and where no row has the wanted block size, rows of any
     * are taken, with a warning. */
    bool lenient;
};

/* X(name, path below a folder; %D device, %M model, %N node) */
#define VIDUR_PROFILE_FILES(X)                                                         \
    X(mlp, "compute/%D/%M/mlp.csv")                                                    \
    X(attention, "compute/%D/%M/attention.csv")                                        \
    X(all_reduce, "network/%N/all_reduce.csv")                                         \
    X(send_recv, "network/%N/send_recv.csv")                                           \
    X(cpu_overhead, "cpu_overhead/%N/%M/cpu_overheads.csv")

enum vidur_profile_file {
#define X(name, path) VIDUR_PROFILE_FILE_##name,
    VIDUR_PROFILE_FILES(X)
#undef X
        VIDUR_NUM_PROFILE_FILES
};

/* The files that a request needs and where they are; an empty text: not needed. */
struct vidur_profile_paths {
    struct vidur_path files[VIDUR_NUM_PROFILE_FILES];
};

/*
 * Finds the files (.csv, else .csv.gz, in the first folder that has one). A needed file
 * that is nowhere is an error that names the folders searched and what they do have;
 * of a lenient request, a network file that is nowhere has an empty text.
 */
int vidur_profile_find(struct vidur_profile_paths *paths,
                       const struct vidur_profile_request *request,
                       struct vidur_error *err);

/*
 * Reads a profile in the reference's layout. Rows of other models, TP sizes, block
 * sizes and node spans are skipped; exact duplicate rows are dropped; rows whose time
 * is empty are left out of that operator, counted and said through the log (`add`: they
 * count 0). A vocab_size that differs from the model's is only warned of. No rows left
 * for an operator is an error that names the file, what was asked and what is there; so
 * are missing columns, text or NaN in a number's place and negative times. *out is
 * released with vidur_profile_free. Thread-safe. `log` may be NULL.
 */
int vidur_profile_read_csv(struct vidur_profile **out,
                           const struct vidur_profile_request *request,
                           const struct vidur_log *log, struct vidur_error *err);

/* What the folders hold for a request, without its samples. */
struct vidur_profile_survey {
    bool has_rows; /* both mlp.csv and attention.csv have some of this model and TP */
    bool has_block_size;  /* attention.csv has some of the wanted block size */
    char block_sizes[64]; /* that attention.csv has for this model and TP: "16, 32" */
    char missing[VIDUR_PATH_MAX]; /* where !has_rows: one line on what is not there */
};

/* Files that are there and damaged are an error; files and rows that are not there are
 * none. Thread-safe. */
int vidur_profile_survey(struct vidur_profile_survey *out,
                         const struct vidur_profile_request *request,
                         struct vidur_error *err);

#endif
