#include "tables/kernel_library.h"

#include <stdlib.h>
#include <string.h>

struct vidur_kernel_library {
    struct vidur_kernels **systems;
    int count;
};

struct vidur_kernel_library *vidur_kernel_library_create(struct vidur_error *err)
{
    struct vidur_kernel_library *library = calloc(1, sizeof *library);
    if (!library)
        vidur_fail(err, VIDUR_ENOMEM, "kernel tables: out of memory");
    return library;
}

void vidur_kernel_library_destroy(struct vidur_kernel_library *library)
{
    if (!library)
        return;
    for (int i = 0; i < library->count; i++)
        vidur_kernels_close(library->systems[i]);
    free(library->systems);
    free(library);
}

static struct vidur_kernels *find(const struct vidur_kernel_library *library,
                                  const char *dir)
{
    for (int i = 0; i < library->count; i++)
        if (strcmp(vidur_kernels_dir(library->systems[i]), dir) == 0)
            return library->systems[i];
    return NULL;
}

static int keep(struct vidur_kernel_library *library, struct vidur_kernels *kernels,
                struct vidur_error *err)
{
    const size_t count = (size_t)library->count + 1;
    struct vidur_kernels **systems = realloc(library->systems, count * sizeof *systems);
    if (!systems)
        return vidur_fail(err, VIDUR_ENOMEM, "kernel tables: out of memory");
    systems[library->count++] = kernels;
    library->systems = systems;
    return 0;
}

int vidur_kernel_library_open(const struct vidur_engine_request *request,
                              struct vidur_kernels **kernels,
                              struct vidur_kernels **own, struct vidur_error *err)
{
    const struct vidur_device_sku *device = request->device;
    struct vidur_kernel_library *library = request->library;
    struct vidur_path dir;
    if (vidur_kernels_locate(
            &dir, request->kernels_dir,
            device->kernel_system[0] ? device->kernel_system : device->name, err))
        return -1;
    *kernels = library ? find(library, dir.text) : NULL;
    if (*kernels)
        return 0;
    if (vidur_kernels_open(kernels, dir.text, err))
        return -1;
    if (!library) {
        *own = *kernels;
        return 0;
    }
    if (keep(library, *kernels, err)) {
        vidur_kernels_close(*kernels);
        return -1;
    }
    return 0;
}
