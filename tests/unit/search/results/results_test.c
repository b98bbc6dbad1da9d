#include "results/columns.h"
#include "results/results_h5.h"
#include "synthetic_results.h"
#include "test.h"

#include "base/file.h"

#include <vidur/results.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[128];
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/vidur-results-XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool tables_equal(const struct vidur_results *a, const struct vidur_results *b)
{
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    if (a->num_ranking != b->num_ranking || a->num_probes != b->num_probes ||
        a->num_facts != b->num_facts)
        return false;
    for (int64_t i = 0; i < a->num_ranking; i++)
        if (!vidur_rows_equal(columns, count, &a->ranking[i], &b->ranking[i], NULL))
            return false;
    columns = vidur_probe_columns(&count);
    for (int64_t i = 0; i < a->num_probes; i++)
        if (!vidur_rows_equal(columns, count, &a->probes[i], &b->probes[i], NULL))
            return false;
    return memcmp(a->facts, b->facts, (size_t)a->num_facts * sizeof *a->facts) == 0;
}

static void test_round_trip(void)
{
    struct vidur_error err = {0};
    struct vidur_results written, read;
    synthetic_results(&written, 120, 7);
    written.seed = UINT64_MAX;
    const char *path = path_of("round.h5");
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &written, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(path, &read, &err), 0);
    CU_ASSERT_TRUE(tables_equal(&written, &read));
    CU_ASSERT_STRING_EQUAL(read.config_text, written.config_text);
    CU_ASSERT_STRING_EQUAL(read.config_path, "synthetic.yaml");
    CU_ASSERT_STRING_EQUAL(read.config_sha256, written.config_sha256);
    CU_ASSERT_STRING_EQUAL(read.git_commit, written.git_commit);
    CU_ASSERT_STRING_EQUAL(read.file_time, "2024-02-07T12:00:00Z");
    CU_ASSERT_EQUAL(read.seed, UINT64_MAX);
    CU_ASSERT_EQUAL(read.ranks, 4);
    CU_ASSERT_EQUAL(read.threads, 1);
    CU_ASSERT_EQUAL(read.elapsed_s, 12.5);
    CU_ASSERT_STRING_EQUAL(vidur_results_fact(&read, "slo", "tbt_p99", "limit_s"),
                           "0.2");
    CU_ASSERT_PTR_NULL(vidur_results_fact(&read, "slo", "tbt_p99", "nothing"));
    vidur_results_destroy(&written);
    vidur_results_destroy(&read);
}

/* Whether a table of the file has a column that a reader would know by this name. */
static bool has_column(const char *path, const char *table, const char *name)
{
    struct vidur_column column = {VIDUR_COLUMN_REAL, name, "", "", 0, sizeof(double)};
    struct vidur_table wanted = {table, &column, 1, sizeof(double)};
    void *rows = NULL;
    int64_t count;
    size_t size;
    char why[160];
    char *bytes = vidur_file_read(path, 0, &size, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    struct vidur_h5 *file = vidur_h5_open(bytes, size, why, sizeof why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    const bool has = vidur_h5_get_table(file, &wanted, &rows, &count) == 0;
    free(rows);
    vidur_h5_close(file);
    free(bytes);
    return has;
}

/* The quantiles of SLOs have columns of their own, unless every row has them. */
static void test_columns_of_slos(void)
{
    static const char *const tables[] = {"/ranking", "/probes"};
    struct vidur_error err = {0};
    struct vidur_results written, read;
    synthetic_results(&written, 120, 7);
    const char *path = path_of("slos.h5");
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &written, &err), 0);
    CU_ASSERT_FALSE(has_column(path, "/ranking", "tpot_p99_9_s"));
    synthetic_other_slos(&written);
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &written, &err), 0);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_TRUE(has_column(path, tables[i], "tpot_p99_9_s"));
        CU_ASSERT_TRUE(has_column(path, tables[i], "e2e_normalized_p75_s"));
        CU_ASSERT_TRUE(has_column(path, tables[i], "ttft_p95_s"));
        CU_ASSERT_TRUE(has_column(path, tables[i], "e2e_normalized_p99_s"));
        CU_ASSERT_FALSE(has_column(path, tables[i], "slo_0_s"));
        CU_ASSERT_FALSE(has_column(path, tables[i], "slo_2_s"));
    }
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(path, &read, &err), 0);
    CU_ASSERT_TRUE(tables_equal(&written, &read));
    int known = 0;
    for (int64_t i = 0; i < read.num_ranking; i++)
        known += read.ranking[i].slo_s[1] > 0;
    CU_ASSERT_TRUE(known > 50);
    vidur_results_destroy(&read);
    vidur_results_destroy(&written);
}

