#include "test.h"

#include "base/yaml.h"

#include <vidur/csv.h>
#include <vidur/workload.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * `seeds: reference` makes the requests of every golden case that says how the
 * reference made them: arrival times and lengths, to the bit.
 */

/* Makes a `workload:` section of a generator.yaml: `generator:` renamed, the trace's
 * path completed. */
static void golden_workload(const char *folder, const char *name,
                            struct vidur_workload_config *config)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s/generator.yaml", folder, name);
    struct vidur_error err = {0};
    struct vidur_yaml *doc = vidur_yaml_load(path, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_yaml_node *section =
        vidur_yaml_get(vidur_yaml_root(doc), "generator");
    vidur_workload_config_defaults(config);
    int status = vidur_workload_config_read(section, config, &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
    char *file = config->lengths.file;
    const char *base = strrchr(file, '/');
    if (file[0]) {
        snprintf(path, sizeof path, "%s/traces/%s", folder, base ? base + 1 : file);
        memcpy(file, path, sizeof config->lengths.file);
    }
    vidur_yaml_free(doc);
}

static void compare_requests(const char *folder, const char *name,
                             const struct vidur_workload *w)
{
    static const struct vidur_csv_column columns[] = {
        {"arrived_at", VIDUR_CSV_DOUBLE, 0},
        {"num_prefill_tokens", VIDUR_CSV_INT64, 0},
        {"num_decode_tokens", VIDUR_CSV_INT64, 0},
    };
    static const struct vidur_csv_schema schema = {columns, 3, false};
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s/requests.csv", folder, name);
    struct vidur_error err = {0};
    struct vidur_csv *csv = vidur_csv_read(path, &schema, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(csv);
    CU_ASSERT_EQUAL_FATAL(vidur_csv_rows(csv), w->num_requests);
    int64_t different = 0;
    for (int64_t i = 0; i < w->num_requests; i++)
        different += vidur_csv_doubles(csv, 0)[i] != w->arrived_at_s[i] ||
                     vidur_csv_int64s(csv, 1)[i] != w->num_prefill_tokens[i] ||
                     vidur_csv_int64s(csv, 2)[i] != w->num_decode_tokens[i];
    if (different)
        printf("\n  %s: %lld requests differ\n", name, (long long)different);
    CU_ASSERT_EQUAL(different, 0);
    vidur_csv_free(csv);
}

static void test_golden_requests_to_the_bit(void)
{
    const char *folder = vidur_test_shared_dir();
    if (!folder)
        vidur_test_skip_golden();
    char path[1024];
    snprintf(path, sizeof path, "%s/golden", folder);
    DIR *dir = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    int cases = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        snprintf(path, sizeof path, "%s/golden/%s/generator.yaml", folder,
                 entry->d_name);
        if (access(path, R_OK) != 0)
            continue;
        struct vidur_workload_config config;
        golden_workload(folder, entry->d_name, &config);
        struct vidur_workload *w = NULL;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL_FATAL(vidur_workload_create(&w, &config, &err), 0);
        compare_requests(folder, entry->d_name, w);
        vidur_workload_destroy(w);
        cases++;
    }
    closedir(dir);
    CU_ASSERT(cases >= 13);
}

VIDUR_TEST_MAIN("golden workloads",
                {"requests, to the bit", test_golden_requests_to_the_bit})
