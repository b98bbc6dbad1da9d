#include "test.h"

#include "wrong_shapes.h"

#include <vidur/simulation_config.h>

/* As in a search: every key of the reference configuration of a simulation. */

/* What the reference has in comments. */
static const char *const pools[] = {
    "scheduler.type=vllm_v1",
    "pools=[{role: prefill, weight: 1, cluster: {num_replicas: 2, "
    "tensor_parallel_size: "
    "2}}, {role: decode, router: lor, cluster: {device: h200}, scheduler: "
    "{max_num_seqs: "
    "256}}]",
    "kv_transfer={bandwidth_gb_per_s: 1, latency_us: 1, overlap: none}",
    "first_token=decode",
    "precision={weights: bf16, experts: bf16, kv_cache: bf16}",
    "workload.lengths={type: uniform, min_tokens: 100, prefill_to_decode_ratio: 4}",
    "estimator={source: kernels, profiles: [a], tables: a, kernels: a, constants: "
    "{eta: "
    "0.9, t0_us: 10}}"};

static const char *const replay[] = {
    "workload={type: trace_replay, file: data:traces/chat-4k-synthetic.csv, "
    "max_tokens: "
    "4096, prefill_scale_factor: 1, decode_scale_factor: 1, time_scale_factor: 1, "
    "num_requests: 4, time_window: {start: 0, end: 9}, peak: {window_s: 600, by: "
    "tokens}, format: vidur, time_unit: s, characters_per_token: 4, block_tokens: 512, "
    "columns: {priority: tier, session: chat}}"};

static const char *const prefixes[] = {
    "workload={type: shared_prefix, num_groups: 10, num_prompts_per_group: 10, "
    "system_prompt_tokens: 100, prompt_tokens: {quantiles: [[0.5, 591], [0.9, 600]]}, "
    "output_tokens: 247, arrivals: {type: exponential_filled}, stages: [{rate: 5, "
    "duration_s: 600}]}"};

static const char *const sessions[] = {
    "workload={type: sessions, arrivals: {type: closed_loop, concurrency: 3}, "
    "num_requests: 4000, sessions: {turns: {mean: 5, cv: 1}, first_tokens: 500, "
    "user_tokens: {mean: 80, cv: 1, min: 3, max: 900}, output_tokens: {quantiles: "
    "[[0.5, "
    "139], [1, 900]]}, think_s: 30, sub_agents: 0, num_groups: 1, "
    "system_prompt_tokens: "
    "0, max_context_tokens: 4000, compacts: false}}"};

static const char *const mix[] = {
    "workload={type: mix, num_requests: 512, max_tokens: 4096, arrivals: {type: gamma, "
    "qps: 2, cv: 1}, classes: [{name: chat, share: 0.7, lengths: {type: fixed, "
    "prefill_tokens: 9, decode_tokens: 9}, slos: [{metric: ttft, quantile: 0.9, "
    "limit_s: "
    "1}]}, {name: rag, share: 0.3, lengths: {type: zipf, min_tokens: 9, "
    "prefill_to_decode_ratio: 2, theta: 0.6, scramble: false}, priority: 1, "
    "max_tokens: "
    "819}]}"};

static int load(const char *file, const char *const *sets, int num_sets,
                struct vidur_error *err)
{
    struct vidur_simulation_config config = {0};
    const int rc = vidur_simulation_config_load(&config, file, sets, num_sets, err);
    vidur_simulation_config_release(&config);
    return rc;
}

static int try_all(const char *const *sets, int num_sets)
{
    const struct wrong_shapes of = {.file = VIDUR_TEST_SOURCE_DIR
                                    "/configs/simulate-reference.yaml",
                                    .sets = sets,
                                    .num_sets = num_sets,
                                    .load = load};
    return wrong_shapes_try_all(&of);
}

#define TRY(sets) try_all(sets, (int)(sizeof(sets) / sizeof(sets)[0]))

static void test_shapes(void)
{
    CU_ASSERT(try_all(NULL, 0) > 150);
    CU_ASSERT(TRY(pools) > 150);
    CU_ASSERT(TRY(replay) > 150);
    CU_ASSERT(TRY(prefixes) > 150);
    CU_ASSERT(TRY(sessions) > 150);
    CU_ASSERT(TRY(mix) > 150);
}

VIDUR_TEST_MAIN("values of the wrong shape in a simulation", {"every key", test_shapes})
