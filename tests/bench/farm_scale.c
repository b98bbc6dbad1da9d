/*
 * How far one dispatching rank reaches, on paper: the farm's real rank 0 (farm_lead.c)
 * against simulated workers, in virtual time.
 *
 *   farm_scale RESULTS.h5 [MESSAGE_US RESULT_US LATENCY_US]
 *
 * A job's steps take what the simulations of a real search took (the probes of
 * RESULTS.h5), drawn per candidate. Every message that rank 0 receives or sends costs
 * it MESSAGE_US (default 0.7: twice what message_bench measures in shared memory),
 * every result RESULT_US (default 1.1: the farm's bookkeeping and the journal's
 * record); a message is under way for LATENCY_US (default 5). Prints efficiency: the
 * steps' time over ranks times makespan, for 10^2 to 10^5 ranks, with jobs alone and in
 * chains of five, fifty jobs a rank, heaviest first by what they will take.
 */

#include "farm/farm_link.h"

#include <vidur/results.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_PER_RANK = 50, MAX_STEPS = 32, RESULT_BYTES = 480, MAX_RESULTS = 24 };

/* As the workers' (farm_worker.c). */
static const double result_patience_s = 0.05;

/* ---- Jobs ---- */

/* A candidate of the real search: how long each of its simulations took. */
struct sample {
    int num_steps;
    float seconds[MAX_STEPS];
};

struct model {
    struct sample *samples;
    int num_samples;
    double message_s, result_s, latency_s;
    double work_s; /* of all steps given to workers */
};

struct job_state {
    int64_t job;
    int32_t done;
    int32_t steps;
};

static const struct sample *sample_of(const struct model *model, int64_t job)
{
    const uint64_t mixed = (uint64_t)job * UINT64_C(0x9e3779b97f4a7c15);
    return &model->samples[(mixed >> 33) % (uint64_t)model->num_samples];
}

static bool next(void *context, const void *state, uint64_t *step)
{
    const struct job_state *s = state;
    (void)context;
    *step = (uint64_t)s->done;
    return s->done < s->steps;
}

static void tell(void *context, void *state, const void *result)
{
    (void)context, (void)result;
    ((struct job_state *)state)->done++;
}

static int start(void *context, int64_t job, void *state, struct vidur_error *err)
{
    (void)err;
    *(struct job_state *)state =
        (struct job_state){.job = job, .steps = sample_of(context, job)->num_steps};
    return 0;
}

static int run(void *context, const struct vidur_farm_step *step,
               const struct vidur_farm_pulse *pulse, void *result,
               struct vidur_error *err)
{
    (void)context, (void)step, (void)pulse, (void)result;
    return vidur_fail(err, VIDUR_EINVAL, "workers are simulated");
}

static int record(void *context, int64_t job, const void *state, const void *result,
                  struct vidur_error *err)
{
    (void)context, (void)job, (void)state, (void)result, (void)err;
    return 0;
}

static int finish(void *context, int64_t job, const void *state,
                  const struct vidur_error *failure, struct vidur_error *err)
{
    (void)context, (void)job, (void)state, (void)failure, (void)err;
    return 0;
}

/* ---- Virtual time ---- */

enum event_kind { STEP_ENDS, AT_WORKER, AT_LEADER };

/* Steps whose results travel together. */
struct results {
    int count;
    struct vidur_farm_step steps[MAX_RESULTS];
};

struct event {
    double at_s;
    uint64_t order;
    int32_t kind;
    int32_t rank;
    int32_t message; /* enum farm_message_kind */
    int64_t job;
    struct job_state state;
    int64_t count;
    struct results *results; /* FARM_RESULTS: owned */
};

struct sim_lease {
    struct job_state state;
    int64_t steps_left;
    bool give_back;
};

struct sim_worker {
    struct sim_lease leases[FARM_MAX_HELD];
    int num_leases, most_leases;
    bool in_step;
    double flushed_s;
    struct results results; /* not sent yet */
};

struct world {
    struct model *model;
    struct event *heap;
    int64_t count, capacity;
    uint64_t next_order;
    struct sim_worker *workers; /* by rank */
    double now_s;               /* rank 0's clock */
    double busy_s;              /* of it, with messages */
    bool delivered;
};

static bool before(const struct event *a, const struct event *b)
{
    return a->at_s < b->at_s || (a->at_s == b->at_s && a->order < b->order);
}

static void push(struct world *w, struct event event)
{
    if (w->count == w->capacity) {
        w->capacity = w->capacity ? 2 * w->capacity : 1024;
        w->heap = realloc(w->heap, (size_t)w->capacity * sizeof *w->heap);
        if (!w->heap)
            abort();
    }
    event.order = w->next_order++;
    int64_t at = w->count++;
    while (at > 0 && before(&event, &w->heap[(at - 1) / 2])) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = event;
}

static struct event pop(struct world *w)
{
    const struct event top = w->heap[0], last = w->heap[--w->count];
    int64_t at = 0;
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= w->count)
            break;
        if (child + 1 < w->count && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return top;
}

/* ---- Simulated workers ---- */

