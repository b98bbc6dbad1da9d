#include "space/config_parts.h"

#include "base/policy.h"
#include "base/section.h"

#include <vidur/scheduler.h>
#include <vidur/simulation_config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * `schedulers:`: every knob may be a value or a list; an entry stands for the product
 * of its lists, in the order of its keys.
 */

static const char name_key[] = "scheduler", cap_key[] = "batch_size_cap";

static int knob_index(const char *key)
{
    const struct vidur_yaml_field *fields = vidur_scheduler_knob_fields();
    for (int i = 0; fields[i].key; i++)
        if (strcmp(fields[i].key, key) == 0)
            return i;
    return -1;
}

static int fail_unknown_key(const struct vidur_yaml_node *entry, const char *key,
                            struct vidur_error *err)
{
    const struct vidur_yaml_field *fields = vidur_scheduler_knob_fields();
    const char *names[64] = {name_key};
    int count = 1;
    for (int i = 0; fields[i].key && count < 64; i++)
        names[count++] = fields[i].key;
    return vidur_yaml_fail_unknown(entry, key, names, count, err);
}

/* Of the schema's fields, which are the knobs in their order. */
static bool uses_knob(const char *type, int field)
{
    return vidur_scheduler_uses(vidur_scheduler_find(type),
                                (enum vidur_knob)(VIDUR_KNOB_NONE + 1 + field));
}

static int fail_unused_key(const struct vidur_yaml_node *entry, const char *key,
                           const char *type, struct vidur_error *err)
{
    const struct vidur_yaml_field *fields = vidur_scheduler_knob_fields();
    char list[512] = "";
    for (int i = 0; fields[i].key; i++) {
        const size_t used = strlen(list);
        if (uses_knob(type, i) && strcmp(fields[i].key, cap_key) != 0)
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                     fields[i].key);
    }
    return vidur_yaml_fail_key(entry, key, err, "%s does not use it; its knobs are %s",
                               type, list);
}

static const char *scheduler_at(int index)
{
    const struct vidur_scheduler_ops *ops = vidur_scheduler_at(index);
    return ops ? ops->name : NULL;
}

static int read_name(const struct vidur_yaml_node *entry,
                     struct vidur_search_scheduler *scheduler, struct vidur_error *err)
{
    const struct vidur_yaml_node *node = vidur_yaml_get(entry, name_key);
    char *type = scheduler->config.type;
    if (!node)
        return vidur_yaml_fail_missing(entry, name_key, err);
    if (vidur_yaml_as_string(node, type, sizeof scheduler->config.type, err) != 0)
        return -1;
    if (vidur_scheduler_find(type))
        return 0;
    vidur_policy_unknown(scheduler_at, name_key, type, err);
    return vidur_section_locate(entry, "", err);
}

static void begin(struct vidur_search_scheduler *scheduler)
{
    struct vidur_deployment defaults;
    char type[sizeof scheduler->config.type];
    memcpy(type, scheduler->config.type, sizeof type);
    vidur_deployment_defaults(&defaults);
    scheduler->config = defaults.scheduler;
    memcpy(scheduler->config.type, type, sizeof type);
    const int block_size = vidur_scheduler_find(type)->default_block_size_tokens;
    if (block_size > 0)
        scheduler->config.block_size = block_size;
}

/* A growing list of variants. */
struct variants {
    struct vidur_search_scheduler *items;
    int count;
};

static int multiply(struct variants *variants, const struct vidur_yaml_node *entry,
                    int index, struct vidur_error *err)
{
    const char *key = vidur_yaml_key(entry, index);
    const struct vidur_yaml_node *value = vidur_yaml_item(entry, index);
    const bool list = vidur_yaml_kind(value) == VIDUR_YAML_IS_SEQUENCE;
    const int count = list ? vidur_yaml_count(value) : 1;
    const int knob = knob_index(key);
    if (knob < 0)
        return fail_unknown_key(entry, key, err);
    if (strcmp(key, cap_key) == 0)
        return vidur_yaml_fail_key(entry, key, err,
                                   "follows from batch_sizes times pipeline stages; "
                                   "give batch_sizes");
    if (vidur_yaml_kind(value) == VIDUR_YAML_IS_EMPTY)
        return 0;
    if (!uses_knob(variants->items->config.type, knob))
        return fail_unused_key(entry, key, variants->items->config.type, err);
    if (count == 0)
        return vidur_yaml_fail_key(entry, key, err, "an empty list; give a value");
    struct vidur_search_scheduler *items =
        calloc((size_t)variants->count * (size_t)count, sizeof *items);
    if (!items)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for schedulers");
    for (int i = 0; i < variants->count * count; i++) {
        const struct vidur_yaml_node *item =
            list ? vidur_yaml_item(value, i % count) : value;
        items[i] = variants->items[i / count];
        if (vidur_yaml_read_field(item, &vidur_scheduler_knob_fields()[knob],
                                  &items[i].config, err) != 0) {
            free(items);
            return -1;
        }
        items[i].given |= UINT64_C(1) << knob;
    }
    free(variants->items);
    variants->items = items;
    variants->count *= count;
    return 0;
}

