#ifndef VIDUR_SEARCH_JUDGE_H
#define VIDUR_SEARCH_JUDGE_H

#include <vidur/space.h>

/* Whether a candidate can run at all: sets its status, where it cannot its reason, and
 * its num_blocks. Fails for lack of memory only. */
int judge_candidate(const struct vidur_space *space, struct vidur_candidate *candidate,
                    const struct vidur_deployment *deployment, struct vidur_error *err);

#endif
