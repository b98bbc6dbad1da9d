#include "report/report_trust.h"

#include "base/file.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *trust_of(const char *device, const char *estimator)
{
    static char text[512];
    struct vidur_ranking_row row = {.rank = 1};
    snprintf(row.device, sizeof row.device, "%s", device);
    snprintf(row.estimator, sizeof row.estimator, "%s", estimator);
    vidur_format_trust(&row, text, sizeof text);
    return text;
}

static void test_words(void)
{
    CU_ASSERT_STRING_EQUAL(
        trust_of("h100", "engine step model, synthetic roofline of h100; constants"),
        "of 521 measurements of vLLM on H100 and B200 TPOT was missed by 8.9 %, TTFT "
        "by "
        "22.7 % (medians, data/FIDELITY.md); leave a margin, or measure one replica");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(trust_of("a100", "engine step model, synthetic roofline of a100"),
               "; none was of a100; leave a margin"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(trust_of("b200", "engine step model, kernel timings of b200"),
               "TPOT was missed by 8.4 %, TTFT by 17.8 %"));
    CU_ASSERT_STRING_EQUAL(trust_of("a100", "random forests over measured profiles"),
                           "");
}

/* The figures are those that were measured last. */
static void test_figures(void)
{
    char row[128];
    char *readme = vidur_file_read("README.md", 0, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(readme);
    snprintf(row, sizeof row, "| %d closed loops of vLLM ", VIDUR_TRUST_CASES);
    const char *first = strstr(readme, row);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    snprintf(row, sizeof row, "| vidur-search, kernel timings | %.1f | %.1f |",
             VIDUR_TRUST_KERNELS_TPOT, VIDUR_TRUST_KERNELS_TTFT);
    const char *kernels = strstr(first, row);
    CU_ASSERT_TRUE(kernels && kernels < strchr(first, '\n'));
    snprintf(row, sizeof row, "\n| the same | vidur-search, roofline | %.1f | %.1f |",
             VIDUR_TRUST_ROOFLINE_TPOT, VIDUR_TRUST_ROOFLINE_TTFT);
    CU_ASSERT_PTR_EQUAL(strstr(first, row), strchr(first, '\n'));
    free(readme);
}

VIDUR_TEST_MAIN("trust", {"words", test_words}, {"figures", test_figures})
