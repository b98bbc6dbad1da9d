#include "base/yaml.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A configuration with every kind of field ---- */

enum color { RED, GREEN, BLUE };
static const char *const color_names[] = {"red", "green", "blue", NULL};

enum length_type { LENGTH_FIXED, LENGTH_TRACE };

struct lengths {
    enum length_type type;
    int tokens;
    char file[64];
    double scale;
};

struct slo {
    char metric[16];
    double limit_s;
    int *steps;
    int num_steps;
};

struct inner {
    int count;
    enum color color;
};

struct config {
    int small;
    int64_t seed;
    double fraction;
    bool flag;
    char name[8];
    char file[64];
    enum color color;
    struct inner inner;
    struct lengths lengths;
    int *sizes;
    int num_sizes;
    struct slo *slos;
    int num_slos;
    int fixed[3];
    int num_fixed;
    double pair[2];
    int blocks;
    bool has_blocks;
};

static const struct vidur_yaml_field positive = {"", VIDUR_YAML_INT, VIDUR_YAML_MIN,
                                                 .min = 1};

static const struct vidur_yaml_field slo_fields[] = {
    {"metric", VIDUR_YAML_STRING, VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(struct slo, metric)},
    {"limit_s", VIDUR_YAML_DOUBLE, VIDUR_YAML_ABOVE,
     VIDUR_YAML_AT(struct slo, limit_s)},
    {"steps", VIDUR_YAML_SEQUENCE, 0, VIDUR_YAML_LIST(struct slo, steps, num_steps),
     .element = &positive},
    {0}};
static const struct vidur_yaml_field one_slo = {"", VIDUR_YAML_MAPPING,
                                                .fields = slo_fields};
static const struct slo slo_default = {"ttft", 2.0, NULL, 0};

static const struct vidur_yaml_field inner_fields[] = {
    {"count", VIDUR_YAML_INT, VIDUR_YAML_REQUIRED, VIDUR_YAML_AT(struct inner, count)},
    {"color", VIDUR_YAML_ENUM, 0, VIDUR_YAML_AT(struct inner, color),
     .names = color_names},
    {0}};

static const struct vidur_yaml_field fixed_fields[] = {
    {"tokens", VIDUR_YAML_INT, VIDUR_YAML_REQUIRED,
     VIDUR_YAML_AT(struct lengths, tokens)},
    {0}};
static const struct vidur_yaml_field trace_fields[] = {
    {"file", VIDUR_YAML_PATH, VIDUR_YAML_REQUIRED, VIDUR_YAML_AT(struct lengths, file)},
    {0}};
static const struct vidur_yaml_field common_fields[] = {
    {"scale", VIDUR_YAML_DOUBLE, 0, VIDUR_YAML_AT(struct lengths, scale)}, {0}};
static const struct vidur_yaml_variant length_variants[] = {
    {"fixed", LENGTH_FIXED, fixed_fields}, {"trace", LENGTH_TRACE, trace_fields}, {0}};
static const struct vidur_yaml_union lengths_union = {
    "type", offsetof(struct lengths, type), true, length_variants, common_fields};

/* [low, high] with low < high */
static int read_pair(const struct vidur_yaml_node *node, void *out,
                     struct vidur_error *err)
{
    double *pair = out;
    if (vidur_yaml_count(node) != 2)
        return vidur_yaml_fail(node, err, "two numbers are needed");
    if (vidur_yaml_as_double(vidur_yaml_item(node, 0), &pair[0], err) ||
        vidur_yaml_as_double(vidur_yaml_item(node, 1), &pair[1], err))
        return -1;
    return pair[0] < pair[1] ? 0 : vidur_yaml_fail(node, err, "not ascending");
}

