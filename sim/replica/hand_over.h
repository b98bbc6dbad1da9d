#ifndef VIDUR_SIM_HAND_OVER_H
#define VIDUR_SIM_HAND_OVER_H

#include "replica/replica.h"

/*
 * A request goes from a replica of one pool to a replica of another: it departs when
 * its prompt is done and keeps its blocks; the other takes blocks for the prompt, which
 * begins the transfer of the KV cache; when that has ended the first gives its blocks
 * back and the other's scheduler may admit the request. Who calls when:
 * drive/transfers.
 */

/* Whether it leaves when its prompt is done: not where its only token is there then. */
static inline bool vidur_request_departs(const struct vidur_replica *replica,
                                         int32_t request)
{
    return replica->hands_over &&
           !(replica->samples_first && replica->requests->decode_tokens[request] == 1);
}

/* It is in no list of the scheduler's and takes no seat any more. */
void vidur_request_depart(struct vidur_replica *replica, int32_t request);

/* The first of those that departed, taken from their list; VIDUR_NO_REQUEST. */
int32_t vidur_departed_pop(struct vidur_replica *replica);

/* Whether the replica has blocks and a seat for a request whose prompt is done: beside
 * what its scheduler has planned, above its watermark (0 where it keeps none) and with
 * nobody waiting who was evicted. `seats`: requests that may hold blocks. */
bool vidur_can_load(const struct vidur_replica *replica, int32_t request,
                    int64_t watermark_blocks, int64_t seats);

/* Takes blocks for the request's prompt, and the first token it has got; returns how
 * many it holds at the replica that it departed from. */
int32_t vidur_begin_load(struct vidur_replica *replica, int32_t request);

/* The request's KV cache is here now: it continues with the prompt's last token, or
 * behind the first token where it has got that. */
void vidur_end_load(struct vidur_replica *replica, int32_t request);

/* The request, which holds its blocks, is to be admitted by the scheduler. */
void vidur_loaded_push(struct vidur_replica *replica, int32_t request);

/* The replica that it departed from gives its `held` blocks back. */
void vidur_release_departed(struct vidur_replica *replica, int32_t request,
                            int32_t held);

#endif
