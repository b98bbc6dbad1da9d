#include "base/hash.h"
#include "results/results_notes.h"

#include <vidur/ranking.h>
#include <vidur/results.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Facts that must agree, or the rows cannot be ranked together. Models and workloads
 * too, where both files have them: the same name must mean the same. */
static bool is_kind(const char *section)
{
    static const char *const sections[] = {"slo",   "search", "device",
                                           "model", "node",   "estimator",
                                           "trace", "class",  "have"};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        if (strcmp(section, sections[i]) == 0)
            return true;
    return false;
}

/* Sections that are whole in every file: there a missing fact is a difference. */
static bool is_whole(const char *section)
{
    return strcmp(section, "slo") == 0 || strcmp(section, "search") == 0 ||
           strcmp(section, "have") == 0 || strcmp(section, "estimator") == 0;
}

static bool has_fact(const struct vidur_results *results,
                     const struct vidur_result_fact *wanted)
{
    for (int64_t i = 0; i < results->num_facts; i++)
        if (strcmp(results->facts[i].section, wanted->section) == 0 &&
            strcmp(results->facts[i].name, wanted->name) == 0 &&
            strcmp(results->facts[i].key, wanted->key) == 0 &&
            strcmp(results->facts[i].value, wanted->value) == 0)
            return true;
    return false;
}

/* What a part of a search may say differently: how much of the space it saw. */
static bool is_of_part(const struct vidur_result_fact *fact)
{
    return strncmp(fact->key, "candidates_", 11) == 0 ||
           strcmp(fact->key, "shard") == 0 || strcmp(fact->key, "num_shards") == 0 ||
           strcmp(fact->key, "description") == 0;
}

static int check_facts(const struct vidur_results *a, const char *a_name,
                       const struct vidur_results *b, const char *b_name,
                       struct vidur_error *err)
{
    for (int64_t i = 0; i < a->num_facts; i++) {
        const struct vidur_result_fact *fact = &a->facts[i];
        if (!is_kind(fact->section) || is_of_part(fact) || has_fact(b, fact))
            continue;
        const char *other = vidur_results_fact(b, fact->section, fact->name, fact->key);
        if (!other && !is_whole(fact->section))
            continue;
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: %s %s %s is %s, in %s it is %s; merge results of one "
                          "search only",
                          b_name, fact->section, fact->name, fact->key,
                          other ? other : "absent", a_name, fact->value);
    }
    return 0;
}

static int check_kinds(const struct vidur_results *parts, const char *const *names,
                       int num_parts, struct vidur_error *err)
{
    for (int i = 1; i < num_parts; i++) {
        if (parts[i].seed != parts[0].seed)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: its seed is %llu, that of %s is %llu; merge results "
                              "of one search only",
                              names[i], (unsigned long long)parts[i].seed, names[0],
                              (unsigned long long)parts[0].seed);
        for (int j = 0; j < i; j++)
            if (check_facts(&parts[j], names[j], &parts[i], names[i], err) ||
                check_facts(&parts[i], names[i], &parts[j], names[j], err))
                return -1;
    }
    return 0;
}

/* ---- rows ---- */

/* A row on its way into the result, and where it comes from. */
struct entry {
    const struct vidur_ranking_row *row;
    int part;
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->row->candidate_id, b->row->candidate_id);
    if (order == 0)
        order = strcmp(a->row->model, b->row->model);
    if (order == 0)
        order = strcmp(a->row->trace, b->row->trace);
    return order;
}

static int compare_parts(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = compare_entries(left, right);
    return order != 0 ? order : (a->part > b->part) - (a->part < b->part);
}

static int take_rows(const struct entry *entries, int64_t count,
                     const char *const *names, struct vidur_results *out,
                     struct vidur_error *err)
{
    static const char *const except[] = {"rank", "pareto", "added_qps",
                                         "added_qps_per_dollar", NULL};
    int num_columns;
    const struct vidur_column *columns = vidur_ranking_columns(&num_columns);
    const struct entry *kept = NULL;
    for (int64_t i = 0; i < count; i++) {
        if (!kept || compare_entries(kept, &entries[i]) != 0) {
            kept = &entries[i];
            out->ranking[out->num_ranking++] = *kept->row;
        } else if (!vidur_rows_equal(columns, num_columns, kept->row, entries[i].row,
                                     except)) {
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: candidate %s (%s, %s) differs from the one in %s; "
                              "merge results of one search only",
                              names[entries[i].part], kept->row->candidate_id,
                              kept->row->model, kept->row->trace, names[kept->part]);
        }
    }
    return 0;
}

