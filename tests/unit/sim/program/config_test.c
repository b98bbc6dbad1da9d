#include "test.h"

#include "base/yaml.h"

#include <vidur/simulation_config.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A configuration with one place to change. */
#define HEAD    "model: meta-llama/Llama-2-7b-hf\n"
#define CLUSTER "cluster: {device: a100, network_device: a100_dgx}\n"
#define WORKLOAD                                                                       \
    "workload: {num_requests: 5, lengths: {type: uniform}, arrivals: {qps: 1}}\n"

static const char *config_file(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/vidur_config_%ld.yaml", (long)getpid());
    return path;
}

static int load(const char *text, const char *set,
                struct vidur_simulation_config *config, struct vidur_error *err)
{
    FILE *f = fopen(config_file(), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
    int status =
        vidur_simulation_config_load(config, config_file(), &set, set ? 1 : 0, err);
    unlink(config_file());
    return status;
}

static void load_good(const char *text, const char *set,
                      struct vidur_simulation_config *config)
{
    struct vidur_error err = {0};
    int status = load(text, set, config, &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

static void test_defaults(void)
{
    struct vidur_simulation_config c;
    load_good(HEAD CLUSTER WORKLOAD, NULL, &c);
    CU_ASSERT_STRING_EQUAL(c.deployment.model.name, "meta-llama/Llama-2-7b-hf");
    CU_ASSERT_STRING_EQUAL(c.deployment.device.name, "a100");
    CU_ASSERT_STRING_EQUAL(c.deployment.node.name, "a100_dgx");
    CU_ASSERT_EQUAL(c.deployment.num_replicas, 1);
    CU_ASSERT_EQUAL(c.deployment.tensor_parallel_size, 1);
    CU_ASSERT_EQUAL(c.deployment.num_pipeline_stages, 1);
    CU_ASSERT_EQUAL(c.deployment.memory_margin_fraction, 0.1);
    CU_ASSERT_EQUAL(c.deployment.memory_planner, VIDUR_PLANNER_BY_SEMANTICS);
    CU_ASSERT_EQUAL(c.deployment.semantics, VIDUR_SEMANTICS_CORRECTED);
    CU_ASSERT_STRING_EQUAL(c.deployment.router, "round_robin");
    CU_ASSERT_EQUAL(c.deployment.scheduler.block_size, 16);
    CU_ASSERT_EQUAL(c.workload.arrivals.truncate, 0);
    CU_ASSERT_EQUAL(c.estimator.source, VIDUR_SOURCE_AUTO);
    CU_ASSERT(c.output.requests && c.output.statistics);
    CU_ASSERT_FALSE(c.output.batches || c.output.operators || c.output.chrome_trace ||
                    c.output.event_trace);
    CU_ASSERT_EQUAL(c.time_limit_s, 0);
    CU_ASSERT_EQUAL(strlen(c.sha256), 64);
    CU_ASSERT_STRING_EQUAL(c.text, HEAD CLUSTER WORKLOAD);
    vidur_simulation_config_release(&c);
}

static void test_reads_every_key(void)
{
    struct vidur_simulation_config c;
    load_good("semantics: vidur\n"
              "model: meta-llama/Llama-2-70b-hf\n"
              "cluster:\n"
              "  device: a100\n  network_device: a100_dgx\n  num_replicas: 2\n"
              "  tensor_parallel_size: 4\n  num_pipeline_stages: 2\n"
              "  memory_margin_fraction: 0.2\n  memory_planner: exact\n"
              "router: lor\n"
              "scheduler:\n"
              "  type: vllm\n  batch_size_cap: 64\n  chunk_size: 256\n"
              "  max_tokens_in_batch: 2048\n  max_waiting_iters: 5\n"
              "  block_size: 32\n  watermark_blocks_fraction: 0.05\n"
              "  num_blocks: 777\n" WORKLOAD "estimator: {source: roofline}\n"
              "time_limit_s: 60\n"
              "tbt_definition: batch\n"
              "output: {requests: false, batches: true, operators: true,\n"
              "  chrome_trace: true, event_trace: true, statistics: false}\n",
              NULL, &c);
    const struct vidur_deployment *d = &c.deployment;
    CU_ASSERT_EQUAL(d->semantics, VIDUR_SEMANTICS_VIDUR);
    CU_ASSERT_EQUAL(d->num_replicas, 2);
    CU_ASSERT_EQUAL(d->tensor_parallel_size, 4);
    CU_ASSERT_EQUAL(d->num_pipeline_stages, 2);
    CU_ASSERT_EQUAL(d->memory_margin_fraction, 0.2);
    CU_ASSERT_EQUAL(d->memory_planner, VIDUR_PLANNER_EXACT);
    CU_ASSERT_STRING_EQUAL(d->router, "lor");
    CU_ASSERT_STRING_EQUAL(d->scheduler.type, "vllm");
    CU_ASSERT_EQUAL(d->scheduler.batch_size_cap, 64);
    CU_ASSERT_EQUAL(d->scheduler.chunk_size, 256);
    CU_ASSERT_EQUAL(d->scheduler.max_tokens_in_batch, 2048);
    CU_ASSERT_EQUAL(d->scheduler.max_waiting_iters, 5);
    CU_ASSERT_EQUAL(d->scheduler.block_size, 32);
    CU_ASSERT_EQUAL(d->scheduler.watermark_blocks_fraction, 0.05);
    CU_ASSERT_EQUAL(d->scheduler.num_blocks, 777);
    CU_ASSERT_EQUAL(c.workload.arrivals.truncate, 3); /* the reference's */
    CU_ASSERT_EQUAL(c.time_limit_s, 60);
    CU_ASSERT_EQUAL(c.tbt_definition, VIDUR_TBT_BATCH);
    CU_ASSERT_FALSE(c.output.requests || c.output.statistics);
    CU_ASSERT(c.output.batches && c.output.operators && c.output.chrome_trace &&
              c.output.event_trace);
    vidur_simulation_config_release(&c);
}

/* The one that people rent; the reference's under its semantics. */
static void test_default_node(void)
{
    struct vidur_simulation_config c;
    load_good(HEAD "cluster: {device: h100}\n" WORKLOAD, NULL, &c);
    CU_ASSERT_STRING_EQUAL(c.deployment.node.name, "h100_dgx");
    CU_ASSERT_TRUE(c.default_node[0]);
    vidur_simulation_config_release(&c);
    load_good("semantics: vidur\n" HEAD "cluster: {device: h100}\n" WORKLOAD, NULL, &c);
    CU_ASSERT_STRING_EQUAL(c.deployment.node.name, "h100_pairwise_nvlink");
    CU_ASSERT_TRUE(c.default_node[0]);
    vidur_simulation_config_release(&c);
    load_good(HEAD CLUSTER WORKLOAD, NULL, &c);
    CU_ASSERT_FALSE(c.default_node[0]);
    CU_ASSERT_TRUE(c.workload.corrected);
    vidur_simulation_config_release(&c);
}

/* An override counts for the values, the text and the hash. */
static void test_overrides(void)
{
    struct vidur_simulation_config plain;
    struct vidur_simulation_config set;
    load_good(HEAD CLUSTER WORKLOAD, NULL, &plain);
    load_good(HEAD CLUSTER WORKLOAD, "workload.arrivals.qps=2.5", &set);
    CU_ASSERT_EQUAL(set.workload.arrivals.qps, 2.5);
    CU_ASSERT_STRING_EQUAL(set.text,
                           HEAD CLUSTER WORKLOAD "# --set workload.arrivals.qps=2.5\n");
    CU_ASSERT_STRING_NOT_EQUAL(set.sha256, plain.sha256);
    vidur_simulation_config_release(&set);
    /* the same content, written otherwise */
    load_good(WORKLOAD CLUSTER "# a comment\n" HEAD, NULL, &set);
    CU_ASSERT_STRING_EQUAL(set.sha256, plain.sha256);
    vidur_simulation_config_release(&set);
    vidur_simulation_config_release(&plain);
}

/* ---- Pools ---- */

#define V1    "scheduler: {type: vllm_v1, max_num_seqs: 9}\n"
#define POOLS "pools:\n  - role: prefill\n  - role: decode\n"

/* What a pool leaves out is the top level's; without pools there is one, of all. */
static void test_pools(void)
{
    struct vidur_simulation_config c;
    load_good(HEAD CLUSTER "router: lor\n" V1 WORKLOAD, NULL, &c);
    CU_ASSERT_EQUAL(c.fleet.num_pools, 1);
    CU_ASSERT_EQUAL(c.fleet.pools[0].role, VIDUR_POOL_ALL);
    CU_ASSERT_EQUAL(
        memcmp(&c.fleet.pools[0].deployment, &c.deployment, sizeof c.deployment), 0);
    vidur_simulation_config_release(&c);
    load_good(HEAD CLUSTER
              "router: lor\n" V1 WORKLOAD "pools:\n"
              "  - {role: prefill, weight: 2.5}\n"
              "  - role: decode\n"
              "    router: random\n"
              "    cluster: {device: h100, num_replicas: 3}\n"
              "    scheduler: {max_num_batched_tokens: 77}\n"
              "kv_transfer: {bandwidth_gb_per_s: 3, latency_us: 0, overlap: "
              "layers}\n"
              "first_token: prefill\n",
              NULL, &c);
    const struct vidur_pool *prefill = &c.fleet.pools[0];
    const struct vidur_pool *decode = &c.fleet.pools[1];
    CU_ASSERT_EQUAL_FATAL(c.fleet.num_pools, 2);
    CU_ASSERT_EQUAL(prefill->role, VIDUR_POOL_PREFILL);
    CU_ASSERT_EQUAL(prefill->weight, 2.5);
    CU_ASSERT_STRING_EQUAL(prefill->deployment.node.name, "a100_dgx");
    CU_ASSERT_STRING_EQUAL(prefill->deployment.router, "lor");
    CU_ASSERT_FALSE(c.default_node[0]);
    CU_ASSERT_EQUAL(decode->role, VIDUR_POOL_DECODE);
    CU_ASSERT_EQUAL(decode->weight, 1);
    CU_ASSERT_STRING_EQUAL(decode->deployment.model.name, "meta-llama/Llama-2-7b-hf");
    CU_ASSERT_STRING_EQUAL(decode->deployment.device.name, "h100");
    CU_ASSERT_STRING_EQUAL(decode->deployment.node.name, "h100_dgx");
    CU_ASSERT_TRUE(c.default_node[1]);
    CU_ASSERT_EQUAL(decode->deployment.num_replicas, 3);
    CU_ASSERT_STRING_EQUAL(decode->deployment.router, "random");
    CU_ASSERT_STRING_EQUAL(decode->deployment.scheduler.type, "vllm_v1");
    CU_ASSERT_EQUAL(decode->deployment.scheduler.max_num_seqs, 9);
    CU_ASSERT_EQUAL(decode->deployment.scheduler.max_num_batched_tokens, 77);
    CU_ASSERT_EQUAL(c.fleet.kv_transfer.bandwidth_gb_per_s, 3);
    CU_ASSERT_EQUAL(c.fleet.kv_transfer.latency_us, 0);
    CU_ASSERT_EQUAL(c.fleet.kv_transfer.overlap, VIDUR_OVERLAP_LAYERS);
    CU_ASSERT_EQUAL(c.fleet.first_token, VIDUR_FIRST_TOKEN_PREFILL);
    vidur_simulation_config_release(&c);
}

/* Pools that name all they need leave the top level's cluster out. What a pool says of
 * the same device keeps the node, too. */
static void test_pools_hardware(void)
{
    struct vidur_simulation_config c;
    load_good(HEAD WORKLOAD "pools: [{cluster: {device: h100}}, {weight: 2, cluster: "
                            "{device: a100, num_replicas: 2}}]\n",
              NULL, &c);
    CU_ASSERT_EQUAL(c.fleet.num_pools, 2);
    CU_ASSERT_EQUAL(c.fleet.pools[1].role, VIDUR_POOL_ALL);
    CU_ASSERT_STRING_EQUAL(c.deployment.device.name, "h100");
    CU_ASSERT_STRING_EQUAL(c.fleet.pools[1].deployment.node.name, "a100_dgx");
    CU_ASSERT_EQUAL(vidur_fleet_num_replicas(&c.fleet), 3);
    CU_ASSERT_EQUAL(vidur_fleet_pool_of(&c.fleet, 0), 0);
    CU_ASSERT_EQUAL(vidur_fleet_pool_of(&c.fleet, 1), 1);
    CU_ASSERT_EQUAL(vidur_fleet_pool_of(&c.fleet, 2), 1);
    vidur_simulation_config_release(&c);
    load_good(HEAD
              "cluster: {device: h100, network_device: h100_pairwise_nvlink}\n" WORKLOAD
              "pools: [{}, {cluster: {device: h100}}, {cluster: "
              "{network_device: h100_dgx}}]\n",
              NULL, &c);
    CU_ASSERT_STRING_EQUAL(c.fleet.pools[1].deployment.node.name,
                           "h100_pairwise_nvlink");
    CU_ASSERT_STRING_EQUAL(c.fleet.pools[2].deployment.node.name, "h100_dgx");
    vidur_simulation_config_release(&c);
}

struct bad_case {
    const char *text;
    const char *set;
    const char *place; /* behind the file's name */
    const char *message;
};

static void check_messages(const struct bad_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vidur_simulation_config config;
        struct vidur_error err = {0};
        char place[256];
        snprintf(place, sizeof place, "%s%s",
                 strncmp(cases[i].place, "--set", 5) ? config_file() : "",
                 cases[i].place);
        CU_ASSERT_EQUAL(load(cases[i].text, cases[i].set, &config, &err), -1);
        vidur_simulation_config_release(&config);
        bool right = strncmp(err.text, place, strlen(place)) == 0 &&
                     strstr(err.text, cases[i].message);
        if (!right)
            printf("\n  %zu: wanted '%s...%s', got '%s'\n", i, place, cases[i].message,
                   err.text);
        CU_ASSERT(right);
    }
}

static void test_errors_name_place_and_remedy(void)
{
    static const struct bad_case cases[] = {
        {"", NULL, "", "model"},
        {CLUSTER WORKLOAD, NULL, ":1: model: ", "missing"},
        {HEAD WORKLOAD, NULL, ":1: cluster: ", "missing"},
        {HEAD CLUSTER, NULL, ":1: workload: ", "missing"},
        {HEAD "cluster: {network_device: a100_dgx}\n" WORKLOAD, NULL,
         ":2: cluster.device: ", "missing"},
        {HEAD CLUSTER WORKLOAD "modle: x\n", NULL, ":4: modle: ", "'model'"},
        {HEAD CLUSTER WORKLOAD "semantics: exact\n", NULL, ":4: semantics: ", "vidur"},
        {"model: meta-llama/Llama-2-7b-hg\n" CLUSTER WORKLOAD, NULL,
         ":1: model: ", "llama-2-7b-hf"},
        {"model: nowhere.yaml\n" CLUSTER WORKLOAD, NULL, ":1: model: ", "/tmp/nowhere"},
        {HEAD "cluster: {device: a1000}\n" WORKLOAD, NULL,
         ":2: cluster.device: ", "a100"},
        {HEAD "cluster:\n  device: a100\n  network_device: dgx\n" WORKLOAD, NULL,
         ":4: cluster.network_device: ", "a100_dgx"},
        {HEAD "cluster:\n  device: a100\n  network_device: h100_dgx\n" WORKLOAD, NULL,
         ":4: cluster.network_device: ", "holds h100 devices, not a100"},
        {HEAD "cluster:\n  device: a100\n  tensor_parallel_size: 3\n" WORKLOAD, NULL,
         ":4: cluster.tensor_parallel_size: ", "3 does not divide 32 query heads"},
        {HEAD "cluster:\n  device: a100\n  num_pipeline_stages: 3\n" WORKLOAD, NULL,
         ":4: cluster.num_pipeline_stages: ", "3 does not divide 32 layers"},
        {HEAD "cluster:\n  device: a100\n  num_pipeline_stages: 4\n"
              "scheduler:\n  batch_size_cap: 3\n" WORKLOAD,
         NULL, ":6: scheduler.batch_size_cap: ", "3 requests cannot"},
        {HEAD "cluster:\n  device: a100\n  num_replicas: 0\n" WORKLOAD, NULL,
         ":4: cluster.num_replicas: ", "1"},
        {HEAD CLUSTER "scheduler: {type: sarati}\n" WORKLOAD, NULL,
         ":3: scheduler.type: ", "'sarathi'"},
        {HEAD CLUSTER "scheduler: {chunk_sizes: 5}\n" WORKLOAD, NULL,
         ":3: scheduler.chunk_sizes: ", "'chunk_size'"},
        {HEAD CLUSTER "scheduler: {chunk_size: 0}\n" WORKLOAD, NULL,
         ":3: scheduler.chunk_size: ", "1"},
        {HEAD CLUSTER "scheduler: {chunk_size: 1.5}\n" WORKLOAD, NULL,
         ":3: scheduler.chunk_size: ", "1.5"},
        {HEAD CLUSTER "router: roundrobin\n" WORKLOAD, NULL,
         ":3: router: ", "'round_robin'"},
        {HEAD CLUSTER WORKLOAD "output: {traces: true}\n", NULL,
         ":4: output.traces: ", "unknown key"},
        {HEAD CLUSTER WORKLOAD "output: {batches: 3}\n", NULL,
         ":4: output.batches: ", "3"},
        {HEAD CLUSTER WORKLOAD "time_limit_s: -1\n", NULL, ":4: time_limit_s: ", "0"},
        {HEAD CLUSTER WORKLOAD "estimator: {source: magic}\n", NULL,
         ":4: estimator.source: ", "roofline"},
        {HEAD CLUSTER WORKLOAD, "workload.arrivals.qps=-3",
         "--set workload.arrivals.qps: ", "0"},
        {HEAD CLUSTER WORKLOAD, "cluster.tensor_parallel_size=3",
         "--set cluster.tensor_parallel_size: ", "3 does not divide"},
        {HEAD "model: x\n" CLUSTER WORKLOAD, NULL, ":2: ", "model"},
        {HEAD "cluster: [1, 2\n", NULL, ":", ""},
    };
    check_messages(cases, sizeof cases / sizeof *cases);
}

static void test_errors_in_pools(void)
{
    static const struct bad_case cases[] = {
        {HEAD CLUSTER V1 WORKLOAD "pools: 3\n", NULL, ":5: pools: ", "a list"},
        {HEAD CLUSTER V1 WORKLOAD "pools: []\n", NULL, ":5: pools: ", "empty"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{}, {}, {}, {}, {}]\n", NULL,
         ":5: pools: ", "4"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{}, {rol: all}]\n", NULL,
         ":5: pools.1.rol: ", "'role'"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{}, {role: prefill}]\n", NULL,
         ":5: pools.1.role: ", "behind a pool of role all"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{weight: 0}]\n", NULL,
         ":5: pools.0.weight: ", "above 0"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{}, {cluster: 3}]\n", NULL,
         ":5: pools.1.cluster: ", "keys with values"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{}, {scheduler: {max_num_seq: 3}}]\n", NULL,
         ":5: pools.1.scheduler.max_num_seq: ", "'max_num_seqs'"},
        {HEAD WORKLOAD "pools:\n  - cluster: {device: h100}\n  - weight: 1\n", NULL,
         ":5: pools.1.cluster: ", "missing"},
        {HEAD WORKLOAD "pools:\n  - cluster: {num_replicas: 2}\n", NULL,
         ":4: pools.0.cluster.device: ", "missing"},
        {HEAD CLUSTER WORKLOAD "pools:\n  - {}\n  - cluster:\n      device: h1000\n",
         NULL, ":7: pools.1.cluster.device: ", "h100"},
        {HEAD CLUSTER WORKLOAD "pools:\n  - cluster:\n      network_device: h100_dgx\n",
         NULL, ":6: pools.0.cluster.network_device: ", "holds h100 devices, not a100"},
        {HEAD CLUSTER WORKLOAD "pools:\n  - {}\n  - cluster:\n"
                               "      tensor_parallel_size: 3\n",
         NULL, ":7: pools.1.cluster.tensor_parallel_size: ", "3 does not divide"},
        {HEAD CLUSTER WORKLOAD "pools:\n  - cluster:\n      tensor_parallel_size: 3\n",
         NULL, ":6: pools.0.cluster.tensor_parallel_size: ", "3 does not divide"},
    };
    check_messages(cases, sizeof cases / sizeof *cases);
}

