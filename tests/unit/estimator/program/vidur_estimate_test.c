#define _POSIX_C_SOURCE 200809L

#include "profile_fixture.h"
#include "temp_dir.h"
#include "test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The program as users run it. */

static struct temp_dir dir;

static void set_up(void)
{
    struct vidur_estimator_config config;
    temp_dir_make(&dir);
    fixture_write(&dir, &config);
    temp_dir_write(&dir, "gpu.yaml",
                   "name: gpu\npeak_fp16_tflops: 100\nmemory_gib: 16\n"
                   "memory_bandwidth_gb_per_s: 1000\n");
    temp_dir_write(&dir, "box.yaml",
                   "name: box\ndevice: gpu\ndevices_per_node: 8\n"
                   "link: {bandwidth_gb_per_s: 300}\n"
                   "inter_node: {bandwidth_gb_per_s: 20}\n");
    temp_dir_write(&dir, "model.yaml",
                   "name: test/tiny\nnum_layers: 2\nnum_q_heads: 8\nnum_kv_heads: 2\n"
                   "embedding_dim: 128\nmlp_hidden_dim: 512\nvocab_size: 1000\n"
                   "max_position_embeddings: 4096\nuse_gated_mlp: true\n");
    temp_dir_write(&dir, "config.yaml",
                   "model: model.yaml\n"
                   "cluster: {device: gpu.yaml, network_device: box.yaml,\n"
                   "          num_replicas: 3, tensor_parallel_size: 2}\n"
                   "scheduler: {type: sarathi, chunk_size: 64, block_size: 16}\n"
                   "workload: {type: synthetic}\nrouter: lor\nsemantics: vidur\n"
                   "time_limit_s: 5\noutput: {requests: false}\n"
                   "pools: [{role: prefill}, {role: decode}]\n"
                   "kv_transfer: {overlap: layers}\nfirst_token: prefill\n"
                   "estimator: {profiles: profiles, num_estimators: [5, 10],\n"
                   "            max_depth: 8, min_samples_split: 2,\n"
                   "            k_fold_cv_splits: 3, max_tokens_per_request: 200,\n"
                   "            max_batch_size: 6, max_prefill_chunk_size: 96,\n"
                   "            cache_dir: cache}\n");
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

/* Runs `vidur-estimate ARGUMENTS` in the folder; its output and errors are in `text`.
 */
static int run(char text[16384], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int run(char text[16384], const char *format, ...)
{
    char arguments[2048], command[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof arguments, format, list);
    va_end(list);
    snprintf(command, sizeof command, "cd '%s' && '%s/vidur-estimate' %s 2>&1",
             dir.path, VIDUR_TEST_BIN_DIR, arguments);
    FILE *pipe = popen(command, "r");
    CU_ASSERT_FATAL(pipe != NULL);
    const size_t length = fread(text, 1, 16383, pipe);
    text[length] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)); p++)
        n++;
    return n;
}

static char text[16384];

