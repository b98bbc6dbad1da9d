#include "study/pair_search.h"

#include <math.h>
#include <string.h>

/* How many times max_probes a thorough search has in all. */
enum { THOROUGH_PARTS = 3 };

/* After so many steps, each twice the one before, all pairs are behind. */
enum { MOST_STEPS = 20 };

/* A replica that works on requests which are all there from the start ends with a batch
 * that runs empty: it can do this much more. */
static const double saturated_slack = 1.25;

/* What a cheaper pair saves that is looked for among many; and what those that stand
 * for it save, as a part of that. */
static const double resolution = 0.05, part_of_cover = 0.25;

/* Rounding must not ask for a replica more. */
static const double nearly_one = 1 - 1e-9;

/* ---- What pairs come to ---- */

double pair_search_expected(const struct pair_space *space,
                            struct vidur_pool_counts counts)
{
    return (counts.first * space->carried_qps[0] +
            counts.second * space->carried_qps[1]) /
           space->target_qps;
}

static bool is_hopeless(const struct pair_space *space, struct vidur_pool_counts counts)
{
    const int of[] = {counts.first, counts.second};
    double most_qps = 0;
    for (int i = 0; i < 2; i++)
        most_qps += of[i] * fmax(saturated_slack * space->saturated_qps[i],
                                 space->carried_qps[i]);
    return most_qps < space->target_qps;
}

bool pair_search_is_cheaper(const struct pair_space *space, struct vidur_pool_counts a,
                            struct vidur_pool_counts b)
{
    const struct pair_cost x = space->cost(space->context, a);
    const struct pair_cost y = space->cost(space->context, b);
    for (int i = 0; i < PAIR_COST_PARTS; i++)
        if (x.parts[i] != y.parts[i])
            return x.parts[i] < y.parts[i];
    return false;
}

/* Whether a pair is cheaper than the best by this share of its first part that is not
 * 0: where a pair is, so are those of fewer replicas. */
static bool saves(const struct pair_space *space, const struct pair_search *search,
                  struct vidur_pool_counts at, double share)
{
    const struct pair_cost x = space->cost(space->context, at);
    const struct pair_cost y = space->cost(space->context, search->best);
    if (!(share > 0))
        return pair_search_is_cheaper(space, at, search->best);
    int i = 0;
    while (i < PAIR_COST_PARTS - 1 && y.parts[i] == 0 && x.parts[i] == 0)
        i++;
    return (double)x.parts[i] <= (1 - share) * (double)y.parts[i];
}

/* ---- Pairs that may be tried: not ruled out, within the limits, cheaper than the best
 * ---- */

static int most_first(const struct pair_space *space)
{
    const int fit = (space->max_devices - space->devices[1]) / space->devices[0];
    return fit < space->most[0] ? fit : space->most[0];
}

/* Beside so many of the first pool, by the limits alone. */
static int most_second(const struct pair_space *space, int first)
{
    const int fit =
        (space->max_devices - first * space->devices[0]) / space->devices[1];
    return fit < space->most[1] ? fit : space->most[1];
}

/* Beside so many of the first pool this many of the second are ruled out. */
static int ruled_out(const struct pair_search *search, int first)
{
    int most = 0;
    for (int i = 0; i < search->num_failed; i++)
        if (search->failed[i].first >= first && search->failed[i].second > most)
            most = search->failed[i].second;
    return most;
}

/* The most of the second pool beside so many of the first that are cheaper than the
 * best, by this share; 0: none. */
