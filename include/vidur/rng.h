#ifndef VIDUR_RNG_H
#define VIDUR_RNG_H

/*
 * Random numbers with explicit state: no globals, no clock, no malloc.
 *
 * `vidur_rng` is the project's generator: xoshiro256++ (Blackman and Vigna, "Scrambled
 * linear pseudorandom number generators", 2021), its state expanded by splitmix64 from
 * (run seed, stream id). A stream id names what the numbers are for, never who draws
 * them: derive it from stable names and indices with vidur_rng_stream(), so that a
 * result does not depend on ranks, threads or order.
 *
 * `vidur_mt19937` is the Mersenne Twister (Matsumoto and Nishimura, 1998), with the
 * derived draws of Python's `random` and NumPy's `RandomState`: for `seeds: reference`.
 *
 * The structs are plain values: copy them to save or fork a stream. One state belongs
 * to one thread at a time.
 */

#include <stdint.h>

struct vidur_rng {
    uint64_t state[4];
};

void vidur_rng_init(struct vidur_rng *rng, uint64_t run_seed, uint64_t stream_id);

/* A stream id from a name and an index, e.g. ("arrivals", 0) or ("tree", 17); nest with
 * vidur_rng_substream(id, index). Stable over versions, machines and byte orders. */
uint64_t vidur_rng_stream(const char *name, uint64_t index);
uint64_t vidur_rng_substream(uint64_t stream_id, uint64_t index);

/* 64 random bits. In the header because bootstrap sampling draws tens of millions. */
static inline uint64_t vidur_rng_next(struct vidur_rng *rng)
{
    uint64_t *s = rng->state;
    const uint64_t sum = s[0] + s[3];
    const uint64_t result = ((sum << 23) | (sum >> 41)) + s[0];
    const uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double vidur_rng_uniform(struct vidur_rng *rng)
{
    return (double)(vidur_rng_next(rng) >> 11) * 0x1.0p-53;
}

/* Uniform in 0 .. n-1 without bias; n >= 1. */
uint32_t vidur_rng_below(struct vidur_rng *rng, uint32_t n);

/* Exponential with mean 1: -ln(1 - u). Divide by the rate. */
double vidur_rng_exponential(struct vidur_rng *rng);

/* Standard normal; gamma with density x^(shape-1) exp(-x/scale), shape and scale > 0.
 */
double vidur_rng_normal(struct vidur_rng *rng);
double vidur_rng_gamma(struct vidur_rng *rng, double shape, double scale);

struct vidur_mt19937 {
    uint32_t state[624];
    int used; /* words of `state` handed out since it was last refreshed */
};

void vidur_mt19937_init_genrand(struct vidur_mt19937 *mt, uint32_t seed);
void vidur_mt19937_init_by_array(struct vidur_mt19937 *mt, const uint32_t *key,
                                 int count);

/* As Python's random.seed(seed) for an integer >= 0: the seed's 32-bit words, low
 * first, without leading zero words, as the array. */
void vidur_mt19937_seed(struct vidur_mt19937 *mt, uint64_t seed);

/* 32 random bits. */
uint32_t vidur_mt19937_next(struct vidur_mt19937 *mt);

/* 53-bit double in [0, 1): ((a >> 5) * 2^26 + (b >> 6)) / 2^53, a drawn before b. */
double vidur_mt19937_uniform(struct vidur_mt19937 *mt);

/* Uniform in 0 .. max: a draw masked to the smallest 2^m - 1 >= max, redrawn while
 * > max (NumPy's legacy shuffle). max = 0 draws nothing. */
uint32_t vidur_mt19937_masked(struct vidur_mt19937 *mt, uint32_t max);

/* Uniform in 0 .. n-1: the top k bits of a draw, k = bit length of n, redrawn while
 * >= n (Python's randrange); n >= 1. */
uint32_t vidur_mt19937_below(struct vidur_mt19937 *mt, uint32_t n);

#endif
