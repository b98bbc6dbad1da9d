#ifndef VIDUR_TEST_TOY_PROMPTS_H
#define VIDUR_TEST_TOY_PROMPTS_H

#include <vidur/rng.h>
#include <vidur/workload.h>

/* What random requests have in common. */

/* Prompts of groups that share their beginning: into `prompt` and `prefill`, which are
 * the workload's. */
void toy_prompts_draw(struct vidur_rng *rng, struct vidur_workload *workload,
                      int32_t *prompt, int32_t *prefill);

/* Stages of load as a workload has them: nominal times. */
void toy_stages_draw(struct vidur_rng *rng, struct vidur_workload *workload);

#endif
