#include "space/rules.h"

#include "base/text.h"

#include <vidur/scheduler.h>
#include <vidur/simulation_config.h>

#include <stdlib.h>
#include <string.h>

/*
 * The fields that a rule can name.
 * TEXT(name, expression), NUMBER(name, expression); `s` is the subject, `d` its
 * deployment.
 */
#define RULE_TEXTS(TEXT)                                                               \
    TEXT(model, s->model)                                                              \
    TEXT(trace, s->trace)                                                              \
    TEXT(device, d->device.name)                                                       \
    TEXT(network_device, d->node.name)                                                 \
    TEXT(scheduler, d->scheduler.type)                                                 \
    TEXT(router, d->router)                                                            \
    TEXT(memory_planner, s->memory_planner)                                            \
    TEXT(precision, s->precision)                                                      \
    TEXT(kv_cache_dtype, vidur_dtype_name(d->model.precision.kv_cache))

/* Behind those of VIDUR_PARALLELISM. */
#define RULE_NUMBERS(NUMBER)                                                           \
    NUMBER(batch_size, s->batch_size)                                                  \
    NUMBER(num_replicas, d->num_replicas)                                              \
    NUMBER(num_gpus, s->num_gpus)

static const char *const field_names[] = {
#define NAME(name, expression)  #name,
#define X(type, name, def, min) #name,
    RULE_TEXTS(NAME) VIDUR_PARALLELISM(X) RULE_NUMBERS(NAME) VIDUR_SCHEDULER_KNOBS(X)
#undef X
#undef NAME
};

enum {
#define FIELD(name, expression) FIELD_##name,
    RULE_TEXTS(FIELD)
#undef FIELD
};

enum {
#define COUNT(name, expression) +1
    NUM_TEXTS = 0 RULE_TEXTS(COUNT),
    NUM_FIELDS = sizeof field_names / sizeof field_names[0],
    NUM_KNOBS = VIDUR_KNOBS_END - 1
};

static const char *text_of(const struct rule_subject *s, int field)
{
    const struct vidur_deployment *d = s->deployment;
    const char *const texts[] = {
#define VALUE(name, expression) expression,
        RULE_TEXTS(VALUE)
#undef VALUE
    };
    return texts[field];
}

