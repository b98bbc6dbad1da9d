#define _DEFAULT_SOURCE /* mmap's flags */

#include "tables/cache.h"

#include "base/file.h"
#include "base/gz.h"
#include "base/version.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT_VERSION = 2, USER_BLOCK_BYTES = 4096, ALIGNMENT_BYTES = 64 };

static const char creator[] = "vidur-search timetable";

/* Where a dataset lies in the file, and what it is. */
struct record {
    char name[VIDUR_CACHE_NAME_MAX];
    int64_t rows, columns;
    int64_t profiled_rows, profiled_columns;
    uint64_t offset; /* of H5Dget_offset */
};

/* The file's first bytes; the rest of the user block is zero. Native byte order: the
 * tables are used as they lie, so a file of another order must be refused. */
struct user_block {
    char creator[24];
    uint32_t format_version;
    uint32_t crc32; /* of everything that follows in the file */
    uint64_t file_bytes;
    char key[64]; /* hexadecimal */
    uint64_t num_tables;
    struct record tables[VIDUR_CACHE_MAX_TABLES];
};

enum { CRC_START = offsetof(struct user_block, file_bytes) };

_Static_assert(sizeof(struct user_block) <= USER_BLOCK_BYTES, "must fit");

static int entry_path(char *path, size_t size, const char *folder, const char *key,
                      struct vidur_error *err)
{
    const int n = snprintf(path, size, "%s/%s.h5", folder, key);
    if (n < 0 || (size_t)n >= size)
        return vidur_fail(err, VIDUR_EIO, "%.60s...: path too long", folder);
    return 0;
}

static int fail_errno(struct vidur_error *err, const char *path, const char *doing)
{
    char why[128];
    if (strerror_r(errno, why, sizeof why) != 0)
        snprintf(why, sizeof why, "error %d", errno);
    return vidur_fail(err, VIDUR_EIO, "%s: %s: %s", path, doing, why);
}

static int fail_damaged(struct vidur_error *err, const char *path, const char *why)
{
    return vidur_fail(err, VIDUR_ECORRUPT, "%s: %s", path, why);
}

/* ---- Entries ---- */

double *vidur_cache_add(struct vidur_cache_entry *entry, const char *name, int64_t rows,
                        int64_t columns, struct vidur_error *err)
{
    const int i = entry->num_tables;
    double *memory = NULL;
    if (i < VIDUR_CACHE_MAX_TABLES && strlen(name) < VIDUR_CACHE_NAME_MAX &&
        columns <= INT64_MAX / (int64_t)sizeof(double) / (rows > 0 ? rows : 1))
        memory = calloc((size_t)(rows * columns) + 1, sizeof *memory);
    if (!memory) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: no memory for a table of %lld x %lld", name,
                   (long long)rows, (long long)columns);
        return NULL;
    }
    struct vidur_cache_table *table = &entry->tables[i];
    *table = (struct vidur_cache_table){.rows = rows,
                                        .columns = columns,
                                        .profiled_rows = rows,
                                        .profiled_columns = columns,
                                        .ms = memory};
    strcpy(table->name, name);
    entry->memory[i] = memory;
    entry->num_tables++;
    return memory;
}

struct vidur_cache_table *vidur_cache_find(struct vidur_cache_entry *entry,
                                           const char *name)
{
    for (int i = 0; i < entry->num_tables; i++)
        if (strcmp(entry->tables[i].name, name) == 0)
            return &entry->tables[i];
    return NULL;
}

void vidur_cache_close(struct vidur_cache_entry *entry)
{
    if (entry->mapping)
        munmap(entry->mapping, entry->mapping_bytes);
    for (int i = 0; i < entry->num_tables; i++)
        free(entry->memory[i]);
    memset(entry, 0, sizeof *entry);
}

void vidur_cache_hdf5_version(char *text, size_t size)
{
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(text, size, "HDF5 %u.%u.%u", major, minor, release);
}

/* ---- Reading ---- */

static int map_file(struct vidur_cache_entry *entry, int fd, const char *path,
                    struct vidur_error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return fail_errno(err, path, "cannot read");
    if (!S_ISREG(st.st_mode) || st.st_size <= USER_BLOCK_BYTES)
        return fail_damaged(err, path, "not a timetable: too short");
    void *mapping = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED)
        return fail_errno(err, path, "cannot map");
    entry->mapping = mapping;
    entry->mapping_bytes = (size_t)st.st_size;
    return 0;
}

