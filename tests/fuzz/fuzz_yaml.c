/* YAML: a text up to the first NUL byte, overrides after it, one after every further
 * NUL. A document's canonical text read again is itself. */

#include "base/yaml.h"
#include "fuzz.h"

#include <string.h>

enum kind { FIXED, TRACE };

struct item {
    char name[8];
    double value;
    int *list;
    int num_list;
};

struct config {
    int count;
    bool flag, given;
    char file[32];
    int color;
    struct {
        enum kind type;
        int tokens;
    } lengths;
    struct item *items;
    int num_items;
    int64_t fixed[4];
    int num_fixed;
};

static const char *const colors[] = {"red", "green", NULL};
static const struct vidur_yaml_field an_int = {"", .type = VIDUR_YAML_INT};
static const struct vidur_yaml_field an_int64 = {"", .type = VIDUR_YAML_INT64};
static const struct vidur_yaml_field item_fields[] = {
    {"name", VIDUR_YAML_STRING, VIDUR_YAML_REQUIRED, VIDUR_YAML_AT(struct item, name)},
    {"value", VIDUR_YAML_DOUBLE, VIDUR_YAML_ABOVE, VIDUR_YAML_AT(struct item, value)},
    {"list", VIDUR_YAML_SEQUENCE, VIDUR_YAML_ONE_OK,
     VIDUR_YAML_LIST(struct item, list, num_list), .element = &an_int},
    {0}};
static const struct vidur_yaml_field an_item = {"", VIDUR_YAML_MAPPING,
                                                .fields = item_fields};
static const struct vidur_yaml_field fixed_fields[] = {
    {"tokens", VIDUR_YAML_INT, 0, VIDUR_YAML_AT(struct config, lengths.tokens)}, {0}};
static const struct vidur_yaml_field trace_fields[] = {
    {"file", VIDUR_YAML_PATH, 0, VIDUR_YAML_AT(struct config, file)}, {0}};
static const struct vidur_yaml_variant variants[] = {
    {"fixed", FIXED, fixed_fields}, {"trace", TRACE, trace_fields}, {0}};
static const struct vidur_yaml_field fields[] = {
    {"count", VIDUR_YAML_INT, VIDUR_YAML_TELL, VIDUR_YAML_AT(struct config, count),
     .present_offset = offsetof(struct config, given)},
    {"flag", VIDUR_YAML_BOOL, 0, VIDUR_YAML_AT(struct config, flag)},
    {"color", VIDUR_YAML_ENUM, 0, VIDUR_YAML_AT(struct config, color), .names = colors},
    {"items", VIDUR_YAML_SEQUENCE, 0, VIDUR_YAML_LIST(struct config, items, num_items),
     .element = &an_item},
    {"fixed", VIDUR_YAML_ARRAY, 0, VIDUR_YAML_LIST(struct config, fixed, num_fixed),
     .element = &an_int64, .max_count = 4},
    {0}};
static const struct vidur_yaml_union top = {
    "type", offsetof(struct config, lengths.type), false, variants, fields};

static void check_canonical(const struct vidur_yaml *doc)
{
    char *once = vidur_yaml_canonical(vidur_yaml_root(doc));
    VIDUR_FUZZ_REQUIRE(once);
    struct vidur_yaml *again = vidur_yaml_parse("c", once, strlen(once), NULL);
    /* Deeper than the limit with overrides, or control bytes: not a text to read. */
    if (again) {
        char *twice = vidur_yaml_canonical(vidur_yaml_root(again));
        VIDUR_FUZZ_REQUIRE(twice && strcmp(once, twice) == 0);
        free(twice);
    }
    vidur_yaml_free(again);
    free(once);
}

/* Whether all overrides could be applied; a failed one leaves nothing to look at. */
static bool apply_sets(struct vidur_yaml *doc, const char *rest, const char *end)
{
    while (rest < end) {
        char set[256];
        const size_t length = strnlen(rest, (size_t)(end - rest));
        snprintf(set, sizeof set, "%.*s", (int)(length < 255 ? length : 255), rest);
        struct vidur_error err = {0};
        if (vidur_yaml_set(doc, set, &err)) {
            VIDUR_FUZZ_REQUIRE(strncmp(err.text, "--set ", 6) == 0);
            return false;
        }
        rest += length + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const size_t length = size ? strnlen(text, size) : 0;
    struct vidur_error err = {0};
    struct vidur_yaml *doc = vidur_yaml_parse("f", text, length, &err);
    VIDUR_FUZZ_REQUIRE(doc || strncmp(err.text, "f:", 2) == 0);
    if (doc && (length == size || apply_sets(doc, text + length + 1, text + size))) {
        struct config config = {.count = 1};
        check_canonical(doc);
        if (vidur_yaml_read_union(vidur_yaml_root(doc), &top, &config, &err))
            VIDUR_FUZZ_REQUIRE(err.code != VIDUR_OK && err.text[0]);
        vidur_yaml_release_union(&top, &config);
        VIDUR_FUZZ_REQUIRE(!config.items && !config.num_items);
    }
    vidur_yaml_free(doc);
    return 0;
}
