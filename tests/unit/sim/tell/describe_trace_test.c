#include "test.h"

#include "tell/describe_trace.h"
#include "temp_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_text text;

static void describe(const char *log, const char *stores)
{
    struct temp_dir dir;
    struct vidur_error err = {0};
    struct vidur_trace_question question = {0};
    free(text.data);
    text = (struct vidur_text){0};
    temp_dir_make(&dir);
    const struct temp_path path = temp_dir_write(&dir, "log", log);
    question.path = path.text;
    CU_ASSERT_EQUAL_FATAL(vidur_trace_read_stores(stores, &question, &err), 0);
    const int status = vidur_trace_describe(&question, &text, &err);
    if (status)
        printf("\n  %s\n", err.text);
    temp_dir_remove(&dir);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

static void assert_line(const char *line)
{
    const char *found = text.data;
    const size_t length = strlen(line);
    while (found && strncmp(found, line, length) != 0) {
        found = strchr(found, '\n');
        found = found ? found + 1 : NULL;
    }
    if (!found)
        printf("\n  no line '%s' in\n%s\n", line, text.data);
    CU_ASSERT_PTR_NOT_NULL(found);
}

static void test_all_there_is(void)
{
    describe("arrived_at,prompt_tokens,output_tokens,session,prefix\n"
             "10,1000,10,a,1 2\n11,1024,20,b,1 3\n9,600,30,a,1 2\n12,9,0,c,\n"
             "13,900,40,,4 2\n",
             "1,2");
    assert_line("format       access_log: ");
    assert_line("requests     4\n");
    assert_line("left out     1 that failed");
    assert_line("out of order 1, sorted");
    assert_line("span         4 s");
    assert_line("rate         1 requests/s, 881 prompt and 25 output tokens/s");
    assert_line("over time    |████| in slices of 1 s: 1 to 1 requests/s");
    assert_line("busiest      from 0 to 1 s: 1 requests/s, 600 prompt and 30 output");
    assert_line("prompt              881       600       690       950    1016.8    "
                "1023.3      1024\n");
    assert_line("turns               1.5         1 ");
    assert_line("sessions     2, and 1 requests in none");
    assert_line("blocks       8 of 512 tokens, 4 of them distinct");
    assert_line("prefix hits  0.3750 at best");
    assert_line("             0.0000 with the 1 blocks used last");
    assert_line("             0.3750 with the 2 blocks used last");
    assert_line("search it    vidur-search --model NAME --gpus NAME,... --ttft-p95 1 "
                "--tpot-p95 0.04 --replay '/");
    assert_line("             with turns that wait for answers: sessions: {file: ");
}

/* No number has an exponent. */
static void test_large_numbers(void)
{
    describe("arrived_at,prompt_tokens,output_tokens\n"
             "0,123456,10\n2000000,1234567,20\n",
             "1");
    assert_line("span         2000000 s (556 h)");
    assert_line("busiest      from 0 to 1000000 s: 1e-06 requests/s");
    assert_line("prompt           679012    123456    234567    679012   1123456   "
                "1223456   1234567\n");
    describe("arrived_at,prompt_tokens,output_tokens\n"
             "0,1234567,10\n1,1234567,20\n",
             "1");
    assert_line("rate         2 requests/s, 2469134 prompt and 30 output tokens/s");
}

static void test_pauses(void)
{
    describe("arrived_at,session,prompt_tokens,output_tokens,ended_at\n"
             "0,a,10,1,2\n5,a,20,1,9\n6,a,15,1,8\n10,a,30,1,\n0,b,10,1,1\n",
             "1");
    assert_line("turns               2.5 ");
    assert_line("pause_s               2         1 ");
    assert_line("              (1 requests arrive before the last answer ends)\n");
    /* A turn before another has no end: nothing to tell. */
    describe("arrived_at,session,prompt_tokens,output_tokens,ended_at\n"
             "0,a,10,1,2\n5,a,20,1,\n6,a,15,1,8\n",
             "1");
    CU_ASSERT_PTR_NULL(strstr(text.data, "pause_s"));
}

static void test_ends_and_priorities(void)
{
    describe("arrived_at,prompt_tokens,output_tokens,latency_s,priority\n"
             "0,10,1,2,1\n1,10,1,4,-1\n2,10,1,,1\n3,10,1,3,0\n",
             "1");
    assert_line("latency_s             3         2       2.2         3       3.8      "
                "3.98         4\n");
    assert_line("              (1 requests have none)\n");
    assert_line("priorities   -1: 1 requests (25 %), 0: 1 requests (25 %), 1: 2 "
                "requests (50 %); lower ones first\n");
}

static void test_bursts_are_seen(void)
{
    struct vidur_text log = {0};
    vidur_text_adds(&log, "arrived_at,prompt_tokens,output_tokens\n");
    for (int i = 0; i < 600; i++) {
        char line[64];
        snprintf(line, sizeof line, "%g,10,1\n", i < 300 ? i : 300 + (i - 300) * 0.1);
        vidur_text_adds(&log, line);
    }
    vidur_text_adds(&log, "600,10,1\n");
    describe(log.data, "1");
    free(log.data);
    assert_line("over time    |▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁███                       "
                "   ▁| in slices of 10 s: 0 to 10 requests/s");
    assert_line("busiest      from 300 to 310 s: 10 requests/s");
}

static void test_without_times(void)
{
    describe("{\"conversations\": [{\"from\": \"human\", \"value\": \"12345\"}, "
             "{\"from\": \"gpt\", \"value\": \"1\"}]}",
             "1");
    assert_line("lengths      estimated, at 4 characters a token");
    assert_line("span         no times of arrival");
    assert_line("prompt                2 ");
    CU_ASSERT_PTR_NULL(strstr(text.data, "blocks"));
    CU_ASSERT_PTR_NULL(strstr(text.data, "rate"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text.data, " --trace '/"));
    describe("arrived_at,prompt_tokens,output_tokens\n5,6,7\n", "1");
    assert_line("span         0 s");
    CU_ASSERT_PTR_NULL(strstr(text.data, "rate"));
}

static void test_stores(void)
{
    static const char *const bad[] = {"", "0", "1,,2", "1,x", "-5", "1,"};
    struct vidur_trace_question question;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_trace_read_stores("1,20000", &question, &err), 0);
    CU_ASSERT_EQUAL(question.num_stores, 2);
    CU_ASSERT_EQUAL(question.stores[1], 20000);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(vidur_trace_read_stores(bad[i], &question, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "--blocks: "));
    }
    free(text.data);
}

VIDUR_TEST_MAIN("descriptions of logs", {"all there is", test_all_there_is},
                {"pauses", test_pauses}, {"large numbers", test_large_numbers},
                {"ends and priorities", test_ends_and_priorities},
                {"bursts", test_bursts_are_seen}, {"without times", test_without_times},
                {"stores", test_stores})
