#ifndef VIDUR_SEARCH_RATES_H
#define VIDUR_SEARCH_RATES_H

#include <vidur/deployment.h>
#include <vidur/slo.h>
#include <vidur/workload.h>

/*
 * What a replica may carry, estimated without a simulation: good for choosing which
 * pools go together and for nothing else.
 */

struct rates_lengths {
    double prompt, output; /* tokens, on average */
};

int rates_lengths(const struct vidur_workload_config *config, struct rates_lengths *out,
                  struct vidur_error *err);

/* The least limit on the time of an output token, of joint SLOs' and of classes', too;
 * infinity: there is none. */
double rates_token_limit_s(const struct vidur_slo_list *slos);

/* Prompts that a replica works off in a second. */
double rates_prompts(const struct vidur_deployment *deployment,
                     const struct rates_lengths *lengths);

/* Requests that a replica decodes in a second, with as many at once as memory, the cap
 * and the limit on a token's time allow. */
double rates_outputs(const struct vidur_deployment *deployment, int64_t num_blocks,
                     const struct rates_lengths *lengths, double limit_s);

/* Requests that a replica serves whole in a second. */
double rates_requests(const struct vidur_deployment *deployment, int64_t num_blocks,
                      const struct rates_lengths *lengths, double limit_s);

#endif
