/*
 * What tables cost: built from a roofline or from profiles, opened from the cache, and
 * the memory of a process that has one open, beside that of others.
 *
 *     timetable_bench [CONFIG.yaml [KEY.PATH=VALUE...]]
 *
 * Without a configuration: Llama-2-70B on a100_dgx, tensor parallel 4, roofline. Prints
 * JSON; times in seconds, memory in KiB.
 */
#define _DEFAULT_SOURCE

#include "program/estimate_config.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int open_once(const struct vidur_estimate_config *config, double *seconds,
                     struct vidur_timetable **out)
{
    const struct vidur_timetable_request request = vidur_estimate_request(config);
    struct vidur_error err;
    struct vidur_timetable *timetable;
    const double start_s = now_s();
    if (vidur_timetable_open(&timetable, &config->estimator, &request, NULL, &err)) {
        fprintf(stderr, "timetable_bench: %s\n", err.text);
        return -1;
    }
    *seconds = now_s() - start_s;
    if (out)
        *out = timetable;
    else
        vidur_timetable_close(timetable);
    return 0;
}

enum { REPEATS = 5 };

static int median_open(const struct vidur_estimate_config *config, double *seconds)
{
    double all[REPEATS];
    for (int i = 0; i < REPEATS; i++)
        if (open_once(config, &all[i], NULL))
            return -1;
    qsort(all, REPEATS, sizeof *all, ascending);
    *seconds = all[REPEATS / 2];
    return 0;
}

/* Proportional set size of the tables' pages in this process: a page that n processes
 * share counts 1/n. */
static long table_pss_kib(const char *folder)
{
    char line[1400];
    long total = 0, kib;
    bool ours = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        if (strstr(line, ".h5\n") || strstr(line, folder))
            ours = true;
        else if (sscanf(line, "Pss: %ld", &kib) == 1)
            total += ours ? kib : 0;
        else if (strncmp(line, "VmFlags", 7) == 0)
            ours = false;
    }
    if (maps)
        fclose(maps);
    return total;
}

static double touch(const struct vidur_timetable *t)
{
    double sum = 0;
    for (int op = 0; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        for (int64_t i = 0; t->token[op].ms && i <= t->token[op].limit; i++)
            sum += t->token[op].ms[i];
    for (int64_t i = 0; i < t->attn_decode.num_rows * t->attn_decode.num_columns; i++)
        sum += t->attn_decode.ms[i];
    for (int64_t i = 0; i < t->attn_prefill.num_rows * t->attn_prefill.num_columns; i++)
        sum += t->attn_prefill.ms[i];
    return sum;
}

/* One process of several: opens, touches every page, waits for the others, measures. */
struct pipes {
    int ready[2], go[2], out[2], end[2];
};

static int child(const struct vidur_estimate_config *config, const struct pipes *p)
{
    struct vidur_timetable *timetable;
    double seconds;
    char byte = 'x';
    if (open_once(config, &seconds, &timetable))
        return 1;
    const double sum = touch(timetable);
    if (write(p->ready[1], &byte, 1) != 1 || read(p->go[0], &byte, 1) != 1)
        return 1;
    const long kib = table_pss_kib(config->estimator.cache_dir);
    const bool told = write(p->out[1], &kib, sizeof kib) == (ssize_t)sizeof kib;
    if (read(p->end[0], &byte, 1) != 1)
        return 1;
    vidur_timetable_close(timetable);
    return told && sum > 0 ? 0 : 1;
}

/* Memory of the tables in `processes` processes together. */
static long shared_kib(const struct vidur_estimate_config *config, int processes)
{
    struct pipes p;
    char bytes[64];
    long total = 0, kib;
    memset(bytes, 'x', sizeof bytes);
    if (pipe(p.ready) || pipe(p.go) || pipe(p.out) || pipe(p.end))
        return -1;
    for (int i = 0; i < processes; i++)
        if (fork() == 0)
            _exit(child(config, &p));
    for (int i = 0; i < processes; i++)
        if (read(p.ready[0], bytes, 1) != 1)
            return -1;
    if (write(p.go[1], bytes, (size_t)processes) != processes)
        return -1;
    for (int i = 0; i < processes; i++)
        total += read(p.out[0], &kib, sizeof kib) == (ssize_t)sizeof kib ? kib : 0;
    if (write(p.end[1], bytes, (size_t)processes) != processes)
        return -1;
    while (wait(NULL) > 0)
        continue;
    return total;
}

static void defaults(struct vidur_estimate_config *config)
{
    memset(config, 0, sizeof *config);
    vidur_model_load(&config->model, "meta-llama/Llama-2-70b-hf", NULL);
    vidur_device_sku_load(&config->device, "a100", NULL);
    vidur_node_sku_load(&config->node, "a100_dgx", NULL);
    vidur_estimator_config_defaults(&config->estimator);
    config->estimator.source = VIDUR_SOURCE_ROOFLINE;
    config->tensor_parallel_size = 4;
    config->num_pipeline_stages = 2;
    config->block_size_tokens = 16;
}

static int measure(struct vidur_estimate_config *config)
{
    char folder[] = "/tmp/vidur-bench-XXXXXX", command[64];
    double built_s, stored_s, cached_s;
    struct vidur_timetable *timetable;
    config->estimator.cache_dir[0] = '\0';
    /* First the processes: OpenMP's threads do not survive a fork. */
    if (!mkdtemp(folder))
        return -1;
    strcpy(config->estimator.cache_dir, folder);
    const long one_kib = shared_kib(config, 1), eight_kib = shared_kib(config, 8);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    int status = system(command);
    config->estimator.cache_dir[0] = '\0';
    status |= median_open(config, &built_s);
    strcpy(config->estimator.cache_dir, folder);
    status |= open_once(config, &stored_s, &timetable);
    if (status)
        return -1;
    status |= median_open(config, &cached_s);
    printf("{\"provenance\": \"%s\", \"built_s\": %.4f, \"built_and_stored_s\": %.4f, "
           "\"from_cache_s\": %.6f, \"tables_kib_1_process\": %ld, "
           "\"tables_kib_8_processes\": %ld}\n",
           timetable->provenance, built_s, stored_s, cached_s, one_kib, eight_kib);
    vidur_timetable_close(timetable);
    return status | system(command);
}

int main(int argc, char **argv)
{
    struct vidur_estimate_config *config = malloc(sizeof *config);
    struct vidur_error err;
    int status = 1;
    if (!config)
        return 1;
    defaults(config);
    if (argc > 1 && vidur_estimate_config_load(
                        config, argv[1], (const char *const *)argv + 2, argc - 2, &err))
        fprintf(stderr, "timetable_bench: %s\n", err.text);
    else
        status = measure(config) ? 1 : 0;
    free(config);
    return status;
}
