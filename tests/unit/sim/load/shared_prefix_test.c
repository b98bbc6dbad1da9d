#include "test.h"

#include <vidur/shared_prefix.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REQUESTS = 20000 };

struct drawn {
    double arrived_at_s[MOST_REQUESTS];
    int32_t prefill[MOST_REQUESTS], decode[MOST_REQUESTS], prompt[MOST_REQUESTS];
};

static struct vidur_shared_prefix_config two_stages(void)
{
    return (struct vidur_shared_prefix_config){
        .num_groups = 10,
        .num_prompts_per_group = 10,
        .system_prompt_tokens = 100,
        .prompt_mean_tokens = 593.5,
        .prompt_std_tokens = 6,
        .output_tokens = 247,
        .stages = {{5, 600}, {10, 600}},
        .num_stages = 2,
    };
}

static struct drawn *draw(const struct vidur_shared_prefix_config *config)
{
    struct drawn *d = calloc(1, sizeof *d);
    const struct vidur_shared_prefix_requests requests = {d->arrived_at_s, d->prefill,
                                                          d->decode, d->prompt};
    CU_ASSERT_EQUAL_FATAL(vidur_shared_prefix_check(config, 4096, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_shared_prefix_draw(config, 4096, 1, &requests, NULL),
                          0);
    return d;
}

static void test_a_filled_stage_ends_with_its_last_request(void)
{
    struct vidur_shared_prefix_config config = two_stages();
    struct vidur_load_stages stages;
    vidur_shared_prefix_stages(&config, &stages);
    CU_ASSERT_EQUAL(stages.count, 2);
    CU_ASSERT_EQUAL(stages.first_request[1], 3000);
    CU_ASSERT_EQUAL(stages.first_request[2], 9000);
    CU_ASSERT_EQUAL(stages.start_s[1], 600);
    struct drawn *d = draw(&config);
    CU_ASSERT_DOUBLE_EQUAL(d->arrived_at_s[2999], 600, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(d->arrived_at_s[8999], 1200, 1e-9);
    double squares = 0;
    for (int i = 1; i < 9000; i++) {
        double gap = d->arrived_at_s[i] - d->arrived_at_s[i - 1];
        CU_ASSERT_FATAL(gap >= 0);
        squares += i < 3000 ? gap * gap : 0;
    }
    /* exponential: E gap^2 = 2 mean^2, within 5 standard errors of 3000 draws */
    CU_ASSERT_DOUBLE_EQUAL(squares / 3000, 2 * 0.04,
                           5 * sqrt(20.0) * 0.04 / sqrt(3000));
    free(d);
}

static void test_prompts_cycle(void)
{
    struct vidur_shared_prefix_config config = two_stages();
    struct drawn *d = draw(&config);
    int seen[100] = {0};
    double sum = 0;
    for (int i = 0; i < 9000; i++) {
        CU_ASSERT_EQUAL_FATAL(d->prompt[i], d->prompt[i % 100]);
        CU_ASSERT_EQUAL_FATAL(d->prefill[i], d->prefill[i % 100]);
        CU_ASSERT_EQUAL_FATAL(d->decode[i], 247);
        seen[d->prompt[i]]++;
        sum += d->prefill[i];
    }
    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(seen[i], 90);
    CU_ASSERT_DOUBLE_EQUAL(sum / 9000, 593.5, 5 * 6 / sqrt(100.0));
    free(d);
}

static void test_lengths_by_quantiles(void)
{
    struct vidur_shared_prefix_config config = two_stages();
    config.quantiles[0] = (struct vidur_prompt_quantile){0.5, 591};
    config.quantiles[1] = (struct vidur_prompt_quantile){0.9, 600};
    config.quantiles[2] = (struct vidur_prompt_quantile){1.0, 610};
    config.num_quantiles = 3;
    struct drawn *d = draw(&config);
    int to_median = 0, to_p90 = 0;
    for (int i = 0; i < 100; i++) {
        to_median += d->prefill[i] <= 591;
        to_p90 += d->prefill[i] <= 600;
        CU_ASSERT(d->prefill[i] >= 591 && d->prefill[i] <= 610);
    }
    CU_ASSERT(to_median >= 50 && to_median <= 53);
    CU_ASSERT(to_p90 >= 90 && to_p90 <= 91);
    free(d);
}

static void test_static_and_poisson_stages(void)
{
    struct vidur_shared_prefix_config config = two_stages();
    config.arrivals = VIDUR_STAGE_STATIC;
    struct drawn *d = draw(&config);
    CU_ASSERT_DOUBLE_EQUAL(d->arrived_at_s[0], 0.2, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(d->arrived_at_s[3000], 600.1, 1e-9);
    free(d);
    config.arrivals = VIDUR_STAGE_POISSON;
    d = draw(&config);
    CU_ASSERT(fabs(d->arrived_at_s[2999] - 600) > 1e-6);
    for (int i = 1; i < 9000; i++)
        CU_ASSERT_FATAL(d->arrived_at_s[i] >= d->arrived_at_s[i - 1]);
    free(d);
}

static void test_equal_seeds_give_equal_requests(void)
{
    struct vidur_shared_prefix_config config = two_stages();
    struct drawn *a = draw(&config), *b = draw(&config);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof *a), 0);
    free(a);
    free(b);
}

static void test_bad_values(void)
{
    struct vidur_shared_prefix_config bad[6];
    static const char *const expect[] = {"num_groups",    "output_tokens", "stages",
                                         "prompt_tokens", "max_tokens",    "ascending"};
    for (int i = 0; i < 6; i++)
        bad[i] = two_stages();
    bad[0].num_groups = 0;
    bad[1].output_tokens = 0;
    bad[2].num_stages = 0;
    bad[3].prompt_mean_tokens = 0;
    bad[4].system_prompt_tokens = 4000;
    bad[5].num_quantiles = 2;
    bad[5].quantiles[0] = (struct vidur_prompt_quantile){0.9, 100};
    bad[5].quantiles[1] = (struct vidur_prompt_quantile){0.5, 200};
    for (int i = 0; i < 6; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_shared_prefix_check(&bad[i], 4096, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, expect[i]));
    }
}

VIDUR_TEST_MAIN("shared prefix",
                {"filled stages", test_a_filled_stage_ends_with_its_last_request},
                {"cycle", test_prompts_cycle}, {"quantiles", test_lengths_by_quantiles},
                {"static and poisson", test_static_and_poisson_stages},
                {"determinism", test_equal_seeds_give_equal_requests},
                {"bad values", test_bad_values})
