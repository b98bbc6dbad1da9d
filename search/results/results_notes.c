#include "results/results_notes.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char rows_name[] = "rows", shards_name[] = "shards";

bool results_is_own_note(const struct vidur_result_fact *fact)
{
    return strcmp(fact->section, "note") == 0 &&
           (strcmp(fact->name, rows_name) == 0 || strcmp(fact->name, shards_name) == 0);
}

static int add_note(struct vidur_results *results, const char *name, const char *text,
                    struct vidur_error *err)
{
    return vidur_results_add_fact(results,
                                  (struct vidur_fact){"note", name, "text", text}, err);
}

static int64_t count_rows(const struct vidur_results *results, const char *status)
{
    int64_t count = 0;
    for (int64_t i = 0; i < results->num_ranking; i++)
        count += strcmp(results->ranking[i].status, status) == 0;
    return count;
}

static int64_t count_bursts(const struct vidur_results *results)
{
    int64_t count = 0;
    for (int64_t i = 0; i < results->num_ranking; i++)
        count += strncmp(results->ranking[i].reason, VIDUR_BURST,
                         sizeof VIDUR_BURST - 1) == 0;
    return count;
}

int results_note_rows(struct vidur_results *results, struct vidur_error *err)
{
    const int64_t rejected = count_rows(results, VIDUR_STATUS_INFEASIBLE_MEMORY) +
                             count_rows(results, VIDUR_STATUS_INVALID);
    const int64_t failed = count_rows(results, VIDUR_STATUS_FAILED);
    char text[256];
    int rc = 0;
    if (results->num_ranking > 0 && rejected == results->num_ranking)
        rc = add_note(results, rows_name,
                      "No candidate fits in memory: rent larger or more GPUs, or split "
                      "the model further (tp_dimensions, pp_dimensions).",
                      err);
    else if (count_rows(results, VIDUR_STATUS_OK) == 0 &&
             count_rows(results, VIDUR_STATUS_SLO_UNREACHABLE) > 0)
        rc = add_note(results, rows_name,
                      "No candidate meets the SLOs at any load; the reasons name the "
                      "SLO that each breaks.",
                      err);
    snprintf(text, sizeof text,
             failed == 1 ? "%s failed and is not ranked; its reason says why."
                         : "%s failed and are not ranked; their reasons say why.",
             vidur_text_counted(failed, "candidate").text);
    if (rc == 0 && failed > 0)
        rc = add_note(results, rows_name, text, err);
    const int64_t bursts = count_bursts(results);
    snprintf(text, sizeof text,
             "%s saw a burst rather than a steady load: %s QPS %s too high. Raise "
             "num_requests.",
             vidur_text_counted(bursts, "ranked candidate").text,
             bursts == 1 ? "its" : "their", bursts == 1 ? "is" : "are");
    if (rc == 0 && bursts > 0)
        rc = add_note(results, rows_name, text, err);
    return rc;
}

/* ---- Shards ---- */

static bool is_search(const struct vidur_result_fact *fact, const char *key)
{
    return strcmp(fact->section, "search") == 0 && strcmp(fact->key, key) == 0;
}

static bool has_shard(const struct vidur_results *results, int64_t shard)
{
    for (int64_t i = 0; i < results->num_facts; i++)
        if (is_search(&results->facts[i], "shard") &&
            atoll(results->facts[i].value) == shard)
            return true;
    return false;
}

static void forget_shards(struct vidur_results *results)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < results->num_facts; i++)
        if (!is_search(&results->facts[i], "shard") &&
            !is_search(&results->facts[i], "num_shards"))
            results->facts[kept++] = results->facts[i];
    results->num_facts = kept;
}

int results_note_shards(struct vidur_results *results, struct vidur_error *err)
{
    enum { NAMED = 4 };
    const char *told = vidur_results_fact(results, "search", "", "num_shards");
    const int64_t num_shards = told ? atoll(told) : 0;
    int64_t there = 0;
    char missing[160] = "", more[48] = "", text[256];
    for (int64_t i = 0; i < results->num_facts; i++)
        there += is_search(&results->facts[i], "shard");
    if (there >= num_shards) {
        forget_shards(results);
        return 0;
    }
    int named = 0;
    for (int64_t i = 0; i < num_shards && named < NAMED; i++) {
        const size_t used = strlen(missing);
        if (!has_shard(results, i) && ++named)
            snprintf(missing + used, sizeof missing - used, "%s%lld/%lld",
                     used ? ", " : "", (long long)i, (long long)num_shards);
    }
    if (num_shards - there > named)
        snprintf(more, sizeof more, " and %lld more",
                 (long long)(num_shards - there - named));
    snprintf(
        text, sizeof text,
        "%lld of %lld shards of the search space are here; missing: %s%s. The best "
        "deployment may be among those.",
        (long long)there, (long long)num_shards, missing, more);
    return add_note(results, shards_name, text, err);
}
