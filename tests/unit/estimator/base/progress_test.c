#include "base/progress.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

struct captured {
    char *text;
    size_t size;
    FILE *out;
    struct vidur_progress progress;
};

static void start(struct captured *c, enum vidur_progress_mode mode)
{
    c->text = NULL;
    c->out = open_memstream(&c->text, &c->size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c->out);
    c->progress = (struct vidur_progress){.unit = "candidates"};
    vidur_progress_start_at(&c->progress, c->out, mode, 100);
}

static void expect(struct captured *c, const char *text)
{
    fclose(c->out);
    CU_ASSERT_STRING_EQUAL(c->text, text);
    free(c->text);
}

static void test_lines_every_ten_seconds(void)
{
    struct captured c;
    start(&c, VIDUR_PROGRESS_LINES);
    for (int s = 1; s <= 25; s++)
        vidur_progress_update_at(&c.progress, 2 * s, 100, "best 3.2 QPS/$", 100 + s);
    expect(&c, "20/100 candidates, 2/s, 0:40 left, best 3.2 QPS/$\n"
               "40/100 candidates, 2/s, 0:30 left, best 3.2 QPS/$\n");
}

static void test_terminal_rewrites_the_line(void)
{
    struct captured c;
    start(&c, VIDUR_PROGRESS_TERMINAL);
    vidur_progress_update_at(&c.progress, 1, 10, "long text", 100.05);
    vidur_progress_update_at(&c.progress, 1, 10, "long text", 101);
    vidur_progress_update_at(&c.progress, 2, 10, "long text", 101.05);
    vidur_progress_update_at(&c.progress, 2, 10, NULL, 102);
    vidur_progress_clear(&c.progress);
    vidur_progress_clear(&c.progress);
    expect(&c, "\r1/10 candidates, 1/s, 0:09 left, long text"
               "\r2/10 candidates, 1/s, 0:08 left           "
               "\r                               \r");
}

static void test_quiet(void)
{
    struct captured c;
    start(&c, VIDUR_PROGRESS_QUIET);
    vidur_progress_update_at(&c.progress, 1, 10, NULL, 1000);
    vidur_progress_update(&c.progress, 1, 10, NULL);
    vidur_progress_clear(&c.progress);
    expect(&c, "");
}

static void test_unknown_total_and_long_times(void)
{
    struct captured c;
    start(&c, VIDUR_PROGRESS_LINES);
    vidur_progress_update_at(&c.progress, 5, 0, NULL, 110);
    vidur_progress_update_at(&c.progress, 0, 7, "", 120);
    vidur_progress_update_at(&c.progress, 1, 400, NULL, 200);
    expect(&c, "5 candidates, 0.5/s\n0/7 candidates, 0/s\n"
               "1/400 candidates, 0.01/s, 11:05:00 left\n");
}

static void test_what_all_took(void)
{
    struct captured c;
    start(&c, VIDUR_PROGRESS_LINES);
    vidur_progress_update_at(&c.progress, 10, 10, "best x", 36100);
    expect(&c, "10/10 candidates, 0.000278/s, took 10:00:00, best x\n");
}

static void test_mode_follows_the_stream(void)
{
    struct vidur_progress progress;
    FILE *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    vidur_progress_start(&progress, file, false, "x");
    CU_ASSERT_EQUAL(progress.mode, VIDUR_PROGRESS_LINES);
    vidur_progress_start(&progress, file, true, "x");
    CU_ASSERT_EQUAL(progress.mode, VIDUR_PROGRESS_QUIET);
    fclose(file);
}

VIDUR_TEST_MAIN("progress", {"lines every ten seconds", test_lines_every_ten_seconds},
                {"terminal rewrites the line", test_terminal_rewrites_the_line},
                {"quiet", test_quiet},
                {"unknown total, long times", test_unknown_total_and_long_times},
                {"what all took", test_what_all_took},
                {"mode follows the stream", test_mode_follows_the_stream})
