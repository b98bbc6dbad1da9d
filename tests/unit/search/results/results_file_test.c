#include "results/results_seal.h"
#include "synthetic_results.h"
#include "test.h"

#include "base/file.h"

#include <vidur/results.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Damaged files, byte by byte: reading gives the results or a refusal, never a signal
 * and never other results. VIDUR_FUZZ_ROUNDS multiplies the bytes tried.
 */

static char path[] = "/tmp/vidur-damage-XXXXXX";

static void make_path(void)
{
    if (strchr(path, 'X'))
        close(mkstemp(path));
}

struct file {
    char *bytes;
    size_t size;
    struct vidur_results results; /* what it holds */
};

static struct file make_file(bool sealed)
{
    struct file file;
    make_path();
    synthetic_results(&file.results, 4, 21);
    CU_ASSERT_EQUAL_FATAL(vidur_results_write(path, &file.results, NULL), 0);
    file.bytes = vidur_file_read(path, 0, &file.size, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file.bytes);
    size_t content = file.size;
    CU_ASSERT_EQUAL(results_check_seal(file.bytes, &content), RESULTS_SEALED);
    CU_ASSERT_EQUAL(file.size - content, strlen("\nvidur-search SHA-256 \n") + 64);
    file.size = sealed ? file.size : content; /* as earlier versions wrote it */
    return file;
}

static void free_file(struct file *file)
{
    free(file->bytes);
    vidur_results_destroy(&file->results);
}

static long rounds(void)
{
    const char *text = getenv("VIDUR_FUZZ_ROUNDS");
    const long value = text ? atol(text) : 1;
    return value > 0 ? value : 1;
}

static bool is_whole(const struct vidur_results *a, const struct vidur_results *b)
{
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    if (a->num_ranking != b->num_ranking || a->num_probes != b->num_probes ||
        a->num_facts != b->num_facts || strcmp(a->config_text, b->config_text) != 0)
        return false;
    for (int64_t i = 0; i < a->num_ranking; i++)
        if (!vidur_rows_equal(columns, count, &a->ranking[i], &b->ranking[i], NULL))
            return false;
    return true;
}

/* Puts one byte into the file and reads it. False: neither refused nor right. */
static bool read_with(const struct file *file, int fd, size_t at, unsigned char value,
                      int *refusals)
{
    struct vidur_results read;
    struct vidur_error err = {0};
    if (pwrite(fd, &value, 1, (off_t)at) != 1)
        return false;
    const bool refused = vidur_results_read(path, &read, &err) != 0;
    const bool right =
        refused ? err.code == VIDUR_ECORRUPT : is_whole(&file->results, &read);
    if (refused)
        ++*refusals;
    else
        vidur_results_destroy(&read);
    return pwrite(fd, &file->bytes[at], 1, (off_t)at) == 1 && right;
}

/* Every `step`th byte becomes one of a few others; in this process. */
static int damage_bytes(const struct file *file, size_t step)
{
    static const unsigned char masks[] = {0xFF, 0x99, 0x01, 0x80, 0x10};
    int wrong = 0, refused = 0;
    const int fd = open(path, O_RDWR | O_TRUNC);
    if (fd < 0 || write(fd, file->bytes, file->size) != (ssize_t)file->size)
        return 1;
    for (size_t at = 0, i = 0; at < file->size; at += step, i++) {
        const unsigned char mask = masks[i % sizeof masks];
        wrong +=
            !read_with(file, fd, at, (unsigned char)file->bytes[at] ^ mask, &refused);
    }
    close(fd);
    return wrong;
}

/* HDF5 leaks where it refuses a file, and a signal must not end the test: a child
 * reads. `run` returns how often reading went wrong. */
static void check_in_child(bool sealed, int (*run)(const struct file *, size_t),
                           size_t argument)
{
    struct file file = make_file(sealed);
    fflush(stdout);
    const pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0)
        _exit(run(&file, argument) != 0);
    int status = -1;
    waitpid(child, &status, 0);
    CU_ASSERT_FALSE(WIFSIGNALED(status));
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free_file(&file);
}

static void test_sealed_file(void)
{
    check_in_child(true, damage_bytes, rounds() > 1 ? 1 : 7);
}

