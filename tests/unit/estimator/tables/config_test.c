#include <vidur/timetable.h>

#include "base/yaml.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static int read_text(struct vidur_estimator_config *config, const char *text,
                     struct vidur_error *err)
{
    memset(err, 0, sizeof *err);
    vidur_estimator_config_defaults(config);
    struct vidur_yaml *doc =
        vidur_yaml_parse("/configs/a.yaml", text, strlen(text), err);
    if (!doc)
        return -1;
    const int status = vidur_estimator_config_read(vidur_yaml_root(doc), config, err);
    vidur_yaml_free(doc);
    return status;
}

static void test_defaults(void)
{
    struct vidur_estimator_config c;
    vidur_estimator_config_defaults(&c);
    CU_ASSERT_EQUAL(c.source, VIDUR_SOURCE_AUTO);
    CU_ASSERT_EQUAL(c.num_profiles, 0);
    CU_ASSERT_STRING_EQUAL(c.regressor, "random_forest");
    CU_ASSERT_EQUAL(c.num_num_estimators, 3);
    CU_ASSERT_EQUAL(c.num_estimators[0], 250);
    CU_ASSERT_EQUAL(c.num_estimators[2], 750);
    CU_ASSERT_EQUAL(c.max_depth[1], 16);
    CU_ASSERT_EQUAL(c.min_samples_split[2], 10);
    CU_ASSERT_EQUAL(c.k_fold_cv_splits, 10);
    CU_ASSERT_EQUAL(c.max_tokens_per_request, 4096);
    CU_ASSERT_EQUAL(c.max_batch_size, 128);
    CU_ASSERT_EQUAL(c.max_prefill_chunk_size, 4096);
    CU_ASSERT_EQUAL(c.kv_cache_granularity, 64);
    CU_ASSERT_EQUAL(c.overheads.nccl_cpu_launch_overhead_ms, 0.02);
    CU_ASSERT_EQUAL(c.overheads.nccl_cpu_skew_overhead_per_device_ms, 0);
    CU_ASSERT_EQUAL(c.overheads.attention_decode_batching_overhead_fraction, 0.1);
    CU_ASSERT_EQUAL(c.overheads.attention_prefill_batching_overhead_fraction, 0.1);
    CU_ASSERT_FALSE(c.overheads.model_cpu_overhead);
}

static void test_an_empty_section_keeps_the_defaults(void)
{
    struct vidur_estimator_config c, defaults;
    struct vidur_error err;
    vidur_estimator_config_defaults(&defaults);
    CU_ASSERT_EQUAL(read_text(&c, "{}", &err), 0);
    CU_ASSERT_EQUAL(memcmp(&c, &defaults, sizeof c), 0);
    CU_ASSERT_EQUAL(read_text(&c, "source:\nprofiles:\ncache_dir:\n", &err), 0);
    CU_ASSERT_EQUAL(memcmp(&c, &defaults, sizeof c), 0);
}

