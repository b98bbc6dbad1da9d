#include "drive/layout.h"

#include "replica/told.h"

#include <math.h>
#include <string.h>

/* ---- Planning ---- */

/* More requests than blocks cannot run, unless a foreign policy takes none. */
static int64_t running_bound(const struct vidur_pool_model *pool, int64_t requests)
{
    const int64_t slots =
        (int64_t)pool->env.batch_capacity * (pool->env.batches_at_once + 1);
    const int64_t bound = pool->plan.num_blocks > slots ? pool->plan.num_blocks : slots;
    const bool ours = vidur_scheduler_find(pool->ops->name) == pool->ops;
    return ours && bound < requests ? bound : requests;
}

/* Observers see every batch and event, in the order of the events. */
static bool is_observed(const struct vidur_run_options *options)
{
    return options->observer && (options->observer->batch || options->observer->event);
}

/* What a GPU's share of host memory holds of its share of blocks; of the fullest stage,
 * as on the GPU. */
static struct vidur_host_tier_sizes host_sizes(const struct vidur_pool_model *pool)
{
    const struct vidur_scheduler_config *knobs = &pool->deployment->scheduler;
    const double block_bytes = pool->plan.kv_bytes_per_token * knobs->block_size;
    const double blocks = knobs->kv_offload_gib_per_gpu * 0x1p30 / block_bytes;
    if (!(blocks >= 1))
        return (struct vidur_host_tier_sizes){0};
    return (struct vidur_host_tier_sizes){
        .num_blocks = (int32_t)fmin(blocks, INT32_MAX / 4),
        .block_s =
            block_bytes / (vidur_deployment_host_gb_per_s(pool->deployment) * 1e9)};
}

/* Blocks need names where prompts share them. */
static struct vidur_block_store_sizes store_sizes(const struct vidur_pool_model *pool,
                                                  const struct vidur_workload *workload)
{
    const struct vidur_scheduler_config *knobs = &pool->deployment->scheduler;
    const int64_t blocks = pool->plan.num_blocks;
    /* Prompts that come from another pool share nothing. */
    if (!pool->ops->shares_prefixes || !knobs->prefix_caching ||
        (!vidur_prompts_are_shared(&workload->prompts) &&
         workload->sessions.count == 0) ||
        pool->role == VIDUR_POOL_DECODE)
        return (struct vidur_block_store_sizes){0};
    /* Prompts that have departed hold theirs until they are there. */
    const int64_t holders = pool->role == VIDUR_POOL_ALL      ? pool->env.batch_capacity
                            : workload->num_requests < blocks ? workload->num_requests
                                                              : blocks;
    return (struct vidur_block_store_sizes){.num_blocks = (int32_t)blocks,
                                            .num_slots = (int32_t)holders,
                                            .block_size = knobs->block_size,
                                            .max_tokens = pool->max_tokens,
                                            .host = host_sizes(pool)};
}

static void plan_pool(struct vidur_layout *layout, struct vidur_pool_layout *to,
                      struct vidur_pool_model *pool,
                      const struct vidur_workload *workload)
{
    const int64_t bound = running_bound(pool, workload->num_requests);
    const int64_t replicas = pool->deployment->num_replicas;
    pool->env.running_capacity = (int32_t)(2 * bound + 64);
    to->sizes = (struct vidur_replica_sizes){
        .num_stages = pool->deployment->num_pipeline_stages,
        .batch_capacity = pool->env.batch_capacity,
        .batches_at_once = pool->env.batches_at_once,
        .running_capacity = pool->env.running_capacity,
        .block_size = pool->deployment->scheduler.block_size,
        .grouping = pool->ops->groups_decodes && !layout->by_events};
    to->store = store_sizes(pool, workload);
    layout->caches |= to->store.num_slots > 0;
    layout->loads |= to->store.host.num_blocks > 0;
    to->scheduler_bytes =
        pool->ops->state_bytes ? pool->ops->state_bytes(&pool->env) : 0;
    layout->num_servers += replicas;
    layout->num_ranks += replicas * pool->deployment->data_parallel_size;
    if (pool->deployment->data_parallel_size > layout->most_ranks)
        layout->most_ranks = pool->deployment->data_parallel_size;
    if (pool->role != VIDUR_POOL_DECODE) {
        layout->num_entries += replicas;
        layout->has_front_end |=
            pool->front_end.per_prompt_token_s > 0 || pool->front_end.delay_s > 0;
    }
    layout->cpu_overhead |= pool->step_ops->has_cpu_overhead(pool->step_model);
    if (to->sizes.batch_capacity > layout->batch_capacity)
        layout->batch_capacity = to->sizes.batch_capacity;
    /* Per server: schedules, and per batch in flight a few events. */
    if (layout->by_events)
        layout->event_capacity +=
            replicas * (4 + 3 * (int64_t)to->sizes.batches_at_once +
                        2 * (int64_t)to->sizes.num_stages);
}

