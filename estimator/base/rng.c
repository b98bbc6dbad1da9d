#include <vidur/rng.h>

#include "base/hash.h"

#include <math.h>

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void vidur_rng_init(struct vidur_rng *rng, uint64_t run_seed, uint64_t stream_id)
{
    /* The seed is scrambled before the id is mixed in: otherwise (seed, id) and
     * (seed ^ x, id ^ x) would be the same stream. splitmix64 is a bijection of its
     * counter, so the four words are distinct and never all zero. */
    uint64_t state = run_seed;
    state = splitmix64(&state) ^ stream_id;
    for (int i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&state);
}

uint64_t vidur_rng_stream(const char *name, uint64_t index)
{
    return vidur_rng_substream(vidur_fnv1a_string(VIDUR_FNV1A_INIT, name), index);
}

uint64_t vidur_rng_substream(uint64_t stream_id, uint64_t index)
{
    uint64_t state = stream_id;
    state = splitmix64(&state) ^ index;
    return splitmix64(&state);
}

uint32_t vidur_rng_below(struct vidur_rng *rng, uint32_t n)
{
    /* Lemire, "Fast random integer generation in an interval", 2019. */
    uint64_t product = (vidur_rng_next(rng) >> 32) * n;
    if ((uint32_t)product < n) {
        const uint32_t threshold = (uint32_t)-n % n;
        while ((uint32_t)product < threshold)
            product = (vidur_rng_next(rng) >> 32) * n;
    }
    return (uint32_t)(product >> 32);
}

double vidur_rng_exponential(struct vidur_rng *rng)
{
    return -log1p(-vidur_rng_uniform(rng));
}
