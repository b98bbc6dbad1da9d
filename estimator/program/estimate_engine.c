#define _XOPEN_SOURCE 700

#include "program/estimate_commands.h"

#include "base/file.h"
#include "base/text.h"
#include "tables/price_errors.h"
#include "tables/price_fit.h"

#include <vidur/paths.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* validate --kernels and fit --kernels: the engine's roofline beside timings of
 * kernels. */

static const char section_key[] = "engine_roofline:";

struct engine {
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    struct vidur_kernels *kernels;
};

/* ---- Which device, node and tables ---- */

struct seeking {
    const char *dir; /* of the tables */
    char device[64];
};

static bool is_folder_of(const char *path, const char *folder)
{
    const size_t length = strlen(folder);
    for (const char *at = path; (at = strstr(at, folder)); at++)
        if ((at == path || at[-1] == '/') && (at[length] == '/' || !at[length]))
            return true;
    return false;
}

static int seek_device(void *context, const char *name)
{
    struct seeking *seeking = context;
    struct vidur_device_sku device;
    if (vidur_device_sku_load(&device, name, NULL) ||
        !is_folder_of(seeking->dir, vidur_device_kernel_system(&device)))
        return 0;
    snprintf(seeking->device, sizeof seeking->device, "%s", name);
    return 1;
}

/* Without --device: the one whose kernel_system is a folder of the tables' path. */
static int find_device(struct engine *engine, const char *dir, const char *name,
                       struct vidur_error *err)
{
    struct seeking seeking = {.dir = dir};
    if (!name) {
        const int found =
            vidur_path_each_spec("skus/devices", seek_device, &seeking, err);
        if (found < 0)
            return -1;
        if (!found)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: no device of data/skus/devices has a kernel_system "
                              "that is a folder of this path; name one with --device",
                              dir);
        name = seeking.device;
    }
    return vidur_device_sku_load(&engine->device, name, err);
}

static int find_node(struct engine *engine, const char *name, struct vidur_error *err)
{
    struct vidur_error none;
    char known[128];
    if (!name) {
        if (vidur_node_sku_default(engine->device.name, known, sizeof known, &none))
            return vidur_fail(err, VIDUR_EINVAL,
                              "no node of %s in data/skus/nodes; name one with --node",
                              engine->device.name);
        name = known;
    }
    return vidur_node_sku_load(&engine->node, name, err);
}

/* The system is named by a folder above, which a path like "." does not say. */
static int real_path(struct vidur_path *out, const char *path, struct vidur_error *err)
{
    char *real = realpath(path, NULL);
    if (!real)
        return vidur_file_fail(err, path, "finding the folder");
    const int length = snprintf(out->text, sizeof out->text, "%s", real);
    free(real);
    return length < (int)sizeof out->text
               ? 0
               : vidur_fail(err, VIDUR_EINVAL, "%s: path too long", path);
}

static int open_engine(struct engine *engine, const struct vidur_args *args,
                       struct vidur_error *err)
{
    const char *dir = vidur_args_value(args, "kernels");
    const char *device = vidur_args_value(args, "device");
    struct vidur_path path, real;
    if (device && vidur_device_sku_load(&engine->device, device, err))
        return vidur_fail_prefix(err, "--device");
    if (vidur_kernels_locate(
            &path, dir, device ? vidur_device_kernel_system(&engine->device) : "", err))
        return vidur_fail_prefix(err, "--kernels");
    if (real_path(&real, path.text, err))
        return -1;
    if (find_device(engine, real.text, device, err) ||
        find_node(engine, vidur_args_value(args, "node"), err))
        return -1;
    return vidur_kernels_open(&engine->kernels, real.text, err);
}

/* ---- Printing ---- */

static const char *format_of(const struct vidur_fit_error *error)
{
    return vidur_fit_class_has_formats(error->class) ? vidur_dtype_name(error->dtype)
                                                     : "-";
}

static int print_errors(const struct engine *engine, FILE *out, struct vidur_error *err)
{
    struct vidur_fit_errors errors;
    if (vidur_engine_roofline_errors(&errors, &engine->device, &engine->node,
                                     engine->kernels, err))
        return -1;
    fprintf(out, "# engine_roofline of %s (%s) against %s\n", engine->device.name,
            engine->node.name, vidur_kernels_dir(engine->kernels));
    fprintf(out, "%-14s %-9s %6s %9s %7s %12s  %s\n", "operator", "format", "rows",
            "median_%", "p90_%", "median_ratio",
            "up to 256 tokens: rows, median_%, median_ratio");
    for (int i = 0; i < errors.count; i++) {
        const struct vidur_fit_error *e = &errors.at[i];
        fprintf(out, "%-14s %-9s %6d %9.2f %7.2f %12.3f",
                vidur_fit_class_name(e->class), format_of(e), e->rows, 100 * e->median,
                100 * e->p90, e->median_ratio);
        if (e->small_rows > 0)
            fprintf(out, "  %6d %9.2f %12.3f", e->small_rows, 100 * e->small_median,
                    e->small_ratio);
        fputc('\n', out);
    }
    return 0;
}

