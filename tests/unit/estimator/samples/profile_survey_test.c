#include "temp_dir.h"
#include "test.h"
#include "timetable_fixture.h"

#include <vidur/profile.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lenient requests, which do without what has a stand-in, and surveys. */

static struct temp_dir dir;
static char folder[512];
static const char *folders[] = {folder};
static struct fixture_heard heard;

static void set_up(void)
{
    temp_dir_make(&dir);
    snprintf(folder, sizeof folder, "%s/profiles", dir.path);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* A fresh fixture and a request for it. */
static struct vidur_profile_request request_of(int tp)
{
    struct vidur_estimator_config config;
    fixture_write(&dir, &config);
    return (struct vidur_profile_request){.dirs = folders,
                                          .num_dirs = 1,
                                          .model = &fixture_model,
                                          .device = "gpu",
                                          .node = "box",
                                          .tensor_parallel_size = tp,
                                          .block_size_tokens = 16};
}

static struct vidur_profile *read_profile(const struct vidur_profile_request *request)
{
    const struct vidur_log log = fixture_log(&heard);
    struct vidur_profile *profile = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_profile_read_csv(&profile, request, &log, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(profile);
    return profile;
}

static void assert_fails(const struct vidur_profile_request *request,
                         const char *const *parts)
{
    struct vidur_profile *profile = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_profile_read_csv(&profile, request, NULL, &err), -1);
    CU_ASSERT_PTR_NULL(profile);
    for (int i = 0; parts[i]; i++)
        assert_contains(err.text, parts[i]);
}

/* A lenient request does without what has a stand-in, and without nothing else. */
static void test_lenient(void)
{
    static const char *const compute[] = {"mlp.csv: no profile of", NULL};
    static const char *const tp[] = {"all_reduce.csv: num_workers: no row for",
                                     "there are: 4", NULL};
    struct vidur_profile_request request = request_of(2);
    const struct temp_path network = temp_dir_path(&dir, FIXTURE_ALL_REDUCE);
    request.lenient = true;
    request.node = "rack";
    request.pipeline = true;
    struct vidur_profile *profile = read_profile(&request);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_all_reduce].num_rows, 0);
    CU_ASSERT_EQUAL(profile->operators[VIDUR_OP_send_recv].num_rows, 0);
    CU_ASSERT(profile->operators[VIDUR_OP_mlp_act].num_rows > 0);
    vidur_profile_free(profile);
    request.device = "tpu";
    assert_fails(&request, compute);
    /* A file that is there and lacks the TP is no missing file. */
    request = request_of(2);
    request.lenient = true;
    temp_dir_write(&dir, FIXTURE_ALL_REDUCE,
                   "time_stats.all_reduce.median,num_workers,size,devices_per_node\n"
                   "0.5,4,2048,4\n1.5,4,4096,4\n");
    assert_fails(&request, tp);
    CU_ASSERT_EQUAL(unlink(network.text), 0);
}

/* Other block sizes stand in only where no row has the one asked for. */
static void test_lenient_block_size(void)
{
    static const char *const strict[] = {"block_size: no row for", "there are: 16",
                                         NULL};
    struct vidur_profile_request request = request_of(1);
    request.block_size_tokens = 16;
    struct vidur_profile *wanted = read_profile(&request);
    request.block_size_tokens = 1;
    assert_fails(&request, strict);
    request.lenient = true;
    struct vidur_profile *other = read_profile(&request);
    CU_ASSERT_EQUAL(heard.warnings, 1);
    assert_contains(heard.last_warning,
                    "attention.csv: block_size: no row for test/tiny, TP 1 "
                    "has the value 1; rows of 16 stand in");
    const struct vidur_samples *a = &wanted->operators[VIDUR_OP_attn_decode];
    const struct vidur_samples *b = &other->operators[VIDUR_OP_attn_decode];
    CU_ASSERT_EQUAL_FATAL(a->num_rows, b->num_rows);
    CU_ASSERT_EQUAL(
        memcmp(a->target_ms, b->target_ms, (size_t)a->num_rows * sizeof(double)), 0);
    vidur_profile_free(wanted);
    vidur_profile_free(other);
}

static void test_survey(void)
{
    struct vidur_profile_survey survey;
    struct vidur_error err = {0};
    struct vidur_profile_request request = request_of(2);
    request.block_size_tokens = 16;
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), 0);
    CU_ASSERT(survey.has_rows && survey.has_block_size);
    CU_ASSERT_STRING_EQUAL(survey.block_sizes, "16");
    CU_ASSERT_STRING_EQUAL(survey.missing, "");
    request.block_size_tokens = 1;
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), 0);
    CU_ASSERT(survey.has_rows && !survey.has_block_size);
    request.block_size_tokens = 0;
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), 0);
    CU_ASSERT(survey.has_rows && survey.has_block_size);
    request.tensor_parallel_size = 4;
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), 0);
    CU_ASSERT_FALSE(survey.has_rows);
    assert_contains(survey.missing, "num_tensor_parallel_workers");
    request = request_of(1);
    request.device = "tpu";
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), 0);
    CU_ASSERT_FALSE(survey.has_rows);
    assert_contains(survey.missing, "compute/tpu/test/tiny/mlp.csv");
    CU_ASSERT_STRING_EQUAL(err.text, "");
    /* One of the two is not enough; a damaged one is an error. */
    const struct temp_path attention = temp_dir_path(&dir, FIXTURE_ATTENTION);
    request = request_of(1);
    CU_ASSERT_EQUAL(unlink(attention.text), 0);
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), 0);
    CU_ASSERT_FALSE(survey.has_rows);
    assert_contains(survey.missing, "attention.csv");
    temp_dir_write(&dir, FIXTURE_ATTENTION, "n_embd\nmany\n");
    CU_ASSERT_EQUAL(vidur_profile_survey(&survey, &request, &err), -1);
    assert_contains(err.text, "attention.csv");
}

VIDUR_TEST_MAIN("profiles' stand-ins", {"set up", set_up}, {"lenient", test_lenient},
                {"lenient block size", test_lenient_block_size},
                {"survey", test_survey}, {"clean up", clean_up})
