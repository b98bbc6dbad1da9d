#include "base/instant.h"
#include "base/yaml.h"
#include "load/trace_format.h"

#include <vidur/workload.h>

#include <stdio.h>

#define KEY(name, kind) VIDUR_YAML_KEY(#name, kind, struct vidur_trace_options, name)
#define COLUMN(name)                                                                   \
    {                                                                                  \
        VIDUR_YAML_KEY(#name, STRING, struct vidur_trace_columns, name),               \
            .flags = VIDUR_YAML_FILLED                                                 \
    }

static const struct vidur_yaml_field column_fields[] = {
#define X(name) COLUMN(name),
    VIDUR_TRACE_COLUMNS(X)
#undef X
        {0}};

static int read_format(const struct vidur_yaml_node *node, void *out,
                       struct vidur_error *err)
{
    char *format = out;
    struct vidur_error why = {0};
    if (vidur_yaml_as_string(node, format, VIDUR_TRACE_FORMAT_NAME, err))
        return -1;
    return vidur_trace_format_check("format", format, &why)
               ? vidur_yaml_fail(node, err, "%s", why.text + sizeof "format: " - 1)
               : 0;
}

static int read_unit(const struct vidur_yaml_node *node, void *out,
                     struct vidur_error *err)
{
    char *unit = out;
    if (vidur_yaml_as_string(node, unit, VIDUR_TRACE_UNIT_NAME, err))
        return -1;
    return vidur_instant_unit_ns(unit)
               ? 0
               : vidur_yaml_fail(node, err, "'%s' is not a unit; use s, ms, us or ns",
                                 unit);
}

static const struct vidur_yaml_field option_fields[] = {
    {KEY(format, CUSTOM), .read = read_format},
    {KEY(time_unit, CUSTOM), .read = read_unit},
    {KEY(characters_per_token, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {KEY(block_tokens, INT), .flags = VIDUR_YAML_MIN, .min = 1},
    {KEY(columns, MAPPING), .fields = column_fields},
    {0}};

const struct vidur_yaml_field *vidur_trace_option_fields(void)
{
    return option_fields;
}

int vidur_trace_options_set(struct vidur_trace_options *options,
                            const char *const *sets, int num_sets, const char *format,
                            struct vidur_error *err)
{
    *options = (struct vidur_trace_options){0};
    struct vidur_yaml *doc = vidur_yaml_parse("--set", "{}", 2, err);
    int status = doc ? vidur_yaml_set_all(doc, sets, num_sets, err) : -1;
    if (status == 0)
        status = vidur_yaml_read(vidur_yaml_root(doc), option_fields, options, err);
    vidur_yaml_free(doc);
    if (status == 0 && format) {
        snprintf(options->format, sizeof options->format, "%s", format);
        status = vidur_trace_format_check("--format", format, err);
    }
    return status;
}
