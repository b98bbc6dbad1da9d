#ifndef VIDUR_KERNEL_LIBRARY_H
#define VIDUR_KERNEL_LIBRARY_H

#include "tables/kernels.h"

#include <vidur/engine_table.h>

/*
 * The kernel timings of a request's device: those of its library, which keeps them, or,
 * where it has none, `*own`, which the caller closes. See <vidur/engine_table.h>.
 */
int vidur_kernel_library_open(const struct vidur_engine_request *request,
                              struct vidur_kernels **kernels,
                              struct vidur_kernels **own, struct vidur_error *err);

#endif
