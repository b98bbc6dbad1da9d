#include "test.h"

#include "farm/farm_link.h"
#include "farm/farm_path.h"
#include "toy_farm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- one process ---- */

static void test_serial(void)
{
    static struct toy toy;
    toy_init(&toy, 200, 5, 0);
    toy.resumed_below = 13;
    const struct vidur_farm farm = toy_farm(&toy);
    struct vidur_farm_stats stats;
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, &stats, NULL), 0);
    CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
    CU_ASSERT_EQUAL(toy.num_finished, 200);
    CU_ASSERT_EQUAL(toy.num_leases, 200 - 13);
    CU_ASSERT_EQUAL(stats.steps, toy.num_records);
    CU_ASSERT_EQUAL(stats.wasted, 0);
}

static void test_heaviest_first(void)
{
    static struct toy toy;
    toy_init(&toy, 50, 1, 0);
    const struct vidur_farm farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, NULL), 0);
    for (int64_t a = 0; a < 50; a++)
        for (int64_t b = 0; b < 50; b++)
            if (toy.jobs[a].weight > toy.jobs[b].weight ||
                (toy.jobs[a].weight == toy.jobs[b].weight && a < b))
                CU_ASSERT_TRUE(toy.records[a].order < toy.records[b].order);
}

static void test_suspects_last(void)
{
    static struct toy toy;
    toy_init(&toy, 60, 6, 0);
    for (int64_t i = 0; i < 60; i += 7)
        toy.jobs[i].alone = true;
    const struct vidur_farm farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, NULL), 0);
    CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
    CU_ASSERT_EQUAL(toy_count_beside(&toy), 0);
}

static void test_no_jobs(void)
{
    static struct toy toy;
    toy_init(&toy, 0, 1, 0);
    const struct vidur_farm farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, NULL), 0);
}

static void test_failed_step_ends_its_job_alone(void)
{
    static struct toy toy;
    toy_init(&toy, 40, 4, 0);
    toy.failing_job = 5; /* 6 and 7 wait for it */
    const struct vidur_farm farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, NULL), 0);
    CU_ASSERT_EQUAL(toy.records[5].failed, 1);
    CU_ASSERT_EQUAL(toy.num_finished, 40);
    CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
}

static void test_stop_and_broken_record(void)
{
    static struct toy toy;
    struct vidur_error err;
    toy_init(&toy, 40, 1, 0);
    toy.stop_after = 33;
    struct vidur_farm farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    CU_ASSERT_EQUAL(toy.num_records, 33);
    CU_ASSERT_TRUE(toy.num_commits > 0);
    toy_init(&toy, 40, 1, 0);
    toy.break_after = 20;
    farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_EQUAL(toy.num_records, 20);
}

