#include "test.h"

#include "load/trace_format.h"
#include "trace_fixture.h"

#include <math.h>
#include <string.h>

/* What load generators write, as their sources say it: rows of our own. */

static struct vidur_trace trace;

static void read_all(const char *text)
{
    const struct vidur_trace_options options = {0};
    trace_read_text(&trace, text, &options);
}

/* `session`: the same where letters are the same. */
static void assert_row(int row, int prompt, int output, double end_s)
{
    CU_ASSERT_FATAL(row < trace.num_rows);
    CU_ASSERT_EQUAL(trace.prompt_tokens[row], prompt);
    CU_ASSERT_EQUAL(trace.output_tokens[row], output);
    CU_ASSERT_PTR_NOT_NULL_FATAL(trace.end_s);
    if (isnan(end_s))
        CU_ASSERT(isnan(trace.end_s[row]));
    if (!isnan(end_s))
        CU_ASSERT_DOUBLE_EQUAL(trace.end_s[row], end_s, 1e-6);
}

/* ---- GuideLLM ---- */

static const char guidellm[] =
    "{\"metadata\": {\"version\": 2}, \"config\": {}, \"benchmarks\": [{\"requests\":"
    " {\"successful\": [\n"
    "{\"type_\": \"generative_request_stats\", \"request_id\": \"a\", \"info\": {\"con"
    "versation_id\": \"c1\", \"turn_index\": 0, \"timings\": {\"request_start\": 100"
    ".5, \"request_end\": 102.0}}, \"input_metrics\": {\"text_tokens\": 40, \"imag"
    "e_tokens\": 10, \"total_tokens\": 50}, \"request_start_time\": 100.5, \"requ"
    "est_end_time\": 102.0, \"prompt_tokens\": 50, \"output_tokens\": 7},\n"
    "{\"info\": {\"conversation_id\": \"c1\", \"turn_index\": 1, \"timings\": {\"reque"
    "st_start\": null, \"resolve_start\": 103.5, \"request_end\": null, \"resolve"
    "_end\": 104.0, \"token_iterations\": 9}}, \"input_metrics\": {\"text_tokens\""
    ": 60, \"total_tokens\": 60}, \"output_metrics\": {\"text_tokens\": null}, \"p"
    "rompt_tokens\": 60, \"output_tokens\": null},\n"
    "{\"info\": {\"conversation_id\": null, \"timings\": {\"request_start\": 105.5,"
    " \"request_end\": 106, \"token_iterations\": 0}}, \"request_start_time\": 10"
    "5.5, \"prompt_tokens\": 5, \"output_tokens\": null}\n"
    "], \"incomplete\": [{\"request_id\": \"x\"}], \"errored\": []}, \"start_time\": "
    "1.0, \"end_time\": 2.0}]}\n";

/* Of versions 0.2 and 0.3. */
static const char old_guidellm[] =
    "{\"metadata\": {\"version\": 2}, \"config\": {}, \"benchmarks\": [{\"requests\":"
    " {\"successful\": [\n"
    "{\"prompt_tokens\": 8, \"output_tokens\": 2, \"start_time\": 10, \"end_time\":"
    " 11},\n"
    "{\"scheduler_info\": {\"request_timings\": {\"request_start\": 12, \"request_"
    "end\": 12.5}}, \"prompt_tokens\": 9, \"output_tokens\": 3}\n"
    "], \"incomplete\": [{\"request_id\": \"x\"}], \"errored\": []}, \"start_time\": "
    "1.0, \"end_time\": 2.0}]}\n";

/* Computed members beside the timings they come from; two turns of one conversation,
 * one whose server counted no output (a token an iteration), one with none. */
