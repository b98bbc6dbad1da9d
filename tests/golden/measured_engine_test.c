#include "test.h"

#include "compare/compare.h"

#include <math.h>
#include <stdio.h>

/*
 * Four experiments with vLLM 0.15.1 on H100s, simulated: how far from what was
 * measured, with kernel timings and with the roofline. Bounds per stage, in per cent.
 */

struct bounds {
    double e2e, tpot, ttft;
};

static void check(const struct vidur_compared_stage *stage, enum vidur_compared which,
                  double bound)
{
    const double error = 100 * vidur_compared_error(stage, which);
    CU_ASSERT_TRUE(fabs(error) <= bound);
    if (!(fabs(error) <= bound))
        printf("\n  %s, stage %d: %s is off by %+.2f %%, more than %g %%",
               stage->experiment->id, stage->stage, vidur_compared_name(which), error,
               bound);
}

static void compare(const char *shared, const char *estimator,
                    const struct bounds *bounds)
{
    char measured[1024], set[2048];
    const char *sets[] = {set};
    const struct vidur_comparison_options options = {
        .config_path = VIDUR_TEST_SOURCE_DIR "/configs/simulate-vllm-v1-h100.yaml",
        .measured_path = measured,
        .sets = sets,
        .num_sets = 1};
    struct vidur_comparison *comparison = NULL;
    struct vidur_error err = {0};
    snprintf(measured, sizeof measured, "%s/measured/vllm-h100.json", shared);
    snprintf(set, sizeof set, estimator, shared);
    if (vidur_comparison_open(&comparison, &options, &err) ||
        vidur_comparison_run(comparison, &err))
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    const struct vidur_compared_stage *stages = vidur_comparison_stages(comparison);
    CU_ASSERT_EQUAL(vidur_comparison_count(comparison), 7);
    for (int i = 0; i < vidur_comparison_count(comparison); i++) {
        CU_ASSERT_EQUAL(stages[i].num_completed, stages[i].num_requests);
        check(&stages[i], VIDUR_COMPARED_e2e_mean, bounds->e2e);
        check(&stages[i], VIDUR_COMPARED_tpot_mean, bounds->tpot);
        check(&stages[i], VIDUR_COMPARED_ttft_mean, bounds->ttft);
    }
    printf("\n");
    CU_ASSERT_EQUAL(vidur_comparison_print(comparison, stdout, &err), 0);
    vidur_comparison_close(comparison);
}

static void test_kernels(void)
{
    static const struct bounds bounds = {2, 2, 12};
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    compare(shared,
            "estimator={source: kernels, kernels: "
            "%s/profiles/kernels-aic/h100_sxm/vllm-0.24.0}",
            &bounds);
}

static void test_roofline(void)
{
    static const struct bounds bounds = {3.5, 3.5, 12};
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    compare(shared, "estimator={source: roofline}%.0s", &bounds);
}

VIDUR_TEST_MAIN("measured engine", {"kernel timings", test_kernels},
                {"roofline", test_roofline})
