#include "test.h"

#include "study/journal.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[256];

static const struct journal_identity identity = {
    .config_sha256 = "0123", .version = "1.0", .layout = 7, .num_candidates = 42};

static void in_new_folder(void)
{
    static char folder[] = "/tmp/vidur-journal-XXXXXX";
    static bool made;
    if (!made)
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    made = true;
    snprintf(path, sizeof path, "%s/j", folder);
    unlink(path);
}

/* Records 0 .. n-1: type i % 3, payload of i bytes with the value i. */
struct seen {
    int count;
    int wrong;
    int stop_at;
};

static int see(void *context, uint32_t type, const void *payload, size_t bytes,
               struct vidur_error *err)
{
    struct seen *seen = context;
    const int i = seen->count++;
    if (i + 1 == seen->stop_at)
        return vidur_fail(err, VIDUR_EINVAL, "enough");
    seen->wrong += type != (uint32_t)(i % 3) || bytes != (size_t)i;
    for (size_t b = 0; b < bytes; b++)
        seen->wrong += ((const unsigned char *)payload)[b] != (unsigned char)i;
    return 0;
}

static struct journal *resume(const struct journal_identity *wanted, struct seen *seen,
                              struct vidur_error *err)
{
    struct journal_reading reading = {.reader = see, .context = seen};
    return journal_resume(path, wanted, &reading, err);
}

static void append(struct journal *journal, int first, int count)
{
    unsigned char payload[512];
    for (int i = first; i < first + count; i++) {
        memset(payload, i, sizeof payload);
        CU_ASSERT_EQUAL(
            journal_append(journal, (uint32_t)(i % 3), payload, (size_t)i, NULL), 0);
    }
}

static void make(int count)
{
    in_new_folder();
    struct journal *journal = journal_create(path, &identity, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(journal);
    append(journal, 0, count);
    CU_ASSERT_EQUAL(journal_commit(journal, true, NULL), 0);
    journal_close(journal);
}

static long size_of_file(void)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static int resume_count(int *wrong, int64_t *cut)
{
    struct seen seen = {0};
    struct vidur_error err = {0};
    struct journal_reading reading = {.reader = see, .context = &seen};
    struct journal *journal = journal_resume(path, &identity, &reading, &err);
    CU_ASSERT_PTR_NOT_NULL(journal);
    journal_close(journal);
    *cut = reading.cut_bytes;
    *wrong = seen.wrong;
    return seen.count;
}

static void test_round_trip_and_append(void)
{
    int wrong;
    int64_t cut = -1;
    make(100);
    CU_ASSERT_EQUAL(resume_count(&wrong, &cut), 100);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(cut, 0);
    struct seen seen = {0};
    struct journal *journal = resume(&identity, &seen, NULL);
    append(journal, 100, 50);
    CU_ASSERT_EQUAL(journal_commit(journal, false, NULL), 0);
    append(journal, 150, 10); /* never committed */
    journal_close(journal);
    CU_ASSERT_EQUAL(resume_count(&wrong, &cut), 150);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(cut, 0);
}

/* However much of the file made it to the disk, the whole records in it are kept. */
static void test_torn_tail_at_every_length(void)
{
    make(12);
    const long whole = size_of_file();
    static char bytes[100000];
    if (whole <= 0 || whole > (long)sizeof bytes) {
        CU_FAIL("no journal");
        return;
    }
    int fd = open(path, O_RDONLY);
    CU_ASSERT_EQUAL(read(fd, bytes, (size_t)whole), whole);
    close(fd);
    int last = 12;
    const long head = 12 + (long)sizeof identity;
    for (long length = whole; length >= head; length--) {
        int wrong;
        int64_t cut;
        fd = open(path, O_WRONLY | O_TRUNC);
        CU_ASSERT_EQUAL(write(fd, bytes, (size_t)length), length);
        close(fd);
        const int count = resume_count(&wrong, &cut);
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_TRUE(count == last || count == last - 1);
        CU_ASSERT_EQUAL(size_of_file(), length - cut);
        last = count;
        CU_ASSERT_EQUAL(resume_count(&wrong, &cut), count); /* was cut for good */
        CU_ASSERT_EQUAL(cut, 0);
    }
    CU_ASSERT_EQUAL(last, 0);
    char copy[300];
    snprintf(copy, sizeof copy, "%s.damaged", path);
    CU_ASSERT_NOT_EQUAL(access(copy, F_OK), 0); /* a torn tail is no damage */
}

static void test_damage_ends_the_reading(void)
{
    int wrong;
    int64_t cut;
    make(30);
    const long whole = size_of_file();
    const int fd = open(path, O_RDWR);
    CU_ASSERT_EQUAL(pwrite(fd, "x", 1, whole / 2), 1);
    close(fd);
    const int count = resume_count(&wrong, &cut);
    CU_ASSERT_TRUE(count > 10 && count < 30);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(cut > 0);
    CU_ASSERT_EQUAL(size_of_file(), whole - cut);
    /* What is behind it was whole: the file as it was is kept. */
    char copy[300];
    struct stat st = {0};
    snprintf(copy, sizeof copy, "%s.damaged", path);
    CU_ASSERT_EQUAL(stat(copy, &st), 0);
    CU_ASSERT_EQUAL((long)st.st_size, whole);
    unlink(copy);
    CU_ASSERT_EQUAL(resume_count(&wrong, &cut), count);
    CU_ASSERT_NOT_EQUAL(stat(copy, &st), 0); /* once is enough */
}

static void expect_refused(const struct journal_identity *wanted,
                           enum vidur_error_code code, const char *words)
{
    struct seen seen = {0};
    struct vidur_error err = {0};
    const long before = size_of_file();
    CU_ASSERT_PTR_NULL(resume(wanted, &seen, &err));
    CU_ASSERT_EQUAL(err.code, code);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, words));
    CU_ASSERT_EQUAL(seen.count, 0);
    CU_ASSERT_EQUAL(size_of_file(), before); /* untouched */
}

