#include "base/section.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static const char yaml[] = "workload:\n"
                           "  num_requests: 5\n"
                           "  arrivals:\n"
                           "    qps: 1\n"
                           "pools:\n"
                           "  - role: prefill\n"
                           "  - role: decode\n"
                           "    cluster:\n"
                           "      device: a100\n";

/* What an error with this text becomes. */
static void check(const char *text, const char *prefix, bool from_root,
                  const char *expected)
{
    struct vidur_error err = {0};
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", yaml, strlen(yaml), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    const struct vidur_yaml_node *section =
        from_root ? root : vidur_yaml_get(root, "workload");
    vidur_fail(&err, VIDUR_EIO, "%s", text);
    CU_ASSERT_EQUAL(vidur_section_locate(section, prefix, &err), -1);
    if (strcmp(err.text, expected) != 0)
        printf("\n  wanted '%s', got '%s'\n", expected, err.text);
    CU_ASSERT_STRING_EQUAL(err.text, expected);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO); /* kept */
    vidur_yaml_free(doc);
}

static void test_key_that_is_there(void)
{
    check("workload.num_requests: 5; too few", "workload.", false,
          "a.yaml:2: workload.num_requests: 5; too few");
    check("workload.arrivals.qps: slow", "workload.", false,
          "a.yaml:4: workload.arrivals.qps: slow");
    check("workload.arrivals.qps: slow", "", true,
          "a.yaml:4: workload.arrivals.qps: slow");
}

static void test_key_that_is_missing(void)
{
    check("workload.lengths.file: missing", "workload.", false,
          "a.yaml:1: workload.lengths.file: missing");
    check("workload.arrivals.cv: missing", "workload.", false,
          "a.yaml:3: workload.arrivals.cv: missing");
    check("colour: missing", "", true, "a.yaml:1: colour: missing");
}

static void test_items_of_lists(void)
{
    check("pools.1.cluster.device: old", "", true,
          "a.yaml:9: pools.1.cluster.device: old");
    check("pools.0.role: odd", "", true, "a.yaml:6: pools.0.role: odd");
    check("pools.0.cluster.device: missing", "", true,
          "a.yaml:6: pools.0.cluster.device: missing");
    check("pools.2.role: none", "", true, "a.yaml:5: pools.2.role: none");
    check("pools.role.x: none", "", true, "a.yaml:5: pools.role.x: none");
}

static void test_other_texts_stay(void)
{
    check("trace.csv:3: num_tokens: bad", "workload.", false,
          "trace.csv:3: num_tokens: bad");
    check("/a/b.csv: no rows", "", true, "/a/b.csv: no rows");
    check("out of memory", "", true, "out of memory");
    CU_ASSERT_EQUAL(vidur_section_locate(NULL, "", NULL), -1);
}

static void test_known_key(void)
{
    struct vidur_error err = {0};
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", yaml, strlen(yaml), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_yaml_node *section =
        vidur_yaml_get(vidur_yaml_root(doc), "workload");
    vidur_fail(&err, VIDUR_EIO, "/a/b.csv: no rows");
    CU_ASSERT_EQUAL(vidur_section_fail(section, "num_requests", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "a.yaml:2: workload.num_requests: /a/b.csv: no rows");
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    vidur_fail(&err, VIDUR_EINVAL, "100 %%s");
    CU_ASSERT_EQUAL(vidur_section_fail(section, "file", &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:1: workload.file: 100 %s");
    CU_ASSERT_EQUAL(vidur_section_fail(section, "file", NULL), -1);
    vidur_yaml_free(doc);
}

VIDUR_TEST_MAIN("section", {"key that is there", test_key_that_is_there},
                {"key that is missing", test_key_that_is_missing},
                {"items of lists", test_items_of_lists},
                {"other texts stay", test_other_texts_stay},
                {"known key", test_known_key})
