#include "report/report_model.h"
#include "synthetic_results.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 8 };

/* Results made by hand: rows of one model and workload, nodes of eight GPUs. */
struct bench {
    struct vidur_results results;
    struct vidur_ranking_row rows[MAX_ROWS];
    struct vidur_report_model model;
};

struct offer {
    const char *label;
    int gpus, replicas;
    double qps, usd;
};

static struct vidur_ranking_row *add(struct bench *bench, struct offer offer)
{
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    struct vidur_ranking_row *row = &bench->rows[bench->results.num_ranking++];
    vidur_row_clear(columns, count, row);
    snprintf(row->candidate_id, sizeof row->candidate_id, "%d",
             (int)bench->results.num_ranking);
    snprintf(row->model, sizeof row->model, "m");
    snprintf(row->trace, sizeof row->trace, "t");
    snprintf(row->network_device, sizeof row->network_device, "node");
    snprintf(row->scheduler_label, sizeof row->scheduler_label, "%s", offer.label);
    snprintf(row->status, sizeof row->status, VIDUR_STATUS_OK);
    row->tensor_parallel_size = offer.gpus / offer.replicas;
    row->num_pipeline_stages = 1;
    row->num_gpus = offer.gpus;
    row->num_replicas = offer.replicas;
    row->max_qps = offer.qps;
    row->usd_per_hour = offer.usd;
    row->qps_per_dollar = offer.qps / offer.usd;
    return row;
}

static int make(struct bench *bench, struct vidur_report_load load,
                struct vidur_error *err)
{
    const struct vidur_report_options options = {.load = load};
    bench->results.ranking = bench->rows;
    if (!vidur_results_fact(&bench->results, "node", "node", "devices_per_node"))
        vidur_results_add_fact(
            &bench->results,
            (struct vidur_fact){"node", "node", "devices_per_node", "8"}, NULL);
    return vidur_report_model_make(&bench->model, &bench->results, &options, err);
}

static struct vidur_report_sizing choose(struct bench *bench,
                                         struct vidur_report_load load)
{
    CU_ASSERT_EQUAL_FATAL(make(bench, load, NULL), 0);
    struct vidur_report_sizing best = vidur_report_choose(&bench->model, 0, NULL);
    if (best.row) /* not the model's copy, which goes */
        best.row = &bench->rows[best.row - bench->model.rows];
    vidur_report_model_release(&bench->model);
    return best;
}

static void release(struct bench *bench)
{
    free(bench->results.facts);
}

/* The best QPS per dollar is 24 USD/h away from the cheapest for 50 QPS. */
static void test_cheapest_of_all_candidates(void)
{
    struct bench bench = {0};
    add(&bench,
        (struct offer){"large", 8, 1, 100, 32}); /* 3.1 QPS/$, but 8 GPUs at once */
    add(&bench,
        (struct offer){"small", 16, 16, 100, 40}); /* 2.5 QPS/$, 2.5 USD a GPU */
    struct vidur_report_sizing best =
        choose(&bench, (struct vidur_report_load){.target_qps = 50});
    CU_ASSERT_STRING_EQUAL(best.row->scheduler_label, "small");
    CU_ASSERT_EQUAL(best.replicas, 8);
    CU_ASSERT_EQUAL(best.gpus, 8);
    CU_ASSERT_EQUAL(best.usd_per_hour, 20);
    CU_ASSERT_EQUAL(best.capacity_qps, 50);
    CU_ASSERT_FALSE(best.simulated);
    best = choose(&bench, (struct vidur_report_load){.target_qps = 99});
    CU_ASSERT_STRING_EQUAL(best.row->scheduler_label, "large");
    CU_ASSERT_EQUAL(best.usd_per_hour, 32);
    CU_ASSERT_TRUE(best.simulated);
    best = choose(&bench, (struct vidur_report_load){.target_qps = 101});
    CU_ASSERT_EQUAL(best.replicas, 17);
    CU_ASSERT_EQUAL(best.usd_per_hour, 42.5);
    release(&bench);
}