/* ---- All devices of a root ---- */

enum { MAX_SYSTEMS = 32 };

struct systems {
    const char *root;
    char device[MAX_SYSTEMS][32];
    struct vidur_fit_errors errors[MAX_SYSTEMS];
    int count;
};

/* Judges a device that the root has timings of; others are passed over. */
static int add_system(struct systems *systems, struct engine *engine,
                      struct vidur_error *err)
{
    struct vidur_error none;
    struct vidur_path path;
    if (vidur_kernels_locate(&path, systems->root,
                             vidur_device_kernel_system(&engine->device), &none))
        return 0;
    if (systems->count == MAX_SYSTEMS)
        return vidur_fail(err, VIDUR_EINVAL, "%s: timings of more than %d devices",
                          systems->root, MAX_SYSTEMS);
    if (find_node(engine, NULL, err) ||
        vidur_kernels_open(&engine->kernels, path.text, err))
        return -1;
    snprintf(systems->device[systems->count], sizeof systems->device[0], "%s",
             engine->device.name);
    const int status =
        vidur_engine_roofline_errors(&systems->errors[systems->count], &engine->device,
                                     &engine->node, engine->kernels, err);
    vidur_kernels_close(engine->kernels);
    systems->count += status == 0;
    return status;
}

struct adding {
    struct systems *systems;
    struct vidur_error *err;
};

static int add_device(void *context, const char *name)
{
    const struct adding *adding = context;
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return vidur_fail(adding->err, VIDUR_ENOMEM, "out of memory");
    int status = vidur_device_sku_load(&engine->device, name, adding->err);
    if (status == 0)
        status = add_system(adding->systems, engine, adding->err);
    free(engine);
    return status;
}

static const struct vidur_fit_error *find_error(const struct vidur_fit_errors *errors,
                                                int class, int dtype)
{
    for (int i = 0; i < errors->count; i++)
        if ((int)errors->at[i].class == class && (int)errors->at[i].dtype == dtype)
            return &errors->at[i];
    return NULL;
}

/* A line of the table; nothing where no device has timings of it. */
static void print_row(const struct systems *systems, int class, int dtype, FILE *out)
{
    const struct vidur_fit_error *any = NULL;
    for (int i = 0; !any && i < systems->count; i++)
        any = find_error(&systems->errors[i], class, dtype);
    if (!any)
        return;
    fprintf(out, "| %s", vidur_fit_class_name(any->class));
    if (vidur_fit_class_has_formats(any->class))
        fprintf(out, " %s", vidur_dtype_name(any->dtype));
    for (int i = 0; i < systems->count; i++) {
        const struct vidur_fit_error *e = find_error(&systems->errors[i], class, dtype);
        if (e)
            fprintf(out, " | %.0f / %.0f (%+.0f)", 100 * e->median, 100 * e->p90,
                    100 * (e->median_ratio - 1));
        else
            fprintf(out, " |");
    }
    fprintf(out, " |\n");
}

/* A table in Markdown: operators down, devices across. */
static void print_table(const struct systems *systems, FILE *out)
{
    fprintf(out,
            "# engine_roofline against the kernels of %s: median / 90th percentile of "
            "|log(roofline / timed)| in %%, in brackets the median of roofline / timed "
            "less 1 in %%\n| operator, format",
            systems->root);
    for (int i = 0; i < systems->count; i++)
        fprintf(out, " | %s", systems->device[i]);
    fprintf(out, " |\n|---");
    for (int i = 0; i < systems->count; i++)
        fprintf(out, "|---");
    fprintf(out, "|\n");
    for (int class = 0; class < VIDUR_NUM_KERNEL_CLASSES; class ++)
        for (int dtype = 0; dtype < VIDUR_NUM_DTYPES; dtype++)
            print_row(systems, class, dtype, out);
}

/* *found: whether `root` holds timings of several systems, of which some device is. */
static int validate_root(const char *root, bool *found, FILE *out,
                         struct vidur_error *err)
{
    struct systems *systems = calloc(1, sizeof *systems);
    if (!systems)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    systems->root = root;
    struct adding adding = {systems, err};
    const int status = vidur_path_each_spec("skus/devices", add_device, &adding, err);
    *found = systems->count > 0;
    if (status == 0 && *found)
        print_table(systems, out);
    free(systems);
    return status;
}

/* ---- The section ---- */

static void print_section(const struct vidur_engine_roofline *e, FILE *out)
{
    fprintf(out, "%s\n  fitted_on: %s\n  gemm:\n", section_key, e->fitted_on);
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++)
        if (e->gemm[i].memory > 0)
            fprintf(out, "    %s: [%g, %g, %g]\n",
                    vidur_dtype_name((enum vidur_dtype)i), e->gemm[i].memory,
                    e->gemm[i].compute, e->gemm[i].launch_us);
    bool header = false;
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
        const struct vidur_expert_roofline *x = &e->experts[i];
        if (!(x->memory > 0))
            continue;
        fprintf(out, "%s    %s: [%g, %g, %g, %g]\n", header ? "" : "  experts:\n",
                vidur_dtype_name((enum vidur_dtype)i), x->memory, x->compute,
                x->launch_us, x->token_ns);
        header = true;
    }
    fprintf(out,
            "  prefill: [%g, %g]\n  all_reduce: [%g, %g, %g, %g]\n"
            "  all_reduce_skew_us: %g\n",
            e->prefill.compute, e->prefill.launch_us, e->all_reduce.latency_us,
            e->all_reduce.growth, e->all_reduce.link, e->all_reduce.doubling,
            e->all_reduce_skew_us);
}

