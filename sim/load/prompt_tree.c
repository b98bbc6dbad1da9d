#include "load/prompt_tree.h"

#include <stdlib.h>
#include <string.h>

/* A prompt among all in an order in which those that begin alike stand together, the
 * shorter of two before what goes on behind it. */
struct sorted {
    const int32_t *ids;
    int32_t length;
    int32_t prompt;
    int32_t common;     /* leading ids that it has in common with the one before */
    int32_t next_lower; /* the first behind it with less in common */
};

static int32_t common_ids(const struct sorted *a, const struct sorted *b)
{
    const int32_t most = a->length < b->length ? a->length : b->length;
    int32_t count = 0;
    while (count < most && a->ids[count] == b->ids[count])
        count++;
    return count;
}

static int in_order(const void *first, const void *second)
{
    const struct sorted *a = first, *b = second;
    const size_t most = (size_t)(a->length < b->length ? a->length : b->length);
    const int difference = most > 0 ? memcmp(a->ids, b->ids, most * sizeof *a->ids) : 0;
    if (difference != 0)
        return difference;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return (a->prompt > b->prompt) - (a->prompt < b->prompt);
}

/* `sorted` has one more at the end. */
static void sort(struct sorted *sorted, const int64_t *first, const int32_t *ids,
                 int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        sorted[i] = (struct sorted){.ids = ids + first[i],
                                    .length = (int32_t)(first[i + 1] - first[i]),
                                    .prompt = (int32_t)i};
    qsort(sorted, (size_t)count, sizeof *sorted, in_order);
    for (int64_t i = 1; i < count; i++)
        sorted[i].common = common_ids(&sorted[i - 1], &sorted[i]);
    sorted[count] = (struct sorted){.common = -1};
    for (int64_t i = count; i-- > 0;) {
        int32_t next = (int32_t)i + 1;
        while (sorted[next].common >= sorted[i].common && next < count)
            next = sorted[next].next_lower;
        sorted[i].next_lower = next;
    }
}

static int append(struct vidur_prompt_tree *tree, int32_t node, int32_t end,
                  struct vidur_error *err)
{
    if (tree->num_segments == tree->capacity) {
        const int64_t capacity = tree->capacity ? 2 * tree->capacity : 1024;
        void *grown =
            realloc(tree->segments, (size_t)capacity * sizeof *tree->segments);
        if (!grown)
            return vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory");
        tree->segments = grown;
        tree->capacity = capacity;
    }
    tree->segments[tree->num_segments++] =
        (struct vidur_recorded_segment){.node = node, .end = end};
    return 0;
}

/* The next ends behind `from` of the segments of the i-th: where those behind it leave
 * it, which have less in common with it the further they are, and its own. Appends them
 * as new nodes, the last first, and puts them in order. */
static int append_nodes(struct vidur_prompt_tree *tree, const struct sorted *sorted,
                        int64_t i, int32_t from, struct vidur_error *err)
{
    const int64_t begin = tree->num_segments;
    if (append(tree, 0, sorted[i].length, err))
        return -1;
    for (int64_t k = i + 1; sorted[k].common > from; k = sorted[k].next_lower)
        if (sorted[k].common < sorted[i].length &&
            append(tree, 0, sorted[k].common, err))
            return -1;
    struct vidur_recorded_segment *nodes = &tree->segments[begin];
    const int64_t count = tree->num_segments - begin;
    for (int64_t k = 0; k < count / 2; k++) {
        const int32_t end = nodes[k].end;
        nodes[k].end = nodes[count - 1 - k].end;
        nodes[count - 1 - k].end = end;
    }
    for (int64_t k = 0; k < count; k++)
        nodes[k].node = tree->num_nodes++;
    return 0;
}

/* Whether one behind the i-th leaves it just there. */
static bool branches_at(const struct sorted *sorted, int64_t i, int32_t at)
{
    int64_t k = i + 1;
    while (sorted[k].common > at)
        k = sorted[k].next_lower;
    return sorted[k].common == at;
}

/* The i-th's segments: those that it shares with the one before, then its own. Where
 * it goes on behind that one, the last of those goes on, too, up to its next end. */
static int add(struct vidur_prompt_tree *tree, const struct sorted *sorted, int64_t i,
               struct vidur_error *err)
{
    const struct sorted *s = &sorted[i];
    const int32_t shared = i > 0 ? s->common : 0;
    const int64_t begin = tree->num_segments;
    if (shared > 0) {
        const struct vidur_recorded_prompt *before = &tree->prompts[s[-1].prompt];
        for (int64_t k = 0; k < before->num_segments; k++) {
            const struct vidur_recorded_segment segment =
                tree->segments[before->first_segment + k];
            if (segment.end <= shared && append(tree, segment.node, segment.end, err))
                return -1;
        }
    }
    const int64_t own = tree->num_segments;
    if (s->length > shared && append_nodes(tree, sorted, i, shared, err))
        return -1;
    if (s->length > shared && shared > 0 && shared == s[-1].length &&
        !branches_at(sorted, i, shared)) {
        struct vidur_recorded_segment *last = &tree->segments[own - 1];
        last->end = last[1].end;
        tree->num_segments--;
        memmove(last + 1, last + 2,
                (size_t)(tree->num_segments - own) * sizeof *tree->segments);
    }
    tree->prompts[s->prompt] = (struct vidur_recorded_prompt){
        .first_segment = begin, .num_segments = (int32_t)(tree->num_segments - begin)};
    return 0;
}

int vidur_prompt_tree_build(struct vidur_prompt_tree *tree, const int64_t *first,
                            const int32_t *ids, int64_t count, struct vidur_error *err)
{
    vidur_prompt_tree_free(tree);
    struct sorted *sorted = malloc((size_t)(count + 1) * sizeof *sorted);
    tree->prompts = malloc((size_t)(count + 1) * sizeof *tree->prompts);
    int status = 0;
    if (!sorted || !tree->prompts)
        status = vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory");
    if (status == 0)
        sort(sorted, first, ids, count);
    for (int64_t i = 0; status == 0 && i < count; i++)
        status = add(tree, sorted, i, err);
    free(sorted);
    tree->num_prompts = count;
    if (status)
        vidur_prompt_tree_free(tree);
    return status;
}

void vidur_prompt_tree_free(struct vidur_prompt_tree *tree)
{
    free(tree->prompts);
    free(tree->segments);
    *tree = (struct vidur_prompt_tree){0};
}

struct vidur_prompts vidur_prompt_tree_view(const struct vidur_prompt_tree *tree,
                                            int32_t block_tokens)
{
    return (struct vidur_prompts){.recorded = tree->prompts,
                                  .segments = tree->segments,
                                  .block_tokens = block_tokens};
}
