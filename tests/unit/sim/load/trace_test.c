#include "test.h"

#include "base/text.h"
#include "load/trace_format.h"
#include "trace_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vidur_trace trace;
static struct vidur_error err;

static void read_all(const char *text, const struct vidur_trace_options *options)
{
    trace_read_text(&trace, text, options);
}

/* Two requests each: 5 prompt and 2 output tokens at 0, 6 and 3 tokens 1.5 s later. */
static const struct {
    const char *format, *text;
    bool has_times;
    int num_failed;
} examples[] = {
    {"vidur", "num_decode_tokens,num_prefill_tokens,arrived_at\n2,5,0\n3,6,1.5\n", true,
     0},
    {"azure",
     "TIMESTAMP,ContextTokens,GeneratedTokens\n"
     "2023-11-16 18:15:46.6805900,5,2\n2023-11-16 18:15:48.1805900,6,3\n",
     true, 0},
    {"azure",
     "TIMESTAMP,ContextTokens,GeneratedTokens\n"
     "2024-05-10 00:00:00.009930+00:00,5,2\n2024-05-10 02:00:01.509930+02:00,6,3\n"
     "2024-05-10 02:00:02+02:00,6,0\n",
     true, 1},
    {"burstgpt",
     "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
     "5.0,ChatGPT,5,2,7,Conversation log\n6,GPT-4,9,0,9,API log\n"
     "6.5,ChatGPT,6,3,9,Conversation log\n",
     true, 1},
    {"mooncake",
     "{\"timestamp\": 27, \"input_length\": 5, \"output_length\": 2}\n\n"
     "{\"timestamp\": 1527, \"input_length\": 6, \"output_length\": 3}\n",
     true, 0},
    {"sharegpt",
     "[{\"id\": \"a\", \"conversations\": [\n"
     " {\"from\": \"human\", \"value\": \"What is \\\"}]\\\" for?\"},\n"
     " {\"from\": \"gpt\", \"value\": \"\xc3\x84h ...\"}, "
     "{\"from\": \"human\", \"value\": \"\"},\n"
     " {\"from\": \"gpt\", \"value\": \"No idea..\"}]}]\n",
     false, 0},
    {"vllm_bench",
     "{\"input_lens\": [5, 9, 6], \"output_lens\": [2, 1, 3],\n"
     " \"start_times\": [7.25, 8, 8.75], \"errors\": [\"\", \"lost\", \"\"]}\n",
     true, 1},
    {"vllm_bench", "{\"input_lens\": [5, 6], \"output_lens\": [2, 3]}", false, 0},
    {"guidellm",
     "{\"benchmarks\": [{\"requests\": {\"successful\": [\n"
     "{\"prompt_tokens\": 5, \"output_tokens\": 2, \"start_time\": 1.7e9},\n"
     "{\"input_metrics\": {\"text_tokens\": 6}, \"output_metrics\": "
     "{\"text_tokens\": 3},\n \"info\": {\"timings\": {\"request_start\": "
     "1700000001.5}}}],\n\"errored\": [{}], \"incomplete\": [{}]}}]}",
     true, 2},
    {"aiperf",
     "{\"metadata\": {\"request_start_ns\": 1759813207532900363}, \"metrics\": "
     "{\"input_sequence_length\": {\"value\": 5}, \"output_sequence_length\": "
     "{\"value\": 2}}, \"error\": null}\n"
     "{\"metadata\": {\"request_start_ns\": 1759813208000000000}, \"metrics\": {}, "
     "\"error\": {\"code\": 499}}\n"
     "{\"metadata\": {\"request_start_ns\": 1759813209032900363}, \"metrics\": "
     "{\"input_sequence_length\": {\"value\": 6}, \"output_sequence_length\": "
     "{\"value\": 3.0}}}\n",
     true, 1},
    {"genai_perf",
     "{\"service_kind\": \"openai\", \"experiments\": [{\"requests\": [\n"
     "{\"timestamp\": 1000, \"request_inputs\": {\"payload\": \"{\\\"messages\\\": "
     "[{\\\"role\\\": \\\"user\\\", \\\"content\\\": \\\"Twenty letters "
     "here.\\\"}]}\"},"
     " \"response_timestamps\": [1001, 1002]},\n"
     "{\"timestamp\": 1500001000, \"request_inputs\": {\"prompt\": "
     "\"Twenty-one characters\"}, \"response_timestamps\": [1500001001, 1500001002, "
     "1500001003]}]}]}",
     true, 0},
    {"inference_perf",
     "[{\"start_time\": 2.5, \"end_time\": 3, \"request\": \"{}\", \"info\": "
     "{\"input_tokens\": 5, \"output_tokens\": 2}, \"error\": null},\n"
     " {\"start_time\": 3, \"end_time\": 3, \"info\": {}, \"error\": \"timeout\"},\n"
     " {\"start_time\": 4, \"end_time\": 5, \"info\": {\"input_tokens\": 6, "
     "\"output_tokens\": 3}}]\n",
     true, 1},
    {"access_log",
     "who,arrived_at,prompt_tokens,output_tokens\nme,2024-05-10T00:00:00Z,5,2\n"
     "you,2024-05-09T23:00:01.5-01:00,6,3\n",
     true, 0},
    {"access_log",
     "{\"created\": 1700000000, \"usage\": {\"prompt_tokens\": 5, "
     "\"completion_tokens\": 2}}\n"
     "{\"created\": \"2023-11-14T22:13:21.5Z\", \"usage\": {\"prompt_tokens\": 6, "
     "\"completion_tokens\": 3}}",
     true, 0},
};

