#include "space/config_parts.h"

/* `search:` and `target:`: how the answer is found, and which. */

static const char *const warm_start_names[] = {"none", "batch_size", NULL};

#define SEARCH(key, kind, member)                                                      \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_settings, member)

#define TARGET(key, kind, member)                                                      \
    VIDUR_YAML_KEY(key, kind, struct vidur_search_target, member)

const struct vidur_yaml_field config_search_fields[] = {
    {SEARCH("granularity", DOUBLE, granularity),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 0.0001, .max = 1},
    {SEARCH("max_iterations", INT, max_iterations),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 1, .max = 1000},
    {SEARCH("seed", CUSTOM, seed), .read = vidur_yaml_read_seed},
    {SEARCH("seeds", ENUM, seeds), .names = vidur_seeds_names},
    {SEARCH("poisson_truncate", DOUBLE, poisson_truncate), .flags = VIDUR_YAML_MIN,
     .min = 0},
    {SEARCH("time_limit_s", DOUBLE, time_limit_s), .flags = VIDUR_YAML_MIN, .min = 0},
    {SEARCH("sustained_fraction", DOUBLE, sustained_fraction),
     .flags = VIDUR_YAML_ABOVE | VIDUR_YAML_MAX, .min = 0, .max = 1},
    {SEARCH("num_requests", CUSTOM, num_requests), .read = config_read_requests},
    {SEARCH("max_requests", INT64, max_requests),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 100, .max = 1e9},
    {SEARCH("replications", INT, replications),
     .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX, .min = 1, .max = VIDUR_MAX_REPLICATIONS},
    {SEARCH("confirm_top", INT, confirm_top), .flags = VIDUR_YAML_MIN, .min = 0},
    {SEARCH("stop_early", BOOL, stop_early)},
    {SEARCH("warm_start", ENUM, warm_start), .names = warm_start_names},
    {SEARCH("speculate", BOOL, speculate)},
    {SEARCH("confirm", INT, confirm), .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX,
     .min = 0, .max = 100},
    {SEARCH("max_deaths", INT, max_deaths), .flags = VIDUR_YAML_MIN, .min = 1},
    {SEARCH("max_working_ranks", INT, max_working_ranks), .flags = VIDUR_YAML_MIN,
     .min = 1},
    {0}};

const struct vidur_yaml_field config_target_fields[] = {
    {TARGET("qps", DOUBLE, qps),
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_ABOVE | VIDUR_YAML_MAX, .min = 0,
     .max = 1e9},
    {TARGET("max_gpus", INT, max_gpus), .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX,
     .min = 1, .max = 1e6},
    {0}};

void config_search_defaults(struct vidur_search_config *config)
{
    config->search = (struct vidur_search_settings){.granularity = 0.025,
                                                    .max_iterations = 20,
                                                    .seed = 42,
                                                    .poisson_truncate = -1,
                                                    .max_requests = 131072,
                                                    .replications = 1,
                                                    .confirm_top = 10,
                                                    .stop_early = true,
                                                    .warm_start = VIDUR_WARM_BATCH_SIZE,
                                                    .speculate = true,
                                                    .max_deaths = 3,
                                                    .max_working_ranks = 16};
    config->target.max_gpus = 65536;
}

int config_check_definition(const struct vidur_yaml_node *root,
                            const struct vidur_search_config *config,
                            struct vidur_error *err)
{
    if (config->capacity_definition != VIDUR_CAPACITY_SCHEDULING_DELAY)
        return 0;
    if (config->target.qps > 0)
        return vidur_yaml_fail_key(root, "target", err,
                                   "given beside capacity_definition: "
                                   "scheduling_delay, which searches the largest "
                                   "load; leave one out");
    for (int i = 0; i < config->num_slos; i++)
        if (config->slos[i].metric == VIDUR_LATENCY_scheduling_delay &&
            config->slos[i].quantile == 0.99)
            return 0;
    return vidur_yaml_fail_key(root, "capacity_definition", err,
                               "scheduling_delay needs an SLO on the 0.99 quantile of "
                               "scheduling_delay; add one to slos");
}
