#include "samples/profile_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Profiles in the reference's CSV layout. A file is a table of key columns, which
 * select rows and give features, and one time column for each operator (the median; for
 * ray_comm_time the mean).
 */

/* ---- mlp.csv ---- */

enum {
    MLP_N_HEAD,
    MLP_N_KV_HEAD,
    MLP_N_EMBD,
    MLP_N_EXPANDED_EMBD,
    MLP_USE_GATED_MLP,
    MLP_TP,
    MLP_VOCAB_SIZE,
    MLP_NUM_TOKENS,
    MLP_TIMES
};

static const int mlp_operators[] = {
    VIDUR_OP_attn_pre_proj,
    VIDUR_OP_attn_post_proj,
    VIDUR_OP_attn_rope,
    VIDUR_OP_mlp_up_proj,
    VIDUR_OP_mlp_act,
    VIDUR_OP_mlp_down_proj,
    VIDUR_OP_input_layernorm,
    VIDUR_OP_post_attention_layernorm,
    VIDUR_OP_add,
};

enum { NUM_MLP_OPERATORS = sizeof mlp_operators / sizeof mlp_operators[0] };

static const struct vidur_csv_column mlp_columns[MLP_TIMES + NUM_MLP_OPERATORS] = {
    {"n_head", VIDUR_CSV_INT64, 0},
    {"n_kv_head", VIDUR_CSV_INT64, 0},
    {"n_embd", VIDUR_CSV_INT64, 0},
    {"n_expanded_embd", VIDUR_CSV_INT64, 0},
    {"use_gated_mlp", VIDUR_CSV_BOOL, 0},
    {"num_tensor_parallel_workers", VIDUR_CSV_INT64, 0},
    {"vocab_size", VIDUR_CSV_INT64, VIDUR_CSV_OPTIONAL},
    {"num_tokens", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
    {"time_stats.attn_pre_proj.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.attn_post_proj.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.attn_rope.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.mlp_up_proj.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.mlp_act.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.mlp_down_proj.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.input_layernorm.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.post_attention_layernorm.median", VIDUR_CSV_DOUBLE,
     VIDUR_PROFILE_OPTIONAL_TIME},
    {"time_stats.add.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_OPTIONAL_TIME},
};

static void mlp_features(const struct vidur_profile_rows *rows, int64_t row,
                         double *features)
{
    features[0] = (double)vidur_csv_int64s(rows->csv, MLP_NUM_TOKENS)[row];
}

static void warn_vocabulary(const struct vidur_profile_rows *rows)
{
    const int wanted = rows->request->model->vocab_size;
    if (!vidur_csv_has(rows->csv, MLP_VOCAB_SIZE))
        return;
    const int64_t *sizes = vidur_csv_int64s(rows->csv, MLP_VOCAB_SIZE);
    for (int64_t i = 0; i < rows->num_rows; i++)
        if (rows->wanted[i] && sizes[i] != wanted) {
            vidur_log_warn(rows->log,
                           "%s: vocab_size: %lld where %s has %d; taken all the same, "
                           "for no operator in use depends on it",
                           rows->path, (long long)sizes[i], rows->request->model->name,
                           wanted);
            return;
        }
}

static int keep_mlp_rows(struct vidur_profile_rows *rows, struct vidur_error *err)
{
    const struct vidur_model_spec *model = rows->request->model;
    if (vidur_profile_rows_keep(rows, MLP_N_HEAD, model->kinds[0].num_q_heads, err) ||
        vidur_profile_rows_keep(rows, MLP_N_KV_HEAD, model->kinds[0].num_kv_heads,
                                err) ||
        vidur_profile_rows_keep(rows, MLP_N_EMBD, model->embedding_dim, err) ||
        vidur_profile_rows_keep(rows, MLP_N_EXPANDED_EMBD,
                                model->kinds[0].mlp_hidden_dim, err) ||
        vidur_profile_rows_keep(rows, MLP_USE_GATED_MLP, model->use_gated_mlp, err) ||
        vidur_profile_rows_keep(rows, MLP_TP, rows->request->tensor_parallel_size, err))
        return -1;
    return 0;
}

static int read_mlp(struct vidur_profile_rows *rows, struct vidur_profile *profile,
                    struct vidur_error *err)
{
    const bool post_attn_norm = rows->request->model->post_attn_norm;
    if (keep_mlp_rows(rows, err))
        return -1;
    warn_vocabulary(rows);
    for (int i = 0; i < NUM_MLP_OPERATORS; i++) {
        const int op = mlp_operators[i];
        const struct vidur_profile_extract extract = {.op = op,
                                                      .time_column = MLP_TIMES + i,
                                                      .empty_is_zero =
                                                          op == VIDUR_OP_add,
                                                      .features = mlp_features};
        if (op == VIDUR_OP_post_attention_layernorm) {
            if (!post_attn_norm)
                continue;
            if (!vidur_csv_has(rows->csv, extract.time_column))
                return vidur_fail(err, VIDUR_EPARSE,
                                  "%s:1: %s: the column is missing; %s needs it",
                                  rows->path, rows->columns[extract.time_column].name,
                                  rows->request->model->name);
        }
        if (vidur_profile_rows_take(rows, &extract, profile, err))
            return -1;
    }
    return 0;
}

/* ---- attention.csv ---- */

enum {
    ATTN_N_EMBD,
    ATTN_N_Q_HEAD,
    ATTN_N_KV_HEAD,
    ATTN_TP,
    ATTN_BLOCK_SIZE,
    ATTN_BATCH_SIZE,
    ATTN_CHUNK,
    ATTN_KV,
    ATTN_SAVE_TIME,
    ATTN_PREFILL_TIME,
    ATTN_DECODE_TIME,
    ATTN_COLUMNS
};

static const struct vidur_csv_column attention_columns[ATTN_COLUMNS] = {
    {"n_embd", VIDUR_CSV_INT64, 0},
    {"n_q_head", VIDUR_CSV_INT64, 0},
    {"n_kv_head", VIDUR_CSV_INT64, 0},
    {"num_tensor_parallel_workers", VIDUR_CSV_INT64, 0},
    {"block_size", VIDUR_CSV_INT64, 0},
    {"batch_size", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
    {"prefill_chunk_size", VIDUR_CSV_INT64, VIDUR_CSV_NOT_NEGATIVE},
    {"kv_cache_size", VIDUR_CSV_INT64, VIDUR_CSV_NOT_NEGATIVE},
    {"time_stats.attn_kv_cache_save.median", VIDUR_CSV_DOUBLE,
     VIDUR_PROFILE_OPTIONAL_TIME},
    {"time_stats.attn_prefill.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"time_stats.attn_decode.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
};

static double attention_key(const struct vidur_profile_rows *rows, int column,
                            int64_t row)
{
    return (double)vidur_csv_int64s(rows->csv, column)[row];
}

static bool is_prefill(const struct vidur_profile_rows *rows, int64_t row)
{
    return vidur_csv_int64s(rows->csv, ATTN_CHUNK)[row] > 0;
}

static bool is_decode(const struct vidur_profile_rows *rows, int64_t row)
{
    return !is_prefill(rows, row);
}

static void save_features(const struct vidur_profile_rows *rows, int64_t row,
                          double *features)
{
    features[0] = fmax(attention_key(rows, ATTN_CHUNK, row),
                       attention_key(rows, ATTN_BATCH_SIZE, row));
}

static void prefill_features(const struct vidur_profile_rows *rows, int64_t row,
                             double *features)
{
    const double chunk = attention_key(rows, ATTN_CHUNK, row);
    features[0] = attention_key(rows, ATTN_KV, row);
    features[1] = chunk * chunk;
}

static void decode_features(const struct vidur_profile_rows *rows, int64_t row,
                            double *features)
{
    features[0] = attention_key(rows, ATTN_BATCH_SIZE, row);
    features[1] = attention_key(rows, ATTN_KV, row);
}

static int keep_attention_rows(struct vidur_profile_rows *rows, struct vidur_error *err)
{
    const struct vidur_model_spec *model = rows->request->model;
    if (vidur_profile_rows_keep(rows, ATTN_N_EMBD, model->embedding_dim, err) ||
        vidur_profile_rows_keep(rows, ATTN_N_Q_HEAD, model->kinds[0].num_q_heads,
                                err) ||
        vidur_profile_rows_keep(rows, ATTN_N_KV_HEAD, model->kinds[0].num_kv_heads,
                                err))
        return -1;
    return vidur_profile_rows_keep(rows, ATTN_TP, rows->request->tensor_parallel_size,
                                   err);
}

static int keep_block_size(struct vidur_profile_rows *rows, struct vidur_error *err)
{
    const struct vidur_profile_request *request = rows->request;
    const int wanted = request->block_size_tokens;
    if (wanted == 0)
        return 0;
    if (!request->lenient || vidur_profile_rows_have(rows, ATTN_BLOCK_SIZE, wanted))
        return vidur_profile_rows_keep(rows, ATTN_BLOCK_SIZE, wanted, err);
    struct vidur_text text = {0};
    vidur_profile_rows_list(rows, ATTN_BLOCK_SIZE, &text);
    vidur_log_warn(rows->log,
                   "%s: block_size: no row for %s, TP %d has the value %d; rows of %s "
                   "stand in for it",
                   rows->path, request->model->name, request->tensor_parallel_size,
                   wanted, text.data ? text.data : "others");
    free(text.data);
    return 0;
}

static int read_attention(struct vidur_profile_rows *rows,
                          struct vidur_profile *profile, struct vidur_error *err)
{
    static const struct vidur_profile_extract extracts[] = {
        {.op = VIDUR_OP_attn_kv_cache_save,
         .time_column = ATTN_SAVE_TIME,
         .features = save_features},
        {.op = VIDUR_OP_attn_prefill,
         .time_column = ATTN_PREFILL_TIME,
         .features = prefill_features,
         .applies = is_prefill},
        {.op = VIDUR_OP_attn_decode,
         .time_column = ATTN_DECODE_TIME,
         .features = decode_features,
         .applies = is_decode},
    };
    if (keep_attention_rows(rows, err) || keep_block_size(rows, err))
        return -1;
    for (int i = 0; i < 3; i++)
        if (vidur_profile_rows_take(rows, &extracts[i], profile, err))
            return -1;
    return 0;
}

/* ---- all_reduce.csv and send_recv.csv ---- */

enum {
    NET_COLLECTIVE,
    NET_NUM_WORKERS,
    NET_DEVICES_PER_NODE,
    NET_SIZE,
    NET_TIME,
    NET_COLUMNS
};

static const struct vidur_csv_column all_reduce_columns[NET_COLUMNS] = {
    {"collective", VIDUR_CSV_STRING, VIDUR_CSV_OPTIONAL},
    {"num_workers", VIDUR_CSV_INT64, 0},
    {"devices_per_node", VIDUR_CSV_INT64, 0},
    {"size", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
    {"time_stats.all_reduce.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
};

static const struct vidur_csv_column send_recv_columns[NET_COLUMNS] = {
    {"collective", VIDUR_CSV_STRING, VIDUR_CSV_OPTIONAL},
    {"num_workers", VIDUR_CSV_INT64, VIDUR_CSV_OPTIONAL},
    {"devices_per_node", VIDUR_CSV_INT64, 0},
    {"size", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
    {"time_stats.send_recv.median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
};

/* Bytes of fp16 activations as tokens; a fraction below one token. */
static void network_features(const struct vidur_profile_rows *rows, int64_t row,
                             double *features)
{
    const double size_bytes = (double)vidur_csv_int64s(rows->csv, NET_SIZE)[row];
    features[0] = size_bytes / rows->request->model->embedding_dim / 2;
}

static int read_all_reduce(struct vidur_profile_rows *rows,
                           struct vidur_profile *profile, struct vidur_error *err)
{
    static const struct vidur_profile_extract extract = {.op = VIDUR_OP_all_reduce,
                                                         .time_column = NET_TIME,
                                                         .features = network_features};
    const int tp = rows->request->tensor_parallel_size;
    if (vidur_profile_rows_keep_text(rows, NET_COLLECTIVE, "all_reduce", err) ||
        vidur_profile_rows_keep(rows, NET_NUM_WORKERS, tp, err) ||
        vidur_profile_rows_keep(rows, NET_DEVICES_PER_NODE, tp, err))
        return -1;
    return vidur_profile_rows_take(rows, &extract, profile, err);
}

static int read_send_recv(struct vidur_profile_rows *rows,
                          struct vidur_profile *profile, struct vidur_error *err)
{
    static const struct vidur_profile_extract extract = {.op = VIDUR_OP_send_recv,
                                                         .time_column = NET_TIME,
                                                         .features = network_features};
    if (vidur_profile_rows_keep_text(rows, NET_COLLECTIVE, "send_recv", err) ||
        vidur_profile_rows_keep(rows, NET_DEVICES_PER_NODE,
                                rows->request->multi_node ? 1 : 2, err))
        return -1;
    return vidur_profile_rows_take(rows, &extract, profile, err);
}

/* ---- cpu_overheads.csv ---- */

enum { CPU_MODEL, CPU_TP, CPU_BATCH_SIZE, CPU_TIMES };

enum { NUM_CPU_OPERATORS = VIDUR_NUM_TOKEN_OPERATORS - VIDUR_FIRST_CPU_OPERATOR };

static const struct vidur_csv_column cpu_columns[CPU_TIMES + NUM_CPU_OPERATORS] = {
    {"model_name", VIDUR_CSV_STRING, 0},
    {"tensor_parallel_degree", VIDUR_CSV_INT64, 0},
    {"batch_size", VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE},
    {"schedule_median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"sampler_e2e_median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"prepare_inputs_e2e_median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"process_model_outputs_median", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
    {"ray_comm_time_mean", VIDUR_CSV_DOUBLE, VIDUR_PROFILE_TIME},
};

static void cpu_features(const struct vidur_profile_rows *rows, int64_t row,
                         double *features)
{
    features[0] = (double)vidur_csv_int64s(rows->csv, CPU_BATCH_SIZE)[row];
}

static int read_cpu_overhead(struct vidur_profile_rows *rows,
                             struct vidur_profile *profile, struct vidur_error *err)
{
    if (vidur_profile_rows_keep_text(rows, CPU_MODEL, rows->request->model->name,
                                     err) ||
        vidur_profile_rows_keep(rows, CPU_TP, rows->request->tensor_parallel_size, err))
        return -1;
    for (int i = 0; i < NUM_CPU_OPERATORS; i++) {
        const struct vidur_profile_extract extract = {.op =
                                                          VIDUR_FIRST_CPU_OPERATOR + i,
                                                      .time_column = CPU_TIMES + i,
                                                      .features = cpu_features};
        if (vidur_profile_rows_take(rows, &extract, profile, err))
            return -1;
    }
    return 0;
}

/* ---- All files ---- */

#define COLUMNS(list) list, sizeof list / sizeof list[0]

static const struct {
    const struct vidur_csv_column *columns;
    int num_columns;
    int (*read)(struct vidur_profile_rows *rows, struct vidur_profile *profile,
                struct vidur_error *err);
} readers[VIDUR_NUM_PROFILE_FILES] = {
    [VIDUR_PROFILE_FILE_mlp] = {COLUMNS(mlp_columns), read_mlp},
    [VIDUR_PROFILE_FILE_attention] = {COLUMNS(attention_columns), read_attention},
    [VIDUR_PROFILE_FILE_all_reduce] = {COLUMNS(all_reduce_columns), read_all_reduce},
    [VIDUR_PROFILE_FILE_send_recv] = {COLUMNS(send_recv_columns), read_send_recv},
    [VIDUR_PROFILE_FILE_cpu_overhead] = {COLUMNS(cpu_columns), read_cpu_overhead},
};

static int read_file(struct vidur_profile *profile, int file, const char *path,
                     struct vidur_profile_rows rows, struct vidur_error *err)
{
    int rc = vidur_profile_rows_open(&rows, path, readers[file].columns,
                                     readers[file].num_columns, err);
    if (rc == 0)
        rc = readers[file].read(&rows, profile, err);
    vidur_profile_rows_close(&rows);
    return rc;
}

int vidur_profile_read_csv(struct vidur_profile **out,
                           const struct vidur_profile_request *request,
                           const struct vidur_log *log, struct vidur_error *err)
{
    const struct vidur_profile_rows rows = {.request = request, .log = log};
    struct vidur_profile_paths paths;
    if (vidur_profile_find(&paths, request, err))
        return -1;
    struct vidur_profile *profile = vidur_profile_create(err);
    if (!profile)
        return -1;
    for (int i = 0; i < VIDUR_NUM_PROFILE_FILES; i++)
        if (paths.files[i].text[0] &&
            read_file(profile, i, paths.files[i].text, rows, err)) {
            vidur_profile_free(profile);
            return -1;
        }
    *out = profile;
    return 0;
}

/* ---- Surveys ---- */

/* Whether rows are left; none is no error, but a line in `missing`. */
static int survey_file(struct vidur_profile_survey *out,
                       struct vidur_profile_rows *rows, int file, const char *path,
                       struct vidur_error *err)
{
    struct vidur_error none;
    const bool mlp = file == VIDUR_PROFILE_FILE_mlp;
    if (vidur_profile_rows_open(rows, path, readers[file].columns,
                                readers[file].num_columns, err))
        return -1;
    if ((mlp ? keep_mlp_rows : keep_attention_rows)(rows, &none)) {
        snprintf(out->missing, sizeof out->missing, "%s", none.text);
        out->has_rows = false;
        return 0;
    }
    if (mlp)
        return 0;
    struct vidur_text text = {0};
    const int wanted = rows->request->block_size_tokens;
    out->has_block_size =
        wanted == 0 || vidur_profile_rows_have(rows, ATTN_BLOCK_SIZE, wanted);
    vidur_profile_rows_list(rows, ATTN_BLOCK_SIZE, &text);
    snprintf(out->block_sizes, sizeof out->block_sizes, "%s",
             text.data ? text.data : "");
    free(text.data);
    return 0;
}

int vidur_profile_survey(struct vidur_profile_survey *out,
                         const struct vidur_profile_request *request,
                         struct vidur_error *err)
{
    static const int files[] = {VIDUR_PROFILE_FILE_mlp, VIDUR_PROFILE_FILE_attention};
    struct vidur_profile_request wanted = *request;
    struct vidur_profile_paths paths;
    struct vidur_error none;
    memset(out, 0, sizeof *out);
    wanted.pipeline = wanted.cpu_overhead = false;
    wanted.lenient = true;
    if (vidur_profile_find(&paths, &wanted, &none)) {
        if (none.code != VIDUR_EIO) /* its code for a file that is nowhere */
            return vidur_fail(err, none.code, "%s", none.text);
        snprintf(out->missing, sizeof out->missing, "%s", none.text);
        return 0;
    }
    out->has_rows = true;
    for (int i = 0; i < 2; i++) {
        struct vidur_profile_rows rows = {.request = &wanted};
        const int status =
            survey_file(out, &rows, files[i], paths.files[files[i]].text, err);
        vidur_profile_rows_close(&rows);
        if (status)
            return -1;
    }
    return 0;
}
