#include "test.h"

#include "base/instant.h"

#include <stdint.h>

static int64_t parsed(const char *text, const char *unit)
{
    int64_t ns = INT64_MIN;
    return vidur_instant_parse(text, vidur_instant_unit_ns(unit), &ns) ? ns : INT64_MIN;
}

static void test_numbers(void)
{
    CU_ASSERT_EQUAL(parsed("0", "s"), 0);
    CU_ASSERT_EQUAL(parsed("12.5", "s"), 12500000000);
    CU_ASSERT_EQUAL(parsed("-0.25", "s"), -250000000);
    CU_ASSERT_EQUAL(parsed("12.5", "ms"), 12500000);
    CU_ASSERT_EQUAL(parsed("7", "us"), 7000);
    CU_ASSERT_EQUAL(parsed("1759813207532900363", "ns"), 1759813207532900363);
    /* A double of seconds would be 87 ns off. */
    CU_ASSERT_EQUAL(parsed("1700158550.9951690", "s"), 1700158550995169000);
    CU_ASSERT_EQUAL(parsed("0.1234567899", "s"), 123456789);
    CU_ASSERT_EQUAL(parsed("1e-3", "s"), 1000000);
}

static void test_dates(void)
{
    CU_ASSERT_EQUAL(parsed("1970-01-01 00:00:00", "s"), 0);
    CU_ASSERT_EQUAL(parsed("2023-11-16 18:15:46.6805900", "ms"), 1700158546680590000);
    CU_ASSERT_EQUAL(parsed("2024-05-10 00:00:00.009930+00:00", "s"),
                    1715299200009930000);
    CU_ASSERT_EQUAL(parsed("2024-02-29T23:59:59Z", "s"), 1709251199000000000);
    CU_ASSERT_EQUAL(parsed("2024-05-10T02:00:00+02:00", "s"), 1715299200000000000);
    CU_ASSERT_EQUAL(parsed("2024-05-09T16:30:00-0730", "s"), 1715299200000000000);
    CU_ASSERT_EQUAL(parsed("2000-03-01 00:00", "s"), 951868800000000000);
    CU_ASSERT_EQUAL(parsed("2024-05-10T02:00:00.5 +02", "s"), 1715299200500000000);
}

static void test_refused(void)
{
    static const char *const texts[] = {"",
                                        "soon",
                                        "-",
                                        "1 s",
                                        "nan",
                                        "99999999999999999999",
                                        "10000000000",
                                        "2023-02-29 00:00:00",
                                        "2023-13-01 00:00:00",
                                        "2023-01-01",
                                        "2023-01-01 24:00:00",
                                        "2023-01-01 00:61:00",
                                        "2023-01-01 00:00:00.",
                                        "2023-01-01 00:00:00+1",
                                        "2023-01-01 00:00:00Zulu",
                                        "1200-01-01 00:00:00"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        CU_ASSERT_EQUAL(parsed(texts[i], "s"), INT64_MIN);
    CU_ASSERT_EQUAL(vidur_instant_unit_ns("min"), 0);
    CU_ASSERT_EQUAL(vidur_instant_unit_ns(""), 0);
}

static void test_values(void)
{
    int64_t ns = 0;
    CU_ASSERT(vidur_instant_of_double(1.5, 1000000, &ns));
    CU_ASSERT_EQUAL(ns, 1500000);
    CU_ASSERT_FALSE(vidur_instant_of_double(1e300, 1, &ns));
    CU_ASSERT(vidur_instant_of_int64(-3, 1000, &ns));
    CU_ASSERT_EQUAL(ns, -3000);
    CU_ASSERT_FALSE(vidur_instant_of_int64(INT64_MAX, 1000, &ns));
}

VIDUR_TEST_MAIN("instants", {"numbers", test_numbers}, {"dates", test_dates},
                {"refused", test_refused}, {"values", test_values})