static void test_headroom_and_nodes(void)
{
    struct bench bench = {0};
    struct vidur_error err = {0};
    add(&bench, (struct offer){"a", 16, 16, 160, 32});
    struct vidur_report_sizing best =
        choose(&bench, (struct vidur_report_load){.target_qps = 50, .headroom = 0.1});
    CU_ASSERT_EQUAL(best.replicas, 6); /* 55 QPS */
    CU_ASSERT_EQUAL(best.nodes, 1);
    best = choose(&bench, (struct vidur_report_load){50, 0.7, true});
    CU_ASSERT_EQUAL(best.replicas, 9);
    CU_ASSERT_EQUAL(best.nodes, 2);
    CU_ASSERT_EQUAL(best.gpus, 9);
    CU_ASSERT_EQUAL(best.billed_gpus, 16);
    CU_ASSERT_EQUAL(best.usd_per_hour, 32);
    snprintf(bench.rows[0].network_device, sizeof bench.rows[0].network_device, "new");
    CU_ASSERT_EQUAL(make(&bench, (struct vidur_report_load){50, 0, true}, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "how many GPUs a node new has"));
    vidur_report_model_release(&bench.model);
    CU_ASSERT_EQUAL(choose(&bench, (struct vidur_report_load){50, 0, false}).nodes, 0);
    release(&bench);
}

/* Of rows that were made for a load the report's choice is the ranking's, and what they
 * serve is no maximum. */
static void test_made_for_a_load(void)
{
    static const double margins[] = {0.1, 0.4, 0.3};
    struct bench bench = {0};
    char text[512];
    for (int i = 0; i < 3; i++) {
        char label[8];
        snprintf(label, sizeof label, "%c", 'a' + i);
        struct vidur_ranking_row *row =
            add(&bench, (struct offer){label, 1, 1, NAN, 4});
        row->target_qps = 5;
        row->margin = margins[i];
    }
    const struct vidur_report_load load = {.target_qps = 5};
    struct vidur_report_sizing best = choose(&bench, load);
    CU_ASSERT_STRING_EQUAL(best.row->scheduler_label, "b");
    vidur_format_sizing(&best, &load, text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "; serves at least 5.00 QPS (simulated)"));
    const struct vidur_report_load more = {.target_qps = 8};
    best = choose(&bench, more);
    CU_ASSERT_EQUAL(best.replicas, 2);
    CU_ASSERT_STRING_EQUAL(best.row->scheduler_label, "b");
    vidur_format_sizing(&best, &more, text, sizeof text);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "; serves at least 10.0 QPS (scaled from 1 replica, not simulated"));
    release(&bench);
}

/* 4, 3.5 and 3.75 QPS a replica with 2, 8 and 16 of them. */
static void test_several_sizes(void)
{
    static const struct {
        double qps;
        int64_t replicas;
        bool simulated;
        double capacity;
    } cases[] = {{3, 1, false, 4},         {4.5, 2, true, 8},     {8.1, 3, false, 10.5},
                 {24.5, 7, false, 24.5},   {25, 8, true, 28},     {28, 8, true, 28},
                 {28.1, 9, false, 31.5},   {52.6, 16, true, 60},  {60, 16, true, 60},
                 {60.1, 17, false, 63.75}, {600, 160, false, 600}};
    struct bench bench = {0};
    add(&bench, (struct offer){"a", 16, 16, 60, 16});
    add(&bench, (struct offer){"a", 2, 2, 8, 2});
    add(&bench, (struct offer){"a", 8, 8, 28, 8});
    add(&bench, (struct offer){"a", 8, 8, 29, 8}); /* a size twice: the lesser counts */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_report_sizing best =
            choose(&bench, (struct vidur_report_load){.target_qps = cases[i].qps});
        CU_ASSERT_EQUAL(best.replicas, cases[i].replicas);
        CU_ASSERT_EQUAL(best.simulated, cases[i].simulated);
        CU_ASSERT_DOUBLE_EQUAL(best.capacity_qps, cases[i].capacity, 1e-12);
    }
    CU_ASSERT_EQUAL_FATAL(make(&bench, (struct vidur_report_load){0}, NULL), 0);
    CU_ASSERT_EQUAL(bench.model.num_families, 1);
    CU_ASSERT_EQUAL(bench.model.families[0].num_sizes, 3);
    vidur_report_model_release(&bench.model);
    bench.rows[1].usd_per_hour = 3; /* another price: another offer */
    CU_ASSERT_EQUAL_FATAL(make(&bench, (struct vidur_report_load){0}, NULL), 0);
    CU_ASSERT_EQUAL(bench.model.num_families, 2);
    vidur_report_model_release(&bench.model);
    release(&bench);
}

