#include "base/intern.h"
#include "base/text.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_doubles(void)
{
    static const struct {
        const char *text;
        bool ok;
        double value;
    } cases[] = {
        {"0", true, 0},
        {"-1.5", true, -1.5},
        {"+2", true, 2},
        {".5", true, 0.5},
        {"5.", true, 5},
        {"1e3", true, 1000},
        {"1E-3", true, 0.001},
        {"0.1", true, 0.1},
        {"1.7976931348623157e308", true, 1.7976931348623157e308},
        {"1e-400", true, 0},
        {"1e400", false, 0},
        {"", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1x", false, 0},
        {"nan", false, 0},
        {"inf", false, 0},
        {"-inf", false, 0},
        {"0x10", false, 0},
        {".", false, 0},
        {"-", false, 0},
        {"1e", false, 0},
        {"1e+", false, 0},
        {"1.2.3", false, 0},
        {"1,5", false, 0},
        {"--1", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = -99;
        CU_ASSERT_EQUAL(vidur_text_double(cases[i].text, &value), cases[i].ok);
        CU_ASSERT_EQUAL(value, cases[i].ok ? cases[i].value : -99);
    }
}

static void test_int64s(void)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-7", true, -7},
        {"+7", true, 7},
        {"007", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
        {"-", false, 0},
        {"+-1", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = -99;
        CU_ASSERT_EQUAL(vidur_text_int64(cases[i].text, &value), cases[i].ok);
        CU_ASSERT_EQUAL(value, cases[i].ok ? cases[i].value : -99);
    }
}

static void test_bools(void)
{
    static const char *const yes[] = {"true", "True", "YES", "on"};
    static const char *const no[] = {"false", "FALSE", "no", "Off"};
    bool value;
    for (int i = 0; i < 4; i++) {
        CU_ASSERT(vidur_text_bool(yes[i], false, &value) && value);
        CU_ASSERT(vidur_text_bool(no[i], false, &value) && !value);
    }
    CU_ASSERT(vidur_text_bool("1", true, &value) && value);
    CU_ASSERT(vidur_text_bool("0", true, &value) && !value);
    CU_ASSERT_FALSE(vidur_text_bool("1", false, &value));
    CU_ASSERT_FALSE(vidur_text_bool("", true, &value));
    CU_ASSERT_FALSE(vidur_text_bool("tru", true, &value));
}

static void test_distance(void)
{
    static const struct {
        const char *a, *b;
        int distance;
    } cases[] = {
        {"", "", 0},
        {"abc", "", 3},
        {"", "abc", 3},
        {"same", "same", 0},
        {"Same", "sAME", 0},
        {"kitten", "sitting", 3},
        {"chunk_size", "chunksize", 1},
        {"chunk_size", "chunk_sise", 1},
        {"chunk_size", "chunk_szie", 1}, /* a swap counts once */
        {"flaw", "lawn", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CU_ASSERT_EQUAL(vidur_text_distance(cases[i].a, cases[i].b), cases[i].distance);
        CU_ASSERT_EQUAL(vidur_text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    char big[500];
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = 0;
    CU_ASSERT_EQUAL(vidur_text_distance(big, "y"), 62);
}

static void test_nearest(void)
{
    static const char *const known[] = {"vllm", "sarathi", "orca", "lightllm"};
    CU_ASSERT_STRING_EQUAL(vidur_text_nearest("sarathy", known, 4), "sarathi");
    CU_ASSERT_STRING_EQUAL(vidur_text_nearest("VLM", known, 4), "vllm");
    CU_ASSERT_PTR_NULL(vidur_text_nearest("x", known, 0));
}

/* A wrong guess between prompt and output would swap them without a word. */
static void test_roles(void)
{
    static const char *const known[] = {"type", "prefill_tokens", "decode_tokens"};
    static const char *const of_output[] = {"num_decode_tokens"};
    CU_ASSERT_STRING_EQUAL(vidur_text_nearest("input_tokens", known, 3),
                           "prefill_tokens");
    CU_ASSERT_STRING_EQUAL(vidur_text_nearest("Prompt_Tokens", known, 3),
                           "prefill_tokens");
    CU_ASSERT_STRING_EQUAL(vidur_text_nearest("output_tokens", known, 3),
                           "decode_tokens");
    CU_ASSERT_STRING_EQUAL(vidur_text_nearest("decod_token", known, 3),
                           "decode_tokens");
    CU_ASSERT_PTR_NULL(vidur_text_nearest("num_prefill_tokens", of_output, 1));
    CU_ASSERT_TRUE(vidur_text_same_role("ContextTokens", "num_prefill_tokens"));
    CU_ASSERT_TRUE(vidur_text_same_role("GeneratedTokens", "num_decode_tokens"));
    CU_ASSERT_TRUE(vidur_text_other_role("completion", "prompt"));
    CU_ASSERT_FALSE(vidur_text_other_role("arrived_at", "prompt"));
    CU_ASSERT_FALSE(vidur_text_same_role("arrived_at", "time"));
    CU_ASSERT_FALSE(vidur_text_other_role("prefill_to_decode_ratio", "decode"));
}

static void test_growing_text(void)
{
    struct vidur_text text = {0};
    for (int i = 0; i < 1000; i++)
        vidur_text_adds(&text, "0123456789");
    vidur_text_add(&text, "", 0);
    CU_ASSERT_FALSE(text.failed);
    CU_ASSERT_EQUAL(text.length, 10000);
    CU_ASSERT_EQUAL(strlen(text.data), 10000);
    CU_ASSERT_EQUAL(memcmp(text.data + 9990, "0123456789", 11), 0);
    free(text.data);
}

static void test_intern(void)
{
    struct vidur_intern set = {0};
    bool is_new;
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++) {
            const int n = snprintf(text, sizeof text, "word %d", i);
            CU_ASSERT_EQUAL(vidur_intern(&set, text, (size_t)n, &is_new), i);
            CU_ASSERT_EQUAL(is_new, round == 0);
        }
    CU_ASSERT_EQUAL(set.count, 5000);
    CU_ASSERT_STRING_EQUAL(vidur_intern_text(&set, 4321), "word 4321");
    CU_ASSERT_PTR_NULL(vidur_intern_text(&set, 5000));
    CU_ASSERT_PTR_NULL(vidur_intern_text(&set, -1));
    /* Bytes, not C strings: a NUL counts, so does the length. */
    CU_ASSERT_EQUAL(vidur_intern(&set, "a\0b", 3, NULL), 5000);
    CU_ASSERT_EQUAL(vidur_intern(&set, "a\0c", 3, NULL), 5001);
    CU_ASSERT_EQUAL(vidur_intern(&set, "a", 1, NULL), 5002);
    CU_ASSERT_EQUAL(vidur_intern(&set, "", 0, NULL), 5003);
    CU_ASSERT_EQUAL(vidur_intern(&set, "", 0, NULL), 5003);
    vidur_intern_fini(&set);
}

static void test_escape(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {{"", ""},
                 {"llama 2 <7b> caf\xc3\xa9 \xe2\x89\xa5 \xf0\x9f\x98\x80",
                  "llama 2 <7b> caf\xc3\xa9 \xe2\x89\xa5 \xf0\x9f\x98\x80"},
                 {"a\x1b[2Jb", "a\\x1b[2Jb"},
                 {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
                 {"\x07\x7f", "\\x07\\x7f"},
                 {"\xc2\x9b"
                  "2J",
                  "\\u{9b}2J"}, /* a control sequence's start in eight bits */
                 {"\xe2\x80\xae"
                  "abc",
                  "\\u{202e}abc"},              /* right to left */
                 {"\xe2\x80\xa8", "\\u{2028}"}, /* a line separator */
                 {"\xff\xc3", "\\xff\\xc3"},
                 {"\xc2\xa0", "\xc2\xa0"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[64];
        CU_ASSERT_PTR_EQUAL(vidur_text_escape(cases[i].in, out, sizeof out), out);
        CU_ASSERT_STRING_EQUAL(out, cases[i].out);
        CU_ASSERT_STRING_EQUAL(vidur_text_show(cases[i].in).text, cases[i].out);
    }
    char out[6];
    CU_ASSERT_STRING_EQUAL(vidur_text_escape("abc\x1b", out, sizeof out), "abc");
    CU_ASSERT_STRING_EQUAL(vidur_text_escape("abcd\xc3\xa9", out, sizeof out), "abcd");
    CU_ASSERT_STRING_EQUAL(vidur_text_escape("a\x1b", out, sizeof out), "a\\x1b");
    CU_ASSERT_STRING_EQUAL(vidur_text_escape("abcdef", out, sizeof out), "abcde");
}

static void test_counts(void)
{
    CU_ASSERT_STRING_EQUAL(vidur_text_counted(1, "replica").text, "1 replica");
    CU_ASSERT_STRING_EQUAL(vidur_text_counted(0, "GPU").text, "0 GPUs");
    CU_ASSERT_STRING_EQUAL(vidur_text_counted(-1, "node").text, "-1 nodes");
    CU_ASSERT_STRING_EQUAL(vidur_text_counted(INT64_MAX, "request").text,
                           "9223372036854775807 requests");
}

static void test_formulas(void)
{
    static const char *const formulas[] = {"=1+1", "+1",   "-x",  "@SUM(A1)",
                                           "\t=1", "\r=1", "\n=1"};
    static const char *const others[] = {"", "llama", "2*2", " =1", "'=1"};
    for (size_t i = 0; i < sizeof formulas / sizeof formulas[0]; i++)
        CU_ASSERT_TRUE(vidur_text_is_formula(formulas[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CU_ASSERT_FALSE(vidur_text_is_formula(others[i]));
}

static void test_unknown(void)
{
    static const char *const known[] = {"vllm", "sarathi"};
    char text[128];
    vidur_text_unknown("sarathy", known, 2, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(
        text, "'sarathy' is not known; the nearest is 'sarathi' of vllm, sarathi");
    vidur_text_list(known, 2, text, 8);
    CU_ASSERT_STRING_EQUAL(text, "vllm, s");
    vidur_text_list(known, 0, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

VIDUR_TEST_MAIN("text", {"doubles", test_doubles}, {"int64s", test_int64s},
                {"bools", test_bools}, {"distance", test_distance},
                {"nearest", test_nearest}, {"unknown", test_unknown},
                {"roles", test_roles}, {"growing text", test_growing_text},
                {"interned strings", test_intern}, {"escapes", test_escape},
                {"counts", test_counts}, {"formulas of spreadsheets", test_formulas})
