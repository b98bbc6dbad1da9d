#include <vidur/results.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vidur_results_destroy(struct vidur_results *results)
{
    if (!results)
        return;
    free(results->config_text);
    free(results->ranking);
    free(results->probes);
    free(results->facts);
    *results = (struct vidur_results){0};
}

int vidur_results_add_fact(struct vidur_results *results, struct vidur_fact fact,
                           struct vidur_error *err)
{
    size_t count = (size_t)results->num_facts;
    struct vidur_result_fact *grown =
        realloc(results->facts, (count + 1) * sizeof *grown);
    if (!grown)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for the facts of a search");
    struct vidur_result_fact *kept = &grown[count];
    memset(kept, 0, sizeof *kept); /* whole: it is written to files */
    snprintf(kept->section, sizeof kept->section, "%s", fact.section);
    snprintf(kept->name, sizeof kept->name, "%s", fact.name);
    snprintf(kept->key, sizeof kept->key, "%s", fact.key);
    snprintf(kept->value, sizeof kept->value, "%s", fact.value);
    results->facts = grown;
    results->num_facts++;
    return 0;
}

const char *vidur_results_fact(const struct vidur_results *results, const char *section,
                               const char *name, const char *key)
{
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        if (strcmp(fact->section, section) == 0 && strcmp(fact->name, name) == 0 &&
            strcmp(fact->key, key) == 0)
            return fact->value;
    }
    return NULL;
}
