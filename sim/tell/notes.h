#ifndef VIDUR_SIM_NOTES_H
#define VIDUR_SIM_NOTES_H

#include <vidur/log.h>
#include <vidur/simulation_config.h>

/*
 * What whoever reads a simulation's figures should know of its inputs: requests that
 * were cut, what was done to a log of requests, lengths beyond the model's context,
 * what is approximate in the model, a node that nobody named, processes that lack CPUs.
 */

enum { VIDUR_MAX_NOTES = 4 + 2 * VIDUR_MAX_POOLS };

struct vidur_note {
    bool is_warning;
    char text[384];
};

/* Returns how many there are. */
int vidur_notes_of(const struct vidur_simulation_config *config,
                   const struct vidur_workload *workload,
                   struct vidur_note notes[VIDUR_MAX_NOTES]);

/* Logs those that are warnings. */
void vidur_notes_warn(const struct vidur_simulation_config *config,
                      const struct vidur_workload *workload,
                      const struct vidur_log *log);

#endif
