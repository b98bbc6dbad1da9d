#include "flip.h"

#include <stdbool.h>
#include <string.h>

static void digest_of(const struct flip *flip, char hex[VIDUR_SHA256_HEX])
{
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    flip->digest(&sha, flip->object);
    vidur_sha256_hex(&sha, hex);
}

static bool is_kept(const struct flip *flip, size_t at)
{
    for (size_t i = 0; i < flip->num_kept; i++)
        if (flip->kept[i] == at)
            return true;
    return false;
}

void flip_fill(char *text, size_t size)
{
    memset(text, 'x', size - 1);
    text[size - 1] = 0;
}

size_t flip_count_ignored(const struct flip *flip)
{
    char before[VIDUR_SHA256_HEX], after[VIDUR_SHA256_HEX];
    unsigned char *bytes = flip->object;
    size_t ignored = 0;
    digest_of(flip, before);
    for (size_t at = 0; at < flip->bytes; at++) {
        if (is_kept(flip, at))
            continue;
        bytes[at] ^= 1;
        digest_of(flip, after);
        bytes[at] ^= 1;
        ignored += strcmp(before, after) == 0;
    }
    return ignored;
}
