#include "scratch.h"

#include <vidur/csv.h>

#include <math.h>

static const struct vidur_csv_column typed[] = {
    {"name", VIDUR_CSV_STRING, 0},
    {"tokens", VIDUR_CSV_INT64, VIDUR_CSV_NOT_NEGATIVE},
    {"time", VIDUR_CSV_DOUBLE, VIDUR_CSV_POSITIVE},
    {"gated", VIDUR_CSV_BOOL, VIDUR_CSV_OPTIONAL},
};
static const struct vidur_csv_schema typed_schema = {typed, 4, false};

static struct vidur_csv *parse(const char *text, struct vidur_error *err)
{
    return vidur_csv_parse("t.csv", text, strlen(text), &typed_schema, err);
}

static void test_typed_columns(void)
{
    struct vidur_error err = {0};
    struct vidur_csv *csv = parse("\xef\xbb\xbf"
                                  "tokens,other,name,time,gated\r\n"
                                  "1,x,a,0.5,True\r\n"
                                  "\r\n"
                                  "4096.0,,\"b, \"\"b\"\"\",1e3,0\n"
                                  "3,\"two\nlines\",a, 2 ,FALSE",
                                  &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv), 3);
    const int64_t *tokens = vidur_csv_int64s(csv, 1);
    const double *time = vidur_csv_doubles(csv, 2);
    const bool *gated = vidur_csv_bools(csv, 3);
    const int32_t *ids = vidur_csv_string_ids(csv, 0);
    CU_ASSERT(tokens[0] == 1 && tokens[1] == 4096 && tokens[2] == 3);
    CU_ASSERT(time[0] == 0.5 && time[1] == 1000 && time[2] == 2);
    CU_ASSERT(gated[0] && !gated[1] && !gated[2]);
    CU_ASSERT(ids[0] == 0 && ids[1] == 1 && ids[2] == 0);
    CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, 0), "a");
    CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, 1), "b, \"b\"");
    CU_ASSERT_PTR_NULL(vidur_csv_string(csv, 2));
    CU_ASSERT(vidur_csv_line(csv, 0) == 2 && vidur_csv_line(csv, 1) == 4 &&
              vidur_csv_line(csv, 2) == 5);
    CU_ASSERT_PTR_NULL(vidur_csv_doubles(csv, 1)); /* not of that type */
    vidur_csv_fail(csv, 2, 2, &err, "%d is odd", 7);
    CU_ASSERT_STRING_EQUAL(err.text, "t.csv:5: time: 7 is odd");
    vidur_csv_fail(csv, 0, -1, &err, "odd");
    CU_ASSERT_STRING_EQUAL(err.text, "t.csv:2: odd");
    vidur_csv_free(csv);
}

