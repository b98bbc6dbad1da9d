#include "profile_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct vidur_model_spec fixture_model = {.name = "test/tiny",
                                               .num_layers = 2,
                                               .num_kinds = 1,
                                               .kinds[0].count = 2,
                                               .kinds[0].num_q_heads = 8,
                                               .kinds[0].num_kv_heads = 2,
                                               .kinds[0].head_dim = 16,
                                               .embedding_dim = 128,
                                               .kinds[0].mlp_hidden_dim = 512,
                                               .vocab_size = 1000,
                                               .max_position_embeddings = 4096,
                                               .use_gated_mlp = true,
                                               .post_attn_norm = true};

const struct vidur_device_sku fixture_device = {
    .name = "gpu",
    .peak_fp16_tflops = 100,
    .memory_gib = 16,
    .memory_bandwidth_gb_per_s = 1000,
    .roofline = {.gemm_efficiency = 0.8,
                 .memory_efficiency = 0.8,
                 .attention_prefill_efficiency = 0.5,
                 .attention_decode_efficiency = 0.6,
                 .kernel_launch_us = 5,
                 .attention_launch_us = 10,
                 .elementwise_launch_us = 3}};

const struct vidur_node_sku fixture_node = {.name = "box",
                                            .device = "gpu",
                                            .devices_per_node = 8,
                                            .link_bandwidth_gb_per_s = 300,
                                            .link_efficiency = 0.5,
                                            .link_latency_us = 4,
                                            .inter_node_bandwidth_gb_per_s = 20,
                                            .inter_node_efficiency = 0.75,
                                            .inter_node_latency_us = 10};

struct vidur_timetable_request fixture_request(int tensor_parallel_size)
{
    return (struct vidur_timetable_request){.model = &fixture_model,
                                            .device = &fixture_device,
                                            .node = &fixture_node,
                                            .tensor_parallel_size =
                                                tensor_parallel_size,
                                            .block_size_tokens = 16,
                                            .max_tokens = 256,
                                            .max_batch_size = 8,
                                            .max_kv_tokens = 512,
                                            .max_chunk_tokens = 128};
}

/* Text that grows, for files. */
struct text {
    char data[1 << 17];
    size_t length;
};

static void add(struct text *text, const char *more)
{
    const size_t n = strlen(more);
    if (text->length + n >= sizeof text->data)
        abort();
    memcpy(text->data + text->length, more, n + 1);
    text->length += n;
}

static void write_mlp(const struct temp_dir *dir, struct text *text)
{
    static const char *const operators[] = {"attn_pre_proj",
                                            "attn_post_proj",
                                            "attn_rope",
                                            "mlp_up_proj",
                                            "mlp_act",
                                            "mlp_down_proj",
                                            "input_layernorm",
                                            "post_attention_layernorm",
                                            "add"};
    char row[512];
    text->length = 0;
    for (int i = 0; i < 9; i++) {
        snprintf(row, sizeof row, "time_stats.%s.median,", operators[i]);
        add(text, row);
    }
    add(text, "n_head,n_kv_head,n_embd,n_expanded_embd,vocab_size,use_gated_mlp,"
              "num_tokens,num_tensor_parallel_workers\n");
    for (int tp = 1; tp <= 2; tp++)
        for (int n = 8; n <= 200; n += 8) {
            for (int i = 1; i <= 9; i++) {
                snprintf(row, sizeof row, "%.6f,", 0.003 * i + 1e-4 * i * n / tp);
                add(text, row);
            }
            snprintf(row, sizeof row, "8,2,128,512,1000,True,%d,%d\n", n, tp);
            add(text, row);
        }
    temp_dir_write(dir, FIXTURE_MLP, text->data);
}

static void add_attention(struct text *text, int tp, int batch, int chunk, int kv)
{
    char row[256];
    const double save = 0.002 + 1e-5 * (chunk > batch ? chunk : batch);
    const double prefill = chunk ? 0.01 + 1e-6 * chunk * (chunk / 2.0 + kv) / tp : 0;
    const double decode = chunk ? 0 : 0.01 + 1e-6 * batch * kv / tp;
    snprintf(row, sizeof row, "%.9f,%.9f,%.9f,128,8,2,16,%d,4096,%d,%d,%d,%s,test\n",
             save, prefill, decode, tp, batch, chunk, kv, chunk ? "True" : "False");
    add(text, row);
}

