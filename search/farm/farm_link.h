#ifndef VIDUR_SEARCH_FARM_LINK_H
#define VIDUR_SEARCH_FARM_LINK_H

#include "farm/farm.h"

#include <stdalign.h>

/*
 * What the ranks of a farm say to each other, and the seam below which it travels.
 * A message is one fixed-size plain struct, cut after the body's used part; messages
 * between two ranks arrive in the order in which they were sent.
 */

enum {
    FARM_MAX_HELD = 8,     /* jobs that a worker holds, the one it works on included */
    FARM_MAX_BODY = 12288, /* several results, or a state */
    FARM_MANY_RANKS = 256  /* from where on workers hold so many */
};

enum farm_message_kind {
    /* rank 0 -> worker */
    FARM_LEASE,  /* run up to `count` steps of `job` from the state in `body` */
    FARM_RECALL, /* give back what you hold, after the step that is running */
    FARM_STOP,   /* end now; `code` says why: 0 all done, else a vidur_error_code */
    /* worker -> rank 0 */
    FARM_RESULTS,  /* what came of `count` steps, in the order in which they were run */
    FARM_RETURNED, /* `job` is no longer held here */
    FARM_STOPPED,  /* this rank was told to stop by a signal */
    FARM_BYE       /* answer to FARM_STOP; this rank sends nothing more */
};

struct farm_message {
    int32_t kind;
    int32_t code;
    int64_t job;
    int64_t count;
    double seconds;
    uint64_t body_bytes;
    alignas(16) unsigned char body[FARM_MAX_BODY];
};

/* In front of each result in a FARM_RESULTS; the result follows, padded to 8 bytes. */
struct farm_result_head {
    int64_t job;
    uint64_t step;
    uint32_t failed; /* a struct vidur_error instead of a result */
    uint32_t bytes;
};

/* Appends a result to a message that begins with none; false when it is full. */
bool farm_results_add(struct farm_message *message, const struct farm_result_head *head,
                      const void *result);
/* The result at *offset of the body, which moves behind it; NULL behind the last. */
const void *farm_results_next(const struct farm_message *message, size_t *offset,
                              struct farm_result_head *head);

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

/* For which a farm's rank 0 waits at a stop. */
double farm_stop_patience_s(const struct vidur_farm *farm);

size_t farm_message_bytes(const struct farm_message *message);

/* Sleeps, longer the more often it is called in a row: 20 us to 1 ms. Start with 0. */
void farm_nap(int *naps);

/* Rank 0 and the others; return as vidur_farm_run_mpi(). */
int farm_lead(const struct vidur_farm *farm, const struct farm_link *link,
              struct vidur_farm_stats *stats, struct vidur_error *err);
int farm_work(const struct vidur_farm *farm, const struct farm_link *link,
              struct vidur_error *err);

#endif
