#ifndef VIDUR_SEARCH_KNOBS_H
#define VIDUR_SEARCH_KNOBS_H

#include <vidur/deployment.h>

/* Whether a scheduler uses a knob, by the last column of VIDUR_SCHEDULER_KNOBS: "all",
 * "all but NAME", or names; what follows a semicolon is for people. Pure function. */
bool knob_is_used(const char *users, const char *scheduler);

#endif
