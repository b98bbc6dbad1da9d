#ifndef VIDUR_TEST_SAMPLE_CASES_H
#define VIDUR_TEST_SAMPLE_CASES_H

#include <vidur/simulator.h>

/*
 * Small clusters under small loads whose results are checked in: every scheduler, and
 * what makes them differ. Times and lengths are made by additions and divisions alone,
 * so that every compiler and C library simulates the same thing.
 */

enum { SAMPLE_REQUESTS = 14, SAMPLE_MAX_TOKENS = 256, NUM_SAMPLE_CASES = 8 };

struct sample_case {
    const char *name;
    bool restarts; /* memory is so little that requests restart */
    struct vidur_deployment deployment;
    struct vidur_timetable *timetable;
    double arrived_at_s[SAMPLE_REQUESTS];
    int32_t prefill[SAMPLE_REQUESTS];
    int32_t decode[SAMPLE_REQUESTS];
    int32_t prompt[SAMPLE_REQUESTS];
    struct vidur_workload workload; /* of the arrays above: do not copy the struct */
};

/* Makes the index-th case; released with sample_case_close. False: out of memory. */
bool sample_case_open(struct sample_case *sample, int index);
void sample_case_close(struct sample_case *sample);

#endif
