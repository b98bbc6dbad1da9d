#define _DEFAULT_SOURCE /* truncate */

#include "tables/cache.h"

#include "temp_dir.h"
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char key[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static struct temp_dir dir;

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

static void make_entry(struct vidur_cache_entry *entry)
{
    memset(entry, 0, sizeof *entry);
    double *list = vidur_cache_add(entry, "attn_rope", 1, 5, NULL);
    double *grid = vidur_cache_add(entry, "attn_decode", 7, 1000, NULL);
    double *none = vidur_cache_add(entry, "nothing", 1, 0, NULL);
    CU_ASSERT_FATAL(list && grid && none);
    for (int i = 0; i < 5; i++)
        list[i] = i / 3.0;
    for (int i = 0; i < 7000; i++)
        grid[i] = sin(i);
    vidur_cache_find(entry, "attn_decode")->profiled_rows = 6;
    vidur_cache_find(entry, "attn_decode")->profiled_columns = 999;
}

static void assert_entry(struct vidur_cache_entry *entry)
{
    const struct vidur_cache_table *list = vidur_cache_find(entry, "attn_rope");
    const struct vidur_cache_table *grid = vidur_cache_find(entry, "attn_decode");
    const struct vidur_cache_table *none = vidur_cache_find(entry, "nothing");
    CU_ASSERT_EQUAL(entry->num_tables, 3);
    CU_ASSERT_FATAL(list && grid && none);
    CU_ASSERT_EQUAL(list->rows, 1);
    CU_ASSERT_EQUAL(list->columns, 5);
    CU_ASSERT_EQUAL(list->profiled_columns, 5);
    CU_ASSERT_EQUAL(grid->rows, 7);
    CU_ASSERT_EQUAL(grid->columns, 1000);
    CU_ASSERT_EQUAL(grid->profiled_rows, 6);
    CU_ASSERT_EQUAL(grid->profiled_columns, 999);
    CU_ASSERT_EQUAL(none->columns, 0);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(list->ms[i], i / 3.0);
    bool equal = true;
    for (int i = 0; i < 7000; i++)
        equal = equal && grid->ms[i] == sin(i);
    CU_ASSERT_TRUE(equal);
}

static void store(void)
{
    struct vidur_cache_entry entry;
    struct vidur_error err = {0};
    make_entry(&entry);
    CU_ASSERT_EQUAL(vidur_cache_store(&entry, dir.path, key, "a test", &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    vidur_cache_close(&entry);
}

static struct temp_path stored_path(void)
{
    char name[80];
    snprintf(name, sizeof name, "%s.h5", key);
    return temp_dir_path(&dir, name);
}

static void test_round_trip(void)
{
    struct vidur_cache_entry entry;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_cache_open(&entry, dir.path, key, &err), VIDUR_CACHE_MISSING);
    store();
    CU_ASSERT_EQUAL(vidur_cache_open(&entry, dir.path, key, &err), VIDUR_CACHE_FOUND);
    assert_entry(&entry);
    CU_ASSERT_PTR_NOT_NULL(entry.mapping);
    vidur_cache_close(&entry);
    CU_ASSERT_PTR_NULL(entry.mapping);
    CU_ASSERT_EQUAL(temp_dir_count(&dir, ".h5"), 1);
    /* Nothing but the file itself is left: . and .. beside it. */
    CU_ASSERT_EQUAL(temp_dir_count(&dir, ""), 3);
}

static void test_an_open_entry_outlives_its_file(void)
{
    struct vidur_cache_entry entry;
    store();
    CU_ASSERT_EQUAL(vidur_cache_open(&entry, dir.path, key, NULL), VIDUR_CACHE_FOUND);
    store(); /* replaced by another process, then removed */
    CU_ASSERT_EQUAL(unlink(stored_path().text), 0);
    assert_entry(&entry);
    vidur_cache_close(&entry);
}

/* The same tables give the same bytes: nothing of the time or process goes in. */
static void test_bytes_are_reproducible(void)
{
    char *bytes[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        store();
        FILE *file = fopen(stored_path().text, "rb");
        CU_ASSERT_FATAL(file != NULL);
        bytes[i] = malloc(1 << 20);
        CU_ASSERT_FATAL(bytes[i] != NULL);
        sizes[i] = fread(bytes[i], 1, 1 << 20, file);
        fclose(file);
    }
    CU_ASSERT_EQUAL(sizes[0], sizes[1]);
    CU_ASSERT_EQUAL(memcmp(bytes[0], bytes[1], sizes[0]), 0);
    free(bytes[0]);
    free(bytes[1]);
}

static void assert_unusable(const char *why)
{
    struct vidur_cache_entry entry;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_cache_open(&entry, dir.path, key, &err),
                    VIDUR_CACHE_UNUSABLE);
    CU_ASSERT_EQUAL(err.code, VIDUR_ECORRUPT);
    assert_contains(err.text, why);
    CU_ASSERT_PTR_NULL(entry.mapping);
}

static long stored_size(void)
{
    struct stat st;
    CU_ASSERT_EQUAL(stat(stored_path().text, &st), 0);
    return (long)st.st_size;
}

static void test_truncated(void)
{
    store();
    const long size = stored_size();
    const long cuts[] = {size - 1, size / 2, 4097};
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(truncate(stored_path().text, cuts[i]), 0);
        assert_unusable("truncated");
    }
    CU_ASSERT_EQUAL(truncate(stored_path().text, 100), 0);
    assert_unusable("too short");
    CU_ASSERT_EQUAL(truncate(stored_path().text, 0), 0);
    assert_unusable("too short");
    store();
    CU_ASSERT_EQUAL(truncate(stored_path().text, size + 8), 0);
    assert_unusable("grown");
}