static const struct vidur_yaml_field config_fields[] = {
    {"small", VIDUR_YAML_INT, VIDUR_YAML_MIN | VIDUR_YAML_BELOW,
     VIDUR_YAML_AT(struct config, small), .min = 1, .max = 100},
    {"seed", VIDUR_YAML_INT64, 0, VIDUR_YAML_AT(struct config, seed)},
    {"fraction", VIDUR_YAML_DOUBLE, VIDUR_YAML_ABOVE | VIDUR_YAML_MAX,
     VIDUR_YAML_AT(struct config, fraction), .min = 0, .max = 1},
    {"flag", VIDUR_YAML_BOOL, 0, VIDUR_YAML_AT(struct config, flag)},
    {"name", VIDUR_YAML_STRING, 0, VIDUR_YAML_AT(struct config, name)},
    {"file", VIDUR_YAML_PATH, 0, VIDUR_YAML_AT(struct config, file)},
    {"color", VIDUR_YAML_ENUM, 0, VIDUR_YAML_AT(struct config, color),
     .names = color_names},
    {"inner", VIDUR_YAML_MAPPING, 0, VIDUR_YAML_AT(struct config, inner),
     .fields = inner_fields},
    {"lengths", VIDUR_YAML_UNION, 0, VIDUR_YAML_AT(struct config, lengths),
     .choice = &lengths_union},
    {"sizes", VIDUR_YAML_SEQUENCE, VIDUR_YAML_ONE_OK | VIDUR_YAML_FILLED,
     VIDUR_YAML_LIST(struct config, sizes, num_sizes), .element = &positive},
    {"slos", VIDUR_YAML_SEQUENCE, 0, VIDUR_YAML_LIST(struct config, slos, num_slos),
     .element = &one_slo, .element_default = &slo_default},
    {"fixed", VIDUR_YAML_ARRAY, 0, VIDUR_YAML_LIST(struct config, fixed, num_fixed),
     .element = &positive, .max_count = 3},
    {"pair", VIDUR_YAML_CUSTOM, 0, VIDUR_YAML_AT(struct config, pair),
     .read = read_pair},
    {"num_blocks", VIDUR_YAML_INT, VIDUR_YAML_TELL,
     VIDUR_YAML_AT(struct config, blocks),
     .present_offset = offsetof(struct config, has_blocks)},
    {"search", .type = VIDUR_YAML_ELSEWHERE},
    {0}};

static const struct config config_default = {
    .small = 7, .seed = 42, .fraction = 0.5, .color = GREEN, .has_blocks = true};

static int read_config(const char *text, struct config *config, struct vidur_error *err)
{
    *config = config_default;
    struct vidur_yaml *doc = vidur_yaml_parse("dir/a.yaml", text, strlen(text), err);
    if (!doc)
        return -1;
    const int status =
        vidur_yaml_read(vidur_yaml_root(doc), config_fields, config, err);
    vidur_yaml_free(doc);
    return status;
}

/* ---- Good input ---- */

static void test_everything(void)
{
    struct config c;
    struct vidur_error err = {0};
    const char *text = "small: 99\nseed: -9000000000\nfraction: 1e0\nflag: yes\n"
                       "name: '1234567'\nfile: sub/t.csv\ncolor: blue\n"
                       "inner: {count: 3, color: red}\n"
                       "lengths: {type: trace, file: /abs.csv, scale: 2}\n"
                       "sizes: [4, 2, 1]\n"
                       "slos:\n  - {metric: tbt, limit_s: 0.2, steps: [1, 2]}\n"
                       "  - metric: e2e\n"
                       "fixed: [5, 6]\npair: [1, 2.5]\nnum_blocks: 0\n"
                       "search: {anything: [goes]}\n";
    CU_ASSERT_EQUAL_FATAL(read_config(text, &c, &err), 0);
    CU_ASSERT(c.small == 99 && c.seed == -9000000000 && c.fraction == 1 && c.flag);
    CU_ASSERT_STRING_EQUAL(c.name, "1234567");
    CU_ASSERT_STRING_EQUAL(c.file, "dir/sub/t.csv");
    CU_ASSERT(c.color == BLUE && c.inner.count == 3 && c.inner.color == RED);
    CU_ASSERT(c.lengths.type == LENGTH_TRACE && c.lengths.scale == 2);
    CU_ASSERT_STRING_EQUAL(c.lengths.file, "/abs.csv");
    CU_ASSERT(c.num_sizes == 3 && c.sizes[0] == 4 && c.sizes[2] == 1);
    CU_ASSERT_EQUAL_FATAL(c.num_slos, 2);
    CU_ASSERT_STRING_EQUAL(c.slos[0].metric, "tbt");
    CU_ASSERT(c.slos[0].limit_s == 0.2 && c.slos[0].num_steps == 2);
    CU_ASSERT(c.slos[1].limit_s == 2.0 && c.slos[1].num_steps == 0);
    CU_ASSERT(c.num_fixed == 2 && c.fixed[1] == 6);
    CU_ASSERT(c.pair[0] == 1 && c.pair[1] == 2.5);
    CU_ASSERT(c.blocks == 0 && c.has_blocks);
    vidur_yaml_release(config_fields, &c);
    CU_ASSERT(c.sizes == NULL && c.num_sizes == 0 && c.slos == NULL && !c.num_fixed);
    vidur_yaml_release(config_fields, &c);
}

