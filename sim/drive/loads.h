#ifndef VIDUR_SIM_LOADS_H
#define VIDUR_SIM_LOADS_H

#include "drive/fast_forward.h"

/*
 * Loads of KV blocks from host memory (ENGINE.md section 11) as the drivers see them.
 * They begin while a scheduler plans, so what is planned next is known only then; their
 * ends are arrivals at the scheduler, and bound how far batches are skipped.
 */

/* When the next load ends at one of the server's ranks; infinity: none is under way. */
double vidur_server_next_load_s(struct vidur_server *server);

/* Those that have ended by now go to the schedulers; true if one ends just now. */
bool vidur_server_end_loads(struct vidur_server *server, double now_s);

/* Before all else of a walk's instant. What is sent now comes behind a load that ends
 * now: then the walk takes nothing of it at this instant, and takes_sent is false until
 * the caller gives it back. */
void vidur_loads_end(struct vidur_walk *walk, double now_s);

/* Behind it: bounds how far the walk may go by the next load, and wakes it then. */
void vidur_loads_look_ahead(struct vidur_walk *walk);

/* Then skips what can be of the batch that has been formed, of a walk that is alone. */
void vidur_loads_skip(struct vidur_walk *walk);

#endif