static int rank_rows(struct vidur_results *out, struct vidur_error *err)
{
    return vidur_rank(out->ranking, out->num_ranking, err) ||
                   vidur_mark_pareto(out->ranking, out->num_ranking, err)
               ? -1
               : 0;
}

/* ---- probes ---- */

struct probe_range {
    const char *id;
    int part;
    int64_t first, count;
};

static int compare_ranges(const void *left, const void *right)
{
    const struct probe_range *a = left, *b = right;
    int order = strcmp(a->id, b->id);
    return order != 0 ? order : (a->part > b->part) - (a->part < b->part);
}

/* The runs of probes of one candidate, in every part, in order of candidate and part.
 */
static int64_t find_ranges(const struct vidur_results *parts, int num_parts,
                           struct probe_range *ranges)
{
    int64_t count = 0;
    for (int part = 0; part < num_parts; part++) {
        for (int64_t i = 0; i < parts[part].num_probes; i++) {
            const struct vidur_probe_row *probe = &parts[part].probes[i];
            if (i == 0 || strcmp(probe[-1].candidate_id, probe->candidate_id) != 0)
                ranges[count++] = (struct probe_range){probe->candidate_id, part, i, 0};
            ranges[count - 1].count++;
        }
    }
    if (count > 1)
        qsort(ranges, (size_t)count, sizeof *ranges, compare_ranges);
    return count;
}