static void test_help_and_version(void)
{
    CU_ASSERT_EQUAL(run(text, "--help"), 0);
    static const char *const parts[] = {
        "train",   "validate",  "tables",    "predict",  "explain",  "fit",
        "--csv",   "--set",     "--against", "--output", "--models", "--tp",
        "--quiet", "cache_dir", "--kernels", "--device", "--node"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_contains(text, parts[i]);
    CU_ASSERT_EQUAL(run(text, "--version"), 0);
    assert_contains(text, "vidur-estimate");
    assert_contains(text, "HDF5 1.");
}

static void test_train(void)
{
    CU_ASSERT_EQUAL(run(text, "train config.yaml"), 0);
    assert_contains(text, "# test/tiny on gpu (box), tensor parallel 2, profiles");
    assert_contains(text, "attn_decode");
    assert_contains(text, "all_reduce");
    CU_ASSERT_PTR_NULL(strstr(text, "send_recv"));
    assert_contains(text, "max_depth 8, min_samples_split 2");
    assert_contains(text, "# 13 operators in ");
    CU_ASSERT_PTR_NULL(strstr(text, "fold"));
    CU_ASSERT_EQUAL(run(text, "train config.yaml --set cluster.num_pipeline_stages=2"),
                    0);
    assert_contains(text, "send_recv");
}

static void test_train_roofline(void)
{
    CU_ASSERT_EQUAL(run(text, "train config.yaml --set estimator.source=roofline "
                              "--set cluster.tensor_parallel_size=1"),
                    0);
    assert_contains(text, "synthetic roofline");
    assert_contains(text, "num_estimators 5, max_depth 8, min_samples_split 2");
    CU_ASSERT_PTR_NULL(strstr(text, "all_reduce"));
}

/* What stands in is told on stderr and in the first line of the output; what the
 * source was decided to be, there too. */
static void test_stand_ins(void)
{
    CU_ASSERT_EQUAL(run(text, "train config.yaml --set scheduler.block_size=8"), 0);
    assert_contains(text, "attention of block size 16\n");
    assert_contains(text, "vidur-estimate: warning: ");
    const struct temp_path network = temp_dir_path(&dir, FIXTURE_ALL_REDUCE);
    const struct temp_path away = temp_dir_path(&dir, "all_reduce.csv");
    CU_ASSERT_EQUAL_FATAL(rename(network.text, away.text), 0);
    CU_ASSERT_EQUAL(run(text, "train config.yaml"), 0);
    assert_contains(text, "; all_reduce from the alpha-beta model of box\n");
    assert_contains(text, "network/box/all_reduce.csv: in none of the profile folders");
    CU_ASSERT_EQUAL(run(text, "predict config.yaml all_reduce num_tokens=64"), 0);
    assert_contains(text, "alpha-beta model of box");
    /* Nothing was measured that the roofline could be compared with. */
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles"), 0);
    CU_ASSERT_PTR_NULL(strstr(text, "\nall_reduce"));
    assert_contains(text, "\nmlp_act");
    CU_ASSERT_EQUAL_FATAL(rename(away.text, network.text), 0);
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles"), 0);
    assert_contains(text, "\nall_reduce");
}

static void test_auto(void)
{
    CU_ASSERT_EQUAL(run(text, "train config.yaml --set estimator.source=auto"), 0);
    assert_contains(text, "tensor parallel 2, profiles ");
    CU_ASSERT_EQUAL(run(text, "train config.yaml --set estimator.source=auto "
                              "--set cluster.tensor_parallel_size=4"),
                    0);
    assert_contains(text, "tensor parallel 4, synthetic roofline of gpu on box");
    CU_ASSERT_EQUAL(run(text, "train config.yaml --set cluster.tensor_parallel_size=4"),
                    1);
}

/* vidur-simulate's own configurations are read here too. */
static void test_simulate_configurations(void)
{
    static const char *const names[] = {"simulate-reference", "simulate-quickstart"};
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(run(text,
                            "train '%s/configs/%s.yaml' --set estimator.cache_dir=x",
                            VIDUR_TEST_SOURCE_DIR, names[i]),
                        0);
        assert_contains(text, "attn_decode");
    }
}

static void test_validate(void)
{
    CU_ASSERT_EQUAL(run(text, "validate config.yaml"), 0);
    CU_ASSERT_EQUAL(count(text, "  folds "), 13);
    CU_ASSERT_EQUAL(count(text, "  worst "), 13 * 5);
    assert_contains(text, "worst num_tokens=");
    assert_contains(text, "worst batch_size=");
    assert_contains(text, "measured ");
}

static void test_validate_against(void)
{
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles"), 0);
    assert_contains(text, "against 1 measured profile\n");
    assert_contains(text, "median_ratio");
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles --tp 1,2 "
                              "--models model.yaml"),
                    0);
    assert_contains(text, "against 2 measured profiles\n");
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against nowhere --set "
                              "estimator.profiles=neither"),
                    1);
    assert_contains(text, "nowhere");
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles --tp 3"), 1);
    assert_contains(text, "3 does not divide 8 query heads");
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles --tp two"), 1);
    assert_contains(text, "--tp");
    CU_ASSERT_EQUAL(run(text, "validate config.yaml --against profiles --tp 1,,2"), 1);
}

static void test_fit(void)
{
    CU_ASSERT_EQUAL(run(text, "fit config.yaml --against profiles --tp 1,2"), 0);
    assert_contains(text, "roofline:\n  gemm_efficiency: ");
    assert_contains(text, "link:\n  efficiency: ");
    CU_ASSERT_EQUAL(run(text, "fit config.yaml"), 1);
    assert_contains(text, "--against is missing");
}