static void test_foreign_journals_are_refused(void)
{
    make(5);
    struct journal_identity other = identity;
    snprintf(other.config_sha256, sizeof other.config_sha256, "4567");
    expect_refused(&other, VIDUR_EINVAL, "another configuration");
    other = identity;
    snprintf(other.version, sizeof other.version, "2.0");
    expect_refused(&other, VIDUR_EINVAL, "written by vidur-search 1.0, this is 2.0");
    other = identity;
    other.layout = 8;
    expect_refused(&other, VIDUR_EINVAL,
                   "written by another build of vidur-search 1.0, whose records");
    FILE *file = fopen(path, "w");
    fputs("rank,candidate_id,model\n", file);
    fclose(file);
    expect_refused(&identity, VIDUR_ECORRUPT, "not a journal");
    fclose(fopen(path, "w"));
    expect_refused(&identity, VIDUR_ECORRUPT, "not a journal");
    unlink(path);
    expect_refused(&identity, VIDUR_EIO, "No such file");
}

static void test_reader_can_refuse(void)
{
    struct seen seen = {.stop_at = 3};
    struct vidur_error err = {0};
    make(5);
    CU_ASSERT_PTR_NULL(resume(&identity, &seen, &err));
    CU_ASSERT_STRING_EQUAL(err.text, "enough");
}