/* The probes of each candidate, from the first part that has it, in ranking order. */
static void take_probes(const struct vidur_results *parts,
                        const struct probe_range *ranges, int64_t count,
                        const int64_t *first_rank, struct vidur_results *out)
{
    for (int64_t i = 0; i < out->num_ranking; i++) {
        struct probe_range key = {out->ranking[i].candidate_id, -1, 0, 0};
        int64_t low = 0, high = count;
        while (low < high) {
            int64_t middle = low + (high - low) / 2;
            if (compare_ranges(&ranges[middle], &key) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == count || strcmp(ranges[low].id, key.id) != 0)
            continue;
        const struct probe_range *range = &ranges[low];
        for (int64_t j = 0; j < range->count; j++) {
            struct vidur_probe_row *probe = &out->probes[out->num_probes++];
            *probe = parts[range->part].probes[range->first + j];
            probe->mpi_rank += first_rank[range->part];
        }
    }
}

/* ---- the rest ---- */

/* Shards of one search: then it can be told whether all of it is there. */
static bool are_of_one_search(const struct vidur_results *parts, int num_parts)
{
    const char *first = vidur_results_fact(&parts[0], "search", "", "num_shards");
    for (int i = 1; i < num_parts; i++) {
        const char *num = vidur_results_fact(&parts[i], "search", "", "num_shards");
        /* the whole of a search makes up for any shard of it */
        if (strcmp(parts[i].config_sha256, parts[0].config_sha256) != 0 ||
            (first && num && strcmp(first, num) != 0))
            return false;
        first = first ? first : num;
    }
    return true;
}

static bool has_whole(const struct vidur_results *parts, int num_parts)
{
    for (int i = 0; i < num_parts; i++)
        if (!vidur_results_fact(&parts[i], "search", "", "num_shards"))
            return true;
    return false;
}

static int merge_facts(const struct vidur_results *parts, int num_parts,
                       struct vidur_results *out, struct vidur_error *err)
{
    const bool one = are_of_one_search(parts, num_parts);
    const bool whole = one && has_whole(parts, num_parts);
    for (int part = 0; part < num_parts; part++) {
        for (int64_t i = 0; i < parts[part].num_facts; i++) {
            const struct vidur_result_fact *fact = &parts[part].facts[i];
            if (has_fact(out, fact) || (one && results_is_own_note(fact)) ||
                (whole && strcmp(fact->key, "num_shards") == 0))
                continue;
            if (vidur_results_add_fact(out,
                                       (struct vidur_fact){fact->section, fact->name,
                                                           fact->key, fact->value},
                                       err))
                return -1;
        }
    }
    if (!one)
        return 0;
    return results_note_rows(out, err) || results_note_shards(out, err) ? -1 : 0;
}

/* The first part's configuration where all agree, otherwise all of them as YAML
 * documents. */
static int merge_configuration(const struct vidur_results *parts, int num_parts,
                               struct vidur_results *out, struct vidur_error *err)
{
    size_t size = 1;
    bool same = true;
    for (int i = 0; i < num_parts; i++) {
        size += strlen(parts[i].config_text) + 8;
        same &= strcmp(parts[i].config_text, parts[0].config_text) == 0;
    }
    out->config_text = calloc(1, size);
    if (!out->config_text)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for merging results");
    snprintf(out->config_path, sizeof out->config_path, "%s", parts[0].config_path);
    for (int i = 0; i < (same ? 1 : num_parts); i++) {
        strcat(out->config_text, i ? "\n---\n" : "");
        strcat(out->config_text, parts[i].config_text);
    }
    memcpy(out->config_sha256, parts[0].config_sha256, sizeof out->config_sha256);
    if (!same) {
        struct vidur_sha256 sha;
        vidur_sha256_init(&sha);
        vidur_sha256_add(&sha, out->config_text, strlen(out->config_text));
        vidur_sha256_hex(&sha, out->config_sha256);
    }
    return 0;
}

static int merge_tables(const struct vidur_results *parts, const char *const *names,
                        int num_parts, struct vidur_results *out,
                        struct vidur_error *err)
{
    size_t rows = 0, probes = 0;
    for (int i = 0; i < num_parts; i++) {
        rows += (size_t)parts[i].num_ranking;
        probes += (size_t)parts[i].num_probes;
    }
    struct entry *entries = calloc(rows + 1, sizeof *entries);
    struct probe_range *ranges = calloc(probes + 1, sizeof *ranges);
    int64_t *first_rank = calloc((size_t)num_parts, sizeof *first_rank);
    out->ranking = calloc(rows + 1, sizeof *out->ranking);
    out->probes = calloc(probes + 1, sizeof *out->probes);
    int failed = -1;
    if (!entries || !ranges || !first_rank || !out->ranking || !out->probes) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory for merging results");
        goto out;
    }
    int64_t count = 0;
    for (int i = 0; i < num_parts; i++) {
        for (int64_t j = 0; j < parts[i].num_ranking; j++)
            entries[count++] = (struct entry){&parts[i].ranking[j], i};
        if (i > 0)
            first_rank[i] = first_rank[i - 1] + parts[i - 1].ranks;
    }
    qsort(entries, (size_t)count, sizeof *entries, compare_parts);
    failed = take_rows(entries, count, names, out, err) || rank_rows(out, err);
    if (!failed)
        take_probes(parts, ranges, find_ranges(parts, num_parts, ranges), first_rank,
                    out);
out:
    free(first_rank);
    free(ranges);
    free(entries);
    return failed ? -1 : 0;
}

int vidur_results_merge(const struct vidur_results *parts, const char *const *names,
                        int num_parts, struct vidur_results *out,
                        struct vidur_error *err)
{
    *out = (struct vidur_results){0};
    if (num_parts < 1)
        return vidur_fail(err, VIDUR_EINVAL, "no results to merge; name one or more");
    if (check_kinds(parts, names, num_parts, err))
        return -1;
    out->seed = parts[0].seed;
    for (int i = 0; i < num_parts; i++) {
        out->ranks += parts[i].ranks;
        if (parts[i].threads > out->threads)
            out->threads = parts[i].threads;
        if (parts[i].elapsed_s > out->elapsed_s)
            out->elapsed_s = parts[i].elapsed_s; /* array tasks run side by side */
    }
    int failed = merge_configuration(parts, num_parts, out, err) ||
                 merge_tables(parts, names, num_parts, out, err) ||
                 merge_facts(parts, num_parts, out, err);
    if (failed)
        vidur_results_destroy(out);
    return failed ? -1 : 0;
}