static void test_optional_column(void)
{
    struct vidur_csv *csv = parse("name,tokens,time\n", NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL(vidur_csv_rows(csv), 0);
    CU_ASSERT_FALSE(vidur_csv_has(csv, 3));
    CU_ASSERT_TRUE(vidur_csv_has(csv, 2));
    CU_ASSERT_PTR_NULL(vidur_csv_bools(csv, 3));
    vidur_csv_free(csv);
    vidur_csv_free(NULL);
}

static void test_errors(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "t.csv:1: the file is empty; it needs a header row"},
        {"\n \n", "t.csv:1: the file is empty; it needs a header row"},
        {"name,token,time\n",
         "t.csv:1: tokens: the file has no such column; the nearest is 'token'"},
        {"name,tokens,time,name\n",
         "t.csv:1: name: two columns have this name; rename or drop one"},
        {"name,tokens,time\na,1\n",
         "t.csv:2: 2 fields where the header has 3; every row needs all"},
        {"name,tokens,time\n\n\na,1,2,3\n",
         "t.csv:4: 4 fields where the header has 3; every row needs all"},
        {"name,tokens,time\na,1,1\nb,1.5,1\n",
         "t.csv:3: tokens: '1.5' is not a whole number; write it like 4096"},
        {"name,tokens,time\na,,1\n",
         "t.csv:2: tokens: '' is not a whole number; write it like 4096"},
        {"name,tokens,time\na,-1,1\n",
         "t.csv:2: tokens: -1 is negative; give 0 or more"},
        {"name,tokens,time\na,1e30,1\n",
         "t.csv:2: tokens: '1e30' is not a whole number; write it like 4096"},
        {"name,tokens,time\na,1,abc\n",
         "t.csv:2: time: 'abc' is not a finite number; write it like 0.25"},
        {"name,tokens,time\na,1,nan\n",
         "t.csv:2: time: 'nan' is not a finite number; write it like 0.25"},
        {"name,tokens,time\na,1,inf\n",
         "t.csv:2: time: 'inf' is not a finite number; write it like 0.25"},
        {"name,tokens,time\na,1,0\n",
         "t.csv:2: time: 0 is not above 0; give a positive number"},
        {"name,tokens,time\n,1,1\n", "t.csv:2: name: empty; give a value"},
        {"name,tokens,time,gated\na,1,1,maybe\n",
         "t.csv:2: gated: 'maybe' is neither true nor false"},
        {"name,tokens,time\n\"x\ny\",1,zwei\n",
         "t.csv:2: time: 'zwei' is not a finite number; write it like 0.25"},
        {"name,tokens,time\n\"x\ny\",1,1\nb,1,zwei\n",
         "t.csv:4: time: 'zwei' is not a finite number; write it like 0.25"},
        {"name,tokens,time\na,1,1\n\"b,1,1\n",
         "t.csv:3: a quoted field is not closed before the file ends"},
        {"name,tokens,time\na,1,1\n\"b\"x,1,1\n",
         "t.csv:3: a stray double quote; double it inside a quoted field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_PTR_NULL(parse(cases[i].text, &err));
        CU_ASSERT_EQUAL(err.code, VIDUR_EPARSE);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].error);
    }
}

static void test_nul_byte(void)
{
    static const char text[] = "name,tokens,time\na\0b,1,1\n";
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(
        vidur_csv_parse("t.csv", text, sizeof text - 1, &typed_schema, &err));
    CU_ASSERT_STRING_EQUAL(err.text,
                           "t.csv:2: field 1 has a NUL byte; the file is not text");
}

static void test_empty_cells_where_allowed(void)
{
    static const struct vidur_csv_column columns[] = {
        {"d", VIDUR_CSV_DOUBLE, VIDUR_CSV_EMPTY_OK | VIDUR_CSV_POSITIVE},
        {"i", VIDUR_CSV_INT64, VIDUR_CSV_EMPTY_OK},
        {"s", VIDUR_CSV_STRING, VIDUR_CSV_EMPTY_OK},
        {"b", VIDUR_CSV_BOOL, VIDUR_CSV_EMPTY_OK},
    };
    static const struct vidur_csv_schema schema = {columns, 4, false};
    const char *text = "d,i,s,b\n,,,\nNaN,nan,nan,\n";
    struct vidur_csv *csv = vidur_csv_parse("t", text, strlen(text), &schema, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv), 2);
    for (int row = 0; row < 2; row++) {
        CU_ASSERT(isnan(vidur_csv_doubles(csv, 0)[row]));
        CU_ASSERT_EQUAL(vidur_csv_int64s(csv, 1)[row], VIDUR_CSV_NO_INT64);
        CU_ASSERT_FALSE(vidur_csv_bools(csv, 3)[row]);
        CU_ASSERT_STRING_EQUAL(vidur_csv_string(csv, vidur_csv_string_ids(csv, 2)[row]),
                               row ? "nan" : "");
    }
    vidur_csv_free(csv);
}

