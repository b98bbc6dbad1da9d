#define _DEFAULT_SOURCE /* flock */

#include "tables/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct vidur_error *err, const char *path, const char *doing)
{
    char why[128];
    if (strerror_r(errno, why, sizeof why) != 0)
        snprintf(why, sizeof why, "error %d", errno);
    return vidur_fail(err, VIDUR_EIO, "%s: %s: %s", path, doing, why);
}

/* Some network file systems have no locks. Then several may build the same entry, which
 * costs time and nothing else: files are renamed into place whole. */
static int lock_file(int fd)
{
    while (flock(fd, LOCK_EX))
        if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS)
            return 0;
        else if (errno != EINTR)
            return -1;
    return 0;
}

/* The holder removes the file before it lets go, so a lock may have been won on a file
 * that is no longer at the path; then the next one must be taken. */
static bool still_there(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

int vidur_cache_lock(struct vidur_cache_lock *lock, const char *folder, const char *key,
                     struct vidur_error *err)
{
    const int n = snprintf(lock->path, sizeof lock->path, "%s/%s.lock", folder, key);
    lock->fd = -1;
    if (n < 0 || (size_t)n >= sizeof lock->path)
        return vidur_fail(err, VIDUR_EIO, "%.60s...: path too long", folder);
    for (;;) {
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock->fd < 0)
            return fail(err, lock->path, "cannot create a lock");
        if (lock_file(lock->fd)) {
            fail(err, lock->path, "cannot lock");
            close(lock->fd);
            lock->fd = -1;
            return -1;
        }
        if (still_there(lock->fd, lock->path))
            return 0;
        close(lock->fd);
    }
}

void vidur_cache_unlock(struct vidur_cache_lock *lock)
{
    if (lock->fd < 0)
        return;
    unlink(lock->path);
    close(lock->fd);
    lock->fd = -1;
}
