#include "report/launch.h"

#include "report/report_pools.h"

#include <vidur/scheduler.h>

#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(char *text, size_t size, const char *fmt, ...) VIDUR_PRINTF(3, 4);

static void append(char *text, size_t size, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + used, size - used, fmt, args);
    va_end(args);
}

#define ARGUMENT(launch, ...)                                                          \
    append((launch)->command, sizeof(launch)->command, __VA_ARGS__)

static void note(struct vidur_launch *launch, const char *fmt, ...) VIDUR_PRINTF(2, 3);

static void note(struct vidur_launch *launch, const char *fmt, ...)
{
    size_t used = strlen(launch->notes);
    if (used > 0 && used + 1 < sizeof launch->notes) {
        launch->notes[used++] = '\n';
        launch->notes[used] = 0;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(launch->notes + used, sizeof launch->notes - used, fmt, args);
    va_end(args);
}

/* The identifier goes into a shell: anything unusual is quoted. */
static void add_identifier(struct vidur_launch *launch, const char *identifier)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789._/-";
    if (strspn(identifier, plain) == strlen(identifier) && identifier[0] != '-') {
        ARGUMENT(launch, " %s", identifier);
        return;
    }
    ARGUMENT(launch, " '");
    for (; *identifier; identifier++)
        ARGUMENT(launch, *identifier == '\'' ? "'\\%c'" : "%c", *identifier);
    ARGUMENT(launch, "'");
}

/* ---- Precision ---- */

/* Where an engine gets weights in a row's precision from. */
enum weights {
    OF_MODEL,      /* the model's own checkpoint */
    MADE_BY_LOAD,  /* the engine quantises them while it loads */
    OF_CHECKPOINT, /* another checkpoint, which is known */
    OF_ANOTHER     /* one that somebody has to find or make */
};

static enum weights find_weights(const struct vidur_results *results,
                                 const struct vidur_ranking_row *row)
{
    const char *own = vidur_results_fact(results, "model", row->model, "precision");
    if (!own || !row->precision[0] || strcmp(own, row->precision) == 0)
        return OF_MODEL;
    if (strcmp(own, vidur_dtype_name(VIDUR_DTYPE_bf16)) == 0 &&
        strcmp(row->precision, vidur_dtype_name(VIDUR_DTYPE_fp8)) == 0)
        return MADE_BY_LOAD;
    return row->checkpoint[0] ? OF_CHECKPOINT : OF_ANOTHER;
}

static void add_precision(struct vidur_launch *launch,
                          const struct vidur_ranking_row *row, enum weights weights)
{
    if (weights == MADE_BY_LOAD)
        ARGUMENT(launch, " --quantization fp8");
    if (weights == MADE_BY_LOAD && row->checkpoint[0])
        note(launch,
             "The engine makes fp8 of bf16 weights while it loads them; %s has them "
             "already.",
             row->checkpoint);
    else if (weights == MADE_BY_LOAD)
        note(launch, "The engine makes fp8 of bf16 weights while it loads them.");
    else if (weights == OF_CHECKPOINT)
        note(launch, "%s is %s in %s.", row->checkpoint, row->model, row->precision);
    else if (weights == OF_ANOTHER)
        note(
            launch,
            "The simulation had weights in %s, which this checkpoint has not: name one "
            "of %s that has.",
            row->precision, row->model);
}

/* What a checkpoint asks for the engine takes by itself, wanted or not. */
static void add_kv_cache(struct vidur_launch *launch,
                         const struct vidur_results *results,
                         const struct vidur_ranking_row *row, enum weights weights)
{
    const char *own =
        vidur_results_fact(results, "model", row->model, "kv_cache_dtype");
    const bool may_differ = (own && strcmp(own, row->kv_cache_dtype) != 0) ||
                            weights == OF_CHECKPOINT || weights == OF_ANOTHER;
    if (strcmp(row->kv_cache_dtype, "fp8") == 0)
        ARGUMENT(launch, " --kv-cache-dtype fp8");
    else if (row->kv_cache_dtype[0] && may_differ)
        ARGUMENT(launch, " --kv-cache-dtype bfloat16");
}

static void note_nodes(struct vidur_launch *launch, const struct vidur_results *results,
                       const struct vidur_ranking_row *row)
{
    const char *text =
        vidur_results_fact(results, "node", row->network_device, "devices_per_node");
    const long in_node = text ? strtol(text, NULL, 10) : 0;
    const int64_t devices = row->tensor_parallel_size * row->num_pipeline_stages;
    if (in_node > 0 && row->data_parallel_size > 1 &&
        row->data_parallel_size * devices > in_node)
        note(launch,
             "The ranks of a replica span nodes of %s: start each node's share of them "
             "(--data-parallel-size-local, --data-parallel-address).",
             vidur_text_counted(in_node, "device").text);
    else if (in_node > 0 && devices > in_node)
        note(launch,
             "A replica spans nodes of %s: start it on a Ray cluster "
             "(--distributed-executor-backend ray).",
             vidur_text_counted(in_node, "device").text);
}

