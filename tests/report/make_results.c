#include "synthetic_results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* make_results FILE CANDIDATES SEED [KIND]: writes test data that looks like a
 * search's. Kinds: slos (on other quantiles than the usual ones), replicated, sizes,
 * target (for 50 QPS), unpriced (a device without a price), added
 * (some GPUs are there already), attack. */
int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "make_results FILE CANDIDATES SEED [KIND]\n");
        return 1;
    }
    const char *kind = argc > 4 ? argv[4] : "";
    struct vidur_error err = {0};
    struct vidur_results results;
    synthetic_results(&results, atoi(argv[2]), strtoull(argv[3], NULL, 10));
    if (strcmp(kind, "slos") == 0)
        synthetic_other_slos(&results);
    else if (strcmp(kind, "replicated") == 0)
        synthetic_replicate(&results);
    else if (strcmp(kind, "sizes") == 0)
        synthetic_resize(&results, results.seed);
    else if (strcmp(kind, "target") == 0)
        synthetic_retarget(&results, 50);
    else if (strcmp(kind, "unpriced") == 0)
        synthetic_unprice(&results);
    else if (strcmp(kind, "added") == 0)
        synthetic_add(&results);
    else if (strcmp(kind, "attack") == 0)
        synthetic_attack(&results);
    int failed = vidur_results_write(argv[1], &results, &err);
    if (failed)
        fprintf(stderr, "make_results: %s\n", err.text);
    vidur_results_destroy(&results);
    return failed ? 1 : 0;
}
