#include "space/catalog.h"

#include "space/catalog_table.h"
#include "space/prices.h"

#include <vidur/csv.h>
#include <vidur/paths.h>
#include <vidur/scheduler.h>
#include <vidur/shard.h>
#include <vidur/sku.h>
#include <vidur/workload.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* What the walks over a folder of specs hand on. */
struct visit {
    struct catalog_table *table;
    struct vidur_error *err;
};

/* ---- Models ---- */

struct weights {
    double all, active; /* of a token, in numbers, not bytes */
};

static struct weights count_weights(const struct vidur_model_spec *model)
{
    const struct vidur_cut whole = {.tensor = 1, .pipeline = 1};
    struct vidur_shard shard;
    struct weights sum = {0};
    vidur_shard_of(&shard, model, &whole);
    for (int i = 0; i < shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &shard.layers[i];
        const double dense =
            (double)(l->attention_weights + l->mlp_weights + l->router_weights);
        const double experts = (double)l->expert_weights;
        sum.all += l->count * (dense + experts);
        sum.active += l->count * dense;
        if (l->kind.num_experts > 0)
            sum.active +=
                l->count * experts * l->kind.experts_per_token / l->kind.num_experts;
    }
    const double table = (double)model->vocab_size * model->embedding_dim;
    const double embeddings = model->tie_word_embeddings ? table : 2 * table;
    sum.all += embeddings;
    sum.active += embeddings;
    return sum;
}

static int add_model(void *context, const char *name)
{
    struct visit *visit = context;
    struct vidur_model_spec model;
    char precision[96];
    if (vidur_model_load(&model, name, visit->err) != 0)
        return -1;
    const struct weights weights = count_weights(&model);
    vidur_precision_describe(&model.precision, precision, sizeof precision);
    catalog_begin_row(visit->table);
    catalog_cell(visit->table, "%s", name);
    catalog_cell(visit->table, "%d", model.num_layers);
    catalog_number(visit->table, 1, weights.all / 1e9);
    catalog_number(visit->table, 1, weights.active / 1e9);
    catalog_cell(visit->table, "%s", precision);
    catalog_cell(visit->table, "%d", model.max_position_embeddings);
    catalog_cell(visit->table, "%s", model.name);
    return 0;
}

static int list_models(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"model",      "layers",    "parameters_1e9",
                                         "active_1e9", "precision", "context_tokens",
                                         "full_name",  NULL};
    struct visit visit = {table, err};
    table->header = header;
    return vidur_path_each_spec("models", add_model, &visit, err);
}

/* ---- Hardware ---- */

static int add_device(void *context, const char *name)
{
    struct visit *visit = context;
    struct vidur_device_sku device;
    if (vidur_device_sku_load(&device, name, visit->err) != 0)
        return -1;
    catalog_begin_row(visit->table);
    catalog_cell(visit->table, "%s", name);
    catalog_cell(visit->table, "%g", device.memory_gib);
    catalog_cell(visit->table, "%g", device.memory_bandwidth_gb_per_s);
    catalog_number(visit->table, 0, device.v1.peak_bf16_tflops);
    catalog_number(visit->table, 0, device.v1.peak_fp8_tflops);
    catalog_number(visit->table, 0, device.v1.peak_fp4_tflops);
    catalog_number(visit->table, 2, device.usd_per_gpu_hour);
    catalog_cell(visit->table, "%s",
                 device.usd_per_gpu_hour > 0 ? device.price_date : "-");
    return 0;
}

static int list_devices(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"device",       "memory_GiB",  "memory_GB/s",
                                         "bf16_TFLOP/s", "fp8_TFLOP/s", "fp4_TFLOP/s",
                                         "USD/GPU/h",    "price_date",  NULL};
    struct visit visit = {table, err};
    table->header = header;
    return vidur_path_each_spec("skus/devices", add_device, &visit, err);
}

static int add_node(void *context, const char *name)
{
    struct visit *visit = context;
    struct vidur_node_sku node;
    if (vidur_node_sku_load(&node, name, visit->err) != 0)
        return -1;
    catalog_begin_row(visit->table);
    catalog_cell(visit->table, "%s", name);
    catalog_cell(visit->table, "%s", node.device);
    catalog_cell(visit->table, "%d", node.devices_per_node);
    catalog_number(visit->table, 0, node.link_bandwidth_gb_per_s);
    catalog_cell(visit->table, "%s",
                 node.devices_per_node == 1 ? "-"
                 : node.pairwise            ? "pairs"
                                            : "all");
    catalog_number(visit->table, 1, node.inter_node_bandwidth_gb_per_s);
    return 0;
}

static int list_nodes(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {
        "node", "device", "GPUs", "link_GB/s", "link_joins", "network_GB/s", NULL};
    struct visit visit = {table, err};
    table->header = header;
    return vidur_path_each_spec("skus/nodes", add_node, &visit, err);
}

/* ---- Prices ---- */

static int list_prices(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"device", "provider", "term", "USD/GPU/h",
                                         "date",   "source",   NULL};
    struct price_list list = {0};
    table->header = header;
    if (price_list_read_all(&list, err) != 0) {
        price_list_release(&list);
        return -1;
    }
    for (int i = 0; i < list.count; i++) {
        const struct vidur_price *price = &list.prices[i];
        catalog_begin_row(table);
        catalog_cell(table, "%s", price->sku);
        catalog_cell(table, "%s", price->provider);
        catalog_cell(table, "%s", price_term_names[price->term]);
        catalog_number(table, 2, price->usd_per_gpu_hour);
        catalog_cell(table, "%s", price->date);
        catalog_cell(table, "%s", price->source);
    }
    price_list_release(&list);
    return 0;
}

