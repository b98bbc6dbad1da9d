#include "study/journal.h"

#include "base/file.h"
#include "base/gz.h"
#include "base/progress.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    IDENTITY = 0x4c4a4456, /* "VDJL": the first record's type, and the file's mark */
    MAX_PAYLOAD = 1 << 20,
    FRAME = 3 * sizeof(uint32_t) /* length, type, CRC */
};

struct journal {
    int fd;
    char path[1024];
    int64_t end; /* of the last whole record */
    struct vidur_text pending;
    bool broken;
};

static int fail_locked(const char *path, struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_EIO,
                      "%s: another vidur-search is writing it; wait for its end or "
                      "choose another output with -o",
                      path);
}

/* Is the file still the one of that name? It may have been renamed or removed. */
static bool is_at(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static bool lock(int fd, double patience_s)
{
    const struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const struct timespec nap = {.tv_nsec = 100000000};
    const double end_s = vidur_monotonic_s() + patience_s;
    while (fcntl(fd, F_SETLK, &lock) != 0) {
        if (errno != EACCES && errno != EAGAIN)
            return true; /* a file system without locks */
        if (vidur_monotonic_s() >= end_s)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

static struct journal *new_journal(const char *path, struct vidur_error *err)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (journal)
        snprintf(journal->path, sizeof journal->path, "%s", path);
    else
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    return journal;
}

/* Opens what has the name `path` and locks it. */
static struct journal *open_file(const char *path, double patience_s,
                                 struct vidur_error *err)
{
    struct journal *journal = new_journal(path, err);
    if (!journal)
        return NULL;
    while ((journal->fd = open(path, O_RDWR | O_CLOEXEC)) >= 0) {
        if (!lock(journal->fd, patience_s)) {
            fail_locked(path, err);
            journal_close(journal);
            return NULL;
        }
        if (is_at(journal->fd, path))
            return journal;
        close(journal->fd);
    }
    vidur_file_fail(err, path, "cannot open the journal of the search");
    free(journal);
    return NULL;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    free(journal->pending.data);
    free(journal);
}

/* ---- Writing ---- */

size_t journal_record_bytes(size_t payload_bytes)
{
    return FRAME + payload_bytes;
}

int journal_append(struct journal *journal, uint32_t type, const void *payload,
                   size_t bytes, struct vidur_error *err)
{
    if (bytes > MAX_PAYLOAD)
        return vidur_fail(err, VIDUR_EINVAL, "%s: a record of %zu bytes", journal->path,
                          bytes);
    const uint32_t head[2] = {(uint32_t)bytes, type};
    uint32_t crc = vidur_crc32(0, head, sizeof head);
    crc = vidur_crc32(crc, payload, bytes);
    vidur_text_add(&journal->pending, (const char *)head, sizeof head);
    vidur_text_add(&journal->pending, payload, bytes);
    vidur_text_add(&journal->pending, (const char *)&crc, sizeof crc);
    if (journal->pending.failed)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", journal->path);
    return 0;
}

/* Takes back what a failed write left of the pending records. */
static int give_up(struct journal *journal, const char *doing, struct vidur_error *err)
{
    vidur_file_fail(err, journal->path, doing);
    journal->broken = true;
    if (ftruncate(journal->fd, (off_t)journal->end) != 0)
        return -1; /* then the next reader cuts the tail */
    return -1;
}

int journal_commit(struct journal *journal, bool durable, struct vidur_error *err)
{
    const char *data = journal->pending.data;
    size_t left = journal->pending.length;
    if (journal->broken)
        return vidur_fail(err, VIDUR_EIO, "%s: an earlier write failed", journal->path);
    while (left > 0) {
        const ssize_t written = write(journal->fd, data, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return give_up(journal, "cannot write the journal of the search", err);
        data += written;
        left -= (size_t)written;
    }
    if (durable && fsync(journal->fd) != 0)
        return give_up(journal, "cannot write the journal of the search to disk", err);
    journal->end += (int64_t)journal->pending.length;
    journal->pending.length = 0;
    return 0;
}

/* Opens a new file beside `path`, under a name of its own, and locks it. */
static struct journal *open_new(const char *path, char *temporary, size_t size,
                                struct vidur_error *err)
{
    struct journal *journal = new_journal(path, err);
    if (!journal)
        return NULL;
    for (int i = 0; i < 1000; i++) {
        snprintf(temporary, size, "%s.tmp-%ld-%d", path, (long)getpid(), i);
        journal->fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (journal->fd >= 0 || errno != EEXIST)
            break;
    }
    if (journal->fd >= 0 && lock(journal->fd, 0))
        return journal;
    vidur_file_fail(err, path, "cannot begin the journal of the search");
    free(journal);
    return NULL;
}

/* Gives the new file its name, unless another process did so with its own. */
static int publish(const char *temporary, const char *path, struct vidur_error *err)
{
    struct journal *old = NULL;
    if (vidur_file_exists(path) && !(old = open_file(path, 0, err)))
        return -1;
    if (old)
        unlink(path);
    journal_close(old);
    int rc = link(temporary, path);
    if (rc == 0)
        unlink(temporary);
    else if (errno == EEXIST)
        return fail_locked(path, err);
    else
        rc = rename(temporary, path); /* a file system without links */
    if (rc != 0)
        return vidur_file_fail(err, path, "cannot begin the journal of the search");
    vidur_file_sync_folder(path);
    return 0;
}

struct journal *journal_create(const char *path,
                               const struct journal_identity *identity,
                               struct vidur_error *err)
{
    char temporary[1100];
    struct journal *journal = open_new(path, temporary, sizeof temporary, err);
    if (!journal)
        return NULL;
    if (journal_append(journal, IDENTITY, identity, sizeof *identity, err) != 0 ||
        journal_commit(journal, true, err) != 0 || publish(temporary, path, err) != 0) {
        unlink(temporary);
        journal_close(journal);
        return NULL;
    }
    return journal;
}

void journal_remove(struct journal *journal)
{
    if (journal && is_at(journal->fd, journal->path))
        unlink(journal->path);
    journal_close(journal);
}

/* PATH.SUFFIX, PATH.SUFFIX.1, ...: the first that is not there. */
static int find_free_name(const char *path, const char *suffix, char *out, size_t size,
                          struct vidur_error *err)
{
    snprintf(out, size, "%s.%s", path, suffix);
    for (int i = 1; vidur_file_exists(out); i++) {
        if (i > 9999)
            return vidur_fail(err, VIDUR_EIO, "%s.%s: too many of them; remove some",
                              path, suffix);
        snprintf(out, size, "%s.%s.%d", path, suffix, i);
    }
    return 0;
}

int journal_set_aside(const char *path, char *aside, size_t size,
                      struct vidur_error *err)
{
    struct journal *journal = open_file(path, 0, err);
    if (!journal)
        return -1;
    int rc = find_free_name(path, "old", aside, size, err);
    if (rc == 0 && rename(path, aside) != 0)
        rc = vidur_file_fail(err, path, "cannot set aside");
    journal_close(journal);
    return rc;
}

/* ---- Reading ---- */

static bool read_at(int fd, int64_t at, void *out, size_t bytes)
{
    char *to = out;
    while (bytes > 0) {
        const ssize_t got = pread(fd, to, bytes, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        at += got;
        bytes -= (size_t)got;
    }
    return true;
}

/* The record at `at`: its payload's size, or -1 where no whole record begins there.
 * `buffer` takes a payload of any size and the CRC. */
static int64_t read_record(int fd, int64_t at, uint32_t *type, char *buffer)
{
    uint32_t head[2], stored;
    if (!read_at(fd, at, head, sizeof head) || head[0] > MAX_PAYLOAD ||
        !read_at(fd, at + (int64_t)sizeof head, buffer, head[0] + sizeof stored))
        return -1;
    memcpy(&stored, buffer + head[0], sizeof stored);
    if (vidur_crc32(vidur_crc32(0, head, sizeof head), buffer, head[0]) != stored)
        return -1;
    *type = head[1];
    return head[0];
}

bool journal_is_stub(const char *path)
{
    const uint32_t wanted[2] = {sizeof(struct journal_identity), IDENTITY};
    uint32_t head[2] = {0};
    struct stat st;
    bool stub = false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size < (off_t)(FRAME + sizeof(struct journal_identity))) {
        const size_t there =
            (size_t)st.st_size < sizeof head ? (size_t)st.st_size : sizeof head;
        stub = read_at(fd, 0, head, there) && memcmp(head, wanted, there) == 0;
    }
    if (fd >= 0)
        close(fd);
    return stub;
}

static int check_identity(const char *path, const struct journal_identity *found,
                          const struct journal_identity *wanted,
                          struct vidur_error *err)
{
    if (strcmp(found->version, wanted->version) == 0 && found->layout != wanted->layout)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: written by another build of vidur-search %.30s, whose "
                          "records are not this one's; resume with that one, or remove "
                          "the file to start over",
                          path, found->version);
    if (strcmp(found->version, wanted->version) != 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: written by vidur-search %.30s, this is %.30s; resume "
                          "with that one, or remove the file to start over",
                          path, found->version, wanted->version);
    if (strcmp(found->config_sha256, wanted->config_sha256) != 0 ||
        found->num_candidates != wanted->num_candidates ||
        found->space != wanted->space)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: belongs to a search with another configuration, trace "
                          "or shard; resume with that one (and its --set overrides), "
                          "choose another "
                          "output with -o, or remove the file to start over",
                          path);
    return 0;
}

static int read_identity(struct journal *journal, char *buffer,
                         const struct journal_identity *identity,
                         struct vidur_error *err)
{
    struct journal_identity found;
    uint32_t type;
    const int64_t bytes = read_record(journal->fd, 0, &type, buffer);
    if (bytes != sizeof found || type != IDENTITY)
        return vidur_fail(err, VIDUR_ECORRUPT,
                          "%s: not a journal of vidur-search, or its first record is "
                          "damaged; remove it to start over",
                          journal->path);
    memcpy(&found, buffer, sizeof found);
    found.config_sha256[sizeof found.config_sha256 - 1] = 0;
    found.version[sizeof found.version - 1] = 0;
    journal->end = FRAME + bytes;
    return check_identity(journal->path, &found, identity, err);
}

static int read_records(struct journal *journal, char *buffer,
                        const struct journal_reading *reading, struct vidur_error *err)
{
    uint32_t type;
    int64_t bytes;
    while ((bytes = read_record(journal->fd, journal->end, &type, buffer)) >= 0) {
        if (reading->reader(reading->context, type, buffer, (size_t)bytes, err) != 0)
            return -1;
        journal->end += FRAME + bytes;
    }
    return 0;
}

/* Does a whole record begin somewhere behind the bad bytes at the end of reading? Any
 * that one bad record hides is found. */
static bool goes_on(const struct journal *journal, char *buffer)
{
    const off_t size = lseek(journal->fd, 0, SEEK_END);
    const int64_t last = journal->end + MAX_PAYLOAD + FRAME;
    uint32_t type;
    for (int64_t at = journal->end + 1; at + FRAME <= size && at <= last; at++)
        if (read_record(journal->fd, at, &type, buffer) >= 0)
            return true;
    return false;
}

static int copy_to(struct journal *journal, const char *copy, char *buffer,
                   struct vidur_error *err)
{
    struct vidur_file *file = vidur_file_create(copy, err);
    const int64_t size = (int64_t)lseek(journal->fd, 0, SEEK_END);
    bool whole = true;
    if (!file)
        return -1;
    for (int64_t at = 0; whole && at < size; at += MAX_PAYLOAD) {
        const size_t bytes =
            size - at < MAX_PAYLOAD ? (size_t)(size - at) : MAX_PAYLOAD;
        whole = read_at(journal->fd, at, buffer, bytes);
        fwrite(buffer, 1, whole ? bytes : 0, vidur_file_stream(file));
    }
    if (whole)
        return vidur_file_commit(file, err);
    vidur_file_fail(err, journal->path, "cannot read");
    vidur_file_discard(file);
    return -1;
}

/* Nothing that may be of use is cut without a copy. */
static int keep_damaged(struct journal *journal, char *buffer,
                        struct journal_reading *reading, struct vidur_error *err)
{
    reading->damaged = goes_on(journal, buffer);
    if (!reading->damaged)
        return 0;
    if (find_free_name(journal->path, "damaged", reading->kept, sizeof reading->kept,
                       err) != 0)
        return -1;
    return copy_to(journal, reading->kept, buffer, err);
}

/* Cuts what follows the last whole record, and stands behind it. */
static int cut_tail(struct journal *journal, int64_t *cut_bytes,
                    struct vidur_error *err)
{
    const off_t size = lseek(journal->fd, 0, SEEK_END);
    *cut_bytes = (int64_t)size - journal->end;
    if (size < 0 || ftruncate(journal->fd, (off_t)journal->end) != 0 ||
        lseek(journal->fd, (off_t)journal->end, SEEK_SET) < 0)
        return vidur_file_fail(err, journal->path, "cannot cut the unfinished tail");
    return 0;
}

struct journal *journal_resume(const char *path,
                               const struct journal_identity *identity,
                               struct journal_reading *reading, struct vidur_error *err)
{
    struct journal *journal = open_file(path, reading->patience_s, err);
    if (!journal)
        return NULL;
    char *buffer = malloc(MAX_PAYLOAD + FRAME);
    int rc = buffer ? 0 : vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    if (rc == 0)
        rc = read_identity(journal, buffer, identity, err);
    if (rc == 0)
        rc = read_records(journal, buffer, reading, err);
    if (rc == 0)
        rc = keep_damaged(journal, buffer, reading, err);
    if (rc == 0)
        rc = cut_tail(journal, &reading->cut_bytes, err);
    reading->end = journal->end;
    free(buffer);
    if (rc == 0)
        return journal;
    journal_close(journal);
    return NULL;
}

/* ---- Room ---- */

int journal_check_room(const char *path, int64_t bytes, struct vidur_error *err)
{
    char folder[1024], probe[1100];
    struct statvfs room;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    else
        snprintf(folder, sizeof folder, ".");
    snprintf(probe, sizeof probe, "%s.%ld.tmp", path, (long)getpid());
    const int fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return vidur_file_fail(err, folder, "cannot write results into this folder");
    close(fd);
    unlink(probe);
    if (statvfs(folder, &room) != 0)
        return 0;
    const double left = (double)room.f_bavail * (double)room.f_frsize;
    if (left < (double)bytes)
        return vidur_fail(err, VIDUR_EIO,
                          "%s: %.1f MB are left on this file system, the search may "
                          "need %.1f MB; choose another output with -o",
                          folder, left / 1e6, (double)bytes / 1e6);
    return 0;
}
