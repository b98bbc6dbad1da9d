#include "tables/kernels.h"

#include "base/yaml.h"

#include <vidur/csv.h>

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS = VIDUR_MAX_KERNEL_KEYS, MAX_MUST = 2 };

/* A key column: a whole number, or a format by the tables' name of it. */
struct key {
    const char *column;
    bool is_format;
    bool may_lack; /* 0 where the file has no such column */
};

/* How a file's rows become curves: rows whose columns equal `must` (or 1, of `single`)
 * are kept, keyed by `keys`, x against latency_ms. */
struct table {
    const char *file;
    bool needed;
    const char *must[MAX_MUST][2]; /* column, value */
    const char *single;
    struct key keys[KEYS];
    const char *x;
};

#define HEAD_KEYS                                                                      \
    {"attn_dtype", true, false}, {"kv_cache_dtype", true, false},                      \
        {"head_dim", false, false}, {"num_heads", false, false},                       \
        {"num_kv_heads", false, false},                                                \
    {                                                                                  \
        "window", false, true                                                          \
    }

static const struct table tables[VIDUR_NUM_KERNEL_TABLES] = {
#define X(name, file_, needed_)                                                        \
    [VIDUR_KERNELS_##name] = {.file = file_, .needed = needed_, ROWS_##name},
#define ROWS_gemm                                                                      \
    .keys = {{"dtype", true, false}, {"n", false, false}, {"k", false, false}}, .x = "m"
#define ROWS_context    .single = "batch_size", .keys = {HEAD_KEYS}, .x = "seq_len"
#define ROWS_generation .single = "batch_size", .keys = {HEAD_KEYS}, .x = "kv_len"
#define ROWS_generation_batches                                                        \
    .keys = {HEAD_KEYS, {"batch_size", false, false}}, .x = "kv_len"
#define ROWS_all_reduce                                                                \
    .must = {{"mode", "graph"}}, .keys = {{"num_gpus", false, false}},                 \
    .x = "message_bytes"
#define ROWS_collective(op)                                                            \
    .must = {{"op_name", op}, {"nccl_dtype", "half"}},                                 \
    .keys = {{"num_gpus", false, false}}, .x = "message_size"
#define ROWS_all_gather     ROWS_collective("all_gather")
#define ROWS_reduce_scatter ROWS_collective("reduce_scatter")
#define ROWS_experts                                                                   \
    .must = {{"distribution", "power_law_1.01"}},                                      \
    .keys = {{"dtype", true, false},    {"hidden", false, false},                      \
             {"inter", false, false},   {"topk", false, false},                        \
             {"experts", false, false}, {"moe_tp", false, false},                      \
             {"moe_ep", false, false}},                                                \
    .x = "tokens"
#define ROWS_mla_context                                                               \
    .single = "batch_size",                                                            \
    .keys = {{"kv_cache_dtype", true, false},                                          \
             {"gemm_dtype", true, false},                                              \
             {"num_heads", false, false}},                                             \
    .x = "seq_len"
#define ROWS_mla_generation                                                            \
    .keys = {{"kv_cache_dtype", true, false},                                          \
             {"gemm_dtype", true, false},                                              \
             {"num_heads", false, false},                                              \
             {"batch_size", false, false}},                                            \
    .x = "kv_len"
    VIDUR_KERNEL_TABLES(X)
#undef X
};

/* What the tables call our formats; rows of others are passed over. */
static const char *const format_names[VIDUR_NUM_DTYPES] = {
    [VIDUR_DTYPE_bf16] = "bfloat16",       [VIDUR_DTYPE_fp8] = "fp8",
    [VIDUR_DTYPE_fp8_block] = "fp8_block", [VIDUR_DTYPE_int8] = "int8",
    [VIDUR_DTYPE_int4] = "int4_wo",        [VIDUR_DTYPE_nvfp4] = "nvfp4",
    [VIDUR_DTYPE_mxfp4] = "w4a16_mxfp4"};

struct point {
    int32_t key[KEYS];
    double x, ms;
};

struct curve_set {
    bool is_read;
    struct vidur_curve *curves;
    int count;
    double *values; /* x then ms of every curve */
};

struct vidur_kernels {
    char dir[VIDUR_PATH_MAX];
    struct curve_set set[VIDUR_NUM_KERNEL_TABLES];
    double bandwidth_bytes_per_s;
    double peak_flops[VIDUR_NUM_PEAKS];
};

/* ---- Rows to curves ---- */

static int compare_keys(const int32_t *a, const int32_t *b)
{
    for (int i = 0; i < KEYS; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Of equal points the fastest comes first. */
static int compare_points(const void *pa, const void *pb)
{
    const struct point *a = pa, *b = pb;
    const int by_key = compare_keys(a->key, b->key);
    if (by_key)
        return by_key;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return (a->ms > b->ms) - (a->ms < b->ms);
}

/* Columns of a table's file, in this order: must, single, keys, x and the time. */
struct layout {
    struct vidur_csv_column column[MAX_MUST + KEYS + 3];
    int num_columns, num_must, single, first_key, num_keys, x, ms;
};

static int add_column(struct layout *l, const char *name, enum vidur_csv_type type,
                      unsigned flags)
{
    l->column[l->num_columns] = (struct vidur_csv_column){name, type, flags};
    return l->num_columns++;
}

static void lay_out(const struct table *table, struct layout *l)
{
    *l = (struct layout){.single = -1};
    for (; l->num_must < MAX_MUST && table->must[l->num_must][0]; l->num_must++)
        add_column(l, table->must[l->num_must][0], VIDUR_CSV_STRING, 0);
    if (table->single)
        l->single = add_column(l, table->single, VIDUR_CSV_INT64, 0);
    l->first_key = l->num_columns;
    for (; l->num_keys < KEYS && table->keys[l->num_keys].column; l->num_keys++) {
        const struct key *key = &table->keys[l->num_keys];
        add_column(l, key->column, key->is_format ? VIDUR_CSV_STRING : VIDUR_CSV_INT64,
                   (key->is_format ? 0 : VIDUR_CSV_NOT_NEGATIVE) |
                       (key->may_lack ? VIDUR_CSV_OPTIONAL : 0));
    }
    l->x = add_column(l, table->x, VIDUR_CSV_DOUBLE, VIDUR_CSV_POSITIVE);
    l->ms = add_column(l, "latency_ms", VIDUR_CSV_DOUBLE, VIDUR_CSV_POSITIVE);
}

static int32_t format_of(const char *name)
{
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++)
        if (strcmp(format_names[i], name) == 0)
            return i;
    return -1;
}

static bool row_belongs(const struct vidur_csv *csv, const struct table *table,
                        const struct layout *l, int64_t row)
{
    for (int i = 0; i < l->num_must; i++)
        if (strcmp(vidur_csv_string(csv, vidur_csv_string_ids(csv, i)[row]),
                   table->must[i][1]) != 0)
            return false;
    return l->single < 0 || vidur_csv_int64s(csv, l->single)[row] == 1;
}

/* -1: a format that we do not know. */
static int32_t read_key(const struct vidur_csv *csv, int column, bool is_format,
                        int64_t row)
{
    if (!vidur_csv_has(csv, column))
        return 0;
    return is_format ? format_of(vidur_csv_string(
                           csv, vidur_csv_string_ids(csv, column)[row]))
                     : (int32_t)vidur_csv_int64s(csv, column)[row];
}

static bool read_keys(const struct vidur_csv *csv, const struct table *table,
                      const struct layout *l, int64_t row, int32_t *key)
{
    for (int i = 0; i < l->num_keys; i++) {
        key[i] = read_key(csv, l->first_key + i, table->keys[i].is_format, row);
        if (key[i] < 0)
            return false;
    }
    return true;
}

static int64_t take_points(const struct vidur_csv *csv, const struct table *table,
                           const struct layout *l, struct point *points)
{
    int64_t count = 0;
    for (int64_t row = 0; row < vidur_csv_rows(csv); row++) {
        struct point *p = &points[count];
        *p = (struct point){.x = vidur_csv_doubles(csv, l->x)[row],
                            .ms = vidur_csv_doubles(csv, l->ms)[row]};
        count +=
            row_belongs(csv, table, l, row) && read_keys(csv, table, l, row, p->key);
    }
    qsort(points, (size_t)count, sizeof *points, compare_points);
    return count;
}

/* Sorted points -> curves. The arrays are as long as the points: enough for any split.
 */
static int make_curves(struct curve_set *set, const struct point *points, int64_t count)
{
    set->curves = calloc((size_t)count + 1, sizeof *set->curves);
    set->values = calloc((size_t)count * 2 + 1, sizeof *set->values);
    if (!set->curves || !set->values)
        return -1;
    double *x = set->values, *ms = set->values + count;
    struct vidur_curve *curve = NULL;
    for (int64_t i = 0; i < count; i++) {
        if (!curve || compare_keys(curve->key, points[i].key) != 0) {
            curve = &set->curves[set->count++];
            memcpy(curve->key, points[i].key, sizeof curve->key);
            curve->x = x;
            curve->ms = ms;
        } else if (curve->x[curve->count - 1] == points[i].x) {
            continue;
        }
        *x++ = points[i].x;
        *ms++ = points[i].ms;
        curve->count++;
    }
    return 0;
}

/* ---- Files ---- */

/* The .csv, else the .csv.gz; false: neither is there. */
static bool table_path(const char *dir, const char *file, struct vidur_path *path)
{
    snprintf(path->text, sizeof path->text, "%s/%s.csv", dir, file);
    if (access(path->text, R_OK) == 0)
        return true;
    snprintf(path->text, sizeof path->text, "%s/%s.csv.gz", dir, file);
    return access(path->text, R_OK) == 0;
}

static int read_points(struct curve_set *set, const struct table *table,
                       const char *path, struct vidur_error *err)
{
    struct layout layout;
    lay_out(table, &layout);
    const struct vidur_csv_schema schema = {layout.column, layout.num_columns, false};
    struct vidur_csv *csv = vidur_csv_read(path, &schema, err);
    if (!csv)
        return -1;
    int rc = -1;
    struct point *points = malloc(((size_t)vidur_csv_rows(csv) + 1) * sizeof *points);
    const int64_t count = points ? take_points(csv, table, &layout, points) : 0;
    if (points && count == 0)
        vidur_fail(err, VIDUR_EINVAL,
                   "%s: no row is of use; the engine tables need some", path);
    else if (!points || make_curves(set, points, count) != 0)
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    else
        rc = 0;
    free(points);
    vidur_csv_free(csv);
    return rc;
}

int vidur_kernels_curves(struct vidur_kernels *kernels, enum vidur_kernel_table which,
                         struct vidur_curves *out, struct vidur_error *err)
{
    const struct table *table = &tables[which];
    struct curve_set *set = &kernels->set[which];
    struct vidur_path path;
    *out = (struct vidur_curves){NULL, 0};
    if (!set->is_read) {
        const bool there = table_path(kernels->dir, table->file, &path);
        if (!there && table->needed)
            return vidur_fail(err, VIDUR_EIO,
                              "%s: neither %s.csv nor %s.csv.gz is there; a kernels "
                              "folder needs gemm, context_attention, "
                              "generation_attention, custom_allreduce and system.yaml",
                              kernels->dir, table->file, table->file);
        if (there && read_points(set, table, path.text, err) != 0)
            return -1;
        set->is_read = true;
    }
    *out = (struct vidur_curves){set->curves, set->count};
    return 0;
}

bool vidur_kernels_file(const char *dir, int i, struct vidur_path *path)
{
    const int count = VIDUR_KERNELS_generation_batches; /* no engine table has it */
    if (i < count)
        table_path(dir, tables[i].file, path);
    else
        snprintf(path->text, sizeof path->text, "%s/system.yaml", dir);
    return i <= count;
}

/* ---- system.yaml ---- */

static int read_peak(const struct vidur_yaml_node *gpu, const char *key, double *out,
                     struct vidur_error *err)
{
    const struct vidur_yaml_node *node = vidur_yaml_get(gpu, key);
    if (!node)
        return 0;
    if (vidur_yaml_as_double(node, out, err))
        return -1;
    return *out > 0 ? 0 : vidur_yaml_fail(node, err, "%g; it must be above 0", *out);
}

/* A GPU without FP8 units multiplies such formats as INT8, else as bf16; one
 * without FP4 units widens them to bf16. */
static int read_gpu(struct vidur_kernels *kernels, const struct vidur_yaml_node *gpu,
                    struct vidur_error *err)
{
    double *peaks = kernels->peak_flops;
    if (!vidur_yaml_get(gpu, "mem_bw") || !vidur_yaml_get(gpu, "bfloat16_tc_flops"))
        return vidur_yaml_fail(gpu, err,
                               "gpu.mem_bw (bytes/s) and gpu.bfloat16_tc_flops are "
                               "needed");
    if (read_peak(gpu, "mem_bw", &kernels->bandwidth_bytes_per_s, err) ||
        read_peak(gpu, "bfloat16_tc_flops", &peaks[VIDUR_PEAK_bf16], err))
        return -1;
    peaks[VIDUR_PEAK_fp8] = peaks[VIDUR_PEAK_bf16];
    if (read_peak(gpu, "int8_tc_flops", &peaks[VIDUR_PEAK_fp8], err) ||
        read_peak(gpu, "fp8_tc_flops", &peaks[VIDUR_PEAK_fp8], err))
        return -1;
    peaks[VIDUR_PEAK_fp4] = peaks[VIDUR_PEAK_bf16];
    return read_peak(gpu, "fp4_tc_flops", &peaks[VIDUR_PEAK_fp4], err);
}

int vidur_kernels_open(struct vidur_kernels **out, const char *dir,
                       struct vidur_error *err)
{
    struct vidur_path path;
    struct vidur_kernels *kernels = calloc(1, sizeof *kernels);
    if (!kernels)
        return vidur_fail(err, VIDUR_ENOMEM, "kernel tables: out of memory");
    snprintf(kernels->dir, sizeof kernels->dir, "%s", dir);
    snprintf(path.text, sizeof path.text, "%s/system.yaml", dir);
    struct vidur_yaml *doc = vidur_yaml_load(path.text, err);
    const int status =
        doc ? read_gpu(kernels, vidur_yaml_get(vidur_yaml_root(doc), "gpu"), err) : -1;
    vidur_yaml_free(doc);
    if (status) {
        vidur_kernels_close(kernels);
        return -1;
    }
    *out = kernels;
    return 0;
}

void vidur_kernels_close(struct vidur_kernels *kernels)
{
    if (!kernels)
        return;
    for (int i = 0; i < VIDUR_NUM_KERNEL_TABLES; i++) {
        free(kernels->set[i].curves);
        free(kernels->set[i].values);
    }
    free(kernels);
}

const char *vidur_kernels_dir(const struct vidur_kernels *kernels)
{
    return kernels->dir;
}

double vidur_kernels_bandwidth_bytes_per_s(const struct vidur_kernels *kernels)
{
    return kernels->bandwidth_bytes_per_s;
}

double vidur_kernels_peak_flops(const struct vidur_kernels *kernels,
                                enum vidur_peak peak)
{
    return kernels->peak_flops[peak];
}

/* ---- Folders ---- */

static bool has_system(const char *dir)
{
    struct vidur_path path;
    snprintf(path.text, sizeof path.text, "%s/system.yaml", dir);
    return access(path.text, R_OK) == 0;
}

/* Names with numbers by the numbers: v0.9 comes before v0.10. */
static int compare_versions(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            char *a_end, *b_end;
            const long x = strtol(a, &a_end, 10), y = strtol(b, &b_end, 10);
            if (x != y)
                return x < y ? -1 : 1;
            a = a_end;
            b = b_end;
        } else if (*a != *b) {
            return *a < *b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return (*a != 0) - (*b != 0);
}

/* The newest folder below `dir` that holds a system's tables. */
static bool find_newest(const char *dir, struct vidur_path *out)
{
    char newest[256] = "";
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        struct vidur_path path;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path.text, sizeof path.text, "%s/%s", dir, entry->d_name);
        if (has_system(path.text) &&
            (!newest[0] || compare_versions(newest, entry->d_name) < 0))
            snprintf(newest, sizeof newest, "%s", entry->d_name);
    }
    if (folder)
        closedir(folder);
    if (newest[0])
        snprintf(out->text, sizeof out->text, "%s/%s", dir, newest);
    return newest[0] != 0;
}