static void test_what_counts(void)
{
    struct bench bench = {0};
    struct vidur_ranking_row *row = add(&bench, (struct offer){"a", 4, 4, 40, 4});
    const struct vidur_report_load load = {.target_qps = 40};
    CU_ASSERT_EQUAL(choose(&bench, load).replicas, 4);
    row->max_qps_low = 32; /* all of its seeds hold there */
    CU_ASSERT_EQUAL(choose(&bench, load).replicas, 5);
    row->max_qps_low = row->max_qps = NAN;
    row->target_qps = 20; /* the search was asked for this */
    CU_ASSERT_EQUAL(choose(&bench, load).replicas, 8);
    CU_ASSERT_TRUE(choose(&bench, (struct vidur_report_load){20, 0, false}).simulated);
    row->target_qps = NAN;
    CU_ASSERT_PTR_NULL(choose(&bench, load).row);
    row->max_qps = 40;
    snprintf(row->status, sizeof row->status, VIDUR_STATUS_FAILED);
    CU_ASSERT_PTR_NULL(choose(&bench, load).row);
    release(&bench);
}

static void test_ties(void)
{
    struct bench bench = {0};
    const struct vidur_report_load load = {.target_qps = 10};
    add(&bench, (struct offer){"a", 4, 1, 10, 8});
    add(&bench, (struct offer){"b", 2, 1, 10, 8}); /* fewer GPUs for the same price */
    CU_ASSERT_STRING_EQUAL(choose(&bench, load).row->scheduler_label, "b");
    add(&bench, (struct offer){"c", 2, 1, 11, 8}); /* more capacity */
    CU_ASSERT_STRING_EQUAL(choose(&bench, load).row->scheduler_label, "c");
    add(&bench, (struct offer){"d", 2, 1, 11, 8}); /* the id */
    CU_ASSERT_STRING_EQUAL(choose(&bench, load).row->scheduler_label, "c");
    add(&bench, (struct offer){"e", 8, 1, 10, 8 - 1e-12}); /* no cent less */
    CU_ASSERT_STRING_EQUAL(choose(&bench, load).row->scheduler_label, "c");
    release(&bench);
}

/* Nothing overflows, whatever a file or a command line says. */
static void test_limits(void)
{
    struct bench bench = {0};
    struct vidur_ranking_row *row = add(&bench, (struct offer){"a", 4, 4, 40, 4});
    CU_ASSERT_PTR_NULL(choose(&bench, (struct vidur_report_load){1e300, 0, false}).row);
    CU_ASSERT_PTR_NULL(choose(&bench, (struct vidur_report_load){1e11, 0, false}).row);
    CU_ASSERT_EQUAL(choose(&bench, (struct vidur_report_load){1e10, 0, true}).replicas,
                    1000000000);
    CU_ASSERT_EQUAL(choose(&bench, (struct vidur_report_load){1e-300, 0, 0}).replicas,
                    1);
    row->max_qps = 1e-300;
    CU_ASSERT_PTR_NULL(choose(&bench, (struct vidur_report_load){50, 0, false}).row);
    row->max_qps = 40;
    row->num_gpus = INT64_MAX;
    row->num_replicas = 1;
    CU_ASSERT_PTR_NULL(choose(&bench, (struct vidur_report_load){50, 0, true}).row);
    row->num_replicas = INT64_MAX;
    CU_ASSERT_EQUAL(choose(&bench, (struct vidur_report_load){1e-18, 0, false}).gpus,
                    1);
    row->num_replicas = 0;
    CU_ASSERT_PTR_NULL(choose(&bench, (struct vidur_report_load){50, 0, false}).row);
    row->num_replicas = row->num_gpus = 4;
    row->usd_per_hour = INFINITY;
    CU_ASSERT_PTR_NULL(choose(&bench, (struct vidur_report_load){50, 0, false}).row);
    release(&bench);
}

