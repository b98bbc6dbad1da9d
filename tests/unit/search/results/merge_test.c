#include "results/results_notes.h"
#include "synthetic_results.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"a.h5", "b.h5", "c.h5"};

/* The rows whose index leaves `part` when divided by `parts`, with their probes. */
static void take_part(const struct vidur_results *whole, int part, int parts,
                      struct vidur_results *out)
{
    synthetic_results(out, 0, whole->seed);
    free(out->ranking);
    free(out->probes);
    out->ranking = calloc((size_t)whole->num_ranking + 1, sizeof *out->ranking);
    out->probes = calloc((size_t)whole->num_probes + 1, sizeof *out->probes);
    CU_ASSERT_FATAL(out->ranking && out->probes);
    for (int64_t i = 0; i < whole->num_ranking; i++) {
        if (i % parts != part)
            continue;
        const struct vidur_ranking_row *row = &whole->ranking[i];
        out->ranking[out->num_ranking] = *row;
        out->ranking[out->num_ranking].rank = 99; /* of the part: must not matter */
        out->ranking[out->num_ranking++].pareto = 1;
        for (int64_t j = 0; j < whole->num_probes; j++)
            if (strcmp(whole->probes[j].candidate_id, row->candidate_id) == 0)
                out->probes[out->num_probes++] = whole->probes[j];
    }
}

static void test_parts_make_the_whole(void)
{
    struct vidur_results whole, ordered, parts[3], merged;
    struct vidur_error err = {0};
    synthetic_results(&whole, 200, 6);
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(&whole, names, 1, &ordered, &err), 0);
    for (int i = 0; i < 3; i++)
        take_part(&whole, i, 3, &parts[i]);
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(parts, names, 3, &merged, &err), 0);
    CU_ASSERT_EQUAL_FATAL(merged.num_ranking, whole.num_ranking);
    CU_ASSERT_EQUAL_FATAL(merged.num_probes, whole.num_probes);
    CU_ASSERT_EQUAL(results_note_rows(&whole, &err), 0); /* of all rows, made anew */
    CU_ASSERT_EQUAL(merged.num_facts, whole.num_facts);
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    for (int64_t i = 0; i < whole.num_ranking; i++)
        CU_ASSERT_TRUE(vidur_rows_equal(columns, count, &merged.ranking[i],
                                        &whole.ranking[i], NULL));
    static const char *const except[] = {"mpi_rank", NULL};
    columns = vidur_probe_columns(&count);
    for (int64_t i = 0; i < whole.num_probes; i++)
        CU_ASSERT_TRUE(vidur_rows_equal(columns, count, &merged.probes[i],
                                        &ordered.probes[i], except));
    CU_ASSERT_EQUAL(merged.ranks, 12);
    CU_ASSERT_EQUAL(merged.elapsed_s, 12.5);
    CU_ASSERT_STRING_EQUAL(merged.config_text, whole.config_text);
    CU_ASSERT_STRING_EQUAL(merged.config_sha256, whole.config_sha256);
    for (int i = 0; i < 3; i++)
        vidur_results_destroy(&parts[i]);
    vidur_results_destroy(&merged);
    vidur_results_destroy(&ordered);
    vidur_results_destroy(&whole);
}

