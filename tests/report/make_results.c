#include "synthetic_results.h"

#include <stdio.h>
#include <stdlib.h>

/* make_results FILE CANDIDATES SEED [SLOS]: writes test data that looks like a
 * search's; SLOS, whatever it says, asks for SLOs on other quantiles than the usual
 * ones. */
int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5) {
        fprintf(stderr, "make_results FILE CANDIDATES SEED [SLOS]\n");
        return 1;
    }
    struct vidur_error err = {0};
    struct vidur_results results;
    synthetic_results(&results, atoi(argv[2]), strtoull(argv[3], NULL, 10));
    if (argc == 5)
        synthetic_other_slos(&results);
    int failed = vidur_results_write(argv[1], &results, &err);
    if (failed)
        fprintf(stderr, "make_results: %s\n", err.text);
    vidur_results_destroy(&results);
    return failed ? 1 : 0;
}
