#include "samples/profile_roofline.h"
#include "tables/timetable_internal.h"
#include "temp_dir.h"
#include "test.h"
#include "timetable_fixture.h"

#include <string.h>
#include <unistd.h>

/* What timetables are made from: `source: auto`, what stands in for missing files, and
 * how the provenance and the key tell. */

static struct temp_dir dir;
static struct vidur_estimator_config config;
static struct fixture_heard heard;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

static void remove_file(const char *name)
{
    const struct temp_path path = temp_dir_path(&dir, name);
    CU_ASSERT_EQUAL(unlink(path.text), 0);
}

static struct vidur_timetable *open_heard(const struct vidur_timetable_request *request)
{
    const struct vidur_log log = fixture_log(&heard);
    return fixture_open(&config, request, &log);
}

static bool equal_tables(const struct vidur_token_table *a,
                         const struct vidur_token_table *b)
{
    return a->limit == b->limit &&
           memcmp(a->ms, b->ms, ((size_t)a->limit + 1) * sizeof *a->ms) == 0;
}

/* ---- What stands in ---- */

/* all_reduce is the roofline's to the bit, everything else the profile's. */
static void test_all_reduce_stands_in(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    fixture_write(&dir, &config);
    struct vidur_timetable *measured = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 0);
    CU_ASSERT_PTR_NULL(strchr(measured->provenance, ';'));
    remove_file(FIXTURE_ALL_REDUCE);
    struct vidur_timetable *t = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 1);
    assert_contains(heard.last_warning, "network/box/all_reduce.csv: in none");
    assert_contains(heard.last_warning, "alpha-beta model of box");
    assert_contains(t->provenance, "; all_reduce from the alpha-beta model of box");
    CU_ASSERT_EQUAL(t->source, VIDUR_SOURCE_PROFILES);

    config.source = VIDUR_SOURCE_ROOFLINE;
    struct vidur_timetable *roofline = open_heard(&request);
    for (int op = 0; op < VIDUR_OP_send_recv; op++)
        CU_ASSERT(op == VIDUR_OP_mlp_experts ||
                  equal_tables(&t->token[op], op == VIDUR_OP_all_reduce
                                                  ? &roofline->token[op]
                                                  : &measured->token[op]));
    /* Tables repeat the formula at the points that were sampled. */
    const double tokens = 64;
    const double formula = vidur_roofline_ms(&request, VIDUR_OP_all_reduce, &tokens);
    CU_ASSERT_DOUBLE_EQUAL(t->token[VIDUR_OP_all_reduce].ms[64], formula,
                           0.02 * formula);
    vidur_timetable_close(measured);
    vidur_timetable_close(t);
    vidur_timetable_close(roofline);
}

static void test_both_stand_in(void)
{
    struct vidur_timetable_request request = fixture_request(2);
    request.pipeline = true;
    fixture_write(&dir, &config);
    remove_file(FIXTURE_SEND_RECV);
    struct vidur_timetable *t = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 1);
    assert_contains(t->provenance, "; send_recv from the alpha-beta model of box");
    vidur_timetable_close(t);
    remove_file(FIXTURE_ALL_REDUCE);
    t = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 2);
    assert_contains(t->provenance,
                    "; all_reduce, send_recv from the alpha-beta model of box");
    CU_ASSERT(t->token[VIDUR_OP_send_recv].ms != NULL);
    vidur_timetable_close(t);
    request = fixture_request(1); /* needs neither */
    t = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 0);
    CU_ASSERT_PTR_NULL(strchr(t->provenance, ';'));
    CU_ASSERT_PTR_NULL(t->token[VIDUR_OP_all_reduce].ms);
    vidur_timetable_close(t);
}

static void test_block_size_stands_in(void)
{
    struct vidur_timetable_request request = fixture_request(1);
    fixture_write(&dir, &config);
    struct vidur_timetable *wanted = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 0);
    request.block_size_tokens = 1;
    struct vidur_timetable *t = open_heard(&request);
    CU_ASSERT_EQUAL(heard.warnings, 1);
    assert_contains(heard.last_warning, "block_size");
    assert_contains(t->provenance, "; attention of block size 16");
    CU_ASSERT(timetables_equal(wanted, t));
    vidur_timetable_close(wanted);
    vidur_timetable_close(t);
}

/* However long the folders' names are, what stands in is said. */
static void test_long_folders(void)
{
    const struct vidur_timetable_request request = fixture_request(2);
    char text[256];
    fixture_write(&dir, &config);
    remove_file(FIXTURE_ALL_REDUCE);
    for (int i = 1; i < 4; i++) {
        memset(config.profiles[i], 'x', 200);
        config.profiles[i][0] = '/';
        config.profiles[i][200] = '\0';
    }
    config.num_profiles = 4;
    CU_ASSERT_EQUAL(
        vidur_timetable_describe(text, sizeof text, &config, &request, NULL), 0);
    CU_ASSERT_EQUAL(strlen(text), sizeof text - 1);
    CU_ASSERT_EQUAL(strncmp(text, "profiles /", 10), 0);
    assert_contains(text, "xxx...; all_reduce from the alpha-beta model of box");
}

/* ---- Keys ---- */

