#include "study/study_parts.h"

#include <math.h>

/*
 * Two pools behind one router that are to carry a target: which pairs of counts are
 * simulated. The first seed finds the cheapest pair (pair_search.h). Another seed
 * begins with that pair and, where it fails there, adds one replica after the other: of
 * the pool whose replica costs less while the limits allow, then of the other. So the
 * pairs of all seeds stand in a line, and the largest of them holds with every seed.
 */

bool study_is_for_pair(const struct study *study, int64_t candidate)
{
    return study->config->target.qps > 0 &&
           vidur_candidate_is_mixed(&study->space->candidates[candidate]);
}

bool study_seeks_pair(const struct study *study, const struct study_state *s)
{
    return s->candidate >= 0 && s->replication == 0 &&
           study_is_for_pair(study, s->candidate);
}

/* ---- What pairs cost ---- */

struct cost_of {
    const struct vidur_space *space;
    int64_t candidate;
};

/* As the ranking compares them: what is added first. Where a device has no price all
 * GPUs cost the same. */
static struct pair_cost cost(const void *context, struct vidur_pool_counts counts)
{
    const struct cost_of *of = context;
    const struct vidur_candidate *c = &of->space->candidates[of->candidate];
    const struct vidur_added added =
        vidur_space_added(of->space, of->candidate, counts);
    const int clusters[] = {c->cluster, c->second.cluster};
    const int gpus[] = {counts.first * vidur_candidate_devices(c),
                        counts.second * vidur_candidate_second_devices(c)};
    int64_t micro_usd[2]; /* an hour; integers, so that no rounding tells pairs apart */
    for (int i = 0; i < 2; i++) {
        const double usd = of->space->config->clusters[clusters[i]].usd_per_gpu_hour;
        micro_usd[i] = isnan(usd) ? -1 : (int64_t)llround(usd * 1e6);
    }
    if (micro_usd[0] < 0 || micro_usd[1] < 0)
        micro_usd[0] = micro_usd[1] = 0;
    return (struct pair_cost){
        {added.gpus[0] * micro_usd[0] + added.gpus[1] * micro_usd[1],
         added.gpus[0] + added.gpus[1], gpus[0] * micro_usd[0] + gpus[1] * micro_usd[1],
         gpus[0] + gpus[1], counts.first}};
}

/* The most GPUs of a pool: the largest of its num_gpus, or as many as all may be. */
static int most_gpus(const struct vidur_search_config *config, int pool)
{
    const struct vidur_search_mixed_pool *p = &config->mixed.pools[pool];
    int most = p->num_num_gpus > 0 ? 0 : config->target.max_gpus;
    for (int i = 0; i < p->num_num_gpus; i++)
        most = p->num_gpus[i] > most ? p->num_gpus[i] : most;
    return most;
}

/* `of` lives as long as what is made. */
static struct pair_space pairs_of(const struct study *study,
                                  const struct study_state *s, struct cost_of *of)
{
    const struct vidur_search_config *config = study->config;
    const struct vidur_candidate *c = &study->space->candidates[s->candidate];
    struct pair_space pairs = {
        .target_qps = config->target.qps,
        .devices = {vidur_candidate_devices(c), vidur_candidate_second_devices(c)},
        .max_devices = config->target.max_gpus,
        .granularity = config->search.granularity,
        .max_probes = config->search.max_iterations,
        .cost = cost,
        .context = of};
    *of = (struct cost_of){study->space, s->candidate};
    for (int i = 0; i < 2; i++) {
        pairs.carried_qps[i] = s->weights[i];
        pairs.saturated_qps[i] = s->saturated_qps[i];
        pairs.most[i] = most_gpus(config, i) / pairs.devices[i];
    }
    return pairs;
}

/* ---- The first seed ---- */

void study_begin_pair(struct study_state *s)
{
    s->pairs = (struct pair_search){.from = s->from};
    s->anchored = true;
}

bool study_next_pair(const struct study *study, const struct study_state *s,
                     struct vidur_pool_counts *next)
{
    struct cost_of of;
    const struct pair_space pairs = pairs_of(study, s, &of);
    return pair_search_next(&pairs, &s->pairs, next);
}

uint64_t study_name_pair(const struct study_state *s, struct vidur_pool_counts counts)
{
    return UINT64_C(1) << 63 | (uint64_t)s->growths << 40 |
           (uint64_t)counts.first << 20 | (uint64_t)counts.second;
}

void study_tell_pair(const struct study *study, struct study_state *s, bool held)
{
    struct cost_of of;
    const struct pair_space pairs = pairs_of(study, s, &of);
    pair_search_tell(&pairs, &s->pairs, held);
    s->best = s->pairs.best;
}

bool study_pair_goes_on(const struct study *study, struct study_state *s)
{
    struct vidur_pool_counts next;
    pair_search_go_on(&s->pairs);
    s->exhausted = s->pairs.exhausted;
    s->unreachable = !s->exhausted && s->best.first == 0;
    return study_next_pair(study, s, &next);
}

double study_expected(const struct study *study, const struct study_state *s,
                      struct vidur_pool_counts counts)
{
    struct cost_of of;
    const struct pair_space pairs = pairs_of(study, s, &of);
    return pair_search_expected(&pairs, counts);
}

/* ---- Other seeds ---- */

/* A line of pairs, from the first seed's: `fine` is the pool that grows first. */
struct line {
    int fine;
    int most[2];
    int length;
};

static struct line line_of(const struct study *study, const struct study_state *s)
{
    struct cost_of of;
    const struct pair_space p = pairs_of(study, s, &of);
    const struct vidur_pool_counts from = s->from;
    const int begin[] = {from.first, from.second};
    struct line line = {0};
    const struct vidur_pool_counts one = {from.first + 1, from.second};
    const struct vidur_pool_counts other = {from.first, from.second + 1};
    line.fine = pair_search_is_cheaper(&p, other, one);
    const int fine = line.fine, coarse = 1 - fine;
    const int free_devices = p.max_devices - begin[coarse] * p.devices[coarse];
    const int fit = free_devices / p.devices[fine];
    line.most[fine] = fit < p.most[fine] ? fit : p.most[fine];
    const int left_devices = p.max_devices - line.most[fine] * p.devices[fine];
    const int fit_beside = left_devices / p.devices[coarse];
    line.most[coarse] = fit_beside < p.most[coarse] ? fit_beside : p.most[coarse];
    line.length = 1;
    for (int i = 0; i < 2; i++)
        line.length += line.most[i] > begin[i] ? line.most[i] - begin[i] : 0;
    return line;
}

int study_line_length(const struct study *study, const struct study_state *s)
{
    return line_of(study, s).length;
}

struct vidur_pool_counts study_line_at(const struct study *study,
                                       const struct study_state *s, int place)
{
    const struct line line = line_of(study, s);
    int at[] = {s->from.first, s->from.second};
    const int room = line.most[line.fine] - at[line.fine];
    const int more = place - 1 < room ? place - 1 : room;
    at[line.fine] += more;
    at[1 - line.fine] += place - 1 - more;
    return (struct vidur_pool_counts){at[0], at[1]};
}
