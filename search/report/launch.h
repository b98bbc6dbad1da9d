#ifndef VIDUR_SEARCH_LAUNCH_H
#define VIDUR_SEARCH_LAUNCH_H

#include <vidur/results.h>

/* How the name of a checkpoint begins that is not known, as where a model was given by
 * a configuration alone. */
#define VIDUR_LAUNCH_PLACE "/PATH/TO/"

/*
 * The engine arguments that a configuration stands for: a vLLM command line to copy
 * (https://docs.vllm.ai, "vllm serve"), and in words what it cannot say. Pure function.
 */
struct vidur_launch {
    char command[2048]; /* a line for a POSIX shell; of two pools a line for each */
    char notes[1200];   /* sentences, one a line, without a newline at the end */
};

/* `results` gives the model's identifier and the workload's longest request. */
void vidur_launch_line(const struct vidur_results *results,
                       const struct vidur_ranking_row *row,
                       struct vidur_launch *launch);

#endif
