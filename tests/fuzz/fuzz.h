#ifndef VIDUR_FUZZ_H
#define VIDUR_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* A fuzz target takes any bytes and must neither crash, leak nor break a property that
 * it checks with VIDUR_FUZZ_REQUIRE. libFuzzer calls it, or driver.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VIDUR_FUZZ_REQUIRE(condition)                                                  \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
                    #condition);                                                       \
            abort();                                                                   \
        }                                                                              \
    } while (0)

#endif
