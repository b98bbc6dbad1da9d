#include "test.h"

#include "toy_farm.h"

#include <mpi.h>

#include <stdio.h>
#include <stdlib.h>

/* Run under mpirun with any number of ranks; rank 0 judges. */

static struct toy toy;

static int run(bool speculate, struct vidur_farm_stats *stats, struct vidur_error *err)
{
    struct vidur_farm farm = toy_farm(&toy);
    farm.speculate = speculate;
    farm.stop_patience_s = 600; /* no rank is left behind, however slow */
    return vidur_farm_run_mpi(&farm, stats, err);
}

static int my_rank(void)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

static void test_record_does_not_depend_on_ranks(void)
{
    struct vidur_farm_stats stats;
    struct vidur_error err;
    for (int variant = 0; variant < 8; variant++) {
        toy_init(&toy, variant < 4 ? 60 : 3, variant % 2 ? 5 : 1, 150);
        toy.failing_job = variant % 4 == 3 ? 1 : -1;
        toy.resumed_below = variant == 2 ? 30 : 0;
        CU_ASSERT_EQUAL(run(variant % 3 != 0, &stats, &err), 0);
        if (my_rank() != 0)
            continue;
        CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
        CU_ASSERT_EQUAL(toy.num_finished, toy.num_jobs);
    }
}

static void test_suspects_run_alone_and_last(void)
{
    struct vidur_error err;
    for (int variant = 0; variant < 4; variant++) {
        toy_init(&toy, 30, variant % 2 ? 5 : 1, 150);
        for (int64_t i = 0; i < 30; i += 3)
            toy.jobs[i].alone = true;
        CU_ASSERT_EQUAL(run(variant < 2, NULL, &err), 0);
        if (my_rank() != 0)
            continue;
        CU_ASSERT_EQUAL(toy_count_wrong(&toy), 0);
        CU_ASSERT_EQUAL(toy_count_beside(&toy), 0);
    }
}

static void test_stop_on_any_rank_stops_all(void)
{
    struct vidur_error err;
    toy_init(&toy, 300, 1, 500);
    toy.stop_after = 40;
    CU_ASSERT_EQUAL(run(true, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
    toy_init(&toy, 300, 1, 500);
    toy.stop_at_job = 150; /* whichever rank that is */
    CU_ASSERT_EQUAL(run(true, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
}

static void test_broken_record_stops_all(void)
{
    struct vidur_error err;
    toy_init(&toy, 100, 1, 200);
    toy.break_after = 25;
    CU_ASSERT_EQUAL(run(true, NULL, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    if (my_rank() == 0)
        CU_ASSERT_EQUAL(toy.num_records, 25);
    MPI_Barrier(MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
    static const struct vidur_test_case cases[] = {
        {"record does not depend on ranks", test_record_does_not_depend_on_ranks},
        {"suspects run alone, after all others", test_suspects_run_alone_and_last},
        {"a stop on any rank stops all", test_stop_on_any_rank_stops_all},
        {"a broken record stops all", test_broken_record_stops_all}};
    MPI_Init(&argc, &argv);
    if (my_rank() != 0 && !freopen("/dev/null", "w", stdout))
        return 1;
    const int failed =
        vidur_test_run("farm over MPI", cases, sizeof cases / sizeof cases[0]);
    MPI_Finalize();
    return failed;
}