static void test_duplicates(void)
{
    static const struct vidur_csv_column columns[] = {{"a", VIDUR_CSV_INT64, 0}};
    const struct vidur_csv_schema drop = {columns, 1, true}, keep = {columns, 1, false};
    /* The second column decides, too: duplicates are equal in every field. */
    const char *text = "a,b\n1,x\n1,y\n1,x\n2,x\n1,y\n12,\n1,2\n";
    struct vidur_csv *csv = vidur_csv_parse("t", text, strlen(text), &drop, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL(vidur_csv_rows(csv), 5);
    CU_ASSERT_EQUAL(vidur_csv_duplicates(csv), 2);
    static const int64_t expected[] = {1, 1, 2, 12, 1};
    CU_ASSERT_EQUAL(memcmp(vidur_csv_int64s(csv, 0), expected, sizeof expected), 0);
    CU_ASSERT_EQUAL(vidur_csv_line(csv, 2), 5);
    vidur_csv_free(csv);
    csv = vidur_csv_parse("t", text, strlen(text), &keep, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL(vidur_csv_rows(csv), 7);
    CU_ASSERT_EQUAL(vidur_csv_duplicates(csv), 0);
    vidur_csv_free(csv);
}

/* ---- Files ---- */

static const struct vidur_csv_column pair[] = {{"x", VIDUR_CSV_INT64, 0},
                                               {"y", VIDUR_CSV_DOUBLE, 0}};
static const struct vidur_csv_schema pair_schema = {pair, 2, false};

enum { MANY = 100000 };

static const char *write_many(void)
{
    const char *path = scratch_path("many.csv");
    struct vidur_csv_writer *writer = vidur_csv_writer_open(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
    vidur_csv_put_string(writer, "x");
    vidur_csv_put_string(writer, "y");
    vidur_csv_end_row(writer);
    for (int i = 0; i < MANY; i++) {
        vidur_csv_put_int64(writer, i);
        vidur_csv_put_double(writer, i / 3.0);
        vidur_csv_end_row(writer);
    }
    CU_ASSERT_EQUAL_FATAL(vidur_csv_writer_commit(writer, NULL), 0);
    return path;
}

static void check_many(const char *path)
{
    struct vidur_error err = {0};
    struct vidur_csv *csv = vidur_csv_read(path, &pair_schema, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv), MANY);
    int wrong = 0;
    for (int i = 0; i < MANY; i++)
        wrong += vidur_csv_int64s(csv, 0)[i] != i ||
                 vidur_csv_doubles(csv, 1)[i] != i / 3.0 ||
                 vidur_csv_line(csv, i) != i + 2;
    CU_ASSERT_EQUAL(wrong, 0);
    vidur_csv_free(csv);
}

/* Larger than the reading buffer, so lines cross its borders. */
static void test_many_rows(void)
{
    check_many(write_many());
}

static void test_gzipped_and_truncated(void)
{
    struct vidur_error err = {0};
    char command[1200], gz[512];
    snprintf(gz, sizeof gz, "%s.gz", write_many());
    snprintf(command, sizeof command, "gzip -c %.*s > %s", (int)strlen(gz) - 3, gz, gz);
    if (system(command) != 0)
        vidur_test_skip("no gzip");
    check_many(gz);
    static const double parts[] = {0.5, 0.999, 0.00001};
    for (int i = 0; i < 3; i++) {
        FILE *in = fopen(gz, "rb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(in);
        static char bytes[4 << 20];
        const size_t size = fread(bytes, 1, sizeof bytes, in);
        fclose(in);
        const char *cut =
            scratch_file("cut.csv.gz", bytes, (size_t)((double)size * parts[i]) + 12);
        CU_ASSERT_PTR_NULL(vidur_csv_read(cut, &pair_schema, &err));
        CU_ASSERT_EQUAL(err.code, VIDUR_ECORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "damaged or truncated gzip data"));
        bytes[size / 2] = (char)~bytes[size / 2];
        cut = scratch_file("damaged.csv.gz", bytes, size);
        CU_ASSERT_PTR_NULL(vidur_csv_read(cut, &pair_schema, &err));
    }
}

/* No column of another role is proposed for one that is missing: to rename it would
 * swap prompts and outputs. */
static void test_suggestions(void)
{
    static const struct vidur_csv_column columns[] = {
        {"num_prefill_tokens", VIDUR_CSV_INT64, 0},
        {"num_decode_tokens", VIDUR_CSV_INT64, 0},
        {"arrived_at", VIDUR_CSV_DOUBLE, 0},
    };
    static const struct vidur_csv_schema schema = {columns, 3, false};
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"num_decode_tokens,arrived_at\n",
         "t.csv:1: num_prefill_tokens: the file has no such column; it has "
         "num_decode_tokens, arrived_at"},
        {"num_output_tokens,arrived_at,length\n",
         "t.csv:1: num_prefill_tokens: the file has no such column; it has "
         "num_output_tokens, arrived_at, length"},
        {"arrived_at,output_tokens,input_tokens\n",
         "t.csv:1: num_prefill_tokens: the file has no such column; the nearest is "
         "'input_tokens'"},
        {"TIMESTAMP,ContextTokens,GeneratedTokens\n",
         "t.csv:1: num_prefill_tokens: the file has no such column; the nearest is "
         "'ContextTokens'"},
        {"num_prefill_tokens,arrived_at,prompt_id,GeneratedTokens\n",
         "t.csv:1: num_decode_tokens: the file has no such column; the nearest is "
         "'GeneratedTokens'"},
        {"num_prefill_tokens,num_decode_tokens,finished_at\n",
         "t.csv:1: arrived_at: the file has no such column; it has "
         "num_prefill_tokens, num_decode_tokens, finished_at"},
        {"num_prefill_tokens,num_decode_tokens,Arrived_At\n",
         "t.csv:1: arrived_at: the file has no such column; the nearest is "
         "'Arrived_At'"},
        {"a,b,c,d,e,f,g,h,i,j,k\n",
         "t.csv:1: num_prefill_tokens: the file has no such column; it has a, b, c, d, "
         "e, f, g, h, i, j, ..."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        const char *text = cases[i].text;
        CU_ASSERT_PTR_NULL(vidur_csv_parse("t.csv", text, strlen(text), &schema, &err));
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].error);
    }
}

