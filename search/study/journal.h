#ifndef VIDUR_SEARCH_JOURNAL_H
#define VIDUR_SEARCH_JOURNAL_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An append-only file of records that survives being killed at any moment.
 *
 * A record is: length (4 bytes), type (4 bytes), payload, CRC-32 of all three, in the
 * machine's byte order. The first record identifies the journal. Records are gathered
 * in memory and written by commit; what commit(durable) returned from is on the disk.
 * A tail that was not written whole is cut when the journal is opened again. The file
 * is locked: two writers on one file are refused. Belongs to one thread.
 */

struct journal;

/* What a journal is about: records of another search, version or layout would be
 * misread. */
struct journal_identity {
    char config_sha256[65]; /* without prices */
    char version[31];
    uint64_t layout; /* a hash of the records' layouts */
    uint64_t space;  /* a hash of which points of the space are candidates */
    int64_t num_candidates;
};

/* Receives the records of an existing journal in order; -1 stops the reading. */
typedef int journal_reader(void *context, uint32_t type, const void *payload,
                           size_t bytes, struct vidur_error *err);

/* A new, empty journal at `path`, durable when this returns: the name appears with the
 * whole first record. Replaces an old file unless a running process has it open. NULL
 * on error. */
struct journal *journal_create(const char *path,
                               const struct journal_identity *identity,
                               struct vidur_error *err);

/* Who reads an existing journal, and what was left out. */
struct journal_reading {
    journal_reader *reader;
    void *context;
    double patience_s; /* how long to wait for another writer's end */
    /* Set by journal_resume: */
    int64_t cut_bytes; /* of an unfinished tail */
    int64_t end;       /* bytes kept */
    bool damaged;      /* what is cut has whole records behind bad bytes */
    char kept[1100];   /* then the copy of the whole file */
};

/*
 * Opens a journal to go on with it: reads its records, cuts an unfinished tail and
 * appends from there. Where whole records follow bad bytes, the file is copied first:
 * what they say hangs on what is lost, so they are not used. NULL on error:
 * VIDUR_ECORRUPT when it is no journal, VIDUR_EINVAL when it belongs to another search.
 */
struct journal *journal_resume(const char *path,
                               const struct journal_identity *identity,
                               struct journal_reading *reading,
                               struct vidur_error *err);

/* Bytes of the file that a record takes. */
size_t journal_record_bytes(size_t payload_bytes);

int journal_append(struct journal *journal, uint32_t type, const void *payload,
                   size_t bytes, struct vidur_error *err);

/* Writes what was appended; `durable` also waits for the disk. After a failure the
 * journal takes no more, and the file ends with the last record that fitted. */
int journal_commit(struct journal *journal, bool durable, struct vidur_error *err);

/* Commits nothing; takes NULL. */
void journal_close(struct journal *journal);

/* Closes it and removes its file, unless another file has that name now. Takes NULL. */
void journal_remove(struct journal *journal);

/* Is there the beginning of a first record and no more? Creation was cut short: there
 * is nothing to resume. */
bool journal_is_stub(const char *path);

/* Renames the journal at `path` to a free name, told in `aside`; refused while a
 * running process has it open. */
int journal_set_aside(const char *path, char *aside, size_t size,
                      struct vidur_error *err);

/* Fails, naming the remedy, where the file system that holds `path` has less than
 * `bytes` left or the folder cannot be written to. Leaves nothing behind. */
int journal_check_room(const char *path, int64_t bytes, struct vidur_error *err);

#endif
