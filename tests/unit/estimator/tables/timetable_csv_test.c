#include "tables/timetable_internal.h"

#include "profile_fixture.h"
#include "temp_dir.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static struct temp_dir dir;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* ---- A small folder of tables ---- */

static const char *const list_names[] = {"attn_pre_proj",
                                         "attn_post_proj",
                                         "attn_rope",
                                         "attn_kv_cache_save",
                                         "mlp_up_proj",
                                         "mlp_down_proj",
                                         "mlp_act",
                                         "input_layernorm",
                                         "post_attention_layernorm"};

static void write_table(const char *name, const char *text)
{
    char file[96];
    snprintf(file, sizeof file, "tables/%s.csv", name);
    temp_dir_write(&dir, file, text);
}

static struct vidur_estimator_config write_tables(void)
{
    struct vidur_estimator_config config;
    vidur_estimator_config_defaults(&config);
    config.source = VIDUR_SOURCE_TABLES;
    snprintf(config.tables, sizeof config.tables, "%s/tables", dir.path);
    config.cache_dir[0] = '\0';
    for (size_t i = 0; i < sizeof list_names / sizeof list_names[0]; i++)
        write_table(list_names[i], "num_tokens,prediction\n1,0.5\n2,0.25\n3,0.75\n");
    write_table("attn_decode", "batch_size,kv_cache_size,prediction\n"
                               "1,0,0.1\n1,64,0.2\n1,128,0.3\n"
                               "2,0,0.4\n2,64,0.5\n2,128,0.6\n");
    write_table("attn_prefill", "kv_cache_size,prefill_chunk_size_squared,prediction\n"
                                "0,1,1\n0,4,2\n0,9,3\n64,1,4\n64,4,5\n64,9,6\n");
    return config;
}

static int open_tables(struct vidur_timetable **t,
                       const struct vidur_estimator_config *config, int tp,
                       struct vidur_error *err)
{
    const struct vidur_timetable_request request = fixture_request(tp);
    *t = NULL;
    memset(err, 0, sizeof *err);
    return vidur_timetable_open(t, config, &request, NULL, err);
}

static void test_cells(void)
{
    const struct vidur_estimator_config config = write_tables();
    struct vidur_timetable *t;
    struct vidur_error err;
    CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, 1, &err), 0);
    const struct vidur_token_table *rope = &t->token[VIDUR_OP_attn_rope];
    CU_ASSERT_EQUAL(rope->limit, 3);
    CU_ASSERT_EQUAL(rope->profiled_limit, 3);
    CU_ASSERT_EQUAL(rope->ms[0], 0);
    CU_ASSERT_EQUAL(rope->ms[1], 0.5);
    CU_ASSERT_EQUAL(rope->ms[2], 0.25);
    CU_ASSERT_EQUAL(rope->ms[3], 0.75);
    CU_ASSERT_EQUAL(t->attn_decode.num_rows, 2);
    CU_ASSERT_EQUAL(t->attn_decode.num_columns, 3);
    CU_ASSERT_EQUAL(t->attn_decode.ms[1 * 3 + 1], 0.5);
    CU_ASSERT_EQUAL(t->attn_prefill.num_rows, 2);
    CU_ASSERT_EQUAL(t->attn_prefill.num_columns, 3);
    CU_ASSERT_EQUAL(t->attn_prefill.ms[1 * 3 + 2], 6);
    CU_ASSERT_EQUAL(t->attn_prefill.profiled_columns, 3);
    CU_ASSERT_PTR_NULL(t->token[VIDUR_OP_add].ms);
    CU_ASSERT_PTR_NULL(t->token[VIDUR_OP_all_reduce].ms);
    CU_ASSERT_EQUAL(t->source, VIDUR_SOURCE_TABLES);
    assert_contains(t->provenance, config.tables);
    vidur_timetable_close(t);
}

static void test_rows_in_any_order(void)
{
    const struct vidur_estimator_config config = write_tables();
    struct vidur_timetable *t;
    struct vidur_error err;
    write_table("attn_rope", "num_tokens,prediction\n3,0.75\n1,0.5\n2,0.25\n");
    write_table("attn_decode", "kv_cache_size,note,batch_size,prediction\n"
                               "64,x,2,4\n0,x,1,1\n64,x,1,2\n0,x,2,3\n");
    CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, 1, &err), 0);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].ms[2], 0.25);
    CU_ASSERT_EQUAL(t->attn_decode.ms[0], 1);
    CU_ASSERT_EQUAL(t->attn_decode.ms[3], 4);
    vidur_timetable_close(t);
}