static int check_user_block(const struct vidur_cache_entry *entry,
                            const struct user_block *block, const char *path,
                            const char *key, struct vidur_error *err)
{
    const unsigned char *bytes = entry->mapping;
    const size_t size = entry->mapping_bytes;
    if (strncmp(block->creator, creator, sizeof block->creator) != 0)
        return fail_damaged(err, path, "not a timetable of this program");
    if (block->format_version != FORMAT_VERSION)
        return fail_damaged(err, path, "a timetable of another version");
    if (block->file_bytes != size)
        return fail_damaged(err, path, "truncated, grown or damaged");
    if (vidur_crc32(0, bytes + CRC_START, size - CRC_START) != block->crc32)
        return fail_damaged(err, path, "damaged: its checksum differs");
    if (strncmp(block->key, key, sizeof block->key) != 0)
        return fail_damaged(err, path, "a timetable of other inputs");
    return 0;
}

/* Whether a record's cells lie within the file, as aligned doubles. */
static bool is_inside(const struct record *record, size_t file_bytes)
{
    const uint64_t cells = file_bytes / sizeof(double);
    return memchr(record->name, '\0', sizeof record->name) && record->rows >= 0 &&
           record->columns >= 0 && record->offset % sizeof(double) == 0 &&
           record->offset <= file_bytes &&
           (record->rows == 0 ||
            (uint64_t)record->columns <=
                (cells - record->offset / sizeof(double)) / (uint64_t)record->rows);
}

static int take_tables(struct vidur_cache_entry *entry, const struct user_block *block)
{
    if (block->num_tables > VIDUR_CACHE_MAX_TABLES)
        return -1;
    for (uint64_t i = 0; i < block->num_tables; i++) {
        const struct record *record = &block->tables[i];
        struct vidur_cache_table *table = &entry->tables[i];
        if (!is_inside(record, entry->mapping_bytes))
            return -1;
        memcpy(table->name, record->name, sizeof table->name);
        table->rows = record->rows;
        table->columns = record->columns;
        table->profiled_rows = record->profiled_rows;
        table->profiled_columns = record->profiled_columns;
        table->ms = (const double *)(const void *)((const char *)entry->mapping +
                                                   record->offset);
    }
    entry->num_tables = (int)block->num_tables;
    return 0;
}

static int open_entry(struct vidur_cache_entry *entry, int fd, const char *path,
                      const char *key, struct vidur_error *err)
{
    if (map_file(entry, fd, path, err))
        return -1;
    const struct user_block *block = entry->mapping;
    if (check_user_block(entry, block, path, key, err))
        return -1;
    return take_tables(entry, block)
               ? fail_damaged(err, path, "damaged: tables outside of the file")
               : 0;
}

enum vidur_cache_status vidur_cache_open(struct vidur_cache_entry *entry,
                                         const char *folder, const char *key,
                                         struct vidur_error *err)
{
    char path[1200];
    memset(entry, 0, sizeof *entry);
    if (entry_path(path, sizeof path, folder, key, err))
        return VIDUR_CACHE_UNUSABLE;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return VIDUR_CACHE_MISSING;
    if (fd < 0) {
        fail_errno(err, path, "cannot read");
        return VIDUR_CACHE_UNUSABLE;
    }
    const int status = open_entry(entry, fd, path, key, err);
    close(fd);
    if (status) {
        vidur_cache_close(entry);
        return VIDUR_CACHE_UNUSABLE;
    }
    return VIDUR_CACHE_FOUND;
}

/* ---- Writing ---- */

static int put_int64(hid_t object, const char *name, int64_t value)
{
    const long long number = value;
    return H5LTset_attribute_long_long(object, ".", name, &number, 1) < 0 ? -1 : 0;
}

static int fill_record(struct record *record, hid_t set,
                       const struct vidur_cache_table *table)
{
    const bool empty = table->rows == 0 || table->columns == 0; /* lies nowhere */
    const haddr_t offset = empty ? 0 : H5Dget_offset(set);
    *record = (struct record){.rows = table->rows,
                              .columns = table->columns,
                              .profiled_rows = table->profiled_rows,
                              .profiled_columns = table->profiled_columns,
                              .offset = offset};
    strcpy(record->name, table->name);
    return offset == HADDR_UNDEF ? -1 : 0;
}

static int write_table(hid_t file, const struct vidur_cache_table *table,
                       struct record *record)
{
    const hsize_t dims[2] = {(hsize_t)table->rows, (hsize_t)table->columns};
    int status = -1;
    hid_t set = -1;
    const hid_t space = H5Screate_simple(2, dims, NULL);
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    if (space < 0 || plist < 0 || H5Pset_layout(plist, H5D_CONTIGUOUS) < 0 ||
        H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER) < 0)
        goto out;
    set = H5Dcreate2(file, table->name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, plist,
                     H5P_DEFAULT);
    if (set < 0 ||
        H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, table->ms) < 0)
        goto out;
    if (H5LTset_attribute_string(set, ".", "unit", "ms") < 0 ||
        put_int64(set, "profiled_rows", table->profiled_rows) ||
        put_int64(set, "profiled_columns", table->profiled_columns))
        goto out;
    status = fill_record(record, set, table);
out:
    if (set >= 0)
        H5Dclose(set);
    if (plist >= 0)
        H5Pclose(plist);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

