#ifndef VIDUR_BASE_HASH_H
#define VIDUR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * Hashes: FNV-1a for tables in memory and stable ids, SHA-256 for cache keys and
 * content.
 */

#define VIDUR_FNV1A_INIT UINT64_C(0xcbf29ce484222325)

/* FNV-1a, 64 bits; chain by passing the last result, start with VIDUR_FNV1A_INIT. */
uint64_t vidur_fnv1a(uint64_t hash, const void *data, size_t size);
uint64_t vidur_fnv1a_string(uint64_t hash, const char *text); /* without the NUL */

enum { VIDUR_SHA256_BYTES = 32, VIDUR_SHA256_HEX = 65 /* with the NUL */ };

/* Streaming SHA-256 (FIPS 180-4). The struct holds the library's context. */
struct vidur_sha256 {
    union {
        uint64_t align;
        unsigned char bytes[160];
    } state;
};

void vidur_sha256_init(struct vidur_sha256 *sha);
void vidur_sha256_add(struct vidur_sha256 *sha, const void *data, size_t size);
/* Length-prefixed, so that ("ab","c") and ("a","bc") differ. */
void vidur_sha256_add_string(struct vidur_sha256 *sha, const char *text);
/* Numbers as 8 little-endian bytes. */
void vidur_sha256_add_int64(struct vidur_sha256 *sha, int64_t value);
void vidur_sha256_add_double(struct vidur_sha256 *sha, double value);
/* Lower-case hexadecimal of the digest; the state is spent afterwards. */
void vidur_sha256_hex(struct vidur_sha256 *sha, char hex[VIDUR_SHA256_HEX]);
/* The digest's first 16 hexadecimal digits as a number; the state is spent. */
uint64_t vidur_sha256_uint64(struct vidur_sha256 *sha);

#endif
