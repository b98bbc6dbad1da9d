#define _XOPEN_SOURCE 700 /* regcomp */

#include "specs/model_hf_modules.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
    const char *text; /* the document's */
    bool is_regex, is_elsewhere;
    regex_t regex;
};

/* A pattern's part from "layers." on: what comes before differs between checkpoints of
 * one model. */
static const char *from_layers(const char *text)
{
    const char *layers = strstr(text, "layers.");
    return layers ? layers : text;
}

/* Modules beside the decoder: encoders, and layers that predict further tokens. */
static bool is_elsewhere(const char *text)
{
    static const char *const words[] = {"visual", "vision",  "audio",
                                        "mtp",    "encoder", "mm_projector"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* Python's expression as POSIX's, from the beginning of a name. */
static int compile(struct pattern *pattern, const char *text,
                   const struct vidur_json_node *node, struct vidur_error *err)
{
    static const struct {
        const char *python, *posix;
    } words[] = {{"(?:", "("}, {"\\d", "[0-9]"}};
    char posix[512] = "^(";
    size_t used = 2;
    while (*text && used < sizeof posix - 16) {
        size_t i = 0;
        for (; i < sizeof words / sizeof words[0]; i++)
            if (strncmp(text, words[i].python, strlen(words[i].python)) == 0)
                break;
        if (i < sizeof words / sizeof words[0]) {
            used += (size_t)snprintf(posix + used, sizeof posix - used, "%s",
                                     words[i].posix);
            text += strlen(words[i].python);
        } else
            posix[used++] = *text++;
    }
    memcpy(posix + used, ")", 2);
    if (*text || strstr(posix, "(?") ||
        regcomp(&pattern->regex, posix, REG_EXTENDED | REG_NOSUB))
        return vidur_json_fail(node, err,
                               "this regular expression is not understood; \\d, (?:) "
                               "and POSIX's are");
    pattern->is_regex = true;
    return 0;
}

static int add(struct hf_patterns *patterns, const char *text,
               const struct vidur_json_node *node, struct vidur_error *err)
{
    struct pattern *items =
        realloc(patterns->items, ((size_t)patterns->count + 1) * sizeof *items);
    if (!items)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for names of modules");
    patterns->items = items;
    struct pattern *pattern = &items[patterns->count];
    *pattern = (struct pattern){.text = text, .is_elsewhere = is_elsewhere(text)};
    if (strncmp(text, "re:", 3) == 0 && compile(pattern, text + 3, node, err))
        return -1;
    patterns->count++;
    return 0;
}

int hf_patterns_read(struct hf_patterns *patterns, const struct vidur_json_node *list,
                     struct vidur_error *err)
{
    for (int i = 0; i < vidur_json_count(list); i++) {
        const struct vidur_json_node item = vidur_json_item(list, i);
        const char *text = vidur_json_as_string(&item, err);
        if (!text || add(patterns, text, &item, err))
            return -1;
    }
    return 0;
}

int hf_patterns_add(struct hf_patterns *patterns, const char *text,
                    const struct vidur_json_node *node, struct vidur_error *err)
{
    return add(patterns, text, node, err);
}

void hf_patterns_free(struct hf_patterns *patterns)
{
    for (int i = 0; i < patterns->count; i++)
        if (patterns->items[i].is_regex)
            regfree(&patterns->items[i].regex);
    free(patterns->items);
    *patterns = (struct hf_patterns){0};
}

/* `*` stands for any characters; a name also stands for all that is within it. */
static bool glob(const char *pattern, const char *name)
{
    const char *star = NULL, *from = NULL; /* the last *, and what it has taken */
    for (;;) {
        if (*pattern == '*') {
            star = pattern++;
            from = name;
        } else if (*pattern == '\0' && (*name == '\0' || *name == '.')) {
            return true;
        } else if (*name && *pattern == *name) {
            pattern++;
            name++;
        } else if (star && *from) {
            pattern = star + 1;
            name = ++from;
        } else {
            return false;
        }
    }
}

static bool matches_regex(const struct pattern *pattern, const char *module)
{
    static const char *const roots[] = {"", "model.", "language_model.model.",
                                        "model.language_model."};
    char name[160];
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        snprintf(name, sizeof name, "%s%s", roots[i], module);
        if (regexec(&pattern->regex, name, 0, NULL, 0) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct pattern *pattern, const char *module)
{
    if (pattern->is_regex)
        return matches_regex(pattern, module);
    if (pattern->is_elsewhere)
        return false;
    const char *text = from_layers(pattern->text);
    if (glob(text, module))
        return true;
    if (strncmp(text, "layers.", 7) == 0)
        return false;
    for (const char *part = module; (part = strchr(part, '.'));) /* "self_attn" */
        if (glob(text, ++part))
            return true;
    return false;
}

bool hf_patterns_cover(const struct hf_patterns *patterns, const char *module)
{
    for (int i = 0; i < patterns->count; i++)
        if (matches(&patterns->items[i], module))
            return true;
    return false;
}
