#include "registry.h"

#include <assert.h>
#include <math.h>

/*
 * vLLM's V1 engine: one token budget a step for decodes, chunks of prompts begun and
 * new prompts, in this order; a prefix cache; preemption by recomputation. Source:
 * ENGINE.md section 1.
 *
 * With async scheduling a step is fixed when the one before it starts, so a new request
 * waits for the running step and for the one that is fixed already. Which requests
 * decode in it follows from the step that runs; what is to decide is which prompts it
 * admits and how many blocks it lacks. So one batch is in flight at a time: a plan made
 * when it starts admits prompts, with their blocks, to the running list, where they
 * wait for its end. Blocks for decodes are reserved by the plan and taken when the step
 * starts; a request is preempted when the step that it is in has ended.
 *
 * In a pipeline a step is fixed when it starts its way, async or not, and there are as
 * many under way as stages. The engine fixes steps until that many are under way or
 * nobody is left for one; then it waits for the first of them to end, whoever arrives
 * in the meantime. What is under way holds blocks and seats and is not in the running
 * list, but for a prompt of which a step took a part: the next step, which follows at
 * once, takes the next. There is one such prompt at most, as others are admitted to
 * what it leaves of a step's budget.
 */

/* How far the next step has been decided. */
enum plan_state {
    UNPLANNED, /* not at all: the step is planned when it starts */
    PLANNED,   /* its prompts are in the running list, its lack of blocks is known */
    OPEN       /* with what was known then it would have been empty; the engine waits
                  for the first request to arrive and plans it for that one */
};

struct vllm_v1 {
    int64_t max_num_batched_tokens;
    int32_t max_num_seqs;
    bool async; /* a step is planned ahead */
    bool piped;
    int32_t in_flight;
    bool waits; /* for the first batch in flight to end */
    /* In a pipeline: the prompt that goes on; its tokens that are done or under way. */
    int32_t chained;
    int32_t chained_tokens;
    /* The next step's plan. */
    enum plan_state state;
    bool blocked;         /* for lack of blocks a prompt was not admitted */
    int64_t lacks_blocks; /* to be had by preemption */
    /* In state OPEN: free blocks, requests that held blocks and the count of released
     * blocks at the time the step was left open. */
    int64_t open_free_blocks;
    int64_t open_holders;
    uint32_t open_mark;
    double open_at_s;
    int32_t num_waiting; /* scratch: running items that have to wait for others */
    int32_t *waiting;
};

static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    return sizeof(struct vllm_v1) + (size_t)env->running_capacity * sizeof(int32_t);
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    const struct vidur_scheduler_config *knobs = &env->deployment->scheduler;
    struct vllm_v1 *v1 = state;
    *v1 =
        (struct vllm_v1){.max_num_batched_tokens = knobs->max_num_batched_tokens,
                         .max_num_seqs = knobs->max_num_seqs,
                         .async = knobs->async_scheduling && env->batches_at_once == 1};
    v1->piped = env->batches_at_once > 1;
    v1->chained = VIDUR_NO_REQUEST;
    v1->waiting = (int32_t *)(void *)(v1 + 1);
}

static int check(const struct vidur_deployment *deployment, struct vidur_error *err)
{
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    if (knobs->max_num_batched_tokens < knobs->max_num_seqs)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "scheduler.max_num_batched_tokens: %d is below max_num_seqs %d; "
            "a step must have a token for every running request",
            knobs->max_num_batched_tokens, knobs->max_num_seqs);
    if (!(knobs->gpu_memory_utilization <= 1))
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.gpu_memory_utilization: %g; at most 1",
                          knobs->gpu_memory_utilization);
    return 0;
}

/* ---- Planning a step ---- */

/* What a step starts from. */
struct outlook {
    int64_t decodes;
    int64_t decode_blocks;
    int64_t prompt_tokens; /* left of prompts begun */
    int64_t free_blocks;
    int64_t holders; /* requests that run or are about to end */
    double until_s;  /* requests that reach the engine later are not seen */
    uint32_t mark; /* blocks released after this count of releases still appear held */
};

