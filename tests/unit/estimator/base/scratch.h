#ifndef VIDUR_TEST_SCRATCH_H
#define VIDUR_TEST_SCRATCH_H

/* A folder for a test's files, gone at the end of the program. */

#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[64];

static void scratch_remove(void)
{
    char path[512];
    DIR *dir = opendir(scratch_folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", scratch_folder, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(path) != 0)
            rmdir(path);
    }
    if (dir)
        closedir(dir);
    rmdir(scratch_folder);
}

/* A path in the folder, in a static buffer of four in turn. */
static const char *scratch_path(const char *name)
{
    static char paths[4][512];
    static int next;
    if (!scratch_folder[0]) {
        strcpy(scratch_folder, "/tmp/vidur-test-XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(scratch_folder));
        atexit(scratch_remove);
    }
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

/* A file with these bytes. */
static inline const char *scratch_file(const char *name, const void *data, size_t size)
{
    const char *path = scratch_path(name);
    FILE *out = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL_FATAL(fwrite(data, 1, size, out), size);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    return path;
}

static inline int scratch_count(void)
{
    int count = 0;
    DIR *dir = opendir(scratch_folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

#endif
