/* JSON: every value of a document can be asked for as every type. */

#include "base/json.h"
#include "fuzz.h"

#include <string.h>

static void visit(const struct vidur_json_node *node, int depth)
{
    struct vidur_error err = {0};
    double d;
    int64_t i64;
    int i;
    bool b;
    const enum vidur_json_kind kind = vidur_json_kind(node);
    VIDUR_FUZZ_REQUIRE(!vidur_json_as_double(node, &d, &err) ==
                       (kind == VIDUR_JSON_NUMBER));
    VIDUR_FUZZ_REQUIRE(!vidur_json_as_bool(node, &b, &err) ==
                       (kind == VIDUR_JSON_BOOL));
    VIDUR_FUZZ_REQUIRE(!vidur_json_as_string(node, &err) ==
                       (kind != VIDUR_JSON_STRING));
    if (!vidur_json_as_int(node, &i, &err))
        VIDUR_FUZZ_REQUIRE(!vidur_json_as_int64(node, &i64, &err) && i64 == i);
    for (int k = 0; depth < 20 && k < vidur_json_count(node) && k < 50; k++) {
        const struct vidur_json_node item = vidur_json_item(node, k);
        VIDUR_FUZZ_REQUIRE(vidur_json_kind(&item) != VIDUR_JSON_ABSENT);
        visit(&item, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vidur_error err = {0};
    struct vidur_json *doc = vidur_json_parse("f", (const char *)data, size, &err);
    VIDUR_FUZZ_REQUIRE(doc || strncmp(err.text, "f:", 2) == 0);
    if (doc) {
        const struct vidur_json_node root = vidur_json_root(doc);
        visit(&root, 0);
    }
    vidur_json_free(doc);
    return 0;
}
