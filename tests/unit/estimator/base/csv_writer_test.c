#include "scratch.h"

#include <vidur/csv.h>

#include <math.h>

static void test_exact_bytes(void)
{
    const char *path = scratch_path("w.csv");
    struct vidur_csv_writer *w = vidur_csv_writer_open(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    vidur_csv_put_string(w, "plain");
    vidur_csv_put_string(w, "a,b");
    vidur_csv_put_string(w, "say \"hi\"");
    vidur_csv_put_string(w, "two\nlines");
    vidur_csv_put_string(w, " edge ");
    vidur_csv_put_string(w, "");
    vidur_csv_end_row(w);
    vidur_csv_put_double(w, 0.1);
    vidur_csv_put_double(w, 1e300);
    vidur_csv_put_double(w, NAN);
    vidur_csv_put_empty(w);
    vidur_csv_put_int64(w, INT64_MIN + 1);
    vidur_csv_put_double(w, -2);
    vidur_csv_end_row(w);
    CU_ASSERT_EQUAL(vidur_csv_writer_commit(w, NULL), 0);
    char text[512] = "";
    FILE *in = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT(fread(text, 1, sizeof text - 1, in) > 0);
    fclose(in);
    CU_ASSERT_STRING_EQUAL(
        text,
        "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\" edge \",\n"
        "0.10000000000000001,1.0000000000000001e+300,,,-9223372036854775807,-2\n");
}

static void test_reads_back(void)
{
    static const char *const words[] = {"a",    "a,b",    "\"",    "\"\"",
                                        "x\ny", " blank", "tab\t", "u\xc3\xa4"};
    static const struct vidur_csv_column columns[] = {{"word", VIDUR_CSV_STRING, 0},
                                                      {"x", VIDUR_CSV_DOUBLE, 0}};
    static const struct vidur_csv_schema schema = {columns, 2, false};
    const char *path = scratch_path("r.csv");
    struct vidur_csv_writer *w = vidur_csv_writer_open(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    vidur_csv_put_string(w, "word");
    vidur_csv_put_string(w, "x");
    vidur_csv_end_row(w);
    for (int i = 0; i < 8; i++) {
        vidur_csv_put_string(w, words[i]);
        vidur_csv_put_double(w, sqrt(i + 0.3));
        vidur_csv_end_row(w);
    }
    CU_ASSERT_EQUAL(vidur_csv_writer_commit(w, NULL), 0);
    struct vidur_csv *csv = vidur_csv_read(path, &schema, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv), 8);
    for (int i = 0; i < 8; i++) {
        const int32_t id = vidur_csv_string_ids(csv, 0)[i];
        CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, id), words[i]);
        CU_ASSERT_EQUAL(vidur_csv_doubles(csv, 1)[i], sqrt(i + 0.3));
    }
    vidur_csv_free(csv);
}

static void test_failures(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(vidur_csv_writer_open("/nowhere/w.csv", &err));
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    struct vidur_csv_writer *w = vidur_csv_writer_open("/dev/full", &err);
    if (w) {
        vidur_csv_put_int64(w, 1);
        vidur_csv_end_row(w);
        CU_ASSERT_EQUAL(vidur_csv_writer_commit(w, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "No space left on device"));
    }
    const char *path = scratch_path("gone.csv");
    w = vidur_csv_writer_open(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    vidur_csv_put_int64(w, 1);
    vidur_csv_writer_discard(w);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    vidur_csv_writer_discard(NULL);
}

VIDUR_TEST_MAIN("csv writer", {"exact bytes", test_exact_bytes},
                {"reads back", test_reads_back}, {"failures", test_failures})
