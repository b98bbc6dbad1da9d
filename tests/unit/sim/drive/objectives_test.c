#include "test.h"
#include "toy_hand.h"
#include "toy_run.h"
#include "toy_scenario.h"

#include "base/quantile.h"

#include <vidur/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- By hand: twenty requests ---- */

enum { NUM_BY_HAND = 20, NUM_ALONE = 16 };

/*
 * A step takes one second and another for each request in it, prompts included. A
 * hundred seconds apart arrive 16 requests alone, with a first token after 2 s and 2 s
 * between tokens, of which the last six ask for one token; then two pairs, with 3 s of
 * both.
 */
static void run_by_hand(const struct vidur_slo *slos, int num_slos, bool stop_early,
                        struct vidur_metrics *metrics)
{
    const struct toy_step_times times = {.fixed_ms = 1000, .per_sampled_ms = 1000};
    double arrived_s[NUM_BY_HAND];
    int32_t prompt[NUM_BY_HAND], output[NUM_BY_HAND];
    uint8_t class_of[NUM_BY_HAND];
    for (int i = 0; i < NUM_BY_HAND; i++) {
        arrived_s[i] = 100 * (i < NUM_ALONE ? i : NUM_ALONE + (i - NUM_ALONE) / 2);
        prompt[i] = 4;
        output[i] = i >= 10 && i < NUM_ALONE ? 1 : 3;
        class_of[i] = i >= 10;
    }
    struct vidur_workload workload =
        toy_workload(NUM_BY_HAND, HAND_TOKENS, arrived_s, prompt, output);
    workload.class_of = class_of;
    workload.num_classes = 2;
    const struct vidur_run_options options = {
        .slos = slos, .num_slos = num_slos, .stop_early = stop_early};
    struct vidur_deployment deployment;
    hand_engine(&deployment);
    struct vidur_timetable *table =
        toy_engine_new(&times, HAND_STEP, HAND_BATCH, HAND_TOKENS);
    struct vidur_simulator *simulator =
        toy_simulate(&deployment, table, &workload, &options, metrics);
    vidur_simulator_destroy(simulator);
    toy_engine_free(table);
}

static struct vidur_slo joint(double ttft_s, double tpot_s, double quantile)
{
    struct vidur_slo slo = {.metric = (enum vidur_latency)VIDUR_SLO_JOINT,
                            .quantile = quantile,
                            .limit_s = 1};
    slo.parts_s[VIDUR_LATENCY_ttft] = ttft_s;
    slo.parts_s[VIDUR_LATENCY_tpot] = tpot_s;
    return slo;
}

