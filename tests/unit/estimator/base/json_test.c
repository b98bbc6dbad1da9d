#include "base/json.h"
#include "scratch.h"

#include <math.h>

static struct vidur_json *parse(const char *text, struct vidur_error *err)
{
    return vidur_json_parse("a.json", text, strlen(text), err);
}

static const char sample[] = "{\"hidden_size\": 4096, \"eps\": 1e-5, \"tie\": false,\n"
                             " \"name\": \"llama\", \"none\": null,\n"
                             " \"stages\": [{\"rate\": 5}, {\"rate\": 10}]}\n";

static void test_reading(void)
{
    struct vidur_error err = {0};
    struct vidur_json *doc = parse(sample, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_json_node root = vidur_json_root(doc);
    struct vidur_json_node node = vidur_json_get(&root, "hidden_size");
    int i = 0;
    int64_t i64 = 0;
    double d = 0;
    bool b = true;
    CU_ASSERT(vidur_json_as_int(&node, &i, &err) == 0 && i == 4096);
    CU_ASSERT(vidur_json_as_int64(&node, &i64, &err) == 0 && i64 == 4096);
    CU_ASSERT(vidur_json_as_double(&node, &d, &err) == 0 && d == 4096);
    node = vidur_json_get(&root, "eps");
    CU_ASSERT(vidur_json_as_double(&node, &d, &err) == 0 && d == 1e-5);
    node = vidur_json_get(&root, "tie");
    CU_ASSERT(vidur_json_as_bool(&node, &b, &err) == 0 && !b);
    node = vidur_json_get(&root, "name");
    CU_ASSERT_STRING_EQUAL(vidur_json_as_string(&node, &err), "llama");
    CU_ASSERT_TRUE(vidur_json_has(&root, "name"));
    CU_ASSERT_FALSE(vidur_json_has(&root, "none"));
    CU_ASSERT_FALSE(vidur_json_has(&root, "absent"));
    vidur_json_free(doc);
    vidur_json_free(NULL);
}

static void test_byte_order_mark(void)
{
    struct vidur_error err = {0};
    struct vidur_json *doc = parse("\xef\xbb\xbf{\"a\": 1}", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_json_node root = vidur_json_root(doc);
    CU_ASSERT_TRUE(vidur_json_has(&root, "a"));
    vidur_json_free(doc);
    CU_ASSERT_PTR_NULL(parse("\xef\xbb\xbf{\n", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a.json:2: "));
}

static void test_structure(void)
{
    static const char *const keys[] = {"hidden_size", "eps",  "tie",
                                       "name",        "none", "stages"};
    static const enum vidur_json_kind kinds[] = {VIDUR_JSON_NUMBER, VIDUR_JSON_NUMBER,
                                                 VIDUR_JSON_BOOL,   VIDUR_JSON_STRING,
                                                 VIDUR_JSON_NULL,   VIDUR_JSON_ARRAY};
    struct vidur_json *doc = parse(sample, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_json_node root = vidur_json_root(doc);
    CU_ASSERT_EQUAL(vidur_json_kind(&root), VIDUR_JSON_OBJECT);
    CU_ASSERT_EQUAL_FATAL(vidur_json_count(&root), 6);
    for (int i = 0; i < 6; i++) {
        const struct vidur_json_node item = vidur_json_item(&root, i);
        CU_ASSERT_STRING_EQUAL(vidur_json_key(&root, i), keys[i]);
        CU_ASSERT_STRING_EQUAL(item.path, keys[i]);
        CU_ASSERT_EQUAL(vidur_json_kind(&item), kinds[i]);
    }
    CU_ASSERT_PTR_NULL(vidur_json_key(&root, 6));
    CU_ASSERT_PTR_NULL(vidur_json_key(&root, -1));
    const struct vidur_json_node stages = vidur_json_get(&root, "stages");
    CU_ASSERT_EQUAL(vidur_json_count(&stages), 2);
    const struct vidur_json_node second = vidur_json_item(&stages, 1);
    const struct vidur_json_node rate = vidur_json_get(&second, "rate");
    CU_ASSERT_STRING_EQUAL(rate.path, "stages.1.rate");
    const struct vidur_json_node beyond = vidur_json_item(&stages, 2);
    CU_ASSERT_EQUAL(vidur_json_kind(&beyond), VIDUR_JSON_ABSENT);
    CU_ASSERT_EQUAL(vidur_json_count(&beyond), 0);
    vidur_json_free(doc);
}

static void test_wrong_values(void)
{
    struct vidur_error err = {0};
    struct vidur_json *doc = parse("{\"a\": {\"big\": 3000000000, \"x\": 1.5}}", &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_json_node root = vidur_json_root(doc);
    const struct vidur_json_node a = vidur_json_get(&root, "a");
    struct vidur_json_node node = vidur_json_get(&a, "x");
    int i = -1;
    bool b;
    double d;
    CU_ASSERT_EQUAL(vidur_json_as_int(&node, &i, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "a.json: a.x: a number where a whole number is needed");
    CU_ASSERT_EQUAL(vidur_json_as_bool(&node, &b, &err), -1);
    CU_ASSERT_PTR_NULL(vidur_json_as_string(&node, &err));
    CU_ASSERT_STRING_EQUAL(err.text, "a.json: a.x: a number where a string is needed");
    node = vidur_json_get(&a, "big");
    CU_ASSERT_EQUAL(vidur_json_as_int(&node, &i, &err), -1);
    CU_ASSERT_STRING_EQUAL(
        err.text,
        "a.json: a.big: 3000000000 is too large; it must be within 2147483647");
    node = vidur_json_get(&a, "none");
    node = vidur_json_get(&node, "deeper");
    CU_ASSERT_EQUAL(vidur_json_as_double(&node, &d, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "a.json: a.none.deeper: nothing where a number is needed");
    CU_ASSERT_EQUAL(vidur_json_as_double(&root, &d, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "a.json: an object where a number is needed");
    CU_ASSERT_EQUAL(i, -1);
    vidur_json_free(doc);
}

static void test_bad_syntax(void)
{
    static const struct {
        const char *text, *start;
    } cases[] = {
        {"", "a.json:1: not valid JSON: "},
        {"{\"a\": 1,\n\"b\": }", "a.json:2: not valid JSON: "},
        {"{\"a\": 1, \"a\": 2}", "a.json:1: not valid JSON: duplicate object key"},
        {"{\"a\": NaN}", "a.json:1: not valid JSON: "},
        {"[1] x", "a.json:1: not valid JSON: "},
        {"{\"a\": 99999999999999999999}", "a.json:1: not valid JSON: too big integer"},
        {"{\"a\": \"\xff\"}", "a.json:1: not valid JSON: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_PTR_NULL(parse(cases[i].text, &err));
        CU_ASSERT_EQUAL(err.code, VIDUR_EPARSE);
        CU_ASSERT_EQUAL(strncmp(err.text, cases[i].start, strlen(cases[i].start)), 0);
    }
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(vidur_json_load("/nowhere/a.json", &err));
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

static void test_writing(void)
{
    const char *path = scratch_path("w.json");
    struct vidur_json_writer *w = vidur_json_writer_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    vidur_json_begin_object(w, NULL);
    vidur_json_put_double(w, "third", 1.0 / 3);
    vidur_json_put_double(w, "nan", NAN);
    vidur_json_put_int64(w, "big", INT64_MAX);
    vidur_json_put_bool(w, "yes", true);
    vidur_json_put_string(w, "text", "say \"hi\"");
    vidur_json_put_string(w, "none", NULL);
    vidur_json_begin_array(w, "list");
    vidur_json_put_double(w, NULL, 2);
    vidur_json_begin_object(w, NULL);
    vidur_json_end(w);
    vidur_json_end(w);
    vidur_json_end(w);
    CU_ASSERT_EQUAL(vidur_json_writer_save(w, path, NULL), 0);
    char *text = vidur_json_writer_text(w, NULL);
    CU_ASSERT_STRING_EQUAL(text, "{\n  \"third\": 0.33333333333333331,\n"
                                 "  \"nan\": null,\n"
                                 "  \"big\": 9223372036854775807,\n"
                                 "  \"yes\": true,\n"
                                 "  \"text\": \"say \\\"hi\\\"\",\n"
                                 "  \"none\": null,\n"
                                 "  \"list\": [\n    2.0,\n    {}\n  ]\n}");
    free(text);
    struct vidur_json *doc = vidur_json_load(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_json_node root = vidur_json_root(doc);
    const struct vidur_json_node third = vidur_json_get(&root, "third");
    double value = 0;
    CU_ASSERT(vidur_json_as_double(&third, &value, NULL) == 0 && value == 1.0 / 3);
    vidur_json_free(doc);
    vidur_json_writer_free(w);
    vidur_json_writer_free(NULL);
}

static void write_key_in_array(struct vidur_json_writer *w)
{
    vidur_json_begin_array(w, NULL);
    vidur_json_put_int64(w, "key", 1);
    vidur_json_end(w);
}

static void write_no_key_in_object(struct vidur_json_writer *w)
{
    vidur_json_begin_object(w, NULL);
    vidur_json_put_int64(w, NULL, 1);
    vidur_json_end(w);
}

static void write_two_roots(struct vidur_json_writer *w)
{
    vidur_json_begin_object(w, NULL);
    vidur_json_end(w);
    vidur_json_begin_object(w, NULL);
    vidur_json_end(w);
}

static void write_unfinished(struct vidur_json_writer *w)
{
    vidur_json_begin_object(w, NULL);
}

static void write_end_too_often(struct vidur_json_writer *w)
{
    write_unfinished(w);
    vidur_json_end(w);
    vidur_json_end(w);
}

static void write_not_utf8(struct vidur_json_writer *w)
{
    vidur_json_begin_object(w, NULL);
    vidur_json_put_string(w, "a", "\xff");
    vidur_json_end(w);
}

static void write_too_deep(struct vidur_json_writer *w)
{
    for (int i = 0; i < 40; i++)
        vidur_json_begin_array(w, NULL);
    for (int i = 0; i < 40; i++)
        vidur_json_end(w);
}

static void write_nothing(struct vidur_json_writer *w)
{
    (void)w;
}

static void test_misuse_is_reported(void)
{
    static void (*const cases[])(struct vidur_json_writer *) = {
        write_key_in_array,  write_no_key_in_object, write_two_roots, write_unfinished,
        write_end_too_often, write_not_utf8,         write_too_deep,  write_nothing};
    const char *path = scratch_path("misuse.json");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        struct vidur_json_writer *w = vidur_json_writer_new(NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(w);
        cases[i](w);
        CU_ASSERT_PTR_NULL(vidur_json_writer_text(w, &err));
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot make JSON: "));
        CU_ASSERT_EQUAL(vidur_json_writer_save(w, path, &err), -1);
        CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
        vidur_json_writer_free(w);
    }
}

static void test_full_disk(void)
{
    struct vidur_error err = {0};
    if (access("/dev/full", W_OK) != 0)
        vidur_test_skip("no /dev/full");
    struct vidur_json_writer *w = vidur_json_writer_new(NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    vidur_json_begin_array(w, NULL);
    vidur_json_end(w);
    CU_ASSERT_EQUAL(vidur_json_writer_save(w, "/dev/full", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "/dev/full: cannot write: No space left on device");
    vidur_json_writer_free(w);
}

VIDUR_TEST_MAIN("json", {"reading", test_reading},
                {"byte order mark", test_byte_order_mark},
                {"structure", test_structure}, {"wrong values", test_wrong_values},
                {"bad syntax", test_bad_syntax}, {"writing", test_writing},
                {"misuse is reported", test_misuse_is_reported},
                {"full disk", test_full_disk})
