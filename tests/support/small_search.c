#include "small_search.h"

#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] =
    "models: [{name: llama, identifier: llama-2-7b-hf}]\n"
    "clusters: [{device: a100, network_device: a100_dgx, num_gpus: 4}]\n"
    "schedulers: [{scheduler: vllm}, {scheduler: sarathi, chunk_size: 256}]\n"
    "traces: [{name: u, lengths: {type: uniform, min_tokens: 64, "
    "prefill_to_decode_ratio: 4}, max_seq_len: 512, num_requests: 1000}]\n"
    "batch_sizes: [4, 16, 64]\n"
    "tp_dimensions: [1, 2]\n"
    "pp_dimensions: [1]\n"
    "slos: [{metric: ttft, quantile: 0.9, limit_s: 1.0}, "
    "{metric: tbt, quantile: 0.99, limit_s: 0.1}, "
    "{metric: scheduling_delay, quantile: 0.99, limit_s: 2.0}]\n"
    /* The same answers as with the defaults, and quickly made. */
    "estimator: {source: roofline, cache_dir: '', num_estimators: 20, max_depth: 12, "
    "min_samples_split: 2, max_tokens_per_request: 512, max_prefill_chunk_size: 512, "
    "max_batch_size: 64}\n";

static char folder_name[] = "/tmp/vidur-search-XXXXXX";

static void remove_folder(void)
{
    char path[512];
    DIR *dir = opendir(folder_name);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", folder_name, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(folder_name);
}

/* Made by the first call, removed at the program's end. */
static const char *folder(void)
{
    if (strcmp(folder_name + strlen(folder_name) - 6, "XXXXXX") == 0) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder_name));
        atexit(remove_folder);
    }
    return folder_name;
}

const char *small_search_path(const char *name)
{
    static char paths[8][128];
    static int used;
    char *path = paths[used++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder(), name);
    return path;
}

const char *small_search_config(const char *more)
{
    const char *path = small_search_path("c.yaml");
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fputs(more, file);
    fclose(file);
    return path;
}

void small_search_build(const char *more, struct vidur_search_config *config,
                        struct vidur_space *space)
{
    struct vidur_error err = {0};
    int rc = vidur_search_config_load(config, small_search_config(more), NULL, 0, &err);
    if (rc == 0)
        rc = vidur_space_build(space, config, &err);
    if (rc != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
}

void small_search_run(const char *more, const char *const *sets, int num_sets,
                      struct session_outcome *outcome)
{
    volatile int stop = 0;
    const struct session_team team = session_alone();
    const struct session_options options = {.config_path = small_search_config(more),
                                            .sets = sets,
                                            .num_sets = num_sets,
                                            .output = small_search_path("r.h5"),
                                            .num_shards = 1,
                                            .threads = 1,
                                            .stop = &stop};
    session_run(&team, &options, outcome);
}

void small_search_done(const char *more, const char *const *sets, int num_sets,
                       struct session_outcome *outcome)
{
    small_search_run(more, sets, num_sets, outcome);
    if (outcome->status != SESSION_DONE)
        printf("\n    %s", outcome->error.text);
    CU_ASSERT_EQUAL_FATAL(outcome->status, SESSION_DONE);
}
