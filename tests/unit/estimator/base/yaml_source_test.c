#include "base/yaml.h"
#include "scratch.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "b: 1\na: {x: 2}\n";

static void test_open(void)
{
    static const char *const sets[] = {"b=3", "a.y=4"};
    const char *path = scratch_file("a.yaml", text, sizeof text - 1);
    struct vidur_yaml *doc = vidur_yaml_open(path, sets, 2, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    char *canonical = vidur_yaml_canonical(vidur_yaml_root(doc));
    CU_ASSERT_STRING_EQUAL(canonical,
                           "{\"a\": {\"x\": \"2\", \"y\": \"4\"}, \"b\": \"3\"}");
    free(canonical);
    char *source = vidur_yaml_text_with_sets(doc, NULL);
    CU_ASSERT_STRING_EQUAL(source, "b: 1\na: {x: 2}\n# --set b=3\n# --set a.y=4\n");
    free(source);
    vidur_yaml_free(doc);
}

static void test_errors(void)
{
    static const char *const sets[] = {"b=3", "b.c=4", "d=5"};
    struct vidur_error err = {0};
    const char *path = scratch_file("a.yaml", text, sizeof text - 1);
    CU_ASSERT_PTR_NULL(vidur_yaml_open(path, sets, 3, &err));
    CU_ASSERT_STRING_EQUAL(
        err.text, "--set b.c: the value above is a single one, it has no key 'c'");
    CU_ASSERT_PTR_NULL(vidur_yaml_open("/nowhere/a.yaml", NULL, 0, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nowhere/a.yaml"));
}

/* Equal content, equal hash: how it is written does not matter. */
static void test_sha256(void)
{
    static const struct {
        const char *text, *set;
        bool same;
    } cases[] = {{"# c\na:\n  x: 2\nb: 1\n", NULL, true},
                 {"b: 2\na: {x: 2}\n", "b=1", true},
                 {"b: 1\na: {x: 2}\n", "b=2", false},
                 {"b: 1\n", NULL, false}};
    char sha256[65], other[65];
    struct vidur_yaml *doc = vidur_yaml_parse("a", text, sizeof text - 1, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    CU_ASSERT_EQUAL(vidur_yaml_sha256(doc, sha256, NULL), 0);
    CU_ASSERT_EQUAL(strlen(sha256), 64);
    vidur_yaml_free(doc);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        doc = vidur_yaml_parse("b", cases[i].text, strlen(cases[i].text), NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        CU_ASSERT_EQUAL(
            vidur_yaml_set_all(doc, &cases[i].set, cases[i].set ? 1 : 0, NULL), 0);
        CU_ASSERT_EQUAL(vidur_yaml_sha256(doc, other, NULL), 0);
        CU_ASSERT_EQUAL(strcmp(sha256, other) == 0, cases[i].same);
        vidur_yaml_free(doc);
    }
}

VIDUR_TEST_MAIN("yaml source", {"open", test_open}, {"errors", test_errors},
                {"sha256", test_sha256})
