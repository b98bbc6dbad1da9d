#include "test.h"

#include "small_search.h"
#include "study/study.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Results depend neither on the order in which steps and jobs end nor on where a search
 * was killed: a farm that goes by a draw, like ranks of any speed, against the serial
 * one.
 */

static volatile int stop;
static struct vidur_search_config config;
static struct vidur_space space;

/* Few requests, so that seeds differ; many candidates that are nearly as good.
 * `clusters` may be NULL: one of A100s. */
static void open_space(const char *more, const char *clusters)
{
    const char *sets[] = {"traces.0.num_requests=200", "tp_dimensions=[1]",
                          "batch_sizes=[8, 16, 20, 24, 28, 32, 48, 64]", clusters};
    struct vidur_error err = {0};
    int rc = vidur_search_config_load(&config, small_search_config(more), sets,
                                      clusters ? 4 : 3, &err);
    if (rc == 0)
        rc = vidur_space_build(&space, &config, &err);
    if (rc != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    stop = 0;
}

static void close_space(void)
{
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static struct study *open_study(const char *journal, bool resume)
{
    const struct study_options options = {.ranks = 1, .threads = 1};
    struct study_resumed resumed;
    struct study *study;
    CU_ASSERT_EQUAL_FATAL(study_create(&study, &space, &options, NULL), 0);
    const int rc = resume ? study_resume_journal(study, journal, &resumed, NULL)
                          : study_begin_journal(study, journal, NULL);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    return study;
}

/* ---- A farm in any order ---- */

enum { MAX_JOBS = 256, MAX_FLIGHTS = 4 };

struct flight {
    int64_t job;
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
};

struct scramble {
    struct vidur_farm farm;
    uint64_t *random;
    int64_t num_jobs, num_done;
    bool taken[MAX_JOBS], done[MAX_JOBS];
    struct flight flights[MAX_FLIGHTS];
    int num_flights, most_flights;
    bool alone; /* what flies runs alone */
};

static int draw(uint64_t *random, int64_t count)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((*random >> 33) % (uint64_t)count);
}

/* One of those that may begin now; -1: none may. */
static int64_t draw_job(struct scramble *s)
{
    int64_t ready[MAX_JOBS], alone[MAX_JOBS];
    int num_ready = 0, num_alone = 0;
    for (int64_t i = 0; i < s->num_jobs; i++) {
        const struct vidur_farm_job *job = &s->farm.jobs[i];
        if (s->taken[i] || (job->after >= 0 && !s->done[job->after]))
            continue;
        if (job->alone)
            alone[num_alone++] = i;
        else
            ready[num_ready++] = i;
    }
    if (s->alone)
        return -1;
    if (num_ready > 0)
        return ready[draw(s->random, num_ready)];
    if (num_alone == 0 || s->num_flights > 0)
        return -1;
    s->alone = true;
    return alone[draw(s->random, num_alone)];
}

static void finish(struct scramble *s, int64_t job, const void *state)
{
    const struct vidur_farm *farm = &s->farm;
    CU_ASSERT_EQUAL(farm->ops->finish(farm->context, job, state, NULL, NULL), 0);
    s->done[job] = true;
    s->num_done++;
    s->alone = false;
}

static void take_off(struct scramble *s)
{
    const struct vidur_farm_ops *ops = s->farm.ops;
    void *context = s->farm.context;
    int64_t job;
    uint64_t step;
    while (s->num_flights < s->most_flights && (job = draw_job(s)) >= 0) {
        struct flight *flight = &s->flights[s->num_flights];
        memset(flight->state, 0, sizeof flight->state);
        flight->job = job;
        s->taken[job] = true;
        CU_ASSERT_EQUAL(ops->start(context, job, flight->state, NULL), 0);
        if (!ops->next(context, flight->state, &step)) {
            finish(s, job, flight->state);
            continue;
        }
        CU_ASSERT_EQUAL(ops->lease(context, job, NULL), 0);
        s->num_flights++;
    }
}

static void run_step(struct scramble *s)
{
    const struct vidur_farm_ops *ops = s->farm.ops;
    const struct vidur_farm_pulse pulse = {.stop = &stop};
    void *context = s->farm.context;
    alignas(max_align_t) unsigned char result[VIDUR_FARM_MAX_RESULT_BYTES] = {0};
    const int at = draw(s->random, s->num_flights);
    struct flight *flight = &s->flights[at];
    struct vidur_farm_step step = {.job = flight->job, .state = flight->state};
    CU_ASSERT_TRUE_FATAL(ops->next(context, flight->state, &step.step));
    CU_ASSERT_EQUAL_FATAL(ops->run(context, &step, &pulse, result, NULL), 0);
    CU_ASSERT_EQUAL(ops->record(context, flight->job, flight->state, result, NULL), 0);
    ops->tell(context, flight->state, result);
    if (!ops->next(context, flight->state, &step.step)) {
        finish(s, flight->job, flight->state);
        *flight = s->flights[--s->num_flights];
    }
    CU_ASSERT_EQUAL(ops->commit(context, NULL), 0);
}

/* Whether the search came to its end within so many steps. */
static bool scramble(struct study *study, int most_steps, uint64_t *random)
{
    static struct scramble s;
    memset(&s, 0, sizeof s);
    s.farm = study_farm(study, &stop);
    s.random = random;
    s.num_jobs = s.farm.num_jobs;
    s.most_flights = 1 + draw(random, MAX_FLIGHTS);
    for (;;) {
        take_off(&s);
        if (s.num_flights > 0) {
            if (most_steps-- == 0)
                return false;
            run_step(&s);
        } else if (s.num_done == s.num_jobs) {
            const int64_t before = s.num_jobs;
            CU_ASSERT_EQUAL_FATAL(
                s.farm.ops->more(s.farm.context, &s.farm.jobs, &s.num_jobs, NULL), 0);
            CU_ASSERT_TRUE_FATAL(s.num_jobs <= MAX_JOBS);
            if (s.num_jobs == before)
                return true;
        }
    }
}

/* ---- Against the serial farm ---- */

static void take_results(struct study *study, struct vidur_results *results)
{
    struct study_counts counts;
    CU_ASSERT_EQUAL_FATAL(study_results(study, results, NULL), 0);
    study_count(study, &counts);
    CU_ASSERT_EQUAL(counts.probes, results->num_probes);
    study_destroy(study);
}

static void run_serial(const char *name, bool resume, struct vidur_results *results)
{
    struct study *study = open_study(small_search_path(name), resume);
    const struct vidur_farm farm = study_farm(study, &stop);
    CU_ASSERT_EQUAL_FATAL(vidur_farm_run_serial(&farm, NULL, NULL), 0);
    take_results(study, results);
}

/* Killed after up to `most_steps` steps, again and again, until it is through. */
static void run_killed(int most_steps, uint64_t *random, struct vidur_results *results)
{
    char journal[128];
    snprintf(journal, sizeof journal, "%s", small_search_path("killed.journal"));
    struct study *study = open_study(journal, false);
    while (!scramble(study, 1 + draw(random, most_steps), random)) {
        study_destroy(study);
        study = open_study(journal, true);
    }
    take_results(study, results);
}

static void expect_equal(const struct vidur_results *a, const struct vidur_results *b)
{
    static const char *const not_compared[] = {"wall_s", "mpi_rank", NULL};
    int ranking_columns, probe_columns, wrong = 0;
    const struct vidur_column *r = vidur_ranking_columns(&ranking_columns);
    const struct vidur_column *p = vidur_probe_columns(&probe_columns);
    for (int64_t i = 0; i < a->num_ranking; i++)
        wrong += !vidur_rows_equal(r, ranking_columns, &a->ranking[i], &b->ranking[i],
                                   not_compared);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(a->num_probes, b->num_probes);
    for (int64_t i = 0; i < a->num_probes && a->num_probes == b->num_probes; i++)
        wrong += !vidur_rows_equal(p, probe_columns, &a->probes[i], &b->probes[i],
                                   not_compared);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void check(const char *more, int most_steps, int trials)
{
    struct vidur_results whole, killed;
    open_space(more, NULL);
    run_serial("whole.journal", false, &whole);
    for (int trial = 0; trial < trials; trial++) {
        uint64_t random = (uint64_t)trial;
        run_killed(most_steps, &random, &killed);
        expect_equal(&whole, &killed);
        vidur_results_destroy(&killed);
    }
    vidur_results_destroy(&whole);
    close_space();
}

static void test_any_order(void)
{
    check("search: {confirm_top: 2, granularity: 0.01}\n", 1 << 20, 8);
    check("search: {confirm_top: 2, granularity: 0.01}\ntarget: {qps: 30}\n", 1 << 20,
          4);
}

/* Also between the seeds of those that are confirmed, which drop out of the best few
 * with some of their seeds and are back with all of them. */
static void test_killed_in_any_order(void)
{
    static const char *const others[] = {
        ("search: {confirm_top: 2, granularity: 0.01, max_deaths: 1000}\n"
         "target: {qps: 30}\n"),
        "search: {confirm_top: 2, replications: 3, confirm: 2, max_deaths: 1000}\n",
        "search: {confirm_top: 2, max_iterations: 4, max_deaths: 1000}\n"};
    for (int top = 1; top <= 4; top++) {
        char more[96];
        snprintf(more, sizeof more,
                 "search: {confirm_top: %d, granularity: 0.01, max_deaths: 1000}\n",
                 top);
        check(more, 60, 6);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        check(others[i], 60, 2);
}

static int64_t count_confirmed(const struct vidur_results *results)
{
    int64_t count = 0;
    for (int64_t i = 0; i < results->num_ranking; i++)
        count += results->ranking[i].replications > 1;
    return count;
}

/* Those that were among the best under other prices are confirmed no longer, though all
 * of their seeds are in the journal. */
static void test_resumed_with_other_prices(void)
{
    static const char *const more = "search: {confirm_top: 2}\n";
    static const char *const then =
        "clusters=[{device: a100, network_device: a100_dgx, num_gpus: 2, "
        "usd_per_gpu_hour: 1}, {device: h100, network_device: h100_dgx, num_gpus: 2, "
        "usd_per_gpu_hour: 9}]";
    static const char *const now =
        "clusters=[{device: a100, network_device: a100_dgx, num_gpus: 2, "
        "usd_per_gpu_hour: 9}, {device: h100, network_device: h100_dgx, num_gpus: 2, "
        "usd_per_gpu_hour: 1}]";
    struct vidur_results before, whole, resumed;
    open_space(more, then);
    run_serial("priced.journal", false, &before);
    CU_ASSERT_STRING_EQUAL(before.ranking[0].device, "a100");
    close_space();
    open_space(more, now);
    run_serial("whole.journal", false, &whole);
    run_serial("priced.journal", true, &resumed);
    CU_ASSERT_STRING_EQUAL(whole.ranking[0].device, "h100");
    CU_ASSERT_TRUE(count_confirmed(&before) >= 2 && count_confirmed(&whole) >= 2);
    expect_equal(&whole, &resumed);
    close_space();
    vidur_results_destroy(&before);
    vidur_results_destroy(&whole);
    vidur_results_destroy(&resumed);
}

VIDUR_TEST_MAIN("study's order", {"any order", test_any_order},
                {"killed in any order", test_killed_in_any_order},
                {"resumed with other prices", test_resumed_with_other_prices})