/* The first in the queue of those that have reached the engine by then, and the one
 * that it stands behind. */
static int32_t first_waiting(const struct vidur_replica *replica, double until_s,
                             int32_t *before)
{
    const struct vidur_request_table *table = replica->requests;
    int32_t request = vidur_queue_head(replica);
    *before = VIDUR_NO_REQUEST;
    while (request != VIDUR_NO_REQUEST && table->seen_at_s[request] > until_s) {
        *before = request;
        request = replica->by_priority ? table->next[request] : VIDUR_NO_REQUEST;
    }
    return request;
}

/* To the running list: those whose prompt another pool has worked off or whose prefix
 * the host had. Returns what is left of the budget. */
static int64_t admit_loaded(struct vidur_replica *replica,
                            const struct outlook *outlook, int64_t budget)
{
    const struct vidur_request_table *table = replica->requests;
    for (; budget > 0; budget--) {
        const int32_t request = vidur_loaded_pop(replica, outlook->until_s);
        if (request == VIDUR_NO_REQUEST)
            break;
        vidur_running_push_back(replica, request);
        if (replica->has_host) /* it may want more than a token */
            budget -=
                table->prefill_tokens[request] - table->processed_tokens[request] - 1;
    }
    return budget;
}

/* These, and then from the waiting queue. */
static void admit(struct vllm_v1 *v1, struct vidur_replica *replica,
                  const struct outlook *outlook, int64_t free_blocks)
{
    const struct vidur_request_table *table = replica->requests;
    int64_t budget =
        v1->max_num_batched_tokens - outlook->decodes - outlook->prompt_tokens;
    int64_t holders = outlook->holders;
    if (replica->loaded_head != VIDUR_NO_REQUEST)
        budget = admit_loaded(replica, outlook, budget);
    for (; budget > 0 && holders < v1->max_num_seqs; holders++) {
        int32_t before;
        const int32_t request = first_waiting(replica, outlook->until_s, &before);
        if (request == VIDUR_NO_REQUEST)
            break;
        const int64_t blocks = vidur_prompt_blocks(replica, request, outlook->mark);
        if (blocks > free_blocks) {
            v1->blocked = true;
            break;
        }
        free_blocks -= blocks;
        if (before == VIDUR_NO_REQUEST)
            vidur_queue_pop(replica);
        else
            vidur_queue_take(replica, before);
        if (!replica->has_host)
            vidur_take_prompt(replica, request);
        else if (vidur_load_prompt(replica, request))
            continue; /* it comes back when that is done */
        vidur_running_push_back(replica, request);
        budget -= table->prefill_tokens[request] - table->processed_tokens[request];
    }
}

static void plan(struct vllm_v1 *v1, struct vidur_replica *replica,
                 const struct outlook *outlook)
{
    const int64_t left = outlook->free_blocks - outlook->decode_blocks;
    v1->state = PLANNED;
    v1->blocked = false;
    v1->lacks_blocks = left < 0 ? -left : 0;
    replica->reserved_blocks =
        left < 0 ? vidur_free_blocks(replica) : outlook->decode_blocks;
    if (left >= 0)
        admit(v1, replica, outlook, left);
}

/* Tokens of a prompt that are done or under way. */
static int32_t tokens_begun(const struct vllm_v1 *v1,
                            const struct vidur_request_table *table, int32_t request)
{
    return request == v1->chained ? v1->chained_tokens
                                  : table->processed_tokens[request];
}

/* Adds what the running items ask for. */
static void count_running(const struct vllm_v1 *v1, const struct vidur_replica *replica,
                          struct outlook *outlook)
{
    const struct vidur_request_table *table = replica->requests;
    outlook->decodes = vidur_running_demand(replica, &outlook->decode_blocks);
    for (int32_t i = replica->running_begin; i < replica->running_end; i++) {
        const int32_t item = replica->running[i];
        if (vidur_item_is_group(item) || vidur_request_is_prefilled(replica, item))
            continue;
        outlook->decodes--;
        outlook->prompt_tokens +=
            table->prefill_tokens[item] - tokens_begun(v1, table, item);
    }
}

