#include "base/gz.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct vidur_gz {
    gzFile file;
    char *path;
};

static bool has_suffix(const char *text, const char *suffix)
{
    const size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

struct vidur_gz *vidur_gz_open(const char *path, struct vidur_error *err)
{
    struct vidur_gz *gz = calloc(1, sizeof *gz);
    if (!gz || !(gz->path = strdup(path))) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
        goto fail;
    }
    errno = 0;
    if (!(gz->file = gzopen(path, "rb"))) {
        vidur_file_fail(err, path, "cannot open");
        goto fail;
    }
    gzbuffer(gz->file, 1 << 17);
    if (has_suffix(path, ".gz") && gzdirect(gz->file)) {
        vidur_fail(err, VIDUR_ECORRUPT,
                   "%s: not a gzip file; compress it, or drop the .gz from its name",
                   path);
        goto fail;
    }
    return gz;
fail:
    vidur_gz_close(gz);
    return NULL;
}

int vidur_gz_read(struct vidur_gz *gz, void *buffer, int size, struct vidur_error *err)
{
    errno = 0;
    const int n = gzread(gz->file, buffer, (unsigned)size);
    int code;
    const char *message = gzerror(gz->file, &code);
    if (code == Z_ERRNO || (n < 0 && errno))
        return vidur_file_fail(err, gz->path, "cannot read");
    /* A stream that stops early is told by the code alone, on a short read. */
    if (n < 0 || (n < size && code == Z_BUF_ERROR))
        return vidur_fail(err, VIDUR_ECORRUPT,
                          "%s: damaged or truncated gzip data (%s); fetch it again",
                          gz->path, message);
    return n;
}

void vidur_gz_close(struct vidur_gz *gz)
{
    if (!gz)
        return;
    if (gz->file)
        gzclose(gz->file);
    free(gz->path);
    free(gz);
}

uint32_t vidur_crc32(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    while (size > 0) {
        const unsigned piece = size > UINT_MAX ? UINT_MAX : (unsigned)size;
        crc = (uint32_t)crc32(crc, bytes, piece);
        bytes += piece;
        size -= piece;
    }
    return crc;
}