static void test_guidellm(void)
{
    read_all(guidellm);
    CU_ASSERT_STRING_EQUAL(trace.format->name, "guidellm");
    CU_ASSERT_EQUAL(trace.num_failed, 2);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 2);
    assert_row(0, 50, 7, 1.5);
    assert_row(1, 60, 9, 3.5);
    CU_ASSERT_EQUAL(trace.time_s[1], 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(trace.session);
    CU_ASSERT_EQUAL(trace.session[0], trace.session[1]);
    CU_ASSERT_EQUAL(trace.num_sessions, 1);
    read_all(old_guidellm);
    assert_row(0, 8, 2, 1);
    assert_row(1, 9, 3, 2.5);
}

/* ---- AIPerf ---- */

static const char aiperf[] =
    "{\"metadata\": {\"session_num\": 4, \"x_request_id\": \"r\", \"x_correlation_id"
    "\": \"u1\", \"conversation_id\": \"template\", \"turn_index\": 0, \"request_star"
    "t_ns\": 2000000000, \"request_end_ns\": 3500000000, \"worker_id\": \"w\", \"be"
    "nchmark_phase\": \"profiling\", \"was_cancelled\": false}, \"metrics\": {\"inp"
    "ut_sequence_length\": {\"value\": 30, \"unit\": \"tokens\"}, \"output_token_co"
    "unt\": {\"value\": 4, \"unit\": \"tokens\"}, \"output_sequence_length\": {\"valu"
    "e\": 6, \"unit\": \"tokens\"}}}\n"
    "{\"metadata\": {\"session_num\": 4, \"x_request_id\": \"r\", \"x_correlation_id"
    "\": \"u2\", \"conversation_id\": \"template\", \"turn_index\": 0, \"request_star"
    "t_ns\": 4000000000, \"request_end_ns\": 4250000000, \"worker_id\": \"w\", \"be"
    "nchmark_phase\": \"profiling\", \"was_cancelled\": false}, \"metrics\": {\"inp"
    "ut_sequence_length\": {\"value\": 30, \"unit\": \"tokens\"}, \"output_token_co"
    "unt\": {\"value\": 5, \"unit\": \"tokens\"}}}\n"
    "{\"metadata\": {\"session_num\": 4, \"x_request_id\": \"r\", \"x_correlation_id"
    "\": \"u1\", \"conversation_id\": \"template\", \"turn_index\": 0, \"request_star"
    "t_ns\": 5000000000, \"request_end_ns\": 5250000000, \"worker_id\": \"w\", \"be"
    "nchmark_phase\": \"profiling\", \"was_cancelled\": false}, \"metrics\": {\"inp"
    "ut_sequence_length\": {\"value\": 30, \"unit\": \"tokens\"}}}\n"
    "{\"metadata\": {\"session_num\": 8, \"request_start_ns\": 6000000000, \"reque"
    "st_end_ns\": 6000000001, \"was_cancelled\": true}, \"metrics\": {\"error_isl"
    "\": {\"value\": 550, \"unit\": \"tokens\"}}, \"error\": {\"code\": 499, \"type\": "
    "\""
    "RequestCancellationError\"}}\n";

/* The session is the one that was run, not the template that it was run from; a record
 * without an output has no metric of its length. */
static void test_aiperf(void)
{
    read_all(aiperf);
    CU_ASSERT_STRING_EQUAL(trace.format->name, "aiperf");
    CU_ASSERT_EQUAL(trace.num_failed, 2);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 2);
    assert_row(0, 30, 6, 1.5);
    assert_row(1, 30, 5, 2.25);
    CU_ASSERT_NOT_EQUAL(trace.session[0], trace.session[1]);
}

/* ---- genai-perf ---- */

