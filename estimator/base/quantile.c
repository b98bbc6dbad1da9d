#include "base/quantile.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

static const double two_to_64 = 18446744073709551616.0;

static u128 sum_bits(const struct vidur_exact_sum *sum)
{
    return (u128)(uint64_t)sum->whole << 64 | sum->fraction;
}

/* Two's complement throughout: unsigned products and sums are right modulo 2^128. */
void vidur_exact_sum_add(struct vidur_exact_sum *sum, double value, int64_t weight)
{
    double size = fabs(value);
    uint64_t whole = (uint64_t)size;
    u128 fixed = (u128)whole << 64 | (uint64_t)((size - (double)whole) * two_to_64);
    u128 product = fixed * (u128)(i128)weight;
    u128 bits = sum_bits(sum) + (value < 0 ? -product : product);
    sum->whole = (int64_t)(uint64_t)(bits >> 64);
    sum->fraction = (uint64_t)bits;
}

double vidur_exact_sum_value(const struct vidur_exact_sum *sum)
{
    return (double)(i128)sum_bits(sum) / two_to_64;
}

/* Pivots come from positions that no natural order of samples (sorted, organ pipe)
 * lines up with, so that selection stays linear on them; the choice does not change the
 * answer. */
static int64_t scattered(uint64_t *state, int64_t n)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((*state >> 33) % (uint64_t)n);
}

static double median_of_three(double a, double b, double c)
{
    double low = a < b ? a : b;
    double high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

/* Puts x[k] where sorting would, smaller ones before it and larger ones behind. */
static void select_value(double *x, int64_t n, int64_t k)
{
    uint64_t state = (uint64_t)n;
    int64_t left = 0;
    int64_t right = n - 1;
    while (left < right) {
        int64_t span = right - left + 1;
        double pivot = median_of_three(x[left + scattered(&state, span)],
                                       x[left + scattered(&state, span)],
                                       x[left + scattered(&state, span)]);
        int64_t i = left;
        int64_t j = right;
        while (i <= j) {
            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i <= j) {
                double swap = x[i];
                x[i++] = x[j];
                x[j--] = swap;
            }
        }
        if (k <= j)
            right = j;
        else if (k >= i)
            left = i;
        else
            return;
    }
}

static double smallest(const double *x, int64_t n)
{
    double least = x[0];
    for (int64_t i = 1; i < n; i++)
        if (x[i] < least)
            least = x[i];
    return least;
}

/* Position q * (n - 1) as the order statistic below it and the way to the next. */
static int64_t position(int64_t n, double q, double *fraction)
{
    double at = q * (double)(n - 1);
    int64_t below = (int64_t)floor(at);
    if (below >= n - 1) {
        *fraction = 0;
        return n - 1;
    }
    *fraction = at - (double)below;
    return below;
}

/* NumPy's interpolation: from the nearer end, so that it is exact at both. */
static double interpolate(double a, double b, double fraction)
{
    double step = b - a;
    return fraction >= 0.5 ? b - step * (1 - fraction) : a + step * fraction;
}

/* The value at a position; everything before `*sorted_below` is known to be no larger
 * than what follows, which a rising series of positions uses. */
static double value_at(double *values, int64_t n, int64_t below, double fraction,
                       int64_t *sorted_below)
{
    int64_t base = *sorted_below;
    select_value(values + base, n - base, below - base);
    *sorted_below = below;
    if (fraction == 0)
        return values[below];
    double above = smallest(values + below + 1, n - below - 1);
    return interpolate(values[below], above, fraction);
}

double vidur_quantile(double *values, int64_t n, double q)
{
    int64_t sorted_below = 0;
    double fraction;
    int64_t below = position(n, q, &fraction);
    return value_at(values, n, below, fraction, &sorted_below);
}

/* ---- Several quantiles at once ---- */

/*
 * Before selecting, two passes over the samples leave those few, as a rule, that can be
 * one of the wanted order statistics: a histogram, and a sweep that moves the samples
 * of the wanted bins to the front.
 */

enum { NUM_QUANTILES = 4, NUM_BINS = 1024, FEW_SAMPLES = 1024 };

static const double reported[NUM_QUANTILES] = {0.5, 0.9, 0.95, 0.99};

struct wanted {
    int64_t below; /* rank of the order statistic, among what is left */
    double fraction;
};

struct bins {
    double least, per_unit;
    int64_t weight[NUM_BINS];
    bool wanted[NUM_BINS];
};

/* Rises with the value, as rounding does. */
static int bin_of(const struct bins *bins, double value)
{
    return (int)((value - bins->least) * bins->per_unit);
}

/* False where the values span nothing, or too much to be cut into bins. */
static bool bins_init(struct bins *bins, double least, double most)
{
    memset(bins, 0, sizeof *bins);
    bins->least = least;
    bins->per_unit = (NUM_BINS - 1) / (most - least);
    return bins->per_unit > 0 && bins->per_unit < INFINITY;
}

