/* A configuration as programs have it: a file with overrides, and what tells it apart.
 */

#include "base/hash.h"
#include "base/text.h"
#include "base/yaml.h"

#include <stdlib.h>

static int no_memory(const struct vidur_yaml *doc, struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", vidur_yaml_name(doc));
}

int vidur_yaml_set_all(struct vidur_yaml *doc, const char *const *sets, int num_sets,
                       struct vidur_error *err)
{
    for (int i = 0; i < num_sets; i++)
        if (vidur_yaml_set(doc, sets[i], err) != 0)
            return -1;
    return 0;
}

struct vidur_yaml *vidur_yaml_open(const char *path, const char *const *sets,
                                   int num_sets, struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_load(path, err);
    if (!doc || vidur_yaml_set_all(doc, sets, num_sets, err) == 0)
        return doc;
    vidur_yaml_free(doc);
    return NULL;
}

char *vidur_yaml_text_with_sets(const struct vidur_yaml *doc, struct vidur_error *err)
{
    struct vidur_text text = {0};
    size_t size;
    const char *source = vidur_yaml_text(doc, &size);
    vidur_text_add(&text, source, size);
    for (int i = 0; i < vidur_yaml_num_sets(doc); i++) {
        vidur_text_adds(&text, "# --set ");
        vidur_text_adds(&text, vidur_yaml_set_text(doc, i));
        vidur_text_adds(&text, "\n");
    }
    if (!text.failed && text.data)
        return text.data;
    free(text.data);
    no_memory(doc, err);
    return NULL;
}

int vidur_yaml_sha256(const struct vidur_yaml *doc, char sha256[65],
                      struct vidur_error *err)
{
    char *canonical = vidur_yaml_canonical(vidur_yaml_root(doc));
    struct vidur_sha256 sha;
    if (!canonical)
        return no_memory(doc, err);
    vidur_sha256_init(&sha);
    vidur_sha256_add_string(&sha, canonical);
    vidur_sha256_hex(&sha, sha256);
    free(canonical);
    return 0;
}