static void test_defaults_stay(void)
{
    static const char *const texts[] = {
        "", "{}", "small:\nseed: ~\nfraction: null\ninner:\nsizes:\nnum_blocks:\n"};
    for (int i = 0; i < 3; i++) {
        struct config c;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(read_config(texts[i], &c, &err), 0);
        CU_ASSERT(c.small == 7 && c.seed == 42 && c.fraction == 0.5);
        CU_ASSERT(c.color == GREEN && c.num_sizes == 0 && !c.has_blocks);
    }
}

static void test_one_stands_for_a_list(void)
{
    struct config c;
    CU_ASSERT_EQUAL_FATAL(read_config("sizes: 8\n", &c, NULL), 0);
    CU_ASSERT(c.num_sizes == 1 && c.sizes[0] == 8);
    vidur_yaml_release(config_fields, &c);
}

static void test_default_list_is_replaced(void)
{
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", "sizes: [1]", 10, NULL);
    struct config c = config_default;
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    c.sizes = calloc(2, sizeof *c.sizes);
    c.num_sizes = 2;
    CU_ASSERT_EQUAL(vidur_yaml_read(vidur_yaml_root(doc), config_fields, &c, NULL), 0);
    CU_ASSERT_EQUAL(c.num_sizes, 1);
    vidur_yaml_release(config_fields, &c);
    vidur_yaml_free(doc);
}

/* ---- Bad input ---- */