/* Timings of a GPU that reaches 0.8 of 1,000 GB/s and of 100 TFLOP/s behind 5 us. */
static void write_kernels(void)
{
    char gemm[8192] = "dtype,m,n,k,latency_ms\n", attention[4096], reduce[4096];
    size_t length = strlen(gemm);
    for (int n = 2048; n <= 16384; n *= 2)
        for (int m = 1; m <= 8192; m *= 4) {
            const double bytes = 2.0 * n * 4096 + 2.0 * m * n + 2.0 * m * 4096;
            const double flops = 2.0 * m * n * 4096, memory_s = bytes / 0.8e12;
            const double ms = 1e3 * (flops > 100 * bytes ? flops / 0.8e14 : memory_s);
            length += (size_t)snprintf(gemm + length, sizeof gemm - length,
                                       "bfloat16,%d,%d,4096,%.9g\n", m, n, ms + 5e-3);
        }
    length = (size_t)snprintf(attention, sizeof attention,
                              "attn_dtype,kv_cache_dtype,head_dim,num_heads,"
                              "num_kv_heads,window,batch_size,seq_len,latency_ms\n");
    for (int s = 64; s <= 16384; s *= 2)
        length += (size_t)snprintf(attention + length, sizeof attention - length,
                                   "bfloat16,bfloat16,128,8,1,0,1,%d,%.9g\n", s,
                                   8 * 256.0 * s * s / 0.5e14 * 1e3 + 0.01);
    length = (size_t)snprintf(reduce, sizeof reduce,
                              "num_gpus,mode,message_bytes,latency_ms\n");
    for (int n = 2; n <= 8; n *= 2)
        for (int bytes = 4096; bytes <= 1 << 26; bytes *= 4)
            length += (size_t)snprintf(
                reduce + length, sizeof reduce - length, "%d,graph,%d,%.9g\n", n, bytes,
                5e-3 * (1 + 0.1 * (n - 2)) + 2.0 * (n - 1) / n * bytes / 150e9 * 1e3);
    temp_dir_write(&dir, "kernels/gpu_sys/v1/gemm.csv", gemm);
    temp_dir_write(&dir, "kernels/gpu_sys/v1/context_attention.csv", attention);
    temp_dir_write(&dir, "kernels/gpu_sys/v1/custom_allreduce.csv", reduce);
    temp_dir_write(&dir, "kernels/gpu_sys/v1/system.yaml",
                   "gpu: {mem_bw: 1.0e12, bfloat16_tc_flops: 1.0e14}\n");
}

static void read_file(const char *name, char out[4096])
{
    const struct temp_path path = temp_dir_path(&dir, name);
    FILE *file = fopen(path.text, "rb");
    CU_ASSERT_FATAL(file != NULL);
    out[fread(out, 1, 4095, file)] = '\0';
    fclose(file);
}

#define HARDWARE "--device gpu.yaml --node box.yaml"