static void test_errors_among_pools(void)
{
    static const struct bad_case cases[] = {
        {HEAD CLUSTER V1 WORKLOAD "pools:\n  - role: decode\n  - role: prefill\n", NULL,
         ":6: pools.0.role: ", "prefill first"},
        {HEAD CLUSTER V1 WORKLOAD "pools:\n  - role: all\n  - role: decode\n", NULL,
         ":7: pools.1.role: ", "role all"},
        {HEAD CLUSTER V1 WORKLOAD "pools:\n  - role: prefill\n", NULL,
         ":5: pools: ", "none of role decode"},
        {HEAD CLUSTER WORKLOAD POOLS, NULL,
         ":5: pools.0.scheduler.type: ", "cannot hand requests over"},
        {HEAD CLUSTER V1 WORKLOAD POOLS "    scheduler:\n      type: sarathi\n", NULL,
         ":9: pools.1.scheduler.type: ", "cannot hand requests over"},
        {HEAD CLUSTER V1 WORKLOAD "pools: [{}, {router: lor}]\n", NULL,
         ":5: pools.1.router: ", "one router chooses"},
        {HEAD CLUSTER V1 WORKLOAD POOLS "    router: polled\n", NULL,
         ":8: pools.1.router: ", "arrivals only"},
        {HEAD CLUSTER V1 WORKLOAD "kv_transfer: {latency_us: 3}\n", NULL,
         ":5: kv_transfer: ", "no KV cache moves here"},
        {HEAD CLUSTER V1 WORKLOAD "first_token: prefill\n", NULL,
         ":5: first_token: ", "no KV cache moves here"},
        {HEAD CLUSTER V1 WORKLOAD POOLS "kv_transfer: {bandwidth_gb_per_s: 0}\n", NULL,
         ":8: kv_transfer.bandwidth_gb_per_s: ", "above 0"},
        {HEAD CLUSTER V1 WORKLOAD POOLS "kv_transfer: {overlap: half}\n", NULL,
         ":8: kv_transfer.overlap: ", "layers"},
        {HEAD CLUSTER V1 WORKLOAD POOLS "first_token: last\n", NULL,
         ":8: first_token: ", "prefill"},
        {HEAD CLUSTER V1 WORKLOAD POOLS, "pools.1.cluster.tensor_parallel_size=3",
         "--set pools.1.cluster.tensor_parallel_size: ", "3 does not divide"},
    };
    check_messages(cases, sizeof cases / sizeof *cases);
}