/* The positions of the reported quantiles. */
static void find_positions(int64_t n, struct wanted *wanted)
{
    for (int i = 0; i < NUM_QUANTILES; i++)
        wanted[i].below = position(n, reported[i], &wanted[i].fraction);
}

/* Marks the bins that hold the wanted ranks and their successors, and counts the ranks
 * anew among the samples of these bins. */
static void choose_bins(struct bins *bins, struct wanted *wanted)
{
    int64_t before = 0, left_out = 0;
    int next = 0;
    bool successor = false;
    for (int bin = 0; bin < NUM_BINS && (next < NUM_QUANTILES || successor); bin++) {
        const int64_t end = before + bins->weight[bin];
        if (end == before)
            continue;
        bins->wanted[bin] = successor;
        successor = false;
        const int first = next;
        for (; next < NUM_QUANTILES && wanted[next].below < end; next++) {
            bins->wanted[bin] = true;
            successor = wanted[next].below + 1 == end;
        }
        for (int i = first; i < next; i++)
            wanted[i].below -= left_out;
        if (!bins->wanted[bin])
            left_out += bins->weight[bin];
        before = end;
    }
}

/* Moves the samples that matter to the front; returns how many. */
static int64_t narrow(double *values, int64_t n, struct bins *bins,
                      struct wanted *wanted)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        bins->weight[bin_of(bins, values[i])]++;
    choose_bins(bins, wanted);
    for (int64_t i = 0; i < n; i++) {
        const double value = values[i];
        if (!bins->wanted[bin_of(bins, value)])
            continue;
        values[i] = values[kept];
        values[kept++] = value;
    }
    return kept;
}

static void set_quantiles(struct vidur_distribution *out, const double *quantiles)
{
    out->p50 = quantiles[0];
    out->p90 = quantiles[1];
    out->p95 = quantiles[2];
    out->p99 = quantiles[3];
}

/* The sum of vidur_exact_sum_add in units of 2^-32 and 2^-64, with one carry at the
 * end: for values from 0 where neither overflows. */
struct quick_sum {
    int64_t high, low;
};

static bool is_quick(double least, double most, int64_t weight)
{
    return least >= 0 && most * (double)weight < 0x1p31 && weight < INT64_C(1) << 31;
}

static inline void quick_add(struct quick_sum *sum, double value, int64_t weight)
{
    const double units = value * 0x1p32;
    const int64_t whole = (int64_t)units;
    sum->high += whole * weight;
    sum->low += (int64_t)((units - (double)whole) * 0x1p32) * weight;
}

static double quick_value(const struct quick_sum *sum)
{
    const u128 total = ((u128)(uint64_t)sum->high << 32) + (uint64_t)sum->low;
    return (double)(i128)total / two_to_64;
}

static double mean_of(const double *values, int64_t n, double least, double most)
{
    if (is_quick(least, most, n)) {
        struct quick_sum sum = {0};
        for (int64_t i = 0; i < n; i++)
            quick_add(&sum, values[i], 1);
        return quick_value(&sum) / (double)n;
    }
    struct vidur_exact_sum sum = {0};
    for (int64_t i = 0; i < n; i++)
        vidur_exact_sum_add(&sum, values[i], 1);
    return vidur_exact_sum_value(&sum) / (double)n;
}

