#include "space_fixture.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/vidur-space-XXXXXX";
static char path[64];

struct vidur_search_config config;
struct vidur_space space;

const char *space_fixture_folder(void)
{
    if (!path[0]) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/c.yaml", folder);
    }
    return folder;
}

void space_fixture_remove(void)
{
    unlink(path);
    rmdir(folder);
}

int build(const char *text, struct vidur_error *err)
{
    space_fixture_folder();
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
    if (vidur_search_config_load(&config, path, NULL, 0, err) != 0)
        return -1;
    return vidur_space_build(&space, &config, err);
}

void expect_builds(const char *text)
{
    struct vidur_error err = {0};
    if (build(text, &err) != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
}

void release(void)
{
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int64_t collect_ids(const char *text, uint64_t ids[SPACE_IDS])
{
    expect_builds(text);
    const int64_t count = space.num_candidates;
    CU_ASSERT_TRUE_FATAL(count <= SPACE_IDS);
    for (int64_t i = 0; i < count; i++)
        ids[i] = space.candidates[i].id;
    qsort(ids, (size_t)count, sizeof *ids, compare_ids);
    release();
    return count;
}
