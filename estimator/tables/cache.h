#ifndef VIDUR_CACHE_H
#define VIDUR_CACHE_H

#include <vidur/error.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Finished tables on disk: one HDF5 file KEY.h5 per timetable in a folder that all
 * processes of a machine share.
 *
 * The file is ordinary HDF5 (one contiguous dataset of doubles per table, unit and
 * profiled range as attributes) behind a user block that holds its size and CRC-32 and
 * where each dataset lies. A reader maps the whole file, compares the CRC, and uses the
 * datasets where they are, without HDF5: processes share the pages, threads need no
 * lock, and a damaged, truncated or foreign file is noticed. A file is written under a
 * temporary name, synced, and renamed; it never changes afterwards.
 *
 * Opening is thread-safe; storing is where the HDF5 library is built thread-safe
 * (Debian's is).
 */

enum { VIDUR_CACHE_MAX_TABLES = 24, VIDUR_CACHE_NAME_MAX = 32 };

/* A table of rows x columns doubles, row-major; a list has one row. */
struct vidur_cache_table {
    char name[VIDUR_CACHE_NAME_MAX];
    int64_t rows, columns;
    int64_t profiled_rows, profiled_columns;
    const double *ms;
};

/* Tables in memory of their own (begun with zeros, filled with vidur_cache_add) or in a
 * mapped file. */
struct vidur_cache_entry {
    struct vidur_cache_table tables[VIDUR_CACHE_MAX_TABLES];
    double *memory[VIDUR_CACHE_MAX_TABLES]; /* NULL where mapped */
    int num_tables;
    void *mapping;
    size_t mapping_bytes;
};

/* Adds a table of zeros, all of it profiled, and returns where to write it; NULL when
 * out of memory or names. */
double *vidur_cache_add(struct vidur_cache_entry *entry, const char *name, int64_t rows,
                        int64_t columns, struct vidur_error *err);
struct vidur_cache_table *vidur_cache_find(struct vidur_cache_entry *entry,
                                           const char *name);

/* "HDF5 1.10.8" */
void vidur_cache_hdf5_version(char *text, size_t size);

/* Frees or unmaps the tables. */
void vidur_cache_close(struct vidur_cache_entry *entry);

enum vidur_cache_status {
    VIDUR_CACHE_FOUND,
    VIDUR_CACHE_MISSING,
    VIDUR_CACHE_UNUSABLE /* err says what is wrong with the file */
};

/* Maps the entry read-only; release it with vidur_cache_close. err is set for UNUSABLE
 * only (VIDUR_ECORRUPT, or VIDUR_EIO when the file cannot be read). */
enum vidur_cache_status vidur_cache_open(struct vidur_cache_entry *entry,
                                         const char *folder, const char *key,
                                         struct vidur_error *err);

/* Writes the entry's tables as FOLDER/KEY.h5, replacing what is there. `provenance` is
 * kept for people who look into the file. */
int vidur_cache_store(const struct vidur_cache_entry *entry, const char *folder,
                      const char *key, const char *provenance, struct vidur_error *err);

/*
 * Keeps others from building the same entry: at most one holder of (folder, key) at a
 * time, over threads and processes of a machine and, where the file system supports
 * locks over the network, of several (where it supports none, at any time). Waits until
 * it is free. Ends with vidur_cache_unlock or the death of the process. Returns -1 when
 * the folder cannot hold a lock file.
 */
struct vidur_cache_lock {
    int fd;
    char path[1200];
};

int vidur_cache_lock(struct vidur_cache_lock *lock, const char *folder, const char *key,
                     struct vidur_error *err);
void vidur_cache_unlock(struct vidur_cache_lock *lock);

#endif
