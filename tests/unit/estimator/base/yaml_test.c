#include "base/yaml.h"
#include "scratch.h"

static struct vidur_yaml *parse(const char *text, struct vidur_error *err)
{
    return vidur_yaml_parse("a.yaml", text, strlen(text), err);
}

static struct vidur_yaml *parsed(const char *text)
{
    struct vidur_error err = {0};
    struct vidur_yaml *doc = parse(text, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    return doc;
}

static void expect_canonical(const char *text, const char *expected)
{
    struct vidur_yaml *doc = parsed(text);
    char *canonical = vidur_yaml_canonical(vidur_yaml_root(doc));
    CU_ASSERT_STRING_EQUAL(canonical, expected);
    free(canonical);
    vidur_yaml_free(doc);
}

static const char tree_text[] = "model: llama # a comment\n"
                                "cluster:\n"
                                "  device: 'a100'\n"
                                "  sizes: [1, 2,\n"
                                "          4]\n"
                                "list:\n"
                                "  - {name: x}\n"
                                "  - name: y\n"
                                "    deep: |\n"
                                "      two\n"
                                "      lines\n"
                                "empty:\n"
                                "tilde: ~\n"
                                "quoted: ''\n";

static void test_tree(void)
{
    struct vidur_yaml *doc = parsed(tree_text);
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    CU_ASSERT_EQUAL(vidur_yaml_kind(root), VIDUR_YAML_IS_MAPPING);
    CU_ASSERT_EQUAL(vidur_yaml_count(root), 6);
    CU_ASSERT_STRING_EQUAL(vidur_yaml_key(root, 1), "cluster");
    CU_ASSERT_PTR_NULL(vidur_yaml_key(root, 6));
    CU_ASSERT_STRING_EQUAL(vidur_yaml_scalar(vidur_yaml_get(root, "model")), "llama");
    CU_ASSERT_PTR_NULL(vidur_yaml_get(root, "nothing"));
    CU_ASSERT_PTR_NULL(vidur_yaml_get(root, "empty"));
    CU_ASSERT_PTR_NULL(vidur_yaml_get(root, "tilde"));
    CU_ASSERT_STRING_EQUAL(vidur_yaml_scalar(vidur_yaml_get(root, "quoted")), "");
    const struct vidur_yaml_node *cluster = vidur_yaml_get(root, "cluster");
    const struct vidur_yaml_node *sizes = vidur_yaml_get(cluster, "sizes");
    CU_ASSERT_EQUAL(vidur_yaml_kind(sizes), VIDUR_YAML_IS_SEQUENCE);
    CU_ASSERT_EQUAL(vidur_yaml_count(sizes), 3);
    CU_ASSERT_STRING_EQUAL(vidur_yaml_scalar(vidur_yaml_item(sizes, 2)), "4");
    CU_ASSERT_PTR_NULL(vidur_yaml_item(sizes, 3));
    CU_ASSERT_PTR_NULL(vidur_yaml_scalar(sizes));
    const struct vidur_yaml_node *list = vidur_yaml_get(root, "list");
    CU_ASSERT_STRING_EQUAL(
        vidur_yaml_scalar(vidur_yaml_get(vidur_yaml_item(list, 1), "deep")),
        "two\nlines\n");
    CU_ASSERT_EQUAL(vidur_yaml_kind(NULL), VIDUR_YAML_IS_EMPTY);
    CU_ASSERT_EQUAL(vidur_yaml_count(NULL), 0);
    CU_ASSERT_PTR_NULL(vidur_yaml_get(NULL, "x"));
    vidur_yaml_free(doc);
    vidur_yaml_free(NULL);
}

static void expect_place(const struct vidur_yaml_node *node, const char *expected)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_yaml_fail(node, &err, "bad %d", 1), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_STRING_EQUAL(err.text, expected);
}

static void test_places_in_errors(void)
{
    struct vidur_yaml *doc = parsed(tree_text);
    struct vidur_error err = {0};
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    const struct vidur_yaml_node *cluster = vidur_yaml_get(root, "cluster");
    const struct vidur_yaml_node *list = vidur_yaml_get(root, "list");
    expect_place(root, "a.yaml:1: bad 1");
    expect_place(cluster, "a.yaml:2: cluster: bad 1");
    expect_place(vidur_yaml_item(vidur_yaml_get(cluster, "sizes"), 2),
                 "a.yaml:5: cluster.sizes.2: bad 1");
    expect_place(vidur_yaml_get(vidur_yaml_item(list, 0), "name"),
                 "a.yaml:7: list.0.name: bad 1");
    expect_place(vidur_yaml_get(vidur_yaml_item(list, 1), "deep"),
                 "a.yaml:9: list.1.deep: bad 1");
    vidur_yaml_fail_key(cluster, "none", &err, "missing");
    CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:2: cluster.none: missing");
    vidur_yaml_fail_key(cluster, "sizes", &err, "odd");
    CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:4: cluster.sizes: odd");
    vidur_yaml_fail_key(root, "none", &err, "missing");
    CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:1: none: missing");
    CU_ASSERT_STRING_EQUAL(vidur_yaml_file(cluster), "a.yaml");
    vidur_yaml_free(doc);
}