static const char genai_perf[] =
    "{\"experiments\": [{\"experiment\": {\"mode\": \"concurrency\", \"value\": 1}, \""
    "requests\": [\n"
    "{\"timestamp\": 1000000000, \"request_inputs\": {\"session_id\": \"s\", \"paylo"
    "ad\": \"{\\\"model\\\": \\\"a model\\\", \\\"messages\\\": [{\\\"role\\\": "
    "\\\"user\\\", \\\"c"
    "ontent\\\": \\\"Twenty letters here.\\\"}]}\"}, \"response_timestamps\": [11000"
    "00000, 1200000000, 1300000000, 1400000000], \"response_outputs\": [{\"res"
    "ponse\": \"data: "
    "{\\\"choices\\\":[{\\\"delta\\\":{\\\"role\\\":\\\"assistant\\\",\\\"cont"
    "ent\\\":\\\"\\\"}}],\\\"object\\\":\\\"chat.completion.chunk\\\"}\\n\\n\"}, "
    "{\"response\""
    ": \"data: "
    "{\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"Ah\\\"}}],\\\"object\\\":"
    "\\\""
    "chat.completion.chunk\\\"}\\n\\n\"}, {\"response\": \"data: "
    "{\\\"choices\\\":[{\\\"d"
    "elta\\\":{\\\"content\\\":\\\" "
    "b\\\"}}],\\\"object\\\":\\\"chat.completion.chunk\\\"}\\n\\"
    "ndata: "
    "{\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"c\\\"}}],\\\"object\\\":"
    "\\\"cha"
    "t.completion.chunk\\\"}\\n\\n\"}, {\"response\": \"data: [DONE]\\n\\n\"}]},\n"
    "{\"timestamp\": 2000000000, \"request_inputs\": {\"session_id\": \"s\", \"paylo"
    "ad\": \"{\\\"messages\\\": [{\\\"content\\\": \\\"four\\\"}]}\"}, "
    "\"response_timestamp"
    "s\": [2500000000], \"response_outputs\": [{\"response\": \"{\\\"object\\\": \\\"ch"
    "at.completion\\\", \\\"choices\\\": [{\\\"message\\\": {\\\"content\\\": "
    "\\\"eight ch\\"
    "\"}}], \\\"usage\\\": {\\\"prompt_tokens\\\": 11, \\\"completion_tokens\\\": "
    "3}}\"}]"
    "},\n"
    "{\"timestamp\": 3000000000, \"request_inputs\": {\"payload\": \"{\\\"prompt\\\": "
    "\\\"four\\\"}\"}, \"response_timestamps\": [3500000000], \"response_outputs\": "
    "[{\"response\": \"{\\\"choices\\\": [{\\\"text\\\": \\\"eight ch\\\"}]}\"}]},\n"
    "{\"timestamp\": 4000000000, \"request_inputs\": {\"payload\": \"{\\\"prompt\\\": "
    "\\\"four\\\"}\"}, \"response_timestamps\": [4500000000], \"response_outputs\": "
    "[{\"response\": \"{\\\"error\\\": \\\"busy\\\"}\"}]}\n"
    "], \"window_boundaries\": []}], \"version\": \"\", \"service_kind\": \"openai\","
    " \"endpoint\": \"v1/chat/completions\"}\n";

/* Parts with text are tokens: not the first, which has a role, nor what ends a stream;
 * two that came at once are two. Usage, where there is some, is exact. */
static void test_genai_perf(void)
{
    read_all(genai_perf);
    CU_ASSERT_STRING_EQUAL(trace.format->name, "genai_perf");
    CU_ASSERT_EQUAL(trace.num_failed, 1);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 3);
    assert_row(0, 5, 3, 0.4);
    assert_row(1, 11, 3, 1.5);
    assert_row(2, 1, 2, 2.5); /* an answer in one piece is estimated */
    CU_ASSERT_EQUAL(trace.session[0], trace.session[1]);
    CU_ASSERT_EQUAL(trace.session[2], -1);
    CU_ASSERT_EQUAL(trace.characters_per_token, 4);
}