/* An older file tells of an SLO whose quantile it lacks. */
static void test_older_file_with_slos(void)
{
    struct vidur_results results, read;
    struct vidur_named_columns names;
    synthetic_results(&results, 30, 5);
    struct vidur_table ranking = vidur_ranking_table(&results, &names);
    struct vidur_table facts = vidur_facts_table();
    synthetic_other_slos(&results);
    struct vidur_h5 *file = vidur_h5_create();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    int failed = vidur_h5_put_text(file, "creator", "vidur-search") ||
                 vidur_h5_put_text(file, "config_text", "x: 1") ||
                 vidur_h5_put_uint64(file, "format_version", 1) ||
                 vidur_h5_put_group(file, "/space") ||
                 vidur_h5_put_note(file, "/space/configuration", "x: 1") ||
                 vidur_h5_put_table(file, &ranking, results.ranking, 30);
    struct vidur_table probes = vidur_probes_table(&(struct vidur_results){0}, &names);
    failed = failed || vidur_h5_put_table(file, &probes, results.probes, 3) ||
             vidur_h5_put_table(file, &facts, results.facts, results.num_facts);
    CU_ASSERT_FALSE(failed);
    size_t size = 0;
    void *image = vidur_h5_image(file, &size);
    CU_ASSERT_EQUAL(vidur_file_write(path_of("older.h5"), image, size, NULL), 0);
    free(image);
    vidur_h5_close(file);
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(path_of("older.h5"), &read, NULL), 0);
    for (int i = 0; i < VIDUR_MAX_SLOS; i++)
        CU_ASSERT_TRUE(isnan(read.ranking[0].slo_s[i]) &&
                       isnan(read.probes[2].slo_s[i]));
    vidur_results_destroy(&read);
    vidur_results_destroy(&results);
}

static void test_equal_bytes(void)
{
    struct vidur_results results;
    synthetic_results(&results, 40, 3);
    size_t size[2];
    char *bytes[2];
    for (int i = 0; i < 2; i++) {
        const char *path = path_of("bytes.h5");
        CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &results, NULL), 0);
        bytes[i] = vidur_file_read(path, 0, &size[i], NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes[i]);
    }
    CU_ASSERT_EQUAL(size[0], size[1]);
    CU_ASSERT_TRUE(size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0);
    free(bytes[0]);
    free(bytes[1]);
    vidur_results_destroy(&results);
}

static void test_empty_results(void)
{
    struct vidur_results none = {0}, read;
    const char *path = path_of("none.h5");
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &none, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(path, &read, NULL), 0);
    CU_ASSERT_EQUAL(read.num_ranking, 0);
    CU_ASSERT_EQUAL(read.num_probes, 0);
    CU_ASSERT_EQUAL(strlen(read.file_time), 20); /* filled in: 2024-01-01T00:00:00Z */
    CU_ASSERT_TRUE(read.creator_version[0] != 0);
    vidur_results_destroy(&read);
}

static void test_text_is_clean(void)
{
    static const struct {
        const char *in, *out;
        size_t size;
    } cases[] = {{"plain", "plain", 16},
                 {"caf\xc3\xa9", "caf\xc3\xa9", 16},
                 {"caf\xc3\xa9", "caf", 5}, /* room ends inside the character */
                 {"a\xff\xfe z", "a?? z", 16},
                 {"\xe2\x82", "", 16}, /* text ends inside the character */
                 {"\xed\xa0\x80", "???", 16} /* a surrogate */,
                 {"\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!", 16},
                 {"\xf4\x90\x80\x80", "????", 16} /* beyond U+10FFFF */};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[16];
        memset(text, 'x', sizeof text);
        memcpy(text, cases[i].in, strlen(cases[i].in) + 1);
        vidur_text_cell_clean(text, cases[i].size);
        CU_ASSERT_STRING_EQUAL(text, cases[i].out);
        for (size_t j = strlen(text); j < cases[i].size; j++)
            CU_ASSERT_EQUAL(text[j], 0);
    }
}