static const struct {
    const char *text, *error;
} bad[] = {
    {"[1]", "dir/a.yaml:1: keys with values are needed here (key: value)"},
    {"smal: 3", "dir/a.yaml:1: smal: unknown key; the nearest known one is 'small'"},
    {"throughput: 3",
     "dir/a.yaml:1: throughput: unknown key; known are small, seed, "
     "fraction, flag, name, file, color, inner, lengths, sizes, slos, fixed, pair, "
     "num_blocks, search"},
    {"seed: 1\ninner: {count: 1, colour: red}",
     "dir/a.yaml:2: inner.colour: unknown key; the nearest known one is 'color'"},
    {"small: 0",
     "dir/a.yaml:1: small: 0 is out of range; it must be at least 1 and below 100"},
    {"small: 100",
     "dir/a.yaml:1: small: 100 is out of range; it must be at least 1 and below 100"},
    {"small: 1.5",
     "dir/a.yaml:1: small: '1.5' is not a whole number; write it like 4096"},
    {"small: many",
     "dir/a.yaml:1: small: 'many' is not a whole number; write it like 4096"},
    {"small: 3000000000",
     "dir/a.yaml:1: small: 3000000000 is too large; it must be within 2147483647"},
    {"seed: 99999999999999999999", "dir/a.yaml:1: seed: '99999999999999999999' is not "
                                   "a whole number; write it like 4096"},
    {"small: [1]", "dir/a.yaml:1: small: a list where a whole number is needed"},
    {"fraction: 0",
     "dir/a.yaml:1: fraction: 0 is out of range; it must be above 0 and at most 1"},
    {"fraction: .nan",
     "dir/a.yaml:1: fraction: '.nan' is not a finite number; write it like 0.25"},
    {"fraction: nan",
     "dir/a.yaml:1: fraction: 'nan' is not a finite number; write it like 0.25"},
    {"fraction: 1e999",
     "dir/a.yaml:1: fraction: '1e999' is not a finite number; write it like 0.25"},
    {"fraction: 0.5s",
     "dir/a.yaml:1: fraction: '0.5s' is not a finite number; write it like 0.25"},
    {"fraction: {a: 1}", "dir/a.yaml:1: fraction: a mapping where a number is needed"},
    {"flag: 1", "dir/a.yaml:1: flag: '1' is neither true nor false"},
    {"name: 12345678",
     "dir/a.yaml:1: name: a text of 8 bytes; at most 7 are supported"},
    {"file: ''", "dir/a.yaml:1: file: an empty path; name a file or folder"},
    {"file: a123456789b123456789c123456789d123456789e123456789f123456789",
     "dir/a.yaml:1: file: a path of 64 bytes; at most 63 are supported"},
    {"color: gren", "dir/a.yaml:1: color: 'gren' is not known; the nearest is 'green' "
                    "of red, green, blue"},
    {"color: [red]", "dir/a.yaml:1: color: a single word is needed here"},
    {"seed: 1\ninner:\n  color: red",
     "dir/a.yaml:2: inner.count: missing; this key needs a value"},
    {"inner: {count: }", "dir/a.yaml:1: inner.count: missing; this key needs a value"},
    {"inner: 3", "dir/a.yaml:1: inner: keys with values are needed here (key: value)"},
    {"lengths: {file: x}", "dir/a.yaml:1: lengths.type: missing; one of fixed, trace"},
    {"lengths: {type: fixt}", "dir/a.yaml:1: lengths.type: 'fixt' is not known; the "
                              "nearest is 'fixed' of fixed, trace"},
    {"lengths: {type: [fixed]}",
     "dir/a.yaml:1: lengths.type: a single word is needed here"},
    {"lengths: {type: fixed, tokens: 3, file: x}",
     "dir/a.yaml:1: lengths.file: belongs to type: trace; remove it"},
    {"lengths: {type: fixed, tokens: 3, scal: 3}",
     "dir/a.yaml:1: lengths.scal: unknown key; the nearest known one is 'scale'"},
    {"lengths: {type: fixed}",
     "dir/a.yaml:1: lengths.tokens: missing; this key needs a value"},
    {"sizes: []", "dir/a.yaml:1: sizes: an empty list; give at least one element"},
    {"sizes: [1, , 2]", NULL},
    {"sizes: [1, ~]",
     "dir/a.yaml:1: sizes.1: an empty element; give a value or remove it"},
    {"sizes:\n  - 1\n  - 0\n",
     "dir/a.yaml:3: sizes.1: 0 is out of range; it must be at least 1"},
    {"sizes: {a: 1}", "dir/a.yaml:1: sizes: a mapping where a whole number is needed"},
    {"slos: 3", "dir/a.yaml:1: slos: a list is needed; write it like [a, b]"},
    {"slos: [{limit_s: 1}]",
     "dir/a.yaml:1: slos.0.metric: missing; this key needs a value"},
    {"slos: [{metric: ''}]", "dir/a.yaml:1: slos.0.metric: an empty text; give a name"},
    {"slos: [{metric: a, steps: [1, 2]}, {metric: b, steps: [3, x]}]",
     "dir/a.yaml:1: slos.1.steps.1: 'x' is not a whole number; write it like 4096"},
    {"fixed: [1, 2, 3, 4]", "dir/a.yaml:1: fixed: 4 elements; at most 3 are supported"},
    {"pair: [1]", "dir/a.yaml:1: pair: two numbers are needed"},
    {"pair: [2, 1]", "dir/a.yaml:1: pair: not ascending"},
    {"pair: [a, 1]",
     "dir/a.yaml:1: pair.0: 'a' is not a finite number; write it like 0.25"},
};

/* Under a leak checker this also shows that release copes with a half-read struct. */
static void test_bad_input(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config c;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(read_config(bad[i].text, &c, &err), -1);
        if (bad[i].error)
            CU_ASSERT_STRING_EQUAL(err.text, bad[i].error);
        if (bad[i].error && strcmp(err.text, bad[i].error) != 0)
            printf("\n  got: %s\n", err.text);
        vidur_yaml_release(config_fields, &c);
    }
}

static void test_missing_values_of_the_root(void)
{
    struct slo slo = slo_default;
    struct vidur_error err = {0};
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", "", 0, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    CU_ASSERT_EQUAL(vidur_yaml_read(vidur_yaml_root(doc), slo_fields, &slo, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "a.yaml:1: metric: missing; this key needs a value");
    vidur_yaml_free(doc);
}

