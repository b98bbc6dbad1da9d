#include "load/mix.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Whether a class may be called so. */
static bool name_is_good(const char *name)
{
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '_')
            return false;
    return name[0] != 0;
}

/* An error about `workload.lengths.KEY` is one about the class's. */
static int fail_class(int index, struct vidur_error *err)
{
    static const char own[] = "workload.lengths.";
    struct vidur_error inner;
    if (!err || strncmp(err->text, own, sizeof own - 1) != 0)
        return -1;
    inner = *err;
    return vidur_fail(err, inner.code, "workload.classes.%d.lengths.%s", index,
                      inner.text + sizeof own - 1);
}

static int check_class(const struct vidur_workload_config *config, int index,
                       struct vidur_error *err)
{
    const struct vidur_class_config *class = &config->classes[index];
    const int max_tokens =
        class->max_tokens > 0 ? class->max_tokens : config->max_tokens;
    if (!name_is_good(class->name))
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.classes.%d.name: '%s'; use letters, digits and _, "
                          "which columns of results can have",
                          index, class->name);
    for (int earlier = 0; earlier < index; earlier++)
        if (strcmp(config->classes[earlier].name, class->name) == 0)
            return vidur_fail(err, VIDUR_EINVAL,
                              "workload.classes.%d.name: '%s' is taken by an earlier "
                              "class",
                              index, class->name);
    if (!(class->share > 0))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "workload.classes.%d.share: %g; above 0, in proportion to the "
            "others'",
            index, class->share);
    if (max_tokens > config->max_tokens)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.classes.%d.max_tokens: %d is above the workload's "
                          "%d; lower it or raise that",
                          index, max_tokens, config->max_tokens);
    return vidur_lengths_check(&class->lengths, max_tokens, err)
               ? fail_class(index, err)
               : 0;
}

int vidur_mix_check(const struct vidur_workload_config *config, struct vidur_error *err)
{
    if (config->num_classes < 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.classes: missing; a mix has one or more");
    if (config->seeds == VIDUR_SEEDS_REFERENCE)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.seeds: reference does not cover mixes; use own");
    for (int i = 0; i < config->num_classes; i++)
        if (check_class(config, i, err))
            return -1;
    return 0;
}

struct vidur_mix *vidur_mix_open(const struct vidur_workload_config *config,
                                 struct vidur_error *err)
{
    struct vidur_mix *mix = calloc(1, sizeof *mix);
    double total = 0, sum = 0;
    if (!mix) {
        vidur_fail(err, VIDUR_ENOMEM, "workload: out of memory for classes");
        return NULL;
    }
    for (int i = 0; i < config->num_classes; i++)
        total += config->classes[i].share;
    vidur_rng_init(&mix->draws, config->seed, vidur_rng_stream("classes", 0));
    for (int i = 0; i < config->num_classes; i++) {
        sum += config->classes[i].share;
        mix->up_to[i] = sum / total;
        mix->count++;
        if (vidur_lengths_open_class(&mix->lengths[i], config, i, err)) {
            fail_class(i, err);
            vidur_mix_close(mix);
            return NULL;
        }
    }
    return mix;
}

void vidur_mix_close(struct vidur_mix *mix)
{
    for (int i = 0; mix && i < mix->count; i++)
        vidur_lengths_close(&mix->lengths[i]);
    free(mix);
}

int vidur_mix_draw(struct vidur_mix *mix, uint8_t *class_of,
                   struct vidur_tokens *tokens, struct vidur_error *err)
{
    const double u = vidur_rng_uniform(&mix->draws);
    int chosen = 0;
    while (chosen < mix->count - 1 && u >= mix->up_to[chosen])
        chosen++;
    *class_of = (uint8_t)chosen;
    return vidur_lengths_draw(&mix->lengths[chosen], tokens, err);
}