/* A step fixed at its start. */
static void plan_now(struct vllm_v1 *v1, struct vidur_replica *replica)
{
    struct outlook outlook = {.free_blocks = vidur_free_blocks(replica),
                              .holders = replica->num_holders,
                              .until_s = INFINITY,
                              .mark = vidur_release_mark(replica)};
    count_running(v1, replica, &outlook);
    plan(v1, replica, &outlook);
}

/* The step after the one just formed. */
static void plan_ahead(struct vllm_v1 *v1, struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    const struct vidur_batch_outlook next = vidur_batch_look_ahead(batch, replica);
    const struct outlook outlook = {.decodes = next.decodes,
                                    .decode_blocks = next.decode_blocks,
                                    .prompt_tokens = next.prompt_tokens,
                                    .free_blocks = vidur_free_blocks(replica),
                                    .holders = replica->num_holders,
                                    .until_s = INFINITY,
                                    .mark = vidur_release_mark(replica)};
    plan(v1, replica, &outlook);
    if (vidur_running_count(replica) > 0 || next.decodes > 0 || next.prompt_tokens > 0)
        return;
    /* With a host tier it is planned when it starts. */
    v1->state = replica->has_host ? UNPLANNED : OPEN;
    v1->open_free_blocks = outlook.free_blocks;
    v1->open_holders = outlook.holders;
    v1->open_mark = outlook.mark;
    v1->open_at_s = replica->now_s;
}

/* Plans a step that was left open. The engine planned it when the first request
 * arrived, while the step before was still at work: with the blocks that were free when
 * it was left open, and for requests that had arrived by then. If nothing arrived
 * before now, or the first request did not fit beside those that were about to end, the
 * step is planned when it starts, like any other. A request that was waiting already
 * when the step was left open did not fit then and does not fit with the same blocks.
 */
static void plan_open_at(struct vllm_v1 *v1, struct vidur_replica *replica,
                         double seen_at_s)
{
    const int64_t free_blocks = vidur_free_blocks(replica);
    const struct outlook outlook = {.free_blocks = v1->open_free_blocks < free_blocks
                                                       ? v1->open_free_blocks
                                                       : free_blocks,
                                    .holders = v1->open_holders,
                                    .until_s = seen_at_s,
                                    .mark = v1->open_mark};
    plan(v1, replica, &outlook);
    if (vidur_running_count(replica) == 0)
        v1->state = UNPLANNED;
}

/* When the next of the requests after this time reached the engine. */
static double next_seen_s(const struct vidur_replica *replica, double after_s)
{
    const struct vidur_request_table *table = replica->requests;
    const double loaded_s = vidur_loaded_since_s(replica);
    double next_s = loaded_s > after_s ? loaded_s : INFINITY;
    for (int32_t r = replica->queue_head; r != VIDUR_NO_REQUEST; r = table->next[r])
        if (table->seen_at_s[r] > after_s)
            next_s = fmin(next_s, table->seen_at_s[r]);
    return next_s;
}

static void plan_open(struct vllm_v1 *v1, struct vidur_replica *replica)
{
    const int32_t head = vidur_queue_head(replica);
    double first_s = vidur_loaded_since_s(replica);
    double at_s = v1->open_at_s;
    if (head != VIDUR_NO_REQUEST)
        first_s = fmin(first_s, replica->requests->seen_at_s[head]);
    v1->state = UNPLANNED;
    if (!replica->by_priority && first_s < replica->now_s)
        plan_open_at(v1, replica, first_s);
    /* Each arrival may be one that comes before those that did not fit. */
    while (replica->by_priority && v1->state == UNPLANNED && at_s < replica->now_s) {
        plan_open_at(v1, replica, at_s);
        at_s = next_seen_s(replica, at_s);
    }
}

/* ---- Forming it ---- */

static bool is_under_way(const struct vllm_v1 *v1,
                         const struct vidur_request_table *table, int32_t request)
{
    return request == v1->chained &&
           v1->chained_tokens > table->processed_tokens[request];
}