/* The error says what the file is and what is read. */
static void test_other_formats(void)
{
    static const char wanted[] = ":1: this is JSON; give CSV: text with a header row, "
                                 "plain or gzipped (.csv.gz)";
    static const char gzipped_twice[] = "\x1f\x8b\x08";
    struct vidur_error err = {0};
    const char *path = scratch_file("a.csv", "{\"x\": 1}\n", 9);
    CU_ASSERT_PTR_NULL(vidur_csv_read(path, &pair_schema, &err));
    CU_ASSERT_EQUAL(err.code, VIDUR_EPARSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, wanted));
    CU_ASSERT_PTR_NULL(
        vidur_csv_parse("t.csv", "\n [{\"x\": 1}]", 12, &pair_schema, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, wanted));
    CU_ASSERT_PTR_NULL(vidur_csv_parse("t.csv", "PAR1\x15\0", 6, &pair_schema, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "t.csv:1: this is Parquet; give CSV"));
    CU_ASSERT_PTR_NULL(vidur_csv_parse("t.csv", gzipped_twice, 3, &pair_schema, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "gzipped twice"));
}

static void test_unreadable_files(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(vidur_csv_read("/nowhere/a.csv", &pair_schema, &err));
    CU_ASSERT_STRING_EQUAL(err.text,
                           "/nowhere/a.csv: cannot open: No such file or directory");
    CU_ASSERT_PTR_NULL(vidur_csv_read("/tmp", &pair_schema, &err));
    CU_ASSERT_STRING_EQUAL(err.text, "/tmp: cannot read: Is a directory");
    const char *path = scratch_file("plain.csv.gz", "x,y\n1,2\n", 8);
    CU_ASSERT_PTR_NULL(vidur_csv_read(path, &pair_schema, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "plain.csv.gz: not a gzip file"));
    path = scratch_file("empty.csv", "", 0);
    CU_ASSERT_PTR_NULL(vidur_csv_read(path, &pair_schema, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "empty.csv:1: the file is empty"));
}

VIDUR_TEST_MAIN("csv", {"typed columns", test_typed_columns},
                {"optional column", test_optional_column}, {"errors", test_errors},
                {"NUL byte", test_nul_byte},
                {"empty cells where allowed", test_empty_cells_where_allowed},
                {"duplicates", test_duplicates}, {"many rows", test_many_rows},
                {"suggestions", test_suggestions},
                {"other formats", test_other_formats},
                {"unreadable files", test_unreadable_files},
                {"gzipped and truncated", test_gzipped_and_truncated})