static double number_of(const struct rule_subject *s, int field)
{
    const struct vidur_deployment *d = s->deployment;
    const double numbers[] = {
#define VALUE(name, expression) (double)(expression),
#define X(type, name, def, min) (double)d->name,
        VIDUR_PARALLELISM(X) RULE_NUMBERS(VALUE)
#undef X
#undef VALUE
#define X(type, name, def, min) (double)d->scheduler.name,
            VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    return numbers[field - NUM_TEXTS];
}

/* ---- Reading ---- */

static int find_field(const struct vidur_yaml_node *rule, const char *key,
                      struct vidur_error *err)
{
    for (int i = 0; i < NUM_FIELDS; i++)
        if (strcmp(field_names[i], key) == 0)
            return i;
    return vidur_yaml_fail_key(rule, key, err,
                               "not a field of a candidate; the nearest is '%s'",
                               vidur_text_nearest(key, field_names, NUM_FIELDS));
}

static int read_value(const struct vidur_yaml_node *value,
                      struct rule_condition *condition, struct vidur_error *err)
{
    const int at = condition->count++;
    bool flag;
    if (condition->field < NUM_TEXTS)
        return vidur_yaml_as_string(value, condition->words[at],
                                    sizeof condition->words[at], err);
    const char *text = vidur_yaml_scalar(value);
    const int knob = condition->field - (NUM_FIELDS - NUM_KNOBS);
    const char *const *words =
        knob < 0 ? NULL
                 : vidur_knob_words((enum vidur_knob)(VIDUR_KNOB_NONE + 1 + knob));
    for (int i = 0; text && words && words[i]; i++)
        if (strcmp(words[i], text) == 0) {
            condition->numbers[at] = i;
            return 0;
        }
    if (text && vidur_text_bool(text, false, &flag)) {
        condition->numbers[at] = flag;
        return 0;
    }
    return vidur_yaml_as_double(value, &condition->numbers[at], err);
}

static int read_condition(const struct vidur_yaml_node *rule, int index,
                          struct rule_condition *condition, struct vidur_error *err)
{
    const char *key = vidur_yaml_key(rule, index);
    const struct vidur_yaml_node *value = vidur_yaml_item(rule, index);
    const bool list = vidur_yaml_kind(value) == VIDUR_YAML_IS_SEQUENCE;
    const int count = list ? vidur_yaml_count(value) : 1;
    condition->field = find_field(rule, key, err);
    if (condition->field < 0)
        return -1;
    if (count == 0 || vidur_yaml_kind(value) == VIDUR_YAML_IS_EMPTY)
        return vidur_yaml_fail_key(rule, key, err, "no value; give one or several");
    condition->words = calloc((size_t)count, sizeof *condition->words);
    condition->numbers = calloc((size_t)count, sizeof *condition->numbers);
    if (!condition->words || !condition->numbers)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a rule");
    for (int i = 0; i < count; i++)
        if (read_value(list ? vidur_yaml_item(value, i) : value, condition, err) != 0)
            return -1;
    return 0;
}

static int read_rule(const struct vidur_yaml_node *node, struct vidur_search_rule *rule,
                     struct vidur_error *err)
{
    const int count = vidur_yaml_count(node);
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_MAPPING || count == 0)
        return vidur_yaml_fail(
            node, err,
            "a rule is a mapping, like {device: h100, batch_size: [32, 64]}");
    rule->conditions = calloc((size_t)count, sizeof *rule->conditions);
    if (!rule->conditions)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a rule");
    for (; rule->num_conditions < count; rule->num_conditions++)
        if (read_condition(node, rule->num_conditions,
                           &rule->conditions[rule->num_conditions], err) != 0) {
            rule->num_conditions++; /* it may hold memory */
            return -1;
        }
    return 0;
}

int rules_read(const struct vidur_yaml_node *node, struct vidur_search_rule **rules,
               int *count, struct vidur_error *err)
{
    const int wanted = vidur_yaml_count(node);
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_fail(node, err,
                               "a list of rules is needed, like [{device: h100}]");
    *rules = calloc((size_t)wanted + 1, sizeof **rules);
    if (!*rules)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for rules");
    *count = wanted;
    for (int i = 0; i < wanted; i++)
        if (read_rule(vidur_yaml_item(node, i), &(*rules)[i], err) != 0)
            return -1;
    return 0;
}

void rules_release(struct vidur_search_rule *rules, int count)
{
    for (int i = 0; i < count; i++) {
        for (int c = 0; c < rules[i].num_conditions; c++) {
            free(rules[i].conditions[c].words);
            free(rules[i].conditions[c].numbers);
        }
        free(rules[i].conditions);
    }
    free(rules);
}

/* ---- Names ---- */

/* The names that a text field may have, up to `most`; returns how many. */
static int known_names(const struct vidur_search_config *config, int field,
                       const char **names, int most)
{
    int count = 0;
#define ADD(limit, name)                                                               \
    for (int i = 0; i < (limit) && count < most; i++)                                  \
    names[count++] = (name)
    switch (field) {
    case FIELD_model:
        ADD(config->num_models, config->models[i].name);
        break;
    case FIELD_trace:
        ADD(config->num_traces, config->traces[i].name);
        break;
    case FIELD_device:
        ADD(config->num_clusters, config->clusters[i].device.name);
        break;
    case FIELD_network_device:
        ADD(config->num_clusters, config->clusters[i].node.name);
        break;
    case FIELD_scheduler:
        for (; count < most && vidur_scheduler_at(count); count++)
            names[count] = vidur_scheduler_at(count)->name;
        break;
    case FIELD_router:
        ADD(config->num_routers, config->routers[i]);
        break;
    case FIELD_memory_planner:
        for (; count < most && vidur_memory_planner_names[count]; count++)
            names[count] = vidur_memory_planner_names[count];
        break;
    case FIELD_precision:
        ADD(config->num_served, config->served[i].precision);
        break;
    case FIELD_kv_cache_dtype:
        names[count++] = vidur_dtype_name(VIDUR_DTYPE_bf16);
        names[count++] = vidur_dtype_name(VIDUR_DTYPE_fp8);
        break;
    }
#undef ADD
    return count;
}

