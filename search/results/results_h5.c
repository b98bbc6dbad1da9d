#include "results/results_h5.h"

#include "base/hash.h"
#include "results/columns.h"

#include <hdf5.h>
#include <hdf5_hl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vidur_h5 {
    hid_t id;
    void *image; /* of a created file that was closed */
    size_t image_size;
    H5E_auto2_t function; /* HDF5's error printing, put back on closing */
    void *data;
};

/* Files are in memory; HDF5 would read, and lose, one of that name: this cannot exist.
 */
static const char no_file[] = "/dev/null/results";

/* Every file is closed here, so HDF5 has nothing to do at exit, where it would print
 * about what damaged files left in it. It listens before its first other call only. */
static struct vidur_h5 *start(void)
{
    H5dont_atexit();
    struct vidur_h5 *file = calloc(1, sizeof *file);
    if (file) {
        H5Eget_auto2(H5E_DEFAULT, &file->function, &file->data);
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    }
    return file;
}

struct vidur_h5_version vidur_h5_version(void)
{
    struct vidur_h5_version version = {""};
    unsigned major = 0, minor = 0, release = 0;
    H5dont_atexit();
    H5get_libversion(&major, &minor, &release);
    snprintf(version.text, sizeof version.text, "%u.%u.%u", major, minor, release);
    return version;
}

void vidur_h5_close(struct vidur_h5 *file)
{
    if (!file)
        return;
    if (file->id > 0)
        H5Fclose(file->id);
    free(file->image);
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, file->function, file->data);
    free(file);
}

/* ---- types ---- */

static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, size) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)
        return -1;
    if (size != H5T_VARIABLE && H5Tset_strpad(type, H5T_STR_NULLPAD) < 0)
        return -1;
    return type;
}

/* What h5py reads as bool. */
static hid_t flag_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    if (type < 0 || H5Tenum_insert(type, "FALSE", &(int8_t){0}) < 0 ||
        H5Tenum_insert(type, "TRUE", &(int8_t){1}) < 0)
        return -1;
    return type;
}

static hid_t column_type(const struct vidur_column *column, bool in_memory)
{
    switch (column->kind) {
    case VIDUR_COLUMN_TEXT:
        return text_type(column->size);
    case VIDUR_COLUMN_INT:
        return H5Tcopy(in_memory ? H5T_NATIVE_INT64 : H5T_STD_I64LE);
    case VIDUR_COLUMN_REAL:
        return H5Tcopy(in_memory ? H5T_NATIVE_DOUBLE : H5T_IEEE_F64LE);
    case VIDUR_COLUMN_FLAG:
        return flag_type();
    }
    return -1;
}

/* Adds the column at `offset`. */
static int insert_column(hid_t compound, const struct vidur_column *column,
                         size_t offset, bool in_memory)
{
    hid_t type = column_type(column, in_memory);
    herr_t failed = type < 0 ? -1 : H5Tinsert(compound, column->name, offset, type);
    if (type >= 0)
        H5Tclose(type);
    return failed < 0 ? -1 : 0;
}

static hid_t memory_type(const struct vidur_table *table)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, table->row_size);
    for (int i = 0; type >= 0 && i < table->num_columns; i++)
        if (insert_column(type, &table->columns[i], table->columns[i].offset, true))
            return -1;
    return type;
}

static hid_t file_type(const struct vidur_table *table)
{
    size_t size = 0;
    for (int i = 0; i < table->num_columns; i++)
        size += table->columns[i].size;
    hid_t type = H5Tcreate(H5T_COMPOUND, size);
    size_t offset = 0;
    for (int i = 0; type >= 0 && i < table->num_columns; i++) {
        if (insert_column(type, &table->columns[i], offset, false))
            return -1;
        offset += table->columns[i].size;
    }
    return type;
}

/* ---- writing ---- */

/* Attributes are texts of variable length, which h5py gives as str. `count` < 0: a
 * scalar. */
static int put_texts(hid_t object, const char *name, const char *const *texts,
                     int count)
{
    hsize_t dims = (hsize_t)count;
    hid_t space = count < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &dims, NULL);
    hid_t type = text_type(H5T_VARIABLE);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int failed = attribute < 0 || H5Awrite(attribute, type, texts) < 0;
    failed |= attribute >= 0 && H5Aclose(attribute) < 0;
    H5Tclose(type);
    H5Sclose(space);
    return failed ? -1 : 0;
}

static int put_text(hid_t object, const char *name, const char *text)
{
    char *copy = strdup(text ? text : "");
    if (!copy)
        return -1;
    vidur_text_cell_clean(copy, strlen(copy) + 1);
    int failed = put_texts(object, name, &(const char *){copy}, -1);
    free(copy);
    return failed;
}

