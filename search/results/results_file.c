#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "base/file.h"
#include "results/columns.h"
#include "results/results_h5.h"
#include "results/results_layout.h"
#include "results/results_seal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* results.h5: the contract's attributes, tables and texts. */

static const char creator[] = "vidur-search";

#define ROOT_TEXT(name)                                                                \
    {                                                                                  \
#name, offsetof(struct vidur_results, name),                                   \
            sizeof(((struct vidur_results *)0)->name)                                  \
    }
static const struct {
    const char *name;
    size_t offset, size;
} root_texts[] = {ROOT_TEXT(creator_version), ROOT_TEXT(git_commit),
                  ROOT_TEXT(file_time), ROOT_TEXT(config_path),
                  ROOT_TEXT(config_sha256)};
enum { NUM_ROOT_TEXTS = sizeof root_texts / sizeof root_texts[0] };

static int put_root(struct vidur_h5 *file, const struct vidur_results *results)
{
    int failed =
        vidur_h5_put_text(file, "creator", creator) ||
        vidur_h5_put_text(file, "HDF5_Version", vidur_h5_version().text) ||
        vidur_h5_put_uint64(file, "format_version", VIDUR_RESULTS_FORMAT_VERSION) ||
        vidur_h5_put_text(file, "config_text", results->config_text) ||
        vidur_h5_put_uint64(file, "seed", results->seed) ||
        vidur_h5_put_uint64(file, "ranks", (uint64_t)results->ranks) ||
        vidur_h5_put_uint64(file, "threads", (uint64_t)results->threads) ||
        vidur_h5_put_double(file, "elapsed_s", results->elapsed_s);
    for (size_t i = 0; !failed && i < NUM_ROOT_TEXTS; i++)
        failed = vidur_h5_put_text(file, root_texts[i].name,
                                   (const char *)results + root_texts[i].offset);
    return failed ? -1 : 0;
}

static int put_rejected(struct vidur_h5 *file, const struct vidur_results *results)
{
    struct vidur_table table = vidur_rejected_table();
    int64_t count = 0;
    struct vidur_ranking_row *rows = vidur_results_rejected(results, &count);
    int failed = !rows || vidur_h5_put_table(file, &table, rows, count);
    free(rows);
    return failed;
}

static int put_all(struct vidur_h5 *file, const struct vidur_results *results)
{
    struct vidur_named_columns names[2];
    struct vidur_table ranking = vidur_ranking_table(results, &names[0]);
    struct vidur_table probes = vidur_probes_table(results, &names[1]);
    struct vidur_table facts = vidur_facts_table();
    const char *text = results->config_text ? results->config_text : "";
    int failed =
        put_root(file, results) ||
        vidur_h5_put_note(file, "/README", vidur_results_readme()) ||
        vidur_h5_put_table(file, &ranking, results->ranking, results->num_ranking) ||
        vidur_h5_put_table(file, &probes, results->probes, results->num_probes) ||
        vidur_h5_put_group(file, "/space") ||
        vidur_h5_put_note(file, "/space/configuration", text) ||
        vidur_h5_put_table(file, &facts, results->facts, results->num_facts) ||
        put_rejected(file, results);
    return failed ? -1 : 0;
}

int vidur_results_write(const char *path, const struct vidur_results *results,
                        struct vidur_error *err)
{
    const struct vidur_results stamped = vidur_results_stamp(results);
    size_t size = 0;
    void *image = NULL;
    struct vidur_h5 *file = vidur_h5_create();
    if (file && put_all(file, &stamped) == 0)
        image = vidur_h5_image(file, &size);
    vidur_h5_close(file);
    if (!image)
        return vidur_fail(err, VIDUR_ENOMEM,
                          "%s: HDF5 could not put the results together; free some "
                          "memory and try again",
                          path);
    char *sealed = results_seal(image, &size);
    int failed = sealed ? vidur_file_write(path, sealed, size, err)
                        : vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    free(sealed);
    return failed;
}

static int fail_damaged(struct vidur_error *err, const char *path, const char *what)
{
    return vidur_fail(err, VIDUR_ECORRUPT,
                      "%s: the file is damaged or truncated (%s); copy it again or run "
                      "vidur-search anew",
                      path, what);
}

