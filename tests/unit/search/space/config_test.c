#include "test.h"

#include <vidur/space.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A configuration that is right; tests change one thing each. */
#define MODELS     "models: [{name: llama, identifier: meta-llama/Llama-2-70b-hf}]\n"
#define CLUSTERS   "clusters: [{device: a100, network_device: a100_dgx, num_gpus: 16}]\n"
#define SCHEDULERS "schedulers: [{scheduler: vllm}]\n"
#define TRACES                                                                         \
    "traces: [{name: chat, trace_file: 'data:traces/chat-4k-synthetic.csv', "          \
    "num_requests: 100}]\n"

static char folder[] = "/tmp/vidur-config-XXXXXX";
static char path[64];

static const char *write_config(const char *text)
{
    if (!path[0]) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/c.yaml", folder);
    }
    FILE *file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static int load(struct vidur_search_config *config, const char *text,
                struct vidur_error *err)
{
    return vidur_search_config_load(config, write_config(text), NULL, 0, err);
}

static void expect_loads(struct vidur_search_config *config, const char *text)
{
    struct vidur_error err = {0};
    if (load(config, text, &err) != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
}

static void test_defaults(void)
{
    struct vidur_search_config c;
    expect_loads(&c, MODELS CLUSTERS SCHEDULERS TRACES);
    CU_ASSERT_EQUAL(c.num_batch_sizes, 5);
    CU_ASSERT_EQUAL(c.num_tp_dimensions, 4);
    CU_ASSERT_EQUAL(c.num_pp_dimensions, 3);
    CU_ASSERT_EQUAL(c.num_slos, 3);
    CU_ASSERT_EQUAL(c.slos[1].metric, VIDUR_LATENCY_tbt);
    CU_ASSERT_EQUAL(c.search.granularity, 0.025);
    CU_ASSERT_EQUAL(c.search.max_iterations, 20);
    CU_ASSERT_EQUAL(c.search.seed, 42);
    CU_ASSERT_EQUAL(c.search.time_limit_s, 0);
    CU_ASSERT_EQUAL(c.clusters[0].usd_per_gpu_hour, 2.21);
    CU_ASSERT_FALSE(c.clusters[0].own_price);
    CU_ASSERT_STRING_EQUAL(c.routers[0], "round_robin");
    CU_ASSERT_EQUAL(c.traces[0].workload.max_tokens, 4096);
    CU_ASSERT_EQUAL(c.traces[0].workload.arrivals.truncate, 0);
    CU_ASSERT_EQUAL(c.models[0].spec.num_layers, 80);
    CU_ASSERT_EQUAL(strlen(c.sha256), 64);
    vidur_search_config_release(&c);
}

/* Keys as Vidur's config explorer has them. */
static void test_vidur_keys(void)
{
    struct vidur_search_config c;
    expect_loads(&c,
                 "clusters:\n"
                 "  - device: a100\n    num_gpus: 16\n    gpus_per_node: 4\n"
                 "  - device: h100\n    num_gpus: 16\n    gpus_per_node: 4\n"
                 "schedulers:\n"
                 "  - scheduler: vllm\n  - scheduler: sarathi\n    chunk_size: 512\n"
                 "  - scheduler: orca\n"
                 "traces:\n  - name: chat\n"
                 "    trace_file: 'data:traces/chat-4k-synthetic.csv'\n"
                 "    max_seq_len: 4096\n    num_requests: 16000\n    start_qps: 32\n"
                 "batch_sizes: [32, 64]\ntp_dimensions: [1, 2, 4]\n"
                 "pp_dimensions: [1, 2]\n"
                 "models:\n  - name: phi-2\n    identifier: microsoft/phi-2\n"
                 "    exclude_tp_dims: [2, 4, 8]\n");
    CU_ASSERT_EQUAL(c.num_clusters, 2);
    CU_ASSERT_STRING_EQUAL(c.clusters[1].node.name, "h100_dgx");
    CU_ASSERT_TRUE(c.clusters[1].hardware.default_node);
    CU_ASSERT_EQUAL(c.clusters[1].node.devices_per_node, 4);
    CU_ASSERT_EQUAL(c.num_schedulers, 3);
    CU_ASSERT_EQUAL(c.schedulers[1].config.chunk_size, 512);
    CU_ASSERT_STRING_EQUAL(c.schedulers[1].label, "sarathi chunk_size=512");
    CU_ASSERT_STRING_EQUAL(c.schedulers[2].label, "orca");
    CU_ASSERT_EQUAL(c.traces[0].start_qps, 32);
    CU_ASSERT_EQUAL(c.models[0].num_exclude_tp_dims, 3);
    vidur_search_config_release(&c);
}

static void test_lists_of_knobs(void)
{
    struct vidur_search_config c;
    expect_loads(&c, MODELS CLUSTERS TRACES
                 "schedulers: [{scheduler: vllm}, {scheduler: sarathi, "
                 "chunk_size: [256, 512, 1024], block_size: [16, 32]}, "
                 "{scheduler: lightllm}]\n"
                 "router: [round_robin, lor]\nmemory_planner: exact\n");
    CU_ASSERT_EQUAL_FATAL(c.num_schedulers, 8);
    CU_ASSERT_EQUAL(c.schedulers[1].config.chunk_size, 256);
    CU_ASSERT_EQUAL(c.schedulers[2].config.block_size, 32);
    CU_ASSERT_EQUAL(c.schedulers[6].config.chunk_size, 1024);
    CU_ASSERT_STRING_EQUAL(c.schedulers[6].label,
                           "sarathi chunk_size=1024 block_size=32");
    CU_ASSERT_EQUAL(c.schedulers[7].config.block_size, 1);
    CU_ASSERT_EQUAL(c.num_routers, 2);
    CU_ASSERT_EQUAL(c.memory_planners[0], VIDUR_PLANNER_EXACT);
    vidur_search_config_release(&c);
}

/* Every searched knob is in the label, whole; one that is not given differs from one
 * that is. */
static void test_long_labels(void)
{
    struct vidur_search_config c;
    expect_loads(&c, MODELS CLUSTERS TRACES
                 "schedulers: [{scheduler: vllm_v1, max_num_batched_tokens: 1234567, "
                 "max_num_seqs: 64, gpu_memory_utilization: 0.95, prefix_caching: "
                 "[true, false], async_scheduling: false}, {scheduler: vllm_v1}, "
                 "{scheduler: vllm}, {scheduler: vllm, max_tokens_in_batch: 4096}]\n");
    CU_ASSERT_STRING_EQUAL(
        c.schedulers[1].label,
        "vllm_v1 max_num_batched_tokens=1234567 max_num_seqs=64 "
        "gpu_memory_utilization=0.95 prefix_caching=0 async_scheduling=0");
    CU_ASSERT_STRING_EQUAL(c.schedulers[3].label, "vllm");
    CU_ASSERT_STRING_EQUAL(c.schedulers[4].label, "vllm max_tokens_in_batch=4096");
    vidur_search_config_release(&c);
}

/* A knob whose values are words. */
static void test_words(void)
{
    struct vidur_search_config c;
    expect_loads(&c, MODELS CLUSTERS TRACES
                 "schedulers: [{scheduler: vllm_v1, scheduling_policy: [fcfs, "
                 "priority]}]\nexclude: [{scheduling_policy: fcfs}]\n");
    CU_ASSERT_EQUAL_FATAL(c.num_schedulers, 2);
    CU_ASSERT_STRING_EQUAL(c.schedulers[0].label, "vllm_v1 scheduling_policy=fcfs");
    CU_ASSERT_STRING_EQUAL(c.schedulers[1].label, "vllm_v1 scheduling_policy=priority");
    CU_ASSERT_EQUAL(c.schedulers[1].config.scheduling_policy,
                    VIDUR_SCHEDULING_PRIORITY);
    vidur_search_config_release(&c);
}

/* Whether host memory pays is a list like any other knob's. */
static void test_offload(void)
{
    struct vidur_search_config c;
    expect_loads(&c, MODELS CLUSTERS TRACES
                 "schedulers: [{scheduler: vllm_v1, kv_offload_gib_per_gpu: [0, 64], "
                 "kv_offload_gb_per_s: 25}]\nexclude: [{kv_offload_gib_per_gpu: 0}]\n");
    CU_ASSERT_EQUAL_FATAL(c.num_schedulers, 2);
    CU_ASSERT_STRING_EQUAL(c.schedulers[1].label,
                           "vllm_v1 kv_offload_gib_per_gpu=64 kv_offload_gb_per_s=25");
    CU_ASSERT_EQUAL(c.schedulers[1].config.kv_offload_gib_per_gpu, 64);
    vidur_search_config_release(&c);
}

static void test_traces(void)
{
    struct vidur_search_config c;
    expect_loads(
        &c, MODELS CLUSTERS SCHEDULERS
        "semantics: vidur\n"
        "traces: [{name: a, lengths: {type: fixed, prefill_tokens: 100, "
        "decode_tokens: 20}, arrivals: {type: gamma, cv: 2}, max_seq_len: 512}, "
        "{name: b, lengths: {type: uniform, min_tokens: 64}, max_seq_len: 200}]\n"
        "search: {seed: 7}\n");
    CU_ASSERT_STRING_EQUAL(c.traces[0].workload.arrivals.type, "gamma");
    CU_ASSERT_EQUAL(c.traces[0].workload.arrivals.cv, 2);
    CU_ASSERT_EQUAL(c.traces[0].workload.arrivals.concurrency, 0); /* nor in ids */
    CU_ASSERT_EQUAL(c.traces[0].workload.seed, 7);
    CU_ASSERT_EQUAL(c.traces[0].workload.num_requests, 16000);
    CU_ASSERT_EQUAL(c.traces[1].workload.max_tokens, 200);
    CU_ASSERT_EQUAL(c.traces[1].workload.arrivals.truncate, 3); /* by the semantics */
    vidur_search_config_release(&c);
    expect_loads(&c, MODELS CLUSTERS SCHEDULERS TRACES
                 "search: {poisson_truncate: 3, seeds: reference}\n");
    CU_ASSERT_EQUAL(c.traces[0].workload.arrivals.truncate, 3);
    CU_ASSERT_EQUAL(c.traces[0].workload.seeds, VIDUR_SEEDS_REFERENCE);
    vidur_search_config_release(&c);
}

/* Of sessions; as many requests as a steady state needs unless it says. */
static void test_sessions(void)
{
    struct vidur_search_config c;
    expect_loads(
        &c, MODELS CLUSTERS SCHEDULERS
        "traces:\n"
        "  - {name: a, sessions: data:sessions/agentic.yaml, max_seq_len: 131072}\n"
        "  - {name: b, sessions: {user_tokens: 3, output_tokens: {mean: 5, cv: 1}},"
        " arrivals: {type: closed_loop}, num_requests: 50}\n");
    CU_ASSERT_EQUAL(c.traces[0].workload.type, VIDUR_WORKLOAD_SESSIONS);
    CU_ASSERT_TRUE(c.traces[0].auto_requests);
    CU_ASSERT_TRUE(c.traces[0].workload.sessions.compacts);
    CU_ASSERT_EQUAL(c.traces[0].workload.sessions.output_tokens.mean, 523);
    CU_ASSERT_EQUAL(c.traces[1].workload.sessions.user_tokens.mean, 3);
    CU_ASSERT_EQUAL(c.traces[1].workload.sessions.turns.mean, 1);
    CU_ASSERT_EQUAL(c.traces[1].workload.arrivals.concurrency, 1);
    CU_ASSERT_EQUAL(c.traces[1].workload.num_requests, 50);
    vidur_search_config_release(&c);
}

/* Recorded arrivals and prompts in a cycle, whose loads are scales of time. */
static void test_scaled_traces(void)
{
    struct vidur_search_config c;
    char text[1024];
    const char *log = "arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,5\n1,5,5\n";
    write_config(""); /* makes the folder */
    char log_path[96];
    snprintf(log_path, sizeof log_path, "%s/log.csv", folder);
    FILE *file = fopen(log_path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(log, file);
    fclose(file);
    snprintf(text, sizeof text,
             MODELS CLUSTERS SCHEDULERS
             "traces: [{name: a, replay: {file: log.csv, peak: {window_s: 60}}, "
             "max_seq_len: 512}, "
             "{name: b, shared_prefix: {num_groups: 4, output_tokens: 9, "
             "prompt_tokens: {mean: 90}}, num_requests: 500}, "
             "{name: c, lengths: {type: uniform, min_tokens: 64}, "
             "arrivals: {type: trace, file: log.csv}}]\n");
    expect_loads(&c, text);
    CU_ASSERT_EQUAL(c.traces[0].workload.type, VIDUR_WORKLOAD_TRACE_REPLAY);
    CU_ASSERT_STRING_EQUAL(c.traces[0].workload.file, log_path);
    CU_ASSERT_EQUAL(c.traces[0].workload.num_requests, 0); /* all */
    CU_ASSERT_FALSE(c.traces[0].auto_requests);
    CU_ASSERT_EQUAL(c.traces[0].workload.window.peak_s, 60);
    CU_ASSERT_EQUAL(c.traces[1].workload.type, VIDUR_WORKLOAD_SHARED_PREFIX);
    CU_ASSERT_EQUAL(c.traces[1].workload.num_requests, 500);
    CU_ASSERT_EQUAL(c.traces[2].workload.num_requests, 0);
    /* What a file holds counts, not what it is called. */
    CU_ASSERT_EQUAL(c.traces[0].content, c.traces[2].content);
    CU_ASSERT_NOT_EQUAL(c.traces[0].content, c.traces[1].content);
    vidur_search_config_release(&c);
    unlink(log_path);
}

static void test_overrides_and_hash(void)
{
    const char *sets[] = {"search.seed=9", "clusters.0.usd_per_gpu_hour=3.5"};
    struct vidur_search_config a, b;
    struct vidur_error err;
    const char *text = MODELS CLUSTERS SCHEDULERS TRACES;
    CU_ASSERT_EQUAL_FATAL(
        vidur_search_config_load(&a, write_config(text), sets, 2, &err), 0);
    CU_ASSERT_EQUAL(a.search.seed, 9);
    CU_ASSERT_EQUAL(a.clusters[0].usd_per_gpu_hour, 3.5);
    CU_ASSERT_PTR_NOT_NULL(strstr(a.text, "# --set search.seed=9\n"));
    CU_ASSERT_EQUAL(strncmp(a.text, text, strlen(text)), 0);
    /* The same content, written differently. */
    expect_loads(&b, TRACES SCHEDULERS MODELS
                 "search:\n  seed: 9  # lucky\n"
                 "clusters: [{num_gpus: 16, device: a100, network_device: a100_dgx, "
                 "usd_per_gpu_hour: 3.5}]\n");
    CU_ASSERT_STRING_EQUAL(a.sha256, b.sha256);
    vidur_search_config_release(&b);
    /* How ranks share the work is no part of it. */
    expect_loads(&b, TRACES SCHEDULERS MODELS
                 "search: {seed: 9, max_deaths: 3, speculate: false, "
                 "max_working_ranks: 4}\n"
                 "clusters: [{num_gpus: 16, device: a100, network_device: a100_dgx, "
                 "usd_per_gpu_hour: 3.5}]\n");
    CU_ASSERT_EQUAL(b.search.max_deaths, 3);
    CU_ASSERT_FALSE(b.search.speculate);
    CU_ASSERT_STRING_EQUAL(a.sha256, b.sha256);
    vidur_search_config_release(&b);
    /* Another price, or the SKU's own, is another search of the same simulations. */
    static const char *const prices[] = {", usd_per_gpu_hour: 9", "",
                                         ", usd_per_gpu_hour: ~"};
    for (int i = 0; i < 3; i++) {
        char clusters[512];
        snprintf(clusters, sizeof clusters,
                 "%sclusters: [{num_gpus: 16, device: a100, network_device: a100_dgx"
                 "%s}]\nsearch: {seed: 9}\n",
                 TRACES SCHEDULERS MODELS, prices[i]);
        expect_loads(&b, clusters);
        CU_ASSERT_STRING_NOT_EQUAL(a.sha256, b.sha256);
        CU_ASSERT_STRING_EQUAL(a.unpriced_sha256, b.unpriced_sha256);
        vidur_search_config_release(&b);
    }
    expect_loads(&b, MODELS CLUSTERS SCHEDULERS TRACES);
    CU_ASSERT_STRING_NOT_EQUAL(a.sha256, b.sha256);
    CU_ASSERT_STRING_NOT_EQUAL(a.unpriced_sha256, b.unpriced_sha256);
    vidur_search_config_release(&a);
    vidur_search_config_release(&b);
}

#define SLO(quantile) "{metric: tpot, quantile: " quantile ", limit_s: 1},"

static const struct {
    const char *text;
    const char *words; /* what the message must say */
} bad_cases[] = {
    {MODELS CLUSTERS SCHEDULERS TRACES "precision: [fp8, fp9]\n",
     "c.yaml:5: precision.1: 'fp9' is no precision; one of bf16, fp8, fp8_block, int8, "
     "int4, nvfp4, mxfp4, or default: the spec's"},
    {MODELS CLUSTERS SCHEDULERS TRACES "precision: [{weight: fp8}]\n",
     "c.yaml:5: precision.0.weight: unknown key; the nearest known one is 'weights'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "precision: [[fp8]]\n",
     "c.yaml:5: precision.0: "},
    {MODELS CLUSTERS SCHEDULERS TRACES "precision: []\n", "c.yaml:5: precision: "},
    {MODELS CLUSTERS SCHEDULERS TRACES "kv_cache_dtype: [auto, int8]\n",
     "c.yaml:5: kv_cache_dtype.1: 'int8'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "expert_parallel: [2]\n",
     "c.yaml:5: expert_parallel.0: "},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{precision: fp8}]\n",
     "c.yaml:5: exclude.0.precision: there is no precision 'fp8' here; the nearest is "
     "'bf16'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{kv_cache_dtype: fp9}]\n",
     "c.yaml:5: exclude.0.kv_cache_dtype: there is no kv_cache_dtype 'fp9' here"},
    {MODELS CLUSTERS SCHEDULERS TRACES "bacth_sizes: [1]\n",
     "c.yaml:5: bacth_sizes: unknown key; the nearest known one is 'batch_sizes'"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: vlm}]\n",
     "c.yaml:4: schedulers.0.scheduler: 'vlm' is not known; the nearest is "
     "'vllm'"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: sarathi, chunksize: 1}]\n",
     "unknown key; the nearest known one is 'chunk_size'"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: vllm, batch_size_cap: 3}]\n",
     "give batch_sizes"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: vllm, chunk_size: [128, 256]}]\n",
     "c.yaml:4: schedulers.0.chunk_size: vllm does not use it; its knobs are "
     "max_tokens_in_batch, block_size, watermark_blocks_fraction, num_blocks"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: sarathi, chunk_size: []}]\n",
     "an empty list"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: sarathi, chunk_size: 0}]\n",
     "at least 1"},
    {MODELS CLUSTERS TRACES "schedulers: [{scheduler: lightllm, block_size: 16}]\n",
     "block_size"},
    {MODELS CLUSTERS TRACES "schedulers: [{chunk_size: 5}]\n",
     "schedulers.0.scheduler: missing"},
    {MODELS CLUSTERS TRACES "schedulers: vllm\n",
     "schedulers: a value where a list is needed; write it like [{scheduler: vllm}]"},
    {MODELS CLUSTERS TRACES, "schedulers: missing"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, trace_file: no.csv}]\n",
     "traces.0.trace_file: "},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x}]\n", "trace_file: missing"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, replay: {file: no.csv}}]\n",
     "traces.0.replay: "},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, replay: {peak: busiest_hour}}]\n",
     "traces.0.replay.file: missing"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, replay: {file: a, time_scale_factor: 2}}]\n",
     "traces.0.replay.time_scale_factor: unknown key"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, trace_file: a, replay: {file: a}}]\n",
     "traces.0.replay: given beside trace_file; give one of them"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, replay: {file: a}, arrivals: {type: gamma}}]\n",
     "traces.0.arrivals: given beside replay"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, shared_prefix: {output_tokens: 5}}]\n",
     "prompt_tokens"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, trace_file: a, lengths: {type: "
                                "uniform}}]\n",
     "give one of them"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, lengths: {type: uniform}, arrivals: {type: static}}]\n",
     "no rate"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, lengths: {type: uniform}, "
                                "arrivals: {type: closed_loop}}]\n"
                                "target: {qps: 5}\n",
     "traces.0.arrivals: a closed loop is searched for its users"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, lengths: {type: uniform}, "
                                "arrivals: {type: closed_loop}}]\n"
                                "capacity_definition: scheduling_delay\n",
     "a closed loop takes slos"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, lengths: {type: uniform}, start_qps: -1}]\n",
     "start_qps: -1 is out of range; it must be above 0"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: x, lengths: {type: uniform}, num_requests: 0}]\n",
     "num_requests: 0; give 1 to 1e9, or auto"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: x, lengths: {type: uniform}}, "
                                "{name: x, lengths: {type: uniform}}]\n",
     "taken by an earlier trace"},
    {"models: [{name: a, identifier: llama-2-70b-hf}, "
     "{name: a, identifier: phi-2}]\n" CLUSTERS SCHEDULERS TRACES,
     "taken by an earlier model"},
    {"models: [{name: a, identifier: lama-2-70b-hf}]\n" CLUSTERS SCHEDULERS TRACES,
     "models.0.identifier: "},
    {"models: []\n" CLUSTERS SCHEDULERS TRACES, "at least one element"},
    {MODELS "clusters: [{device: b2000, num_gpus: 8}]\n" SCHEDULERS TRACES,
     "clusters.0.device: "},
    {MODELS "clusters: [{device: a30, num_gpus: 1, usd_per_gpu_hour: "
            "-1}]\n" SCHEDULERS TRACES,
     "clusters.0.usd_per_gpu_hour: -1 is out of range"},
    {MODELS "clusters: [{device: a100, network_device: h100_dgx, "
            "num_gpus: 8}]\n" SCHEDULERS TRACES,
     "c.yaml:2: clusters.0.network_device: h100_dgx holds h100 devices, not a100; name "
     "a node of a100"},
    {MODELS "clusters: [{device: a100, num_gpus: 8, gpus_per_node: "
            "16}]\n" SCHEDULERS TRACES,
     "gpus_per_node: 16; a a100_dgx has 8"},
    {MODELS "clusters: [{device: a100, num_gpus: -4}]\n" SCHEDULERS TRACES,
     "num_gpus: -4 is out of range"},
    {MODELS "clusters: [{device: a100, num_gpus: many}]\n" SCHEDULERS TRACES,
     "num_gpus"},
    {MODELS CLUSTERS SCHEDULERS TRACES
     "slos: [{metric: ttfb, quantile: 0.9, limit_s: 1}]\n",
     "slos.0.metric: 'ttfb' is not known; the nearest is 'ttft'"},
    {MODELS CLUSTERS SCHEDULERS TRACES
     "slos: [{metric: ttft, quantile: 1.5, limit_s: 1}]\n",
     "quantile: 1.5 is out of range"},
    {MODELS CLUSTERS SCHEDULERS TRACES
     "slos: [{metric: ttft, quantile: 0.9, limit_s: nan}]\n",
     "limit_s"},
    {MODELS CLUSTERS SCHEDULERS TRACES "slos: [" SLO("0.1") SLO("0.2") SLO("0.3")
         SLO("0.4") SLO("0.5") SLO("0.6") SLO("0.7") SLO("0.8") SLO("0.9") "]\n",
     "c.yaml:5: slos: there are 9; a search takes up to 8"},
    {MODELS CLUSTERS SCHEDULERS TRACES "slos: [" SLO("0.1") SLO("0.9") SLO("0.9") "]\n",
     "c.yaml:5: slos: two are on tpot_p90; keep the one with the lower limit_s"},
    {MODELS CLUSTERS SCHEDULERS TRACES "slos: [{metric: ttft}]\n",
     "slos.0.quantile: missing"},
    {MODELS CLUSTERS SCHEDULERS TRACES "search: {granularity: 0}\n", "granularity"},
    {MODELS CLUSTERS SCHEDULERS TRACES "search: {seed: -1}\n", "negative"},
    {MODELS CLUSTERS SCHEDULERS TRACES "router: lot\n", "router: 'lot'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "router: prefix:-1\n", "router: 'prefix:-1'"},
    {MODELS CLUSTERS SCHEDULERS
     "traces: [{name: s, trace_file: s.csv, sessions: {user_tokens: 1, output_tokens: "
     "1}}]\n",
     "sessions: given beside trace_file"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: s, sessions: {user_tokens: 1}}]\n",
     "sessions.output_tokens: missing"},
    {MODELS CLUSTERS SCHEDULERS "traces: [{name: s, max_seq_len: 100, sessions: "
                                "{user_tokens: 1, output_tokens: 1, "
                                "max_context_tokens: 200}}]\n",
     "max_context_tokens: 200; at most the 100"},
    {MODELS CLUSTERS SCHEDULERS TRACES "memory_planner: nice\n", "memory_planner"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{devise: h100}]\n",
     "the nearest is 'device'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{scheduler: [vllm, vlm]}]\n",
     "c.yaml:5: exclude.0.scheduler.1: there is no scheduler 'vlm' here; the nearest "
     "is 'vllm'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "include: [{model: llma}]\n",
     "include.0.model: there is no model 'llma' here; the nearest is 'llama'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{trace: chats}]\n", "'chat'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{device: a1oo}]\n", "'a100'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{network_device: a100_dxg}]\n",
     "'a100_dgx'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{router: lot}]\n",
     "there is no router 'lot'"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{batch_size: many}]\n",
     "exclude.0.batch_size"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: {device: h100}\n",
     "exclude: a mapping where a list is needed"},
    {MODELS CLUSTERS SCHEDULERS TRACES "exclude: [{}]\n",
     "an empty rule; write it like {device: h100"},
    {MODELS CLUSTERS SCHEDULERS TRACES "capacity_definition: scheduling_delay\n"
                                       "slos: [{metric: ttft, quantile: 0.9, "
                                       "limit_s: 1}]\n",
     "0.99 quantile of scheduling_delay"},
    {MODELS CLUSTERS SCHEDULERS TRACES "estimator: {source: magic}\n",
     "estimator.source"},
    {MODELS CLUSTERS SCHEDULERS TRACES "search: {num_requests: many}\n",
     "search.num_requests"},
    {MODELS CLUSTERS SCHEDULERS TRACES "search: {sustained_fraction: 1.5}\n",
     "search.sustained_fraction"},
    {MODELS CLUSTERS SCHEDULERS TRACES "search: {replications: 0}\n",
     "search.replications"},
    {MODELS CLUSTERS SCHEDULERS TRACES "target: {qps: 0}\n", "target.qps"},
    {MODELS CLUSTERS SCHEDULERS TRACES "target: {max_gpus: 8}\n",
     "target.qps: missing"},
    {MODELS CLUSTERS SCHEDULERS TRACES
     "target: {qps: 5}\ncapacity_definition: scheduling_delay\n",
     "target"},
    {MODELS CLUSTERS SCHEDULERS TRACES "batch_sizes: [0]\n", "at least 1"},
    {MODELS CLUSTERS SCHEDULERS TRACES "batch_sizes: [32\n", "c.yaml:"},
    {MODELS CLUSTERS TRACES
     "schedulers:\n  - scheduler: vllm_v1\n    kv_offload_gib_per_gpu: [1, -2]\n",
     "kv_offload_gib_per_gpu"},
    {MODELS CLUSTERS TRACES
     "schedulers: [{scheduler: sarathi, kv_offload_gib_per_gpu: 8}]\n",
     "sarathi does not use it"},
    {"- a\n", "c.yaml:"},
    {"", "models: missing"},
};