static int put_number(hid_t object, const char *name, hid_t file_type,
                      hid_t memory_type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    int failed = attribute < 0 || H5Awrite(attribute, memory_type, value) < 0;
    failed |= attribute >= 0 && H5Aclose(attribute) < 0;
    H5Sclose(space);
    return failed ? -1 : 0;
}

int vidur_h5_put_text(struct vidur_h5 *file, const char *name, const char *text)
{
    return put_text(file->id, name, text);
}

int vidur_h5_put_uint64(struct vidur_h5 *file, const char *name, uint64_t value)
{
    return put_number(file->id, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value);
}

int vidur_h5_put_double(struct vidur_h5 *file, const char *name, double value)
{
    return put_number(file->id, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

int vidur_h5_put_group(struct vidur_h5 *file, const char *path)
{
    hid_t create = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(create, false);
    hid_t group = H5Gcreate2(file->id, path, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Pclose(create);
    return group < 0 || H5Gclose(group) < 0 ? -1 : 0;
}

int vidur_h5_put_note(struct vidur_h5 *file, const char *path, const char *text)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t type = text_type(H5T_VARIABLE);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, false);
    hid_t set =
        H5Dcreate2(file->id, path, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    int failed = set < 0 ||
                 H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) < 0 ||
                 put_text(set, "units", "") != 0;
    failed |= set >= 0 && H5Dclose(set) < 0;
    H5Pclose(create);
    H5Tclose(type);
    H5Sclose(space);
    return failed ? -1 : 0;
}

/* SHA-256 of a table's bytes as stored: HDF5's own checksums leave holes, such as the
 * mask that says which filters a chunk went through. */
static int digest(hid_t set, hid_t stored, hsize_t count, char hex[VIDUR_SHA256_HEX])
{
    size_t size = H5Tget_size(stored) * (size_t)count;
    void *bytes = calloc(1, size + 1);
    int failed = !bytes || (count > 0 && H5Dread(set, stored, H5S_ALL, H5S_ALL,
                                                 H5P_DEFAULT, bytes) < 0);
    struct vidur_sha256 sha;
    vidur_sha256_init(&sha);
    if (!failed)
        vidur_sha256_add(&sha, bytes, size);
    vidur_sha256_hex(&sha, hex);
    free(bytes);
    return failed ? -1 : 0;
}

static int put_column_attributes(hid_t set, const struct vidur_table *table)
{
    const char **texts = calloc((size_t)table->num_columns + 1, sizeof *texts);
    int failed = texts == NULL;
    for (int i = 0; !failed && i < table->num_columns; i++)
        texts[i] = table->columns[i].unit;
    failed = failed || put_texts(set, "units", texts, table->num_columns);
    for (int i = 0; !failed && i < table->num_columns; i++)
        texts[i] = table->columns[i].description;
    failed = failed || put_texts(set, "descriptions", texts, table->num_columns);
    for (int i = 0; !failed && i < table->num_columns; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_units", table->columns[i].name);
        failed = put_text(set, name, table->columns[i].unit);
    }
    free(texts);
    return failed ? -1 : 0;
}

/* Tables are compressed and carry a checksum; an empty one needs neither. */
static hid_t table_creation(const struct vidur_table *table, hsize_t count)
{
    enum { CHUNK_BYTES = 1 << 20, DEFLATE_LEVEL = 4 };
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, false);
    if (count == 0)
        return create;
    hsize_t rows = CHUNK_BYTES / table->row_size;
    rows = rows < 1 ? 1 : rows > count ? count : rows;
    if (H5Pset_chunk(create, 1, &rows) < 0 || H5Pset_shuffle(create) < 0 ||
        H5Pset_deflate(create, DEFLATE_LEVEL) < 0 || H5Pset_fletcher32(create) < 0) {
        H5Pclose(create);
        return -1;
    }
    return create;
}

static int write_table(hid_t file, const struct vidur_table *table, const void *rows,
                       int64_t count)
{
    hsize_t dims = (hsize_t)count;
    hid_t stored = file_type(table), memory = memory_type(table);
    hid_t space = H5Screate_simple(1, &dims, NULL);
    hid_t create = table_creation(table, dims);
    hid_t set =
        H5Dcreate2(file, table->path, stored, space, H5P_DEFAULT, create, H5P_DEFAULT);
    int failed = set < 0 || (count > 0 && H5Dwrite(set, memory, H5S_ALL, H5S_ALL,
                                                   H5P_DEFAULT, rows) < 0);
    char hex[VIDUR_SHA256_HEX];
    failed = failed || put_column_attributes(set, table) ||
             digest(set, stored, dims, hex) || put_text(set, "sha256", hex);
    failed |= set >= 0 && H5Dclose(set) < 0;
    H5Pclose(create);
    H5Sclose(space);
    H5Tclose(memory);
    H5Tclose(stored);
    return failed ? -1 : 0;
}

