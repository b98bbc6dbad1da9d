#ifndef VIDUR_SIM_PROMPT_TREE_H
#define VIDUR_SIM_PROMPT_TREE_H

#include <vidur/error.h>
#include <vidur/shared_prefix.h>

/*
 * The radix tree of recorded prompts: what each has in common with the others, known
 * before a run, so that a simulation compares a prompt's few segments, not its blocks.
 * An inner node begins where prompts with the same beginning go on with different
 * blocks. A prompt that another goes on behind has the other's node, in part.
 */
struct vidur_prompt_tree {
    int64_t num_prompts;
    struct vidur_recorded_prompt *prompts;
    int64_t num_segments, capacity;
    struct vidur_recorded_segment *segments;
    int32_t num_nodes;
};

/* Of prompts whose blocks are ids[first[r]] up to, without, ids[first[r + 1]]. Replaces
 * what the tree was, {0} at first. O(count log count) comparisons of prompts. Fails
 * without memory. */
int vidur_prompt_tree_build(struct vidur_prompt_tree *tree, const int64_t *first,
                            const int32_t *ids, int64_t count, struct vidur_error *err);
void vidur_prompt_tree_free(struct vidur_prompt_tree *tree);

/* What simulators read of it; it lives as long as the tree. */
struct vidur_prompts vidur_prompt_tree_view(const struct vidur_prompt_tree *tree,
                                            int32_t block_tokens);

#endif