static void test_fit_kernels(void)
{
    write_kernels();
    CU_ASSERT_EQUAL(run(text, "fit --kernels kernels/gpu_sys " HARDWARE), 0);
    const char *section = strstr(text, "engine_roofline:\n  fitted_on: gpu_sys v1\n");
    double memory = 0, compute = 0, launch_us = 0;
    CU_ASSERT_FATAL(section != NULL);
    CU_ASSERT_EQUAL(sscanf(section,
                           "engine_roofline: fitted_on: gpu_sys v1 gemm: bf16: "
                           "[%lf, %lf, %lf]",
                           &memory, &compute, &launch_us),
                    3);
    CU_ASSERT_DOUBLE_EQUAL(memory, 0.8, 0.02); /* from few rows */
    CU_ASSERT_DOUBLE_EQUAL(compute, 0.8, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(launch_us, 5, 0.3);
    assert_contains(text, "  prefill: [0.5, 10]\n  all_reduce: [5, 0.1, 0.5, 1]\n"
                          "  all_reduce_skew_us: 1.9\n");
    assert_contains(text, "engine_roofline of gpu (box) against ");
    assert_contains(text, "# fitted in ");
    CU_ASSERT_EQUAL(count(text, "\ngemm "), 1);
    /* those of the spec */
    CU_ASSERT_EQUAL(run(text, "validate --kernels kernels/gpu_sys/v1 " HARDWARE), 0);
    CU_ASSERT_PTR_NULL(strstr(text, "fitted_on"));
    assert_contains(text, "gemm           bf16          28 ");
}

/* Of a root of several systems a table, of the devices that are known. */
static void test_validate_a_root(void)
{
    static const char gemm[] = "dtype,m,n,k,latency_ms\nbfloat16,1,1024,1024,1\n";
    static const char attention[] =
        "attn_dtype,kv_cache_dtype,head_dim,num_heads,num_kv_heads,window,batch_size,"
        "seq_len,latency_ms\nbfloat16,bfloat16,128,8,1,0,1,64,1\n";
    static const char reduce[] = "num_gpus,mode,message_bytes,latency_ms\n"
                                 "2,graph,8192,1\n";
    static const char *const folders[] = {"roots/h100_sxm/v1", "roots/gb300/v2",
                                          "roots/unheard_of/v1"};
    for (int i = 0; i < 3; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/gemm.csv", folders[i]);
        temp_dir_write(&dir, name, gemm);
        snprintf(name, sizeof name, "%s/context_attention.csv", folders[i]);
        temp_dir_write(&dir, name, attention);
        snprintf(name, sizeof name, "%s/custom_allreduce.csv", folders[i]);
        temp_dir_write(&dir, name, reduce);
        snprintf(name, sizeof name, "%s/system.yaml", folders[i]);
        temp_dir_write(&dir, name, "gpu: {mem_bw: 1.0e12, bfloat16_tc_flops: 1e14}\n");
    }
    CU_ASSERT_EQUAL(run(text, "validate --kernels roots/h100_sxm"), 0);
    assert_contains(text, "engine_roofline of h100 (h100_dgx) against ");
    temp_dir_write(&dir, "roots/gb300/v2/nccl.csv",
                   "op_name,nccl_dtype,num_gpus,message_size,latency_ms\n"
                   "all_gather,half,2,4096,0.0075\nreduce_scatter,half,2,4096,1\n");
    CU_ASSERT_EQUAL(run(text, "validate --kernels roots"), 0);
    assert_contains(text, "| operator, format | gb300 | h100 |\n|---|---|---|\n");
    assert_contains(text, "\n| gemm bf16 | ");
    assert_contains(text, "\n| all_gather | 2 / 2 (-2) | |\n");
    CU_ASSERT_PTR_NULL(strstr(text, "mla"));
    CU_ASSERT_EQUAL(run(text, "validate --kernels roots --device a100"), 1);
    assert_contains(text, "no system.yaml");
    CU_ASSERT_EQUAL(run(text, "fit --kernels roots"), 1);
    temp_dir_write(&dir, "roots/gb300/v2/gemm.csv", "dtype,m,n\n");
    CU_ASSERT_EQUAL(run(text, "validate --kernels roots"), 1);
    assert_contains(text, "roots/gb300/v2/gemm.csv");
}

/* A spec keeps its other lines, whether the section is new, in the middle or last. */
static void test_fit_into_a_spec(void)
{
    char first[4096], second[4096], alone[4096];
    write_kernels();
    temp_dir_write(&dir, "spec.yaml",
                   "# mine\nname: gpu\npeak_fp16_tflops: 100\nmemory_gib: 16 # of 17\n"
                   "engine_roofline: # old\n  # a comment in it\n  prefill: [1, 1]\n"
                   "# below\nmemory_bandwidth_gb_per_s: 1000");
    CU_ASSERT_EQUAL(
        run(text, "fit --kernels kernels/gpu_sys " HARDWARE " -o spec.yaml"), 0);
    CU_ASSERT_PTR_NULL(strstr(text, "prefill: ["));
    read_file("spec.yaml", first);
    assert_contains(first, "# mine\nname: gpu\npeak_fp16_tflops: 100\n"
                           "memory_gib: 16 # of 17\nengine_roofline:\n  fitted_on:");
    assert_contains(first, "  all_reduce_skew_us: 1.9\n# below\n"
                           "memory_bandwidth_gb_per_s: 1000");
    CU_ASSERT_PTR_NULL(strstr(first, "a comment in it"));
    CU_ASSERT_EQUAL(run(text, "fit --kernels kernels/gpu_sys --device spec.yaml "
                              "--node box.yaml -o spec.yaml"),
                    0);
    read_file("spec.yaml", second);
    CU_ASSERT_STRING_EQUAL(first, second);
    /* a new file has the section alone; a spec without one gets it at its end */
    CU_ASSERT_EQUAL(run(text, "fit --kernels kernels/gpu_sys " HARDWARE " -o new.yaml"),
                    0);
    read_file("new.yaml", alone);
    CU_ASSERT_EQUAL(strncmp(alone, "engine_roofline:\n", 17), 0);
    temp_dir_write(&dir, "spec.yaml",
                   "name: gpu\npeak_fp16_tflops: 100\nmemory_gib: 16\n"
                   "memory_bandwidth_gb_per_s: 1000");
    CU_ASSERT_EQUAL(
        run(text, "fit --kernels kernels/gpu_sys " HARDWARE " -o spec.yaml"), 0);
    read_file("spec.yaml", second);
    assert_contains(second, "memory_bandwidth_gb_per_s: 1000\nengine_roofline:\n");
    assert_contains(second, alone);
}

static void test_fit_kernels_errors(void)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"fit", "a configuration is missing (or --kernels DIR)"},
        {"train", "train: a configuration is missing;"},
        {"train --kernels kernels/gpu_sys", "--kernels goes with fit and validate"},
        {"fit config.yaml --kernels kernels/gpu_sys", "takes no configuration"},
        {"fit --kernels nowhere " HARDWARE, "nowhere: cannot be read"},
        {"fit --kernels kernels/gpu_sys", "name one with --device"},
        {"fit --kernels kernels/gpu_sys --device gpu.yaml", "name one with --node"},
        {"fit --kernels kernels/gpu_sys --device a101", "--device"},
        {"fit --kernels kernels/gpu_sys " HARDWARE " -o config.yaml", "--output"}};
    write_kernels();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(run(text, "%s", cases[i].arguments), 1);
        assert_contains(text, cases[i].message);
    }
    const struct temp_path path =
        temp_dir_path(&dir, "kernels/gpu_sys/v1/custom_allreduce.csv");
    CU_ASSERT_EQUAL(remove(path.text), 0);
    CU_ASSERT_EQUAL(run(text, "fit --kernels kernels/gpu_sys " HARDWARE), 1);
    assert_contains(text, "neither custom_allreduce.csv nor");
}