static void check_example(int at)
{
    CU_ASSERT_STRING_EQUAL(trace.format->name, examples[at].format);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 2);
    CU_ASSERT_EQUAL(trace.num_failed, examples[at].num_failed);
    CU_ASSERT_EQUAL(trace.num_unsorted, 0);
    CU_ASSERT_EQUAL(trace.prompt_tokens[0], 5);
    CU_ASSERT_EQUAL(trace.prompt_tokens[1], 6);
    CU_ASSERT_EQUAL(trace.output_tokens[0], 2);
    CU_ASSERT_EQUAL(trace.output_tokens[1], 3);
    CU_ASSERT_EQUAL(trace.time_s != NULL, examples[at].has_times);
    if (trace.time_s) {
        CU_ASSERT_EQUAL(trace.time_s[0], 0);
        CU_ASSERT_EQUAL(trace.time_s[1], 1.5);
    }
}

static void test_every_format(void)
{
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct vidur_trace_options options = {0};
        read_all(examples[i].text, &options);
        check_example((int)i);
        snprintf(options.format, sizeof options.format, "%s", examples[i].format);
        read_all(examples[i].text, &options);
        check_example((int)i);
    }
    for (int i = 0; vidur_trace_format_at(i); i++) {
        bool tried = false;
        for (size_t k = 0; k < sizeof examples / sizeof examples[0]; k++)
            tried = tried ||
                    strcmp(vidur_trace_format_at(i)->name, examples[k].format) == 0;
        CU_ASSERT(tried);
    }
}

/* Gzipped, as the shell does it. */
static void test_gzip(void)
{
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const struct vidur_trace_options options = {0};
        const struct temp_path path =
            temp_dir_write(trace_dir(), "log", examples[i].text);
        const struct temp_path zipped = temp_dir_path(trace_dir(), "log.gz");
        char command[1200];
        snprintf(command, sizeof command, "gzip -c '%s' > '%s'", path.text,
                 zipped.text);
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        vidur_trace_close(&trace);
        CU_ASSERT_EQUAL_FATAL(
            vidur_trace_open(&trace, zipped.text, &options, VIDUR_TRACE_ALL, &err), 0);
        check_example((int)i);
    }
}

static void test_order(void)
{
    struct vidur_trace_options options = {0};
    read_all("arrived_at,prompt_tokens,output_tokens,session,prefix\n"
             "9,600,1,b,1 2\n7,601,2,a,\n9,602,3,a,3\n8,9,0,a,5\n5,603,4,,1 4\n",
             &options);
    static const int32_t prompts[] = {603, 601, 600, 602};
    static const double times_s[] = {0, 2, 4, 4};
    static const int32_t lines[] = {6, 3, 2, 4};
    static const int32_t sessions[] = {-1, 1, 0, 1};
    static const int64_t first_blocks[] = {0, 2, 2, 4, 5};
    static const int32_t blocks[] = {0, 3, 0, 1, 2};
    CU_ASSERT_EQUAL(trace.num_unsorted, 2);
    CU_ASSERT_EQUAL(trace.num_failed, 1);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(trace.prompt_tokens[i], prompts[i]);
        CU_ASSERT_EQUAL(trace.time_s[i], times_s[i]);
        CU_ASSERT_EQUAL(trace.line[i], lines[i]);
        CU_ASSERT_EQUAL(trace.session[i], sessions[i]);
    }
    CU_ASSERT_EQUAL(memcmp(trace.first_block, first_blocks, sizeof first_blocks), 0);
    /* Ids are numbered as they come, those of the request left out too: 5 is 3. */
    CU_ASSERT_EQUAL(trace.blocks[0], blocks[0]);
    CU_ASSERT_EQUAL(trace.blocks[2], blocks[2]);
    CU_ASSERT_EQUAL(trace.blocks[3], blocks[3]);
    CU_ASSERT_EQUAL(trace.blocks[4], blocks[4]);
    CU_ASSERT(trace.blocks[1] != trace.blocks[0] && trace.blocks[1] > 2);
}

