#include "test.h"

#include <vidur/error.h>

#include <string.h>

static void test_fail_fills_code_and_text(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_fail(&err, VIDUR_EINVAL, "%s:%d: bad", "a.yaml", 12), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "a.yaml:12: bad");
    CU_ASSERT_EQUAL(vidur_fail(NULL, VIDUR_EIO, "nobody listens"), -1);
}

static void test_prefix_goes_in_front(void)
{
    struct vidur_error err = {0};
    vidur_fail(&err, VIDUR_EIO, "no such file");
    vidur_fail_prefix(&err, "tables of %s", "a100");
    CU_ASSERT_STRING_EQUAL(err.text, "tables of a100: no such file");
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
}

static void test_long_text_is_cut_not_overrun(void)
{
    struct vidur_error err = {0};
    char big[4096];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    vidur_fail(&err, VIDUR_EIO, "%s", big);
    CU_ASSERT_EQUAL(strlen(err.text), sizeof err.text - 1);
    vidur_fail_prefix(&err, "%s", big);
    CU_ASSERT_EQUAL(strlen(err.text), sizeof err.text - 1);
}

static void test_names_cannot_control_a_terminal(void)
{
    struct vidur_error err = {0};
    vidur_fail(&err, VIDUR_EINVAL, "model %s: unknown", "x\x1b[2J\ny");
    CU_ASSERT_STRING_EQUAL(err.text, "model x\\x1b[2J\\ny: unknown");
    vidur_fail_prefix(&err, "file %s", "a\rb");
    CU_ASSERT_STRING_EQUAL(err.text, "file a\\rb: model x\\x1b[2J\\ny: unknown");
}

VIDUR_TEST_MAIN("error", {"fail fills code and text", test_fail_fills_code_and_text},
                {"prefix goes in front", test_prefix_goes_in_front},
                {"long text is cut", test_long_text_is_cut_not_overrun},
                {"names cannot control a terminal",
                 test_names_cannot_control_a_terminal})