static void test_cached(void)
{
    struct vidur_estimator_config config = write_tables();
    struct vidur_timetable *a, *b;
    struct vidur_error err;
    snprintf(config.cache_dir, sizeof config.cache_dir, "%s/cache", dir.path);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(open_tables(&a, &config, 1, &err), 0);
        CU_ASSERT_EQUAL(a->attn_decode.ms[1 * 3 + 1], 0.5);
        CU_ASSERT_EQUAL(a->token[VIDUR_OP_attn_rope].ms[3], 0.75);
        vidur_timetable_close(a);
    }
    CU_ASSERT_EQUAL_FATAL(open_tables(&a, &config, 1, &err), 0);
    write_table("attn_rope", "num_tokens,prediction\n1,0.5\n2,0.25\n3,0.8\n");
    CU_ASSERT_EQUAL_FATAL(open_tables(&b, &config, 1, &err), 0);
    CU_ASSERT(strcmp(a->key, b->key) != 0);
    CU_ASSERT_EQUAL(b->token[VIDUR_OP_attn_rope].ms[3], 0.8);
    vidur_timetable_close(a);
    vidur_timetable_close(b);
}

static void test_compressed(void)
{
    const struct vidur_estimator_config config = write_tables();
    const struct temp_path plain = temp_dir_path(&dir, "tables/attn_rope.csv");
    const struct temp_path packed = temp_dir_path(&dir, "tables/attn_rope.csv.gz");
    struct vidur_timetable *t;
    struct vidur_error err;
    gzFile gz = gzopen(packed.text, "wb");
    CU_ASSERT_FATAL(gz != NULL);
    CU_ASSERT(gzputs(gz, "num_tokens,prediction\n1,7\n") > 0);
    gzclose(gz);
    CU_ASSERT_EQUAL(remove(plain.text), 0);
    CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, 1, &err), 0);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_attn_rope].ms[1], 7);
    vidur_timetable_close(t);
    CU_ASSERT_EQUAL(remove(packed.text), 0);
}

/* ---- What may be missing, and what may not ---- */

static void test_missing_files(void)
{
    const struct vidur_estimator_config config = write_tables();
    struct vidur_timetable *t;
    struct vidur_error err;
    CU_ASSERT_EQUAL(open_tables(&t, &config, 2, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    assert_contains(err.text, "all_reduce.csv: missing");
    write_table("all_reduce", "num_tokens,prediction\n1,3\n");
    CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, 2, &err), 0);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_all_reduce].ms[1], 3);
    vidur_timetable_close(t);
    /* Not needed by one device, so not read. */
    CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, 1, &err), 0);
    CU_ASSERT_PTR_NULL(t->token[VIDUR_OP_all_reduce].ms);
    vidur_timetable_close(t);
    const struct temp_path path = temp_dir_path(&dir, "tables/mlp_act.csv");
    CU_ASSERT_EQUAL(remove(path.text), 0);
    CU_ASSERT_EQUAL(open_tables(&t, &config, 1, &err), -1);
    assert_contains(err.text, "mlp_act.csv: missing");
}

static void test_cpu_tables(void)
{
    struct vidur_estimator_config config = write_tables();
    static const char *const names[] = {"schedule", "sampler_e2e", "prepare_inputs_e2e",
                                        "process_model_outputs", "ray_comm_time"};
    struct vidur_timetable *t;
    struct vidur_error err;
    config.overheads.model_cpu_overhead = true;
    CU_ASSERT_EQUAL(open_tables(&t, &config, 1, &err), -1);
    assert_contains(err.text, "schedule.csv: missing");
    for (int i = 0; i < 5; i++)
        write_table(names[i], "batch_size,prediction\n1,0.1\n2,0.2\n");
    CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, 1, &err), 0);
    CU_ASSERT_EQUAL(t->token[VIDUR_OP_ray_comm_time].ms[2], 0.2);
    vidur_timetable_close(t);
}