/* A limit on the file's size stands in for a full disk. */
static int fill_disk(void)
{
    signal(SIGXFSZ, SIG_IGN);
    struct journal *journal = journal_create(path, &identity, NULL);
    const struct rlimit limit = {4096, 4096};
    struct vidur_error err = {0};
    char payload[300] = {0};
    int written = 0;
    if (!journal || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 100;
    for (; written < 50; written++) {
        memset(payload, written, sizeof payload);
        journal_append(journal, (uint32_t)(written % 3), payload, (size_t)written,
                       NULL);
        if (journal_commit(journal, true, &err) != 0)
            break;
        journal_append(journal, 99, payload, sizeof payload, NULL); /* not counted */
        if (journal_commit(journal, false, &err) != 0)
            break;
    }
    if (err.code != VIDUR_EIO || !strstr(err.text, "cannot write"))
        return 101;
    if (journal_commit(journal, true, &err) == 0)
        return 102;
    journal_close(journal);
    return written;
}

static int count_small(void *context, uint32_t type, const void *payload, size_t bytes,
                       struct vidur_error *err)
{
    (void)payload, (void)err;
    if (type != 99 && bytes == (size_t) * (int *)context)
        ++*(int *)context;
    return 0;
}

static void test_full_disk_keeps_what_was_written(void)
{
    in_new_folder();
    const pid_t child = fork();
    if (child == 0)
        _exit(fill_disk());
    int status = 0, count = 0;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
    CU_ASSERT_TRUE(WEXITSTATUS(status) > 3 && WEXITSTATUS(status) < 50);
    struct journal_reading reading = {.reader = count_small, .context = &count};
    struct journal *journal = journal_resume(path, &identity, &reading, NULL);
    CU_ASSERT_PTR_NOT_NULL(journal);
    CU_ASSERT_TRUE(count == WEXITSTATUS(status) || count == WEXITSTATUS(status) + 1);
    CU_ASSERT_EQUAL(reading.cut_bytes, 0); /* the writer took its half record back */
    journal_close(journal);
}

static void test_one_writer_at_a_time(void)
{
    make(3);
    struct seen seen = {0};
    struct journal *journal = resume(&identity, &seen, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(journal);
    const pid_t child = fork();
    if (child == 0) {
        struct vidur_error err = {0};
        struct journal *second = resume(&identity, &seen, &err);
        struct journal *third = journal_create(path, &identity, &err);
        _exit(!second && !third && strstr(err.text, "another vidur-search") ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    journal_close(journal);
    CU_ASSERT_TRUE(size_of_file() > 100); /* the refused creation did not empty it */
}

/* However little of a first record is there; anything else is no beginning of one. */
static void test_stubs(void)
{
    make(0);
    const long whole = size_of_file();
    CU_ASSERT_FALSE(journal_is_stub(path));
    for (long length = whole - 1; length >= 0; length--) {
        CU_ASSERT_EQUAL(truncate(path, length), 0);
        CU_ASSERT_TRUE(journal_is_stub(path));
    }
    FILE *file = fopen(path, "w");
    fputs("notes", file);
    fclose(file);
    CU_ASSERT_FALSE(journal_is_stub(path));
    unlink(path);
    CU_ASSERT_FALSE(journal_is_stub(path));
}

/* A child holds the journal: neither set aside nor replaced, and not another's removed.
 */
static void test_names_belong_to_the_writer(void)
{
    int ready[2];
    char aside[300], word = 0;
    struct vidur_error err = {0};
    make(3);
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct seen seen = {0};
        struct journal *journal = resume(&identity, &seen, &err);
        (void)!write(ready[1], "x", 1);
        while (access(path, F_OK) == 0)
            sched_yield();
        fclose(fopen(path, "w")); /* another file of that name */
        journal_remove(journal);
        _exit(access(path, F_OK) == 0 ? 0 : 1);
    }
    CU_ASSERT_EQUAL(read(ready[0], &word, 1), 1);
    CU_ASSERT_EQUAL(journal_set_aside(path, aside, sizeof aside, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "another vidur-search is writing it"));
    unlink(path);
    int status = 1;
    waitpid(child, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    close(ready[0]);
    close(ready[1]);
}

static void test_set_aside_keeps_all(void)
{
    static const char *const names[] = {"%s.old", "%s.old.1", "%s.old.2"};
    char aside[300], wanted[300];
    for (int i = 0; i < 3; i++) {
        make(i);
        CU_ASSERT_EQUAL(journal_set_aside(path, aside, sizeof aside, NULL), 0);
        snprintf(wanted, sizeof wanted, names[i], path);
        CU_ASSERT_STRING_EQUAL(aside, wanted);
        CU_ASSERT_EQUAL(size_of_file(), -1);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(wanted, sizeof wanted, names[i], path);
        CU_ASSERT_EQUAL(unlink(wanted), 0);
    }
}

static void test_room(void)
{
    struct vidur_error err = {0};
    in_new_folder();
    CU_ASSERT_EQUAL(journal_check_room(path, 1000, &err), 0);
    CU_ASSERT_EQUAL(size_of_file(), -1);
    CU_ASSERT_EQUAL(journal_check_room(path, INT64_MAX / 2, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "MB are left"));
    CU_ASSERT_EQUAL(journal_check_room("/no/such/folder/j", 10, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/no/such/folder"));
    CU_ASSERT_PTR_NULL(journal_create("/no/such/folder/j", &identity, &err));
    *strrchr(path, '/') = 0; /* the last test: the folder is empty */
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

VIDUR_TEST_MAIN("journal", {"round trip and append", test_round_trip_and_append},
                {"torn tail at every length", test_torn_tail_at_every_length},
                {"damage ends the reading", test_damage_ends_the_reading},
                {"foreign journals are refused", test_foreign_journals_are_refused},
                {"the reader can refuse", test_reader_can_refuse},
                {"full disk", test_full_disk_keeps_what_was_written},
                {"one writer at a time", test_one_writer_at_a_time},
                {"stubs", test_stubs},
                {"names belong to the writer", test_names_belong_to_the_writer},
                {"setting aside keeps all", test_set_aside_keeps_all},
                {"room", test_room})
