#ifndef VIDUR_SEARCH_INPUT_NOTES_H
#define VIDUR_SEARCH_INPUT_NOTES_H

#include "study/study.h"

#include <vidur/log.h>

/*
 * What whoever reads a ranking should know of the search's inputs: requests that were
 * cut, lengths beyond a model's context, nodes that nobody named.
 */

/* To the log: warnings as such, the rest as information. */
void input_notes_log(const struct study *study, const struct vidur_log *log);

/* To the results, as facts of the section `note`. */
int input_notes_add(const struct study *study, struct vidur_results *results,
                    struct vidur_error *err);

#endif