/* Files of earlier versions have no checksum over all: HDF5 meets their damage. */
static void test_unsealed_file(void)
{
    const long step = 401 / rounds();
    check_in_child(false, damage_bytes, step > 1 ? (size_t)step : 1);
}

static size_t find_heap(const struct file *file)
{
    size_t at = 0;
    while (at + 4 < file->size && memcmp(file->bytes + at, "GCOL", 4) != 0)
        at++;
    return at;
}

/* The place that ended the program: the head of the heap that attributes' texts are in,
 * with its first objects. */
static int damage_heap(const struct file *file, size_t count)
{
    int wrong = 0, refused = 0;
    const size_t heap = find_heap(file);
    const int fd = open(path, O_RDWR | O_TRUNC);
    if (fd < 0 || heap + count > file->size ||
        write(fd, file->bytes, file->size) != (ssize_t)file->size)
        return 1;
    for (size_t at = heap; at < heap + count; at++)
        wrong +=
            !read_with(file, fd, at, (unsigned char)file->bytes[at] ^ 0x99, &refused);
    close(fd);
    return wrong + (refused == 0);
}

static void test_heap_of_texts(void)
{
    check_in_child(true, damage_heap, 40);
    check_in_child(false, damage_heap, 40);
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '\\')
            return false;
    return true;
}

/* What HDF5 says of a file that was cut off is text, and not of memory that it freed.
 */
static void test_cut_file(void)
{
    struct file file = make_file(false);
    for (int part = 1; part < 24; part++) {
        struct vidur_error err = {0};
        struct vidur_results results;
        const size_t left = file.size * (size_t)part / 24;
        CU_ASSERT_EQUAL(vidur_file_write(path, file.bytes, left, NULL), 0);
        CU_ASSERT_EQUAL(vidur_results_read(path, &results, &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "damaged or truncated ("));
        CU_ASSERT_PTR_NULL(strstr(err.text, "()"));
        if (!is_plain(err.text)) {
            printf("\n%zu bytes: %s\n", left, err.text);
            CU_FAIL("a message is not text");
        }
    }
    free_file(&file);
}

/* ---- the seal ---- */

static void test_seal(void)
{
    size_t size = 3;
    char *sealed = results_seal(strdup("abc"), &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sealed);
    static const char expected[] =
        "abc\nvidur-search SHA-256 "
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
    CU_ASSERT_EQUAL(size, sizeof expected - 1);
    CU_ASSERT_EQUAL(memcmp(sealed, expected, size), 0);
    size_t content = size;
    CU_ASSERT_EQUAL(results_check_seal(sealed, &content), RESULTS_SEALED);
    CU_ASSERT_EQUAL(content, 3);
    content = size - 1;
    CU_ASSERT_EQUAL(results_check_seal(sealed, &content), RESULTS_SEAL_BROKEN);
    content = 3;
    CU_ASSERT_EQUAL(results_check_seal(sealed, &content), RESULTS_NOT_SEALED);
    content = 0;
    CU_ASSERT_EQUAL(results_check_seal(sealed, &content), RESULTS_NOT_SEALED);
    sealed[1] ^= 1;
    content = size;
    CU_ASSERT_EQUAL(results_check_seal(sealed, &content), RESULTS_SEAL_BROKEN);
    free(sealed);
}

static void do_nothing(void *context)
{
    (void)context;
}

static void crash(void *context)
{
    (void)context;
    raise(SIGSEGV);
}

static void never_end(void *context)
{
    (void)context;
    for (volatile int i = 0;; i = !i) {
    }
}

static void test_child(void)
{
    CU_ASSERT_EQUAL(results_try_in_child(do_nothing, NULL, 5), 1);
    CU_ASSERT_EQUAL(results_try_in_child(crash, NULL, 5), 0);
    CU_ASSERT_EQUAL(results_try_in_child(never_end, NULL, 1), 0);
}

static void remove_file(void)
{
    CU_ASSERT_EQUAL(unlink(path), 0);
}

VIDUR_TEST_MAIN("results file", {"a function that may crash", test_child},
                {"the seal", test_seal},
                {"damage anywhere in a file", test_sealed_file},
                {"damage in a file without a checksum", test_unsealed_file},
                {"damage in the heap of texts", test_heap_of_texts},
                {"a file that was cut off", test_cut_file}, {"clean up", remove_file})