static int lines_of(const char *name)
{
    const struct temp_path path = temp_dir_path(&dir, name);
    int lines = 0;
    FILE *file = fopen(path.text, "rb");
    CU_ASSERT_FATAL(file != NULL);
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

/* The files have exactly the sizes configured, and come back as tables. */
static void test_tables(void)
{
    CU_ASSERT_EQUAL(run(text, "tables config.yaml -o out/tables"), 0);
    CU_ASSERT_EQUAL(lines_of("out/tables/attn_rope.csv"), 1 + 200);
    CU_ASSERT_EQUAL(lines_of("out/tables/attn_decode.csv"), 1 + 6 * (200 / 64 + 2));
    CU_ASSERT_EQUAL(lines_of("out/tables/attn_prefill.csv"), 1 + (200 / 64 + 2) * 96);
    char first[16384];
    CU_ASSERT_EQUAL(
        run(first, "predict config.yaml attn_decode batch_size=3 kv_cache_size=128"),
        0);
    CU_ASSERT_EQUAL(run(text, "predict config.yaml attn_decode batch_size=3 "
                              "kv_cache_size=128 --set estimator.source=tables "
                              "--set estimator.tables=out/tables"),
                    0);
    const char *table = strstr(first, "\ntable "), *read = strchr(text, '\n');
    CU_ASSERT_FATAL(table && read);
    CU_ASSERT_STRING_EQUAL(read, table);
    CU_ASSERT_EQUAL(strncmp(text, "# tables ", 9), 0);
    CU_ASSERT_EQUAL(run(text, "tables config.yaml"), 1);
    assert_contains(text, "-o is missing");
    CU_ASSERT_EQUAL(run(text, "tables config.yaml -o config.yaml/x"), 2);
    assert_contains(text, "config.yaml");
}

static void test_predict(void)
{
    double regressor, table;
    char *end;
    CU_ASSERT_EQUAL(run(text, "predict config.yaml mlp_act num_tokens=100"), 0);
    const char *line = strchr(text, '\n');
    CU_ASSERT_EQUAL(strncmp(text, "# profiles ", 11), 0);
    CU_ASSERT_FATAL(line != NULL);
    CU_ASSERT_EQUAL_FATAL(strncmp(line, "\nregressor ", 11), 0);
    regressor = strtod(line + 11, &end);
    CU_ASSERT_EQUAL_FATAL(strncmp(end, " ms\ntable ", 10), 0);
    table = strtod(end + 10, &end);
    CU_ASSERT_STRING_EQUAL(end, " ms\n");
    CU_ASSERT_EQUAL(regressor, table);
    /* The fixture measured 0.003 * 5 + 1e-4 * 5 * n / 2. */
    CU_ASSERT_DOUBLE_EQUAL(regressor, 0.015 + 2.5e-4 * 100, 2e-3);

    char other[16384];
    CU_ASSERT_EQUAL(run(text, "predict config.yaml attn_prefill kv_cache_size=64 "
                              "prefill_chunk_size=48"),
                    0);
    CU_ASSERT_EQUAL(run(other, "predict config.yaml attn_prefill "
                               "prefill_chunk_size_squared=2304 kv_cache_size=64"),
                    0);
    CU_ASSERT_STRING_EQUAL(text, other);
    CU_ASSERT_EQUAL(run(text, "predict config.yaml all_reduce num_tokens=200"), 0);
    assert_contains(text, "(beyond the profile)");
    CU_ASSERT_EQUAL(run(text, "predict config.yaml all_reduce num_tokens=100000"), 0);
    assert_contains(text, "(the table's last cell) (beyond the profile)");
    CU_ASSERT_EQUAL(run(text, "predict config.yaml send_recv num_tokens=8"), 0);
    assert_contains(text, "not run");
}

static void test_predict_errors(void)
{
    static const struct {
        const char *arguments, *message;
    } cases[] = {
        {"", "OPERATOR and FEATURE=VALUE are missing"},
        {"attn_decod batch_size=1", "'attn_decode'"},
        {"attn_decode batch_size=1", "kv_cache_size=VALUE is missing"},
        {"attn_decode batch=1", "has the features batch_size, kv_cache_size"},
        {"mlp_act num_tokens", "FEATURE=VALUE is needed"},
        {"mlp_act num_tokens=many", "FEATURE=VALUE is needed"},
        {"mlp_act num_tokens=-3", "FEATURE=VALUE is needed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(run(text, "predict config.yaml %s", cases[i].arguments), 1);
        assert_contains(text, cases[i].message);
        CU_ASSERT_EQUAL(count(text, "\n"), 1);
    }
}

/* One line on stderr, exit 1. */
static void test_configuration_errors(void)
{
    static const struct {
        const char *set, *message;
    } cases[] = {
        {"model=nobody/knows", "model"},
        {"model=missing.yaml", "missing.yaml"},
        {"cluster.tensor_parallel_size=3", "3 does not divide 8 query heads"},
        {"cluster.device=a10o", "nearest is 'a10'"},
        {"cluster.network_device=a100_dgx", "holds a100 devices, not gpu"},
        {"cluster.gpus=3", "cluster.gpus"},
        {"estimator.sauce=roofline", "source"},
        {"estimator.profiles=nowhere", "nowhere"},
        {"scheduler.block_size=0", "scheduler.block_size"},
        {"estimator.source=kernels", "kernels"},
        {"nonsense=1", "nonsense"},
        {"estimator", "estimator"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(run(text, "train config.yaml --set '%s'", cases[i].set), 1);
        assert_contains(text, cases[i].message);
        CU_ASSERT_EQUAL(count(text, "\n"), 1);
        CU_ASSERT_EQUAL(strncmp(text, "vidur-estimate: ", 16), 0);
    }
    CU_ASSERT_EQUAL(run(text, "train missing.yaml"), 1);
    assert_contains(text, "missing.yaml");
}

static void test_usage_errors(void)
{
    static const char *const cases[] = {"",
                                        "train",
                                        "trian config.yaml",
                                        "train config.yaml more",
                                        "train config.yaml --no-such-option",
                                        "tables config.yaml -o"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(run(text, "%s", cases[i]), 1);
        CU_ASSERT_EQUAL(strncmp(text, "vidur-estimate: ", 16), 0);
    }
    CU_ASSERT_EQUAL(run(text, "trian config.yaml"), 1);
    assert_contains(text, "'train'");
}

/* A second run finds the first one's tables, whoever asks. */
static void test_cache_is_used(void)
{
    CU_ASSERT_EQUAL(run(text, "predict config.yaml mlp_act num_tokens=9 -v "
                              "--set estimator.cache_dir=fresh"),
                    0);
    assert_contains(text, "built in");
    CU_ASSERT_EQUAL(run(text, "tables config.yaml -o again -v "
                              "--set estimator.cache_dir=fresh"),
                    0);
    CU_ASSERT_PTR_NULL(strstr(text, "built in"));
    CU_ASSERT_EQUAL(run(text, "predict config.yaml mlp_act num_tokens=9 -v "
                              "--set estimator.cache_dir=config.yaml"),
                    0);
    assert_contains(text, "warning: no cache");
    CU_ASSERT_EQUAL(run(text, "predict config.yaml mlp_act num_tokens=9 -q "
                              "--set estimator.cache_dir=config.yaml"),
                    0);
    CU_ASSERT_PTR_NULL(strstr(text, "warning"));
}

/* The cache is plain HDF5 for others: h5py finds the number that predict prints. */
static void test_cache_opens_elsewhere(void)
{
    double expected, read;
    if (system("/usr/bin/python3 -c 'import h5py' 2> /dev/null") != 0) {
        printf("no h5py: not checked ");
        return;
    }
    CU_ASSERT_EQUAL(run(text, "predict config.yaml attn_decode batch_size=3 "
                              "kv_cache_size=128 --set estimator.cache_dir=hdf5"),
                    0);
    const char *table = strstr(text, "table ");
    CU_ASSERT_FATAL(table != NULL);
    expected = strtod(table + 6, NULL);
    temp_dir_write(&dir, "read.py",
                   "import glob, h5py\n"
                   "(path,) = glob.glob('hdf5/*.h5')\n"
                   "with h5py.File(path) as f:\n"
                   "    d = f['attn_decode']\n"
                   "    assert d.chunks is None and d.attrs['unit'] == b'ms'\n"
                   "    assert f.attrs['provenance'].startswith(b'profiles')\n"
                   "    print(repr(float(d[2, 2])))\n");
    char command[600];
    snprintf(command, sizeof command, "cd '%s' && /usr/bin/python3 read.py", dir.path);
    FILE *pipe = popen(command, "r");
    CU_ASSERT_FATAL(pipe != NULL);
    CU_ASSERT_EQUAL(fscanf(pipe, "%lf", &read), 1);
    CU_ASSERT_EQUAL(pclose(pipe), 0);
    CU_ASSERT_EQUAL(read, expected);
}

VIDUR_TEST_MAIN(
    "vidur-estimate", {"set up", set_up}, {"help and version", test_help_and_version},
    {"train", test_train}, {"train roofline", test_train_roofline},
    {"stand-ins", test_stand_ins}, {"auto", test_auto},
    {"simulate configurations", test_simulate_configurations},
    {"validate", test_validate}, {"validate against", test_validate_against},
    {"fit", test_fit}, {"fit on kernels", test_fit_kernels},
    {"validate a root", test_validate_a_root},
    {"fit into a spec", test_fit_into_a_spec},
    {"errors of fits on kernels", test_fit_kernels_errors}, {"tables", test_tables},
    {"predict", test_predict}, {"predict errors", test_predict_errors},
    {"configuration errors", test_configuration_errors},
    {"usage errors", test_usage_errors}, {"cache is used", test_cache_is_used},
    {"cache opens elsewhere", test_cache_opens_elsewhere}, {"clean up", clean_up})