/* Many rows, many of them at the same time: as a stable sort of any other kind. */
static void test_order_of_many(void)
{
    enum { ROWS = 5000 };
    struct vidur_trace_options options = {0};
    struct vidur_text text = {0};
    vidur_text_adds(&text, "arrived_at,prompt_tokens,output_tokens\n");
    for (int i = 0; i < ROWS; i++) {
        char line[64];
        snprintf(line, sizeof line, "%d,%d,1\n", (i * 7919) % 1009, i);
        vidur_text_adds(&text, line);
    }
    read_all(text.data, &options);
    free(text.data);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, ROWS);
    for (int i = 0; i < ROWS; i++) {
        CU_ASSERT_EQUAL(trace.time_s[i], (trace.prompt_tokens[i] * 7919) % 1009);
        CU_ASSERT_EQUAL(trace.line[i], trace.prompt_tokens[i] + 2);
        CU_ASSERT(i == 0 || trace.time_s[i] > trace.time_s[i - 1] ||
                  trace.prompt_tokens[i] > trace.prompt_tokens[i - 1]);
    }
}

static void test_units(void)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    static const double factors[] = {1, 1e3, 1e6, 1e9};
    for (int i = 0; i < 4; i++) {
        struct vidur_trace_options options = {0};
        char text[256];
        snprintf(options.time_unit, sizeof options.time_unit, "%s", units[i]);
        snprintf(text, sizeof text,
                 "arrived_at,prompt_tokens,output_tokens\n"
                 "0,1,1\n%.17g,1,1\n",
                 2.5 * factors[i]);
        read_all(text, &options);
        CU_ASSERT_EQUAL(trace.time_s[1], 2.5);
        snprintf(text, sizeof text,
                 "arrived_at,num_prefill_tokens,num_decode_tokens\n"
                 "0,1,1\n%.17g,1,1\n",
                 2.5 * factors[i]);
        read_all(text, &options);
        CU_ASSERT_EQUAL(trace.time_s[1], 2.5);
    }
}

static void test_columns(void)
{
    struct vidur_trace_options options = {.columns = {.arrived_at = "t",
                                                      .prompt_tokens = "p",
                                                      .output_tokens = "usage.out",
                                                      .session = "user",
                                                      .prefix = "ids"},
                                          .block_tokens = 16};
    read_all("{\"t\": 1, \"p\": 40, \"usage\": {\"out\": 2}, \"user\": 7, "
             "\"ids\": [1, 2, \"x\"]}\n"
             "{\"t\": 3, \"p\": 40, \"usage\": {\"out\": 2}, \"ids\": [1, 3]}\n",
             &options);
    CU_ASSERT_STRING_EQUAL(trace.format->name, "access_log");
    CU_ASSERT_EQUAL(trace.num_sessions, 1);
    CU_ASSERT_EQUAL(trace.session[0], 0);
    CU_ASSERT_EQUAL(trace.session[1], -1);
    CU_ASSERT_EQUAL(trace.block_tokens, 16);
    CU_ASSERT_EQUAL(trace.num_distinct_blocks, 4);
    CU_ASSERT_EQUAL(trace.first_block[1], 3);
    CU_ASSERT_EQUAL(trace.first_block[2], 5);
    CU_ASSERT_EQUAL(trace.blocks[3], trace.blocks[0]);
    options = (struct vidur_trace_options){
        .columns = {.arrived_at = "t", .prompt_tokens = "p", .output_tokens = "o"}};
    read_all("o;p,t,p,o\n1,2,3,4\n", &options);
    CU_ASSERT_EQUAL(trace.prompt_tokens[0], 3);
    options = (struct vidur_trace_options){.characters_per_token = 2};
    read_all("{\"conversations\": [{\"role\": \"user\", \"content\": \"four\"}, "
             "{\"role\": \"assistant\", \"content\": \"three\"}]}",
             &options);
    CU_ASSERT_EQUAL(trace.characters_per_token, 2);
    CU_ASSERT_EQUAL(trace.prompt_tokens[0], 2);
    CU_ASSERT_EQUAL(trace.output_tokens[0], 3);
}

