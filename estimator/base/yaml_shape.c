/* What a value should look like, made of the schema tables. */

#include "base/yaml_tree.h"

#include <stdio.h>
#include <string.h>

/* A text that grows within its bounds. */
struct shape {
    char *out;
    size_t size, used;
};

/* How deep an example goes; and how many keys it shows where none is required. */
enum { DEEPEST = 3, SHOWN_KEYS = 2 };

static void put(struct shape *shape, const char *text)
{
    const int n =
        snprintf(shape->out + shape->used, shape->size - shape->used, "%s", text);
    shape->used += n > 0 ? (size_t)n : 0;
    if (shape->used >= shape->size)
        shape->used = shape->size - 1;
}

/* Within the field's bounds, and not far from where one would expect it. */
static double some_number(const struct vidur_yaml_field *field)
{
    const bool fraction = field->type == VIDUR_YAML_DOUBLE;
    double number = 1;
    if ((field->flags & VIDUR_YAML_MIN) && number < field->min)
        number = field->min;
    if ((field->flags & VIDUR_YAML_ABOVE) && number <= field->min)
        number = field->min + 1;
    if (fraction && (field->flags & (VIDUR_YAML_MAX | VIDUR_YAML_BELOW)) &&
        number >= field->max)
        number = field->max / 2;
    return number;
}

static void put_field(struct shape *shape, const struct vidur_yaml_field *field,
                      int depth);

static void put_key(struct shape *shape, const char *key, bool first)
{
    put(shape, first ? "" : ", ");
    put(shape, key);
    put(shape, ": ");
}

/* The required keys of a table, or else its first ones; returns how many there are
 * then behind `count`. */
static int put_keys(struct shape *shape, const struct vidur_yaml_field *fields,
                    bool required, int depth, int count)
{
    for (; fields && fields->key; fields++) {
        if (fields->type == VIDUR_YAML_PART) {
            count = put_keys(shape, fields->part(), required, depth, count);
            continue;
        }
        if (required ? !(fields->flags & VIDUR_YAML_REQUIRED) : count >= SHOWN_KEYS)
            continue;
        put_key(shape, fields->key, count == 0);
        put_field(shape, fields, depth + 1);
        count++;
    }
    return count;
}

static void put_mapping(struct shape *shape, const struct vidur_yaml_field *fields,
                        int depth)
{
    put(shape, "{");
    if (put_keys(shape, fields, true, depth, 0) == 0)
        put_keys(shape, fields, false, depth, 0);
    put(shape, "}");
}

static void put_union(struct shape *shape, const struct vidur_yaml_union *choice,
                      int depth)
{
    const struct vidur_yaml_variant *variant = choice->variants;
    put(shape, "{");
    put_key(shape, choice->tag_key, true);
    put(shape, variant->name);
    put_keys(shape, choice->common, true, depth,
             put_keys(shape, variant->fields, true, depth, 1));
    put(shape, "}");
}

/* Of what is short a list shows two. */
static void put_another(struct shape *shape, const struct vidur_yaml_field *element)
{
    char more[32];
    const double number = 2 * some_number(element);
    const bool fits = !(element->flags & VIDUR_YAML_MAX) || number <= element->max;
    if (element->type == VIDUR_YAML_ENUM && element->names[1]) {
        put(shape, ", ");
        put(shape, element->names[1]);
    } else if ((element->type == VIDUR_YAML_INT || element->type == VIDUR_YAML_INT64) &&
               fits) {
        snprintf(more, sizeof more, ", %g", number);
        put(shape, more);
    }
}

static void put_list(struct shape *shape, const struct vidur_yaml_field *field,
                     int depth)
{
    const struct vidur_yaml_field *element = field->element;
    put(shape, "[");
    put_field(shape, element, depth);
    if (!element->example)
        put_another(shape, element);
    put(shape, "]");
}

static void put_field(struct shape *shape, const struct vidur_yaml_field *field,
                      int depth)
{
    char number[32];
    if (field->example || depth > DEEPEST) {
        put(shape, field->example ? field->example : "...");
        return;
    }
    switch (field->type) {
    case VIDUR_YAML_INT:
    case VIDUR_YAML_INT64:
    case VIDUR_YAML_DOUBLE:
        snprintf(number, sizeof number, "%g", some_number(field));
        put(shape, number);
        break;
    case VIDUR_YAML_BOOL:
        put(shape, "true");
        break;
    case VIDUR_YAML_STRING:
    case VIDUR_YAML_REFERENCE:
        put(shape, "NAME");
        break;
    case VIDUR_YAML_PATH:
        put(shape, "FILE");
        break;
    case VIDUR_YAML_ENUM:
        put(shape, field->names[0]);
        break;
    case VIDUR_YAML_MAPPING:
        put_mapping(shape, field->fields, depth);
        break;
    case VIDUR_YAML_UNION:
        put_union(shape, field->choice, depth);
        break;
    case VIDUR_YAML_SEQUENCE:
    case VIDUR_YAML_ARRAY:
        put_list(shape, field, depth);
        break;
    case VIDUR_YAML_CUSTOM:
    case VIDUR_YAML_PART:
    case VIDUR_YAML_ELSEWHERE:
        put(shape, "...");
        break;
    }
}

void vidur_yaml_example(const struct vidur_yaml_field *field, char *out, size_t size)
{
    struct shape shape = {.out = out, .size = size};
    out[0] = 0;
    put_field(&shape, field, 0);
}

int vidur_yaml_fail_shape(const struct vidur_yaml_node *node, const char *wanted,
                          const char *example, struct vidur_error *err)
{
    static const char *const found[] = {[VIDUR_YAML_IS_EMPTY] = "nothing",
                                        [VIDUR_YAML_IS_SCALAR] = "a value",
                                        [VIDUR_YAML_IS_SEQUENCE] = "a list",
                                        [VIDUR_YAML_IS_MAPPING] = "a mapping"};
    return vidur_yaml_fail(node, err, "%s where %s is needed; write it like %s",
                           found[vidur_yaml_kind(node)], wanted, example);
}

int vidur_yaml_fail_field(const struct vidur_yaml_node *node,
                          const struct vidur_yaml_field *field, struct vidur_error *err)
{
    static const char *const wanted[] = {
        [VIDUR_YAML_INT] = "a whole number",     [VIDUR_YAML_INT64] = "a whole number",
        [VIDUR_YAML_DOUBLE] = "a number",        [VIDUR_YAML_BOOL] = "true or false",
        [VIDUR_YAML_STRING] = "a text",          [VIDUR_YAML_PATH] = "a path",
        [VIDUR_YAML_REFERENCE] = "a text",       [VIDUR_YAML_ENUM] = "a word",
        [VIDUR_YAML_MAPPING] = "a mapping",      [VIDUR_YAML_UNION] = "a mapping",
        [VIDUR_YAML_SEQUENCE] = "a list",        [VIDUR_YAML_ARRAY] = "a list",
        [VIDUR_YAML_CUSTOM] = "another value",   [VIDUR_YAML_PART] = "another value",
        [VIDUR_YAML_ELSEWHERE] = "another value"};
    char example[256] = "key: value";
    if (node->parent)
        vidur_yaml_example(field, example, sizeof example);
    return vidur_yaml_fail_shape(node, wanted[field->type], example, err);
}
