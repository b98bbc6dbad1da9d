#include <vidur/simulator.h>

#include "base/yaml.h"

#include <vidur/paths.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Simulated iterations and request-steps a second of processor time, plain and
 * fast-forwarded.
 *
 *   simulator_bench [CASE [REPEATS]]     all cases, each the median of 5, by default
 *
 * Operator times come from the roofline, requests from the synthetic traces. Where the
 * trace is a YAML file, it is of sessions, and qps that of all their requests; pauses
 * are 10 s, so that batches are as large as with the other traces. Where it is
 * recorded, its requests have ids of prompt blocks, the first of them one of 100.
 */

struct bench_case {
    const char *name;
    const char *model;
    const char *device, *node;
    int tensor_parallel, stages, replicas;
    const char *scheduler;
    int batch_size_cap, chunk_size;
    const char *router;
    const char *trace;
    double qps;
    int64_t requests;
    bool plain;
};

#define LLAMA_70B   "meta-llama/Llama-2-70b-hf"
#define ON_A100     "a100", "a100_dgx"
#define CHAT        "chat-4k-synthetic.csv"
#define BWB         "bwb-4k-synthetic.csv"
#define ARXIV       "arxiv-4k-synthetic.csv"
#define SESSIONS    "../sessions/chat.yaml"
/* CHAT's lengths as a log with ids of prompt blocks, of so many tokens */
#define RECORDED    "recorded-512"
#define RECORDED_16 "recorded-16"

static const struct bench_case cases[] = {
    {"chat", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin", CHAT, 20,
     16000, false},
    {"chat-plain", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin",
     CHAT, 20, 16000, true},
    {"chat-vllm", LLAMA_70B, ON_A100, 4, 1, 4, "vllm", 128, 512, "round_robin", CHAT,
     20, 16000, false},
    {"chat-v1", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "round_robin", CHAT,
     20, 16000, false},
    {"chat-v1-plain", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "round_robin",
     CHAT, 20, 16000, true},
    {"chat-v1-lor", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "lor", CHAT, 20,
     16000, false},
    {"chat-v1-polled", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "polled", CHAT,
     20, 16000, false},
    {"chat-v1-polled-overload", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512,
     "polled", CHAT, 40, 16000, false},
    {"sessions", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "session", SESSIONS,
     40, 16000, false},
    {"sessions-prefix", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "prefix",
     SESSIONS, 20, 16000, false},
    {"hash-ids", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "round_robin",
     RECORDED, 20, 16000, false},
    {"hash-ids-16", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "round_robin",
     RECORDED_16, 20, 16000, false},
    {"chat-lor", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "lor", CHAT, 20,
     16000, false},
    {"chat-pp2", LLAMA_70B, ON_A100, 4, 2, 2, "sarathi", 256, 512, "round_robin", CHAT,
     20, 16000, false},
    {"chat-pp2-polled", LLAMA_70B, ON_A100, 4, 2, 2, "sarathi", 256, 512, "polled",
     CHAT, 20, 16000, false},
    {"chat-pp2-vllm", LLAMA_70B, ON_A100, 4, 2, 2, "vllm", 256, 512, "round_robin",
     CHAT, 12, 16000, false},
    {"chat-pp2-vllm-overload", LLAMA_70B, ON_A100, 4, 2, 2, "vllm", 256, 512,
     "round_robin", CHAT, 20, 16000, false},
    {"chat-pp2-plain", LLAMA_70B, ON_A100, 4, 2, 2, "sarathi", 256, 512, "round_robin",
     CHAT, 20, 16000, true},
    {"chat-overload", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin",
     CHAT, 40, 16000, false},
    {"arxiv", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin", ARXIV,
     2.5, 16000, false},
    {"bwb", LLAMA_70B, ON_A100, 4, 1, 4, "vllm", 128, 512, "round_robin", BWB, 1.5,
     16000, false},
    {"bwb-sarathi", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin",
     BWB, 1.5, 16000, false},
    {"bwb-v1", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "round_robin", BWB,
     1.5, 16000, false},
    {"bwb-v1-lor", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "lor", BWB, 1.5,
     16000, false},
    {"bwb-v1-polled", LLAMA_70B, ON_A100, 4, 1, 4, "vllm_v1", 128, 512, "polled", BWB,
     1.5, 16000, false},
    {"bwb-polled", LLAMA_70B, ON_A100, 4, 1, 4, "vllm", 128, 512, "polled", BWB, 1.5,
     16000, false},
    {"bwb-pp2-polled", LLAMA_70B, ON_A100, 4, 2, 2, "vllm", 256, 512, "polled", BWB,
     1.5, 16000, false},
    {"bwb-pp2", LLAMA_70B, ON_A100, 4, 2, 2, "vllm", 256, 512, "round_robin", BWB, 1.5,
     16000, false},
    {"bwb-batch16", LLAMA_70B, ON_A100, 4, 1, 1, "vllm", 16, 512, "round_robin", BWB, 5,
     2000, false},
    {"plain-batch16", LLAMA_70B, ON_A100, 4, 1, 1, "vllm", 16, 512, "round_robin", BWB,
     5, 2000, true},
    {"chat-1000", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin", CHAT,
     20, 1000, false},
    {"chat-1000000", LLAMA_70B, ON_A100, 4, 1, 4, "sarathi", 128, 512, "round_robin",
     CHAT, 20, 1000000, false},
};