static void test_bad_input(void)
{
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        struct vidur_search_config config;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(load(&config, bad_cases[i].text, &err), -1);
        CU_ASSERT_TRUE(err.code != VIDUR_OK);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "c.yaml:"));
        CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
        const bool said = strstr(err.text, bad_cases[i].words) != NULL;
        if (!said)
            printf("\n    case %zu: %s", i, err.text);
        CU_ASSERT_TRUE(said);
        vidur_search_config_release(&config);
    }
}

static void test_missing_configuration(void)
{
    struct vidur_search_config config;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_search_config_load(&config, "/no/such.yaml", NULL, 0, &err),
                    -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/no/such.yaml"));
    vidur_search_config_release(&config);
    unlink(path);
    rmdir(folder);
}

VIDUR_TEST_MAIN("search configuration", {"defaults", test_defaults},
                {"keys of Vidur's explorer", test_vidur_keys},
                {"lists of knobs", test_lists_of_knobs},
                {"long labels", test_long_labels}, {"words", test_words},
                {"offload", test_offload}, {"traces", test_traces},
                {"sessions", test_sessions}, {"scaled traces", test_scaled_traces},
                {"overrides and hash", test_overrides_and_hash},
                {"bad input", test_bad_input},
                {"missing configuration", test_missing_configuration})