static void test_bad_tables(void)
{
    static const struct {
        const char *name, *text, *message;
    } cases[] = {
        {"attn_rope", "num_tokens,prediction\n1,1\n3,1\n", "2 rows do not fill"},
        {"attn_rope", "num_tokens,prediction\n1,1\n2,1\n2,1\n", "3 rows do not fill"},
        {"attn_rope", "num_tokens,prediction\n1,1\n3,1\n3,2\n", "attn_rope.csv:4"},
        {"attn_rope", "num_tokens,prediction\n0,1\n1,1\n",
         "attn_rope.csv:2: num_tokens"},
        {"attn_rope", "num_tokens,prediction\n1,-1\n", "attn_rope.csv:2: prediction"},
        {"attn_rope", "num_tokens,prediction\n1,nan\n", "attn_rope.csv:2: prediction"},
        {"attn_rope", "num_tokens,prediction\n1,\n", "attn_rope.csv:2: prediction"},
        {"attn_rope", "num_tokens,prediction\n1,fast\n", "attn_rope.csv:2: prediction"},
        {"attn_rope", "num_tokens,prediction\n1.5,1\n", "attn_rope.csv:2: num_tokens"},
        {"attn_rope", "num_tokens,prediction\n", "no rows"},
        {"attn_rope", "", "attn_rope.csv"},
        {"attn_rope", "tokens,prediction\n1,1\n", "num_tokens"},
        {"attn_rope", "num_tokens,time\n1,1\n", "prediction"},
        {"attn_rope", "num_tokens,prediction\n1,1,1\n", "attn_rope.csv:2"},
        {"attn_rope", "num_tokens,prediction\n999999999999,1\n", "do not fill"},
        {"attn_decode", "batch_size,kv_cache_size,prediction\n1,0,1\n1,32,1\n",
         "attn_decode.csv:3: kv_cache_size: 32 is not 0 plus a multiple of 64"},
        {"attn_decode", "batch_size,kv_cache_size,prediction\n1,0,1\n1,64,1\n2,0,1\n",
         "3 rows do not fill a table of 2 x 2"},
        {"attn_decode",
         "batch_size,kv_cache_size,prediction\n1,0,1\n1,64,1\n2,0,1\n2,0,1\n",
         "attn_decode.csv:5"},
        {"attn_prefill",
         "kv_cache_size,prefill_chunk_size_squared,prediction\n0,1,1\n0,5,1\n",
         "attn_prefill.csv:3: prefill_chunk_size_squared: 5 is not a square"},
        {"attn_prefill",
         "kv_cache_size,prefill_chunk_size_squared,prediction\n-64,1,1\n",
         "attn_prefill.csv:2: kv_cache_size"},
    };
    const struct vidur_estimator_config config = write_tables();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_timetable *t;
        struct vidur_error err;
        write_tables();
        write_table(cases[i].name, cases[i].text);
        CU_ASSERT_EQUAL(open_tables(&t, &config, 1, &err), -1);
        assert_contains(err.text, cases[i].message);
        assert_contains(err.text, cases[i].name);
    }
}

/* ---- Round trip ---- */

static void put(FILE *file, double a, double b, double ms)
{
    if (b < 0)
        fprintf(file, "%.0f,%.17g\n", a, ms);
    else
        fprintf(file, "%.0f,%.0f,%.17g\n", a, b, ms);
}

static FILE *create(const char *name, const char *header)
{
    char file[96];
    snprintf(file, sizeof file, "tables/%s.csv", name);
    const struct temp_path path = temp_dir_write(&dir, file, header);
    FILE *out = fopen(path.text, "ab");
    CU_ASSERT_FATAL(out != NULL);
    return out;
}

static void write_all(const struct vidur_timetable *t)
{
    for (int i = 0; i < VIDUR_NUM_TOKEN_OPERATORS; i++) {
        if (!t->token[i].ms)
            continue;
        FILE *out = create(vidur_token_operator_name((enum vidur_token_operator)i),
                           "num_tokens,prediction\n");
        for (int64_t n = 1; n <= t->token[i].limit; n++)
            put(out, (double)n, -1, t->token[i].ms[n]);
        fclose(out);
    }
    FILE *out = create("attn_decode", "batch_size,kv_cache_size,prediction\n");
    for (int64_t i = 0; i < t->attn_decode.num_rows; i++)
        for (int64_t j = 0; j < t->attn_decode.num_columns; j++)
            put(out, (double)i + 1, 64.0 * (double)j,
                t->attn_decode.ms[i * t->attn_decode.num_columns + j]);
    fclose(out);
    out =
        create("attn_prefill", "kv_cache_size,prefill_chunk_size_squared,prediction\n");
    for (int64_t i = 0; i < t->attn_prefill.num_rows; i++)
        for (int64_t j = 0; j < t->attn_prefill.num_columns; j++)
            put(out, 64.0 * (double)i, ((double)j + 1) * ((double)j + 1),
                t->attn_prefill.ms[i * t->attn_prefill.num_columns + j]);
    fclose(out);
}