static void test_keys(void)
{
    struct vidur_timetable_request request = fixture_request(2);
    struct vidur_node_sku node = fixture_node;
    char whole[65], a[65], b[65];
    request.node = &node;
    fixture_write(&dir, &config);
    CU_ASSERT_EQUAL(vidur_timetable_key(whole, &config, &request, NULL), 0);
    node.link_latency_us = 5; /* counts for nothing while all is measured */
    CU_ASSERT_EQUAL(vidur_timetable_key(a, &config, &request, NULL), 0);
    CU_ASSERT_STRING_EQUAL(a, whole);
    remove_file(FIXTURE_ALL_REDUCE);
    CU_ASSERT_EQUAL(vidur_timetable_key(a, &config, &request, NULL), 0);
    CU_ASSERT_STRING_NOT_EQUAL(a, whole);
    node.link_latency_us = 6;
    CU_ASSERT_EQUAL(vidur_timetable_key(b, &config, &request, NULL), 0);
    CU_ASSERT_STRING_NOT_EQUAL(a, b);
    request.tensor_parallel_size = 1; /* no network, no links */
    CU_ASSERT_EQUAL(vidur_timetable_key(a, &config, &request, NULL), 0);
    node.link_latency_us = 7;
    CU_ASSERT_EQUAL(vidur_timetable_key(b, &config, &request, NULL), 0);
    CU_ASSERT_STRING_EQUAL(a, b);
}

/* ---- source: auto ---- */

/* The same tables, under the same key, as when the source is named. */
static void assert_auto_is(const struct vidur_timetable_request *request,
                           enum vidur_estimator_source source)
{
    config.source = VIDUR_SOURCE_AUTO;
    struct vidur_timetable *decided = open_heard(request);
    config.source = source;
    struct vidur_timetable *named = open_heard(request);
    CU_ASSERT_EQUAL(decided->source, source);
    CU_ASSERT_STRING_EQUAL(decided->key, named->key);
    CU_ASSERT_STRING_EQUAL(decided->provenance, named->provenance);
    CU_ASSERT(timetables_equal(decided, named));
    vidur_timetable_close(decided);
    vidur_timetable_close(named);
}

static void test_auto(void)
{
    struct vidur_timetable_request request = fixture_request(2);
    struct vidur_device_sku device = fixture_device;
    struct vidur_model_spec model = fixture_model;
    fixture_write(&dir, &config);
    assert_auto_is(&request, VIDUR_SOURCE_PROFILES);
    remove_file(FIXTURE_ALL_REDUCE); /* a link's times do not decide */
    assert_auto_is(&request, VIDUR_SOURCE_PROFILES);
    request.tensor_parallel_size = 4;
    assert_auto_is(&request, VIDUR_SOURCE_ROOFLINE);
    request = fixture_request(1);
    request.device = &device;
    strcpy(device.name, "tpu");
    assert_auto_is(&request, VIDUR_SOURCE_ROOFLINE);
    request = fixture_request(1);
    request.model = &model;
    model.kinds[0].mlp_hidden_dim = 1024; /* of the same name, and yet another model */
    assert_auto_is(&request, VIDUR_SOURCE_ROOFLINE);
    remove_file(FIXTURE_ATTENTION);
    request = fixture_request(1);
    assert_auto_is(&request, VIDUR_SOURCE_ROOFLINE);
}

static void test_auto_does_not_pass_over_damage(void)
{
    const struct vidur_timetable_request request = fixture_request(1);
    struct vidur_timetable *t;
    struct vidur_error err = {0};
    fixture_write(&dir, &config);
    config.source = VIDUR_SOURCE_AUTO;
    fixture_edit(&dir, FIXTURE_MLP, "0.003800", "fast");
    CU_ASSERT_EQUAL(vidur_timetable_open(&t, &config, &request, NULL, &err), -1);
    assert_contains(err.text, "mlp.csv:2: time_stats.attn_pre_proj.median");
}

/* Without folders auto looks into the data folder's; the engine takes the roofline. */
static void test_auto_of_the_shipped_profiles(void)
{
    struct vidur_timetable_request request = fixture_request(1);
    struct vidur_estimator_config decided;
    struct vidur_model_spec model;
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    char text[256];
    vidur_estimator_config_defaults(&config);
    CU_ASSERT_EQUAL(vidur_timetable_decide(&decided, &config, &request, NULL, NULL), 0);
    CU_ASSERT_EQUAL(decided.source, VIDUR_SOURCE_ROOFLINE);
    CU_ASSERT_EQUAL(vidur_model_load(&model, "meta-llama/Meta-Llama-3-8B", NULL), 0);
    CU_ASSERT_EQUAL(vidur_device_sku_load(&device, "h200", NULL), 0);
    CU_ASSERT_EQUAL(vidur_node_sku_load(&node, "h200_dgx", NULL), 0);
    request.model = &model;
    request.device = &device;
    request.node = &node;
    request.tensor_parallel_size = 4;
    CU_ASSERT_EQUAL(vidur_timetable_decide(&decided, &config, &request, NULL, NULL), 0);
    CU_ASSERT_EQUAL(decided.source, VIDUR_SOURCE_PROFILES);
    CU_ASSERT_EQUAL(
        vidur_timetable_describe(text, sizeof text, &decided, &request, NULL), 0);
    CU_ASSERT_EQUAL(strncmp(text, "profiles data:profiles", 22), 0);
    request.engine = true;
    CU_ASSERT_EQUAL(vidur_timetable_decide(&decided, &config, &request, NULL, NULL), 0);
    CU_ASSERT_EQUAL(decided.source, VIDUR_SOURCE_ROOFLINE);
}

VIDUR_TEST_MAIN("timetables' sources", {"set up", set_up},
                {"all_reduce stands in", test_all_reduce_stands_in},
                {"both stand in", test_both_stand_in},
                {"block size stands in", test_block_size_stands_in},
                {"long folders", test_long_folders}, {"keys", test_keys},
                {"auto", test_auto},
                {"auto does not pass over damage", test_auto_does_not_pass_over_damage},
                {"auto of the shipped profiles", test_auto_of_the_shipped_profiles},
                {"clean up", clean_up})