/* A file of our kind with given columns of the ranking and a format version. */
static const char *write_variant(const char *name, uint64_t version,
                                 const struct vidur_table *ranking, const void *rows,
                                 int64_t count)
{
    const struct vidur_results none = {0};
    struct vidur_named_columns names;
    struct vidur_table probes = vidur_probes_table(&none, &names);
    struct vidur_table facts = vidur_facts_table();
    struct vidur_h5 *file = vidur_h5_create();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    int failed = vidur_h5_put_text(file, "creator", "vidur-search") ||
                 vidur_h5_put_text(file, "creator_version", "9.9") ||
                 vidur_h5_put_text(file, "config_text", "x: 1") ||
                 vidur_h5_put_uint64(file, "format_version", version) ||
                 vidur_h5_put_group(file, "/space") ||
                 vidur_h5_put_note(file, "/space/configuration", "x: 1") ||
                 vidur_h5_put_table(file, ranking, rows, count) ||
                 vidur_h5_put_table(file, &probes, NULL, 0) ||
                 vidur_h5_put_table(file, &facts, NULL, 0);
    CU_ASSERT_FALSE(failed);
    size_t size = 0;
    void *image = vidur_h5_image(file, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(image);
    const char *path = path_of(name);
    CU_ASSERT_EQUAL(vidur_file_write(path, image, size, NULL), 0);
    free(image);
    vidur_h5_close(file);
    return path;
}

/* An older file has fewer columns, in another order, and one that is gone today. */
static void test_other_columns(void)
{
    struct vidur_results results, read;
    synthetic_results(&results, 30, 5);
    struct vidur_named_columns names;
    struct vidur_table ranking = vidur_ranking_table(&results, &names);
    struct vidur_column columns[] = {
        *vidur_column_find(ranking.columns, ranking.num_columns, "max_qps"),
        *vidur_column_find(ranking.columns, ranking.num_columns, "status"),
        *vidur_column_find(ranking.columns, ranking.num_columns, "candidate_id"),
        *vidur_column_find(ranking.columns, ranking.num_columns, "usd_per_hour")};
    columns[3].name = "forgotten_column";
    struct vidur_table older = {"/ranking", columns, 4, ranking.row_size};
    const char *path = write_variant("older.h5", 1, &older, results.ranking, 30);
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(path, &read, &err), 0);
    CU_ASSERT_EQUAL_FATAL(read.num_ranking, 30);
    for (int i = 0; i < 30; i++) {
        const struct vidur_ranking_row *row = &read.ranking[i];
        CU_ASSERT_STRING_EQUAL(row->candidate_id, results.ranking[i].candidate_id);
        CU_ASSERT_STRING_EQUAL(row->status, results.ranking[i].status);
        double was = results.ranking[i].max_qps;
        CU_ASSERT_TRUE(row->max_qps == was || (isnan(was) && isnan(row->max_qps)));
        CU_ASSERT_TRUE(isnan(row->usd_per_hour));
        CU_ASSERT_EQUAL(row->num_gpus, 0);
        CU_ASSERT_STRING_EQUAL(row->model, "");
    }
    vidur_results_destroy(&read);
    vidur_results_destroy(&results);
}

static void check_refused(const char *path, const char *part)
{
    struct vidur_error err = {0};
    struct vidur_results read;
    CU_ASSERT_EQUAL(vidur_results_read(path, &read, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_ECORRUPT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, path));
    if (!strstr(err.text, part))
        CU_FAIL(err.text);
    CU_ASSERT_EQUAL(read.num_ranking, 0);
}

static void test_wrong_type_and_version(void)
{
    struct vidur_ranking_row row = {0};
    const struct vidur_results none = {0};
    struct vidur_named_columns names;
    struct vidur_table ranking = vidur_ranking_table(&none, &names);
    check_refused(
        write_variant("newer.h5", VIDUR_RESULTS_FORMAT_VERSION + 1, &ranking, &row, 1),
        "format version is 2, written by vidur-search 9.9");
    check_refused(write_variant("zero.h5", 0, &ranking, &row, 1), "not results of");
    struct vidur_column text =
        *vidur_column_find(ranking.columns, ranking.num_columns, "candidate_id");
    text.name = "max_qps"; /* a text where a number should be */
    struct vidur_table wrong = {"/ranking", &text, 1, ranking.row_size};
    check_refused(write_variant("type.h5", 1, &wrong, &row, 1), "/ranking cannot be");
}