static bool same_bits(const double *a, const double *b, int64_t count)
{
    return memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

/* Tables written out and read back are the same to the bit. */
static void test_written_tables_come_back(void)
{
    struct vidur_estimator_config made;
    struct vidur_timetable *a, *b;
    struct vidur_error err;
    fixture_write(&dir, &made);
    CU_ASSERT_EQUAL_FATAL(open_tables(&a, &made, 2, &err), 0);
    const struct vidur_estimator_config read = write_tables();
    write_all(a);
    CU_ASSERT_EQUAL_FATAL(open_tables(&b, &read, 2, &err), 0);
    for (int i = 0; i < VIDUR_NUM_TOKEN_OPERATORS; i++) {
        CU_ASSERT_EQUAL(a->token[i].limit, b->token[i].limit);
        if (a->token[i].ms)
            CU_ASSERT_TRUE(
                same_bits(a->token[i].ms, b->token[i].ms, a->token[i].limit + 1));
    }
    const struct vidur_grid_table *grids[2][2] = {{&a->attn_decode, &b->attn_decode},
                                                  {&a->attn_prefill, &b->attn_prefill}};
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(grids[i][0]->num_rows, grids[i][1]->num_rows);
        CU_ASSERT_EQUAL(grids[i][0]->num_columns, grids[i][1]->num_columns);
        CU_ASSERT_TRUE(same_bits(grids[i][0]->ms, grids[i][1]->ms,
                                 grids[i][0]->num_rows * grids[i][0]->num_columns));
    }
    vidur_timetable_close(a);
    vidur_timetable_close(b);
}

/* ---- The reference's own tables ---- */

/* Looks one line of a table file up in the timetable, and returns how many lines. */
static int64_t check_file(const char *path, const double *ms, int64_t columns,
                          bool prefill)
{
    char line[128];
    int64_t rows = 0, wrong = 0;
    FILE *file = fopen(path, "rb");
    CU_ASSERT_FATAL(file != NULL);
    CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file)) {
        char *end;
        const double a = strtod(line, &end), b = strtod(end + 1, &end);
        const int64_t cell =
            prefill ? (int64_t)(a / 64) * columns + (int64_t)(sqrt(b) + 0.5) - 1
                    : ((int64_t)a - 1) * columns + (int64_t)(b / 64);
        wrong += ms[cell] != strtod(end + 1, NULL);
        rows++;
    }
    fclose(file);
    CU_ASSERT_EQUAL(wrong, 0);
    return rows;
}

static void test_golden_tables(void)
{
    static const char *const names[] = {"llama2-70b-a100-tp4", "qwen2-7b-a30-tp1",
                                        "qwen2-7b-a30-tp1-block1",
                                        "qwen2-7b-a30-tp1-ft", "qwen2-7b-a30-tp1-orca"};
    const char *shared = vidur_test_shared_dir();
    if (!shared)
        vidur_test_skip_golden();
    for (int i = 0; i < 5; i++) {
        struct vidur_estimator_config config;
        struct vidur_timetable *t;
        struct vidur_error err;
        char path[1100];
        vidur_estimator_config_defaults(&config);
        config.source = VIDUR_SOURCE_TABLES;
        config.cache_dir[0] = '\0';
        snprintf(config.tables, sizeof config.tables, "%s/golden/tables/%s", shared,
                 names[i]);
        CU_ASSERT_EQUAL_FATAL(open_tables(&t, &config, i == 0 ? 4 : 1, &err), 0);
        snprintf(path, sizeof path, "%s/attn_decode.csv", config.tables);
        CU_ASSERT_EQUAL(
            check_file(path, t->attn_decode.ms, t->attn_decode.num_columns, false),
            t->attn_decode.num_rows * t->attn_decode.num_columns);
        snprintf(path, sizeof path, "%s/attn_prefill.csv", config.tables);
        CU_ASSERT_EQUAL(
            check_file(path, t->attn_prefill.ms, t->attn_prefill.num_columns, true),
            t->attn_prefill.num_rows * t->attn_prefill.num_columns);
        vidur_timetable_close(t);
    }
}

VIDUR_TEST_MAIN("tables as CSV", {"set up", set_up}, {"cells", test_cells},
                {"rows in any order", test_rows_in_any_order}, {"cached", test_cached},
                {"compressed", test_compressed}, {"missing files", test_missing_files},
                {"cpu tables", test_cpu_tables}, {"bad tables", test_bad_tables},
                {"written tables come back", test_written_tables_come_back},
                {"clean up", clean_up}, {"golden tables", test_golden_tables})