/* The last admitted request, or the one of the lowest priority, which then is not under
 * way; VIDUR_NO_REQUEST: there is none. */
static int32_t pop_victim(const struct vllm_v1 *v1, struct vidur_replica *replica)
{
    const int32_t chained = v1->chained;
    if (!replica->by_priority)
        return vidur_running_pop_last(replica);
    return vidur_running_pop_least(replica,
                                   chained != VIDUR_NO_REQUEST &&
                                           is_under_way(v1, replica->requests, chained)
                                       ? chained
                                       : VIDUR_NO_REQUEST);
}

/* Preempts such requests until the others have the blocks they want; what is under way
 * keeps its own. */
static void preempt(struct vllm_v1 *v1, struct vidur_replica *replica)
{
    const struct vidur_request_table *table = replica->requests;
    int32_t kept = VIDUR_NO_REQUEST;
    vidur_running_unpack_all(replica);
    while (v1->lacks_blocks > 0 && vidur_running_count(replica) > 0) {
        const int32_t victim = pop_victim(v1, replica);
        if (victim == VIDUR_NO_REQUEST)
            break;
        if (is_under_way(v1, table, victim)) {
            kept = victim;
            continue;
        }
        if (victim == v1->chained)
            v1->chained = VIDUR_NO_REQUEST;
        const int64_t room = (int64_t)table->blocks[victim] * replica->block_size;
        const int64_t free_blocks = vidur_free_blocks(replica);
        v1->lacks_blocks -= table->processed_tokens[victim] > room;
        vidur_request_restart(replica, victim);
        v1->lacks_blocks -= vidur_free_blocks(replica) - free_blocks;
    }
    if (kept != VIDUR_NO_REQUEST)
        vidur_running_push_back(replica, kept);
}

static void add_decodes(struct vllm_v1 *v1, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    v1->num_waiting = 0;
    while (vidur_running_count(replica) > 0) {
        const int32_t item = vidur_running_pop(replica);
        if (vidur_item_is_group(item)) {
            if (!vidur_batch_add_group(batch, replica, item, v1->max_num_seqs))
                vidur_running_unpack(replica, item);
        } else if (!vidur_request_is_prefilled(replica, item)) {
            v1->waiting[v1->num_waiting++] = item;
        } else {
            vidur_grow_blocks(replica, item);
            vidur_batch_add(batch, replica, item, 1);
        }
    }
}

/* The rest of a prompt that goes on stays in the running list of a pipeline. */
static void chain(struct vllm_v1 *v1, struct vidur_replica *replica, int32_t request,
                  int32_t tokens)
{
    const int32_t prompt = replica->requests->prefill_tokens[request];
    if (!v1->piped)
        return;
    v1->chained = tokens < prompt ? request : VIDUR_NO_REQUEST;
    v1->chained_tokens = tokens;
    if (tokens < prompt)
        vidur_running_push_back(replica, request);
}

/* Chunks of prompts, in the order of admission. A plan leaves each a token, at least.
 */
static void add_prompts(struct vllm_v1 *v1, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    const struct vidur_request_table *table = replica->requests;
    for (int32_t i = 0; i < v1->num_waiting; i++) {
        const int32_t request = v1->waiting[i];
        const int64_t budget = v1->max_num_batched_tokens - batch->num_tokens;
        const int32_t begun = tokens_begun(v1, table, request);
        const int32_t rest = table->prefill_tokens[request] - begun;
        const int32_t tokens = (int32_t)(rest < budget ? rest : budget);
        assert(budget > 0);
        vidur_batch_add_chunk(batch, replica, request, begun, tokens);
        chain(v1, replica, request, begun + tokens);
    }
}