/* ---- Into a device's spec ---- */

/* The lines of `text` that are the section: from its key to the last that is indented;
 * false: there is none. */
static bool find_section(const char *text, size_t *begin, size_t *end)
{
    for (const char *line = text; *line;) {
        const char *next = line + strcspn(line, "\n");
        next += *next == '\n';
        if (strncmp(line, section_key, strlen(section_key)) == 0) {
            while (*next == ' ' || *next == '\t') {
                next += strcspn(next, "\n");
                next += *next == '\n';
            }
            *begin = (size_t)(line - text);
            *end = (size_t)(next - text);
            return true;
        }
        line = next;
    }
    return false;
}

/* The file as it is, but for the section: other lines and comments stay. */
static int write_spec(const char *path, const char *old,
                      const struct vidur_engine_roofline *engine,
                      struct vidur_error *err)
{
    const size_t length = strlen(old);
    size_t begin = length, end = length;
    const bool found = find_section(old, &begin, &end);
    struct vidur_file *file = vidur_file_create(path, err);
    if (!file)
        return -1;
    FILE *out = vidur_file_stream(file);
    fwrite(old, 1, begin, out);
    if (!found && begin > 0 && old[begin - 1] != '\n')
        fputc('\n', out);
    print_section(engine, out);
    fwrite(old + end, 1, length - end, out);
    return vidur_file_commit(file, err);
}

/* A file that is there must be a device's spec; a new one gets the section alone. */
static int check_output(const char *path, struct vidur_error *err)
{
    struct vidur_device_sku device;
    if (!path || !vidur_file_exists(path))
        return 0;
    return vidur_device_sku_load(&device, path, err)
               ? vidur_fail_prefix(err, "--output")
               : 0;
}

static int update_spec(const char *path, const struct vidur_engine_roofline *engine,
                       struct vidur_error *err)
{
    if (!vidur_file_exists(path))
        return write_spec(path, "", engine, err);
    char *old = vidur_file_read(path, 0, NULL, err);
    if (!old)
        return -1;
    const int status = write_spec(path, old, engine, err);
    free(old);
    return status;
}

/* ---- The commands ---- */

/* A root of several systems, where no device is named, is a table of all of them. */
static bool is_root(const struct vidur_args *args)
{
    struct vidur_path path;
    struct vidur_error none;
    return !vidur_args_given(args, "device") && !vidur_args_given(args, "node") &&
           vidur_kernels_locate(&path, vidur_args_value(args, "kernels"), "", &none) !=
               0;
}

static int validate(const struct vidur_args *args, struct engine *engine, FILE *out,
                    struct vidur_error *err)
{
    bool found = false;
    if (is_root(args)) {
        if (validate_root(vidur_args_value(args, "kernels"), &found, out, err))
            return 1;
        if (found)
            return 0;
    }
    return open_engine(engine, args, err) || print_errors(engine, out, err);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int fit(struct engine *engine, const char *output, FILE *out,
               struct vidur_error *err)
{
    const double start = seconds();
    if (check_output(output, err) ||
        vidur_engine_roofline_fit(&engine->device, &engine->node, engine->kernels, err))
        return 1;
    const double took = seconds() - start;
    if (output) {
        if (update_spec(output, &engine->device.engine, err))
            return 2;
    } else {
        fprintf(out, "# in the device's file\n");
        print_section(&engine->device.engine, out);
    }
    if (print_errors(engine, out, err))
        return 1;
    fprintf(out, "# fitted in %.1f s\n", took);
    return 0;
}

int vidur_estimate_kernels(const struct vidur_args *args, FILE *out,
                           struct vidur_error *err)
{
    const char *command = args->positional[0];
    const bool fits = strcmp(command, "fit") == 0;
    if (!fits && strcmp(command, "validate") != 0) {
        vidur_fail(err, VIDUR_EINVAL,
                   "--kernels goes with fit and validate, not '%.60s'", command);
        return 1;
    }
    if (args->num_positional > 1) {
        vidur_fail(err, VIDUR_EINVAL,
                   "'%.60s': %s --kernels takes no configuration; --device names the "
                   "device",
                   args->positional[1], command);
        return 1;
    }
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory");
        return 2;
    }
    int status = 1;
    if (!fits)
        status = validate(args, engine, out, err);
    else if (open_engine(engine, args, err) == 0)
        status = fit(engine, vidur_args_value(args, "output"), out, err);
    vidur_kernels_close(engine->kernels);
    free(engine);
    return status;
}