/* What the core driver kept of a closed file. A file on disk will not do: where the
 * disk is full it cannot be closed, and HDF5 crashes over it when the program ends. */
struct image {
    unsigned char *bytes;
    size_t size; /* of the memory, which is longer than the file */
};

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *udata)
{
    struct image *image = udata;
    (void)op;
    image->size = size;
    return malloc(size);
}

static void *image_realloc(void *bytes, size_t size, H5FD_file_image_op_t op,
                           void *udata)
{
    struct image *image = udata;
    (void)op;
    image->size = size;
    return realloc(bytes, size);
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *udata)
{
    struct image *image = udata;
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        image->bytes = bytes;
    else
        free(bytes);
    return 0;
}

static void *udata_copy(void *udata)
{
    return udata;
}

static herr_t udata_free(void *udata)
{
    (void)udata;
    return 0;
}

static herr_t keep_in_memory(hid_t access, struct image *image)
{
    H5FD_file_image_callbacks_t callbacks = {.image_malloc = image_malloc,
                                             .image_realloc = image_realloc,
                                             .image_free = image_free,
                                             .udata_copy = udata_copy,
                                             .udata_free = udata_free,
                                             .udata = image};
    if (H5Pset_fapl_core(access, (size_t)1 << 20, false) < 0)
        return -1;
    return H5Pset_file_image_callbacks(access, &callbacks);
}

/* A new file, in memory, whose metadata carries checksums and whose datasets are
 * aligned. */
static hid_t create_file(struct image *image)
{
    static const char name[] = "/dev/null/timetable"; /* no such file can exist */
    hid_t file = -1;
    const hid_t create = H5Pcreate(H5P_FILE_CREATE);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (create >= 0 && access >= 0 && H5Pset_userblock(create, USER_BLOCK_BYTES) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
        H5Pset_alignment(access, 1, ALIGNMENT_BYTES) >= 0 &&
        keep_in_memory(access, image) >= 0)
        file = H5Fcreate(name, H5F_ACC_EXCL, create, access);
    if (create >= 0)
        H5Pclose(create);
    if (access >= 0)
        H5Pclose(access);
    return file;
}

static int write_tables(const struct vidur_cache_entry *entry, struct image *image,
                        const char *provenance, struct user_block *block)
{
    const hid_t file = create_file(image);
    if (file < 0)
        return -1;
    int status = 0;
    if (H5LTset_attribute_string(file, "/", "creator", creator) < 0 ||
        H5LTset_attribute_string(file, "/", "creator_version", vidur_version()) < 0 ||
        H5LTset_attribute_string(file, "/", "provenance", provenance) < 0)
        status = -1;
    for (int i = 0; status == 0 && i < entry->num_tables; i++)
        status = write_table(file, &entry->tables[i], &block->tables[i]);
    block->num_tables = (uint64_t)entry->num_tables;
    if (H5Fclose(file) < 0)
        status = -1;
    return status;
}

/* The file's length, which its superblock (version 3) has. */
static size_t file_length(const struct image *image)
{
    enum {
        END_OF_FILE = USER_BLOCK_BYTES + 28,
        SUPERBLOCK_END = USER_BLOCK_BYTES + 48
    };
    uint64_t length = 0;
    for (int i = 7; image->bytes && image->size >= SUPERBLOCK_END && i >= 0; i--)
        length = length << 8 | image->bytes[END_OF_FILE + i];
    return length <= image->size ? (size_t)length : 0;
}

/* Fills in the user block of the finished file. */
static void seal(const struct image *image, size_t size, struct user_block *block)
{
    block->file_bytes = size;
    memcpy(image->bytes, block, sizeof *block);
    block->crc32 = vidur_crc32(0, image->bytes + CRC_START, size - CRC_START);
    memcpy(image->bytes, block, sizeof *block);
}

int vidur_cache_store(const struct vidur_cache_entry *entry, const char *folder,
                      const char *key, const char *provenance, struct vidur_error *err)
{
    char path[1200];
    int status;
    struct image image = {0};
    struct user_block block = {.format_version = FORMAT_VERSION};
    memcpy(block.creator, creator, sizeof creator);
    memcpy(block.key, key, strnlen(key, sizeof block.key));
    if (entry_path(path, sizeof path, folder, key, err))
        return -1;
    H5dont_atexit(); /* nothing stays open; see results_h5.c */
    H5E_BEGIN_TRY
    {
        status = write_tables(entry, &image, provenance, &block);
    }
    H5E_END_TRY;
    const size_t size = status ? 0 : file_length(&image);
    if (size > USER_BLOCK_BYTES) {
        seal(&image, size, &block);
        status = vidur_file_write(path, image.bytes, size, err);
    } else {
        status = vidur_fail(err, VIDUR_ENOMEM, "%s: no memory for the file", path);
    }
    free(image.bytes);
    return status;
}