/* The least price that trying every candidate's replicas one by one gives. */
static double least_by_trying(const struct vidur_report_model *model, int group,
                              double qps)
{
    double least = INFINITY;
    for (int64_t i = 0; i < model->groups[group].num_rows; i++) {
        const struct vidur_ranking_row *row = &model->groups[group].rows[i];
        if (vidur_status_of(row) != VIDUR_STATUS_INDEX_OK)
            continue;
        const double rate = row->max_qps / (double)row->num_replicas;
        int64_t replicas = 1;
        while ((double)replicas * rate < qps)
            replicas++;
        const double usd =
            row->usd_per_hour / (double)row->num_replicas * (double)replicas;
        least = usd < least ? usd : least;
    }
    return least;
}

static void test_against_trying(void)
{
    static const double loads[] = {0.3, 3, 20, 50, 123.4, 1000};
    struct vidur_results results;
    synthetic_results(&results, 450, 1);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        const struct vidur_report_options options = {.load.target_qps = loads[i]};
        struct vidur_report_model model;
        CU_ASSERT_EQUAL_FATAL(vidur_report_model_make(&model, &results, &options, NULL),
                              0);
        for (int group = 0; group < model.num_groups; group++) {
            const struct vidur_report_sizing best =
                vidur_report_choose(&model, group, NULL);
            CU_ASSERT_DOUBLE_EQUAL(best.usd_per_hour,
                                   least_by_trying(&model, group, loads[i]), 1e-9);
            CU_ASSERT_TRUE(best.capacity_qps >= loads[i] * (1 - 1e-12));
        }
        vidur_report_model_release(&model);
    }
    vidur_results_destroy(&results);
}

static void test_words(void)
{
    struct bench bench = {0};
    char text[1024];
    const struct vidur_report_load load = {10, 0, true};
    struct vidur_ranking_row *row = add(&bench, (struct offer){"vllm", 4, 4, 40, 8});
    row->batch_size = 64;
    struct vidur_report_sizing best = choose(&bench, load);
    vidur_format_sizing(&best, &load, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(
        text,
        "rent 1 replica of TP1 PP1 on node, vllm, batch 64: 1 GPU on 1 node, paid "
        "whole (8 GPUs), $16.00 an hour, $11680.00 a month; uses 100 % of 10.0 QPS "
        "(scaled from 4 replicas, not simulated)");
    row->usd_per_month = 5840;
    row->busy = 71.25;
    row->margin = 0.125;
    vidur_format_target(row, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(
        text,
        "rent 4 replicas of TP1 PP1 on node, vllm, batch 64: 4 GPUs, $8.00 an "
        "hour, $5840.00 a month; busy 71.3 % of the time, 12.5 % within the worst "
        "SLO's limit (simulated)");
    const struct vidur_report_sizing none = {.row = NULL};
    vidur_format_sizing(&none, &load, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "nothing in these results can be rented for it");
    release(&bench);
}

VIDUR_TEST_MAIN("sizes for a load",
                {"the cheapest of all candidates", test_cheapest_of_all_candidates},
                {"headroom and whole nodes", test_headroom_and_nodes},
                {"made for a load", test_made_for_a_load},
                {"several simulated sizes", test_several_sizes},
                {"which QPS count", test_what_counts}, {"ties", test_ties},
                {"limits", test_limits}, {"against trying", test_against_trying},
                {"words", test_words})