static void post(struct world *w, double at_s, int rank, struct event message)
{
    message.at_s = at_s + w->model->latency_s;
    message.kind = AT_LEADER;
    message.rank = rank;
    push(w, message);
}

static void flush(struct world *w, double at_s, int rank)
{
    struct sim_worker *worker = &w->workers[rank];
    worker->flushed_s = at_s;
    if (worker->results.count == 0)
        return;
    struct results *copy = malloc(sizeof *copy);
    if (!copy)
        abort();
    *copy = worker->results;
    worker->results.count = 0;
    post(w, at_s, rank, (struct event){.message = FARM_RESULTS, .results = copy});
}

static void say(struct world *w, double at_s, int rank, struct event message)
{
    flush(w, at_s, rank);
    post(w, at_s, rank, message);
}

static void begin_step(struct world *w, double at_s, int rank)
{
    struct sim_worker *worker = &w->workers[rank];
    if (worker->in_step || worker->num_leases == 0)
        return;
    const struct job_state *s = &worker->leases[0].state;
    const double seconds = sample_of(w->model, s->job)->seconds[s->done];
    w->model->work_s += seconds;
    worker->in_step = true;
    push(w, (struct event){.at_s = at_s + seconds, .kind = STEP_ENDS, .rank = rank});
}

static void drop(struct sim_worker *worker)
{
    worker->num_leases--;
    memmove(&worker->leases[0], &worker->leases[1],
            (size_t)worker->num_leases * sizeof worker->leases[0]);
}

static void end_step(struct world *w, double at_s, int rank)
{
    struct sim_worker *worker = &w->workers[rank];
    struct sim_lease *lease = &worker->leases[0];
    const bool single = lease->steps_left == 1;
    worker->in_step = false;
    if (worker->results.count == MAX_RESULTS)
        flush(w, at_s, rank);
    worker->results.steps[worker->results.count++] = (struct vidur_farm_step){
        lease->state.job, (uint64_t)lease->state.done, &lease->state};
    lease->state.done++;
    const bool at_end =
        --lease->steps_left <= 0 || lease->state.done >= lease->state.steps;
    if (!at_end && lease->give_back)
        say(w, at_s, rank,
            (struct event){.message = FARM_RETURNED, .job = lease->state.job});
    if (at_end || lease->give_back)
        drop(worker);
    const bool little_left = at_end && 2 * worker->num_leases <= worker->most_leases;
    if (single || little_left || at_s - worker->flushed_s > result_patience_s)
        flush(w, at_s, rank);
    begin_step(w, at_s, rank);
}

static void hear(struct world *w, const struct event *event)
{
    struct sim_worker *worker = &w->workers[event->rank];
    if (event->message == FARM_LEASE) {
        worker->leases[worker->num_leases++] =
            (struct sim_lease){.state = event->state, .steps_left = event->count};
        if (worker->num_leases > worker->most_leases)
            worker->most_leases = worker->num_leases;
        begin_step(w, event->at_s, event->rank);
    } else if (event->message == FARM_RECALL) {
        while (worker->num_leases > (worker->in_step ? 1 : 0)) {
            const int last = --worker->num_leases;
            say(w, event->at_s, event->rank,
                (struct event){.message = FARM_RETURNED,
                               .job = worker->leases[last].state.job});
        }
        if (worker->in_step)
            worker->leases[0].give_back = true;
    } else {
        say(w, event->at_s, event->rank, (struct event){.message = FARM_BYE});
    }
}

/* ---- Rank 0's link ---- */

static int link_send(void *self, int to, const struct farm_message *message,
                     struct vidur_error *err)
{
    struct world *w = self;
    struct event event = {.kind = AT_WORKER,
                          .rank = to,
                          .message = message->kind,
                          .job = message->job,
                          .count = message->count};
    (void)err;
    w->now_s += w->model->message_s;
    w->busy_s += w->model->message_s;
    event.at_s = w->now_s + w->model->latency_s;
    if (message->kind == FARM_LEASE)
        memcpy(&event.state, message->body, sizeof event.state);
    push(w, event);
    return 0;
}

/* Lets the workers go on until something reaches rank 0; false: nothing ever will. */
static bool wait_for_message(struct world *w)
{
    while (w->count > 0 && w->heap[0].kind != AT_LEADER) {
        const struct event event = pop(w);
        if (event.kind == STEP_ENDS)
            end_step(w, event.at_s, event.rank);
        else
            hear(w, &event);
    }
    return w->count > 0;
}

/* The message as it would have come, at what it costs. */
static void deliver(struct world *w, const struct event *event,
                    struct farm_message *message)
{
    static const unsigned char result[RESULT_BYTES];
    const int count = event->results ? event->results->count : 0;
    const double cost_s = w->model->message_s + count * w->model->result_s;
    w->now_s += cost_s;
    w->busy_s += cost_s;
    message->kind = event->message;
    message->job = event->job;
    message->count = 0;
    message->seconds = 0;
    message->body_bytes = 0;
    for (int i = 0; i < count; i++) {
        const struct farm_result_head head = {.job = event->results->steps[i].job,
                                              .step = event->results->steps[i].step,
                                              .bytes = RESULT_BYTES};
        farm_results_add(message, &head, result);
    }
    free(event->results);
}

