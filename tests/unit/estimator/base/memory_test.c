/*
 * Every allocation of the base floor fails once: each operation below is run with its
 * first, second, third ... allocation refused, until it gets through. It must report
 * VIDUR_ENOMEM, crash never, and (under a leak checker) leak nothing. The linker sends
 * the library's calls to the wrappers here.
 */

#include "base/args.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "scratch.h"

#include <vidur/csv.h>

#include <errno.h>

static long allowed = -1; /* allocations before the one that is refused; -1: all */

static int refuse(void)
{
    if (allowed < 0)
        return 0;
    if (allowed-- > 0)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return refuse() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return refuse() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
    return refuse() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return refuse() ? NULL : __real_strndup(text, size);
}

/* Runs the operation until it succeeds; at least `least` of its runs must have failed.
 */
static void exhaust(int (*operation)(struct vidur_error *), int least)
{
    int failures = 0;
    for (long n = 0; n < 100000; n++) {
        struct vidur_error err = {0};
        allowed = n;
        const int status = operation(&err);
        const int untouched = allowed >= 0;
        allowed = -1;
        if (untouched) {
            CU_ASSERT_EQUAL(status, 0);
            break;
        }
        failures += status != 0;
        CU_ASSERT(status == 0 || err.code == VIDUR_ENOMEM);
        CU_ASSERT(status == 0 || err.text[0] != '\0');
    }
    CU_ASSERT(failures >= least);
}

/* ---- CSV ---- */

static char csv_text[60000];

static void make_csv_text(void)
{
    size_t used = (size_t)snprintf(csv_text, sizeof csv_text, "s,d,i,b");
    for (int f = 0; f < 70; f++)
        used += (size_t)snprintf(csv_text + used, sizeof csv_text - used, ",x%d", f);
    used += (size_t)snprintf(csv_text + used, sizeof csv_text - used, "\n");
    for (int row = 0; row < 200; row++) {
        used += (size_t)snprintf(csv_text + used, sizeof csv_text - used,
                                 "word %d,1.5,%d,true", row, row);
        for (int f = 0; f < 70; f++)
            used += (size_t)snprintf(csv_text + used, sizeof csv_text - used, ",");
        used += (size_t)snprintf(csv_text + used, sizeof csv_text - used, "\n");
    }
}

static const struct vidur_csv_column columns[] = {{"s", VIDUR_CSV_STRING, 0},
                                                  {"d", VIDUR_CSV_DOUBLE, 0},
                                                  {"i", VIDUR_CSV_INT64, 0},
                                                  {"b", VIDUR_CSV_BOOL, 0}};
static const struct vidur_csv_schema schema = {columns, 4, true};

static int parse_csv(struct vidur_error *err)
{
    struct vidur_csv *csv =
        vidur_csv_parse("t", csv_text, strlen(csv_text), &schema, err);
    const int status = csv ? 0 : -1;
    vidur_csv_free(csv);
    return status;
}

static int read_csv(struct vidur_error *err)
{
    struct vidur_csv *csv = vidur_csv_read(scratch_path("m.csv"), &schema, err);
    const int status = csv ? 0 : -1;
    vidur_csv_free(csv);
    return status;
}

static void test_csv(void)
{
    make_csv_text();
    exhaust(parse_csv, 90);
    scratch_file("m.csv", csv_text, strlen(csv_text));
    exhaust(read_csv, 90);
}

static int write_csv(struct vidur_error *err)
{
    struct vidur_csv_writer *writer = vidur_csv_writer_open(scratch_path("o.csv"), err);
    if (!writer)
        return -1;
    vidur_csv_put_string(writer, "a");
    vidur_csv_end_row(writer);
    return vidur_csv_writer_commit(writer, err);
}

static int read_file(struct vidur_error *err)
{
    char *text = vidur_file_read(scratch_path("o.csv"), 0, NULL, err);
    free(text);
    return text ? 0 : -1;
}

static int make_folder(struct vidur_error *err)
{
    return vidur_file_make_folder(scratch_path(""), err);
}

static void test_files(void)
{
    exhaust(write_csv, 3);
    exhaust(read_file, 1);
    exhaust(make_folder, 1);
}

/* ---- YAML ---- */

struct item {
    int *numbers;
    int num_numbers;
};

struct list {
    struct item *items;
    int num_items;
};

static const struct vidur_yaml_field number = {"", .type = VIDUR_YAML_INT};
static const struct vidur_yaml_field item_fields[] = {
    {"numbers", VIDUR_YAML_SEQUENCE, 0,
     VIDUR_YAML_LIST(struct item, numbers, num_numbers), .element = &number},
    {0}};
static const struct vidur_yaml_field an_item = {"", .type = VIDUR_YAML_MAPPING,
                                                .fields = item_fields};
static const struct vidur_yaml_field list_fields[] = {
    {"items", VIDUR_YAML_SEQUENCE, 0, VIDUR_YAML_LIST(struct list, items, num_items),
     .element = &an_item},
    {"base", .type = VIDUR_YAML_ELSEWHERE},
    {0}};

static int use_yaml(struct vidur_error *err)
{
    static const char text[] = "base: &b {numbers: [1, 2, 3]}\n"
                               "items: [*b, {<<: *b}, {numbers: [4, 5]}]\n";
    struct list list = {0};
    struct vidur_yaml *doc = vidur_yaml_parse("a", text, sizeof text - 1, err);
    int status = doc ? 0 : -1;
    if (status == 0)
        status = vidur_yaml_set(doc, "items.3.numbers.0={}", err) ||
                 vidur_yaml_set(doc, "items.3.numbers=[7]", err);
    if (status == 0)
        status = vidur_yaml_read(vidur_yaml_root(doc), list_fields, &list, err);
    char *canonical = status == 0 ? vidur_yaml_canonical(vidur_yaml_root(doc)) : NULL;
    if (status == 0 && !canonical)
        status = vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    free(canonical);
    char sha256[65];
    char *source = status == 0 ? vidur_yaml_text_with_sets(doc, err) : NULL;
    if (status == 0 && (!source || vidur_yaml_sha256(doc, sha256, err)))
        status = -1;
    free(source);
    vidur_yaml_release(list_fields, &list);
    vidur_yaml_free(doc);
    return status;
}

static void test_yaml(void)
{
    exhaust(use_yaml, 40);
}

/* ---- The rest ---- */

static int use_json(struct vidur_error *err)
{
    struct vidur_json *doc = vidur_json_parse("a", "{}", 2, err);
    struct vidur_json_writer *writer = doc ? vidur_json_writer_new(err) : NULL;
    const int status = writer ? 0 : -1;
    vidur_json_writer_free(writer);
    vidur_json_free(doc);
    return status;
}

static int use_args(struct vidur_error *err)
{
    static const struct vidur_args_spec spec = {.program = "p", .arguments = ""};
    char name[] = "p";
    char *argv[] = {name, NULL};
    struct vidur_args args;
    const int status = vidur_args_parse(&args, &spec, 1, argv, err);
    vidur_args_release(&args);
    return status;
}

static void test_the_rest(void)
{
    exhaust(use_json, 3);
    exhaust(use_args, 2);
}

VIDUR_TEST_MAIN("memory", {"CSV", test_csv}, {"files", test_files}, {"YAML", test_yaml},
                {"the rest", test_the_rest})