static void test_bad_order_of_jobs(void)
{
    static struct toy toy;
    struct vidur_error err;
    toy_init(&toy, 4, 1, 0);
    toy.jobs[1].after = 2;
    const struct vidur_farm farm = toy_farm(&toy);
    CU_ASSERT_EQUAL(vidur_farm_run_serial(&farm, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
}

/* ---- which step is wanted ---- */

static void test_path_wants_the_nearest_step(void)
{
    static struct toy toy;
    toy_init(&toy, 1, 1, 0);
    const struct vidur_farm farm = toy_farm(&toy);
    struct farm_path path;
    uint64_t step;
    const uint64_t expected[] = {512, 768, 256, 896, 640, 384, 128};
    farm_path_init(&path, &farm);
    path.job = 0;
    farm.ops->start(farm.context, 0, path.state, NULL);
    for (int i = 0; i < 7; i++) {
        CU_ASSERT_TRUE(farm_path_want(&path, 2, &step, NULL));
        CU_ASSERT_EQUAL(step, expected[i]);
        CU_ASSERT_EQUAL(farm_path_fly(&path, i, step, NULL), 0);
    }
    CU_ASSERT_FALSE(farm_path_want(&path, 2, &step, NULL));
    CU_ASSERT_FALSE(farm_path_want(&path, 0, &step, NULL));
    /* 512 turns out to be too high: what follows 768 is of no interest any more. */
    struct vidur_farm_pulse pulse = {.stop = &toy.stop};
    unsigned char result[VIDUR_FARM_MAX_RESULT_BYTES];
    farm.ops->run(farm.context, &(struct vidur_farm_step){.step = 512}, &pulse, result,
                  NULL);
    const struct farm_outcome outcome = {512, false, result, farm.ops->result_bytes};
    farm_path_land(&path, 0, 512);
    CU_ASSERT_EQUAL(farm_path_store(&path, &outcome, NULL), 0);
    CU_ASSERT_FALSE(farm_path_want(&path, 0, &step, NULL));
    CU_ASSERT_TRUE(farm_path_want(&path, 2, &step, NULL));
    CU_ASSERT_EQUAL(step, toy_target(0) < 512 ? 448u : 960u);
    farm_path_fini(&path);
}

/* ---- many ranks, as threads with mailboxes ---- */

enum { MAX_RANKS = 8, BOX = 512 };

struct box {
    pthread_mutex_t lock;
    struct farm_message *messages;
    int *from;
    int first, count;
};

struct fake_rank {
    struct farm_link link;
    struct fake_world *world;
    struct toy *toy;
    volatile int stop;
    struct vidur_error err;
    int rc;
};

struct fake_world {
    int silent_rank; /* whose messages get lost: it might as well be dead */
    double stop_patience_s;
    struct box boxes[MAX_RANKS];
    struct fake_rank ranks[MAX_RANKS];
};

static int fake_send(void *self, int to, const struct farm_message *message,
                     struct vidur_error *err)
{
    struct fake_rank *rank = self;
    struct box *box = &rank->world->boxes[to];
    (void)err;
    if (rank->link.rank == rank->world->silent_rank)
        return 0;
    pthread_mutex_lock(&box->lock);
    const int at = (box->first + box->count++) % BOX;
    memcpy(&box->messages[at], message, farm_message_bytes(message));
    box->from[at] = rank->link.rank;
    pthread_mutex_unlock(&box->lock);
    return 0;
}

static int fake_receive(void *self, struct farm_message *message, int *from,
                        struct vidur_error *err)
{
    struct fake_rank *rank = self;
    struct box *box = &rank->world->boxes[rank->link.rank];
    (void)err;
    pthread_mutex_lock(&box->lock);
    const int got = box->count > 0;
    if (got) {
        *message = box->messages[box->first];
        *from = box->from[box->first];
        box->first = (box->first + 1) % BOX;
        box->count--;
    }
    pthread_mutex_unlock(&box->lock);
    return got;
}

static void *fake_worker(void *context)
{
    struct fake_rank *rank = context;
    struct vidur_farm farm = toy_farm(rank->toy);
    farm.stop = &rank->stop;
    farm.stop_patience_s = rank->world->stop_patience_s;
    rank->rc = farm_work(&farm, &rank->link, &rank->err);
    return NULL;
}

struct world_options {
    int ranks;
    bool speculate;
    int max_working_ranks;
    int silent_rank; /* 0: none */
};

static int run_world(struct toy *toy, struct world_options options,
                     struct vidur_farm_stats *stats, struct vidur_error *err)
{
    const int ranks = options.ranks;
    const int silent = options.silent_rank > 0 ? options.silent_rank : -1;
    struct fake_world *world = calloc(1, sizeof *world);
    pthread_t threads[MAX_RANKS];
    world->silent_rank = silent;
    /* Only a dead rank may be left behind, however slow the others are. */
    world->stop_patience_s = silent > 0 ? 0 : 600;
    for (int i = 0; i < ranks; i++) {
        pthread_mutex_init(&world->boxes[i].lock, NULL);
        world->boxes[i].messages = calloc(BOX, sizeof(struct farm_message));
        world->boxes[i].from = calloc(BOX, sizeof(int));
        struct fake_rank *rank = &world->ranks[i];
        *rank = (struct fake_rank){.world = world, .toy = toy};
        rank->link = (struct farm_link){i, ranks, rank, fake_send, fake_receive};
    }
    for (int i = 1; i < ranks; i++)
        pthread_create(&threads[i], NULL, fake_worker, &world->ranks[i]);
    struct vidur_farm farm = toy_farm(toy);
    farm.speculate = options.speculate;
    farm.max_working_ranks = options.max_working_ranks;
    farm.stop_patience_s = world->stop_patience_s;
    const int rc = farm_lead(&farm, &world->ranks[0].link, stats, err);
    for (int i = 1; i < ranks; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(world->ranks[i].rc, rc);
        if (rc != 0)
            CU_ASSERT_EQUAL(world->ranks[i].err.code, err->code);
    }
    for (int i = 0; i < ranks; i++) {
        free(world->boxes[i].messages);
        free(world->boxes[i].from);
        pthread_mutex_destroy(&world->boxes[i].lock);
    }
    free(world);
    return rc;
}

static void test_record_does_not_depend_on_ranks(void)
{
    static struct toy toy;
    struct vidur_farm_stats stats;
    struct vidur_error err;
    const int rank_counts[] = {2, 3, 4, 8};
    for (int r = 0; r < 4; r++) {
        for (int variant = 0; variant < 12; variant++) {
            const int64_t chain = variant % 3 == 0 ? 1 : 5 * (variant % 3);
            toy_init(&toy, variant < 6 ? 60 : 3, chain, 150);
            toy.failing_job = variant % 4 == 3 ? 1 : -1;
            const struct world_options options = {rank_counts[r], variant % 2 == 0,
                                                  variant % 5 == 4 ? 0 : 8, 0};
            CU_ASSERT_EQUAL(run_world(&toy, options, &stats, &err), 0);
            CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
            CU_ASSERT_EQUAL(stats.steps,
                            toy.num_records + stats.wasted + (toy.failing_job >= 0));
            CU_ASSERT_FALSE(stats.abandoned);
        }
    }
}

/* Runs jobs on eight ranks until one of them has run a step ahead that was not needed:
 * at once, unless the machine gives all its time to one of them. */
static bool runs_ahead(int64_t num_jobs, bool every_other_alone)
{
    static struct toy toy;
    struct vidur_farm_stats stats = {0};
    struct vidur_error err;
    for (int tries = 0; tries < 100 && stats.wasted == 0; tries++) {
        toy_init(&toy, num_jobs, 1, 2000);
        for (int64_t i = 0; i < num_jobs && every_other_alone; i += 2)
            toy.jobs[i].alone = true;
        CU_ASSERT_EQUAL(
            run_world(&toy, (struct world_options){8, true, 0, 0}, &stats, &err), 0);
        CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
        CU_ASSERT_EQUAL(toy_count_beside(&toy), 0);
        CU_ASSERT_EQUAL(stats.steps, toy.num_records + stats.wasted);
    }
    return stats.wasted > 0;
}

static void test_idle_ranks_run_ahead(void)
{
    static struct toy toy;
    struct vidur_farm_stats without;
    struct vidur_error err;
    toy_init(&toy, 1, 1, 2000);
    CU_ASSERT_EQUAL(
        run_world(&toy, (struct world_options){8, false, 0, 0}, &without, &err), 0);
    CU_ASSERT_EQUAL(without.wasted, 0);
    CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
    CU_ASSERT_TRUE(runs_ahead(1, false));
}

static void test_what_a_dead_rank_held_is_told(void)
{
    static struct toy toy;
    struct vidur_farm_stats stats;
    struct vidur_error err;
    toy_init(&toy, 200, 1, 300);
    toy.stop_after = 60; /* as mpirun would, when it sees the death */
    CU_ASSERT_EQUAL(
        run_world(&toy, (struct world_options){3, true, 8, 2}, &stats, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    CU_ASSERT_TRUE(stats.abandoned);
    /* What it held at least; of ranks that were too slow to answer as well. */
    int silent = 0;
    for (int i = 0; i < toy.num_lost; i++) {
        CU_ASSERT_FALSE(toy.records[toy.lost[i]].finished);
        silent += toy.records[toy.lost[i]].num_steps == 0;
        for (int earlier = 0; earlier < i; earlier++)
            CU_ASSERT_NOT_EQUAL(toy.lost[i], toy.lost[earlier]);
    }
    CU_ASSERT_TRUE(silent >= 1);
}

static void test_suspects_run_alone_and_last(void)
{
    static struct toy toy;
    struct vidur_farm_stats stats;
    struct vidur_error err;
    for (int variant = 0; variant < 16; variant++) {
        const struct world_options options = {2 + 2 * (variant / 4 % 2),
                                              variant % 2 == 0, variant < 8 ? 8 : 0, 0};
        toy_init(&toy, 40, variant % 4 < 2 ? 1 : 8, 100);
        toy.failing_job = variant % 3 == 0 ? 4 : -1; /* a suspect */
        toy.resumed_below = variant % 5 == 0 ? 6 : 0;
        /* At the beginning, in the middle and at the end of chains, and two in one. */
        for (int64_t i = 0; i < 20; i += i % 5 == 4 ? 3 : 4)
            toy.jobs[i].alone = true;
        CU_ASSERT_EQUAL(run_world(&toy, options, &stats, &err), 0);
        CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
        CU_ASSERT_EQUAL(toy_count_beside(&toy), 0);
        CU_ASSERT_EQUAL(toy.num_finished, 40);
    }
}

/* All ranks work on the steps of one job that runs alone. */
static void test_suspects_are_run_ahead(void)
{
    CU_ASSERT_TRUE(runs_ahead(6, true));
}

static void test_stop_reaches_all_ranks(void)
{
    static struct toy toy;
    struct vidur_farm_stats stats;
    struct vidur_error err;
    toy_init(&toy, 300, 1, 1000);
    toy.stop_after = 40;
    CU_ASSERT_EQUAL(
        run_world(&toy, (struct world_options){4, true, 8, 0}, &stats, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    CU_ASSERT_FALSE(stats.abandoned);
    CU_ASSERT_TRUE(toy.num_records >= 40 && toy.num_finished < 300);
    CU_ASSERT_TRUE(toy.num_commits > 0);
    toy_init(&toy, 300, 1, 500);
    toy.break_after = 25;
    CU_ASSERT_EQUAL(
        run_world(&toy, (struct world_options){4, true, 8, 0}, &stats, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_EQUAL(toy.num_records, 25);
}

VIDUR_TEST_MAIN(
    "farm", {"serial", test_serial}, {"heaviest first", test_heaviest_first},
    {"suspects last", test_suspects_last}, {"no jobs", test_no_jobs},
    {"failed step ends its job alone", test_failed_step_ends_its_job_alone},
    {"stop and broken record", test_stop_and_broken_record},
    {"bad order of jobs", test_bad_order_of_jobs},
    {"a path wants the nearest step", test_path_wants_the_nearest_step},
    {"record does not depend on ranks", test_record_does_not_depend_on_ranks},
    {"idle ranks run ahead", test_idle_ranks_run_ahead},
    {"what a dead rank held", test_what_a_dead_rank_held_is_told},
    {"suspects run alone, after all others", test_suspects_run_alone_and_last},
    {"suspects are run ahead", test_suspects_are_run_ahead},
    {"a stop reaches all ranks", test_stop_reaches_all_ranks})