void vidur_distribution_of(struct vidur_distribution *out, double *values, int64_t n)
{
    memset(out, 0, sizeof *out);
    if (n == 0)
        return;
    out->count = n;
    double least = values[0], most = values[0];
    for (int64_t i = 0; i < n; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    out->min = least;
    out->max = most;
    out->mean = mean_of(values, n, least, most);
    struct wanted wanted[NUM_QUANTILES];
    double quantiles[NUM_QUANTILES];
    int64_t sorted_below = 0;
    find_positions(n, wanted);
    struct bins bins;
    if (n > FEW_SAMPLES && bins_init(&bins, least, most))
        n = narrow(values, n, &bins, wanted);
    for (int i = 0; i < NUM_QUANTILES; i++)
        quantiles[i] =
            value_at(values, n, wanted[i].below, wanted[i].fraction, &sorted_below);
    set_quantiles(out, quantiles);
}

/* ---- Weighted samples ---- */

/* The weighted ones work on a window [first, end) of pairs, with `before` samples known
 * to lie below it. */
struct window {
    struct vidur_weighted_value *x;
    int64_t first;
    int64_t end;
    int64_t before;
    int64_t all; /* pairs */
};

static int64_t weight_between(const struct vidur_weighted_value *x, int64_t first,
                              int64_t end)
{
    int64_t weight = 0;
    for (int64_t i = first; i < end; i++)
        weight += x[i].weight;
    return weight;
}

static double window_pivot(const struct window *w, uint64_t *state)
{
    int64_t span = w->end - w->first;
    return median_of_three(w->x[w->first + scattered(state, span)].value,
                           w->x[w->first + scattered(state, span)].value,
                           w->x[w->first + scattered(state, span)].value);
}

/* Orders the window as smaller | equal | larger; gives the bounds of `equal`. */
static void partition(const struct window *w, double pivot, int64_t *equal_first,
                      int64_t *equal_end)
{
    struct vidur_weighted_value *x = w->x;
    int64_t below = w->first;
    int64_t above = w->end;
    for (int64_t i = w->first; i < above;) {
        struct vidur_weighted_value current = x[i];
        if (current.value < pivot) {
            x[i++] = x[below];
            x[below++] = current;
        } else if (current.value > pivot) {
            x[i] = x[--above];
            x[above] = current;
        } else {
            i++;
        }
    }
    *equal_first = below;
    *equal_end = above;
}

/* Narrows the window to the pairs that equal the k-th sample (from 0). */
static void select_sample(struct window *w, int64_t k)
{
    uint64_t state = (uint64_t)(w->end - w->first);
    for (;;) {
        int64_t first;
        int64_t end;
        partition(w, window_pivot(w, &state), &first, &end);
        int64_t upto_first = w->before + weight_between(w->x, w->first, first);
        if (k < upto_first) {
            w->end = first;
            continue;
        }
        int64_t upto_end = upto_first + weight_between(w->x, first, end);
        if (k < upto_end) {
            w->first = first;
            w->end = end;
            w->before = upto_first;
            return;
        }
        w->first = end;
        w->before = upto_end;
    }
}

static double smallest_pair(const struct vidur_weighted_value *x, int64_t first,
                            int64_t end)
{
    double least = x[first].value;
    for (int64_t i = first + 1; i < end; i++)
        if (x[i].value < least)
            least = x[i].value;
    return least;
}

/* The value at a position. Leaves the window open at the top, ready for a higher one.
 */
static double window_value(struct window *w, int64_t below, double fraction)
{
    select_sample(w, below);
    double value = w->x[w->first].value;
    int64_t upto_end = w->before + weight_between(w->x, w->first, w->end);
    double above = value;
    if (fraction > 0 && below + 1 >= upto_end)
        above = smallest_pair(w->x, w->end, w->all);
    w->end = w->all;
    return fraction == 0 ? value : interpolate(value, above, fraction);
}

double vidur_weighted_quantile(struct vidur_weighted_value *values, int64_t n, double q)
{
    struct window w = {values, 0, n, 0, n};
    double fraction;
    int64_t below = position(weight_between(values, 0, n), q, &fraction);
    return window_value(&w, below, fraction);
}

static int64_t narrow_weighted(struct vidur_weighted_value *values, int64_t n,
                               struct bins *bins, struct wanted *wanted)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++)
        bins->weight[bin_of(bins, values[i].value)] += values[i].weight;
    choose_bins(bins, wanted);
    for (int64_t i = 0; i < n; i++) {
        const struct vidur_weighted_value value = values[i];
        if (!bins->wanted[bin_of(bins, value.value)])
            continue;
        values[i] = values[kept];
        values[kept++] = value;
    }
    return kept;
}

static double weighted_mean_of(const struct vidur_weighted_value *values, int64_t n,
                               const struct vidur_distribution *of)
{
    const int64_t weight = of->count;
    if (is_quick(of->min, of->max, weight)) {
        struct quick_sum sum = {0};
        for (int64_t i = 0; i < n; i++)
            quick_add(&sum, values[i].value, values[i].weight);
        return quick_value(&sum) / (double)weight;
    }
    struct vidur_exact_sum sum = {0};
    for (int64_t i = 0; i < n; i++)
        vidur_exact_sum_add(&sum, values[i].value, values[i].weight);
    return vidur_exact_sum_value(&sum) / (double)weight;
}

void vidur_distribution_of_weighted(struct vidur_distribution *out,
                                    struct vidur_weighted_value *values, int64_t n)
{
    memset(out, 0, sizeof *out);
    if (n == 0)
        return;
    double least = values[0].value, most = values[0].value;
    int64_t weight = 0;
    for (int64_t i = 0; i < n; i++) {
        least = values[i].value < least ? values[i].value : least;
        most = values[i].value > most ? values[i].value : most;
        weight += values[i].weight;
    }
    out->min = least;
    out->max = most;
    out->count = weight;
    out->mean = weighted_mean_of(values, n, out);
    struct wanted wanted[NUM_QUANTILES];
    double quantiles[NUM_QUANTILES];
    find_positions(out->count, wanted);
    struct bins bins;
    if (n > FEW_SAMPLES && bins_init(&bins, least, most))
        n = narrow_weighted(values, n, &bins, wanted);
    struct window w = {values, 0, n, 0, n};
    for (int i = 0; i < NUM_QUANTILES; i++)
        quantiles[i] = window_value(&w, wanted[i].below, wanted[i].fraction);
    set_quantiles(out, quantiles);
}
