#include "study/study_parts.h"

#include <math.h>

/*
 * Which replicas a probe of a target has. One pool: the search's number of them. Two
 * pools of role `all`: study_mixed.c. A pool that prefills and one that decodes: first
 * along a staircase of both counts, in the proportion that an estimate gives; from the
 * answer then one replica after the other of the pool that prefills is left out, and of
 * the one that decodes: the answer is a pair of which neither can spare a replica.
 */

static const struct vidur_candidate *candidate_of(const struct study *study,
                                                  const struct study_state *s)
{
    return &study->space->candidates[s->candidate];
}

/* The step-th stair: 1 of each, then one more of the pool that is behind (of both where
 * they are level). */
static struct vidur_pool_counts stair(const double needed[2], int step)
{
    struct vidur_pool_counts at = {1, 1};
    for (int i = 1; i < step; i++) {
        const double first = at.first * needed[1], second = at.second * needed[0];
        at.first += first <= second;
        at.second += second <= first;
    }
    return at;
}

/* The last stair within the devices that are allowed. */
static int last_stair(const struct study *study, const struct study_state *s)
{
    const struct vidur_candidate *c = candidate_of(study, s);
    struct vidur_pool_counts at = {1, 1};
    int step = 1;
    for (;; step++) { /* as stair() */
        const double first = at.first * s->needed[1], second = at.second * s->needed[0];
        at.first += first <= second;
        at.second += second <= first;
        if (vidur_candidate_gpus(c, at) > study->config->target.max_gpus)
            return step;
    }
}

/* The first stair that has so many of both. */
static int stair_of(const double needed[2], double first, double second, int last)
{
    struct vidur_pool_counts at = {1, 1};
    int step = 1;
    for (; step < last && (at.first < first || at.second < second); step++) {
        const double a = at.first * needed[1], b = at.second * needed[0];
        at.first += a <= b;
        at.second += b <= a;
    }
    return step;
}

/* Where the staircase begins: at the answer before, else where the saturated rate of
 * one replica of each says. */
static int first_stair(const struct study *study, const struct study_state *s, int last)
{
    const double target_qps = study->config->target.qps;
    if (s->from.first > 0)
        return stair_of(s->needed, s->from.first, s->from.second, last);
    /* the slower of one of each sets the rate */
    const double slower = fmax(s->needed[0], s->needed[1]);
    const double load = target_qps / s->bound_qps / slower * (1 - 1e-9);
    return stair_of(s->needed, ceil(load * s->needed[0]), ceil(load * s->needed[1]),
                    last);
}

struct vidur_pool_counts study_target_counts(const struct study *study,
                                             const struct study_state *s)
{
    const struct vidur_candidate *c = candidate_of(study, s);
    const int replicas = vidur_capacity_replicas(&s->capacity);
    if (!(study->config->target.qps > 0))
        return vidur_candidate_counts(c);
    if (!vidur_candidate_is_fleet(c))
        return (struct vidur_pool_counts){replicas, 0};
    if (study_seeks_pair(study, s)) {
        struct vidur_pool_counts next = {0, 0};
        study_next_pair(study, s, &next);
        return next;
    }
    if (vidur_candidate_is_mixed(c))
        return study_line_at(study, s, replicas);
    switch (s->phase) {
    case STUDY_FEWER_FIRST:
        return (struct vidur_pool_counts){replicas, s->best.second};
    case STUDY_FEWER_SECOND:
        return (struct vidur_pool_counts){s->best.first, replicas};
    default:
        return stair(s->needed, replicas);
    }
}

void study_aim_pools(const struct study *study, const struct study_state *s,
                     struct vidur_capacity_options *options)
{
    const struct vidur_candidate *c = candidate_of(study, s);
    if (vidur_candidate_is_mixed(c)) {
        options->max_replicas = study_line_length(study, s);
        options->start_replicas = 1;
    } else if (s->phase == STUDY_BOTH) {
        options->max_replicas = last_stair(study, s);
        options->start_replicas = first_stair(study, s, options->max_replicas);
    } else {
        const int now = s->phase == STUDY_FEWER_FIRST ? s->best.first : s->best.second;
        options->max_replicas = options->start_replicas = now - 1;
    }
}

/* Whether the staircase has shown already that a pool can spare no replica. */
static bool is_known(const struct study_state *s, enum study_phase phase)
{
    const bool first = phase == STUDY_FEWER_FIRST;
    return s->failed.first == s->best.first - first &&
           s->failed.second == s->best.second - !first;
}

/* The next count that may come out smaller; false: there is none. */
static bool next_phase(const struct vidur_candidate *c, struct study_state *s)
{
    if (!vidur_candidate_is_fleet(c) || vidur_candidate_is_mixed(c) ||
        s->best.first == 0)
        return false;
    if (s->phase == STUDY_BOTH)
        s->failed = s->capacity.has_fail ? stair(s->needed, -s->capacity.fail_point)
                                         : (struct vidur_pool_counts){0, 0};
    while (s->phase < STUDY_FEWER_SECOND) {
        const enum study_phase phase = (enum study_phase)++ s->phase;
        const int now = phase == STUDY_FEWER_FIRST ? s->best.first : s->best.second;
        if (now > 1 && !is_known(s, phase))
            return true;
    }
    return false;
}

bool study_target_goes_on(const struct study *study, struct study_state *s)
{
    struct vidur_capacity_answer answer;
    if (!(study->config->target.qps > 0))
        return false;
    vidur_capacity_answer(&s->capacity, &answer);
    s->exhausted |= answer.exhausted;
    s->unreachable |= answer.unreachable && s->phase == STUDY_BOTH;
    if (!next_phase(candidate_of(study, s), s))
        return false;
    study_begin_capacity(study, s);
    return s->anchored;
}

double study_load_of(const struct study *study, int64_t candidate,
                     struct vidur_pool_counts counts)
{
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const int parts =
        vidur_candidate_is_fleet(c) ? vidur_candidate_gpus(c, counts) : counts.first;
    return study->config->target.qps / (double)parts;
}

struct vidur_pool_counts study_counts(const struct vidur_probe_row *row)
{
    return row->second_replicas > 0
               ? (struct vidur_pool_counts){(int)row->first_replicas,
                                            (int)row->second_replicas}
               : (struct vidur_pool_counts){(int)row->num_replicas, 0};
}

void study_answer(const struct study *study, const struct study_state *s,
                  struct vidur_capacity_answer *answer)
{
    const bool fleet =
        s->candidate >= 0 && vidur_candidate_is_fleet(candidate_of(study, s));
    vidur_capacity_answer(&s->capacity, answer);
    if (!fleet)
        return;
    if (s->hopeless)
        answer->unreachable = true;
    if (!(study->config->target.qps > 0))
        return;
    answer->found = s->best.first > 0;
    answer->unreachable = s->unreachable || s->hopeless;
    answer->exhausted = s->exhausted;
    answer->max_qps = answer->found ? study_load_of(study, s->candidate, s->best) : NAN;
}