static int fail_foreign(struct vidur_error *err, const char *path, const char *what)
{
    return vidur_fail(err, VIDUR_ECORRUPT,
                      "%s: %s; give the results.h5 that vidur-search wrote", path,
                      what);
}

static const char signature[8] = {'\x89', 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

int vidur_results_check_target(const char *path, struct vidur_error *err)
{
    struct stat st;
    char head[sizeof signature] = "";
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return 0;
    FILE *file = fopen(path, "rb");
    const size_t length = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    if (length == sizeof head && memcmp(head, signature, sizeof head) == 0)
        return 0;
    return vidur_fail(
        err, VIDUR_EINVAL,
        "%s: is there and holds no results, so writing them would destroy "
        "it; name another file or remove it",
        path);
}

static int check_signature(const char *path, const char *bytes, size_t size,
                           struct vidur_error *err)
{
    if (size == 0)
        return fail_foreign(err, path, "the file is empty");
    if (size < sizeof signature || memcmp(bytes, signature, sizeof signature) != 0)
        return fail_foreign(err, path, "this is not an HDF5 file");
    return 0;
}

static int check_kind(struct vidur_h5 *file, const char *path, struct vidur_error *err)
{
    char *name = vidur_h5_get_text(file, "creator");
    const bool named = name != NULL;
    const bool ours = named && strcmp(name, creator) == 0;
    free(name);
    double version = 0;
    vidur_h5_get_double(file, "format_version", &version);
    if (!named && vidur_h5_has(file, "creator") != 0)
        return fail_damaged(err, path, "its attributes cannot be read");
    if (!ours || !(version > 0))
        return fail_foreign(err, path, "an HDF5 file, but not results of vidur-search");
    if (version <= VIDUR_RESULTS_FORMAT_VERSION)
        return 0;
    char *wrote = vidur_h5_get_text(file, "creator_version");
    vidur_fail(err, VIDUR_ECORRUPT,
               "%s: its format version is %.0f, written by vidur-search %s, and this "
               "program reads up to %d; use vidur-report of that version or newer",
               path, version, wrote ? wrote : "of an unknown version",
               VIDUR_RESULTS_FORMAT_VERSION);
    free(wrote);
    return -1;
}

static int get_count(struct vidur_h5 *file, const char *name)
{
    double value = 0;
    vidur_h5_get_double(file, name, &value);
    return value >= 0 && value <= INT_MAX ? (int)value : 0;
}

static void get_root(struct vidur_h5 *file, struct vidur_results *results)
{
    for (size_t i = 0; i < NUM_ROOT_TEXTS; i++) {
        char *text = vidur_h5_get_text(file, root_texts[i].name);
        char *field = (char *)results + root_texts[i].offset;
        snprintf(field, root_texts[i].size, "%s", text ? text : "");
        vidur_text_cell_clean(field, root_texts[i].size);
        free(text);
    }
    results->ranks = get_count(file, "ranks");
    results->threads = get_count(file, "threads");
    vidur_h5_get_uint64(file, "seed", &results->seed);
    vidur_h5_get_double(file, "elapsed_s", &results->elapsed_s);
    results->config_text = vidur_h5_get_text(file, "config_text");
}

/* The facts come first: they tell which SLOs' quantiles the other tables have. The path
 * of the table that cannot be read; NULL: all can. */
static const char *get_tables(struct vidur_h5 *file, struct vidur_results *results)
{
    int num_ranking, num_probe;
    const struct vidur_column *ranking = vidur_ranking_columns(&num_ranking);
    const struct vidur_column *probe = vidur_probe_columns(&num_probe);
    struct vidur_named_columns names[2];
    void *rows = NULL;
    struct vidur_table table = vidur_facts_table();
    if (vidur_h5_get_table(file, &table, &rows, &results->num_facts))
        return table.path;
    results->facts = rows;
    table = vidur_ranking_table(results, &names[0]);
    if (vidur_h5_get_table(file, &table, &rows, &results->num_ranking))
        return table.path;
    results->ranking = rows;
    table = vidur_probes_table(results, &names[1]);
    if (vidur_h5_get_table(file, &table, &rows, &results->num_probes))
        return table.path;
    results->probes = rows;
    for (int64_t i = 0; i < results->num_ranking; i++)
        vidur_named_columns_clear_rest(&names[0], ranking, num_ranking,
                                       &results->ranking[i]);
    for (int64_t i = 0; i < results->num_probes; i++)
        vidur_named_columns_clear_rest(&names[1], probe, num_probe,
                                       &results->probes[i]);
    return NULL;
}

static int get_all(struct vidur_h5 *file, const char *path,
                   struct vidur_results *results, struct vidur_error *err)
{
    if (check_kind(file, path, err))
        return -1;
    get_root(file, results);
    /* there twice, as nothing else would show that it is damaged */
    char *copy = vidur_h5_get_note(file, "/space/configuration");
    bool same = copy && results->config_text && strcmp(copy, results->config_text) == 0;
    const char *bad = same ? NULL : "config_text";
    free(copy);
    if (!bad)
        bad = get_tables(file, results);
    if (!bad)
        return 0;
    char what[64];
    snprintf(what, sizeof what, "%s cannot be read", bad);
    return fail_damaged(err, path, what);
}

struct source {
    const char *path;
    char *bytes;
    size_t size;
};

static int read_source(const struct source *source, struct vidur_results *results,
                       struct vidur_error *err)
{
    char why[160];
    *results = (struct vidur_results){0};
    struct vidur_h5 *file = vidur_h5_open(source->bytes, source->size, why, sizeof why);
    if (!file)
        return fail_damaged(err, source->path, why);
    int failed = get_all(file, source->path, results, err);
    vidur_h5_close(file);
    if (failed)
        vidur_results_destroy(results);
    return failed;
}

/* What a child tells of its try. */
struct attempt {
    const struct source *source;
    struct vidur_error *err; /* shared with it; .code VIDUR_OK: it could read it */
};

static void try_source(void *context)
{
    const struct attempt *attempt = context;
    struct vidur_results results;
    if (read_source(attempt->source, &results, attempt->err) == 0)
        vidur_results_destroy(&results);
}

/* As results_try_in_child. What the child refuses is not read again: HDF5 may have
 * corrupted memory by then. */
static int try_in_child(const struct source *source, struct vidur_error *refusal)
{
    struct attempt attempt = {.source = source};
    attempt.err = mmap(NULL, sizeof *attempt.err, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (attempt.err == MAP_FAILED)
        return -1;
    /* some damage sends HDF5 round in circles; reading a megabyte takes some 0.1 s */
    const int survived =
        results_try_in_child(try_source, &attempt, 10 + (unsigned)(source->size >> 20));
    *refusal = *attempt.err;
    munmap(attempt.err, sizeof *attempt.err);
    return survived;
}

/* HDF5 trusts what it reads, and a wrong number can end the process. It gets what is
 * sealed; anything else goes through a child of this process first. */
static int check_source(struct source *source, struct vidur_error *err)
{
    if (check_signature(source->path, source->bytes, source->size, err))
        return -1;
    switch (results_check_seal(source->bytes, &source->size)) {
    case RESULTS_SEALED:
        return 0;
    case RESULTS_SEAL_BROKEN:
        return fail_damaged(err, source->path, "its bytes do not fit its checksum");
    case RESULTS_NOT_SEALED:
        break;
    }
    struct vidur_error refusal = {0};
    const int survived = try_in_child(source, &refusal);
    if (survived > 0 && refusal.code != VIDUR_OK && err)
        *err = refusal;
    if (survived > 0 && refusal.code != VIDUR_OK)
        return -1;
    if (survived < 0)
        return vidur_fail(err, VIDUR_EIO,
                          "%s: cannot start a process that tries the file, which has "
                          "no checksum",
                          source->path);
    return survived ? 0 : fail_damaged(err, source->path, "HDF5 cannot take it");
}

int vidur_results_read(const char *path, struct vidur_results *results,
                       struct vidur_error *err)
{
    struct source source = {.path = path};
    *results = (struct vidur_results){0};
    source.bytes = vidur_file_read(path, 0, &source.size, err);
    if (!source.bytes)
        return -1;
    int failed = check_source(&source, err) || read_source(&source, results, err);
    free(source.bytes);
    return failed ? -1 : 0;
}