static void test_union_keeps_its_default_tag(void)
{
    struct vidur_yaml_union optional = lengths_union;
    struct lengths lengths = {.type = LENGTH_FIXED};
    struct vidur_error err = {0};
    optional.tag_required = false;
    struct vidur_yaml *doc = vidur_yaml_parse("a.yaml", "tokens: 9", 9, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    CU_ASSERT_EQUAL(vidur_yaml_read_union(root, &optional, &lengths, &err), 0);
    CU_ASSERT(lengths.type == LENGTH_FIXED && lengths.tokens == 9);
    lengths.type = LENGTH_TRACE;
    CU_ASSERT_EQUAL(vidur_yaml_read_union(root, &optional, &lengths, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "a.yaml:1: tokens: belongs to type: fixed; remove it");
    vidur_yaml_free(doc);
}

/* ---- Parts ---- */

/* Keys of one mapping that two tables describe, one of them with a list. */
struct whole {
    int own;
    struct slo slo;
    char spec[16];
};

static const struct vidur_yaml_field *slo_part(void)
{
    return slo_fields;
}

static const struct vidur_yaml_field whole_fields[] = {
    {VIDUR_YAML_KEYS(struct whole, slo, slo_part)},
    {VIDUR_YAML_KEY("spec", REFERENCE, struct whole, spec), .flags = VIDUR_YAML_FILLED},
    VIDUR_YAML_AT_LEAST(int, struct whole, own, 2),
    {0}};

static void test_parts(void)
{
    static const struct {
        const char *text, *error; /* NULL: none */
    } cases[] = {
        {"{own: 3, metric: tbt, steps: [1, 2], spec: a100}", NULL},
        {"{own: 3}", "d/a.yaml:1: metric: missing; this key needs a value"},
        {"{own: 1, metric: tbt, steps: [1, 2]}",
         "d/a.yaml:1: own: 1 is out of range; it must be at least 2"},
        {"{metric: tbt, limit: 1}",
         "d/a.yaml:1: limit: unknown key; the nearest known one is 'limit_s'"},
        {"{metric: tbt, owm: 1}",
         "d/a.yaml:1: owm: unknown key; the nearest known one is 'own'"},
        {"{metric: tbt, spec: ''}", "d/a.yaml:1: spec: an empty text; give a name"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct whole whole = {.spec = "old"};
        struct vidur_error err = {0};
        struct vidur_yaml *doc =
            vidur_yaml_parse("d/a.yaml", cases[i].text, strlen(cases[i].text), NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        const int status =
            vidur_yaml_read(vidur_yaml_root(doc), whole_fields, &whole, &err);
        CU_ASSERT_EQUAL(status, cases[i].error ? -1 : 0);
        if (cases[i].error)
            CU_ASSERT_STRING_EQUAL(err.text, cases[i].error);
        if (!cases[i].error) {
            CU_ASSERT(whole.own == 3 && whole.slo.num_steps == 2);
            CU_ASSERT_STRING_EQUAL(whole.slo.metric, "tbt");
            CU_ASSERT_STRING_EQUAL(whole.spec, "a100");
        }
        vidur_yaml_release(whole_fields, &whole);
        CU_ASSERT_PTR_NULL(whole.slo.steps);
        vidur_yaml_free(doc);
    }
}

/* Where a text ends like a file it is a path, relative to the configuration. */
static void test_references(void)
{
    static const struct {
        const char *text, *spec;
    } cases[] = {{"spec: a100", "a100"},
                 {"spec: a.yaml", "d/a.yaml"},
                 {"spec: a.YAML", "d/a.YAML"},
                 {"spec: a.Json", "d/a.Json"},
                 {"spec: yaml", "yaml"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct whole whole = {0};
        struct vidur_yaml *doc =
            vidur_yaml_parse("d/a.yaml", cases[i].text, strlen(cases[i].text), NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        const struct vidur_yaml_node *root = vidur_yaml_root(doc);
        CU_ASSERT_EQUAL(vidur_yaml_read(root, &whole_fields[1], &whole, NULL), 0);
        CU_ASSERT_STRING_EQUAL(whole.spec, cases[i].spec);
        vidur_yaml_free(doc);
    }
}

VIDUR_TEST_MAIN("yaml schema", {"everything", test_everything},
                {"defaults stay", test_defaults_stay},
                {"one stands for a list", test_one_stands_for_a_list},
                {"default list is replaced", test_default_list_is_replaced},
                {"bad input", test_bad_input},
                {"missing values of the root", test_missing_values_of_the_root},
                {"union keeps its default tag", test_union_keeps_its_default_tag},
                {"parts", test_parts}, {"references", test_references})
