#include <errno.h>
#include <sys/file.h>

/* Preloaded by a test: a file system without locks, as NFS or Lustre may be mounted. */
int flock(int fd, int operation)
{
    (void)fd, (void)operation;
    errno = ENOLCK;
    return -1;
}