static int last_second(const struct pair_space *space, const struct pair_search *search,
                       int first, double share)
{
    int low = 0, high = most_second(space, first);
    if (search->best.first == 0)
        return high;
    while (low < high) { /* a replica more costs more */
        const int middle = low + (high - low + 1) / 2;
        if (saves(space, search, (struct vidur_pool_counts){first, middle}, share))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The cheapest that is expected to carry this many times the target. */
static bool find_cheapest(const struct pair_space *space,
                          const struct pair_search *search, double times,
                          struct vidur_pool_counts *out)
{
    const double wanted_qps = times * nearly_one * space->target_qps;
    struct vidur_pool_counts cheapest = {0, 0};
    for (int first = 1; first <= most_first(space); first++) {
        const double left_qps = wanted_qps - first * space->carried_qps[0];
        const double wanted = ceil(left_qps / space->carried_qps[1]);
        const int least = ruled_out(search, first) + 1;
        if (wanted > most_second(space, first) || least > most_second(space, first))
            continue;
        const struct vidur_pool_counts at = {first,
                                             wanted > least ? (int)wanted : least};
        if (cheapest.first == 0 || pair_search_is_cheaper(space, at, cheapest))
            cheapest = at;
        if (at.second == 1) /* more of the first only cost more */
            break;
    }
    if (cheapest.first == 0 || (search->best.first > 0 &&
                                !pair_search_is_cheaper(space, cheapest, search->best)))
        return false;
    *out = cheapest;
    return true;
}

/* Whether the strongest pair beside so many of the first pool may be tried. */
static bool is_open(const struct pair_space *space, const struct pair_search *search,
                    struct vidur_pool_counts at)
{
    return at.second > ruled_out(search, at.first) &&
           (search->num_probes == 0 || !is_hopeless(space, at));
}

/* The strongest pairs that save this share, one beside each number of the first pool:
 * how many of them may be tried, and which is expected to carry most. */
static int find_strongest(const struct pair_space *space,
                          const struct pair_search *search, double share,
                          struct vidur_pool_counts *out)
{
    double most = 0;
    int count = 0;
    for (int first = 1; first <= most_first(space); first++) {
        const struct vidur_pool_counts at = {first,
                                             last_second(space, search, first, share)};
        const double expected = pair_search_expected(space, at);
        if (at.second == 0) /* nor beside more of the first */
            break;
        if (!is_open(space, search, at))
            continue;
        count++;
        if (expected <= most)
            continue;
        most = expected;
        *out = at;
    }
    return count;
}

/* Of a pair that is to be ruled out with as many beside it as may be: one that saves
 * less, and that has more of the first pool while those are not ruled out. */
static struct vidur_pool_counts cover(const struct pair_space *space,
                                      const struct pair_search *search,
                                      struct vidur_pool_counts wanted)
{
    const double share = resolution * part_of_cover;
    struct vidur_pool_counts at = {wanted.first,
                                   last_second(space, search, wanted.first, share)};
    while (at.first < most_first(space)) {
        const int first = at.first + 1;
        const struct vidur_pool_counts open = {
            first, last_second(space, search, first, resolution)};
        const int second = last_second(space, search, first, share);
        if (second < wanted.second || !is_open(space, search, open))
            break;
        at = (struct vidur_pool_counts){first, second};
    }
    return at;
}

/* All that is cheaper; where these are too many, what is cheaper by the resolution. */
static bool find_cheaper(const struct pair_space *space,
                         const struct pair_search *search,
                         struct vidur_pool_counts *next)
{
    struct vidur_pool_counts wanted;
    const int count = find_strongest(space, search, 0, next);
    if (count <= space->max_probes)
        return count > 0;
    if (find_strongest(space, search, resolution, &wanted) == 0)
        return false;
    *next = cover(space, search, wanted);
    return true;
}

/* ---- The search ---- */

/* Steps of 1, 3, 7, ... times the granularity. */
static double stride(const struct pair_space *space, int steps)
{
    double times = 1;
    const int64_t points = INT64_C(1) << (steps < MOST_STEPS ? steps : MOST_STEPS);
    for (int64_t i = 1; i < points && times < 1e12; i++)
        times *= 1 + space->granularity;
    return times;
}

static bool is_allowed(const struct pair_space *space, struct vidur_pool_counts counts)
{
    return counts.first >= 1 && counts.first <= most_first(space) &&
           counts.second >= 1 && counts.second <= most_second(space, counts.first);
}

/* While no pair held. */
static bool find_upwards(const struct pair_space *space,
                         const struct pair_search *search,
                         struct vidur_pool_counts *next)
{
    const bool known = is_allowed(space, search->from);
    const double begin = known ? pair_search_expected(space, search->from) : 1;
    if (known && search->num_probes == 0) {
        *next = search->from;
        return true;
    }
    return find_cheapest(space, search, begin * stride(space, search->num_steps),
                         next) ||
           find_strongest(space, search, 0, next) > 0;
}

/* The most that a pair that failed was expected to carry; 0: none. */
static double strongest_failure(const struct pair_space *space,
                                const struct pair_search *search)
{
    double most = 0;
    for (int i = 0; i < search->num_failed; i++)
        most = fmax(most, pair_search_expected(space, search->failed[i]));
    return most;
}

/* Between what failed and the best that held. */
static bool find_between(const struct pair_space *space,
                         const struct pair_search *search,
                         struct vidur_pool_counts *next)
{
    const double high = pair_search_expected(space, search->best);
    const double low = strongest_failure(space, search);
    if (!(low > 0)) {
        for (int steps = search->num_steps; steps <= MOST_STEPS; steps++)
            if (find_cheapest(space, search, high / stride(space, steps), next))
                return true;
        return false;
    }
    if (!(high > low * (1 + space->granularity)))
        return false;
    return find_cheapest(space, search, sqrt(high * low), next);
}

/* Whether the second pool's replicas carry less. */
static bool is_second_finer(const struct pair_space *space)
{
    return space->carried_qps[1] <= space->carried_qps[0];
}

/* Beside so many of the second pool this many of the first are ruled out. */
static int ruled_out_first(const struct pair_search *search, int second)
{
    int most = 0;
    for (int i = 0; i < search->num_failed; i++)
        if (search->failed[i].second >= second && search->failed[i].first > most)
            most = search->failed[i].first;
    return most;
}

/* Fewer replicas than the best has of one pool, first of that whose replicas carry
 * less: by growing steps that end in the middle of what is left. */
static bool find_below(const struct pair_space *space, const struct pair_search *search,
                       struct vidur_pool_counts *next)
{
    const struct vidur_pool_counts best = search->best;
    const int step = search->num_steps < 16 ? 1 << search->num_steps : 1 << 16;
    const int left[] = {best.first - ruled_out_first(search, best.second) - 1,
                        best.second - ruled_out(search, best.first) - 1};
    const int finer = is_second_finer(space);
    const int pool = left[finer] > 0 ? finer : 1 - finer;
    const int half = (left[pool] + 1) / 2;
    const int fewer = step < half ? step : half;
    *next = best;
    *(pool == 0 ? &next->first : &next->second) -= fewer;
    return left[pool] > 0;
}

bool pair_search_next(const struct pair_space *space, const struct pair_search *search,
                      struct vidur_pool_counts *next)
{
    if (search->exhausted ||
        (!search->thorough && search->num_probes >= space->max_probes))
        return false;
    if (search->best.first == 0)
        return find_upwards(space, search, next);
    if (!search->thorough)
        return find_between(space, search, next);
    return find_below(space, search, next) || find_cheaper(space, search, next);
}

static bool is_within(struct vidur_pool_counts a, struct vidur_pool_counts b)
{
    return a.first <= b.first && a.second <= b.second;
}

static void add_failure(struct pair_search *search, struct vidur_pool_counts at)
{
    int kept = 0;
    for (int i = 0; i < search->num_failed; i++)
        if (!is_within(search->failed[i], at))
            search->failed[kept++] = search->failed[i];
    search->failed[kept++] = at;
    search->num_failed = kept;
}

/* How far the next step goes. */
static void count_step(const struct pair_space *space, struct pair_search *search,
                       struct vidur_pool_counts at, bool held)
{
    const struct vidur_pool_counts best = search->best;
    const bool in_line = at.first == best.first || at.second == best.second;
    const bool next_to = is_second_finer(space) ? at.second == best.second - 1
                                                : at.first == best.first - 1;
    if (held && (best.first == 0 || (search->thorough && !in_line)))
        search->num_steps = !search->thorough;
    else if (held || best.first == 0)
        search->num_steps++;
    else if (search->thorough && in_line && next_to)
        search->num_steps = 0; /* the other pool is next */
}

void pair_search_go_on(struct pair_search *search)
{
    if (!search->thorough)
        search->num_steps = 0;
    search->thorough = true;
}

void pair_search_tell(const struct pair_space *space, struct pair_search *search,
                      bool held)
{
    struct vidur_pool_counts at, more;
    if (!pair_search_next(space, search, &at))
        return;
    search->num_probes++;
    count_step(space, search, at, held);
    if (held)
        search->best = at;
    else
        add_failure(search, at);
    if (search->num_failed < PAIR_SEARCH_FAILURES &&
        search->num_probes < THOROUGH_PARTS * space->max_probes)
        return;
    struct pair_search thorough = *search;
    thorough.thorough = true;
    search->exhausted = pair_search_next(space, &thorough, &more);
}
