#include "base/gz.h"
#include "base/hash.h"
#include "test.h"

#include <string.h>

/* Vectors of the FNV draft (draft-eastlake-fnv). */
static void test_fnv1a(void)
{
    CU_ASSERT_EQUAL(vidur_fnv1a_string(VIDUR_FNV1A_INIT, ""),
                    UINT64_C(0xcbf29ce484222325));
    CU_ASSERT_EQUAL(vidur_fnv1a_string(VIDUR_FNV1A_INIT, "a"),
                    UINT64_C(0xaf63dc4c8601ec8c));
    CU_ASSERT_EQUAL(vidur_fnv1a_string(VIDUR_FNV1A_INIT, "foobar"),
                    UINT64_C(0x85944171f73967e8));
    const uint64_t half = vidur_fnv1a(VIDUR_FNV1A_INIT, "foo", 3);
    CU_ASSERT_EQUAL(vidur_fnv1a(half, "bar", 3), UINT64_C(0x85944171f73967e8));
}

/* FIPS 180-4 examples, and the million a's. */
static void test_sha256_vectors(void)
{
    static const struct {
        const char *text;
        int times;
        const char *hex;
    } cases[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"aaaaaaaaaa", 100000,
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_sha256 sha;
        char hex[VIDUR_SHA256_HEX];
        vidur_sha256_init(&sha);
        for (int k = 0; k < cases[i].times; k++)
            vidur_sha256_add(&sha, cases[i].text, strlen(cases[i].text));
        vidur_sha256_hex(&sha, hex);
        CU_ASSERT_STRING_EQUAL(hex, cases[i].hex);
    }
}

static void hash_strings(const char *a, const char *b, char *hex)
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_sha256_add_string(&sha, a);
    vidur_sha256_add_string(&sha, b);
    vidur_sha256_hex(&sha, hex);
}

static void hash_numbers(int64_t i, double d, char *hex)
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    vidur_sha256_add_int64(&sha, i);
    vidur_sha256_add_double(&sha, d);
    vidur_sha256_hex(&sha, hex);
}

static void test_sha256_keeps_fields_apart(void)
{
    char a[VIDUR_SHA256_HEX], b[VIDUR_SHA256_HEX];
    hash_strings("ab", "c", a);
    hash_strings("a", "bc", b);
    CU_ASSERT_STRING_NOT_EQUAL(a, b);
    hash_numbers(1, 2.0, a);
    hash_numbers(1, 2.0, b);
    CU_ASSERT_STRING_EQUAL(a, b);
    hash_numbers(1, 2.0000000000000004, b);
    CU_ASSERT_STRING_NOT_EQUAL(a, b);
    hash_numbers(-1, 2.0, b);
    CU_ASSERT_STRING_NOT_EQUAL(a, b);
}

/* The check value of CRC-32. */
static void test_crc32(void)
{
    CU_ASSERT_EQUAL(vidur_crc32(0, "123456789", 9), 0xcbf43926u);
    CU_ASSERT_EQUAL(vidur_crc32(vidur_crc32(0, "12345", 5), "6789", 4), 0xcbf43926u);
    CU_ASSERT_EQUAL(vidur_crc32(0, "", 0), 0);
}

VIDUR_TEST_MAIN("hash", {"FNV-1a", test_fnv1a},
                {"SHA-256 vectors", test_sha256_vectors},
                {"SHA-256 keeps fields apart", test_sha256_keeps_fields_apart},
                {"CRC-32", test_crc32})
