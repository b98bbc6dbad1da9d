#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct vidur_file {
    FILE *stream;
    char *path;
    char *temporary; /* NULL: written directly */
};

int vidur_file_fail(struct vidur_error *err, const char *path, const char *doing)
{
    char why[128];
    const int code = errno;
    if (code == 0 || strerror_r(code, why, sizeof why) != 0)
        snprintf(why, sizeof why, "error %d", code);
    return vidur_fail(err, code == ENOMEM ? VIDUR_ENOMEM : VIDUR_EIO, "%s: %s: %s",
                      path, doing, why);
}

static void file_free(struct vidur_file *file)
{
    free(file->path);
    free(file->temporary);
    free(file);
}

/* O_EXCL, not the process id alone, keeps names apart: ranks on several nodes share the
 * file system, and leftovers of a crash may lie there. */
static int open_temporary(struct vidur_file *file)
{
    const size_t size = strlen(file->path) + 48;
    if (!(file->temporary = malloc(size)))
        return -1;
    for (int attempt = 0; attempt < 10000; attempt++) {
        snprintf(file->temporary, size, "%s.tmp-%ld-%d", file->path, (long)getpid(),
                 attempt);
        const int fd =
            open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static int open_output(struct vidur_file *file)
{
    struct stat st;
    if (stat(file->path, &st) == 0 && !S_ISREG(st.st_mode))
        return open(file->path, O_WRONLY | O_CLOEXEC);
    return open_temporary(file);
}

struct vidur_file *vidur_file_create(const char *path, struct vidur_error *err)
{
    struct vidur_file *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path))) {
        free(file);
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    const int fd = open_output(file);
    if (fd >= 0 && (file->stream = fdopen(fd, "wb")))
        return file;
    vidur_file_fail(err, path, "cannot write");
    if (fd >= 0) {
        close(fd);
        if (file->temporary)
            unlink(file->temporary);
    }
    file_free(file);
    return NULL;
}

FILE *vidur_file_stream(struct vidur_file *file)
{
    return file->stream;
}

/* Some file systems refuse to sync a folder; the data is safe by then, so that is no
 * error. */
void vidur_file_sync_folder(const char *path)
{
    char *folder = strdup(path);
    if (!folder)
        return;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    const int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

int vidur_file_commit(struct vidur_file *file, struct vidur_error *err)
{
    errno = 0;
    bool ok = fflush(file->stream) == 0 && !ferror(file->stream);
    if (ok && file->temporary)
        ok = fsync(fileno(file->stream)) == 0;
    const int first_errno = errno;
    if (fclose(file->stream) != 0)
        ok = false;
    else if (!ok)
        errno = first_errno ? first_errno : EIO;
    if (ok && file->temporary)
        ok = rename(file->temporary, file->path) == 0;
    if (!ok) {
        vidur_file_fail(err, file->path, "cannot write");
        if (file->temporary)
            unlink(file->temporary);
    } else if (file->temporary) {
        vidur_file_sync_folder(file->path);
    }
    file_free(file);
    return ok ? 0 : -1;
}

void vidur_file_discard(struct vidur_file *file)
{
    if (!file)
        return;
    fclose(file->stream);
    if (file->temporary)
        unlink(file->temporary);
    file_free(file);
}

int vidur_file_write(const char *path, const void *data, size_t size,
                     struct vidur_error *err)
{
    struct vidur_file *file = vidur_file_create(path, err);
    if (!file)
        return -1;
    errno = 0;
    if (size > 0 && fwrite(data, 1, size, file->stream) < size) {
        vidur_file_fail(err, path, "cannot write");
        vidur_file_discard(file);
        return -1;
    }
    return vidur_file_commit(file, err);
}

/* Reads to the end; grows as it goes, since pipes have no size. */
static char *read_stream(FILE *in, size_t max_bytes, size_t *length)
{
    size_t capacity = 1 << 16;
    char *data = malloc(capacity);
    *length = 0;
    while (data) {
        *length += fread(data + *length, 1, capacity - 1 - *length, in);
        if (*length < capacity - 1 || *length > max_bytes)
            break;
        char *larger = realloc(data, capacity *= 2);
        if (!larger)
            free(data);
        data = larger;
    }
    if (data)
        data[*length] = '\0';
    return data;
}

char *vidur_file_read(const char *path, size_t max_bytes, size_t *size,
                      struct vidur_error *err)
{
    FILE *in = fopen(path, "rbe");
    if (!in) {
        vidur_file_fail(err, path, "cannot open");
        return NULL;
    }
    const size_t limit = max_bytes ? max_bytes : SIZE_MAX - 1;
    size_t length;
    errno = 0;
    char *data = read_stream(in, limit, &length);
    if (!data) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    } else if (ferror(in) || length > limit) {
        if (ferror(in))
            vidur_file_fail(err, path, "cannot read");
        else
            vidur_fail(err, VIDUR_EINVAL, "%s: larger than %zu bytes", path, limit);
        free(data);
        data = NULL;
    }
    fclose(in);
    if (data && size)
        *size = length;
    return data;
}

static int make_one(const char *path)
{
    struct stat st;
    if (mkdir(path, 0777) == 0)
        return 0;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    return -1;
}

int vidur_file_make_folder(const char *path, struct vidur_error *err)
{
    char *partial = strdup(path);
    if (!partial)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    bool ok = true;
    for (char *p = partial + 1; ok && partial[0] && *p; p++)
        if (*p == '/') {
            *p = '\0';
            ok = make_one(partial) == 0;
            *p = '/';
        }
    ok = ok && make_one(partial) == 0;
    if (!ok)
        vidur_file_fail(err, path, "cannot make the folder");
    free(partial);
    return ok ? 0 : -1;
}

bool vidur_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