static void test_every_key(void)
{
    struct vidur_estimator_config c;
    struct vidur_error err;
    CU_ASSERT_EQUAL(
        read_text(&c,
                  "source: profiles\nprofiles: [a, /b]\ntables: t\nkernels: k\n"
                  "regressor: polynomial\nnum_estimators: [10, 20]\nmax_depth: 4\n"
                  "min_samples_split: [3]\nk_fold_cv_splits: 5\n"
                  "max_tokens_per_request: 16384\nmax_batch_size: 512\n"
                  "max_prefill_chunk_size: 8192\nkv_cache_granularity: 32\n"
                  "nccl_cpu_launch_overhead_ms: 0.1\n"
                  "nccl_cpu_skew_overhead_per_device_ms: 0.2\n"
                  "attention_decode_batching_overhead_fraction: 0.3\n"
                  "attention_prefill_batching_overhead_fraction: 0.4\n"
                  "model_cpu_overhead: true\nseed: 7\ncache_dir: cache\nthreads: 2\n",
                  &err),
        0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(c.source, VIDUR_SOURCE_PROFILES);
    CU_ASSERT_EQUAL(c.num_profiles, 2);
    CU_ASSERT_STRING_EQUAL(c.profiles[0], "/configs/a");
    CU_ASSERT_STRING_EQUAL(c.profiles[1], "/b");
    CU_ASSERT_STRING_EQUAL(c.tables, "/configs/t");
    CU_ASSERT_STRING_EQUAL(c.kernels, "/configs/k");
    CU_ASSERT_STRING_EQUAL(c.regressor, "polynomial");
    CU_ASSERT_EQUAL(c.num_num_estimators, 2);
    CU_ASSERT_EQUAL(c.num_estimators[1], 20);
    CU_ASSERT_EQUAL(c.num_max_depth, 1);
    CU_ASSERT_EQUAL(c.max_depth[0], 4);
    CU_ASSERT_EQUAL(c.num_min_samples_split, 1);
    CU_ASSERT_EQUAL(c.min_samples_split[0], 3);
    CU_ASSERT_EQUAL(c.k_fold_cv_splits, 5);
    CU_ASSERT_EQUAL(c.max_tokens_per_request, 16384);
    CU_ASSERT_EQUAL(c.max_batch_size, 512);
    CU_ASSERT_EQUAL(c.max_prefill_chunk_size, 8192);
    CU_ASSERT_EQUAL(c.kv_cache_granularity, 32);
    CU_ASSERT_EQUAL(c.overheads.nccl_cpu_launch_overhead_ms, 0.1);
    CU_ASSERT_EQUAL(c.overheads.nccl_cpu_skew_overhead_per_device_ms, 0.2);
    CU_ASSERT_EQUAL(c.overheads.attention_decode_batching_overhead_fraction, 0.3);
    CU_ASSERT_EQUAL(c.overheads.attention_prefill_batching_overhead_fraction, 0.4);
    CU_ASSERT_TRUE(c.overheads.model_cpu_overhead);
    CU_ASSERT_EQUAL(c.seed, 7);
    CU_ASSERT_STRING_EQUAL(c.cache_dir, "/configs/cache");
    CU_ASSERT_EQUAL(c.threads, 2);
}

/* A path that is given says the source. */
static void test_source_follows_the_path(void)
{
    static const struct {
        const char *text;
        enum vidur_estimator_source source;
    } cases[] = {
        {"profiles: here", VIDUR_SOURCE_PROFILES},
        {"tables: here", VIDUR_SOURCE_TABLES},
        {"kernels: here", VIDUR_SOURCE_KERNELS},
        {"source: auto\nprofiles: here", VIDUR_SOURCE_AUTO},
        {"seed: 3", VIDUR_SOURCE_AUTO},
        {"source: roofline\nprofiles: here", VIDUR_SOURCE_ROOFLINE},
        {"source: tables\ntables: here\nprofiles: there", VIDUR_SOURCE_TABLES}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_estimator_config c;
        struct vidur_error err;
        CU_ASSERT_EQUAL(read_text(&c, cases[i].text, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_EQUAL(c.source, cases[i].source);
    }
}

static void test_profiles_alone_are_the_shipped_ones(void)
{
    struct vidur_estimator_config c;
    struct vidur_error err;
    CU_ASSERT_EQUAL(read_text(&c, "source: profiles", &err), 0);
    CU_ASSERT_EQUAL(c.num_profiles, 1);
    assert_contains(c.profiles[0], "/profiles");
    CU_ASSERT_EQUAL(read_text(&c, "profiles: data:profiles", &err), 0);
    CU_ASSERT_EQUAL(c.source, VIDUR_SOURCE_PROFILES);
}

static void test_cache_folder(void)
{
    struct vidur_estimator_config c;
    struct vidur_error err;
    CU_ASSERT_EQUAL(read_text(&c, "cache_dir: \"\"", &err), 0);
    CU_ASSERT_STRING_EQUAL(c.cache_dir, "");
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    vidur_estimator_config_defaults(&c);
    CU_ASSERT_STRING_EQUAL(c.cache_dir, "/xdg/vidur-search");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/home/me", 1);
    vidur_estimator_config_defaults(&c);
    CU_ASSERT_STRING_EQUAL(c.cache_dir, "/home/me/.cache/vidur-search");
    unsetenv("HOME");
    vidur_estimator_config_defaults(&c);
    CU_ASSERT_STRING_EQUAL(c.cache_dir, "");
}

static void test_errors(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"sauce: roofline", "source"},
        {"source: rooflines", "roofline"},
        {"source: tables", "tables: missing"},
        {"source: kernels", "kernels: missing"},
        {"profiles: a\ntables: b", "source: missing"},
        {"profiles: []", "profiles"},
        {"profiles: {a: b}", "profiles"},
        {"regressor: forest", "random_forest"},
        {"num_estimators: 0", "num_estimators"},
        {"num_estimators: [250, ten]", "num_estimators"},
        {"num_estimators: []", "num_estimators"},
        {"max_depth: 65", "max_depth"},
        {"min_samples_split: 1", "min_samples_split"},
        {"k_fold_cv_splits: 1", "k_fold_cv_splits"},
        {"max_tokens_per_request: -4", "max_tokens_per_request"},
        {"max_batch_size: 1.5", "max_batch_size"},
        {"kv_cache_granularity: 0", "kv_cache_granularity"},
        {"nccl_cpu_launch_overhead_ms: -0.1", "nccl_cpu_launch_overhead_ms"},
        {"attention_decode_batching_overhead_fraction: .inf",
         "attention_decode_batching_overhead_fraction"},
        {"model_cpu_overhead: maybe", "model_cpu_overhead"},
        {"source: roofline\nmodel_cpu_overhead: true",
         "a.yaml:2: model_cpu_overhead: a roofline knows no CPU times"},
        {"seed: -1", "seed"},
        {"threads: -1", "threads"},
        {"[a]", "keys with values"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_estimator_config c;
        struct vidur_error err;
        CU_ASSERT_EQUAL(read_text(&c, cases[i].text, &err), -1);
        CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
        assert_contains(err.text, cases[i].message);
        assert_contains(err.text, "/configs/a.yaml:");
    }
}

VIDUR_TEST_MAIN("estimator config", {"defaults", test_defaults},
                {"an empty section keeps the defaults",
                 test_an_empty_section_keeps_the_defaults},
                {"every key", test_every_key},
                {"source follows the path", test_source_follows_the_path},
                {"profiles alone are the shipped ones",
                 test_profiles_alone_are_the_shipped_ones},
                {"cache folder", test_cache_folder}, {"errors", test_errors})
