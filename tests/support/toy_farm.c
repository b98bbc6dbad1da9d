#include "toy_farm.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct toy_state {
    int64_t job, low, high; /* the target is in [low, high) */
    int64_t resumed;
};

struct toy_result {
    int64_t step;
    int64_t below; /* the target is below the step */
    char padding[700];
};

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

int64_t toy_target(int64_t job)
{
    return (int64_t)(mix((uint64_t)job) % 1000);
}

static bool toy_next(void *context, const void *state, uint64_t *step)
{
    const struct toy_state *s = state;
    (void)context;
    if (s->high - s->low <= 1 + (s->job % 5) * 20) /* paths of different lengths */
        return false;
    *step = (uint64_t)(s->low + (s->high - s->low) / 2);
    return true;
}

static void toy_tell(void *context, void *state, const void *result)
{
    struct toy_state *s = state;
    const struct toy_result *r = result;
    (void)context;
    if (r->below)
        s->high = r->step;
    else
        s->low = r->step;
}

static bool toy_suppose(void *context, const void *state, int which, void *after)
{
    struct toy_result r = {.below = which};
    uint64_t step;
    if (which > 1 || !toy_next(context, state, &step))
        return false;
    r.step = (int64_t)step;
    memcpy(after, state, sizeof(struct toy_state));
    toy_tell(context, after, &r);
    return true;
}

static void work(const struct toy *toy, int64_t job, uint64_t step,
                 const struct vidur_farm_pulse *pulse)
{
    if (toy->mean_step_us == 0)
        return;
    long us =
        (long)(mix((uint64_t)job * 4096 + step) % (2u * (unsigned)toy->mean_step_us));
    while (us > 0 && !*pulse->stop) {
        const long slice = us > 500 ? 500 : us;
        const struct timespec time = {.tv_nsec = slice * 1000};
        nanosleep(&time, NULL);
        us -= slice;
        pulse->beat(pulse->self);
    }
}

/* What a running step adds: one, and where its job runs alone the job's number, from 1,
 * above 16 bits. */
static unsigned long long entry_of(const struct toy *toy, int64_t job)
{
    return 1 + (toy->jobs[job].alone ? (unsigned long long)(job + 1) << 16 : 0);
}

/* Of two steps that overlap, the one that enters later sees the other. */
static void enter(struct toy *toy, int64_t job)
{
    const unsigned long long mine = entry_of(toy, job);
    const unsigned long long all = atomic_fetch_add(&toy->running, mine) + mine;
    if (all != (all & 0xffff) * mine) /* some of another kind */
        atomic_fetch_add(&toy->beside, 1);
}

static void leave(struct toy *toy, int64_t job)
{
    atomic_fetch_sub(&toy->running, entry_of(toy, job));
}

static int toy_run(void *context, const struct vidur_farm_step *at,
                   const struct vidur_farm_pulse *pulse, void *result,
                   struct vidur_error *err)
{
    const int64_t job = at->job;
    const uint64_t step = at->step;
    struct toy *toy = context;
    struct toy_result *r = result;
    if (job == toy->stop_at_job)
        toy->stop = 1;
    if (job == toy->die_at_job && step != 512)
        kill(getpid(), SIGKILL);
    enter(toy, job);
    work(toy, job, step, pulse);
    leave(toy, job);
    if (*pulse->stop)
        return vidur_fail(err, VIDUR_EINTR, "told to stop");
    if (job == toy->failing_job && step != 512 && step != 256 && step != 768)
        return vidur_fail(err, VIDUR_EINVAL, "the toy broke");
    r->step = (int64_t)step;
    r->below = toy_target(job) < (int64_t)step;
    return 0;
}

/* Does the job wait, however indirectly, for one that runs alone? */
static bool waits_for_alone(const struct toy *toy, int64_t job)
{
    for (job = toy->jobs[job].after; job >= 0; job = toy->jobs[job].after)
        if (toy->jobs[job].alone && !toy->records[job].finished)
            return true;
    return false;
}

static void note_start(struct toy *toy, int64_t job)
{
    const bool alone = toy->jobs[job].alone;
    toy->not_alone += toy->alone >= 0 || (alone && toy->in_flight > 0);
    toy->in_flight++;
    if (!alone)
        return;
    toy->alone = job;
    for (int64_t i = 0; i < toy->num_jobs; i++)
        toy->too_early += !toy->jobs[i].alone && !toy->records[i].finished &&
                          !waits_for_alone(toy, i);
}