static void test_missing_file(void)
{
    struct vidur_simulation_config config;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(
        vidur_simulation_config_load(&config, "/nowhere/a.yaml", NULL, 0, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nowhere/a.yaml"));
    vidur_simulation_config_release(&config);
}

/* The knobs are what VIDUR_SCHEDULER_KNOBS says, ready for other floors. */
static void test_knob_fields(void)
{
    const char *const names[] = {
#define X(type, name, def, min) #name,
        VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    const size_t offsets[] = {
#define X(type, name, def, min) offsetof(struct vidur_scheduler_config, name),
        VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    const struct vidur_yaml_field *fields = vidur_scheduler_knob_fields();
    size_t n = 0;
    for (; fields[n].key; n++) {
        CU_ASSERT_STRING_EQUAL(fields[n].key, names[n]);
        CU_ASSERT_EQUAL(fields[n].offset, offsets[n]);
    }
    CU_ASSERT_EQUAL(n, sizeof names / sizeof names[0]);
}

/* The commented reference names every knob and file, and loads. */
static void test_reference_is_complete(void)
{
    static const char path[] = VIDUR_TEST_SOURCE_DIR "/configs/simulate-reference.yaml";
    static const char *const keys[] = {
#define X(type, name, def, min) "\n  " #name ":",
        VIDUR_SCHEDULER_KNOBS(X)
#undef X
#define X(name, def, what) "\n  " #name ":",
            VIDUR_SIMULATION_OUTPUTS(X)
#undef X
    };
    struct vidur_simulation_config c;
    struct vidur_error err = {0};
    int status = vidur_simulation_config_load(&c, path, NULL, 0, &err);
    if (status)
        printf("\n  %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(status, 0);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(c.text, keys[i]));
    vidur_simulation_config_release(&c);
}

#define MIX(slos)                                                                      \
    "workload: {type: mix, num_requests: 5, arrivals: {qps: 1}, classes: [{name: "     \
    "rag, "                                                                            \
    "share: 1, lengths: {type: uniform}}, {name: chat, share: 2, lengths: {type: "     \
    "uniform}, slos: [" slos "]}]}\n"
#define SLOS "slos: [{all: {ttft: 2, tpot: 0.1}, quantile: 0.9}]\n"

static void test_slos(void)
{
    struct vidur_simulation_config c;
    load_good(HEAD CLUSTER SLOS MIX("{metric: ttft, quantile: 0.5, limit_s: 3}, {all: "
                                    "{e2e: 7, scheduling_delay: 1}, quantile: 1}"),
              NULL, &c);
    const struct vidur_slo *slos = c.slos.slos;
    CU_ASSERT_EQUAL_FATAL(c.slos.count, 3);
    CU_ASSERT(vidur_slo_is_joint(&slos[0]));
    CU_ASSERT_EQUAL(slos[0].quantile, 0.9);
    CU_ASSERT_EQUAL(slos[0].limit_s, 1);
    CU_ASSERT_EQUAL(slos[0].parts_s[VIDUR_LATENCY_ttft], 2);
    CU_ASSERT_EQUAL(slos[0].parts_s[VIDUR_LATENCY_tpot], 0.1);
    CU_ASSERT_EQUAL(slos[0].parts_s[VIDUR_LATENCY_e2e], 0);
    CU_ASSERT_EQUAL(slos[0].class_number, 0);
    CU_ASSERT_EQUAL(slos[1].metric, VIDUR_LATENCY_ttft);
    CU_ASSERT_EQUAL(slos[1].limit_s, 3);
    CU_ASSERT_EQUAL(slos[1].class_number, 2);
    CU_ASSERT_STRING_EQUAL(slos[1].class_name, "chat");
    CU_ASSERT(vidur_slo_is_joint(&slos[2]));
    CU_ASSERT_EQUAL(slos[2].parts_s[VIDUR_LATENCY_scheduling_delay], 1);
    vidur_simulation_config_release(&c);
    load_good(HEAD CLUSTER WORKLOAD, NULL, &c);
    CU_ASSERT_EQUAL(c.slos.count, 0);
    vidur_simulation_config_release(&c);
}

static void expect_bad_slo(const char *text, const char *wanted)
{
    struct vidur_simulation_config c;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(load(text, NULL, &c, &err), -1);
    assert_contains(err.text, wanted);
    vidur_simulation_config_release(&c);
}

#define BAD(slo, wanted)                                                               \
    expect_bad_slo(HEAD CLUSTER WORKLOAD "slos: [" slo "]\n", wanted)
#define BAD_OF_CLASS(slos, wanted) expect_bad_slo(HEAD CLUSTER SLOS MIX(slos), wanted)

static void test_bad_slos(void)
{
    BAD("{quantile: 0.9, limit_s: 1}", ".yaml:4: slos.0.metric: missing");
    BAD("{metric: ttft, quantile: 0.9}", "slos.0.limit_s: missing");
    BAD("{metric: ttft, quantile: 1.5, limit_s: 1}", "slos.0.quantile");
    BAD("{all: {ttft: 1}, metric: ttft, quantile: 0.9}",
        "slos.0.metric: given beside all");
    BAD("{all: {ttft: 1}, limit_s: 2, quantile: 0.9}",
        "slos.0.limit_s: given beside all");
    BAD("{all: {ttft: 1}}", "slos.0.quantile: missing");
    BAD("{all: {}, quantile: 0.9}", "slos.0");
    BAD("{all: {ttft: 0}, quantile: 0.9}", "slos.0.all.ttft");
    BAD("{all: {tftt: 1}, quantile: 0.9}", "slos.0.all.tftt");
    BAD("{all: {ttft: 1, tbt: 0.1}, quantile: 0.9}",
        "all.tbt: gaps between tokens are counted by batches, not by requests; use "
        "tpot");
    BAD_OF_CLASS("{metric: tbt, quantile: 0.9, limit_s: 1}",
                 "workload.classes.1.slos.0: metric tbt of class chat");
    BAD_OF_CLASS("{metric: ttft, quantile: 0.9, limit_s: 1}, {metric: ttft, quantile: "
                 "0.9, limit_s: 2}",
                 "workload.classes.1.slos.1: two are on chat_ttft_p90");
#define ONE(q) "{metric: e2e, quantile: 0." q ", limit_s: 1},"
    BAD_OF_CLASS(ONE("1") ONE("2") ONE("3") ONE("4") ONE("5") ONE("6") ONE("7")
                     ONE("8"),
                 "workload.classes.1.slos.7: a run takes up to 8");
}

VIDUR_TEST_MAIN("simulation config", {"defaults", test_defaults},
                {"reads every key", test_reads_every_key},
                {"default node", test_default_node}, {"pools", test_pools},
                {"hardware of pools", test_pools_hardware},
                {"overrides", test_overrides},
                {"errors name place and remedy", test_errors_name_place_and_remedy},
                {"errors in pools", test_errors_in_pools},
                {"errors among pools", test_errors_among_pools},
                {"missing file", test_missing_file}, {"knob fields", test_knob_fields},
                {"slos", test_slos}, {"bad slos", test_bad_slos},
                {"reference is complete", test_reference_is_complete})
