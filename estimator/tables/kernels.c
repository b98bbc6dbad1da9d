#include "tables/kernels.h"

#include "base/yaml.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kernel_family { GEMM, CONTEXT, GENERATION, ALL_REDUCE, NUM_FAMILIES };

enum { MAX_KEYS = 3, SMALLEST_NEIGHBOUR = 1024 };

/* How a file's rows become curves: rows whose text columns equal `must` are kept, keyed
 * by up to three integer columns, x against latency. */
struct family {
    const char *file;
    const char *must[3][2]; /* column, value */
    const char *fixed;      /* integer column that must be 1, or NULL */
    const char *keys[MAX_KEYS];
    const char *x;
};

static const struct family families[NUM_FAMILIES] = {
    [GEMM] = {"gemm", {{"dtype", "bfloat16"}}, NULL, {"n", "k"}, "m"},
    [CONTEXT] = {"context_attention",
                 {{"attn_dtype", "bfloat16"}, {"kv_cache_dtype", "bfloat16"}},
                 "batch_size",
                 {"head_dim", "num_heads", "num_kv_heads"},
                 "seq_len"},
    [GENERATION] = {"generation_attention",
                    {{"attn_dtype", "bfloat16"}, {"kv_cache_dtype", "bfloat16"}},
                    "batch_size",
                    {"head_dim", "num_heads", "num_kv_heads"},
                    "kv_len"},
    [ALL_REDUCE] = {"custom_allreduce",
                    {{"dtype", "bfloat16"}, {"mode", "graph"}},
                    NULL,
                    {"num_gpus"},
                    "message_bytes"},
};

struct point {
    int32_t key[MAX_KEYS];
    int64_t row; /* order in the file: the first of equal points wins */
    double x, ms;
};

struct curve_set {
    struct vidur_curve *curves; /* ascending keys */
    int count;
    double *values; /* x then ms of every curve */
};

struct vidur_kernels {
    struct curve_set set[NUM_FAMILIES];
    double bandwidth_bytes_per_s;
    double peak_flops;
};

