#include "test.h"

#include "wrong_shapes.h"

#include <vidur/space.h>

#include <string.h>

/* Every key of the reference configuration with a value of another shape: the message
 * names the key, says what shape is needed and shows one. */

/* What the reference has in comments. */
static const char *const more[] = {
    "have=[{device: h100, network_device: h100_dgx, num_gpus: 8}]",
    "prices=[lambda]",
    "target={qps: 50, max_gpus: 100}",
    "include=[{device: [a100, h100]}]",
    "disaggregated={prefill: [{tensor_parallel_size: [1, 2]}], decode: [{device: "
    "h100}], "
    "mixed_devices: true, only: false, near: 0.7, kv_transfer: {bandwidth_gb_per_s: 1, "
    "latency_us: 1, overlap: none}, first_token: decode}",
    "mixed={pools: [{rules: [{device: h100}]}, {rules: [{device: a100}], num_gpus: [4, "
    "8]}], only: false, near: 0.7}",
    "models.0.exclude_tp_dims=[4, 8]",
    "clusters.0.gpus_per_node=8",
    "clusters.0.price={provider: lambda, term: on_demand}",
    "clusters.1.usd_per_gpu_hour=4",
    "schedulers.2={scheduler: vllm_v1, max_num_batched_tokens: 2048, max_num_seqs: 8, "
    "gpu_memory_utilization: 0.9, prefix_caching: true, async_scheduling: true, "
    "scheduling_policy: [fcfs, priority], kv_offload_gib_per_gpu: [0, 64], "
    "kv_offload_gb_per_s: 50}",
    "traces.2={name: log, replay: {file: data:traces/chat-4k-synthetic.csv, "
    "time_window: "
    "{start: 0, end: 9}, peak: {window_s: 600, by: tokens}, prefill_scale_factor: 1, "
    "decode_scale_factor: 1, format: vidur, time_unit: s, columns: {priority: a}}, "
    "num_requests: 100}",
    "traces.3={name: cycle, shared_prefix: {num_groups: 10, num_prompts_per_group: 10, "
    "system_prompt_tokens: 100, prompt_tokens: {mean: 600, std: 20}, output_tokens: "
    "250, "
    "arrivals: {type: poisson}}}",
    "traces.4={name: agents, sessions: {turns: {mean: 3}, first_tokens: {mean: 9}, "
    "user_tokens: {mean: 9}, output_tokens: 4, think_s: {mean: 4}}, max_seq_len: 1000}",
    "traces.5={name: both, num_requests: 16000, mix: [{trace: chat, share: 0.7, slos: "
    "[{all: {ttft: 1.0, tpot: 0.04}, quantile: 0.95}]}, {name: rag, share: 0.3, "
    "lengths: "
    "{type: fixed, prefill_tokens: 30, decode_tokens: 20}, max_seq_len: 99, priority: "
    "1}]}",
    "precision=[default, {weights: bf16, experts: mxfp4, attention: bf16, kv_cache: "
    "fp8}]",
    "slos.3={all: {ttft: 1.0, tpot: 0.04}, quantile: 0.95}",
};

static int load(const char *file, const char *const *sets, int num_sets,
                struct vidur_error *err)
{
    struct vidur_search_config config = {0};
    const int rc = vidur_search_config_load(&config, file, sets, num_sets, err);
    vidur_search_config_release(&config);
    return rc;
}

static void test_shapes(void)
{
    const struct wrong_shapes of = {.file =
                                        VIDUR_TEST_SOURCE_DIR "/configs/reference.yaml",
                                    .sets = more,
                                    .num_sets = sizeof more / sizeof more[0],
                                    .load = load};
    CU_ASSERT(wrong_shapes_try_all(&of) > 450);
}

/* Of the kind that people write. */
static void test_slips(void)
{
    static const struct {
        const char *set, *message;
    } slips[] = {
        {"have=7", "--set have: a value where a mapping is needed; write it like "
                   "{device: h100, num_gpus: 8}"},
        {"have=[7]", "--set have.0: a value where a mapping is needed; write it like "
                     "{device: h100, num_gpus: 8}"},
        {"exclude={device: h100}", "--set exclude: a mapping where a list is needed; "
                                   "write it like [{device: h100}]"},
        {"clusters=h100", "--set clusters: a value where a list is needed; write it "
                          "like [{device: h100, num_gpus: 1}]"},
        {"tp_dimensions={min: 1}", "--set tp_dimensions: a mapping where a list is "
                                   "needed; write it like [1, 2]"},
        {"target=50", "--set target: a value where a mapping is needed; write it like "
                      "{qps: 1}"},
        {"slos={ttft: 1}", "--set slos: a mapping where a list is needed; write it "
                           "like [{metric: ttft, quantile: 0.9, limit_s: 1}]"},
        {"batch_sizes.0=[64]", "--set batch_sizes.0: a list where a whole number is "
                               "needed; write it like 1"},
        {"prices=7", "--set prices: '7' is not in data/prices; the nearest is"}};
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(load(VIDUR_TEST_SOURCE_DIR "/configs/reference.yaml",
                             &slips[i].set, 1, &err),
                        -1);
        CU_ASSERT_NSTRING_EQUAL(err.text, slips[i].message, strlen(slips[i].message));
    }
}

VIDUR_TEST_MAIN("values of the wrong shape in a search", {"every key", test_shapes},
                {"slips", test_slips})