/* SLOs in another order are the same SLOs, and their quantiles the same columns. */
static void test_order_of_slos(void)
{
    struct vidur_results parts[2], merged;
    struct vidur_error err = {0};
    for (int i = 0; i < 2; i++) {
        synthetic_results(&parts[i], 60, 2);
        synthetic_other_slos(&parts[i]);
    }
    const int64_t num_facts = parts[1].num_facts; /* the last nine are of three SLOs */
    for (int i = 0; i < 3; i++) {
        struct vidur_result_fact *fact = &parts[1].facts[num_facts - 6 + i];
        const struct vidur_result_fact kept = *fact;
        *fact = fact[3];
        fact[3] = kept;
    }
    CU_ASSERT_STRING_EQUAL(parts[1].facts[num_facts - 1].name, "tpot_p99.9");
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(parts, names, 2, &merged, &err), 0);
    CU_ASSERT_EQUAL(merged.num_ranking, 60);
    int known = 0;
    for (int64_t i = 0; i < 60; i++)
        known += merged.ranking[i].slo_s[1] == 1.25 * merged.ranking[i].tpot_p99_s;
    CU_ASSERT_TRUE(known > 15);
    vidur_results_destroy(&merged);
    parts[1].ranking[7].slo_s[1] = 1e6;
    CU_ASSERT_EQUAL(vidur_results_merge(parts, names, 2, &merged, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, parts[1].ranking[7].candidate_id));
    for (int i = 0; i < 2; i++)
        vidur_results_destroy(&parts[i]);
}

/* A candidate in two parts is kept once, with one part's probes and that part's ranks.
 */
static void test_overlap(void)
{
    struct vidur_results parts[2], merged;
    struct vidur_error err = {0};
    synthetic_results(&parts[0], 60, 2);
    synthetic_results(&parts[1], 60, 2);
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(parts, names, 2, &merged, &err), 0);
    CU_ASSERT_EQUAL(merged.num_ranking, 60);
    CU_ASSERT_EQUAL(merged.num_probes, parts[0].num_probes);
    for (int64_t i = 0; i < merged.num_probes; i++)
        CU_ASSERT_TRUE(merged.probes[i].mpi_rank < 4);
    vidur_results_destroy(&merged);
    parts[1].ranking[7].max_qps = 1e6;
    CU_ASSERT_EQUAL(vidur_results_merge(parts, names, 2, &merged, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "b.h5: candidate "));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, parts[1].ranking[7].candidate_id));
    for (int i = 0; i < 2; i++)
        vidur_results_destroy(&parts[i]);
}

static void test_configurations(void)
{
    struct vidur_results parts[2], merged;
    for (int i = 0; i < 2; i++)
        synthetic_results(&parts[i], 10 * (i + 1), 2);
    free(parts[1].config_text);
    parts[1].config_text = strdup("models: [other]\n");
    /* the second part's rows differ: give it others' ids */
    for (int64_t i = 0; i < parts[1].num_ranking; i++)
        parts[1].ranking[i].candidate_id[0] = 'x';
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(parts, names, 2, &merged, NULL), 0);
    CU_ASSERT_EQUAL(merged.num_ranking, 30);
    CU_ASSERT_PTR_NOT_NULL(strstr(merged.config_text, "\n---\nmodels: [other]\n"));
    CU_ASSERT_EQUAL(strlen(merged.config_sha256), 64);
    CU_ASSERT_STRING_NOT_EQUAL(merged.config_sha256, parts[0].config_sha256);
    vidur_results_destroy(&merged);
    for (int i = 0; i < 2; i++)
        vidur_results_destroy(&parts[i]);
}

static void make_shard(struct vidur_results *part, const char *shard)
{
    synthetic_results(part, 20, 6);
    CU_ASSERT_EQUAL(vidur_results_add_fact(
                        part, (struct vidur_fact){"search", "", "shard", shard}, NULL),
                    0);
    CU_ASSERT_EQUAL(
        vidur_results_add_fact(
            part, (struct vidur_fact){"search", "", "num_shards", "3"}, NULL),
        0);
    CU_ASSERT_EQUAL(results_note_shards(part, NULL), 0);
}

static const char *shards_note(const struct vidur_results *results)
{
    const char *text = vidur_results_fact(results, "note", "shards", "text");
    return text ? text : "";
}