/* 16 shares of 0.8 and 4 of 1.2: the 0.8 quantile lies at order statistic 15.2. */
static void test_by_hand(void)
{
    struct vidur_metrics metrics;
    const struct vidur_slo slos[] = {joint(2.5, 2.5, 0.8), joint(2.5, 4, 0.75)};
    run_by_hand(slos, 2, false, &metrics);
    CU_ASSERT_EQUAL(metrics.violated_slo, -1);
    CU_ASSERT_DOUBLE_EQUAL(metrics.slo_value[0], 0.8 + 0.2 * 0.4, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(metrics.slo_value[1], 0.8, 1e-12);
    /* the last pair arrives at 1700 and takes three steps of 3 s */
    CU_ASSERT_EQUAL(metrics.simulated_time_s, 1709);
    CU_ASSERT_EQUAL(metrics.goodput_per_s, 16 / 1709.);
    CU_ASSERT_EQUAL(metrics.slo_missed[1], VIDUR_LATENCY_ttft);
    CU_ASSERT_EQUAL(metrics.slo_missed[0], VIDUR_LATENCY_ttft); /* as many as tpot */
    CU_ASSERT_EQUAL(metrics.slo_missed[2], VIDUR_NUM_LATENCIES);

    const struct vidur_slo lost = joint(4, 2.5, 0.85); /* at 16.15: 1.2 */
    for (int early = 0; early < 2; early++) {
        run_by_hand(&lost, 1, early, &metrics);
        CU_ASSERT_EQUAL(metrics.violated_slo, 0);
        CU_ASSERT_EQUAL(metrics.stopped_early, early);
        CU_ASSERT_EQUAL(metrics.slo_missed[0], VIDUR_LATENCY_tpot);
        if (!early)
            CU_ASSERT_DOUBLE_EQUAL(metrics.slo_value[0], 1.2, 1e-12);
    }
}

/* The first ten are a class, the last ten another: 6 of them are good. */
static void test_classes_by_hand(void)
{
    struct vidur_metrics metrics;
    struct vidur_slo slos[] = {joint(2.5, 2.5, 0.5),
                               {.metric = VIDUR_LATENCY_ttft,
                                .quantile = 1,
                                .limit_s = 2.25,
                                .class_number = 1}};
    slos[0].class_number = 2;
    run_by_hand(slos, 2, true, &metrics);
    CU_ASSERT_EQUAL(metrics.violated_slo, -1);
    CU_ASSERT_DOUBLE_EQUAL(metrics.slo_value[0], 0.8, 1e-12); /* at 4.5 of 0.8 x 6 */
    CU_ASSERT_EQUAL(metrics.slo_value[1], 2);
    CU_ASSERT_EQUAL(metrics.goodput_per_s, 6 / 1709.); /* nothing is asked of others */
    CU_ASSERT_EQUAL(metrics.num_classes, 2);
    CU_ASSERT(isnan(metrics.classes[0].goodput_per_s));
    CU_ASSERT_EQUAL(metrics.classes[1].goodput_per_s, 6 / 1709.);
    CU_ASSERT_EQUAL(metrics.classes[0].num_requests, 10);
    CU_ASSERT_EQUAL(metrics.classes[1].num_completed, 10);
    CU_ASSERT_EQUAL(metrics.classes[0].ttft.max, 2);
    CU_ASSERT_EQUAL(metrics.classes[1].ttft.max, 3);
    CU_ASSERT_EQUAL(metrics.classes[0].tpot.p50, 2);
    CU_ASSERT_EQUAL(metrics.classes[1].tpot.count, 4);
    CU_ASSERT_EQUAL(metrics.classes[1].tpot.p50, 3);
    slos[1].class_number = 2;
    run_by_hand(slos, 2, true, &metrics);
    CU_ASSERT_EQUAL(metrics.violated_slo, 1);
    CU_ASSERT(metrics.stopped_early);
}

/* ---- Random small clusters ---- */

struct world {
    struct toy_scenario *scenario;
    struct vidur_timetable *table;
    struct vidur_workload workload;
    uint8_t class_of[TOY_MAX_REQUESTS];
    struct vidur_slo slos[TOY_NUM_SLOS];
    struct vidur_run_options options;
    struct vidur_simulator *simulator;
};

static const enum vidur_latency of_requests[] = {
    VIDUR_LATENCY_ttft, VIDUR_LATENCY_tpot, VIDUR_LATENCY_e2e,
    VIDUR_LATENCY_e2e_normalized, VIDUR_LATENCY_scheduling_delay};

static void draw_slo(struct vidur_rng *rng, double scale_s, struct vidur_slo *slo)
{
    *slo = (struct vidur_slo){.quantile = 0.5 + 0.49 * vidur_rng_uniform(rng),
                              .class_number = (int)vidur_rng_below(rng, 3)};
    const uint32_t parts = vidur_rng_below(rng, 4);
    slo->metric = of_requests[vidur_rng_below(rng, 5)];
    slo->limit_s = 40 * scale_s * vidur_rng_exponential(rng);
    if (parts == 0)
        return;
    slo->metric = (enum vidur_latency)VIDUR_SLO_JOINT;
    slo->limit_s = 1;
    for (uint32_t i = 0; i < parts; i++) {
        const enum vidur_latency part = of_requests[vidur_rng_below(rng, 5)];
        const bool per_token =
            part == VIDUR_LATENCY_tpot || part == VIDUR_LATENCY_e2e_normalized;
        slo->parts_s[part] =
            (per_token ? 10 : 60) * scale_s * (0.01 + vidur_rng_exponential(rng));
    }
}

static struct world *draw(uint64_t index)
{
    struct world *w = calloc(1, sizeof *w);
    struct vidur_rng rng;
    vidur_rng_init(&rng, 7, vidur_rng_stream("objectives", index));
    w->scenario = toy_scenario_draw(index);
    w->table = toy_scenario_timetable(w->scenario);
    w->workload = toy_scenario_workload(w->scenario);
    for (int i = 0; i < TOY_MAX_REQUESTS; i++)
        w->class_of[i] = (uint8_t)(vidur_rng_below(&rng, 10) < 3);
    w->workload.class_of = w->class_of;
    w->workload.num_classes = 2;
    for (int i = 0; i < TOY_NUM_SLOS; i++)
        draw_slo(&rng, w->scenario->times.fixed_ms * 1e-3, &w->slos[i]);
    w->options = w->scenario->options;
    w->options.slos = w->slos;
    w->options.num_slos = TOY_NUM_SLOS;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(vidur_simulator_create(&w->simulator,
                                                 &w->scenario->deployment, w->table,
                                                 TOY_MAX_TOKENS, &err),
                          0);
    return w;
}

static void run(struct world *w, const struct vidur_run_options *options,
                struct vidur_metrics *metrics)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(
        vidur_simulator_run(w->simulator, &w->workload, options, metrics, &err), 0);
}