/* A fleet: prompts on one pool and outputs on another as large, and each half of it
 * alone: prompts with one token of output, outputs behind one token of prompt. And all
 * of it in containers with so few CPUs that steps wait for them. */
enum bench_part { WHOLE, SPLIT, PROMPTS_ALONE, OUTPUTS_ALONE, FEW_CPUS };

static const double few_cpu_cores = 3; /* of 5 that spin */

#define FLEET(name, trace, qps, part)                                                  \
    {                                                                                  \
        {name, LLAMA_70B, ON_A100,       4,     1,   4,     "vllm_v1",                 \
         128,  512,       "round_robin", trace, qps, 16000, false},                    \
            part                                                                       \
    }

static const struct {
    struct bench_case bench;
    enum bench_part part;
} fleets[] = {FLEET("pd", CHAT, 20, SPLIT),
              FLEET("pd-prompts", CHAT, 20, PROMPTS_ALONE),
              FLEET("pd-outputs", CHAT, 20, OUTPUTS_ALONE),
              FLEET("chat-v1-cpus", CHAT, 20, FEW_CPUS),
              FLEET("bwb-v1-cpus", BWB, 1.2, FEW_CPUS)};

enum { NUM_FLEETS = sizeof fleets / sizeof *fleets };

enum { NUM_CASES = sizeof cases / sizeof *cases, MAX_REPEATS = 101 };

/* Of the processor: others may be at work on the machine. */
static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(int status, const struct vidur_error *err)
{
    if (status) {
        fprintf(stderr, "simulator_bench: %s\n", err->text);
        exit(1);
    }
}

static void load_fleet(const struct vidur_deployment *deployment, enum bench_part part,
                       struct vidur_fleet *fleet)
{
    vidur_fleet_of(fleet, deployment);
    if (part != SPLIT)
        return;
    fleet->num_pools = 2;
    fleet->pools[1] = fleet->pools[0];
    fleet->pools[0].role = VIDUR_POOL_PREFILL;
    fleet->pools[1].role = VIDUR_POOL_DECODE;
}

static void load_deployment(const struct bench_case *bench,
                            struct vidur_deployment *deployment)
{
    struct vidur_error err = {0};
    vidur_deployment_defaults(deployment);
    must(vidur_model_load(&deployment->model, bench->model, &err), &err);
    must(vidur_device_sku_load(&deployment->device, bench->device, &err), &err);
    must(vidur_node_sku_load(&deployment->node, bench->node, &err), &err);
    deployment->tensor_parallel_size = bench->tensor_parallel;
    deployment->num_pipeline_stages = bench->stages;
    deployment->num_replicas = bench->replicas;
    snprintf(deployment->router, sizeof deployment->router, "%s", bench->router);
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    snprintf(knobs->type, sizeof knobs->type, "%s", bench->scheduler);
    knobs->batch_size_cap = bench->batch_size_cap;
    knobs->chunk_size = bench->chunk_size;
    knobs->max_num_seqs = bench->batch_size_cap;
    knobs->max_num_batched_tokens = bench->chunk_size;
}

