#include "base/hash.h"

#include <vidur/deployment.h>
#include <vidur/model.h>
#include <vidur/sku.h>
#include <vidur/workload.h>

#include <string.h>

#define TEXT(member)  vidur_sha256_add_string(sha, s->member);
#define WHOLE(member) vidur_sha256_add_int64(sha, (int64_t)s->member);
#define REAL(member)  vidur_sha256_add_double(sha, s->member);

static void add_scheduler(struct vidur_sha256 *sha,
                          const struct vidur_scheduler_config *s)
{
    /* As doubles, whatever the knob: none has more than 53 bits. First come, first
     * served, and nothing in host memory, was all there was once: its digest does not
     * know of them. */
    TEXT(type)
#define X(type, name, def, min)                                                        \
    if (VIDUR_KNOB_##name < VIDUR_KNOB_scheduling_policy || s->name != (def))          \
        vidur_sha256_add_double(sha, (double)s->name);
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
}

/* The digest of one rank does not know of ranks. */
static void add_layout(struct vidur_sha256 *sha, const struct vidur_deployment *s)
{
#define X(type, name, def, min)                                                        \
    if (strcmp(#name, "data_parallel_size") != 0 || s->name != (def))                  \
    WHOLE(name)
    VIDUR_PARALLELISM(X)
#undef X
}

void vidur_deployment_digest(struct vidur_sha256 *sha, const struct vidur_deployment *s)
{
    vidur_model_digest(sha, &s->model);
    vidur_device_digest(sha, &s->device);
    vidur_node_digest(sha, &s->node);
    WHOLE(num_replicas)
    add_layout(sha, s);
    REAL(memory_margin_fraction)
    if (s->cpu_cores != 0) /* the digest of no limit does not know of it */
        REAL(cpu_cores)
    WHOLE(memory_planner)
    WHOLE(semantics)
    TEXT(router)
    add_scheduler(sha, &s->scheduler);
    if (s->scheduler.kv_offload_gib_per_gpu > 0) /* no other depends on the link */
        vidur_sha256_add_double(sha, vidur_deployment_host_gb_per_s(s));
}

/* Nothing where nothing is said, as before there were formats. */
static void add_trace(struct vidur_sha256 *sha, const char *whose,
                      const struct vidur_trace_options *s)
{
    const struct vidur_trace_columns *c = &s->columns;
    const bool has_more =
        c->ended_at[0] || c->latency_s[0] || c->latency_ms[0] || c->priority[0];
    if (!(s->format[0] || s->time_unit[0] || s->characters_per_token != 0 ||
          s->block_tokens != 0 || c->arrived_at[0] || c->prompt_tokens[0] ||
          c->output_tokens[0] || c->session[0] || c->prefix[0] || has_more))
        return;
    vidur_sha256_add_string(sha, whose);
    TEXT(format)
    TEXT(time_unit)
    REAL(characters_per_token)
    WHOLE(block_tokens)
    TEXT(columns.arrived_at)
    TEXT(columns.prompt_tokens)
    TEXT(columns.output_tokens)
    TEXT(columns.session)
    TEXT(columns.prefix)
    if (!has_more) /* digests of logs without ends and priorities do not know of them */
        return;
    TEXT(columns.ended_at)
    TEXT(columns.latency_s)
    TEXT(columns.latency_ms)
    TEXT(columns.priority)
}

static void add_lengths(struct vidur_sha256 *sha, const struct vidur_lengths_config *s)
{
    TEXT(type)
    WHOLE(prefill_tokens)
    WHOLE(decode_tokens)
    WHOLE(min_tokens)
    REAL(prefill_to_decode_ratio)
    REAL(theta)
    WHOLE(scramble)
    REAL(prefill_scale_factor)
    REAL(decode_scale_factor)
    add_trace(sha, "lengths.trace", &s->trace);
}

static void add_arrivals(struct vidur_sha256 *sha,
                         const struct vidur_arrivals_config *s)
{
    TEXT(type)
    if (s->concurrency != 0) /* an open loop's digest does not know of it */
        WHOLE(concurrency)
    REAL(cv)
    REAL(truncate)
    TEXT(column)
    REAL(start_time_s)
    REAL(end_time_s)
    REAL(time_scale_factor)
    add_trace(sha, "arrivals.trace", &s->trace);
}

static void add_shared_prefix(struct vidur_sha256 *sha,
                              const struct vidur_shared_prefix_config *s)
{
    WHOLE(num_groups)
    WHOLE(num_prompts_per_group)
    WHOLE(system_prompt_tokens)
    REAL(prompt_mean_tokens)
    REAL(prompt_std_tokens)
    WHOLE(num_quantiles)
    for (int i = 0; i < s->num_quantiles; i++) {
        REAL(quantiles[i].quantile)
        REAL(quantiles[i].tokens)
    }
    WHOLE(output_tokens)
    WHOLE(arrivals)
    WHOLE(num_stages)
    for (int i = 0; i < s->num_stages; i++) {
        REAL(stages[i].rate_qps)
        REAL(stages[i].duration_s)
    }
}

static void add_spread(struct vidur_sha256 *sha, const struct vidur_spread *s)
{
    REAL(mean)
    REAL(cv)
    REAL(min)
    REAL(max)
    WHOLE(num_quantiles)
    for (int i = 0; i < s->num_quantiles; i++) {
        REAL(quantiles[i].quantile)
        REAL(quantiles[i].value)
    }
}

static void add_sessions(struct vidur_sha256 *sha,
                         const struct vidur_sessions_config *s)
{
    add_spread(sha, &s->turns);
    add_spread(sha, &s->first_tokens);
    add_spread(sha, &s->user_tokens);
    add_spread(sha, &s->output_tokens);
    add_spread(sha, &s->think_s);
    add_spread(sha, &s->sub_agents);
    WHOLE(num_groups)
    WHOLE(system_prompt_tokens)
    WHOLE(max_context_tokens)
    WHOLE(compacts)
    add_trace(sha, "sessions.trace", &s->trace);
    if (s->think_time != 0 || s->answer_tokens_per_s != 0) {
        vidur_sha256_add_string(sha, "sessions.think_time");
        WHOLE(think_time)
        REAL(answer_tokens_per_s)
    }
}

static void add_class(struct vidur_sha256 *sha, const struct vidur_class_config *s)
{
    TEXT(name)
    REAL(share)
    WHOLE(priority)
    WHOLE(max_tokens)
    add_lengths(sha, &s->lengths);
}

void vidur_workload_digest(struct vidur_sha256 *sha,
                           const struct vidur_workload_config *s)
{
    WHOLE(type)
    WHOLE(seed)
    WHOLE(seeds)
    WHOLE(num_requests)
    REAL(duration_s)
    WHOLE(max_tokens)
    add_lengths(sha, &s->lengths);
    add_arrivals(sha, &s->arrivals);
    add_shared_prefix(sha, &s->shared_prefix);
    if (s->num_classes > 0) /* other workloads' digests do not know of classes */
        WHOLE(num_classes)
    for (int i = 0; i < s->num_classes; i++)
        add_class(sha, &s->classes[i]);
    REAL(prefill_scale_factor)
    REAL(decode_scale_factor)
    REAL(time_scale_factor)
    if (s->type == VIDUR_WORKLOAD_SESSIONS) /* others' digests do not know of them */
        add_sessions(sha, &s->sessions);
    add_trace(sha, "trace", &s->trace);
    if (s->window.start_s != 0 || s->window.end_s != 0 || s->window.peak != 0 ||
        s->window.peak_s != 0) {
        vidur_sha256_add_string(sha, "window");
        REAL(window.start_s)
        REAL(window.end_s)
        WHOLE(window.peak)
        REAL(window.peak_s)
    }
}
#include <vidur/deployment.h>
#include <vidur/model.h>
#include <vidur/sku.h>
#include <vidur/workload.h>
