#include "test.h"

#include <vidur/rng.h>

/* mt19937ar.out, published with the generator: init_by_array({0x123 ... 0x456}). */
static void test_published_array_vector(void)
{
    static const uint32_t key[] = {0x123, 0x234, 0x345, 0x456};
    static const uint32_t expected[] = {
        1067595299, 955945823,  477289528, 4107218783u, 4228976476u,
        3344332714, 3355579695, 227628506, 810200273,   2591290167};
    struct vidur_mt19937 mt;
    vidur_mt19937_init_by_array(&mt, key, 4);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(vidur_mt19937_next(&mt), expected[i]);
}

/* ISO C++ [rand.predef]: the 10000th draw of the default mt19937 (seed 5489). */
static void test_published_ten_thousandth(void)
{
    struct vidur_mt19937 mt;
    uint32_t draw = 0;
    vidur_mt19937_init_genrand(&mt, 5489);
    for (int i = 0; i < 10000; i++)
        draw = vidur_mt19937_next(&mt);
    CU_ASSERT_EQUAL(draw, 4123659995u);
}

/* Python: random.seed(42); random.random(), ... */
static void test_as_python_random(void)
{
    static const double expected[] = {0.6394267984578837, 0.025010755222666936,
                                      0.27502931836911926};
    struct vidur_mt19937 mt;
    vidur_mt19937_seed(&mt, 42);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(vidur_mt19937_uniform(&mt), expected[i]);
}

/* Python: random.seed(2**40 + 5) and random.seed(0), getrandbits(32). */
static void test_as_python_seeds(void)
{
    static const struct {
        uint64_t seed;
        uint32_t draws[3];
    } cases[] = {
        {(UINT64_C(1) << 40) + 5, {2166296868u, 2220160828u, 1153647273u}},
        {0, {3626764237u, 1654615998u, 3255389356u}},
    };
    for (int c = 0; c < 2; c++) {
        struct vidur_mt19937 mt;
        vidur_mt19937_seed(&mt, cases[c].seed);
        for (int i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(vidur_mt19937_next(&mt), cases[c].draws[i]);
    }
}

/* Python: random.seed(42); random.randrange(n), twelve times. */
static void test_as_python_randrange(void)
{
    static const struct {
        uint32_t n;
        uint32_t draws[12];
    } cases[] = {
        {10, {1, 0, 4, 3, 3, 2, 1, 8, 1, 9, 6, 0}},
        {8, {1, 0, 4, 3, 3, 2, 1, 1, 6, 0, 0, 1}},
    };
    for (int c = 0; c < 2; c++) {
        struct vidur_mt19937 mt;
        vidur_mt19937_seed(&mt, 42);
        for (int i = 0; i < 12; i++)
            CU_ASSERT_EQUAL(vidur_mt19937_below(&mt, cases[c].n), cases[c].draws[i]);
    }
}

/* NumPy: RandomState(42).random_sample(). */
static void test_as_numpy_random_sample(void)
{
    static const double expected[] = {0.3745401188473625, 0.9507143064099162,
                                      0.7319939418114051};
    struct vidur_mt19937 mt;
    vidur_mt19937_init_genrand(&mt, 42);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(vidur_mt19937_uniform(&mt), expected[i]);
}

/* NumPy: a = arange(12); RandomState(7).shuffle(a). */
static void test_as_numpy_shuffle(void)
{
    static const int expected[] = {7, 10, 2, 5, 0, 1, 11, 8, 3, 6, 9, 4};
    struct vidur_mt19937 mt;
    int a[12];
    for (int i = 0; i < 12; i++)
        a[i] = i;
    vidur_mt19937_init_genrand(&mt, 7);
    for (uint32_t i = 11; i > 0; i--) {
        const uint32_t j = vidur_mt19937_masked(&mt, i);
        const int swap = a[i];
        a[i] = a[j];
        a[j] = swap;
    }
    for (int i = 0; i < 12; i++)
        CU_ASSERT_EQUAL(a[i], expected[i]);
}

static void test_ranges(void)
{
    static const uint32_t ns[] = {1, 2, 3, 255, 256, 257, 0x80000000u, UINT32_MAX};
    struct vidur_mt19937 mt;
    vidur_mt19937_init_genrand(&mt, 1);
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 200; k++) {
            CU_ASSERT(vidur_mt19937_below(&mt, ns[i]) < ns[i]);
            CU_ASSERT(vidur_mt19937_masked(&mt, ns[i]) <= ns[i]);
        }
}

/* The state's unused words tell whether something was drawn. */
static void test_masked_zero_draws_nothing(void)
{
    struct vidur_mt19937 mt;
    vidur_mt19937_init_genrand(&mt, 1);
    vidur_mt19937_next(&mt);
    const int used = mt.used;
    CU_ASSERT_EQUAL(vidur_mt19937_masked(&mt, 0), 0);
    CU_ASSERT_EQUAL(mt.used, used);
}

VIDUR_TEST_MAIN("mt19937", {"published array vector", test_published_array_vector},
                {"published ten thousandth", test_published_ten_thousandth},
                {"as Python's random", test_as_python_random},
                {"as Python's seeds", test_as_python_seeds},
                {"as Python's randrange", test_as_python_randrange},
                {"as NumPy's random_sample", test_as_numpy_random_sample},
                {"as NumPy's shuffle", test_as_numpy_shuffle}, {"ranges", test_ranges},
                {"masked zero draws nothing", test_masked_zero_draws_nothing})
