#include "launch.h"

#include "base/text.h"

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

static void add_parallelism(struct vidur_launch *launch,
                            const struct vidur_results *results,
                            const struct vidur_ranking_row *row)
{
    ARGUMENT(launch, " --tensor-parallel-size %lld",
             (long long)row->tensor_parallel_size);
    ARGUMENT(launch, " --pipeline-parallel-size %lld",
             (long long)row->num_pipeline_stages);
    const char *text =
        vidur_results_fact(results, "node", row->network_device, "devices_per_node");
    long in_node = text ? strtol(text, NULL, 10) : 0;
    if (in_node > 0 && row->tensor_parallel_size * row->num_pipeline_stages > in_node)
        note(launch,
             "A replica spans nodes of %s: start it on a Ray cluster "
             "(--distributed-executor-backend ray).",
             vidur_text_counted(in_node, "device").text);
    if (row->num_replicas > 1)
        note(launch,
             "This is one of %lld equal replicas; put a %s load balancer before them "
             "(no engine argument).",
             (long long)row->num_replicas,
             strcmp(row->router, "lor") == 0      ? "least-outstanding-requests"
             : strcmp(row->router, "random") == 0 ? "random"
                                                  : "round-robin");
}

/* The requests that hold KV blocks at once are batch_size for each pipeline stage; the
 * engine's limit counts all of them. */
static void add_batch(struct vidur_launch *launch, const struct vidur_ranking_row *row)
{
    long long running = (long long)(row->batch_size * row->num_pipeline_stages);
    if (row->max_num_seqs > 0) { /* vllm_v1: its own limit, over all stages */
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

/* What it leaves out, vLLM may choose by itself, so all is said. */
static void add_engine(struct vidur_launch *launch, const struct vidur_ranking_row *row)
{
    if (row->max_tokens_in_batch > 0)
        ARGUMENT(launch, " --max-num-batched-tokens %lld",
                 (long long)row->max_tokens_in_batch);
    if (!(row->gpu_memory_utilization > 0))
        return; /* read from a file that lacks these columns */
    ARGUMENT(launch, " --gpu-memory-utilization %.10g", row->gpu_memory_utilization);
    ARGUMENT(launch, row->prefix_caching ? " --enable-prefix-caching"
                                         : " --no-enable-prefix-caching");
    ARGUMENT(launch,
             row->async_scheduling ? " --async-scheduling" : " --no-async-scheduling");
}

static void add_scheduler(struct vidur_launch *launch,
                          const struct vidur_ranking_row *row)
{
    const char *scheduler = row->scheduler;
    if (strcmp(scheduler, "sarathi") == 0 && row->chunk_size > 0) {
        ARGUMENT(launch, " --enable-chunked-prefill --max-num-batched-tokens %lld",
                 (long long)row->chunk_size);
    } else if (strcmp(scheduler, "vllm") == 0) {
        ARGUMENT(launch, " --no-enable-chunked-prefill");
        if (row->max_tokens_in_batch > 0)
            ARGUMENT(launch, " --max-num-batched-tokens %lld",
                     (long long)row->max_tokens_in_batch);
        note(launch, "The simulated scheduler runs whole prefills first, as vLLM did "
                     "before its V1 engine.");
    } else if (strcmp(scheduler, "vllm_v1") == 0) {
        add_engine(launch, row);
    } else {
        note(launch,
             "The scheduler %s has no equivalent in vLLM: these arguments give its "
             "hardware and limits only.",
             scheduler);
    }
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

void vidur_launch_line(const struct vidur_results *results,
                       const struct vidur_ranking_row *row, struct vidur_launch *launch)
{
    *launch = (struct vidur_launch){"vllm serve", ""};
    const char *identifier =
        vidur_results_fact(results, "model", row->model, "identifier");
    add_identifier(launch, identifier ? identifier : row->model);
    add_parallelism(launch, results, row);
    add_batch(launch, row);
    add_scheduler(launch, row);
    add_memory(launch, results, row);
}