static void write_attention(const struct temp_dir *dir, struct text *text)
{
    text->length = 0;
    add(text, "time_stats.attn_kv_cache_save.median,time_stats.attn_prefill.median,"
              "time_stats.attn_decode.median,n_embd,n_q_head,n_kv_head,block_size,"
              "num_tensor_parallel_workers,max_model_len,batch_size,"
              "prefill_chunk_size,kv_cache_size,is_prefill,attention_backend\n");
    for (int tp = 1; tp <= 2; tp++) {
        for (int kv = 0; kv <= 320; kv += 64)
            for (int chunk = 16; chunk <= 96; chunk += 16)
                add_attention(text, tp, 1, chunk, kv);
        for (int batch = 1; batch <= 6; batch++)
            for (int kv = 32; kv <= 400; kv += 32)
                add_attention(text, tp, batch, 0, kv);
    }
    temp_dir_write(dir, FIXTURE_ATTENTION, text->data);
}

static void write_network(const struct temp_dir *dir, struct text *text,
                          const char *name, const char *path, int devices)
{
    char row[256];
    text->length = 0;
    snprintf(row, sizeof row,
             "time_stats.%s.median,rank,num_workers,size,collective,"
             "devices_per_node,max_devices_per_node\n",
             name);
    add(text, row);
    for (int n = 8; n <= 160; n += 8) {
        snprintf(row, sizeof row, "%.6f,0,2,%d,%s,%d,8\n", 0.01 + 1e-5 * n, n * 128 * 2,
                 name, devices);
        add(text, row);
    }
    temp_dir_write(dir, path, text->data);
}

static void write_cpu(const struct temp_dir *dir, struct text *text)
{
    char row[256];
    text->length = 0;
    add(text, "model_name,tensor_parallel_degree,batch_size,schedule_median,"
              "sampler_e2e_median,prepare_inputs_e2e_median,"
              "process_model_outputs_median,ray_comm_time_mean\n");
    for (int batch = 1; batch <= 8; batch++) {
        snprintf(row, sizeof row, "test/tiny,1,%d,%g,%g,%g,%g,%g\n", batch,
                 0.1 + 0.01 * batch, 0.2, 0.3, 0.4, 0.5);
        add(text, row);
    }
    temp_dir_write(dir, FIXTURE_CPU, text->data);
}

void fixture_write(const struct temp_dir *dir, struct vidur_estimator_config *config)
{
    struct text *text = malloc(sizeof *text);
    if (!text)
        abort();
    write_mlp(dir, text);
    write_attention(dir, text);
    write_network(dir, text, "all_reduce", FIXTURE_ALL_REDUCE, 2);
    write_network(dir, text, "send_recv", FIXTURE_SEND_RECV, 2);
    write_cpu(dir, text);
    free(text);
    vidur_estimator_config_defaults(config);
    config->source = VIDUR_SOURCE_PROFILES;
    config->num_profiles = 1;
    snprintf(config->profiles[0], sizeof config->profiles[0], "%s/profiles", dir->path);
    config->cache_dir[0] = '\0';
    config->num_estimators[0] = 20;
    config->num_num_estimators = 1;
    config->max_tokens_per_request = 256;
    config->max_batch_size = 8;
    config->max_prefill_chunk_size = 128;
}

void fixture_edit(const struct temp_dir *dir, const char *name, const char *from,
                  const char *to)
{
    const struct temp_path path = temp_dir_path(dir, name);
    struct text *text = malloc(sizeof *text), *out = malloc(sizeof *out);
    FILE *file = fopen(path.text, "rb");
    if (!text || !out || !file)
        abort();
    text->length = fread(text->data, 1, sizeof text->data - 1, file);
    text->data[text->length] = '\0';
    fclose(file);
    char *at = strstr(text->data, from);
    if (!at)
        abort();
    *at = '\0';
    out->length = 0;
    add(out, text->data);
    add(out, to);
    add(out, at + strlen(from));
    temp_dir_write(dir, name, out->data);
    free(text);
    free(out);
}