static void add_parallelism(struct vidur_launch *launch,
                            const struct vidur_results *results,
                            const struct vidur_ranking_row *row)
{
    ARGUMENT(launch, " --tensor-parallel-size %lld",
             (long long)row->tensor_parallel_size);
    ARGUMENT(launch, " --pipeline-parallel-size %lld",
             (long long)row->num_pipeline_stages);
    if (row->data_parallel_size > 1)
        ARGUMENT(launch, " --data-parallel-size %lld",
                 (long long)row->data_parallel_size);
    if (row->expert_parallel)
        ARGUMENT(launch, " --enable-expert-parallel");
    note_nodes(launch, results, row);
    const char *balance = vidur_router_balance(row->router);
    if (row->num_replicas > 1 && !row->pools[0])
        note(launch,
             "This is one of %lld equal replicas; put a %s load balancer before them "
             "(no engine argument).",
             (long long)row->num_replicas, balance ? balance : "round-robin");
}

/* The requests that hold KV blocks at once are batch_size for each pipeline stage; the
 * engine's limit counts all of them. */
static void add_batch(struct vidur_launch *launch, const struct vidur_ranking_row *row)
{
    long long running = (long long)(row->batch_size * row->num_pipeline_stages);
    if (row->max_num_seqs > 0) { /* a limit over all stages already */
        ARGUMENT(launch, " --max-num-seqs %lld", (long long)row->max_num_seqs);
        return;
    }
    ARGUMENT(launch, " --max-num-seqs %lld", running);
    if (row->num_pipeline_stages > 1)
        note(launch,
             "--max-num-seqs is batch_size %lld times %lld stages; a cap of %s "
             "on each micro-batch has no argument.",
             (long long)row->batch_size, (long long)row->num_pipeline_stages,
             vidur_text_counted(row->batch_size, "request").text);
}