/* One flipped bit anywhere behind what names the format is found. */
static void test_flipped_bits(void)
{
    store();
    const long size = stored_size();
    const int fd = open(stored_path().text, O_RDWR);
    CU_ASSERT_FATAL(fd >= 0);
    for (long at = 40; at < size; at += at < 4096 ? 37 : size / 97) {
        unsigned char byte;
        CU_ASSERT_EQUAL(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, at), 1);
        assert_unusable("checksum");
        byte ^= 0x10;
        CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
    struct vidur_cache_entry entry;
    CU_ASSERT_EQUAL(vidur_cache_open(&entry, dir.path, key, NULL), VIDUR_CACHE_FOUND);
    vidur_cache_close(&entry);
}

static void test_foreign(void)
{
    char name[80], text[8192];
    snprintf(name, sizeof name, "%s.h5", key);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    temp_dir_write(&dir, name, text);
    assert_unusable("not a timetable");
    memcpy(text, "\211HDF\r\n\032\n", 8);
    temp_dir_write(&dir, name, text);
    assert_unusable("not a timetable");
    /* The entry of another key under this name. */
    static const char other[] =
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    struct vidur_cache_entry entry;
    struct temp_path from;
    make_entry(&entry);
    CU_ASSERT_EQUAL(vidur_cache_store(&entry, dir.path, other, "", NULL), 0);
    vidur_cache_close(&entry);
    snprintf(name, sizeof name, "%s.h5", other);
    from = temp_dir_path(&dir, name);
    CU_ASSERT_EQUAL(rename(from.text, stored_path().text), 0);
    assert_unusable("other inputs");
}