void vidur_layout_plan(struct vidur_layout *layout, struct vidur_pool_model *pools,
                       int num_pools, const struct vidur_workload *workload,
                       const struct vidur_run_options *options)
{
    const bool observed = is_observed(options);
    *layout = (struct vidur_layout){.num_pools = num_pools,
                                    .num_requests = workload->num_requests,
                                    .num_sessions = workload->sessions.count,
                                    .watch = vidur_slo_watch_sizes(options, workload)};
    /* Stages of load bind replicas together, which the stepper walks one by one. */
    layout->by_events =
        options->plain_stepping || observed || workload->stages.count > 1;
    if (layout->by_events)
        layout->event_capacity = workload->num_requests; /* all can arrive together */
    for (int i = 0; i < num_pools; i++)
        plan_pool(layout, &layout->pools[i], &pools[i], workload);
    const bool hands_over = layout->num_entries < layout->num_servers;
    if (layout->by_events && hands_over) /* a transfer's end asks two replicas */
        layout->event_capacity += 2 * workload->num_requests;
    const struct vidur_router_ops *router =
        vidur_router_find(pools[0].deployment->router);
    layout->sends = workload->concurrency > 0 || workload->sessions.count > 0;
    layout->moves_arrivals = layout->sends || workload->stages.count > 1;
    if (layout->sends)
        layout->sending_bytes = vidur_sending_bytes(workload);
    const bool apart =
        !layout->sends || (workload->concurrency == 0 && router->keeps_sessions);
    layout->by_server = router->is_static && apart && !observed &&
                        layout->num_servers > 1 && !hands_over &&
                        workload->stages.count < 2;
}

static size_t pool_bytes(const struct vidur_layout *layout,
                         const struct vidur_pool_layout *pool)
{
    const size_t store =
        pool->store.num_slots > 0
            ? vidur_block_store_bytes(&pool->store, layout->num_requests)
            : 0;
    return store + vidur_replica_bytes(&pool->sizes) +
           vidur_pipeline_bytes(&pool->sizes) +
           vidur_arena_bytes(pool->scheduler_bytes, 1);
}

size_t vidur_layout_bytes(const struct vidur_layout *layout,
                          const struct vidur_pool_model *pools)
{
    const size_t servers = (size_t)layout->num_servers;
    const size_t ranks = (size_t)layout->num_ranks;
    const size_t requests = (size_t)layout->num_requests;
    size_t bytes = 0;
    for (int i = 0; i < layout->num_pools; i++)
        bytes += (size_t)pools[i].deployment->num_replicas *
                 (size_t)pools[i].deployment->data_parallel_size *
                 pool_bytes(layout, &layout->pools[i]);
    if (layout->num_entries < layout->num_servers)
        bytes += vidur_transfers_bytes(layout->num_requests,
                                       layout->num_entries *
                                           (layout->num_servers - layout->num_entries));
    return bytes + vidur_requests_bytes(layout->num_requests, layout->cpu_overhead) +
           vidur_arena_bytes(ranks, sizeof(struct vidur_server)) +
           vidur_arena_bytes((size_t)layout->most_ranks,
                             sizeof(struct vidur_rank_batch)) +
           vidur_arena_bytes(servers, sizeof(void *)) +
           vidur_arena_bytes(servers, sizeof(bool)) +
           vidur_arena_bytes(servers, vidur_walk_bytes()) +
           vidur_arena_bytes((size_t)layout->watch.num_counts,
                             sizeof(struct vidur_slo_count)) +
           vidur_arena_bytes((size_t)layout->watch.num_missed, 1) +
           4 * vidur_arena_bytes(servers, sizeof(double)) + /* routers' weights */
           ranks * vidur_arena_bytes(1, sizeof(struct vidur_told)) +
           vidur_arena_bytes((size_t)layout->event_capacity,
                             sizeof(struct vidur_event)) +
           vidur_arena_bytes((size_t)layout->batch_capacity, sizeof(int64_t)) +
           (layout->moves_arrivals ? 3 : 2) *
               vidur_arena_bytes(requests, sizeof(double)) +
           vidur_arena_bytes(layout->by_server ? requests : 0, sizeof(int32_t)) +
           vidur_arena_bytes(servers + 1, sizeof(int32_t)) + layout->sending_bytes +
           vidur_arena_bytes(layout->caches ? requests : 0, sizeof(int32_t)) +
           2 * vidur_arena_bytes((size_t)layout->num_sessions, sizeof(int32_t)) +
           vidur_arena_bytes(3 * (size_t)layout->num_sessions, sizeof(double)) + 4096;
}

/* ---- Carving ---- */