int vidur_h5_put_table(struct vidur_h5 *file, const struct vidur_table *table,
                       const void *rows, int64_t count)
{
    void *copy = vidur_table_clean_copy(table, rows, count);
    int failed = !copy || write_table(file->id, table, copy, count);
    free(copy);
    return failed ? -1 : 0;
}

/*
 * The core driver's memory is taken over when the file closes: H5Fget_file_image gives
 * the bytes of a file that is open for writing, with a superblock whose checksum is
 * wrong (seen in 1.10.8).
 */
static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *udata)
{
    (void)op;
    struct vidur_h5 *file = udata;
    file->image_size = size;
    return malloc(size);
}

static void *image_realloc(void *bytes, size_t size, H5FD_file_image_op_t op,
                           void *udata)
{
    (void)op;
    struct vidur_h5 *file = udata;
    file->image_size = size;
    return realloc(bytes, size);
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *udata)
{
    struct vidur_h5 *file = udata;
    if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE)
        file->image = bytes;
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

struct vidur_h5 *vidur_h5_create(void)
{
    struct vidur_h5 *file = start();
    if (!file)
        return NULL;
    H5FD_file_image_callbacks_t callbacks = {.image_malloc = image_malloc,
                                             .image_realloc = image_realloc,
                                             .image_free = image_free,
                                             .udata_copy = udata_copy,
                                             .udata_free = udata_free,
                                             .udata = file};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_fapl_core(access, (size_t)1 << 20, false);
    H5Pset_file_image_callbacks(access, &callbacks);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
    H5Pset_obj_track_times(create, false);
    file->id = H5Fcreate(no_file, H5F_ACC_EXCL, create, access);
    H5Pclose(create);
    H5Pclose(access);
    if (file->id > 0)
        return file;
    vidur_h5_close(file);
    return NULL;
}

/* The memory is longer than the file, whose length the superblock (version 2) has. */
static size_t file_length(const unsigned char *image, size_t size)
{
    enum { END_OF_FILE = 28, SUPERBLOCK = 48 };
    uint64_t length = 0;
    for (int i = 7; size >= SUPERBLOCK && i >= 0; i--)
        length = length << 8 | image[END_OF_FILE + i];
    return length <= size ? (size_t)length : 0;
}

void *vidur_h5_image(struct vidur_h5 *file, size_t *size)
{
    herr_t closed = file->id > 0 ? H5Fclose(file->id) : -1;
    file->id = -1;
    void *image = file->image;
    file->image = NULL;
    *size = image && closed >= 0 ? file_length(image, file->image_size) : 0;
    if (*size > 0)
        return image;
    free(image);
    return NULL;
}

/* ---- reading ---- */

static char *get_text(hid_t object, const char *name)
{
    if (H5LTfind_attribute(object, name) != 1)
        return NULL;
    char *out = NULL, *text = NULL;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1)
        goto out;
    if (H5Tis_variable_str(type) > 0) {
        if (H5Aread(attribute, type, &text) >= 0 && text)
            out = strdup(text);
        H5free_memory(text);
    } else if ((out = calloc(1, H5Tget_size(type) + 1)) &&
               H5Aread(attribute, type, out) < 0) {
        out[0] = 0;
    }
    if (out)
        vidur_text_cell_clean(out, strlen(out) + 1);
out:
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return out;
}

char *vidur_h5_get_note(struct vidur_h5 *file, const char *path)
{
    hid_t set = H5Dopen2(file->id, path, H5P_DEFAULT);
    if (set < 0)
        return NULL;
    char *text = NULL, *out = NULL;
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    if (H5Tis_variable_str(type) > 0 && H5Sget_simple_extent_npoints(space) == 1 &&
        H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) >= 0 && text)
        out = strdup(text);
    H5free_memory(text);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
    return out;
}

static void get_number(hid_t object, const char *name, hid_t memory_type, void *value)
{
    if (H5LTfind_attribute(object, name) != 1)
        return;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    H5T_class_t class = H5Tget_class(type);
    if ((class == H5T_INTEGER || class == H5T_FLOAT) &&
        H5Sget_simple_extent_npoints(space) == 1)
        H5Aread(attribute, memory_type, value);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
}

char *vidur_h5_get_text(struct vidur_h5 *file, const char *name)
{
    return get_text(file->id, name);
}

int vidur_h5_has(struct vidur_h5 *file, const char *name)
{
    return H5Aexists(file->id, name);
}

void vidur_h5_get_uint64(struct vidur_h5 *file, const char *name, uint64_t *value)
{
    get_number(file->id, name, H5T_NATIVE_UINT64, value);
}

void vidur_h5_get_double(struct vidur_h5 *file, const char *name, double *value)
{
    get_number(file->id, name, H5T_NATIVE_DOUBLE, value);
}