static void release(struct world *w)
{
    vidur_simulator_destroy(w->simulator);
    toy_timetable_free(w->table);
    free(w->scenario);
    free(w);
}

static bool may_stop(const struct world *w)
{
    return w->scenario->deployment.num_replicas == 1;
}

/* The stepper and the events agree to the bit, also on when a run is stopped. */
static void test_plain_stepping(void)
{
    int stopped = 0, different = 0;
    for (uint64_t index = 0; index < VIDUR_TEST_CASES(1500); index++) {
        struct world *w = draw(index);
        struct vidur_metrics quick, plain;
        struct vidur_run_options options = w->options;
        options.stop_early = may_stop(w) && index % 4;
        run(w, &options, &quick);
        options.plain_stepping = true;
        run(w, &options, &plain);
        const char *what = toy_metrics_differ(&quick, &plain);
        if (what && different++ < 5)
            printf("\n  case %d: %s", (int)index, what);
        stopped += quick.stopped_early;
        release(w);
    }
    CU_ASSERT_EQUAL(different, 0);
    CU_ASSERT(stopped > VIDUR_TEST_CASES(300));
}

static void test_early_stop_keeps_the_verdict(void)
{
    int stopped = 0, met = 0;
    for (uint64_t index = 0; index < VIDUR_TEST_CASES(1500); index++) {
        struct world *w = draw(index);
        struct vidur_metrics full, early;
        struct vidur_run_options options = w->options;
        for (int i = 0; i < TOY_NUM_SLOS && index % 2; i++) {
            if (!vidur_slo_is_joint(&w->slos[i]))
                w->slos[i].limit_s *= 100;
            for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
                w->slos[i].parts_s[m] *= 100;
        }
        options.time_limit_s = 0;
        options.stop_early = false;
        run(w, &options, &full);
        options.stop_early = true;
        run(w, &options, &early);
        CU_ASSERT_EQUAL(full.violated_slo < 0, early.violated_slo < 0);
        CU_ASSERT(early.num_batches <= full.num_batches);
        stopped += early.stopped_early;
        met += full.violated_slo < 0;
        release(w);
    }
    CU_ASSERT(stopped > VIDUR_TEST_CASES(500));
    CU_ASSERT(met > VIDUR_TEST_CASES(200));
}

/* The worst share of a limit, straight from the records of a run to its end. */
static double share_of(const struct vidur_request_records *r, int64_t i,
                       const struct vidur_slo *slo)
{
    const double tokens = r->arrived_decode_tokens[i];
    const double e2e = r->completed_at_s[i] - r->arrived_at_s[i];
    const double decode = r->completed_at_s[i] - r->prefill_completed_at_s[i];
    const double values[VIDUR_NUM_LATENCIES] = {
        [VIDUR_LATENCY_ttft] = r->prefill_completed_at_s[i] - r->arrived_at_s[i],
        [VIDUR_LATENCY_tpot] = tokens > 1 ? decode / (tokens - 1) : 0,
        [VIDUR_LATENCY_e2e] = e2e,
        [VIDUR_LATENCY_e2e_normalized] = e2e / tokens,
        [VIDUR_LATENCY_scheduling_delay] = r->scheduled_at_s[i] - r->arrived_at_s[i]};
    double worst = 0;
    for (int m = 0; m < VIDUR_NUM_LATENCIES; m++)
        if (slo->parts_s[m] > 0)
            worst = fmax(worst, values[m] / slo->parts_s[m]);
    return worst;
}

