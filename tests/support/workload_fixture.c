#include "workload_fixture.h"

#include "base/yaml.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct vidur_workload *create(const struct vidur_workload_config *config)
{
    struct vidur_workload *workload = NULL;
    struct vidur_error err = {0};
    int status = vidur_workload_create(&workload, config, &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
    return workload;
}

void assert_not_created(const struct vidur_workload_config *config, const char *text)
{
    struct vidur_workload *workload = NULL;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_workload_create(&workload, config, &err), -1);
    CU_ASSERT_PTR_NULL(workload);
    assert_contains(err.text, text);
}

static char path[64]; /* of file_of's file; "": there is none */

static void remove_file(void)
{
    unlink(path);
}

const char *file_of(const char *text)
{
    if (!path[0])
        atexit(remove_file);
    snprintf(path, sizeof path, "/tmp/vidur_workload_%ld.csv", (long)getpid());
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    return path;
}

int read_section(const char *yaml, struct vidur_workload_config *config,
                 struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_parse("/c/a.yaml", yaml, strlen(yaml), err);
    if (!doc)
        return -1;
    vidur_workload_config_defaults(config);
    int status = vidur_workload_config_read(
        vidur_yaml_get(vidur_yaml_root(doc), "workload"), config, err);
    vidur_yaml_free(doc);
    return status;
}

struct vidur_workload_config of_yaml(const char *yaml)
{
    struct vidur_workload_config config;
    struct vidur_error err = {0};
    int status = read_section(yaml, &config, &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
    return config;
}

struct vidur_workload *create_of(const char *yaml)
{
    struct vidur_workload_config config = of_yaml(yaml);
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    return create(&config);
}

struct vidur_workload_config of_replay(const char *text)
{
    struct vidur_workload_config config;
    vidur_workload_config_defaults(&config);
    config.type = VIDUR_WORKLOAD_TRACE_REPLAY;
    snprintf(config.file, sizeof config.file, "%s", file_of(text));
    return config;
}

void assert_same_requests(const struct vidur_workload *a,
                          const struct vidur_workload *b)
{
    const size_t n = (size_t)a->num_requests;
    CU_ASSERT_EQUAL_FATAL(a->num_requests, b->num_requests);
    CU_ASSERT_EQUAL(memcmp(a->arrived_at_s, b->arrived_at_s, n * sizeof(double)), 0);
    CU_ASSERT_EQUAL(memcmp(a->num_prefill_tokens, b->num_prefill_tokens, n * 4), 0);
    CU_ASSERT_EQUAL(memcmp(a->num_decode_tokens, b->num_decode_tokens, n * 4), 0);
}
