/* Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed
 * uniform pseudo-random number generator", 1998; initialisation of 2002. */

#include <vidur/rng.h>

enum { N = 624, M = 397 };

void vidur_mt19937_init_genrand(struct vidur_mt19937 *mt, uint32_t seed)
{
    uint32_t *s = mt->state;
    s[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        s[i] = UINT32_C(1812433253) * (s[i - 1] ^ (s[i - 1] >> 30)) + i;
    mt->used = N;
}

void vidur_mt19937_init_by_array(struct vidur_mt19937 *mt, const uint32_t *key,
                                 int count)
{
    uint32_t *s = mt->state;
    vidur_mt19937_init_genrand(mt, UINT32_C(19650218));
    int i = 1, j = 0;
    for (int k = count > N ? count : N; k > 0; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * UINT32_C(1664525))) + key[j] +
               (uint32_t)j;
        if (++i == N) {
            s[0] = s[N - 1];
            i = 1;
        }
        if (++j == count)
            j = 0;
    }
    for (int k = N - 1; k > 0; k--) {
        s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * UINT32_C(1566083941))) -
               (uint32_t)i;
        if (++i == N) {
            s[0] = s[N - 1];
            i = 1;
        }
    }
    s[0] = UINT32_C(0x80000000);
}

void vidur_mt19937_seed(struct vidur_mt19937 *mt, uint64_t seed)
{
    const uint32_t words[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    vidur_mt19937_init_by_array(mt, words, words[1] ? 2 : 1);
}

static uint32_t twist(uint32_t high, uint32_t low)
{
    const uint32_t y = (high & UINT32_C(0x80000000)) | (low & UINT32_C(0x7fffffff));
    return (y >> 1) ^ ((y & 1) ? UINT32_C(0x9908b0df) : 0);
}

static void refresh(struct vidur_mt19937 *mt)
{
    uint32_t *s = mt->state;
    for (int i = 0; i < N; i++)
        s[i] = s[(i + M) % N] ^ twist(s[i], s[(i + 1) % N]);
    mt->used = 0;
}

uint32_t vidur_mt19937_next(struct vidur_mt19937 *mt)
{
    if (mt->used >= N)
        refresh(mt);
    uint32_t y = mt->state[mt->used++];
    y ^= y >> 11;
    y ^= (y << 7) & UINT32_C(0x9d2c5680);
    y ^= (y << 15) & UINT32_C(0xefc60000);
    return y ^ (y >> 18);
}

double vidur_mt19937_uniform(struct vidur_mt19937 *mt)
{
    const double a = vidur_mt19937_next(mt) >> 5;
    const double b = vidur_mt19937_next(mt) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
}

uint32_t vidur_mt19937_masked(struct vidur_mt19937 *mt, uint32_t max)
{
    if (max == 0)
        return 0;
    uint32_t mask = max;
    for (int shift = 1; shift < 32; shift *= 2)
        mask |= mask >> shift;
    uint32_t v;
    do
        v = vidur_mt19937_next(mt) & mask;
    while (v > max);
    return v;
}

uint32_t vidur_mt19937_below(struct vidur_mt19937 *mt, uint32_t n)
{
    int bits = 0;
    while (bits < 32 && n >> bits)
        bits++;
    uint32_t v;
    do
        v = vidur_mt19937_next(mt) >> (32 - bits);
    while (v >= n);
    return v;
}
