#include "base/hash.h"

#include <nettle/sha2.h>

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct vidur_sha256),
               "vidur_sha256 must hold the library's context");
_Static_assert(_Alignof(struct sha256_ctx) <= _Alignof(struct vidur_sha256),
               "vidur_sha256 must be aligned for the library's context");

uint64_t vidur_fnv1a(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t vidur_fnv1a_string(uint64_t hash, const char *text)
{
    return vidur_fnv1a(hash, text, strlen(text));
}

void vidur_sha256_init(struct vidur_sha256 *sha)
{
    sha256_init((struct sha256_ctx *)(void *)sha);
}

void vidur_sha256_add(struct vidur_sha256 *sha, const void *data, size_t size)
{
    if (size > 0)
        sha256_update((struct sha256_ctx *)(void *)sha, size, data);
}

void vidur_sha256_add_string(struct vidur_sha256 *sha, const char *text)
{
    const size_t length = strlen(text);
    vidur_sha256_add_int64(sha, (int64_t)length);
    vidur_sha256_add(sha, text, length);
}

void vidur_sha256_add_int64(struct vidur_sha256 *sha, int64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)value >> (8 * i));
    vidur_sha256_add(sha, bytes, sizeof bytes);
}

void vidur_sha256_add_double(struct vidur_sha256 *sha, double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    vidur_sha256_add_int64(sha, bits);
}

void vidur_sha256_hex(struct vidur_sha256 *sha, char hex[VIDUR_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[VIDUR_SHA256_BYTES];
    sha256_digest((struct sha256_ctx *)(void *)sha, sizeof digest, digest);
    for (int i = 0; i < VIDUR_SHA256_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * VIDUR_SHA256_BYTES] = '\0';
}

uint64_t vidur_sha256_uint64(struct vidur_sha256 *sha)
{
    char hex[VIDUR_SHA256_HEX];
    vidur_sha256_hex(sha, hex);
    hex[16] = 0;
    return strtoull(hex, NULL, 16);
}