static int link_receive(void *self, struct farm_message *message, int *from,
                        struct vidur_error *err)
{
    struct world *w = self;
    (void)err;
    if (!wait_for_message(w))
        return 0;
    /* Nothing now: rank 0 does its other chores once, then time passes. */
    if (w->heap[0].at_s > w->now_s && w->delivered) {
        w->delivered = false;
        return 0;
    }
    const struct event event = pop(w);
    if (event.at_s > w->now_s)
        w->now_s = event.at_s;
    w->delivered = true;
    *from = event.rank;
    deliver(w, &event, message);
    return 1;
}

/* ---- The table ---- */

static int simulate(struct model *model, int ranks, int chain)
{
    static const struct vidur_farm_ops ops = {.state_bytes = sizeof(struct job_state),
                                              .result_bytes = RESULT_BYTES,
                                              .next = next,
                                              .tell = tell,
                                              .run = run,
                                              .start = start,
                                              .record = record,
                                              .finish = finish};
    volatile int stop = 0;
    struct world world = {.model = model};
    const int64_t num_jobs = (int64_t)JOBS_PER_RANK * ranks;
    struct vidur_farm_job *jobs = calloc((size_t)num_jobs, sizeof *jobs);
    world.workers = calloc((size_t)ranks, sizeof *world.workers);
    if (!jobs || !world.workers)
        return -1;
    for (int64_t i = num_jobs - 1; i >= 0; i--) {
        jobs[i].after = i % chain ? i - 1 : -1;
        const struct sample *sample = sample_of(model, i);
        for (int step = 0; step < sample->num_steps; step++)
            jobs[i].weight += sample->seconds[step];
        if (jobs[i].after >= 0)
            jobs[i - 1].weight += jobs[i].weight;
    }
    const struct vidur_farm farm = {.ops = &ops,
                                    .context = model,
                                    .jobs = jobs,
                                    .num_jobs = num_jobs,
                                    .stop = &stop};
    const struct farm_link link = {0, ranks, &world, link_send, link_receive};
    struct vidur_farm_stats stats;
    struct vidur_error err = {0};
    model->work_s = 0;
    const int rc = farm_lead(&farm, &link, &stats, &err);
    printf("%8d %6d %10lld %11.1f %11.1f %12.1f %13.1f\n", ranks, chain,
           (long long)num_jobs, model->work_s / ranks, world.now_s,
           100 * model->work_s / (ranks * world.now_s),
           100 * world.busy_s / world.now_s);
    fflush(stdout);
    if (rc != 0)
        fprintf(stderr, "farm_scale: %s\n", err.text);
    free(jobs);
    free(world.workers);
    free(world.heap);
    return rc;
}

static int read_samples(struct model *model, const char *path, struct vidur_error *err)
{
    struct vidur_results results = {0};
    if (vidur_results_read(path, &results, err) != 0)
        return -1;
    model->samples = calloc((size_t)results.num_probes + 1, sizeof *model->samples);
    const char *last = "";
    for (int64_t i = 0; model->samples && i < results.num_probes; i++) {
        const struct vidur_probe_row *row = &results.probes[i];
        if (strcmp(row->candidate_id, last) != 0)
            model->num_samples++;
        last = row->candidate_id;
        struct sample *sample = &model->samples[model->num_samples - 1];
        if (row->wall_s > 0 && sample->num_steps < MAX_STEPS)
            sample->seconds[sample->num_steps++] = (float)row->wall_s;
    }
    vidur_results_destroy(&results);
    if (!model->samples || model->num_samples == 0)
        return vidur_fail(err, VIDUR_EINVAL, "%s: no probes to take times from", path);
    return 0;
}

int main(int argc, char **argv)
{
    static const int ranks[] = {100, 1000, 10000, 100000};
    struct model model = {.message_s = 0.7e-6, .result_s = 1.1e-6, .latency_s = 5e-6};
    struct vidur_error err = {0};
    if (argc < 2 || read_samples(&model, argv[1], &err) != 0) {
        fprintf(stderr, "farm_scale: %s\n",
                argc < 2
                    ? "usage: farm_scale RESULTS.h5 [MESSAGE_US RESULT_US LATENCY_US]"
                    : err.text);
        return 1;
    }
    if (argc > 2)
        model.message_s = 1e-6 * atof(argv[2]);
    if (argc > 3)
        model.result_s = 1e-6 * atof(argv[3]);
    if (argc > 4)
        model.latency_s = 1e-6 * atof(argv[4]);
    printf("%8s %6s %10s %11s %11s %12s %13s\n", "ranks", "chain", "jobs", "s per rank",
           "makespan s", "efficiency %", "rank 0 busy %");
    for (int chain = 1; chain <= 5; chain += 4)
        for (int i = 0; i < 4; i++)
            if (simulate(&model, ranks[i], chain) != 0)
                return 2;
    free(model.samples);
    return 0;
}
