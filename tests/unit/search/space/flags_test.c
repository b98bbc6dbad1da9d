#include "space/flags.h"

#include "test.h"

#include <vidur/space.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What works; each case changes some of it. */
static struct search_flags usual(void)
{
    return (struct search_flags){.models = "meta-llama/Llama-3.1-8B",
                                 .gpus = "h100",
                                 .ttft_p95 = "1",
                                 .folder = "/here"};
}

static struct vidur_text text;
static struct vidur_error err;

static const char *written(const struct search_flags *flags)
{
    free(text.data);
    text = (struct vidur_text){0};
    err = (struct vidur_error){0};
    if (search_flags_write(flags, &text, &err) != 0)
        printf("\n    %s", err.text);
    CU_ASSERT_EQUAL_FATAL(err.code, VIDUR_OK);
    return text.data;
}

static void expect_error(const struct search_flags *flags, const char *words)
{
    free(text.data);
    text = (struct vidur_text){0};
    err = (struct vidur_error){0};
    CU_ASSERT_EQUAL(search_flags_write(flags, &text, &err), -1);
    assert_contains(err.text, words);
}

static void expect(const char *line)
{
    assert_contains(text.data, line);
}

static void test_whole_text(void)
{
    const struct search_flags flags = usual();
    CU_ASSERT_STRING_EQUAL(
        written(&flags),
        "# A search given by options. As a file it is searched the same: vidur-search "
        "FILE\n"
        "models:\n"
        "  - {name: \"Llama-3.1-8B\", identifier: \"meta-llama/Llama-3.1-8B\"}\n"
        "clusters:\n"
        "  - {device: \"h100\", num_gpus: 8}\n"
        "schedulers:\n"
        "  - {scheduler: vllm_v1, max_num_batched_tokens: [2048, 8192]}\n"
        "traces:\n"
        "  - {name: chat, trace_file: data:traces/chat-4k-synthetic.csv, max_seq_len: "
        "4096}\n"
        "batch_sizes: [32, 64, 128, 256]\n"
        "tp_dimensions: [1, 2, 4, 8]\n"
        "pp_dimensions: [1]\n"
        "slos:\n"
        "  - {metric: ttft, quantile: 0.95, limit_s: 1}\n"
        "estimator: {source: roofline}\n");
}

static void test_every_option(void)
{
    struct search_flags flags = usual();
    flags.models = "gpt-oss-20b,llama-3.1-8b";
    flags.gpus = "h100,h200";
    flags.prices = "h200=6.5";
    flags.num_gpus = "4";
    flags.tp = "1,4";
    flags.qps = "50";
    flags.tpot_p95 = "0.04";
    flags.e2e_p95 = "20";
    flags.prompt = "1000";
    flags.output = "300";
    written(&flags);
    expect("{device: \"h100\", num_gpus: 4}\n");
    expect("{device: \"h200\", num_gpus: 4, usd_per_gpu_hour: 6.5}\n");
    expect("tp_dimensions: [1, 4]\n");
    expect("expert_parallel: [false, true]\n");
    expect("  - {model: \"llama-3.1-8b\", expert_parallel: true}\n");
    expect("{metric: tpot, quantile: 0.95, limit_s: 0.04}\n");
    expect("{metric: e2e, quantile: 0.95, limit_s: 20}\n");
    expect("target: {qps: 50}\n");
    expect("lengths: {type: fixed, prefill_tokens: 1000, decode_tokens: 300}, "
           "max_seq_len: 1300}\n");
    CU_ASSERT_PTR_NULL(strstr(text.data, "trace_file"));
}

static void test_replay(void)
{
    char folder[PATH_MAX];
    FILE *log = fopen("log.of-days.csv", "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(log);
    fputs("num_prefill_tokens,num_decode_tokens,arrived_at\n100,50,0\n200,9,1\n", log);
    fclose(log);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(folder, sizeof folder));
    struct search_flags flags = usual();
    flags.folder = folder;
    flags.replay = "log.of-days.csv";
    flags.pp = "1,2";
    written(&flags);
    expect("  - {name: \"log.of-days\", replay: {file: \"/");
    expect("log.of-days.csv\"}, max_seq_len: 209}\n");
    expect("pp_dimensions: [1, 2]\n");
    struct vidur_search_config config;
    const struct vidur_search_source source = {.path = "(options)", .text = text.data};
    CU_ASSERT_EQUAL_FATAL(vidur_search_config_read(&config, &source, &err), 0);
    vidur_search_config_release(&config);
    flags.prompt = flags.output = "5";
    expect_error(&flags, "--replay: given beside --prompt-tokens");
    flags.trace = "log.of-days.csv";
    expect_error(&flags, "--trace: given beside --replay");
    flags = usual();
    flags.pp = "16";
    expect_error(&flags, "--pp: 16 is more than the 8 GPUs of a cluster");
    unlink("log.of-days.csv");
}

/* Names of data/prices stay, files are found from anywhere. */
static void test_price_files(void)
{
    static const char *const files[] = {"lambda", "mine.yaml", "/a/b.yml"};
    struct search_flags flags = usual();
    flags.gpus = "h100,h200"; /* one that has no price of its own */
    flags.folder = "/work";
    flags.price_files = files;
    flags.num_price_files = 3;
    written(&flags);
    expect("  - {device: \"h200\", num_gpus: 8}\n"
           "prices: [\"lambda\", \"/work/mine.yaml\", \"/a/b.yml\"]\n"
           "schedulers:\n");
}