/* Triton's C API has ids of tokens. */
static void test_genai_perf_ids(void)
{
    read_all("{\"experiments\": [{\"requests\": [{\"timestamp\": 5, "
             "\"request_inputs\": {\"input_ids\": [7, 8, 9]}, \"response_timestamps\": "
             "[6, 7], \"response_outputs\": [{\"output_ids\": [1, 2]}, "
             "{\"output_ids\": 3}]}]}], \"service_kind\": \"triton_c_api\"}");
    assert_row(0, 3, 3, 2e-9);
    CU_ASSERT_EQUAL(trace.characters_per_token, 0);
    read_all("{\"experiments\": [{\"requests\": [{\"timestamp\": 5, "
             "\"request_inputs\": {\"text_input\": \"eight ch\"}, "
             "\"response_timestamps\": [6, 7, 9], \"response_outputs\": "
             "[{\"text_output\": \"a\"}, {\"text_output\": \"\"}, "
             "{\"text_output\": \"b\"}]}]}], \"service_kind\": \"triton\"}");
    assert_row(0, 2, 2, 4e-9);
}

/* ---- inference-perf ---- */

static const char inference_perf[] =
    "[{\"start_time\": 7.5, \"end_time\": 8, \"request\": \"{}\", \"response\": \"\", "
    "\""
    "info\": {\"input_tokens\": 5, \"output_tokens\": 2, \"output_token_times\": ["
    "7.75, 8]}, \"error\": null},\n"
    "{\"start_time\": 8.5, \"end_time\": 9, \"request\": \"{}\", \"response\": \"\", "
    "\"i"
    "nfo\": {\"input_tokens\": 6, \"response_info\": {\"output_tokens\": 3}}, \"err"
    "or\": null},\n"
    "{\"start_time\": 9.5, \"end_time\": 11, \"request\": \"{}\", \"response\": \"\", "
    "\""
    "info\": {\"request_metrics\": {\"text\": {\"input_tokens\": 7}, \"image\": null"
    "}, \"response_metrics\": {\"output_tokens\": 4, \"server_usage\": null}, \"ex"
    "tra_info\": {\"user_session\": \"user_session_1\", \"chat_round\": 2}, \"input"
    "_tokens\": 7}, \"error\": null},\n"
    "{\"start_time\": 12, \"end_time\": 13, \"request\": \"{}\", \"response\": \"\", "
    "\"i"
    "nfo\": {\"request_metrics\": {\"text\": {\"input_tokens\": 7}}, \"response_met"
    "rics\": null}, \"error\": null},\n"
    "{\"start_time\": 14, \"end_time\": 15, \"request\": \"\", \"response\": null, \"i"
    "nfo\": {\"input_tokens\": 5}, \"error\": {\"error_type\": \"TimeoutError\", \"er"
    "ror_msg\": \"\"}}]\n";

/* Versions 0.4, 0.5 and 0.6, from whose three requests one has no response. */
static void test_inference_perf(void)
{
    read_all(inference_perf);
    CU_ASSERT_STRING_EQUAL(trace.format->name, "inference_perf");
    CU_ASSERT_EQUAL(trace.num_failed, 2);
    CU_ASSERT_EQUAL_FATAL(trace.num_rows, 3);
    assert_row(0, 5, 2, 0.5);
    assert_row(1, 6, 3, 1.5);
    assert_row(2, 7, 4, 3.5);
    CU_ASSERT_EQUAL(trace.session[0], -1);
    CU_ASSERT_EQUAL(trace.session[2], 0);
}

/* ---- Ends and priorities of other logs ---- */

static void test_ends(void)
{
    const struct vidur_trace_options options = {.columns = {.latency_ms = "took"}};
    read_all("arrived_at,prompt_tokens,output_tokens,ended_at\n"
             "2024-05-10T00:00:05Z,5,2,2024-05-10T00:00:06.5Z\n"
             "2024-05-10T00:00:01Z,6,3,\n");
    assert_row(0, 6, 3, NAN);
    assert_row(1, 5, 2, 5.5);
    trace_read_text(&trace, "arrived_at,prompt_tokens,output_tokens,took\n10,5,2,250\n",
                    &options);
    assert_row(0, 5, 2, 0.25);
    read_all("num_prefill_tokens,num_decode_tokens,arrived_at,latency_s\n5,2,10,0.5\n");
    assert_row(0, 5, 2, 10.5); /* the project's own keep their times */
    read_all("Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens\n"
             "4,,,x,1,1\n5,7,3,x,5,2\n");
    assert_row(0, 1, 1, NAN);
    assert_row(1, 5, 2, 4);
    read_all("{\"arrived_at\": 1, \"prompt_tokens\": 5, \"output_tokens\": 2}\n"
             "{\"arrived_at\": 2, \"prompt_tokens\": 6, \"output_tokens\": 3, "
             "\"latency_s\": 4}\n");
    assert_row(0, 5, 2, NAN);
    assert_row(1, 6, 3, 5);
    CU_ASSERT_PTR_NULL(trace.priority);
}

