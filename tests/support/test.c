#include "test.h"

#include <CUnit/Basic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int vidur_test_run(const char *suite, const struct vidur_test_case *cases, int count)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    CU_pSuite s = CU_add_suite(suite, NULL, NULL);
    for (int i = 0; s && i < count; i++)
        if (!CU_add_test(s, cases[i].name, cases[i].run))
            s = NULL;
    int failed = 1;
    if (s) {
        CU_basic_set_mode(CU_BRM_VERBOSE);
        CU_basic_run_tests();
        failed = CU_get_number_of_failures() > 0 || CU_get_number_of_tests_run() == 0;
    }
    CU_cleanup_registry();
    return failed;
}

void vidur_test_skip(const char *why)
{
    printf("\nskipped: %s\n", why);
    fflush(stdout);
    exit(CU_get_number_of_failures() > 0 ? 1 : 77);
}

void vidur_test_skip_golden(void)
{
    const char *required = getenv("VIDUR_REQUIRE_GOLDEN");
    if (!required || strcmp(required, "1") != 0)
        vidur_test_skip("comparison data absent");
    printf("\nVIDUR_REQUIRE_GOLDEN=1, but there is no comparison data in %s\n",
           VIDUR_TEST_SHARED_DIR);
    fflush(stdout);
    exit(1);
}

const char *vidur_test_shared_dir(void)
{
    const char *dir = VIDUR_TEST_SHARED_DIR;
    return access(dir, R_OK) == 0 ? dir : NULL;
}

void assert_contains(const char *text, const char *part)
{
    const char *found = text && part ? strstr(text, part) : NULL;
    if (!found)
        printf("\n  '%s' lacks '%s'\n", text ? text : "(nothing)",
               part ? part : "(nothing)");
    CU_ASSERT_PTR_NOT_NULL(found);
}