static int toy_start(void *context, int64_t job, void *state, struct vidur_error *err)
{
    struct toy *toy = context;
    struct toy_state *s = state;
    const int64_t after = toy->jobs[job].after;
    if (after >= 0 && !toy->records[after].finished)
        return vidur_fail(err, VIDUR_EINVAL, "started before its predecessor's end");
    *s = (struct toy_state){.job = job, .high = 1024};
    if (job < toy->resumed_below) {
        s->low = toy_target(job);
        s->high = s->low + 1;
        s->resumed = 1;
    }
    note_start(toy, job);
    return 0;
}

static int toy_lease(void *context, int64_t job, struct vidur_error *err)
{
    struct toy *toy = context;
    (void)job, (void)err;
    toy->num_leases++;
    return 0;
}

static int toy_record_step(void *context, int64_t job, const void *state,
                           const void *result, struct vidur_error *err)
{
    struct toy *toy = context;
    struct toy_record *record = &toy->records[job];
    uint64_t step;
    if (!toy_next(context, state, &step) ||
        ((const struct toy_result *)result)->step != (int64_t)step)
        return vidur_fail(err, VIDUR_EINVAL, "a result that the path does not ask for");
    if (record->num_steps < TOY_MAX_STEPS)
        record->steps[record->num_steps++] = step;
    toy->num_records++;
    if (toy->num_records == toy->stop_after)
        toy->stop = 1;
    if (toy->num_records == toy->break_after)
        return vidur_fail(err, VIDUR_EIO, "no space left on the toy");
    return 0;
}

static int toy_finish(void *context, int64_t job, const void *state,
                      const struct vidur_error *failure, struct vidur_error *err)
{
    struct toy *toy = context;
    const struct toy_state *s = state;
    (void)err;
    toy->in_flight--;
    if (toy->alone == job)
        toy->alone = -1;
    toy->records[job].finished++;
    toy->records[job].failed = failure != NULL;
    toy->records[job].answer = s->low;
    toy->records[job].order = toy->num_finished++;
    return 0;
}

static int toy_lost(void *context, int64_t job, struct vidur_error *err)
{
    struct toy *toy = context;
    (void)err;
    toy->lost[toy->num_lost++] = job;
    return 0;
}

static int toy_commit(void *context, struct vidur_error *err)
{
    struct toy *toy = context;
    (void)err;
    toy->num_commits++;
    return 0;
}

void toy_init(struct toy *toy, int64_t num_jobs, int64_t chain, int mean_step_us)
{
    memset(toy, 0, sizeof *toy);
    toy->num_jobs = num_jobs;
    toy->mean_step_us = mean_step_us;
    toy->failing_job = toy->die_at_job = toy->stop_at_job = toy->alone = -1;
    for (int64_t i = 0; i < num_jobs; i++) {
        toy->jobs[i].after = i % chain == 0 ? -1 : i - 1;
        toy->jobs[i].weight = (double)(mix((uint64_t)i + 77) % 8);
    }
}

struct vidur_farm toy_farm(struct toy *toy)
{
    static const struct vidur_farm_ops ops = {.state_bytes = sizeof(struct toy_state),
                                              .result_bytes = sizeof(struct toy_result),
                                              .next = toy_next,
                                              .tell = toy_tell,
                                              .suppose = toy_suppose,
                                              .run = toy_run,
                                              .start = toy_start,
                                              .lease = toy_lease,
                                              .record = toy_record_step,
                                              .finish = toy_finish,
                                              .lost = toy_lost,
                                              .commit = toy_commit};
    return (struct vidur_farm){.ops = &ops,
                               .context = toy,
                               .jobs = toy->jobs,
                               .num_jobs = toy->num_jobs,
                               .max_working_ranks = 4,
                               .speculate = true,
                               .stop = &toy->stop};
}

static bool is_right(const struct toy *toy, int64_t job)
{
    const struct toy_record *record = &toy->records[job];
    struct toy_state s = {.job = job, .high = 1024};
    uint64_t step;
    int at = 0;
    if (record->finished != 1)
        return false;
    if (job < toy->resumed_below)
        return record->num_steps == 0 && record->answer == toy_target(job);
    while (toy_next(NULL, &s, &step)) {
        if (record->failed && at == record->num_steps)
            return job == toy->failing_job;
        if (at >= record->num_steps || record->steps[at++] != step)
            return false;
        const struct toy_result r = {.step = (int64_t)step,
                                     .below = toy_target(job) < (int64_t)step};
        toy_tell(NULL, &s, &r);
    }
    return at == record->num_steps && record->answer == s.low && !record->failed;
}

int64_t toy_count_wrong(const struct toy *toy)
{
    int64_t wrong = 0;
    for (int64_t job = 0; job < toy->num_jobs; job++)
        wrong += !is_right(toy, job);
    return wrong;
}

int64_t toy_count_beside(const struct toy *toy)
{
    return toy->not_alone + toy->too_early + toy->beside;
}