/* An SKU of the data that this search leaves out. */
static bool is_sku(int field, const char *name)
{
    struct vidur_device_sku device;
    struct vidur_node_sku node;
    return (field == FIELD_device && vidur_device_sku_load(&device, name, NULL) == 0) ||
           (field == FIELD_network_device &&
            vidur_node_sku_load(&node, name, NULL) == 0);
}

static int check_condition(const struct vidur_search_config *config,
                           const struct rule_condition *condition,
                           const struct vidur_yaml_node *value, struct vidur_error *err)
{
    const char *names[256];
    const int most = (int)(sizeof names / sizeof names[0]);
    if (condition->field >= NUM_TEXTS)
        return 0;
    const int count = known_names(config, condition->field, names, most);
    for (int i = 0; i < condition->count; i++) {
        const char *word = condition->words[i];
        bool known = count == most || is_sku(condition->field, word);
        for (int n = 0; n < count && !known; n++)
            known = strcmp(names[n], word) == 0;
        const char *nearest = vidur_text_nearest(word, names, count);
        if (!known)
            return vidur_yaml_fail(vidur_yaml_kind(value) == VIDUR_YAML_IS_SEQUENCE
                                       ? vidur_yaml_item(value, i)
                                       : value,
                                   err, "there is no %s '%s' here; the nearest is '%s'",
                                   field_names[condition->field], word,
                                   nearest ? nearest : "");
    }
    return 0;
}

int rules_check(const struct vidur_yaml_node *node,
                const struct vidur_search_config *config,
                const struct vidur_search_rule *rules, int count,
                struct vidur_error *err)
{
    for (int i = 0; i < count; i++)
        for (int c = 0; c < rules[i].num_conditions; c++)
            if (check_condition(config, &rules[i].conditions[c],
                                vidur_yaml_item(vidur_yaml_item(node, i), c), err) != 0)
                return -1;
    return 0;
}

/* ---- Matching ---- */

/* A scheduler has no value for a knob that it does not use. */
static bool has_field(int field, const struct rule_subject *subject)
{
    const int knob = field - (NUM_FIELDS - NUM_KNOBS);
    return knob < 0 || vidur_scheduler_uses(
                           vidur_scheduler_find(subject->deployment->scheduler.type),
                           (enum vidur_knob)(VIDUR_KNOB_NONE + 1 + knob));
}

static bool holds(const struct rule_condition *condition,
                  const struct rule_subject *subject)
{
    if (!has_field(condition->field, subject))
        return false;
    for (int i = 0; i < condition->count; i++) {
        if (condition->field < NUM_TEXTS
                ? strcmp(condition->words[i], text_of(subject, condition->field)) == 0
                : condition->numbers[i] == number_of(subject, condition->field))
            return true;
    }
    return false;
}

static bool rule_matches(const struct vidur_search_rule *rule,
                         const struct rule_subject *subject)
{
    for (int i = 0; i < rule->num_conditions; i++)
        if (!holds(&rule->conditions[i], subject))
            return false;
    return true;
}

bool rules_admit(const struct vidur_search_rule *includes, int num_includes,
                 const struct vidur_search_rule *excludes, int num_excludes,
                 const struct rule_subject *subject)
{
    bool admitted = num_includes == 0;
    for (int i = 0; i < num_includes && !admitted; i++)
        admitted = rule_matches(&includes[i], subject);
    for (int i = 0; i < num_excludes && admitted; i++)
        admitted = !rule_matches(&excludes[i], subject);
    return admitted;
}
