#include "farm/farm_link.h"

#include "base/progress.h"

#include <string.h>

/* How much longer than rank 0 waits a rank that was told to stop by a signal waits for
 * rank 0's word. */
static const double more_patience_s = 0.2;

/* How long results may wait for others to travel with. */
static const double result_patience_s = 0.05;

struct lease {
    int64_t job;
    int64_t steps_left;
    bool give_back; /* after the running step, if the path goes on */
    alignas(max_align_t) unsigned char state[VIDUR_FARM_MAX_STATE_BYTES];
};

struct worker {
    const struct vidur_farm *farm;
    const struct farm_link *link;
    struct lease leases[FARM_MAX_HELD]; /* the first is being worked on */
    int num_leases;
    int most_leases; /* ever held at once */
    bool in_step;
    bool ended; /* FARM_STOP came */
    int end_code;
    bool said_stopped;
    int rc; /* -1: the link failed, see error */
    struct vidur_error *error;
    struct farm_message results; /* not sent yet */
    double flushed_s;
    struct farm_message message;
    int64_t steps;
    double busy_s;
};

static void send(struct worker *w, struct farm_message *message,
                 enum farm_message_kind kind)
{
    message->kind = kind;
    if (w->link->send(w->link->self, 0, message, w->error) != 0)
        w->rc = -1;
}

static void flush(struct worker *w)
{
    w->flushed_s = vidur_monotonic_s();
    if (w->results.count == 0)
        return;
    send(w, &w->results, FARM_RESULTS);
    w->results.count = 0;
    w->results.body_bytes = 0;
}

/* Results always go ahead of what is said after them. */
static void say(struct worker *w, enum farm_message_kind kind, int64_t job)
{
    flush(w);
    w->message.job = job;
    w->message.body_bytes = 0;
    send(w, &w->message, kind);
}

static void say_result(struct worker *w, const struct farm_result_head *head,
                       const void *result)
{
    if (!farm_results_add(&w->results, head, result)) {
        flush(w);
        farm_results_add(&w->results, head, result);
    }
}

static void drop_lease(struct worker *w, int index)
{
    w->num_leases--;
    memmove(&w->leases[index], &w->leases[index + 1],
            (size_t)(w->num_leases - index) * sizeof w->leases[0]);
}

static void on_recall(struct worker *w)
{
    while (w->num_leases > (w->in_step ? 1 : 0)) {
        say(w, FARM_RETURNED, w->leases[w->num_leases - 1].job);
        drop_lease(w, w->num_leases - 1);
    }
    if (w->in_step)
        w->leases[0].give_back = true;
}

static void on_lease(struct worker *w, const struct farm_message *message)
{
    struct lease *lease = &w->leases[w->num_leases];
    if (w->num_leases == FARM_MAX_HELD)
        return; /* rank 0 never sends more */
    lease->job = message->job;
    lease->steps_left = message->count;
    lease->give_back = false;
    memcpy(lease->state, message->body, (size_t)message->body_bytes);
    w->num_leases++;
    if (w->num_leases > w->most_leases)
        w->most_leases = w->num_leases;
}

static void listen(struct worker *w)
{
    struct farm_message message;
    int from, got;
    while (w->rc == 0 && !w->ended &&
           (got = w->link->receive(w->link->self, &message, &from, w->error)) != 0) {
        if (got < 0) {
            w->rc = -1;
        } else if (message.kind == FARM_LEASE) {
            on_lease(w, &message);
        } else if (message.kind == FARM_RECALL) {
            on_recall(w);
        } else if (message.kind == FARM_STOP) {
            w->ended = true;
            w->end_code = message.code;
            *w->farm->stop = 1; /* ends a running step */
        }
    }
}

static void beat(void *self)
{
    struct worker *w = self;
    listen(w);
    if (vidur_monotonic_s() - w->flushed_s > result_patience_s)
        flush(w);
}

/* After a step: is the first lease at its end, or wanted back? Results travel at once
 * when rank 0 waits for them, or when there is little left to do here. */
static void settle(struct worker *w, bool failed)
{
    struct lease *lease = &w->leases[0];
    uint64_t step;
    const bool single = lease->steps_left == 1;
    const bool at_end = failed || --lease->steps_left <= 0 ||
                        !w->farm->ops->next(w->farm->context, lease->state, &step);
    if (!at_end && lease->give_back)
        say(w, FARM_RETURNED, lease->job);
    if (at_end || lease->give_back)
        drop_lease(w, 0);
    const bool little_left = at_end && 2 * w->num_leases <= w->most_leases;
    if (single || little_left || vidur_monotonic_s() - w->flushed_s > result_patience_s)
        flush(w);
}

static void run_step(struct worker *w)
{
    const struct vidur_farm_ops *ops = w->farm->ops;
    void *context = w->farm->context;
    struct lease *lease = &w->leases[0];
    const struct vidur_farm_pulse pulse = {beat, w, w->farm->stop};
    alignas(max_align_t) unsigned char result[VIDUR_FARM_MAX_RESULT_BYTES] = {0};
    struct vidur_error failure = {0};
    uint64_t step;

    if (!ops->next(context, lease->state, &step)) {
        drop_lease(w, 0);
        return;
    }
    const struct vidur_farm_step at = {lease->job, step, lease->state};
    const double begin_s = vidur_monotonic_s();
    w->in_step = true;
    const int rc = ops->run(context, &at, &pulse, result, &failure);
    w->in_step = false;
    w->busy_s += vidur_monotonic_s() - begin_s;
    w->steps++;
    if (rc != 0 && failure.code == VIDUR_EINTR)
        return; /* *stop is set: the loop sees to it */
    const struct farm_result_head head = {
        .job = lease->job,
        .step = step,
        .failed = rc != 0,
        .bytes = (uint32_t)(rc == 0 ? ops->result_bytes : sizeof failure)};
    say_result(w, &head, rc == 0 ? (const void *)result : &failure);
    if (rc == 0)
        ops->tell(context, lease->state, result);
    settle(w, rc != 0);
}

/* A signal came to this rank: tells rank 0 once, waits for its word, not for ever. */
static bool wait_for_stop(struct worker *w, double *since_s)
{
    if (!w->said_stopped) {
        w->said_stopped = true;
        *since_s = vidur_monotonic_s();
        say(w, FARM_STOPPED, -1);
    }
    return vidur_monotonic_s() - *since_s <
           farm_stop_patience_s(w->farm) + more_patience_s;
}

static int end(struct worker *w)
{
    if (w->rc != 0)
        return -1;
    if (!w->ended)
        return vidur_fail(w->error, VIDUR_EINTR, "stopped on request");
    w->message.count = w->steps;
    w->message.seconds = w->busy_s;
    say(w, FARM_BYE, -1);
    if (w->rc != 0 || w->end_code == 0)
        return w->rc;
    return vidur_fail(w->error, (enum vidur_error_code)w->end_code,
                      "rank 0 stopped the search");
}

int farm_work(const struct vidur_farm *farm, const struct farm_link *link,
              struct vidur_error *err)
{
    struct worker worker = {.farm = farm, .link = link, .error = err};
    worker.flushed_s = vidur_monotonic_s();
    double stopped_since_s = 0;
    int naps = 0;
    while (worker.rc == 0 && !worker.ended) {
        listen(&worker);
        if (worker.ended || worker.rc != 0)
            break;
        if (*farm->stop && !wait_for_stop(&worker, &stopped_since_s))
            break;
        if (worker.num_leases > 0 && !*farm->stop) {
            run_step(&worker);
            naps = 0;
        } else {
            farm_nap(&naps);
        }
    }
    return end(&worker);
}
