#include "wrong_shapes.h"

#include "test.h"

#include "base/yaml.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SETS = 64, MAX_PATH = 256 };

static const char *const shapes[] = {[VIDUR_YAML_IS_SCALAR] = "7",
                                     [VIDUR_YAML_IS_SEQUENCE] = "[[7]]",
                                     [VIDUR_YAML_IS_MAPPING] = "{a: {b: 7}}"};

static const char *const names[] = {[VIDUR_YAML_IS_SCALAR] = "a value where ",
                                    [VIDUR_YAML_IS_SEQUENCE] = "a list where ",
                                    [VIDUR_YAML_IS_MAPPING] = "a mapping where "};

static bool says_what_is_right(const char *text, const char *found)
{
    static const char *const remedies[] = {"the nearest", "; known are ", "one of ",
                                           "must be ", "; give "};
    const char *wrong = strstr(text, found);
    if (wrong && strstr(wrong, " needed; write it like ") && !strstr(wrong, "..."))
        return true;
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (strstr(text, remedies[i]) && !strstr(text, "''") && !wrong)
            return true;
    return false;
}

/* Two keys that do not go together are told at either. */
static bool names_key(const char *text, const char *path)
{
    char place[MAX_PATH + 16];
    snprintf(place, sizeof place, "--set %s", path);
    return strncmp(text, place, strlen(place)) == 0 || strstr(text, ": given beside ");
}

static int try_shape(const struct wrong_shapes *of, const char *path, int shape)
{
    const char *sets[MOST_SETS + 1];
    char wrong[MAX_PATH + 32];
    struct vidur_error err = {0};
    for (int i = 0; i < of->num_sets; i++)
        sets[i] = of->sets[i];
    snprintf(wrong, sizeof wrong, "%s=%s", path, shapes[shape]);
    sets[of->num_sets] = wrong;
    if (of->load(of->file, sets, of->num_sets + 1, &err) == 0)
        return 0;
    const bool good =
        names_key(err.text, path) && says_what_is_right(err.text, names[shape]);
    CU_ASSERT_TRUE(good);
    if (!good)
        printf("\n    %s\n        %s", wrong, err.text);
    return 1;
}

static int try_below(const struct wrong_shapes *of, const struct vidur_yaml_node *node,
                     const char *path)
{
    int refused = 0;
    for (int shape = VIDUR_YAML_IS_SCALAR; path[0] && shape <= VIDUR_YAML_IS_MAPPING;
         shape++)
        if (shape != (int)vidur_yaml_kind(node))
            refused += try_shape(of, path, shape);
    for (int i = 0; i < vidur_yaml_count(node); i++) {
        char below[MAX_PATH];
        const char *dot = path[0] ? "." : "";
        const char *key = vidur_yaml_key(node, i);
        if (key)
            snprintf(below, sizeof below, "%s%s%s", path, dot, key);
        else
            snprintf(below, sizeof below, "%s%s%d", path, dot, i);
        refused += try_below(of, vidur_yaml_item(node, i), below);
    }
    return refused;
}

int wrong_shapes_try_all(const struct wrong_shapes *of)
{
    struct vidur_error err = {0};
    CU_ASSERT_FATAL(of->num_sets <= MOST_SETS);
    const int rc = of->load(of->file, of->sets, of->num_sets, &err);
    if (rc != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    struct vidur_yaml *doc = vidur_yaml_open(of->file, of->sets, of->num_sets, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const int refused = try_below(of, vidur_yaml_root(doc), "");
    vidur_yaml_free(doc);
    return refused;
}