/* A folder in the file's place can be neither read nor replaced. */
static void test_unwritable(void)
{
    struct vidur_cache_entry entry;
    struct vidur_cache_lock lock;
    struct vidur_error err = {0};
    make_entry(&entry);
    CU_ASSERT_EQUAL(vidur_cache_store(&entry, "/proc/nowhere", key, "", &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT(strstr(err.text, "/proc/nowhere") != NULL);
    CU_ASSERT_EQUAL(vidur_cache_lock(&lock, "/proc/nowhere", key, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    vidur_cache_unlock(&lock);
    vidur_cache_close(&entry);
}

/* A write that the system cuts off: the old file stays, and nothing else; nor does
 * HDF5 trip over it as the process exits. */
static int store_beyond_the_limit(void)
{
    struct vidur_cache_entry entry;
    struct vidur_error err = {0};
    const struct rlimit limit = {.rlim_cur = 10000, .rlim_max = 10000};
    make_entry(&entry);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    const int status = vidur_cache_store(&entry, dir.path, key, "", &err);
    vidur_cache_close(&entry);
    return status == -1 && err.code == VIDUR_EIO && strstr(err.text, "too large") ? 0
                                                                                  : 1;
}

static void test_full_disk(void)
{
    struct vidur_cache_entry entry;
    store();
    const int before = temp_dir_count(&dir, "");
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        exit(store_beyond_the_limit());
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(temp_dir_count(&dir, ""), before);
    CU_ASSERT_EQUAL(vidur_cache_open(&entry, dir.path, key, NULL), VIDUR_CACHE_FOUND);
    assert_entry(&entry);
    vidur_cache_close(&entry);
}

/* ---- Locks ---- */

enum { NUM_PROCESSES = 8, ROUNDS = 25 };

/* Reads, waits and writes back a counter: a lost update shows two holders at once. */
static int count_up(const char *path)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct vidur_cache_lock lock;
        int value = 0;
        if (vidur_cache_lock(&lock, dir.path, key, NULL))
            return 1;
        FILE *file = fopen(path, "r");
        const bool read = file && fscanf(file, "%d", &value) == 1;
        if (file)
            fclose(file);
        usleep(200);
        file = read ? fopen(path, "w") : NULL;
        if (!file || fprintf(file, "%d\n", value + 1) < 0 || fclose(file))
            return 1;
        vidur_cache_unlock(&lock);
    }
    return 0;
}

static void test_one_holder_at_a_time(void)
{
    const struct temp_path counter = temp_dir_write(&dir, "counter", "0\n");
    pid_t children[NUM_PROCESSES];
    for (int i = 0; i < NUM_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(count_up(counter.text));
    }
    for (int i = 0; i < NUM_PROCESSES; i++) {
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(children[i], &status, 0), children[i]);
        CU_ASSERT_EQUAL(status, 0);
    }
    int value = 0;
    FILE *file = fopen(counter.text, "r");
    CU_ASSERT(file && fscanf(file, "%d", &value) == 1);
    if (file)
        fclose(file);
    CU_ASSERT_EQUAL(value, NUM_PROCESSES * ROUNDS);
    CU_ASSERT_EQUAL(temp_dir_count(&dir, ".lock"), 0);
}

/* The lock of a process that died is free at once, and its file does not matter. */
static void test_death_of_the_holder(void)
{
    const pid_t child = fork();
    if (child == 0) {
        struct vidur_cache_lock lock;
        _exit(vidur_cache_lock(&lock, dir.path, key, NULL) ? 1 : 0);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(temp_dir_count(&dir, ".lock"), 1);
    struct vidur_cache_lock lock;
    CU_ASSERT_EQUAL(vidur_cache_lock(&lock, dir.path, key, NULL), 0);
    vidur_cache_unlock(&lock);
    CU_ASSERT_EQUAL(temp_dir_count(&dir, ".lock"), 0);
}

VIDUR_TEST_MAIN(
    "timetable cache", {"set up", set_up}, {"round trip", test_round_trip},
    {"an open entry outlives its file", test_an_open_entry_outlives_its_file},
    {"bytes are reproducible", test_bytes_are_reproducible},
    {"truncated", test_truncated}, {"flipped bits", test_flipped_bits},
    {"foreign", test_foreign}, {"unwritable", test_unwritable},
    {"full disk", test_full_disk}, {"one holder at a time", test_one_holder_at_a_time},
    {"death of the holder", test_death_of_the_holder}, {"clean up", clean_up})