/* A session's turns carry what was said before them. */
static void test_sessions(void)
{
    const struct vidur_trace_options options = {0};
    read_all("[{\"id\": \"a\", \"conversations\": ["
             "{\"from\": \"human\", \"value\": \"12345678\"}, "
             "{\"from\": \"gpt\", \"value\": \"1234\"}, "
             "{\"from\": \"human\", \"value\": \"1234\"}, "
             "{\"from\": \"gpt\", \"value\": \"12345\"}]}, \n"
             "{\"id\": \"b\", \"conversations\": ["
             "{\"from\": \"human\", \"value\": \"1\"}, "
             "{\"from\": \"gpt\", \"value\": \"1\"}]}]",
             &options);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 3);
    CU_ASSERT_EQUAL(trace.num_sessions, 2);
    CU_ASSERT_EQUAL(trace.session[1], trace.session[0]);
    CU_ASSERT_EQUAL(trace.prompt_tokens[1], 4);
    CU_ASSERT_EQUAL(trace.output_tokens[1], 2);
    CU_ASSERT_EQUAL(trace.line[2], 2);
}

#define TABLE "arrived_at,prompt_tokens,output_tokens\n"

static void test_damaged(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {TABLE "1,5,2\nsoon,5,2\n", "log:3: arrived_at: 'soon' is not a time; write s"},
        {TABLE "1,5,2\n2,5\n", "log:3: 2 fields where the header has 3"},
        {TABLE "1,5,2\n2,-5,2\n", "log:3: prompt_tokens: -5 is negative"},
        {TABLE "1,5.5,2\n", "log:2: prompt_tokens: '5.5' is not a whole number"},
        {TABLE "1,3000000000,2\n", "log:2: prompt_tokens: 3000000000 tokens; at most"},
        {TABLE "1,5,0\n2,5,0\n", "log: all 2 requests failed or have no output"},
        {TABLE, "log: no rows below the header"},
        {"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-31 00:00:00,1,1\n",
         "log:2: TIMESTAMP: '2023-11-31 00:00:00' is not a time"},
        {"{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 2}\n"
         "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 2\n"
         "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 2}\n",
         "log:2: not valid JSON"},
        {"{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 2}\n\n[1]\n",
         "log:3: not an object; a request is one"},
        {"{\"timestamp\": 0, \"input_length\": \"5\", \"output_length\": 2}\n",
         "log:1: input_length: a string where a number is needed"},
        {"{\"timestamp\": 0, \"input_length\": 5.5, \"output_length\": 2}\n",
         "log:1: input_length: 5.5 is not a whole number of tokens"},
        {"{\"input_length\": 5, \"output_length\": 2}\n"
         "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 2}\n",
         "log:2: timestamp: a time, which requests before this one do not have"},
        {"{\"timestamp\": 1e300, \"input_length\": 5, \"output_length\": 2}\n",
         "log:1: timestamp: too large for a time in ms; say its unit with time_unit"},
        {"[{\"start_time\": 1, \"end_time\": 2, \"info\": {\"input_tokens\": 5, "
         "\"output_tokens\": 2}},\n\n{\"start_time\": 1, \"info\": {",
         "log:3: the request that begins here does not end; is the file cut?"},
        {"[{\"start_time\": 1, \"end_time\": 2, \"info\": {\"input_tokens\": 5, "
         "\"output_tokens\": 2}},\n",
         "log:2: the array does not end; is the file cut?"},
        {"[{\"start_time\": 1, \"end_time\": 2, \"info\": {\"input_tokens\": 5, "
         "\"output_tokens\": 2}}] x",
         "log:1: text behind the end of the array"},
        {"[{\"start_time\": 1, \"end_time\": 2, \"info\": {\"input_tokens\": 5, "
         "\"output_tokens\": 2}},\n 5]",
         "log:2: not an object"},
        {"{\"input_lens\": [1, 2], \"output_lens\": [1]}",
         "log: output_lens: 1 of them, but 2 input_lens"},
        {"{\"request_throughput\": 4}", "log: input_lens: missing; run vllm bench"},
        {"{\"input_lens\": [1], \"output_lens\": [1]}",
         "log: no times of arrival (format vllm_bench); use it for lengths"},
        {"{\"benchmarks\": [{\"metrics\": 1}]}", "requests.successful: missing"},
        {"{\"conversations\": 5}", "log:1: conversations: missing; a conversation is"},
        {"{\"what\": 5}",
         "log:1: this is JSON, but not a log of requests that is known; "
         "give format: (vidur, azure,"},
        {"when,what\n1,2\n", "log:1: num_prefill_tokens: the file has no such column"},
    };
    const struct vidur_trace_options options = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        trace_assert_refused(cases[i].text, &options,
                             VIDUR_TRACE_LENGTHS | VIDUR_TRACE_TIMES, cases[i].message);
}