static void test_source_text(void)
{
    size_t size;
    const char *path = scratch_file("c.yaml", tree_text, strlen(tree_text));
    struct vidur_yaml *doc = vidur_yaml_load(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    CU_ASSERT_STRING_EQUAL(vidur_yaml_text(doc, &size), tree_text);
    CU_ASSERT_EQUAL(size, strlen(tree_text));
    CU_ASSERT_STRING_EQUAL(vidur_yaml_text(doc, NULL), tree_text);
    CU_ASSERT_STRING_EQUAL(vidur_yaml_name(doc), path);
    vidur_yaml_free(doc);
}

static void test_byte_order_mark(void)
{
    struct vidur_error err = {0};
    expect_canonical("\xef\xbb\xbfmodel: x\n", "{\"model\": \"x\"}");
    CU_ASSERT_PTR_NULL(parse("\xef\xbb\xbfmodel: x\nmodel: y\n", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a.yaml:2: "));
}

static void test_canonical(void)
{
    static const char expected[] =
        "{\"a\": [\"1\", null, {\"x\": \"y\"}], \"b\": \"say \\\"hi\\\"\\u000a\"}";
    expect_canonical("b: \"say \\\"hi\\\"\\n\"\na: [1, null, {x: y}]\n", expected);
    expect_canonical("# order, style and empty keys do not matter\n"
                     "a:\n  - 1\n  -\n  - x: y\nb: |\n  say \"hi\"\nc:\n",
                     expected);
    expect_canonical("", "null");
    expect_canonical("{}", "{}");
    expect_canonical("[]", "[]");
}

static void test_anchors_and_merges(void)
{
    expect_canonical("base: &b {x: 1, y: 2}\nuse: *b\n",
                     "{\"base\": {\"x\": \"1\", \"y\": \"2\"}, "
                     "\"use\": {\"x\": \"1\", \"y\": \"2\"}}");
    expect_canonical("b: &b {x: 1, y: 2}\nu: {<<: *b, y: 3}\n",
                     "{\"b\": {\"x\": \"1\", \"y\": \"2\"}, "
                     "\"u\": {\"x\": \"1\", \"y\": \"3\"}}");
    expect_canonical("- &a {x: 1}\n- &b {x: 2, z: 3}\n- <<: [*a, *b]\n  w: 0\n",
                     "[{\"x\": \"1\"}, {\"x\": \"2\", \"z\": \"3\"}, "
                     "{\"w\": \"0\", \"x\": \"1\", \"z\": \"3\"}]");
    expect_canonical("{\"<<\": 1}", "{\"<<\": \"1\"}");
}

static void test_errors(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "a.yaml:3: a: the key is given twice; keep one"},
        {"a:\n  x: 1\n  x: 1\n", "a.yaml:3: x: the key is given twice; keep one"},
        {"a: [1, 2\nb: 3\n",
         "a.yaml:2: not valid YAML: did not find expected ',' or ']', while parsing a "
         "flow sequence; check indentation and quotes"},
        {"a: 1\n b: 2\n", "a.yaml:2: not valid YAML: mapping values are not allowed in "
                          "this context; check indentation and quotes"},
        {"a:\n\t- 1\n",
         "a.yaml:2: not valid YAML: found character that cannot start any token, while "
         "scanning for the next token; check indentation and quotes"},
        {"a: 1\n---\nb: 2\n", "a.yaml:3: a second document ('---'); keep one"},
        {"a: *nobody\n", "a.yaml:1: not valid YAML: found undefined alias; check "
                         "indentation and quotes"},
        {"x: 1\n? [a, b]\n: 2\n", "a.yaml:2: a key must be a word"},
        {"a: 1\nb: \"x\\0y\"\n", "a.yaml:2: a NUL byte in a value; remove it"},
        {"a: {<<: 3}\n", "a.yaml:1: '<<' needs a mapping to merge"},
        {"a: &x [1, *x]\n", "a.yaml:1: nested too deeply (64 levels); make it flatter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_PTR_NULL(parse(cases[i].text, &err));
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].error);
        CU_ASSERT_EQUAL(err.code, VIDUR_EPARSE);
    }
}

static void test_not_utf8(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(parse("a: 1\nb: \xff\xfe\n", &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "a.yaml:2: not valid YAML: invalid"));
}