static void load_sessions(const char *path, struct vidur_workload_config *config)
{
    struct vidur_error err = {0};
    char text[1100];
    snprintf(text, sizeof text, "sessions: %s\n", path);
    struct vidur_yaml *doc = vidur_yaml_parse("bench", text, strlen(text), &err);
    must(doc ? 0 : -1, &err);
    must(vidur_sessions_config_read(vidur_yaml_get(vidur_yaml_root(doc), "sessions"),
                                    &config->sessions, &err),
         &err);
    config->type = VIDUR_WORKLOAD_SESSIONS;
    config->sessions.think_s = (struct vidur_spread){.mean = 10, .cv = 1};
    vidur_yaml_free(doc);
}

/* One request of a log as Mooncake's. */
static void write_recorded(FILE *log, int64_t request, double at_s, const int *lengths,
                           int block_tokens)
{
    enum { GROUPS = 100, MOST_BLOCKS = 4096 };
    const int prefill = lengths[0], decode = lengths[1];
    fprintf(log,
            "{\"timestamp\": %.0f, \"input_length\": %d, \"output_length\": %d, "
            "\"hash_ids\": [%lld",
            1e3 * at_s, prefill, decode, (long long)(request * 7919 % GROUPS));
    for (int block = 1; block * block_tokens < prefill; block++)
        fprintf(log, ", %lld", (long long)(GROUPS + request * MOST_BLOCKS + block));
    fputs("]}\n", log);
}

/* Requests of a trace's lengths, over and over, with gaps of an exponential
 * distribution; returns the log's path. */
static char *make_log(const struct bench_case *bench, int block_tokens)
{
    static const char trace[] = VIDUR_BENCH_SOURCE_DIR "/data/traces/" CHAT;
    static char path[1024];
    struct vidur_error err = {0};
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/simulator_bench-%ld.jsonl",
             folder ? folder : "/tmp", (long)getpid());
    FILE *log = fopen(path, "w"), *lengths = fopen(trace, "r");
    if (!log || !lengths)
        must(vidur_fail(&err, VIDUR_EIO, "cannot open %s or %s", path, trace), &err);
    char line[128];
    double at_s = 0;
    uint64_t state = 42;
    for (int64_t i = 0; i < bench->requests;) {
        int tokens[2];
        if (!fgets(line, sizeof line, lengths)) {
            rewind(lengths);
            continue;
        }
        if (sscanf(line, "%d,%d", &tokens[0], &tokens[1]) != 2)
            continue;
        state = state * 6364136223846793005u + 1442695040888963407u;
        at_s -= log1p(-(double)(state >> 11) * 0x1p-53) / bench->qps;
        write_recorded(log, i++, at_s, tokens, block_tokens);
    }
    fclose(lengths);
    if (fclose(log))
        must(vidur_fail(&err, VIDUR_EIO, "cannot write %s", path), &err);
    return path;
}

static struct vidur_workload *load_workload(const struct bench_case *bench)
{
    struct vidur_error err = {0};
    struct vidur_workload_config config;
    struct vidur_workload *workload;
    vidur_workload_config_defaults(&config);
    config.seed = 42;
    config.num_requests = bench->requests;
    config.max_tokens = 4096;
    snprintf(config.lengths.type, sizeof config.lengths.type, "trace");
    snprintf(config.lengths.file, sizeof config.lengths.file, "%s/data/traces/%s",
             VIDUR_BENCH_SOURCE_DIR, bench->trace);
    snprintf(config.arrivals.type, sizeof config.arrivals.type, "poisson");
    config.arrivals.qps = bench->qps;
    if (strstr(bench->trace, ".yaml"))
        load_sessions(config.lengths.file, &config);
    int block_tokens;
    const bool recorded = sscanf(bench->trace, "recorded-%d", &block_tokens) == 1;
    if (recorded) {
        config.type = VIDUR_WORKLOAD_TRACE_REPLAY;
        config.trace.block_tokens = block_tokens;
        snprintf(config.file, sizeof config.file, "%s", make_log(bench, block_tokens));
    }
    vidur_workload_config_complete(&config, VIDUR_SEMANTICS_CORRECTED);
    must(vidur_workload_create(&workload, &config, &err), &err);
    if (recorded)
        unlink(config.file);
    must(vidur_workload_set_qps(workload, bench->qps, &err), &err);
    return workload;
}

