#ifndef VIDUR_SIM_PROMPT_CHAIN_H
#define VIDUR_SIM_PROMPT_CHAIN_H

#include <vidur/workload.h>

/*
 * What the KV blocks of a request's prompt hold, and so which of them prompts have in
 * common: a chain of segments, runs of blocks with one origin. The system prompt's
 * blocks are a segment, in sessions the conversation's are one and the request's own
 * one; of a recorded prompt the parts that it shares with the same others
 * (prompt_tree.h). Source: ENGINE.md section 2, SIMULATOR.md section 2.
 *
 * A segment has a hash over its origin, where it begins, and the segments before it.
 * Two requests have the same block where they have, at the same index, the same
 * segment: where segments begin follows from the workload alone.
 */
struct vidur_prompt_chain {
    uint64_t segment;   /* the present one's hash, never 0; 0: before the first */
    int32_t begin, end; /* its blocks */
    /* Where the next ones come from. */
    uint64_t group, prompt, own; /* origins */
    int32_t shared_blocks;       /* of the group; then the prompt's... */
    int32_t own_from;            /* ...and from here on the request's own */
    const struct vidur_recorded_segment *recorded; /* before the prompt's */
    int32_t num_recorded;
    int32_t recorded_tokens; /* of a recorded block */
    int32_t block_size;
};

/* Before the first segment of a request of a workload whose prompts share something. */
struct vidur_prompt_chain
vidur_prompt_chain_begin(const struct vidur_workload *workload, int32_t request,
                         int32_t block_size);

/* Goes on to the next segment. */
void vidur_prompt_chain_next(struct vidur_prompt_chain *chain);

/* Goes on to the segment of that block, which is not before the present one. */
static inline void vidur_prompt_chain_reach(struct vidur_prompt_chain *chain,
                                            int32_t block)
{
    while (chain->end <= block)
        vidur_prompt_chain_next(chain);
}

#endif
