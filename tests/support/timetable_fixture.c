#include "timetable_fixture.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

/* ---- A log that counts ---- */

static void hear(void *ctx, enum vidur_log_level level, const char *text)
{
    struct fixture_heard *heard = ctx;
    if (level == VIDUR_LOG_WARN) {
        heard->warnings++;
        snprintf(heard->last_warning, sizeof heard->last_warning, "%s", text);
    }
    heard->built += strstr(text, ": built in") != NULL;
}

struct vidur_log fixture_log(struct fixture_heard *heard)
{
    memset(heard, 0, sizeof *heard);
    return (struct vidur_log){.write = hear, .ctx = heard, .level = VIDUR_LOG_INFO};
}

struct vidur_timetable *fixture_open(const struct vidur_estimator_config *config,
                                     const struct vidur_timetable_request *request,
                                     const struct vidur_log *log)
{
    struct vidur_timetable *timetable = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_timetable_open(&timetable, config, request, log, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_FATAL(timetable != NULL);
    return timetable;
}

struct vidur_estimator_config fixture_roofline(void)
{
    struct vidur_estimator_config config;
    vidur_estimator_config_defaults(&config);
    config.source = VIDUR_SOURCE_ROOFLINE;
    config.cache_dir[0] = '\0';
    config.num_estimators[0] = 20;
    config.num_num_estimators = 1;
    config.max_tokens_per_request = 256;
    config.max_batch_size = 8;
    config.max_prefill_chunk_size = 128;
    return config;
}

/* ---- Comparing timetables to the bit, where both have a cell ---- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool equal_lists(const struct vidur_token_table *a,
                        const struct vidur_token_table *b)
{
    if (!a->ms || !b->ms)
        return a->ms == b->ms;
    return memcmp(a->ms, b->ms,
                  ((size_t)lesser(a->limit, b->limit) + 1) * sizeof *a->ms) == 0;
}

static bool equal_grids(const struct vidur_grid_table *a,
                        const struct vidur_grid_table *b)
{
    const int64_t columns = lesser(a->num_columns, b->num_columns);
    for (int64_t i = 0; i < lesser(a->num_rows, b->num_rows); i++)
        if (memcmp(a->ms + i * a->num_columns, b->ms + i * b->num_columns,
                   (size_t)columns * sizeof *a->ms) != 0)
            return false;
    return true;
}

bool timetables_equal(const struct vidur_timetable *a, const struct vidur_timetable *b)
{
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        if (!equal_lists(&a->token[op], &b->token[op]))
            return false;
    return equal_grids(&a->attn_decode, &b->attn_decode) &&
           equal_grids(&a->attn_prefill, &b->attn_prefill);
}