int vidur_kernels_locate(struct vidur_path *out, const char *dir, const char *system,
                         struct vidur_error *err)
{
    struct vidur_path below;
    snprintf(out->text, sizeof out->text, "%s", dir);
    if (has_system(dir))
        return 0;
    snprintf(below.text, sizeof below.text, "%s/%s", dir, system);
    if (system[0] && has_system(below.text)) {
        *out = below;
        return 0;
    }
    if ((system[0] && find_newest(below.text, out)) || find_newest(dir, out))
        return 0;
    if (access(dir, R_OK) != 0)
        return vidur_fail(err, VIDUR_EIO,
                          "%s: cannot be read; name a folder of kernel "
                          "timings",
                          dir);
    return vidur_fail(
        err, VIDUR_EIO,
        "%s: no system.yaml there, in a version below it or in %s%s; name "
        "the folder of a system's tables, or of all systems where the "
        "device's spec has a kernel_system",
        dir, dir, system[0] ? below.text + strlen(dir) : "/SYSTEM");
}

/* ---- Curves ---- */

double vidur_curve_at(const struct vidur_curve *curve, double x, double power)
{
    int last = curve->count - 1;
    if (x >= curve->x[last])
        return curve->ms[last] * pow(x / curve->x[last], power);
    if (x <= curve->x[0])
        return curve->ms[0];
    int low = 0, high = last;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (curve->x[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    double share = (x - curve->x[low]) / (curve->x[high] - curve->x[low]);
    return curve->ms[low] + share * (curve->ms[high] - curve->ms[low]);
}

static int compare_curve(const void *key, const void *curve)
{
    return compare_keys(key, ((const struct vidur_curve *)curve)->key);
}

const struct vidur_curve *vidur_curves_find(const struct vidur_curves *curves,
                                            const int32_t key[VIDUR_MAX_KERNEL_KEYS])
{
    return curves->count == 0 ? NULL
                              : bsearch(key, curves->at, (size_t)curves->count,
                                        sizeof *curves->at, compare_curve);
}