/* Nine levels of ten aliases each: a billion values from a few lines. */
static void test_alias_bomb_is_refused(void)
{
    char text[2048] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    struct vidur_error err = {0};
    for (int i = 1; i < 9; i++) {
        char line[128];
        snprintf(line, sizeof line,
                 "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
                 i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
                 i - 1);
        strcat(text, line);
    }
    CU_ASSERT_PTR_NULL(parse(text, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "too many values after its aliases"));
}

static void test_deep_nesting_is_refused(void)
{
    char text[4001];
    struct vidur_error err = {0};
    memset(text, '[', 4000);
    text[4000] = 0;
    CU_ASSERT_PTR_NULL(parse(text, &err));
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    text[200] = 0;
    CU_ASSERT_PTR_NULL(parse(text, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "nested too deeply"));
}

static char *repeated(const char *head, const char *piece, int count)
{
    const size_t n = strlen(head), m = strlen(piece);
    char *text = malloc(n + m * (size_t)count + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    strcpy(text, head);
    for (int i = 0; i < count; i++)
        memcpy(text + n + m * (size_t)i, piece, m + 1);
    return text;
}

/* Told by the place where it becomes too much, before what is behind it is read. */
static void test_what_grows_without_end_is_refused(void)
{
    static const struct {
        const char *head, *piece;
        int count;
        const char *error;
    } cases[] = {
        {"a: 1\nb: ", "[", 200000, "a.yaml:2: nested too deeply"},
        {"a: 1\nb: ", "{x: ", 200000, "a.yaml:2: nested too deeply"},
        {"a: 1\nb:\n ", "- ", 200000, "a.yaml:3: nested too deeply"},
        {"a: 1\n---\n", "[", 200000, "a.yaml:3: nested too deeply"},
        {"a:\n", "- x\n", 1000000, "more than 262144 values; use fewer"},
        {"a:\n", "- &a x\n", 2000, "a.yaml:1002: more than 1000 anchors; use fewer"},
        {"", "%TAG !a! tag:x\n", 200, "a.yaml:1: more than 100 %TAG directives"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        char *text = repeated(cases[i].head, cases[i].piece, cases[i].count);
        CU_ASSERT_PTR_NULL(parse(text, &err));
        CU_ASSERT_EQUAL(err.code, VIDUR_EPARSE);
        assert_contains(err.text, cases[i].error);
        free(text);
    }
}

/* Depth is counted as it is open, not as it occurs. */
static void test_much_that_is_flat(void)
{
    char *text = repeated("a:\n", "- [[y], {z: 1}]\n", 20000);
    struct vidur_yaml *doc = parsed(text);
    CU_ASSERT_EQUAL(vidur_yaml_count(vidur_yaml_get(vidur_yaml_root(doc), "a")), 20000);
    vidur_yaml_free(doc);
    free(text);
}

/* Keys of a merge are looked up, not searched for. */
static void test_a_large_merge(void)
{
    enum { KEYS = 60000 };
    char *text = malloc(KEYS * 16 + 64), *end = text;
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    end += sprintf(end, "a: &a\n");
    for (int i = 0; i < KEYS; i++)
        end += sprintf(end, " k%d: 1\n", i);
    sprintf(end, "b:\n <<: *a\n k7: 2\n");
    struct vidur_yaml *doc = parsed(text);
    const struct vidur_yaml_node *b = vidur_yaml_get(vidur_yaml_root(doc), "b");
    CU_ASSERT_EQUAL(vidur_yaml_count(b), KEYS);
    CU_ASSERT_STRING_EQUAL(vidur_yaml_scalar(vidur_yaml_get(b, "k7")), "2");
    CU_ASSERT_STRING_EQUAL(vidur_yaml_scalar(vidur_yaml_get(b, "k59999")), "1");
    vidur_yaml_free(doc);
    free(text);
}

static void test_missing_file(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(vidur_yaml_load("/nowhere/a.yaml", &err));
    CU_ASSERT_STRING_EQUAL(err.text,
                           "/nowhere/a.yaml: cannot open: No such file or directory");
}

VIDUR_TEST_MAIN(
    "yaml", {"tree", test_tree}, {"places in errors", test_places_in_errors},
    {"source text", test_source_text}, {"byte order mark", test_byte_order_mark},
    {"canonical", test_canonical}, {"anchors and merges", test_anchors_and_merges},
    {"errors", test_errors}, {"not UTF-8", test_not_utf8},
    {"alias bomb is refused", test_alias_bomb_is_refused},
    {"deep nesting is refused", test_deep_nesting_is_refused},
    {"what grows without end", test_what_grows_without_end_is_refused},
    {"much that is flat", test_much_that_is_flat},
    {"a large merge", test_a_large_merge}, {"missing file", test_missing_file})