/* ---- Policies ---- */

static int list_schedulers(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"scheduler", "step_times", "knobs", NULL};
    const struct vidur_scheduler_ops *ops;
    (void)err;
    table->header = header;
    for (int i = 0; (ops = vidur_scheduler_at(i)); i++) {
        char knobs[CATALOG_CELL] = "";
        size_t used = 0;
        for (int knob = VIDUR_KNOB_NONE + 1; knob < VIDUR_KNOBS_END; knob++)
            if (vidur_scheduler_uses(ops, knob) && used < sizeof knobs)
                used += (size_t)snprintf(knobs + used, sizeof knobs - used, "%s%s",
                                         used ? ", " : "", vidur_knob_name(knob));
        catalog_begin_row(table);
        catalog_cell(table, "%s", ops->name);
        catalog_cell(table, "%s",
                     ops->step_model == &vidur_step_engine ? "engine" : "layers");
        catalog_cell(table, "%s", knobs);
    }
    return 0;
}

static int list_routers(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"router", "sends a request to", NULL};
    const char *name, *remark;
    (void)err;
    table->header = header;
    for (int i = 0; (name = vidur_router_tell(i, &remark)); i++) {
        catalog_begin_row(table);
        catalog_cell(table, "%s", name);
        catalog_cell(table, "%s", remark);
    }
    return 0;
}

/* ---- Traces ---- */

static int add_trace(struct catalog_table *table, const char *folder, const char *name,
                     struct vidur_error *err)
{
    static const struct vidur_csv_column columns[] = {
        {"num_prefill_tokens", VIDUR_CSV_INT64, VIDUR_CSV_NOT_NEGATIVE},
        {"num_decode_tokens", VIDUR_CSV_INT64, VIDUR_CSV_NOT_NEGATIVE}};
    static const struct vidur_csv_schema schema = {.columns = columns,
                                                   .num_columns = 2};
    struct vidur_path path;
    if (vidur_path_join(folder, name, &path, err) != 0)
        return -1;
    struct vidur_csv *csv = vidur_csv_read(path.text, &schema, err);
    if (!csv)
        return -1;
    const int64_t rows = vidur_csv_rows(csv);
    double prompt = 0, output = 0, longest = 0;
    for (int64_t i = 0; i < rows; i++) {
        const double p = (double)vidur_csv_int64s(csv, 0)[i];
        const double o = (double)vidur_csv_int64s(csv, 1)[i];
        prompt += p;
        output += o;
        if (p + o > longest)
            longest = p + o;
    }
    vidur_csv_free(csv);
    catalog_begin_row(table);
    catalog_cell(table, "data:traces/%s", name);
    catalog_cell(table, "%lld", (long long)rows);
    catalog_number(table, 1, rows ? prompt / (double)rows : 0);
    catalog_number(table, 1, rows ? output / (double)rows : 0);
    catalog_number(table, 0, longest);
    return 0;
}

static int list_traces(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"trace",       "requests",       "mean_prompt",
                                         "mean_output", "longest_tokens", NULL};
    struct vidur_path data, folder;
    int status = 0;
    table->header = header;
    if (vidur_path_data_dir(&data, err) != 0 ||
        vidur_path_join(data.text, "traces", &folder, err) != 0)
        return -1;
    DIR *dir = opendir(folder.text);
    if (!dir)
        return vidur_fail(err, VIDUR_EIO, "%s cannot be read; set VIDUR_DATA_DIR",
                          folder.text);
    for (struct dirent *entry; status == 0 && (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        if (entry->d_name[0] != '.' && dot && strcmp(dot, ".csv") == 0)
            status = add_trace(table, folder.text, entry->d_name, err);
    }
    closedir(dir);
    return status;
}

static int list_formats(struct catalog_table *table, struct vidur_error *err)
{
    static const char *const header[] = {"format", "gives", "files", NULL};
    const char *name, *title, *gives;
    (void)err;
    table->header = header;
    for (int i = 0; (name = vidur_trace_format_tell(i, &title, &gives)); i++) {
        catalog_begin_row(table);
        catalog_cell(table, "%s", name);
        catalog_cell(table, "%s", gives);
        catalog_cell(table, "%s", title);
    }
    return 0;
}

/* ---- Kinds ---- */

static const struct {
    const char *name;
    int (*list)(struct catalog_table *table, struct vidur_error *err);
} kinds[] = {{"models", list_models},         {"devices", list_devices},
             {"nodes", list_nodes},           {"prices", list_prices},
             {"schedulers", list_schedulers}, {"routers", list_routers},
             {"traces", list_traces},         {"formats", list_formats}};

enum { NUM_KINDS = sizeof kinds / sizeof *kinds };

int catalog_write(const char *kind, struct vidur_text *out, struct vidur_error *err)
{
    const char *names[NUM_KINDS];
    char unknown[512];
    for (int i = 0; i < NUM_KINDS; i++) {
        struct catalog_table table = {0};
        names[i] = kinds[i].name;
        if (strcmp(kinds[i].name, kind) != 0)
            continue;
        if (kinds[i].list(&table, err) == 0)
            return catalog_end(&table, out, err);
        catalog_free(&table);
        return -1;
    }
    vidur_text_unknown(kind, names, NUM_KINDS, unknown, sizeof unknown);
    return vidur_fail(err, VIDUR_EINVAL, "--list: %s", unknown);
}