/* What blocks are wrong about is seen where blocks are wanted. */
static void test_damaged_blocks(void)
{
    static const struct {
        const char *blocks, *message;
    } cases[] = {{"[[1]]", "log:1: hash_ids.0: not an id of a block"},
                 {"[1, 2]", "log:1: 2 blocks of 512 tokens are more than the prompt of "
                            "512; say how many tokens a block has: block_tokens"},
                 {"[1, true]", "log:1: hash_ids.1: not an id of a block"}};
    const struct vidur_trace_options options = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"timestamp\": 0, \"input_length\": 512, \"output_length\": 2, "
                 "\"hash_ids\": %s}\n",
                 cases[i].blocks);
        CU_ASSERT_EQUAL(trace_open_text(&trace, text, &options, VIDUR_TRACE_ALL, &err),
                        -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].message));
        CU_ASSERT_EQUAL(
            trace_open_text(&trace, text, &options, VIDUR_TRACE_LENGTHS, &err), 0);
    }
}

/* Records longer than what is read at once, and cut by it anywhere. */
static void test_long_records(void)
{
    enum { RECORDS = 7, LENGTH = 100003 };
    const struct vidur_trace_options options = {0};
    struct vidur_text text = {0};
    vidur_text_adds(&text, "[");
    for (int i = 0; i < RECORDS; i++) {
        vidur_text_adds(&text, i ? ",\n" : "");
        vidur_text_adds(&text,
                        "{\"conversations\": [{\"from\": \"human\", \"value\": \"");
        for (int k = 0; k < LENGTH + i; k += 2)
            vidur_text_adds(&text, k % 10 ? "]}" : "\\\"");
        vidur_text_adds(&text, "\"}, {\"from\": \"gpt\", \"value\": \"four\"}]}");
    }
    vidur_text_adds(&text, "]");
    read_all(text.data, &options);
    free(text.data);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, RECORDS);
    CU_ASSERT(trace.prompt_tokens[6] > 20000 && trace.output_tokens[6] == 1);
    CU_ASSERT_EQUAL(trace.line[6], 7);
}

static void test_options(void)
{
    struct vidur_trace_options options;
    const char *const sets[] = {"columns.arrived_at=t", "time_unit=ms",
                                "block_tokens=16"};
    CU_ASSERT_EQUAL(vidur_trace_options_set(&options, sets, 3, "azure", &err), 0);
    CU_ASSERT_STRING_EQUAL(options.format, "azure");
    CU_ASSERT_STRING_EQUAL(options.columns.arrived_at, "t");
    CU_ASSERT_STRING_EQUAL(options.time_unit, "ms");
    CU_ASSERT_EQUAL(options.block_tokens, 16);
    static const struct {
        const char *set, *format, *message;
    } cases[] = {
        {"time_unit=min", NULL, "'min' is not a unit; use s, ms, us or ns"},
        {"format=azur", NULL, "'azur' is not known; the nearest is 'azure' of"},
        {"block_tokens=0", NULL, "block_tokens"},
        {"columns.prompt=x", NULL, "prompt: unknown key"},
        {"time_unit=s", "moon", "--format: 'moon' is not known"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const set[] = {cases[i].set};
        CU_ASSERT_EQUAL(
            vidur_trace_options_set(&options, set, 1, cases[i].format, &err), -1);
        const bool found = strstr(err.text, cases[i].message) != NULL;
        if (!found)
            printf("\n  %s\n", err.text);
        CU_ASSERT(found);
    }
}

static void end(void)
{
    vidur_trace_close(&trace);
    trace_dir_remove();
}

VIDUR_TEST_MAIN("traces", {"every format", test_every_format}, {"gzip", test_gzip},
                {"order", test_order}, {"order of many", test_order_of_many},
                {"units", test_units}, {"columns", test_columns},
                {"sessions", test_sessions}, {"damaged", test_damaged},
                {"damaged blocks", test_damaged_blocks},
                {"long records", test_long_records}, {"options", test_options},
                {"folder removed", end})