/* A knob's column. A file that lacks it may still tell the budget of a batch. */
static double knob_of(const struct vidur_ranking_row *row,
                      const struct vidur_scheduler_ops *ops, enum vidur_knob knob)
{
    const double values[] = {0,
#define X(type, name, def, min) (double)row->name,
                             VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    return knob == ops->token_budget && !(values[knob] > 0)
               ? (double)row->max_tokens_in_batch
               : values[knob];
}

static bool is_switch(enum vidur_knob knob)
{
    static const bool is_bool[] = {false,
#define X(type, name, def, min) _Generic((type)0, bool : true, default : false),
                                   VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    return is_bool[knob];
}

static void add_engine_argument(struct vidur_launch *launch,
                                const struct vidur_ranking_row *row,
                                const struct vidur_scheduler_ops *ops,
                                const struct vidur_engine_argument *argument)
{
    const enum vidur_knob knob = argument->knob;
    const double value = knob_of(row, ops, knob);
    const char *const *words = vidur_knob_words(knob);
    if (knob == VIDUR_KNOB_NONE)
        ARGUMENT(launch, " %s", argument->flag);
    else if (words) { /* the first is what the engine does by itself */
        if (value == 1)
            ARGUMENT(launch, " %s %s", argument->flag, words[1]);
    } else if (!is_switch(knob) && value > 0)
        ARGUMENT(launch, " %s %.10g", argument->flag, value);
    else if (is_switch(knob) && !isnan(row->gpu_memory_utilization)) /* else unknown */
        ARGUMENT(launch, " %s", value > 0 ? argument->flag : argument->flag_if_off);
}

/* Of all GPUs of an engine: those of one rank. */
static void add_offload(struct vidur_launch *launch,
                        const struct vidur_ranking_row *row)
{
    const double gpus = (double)(row->tensor_parallel_size * row->num_pipeline_stages);
    if (!(row->kv_offload_gib_per_gpu > 0))
        return;
    ARGUMENT(launch, " --kv-offloading-backend native --kv-offloading-size %.10g",
             row->kv_offload_gib_per_gpu * gpus);
    note(launch,
         "--kv-offloading-size is GiB of host memory for all GPUs of an engine, %g for "
         "each; the host has to have it beside all else.",
         row->kv_offload_gib_per_gpu);
    if (vidur_row_has_pools(row) && !vidur_row_is_mixed(row))
        note(launch,
             "An engine that offloads and hands over wants both connectors, in a "
             "MultiConnector of --kv-transfer-config.");
}

static void add_scheduler(struct vidur_launch *launch,
                          const struct vidur_ranking_row *row)
{
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(row->scheduler);
    if (!ops || !ops->engine_arguments) {
        note(launch,
             "The scheduler %s has no equivalent in vLLM: these arguments give its "
             "hardware and limits only.",
             row->scheduler);
        return;
    }
    for (const struct vidur_engine_argument *a = ops->engine_arguments; a->flag; a++)
        add_engine_argument(launch, row, ops, a);
    add_offload(launch, row);
    if (ops->engine_remark)
        note(launch, "%s", ops->engine_remark);
}

static long number_of(const char *fact)
{
    return fact ? strtol(fact, NULL, 10) : 0;
}

/* The engine refuses to start with more than the model's context. */
static void add_length(struct vidur_launch *launch, const struct vidur_results *results,
                       const struct vidur_ranking_row *row)
{
    const long longest =
        number_of(vidur_results_fact(results, "trace", row->trace, "max_tokens"));
    const long context = number_of(
        vidur_results_fact(results, "model", row->model, "max_position_embeddings"));
    const bool too_long = context > 0 && longest > context;
    if (longest > 0)
        ARGUMENT(launch, " --max-model-len %ld", too_long ? context : longest);
    if (too_long)
        note(launch,
             "The workload has requests of up to %ld tokens; the model's context takes "
             "%ld.",
             longest, context);
}

static void add_memory(struct vidur_launch *launch, const struct vidur_results *results,
                       const struct vidur_ranking_row *row)
{
    if (row->block_size > 0)
        ARGUMENT(launch, " --block-size %lld", (long long)row->block_size);
    add_length(launch, results, row);
    if (row->num_blocks > 0)
        note(launch,
             "The engine sizes its KV cache itself; the simulation had %lld blocks "
             "(--num-gpu-blocks-override %lld pins that).",
             (long long)row->num_blocks, (long long)row->num_blocks);
}

/* One replica. */
static void add_replica(struct vidur_launch *launch,
                        const struct vidur_results *results,
                        const struct vidur_ranking_row *row)
{
    ARGUMENT(launch, "vllm serve");
    const enum weights weights = find_weights(results, row);
    const char *identifier =
        vidur_results_fact(results, "model", row->model, "identifier");
    if (weights == OF_CHECKPOINT)
        identifier = row->checkpoint;
    add_identifier(launch, identifier ? identifier : row->model);
    if (identifier &&
        strncmp(identifier, VIDUR_LAUNCH_PLACE, sizeof VIDUR_LAUNCH_PLACE - 1) == 0)
        note(launch,
             "%s stands for the checkpoint, which the model's configuration does not "
             "name: put its folder or its name on Hugging Face there.",
             identifier);
    add_precision(launch, row, weights);
    add_kv_cache(launch, results, row, weights);
    add_parallelism(launch, results, row);
    add_batch(launch, row);
    add_scheduler(launch, row);
    add_memory(launch, results, row);
}

/* The row as that of its second pool. */
static struct vidur_ranking_row second_of(const struct vidur_ranking_row *row)
{
    const struct vidur_row_pool pool = vidur_row_second(row);
    struct vidur_ranking_row out = *row;
    snprintf(out.device, sizeof out.device, "%s", pool.device);
    snprintf(out.network_device, sizeof out.network_device, "%s", pool.network_device);
    out.tensor_parallel_size = pool.tensor_parallel_size;
    out.expert_parallel = pool.expert_parallel;
    out.data_parallel_size = pool.data_parallel_size;
    out.num_pipeline_stages = pool.num_pipeline_stages;
    out.batch_size = pool.batch_size;
    if (out.max_num_seqs > 0)
        out.max_num_seqs = out.batch_size * out.num_pipeline_stages;
    out.max_num_batched_tokens = pool.max_num_batched_tokens;
    out.num_blocks = 0;
    if (!vidur_row_is_mixed(row))
        out.kv_offload_gib_per_gpu = 0; /* it shares no prefixes */
    return out;
}

/* What the lines of two pools are for. */
static void note_pools(struct vidur_launch *launch, const struct vidur_ranking_row *row)
{
    const struct vidur_row_pool second = vidur_row_second(row);
    const char *balance = vidur_router_balance(row->router);
    if (!vidur_row_is_mixed(row)) {
        note(launch,
             "The first line is for each replica that prefills (%lld), the second for "
             "each that decodes (%lld); a router for disaggregated prefill (of llm-d, "
             "Dynamo or vLLM's production stack) stands before them.",
             (long long)second.of_first, (long long)second.num_replicas);
        return;
    }
    note(
        launch,
        "The first line is for each replica on %s (%lld), the second for each on %s "
        "(%lld); a %s load balancer before them gives each of the former %.3g and each "
        "of the latter %.3g parts of the load (what a replica carries alone, QPS).",
        row->network_device, (long long)second.of_first, second.network_device,
        (long long)second.num_replicas, balance ? balance : "round-robin",
        row->first_replica_qps, row->second_replica_qps);
}

void vidur_launch_line(const struct vidur_results *results,
                       const struct vidur_ranking_row *row, struct vidur_launch *launch)
{
    *launch = (struct vidur_launch){"", ""};
    add_replica(launch, results, row);
    if (!vidur_row_has_pools(row))
        return;
    const char *connector = vidur_row_is_mixed(row)
                                ? ""
                                : " --kv-transfer-config "
                                  "'{\"kv_connector\":\"NixlConnector\","
                                  "\"kv_role\":\"kv_both\"}'";
    struct vidur_ranking_row other = second_of(row);
    struct vidur_launch second = {"", ""};
    add_replica(&second, results, &other);
    ARGUMENT(launch, "%s\n%s%s", connector, second.command, connector);
    note_pools(launch, row);
}