/* What is missing is said until nothing is. */
static void test_shards(void)
{
    struct vidur_results parts[3], two, all;
    for (int i = 0; i < 3; i++)
        make_shard(&parts[i], i == 0 ? "0" : i == 1 ? "1" : "2");
    CU_ASSERT_PTR_NOT_NULL(strstr(shards_note(&parts[0]), "1 of 3 shards"));
    CU_ASSERT_PTR_NOT_NULL(strstr(shards_note(&parts[0]), "missing: 1/3, 2/3."));
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(parts, names, 2, &two, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(shards_note(&two), "2 of 3 shards"));
    CU_ASSERT_PTR_NOT_NULL(strstr(shards_note(&two), "missing: 2/3."));
    const struct vidur_results last[] = {two, parts[2]};
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(last, names, 2, &all, NULL), 0);
    CU_ASSERT_STRING_EQUAL(shards_note(&all), "");
    CU_ASSERT_PTR_NULL(vidur_results_fact(&all, "search", "", "shard"));
    CU_ASSERT_PTR_NULL(vidur_results_fact(&all, "search", "", "num_shards"));
    const struct vidur_results with_whole[] = {all, parts[1]};
    struct vidur_results again;
    CU_ASSERT_EQUAL_FATAL(vidur_results_merge(with_whole, names, 2, &again, NULL), 0);
    CU_ASSERT_STRING_EQUAL(shards_note(&again), "");
    CU_ASSERT_EQUAL(again.num_facts, all.num_facts);
    vidur_results_destroy(&again);
    vidur_results_destroy(&all);
    vidur_results_destroy(&two);
    for (int i = 0; i < 3; i++)
        vidur_results_destroy(&parts[i]);
}

static void check_refused(struct vidur_results parts[2], const char *part)
{
    struct vidur_error err = {0};
    struct vidur_results merged;
    CU_ASSERT_EQUAL(vidur_results_merge(parts, names, 2, &merged, &err), -1);
    if (!strstr(err.text, part) ||
        !strstr(err.text, "merge results of one search only"))
        CU_FAIL(err.text);
}

static void test_other_kinds(void)
{
    struct vidur_results parts[2];
    struct vidur_error err = {0};
    synthetic_results(&parts[0], 10, 2);
    synthetic_results(&parts[1], 10, 2);
    parts[1].seed = 3;
    check_refused(parts, "b.h5: its seed is 3, that of a.h5 is 2");
    parts[1].seed = 2;
    snprintf(parts[1].facts[3].value, sizeof parts[1].facts[3].value, "9");
    check_refused(parts, "b.h5: slo ttft_p90 limit_s is 9, in a.h5 it is 2");
    snprintf(parts[1].facts[3].value, sizeof parts[1].facts[3].value, "2");
    CU_ASSERT_EQUAL(
        vidur_results_add_fact(
            &parts[1], (struct vidur_fact){"slo", "e2e_p50", "limit_s", "1"}, &err),
        0);
    check_refused(parts, "slo e2e_p50 limit_s is absent, in b.h5 it is 1");
    /* a workload that only one part has is no difference */
    parts[1].num_facts--;
    CU_ASSERT_EQUAL(
        vidur_results_add_fact(&parts[1],
                               (struct vidur_fact){"trace", "more", "file", "x"}, &err),
        0);
    struct vidur_results merged;
    CU_ASSERT_EQUAL(vidur_results_merge(parts, names, 2, &merged, &err), 0);
    CU_ASSERT_EQUAL(merged.num_facts, parts[1].num_facts);
    vidur_results_destroy(&merged);
    for (int i = 0; i < 2; i++)
        vidur_results_destroy(&parts[i]);
    CU_ASSERT_EQUAL(vidur_results_merge(NULL, NULL, 0, &merged, &err), -1);
}

VIDUR_TEST_MAIN("merge", {"parts make the whole", test_parts_make_the_whole},
                {"order of SLOs", test_order_of_slos},
                {"a candidate in two parts", test_overlap},
                {"other configurations", test_configurations}, {"shards", test_shards},
                {"results of other kinds are refused", test_other_kinds})
