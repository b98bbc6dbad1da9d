#include "base/file.h"
#include "base/gz.h"
#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void expect_content(const char *path, const char *text)
{
    size_t size = 0;
    char *data = vidur_file_read(path, 0, &size, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    CU_ASSERT_STRING_EQUAL(data, text);
    CU_ASSERT_EQUAL(size, strlen(text));
    free(data);
}

static void test_write_and_read(void)
{
    const char *path = scratch_path("a.txt");
    CU_ASSERT_EQUAL(vidur_file_write(path, "one", 3, NULL), 0);
    expect_content(path, "one");
    CU_ASSERT_EQUAL(vidur_file_write(path, "", 0, NULL), 0);
    expect_content(path, "");
    CU_ASSERT(vidur_file_exists(path));
    CU_ASSERT_FALSE(vidur_file_exists(scratch_path("none")));
}

static void test_old_file_stays_until_commit(void)
{
    const char *path = scratch_path("b.txt");
    CU_ASSERT_EQUAL(vidur_file_write(path, "old", 3, NULL), 0);
    const int files = scratch_count();
    struct vidur_file *file = vidur_file_create(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("new", vidur_file_stream(file));
    fflush(vidur_file_stream(file));
    expect_content(path, "old");
    CU_ASSERT_EQUAL(scratch_count(), files + 1);
    vidur_file_discard(file);
    expect_content(path, "old");
    CU_ASSERT_EQUAL(scratch_count(), files);
    file = vidur_file_create(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("new", vidur_file_stream(file));
    CU_ASSERT_EQUAL(vidur_file_commit(file, NULL), 0);
    expect_content(path, "new");
    CU_ASSERT_EQUAL(scratch_count(), files);
    vidur_file_discard(NULL);
}

/* Two writers of one path do not see each other's temporary file. */
static void test_writers_do_not_mix(void)
{
    const char *path = scratch_path("c.txt");
    struct vidur_file *a = vidur_file_create(path, NULL);
    struct vidur_file *b = vidur_file_create(path, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    fputs("a", vidur_file_stream(a));
    fputs("b", vidur_file_stream(b));
    CU_ASSERT_EQUAL(vidur_file_commit(b, NULL), 0);
    expect_content(path, "b");
    CU_ASSERT_EQUAL(vidur_file_commit(a, NULL), 0);
    expect_content(path, "a");
}

static void test_errors_name_the_file(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_PTR_NULL(vidur_file_read("/nowhere/x", 0, NULL, &err));
    CU_ASSERT_STRING_EQUAL(err.text,
                           "/nowhere/x: cannot open: No such file or directory");
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_PTR_NULL(vidur_file_create("/nowhere/x", &err));
    CU_ASSERT_STRING_EQUAL(err.text,
                           "/nowhere/x: cannot write: No such file or directory");
    CU_ASSERT_PTR_NULL(vidur_file_read("/tmp", 0, NULL, &err));
    CU_ASSERT_STRING_EQUAL(err.text, "/tmp: cannot read: Is a directory");
    CU_ASSERT_PTR_NULL(vidur_file_create("/tmp", &err));
    CU_ASSERT_STRING_EQUAL(err.text, "/tmp: cannot write: Is a directory");
}

static void test_size_limit(void)
{
    struct vidur_error err = {0};
    char *big = calloc(1, 200000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    const char *path = scratch_file("big", big, 200000);
    CU_ASSERT_PTR_NULL(vidur_file_read(path, 199999, NULL, &err));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "larger than 199999 bytes"));
    char *data = vidur_file_read(path, 200000, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL(data);
    free(data);
    free(big);
}

static void test_full_disk_leaves_the_old_file(void)
{
    struct vidur_error err = {0};
    struct rlimit old, small = {1000, 1000};
    const char *path = scratch_path("full.txt");
    char *big = calloc(1, 100000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    CU_ASSERT_EQUAL(vidur_file_write(path, "old", 3, NULL), 0);
    const int files = scratch_count();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    CU_ASSERT_EQUAL(vidur_file_write(path, big, 100000, &err), -1);
    setrlimit(RLIMIT_FSIZE, &old);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "full.txt: cannot write: File too large"));
    expect_content(path, "old");
    CU_ASSERT_EQUAL(scratch_count(), files);
    free(big);
}

/* /dev/full takes every byte back: what a full disk does, on a path that is no file. */
static void test_devices_are_written_directly(void)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_file_write("/dev/null", "x", 1, &err), 0);
    if (!vidur_file_exists("/dev/full"))
        return;
    CU_ASSERT_EQUAL(vidur_file_write("/dev/full", "x", 1, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "/dev/full: cannot write: No space left on device");
}

static void test_folders(void)
{
    struct vidur_error err = {0};
    char path[600], file[600];
    struct stat st;
    snprintf(path, sizeof path, "%s/x/", scratch_path("p"));
    CU_ASSERT_EQUAL(vidur_file_make_folder(path, &err), 0);
    CU_ASSERT_EQUAL(vidur_file_make_folder(path, &err), 0);
    CU_ASSERT(stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    snprintf(file, sizeof file, "%sf", path);
    CU_ASSERT_EQUAL(vidur_file_write(file, "", 0, NULL), 0);
    CU_ASSERT_EQUAL(vidur_file_make_folder(file, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot make the folder"));
    CU_ASSERT_EQUAL(vidur_file_make_folder("", &err), -1);
    unlink(file);
    rmdir(path);
}

static void test_crash_leftovers_do_not_block(void)
{
    char name[80];
    snprintf(name, sizeof name, "d.txt.tmp-%ld-0", (long)getpid());
    scratch_file(name, "junk", 4);
    const char *path = scratch_path("d.txt");
    CU_ASSERT_EQUAL(vidur_file_write(path, "fine", 4, NULL), 0);
    expect_content(path, "fine");
}

VIDUR_TEST_MAIN("file", {"write and read", test_write_and_read},
                {"old file stays until commit", test_old_file_stays_until_commit},
                {"writers do not mix", test_writers_do_not_mix},
                {"errors name the file", test_errors_name_the_file},
                {"size limit", test_size_limit},
                {"full disk leaves the old file", test_full_disk_leaves_the_old_file},
                {"devices are written directly", test_devices_are_written_directly},
                {"folders", test_folders},
                {"crash leftovers do not block", test_crash_leftovers_do_not_block})