static struct vidur_timetable *load_timetable(const struct vidur_deployment *deployment)
{
    struct vidur_error err = {0};
    struct vidur_estimator_config config;
    struct vidur_timetable_request request;
    struct vidur_timetable *timetable;
    vidur_estimator_config_defaults(&config);
    config.source = VIDUR_SOURCE_ROOFLINE;
    vidur_deployment_table_limits(deployment, 4096, &request);
    must(vidur_timetable_open(&timetable, &config, &request, NULL, &err), &err);
    return timetable;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const struct bench_case *bench, const struct vidur_metrics *metrics,
                   double cpu_s, int64_t bytes)
{
    const double batches = (double)metrics->num_batches;
    printf(
        "%-15s %8lld requests %9.0f batches of %5.1f  %9.3f ms  %8.2f Mbatch/s "
        "%8.1f Mstep/s  %6.0f ns/request %4.0f B/request  ttft p90 %.2f busy %.0f%%\n",
        bench->name, (long long)metrics->num_requests, batches,
        metrics->mean_batch_size, 1e3 * cpu_s, 1e-6 * batches / cpu_s,
        1e-6 * batches * metrics->mean_batch_size / cpu_s,
        1e9 * cpu_s / (double)metrics->num_requests,
        (double)bytes / (double)metrics->num_requests,
        metrics->latency[VIDUR_LATENCY_ttft].p90, metrics->busy);
}

static int32_t *ones_of(int64_t count)
{
    int32_t *ones = malloc((size_t)count * sizeof *ones);
    struct vidur_error err = {0};
    if (!ones)
        must(vidur_fail(&err, VIDUR_ENOMEM, "out of memory"), &err);
    for (int64_t i = 0; ones && i < count; i++)
        ones[i] = 1;
    return ones;
}

static void run_case(const struct bench_case *bench, enum bench_part part, int repeats)
{
    struct vidur_error err = {0};
    struct vidur_deployment deployment;
    struct vidur_fleet fleet;
    struct vidur_simulator *simulator;
    struct vidur_metrics metrics = {0};
    double cpu_s[MAX_REPEATS];
    load_deployment(bench, &deployment);
    if (part == FEW_CPUS)
        deployment.cpu_cores = few_cpu_cores;
    struct vidur_workload *drawn = load_workload(bench);
    int32_t *ones = ones_of(drawn->num_requests);
    struct vidur_workload halved = *drawn, *workload = &halved;
    if (part == PROMPTS_ALONE)
        halved.num_decode_tokens = ones;
    if (part == OUTPUTS_ALONE)
        halved.num_prefill_tokens = ones;
    struct vidur_timetable *timetable = load_timetable(&deployment);
    const struct vidur_timetable *const timetables[] = {timetable, timetable};
    load_fleet(&deployment, part, &fleet);
    must(vidur_simulator_create_fleet(&simulator, &fleet, timetables, 4096, &err),
         &err);
    const struct vidur_run_options options = {.plain_stepping = bench->plain};
    for (int i = 0; i < repeats; i++) {
        const double start_s = now_s();
        must(vidur_simulator_run(simulator, workload, &options, &metrics, &err), &err);
        cpu_s[i] = now_s() - start_s;
    }
    qsort(cpu_s, (size_t)repeats, sizeof *cpu_s, by_value);
    report(bench, &metrics, cpu_s[repeats / 2],
           vidur_simulator_memory_bytes(simulator));
    vidur_simulator_destroy(simulator);
    vidur_timetable_close(timetable);
    vidur_workload_destroy(drawn);
    free(ones);
}

int main(int argc, char **argv)
{
    int repeats = argc > 2 ? atoi(argv[2]) : 5;
    if (repeats < 1 || repeats > MAX_REPEATS)
        repeats = 5;
    for (int i = 0; i < NUM_CASES; i++)
        if (argc < 2 || strcmp(argv[1], cases[i].name) == 0)
            run_case(&cases[i], WHOLE, repeats);
    for (int i = 0; i < NUM_FLEETS; i++)
        if (argc < 2 || strcmp(argv[1], fleets[i].bench.name) == 0)
            run_case(&fleets[i].bench, fleets[i].part, repeats);
    return 0;
}