static int expand(const struct vidur_yaml_node *entry, struct variants *variants,
                  struct vidur_error *err)
{
    variants->items = calloc(1, sizeof *variants->items);
    if (!variants->items)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for schedulers");
    variants->count = 1;
    if (vidur_yaml_kind(entry) != VIDUR_YAML_IS_MAPPING) {
        char example[64];
        snprintf(example, sizeof example, "{scheduler: %s}",
                 vidur_scheduler_at(0)->name);
        return vidur_yaml_fail_shape(entry, "a mapping", example, err);
    }
    if (read_name(entry, variants->items, err) != 0)
        return -1;
    begin(variants->items);
    for (int i = 0; i < vidur_yaml_count(entry); i++)
        if (strcmp(vidur_yaml_key(entry, i), name_key) != 0 &&
            multiply(variants, entry, i, err) != 0)
            return -1;
    return 0;
}

static int append(struct vidur_search_config *config, const struct variants *variants,
                  int entry, struct vidur_error *err)
{
    const int count = config->num_schedulers + variants->count;
    struct vidur_search_scheduler *all =
        realloc(config->schedulers, (size_t)count * sizeof *all);
    if (!all)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for schedulers");
    memcpy(all + config->num_schedulers, variants->items,
           (size_t)variants->count * sizeof *all);
    for (int i = config->num_schedulers; i < count; i++)
        all[i].entry = entry;
    config->schedulers = all;
    config->num_schedulers = count;
    return 0;
}

/* ---- Labels ---- */

static const char *const knob_names[] = {
#define X(type, name, def, min) #name,
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
};

enum { NUM_KNOBS = sizeof knob_names / sizeof knob_names[0] };

static double knob_value(const struct vidur_scheduler_config *config, int knob)
{
    const double values[] = {
#define X(type, name, def, min) (double)config->name,
        VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    return values[knob];
}

/* Whether a knob tells a scheduler apart from its like, or from the usual one. One that
 * is not given may follow from batch sizes or workload. */
static bool is_telling(const struct vidur_search_config *config, int scheduler,
                       int knob, const struct vidur_scheduler_config *defaults)
{
    const struct vidur_search_scheduler *own = &config->schedulers[scheduler];
    const double value = knob_value(&own->config, knob);
    if (!(own->given >> knob & 1))
        return false;
    if (value != knob_value(defaults, knob) ||
        strcmp(knob_names[knob], "chunk_size") == 0)
        return true;
    for (int i = 0; i < config->num_schedulers; i++)
        if (strcmp(config->schedulers[i].config.type, own->config.type) == 0 &&
            (knob_value(&config->schedulers[i].config, knob) != value ||
             !(config->schedulers[i].given >> knob & 1)))
            return true;
    return false;
}

static int add_to_label(struct vidur_search_scheduler *scheduler, int used, int knob)
{
    const size_t left = sizeof scheduler->label - (size_t)used;
    const double value = knob_value(&scheduler->config, knob);
    const char *const *words =
        vidur_knob_words((enum vidur_knob)(VIDUR_KNOB_NONE + 1 + knob));
    return used + (words ? snprintf(scheduler->label + used, left, " %s=%s",
                                    knob_names[knob], words[(int)value])
                         : snprintf(scheduler->label + used, left, " %s=%.10g",
                                    knob_names[knob], value));
}

/* False where the label is too long. */
static bool set_label(struct vidur_search_config *config, int index)
{
    struct vidur_deployment defaults;
    struct vidur_search_scheduler *scheduler = &config->schedulers[index];
    const int size = sizeof scheduler->label;
    int used = snprintf(scheduler->label, (size_t)size, "%s", scheduler->config.type);
    vidur_deployment_defaults(&defaults);
    for (int knob = 0; knob < NUM_KNOBS && used < size; knob++)
        if (is_telling(config, index, knob, &defaults.scheduler))
            used = add_to_label(scheduler, used, knob);
    return used < size;
}

static int set_labels(const struct vidur_yaml_node *node,
                      struct vidur_search_config *config, struct vidur_error *err)
{
    for (int i = 0; i < config->num_schedulers; i++)
        if (!set_label(config, i))
            return vidur_yaml_fail(vidur_yaml_item(node, config->schedulers[i].entry),
                                   err,
                                   "the knobs make a name of more than %d bytes; leave "
                                   "those out that have "
                                   "their default in all entries",
                                   (int)sizeof config->schedulers->label - 1);
    return 0;
}

int config_read_schedulers(const struct vidur_yaml_node *node,
                           struct vidur_search_config *config, struct vidur_error *err)
{
    char example[64];
    snprintf(example, sizeof example, "[{scheduler: %s}]", vidur_scheduler_at(0)->name);
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_fail_shape(node, "a list", example, err);
    if (vidur_yaml_count(node) == 0)
        return vidur_yaml_fail(node, err, "an empty list; give one, like %s", example);
    for (int i = 0; i < vidur_yaml_count(node); i++) {
        struct variants variants = {NULL, 0};
        int rc = expand(vidur_yaml_item(node, i), &variants, err);
        if (rc == 0)
            rc = append(config, &variants, i, err);
        free(variants.items);
        if (rc != 0)
            return -1;
    }
    return set_labels(node, config, err);
}