static void form(struct vllm_v1 *v1, struct vidur_replica *replica,
                 struct vidur_batch *batch)
{
    if (v1->state == OPEN)
        plan_open(v1, replica);
    if (v1->state == UNPLANNED)
        plan_now(v1, replica);
    v1->state = UNPLANNED;
    replica->reserved_blocks = 0; /* they are taken now */
    batch->blocked |= v1->blocked || v1->lacks_blocks > 0;
    if (v1->lacks_blocks > 0)
        preempt(v1, replica);
    add_decodes(v1, replica, batch);
    add_prompts(v1, replica, batch);
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    struct vllm_v1 *v1 = state;
    if (v1->waits)
        return;
    form(v1, replica, batch);
    if (batch->count == 0 && batch->blocked && v1->in_flight == 0)
        form(v1, replica, batch); /* all preempted: now they come first */
    v1->in_flight += batch->count > 0;
    v1->waits = batch->count == 0 && v1->in_flight > 0;
    if (v1->async && batch->count > 0)
        plan_ahead(v1, replica, batch);
}

/* Requests admitted since come behind those of the batch. */
static void batch_end(void *state, struct vidur_replica *replica,
                      struct vidur_batch *batch)
{
    struct vllm_v1 *v1 = state;
    v1->in_flight--;
    v1->waits = false;
    v1->num_waiting = 0;
    while (vidur_running_count(replica) > 0)
        v1->waiting[v1->num_waiting++] = vidur_running_pop(replica);
    if (v1->piped)
        vidur_batch_requeue_decodes(replica, batch);
    else
        vidur_batch_requeue(replica, batch);
    for (int32_t i = 0; i < v1->num_waiting; i++)
        vidur_running_push_back(replica, v1->waiting[i]);
}

/* ---- Steps that repeat ---- */

/* Nobody was admitted, and what keeps a prompt from being admitted will go on to:
 * blocks only become fewer, and with them the cached ones that nobody holds. */
static int64_t repeats(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    const struct vllm_v1 *v1 = state;
    const bool alike = vidur_running_count(replica) == 0 &&
                       replica->loaded_head == VIDUR_NO_REQUEST &&
                       v1->blocked == batch->blocked;
    return alike ? INT64_MAX : 1;
}

static void repeated(void *state, struct vidur_replica *replica,
                     const struct vidur_batch *batch, int64_t times)
{
    struct vllm_v1 *v1 = state;
    (void)times;
    if (v1->async)
        plan_ahead(v1, replica, batch);
}

/* What they leave out, vLLM may choose by itself, so all is said. */
static const struct vidur_engine_argument engine_arguments[] = {
    {.flag = "--max-num-batched-tokens", .knob = VIDUR_KNOB_max_num_batched_tokens},
    {.flag = "--gpu-memory-utilization", .knob = VIDUR_KNOB_gpu_memory_utilization},
    {"--enable-prefix-caching", VIDUR_KNOB_prefix_caching,
     "--no-enable-prefix-caching"},
    {"--async-scheduling", VIDUR_KNOB_async_scheduling, "--no-async-scheduling"},
    {.flag = "--scheduling-policy", .knob = VIDUR_KNOB_scheduling_policy},
    {0}};

const struct vidur_scheduler_ops vidur_scheduler_vllm_v1 = {
    .name = "vllm_v1",
    .step_model = &vidur_step_engine,
    .knobs = VIDUR_USES(block_size) | VIDUR_USES(num_blocks) |
             VIDUR_USES(max_num_batched_tokens) | VIDUR_USES(max_num_seqs) |
             VIDUR_USES(gpu_memory_utilization) | VIDUR_USES(prefix_caching) |
             VIDUR_USES(async_scheduling) | VIDUR_USES(scheduling_policy) |
             VIDUR_USES(kv_offload_gib_per_gpu) | VIDUR_USES(kv_offload_gb_per_s),
    .idle_in_pipeline = VIDUR_USES(async_scheduling),
    .batch_cap = VIDUR_KNOB_max_num_seqs, /* steps are padded by it, reached or not */
    .token_budget = VIDUR_KNOB_max_num_batched_tokens,
    .plan_memory = vidur_memory_plan_engine,
    .engine_arguments = engine_arguments,
    .groups_decodes = true,
    .has_ranks = true,
    .shares_prefixes = true,
    .hands_over = true,
    .chains_chunks = true,
    .check = check,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
    .batch_end = batch_end,
    .repeats = repeats,
    .repeated = repeated,
};