static bool class_fits(enum vidur_column_kind kind, H5T_class_t class)
{
    static const H5T_class_t classes[] = {[VIDUR_COLUMN_TEXT] = H5T_STRING,
                                          [VIDUR_COLUMN_INT] = H5T_INTEGER,
                                          [VIDUR_COLUMN_REAL] = H5T_FLOAT,
                                          [VIDUR_COLUMN_FLAG] = H5T_ENUM};
    return class == classes[kind];
}

/* The memory type with the table's columns that `stored` has too; `missing` gets the
 * others. */
static hid_t matching_type(const struct vidur_table *table, hid_t stored,
                           struct vidur_column *missing, int *num_missing)
{
    hid_t memory = H5Tcreate(H5T_COMPOUND, table->row_size);
    *num_missing = 0;
    for (int i = 0; memory >= 0 && i < table->num_columns; i++) {
        const struct vidur_column *column = &table->columns[i];
        int member = H5Tget_member_index(stored, column->name);
        if (member < 0) {
            missing[(*num_missing)++] = *column;
        } else if (!class_fits(column->kind,
                               H5Tget_member_class(stored, (unsigned)member)) ||
                   insert_column(memory, column, column->offset, true)) {
            H5Tclose(memory);
            return -1;
        }
    }
    return memory;
}

static bool digest_fits(hid_t set, hid_t stored, hsize_t count)
{
    char hex[VIDUR_SHA256_HEX];
    char *written = get_text(set, "sha256");
    bool fits =
        written && digest(set, stored, count, hex) == 0 && strcmp(written, hex) == 0;
    free(written);
    return fits;
}

static void *read_rows(hid_t set, const struct vidur_table *table, hid_t memory,
                       hsize_t count)
{
    if (count > (SIZE_MAX / 4) / table->row_size)
        return NULL;
    void *rows = calloc((size_t)count + 1, table->row_size);
    if (rows && count > 0 &&
        H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0) {
        free(rows);
        return NULL;
    }
    return rows;
}

static hid_t open_table(hid_t file, const struct vidur_table *table, hid_t *stored,
                        hsize_t *count)
{
    hid_t set = H5Dopen2(file, table->path, H5P_DEFAULT);
    if (set < 0)
        return -1;
    hid_t space = H5Dget_space(set);
    *stored = H5Dget_type(set);
    bool right = *stored >= 0 && H5Tget_class(*stored) == H5T_COMPOUND &&
                 H5Sget_simple_extent_ndims(space) == 1 &&
                 H5Sget_simple_extent_dims(space, count, NULL) == 1;
    H5Sclose(space);
    if (right)
        return set;
    H5Tclose(*stored);
    H5Dclose(set);
    return -1;
}

int vidur_h5_get_table(struct vidur_h5 *file, const struct vidur_table *table,
                       void **rows_out, int64_t *count_out)
{
    hid_t stored = -1;
    hsize_t count = 0;
    hid_t set = open_table(file->id, table, &stored, &count);
    if (set < 0)
        return -1;
    int num_missing = 0;
    struct vidur_column *missing = calloc((size_t)table->num_columns, sizeof *missing);
    hid_t memory = missing ? matching_type(table, stored, missing, &num_missing) : -1;
    char *rows = NULL;
    if (memory >= 0 && num_missing < table->num_columns &&
        digest_fits(set, stored, count))
        rows = read_rows(set, table, memory, count);
    for (hsize_t i = 0; rows && i < count; i++) {
        char *row = rows + (size_t)i * table->row_size;
        vidur_row_clear(missing, num_missing, row);
        vidur_row_clean(table->columns, table->num_columns, row);
    }
    free(missing);
    if (memory >= 0)
        H5Tclose(memory);
    H5Tclose(stored);
    H5Dclose(set);
    *rows_out = rows;
    *count_out = (int64_t)count;
    return rows ? 0 : -1;
}

/* The innermost description says most. */
static herr_t keep_description(unsigned depth, const H5E_error2_t *error, void *text)
{
    (void)depth;
    *(const char **)text = error->desc ? error->desc : "no reason";
    return 0;
}

struct vidur_h5 *vidur_h5_open(void *image, size_t image_size, char *why, size_t size)
{
    struct vidur_h5 *file = start();
    const char *reason = "HDF5 cannot open it";
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (file && H5Pset_fapl_core(access, (size_t)1 << 20, false) >= 0 &&
        H5Pset_file_image(access, image, image_size) >= 0)
        file->id = H5Fopen(no_file, H5F_ACC_RDONLY, access);
    if (!file || file->id <= 0)
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_description, &reason);
    snprintf(why, size, "%s", reason); /* which HDF5 frees in the next call */
    H5Pclose(access);
    if (file && file->id > 0)
        return file;
    vidur_h5_close(file);
    return NULL;
}