/* The text is a configuration whose space is not empty. */
static void test_can_be_read(void)
{
    struct search_flags flags = usual();
    struct vidur_search_config config;
    struct vidur_space space = {0};
    flags.models = "gpt-oss-20b,llama-3.1-8b";
    const struct vidur_search_source source = {.path = "(options)",
                                               .text = written(&flags)};
    CU_ASSERT_EQUAL_FATAL(vidur_search_config_read(&config, &source, &err), 0);
    CU_ASSERT_EQUAL(config.num_models, 2);
    CU_ASSERT_EQUAL(config.clusters[0].node.devices_per_node, 8);
    CU_ASSERT_DOUBLE_EQUAL(config.clusters[0].usd_per_gpu_hour, 4.25, 1e-12);
    CU_ASSERT_EQUAL_FATAL(vidur_space_build(&space, &config, &err), 0);
    /* batch sizes and budgets; with experts 1 + 2 * 3 cuts, without 4 */
    CU_ASSERT_EQUAL(space.num_candidates, 4 * 2 * (7 + 4));
    for (int64_t i = 0; i < space.num_candidates; i++)
        CU_ASSERT_NOT_EQUAL(space.candidates[i].status, VIDUR_CANDIDATE_INVALID);
    vidur_space_release(&space);
    vidur_search_config_release(&config);
}

/* Sizes that are tried unless --tp says so are possible for some model. */
static void test_default_sizes(void)
{
    struct search_flags flags = usual();
    flags.num_gpus = "2";
    written(&flags);
    expect("tp_dimensions: [1, 2]\n");
    flags = usual();
    flags.models = "qwen-2-7b"; /* 28 query heads */
    written(&flags);
    expect("tp_dimensions: [1, 2, 4]\n");
    flags.models = "qwen-2-7b,llama-3.1-8b";
    written(&flags);
    expect("tp_dimensions: [1, 2, 4, 8]\n");
}

static void test_paths(void)
{
    struct search_flags flags = usual();
    flags.models = "data/models/qwen3-8b.yaml"; /* tests run in the source folder */
    flags.trace = "data/traces/chat-4k-synthetic.csv";
    written(&flags);
    expect("{name: \"qwen3-8b\", identifier: \"/here/data/models/qwen3-8b.yaml\"}");
    expect("{name: \"chat-4k-synthetic\", trace_file: "
           "\"/here/data/traces/chat-4k-synthetic.csv\", max_seq_len: 4070}");
    flags.folder = "/a \"quoted\" \\ folder";
    written(&flags);
    expect("\"/a \\\"quoted\\\" \\\\ folder/data/models/qwen3-8b.yaml\"");
    flags.trace = "data:traces/chat-4k-synthetic.csv";
    written(&flags);
    expect("trace_file: \"data:traces/chat-4k-synthetic.csv\"");
}

static void test_first_given(void)
{
    struct search_flags flags = {.folder = "/here"};
    CU_ASSERT_PTR_NULL(search_flags_first(&flags));
    flags.qps = "5";
    CU_ASSERT_STRING_EQUAL(search_flags_first(&flags), "qps");
}

#define REFUSE(member, value, words)                                                   \
    do {                                                                               \
        struct search_flags changed = usual();                                         \
        changed.member = (value);                                                      \
        expect_error(&changed, words);                                                 \
    } while (0)

static void test_refusals(void)
{
    REFUSE(models, NULL, "--model is missing; `vidur-search --list models`");
    REFUSE(gpus, NULL, "--gpus is missing; `vidur-search --list devices`");
    REFUSE(ttft_p95, NULL, "add --ttft-p95, --tpot-p95 or --e2e-p95");
    REFUSE(gpus, "h100,h100", "--gpus: 'h100' is named twice");
    REFUSE(gpus, "h10", "--gpus: ");
    REFUSE(gpus, "h100,", "--gpus: an empty name");
    REFUSE(models, "lama-3.1-8b", "--model: ");
    REFUSE(prices, "h200=6", "--price: 'h200=6' is of no device of --gpus");
    REFUSE(prices, "h100", "--price: 'h100' is not NAME=USD");
    REFUSE(prices, "h100=0", "--price: 'h100=0' is not NAME=USD");
    REFUSE(prices, "h100=5,h100=6", "--price: 'h100=6' ");
    REFUSE(num_gpus, "0", "--num-gpus: '0' is not a whole number");
    REFUSE(tp, "1,x", "--tp: 'x' is not a whole number");
    REFUSE(tp, "16", "--tp: 16 is more than the 8 GPUs of a cluster");
    REFUSE(qps, "-1", "--qps: '-1' is not a number above 0");
    REFUSE(ttft_p95, "fast", "--ttft-p95: 'fast' is not a number above 0");
    REFUSE(prompt, "5", "--output-tokens is missing");
    REFUSE(output, "5", "--prompt-tokens is missing");
    REFUSE(trace, "no.csv", "--trace: no.csv");
    struct search_flags both = usual();
    both.trace = "no.csv";
    both.prompt = both.output = "5";
    expect_error(&both, "--trace: given beside --prompt-tokens");
}

VIDUR_TEST_MAIN("flags", {"the whole text", test_whole_text},
                {"every option", test_every_option}, {"price files", test_price_files},
                {"a log that is replayed", test_replay},
                {"can be read", test_can_be_read},
                {"default sizes", test_default_sizes}, {"paths", test_paths},
                {"the first given", test_first_given}, {"refusals", test_refusals})