static void test_foreign_files(void)
{
    struct vidur_error err = {0};
    struct vidur_results read;
    CU_ASSERT_EQUAL(vidur_results_read(path_of("absent.h5"), &read, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    const char *path = path_of("foreign.h5");
    CU_ASSERT_EQUAL(vidur_file_write(path, "", 0, NULL), 0);
    check_refused(path, "the file is empty; give the results.h5");
    CU_ASSERT_EQUAL(vidur_file_write(path, "a,b\n1,2\n", 8, NULL), 0);
    check_refused(path, "not an HDF5 file");
    CU_ASSERT_EQUAL(vidur_file_write(path, "\x89HD", 3, NULL), 0);
    check_refused(path, "not an HDF5 file");
    struct vidur_h5 *file = vidur_h5_create();
    size_t size = 0;
    CU_ASSERT_EQUAL(vidur_h5_put_text(file, "creator", "somebody else"), 0);
    void *image = vidur_h5_image(file, &size);
    CU_ASSERT_EQUAL(vidur_file_write(path, image, size, NULL), 0);
    free(image);
    vidur_h5_close(file);
    check_refused(path, "an HDF5 file, but not results of vidur-search");
    CU_ASSERT_EQUAL(vidur_results_read(folder, &read, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

static void read_truncated_files(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 11);
    size_t size = 0;
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path_of("whole.h5"), &results, NULL), 0);
    char *bytes = vidur_file_read(path_of("whole.h5"), 0, &size, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
    for (int i = 1; i < 20; i++) {
        const char *path = path_of("cut.h5");
        size_t cut = size * (size_t)i / 20;
        CU_ASSERT_EQUAL(vidur_file_write(path, bytes, cut, NULL), 0);
        check_refused(path, "damaged or truncated");
    }
    CU_ASSERT_EQUAL(vidur_file_write(path_of("cut.h5"), bytes, size - 1, NULL), 0);
    check_refused(path_of("cut.h5"), "damaged or truncated");
    free(bytes);
    vidur_results_destroy(&results);
}

/* Whether reading the bytes gives `expected` or a refusal; counts the refusals. */
static bool read_is_right(const char *bytes, size_t size,
                          const struct vidur_results *expected, int *refused)
{
    struct vidur_results read;
    struct vidur_error err = {0};
    const char *path = path_of("flip.h5");
    if (vidur_file_write(path, bytes, size, NULL))
        return false;
    if (vidur_results_read(path, &read, &err)) {
        ++*refused;
        return err.code == VIDUR_ECORRUPT;
    }
    bool right = tables_equal(expected, &read) &&
                 strcmp(expected->config_text, read.config_text) == 0;
    vidur_results_destroy(&read);
    return right;
}

static void flip_bits(void)
{
    enum { ROUNDS = 200 };
    struct vidur_results results;
    size_t size = 0;
    int refused = 0, wrong = 0;
    synthetic_results(&results, 20, 13);
    vidur_results_write(path_of("whole.h5"), &results, NULL);
    char *bytes = vidur_file_read(path_of("whole.h5"), 0, &size, NULL);
    uint64_t state = 1;
    for (int i = 0; bytes && i < ROUNDS; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t at = (size_t)(state >> 33) % size;
        bytes[at] ^= (char)(1 << (state >> 30) % 8);
        wrong += !read_is_right(bytes, size, &results, &refused);
        bytes[at] ^= (char)(1 << (state >> 30) % 8);
    }
    free(bytes);
    vidur_results_destroy(&results);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(refused > ROUNDS / 4);
}

/* HDF5 leaks where it refuses a file: reading many goes into a child. */
static void run_in_child(void (*run)(void))
{
    path_of(""); /* makes the folder, for both */
    fflush(stdout);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        unsigned before = CU_get_number_of_failures();
        run();
        _exit(CU_get_number_of_failures() > before);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_truncated_files(void)
{
    run_in_child(read_truncated_files);
}

/* A flipped bit is refused, or hit a place that no reader looks at: never other rows,
 * never a crash. */
static void test_flipped_bits(void)
{
    run_in_child(flip_bits);
}

/* The old file stays when the new one does not fit on the disk. */
static void test_full_disk(void)
{
    struct vidur_results results, read;
    synthetic_results(&results, 10, 1);
    const char *path = path_of("full.h5");
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &results, NULL), 0);
    fflush(stdout);
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        struct vidur_results more;
        struct vidur_error err = {0};
        synthetic_results(&more, 200, 2);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096});
        int failed = vidur_results_write(path, &more, &err);
        _exit(failed && err.code == VIDUR_EIO ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT_EQUAL_FATAL(vidur_results_read(path, &read, NULL), 0);
    CU_ASSERT_TRUE(tables_equal(&results, &read));
    vidur_results_destroy(&read);
    vidur_results_destroy(&results);
    struct vidur_error err = {0};
    struct vidur_results none = {0};
    CU_ASSERT_EQUAL(vidur_results_write("/nowhere/results.h5", &none, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

/* No byte of a row but padding is without a column: what lies in files and journals is
 * known by the columns' names alone. */
static void test_columns_are_all(void)
{
    for (int table = 0; table < 2; table++) {
        unsigned char row[sizeof(struct vidur_ranking_row)];
        const size_t size =
            table ? sizeof(struct vidur_probe_row) : sizeof(struct vidur_ranking_row);
        int count, bare = 0, run = 0;
        const struct vidur_column *columns =
            table ? vidur_probe_columns(&count) : vidur_ranking_columns(&count);
        memset(row, 0x55, sizeof row);
        for (int i = 0; i < count; i++)
            memset(row + columns[i].offset, 0, columns[i].size);
        for (size_t i = 0; i < size; i++) {
            run = row[i] ? run + 1 : 0;
            bare = run > bare ? run : bare;
        }
        CU_ASSERT_TRUE(bare < 8);
        CU_ASSERT_TRUE(columns[count - 1].offset + columns[count - 1].size == size);
    }
}

static void test_rows(void)
{
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    struct vidur_ranking_row a, b;
    memset(&a, 0x55, sizeof a);
    vidur_row_clear(columns, count, &a);
    vidur_row_clear(columns, count, &b);
    CU_ASSERT_TRUE(vidur_rows_equal(columns, count, &a, &b, NULL));
    CU_ASSERT_TRUE(isnan(a.max_qps) && a.rank == 0 && a.model[0] == 0 && !a.pareto);
    b.max_qps = 1;
    CU_ASSERT_FALSE(vidur_rows_equal(columns, count, &a, &b, NULL));
    const char *const except[] = {"max_qps", NULL};
    CU_ASSERT_TRUE(vidur_rows_equal(columns, count, &a, &b, except));
    snprintf(b.model, sizeof b.model, "m");
    CU_ASSERT_FALSE(vidur_rows_equal(columns, count, &a, &b, except));
    for (int i = 0; i < count; i++)
        CU_ASSERT_PTR_EQUAL(vidur_column_find(columns, count, columns[i].name),
                            &columns[i]);
    CU_ASSERT_PTR_NULL(vidur_column_find(columns, count, "none"));
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CU_ASSERT_EQUAL(system(command), 0);
}

VIDUR_TEST_MAIN("results", {"columns are all of a row", test_columns_are_all},
                {"rows are cleared and compared by column", test_rows},
                {"texts are made valid UTF-8", test_text_is_clean},
                {"written and read back", test_round_trip},
                {"columns of SLOs", test_columns_of_slos},
                {"an older file with SLOs", test_older_file_with_slos},
                {"equal results give equal bytes", test_equal_bytes},
                {"no rows at all", test_empty_results},
                {"columns are matched by name", test_other_columns},
                {"wrong types and newer versions", test_wrong_type_and_version},
                {"empty and foreign files", test_foreign_files},
                {"truncated files", test_truncated_files},
                {"flipped bits", test_flipped_bits},
                {"a full disk leaves the old file", test_full_disk},
                {"clean up", remove_folder})
