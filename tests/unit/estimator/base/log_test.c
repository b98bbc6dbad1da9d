#include "test.h"

#include <vidur/log.h>

#include <stdio.h>
#include <string.h>

struct heard {
    int count;
    enum vidur_log_level level;
    char text[2048];
};

static void hear(void *ctx, enum vidur_log_level level, const char *text)
{
    struct heard *heard = ctx;
    heard->count++;
    heard->level = level;
    snprintf(heard->text, sizeof heard->text, "%s", text);
}

static void test_levels(void)
{
    for (int level = VIDUR_LOG_WARN; level <= VIDUR_LOG_INFO; level++) {
        struct heard heard = {0};
        const struct vidur_log log = {hear, &heard, (enum vidur_log_level)level};
        vidur_log_warn(&log, "warn %d", 1);
        CU_ASSERT_EQUAL(heard.level, VIDUR_LOG_WARN);
        CU_ASSERT_STRING_EQUAL(heard.text, "warn 1");
        vidur_log_info(&log, "info %s", "two");
        CU_ASSERT_EQUAL(heard.count, level + 1);
        CU_ASSERT_EQUAL((int)heard.level, level);
    }
}

static void test_names_cannot_control_a_terminal(void)
{
    struct heard heard = {0};
    const struct vidur_log log = {hear, &heard, VIDUR_LOG_INFO};
    vidur_log_info(&log, "model %s", "a\x1b[2Jb");
    CU_ASSERT_STRING_EQUAL(heard.text, "model a\\x1b[2Jb");
}

static void test_silence(void)
{
    const struct vidur_log nobody = {0};
    vidur_log_warn(NULL, "nothing %d", 1);
    vidur_log_warn(&nobody, "nothing");
}

static void test_long_text_is_cut(void)
{
    char big[3000];
    struct heard heard = {0};
    const struct vidur_log log = {hear, &heard, VIDUR_LOG_WARN};
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    vidur_log_warn(&log, "%s", big);
    CU_ASSERT_EQUAL(strlen(heard.text), 1023);
}

VIDUR_TEST_MAIN("log", {"levels", test_levels},
                {"names cannot control a terminal",
                 test_names_cannot_control_a_terminal},
                {"silence", test_silence}, {"long text is cut", test_long_text_is_cut})