static void check_values(const struct world *w, const struct vidur_metrics *metrics)
{
    const struct vidur_request_records *r = vidur_simulator_requests(w->simulator);
    for (int s = 0; s < TOY_NUM_SLOS; s++) {
        const struct vidur_slo *slo = &w->slos[s];
        double shares[TOY_MAX_REQUESTS];
        int64_t count = 0, good = 0;
        if (!vidur_slo_is_joint(slo))
            continue;
        for (int64_t i = 0; i < r->count; i++)
            if (slo->class_number == 0 || w->class_of[i] == slo->class_number - 1) {
                shares[count] = share_of(r, i, slo);
                good += shares[count++] <= 1;
            }
        if (count == 0)
            continue;
        CU_ASSERT_EQUAL(metrics->slo_value[s],
                        vidur_quantile(shares, count, slo->quantile));
        CU_ASSERT((double)good + 1 >= slo->quantile * (double)count ||
                  metrics->slo_value[s] > 1);
        CU_ASSERT(metrics->goodput_per_s * metrics->simulated_time_s <=
                  (double)r->count + 1e-9);
    }
}

/* A joint objective that is met has parts that are, at the same quantile. */
static void check_parts(struct world *w, const struct vidur_metrics *metrics)
{
    for (int s = 0; s < TOY_NUM_SLOS; s++) {
        const struct vidur_slo *slo = &w->slos[s];
        if (!vidur_slo_is_joint(slo) || metrics->slo_value[s] > 1)
            continue;
        for (int m = 0; m < VIDUR_NUM_LATENCIES; m++) {
            const struct vidur_slo part = {.metric = (enum vidur_latency)m,
                                           .quantile = slo->quantile,
                                           .limit_s = slo->parts_s[m],
                                           .class_number = slo->class_number};
            struct vidur_run_options options = w->options;
            struct vidur_metrics single;
            options.stop_early = false;
            options.slos = &part;
            options.num_slos = 1;
            if (!(slo->parts_s[m] > 0))
                continue;
            run(w, &options, &single);
            CU_ASSERT_EQUAL(single.violated_slo, -1);
        }
    }
}

static void test_values(void)
{
    int checked = 0;
    for (uint64_t index = 0; index < 600; index++) {
        struct world *w = draw(index);
        struct vidur_metrics metrics;
        for (int i = 0; i < TOY_MAX_REQUESTS; i++)
            w->scenario->decode[i] += w->scenario->decode[i] == 1; /* tpot of all */
        w->options.stop_early = false;
        w->options.time_limit_s = 0;
        run(w, &w->options, &metrics);
        if (metrics.num_completed == metrics.num_requests) {
            check_values(w, &metrics);
            check_parts(w, &metrics);
            checked++;
        }
        release(w);
    }
    CU_ASSERT(checked > 300);
}

/* ---- What is refused ---- */

static void expect_refusal(struct vidur_slo slo, const char *text)
{
    struct world *w = draw(1);
    struct vidur_metrics metrics;
    struct vidur_error err = {0};
    w->options.slos = &slo;
    w->options.num_slos = 1;
    CU_ASSERT_EQUAL(
        vidur_simulator_run(w->simulator, &w->workload, &w->options, &metrics, &err),
        -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, text));
    release(w);
}

static void test_refusals(void)
{
    struct vidur_slo slo = joint(0, 0, 0.9);
    expect_refusal(slo, "slos.0: all: no limit");
    slo.parts_s[VIDUR_LATENCY_tbt] = 1;
    expect_refusal(slo, "slos.0: all.tbt: gaps between tokens are counted by batches");
    slo = joint(1, -1, 0.9);
    expect_refusal(slo, "slos.0: all.tpot: limit -1 s");
    slo = joint(1, 1, 0.9);
    slo.class_number = 3;
    expect_refusal(slo, "slos.0: class 3 of a workload of 2");
    slo = (struct vidur_slo){.metric = VIDUR_LATENCY_tbt,
                             .quantile = 0.9,
                             .limit_s = 1,
                             .class_number = 1,
                             .class_name = "rag"};
    expect_refusal(slo, "slos.0: metric tbt of class rag");
}

static void test_names(void)
{
    char text[64];
    struct vidur_slo slo = joint(1, 0.04, 0.95);
    vidur_slo_name(&slo, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "goodput_ttft_tpot_p95");
    vidur_slo_describe_parts(&slo, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "ttft 1 s, tpot 0.04 s");
    strcpy(slo.class_name, "rag");
    vidur_slo_name(&slo, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "rag_goodput_ttft_tpot_p95");
}

VIDUR_TEST_MAIN("objectives", {"twenty requests by hand", test_by_hand},
                {"classes by hand", test_classes_by_hand},
                {"plain stepping", test_plain_stepping},
                {"early stop keeps the verdict", test_early_stop_keeps_the_verdict},
                {"values", test_values}, {"refusals", test_refusals},
                {"names", test_names})