static int compare_keys(const int32_t *a, const int32_t *b)
{
    for (int i = 0; i < MAX_KEYS; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int compare_points(const void *pa, const void *pb)
{
    const struct point *a = pa, *b = pb;
    int by_key = compare_keys(a->key, b->key);
    if (by_key)
        return by_key;
    if (a->x != b->x)
        return a->x < b->x ? -1 : 1;
    return a->row < b->row ? -1 : 1;
}

/* Columns of a family's file: the texts, the fixed one, the keys, x and the time. */
struct family_columns {
    struct vidur_csv_column column[10];
    int num_columns, num_must, fixed, first_key, num_keys, x, ms;
};

static void describe_columns(const struct family *family, struct family_columns *c)
{
    *c = (struct family_columns){.fixed = -1};
    for (; c->num_must < 3 && family->must[c->num_must][0]; c->num_must++)
        c->column[c->num_columns++] = (struct vidur_csv_column){
            family->must[c->num_must][0], VIDUR_CSV_STRING, 0};
    if (family->fixed) {
        c->fixed = c->num_columns;
        c->column[c->num_columns++] =
            (struct vidur_csv_column){family->fixed, VIDUR_CSV_INT64, 0};
    }
    c->first_key = c->num_columns;
    for (; c->num_keys < MAX_KEYS && family->keys[c->num_keys]; c->num_keys++)
        c->column[c->num_columns++] = (struct vidur_csv_column){
            family->keys[c->num_keys], VIDUR_CSV_INT64, VIDUR_CSV_POSITIVE};
    c->x = c->num_columns;
    c->column[c->num_columns++] =
        (struct vidur_csv_column){family->x, VIDUR_CSV_DOUBLE, VIDUR_CSV_POSITIVE};
    c->ms = c->num_columns;
    c->column[c->num_columns++] =
        (struct vidur_csv_column){"latency_ms", VIDUR_CSV_DOUBLE, VIDUR_CSV_POSITIVE};
}

static bool row_belongs(const struct vidur_csv *csv, const struct family *family,
                        const struct family_columns *c, int64_t row)
{
    for (int i = 0; i < c->num_must; i++)
        if (strcmp(vidur_csv_string(csv, vidur_csv_string_ids(csv, i)[row]),
                   family->must[i][1]) != 0)
            return false;
    return c->fixed < 0 || vidur_csv_int64s(csv, c->fixed)[row] == 1;
}

static int64_t take_points(const struct vidur_csv *csv, const struct family *family,
                           const struct family_columns *c, struct point *points)
{
    int64_t count = 0;
    for (int64_t row = 0; row < vidur_csv_rows(csv); row++) {
        if (!row_belongs(csv, family, c, row))
            continue;
        struct point *p = &points[count++];
        *p = (struct point){.row = row,
                            .x = vidur_csv_doubles(csv, c->x)[row],
                            .ms = vidur_csv_doubles(csv, c->ms)[row]};
        for (int i = 0; i < c->num_keys; i++)
            p->key[i] = (int32_t)vidur_csv_int64s(csv, c->first_key + i)[row];
    }
    qsort(points, (size_t)count, sizeof *points, compare_points);
    return count;
}

/* Sorted points -> curves. The arrays are as long as the points: enough for any split.
 */
static int make_curves(struct curve_set *set, const struct point *points, int64_t count)
{
    set->curves = calloc((size_t)count, sizeof *set->curves);
    set->values = calloc((size_t)count * 2, sizeof *set->values);
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

static void family_path(const char *dir, const char *file, char *path, size_t size)
{
    snprintf(path, size, "%s/%s.csv", dir, file);
    if (access(path, R_OK) != 0)
        snprintf(path, size, "%s/%s.csv.gz", dir, file);
}

static int read_family(struct vidur_kernels *kernels, enum kernel_family which,
                       const char *dir, struct vidur_error *err)
{
    const struct family *family = &families[which];
    char path[1200];
    family_path(dir, family->file, path, sizeof path);
    if (access(path, R_OK) != 0)
        return vidur_fail(err, VIDUR_EIO,
                          "%s: neither %s.csv nor %s.csv.gz is there; a kernels folder "
                          "needs gemm, context_attention, generation_attention, "
                          "custom_allreduce and system.yaml",
                          dir, family->file, family->file);
    struct family_columns columns;
    describe_columns(family, &columns);
    const struct vidur_csv_schema schema = {columns.column, columns.num_columns, false};
    struct vidur_csv *csv = vidur_csv_read(path, &schema, err);
    if (!csv)
        return -1;
    int rc = -1;
    struct point *points = malloc(((size_t)vidur_csv_rows(csv) + 1) * sizeof *points);
    int64_t count = points ? take_points(csv, family, &columns, points) : 0;
    if (!points)
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    else if (count == 0)
        vidur_fail(err, VIDUR_EINVAL,
                   "%s: no bfloat16 rows; the engine tables need some", path);
    else if (make_curves(&kernels->set[which], points, count) != 0)
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    else
        rc = 0;
    free(points);
    vidur_csv_free(csv);
    return rc;
}

bool vidur_kernels_file(const char *dir, int i, struct vidur_path *path)
{
    if (i < NUM_FAMILIES)
        family_path(dir, families[i].file, path->text, sizeof path->text);
    else
        snprintf(path->text, sizeof path->text, "%s/system.yaml", dir);
    return i <= NUM_FAMILIES;
}

static int read_system(struct vidur_kernels *kernels, const char *dir,
                       struct vidur_error *err)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/system.yaml", dir);
    struct vidur_yaml *doc = vidur_yaml_load(path, err);
    if (!doc)
        return -1;
    int rc = -1;
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    const struct vidur_yaml_node *gpu = vidur_yaml_get(root, "gpu");
    const struct vidur_yaml_node *bandwidth = vidur_yaml_get(gpu, "mem_bw");
    const struct vidur_yaml_node *peak = vidur_yaml_get(gpu, "bfloat16_tc_flops");
    if (!bandwidth || !peak)
        vidur_yaml_fail(root, err,
                        "gpu.mem_bw (bytes/s) and gpu.bfloat16_tc_flops are needed");
    else if (vidur_yaml_as_double(bandwidth, &kernels->bandwidth_bytes_per_s, err) ==
                 0 &&
             vidur_yaml_as_double(peak, &kernels->peak_flops, err) == 0) {
        if (kernels->bandwidth_bytes_per_s > 0 && kernels->peak_flops > 0)
            rc = 0;
        else
            vidur_yaml_fail(gpu, err, "mem_bw and bfloat16_tc_flops must be positive");
    }
    vidur_yaml_free(doc);
    return rc;
}

int vidur_kernels_read(struct vidur_kernels **out, const char *dir,
                       struct vidur_error *err)
{
    struct vidur_kernels *kernels = calloc(1, sizeof *kernels);
    if (!kernels)
        return vidur_fail(err, VIDUR_ENOMEM, "kernel tables: out of memory");
    int rc = read_system(kernels, dir, err);
    for (int i = 0; rc == 0 && i < NUM_FAMILIES; i++)
        rc = read_family(kernels, (enum kernel_family)i, dir, err);
    if (rc != 0) {
        vidur_kernels_free(kernels);
        return -1;
    }
    *out = kernels;
    return 0;
}

void vidur_kernels_free(struct vidur_kernels *kernels)
{
    if (!kernels)
        return;
    for (int i = 0; i < NUM_FAMILIES; i++) {
        free(kernels->set[i].curves);
        free(kernels->set[i].values);
    }
    free(kernels);
}

double vidur_kernels_bandwidth_bytes_per_s(const struct vidur_kernels *kernels)
{
    return kernels->bandwidth_bytes_per_s;
}

double vidur_kernels_peak_flops(const struct vidur_kernels *kernels)
{
    return kernels->peak_flops;
}

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

static const struct vidur_curve *find_curve(const struct curve_set *set, int32_t a,
                                            int32_t b, int32_t c)
{
    const int32_t key[MAX_KEYS] = {a, b, c};
    return bsearch(key, set->curves, (size_t)set->count, sizeof *set->curves,
                   compare_curve);
}

static double gemm_roofline_ms(const struct vidur_kernels *kernels, double m, double n,
                               double k)
{
    double compute = 2 * m * n * k / kernels->peak_flops;
    double memory = 2 * (m * n + n * k + m * k) / kernels->bandwidth_bytes_per_s;
    return fmax(compute, memory) * 1e3;
}

struct neighbour {
    const struct vidur_curve *curve;
    double distance2;
};

/* The nearest curves in log2 space, closest first; ties keep the order of keys. */
static int nearest_gemms(const struct curve_set *set, int64_t n, int64_t k,
                         struct neighbour nearest[VIDUR_GEMM_NEIGHBOURS])
{
    int count = 0;
    for (int i = 0; i < set->count; i++) {
        const struct vidur_curve *curve = &set->curves[i];
        if (curve->key[0] < SMALLEST_NEIGHBOUR || curve->key[1] < SMALLEST_NEIGHBOUR)
            continue;
        double dn = log2(curve->key[0] / (double)n),
               dk = log2(curve->key[1] / (double)k);
        struct neighbour next = {curve, dn * dn + dk * dk};
        int at = count < VIDUR_GEMM_NEIGHBOURS ? count++ : VIDUR_GEMM_NEIGHBOURS;
        for (; at > 0 && nearest[at - 1].distance2 > next.distance2; at--)
            if (at < VIDUR_GEMM_NEIGHBOURS)
                nearest[at] = nearest[at - 1];
        if (at < VIDUR_GEMM_NEIGHBOURS)
            nearest[at] = next;
    }
    return count;
}

struct vidur_gemm vidur_kernels_gemm(const struct vidur_kernels *kernels, int64_t n,
                                     int64_t k)
{
    const struct curve_set *set = &kernels->set[GEMM];
    struct vidur_gemm gemm = {.n = n, .k = k, .kernels = kernels};
    gemm.curve[0] = find_curve(set, (int32_t)n, (int32_t)k, 0);
    if (gemm.curve[0]) {
        gemm.measured = true;
        return gemm;
    }
    struct neighbour nearest[VIDUR_GEMM_NEIGHBOURS];
    gemm.count = nearest_gemms(set, n, k, nearest);
    double weights = 0;
    for (int i = 0; i < gemm.count; i++)
        weights += 1 / nearest[i].distance2;
    for (int i = 0; i < gemm.count; i++) {
        gemm.curve[i] = nearest[i].curve;
        gemm.weight[i] = 1 / nearest[i].distance2 / weights;
    }
    return gemm;
}

double vidur_gemm_ms(const struct vidur_gemm *gemm, int64_t tokens)
{
    double m = (double)tokens;
    if (gemm->measured)
        return vidur_curve_at(gemm->curve[0], m, 1);
    double ideal = gemm_roofline_ms(gemm->kernels, m, (double)gemm->n, (double)gemm->k);
    double utilisation = gemm->count > 0 ? 0 : 1;
    for (int i = 0; i < gemm->count; i++) {
        const struct vidur_curve *c = gemm->curve[i];
        utilisation += gemm->weight[i] *
                       gemm_roofline_ms(gemm->kernels, m, c->key[0], c->key[1]) /
                       vidur_curve_at(c, m, 1);
    }
    return ideal / utilisation;
}

const struct vidur_curve *vidur_kernels_all_reduce(const struct vidur_kernels *kernels,
                                                   int devices)
{
    return find_curve(&kernels->set[ALL_REDUCE], devices, 0, 0);
}

const struct vidur_curve *vidur_kernels_context(const struct vidur_kernels *kernels,
                                                int head_dim, int heads, int kv_heads)
{
    const struct curve_set *set = &kernels->set[CONTEXT];
    const struct vidur_curve *best = find_curve(set, head_dim, heads, kv_heads);
    if (best)
        return best;
    double best_distance = INFINITY;
    for (int i = 0; i < set->count; i++) {
        const struct vidur_curve *curve = &set->curves[i];
        double distance = fabs(log2(curve->key[1] / (double)heads));
        if (curve->key[0] == head_dim && distance < best_distance &&
            (int64_t)curve->key[1] * kv_heads == (int64_t)curve->key[2] * heads) {
            best = curve;
            best_distance = distance;
        }
    }
    return best;
}

const struct vidur_curve *vidur_kernels_generation(const struct vidur_kernels *kernels,
                                                   int head_dim, int heads,
                                                   int kv_heads)
{
    return find_curve(&kernels->set[GENERATION], head_dim, heads, kv_heads);
}
