#ifndef VIDUR_TEST_TOY_HOST_H
#define VIDUR_TEST_TOY_HOST_H

#include <vidur/deployment.h>
#include <vidur/rng.h>

/* A second tier of KV blocks, in host memory, for random small engines. */

/* Room for less than the GPU's blocks up to three times as many; 16 tokens take about a
 * step of `step_s` to load, just that with `ties`. */
void toy_host_draw(struct vidur_deployment *deployment, struct vidur_rng *rng,
                   int max_tokens, double step_s, bool ties);

/* What a deployment's knobs come to, as ENGINE.md section 11 has it. */
struct toy_host {
    int32_t num_blocks;
    double block_s; /* to load one */
};
struct toy_host toy_host_of(const struct vidur_deployment *deployment, int max_tokens);

#endif