static void init_rank(struct vidur_run *run, struct vidur_arena *arena,
                      const struct vidur_pool_layout *layout,
                      struct vidur_server *server, int32_t index)
{
    struct vidur_replica *replica = &server->replica;
    const struct vidur_pool_model *pool = server->pool;
    const struct vidur_deployment *deployment = pool->deployment;
    const int64_t blocks = pool->plan.num_blocks;
    *replica = (struct vidur_replica){
        .requests = &run->requests,
        .num_blocks = blocks,
        .watermark_blocks =
            (int64_t)(deployment->scheduler.watermark_blocks_fraction * (double)blocks),
        .context_granularity = pool->step_ops->context_granularity(pool->step_model),
        .keeps_blocks = pool->ops->keeps_blocks,
        .fixed_blocks = pool->ops->fixed_blocks,
        /* what shares prefixes is none of the reference's schedulers */
        .corrected = deployment->semantics == VIDUR_SEMANTICS_CORRECTED ||
                     pool->ops->shares_prefixes,
        .lists_completed = run->sending.is_active,
        .chains_chunks = pool->ops->chains_chunks && layout->sizes.batches_at_once > 1,
        .hands_over = pool->role == VIDUR_POOL_PREFILL,
        .samples_first = run->fleet->first_token == VIDUR_FIRST_TOKEN_PREFILL,
        .by_priority =
            vidur_scheduler_uses(pool->ops, VIDUR_KNOB_scheduling_policy) &&
            deployment->scheduler.scheduling_policy == VIDUR_SCHEDULING_PRIORITY,
        .index = index};
    vidur_replica_rank(replica, run->workload);
    vidur_replica_init(replica, arena, &layout->sizes);
    replica->account->full_size =
        vidur_pool_model_batch_cap(pool) / deployment->num_pipeline_stages;
    replica->account->gaps = run->gaps;
    replica->account->watch = run->watching ? &run->watch : NULL;
    if (layout->store.num_slots > 0) {
        replica->store = vidur_block_store_new(arena, &layout->store, run->workload);
        replica->has_host = replica->store->host != NULL;
    }
    if (replica->has_host)
        replica->store->host->loaded_at_s = run->seen_at_s;
    vidur_pipeline_init(&server->pipeline, arena, &layout->sizes);
    if (pool->step_ops->stage_kind)
        for (int32_t i = 0; i < server->pipeline.num_stages; i++)
            server->pipeline.kinds[i] = pool->step_ops->stage_kind(pool->step_model, i);
    server->scheduler = vidur_arena_alloc(arena, layout->scheduler_bytes, 1);
    server->front_end = (struct vidur_front_end){.head = VIDUR_NO_REQUEST};
    server->to_load_head = server->to_load_tail = VIDUR_NO_REQUEST;
    server->woken_at_s = INFINITY;
    server->ended_at_s = 0;
    if (pool->ops->init)
        pool->ops->init(server->scheduler, &pool->env);
}

/* `others`: where its other ranks go. */
static void init_server(struct vidur_run *run, struct vidur_arena *arena,
                        const struct vidur_pool_layout *layout,
                        struct vidur_server *others, int32_t index)
{
    struct vidur_server *server = &run->servers[index];
    const int32_t ranks = server->pool->deployment->data_parallel_size;
    /* behind those of the servers before */
    const int32_t seat = index + (int32_t)(others - run->servers) - run->num_servers;
    server->num_ranks = ranks;
    server->other_ranks = others;
    init_rank(run, arena, layout, server, index);
    server->replica.seat = seat;
    for (int32_t r = 1; r < ranks; r++) {
        struct vidur_server *rank = vidur_server_rank(server, r);
        *rank = (struct vidur_server){.pool = server->pool, .num_ranks = 1};
        init_rank(run, arena, layout, rank, index);
        rank->replica.seat = seat + r;
        vidur_server_rank(server, r - 1)->replica.next_rank = &rank->replica;
    }
    run->replicas[index] = &server->replica;
}

void vidur_layout_servers(const struct vidur_layout *layout, struct vidur_run *run,
                          struct vidur_arena *arena)
{
    const size_t servers = (size_t)layout->num_servers;
    int32_t index = 0;
    run->num_servers = (int32_t)layout->num_servers;
    run->num_ranks = (int32_t)layout->num_ranks;
    run->servers =
        vidur_arena_alloc(arena, (size_t)layout->num_ranks, sizeof *run->servers);
    run->rank_batches =
        vidur_arena_alloc(arena, (size_t)layout->most_ranks, sizeof *run->rank_batches);
    struct vidur_server *others = run->servers + servers;
    run->replicas = vidur_arena_alloc(arena, servers, sizeof *run->replicas);
    run->touched = vidur_arena_alloc(arena, servers, sizeof *run->touched);
    memset(run->touched, 0, servers * sizeof *run->touched);
    run->walks = vidur_arena_alloc(arena, servers, vidur_walk_bytes());
    run->events.events = vidur_arena_alloc(arena, (size_t)layout->event_capacity,
                                           sizeof *run->events.events);
    run->observed_ids = vidur_arena_alloc(arena, (size_t)layout->batch_capacity,
                                          sizeof *run->observed_ids);
    if (layout->caches)
        run->requests.cached_tokens =
            vidur_arena_zalloc(arena, (size_t)layout->num_requests, sizeof(int32_t));
    for (int i = 0; i < layout->num_pools; i++)
        for (int j = 0; j < run->pools[i].deployment->num_replicas; j++, index++) {
            run->servers[index].pool = &run->pools[i];
            init_server(run, arena, &layout->pools[i], others, index);
            others += run->servers[index].num_ranks - 1;
        }
}
