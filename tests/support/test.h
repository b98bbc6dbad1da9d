#ifndef VIDUR_TEST_H
#define VIDUR_TEST_H

/*
 * A test program is a table of named cases run by CUnit:
 *
 *     VIDUR_TEST_MAIN("quantile", {"median of three", test_median}, ...)
 *
 * It exits 0 when every assertion held, 1 otherwise, and 77 (ctest: skipped) when a
 * case asked for it with vidur_test_skip().
 */

#include <CUnit/CUnit.h>

struct vidur_test_case {
    const char *name;
    void (*run)(void);
};

int vidur_test_run(const char *suite, const struct vidur_test_case *cases, int count);

/* Says why on stdout and ends the program with status 77: for data that is not here. */
void vidur_test_skip(const char *why);

/* The same where the comparison data beside the source tree is absent; with
 * VIDUR_REQUIRE_GOLDEN=1 in the environment that is a failure, status 1. jobs/test.sh
 * counts the tests that were skipped so. */
void vidur_test_skip_golden(void);

/* The folder of comparison data beside the source tree, or NULL where it is absent. */
const char *vidur_test_shared_dir(void);

/* The text has the part in it; prints both where not. NULL has nothing in it. */
void assert_contains(const char *text, const char *part);

/* How many random cases a test draws: a fifth under AddressSanitizer, which looks for
 * other faults and takes several times as long. */
#ifdef __SANITIZE_ADDRESS__
#define VIDUR_TEST_CASES(count) ((count) / 5)
#else
#define VIDUR_TEST_CASES(count) (count)
#endif

#define VIDUR_TEST_MAIN(suite, ...)                                                    \
    int main(void)                                                                     \
    {                                                                                  \
        static const struct vidur_test_case cases[] = {__VA_ARGS__};                   \
        return vidur_test_run(suite, cases, (int)(sizeof cases / sizeof cases[0]));    \
    }

#endif
