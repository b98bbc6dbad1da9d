#ifndef VIDUR_SEARCH_FARM_LINK_H
#define VIDUR_SEARCH_FARM_LINK_H

#include "farm.h"

#include <stdalign.h>

/*
 * What the ranks of a farm say to each other, and the seam below which it travels.
 * A message is one fixed-size plain struct, cut after the body's used part; messages
 * between two ranks arrive in the order in which they were sent.
 */

enum farm_message_kind {
    /* rank 0 -> worker */
    FARM_LEASE,  /* run up to `count` steps of `job` from the state in `body` */
    FARM_RECALL, /* give back what you hold, after the step that is running */
    FARM_STOP,   /* end now; `code` says why: 0 all done, else a vidur_error_code */
    /* worker -> rank 0 */
    FARM_RESULT,   /* `step` of `job`: result in `body`, took `seconds` */
    FARM_FAILED,   /* the same, but it failed: struct vidur_error in `body` */
    FARM_RETURNED, /* `job` is no longer held here */
    FARM_STOPPED,  /* this rank was told to stop by a signal */
    FARM_BYE       /* answer to FARM_STOP; this rank sends nothing more */
};

struct farm_message {
    int32_t kind;
    int32_t code;
    int64_t job;
    uint64_t step;
    int64_t count;
    double seconds;
    uint64_t body_bytes;
    alignas(16) unsigned char body[VIDUR_FARM_MAX_RESULT_BYTES];
};

struct farm_link {
    int rank, ranks;
    void *self;
    /* Takes the message away at once; never waits for the other side. */
    int (*send)(void *self, int to, const struct farm_message *message,
                struct vidur_error *err);
    /* 1: a message; 0: none now; -1: error. Also moves outgoing messages on. */
    int (*receive)(void *self, struct farm_message *message, int *from,
                   struct vidur_error *err);
};

size_t farm_message_bytes(const struct farm_message *message);

/* Sleeps, longer the more often it is called in a row: 20 us to 1 ms. Start with 0. */
void farm_nap(int *naps);

/* Rank 0 and the others; return as vidur_farm_run_mpi(). */
int farm_lead(const struct vidur_farm *farm, const struct farm_link *link,
              struct vidur_farm_stats *stats, struct vidur_error *err);
int farm_work(const struct vidur_farm *farm, const struct farm_link *link,
              struct vidur_error *err);

#endif
