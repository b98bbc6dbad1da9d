#ifndef VIDUR_TEST_GOLDEN_CASE_H
#define VIDUR_TEST_GOLDEN_CASE_H

#include "test.h"

#include <vidur/simulation_config.h>
#include <vidur/simulator.h>

#include <stdio.h>

/* One folder of golden runs, ready to be simulated. */
struct golden_case {
    struct vidur_simulation_config config;
    struct vidur_timetable *timetable;
    struct vidur_workload *workload;
    struct vidur_simulator *simulator;
};

static const char *const golden_cases[] = {
    "vllm-arxiv",
    "vllm-pp2",
    "vllm-pp2-restarts",
    "vllm-restarts",
    "vllm-uniform-lengths",
    "sarathi-chat",
    "sarathi-chunk256-arxiv",
    "sarathi-lor-bursts",
    "sarathi-lor-replicas4",
    "sarathi-partial-restart",
    "sarathi-pp2-replicas2",
    "sarathi-pp2-tight",
    "sarathi-random-replicas3",
    "sarathi-restarts",
    "orca-chat",
    "faster-transformer-chat",
    "lightllm-chat",
    "lightllm-tight",
};

enum { NUM_GOLDEN_CASES = sizeof golden_cases / sizeof *golden_cases };

/* Ends the test where something fails. */
static inline void golden_must(int status, const char *name,
                               const struct vidur_error *err)
{
    if (status)
        printf("\n  %s: %s\n", name, err->text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

static inline void golden_open(struct golden_case *golden, const char *name)
{
    char path[1024];
    struct vidur_error err = {0};
    struct vidur_timetable_request request;
    struct vidur_simulation_config *config = &golden->config;
    snprintf(path, sizeof path, "%s/golden/%s/config.yaml", vidur_test_shared_dir(),
             name);
    golden_must(vidur_simulation_config_load(config, path, NULL, 0, &err), name, &err);
    vidur_deployment_table_limits(&config->deployment, config->workload.max_tokens,
                                  &request);
    golden_must(vidur_timetable_open(&golden->timetable, &config->estimator, &request,
                                     NULL, &err),
                name, &err);
    golden_must(vidur_workload_create(&golden->workload, &config->workload, &err), name,
                &err);
    golden_must(vidur_simulator_create(&golden->simulator, &config->deployment,
                                       golden->timetable, config->workload.max_tokens,
                                       &err),
                name, &err);
}

static inline void golden_close(struct golden_case *golden)
{
    vidur_simulator_destroy(golden->simulator);
    vidur_workload_destroy(golden->workload);
    vidur_timetable_close(golden->timetable);
    vidur_simulation_config_release(&golden->config);
}

#endif