static void test_priorities(void)
{
    const struct vidur_trace_options mapped = {.columns = {.priority = "tier"}};
    static const int32_t values[] = {0, -3, 7};
    read_all("num_prefill_tokens,num_decode_tokens,priority\n1,1,\n2,1,-3\n3,1,7\n");
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(trace.priority[i], values[i]);
    read_all("{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1}\n"
             "{\"timestamp\": 9, \"input_length\": 3, \"output_length\": 1, "
             "\"priority\": 7}\n"
             "{\"timestamp\": 5, \"input_length\": 2, \"output_length\": 1, "
             "\"priority\": -3}\n");
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(trace.priority[i], values[i]);
    trace_read_text(&trace, "num_prefill_tokens,num_decode_tokens,tier\n1,1,5\n",
                    &mapped);
    CU_ASSERT_STRING_EQUAL(trace.format->name, "vidur");
    CU_ASSERT_EQUAL(trace.priority[0], 5);
}

#define TABLE "arrived_at,prompt_tokens,output_tokens,"

static void test_damaged(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {TABLE "ended_at\n5,1,1,6\n5,1,1,4.5\n",
         "log:3: the answer ends 0.5 s before its request arrives; are both times"},
        {TABLE "latency_s\n5,1,1,-1\n", "log:2: latency_s: -1 is negative"},
        {TABLE "priority\n5,1,1,high\n", "log:2: priority: 'high' is not a"},
        {TABLE "priority\n5,1,1,1\n5,1,1,3000000000\n",
         "log:3: priority: 3000000000 is out of range; a priority is a whole number "
         "from -2147483648"},
        {"{\"arrived_at\": 5, \"prompt_tokens\": 1, \"output_tokens\": 1}\n"
         "{\"arrived_at\": 5, \"prompt_tokens\": 1, \"output_tokens\": 1, "
         "\"priority\": 4294967296}\n",
         "log:2: priority: 4294967296 is out of range"},
        {"{\"arrived_at\": 5, \"prompt_tokens\": 1, \"output_tokens\": 1, "
         "\"priority\": \"high\"}\n",
         "log:1: priority: a string where a whole number is needed"},
        {"{\"arrived_at\": 5, \"prompt_tokens\": 1, \"output_tokens\": 1, "
         "\"latency_ms\": -2}\n",
         "log:1: latency_ms: -2 is negative"},
    };
    const struct vidur_trace_options options = {0};
    const struct vidur_trace_options mapped = {.columns = {.session = "user"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        trace_assert_refused(cases[i].text, &options, VIDUR_TRACE_ALL,
                             cases[i].message);
    /* A column that the options name has to be there. */
    trace_assert_refused(TABLE "session\n5,1,1,a\n", &mapped, VIDUR_TRACE_ALL,
                         "log:1: user: the file has no such column");
}

static void end(void)
{
    vidur_trace_close(&trace);
    trace_dir_remove();
}

VIDUR_TEST_MAIN("traces of tools", {"GuideLLM", test_guidellm}, {"AIPerf", test_aiperf},
                {"genai-perf", test_genai_perf},
                {"genai-perf, ids", test_genai_perf_ids},
                {"inference-perf", test_inference_perf}, {"ends", test_ends},
                {"priorities", test_priorities}, {"damaged", test_damaged},
                {"folder removed", end})
