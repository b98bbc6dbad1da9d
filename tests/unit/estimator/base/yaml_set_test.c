#include "base/yaml.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config[] = "model: llama\n"
                             "scheduler: {type: vllm}\n"
                             "schedulers:\n"
                             "  - scheduler: vllm\n"
                             "  - scheduler: sarathi\n"
                             "    chunk_size: 512\n"
                             "blank:\n";

static struct vidur_yaml *fresh(void)
{
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", config, strlen(config), NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    return doc;
}

static void expect_root(const struct vidur_yaml *doc, const char *expected)
{
    char *text = vidur_yaml_canonical(vidur_yaml_root(doc));
    CU_ASSERT_STRING_EQUAL(text, expected);
    free(text);
}

static void test_overrides(void)
{
    static const struct {
        const char *set, *root;
    } cases[] = {
        {"model=phi", "{\"model\": \"phi\", \"scheduler\": {\"type\": \"vllm\"}, "
                      "\"schedulers\": [{\"scheduler\": \"vllm\"}, {\"chunk_size\": "
                      "\"512\", \"scheduler\": \"sarathi\"}]}"},
        {"scheduler.type=orca", "{\"model\": \"llama\", \"scheduler\": {\"type\": "
                                "\"orca\"}, \"schedulers\": [{\"scheduler\": "
                                "\"vllm\"}, {\"chunk_size\": \"512\", "
                                "\"scheduler\": \"sarathi\"}]}"},
        {"schedulers.1.chunk_size=1024",
         "{\"model\": \"llama\", \"scheduler\": {\"type\": \"vllm\"}, "
         "\"schedulers\": [{\"scheduler\": \"vllm\"}, {\"chunk_size\": \"1024\", "
         "\"scheduler\": \"sarathi\"}]}"},
        {"schedulers=[{scheduler: orca}]",
         "{\"model\": \"llama\", \"scheduler\": {\"type\": \"vllm\"}, "
         "\"schedulers\": [{\"scheduler\": \"orca\"}]}"},
        {"schedulers.2={scheduler: orca}",
         "{\"model\": \"llama\", \"scheduler\": {\"type\": \"vllm\"}, "
         "\"schedulers\": [{\"scheduler\": \"vllm\"}, {\"chunk_size\": \"512\", "
         "\"scheduler\": \"sarathi\"}, {\"scheduler\": \"orca\"}]}"},
        {"blank.a.b=1", "{\"blank\": {\"a\": {\"b\": \"1\"}}, \"model\": \"llama\", "
                        "\"scheduler\": {\"type\": \"vllm\"}, \"schedulers\": "
                        "[{\"scheduler\": \"vllm\"}, {\"chunk_size\": \"512\", "
                        "\"scheduler\": \"sarathi\"}]}"},
        {"blank.0.b=x=y", "{\"blank\": [{\"b\": \"x=y\"}], \"model\": \"llama\", "
                          "\"scheduler\": {\"type\": \"vllm\"}, \"schedulers\": "
                          "[{\"scheduler\": \"vllm\"}, {\"chunk_size\": \"512\", "
                          "\"scheduler\": \"sarathi\"}]}"},
        {"model=", "{\"scheduler\": {\"type\": \"vllm\"}, "
                   "\"schedulers\": [{\"scheduler\": \"vllm\"}, {\"chunk_size\": "
                   "\"512\", \"scheduler\": \"sarathi\"}]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        struct vidur_yaml *doc = fresh();
        CU_ASSERT_EQUAL(vidur_yaml_set(doc, cases[i].set, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        expect_root(doc, cases[i].root);
        CU_ASSERT_EQUAL(vidur_yaml_num_sets(doc), 1);
        CU_ASSERT_STRING_EQUAL(vidur_yaml_set_text(doc, 0), cases[i].set);
        CU_ASSERT_STRING_EQUAL(vidur_yaml_text(doc, NULL), config);
        vidur_yaml_free(doc);
    }
}

static void test_later_override_wins(void)
{
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", "", 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    CU_ASSERT_EQUAL(vidur_yaml_set(doc, "a.b=1", NULL), 0);
    CU_ASSERT_EQUAL(vidur_yaml_set(doc, "a.b=2", NULL), 0);
    CU_ASSERT_EQUAL(vidur_yaml_set(doc, "a.c=3", NULL), 0);
    expect_root(doc, "{\"a\": {\"b\": \"2\", \"c\": \"3\"}}");
    CU_ASSERT_EQUAL(vidur_yaml_num_sets(doc), 3);
    CU_ASSERT_PTR_NULL(vidur_yaml_set_text(doc, 3));
    vidur_yaml_free(doc);
}

static void test_errors(void)
{
    static const struct {
        const char *set, *error;
    } cases[] = {
        {"model", "--set model: write it as KEY.PATH=VALUE, without spaces"},
        {"=3", "--set =3: write it as KEY.PATH=VALUE, without spaces"},
        {"model.x=1",
         "--set model.x: the value above is a single one, it has no key 'x'"},
        {"schedulers.x=1", "--set schedulers.x: a list is indexed with a number from 0 "
                           "on, not with 'x'"},
        {"schedulers.-1=1", "--set schedulers.-1: a list is indexed with a number from "
                            "0 on, not with '-1'"},
        {"schedulers.5.x=1",
         "--set schedulers.5.x: the list has 2 elements; the next one is 2"},
        {"a..b=1", "--set a..b: not a path of keys like scheduler.chunk_size: 'a..b'"},
        {"a.=1", "--set a.: not a path of keys like scheduler.chunk_size: 'a.'"},
        {"model=[1", "--set model: not valid YAML: did not find expected ',' or ']', "
                     "while parsing a flow sequence; check indentation and quotes"},
        {"model={a: 1, a: 2}", "--set model: a: the key is given twice; keep one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_error err = {0};
        struct vidur_yaml *doc = fresh();
        CU_ASSERT_EQUAL(vidur_yaml_set(doc, cases[i].set, &err), -1);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].error);
        vidur_yaml_free(doc);
    }
}

/* A value from the command line is blamed on it, one from the file on the file. */
static void test_later_errors_name_the_override(void)
{
    struct vidur_error err = {0};
    struct vidur_yaml *doc = fresh();
    double value;
    CU_ASSERT_EQUAL(vidur_yaml_set(doc, "schedulers.1.chunk_size=many", NULL), 0);
    CU_ASSERT_EQUAL(vidur_yaml_set(doc, "new.key=1", NULL), 0);
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    const struct vidur_yaml_node *second =
        vidur_yaml_item(vidur_yaml_get(root, "schedulers"), 1);
    vidur_yaml_as_double(vidur_yaml_get(second, "chunk_size"), &value, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "--set schedulers.1.chunk_size: 'many' is not a "
                                     "finite number; write it like 0.25");
    vidur_yaml_fail_key(vidur_yaml_get(root, "new"), "other", &err, "missing");
    CU_ASSERT_STRING_EQUAL(err.text, "--set new.other: missing");
    vidur_yaml_fail(vidur_yaml_get(second, "scheduler"), &err, "odd");
    CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:5: schedulers.1.scheduler: odd");
    vidur_yaml_free(doc);
}

VIDUR_TEST_MAIN("yaml overrides", {"overrides", test_overrides},
                {"later override wins", test_later_override_wins},
                {"errors", test_errors},
                {"later errors name the override", test_later_errors_name_the_override})
