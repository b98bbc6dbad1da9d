#include "test.h"

#include "base/json.h"
#include "study/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The reference's own capacity search, probe by probe. */

enum { MAX_PROBES = 32 };

struct expected {
    double probes[MAX_PROBES];
    int num_probes;
    double passed[2], failed[2]; /* vllm, sarathi */
};

static void read_expected(const char *path, struct expected *expected)
{
    static const char *const schedulers[] = {"vllm", "sarathi"};
    struct vidur_json *doc = vidur_json_load(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
    const struct vidur_json_node root = vidur_json_root(doc);
    const struct vidur_json_node probes = vidur_json_get(&root, "probes_qps");
    expected->num_probes = vidur_json_count(&probes);
    for (int i = 0; i < expected->num_probes && i < MAX_PROBES; i++) {
        const struct vidur_json_node item = vidur_json_item(&probes, i);
        CU_ASSERT_EQUAL(vidur_json_as_double(&item, &expected->probes[i], NULL), 0);
    }
    for (int s = 0; s < 2; s++) {
        const struct vidur_json_node at = vidur_json_get(&root, schedulers[s]);
        const struct vidur_json_node passed = vidur_json_get(&at, "passed");
        const struct vidur_json_node failed = vidur_json_get(&at, "failed");
        CU_ASSERT_EQUAL(vidur_json_as_double(&passed, &expected->passed[s], NULL), 0);
        CU_ASSERT_EQUAL(vidur_json_as_double(&failed, &expected->failed[s], NULL), 0);
    }
    vidur_json_free(doc);
}

static void check_row(const struct vidur_results *results, int64_t index,
                      const struct expected *expected)
{
    const struct vidur_ranking_row *row = &results->ranking[index];
    const int s = strcmp(row->scheduler, "sarathi") == 0;
    int at = 0;
    double lowest_failed = 1e9;
    CU_ASSERT_EQUAL(row->max_qps, expected->passed[s]);
    CU_ASSERT_EQUAL(row->num_probes, expected->num_probes);
    for (int64_t i = 0; i < results->num_probes; i++) {
        const struct vidur_probe_row *probe = &results->probes[i];
        if (strcmp(probe->candidate_id, row->candidate_id) != 0)
            continue;
        CU_ASSERT_EQUAL(probe->probe, at);
        CU_ASSERT_EQUAL(probe->qps, expected->probes[at]);
        CU_ASSERT_EQUAL(probe->feasible, probe->qps <= expected->passed[s]);
        CU_ASSERT_EQUAL(probe->simulated_requests, 512);
        if (!probe->feasible && probe->qps < lowest_failed)
            lowest_failed = probe->qps;
        at++;
    }
    CU_ASSERT_EQUAL(lowest_failed, expected->failed[s]);
}

static void test_reference_search(void)
{
    const char *shared = vidur_test_shared_dir();
    char config[1024], facts[1024], folder[] = "/tmp/vidur-capacity-XXXXXX", output[64];
    struct expected expected = {.num_probes = 0};
    volatile int stop = 0;
    if (!shared)
        vidur_test_skip_golden();
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/golden/capacity-a30/search.yaml", shared);
    snprintf(facts, sizeof facts, "%s/golden/capacity-a30/expected.json", shared);
    snprintf(output, sizeof output, "%s/r.h5", folder);
    read_expected(facts, &expected);
    CU_ASSERT_EQUAL(expected.num_probes, 7);
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = config,
                                            .output = output,
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop};
    struct session_outcome outcome;
    session_run(&team, &options, &outcome);
    if (outcome.status != SESSION_DONE)
        printf("\n    %s", outcome.error.text);
    CU_ASSERT_EQUAL_FATAL(outcome.status, SESSION_DONE);
    CU_ASSERT_EQUAL_FATAL(outcome.results.num_ranking, 2);
    for (int64_t i = 0; i < 2; i++)
        check_row(&outcome.results, i, &expected);
    session_release(&outcome);
    unlink(output);
    rmdir(folder);
}

VIDUR_TEST_MAIN("golden capacity", {"reference search", test_reference_search})
