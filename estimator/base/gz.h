#ifndef VIDUR_BASE_GZ_H
#define VIDUR_BASE_GZ_H

#include <vidur/error.h>

#include <stddef.h>
#include <stdint.h>

/* zlib: reading plain or gzipped files, and CRC-32. */

struct vidur_gz;

struct vidur_gz *vidur_gz_open(const char *path, struct vidur_error *err);
/* Bytes read, 0 at the end, -1 on error (damaged or truncated data included). */
int vidur_gz_read(struct vidur_gz *gz, void *buffer, int size, struct vidur_error *err);
void vidur_gz_close(struct vidur_gz *gz);

/* CRC-32 (ISO 3309) of more bytes after those that gave `crc`; start with 0. */
uint32_t vidur_crc32(uint32_t crc, const void *data, size_t size);

#endif
